/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "format/point.h"
#include "points.h"
#include "testing.h"

#define CLEAR_PART "11*16 22*16 07000000 55*16 66*32 01000000 " TEST_SLOT
#define BODY TEST_POINT_BODY

/* Where fields lie in the body. */
enum { AT_SESSION = 16, AT_WRITER = 32, AT_DOMAIN = 48, AT_FLAGS = 100, AT_SLOT = 104, AT_SLOT_DOMAIN = 136,
       AT_SLOT_ZEROS = 304, AT_NONCE = 400, AT_SEALED = 412, AT_SIGNATURE = 434 };

static void test_golden(void)
{
  g_auto(HfPoint) point, decoded;
  guint8 public_half[32];
  GError *error = NULL;
  make_point(&point);
  hf_point_sign(&point, &test_seed);
  assert_parts(point.id.b, sizeof point.id.b, "b7d22c5b12785f63d608c7a826480d87");
  g_autoptr(GByteArray) clear = g_byte_array_new(), zeroed = g_byte_array_new();
  hf_point_clear_part(&point, FALSE, clear);
  assert_array_parts(clear, "b7d22c5b12785f63d608c7a826480d87 " CLEAR_PART);
  hf_point_clear_part(&point, TRUE, zeroed);
  assert_array_parts(zeroed, "00*16 " CLEAR_PART);
  g_autoptr(GBytes) record = hf_point_encode(&point);
  assert_g_bytes_parts(record, TEST_POINT_RECORD);
  hf_sign_public(&test_seed, public_half);
  g_assert_true(hf_point_decode(record, &decoded, &error));
  g_assert_no_error(error);
  g_assert_true(hf_point_verify(&decoded, public_half));
  g_assert_cmpuint(decoded.flags, ==, HF_POINT_LIVE);
  g_assert_cmpuint(decoded.sequence, ==, 3);
  g_assert_cmpint(decoded.time, ==, 0x0102030405060708);
  g_assert_cmpuint(decoded.lock, ==, 4);
  g_autoptr(GBytes) again = hf_point_encode(&decoded);
  g_assert_true(g_bytes_equal(record, again));
  public_half[0] ^= 1;
  g_assert_false(hf_point_verify(&decoded, public_half));
  public_half[0] ^= 1;
  decoded.signature[5] ^= 1;
  g_assert_false(hf_point_verify(&decoded, public_half));
}

/* The stamp is set by who commits, and is not signed. */
static void test_stamp(void)
{
  g_auto(HfPoint) point;
  guint8 public_half[32];
  make_point(&point);
  hf_point_sign(&point, &test_seed);
  HfShortId id = point.id;
  point.sequence = 99;
  point.time = -1;
  point.lock = G_MAXUINT64;
  hf_sign_public(&test_seed, public_half);
  g_assert_true(hf_point_verify(&point, public_half));
  g_autoptr(GBytes) record = hf_point_encode(&point);
  g_auto(HfPoint) decoded;
  g_assert_true(hf_point_decode(record, &decoded, NULL));
  g_assert_true(hf_short_id_equal(&decoded.id, &id));
}

/* A body whose id is made right: what is wrong is something else. */
static gboolean decode(const guint8 *bytes, gsize length, GError **error)
{
  g_autoptr(GByteArray) body = g_byte_array_new();
  g_auto(HfPoint) point = { 0 };
  guint8 digest[32];
  hf_put_raw(body, bytes, length);
  if (length > AT_SIGNATURE) {
    memset(body->data, 0, HF_SHORT_ID_BYTES);
    hf_sha256(body->data, length - 88, digest);
    memcpy(body->data, digest, HF_SHORT_ID_BYTES);
  }
  g_autoptr(GBytes) record = hf_record_wrap(HF_RECORD_POINT, body->data, body->len);
  return hf_point_decode(record, &point, error);
}

static gboolean decode_as_is(const guint8 *bytes, gsize length, GError **error)
{
  g_auto(HfPoint) point = { 0 };
  g_autoptr(GBytes) record = hf_record_wrap(HF_RECORD_POINT, bytes, length);
  return hf_point_decode(record, &point, error);
}

static void test_refused(void)
{
  assert_exact_length(decode_as_is, BODY, HF_ERROR_INVALID);
  assert_patch_refused(decode_as_is, BODY, 0, "00");
  assert_patch_refused(decode_as_is, BODY, AT_SESSION - 1, "00");
  assert_patch_refused(decode_as_is, BODY, AT_NONCE, "00");
  assert_patch_taken(decode, BODY, AT_NONCE, "00");
  assert_patch_refused(decode, BODY, AT_SESSION, "10");
  assert_patch_refused(decode, BODY, AT_WRITER, "10");
  assert_patch_refused(decode, BODY, AT_DOMAIN, "06");
  assert_patch_taken(decode, BODY, AT_FLAGS, "03");
  assert_patch_refused(decode, BODY, AT_FLAGS, "04");
  assert_patch_refused(decode, BODY, AT_FLAGS, "01000080");
  assert_patch_refused(decode, BODY, AT_SLOT, "10");
  assert_patch_refused(decode, BODY, AT_SLOT_DOMAIN, "06");
  assert_patch_refused(decode, BODY, AT_SLOT_ZEROS, "01");
  assert_patch_refused(decode, BODY, AT_SEALED, "14");
  assert_patch_refused(decode, BODY, AT_SEALED, "16");
  /* Sealed bytes that are a tag only, and more than there may be. */
  assert_refused(decode, "00*16 " CLEAR_PART " 77*12 10 88*16 00*64 00*24");
  assert_taken(decode, "00*16 " CLEAR_PART " 77*12 11 88*17 00*64 00*24");
  assert_taken(decode, "00*16 " CLEAR_PART " 77*12 80808008 88*16777216 00*64 00*24");
  assert_refused(decode, "00*16 " CLEAR_PART " 77*12 81808008 88*16777217 00*64 00*24");
}

