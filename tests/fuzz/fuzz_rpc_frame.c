/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The frames of calls: header, hello, error. The first byte says which. */
#include "fuzz.h"
#include "net/rpc_frame.h"

#define FRAME_MAX (1u << 20)

static void fuzz_header(const uint8_t *data, size_t size)
{
  HfRpcFrame frame;
  GError *error = NULL;
  guint8 again[HF_RPC_HEADER_BYTES];
  if (size < HF_RPC_HEADER_BYTES || !fuzz_judge(hf_rpc_frame_decode(data, FRAME_MAX, &frame, &error), &error))
    return;
  g_assert_true(frame.length <= FRAME_MAX);
  hf_rpc_frame_encode(&frame, again);
  fuzz_same(again, sizeof again, data, HF_RPC_HEADER_BYTES);
}

static void fuzz_hello(const uint8_t *data, size_t size)
{
  g_auto(HfRpcHello) hello = { 0 };
  GError *error = NULL;
  g_autoptr(GByteArray) again = g_byte_array_new();
  if (!fuzz_judge(hf_rpc_hello_decode(data, size, &hello, &error), &error))
    return;
  hf_rpc_hello_encode(&hello, again);
  g_assert_true(again->len <= size); /* what follows is of a newer version */
  fuzz_same(again->data, again->len, data, again->len);
}

static void fuzz_error(const uint8_t *data, size_t size)
{
  g_autoptr(GError) said = NULL;
  GError *error = NULL;
  g_autoptr(GByteArray) again = g_byte_array_new();
  if (!fuzz_judge(hf_rpc_error_decode(data, size, &said, &error), &error))
    return;
  hf_rpc_error_encode(said, again);
  g_assert_true(again->len <= HF_RPC_ERROR_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  if (size == 0)
    return 0;
  void (*const targets[])(const uint8_t *data, size_t size) = { fuzz_header, fuzz_hello, fuzz_error };
  targets[data[0] % G_N_ELEMENTS(targets)](data + 1, size - 1);
  return 0;
}
