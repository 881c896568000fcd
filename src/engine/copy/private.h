/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Private to engine/copy. */
#pragma once

#include "engine/copy/copy.h"
#include "repo/live.h"
#include "repo/session.h"

typedef struct HfCopyRun {
  HfRepo *from, *to;
  HfSession *session; /* in `to`: one for each point, open before anything of the point is looked up there */
  HfCopyResult *result;
} HfCopyRun;

/* Both copy one point that is not there yet, and commit it. `live` is of the source. */
gboolean hf_copy_to_sibling(HfCopyRun *run, HfLive *live, const HfPointInfo *info, GError **error);
gboolean hf_copy_to_stranger(HfCopyRun *run, const HfPointInfo *info, GError **error);
