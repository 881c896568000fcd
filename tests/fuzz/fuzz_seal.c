/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hf_seal_decode on any body. */
#include "format/point.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  HfSeal seal;
  GError *error = NULL;
  fuzz_begin();
  g_autoptr(GBytes) record = hf_record_wrap(HF_RECORD_SEAL, data, size);
  if (fuzz_judge(hf_seal_decode(record, &seal, &error), &error)) {
    g_autoptr(GBytes) again = hf_seal_encode(&seal);
    g_assert_true(g_bytes_equal(again, record));
  }
  return 0;
}
