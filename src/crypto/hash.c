/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "crypto/crypto.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <string.h>

struct HfHasher {
  gnutls_hmac_hd_t handle;
};

/* Hashing fails only when memory is short or the library is broken: a wrong id must never come out of it. */
static void must(int result)
{
  if (result < 0)
    g_error("cannot compute SHA-256: %s", gnutls_strerror(result));
}

void hf_sha256(const void *bytes, gsize length, guint8 digest[32])
{
  must(gnutls_hash_fast(GNUTLS_DIG_SHA256, bytes, length, digest));
}

void hf_derive(const HfKey *key, const char *label, HfKey *derived)
{
  HfKey digest; /* `derived` may be `key` */

  must(gnutls_hmac_fast(GNUTLS_MAC_SHA256, key->b, sizeof key->b, label, strlen(label), digest.b));
  *derived = digest;
  hf_key_clear(&digest);
}

HfHasher *hf_hasher_new(const HfKey *key)
{
  HfHasher *hasher = g_new0(HfHasher, 1);

  must(gnutls_hmac_init(&hasher->handle, GNUTLS_MAC_SHA256, key->b, sizeof key->b));
  return hasher;
}

void hf_hasher_free(HfHasher *hasher)
{
  if (hasher == NULL)
    return;
  gnutls_hmac_deinit(hasher->handle, NULL);
  g_free(hasher);
}

void hf_hasher_update(HfHasher *hasher, const void *bytes, gsize length)
{
  must(gnutls_hmac(hasher->handle, bytes, length));
}

void hf_hasher_final(HfHasher *hasher, guint8 digest[32])
{
  gnutls_hmac_output(hasher->handle, digest);
}
