/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Writing an object into a folder.
 *
 *  I1 Until its commit an object is a file without a name (O_TMPFILE) or with a name that starts with a dot: no list
 *     and no get can see it, and the kernel removes what is unnamed when its writer dies.
 *  I2 The bytes are synced before the name appears; the name appears by linkat or RENAME_NOREPLACE, which fail when it
 *     exists; the commit returns after the folder is synced. A file that had no name is synced once more in between: a
 *     file system without a journal may hold its link count as 0 on disk, and a check would free it.
 *  I3 The path to a folder is on disk before the folder comes into the cache: whoever made it, each parent is synced
 *     after the entry was seen. An open folder that is removed stays removed for ever (its descriptor takes no new
 *     names), so what is in the cache cannot lose its path unnoticed.
 *  I4 A sync that failed is never believed the second time: the kernel may have dropped the bytes. The put is lost
 *     then, and so is every commit whose change the failed sync may have covered (hf_fd_sync).
 *  I5 EEXIST for our own inode is success: on a network file system the first answer may have been lost.
 */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/sys.h"
#include "storage/local/internal.h"

/* Folders may be removed by others, once they are empty, at any moment before our file is in them. */
#define FOLDER_TRIES 500

typedef struct LocalPut {
  HfPut put;
  int fd;
  HfFd *folder;
  char *temporary; /* name in the folder, NULL when the file has none */
  gboolean synced; /* all bytes are on disk */
  gboolean lost;   /* I4 */
} LocalPut;

/* ---- Folders. ---- */

static char *folder_of(const char *name)
{
  const char *slash = strrchr(name, '/');
  return slash == NULL ? g_strdup("") : g_strndup(name, (gsize)(slash - name));
}

static const char *leaf_of(const char *name)
{
  const char *slash = strrchr(name, '/');
  return slash == NULL ? name : slash + 1;
}

/* Opens `leaf` in `parent`, making it when it is missing. Returns -1 with errno. */
static int open_or_make(HfFd *parent, const char *leaf)
{
  const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  int fd = HF_AGAIN(hf_sys->openat(parent->fd, leaf, flags, 0));
  if (fd >= 0 || errno != ENOENT)
    return fd;
  if (HF_AGAIN(hf_sys->mkdirat(parent->fd, leaf, 0700)) < 0 && errno != EEXIST)
    return -1;
  return HF_AGAIN(hf_sys->openat(parent->fd, leaf, flags, 0));
}

/* The folder `path` below the root, durably there (I3), or NULL with errno. */
static HfFd *open_folder(HfLocal *local, const char *path)
{
  if (*path == '\0')
    return hf_fd_ref(local->root);
  guint stamp;
  HfFd *found = hf_fds_find(local->folders, path, &stamp);
  if (found != NULL)
    return found;
  g_autofree char *above = folder_of(path);
  g_autoptr(HfFd) parent = open_folder(local, above);
  if (parent == NULL)
    return NULL;
  guint failures = hf_fd_failures(parent);
  hf_autofd int fd = open_or_make(parent, leaf_of(path));
  if (fd < 0)
    return NULL;
  int errnum = hf_fd_sync(parent, failures);
  if (errnum != 0) {
    errno = errnum;
    return NULL;
  }
  return hf_fds_add(local->folders, path, hf_steal_fd(&fd), stamp);
}

static gboolean folder_is_gone(int errnum)
{
  return errnum == ENOENT || errnum == ESTALE;
}

/* Forgets the folder and all above it: when one is gone, those above may be gone with it. Leaves errno alone. */
static void forget_folders(HfLocal *local, const char *path)
{
  int errnum = errno;
  g_autofree char *rest = g_strdup(path);
  while (*rest != '\0') {
    hf_fds_drop(local->folders, rest);
    char *slash = strrchr(rest, '/');
    *(slash != NULL ? slash : rest) = '\0';
  }
  errno = errnum;
}

/* ---- The file. ---- */

static gboolean cannot_be_unnamed(int errnum)
{
  return errnum == EOPNOTSUPP || errnum == EISDIR || errnum == EINVAL || errnum == ENOSYS;
}

