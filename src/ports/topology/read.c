/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From bytes to lines, headings and keys. What keys mean is in topologykeys.c. */
#include "ports/topology/read.h"

#include <stdarg.h>
#include <string.h>

#include "base/buffer.h"
#include "base/nearest.h"

/* ------------------------------------------------------------------------------------------------ the maker -- */

gboolean hf_maker_fail(const HfMaker *maker, HfTopologyPlace place, GError **error, const char *format, ...)
{
  va_list arguments;
  va_start(arguments, format);
  g_autofree char *message = g_strdup_vprintf(format, arguments);
  va_end(arguments);
  return hf_fail(error, HF_ERROR_USAGE, "%s:%u:%u: %s", maker->file, place.line, place.column, message);
}

gpointer hf_maker_alloc(HfMaker *maker, gsize size, gsize count)
{
  gpointer memory = g_malloc0_n(MAX(count, 1), size);
  g_ptr_array_add(maker->owned, memory);
  return memory;
}

gpointer hf_maker_keep(HfMaker *maker, const GArray *array, guint *n)
{
  guint size = g_array_get_element_size((GArray *)array);
  gpointer memory = hf_maker_alloc(maker, size, array->len);
  if (array->len > 0)
    memcpy(memory, array->data, (gsize)size * array->len);
  *n = array->len;
  return memory;
}

const char *hf_maker_text(HfMaker *maker, const char *text)
{
  return g_string_chunk_insert_const(maker->strings, text);
}

static char *hint_of(const HfNearest *nearest)
{
  const char *found = hf_nearest_result(nearest);
  return found != NULL ? g_strdup_printf("; did you mean '%s'?", found) : g_strdup("");
}

char *hf_maker_hint(const char *word, const char *const *candidates)
{
  g_autoptr(HfNearest) nearest = hf_nearest_new(word);
  for (guint i = 0; candidates[i] != NULL; i++)
    hf_nearest_offer(nearest, candidates[i]);
  return hint_of(nearest);
}

char *hf_maker_role_hint(const char *word)
{
  guint n;
  const HfPortRole *roles = hf_port_roles(&n);
  g_autofree char *lower = g_ascii_strdown(word, -1);
  g_strdelimit(lower, " _", '-');
  g_autoptr(HfNearest) nearest = hf_nearest_new(lower);
  for (guint i = 0; i < n; i++)
    hf_nearest_offer(nearest, roles[i].id);
  char *hint = hint_of(nearest);
  if (*hint != '\0')
    return hint;
  g_free(hint);
  return g_strdup("; 'holdfast ports roles' lists them");
}

static void section_free(gpointer data)
{
  HfSection *section = data;
  hf_range_clear(&section->range);
  g_hash_table_unref(section->seen);
  g_ptr_array_unref(section->address_words);
  g_ptr_array_unref(section->name_words);
  g_array_unref(section->networks);
  g_array_unref(section->settings);
  g_array_unref(section->values);
  g_array_unref(section->names);
  g_ptr_array_unref(section->peers_words);
  g_free(section);
}

static void peers_words_free(gpointer data)
{
  HfPeersWords *peers = data;
  g_ptr_array_unref(peers->words);
  g_free(peers);
}

static HfSection *section_new(HfSectionKind kind, HfTopologyPlace place)
{
  HfSection *section = g_new0(HfSection, 1);
  section->kind = kind;
  section->place = place;
  section->seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  section->address_words = g_ptr_array_new_with_free_func(g_free);
  section->name_words = g_ptr_array_new_with_free_func(g_free);
  section->networks = g_array_new(FALSE, FALSE, sizeof(HfTopologyAddress));
  section->settings = g_array_new(FALSE, FALSE, sizeof(HfTopologySetting));
  section->values = g_array_new(FALSE, FALSE, sizeof(HfTopologyValue));
  section->names = g_array_new(FALSE, FALSE, sizeof(HfTopologyNames));
  section->peers_words = g_ptr_array_new_with_free_func(peers_words_free);
  return section;
}

