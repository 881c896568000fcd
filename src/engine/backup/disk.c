/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "engine/backup/disk.h"

#include <string.h>

#include "base/error.h"
#include "engine/backup/reading.h"
#include "source/disk.h"

#define SPANS_IN_FLIGHT 2u
#define LOST_UNIT 4096u           /* around a bad sector, at least so much is given up */
#define LOST_MAX (1u << 20)       /* a disk of which more cannot be read is not backed up */

/* Blocks of one map page of level 0. Jobs fill slots of their own; `left` counts them. */
typedef struct Span {
  guint64 first;   /* block number */
  guint count;
  guint8 present[HF_MAP_FANOUT];
  HfId ids[HF_MAP_FANOUT];
  GMutex lock;
  GCond ended;
  guint left;
  gboolean failed; /* a job was dropped: the pool knows why */
} Span;

typedef struct DiskRun {
  HfReading reading;      /* first */
  GArray *maps;           /* of MapChild: map pages of level 0 that are done */
  GQueue spans;           /* of Span*: being read, in the order of the disk */
  HfBackupWorker *worker; /* of the thread that plans */
  HfDisk *disk;
  gsize block_size;
  guint64 blocks;
  HfExtentKind kind;      /* of the extent at hand: [.., extent_end) */
  guint64 extent_end;
  gboolean has_old;       /* the base has a map of this disk */
  HfId old_top;
  guint8 old_level;
  guint64 old_blocks;
  HfBlob old_leaf;        /* map page of level 0 that covers old_leaf_first */
  guint64 old_leaf_first;
  gint32 old_index[HF_MAP_FANOUT];
  gboolean old_leaf_ready, old_leaf_zero;
  GMutex lock;            /* guards: */
  guint64 lost;           /* bytes that could not be read and were stored as zeros */
} DiskRun;

typedef struct BlockJob {
  HfBackupJob job; /* first */
  DiskRun *run;
  Span *span;
  guint slot;
} BlockJob;

/* ---- One block. ---- */

static gsize block_length(const DiskRun *run, guint64 block)
{
  return (gsize)MIN(run->block_size, run->disk->size - block * run->block_size);
}

static void slot_done(BlockJob *work, gboolean good)
{
  Span *span = work->span;
  g_mutex_lock(&span->lock);
  span->failed = span->failed || !good;
  if (--span->left == 0)
    g_cond_broadcast(&span->ended);
  g_mutex_unlock(&span->lock);
  g_free(work);
}

static gboolean note_lost(DiskRun *run, HfBackupWorker *worker, guint64 first, gsize lost, const GError *why,
                          GError **error)
{
  g_mutex_lock(&run->lock);
  run->lost += lost;
  gboolean too_much = run->lost > LOST_MAX;
  g_mutex_unlock(&run->lock);
  if (too_much)
    return hf_fail(error, HF_ERROR_IO, "more than %u KiB of '%s' cannot be read: %s", LOST_MAX >> 10, run->disk->path,
                   why->message);
  hf_report_warning(worker->state->report, run->disk->path, "%zu bytes from byte %" G_GUINT64_FORMAT
                    " on cannot be read and are stored as zeros: %s", lost, first, why->message);
  return TRUE;
}

/* Reads a block around what cannot be read of it: that becomes zeros. */
static gboolean read_around(DiskRun *run, HfBackupWorker *worker, guint64 offset, gsize length, GError **error)
{
  gsize unit = MAX(run->disk->sector_size, LOST_UNIT), lost = 0;
  guint64 first = 0;
  g_autoptr(GError) why = NULL;
  for (gsize at = 0; at < length; at += unit) {
    gsize part = MIN(unit, length - at);
    g_autoptr(GError) problem = NULL;
    if (hf_pool_stopping(worker->state->pool))
      return hf_fail(error, HF_ERROR_CANCELLED, "reading '%s' was ended", run->disk->path);
    if (run->disk->ops->read(run->disk, offset + at, worker->window.data + at, part, &problem))
      continue;
    if (!hf_error_is(problem, HF_ERROR_IO)) {
      g_propagate_error(error, g_steal_pointer(&problem));
      return FALSE;
    }
    memset(worker->window.data + at, 0, part);
    if (lost == 0) {
      first = offset + at;
      why = g_steal_pointer(&problem);
    }
    lost += part;
  }
  return lost == 0 || note_lost(run, worker, first, lost, why, error);
}

