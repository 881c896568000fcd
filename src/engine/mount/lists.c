/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/error.h"
#include "engine/mount/state.h"

#define BATCH 256u /* entries in hand */

typedef struct Entry {
  char *name;
  HfTreeNode *node; /* of a tree; NULL: above the trees, to be looked up */
} Entry;

struct HfExportList {
  HfExportItem *folder; /* held */
  GPtrArray *names;     /* above the trees: of char*, all of them; NULL: in a tree */
  GArray *batch;        /* of Entry: those from `first` on */
  guint64 first;
  gboolean ended;       /* nothing comes after the batch */
  gboolean damaged;     /* some of it cannot be read */
};

static void entry_clear(gpointer data)
{
  Entry *entry = data;
  g_free(entry->name);
  hf_tree_node_free(entry->node);
}

/* ---- Above the trees. ---- */

static gint compare_names(gconstpointer a, gconstpointer b)
{
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static void add_name(GPtrArray *names, GHashTable *seen, const char *name)
{
  if (seen != NULL && !g_hash_table_add(seen, (gpointer)name))
    return;
  g_ptr_array_add(names, g_strdup(name));
}

static GPtrArray *list_names(HfMount *mount, const HfExportItem *folder)
{
  g_autoptr(HfShared) points = hf_mount_points(mount);
  g_autoptr(GHashTable) seen = folder->kind == HF_ITEM_TOP ? g_hash_table_new(g_str_hash, g_str_equal) : NULL;
  GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
  for (guint i = 0; i < points->all->len; i++) {
    const HfShownPoint *point = g_ptr_array_index(points->all, i);
    if (folder->kind == HF_ITEM_IDS)
      add_name(names, NULL, point->id);
    else if (folder->kind == HF_ITEM_TOP && point->folder != NULL)
      add_name(names, seen, point->folder);
    else if (folder->kind == HF_ITEM_NAME && point->folder != NULL && strcmp(point->folder, folder->key.name) == 0)
      add_name(names, NULL, point->name);
  }
  if (folder->kind == HF_ITEM_TOP)
    add_name(names, NULL, "ids");
  else if (folder->kind == HF_ITEM_NAME && names->len > 0)
    add_name(names, NULL, "latest");
  g_ptr_array_sort(names, compare_names);
  return names;
}

/* ---- In a tree. ---- */

static void add_node(HfExportList *list, const HfTreeNode *node)
{
  Entry entry = { .node = hf_tree_node_copy(node) };
  entry.name = g_strndup((const char *)node->entry.name.data, node->entry.name.length);
  g_array_append_val(list->batch, entry);
}

/* Reads on behind the name `after`. A page that cannot be read is left out, and remembered. */
static gboolean read_nodes(HfMount *mount, HfExportList *list, HfBrowser *browser, const char *after, GError **error)
{
  HfTreeNode node;
  HfView start = { (const guint8 *)after, after != NULL ? strlen(after) : 0 };
  HfTree *tree = hf_shown_point_tree(list->folder->point, browser, error);
  g_autoptr(HfTreeList) nodes =
    tree != NULL ? hf_tree_list_new(browser, tree, list->folder->node, after != NULL ? &start : NULL, error) : NULL;
  if (nodes == NULL)
    return FALSE;
  while (list->batch->len < BATCH) {
    g_autoptr(GError) problem = NULL;
    if (hf_tree_list_next(nodes, &node, &problem)) {
      add_node(list, &node);
    } else if (problem == NULL) {
      list->ended = TRUE;
      return TRUE;
    } else if (hf_error_is_damage(problem)) {
      hf_mount_warn(mount, list->folder, problem);
      list->damaged = TRUE;
    } else {
      g_propagate_error(error, g_steal_pointer(&problem));
      return FALSE;
    }
  }
  return TRUE;
}

/* Replaces the batch by the next one. */
static gboolean read_batch(HfMount *mount, HfExportList *list, GError **error)
{
  guint count = list->batch->len;
  g_autofree char *after = count > 0 ? g_strdup(g_array_index(list->batch, Entry, count - 1).name) : NULL;
  g_array_set_size(list->batch, 0);
  list->first += count;
  HfMountWorker *worker = hf_worker_take(mount, 0);
  gboolean good = read_nodes(mount, list, worker->browser, after, error);
  hf_worker_give(mount, worker);
  if (!good) { /* begin anew next time */
    g_array_set_size(list->batch, 0);
    list->first = 0;
  }
  return good;
}

/* The entry at `position`, or NULL: there is none, or an error. */
static const Entry *find_entry(HfMount *mount, HfExportList *list, guint64 position, GError **error)
{
  if (position < list->first) {
    g_array_set_size(list->batch, 0);
    list->first = 0;
    list->ended = FALSE;
  }
  while (position >= list->first + list->batch->len) {
    if (list->ended)
      return NULL;
    if (!read_batch(mount, list, error))
      return NULL;
  }
  return &g_array_index(list->batch, Entry, position - list->first);
}

/* ---- The list. ---- */

HfExportList *hf_mount_list_open(HfExport *export, HfExportItem *folder, GError **error)
{
  HfMount *mount = (HfMount *)export;
  if (!folder->is_folder) {
    hf_fail(error, HF_ERROR_USAGE, "this is no folder");
    return NULL;
  }
  HfExportList *list = g_new0(HfExportList, 1);
  list->folder = hf_item_ref(mount, folder);
  list->batch = g_array_new(FALSE, FALSE, sizeof(Entry));
  g_array_set_clear_func(list->batch, entry_clear);
  if (folder->kind != HF_ITEM_TREE)
    list->names = list_names(mount, folder);
  HF_LOCK(&mount->lock);
  g_hash_table_add(mount->lists, list);
  return list;
}

void hf_mount_list_close(HfExport *export, HfExportList *list)
{
  HfMount *mount = (HfMount *)export;
  g_mutex_lock(&mount->lock);
  g_hash_table_remove(mount->lists, list);
  g_mutex_unlock(&mount->lock);
  g_array_unref(list->batch);
  if (list->names != NULL)
    g_ptr_array_unref(list->names);
  hf_item_unref(mount, list->folder, 1);
  g_free(list);
}

/* An entry above the trees. FALSE: it has gone meanwhile. */
static gboolean fill_name(HfMount *mount, const HfExportList *list, const char *name, gboolean items,
                          HfExportEntry *entry)
{
  HfExportItem *item = hf_mount_lookup(&mount->export, list->folder, name, NULL);
  if (item == NULL)
    return FALSE;
  gboolean good = hf_mount_status(&mount->export, item, &entry->status, NULL);
  entry->name = name;
  entry->item = good && items ? item : NULL;
  if (entry->item == NULL)
    hf_item_unref(mount, item, 1);
  return good;
}

static void fill_node(HfMount *mount, const HfExportList *list, const Entry *from, gboolean items, HfExportEntry *entry)
{
  HfExportItem *folder = list->folder;
  entry->name = from->name;
  entry->item = items ? hf_item_make(mount, folder, from->name, HF_ITEM_TREE, folder->point, from->node) : NULL;
  hf_node_status(from->node, folder->point, hf_item_inode(folder, from->node), &entry->status);
  if (items && hf_tree_node_is_disk(from->node))
    entry->status.st_blocks = hf_mount_blocks(mount, entry->item, from->node);
}

/* *given FALSE: there was nothing at this place to be given. FALSE: the list ends. */
static gboolean next_entry(HfMount *mount, HfExportList *list, guint64 position, gboolean items, gboolean *given,
                           HfExportEntry *entry, GError **error)
{
  if (list->names != NULL) {
    if (position >= list->names->len)
      return FALSE;
    *given = fill_name(mount, list, g_ptr_array_index(list->names, position), items, entry);
    return TRUE;
  }
  const Entry *found = find_entry(mount, list, position, error);
  if (found == NULL)
    return FALSE;
  fill_node(mount, list, found, items, entry);
  *given = TRUE;
  return TRUE;
}

gboolean hf_mount_list_read(HfExport *export, HfExportList *list, guint64 position, gboolean items,
                            HfExportEntryFunc func, gpointer user, GError **error)
{
  HfMount *mount = (HfMount *)export;
  HfExportEntry entry;
  g_autoptr(GError) problem = NULL;
  for (gboolean given; next_entry(mount, list, position, items, &given, &entry, &problem); position++) {
    if (!given)
      continue;
    gboolean taken = func(&entry, position, user);
    if (!taken && entry.item != NULL)
      hf_item_unref(mount, entry.item, 1);
    if (!taken)
      return TRUE;
  }
  if (problem != NULL) {
    hf_mount_warn(mount, list->folder, problem);
    g_propagate_error(error, g_steal_pointer(&problem));
    return FALSE;
  }
  return !list->damaged || hf_fail(error, HF_ERROR_DAMAGED, "not all of this folder can be read");
}
