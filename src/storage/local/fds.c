/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "storage/local/fds.h"

#include "base/sys.h"
#include "base/work.h"
#include "storage/local/internal.h"

struct HfFds {
  GMutex mutex; /* guards everything below */
  GHashTable *by_name;
  GQueue by_age; /* the youngest first; its links are those of the descriptors */
  guint limit;
  guint drops;
};

/* ---- One descriptor. ---- */

HfFd *hf_fd_new(const char *name, int fd)
{
  HfFd *made = g_new0(HfFd, 1);
  made->fd = fd;
  made->refs = 1;
  made->name = g_strdup(name);
  made->link.data = made;
  g_mutex_init(&made->mutex);
  g_cond_init(&made->ended);
  return made;
}

HfFd *hf_fd_ref(HfFd *fd)
{
  g_atomic_int_inc(&fd->refs);
  return fd;
}

void hf_fd_unref(HfFd *fd)
{
  if (fd == NULL || !g_atomic_int_dec_and_test(&fd->refs))
    return;
  hf_close_ptr(&fd->fd);
  g_mutex_clear(&fd->mutex);
  g_cond_clear(&fd->ended);
  g_free(fd->name);
  g_free(fd);
}

guint hf_fd_failures(HfFd *fd)
{
  HF_LOCK(&fd->mutex);
  return fd->failures;
}

/* File systems that cannot sync a folder say so with one of these; they write it in their own time. */
static gboolean cannot_sync_folders(int errnum)
{
  return errnum == EINVAL || errnum == EOPNOTSUPP || errnum == ENOSYS;
}

static int sync_folder(int fd)
{
  return HF_AGAIN(hf_sys->fsync(fd)) < 0 && !cannot_sync_folders(errno) ? errno : 0;
}

int hf_fd_sync(HfFd *fd, guint failures)
{
  int errnum = 0;
  g_mutex_lock(&fd->mutex);
  guint64 ticket = ++fd->asked;
  while (fd->synced < ticket) {
    if (fd->syncing) {
      g_cond_wait(&fd->ended, &fd->mutex);
      continue;
    }
    guint64 covered = fd->asked;
    fd->syncing = TRUE;
    g_mutex_unlock(&fd->mutex);
    errnum = sync_folder(fd->fd);
    g_mutex_lock(&fd->mutex);
    fd->syncing = FALSE;
    fd->synced = covered;
    if (errnum != 0)
      fd->failures++;
    g_cond_broadcast(&fd->ended);
  }
  if (errnum == 0 && fd->failures != failures)
    errnum = EIO;
  g_mutex_unlock(&fd->mutex);
  return errnum;
}

/* ---- The cache. ---- */

HfFds *hf_fds_new(guint limit)
{
  HfFds *fds = g_new0(HfFds, 1);
  g_mutex_init(&fds->mutex);
  fds->by_name = g_hash_table_new(g_str_hash, g_str_equal);
  g_queue_init(&fds->by_age);
  fds->limit = limit;
  return fds;
}

/* Takes it out of the cache; the cache's reference becomes the caller's, who gives it back outside the lock. */
static HfFd *take_locked(HfFds *fds, HfFd *fd)
{
  g_hash_table_remove(fds->by_name, fd->name);
  g_queue_unlink(&fds->by_age, &fd->link);
  return fd;
}

void hf_fds_free(HfFds *fds)
{
  if (fds == NULL)
    return;
  while (fds->by_age.tail != NULL)
    hf_fd_unref(take_locked(fds, fds->by_age.tail->data));
  g_hash_table_unref(fds->by_name);
  g_mutex_clear(&fds->mutex);
  g_free(fds);
}

static HfFd *find_locked(HfFds *fds, const char *name)
{
  HfFd *fd = g_hash_table_lookup(fds->by_name, name);
  if (fd == NULL)
    return NULL;
  g_queue_unlink(&fds->by_age, &fd->link);
  g_queue_push_head_link(&fds->by_age, &fd->link);
  return hf_fd_ref(fd);
}

HfFd *hf_fds_find(HfFds *fds, const char *name, guint *stamp)
{
  HF_LOCK(&fds->mutex);
  *stamp = fds->drops;
  return find_locked(fds, name);
}

/* Returns what fell out of the cache, or NULL. */
static HfFd *insert_locked(HfFds *fds, HfFd *fd)
{
  g_hash_table_insert(fds->by_name, fd->name, hf_fd_ref(fd));
  g_queue_push_head_link(&fds->by_age, &fd->link);
  return fds->by_age.length > fds->limit ? take_locked(fds, fds->by_age.tail->data) : NULL;
}

HfFd *hf_fds_add(HfFds *fds, const char *name, int fd, guint stamp)
{
  HfFd *added = hf_fd_new(name, fd);
  g_autoptr(HfFd) old = NULL;
  g_mutex_lock(&fds->mutex);
  if (stamp == fds->drops) {
    HfFd *kept = find_locked(fds, name);
    if (kept != NULL) {
      old = added;
      added = kept;
    } else
      old = insert_locked(fds, added);
  }
  g_mutex_unlock(&fds->mutex);
  return added;
}

void hf_fds_drop(HfFds *fds, const char *name)
{
  g_mutex_lock(&fds->mutex);
  fds->drops++;
  HfFd *fd = g_hash_table_lookup(fds->by_name, name);
  if (fd != NULL)
    take_locked(fds, fd);
  g_mutex_unlock(&fds->mutex);
  hf_fd_unref(fd);
}
