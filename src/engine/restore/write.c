/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/error.h"
#include "engine/restore/window.h"

/* Makes the file of a need that is its only one. */
static void ensure_made(HfRestoreWorker *worker, HfRestoreFile *file)
{
  if (!file->made && file->disk == NULL && file->failure == NULL)
    hf_file_make(worker, file);
}

static void give(HfRestoreWorker *worker, const HfNeed *need, HfBlobType type, const guint8 *bytes, gsize length)
{
  gsize end = (gsize)need->start + need->length;
  gboolean right =
    type == (need->block ? HF_BLOB_BLOCK : HF_BLOB_DATA) && (need->whole ? length == end : length >= end);
  if (!right) {
    hf_file_lose(worker, need->file, need->offset, need->length, "the blob there is of another kind or length");
    return;
  }
  ensure_made(worker, need->file);
  hf_file_write(worker, need->file, need->offset, bytes + need->start, need->length);
}

/* ---- Blobs of a frame that cannot be read as a whole. ---- */

/* A block: piece by piece, so that no more is lost than must be. FALSE only for errors that end the restore. */
static gboolean give_pieces(HfRestoreWorker *worker, const HfNeed *need, GError **error)
{
  if (!hf_buffer_resize(&worker->piece, HF_PIECE_BYTES, error))
    return FALSE;
  for (guint32 at = 0; at < need->length; at += HF_PIECE_BYTES) {
    g_autoptr(GError) problem = NULL;
    gsize part = MIN(HF_PIECE_BYTES, need->length - at);
    if (hf_block_read(worker->reader, &need->id, need->length, at, part, worker->piece.data, &problem)) {
      hf_file_write(worker, need->file, need->offset + at, worker->piece.data, part);
    } else if (hf_restore_is_damage(problem)) {
      hf_file_lose(worker, need->file, need->offset + at, part, problem->message);
    } else {
      g_propagate_error(error, g_steal_pointer(&problem));
      return FALSE;
    }
  }
  return TRUE;
}

static gboolean give_alone(HfRestoreWorker *worker, const HfNeed *need, GError **error)
{
  g_auto(HfBlob) blob = { 0 };
  g_autoptr(GError) problem = NULL;
  if (need->block)
    return give_pieces(worker, need, error);
  if (hf_blob_read(worker->reader, &need->id, HF_BLOB_DATA, &blob, &problem)) {
    give(worker, need, HF_BLOB_DATA, blob.payload, blob.length);
    return TRUE;
  }
  if (hf_restore_is_damage(problem)) {
    hf_file_lose(worker, need->file, need->offset, need->length, problem->message);
    return TRUE;
  }
  g_propagate_error(error, g_steal_pointer(&problem));
  return FALSE;
}

/* ---- Frames. ---- */

static void give_opened(HfRestoreWorker *worker, const HfNeed *need)
{
  const HfOpened *opened = &worker->opened;
  const HfGroupItem *item = &g_array_index(opened->items, HfGroupItem, need->place.blob);
  gsize start = g_array_index(opened->offsets, gsize, need->place.blob);
  give(worker, need, (HfBlobType)item->type, opened->plain.data + start, item->length);
}

static void collect_wanted(HfRestoreWorker *worker, const HfNeed *needs, guint count)
{
  g_array_set_size(worker->wanted, 0);
  for (guint i = 0; i < count; i++) {
    HfWanted wanted = { needs[i].place.blob, needs[i].id };
    if (i == 0 || wanted.blob != needs[i - 1].place.blob || !hf_id_equal(&wanted.id, &needs[i - 1].id))
      g_array_append_val(worker->wanted, wanted);
  }
}

/* Tells in *alone whether the blobs must be read one by one. */
static gboolean read_frame(HfRestoreWorker *worker, const HfNeed *needs, guint count, gboolean *alone, GError **error)
{
  g_autoptr(GError) problem = NULL;
  collect_wanted(worker, needs, count);
  *alone = !hf_frame_read(worker->reader, &needs->place, (const HfWanted *)(void *)worker->wanted->data,
                          worker->wanted->len, &worker->opened, &problem);
  if (!*alone || hf_restore_is_damage(problem))
    return TRUE;
  g_propagate_error(error, g_steal_pointer(&problem));
  return FALSE;
}

static gboolean meet(HfRestoreWorker *worker, const HfNeed *need, gboolean alone, GError **error)
{
  if (!need->has_blob)
    ensure_made(worker, need->file);
  else if (!alone)
    give_opened(worker, need);
  else if (!give_alone(worker, need, error))
    return FALSE;
  return TRUE;
}

gboolean hf_needs_meet(HfRestoreWorker *worker, const HfNeed *needs, guint count, GError **error)
{
  gboolean alone = FALSE;
  if (needs->has_blob && !read_frame(worker, needs, count, &alone, error)) {
    hf_needs_drop(worker, needs, count);
    return FALSE;
  }
  for (guint i = 0; i < count; i++) {
    if (!meet(worker, &needs[i], alone, error)) {
      hf_needs_drop(worker, needs + i, count - i);
      return FALSE;
    }
    hf_file_release(worker, needs[i].file);
    if (!hf_restore_is_alive(worker, error)) {
      hf_needs_drop(worker, needs + i + 1, count - i - 1);
      return FALSE;
    }
  }
  return TRUE;
}

void hf_needs_drop(HfRestoreWorker *worker, const HfNeed *needs, guint count)
{
  for (guint i = 0; i < count; i++) {
    g_atomic_int_set(&worker->state->aborted, TRUE);
    hf_file_drop(needs[i].file);
    hf_file_release(worker, needs[i].file);
  }
}
