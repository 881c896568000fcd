/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Frames: golden bytes. And the other end as an enemy: each broken rule ends the connection, and nothing else. */
#include "net/rpc.h"

#include <string.h>

#include "fleet.h"
#include "format/cursor.h"
#include "net/rpc_frame.h"

#define ECHO 1
#define SLOW 2

static gboolean echo(HfCall *call, gpointer user G_GNUC_UNUSED, GBytes **reply, GError **error G_GNUC_UNUSED)
{
  *reply = g_bytes_ref(hf_call_request(call));
  return TRUE;
}

static gboolean slow(HfCall *call, gpointer user G_GNUC_UNUSED, GBytes **reply G_GNUC_UNUSED,
                     GError **error G_GNUC_UNUSED)
{
  while (!hf_call_cancelled(call))
    g_usleep(1000);
  return TRUE;
}

static const HfRpcMethod methods[] = { { ECHO, "echo", echo, 8 }, { SLOW, "slow", slow, 0 }, { 0 } };

static void put_frame(GByteArray *out, guint8 type, guint8 flags, guint16 method, guint32 call, const void *body,
                      guint32 length)
{
  HfRpcFrame frame = { length, type, flags, method, call };
  guint8 header[HF_RPC_HEADER_BYTES];
  hf_rpc_frame_encode(&frame, header);
  hf_put_raw(out, header, sizeof header);
  hf_put_raw(out, body, length);
}

static void put_hello(GByteArray *out, guint32 window)
{
  HfRpcHello hello = { 1, 1, 1, 1, 1 << 20, window, 4, (char *)"test", (char *)"0.0.1" };
  g_autoptr(GByteArray) body = g_byte_array_new();
  hf_rpc_hello_encode(&hello, body);
  put_frame(out, HF_RPC_HELLO, 0, 0, 0, body->data, body->len);
}

/* An end of ours, and the bare other end, which has said hello. */
typedef struct Bare {
  HfChannel *ours, *theirs;
  HfRpc *rpc;
} Bare;

static void bare_open(Bare *bare)
{
  GError *error = NULL;
  g_autoptr(GByteArray) hello = g_byte_array_new();
  put_hello(hello, 1000);
  g_assert_true(hf_channel_pair(&bare->ours, &bare->theirs, NULL));
  g_assert_true(hf_channel_send(bare->theirs, hello->data, hello->len, NULL));
  HfRpcOptions options = { .service = "test", .methods = methods, .max_calls = 2, .frame_max = 1 << 20,
                           .window = 20000, .dead_seconds = 20 };
  bare->rpc = hf_rpc_new(bare->ours, &options, &error);
  g_assert_no_error(error);
}

static void bare_close(Bare *bare)
{
  hf_rpc_free(bare->rpc);
  hf_channel_free(bare->ours);
  hf_channel_free(bare->theirs);
}

/* Sends `bytes` and expects the connection to end for a reason that has `part`. */
static void expect_end(GByteArray *bytes, const char *part)
{
  Bare bare;
  GError *reason = NULL;
  bare_open(&bare);
  /* A call of ours is under way: it must fail, too. */
  GError *error = NULL;
  g_autoptr(HfCall) call = hf_rpc_begin(bare.rpc, ECHO, NULL, &error);
  g_assert_no_error(error);
  g_assert_true(hf_channel_send(bare.theirs, bytes->data, bytes->len, NULL));
  g_assert_null(hf_call_finish(call, &error));
  assert_error(error, HF_ERROR_IO, part);
  g_clear_error(&error);
  g_assert_true(hf_rpc_closed(bare.rpc, &reason));
  assert_error(reason, HF_ERROR_INVALID, part);
  g_clear_error(&reason);
  g_clear_pointer(&call, hf_call_free);
  bare_close(&bare);
}

typedef struct Wrong {
  guint8 type, flags;
  guint16 method;
  guint32 call, length;
  const char *part;
} Wrong;

