/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a user calls a point. */
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "repo/pointstate.h"

#define NAME_MAX_BYTES 255
#define ID_DIGITS 32
#define PREFIX_DIGITS 4
#define HEX_DIGITS "0123456789abcdefABCDEF"
#define SHOWN_MAX 5
#define SHORT_DIGITS 8

/* 4 to 32 hex digits and nothing else. */
static gboolean looks_like_id(const char *text)
{
  gsize length = strlen(text);
  return length >= PREFIX_DIGITS && strspn(text, HEX_DIGITS) == length;
}

gboolean hf_point_name_valid(const char *name, GError **error)
{
  gboolean valid = *name != '\0' && strlen(name) <= NAME_MAX_BYTES && g_utf8_validate(name, -1, NULL) &&
    strchr(name, '@') == NULL && !g_str_equal(name, "latest");
  for (const char *at = name; valid && *at != '\0'; at = g_utf8_next_char(at))
    valid = !g_unichar_iscntrl(g_utf8_get_char(at));
  if (valid && !looks_like_id(name))
    return TRUE;
  g_autofree char *shown = hf_printable(name, -1);
  return hf_fail(error, HF_ERROR_USAGE,
                 "'%s' cannot be the name of a backup: a name is 1 to %d bytes of printable text "
                 "without '@', not 'latest', and not only hex digits",
                 shown, NAME_MAX_BYTES);
}

/* ---- Short names. ---- */

static gint compare_ids(gconstpointer a, gconstpointer b)
{
  return memcmp(&(*(HfPointInfo *const *)a)->point.id, &(*(HfPointInfo *const *)b)->point.id, sizeof(HfShortId));
}

/* Hex digits that two ids have in common. */
static guint common_digits(const HfShortId *a, const HfShortId *b)
{
  guint i = 0;
  while (i < sizeof a->b && a->b[i] == b->b[i])
    i++;
  return 2 * i + (i < sizeof a->b && a->b[i] >> 4 == b->b[i] >> 4);
}

/* Its neighbours among the sorted ids decide. */
void hf_points_count_digits(const GPtrArray *infos)
{
  g_autoptr(GPtrArray) sorted = g_ptr_array_copy((GPtrArray *)infos, NULL, NULL);
  g_ptr_array_set_free_func(sorted, NULL);
  g_ptr_array_sort(sorted, compare_ids);
  for (guint i = 0; i < sorted->len; i++)
    ((HfPointInfo *)g_ptr_array_index(sorted, i))->digits = SHORT_DIGITS;
  for (guint i = 1; i < sorted->len; i++) {
    HfPointInfo *left = g_ptr_array_index(sorted, i - 1), *right = g_ptr_array_index(sorted, i);
    guint8 digits = (guint8)(1 + common_digits(&left->point.id, &right->point.id));
    left->digits = MAX(left->digits, digits);
    right->digits = MAX(right->digits, digits);
  }
}

void hf_point_short_name(const HfPointInfo *info, char out[33])
{
  g_autofree char *hex = hf_hex(info->point.id.b, sizeof info->point.id.b);
  gsize digits = CLAMP(info->digits, SHORT_DIGITS, 32);
  memcpy(out, hex, digits);
  out[digits] = '\0';
}

/* ---- What was found. ---- */

static gboolean counts(const HfPointInfo *info)
{
  return info->known_signer && !info->future;
}

static void describe(GString *text, const HfPointInfo *info)
{
  char id[33];
  g_autofree char *time = hf_clock_format_local(info->point.time);
  hf_point_short_name(info, id);
  g_string_append_printf(text, "%s'%s'", text->len > 0 ? ", " : "", id);
  if (info->details != NULL)
    g_string_append_printf(text, " (%s of host %s, %s)", info->details->name, info->details->host, time);
  else
    g_string_append_printf(text, " (%s)", time);
}

static HfPointInfo *fail_ambiguous(const char *spec, const GPtrArray *found, GError **error)
{
  g_autoptr(GString) text = g_string_new(NULL);
  for (guint i = 0; i < MIN(found->len, SHOWN_MAX); i++)
    describe(text, g_ptr_array_index(found, i));
  if (found->len > SHOWN_MAX)
    g_string_append_printf(text, " and %u more", found->len - SHOWN_MAX);
  hf_fail(error, HF_ERROR_USAGE, "'%s' means more than one point: %s; give more of the id", spec, text->str);
  return NULL;
}

/* Differences of single characters between two words, in bytes. */
static guint distance(const char *a, const char *b)
{
  gsize length = strlen(b);
  g_autofree guint *row = g_new(guint, length + 1);
  for (gsize j = 0; j <= length; j++)
    row[j] = (guint)j;
  for (gsize i = 0; a[i] != '\0'; i++) {
    guint corner = row[0];
    row[0] = (guint)i + 1;
    for (gsize j = 0; j < length; j++) {
      guint above = row[j + 1];
      row[j + 1] = MIN(MIN(above, row[j]) + 1, corner + (a[i] != b[j]));
      corner = above;
    }
  }
  return row[length];
}

typedef struct Near {
  const char *name;
  guint distance;
} Near;

