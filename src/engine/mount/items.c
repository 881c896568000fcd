/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/error.h"
#include "engine/mount/state.h"

#define NODES_KEPT 8192u /* some 500 bytes each */

/* ---- The table. ---- */

static guint key_hash(gconstpointer data)
{
  const HfItemKey *key = data;
  return g_str_hash(key->name) ^ g_direct_hash(key->folder) * 31;
}

static gboolean key_equal(gconstpointer a, gconstpointer b)
{
  const HfItemKey *one = a, *other = b;
  return one->folder == other->folder && strcmp(one->name, other->name) == 0;
}

void hf_items_init(HfItems *items)
{
  g_mutex_init(&items->lock);
  items->all = g_hash_table_new(key_hash, key_equal);
}

static void item_free(HfExportItem *item)
{
  g_assert(item->vdisk == NULL);
  hf_shown_point_unref(item->point);
  hf_tree_node_free(item->node);
  g_free(item);
}

void hf_items_clear(HfItems *items)
{
  GHashTableIter iter;
  gpointer item;
  g_hash_table_iter_init(&iter, items->all);
  while (g_hash_table_iter_next(&iter, NULL, &item))
    item_free(item);
  g_hash_table_unref(items->all);
  g_mutex_clear(&items->lock);
}

/* ---- Nodes that may go. ---- */

static gboolean is_queued(const HfItems *items, const HfExportItem *item)
{
  return item->link.prev != NULL || items->nodes.head == &item->link;
}

static void use_node_locked(HfItems *items, HfExportItem *item)
{
  if (is_queued(items, item))
    g_queue_unlink(&items->nodes, &item->link);
  g_queue_push_head_link(&items->nodes, &item->link);
  while (items->nodes.length > NODES_KEPT) {
    HfExportItem *oldest = g_queue_pop_tail_link(&items->nodes)->data;
    g_clear_pointer(&oldest->node, hf_tree_node_free);
  }
}

static void set_node_locked(HfItems *items, HfExportItem *item, const HfTreeNode *node)
{
  if (item->node == NULL)
    item->node = hf_tree_node_copy(node);
  if (!item->is_folder)
    use_node_locked(items, item);
}

/* ---- Inode numbers: the same each time the point is mounted. ---- */

static guint64 hash_numbers(guint64 a, guint64 b, guint64 c)
{
  const guint64 all[3] = { a, b, c };
  guint64 hash = hf_xxh64(all, sizeof all);
  return hash > 1 ? hash : 2;
}

static guint64 point_inode(const HfShownPoint *point)
{
  return hash_numbers(hf_xxh64(point->info->point.id.b, sizeof point->info->point.id.b), 0, 0);
}

guint64 hf_item_inode(const HfExportItem *folder, const HfTreeNode *node)
{
  /* Names of one file are told by what they were on the disk that was saved. */
  if (node->entry.flags & HF_ENTRY_HARD_LINK)
    return hash_numbers(point_inode(folder->point), node->entry.device + 1, node->entry.inode);
  return hash_numbers(folder->inode, hf_xxh64(node->entry.name.data, node->entry.name.length), 0);
}

static guint64 new_inode(const HfExportItem *folder, const char *name, const HfShownPoint *point,
                         const HfTreeNode *node)
{
  if (folder == NULL && point == NULL)
    return 1;
  if (node != NULL && folder != NULL && folder->kind == HF_ITEM_TREE)
    return hf_item_inode(folder, node);
  return point != NULL ? point_inode(point) : hash_numbers(folder->inode, hf_xxh64(name, strlen(name)), 1);
}

/* ---- Items. ---- */

static HfExportItem *get_locked(HfItems *items, HfExportItem *folder, const char *name)
{
  HfItemKey key = { folder, name };
  HfExportItem *item = g_hash_table_lookup(items->all, &key);
  if (item != NULL)
    item->references++;
  return item;
}

