/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Loading the index. */
#include <string.h>

#include "base/error.h"
#include "repo/indexstate.h"
#include "repo/objects.h"

#define LOADS_MAX 8u /* others may merge runs away as often while we load them */

void hf_index_run_free(HfIndexRun *run)
{
  if (!run)
    return;
  hf_run_unref(run->run);
  g_free(run->packs);
  g_free(run);
}

/* The kind of a metadata pack that is not there itself, but its mirror. */
#define HALF (HF_PACK_META + 1)

/* What was found, and is not shown to anybody before all of it is known (I7). */
typedef struct Found {
  GPtrArray *runs;       /* of HfIndexRun*, their packs not mapped yet */
  GHashTable *condemned; /* set of HfShortId*, owned */
  GHashTable *kinds;     /* of packs: HfShortId* (owned) to HfPackKind, or HALF */
  gboolean gone;         /* something that was listed has gone meanwhile: another process has merged, or swept */
  char *unread;          /* owned: what could not be read of marks, thin frames and damage, and why; NULL: nothing */
} Found;

static void found_clear(Found *found)
{
  g_clear_pointer(&found->runs, g_ptr_array_unref);
  g_clear_pointer(&found->condemned, g_hash_table_unref);
  g_clear_pointer(&found->kinds, g_hash_table_unref);
  g_clear_pointer(&found->unread, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Found, found_clear)

/* ---- What is in the store. ---- */

typedef struct Listing {
  GHashTable *kinds; /* as in Found */
  guint kind;
} Listing;

static gboolean list_pack(const char *name, guint64 size, gpointer user, GError **error)
{
  Listing *listing = user;
  HfShortId id;
  (void)size;
  (void)error;
  if (hf_name_short_id(name, &id) && !g_hash_table_contains(listing->kinds, &id))
    g_hash_table_insert(listing->kinds, g_memdup2(&id, sizeof id), GUINT_TO_POINTER(listing->kind));
  return TRUE;
}

static GHashTable *list_packs(HfStore *store, GError **error)
{
  static const struct {
    const char *prefix;
    guint kind;
  } folders[] = { { "data/", HF_PACK_DATA }, { "meta/", HF_PACK_META }, { "mirror/", HALF } };
  g_autoptr(GHashTable) kinds = g_hash_table_new_full(hf_id_hash, hf_short_id_equal_func, g_free, NULL);
  for (guint i = 0; i < G_N_ELEMENTS(folders); i++) {
    Listing listing = { .kinds = kinds, .kind = folders[i].kind };
    if (!hf_store_list(store, folders[i].prefix, list_pack, &listing, error))
      return NULL;
  }
  return g_steal_pointer(&kinds);
}

/* ---- Marks, thin frames, damage. ---- */

typedef gboolean (*RecordFunc)(GBytes *record, gpointer user, GError **error);

/* A record that is damaged nobody can go by, so it is passed over. One that cannot be read just now may be readable for
 * a collector in a moment. */
static void pass_over(HfIndex *index, Found *found, const char *name, GBytes *record, const GError *why)
{
  if (hf_error_is(why, HF_ERROR_NOT_FOUND)) {
    found->gone = TRUE;
    return;
  }
  hf_report_warning(index->report, name, "%s; it is passed over", why->message);
  if (!record && !found->unread)
    found->unread = g_strdup_printf("'%s' cannot be read: %s", name, why->message);
}

/* Reads every record in `folder` whose name starts with `prefix`. */
static gboolean each_record(HfIndex *index, Found *found, const char *folder, const char *prefix, RecordFunc func,
                            gpointer user, GError **error)
{
  g_autoptr(GPtrArray) names = hf_store_list_names(index->store, folder, error);
  if (!names)
    return FALSE;
  for (guint i = 0; i < names->len; i++) {
    if (!g_str_has_prefix(names->pdata[i], prefix))
      continue;
    g_autoptr(GError) problem = NULL;
    g_autoptr(GBytes) record = hf_store_get_all(index->store, names->pdata[i], HF_RECORD_BYTES_LIMIT, &problem);
    if (!record || !func(record, user, &problem))
      pass_over(index, found, names->pdata[i], record, problem);
  }
  return TRUE;
}

static gboolean take_mark(GBytes *record, gpointer user, GError **error)
{
  GHashTable *condemned = user;
  HfMark mark;
  if (!hf_mark_decode(record, &mark, error))
    return FALSE;
  for (guint i = 0; i < mark.packs->len; i++)
    g_hash_table_add(condemned, g_memdup2(&g_array_index(mark.packs, HfShortId, i), sizeof(HfShortId)));
  hf_mark_clear(&mark);
  return TRUE;
}

static gboolean take_thin(GBytes *record, gpointer user, GError **error)
{
  HfIndex *index = user;
  g_autoptr(GArray) places = g_array_new(FALSE, FALSE, sizeof(HfPlace));
  if (!hf_places_decode(record, HF_RECORD_THIN, places, error))
    return FALSE;
  g_rw_lock_writer_lock(&index->lock);
  for (guint i = 0; i < places->len; i++)
    g_hash_table_add(index->thin, g_memdup2(&g_array_index(places, HfPlace, i), sizeof(HfPlace)));
  g_rw_lock_writer_unlock(&index->lock);
  if (places->len)
    g_atomic_int_set(&index->any_absent, 1);
  return TRUE;
}

static gboolean take_damage(GBytes *record, gpointer user, GError **error)
{
  HfIndex *index = user;
  g_autoptr(GArray) places = g_array_new(FALSE, FALSE, sizeof(HfPlace));
  if (!hf_places_decode(record, HF_RECORD_DAMAGE, places, error))
    return FALSE;
  for (guint i = 0; i < places->len; i++)
    hf_index_note_damage(index, &g_array_index(places, HfPlace, i));
  return TRUE;
}

/* ---- Runs. ---- */

HfIndexRun *hf_index_run_open(HfIndex *index, const char *name, GError **error)
{
  g_autoptr(HfRun) run = hf_run_open(index->store, name, error);
  if (!run)
    return NULL;
  HfIndexRun *opened = g_new0(HfIndexRun, 1);
  opened->packs = g_new(guint32, MAX(run->foot.packs, 1));
  opened->run = g_steal_pointer(&run);
  return opened;
}

static gboolean is_superseded(GPtrArray *runs, const HfIndexRun *run)
{
  for (guint i = 0; i < runs->len; i++) {
    const HfIndexFoot *foot = &((HfIndexRun *)runs->pdata[i])->run->foot;
    for (guint k = 0; k < foot->supersedes; k++)
      if (hf_short_id_equal(&foot->superseded[k], &run->run->foot.run))
        return TRUE;
  }
  return FALSE;
}

void hf_index_distrust(HfIndex *index, const char *run, const char *message)
{
  if (g_hash_table_add(index->distrusted, g_strdup(run)))
    hf_report_warning(index->report, run, "%s; the directories of its packs are read instead", message);
}

static GPtrArray *open_runs(HfIndex *index, Found *found, GError **error)
{
  g_autoptr(GPtrArray) names = hf_store_list_names(index->store, "index/", error);
  if (!names)
    return NULL;
  g_autoptr(GPtrArray) runs = g_ptr_array_new_with_free_func((GDestroyNotify)hf_index_run_free);
  g_autoptr(GPtrArray) superseded = g_ptr_array_new(); /* chosen first, freed after: runs name each other */
  for (guint i = 0; i < names->len; i++) {
    g_autoptr(GError) problem = NULL;
    if (g_hash_table_contains(index->distrusted, names->pdata[i]))
      continue;
    HfIndexRun *run = hf_index_run_open(index, names->pdata[i], &problem);
    if (run)
      g_ptr_array_add(runs, run);
    else if (hf_error_is(problem, HF_ERROR_NOT_FOUND))
      found->gone = TRUE; /* merged into one that was not listed */
    else
      hf_report_warning(index->report, names->pdata[i], "%s; the directories of its packs are read instead",
                        problem->message);
  }
  for (guint i = runs->len; i-- > 0;)
    if (is_superseded(runs, runs->pdata[i]))
      g_ptr_array_add(superseded, runs->pdata[i]);
  for (guint i = 0; i < superseded->len; i++)
    g_ptr_array_remove(runs, superseded->pdata[i]);
  return g_steal_pointer(&runs);
}

/* ---- Packs that no run names. ---- */

static void read_directory(HfIndex *index, guint32 number)
{
  g_auto(HfPackInfo) info;
  g_autoptr(GError) problem = NULL;
  hf_pack_info_init(&info);
  g_rw_lock_reader_lock(&index->lock);
  HfIndexPack pack = g_array_index(index->packs, HfPackState, number).pack;
  g_rw_lock_reader_unlock(&index->lock);
  gboolean good = hf_pack_read_info(index->store, pack.kind, &pack.id, &info, &problem);
  g_rw_lock_writer_lock(&index->lock);
  if (good)
    hf_index_table_pack(index, &info, FALSE);
  else
    g_array_index(index->packs, HfPackState, number).damaged = TRUE;
  g_rw_lock_writer_unlock(&index->lock);
  if (!good && !hf_error_is(problem, HF_ERROR_NOT_FOUND)) {
    g_atomic_int_set(&index->any_absent, 1);
    g_autofree char *name = hf_hex(pack.id.b, sizeof pack.id.b);
    hf_report_warning(index->report, name, "the directory of this pack cannot be read: %s; run 'holdfast repair'",
                      problem->message);
  }
}

/* Into the table. A lost index of a large repository: runs are written meanwhile, to keep memory bounded; a store that
 * cannot be written must do without. */
static void read_directories(HfIndex *index, const GArray *numbers, gboolean *gone)
{
  for (guint i = 0; i < numbers->len; i++) {
    read_directory(index, g_array_index(numbers, guint32, i));
    g_rw_lock_reader_lock(&index->lock);
    gboolean full = index->table.durable >= 4 * HF_INDEX_TABLE_MAX;
    g_rw_lock_reader_unlock(&index->lock);
    if (full)
      (void)hf_index_write_table(index, gone, NULL);
  }
}

/* ---- The whole. ---- */

/* Runs first, so that none names a pack that was not listed yet. Then marks before packs: a sweep removes the packs
 * first and the mark last, so a mark that is gone has no packs in the later listing. The other way round a pack that
 * was listed, and swept with its mark right after, would seem good. */
static gboolean look(HfIndex *index, Found *found, GError **error)
{
  found->condemned = g_hash_table_new_full(hf_id_hash, hf_short_id_equal_func, g_free, NULL);
  found->runs = open_runs(index, found, error);
  return found->runs && each_record(index, found, "gc/", "gc/mark.", take_mark, found->condemned, error) &&
         (found->kinds = list_packs(index->store, error)) != NULL;
}

/* Maps the run's packs to numbers of the index, and notes them in `covered`. `lock` is held for writing. */
static void map_packs(HfIndex *index, const Found *found, HfIndexRun *run, guint8 *covered)
{
  for (guint32 i = 0; i < run->run->foot.packs; i++) {
    const HfIndexPack *pack = &g_array_index(run->run->packs, HfIndexPack, i);
    run->packs[i] = HF_TABLE_NO_PACK;
    if (!g_hash_table_contains(found->kinds, &pack->id))
      continue;
    run->packs[i] = hf_index_pack_number(index, &pack->id, pack->kind);
    g_array_index(index->packs, HfPackState, run->packs[i]).pack = *pack;
    covered[run->packs[i]] = 1;
  }
}

/* Gives numbers to all packs. Returns the numbers of those that neither a run nor the table names. */
static GArray *take_numbers(HfIndex *index, const Found *found)
{
  GArray *uncovered = g_array_new(FALSE, FALSE, sizeof(guint32));
  GHashTableIter iter;
  gpointer id, kind;
  g_rw_lock_writer_lock(&index->lock);
  g_hash_table_iter_init(&iter, found->kinds);
  while (g_hash_table_iter_next(&iter, &id, &kind)) {
    gboolean half = GPOINTER_TO_UINT(kind) == HALF;
    guint32 number = hf_index_pack_number(index, id, half ? HF_PACK_META : GPOINTER_TO_UINT(kind));
    HfPackState *state = &g_array_index(index->packs, HfPackState, number);
    /* Before it can be seen: no thread may take a condemned pack for a good one. */
    state->condemned = state->condemned || g_hash_table_contains(found->condemned, id);
    state->half = state->half || (half && !state->in_store);
    if (state->condemned || half)
      g_atomic_int_set(&index->any_absent, 1);
  }
  g_autofree guint8 *covered = g_malloc0(MAX(index->packs->len, 1));
  for (gsize i = 0; i < index->table.capacity; i++) {
    const HfIndexTableEntry *entry = &index->table.entries[i];
    if (entry->used && entry->pack != HF_TABLE_NO_PACK)
      covered[entry->pack] = 1;
  }
  for (guint i = 0; i < found->runs->len; i++)
    map_packs(index, found, found->runs->pdata[i], covered);
  for (guint32 i = 0; i < index->packs->len; i++)
    if (!covered[i] && g_hash_table_contains(found->kinds, &g_array_index(index->packs, HfPackState, i).pack.id))
      g_array_append_val(uncovered, i);
  g_rw_lock_writer_unlock(&index->lock);
  return uncovered;
}

/* I7: shows all of it at once. Packs that were finished since the look began may not have been listed. */
static void publish(HfIndex *index, Found *found, guint old_runs)
{
  g_rw_lock_writer_lock(&index->lock);
  for (guint i = 0; i < index->packs->len; i++) {
    HfPackState *state = &g_array_index(index->packs, HfPackState, i);
    gpointer kind = NULL;
    state->in_store = g_hash_table_lookup_extended(found->kinds, &state->pack.id, NULL, &kind);
    state->half = GPOINTER_TO_UINT(kind) == HALF;
    state->condemned = g_hash_table_contains(found->condemned, &state->pack.id);
  }
  for (guint i = 0; i < index->added->len; i++) {
    HfPackState *state = &g_array_index(index->packs, HfPackState, g_array_index(index->added, guint32, i));
    state->in_store = TRUE;
    state->half = FALSE;
  }
  while (index->runs->len > old_runs) /* written since, by read_directories */
    g_ptr_array_add(found->runs, g_ptr_array_steal_index(index->runs, old_runs));
  GPtrArray *old = index->runs;
  index->runs = g_steal_pointer(&found->runs);
  g_free(index->unread);
  g_atomic_pointer_set(&index->unread, g_steal_pointer(&found->unread));
  index->generation++;
  g_rw_lock_writer_unlock(&index->lock);
  g_ptr_array_unref(old);
}

/* *again: something has gone while it was loaded. With `last` that does not matter. */
static gboolean load_once(HfIndex *index, gboolean last, gboolean *again, GError **error)
{
  g_auto(Found) found = { 0 };
  guint old_runs = index->runs->len;
  if (!look(index, &found, error))
    return FALSE;
  if (found.gone && !last) {
    *again = TRUE;
    return TRUE;
  }
  g_autoptr(GArray) uncovered = take_numbers(index, &found);
  /* Damage is noted by the numbers of packs. */
  if (!each_record(index, &found, "gc/", "gc/thin.", take_thin, index, error) ||
      !each_record(index, &found, "damage/", "damage/", take_damage, index, error))
    return FALSE;
  *again = found.gone;
  /* A service indexes a pack before what needs it is committed (I6): one that no run names is of somebody at work. */
  if (!(index->store->features & HF_STORE_KEPT))
    read_directories(index, uncovered, again);
  publish(index, &found, old_runs);
  return TRUE;
}

static void collect_added(HfIndex *index, GArray *added)
{
  g_rw_lock_writer_lock(&index->lock);
  index->added = added;
  g_rw_lock_writer_unlock(&index->lock);
}

gboolean hf_index_load(HfIndex *index, GError **error)
{
  g_autoptr(GArray) added = g_array_new(FALSE, FALSE, sizeof(guint32));
  gboolean good = TRUE, again = TRUE;
  collect_added(index, added);
  for (guint tries = 1; good && again && tries <= LOADS_MAX; tries++)
    good = load_once(index, tries == LOADS_MAX, &again, error);
  collect_added(index, NULL);
  return good;
}
