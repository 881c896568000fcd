/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The verb restore: from a restore point to files, or to a disk.
 *
 * One thread walks the tree, makes folders, and gathers what files need of which blob. Full windows of needs are sorted
 * by pack and offset; workers read each frame once and write what it holds into every file that needs it. A file gets
 * its metadata when its last byte is written, a folder when all that is in it is done.
 *
 * Invariants
 *  D1 Under its own name a file is whole: what damage took bytes of stands as NAME.damaged, the lost bytes as holes,
 *     and is warned about with the ranges that are lost. It replaces nothing. What is replaced stays until all of what
 *     replaces it is there, made as .holdfast-NUMBER in the same folder, and is on the disk: neither a kill nor a power
 *     cut takes anything away.
 *  D2 A folder gets its metadata (its times) after everything below it has got its own, and is not touched any more.
 *  D3 Nothing outside the target is written, whatever the point or the target hold (target/tree.h).
 *  D4 Memory is bounded: by two windows of needs, the frames that workers hold, and one descriptor and name for each
 *     level of depth. Hard links cost no memory: their first names are kept in a folder of the target meanwhile
 *     (links.h).
 *  D5 After a failure or a cancel no file stands half written under its name.
 */
#pragma once

#include "repo/points.h"

typedef struct HfRestoreOptions {
  const char *target;     /* the folder to restore into; made when missing */
  const GPtrArray *paths; /* of char*: what to restore; NULL or empty: all roots */
  gboolean overwrite;     /* else a target that is not empty is HF_ERROR_REFUSED */
  gboolean keep;          /* instead: what is selected and there already is restored beside it, as RESTORED-NAME, or
                             RESTORED-2-NAME...; only folders on the way are shared */
  gboolean full_path;     /* recreate whole paths, not last names */
} HfRestoreOptions;

#define HF_RESTORE_MISSING_MAX 10000u

typedef struct HfRestoreResult {
  guint64 files, directories, bytes; /* restored whole */
  guint64 warnings;
  guint64 damaged;                   /* files and folders that the repository could not give back whole */
  guint64 failed;                    /* files and folders that the target did not take */
  GPtrArray *missing;                /* of char*: paths of both, HF_RESTORE_MISSING_MAX at most */
  GPtrArray *beside;                 /* of char*: paths below the target of what was restored beside something else */
} HfRestoreResult;
void hf_restore_result_clear(HfRestoreResult *result);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HfRestoreResult, hf_restore_result_clear)

/* Restores files and folders; disks become raw, sparse files. Roots get their last names below the target; when two of
 * them are equal, or one root is "/", all get their whole paths. TRUE when everything was gone through: the result
 * tells of damage. Errors: HF_ERROR_REFUSED, HF_ERROR_NOT_FOUND (a path that is not in the point: nothing is restored),
 * HF_ERROR_NO_SPACE, HF_ERROR_CANCELLED (what was restored stays)... `result` is filled in either case; clear it. */
gboolean hf_restore(HfRepo *repo, const HfPointInfo *point, const HfRestoreOptions *options, HfRestoreResult *result,
                    GError **error);

typedef struct HfRestoreDiskOptions {
  const char *target; /* a file or block device */
  const char *path;   /* of the disk in the point; NULL: the only one */
  gboolean overwrite;
} HfRestoreDiskOptions;

/* Writes a disk, holes and zeros included. Lost bytes become zeros, are warned about and count as damaged in `result`;
 * a new file is called NAME.damaged then. */
gboolean hf_restore_disk(HfRepo *repo, const HfPointInfo *point, const HfRestoreDiskOptions *options,
                         HfRestoreResult *result, GError **error);
