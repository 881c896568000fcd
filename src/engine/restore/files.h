/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Folders and files on their way to the target. Each is held by whoever still has to do something for it; the last one
 * who lets go finishes it: metadata, names, counts.
 */
#pragma once

#include "engine/restore/state.h"

struct HfRestoreFolder {
  HfSpot spot;      /* first */
  gint holds;         /* atomic: the walker, and all that is in it and not finished */
  HfTreeNode *node;   /* NULL: it keeps the metadata that it has */
  char *shown, *name; /* the spot's; shown may be NULL */
};

/* A range of a file that cannot be read. */
typedef struct HfLostRange {
  guint64 offset, length;
} HfLostRange;

/* A regular file, a disk, or anything else that is no folder. */
struct HfRestoreFile {
  HfSpot spot;        /* first */
  HfRestoreFolder *folder;
  gint holds;           /* atomic: the planner, and each need */
  HfTreeNode *node;
  char *shown, *name;   /* the spot's; shown may be NULL */
  char *beside;         /* the spot's name instead until it is whole, then it takes the place of another; or NULL */
  gboolean made;        /* stands under its name, or beside; set by who makes it, before others know the file */
  gboolean locked;      /* a link that is to have the immutable or append flag at the end */
  gboolean counted;     /* its bytes are reported as they are written */
  gint dropped;         /* atomic: it will never be whole, since the restore ends early */
  HfDiskTarget *disk;   /* borrowed; it goes there instead */
  GArray *lost;         /* of HfLostRange; NULL: none. This and below: under the state's lock */
  char *reason;         /* why, for the first of them */
  char *failure;        /* the target did not take it */
  HfLink *link;         /* it has several names, and the spot is in the folder of links; NULL: no */
};

/* All of these take copies of node and strings. Both new functions hold `parent`; what they return is held once.
 * `shown` is the path in the point for what is restored under another path, else NULL. */
HfRestoreFolder *hf_folder_new(HfRestoreFolder *parent, const char *name, const HfTreeNode *node, const char *shown);
/* Makes or enters the folder. FALSE: the target does not take it; it was warned about, or worker->fatal is set. */
gboolean hf_folder_make(HfRestoreWorker *worker, HfRestoreFolder *folder, HfOverwrite overwrite);
void hf_folder_hold(HfRestoreFolder *folder);
void hf_folder_release(HfRestoreWorker *worker, HfRestoreFolder *folder);

HfRestoreFile *hf_file_new(HfRestoreFolder *folder, const char *name, const HfTreeNode *node, const char *shown);
/* Makes it under its name; a failure is noted in the file. */
void hf_file_make(HfRestoreWorker *worker, HfRestoreFile *file);
/* Writes into a file that was made, or to its disk. */
void hf_file_write(HfRestoreWorker *worker, HfRestoreFile *file, guint64 offset, const void *bytes, gsize length);
/* Notes that the target does not take it; takes `problem`. */
void hf_file_fail(HfRestoreWorker *worker, HfRestoreFile *file, GError *problem);
/* Notes that a range cannot be read. */
void hf_file_lose(HfRestoreWorker *worker, HfRestoreFile *file, guint64 offset, guint64 length, const char *reason);
void hf_file_drop(HfRestoreFile *file);
void hf_file_hold(HfRestoreFile *file);
void hf_file_release(HfRestoreWorker *worker, HfRestoreFile *file);

/* Gives a spot its metadata, opened as `fd`, or -1. With `lock` FALSE all but the immutable and append flags: *locked
 * (may be NULL) tells whether it should have one of them. Trouble is warned about. */
void hf_restore_apply(HfRestoreWorker *worker, HfSpot *spot, int fd, const HfTreeNode *node, gboolean lock,
                      gboolean *locked);
/* The path in the point; valid until the worker's next call. */
const char *hf_restore_path(HfRestoreWorker *worker, const HfSpot *spot);
/* Takes `problem`: without space (or cancelled) the restore ends. TRUE when it goes on. */
gboolean hf_restore_goes_on(HfRestoreWorker *worker, const char *path, GError *problem);
/* NAME.damaged, no longer than a name may be; caller frees. */
char *hf_damaged_name(const char *name);
