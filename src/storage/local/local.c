/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "storage/local/local.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/sys.h"
#include "storage/local/internal.h"

#define OPEN_OBJECTS 64
#define OPEN_FOLDERS 64

/* ---- Reading. ---- */

static gboolean is_missing(int errnum)
{
  return errnum == ENOENT || errnum == ENOTDIR || errnum == EISDIR || errnum == ELOOP || errnum == ENXIO;
}

static gboolean fail_missing(HfStore *store, const char *name, GError **error)
{
  return hf_fail(error, HF_ERROR_NOT_FOUND, "there is no object '%s' in '%s'", name, store->location);
}

static gboolean fail_name(HfStore *store, const char *name, int errnum, const char *verb, GError **error)
{
  if (is_missing(errnum))
    return fail_missing(store, name, error);
  return hf_fail_errno(error, errnum, "cannot %s object '%s' of '%s'", verb, name, store->location);
}

static HfFd *open_object(HfLocal *local, const char *name, guint stamp, GError **error)
{
  const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
  hf_autofd int fd = HF_AGAIN(hf_sys->openat(local->root->fd, name, flags, 0));
  if (fd < 0) {
    fail_name(&local->store, name, errno, "open", error);
    return NULL;
  }
  if (!hf_store_name_keeps(name))
    return hf_fd_new(name, hf_steal_fd(&fd));
  return hf_fds_add(local->objects, name, hf_steal_fd(&fd), stamp);
}

static gboolean read_range(HfStore *store, HfFd *object, guint64 offset, void *bytes, gsize length, GError **error)
{
  struct stat status;
  if (HF_AGAIN(hf_sys->fstatat(object->fd, "", &status, AT_EMPTY_PATH)) < 0)
    return fail_name(store, object->name, errno, "read", error);
  if (!S_ISREG(status.st_mode) || status.st_nlink == 0)
    return fail_missing(store, object->name, error);
  gssize count = hf_pread_full(object->fd, bytes, length, (goffset)offset, object->name, error);
  if (count >= 0 && (gsize)count < length)
    return hf_fail(error, HF_ERROR_DAMAGED,
                   "object '%s' of '%s' is too short: it has no %" G_GSIZE_FORMAT " bytes at %" G_GUINT64_FORMAT
                   " but %" G_GUINT64_FORMAT " bytes in all", object->name, store->location, length, offset,
                   (guint64)status.st_size);
  return count >= 0;
}

static gboolean local_get(HfStore *store, const char *name, guint64 offset, void *bytes, gsize length, GError **error)
{
  HfLocal *local = (HfLocal *)store;
  guint stamp;
  g_autoptr(HfFd) kept = hf_fds_find(local->objects, name, &stamp);
  if (kept != NULL) {
    if (read_range(store, kept, offset, bytes, length, NULL))
      return TRUE;
    /* Removed, perhaps replaced since, or its server forgot our handle: the name decides. */
    hf_fds_drop(local->objects, name);
  }
  g_autoptr(HfFd) object = open_object(local, name, stamp, error);
  return object != NULL && read_range(store, object, offset, bytes, length, error);
}

static gboolean local_size(HfStore *store, const char *name, guint64 *size, GError **error)
{
  HfLocal *local = (HfLocal *)store;
  struct stat status;
  if (HF_AGAIN(hf_sys->fstatat(local->root->fd, name, &status, AT_SYMLINK_NOFOLLOW)) < 0)
    return fail_name(store, name, errno, "look at", error);
  if (!S_ISREG(status.st_mode))
    return fail_missing(store, name, error);
  *size = (guint64)status.st_size;
  return TRUE;
}

/* ---- Removing. ---- */

/* Removes the folders above `name` that are empty now. Those that are not, or that may not be removed, stay. */
static void remove_folders(HfLocal *local, const char *name)
{
  g_autofree char *path = g_strdup(name);
  char *slash;
  while ((slash = strrchr(path, '/')) != NULL) {
    *slash = '\0';
    if (HF_AGAIN(hf_sys->unlinkat(local->root->fd, path, AT_REMOVEDIR)) < 0)
      return;
    hf_fds_drop(local->folders, path);
  }
}

static gboolean local_held(HfStore *store, const char *name)
{
  HfLocal *local = (HfLocal *)store;
  struct statx status;
  return HF_AGAIN(hf_sys->statx(local->root->fd, name, AT_SYMLINK_NOFOLLOW, STATX_TYPE, &status)) == 0 &&
    (status.stx_attributes & STATX_ATTR_IMMUTABLE) != 0;
}

