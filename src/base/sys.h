/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The system-call table. Every system call that touches user data or the repository goes through hf_sys, so that a
 * test can make the N-th one fail (EIO, ENOSPC, EINTR, short counts) or record it for the crash simulator.
 *
 * Threads: the table is set up once, before threads start, and only read afterwards. The fault layer (base/sysfault.h:
 * compiled in always, enabled by the environment in debug builds only) is itself thread-safe.
 *
 * The hf_* helpers below loop over EINTR and short counts; they return FALSE with a GError naming `what`.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <sys/uio.h>

typedef struct HfSys {
  int (*openat)(int dirfd, const char *path, int flags, mode_t mode);
  int (*close)(int fd);
  ssize_t (*read)(int fd, void *buffer, size_t length);
  ssize_t (*pread)(int fd, void *buffer, size_t length, off_t offset);
  ssize_t (*write)(int fd, const void *buffer, size_t length);
  ssize_t (*pwrite)(int fd, const void *buffer, size_t length, off_t offset);
  ssize_t (*writev)(int fd, const struct iovec *vector, int count);
  int (*fsync)(int fd);
  int (*fdatasync)(int fd);
  int (*syncfs)(int fd);
  int (*ftruncate)(int fd, off_t length);
  int (*fallocate)(int fd, int mode, off_t offset, off_t length);
  off_t (*lseek)(int fd, off_t offset, int whence);
  int (*linkat)(int olddir, const char *oldpath, int newdir, const char *newpath, int flags);
  int (*renameat2)(int olddir, const char *oldpath, int newdir, const char *newpath, unsigned flags);
  int (*unlinkat)(int dirfd, const char *path, int flags);
  int (*mkdirat)(int dirfd, const char *path, mode_t mode);
  int (*fstatat)(int dirfd, const char *path, struct stat *status, int flags);
  int (*statx)(int dirfd, const char *path, int flags, unsigned mask, struct statx *status);
  ssize_t (*getdents64)(int fd, void *buffer, size_t length); /* struct dirent64 of <dirent.h>, one after another */
  int (*fstatvfs)(int fd, struct statvfs *status);
} HfSys;

/* The table in force. Never NULL. */
extern const HfSys *hf_sys;

/* The value of a system call that is made again while a signal interrupts it. */
#define HF_AGAIN(call) \
  ({ \
    __typeof__(call) hf_result; \
    do \
      hf_result = (call); \
    while (hf_result < 0 && errno == EINTR); \
    hf_result; \
  })

/* Writes all of `length` bytes at the file position. */
gboolean hf_write_all(int fd, const void *buffer, gsize length, const char *what, GError **error);
gboolean hf_pwrite_all(int fd, const void *buffer, gsize length, goffset offset, const char *what, GError **error);
gboolean hf_writev_all(int fd, const struct iovec *vector, int count, const char *what, GError **error);

/* Reads until `length` bytes are there or the file ends; the count read is returned, -1 on error. */
gssize hf_read_full(int fd, void *buffer, gsize length, const char *what, GError **error);
gssize hf_pread_full(int fd, void *buffer, gsize length, goffset offset, const char *what, GError **error);

/* Opens, retrying EINTR; O_CLOEXEC is always added. Returns -1 with an error. */
int hf_open(int dirfd, const char *path, int flags, mode_t mode, GError **error);

/* Raises the soft limit of open files to the hard one, once: a walk holds a descriptor for each level of a deep tree.
 */
void hf_raise_file_limit(void);

/* A file descriptor that closes itself: `hf_autofd int fd = -1;`. */
#define hf_autofd __attribute__((cleanup(hf_close_ptr)))
void hf_close_ptr(int *fd);
static inline int hf_steal_fd(int *fd)
{
  int taken = *fd;
  *fd = -1;
  return taken;
}