static void test_frames(void)
{
  static const guint8 zeros[8192];
  const Wrong wrong[] = {
    { 0, 0, 0, 0, 0, "unknown type 0" },
    { 11, 0, 0, 0, 0, "unknown type 11" },
    { 255, 255, 65535, G_MAXUINT32, 0, "unknown type 255" },
    { HF_RPC_HELLO, 0, 0, 0, 0, "a second hello" },
    { HF_RPC_CALL, HF_RPC_ANSWER, ECHO, 1, 0, "with flags 2" },
    { HF_RPC_CALL, 0, 0, 1, 0, "method 0" },
    { HF_RPC_CALL, 0, ECHO, 0, 0, "call 0" },
    { HF_RPC_DATA, 0, ECHO, 1, 5, "method 1" },
    { HF_RPC_DATA, 0, 0, 1, 0, "an empty piece" },
    { HF_RPC_DATA, 0, 0, 1, 5, "a piece of a call that never was" },
    { HF_RPC_DATA, HF_RPC_ANSWER, 0, 2, 5, "a piece of a call that never was" },
    { HF_RPC_CREDIT, 0, 0, 1, 4, "credit for a call that never was" },
    { HF_RPC_CREDIT, HF_RPC_ANSWER, 0, 1, 3, "with 3 bytes" },
    { HF_RPC_REPLY, 0, 0, 1, 0, "with flags 0" },
    { HF_RPC_REPLY, HF_RPC_ANSWER, 0, 2, 0, "not under way" },
    { HF_RPC_ERROR, HF_RPC_ANSWER, 0, 1, 1, "with 1 bytes" },
    { HF_RPC_ERROR, HF_RPC_ANSWER, 0, 1, 4097, "with 4097 bytes" },
    { HF_RPC_ERROR, HF_RPC_ANSWER, 0, 1, 3, "a malformed error" }, /* code 0 is none */
    { HF_RPC_ERROR, HF_RPC_ANSWER, 0, 2, 3, "a malformed error" },
    { HF_RPC_CANCEL, 0, 0, 1, 0, "a cancel of a call that never was" },
    { HF_RPC_CANCEL, 0, 0, 1, 1, "with 1 bytes" },
    { HF_RPC_PING, 0, 0, 1, 0, "call 1" },
    { HF_RPC_PONG, 0, 0, 0, 8, "with 8 bytes" },
    { HF_RPC_GOODBYE, 0, 0, 0, 2, "a malformed goodbye" },
  };
  for (guint i = 0; i < G_N_ELEMENTS(wrong); i++) {
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    put_frame(bytes, wrong[i].type, wrong[i].flags, wrong[i].method, wrong[i].call, zeros, wrong[i].length);
    expect_end(bytes, wrong[i].part);
  }
}

/* A length that is refused before a byte of it is read or room for it is made. */
static void test_length(void)
{
  const guint8 header[] = { 0xff, 0xff, 0xff, 0xff, HF_RPC_DATA, HF_RPC_ANSWER, 0, 0, 1, 0, 0, 0 };
  const guint8 above[] = { 1, 0, 16, 0, HF_RPC_CALL, 0, ECHO, 0, 1, 0, 0, 0 };
  g_autoptr(GByteArray) bytes = g_byte_array_new(), second = g_byte_array_new();
  hf_put_raw(bytes, header, sizeof header);
  expect_end(bytes, "with 4294967295 bytes");
  hf_put_raw(second, above, sizeof above);
  expect_end(second, "with 1048577 bytes");
}

