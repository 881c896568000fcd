/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hf_ring_decode on any body. */
#include "format/repository.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  HfRing ring;
  GError *error = NULL;
  fuzz_begin();
  g_autoptr(GBytes) record = fuzz_signed_record(HF_RECORD_RING, data, size);
  if (fuzz_judge(hf_ring_decode(record, NULL, &ring, &error), &error)) {
    g_autoptr(GBytes) again = hf_ring_encode(&ring, &fuzz_seed);
    fuzz_same_body(again, data, size);
    hf_ring_clear(&ring);
  }
  return 0;
}
