/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hf_extras_next on any bytes. */
#include "format/tree.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  HfReader reader = hf_reader(data, size);
  guint64 tag;
  HfView value;
  GError *error = NULL;
  g_autoptr(GByteArray) again = g_byte_array_new();
  gboolean valid = hf_extras_valid((HfView){ data, size });
  while (hf_extras_next(&reader, &tag, &value, &error))
    hf_extras_add(again, (HfExtra)tag, value.data, value.length);
  g_assert_true(fuzz_judge(error == NULL, &error) == valid);
  if (valid)
    fuzz_same_array(again, data, size);
  return 0;
}
