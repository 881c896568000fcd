/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/error.h"
#include "base/sys.h"
#include "base/sysfault.h"
#include "fixture.h"
#include "source/tree.h"

static void add_file(int folder, const char *name)
{
  int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  g_assert_cmpint(fd, >=, 0);
  close(fd);
}

static int open_folder(const char *name)
{
  g_assert_cmpint(mkdir(name, 0755), ==, 0);
  int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  g_assert_cmpint(fd, >=, 0);
  return fd;
}

static HfSourceDir *open_dir(HfSourceDir *parent, const char *name)
{
  g_autoptr(GError) error = NULL;
  HfSourceDir *dir = hf_source_dir_open(parent, name, &error);
  g_assert_no_error(error);
  g_assert_nonnull(dir);
  return dir;
}

static void test_empty(void)
{
  close(open_folder("empty"));
  g_autoptr(HfSourceDir) dir = open_dir(NULL, "empty");
  g_assert_cmpuint(hf_source_dir_count(dir), ==, 0);
  g_assert_cmpint(hf_source_dir_fd(dir), >=, 0);
  hf_source_dir_unref(NULL);
}

/* Names of random bytes, as short as one byte: many share their beginnings. */
static void test_sorted(void)
{
  g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  hf_autofd int fd = open_folder("sorted");
  while (g_hash_table_size(names) < 2500) {
    guint length = (guint)g_test_rand_int_range(1, g_test_rand_int_range(0, 4) == 0 ? 256 : 12);
    char *name = g_malloc(length + 1);
    for (guint i = 0; i < length; i++)
      do
        name[i] = (char)(g_test_rand_bit() ? g_test_rand_int_range('a', 'c') : g_test_rand_int_range(1, 256));
      while (name[i] == '/');
    name[length] = '\0';
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || !g_hash_table_add(names, g_strdup(name))) {
      g_free(name);
      continue;
    }
    add_file(fd, name);
    g_free(name);
  }
  add_file(fd, "..."); /* no other name of dots is of this folder */
  g_hash_table_add(names, g_strdup("..."));

  g_autoptr(HfSourceDir) dir = open_dir(NULL, "sorted");
  g_assert_cmpuint(hf_source_dir_count(dir), ==, g_hash_table_size(names));
  for (guint i = 0; i < hf_source_dir_count(dir); i++) {
    g_assert_true(g_hash_table_contains(names, hf_source_dir_name(dir, i)));
    if (i > 0)
      g_assert_cmpint(strcmp(hf_source_dir_name(dir, i - 1), hf_source_dir_name(dir, i)), <, 0);
  }
}

static void test_children(void)
{
  hf_autofd int fd = open_folder("children");
  g_assert_cmpint(mkdirat(fd, "one", 0755), ==, 0);
  g_assert_cmpint(mkdirat(fd, "one/two", 0755), ==, 0);
  HfSourceDir *parent = open_dir(NULL, "children");
  HfSourceDir *kept = hf_source_dir_ref(parent);
  hf_source_dir_unref(parent);
  /* The folder is reached by its descriptor, not by its name. */
  g_assert_cmpint(rename("children", "elsewhere"), ==, 0);
  g_autoptr(HfSourceDir) child = open_dir(kept, "one");
  hf_source_dir_unref(kept);
  g_assert_cmpuint(hf_source_dir_count(child), ==, 1);
  g_assert_cmpstr(hf_source_dir_name(child, 0), ==, "two");
}

/* The path of a folder at the end of 60 others, longer than PATH_MAX by far. */
static char *make_deep(const char *top)
{
  GString *path = g_string_new(top);
  hf_autofd int fd = open_folder(top);
  for (guint i = 0; i < 60; i++) {
    g_autofree char *name = g_strnfill(i % 2 != 0 ? 200 : 133, (char)('a' + i % 26));
    g_assert_cmpint(mkdirat(fd, name, 0755), ==, 0);
    int next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_assert_cmpint(next, >=, 0);
    close(fd);
    fd = next;
    g_string_append_printf(path, "%s%s", i % 7 == 0 ? "//" : "/", name);
  }
  add_file(fd, "bottom");
  g_assert_cmpint(symlinkat("bottom", fd, "link"), ==, 0);
  return g_string_free(path, FALSE);
}

