/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/error.h"
#include "engine/verify/check.h"
#include "repo/objects.h"
#include "repo/parity.h"
#include "repo/sealer.h"

typedef struct Worker {
  HfOpener *opener;
  HfBuffer stored, block;
  HfOpened opened;
  HfIdentity *identity; /* of `domain` */
  guint32 domain;
} Worker;

typedef struct PackJob {
  HfPackState pack;
  const HfLivePack *live; /* NULL: all frames */
} PackJob;

static gpointer worker_new(gpointer user, GError **error)
{
  Worker *worker = g_new0(Worker, 1);
  (void)user;
  (void)error;
  worker->opener = hf_opener_new();
  hf_opened_init(&worker->opened);
  return worker;
}

static void worker_free(gpointer data)
{
  Worker *worker = data;
  hf_opener_free(worker->opener);
  hf_identity_free(worker->identity);
  hf_buffer_clear(&worker->stored);
  hf_buffer_clear(&worker->block);
  hf_opened_clear(&worker->opened);
  g_free(worker);
}

/* ---- One frame with keys. ---- */

static gboolean use_domain(HfVerifyState *state, Worker *worker, guint32 domain, GError **error)
{
  g_auto(HfKey) key;
  if (worker->identity && worker->domain == domain)
    return TRUE;
  if (!hf_keyring_domain_key(state->repo->keys, domain, &key, error))
    return FALSE;
  hf_identity_free(worker->identity);
  worker->identity = hf_identity_new(&key);
  worker->domain = domain;
  return TRUE;
}

static const HfSessionSlot *find_slot(const HfPackInfo *info, const HfShortId *session)
{
  for (guint i = 0; i < info->slots->len; i++) {
    const HfSessionSlot *slot = &g_array_index(info->slots, HfSessionSlot, i);
    if (hf_short_id_equal(&slot->session, session))
      return slot;
  }
  return NULL;
}

static gboolean check_group(Worker *worker, const HfKey *key, const HfId *ids, guint blobs, GError **error)
{
  HfOpened *opened = &worker->opened;
  if (!hf_open_group(worker->opener, key, worker->stored.data, worker->stored.length, opened, error))
    return FALSE;
  if (opened->blobs != blobs)
    return hf_fail(error, HF_ERROR_DAMAGED, "a frame holds another number of blobs than its directory says");
  for (guint b = 0; b < blobs; b++) {
    const HfGroupItem *item = &g_array_index(opened->items, HfGroupItem, b);
    HfId id;
    guint refs = g_array_index(opened->ref_counts, guint32, b);
    const HfId *first = refs ? &g_array_index(opened->refs, HfId, g_array_index(opened->ref_starts, guint32, b)) : NULL;
    hf_identity_blob(worker->identity, item->type, first, refs,
                     opened->plain.data + g_array_index(opened->offsets, gsize, b), item->length, &id);
    if (!hf_id_equal(&id, &ids[b]))
      return hf_fail(error, HF_ERROR_DAMAGED, "a blob is not what its id says");
  }
  return TRUE;
}

/* Needs no key: a frame whose slot its pack lacks can be read by nobody. */
static gboolean check_slot(const Worker *worker, const HfPackInfo *info, HfFrameHeader *header,
                           const HfSessionSlot **slot, GError **error)
{
  if (!hf_frame_decode(worker->stored.data, worker->stored.length, header, error))
    return FALSE;
  *slot = find_slot(info, &header->session);
  if (*slot == NULL)
    return hf_fail(error, HF_ERROR_DAMAGED, "a frame is of a session whose key its pack does not hold");
  return (*slot)->domain == info->domain ||
         hf_fail(error, HF_ERROR_DAMAGED, "a frame is of another trust domain than its pack");
}

