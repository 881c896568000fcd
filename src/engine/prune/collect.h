/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Private to engine/prune: marks, sweeps, rewriting. */
#pragma once

#include "engine/prune/prune.h"
#include "format/point.h"
#include "repo/live.h"
#include "repo/session.h"

typedef struct HfCollect {
  HfRepo *repo;
  HfSession *session; /* NULL in a dry run */
  const HfPruneOptions *options;
  HfPruneResult *result;
} HfCollect;

typedef gboolean (*HfSessionFits)(const HfSessionInfo *info);

/* ---- mark.c ---- */
/* The number for a new mark, taken before anything is loaded; voids marks without a seal. */
gboolean hf_mark_number(HfCollect *collect, guint64 *generation, GError **error);
/* Writes mark and seal. *generation may be counted on when sessions open meanwhile. *sealed FALSE: another collector
 * was faster: nothing may be swept. `points` are those that were walked. */
gboolean hf_mark_write(HfCollect *collect, guint64 *generation, const GArray *points, const GPtrArray *packs,
                       gboolean *sealed, GError **error);
/* All sealed marks: GArray of guint64, rising. Marks that do not count or cannot be read are taken away (G6): no other
 * collector may be at work. */
GArray *hf_mark_sealed(HfCollect *collect, GError **error);
gboolean hf_mark_read(HfCollect *collect, guint64 generation, HfMark *mark, GError **error);

/* ---- sweep.c ---- */
/* Sweeps one mark when its sessions have ended; else counts it as waiting. */
gboolean hf_sweep(HfCollect *collect, guint64 generation, GError **error);

/* ---- rewrite.c ---- */
/* Copies the live frames of `packs` (HfLivePack*) into new packs, durable and indexed. A pack that cannot be read whole
 * is left out of `done` (and noted as damaged); the others are added to it. */
gboolean hf_rewrite(HfCollect *collect, const GPtrArray *packs, GPtrArray *done, GError **error);

/* ---- walk.c ---- */
/* Walks all points (or only those not in `but`) and all checkpoints, over packs read anew. `points` (may be NULL) gets
 * the ids of points. A point may be committed or forgotten while index and points are read one after the
 * other: what seems missing counts only when it is missing again. */
HfLive *hf_collect_live(HfCollect *collect, const GArray *but, GArray *points, GError **error);
/* Can it not be removed yet? (hf_store_held) */
gboolean hf_collect_held(HfCollect *collect, const HfShortId *pack);
gboolean hf_short_ids_have(const GArray *ids, const HfShortId *id);
/* Ids of the sessions that are open and have no outcome, but for our own; with `fits` of those only for which it is
 * TRUE. None is settled. */
GArray *hf_collect_open(HfCollect *collect, HfSessionFits fits, GError **error);
