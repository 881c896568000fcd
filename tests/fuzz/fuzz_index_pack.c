/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hf_index_pack_decode on 32 bytes, and the filter: the rest of the input goes into one in pieces of 16. */
#include "format/index.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  HfIndexPack pack;
  if (size < HF_INDEX_PACK_BYTES)
    return 0;
  if (hf_index_pack_decode(data, &pack)) {
    guint8 again[HF_INDEX_PACK_BYTES];
    hf_index_pack_encode(&pack, again);
    fuzz_same(again, sizeof again, data, sizeof again);
  }
  guint64 bytes = hf_filter_bytes(size / 16);
  g_autofree guint8 *filter = g_malloc0(bytes);
  for (gsize at = HF_INDEX_PACK_BYTES; at + 16 <= size; at += 16) {
    hf_filter_add(filter, bytes, data + at);
    g_assert_true(hf_filter_has(filter, bytes, data + at));
  }
  return 0;
}
