/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hf_list_open and hf_list_next on any payload. The first byte is the number of refs. */
#include "format/tree.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  HfListReader list;
  HfListItem item;
  GError *error = NULL;
  if (size == 0 || !fuzz_judge(hf_list_open(&list, data + 1, size - 1, fuzz_refs(), data[0], &error), &error))
    return 0;
  g_autoptr(GByteArray) again = g_byte_array_new();
  g_autoptr(GArray) refs = g_array_new(FALSE, FALSE, sizeof(HfId));
  hf_list_begin(again, list.level);
  while (hf_list_next(&list, &item, &error))
    hf_list_add(again, refs, list.level, &item);
  if (fuzz_judge(error == NULL, &error)) {
    fuzz_same_array(again, data + 1, size - 1);
    fuzz_same_refs(refs, data[0]);
    g_assert_true(list.covered <= G_MAXINT64);
  }
  return 0;
}
