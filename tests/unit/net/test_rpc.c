/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Calls in both directions: replies, errors, streams, credit, cancels, limits, ends. */
#include "net/rpc.h"

#include <string.h>

#include "crypto/crypto.h"
#include "fleet.h"

enum { ECHO = 1, FAIL, SUM, COUNT, BLOCK, BACK, BACK_NEAR, SHORT, NOTHING, HALF, HUGE_REPLY, SLOW };

#define assert_ok(condition, error)                                                                                    \
  G_STMT_START                                                                                                         \
  {                                                                                                                    \
    gboolean holds = (condition);                                                                                      \
    g_assert_no_error(error);                                                                                          \
    g_assert_true(holds);                                                                                              \
  }                                                                                                                    \
  G_STMT_END

/* Two ends in one process; both serve the same methods. */
typedef struct Line {
  HfChannel *a, *b;
  HfRpc *near, *far;
  HfRpcOptions options; /* of the far end */
  GMutex lock;
  GCond changed;
  gint running, most, cancelled; /* lock: handlers of BLOCK */
  gint closed;                   /* atomic: calls of on_closed */
  char *reason;
} Line;

static GBytes *text_bytes(const char *text)
{
  return g_bytes_new(text, strlen(text));
}

static gboolean echo(HfCall *call, gpointer user G_GNUC_UNUSED, GBytes **reply, GError **error G_GNUC_UNUSED)
{
  *reply = g_bytes_ref(hf_call_request(call));
  return TRUE;
}

static gboolean fail(HfCall *call, gpointer user G_GNUC_UNUSED, GBytes **reply G_GNUC_UNUSED, GError **error)
{
  gsize length;
  const char *text = g_bytes_get_data(hf_call_request(call), &length);
  if (length == 0)
    return FALSE; /* without a reason: a handler that is wrong */
  return hf_fail(error, HF_ERROR_NO_SPACE, "no room for '%.*s'; make some", (int)length, text);
}

/* Adds up the bytes of all pieces. */
static gboolean sum(HfCall *call, gpointer user G_GNUC_UNUSED, GBytes **reply, GError **error)
{
  guint64 total = 0, pieces = 0;
  gboolean end;
  for (;;) {
    g_autoptr(GBytes) piece = hf_call_receive(call, &end, error);
    if (piece == NULL)
      break;
    gsize length;
    const guint8 *bytes = g_bytes_get_data(piece, &length);
    pieces++;
    for (gsize i = 0; i < length; i++)
      total += bytes[i];
  }
  if (!end)
    return FALSE;
  g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT " in %" G_GUINT64_FORMAT, total, pieces);
  *reply = text_bytes(text);
  return TRUE;
}

/* Sends as many numbered pieces as it is asked for. */
static gboolean count(HfCall *call, gpointer user G_GNUC_UNUSED, GBytes **reply, GError **error)
{
  g_autofree char *text = g_strndup(g_bytes_get_data(hf_call_request(call), NULL),
                                    g_bytes_get_size(hf_call_request(call)));
  guint n = (guint)g_ascii_strtoull(text, NULL, 10);
  g_autofree guint8 *bytes = g_malloc0(60000);
  for (guint i = 0; i < n; i++) {
    memcpy(bytes, &i, sizeof i);
    struct iovec parts[] = { { bytes, 10000 }, { bytes + 10000, 50000 } };
    if (!hf_call_send(call, parts, 2, error))
      return FALSE;
  }
  *reply = text_bytes("done");
  return TRUE;
}

/* Waits until it is cancelled. */
static gboolean block(HfCall *call, gpointer user, GBytes **reply G_GNUC_UNUSED, GError **error)
{
  Line *line = user;
  gboolean end;
  g_mutex_lock(&line->lock);
  line->running++;
  line->most = MAX(line->most, line->running);
  g_cond_broadcast(&line->changed);
  g_mutex_unlock(&line->lock);
  g_autoptr(GBytes) piece = hf_call_receive(call, &end, error);
  g_mutex_lock(&line->lock);
  line->running--;
  if (hf_call_cancelled(call))
    line->cancelled++;
  g_cond_broadcast(&line->changed);
  g_mutex_unlock(&line->lock);
  return piece != NULL || end;
}

/* Does not answer before nobody waits for it any more. */
static gboolean slow(HfCall *call, gpointer user G_GNUC_UNUSED, GBytes **reply G_GNUC_UNUSED, GError **error G_GNUC_UNUSED)
{
  while (!hf_call_cancelled(call))
    g_usleep(2000);
  return TRUE;
}

