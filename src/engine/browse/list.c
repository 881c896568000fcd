/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A folder's entries: those of its own pages, level by level, merged with the roots that lie below it.
 */
#include <string.h>

#include "base/error.h"
#include "engine/browse/private.h"

#define DEPTH_MAX (HF_LEVEL_MAX + 1)

struct HfTreeList {
  const HfTree *tree;   /* borrowed */
  HfBlobReader *reader; /* the browser's */
  HfId top;             /* the folder's page, not read yet */
  gboolean has_top;
  HfTreePageCopy steps[DEPTH_MAX];
  guint depth;          /* steps in use; the last is a page of level 0, or about to go down */
  char *after;          /* entries up to this name are passed over; NULL: none */
  gsize after_length;
  HfTreeNode real;      /* the next of the folder's own entries */
  gboolean has_real;
  guint next_root, end_root;
  gsize prefix;
};

static gboolean push(HfTreeList *list, const HfId *id, GError **error)
{
  int level = list->depth > 0 ? list->steps[list->depth - 1].page.level - 1 : -1;
  if (!hf_tree_page_read(list->reader, id, level, &list->steps[list->depth], error))
    return FALSE;
  list->depth++;
  return TRUE;
}

static void pop(HfTreeList *list)
{
  hf_tree_page_clear(&list->steps[--list->depth]);
}

HfTreeList *hf_tree_list_new(HfBrowser *browser, const HfTree *tree, const HfTreeNode *folder, const HfView *after,
                             GError **error)
{
  HfBlobReader *reader = hf_browser_reader(browser, tree->domain, error);
  if (reader == NULL)
    return NULL;
  g_autoptr(HfTreeList) list = g_new0(HfTreeList, 1);
  list->tree = tree;
  list->reader = reader;
  list->next_root = folder->first_root;
  list->end_root = folder->end_root;
  list->prefix = folder->prefix;
  if (after != NULL) {
    list->after = g_memdup2(after->data, after->length);
    list->after_length = after->length;
  }
  list->has_top = hf_tree_node_is_folder(folder) && folder->entry.content == HF_CONTENT_PAGE;
  if (list->has_top)
    list->top = folder->entry.ref;
  return g_steal_pointer(&list);
}

void hf_tree_list_free(HfTreeList *list)
{
  if (list == NULL)
    return;
  while (list->depth > 0)
    pop(list);
  g_free(list->after);
  g_free(list);
}

static gboolean passed_over(const HfTreeList *list, HfView name)
{
  return list->after != NULL &&
    hf_name_compare(name, (HfView){ (const guint8 *)list->after, list->after_length }) <= 0;
}

/* From the page of a higher level on top to the next page below it that is wanted. FALSE with error unset when there is
 * none, FALSE with an error when a page cannot be read: *over tells whether this page is done with. */
static gboolean go_down(HfTreeList *list, gboolean *over, GError **error)
{
  HfNodeItem item;
  HfPageReader *page = &list->steps[list->depth - 1].page;
  *over = FALSE;
  while (hf_node_next(page, &item, error))
    if (!passed_over(list, item.last_name))
      return push(list, &item.ref, error);
  *over = TRUE;
  return FALSE;
}

/* One step towards the next entry. As go_down; TRUE with list->has_real still unset: go on. */
static gboolean step(HfTreeList *list, gboolean *over, GError **error)
{
  HfTreePageCopy *top = &list->steps[list->depth - 1];
  HfEntry entry;
  if (top->page.level > 0)
    return go_down(list, over, error);
  *over = !hf_page_next(&top->page, &entry, error);
  if (*over)
    return FALSE;
  if (!passed_over(list, entry.name)) {
    hf_tree_page_node(top, &entry, &list->real);
    list->has_real = TRUE;
  }
  return TRUE;
}

/* The next of the folder's own entries into list->real. A page that cannot be read is left behind. */
static gboolean advance(HfTreeList *list, GError **error)
{
  if (list->has_top) {
    list->has_top = FALSE;
    if (!push(list, &list->top, error))
      return FALSE;
  }
  while (list->depth > 0 && !list->has_real) {
    g_autoptr(GError) problem = NULL;
    gboolean over = FALSE;
    if (step(list, &over, &problem))
      continue;
    if (over)
      pop(list);
    if (problem != NULL) {
      g_propagate_error(error, g_steal_pointer(&problem));
      return FALSE;
    }
  }
  return TRUE;
}

/* The group of roots that comes next; FALSE when none is left. */
static gboolean next_group(HfTreeList *list, HfView *name, guint *end)
{
  while (list->next_root < list->end_root) {
    *name = hf_tree_group_name(list->tree, list->next_root, list->prefix);
    *end = hf_tree_group_end(list->tree, list->next_root, list->end_root, list->prefix);
    if (!passed_over(list, *name))
      return TRUE;
    list->next_root = *end;
  }
  return FALSE;
}

gboolean hf_tree_list_next(HfTreeList *list, HfTreeNode *node, GError **error)
{
  HfView name;
  guint end;
  if (!list->has_real && !advance(list, error))
    return FALSE;
  gboolean has_group = next_group(list, &name, &end);
  if (!list->has_real && !has_group)
    return FALSE;
  int order = !has_group ? -1 : !list->has_real ? 1 : hf_name_compare(list->real.entry.name, name);
  if (order < 0) {
    *node = list->real;
  } else {
    hf_tree_group_node(list->tree, list->next_root, end, list->prefix, order == 0 ? &list->real : NULL, node);
    list->next_root = end;
  }
  if (order <= 0)
    list->has_real = FALSE;
  return TRUE;
}
