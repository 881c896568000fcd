/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The verb repair: mends what can be mended, and records what cannot.
 *
 *   small objects    from their other copies, or from a sibling repository
 *   index            made anew from the packs
 *   data packs       from parity; metadata packs from their mirror; both from a sibling
 *   parity, mirrors  made anew
 *   the rest         recorded as lost, and named: the next backup that reads the same data stores it again
 *
 * Invariants
 *  A1 Nothing is overwritten: what was mended goes into new packs; the damaged original stays, aside, until prune finds
 *     that nothing needs it.
 *  A2 Interrupted at any point, it can be run again.
 */
#pragma once

#include "engine/verify/verify.h"
#include "repo/repo.h"

typedef struct HfRepairResult {
  guint64 mended_frames, mended_bytes; /* copied out of damaged packs, mended ones included */
  guint64 fetched_frames;              /* from the sibling */
  guint64 made_parity;                 /* parity objects and mirrors made anew */
  gboolean made_index;
  guint64 lost_blobs;
  HfVerifyResult found;                /* what verification found before */
} HfRepairResult;
void hf_repair_result_clear(HfRepairResult *result);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HfRepairResult, hf_repair_result_clear)

/* `from` is a sibling (same family), or NULL. TRUE also when something is lost: the result tells. */
gboolean hf_repair(HfRepo *repo, HfRepo *from, HfRepairResult *result, GError **error);
