/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/buffer.h"
#include "base/error.h"

#define MIB (G_GUINT64_CONSTANT(1) << 20)

static void test_append(void)
{
  g_auto(HfBuffer) buffer = HF_BUFFER_INIT;
  g_autoptr(GError) error = NULL;
  for (guint i = 0; i < 1000; i++) {
    guint8 byte = (guint8)i;
    g_assert_true(hf_buffer_append(&buffer, &byte, 1, &error));
  }
  g_assert_no_error(error);
  g_assert_cmpuint(buffer.length, ==, 1000);
  g_assert_cmpuint(buffer.capacity, >=, 1000);
  for (guint i = 0; i < 1000; i++)
    g_assert_cmpuint(buffer.data[i], ==, (guint8)i);
  g_assert_true(hf_buffer_append(&buffer, NULL, 0, &error));
  g_assert_cmpuint(buffer.length, ==, 1000);
}

static void test_reserve(void)
{
  g_auto(HfBuffer) buffer = HF_BUFFER_INIT;
  g_autoptr(GError) error = NULL;
  g_assert_true(hf_buffer_append(&buffer, "abc", 3, &error));
  g_assert_true(hf_buffer_reserve(&buffer, 4096, &error));
  g_assert_cmpuint(buffer.capacity, ==, 4096);
  g_assert_cmpmem(buffer.data, (int)buffer.length, "abc", 3);
  g_assert_true(hf_buffer_reserve(&buffer, 10, &error));
  g_assert_cmpuint(buffer.capacity, ==, 4096);
  guint8 *before = buffer.data;
  g_assert_true(hf_buffer_resize(&buffer, 4096, &error));
  g_assert_true(buffer.data == before);
  g_assert_cmpuint(buffer.length, ==, 4096);
  hf_buffer_clear(&buffer);
  hf_buffer_clear(&buffer);
  g_assert_null(buffer.data);
  g_assert_cmpuint(buffer.length + buffer.capacity, ==, 0);
}

