/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hf_notice_decode on any body; the first byte chooses the kind. */
#include "format/repository.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static const HfRecordKind kinds[] = { HF_RECORD_SLOT_HIDDEN, HF_RECORD_WRITER_REMOVED, HF_RECORD_TOMBSTONE };
  HfShortId id;
  gint64 time;
  GError *error = NULL;
  fuzz_begin();
  if (size == 0)
    return 0;
  HfRecordKind kind = kinds[data[0] % G_N_ELEMENTS(kinds)];
  g_autoptr(GBytes) record = kind == HF_RECORD_TOMBSTONE ? hf_record_wrap(kind, data + 1, size - 1)
                                                         : fuzz_signed_record(kind, data + 1, size - 1);
  if (fuzz_judge(hf_notice_decode(record, kind, NULL, &id, &time, &error), &error)) {
    g_autoptr(GBytes) again = hf_notice_encode(kind, &id, time, &fuzz_seed);
    fuzz_same_body(again, data + 1, size - 1);
  }
  return 0;
}
