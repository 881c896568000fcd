/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Files and disks that are being read: what is stored of them goes into checkpoints, as a root of its own that is
 * flagged incomplete (format.md 10.3), so that the next backup, which reads them again, need not store it again even
 * when something was pruned in between.
 */
#pragma once

#include "engine/backup/state.h"
#include "format/tree.h"

typedef struct HfReading HfReading;
struct HfReading {
  char *path; /* absolute */
  /* Stores what describes the content so far, and fills in all of `entry` but name and flags; *any FALSE: there is
   * nothing yet. Called by its reader, or inside a closed gate. */
  gboolean (*part)(HfReading *reading, HfBackupWorker *worker, HfEntry *entry, gboolean *any, GError **error);
};

/* Both inside the gate. `path` is taken over; `reading` is the caller's, until it has ended. */
void hf_reading_begin(HfBackupState *state, HfReading *reading, char *path);
/* When the backup was cancelled, what there is of it is kept for the last checkpoint. */
void hf_reading_end(HfBackupWorker *worker, HfReading *reading);

/* All of them: adds to `entries` (of HfEntry); names are borrowed. Inside a closed gate, or when the pool has ended. */
gboolean hf_reading_parts(HfBackupWorker *worker, GArray *entries, GError **error);
/* For GPtrArray state->left. */
void hf_reading_left_free(gpointer left);