/* Opens put->fd in put->folder; FALSE with errno. */
static gboolean open_file(HfLocal *local, LocalPut *put)
{
  const int flags = O_RDWR | O_CLOEXEC;
  if (!g_atomic_int_get(&local->named)) {
    put->fd = HF_AGAIN(hf_sys->openat(put->folder->fd, ".", flags | O_TMPFILE, 0400));
    if (put->fd >= 0 || !cannot_be_unnamed(errno))
      return put->fd >= 0;
    g_atomic_int_set(&local->named, 1);
  }
  do {
    g_free(put->temporary);
    put->temporary = g_strdup_printf(HF_LOCAL_TEMPORARY "%08x%08x", g_random_int(), g_random_int());
    put->fd = HF_AGAIN(hf_sys->openat(put->folder->fd, put->temporary, flags | O_CREAT | O_EXCL, 0400));
  } while (put->fd < 0 && errno == EEXIST);
  return put->fd >= 0;
}

/* TRUE when the open folder has been removed. */
static gboolean folder_was_removed(HfFd *folder)
{
  struct stat status;
  return HF_AGAIN(hf_sys->fstatat(folder->fd, "", &status, AT_EMPTY_PATH)) == 0 && status.st_nlink == 0;
}

/* Opens the folder and the file in it; FALSE with errno, which is ENOENT when the folder is gone. */
static gboolean begin_once(HfLocal *local, LocalPut *put, const char *path)
{
  put->folder = open_folder(local, path);
  if (put->folder == NULL)
    return FALSE;
  if (open_file(local, put))
    return TRUE;
  int errnum = errno;
  if (folder_was_removed(put->folder)) /* ext4 calls this EPERM */
    errnum = ENOENT;
  g_clear_pointer(&put->folder, hf_fd_unref);
  errno = errnum;
  return FALSE;
}

static gboolean begin(HfLocal *local, LocalPut *put, const char *name)
{
  g_autofree char *path = folder_of(name);
  for (guint tries = 0; tries < FOLDER_TRIES; tries++) {
    if (begin_once(local, put, path))
      return TRUE;
    if (!folder_is_gone(errno))
      return FALSE;
    forget_folders(local, path);
  }
  return FALSE;
}

HfPut *hf_local_put_begin(HfStore *store, const char *name, GError **error)
{
  LocalPut *put = g_new0(LocalPut, 1);
  put->fd = -1;
  if (begin((HfLocal *)store, put, name))
    return &put->put;
  int errnum = errno;
  g_clear_pointer(&put->temporary, g_free);
  hf_local_put_free(&put->put);
  hf_fail_errno(error, errnum, "cannot create object '%s' in '%s'", name, store->location);
  return NULL;
}

gboolean hf_local_put_write(HfPut *base, const struct iovec *vector, int count, GError **error)
{
  LocalPut *put = (LocalPut *)base;
  put->synced = FALSE;
  return hf_writev_all(put->fd, vector, count, put->put.name, error);
}

static gboolean fail_lost(LocalPut *put, GError **error)
{
  return hf_fail(error, HF_ERROR_IO, "object '%s' of '%s' may have lost bytes when a sync failed; write it again",
                 put->put.name, put->put.store->location);
}

gboolean hf_local_put_read(HfPut *base, guint64 offset, void *bytes, gsize length, GError **error)
{
  LocalPut *put = (LocalPut *)base;
  if (put->lost)
    return fail_lost(put, error);
  gssize count = hf_pread_full(put->fd, bytes, length, (goffset)offset, put->put.name, error);
  if (count >= 0 && (gsize)count < length)
    return hf_fail(error, HF_ERROR_IO, "object '%s' of '%s' shrank while it was being written", put->put.name,
                   base->store->location);
  return count >= 0;
}

/* ---- The commit. ---- */

static gboolean sync_file(LocalPut *put, GError **error)
{
  if (put->synced)
    return TRUE;
  put->synced = HF_AGAIN(hf_sys->fsync(put->fd)) == 0;
  put->lost = !put->synced;
  return put->synced || hf_fail_errno(error, errno, "cannot sync object '%s' of '%s'", put->put.name,
                                      put->put.store->location);
}

