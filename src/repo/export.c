/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The key objects as one text, and back (format.md 3.8). */
#include <string.h>

#include "base/error.h"
#include "repo/keystate.h"
#include "repo/objects.h"

#define FIRST_LINE "holdfast keys 1"
#define LINE_CHARACTERS 64u
#define TEXT_LIMIT (256u << 20)
#define DIGEST_BYTES 32u

/* ---- Which objects. ---- */

static const char *const folders[] = { "ring/", "writers/", "keys/" };

/* The kind of record that belongs at `base`; 0 when no key object is called so. */
static HfRecordKind kind_of_base(const char *base)
{
  static const struct {
    const char *prefix, *suffix;
    gsize digits;
    HfRecordKind kind;
  } rows[] = {
    { "config", "", 0, HF_RECORD_CONFIG },
    { "ring/", "", 8, HF_RECORD_RING },
    { "keys/", "", 32, HF_RECORD_SLOT },
    { "keys/", ".hidden", 32, HF_RECORD_SLOT_HIDDEN },
    { "writers/", "", 32, HF_RECORD_WRITER },
    { "writers/", ".removed", 32, HF_RECORD_WRITER_REMOVED },
  };
  for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
    gsize prefix = strlen(rows[i].prefix);
    if (!g_str_has_prefix(base, rows[i].prefix) || strspn(base + prefix, "0123456789abcdef") != rows[i].digits)
      continue;
    if (g_str_equal(base + prefix + rows[i].digits, rows[i].suffix))
      return rows[i].kind;
  }
  return (HfRecordKind)0;
}

/* Bases of all key objects in the store; the config last: it makes a repository of what is there. */
static GPtrArray *list_bases(HfStore *store, gboolean with_config, GError **error)
{
  g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func(g_free);
  for (gsize i = 0; i < G_N_ELEMENTS(folders); i++) {
    g_autoptr(GPtrArray) bases = hf_triple_list(store, folders[i], error);
    if (bases == NULL)
      return NULL;
    for (guint j = 0; j < bases->len; j++)
      if (kind_of_base(g_ptr_array_index(bases, j)) != 0)
        g_ptr_array_add(all, g_strdup(g_ptr_array_index(bases, j)));
  }
  if (with_config)
    g_ptr_array_add(all, g_strdup("config"));
  return g_steal_pointer(&all);
}

/* How many copies of an object are among the names of a store. */
static guint count_copies(GHashTable *names, const char *base)
{
  guint count = 0;
  for (guint i = 0; i < HF_COPIES; i++) {
    char name[HF_NAME_BYTES];
    hf_name_copy(name, base, i);
    count += g_hash_table_contains(names, name) ? 1 : 0;
  }
  return count;
}

/* Says that something holds no longer, and since when: two siblings may have been told so at different times. */
static gboolean is_notice(HfRecordKind kind)
{
  return kind == HF_RECORD_SLOT_HIDDEN || kind == HF_RECORD_WRITER_REMOVED;
}

static GHashTable *list_names(HfStore *store, GError **error)
{
  g_autoptr(GHashTable) all = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS(folders); i++) {
    g_autoptr(GPtrArray) names = hf_store_list_names(store, folders[i], error);
    if (names == NULL)
      return NULL;
    for (guint j = 0; j < names->len; j++)
      g_hash_table_add(all, g_strdup(g_ptr_array_index(names, j)));
  }
  return g_steal_pointer(&all);
}

/* What is there is not read: a store may be far away, and whoever keeps it heals what is damaged. */
gboolean hf_keyring_clone(HfStore *from, HfStore *store, GError **error)
{
  g_autoptr(GPtrArray) bases = list_bases(from, FALSE, error);
  g_autoptr(GHashTable) there = bases == NULL ? NULL : list_names(store, error);
  for (guint i = 0; there != NULL && i < bases->len; i++) {
    const char *base = g_ptr_array_index(bases, i);
    HfRecordKind kind = kind_of_base(base);
    guint copies = count_copies(there, base);
    if (copies == HF_COPIES || (copies > 0 && is_notice(kind)))
      continue;
    g_autoptr(GBytes) record = hf_triple_get(from, base, kind, NULL, error);
    if (record == NULL || !hf_triple_put(store, base, record, error))
      return FALSE;
  }
  return there != NULL;
}

