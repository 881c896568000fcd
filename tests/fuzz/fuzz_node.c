/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hf_node_next on any payload of a page of level 1 and up. The first byte is the number of refs. */
#include "format/tree.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  HfPageReader page;
  HfNodeItem item;
  GError *error = NULL;
  if (size == 0)
    return 0;
  if (!fuzz_judge(hf_page_open(&page, data + 1, size - 1, fuzz_refs(), data[0], FALSE, &error), &error) ||
      page.level == 0)
    return 0;
  g_autoptr(GByteArray) again = g_byte_array_new();
  g_autoptr(GArray) refs = g_array_new(FALSE, FALSE, sizeof(HfId));
  hf_node_begin(again, page.level);
  while (hf_node_next(&page, &item, &error))
    hf_node_add(again, refs, &item);
  if (fuzz_judge(error == NULL, &error)) {
    fuzz_same_array(again, data + 1, size - 1);
    fuzz_same_refs(refs, data[0]);
  }
  return 0;
}
