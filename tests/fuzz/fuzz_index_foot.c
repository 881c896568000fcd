/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hf_index_foot_decode. The input is the start of the page; zeros and a right check fill it up. Longer inputs are taken
 * as they are. */
#include "format/index.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  HfIndexFoot foot;
  guint8 page[HF_INDEX_PAGE_BYTES] = { 0 }, again[HF_INDEX_PAGE_BYTES];
  GError *error = NULL;
  memcpy(page, data, MIN(size, sizeof page));
  if (size < sizeof page)
    hf_store_be64(page + sizeof page - 8, hf_xxh64(page, sizeof page - 8));
  if (fuzz_judge(hf_index_foot_decode(page, sizeof page, &foot, &error), &error)) {
    hf_index_foot_encode(&foot, again);
    fuzz_same(again, sizeof again, page, sizeof page);
    g_assert_true(hf_index_object_length(&foot) <= G_MAXINT64);
    g_assert_true(hf_index_fences_offset(&foot) <= hf_index_packs_offset(&foot));
    g_assert_true(hf_index_packs_offset(&foot) <= hf_index_filter_offset(&foot));
  }
  return 0;
}
