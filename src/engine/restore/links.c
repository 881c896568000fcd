/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "engine/restore/links.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/sys.h"
#include "engine/restore/files.h"

#define KEY_BYTES 40
#define COPIED_BYTES (128u << 10)

/* One name of an inode. */
typedef struct LinkName {
  HfRestoreFolder *folder; /* held */
  char *name, *shown;      /* shown may be NULL */
  gboolean first;          /* the file speaks under this name: trouble with it was told already */
} LinkName;

/* An inode that is being restored. */
struct HfLink {
  guint64 device, inode;
  GPtrArray *names; /* of LinkName*: to be given to it */
};

typedef struct LockedName {
  LinkName *name;
  HfTreeNode *node;
} LockedName;

static guint link_hash(gconstpointer key)
{
  const HfLink *link = key;
  return g_int64_hash(&link->inode) ^ g_int64_hash(&link->device);
}

static gboolean link_equal(gconstpointer a, gconstpointer b)
{
  const HfLink *one = a, *other = b;
  return one->inode == other->inode && one->device == other->device;
}

void hf_links_init(HfLinks *links)
{
  *links = (HfLinks){ .open = g_hash_table_new(link_hash, link_equal), .locked = g_ptr_array_new() };
  g_mutex_init(&links->lock);
}

void hf_links_clear(HfLinks *links)
{
  g_hash_table_unref(links->open);
  g_ptr_array_unref(links->locked);
  g_mutex_clear(&links->lock);
}

static LinkName *name_new(HfRestoreFolder *folder, const char *name, const char *shown)
{
  LinkName *link_name = g_new(LinkName, 1);
  *link_name = (LinkName){ folder, g_strdup(name), g_strdup(shown), FALSE };
  hf_folder_hold(folder);
  return link_name;
}

static void name_free(HfRestoreWorker *worker, LinkName *name)
{
  hf_folder_release(worker, name->folder);
  g_free(name->name);
  g_free(name->shown);
  g_free(name);
}

/* The name as a spot, for paths and metadata. */
static void name_spot(const LinkName *name, HfSpot *spot)
{
  hf_spot_init(spot, &name->folder->spot, name->name, name->shown, FALSE);
}

static void make_key(char key[KEY_BYTES], guint64 device, guint64 inode)
{
  g_snprintf(key, KEY_BYTES, "%" G_GINT64_MODIFIER "x-%" G_GINT64_MODIFIER "x", device, inode);
}

/* ---- Copies, where links cannot be made. ---- */

static gboolean copy_range(int from, int to, off_t start, off_t end, guint8 *bytes, GError **error)
{
  while (start < end) {
    gssize got = hf_pread_full(from, bytes, MIN(COPIED_BYTES, (gsize)(end - start)), start, "a restored file", error);
    if (got <= 0)
      return got == 0;
    if (!hf_pwrite_all(to, bytes, (gsize)got, start, "a copy", error))
      return FALSE;
    start += got;
  }
  return TRUE;
}

/* Holes stay holes. */
static gboolean copy_bytes(int from, int to, guint64 size, GError **error)
{
  g_autofree guint8 *bytes = g_malloc(COPIED_BYTES);
  off_t at = 0;
  while (at < (off_t)size) {
    off_t start = HF_AGAIN(hf_sys->lseek(from, at, SEEK_DATA)), end = start;
    if (start < 0 && errno == ENXIO)
      break;
    if (start >= 0)
      end = HF_AGAIN(hf_sys->lseek(from, start, SEEK_HOLE));
    if (start < 0 || end < 0) {
      start = at; /* no holes on this file system */
      end = (off_t)size;
    }
    if (!copy_range(from, to, start, end, bytes, error))
      return FALSE;
    at = end;
  }
  return HF_AGAIN(hf_sys->ftruncate(to, (off_t)size)) == 0 ||
         hf_fail_errno(error, errno, "cannot set the size of a copy");
}

static gboolean copy_file(HfRestoreWorker *worker, const HfTreeNode *node, int from_folder, const char *key, int folder,
                          const LinkName *name, GError **error)
{
  HfSpot spot;
  gboolean locked;
  name_spot(name, &spot);
  if (!S_ISREG(node->entry.mode)) {
    if (!hf_target_special(folder, name->name, &node->entry, worker->state->overwrite, error))
      return FALSE;
    hf_restore_apply(worker, &spot, -1, node, FALSE, &locked);
    return TRUE;
  }
  g_autofree char *beside = NULL;
  hf_autofd int from = hf_open(from_folder, key, O_RDONLY | O_NOFOLLOW, 0, error);
  hf_autofd int to = from >= 0 ? hf_target_file(folder, name->name, worker->state->overwrite, &beside, error) : -1;
  if (to < 0)
    return FALSE;
  if (copy_bytes(from, to, node->entry.size, error)) {
    hf_restore_apply(worker, &spot, to, node, FALSE, &locked);
    if (beside == NULL || (hf_target_settle(to, name->name, error) &&
                           hf_target_replace(folder, beside, name->name, error)))
      return TRUE;
  }
  HF_AGAIN(hf_sys->unlinkat(folder, beside != NULL ? beside : name->name, 0));
  return FALSE;
}

