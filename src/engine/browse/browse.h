/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Looking into restore points: paths, folders, contents, extras, whole trees, several trees side by side.
 *
 * All roots of a point make one tree below "/": a root at /home/ada appears as that folder, "/" and "/home" as virtual
 * folders when they were not saved themselves. Where one root lies inside another, the inner one counts. A disk is an
 * entry of mode 0 with content MAP or NONE, read like a file.
 *
 * Invariants
 *  V1 Memory is bounded by the depth of what is looked at (paths, one page reference a level), not by its size:
 *     pages are held for the last levels only.
 *  V2 Damage in one page hides what is below that page only: whoever goes on after the error gets the rest.
 *
 * Threads: an HfTree is read-only and safe for all threads, as are copied nodes. An HfBrowser and everything made with
 * it belong to one thread at a time. Paths and names are bytes.
 */
#pragma once

#include "format/tree.h"
#include "repo/points.h"
#include "repo/reader.h"

/* ---- What one thread reads with: a reader for each trust domain. `cache` is shared; both must outlive the browser.
 * ---- */
typedef struct HfBrowser HfBrowser;
HfBrowser *hf_browser_new(HfRepo *repo, HfBlobCache *cache);
void hf_browser_free(HfBrowser *browser);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfBrowser, hf_browser_free)
HfRepo *hf_browser_repo(HfBrowser *browser);
/* Borrowed. HF_ERROR_PERMISSION when the keys do not read this domain. */
HfBlobReader *hf_browser_reader(HfBrowser *browser, guint32 domain, GError **error);

/* ---- The tree of one point. ---- */
typedef struct HfTree HfTree;
HfTree *hf_tree_open(HfBrowser *browser, const HfPoint *point, GError **error);
void hf_tree_free(HfTree *tree);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfTree, hf_tree_free)
guint32 hf_tree_domain(const HfTree *tree);

/* Something in a tree. The views of its entry live as long as what gave it says; entry.name is the last part of its
 * path ("/" for the top). A virtual folder has a mode and nothing else. */
typedef struct HfTreeNode {
  HfEntry entry;
  gboolean is_virtual;
  gboolean has_tail;
  HfId tail;                  /* holds the content when that is INLINE */
  guint first_root, end_root; /* private: roots that lie below it */
  gsize prefix;               /* private: where the names below it begin in the paths of those */
} HfTreeNode;
/* A copy that owns its views; a NUL stands behind its name and target. */
HfTreeNode *hf_tree_node_copy(const HfTreeNode *node);
void hf_tree_node_free(HfTreeNode *node);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfTreeNode, hf_tree_node_free)
gboolean hf_tree_node_is_folder(const HfTreeNode *node);
gboolean hf_tree_node_is_disk(const HfTreeNode *node);
/* Is there anything to list below it? */
gboolean hf_tree_node_has_entries(const HfTreeNode *node);

/* The roots by themselves, in the order of the tree: entry.name is the whole path, and what other roots hold below is
 * not seen. The views live as long as the tree. */
guint hf_tree_root_count(const HfTree *tree);
void hf_tree_root(const HfTree *tree, guint number, HfTreeNode *node);
/* The folder "/"; its views live as long as the tree. */
void hf_tree_top(const HfTree *tree, HfTreeNode *node);

/* What is at `path` ("/a/b"; slashes at the end and double ones do not count, nor does a missing first one), as a copy.
 * HF_ERROR_NOT_FOUND names the first part that is not there. One page a level of each folder is read. */
HfTreeNode *hf_tree_lookup(HfBrowser *browser, const HfTree *tree, const char *path, GError **error);
/* The entry `name` of a folder, as a copy; NULL with error unset when there is none. */
HfTreeNode *hf_tree_find_child(HfBrowser *browser, const HfTree *tree, const HfTreeNode *folder, HfView name,
                               GError **error);

/* The extras of a node (format/tree.h), wherever they are; empty when it has none. They live as long as the node and
 * `blob` (zero-initialised; release it). HF_ERROR_INVALID when they are malformed. */
gboolean hf_tree_extras(HfBrowser *browser, const HfTree *tree, const HfTreeNode *node, HfBlob *blob, HfView *extras,
                        GError **error);

/* ---- Listing a folder, in the order of names. ---- */
typedef struct HfTreeList HfTreeList;
/* Begins behind the name `after` (NULL: at the start; it need not exist). `folder` is copied. */
HfTreeList *hf_tree_list_new(HfBrowser *browser, const HfTree *tree, const HfTreeNode *folder, const HfView *after,
                             GError **error);
void hf_tree_list_free(HfTreeList *list);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfTreeList, hf_tree_list_free)
/* FALSE with error unset: the end. FALSE with an error: a page cannot be read; the next call goes on behind it. The
 * views of `node` live until the next call. */
gboolean hf_tree_list_next(HfTreeList *list, HfTreeNode *node, GError **error);