/* These call the caller back: the first at the far end, the second at the near one. */
static gboolean back(HfCall *call, gpointer user, GBytes **reply, GError **error)
{
  *reply = hf_rpc_call(((Line *)user)->far, ECHO, hf_call_request(call), -1, error);
  return *reply != NULL;
}

static gboolean back_near(HfCall *call, gpointer user, GBytes **reply, GError **error)
{
  *reply = hf_rpc_call(((Line *)user)->near, ECHO, hf_call_request(call), -1, error);
  return *reply != NULL;
}

/* Replies after the first piece. */
static gboolean half(HfCall *call, gpointer user G_GNUC_UNUSED, GBytes **reply, GError **error)
{
  gboolean end;
  *reply = hf_call_receive(call, &end, error);
  return *reply != NULL;
}

static gboolean huge_reply(HfCall *call G_GNUC_UNUSED, gpointer user G_GNUC_UNUSED, GBytes **reply,
                           GError **error G_GNUC_UNUSED)
{
  *reply = g_bytes_new_take(g_malloc0(HF_RPC_FRAME_MAX + 1), HF_RPC_FRAME_MAX + 1);
  return TRUE;
}

static gboolean nothing(HfCall *call G_GNUC_UNUSED, gpointer user G_GNUC_UNUSED, GBytes **reply G_GNUC_UNUSED,
                        GError **error G_GNUC_UNUSED)
{
  return TRUE;
}

static const HfRpcMethod methods[] = {
  { ECHO, "echo", echo, 0 },       { FAIL, "fail", fail, 0 },       { SUM, "sum", sum, 0 },
  { COUNT, "count", count, 0 },    { BLOCK, "block", block, 0 },    { BACK, "back", back, 0 },   { SLOW, "slow", slow, 0 },
  { SHORT, "short", echo, 16 },    { NOTHING, "nothing", nothing, 0 }, { HALF, "half", half, 0 },
  { HUGE_REPLY, "huge-reply", huge_reply, 0 }, { BACK_NEAR, "back-near", back_near, 0 }, { 0 },
};

static void on_closed(HfRpc *rpc G_GNUC_UNUSED, const GError *reason, gpointer user)
{
  Line *line = user;
  g_mutex_lock(&line->lock);
  line->reason = g_strdup(reason != NULL ? reason->message : "in order");
  g_mutex_unlock(&line->lock);
  g_atomic_int_inc(&line->closed);
}

static gpointer open_far(gpointer data)
{
  Line *line = data;
  GError *error = NULL;
  line->far = hf_rpc_new(line->b, &line->options, &error);
  g_assert_no_error(error);
  return NULL;
}

static void line_open(Line *line, gboolean tls, HfRpcOptions *near, const HfRpcOptions *far)
{
  GError *error = NULL;
  *line = (Line){ .options = *far };
  g_mutex_init(&line->lock);
  g_cond_init(&line->changed);
  near->service = line->options.service = "test";
  near->methods = line->options.methods = methods;
  near->user = line->options.user = line;
  if (tls)
    tls_pair(&line->a, &line->b);
  else
    g_assert_true(hf_channel_pair(&line->a, &line->b, NULL));
  GThread *thread = g_thread_new("far", open_far, line);
  line->near = hf_rpc_new(line->a, near, &error);
  g_assert_no_error(error);
  g_thread_join(thread);
}

static void line_begin(Line *line)
{
  HfRpcOptions near = { 0 }, far = { .on_closed = on_closed };
  line_open(line, FALSE, &near, &far);
}

static void line_end(Line *line)
{
  hf_rpc_free(line->near);
  hf_rpc_free(line->far);
  hf_channel_free(line->a);
  hf_channel_free(line->b);
  g_mutex_clear(&line->lock);
  g_cond_clear(&line->changed);
  g_free(line->reason);
}

