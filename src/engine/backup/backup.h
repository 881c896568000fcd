/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The verb backup: from sources to a restore point.
 *
 * Every worker takes a folder, reads its names, compares them with the base (the last checkpoint and the last point of
 * the same source), reads what changed into its own open frame, and queues the folders below. A page of a folder is
 * stored as soon as the last thing it waits for is stored; the last page of the last folder ends the tree.
 *
 * Invariants
 *  B1 An entry is taken over from the base without reading only when type, size, mtime, ctime and inode are equal, its
 *     ctime was safely older than its last reading (not racy), and nothing below is absent (index I2).
 *  B2 What could not be read whole is warned about by name; the point then says so (exit code 3).
 *  B3 A root that is gone, or empty while its last point was not, fails the job: the point is not made.
 *  B4 A checkpoint is taken only while no worker is inside the gate, after all open frames were stored.
 */
#pragma once

#include "repo/repo.h"
#include "source/tree.h"

/* Who holds sources still while they are read, for as short as can be. All are called on the thread of hf_backup. */
typedef struct HfBackupHold {
  /* All is prepared, reading begins now. */
  gboolean (*begin)(gpointer user, GError **error);
  /* All was read, or reading failed: called once when `begin` was well. */
  void (*end)(gpointer user);
  /* The disk was read: did nothing write to it since `begin`? Then it is not torn, though it is in use. */
  gboolean (*held)(gpointer user, const char *path);
  gpointer user;
} HfBackupHold;

typedef struct HfBackupOptions {
  const char *name;        /* NULL: the host's name */
  GPtrArray *tags;         /* of char*; may be NULL */
  GPtrArray *paths;        /* of char*: folders or files; disks when `disks` */
  GHashTable *places;      /* absolute path to char*: where that root is read instead (a snapshot of it); may be NULL */
  gboolean disks;
  gboolean live;           /* disks in use are allowed; the point is marked unless they were held still */
  const HfBackupHold *hold; /* may be NULL */
  HfExclude *exclude;      /* may be NULL */
  gboolean one_file_system;
  gboolean rescan;         /* read everything */
  GPtrArray *allow_empty;  /* of char*: roots that may be empty or missing; may be NULL */
  int codec, level;        /* codec -1: the repository's */
  guint checkpoint_seconds; /* 0: 300 */
} HfBackupOptions;

typedef struct HfBackupResult {
  HfShortId point, source;
  guint64 files, directories, bytes;      /* in the point */
  guint64 files_unchanged;
  guint64 new_bytes, stored_bytes, parity_bytes;
  guint64 warnings;
  gboolean resumed;                       /* a checkpoint was taken up */
  gboolean first;                         /* the source has no earlier point */
} HfBackupResult;

/* Makes a point. repo->index may be loaded or not (it is refreshed). Errors: HF_ERROR_NOT_FOUND or HF_ERROR_REFUSED
 * (B3), HF_ERROR_CANCELLED (a checkpoint was left), HF_ERROR_FENCED, HF_ERROR_NO_SPACE, ... */
gboolean hf_backup(HfRepo *repo, const HfBackupOptions *options, HfBackupResult *result, GError **error);
