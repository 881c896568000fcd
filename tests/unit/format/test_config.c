/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "format/repository.h"
#include "testing.h"

#define BODY                                                                                                           \
  "11*16 22*16 " TEST_PUBLIC                                                                                           \
  " 0807060504030201 00*8 00*8 01 01 02 03 05 00001000 00000400 00001000 00004000 00020000 "                           \
  "00001000 00000400 00000004 00000001"
#define GOLDEN \
  "'HOLDFAST' 0100 0100 c1000000 " BODY \
  " e67cda9c58e65116293844ab14e99d380e5fff56d3268616fdfc872cc9dc5d3f" \
  "872127c5e1e978a92aaf17e18a52bab940d41edadc6a7eceae47e14bc9c89a0d" \
  " f7a07011c18e362f1ec9fb239e33ad542a4af9788f581c31ad0c5805458ea5ec"

/* Where fields lie in the body. */
enum {
  AT_PUBLIC = 32, AT_FEATURES_READ = 72, AT_FEATURES_WRITE = 80, AT_ID_ALGORITHM = 88, AT_CIPHER, AT_CODEC, AT_LEVEL,
  AT_PARITY, AT_BLOCK = 93, AT_MINIMUM = 97, AT_AVERAGE = 101, AT_MAXIMUM = 105, AT_INLINE = 109, AT_FRAME = 113,
  AT_META_FRAME = 117, AT_PACK = 121, AT_META_PACK = 125,
};

/* Decodes a body after signing it: what is wrong with it must be found all the same. */
static gboolean decode(const guint8 *bytes, gsize length, GError **error)
{
  HfConfig config;
  g_autoptr(GByteArray) body = g_byte_array_new();
  hf_put_raw(body, bytes, length);
  g_autoptr(GBytes) record = hf_record_finish(HF_RECORD_CONFIG, body, &test_seed, "holdfast config");
  return hf_config_decode(record, &config, error);
}

static void make(HfConfig *config)
{
  hf_config_defaults(config);
  /* The parameters of the golden bytes, which are not to follow the defaults. */
  config->codec = 2;
  config->level = 3;
  config->parity = 5;
  config->block_size = 1 << 20;
  config->chunk_minimum = 256 << 10;
  config->chunk_average = 1 << 20;
  config->chunk_maximum = 4 << 20;
  config->inline_limit = 512;
  config->frame_target = 1 << 20;
  config->meta_frame_target = 256 << 10;
  config->pack_target = 64 << 20;
  config->meta_pack_target = 16 << 20;
  fill(&config->repository, 0x11, HF_SHORT_ID_BYTES);
  fill(&config->family, 0x22, HF_SHORT_ID_BYTES);
  hf_sign_public(&test_seed, config->admin_public);
  config->created = 0x0102030405060708;
}

static void test_golden(void)
{
  HfConfig config, decoded;
  make(&config);
  g_autoptr(GBytes) record = hf_config_encode(&config, &test_seed);
  assert_g_bytes_parts(record, GOLDEN);
  GError *error = NULL;
  g_assert_true(hf_config_decode(record, &decoded, &error));
  g_assert_no_error(error);
  g_autoptr(GBytes) again = hf_config_encode(&decoded, &test_seed);
  g_assert_true(g_bytes_equal(record, again));
  g_assert_true(hf_config_writable(&decoded, &error));
  g_assert_no_error(error);
}

/* Whatever the defaults come to be, they keep the ranges. */
static void test_defaults(void)
{
  HfConfig config = { 0 }, decoded;
  GError *error = NULL;
  hf_config_defaults(&config);
  hf_sign_public(&test_seed, config.admin_public);
  g_autoptr(GBytes) record = hf_config_encode(&config, &test_seed);
  g_assert_true(hf_config_decode(record, &decoded, &error));
  g_assert_no_error(error);
  g_assert_true(hf_config_writable(&decoded, &error));
  g_assert_no_error(error);
}

static void test_lengths(void)
{
  g_autoptr(GByteArray) body = parts(BODY);
  assert_accepted(decode, body->data, body->len);
  /* Without the public key in its place the signature fails first. */
  for (gsize length = 0; length < body->len; length++)
    assert_refused_as(decode, body->data, length, length < AT_PUBLIC + 32 ? HF_ERROR_DAMAGED : HF_ERROR_INVALID);
  hf_put_u8(body, 0);
  assert_refused_as(decode, body->data, body->len, HF_ERROR_INVALID);
}

