/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/buffer.h"
#include "base/error.h"
#include "crypto/crypto.h"

/* Bob's key pair of RFC 7748 section 6.1. */
static const char bob_secret[] = "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb";
static const char bob_public[] = "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f";

static void test_public(void)
{
  HfKey secret;
  guint8 public_half[32], expected[32];

  g_assert_true(hf_unhex(bob_secret, secret.b, sizeof secret.b));
  g_assert_true(hf_unhex(bob_public, expected, sizeof expected));
  hf_box_public(&secret, public_half);
  g_assert_cmpmem(public_half, sizeof public_half, expected, sizeof expected);
}

/* Boxes sealed to Bob with the ephemeral secret 00 01 .. 1f, computed by another implementation from the parts: X25519,
 * HSalsa20, BLAKE2b-192 of both public halves as nonce, XSalsa20 and Poly1305. */
static void test_vectors(void)
{
  static const char *const boxes[] = {
      "8f40c5adb68f25624ae5b214ea767a6ec94d829d3d7b5e1ad1ba6f3e2138285f9dd8416d840d6ebcc793e04fd9837410"
      "bd3b52fa98faa01f",
      "8f40c5adb68f25624ae5b214ea767a6ec94d829d3d7b5e1ad1ba6f3e2138285f52db97a54d344bbd05822bf55c3cbe9b"
      "d5553c9dfa9ed56cecb848d568b207d083cd3bfb83f2f37de839b20947f9de69ab4343aa334d2cff7b8030e710fcea0f"
      "4336f42138dd07d567f8395dd709bfe35b3a48fc3eb78ced5aa68518d29857492dd57cf29c127601f7f5ac001bb88338"
      "34a7ba33",
  };
  guint8 counting[100], sealed[100 + HF_SEAL_BYTES], out[100];
  const void *const plain[] = {"holdfast", counting};
  const gsize lengths[] = {8, sizeof counting};
  HfKey secret;

  for (gsize i = 0; i < sizeof counting; i++)
    counting[i] = (guint8)i;
  g_assert_true(hf_unhex(bob_secret, secret.b, sizeof secret.b));
  for (gsize i = 0; i < G_N_ELEMENTS(boxes); i++) {
    g_assert_true(hf_unhex(boxes[i], sealed, lengths[i] + HF_SEAL_BYTES));
    g_assert_true(hf_box_open(&secret, sealed, lengths[i] + HF_SEAL_BYTES, out, NULL));
    g_assert_cmpmem(out, (int)lengths[i], plain[i], (int)lengths[i]);
  }
}

static void test_round_trip(void)
{
  HfKey secret;
  guint8 public_half[32], plain[200], sealed[200 + HF_SEAL_BYTES], again[200 + HF_SEAL_BYTES], out[200];

  hf_random(&secret, sizeof secret);
  hf_random(plain, sizeof plain);
  hf_box_public(&secret, public_half);
  for (gsize length = 0; length <= sizeof plain; length += 25) {
    GError *error = NULL;

    g_assert_true(hf_box_seal(public_half, plain, length, sealed, &error));
    g_assert_no_error(error);
    g_assert_true(hf_box_seal(public_half, plain, length, again, NULL));
    g_assert_cmpint(memcmp(sealed, again, length + HF_SEAL_BYTES), !=, 0);
    g_assert_true(hf_box_open(&secret, sealed, length + HF_SEAL_BYTES, out, &error));
    g_assert_no_error(error);
    g_assert_cmpmem(out, (int)length, plain, (int)length);
  }
}

static void expect_damaged(const HfKey *secret, const guint8 *sealed, gsize length)
{
  g_autoptr(GError) error = NULL;
  guint8 out[64];

  g_assert_false(hf_box_open(secret, sealed, length, out, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_DAMAGED);
}

static void test_tampering(void)
{
  HfKey secret, other;
  guint8 public_half[32], sealed[8 + HF_SEAL_BYTES];

  hf_random(&secret, sizeof secret);
  hf_random(&other, sizeof other);
  hf_box_public(&secret, public_half);
  g_assert_true(hf_box_seal(public_half, "holdfast", 8, sealed, NULL));
  /* The top bit of an X25519 coordinate is ignored on the curve, but the nonce covers it. */
  for (gsize bit = 0; bit < 8 * sizeof sealed; bit++) {
    sealed[bit / 8] ^= (guint8)(1 << bit % 8);
    expect_damaged(&secret, sealed, sizeof sealed);
    sealed[bit / 8] ^= (guint8)(1 << bit % 8);
  }
  expect_damaged(&other, sealed, sizeof sealed);
  for (gsize length = 0; length < sizeof sealed; length++)
    expect_damaged(&secret, sealed, length);
}

/* A point of low order would give everybody the same shared secret. */
static void test_weak_public(void)
{
  guint8 public_half[32] = {0}, sealed[8 + HF_SEAL_BYTES];
  g_autoptr(GError) error = NULL;

  g_assert_false(hf_box_seal(public_half, "holdfast", 8, sealed, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_INVALID);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/crypto/box/public", test_public);
  g_test_add_func("/crypto/box/vectors", test_vectors);
  g_test_add_func("/crypto/box/round-trip", test_round_trip);
  g_test_add_func("/crypto/box/tampering", test_tampering);
  g_test_add_func("/crypto/box/weak-public", test_weak_public);
  return g_test_run();
}
