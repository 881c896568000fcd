/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hf_message_decode on any bytes, by the table that has one of everything. What was accepted must encode, and what came
 * out of that must stay as it is: fields of a newer version are skipped, those that an older one left out come as
 * empty. */
#include "fuzz.h"
#include "net/messages/sample.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  g_auto(HfSampleAll) all = { 0 }, again = { 0 };
  GError *error = NULL;
  if (!fuzz_judge(hf_sample_all_decode_bytes(data, size, &all, &error), &error))
    return 0;
  g_autoptr(GBytes) once = hf_sample_all_encode(&all, &error);
  g_assert_no_error(error);
  g_assert_true(hf_sample_all_decode(once, &again, &error));
  g_autoptr(GBytes) twice = hf_sample_all_encode(&again, &error);
  g_assert_true(g_bytes_equal(once, twice));
  return 0;
}
