/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A repository with small chunks, frames and packs in a scratch folder, and points in it: made by a backup of true
 * files, or put together blob by blob, so that a test decides what a page says and what is lost.
 */
#pragma once

#include "base/error.h"
#include "engine/browse/browse.h"
#include "engine/prune/prune.h"
#include "repo/session.h"
#include "repo/writer.h"

typedef struct TreeLab {
  char *folder; /* scratch: "repo" is in it, the rest is the test's */
  HfRepo *repo;
  HfCancel cancel;
  HfReport *report;
  GMutex lock;
  GPtrArray *warnings; /* of char*: "PATH: MESSAGE" */
  guint64 cancel_at;   /* bytes of progress at which `cancel` is set; 0: never */
} TreeLab;

TreeLab *tree_lab_new(void);
void tree_lab_free(TreeLab *lab);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TreeLab, tree_lab_free)
/* "FOLDER/NAME"; caller frees. */
char *tree_lab_path(TreeLab *lab, const char *name);
/* Writes a file in the scratch folder, with the folders above it. */
void tree_lab_file(TreeLab *lab, const char *name, const void *bytes, gsize length);
void tree_lab_text(TreeLab *lab, const char *name, const char *text);
/* Asserts what a file holds; `text` NULL: that it does not exist. */
void tree_lab_holds(TreeLab *lab, const char *name, const char *text);
gboolean tree_lab_warned(TreeLab *lab, const char *text);
guint tree_lab_warnings(TreeLab *lab);
void tree_lab_forget(TreeLab *lab);

/* Backs up a path of the scratch folder and returns the point. */
HfPointInfo *tree_lab_backup(TreeLab *lab, const char *path);
HfPointInfo *tree_lab_backup_disk(TreeLab *lab, const char *path);
/* The newest point. Free with hf_point_info_free. */
HfPointInfo *tree_lab_newest(TreeLab *lab);

/* ---- What is done to points. ---- */
void tree_lab_forget_point(HfRepo *repo, HfPointInfo *info);
/* Watches no session of another machine. */
HfPruneResult tree_lab_prune(HfRepo *repo);
/* A session of another machine, which beat once. */
HfShortId tree_lab_far_session(HfStore *store);

/* ---- Points made by hand. ---- */
typedef struct Maker {
  TreeLab *lab;
  HfSession *session;
  HfBlobStore *store;
  HfBlobWriter *writer;
} Maker;
void maker_begin(Maker *maker, TreeLab *lab);
HfId maker_blob(Maker *maker, HfBlobType type, const HfId *refs, guint ref_count, const void *payload, gsize length);
HfId maker_text(Maker *maker, const char *text);
HfId maker_block(Maker *maker, const void *bytes, gsize length);
/* An id that no blob has. */
HfId maker_lost(void);
/* A page of entries; `tail` may be NULL. */
HfId maker_page(Maker *maker, const HfEntry *entries, guint count, const HfId *tail);
/* A page of level 1 and up. */
HfId maker_node(Maker *maker, guint8 level, const HfNodeItem *items, guint count);
HfId maker_list(Maker *maker, guint8 level, const HfListItem *items, guint count);
/* `refs` NULL or all zeros in a place: zeros. */
HfId maker_map(Maker *maker, guint8 level, const HfId *refs, guint count);
/* Commits a point with these roots (in the order of their paths). */
HfPointInfo *maker_commit(Maker *maker, const HfEntry *roots, guint count, const HfId *tail);

void assert_bytes(const void *found, gsize found_length, const void *wanted, gsize length);
void assert_code(const GError *error, HfErrorCode code);

HfView view_of(const char *text);
HfEntry folder_entry(const char *name, const HfId *page);
HfEntry file_entry(const char *name, HfContent content, guint64 size, const HfId *ref);
HfEntry symlink_entry(const char *name, const char *target);
HfEntry disk_entry(const char *path, guint64 size, const HfId *map);

/* ---- Looking. ---- */
typedef struct Eyes {
  HfBlobCache *cache;
  HfBrowser *browser;
  HfTree *tree;
} Eyes;
void eyes_open(Eyes *eyes, TreeLab *lab, const HfPointInfo *info);
void eyes_close(Eyes *eyes);
