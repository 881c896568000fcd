/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Private to engine/repair. */
#pragma once

#include "engine/repair/repair.h"

typedef struct HfRepairRun {
  HfRepo *repo, *from; /* from: NULL when there is no sibling */
  HfRepairResult *result;
  GHashTable *lost;    /* HfId*, owned, to trust domain: not mended so far */
  GHashTable *struck;  /* set of HfShortId*, borrowed: packs in which damage was found now */
  GArray *aside;       /* of HfPlace: damaged packs of which everything that could be was copied */
} HfRepairRun;

/* objects.c: copies of small objects; the index. */
gboolean hf_repair_objects(HfRepairRun *run, GError **error);
/* packs.c: copies what is whole or can be mended out of damaged packs; the rest goes to `lost`. */
gboolean hf_repair_packs(HfRepairRun *run, GError **error);
/* scan.c: what can still be opened of a pack without a directory, as a whole pack in memory. Needs all keys. */
GBytes *hf_repair_scan(HfRepairRun *run, HfPackKind kind, const HfShortId *pack, GError **error);
/* fetch.c: finds what points need and is nowhere (adds it to `lost`), and fetches lost blobs from the sibling. */
gboolean hf_repair_fetch(HfRepairRun *run, GError **error);
gboolean hf_repair_is_aside(const HfRepairRun *run, const HfShortId *pack);
/* redundancy.c: parity and mirrors. */
gboolean hf_repair_redundancy(HfRepairRun *run, GError **error);