static void test_sequences(void)
{
  static const guint8 zeros[20000];
  const guint8 much[4] = { 0xff, 0xff, 0xff, 0xff };
  g_autoptr(GByteArray) same = g_byte_array_new();
  put_frame(same, HF_RPC_CALL, 0, SLOW, 5, NULL, 0);
  put_frame(same, HF_RPC_CALL, 0, SLOW, 5, NULL, 0);
  expect_end(same, "do not ascend");

  g_autoptr(GByteArray) many = g_byte_array_new();
  for (guint i = 1; i <= 3; i++)
    put_frame(many, HF_RPC_CALL, 0, SLOW, i, NULL, 0);
  expect_end(many, "too many calls");

  /* The window is 20000 and may be overdrawn by one piece. */
  g_autoptr(GByteArray) flood = g_byte_array_new();
  put_frame(flood, HF_RPC_CALL, 0, SLOW, 1, NULL, 0);
  put_frame(flood, HF_RPC_DATA, 0, 0, 1, zeros, 19000);
  put_frame(flood, HF_RPC_DATA, 0, 0, 1, zeros, 19000);
  put_frame(flood, HF_RPC_DATA, 0, 0, 1, zeros, 1);
  expect_end(flood, "a piece without credit");

  /* So may small pieces not be had for nothing. */
  g_autoptr(GByteArray) crumbs = g_byte_array_new();
  put_frame(crumbs, HF_RPC_CALL, 0, SLOW, 1, NULL, 0);
  for (guint i = 0; i < 20000 / 65 + 2; i++)
    put_frame(crumbs, HF_RPC_DATA, 0, 0, 1, zeros, 1);
  expect_end(crumbs, "a piece without credit");

  g_autoptr(GByteArray) after = g_byte_array_new();
  put_frame(after, HF_RPC_CALL, HF_RPC_END, SLOW, 1, NULL, 0);
  put_frame(after, HF_RPC_DATA, 0, 0, 1, zeros, 1);
  expect_end(after, "a piece after the last");

  g_autoptr(GByteArray) credit = g_byte_array_new();
  put_frame(credit, HF_RPC_CREDIT, HF_RPC_ANSWER, 0, 1, much, 4);
  put_frame(credit, HF_RPC_CREDIT, HF_RPC_ANSWER, 0, 1, much, 4);
  expect_end(credit, "more credit than a window can have");

  g_autoptr(GByteArray) twice = g_byte_array_new();
  put_frame(twice, HF_RPC_REPLY, HF_RPC_ANSWER, 0, 1, NULL, 0);
  put_frame(twice, HF_RPC_REPLY, HF_RPC_ANSWER, 0, 1, NULL, 0);
  Bare bare;
  GError *error = NULL;
  bare_open(&bare);
  g_autoptr(HfCall) call = hf_rpc_begin(bare.rpc, ECHO, NULL, &error);
  g_assert_true(hf_channel_send(bare.theirs, twice->data, twice->len, NULL));
  g_autoptr(GBytes) reply = hf_call_finish(call, NULL); /* the first may still be taken */
  g_assert_true(reply == NULL || g_bytes_get_size(reply) == 0);
  g_assert_true(hf_rpc_wait_closed(bare.rpc, 10000));
  g_assert_true(hf_rpc_closed(bare.rpc, &error));
  assert_error(error, HF_ERROR_INVALID, "not under way");
  g_clear_error(&error);
  g_clear_pointer(&call, hf_call_free);
  bare_close(&bare);
}