static gboolean read_block(DiskRun *run, HfBackupWorker *worker, guint64 offset, gsize length, GError **error)
{
  g_autoptr(GError) problem = NULL;
  if (run->disk->ops->read(run->disk, offset, worker->window.data, length, &problem))
    return TRUE;
  if (hf_error_is(problem, HF_ERROR_IO))
    return read_around(run, worker, offset, length, error);
  g_propagate_error(error, g_steal_pointer(&problem));
  return FALSE;
}

static gboolean store_block(BlockJob *work, HfBackupWorker *worker, GError **error)
{
  DiskRun *run = work->run;
  guint64 block = work->span->first + work->slot;
  gsize length = block_length(run, block);
  if (!hf_buffer_reserve(&worker->window, run->block_size, error) ||
      !read_block(run, worker, block * run->block_size, length, error))
    return FALSE;
  hf_report_add(worker->state->report, 0, length, 0);
  if (hf_bytes_all_zero(worker->window.data, length))
    return TRUE;
  if (!hf_block_write(worker->writer, worker->window.data, length, &work->span->ids[work->slot], NULL, error))
    return FALSE;
  work->span->present[work->slot] = 1;
  return TRUE;
}

static gboolean block_run(HfBackupJob *job, HfBackupWorker *worker, GError **error)
{
  BlockJob *work = (BlockJob *)job;
  hf_gate_enter(&worker->state->gate);
  gboolean good = store_block(work, worker, error);
  hf_gate_leave(&worker->state->gate);
  slot_done(work, good);
  return good;
}

static void block_drop(HfBackupJob *job)
{
  slot_done((BlockJob *)job, FALSE);
}

/* ---- What the base knows. ---- */

/* Blocks below one entry of a map of `level`. */
static guint64 entry_blocks(guint8 level)
{
  guint64 blocks = 1;
  for (guint8 i = 0; i < level; i++)
    blocks *= HF_MAP_FANOUT;
  return blocks;
}

/* Decodes the map of `level` around `block` into run->old_index. What does not cover what it should is damaged. */
static gboolean decode_old_map(DiskRun *run, const HfBlob *map, guint8 level, guint64 block, GError **error)
{
  guint64 span = entry_blocks(level), first = block / span / HF_MAP_FANOUT * HF_MAP_FANOUT;
  guint64 entries = (run->old_blocks - 1) / span + 1 - first;
  guint8 found;
  guint count;
  if (!hf_map_decode(map->payload, map->length, map->ref_count, &found, &count, run->old_index, error))
    return FALSE;
  return (found == level && count == MIN(entries, HF_MAP_FANOUT)) ||
         hf_fail(error, HF_ERROR_INVALID, "a map of level %u with %u entries stands in a wrong place", found, count);
}

/* Goes down to the map page of level 0 that covers `block`. */
static gboolean find_old_leaf(DiskRun *run, guint64 block, GError **error)
{
  HfId id = run->old_top;
  run->old_leaf_ready = FALSE;
  run->old_leaf_zero = FALSE;
  for (guint8 level = run->old_level;; level--) {
    g_auto(HfBlob) map = { 0 };
    if (!hf_blob_read(run->worker->reader, &id, HF_BLOB_MAP, &map, error) ||
        !decode_old_map(run, &map, level, block, error))
      return FALSE;
    if (level == 0) {
      hf_blob_release(&run->old_leaf);
      run->old_leaf = map;
      map = (HfBlob){ 0 };
      break;
    }
    gint32 child = run->old_index[block / entry_blocks(level) % HF_MAP_FANOUT];
    if (child < 0) {
      run->old_leaf_zero = TRUE;
      break;
    }
    id = map.refs[child];
  }
  run->old_leaf_first = block - block % HF_MAP_FANOUT;
  run->old_leaf_ready = TRUE;
  return TRUE;
}

/* As find_old_leaf; a base that is damaged here is none: what it would have told is read. */
static gboolean use_old_leaf(DiskRun *run, guint64 block, GError **error)
{
  g_autoptr(GError) problem = NULL;
  if (run->old_leaf_ready && run->old_leaf_first == block - block % HF_MAP_FANOUT)
    return TRUE;
  if (find_old_leaf(run, block, &problem))
    return TRUE;
  run->has_old = FALSE;
  if (!hf_error_is_damage(problem)) {
    g_propagate_error(error, g_steal_pointer(&problem));
    return FALSE;
  }
  hf_report_warning(run->worker->state->report, run->disk->path,
                    "an earlier point of this disk cannot be compared with, "
                    "so the rest is read as a whole: %s",
                    problem->message);
  return TRUE;
}