/* TRUE when the name is there and is our file (I5). */
static gboolean is_ours(LocalPut *put)
{
  struct stat own, there;
  return HF_AGAIN(hf_sys->fstatat(put->fd, "", &own, AT_EMPTY_PATH)) == 0 &&
         HF_AGAIN(hf_sys->fstatat(put->folder->fd, leaf_of(put->put.name), &there, AT_SYMLINK_NOFOLLOW)) == 0 &&
         own.st_dev == there.st_dev && own.st_ino == there.st_ino;
}

static gboolean rename_unknown(int errnum)
{
  return errnum == EINVAL || errnum == ENOSYS || errnum == EOPNOTSUPP;
}

static int publish_temporary(HfLocal *local, LocalPut *put)
{
  const char *leaf = leaf_of(put->put.name);
  int folder = put->folder->fd;
  if (!g_atomic_int_get(&local->linked)) {
    int result = HF_AGAIN(hf_sys->renameat2(folder, put->temporary, folder, leaf, RENAME_NOREPLACE));
    if (result == 0 || !rename_unknown(errno))
      return result;
    g_atomic_int_set(&local->linked, 1);
  }
  return HF_AGAIN(hf_sys->linkat(folder, put->temporary, folder, leaf, 0));
}

static int publish_unnamed(LocalPut *put)
{
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", put->fd);
  return HF_AGAIN(hf_sys->linkat(AT_FDCWD, path, put->folder->fd, leaf_of(put->put.name), AT_SYMLINK_FOLLOW));
}

/* Gives the file its name. Returns 0 or an errno value. *failures is that of the folder from before. */
static int publish(HfLocal *local, LocalPut *put, guint *failures)
{
  for (guint tries = 0; tries < FOLDER_TRIES; tries++) {
    *failures = hf_fd_failures(put->folder);
    if ((put->temporary != NULL ? publish_temporary(local, put) : publish_unnamed(put)) == 0)
      return 0;
    int errnum = errno;
    if (is_ours(put))
      return 0;
    if (put->temporary != NULL || !folder_is_gone(errnum))
      return errnum;
    g_autofree char *path = folder_of(put->put.name);
    forget_folders(local, path);
    HfFd *folder = open_folder(local, path);
    if (folder == NULL && !folder_is_gone(errno))
      return errno;
    if (folder != NULL) {
      hf_fd_unref(put->folder);
      put->folder = folder;
    }
  }
  return ESTALE;
}

static gboolean fail_publish(LocalPut *put, int errnum, GError **error)
{
  HfStore *store = put->put.store;
  HfLocal *local = (HfLocal *)store;
  if (put->temporary != NULL && g_atomic_int_get(&local->linked) && (errnum == EPERM || rename_unknown(errnum)))
    return hf_fail(error, HF_ERROR_UNSUPPORTED,
                   "cannot create object '%s': the file system of '%s' has neither hard links nor renames that do "
                   "not replace; use another file system", put->put.name, store->location);
  if (put->temporary != NULL && errnum == ENOENT)
    return hf_fail(error, HF_ERROR_FAILED, "cannot create object '%s' in '%s': its unfinished file was removed",
                   put->put.name, store->location);
  return hf_fail_errno(error, errnum, "cannot create object '%s' in '%s'", put->put.name, store->location);
}

gboolean hf_local_put_commit(HfPut *base, GError **error)
{
  LocalPut *put = (LocalPut *)base;
  HfLocal *local = (HfLocal *)base->store;
  guint failures = 0;
  if (put->lost)
    return fail_lost(put, error);
  if (!sync_file(put, error))
    return FALSE;
  int errnum = publish(local, put, &failures);
  if (errnum != 0)
    return fail_publish(put, errnum, error);
  put->synced = put->temporary != NULL;
  if (!sync_file(put, error))
    return FALSE;
  errnum = hf_fd_sync(put->folder, failures);
  if (errnum != 0) {
    put->lost = TRUE;
    return hf_fail_errno(error, errnum, "cannot sync the folder of object '%s' in '%s'", put->put.name,
                         base->store->location);
  }
  return TRUE;
}

void hf_local_put_free(HfPut *base)
{
  LocalPut *put = (LocalPut *)base;
  if (put->temporary != NULL)
    HF_AGAIN(hf_sys->unlinkat(put->folder->fd, put->temporary, 0)); /* gone already when it was renamed */
  hf_close_ptr(&put->fd);
  hf_fd_unref(put->folder);
  g_free(put->temporary);
  g_free(put);
}
