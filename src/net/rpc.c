/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "format/cursor.h"
#include "net/rpc_private.h"

#define PING_SECONDS 10u
#define DEAD_SECONDS 30u
#define HELLO_SECONDS 30u
#define WINDOW_LEAST (16u << 10)
#define GOODBYE_US (2 * G_USEC_PER_SEC) /* for an orderly end */
#define SKIP_BYTES (64 << 10)

/* ---- Ending ---- */

/* Ends all calls; `reason` (NULL: in order) is taken over, and kept when it is the first. */
static void close_locked(HfRpc *rpc, GError *reason)
{
  if (rpc->closed) {
    g_clear_error(&reason);
    return;
  }
  rpc->closed = TRUE;
  rpc->reason = reason;
  g_autoptr(GList) outgoing = g_hash_table_get_values(rpc->outgoing);
  for (GList *at = outgoing; at != NULL; at = at->next) {
    GError *failure = NULL;
    (void)hf_rpc_fail_closed_locked(rpc, &failure);
    hf_call_done_locked(at->data, NULL, failure);
  }
  GHashTableIter iter;
  gpointer call;
  g_hash_table_iter_init(&iter, rpc->incoming);
  while (g_hash_table_iter_next(&iter, NULL, &call)) {
    ((HfCall *)call)->cancelled = TRUE;
    g_cond_broadcast(&((HfCall *)call)->changed);
  }
  g_cond_broadcast(&rpc->changed);
  g_cond_broadcast(&rpc->work);
  g_cond_broadcast(&rpc->due);
}

/* The channel takes nothing more: ends all calls for this cause, and wakes the reader. */
static void give_up(HfRpc *rpc, const GError *cause)
{
  g_mutex_lock(&rpc->lock);
  close_locked(rpc, g_error_copy(cause));
  g_mutex_unlock(&rpc->lock);
  hf_channel_shutdown(rpc->channel);
}

/* ---- Sending ---- */

static void append_frame(GByteArray *out, const HfRpcFrame *frame, const void *body)
{
  guint8 header[HF_RPC_HEADER_BYTES];
  hf_rpc_frame_encode(frame, header);
  hf_put_raw(out, header, sizeof header);
  hf_put_raw(out, body, frame->length);
}

void hf_rpc_queue_locked(HfRpc *rpc, HfRpcType type, guint8 flags, guint32 call, const void *body, guint32 length)
{
  if (rpc->closed)
    return;
  HfRpcFrame frame = { length, (guint8)type, flags, 0, call };
  append_frame(rpc->queued, &frame, body);
  g_cond_signal(&rpc->due);
}

gboolean hf_rpc_write(HfRpc *rpc, HfRpcFrame frame, const struct iovec *parts, int count, GError **error)
{
  guint8 header[HF_RPC_HEADER_BYTES];
  g_autofree struct iovec *all = g_new(struct iovec, count + 1);
  hf_rpc_frame_encode(&frame, header);
  all[0] = (struct iovec){ header, sizeof header };
  for (int i = 0; i < count; i++)
    all[i + 1] = parts[i];
  g_autoptr(GError) cause = NULL;
  if (hf_channel_write(rpc->channel, all, count + 1, &cause))
    return TRUE;
  give_up(rpc, cause);
  g_propagate_error(error, g_steal_pointer(&cause));
  return FALSE;
}

/* Takes what is to be sent; NULL when there is nothing. */
static GByteArray *take_queued_locked(HfRpc *rpc)
{
  GByteArray *frames = rpc->queued;
  if (rpc->pong_due) {
    const HfRpcFrame pong = { .type = HF_RPC_PONG };
    append_frame(frames, &pong, NULL);
    rpc->pong_due = FALSE;
  }
  if (rpc->goodbye_due) {
    const HfRpcFrame goodbye = { .length = 3, .type = HF_RPC_GOODBYE };
    const guint8 in_order[3] = { 0 };
    append_frame(frames, &goodbye, in_order);
  }
  if (frames->len == 0)
    return NULL;
  rpc->queued = g_byte_array_new();
  return frames;
}

