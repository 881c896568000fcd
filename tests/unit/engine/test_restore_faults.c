/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Every system call of a restore fails once, in several ways. Whatever comes of it, a file that stands under its name
 * is whole, and a restore that says all is well has restored all.
 */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sysfault.h"
#include "fixture.h"
#include "restorelab.h"

#define LARGE 150000u

static guint8 *large_bytes;

static HfPointInfo *make_source(TreeLab *lab)
{
  large_bytes = g_malloc(LARGE);
  hf_fixture_noise(large_bytes, LARGE, 21);
  tree_lab_file(lab, "src/d/large", large_bytes, LARGE);
  tree_lab_file(lab, "src/d/medium", large_bytes, 3000);
  tree_lab_text(lab, "src/small", "small");
  tree_lab_text(lab, "src/linked", "linked");
  g_autofree char *linked = tree_lab_path(lab, "src/linked"), *other = tree_lab_path(lab, "src/z-linked");
  g_autofree char *symbolic = tree_lab_path(lab, "src/symlink"), *fifo = tree_lab_path(lab, "src/fifo");
  g_assert_cmpint(link(linked, other), ==, 0);
  g_assert_cmpint(symlink("small", symbolic), ==, 0);
  g_assert_cmpint(mkfifo(fifo, 0640), ==, 0);
  return tree_lab_backup(lab, "src");
}

/* TRUE when the file is there; then it must be right. */
static gboolean check(TreeLab *lab, const char *name, const void *bytes, gsize length)
{
  g_autofree char *path = g_build_filename(lab->folder, "out/src", name, NULL), *found = NULL;
  gsize size;
  if (!g_file_get_contents(path, &found, &size, NULL))
    return FALSE;
  assert_bytes(found, size, bytes, length);
  return TRUE;
}

static guint check_all(TreeLab *lab)
{
  g_autofree char *symbolic = tree_lab_path(lab, "out/src/symlink"), *fifo = tree_lab_path(lab, "out/src/fifo");
  struct stat status;
  guint found = check(lab, "d/large", large_bytes, LARGE) + check(lab, "d/medium", large_bytes, 3000) +
    check(lab, "small", "small", 5) + check(lab, "linked", "linked", 6) + check(lab, "z-linked", "linked", 6);
  found += lstat(symbolic, &status) == 0;
  found += lstat(fifo, &status) == 0;
  return found;
}

static void strike(TreeLab *lab, const HfPointInfo *info, const HfSysFault *fault, guint64 *calls, guint64 *struck,
                   guint *good)
{
  g_auto(HfRestoreResult) result = { 0 };
  g_autoptr(GError) error = NULL;
  tree_lab_forget(lab);
  g_assert_true(hf_sys_fault_install(fault, NULL));
  gboolean done = lab_restore(lab, info, NULL, NULL, &result, &error);
  *calls = hf_sys_fault_calls(fault->function);
  *struck += hf_sys_fault_hits();
  hf_sys_fault_remove();
  guint found = check_all(lab);
  if (done && tree_lab_warnings(lab) == 0) {
    g_assert_cmpuint(found, ==, 7);
    g_assert_cmpuint(result.damaged + result.failed, ==, 0);
    ++*good;
  }
  if (done)
    g_assert_cmpuint(found, >=, result.files);
  g_assert_cmpint(done, ==, error == NULL);
  lab_clear_out(lab);
}

static void run(const char *function, int errnum, gboolean persist)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  HfPointInfo *info = make_source(lab);
  guint64 calls = 1, struck = 0;
  guint good = 0;
  for (guint64 nth = 1; nth <= calls; nth++) {
    HfSysFault fault = { .nth = nth, .function = function, .errnum = errnum, .persist = persist };
    strike(lab, info, &fault, &calls, &struck, &good);
    g_assert_cmpuint(nth, <, 2000);
  }
  g_test_message("%s: struck %u times with %d, %u restores without a word", function != NULL ? function : "any call",
                 (guint)struck, errnum, good);
  g_assert_cmpuint(struck, >, 0);
  hf_point_info_free(info);
  g_clear_pointer(&large_bytes, g_free);
}

/* By function, so that the messages tell which of them may fail unheard. */
static void test_io(void)
{
  static const char *const functions[] = { "openat", "close", "pread", "pwrite", "syncfs", "ftruncate", "lseek",
                                           "linkat", "unlinkat", "mkdirat", "fstatat", "statx", "getdents64" };
  for (guint i = 0; i < G_N_ELEMENTS(functions); i++)
    run(functions[i], EIO, FALSE);
}

static void test_no_space(void)
{
  run(NULL, ENOSPC, FALSE);
  run("pwrite", ENOSPC, TRUE);
}

static void test_short(void)
{
  run(NULL, 0, FALSE);
}

static void test_interrupted(void)
{
  run(NULL, EINTR, FALSE);
}

static void test_permission(void)
{
  run("openat", EACCES, FALSE);
  run("mkdirat", EPERM, FALSE);
}

/* No hard links at all: every name becomes a copy. */
static void test_no_links(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  HfPointInfo *info = make_source(lab);
  HfSysFault fault = { .nth = 1, .function = "linkat", .errnum = EPERM, .persist = TRUE };
  g_auto(HfRestoreResult) result = { 0 };
  g_autoptr(GError) error = NULL;
  hf_repo_load_index(lab->repo, NULL);
  g_assert_true(hf_sys_fault_install(&fault, NULL));
  lab->repo->read_only = TRUE; /* the store itself needs links */
  lab_restore(lab, info, NULL, NULL, &result, &error);
  hf_sys_fault_remove();
  lab->repo->read_only = FALSE;
  g_assert_no_error(error);
  g_assert_cmpuint(check_all(lab), ==, 7);
  g_assert_cmpuint(result.files, ==, 7);
  g_assert_true(tree_lab_warned(lab, "is restored as a copy, not as a hard link"));
  hf_point_info_free(info);
  g_clear_pointer(&large_bytes, g_free);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/restore-faults/io", test_io);
  g_test_add_func("/restore-faults/no-space", test_no_space);
  g_test_add_func("/restore-faults/short", test_short);
  g_test_add_func("/restore-faults/interrupted", test_interrupted);
  g_test_add_func("/restore-faults/permission", test_permission);
  g_test_add_func("/restore-faults/no-links", test_no_links);
  return g_test_run();
}
