/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/sys.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/error.h"

/* How many pieces go to the kernel in one call; Linux takes at most 1024. */
#define VECTOR_BATCH 64

static int real_openat(int dirfd, const char *path, int flags, mode_t mode)
{
  return openat(dirfd, path, flags, mode);
}

static const HfSys real_sys = {
  .openat = real_openat,
  .close = close,
  .read = read,
  .pread = pread,
  .write = write,
  .pwrite = pwrite,
  .writev = writev,
  .fsync = fsync,
  .fdatasync = fdatasync,
  .syncfs = syncfs,
  .ftruncate = ftruncate,
  .fallocate = fallocate,
  .lseek = lseek,
  .linkat = linkat,
  .renameat2 = renameat2,
  .unlinkat = unlinkat,
  .mkdirat = mkdirat,
  .fstatat = fstatat,
  .statx = statx,
  .getdents64 = getdents64,
  .fstatvfs = fstatvfs,
};

const HfSys *hf_sys = &real_sys;

/* Looks at what a write returned for at least one byte: TRUE when the caller goes on, with *done moved forward. */
static gboolean after_write(ssize_t count, gsize *done, const char *what, GError **error)
{
  if (count > 0) {
    *done += (gsize)count;
    return TRUE;
  }
  if (count < 0 && errno == EINTR)
    return TRUE;
  return hf_fail_errno(error, count < 0 ? errno : EIO, "cannot write '%s'", what);
}

gboolean hf_write_all(int fd, const void *buffer, gsize length, const char *what, GError **error)
{
  gsize done = 0;
  while (done < length)
    if (!after_write(hf_sys->write(fd, (const guint8 *)buffer + done, length - done), &done, what, error))
      return FALSE;
  return TRUE;
}

gboolean hf_pwrite_all(int fd, const void *buffer, gsize length, goffset offset, const char *what, GError **error)
{
  gsize done = 0;
  while (done < length) {
    ssize_t count = hf_sys->pwrite(fd, (const guint8 *)buffer + done, length - done, offset + (goffset)done);
    if (!after_write(count, &done, what, error))
      return FALSE;
  }
  return TRUE;
}

/* Fills `batch` with what is left of `vector` after `skip` bytes; returns the number of pieces, none of them empty. */
static int next_batch(const struct iovec *vector, int count, gsize skip, struct iovec *batch)
{
  int filled = 0;
  for (int i = 0; i < count && filled < VECTOR_BATCH; i++) {
    gsize length = vector[i].iov_len;
    if (skip < length) {
      batch[filled].iov_base = (guint8 *)vector[i].iov_base + skip;
      batch[filled].iov_len = length - skip;
      filled++;
    }
    skip -= MIN(skip, length);
  }
  return filled;
}

gboolean hf_writev_all(int fd, const struct iovec *vector, int count, const char *what, GError **error)
{
  gsize done = 0;
  while (TRUE) {
    struct iovec batch[VECTOR_BATCH];
    /* Pieces that are written in full are left behind, so that a long vector is not walked from its start again. */
    while (count > 0 && done >= vector->iov_len) {
      done -= vector->iov_len;
      vector++;
      count--;
    }
    int filled = next_batch(vector, count, done, batch);
    if (filled == 0)
      return TRUE;
    if (!after_write(hf_sys->writev(fd, batch, filled), &done, what, error))
      return FALSE;
  }
}

/* As after_write; *ended is set when the file ends here. */
static gboolean after_read(ssize_t count, gsize *done, gboolean *ended, const char *what, GError **error)
{
  if (count < 0)
    return errno == EINTR || hf_fail_errno(error, errno, "cannot read '%s'", what);
  *done += (gsize)count;
  *ended = count == 0;
  return TRUE;
}

gssize hf_read_full(int fd, void *buffer, gsize length, const char *what, GError **error)
{
  gsize done = 0;
  gboolean ended = FALSE;
  while (done < length && !ended)
    if (!after_read(hf_sys->read(fd, (guint8 *)buffer + done, length - done), &done, &ended, what, error))
      return -1;
  return (gssize)done;
}

gssize hf_pread_full(int fd, void *buffer, gsize length, goffset offset, const char *what, GError **error)
{
  gsize done = 0;
  gboolean ended = FALSE;
  while (done < length && !ended) {
    ssize_t count = hf_sys->pread(fd, (guint8 *)buffer + done, length - done, offset + (goffset)done);
    if (!after_read(count, &done, &ended, what, error))
      return -1;
  }
  return (gssize)done;
}

int hf_open(int dirfd, const char *path, int flags, mode_t mode, GError **error)
{
  int fd;
  do
    fd = hf_sys->openat(dirfd, path, flags | O_CLOEXEC, mode);
  while (fd < 0 && errno == EINTR);
  if (fd < 0) {
    int errnum = errno;
    g_autofree char *shown = hf_printable(path, -1);
    hf_fail_errno(error, errnum, "cannot open '%s'", shown);
  }
  return fd;
}

void hf_raise_file_limit(void)
{
  static gsize raised;
  struct rlimit limit;
  if (!g_once_init_enter(&raised))
    return;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* else the limit is met later, with a message */
  }
  g_once_init_leave(&raised, 1);
}

void hf_close_ptr(int *fd)
{
  if (*fd < 0)
    return;
  int saved = errno;
  hf_sys->close(*fd);
  *fd = -1;
  errno = saved;
}