/* Waits until there is something to send, or it is time for a ping. One is due when nothing was heard, and when nothing
 * was said: the other end's own ping may stand behind much that we take in slowly. */
static void wait_due_locked(HfRpc *rpc, HfChannelBytes *last, gint64 *ping_us)
{
  gint64 every = (gint64)rpc->options.ping_seconds * G_USEC_PER_SEC;
  if (g_cond_wait_until(&rpc->due, &rpc->lock, *ping_us))
    return;
  HfChannelBytes now = hf_channel_bytes(rpc->channel);
  if (now.wire_read == last->wire_read || now.wire_written == last->wire_written)
    hf_rpc_queue_locked(rpc, HF_RPC_PING, 0, 0, NULL, 0);
  *last = now;
  *ping_us = g_get_monotonic_time() + every;
}

static gpointer run_sender(gpointer data)
{
  HfRpc *rpc = data;
  HfChannelBytes seen = { 0 };
  gint64 ping_us = g_get_monotonic_time() + (gint64)rpc->options.ping_seconds * G_USEC_PER_SEC;
  gboolean going = TRUE;
  g_mutex_lock(&rpc->lock);
  while (going && !rpc->over) {
    gboolean last = rpc->goodbye_due;
    g_autoptr(GByteArray) frames = take_queued_locked(rpc);
    if (frames == NULL) {
      wait_due_locked(rpc, &seen, &ping_us);
      continue;
    }
    g_mutex_unlock(&rpc->lock);
    g_autoptr(GError) cause = NULL;
    if (!hf_channel_send(rpc->channel, frames->data, frames->len, &cause))
      give_up(rpc, cause);
    else if (last)
      (void)hf_channel_end(rpc->channel, NULL);
    going = cause == NULL && !last;
    g_mutex_lock(&rpc->lock);
    rpc->said_goodbye = last;
    g_cond_broadcast(&rpc->changed);
  }
  g_mutex_unlock(&rpc->lock);
  return NULL;
}

/* ---- Workers ---- */

static gpointer run_worker(gpointer data)
{
  HfRpc *rpc = data;
  g_mutex_lock(&rpc->lock);
  for (;;) {
    HfCall *call = g_queue_pop_head(&rpc->jobs);
    if (call != NULL) {
      g_mutex_unlock(&rpc->lock);
      hf_call_serve(call);
      g_mutex_lock(&rpc->lock);
    } else if (rpc->closed) {
      break;
    } else {
      rpc->idle++;
      g_cond_wait(&rpc->work, &rpc->lock);
      rpc->idle--;
    }
  }
  g_mutex_unlock(&rpc->lock);
  return NULL;
}

/* Gives a call to a worker, starting one where all are busy. FALSE when there is none and none can be started. */
static gboolean dispatch_locked(HfRpc *rpc, HfCall *call, GError **error)
{
  g_queue_push_tail(&rpc->jobs, call);
  if (rpc->idle < rpc->jobs.length && rpc->workers->len < rpc->options.max_calls) {
    g_autoptr(GError) cause = NULL;
    GThread *worker = g_thread_try_new("rpc-worker", run_worker, rpc, &cause);
    if (worker != NULL)
      g_ptr_array_add(rpc->workers, worker);
    else if (rpc->workers->len == 0)
      return hf_fail(error, HF_ERROR_FAILED, "cannot start a thread: %s", cause->message);
  }
  g_cond_signal(&rpc->work);
  return TRUE;
}

/* ---- Reading ---- */

static gboolean fail_protocol(HfRpc *rpc, GError **error, const char *what)
{
  return hf_fail(error, HF_ERROR_INVALID, "'%s' breaks the protocol: %s; upgrade the older of both sides",
                 hf_channel_peer(rpc->channel), what);
}

static gboolean skip_body(HfRpc *rpc, guint32 length, GError **error)
{
  g_autofree guint8 *scratch = g_malloc(SKIP_BYTES);
  for (guint32 left = length; left > 0;) {
    guint32 some = MIN(left, SKIP_BYTES);
    if (!hf_channel_read(rpc->channel, scratch, some, error))
      return FALSE;
    left -= some;
  }
  return TRUE;
}

