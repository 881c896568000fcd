/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hf_index_page_decode. The first byte is the count, then come entries; zeros and a right check fill the page up.
 * Longer inputs are taken as they are. */
#include "format/index.h"
#include "fuzz.h"

#define COUNT_AT 4064

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  guint8 page[HF_INDEX_PAGE_BYTES] = { 0 }, again[HF_INDEX_PAGE_BYTES];
  HfIndexEntry entries[HF_INDEX_ENTRIES_A_PAGE];
  guint count;
  GError *error = NULL;
  if (size == 0)
    return 0;
  if (size < sizeof page) {
    memcpy(page, data + 1, MIN(size - 1, COUNT_AT));
    page[COUNT_AT] = data[0];
    hf_store_be64(page + sizeof page - 8, hf_xxh64(page, sizeof page - 8));
  } else {
    memcpy(page, data, sizeof page);
  }
  if (fuzz_judge(hf_index_page_decode(page, sizeof page, &count, &error), &error)) {
    g_assert_true(count >= 1 && count <= HF_INDEX_ENTRIES_A_PAGE);
    for (guint i = 0; i < count; i++)
      hf_index_entry_decode(page, i, &entries[i]);
    hf_index_page_encode(entries, count, again);
    fuzz_same(again, sizeof again, page, sizeof page);
  }
  return 0;
}
