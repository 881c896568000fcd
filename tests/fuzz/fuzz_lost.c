/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hf_lost_decode on any body. */
#include "format/point.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(HfId));
  GError *error = NULL;
  fuzz_begin();
  g_autoptr(GBytes) record = hf_record_wrap(HF_RECORD_LOST, data, size);
  if (fuzz_judge(hf_lost_decode(record, ids, &error), &error)) {
    g_autoptr(GBytes) again = hf_lost_encode(ids);
    g_assert_true(g_bytes_equal(again, record));
  } else {
    g_assert_true(ids->len == 0);
  }
  return 0;
}
