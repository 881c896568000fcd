/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What session.c (our own session), sessions.c (others') and points.c share.
 *
 * Invariants of the objects below sessions/ID/
 *  F1 `open` is made first and once, and is removed first; `outcome` is removed last. So an outcome counts only while
 *     `open` is there: one made by a session that was fenced and cleared away meanwhile (its process was stopped, then
 *     went on) is void. A committed outcome whose `open` is gone was finished before `open` went, or its writer was
 *     told that the commit failed.
 *  F2 Who finds a committed outcome reads the outcome first and then asks for `open`: `open` never comes back, so it
 *     was there when the outcome was made.
 *  F3 The copies of a point are put only while its outcome is there, and taken away again when there is a tombstone.
 */
#pragma once

#include "repo/session.h"

/* Microseconds between two beats, and without a beat until a session counts as dead. */
gint64 hf_session_beat_us(void);
gint64 hf_session_death_us(void);

/* Fills boot, pid, pid_start and pid_namespace with those of this process. */
void hf_process_identity(HfSessionOpen *open);
/* The name of the object that says which service a session came through. */
#define HF_SESSION_SERVED "served"
/* TRUE when that process ran on this boot, in this process namespace, and is no more. */
gboolean hf_process_is_gone(const HfSessionOpen *open);

/* Creates the outcome `fenced`. One that is there already is obeyed. */
gboolean hf_session_fence(HfRepo *repo, const HfShortId *session, GError **error);

/* Removes what is below sessions/ID/ in the order of F1, whatever of it is there. A service that keeps the store does
 * so when it is told to remove `open`. */
gboolean hf_session_remove(HfStore *store, const HfShortId *session, GError **error);

/* The outcome, if there is one that counts: *state is 0 when there is none, or a void one. *point is new, or NULL. */
gboolean hf_outcome_read(HfStore *store, const HfShortId *session, HfOutcomeState *state, GBytes **point,
                         GError **error);

/* Publishes the point of a committed outcome (F3) and removes the session's objects. */
gboolean hf_session_finish(HfRepo *repo, const HfShortId *session, GBytes *point, GError **error);
/* Does so for all sessions that committed and did not come to it. */
gboolean hf_sessions_finish(HfRepo *repo, GError **error);

/* Their points: an array of GBytes. Damaged outcomes are warned about. */
GPtrArray *hf_sessions_committed(HfRepo *repo, HfReport *report, GError **error);
