/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * libFuzzer target: hf_decompress on any bytes. The first byte chooses the codec, the next two the length that should
 * come out (little-endian), the rest is what is decompressed. The output is allocated exactly, so that the address
 * sanitizer sees a write past its end.
 */
#include <glib.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "codec/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static HfCodecContext *context;
  HfCodec codec;
  gsize plain_length;

  if (size < 3)
    return 0;
  if (context == NULL)
    context = hf_codec_new();
  codec = (HfCodec)(data[0] & 3);
  plain_length = (gsize)data[1] | (gsize)data[2] << 8;

  g_autofree guint8 *out = g_malloc(plain_length);
  g_autofree guint8 *packed = g_malloc(plain_length + 1024);
  g_autofree guint8 *again = g_malloc(plain_length);
  g_autoptr(GError) error = NULL;
  gssize packed_length;

  if (!hf_decompress(context, codec, data + 3, size - 3, out, plain_length, &error)) {
    g_assert(error != NULL);
    return 0;
  }
  g_assert(error == NULL);
  packed_length = hf_compress(context, codec, 1, out, plain_length, packed, plain_length + 1024, NULL);
  g_assert(packed_length >= 0);
  if (packed_length > 0) {
    g_assert(hf_decompress(context, codec, packed, (gsize)packed_length, again, plain_length, NULL));
    g_assert(memcmp(out, again, plain_length) == 0);
  }
  return 0;
}
