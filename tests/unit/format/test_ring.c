/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "format/repository.h"
#include "testing.h"

#define BODY "07000000 22*32 0807060504030201 02 31*16 32*80 41*16 42*80"
#define GOLDEN \
  "'HOLDFAST' 0100 0400 2d010000 " BODY \
  " f3d0e8f3dcbf1c37dd3158715da8e68c0f326432e355b5c077e8d0d336793076" \
  "017b0a69b361f914fde32fdbf4a01eaa4996e86fe0f76a0f68cfc4cad971150e" \
  " 09710a90f02983eb8f78a81f21e3c91afc83fb858a2ec4e8c09ba1da930bc36e"

static gboolean decode(const guint8 *bytes, gsize length, GError **error)
{
  HfRing ring;
  g_autoptr(GBytes) record = unsigned_record(HF_RECORD_RING, bytes, length);
  gboolean done = hf_ring_decode(record, NULL, &ring, error);
  if (done)
    hf_ring_clear(&ring);
  g_assert_null(ring.shares);
  return done;
}

static void test_golden(void)
{
  HfRing ring = { .generation = 7,
                  .created = 0x0102030405060708,
                  .shares = g_array_new(FALSE, FALSE, sizeof(HfRingShare)) };
  fill(ring.public_half, 0x22, sizeof ring.public_half);
  for (guint8 i = 0x31; i <= 0x41; i = (guint8)(i + 0x10)) {
    HfRingShare share;
    fill(&share.slot, i, sizeof share.slot);
    fill(share.sealed, (guint8)(i + 1), sizeof share.sealed);
    g_array_append_val(ring.shares, share);
  }
  g_autoptr(GBytes) record = hf_ring_encode(&ring, &test_seed);
  assert_g_bytes_parts(record, GOLDEN);
  hf_ring_clear(&ring);

  guint8 public_half[32];
  HfRing decoded;
  GError *error = NULL;
  hf_sign_public(&test_seed, public_half);
  g_assert_true(hf_ring_decode(record, public_half, &decoded, &error));
  g_assert_no_error(error);
  g_assert_cmpuint(decoded.generation, ==, 7);
  g_assert_cmpuint(decoded.shares->len, ==, 2);
  g_autoptr(GBytes) again = hf_ring_encode(&decoded, &test_seed);
  g_assert_true(g_bytes_equal(record, again));
  hf_ring_clear(&decoded);
  public_half[31] ^= 1;
  g_assert_false(hf_ring_decode(record, public_half, &decoded, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_DAMAGED);
  g_clear_error(&error);
}

static void test_refused(void)
{
  assert_exact_length(decode, BODY, HF_ERROR_INVALID);
  assert_taken(decode, "07000000 22*32 00*8 00");
  assert_refused(decode, "07000000 22*32 00*8 01");
  assert_refused(decode, "07000000 22*32 00*8 ffffffff0f 31*96");
  assert_refused(decode, "07000000 22*32 00*8 8000 31*96");
}

int main(int argc, char **argv)
{
  test_begin(&argc, &argv);
  g_test_add_func("/ring/golden", test_golden);
  g_test_add_func("/ring/refused", test_refused);
  return g_test_run();
}
