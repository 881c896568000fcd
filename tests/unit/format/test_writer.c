/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "format/repository.h"
#include "testing.h"

#define BODY "11*16 22*32 07000000 33*32 09000000 44*80 0807060504030201 04 'host'"
#define GOLDEN \
  "'HOLDFAST' 0100 0500 f5000000 " BODY \
  " fde68f73dd0f79800a0101746115c588bdd034e8f77ea45ce95abed527793cd4" \
  "0dded553eb2122bd75f8cedc8d63f055b91cfd21b5ae867c97ee7d47f5c27909" \
  " 5da1944ad8405da432b2c61cac56d1ee5423e251fb452bdcd66c6d34b4afae4e"

static gboolean decode(const guint8 *bytes, gsize length, GError **error)
{
  HfWriter writer;
  g_autoptr(GBytes) record = unsigned_record(HF_RECORD_WRITER, bytes, length);
  gboolean done = hf_writer_decode(record, NULL, &writer, error);
  if (done)
    hf_writer_clear(&writer);
  g_assert_null(writer.name);
  return done;
}

static void test_golden(void)
{
  HfWriter writer = { .domain = 7, .generation = 9, .created = 0x0102030405060708, .name = (char *)"host" };
  fill(&writer.id, 0x11, sizeof writer.id);
  fill(writer.public_key, 0x22, sizeof writer.public_key);
  fill(writer.state_public, 0x33, sizeof writer.state_public);
  fill(writer.sealed_domain_key, 0x44, sizeof writer.sealed_domain_key);
  g_autoptr(GBytes) record = hf_writer_encode(&writer, &test_seed);
  assert_g_bytes_parts(record, GOLDEN);

  guint8 public_half[32];
  HfWriter decoded;
  GError *error = NULL;
  hf_sign_public(&test_seed, public_half);
  g_assert_true(hf_writer_decode(record, public_half, &decoded, &error));
  g_assert_no_error(error);
  g_assert_cmpuint(decoded.domain, ==, 7);
  g_assert_cmpuint(decoded.generation, ==, 9);
  g_assert_cmpstr(decoded.name, ==, "host");
  g_autoptr(GBytes) again = hf_writer_encode(&decoded, &test_seed);
  g_assert_true(g_bytes_equal(record, again));
  hf_writer_clear(&decoded);
  public_half[0] ^= 1;
  g_assert_false(hf_writer_decode(record, public_half, &decoded, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_DAMAGED);
  g_clear_error(&error);
}

static void test_refused(void)
{
  assert_exact_length(decode, BODY, HF_ERROR_INVALID);
  assert_refused(decode, "11*16 22*32 07000000 33*32 09000000 44*80 0807060504030201 04 'hos' ff");
}

int main(int argc, char **argv)
{
  test_begin(&argc, &argv);
  g_test_add_func("/writer/golden", test_golden);
  g_test_add_func("/writer/refused", test_refused);
  return g_test_run();
}
