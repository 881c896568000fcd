/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "codec/codec.h"

#include <lz4.h>
#include <string.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/buffer.h"
#include "base/error.h"

#define HF_ZSTD_LEVEL_DEFAULT 3
#define HF_ZSTD_LEVEL_MAX 19
/* Frame header (RFC 8878 section 3.1.1.1): a decoder that streams must keep a window, ours and others' is bounded. */
#define HF_ZSTD_WINDOW_LOG_MAX 23
#define HF_ZSTD_HEADER_MIN 6
#define HF_ZSTD_SINGLE_SEGMENT 0x20

static const guint8 zstd_magic[4] = {0x28, 0xb5, 0x2f, 0xfd};

struct HfCodecContext {
  ZSTD_CCtx *zstd_in;
  ZSTD_DCtx *zstd_out;
  void *lz4;
  int level; /* what zstd_in is set to; 0 before the first use */
};

HfCodecContext *hf_codec_new(void)
{
  return g_new0(HfCodecContext, 1);
}

void hf_codec_free(HfCodecContext *context)
{
  if (context == NULL)
    return;
  ZSTD_freeCCtx(context->zstd_in);
  ZSTD_freeDCtx(context->zstd_out);
  g_free(context->lz4);
  g_free(context);
}

static gssize zstd_compress(HfCodecContext *context, int level, const void *in, gsize length, void *out,
                            gsize capacity, GError **error)
{
  gsize result;

  if (level < 1 || level > HF_ZSTD_LEVEL_MAX) {
    hf_fail(error, HF_ERROR_USAGE, "zstd level %d is not in 1..%d", level, HF_ZSTD_LEVEL_MAX);
    return -1;
  }
  if (context->zstd_in == NULL)
    context->zstd_in = ZSTD_createCCtx();
  if (context->zstd_in != NULL && context->level != level) {
    ZSTD_CCtx_setParameter(context->zstd_in, ZSTD_c_compressionLevel, level);
    context->level = level;
  }
  result = context->zstd_in == NULL ? (gsize)-ZSTD_error_memory_allocation
                                    : ZSTD_compress2(context->zstd_in, out, capacity, in, length);
  if (!ZSTD_isError(result))
    return (gssize)result;
  if (ZSTD_getErrorCode(result) == ZSTD_error_dstSize_tooSmall)
    return 0;
  hf_fail(error, HF_ERROR_FAILED, "cannot compress %" G_GSIZE_FORMAT " bytes: %s", length, ZSTD_getErrorName(result));
  return -1;
}

static gssize lz4_compress(HfCodecContext *context, const void *in, gsize length, void *out, gsize capacity,
                           GError **error)
{
  if (length > LZ4_MAX_INPUT_SIZE) {
    hf_fail(error, HF_ERROR_FAILED, "cannot compress %" G_GSIZE_FORMAT " bytes with lz4 at once", length);
    return -1;
  }
  if (context->lz4 == NULL)
    context->lz4 = g_malloc((gsize)LZ4_sizeofState());
  return LZ4_compress_fast_extState(context->lz4, in, out, (int)length, (int)MIN(capacity, G_MAXINT), 1);
}

gssize hf_compress(HfCodecContext *context, HfCodec codec, int level, const void *in, gsize length, void *out,
                   gsize capacity, GError **error)
{
  if (length == 0)
    return 0;
  switch (codec) {
    case HF_CODEC_NONE:
      return 0;
    case HF_CODEC_LZ4:
      return lz4_compress(context, in, length, out, capacity, error);
    case HF_CODEC_ZSTD:
      return zstd_compress(context, level, in, length, out, capacity, error);
    default:
      hf_fail(error, HF_ERROR_INVALID, "unknown compression %d", (int)codec);
      return -1;
  }
}

/* Whether `in` is one zstd frame and nothing else, with a window in bounds. The library would also take several
 * frames, frames to be skipped and frames of old versions: one meaning is enough for bytes from outside. */
