/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Writing and merging of runs. A run is added to the index only when it is durable; the runs that it replaces are
 * removed from the store after that, so that a crash in between leaves the same entries twice, never none.
 */
#include <string.h>

#include "base/error.h"
#include "repo/indexstate.h"
#include "repo/objects.h"

#define MERGE_FAILURES_MAX 8u
#define RUNS_KEPT 4u /* I4 */

/* Numbers for the pack table of a new run. */
typedef struct PackTable {
  GArray *packs;   /* HfIndexPack */
  guint32 *number; /* for each of the first `known` packs of the index: number in `packs`, or HF_TABLE_NO_PACK */
  guint known;     /* those that came since are in no run that was begun before */
} PackTable;

static void pack_table_init(PackTable *table, guint packs)
{
  table->packs = g_array_new(FALSE, FALSE, sizeof(HfIndexPack));
  table->number = g_new(guint32, MAX(packs, 1));
  table->known = packs;
  memset(table->number, 0xff, packs * sizeof *table->number);
}

static void pack_table_clear(PackTable *table)
{
  g_array_unref(table->packs);
  g_free(table->number);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PackTable, pack_table_clear)

static guint32 pack_table_number(PackTable *table, HfIndex *index, guint32 pack)
{
  if (table->number[pack] == HF_TABLE_NO_PACK) {
    table->number[pack] = table->packs->len;
    g_array_append_val(table->packs, g_array_index(index->packs, HfPackState, pack).pack);
  }
  return table->number[pack];
}

/* Makes the finished run known: all its packs are known to the index. */
static gboolean adopt_run(HfIndex *index, const char *name, const PackTable *table, GPtrArray *replaced, GError **error)
{
  HfIndexRun *run = hf_index_run_open(index, name, error);
  if (!run)
    return FALSE;
  g_rw_lock_writer_lock(&index->lock);
  for (guint i = 0; i < table->known; i++)
    if (table->number[i] != HF_TABLE_NO_PACK)
      run->packs[table->number[i]] = g_array_index(index->packs, HfPackState, i).in_store ? i : HF_TABLE_NO_PACK;
  for (guint i = 0; replaced && i < replaced->len; i++)
    g_ptr_array_remove(index->runs, replaced->pdata[i]);
  g_ptr_array_add(index->runs, run);
  g_rw_lock_writer_unlock(&index->lock);
  return TRUE;
}

static int compare_ids(gconstpointer a, gconstpointer b)
{
  return memcmp(((const HfIndexTableEntry *)a)->id.b, ((const HfIndexTableEntry *)b)->id.b, HF_ID_BYTES);
}

static char *write_entries(HfIndex *index, const GArray *entries, PackTable *table, GError **error)
{
  g_autoptr(HfRunWriter) writer = hf_run_writer_new(index->store, entries->len, error);
  if (!writer)
    return NULL;
  for (guint i = 0; i < entries->len; i++) {
    const HfIndexTableEntry *entry = &g_array_index(entries, HfIndexTableEntry, i);
    g_rw_lock_reader_lock(&index->lock); /* packs that are added meanwhile may move the others */
    guint32 pack = pack_table_number(table, index, entry->pack);
    g_rw_lock_reader_unlock(&index->lock);
    HfIndexEntry out = { .pack = pack, .offset = entry->offset, .stored_length = entry->stored_length,
                         .blob = entry->blob };
    memcpy(out.key, entry->id.b, HF_INDEX_KEY_BYTES);
    if (!hf_run_writer_add(writer, &out, error))
      return NULL;
  }
  return hf_run_writer_finish(writer, (const HfIndexPack *)(void *)table->packs->data, table->packs->len, NULL, 0,
                              error);
}

/* What stood in damaged runs stands in a new one now. */
static void remove_distrusted(HfIndex *index)
{
  GHashTableIter iter;
  gpointer name;
  g_hash_table_iter_init(&iter, index->distrusted);
  while (g_hash_table_iter_next(&iter, &name, NULL))
    (void)hf_store_remove(index->store, name, NULL);
}

