/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hf_record_open on any bytes: as they are, and with a right digest. The kind is the one that the bytes state. */
#include "fuzz.h"

static void open_it(const guint8 *bytes, gsize length)
{
  HfView body;
  GError *error = NULL;
  HfRecordKind kind = length >= 12 ? hf_load_u16(bytes + 10) : HF_RECORD_CONFIG;
  if (!fuzz_judge(hf_record_open(bytes, length, kind, "the input", &body, &error), &error))
    return;
  g_autoptr(GBytes) again = hf_record_wrap(kind, body.data, body.length);
  fuzz_same(g_bytes_get_data(again, NULL), g_bytes_get_size(again), bytes, length);
  HfView signed_part, signature;
  if (hf_body_split(body, &signed_part, &signature))
    g_assert_true(signed_part.length + signature.length == body.length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  guint8 digest[32];
  fuzz_begin();
  open_it(data, size);
  g_autoptr(GByteArray) sealed = g_byte_array_new();
  hf_put_raw(sealed, data, size);
  hf_sha256(sealed->data, sealed->len, digest);
  hf_put_raw(sealed, digest, sizeof digest);
  open_it(sealed->data, sealed->len);
  return 0;
}
