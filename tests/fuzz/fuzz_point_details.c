/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hf_point_details_decode on any bytes. */
#include "format/point.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  GError *error = NULL;
  g_autoptr(HfPointDetails) details = hf_point_details_decode(data, size, &error);
  if (fuzz_judge(details != NULL, &error)) {
    g_autoptr(GByteArray) again = g_byte_array_new();
    hf_point_details_encode(details, again);
    fuzz_same_array(again, data, size);
  }
  return 0;
}