static gboolean local_remove(HfStore *store, const char *name, GError **error)
{
  HfLocal *local = (HfLocal *)store;
  if (HF_AGAIN(hf_sys->unlinkat(local->root->fd, name, 0)) < 0) {
    int errnum = errno;
    if (errnum == EPERM && local_held(store, name))
      return hf_fail(error, HF_ERROR_PERMISSION,
                     "cannot remove object '%s' of '%s': its file is immutable; that ends when its lock has ended",
                     name, store->location);
    return fail_name(store, name, errnum, "remove", error);
  }
  hf_fds_drop(local->objects, name);
  remove_folders(local, name);
  return TRUE;
}

static gboolean local_usage(HfStore *store, HfStoreUsage *usage, GError **error)
{
  HfLocal *local = (HfLocal *)store;
  struct statvfs status;
  if (HF_AGAIN(hf_sys->fstatvfs(local->root->fd, &status)) < 0)
    return hf_fail_errno(error, errno, "cannot tell the free space of '%s'", store->location);
  usage->bytes_total = (guint64)status.f_blocks * status.f_frsize;
  usage->bytes_free = (guint64)status.f_bavail * status.f_frsize;
  return TRUE;
}

/* ---- Opening and closing. ---- */

static void local_free(HfStore *store)
{
  HfLocal *local = (HfLocal *)store;
  hf_fds_free(local->objects);
  hf_fds_free(local->folders);
  hf_fd_unref(local->root);
  g_free(local);
}

static const HfStoreOps local_ops = {
  .put_begin = hf_local_put_begin,
  .put_write = hf_local_put_write,
  .put_read = hf_local_put_read,
  .put_commit = hf_local_put_commit,
  .put_free = hf_local_put_free,
  .get = local_get,
  .size = local_size,
  .list = hf_local_list,
  .remove = local_remove,
  .free = local_free,
  .usage = local_usage,
  .held = local_held,
};

/* Makes the folder when it is missing, and sees to it that it survives a power loss. */
static gboolean make_root(const char *path, GError **error)
{
  if (HF_AGAIN(hf_sys->mkdirat(AT_FDCWD, path, 0700)) < 0 && errno != EEXIST) {
    if (errno == ENOENT)
      return hf_fail(error, HF_ERROR_NOT_FOUND,
                     "cannot create folder '%s': its parent does not exist; create that first", path);
    return hf_fail_errno(error, errno, "cannot create folder '%s'", path);
  }
  hf_autofd int fd = hf_open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0, error);
  if (fd < 0)
    return FALSE;
  /* Who may write into the parent and not read it cannot open it: then the whole file system is synced. */
  g_autoptr(HfFd) parent = hf_fd_new(path, hf_open(fd, "..", O_RDONLY | O_DIRECTORY, 0, NULL));
  int errnum = parent->fd >= 0 ? hf_fd_sync(parent, 0) : HF_AGAIN(hf_sys->syncfs(fd)) < 0 ? errno : 0;
  return errnum == 0 || hf_fail_errno(error, errnum, "cannot sync the parent of folder '%s'", path);
}

/* A file without a name gets one through /proc; where that is not mounted files have a name from the start. */
static gboolean has_proc(int fd)
{
  char path[64];
  struct stat status;
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  return HF_AGAIN(hf_sys->fstatat(AT_FDCWD, path, &status, 0)) == 0;
}

/* Files that no store would name like this are somebody else's: a repository is not made among them. */
static gboolean refuse_foreign(const char *path, GError **error)
{
  g_autoptr(GError) problem = NULL;
  g_autoptr(GDir) folder = g_dir_open(path, 0, &problem);
  if (folder == NULL)
    return hf_fail(error, HF_ERROR_IO, "cannot list '%s': %s", path, problem->message);
  for (const char *name; (name = g_dir_read_name(folder)) != NULL;)
    if (!hf_store_name_valid(name) && !g_str_has_prefix(name, HF_LOCAL_TEMPORARY) && !g_str_equal(name, "lost+found"))
      return hf_fail(error, HF_ERROR_REFUSED, "'%s' is not empty: it holds '%s'; choose another place", path, name);
  return TRUE;
}

HfStore *hf_local_open(const char *path, gboolean create, GError **error)
{
  if (create && (!make_root(path, error) || !refuse_foreign(path, error)))
    return NULL;
  int fd = hf_open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0, error);
  if (fd < 0)
    return NULL;
  HfLocal *local = g_new0(HfLocal, 1);
  local->store.ops = &local_ops;
  local->store.features = HF_STORE_EXCLUSIVE | HF_STORE_LOCAL;
  local->store.location = g_strdup(path);
  local->root = hf_fd_new("", fd);
  local->objects = hf_fds_new(OPEN_OBJECTS);
  local->folders = hf_fds_new(OPEN_FOLDERS);
  local->named = !has_proc(fd);
  return &local->store;
}

void hf_local_register(void)
{
  hf_store_register("file", hf_local_open);
}
