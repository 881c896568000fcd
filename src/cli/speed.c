/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/speed.h"

#include <string.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "codec/codec.h"
#include "crypto/crypto.h"

#define PIECE (1024 * 1024)
#define SEED G_GUINT64_CONSTANT(0x9e3779b97f4a7c15)

/* What one thread works with. */
typedef struct Bench {
  HfBuffer plain, out, packed; /* PIECE bytes; room for the result; plain compressed by zstd 3 */
  HfCodecContext *codec;
  HfHasher *hasher;
  HfAead *aead;
} Bench;

typedef gboolean (*WorkFunc)(Bench *bench, GError **error);

static gboolean hash(Bench *bench, GError **error)
{
  (void)error;
  guint8 digest[32];
  hf_hasher_update(bench->hasher, bench->plain.data, PIECE);
  hf_hasher_final(bench->hasher, digest);
  return TRUE;
}

static gboolean compress_with(Bench *bench, HfCodec codec, int level, GError **error)
{
  return hf_compress(bench->codec, codec, level, bench->plain.data, PIECE, bench->out.data, bench->out.length,
                     error) >= 0;
}

static gboolean compress_lz4(Bench *bench, GError **error)
{
  return compress_with(bench, HF_CODEC_LZ4, 0, error);
}

static gboolean compress_zstd(Bench *bench, GError **error)
{
  return compress_with(bench, HF_CODEC_ZSTD, 3, error);
}

static gboolean decompress(Bench *bench, GError **error)
{
  return hf_decompress(bench->codec, HF_CODEC_ZSTD, bench->packed.data, bench->packed.length, bench->out.data, PIECE,
                       error);
}

static gboolean seal(Bench *bench, GError **error)
{
  static const guint8 nonce[HF_NONCE_BYTES];
  return hf_aead_seal(bench->aead, nonce, NULL, 0, bench->plain.data, PIECE, bench->out.data, error);
}

static const struct {
  const char *what;
  WorkFunc run;
} works[] = {
  { "hash (HMAC-SHA-256)", hash },       { "compress (lz4)", compress_lz4 },   { "compress (zstd 3)", compress_zstd },
  { "decompress (zstd 3)", decompress }, { "seal (AES-256-GCM)", seal },
};

/* Text-like bytes that compress about as source code does: words drawn from few, most of them often. */
static void fill_plain(guint8 *bytes)
{
  static const char *const words[] = {
    "the ", "int ",   "return ", "= ",     "(",      "struct ", ");\n  ", "-> ",  "if (",   "static ",
    "0x",   "buffer", "size",    "/* ",    " */\n", "error ",  "void ",   "length", "const ", "char *",
  };
  guint64 state = SEED;
  for (gsize at = 0; at < PIECE;) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    /* One word in four is a number that does not come again. */
    g_autofree char *number = g_strdup_printf("%06x ", (guint)(state >> 40));
    const char *word = state % 4 == 0 ? number : words[(state >> 8) % G_N_ELEMENTS(words)];
    gsize length = MIN(strlen(word), PIECE - at);
    memcpy(bytes + at, word, length);
    at += length;
  }
}

static void bench_free(gpointer data)
{
  Bench *bench = data;
  hf_buffer_clear(&bench->plain);
  hf_buffer_clear(&bench->out);
  hf_buffer_clear(&bench->packed);
  hf_codec_free(bench->codec);
  hf_hasher_free(bench->hasher);
  hf_aead_free(bench->aead);
  g_free(bench);
}

static gpointer bench_new(gpointer user, GError **error)
{
  (void)user;
  static const HfKey key;
  Bench *bench = g_new0(Bench, 1);
  bench->codec = hf_codec_new();
  bench->hasher = hf_hasher_new(&key);
  bench->aead = hf_aead_new(&key);
  gssize packed = -1;
  if (hf_buffer_resize(&bench->plain, PIECE, error) && hf_buffer_resize(&bench->out, PIECE + HF_TAG_BYTES, error) &&
      hf_buffer_resize(&bench->packed, PIECE, error)) {
    fill_plain(bench->plain.data);
    packed = hf_compress(bench->codec, HF_CODEC_ZSTD, 3, bench->plain.data, PIECE, bench->packed.data, PIECE, error);
  }
  if (packed < 0) {
    bench_free(bench);
    return NULL;
  }
  bench->packed.length = (gsize)packed;
  return bench;
}

/* One line being measured. */
typedef struct Line {
  WorkFunc run;
  gint64 end_us; /* monotonic */
  gint pieces;   /* done by all threads */
} Line;

static gboolean run_line(gpointer job, gpointer worker, gpointer user, GError **error)
{
  (void)user;
  Line *line = job;
  do {
    if (!line->run(worker, error))
      return FALSE;
    g_atomic_int_inc(&line->pieces);
  } while (hf_clock_monotonic_us() < line->end_us);
  return TRUE;
}

static gboolean measure(guint threads, double seconds, HfCancel *cancel, HfSpeedFunc func, gpointer user,
                        GError **error)
{
  static const HfPoolOps ops = { .new_worker = bench_new, .free_worker = bench_free, .run = run_line };
  g_autoptr(HfPool) pool = hf_pool_new(threads, &ops, NULL, cancel);
  for (gsize i = 0; i < G_N_ELEMENTS(works); i++) {
    gint64 begin = hf_clock_monotonic_us();
    Line line = { .run = works[i].run, .end_us = begin + (gint64)(seconds * G_USEC_PER_SEC) };
    for (guint thread = 0; thread < threads; thread++)
      hf_pool_push(pool, &line);
    if (!hf_pool_wait(pool, error))
      return FALSE;
    double passed = (double)(hf_clock_monotonic_us() - begin) / G_USEC_PER_SEC;
    HfSpeed speed = { works[i].what, threads, (double)line.pieces * PIECE / passed };
    func(&speed, user);
  }
  return TRUE;
}

gboolean hf_speed_measure(double seconds, HfCancel *cancel, HfSpeedFunc func, gpointer user, GError **error)
{
  guint processors = hf_processors();
  return measure(1, seconds, cancel, func, user, error) &&
         (processors == 1 || measure(processors, seconds, cancel, func, user, error));
}