/* What was written leaves the table; what came meanwhile stays. */
static void take_written(HfIndex *index, const PackTable *table)
{
  g_rw_lock_writer_lock(&index->lock);
  g_autoptr(GArray) durable = hf_index_table_take_durable(&index->table);
  for (guint i = 0; i < durable->len; i++) {
    const HfIndexTableEntry *entry = &g_array_index(durable, HfIndexTableEntry, i);
    if (entry->pack >= table->known || table->number[entry->pack] == HF_TABLE_NO_PACK)
      hf_index_table_add(&index->table, entry);
  }
  g_rw_lock_writer_unlock(&index->lock);
}

gboolean hf_index_write_table(HfIndex *index, gboolean *gone, GError **error)
{
  g_autoptr(GError) problem = NULL;
  g_rw_lock_writer_lock(&index->lock);
  g_autoptr(GArray) entries = g_array_new(FALSE, FALSE, sizeof(HfIndexTableEntry));
  for (gsize i = 0; i < index->table.capacity; i++)
    if (index->table.entries[i].used && index->table.entries[i].pack != HF_TABLE_NO_PACK)
      g_array_append_vals(entries, &index->table.entries[i], 1);
  g_auto(PackTable) table;
  pack_table_init(&table, index->packs->len);
  g_rw_lock_writer_unlock(&index->lock);
  if (entries->len == 0)
    return TRUE;

  g_array_sort(entries, compare_ids);
  g_autofree char *name = write_entries(index, entries, &table, error);
  if (!name)
    return FALSE;
  gboolean adopted = adopt_run(index, name, &table, NULL, &problem);
  if (!adopted && !hf_error_is(problem, HF_ERROR_NOT_FOUND)) {
    g_propagate_error(error, g_steal_pointer(&problem));
    return FALSE;
  }
  take_written(index, &table);
  remove_distrusted(index);
  *gone = *gone || !adopted;
  return TRUE;
}

/* Who writes the table while it loads the index does the second part itself. */
static gboolean settle_table(HfIndex *index, GError **error)
{
  gboolean gone = FALSE;
  return hf_index_write_table(index, &gone, error) && (!gone || hf_index_load(index, error));
}

/* ---- Merging. ---- */

typedef struct Input {
  HfIndexRun *run;
  HfRunScan scan;
  HfIndexEntry entry;
  guint32 pack; /* number in the index */
  gboolean ended;
} Input;

/* Goes to the next entry whose pack is in the store. */
static gboolean input_next(Input *input, GError **error)
{
  g_autoptr(GError) problem = NULL;
  do {
    if (!hf_run_scan_next(&input->scan, &input->entry, &problem)) {
      input->ended = TRUE;
      if (!problem)
        return TRUE;
      g_propagate_error(error, g_steal_pointer(&problem));
      return FALSE;
    }
    input->pack = input->run->packs[input->entry.pack];
  } while (input->pack == HF_TABLE_NO_PACK);
  return TRUE;
}

static Input *least(Input *inputs, guint count)
{
  Input *best = NULL;
  for (guint i = 0; i < count; i++)
    if (!inputs[i].ended && (!best || memcmp(inputs[i].entry.key, best->entry.key, HF_INDEX_KEY_BYTES) < 0))
      best = &inputs[i];
  return best;
}

static gboolean same_place(const HfIndexEntry *a, const HfIndexEntry *b)
{
  return a->pack == b->pack && a->offset == b->offset && a->blob == b->blob &&
         memcmp(a->key, b->key, HF_INDEX_KEY_BYTES) == 0;
}

static gboolean merge_inputs(HfIndex *index, Input *inputs, guint count, HfRunWriter *writer, PackTable *table,
                             GError **error)
{
  HfIndexEntry last = { .pack = HF_TABLE_NO_PACK };
  for (Input *input; (input = least(inputs, count));) {
    HfIndexEntry entry = input->entry;
    g_rw_lock_reader_lock(&index->lock);
    entry.pack = pack_table_number(table, index, input->pack);
    g_rw_lock_reader_unlock(&index->lock);
    if (!same_place(&entry, &last) && !hf_run_writer_add(writer, &entry, error))
      return FALSE;
    last = entry;
    if (!input_next(input, error))
      return FALSE;
  }
  return TRUE;
}

