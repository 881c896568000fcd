/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "engine/prune/reseal.h"

#include "base/error.h"
#include "base/work.h"
#include "repo/reader.h"

#define LIVE_BELOW_PERCENT 75u /* frames of which more lives are copied as they are */
#define CACHE_BYTES (8u << 20)

typedef struct Reseal {
  HfCollect *collect;
  HfBlobStore *store;
  HfBlobCache *cache;
  GMutex lock;        /* guards what follows */
  GPtrArray *writers; /* of HfBlobWriter*, owned: flushed at the end */
  GPtrArray *failed;
} Reseal;

typedef struct Worker {
  HfBlobReader *reader;
  HfBlobWriter *writer; /* borrowed from `writers` */
  GArray *wanted;       /* of HfWanted */
  HfOpened opened;
} Worker;

/* ---- Choosing. ---- */

gboolean hf_reseal_may(const HfCollect *collect, const HfLivePack *pack)
{
  const HfRepo *repo = collect->repo;
  return repo->access == HF_ACCESS_FULL && !repo->read_only &&
         pack->state.pack.domain == hf_keyring_domain(repo->keys);
}

guint64 hf_reseal_waste(const HfLivePack *pack)
{
  guint64 waste = 0;
  for (guint f = 0; f < pack->frames->len; f++) {
    guint blobs, live = hf_live_in_frame(pack, f, &blobs);
    guint64 stored = g_array_index(pack->frames, HfLiveFrame, f).stored_length;
    waste += blobs == 0 ? 0 : stored * (blobs - live) / blobs;
  }
  return waste;
}

gboolean hf_reseal_takes(const HfLivePack *pack, guint frame)
{
  guint blobs, live = hf_live_in_frame(pack, frame, &blobs);
  return live > 0 && (guint64)live * 100 < (guint64)blobs * LIVE_BELOW_PERCENT;
}

/* ---- Workers. ---- */

static void worker_free(gpointer data)
{
  Worker *worker = data;
  hf_blob_reader_free(worker->reader);
  g_array_unref(worker->wanted);
  hf_opened_clear(&worker->opened);
  g_free(worker);
}

static gpointer worker_new(gpointer user, GError **error)
{
  Reseal *reseal = user;
  HfBlobReader *reader = hf_blob_reader_new(reseal->cache, hf_keyring_domain(reseal->collect->repo->keys), error);
  if (!reader)
    return NULL;
  Worker *worker = g_new0(Worker, 1);
  worker->reader = reader;
  worker->wanted = g_array_new(FALSE, FALSE, sizeof(HfWanted));
  hf_opened_init(&worker->opened);
  worker->writer = hf_blob_writer_new(reseal->store);
  HF_LOCK(&reseal->lock);
  g_ptr_array_add(reseal->writers, worker->writer);
  return worker;
}

/* ---- One pack. ---- */

static void list_wanted(const HfLivePack *pack, const HfPackInfo *info, guint frame, GArray *wanted)
{
  const HfPackFrame *place = &g_array_index(info->frames, HfPackFrame, frame);
  g_array_set_size(wanted, 0);
  for (guint b = 0; b < place->blobs; b++) {
    HfWanted one = { (guint16)b, g_array_index(info->ids, HfId, place->first_blob + b) };
    if (hf_live_bit(pack, place->first_blob + b))
      g_array_append_val(wanted, one);
  }
}

static gboolean write_wanted(Worker *worker, GError **error)
{
  const HfOpened *opened = &worker->opened;
  for (guint i = 0; i < worker->wanted->len; i++) {
    const HfWanted *wanted = &g_array_index(worker->wanted, HfWanted, i);
    const HfGroupItem *item = &g_array_index(opened->items, HfGroupItem, wanted->blob);
    guint refs = g_array_index(opened->ref_counts, guint32, wanted->blob);
    guint32 start = g_array_index(opened->ref_starts, guint32, wanted->blob);
    const guint8 *payload = opened->plain.data + g_array_index(opened->offsets, gsize, wanted->blob);
    HfId id;
    if (!hf_blob_write_again(worker->writer, (HfBlobType)item->type,
                             refs ? &g_array_index(opened->refs, HfId, start) : NULL, refs, payload, item->length, &id,
                             error))
      return FALSE;
    g_assert(hf_id_equal(&id, &wanted->id)); /* the reader has computed it, too */
  }
  return TRUE;
}