/* The body, which was compared with its limit. */
static GBytes *read_body(HfRpc *rpc, guint32 length, GError **error)
{
  if (length == 0)
    return g_bytes_new_static("", 0);
  guint8 *bytes = hf_bodies_get(rpc->bodies, length);
  if (bytes == NULL) {
    (void)hf_fail(error, HF_ERROR_FAILED, "out of memory for %u bytes from '%s'", length,
                  hf_channel_peer(rpc->channel));
    return NULL;
  }
  if (!hf_channel_read(rpc->channel, bytes, length, error)) {
    hf_bodies_put(bytes);
    return NULL;
  }
  return hf_bodies_take(bytes, length);
}

static const HfRpcMethod *find_method(const HfRpc *rpc, guint16 number)
{
  for (const HfRpcMethod *method = rpc->options.methods; method != NULL && method->number != 0; method++) {
    if (method->number == number)
      return method;
  }
  return NULL;
}

static gboolean take_call(HfRpc *rpc, const HfRpcFrame *frame, GError **error)
{
  const HfRpcMethod *method = find_method(rpc, frame->method);
  guint32 most = method != NULL && method->request_max != 0 ? method->request_max : rpc->options.frame_max;
  g_autoptr(GBytes) request = NULL;
  if (frame->length <= most)
    request = read_body(rpc, frame->length, error);
  if (frame->length <= most ? request == NULL : !skip_body(rpc, frame->length, error))
    return FALSE;

  HF_LOCK(&rpc->lock);
  if (frame->call <= rpc->last_call)
    return fail_protocol(rpc, error, "numbers of calls do not ascend");
  if (g_hash_table_size(rpc->incoming) >= rpc->options.max_calls)
    return fail_protocol(rpc, error, "too many calls at a time");
  rpc->last_call = frame->call;
  HfCall *call = hf_call_new(rpc, frame->call, frame->method, TRUE);
  call->in_ended = (frame->flags & HF_RPC_END) != 0;
  call->request = g_steal_pointer(&request); /* NULL: too long; the worker says so */
  g_hash_table_insert(rpc->incoming, GUINT_TO_POINTER(call->id), call);
  return dispatch_locked(rpc, call, error);
}

/* The listed call that a frame is about. NULL for one that has ended; *known FALSE for one that never was. */
static HfCall *find_call_locked(HfRpc *rpc, const HfRpcFrame *frame, gboolean *known)
{
  gboolean ours = (frame->flags & HF_RPC_ANSWER) != 0;
  *known = ours ? frame->call < rpc->next_call : frame->call <= rpc->last_call;
  return g_hash_table_lookup(ours ? rpc->outgoing : rpc->incoming, GUINT_TO_POINTER(frame->call));
}

/* Judges a piece before it is read. *keep FALSE: its call has ended. */
static gboolean admit_piece(HfRpc *rpc, const HfRpcFrame *frame, gboolean *keep, GError **error)
{
  HF_LOCK(&rpc->lock);
  gboolean known;
  HfCall *call = find_call_locked(rpc, frame, &known);
  *keep = call != NULL;
  if (!known)
    return fail_protocol(rpc, error, "a piece of a call that never was");
  if (call == NULL)
    return TRUE;
  if (call->in_ended)
    return fail_protocol(rpc, error, "a piece after the last");
  if (frame->length > 0 && call->in_credit <= 0)
    return fail_protocol(rpc, error, "a piece without credit");
  if (frame->length > 0)
    call->in_credit -= hf_piece_cost(frame->length);
  return TRUE;
}

static gboolean take_data(HfRpc *rpc, const HfRpcFrame *frame, GError **error)
{
  gboolean keep, known;
  if (!admit_piece(rpc, frame, &keep, error))
    return FALSE;
  if (!keep)
    return skip_body(rpc, frame->length, error);
  GBytes *piece = NULL;
  if (frame->length > 0 && (piece = read_body(rpc, frame->length, error)) == NULL)
    return FALSE;
  HF_LOCK(&rpc->lock);
  HfCall *call = find_call_locked(rpc, frame, &known);
  if (call != NULL)
    hf_call_take_piece_locked(call, piece, (frame->flags & HF_RPC_END) != 0);
  else if (piece != NULL)
    g_bytes_unref(piece);
  return TRUE;
}

