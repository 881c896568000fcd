/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hf_session_open_decode on any body. */
#include "format/point.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  HfSessionOpen open;
  GError *error = NULL;
  fuzz_begin();
  g_autoptr(GBytes) record = hf_record_wrap(HF_RECORD_SESSION, data, size);
  if (fuzz_judge(hf_session_open_decode(record, &open, &error), &error)) {
    g_autoptr(GBytes) again = hf_session_open_encode(&open);
    g_assert_true(g_bytes_equal(again, record));
  }
  return 0;
}
