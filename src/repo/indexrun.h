/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One index run (format.md 8): opened, looked up, read in order, written in order. A run is read-only and thread-safe;
 * scans and writers belong to one thread.
 */
#pragma once

#include "format/index.h"
#include "storage/store.h"

typedef struct HfRun {
  HfStore *store; /* borrowed */
  char *name;     /* object name */
  HfIndexFoot foot;
  guint64 *fences; /* first 8 bytes of the first key of each page */
  guint8 *filter;
  GArray *packs;   /* of HfIndexPack */
  gint references;
} HfRun;

/* Reads foot and tables and checks them. HF_ERROR_DAMAGED or INVALID when they are not right, HF_ERROR_NOT_FOUND when
 * another process has merged the run away. */
HfRun *hf_run_open(HfStore *store, const char *name, GError **error);
HfRun *hf_run_ref(HfRun *run);
void hf_run_unref(HfRun *run);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfRun, hf_run_unref)
/* Bytes of memory held. */
guint64 hf_run_memory(const HfRun *run);

/* ---- Look-up: the pages that can hold `id`: 1 nearly always, 0 when the filter says no. ---- */
gboolean hf_run_may_have(const HfRun *run, const guint8 *id);
/* First page to read; the caller goes on to the next page while the last entry of a page still equals the key. */
guint64 hf_run_first_page(const HfRun *run, const guint8 *id);
gboolean hf_run_read_page(const HfRun *run, guint64 page, guint8 out[HF_INDEX_PAGE_BYTES], guint *count,
                          GError **error);

/* ---- Reading in order. ---- */
typedef struct HfRunScan {
  HfRun *run; /* borrowed */
  guint64 next_page;
  guint8 *pages; /* several pages are read at once */
  guint pages_read, page, count, entry;
} HfRunScan;
void hf_run_scan_init(HfRunScan *scan, HfRun *run);
void hf_run_scan_clear(HfRunScan *scan);
/* FALSE at the end (error unset) or on damage (error set). */
gboolean hf_run_scan_next(HfRunScan *scan, HfIndexEntry *entry, GError **error);

/* ---- Writing in order. ---- */
typedef struct HfRunWriter HfRunWriter;
/* `most` bounds the number of entries to come (for the filter). */
HfRunWriter *hf_run_writer_new(HfStore *store, guint64 most, GError **error);
void hf_run_writer_free(HfRunWriter *writer); /* aborts unless finished */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfRunWriter, hf_run_writer_free)
/* Keys must not fall. `entry->pack` is a number in the table that hf_run_writer_finish gets. */
gboolean hf_run_writer_add(HfRunWriter *writer, const HfIndexEntry *entry, GError **error);
/* Returns the durable run's object name; caller frees. */
char *hf_run_writer_finish(HfRunWriter *writer, const HfIndexPack *packs, guint32 pack_count,
                           const HfShortId *superseded, guint superseded_count, GError **error);