HfExportItem *hf_item_get(HfMount *mount, HfExportItem *folder, const char *name)
{
  HF_LOCK(&mount->items.lock);
  return get_locked(&mount->items, folder, name);
}

HfExportItem *hf_item_make(HfMount *mount, HfExportItem *folder, const char *name, HfItemKind kind, HfShownPoint *point,
                           const HfTreeNode *node)
{
  HfItems *items = &mount->items;
  HF_LOCK(&items->lock);
  HfExportItem *item = get_locked(items, folder, name);
  if (item == NULL) {
    gsize length = strlen(name) + 1;
    item = g_malloc0(sizeof *item + length);
    memcpy(item->text, name, length);
    item->key = (HfItemKey){ folder, item->text };
    item->kind = kind;
    item->point = point != NULL ? hf_shown_point_ref(point) : NULL;
    item->inode = new_inode(folder, name, point, node);
    item->is_folder = node != NULL ? hf_tree_node_is_folder(node) : kind != HF_ITEM_LATEST;
    item->references = 1;
    item->link.data = item;
    if (folder != NULL)
      folder->references++;
    g_hash_table_insert(items->all, &item->key, item);
  }
  if (node != NULL)
    set_node_locked(items, item, node);
  return item;
}

HfExportItem *hf_item_ref(HfMount *mount, HfExportItem *item)
{
  HF_LOCK(&mount->items.lock);
  item->references++;
  return item;
}

void hf_item_unref(HfMount *mount, HfExportItem *item, guint64 count)
{
  HfItems *items = &mount->items;
  g_autoptr(GPtrArray) gone = g_ptr_array_new_with_free_func((GDestroyNotify)item_free);
  HF_LOCK(&items->lock);
  for (; item != NULL; count = 1) {
    item->references -= MIN(count, item->references);
    if (item->references > 0)
      break;
    HfExportItem *folder = item->key.folder;
    g_hash_table_remove(items->all, &item->key);
    if (is_queued(items, item))
      g_queue_unlink(&items->nodes, &item->link);
    g_ptr_array_add(gone, item);
    item = folder;
  }
}

/* ---- Nodes. ---- */

static HfTreeNode *node_at_hand(HfMount *mount, HfExportItem *item)
{
  HF_LOCK(&mount->items.lock);
  if (item->node == NULL)
    return NULL;
  if (!item->is_folder)
    use_node_locked(&mount->items, item);
  return hf_tree_node_copy(item->node);
}

static HfTreeNode *find_again(HfMount *mount, HfExportItem *item, GError **error)
{
  HfView name = { (const guint8 *)item->key.name, strlen(item->key.name) };
  HfMountWorker *worker = hf_worker_take(mount, 0);
  HfTree *tree = hf_shown_point_tree(item->point, worker->browser, error);
  GError *problem = NULL;
  HfTreeNode *node = NULL;
  if (tree != NULL) {
    /* That of a folder stays as long as the folder, which we hold. */
    node = hf_tree_find_child(worker->browser, tree, item->key.folder->node, name, &problem);
    if (node == NULL && problem == NULL)
      hf_fail(&problem, HF_ERROR_DAMAGED, "its entry is not there any more");
    if (problem != NULL)
      g_propagate_error(error, problem);
  }
  hf_worker_give(mount, worker);
  return node;
}

HfTreeNode *hf_item_node(HfMount *mount, HfExportItem *item, GError **error)
{
  HfTreeNode *node = node_at_hand(mount, item);
  if (node != NULL)
    return node;
  node = find_again(mount, item, error);
  if (node != NULL) {
    HF_LOCK(&mount->items.lock);
    set_node_locked(&mount->items, item, node);
  }
  return node;
}

char *hf_item_path(const HfExportItem *item)
{
  GString *path = g_string_new(NULL);
  for (; item->key.folder != NULL; item = item->key.folder) {
    g_string_prepend(path, item->key.name);
    g_string_prepend_c(path, '/');
  }
  return g_string_free(path, FALSE);
}
