/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Frames on their way to the service. Each connection has one call a sink, opened with its first frame; a frame goes out
 * by the next connection that is free. Nothing waits for an answer before the flush.
 */
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/work.h"
#include "storage/service/private.h"

typedef struct Lane {
  GMutex lock; /* one frame at a time */
  HfRpc *rpc;
  HfCall *call; /* NULL: not begun since the last flush */
} Lane;

typedef struct HfServiceSink {
  HfSink sink;
  HfServiceStore *service;
  HfPackKind kind;
  GBytes *request;
  Lane *lanes;
  guint count;
  gint next; /* atomic */
} HfServiceSink;

HfSink *hf_service_sink_open(HfStore *store, const HfSinkOptions *options, GError **error)
{
  HfServiceStore *service = (HfServiceStore *)store;
  g_autoptr(GByteArray) slots = g_byte_array_new();
  for (guint i = 0; i < options->slot_count; i++)
    hf_put_session_slot(slots, &options->slots[i]);
  g_auto(HfVaultSink) request = { .kind = (guint8)options->kind, .domain = options->domain,
                                  .slots = g_byte_array_free_to_bytes(g_steal_pointer(&slots)) };
  g_autoptr(GBytes) encoded = hf_vault_sink_encode(&request, error);
  if (encoded == NULL)
    return NULL;
  HfServiceSink *sink = g_new0(HfServiceSink, 1);
  sink->service = service;
  sink->kind = options->kind;
  sink->request = g_steal_pointer(&encoded);
  sink->count = service->connections->len;
  sink->lanes = g_new0(Lane, sink->count);
  for (guint i = 0; i < sink->count; i++) {
    g_mutex_init(&sink->lanes[i].lock);
    sink->lanes[i].rpc = service->connections->pdata[i];
  }
  HF_LOCK(&service->lock);
  g_ptr_array_add(service->sinks, sink);
  return &sink->sink;
}

/* A lane that nobody is sending on, else the one whose turn it is; locked. */
static Lane *take_lane(HfServiceSink *sink)
{
  guint first = (guint)g_atomic_int_add(&sink->next, 1) % sink->count;
  for (guint i = 0; i < sink->count; i++) {
    Lane *lane = &sink->lanes[(first + i) % sink->count];
    if (g_mutex_trylock(&lane->lock))
      return lane;
  }
  g_mutex_lock(&sink->lanes[first].lock);
  return &sink->lanes[first];
}

/* The time that this takes is the network's: credit, and room in the socket. */
static gboolean send(HfServiceSink *sink, Lane *lane, const struct iovec *parts, int count, GError **error)
{
  gint64 begun = hf_clock_monotonic_us();
  if (lane->call == NULL)
    lane->call = hf_rpc_begin(lane->rpc, HF_VAULT_METHOD_SINK, sink->request, error);
  gboolean sent = lane->call != NULL && hf_call_send(lane->call, parts, count, error);
  HF_LOCK(&sink->service->lock);
  sink->service->waited_us += (guint64)(hf_clock_monotonic_us() - begun);
  return sent;
}

gboolean hf_service_sink_add(HfSink *base, const HfPackFrame *frame, const struct iovec *stored, int count,
                             const HfId *ids, GError **error)
{
  HfServiceSink *sink = (HfServiceSink *)base;
  g_auto(HfVaultFrame) header = { .kind = frame->kind };
  memcpy(header.digest.b, frame->digest, sizeof frame->digest);
  for (guint i = 0; i < frame->blobs; i++)
    hf_vault_frame_add_ids(&header, &ids[i]);
  g_autoptr(GBytes) encoded = hf_vault_frame_encode(&header, error);
  if (encoded == NULL)
    return FALSE;
  gsize length;
  gconstpointer bytes = g_bytes_get_data(encoded, &length);
  guint32 prefix = GUINT32_TO_LE((guint32)length);
  g_autofree struct iovec *parts = g_new(struct iovec, 2 + (gsize)count);
  parts[0] = (struct iovec){ &prefix, sizeof prefix };
  parts[1] = (struct iovec){ (void *)bytes, length };
  memcpy(parts + 2, stored, (gsize)count * sizeof *stored);
  Lane *lane = take_lane(sink);
  gboolean sent = send(sink, lane, parts, 2 + count, error);
  g_mutex_unlock(&lane->lock);
  return sent;
}

/* Ends the calls of all lanes first, then waits for each: one round trip for all. */
static gboolean drain(HfServiceSink *sink, GError **error)
{
  gboolean good = TRUE;
  for (guint i = 0; i < sink->count; i++) {
    Lane *lane = &sink->lanes[i];
    HF_LOCK(&lane->lock);
    if (lane->call != NULL)
      hf_call_end(lane->call, NULL); /* what is wrong comes out of the finish */
  }
  for (guint i = 0; i < sink->count; i++) {
    Lane *lane = &sink->lanes[i];
    HF_LOCK(&lane->lock);
    if (lane->call == NULL)
      continue;
    g_autoptr(GBytes) reply = hf_call_finish(lane->call, good ? error : NULL);
    good = good && reply != NULL;
    g_clear_pointer(&lane->call, hf_call_free);
  }
  return good;
}

/* All sinks of the store: metadata that another sink sent may name what is still under way here. */
gboolean hf_service_sink_flush(HfSink *base, HfSinkTotals *totals, GError **error)
{
  HfServiceSink *sink = (HfServiceSink *)base;
  HfServiceStore *service = sink->service;
  g_mutex_lock(&service->lock);
  g_autoptr(GPtrArray) sinks = g_ptr_array_copy(service->sinks, NULL, NULL);
  g_mutex_unlock(&service->lock);
  for (guint i = 0; i < sinks->len; i++)
    if (!drain(sinks->pdata[i], error))
      return FALSE;
  g_auto(HfVaultFlushed) reply = { 0 };
  if (!hf_vault_call_flush(service->connections->pdata[0], &reply, -1, error))
    return FALSE;
  g_mutex_lock(&service->lock);
  service->busy_us = reply.busy;
  g_mutex_unlock(&service->lock);
  *totals = sink->kind == HF_PACK_DATA ? (HfSinkTotals){ reply.data, reply.data_second }
                                       : (HfSinkTotals){ reply.meta, reply.meta_second };
  return TRUE;
}

void hf_service_sink_free(HfSink *base)
{
  HfServiceSink *sink = (HfServiceSink *)base;
  g_mutex_lock(&sink->service->lock);
  g_ptr_array_remove(sink->service->sinks, sink);
  g_mutex_unlock(&sink->service->lock);
  for (guint i = 0; i < sink->count; i++) {
    hf_call_free(sink->lanes[i].call);
    g_mutex_clear(&sink->lanes[i].lock);
  }
  g_free(sink->lanes);
  g_bytes_unref(sink->request);
  g_free(sink);
}
