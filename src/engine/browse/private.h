/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Private to engine/browse. */
#pragma once

#include "engine/browse/browse.h"

struct HfTree {
  guint32 domain;
  HfBuffer payload; /* of the roots; entries are views into it */
  GArray *refs;     /* of HfId */
  GArray *roots;    /* of HfEntry, in the order of the tree: '/' sorts before every other byte */
  gboolean has_tail;
  HfId tail;
};

/* Roots [first, end) that lie below a folder fall into groups that share the next part of their paths. */
HfView hf_tree_group_name(const HfTree *tree, guint first, gsize prefix);
guint hf_tree_group_end(const HfTree *tree, guint first, guint end, gsize prefix);
/* What stands for a group: its root, or `real` (what the folder itself has under that name; may be NULL), or a virtual
 * folder. */
void hf_tree_group_node(const HfTree *tree, guint first, guint end, gsize prefix, const HfTreeNode *real,
                        HfTreeNode *node);

/* A page in hand, level 0 or above, that owns its bytes. */
typedef struct HfTreePageCopy {
  HfBuffer payload;
  HfBuffer refs;
  HfPageReader page;
} HfTreePageCopy;
/* `level` is what the page above says, or -1 at the top. */
gboolean hf_tree_page_read(HfBlobReader *reader, const HfId *id, int level, HfTreePageCopy *copy, GError **error);
void hf_tree_page_clear(HfTreePageCopy *copy);
/* Entry of a page of level 0 as a node. */
void hf_tree_page_node(const HfTreePageCopy *copy, const HfEntry *entry, HfTreeNode *node);

/* Errors after which one may go on elsewhere. */
gboolean hf_tree_is_damage(const GError *error);
/* Such an error is warned about and counted; another is handed on (FALSE). Takes `problem`. */
gboolean hf_tree_pass_damage(HfBrowser *browser, const char *path, GError *problem, guint64 *damaged, GError **error);

/* Gives all paths of `merge` to `visit`. */
typedef gboolean (*HfTreeVisitFunc)(gpointer user, const char *path, const HfTreeVersion *versions, guint count,
                                    GError **error);
gboolean hf_tree_merge_visit(HfTreeMerge *merge, HfTreeVisitFunc visit, gpointer user, guint64 *damaged,
                             GError **error);
