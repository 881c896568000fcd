/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The limit of a backup where nothing changed: reads every directory of a tree and calls statx on every entry, on one
 * thread and in the order of the directories. Prints one JSON object.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
  guint64 entries;
  guint64 files;
  guint64 bytes;  /* of regular files */
} Totals;

static void
fail(const char *name)
{
  fprintf(stderr, "bench_walk: '%s': %s\n", name, g_strerror(errno));
  exit(1);
}

/* Takes over `fd`. */
static void
walk(int fd, Totals *totals)
{
  g_autoptr(GPtrArray) folders = g_ptr_array_new_with_free_func(g_free);
  DIR *dir = fdopendir(fd);
  struct dirent *entry;
  struct statx st;

  if (dir == NULL)
    fail("directory");
  while (errno = 0, (entry = readdir(dir)) != NULL) {
    const char *name = entry->d_name;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
      continue;
    if (statx(fd, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, &st) != 0)
      fail(name);
    totals->entries++;
    if (S_ISDIR(st.stx_mode))
      g_ptr_array_add(folders, g_strdup(name));
    if (S_ISREG(st.stx_mode)) {
      totals->files++;
      totals->bytes += st.stx_size;
    }
  }
  if (errno != 0)
    fail("directory");
  for (guint i = 0; i < folders->len; i++) {
    const char *name = g_ptr_array_index(folders, i);
    int child = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (child < 0)
      fail(name);
    walk(child, totals);
  }
  closedir(dir);
}

int
main(int argc, char **argv)
{
  Totals totals = {0};

  if (argc != 2) {
    fprintf(stderr, "usage: bench_walk TREE\n");
    return 2;
  }
  gint64 start = g_get_monotonic_time();
  int fd = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    fail(argv[1]);
  walk(fd, &totals);
  printf("{\"seconds\": %.3f, \"entries\": %" G_GUINT64_FORMAT ", \"files\": %" G_GUINT64_FORMAT ", \"bytes\": %"
         G_GUINT64_FORMAT "}\n", (double)(g_get_monotonic_time() - start) / G_USEC_PER_SEC, totals.entries,
         totals.files, totals.bytes);
  return 0;
}
