/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is to be restored, and where below the target. */
#pragma once

#include "engine/browse/browse.h"
#include "engine/restore/restore.h"

typedef struct HfSelection {
  HfTreeNode *node;
  char *path;   /* in the point, absolute */
  char *target; /* below the target: a last name, or a path without the first slash; "" is the target itself */
} HfSelection;

/* Elements HfSelection*, freed with the array, in the order of the tree; none lies below another when whole paths are
 * used. HF_ERROR_NOT_FOUND for a path that is not in the point. */
GPtrArray *hf_select(HfBrowser *browser, const HfTree *tree, const HfRestoreOptions *options, GError **error);
