/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "testing.h"

#define HEADER "'HOLDFAST' 0100 0e00 03000000 'abc'"
#define DIGEST "6f5740faabdff32fabc2346e8b9aaf8a3282ae54681a20ba3de42150c434712b"

static gboolean decode(const guint8 *bytes, gsize length, GError **error)
{
  HfView body;
  return hf_record_open(bytes, length, HF_RECORD_TOMBSTONE, "the record", &body, error);
}

static void test_golden(void)
{
  g_autoptr(GBytes) record = hf_record_wrap(HF_RECORD_TOMBSTONE, "abc", 3);
  assert_g_bytes_parts(record, HEADER " " DIGEST);
  gsize length;
  const void *bytes = g_bytes_get_data(record, &length);
  HfView body;
  GError *error = NULL;
  g_assert_true(hf_record_open(bytes, length, HF_RECORD_TOMBSTONE, "the record", &body, &error));
  g_assert_no_error(error);
  assert_bytes(body.data, body.length, "abc", 3);
}

static void test_empty(void)
{
  g_autoptr(GBytes) record = hf_record_wrap(HF_RECORD_TOMBSTONE, NULL, 0);
  gsize length;
  const void *bytes = g_bytes_get_data(record, &length);
  g_assert_cmpuint(length, ==, HF_RECORD_ENVELOPE_BYTES);
  assert_accepted(decode, bytes, length);
}

/* `text` and its right digest. */
static void assert_sealed_refused(const char *text, HfErrorCode code)
{
  guint8 digest[32];
  g_autoptr(GByteArray) bytes = parts(text);
  hf_sha256(bytes->data, bytes->len, digest);
  hf_put_raw(bytes, digest, sizeof digest);
  assert_refused_as(decode, bytes->data, bytes->len, code);
}

static void test_refused(void)
{
  g_autoptr(GByteArray) whole = parts(HEADER " " DIGEST);
  for (gsize length = 0; length < whole->len; length++)
    assert_refused_as(decode, whole->data, length, length < 8 ? HF_ERROR_FORMAT : HF_ERROR_DAMAGED);
  for (gsize i = 0; i < whole->len; i++) {
    whole->data[i] ^= 0x10;
    assert_refused_as(decode, whole->data, whole->len, i < 8 ? HF_ERROR_FORMAT : HF_ERROR_DAMAGED);
    whole->data[i] ^= 0x10;
  }
  assert_sealed_refused("'HOLDFASt' 0100 0e00 03000000 'abc'", HF_ERROR_FORMAT);
  assert_sealed_refused("'HOLDFAST' 0000 0e00 03000000 'abc'", HF_ERROR_FORMAT);
  assert_sealed_refused("'HOLDFAST' 0200 0e00 03000000 'abc'", HF_ERROR_FORMAT);
  assert_sealed_refused("'HOLDFAST' 0100 0e00 02000000 'abc'", HF_ERROR_DAMAGED);
  assert_sealed_refused("'HOLDFAST' 0100 0e00 04000000 'abc'", HF_ERROR_DAMAGED);
  assert_sealed_refused("'HOLDFAST' 0100 0e00 03000000 'abcd'", HF_ERROR_DAMAGED);
  assert_sealed_refused("'HOLDFAST' 0100 0d00 03000000 'abc'", HF_ERROR_INVALID);
}

static void test_limit(void)
{
  g_autofree guint8 *body = g_malloc0(HF_RECORD_LIMIT);
  g_autoptr(GBytes) record = hf_record_wrap(HF_RECORD_TOMBSTONE, body, HF_RECORD_LIMIT);
  gsize length;
  const guint8 *bytes = g_bytes_get_data(record, &length);
  assert_accepted(decode, bytes, length);
  g_autofree guint8 *longer = g_malloc0(length + 1);
  memcpy(longer, bytes, length);
  assert_refused_as(decode, longer, length + 1, HF_ERROR_DAMAGED);
}

static void test_signed(void)
{
  guint8 public_half[32];
  hf_sign_public(&test_seed, public_half);
  assert_parts(public_half, 32, TEST_PUBLIC);
  g_autoptr(GByteArray) body = parts("'abc'");
  g_autoptr(GBytes) record = hf_record_finish(HF_RECORD_RING, body, &test_seed, "holdfast test");
  HfView signed_part;
  GError *error = NULL;
  g_assert_true(
    hf_record_open_signed(record, HF_RECORD_RING, public_half, "holdfast test", "it", &signed_part, &error));
  g_assert_no_error(error);
  assert_bytes(signed_part.data, signed_part.length, "abc", 3);
  g_assert_true(hf_record_open_signed(record, HF_RECORD_RING, NULL, "holdfast test", "it", &signed_part, &error));
  g_assert_no_error(error);
  assert_bytes(signed_part.data, signed_part.length, "abc", 3);
  g_assert_false(
    hf_record_open_signed(record, HF_RECORD_RING, public_half, "holdfast rest", "it", &signed_part, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_DAMAGED);
  g_clear_error(&error);
  public_half[0] ^= 1;
  g_assert_false(
    hf_record_open_signed(record, HF_RECORD_RING, public_half, "holdfast test", "it", &signed_part, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_DAMAGED);
  g_clear_error(&error);
  g_assert_false(hf_record_open_signed(record, HF_RECORD_SLOT, NULL, "holdfast test", "it", &signed_part, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_INVALID);
  g_clear_error(&error);
}

static void test_too_short_to_be_signed(void)
{
  guint8 public_half[32];
  hf_sign_public(&test_seed, public_half);
  g_autoptr(GByteArray) body = parts("00*63");
  g_autoptr(GBytes) record = hf_record_wrap(HF_RECORD_RING, body->data, body->len);
  HfView signed_part;
  GError *error = NULL;
  g_assert_false(
    hf_record_open_signed(record, HF_RECORD_RING, public_half, "holdfast test", "it", &signed_part, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_INVALID);
  g_clear_error(&error);
  g_assert_false(hf_record_open_signed(record, HF_RECORD_RING, NULL, "holdfast test", "it", &signed_part, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_INVALID);
  g_clear_error(&error);
}

int main(int argc, char **argv)
{
  test_begin(&argc, &argv);
  g_test_add_func("/record/golden", test_golden);
  g_test_add_func("/record/empty", test_empty);
  g_test_add_func("/record/refused", test_refused);
  g_test_add_func("/record/limit", test_limit);
  g_test_add_func("/record/signed", test_signed);
  g_test_add_func("/record/too-short-to-be-signed", test_too_short_to_be_signed);
  return g_test_run();
}