static void test_wrong_kind(void)
{
  HfPoint point;
  GError *error = NULL;
  g_autoptr(GBytes) record = hf_record_wrap(HF_RECORD_MARK, "", 0);
  g_assert_false(hf_point_decode(record, &point, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_INVALID);
  g_clear_error(&error);
}

/* ---- Details ---- */

#define DETAILS \
  "04 'home' 04 'host' 04 'user' 0c 'holdfast-0.1' 0807060504030201 f6ffffffffffffff 02 01 'a' 02 c3a9 " \
  "01 00*7 02 00*7 03 00*7 04 00*7 05 00*7 06 00*7 02 05 '/home' 01 0900000000000000 00 " \
  "08 '/dev/sda' 02 0a00000000000000 03 'abc'"

static gboolean decode_details(const guint8 *bytes, gsize length, GError **error)
{
  g_autoptr(HfPointDetails) details = hf_point_details_decode(bytes, length, error);
  return details != NULL;
}

static void test_details(void)
{
  g_autoptr(HfPointDetails) details = hf_point_details_new(), decoded = NULL;
  GError *error = NULL;
  details->name = g_strdup("home");
  details->host = g_strdup("host");
  details->user = g_strdup("user");
  details->program = g_strdup("holdfast-0.1");
  details->started = 0x0102030405060708;
  details->ended = -10;
  g_ptr_array_add(details->tags, g_strdup("a"));
  g_ptr_array_add(details->tags, g_strdup("\xc3\xa9"));
  details->files = 1;
  details->directories = 2;
  details->bytes = 3;
  details->new_bytes = 4;
  details->stored_bytes = 5;
  details->warnings = 6;
  HfPointRoot *root = hf_point_root_new("/home", 5, 1), *disk = hf_point_root_new("/dev/sda", 8, 2);
  root->entries = 9;
  disk->entries = 10;
  disk->cookie = g_bytes_new("abc", 3);
  g_ptr_array_add(details->roots, root);
  g_ptr_array_add(details->roots, disk);
  g_autoptr(GByteArray) plain = g_byte_array_new(), again = g_byte_array_new();
  hf_point_details_encode(details, plain);
  assert_array_parts(plain, DETAILS);
  decoded = hf_point_details_decode(plain->data, plain->len, &error);
  g_assert_no_error(error);
  g_assert_cmpstr(decoded->name, ==, "home");
  g_assert_cmpstr(g_ptr_array_index(decoded->tags, 1), ==, "\xc3\xa9");
  g_assert_cmpuint(decoded->warnings, ==, 6);
  const HfPointRoot *first = g_ptr_array_index(decoded->roots, 0), *second = g_ptr_array_index(decoded->roots, 1);
  g_assert_null(first->cookie);
  g_assert_cmpuint(first->entries, ==, 9);
  g_assert_cmpuint(g_bytes_get_size(second->cookie), ==, 3);
  hf_point_details_encode(decoded, again);
  assert_bytes(again->data, again->len, plain->data, plain->len);
  hf_point_details_free(NULL);
}

static void test_bad_details(void)
{
  assert_exact_length(decode_details, DETAILS, HF_ERROR_INVALID);
  assert_taken(decode_details, "00 00 00 00 00*8 00*8 00 00*48 00");
  /* More tags or roots than can be there; a tag, a path, a kind and a cookie that cannot be. */
  assert_refused(decode_details, "00 00 00 00 00*8 00*8 ffffffff0f 00*48 00");
  assert_refused(decode_details, "00 00 00 00 00*8 00*8 01 01 ff 00*48 00");
  assert_refused(decode_details, "00 00 00 00 00*8 00*8 00 00*48 ffffffff0f 01 2f 01 00*8 00");
  assert_taken(decode_details, "00 00 00 00 00*8 00*8 00 00*48 01 01 2f 01 00*8 00");
  assert_refused(decode_details, "00 00 00 00 00*8 00*8 00 00*48 01 01 61 01 00*8 00");
  assert_refused(decode_details, "00 00 00 00 00*8 00*8 00 00*48 01 00 01 00*8 00 00");
  assert_refused(decode_details, "00 00 00 00 00*8 00*8 00 00*48 01 01 2f 00 00*8 00");
  assert_refused(decode_details, "00 00 00 00 00*8 00*8 00 00*48 01 01 2f 03 00*8 00");
  assert_taken(decode_details, "00 00 00 00 00*8 00*8 00 00*48 01 01 2f 01 00*8 808040 00*1048576");
  assert_refused(decode_details, "00 00 00 00 00*8 00*8 00 00*48 01 01 2f 01 00*8 818040 00*1048577");
  assert_taken(decode_details, "8020 61*4096 00 00 00 00*8 00*8 00 00*48 00");
  assert_refused(decode_details, "8120 61*4097 00 00 00 00*8 00*8 00 00*48 00");
}

int main(int argc, char **argv)
{
  test_begin(&argc, &argv);
  g_test_add_func("/point/golden", test_golden);
  g_test_add_func("/point/stamp", test_stamp);
  g_test_add_func("/point/refused", test_refused);
  g_test_add_func("/point/wrong-kind", test_wrong_kind);
  g_test_add_func("/point/details", test_details);
  g_test_add_func("/point/bad-details", test_bad_details);
  return g_test_run();
}