/* A run's packs are looked up anew: what is not in the store is left out. */
static void refresh_mapping(HfIndex *index, GPtrArray *runs)
{
  g_rw_lock_writer_lock(&index->lock);
  for (guint i = 0; i < runs->len; i++) {
    HfIndexRun *run = runs->pdata[i];
    for (guint32 p = 0; p < run->run->foot.packs; p++)
      if (run->packs[p] != HF_TABLE_NO_PACK && !g_array_index(index->packs, HfPackState, run->packs[p]).in_store)
        run->packs[p] = HF_TABLE_NO_PACK;
  }
  g_rw_lock_writer_unlock(&index->lock);
}

static gboolean merge_runs(HfIndex *index, GPtrArray *runs, GError **error)
{
  refresh_mapping(index, runs);
  guint64 most = 0;
  g_autofree HfShortId *superseded = g_new(HfShortId, runs->len);
  for (guint i = 0; i < runs->len; i++) {
    const HfIndexRun *run = runs->pdata[i];
    most += run->run->foot.entries;
    superseded[i] = run->run->foot.run;
  }
  g_autoptr(HfRunWriter) writer = hf_run_writer_new(index->store, most, error);
  if (!writer)
    return FALSE;
  g_auto(PackTable) table;
  g_rw_lock_reader_lock(&index->lock);
  pack_table_init(&table, index->packs->len);
  g_rw_lock_reader_unlock(&index->lock);

  g_autofree Input *inputs = g_new0(Input, runs->len);
  gboolean good = TRUE;
  for (guint i = 0; i < runs->len; i++) {
    inputs[i].run = runs->pdata[i];
    hf_run_scan_init(&inputs[i].scan, inputs[i].run->run);
    good = good && input_next(&inputs[i], error);
  }
  good = good && merge_inputs(index, inputs, runs->len, writer, &table, error);
  for (guint i = 0; i < runs->len; i++)
    hf_run_scan_clear(&inputs[i].scan);
  if (!good)
    return FALSE;

  g_autofree char *name = hf_run_writer_finish(writer, (const HfIndexPack *)(void *)table.packs->data, table.packs->len,
                                               superseded, runs->len, error);
  if (!name)
    return FALSE;
  g_autoptr(GPtrArray) old_names = g_ptr_array_new_with_free_func(g_free);
  for (guint i = 0; i < runs->len; i++)
    g_ptr_array_add(old_names, g_strdup(((HfIndexRun *)runs->pdata[i])->run->name));
  if (!adopt_run(index, name, &table, runs, error))
    return FALSE;
  for (guint i = 0; i < old_names->len; i++)
    (void)hf_store_remove(index->store, old_names->pdata[i], NULL); /* what stays is superseded: harmless */
  return TRUE;
}

static int by_size(gconstpointer a, gconstpointer b)
{
  const HfIndexRun *const *x = a, *const *y = b;
  guint64 p = (*x)->run->foot.entries, q = (*y)->run->foot.entries;
  return p < q ? 1 : p > q ? -1 : 0;
}

/* Size-tiered: the largest runs stay as they are while each is at least twice as large as all smaller ones together, so
 * that an entry is copied a logarithmic number of times. */
static GPtrArray *choose_runs(GPtrArray *sorted, guint keep)
{
  guint first = MIN(keep - 1, sorted->len - 1);
  guint64 sum = 0;
  for (guint i = first; i < sorted->len; i++)
    sum += ((HfIndexRun *)sorted->pdata[i])->run->foot.entries;
  while (first > 0 && ((HfIndexRun *)sorted->pdata[first - 1])->run->foot.entries < 2 * sum)
    sum += ((HfIndexRun *)sorted->pdata[--first])->run->foot.entries;
  GPtrArray *chosen = g_ptr_array_new();
  for (guint i = first; i < sorted->len; i++)
    g_ptr_array_add(chosen, sorted->pdata[i]);
  if (chosen->len > HF_INDEX_SUPERSEDES_MAX)
    g_ptr_array_remove_range(chosen, 0, chosen->len - HF_INDEX_SUPERSEDES_MAX);
  return chosen;
}

