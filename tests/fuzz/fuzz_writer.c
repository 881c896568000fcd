/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hf_writer_decode on any body. */
#include "format/repository.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  HfWriter writer;
  GError *error = NULL;
  fuzz_begin();
  g_autoptr(GBytes) record = fuzz_signed_record(HF_RECORD_WRITER, data, size);
  if (fuzz_judge(hf_writer_decode(record, NULL, &writer, &error), &error)) {
    g_autoptr(GBytes) again = hf_writer_encode(&writer, &fuzz_seed);
    fuzz_same_body(again, data, size);
    hf_writer_clear(&writer);
  }
  return 0;
}