static void assert_text(GBytes *bytes, const char *text)
{
  g_assert_nonnull(bytes);
  g_autofree char *got = g_strndup(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
  g_assert_cmpstr(got, ==, text);
}

/* Waits until `count` handlers of BLOCK run. */
static void wait_running(Line *line, gint number)
{
  g_mutex_lock(&line->lock);
  while (line->running != number)
    g_cond_wait(&line->changed, &line->lock);
  g_mutex_unlock(&line->lock);
}

/* ---- Simple calls ---- */

static void test_call(void)
{
  Line line;
  GError *error = NULL;
  line_begin(&line);
  g_autoptr(GBytes) request = text_bytes("hello");
  g_autoptr(GBytes) reply = hf_rpc_call(line.near, ECHO, request, -1, &error);
  g_assert_no_error(error);
  assert_text(reply, "hello");
  g_autoptr(GBytes) empty = hf_rpc_call(line.far, NOTHING, NULL, 5000, &error);
  g_assert_no_error(error);
  g_assert_cmpuint(g_bytes_get_size(empty), ==, 0);
  g_autoptr(GBytes) backed = hf_rpc_call(line.near, BACK, request, -1, &error);
  assert_text(backed, "hello");
  g_assert_cmpuint(hf_rpc_version(line.near), ==, 1);
  g_assert_cmpstr(hf_rpc_peer(line.near), ==, "other end");
  g_assert_false(hf_rpc_closed(line.near, NULL));
  line_end(&line);
  g_assert_cmpint(line.closed, ==, 1);
}

static void test_errors(void)
{
  Line line;
  GError *error = NULL;
  line_begin(&line);
  g_autoptr(GBytes) request = text_bytes("twenty bytes of this");
  g_assert_null(hf_rpc_call(line.near, FAIL, request, -1, &error));
  assert_error(error, HF_ERROR_NO_SPACE, "no room for 'twenty bytes of this'; make some");
  g_clear_error(&error);
  g_assert_null(hf_rpc_call(line.near, FAIL, NULL, -1, &error));
  assert_error(error, HF_ERROR_FAILED, "without a reason");
  g_clear_error(&error);
  g_assert_null(hf_rpc_call(line.near, 999, request, -1, &error));
  assert_error(error, HF_ERROR_UNSUPPORTED, "no method 999");
  g_clear_error(&error);
  g_assert_null(hf_rpc_call(line.near, SHORT, request, -1, &error));
  assert_error(error, HF_ERROR_INVALID, "longer than 16 bytes");
  g_clear_error(&error);
  g_assert_null(hf_rpc_call(line.near, HUGE_REPLY, NULL, -1, &error));
  assert_error(error, HF_ERROR_FAILED, "more than the other side takes");
  g_clear_error(&error);
  /* What cannot be sent at all. */
  g_autoptr(GBytes) large = g_bytes_new_take(g_malloc0(HF_RPC_FRAME_MAX + 1), HF_RPC_FRAME_MAX + 1);
  g_assert_null(hf_rpc_call(line.near, ECHO, large, -1, &error));
  assert_error(error, HF_ERROR_USAGE, "cannot be sent");
  g_clear_error(&error);
  g_assert_null(hf_rpc_begin(line.near, 0, NULL, &error));
  assert_error(error, HF_ERROR_USAGE, "method 0");
  g_clear_error(&error);
  /* None of it hurt the connection. */
  g_autoptr(GBytes) reply = hf_rpc_call(line.near, ECHO, request, -1, &error);
  g_assert_no_error(error);
  assert_text(reply, "twenty bytes of this");
  line_end(&line);
}

typedef struct Caller {
  HfRpc *rpc;
  guint back; /* the method that calls this end back */
} Caller;

static gpointer many_calls(gpointer data)
{
  const Caller *caller = data;
  for (guint i = 0; i < 300; i++) {
    g_autofree char *text = g_strdup_printf("call %u", i);
    g_autoptr(GBytes) request = text_bytes(text);
    g_autoptr(GBytes) reply = hf_rpc_call(caller->rpc, i % 3 == 0 ? caller->back : ECHO, request, 20000, NULL);
    assert_text(reply, text);
  }
  return NULL;
}

static void test_many(void)
{
  Line line;
  GThread *threads[8];
  line_begin(&line);
  Caller callers[] = { { line.near, BACK }, { line.far, BACK_NEAR } };
  for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
    threads[i] = g_thread_new("caller", many_calls, &callers[i % 2]);
  for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
    g_thread_join(threads[i]);
  line_end(&line);
}

/* ---- Streams ---- */

static void stream_up(Line *line, guint pieces, gsize length)
{
  GError *error = NULL;
  g_autofree guint8 *bytes = g_malloc(length);
  memset(bytes, 3, length);
  g_autoptr(HfCall) call = hf_rpc_begin(line->near, SUM, NULL, &error);
  g_assert_no_error(error);
  for (guint i = 0; i < pieces; i++) {
    struct iovec parts[] = { { bytes, length / 3 }, { bytes, 0 }, { bytes, length - length / 3 } };
    assert_ok(hf_call_send(call, parts, 3, &error), error);
  }
  g_autoptr(GBytes) reply = hf_call_finish(call, &error);
  g_assert_no_error(error);
  g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT " in %u", (guint64)3 * length * pieces, pieces);
  assert_text(reply, text);
  g_assert_null(hf_call_finish(call, &error));
  assert_error(error, HF_ERROR_USAGE, "taken already");
  g_clear_error(&error);
}

