/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Holding a source still while it is read: read-only snapshots of the btrfs subvolumes that the paths lie in. (ext4 and
 * XFS have none of their own: "auto" reads them as they are, and the log says so.)
 *
 * What is made is written down in the worker's state folder before it is made, and removed by the next worker when this
 * one was killed.
 */
#pragma once

#include "agent/worker.h"
#include "net/messages/work.h"

typedef struct HfStill HfStill;

/* HF_ERROR_UNSUPPORTED when task->freeze wants a snapshot and a path has none. */
HfStill *hf_still_begin(HfWorker *worker, const HfWorkBackup *task, GError **error);
/* Removes the snapshots. NULL is allowed. */
void hf_still_free(HfStill *still);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfStill, hf_still_free)

/* Path of the task to where it is to be read (char*): for HfBackupOptions.places. Borrowed. */
GHashTable *hf_still_places(HfStill *still);
