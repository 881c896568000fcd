/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "testing.h"

static void test_fixed(void)
{
  g_autoptr(GByteArray) bytes = g_byte_array_new();
  hf_put_u8(bytes, 0xfe);
  hf_put_u16(bytes, 0x0102);
  hf_put_u24(bytes, 0x030405);
  hf_put_u32(bytes, 0x06070809);
  hf_put_u64(bytes, G_GUINT64_CONSTANT(0x0a0b0c0d0e0f1011));
  hf_put_i64(bytes, -2);
  hf_put_zeros(bytes, 3);
  assert_array_parts(bytes, "fe 0201 050403 09080706 11100f0e0d0c0b0a feffffffffffffff 000000");
  HfReader reader = hf_reader(bytes->data, bytes->len);
  g_assert_cmpuint(hf_get_u8(&reader), ==, 0xfe);
  g_assert_cmpuint(hf_get_u16(&reader), ==, 0x0102);
  g_assert_cmpuint(hf_get_u24(&reader), ==, 0x030405);
  g_assert_cmpuint(hf_get_u32(&reader), ==, 0x06070809);
  g_assert_cmpuint(hf_get_u64(&reader), ==, G_GUINT64_CONSTANT(0x0a0b0c0d0e0f1011));
  g_assert_cmpint(hf_get_i64(&reader), ==, -2);
  g_assert_cmpuint(hf_reader_left(&reader), ==, 3);
  g_assert_false(hf_reader_done(&reader, "this", NULL));
  HfView rest = hf_get_view(&reader, 3);
  assert_bytes(rest.data, rest.length, "\0\0\0", 3);
  g_assert_true(hf_reader_done(&reader, "this", NULL));
}

static void test_places(void)
{
  guint8 at[8];
  hf_store_u16(at, 0x0102);
  assert_parts(at, 2, "0201");
  g_assert_cmpuint(hf_load_u16(at), ==, 0x0102);
  hf_store_u24(at, 0x010203);
  assert_parts(at, 3, "030201");
  g_assert_cmpuint(hf_load_u24(at), ==, 0x010203);
  hf_store_u32(at, 0x01020304);
  assert_parts(at, 4, "04030201");
  g_assert_cmpuint(hf_load_u32(at), ==, 0x01020304);
  hf_store_u64(at, G_GUINT64_CONSTANT(0x0102030405060708));
  assert_parts(at, 8, "0807060504030201");
  g_assert_cmpuint(hf_load_u64(at), ==, G_GUINT64_CONSTANT(0x0102030405060708));
  hf_store_be64(at, G_GUINT64_CONSTANT(0x0102030405060708));
  assert_parts(at, 8, "0102030405060708");
  g_assert_cmpuint(hf_load_be64(at), ==, G_GUINT64_CONSTANT(0x0102030405060708));
}

static void test_varints(void)
{
  static const struct {
    guint64 value;
    const char *text;
  } good[] = {
    { 0, "00" }, { 1, "01" }, { 127, "7f" }, { 128, "8001" }, { 300, "ac02" }, { 16383, "ff7f" }, { 16384, "808001" },
    { G_GUINT64_CONSTANT(0x7fffffffffffffff), "ff*8 7f" }, { G_GUINT64_CONSTANT(0x8000000000000000), "80*9 01" },
    { G_MAXUINT64, "ff*9 01" },
  };
  for (gsize i = 0; i < G_N_ELEMENTS(good); i++) {
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    hf_put_varint(bytes, good[i].value);
    assert_array_parts(bytes, good[i].text);
    HfReader reader = hf_reader(bytes->data, bytes->len);
    g_assert_cmpuint(hf_get_varint(&reader, good[i].value), ==, good[i].value);
    g_assert_true(hf_reader_done(&reader, "this", NULL));
    if (good[i].value == 0)
      continue;
    /* One too great for who reads it. */
    reader = hf_reader(bytes->data, bytes->len);
    g_assert_cmpuint(hf_get_varint(&reader, good[i].value - 1), ==, 0);
    g_assert_true(reader.failed);
  }
}

static void test_bad_varints(void)
{
  /* Nothing, cut short, longer forms of 0 and 127, 2^64, eleven bytes. */
  static const char *const bad[] = {
    "", "80", "ff*9", "8000", "ff00", "ff*9 02", "80*9 02", "80*9 8001", "ff*9 81 00"
  };
  for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
    g_autoptr(GByteArray) bytes = parts(bad[i]);
    HfReader reader = hf_reader(bytes->data, bytes->len);
    g_assert_cmpuint(hf_get_varint(&reader, G_MAXUINT64), ==, 0);
    g_assert_true(reader.failed);
  }
}

static void test_zigzag(void)
{
  static const struct {
    gint64 value;
    const char *text;
  } rows[] = {
    { 0, "00" }, { -1, "01" }, { 1, "02" }, { -2, "03" }, { 63, "7e" }, { -64, "7f" }, { 64, "8001" },
    { G_MAXINT64, "fe ff*8 01" }, { G_MININT64, "ff*9 01" },
  };
  for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    hf_put_zigzag(bytes, rows[i].value);
    assert_array_parts(bytes, rows[i].text);
    HfReader reader = hf_reader(bytes->data, bytes->len);
    g_assert_cmpint(hf_get_zigzag(&reader), ==, rows[i].value);
    g_assert_true(hf_reader_done(&reader, "this", NULL));
  }
}