static void stream_down(Line *line, guint pieces)
{
  GError *error = NULL;
  g_autofree char *text = g_strdup_printf("%u", pieces);
  g_autoptr(GBytes) request = text_bytes(text);
  g_autoptr(HfCall) call = hf_rpc_begin(line->near, COUNT, request, &error);
  g_assert_no_error(error);
  assert_ok(hf_call_end(call, &error), error);
  assert_ok(hf_call_end(call, &error), error);
  gboolean end = FALSE;
  for (guint i = 0; i < pieces; i++) {
    g_autoptr(GBytes) piece = hf_call_receive(call, &end, &error);
    g_assert_no_error(error);
    guint number;
    g_assert_cmpuint(g_bytes_get_size(piece), ==, 60000);
    memcpy(&number, g_bytes_get_data(piece, NULL), sizeof number);
    g_assert_cmpuint(number, ==, i);
  }
  g_assert_null(hf_call_receive(call, &end, &error));
  g_assert_no_error(error);
  g_assert_true(end);
  g_autoptr(GBytes) reply = hf_call_finish(call, &error);
  assert_text(reply, "done");
}

static void test_streams(gconstpointer tls)
{
  Line line;
  HfRpcOptions near = { 0 }, far = { 0 };
  line_open(&line, GPOINTER_TO_INT(tls), &near, &far);
  stream_up(&line, 0, 3);
  stream_up(&line, 1, 3);
  stream_up(&line, 100, 100000);
  stream_up(&line, 3, HF_RPC_FRAME_MAX);
  stream_up(&line, 2000, 1);
  stream_down(&line, 0);
  stream_down(&line, 300);
  line_end(&line);
}

/* A window that is much smaller than a piece: one piece at a time, and it goes on. */
static void test_small_window(void)
{
  Line line;
  HfRpcOptions near = { .window = 1, .memory_max = 1 }, far = { .window = 1, .memory_max = 1 };
  line_open(&line, FALSE, &near, &far);
  stream_up(&line, 20, 1000000);
  stream_down(&line, 30);
  line_end(&line);
}

/* A sender is held back until somebody receives; a larger window lets more through. */
static void test_credit(void)
{
  Line line;
  GError *error = NULL;
  HfRpcOptions near = { 0 }, far = { .window = 100000, .memory_max = 16 << 20 };
  line_open(&line, FALSE, &near, &far);
  g_autoptr(HfCall) call = hf_rpc_begin(line.near, BLOCK, NULL, &error);
  g_autofree guint8 *bytes = g_malloc0(60000);
  struct iovec part = { bytes, 60000 };
  /* The handler takes the first and ends; before that two fit into the window, the second going beyond it. */
  wait_running(&line, 1);
  g_assert_true(hf_call_send(call, &part, 1, &error));
  g_autoptr(GBytes) reply = hf_call_finish(call, &error);
  assert_text(reply, "");

  /* Nobody receives: COUNT at the far end is stuck until we do. */
  g_autoptr(GBytes) request = text_bytes("1000");
  g_autoptr(HfCall) stuck = hf_rpc_begin(line.near, COUNT, request, &error);
  hf_call_set_window(stuck, 10 << 20);
  hf_call_set_window(stuck, 100 << 10);
  hf_call_set_window(stuck, 8 << 20);
  guint64 before = 0, now = 1;
  while (now != before) {
    before = now;
    g_usleep(50000);
    now = hf_channel_bytes(line.a).read;
  }
  g_assert_cmpuint(now, >, 8 << 20);
  g_assert_cmpuint(now, <, 11 << 20);
  gboolean end;
  for (guint i = 0; i < 1000; i++) {
    g_autoptr(GBytes) piece = hf_call_receive(stuck, &end, &error);
    g_assert_nonnull(piece);
  }
  g_autoptr(GBytes) done = hf_call_finish(stuck, &error);
  assert_text(done, "done");
  g_clear_pointer(&call, hf_call_free);
  g_clear_pointer(&stuck, hf_call_free);
  line_end(&line);
}