/* Takes an unchanged block from the base; *known FALSE: it must be read. */
static gboolean take_old_block(DiskRun *run, Span *span, guint slot, gboolean *known, GError **error)
{
  guint64 block = span->first + slot;
  gboolean absent = FALSE;
  *known = FALSE;
  if (!run->has_old || block >= run->old_blocks)
    return TRUE;
  if (!use_old_leaf(run, block, error))
    return FALSE;
  if (!run->has_old)
    return TRUE;
  gint32 child = run->old_leaf_zero ? -1 : run->old_index[block % HF_MAP_FANOUT];
  *known = TRUE;
  if (child < 0)
    return TRUE;
  HfRepo *repo = run->worker->state->repo;
  span->ids[slot] = run->old_leaf.refs[child];
  if (!hf_index_is_absent(repo->index, hf_keyring_domain(repo->keys), &span->ids[slot], &absent, error))
    return FALSE;
  *known = !absent;
  span->present[slot] = !absent;
  return TRUE;
}

/* One that was not read whole holds zeros in place of what it lacks. */
static void find_old_disk(DiskRun *run, const HfEntry *old)
{
  if (!old || old->mode != 0 || old->content != HF_CONTENT_MAP || old->block_size != run->block_size ||
      old->size != run->disk->size || (old->flags & HF_ENTRY_INCOMPLETE))
    return;
  run->has_old = TRUE;
  run->old_top = old->ref;
  run->old_blocks = (old->size + run->block_size - 1) / run->block_size;
  run->old_level = hf_map_level(run->old_blocks);
}

/* ---- Planning. ---- */

/* The kind of a whole block: zero or unchanged only when all of it is. */
static gboolean block_kind(DiskRun *run, guint64 block, HfExtentKind *kind, GError **error)
{
  guint64 at = block * run->block_size, end = at + block_length(run, block);
  gboolean first = TRUE;
  *kind = HF_EXTENT_DATA;
  while (at < end) {
    if (at >= run->extent_end) {
      guint64 length;
      if (!run->disk->ops->extent(run->disk, at, &run->kind, &length, error))
        return FALSE;
      run->extent_end = at + length;
    }
    if (first)
      *kind = run->kind;
    else if (*kind != run->kind)
      *kind = HF_EXTENT_DATA;
    first = FALSE;
    at = MIN(end, run->extent_end);
  }
  return TRUE;
}

/* Blocks from `slot` on, which is zeros, that lie wholly in the extent of zeros at hand; at least 1. */
static guint zero_slots(const DiskRun *run, const Span *span, guint slot)
{
  guint64 end = run->extent_end >= run->disk->size ? run->blocks : run->extent_end / run->block_size;
  guint64 block = span->first + slot;
  return (guint)CLAMP(end - MIN(end, block), 1, span->count - slot);
}

static void push_block(DiskRun *run, Span *span, guint slot)
{
  BlockJob *work = g_new0(BlockJob, 1);
  *work = (BlockJob){ .job = { block_run, block_drop }, .run = run, .span = span, .slot = slot };
  g_mutex_lock(&span->lock);
  span->left++;
  g_mutex_unlock(&span->lock);
  hf_pool_push_front(run->worker->state->pool, work);
}

static gboolean plan_span(DiskRun *run, Span *span, GError **error)
{
  HfBackupState *state = run->worker->state;
  guint64 skipped = 0;
  for (guint slot = 0, count; slot < span->count; slot += count) {
    HfExtentKind kind;
    gboolean known = FALSE;
    count = 1;
    if (!block_kind(run, span->first + slot, &kind, error))
      return FALSE;
    if (kind == HF_EXTENT_UNCHANGED && !take_old_block(run, span, slot, &known, error))
      return FALSE;
    if (kind == HF_EXTENT_ZERO)
      count = zero_slots(run, span, slot);
    if (kind == HF_EXTENT_ZERO || known)
      skipped += (count - 1) * run->block_size + block_length(run, span->first + slot + count - 1);
    else
      push_block(run, span, slot);
  }
  hf_report_add(state->report, 0, skipped, 0);
  return TRUE;
}

/* ---- Map pages. ---- */

typedef struct MapChild {
  gboolean present;
  HfId id;
} MapChild;

static gboolean store_map(HfBackupWorker *worker, guint8 level, const MapChild *children, guint count, MapChild *map,
                          GError **error)
{
  guint8 present[HF_MAP_FANOUT];
  g_autoptr(GByteArray) payload = g_byte_array_new();
  g_autoptr(GArray) refs = g_array_new(FALSE, FALSE, sizeof(HfId));
  for (guint i = 0; i < count; i++) {
    present[i] = children[i].present ? 1 : 0;
    if (children[i].present)
      g_array_append_val(refs, children[i].id);
  }
  map->present = refs->len > 0;
  if (!map->present)
    return TRUE;
  hf_map_encode(level, present, count, payload);
  return hf_blob_write(worker->writer, HF_BLOB_MAP, (const HfId *)(void *)refs->data, refs->len, payload->data,
                       payload->len, &map->id, NULL, error);
}