void hf_keyring_heal(HfStore *store, HfReport *report)
{
  g_autoptr(GPtrArray) bases = list_bases(store, TRUE, NULL);
  for (guint i = 0; bases != NULL && i < bases->len; i++) {
    const char *base = g_ptr_array_index(bases, i);
    hf_triple_heal(store, base, kind_of_base(base), report);
  }
}

/* ---- Export. ---- */

/* Objects that cannot be read are left out: an export of the rest is worth more than none. Without config, it is
 * refused. */
static GByteArray *gather(HfStore *store, GError **error)
{
  g_autoptr(GPtrArray) bases = list_bases(store, TRUE, error);
  if (bases == NULL)
    return NULL;
  g_autoptr(GByteArray) entries = g_byte_array_new();
  guint count = 0;
  for (guint i = 0; i < bases->len; i++) {
    const char *base = g_ptr_array_index(bases, i);
    g_autoptr(GError) why = NULL;
    g_autoptr(GBytes) record = hf_triple_get(store, base, kind_of_base(base), NULL, &why);
    if (record == NULL && (g_str_equal(base, "config") || !hf_error_is(why, HF_ERROR_DAMAGED))) {
      g_propagate_error(error, g_steal_pointer(&why));
      return NULL;
    }
    if (record == NULL)
      continue;
    hf_put_text(entries, base);
    hf_put_bytes(entries, g_bytes_get_data(record, NULL), g_bytes_get_size(record));
    count++;
  }
  GByteArray *body = g_byte_array_new();
  hf_put_varint(body, count);
  hf_put_raw(body, entries->data, entries->len);
  return body;
}

char *hf_keys_export(HfStore *store, GError **error)
{
  g_autoptr(GByteArray) body = gather(store, error);
  guint8 digest[DIGEST_BYTES];
  if (body == NULL)
    return NULL;
  hf_sha256(body->data, body->len, digest);
  hf_put_raw(body, digest, sizeof digest);
  g_autofree char *encoded = g_base64_encode(body->data, body->len);
  GString *text = g_string_new(FIRST_LINE "\n");
  for (gsize at = 0, length = strlen(encoded); at < length; at += LINE_CHARACTERS) {
    g_string_append_len(text, encoded + at, (gssize)MIN(LINE_CHARACTERS, length - at));
    g_string_append_c(text, '\n');
  }
  return g_string_free(text, FALSE);
}

/* ---- Import. ---- */

typedef struct Entry {
  char *base;
  GBytes *record;
} Entry;

static void entry_clear(gpointer pointer)
{
  Entry *entry = pointer;
  g_free(entry->base);
  g_bytes_unref(entry->record);
}

static gboolean fail_text(GError **error)
{
  return hf_fail(error, HF_ERROR_INVALID, "this is not a whole export of keys");
}

/* The bytes behind the first line, without their digest, which was checked. */
static guint8 *decode_text(const char *text, gsize length, gsize *count, GError **error)
{
  if (length > TEXT_LIMIT || length < strlen(FIRST_LINE) || memcmp(text, FIRST_LINE, strlen(FIRST_LINE)) != 0) {
    fail_text(error);
    return NULL;
  }
  g_autofree char *encoded = g_strndup(text + strlen(FIRST_LINE), length - strlen(FIRST_LINE));
  guint8 digest[DIGEST_BYTES];
  g_autofree guint8 *bytes = g_base64_decode(encoded, count);
  if (*count > DIGEST_BYTES) {
    *count -= DIGEST_BYTES;
    hf_sha256(bytes, *count, digest);
    if (memcmp(digest, bytes + *count, DIGEST_BYTES) == 0)
      return g_steal_pointer(&bytes);
  }
  fail_text(error);
  return NULL;
}