static void test_bytes(void)
{
  g_autoptr(GByteArray) bytes = g_byte_array_new();
  hf_put_bytes(bytes, "abc", 3);
  hf_put_bytes(bytes, NULL, 0);
  hf_put_text(bytes, "h\xc3\xa9");
  hf_put_text(bytes, NULL);
  assert_array_parts(bytes, "03 'abc' 00 03 68c3a9 00");
  HfReader reader = hf_reader(bytes->data, bytes->len);
  HfView view = hf_get_bytes(&reader, 3);
  assert_bytes(view.data, view.length, "abc", 3);
  view = hf_get_bytes(&reader, 0);
  g_assert_nonnull(view.data);
  g_assert_cmpuint(view.length, ==, 0);
  g_autofree char *first = hf_get_text(&reader, 3), *second = hf_get_text(&reader, 3);
  g_assert_cmpstr(first, ==, "h\xc3\xa9");
  g_assert_cmpstr(second, ==, "");
  g_assert_true(hf_reader_done(&reader, "this", NULL));
}

static void test_bad_bytes(void)
{
  /* Longer than allowed, longer than there is. */
  static const char *const bad[] = { "04 'abcd'", "03 'ab'", "03" };
  for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
    g_autoptr(GByteArray) bytes = parts(bad[i]);
    HfReader reader = hf_reader(bytes->data, bytes->len);
    HfView view = hf_get_bytes(&reader, 3);
    g_assert_nonnull(view.data);
    g_assert_cmpuint(view.length, ==, 0);
    g_assert_true(reader.failed);
  }
}

static void test_bad_text(void)
{
  /* NUL, a lone byte, an overlong form, a surrogate, beyond Unicode, cut short. */
  static const char *const bad[] = { "02 4100", "01 80", "02 c080", "03 eda080", "04 f4908080", "02 41", "05 'abcde'" };
  for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
    g_autoptr(GByteArray) bytes = parts(bad[i]);
    HfReader reader = hf_reader(bytes->data, bytes->len);
    g_assert_null(hf_get_text(&reader, 4));
    g_assert_true(reader.failed);
  }
}

static void test_counts(void)
{
  g_autoptr(GByteArray) bytes = parts("02 00*8");
  HfReader reader = hf_reader(bytes->data, bytes->len);
  g_assert_cmpuint(hf_get_count(&reader, 4), ==, 2);
  g_assert_false(reader.failed);
  reader = hf_reader(bytes->data, bytes->len);
  g_assert_cmpuint(hf_get_count(&reader, 5), ==, 0);
  g_assert_true(reader.failed);
  g_autoptr(GByteArray) huge = parts("ff*9 01 00*8");
  reader = hf_reader(huge->data, huge->len);
  g_assert_cmpuint(hf_get_count(&reader, 1), ==, 0);
  g_assert_true(reader.failed);
}

/* After the first failure everything is zero and empty, also what takes no bytes. */
static void test_failed(void)
{
  static const guint8 bytes[] = { 1, 2, 3 };
  guint8 raw[4] = { 9, 9, 9, 9 };
  g_autoptr(GError) error = NULL;
  HfReader reader = hf_reader(bytes, sizeof bytes);
  g_assert_cmpuint(hf_get_u32(&reader), ==, 0);
  g_assert_cmpuint(hf_get_u8(&reader), ==, 0);
  g_assert_cmpuint(hf_get_u16(&reader), ==, 0);
  g_assert_cmpuint(hf_get_u24(&reader), ==, 0);
  g_assert_cmpuint(hf_get_u64(&reader), ==, 0);
  g_assert_cmpuint(hf_get_view(&reader, 0).length, ==, 0);
  g_assert_null(hf_get_text(&reader, 9));
  hf_get_raw(&reader, raw, sizeof raw);
  assert_parts(raw, sizeof raw, "00*4");
  g_assert_cmpuint(hf_reader_left(&reader), ==, 0);
  g_assert_false(hf_reader_done(&reader, "the thing", &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_INVALID);
  g_assert_cmpstr(error->message, ==, "the thing is malformed");
}

static void test_empty(void)
{
  HfReader reader = hf_reader(NULL, 0);
  g_assert_cmpuint(hf_reader_left(&reader), ==, 0);
  g_assert_true(hf_reader_done(&reader, "this", NULL));
  g_assert_nonnull(hf_get_view(&reader, 0).data);
  g_assert_false(reader.failed);
}

int main(int argc, char **argv)
{
  test_begin(&argc, &argv);
  g_test_add_func("/cursor/fixed", test_fixed);
  g_test_add_func("/cursor/places", test_places);
  g_test_add_func("/cursor/varints", test_varints);
  g_test_add_func("/cursor/bad-varints", test_bad_varints);
  g_test_add_func("/cursor/zigzag", test_zigzag);
  g_test_add_func("/cursor/bytes", test_bytes);
  g_test_add_func("/cursor/bad-bytes", test_bad_bytes);
  g_test_add_func("/cursor/bad-text", test_bad_text);
  g_test_add_func("/cursor/counts", test_counts);
  g_test_add_func("/cursor/failed", test_failed);
  g_test_add_func("/cursor/empty", test_empty);
  return g_test_run();
}
