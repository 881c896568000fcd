/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/tasks/busy.h"

#include <stdatomic.h>

#include "base/clock.h"
#include "base/sys.h"

static const HfSys *inner;
static _Atomic guint64 reading, writing;

#define TIMED(total, type, call)                                                         \
  gint64 begun = hf_clock_monotonic_us();                                                \
  type result = inner->call;                                                             \
  int kept = errno;                                                                      \
  atomic_fetch_add_explicit(&(total), (guint64)(hf_clock_monotonic_us() - begun), memory_order_relaxed); \
  errno = kept;                                                                          \
  return result

static int busy_openat(int dirfd, const char *path, int flags, mode_t mode)
{
  TIMED(reading, int, openat(dirfd, path, flags, mode));
}

static ssize_t busy_read(int fd, void *buffer, size_t length)
{
  TIMED(reading, ssize_t, read(fd, buffer, length));
}

static ssize_t busy_pread(int fd, void *buffer, size_t length, off_t offset)
{
  TIMED(reading, ssize_t, pread(fd, buffer, length, offset));
}

static int busy_statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *status)
{
  TIMED(reading, int, statx(dirfd, path, flags, mask, status));
}

static ssize_t busy_getdents64(int fd, void *buffer, size_t length)
{
  TIMED(reading, ssize_t, getdents64(fd, buffer, length));
}

static ssize_t busy_write(int fd, const void *buffer, size_t length)
{
  TIMED(writing, ssize_t, write(fd, buffer, length));
}

static ssize_t busy_pwrite(int fd, const void *buffer, size_t length, off_t offset)
{
  TIMED(writing, ssize_t, pwrite(fd, buffer, length, offset));
}

static ssize_t busy_writev(int fd, const struct iovec *vector, int count)
{
  TIMED(writing, ssize_t, writev(fd, vector, count));
}

static int busy_fsync(int fd)
{
  TIMED(writing, int, fsync(fd));
}

static int busy_fdatasync(int fd)
{
  TIMED(writing, int, fdatasync(fd));
}

static int busy_syncfs(int fd)
{
  TIMED(writing, int, syncfs(fd));
}

void hf_busy_start(void)
{
  static HfSys table;
  if (inner != NULL)
    return;
  inner = hf_sys;
  table = *inner;
  table.openat = busy_openat;
  table.read = busy_read;
  table.pread = busy_pread;
  table.statx = busy_statx;
  table.getdents64 = busy_getdents64;
  table.write = busy_write;
  table.pwrite = busy_pwrite;
  table.writev = busy_writev;
  table.fsync = busy_fsync;
  table.fdatasync = busy_fdatasync;
  table.syncfs = busy_syncfs;
  hf_sys = &table;
}

guint64 hf_busy_reading_us(void)
{
  return atomic_load_explicit(&reading, memory_order_relaxed);
}

guint64 hf_busy_writing_us(void)
{
  return atomic_load_explicit(&writing, memory_order_relaxed);
}
