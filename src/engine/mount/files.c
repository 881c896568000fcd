/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/error.h"
#include "engine/mount/state.h"

struct HfExportFile {
  guint64 serial;
  HfExportItem *item; /* held */
  HfTreeNode *node;
  HfTree *tree;       /* the point's */
  guint64 size;
  HfVdisk *vdisk;     /* the item's; NULL: no disk */
  GMutex lock;        /* one reads at a time: chunks are larger than what the kernel asks for at once */
};

/* ---- Disks: one for all who have it open. ---- */

static HfVdisk *share_vdisk(HfMount *mount, HfExportItem *item, const HfTreeNode *node, GError **error)
{
  HF_LOCK(&mount->items.lock);
  if (item->vdisk == NULL)
    item->vdisk = hf_vdisk_open(mount->cache, item->point->info->point.domain, &node->entry, error);
  if (item->vdisk != NULL)
    item->vdisk_users++;
  return item->vdisk;
}

static void unshare_vdisk(HfMount *mount, HfExportItem *item)
{
  HfVdisk *unused = NULL;
  g_mutex_lock(&mount->items.lock);
  if (--item->vdisk_users == 0)
    unused = g_steal_pointer(&item->vdisk);
  g_mutex_unlock(&mount->items.lock);
  hf_vdisk_free(unused);
}

gint64 hf_mount_blocks(HfMount *mount, HfExportItem *item, const HfTreeNode *node)
{
  guint64 bytes = node->entry.size;
  g_mutex_lock(&mount->items.lock);
  gint64 known = item->blocks;
  g_mutex_unlock(&mount->items.lock);
  if (known > 0)
    return known - 1;
  g_autoptr(HfVdisk) vdisk = hf_vdisk_open(mount->cache, item->point->info->point.domain, &node->entry, NULL);
  if (vdisk == NULL || !hf_vdisk_data_bytes(vdisk, &bytes, NULL))
    return hf_blocks_of(node->entry.size); /* who reads it will hear of it */
  HF_LOCK(&mount->items.lock);
  item->blocks = hf_blocks_of(bytes) + 1;
  return item->blocks - 1;
}

/* ---- Opening. ---- */

static gboolean open_content(HfMount *mount, HfExportFile *file, HfMountWorker *worker, GError **error)
{
  file->tree = hf_shown_point_tree(file->item->point, worker->browser, error);
  if (file->tree == NULL)
    return FALSE;
  if (hf_tree_node_is_disk(file->node)) {
    file->size = file->node->entry.size;
    file->vdisk = share_vdisk(mount, file->item, file->node, error);
    return file->vdisk != NULL;
  }
  g_autoptr(HfTreeFile) content = hf_tree_file_open(worker->browser, file->tree, file->node, error);
  if (content == NULL)
    return FALSE;
  file->size = hf_tree_file_size(content);
  return TRUE;
}

HfExportFile *hf_mount_open(HfExport *export, HfExportItem *item, GError **error)
{
  HfMount *mount = (HfMount *)export;
  GError *problem = NULL;
  if (item->kind != HF_ITEM_TREE || item->is_folder) {
    hf_fail(error, HF_ERROR_USAGE, "this is no file");
    return NULL;
  }
  HfTreeNode *node = hf_item_node(mount, item, &problem);
  HfExportFile *file = NULL;
  if (node != NULL) {
    HfMountWorker *worker = hf_worker_take(mount, 0);
    file = g_new0(HfExportFile, 1);
    file->item = hf_item_ref(mount, item);
    file->node = node;
    g_mutex_init(&file->lock);
    if (!open_content(mount, file, worker, &problem)) {
      hf_mount_close(export, file);
      file = NULL;
    }
    hf_worker_give(mount, worker);
  }
  if (problem != NULL) {
    hf_mount_warn(mount, item, problem);
    g_propagate_error(error, problem);
  }
  if (file == NULL)
    return NULL;
  HF_LOCK(&mount->lock);
  file->serial = ++mount->last_file;
  g_hash_table_add(mount->files, file);
  return file;
}

void hf_mount_close(HfExport *export, HfExportFile *file)
{
  HfMount *mount = (HfMount *)export;
  g_mutex_lock(&mount->lock);
  g_hash_table_remove(mount->files, file);
  g_mutex_unlock(&mount->lock);
  hf_workers_forget(mount, file->serial);
  if (file->vdisk != NULL)
    unshare_vdisk(mount, file->item);
  hf_tree_node_free(file->node);
  hf_item_unref(mount, file->item, 1);
  g_mutex_clear(&file->lock);
  g_free(file);
}

guint64 hf_mount_size(HfExport *export, HfExportFile *file)
{
  (void)export;
  return file->size;
}

/* ---- Reading. ---- */

/* A worker that has the file's content in hand; NULL on error. */
static HfMountWorker *take_content(HfMount *mount, HfExportFile *file, GError **error)
{
  HfMountWorker *worker = hf_worker_take(mount, file->serial);
  if (worker->file == file->serial)
    return worker;
  g_clear_pointer(&worker->content, hf_tree_file_free);
  worker->content = hf_tree_file_open(worker->browser, file->tree, file->node, error);
  worker->file = worker->content != NULL ? file->serial : 0;
  if (worker->content != NULL)
    return worker;
  hf_worker_give(mount, worker);
  return NULL;
}

static gssize read_content(HfMount *mount, HfExportFile *file, guint64 offset, void *bytes, gsize length,
                           GError **error)
{
  HF_LOCK(&file->lock);
  HfMountWorker *worker = take_content(mount, file, error);
  if (worker == NULL)
    return -1;
  gssize got = hf_tree_file_read(worker->content, offset, bytes, length, error);
  hf_worker_give(mount, worker);
  return got;
}

gssize hf_mount_read(HfExport *export, HfExportFile *file, guint64 offset, void *bytes, gsize length, GError **error)
{
  HfMount *mount = (HfMount *)export;
  GError *problem = NULL;
  if (offset >= file->size)
    return 0;
  gssize got = (gssize)MIN(length, file->size - offset);
  if (file->vdisk == NULL)
    got = read_content(mount, file, offset, bytes, (gsize)got, &problem);
  else if (!hf_vdisk_read(file->vdisk, offset, bytes, (gsize)got, &problem))
    got = -1;
  if (problem != NULL) {
    hf_mount_warn(mount, file->item, problem);
    g_propagate_error(error, problem);
  }
  return got;
}

static gboolean content_extent(HfMount *mount, HfExportFile *file, guint64 offset, gboolean *hole, guint64 *length,
                               GError **error)
{
  HfTreeExtent extent;
  HF_LOCK(&file->lock);
  HfMountWorker *worker = take_content(mount, file, error);
  if (worker == NULL)
    return FALSE;
  gboolean good = hf_tree_file_extent(worker->content, offset, &extent, error);
  hf_worker_give(mount, worker);
  *hole = extent.hole;
  *length = extent.offset + extent.length - offset;
  return good;
}

gboolean hf_mount_extent(HfExport *export, HfExportFile *file, guint64 offset, gboolean *hole, guint64 *length,
                         GError **error)
{
  HfMount *mount = (HfMount *)export;
  GError *problem = NULL;
  gboolean good = file->vdisk != NULL ? hf_vdisk_extent(file->vdisk, offset, hole, length, &problem)
                                      : content_extent(mount, file, offset, hole, length, &problem);
  if (good)
    return TRUE;
  hf_mount_warn(mount, file->item, problem);
  g_propagate_error(error, problem);
  return FALSE;
}