/* What belongs to calls that have ended is no fault: it was under way. */
static void test_late(void)
{
  static const guint8 zeros[100000];
  const guint8 credit[4] = { 9, 0, 0, 0 };
  Bare bare;
  g_autoptr(GByteArray) bytes = g_byte_array_new();
  bare_open(&bare);
  put_frame(bytes, HF_RPC_CALL, 0, ECHO, 1, "12345678", 8);
  g_assert_true(hf_channel_send(bare.theirs, bytes->data, bytes->len, NULL));
  /* hello, then the reply */
  guint8 header[HF_RPC_HEADER_BYTES], body[4096];
  HfRpcFrame frame = { 0 };
  for (guint i = 0; i < 2; i++) {
    g_assert_true(hf_channel_read(bare.theirs, header, sizeof header, NULL));
    g_assert_true(hf_rpc_frame_decode(header, 4096, &frame, NULL));
    g_assert_true(hf_channel_read(bare.theirs, body, frame.length, NULL));
  }
  g_assert_cmpuint(frame.type, ==, HF_RPC_REPLY);
  g_assert_cmpuint(frame.call, ==, 1);
  g_byte_array_set_size(bytes, 0);
  put_frame(bytes, HF_RPC_DATA, 0, 0, 1, zeros, sizeof zeros);
  put_frame(bytes, HF_RPC_CREDIT, 0, 0, 1, credit, 4);
  put_frame(bytes, HF_RPC_CANCEL, 0, 0, 1, NULL, 0);
  /* And a request that is too long for its method, one for a method that is not there. */
  put_frame(bytes, HF_RPC_CALL, HF_RPC_END, ECHO, 2, zeros, sizeof zeros);
  put_frame(bytes, HF_RPC_CALL, HF_RPC_END, 77, 3, NULL, 0);
  put_frame(bytes, HF_RPC_PING, 0, 0, 0, NULL, 0);
  g_assert_true(hf_channel_send(bare.theirs, bytes->data, bytes->len, NULL));
  guint errors = 0, pongs = 0;
  while (errors < 2 || pongs < 1) {
    g_assert_true(hf_channel_read(bare.theirs, header, sizeof header, NULL));
    g_assert_true(hf_rpc_frame_decode(header, 4096, &frame, NULL));
    g_assert_true(hf_channel_read(bare.theirs, body, frame.length, NULL));
    errors += frame.type == HF_RPC_ERROR;
    pongs += frame.type == HF_RPC_PONG;
  }
  g_assert_false(hf_rpc_closed(bare.rpc, NULL));
  bare_close(&bare);
}

static void test_goodbye(void)
{
  Bare bare;
  GError *error = NULL, *cause = NULL;
  g_autoptr(GByteArray) bytes = g_byte_array_new(), body = g_byte_array_new();
  (void)hf_fail(&cause, HF_ERROR_BUSY, "going down for an upgrade");
  hf_rpc_error_encode(cause, body);
  g_clear_error(&cause);
  put_frame(bytes, HF_RPC_GOODBYE, 0, 0, 0, body->data, body->len);
  bare_open(&bare);
  g_assert_true(hf_channel_send(bare.theirs, bytes->data, bytes->len, NULL));
  g_assert_true(hf_rpc_wait_closed(bare.rpc, 10000));
  g_assert_true(hf_rpc_closed(bare.rpc, &error));
  assert_error(error, HF_ERROR_IO, "ended the connection: going down for an upgrade");
  g_clear_error(&error);
  bare_close(&bare);
}

static void refuse_hello(const void *bytes, gsize length, const char *part)
{
  HfChannel *a, *b;
  GError *error = NULL;
  HfRpcOptions options = { .service = "test" };
  g_assert_true(hf_channel_pair(&a, &b, NULL));
  g_assert_true(hf_channel_send(b, bytes, length, NULL));
  g_assert_true(hf_channel_end(b, NULL));
  g_assert_null(hf_rpc_new(a, &options, &error));
  g_assert_nonnull(error);
  g_assert_nonnull(strstr(error->message, part));
  g_clear_error(&error);
  hf_channel_free(a);
  hf_channel_free(b);
}

static void test_hello(void)
{
  g_autoptr(GByteArray) hello = g_byte_array_new(), ping = g_byte_array_new();
  put_hello(hello, 1000);
  put_frame(ping, HF_RPC_PING, 0, 0, 0, NULL, 0);
  refuse_hello("", 0, "closed by");
  refuse_hello("GET / HTTP/1.1\r\n\r\n", 18, "breaks the protocol");
  refuse_hello(ping->data, ping->len, "first frame is no hello");
  refuse_hello(hello->data, hello->len - 1, "closed by");
  hello->data[HF_RPC_HEADER_BYTES] ^= 1;
  refuse_hello(hello->data, hello->len, "a malformed hello");
  g_byte_array_set_size(hello, 0);
  put_hello(hello, 0);
  refuse_hello(hello->data, hello->len, "a malformed hello");
  g_byte_array_set_size(hello, 0);
  HfRpcHello old = { 2, 3, 1, 1, 1 << 20, 1000, 4, (char *)"test", (char *)"9.0" };
  g_autoptr(GByteArray) body = g_byte_array_new();
  hf_rpc_hello_encode(&old, body);
  put_frame(hello, HF_RPC_HELLO, 0, 0, 0, body->data, body->len);
  refuse_hello(hello->data, hello->len, "versions 2 to 3 of the protocol");
}