/* ---- Giving names. ---- */

/* Links the inode `key` to the name, or copies it. `folder` is that of links. */
static gboolean give_name(HfRestoreWorker *worker, const HfTreeNode *node, const char *key, gboolean damaged, int links,
                          int folder, const LinkName *name, GError **error)
{
  HfRestoreState *state = worker->state;
  g_autoptr(GError) problem = NULL;
  if (damaged) {
    g_autofree char *other_key = hf_damaged_name(key), *other_name = hf_damaged_name(name->name);
    return hf_target_link(links, other_key, folder, other_name, HF_OVERWRITE_REFUSE, error);
  }
  if (hf_target_link(links, key, folder, name->name, state->overwrite, &problem))
    return TRUE;
  if (hf_error_is(problem, HF_ERROR_IO) || hf_error_is(problem, HF_ERROR_PERMISSION)) {
    HfSpot spot;
    name_spot(name, &spot);
    hf_report_warning(state->report, hf_restore_path(worker, &spot), "is restored as a copy, not as a hard link: %s",
                      problem->message);
    return copy_file(worker, node, links, key, folder, name, error);
  }
  g_propagate_error(error, g_steal_pointer(&problem));
  return FALSE;
}

static void finish_name(HfRestoreWorker *worker, const HfTreeNode *node, const char *key, gboolean damaged,
                        const LinkName *name)
{
  HfRestoreState *state = worker->state;
  HfSpots *spots = &state->spots;
  HfSpot spot;
  GError *problem = NULL;
  name_spot(name, &spot);
  int links = hf_spot_open(spots, &state->links.folder->spot, &problem), folder = -1;
  if (links >= 0)
    folder = hf_spot_open(spots, &name->folder->spot, &problem);
  if (folder >= 0)
    give_name(worker, node, key, damaged, links, folder, name, &problem);
  if (folder >= 0)
    hf_spot_unpin(spots, &name->folder->spot);
  if (links >= 0)
    hf_spot_unpin(spots, &state->links.folder->spot);
  if (problem == NULL && !damaged) {
    guint64 size = S_ISREG(node->entry.mode) ? node->entry.size : 0;
    worker->files++;
    worker->bytes += size;
    worker->progress += size;
    hf_report_item(state->report, hf_restore_path(worker, &spot), "restored");
    return;
  }
  if (problem == NULL && name->first)
    return;
  const char *path = hf_restore_path(worker, &spot);
  hf_restore_missing(state, path, damaged);
  if (problem == NULL) {
    hf_report_warning(state->report, path, "is damaged like its other names");
    return;
  }
  g_autofree char *message = g_strdup(problem->message);
  if (hf_restore_goes_on(worker, path, problem))
    hf_report_warning(state->report, path, "cannot be restored: %s", message);
}

/* A name of a file that could not be put down at all. */
static void lose_name(HfRestoreWorker *worker, const LinkName *name)
{
  HfSpot spot;
  if (name->first)
    return;
  name_spot(name, &spot);
  const char *path = hf_restore_path(worker, &spot);
  hf_report_warning(worker->state->report, path, "cannot be restored, like its other names");
  hf_restore_missing(worker->state, path, FALSE);
}

/* ---- What the planner asks. ---- */

static gboolean make_folder(HfRestoreWorker *worker)
{
  HfLinks *links = &worker->state->links;
  if (links->folder != NULL || links->broken)
    return !links->broken;
  g_autofree char *name = g_strdup_printf(".holdfast-links-%08x", g_random_int());
  HfRestoreFolder *folder = hf_folder_new(worker->state->target, name, NULL, NULL);
  if (hf_folder_make(worker, folder, HF_OVERWRITE_REFUSE)) {
    links->folder = folder;
    return TRUE;
  }
  hf_folder_release(worker, folder);
  links->broken = TRUE;
  return FALSE;
}

static gboolean stands(HfRestoreWorker *worker, const char *key)
{
  HfSpots *spots = &worker->state->spots;
  HfSpot *spot = &worker->state->links.folder->spot;
  struct stat status;
  int folder = hf_spot_open(spots, spot, NULL);
  if (folder < 0)
    return FALSE;
  gboolean found = HF_AGAIN(hf_sys->fstatat(folder, key, &status, AT_SYMLINK_NOFOLLOW)) == 0;
  hf_spot_unpin(spots, spot);
  return found;
}

/* Is the inode restored already? */
static gboolean is_settled(HfRestoreWorker *worker, const char *key, gboolean *damaged)
{
  *damaged = FALSE;
  if (stands(worker, key))
    return TRUE;
  g_autofree char *other = hf_damaged_name(key);
  *damaged = worker->state->links.any_damaged && stands(worker, other);
  return *damaged;
}

static gboolean join(HfLinks *links, const HfLink *key, HfRestoreFolder *folder, const char *name, const char *shown)
{
  HF_LOCK(&links->lock);
  HfLink *link = g_hash_table_lookup(links->open, key);
  if (link != NULL)
    g_ptr_array_add(link->names, name_new(folder, name, shown));
  return link != NULL;
}

