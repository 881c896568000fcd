/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/error.h"
#include "engine/browse/private.h"

#define LISTS_HELD 8u /* folders further up are put aside: what they hold is read again on the way back */

typedef struct Level {
  HfTreeNode *folder;
  HfTreeList *list;  /* NULL: put aside, or not begun */
  gsize last_length; /* of the name given last; 0: none */
  guint8 last[HF_NAME_MAX];
  gsize path_length;
} Level;

struct HfTreeWalk {
  HfBrowser *browser;
  const HfTree *tree;
  GString *path;
  GArray *levels; /* of Level */
  HfTreeNode node;
  gboolean enter; /* `node` is a folder to go into */
};

static void level_clear(gpointer data)
{
  Level *level = data;
  hf_tree_node_free(level->folder);
  hf_tree_list_free(level->list);
}

static void push(HfTreeWalk *walk, const HfTreeNode *folder)
{
  Level level = { .folder = hf_tree_node_copy(folder), .path_length = walk->path->len };
  if (walk->path->len > 0 && walk->path->str[walk->path->len - 1] == '/')
    level.path_length--;
  g_array_append_val(walk->levels, level);
  if (walk->levels->len > LISTS_HELD) {
    Level *far = &g_array_index(walk->levels, Level, walk->levels->len - 1 - LISTS_HELD);
    g_clear_pointer(&far->list, hf_tree_list_free);
  }
}

HfTreeWalk *hf_tree_walk_new(HfBrowser *browser, const HfTree *tree, const HfTreeNode *folder, const char *path)
{
  HfTreeWalk *walk = g_new0(HfTreeWalk, 1);
  walk->browser = browser;
  walk->tree = tree;
  walk->path = g_string_new(path);
  walk->levels = g_array_new(FALSE, FALSE, sizeof(Level));
  g_array_set_clear_func(walk->levels, level_clear);
  if (hf_tree_node_has_entries(folder))
    push(walk, folder);
  return walk;
}

void hf_tree_walk_free(HfTreeWalk *walk)
{
  if (walk == NULL)
    return;
  g_array_unref(walk->levels);
  g_string_free(walk->path, TRUE);
  g_free(walk);
}

static gboolean resume(HfTreeWalk *walk, Level *level, GError **error)
{
  HfView last = { level->last, level->last_length };
  if (level->list == NULL)
    level->list =
      hf_tree_list_new(walk->browser, walk->tree, level->folder, last.length > 0 ? &last : NULL, error);
  return level->list != NULL;
}

static void note(HfTreeWalk *walk, Level *level)
{
  HfView name = walk->node.entry.name;
  memcpy(level->last, name.data, name.length);
  level->last_length = name.length;
  g_string_truncate(walk->path, level->path_length);
  g_string_append_c(walk->path, '/');
  g_string_append_len(walk->path, (const char *)name.data, (gssize)name.length);
  walk->enter = hf_tree_node_has_entries(&walk->node);
}

gboolean hf_tree_walk_next(HfTreeWalk *walk, HfTreeNode *node, GError **error)
{
  if (walk->enter)
    push(walk, &walk->node);
  walk->enter = FALSE;
  while (walk->levels->len > 0) {
    Level *level = &g_array_index(walk->levels, Level, walk->levels->len - 1);
    g_autoptr(GError) problem = NULL;
    gboolean begun = resume(walk, level, &problem);
    if (begun && hf_tree_list_next(level->list, &walk->node, &problem)) {
      note(walk, level);
      *node = walk->node;
      return TRUE;
    }
    g_string_truncate(walk->path, MAX(level->path_length, 1)); /* "/" has its slash as the first byte of every path */
    if (problem == NULL || !begun)
      g_array_set_size(walk->levels, walk->levels->len - 1);
    if (problem != NULL) {
      g_propagate_error(error, g_steal_pointer(&problem));
      return FALSE;
    }
  }
  return FALSE;
}

void hf_tree_walk_skip(HfTreeWalk *walk)
{
  walk->enter = FALSE;
}

const char *hf_tree_walk_path(const HfTreeWalk *walk)
{
  return walk->path->str;
}

guint hf_tree_walk_depth(const HfTreeWalk *walk)
{
  return walk->levels->len > 0 ? walk->levels->len - 1 : 0;
}
