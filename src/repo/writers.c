/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who is enrolled: the table of writers, and the writer verbs. */
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/work.h"
#include "repo/keystate.h"
#include "repo/objects.h"

#define NAME_MAX_BYTES 255
#define TRIES 100

/* ---- The table. ---- */

struct HfWriterTable {
  guint8 admin_public[32];
  GMutex mutex;
  GHashTable *writers; /* HfShortId (in the value) to HfEnrolled */
  GHashTable *useless; /* bases that were complained about */
  GPtrArray *withdrawn; /* enrolments taken back: kept, as somebody may hold them */
};

static void enrolled_free(gpointer pointer)
{
  HfEnrolled *enrolled = pointer;
  hf_writer_clear(&enrolled->writer);
  g_free(enrolled);
}

HfWriterTable *hf_writer_table_new(const guint8 admin_public[32])
{
  HfWriterTable *table = g_new0(HfWriterTable, 1);
  memcpy(table->admin_public, admin_public, sizeof table->admin_public);
  g_mutex_init(&table->mutex);
  table->writers = g_hash_table_new_full(hf_id_hash, hf_short_id_equal_func, NULL, enrolled_free);
  table->useless = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  table->withdrawn = g_ptr_array_new_with_free_func(enrolled_free);
  return table;
}

void hf_writer_table_free(HfWriterTable *table)
{
  if (table == NULL)
    return;
  g_hash_table_unref(table->writers);
  g_hash_table_unref(table->useless);
  g_ptr_array_unref(table->withdrawn);
  g_mutex_clear(&table->mutex);
  g_free(table);
}

static gboolean read_writer(HfWriterTable *table, HfStore *store, const char *base, const HfShortId *id,
                            HfWriter *writer, GError **error)
{
  g_autoptr(GBytes) record = hf_triple_get(store, base, HF_RECORD_WRITER, NULL, error);
  if (record == NULL || !hf_writer_decode(record, table->admin_public, writer, error))
    return FALSE;
  if (hf_short_id_equal(&writer->id, id))
    return TRUE;
  hf_writer_clear(writer);
  return hf_fail(error, HF_ERROR_DAMAGED, "'%s' holds another writer", base);
}

/* The mark counts only when the admin key signed it: a store cannot remove a writer. */
static gboolean read_removed(HfWriterTable *table, HfStore *store, const char *base, const HfShortId *id, gint64 *when,
                             GError **error)
{
  HfShortId named;
  g_autoptr(GBytes) record = hf_triple_get(store, base, HF_RECORD_WRITER_REMOVED, NULL, error);
  if (record == NULL ||
      !hf_notice_decode(record, HF_RECORD_WRITER_REMOVED, table->admin_public, &named, when, error))
    return FALSE;
  return hf_short_id_equal(&named, id) || hf_fail(error, HF_ERROR_DAMAGED, "'%s' is about another writer", base);
}

static void complain(HfWriterTable *table, const char *base, GPtrArray *complaints, const GError *why)
{
  if (hf_error_is(why, HF_ERROR_NOT_FOUND) || !g_hash_table_add(table->useless, g_strdup(base)) || complaints == NULL)
    return;
  g_ptr_array_add(complaints, g_strdup_printf("'%s' cannot be used: %s", base, why->message));
}

static void load_writer(HfWriterTable *table, HfStore *store, const char *base, const HfShortId *id,
                        GPtrArray *complaints)
{
  g_autoptr(GError) why = NULL;
  HfEnrolled *enrolled = g_new0(HfEnrolled, 1);
  if (read_writer(table, store, base, id, &enrolled->writer, &why)) {
    g_hash_table_insert(table->writers, &enrolled->writer.id, enrolled);
    return;
  }
  enrolled_free(enrolled);
  complain(table, base, complaints, why);
}

static void load_removed(HfWriterTable *table, HfStore *store, const char *base, const HfShortId *id,
                         GPtrArray *complaints)
{
  g_autoptr(GError) why = NULL;
  gint64 when;
  HfEnrolled *enrolled = g_hash_table_lookup(table->writers, id);
  if (enrolled == NULL || enrolled->is_removed)
    return;
  if (!read_removed(table, store, base, id, &when, &why)) {
    complain(table, base, complaints, why);
    return;
  }
  enrolled->removed = when;
  enrolled->is_removed = TRUE;
}

gboolean hf_writer_table_load(HfWriterTable *table, HfStore *store, GPtrArray *complaints, GError **error)
{
  g_autoptr(GPtrArray) bases = hf_triple_list(store, "writers/", error);
  if (bases == NULL)
    return FALSE;
  HF_LOCK(&table->mutex);
  /* Sorted: a writer comes before its mark. */
  for (guint i = 0; i < bases->len; i++) {
    const char *base = g_ptr_array_index(bases, i);
    HfShortId id;
    if (!hf_name_short_id(base, &id))
      continue;
    if (g_str_has_suffix(base, ".removed"))
      load_removed(table, store, base, &id, complaints);
    else if (!g_hash_table_contains(table->writers, &id))
      load_writer(table, store, base, &id, complaints);
  }
  return TRUE;
}

