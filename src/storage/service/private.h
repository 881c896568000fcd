/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of this driver share. */
#pragma once

#include "net/messages/vault.h"
#include "storage/service/service.h"

#define HF_SERVICE_CONTENT_MAX 65536u /* of objects that come with their listing */
#define HF_SERVICE_GET_MAX (16u << 20)

typedef struct HfSmalls HfSmalls;
typedef struct HfRunCache HfRunCache;
typedef struct HfAhead HfAhead;
typedef struct HfPlanned HfPlanned;
typedef struct HfBlocks HfBlocks;

typedef struct HfServiceStore {
  HfStore store;
  GPtrArray *channels, *connections; /* of HfChannel*, of HfRpc*: side by side, owned */
  HfThrottle *throttle;              /* or NULL */
  HfServiceVisit visit;
  HfSmalls *smalls;
  HfAhead *ahead;
  HfPlanned *planned;
  HfBlocks *blocks;
  HfRunCache *runs;
  gint next;        /* connection of the next call, atomic */
  guint64 sender;   /* tells frames of this store from those of others with the same ticket */
  GMutex lock;      /* guards what follows */
  GPtrArray *sinks; /* of HfServiceSink*, borrowed: all that are open */
  gboolean dirty;   /* frames were sent since the last flush */
  guint64 frames;   /* that were sent */
  HfVaultFlushed flushed; /* what the last flush told */
  guint64 waited_us, held_us, busy_us;
} HfServiceStore;

/* ---- A wait for the network: begun before it, put down after it. Any thread. ---- */
typedef struct HfServiceWait {
  gint64 begun;
  guint64 held;
} HfServiceWait;
HfServiceWait hf_service_wait_begin(const HfServiceStore *service);
void hf_service_wait_end(HfServiceStore *service, const HfServiceWait *wait);

/* The connection whose turn it is. */
HfRpc *hf_service_rpc(HfServiceStore *service);
/* Bytes of an object, by one call: at most HF_SERVICE_GET_MAX. */
HfCall *hf_service_ask_range(HfServiceStore *service, const char *name, guint64 offset, gsize length, GError **error);
gboolean hf_service_take_range(HfServiceStore *service, HfCall *call, const char *name, void *bytes, gsize length,
                               GError **error);
/* Bytes of an object from the service, up to HF_SERVICE_GET_MAX at a time, several requests under way. */
gboolean hf_service_fetch(HfServiceStore *service, const char *name, guint64 offset, void *bytes, gsize length,
                          GError **error);

/* ---- smalls.c: contents of small objects. Thread-safe. ---- */
HfSmalls *hf_smalls_new(void);
void hf_smalls_free(HfSmalls *smalls);
/* NULL when it is not kept. */
GBytes *hf_smalls_find(HfSmalls *smalls, const char *name);
void hf_smalls_add(HfSmalls *smalls, const char *name, GBytes *content);
void hf_smalls_remove(HfSmalls *smalls, const char *name);

/* ---- runs.c: whole index runs in local files. Thread-safe. ---- */
HfRunCache *hf_run_cache_new(const char *folder);
void hf_run_cache_free(HfRunCache *cache);
/* Reads from the local copy, which is fetched first when it is missing; *here is FALSE when the run is too long to be
 * fetched whole, or no file can be made. */
gboolean hf_run_cache_read(HfRunCache *cache, HfServiceStore *service, const char *name, guint64 offset, void *bytes,
                           gsize length, gboolean *here, GError **error);

/* What a listing said of a run's length; FALSE when none did. */
void hf_run_cache_note(HfRunCache *cache, const char *name, guint64 size);
gboolean hf_run_cache_size(HfRunCache *cache, const char *name, guint64 *size);

/* ---- ahead.c: listings that are known before they are needed, for some seconds. Thread-safe. ---- */
HfAhead *hf_ahead_new(void);
void hf_ahead_free(HfAhead *ahead);
/* A listing that is here: its pieces (GBytes*), of which a reference is taken; `once`: long ones, for the first who
 * asks. */
void hf_ahead_keep(HfAhead *ahead, const char *prefix, GPtrArray *pieces, gboolean once);
/* The pieces of what is known of it (a reference), or NULL. */
GPtrArray *hf_ahead_take(HfAhead *ahead, const char *prefix);
/* This object is created or removed here: listings that would tell of it are void. */
void hf_ahead_forget(HfAhead *ahead, const char *name);
/* This object is not there: a listing that tells of it is out of date. */
void hf_ahead_missing(HfAhead *ahead, const char *name);

/* ---- planned.c: reads that were announced. Thread-safe. ---- */
HfPlanned *hf_planned_new(void);
void hf_planned_free(HfPlanned *planned);
void hf_planned_add(HfPlanned *planned, HfServiceStore *service, const HfStoreRange *ranges, guint count);
/* The call that brings these bytes, now the caller's; NULL when they were not asked for. Asks for what comes next. */
HfCall *hf_planned_take(HfPlanned *planned, HfServiceStore *service, const char *name, guint64 offset, gsize length);

/* ---- blocks.c: parts of metadata packs, larger than what was read of them. Thread-safe. ---- */
HfBlocks *hf_blocks_new(void);
void hf_blocks_free(HfBlocks *blocks);
/* FALSE when these bytes do not come this way: they are to be fetched alone, and what is wrong comes out there. */
gboolean hf_blocks_read(HfBlocks *blocks, HfServiceStore *service, const char *name, guint64 offset, void *bytes,
                        gsize length);
/* What a listing said of a pack's length: only of packs whose length is known blocks can be asked for. */
void hf_blocks_note(HfBlocks *blocks, const char *name, guint64 size);

/* ---- sink.c ---- */
HfSink *hf_service_sink_open(HfStore *store, const HfSinkOptions *options, GError **error);
gboolean hf_service_sink_add(HfSink *sink, const HfPackFrame *frame, const struct iovec *stored, int count,
                             const HfId *ids, GError **error);
gboolean hf_service_sink_flush(HfSink *sink, HfSinkTotals *totals, GError **error);
void hf_service_sink_free(HfSink *sink);