static gboolean check_content(HfVerifyState *state, Worker *worker, const HfPackInfo *info, const HfPackFrame *frame,
                              GError **error)
{
  HfFrameHeader header;
  const HfSessionSlot *slot;
  const HfKey *data_key, *meta_key;
  const HfId *ids = &g_array_index(info->ids, HfId, frame->first_blob);
  if (!check_slot(worker, info, &header, &slot, error) ||
      !hf_keyring_open_slot(state->repo->keys, slot, &data_key, &meta_key, error) ||
      !use_domain(state, worker, info->domain, error))
    return FALSE;
  const HfKey *key = info->kind == HF_PACK_DATA ? data_key : meta_key;
  if (header.kind == HF_FRAME_GROUP)
    return check_group(worker, key, ids, frame->blobs, error);
  HfId id, leaves[HF_PIECES_MAX];
  if (!hf_open_row(worker->opener, key, worker->stored.data, worker->stored.length, &worker->block, error))
    return FALSE;
  hf_identity_whole_block(worker->identity, worker->block.data, worker->block.length, leaves, &id);
  return hf_id_equal(&id, ids) || hf_fail(error, HF_ERROR_DAMAGED, "a block is not what its id says");
}

/* ---- One frame as it is stored. ---- */

static gboolean check_stored(HfVerifyState *state, Worker *worker, const char *name, const HfPackFrame *frame,
                             GError **error)
{
  guint8 digest[16];
  if (!hf_buffer_resize(&worker->stored, frame->stored_length, error) ||
      !hf_store_get(state->repo->store, name, frame->offset, worker->stored.data, frame->stored_length, error))
    return FALSE;
  hf_xxh128(worker->stored.data, frame->stored_length, digest);
  return memcmp(digest, frame->digest, sizeof digest) == 0 ||
         hf_fail(error, HF_ERROR_DAMAGED, "a frame's bytes have changed");
}

static gboolean check_frame(HfVerifyState *state, Worker *worker, const char *name, const HfPackInfo *info,
                            const HfPackFrame *frame, GError **error)
{
  HfFrameHeader header;
  const HfSessionSlot *slot;
  if (!check_stored(state, worker, name, frame, error))
    return FALSE;
  return state->options->content ? check_content(state, worker, info, frame, error)
                                 : check_slot(worker, info, &header, &slot, error);
}

static void note_place(HfVerifyState *state, const HfShortId *pack, guint32 offset)
{
  HfPlace place = { *pack, offset };
  g_mutex_lock(&state->lock);
  g_array_append_val(state->result->places, place);
  if (offset == HF_PLACE_WHOLE_PACK)
    state->result->bad_packs++;
  else
    state->result->bad_frames++;
  g_mutex_unlock(&state->lock);
}

/* Has a prune removed the pack meanwhile? It may, when it had condemned it before we came. What points needed of it is
 * then in another pack, which is not known yet. */
static gboolean was_swept(HfVerifyState *state, HfPackKind kind, const HfShortId *pack)
{
  const HfLivePack *live = hf_live_find_pack(state->live, pack);
  char name[HF_NAME_BYTES];
  gboolean exists;
  hf_name_pack(name, kind, pack);
  if (!live || !hf_object_exists(state->repo->store, name, &exists, NULL) || exists)
    return FALSE;
  if (live->frames ? live->live_blobs == 0 : state->missing->len == 0)
    return TRUE;
  if (!live->state.condemned)
    return FALSE;
  g_mutex_lock(&state->lock);
  state->moved = TRUE;
  g_mutex_unlock(&state->lock);
  return TRUE;
}

static void note_weak(HfVerifyState *state, const HfShortId *pack)
{
  HfPlace place = { *pack, 0 };
  g_mutex_lock(&state->lock);
  g_array_append_val(state->result->weak, place);
  state->result->bad_parity++;
  g_mutex_unlock(&state->lock);
}

static gboolean wanted_frame(const HfVerifyState *state, const HfLivePack *live, guint frame)
{
  guint blobs;
  if (live && hf_live_in_frame(live, frame, &blobs) == 0)
    return FALSE;
  return state->options->sample >= 100 || (guint)g_random_int_range(0, 100) < state->options->sample;
}

/* Damage is tried once more: what is whole then came from memory or a cable, not from the disk. */
static gboolean check_frame_twice(HfVerifyState *state, Worker *worker, const char *name, const HfPackInfo *info,
                                  const HfPackFrame *frame, gboolean *good, GError **error)
{
  g_autoptr(GError) problem = NULL;
  *good = check_frame(state, worker, name, info, frame, &problem);
  if (*good)
    return TRUE;
  if (!hf_error_is_damage(problem)) {
    g_propagate_error(error, g_steal_pointer(&problem));
    return FALSE;
  }
  *good = check_frame(state, worker, name, info, frame, NULL);
  if (*good) {
    g_mutex_lock(&state->lock);
    state->result->transient++;
    g_mutex_unlock(&state->lock);
    hf_report_warning(state->repo->report, name,
                      "damaged when read first, whole when read again: suspect memory or cables");
    return TRUE;
  }
  *good = was_swept(state, info->kind, &info->id);
  if (!*good)
    hf_report_warning(state->repo->report, name, "frame at %u: %s", frame->offset, problem->message);
  return TRUE;
}