const HfWriter *hf_writer_table_find(HfWriterTable *table, const HfShortId *writer, gboolean *removed, gint64 *when)
{
  HF_LOCK(&table->mutex);
  const HfEnrolled *found = g_hash_table_lookup(table->writers, writer);
  if (removed != NULL)
    *removed = found != NULL && found->is_removed;
  if (when != NULL && found != NULL)
    *when = found->removed;
  return found != NULL ? &found->writer : NULL;
}

static void table_withdraw(HfWriterTable *table, const HfShortId *writer)
{
  HF_LOCK(&table->mutex);
  HfEnrolled *enrolled = g_hash_table_lookup(table->writers, writer);
  g_hash_table_steal(table->writers, writer);
  g_ptr_array_add(table->withdrawn, enrolled);
}

static gint compare_enrolled(gconstpointer a, gconstpointer b)
{
  const HfEnrolled *left = *(HfEnrolled *const *)a, *right = *(HfEnrolled *const *)b;
  if (left->writer.created != right->writer.created)
    return left->writer.created < right->writer.created ? -1 : 1;
  return memcmp(&left->writer.id, &right->writer.id, sizeof left->writer.id);
}

GPtrArray *hf_writer_table_all(HfWriterTable *table)
{
  HF_LOCK(&table->mutex);
  g_autoptr(GPtrArray) all = g_ptr_array_new();
  GHashTableIter iter;
  gpointer enrolled;
  g_hash_table_iter_init(&iter, table->writers);
  while (g_hash_table_iter_next(&iter, NULL, &enrolled))
    g_ptr_array_add(all, enrolled);
  g_ptr_array_sort(all, compare_enrolled);
  return g_steal_pointer(&all);
}

/* ---- The writer verbs. ---- */

void hf_writer_info_free(HfWriterInfo *info)
{
  g_free(info->name);
  g_free(info);
}

GPtrArray *hf_writers_list(HfKeyring *keyring, GError **error)
{
  if (!hf_keyring_need_admin(keyring, "listing the writers", error))
    return NULL;
  g_autoptr(GPtrArray) all = hf_writer_table_all(keyring->writers);
  GPtrArray *infos = g_ptr_array_new_with_free_func((GDestroyNotify)hf_writer_info_free);
  HF_LOCK(&keyring->mutex);
  for (guint i = 0; i < all->len; i++) {
    const HfEnrolled *enrolled = g_ptr_array_index(all, i);
    HfWriterInfo *info = g_new0(HfWriterInfo, 1);
    info->id = enrolled->writer.id;
    info->domain = enrolled->writer.domain;
    info->name = g_strdup(enrolled->writer.name);
    info->created = enrolled->writer.created;
    info->removed = enrolled->is_removed ? MAX(enrolled->removed, 1) : 0;
    info->owner = hf_short_id_equal(&info->id, &keyring->writer);
    g_ptr_array_add(infos, info);
  }
  return infos;
}

gboolean hf_writer_enrol(HfStore *store, HfKeyring *keyring, HfWriter *writer, const HfKey *domain_key, GError **error)
{
  const HfGeneration *newest = hf_keyring_newest(keyring);
  char base[HF_NAME_BYTES];
  writer->generation = newest->number;
  if (!hf_box_seal(newest->public_half, domain_key->b, sizeof domain_key->b, writer->sealed_domain_key, error))
    return FALSE;
  g_autoptr(GBytes) record = hf_writer_encode(writer, &keyring->admin_seed);
  hf_name_writer(base, &writer->id);
  return hf_triple_put(store, base, record, error) && hf_writer_table_load(keyring->writers, store, NULL, error);
}

static gboolean name_valid(const char *name, GError **error)
{
  gboolean valid = *name != '\0' && strlen(name) <= NAME_MAX_BYTES && g_utf8_validate(name, -1, NULL);
  for (const char *at = name; valid && *at != '\0'; at = g_utf8_next_char(at))
    valid = !g_unichar_iscntrl(g_utf8_get_char(at));
  if (valid)
    return TRUE;
  g_autofree char *shown = hf_printable(name, -1);
  return hf_fail(error, HF_ERROR_USAGE, "'%s' cannot be the name of a writer; use 1 to %d bytes of printable text",
                 shown, NAME_MAX_BYTES);
}

static gboolean name_free(HfKeyring *keyring, const char *name, GError **error)
{
  g_autoptr(GPtrArray) all = hf_writer_table_all(keyring->writers);
  for (guint i = 0; i < all->len; i++) {
    const HfEnrolled *enrolled = g_ptr_array_index(all, i);
    if (!enrolled->is_removed && g_str_equal(enrolled->writer.name, name))
      return hf_fail(error, HF_ERROR_EXISTS, "a writer '%s' is enrolled already; remove that first or use another name",
                     name);
  }
  return TRUE;
}

