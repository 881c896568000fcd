/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The verb prune: gives back the space of what no point needs (format.md 11). Needs no key; with all keys it also
 * seals anew what lives in frames that are dead for the most part (reseal.h). Waits for nobody who is at work: what
 * cannot be swept yet stays marked for the next prune. Only sessions of which no process can be asked for on this
 * machine are watched first, until they beat or are found dead.
 *
 * Invariants
 *  G1 A pack is removed only by the sweep of a sealed mark that names it, after every session that was open at the
 *     mark has ended and all that points committed since need of it was copied.
 *  G2 A pack that stands in a sealed mark never counts as live again.
 *  G3 The walk fails closed: below an unreadable blob nothing is decided.
 *  G4 Dead packs are removed before anything is rewritten: it works at 0 free bytes.
 *  G5 A pack that the store holds (hf_store_held) is neither condemned nor rewritten; one that is held since it was
 *     condemned stays so, and nothing of it is copied before it can be removed.
 *  G6 A mark that cannot be read, or does not count, is taken away, and what it named is looked at anew: nobody can
 *     sweep by it, since one collector is at work at a time, and one that was taken for dead removes nothing more.
 */
#pragma once

#include "repo/repo.h"

#define HF_PRUNE_PATIENCE 75u /* seconds: more than a session may be silent */

typedef struct HfPruneOptions {
  gboolean dry_run;
  guint patience_seconds; /* how long sessions of other machines may be watched; 0: only sessions of this one can be
                             found dead */
} HfPruneOptions;

typedef struct HfPruneResult {
  guint64 packs, pack_bytes;               /* before */
  guint64 swept_packs, swept_bytes;        /* removed now (dry run: would be) */
  guint64 waiting_packs, waiting_bytes;    /* marked, to be removed by a later prune */
  guint64 held_packs, held_bytes;          /* nothing needs them, and their files are immutable for a while yet */
  guint64 rewritten_packs, rewritten_bytes; /* copied: live bytes of packs of which little was live */
  guint64 thin_frames;
  guint sessions_waited_for;
  gboolean other_at_work;                  /* another prune is at work: nothing was done */
} HfPruneResult;

gboolean hf_prune(HfRepo *repo, const HfPruneOptions *options, HfPruneResult *result, GError **error);