static gboolean take_credit(HfRpc *rpc, const HfRpcFrame *frame, GError **error)
{
  guint8 body[4];
  gboolean known;
  if (!hf_channel_read(rpc->channel, body, sizeof body, error))
    return FALSE;
  HF_LOCK(&rpc->lock);
  HfCall *call = find_call_locked(rpc, frame, &known);
  if (!known)
    return fail_protocol(rpc, error, "credit for a call that never was");
  if (call == NULL)
    return TRUE;
  call->credit += hf_load_u32(body);
  if (call->credit > G_MAXUINT32)
    return fail_protocol(rpc, error, "more credit than a window can have");
  g_cond_broadcast(&call->changed);
  return TRUE;
}

/* A reply, or an error. */
static gboolean take_end(HfRpc *rpc, const HfRpcFrame *frame, GError **error)
{
  g_autoptr(GBytes) body = read_body(rpc, frame->length, error);
  gboolean known;
  if (body == NULL)
    return FALSE;
  GError *failure = NULL;
  if (frame->type == HF_RPC_ERROR) {
    gsize length;
    const guint8 *bytes = g_bytes_get_data(body, &length);
    if (!hf_rpc_error_decode(bytes, length, &failure, NULL) || failure == NULL)
      return fail_protocol(rpc, error, "a malformed error");
  }
  HF_LOCK(&rpc->lock);
  HfCall *call = find_call_locked(rpc, frame, &known);
  if (call == NULL) {
    g_clear_error(&failure);
    return fail_protocol(rpc, error, "the end of a call that is not under way");
  }
  hf_call_done_locked(call, failure == NULL ? g_steal_pointer(&body) : NULL, failure);
  return TRUE;
}

static gboolean take_cancel(HfRpc *rpc, const HfRpcFrame *frame, GError **error)
{
  HF_LOCK(&rpc->lock);
  gboolean known;
  HfCall *call = find_call_locked(rpc, frame, &known);
  if (!known)
    return fail_protocol(rpc, error, "a cancel of a call that never was");
  if (call != NULL) {
    call->cancelled = TRUE;
    g_cond_broadcast(&call->changed);
  }
  return TRUE;
}

/* Sets *over, and *reason when the other side gave one. */
static gboolean take_goodbye(HfRpc *rpc, const HfRpcFrame *frame, gboolean *over, GError **error)
{
  g_autoptr(GBytes) body = read_body(rpc, frame->length, error);
  g_autoptr(GError) said = NULL;
  if (body == NULL)
    return FALSE;
  gsize length;
  const guint8 *bytes = g_bytes_get_data(body, &length);
  if (!hf_rpc_error_decode(bytes, length, &said, NULL))
    return fail_protocol(rpc, error, "a malformed goodbye");
  *over = TRUE;
  return said == NULL || hf_fail(error, HF_ERROR_IO, "'%s' ended the connection: %s", hf_channel_peer(rpc->channel),
                                 said->message);
}

static gboolean take_frame(HfRpc *rpc, const HfRpcFrame *frame, gboolean *over, GError **error)
{
  switch (frame->type) {
  case HF_RPC_CALL:
    return take_call(rpc, frame, error);
  case HF_RPC_DATA:
    return take_data(rpc, frame, error);
  case HF_RPC_CREDIT:
    return take_credit(rpc, frame, error);
  case HF_RPC_REPLY:
  case HF_RPC_ERROR:
    return take_end(rpc, frame, error);
  case HF_RPC_CANCEL:
    return take_cancel(rpc, frame, error);
  case HF_RPC_PING: {
    HF_LOCK(&rpc->lock);
    rpc->pong_due = TRUE;
    g_cond_signal(&rpc->due);
    return TRUE;
  }
  case HF_RPC_PONG:
    return TRUE;
  case HF_RPC_GOODBYE:
    return take_goodbye(rpc, frame, over, error);
  default:
    return fail_protocol(rpc, error, "a second hello");
  }
}

