/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/buffer.h"
#include "crypto/crypto.h"

/* RFC 8032 section 7.1, the test of 1,023 bytes. The first zero byte of the message is number 67: what stands before
 * it serves as the label, what follows as the bytes. */
static const char seed_text[] = "f5e5767cf153319517630f226876b86c8160cc583bc013744c6bf255f5cc0ee5";
static const char public_text[] = "278117fc144c72340f67d0f2316e8386ceffbf2b2428c9c51fef7c597f1d426e";
static const char signature_text[] =
    "0aab4c900501b3e24d7cdf4663326a3a87df5e4843b2cbdb67cbf6e460fec350"
    "aa5371b1508f9f4528ecea23c436d94b5e8fcd4f681e30a6ac00a9704a188a03";
static const char message_text[] =
    "08b8b2b733424243760fe426a4b54908632110a66c2f6591eabd3345e3e4eb98fa6e264bf09efe12ee50f8f54e9f77b1e355f6c50544"
    "e23fb1433ddf73be84d879de7c0046dc4996d9e773f4bc9efe5738829adb26c81b37c93a1b270b20329d658675fc6ea534e0810a4432"
    "826bf58c941efb65d57a338bbd2e26640f89ffbc1a858efcb8550ee3a5e1998bd177e93a7363c344fe6b199ee5d02e82d522c4feba15"
    "452f80288a821a579116ec6dad2b3b310da903401aa62100ab5d1a36553e06203b33890cc9b832f79ef80560ccb9a39ce767967ed628"
    "c6ad573cb116dbefefd75499da96bd68a8a97b928a8bbc103b6621fcde2beca1231d206be6cd9ec7aff6f6c94fcd7204ed3455c68c83"
    "f4a41da4af2b74ef5c53f1d8ac70bdcb7ed185ce81bd84359d44254d95629e9855a94a7c1958d1f8ada5d0532ed8a5aa3fb2d17ba70e"
    "b6248e594e1a2297acbbb39d502f1a8c6eb6f1ce22b3de1a1f40cc24554119a831a9aad6079cad88425de6bde1a9187ebb6092cf67bf"
    "2b13fd65f27088d78b7e883c8759d2c4f5c65adb7553878ad575f9fad878e80a0c9ba63bcbcc2732e69485bbc9c90bfbd62481d9089b"
    "eccf80cfe2df16a2cf65bd92dd597b0707e0917af48bbb75fed413d238f5555a7a569d80c3414a8d0859dc65a46128bab27af87a7131"
    "4f318c782b23ebfe808b82b0ce26401d2e22f04d83d1255dc51addd3b75a2b1ae0784504df543af8969be3ea7082ff7fc9888c144da2"
    "af58429ec96031dbcad3dad9af0dcbaaaf268cb8fcffead94f3c7ca495e056a9b47acdb751fb73e666c6c655ade8297297d07ad1ba5e"
    "43f1bca32301651339e22904cc8c42f58c30c04aafdb038dda0847dd988dcda6f3bfd15c4b4c4525004aa06eeff8ca61783aacec57fb"
    "3d1f92b0fe2fd1a85f6724517b65e614ad6808d6f6ee34dff7310fdc82aebfd904b01e1dc54b2927094b2db68d6f903b68401adebf5a"
    "7e08d78ff4ef5d63653a65040cf9bfd4aca7984a74d37145986780fc0b16ac451649de6188a7dbdf191f64b5fc5e2ab47b57f7f7276c"
    "d419c17a3ca8e1b939ae49e488acba6b965610b5480109c8b17b80e1b7b750dfc7598d5d5011fd2dcc5600a32ef5b52a1ecc820e308a"
    "a342721aac0943bf6686b64b2579376504ccc493d97e6aed3fb0f9cd71a43dd497f01f17c0e2cb3797aa2a2f256656168e6c496afc5f"
    "b93246f6b1116398a346f1a641f3b041e989f7914f90cc2c7fff357876e506b50d334ba77c225bc307ba537152f3f1610e4eafe595f6"
    "d9d90d11faa933a15ef1369546868a7f3a45a96768d40fd9d03412c091c6315cf4fde7cb68606937380db2eaaa707b4c4185c32eddcd"
    "d306705e4dc1ffc872eeee475a64dfac86aba41c0618983f8741c5ef68d3a101e8a3b8cac60c905c15fc910840b94c00a0b9d0";

