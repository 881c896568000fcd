/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/error.h"
#include "base/sys.h"
#include "source/file/tree_private.h"

#define WANTED (STATX_BASIC_STATS | STATX_MNT_ID)

static guint64 device_number(guint32 major, guint32 minor)
{
  return makedev(major, minor);
}

static void fill_entry(const struct statx *from, HfEntry *entry)
{
  entry->mode = from->stx_mode;
  entry->uid = from->stx_uid;
  entry->gid = from->stx_gid;
  entry->mtime_sec = from->stx_mtime.tv_sec;
  entry->mtime_nsec = from->stx_mtime.tv_nsec;
  entry->ctime_sec = from->stx_ctime.tv_sec;
  entry->ctime_nsec = from->stx_ctime.tv_nsec;
  entry->inode = from->stx_ino;
  if (S_ISREG(from->stx_mode))
    entry->size = from->stx_size;
  if (S_ISCHR(from->stx_mode) || S_ISBLK(from->stx_mode)) {
    entry->major = from->stx_rdev_major;
    entry->minor = from->stx_rdev_minor;
  }
  if (!S_ISDIR(from->stx_mode) && from->stx_nlink > 1) {
    entry->flags = HF_ENTRY_HARD_LINK;
    entry->device = device_number(from->stx_dev_major, from->stx_dev_minor);
  }
}

static gboolean read_link(int fd, const char *name, GByteArray *scratch, HfEntry *entry, GError **error)
{
  g_byte_array_set_size(scratch, HF_SYMLINK_MAX + 1);
  ssize_t length = readlinkat(fd, name, (char *)scratch->data, scratch->len);
  int errnum = length < 0 ? errno : length == 0 ? EINVAL : length > (ssize_t)HF_SYMLINK_MAX ? ENAMETOOLONG : 0;
  if (errnum != 0) {
    g_autofree char *shown = hf_printable(name, -1);
    return hf_fail_errno(error, errnum, "cannot read the symbolic link '%s'", shown);
  }
  g_byte_array_set_size(scratch, (guint)length);
  entry->target = (HfView){ scratch->data, (gsize)length };
  return TRUE;
}

static gboolean stat_at(int fd, const char *name, HfEntry *entry, HfSourceStat *status, GByteArray *scratch,
                        GError **error)
{
  struct statx found;
  int got = HF_AGAIN(hf_sys->statx(fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, WANTED, &found));
  if (got < 0) {
    int errnum = errno;
    g_autofree char *shown = hf_printable(name, -1);
    return hf_fail_errno(error, errnum, "cannot read the attributes of '%s'", shown);
  }
  *entry = (HfEntry){ .name = { (const guint8 *)name, strlen(name) } };
  fill_entry(&found, entry);
  *status = (HfSourceStat){
    .device = device_number(found.stx_dev_major, found.stx_dev_minor),
    .blocks = found.stx_blocks,
    .links = found.stx_nlink,
    .mount = (found.stx_mask & STATX_MNT_ID) != 0 ? found.stx_mnt_id : 0,
  };
  return !S_ISLNK(found.stx_mode) || read_link(fd, name, scratch, entry, error);
}

gboolean hf_source_stat(HfSourceDir *dir, const char *name, HfEntry *entry, HfSourceStat *status, GByteArray *scratch,
                        GError **error)
{
  return stat_at(hf_source_dir_fd(dir), name, entry, status, scratch, error);
}

gboolean hf_source_stat_path(const char *path, HfEntry *entry, HfSourceStat *status, GByteArray *scratch,
                             GError **error)
{
  const char *slash = strrchr(path, '/');
  if (strlen(path) < PATH_MAX || slash == NULL)
    return stat_at(AT_FDCWD, path, entry, status, scratch, error);
  g_autofree char *folder = g_strndup(path, (gsize)(slash - path) + 1);
  hf_autofd int fd = hf_open_long(folder, O_PATH | O_DIRECTORY);
  if (fd < 0)
    return hf_fail_errno(error, errno, "cannot open the folder of '%s'", slash + 1);
  return stat_at(fd, slash + 1, entry, status, scratch, error);
}

/* A file on which another process holds a lease is opened after that process gave it up: the kernel lets us wait only
 * in an open that may block, which is safe once it is known to be a regular file. */
static int open_leased(int folder, const char *name)
{
  char proc[HF_PROC_FD_BYTES];
  struct statx found;
  hf_autofd int fd = HF_AGAIN(hf_sys->openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0));
  if (fd < 0 || HF_AGAIN(hf_sys->statx(fd, "", AT_EMPTY_PATH, STATX_TYPE, &found)) < 0)
    return -1;
  if (!S_ISREG(found.stx_mode)) {
    errno = ELOOP;
    return -1;
  }
  hf_proc_fd(fd, proc);
  return HF_AGAIN(hf_sys->openat(AT_FDCWD, proc, O_RDONLY | O_CLOEXEC, 0));
}

int hf_source_file_open(HfSourceDir *dir, const char *name, GError **error)
{
  struct statx found;
  hf_autofd int fd = hf_open_quietly(hf_source_dir_fd(dir), name, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (fd < 0 && errno == EAGAIN)
    fd = open_leased(hf_source_dir_fd(dir), name);
  gboolean known = fd >= 0 && HF_AGAIN(hf_sys->statx(fd, "", AT_EMPTY_PATH, STATX_TYPE, &found)) == 0;
  if (known && S_ISREG(found.stx_mode))
    return hf_steal_fd(&fd);

  int errnum = errno;
  g_autofree char *shown = hf_printable(name, -1);
  /* ELOOP: a symbolic link took its place; ENXIO: a socket. */
  if (known || errnum == ELOOP || errnum == ENXIO)
    hf_fail(error, HF_ERROR_NOT_FOUND, "'%s' was replaced by something that is no regular file meanwhile", shown);
  else
    hf_fail_errno(error, errnum, "cannot open '%s'", shown);
  return -1;
}
