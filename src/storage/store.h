/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The object store: where a repository keeps its immutable objects. A driver (local/, later s3/, azure/, nfs/, smb/)
 * or a wrapper (wrap/: retry, throttle, cache, fault) implements HfStoreOps; the repository calls the hf_store_*
 * functions and never names a driver.
 *
 * What is required of every store:
 *  S1 An object appears whole or not at all: what a crash or an abort leaves of a put is never listed and never read.
 *  S2 hf_put_commit returns only when the object would survive a power loss (data and name).
 *  S3 Creation is exclusive: of two commits of one name exactly one succeeds, the other gets HF_ERROR_EXISTS, also
 *     across processes. A store that cannot promise this says so (HF_STORE_EXCLUSIVE is missing in its features).
 *  S4 Read after write: an object whose commit returned is seen by every later list and get, everywhere.
 *  S5 Objects never change. Deleting a name and creating it anew with other bytes is not done by the repository,
 *     except for the names below "leases/" and "sessions/".
 *
 * Names are relative paths of [a-z0-9._-] parts joined by '/', at most 200 bytes, no part empty or starting with '.'.
 * Folders exist by themselves. All functions are thread-safe; one HfPut is used by one thread at a time.
 * Sizes and offsets are bytes.
 */
#pragma once

#include <glib.h>
#include <sys/uio.h>

#include "format/pack.h"

typedef struct HfStore HfStore;
typedef struct HfPut HfPut;
typedef struct HfSink HfSink;

typedef enum HfStoreFeature {
  HF_STORE_EXCLUSIVE = 1 << 0, /* S3 holds */
  HF_STORE_LOCKS = 1 << 1,     /* objects can be made immutable until a date */
  HF_STORE_LOCAL = 1 << 2,     /* reads cost no network round trip */
  /* A repository service keeps it (docs/fleet.md 3): frames are handed to a sink instead of packs being put, and the
   * service alone writes index runs, stamps and publishes points, heals copies and removes what is not needed. */
  HF_STORE_KEPT = 1 << 3,
} HfStoreFeature;

typedef struct HfStoreUsage {
  guint64 bytes_total, bytes_free; /* of the whole store; 0,0 when unknown */
} HfStoreUsage;

/* Called once an object, in any order. FALSE with an error stops the listing. */
typedef gboolean (*HfStoreListFunc)(const char *name, guint64 size, gpointer user, GError **error);

typedef struct HfStoreRange {
  const char *name;
  guint64 offset;
  gsize length;
} HfStoreRange;

typedef struct HfSinkOptions {
  HfPackKind kind;
  guint32 domain;
  const HfSessionSlot *slots; /* of all sessions that sealed the frames to come; borrowed during the call */
  guint slot_count;
} HfSinkOptions;

/* Bytes made durable through a sink so far: packs, and parity or mirrors beside them. */
typedef struct HfSinkTotals {
  guint64 pack_bytes, second_bytes;
} HfSinkTotals;

typedef struct HfStoreOps {
  /* required */
  HfPut *(*put_begin)(HfStore *store, const char *name, GError **error);
  gboolean (*put_write)(HfPut *put, const struct iovec *vector, int count, GError **error);
  gboolean (*put_read)(HfPut *put, guint64 offset, void *bytes, gsize length, GError **error);
  gboolean (*put_commit)(HfPut *put, GError **error);
  void (*put_free)(HfPut *put); /* aborts when not committed */
  gboolean (*get)(HfStore *store, const char *name, guint64 offset, void *bytes, gsize length, GError **error);
  gboolean (*size)(HfStore *store, const char *name, guint64 *size, GError **error);
  gboolean (*list)(HfStore *store, const char *prefix, HfStoreListFunc func, gpointer user, GError **error);
  gboolean (*remove)(HfStore *store, const char *name, GError **error);
  void (*free)(HfStore *store);
  /* optional: NULL when the driver has nothing to say */
  gboolean (*usage)(HfStore *store, HfStoreUsage *usage, GError **error);
  gboolean (*held)(HfStore *store, const char *name);
  void (*will_read)(HfStore *store, const HfStoreRange *ranges, guint count);
  /* required with HF_STORE_KEPT, else NULL */
  HfSink *(*sink_open)(HfStore *store, const HfSinkOptions *options, GError **error);
  gboolean (*sink_add)(HfSink *sink, const HfPackFrame *frame, const struct iovec *stored, int count, const HfId *ids,
                       GError **error);
  gboolean (*sink_flush)(HfSink *sink, HfSinkTotals *totals, GError **error);
  void (*sink_free)(HfSink *sink);
} HfStoreOps;

/* First member of every driver's own struct. store.c checks names, prefixes and ranges before it calls a driver. */
struct HfStore {
  const HfStoreOps *ops;
  guint features;  /* HfStoreFeature bits */
  char *location;  /* as the user gave it; owned: g_free'd by hf_store_free after ops->free, which frees the struct */
};

/* First member of every driver's own sink struct. store.c fills it in. */
struct HfSink {
  HfStore *store; /* borrowed: outlives the sink */
};

/* First member of every driver's own put struct. store.c fills it in: a driver only reads it. */
struct HfPut {
  HfStore *store; /* borrowed: outlives the put */
  char *name;     /* owned; set before the driver's put_write is called first, freed after its put_free */
  guint64 length; /* bytes written so far */
  guint state;    /* store.c: writing, committed or broken */
};