#define MESSAGE_BYTES 1023
#define LABEL_BYTES 67

static void test_vector(void)
{
  HfKey seed;
  guint8 public_half[32], message[MESSAGE_BYTES], signature[HF_SIGNATURE_BYTES], expected[HF_SIGNATURE_BYTES];
  const char *label = (const char *)message;

  g_assert_true(hf_unhex(seed_text, seed.b, sizeof seed.b));
  g_assert_true(hf_unhex(public_text, expected, sizeof public_half));
  g_assert_true(hf_unhex(message_text, message, sizeof message));
  g_assert_cmpuint(strlen(label), ==, LABEL_BYTES);
  hf_sign_public(&seed, public_half);
  g_assert_cmpmem(public_half, sizeof public_half, expected, sizeof public_half);
  g_assert_true(hf_unhex(signature_text, expected, sizeof expected));
  hf_sign(&seed, label, message + LABEL_BYTES + 1, MESSAGE_BYTES - LABEL_BYTES - 1, signature);
  g_assert_cmpmem(signature, sizeof signature, expected, sizeof expected);
  g_assert_true(
      hf_signature_valid(public_half, label, message + LABEL_BYTES + 1, MESSAGE_BYTES - LABEL_BYTES - 1, signature));
}

static void test_tampering(void)
{
  HfKey seed, other_seed;
  guint8 public_half[32], other[32], signature[HF_SIGNATURE_BYTES];
  char bytes[] = "bytes";

  hf_random(&seed, sizeof seed);
  hf_random(&other_seed, sizeof other_seed);
  hf_sign_public(&seed, public_half);
  hf_sign_public(&other_seed, other);
  hf_sign(&seed, "label", bytes, 5, signature);
  g_assert_true(hf_signature_valid(public_half, "label", bytes, 5, signature));
  g_assert_false(hf_signature_valid(other, "label", bytes, 5, signature));
  g_assert_false(hf_signature_valid(public_half, "labek", bytes, 5, signature));
  g_assert_false(hf_signature_valid(public_half, "labe", bytes, 5, signature));
  g_assert_false(hf_signature_valid(public_half, "label", bytes, 4, signature));
  g_assert_false(hf_signature_valid(public_half, "label", NULL, 0, signature));
  for (gsize bit = 0; bit < 8 * 5; bit++) {
    bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
    g_assert_false(hf_signature_valid(public_half, "label", bytes, 5, signature));
    bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
  }
  for (gsize bit = 0; bit < 8 * sizeof signature; bit++) {
    signature[bit / 8] ^= (guint8)(1 << bit % 8);
    g_assert_false(hf_signature_valid(public_half, "label", bytes, 5, signature));
    signature[bit / 8] ^= (guint8)(1 << bit % 8);
  }
}

/* The zero byte keeps label and bytes apart, and nothing to sign is legal. */
static void test_boundary(void)
{
  static const HfKey seed = {"seed"};
  guint8 public_half[32], signature[HF_SIGNATURE_BYTES];

  hf_sign_public(&seed, public_half);
  hf_sign(&seed, "ab", "c", 1, signature);
  g_assert_false(hf_signature_valid(public_half, "a", "bc", 2, signature));
  g_assert_false(hf_signature_valid(public_half, "abc", "", 0, signature));
  hf_sign(&seed, "abc", NULL, 0, signature);
  g_assert_true(hf_signature_valid(public_half, "abc", NULL, 0, signature));
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/crypto/sign/vector", test_vector);
  g_test_add_func("/crypto/sign/tampering", test_tampering);
  g_test_add_func("/crypto/sign/boundary", test_boundary);
  return g_test_run();
}