/* ---- One pack. ---- */

/* Head, directory and trailer of one object: what is known of the pack may come from the other one. */
static gboolean check_ends(HfVerifyState *state, const char *name, const HfShortId *pack, gboolean *good,
                           GError **error)
{
  g_auto(HfPackInfo) info;
  g_autoptr(GError) problem = NULL;
  hf_pack_info_init(&info);
  *good = hf_pack_read_copy(state->repo->store, name, pack, &info, &problem);
  if (*good || hf_error_is_damage(problem))
    return TRUE;
  g_propagate_error(error, g_steal_pointer(&problem));
  return FALSE;
}

static gboolean check_mirror(HfVerifyState *state, Worker *worker, const HfPackInfo *info, GError **error)
{
  char name[HF_NAME_BYTES];
  gboolean exists, good = TRUE;
  hf_name_mirror(name, &info->id);
  if (!hf_object_exists(state->repo->store, name, &exists, error))
    return FALSE;
  if (!exists && state->repo->config.parity == 0)
    return TRUE;
  if (exists && !check_ends(state, name, &info->id, &good, error))
    return FALSE;
  for (guint f = 0; exists && good && f < info->frames->len; f++)
    good = check_stored(state, worker, name, &g_array_index(info->frames, HfPackFrame, f), NULL);
  g_mutex_lock(&state->lock);
  state->result->objects += exists;
  g_mutex_unlock(&state->lock);
  if ((exists && good) || was_swept(state, info->kind, &info->id))
    return TRUE;
  note_weak(state, &info->id);
  hf_report_warning(state->repo->report, name, "this mirror is %s; run 'holdfast repair'",
                    exists ? "damaged" : "missing");
  return TRUE;
}

static gboolean check_parity(HfVerifyState *state, const HfPackInfo *info, GError **error)
{
  HfParityResult parity = { 0 };
  g_autoptr(GError) problem = NULL;
  char name[HF_NAME_BYTES];
  hf_name_parity(name, &info->id);
  gboolean good = hf_parity_check(state->repo->store, &info->id, FALSE, &parity, &problem);
  if (!good && hf_error_is(problem, HF_ERROR_NOT_FOUND) && state->repo->config.parity == 0)
    return TRUE;
  if (!good && !hf_error_is_damage(problem)) {
    g_propagate_error(error, g_steal_pointer(&problem));
    return FALSE;
  }
  gboolean bad = (!good || parity.bad_parity > 0) && !was_swept(state, info->kind, &info->id);
  g_mutex_lock(&state->lock);
  state->result->objects++;
  g_mutex_unlock(&state->lock);
  if (bad) {
    note_weak(state, &info->id);
    hf_report_warning(state->repo->report, name, "this parity is damaged or missing; run 'holdfast repair'");
  }
  hf_parity_result_clear(&parity);
  return TRUE;
}

static gboolean check_frames(HfVerifyState *state, Worker *worker, const char *name, const HfPackInfo *info,
                             const HfLivePack *live, GError **error)
{
  for (guint f = 0; f < info->frames->len; f++) {
    const HfPackFrame *frame = &g_array_index(info->frames, HfPackFrame, f);
    gboolean good;
    if (hf_cancelled(state->repo->cancel, error))
      return FALSE;
    if (!wanted_frame(state, live, f))
      continue;
    if (!check_frame_twice(state, worker, name, info, frame, &good, error))
      return FALSE;
    if (!good)
      note_place(state, &info->id, frame->offset);
    hf_report_add(state->repo->report, 0, frame->stored_length, 0);
    g_mutex_lock(&state->lock);
    state->result->frames++;
    state->result->blobs += frame->blobs;
    state->result->bytes += frame->stored_length;
    g_mutex_unlock(&state->lock);
  }
  return TRUE;
}

