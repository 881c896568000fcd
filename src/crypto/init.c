/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "crypto/crypto.h"

#include <sodium.h>
#include <string.h>

#include "base/error.h"
#include "crypto/answers.h"

gboolean hf_crypto_init(GError **error)
{
  if (sodium_init() < 0)
    return hf_fail(error, HF_ERROR_FAILED, "cannot start libsodium");
  return hf_known_answers_check(hf_known_answers, error);
}

void hf_wipe(void *bytes, gsize length)
{
  sodium_memzero(bytes, length);
}

void hf_key_clear(HfKey *key)
{
  sodium_memzero(key, sizeof *key);
}

void hf_random(void *bytes, gsize length)
{
  randombytes_buf(bytes, length);
}

gboolean hf_id_equal(const HfId *a, const HfId *b)
{
  return memcmp(a, b, sizeof *a) == 0;
}

gboolean hf_short_id_equal(const HfShortId *a, const HfShortId *b)
{
  return memcmp(a, b, sizeof *a) == 0;
}

guint hf_id_hash(gconstpointer id)
{
  guint hash;

  memcpy(&hash, id, sizeof hash);
  return hash;
}

gboolean hf_id_equal_func(gconstpointer a, gconstpointer b)
{
  return hf_id_equal(a, b);
}

gboolean hf_short_id_equal_func(gconstpointer a, gconstpointer b)
{
  return hf_short_id_equal(a, b);
}