static gboolean reseal_frames(Reseal *reseal, Worker *worker, const HfLivePack *pack, const HfPackInfo *info,
                              GError **error)
{
  for (guint f = 0; f < info->frames->len; f++) {
    const HfPackFrame *frame = &g_array_index(info->frames, HfPackFrame, f);
    HfLocation place = { .pack = info->id, .kind = info->kind, .domain = info->domain, .offset = frame->offset,
                         .stored_length = frame->stored_length };
    if (hf_cancelled(reseal->collect->repo->cancel, error))
      return FALSE;
    if (!hf_reseal_takes(pack, f))
      continue;
    list_wanted(pack, info, f, worker->wanted);
    if (!hf_frame_read(worker->reader, &place, (const HfWanted *)(void *)worker->wanted->data, worker->wanted->len,
                       &worker->opened, error) ||
        !write_wanted(worker, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean pack_run(gpointer job, gpointer data, gpointer user, GError **error)
{
  Reseal *reseal = user;
  HfLivePack *pack = job;
  g_auto(HfPackInfo) info;
  g_autoptr(GError) problem = NULL;
  hf_pack_info_init(&info);
  if (hf_pack_read_info(reseal->collect->repo->store, pack->state.pack.kind, &pack->state.pack.id, &info, &problem) &&
      reseal_frames(reseal, data, pack, &info, &problem))
    return TRUE;
  if (!hf_error_is_damage(problem)) {
    g_propagate_error(error, g_steal_pointer(&problem));
    return FALSE;
  }
  hf_report_warning(reseal->collect->repo->report, NULL, "%s", problem->message);
  HF_LOCK(&reseal->lock);
  g_ptr_array_add(reseal->failed, pack);
  return TRUE;
}

static void pack_drop(gpointer job)
{
  (void)job; /* borrowed */
}

/* ---- All packs. ---- */

static gboolean store_all(Reseal *reseal, GError **error)
{
  HfRepo *repo = reseal->collect->repo;
  for (guint i = 0; i < reseal->writers->len; i++)
    if (!hf_blob_writer_flush(reseal->writers->pdata[i], error))
      return FALSE;
  if (!hf_blob_store_flush(reseal->store, error) || !hf_index_flush(repo->index, TRUE, error))
    return FALSE;
  reseal->collect->result->rewritten_bytes += hf_blob_store_totals(reseal->store).stored_bytes;
  return TRUE;
}

static gboolean run_all(Reseal *reseal, const GPtrArray *packs, GError **error)
{
  static const HfPoolOps ops = { worker_new, worker_free, pack_run, pack_drop };
  g_autoptr(HfPool) pool = hf_pool_new(hf_processors(), &ops, reseal, reseal->collect->repo->cancel);
  for (guint i = packs->len; i-- > 0;) /* the last pushed is taken first */
    hf_pool_push(pool, packs->pdata[i]);
  return hf_pool_wait(pool, error);
}

static void free_writer(gpointer writer)
{
  hf_blob_writer_free(writer);
}

gboolean hf_reseal(HfCollect *collect, const GPtrArray *packs, GPtrArray *failed, GError **error)
{
  if (packs->len == 0)
    return TRUE;
  g_autoptr(HfBlobStore) store = hf_blob_store_new(collect->session, collect->repo, -1, 0, error);
  if (!store)
    return FALSE;
  g_autoptr(HfBlobCache) cache = hf_blob_cache_new(collect->repo, CACHE_BYTES);
  g_autoptr(GPtrArray) writers = g_ptr_array_new_with_free_func(free_writer);
  Reseal reseal = { .collect = collect, .store = store, .cache = cache, .writers = writers, .failed = failed };
  g_mutex_init(&reseal.lock);
  gboolean done = run_all(&reseal, packs, error) && store_all(&reseal, error);
  g_mutex_clear(&reseal.lock);
  return done;
}
