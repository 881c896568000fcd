/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/index.h"

#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "repo/indexstate.h"
#include "repo/objects.h"

#define CANDIDATES_MAX 16u
#define ANEW_SHARE 10 /* a load for what is lost is followed by ten times its time without one */
#define RELOADS_MAX 64u /* others may merge runs away as often as we load them anew */

/* ---- Packs and the table. ---- */

guint32 hf_index_pack_number(HfIndex *index, const HfShortId *pack, HfPackKind kind)
{
  gpointer known = g_hash_table_lookup(index->pack_numbers, pack);
  if (known)
    return GPOINTER_TO_UINT(known) - 1;
  HfPackState state = { .pack = { .id = *pack, .kind = (guint8)kind } };
  g_array_append_val(index->packs, state);
  g_hash_table_insert(index->pack_numbers, g_memdup2(pack, sizeof *pack), GUINT_TO_POINTER(index->packs->len));
  return index->packs->len - 1;
}

static HfPackState *pack_state(const HfIndex *index, guint32 number)
{
  return &g_array_index(index->packs, HfPackState, number);
}

/* A claimed entry becomes durable; anything else is added. */
static void table_blob(HfIndex *index, const HfIndexTableEntry *entry)
{
  for (HfIndexTableEntry *old = NULL; (old = hf_index_table_find(&index->table, entry->domain, &entry->id, old));) {
    if (old->pack == HF_TABLE_NO_PACK && entry->own) {
      guint8 used = old->used;
      *old = *entry;
      old->used = used;
      index->table.durable++;
      return;
    }
    if (old->pack == entry->pack && old->offset == entry->offset && old->blob == entry->blob)
      return;
  }
  hf_index_table_add(&index->table, entry);
}

void hf_index_table_pack(HfIndex *index, const HfPackInfo *info, gboolean own)
{
  guint32 number = hf_index_pack_number(index, &info->id, info->kind);
  HfPackState *state = pack_state(index, number);
  state->pack = (HfIndexPack){ .id = info->id, .kind = info->kind, .domain = info->domain, .length = info->length };
  state->in_store = TRUE;
  for (guint f = 0; f < info->frames->len; f++) {
    const HfPackFrame *frame = &g_array_index(info->frames, HfPackFrame, f);
    for (guint b = 0; b < frame->blobs; b++) {
      const HfId *id = &g_array_index(info->ids, HfId, frame->first_blob + b);
      HfIndexTableEntry entry = { .id = *id, .domain = info->domain, .pack = number, .offset = frame->offset,
                             .stored_length = frame->stored_length, .blob = (guint16)b, .own = own ? 1 : 0 };
      table_blob(index, &entry);
    }
  }
}

/* ---- The page cache. ---- */

static gboolean cached_page(HfIndex *index, const HfRun *run, guint64 page, guint8 *out, guint *count, GError **error)
{
  guint64 key = hf_load_u64(run->foot.run.b) + page * 0x9e3779b97f4a7c15u;
  HfCachedPage *slot = &index->cache[(key >> 32) % HF_INDEX_CACHE_PAGES];
  g_mutex_lock(&index->cache_lock);
  gboolean hit = slot->bytes && slot->page == page && hf_short_id_equal(&slot->run, &run->foot.run);
  if (hit) {
    memcpy(out, slot->bytes, HF_INDEX_PAGE_BYTES);
    *count = slot->count;
  }
  g_mutex_unlock(&index->cache_lock);
  if (hit)
    return TRUE;
  if (!hf_run_read_page(run, page, out, count, error))
    return FALSE;
  g_mutex_lock(&index->cache_lock);
  if (!slot->bytes)
    slot->bytes = g_malloc(HF_INDEX_PAGE_BYTES);
  memcpy(slot->bytes, out, HF_INDEX_PAGE_BYTES);
  slot->count = *count;
  slot->page = page;
  slot->run = run->foot.run;
  g_mutex_unlock(&index->cache_lock);
  return TRUE;
}

/* ---- Look-up. ---- */

typedef struct Candidates {
  HfIndexTableEntry entries[CANDIDATES_MAX]; /* id and domain are not filled in */
  guint count;
  char *bad_run; /* the run that could not be read; owned */
} Candidates;

