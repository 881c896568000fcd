/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hf_parity_head_decode on any bytes: as they are, and with a right check. */
#include "format/pack.h"
#include "fuzz.h"

static void decode(const guint8 *bytes, gsize length)
{
  HfParityHead head;
  GError *error = NULL;
  if (fuzz_judge(hf_parity_head_decode(bytes, length, &head, &error), &error)) {
    guint8 again[HF_PARITY_HEAD_BYTES];
    hf_parity_head_encode(&head, again);
    fuzz_same(again, sizeof again, bytes, sizeof again);
    /* The parity of a pack is shorter than a quarter of it, but for what one stripe and the sums take. */
    g_assert_true(hf_parity_object_length(&head) < head.pack_length / 4 + 8 * HF_CELL_BYTES);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  decode(data, size);
  if (size >= HF_PARITY_HEAD_BYTES) {
    g_autofree guint8 *checked = g_memdup2(data, size);
    hf_store_be64(checked + HF_PARITY_HEAD_BYTES - 8, hf_xxh64(checked, HF_PARITY_HEAD_BYTES - 8));
    decode(checked, size);
  }
  return 0;
}
