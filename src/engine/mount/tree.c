/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/error.h"
#include "engine/mount/state.h"

#define CACHE_BYTES (24u << 20)
#define WARNED_MAX 100000u
#define VIRTUAL_MODE (S_IFDIR | 0555)
#define DISK_MODE (S_IFREG | 0400)
#define READ_BYTES (128 << 10) /* of st_blksize: what is opened at once of a disk */
#define NS G_GINT64_CONSTANT(1000000000)

/* ---- Warnings. ---- */

void hf_mount_warn(HfMount *mount, const HfExportItem *item, const GError *error)
{
  if (hf_error_is(error, HF_ERROR_CANCELLED))
    return;
  g_mutex_lock(&mount->lock);
  guint64 inode = item->inode;
  gboolean fresh = g_hash_table_size(mount->warned) < WARNED_MAX && !g_hash_table_contains(mount->warned, &inode) &&
                   g_hash_table_add(mount->warned, g_memdup2(&inode, sizeof inode));
  g_mutex_unlock(&mount->lock);
  if (!fresh)
    return;
  g_autofree char *path = hf_item_path(item);
  hf_report_warning(mount->repo->report, *path != '\0' ? path : "/", "cannot be read: %s", error->message);
}

/* ---- Attributes. ---- */

static void fill_times(const HfShownPoint *point, struct stat *status)
{
  gint64 time = point->info->point.time;
  status->st_mtim = (struct timespec){ .tv_sec = time / NS, .tv_nsec = time % NS };
  status->st_ctim = status->st_atim = status->st_mtim;
}

/* What belongs to nobody belongs to who mounts. */
static void fill_owner(mode_t mode, struct stat *status)
{
  status->st_mode = mode;
  status->st_uid = getuid();
  status->st_gid = getgid();
}

static void fill_entry(const HfEntry *entry, struct stat *status)
{
  status->st_mode = entry->mode;
  status->st_uid = entry->uid;
  status->st_gid = entry->gid;
  status->st_mtim = (struct timespec){ .tv_sec = entry->mtime_sec, .tv_nsec = entry->mtime_nsec };
  status->st_ctim = (struct timespec){ .tv_sec = entry->ctime_sec, .tv_nsec = entry->ctime_nsec };
  status->st_atim = status->st_mtim;
  if (S_ISREG(entry->mode) && entry->content != HF_CONTENT_NONE)
    status->st_size = (off_t)entry->size; /* else it is empty, or nothing of it could be saved */
  else if (S_ISLNK(entry->mode))
    status->st_size = (off_t)entry->target.length;
  if (S_ISCHR(entry->mode) || S_ISBLK(entry->mode))
    status->st_rdev = makedev(entry->major, entry->minor);
}

void hf_node_status(const HfTreeNode *node, const HfShownPoint *point, guint64 inode, struct stat *status)
{
  const HfEntry *entry = &node->entry;
  memset(status, 0, sizeof *status);
  if (node->is_virtual || hf_tree_node_is_disk(node)) {
    fill_owner(node->is_virtual ? VIRTUAL_MODE : DISK_MODE, status);
    fill_times(point, status);
    status->st_size = node->is_virtual ? 0 : (off_t)entry->size;
  } else {
    fill_entry(entry, status);
  }
  status->st_ino = inode;
  /* How many names a file has is not kept; 1 says for a folder that its subfolders were not counted. */
  status->st_nlink = (entry->flags & HF_ENTRY_HARD_LINK) ? 2 : 1;
  status->st_blksize = READ_BYTES;
  status->st_blocks = hf_blocks_of((guint64)status->st_size);
}

/* Of an item above the trees. */
static void fill_above(HfMount *mount, const HfExportItem *item, struct stat *status)
{
  g_autoptr(HfShared) points = hf_mount_points(mount);
  const char *folder = item->kind == HF_ITEM_NAME ? item->key.name
                       : item->kind == HF_ITEM_LATEST ? item->key.folder->key.name : NULL;
  const HfShownPoint *newest = folder != NULL ? hf_newest_in(points->all, folder)
                               : points->all->len > 0 ? g_ptr_array_index(points->all, points->all->len - 1) : NULL;
  memset(status, 0, sizeof *status);
  fill_owner(item->kind == HF_ITEM_LATEST ? S_IFLNK | 0777 : VIRTUAL_MODE, status);
  if (newest != NULL)
    fill_times(newest, status);
  if (newest != NULL && item->kind == HF_ITEM_LATEST)
    status->st_size = (off_t)strlen(newest->name);
  status->st_ino = item->inode;
  status->st_nlink = 1;
  status->st_blksize = READ_BYTES;
}