static void test_golden(void)
{
  const guint8 expected[] = { 5, 0, 0, 0, HF_RPC_CALL, HF_RPC_END, 0x34, 0x12, 0x78, 0x56, 0, 0 };
  HfRpcFrame frame = { 5, HF_RPC_CALL, HF_RPC_END, 0x1234, 0x5678 }, again;
  guint8 bytes[HF_RPC_HEADER_BYTES];
  hf_rpc_frame_encode(&frame, bytes);
  g_assert_cmpmem(bytes, sizeof bytes, expected, sizeof expected);
  g_assert_true(hf_rpc_frame_decode(bytes, 5, &again, NULL));
  g_assert_cmpuint(again.method, ==, 0x1234);
  g_assert_cmpuint(again.call, ==, 0x5678);
  g_assert_false(hf_rpc_frame_decode(bytes, 4, &again, NULL));
}

static void test_errors(void)
{
  g_autoptr(GByteArray) bytes = g_byte_array_new();
  g_autofree char *large = g_strnfill(10000, 'x');
  GError *error = NULL, *said = NULL;
  /* Cut, but not within a character. */
  memcpy(large + HF_RPC_ERROR_MAX - 2 - HF_VARINT_BYTES - 1, "\xc3\xa4", 2);
  (void)hf_fail(&error, HF_ERROR_NOT_FOUND, "%s", large);
  hf_rpc_error_encode(error, bytes);
  g_assert_cmpuint(bytes->len, <=, HF_RPC_ERROR_MAX);
  g_assert_true(hf_rpc_error_decode(bytes->data, bytes->len, &said, NULL));
  assert_error(said, HF_ERROR_NOT_FOUND, "xxx");
  g_clear_error(&said);
  g_clear_error(&error);
  /* Not ours, not UTF-8. */
  g_byte_array_set_size(bytes, 0);
  error = g_error_new_literal(G_FILE_ERROR, 4, "odd \xff");
  hf_rpc_error_encode(error, bytes);
  g_assert_true(hf_rpc_error_decode(bytes->data, bytes->len, &said, NULL));
  assert_error(said, HF_ERROR_FAILED, "odd ");
  g_clear_error(&said);
  g_clear_error(&error);
  /* A code that we do not know; none. */
  bytes->data[0] = 0xff;
  g_assert_true(hf_rpc_error_decode(bytes->data, bytes->len, &said, NULL));
  assert_error(said, HF_ERROR_FAILED, "odd ");
  g_clear_error(&said);
  g_byte_array_set_size(bytes, 0);
  hf_rpc_error_encode(NULL, bytes);
  g_assert_true(hf_rpc_error_decode(bytes->data, bytes->len, &said, NULL));
  g_assert_null(said);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/net/rpc-hostile/golden", test_golden);
  g_test_add_func("/net/rpc-hostile/errors", test_errors);
  g_test_add_func("/net/rpc-hostile/frames", test_frames);
  g_test_add_func("/net/rpc-hostile/length", test_length);
  g_test_add_func("/net/rpc-hostile/sequences", test_sequences);
  g_test_add_func("/net/rpc-hostile/late", test_late);
  g_test_add_func("/net/rpc-hostile/goodbye", test_goodbye);
  g_test_add_func("/net/rpc-hostile/hello", test_hello);
  return g_test_run();
}