/* Pieces that nobody wants do not keep a call from ending. */
static void test_discard(void)
{
  Line line;
  GError *error = NULL;
  line_begin(&line);
  g_autoptr(GBytes) request = text_bytes("500");
  g_autoptr(HfCall) call = hf_rpc_begin(line.near, COUNT, request, &error);
  g_autoptr(GBytes) reply = hf_call_finish(call, &error);
  g_assert_no_error(error);
  assert_text(reply, "done");
  g_clear_pointer(&call, hf_call_free);
  line_end(&line);
}

/* The handler replies early: the sender hears of it. */
static void test_half(void)
{
  Line line;
  GError *error = NULL;
  line_begin(&line);
  g_autofree guint8 *bytes = g_malloc0(100000);
  struct iovec part = { bytes, 100000 };
  g_autoptr(HfCall) call = hf_rpc_begin(line.near, HALF, NULL, &error);
  while (hf_call_send(call, &part, 1, &error))
    continue;
  assert_error(error, HF_ERROR_CANCELLED, "wants no more");
  g_clear_error(&error);
  g_autoptr(GBytes) reply = hf_call_finish(call, &error);
  g_assert_no_error(error);
  g_assert_cmpuint(g_bytes_get_size(reply), ==, 100000);

  /* The same with an error. */
  g_autoptr(GBytes) why = text_bytes("you");
  g_autoptr(HfCall) failing = hf_rpc_begin(line.near, FAIL, why, &error);
  while (hf_call_send(failing, &part, 1, &error))
    continue;
  assert_error(error, HF_ERROR_NO_SPACE, "no room for 'you'");
  g_clear_error(&error);
  gboolean end = TRUE;
  g_assert_null(hf_call_receive(failing, &end, &error));
  g_assert_false(end);
  assert_error(error, HF_ERROR_NO_SPACE, "no room for 'you'");
  g_clear_error(&error);

  /* Pieces that cannot be. */
  g_autoptr(HfCall) third = hf_rpc_begin(line.near, SUM, NULL, &error);
  struct iovec empty = { bytes, 0 };
  g_assert_false(hf_call_send(third, &empty, 1, &error));
  assert_error(error, HF_ERROR_USAGE, "a piece of 0 bytes");
  g_clear_error(&error);
  g_clear_pointer(&call, hf_call_free);
  g_clear_pointer(&failing, hf_call_free);
  g_clear_pointer(&third, hf_call_free);
  line_end(&line);
}

/* ---- Cancels, deadlines ---- */

static void test_cancel(void)
{
  Line line;
  GError *error = NULL;
  line_begin(&line);
  g_autoptr(HfCall) call = hf_rpc_begin(line.near, BLOCK, NULL, &error);
  wait_running(&line, 1);
  hf_call_cancel(call);
  hf_call_cancel(call);
  g_assert_null(hf_call_finish(call, &error));
  assert_error(error, HF_ERROR_CANCELLED, "was cancelled");
  g_clear_error(&error);
  wait_running(&line, 0);
  g_assert_cmpint(line.cancelled, ==, 1);

  /* A call that is let go is cancelled too. */
  HfCall *second = hf_rpc_begin(line.near, BLOCK, NULL, &error);
  wait_running(&line, 1);
  hf_call_free(second);
  wait_running(&line, 0);
  g_assert_cmpint(line.cancelled, ==, 2);
  g_clear_pointer(&call, hf_call_free);
  line_end(&line);
}

static void test_deadline(void)
{
  Line line;
  GError *error = NULL;
  line_begin(&line);
  g_assert_null(hf_rpc_call(line.near, SLOW, NULL, 30, &error));
  assert_error(error, HF_ERROR_IO, "did not answer in time");
  g_clear_error(&error);
  line_end(&line);
}

/* The user's cancel flag wakes who waits. */
static gpointer set_cancel(gpointer data)
{
  g_usleep(50000);
  hf_cancel_set(data);
  return NULL;
}

