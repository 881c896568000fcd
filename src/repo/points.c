/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading and forgetting restore points. */
#include "repo/points.h"

#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "repo/keystate.h"
#include "repo/objects.h"
#include "repo/pointstate.h"
#include "repo/sessionstate.h"

#define FOLDER "points/"
#define GONE ".gone"
#define FUTURE_NS (86400 * G_GINT64_CONSTANT(1000000000))

/* ---- What is there. ---- */

typedef struct Listing {
  GHashTable *points; /* sets of HfShortId */
  GHashTable *gone;
} Listing;

static gboolean note_name(const char *name, guint64 size, gpointer user, GError **error)
{
  Listing *listing = user;
  HfShortId id;
  (void)size;
  (void)error;
  if (hf_name_short_id(name, &id))
    g_hash_table_add(g_str_has_suffix(name, GONE) ? listing->gone : listing->points, g_memdup2(&id, sizeof id));
  return TRUE;
}

static void listing_clear(Listing *listing)
{
  g_clear_pointer(&listing->points, g_hash_table_unref);
  g_clear_pointer(&listing->gone, g_hash_table_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Listing, listing_clear)

static gboolean list_points(HfStore *store, Listing *listing, GError **error)
{
  listing->points = g_hash_table_new_full(hf_id_hash, hf_short_id_equal_func, g_free, NULL);
  listing->gone = g_hash_table_new_full(hf_id_hash, hf_short_id_equal_func, g_free, NULL);
  return hf_store_list(store, FOLDER, note_name, listing, error);
}

gboolean hf_point_is_forgotten(HfStore *store, const HfShortId *point, gboolean *forgotten, GError **error)
{
  char name[HF_NAME_BYTES];
  hf_name_tombstone(name, point);
  return hf_object_exists(store, name, forgotten, error);
}

gboolean hf_points_heal(HfRepo *repo, GError **error)
{
  g_auto(Listing) listing = { 0 };
  GHashTableIter iter;
  gpointer id;
  char base[HF_NAME_BYTES];
  if (!list_points(repo->store, &listing, error))
    return FALSE;
  g_hash_table_iter_init(&iter, listing.points);
  while (g_hash_table_iter_next(&iter, &id, NULL)) {
    gboolean forgotten = g_hash_table_contains(listing.gone, id);
    hf_name_point(base, id);
    if (!forgotten) {
      hf_triple_heal(repo->store, base, HF_RECORD_POINT, repo->report);
      /* Forgotten meanwhile: what was healed must not come back. */
      if (!hf_point_is_forgotten(repo->store, id, &forgotten, NULL))
        continue;
    }
    if (forgotten)
      hf_triple_remove(repo->store, base, NULL);
  }
  return TRUE;
}

/* ---- Reading. ---- */

/* *point is cleared when there is none: forgotten between the listing and now. */
static gboolean read_point(HfStore *store, const HfShortId *id, HfPoint *point, GBytes **record, GError **error)
{
  char base[HF_NAME_BYTES];
  hf_name_point(base, id);
  *record = hf_triple_get(store, base, HF_RECORD_POINT, NULL, error);
  if (*record == NULL)
    return FALSE;
  if (hf_point_decode(*record, point, error)) {
    if (hf_short_id_equal(&point->id, id))
      return TRUE;
    hf_point_clear(point);
    hf_fail(error, HF_ERROR_DAMAGED, "'%s' holds another point", base);
  }
  g_clear_pointer(record, g_bytes_unref);
  return FALSE;
}

static gboolean is_damage(const GError *why)
{
  return hf_error_is(why, HF_ERROR_DAMAGED) || hf_error_is(why, HF_ERROR_INVALID) || hf_error_is(why, HF_ERROR_FORMAT);
}

static void note_damaged(const HfShortId *id, const GError *why, HfReport *report, guint *damaged)
{
  g_autofree char *hex = hf_hex(id->b, sizeof id->b);
  hf_report_warning(report, hex, "point %s cannot be read: %s", hex, why->message);
  if (damaged != NULL)
    ++*damaged;
}

/* Points that are committed and not yet published. Those that came through are added to `seen`. */
static gboolean each_committed(const GPtrArray *committed, GHashTable *gone, GHashTable *seen, HfPointFunc func,
                               gpointer user, GError **error)
{
  for (guint i = 0; i < committed->len; i++) {
    GBytes *record = g_ptr_array_index(committed, i);
    g_auto(HfPoint) point = { 0 };
    if (!hf_point_decode(record, &point, NULL) || g_hash_table_contains(gone, &point.id))
      continue;
    HfShortId id = point.id;
    if (g_hash_table_add(seen, g_memdup2(&id, sizeof id)) && !func(&point, record, user, error))
      return FALSE;
  }
  return TRUE;
}

gboolean hf_points_each(HfRepo *repo, HfReport *report, guint *damaged, HfPointFunc func, gpointer user, GError **error)
{
  g_auto(Listing) listing = { 0 };
  g_autoptr(GHashTable) seen = g_hash_table_new_full(hf_id_hash, hf_short_id_equal_func, g_free, NULL);
  GHashTableIter iter;
  gpointer id;
  /* Outcomes before points: what is published in between is seen twice, not missed. */
  g_autoptr(GPtrArray) committed = hf_sessions_committed(repo, report, error);
  if (committed == NULL || !list_points(repo->store, &listing, error) ||
      !each_committed(committed, listing.gone, seen, func, user, error))
    return FALSE;
  g_hash_table_iter_init(&iter, listing.points);
  while (g_hash_table_iter_next(&iter, &id, NULL)) {
    g_auto(HfPoint) point = { 0 };
    g_autoptr(GBytes) record = NULL;
    g_autoptr(GError) why = NULL;
    if (g_hash_table_contains(listing.gone, id) || g_hash_table_contains(seen, id))
      continue;
    if (read_point(repo->store, id, &point, &record, &why)) {
      if (!func(&point, record, user, error))
        return FALSE;
    } else if (is_damage(why)) {
      note_damaged(id, why, report, damaged);
    } else if (!hf_error_is(why, HF_ERROR_NOT_FOUND)) {
      g_propagate_error(error, g_steal_pointer(&why));
      return FALSE;
    }
  }
  return TRUE;
}

static gboolean is_future(const HfPoint *point)
{
  return point->time > hf_clock_real_ns() + FUTURE_NS;
}

static gboolean note_sequence(HfPoint *point, GBytes *record, gpointer user, GError **error)
{
  guint64 *greatest = user;
  (void)record;
  (void)error;
  if (!is_future(point))
    *greatest = MAX(*greatest, point->sequence);
  return TRUE;
}

gboolean hf_points_next_sequence(HfRepo *repo, guint64 *sequence, GError **error)
{
  guint64 greatest = 0;
  if (!hf_points_each(repo, NULL, NULL, note_sequence, &greatest, error))
    return FALSE;
  /* A liar may have used the last number: then time decides. */
  *sequence = greatest < G_MAXUINT64 ? greatest + 1 : greatest;
  return TRUE;
}

typedef struct Last {
  const HfShortId *writer;
  gint64 time;
} Last;

static gboolean note_last(HfPoint *point, GBytes *record, gpointer user, GError **error)
{
  Last *last = user;
  (void)record;
  (void)error;
  if (hf_short_id_equal(&point->writer, last->writer) && !is_future(point))
    last->time = MAX(last->time, point->time);
  return TRUE;
}

gboolean hf_points_last_time(HfRepo *repo, const HfShortId *writer, gint64 *time, GError **error)
{
  Last last = { .writer = writer };
  gboolean read = hf_points_each(repo, NULL, NULL, note_last, &last, error);
  *time = last.time;
  return read;
}

/* ---- Loading. ---- */

gboolean hf_point_is_locked(const HfRepo *repo, const HfPoint *point)
{
  return point->lock > repo->running_seconds;
}

void hf_point_info_free(HfPointInfo *info)
{
  hf_point_clear(&info->point);
  hf_point_details_free(info->details);
  g_free(info);
}

typedef struct Loading {
  HfRepo *repo;
  HfWriterTable *writers;
  GPtrArray *infos;
} Loading;

static void warn_point(HfRepo *repo, const HfPointInfo *info, const char *message)
{
  g_autofree char *hex = hf_hex(info->point.id.b, sizeof info->point.id.b);
  hf_report_warning(repo->report, hex, "point %s: %s", hex, message);
}

/* format.md 9.2 */
static void judge_signer(Loading *loading, HfPointInfo *info)
{
  gboolean removed;
  gint64 when = 0;
  const HfPoint *point = &info->point;
  const HfWriter *writer = hf_writer_table_find(loading->writers, &point->writer, &removed, &when);
  if (writer == NULL)
    return;
  if (writer->domain != point->domain || !hf_point_verify(point, writer->public_key)) {
    warn_point(loading->repo, info, "it is not signed by the writer that it names");
    return;
  }
  info->known_signer = !removed || point->time <= when;
  info->removed_signer = removed;
}

/* That the slot is of the point's session and writer, and the sealed part longer than its tag, hf_point_decode has
 * seen. */
static gboolean open_details(HfKeyring *keys, HfPointInfo *info, GError **error)
{
  const HfPoint *point = &info->point;
  const HfKey *data_key, *meta_key;
  if (!hf_keyring_open_slot(keys, &point->slot, &data_key, &meta_key, error))
    return FALSE;
  gsize length;
  const void *sealed = g_bytes_get_data(point->sealed, &length);
  g_autoptr(GByteArray) clear = g_byte_array_new();
  g_autoptr(HfAead) aead = hf_aead_new(meta_key);
  g_autofree guint8 *plain = g_malloc(length);
  hf_point_clear_part(point, TRUE, clear);
  if (!hf_aead_open(aead, point->nonce, clear->data, clear->len, sealed, length, plain, error))
    return FALSE;
  info->details = hf_point_details_decode(plain, length - HF_TAG_BYTES, error);
  return info->details != NULL;
}

static gboolean load_point(HfPoint *point, GBytes *record, gpointer user, GError **error)
{
  Loading *loading = user;
  HfPointInfo *info = g_new0(HfPointInfo, 1);
  g_autoptr(GError) why = NULL;
  (void)record;
  (void)error;
  info->point = *point;
  memset(point, 0, sizeof *point);
  info->future = is_future(&info->point);
  info->locked = hf_point_is_locked(loading->repo, &info->point);
  judge_signer(loading, info);
  if (info->future)
    warn_point(loading->repo, info, "its time lies more than a day in the future; it counts for nothing until then");
  if (loading->repo->keys != NULL && !open_details(loading->repo->keys, info, &why) &&
      !hf_error_is(why, HF_ERROR_PERMISSION) && info->known_signer)
    warn_point(loading->repo, info, why->message);
  g_ptr_array_add(loading->infos, info);
  return TRUE;
}

gint hf_point_info_compare(gconstpointer a, gconstpointer b)
{
  const HfPoint *left = &(*(HfPointInfo *const *)a)->point, *right = &(*(HfPointInfo *const *)b)->point;
  if (left->sequence != right->sequence)
    return left->sequence < right->sequence ? -1 : 1;
  if (left->time != right->time)
    return left->time < right->time ? -1 : 1;
  return memcmp(&left->id, &right->id, sizeof left->id);
}

/* Without keys the records of the writers are checked by the key in the config: against accidents, not against
 * liars. */
static HfWriterTable *load_writers(HfRepo *repo, GError **error)
{
  g_autoptr(HfWriterTable) table = hf_writer_table_new(repo->config.admin_public);
  return hf_writer_table_load(table, repo->store, NULL, error) ? g_steal_pointer(&table) : NULL;
}

GPtrArray *hf_points_load(HfRepo *repo, guint *damaged, GError **error)
{
  g_autoptr(HfWriterTable) own_table = NULL;
  g_autoptr(GPtrArray) infos = g_ptr_array_new_with_free_func((GDestroyNotify)hf_point_info_free);
  Loading loading = { .repo = repo, .infos = infos };
  if (damaged != NULL)
    *damaged = 0;
  if (repo->keys != NULL) {
    /* Writers may have been enrolled since we opened. */
    if (!hf_keyring_reload(repo->keys, repo->store, error))
      return NULL;
    hf_keyring_report(repo->keys, repo->report);
    loading.writers = repo->keys->writers;
  } else {
    own_table = load_writers(repo, error);
    if (own_table == NULL)
      return NULL;
    loading.writers = own_table;
  }
  if (!hf_points_each(repo, repo->report, damaged, load_point, &loading, error))
    return NULL;
  g_ptr_array_sort(infos, hf_point_info_compare);
  hf_points_count_digits(infos);
  return g_steal_pointer(&infos);
}

/* ---- Forgetting. ---- */

gboolean hf_points_forget(HfRepo *repo, const HfPointInfo *info, GError **error)
{
  char name[HF_NAME_BYTES], base[HF_NAME_BYTES], shown[33];
  g_autoptr(GError) why = NULL;
  hf_point_short_name(info, shown);
  if (repo->read_only)
    return hf_fail(error, HF_ERROR_PERMISSION, "cannot forget point '%s': repository '%s' is open for reading only",
                   shown, repo->store->location);
  if (hf_point_is_locked(repo, &info->point))
    return hf_fail(error, HF_ERROR_REFUSED, "point '%s' is locked; it can be forgotten when its lock has ended", shown);
  g_autoptr(GBytes) record = hf_notice_encode(HF_RECORD_TOMBSTONE, &info->point.id, hf_clock_real_ns(), NULL);
  hf_name_tombstone(name, &info->point.id);
  if (!hf_repo_put_urgent(repo, name, record, &why) && !hf_error_is(why, HF_ERROR_EXISTS)) {
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
  }
  g_clear_error(&why);
  /* From here on it is gone; what stays of its copies goes when the repository is opened next. */
  hf_name_point(base, &info->point.id);
  if (!hf_triple_remove(repo->store, base, &why))
    hf_report_warning(repo->report, base, "the point is forgotten, but not all of its copies are removed yet: %s",
                      why->message);
  return TRUE;
}