static void test_out_of_memory(void)
{
  g_auto(HfBuffer) buffer = HF_BUFFER_INIT;
  g_autoptr(GError) error = NULL;
  g_assert_true(hf_buffer_append(&buffer, "abc", 3, &error));
  g_assert_false(hf_buffer_resize(&buffer, G_MAXSIZE / 2, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_FAILED);
  g_assert_true(g_str_has_prefix(error->message, "out of memory"));
  g_clear_error(&error);
  g_assert_false(hf_buffer_append(&buffer, "abc", G_MAXSIZE - 1, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_FAILED);
  g_clear_error(&error);
  g_assert_false(hf_buffer_append(&buffer, "abc", G_MAXSIZE / 2, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_FAILED);
  g_assert_cmpmem(buffer.data, (int)buffer.length, "abc", 3);
}

static void test_wipe(void)
{
  g_auto(HfBuffer) buffer = HF_BUFFER_INIT;
  hf_buffer_wipe(&buffer);
  g_assert_true(hf_buffer_append(&buffer, "secret", 6, NULL));
  hf_buffer_wipe(&buffer);
  g_assert_null(buffer.data);
  g_assert_cmpuint(buffer.length, ==, 0);
}

/* Each length, alignment and place of one set bit around the 16-byte head and word sizes. */
static void test_all_zero(void)
{
  guint8 bytes[100];
  for (gsize start = 0; start < 17; start++)
    for (gsize length = 0; length < 70; length++) {
      memset(bytes, 0xff, sizeof bytes);
      memset(bytes + start, 0, length);
      g_assert_true(hf_bytes_all_zero(bytes + start, length));
      for (gsize i = 0; i < length; i++) {
        bytes[start + i] = 0x10;
        g_assert_false(hf_bytes_all_zero(bytes + start, length));
        bytes[start + i] = 0;
      }
    }
}

static void test_all_zero_large(void)
{
  g_autofree guint8 *bytes = g_malloc0(MIB);
  g_assert_true(hf_bytes_all_zero(bytes, MIB));
  bytes[MIB - 1] = 1;
  g_assert_false(hf_bytes_all_zero(bytes, MIB));
  g_assert_true(hf_bytes_all_zero(bytes, MIB - 1));
}

static void test_format_size(void)
{
  static const struct {
    guint64 bytes;
    const char *text;
  } cases[] = {
    { 0, "0 B" },
    { 1023, "1023 B" },
    { 1024, "1.0 KiB" },
    { 1536 * MIB, "1.5 GiB" },
    { MIB - 1, "1.0 MiB" },
    { G_MAXUINT64, "16.0 EiB" },
  };
  for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
    g_autofree char *text = hf_format_size(cases[i].bytes);
    g_assert_cmpstr(text, ==, cases[i].text);
  }
}

static void test_parse_size(void)
{
  static const struct {
    const char *text;
    guint64 value;
  } cases[] = {
    { "0", 0 },
    { "64", 64 },
    { "64B", 64 },
    { "20M", 20 * MIB },
    { "20m", 20 * MIB },
    { "1.5GiB", 1536 * MIB },
    { "3KiB", 3072 },
    { "2T", 2 * MIB * MIB },
    { "1P", 1024 * MIB * MIB },
    { "15.999999999E", G_GUINT64_CONSTANT(18446744072556630111) },
    { "18446744073709551615", G_MAXUINT64 },
    { "0.3333333333333K", 341 },
  };
  for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
    g_autoptr(GError) error = NULL;
    guint64 value = 1;
    g_assert_true(hf_parse_size("--size", cases[i].text, 0, G_MAXUINT64, &value, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(value, ==, cases[i].value);
  }
}

static void test_parse_size_refuses(void)
{
  static const char *const bad[] = {
    "", "x", "-1", "+1", " 1", "1 ", "1.", ".5K", "1.5", "1.5B", "1KB", "1Kix", "1KiBB", "1Z", "1.5.5K",
    "18446744073709551616", "16E", "99999999999999999999K",
  };
  for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
    g_autoptr(GError) error = NULL;
    guint64 value = 77;
    g_assert_false(hf_parse_size("--size", bad[i], 0, G_MAXUINT64, &value, &error));
    g_assert_error(error, HF_ERROR, HF_ERROR_USAGE);
    g_assert_nonnull(strstr(error->message, "--size"));
    g_assert_cmpuint(value, ==, 77);
  }
  g_autoptr(GError) error = NULL;
  guint64 value;
  g_assert_true(hf_parse_size("--size", "1M", MIB, MIB, &value, &error));
  g_assert_false(hf_parse_size("--size", "1048575", MIB, 4 * MIB, &value, &error));
  g_assert_cmpstr(error->message, ==, "'1048575' is out of range for '--size'; it must be 1.0 MiB to 4.0 MiB");
  g_clear_error(&error);
  g_assert_false(hf_parse_size("--size", "5M", MIB, 4 * MIB, &value, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_USAGE);
}

static void test_parse_number(void)
{
  g_autoptr(GError) error = NULL;
  guint64 value = 0;
  g_assert_true(hf_parse_number("--keep", "018", 1, 18, &value, &error));
  g_assert_cmpuint(value, ==, 18);
  g_assert_true(hf_parse_number("--keep", "18446744073709551615", 0, G_MAXUINT64, &value, &error));
  g_assert_cmpuint(value, ==, G_MAXUINT64);
  static const char *const bad[] = { "", "x", "-1", "1x", "0x10", " 1", "19", "0", "18446744073709551616" };
  for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
    g_assert_false(hf_parse_number("--keep", bad[i], 1, 18, &value, &error));
    g_assert_error(error, HF_ERROR, HF_ERROR_USAGE);
    g_assert_nonnull(strstr(error->message, "--keep"));
    g_clear_error(&error);
  }
}

static void test_hex(void)
{
  static const guint8 bytes[] = { 0x00, 0x1a, 0xff };
  guint8 back[3];
  g_autofree char *text = hf_hex(bytes, sizeof bytes);
  g_assert_cmpstr(text, ==, "001aff");
  g_assert_true(hf_unhex(text, back, sizeof back));
  g_assert_cmpmem(back, sizeof back, bytes, sizeof bytes);
  g_assert_true(hf_unhex("001AFF", back, sizeof back));
  g_assert_cmpmem(back, sizeof back, bytes, sizeof bytes);
  g_assert_true(hf_unhex("", back, 0));
  g_assert_false(hf_unhex("001af", back, 3));
  g_assert_false(hf_unhex("001aff0", back, 3));
  g_assert_false(hf_unhex("001afg", back, 3));
  g_assert_false(hf_unhex("g01aff", back, 3));
}

static void test_printable(void)
{
  static const struct {
    const char *name, *shown;
    gssize length;
  } cases[] = {
    { "plain", "plain", -1 },
    { "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f", -1 },
    { "a\nb\x1b[0m\x7f", "a\\x0ab\\x1b[0m\\x7f", -1 },
    { "latin \xfc.txt", "latin \\xfc.txt", -1 },
    { "cut \xc3", "cut \\xc3", -1 },
    { "nul\0in", "nul\\x00in", 6 },
    { "abcdef", "abc", 3 },
    { "\xc3\xbc", "\\xc3", 1 },
    { "\xe2\x80\xae" "rtl", "\\xe2\\x80\\xaertl", -1 },         /* U+202E turns the writing direction */
    { "\xe2\x80\xa8" "x", "\\xe2\\x80\\xa8x", -1 },             /* U+2028 breaks the line */
    { "\xed\xa0\x80", "\\xed\\xa0\\x80", -1 },                  /* a surrogate */
    { "", "", 0 },
  };
  for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
    g_autofree char *shown = hf_printable(cases[i].name, cases[i].length);
    g_assert_cmpstr(shown, ==, cases[i].shown);
  }
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/buffer/append", test_append);
  g_test_add_func("/buffer/reserve", test_reserve);
  g_test_add_func("/buffer/out-of-memory", test_out_of_memory);
  g_test_add_func("/buffer/wipe", test_wipe);
  g_test_add_func("/buffer/all-zero", test_all_zero);
  g_test_add_func("/buffer/all-zero-large", test_all_zero_large);
  g_test_add_func("/buffer/format-size", test_format_size);
  g_test_add_func("/buffer/parse-size", test_parse_size);
  g_test_add_func("/buffer/parse-size-refuses", test_parse_size_refuses);
  g_test_add_func("/buffer/parse-number", test_parse_number);
  g_test_add_func("/buffer/hex", test_hex);
  g_test_add_func("/buffer/printable", test_printable);
  return g_test_run();
}
