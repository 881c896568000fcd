/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Private to engine/backup: what one running backup is made of. */
#pragma once

#include "base/work.h"
#include "chunk/cut.h"
#include "engine/backup/backup.h"
#include "engine/backup/base.h"
#include "engine/backup/gate.h"
#include "repo/writer.h"

typedef struct HfTreeDir HfTreeDir;

typedef struct HfBackupCounts {
  guint64 files, directories, bytes, unchanged;
} HfBackupCounts;

typedef struct HfBackupState {
  HfRepo *repo;
  const HfBackupOptions *options;
  HfReport *report; /* never NULL */
  HfSession *session;
  HfBlobStore *store;
  HfBlobCache *cache;
  HfBase *base;
  HfPool *pool;
  const GPtrArray *allow_empty; /* of char*, absolute: roots that may be empty or missing */
  HfGate gate;
  HfCutter cutter;
  guint threads;
  GMutex lock;          /* counts, links, workers, readings, left */
  HfBackupCounts counts;
  GPtrArray
    *workers; /* of HfBackupWorker*, owned: they outlive the pool, so that a checkpoint can store their groups */
  GPtrArray *readings;  /* of HfReading*, borrowed: see reading.h */
  GPtrArray *left;      /* of those that have ended, for the last checkpoint */
  GHashTable *links;    /* hard links that were read: see content.c */
  guint64 store_device, store_inode; /* the repository's own folder is never backed up; 0: not a folder */
  HfTreeDir *roots;     /* the tree being built */
  HfId roots_id;        /* valid once the tree is complete */
  gboolean complete;
} HfBackupState;

typedef struct HfBackupWorker {
  HfBackupState *state;
  HfBlobWriter *writer;
  HfBlobReader *reader;  /* of the base */
  HfBuffer window;       /* for large files */
  GByteArray *scratch;   /* symlink targets */
  GByteArray *extras;
  HfBackupCounts counts; /* not yet added to the state's */
  guint64 reported;      /* of counts.bytes: already reported as progress */
} HfBackupWorker;

/* Adds the worker's counts to the state's and reports progress. */
void hf_backup_count(HfBackupWorker *worker);

/* A job of the pool. */
typedef struct HfBackupJob HfBackupJob;
struct HfBackupJob {
  gboolean (*run)(HfBackupJob *job, HfBackupWorker *worker, GError **error);
  void (*drop)(HfBackupJob *job);
};
