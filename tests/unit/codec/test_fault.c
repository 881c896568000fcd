/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What happens when zstd finds no memory. The functions below stand in the program itself and so replace those of the
 * library; all of them fail.
 */
#include <zstd.h>

#include "base/error.h"
#include "codec/codec.h"

ZSTD_CCtx *ZSTD_createCCtx(void)
{
  return NULL;
}

ZSTD_DCtx *ZSTD_createDCtx(void)
{
  return NULL;
}

static void test_no_memory(void)
{
  g_autoptr(HfCodecContext) context = hf_codec_new();
  guint8 bytes[64] = {0}, out[64];
  GError *error = NULL;

  g_assert_cmpint(hf_compress(context, HF_CODEC_ZSTD, 3, bytes, sizeof bytes, out, sizeof out, &error), ==, -1);
  g_assert_error(error, HF_ERROR, HF_ERROR_FAILED);
  g_clear_error(&error);
  g_assert_false(hf_decompress(context, HF_CODEC_ZSTD, bytes, sizeof bytes, out, sizeof out, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_FAILED);
  g_clear_error(&error);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/codec/fault/no-memory", test_no_memory);
  return g_test_run();
}
