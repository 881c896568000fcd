/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Frames on disk (format.md 4): layout only; sealing and opening is repo/sealer.h. */
#pragma once

#include "format/blob.h"

#define HF_FRAME_HEADER_BYTES 48u /* what is authenticated; the check follows */
#define HF_FRAME_PREFIX_BYTES 56u
#define HF_FRAME_STORED_MAX ((1u << 24) - 1)

typedef enum HfFrameKind { HF_FRAME_GROUP = 1, HF_FRAME_ROW = 2 } HfFrameKind;

typedef struct HfFrameHeader {
  guint8 kind, codec;
  guint16 count;
  HfShortId session;
  guint8 nonce[HF_NONCE_BYTES];
  guint32 plain_length, clear_length, sealed_length;
} HfFrameHeader;

static inline gsize hf_frame_stored(const HfFrameHeader *header)
{
  return (gsize)HF_FRAME_PREFIX_BYTES + header->clear_length + header->sealed_length;
}
/* Writes the 48 bytes and, once `clear` is known, the check: `out` has 56 bytes. */
void hf_frame_encode(const HfFrameHeader *header, const void *clear, guint8 out[HF_FRAME_PREFIX_BYTES]);
/* Checks magic, ranges and consistency (stored length below 2^24, counts) from the first 56 bytes alone. */
gboolean hf_frame_decode(const void *bytes, gsize length, HfFrameHeader *header, GError **error);
/* Checks the check over header and clear section: `bytes` holds at least prefix and clear section. */
gboolean hf_frame_check(const void *bytes, gsize length, const HfFrameHeader *header, GError **error);

/* Clear section of a group: refs of each blob. Encode: counts[i] refs of blob i, all refs in one array; writes nothing
 * when every count is 0. Decode: counts (header->count of them, caller's array) and the view of all refs (32 bytes
 * each). */
void hf_group_refs_encode(const guint32 *counts, guint blobs, const HfId *refs, GByteArray *out);
gboolean hf_group_refs_decode(HfView clear, guint blobs, guint32 *counts, const HfId **refs, GError **error);

/* The table at the start of a group's plain bytes. */
typedef struct HfGroupItem {
  guint8 type;
  guint32 length; /* payload */
} HfGroupItem;
void hf_group_table_encode(const HfGroupItem *items, guint blobs, GByteArray *out);
/* Checks that the payload lengths fill `length` exactly; *table_length is where the first payload begins. */
gboolean hf_group_table_decode(const void *plain, gsize length, guint blobs, HfGroupItem *items, gsize *table_length,
                               GError **error);

/* Clear section of a row. */
typedef struct HfRowPiece {
  guint32 stored_length;
  HfId leaf;
} HfRowPiece;
void hf_row_encode(const HfRowPiece *pieces, guint count, guint8 *out /* 36 bytes a piece */);
/* Checks that the stored lengths fill the sealed section and that none is longer than its piece + 16. */
gboolean hf_row_decode(HfView clear, const HfFrameHeader *header, HfRowPiece *pieces, GError **error);
/* Plain length of piece `number` of a block of `plain_length`. */
guint32 hf_piece_length(guint32 plain_length, guint number);
