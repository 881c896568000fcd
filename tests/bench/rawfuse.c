/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The limit of reads through FUSE: shows one plain file, unchanged, as 'raw' below a mount point.
 *
 *   bench_rawfuse FILE MOUNTPOINT       (stays in the foreground until it is unmounted)
 */
#define FUSE_USE_VERSION 35

#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int file_fd = -1;

static int
raw_getattr(const char *path, struct stat *st, struct fuse_file_info *info)
{
  (void)info;
  if (strcmp(path, "/raw") == 0)
    return fstat(file_fd, st) == 0 ? 0 : -errno;
  if (strcmp(path, "/") != 0)
    return -ENOENT;
  st->st_mode = S_IFDIR | 0555;
  st->st_nlink = 2;
  return 0;
}

static int
raw_readdir(const char *path, void *buffer, fuse_fill_dir_t fill, off_t offset, struct fuse_file_info *info,
            enum fuse_readdir_flags flags)
{
  (void)path;
  (void)offset;
  (void)info;
  (void)flags;
  fill(buffer, "raw", NULL, 0, 0);
  return 0;
}

static int
raw_read(const char *path, char *to, size_t size, off_t offset, struct fuse_file_info *info)
{
  (void)path;
  (void)info;
  ssize_t n = pread(file_fd, to, size, offset);
  return n >= 0 ? (int)n : -errno;
}

static const struct fuse_operations operations = {.getattr = raw_getattr, .readdir = raw_readdir, .read = raw_read};

int
main(int argc, char **argv)
{
  if (argc != 3) {
    fprintf(stderr, "usage: bench_rawfuse FILE MOUNTPOINT\n");
    return 2;
  }
  file_fd = open(argv[1], O_RDONLY | O_CLOEXEC);
  if (file_fd < 0) {
    fprintf(stderr, "bench_rawfuse: '%s': %s\n", argv[1], g_strerror(errno));
    return 1;
  }
  char *fuse_argv[] = {argv[0], (char *)"-f", (char *)"-s", (char *)"-o", (char *)"ro", argv[2], NULL};
  return fuse_main((int)G_N_ELEMENTS(fuse_argv) - 1, fuse_argv, &operations, NULL);
}
