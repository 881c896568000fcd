/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Frames on their way to the service. They wait in one short queue, from which every connection has a lane that takes
 * the next one when it has room: a thread, and one call that is opened with its first frame. So a connection that is
 * slow for a while (it lost a packet) holds up nothing but the frame that it has, and sealing goes on while the network
 * is at work. A flush tells how many frames were sent and costs one round trip; the calls stay open.
 *
 * Memory: QUEUE_BYTES, and a frame for each lane.
 */
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/work.h"
#include "storage/service/private.h"

#define QUEUE_BYTES (8u << 20)

typedef struct HfServiceSink HfServiceSink;

typedef struct Lane {
  HfServiceSink *sink;
  HfRpc *rpc;
  GThread *thread; /* NULL until it is needed */
  HfCall *call;    /* set by the thread, under the sink's lock */
} Lane;

struct HfServiceSink {
  HfSink sink;
  HfServiceStore *service;
  HfPackKind kind;
  GBytes *request;
  Lane *lanes;
  guint count;
  GMutex lock; /* guards what follows */
  GCond changed;
  GQueue queue; /* of GBytes*: pieces */
  gsize queued; /* bytes in it */
  guint started, idle, sending; /* lanes */
  gboolean stop;
  GError *failed; /* the first */
};

static gboolean fail_locked(HfServiceSink *sink, GError *why)
{
  if (sink->failed == NULL)
    sink->failed = why;
  else
    g_clear_error(&why);
  return FALSE;
}

static gboolean give_failure(const HfServiceSink *sink, GError **error)
{
  g_propagate_error(error, g_error_copy(sink->failed));
  return FALSE;
}

/* ---- Lanes. ---- */

static gboolean send_piece(Lane *lane, GBytes *piece, GError **error)
{
  struct iovec part = { (void *)g_bytes_get_data(piece, NULL), g_bytes_get_size(piece) };
  HfCall *call = lane->call;
  if (call == NULL) {
    call = hf_rpc_begin(lane->rpc, HF_VAULT_METHOD_SINK, lane->sink->request, error);
    HF_LOCK(&lane->sink->lock);
    lane->call = call;
  }
  return call != NULL && hf_call_send(call, &part, 1, error);
}

/* Those that are dropped, as their sink is freed before they were sent, nobody may wait for. */
static void count_frame(HfServiceStore *service)
{
  HF_LOCK(&service->lock);
  service->frames++;
}

static gpointer lane_main(gpointer data)
{
  Lane *lane = data;
  HfServiceSink *sink = lane->sink;
  g_mutex_lock(&sink->lock);
  while (!sink->stop) {
    GBytes *piece = g_queue_pop_head(&sink->queue);
    if (piece == NULL) {
      sink->idle++;
      g_cond_wait(&sink->changed, &sink->lock);
      sink->idle--;
      continue;
    }
    sink->queued -= g_bytes_get_size(piece);
    sink->sending++;
    g_cond_broadcast(&sink->changed);
    gboolean lost = sink->failed != NULL;
    g_mutex_unlock(&sink->lock);
    GError *why = NULL;
    gboolean sent = lost || send_piece(lane, piece, &why);
    g_bytes_unref(piece);
    if (sent && !lost)
      count_frame(sink->service);
    g_mutex_lock(&sink->lock);
    sink->sending--;
    if (!sent)
      fail_locked(sink, why);
    g_cond_broadcast(&sink->changed);
  }
  g_mutex_unlock(&sink->lock);
  return NULL;
}

HfSink *hf_service_sink_open(HfStore *store, const HfSinkOptions *options, GError **error)
{
  HfServiceStore *service = (HfServiceStore *)store;
  g_autoptr(GByteArray) slots = g_byte_array_new();
  for (guint i = 0; i < options->slot_count; i++)
    hf_put_session_slot(slots, &options->slots[i]);
  g_auto(HfVaultSink) request = { .kind = (guint8)options->kind, .domain = options->domain,
                                  .slots = g_byte_array_free_to_bytes(g_steal_pointer(&slots)),
                                  .sender = service->sender };
  g_autoptr(GBytes) encoded = hf_vault_sink_encode(&request, error);
  if (encoded == NULL)
    return NULL;
  HfServiceSink *sink = g_new0(HfServiceSink, 1);
  sink->service = service;
  sink->kind = options->kind;
  sink->request = g_steal_pointer(&encoded);
  sink->count = service->connections->len;
  sink->lanes = g_new0(Lane, sink->count);
  g_mutex_init(&sink->lock);
  g_cond_init(&sink->changed);
  for (guint i = 0; i < sink->count; i++)
    sink->lanes[i] = (Lane){ .sink = sink, .rpc = service->connections->pdata[i] };
  g_queue_init(&sink->queue);
  HF_LOCK(&service->lock);
  g_ptr_array_add(service->sinks, sink);
  return &sink->sink;
}

/* ---- Adding. ---- */

static GBytes *make_piece(const HfPackFrame *frame, const struct iovec *stored, int count, const HfId *ids,
                          GError **error)
{
  g_auto(HfVaultFrame) header = { .kind = frame->kind };
  memcpy(header.digest.b, frame->digest, sizeof frame->digest);
  for (guint i = 0; i < frame->blobs; i++)
    hf_vault_frame_add_ids(&header, &ids[i]);
  g_autoptr(GBytes) encoded = hf_vault_frame_encode(&header, error);
  if (encoded == NULL)
    return NULL;
  gsize length, total = frame->stored_length;
  gconstpointer bytes = g_bytes_get_data(encoded, &length);
  guint32 prefix = GUINT32_TO_LE((guint32)length);
  guint8 *piece = g_try_malloc(sizeof prefix + length + total);
  if (piece == NULL) {
    hf_fail(error, HF_ERROR_FAILED, "out of memory for a frame of %zu bytes", total);
    return NULL;
  }
  guint8 *at = piece;
  memcpy(at, &prefix, sizeof prefix);
  at += sizeof prefix;
  memcpy(at, bytes, length);
  at += length;
  for (int i = 0; i < count; i++) {
    if (stored[i].iov_len > 0) /* what has no bytes may have no address */
      memcpy(at, stored[i].iov_base, stored[i].iov_len);
    at += stored[i].iov_len;
  }
  return g_bytes_new_take(piece, (gsize)(at - piece));
}