/* ---- Walking all that lies below a folder: every folder comes before what is in it. ---- */
typedef struct HfTreeWalk HfTreeWalk;
/* `path` is that of `folder`, which is not given itself. A node that is no folder has nothing below. */
HfTreeWalk *hf_tree_walk_new(HfBrowser *browser, const HfTree *tree, const HfTreeNode *folder, const char *path);
void hf_tree_walk_free(HfTreeWalk *walk);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfTreeWalk, hf_tree_walk_free)
/* As hf_tree_list_next. */
gboolean hf_tree_walk_next(HfTreeWalk *walk, HfTreeNode *node, GError **error);
/* Do not enter the folder that was given last. */
void hf_tree_walk_skip(HfTreeWalk *walk);
/* The path of the node given last; after an error, of the folder that cannot be read whole. Until the next call. */
const char *hf_tree_walk_path(const HfTreeWalk *walk);
/* How many folders lie between the start and the node given last (or around the error). */
guint hf_tree_walk_depth(const HfTreeWalk *walk);

/* ---- The content of a regular file or a disk. ---- */
typedef struct HfTreeFile HfTreeFile;
/* HF_ERROR_USAGE for anything else. `node` is copied. */
HfTreeFile *hf_tree_file_open(HfBrowser *browser, const HfTree *tree, const HfTreeNode *node, GError **error);
void hf_tree_file_free(HfTreeFile *file);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfTreeFile, hf_tree_file_free)
/* Bytes that can be read: 0 for a file of which nothing could be saved. */
guint64 hf_tree_file_size(const HfTreeFile *file);
/* Reads up to `length` bytes at `offset`; fewer at the end only. -1 on error. */
gssize hf_tree_file_read(HfTreeFile *file, guint64 offset, void *bytes, gsize length, GError **error);

/* Where bytes of a file come from. */
typedef struct HfTreeExtent {
  guint64 offset, length; /* of the file */
  gboolean hole;
  gboolean block;         /* `ref` is a block of a disk, else a data blob */
  gboolean whole;         /* the blob is exactly this extent; else [start, start + length) of it (a tail) */
  HfId ref;
  guint64 start;
} HfTreeExtent;
/* The extent around `offset`, which lies below the size. After HF_ERROR_DAMAGED or HF_ERROR_INVALID `extent` tells the
 * range of which the place cannot be known. */
gboolean hf_tree_file_extent(HfTreeFile *file, guint64 offset, HfTreeExtent *extent, GError **error);

/* ---- Several trees side by side. Folders that are equal in several trees are read once. ---- */
typedef struct HfTreeMerge HfTreeMerge;
/* What some of the trees have at a path. */
typedef struct HfTreeVersion {
  HfTreeNode node;
  guint tree;           /* the first that has it */
  const guint64 *trees; /* bit set of all that have it: hf_tree_version_has */
} HfTreeVersion;
static inline gboolean hf_tree_version_has(const HfTreeVersion *version, guint tree)
{
  return version->trees[tree / 64] >> tree % 64 & 1;
}
/* With `skip_equal` folders that are one and the same in all trees are given, but not entered. `trees` are borrowed. */
HfTreeMerge *hf_tree_merge_new(HfBrowser *browser, HfTree *const *trees, guint count, gboolean skip_equal);
void hf_tree_merge_free(HfTreeMerge *merge);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfTreeMerge, hf_tree_merge_free)
/* The next path that any tree has, and its versions; a tree is in at most one of them. Versions may be equal to each
 * other. Ends and errors as hf_tree_list_next. All is valid until the next call. */
gboolean hf_tree_merge_next(HfTreeMerge *merge, const HfTreeVersion **versions, guint *count, GError **error);
const char *hf_tree_merge_path(const HfTreeMerge *merge);

/* Is the content (bytes of a file, target, device number) the same? Contents are read only when refs cannot tell:
 * inline ones, and those of different domains. */
gboolean hf_tree_same_content(HfBrowser *browser, const HfTree *tree, const HfTreeNode *node, const HfTree *other_tree,
                              const HfTreeNode *other, gboolean *same, GError **error);

typedef enum HfTreeChange {
  HF_TREE_ADDED, HF_TREE_REMOVED, HF_TREE_CONTENT, HF_TREE_METADATA, HF_TREE_TYPE
} HfTreeChange;
/* `before` is NULL for ADDED, `after` for REMOVED. FALSE with an error ends it. */
typedef gboolean (*HfTreeDiffFunc)(const char *path, HfTreeChange change, const HfTreeNode *before,
                                   const HfTreeNode *after, gpointer user, GError **error);
/* Calls `func` for each change, in the order of paths. Metadata are mode, owner, mtime and extras. What cannot be read
 * is a warning of the repository's report, counted in *damaged. */
gboolean hf_tree_diff(HfBrowser *browser, HfTree *before, HfTree *after, HfTreeDiffFunc func, gpointer user,
                      guint64 *damaged, GError **error);

typedef gboolean (*HfTreeFindFunc)(const char *path, const HfTreeVersion *version, gpointer user, GError **error);
/* Calls `func` for each version (type, size, mtime, content) of each path that matches: a shell pattern, for the whole
 * path when it holds a '/', else for the last name. Damage as in hf_tree_diff. */
gboolean hf_tree_find(HfBrowser *browser, HfTree *const *trees, guint count, const char *pattern, HfTreeFindFunc func,
                      gpointer user, guint64 *damaged, GError **error);