static void test_user_cancel(void)
{
  Line line;
  GError *error = NULL;
  HfCancel cancel = { 0 };
  HfRpcOptions near = { .cancel = &cancel }, far = { 0 };
  line_open(&line, FALSE, &near, &far);
  g_autoptr(HfCall) blocked = hf_rpc_begin(line.near, BLOCK, NULL, &error);
  GThread *thread = g_thread_new("cancel", set_cancel, &cancel);
  gboolean end;
  g_assert_null(hf_call_receive(blocked, &end, &error));
  assert_error(error, HF_ERROR_CANCELLED, "cancelled");
  g_clear_error(&error);
  g_thread_join(thread);
  g_clear_pointer(&blocked, hf_call_free);
  line_end(&line);
}

/* ---- Limits ---- */

static gpointer call_block(gpointer data)
{
  g_autoptr(GBytes) reply = hf_rpc_call(data, BLOCK, NULL, -1, NULL);
  g_assert_nonnull(reply);
  return NULL;
}

static void test_max_calls(void)
{
  Line line;
  GError *error = NULL;
  HfRpcOptions near = { 0 }, far = { .max_calls = 3 };
  line_open(&line, FALSE, &near, &far);
  HfCall *calls[3];
  for (guint i = 0; i < 3; i++)
    calls[i] = hf_rpc_begin(line.near, BLOCK, NULL, &error);
  wait_running(&line, 3);
  /* The fourth waits until one has ended. */
  GThread *fourth = g_thread_new("fourth", call_block, line.near);
  g_usleep(50000);
  g_assert_null(hf_rpc_call(line.near, ECHO, NULL, 20, &error));
  assert_error(error, HF_ERROR_IO, "in time");
  g_clear_error(&error);
  for (guint i = 0; i < 3; i++)
    hf_call_free(calls[i]);
  g_thread_join(fourth);
  g_assert_cmpint(line.most, ==, 3);
  line_end(&line);
}

/* ---- Ends ---- */

static void test_close(void)
{
  Line line;
  GError *error = NULL;
  line_begin(&line);
  g_autoptr(HfCall) call = hf_rpc_begin(line.near, BLOCK, NULL, &error);
  wait_running(&line, 1);
  hf_rpc_close(line.near);
  g_assert_null(hf_call_finish(call, &error));
  assert_error(error, HF_ERROR_CANCELLED, "was closed here");
  g_clear_error(&error);
  g_assert_null(hf_rpc_call(line.near, ECHO, NULL, -1, &error));
  assert_error(error, HF_ERROR_CANCELLED, "was closed here");
  g_clear_error(&error);
  g_assert_true(hf_rpc_wait_closed(line.far, 10000));
  g_assert_null(hf_rpc_call(line.far, ECHO, NULL, -1, &error));
  assert_error(error, HF_ERROR_IO, "has ended the connection");
  g_clear_error(&error);
  wait_running(&line, 0);
  g_assert_cmpint(line.cancelled, ==, 1);
  g_clear_pointer(&call, hf_call_free);
  line_end(&line);
  g_assert_cmpint(line.closed, ==, 1);
}

static void test_lost(gconstpointer tls)
{
  Line line;
  GError *error = NULL;
  HfRpcOptions near = { 0 }, far = { .on_closed = on_closed };
  line_open(&line, GPOINTER_TO_INT(tls), &near, &far);
  g_autoptr(HfCall) call = hf_rpc_begin(line.near, BLOCK, NULL, &error);
  wait_running(&line, 1);
  hf_channel_shutdown(line.b);
  g_assert_null(hf_call_finish(call, &error));
  assert_error(error, HF_ERROR_IO, "is lost");
  g_clear_error(&error);
  g_assert_true(hf_rpc_closed(line.near, &error));
  assert_error(error, HF_ERROR_IO, "");
  g_clear_error(&error);
  g_assert_true(hf_rpc_wait_closed(line.near, -1));
  g_clear_pointer(&call, hf_call_free);
  line_end(&line);
}