/* A domain that no writer has; on later tries further up, so that two who collided do not collide again. */
static guint32 free_domain(HfKeyring *keyring, guint attempt)
{
  g_autoptr(GPtrArray) all = hf_writer_table_all(keyring->writers);
  guint32 greatest = 0;
  for (guint i = 0; i < all->len; i++)
    greatest = MAX(greatest, ((const HfEnrolled *)g_ptr_array_index(all, i))->writer.domain);
  return greatest + 1 + (attempt > 0 ? (guint32)g_random_int_range(0, 64) : 0);
}

static gboolean domain_is_shared(HfKeyring *keyring, const HfWriter *writer)
{
  g_autoptr(GPtrArray) all = hf_writer_table_all(keyring->writers);
  for (guint i = 0; i < all->len; i++) {
    const HfWriter *other = &((const HfEnrolled *)g_ptr_array_index(all, i))->writer;
    if (other->domain == writer->domain && !hf_short_id_equal(&other->id, &writer->id))
      return TRUE;
  }
  return FALSE;
}

static char *credential_text(HfKeyring *keyring, const HfWriter *writer, HfCredential *credential)
{
  const HfGeneration *newest = hf_keyring_newest(keyring);
  credential->family = keyring->family;
  credential->writer = writer->id;
  memcpy(credential->admin_public, keyring->admin_public, sizeof credential->admin_public);
  credential->domain = writer->domain;
  credential->generation = newest->number;
  memcpy(credential->ring_public, newest->public_half, sizeof credential->ring_public);
  credential->name = g_strdup(writer->name);
  return hf_credential_encode(credential);
}

/* Enrols under a domain that seems free. Two at once may choose the same: each looks again after its record is in the
 * store, so at least the later one sees the other and withdraws; *done is FALSE then. */
static gboolean try_enrol(HfStore *store, HfKeyring *keyring, const char *name, guint attempt, char **text,
                          gboolean *done, GError **error)
{
  g_auto(HfWriter) writer = { .created = hf_clock_real_ns(), .name = g_strdup(name) };
  g_auto(HfCredential) credential = { 0 };
  char base[HF_NAME_BYTES];
  hf_random(writer.id.b, sizeof writer.id.b);
  hf_random(credential.seed.b, sizeof credential.seed.b);
  hf_random(credential.domain_key.b, sizeof credential.domain_key.b);
  hf_random(credential.state_secret.b, sizeof credential.state_secret.b);
  hf_sign_public(&credential.seed, writer.public_key);
  hf_box_public(&credential.state_secret, writer.state_public);
  writer.domain = free_domain(keyring, attempt);
  if (!hf_writer_enrol(store, keyring, &writer, &credential.domain_key, error))
    return FALSE;
  *done = !domain_is_shared(keyring, &writer);
  if (*done) {
    *text = credential_text(keyring, &writer, &credential);
    return TRUE;
  }
  table_withdraw(keyring->writers, &writer.id);
  hf_name_writer(base, &writer.id);
  return hf_triple_remove(store, base, error);
}

char *hf_writers_add(HfStore *store, const HfConfig *config, HfKeyring *keyring, const char *name, GError **error)
{
  (void)config;
  if (!hf_keyring_need_admin(keyring, "enrolling a writer", error) || !name_valid(name, error) ||
      !hf_keyring_reload(keyring, store, error) || !name_free(keyring, name, error))
    return NULL;
  char *text = NULL;
  gboolean done = FALSE;
  for (guint i = 0; i < TRIES && !done; i++)
    if (!try_enrol(store, keyring, name, i, &text, &done, error))
      return NULL;
  if (!done)
    hf_fail(error, HF_ERROR_BUSY, "others enrol writers at the same time; try again");
  return text;
}

gboolean hf_writers_remove(HfStore *store, const HfConfig *config, HfKeyring *keyring, const HfShortId *writer,
                           gint64 earliest, GError **error)
{
  gboolean removed;
  char base[HF_NAME_BYTES];
  (void)config;
  if (!hf_keyring_need_admin(keyring, "removing a writer", error) || !hf_keyring_reload(keyring, store, error))
    return FALSE;
  const HfWriter *found = hf_writer_table_find(keyring->writers, writer, &removed, NULL);
  if (found == NULL)
    return hf_fail(error, HF_ERROR_NOT_FOUND, "there is no such writer; see 'holdfast writer list'");
  if (removed)
    return hf_fail(error, HF_ERROR_EXISTS, "writer '%s' was removed before", found->name);
  if (hf_short_id_equal(writer, &keyring->writer))
    return hf_fail(error, HF_ERROR_REFUSED, "writer '%s' is the owner of the repository and cannot be removed",
                   found->name);
  g_autoptr(GBytes) record = hf_notice_encode(HF_RECORD_WRITER_REMOVED, writer, MAX(hf_clock_real_ns(), earliest),
                                              &keyring->admin_seed);
  hf_name_writer(base, writer);
  g_autofree char *mark = g_strconcat(base, ".removed", NULL);
  return hf_triple_put(store, mark, record, error) && hf_keyring_reload(keyring, store, error);
}