/* The map page of what is stored of a span. */
static gboolean store_span(HfBackupWorker *worker, const Span *span, MapChild *map, GError **error)
{
  MapChild children[HF_MAP_FANOUT];
  for (guint i = 0; i < span->count; i++)
    children[i] = (MapChild){ span->present[i] != 0, span->ids[i] };
  return store_map(worker, 0, children, span->count, map, error);
}

/* Waits for the blocks of the oldest span, stores its map page, frees it. When the backup was cancelled, what is stored
 * of it goes into the last checkpoint. */
static gboolean finish_span(DiskRun *run, gboolean store, GError **error)
{
  HfBackupState *state = run->worker->state;
  Span *span = g_queue_peek_head(&run->spans);
  hf_gate_leave(&state->gate);
  g_mutex_lock(&span->lock);
  while (span->left)
    g_cond_wait(&span->ended, &span->lock);
  g_mutex_unlock(&span->lock);
  hf_gate_enter(&state->gate);
  gboolean good = store && !span->failed;
  if (store && span->failed)
    hf_fail(error, HF_ERROR_CANCELLED, "reading '%s' was ended", run->disk->path);
  MapChild map = { 0 };
  if (good || hf_cancelled(state->repo->cancel, NULL))
    good = store_span(run->worker, span, &map, good ? error : NULL) && good;
  g_array_append_val(run->maps, map);
  g_queue_pop_head(&run->spans);
  g_mutex_clear(&span->lock);
  g_cond_clear(&span->ended);
  g_free(span);
  return good;
}

static Span *span_new(const DiskRun *run, guint64 first)
{
  Span *span = g_new0(Span, 1);
  span->first = first;
  span->count = (guint)MIN(HF_MAP_FANOUT, run->blocks - first);
  g_mutex_init(&span->lock);
  g_cond_init(&span->ended);
  return span;
}

/* When a job stopped the pool, it alone knows why. */
static gboolean fail_for_pool(HfPool *pool, GError **error)
{
  GError *first = NULL;
  if (hf_pool_stopping(pool) && !hf_pool_wait(pool, &first)) {
    g_clear_error(error);
    g_propagate_error(error, first);
  }
  return FALSE;
}

static gboolean read_disk(DiskRun *run, GError **error)
{
  gboolean good = TRUE;
  for (guint64 first = 0; good && first < run->blocks; first += HF_MAP_FANOUT) {
    if (hf_pool_stopping(run->worker->state->pool)) {
      good = hf_fail(error, HF_ERROR_CANCELLED, "reading '%s' was ended", run->disk->path);
      break;
    }
    Span *span = span_new(run, first);
    g_queue_push_tail(&run->spans, span);
    good = plan_span(run, span, error);
    while (good && run->spans.length >= SPANS_IN_FLIGHT)
      good = finish_span(run, TRUE, error);
  }
  while (run->spans.length)
    good = finish_span(run, good, good ? error : NULL) && good;
  return good || fail_for_pool(run->worker->state->pool, error);
}

/* Builds the levels above `maps` (level 0). */
static gboolean store_levels(const DiskRun *run, HfBackupWorker *worker, GArray *maps, MapChild *top, GError **error)
{
  guint8 last = hf_map_level(run->blocks);
  g_autoptr(GArray) below = g_array_ref(maps);
  for (guint8 level = 1; level <= last; level++) {
    g_autoptr(GArray) above = g_array_new(FALSE, TRUE, sizeof(MapChild));
    for (guint i = 0; i < below->len; i += HF_MAP_FANOUT) {
      MapChild map;
      if (!store_map(worker, level, &g_array_index(below, MapChild, i), MIN(HF_MAP_FANOUT, below->len - i), &map,
                     error))
        return FALSE;
      g_array_append_val(above, map);
    }
    g_array_unref(below);
    below = g_steal_pointer(&above);
  }
  *top = below->len ? g_array_index(below, MapChild, 0) : (MapChild){ 0 };
  return TRUE;
}

static void describe_disk(const DiskRun *run, const MapChild *top, HfEntry *entry)
{
  entry->size = run->disk->size;
  entry->block_size = (guint32)run->block_size;
  entry->sector_size = run->disk->sector_size;
  entry->content = top->present ? HF_CONTENT_MAP : HF_CONTENT_NONE;
  entry->ref = top->id;
}

