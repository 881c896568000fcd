/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hf_places_decode on any body. */
#include "format/point.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  g_autoptr(GArray) places = g_array_new(FALSE, FALSE, sizeof(HfPlace));
  GError *error = NULL;
  fuzz_begin();
  g_autoptr(GBytes) record = hf_record_wrap(HF_RECORD_THIN, data, size);
  if (fuzz_judge(hf_places_decode(record, HF_RECORD_THIN, places, &error), &error)) {
    g_autoptr(GBytes) again = hf_places_encode(HF_RECORD_THIN, places);
    g_assert_true(g_bytes_equal(again, record));
  } else {
    g_assert_true(places->len == 0);
  }
  return 0;
}