static gboolean read_header(HfRpc *rpc, HfRpcFrame *frame, GError **error)
{
  guint8 header[HF_RPC_HEADER_BYTES];
  g_autoptr(GError) cause = NULL;
  if (!hf_channel_read(rpc->channel, header, sizeof header, error))
    return FALSE;
  return hf_rpc_frame_decode(header, rpc->options.frame_max, frame, &cause) ||
         fail_protocol(rpc, error, cause->message);
}

static gpointer run_reader(gpointer data)
{
  HfRpc *rpc = data;
  HfRpcFrame frame;
  GError *reason = NULL;
  gboolean over = FALSE;
  while (!over && read_header(rpc, &frame, &reason) && take_frame(rpc, &frame, &over, &reason))
    continue;

  g_mutex_lock(&rpc->lock);
  if (rpc->closing)
    g_clear_error(&reason); /* the end that was asked for */
  close_locked(rpc, reason);
  rpc->over = TRUE;
  g_cond_broadcast(&rpc->changed);
  g_cond_broadcast(&rpc->due);
  g_autoptr(GError) told = rpc->reason != NULL ? g_error_copy(rpc->reason) : NULL;
  g_mutex_unlock(&rpc->lock);
  hf_channel_shutdown(rpc->channel);
  if (rpc->options.on_closed != NULL)
    rpc->options.on_closed(rpc, told, rpc->options.user);
  return NULL;
}

gboolean hf_rpc_fail_closed_locked(HfRpc *rpc, GError **error)
{
  const char *peer = hf_channel_peer(rpc->channel);
  if (rpc->reason != NULL)
    return hf_fail(error, HF_ERROR_IO, "the connection with '%s' is lost: %s", peer, rpc->reason->message);
  if (rpc->closing)
    return hf_fail(error, HF_ERROR_CANCELLED, "the connection with '%s' was closed here", peer);
  return hf_fail(error, HF_ERROR_IO, "'%s' has ended the connection", peer);
}

/* ---- Hello ---- */

static void fill_in(HfRpcOptions *options)
{
  const struct {
    guint *value;
    guint standard;
  } defaults[] = {
    { &options->version_low, 1 },
    { &options->version_high, MAX(options->version_low, 1) },
    { &options->frame_max, HF_RPC_FRAME_MAX },
    { &options->window, HF_RPC_WINDOW },
    { &options->max_calls, HF_RPC_CALLS },
    { &options->ping_seconds, PING_SECONDS },
    { &options->dead_seconds, DEAD_SECONDS },
    { &options->hello_seconds, HELLO_SECONDS },
  };
  for (guint i = 0; i < G_N_ELEMENTS(defaults); i++) {
    if (*defaults[i].value == 0)
      *defaults[i].value = defaults[i].standard;
  }
  if (options->memory_max == 0)
    options->memory_max = HF_RPC_MEMORY;
}

static gboolean send_hello(HfRpc *rpc, GError **error)
{
  const HfRpcOptions *options = &rpc->options;
  HfRpcHello ours = { HF_RPC_VERSION, HF_RPC_VERSION, (guint16)options->version_low, (guint16)options->version_high,
                      options->frame_max, rpc->window, options->max_calls, (char *)options->service,
                      (char *)HF_VERSION };
  g_autoptr(GByteArray) body = g_byte_array_new(), out = g_byte_array_new();
  hf_rpc_hello_encode(&ours, body);
  HfRpcFrame frame = { .length = body->len, .type = HF_RPC_HELLO };
  append_frame(out, &frame, body->data);
  const HfRpcFrame first = { .type = HF_RPC_CALL, .flags = HF_RPC_END, .method = options->first_method, .call = 1 };
  if (options->first_method != 0)
    append_frame(out, &first, NULL);
  return hf_channel_send(rpc->channel, out->data, out->len, error);
}

