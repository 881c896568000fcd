/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hf_config_decode on any body, signed by the key that then stands in it. */
#include "format/repository.h"
#include "fuzz.h"

#define PUBLIC_AT 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static guint8 public_half[32];
  static gboolean begun;
  HfConfig config;
  GError *error = NULL;
  fuzz_begin();
  g_autoptr(GByteArray) body = g_byte_array_new();
  hf_put_raw(body, data, size);
  if (!begun)
    hf_sign_public(&fuzz_seed, public_half);
  begun = TRUE;
  if (size >= PUBLIC_AT + sizeof public_half)
    memcpy(body->data + PUBLIC_AT, public_half, sizeof public_half);
  g_autoptr(GBytes) record = hf_record_finish(HF_RECORD_CONFIG, body, &fuzz_seed, "holdfast config");
  if (fuzz_judge(hf_config_decode(record, &config, &error), &error)) {
    g_autoptr(GBytes) again = hf_config_encode(&config, &fuzz_seed);
    g_assert_true(g_bytes_equal(again, record));
  }
  return 0;
}