/* The rest of the disk counts as zeros. */
static gboolean disk_part(HfReading *reading, HfBackupWorker *worker, HfEntry *entry, gboolean *any, GError **error)
{
  const DiskRun *run = (const DiskRun *)reading;
  MapChild top = { 0 };
  g_autoptr(GArray) maps = g_array_new(FALSE, TRUE, sizeof(MapChild));
  g_array_append_vals(maps, run->maps->data, run->maps->len);
  for (const GList *item = run->spans.head; item != NULL; item = item->next) {
    MapChild map;
    if (!store_span(worker, item->data, &map, error))
      return FALSE;
    g_array_append_val(maps, map);
  }
  g_array_set_size(maps, (guint)((run->blocks - 1) / HF_MAP_FANOUT + 1));
  if (!store_levels(run, worker, maps, &top, error))
    return FALSE;
  *any = top.present;
  describe_disk(run, &top, entry);
  return TRUE;
}

/* ---- The disk. ---- */

static gboolean check_use(const HfBackupState *state, const HfDisk *disk, GError **error)
{
  return !disk->in_use || state->options->live ||
    hf_fail(error, HF_ERROR_BUSY, "'%s' is in use: %s; unmount it, or accept a torn image with --live", disk->path,
            disk->use);
}

/* Of what was written to meanwhile, parts of several states were read. */
static void check_torn(const HfBackupState *state, HfDisk *disk, guint32 *flags)
{
  const HfBackupHold *hold = state->options->hold;
  if (disk->in_use && hold && hold->held(hold->user, disk->path))
    return;
  if (disk->in_use) {
    *flags |= HF_POINT_LIVE;
    hf_report_warning(state->report, disk->path, "read while in use (%s): the image may be torn", disk->use);
    return;
  }
  if (!disk->ops->changed || !disk->ops->changed(disk))
    return;
  *flags |= HF_POINT_LIVE;
  hf_report_warning(state->report, disk->path, "changed while it was read: the image may be torn");
}

/* What was expected from the last point, or what is known by now to be there. */
static void report_total(HfReport *report, guint64 size)
{
  HfProgress now = hf_report_progress(report);
  hf_report_total(report, MAX(now.files_total, now.files_done + 1), MAX(now.bytes_total, now.bytes_done + size));
}

/* Fills in all of `entry` but its name. */
static gboolean store_disk(HfBackupWorker *worker, HfDisk *disk, const HfEntry *old, HfEntry *entry, GError **error)
{
  MapChild top = { 0 };
  g_autoptr(GArray) maps = g_array_new(FALSE, TRUE, sizeof(MapChild));
  DiskRun run = { .reading.part = disk_part, .maps = maps, .worker = worker, .disk = disk,
                  .block_size = worker->state->repo->config.block_size };
  run.blocks = (disk->size - 1) / run.block_size + 1;
  g_mutex_init(&run.lock);
  if (!worker->state->options->rescan)
    find_old_disk(&run, old);
  report_total(worker->state->report, disk->size);
  hf_reading_begin(worker->state, &run.reading, g_strdup(disk->path));
  gboolean good = read_disk(&run, error);
  hf_reading_end(worker, &run.reading);
  good = good && store_levels(&run, worker, maps, &top, error);
  hf_blob_release(&run.old_leaf);
  g_mutex_clear(&run.lock);
  describe_disk(&run, &top, entry);
  entry->flags = run.lost > 0 ? HF_ENTRY_INCOMPLETE : 0;
  return good;
}

gboolean hf_backup_disk(HfBackupWorker *worker, HfTreePage *page, const char *path, HfPointRoot *root, guint32 *flags,
                        GError **error)
{
  HfBackupState *state = worker->state;
  gboolean found[HF_BASES], full;
  HfEntry bases[HF_BASES], entry = { .name = { (const guint8 *)path, strlen(path) } };
  hf_base_root(state->base, path, found, bases);
  g_autoptr(HfDisk) disk = hf_disk_open(path, hf_base_cookie(state->base, path), error);
  if (!disk || !check_use(state, disk, error) ||
      !store_disk(worker, disk, found[1] ? &bases[1] : NULL, &entry, error))
    return FALSE;
  check_torn(state, disk, flags);
  hf_tree_add(page, &entry, &full);
  if (disk->ops->cookie)
    root->cookie = disk->ops->cookie(disk);
  worker->counts.files++;
  worker->counts.bytes += disk->size;
  worker->reported += disk->size;
  return TRUE;
}
