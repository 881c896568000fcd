/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Several trees side by side. On each level the trees are in groups: those of one group have the same folder there (the
 * same page in the same domain), so one list serves them all. A group splits up below wherever its trees differ from
 * another's.
 */
#include <string.h>

#include "base/error.h"
#include "engine/browse/private.h"

#define LISTS_HELD 4u /* levels further up are put aside */

typedef struct Group {
  guint tree;         /* the first of them */
  guint64 *trees;     /* bit set */
  HfTreeNode *folder;
  HfTreeList *list;   /* NULL: put aside, or not begun */
  gboolean ended, has_node;
  HfTreeNode node;    /* the next entry, with has_node */
} Group;

typedef struct Level {
  GPtrArray *groups; /* of Group* */
  gsize path_length;
  gsize last_length; /* of the name given last; 0: none */
  guint8 last[HF_NAME_MAX];
} Level;

struct HfTreeMerge {
  HfBrowser *browser;
  HfTree *const *trees;
  guint count, words; /* of 64 bits in a set */
  gboolean skip_equal;
  GString *path;
  GPtrArray *levels;  /* of Level* */
  GArray *versions;   /* of HfTreeVersion, given last */
  gboolean given;     /* their folders are to be gone into */
};

static void group_free(gpointer data)
{
  Group *group = data;
  hf_tree_list_free(group->list);
  hf_tree_node_free(group->folder);
  g_free(group->trees);
  g_free(group);
}

static void level_free(gpointer data)
{
  Level *level = data;
  g_ptr_array_unref(level->groups);
  g_free(level);
}

static gboolean same_folder(const HfTreeMerge *merge, const Group *group, guint tree, const HfTreeNode *folder)
{
  const HfTreeNode *known = group->folder;
  gboolean mixed = known->first_root < known->end_root || folder->first_root < folder->end_root;
  return !mixed && known->entry.content == folder->entry.content &&
    hf_tree_domain(merge->trees[group->tree]) == hf_tree_domain(merge->trees[tree]) &&
    hf_id_equal(&known->entry.ref, &folder->entry.ref);
}

/* Adds a folder of some trees to a level that is being made. */
static void add_folder(HfTreeMerge *merge, Level *level, guint tree, const guint64 *trees, const HfTreeNode *folder)
{
  Group *group = NULL;
  for (guint i = 0; i < level->groups->len && group == NULL; i++)
    if (same_folder(merge, level->groups->pdata[i], tree, folder))
      group = level->groups->pdata[i];
  if (group == NULL) {
    group = g_new0(Group, 1);
    group->tree = tree;
    group->trees = g_new0(guint64, merge->words);
    group->folder = hf_tree_node_copy(folder);
    g_ptr_array_add(level->groups, group);
  }
  for (guint i = 0; i < merge->words; i++)
    group->trees[i] |= trees[i];
}

static Level *level_new(HfTreeMerge *merge)
{
  Level *level = g_new0(Level, 1);
  level->groups = g_ptr_array_new_with_free_func(group_free);
  level->path_length = merge->path->len;
  return level;
}

static void push(HfTreeMerge *merge, Level *level)
{
  g_ptr_array_add(merge->levels, level);
  if (merge->levels->len <= LISTS_HELD)
    return;
  Level *far = merge->levels->pdata[merge->levels->len - 1 - LISTS_HELD];
  for (guint i = 0; i < far->groups->len; i++) {
    Group *group = far->groups->pdata[i];
    g_clear_pointer(&group->list, hf_tree_list_free);
    group->has_node = FALSE;
  }
}

HfTreeMerge *hf_tree_merge_new(HfBrowser *browser, HfTree *const *trees, guint count, gboolean skip_equal)
{
  HfTreeMerge *merge = g_new0(HfTreeMerge, 1);
  merge->browser = browser;
  merge->trees = trees;
  merge->count = count;
  merge->words = (count + 63) / 64;
  merge->skip_equal = skip_equal;
  merge->path = g_string_new("");
  merge->levels = g_ptr_array_new_with_free_func(level_free);
  merge->versions = g_array_new(FALSE, FALSE, sizeof(HfTreeVersion));
  Level *level = level_new(merge);
  g_autofree guint64 *set = g_new0(guint64, merge->words + 1);
  for (guint i = 0; i < count; i++) {
    HfTreeNode top;
    hf_tree_top(trees[i], &top);
    set[i / 64] = G_GUINT64_CONSTANT(1) << i % 64;
    if (hf_tree_node_has_entries(&top))
      add_folder(merge, level, i, set, &top);
    set[i / 64] = 0;
  }
  push(merge, level);
  return merge;
}

void hf_tree_merge_free(HfTreeMerge *merge)
{
  if (merge == NULL)
    return;
  g_ptr_array_unref(merge->levels);
  g_array_unref(merge->versions);
  g_string_free(merge->path, TRUE);
  g_free(merge);
}

/* ---- Going into folders. ---- */

static gboolean has_all(const HfTreeMerge *merge, const Group *group)
{
  guint found = 0;
  for (guint i = 0; i < merge->count; i++)
    found += (guint)(group->trees[i / 64] >> i % 64 & 1);
  return found == merge->count;
}

