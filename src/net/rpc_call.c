/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/clock.h"
#include "base/error.h"
#include "format/cursor.h"
#include "net/rpc_private.h"

#define CANCEL_EVERY_US (G_USEC_PER_SEC / 5)
#define GIVE_BACK_SHARE 4 /* credit goes back when this share of a window was taken */

HfCall *hf_call_new(HfRpc *rpc, guint32 id, guint16 method, gboolean incoming)
{
  HfCall *call = g_new0(HfCall, 1);
  call->rpc = rpc;
  call->id = id;
  call->method = method;
  call->incoming = incoming;
  call->held = call->listed = TRUE;
  call->credit = rpc->theirs.window;
  call->in_credit = call->window = rpc->window;
  call->deadline_us = -1;
  g_cond_init(&call->changed);
  g_queue_init(&call->pieces);
  return call;
}

static void free_piece(gpointer piece)
{
  g_bytes_unref(piece);
}

static void free_if_unused_locked(HfCall *call)
{
  if (call->held || call->listed)
    return;
  g_queue_clear_full(&call->pieces, free_piece);
  g_clear_pointer(&call->request, g_bytes_unref);
  g_clear_pointer(&call->reply, g_bytes_unref);
  g_clear_error(&call->failure);
  g_cond_clear(&call->changed);
  g_free(call);
}

void hf_call_unlist_locked(HfCall *call)
{
  HfRpc *rpc = call->rpc;
  g_hash_table_remove(call->incoming ? rpc->incoming : rpc->outgoing, GUINT_TO_POINTER(call->id));
  rpc->budget += call->extra;
  call->extra = 0;
  call->listed = FALSE;
  g_cond_broadcast(&rpc->changed);
  free_if_unused_locked(call);
}

/* ---- Credit ---- */

static void send_credit_locked(HfCall *call, guint32 bytes)
{
  guint8 body[4];
  hf_store_u32(body, bytes);
  call->in_credit += bytes;
  hf_rpc_queue_locked(call->rpc, HF_RPC_CREDIT, call->incoming ? HF_RPC_ANSWER : 0, call->id, body, sizeof body);
}

/* A piece was taken: the other side may send as much again, once it is worth a frame. */
static void give_back_locked(HfCall *call, gsize length)
{
  call->consumed += hf_piece_cost(length);
  gint64 kept = MIN(call->consumed, call->withheld);
  call->consumed -= kept;
  call->withheld -= kept;
  if (call->listed && !call->in_ended && call->consumed >= call->window / GIVE_BACK_SHARE) {
    send_credit_locked(call, (guint32)call->consumed);
    call->consumed = 0;
  }
}

void hf_call_set_window(HfCall *call, guint32 bytes)
{
  HfRpc *rpc = call->rpc;
  HF_LOCK(&rpc->lock);
  guint32 window = CLAMP(bytes, 1, HF_RPC_WINDOW_MAX);
  if (!call->listed || rpc->closed)
    return;
  if (window < call->window) {
    call->withheld += call->window - window;
    call->window = window;
    return;
  }
  /* What is still withheld comes back first; the rest must fit into the memory of the connection. */
  guint32 more = window - call->window;
  guint32 back = (guint32)MIN(call->withheld, more);
  guint32 extra = (guint32)MIN(rpc->budget, more - back);
  call->withheld -= back;
  rpc->budget -= extra;
  call->extra += extra;
  call->window += back + extra;
  if (extra > 0 && !call->in_ended)
    send_credit_locked(call, extra);
}

void hf_call_take_piece_locked(HfCall *call, GBytes *piece, gboolean end)
{
  if (end)
    call->in_ended = TRUE;
  if (piece != NULL && call->discard) {
    give_back_locked(call, g_bytes_get_size(piece));
    g_bytes_unref(piece);
  } else if (piece != NULL) {
    g_queue_push_tail(&call->pieces, piece);
  }
  g_cond_broadcast(&call->changed);
}

/* From now on nobody wants pieces: those that are there go, and credit for them comes back. */
static void discard_pieces_locked(HfCall *call)
{
  GBytes *piece;
  call->discard = TRUE;
  while ((piece = g_queue_pop_head(&call->pieces)) != NULL) {
    give_back_locked(call, g_bytes_get_size(piece));
    g_bytes_unref(piece);
  }
}

