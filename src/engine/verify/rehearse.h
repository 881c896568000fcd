/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * verify --restore: rehearses the restore of points into a scratch folder and compares what came out with what the
 * point holds, by an own reading of the tree: names, types, sizes, targets, modes and times, and every byte.
 */
#pragma once

#include "repo/points.h"

typedef struct HfRehearseResult {
  guint64 points, files, bytes; /* compared */
  guint64 different;            /* named by warnings */
} HfRehearseResult;

/* Makes a folder below `scratch` (NULL: $TMPDIR or /tmp) for each point (HfPointInfo*), and removes it again. It needs
 * as much room as the largest point. TRUE also when something came out different: the result tells. */
gboolean hf_rehearse(HfRepo *repo, const GPtrArray *points, const char *scratch, HfRehearseResult *result,
                     GError **error);
