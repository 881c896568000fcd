/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "server/auth/password.h"

#include <string.h>

#include "base/buffer.h"
#include "base/error.h"
#include "crypto/crypto.h"

#define SALT_BYTES 16
#define PASSES 3

char *hf_password_hash(const char *password, guint32 memory_kib, GError **error)
{
  guint8 salt[SALT_BYTES];
  g_auto(HfKey) key;
  memset(&key, 0, sizeof key);
  hf_random(salt, sizeof salt);
  if (!hf_password_key(password, strlen(password), salt, PASSES, memory_kib, &key, error))
    return NULL;
  g_autofree char *salt_text = hf_hex(salt, sizeof salt);
  g_autofree char *hash_text = hf_hex(key.b, sizeof key.b);
  return g_strdup_printf("argon2id$%d$%u$%s$%s", PASSES, memory_kib, salt_text, hash_text);
}

gboolean hf_password_check(const char *password, const char *hash, gboolean *same, GError **error)
{
  g_auto(GStrv) parts = g_strsplit(hash, "$", 6);
  guint64 passes = 0, memory = 0;
  guint8 salt[SALT_BYTES];
  g_auto(HfKey) wanted;
  g_auto(HfKey) key;
  memset(&wanted, 0, sizeof wanted);
  memset(&key, 0, sizeof key);
  if (g_strv_length(parts) != 5 || strcmp(parts[0], "argon2id") != 0 ||
      !hf_parse_number("passes", parts[1], 1, 64, &passes, NULL) ||
      !hf_parse_number("memory", parts[2], 8, 1024 * 1024, &memory, NULL) || !hf_unhex(parts[3], salt, sizeof salt) ||
      !hf_unhex(parts[4], wanted.b, sizeof wanted.b))
    return hf_fail(error, HF_ERROR_DAMAGED, "the stored hash of a password is none; set the password anew");
  if (!hf_password_key(password, strlen(password), salt, (guint32)passes, (guint32)memory, &key, error))
    return FALSE;
  guint8 different = 0;
  for (gsize i = 0; i < HF_KEY_BYTES; i++)
    different |= key.b[i] ^ wanted.b[i];
  *same = different == 0;
  return TRUE;
}