/* ---- Waiting ---- */

static gboolean fail_cancelled(HfCall *call, GError **error)
{
  return hf_fail(error, HF_ERROR_CANCELLED, "the call %u of '%s' was cancelled", call->method, hf_rpc_peer(call->rpc));
}

/* Waits on `condition` until something changes; FALSE when the deadline has passed or the user cancels. */
static gboolean wait_locked(HfRpc *rpc, GCond *condition, gint64 deadline_us, GError **error)
{
  gint64 now = g_get_monotonic_time(), until = deadline_us;
  if (hf_cancelled(rpc->options.cancel, error))
    return FALSE;
  if (deadline_us >= 0 && now >= deadline_us)
    return hf_fail(error, HF_ERROR_IO, "'%s' did not answer in time; check that host", hf_rpc_peer(rpc));
  if (rpc->options.cancel != NULL)
    until = until < 0 ? now + CANCEL_EVERY_US : MIN(until, now + CANCEL_EVERY_US);
  if (until < 0)
    g_cond_wait(condition, &rpc->lock);
  else
    (void)g_cond_wait_until(condition, &rpc->lock, until);
  return TRUE;
}

static gboolean wait_call_locked(HfCall *call, GError **error)
{
  return wait_locked(call->rpc, &call->changed, call->deadline_us, error);
}

/* FALSE when the call has ended in another way than by a reply. */
static gboolean check_locked(HfCall *call, GError **error)
{
  if (call->failure != NULL) {
    if (error != NULL)
      *error = g_error_copy(call->failure);
    return FALSE;
  }
  if (call->incoming && call->rpc->closed)
    return hf_rpc_fail_closed_locked(call->rpc, error);
  return !call->cancelled || fail_cancelled(call, error);
}

/* ---- Both sides ---- */

/* Waits for credit and uses it up. */
static gboolean take_credit(HfCall *call, gsize length, GError **error)
{
  HF_LOCK(&call->rpc->lock);
  for (;;) {
    if (!check_locked(call, error))
      return FALSE;
    if (call->done)
      return hf_fail(error, HF_ERROR_CANCELLED, "'%s' has replied already and wants no more", hf_rpc_peer(call->rpc));
    if (call->credit > 0)
      break;
    if (!wait_call_locked(call, error))
      return FALSE;
  }
  call->credit -= hf_piece_cost(length);
  return TRUE;
}

gboolean hf_call_send(HfCall *call, const struct iovec *parts, int count, GError **error)
{
  gsize length = 0;
  for (int i = 0; i < count; i++)
    length += parts[i].iov_len;
  if (length == 0 || length > hf_rpc_piece_max(call->rpc))
    return hf_fail(error, HF_ERROR_USAGE, "a piece of %" G_GSIZE_FORMAT " bytes cannot be sent to '%s'; it takes 1 to "
                   "%u", length, hf_rpc_peer(call->rpc), hf_rpc_piece_max(call->rpc));
  if (!take_credit(call, length, error))
    return FALSE;
  HfRpcFrame frame = { (guint32)length, HF_RPC_DATA, call->incoming ? HF_RPC_ANSWER : 0, 0, call->id };
  return hf_rpc_write(call->rpc, frame, parts, count, error);
}

gboolean hf_call_end(HfCall *call, GError **error)
{
  g_mutex_lock(&call->rpc->lock);
  gboolean going = check_locked(call, error);
  gboolean due = going && !call->out_ended && !call->done;
  call->out_ended = TRUE;
  g_mutex_unlock(&call->rpc->lock);
  if (!due)
    return going;
  HfRpcFrame frame = { 0, HF_RPC_DATA, HF_RPC_END | (call->incoming ? HF_RPC_ANSWER : 0), 0, call->id };
  return hf_rpc_write(call->rpc, frame, NULL, 0, error);
}