static gboolean read_hello(HfRpc *rpc, GError **error)
{
  HfRpcFrame frame;
  if (!read_header(rpc, &frame, error))
    return FALSE;
  if (frame.type != HF_RPC_HELLO)
    return fail_protocol(rpc, error, "its first frame is no hello");
  g_autoptr(GBytes) body = read_body(rpc, frame.length, error);
  if (body == NULL)
    return FALSE;
  gsize length;
  const guint8 *bytes = g_bytes_get_data(body, &length);
  return hf_rpc_hello_decode(bytes, length, &rpc->theirs, NULL) || fail_protocol(rpc, error, "a malformed hello");
}

/* Fails for two version ranges that do not meet, naming the older side. */
static gboolean fail_versions(HfRpc *rpc, const char *of, guint low, guint high, guint their_low, guint their_high,
                              GError **error)
{
  return hf_fail(error, HF_ERROR_UNSUPPORTED, "'%s' runs Holdfast %s, which speaks versions %u to %u of %s; this side "
                 "(%s) speaks %u to %u; upgrade %s", hf_channel_peer(rpc->channel), rpc->theirs.program, their_low,
                 their_high, of, HF_VERSION, low, high, their_high < low ? "the other side" : "this side");
}

static gboolean agree(HfRpc *rpc, GError **error)
{
  const HfRpcOptions *options = &rpc->options;
  const HfRpcHello *theirs = &rpc->theirs;
  if (strcmp(theirs->service, options->service) != 0)
    return hf_fail(error, HF_ERROR_UNSUPPORTED, "'%s' offers '%s' here, not '%s'; check the address and port",
                   hf_channel_peer(rpc->channel), theirs->service, options->service);
  if (theirs->rpc_low > HF_RPC_VERSION || theirs->rpc_high < HF_RPC_VERSION)
    return fail_versions(rpc, "the protocol", HF_RPC_VERSION, HF_RPC_VERSION, theirs->rpc_low, theirs->rpc_high, error);
  if (theirs->low > options->version_high || theirs->high < options->version_low)
    return fail_versions(rpc, options->service, options->version_low, options->version_high, theirs->low, theirs->high,
                         error);
  rpc->version = MIN(theirs->high, options->version_high);
  rpc->calls_out = MIN(theirs->max_calls, options->max_calls);
  return TRUE;
}

static gboolean greet(HfRpc *rpc, GError **error)
{
  hf_channel_set_deadline(rpc->channel, (gint64)rpc->options.hello_seconds * 1000);
  gboolean done = send_hello(rpc, error) && read_hello(rpc, error) && agree(rpc, error);
  hf_channel_set_deadline(rpc->channel, -1);
  return done;
}

/* ---- Life ---- */

/* The call that was sent with the hello. */
static void list_first(HfRpc *rpc)
{
  if (rpc->options.first_method == 0)
    return;
  rpc->first = hf_call_new(rpc, rpc->next_call++, rpc->options.first_method, FALSE);
  rpc->first->out_ended = TRUE;
  g_hash_table_insert(rpc->outgoing, GUINT_TO_POINTER(rpc->first->id), rpc->first);
}

static gboolean start_threads(HfRpc *rpc, GError **error)
{
  list_first(rpc);
  hf_channel_set_silence(rpc->channel, (gint64)rpc->options.dead_seconds * 1000);
  rpc->sender = g_thread_try_new("rpc-sender", run_sender, rpc, error);
  if (rpc->sender != NULL)
    rpc->reader = g_thread_try_new("rpc-reader", run_reader, rpc, error);
  return rpc->reader != NULL;
}

