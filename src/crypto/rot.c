/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "crypto/crypto.h"

#include <string.h>
#include <xxhash.h>

/* XXH3 keeps its state aligned to 64 bytes, so the library makes it. */
struct HfXxh128 {
  XXH3_state_t *state;
};

static void put_canonical(XXH128_hash_t hash, guint8 digest[16])
{
  XXH128_canonical_t canonical;

  XXH128_canonicalFromHash(&canonical, hash);
  memcpy(digest, canonical.digest, sizeof canonical.digest);
}

guint64 hf_xxh64(const void *bytes, gsize length)
{
  return XXH3_64bits(bytes, length);
}

void hf_xxh128(const void *bytes, gsize length, guint8 digest[16])
{
  put_canonical(XXH3_128bits(bytes, length), digest);
}

HfXxh128 *hf_xxh128_new(void)
{
  HfXxh128 *state = g_new0(HfXxh128, 1);

  state->state = XXH3_createState();
  if (state->state == NULL)
    g_error("out of memory");
  XXH3_128bits_reset(state->state);
  return state;
}

void hf_xxh128_update(HfXxh128 *state, const void *bytes, gsize length)
{
  XXH3_128bits_update(state->state, bytes, length);
}

void hf_xxh128_final(HfXxh128 *state, guint8 digest[16])
{
  put_canonical(XXH3_128bits_digest(state->state), digest);
  XXH3_128bits_reset(state->state);
}

void hf_xxh128_free(HfXxh128 *state)
{
  if (state == NULL)
    return;
  XXH3_freeState(state->state);
  g_free(state);
}
