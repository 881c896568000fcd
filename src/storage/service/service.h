/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A repository at a distance: a store whose objects are kept by the repository service of another host (docs/fleet.md
 * 3, spec/messages/vault.toml). Features: HF_STORE_EXCLUSIVE | HF_STORE_KEPT.
 *
 * Small objects come with their listing and are read from memory afterwards; index runs of up to 64 MiB are fetched
 * whole when they are read first, and kept in a folder between runs of the program. Frames go out over all connections.
 *
 * Invariants
 *  D1 What is kept here is only what cannot change: objects of hf_store_name_keeps.
 *  D2 A connection that broke fails every call from then on: nothing is sent again, a run that is resumed is the
 *     repair.
 */
#pragma once

#include "base/report.h"
#include "net/rpc.h"
#include "storage/store.h"

typedef struct HfServiceOptions {
  const char *location;     /* for messages: "HOST:/path" */
  const char *cache_folder; /* where index runs are kept; NULL: in unnamed files while the store is open */
  HfCancel *cancel;         /* may be NULL */
  HfThrottle *throttle;     /* for all that goes out and comes in; may be NULL */
  gboolean links;           /* the channels are socket pairs to who carries the bytes on */
} HfServiceOptions;

/* What the answer to a visit with these rights lists; ended by NULL. */
const char *const *hf_service_visit_folders(guint32 rights);
/* What a session looks at when it begins; ended by NULL. */
extern const char *const hf_service_session_folders[];
/* Do listings below `prefix` come with the contents of short objects? */
gboolean hf_service_brings_content(const char *prefix);

/* Options for both ends' RPC: the limits that the service needs. */
void hf_service_rpc_options(HfRpcOptions *options);

/* Takes the channels over (1 to 64 of HfChannel*, all shown the same ticket), also when it fails. */
HfStore *hf_service_store_new(GPtrArray *channels, const HfServiceOptions *options, GError **error);

/* What the service said when the store was opened. */
typedef struct HfServiceVisit {
  guint32 rights;
  gboolean kept; /* there is a repository */
  guint64 seconds;
} HfServiceVisit;
HfServiceVisit hf_service_visit(HfStore *store);

/* Microseconds that callers waited for the network, and for the throttle (they are told apart by when anybody was held
 * back by it), each summed over callers; that the service was at work on frames, up to the last flush, summed over
 * connections; bytes on the wire so far. */
typedef struct HfServiceTraffic {
  guint64 waited_us, held_us, busy_us, sent, received;
} HfServiceTraffic;
HfServiceTraffic hf_service_traffic(HfStore *store);

/* ---- Verbs that run where the data lie. `store` must be one of hf_service_store_new. ---- */
gboolean hf_service_forget(HfStore *store, const GArray *points /* of HfShortId */, guint *forgotten, GError **error);
typedef struct HfServicePruned {
  guint64 packs, bytes, swept_packs, swept_bytes, waiting_packs, waiting_bytes, rewritten_bytes;
  gboolean other_at_work;
  guint64 held_packs, held_bytes; /* not needed, and their files are immutable for a while yet */
} HfServicePruned;
/* Notes of a long verb go to `report` (may be NULL). */
gboolean hf_service_prune(HfStore *store, gboolean dry_run, HfReport *report, HfServicePruned *result, GError **error);
typedef struct HfServiceVerified {
  guint64 objects, frames, bytes, bad_objects, bad_parity, bad_packs, bad_frames, missing_blobs;
  gboolean good;
} HfServiceVerified;
gboolean hf_service_verify(HfStore *store, guint sample, HfReport *report, HfServiceVerified *result, GError **error);
/* Key slots of all sessions whose frames are stored in `domain`: HfSessionSlot; free with g_array_unref. */
GArray *hf_service_slots(HfStore *store, guint32 domain, GError **error);
