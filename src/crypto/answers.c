/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "crypto/answers.h"

#include <string.h>

#include "base/buffer.h"
#include "base/error.h"
#include "crypto/crypto.h"

/* RFC 4231 test case 2; HMAC fills its keys up with zeros. Twice, since a hasher is used again. */
static gsize answer_hmac(guint8 answer[HF_ANSWER_BYTES_MAX])
{
  static const HfKey key = {"Jefe"};
  static const char data[] = "what do ya want for nothing?";
  g_autoptr(HfHasher) hasher = hf_hasher_new(&key);

  for (int i = 0; i < 2; i++) {
    hf_hasher_update(hasher, data, strlen(data));
    hf_hasher_final(hasher, answer + 32 * i);
  }
  return 64;
}

/* NIST SP 800-38D, as test case 14 of the GCM submission: a zero block under a zero key. */
static gsize answer_aead_seal(guint8 answer[HF_ANSWER_BYTES_MAX])
{
  static const HfKey key;
  static const guint8 nonce[HF_NONCE_BYTES], block[16];
  g_autoptr(HfAead) aead = hf_aead_new(&key);

  return hf_aead_seal(aead, nonce, NULL, 0, block, sizeof block, answer, NULL) ? sizeof block + HF_TAG_BYTES : 0;
}

static gsize answer_aead_open(guint8 answer[HF_ANSWER_BYTES_MAX])
{
  static const HfKey key;
  static const guint8 nonce[HF_NONCE_BYTES];
  g_autoptr(HfAead) aead = hf_aead_new(&key);
  gsize length = answer_aead_seal(answer);

  return hf_aead_open(aead, nonce, NULL, 0, answer, length, answer, NULL) ? length - HF_TAG_BYTES : 0;
}

static gsize answer_password(guint8 answer[HF_ANSWER_BYTES_MAX])
{
  static const guint8 salt[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  static const char password[] = "password";
  HfKey key;

  if (!hf_password_key(password, strlen(password), salt, 1, 8, &key, NULL))
    return 0;
  memcpy(answer, key.b, sizeof key.b);
  return sizeof key.b;
}

/* The public half of Bob's key in RFC 7748 section 6.1, and a message sealed to it and opened again. */
static gsize answer_box(guint8 answer[HF_ANSWER_BYTES_MAX])
{
  static const HfKey secret = {{0x5d, 0xab, 0x08, 0x7e, 0x62, 0x4a, 0x8a, 0x4b, 0x79, 0xe1, 0x7f,
                                0x8b, 0x83, 0x80, 0x0e, 0xe6, 0x6f, 0x3b, 0xb1, 0x29, 0x26, 0x18,
                                0xb6, 0xfd, 0x1c, 0x2f, 0x8b, 0x27, 0xff, 0x88, 0xe0, 0xeb}};
  static const char message[4] = {'h', 'o', 'l', 'd'};
  guint8 box[sizeof message + HF_SEAL_BYTES];

  hf_box_public(&secret, answer);
  if (!hf_box_seal(answer, message, sizeof message, box, NULL) ||
      !hf_box_open(&secret, box, sizeof box, answer + 32, NULL))
    return 0;
  return 32 + sizeof message;
}

/* The key of RFC 8032 section 7.1 test 1. */
static const HfKey sign_seed = {{0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a,
                                 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32,
                                 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60}};

static gsize answer_sign_public(guint8 answer[HF_ANSWER_BYTES_MAX])
{
  hf_sign_public(&sign_seed, answer);
  return 32;
}

static gsize answer_sign(guint8 answer[HF_ANSWER_BYTES_MAX])
{
  guint8 public_half[32];

  hf_sign_public(&sign_seed, public_half);
  hf_sign(&sign_seed, "self-test", "abc", 3, answer);
  return hf_signature_valid(public_half, "self-test", "abc", 3, answer) ? HF_SIGNATURE_BYTES : 0;
}

static gsize answer_sha256(guint8 answer[HF_ANSWER_BYTES_MAX])
{
  hf_sha256("abc", 3, answer);
  return 32;
}

static gsize answer_xxh128(guint8 answer[HF_ANSWER_BYTES_MAX])
{
  hf_xxh128("", 0, answer);
  return 16;
}

const HfKnownAnswer hf_known_answers[] = {
    {"SHA-256", answer_sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {"HMAC-SHA-256", answer_hmac,
     "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
     "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
    {"AES-256-GCM", answer_aead_seal, "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"},
    {"AES-256-GCM opened", answer_aead_open, "00000000000000000000000000000000"},
    {"Argon2id", answer_password, "3a008963c65f7ffa7331a90babd1fd17ea9f03bd05356b857ceb43f7b7080adc"},
    {"X25519 sealed box", answer_box, "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f686f6c64"},
    {"Ed25519 key", answer_sign_public, "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"},
    {"Ed25519", answer_sign,
     "73e194ed3f2d5445b57f8f0abc95204318558299abf05acc49eb37595297e73c"
     "ee76f33320e4e401784a2a7f90eeb720fb142d5922248c4fe0db63723779a106"},
    {"XXH3-128", answer_xxh128, "99aa06d3014798d86001c324468d497f"},
    {NULL, NULL, NULL},
};

gboolean hf_known_answers_check(const HfKnownAnswer *answers, GError **error)
{
  for (; answers->name != NULL; answers++) {
    guint8 answer[HF_ANSWER_BYTES_MAX], expected[HF_ANSWER_BYTES_MAX];
    gsize length = answers->compute(answer);

    if (length == 0 || !hf_unhex(answers->expected, expected, length) || memcmp(answer, expected, length) != 0)
      return hf_fail(error, HF_ERROR_FAILED,
                     "the self-test of %s gave a wrong answer; a library or the memory of this machine is broken",
                     answers->name);
  }
  return TRUE;
}
