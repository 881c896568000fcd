/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <lz4.h>
#include <string.h>
#include <zstd.h>

#include "base/error.h"
#include "codec/codec.h"

#define PLAIN_BYTES 50000

/* Words, so that every codec finds something to do. */
static guint8 *make_text(gsize length)
{
  guint8 *text = g_malloc(length + 16);

  for (gsize at = 0, i = 0; at < length; i++)
    at += (gsize)g_snprintf((char *)text + at, 16, "word %u ", (guint)(i * i % 977));
  return text;
}

static guint8 *make_noise(gsize length)
{
  guint8 *noise = g_malloc(length);
  GRand *rand = g_rand_new_with_seed(1);

  for (gsize i = 0; i < length; i++)
    noise[i] = (guint8)g_rand_int(rand);
  g_rand_free(rand);
  return noise;
}

static void expect_invalid(HfCodecContext *context, HfCodec codec, const void *in, gsize length, gsize plain_length)
{
  g_autoptr(GError) error = NULL;
  g_autofree guint8 *out = g_malloc(plain_length + 1);

  out[plain_length] = 0x5a;
  g_assert_false(hf_decompress(context, codec, in, length, out, plain_length, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_INVALID);
  g_assert_cmphex(out[plain_length], ==, 0x5a);
}

static gsize compress(HfCodecContext *context, HfCodec codec, int level, const guint8 *in, gsize length, guint8 *out,
                      gsize capacity)
{
  GError *error = NULL;
  gssize result = hf_compress(context, codec, level, in, length, out, capacity, &error);

  g_assert_no_error(error);
  g_assert_cmpint(result, >=, 0);
  g_assert_cmpuint((gsize)result, <=, capacity);
  return (gsize)result;
}

static void test_round_trip(void)
{
  static const HfCodec codecs[] = {HF_CODEC_LZ4, HF_CODEC_ZSTD};
  static const int levels[] = {3, 1, 19, 3, 9};
  g_autoptr(HfCodecContext) context = hf_codec_new();
  g_autofree guint8 *text = make_text(PLAIN_BYTES);
  guint8 *packed = g_malloc(PLAIN_BYTES), *out = g_malloc(PLAIN_BYTES + 1);

  for (gsize c = 0; c < G_N_ELEMENTS(codecs); c++)
    for (gsize l = 0; l < G_N_ELEMENTS(levels); l++)
      for (gsize length = 300; length <= PLAIN_BYTES; length = length * 5 / 2 + 1) {
        gsize packed_length = compress(context, codecs[c], levels[l], text, length, packed, length - 1);
        GError *error = NULL;

        g_assert_cmpuint(packed_length, >, 0);
        out[length] = 0x5a;
        g_assert_true(hf_decompress(context, codecs[c], packed, packed_length, out, length, &error));
        g_assert_no_error(error);
        g_assert_cmpmem(out, (int)length, text, (int)length);
        g_assert_cmphex(out[length], ==, 0x5a);
        expect_invalid(context, codecs[c], packed, packed_length, length - 1);
        expect_invalid(context, codecs[c], packed, packed_length, length + 1);
      }
  g_free(packed);
  g_free(out);
}

static void test_level_matters(void)
{
  g_autoptr(HfCodecContext) context = hf_codec_new();
  g_autofree guint8 *text = make_text(PLAIN_BYTES);
  g_autofree guint8 *packed = g_malloc(PLAIN_BYTES);
  gsize fast = compress(context, HF_CODEC_ZSTD, 1, text, PLAIN_BYTES, packed, PLAIN_BYTES);
  gsize best = compress(context, HF_CODEC_ZSTD, 19, text, PLAIN_BYTES, packed, PLAIN_BYTES);

  g_assert_cmpuint(best, <, fast);
  g_assert_cmpuint(compress(context, HF_CODEC_ZSTD, 1, text, PLAIN_BYTES, packed, PLAIN_BYTES), ==, fast);
}

/* What would not become shorter gives 0, and a context that met this goes on to work. */
static void test_does_not_fit(void)
{
  static const HfCodec codecs[] = {HF_CODEC_LZ4, HF_CODEC_ZSTD};
  g_autoptr(HfCodecContext) context = hf_codec_new();
  g_autofree guint8 *noise = make_noise(4096);
  guint8 packed[8192], out[4096];

  for (gsize c = 0; c < G_N_ELEMENTS(codecs); c++) {
    gsize full = compress(context, codecs[c], 3, noise, 4096, packed, sizeof packed);

    g_assert_cmpuint(full, >, 4096);
    g_assert_true(hf_decompress(context, codecs[c], packed, full, out, sizeof out, NULL));
    g_assert_cmpmem(out, sizeof out, noise, 4096);
    for (gsize capacity = 0; capacity < 4096; capacity += 97)
      g_assert_cmpuint(compress(context, codecs[c], 3, noise, 4096, packed, capacity), ==, 0);
    g_assert_cmpuint(compress(context, codecs[c], 3, noise, 4096, packed, sizeof packed), ==, full);
    g_assert_cmpuint(compress(context, codecs[c], 3, noise, 0, packed, sizeof packed), ==, 0);
  }
  g_assert_cmpuint(compress(context, HF_CODEC_NONE, 0, noise, 4096, packed, sizeof packed), ==, 0);
}

static void test_compress_errors(void)
{
  static const struct {
    HfCodec codec;
    int level;
    gsize length;
    int code;
  } cases[] = {
      {HF_CODEC_ZSTD, 0, 8, HF_ERROR_USAGE},
      {HF_CODEC_ZSTD, 20, 8, HF_ERROR_USAGE},
      {HF_CODEC_ZSTD, -5, 8, HF_ERROR_USAGE},
      {HF_CODEC_LZ4, 3, (gsize)LZ4_MAX_INPUT_SIZE + 1, HF_ERROR_FAILED},
      {(HfCodec)3, 3, 8, HF_ERROR_INVALID},
  };
  g_autoptr(HfCodecContext) context = hf_codec_new();
  guint8 bytes[8] = {0}, out[8];

  for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(hf_compress(context, cases[i].codec, cases[i].level, bytes, cases[i].length, out, sizeof out,
                                &error), ==, -1);
    g_assert_error(error, HF_ERROR, cases[i].code);
  }
  hf_codec_free(NULL);
}