gboolean hf_mount_status(HfExport *export, HfExportItem *item, struct stat *status, GError **error)
{
  HfMount *mount = (HfMount *)export;
  GError *problem = NULL;
  if (item->kind != HF_ITEM_TREE) {
    fill_above(mount, item, status);
    return TRUE;
  }
  g_autoptr(HfTreeNode) node = hf_item_node(mount, item, &problem);
  if (node == NULL) {
    hf_mount_warn(mount, item, problem);
    g_propagate_error(error, problem);
    return FALSE;
  }
  hf_node_status(node, item->point, item->inode, status);
  if (hf_tree_node_is_disk(node))
    status->st_blocks = hf_mount_blocks(mount, item, node);
  return TRUE;
}

static guint get_lifetime(HfExport *export, HfExportItem *item)
{
  (void)export;
  return item->kind == HF_ITEM_TREE ? HF_EXPORT_FOREVER : 1;
}

static char *read_link(HfExport *export, HfExportItem *item, GError **error)
{
  HfMount *mount = (HfMount *)export;
  if (item->kind == HF_ITEM_LATEST) {
    g_autoptr(HfShared) points = hf_mount_points(mount);
    const HfShownPoint *newest = hf_newest_in(points->all, item->key.folder->key.name);
    if (newest != NULL)
      return g_strdup(newest->name);
    hf_fail(error, HF_ERROR_NOT_FOUND, "there is no point of this name any more");
    return NULL;
  }
  g_autoptr(HfTreeNode) node = item->kind == HF_ITEM_TREE ? hf_item_node(mount, item, error) : NULL;
  if (node != NULL && S_ISLNK(node->entry.mode))
    return g_strndup((const char *)node->entry.target.data, node->entry.target.length);
  if (node != NULL || item->kind != HF_ITEM_TREE)
    hf_fail(error, HF_ERROR_USAGE, "this is no symbolic link");
  return NULL;
}

static gboolean read_extras(HfMount *mount, HfExportItem *item, const HfTreeNode *node, GByteArray *extras,
                            GError **error)
{
  g_auto(HfBlob) blob = { 0 };
  HfView found = { NULL, 0 };
  HfMountWorker *worker = hf_worker_take(mount, 0);
  HfTree *tree = hf_shown_point_tree(item->point, worker->browser, error);
  gboolean good = tree != NULL && hf_tree_extras(worker->browser, tree, node, &blob, &found, error);
  if (good)
    g_byte_array_append(extras, found.data, (guint)found.length);
  hf_worker_give(mount, worker);
  return good;
}

static gboolean get_extras(HfExport *export, HfExportItem *item, GByteArray *extras, GError **error)
{
  HfMount *mount = (HfMount *)export;
  GError *problem = NULL;
  if (item->kind != HF_ITEM_TREE)
    return TRUE;
  g_autoptr(HfTreeNode) node = hf_item_node(mount, item, &problem);
  if (node != NULL && !(node->entry.flags & (HF_ENTRY_EXTRAS | HF_ENTRY_EXTRAS_BLOB)))
    return TRUE;
  if (node != NULL && read_extras(mount, item, node, extras, &problem))
    return TRUE;
  hf_mount_warn(mount, item, problem);
  g_propagate_error(error, problem);
  return FALSE;
}

/* ---- Looking up. ---- */

static HfExportItem *make_top(HfMount *mount, HfExportItem *folder, const char *name, HfShownPoint *point,
                              GError **error)
{
  HfTreeNode top;
  HfExportItem *item = NULL;
  HfMountWorker *worker = hf_worker_take(mount, 0);
  HfTree *tree = hf_shown_point_tree(point, worker->browser, error);
  hf_worker_give(mount, worker);
  if (tree != NULL) {
    hf_tree_top(tree, &top);
    item = hf_item_make(mount, folder, name, HF_ITEM_TREE, point, &top);
  }
  return item;
}

static HfShownPoint *find_shown(const GPtrArray *points, const HfExportItem *folder, const char *name)
{
  for (guint i = 0; i < points->len; i++) {
    HfShownPoint *point = g_ptr_array_index(points, i);
    if (folder->kind == HF_ITEM_IDS ? strcmp(point->id, name) == 0
                                    : point->folder != NULL && strcmp(point->folder, folder->key.name) == 0 &&
                                        strcmp(point->name, name) == 0)
      return point;
  }
  return NULL;
}

/* Above the trees the points decide, not what is known of them. */
static HfExportItem *look_up_above(HfMount *mount, HfExportItem *folder, const char *name, GError **error)
{
  g_autoptr(HfShared) points = hf_mount_points(mount);
  if (folder->kind == HF_ITEM_TOP) {
    gboolean ids = strcmp(name, "ids") == 0;
    if (!ids && hf_newest_in(points->all, name) == NULL)
      return NULL;
    return hf_item_make(mount, folder, name, ids ? HF_ITEM_IDS : HF_ITEM_NAME, NULL, NULL);
  }
  if (folder->kind == HF_ITEM_NAME && strcmp(name, "latest") == 0)
    return hf_newest_in(points->all, folder->key.name) != NULL
             ? hf_item_make(mount, folder, name, HF_ITEM_LATEST, NULL, NULL) : NULL;
  HfShownPoint *point = find_shown(points->all, folder, name);
  return point != NULL ? make_top(mount, folder, name, point, error) : NULL;
}