static gboolean pack_run(gpointer data, gpointer worker, gpointer user, GError **error)
{
  g_autofree PackJob *job = data;
  HfVerifyState *state = user;
  g_auto(HfPackInfo) info;
  g_autoptr(GError) problem = NULL;
  char name[HF_NAME_BYTES];
  hf_pack_info_init(&info);
  hf_name_pack(name, job->pack.pack.kind, &job->pack.pack.id);
  g_mutex_lock(&state->lock);
  state->result->packs++;
  state->result->objects++;
  g_hash_table_add(state->verified, g_memdup2(&job->pack.pack.id, sizeof(HfShortId)));
  g_mutex_unlock(&state->lock);
  if (!hf_pack_read_info(state->repo->store, job->pack.pack.kind, &job->pack.pack.id, &info, &problem)) {
    if (!hf_error_is_damage(problem)) {
      g_propagate_error(error, g_steal_pointer(&problem));
      return FALSE;
    }
    if (was_swept(state, job->pack.pack.kind, &job->pack.pack.id))
      return TRUE;
    hf_report_warning(state->repo->report, name, "%s", problem->message);
    note_place(state, &job->pack.pack.id, HF_PLACE_WHOLE_PACK);
    return TRUE;
  }
  gboolean exists;
  if (!hf_object_exists(state->repo->store, name, &exists, error))
    return FALSE;
  if (!exists && was_swept(state, job->pack.pack.kind, &job->pack.pack.id))
    return TRUE;
  if (!exists) { /* only its mirror is left */
    hf_report_warning(state->repo->report, name, "this pack is missing, its mirror is there; run 'holdfast repair'");
    note_weak(state, &info.id);
    return TRUE;
  }
  gboolean good = TRUE;
  if (info.kind == HF_PACK_META && !check_ends(state, name, &info.id, &good, error))
    return FALSE;
  if (!good && was_swept(state, info.kind, &info.id))
    return TRUE;
  if (!good) {
    hf_report_warning(state->repo->report, name, "the head or the end of this pack is damaged; its mirror has it");
    note_place(state, &info.id, HF_PLACE_WHOLE_PACK);
  }
  if (!check_frames(state, worker, name, &info, job->live, error))
    return FALSE;
  return info.kind == HF_PACK_META ? check_mirror(state, worker, &info, error) : check_parity(state, &info, error);
}

/* ---- All packs. ---- */

/* A pack that repair has put aside, and that nothing needs any more, may be as damaged as it likes. One without a
 * readable directory is not needed when all that the points need was found elsewhere. */
static gboolean put_aside(const HfVerifyState *state, const HfPackState *pack, const HfLivePack *live)
{
  return pack->damaged && live && (live->frames ? live->live_blobs == 0 : state->missing->len == 0);
}

/* With points to verify, a pack is not over: other frames of it may be needed now. */
static gboolean is_verified(const HfVerifyState *state, const HfShortId *pack)
{
  return !state->options->points && g_hash_table_contains(state->verified, pack);
}

gboolean hf_verify_packs(HfVerifyState *state, GError **error)
{
  static const HfPoolOps ops = { worker_new, worker_free, pack_run, g_free };
  g_autoptr(GArray) packs = hf_index_packs(state->repo->index);
  guint64 bytes = 0;
  for (guint i = 0; i < packs->len; i++)
    bytes += g_array_index(packs, HfPackState, i).pack.length;
  hf_report_total(state->repo->report, 0, bytes * state->options->sample / 100);
  g_autoptr(HfPool) pool = hf_pool_new(hf_processors(), &ops, state, state->repo->cancel);
  for (guint i = 0; i < packs->len; i++) {
    const HfPackState *pack = &g_array_index(packs, HfPackState, i);
    const HfLivePack *live = hf_live_find_pack(state->live, &pack->pack.id);
    gboolean readable = live && live->frames;
    if (is_verified(state, &pack->pack.id) || put_aside(state, pack, live) ||
        (state->options->points && readable && live->live_blobs == 0))
      continue;
    PackJob *job = g_new0(PackJob, 1);
    *job = (PackJob){ *pack, state->options->points && readable ? live : NULL };
    hf_pool_push(pool, job);
  }
  return hf_pool_wait(pool, error);
}
