/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The verb copy: points into another repository. Between siblings (init --like: equal family) frames go over as they
 * are and no key is needed; points keep their ids, sequence and time. Between strangers both keys are needed (or a pass
 * for one domain there and a writer's credential here): blobs are read, named anew from the leaves up, and stored; the
 * copies are new points, and keep sequence and time, too: for retention and `latest` they are what they were. (A
 * service stamps them anew, in the order of the originals.)
 *
 * Invariants
 *  C1 A point is committed in the target only after everything it needs is durable there.
 *  C2 Reading holds a lease in the source: nothing it reads is swept meanwhile.
 */
#pragma once

#include "repo/points.h"
#include "repo/repo.h"

typedef struct HfCopyResult {
  guint points, points_there;      /* copied; there already */
  guint64 frames, bytes;           /* siblings: stored frames and their bytes */
  guint64 blobs, new_bytes;        /* strangers: blobs and plain bytes stored anew */
} HfCopyResult;

/* `points` are HfPointInfo* of `from`, oldest first. */
gboolean hf_copy(HfRepo *from, HfRepo *to, const GPtrArray *points, HfCopyResult *result, GError **error);
