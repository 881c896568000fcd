/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Private to engine/restore: what one running restore is made of. */
#pragma once

#include "base/work.h"
#include "engine/browse/browse.h"
#include "engine/restore/links.h"
#include "engine/restore/spots.h"
#include "engine/restore/restore.h"
#include "repo/session.h"
#include "target/disk.h"
#include "target/tree.h"

typedef struct HfWindow HfWindow;

typedef struct HfRestoreState {
  HfRepo *repo;
  HfReport *report;
  guint64 warnings; /* of the report, at the start */
  HfSession *session;
  guint32 domain;
  HfTree *tree;
  HfBlobCache *cache;
  HfOverwrite overwrite;
  gboolean keep;
  HfSpots spots;
  HfLinks links;
  HfPool *pool;
  HfRestoreFolder *target;
  HfWindow *window;  /* being filled by the walker */
  gint aborted;      /* atomic: it has failed; nothing more gets its metadata */
  GMutex lock;       /* guards everything below, and what files say of damage */
  GCond room;        /* outstanding fell */
  guint outstanding; /* needs handed to the pool and not met */
  HfRestoreResult *result;
} HfRestoreState;

/* What a thread works with: the walker and each worker of the pool have one. */
typedef struct HfRestoreWorker {
  HfRestoreState *state;
  HfBrowser *browser;
  HfBlobReader *reader; /* the browser's, for the point's domain */
  HfOpened opened;
  GArray *wanted;       /* of HfWanted */
  GString *path;
  HfBuffer piece;       /* of damaged blocks */
  guint64 files, directories, bytes; /* restored whole, not yet in the result */
  guint64 progress;                  /* bytes not yet reported */
  GError *fatal;        /* ends the restore */
} HfRestoreWorker;

HfRestoreWorker *hf_restore_worker_new(HfRestoreState *state, GError **error);
/* One that reads nothing: for letting go of files. */
HfRestoreWorker *hf_restore_worker_new_bare(HfRestoreState *state);
void hf_restore_worker_free(HfRestoreWorker *worker);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfRestoreWorker, hf_restore_worker_free)
/* Adds the worker's counts to the result and reports progress. */
void hf_restore_count(HfRestoreWorker *worker);
/* FALSE with the error once worker->fatal was set. */
gboolean hf_restore_is_alive(HfRestoreWorker *worker, GError **error);
/* Notes what could not be given back (damaged) or put down (failed). */
void hf_restore_missing(HfRestoreState *state, const char *path, gboolean damaged);
/* Is this an error of the repository that leaves other blobs readable? */
gboolean hf_restore_is_damage(const GError *error);