static HfExportItem *look_up_below(HfMount *mount, HfExportItem *folder, const char *name, GError **error)
{
  GError *problem = NULL;
  HfExportItem *item = hf_item_get(mount, folder, name);
  if (item != NULL)
    return item;
  HfMountWorker *worker = hf_worker_take(mount, 0);
  HfTree *tree = hf_shown_point_tree(folder->point, worker->browser, &problem);
  g_autoptr(HfTreeNode) node = NULL;
  if (tree != NULL)
    node = hf_tree_find_child(worker->browser, tree, folder->node, (HfView){ (const guint8 *)name, strlen(name) },
                              &problem);
  hf_worker_give(mount, worker);
  if (problem != NULL)
    g_propagate_error(error, problem);
  return node != NULL ? hf_item_make(mount, folder, name, HF_ITEM_TREE, folder->point, node) : NULL;
}

HfExportItem *hf_mount_lookup(HfExport *export, HfExportItem *folder, const char *name, GError **error)
{
  HfMount *mount = (HfMount *)export;
  GError *problem = NULL;
  if (!folder->is_folder) {
    hf_fail(error, HF_ERROR_USAGE, "this is no folder");
    return NULL;
  }
  HfExportItem *item = folder->kind == HF_ITEM_TREE ? look_up_below(mount, folder, name, &problem)
                                                    : look_up_above(mount, folder, name, &problem);
  if (problem != NULL) {
    hf_mount_warn(mount, folder, problem);
    g_propagate_error(error, problem);
  }
  return item;
}

/* ---- The mount. ---- */

static HfExportItem *get_top(HfExport *export)
{
  return ((HfMount *)export)->top;
}

static void unref(HfExport *export, HfExportItem *item, guint64 count)
{
  hf_item_unref((HfMount *)export, item, count);
}

static const HfExportOps mount_ops = {
  .top = get_top, .lookup = hf_mount_lookup, .unref = unref, .lifetime = get_lifetime, .status = hf_mount_status,
  .read_link = read_link, .extras = get_extras, .list_open = hf_mount_list_open, .list_read = hf_mount_list_read,
  .list_close = hf_mount_list_close, .open = hf_mount_open, .read = hf_mount_read, .extent = hf_mount_extent,
  .size = hf_mount_size, .close = hf_mount_close,
};

static gboolean open_mount(HfMount *mount, const HfPointInfo *point, GError **error)
{
  HfRepo *repo = mount->repo;
  mount->session = hf_session_open(repo, HF_PURPOSE_READ, error);
  if (mount->session == NULL || !hf_repo_fresh_index(repo, error))
    return FALSE;
  mount->cache = hf_blob_cache_new(repo, CACHE_BYTES);
  if (point != NULL) {
    hf_mount_show_one(mount, point);
    mount->top = make_top(mount, NULL, "", g_ptr_array_index(mount->points->all, 0), error);
  } else {
    mount->top = hf_item_make(mount, NULL, "", HF_ITEM_TOP, NULL, NULL);
    if (!hf_mount_first_look(mount, error))
      return FALSE;
  }
  return mount->top != NULL;
}

HfMount *hf_mount_new(HfRepo *repo, const HfPointInfo *point, GError **error)
{
  g_autoptr(HfMount) mount = g_new0(HfMount, 1);
  mount->export.ops = &mount_ops;
  mount->repo = repo;
  g_mutex_init(&mount->lock);
  g_mutex_init(&mount->looking);
  g_queue_init(&mount->workers);
  mount->warned = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
  mount->files = g_hash_table_new(NULL, NULL);
  mount->lists = g_hash_table_new(NULL, NULL);
  hf_items_init(&mount->items);
  return open_mount(mount, point, error) ? g_steal_pointer(&mount) : NULL;
}

/* Closes what the server left open: who unmounts by force is not told of it. */
static void close_all(HfMount *mount, GHashTable *open, void (*close)(HfExport *export, gpointer handle))
{
  g_autoptr(GList) handles = g_hash_table_get_keys(open);
  for (GList *at = handles; at != NULL; at = at->next)
    close(&mount->export, at->data);
  g_hash_table_unref(open);
}

static void close_file(HfExport *export, gpointer file)
{
  hf_mount_close(export, file);
}

static void close_list(HfExport *export, gpointer list)
{
  hf_mount_list_close(export, list);
}

void hf_mount_free(HfMount *mount)
{
  if (mount == NULL)
    return;
  close_all(mount, mount->files, close_file);
  close_all(mount, mount->lists, close_list);
  hf_workers_clear(mount);
  hf_items_clear(&mount->items);
  hf_shared_unref(mount->points);
  hf_blob_cache_free(mount->cache);
  hf_session_free(mount->session);
  g_hash_table_unref(mount->warned);
  g_mutex_clear(&mount->lock);
  g_mutex_clear(&mount->looking);
  g_free(mount);
}
