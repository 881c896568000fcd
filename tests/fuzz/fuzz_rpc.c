/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A whole connection of calls, whose other end sends any bytes after a right hello, while calls are under way. It must
 * end, and every call with it. */
#include "fuzz.h"
#include "net/rpc.h"
#include "net/rpc_frame.h"

#define TAKE 1
#define GIVE 2
#define INPUT_MAX (16u << 10)

static gboolean take(HfCall *call, gpointer user G_GNUC_UNUSED, GBytes **reply, GError **error)
{
  gboolean end = FALSE;
  for (GBytes *piece; (piece = hf_call_receive(call, &end, error)) != NULL;)
    g_bytes_unref(piece);
  *reply = g_bytes_ref(hf_call_request(call));
  return end;
}

static gboolean give(HfCall *call, gpointer user G_GNUC_UNUSED, GBytes **reply G_GNUC_UNUSED, GError **error)
{
  struct iovec part = { (char *)"piece", 5 };
  for (guint i = 0; i < 20; i++) {
    if (!hf_call_send(call, &part, 1, error))
      return FALSE;
  }
  return TRUE;
}

static const HfRpcMethod methods[] = { { TAKE, "take", take, 100 }, { GIVE, "give", give, 0 }, { 0 } };

static void say_hello(HfChannel *channel)
{
  HfRpcHello hello = { 1, 1, 1, 1, 4096, 500, 3, (char *)"fuzz", (char *)"0" };
  g_autoptr(GByteArray) body = g_byte_array_new(), whole = g_byte_array_new();
  guint8 header[HF_RPC_HEADER_BYTES];
  hf_rpc_hello_encode(&hello, body);
  hf_rpc_frame_encode(&(HfRpcFrame){ body->len, HF_RPC_HELLO, 0, 0, 0 }, header);
  hf_put_raw(whole, header, sizeof header);
  hf_put_raw(whole, body->data, body->len);
  g_assert_true(hf_channel_send(channel, whole->data, whole->len, NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  HfChannel *ours, *theirs;
  GError *error = NULL;
  g_assert_true(hf_channel_pair(&ours, &theirs, NULL));
  say_hello(theirs);
  HfRpcOptions options = { .service = "fuzz", .methods = methods, .frame_max = 4096, .window = 2000, .max_calls = 3 };
  HfRpc *rpc = hf_rpc_new(ours, &options, &error);
  g_assert_no_error(error);
  HfCall *call = hf_rpc_begin(rpc, TAKE, NULL, &error);
  (void)hf_channel_send(theirs, data, MIN(size, INPUT_MAX), NULL);
  (void)hf_channel_end(theirs, NULL);
  g_assert_true(hf_rpc_wait_closed(rpc, 20000));
  gboolean end;
  for (GBytes *piece; call != NULL && (piece = hf_call_receive(call, &end, NULL)) != NULL;)
    g_bytes_unref(piece);
  hf_call_free(call);
  hf_rpc_free(rpc);
  hf_channel_free(ours);
  hf_channel_free(theirs);
  g_clear_error(&error);
  return 0;
}
