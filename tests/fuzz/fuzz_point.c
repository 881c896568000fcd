/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hf_point_decode on any body, whose id is made right when the first byte is not zero. */
#include "format/point.h"
#include "fuzz.h"

#define NOT_SIGNED_BYTES (HF_SIGNATURE_BYTES + 24)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  HfPoint point;
  GError *error = NULL;
  fuzz_begin();
  if (size == 0)
    return 0;
  gsize length = size - 1;
  g_autofree guint8 *body = g_memdup2(data + 1, length);
  if (data[0] != 0 && length > NOT_SIGNED_BYTES + HF_SHORT_ID_BYTES) {
    guint8 digest[32];
    memset(body, 0, HF_SHORT_ID_BYTES);
    hf_sha256(body, length - NOT_SIGNED_BYTES, digest);
    memcpy(body, digest, HF_SHORT_ID_BYTES);
  }
  g_autoptr(GBytes) record = hf_record_wrap(HF_RECORD_POINT, body, length);
  if (fuzz_judge(hf_point_decode(record, &point, &error), &error)) {
    g_autoptr(GBytes) again = hf_point_encode(&point);
    g_assert_true(g_bytes_equal(again, record));
    hf_point_clear(&point);
  }
  return 0;
}
