/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "engine/restore/select.h"

#include <string.h>

#include "base/error.h"

static void selection_free(gpointer data)
{
  HfSelection *selection = data;
  hf_tree_node_free(selection->node);
  g_free(selection->path);
  g_free(selection->target);
  g_free(selection);
}

static HfSelection *selection_new(const char *path, const char *target, const HfTreeNode *node)
{
  HfSelection *selection = g_new0(HfSelection, 1);
  selection->path = g_strdup(path);
  selection->target = g_strdup(target);
  selection->node = hf_tree_node_copy(node);
  return selection;
}

/* One slash before each part, none at the end. */
static char *canonical(const char *path)
{
  GString *text = g_string_new(NULL);
  for (const char *at = path;;) {
    at += strspn(at, "/");
    gsize length = strcspn(at, "/");
    if (length == 0)
      break;
    g_string_append_c(text, '/');
    g_string_append_len(text, at, (gssize)length);
    at += length;
  }
  if (text->len == 0)
    g_string_append_c(text, '/');
  return g_string_free(text, FALSE);
}

static const char *last_name(const char *path)
{
  return strrchr(path, '/') + 1;
}

/* Is `path` below `folder`? */
static gboolean lies_below(const char *path, const char *folder)
{
  gsize length = strlen(folder);
  if (g_str_equal(folder, "/"))
    return path[1] != '\0';
  return strncmp(path, folder, length) == 0 && path[length] == '/';
}

static void add(GPtrArray *selections, char *path)
{
  for (guint i = 0; i < selections->len; i++)
    if (g_str_equal(((HfSelection *)selections->pdata[i])->path, path)) {
      g_free(path);
      return;
    }
  HfSelection *selection = g_new0(HfSelection, 1);
  selection->path = path;
  g_ptr_array_add(selections, selection);
}

/* By parts of the path, so that what lies below a folder comes right behind it. */
static gint compare_paths(gconstpointer a, gconstpointer b)
{
  const char *x = (*(HfSelection *const *)a)->path, *y = (*(HfSelection *const *)b)->path;
  while (*x != '\0' && *x == *y) {
    x++;
    y++;
  }
  int one = *x == '/' ? 1 : (guint8)*x + (*x != '\0'), other = *y == '/' ? 1 : (guint8)*y + (*y != '\0');
  return one - other;
}

static gboolean needs_full_paths(GPtrArray *selections)
{
  g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
  for (guint i = 0; i < selections->len; i++) {
    const char *name = last_name(((HfSelection *)selections->pdata[i])->path);
    if (*name == '\0' || !g_hash_table_add(names, (gpointer)name))
      return TRUE;
  }
  return FALSE;
}

/* With whole paths a folder brings along what is selected below it. */
static void remove_inner(GPtrArray *selections)
{
  for (guint i = 1; i < selections->len;)
    if (lies_below(((HfSelection *)selections->pdata[i])->path, ((HfSelection *)selections->pdata[i - 1])->path))
      g_ptr_array_remove_index(selections, i);
    else
      i++;
}

/* A root by itself, without what other roots hold below it; NULL when `path` is none. */
static HfTreeNode *plain_root(const HfTree *tree, const char *path)
{
  for (guint i = 0; i < hf_tree_root_count(tree); i++) {
    HfTreeNode node;
    hf_tree_root(tree, i, &node);
    if (node.entry.name.length == strlen(path) && memcmp(node.entry.name.data, path, node.entry.name.length) == 0)
      return hf_tree_node_copy(&node);
  }
  return NULL;
}

static gboolean find_nodes(GPtrArray *selections, HfBrowser *browser, const HfTree *tree, gboolean roots, gboolean full,
                           GError **error)
{
  for (guint i = 0; i < selections->len; i++) {
    HfSelection *selection = selections->pdata[i];
    selection->target = g_strdup(full ? selection->path + 1 : last_name(selection->path));
    if (roots && !full)
      selection->node = plain_root(tree, selection->path);
    else
      selection->node = hf_tree_lookup(browser, tree, selection->path, error);
    if (selection->node == NULL)
      return FALSE;
  }
  return TRUE;
}

/* Instead of a folder that is only the way to roots: those, so that each gets a name of its own. */
static GPtrArray *expand(GPtrArray *selections, HfBrowser *browser, const HfTree *tree, GError **error)
{
  g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func(selection_free);
  for (guint i = 0; i < selections->len; i++) {
    HfSelection *selection = selections->pdata[i];
    if (!selection->node->is_virtual) {
      g_ptr_array_add(all, selection_new(selection->path, selection->target, selection->node));
      continue;
    }
    const char *last = NULL;
    for (guint r = selection->node->first_root; r < selection->node->end_root; r++) {
      HfTreeNode root;
      hf_tree_root(tree, r, &root);
      g_autofree char *path = g_strndup((const char *)root.entry.name.data, root.entry.name.length);
      if (last != NULL && lies_below(path, last))
        continue;
      const char *rest = path + (g_str_equal(selection->path, "/") ? 0 : strlen(selection->path)) + 1;
      g_autofree char *target = *selection->target != '\0' ? g_strconcat(selection->target, "/", rest, NULL)
                                                           : g_strdup(rest);
      g_autoptr(HfTreeNode) node = hf_tree_lookup(browser, tree, path, error);
      if (node == NULL)
        return NULL;
      g_ptr_array_add(all, selection_new(path, target, node));
      last = ((const HfSelection *)all->pdata[all->len - 1])->path;
    }
  }
  return g_steal_pointer(&all);
}

GPtrArray *hf_select(HfBrowser *browser, const HfTree *tree, const HfRestoreOptions *options, GError **error)
{
  gboolean roots = options->paths == NULL || options->paths->len == 0;
  g_autoptr(GPtrArray) selections = g_ptr_array_new_with_free_func(selection_free);
  for (guint i = 0; roots && i < hf_tree_root_count(tree); i++) {
    HfTreeNode node;
    hf_tree_root(tree, i, &node);
    add(selections, g_strndup((const char *)node.entry.name.data, node.entry.name.length));
  }
  for (guint i = 0; !roots && i < options->paths->len; i++)
    add(selections, canonical(options->paths->pdata[i]));
  g_ptr_array_sort(selections, compare_paths);
  gboolean full = options->full_path || needs_full_paths(selections);
  if (full)
    remove_inner(selections);
  if (!find_nodes(selections, browser, tree, roots, full, error))
    return NULL;
  return options->keep ? expand(selections, browser, tree, error) : g_steal_pointer(&selections);
}
