/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A visit: all connections of one ticket to one repository, and what they may do there.
 *
 * Invariants
 *  V1 A name is read, created or removed only as the rights of the ticket allow (the table stands in visit.c).
 *  V2 Index runs, packs, parity, mirrors, points, marks, tombstones and the clock are never created by a visitor: the
 *     service writes them itself.
 *  V3 A visitor writes as the ticket's writer, in that writer's domain, under one session that he opened in this visit.
 *  V4 A point or checkpoint is taken only when the refs of all metadata that came with this visit, and its own roots,
 *     lead to blobs of their domain that are stored. (A blob that was there before was checked when it came, or its
 *     writer has claimed what is below it: children go before parents.) Frames that are copied hold also what no point
 *     needs any more, whose refs are not copied: of a copied point all is looked at that can be reached from its roots.
 *  V5 When the last connection of the visit ends, its sessions end: what was not flushed is gone, a checkpoint stays.
 *  V6 Of no blob more than HF_VISIT_COPIES good copies are taken in: the index knows of a few places of each, and
 *     without keys nobody can say which of them is the true one. So a host that was taken over cannot bury what its
 *     earlier points need under garbage of the same ids.
 *  V7 Memory for refs that lead nowhere yet is bounded.
 *
 * Threads: all functions may be called from any thread.
 */
#pragma once

#include "agent/ticket.h"
#include "agent/vault/depot.h"
#include "repo/packer.h"

#define HF_VISIT_COPIES 4u

typedef struct HfVisit HfVisit;

/* The visit of this ticket: joined when another connection of it is here, else begun. */
HfVisit *hf_visit_join(const HfTicket *ticket, GError **error);
void hf_visit_leave(HfVisit *visit);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfVisit, hf_visit_leave)

HfDepot *hf_visit_depot(HfVisit *visit);
guint32 hf_visit_rights(const HfVisit *visit);
/* HF_ERROR_PERMISSION unless the ticket has one of `rights`. */
gboolean hf_visit_need(const HfVisit *visit, guint32 rights, const char *what, GError **error);

/* ---- Objects. ---- */
gboolean hf_visit_may_read(const HfVisit *visit, const char *name, GError **error);
/* Creates an object after looking at what it is: the outcome of a session with a point commits it. */
gboolean hf_visit_put(HfVisit *visit, const char *name, GBytes *content, GError **error);
gboolean hf_visit_remove(HfVisit *visit, const char *name, GError **error);

/* ---- Frames. ---- */
/* A packer for frames of these sessions; the slots' signatures are checked. It is one that repeats all of them, or a
 * new one: a frame without its session's slot beside it could never be read. Borrowed. */
HfPacker *hf_visit_packer(HfVisit *visit, HfPackKind kind, guint32 domain, const HfSessionSlot *slots, guint count,
                          GError **error);
/* Takes one frame (digest and refs are checked: V4). `stored` has frame->stored_length bytes. */
gboolean hf_visit_frame(HfVisit *visit, HfPacker *packer, guint32 domain, HfPackKind kind, const HfPackFrame *frame,
                        const void *stored, const HfId *ids, GError **error);
/* Counts a frame that was taken, for who sent it. HF_ERROR_REFUSED when there are more senders than connections can be.
 */
gboolean hf_visit_count(HfVisit *visit, guint64 sender, GError **error);
/* Frames that were sent will not be taken, because of `why`. */
void hf_visit_miss(HfVisit *visit, const GError *why);
/* Waits up to `patience_us` until this sender's first `frames` frames were taken: *here. FALSE when some never will be:
 * they were refused, or a connection of the visit has ended. */
gboolean hf_visit_await(HfVisit *visit, guint64 sender, guint64 frames, gint64 patience_us,
                        gboolean *here, GError **error);
/* Bytes that the visit made durable so far. */
typedef struct HfVisitTotals {
  HfSinkTotals data, meta;
  guint64 busy_us; /* in hf_visit_frame, summed over threads */
} HfVisitTotals;
/* Everything that came is durable and indexed. */
gboolean hf_visit_flush(HfVisit *visit, HfVisitTotals *totals, GError **error);
/* The same, and all refs lead somewhere (V4): HF_ERROR_REFUSED names the first that does not. `point` is what is to be
 * committed, NULL for a checkpoint. */
gboolean hf_visit_settle(HfVisit *visit, const HfPoint *point, GError **error);
