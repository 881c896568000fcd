/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Walking folders: compares names with the base, reads what changed, queues the folders below. */
#pragma once

#include "engine/backup/tree.h"

/* Adds the root at `path` (absolute) to the roots' page; its folder is returned in *child, to be queued (NULL: none). A
 * root that is gone, or empty though the base's was not and it was not allowed, is an error (B3). */
gboolean hf_walk_root(HfBackupWorker *worker, HfTreePage *page, const char *path, HfTreeDir **child, GError **error);
/* Is the root at `path` missing, and may be? Then it is left out. */
gboolean hf_walk_passes_over(const HfBackupState *state, const char *path);
/* Queues a folder. */
void hf_walk_push(HfTreeDir *dir);
/* Gives the tail of a page its blob, reading unchanged inline files again where the old tail cannot be taken over. */
gboolean hf_walk_store_tail(HfBackupWorker *worker, HfTreeDir *dir, HfTreePage *page, GError **error);