static void test_none(void)
{
  g_autoptr(HfCodecContext) context = hf_codec_new();
  char out[9] = "........", in[] = "holdfast";

  g_assert_true(hf_decompress(context, HF_CODEC_NONE, in, 8, out, 8, NULL));
  g_assert_cmpstr(out, ==, in);
  g_assert_true(hf_decompress(context, HF_CODEC_NONE, in, 8, in, 8, NULL));
  g_assert_cmpstr(out, ==, in);
  g_assert_true(hf_decompress(context, HF_CODEC_NONE, NULL, 0, NULL, 0, NULL));
  expect_invalid(context, HF_CODEC_NONE, in, 8, 7);
  expect_invalid(context, HF_CODEC_NONE, in, 8, 9);
  expect_invalid(context, (HfCodec)3, in, 8, 8);
}

/* Every shorter piece and every flipped bit either is refused or comes out with the right length; nothing is written
 * beyond it. */
static void test_damage(void)
{
  static const HfCodec codecs[] = {HF_CODEC_LZ4, HF_CODEC_ZSTD};
  g_autoptr(HfCodecContext) context = hf_codec_new();
  g_autofree guint8 *text = make_text(2000);
  guint8 packed[2000], out[2001];

  for (gsize c = 0; c < G_N_ELEMENTS(codecs); c++) {
    gsize packed_length = compress(context, codecs[c], 3, text, 2000, packed, sizeof packed);
    guint refused = 0;

    for (gsize length = 0; length < packed_length; length++)
      expect_invalid(context, codecs[c], packed, length, 2000);
    for (gsize bit = 0; bit < 8 * packed_length; bit++) {
      g_autoptr(GError) error = NULL;

      packed[bit / 8] ^= (guint8)(1 << bit % 8);
      out[2000] = 0x5a;
      if (!hf_decompress(context, codecs[c], packed, packed_length, out, 2000, &error)) {
        g_assert_error(error, HF_ERROR, HF_ERROR_INVALID);
        refused++;
      }
      g_assert_cmphex(out[2000], ==, 0x5a);
      packed[bit / 8] ^= (guint8)(1 << bit % 8);
    }
    g_assert_cmpuint(refused, >, 0);
    g_assert_true(hf_decompress(context, codecs[c], packed, packed_length, out, 2000, NULL));
    g_assert_cmpmem(out, 2000, text, 2000);
  }
}

