/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "crypto/crypto.h"

#include <sodium.h>

#include "base/error.h"

#define HF_PASSES_MAX 64
#define HF_MEMORY_KIB_MIN 8 /* RFC 9106: 8 KiB a lane */
#define HF_MEMORY_KIB_MAX (1024 * 1024)

G_STATIC_ASSERT(crypto_pwhash_argon2id_SALTBYTES == 16);
G_STATIC_ASSERT(crypto_pwhash_argon2id_MEMLIMIT_MIN == HF_MEMORY_KIB_MIN * 1024);

/* The costs come from a key slot that anybody may have written: they are bounded before memory is taken. */
gboolean hf_password_key(const char *password, gsize length, const guint8 salt[16], guint32 passes, guint32 memory_kib,
                         HfKey *key, GError **error) {
  if (passes < 1 || passes > HF_PASSES_MAX || memory_kib < HF_MEMORY_KIB_MIN || memory_kib > HF_MEMORY_KIB_MAX)
    return hf_fail(error, HF_ERROR_INVALID, "password costs of %u passes over %u KiB are out of range", passes,
                   memory_kib);
  if (crypto_pwhash_argon2id(key->b, sizeof key->b, password, length, salt, passes, (gsize)memory_kib * 1024,
                             crypto_pwhash_argon2id_ALG_ARGON2ID13) != 0)
    return hf_fail(error, HF_ERROR_FAILED, "out of memory: a password needs %u KiB", memory_kib);
  return TRUE;
}
