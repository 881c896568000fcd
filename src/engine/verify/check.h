/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Private to engine/verify. */
#pragma once

#include "base/work.h"
#include "engine/verify/verify.h"
#include "repo/live.h"

typedef struct HfVerifyState {
  HfRepo *repo;
  const HfVerifyOptions *options;
  HfVerifyResult *result;
  GMutex lock;       /* result, verified, moved */
  HfLive *live;      /* what the points need */
  GArray *missing;   /* of HfId: refs that lead nowhere */
  GHashTable *verified; /* HfShortId* (owned) of the packs that were looked at */
  gboolean waited;   /* for a copy that did not come */
  gboolean moved;    /* a prune has put what a pack held into another one, and removed it before it was read */
} HfVerifyState;

/* packs.c: all packs, by a pool of workers. */
gboolean hf_verify_packs(HfVerifyState *state, GError **error);
/* objects.c: triples, index runs. */
gboolean hf_verify_objects(HfVerifyState *state, GError **error);