/* A zstd frame with one raw block, by RFC 8878: magic, descriptor, window, block header, bytes. */
static void test_zstd_window(void)
{
  guint8 frame[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, 13 << 3, 0x19, 0x00, 0x00, 'a', 'b', 'c'};
  g_autoptr(HfCodecContext) context = hf_codec_new();
  char out[3];

  g_assert_true(hf_decompress(context, HF_CODEC_ZSTD, frame, sizeof frame, out, 3, NULL));
  g_assert_cmpmem(out, 3, "abc", 3);
  expect_invalid(context, HF_CODEC_ZSTD, frame, sizeof frame, 2);
  frame[5] = 13 << 3 | 1; /* 9 MiB */
  expect_invalid(context, HF_CODEC_ZSTD, frame, sizeof frame, 3);
  frame[5] = 0xff;
  expect_invalid(context, HF_CODEC_ZSTD, frame, sizeof frame, 3);
  frame[4] = 0x20; /* one segment: the byte is the content size */
  frame[5] = 3;
  g_assert_true(hf_decompress(context, HF_CODEC_ZSTD, frame, sizeof frame, out, 3, NULL));
  frame[5] = 4;
  expect_invalid(context, HF_CODEC_ZSTD, frame, sizeof frame, 3);
  expect_invalid(context, HF_CODEC_ZSTD, frame, sizeof frame, 4);
}

/* zstd itself would take these. */
static void test_zstd_one_frame_only(void)
{
  static const guint8 skippable[] = {0x50, 0x2a, 0x4d, 0x18, 0x02, 0x00, 0x00, 0x00, 0xaa, 0xbb};
  g_autoptr(HfCodecContext) context = hf_codec_new();
  guint8 bytes[128], out[6];
  gsize one = ZSTD_compress(bytes, sizeof bytes, "abc", 3, 1), two;

  g_assert_true(hf_decompress(context, HF_CODEC_ZSTD, bytes, one, out, 3, NULL));
  two = one + ZSTD_compress(bytes + one, sizeof bytes - one, "def", 3, 1);
  g_assert_cmpuint(ZSTD_decompress(out, sizeof out, bytes, two), ==, 6);
  expect_invalid(context, HF_CODEC_ZSTD, bytes, two, 6);
  expect_invalid(context, HF_CODEC_ZSTD, bytes, two, 3);

  memcpy(bytes + one, skippable, sizeof skippable);
  g_assert_cmpuint(ZSTD_decompress(out, sizeof out, bytes, one + sizeof skippable), ==, 3);
  expect_invalid(context, HF_CODEC_ZSTD, bytes, one + sizeof skippable, 3);
  expect_invalid(context, HF_CODEC_ZSTD, skippable, sizeof skippable, 0);
  bytes[one] = 0;
  expect_invalid(context, HF_CODEC_ZSTD, bytes, one + 1, 3);
}

/* The frame of one segment and one raw block, with the number of a dictionary in its header. */
static void test_zstd_dictionary(void)
{
  static const guint8 frame[] = {0x28, 0xb5, 0x2f, 0xfd, 0x21, 7, 3, 0x19, 0x00, 0x00, 'a', 'b', 'c'};
  g_autoptr(HfCodecContext) context = hf_codec_new();

  g_assert_cmpuint(ZSTD_findFrameCompressedSize(frame, sizeof frame), ==, sizeof frame);
  g_assert_cmpuint(ZSTD_getFrameContentSize(frame, sizeof frame), ==, 3);
  expect_invalid(context, HF_CODEC_ZSTD, frame, sizeof frame, 3);
}

/* Content written by others without its size, as a stream with several blocks, is read. */
static void test_zstd_stream(void)
{
  g_autoptr(HfCodecContext) context = hf_codec_new();
  g_autofree guint8 *text = make_text(PLAIN_BYTES);
  g_autofree guint8 *packed = g_malloc(PLAIN_BYTES);
  g_autofree guint8 *out = g_malloc(PLAIN_BYTES);
  ZSTD_CCtx *writer = ZSTD_createCCtx();
  ZSTD_inBuffer in = {text, PLAIN_BYTES / 2, 0};
  ZSTD_outBuffer to = {packed, PLAIN_BYTES, 0};

  ZSTD_CCtx_setParameter(writer, ZSTD_c_checksumFlag, 1);
  g_assert_cmpuint(ZSTD_compressStream2(writer, &to, &in, ZSTD_e_flush), ==, 0);
  in.size = PLAIN_BYTES;
  g_assert_cmpuint(ZSTD_compressStream2(writer, &to, &in, ZSTD_e_end), ==, 0);
  ZSTD_freeCCtx(writer);
  g_assert_cmpuint(ZSTD_getFrameContentSize(packed, to.pos), ==, ZSTD_CONTENTSIZE_UNKNOWN);
  g_assert_true(hf_decompress(context, HF_CODEC_ZSTD, packed, to.pos, out, PLAIN_BYTES, NULL));
  g_assert_cmpmem(out, PLAIN_BYTES, text, PLAIN_BYTES);
  expect_invalid(context, HF_CODEC_ZSTD, packed, to.pos, PLAIN_BYTES - 1);
  expect_invalid(context, HF_CODEC_ZSTD, packed, to.pos, PLAIN_BYTES + 1);
}