gboolean hf_links_add(HfRestoreWorker *worker, HfRestoreFolder *folder, const char *name, const HfTreeNode *node,
                      const char *shown, HfRestoreFile **file)
{
  HfLinks *links = &worker->state->links;
  HfLink wanted = { node->entry.device, node->entry.inode, NULL };
  char key[KEY_BYTES];
  gboolean damaged;
  *file = NULL;
  if (!make_folder(worker))
    return FALSE;
  if (join(links, &wanted, folder, name, shown))
    return TRUE;
  make_key(key, wanted.device, wanted.inode);
  LinkName *first = name_new(folder, name, shown);
  if (is_settled(worker, key, &damaged)) {
    finish_name(worker, node, key, damaged, first);
    name_free(worker, first);
    return TRUE;
  }
  HfSpot spot;
  first->first = TRUE;
  name_spot(first, &spot);
  *file = hf_file_new(links->folder, key, node, hf_restore_path(worker, &spot));
  HfLink *link = g_new(HfLink, 1);
  *link = (HfLink){ wanted.device, wanted.inode, g_ptr_array_new() };
  g_ptr_array_add(link->names, first);
  (*file)->link = link;
  g_mutex_lock(&links->lock);
  g_hash_table_add(links->open, link);
  g_mutex_unlock(&links->lock);
  return TRUE;
}

/* ---- The end. ---- */

/* The names that wait; NULL when there are none: then no more can come. */
static GPtrArray *take_names(HfLinks *links, HfLink *link)
{
  HF_LOCK(&links->lock);
  GPtrArray *names = link->names;
  if (names->len > 0) {
    link->names = g_ptr_array_new();
    return names;
  }
  g_hash_table_remove(links->open, link);
  return NULL;
}

static void note_locked(HfLinks *links, LinkName *name, const HfTreeNode *node)
{
  LockedName *locked = g_new(LockedName, 1);
  *locked = (LockedName){ name_new(name->folder, name->name, name->shown), hf_tree_node_copy(node) };
  HF_LOCK(&links->lock);
  g_ptr_array_add(links->locked, locked);
}

void hf_links_settle(HfRestoreWorker *worker, HfRestoreFile *file, gboolean in_place, gboolean damaged)
{
  HfLinks *links = &worker->state->links;
  HfLink *link = file->link;
  char key[KEY_BYTES];
  make_key(key, link->device, link->inode);
  if (in_place && damaged) {
    HF_LOCK(&links->lock);
    links->any_damaged = TRUE;
  }
  for (GPtrArray *names; (names = take_names(links, link)) != NULL; g_ptr_array_unref(names))
    for (guint i = 0; i < names->len; i++) {
      LinkName *name = names->pdata[i];
      if (in_place)
        finish_name(worker, file->node, key, damaged, name);
      else if (!g_atomic_int_get(&file->dropped))
        lose_name(worker, name);
      if (in_place && file->locked) {
        note_locked(links, name, file->node);
        file->locked = FALSE;
      }
      name_free(worker, name);
    }
  g_ptr_array_unref(link->names);
  g_free(link);
}

static void remove_all(int folder)
{
  char buffer[16384];
  gboolean any = TRUE;
  while (any && HF_AGAIN(hf_sys->lseek(folder, 0, SEEK_SET)) == 0) {
    gssize got;
    any = FALSE;
    while ((got = HF_AGAIN(hf_sys->getdents64(folder, buffer, sizeof buffer))) > 0)
      for (char *at = buffer; at < buffer + got;) {
        const struct dirent64 *entry = (const struct dirent64 *)(void *)at;
        at += entry->d_reclen;
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
          any = HF_AGAIN(hf_sys->unlinkat(folder, entry->d_name, 0)) == 0 || any;
      }
  }
}

static void remove_folder(HfRestoreWorker *worker)
{
  HfRestoreState *state = worker->state;
  HfSpot *spot = &state->links.folder->spot;
  int folder = hf_spot_open(&state->spots, spot, NULL);
  if (folder >= 0) {
    remove_all(folder);
    hf_spot_unpin(&state->spots, spot);
  }
  hf_spot_close(&state->spots, spot);
  if (HF_AGAIN(hf_sys->unlinkat(state->target->spot.fd, spot->name, AT_REMOVEDIR)) < 0)
    hf_report_warning(state->report, spot->name, "cannot be removed: %s; remove it by hand", g_strerror(errno));
  hf_folder_release(worker, state->links.folder);
  state->links.folder = NULL;
}

void hf_links_end(HfRestoreWorker *worker)
{
  HfLinks *links = &worker->state->links;
  if (links->folder == NULL)
    return;
  remove_folder(worker);
  for (guint i = 0; i < links->locked->len; i++) {
    LockedName *locked = links->locked->pdata[i];
    HfSpot spot;
    name_spot(locked->name, &spot);
    hf_restore_apply(worker, &spot, -1, locked->node, TRUE, NULL);
    name_free(worker, locked->name);
    hf_tree_node_free(locked->node);
    g_free(locked);
  }
}