static void enter(HfTreeMerge *merge)
{
  Level *level = level_new(merge);
  for (guint i = 0; i < merge->versions->len; i++) {
    const HfTreeVersion *version = &g_array_index(merge->versions, HfTreeVersion, i);
    if (hf_tree_node_has_entries(&version->node))
      add_folder(merge, level, version->tree, version->trees, &version->node);
  }
  gboolean equal = level->groups->len == 1 && has_all(merge, level->groups->pdata[0]);
  if (level->groups->len == 0 || (equal && merge->skip_equal))
    level_free(level);
  else
    push(merge, level);
}

/* ---- The next path. ---- */

/* Makes sure that each group of the level has its next entry at hand. */
static gboolean prepare(HfTreeMerge *merge, Level *level, GError **error)
{
  HfView last = { level->last, level->last_length };
  for (guint i = 0; i < level->groups->len; i++) {
    Group *group = level->groups->pdata[i];
    if (group->ended || group->has_node)
      continue;
    g_autoptr(GError) problem = NULL;
    if (group->list == NULL)
      group->list = hf_tree_list_new(merge->browser, merge->trees[group->tree], group->folder,
                                     last.length > 0 ? &last : NULL, &problem);
    group->has_node = group->list != NULL && hf_tree_list_next(group->list, &group->node, &problem);
    group->ended = !group->has_node && (problem == NULL || group->list == NULL);
    if (problem != NULL) {
      g_propagate_error(error, g_steal_pointer(&problem));
      return FALSE;
    }
  }
  return TRUE;
}

static const HfTreeNode *least(const Level *level)
{
  const HfTreeNode *found = NULL;
  for (guint i = 0; i < level->groups->len; i++) {
    const Group *group = level->groups->pdata[i];
    if (group->has_node && (found == NULL || hf_name_compare(group->node.entry.name, found->entry.name) < 0))
      found = &group->node;
  }
  return found;
}

/* Takes what all groups have under the name of `found`. */
static void take(HfTreeMerge *merge, Level *level, const HfTreeNode *found)
{
  HfView name = found->entry.name;
  memcpy(level->last, name.data, name.length);
  level->last_length = name.length;
  g_string_truncate(merge->path, level->path_length);
  g_string_append_c(merge->path, '/');
  g_string_append_len(merge->path, (const char *)name.data, (gssize)name.length);
  g_array_set_size(merge->versions, 0);
  for (guint i = 0; i < level->groups->len; i++) {
    Group *group = level->groups->pdata[i];
    if (!group->has_node || hf_name_compare(group->node.entry.name, name) != 0)
      continue;
    HfTreeVersion version = { .node = group->node, .tree = group->tree, .trees = group->trees };
    g_array_append_val(merge->versions, version);
    group->has_node = FALSE; /* its views live until the list goes on */
  }
}

gboolean hf_tree_merge_next(HfTreeMerge *merge, const HfTreeVersion **versions, guint *count, GError **error)
{
  if (merge->given)
    enter(merge);
  merge->given = FALSE;
  while (merge->levels->len > 0) {
    Level *level = merge->levels->pdata[merge->levels->len - 1];
    if (!prepare(merge, level, error)) {
      g_string_truncate(merge->path, level->path_length);
      return FALSE;
    }
    const HfTreeNode *found = least(level);
    if (found != NULL) {
      take(merge, level, found);
      merge->given = TRUE;
      *versions = (const HfTreeVersion *)(void *)merge->versions->data;
      *count = merge->versions->len;
      return TRUE;
    }
    g_ptr_array_set_size(merge->levels, (gint)merge->levels->len - 1);
  }
  return FALSE;
}

const char *hf_tree_merge_path(const HfTreeMerge *merge)
{
  return merge->path->len > 0 ? merge->path->str : "/";
}

/* ---- All paths. ---- */

gboolean hf_tree_pass_damage(HfBrowser *browser, const char *path, GError *problem, guint64 *damaged, GError **error)
{
  if (!hf_tree_is_damage(problem)) {
    g_propagate_error(error, problem);
    return FALSE;
  }
  hf_report_warning(hf_browser_repo(browser)->report, path, "cannot be looked at whole: %s", problem->message);
  g_error_free(problem);
  ++*damaged;
  return TRUE;
}

gboolean hf_tree_merge_visit(HfTreeMerge *merge, HfTreeVisitFunc visit, gpointer user, guint64 *damaged, GError **error)
{
  const HfTreeVersion *versions;
  guint count;
  for (;;) {
    GError *problem = NULL;
    gboolean found = hf_tree_merge_next(merge, &versions, &count, &problem);
    if (!found && problem == NULL)
      return TRUE;
    const char *path = hf_tree_merge_path(merge);
    if (found ? !visit(user, path, versions, count, error)
              : !hf_tree_pass_damage(merge->browser, path, problem, damaged, error))
      return FALSE;
    if (hf_cancelled(hf_browser_repo(merge->browser)->cancel, error))
      return FALSE;
  }
}