GBytes *hf_call_receive(HfCall *call, gboolean *end, GError **error)
{
  HF_LOCK(&call->rpc->lock);
  *end = FALSE;
  for (;;) {
    GBytes *piece = g_queue_pop_head(&call->pieces);
    if (piece != NULL) {
      give_back_locked(call, g_bytes_get_size(piece));
      return piece;
    }
    if (!check_locked(call, error))
      return NULL;
    if (call->in_ended || call->done) {
      *end = TRUE;
      return NULL;
    }
    if (!wait_call_locked(call, error))
      return NULL;
  }
}

static void cancel_locked(HfCall *call)
{
  if (call->done || call->cancelled)
    return;
  call->cancelled = TRUE;
  if (!call->incoming)
    hf_rpc_queue_locked(call->rpc, HF_RPC_CANCEL, 0, call->id, NULL, 0);
  g_cond_broadcast(&call->changed);
}

void hf_call_cancel(HfCall *call)
{
  HF_LOCK(&call->rpc->lock);
  cancel_locked(call);
}

/* ---- The caller's side ---- */

/* Waits for a place among the calls that may be under way. */
static gboolean reserve(HfRpc *rpc, gint64 deadline_us, GError **error)
{
  HF_LOCK(&rpc->lock);
  while (!rpc->closed && g_hash_table_size(rpc->outgoing) + rpc->reserved >= rpc->calls_out) {
    if (!wait_locked(rpc, &rpc->changed, deadline_us, error))
      return FALSE;
  }
  if (rpc->closed)
    return hf_rpc_fail_closed_locked(rpc, error);
  if (rpc->next_call >= G_MAXUINT32 - rpc->calls_out)
    return hf_fail(error, HF_ERROR_IO, "the connection with '%s' has used up its calls; connect again",
                   hf_rpc_peer(rpc));
  rpc->reserved++;
  return TRUE;
}

/* Takes the place that was reserved, and the next number. */
static HfCall *list_call(HfRpc *rpc, guint method, gboolean ended, gint64 deadline_us, GError **error)
{
  HF_LOCK(&rpc->lock);
  rpc->reserved--;
  if (rpc->closed) {
    (void)hf_rpc_fail_closed_locked(rpc, error);
    return NULL;
  }
  HfCall *call = hf_call_new(rpc, rpc->next_call++, (guint16)method, FALSE);
  call->out_ended = ended;
  call->deadline_us = deadline_us;
  g_hash_table_insert(rpc->outgoing, GUINT_TO_POINTER(call->id), call);
  return call;
}

static HfCall *begin(HfRpc *rpc, guint method, GBytes *request, gboolean ended, gint64 deadline_us, GError **error)
{
  gsize length = 0;
  gconstpointer bytes = request != NULL ? g_bytes_get_data(request, &length) : NULL;
  if (method == 0 || method > G_MAXUINT16 || length > hf_rpc_piece_max(rpc)) {
    (void)hf_fail(error, HF_ERROR_USAGE, "a request of %" G_GSIZE_FORMAT " bytes for method %u cannot be sent to '%s'; "
                  "it takes %u bytes", length, method, hf_rpc_peer(rpc), hf_rpc_piece_max(rpc));
    return NULL;
  }
  if (!reserve(rpc, deadline_us, error))
    return NULL;
  struct iovec part = { (gpointer)bytes, length };
  g_mutex_lock(&rpc->begin_lock);
  HfCall *call = list_call(rpc, method, ended, deadline_us, error);
  HfRpcFrame frame = { (guint32)length, HF_RPC_CALL, ended ? HF_RPC_END : 0, (guint16)method, 0 };
  gboolean sent = FALSE;
  if (call != NULL) {
    frame.call = call->id;
    sent = hf_rpc_write(rpc, frame, &part, length > 0 ? 1 : 0, error);
  }
  g_mutex_unlock(&rpc->begin_lock);
  if (call != NULL && !sent)
    g_clear_pointer(&call, hf_call_free);
  return call;
}

HfCall *hf_rpc_begin(HfRpc *rpc, guint method, GBytes *request, GError **error)
{
  return begin(rpc, method, request, FALSE, -1, error);
}

void hf_call_done_locked(HfCall *call, GBytes *reply, GError *failure)
{
  call->done = call->in_ended = TRUE;
  call->reply = reply;
  call->failure = failure;
  g_cond_broadcast(&call->changed);
  hf_call_unlist_locked(call);
}

