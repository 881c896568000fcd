/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/buffer.h"
#include "crypto/crypto.h"

static void expect(const guint8 digest[32], const char *hex)
{
  g_autofree char *text = hf_hex(digest, 32);

  g_assert_cmpstr(text, ==, hex);
}

/* FIPS 180-4 examples. */
static void test_sha256(void)
{
  g_autofree char *million = g_strnfill(1000000, 'a');
  guint8 digest[32];

  hf_sha256(NULL, 0, digest);
  expect(digest, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  hf_sha256("abc", 3, digest);
  expect(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  hf_sha256(million, 1000000, digest);
  expect(digest, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

/* RFC 4231 test cases 1 to 4: their keys are shorter than 32 bytes, and HMAC fills keys up with zeros. */
static const struct {
  const char *key, *data, *digest;
} vectors[] = {
    {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "4869205468657265",
     "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
    {"4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
     "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
     "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd",
     "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
    {"0102030405060708090a0b0c0d0e0f10111213141516171819",
     "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd",
     "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
};

static void test_hasher(void)
{
  for (gsize i = 0; i < G_N_ELEMENTS(vectors); i++) {
    HfKey key = {{0}};
    guint8 data[64], digest[32];
    gsize length = strlen(vectors[i].data) / 2;

    g_assert_true(hf_unhex(vectors[i].key, key.b, strlen(vectors[i].key) / 2));
    g_assert_true(hf_unhex(vectors[i].data, data, length));
    g_autoptr(HfHasher) hasher = hf_hasher_new(&key);
    /* Whole, and in every two parts: the hasher starts anew each time. */
    for (gsize part = 0; part <= length; part++) {
      hf_hasher_update(hasher, data, part);
      hf_hasher_update(hasher, data + part, length - part);
      hf_hasher_final(hasher, digest);
      expect(digest, vectors[i].digest);
    }
  }
  hf_hasher_free(NULL);
}

static void test_hasher_empty(void)
{
  static const HfKey key;
  g_autoptr(HfHasher) hasher = hf_hasher_new(&key);
  guint8 digest[32];

  hf_hasher_update(hasher, NULL, 0);
  hf_hasher_final(hasher, digest);
  expect(digest, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
  hf_hasher_final(hasher, digest);
  expect(digest, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

/* RFC 4231 test case 2, and derivation in place. */
static void test_derive(void)
{
  HfKey key = {"Jefe"}, derived;

  hf_derive(&key, "what do ya want for nothing?", &derived);
  expect(derived.b, vectors[1].digest);
  g_assert_cmpstr((const char *)key.b, ==, "Jefe");
  hf_derive(&key, "what do ya want for nothing?", &key);
  expect(key.b, vectors[1].digest);
  hf_derive(&key, "", &derived);
  g_assert_cmpint(memcmp(&key, &derived, sizeof key), !=, 0);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/crypto/hash/sha256", test_sha256);
  g_test_add_func("/crypto/hash/hasher", test_hasher);
  g_test_add_func("/crypto/hash/hasher-empty", test_hasher_empty);
  g_test_add_func("/crypto/hash/derive", test_derive);
  return g_test_run();
}
