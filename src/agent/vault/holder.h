/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What locked points need is to be immutable below the store, too, for as long as their locks last. The service cannot
 * do that itself: it asks the keeper (agent/hold.h), on a thread of each depot. A pass asks for
 *   - the copies of each locked point, and config, key slots, ring and writers: for as long as the longest lock
 *   - all packs that the walk of a locked point reaches, with parity or mirror: for as long as the longest lock of
 *     those that need them
 * and leaves out what is condemned (prune copies what lives there, and then it goes), index runs (a cache), and all
 * that comes and goes: sessions, marks, tombstones, the clock.
 *
 * There is a pass when the depot is opened, after each commit of a locked point and each prune, and every six hours;
 * but a tenth of the time at most is spent on passes, so that a big repository is walked less often, and once an hour
 * at least while there is a reason.
 *
 * Threads: any.
 */
#pragma once

#include "repo/repo.h"

/* What a holder needs of who has the repository open. The functions are called from any thread, with `owner`. */
typedef struct HfHeld {
  gpointer owner;
  HfRepo *repo;                       /* borrowed */
  guint64 (*seconds)(gpointer owner); /* that it has been kept */
  char *(*path)(gpointer owner);      /* that led there last; the caller's to free */
  HfRepo *(*reopen)(gpointer owner, HfCancel *cancel, GError **error); /* once more; the caller's to free */
} HfHeld;

typedef struct HfHolder HfHolder;

/* Begins with a pass. NULL where there is no keeper to ask. `held` is copied. */
HfHolder *hf_holder_new(const HfHeld *held);
/* Something is locked now, or was rewritten. */
void hf_holder_wake(HfHolder *holder);
/* Ends a pass that goes on. */
void hf_holder_free(HfHolder *holder);

/* One pass, with a keeper to ask. HF_ERROR_UNSUPPORTED: files there cannot be made immutable. */
gboolean hf_holder_pass(const HfHeld *held, HfCancel *cancel, GError **error);
