/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "vdisk/pieces.h"

#include "base/error.h"
#include "base/work.h"

#define PIECES_KEPT (HF_PIECES_KEPT_BYTES / HF_PIECE_BYTES)

struct HfPieces {
  GMutex lock; /* guards all */
  GCond filled;
  GHashTable *known; /* of HfPiece, by number; each holds a reference */
  GQueue order;      /* those that are ready; the one used last comes first */
};

HfPieces *hf_pieces_new(void)
{
  HfPieces *pieces = g_new0(HfPieces, 1);
  g_mutex_init(&pieces->lock);
  g_cond_init(&pieces->filled);
  pieces->known = g_hash_table_new(g_int64_hash, g_int64_equal);
  return pieces;
}

static void unref_locked(HfPiece *piece)
{
  if (--piece->references > 0)
    return;
  g_free(piece->bytes);
  g_free(piece);
}

static void forget_locked(HfPieces *pieces, HfPiece *piece)
{
  g_hash_table_remove(pieces->known, &piece->number);
  unref_locked(piece);
}

void hf_pieces_free(HfPieces *pieces)
{
  if (pieces == NULL)
    return;
  while (pieces->order.length > 0)
    forget_locked(pieces, g_queue_pop_tail_link(&pieces->order)->data);
  g_hash_table_unref(pieces->known);
  g_mutex_clear(&pieces->lock);
  g_cond_clear(&pieces->filled);
  g_free(pieces);
}

/* Waits until it is ready; FALSE, and the reference is gone, when it could not be filled. */
static gboolean wait_locked(HfPieces *pieces, HfPiece *piece)
{
  while (!piece->ready)
    g_cond_wait(&pieces->filled, &pieces->lock);
  if (!piece->failed)
    return TRUE;
  unref_locked(piece);
  return FALSE;
}

static HfPiece *make_locked(HfPieces *pieces, guint64 number, GError **error)
{
  HfPiece *piece = g_new0(HfPiece, 1);
  piece->number = number;
  piece->references = 2; /* the caller's, and that of `known` */
  piece->link.data = piece;
  piece->bytes = g_try_malloc(HF_PIECE_BYTES);
  if (piece->bytes == NULL) {
    g_free(piece);
    hf_fail(error, HF_ERROR_FAILED, "out of memory");
    return NULL;
  }
  g_hash_table_insert(pieces->known, &piece->number, piece);
  return piece;
}

HfPiece *hf_pieces_get(HfPieces *pieces, guint64 number, gboolean *fill, GError **error)
{
  HF_LOCK(&pieces->lock);
  for (HfPiece *piece; (piece = g_hash_table_lookup(pieces->known, &number)) != NULL;) {
    piece->references++;
    if (!wait_locked(pieces, piece))
      continue;
    if (piece->link.prev != NULL || pieces->order.head == &piece->link) {
      g_queue_unlink(&pieces->order, &piece->link);
      g_queue_push_head_link(&pieces->order, &piece->link);
    }
    if (fill != NULL)
      *fill = FALSE;
    return piece;
  }
  if (fill == NULL)
    return NULL;
  *fill = TRUE;
  return make_locked(pieces, number, error);
}

void hf_pieces_filled(HfPieces *pieces, HfPiece *piece, gboolean good)
{
  HF_LOCK(&pieces->lock);
  piece->ready = TRUE;
  piece->failed = !good;
  if (good)
    g_queue_push_head_link(&pieces->order, &piece->link);
  else
    forget_locked(pieces, piece);
  while (pieces->order.length > PIECES_KEPT)
    forget_locked(pieces, g_queue_pop_tail_link(&pieces->order)->data);
  g_cond_broadcast(&pieces->filled);
}

void hf_pieces_release(HfPieces *pieces, HfPiece *piece)
{
  HF_LOCK(&pieces->lock);
  unref_locked(piece);
}
