/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Cryptography of Holdfast, over GnuTLS (bulk: AES-256-GCM, SHA-256, HMAC) and libsodium (Argon2id, X25519 sealed
 * boxes, Ed25519). docs/format.md sections 2 and 4 say what is computed from what.
 *
 * Keys live in HfKey and are wiped by hf_key_clear (g_auto(HfKey)). Contexts (HfHasher, HfAead) belong to one thread
 * at a time. hf_crypto_init is called once, before threads start; it runs known-answer self-tests and fails with
 * HF_ERROR_FAILED when one gives another answer (broken library or memory).
 */
#pragma once

#include <glib.h>

#define HF_KEY_BYTES 32
#define HF_ID_BYTES 32
#define HF_SHORT_ID_BYTES 16 /* random or truncated names of objects: packs, points, slots, writers... */
#define HF_NONCE_BYTES 12
#define HF_TAG_BYTES 16
#define HF_SEAL_BYTES 48 /* what a sealed box adds */
#define HF_SIGNATURE_BYTES 64

typedef struct HfKey {
  guint8 b[HF_KEY_BYTES];
} HfKey;
typedef struct HfId {
  guint8 b[HF_ID_BYTES];
} HfId;
typedef struct HfShortId {
  guint8 b[HF_SHORT_ID_BYTES];
} HfShortId;

gboolean hf_crypto_init(GError **error);

void hf_wipe(void *bytes, gsize length);
void hf_key_clear(HfKey *key);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HfKey, hf_key_clear)
void hf_random(void *bytes, gsize length);
gboolean hf_id_equal(const HfId *a, const HfId *b);
gboolean hf_short_id_equal(const HfShortId *a, const HfShortId *b);
guint hf_id_hash(gconstpointer id);            /* for GHashTable: first bytes of an HfId or HfShortId */
gboolean hf_id_equal_func(gconstpointer a, gconstpointer b);
gboolean hf_short_id_equal_func(gconstpointer a, gconstpointer b);

/* ---- Hashes ---- */
void hf_sha256(const void *bytes, gsize length, guint8 digest[32]);
/* HMAC-SHA-256(key, label): how every key is derived from another (docs/format.md 2.1). */
void hf_derive(const HfKey *key, const char *label, HfKey *derived);

/* A keyed HMAC-SHA-256 that is used again and again with one key. */
typedef struct HfHasher HfHasher;
HfHasher *hf_hasher_new(const HfKey *key);
void hf_hasher_free(HfHasher *hasher); /* wipes */
void hf_hasher_update(HfHasher *hasher, const void *bytes, gsize length);
/* Gives the digest and starts anew with the same key. */
void hf_hasher_final(HfHasher *hasher, guint8 digest[32]);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfHasher, hf_hasher_free)

/* ---- AES-256-GCM. ---- */
typedef struct HfAead HfAead;
HfAead *hf_aead_new(const HfKey *key);
void hf_aead_free(HfAead *aead);
/* Writes length + HF_TAG_BYTES bytes to `out` (may be `in`: in place). `extra` is authenticated, not encrypted. */
gboolean hf_aead_seal(HfAead *aead, const guint8 nonce[HF_NONCE_BYTES], const void *extra, gsize extra_length,
                      const void *in, gsize length, void *out, GError **error);
/* `length` counts the tag; writes length - HF_TAG_BYTES bytes (to `in` itself: in place). HF_ERROR_DAMAGED when the tag
 * does not match; `out` is then zeroed. */
gboolean hf_aead_open(HfAead *aead, const guint8 nonce[HF_NONCE_BYTES], const void *extra, gsize extra_length,
                      const void *in, gsize length, void *out, GError **error);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfAead, hf_aead_free)

/* ---- Passwords: Argon2id (RFC 9106), one lane. `memory_kib` at most 1 GiB, `passes` at most 64. ---- */
gboolean hf_password_key(const char *password, gsize length, const guint8 salt[16], guint32 passes, guint32 memory_kib,
                         HfKey *key, GError **error);

/* ---- X25519 sealed boxes (libsodium crypto_box_seal). A secret half is any 32 bytes. ---- */
void hf_box_public(const HfKey *secret, guint8 public_half[32]);
/* Writes length + HF_SEAL_BYTES bytes. */
gboolean hf_box_seal(const guint8 public_half[32], const void *in, gsize length, void *out, GError **error);
/* `length` counts HF_SEAL_BYTES. HF_ERROR_DAMAGED when it was not sealed to this key or was changed. */
gboolean hf_box_open(const HfKey *secret, const void *in, gsize length, void *out, GError **error);

/* ---- Ed25519 (RFC 8032) over HMAC-free "label" || 0x00 || bytes; the secret is the 32-byte seed. ----
 * For small objects: `bytes` are copied, and shortage of memory aborts. */
void hf_sign_public(const HfKey *seed, guint8 public_half[32]);
void hf_sign(const HfKey *seed, const char *label, const void *bytes, gsize length, guint8 signature[64]);
gboolean hf_signature_valid(const guint8 public_half[32], const char *label, const void *bytes, gsize length,
                   const guint8 signature[64]);

/* ---- Rot detection, not security: XXH3 (unseeded). Digests are stored in the canonical (big-endian) order. ---- */
guint64 hf_xxh64(const void *bytes, gsize length);
void hf_xxh128(const void *bytes, gsize length, guint8 digest[16]);
typedef struct HfXxh128 HfXxh128;
HfXxh128 *hf_xxh128_new(void);
void hf_xxh128_update(HfXxh128 *state, const void *bytes, gsize length);
void hf_xxh128_final(HfXxh128 *state, guint8 digest[16]); /* and starts anew */
void hf_xxh128_free(HfXxh128 *state);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfXxh128, hf_xxh128_free)