/* Opens the store at `location`: a folder path, or SCHEME:... for a registered driver. With `create` the store is made
 * when missing (an existing, not empty folder is refused by the repository, not here). */
HfStore *hf_store_open(const char *location, gboolean create, GError **error);
void hf_store_free(HfStore *store);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfStore, hf_store_free)

/* ---- Writing. hf_put_free aborts an uncommitted put. After a failed hf_put_write only hf_put_free may follow, other
 * calls fail. A hf_put_commit that failed with HF_ERROR_EXISTS or HF_ERROR_IO leaves the put readable and may be tried
 * again; after HF_ERROR_IO the object may be there or not (an answer can be lost). ---- */
HfPut *hf_put_begin(HfStore *store, const char *name, GError **error);
/* Appends. */
gboolean hf_put_write(HfPut *put, const struct iovec *vector, int count, GError **error);
/* Reads back what was appended, before the commit. A failure changes nothing. */
gboolean hf_put_read(HfPut *put, guint64 offset, void *bytes, gsize length, GError **error);
/* Makes the object appear, durably and exclusively (S1-S3). Once it succeeded only hf_put_free may follow. */
gboolean hf_put_commit(HfPut *put, GError **error);
void hf_put_free(HfPut *put);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfPut, hf_put_free)

/* The whole object in one call. */
gboolean hf_store_put(HfStore *store, const char *name, const void *bytes, gsize length, GError **error);

/* ---- Reading. ---- */
/* Reads exactly [offset, offset + length): HF_ERROR_NOT_FOUND when the object is missing, HF_ERROR_DAMAGED when it is
 * shorter; `length` may be 0. What `bytes` hold after a failure is undefined. */
gboolean hf_store_get(HfStore *store, const char *name, guint64 offset, void *bytes, gsize length, GError **error);
/* These ranges are read soon, each by one hf_store_get of just these bytes, in about this order: a store at a distance
 * asks for them before they are needed. A hint: what is never read costs a little memory for a while. */
void hf_store_will_read(HfStore *store, const HfStoreRange *ranges, guint count);
/* The whole object, refused with HF_ERROR_INVALID above `limit` bytes. The GBytes is the caller's. */
GBytes *hf_store_get_all(HfStore *store, const char *name, gsize limit, GError **error);
gboolean hf_store_size(HfStore *store, const char *name, guint64 *size, GError **error);
/* All objects whose name starts with `prefix`: "" or a folder with its '/' at the end ("points/"), recursively. A
 * missing folder lists nothing. `func` may call the store, and may remove what it is shown. */
gboolean hf_store_list(HfStore *store, const char *prefix, HfStoreListFunc func, gpointer user, GError **error);
/* Names below `prefix`, sorted; free with g_ptr_array_unref (elements are freed with it). */
GPtrArray *hf_store_list_names(HfStore *store, const char *prefix, GError **error);

/* ---- Deleting. A missing object is HF_ERROR_NOT_FOUND. Durable enough: a deletion may come back after a power loss,
 * the repository bears that. Works at 0 free bytes. ---- */
gboolean hf_store_remove(HfStore *store, const char *name, GError **error);
/* Is the object held by what is below the store (an inode flag)? Then it can be neither removed nor replaced for now,
 * by nobody who may write here: that is no failure, only too early. FALSE also when it cannot be told. */
gboolean hf_store_held(HfStore *store, const char *name);

/* Bytes of the store; zeros when the driver cannot tell. */
gboolean hf_store_usage(HfStore *store, HfStoreUsage *usage, GError **error);

/* ---- Sinks: frames for a service to pack. Only with HF_STORE_KEPT. All functions are thread-safe. ---- */
HfSink *hf_sink_open(HfStore *store, const HfSinkOptions *options, GError **error);
/* Hands over a sealed frame (`frame` gives kind, blobs, stored length and digest; `ids` are those of its blobs).
 * Returns as soon as the bytes need not be kept: that the service took them is known after the flush. */
gboolean hf_sink_add(HfSink *sink, const HfPackFrame *frame, const struct iovec *stored, int count, const HfId *ids,
                     GError **error);
/* All that was added is durable and indexed, or an error: then nothing that was added since the last flush counts.
 * `totals` (may be NULL) is since hf_sink_open. */
gboolean hf_sink_flush(HfSink *sink, HfSinkTotals *totals, GError **error);
void hf_sink_free(HfSink *sink);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfSink, hf_sink_free)

/* ---- For drivers: registration by scheme; the program does it once, before threads start. ---- */
/* `where` is what follows "SCHEME:", or a whole plain path. hf_store_open sets store->location. */
typedef HfStore *(*HfStoreOpenFunc)(const char *where, gboolean create, GError **error);
/* `scheme` is a static string. Registering a scheme again replaces its driver. */
void hf_store_register(const char *scheme, HfStoreOpenFunc open);
/* "s3:..." style schemes have no '/' before the ':'; everything else is a folder. The driver registered as "file" takes
 * plain paths. */

/* TRUE when `name` obeys the naming rule above. */
gboolean hf_store_name_valid(const char *name);
/* FALSE for names that may be deleted and created anew with other bytes (S5): what they held must not be kept. */
gboolean hf_store_name_keeps(const char *name);