static void test_ranges(void)
{
  static const struct {
    gsize at;
    const char *patch;
  } bad[] = {
    { AT_ID_ALGORITHM, "00" }, { AT_ID_ALGORITHM, "02" }, { AT_CIPHER, "00" }, { AT_CIPHER, "02" }, { AT_CODEC, "03" },
    { AT_LEVEL, "00" }, { AT_LEVEL, "14" }, { AT_CODEC, "0014" }, { AT_PARITY, "06" }, { AT_BLOCK, "00000000" },
    { AT_BLOCK, "00002000" }, { AT_BLOCK, "01001000" }, { AT_MINIMUM, "3f000000" }, { AT_MINIMUM, "00001000" },
    { AT_AVERAGE, "00001100" }, { AT_AVERAGE, "00004000" }, { AT_MAXIMUM, "00001000" }, { AT_MAXIMUM, "01008000" },
    { AT_INLINE, "01200000" }, { AT_FRAME, "ff0f0000" }, { AT_FRAME, "01004000" }, { AT_META_FRAME, "ff0f0000" },
    { AT_META_FRAME, "01004000" }, { AT_PACK, "ffff0000" }, { AT_PACK, "01000040" }, { AT_META_PACK, "ffff0000" },
    { AT_META_PACK, "01000040" },
  };
  static const struct {
    gsize at;
    const char *patch;
  } good[] = {
    { AT_CODEC, "0000" }, { AT_CODEC, "0113" }, { AT_LEVEL, "13" }, { AT_PARITY, "00" }, { AT_PARITY, "0a" },
    { AT_BLOCK, "00000400" }, { AT_BLOCK, "00000800" }, { AT_BLOCK, "00004000" }, { AT_MINIMUM, "40000000" },
    { AT_MAXIMUM, "00008000" }, { AT_INLINE, "00000000" }, { AT_INLINE, "00200000" }, { AT_FRAME, "00100000" },
    { AT_PACK, "00000040" }, { AT_META_PACK, "00000100" },
  };
  for (gsize i = 0; i < G_N_ELEMENTS(bad); i++)
    assert_patch_refused(decode, BODY, bad[i].at, bad[i].patch);
  for (gsize i = 0; i < G_N_ELEMENTS(good); i++)
    assert_patch_taken(decode, BODY, good[i].at, good[i].patch);
}

static void test_features(void)
{
  HfConfig config, decoded;
  GError *error = NULL;
  make(&config);
  config.features_read = 4;
  g_autoptr(GBytes) newer = hf_config_encode(&config, &test_seed);
  g_assert_false(hf_config_decode(newer, &decoded, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_FORMAT);
  g_clear_error(&error);
  config.features_read = 0;
  config.features_write = 8;
  g_autoptr(GBytes) readable = hf_config_encode(&config, &test_seed);
  g_assert_true(hf_config_decode(readable, &decoded, &error));
  g_assert_no_error(error);
  g_assert_false(hf_config_writable(&decoded, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_FORMAT);
  g_clear_error(&error);
}

static void test_forged(void)
{
  HfConfig config, decoded;
  HfKey other = test_seed;
  GError *error = NULL;
  make(&config);
  other.b[0] ^= 1;
  g_autoptr(GBytes) record = hf_config_encode(&config, &other);
  g_assert_false(hf_config_decode(record, &decoded, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_DAMAGED);
  g_clear_error(&error);
  g_autoptr(GBytes) kind = hf_record_wrap(HF_RECORD_RING, "", 0);
  g_assert_false(hf_config_decode(kind, &decoded, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_INVALID);
  g_clear_error(&error);
}

static void test_fingerprint(void)
{
  HfConfig config;
  HfShortId fingerprint;
  make(&config);
  hf_fingerprint(&config.family, config.admin_public, &fingerprint);
  assert_parts(fingerprint.b, sizeof fingerprint.b, "69bec243f5fda5734084b8fed1bb9307");
}

int main(int argc, char **argv)
{
  test_begin(&argc, &argv);
  g_test_add_func("/config/golden", test_golden);
  g_test_add_func("/config/defaults", test_defaults);
  g_test_add_func("/config/lengths", test_lengths);
  g_test_add_func("/config/ranges", test_ranges);
  g_test_add_func("/config/features", test_features);
  g_test_add_func("/config/forged", test_forged);
  g_test_add_func("/config/fingerprint", test_fingerprint);
  return g_test_run();
}
