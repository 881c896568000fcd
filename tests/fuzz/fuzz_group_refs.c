/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hf_group_refs_decode; the first two bytes are the number of blobs. */
#include "format/frame.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  GError *error = NULL;
  const HfId *refs;
  if (size < 2)
    return 0;
  guint blobs = hf_load_u16(data);
  g_autofree guint32 *counts = g_new(guint32, blobs);
  HfView clear = { data + 2, size - 2 };
  if (fuzz_judge(hf_group_refs_decode(clear, blobs, counts, &refs, &error), &error)) {
    g_autoptr(GByteArray) again = g_byte_array_new();
    hf_group_refs_encode(counts, blobs, refs, again);
    fuzz_same_array(again, clear.data, clear.length);
  }
  return 0;
}