static gboolean zstd_frame_is_plain(const guint8 *in, gsize length, gsize plain_length)
{
  unsigned long long content;

  if (length < HF_ZSTD_HEADER_MIN || memcmp(in, zstd_magic, sizeof zstd_magic) != 0)
    return FALSE;
  /* The window byte is 5 bits of exponent over 2^10 and 3 bits of mantissa. */
  if ((in[4] & HF_ZSTD_SINGLE_SEGMENT) == 0 && in[5] > (HF_ZSTD_WINDOW_LOG_MAX - 10) << 3)
    return FALSE;
  content = ZSTD_getFrameContentSize(in, length);
  if (content != ZSTD_CONTENTSIZE_UNKNOWN && content != plain_length)
    return FALSE;
  return ZSTD_findFrameCompressedSize(in, length) == length;
}

static gboolean zstd_decompress(HfCodecContext *context, const void *in, gsize length, void *out, gsize plain_length,
                                GError **error)
{
  if (context->zstd_out == NULL)
    context->zstd_out = ZSTD_createDCtx();
  if (context->zstd_out == NULL)
    return hf_fail(error, HF_ERROR_FAILED, "out of memory");
  if (!zstd_frame_is_plain(in, length, plain_length) ||
      ZSTD_decompressDCtx(context->zstd_out, out, plain_length, in, length) != plain_length)
    return hf_fail(error, HF_ERROR_INVALID, "zstd bytes do not decompress to %" G_GSIZE_FORMAT " bytes",
                   plain_length);
  return TRUE;
}

gboolean hf_decompress(HfCodecContext *context, HfCodec codec, const void *in, gsize length, void *out,
                       gsize plain_length, GError **error)
{
  switch (codec) {
    case HF_CODEC_NONE:
      if (length != plain_length)
        return hf_fail(error, HF_ERROR_INVALID,
                       "%" G_GSIZE_FORMAT " bytes that are not compressed should be %" G_GSIZE_FORMAT, length,
                       plain_length);
      if (length > 0)
        memmove(out, in, length);
      return TRUE;
    case HF_CODEC_LZ4:
      if (length > G_MAXINT || plain_length > G_MAXINT ||
          LZ4_decompress_safe(in, out, (int)length, (int)plain_length) != (int)plain_length)
        return hf_fail(error, HF_ERROR_INVALID, "lz4 bytes do not decompress to %" G_GSIZE_FORMAT " bytes",
                       plain_length);
      return TRUE;
    case HF_CODEC_ZSTD:
      return zstd_decompress(context, in, length, out, plain_length, error);
    default:
      return hf_fail(error, HF_ERROR_INVALID, "unknown compression %d", (int)codec);
  }
}

gboolean hf_codec_parse(const char *text, HfCodec *codec, int *level, GError **error)
{
  guint64 value = HF_ZSTD_LEVEL_DEFAULT;

  if (strcmp(text, "none") == 0) {
    *codec = HF_CODEC_NONE;
  } else if (strcmp(text, "lz4") == 0) {
    *codec = HF_CODEC_LZ4;
  } else if (strcmp(text, "zstd") == 0) {
    *codec = HF_CODEC_ZSTD;
  } else if (g_str_has_prefix(text, "zstd:")) {
    if (!hf_parse_number("zstd level", text + strlen("zstd:"), 1, HF_ZSTD_LEVEL_MAX, &value, error))
      return FALSE;
    *codec = HF_CODEC_ZSTD;
  } else {
    return hf_fail(error, HF_ERROR_USAGE, "unknown compression '%s'; use none, lz4, zstd or zstd:LEVEL", text);
  }
  *level = (int)value;
  return TRUE;
}

const char *hf_codec_name(HfCodec codec)
{
  switch (codec) {
    case HF_CODEC_NONE:
      return "none";
    case HF_CODEC_LZ4:
      return "lz4";
    case HF_CODEC_ZSTD:
      return "zstd";
    default:
      return "unknown";
  }
}