static void add_candidate(Candidates *candidates, const HfIndexTableEntry *entry)
{
  for (guint i = 0; i < candidates->count; i++) {
    const HfIndexTableEntry *old = &candidates->entries[i];
    if (old->pack == entry->pack && old->offset == entry->offset && old->blob == entry->blob)
      return;
  }
  if (candidates->count < CANDIDATES_MAX)
    candidates->entries[candidates->count++] = *entry;
}

static guint first_entry(const guint8 *page, guint count, const guint8 *key)
{
  guint low = 0, high = count;
  while (low < high) {
    guint middle = (low + high) / 2;
    HfIndexEntry entry;
    hf_index_entry_decode(page, middle, &entry);
    if (memcmp(entry.key, key, HF_INDEX_KEY_BYTES) < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static gboolean find_in_run(HfIndex *index, const HfIndexRun *run, guint32 domain, const HfId *id,
                            Candidates *candidates, GError **error)
{
  if (!hf_run_may_have(run->run, id->b))
    return TRUE;
  for (guint64 page = hf_run_first_page(run->run, id->b); page < run->run->foot.pages; page++) {
    guint8 bytes[HF_INDEX_PAGE_BYTES];
    guint count;
    if (!cached_page(index, run->run, page, bytes, &count, error))
      return FALSE;
    for (guint i = first_entry(bytes, count, id->b); i < count; i++) {
      HfIndexEntry entry;
      hf_index_entry_decode(bytes, i, &entry);
      if (memcmp(entry.key, id->b, HF_INDEX_KEY_BYTES) != 0)
        return TRUE;
      if (entry.pack >= run->run->foot.packs)
        return hf_fail(error, HF_ERROR_INVALID, "index run '%s' names a pack that it does not list", run->run->name);
      guint32 number = run->packs[entry.pack];
      const HfIndexPack *pack = &g_array_index(run->run->packs, HfIndexPack, entry.pack);
      if (number == HF_TABLE_NO_PACK || pack->domain != domain || !pack_state(index, number)->in_store)
        continue;
      HfIndexTableEntry found = { .pack = number, .offset = entry.offset, .stored_length = entry.stored_length,
                             .blob = entry.blob };
      add_candidate(candidates, &found);
    }
    /* The page ended before a greater key came: equal ones may go on, unless the next fence says that they do not. */
    if (page + 1 < run->run->foot.pages && run->run->fences[page + 1] > hf_load_be64(id->b))
      return TRUE;
  }
  return TRUE;
}

static gboolean find_all_locked(HfIndex *index, guint32 domain, const HfId *id, Candidates *candidates, GError **error)
{
  candidates->count = 0;
  for (HfIndexTableEntry *entry = NULL; (entry = hf_index_table_find(&index->table, domain, id, entry));)
    if (entry->pack != HF_TABLE_NO_PACK && pack_state(index, entry->pack)->in_store)
      add_candidate(candidates, entry);
  for (guint i = index->runs->len; i-- > 0;)
    if (!find_in_run(index, index->runs->pdata[i], domain, id, candidates, error)) {
      candidates->bad_run = g_strdup(((HfIndexRun *)index->runs->pdata[i])->run->name);
      return FALSE;
    }
  return TRUE;
}

/* A run that cannot be read was merged away by another process, or is damaged: load the runs anew. */
static gboolean reload(HfIndex *index, guint generation, const char *run, const GError *problem, GError **error)
{
  g_mutex_lock(&index->load);
  if (hf_error_is_damage(problem) && !hf_error_is(problem, HF_ERROR_NOT_FOUND))
    hf_index_distrust(index, run, problem->message);
  g_rw_lock_reader_lock(&index->lock);
  gboolean stale = index->generation == generation;
  g_rw_lock_reader_unlock(&index->lock);
  gboolean done = !stale || hf_index_load(index, error);
  g_mutex_unlock(&index->load);
  return done;
}

/* Returns with `lock` held for reading when TRUE. */
static gboolean find_all(HfIndex *index, guint32 domain, const HfId *id, Candidates *candidates, GError **error)
{
  for (guint tries = 0;; tries++) {
    g_autoptr(GError) problem = NULL;
    candidates->bad_run = NULL;
    g_rw_lock_reader_lock(&index->lock);
    if (find_all_locked(index, domain, id, candidates, &problem))
      return TRUE;
    guint generation = index->generation;
    g_rw_lock_reader_unlock(&index->lock);
    g_autofree char *run = g_steal_pointer(&candidates->bad_run);
    if (tries == RELOADS_MAX) {
      g_propagate_error(error, g_steal_pointer(&problem));
      return FALSE;
    }
    if (!reload(index, generation, run, problem, error))
      return FALSE;
  }
}

static HfStanding entry_standing(const HfIndex *index, const HfIndexTableEntry *entry)
{
  const HfPackState *state = pack_state(index, entry->pack);
  HfPlace place = { .pack = state->pack.id, .offset = entry->offset };
  if (state->damaged || g_hash_table_contains(index->damaged, &place))
    return HF_STANDING_DAMAGED;
  if (state->condemned)
    return HF_STANDING_CONDEMNED;
  if (state->half)
    return HF_STANDING_THIN;
  return g_hash_table_contains(index->thin, &place) ? HF_STANDING_THIN : HF_STANDING_GOOD;
}

static gboolean entry_good(const HfIndex *index, const HfIndexTableEntry *entry)
{
  return entry_standing(index, entry) == HF_STANDING_GOOD;
}

gboolean hf_index_find(HfIndex *index, guint32 domain, const HfId *id, guint attempt, gboolean *found,
                       HfLocation *location, GError **error)
{
  Candidates candidates;
  if (!find_all(index, domain, id, &candidates, error))
    return FALSE;
  guint count = 0;
  *found = FALSE;
  for (HfStanding standing = HF_STANDING_GOOD; standing <= HF_STANDING_DAMAGED && !*found; standing++)
    for (guint i = 0; i < candidates.count && !*found; i++) {
      const HfIndexTableEntry *entry = &candidates.entries[i];
      if (entry_standing(index, entry) != standing || count++ < attempt)
        continue;
      const HfPackState *state = pack_state(index, entry->pack);
      *found = TRUE;
      *location = (HfLocation){ .pack = state->pack.id, .kind = state->pack.kind, .standing = (guint8)standing,
                                .domain = domain, .offset = entry->offset, .stored_length = entry->stored_length,
                                .blob = entry->blob };
    }
  g_rw_lock_reader_unlock(&index->lock);
  return TRUE;
}

/* *took: 0 when nothing was loaded, as too much time went into that of late. Who waited here while another thread
 * loaded it looks again all the same. */
static gboolean load_for_missing(HfIndex *index, gint64 *took, GError **error)
{
  g_mutex_lock(&index->load);
  gint64 begun = hf_clock_monotonic_us();
  gboolean wanted = begun >= index->anew_after;
  gboolean done = !wanted || hf_index_load(index, error);
  *took = wanted ? MAX(hf_clock_monotonic_us() - begun, 1) : 0;
  g_mutex_unlock(&index->load);
  return done;
}

static void load_later(HfIndex *index, gint64 took)
{
  g_mutex_lock(&index->load);
  index->anew_after = hf_clock_monotonic_us() + ANEW_SHARE * took;
  g_mutex_unlock(&index->load);
}

gboolean hf_index_find_anew(HfIndex *index, guint32 domain, const HfId *id, gboolean *found, HfLocation *location,
                            GError **error)
{
  gint64 took;
  if (!hf_index_find(index, domain, id, 0, found, location, error))
    return FALSE;
  if (*found)
    return TRUE;
  if (!load_for_missing(index, &took, error) || !hf_index_find(index, domain, id, 0, found, location, error))
    return FALSE;
  /* What was moved is moved once a sweep; it is what is lost that would be looked for again and again. */
  if (!*found && took > 0)
    load_later(index, took);
  return TRUE;
}

/* I8 */
static gboolean all_read(HfIndex *index, GError **error)
{
  if (g_atomic_pointer_get(&index->unread) == NULL)
    return TRUE;
  g_rw_lock_reader_lock(&index->lock);
  gboolean all = index->unread == NULL ||
                 hf_fail(error, HF_ERROR_FAILED, "%s; so nobody knows what is going to be deleted. Try again, or run "
                         "'holdfast prune', which looks at it anew", index->unread);
  g_rw_lock_reader_unlock(&index->lock);
  return all;
}

/* Does the blob count as stored for deduplication (I2)? `lock` is held. */
static gboolean counts_as_stored(const HfIndex *index, const Candidates *candidates)
{
  for (guint i = 0; i < candidates->count; i++)
    if (entry_good(index, &candidates->entries[i]))
      return TRUE;
  return FALSE;
}

gboolean hf_index_claim(HfIndex *index, guint32 domain, const HfId *id, gboolean *claimed, GError **error)
{
  Candidates candidates;
  *claimed = FALSE;
  if (!all_read(index, error) || !find_all(index, domain, id, &candidates, error))
    return FALSE;
  gboolean stored = counts_as_stored(index, &candidates);
  g_rw_lock_reader_unlock(&index->lock);
  if (stored)
    return TRUE;

  /* Between the two locks another thread may have claimed it or made it durable: its entry in the table is `own` or has
   * no pack. */
  g_rw_lock_writer_lock(&index->lock);
  for (HfIndexTableEntry *entry = NULL; (entry = hf_index_table_find(&index->table, domain, id, entry));)
    if (entry->pack == HF_TABLE_NO_PACK || (entry->own && entry_good(index, entry))) {
      g_rw_lock_writer_unlock(&index->lock);
      return TRUE;
    }
  HfIndexTableEntry entry = { .id = *id, .domain = domain, .pack = HF_TABLE_NO_PACK, .own = 1 };
  hf_index_table_add(&index->table, &entry);
  g_rw_lock_writer_unlock(&index->lock);
  *claimed = TRUE;
  return TRUE;
}

void hf_index_drop_claims(HfIndex *index)
{
  g_rw_lock_writer_lock(&index->lock);
  hf_index_table_drop_claims(&index->table);
  g_rw_lock_writer_unlock(&index->lock);
}

gboolean hf_index_has_absent(HfIndex *index)
{
  return g_atomic_int_get(&index->any_absent) != 0;
}

gboolean hf_index_is_absent(HfIndex *index, guint32 domain, const HfId *id, gboolean *absent, GError **error)
{
  *absent = FALSE;
  if (!all_read(index, error))
    return FALSE;
  if (!hf_index_has_absent(index))
    return TRUE;
  Candidates candidates;
  if (!find_all(index, domain, id, &candidates, error))
    return FALSE;
  *absent = !counts_as_stored(index, &candidates);
  for (HfIndexTableEntry *entry = NULL; *absent && (entry = hf_index_table_find(&index->table, domain, id, entry));)
    *absent = entry->pack != HF_TABLE_NO_PACK;
  g_rw_lock_reader_unlock(&index->lock);
  return TRUE;
}

/* ---- Adding. ---- */

gboolean hf_index_add_pack(HfIndex *index, const HfPackInfo *info, GError **error)
{
  g_rw_lock_writer_lock(&index->lock);
  hf_index_table_pack(index, info, TRUE);
  guint32 number = hf_index_pack_number(index, &info->id, info->kind);
  pack_state(index, number)->half = FALSE;
  if (index->added)
    g_array_append_val(index->added, number);
  gboolean full = index->table.durable >= HF_INDEX_TABLE_MAX;
  g_rw_lock_writer_unlock(&index->lock);
  return !full || hf_index_flush(index, TRUE, error);
}

/* I6: nothing of ours is durable by itself; what the service indexed meanwhile is read when the claims take room. */
static gboolean settle_kept(HfIndex *index, GError **error)
{
  g_rw_lock_writer_lock(&index->lock);
  gboolean full = index->table.used >= HF_INDEX_TABLE_MAX;
  if (full)
    hf_index_table_drop_claims(&index->table);
  g_rw_lock_writer_unlock(&index->lock);
  return !full || hf_index_refresh(index, error);
}

gboolean hf_index_flush(HfIndex *index, gboolean merge, GError **error)
{
  if (index->store->features & HF_STORE_KEPT)
    return settle_kept(index, error);
  g_mutex_lock(&index->load);
  gboolean done = hf_index_settle(index, merge, error);
  g_mutex_unlock(&index->load);
  return done;
}

void hf_index_note_damage(HfIndex *index, const HfPlace *damage)
{
  g_rw_lock_writer_lock(&index->lock);
  gpointer number = g_hash_table_lookup(index->pack_numbers, &damage->pack);
  if (damage->offset != HF_PLACE_WHOLE_PACK)
    g_hash_table_add(index->damaged, g_memdup2(damage, sizeof *damage));
  else if (number)
    pack_state(index, GPOINTER_TO_UINT(number) - 1)->damaged = TRUE;
  g_rw_lock_writer_unlock(&index->lock);
  g_atomic_int_set(&index->any_absent, 1);
}

/* ---- The whole. ---- */

GArray *hf_index_packs(HfIndex *index)
{
  GArray *packs = g_array_new(FALSE, FALSE, sizeof(HfPackState));
  g_rw_lock_reader_lock(&index->lock);
  for (guint i = 0; i < index->packs->len; i++)
    if (pack_state(index, i)->in_store)
      g_array_append_vals(packs, pack_state(index, i), 1);
  g_rw_lock_reader_unlock(&index->lock);
  return packs;
}

guint64 hf_index_entries(HfIndex *index)
{
  g_rw_lock_reader_lock(&index->lock);
  guint64 entries = index->table.durable;
  for (guint i = 0; i < index->runs->len; i++)
    entries += ((HfIndexRun *)index->runs->pdata[i])->run->foot.entries;
  g_rw_lock_reader_unlock(&index->lock);
  return entries;
}

guint hf_index_runs(HfIndex *index)
{
  g_rw_lock_reader_lock(&index->lock);
  guint runs = index->runs->len;
  g_rw_lock_reader_unlock(&index->lock);
  return runs;
}

guint64 hf_index_memory(HfIndex *index)
{
  g_rw_lock_reader_lock(&index->lock);
  guint64 bytes = hf_index_table_memory(&index->table) + (guint64)index->packs->len * sizeof(HfPackState);
  for (guint i = 0; i < index->runs->len; i++) {
    const HfIndexRun *run = index->runs->pdata[i];
    bytes += hf_run_memory(run->run) + run->run->foot.packs * sizeof *run->packs;
  }
  for (guint i = 0; i < HF_INDEX_CACHE_PAGES; i++)
    bytes += index->cache[i].bytes ? HF_INDEX_PAGE_BYTES : 0;
  g_rw_lock_reader_unlock(&index->lock);
  return bytes;
}

/* ---- Life. ---- */

static guint place_hash(gconstpointer key)
{
  const HfPlace *place = key;
  return hf_id_hash(&place->pack) ^ place->offset * 2654435761u;
}

static gboolean place_equal(gconstpointer a, gconstpointer b)
{
  const HfPlace *x = a, *y = b;
  return x->offset == y->offset && hf_short_id_equal(&x->pack, &y->pack);
}

HfIndex *hf_index_open(HfStore *store, HfReport *report, GError **error)
{
  g_autoptr(HfIndex) index = g_new0(HfIndex, 1);
  index->store = store;
  index->report = report;
  g_mutex_init(&index->load);
  g_mutex_init(&index->cache_lock);
  g_rw_lock_init(&index->lock);
  index->packs = g_array_new(FALSE, FALSE, sizeof(HfPackState));
  index->pack_numbers = g_hash_table_new_full(hf_id_hash, hf_short_id_equal_func, g_free, NULL);
  index->runs = g_ptr_array_new_with_free_func((GDestroyNotify)hf_index_run_free);
  index->distrusted = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  index->thin = g_hash_table_new_full(place_hash, place_equal, g_free, NULL);
  index->damaged = g_hash_table_new_full(place_hash, place_equal, g_free, NULL);
  g_mutex_lock(&index->load);
  gboolean loaded = hf_index_load(index, error);
  g_mutex_unlock(&index->load);
  return loaded ? g_steal_pointer(&index) : NULL;
}

gboolean hf_index_refresh(HfIndex *index, GError **error)
{
  g_mutex_lock(&index->load);
  gboolean done = hf_index_load(index, error);
  g_mutex_unlock(&index->load);
  return done;
}

void hf_index_free(HfIndex *index)
{
  if (!index)
    return;
  g_ptr_array_unref(index->runs);
  g_hash_table_unref(index->thin);
  g_hash_table_unref(index->distrusted);
  g_free(index->unread);
  g_hash_table_unref(index->damaged);
  g_hash_table_unref(index->pack_numbers);
  g_array_unref(index->packs);
  hf_index_table_clear(&index->table);
  for (guint i = 0; i < HF_INDEX_CACHE_PAGES; i++)
    g_free(index->cache[i].bytes);
  g_rw_lock_clear(&index->lock);
  g_mutex_clear(&index->cache_lock);
  g_mutex_clear(&index->load);
  g_free(index);
}