static void test_dead(void)
{
  HfChannel *a, *b;
  GError *error = NULL;
  g_assert_true(hf_channel_pair(&a, &b, NULL));
  /* Says hello, then nothing. */
  const guint8 bytes[] = { 34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 'H', 'R', 'C', '1', 1, 0, 1, 0, 1, 0, 1, 0,
                           0, 0, 64, 0, 0, 0, 64, 0, 32, 0, 0, 0, 4, 't', 'e', 's', 't', 4, '0', '.', '0', '1' };
  g_assert_true(hf_channel_send(b, bytes, sizeof bytes, NULL));
  HfRpcOptions options = { .service = "test", .ping_seconds = 1, .dead_seconds = 2 };
  HfRpc *rpc = hf_rpc_new(a, &options, &error);
  g_assert_no_error(error);
  g_assert_cmpuint(hf_rpc_piece_max(rpc), ==, 4 << 20);
  gint64 begun = g_get_monotonic_time();
  g_assert_null(hf_rpc_call(rpc, ECHO, NULL, -1, &error));
  assert_error(error, HF_ERROR_IO, "'other end'");
  g_assert_cmpint(g_get_monotonic_time() - begun, >, 1500000);
  g_assert_cmpint(g_get_monotonic_time() - begun, <, 20000000);
  g_clear_error(&error);
  hf_rpc_free(rpc);
  hf_channel_free(a);
  hf_channel_free(b);
}

/* Pings keep a quiet connection alive. */
static void test_ping(void)
{
  Line line;
  GError *error = NULL;
  HfRpcOptions near = { .ping_seconds = 1, .dead_seconds = 3 }, far = { .ping_seconds = 60, .dead_seconds = 3 };
  line_open(&line, FALSE, &near, &far);
  g_usleep(4 * G_USEC_PER_SEC);
  g_autoptr(GBytes) reply = hf_rpc_call(line.near, ECHO, NULL, 5000, &error);
  assert_text(reply, "");
  line_end(&line);
}

/* ---- Hello ---- */

typedef struct Opening {
  HfChannel *channel;
  HfRpcOptions options;
  GError *error;
} Opening;

static gpointer open_one(gpointer data)
{
  Opening *opening = data;
  hf_rpc_free(hf_rpc_new(opening->channel, &opening->options, &opening->error));
  return NULL;
}

static void disagree(const HfRpcOptions *a, const HfRpcOptions *b, const char *at_a, const char *at_b)
{
  Opening near = { .options = *a }, far = { .options = *b };
  g_assert_true(hf_channel_pair(&near.channel, &far.channel, NULL));
  GThread *thread = g_thread_new("far", open_one, &far);
  (void)open_one(&near);
  g_thread_join(thread);
  assert_error(near.error, HF_ERROR_UNSUPPORTED, at_a);
  assert_error(far.error, HF_ERROR_UNSUPPORTED, at_b);
  g_clear_error(&near.error);
  g_clear_error(&far.error);
  hf_channel_free(near.channel);
  hf_channel_free(far.channel);
}

static void test_hello(void)
{
  HfRpcOptions one = { .service = "a", .version_low = 1, .version_high = 2 };
  HfRpcOptions other = { .service = "b", .version_low = 1, .version_high = 2 };
  HfRpcOptions newer = { .service = "a", .version_low = 3, .version_high = 9 };
  disagree(&one, &other, "offers 'b' here, not 'a'", "offers 'a' here, not 'b'");
  disagree(&one, &newer, "speaks versions 3 to 9 of a; this side", "speaks versions 1 to 2 of a; this side");
  disagree(&one, &newer, "upgrade this side", "upgrade the other side");

  /* A peer that says nothing. */
  Opening silent = { .options = { .service = "a", .hello_seconds = 1 } };
  HfChannel *unused;
  g_assert_true(hf_channel_pair(&silent.channel, &unused, NULL));
  (void)open_one(&silent);
  assert_error(silent.error, HF_ERROR_IO, "in time");
  g_clear_error(&silent.error);
  hf_channel_free(silent.channel);
  hf_channel_free(unused);

  /* The highest that both speak. */
  Line line;
  HfRpcOptions near = { .version_low = 1, .version_high = 5 }, far = { .version_low = 2, .version_high = 3 };
  line_open(&line, FALSE, &near, &far);
  g_assert_cmpuint(hf_rpc_version(line.near), ==, 3);
  g_assert_cmpuint(hf_rpc_version(line.far), ==, 3);
  line_end(&line);
}

/* ---- A relay between, as the transport role has it ---- */

typedef struct Relay {
  HfChannel *a, *b;
  gboolean done;
} Relay;

static gpointer run_relay(gpointer data)
{
  Relay *relay = data;
  relay->done = hf_channel_relay(relay->a, relay->b, NULL, NULL, NULL);
  return NULL;
}

