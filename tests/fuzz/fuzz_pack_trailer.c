/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hf_pack_trailer_decode on any bytes: as they are, and with a right check. */
#include "format/pack.h"
#include "fuzz.h"

static void decode(const guint8 *bytes, gsize length)
{
  HfShortId pack;
  guint64 offset, directory;
  guint8 digest[16];
  GError *error = NULL;
  if (fuzz_judge(hf_pack_trailer_decode(bytes, length, &pack, &offset, &directory, digest, &error), &error))
    g_assert_true(offset + directory + length <= G_MAXUINT32);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  decode(data, size);
  if (size == HF_PACK_TRAILER_BYTES) {
    g_autofree guint8 *checked = g_memdup2(data, size);
    hf_store_be64(checked + size - 8, hf_xxh64(checked, size - 8));
    decode(checked, size);
  }
  return 0;
}
