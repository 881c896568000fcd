/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the tests of format/ share. Bytes are written as parts: "48464631 00*8 'name'" is four bytes in hex, eight zeros
 * and the bytes of a word. The golden bytes in these tests were put together from docs/format.md, and their digests and
 * signatures computed by other programs: an encoder that agrees with its decoder only does not pass.
 */
#pragma once

#include <glib.h>
#include <string.h>

#include "base/error.h"
#include "format/record.h"

/* The key that signs in the goldens, and its public half. */
static const HfKey test_seed = { { 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a,
                                   0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a,
                                   0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a } };
#define TEST_PUBLIC "0d7550754e0800a5d237eef5826035766b9b3e5a15868a940ab289958788e3b0"

static inline void put_part(GByteArray *out, const char *part)
{
  gsize length = strlen(part);
  if (part[0] == '\'') {
    g_assert_cmpint(part[length - 1], ==, '\'');
    hf_put_raw(out, part + 1, length - 2);
    return;
  }
  g_auto(GStrv) factors = g_strsplit(part, "*", 2);
  guint64 times = factors[1] != NULL ? g_ascii_strtoull(factors[1], NULL, 10) : 1;
  gsize bytes = strlen(factors[0]) / 2;
  g_autofree guint8 *value = g_malloc(bytes + 1);
  g_assert_true(hf_unhex(factors[0], value, bytes));
  for (guint64 i = 0; i < times; i++)
    hf_put_raw(out, value, bytes);
}

static inline GByteArray *parts(const char *text)
{
  GByteArray *out = g_byte_array_new();
  g_auto(GStrv) words = g_strsplit_set(text, " \n", -1);
  for (guint i = 0; words[i] != NULL; i++)
    if (words[i][0] != '\0')
      put_part(out, words[i]);
  return out;
}

static inline void assert_bytes(const void *found, gsize length, const void *wanted, gsize wanted_length)
{
  g_assert_cmpuint(length, ==, wanted_length);
  g_assert_true(length == 0 || memcmp(found, wanted, length) == 0);
}

static inline void assert_parts(const void *bytes, gsize length, const char *text)
{
  g_autoptr(GByteArray) expected = parts(text);
  g_autofree char *found = hf_hex(bytes, length), *wanted = hf_hex(expected->data, expected->len);
  g_assert_cmpstr(found, ==, wanted);
}

static inline void assert_array_parts(const GByteArray *found, const char *text)
{
  assert_parts(found->data, found->len, text);
}

static inline void assert_g_bytes_parts(GBytes *found, const char *text)
{
  gsize length;
  const void *bytes = g_bytes_get_data(found, &length);
  assert_parts(bytes, length, text);
}

/* `length` bytes of `value`. */
static inline void fill(void *out, guint8 value, gsize length)
{
  memset(out, value, length);
}

/* A decoder under test: what it decodes to is looked at elsewhere. */
typedef gboolean (*TestDecode)(const guint8 *bytes, gsize length, GError **error);

static inline void assert_accepted(TestDecode decode, const void *bytes, gsize length)
{
  GError *error = NULL;
  gboolean done = decode(bytes, length, &error);
  g_assert_no_error(error);
  g_assert_true(done);
}

static inline void assert_refused_as(TestDecode decode, const void *bytes, gsize length, HfErrorCode code)
{
  g_autoptr(GError) error = NULL;
  /* A copy of exactly this length, so that reading past the end is found. */
  g_autofree guint8 *copy = g_memdup2(bytes, length);
  g_assert_false(decode(copy, length, &error));
  g_assert_error(error, HF_ERROR, (gint)code);
}

static inline void assert_refused(TestDecode decode, const char *text)
{
  g_autoptr(GByteArray) bytes = parts(text);
  assert_refused_as(decode, bytes->data, bytes->len, HF_ERROR_INVALID);
}

static inline void assert_taken(TestDecode decode, const char *text)
{
  g_autoptr(GByteArray) bytes = parts(text);
  assert_accepted(decode, bytes->data, bytes->len);
}

/* `text` is accepted; no shorter part of it is, nor anything longer. */
static inline void assert_exact_length(TestDecode decode, const char *text, HfErrorCode code)
{
  g_autoptr(GByteArray) bytes = parts(text);
  assert_accepted(decode, bytes->data, bytes->len);
  for (gsize length = 0; length < bytes->len; length++)
    assert_refused_as(decode, bytes->data, length, code);
  hf_put_u8(bytes, 0);
  assert_refused_as(decode, bytes->data, bytes->len, code);
}

/* `text` with the bytes at `at` replaced by those of `patch`. */
static inline GByteArray *patched(const char *text, gsize at, const char *patch)
{
  GByteArray *bytes = parts(text);
  g_autoptr(GByteArray) change = parts(patch);
  g_assert_cmpuint(at + change->len, <=, bytes->len);
  memcpy(bytes->data + at, change->data, change->len);
  return bytes;
}

static inline void assert_patch_refused(TestDecode decode, const char *text, gsize at, const char *patch)
{
  g_autoptr(GByteArray) bytes = patched(text, at, patch);
  assert_refused_as(decode, bytes->data, bytes->len, HF_ERROR_INVALID);
}

static inline void assert_patch_taken(TestDecode decode, const char *text, gsize at, const char *patch)
{
  g_autoptr(GByteArray) bytes = patched(text, at, patch);
  assert_accepted(decode, bytes->data, bytes->len);
}

/* The record around a body that is signed by nobody in particular: decoders are asked not to check. */
static inline GBytes *unsigned_record(HfRecordKind kind, const guint8 *body, gsize length)
{
  static const guint8 signature[HF_SIGNATURE_BYTES];
  g_autoptr(GByteArray) whole = g_byte_array_new();
  hf_put_raw(whole, body, length);
  hf_put_raw(whole, signature, sizeof signature);
  return hf_record_wrap(kind, whole->data, whole->len);
}

static inline void test_begin(int *argc, char ***argv)
{
  g_test_init(argc, argv, NULL);
  GError *error = NULL;
  hf_crypto_init(&error);
  g_assert_no_error(error);
}
