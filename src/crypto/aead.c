/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "crypto/crypto.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <string.h>

#include "base/error.h"

/* What one nonce may carry in GCM (NIST SP 800-38D section 5.2.1.1: 2^39 - 256 bits). */
#define HF_AEAD_LENGTH_MAX ((G_GUINT64_CONSTANT(1) << 36) - 32)

struct HfAead {
  gnutls_aead_cipher_hd_t handle;
};

HfAead *hf_aead_new(const HfKey *key)
{
  HfKey copy = *key;
  gnutls_datum_t datum = {copy.b, sizeof copy.b};
  HfAead *aead = g_new0(HfAead, 1);
  int result = gnutls_aead_cipher_init(&aead->handle, GNUTLS_CIPHER_AES_256_GCM, &datum);

  hf_key_clear(&copy);
  if (result < 0)
    g_error("cannot start AES-256-GCM: %s", gnutls_strerror(result));
  return aead;
}

void hf_aead_free(HfAead *aead)
{
  if (aead == NULL)
    return;
  gnutls_aead_cipher_deinit(aead->handle);
  g_free(aead);
}

gboolean hf_aead_seal(HfAead *aead, const guint8 nonce[HF_NONCE_BYTES], const void *extra, gsize extra_length,
                      const void *in, gsize length, void *out, GError **error)
{
  gsize written;

  if (length > HF_AEAD_LENGTH_MAX)
    return hf_fail(error, HF_ERROR_FAILED, "cannot seal %" G_GSIZE_FORMAT " bytes at once", length);
  written = length + HF_TAG_BYTES;
  if (gnutls_aead_cipher_encrypt(aead->handle, nonce, HF_NONCE_BYTES, extra, extra_length, HF_TAG_BYTES, in, length,
                                 out, &written) < 0 ||
      written != length + HF_TAG_BYTES)
    return hf_fail(error, HF_ERROR_FAILED, "cannot seal %" G_GSIZE_FORMAT " bytes", length);
  return TRUE;
}

gboolean hf_aead_open(HfAead *aead, const guint8 nonce[HF_NONCE_BYTES], const void *extra, gsize extra_length,
                      const void *in, gsize length, void *out, GError **error)
{
  gsize written;

  if (length < HF_TAG_BYTES || length - HF_TAG_BYTES > HF_AEAD_LENGTH_MAX)
    return hf_fail(error, HF_ERROR_DAMAGED, "sealed bytes of an impossible length: %" G_GSIZE_FORMAT, length);
  written = length - HF_TAG_BYTES;
  if (gnutls_aead_cipher_decrypt(aead->handle, nonce, HF_NONCE_BYTES, extra, extra_length, HF_TAG_BYTES, in, length,
                                 out, &written) < 0 ||
      written != length - HF_TAG_BYTES) {
    /* GCM deciphers before it compares: nobody may use what was not authentic. */
    memset(out, 0, length - HF_TAG_BYTES);
    return hf_fail(error, HF_ERROR_DAMAGED, "sealed bytes do not match their tag");
  }
  return TRUE;
}
