/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "crypto/crypto.h"

#include <sodium.h>
#include <string.h>

#include "base/error.h"

G_STATIC_ASSERT(crypto_sign_SEEDBYTES == HF_KEY_BYTES);
G_STATIC_ASSERT(crypto_sign_PUBLICKEYBYTES == 32);
G_STATIC_ASSERT(crypto_sign_BYTES == HF_SIGNATURE_BYTES);

/* label || 0x00 || bytes: a signature for one purpose is none for another. */
static guint8 *labelled(const char *label, const void *bytes, gsize length, gsize *total)
{
  gsize head = strlen(label) + 1;
  guint8 *message;

  if (!g_size_checked_add(total, head, length))
    g_error("out of memory");
  message = g_malloc(*total);
  memcpy(message, label, head);
  if (length > 0)
    memcpy(message + head, bytes, length);
  return message;
}

void hf_sign_public(const HfKey *seed, guint8 public_half[32])
{
  guint8 secret[crypto_sign_SECRETKEYBYTES];

  crypto_sign_seed_keypair(public_half, secret, seed->b);
  hf_wipe(secret, sizeof secret);
}

void hf_sign(const HfKey *seed, const char *label, const void *bytes, gsize length, guint8 signature[64])
{
  gsize total;
  g_autofree guint8 *message = labelled(label, bytes, length, &total);
  guint8 public_half[32], secret[crypto_sign_SECRETKEYBYTES];

  crypto_sign_seed_keypair(public_half, secret, seed->b);
  crypto_sign_detached(signature, NULL, message, total, secret);
  hf_wipe(secret, sizeof secret);
}

gboolean hf_signature_valid(const guint8 public_half[32], const char *label, const void *bytes, gsize length,
                   const guint8 signature[64])
{
  gsize total;
  g_autofree guint8 *message = labelled(label, bytes, length, &total);

  return crypto_sign_verify_detached(signature, message, total, public_half) == 0;
}
