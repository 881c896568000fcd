/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hf_bundle_decode on any bytes. */
#include "format/repository.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  g_autoptr(GArray) items = g_array_new(FALSE, FALSE, sizeof(HfBundleItem));
  GError *error = NULL;
  if (fuzz_judge(hf_bundle_decode(data, size, items, &error), &error)) {
    g_autoptr(GByteArray) plain = g_byte_array_new();
    hf_bundle_encode((const HfBundleItem *)(gpointer)items->data, items->len, plain);
    fuzz_same_array(plain, data, size);
  } else {
    g_assert_true(items->len == 0);
  }
  return 0;
}