HfRpc *hf_rpc_new(HfChannel *channel, const HfRpcOptions *options, GError **error)
{
  HfRpc *rpc = g_new0(HfRpc, 1);
  rpc->channel = channel;
  rpc->options = *options;
  fill_in(&rpc->options);
  guint64 share = rpc->options.memory_max / 4 / rpc->options.max_calls;
  rpc->window = (guint32)CLAMP(share, WINDOW_LEAST, MIN(rpc->options.window, HF_RPC_WINDOW_MAX));
  rpc->budget = rpc->options.memory_max / 2;
  g_mutex_init(&rpc->begin_lock);
  g_mutex_init(&rpc->lock);
  g_cond_init(&rpc->changed);
  g_cond_init(&rpc->due);
  g_cond_init(&rpc->work);
  rpc->outgoing = g_hash_table_new(NULL, NULL);
  rpc->incoming = g_hash_table_new(NULL, NULL);
  rpc->next_call = 1;
  rpc->queued = g_byte_array_new();
  rpc->bodies = hf_bodies_new();
  g_queue_init(&rpc->jobs);
  rpc->workers = g_ptr_array_new();
  if (greet(rpc, error) && start_threads(rpc, error))
    return rpc;
  rpc->over = TRUE;
  hf_rpc_free(rpc);
  return NULL;
}

HfCall *hf_rpc_first(HfRpc *rpc)
{
  HF_LOCK(&rpc->lock);
  return g_steal_pointer(&rpc->first);
}

void hf_rpc_close(HfRpc *rpc)
{
  HF_LOCK(&rpc->lock);
  if (rpc->closed)
    return;
  rpc->closing = TRUE;
  close_locked(rpc, NULL);
  rpc->goodbye_due = TRUE;
}

/* Gives the goodbye and what is before it a little time, then breaks the connection. */
static void end_connection(HfRpc *rpc)
{
  hf_rpc_close(rpc);
  gint64 until = g_get_monotonic_time() + GOODBYE_US;
  g_mutex_lock(&rpc->lock);
  while (!rpc->over && !(rpc->options.hasty && rpc->said_goodbye) &&
         g_cond_wait_until(&rpc->changed, &rpc->lock, until))
    continue;
  g_mutex_unlock(&rpc->lock);
  hf_channel_shutdown(rpc->channel);
}

void hf_rpc_free(HfRpc *rpc)
{
  if (rpc == NULL)
    return;
  if (rpc->reader != NULL) {
    end_connection(rpc);
    g_thread_join(rpc->reader);
  }
  hf_call_free(rpc->first);
  g_mutex_lock(&rpc->lock);
  rpc->over = rpc->closed = TRUE;
  g_cond_broadcast(&rpc->due);
  g_cond_broadcast(&rpc->work);
  g_mutex_unlock(&rpc->lock);
  if (rpc->sender != NULL)
    g_thread_join(rpc->sender);
  for (guint i = 0; i < rpc->workers->len; i++)
    g_thread_join(rpc->workers->pdata[i]);
  g_ptr_array_unref(rpc->workers);
  g_hash_table_unref(rpc->outgoing);
  g_hash_table_unref(rpc->incoming);
  g_byte_array_unref(rpc->queued);
  hf_bodies_unref(rpc->bodies);
  g_clear_error(&rpc->reason);
  hf_rpc_hello_clear(&rpc->theirs);
  g_mutex_clear(&rpc->begin_lock);
  g_mutex_clear(&rpc->lock);
  g_cond_clear(&rpc->changed);
  g_cond_clear(&rpc->due);
  g_cond_clear(&rpc->work);
  g_free(rpc);
}

gboolean hf_rpc_wait_closed(HfRpc *rpc, int timeout_ms)
{
  gint64 until = g_get_monotonic_time() + (gint64)timeout_ms * 1000;
  HF_LOCK(&rpc->lock);
  while (!rpc->closed) {
    if (timeout_ms < 0)
      g_cond_wait(&rpc->changed, &rpc->lock);
    else if (!g_cond_wait_until(&rpc->changed, &rpc->lock, until))
      break;
  }
  return rpc->closed;
}

gboolean hf_rpc_closed(HfRpc *rpc, GError **reason)
{
  HF_LOCK(&rpc->lock);
  if (rpc->closed && rpc->reason != NULL && reason != NULL)
    *reason = g_error_copy(rpc->reason);
  return rpc->closed;
}

guint hf_rpc_version(const HfRpc *rpc)
{
  return rpc->version;
}

const char *hf_rpc_peer(const HfRpc *rpc)
{
  return hf_channel_peer(rpc->channel);
}

guint32 hf_rpc_piece_max(const HfRpc *rpc)
{
  return rpc->theirs.frame_max;
}