/* An lz4 block by its format page: token, literals; then a match that reaches before the start. */
static void test_lz4_block(void)
{
  static const guint8 literals[] = {0x30, 'a', 'b', 'c'};
  static const guint8 before_start[] = {0x14, 'a', 0x02, 0x00, 0x50, 'b', 'c', 'd', 'e', 'f'};
  static const guint8 nothing[] = {0x00};
  g_autoptr(HfCodecContext) context = hf_codec_new();
  char out[3];

  g_assert_true(hf_decompress(context, HF_CODEC_LZ4, literals, sizeof literals, out, 3, NULL));
  g_assert_cmpmem(out, 3, "abc", 3);
  expect_invalid(context, HF_CODEC_LZ4, before_start, sizeof before_start, 14);
  expect_invalid(context, HF_CODEC_LZ4, literals, 0, 0);
  expect_invalid(context, HF_CODEC_LZ4, literals, sizeof literals, 0);
  g_assert_true(hf_decompress(context, HF_CODEC_LZ4, nothing, sizeof nothing, out, 0, NULL));
}

static void test_lz4_lengths_beyond_int(void)
{
  g_autoptr(HfCodecContext) context = hf_codec_new();
  guint8 byte = 0, out;
  gsize beyond = (gsize)G_MAXINT + 1;
  GError *error = NULL;

  g_assert_false(hf_decompress(context, HF_CODEC_LZ4, &byte, beyond, &out, 1, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_INVALID);
  g_clear_error(&error);
  g_assert_false(hf_decompress(context, HF_CODEC_LZ4, &byte, 1, &out, beyond, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_INVALID);
  g_clear_error(&error);
}

static void test_parse(void)
{
  static const struct {
    const char *text;
    HfCodec codec;
    int level;
  } cases[] = {
      {"none", HF_CODEC_NONE, 3},   {"lz4", HF_CODEC_LZ4, 3},     {"zstd", HF_CODEC_ZSTD, 3},
      {"zstd:1", HF_CODEC_ZSTD, 1}, {"zstd:7", HF_CODEC_ZSTD, 7}, {"zstd:19", HF_CODEC_ZSTD, 19},
  };
  static const char *const wrong[] = {"", "zst", "zstd:", "zstd:0", "zstd:20", "zstd:3x", "zstd:-1", "zstd: 3",
                                      "lz4:1", "none:1", "ZSTD", "gzip", "zstdd"};

  for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
    GError *error = NULL;
    HfCodec codec;
    int level;

    g_assert_true(hf_codec_parse(cases[i].text, &codec, &level, &error));
    g_assert_no_error(error);
    g_assert_cmpint(codec, ==, cases[i].codec);
    g_assert_cmpint(level, ==, cases[i].level);
  }
  for (gsize i = 0; i < G_N_ELEMENTS(wrong); i++) {
    g_autoptr(GError) error = NULL;
    HfCodec codec;
    int level;

    g_assert_false(hf_codec_parse(wrong[i], &codec, &level, &error));
    g_assert_error(error, HF_ERROR, HF_ERROR_USAGE);
  }
}

static void test_name(void)
{
  g_assert_cmpstr(hf_codec_name(HF_CODEC_NONE), ==, "none");
  g_assert_cmpstr(hf_codec_name(HF_CODEC_LZ4), ==, "lz4");
  g_assert_cmpstr(hf_codec_name(HF_CODEC_ZSTD), ==, "zstd");
  g_assert_cmpstr(hf_codec_name((HfCodec)3), ==, "unknown");
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/codec/round-trip", test_round_trip);
  g_test_add_func("/codec/level-matters", test_level_matters);
  g_test_add_func("/codec/does-not-fit", test_does_not_fit);
  g_test_add_func("/codec/compress-errors", test_compress_errors);
  g_test_add_func("/codec/none", test_none);
  g_test_add_func("/codec/damage", test_damage);
  g_test_add_func("/codec/zstd/window", test_zstd_window);
  g_test_add_func("/codec/zstd/one-frame-only", test_zstd_one_frame_only);
  g_test_add_func("/codec/zstd/dictionary", test_zstd_dictionary);
  g_test_add_func("/codec/zstd/stream", test_zstd_stream);
  g_test_add_func("/codec/lz4/block", test_lz4_block);
  g_test_add_func("/codec/lz4/lengths-beyond-int", test_lz4_lengths_beyond_int);
  g_test_add_func("/codec/parse", test_parse);
  g_test_add_func("/codec/name", test_name);
  return g_test_run();
}