static void test_long_paths(void)
{
  g_autofree char *relative = make_deep("deep"), *here = g_get_current_dir();
  g_assert_cmpint(symlink("deep", "by link"), ==, 0);
  g_autofree char *absolute = g_strconcat(here, "/", relative, NULL), *slashes = g_strconcat(relative, "///", NULL);
  g_autofree char *by_link = g_strconcat(here, "/by link", strchr(relative, '/'), NULL);
  const char *const paths[] = { relative, absolute, slashes, by_link };
  for (guint i = 0; i < G_N_ELEMENTS(paths); i++) {
    g_autoptr(HfSourceDir) dir = open_dir(NULL, paths[i]);
    g_assert_cmpuint(hf_source_dir_count(dir), ==, 2);
    g_assert_cmpstr(hf_source_dir_name(dir, 0), ==, "bottom");
  }

  g_autoptr(GByteArray) scratch = g_byte_array_new();
  g_autoptr(GError) error = NULL;
  HfEntry entry;
  HfSourceStat status;
  g_autofree char *bottom = g_strconcat(relative, "/bottom", NULL), *link = g_strconcat(absolute, "/link", NULL);
  hf_source_stat_path(bottom, &entry, &status, scratch, &error);
  g_assert_no_error(error);
  g_assert_true(S_ISREG(entry.mode));
  hf_source_stat_path(link, &entry, &status, scratch, &error);
  g_assert_no_error(error);
  g_assert_true(S_ISLNK(entry.mode));
  g_assert_cmpuint(entry.target.length, ==, 6);

  g_autofree char *nowhere = g_strconcat("x", relative, "/bottom", NULL);
  g_assert_false(hf_source_stat_path(nowhere, &entry, &status, scratch, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_NOT_FOUND);
  /* No part may be longer than 255 bytes: here the kernel says so. */
  g_autofree char *part = g_strnfill(9000, 'p'), *long_part = g_strconcat("/", part, "/x", NULL);
  g_assert_null(hf_source_dir_open(NULL, part, NULL));
  g_assert_null(hf_source_dir_open(NULL, long_part, NULL));
}

static void test_replaced(void)
{
  hf_autofd int fd = open_folder("replaced");
  add_file(fd, "file");
  g_assert_cmpint(symlinkat("/etc", fd, "link"), ==, 0);
  g_assert_cmpint(mkfifoat(fd, "fifo", 0600), ==, 0);
  g_autoptr(HfSourceDir) parent = open_dir(NULL, "replaced");
  static const char *const names[] = { "file", "link", "fifo", "gone" };
  for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
    g_autoptr(GError) error = NULL;
    g_assert_null(hf_source_dir_open(parent, names[i], &error));
    g_assert_error(error, HF_ERROR, HF_ERROR_NOT_FOUND);
    g_assert_nonnull(strstr(error->message, names[i]));
  }
  /* The links of a root's own path are followed. */
  g_autoptr(HfSourceDir) root = open_dir(NULL, "replaced/link");
  g_assert_cmpuint(hf_source_dir_count(root), >, 0);
  g_autoptr(GError) error = NULL;
  g_assert_null(hf_source_dir_open(NULL, "replaced/file", &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_IO);
}

static void fail_listing(const char *function, guint nth, int errnum, HfErrorCode code)
{
  HfSysFault fault = { .nth = nth, .function = function, .errnum = errnum };
  g_autoptr(GError) error = NULL;
  g_assert_true(hf_sys_fault_install(&fault, NULL));
  HfSourceDir *dir = hf_source_dir_open(NULL, "listing", &error);
  g_assert_cmpuint(hf_sys_fault_hits(), ==, 1);
  hf_sys_fault_remove();
  if (errnum == EINTR) {
    g_assert_no_error(error);
    g_assert_cmpuint(hf_source_dir_count(dir), ==, 1500);
    hf_source_dir_unref(dir);
  } else {
    g_assert_null(dir);
    g_assert_error(error, HF_ERROR, (int)code);
    g_assert_nonnull(strstr(error->message, "listing"));
  }
}

static void test_faults(void)
{
  hf_autofd int fd = open_folder("listing");
  for (guint i = 0; i < 1500; i++) {
    char name[64];
    g_snprintf(name, sizeof name, "a name of forty bytes or so, number %u", i);
    add_file(fd, name);
  }
  fail_listing("openat", 1, EINTR, 0);
  fail_listing("openat", 1, EACCES, HF_ERROR_PERMISSION);
  fail_listing("openat", 1, EMFILE, HF_ERROR_IO);
  fail_listing("getdents64", 1, EINTR, 0);
  fail_listing("getdents64", 1, EIO, HF_ERROR_IO);
  fail_listing("getdents64", 2, EIO, HF_ERROR_IO); /* not half a folder */
}

/* Without rights of root O_NOATIME is refused on what belongs to others; and what may not be read is said. */
static void by_nobody(void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(HfSourceDir) dir = open_dir(NULL, "of root"), child = open_dir(dir, "open");
  g_assert_cmpuint(hf_source_dir_count(dir), ==, 2);
  g_assert_cmpuint(hf_source_dir_count(child), ==, 0);
  g_assert_null(hf_source_dir_open(dir, "closed", &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_PERMISSION);
}

static void test_rights(void)
{
  if (geteuid() != 0) {
    g_test_skip("only root can take on another user");
    return;
  }
  hf_autofd int fd = open_folder("of root");
  g_assert_cmpint(mkdirat(fd, "open", 0755), ==, 0);
  g_assert_cmpint(mkdirat(fd, "closed", 0700), ==, 0);
  g_assert_true(hf_as_nobody(by_nobody));
}

static void test_limit(void)
{
  struct rlimit limit;
  close(open_folder("limit"));
  g_autoptr(HfSourceDir) dir = open_dir(NULL, "limit");
  g_assert_nonnull(dir);
  g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
  g_assert_cmpuint(limit.rlim_cur, ==, limit.rlim_max);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  hf_scratch_enter();
  g_test_add_func("/dir/empty", test_empty);
  g_test_add_func("/dir/sorted", test_sorted);
  g_test_add_func("/dir/children", test_children);
  g_test_add_func("/dir/long-paths", test_long_paths);
  g_test_add_func("/dir/replaced", test_replaced);
  g_test_add_func("/dir/faults", test_faults);
  g_test_add_func("/dir/rights", test_rights);
  g_test_add_func("/dir/limit", test_limit);
  int result = g_test_run();
  hf_scratch_leave();
  return result;
}
