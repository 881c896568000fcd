/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Walks what was selected: makes folders, and plans what every file needs. */
#pragma once

#include "engine/restore/select.h"
#include "engine/restore/window.h"

/* Restores one selection into state->target. Folders on the way to it are taken from `parents` (path below the target
 * -> HfRestoreFolder*, held) or made. FALSE with an error ends the restore. */
gboolean hf_plan(HfRestoreWorker *walker, const HfSelection *selection, GHashTable *parents, GError **error);

/* Plans the content of a file that was made, or of a disk: its needs go into the window. */
gboolean hf_plan_extents(HfRestoreWorker *walker, HfRestoreFile *file, GError **error);
