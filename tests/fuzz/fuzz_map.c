/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hf_map_decode on any payload. The first two bytes are the number of refs. */
#include "format/tree.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  gint32 index[HF_MAP_FANOUT];
  guint8 level, present[HF_MAP_FANOUT];
  guint count, set = 0;
  GError *error = NULL;
  if (size < 2)
    return 0;
  guint refs = hf_load_u16(data);
  if (fuzz_judge(hf_map_decode(data + 2, size - 2, refs, &level, &count, index, &error), &error)) {
    g_autoptr(GByteArray) again = g_byte_array_new();
    for (guint i = 0; i < count; i++) {
      present[i] = index[i] >= 0;
      g_assert_true(index[i] == (present[i] ? (gint32)set : -1));
      set += present[i];
    }
    g_assert_true(set == refs);
    hf_map_encode(level, present, count, again);
    fuzz_same_array(again, data + 2, size - 2);
  }
  return 0;
}
