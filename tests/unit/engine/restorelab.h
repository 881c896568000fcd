/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the tests of restore share. */
#pragma once

#include "engine/restore/restore.h"
#include "treelab.h"

/* Restores into "out" of the scratch folder. `paths` are separated by spaces; NULL: all. Letters of `how`: o overwrite,
 * f full path. */
gboolean lab_restore(TreeLab *lab, const HfPointInfo *info, const char *paths, const char *how, HfRestoreResult *result,
                     GError **error);
/* The same; asserts that it worked without warnings, and removes nothing. */
void lab_restore_well(TreeLab *lab, const HfPointInfo *info, const char *paths, const char *how);
/* Restores, asserts that it went through, and that these counts came out. */
void lab_restore_badly(TreeLab *lab, const HfPointInfo *info, guint64 damaged, guint64 failed, guint64 files);
/* All that is below "out", sorted, as "a a/b a/b/c". */
void lab_assert_out(TreeLab *lab, const char *wanted);
void lab_clear_out(TreeLab *lab);
