/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hf_pack_head_decode on any bytes: as they are, and with a right check. */
#include "format/pack.h"
#include "fuzz.h"

static void decode(const guint8 *bytes, gsize length)
{
  g_auto(HfPackInfo) info;
  GError *error = NULL;
  hf_pack_info_init(&info);
  if (fuzz_judge(hf_pack_head_decode(bytes, length, &info, &error), &error)) {
    g_autoptr(GByteArray) again = g_byte_array_new();
    hf_pack_head_encode(&info, again);
    fuzz_same_array(again, bytes, hf_pack_head_length(info.slots->len));
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  gsize head;
  decode(data, size);
  if (hf_pack_head_peek(data, size, &head, NULL) && head <= size) {
    g_autofree guint8 *checked = g_memdup2(data, size);
    hf_store_be64(checked + head - 8, hf_xxh64(checked, head - 8));
    decode(checked, size);
  }
  return 0;
}