/* A merge failed: runs that cannot be read to the end, or are gone, are replaced by the directories of their packs. */
static gboolean replace_damaged(HfIndex *index, GPtrArray *runs, GError **error)
{
  for (guint i = 0; i < runs->len; i++) {
    HfRun *run = ((HfIndexRun *)runs->pdata[i])->run;
    HfRunScan scan;
    HfIndexEntry entry;
    g_autoptr(GError) problem = NULL;
    hf_run_scan_init(&scan, run);
    while (hf_run_scan_next(&scan, &entry, &problem))
      ;
    hf_run_scan_clear(&scan);
    if (problem && !hf_error_is(problem, HF_ERROR_NOT_FOUND)) /* gone: another has merged it away */
      hf_index_distrust(index, run->name, problem->message);
  }
  return hf_index_load(index, error) && settle_table(index, error);
}

/* Merges until at most `keep` runs remain. */
static gboolean merge_down(HfIndex *index, guint keep, GError **error)
{
  for (guint failures = 0; index->runs->len > keep;) {
    g_autoptr(GPtrArray) sorted = g_ptr_array_new();
    g_ptr_array_extend(sorted, index->runs, NULL, NULL);
    g_ptr_array_sort(sorted, by_size);
    g_autoptr(GPtrArray) chosen = choose_runs(sorted, keep);
    g_autoptr(GError) problem = NULL;
    if (merge_runs(index, chosen, &problem))
      continue;
    if (!hf_error_is_damage(problem) || ++failures > MERGE_FAILURES_MAX) {
      g_propagate_error(error, g_steal_pointer(&problem));
      return FALSE;
    }
    if (!replace_damaged(index, chosen, error))
      return FALSE;
  }
  return TRUE;
}

gboolean hf_index_settle(HfIndex *index, gboolean merge, GError **error)
{
  return settle_table(index, error) && (!merge || merge_down(index, RUNS_KEPT, error));
}

gboolean hf_index_compact(HfIndex *index, GError **error)
{
  g_mutex_lock(&index->load);
  gboolean done = hf_index_load(index, error) && settle_table(index, error) && merge_down(index, 1, error);
  if (done && index->runs->len == 1) {
    /* One run may still name packs that are gone. */
    const HfIndexRun *run = index->runs->pdata[0];
    gboolean stale = FALSE;
    for (guint32 i = 0; i < run->run->foot.packs; i++)
      stale = stale || run->packs[i] == HF_TABLE_NO_PACK;
    if (stale) {
      g_autoptr(GPtrArray) all = g_ptr_array_new();
      g_autoptr(GError) problem = NULL;
      g_ptr_array_add(all, index->runs->pdata[0]);
      done = merge_runs(index, all, &problem);
      if (!done && hf_error_is_damage(problem))
        done = replace_damaged(index, all, error); /* stale entries do no harm */
      else if (!done)
        g_propagate_error(error, g_steal_pointer(&problem));
    }
  }
  g_mutex_unlock(&index->load);
  return done;
}

gboolean hf_index_rebuild(HfStore *store, HfReport *report, guint64 *packs, guint64 *blobs, GError **error)
{
  g_autoptr(GPtrArray) names = hf_store_list_names(store, "index/", error);
  if (!names)
    return FALSE;
  for (guint i = 0; i < names->len; i++) {
    g_autoptr(GError) problem = NULL;
    if (!hf_store_remove(store, names->pdata[i], &problem) && !hf_error_is(problem, HF_ERROR_NOT_FOUND)) {
      g_propagate_error(error, g_steal_pointer(&problem));
      return FALSE;
    }
  }
  g_autoptr(HfIndex) index = hf_index_open(store, report, error);
  if (!index || !hf_index_flush(index, TRUE, error))
    return FALSE;
  g_autoptr(GArray) states = hf_index_packs(index);
  *packs = states->len;
  *blobs = hf_index_entries(index);
  return TRUE;
}