static HfTopologyProfile *profile_new(HfMaker *maker, HfTopologyPlace place)
{
  guint n_roles, n_conditions, n_rows;
  hf_port_roles(&n_roles);
  hf_port_conditions(&n_conditions);
  hf_port_rows(&n_rows);
  HfTopologyProfile *profile = hf_maker_alloc(maker, sizeof *profile, 1);
  gint16 *answers = hf_maker_alloc(maker, sizeof *answers, n_conditions);
  for (guint i = 0; i < n_conditions; i++)
    answers[i] = -1;
  profile->place = place;
  profile->roles = hf_maker_alloc(maker, 1, n_roles);
  profile->named_roles = hf_maker_alloc(maker, 1, n_roles);
  profile->wanted = hf_maker_alloc(maker, 1, n_rows);
  profile->answers = answers;
  return profile;
}

static HfMaker *maker_new(const char *file)
{
  guint n_roles;
  hf_port_roles(&n_roles);
  HfMaker *maker = g_new0(HfMaker, 1);
  maker->strings = g_string_chunk_new(4096);
  maker->owned = g_ptr_array_new_with_free_func(g_free);
  maker->file = hf_printable(file, -1);
  maker->nodes_by_name = g_hash_table_new(g_str_hash, g_str_equal);
  maker->sites_by_name = g_hash_table_new(g_str_hash, g_str_equal);
  maker->sections = g_ptr_array_new_with_free_func(section_free);
  maker->sites = g_ptr_array_new();
  maker->profiles = g_ptr_array_new();
  maker->nodes = g_ptr_array_new();
  maker->fleet_roles = hf_maker_alloc(maker, sizeof(gboolean), n_roles);
  maker->topology.title = "";
  maker->topology.fleet = profile_new(maker, (HfTopologyPlace){ 0, 0 });
  return maker;
}

void hf_topology_free(HfTopology *topology)
{
  HfMaker *maker = (HfMaker *)topology;
  if (maker == NULL)
    return;
  g_hash_table_unref(maker->nodes_by_name);
  g_hash_table_unref(maker->sites_by_name);
  g_clear_pointer(&maker->sections, g_ptr_array_unref);
  g_ptr_array_unref(maker->sites);
  g_ptr_array_unref(maker->profiles);
  g_ptr_array_unref(maker->nodes);
  g_ptr_array_unref(maker->owned);
  g_string_chunk_free(maker->strings);
  g_free(maker->file);
  g_free(maker);
}

/* -------------------------------------------------------------------------------------------------- headings -- */

static gboolean begin_site(HfMaker *maker, HfSection *section, HfWord name, GError **error)
{
  HfRange range = { 0 };
  gboolean good = hf_range_parse(maker, name, &range, error);
  gboolean numbered = range.numbered;
  hf_range_clear(&range);
  if (!good)
    return FALSE;
  if (numbered)
    return hf_maker_fail(maker, name.place, error, "'%s' is a range; each site has a section of its own", name.text);
  HfTopologySite *other = g_hash_table_lookup(maker->sites_by_name, name.text);
  if (other != NULL)
    return hf_maker_fail(maker, name.place, error, "site '%s' stands in line %u already", name.text, other->place.line);
  if (maker->sites->len == HF_TOPOLOGY_MAX_SITES)
    return hf_maker_fail(maker, name.place, error, "more than %u sites", HF_TOPOLOGY_MAX_SITES);
  HfTopologySite *site = hf_maker_alloc(maker, sizeof *site, 1);
  *site = (HfTopologySite){ .index = maker->sites->len, .name = name.text, .place = section->place };
  g_ptr_array_add(maker->sites, site);
  g_hash_table_insert(maker->sites_by_name, (gpointer)site->name, site);
  section->site = site;
  return TRUE;
}

/* The nodes come to be when the section has ended (topologynodes.c). */
static gboolean begin_nodes(HfMaker *maker, HfSection *section, HfWord name, GError **error)
{
  section->profile = profile_new(maker, section->place);
  section->profile->index = maker->profiles->len;
  section->profile->external = section->kind == HF_SECTION_EXTERNAL;
  g_ptr_array_add(maker->profiles, section->profile);
  return hf_range_parse(maker, name, &section->range, error);
}

static gboolean begin_fleet(HfMaker *maker, HfSection *section, HfWord name, GError **error)
{
  section->profile = (HfTopologyProfile *)maker->topology.fleet;
  if (name.text != NULL)
    return hf_maker_fail(maker, name.place, error, "[fleet] has no name; write 'title = ...' under it");
  if (section->profile->place.line != 0)
    return hf_maker_fail(maker, section->place, error, "[fleet] stands in line %u already",
                         section->profile->place.line);
  section->profile->place = section->place;
  return TRUE;
}

