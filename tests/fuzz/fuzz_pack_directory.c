/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hf_pack_directory_decode with a right digest. The first byte is the kind of the pack, the next four where the
 * directory begins; when they are zero it is where the frames end. */
#include "format/pack.h"
#include "fuzz.h"

/* Where the frames of a directory end, if its counts can be believed. */
static guint64 frames_end(const guint8 *bytes, gsize length)
{
  if (length < 12)
    return 0;
  guint32 frames = hf_load_u32(bytes);
  guint slots = hf_load_u16(bytes + 8);
  guint64 end = hf_pack_head_length(slots), at = 12 + (guint64)slots * HF_SESSION_SLOT_BYTES;
  for (guint32 i = 0; i < frames && at + 24 <= length; i++, at += 24)
    end += hf_load_u32(bytes + at);
  return end;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  g_auto(HfPackInfo) info = { 0 };
  guint8 digest[16];
  GError *error = NULL;
  if (size < 5)
    return 0;
  const guint8 *bytes = data + 5;
  gsize length = size - 5;
  guint64 offset = hf_load_u32(data + 1);
  if (offset == 0)
    offset = frames_end(bytes, length);
  hf_pack_info_init(&info);
  info.kind = data[0];
  info.length = offset + length + HF_PACK_TRAILER_BYTES;
  hf_xxh128(bytes, length, digest);
  if (fuzz_judge(hf_pack_directory_decode(bytes, length, offset, digest, &info, &error), &error)) {
    g_autoptr(GByteArray) again = g_byte_array_new();
    hf_pack_end_encode(&info, offset, again);
    fuzz_same(again->data, again->len - HF_PACK_TRAILER_BYTES, bytes, length);
    fuzz_same(again->data + length + 40, 16, digest, 16);
  }
  return 0;
}
