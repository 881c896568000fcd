/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What only the service that keeps a repository does (docs/fleet.md 3): it counts its running time, checks who signed
 * what others want to commit, stamps points, and publishes them. It needs no key.
 *
 * Invariants
 *  C1 A point is published only when an enrolled writer of its domain signed it, and its roots are stored.
 *  C2 Sequence, time and lock of a published point are the service's, except that a copy of a point of another
 *     repository keeps sequence and time.
 *  C3 The clock never goes back and never counts time in which the service did not run (format.md 9.4).
 *  C4 A point that is published already keeps sequence and time, and its lock never gets shorter, whoever commits it
 *     again.
 */
#pragma once

#include "repo/repo.h"
#include "repo/writers.h"

/* ---- The clock. ---- */
typedef struct HfKeeperClock {
  guint64 start;     /* seconds that were counted when this process began */
  gint64 since;      /* monotonic microseconds then */
  guint64 kept;      /* the greatest that is in the store */
} HfKeeperClock;
gboolean hf_keeper_clock_open(HfKeeperClock *clock, HfStore *store, GError **error);
guint64 hf_keeper_clock_seconds(const HfKeeperClock *clock);
/* Puts down what was reached. Not thread-safe. A store that is full keeps the older count: locks get longer. */
gboolean hf_keeper_clock_keep(HfKeeperClock *clock, HfStore *store, GError **error);

/* ---- Commits by others. ---- */
/* The enrolled writer, not removed, of `domain`; HF_ERROR_PERMISSION names what is wrong. Borrowed from `writers`. */
const HfWriter *hf_keeper_signer(HfWriterTable *writers, const HfShortId *writer, guint32 domain, GError **error);
/* HF_ERROR_REFUSED when the blob is not stored in `domain`. */
gboolean hf_keeper_resolves(HfRepo *repo, guint32 domain, const HfId *id, GError **error);
/* The same for all that can be reached from this blob. It reads the directories of all packs. */
gboolean hf_keeper_resolves_below(HfRepo *repo, guint32 domain, const HfId *root, GError **error);

typedef struct HfKeeperTerms {
  guint64 lock;       /* seconds for which points are locked; 0: not */
  gboolean copies;    /* the point may be of any writer, also of one removed after it, and keeps sequence and time */
  HfShortId writer;   /* else it must be of this one */
} HfKeeperTerms;
/* Checks the point (C1), stamps it (C2) and commits it as the outcome of `session`, whose `open` must be in the store.
 * One at a time for a repository: the caller serialises. `stamped` (may be NULL) becomes the record as published.
 * HF_ERROR_FENCED when the session has an outcome already, or has ended. */
gboolean hf_keeper_commit(HfRepo *repo, HfWriterTable *writers, const HfKeeperTerms *terms, const HfShortId *session,
                          GBytes *point_record, GBytes **stamped, GError **error);

/* ---- Sessions of others. ---- */
/* Says of a session that was just opened that it came through this process, with which it ends. What cannot be noted
 * is only found out later, by its beats. */
void hf_keeper_note_session(HfStore *store, const HfShortId *session);
/* Ends a session whose visitor is gone: with a checkpoint it gets the outcome `ended`, without one its objects are
 * removed. One that has an outcome, or nothing left, is let be. */
gboolean hf_keeper_end_session(HfRepo *repo, const HfShortId *session, GError **error);
/* Fences and clears away sessions whose holders are gone: those that came through another process than this one (a
 * repository has one service at a time), and of the others those that are dead. These are watched for up to
 * `patience_seconds`, or until each was seen to beat; sessions that came through this process are not looked at.
 * repo->cancel ends the watching. */
gboolean hf_keeper_clear_sessions(HfRepo *repo, guint patience_seconds, GError **error);