static gboolean begin_section(HfMaker *maker, HfWord kind, HfWord name, GError **error)
{
  static const char *const kinds[] = { "fleet", "site", "host", "external", NULL };
  guint k = 0;
  while (kinds[k] != NULL && strcmp(kinds[k], kind.text) != 0)
    k++;
  if (kinds[k] == NULL) {
    g_autofree char *hint = hf_maker_hint(kind.text, kinds);
    g_autofree char *shown = hf_printable(kind.text, -1);
    return hf_maker_fail(maker, kind.place, error, "unknown section '%s'%s", shown,
                         *hint != '\0' ? hint : "; there are [fleet], [site NAME], [host NAME] and [external NAME]");
  }
  HfSection *section = section_new((HfSectionKind)(HF_SECTION_FLEET + k), kind.place);
  g_ptr_array_add(maker->sections, section);
  if (section->kind == HF_SECTION_FLEET)
    return begin_fleet(maker, section, name, error);
  if (name.text == NULL)
    return hf_maker_fail(maker, kind.place, error, "the section has no name; write [%s NAME]", kind.text);
  if (section->kind == HF_SECTION_SITE)
    return begin_site(maker, section, name, error);
  return begin_nodes(maker, section, name, error);
}

/* ----------------------------------------------------------------------------------------------------- lines -- */

/* The line that is read; `text` is a copy without comment and end. */
typedef struct Cursor {
  HfMaker *maker;
  guint line;
  char *text;
} Cursor;

static HfTopologyPlace place_of(const Cursor *cursor, const char *at)
{
  return (HfTopologyPlace){ cursor->line, (guint)g_utf8_strlen(cursor->text, at - cursor->text) + 1 };
}

/* The bytes from `begin` to `end` without blanks around them; text NULL when nothing is left. */
static HfWord word_of(const Cursor *cursor, const char *begin, const char *end)
{
  while (begin < end && g_ascii_isspace(*begin))
    begin++;
  while (end > begin && g_ascii_isspace(end[-1]))
    end--;
  g_autofree char *text = g_strndup(begin, (gsize)(end - begin));
  return (HfWord){ .text = end > begin ? hf_maker_text(cursor->maker, text) : NULL, .place = place_of(cursor, begin) };
}

/* Ends the text before a '#' that begins it or follows a blank. */
static void cut_comment(char *text)
{
  for (char *at = text; *at != '\0'; at++)
    if (*at == '#' && (at == text || g_ascii_isspace(at[-1]))) {
      *at = '\0';
      return;
    }
}

/* Two words: up to the first blank, and the rest. */
static void split_word(const Cursor *cursor, HfWord whole, const char *at, HfWord *first, HfWord *rest)
{
  gsize length = strcspn(whole.text, " \t");
  while (g_ascii_isspace(*at))
    at++;
  *first = word_of(cursor, at, at + length);
  *rest = word_of(cursor, at + length, at + strlen(whole.text));
}

static gboolean read_heading(const Cursor *cursor, char *at, GError **error)
{
  gsize length = strlen(at);
  HfWord kind, name;
  if (at[length - 1] != ']')
    return hf_maker_fail(cursor->maker, place_of(cursor, at + length), error,
                         "a ']' is missing at the end of the heading");
  HfWord inside = word_of(cursor, at + 1, at + length - 1);
  if (inside.text == NULL)
    return hf_maker_fail(cursor->maker, place_of(cursor, at), error, "the heading is empty; write [host NAME]");
  split_word(cursor, inside, at + 1, &kind, &name);
  return begin_section(cursor->maker, kind, name, error);
}

static gboolean split_items(const Cursor *cursor, const char *at, GPtrArray *items, GError **error)
{
  for (;;) {
    const char *end = at + strcspn(at, ",");
    HfWord item = word_of(cursor, at, end);
    if (item.text == NULL)
      return hf_maker_fail(cursor->maker, place_of(cursor, end), error,
                           "nothing stands before the %s of the list; take out a comma", *end == ',' ? "comma" : "end");
    if (items->len == HF_TOPOLOGY_MAX_ITEMS)
      return hf_maker_fail(cursor->maker, item.place, error,
                           "the list has more than %u items; go on in another line with the same key",
                           HF_TOPOLOGY_MAX_ITEMS);
    g_ptr_array_add(items, g_memdup2(&item, sizeof item));
    if (*end == '\0')
      return TRUE;
    at = end + 1;
  }
}

