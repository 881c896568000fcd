/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hf_session_slot_decode on any bytes. */
#include "format/pack.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  HfSessionSlot slot;
  HfReader reader = hf_reader(data, size);
  fuzz_begin();
  hf_get_session_slot(&reader, &slot);
  if (!reader.failed) {
    guint8 again[HF_SESSION_SLOT_BYTES];
    hf_session_slot_encode(&slot, NULL, again);
    fuzz_same(again, sizeof again, data, HF_SESSION_SLOT_BYTES);
    hf_session_slot_verify(&slot, fuzz_seed.b);
  }
  return 0;
}
