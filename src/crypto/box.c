/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "crypto/crypto.h"

#include <sodium.h>

#include "base/error.h"

G_STATIC_ASSERT(crypto_box_SECRETKEYBYTES == HF_KEY_BYTES);
G_STATIC_ASSERT(crypto_box_PUBLICKEYBYTES == 32);
G_STATIC_ASSERT(crypto_box_SEALBYTES == HF_SEAL_BYTES);

void hf_box_public(const HfKey *secret, guint8 public_half[32])
{
  /* The base point never gives the all-zero point, the only way for this call to fail. */
  if (crypto_scalarmult_base(public_half, secret->b) != 0)
    g_error("cannot compute the public half of a key");
}

gboolean hf_box_seal(const guint8 public_half[32], const void *in, gsize length, void *out, GError **error)
{
  if (crypto_box_seal(out, in, length, public_half) != 0)
    return hf_fail(error, HF_ERROR_INVALID, "cannot seal to a public key half that is not a usable point");
  return TRUE;
}

gboolean hf_box_open(const HfKey *secret, const void *in, gsize length, void *out, GError **error)
{
  guint8 public_half[32];

  if (length < HF_SEAL_BYTES)
    return hf_fail(error, HF_ERROR_DAMAGED, "a sealed box of %" G_GSIZE_FORMAT " bytes is too short", length);
  hf_box_public(secret, public_half);
  if (crypto_box_seal_open(out, in, length, public_half, secret->b) != 0)
    return hf_fail(error, HF_ERROR_DAMAGED, "a sealed box was changed, or sealed to another key");
  return TRUE;
}
