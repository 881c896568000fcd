/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/buffer.h"
#include "base/error.h"
#include "crypto/crypto.h"

/* The AES-256 test cases of the GCM submission (McGrew and Viega), which NIST refers to. */
static const struct {
  const char *key, *nonce, *extra, *plain, *sealed;
} vectors[] = {
    /* 13 */
    {"0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000", "", "",
     "530f8afbc74536b9a963b4f1c4cb738b"},
    /* 14 */
    {"0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000", "",
     "00000000000000000000000000000000", "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"},
    /* 15 */
    {"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888", "",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
     "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
     "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad"
     "b094dac5d93471bdec1a502270e3cc6c"},
    /* 16 */
    {"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
     "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
     "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
     "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
     "76fc6ece0f4e1768cddf8853bb2d551b"},
};

static gsize unhex(const char *text, guint8 *bytes)
{
  gsize length = strlen(text) / 2;

  g_assert_true(hf_unhex(text, bytes, length));
  return length;
}

static void test_vectors(void)
{
  for (gsize i = 0; i < G_N_ELEMENTS(vectors); i++) {
    HfKey key;
    guint8 nonce[HF_NONCE_BYTES], extra[64], plain[96], sealed[96], out[96];
    gsize extra_length = unhex(vectors[i].extra, extra), length = unhex(vectors[i].plain, plain);
    GError *error = NULL;

    unhex(vectors[i].key, key.b);
    unhex(vectors[i].nonce, nonce);
    g_assert_cmpuint(unhex(vectors[i].sealed, sealed), ==, length + HF_TAG_BYTES);
    g_autoptr(HfAead) aead = hf_aead_new(&key);
    g_assert_true(hf_aead_seal(aead, nonce, extra, extra_length, plain, length, out, &error));
    g_assert_no_error(error);
    g_assert_cmpmem(out, (int)(length + HF_TAG_BYTES), sealed, (int)(length + HF_TAG_BYTES));
    g_assert_true(hf_aead_open(aead, nonce, extra, extra_length, sealed, length + HF_TAG_BYTES, out, &error));
    g_assert_no_error(error);
    g_assert_cmpmem(out, (int)length, plain, (int)length);
  }
}

/* Every length around the block sizes of the cipher and its vector code, in place and beside, writes what it may. */
static void test_lengths(void)
{
  HfKey key;
  guint8 nonce[HF_NONCE_BYTES], plain[600], beside[600 + HF_TAG_BYTES + 1], place[600 + HF_TAG_BYTES + 1];

  hf_random(&key, sizeof key);
  hf_random(nonce, sizeof nonce);
  hf_random(plain, sizeof plain);
  g_autoptr(HfAead) aead = hf_aead_new(&key);
  for (gsize length = 0; length <= sizeof plain; length++) {
    gsize total = length + HF_TAG_BYTES;

    beside[total] = place[total] = 0x5a;
    memcpy(place, plain, length);
    g_assert_true(hf_aead_seal(aead, nonce, "extra", 5, plain, length, beside, NULL));
    g_assert_true(hf_aead_seal(aead, nonce, "extra", 5, place, length, place, NULL));
    g_assert_cmpmem(beside, (int)total, place, (int)total);
    g_assert_true(hf_aead_open(aead, nonce, "extra", 5, place, total, place, NULL));
    g_assert_cmpmem(place, (int)length, plain, (int)length);
    g_assert_cmphex(beside[total], ==, 0x5a);
    g_assert_cmphex(place[total], ==, 0x5a);
  }
}

static void expect_damaged(HfAead *aead, const guint8 *nonce, const char *extra, const guint8 *in, gsize length)
{
  static const guint8 zeros[64];
  guint8 out[64];
  GError *error = NULL;

  memset(out, 0xff, sizeof out);
  g_assert_false(hf_aead_open(aead, nonce, extra, strlen(extra), in, length, out, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_DAMAGED);
  g_clear_error(&error);
  g_assert_cmpmem(out, (int)(length - HF_TAG_BYTES), zeros, (int)(length - HF_TAG_BYTES));
}

static void test_tampering(void)
{
  static const char plain[] = "sixteen and some more bytes";
  HfKey key, other;
  guint8 nonce[HF_NONCE_BYTES] = {1}, sealed[sizeof plain + HF_TAG_BYTES], out[sizeof plain];

  hf_random(&key, sizeof key);
  other = key;
  other.b[31] ^= 1;
  g_autoptr(HfAead) aead = hf_aead_new(&key);
  g_autoptr(HfAead) stranger = hf_aead_new(&other);
  g_assert_true(hf_aead_seal(aead, nonce, "type", 4, plain, sizeof plain, sealed, NULL));
  for (gsize bit = 0; bit < 8 * sizeof sealed; bit++) {
    sealed[bit / 8] ^= (guint8)(1 << bit % 8);
    expect_damaged(aead, nonce, "type", sealed, sizeof sealed);
    sealed[bit / 8] ^= (guint8)(1 << bit % 8);
  }
  expect_damaged(aead, nonce, "typo", sealed, sizeof sealed);
  expect_damaged(aead, nonce, "", sealed, sizeof sealed);
  expect_damaged(stranger, nonce, "type", sealed, sizeof sealed);
  expect_damaged(aead, nonce, "type", sealed, sizeof sealed - 1);
  nonce[0] = 2;
  expect_damaged(aead, nonce, "type", sealed, sizeof sealed);
  nonce[0] = 1;
  g_assert_true(hf_aead_open(aead, nonce, "type", 4, sealed, sizeof sealed, out, NULL));
  g_assert_cmpmem(out, sizeof out, plain, sizeof plain);
}

static void test_impossible_lengths(void)
{
  HfKey key = {{0}};
  guint8 nonce[HF_NONCE_BYTES] = {0}, bytes[HF_TAG_BYTES] = {0};
  g_autoptr(HfAead) aead = hf_aead_new(&key);
  GError *error = NULL;

  for (gsize length = 0; length < HF_TAG_BYTES; length++) {
    g_assert_false(hf_aead_open(aead, nonce, NULL, 0, bytes, length, bytes, &error));
    g_assert_error(error, HF_ERROR, HF_ERROR_DAMAGED);
    g_clear_error(&error);
  }
  g_assert_false(hf_aead_open(aead, nonce, NULL, 0, bytes, G_MAXSIZE, bytes, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_DAMAGED);
  g_clear_error(&error);
  g_assert_false(hf_aead_seal(aead, nonce, NULL, 0, bytes, G_MAXSIZE, bytes, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_FAILED);
  g_clear_error(&error);
  hf_aead_free(NULL);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/crypto/aead/vectors", test_vectors);
  g_test_add_func("/crypto/aead/lengths", test_lengths);
  g_test_add_func("/crypto/aead/tampering", test_tampering);
  g_test_add_func("/crypto/aead/impossible-lengths", test_impossible_lengths);
  return g_test_run();
}
