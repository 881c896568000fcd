/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hf_frame_decode and hf_frame_check on any bytes: as they are, and with a right check. */
#include "format/frame.h"
#include "fuzz.h"

static void decode(const guint8 *bytes, gsize length)
{
  HfFrameHeader header;
  GError *error = NULL;
  if (!fuzz_judge(hf_frame_decode(bytes, length, &header, &error), &error))
    return;
  g_assert_true(hf_frame_stored(&header) <= HF_FRAME_STORED_MAX);
  if (!fuzz_judge(hf_frame_check(bytes, length, &header, &error), &error))
    return;
  guint8 again[HF_FRAME_PREFIX_BYTES];
  hf_frame_encode(&header, bytes + HF_FRAME_PREFIX_BYTES, again);
  fuzz_same(again, sizeof again, bytes, HF_FRAME_PREFIX_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  decode(data, size);
  if (size >= HF_FRAME_PREFIX_BYTES) {
    gsize clear = hf_load_u32(data + 40);
    g_autofree guint8 *checked = g_memdup2(data, size), *joined = g_memdup2(data, size);
    if (clear <= size - HF_FRAME_PREFIX_BYTES) {
      memmove(joined + HF_FRAME_HEADER_BYTES, data + HF_FRAME_PREFIX_BYTES, clear);
      hf_store_be64(checked + HF_FRAME_HEADER_BYTES, hf_xxh64(joined, HF_FRAME_HEADER_BYTES + clear));
    }
    decode(checked, size);
  }
  return 0;
}
