/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Holding a source still while it is read.
 *
 * Files: read-only snapshots of the btrfs subvolumes that the paths lie in. What is made is written down in the
 * worker's state folder before it is made, and removed by the next worker when this one was killed.
 *
 * Where there are no snapshots (ext4, XFS), and for disks that are in use, the file systems are frozen while they are
 * read, if the task allows that, for at most as long as it allows (agent/tasks/freeze.h). When that is not enough they
 * are thawed, reading goes on, and a warning says so. What cannot or must not be frozen is named by a warning.
 */
#pragma once

#include "agent/worker.h"
#include "engine/backup/backup.h"
#include "net/messages/work.h"

typedef struct HfStill HfStill;

/* `task` is borrowed. HF_ERROR_UNSUPPORTED when task->freeze wants a snapshot and a path has none. */
HfStill *hf_still_begin(HfWorker *worker, const HfWorkBackup *task, GError **error);
/* Removes the snapshots; thaws. NULL is allowed. */
void hf_still_free(HfStill *still);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfStill, hf_still_free)

/* For HfBackupOptions.hold: freezes and thaws. Borrowed. */
const HfBackupHold *hf_still_hold(HfStill *still);
/* Path of the task to where it is to be read (char*): for HfBackupOptions.places. Borrowed. */
GHashTable *hf_still_places(HfStill *still);
