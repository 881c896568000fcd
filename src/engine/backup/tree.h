/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The tree being built: folders, and their pages (format.md 7.4).
 *
 * A page waits for `pending` things: its walker (until it closes the page) and each folder in it. A folder waits for
 * its walker and its pages. Who brings a count to zero stores the page or ends the folder, and goes on upward. Pages
 * are changed only by their walker until they are closed; folders below are queued after that.
 */
#pragma once

#include "engine/backup/state.h"

typedef struct HfTreePage HfTreePage;

/* Where the bytes of an inline file come from. */
typedef struct HfTailSource {
  guint entry;          /* number in the page */
  gboolean reuse;       /* unchanged: bytes stand in the old tail; else at [offset, offset + size) of page->tail */
  HfId old_tail;
  guint old_count;      /* inline entries of the old page */
  guint offset;
} HfTailSource;

struct HfTreePage {
  HfTreeDir *dir;
  gint pending;
  gboolean closed, stored;
  GArray *entries;      /* of HfEntry; views point into `texts` */
  GPtrArray
    *children; /* of HfTreeDir*, in the order of entries; NULL: none, or done. NULL array: no folder in the page */
  GStringChunk *texts;
  gsize weight;         /* names, targets, extras, and 32 for each entry */
  GArray *tails;        /* of HfTailSource */
  GByteArray *tail;     /* bytes of inline files that were read */
  gboolean has_tail;
  HfId tail_id;
  HfNodeItem item;      /* once stored; last_name is owned */
};

struct HfTreeDir {
  HfBackupJob job;          /* first: a folder is its own job */
  HfBackupState *state;
  HfTreePage *parent;       /* NULL: the roots themselves */
  guint parent_entry;
  HfSourceDir *parent_source, *source;
  char *name, *path;        /* name below parent_source; whole path for messages */
  HfBaseRefs base;
  guint64 mount;            /* of the root: for --one-file-system */
  GPtrArray *pages;         /* of HfTreePage*, owned */
  gint pending;
};

/* The folder that holds the roots. */
HfTreeDir *hf_tree_new(HfBackupState *state);
/* Frees a folder and all below that is not done. */
void hf_tree_dir_free(HfTreeDir *dir);

/* A folder found in `page` at its last entry; to be queued once the page is closed. */
HfTreeDir *hf_tree_child(HfTreePage *page, HfSourceDir *source, const char *name, const char *path);

/* The open page of a folder being walked; a new one when the last was closed. */
HfTreePage *hf_tree_page(HfTreeDir *dir);
/* Takes the open page away when it got no entry after all: its files could not be read. Before hf_tree_walked. */
void hf_tree_drop_empty(HfTreeDir *dir);
/* Adds an entry: name, target and extras are copied. *full: the page must be closed now. */
HfEntry *hf_tree_add(HfTreePage *page, const HfEntry *entry, gboolean *full);
/* Closes the page (its tail, if any, was stored by the caller: page->tail_id) and stores what is now complete. */
gboolean hf_tree_close(HfBackupWorker *worker, HfTreePage *page, GError **error);
/* The walker is done with the folder. */
gboolean hf_tree_walked(HfBackupWorker *worker, HfTreeDir *dir, GError **error);

/* Stores what is there of an unfinished tree, with entries flagged incomplete, and `parts` (of HfEntry) as more roots;
 * *any FALSE: nothing is there. Only inside a closed gate. */
gboolean hf_tree_partial(HfBackupWorker *worker, HfTreeDir *roots, const GArray *parts, HfId *id, gboolean *any,
                         GError **error);
