/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Backing up a disk: blocks of the repository's block size, read by all workers side by side, zeros left out, a tree of
 * map pages above them (format.md 7.5). Unchanged map pages keep their ids.
 */
#pragma once

#include "engine/backup/tree.h"

/* Reads the disk at `path` and adds its entry (mode 0) to the roots' page. A disk in use needs options->live, and sets
 * HF_POINT_LIVE in *flags. Extents that the source's tracking calls unchanged are taken from the base without reading;
 * root->cookie is set for the next time. Called inside the gate; ends when the whole disk is stored. */
gboolean hf_backup_disk(HfBackupWorker *worker, HfTreePage *page, const char *path, HfPointRoot *root, guint32 *flags,
                        GError **error);
