/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Windows of needs. The walker fills one; when it is full, it waits until little is left of those before, sorts it so
 * that each frame is read once and packs are read forward, and hands it to the pool.
 */
#pragma once

#include "engine/restore/files.h"

/* Bytes of a blob that a file needs; or, without blob, a file to be made that has no bytes. */
typedef struct HfNeed {
  HfRestoreFile *file; /* held */
  gboolean has_blob;
  gboolean block;      /* a block of a disk, else data */
  gboolean whole;      /* the blob must end where this does */
  HfLocation place;
  HfId id;
  guint32 start, length; /* of the blob */
  guint64 offset;        /* in the file */
  guint32 number;        /* the order in which they came */
} HfNeed;

HfWindow *hf_window_new(void);
/* Drops what was not handed over. */
void hf_window_free(HfRestoreWorker *walker, HfWindow *window);
/* Takes a need over, with its hold on the file. FALSE when the restore is stopping. */
gboolean hf_window_add(HfRestoreWorker *walker, const HfNeed *need, GError **error);
/* Counts something that waits for what is in the window, as if it were a need. */
gboolean hf_window_weigh(HfRestoreWorker *walker, GError **error);
/* Hands over what is there and waits until all is done. */
gboolean hf_window_finish(HfRestoreWorker *walker, GError **error);

/* The pool for windows; state->window and all that workers need are set. */
HfPool *hf_window_pool(HfRestoreState *state, guint threads);

/* write.c: meets needs that share one frame, or have no blob, and lets go of their files. */
gboolean hf_needs_meet(HfRestoreWorker *worker, const HfNeed *needs, guint count, GError **error);
/* Lets go of their files without meeting them. */
void hf_needs_drop(HfRestoreWorker *worker, const HfNeed *needs, guint count);
