/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static gint
compare_names(gconstpointer a, gconstpointer b)
{
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void
clear_file(gpointer data)
{
  g_free(((BenchFile *)data)->path);
}

static void
add_file(BenchFiles *files, const char *path, guint64 size)
{
  BenchFile file = {g_strdup(path), size};
  g_array_append_val(files->list, file);
}

static gboolean
list_names(int fd, GPtrArray *names)
{
  DIR *dir = fdopendir(fd);
  struct dirent *entry;

  if (dir == NULL)
    return FALSE;
  while (errno = 0, (entry = readdir(dir)) != NULL)
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
      g_ptr_array_add(names, g_strdup(entry->d_name));
  gboolean ok = errno == 0;
  closedir(dir);
  g_ptr_array_sort(names, compare_names);
  return ok;
}

/* `path` is relative to the root, "." for the root itself. */
static gboolean
walk(BenchFiles *files, const char *path)
{
  g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
  g_autoptr(GPtrArray) folders = g_ptr_array_new_with_free_func(g_free);
  int fd = openat(files->root, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

  if (fd < 0 || !list_names(fd, names))
    return FALSE;
  for (guint i = 0; i < names->len; i++) {
    const char *name = g_ptr_array_index(names, i);
    g_autofree char *child = strcmp(path, ".") == 0 ? g_strdup(name) : g_strconcat(path, "/", name, NULL);
    struct stat st;
    if (fstatat(files->root, child, &st, AT_SYMLINK_NOFOLLOW) != 0)
      return FALSE;
    if (S_ISDIR(st.st_mode))
      g_ptr_array_add(folders, g_steal_pointer(&child));
    else if (S_ISREG(st.st_mode) && st.st_size > 0)
      add_file(files, child, (guint64)st.st_size);
  }
  for (guint i = 0; i < folders->len; i++)
    if (!walk(files, g_ptr_array_index(folders, i)))
      return FALSE;
  return TRUE;
}

BenchFiles *
bench_files_new(const char *path)
{
  g_autofree char *folder = NULL;
  BenchFiles *files;
  struct stat st;
  gboolean ok;

  if (stat(path, &st) != 0)
    return NULL;
  files = g_new0(BenchFiles, 1);
  files->list = g_array_new(FALSE, FALSE, sizeof(BenchFile));
  g_array_set_clear_func(files->list, clear_file);
  folder = S_ISDIR(st.st_mode) ? g_strdup(path) : g_path_get_dirname(path);
  files->root = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ok = files->root >= 0;
  if (ok && S_ISDIR(st.st_mode)) {
    ok = walk(files, ".");
  } else if (ok) {
    g_autofree char *name = g_path_get_basename(path);
    add_file(files, name, (guint64)st.st_size);
  }
  if (ok)
    return files;
  int saved = errno;
  bench_files_free(files);
  errno = saved;
  return NULL;
}

void
bench_files_free(BenchFiles *files)
{
  if (files == NULL)
    return;
  if (files->root >= 0)
    close(files->root);
  g_array_unref(files->list);
  g_free(files);
}
