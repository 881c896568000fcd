/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/sys.h"
#include "base/sysfault.h"
#include "fixture.h"

static char *list(HfStore *store, const char *prefix)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GPtrArray) names = hf_store_list_names(store, prefix, &error);
  g_assert_no_error(error);
  g_ptr_array_add(names, NULL);
  return g_strjoinv(" ", (char **)names->pdata);
}

static void expect_list(Fixture *fixture, const char *prefix, const char *expected)
{
  g_autofree char *names = list(fixture->store, prefix);
  g_assert_cmpstr(names, ==, expected);
}

static void make_file(Fixture *fixture, const char *name)
{
  g_autofree char *path = fixture_path(fixture, name), *folder = g_path_get_dirname(path);
  g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
  g_assert_true(g_file_set_contents(path, "x", 1, NULL));
}

static void make_mess(Fixture *fixture)
{
  put_text(fixture->store, "a/good", "1");
  put_text(fixture->store, "good", "22");
  static const char *const foreign[] = { "UPPER", "a/.hidden", ".git/good", "lost+found/good", "a/b c/good", "a/b:",
                                         "a/.tmp-1234" };
  for (gsize i = 0; i < G_N_ELEMENTS(foreign); i++)
    make_file(fixture, foreign[i]);
  g_autofree char *fifo = fixture_path(fixture, "a/fifo"), *link = fixture_path(fixture, "link");
  g_autofree char *loop = fixture_path(fixture, "a/loop"), *empty = fixture_path(fixture, "empty");
  g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
  g_assert_cmpint(symlink("good", link), ==, 0);
  g_assert_cmpint(symlink("..", loop), ==, 0);
  g_assert_cmpint(g_mkdir(empty, 0700), ==, 0);
}

/* Nothing but objects is listed, whatever else lies in the folder. */
static void test_foreign(void)
{
  Fixture fixture;
  fixture_open(&fixture);
  make_mess(&fixture);
  expect_list(&fixture, "", "a/good good");
  expect_list(&fixture, "a/", "a/good");
  expect_list(&fixture, "empty/", "");
  expect_list(&fixture, "missing/", "");
  expect_list(&fixture, "good/", "");
  expect_list(&fixture, "a/fifo/", "");
  fixture_close(&fixture);
}

/* Paths that are too long for a name end the descent. */
static void test_deep(void)
{
  Fixture fixture;
  fixture_open(&fixture);
  g_autofree char *part = g_strnfill(99, 'd');
  g_autofree char *deep = g_strconcat(part, "/", part, "/x/y/z", NULL); /* 205 bytes */
  g_autofree char *fits = g_strconcat(part, "/", part, NULL);
  g_autofree char *just = g_strconcat(part, "/", part, "-", NULL);
  make_file(&fixture, deep);
  put_text(fixture.store, just, "1");
  expect_list(&fixture, "", just);
  g_autofree char *prefix = g_strconcat(fits, "/", NULL);
  expect_list(&fixture, prefix, "");
  fixture_close(&fixture);
}

/* ---- File systems that do not tell what an entry is. ---- */

static const HfSys *real;

static ssize_t unknown_types(int fd, void *buffer, size_t length)
{
  ssize_t count = real->getdents64(fd, buffer, length);
  for (ssize_t at = 0; at < count;) {
    struct dirent64 *entry = (struct dirent64 *)(void *)((char *)buffer + at);
    entry->d_type = DT_UNKNOWN;
    at += entry->d_reclen;
  }
  return count;
}

static void test_unknown_types(void)
{
  Fixture fixture;
  fixture_open(&fixture);
  make_mess(&fixture);
  real = hf_sys;
  HfSys table = *hf_sys;
  table.getdents64 = unknown_types;
  hf_sys = &table;
  expect_list(&fixture, "", "a/good good");
  hf_sys = real;
  fixture_close(&fixture);
}

/* ---- Entries that go while they are listed. ---- */

static ssize_t removed_meanwhile(int fd, void *buffer, size_t length)
{
  ssize_t count = real->getdents64(fd, buffer, length);
  unlinkat(fd, "gone", 0);
  unlinkat(fd, "gone-folder", AT_REMOVEDIR);
  return count;
}

static ssize_t folder_removed(int fd G_GNUC_UNUSED, void *buffer G_GNUC_UNUSED, size_t length G_GNUC_UNUSED)
{
  errno = ENOENT;
  return -1;
}

