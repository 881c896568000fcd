/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hf_outcome_decode on any body; and on one whose first byte is the state, and the rest the body of a point. */
#include "format/point.h"
#include "fuzz.h"

static void decode(const guint8 *body, gsize length)
{
  HfOutcomeState state;
  g_autoptr(GBytes) point = NULL;
  GError *error = NULL;
  g_autoptr(GBytes) record = hf_record_wrap(HF_RECORD_OUTCOME, body, length);
  if (fuzz_judge(hf_outcome_decode(record, &state, &point, &error), &error)) {
    g_autoptr(GBytes) again = hf_outcome_encode(state, point);
    g_assert_true(g_bytes_equal(again, record));
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  fuzz_begin();
  decode(data, size);
  if (size > 1) {
    g_autoptr(GBytes) point = hf_record_wrap(HF_RECORD_POINT, data + 1, size - 1);
    g_autoptr(GByteArray) body = g_byte_array_new();
    hf_put_u8(body, data[0]);
    hf_put_bytes(body, g_bytes_get_data(point, NULL), g_bytes_get_size(point));
    decode(body->data, body->len);
  }
  return 0;
}
