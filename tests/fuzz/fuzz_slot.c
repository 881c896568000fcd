/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hf_slot_decode on any body. */
#include "format/repository.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  HfSlot slot;
  GError *error = NULL;
  fuzz_begin();
  g_autoptr(GBytes) record = fuzz_signed_record(HF_RECORD_SLOT, data, size);
  if (fuzz_judge(hf_slot_decode(record, NULL, &slot, &error), &error)) {
    g_autoptr(GBytes) again = hf_slot_encode(&slot, &fuzz_seed);
    fuzz_same_body(again, data, size);
    hf_slot_clear(&slot);
  }
  return 0;
}