static void test_removed_meanwhile(void)
{
  Fixture fixture;
  fixture_open(&fixture);
  put_text(fixture.store, "gone", "1");
  put_text(fixture.store, "stays", "1");
  g_autofree char *folder = fixture_path(&fixture, "gone-folder");
  g_assert_cmpint(g_mkdir(folder, 0700), ==, 0);
  real = hf_sys;
  HfSys table = *hf_sys;
  table.getdents64 = removed_meanwhile;
  hf_sys = &table;
  expect_list(&fixture, "", "stays");
  table.getdents64 = folder_removed;
  expect_list(&fixture, "", "");
  hf_sys = real;
  fixture_close(&fixture);
}

/* ---- Errors. ---- */

static void expect_list_fails(Fixture *fixture, const char *function, guint64 nth, int errnum, int code)
{
  g_autoptr(GError) error = NULL;
  HfSysFault fault = { .nth = nth, .function = function, .errnum = errnum };
  g_assert_true(hf_sys_fault_install(&fault, NULL));
  g_assert_null(hf_store_list_names(fixture->store, "", &error));
  g_assert_error(error, HF_ERROR, code);
  g_assert_nonnull(strstr(error->message, "cannot list"));
  g_assert_cmpuint(hf_sys_fault_hits(), ==, 1);
  hf_sys_fault_remove();
}

static void test_errors(void)
{
  Fixture fixture;
  fixture_open(&fixture);
  put_text(fixture.store, "a/b", "1");
  put_text(fixture.store, "a/c/d", "1");
  expect_list_fails(&fixture, "openat", 1, EIO, HF_ERROR_IO);
  expect_list_fails(&fixture, "openat", 2, EACCES, HF_ERROR_PERMISSION);
  expect_list_fails(&fixture, "openat", 3, EMFILE, HF_ERROR_IO);
  expect_list_fails(&fixture, "getdents64", 1, EIO, HF_ERROR_IO);
  expect_list_fails(&fixture, "getdents64", 3, EIO, HF_ERROR_IO);
  expect_list_fails(&fixture, "fstatat", 1, EIO, HF_ERROR_IO);
  expect_list(&fixture, "", "a/b a/c/d");
  fixture_close(&fixture);
}

/* ---- What killed writers left. ---- */

static void make_old(Fixture *fixture, const char *name, int hours)
{
  g_autofree char *path = fixture_path(fixture, name);
  make_file(fixture, name);
  struct timespec stamp = { .tv_sec = (time_t)(hf_clock_real_ns() / 1000000000) - hours * 3600 };
  struct timespec times[2] = { stamp, stamp };
  g_assert_cmpint(utimensat(AT_FDCWD, path, times, 0), ==, 0);
}

static void test_stale(void)
{
  Fixture fixture;
  fixture_open(&fixture);
  put_text(fixture.store, "a/b", "1");
  make_old(&fixture, "a/.tmp-0123456789abcdef", 25);
  make_old(&fixture, "a/.tmp-young", 23);
  make_old(&fixture, "a/.other", 1000);
  g_autofree char *folder = fixture_path(&fixture, ".tmp-folder");
  g_assert_cmpint(g_mkdir(folder, 0700), ==, 0);
  expect_list(&fixture, "", "a/b");
  g_autofree char *tree = fixture_tree(&fixture);
  g_assert_cmpstr(tree, ==, ".tmp-folder a a/.other a/.tmp-young a/b");
  /* One that cannot be removed does not disturb the listing. */
  make_old(&fixture, "a/.tmp-0123456789abcdef", 25);
  HfSysFault fault = { .nth = 1, .function = "unlinkat", .errnum = EROFS };
  g_assert_true(hf_sys_fault_install(&fault, NULL));
  expect_list(&fixture, "", "a/b");
  g_assert_cmpuint(hf_sys_fault_hits(), ==, 1);
  hf_sys_fault_remove();
  fixture_close(&fixture);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/storage/list/foreign", test_foreign);
  g_test_add_func("/storage/list/deep", test_deep);
  g_test_add_func("/storage/list/unknown-types", test_unknown_types);
  g_test_add_func("/storage/list/removed-meanwhile", test_removed_meanwhile);
  g_test_add_func("/storage/list/errors", test_errors);
  g_test_add_func("/storage/list/stale", test_stale);
  return g_test_run();
}
