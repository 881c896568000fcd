/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hf_checkpoint_decode on any body. */
#include "format/point.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  HfCheckpoint checkpoint;
  GError *error = NULL;
  fuzz_begin();
  g_autoptr(GBytes) record = fuzz_signed_record(HF_RECORD_CHECKPOINT, data, size);
  if (fuzz_judge(hf_checkpoint_decode(record, NULL, &checkpoint, &error), &error)) {
    g_autoptr(GBytes) again = hf_checkpoint_encode(&checkpoint, &fuzz_seed);
    fuzz_same_body(again, data, size);
  }
  return 0;
}
