/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "format/pack.h"
#include "testing.h"

#define GOLDEN "4846706172310a00 66*16 0000000400000000 5000 0400 cd000000 93016837fba4bc79"

static gboolean decode(const guint8 *bytes, gsize length, GError **error)
{
  HfParityHead head;
  return hf_parity_head_decode(bytes, length, &head, error);
}

static void test_golden(void)
{
  HfParityHead head = { .pack_length = 64 << 20, .data_cells = 80, .parity_cells = 4, .stripes = 205 }, decoded;
  guint8 bytes[HF_PARITY_HEAD_BYTES];
  GError *error = NULL;
  fill(&head.pack, 0x66, sizeof head.pack);
  hf_parity_head_encode(&head, bytes);
  assert_parts(bytes, sizeof bytes, GOLDEN);
  g_assert_true(hf_parity_head_decode(bytes, sizeof bytes, &decoded, &error));
  g_assert_no_error(error);
  guint8 again[HF_PARITY_HEAD_BYTES];
  hf_parity_head_encode(&decoded, again);
  assert_bytes(again, sizeof again, bytes, sizeof bytes);
  g_assert_cmpuint(hf_parity_cells(&head), ==, 16384);
  g_assert_cmpuint(hf_parity_sums_length(&head), ==, 139264);
  g_assert_cmpuint(hf_parity_object_length(&head), ==, 3637344);
}

static void test_lengths(void)
{
  /* 483 data cells and 7 stripes of 4 parity cells fill one page of 511 sums. */
  HfParityHead head = { .pack_length = 1, .data_cells = 80, .parity_cells = 4, .stripes = 1 };
  g_assert_cmpuint(hf_parity_cells(&head), ==, 1);
  g_assert_cmpuint(hf_parity_sums_length(&head), ==, 4096);
  g_assert_cmpuint(hf_parity_object_length(&head), ==, 2 * (48 + 4096) + 4 * 4096);
  head.pack_length = 483 * 4096;
  head.stripes = 7;
  g_assert_cmpuint(hf_parity_sums_length(&head), ==, 4096);
  head.pack_length++;
  g_assert_cmpuint(hf_parity_cells(&head), ==, 484);
  g_assert_cmpuint(hf_parity_sums_length(&head), ==, 8192);
}

static void head_with(gsize at, const char *patch, gboolean valid)
{
  g_autoptr(GByteArray) head = patched(GOLDEN, at, patch);
  hf_store_be64(head->data + 40, hf_xxh64(head->data, 40));
  if (valid)
    assert_accepted(decode, head->data, head->len);
  else
    assert_refused_as(decode, head->data, head->len, HF_ERROR_INVALID);
}

static void test_refused(void)
{
  g_autoptr(GByteArray) head = parts(GOLDEN);
  for (gsize length = 0; length < head->len; length++)
    assert_refused_as(decode, head->data, length, HF_ERROR_DAMAGED);
  for (guint i = 0; i < head->len; i++) {
    head->data[i] ^= 2;
    assert_refused_as(decode, head->data, head->len, HF_ERROR_DAMAGED);
    head->data[i] ^= 2;
  }
  head_with(0, "49", FALSE);
  head_with(24, "0000000000000000 5000 0400 00000000", FALSE);
  head_with(24, "0000000001000000 5000 0400 34330000", FALSE);
  head_with(24, "ffffffff00000000 5000 0400 34330000", TRUE);
  head_with(24, "ffffffffffffffff", FALSE);
  head_with(24, "0100000000000000 2800 0400 01000000", TRUE);
  head_with(32, "2800 0400 9a010000", TRUE);
  head_with(32, "2800", FALSE);
  head_with(32, "5100", FALSE);
  head_with(32, "0000", FALSE);
  head_with(34, "0300", FALSE);
  head_with(36, "cc000000", FALSE);
  head_with(36, "ce000000", FALSE);
}

int main(int argc, char **argv)
{
  test_begin(&argc, &argv);
  g_test_add_func("/parity/golden", test_golden);
  g_test_add_func("/parity/lengths", test_lengths);
  g_test_add_func("/parity/refused", test_refused);
  return g_test_run();
}
