/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "engine/browse/private.h"

#define COMPARED_BYTES (128u << 10)

static gboolean same_view(HfView a, HfView b)
{
  return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

static gboolean same_bytes(HfTreeFile *one, HfTreeFile *other, gboolean *same, GError **error)
{
  g_autofree guint8 *bytes = g_malloc(2 * COMPARED_BYTES);
  guint64 size = hf_tree_file_size(one);
  *same = size == hf_tree_file_size(other);
  for (guint64 at = 0; *same && at < size; at += COMPARED_BYTES) {
    gssize got = hf_tree_file_read(one, at, bytes, COMPARED_BYTES, error);
    gssize other_got = got < 0 ? -1 : hf_tree_file_read(other, at, bytes + COMPARED_BYTES, COMPARED_BYTES, error);
    if (other_got < 0)
      return FALSE;
    *same = got == other_got && memcmp(bytes, bytes + COMPARED_BYTES, (gsize)got) == 0;
  }
  return TRUE;
}

/* Do refs alone tell that the content is the same? */
static gboolean equal_refs(const HfTree *tree, const HfTreeNode *node, const HfTree *other_tree,
                           const HfTreeNode *other)
{
  const HfEntry *a = &node->entry, *b = &other->entry;
  if (tree->domain != other_tree->domain || a->content != b->content)
    return FALSE;
  if (a->content == HF_CONTENT_INLINE)
    return hf_id_equal(&node->tail, &other->tail) && a->tail_offset == b->tail_offset;
  return a->content == HF_CONTENT_NONE || hf_id_equal(&a->ref, &b->ref);
}

/* Do refs that differ tell that the content differs? Not where the same bytes can be put in other ways. */
static gboolean telling_refs(const HfTree *tree, const HfEntry *a, const HfTree *other_tree, const HfEntry *b)
{
  return tree->domain == other_tree->domain && a->content == b->content &&
    (a->content == HF_CONTENT_BLOB || (a->content == HF_CONTENT_MAP && a->block_size == b->block_size));
}

gboolean hf_tree_same_content(HfBrowser *browser, const HfTree *tree, const HfTreeNode *node, const HfTree *other_tree,
                              const HfTreeNode *other, gboolean *same, GError **error)
{
  const HfEntry *a = &node->entry, *b = &other->entry;
  *same = (a->mode & S_IFMT) == (b->mode & S_IFMT) && a->size == b->size && same_view(a->target, b->target) &&
    a->major == b->major && a->minor == b->minor;
  if (!*same || (!S_ISREG(a->mode) && !hf_tree_node_is_disk(node)))
    return TRUE;
  if (equal_refs(tree, node, other_tree, other))
    return TRUE;
  if (telling_refs(tree, a, other_tree, b)) {
    *same = FALSE;
    return TRUE;
  }
  g_autoptr(HfTreeFile) one = hf_tree_file_open(browser, tree, node, error);
  g_autoptr(HfTreeFile) two = one != NULL ? hf_tree_file_open(browser, other_tree, other, error) : NULL;
  return two != NULL && same_bytes(one, two, same, error);
}

static gboolean same_extras(HfBrowser *browser, const HfTree *tree, const HfTreeNode *node, const HfTree *other_tree,
                            const HfTreeNode *other, gboolean *same, GError **error)
{
  const HfEntry *a = &node->entry, *b = &other->entry;
  g_auto(HfBlob) blob = { 0 }, other_blob = { 0 };
  HfView extras, other_extras;
  gboolean both = (a->flags & b->flags & HF_ENTRY_EXTRAS_BLOB) != 0;
  *same = both && tree->domain == other_tree->domain && hf_id_equal(&a->extras_ref, &b->extras_ref);
  if (*same)
    return TRUE;
  if (!hf_tree_extras(browser, tree, node, &blob, &extras, error) ||
      !hf_tree_extras(browser, other_tree, other, &other_blob, &other_extras, error))
    return FALSE;
  *same = same_view(extras, other_extras);
  return TRUE;
}

static gboolean same_metadata(HfBrowser *browser, const HfTree *tree, const HfTreeNode *node, const HfTree *other_tree,
                              const HfTreeNode *other, gboolean *same, GError **error)
{
  const HfEntry *a = &node->entry, *b = &other->entry;
  /* What was not saved has no metadata that could differ. */
  *same = node->is_virtual || other->is_virtual ||
    (a->mode == b->mode && a->uid == b->uid && a->gid == b->gid && a->mtime_sec == b->mtime_sec &&
     a->mtime_nsec == b->mtime_nsec && a->block_size == b->block_size && a->sector_size == b->sector_size);
  if (!*same || node->is_virtual || other->is_virtual)
    return TRUE;
  return same_extras(browser, tree, node, other_tree, other, same, error);
}

typedef struct Diff {
  HfBrowser *browser;
  HfTree *trees[2];
  HfTreeDiffFunc func;
  gpointer user;
  guint64 *damaged;
} Diff;

static gboolean compare(const Diff *diff, const HfTreeNode *before, const HfTreeNode *after, gboolean *changed,
                        HfTreeChange *change, GError **error)
{
  gboolean same = FALSE;
  *changed = TRUE;
  *change = HF_TREE_TYPE;
  if ((before->entry.mode & S_IFMT) != (after->entry.mode & S_IFMT))
    return TRUE;
  *change = HF_TREE_CONTENT;
  if (!hf_tree_same_content(diff->browser, diff->trees[0], before, diff->trees[1], after, &same, error))
    return FALSE;
  if (!same)
    return TRUE;
  *change = HF_TREE_METADATA;
  if (!same_metadata(diff->browser, diff->trees[0], before, diff->trees[1], after, &same, error))
    return FALSE;
  *changed = !same;
  return TRUE;
}

static gboolean diff_path(gpointer user, const char *path, const HfTreeVersion *versions, guint count, GError **error)
{
  const Diff *diff = user;
  const HfTreeNode *nodes[2] = { NULL, NULL };
  for (guint i = 0; i < count; i++)
    for (guint tree = 0; tree < 2; tree++)
      if (hf_tree_version_has(&versions[i], tree))
        nodes[tree] = &versions[i].node;
  if (nodes[0] == nodes[1])
    return TRUE;
  if (nodes[0] == NULL || nodes[1] == NULL)
    return diff->func(path, nodes[0] == NULL ? HF_TREE_ADDED : HF_TREE_REMOVED, nodes[0], nodes[1], diff->user, error);
  HfTreeChange change;
  gboolean changed;
  GError *problem = NULL;
  if (!compare(diff, nodes[0], nodes[1], &changed, &change, &problem))
    return hf_tree_pass_damage(diff->browser, path, problem, diff->damaged, error);
  return !changed || diff->func(path, change, nodes[0], nodes[1], diff->user, error);
}

gboolean hf_tree_diff(HfBrowser *browser, HfTree *before, HfTree *after, HfTreeDiffFunc func, gpointer user,
                      guint64 *damaged, GError **error)
{
  Diff diff = { browser, { before, after }, func, user, damaged };
  HfTree *trees[2] = { before, after };
  g_autoptr(HfTreeMerge) merge = hf_tree_merge_new(browser, trees, 2, TRUE);
  return hf_tree_merge_visit(merge, diff_path, &diff, damaged, error);
}