static gint compare_near(gconstpointer a, gconstpointer b)
{
  const Near *left = a, *right = b;
  if (left->distance != right->distance)
    return left->distance < right->distance ? -1 : 1;
  return strcmp(left->name, right->name);
}

/* The names most like `name`. */
static char *nearest_names(const GPtrArray *points, const char *name)
{
  g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
  g_autoptr(GArray) near = g_array_new(FALSE, FALSE, sizeof(Near));
  GString *text = g_string_new(NULL);
  for (guint i = 0; i < points->len; i++) {
    const HfPointInfo *info = g_ptr_array_index(points, i);
    if (info->details == NULL || !counts(info) || !g_hash_table_add(seen, info->details->name))
      continue;
    Near item = { info->details->name, distance(name, info->details->name) };
    g_array_append_val(near, item);
  }
  g_array_sort(near, compare_near);
  for (guint i = 0; i < MIN(near->len, SHOWN_MAX); i++)
    g_string_append_printf(text, "%s'%s'", i > 0 ? ", " : "", g_array_index(near, Near, i).name);
  return g_string_free(text, FALSE);
}

static HfPointInfo *fail_missing(const GPtrArray *points, const char *spec, const char *name, GError **error)
{
  g_autofree char *near = nearest_names(points, name);
  if (*spec != '\0' && strlen(spec) < PREFIX_DIGITS && spec[strspn(spec, HEX_DIGITS)] == '\0')
    hf_fail(error, HF_ERROR_NOT_FOUND, "there is no point '%s'; of an id, give %d digits or more", spec, PREFIX_DIGITS);
  else if (*near == '\0')
    hf_fail(error, HF_ERROR_NOT_FOUND, "there is no point '%s'; see 'holdfast points'", spec);
  else
    hf_fail(error, HF_ERROR_NOT_FOUND, "there is no point '%s'; there are points of %s", spec, near);
  return NULL;
}

/* ---- Finding. ---- */

static void find_by_id(const GPtrArray *points, const char *prefix, GPtrArray *found)
{
  g_autofree char *lower = g_ascii_strdown(prefix, -1);
  for (guint i = 0; i < points->len; i++) {
    HfPointInfo *info = g_ptr_array_index(points, i);
    g_autofree char *hex = hf_hex(info->point.id.b, sizeof info->point.id.b);
    if (g_str_has_prefix(hex, lower))
      g_ptr_array_add(found, info);
  }
}

static gboolean contains_writer(const GPtrArray *found, const HfShortId *writer)
{
  for (guint i = 0; i < found->len; i++)
    if (hf_short_id_equal(&((const HfPointInfo *)g_ptr_array_index(found, i))->point.writer, writer))
      return TRUE;
  return FALSE;
}

/* The newest point of `name` (NULL: any) at or before `limit`, of each writer that is enrolled; of all those that
 * were removed, the newest. One host cannot put a point of its own in the place of another's: who is asked for a name
 * that two writers use must choose. */
static void find_by_name(const GPtrArray *points, const char *name, gint64 limit, GPtrArray *found)
{
  HfPointInfo *removed = NULL;
  for (guint i = points->len; i-- > 0;) {
    HfPointInfo *info = g_ptr_array_index(points, i);
    if (!counts(info) || info->point.time > limit ||
        (name != NULL && (info->details == NULL || !g_str_equal(info->details->name, name))))
      continue;
    if (info->removed_signer)
      removed = removed == NULL ? info : removed;
    else if (name == NULL ? found->len == 0 : !contains_writer(found, &info->point.writer))
      g_ptr_array_add(found, info);
  }
  if (found->len == 0 && removed != NULL)
    g_ptr_array_add(found, removed);
}

static gboolean parse_limit(const char *when, gint64 *limit, GError **error)
{
  *limit = G_MAXINT64;
  return when == NULL || g_str_equal(when, "latest") || hf_clock_parse(when, limit, error);
}

HfPointInfo *hf_points_resolve(GPtrArray *points, const char *spec, GError **error)
{
  g_autoptr(GPtrArray) found = g_ptr_array_new(), named = g_ptr_array_new();
  const char *at = strrchr(spec, '@');
  g_autofree char *name = at != NULL ? g_strndup(spec, (gsize)(at - spec)) : g_strdup(spec);
  gint64 limit;
  if (!parse_limit(at != NULL ? at + 1 : NULL, &limit, error))
    return NULL;
  if (at == NULL && looks_like_id(spec))
    find_by_id(points, spec, found);
  /* A name of hex digits only may be there all the same: an older program, or another, may have allowed it. */
  find_by_name(points, at == NULL && g_str_equal(spec, "latest") ? NULL : name, limit, named);
  for (guint i = 0; i < named->len; i++)
    if (!g_ptr_array_find(found, g_ptr_array_index(named, i), NULL))
      g_ptr_array_add(found, g_ptr_array_index(named, i));
  if (found->len == 0)
    return fail_missing(points, spec, name, error);
  return found->len == 1 ? g_ptr_array_index(found, 0) : fail_ambiguous(spec, found, error);
}
