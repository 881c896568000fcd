/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hf_group_table_decode; the first two bytes are the number of blobs. */
#include "format/frame.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  GError *error = NULL;
  gsize table;
  if (size < 2)
    return 0;
  guint blobs = hf_load_u16(data);
  g_autofree HfGroupItem *items = g_new(HfGroupItem, blobs);
  if (fuzz_judge(hf_group_table_decode(data + 2, size - 2, blobs, items, &table, &error), &error)) {
    g_autoptr(GByteArray) again = g_byte_array_new();
    gsize payloads = 0;
    for (guint i = 0; i < blobs; i++)
      payloads += items[i].length;
    g_assert_true(table + payloads == size - 2);
    hf_group_table_encode(items, blobs, again);
    fuzz_same_array(again, data + 2, table);
  }
  return 0;
}
