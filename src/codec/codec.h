/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Compression. The numbers are on disk. A context belongs to one thread and is used again and again.
 */
#pragma once

#include <glib.h>

typedef enum HfCodec { HF_CODEC_NONE = 0, HF_CODEC_LZ4 = 1, HF_CODEC_ZSTD = 2 } HfCodec;

typedef struct HfCodecContext HfCodecContext;
HfCodecContext *hf_codec_new(void);
void hf_codec_free(HfCodecContext *context);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfCodecContext, hf_codec_free)

/* Compresses `length` bytes into `out` of `capacity` bytes. Returns the compressed length, or 0 when the result would
 * not fit `capacity` (the caller then stores the bytes as they are: pass capacity = length - 1), or -1 with an error.
 * `level` is zstd's 1..19 (lz4 and none ignore it). HF_CODEC_NONE always returns 0. */
gssize hf_compress(HfCodecContext *context, HfCodec codec, int level, const void *in, gsize length, void *out,
                   gsize capacity, GError **error);

/* Decompresses to exactly `plain_length` bytes; HF_ERROR_INVALID when it does not come out so. Never writes past. */
gboolean hf_decompress(HfCodecContext *context, HfCodec codec, const void *in, gsize length, void *out,
                       gsize plain_length, GError **error);

/* "zstd:3", "zstd", "lz4", "none"; level 3 when not given. */
gboolean hf_codec_parse(const char *text, HfCodec *codec, int *level, GError **error);
const char *hf_codec_name(HfCodec codec);
