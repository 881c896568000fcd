/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Private to index.c, indexload.c and indexmerge.c: what an open index is made of.
 *
 * Lock order: `load` (only who reloads, flushes or merges) before `lock` (everything below it) before `cache_lock`.
 */
#pragma once

#include "repo/index.h"
#include "repo/indexrun.h"
#include "repo/indextable.h"

#define HF_INDEX_CACHE_PAGES 1024u

typedef struct HfIndexRun {
  HfRun *run;
  guint32 *packs; /* number in index->packs for each pack of the run's table; HF_TABLE_NO_PACK: not in the store */
} HfIndexRun;

typedef struct HfCachedPage {
  guint8 *bytes; /* NULL: empty slot */
  guint count;
  HfShortId run;
  guint64 page;
} HfCachedPage;

struct HfIndex {
  HfStore *store;    /* borrowed */
  HfReport *report;  /* borrowed, may be NULL */
  GMutex load;
  gint64 anew_after; /* no load for a missing blob before; microseconds of the monotonic clock; guarded by `load` */
  GRWLock lock;
  guint generation;  /* counts reloads of the runs */
  GArray *added;     /* of guint32: packs that were finished since a load began; NULL while there is none */
  GArray *packs;     /* of HfPackState; never shrinks while the index is open */
  GHashTable *pack_numbers; /* HfShortId* (owned) to number + 1 */
  GPtrArray *runs;   /* of HfIndexRun*, newest last */
  GHashTable
    *distrusted; /* set of char*: names of runs of which a page is damaged; their packs' directories count instead */
  HfIndexTable table;
  GHashTable *thin;    /* set of HfPlace*, owned */
  GHashTable *damaged; /* set of HfPlace*, owned; whole packs are marked in `packs` instead */
  char *unread;        /* atomic, owned: I8, and why; NULL: all was read */
  gint any_absent;     /* atomic: something is condemned, damaged or thin */
  GMutex cache_lock;
  HfCachedPage cache[HF_INDEX_CACHE_PAGES];
};

/* The number of a pack, added when it is new. `lock` is held for writing. */
guint32 hf_index_pack_number(HfIndex *index, const HfShortId *pack, HfPackKind kind);
/* Inserts the blobs of a pack into the table. `lock` is held for writing. */
void hf_index_table_pack(HfIndex *index, const HfPackInfo *info, gboolean own);

/* indexload.c: all of these are called with `load` held and `lock` not held. */
gboolean hf_index_load(HfIndex *index, GError **error);
void hf_index_run_free(HfIndexRun *run);
/* Opens a run and maps its packs. */
HfIndexRun *hf_index_run_open(HfIndex *index, const char *name, GError **error);

/* A page of the run is damaged: hf_index_load passes over it from now on. `load` is held. */
void hf_index_distrust(HfIndex *index, const char *run, const char *message);

/* indexmerge.c: `load` is held. */
/* Writes the table as a run. *gone is set when another process has removed that run by now (it has merged it, or
 * rebuilds the index): what stood in it is found when the index is loaded anew. */
gboolean hf_index_write_table(HfIndex *index, gboolean *gone, GError **error);
/* The same with that loading, and then with merging. */
gboolean hf_index_settle(HfIndex *index, gboolean merge, GError **error);