/* A lane more, when all that run are busy. */
static void start_lane_locked(HfServiceSink *sink)
{
  if (sink->idle >= sink->queue.length || sink->started == sink->count)
    return;
  Lane *lane = &sink->lanes[sink->started++];
  lane->thread = g_thread_new("lane", lane_main, lane);
}

gboolean hf_service_sink_add(HfSink *base, const HfPackFrame *frame, const struct iovec *stored, int count,
                             const HfId *ids, GError **error)
{
  HfServiceSink *sink = (HfServiceSink *)base;
  GBytes *piece = make_piece(frame, stored, count, ids, error);
  if (piece == NULL)
    return FALSE;
  HfServiceWait wait = hf_service_wait_begin(sink->service);
  g_mutex_lock(&sink->lock);
  while (sink->failed == NULL && sink->queued >= QUEUE_BYTES)
    g_cond_wait(&sink->changed, &sink->lock);
  gboolean good = sink->failed == NULL || give_failure(sink, error);
  if (good) {
    sink->queued += g_bytes_get_size(piece);
    g_queue_push_tail(&sink->queue, piece);
    start_lane_locked(sink);
    g_cond_broadcast(&sink->changed);
  } else {
    g_bytes_unref(piece);
  }
  g_mutex_unlock(&sink->lock);
  hf_service_wait_end(sink->service, &wait);
  HF_LOCK(&sink->service->lock);
  sink->service->dirty = TRUE;
  return good;
}

/* ---- Flushing. ---- */

static gboolean wait_until_sent(HfServiceSink *sink, GError **error)
{
  HfServiceWait wait = hf_service_wait_begin(sink->service);
  g_mutex_lock(&sink->lock);
  while (sink->failed == NULL && (sink->queue.length > 0 || sink->sending > 0))
    g_cond_wait(&sink->changed, &sink->lock);
  gboolean good = sink->failed == NULL || give_failure(sink, error);
  g_mutex_unlock(&sink->lock);
  hf_service_wait_end(sink->service, &wait);
  return good;
}

/* Everything was sent: it is counted by now. */
static gboolean flush_service(HfServiceStore *service, GError **error)
{
  g_auto(HfVaultFlush) request = { .sender = service->sender };
  g_auto(HfVaultFlushed) reply = { 0 };
  g_mutex_lock(&service->lock);
  request.frames = service->frames;
  g_mutex_unlock(&service->lock);
  if (!hf_vault_call_flush(service->connections->pdata[0], &request, &reply, -1, error))
    return FALSE;
  HF_LOCK(&service->lock);
  service->flushed = reply;
  service->busy_us = reply.busy;
  return TRUE;
}

/* All sinks of the store at once. What was flushed with another sink, and nothing came since, is not flushed again. */
gboolean hf_service_sink_flush(HfSink *base, HfSinkTotals *totals, GError **error)
{
  HfServiceSink *sink = (HfServiceSink *)base;
  HfServiceStore *service = sink->service;
  g_mutex_lock(&service->lock);
  g_autoptr(GPtrArray) sinks = g_ptr_array_copy(service->sinks, NULL, NULL);
  gboolean dirty = service->dirty;
  service->dirty = FALSE;
  g_mutex_unlock(&service->lock);
  for (guint i = 0; i < sinks->len; i++)
    if (!wait_until_sent(sinks->pdata[i], error))
      return FALSE;
  if (dirty && !flush_service(service, error))
    return FALSE;
  HF_LOCK(&service->lock);
  const HfVaultFlushed *flushed = &service->flushed;
  *totals = sink->kind == HF_PACK_DATA ? (HfSinkTotals){ flushed->data, flushed->data_second }
                                       : (HfSinkTotals){ flushed->meta, flushed->meta_second };
  return TRUE;
}

void hf_service_sink_free(HfSink *base)
{
  HfServiceSink *sink = (HfServiceSink *)base;
  g_mutex_lock(&sink->service->lock);
  g_ptr_array_remove(sink->service->sinks, sink);
  g_mutex_unlock(&sink->service->lock);
  g_mutex_lock(&sink->lock);
  sink->stop = TRUE;
  g_cond_broadcast(&sink->changed);
  for (guint i = 0; i < sink->count; i++)
    if (sink->lanes[i].call != NULL)
      hf_call_cancel(sink->lanes[i].call); /* wakes its thread */
  g_mutex_unlock(&sink->lock);
  for (guint i = 0; i < sink->count; i++) {
    Lane *lane = &sink->lanes[i];
    if (lane->thread != NULL)
      g_thread_join(lane->thread);
    hf_call_free(lane->call);
  }
  g_queue_clear_full(&sink->queue, (GDestroyNotify)g_bytes_unref);
  g_clear_error(&sink->failed);
  g_mutex_clear(&sink->lock);
  g_cond_clear(&sink->changed);
  g_free(sink->lanes);
  g_bytes_unref(sink->request);
  g_free(sink);
}
