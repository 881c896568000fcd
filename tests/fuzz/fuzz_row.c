/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hf_row_decode on any clear section. The first byte is the codec, the next three the length of the block; the sealed
 * length is what the pieces say, unless the highest bit of the first byte is set. */
#include "format/frame.h"
#include "fuzz.h"

#define PIECE_BYTES 36

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  HfFrameHeader header = { .kind = HF_FRAME_ROW };
  HfRowPiece pieces[HF_PIECES_MAX];
  GError *error = NULL;
  if (size < 4)
    return 0;
  header.codec = data[0] & 3;
  header.plain_length = hf_load_u24(data + 1) % (HF_PIECES_MAX * HF_PIECE_BYTES) + 1;
  header.count = (guint16)((header.plain_length + HF_PIECE_BYTES - 1) / HF_PIECE_BYTES);
  HfView clear = { data + 4, size - 4 };
  for (gsize at = 0; at + 4 <= clear.length; at += PIECE_BYTES)
    header.sealed_length += hf_load_u32(clear.data + at);
  header.sealed_length += data[0] >> 7;
  if (fuzz_judge(hf_row_decode(clear, &header, pieces, &error), &error)) {
    guint8 again[HF_PIECES_MAX * PIECE_BYTES];
    hf_row_encode(pieces, header.count, again);
    fuzz_same(again, header.count * (gsize)PIECE_BYTES, clear.data, clear.length);
    for (guint i = 0; i < header.count; i++)
      g_assert_true(pieces[i].stored_length <= hf_piece_length(header.plain_length, i) + HF_TAG_BYTES);
  }
  return 0;
}