GBytes *hf_call_finish(HfCall *call, GError **error)
{
  /* When this fails, the cause comes out below: the call has ended, or the connection. */
  (void)hf_call_end(call, NULL);
  HF_LOCK(&call->rpc->lock);
  discard_pieces_locked(call);
  for (;;) {
    if (call->done && call->failure == NULL && call->reply != NULL)
      return g_steal_pointer(&call->reply);
    if (!check_locked(call, error))
      return NULL;
    if (call->done) {
      (void)hf_fail(error, HF_ERROR_USAGE, "the reply of call %u was taken already", call->method);
      return NULL;
    }
    if (!wait_call_locked(call, error))
      return NULL;
  }
}

void hf_call_free(HfCall *call)
{
  if (call == NULL)
    return;
  HfRpc *rpc = call->rpc;
  HF_LOCK(&rpc->lock);
  if (call->listed)
    cancel_locked(call);
  discard_pieces_locked(call);
  call->held = FALSE;
  free_if_unused_locked(call);
}

GBytes *hf_rpc_call(HfRpc *rpc, guint method, GBytes *request, int timeout_ms, GError **error)
{
  gint64 deadline_us = timeout_ms < 0 ? -1 : g_get_monotonic_time() + (gint64)timeout_ms * 1000;
  g_autoptr(HfCall) call = begin(rpc, method, request, TRUE, deadline_us, error);
  return call != NULL ? hf_call_finish(call, error) : NULL;
}

/* ---- The handler's side ---- */

GBytes *hf_call_request(const HfCall *call)
{
  return call->request;
}

gboolean hf_call_cancelled(HfCall *call)
{
  HF_LOCK(&call->rpc->lock);
  return call->cancelled || call->rpc->closed;
}

static gboolean run_handler(HfCall *call, GBytes **reply, GError **error)
{
  const HfRpcOptions *options = &call->rpc->options;
  for (const HfRpcMethod *method = options->methods; method != NULL && method->number != 0; method++) {
    if (method->number != call->method)
      continue;
    if (call->request == NULL)
      return hf_fail(error, HF_ERROR_INVALID, "the request of '%s' is longer than %u bytes", method->name,
                     method->request_max);
    return method->handler(call, options->user, reply, error);
  }
  return hf_fail(error, HF_ERROR_UNSUPPORTED, "'%s' has no method %u here (Holdfast %s); upgrade this side",
                 options->service, call->method, HF_VERSION);
}

void hf_call_serve(HfCall *call)
{
  HfRpc *rpc = call->rpc;
  guint32 id = call->id;
  g_autoptr(GBytes) reply = NULL;
  g_autoptr(GError) failure = NULL;
  g_autoptr(GByteArray) said = g_byte_array_new();
  gboolean done = run_handler(call, &reply, &failure);
  gsize length = 0;
  gconstpointer bytes = reply != NULL ? g_bytes_get_data(reply, &length) : NULL;
  if (done && length > hf_rpc_piece_max(rpc)) {
    (void)hf_fail(&failure, HF_ERROR_FAILED, "the reply has %" G_GSIZE_FORMAT " bytes, more than the other side takes",
                  length);
    done = FALSE;
  }
  if (!done) {
    if (failure == NULL)
      (void)hf_fail(&failure, HF_ERROR_FAILED, "method %u failed without a reason", call->method);
    hf_rpc_error_encode(failure, said);
    bytes = said->data;
    length = said->len;
  }

  /* Off the list before the last frame goes (rpc_private.h, invariant 2). */
  g_mutex_lock(&rpc->lock);
  call->held = FALSE;
  hf_call_unlist_locked(call);
  g_mutex_unlock(&rpc->lock);
  struct iovec part = { (gpointer)bytes, length };
  HfRpcFrame frame = { (guint32)length, done ? HF_RPC_REPLY : HF_RPC_ERROR, HF_RPC_ANSWER, 0, id };
  (void)hf_rpc_write(rpc, frame, &part, length > 0 ? 1 : 0, NULL);
}
