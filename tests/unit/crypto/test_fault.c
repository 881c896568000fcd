/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What happens when a library fails. The functions below stand in the program itself and so replace those of the
 * libraries; all of them fail.
 */
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <sodium.h>
#include <xxhash.h>

#include "base/error.h"
#include "crypto/crypto.h"

int sodium_init(void)
{
  return -1;
}

int gnutls_hash_fast(gnutls_digest_algorithm_t algorithm, const void *bytes, size_t length, void *digest)
{
  (void)algorithm, (void)bytes, (void)length, (void)digest;
  return GNUTLS_E_MEMORY_ERROR;
}

int gnutls_aead_cipher_init(gnutls_aead_cipher_hd_t *handle, gnutls_cipher_algorithm_t cipher,
                            const gnutls_datum_t *key)
{
  (void)handle, (void)cipher, (void)key;
  return GNUTLS_E_MEMORY_ERROR;
}

int crypto_scalarmult_base(unsigned char *public_half, const unsigned char *secret)
{
  (void)public_half, (void)secret;
  return -1;
}

int crypto_pwhash_argon2id(unsigned char *out, unsigned long long out_length, const char *password,
                           unsigned long long length, const unsigned char *salt, unsigned long long passes,
                           size_t memory, int algorithm)
{
  (void)out, (void)out_length, (void)password, (void)length, (void)salt, (void)passes, (void)memory, (void)algorithm;
  return -1;
}

XXH3_state_t *XXH3_createState(void)
{
  return NULL;
}

static void test_init(void)
{
  g_autoptr(GError) error = NULL;

  g_assert_false(hf_crypto_init(&error));
  g_assert_error(error, HF_ERROR, HF_ERROR_FAILED);
}

static void test_password_out_of_memory(void)
{
  static const guint8 salt[16];
  g_autoptr(GError) error = NULL;
  HfKey key;

  g_assert_false(hf_password_key("password", 8, salt, 1, 512 * 1024, &key, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_FAILED);
}

static void abort_sha256(void)
{
  guint8 digest[32];

  hf_sha256("abc", 3, digest);
}

static void abort_aead(void)
{
  static const HfKey key;

  hf_aead_new(&key);
}

static void abort_box(void)
{
  static const HfKey key;
  guint8 public_half[32];

  hf_box_public(&key, public_half);
}

static void abort_xxh128(void)
{
  hf_xxh128_new();
}

static void abort_sign(void)
{
  static const HfKey seed;
  guint8 signature[HF_SIGNATURE_BYTES];

  hf_sign(&seed, "label", NULL, G_MAXSIZE, signature);
}

/* Functions that cannot report a failure end the program: no wrong digest or key ever comes out. */
static void test_abort(gconstpointer function)
{
  if (g_test_subprocess()) {
    ((GTestFunc)function)();
    return;
  }
  g_test_trap_subprocess(NULL, 0, 0);
  g_test_trap_assert_failed();
  g_test_trap_assert_stderr("*ERROR*");
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/crypto/fault/init", test_init);
  g_test_add_func("/crypto/fault/password-out-of-memory", test_password_out_of_memory);
  g_test_add_data_func("/crypto/fault/sha256", (gconstpointer)abort_sha256, test_abort);
  g_test_add_data_func("/crypto/fault/aead", (gconstpointer)abort_aead, test_abort);
  g_test_add_data_func("/crypto/fault/box", (gconstpointer)abort_box, test_abort);
  g_test_add_data_func("/crypto/fault/xxh128", (gconstpointer)abort_xxh128, test_abort);
  g_test_add_data_func("/crypto/fault/sign", (gconstpointer)abort_sign, test_abort);
  return g_test_run();
}