static gboolean read_key(const Cursor *cursor, char *at, GError **error)
{
  HfMaker *maker = cursor->maker;
  char *equals = strchr(at, '=');
  HfTopologyPlace place = place_of(cursor, at);
  if (equals == NULL)
    return hf_maker_fail(maker, place, error, "this is neither a [heading] nor 'key = value'%s",
                         strchr(at, ':') != NULL ? "; write '=' in the place of ':'" : "");
  HfWord left = word_of(cursor, at, equals);
  HfLine line = { .value = word_of(cursor, equals + 1, equals + 1 + strlen(equals + 1)) };
  if (left.text == NULL)
    return hf_maker_fail(maker, place, error, "there is no key before the '='");
  split_word(cursor, left, at, &line.key, &line.argument);
  if (maker->sections->len == 0)
    return hf_maker_fail(maker, place, error, "'%s' stands before the first heading; begin with [host NAME]",
                         line.key.text);
  if (line.value.text == NULL)
    return hf_maker_fail(maker, place_of(cursor, equals), error, "'%s' has no value; give one or take the line out",
                         left.text);
  if (*line.value.text == '"' || *line.value.text == '\'')
    return hf_maker_fail(maker, line.value.place, error, "values stand without quotes");
  line.items = g_ptr_array_new_with_free_func(g_free);
  HfSection *section = maker->sections->pdata[maker->sections->len - 1];
  gboolean done = split_items(cursor, equals + 1, line.items, error) && hf_maker_key(maker, section, &line, error);
  g_ptr_array_unref(line.items);
  return done;
}

/* Bytes that no editor writes into a text. */
static gboolean check_bytes(const Cursor *cursor, gsize length, GError **error)
{
  const char *bad;
  if (!g_utf8_validate(cursor->text, (gssize)length, &bad))
    return hf_maker_fail(cursor->maker, place_of(cursor, bad), error,
                         *bad == '\0' ? "a byte 0 stands here; this is no text"
                                      : "this is not UTF-8; save the file in this encoding");
  for (const char *at = cursor->text; *at != '\0'; at++)
    if (g_ascii_iscntrl(*at) && *at != '\t')
      return hf_maker_fail(cursor->maker, place_of(cursor, at), error, "a control character stands here");
  return TRUE;
}

static gboolean read_line(HfMaker *maker, guint number, const char *text, gsize length, GError **error)
{
  if (length > HF_TOPOLOGY_MAX_LINE)
    return hf_maker_fail(maker, (HfTopologyPlace){ number, 1 }, error,
                         "the line has more than %u bytes; go on in another line with the same key",
                         HF_TOPOLOGY_MAX_LINE);
  if (length > 0 && text[length - 1] == '\r')
    length--;
  g_autofree char *copy = g_strndup(text, length);
  Cursor cursor = { .maker = maker, .line = number, .text = copy };
  if (!check_bytes(&cursor, length, error))
    return FALSE;
  cut_comment(copy);
  g_strchomp(copy);
  char *at = copy;
  while (g_ascii_isspace(*at))
    at++;
  if (*at == '\0')
    return TRUE;
  return *at == '[' ? read_heading(&cursor, at, error) : read_key(&cursor, at, error);
}

static gboolean read_lines(HfMaker *maker, const char *text, gsize length, GError **error)
{
  const char *at = text, *end = text + length;
  if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
    at += 3; /* the mark that some editors put in front of UTF-8 */
  for (guint number = 1; at < end; number++) {
    const char *stop = memchr(at, '\n', (gsize)(end - at));
    if (stop == NULL)
      stop = end;
    if (!read_line(maker, number, at, (gsize)(stop - at), error))
      return FALSE;
    at = stop < end ? stop + 1 : end;
  }
  return TRUE;
}

HfTopology *hf_topology_parse(const char *text, gsize length, const char *name, GError **error)
{
  HfMaker *maker = maker_new(name);
  gboolean done = FALSE;
  if (length > HF_TOPOLOGY_MAX_BYTES)
    hf_fail(error, HF_ERROR_USAGE, "topology '%s' has more than %u MiB; describe hosts that are alike as node[1-500]",
            maker->file, HF_TOPOLOGY_MAX_BYTES >> 20);
  else
    done = read_lines(maker, text, length, error) && hf_maker_finish(maker, error);
  g_clear_pointer(&maker->sections, g_ptr_array_unref);
  if (!done) {
    hf_topology_free(&maker->topology);
    return NULL;
  }
  return &maker->topology;
}
