/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hf_mark_decode on any body. */
#include "format/point.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  HfMark mark;
  GError *error = NULL;
  fuzz_begin();
  g_autoptr(GBytes) record = hf_record_wrap(HF_RECORD_MARK, data, size);
  if (fuzz_judge(hf_mark_decode(record, &mark, &error), &error)) {
    g_autoptr(GBytes) again = hf_mark_encode(&mark);
    g_assert_true(g_bytes_equal(again, record));
    hf_mark_clear(&mark);
  }
  return 0;
}
