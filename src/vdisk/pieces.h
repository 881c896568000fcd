/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Private to vdisk: pieces of blocks that were opened last, so that small reads side by side open a piece once. Who
 * finds that another thread opens the piece that he needs waits for it. Thread-safe.
 */
#pragma once

#include "format/blob.h"

#define HF_PIECES_KEPT_BYTES (16u << 20)

typedef struct HfPieces HfPieces;
HfPieces *hf_pieces_new(void);
void hf_pieces_free(HfPieces *pieces);

typedef struct HfPiece {
  guint64 number;  /* among all pieces of the disk */
  guint8 *bytes;   /* room for HF_PIECE_BYTES */
  gboolean ready;  /* this and below are private: not being filled any more */
  gboolean failed;
  guint references;
  GList link;
} HfPiece;

/* Gives piece `number`, to be given back by hf_pieces_release. *fill: it is new, and the caller must fill it and say
 * so by hf_pieces_filled. NULL: nobody has it at hand and `fill` was NULL, or without memory. */
HfPiece *hf_pieces_get(HfPieces *pieces, guint64 number, gboolean *fill, GError **error);
/* With `good` FALSE it is forgotten; those who wait for it try by themselves. */
void hf_pieces_filled(HfPieces *pieces, HfPiece *piece, gboolean good);
void hf_pieces_release(HfPieces *pieces, HfPiece *piece);
