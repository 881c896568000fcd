/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Sessions: who is at work in the repository (format.md 10). A thread of its own beats. Nothing ever waits for a
 * session: collection goes by outcomes.
 *
 *   open --beat--> open --commit--> committed (outcome with point) --finish--> gone
 *     |                 \--end----> ended ------------------------------------> gone
 *     \--(dead: judged by another)-> fenced -----------------------------------> gone, by collection
 *
 * Invariants
 *  E1 sessions/ID/outcome is created exactly once; who finds it existing obeys it: a fenced writer fails with
 *     HF_ERROR_FENCED and its point is never listed.
 *  E2 The open object is durable before marks are read (hf_index_open or hf_index_refresh comes after hf_session_open).
 *  E3 Death is judged by the observer's monotonic clock, or, on the same boot and process namespace, by the process's
 *     absence.
 */
#pragma once

#include "format/point.h"
#include "repo/repo.h"

typedef struct HfSession HfSession;

/* Writing purposes (BACKUP, COPY with keys) get a slot and keys; READ, COLLECT, REPAIR and keyless COPY do not. With
 * repo->read_only and purpose READ nothing is written. */
HfSession *hf_session_open(HfRepo *repo, HfPurpose purpose, GError **error);
/* Ends it when it was not committed: its objects are removed; with hf_session_keep_checkpoint and a checkpoint they
 * stay, with the outcome `ended`. What was fenced is left to who fenced it. */
void hf_session_free(HfSession *session);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfSession, hf_session_free)

const HfShortId *hf_session_id(const HfSession *session);
const HfSessionSlot *hf_session_slot(const HfSession *session);
const HfKey *hf_session_data_key(const HfSession *session);
const HfKey *hf_session_meta_key(const HfSession *session);
/* HF_ERROR_FENCED once another has fenced it (checked at each beat). */
gboolean hf_session_check(HfSession *session, GError **error);

/* Writes a checkpoint, replacing this session's earlier one. `roots` and all below must be durable. */
gboolean hf_session_checkpoint(HfSession *session, const HfShortId *source, const HfId *roots, GError **error);
void hf_session_keep_checkpoint(HfSession *session);

/* Commits: seals details, signs, stamps, creates the outcome, publishes the copies (format.md 10.2). point->flags,
 * source, domain and roots are set by the caller, and, for the copy of another point, that one's sequence and time
 * (else time is 0); the rest is filled in. HF_ERROR_FENCED when fenced. */
gboolean hf_session_commit(HfSession *session, HfPoint *point, const HfPointDetails *details, GError **error);
/* Publishes a point of another repository of the family as it is (keyless copy); sequence and time are kept. */
gboolean hf_session_commit_copy(HfSession *session, GBytes *point_record, GError **error);

/* ---- Others' sessions. ---- */
typedef struct HfSessionInfo {
  HfSessionOpen open;
  gboolean opened;              /* the open object is there; when it is damaged, `open` holds nothing but the id */
  gboolean has_outcome;
  HfOutcomeState state;
  gboolean dead_here;           /* same boot and namespace, process gone: the holder's, or that of its service */
  gboolean alive_here;          /* same boot and namespace, process there: its service's, else the holder's */
  gboolean served;              /* by a repository service: it ends with that one */
  gboolean served_by_us;        /* by this process */
  guint64 beat;
  gboolean has_checkpoint;
  HfCheckpoint checkpoint;      /* of this session, signature not checked */
} HfSessionInfo;
/* All sessions in the store but `own` (may be NULL); elements HfSessionInfo*, freed with the array. */
GPtrArray *hf_sessions_list(HfRepo *repo, const HfSession *own, GError **error);
/* Fences those of `ids` (GArray of HfShortId) that are dead; waits up to `patience_seconds` to observe beats (0: only
 * by process), or until each that is left was seen to beat. On return `ids` holds those that are still at work. */
gboolean hf_sessions_settle(HfRepo *repo, GArray *ids, guint patience_seconds, GError **error);
/* Removes the objects of sessions that have an outcome (fenced or ended) and whose checkpoint is not to be kept;
 * finishes committed ones. */
gboolean hf_sessions_tidy(HfRepo *repo, GError **error);