static void test_relay(void)
{
  HfChannel *worker, *face, *out, *in;
  GError *error = NULL;
  g_assert_true(hf_channel_pair(&worker, &face, NULL));
  tls_pair(&out, &in);
  Relay relay = { .a = face, .b = out };
  GThread *thread = g_thread_new("relay", run_relay, &relay);
  Line line = { .a = worker, .b = in };
  g_mutex_init(&line.lock);
  g_cond_init(&line.changed);
  line.options = (HfRpcOptions){ .service = "test", .methods = methods, .user = &line };
  GThread *far = g_thread_new("far", open_far, &line);
  line.near = hf_rpc_new(worker, &line.options, &error);
  g_assert_no_error(error);
  g_thread_join(far);
  stream_up(&line, 100, 300000);
  stream_down(&line, 200);
  hf_rpc_free(g_steal_pointer(&line.near));
  hf_rpc_free(g_steal_pointer(&line.far));
  hf_channel_shutdown(worker);
  hf_channel_shutdown(in);
  g_thread_join(thread);
  hf_channel_free(worker);
  hf_channel_free(in);
  hf_channel_free(face);
  hf_channel_free(out);
  g_mutex_clear(&line.lock);
  g_cond_clear(&line.changed);
}

/* A call that goes out with the hello: it is the first, and others come after it. */
static void test_first(void)
{
  Line line;
  GError *error = NULL;
  HfRpcOptions near = { .first_method = ECHO }, far = { 0 };
  line_open(&line, FALSE, &near, &far);
  g_autoptr(GBytes) request = text_bytes("second");
  g_autoptr(GBytes) second = hf_rpc_call(line.near, ECHO, request, -1, &error);
  assert_text(second, "second");
  HfCall *first = hf_rpc_first(line.near);
  g_assert_nonnull(first);
  g_assert_null(hf_rpc_first(line.near));
  g_assert_null(hf_rpc_first(line.far));
  g_autoptr(GBytes) reply = hf_call_finish(first, &error);
  assert_text(reply, "");
  hf_call_free(first);
  line_end(&line);
  /* One that nobody takes. */
  near = (HfRpcOptions){ .first_method = NOTHING };
  line_open(&line, FALSE, &near, &far);
  line_end(&line);
}

/* A hasty end does not wait for an end that does not answer; what was written still arrives. */
static void test_hasty(void)
{
  Line line;
  HfRpcOptions near = { .hasty = TRUE }, far = { .on_closed = on_closed };
  line_open(&line, FALSE, &near, &far);
  hf_rpc_free(line.near);
  g_assert_true(hf_rpc_wait_closed(line.far, 10000));
  hf_rpc_free(line.far);
  g_assert_cmpstr(line.reason, ==, "in order");
  line.near = line.far = NULL;
  line_end(&line);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_assert_true(hf_crypto_init(NULL));
  g_test_add_func("/net/rpc/call", test_call);
  g_test_add_func("/net/rpc/errors", test_errors);
  g_test_add_func("/net/rpc/many", test_many);
  g_test_add_data_func("/net/rpc/streams/plain", GINT_TO_POINTER(FALSE), test_streams);
  g_test_add_data_func("/net/rpc/streams/tls", GINT_TO_POINTER(TRUE), test_streams);
  g_test_add_func("/net/rpc/small-window", test_small_window);
  g_test_add_func("/net/rpc/credit", test_credit);
  g_test_add_func("/net/rpc/discard", test_discard);
  g_test_add_func("/net/rpc/half", test_half);
  g_test_add_func("/net/rpc/cancel", test_cancel);
  g_test_add_func("/net/rpc/deadline", test_deadline);
  g_test_add_func("/net/rpc/user-cancel", test_user_cancel);
  g_test_add_func("/net/rpc/max-calls", test_max_calls);
  g_test_add_func("/net/rpc/close", test_close);
  g_test_add_data_func("/net/rpc/lost/plain", GINT_TO_POINTER(FALSE), test_lost);
  g_test_add_data_func("/net/rpc/lost/tls", GINT_TO_POINTER(TRUE), test_lost);
  g_test_add_func("/net/rpc/dead", test_dead);
  g_test_add_func("/net/rpc/ping", test_ping);
  g_test_add_func("/net/rpc/hello", test_hello);
  g_test_add_func("/net/rpc/relay", test_relay);
  g_test_add_func("/net/rpc/first", test_first);
  g_test_add_func("/net/rpc/hasty", test_hasty);
  return g_test_run();
}
