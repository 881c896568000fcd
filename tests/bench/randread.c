/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Random reads of a disk image that a FUSE file system serves.
 *
 *   bench_randread FILE ORIGINAL SECONDS SEED
 *
 * Takes one random 4 KiB block from every 128 KiB stretch of ORIGINAL that holds data, in random order, and reads
 * these blocks from FILE, one after the other, for at most SECONDS: the cold pass, in which no two reads share a
 * stretch. Then the page cache of FILE is dropped and the same blocks are read again: the warm pass, in which the
 * server may have them but the kernel does not. At the end every block is compared with ORIGINAL.
 * Prints one JSON object.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 4096, STRETCH = 128 << 10 };

static void
fail(const char *name)
{
  fprintf(stderr, "bench_randread: '%s': %s\n", name, errno != 0 ? g_strerror(errno) : "content differs");
  exit(1);
}

static void
read_block(int fd, const char *name, guint8 *to, guint64 offset)
{
  errno = 0;
  if (pread(fd, to, BLOCK, (off_t)offset) != BLOCK)
    fail(name);
}

static GArray *
choose_offsets(int fd, guint32 seed)
{
  g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
  GArray *offsets = g_array_new(FALSE, FALSE, sizeof(guint64));
  struct stat st;

  if (fstat(fd, &st) != 0)
    fail("original");
  for (guint64 at = 0; at + STRETCH <= (guint64)st.st_size; at += STRETCH) {
    off_t data = lseek(fd, (off_t)at, SEEK_DATA);
    if (data < 0)
      break;
    guint64 offset = at + (guint64)g_rand_int_range(rand, 0, STRETCH / BLOCK) * BLOCK;
    if ((guint64)data < at + STRETCH)
      g_array_append_val(offsets, offset);
  }
  for (guint i = offsets->len; i > 1; i--) {
    guint64 *items = &g_array_index(offsets, guint64, 0);
    guint other = (guint)g_rand_int_range(rand, 0, (gint32)i);
    guint64 kept = items[i - 1];
    items[i - 1] = items[other];
    items[other] = kept;
  }
  return offsets;
}

/* Reads at most `limit` blocks into `to`; returns how many were read within `seconds`, and the time in `*taken`. */
static guint
pass(int fd, const char *name, GArray *offsets, guint limit, double seconds, guint8 *to, double *taken)
{
  gint64 start, now;
  guint i = 0;

  if (posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0 || posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM) != 0)
    fail(name);
  start = now = g_get_monotonic_time();
  for (; i < limit && (double)(now - start) < seconds * G_USEC_PER_SEC; i++) {
    read_block(fd, name, to + (gsize)i * BLOCK, g_array_index(offsets, guint64, i));
    now = g_get_monotonic_time();
  }
  *taken = (double)(now - start) / G_USEC_PER_SEC;
  return i;
}

static void
compare(int original, const char *name, GArray *offsets, guint n, const guint8 *got)
{
  guint8 want[BLOCK];

  for (guint i = 0; i < n; i++) {
    read_block(original, "original", want, g_array_index(offsets, guint64, i));
    errno = 0;
    if (memcmp(want, got + (gsize)i * BLOCK, BLOCK) != 0)
      fail(name);
  }
}

int
main(int argc, char **argv)
{
  if (argc != 5) {
    fprintf(stderr, "usage: bench_randread FILE ORIGINAL SECONDS SEED\n");
    return 2;
  }
  const char *name = argv[1];
  double seconds = g_ascii_strtod(argv[3], NULL);
  int fd = open(name, O_RDONLY | O_CLOEXEC);
  int original = open(argv[2], O_RDONLY | O_CLOEXEC);
  if (fd < 0 || original < 0)
    fail(fd < 0 ? name : argv[2]);
  g_autoptr(GArray) offsets = choose_offsets(original, (guint32)g_ascii_strtoull(argv[4], NULL, 10));
  guint8 *blocks = g_malloc((gsize)offsets->len * BLOCK + 1);
  double cold, warm;
  guint n_cold = pass(fd, name, offsets, offsets->len, seconds, blocks, &cold);
  compare(original, name, offsets, n_cold, blocks);
  guint n_warm = pass(fd, name, offsets, n_cold, seconds, blocks, &warm);
  compare(original, name, offsets, n_warm, blocks);
  printf("{\"cold_reads\": %u, \"cold_seconds\": %.3f, \"warm_reads\": %u, \"warm_seconds\": %.3f}\n", n_cold, cold,
         n_warm, warm);
  g_free(blocks);
  close(original);
  close(fd);
  return 0;
}