static gboolean read_entry(HfReader *reader, GArray *entries, GError **error)
{
  g_autofree char *base = hf_get_text(reader, HF_TEXT_MAX);
  HfView bytes = hf_get_bytes(reader, HF_RECORD_BYTES_LIMIT), body;
  HfRecordKind kind = base != NULL ? kind_of_base(base) : (HfRecordKind)0;
  if (kind == 0)
    return fail_text(error);
  if (!hf_record_open(bytes.data, bytes.length, kind, base, &body, error))
    return FALSE;
  Entry entry = { g_steal_pointer(&base), g_bytes_new(bytes.data, bytes.length) };
  g_array_append_val(entries, entry);
  return TRUE;
}

static GArray *read_entries(const char *text, gsize length, GError **error)
{
  gsize count;
  g_autofree guint8 *bytes = decode_text(text, length, &count, error);
  if (bytes == NULL)
    return NULL;
  HfReader reader = hf_reader(bytes, count);
  g_autoptr(GArray) entries = g_array_new(FALSE, FALSE, sizeof(Entry));
  g_array_set_clear_func(entries, entry_clear);
  for (guint left = hf_get_count(&reader, HF_RECORD_ENVELOPE_BYTES); left > 0; left--)
    if (!read_entry(&reader, entries, error))
      return NULL;
  return hf_reader_done(&reader, "the export of keys", error) ? g_steal_pointer(&entries) : NULL;
}

/* The config of the export; it is signed by the key that signed all the rest. */
static gboolean find_config(const GArray *entries, HfConfig *config, GError **error)
{
  for (guint i = 0; i < entries->len; i++) {
    const Entry *entry = &g_array_index(entries, Entry, i);
    if (g_str_equal(entry->base, "config"))
      return hf_config_decode(entry->record, config, error);
  }
  return fail_text(error);
}

/* Keys go back to their own repository, or a sibling, whose config is another: that stays. An unreadable config is put
 * back. */
static gboolean check_target(HfStore *store, const HfConfig *config, gboolean *has_config, GError **error)
{
  g_autoptr(GError) why = NULL;
  g_autoptr(GBytes) record = hf_triple_get(store, "config", HF_RECORD_CONFIG, NULL, &why);
  HfConfig there;
  *has_config = record != NULL;
  if (record == NULL) {
    if (hf_error_is(why, HF_ERROR_NOT_FOUND) || hf_error_is(why, HF_ERROR_DAMAGED))
      return TRUE;
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
  }
  if (!hf_config_decode(record, &there, error))
    return FALSE;
  if (hf_short_id_equal(&there.family, &config->family) &&
      memcmp(there.admin_public, config->admin_public, sizeof there.admin_public) == 0)
    return TRUE;
  return hf_fail(error, HF_ERROR_REFUSED, "these keys belong to another repository than '%s'", store->location);
}

/* Where a whole record is, that stays. */
static gboolean restore_entry(HfStore *store, const Entry *entry, guint *restored, GError **error)
{
  HfRecordKind kind = kind_of_base(entry->base);
  g_autoptr(GError) why = NULL;
  g_autoptr(GBytes) there = hf_triple_get(store, entry->base, kind, NULL, &why);
  if (there != NULL)
    return TRUE;
  gboolean gone = hf_error_is(why, HF_ERROR_NOT_FOUND);
  if (!gone && !hf_error_is(why, HF_ERROR_DAMAGED)) {
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
  }
  if ((!gone && !hf_triple_remove(store, entry->base, error)) ||
      !hf_triple_put(store, entry->base, entry->record, error))
    return FALSE;
  ++*restored;
  return TRUE;
}

gboolean hf_keys_import(HfStore *store, const char *text, gsize length, guint *restored, GError **error)
{
  HfConfig config;
  gboolean has_config;
  *restored = 0;
  g_autoptr(GArray) entries = read_entries(text, length, error);
  if (entries == NULL || !find_config(entries, &config, error) || !check_target(store, &config, &has_config, error))
    return FALSE;
  for (guint i = 0; i < entries->len; i++) {
    const Entry *entry = &g_array_index(entries, Entry, i);
    if (has_config && g_str_equal(entry->base, "config"))
      continue;
    if (!restore_entry(store, entry, restored, error))
      return FALSE;
  }
  return TRUE;
}
