/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Restoring whole trees and parts of them, into targets of all kinds. */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sys.h"
#include "fixture.h"
#include "restorelab.h"

static const char *compare_trees;

static void compare(TreeLab *lab, const char *a, const char *b)
{
  g_autofree char *one = tree_lab_path(lab, a), *other = tree_lab_path(lab, b);
  char *command[] = { (char *)"python3", (char *)compare_trees, (char *)"--top", one, other, NULL };
  g_autofree char *text = NULL;
  g_autoptr(GError) error = NULL;
  int status = -1;
  g_spawn_sync(NULL, command, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &text, NULL, &status, &error);
  g_assert_no_error(error);
  g_test_message("%s", text);
  g_assert_cmpint(status, ==, 0);
}

static struct stat status_of(TreeLab *lab, const char *name)
{
  g_autofree char *path = tree_lab_path(lab, name);
  struct stat status = { 0 };
  g_assert_cmpint(lstat(path, &status), ==, 0);
  return status;
}

/* ---- Everything that a tree can hold. ---- */

static void test_everything(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  g_autoptr(GString) left_out = g_string_new(NULL);
  g_autofree char *src = tree_lab_path(lab, "src");
  hf_fixture_make(src, left_out);
  g_test_message("left out: %s", left_out->str);
  HfPointInfo *info = tree_lab_backup(lab, "src");
  tree_lab_forget(lab); /* a socket or the like may be told of */
  lab_restore_well(lab, info, NULL, NULL);
  compare(lab, "src", "out/src");
  /* Once more over itself: everything is replaced, but for what nobody may replace. */
  g_autofree char *unlock = g_strdup_printf("chattr -f -R -ia %s/out", lab->folder);
  g_spawn_command_line_sync(unlock, NULL, NULL, NULL, NULL);
  lab_restore_well(lab, info, NULL, "o");
  compare(lab, "src", "out/src");
  hf_point_info_free(info);
}

/* With few descriptors, and more files than a window holds. */
static void test_few_descriptors(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  g_autofree guint8 *bytes = g_malloc(300000);
  struct rlimit old, few = { 200, 200 };
  hf_fixture_noise(bytes, 300000, 3);
  for (guint i = 0; i < 2500; i++) {
    g_autofree char *name = g_strdup_printf("src/%u/%u/%u/%u", i % 7, i % 31, i % 3, i);
    tree_lab_file(lab, name, bytes + i, i % 50 == 0 ? 200000 : i % 1500);
  }
  HfPointInfo *info = tree_lab_backup(lab, "src");
  getrlimit(RLIMIT_NOFILE, &old);
  few.rlim_max = old.rlim_max;
  g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &few), ==, 0);
  lab_restore_well(lab, info, NULL, NULL);
  g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &old), ==, 0);
  compare(lab, "src", "out/src");
  hf_point_info_free(info);
}

/* ---- What is chosen, and where it goes. ---- */

static HfPointInfo *make_two(TreeLab *lab, const char *first, const char *second)
{
  Maker maker;
  maker_begin(&maker, lab);
  HfEntry files[] = { folder_entry("d", NULL), file_entry("f", HF_CONTENT_NONE, 0, NULL) };
  HfId page = maker_page(&maker, files, 2, NULL);
  HfEntry other = file_entry("g", HF_CONTENT_NONE, 0, NULL);
  HfId other_page = maker_page(&maker, &other, 1, NULL);
  HfEntry roots[] = { folder_entry(first, &page), folder_entry(second, &other_page) };
  roots[0].mode = S_IFDIR | 0750;
  return maker_commit(&maker, roots, 2, NULL);
}

static void assert_restored(const char *first, const char *second, const char *paths, const char *how,
                            const char *wanted)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  HfPointInfo *info = make_two(lab, first, second);
  lab_restore_well(lab, info, paths, how);
  lab_assert_out(lab, wanted);
  hf_point_info_free(info);
}

static void test_selection(void)
{
  assert_restored("/a/x", "/b/y", NULL, NULL, "x x/d x/f y y/g");
  assert_restored("/a/x", "/b/x", NULL, NULL, "a a/x a/x/d a/x/f b b/x b/x/g");
  assert_restored("/a/x", "/b/y", NULL, "f", "a a/x a/x/d a/x/f b b/y b/y/g");
  assert_restored("/", "/b/y", NULL, NULL, "b b/y b/y/g d f");
  assert_restored("/a", "/a/d", NULL, NULL, "a a/d a/f d d/g");
  assert_restored("/a", "/a/d", NULL, "f", "a a/d a/d/g a/f");
  assert_restored("/a/x", "/b/y", "/a/x/f", NULL, "f");
  assert_restored("/a/x", "/b/y", "/a/x/f /b/y/g/ b//y/g", NULL, "f g");
  assert_restored("/a/x", "/b/x", "/a/x /b/x", NULL, "a a/x a/x/d a/x/f b b/x b/x/g");
  assert_restored("/a/x", "/a/x-y", "/a/x-y /a /a/x/f", "f", "a a/x a/x-y a/x-y/g a/x/d a/x/f");
  assert_restored("/a/x", "/b/y", "/a", NULL, "a a/x a/x/d a/x/f");
  assert_restored("/a/x", "/b/y", "/", NULL, "a a/x a/x/d a/x/f b b/y b/y/g");
  assert_restored("/a/x", "/b/y", "/a/x/f /a/x/d", "f", "a a/x a/x/d a/x/f");
}

static void test_selected_metadata(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  HfPointInfo *info = make_two(lab, "/", "/b/y");
  lab_restore_well(lab, info, NULL, NULL);
  struct stat top = status_of(lab, "out");
  g_assert_cmpuint(top.st_mode, ==, S_IFDIR | 0750);
  g_assert_cmpint(top.st_mtime, ==, 1700000000);
  lab_clear_out(lab);
  hf_point_info_free(info);
  /* A folder on the way is made like the saved one, but one that is there stays as it is. */
  info = make_two(lab, "/a", "/b");
  lab_restore_well(lab, info, "/a/f", "f");
  g_assert_cmpuint(status_of(lab, "out/a").st_mode, ==, S_IFDIR | 0750);
  g_assert_cmpint(status_of(lab, "out/a").st_mtime, ==, 1700000000);
  g_autofree char *a = tree_lab_path(lab, "out/a");
  g_assert_cmpint(chmod(a, 0711), ==, 0);
  lab_restore_well(lab, info, "/a/f", "fo");
  g_assert_cmpuint(status_of(lab, "out/a").st_mode, ==, S_IFDIR | 0711);
  lab_restore_well(lab, info, "/a", "fo");
  g_assert_cmpuint(status_of(lab, "out/a").st_mode, ==, S_IFDIR | 0750);
  hf_point_info_free(info);
}

static void test_not_there(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  g_autoptr(GError) error = NULL;
  HfPointInfo *info = make_two(lab, "/a/x", "/b/y");
  g_auto(HfRestoreResult) result = { 0 };
  g_assert_false(lab_restore(lab, info, "/a/x /a/q", NULL, &result, &error));
  assert_code(error, HF_ERROR_NOT_FOUND);
  g_assert_nonnull(strstr(error->message, "/a/q"));
  tree_lab_holds(lab, "out", NULL);
  hf_point_info_free(info);
}

/* ---- Targets. ---- */

static void assert_refused(TreeLab *lab, const HfPointInfo *info, const char *how, HfErrorCode code)
{
  g_auto(HfRestoreResult) result = { 0 };
  g_autoptr(GError) error = NULL;
  g_assert_false(lab_restore(lab, info, NULL, how, &result, &error));
  assert_code(error, code);
  g_test_message("%s", error->message);
}

static void test_targets(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  g_autofree char *found = tree_lab_path(lab, "out/lost+found"), *out = tree_lab_path(lab, "out");
  HfPointInfo *info = make_two(lab, "/a/x", "/b/y");
  tree_lab_text(lab, "out", "a file");
  assert_refused(lab, info, NULL, HF_ERROR_IO);
  g_unlink(out);
  tree_lab_text(lab, "out/here", "already");
  assert_refused(lab, info, NULL, HF_ERROR_REFUSED);
  lab_assert_out(lab, "here");
  lab_clear_out(lab);
  g_assert_cmpint(g_mkdir_with_parents(found, 0700), ==, 0);
  lab_restore_well(lab, info, NULL, NULL);
  lab_assert_out(lab, "lost+found x x/d x/f y y/g");
  g_free(lab->folder);
  g_autofree char *true_folder = g_path_get_dirname(out);
  lab->folder = g_build_filename(true_folder, "no", "such", NULL);
  assert_refused(lab, info, NULL, HF_ERROR_NOT_FOUND);
  g_free(lab->folder);
  lab->folder = g_steal_pointer(&true_folder);
  hf_point_info_free(info);
}

static void test_overwrite(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  tree_lab_text(lab, "src/file", "new");
  tree_lab_text(lab, "src/kept/file", "new");
  tree_lab_text(lab, "src/link", "new");
  tree_lab_text(lab, "src/blocked", "a file where the target has a folder");
  tree_lab_text(lab, "src/folder/inside", "a folder where the target has a file");
  HfPointInfo *info = tree_lab_backup(lab, "src");
  g_autofree char *link = tree_lab_path(lab, "out/src/link"), *outside = tree_lab_path(lab, "outside");
  tree_lab_text(lab, "outside", "untouched");
  tree_lab_text(lab, "out/src/file", "old and longer");
  tree_lab_text(lab, "out/src/kept/other", "stays");
  tree_lab_text(lab, "out/src/blocked/by", "this");
  tree_lab_text(lab, "out/src/folder", "file");
  g_assert_cmpint(symlink(outside, link), ==, 0);
  lab_restore_badly(lab, info, 0, 1, 4);
  tree_lab_holds(lab, "out/src/file", "new");
  tree_lab_holds(lab, "out/src/kept/file", "new");
  tree_lab_holds(lab, "out/src/kept/other", "stays");
  tree_lab_holds(lab, "out/src/link", "new");
  tree_lab_holds(lab, "outside", "untouched");
  tree_lab_holds(lab, "out/src/blocked/by", "this");
  tree_lab_holds(lab, "out/src/folder/inside", "a folder where the target has a file");
  g_assert_true(tree_lab_warned(lab, "src/blocked: cannot be restored"));
  lab_assert_out(lab, "src src/blocked src/blocked/by src/file src/folder src/folder/inside src/kept src/kept/file "
                      "src/kept/other src/link");
  hf_point_info_free(info);
}

/* ---- What replaces something is on the disk first. ---- */

static const HfSys *sys_before;
static GHashTable *settled; /* inodes that were put on the disk since they were written to */
static guint replaced;
static GMutex settled_lock;

static gpointer inode_of(int fd)
{
  struct stat status;
  g_assert_cmpint(fstat(fd, &status), ==, 0);
  return GSIZE_TO_POINTER(status.st_ino);
}

static int noted_fsync(int fd)
{
  g_mutex_lock(&settled_lock);
  g_hash_table_add(settled, inode_of(fd));
  g_mutex_unlock(&settled_lock);
  return sys_before->fsync(fd);
}

static ssize_t noted_pwrite(int fd, const void *buffer, size_t length, off_t offset)
{
  g_mutex_lock(&settled_lock);
  g_hash_table_remove(settled, inode_of(fd));
  g_mutex_unlock(&settled_lock);
  return sys_before->pwrite(fd, buffer, length, offset);
}

static int noted_rename(int old_folder, const char *old, int folder, const char *name, unsigned flags)
{
  struct stat from, to;
  g_assert_cmpint(fstatat(old_folder, old, &from, AT_SYMLINK_NOFOLLOW), ==, 0);
  if (S_ISREG(from.st_mode) && fstatat(folder, name, &to, AT_SYMLINK_NOFOLLOW) == 0) {
    g_mutex_lock(&settled_lock);
    g_assert_true(g_hash_table_contains(settled, GSIZE_TO_POINTER(from.st_ino)));
    replaced++;
    g_mutex_unlock(&settled_lock);
  }
  return sys_before->renameat2(old_folder, old, folder, name, flags);
}

static void test_overwrite_durable(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  g_autofree char *one = tree_lab_path(lab, "src/one"), *two = tree_lab_path(lab, "src/two");
  static const char *const names[] = { "file", "d/file", "one", "two" };
  tree_lab_text(lab, "src/file", "new");
  tree_lab_text(lab, "src/d/file", "new");
  tree_lab_text(lab, "src/one", "new");
  tree_lab_text(lab, "src/empty", "");
  g_assert_cmpint(link(one, two), ==, 0);
  HfPointInfo *info = tree_lab_backup(lab, "src");
  for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
    g_autofree char *path = g_build_filename("out/src", names[i], NULL);
    tree_lab_text(lab, path, "old");
  }
  tree_lab_text(lab, "out/src/empty", "old");
  HfSys noted = *hf_sys;
  noted.fsync = noted_fsync;
  noted.pwrite = noted_pwrite;
  noted.renameat2 = noted_rename;
  settled = g_hash_table_new(NULL, NULL);
  replaced = 0;
  sys_before = hf_sys;
  hf_sys = &noted;
  lab_restore_well(lab, info, NULL, "o");
  hf_sys = sys_before;
  g_hash_table_unref(settled);
  g_assert_cmpuint(replaced, ==, 5);
  for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
    g_autofree char *path = g_build_filename("out/src", names[i], NULL);
    tree_lab_holds(lab, path, "new");
  }
  hf_point_info_free(info);
}

static void keep(TreeLab *lab, const HfPointInfo *info, const char *paths, const char *how, const char *beside)
{
  g_auto(HfRestoreResult) result = { 0 };
  g_autoptr(GError) error = NULL;
  g_assert_true(lab_restore(lab, info, paths, how, &result, &error));
  g_assert_no_error(error);
  g_assert_cmpuint(result.failed, ==, 0);
  g_assert_cmpuint(result.beside->len, ==, beside != NULL ? 1 : 0);
  if (beside != NULL)
    g_assert_true(g_str_has_suffix(result.beside->pdata[0], beside));
}

/* What is there stays; what is restored gets a name beside it. */
static void test_keep(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  tree_lab_text(lab, "src/file", "saved");
  tree_lab_text(lab, "src/d/inside", "saved");
  HfPointInfo *info = tree_lab_backup(lab, "src");
  g_autofree char *file = tree_lab_path(lab, "src/file"), *parent = tree_lab_path(lab, "");
  tree_lab_text(lab, "out/src/file", "now");
  keep(lab, info, NULL, "k", "RESTORED-src");
  keep(lab, info, NULL, "k", "RESTORED-2-src");
  keep(lab, info, file, "k", NULL);
  tree_lab_text(lab, "out/file", "now");
  keep(lab, info, file, "k", "RESTORED-file");
  lab_assert_out(lab, "RESTORED-2-src RESTORED-2-src/d RESTORED-2-src/d/inside RESTORED-2-src/file RESTORED-file "
                      "RESTORED-src RESTORED-src/d RESTORED-src/d/inside RESTORED-src/file file src src/file");
  tree_lab_holds(lab, "out/src/file", "now");
  tree_lab_holds(lab, "out/file", "now");
  tree_lab_holds(lab, "out/RESTORED-src/file", "saved");
  tree_lab_holds(lab, "out/RESTORED-file", "saved");

  /* All of it by whole paths: the way is shared, whatever folder of it is named. */
  lab_clear_out(lab);
  keep(lab, info, "/", "k", NULL);
  keep(lab, info, "/", "k", "/RESTORED-src");
  keep(lab, info, parent, "kf", "/RESTORED-2-src");
  g_autofree char *taken = g_strconcat("out", file, NULL), *way = g_path_get_dirname(taken);
  tree_lab_holds(lab, taken, "saved");

  /* Something else where a folder of the way must be: it stays as well. */
  lab_clear_out(lab);
  g_autofree char *above = g_path_get_dirname(way);
  tree_lab_text(lab, above, "a file");
  g_auto(HfRestoreResult) result = { 0 };
  g_assert_true(lab_restore(lab, info, "/", "k", &result, NULL));
  g_assert_cmpuint(result.failed, >, 0);
  tree_lab_warnings(lab);
  tree_lab_holds(lab, above, "a file");
  hf_point_info_free(info);
}

/* A hostile target: a symbolic link where a folder must be. */
static void test_no_way_out(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  tree_lab_text(lab, "src/d/file", "new");
  HfPointInfo *info = tree_lab_backup(lab, "src");
  g_autofree char *link = tree_lab_path(lab, "out/src/d"), *outside = tree_lab_path(lab, "outside");
  tree_lab_text(lab, "out/src/x", "x");
  tree_lab_text(lab, "outside/y", "y");
  g_assert_cmpint(symlink(outside, link), ==, 0);
  lab_restore_badly(lab, info, 0, 0, 1);
  tree_lab_holds(lab, "outside/file", NULL);
  tree_lab_holds(lab, "out/src/d/file", "new");
  hf_point_info_free(info);
}

/* ---- Hard links. ---- */

static void assert_linked(TreeLab *lab, const char *a, const char *b, nlink_t links)
{
  struct stat one = status_of(lab, a), other = status_of(lab, b);
  g_assert_cmpuint(one.st_ino, ==, other.st_ino);
  g_assert_cmpuint(one.st_nlink, ==, links);
}

static void make_link(TreeLab *lab, const char *from, const char *to)
{
  g_autofree char *old = tree_lab_path(lab, from), *new = tree_lab_path(lab, to), *folder = g_path_get_dirname(new);
  g_assert_cmpint(g_mkdir_with_parents(folder, 0755), ==, 0);
  g_assert_cmpint(linkat(AT_FDCWD, old, AT_FDCWD, new, 0), ==, 0);
}

static HfPointInfo *back_up_links(TreeLab *lab)
{
  g_autofree guint8 *bytes = g_malloc(200000);
  hf_fixture_noise(bytes, 200000, 5);
  tree_lab_file(lab, "src/a/large", bytes, 200000);
  tree_lab_text(lab, "src/a/small", "small");
  tree_lab_text(lab, "src/a/empty", "");
  g_autofree char *link = tree_lab_path(lab, "src/a/symlink"), *fifo = tree_lab_path(lab, "src/a/fifo");
  g_assert_cmpint(symlink("to", link), ==, 0);
  g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
  static const char *const names[] = { "large", "small", "empty", "symlink", "fifo" };
  for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
    g_autofree char *from = g_strdup_printf("src/a/%s", names[i]), *near = g_strdup_printf("src/a/%s2", names[i]);
    g_autofree char *far = g_strdup_printf("src/z/%s", names[i]);
    make_link(lab, from, near);
    make_link(lab, from, far);
  }
  /* Enough between first and last names that these are met when the file stands already. */
  for (guint i = 0; i < 2000; i++) {
    g_autofree char *name = g_strdup_printf("src/m/%u", i);
    tree_lab_text(lab, name, name);
  }
  return tree_lab_backup(lab, "src");
}

static void test_links(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  HfPointInfo *info = back_up_links(lab);
  for (guint round = 0; round < 2; round++) {
    g_auto(HfRestoreResult) result = { 0 };
    g_autoptr(GError) error = NULL;
    lab_restore(lab, info, NULL, round ? "o" : "", &result, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(tree_lab_warnings(lab), ==, 0);
    g_assert_cmpuint(result.files, ==, 2015);
    g_assert_cmpuint(result.bytes, ==, info->details->bytes);
    g_assert_cmpuint(result.directories, ==, 4);
    compare(lab, "src", "out/src");
    assert_linked(lab, "out/src/a/large", "out/src/z/large", 3);
    assert_linked(lab, "out/src/a/fifo2", "out/src/z/fifo", 3);
  }
  /* Nothing but the root is left there: the folder of links is gone. */
  g_assert_cmpuint(status_of(lab, "out").st_nlink, ==, 3);
  hf_point_info_free(info);
}

/* The flags that forbid further names, and to take the first one away, come last. */
static void test_locked_links(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  tree_lab_text(lab, "src/a/locked", "locked");
  tree_lab_text(lab, "src/a/plain", "plain");
  make_link(lab, "src/a/locked", "src/a/locked2");
  make_link(lab, "src/a/locked", "src/z/locked");
  make_link(lab, "src/a/plain", "src/z/plain");
  g_autofree char *lock = g_strdup_printf("chattr +i %s/src/a/locked", lab->folder);
  int status = -1;
  if (!g_spawn_command_line_sync(lock, NULL, NULL, &status, NULL) || status != 0) {
    g_test_skip("no flags here");
    return;
  }
  HfPointInfo *info = tree_lab_backup(lab, "src");
  lab_restore_well(lab, info, NULL, NULL);
  compare(lab, "src", "out/src");
  assert_linked(lab, "out/src/a/locked", "out/src/z/locked", 3);
  g_assert_cmpuint(status_of(lab, "out").st_nlink, ==, 3);
  hf_point_info_free(info);
}

/* Part of the target is another file system: names there become copies. */
static void test_links_across(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  g_autofree char *z = tree_lab_path(lab, "out/src/z");
  HfPointInfo *info = back_up_links(lab);
  g_assert_cmpint(g_mkdir_with_parents(z, 0755), ==, 0);
  if (!hf_place_private() || mount("none", z, "tmpfs", 0, NULL) != 0) {
    g_test_skip("no mounts here");
    hf_point_info_free(info);
    return;
  }
  g_auto(HfRestoreResult) result = { 0 };
  g_autoptr(GError) error = NULL;
  lab_restore(lab, info, NULL, "o", &result, &error);
  g_assert_no_error(error);
  g_assert_cmpuint(result.files, ==, 2015);
  g_assert_cmpuint(result.failed + result.damaged, ==, 0);
  assert_linked(lab, "out/src/a/large", "out/src/a/large2", 2);
  g_assert_cmpuint(status_of(lab, "out/src/z/large").st_nlink, ==, 1);
  g_assert_true(tree_lab_warned(lab, "src/z/large: is restored as a copy"));
  g_assert_cmpint(status_of(lab, "out/src/z/large").st_mtime, ==, status_of(lab, "src/z/large").st_mtime);
  g_autofree char *compare_bytes = g_strdup_printf("diff -r --no-dereference %s/src/z/large %s/large", lab->folder, z);
  int status = -1;
  g_assert_true(g_spawn_command_line_sync(compare_bytes, NULL, NULL, &status, NULL));
  g_assert_cmpint(status, ==, 0);
  g_assert_cmpint(umount2(z, MNT_DETACH), ==, 0);
  hf_point_info_free(info);
}

/* Deeper than any path may be long, with fewer descriptors than levels. */
static void test_deep(void)
{
  enum { LEVELS = 3000 };
  g_autoptr(TreeLab) lab = tree_lab_new();
  Maker maker;
  struct rlimit old, few = { 200, 200 };
  HfId page;
  maker_begin(&maker, lab);
  HfId text = maker_text(&maker, "text");
  for (guint i = 0; i < LEVELS; i++) {
    HfEntry entries[] = { file_entry("a", HF_CONTENT_BLOB, 4, &text), folder_entry("d", i > 0 ? &page : NULL),
                          file_entry("z", HF_CONTENT_BLOB, 4, &text) };
    page = maker_page(&maker, entries, 3, NULL);
  }
  HfEntry root = folder_entry("/r", &page);
  HfPointInfo *info = maker_commit(&maker, &root, 1, NULL);
  getrlimit(RLIMIT_NOFILE, &old);
  few.rlim_max = old.rlim_max;
  g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &few), ==, 0);
  g_auto(HfRestoreResult) result = { 0 };
  g_autoptr(GError) error = NULL;
  lab_restore(lab, info, NULL, NULL, &result, &error);
  g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &old), ==, 0);
  g_assert_no_error(error);
  g_assert_cmpuint(tree_lab_warnings(lab), ==, 0);
  g_assert_cmpuint(result.files, ==, 2 * LEVELS);
  g_assert_cmpuint(result.directories, ==, LEVELS + 1);
  hf_point_info_free(info);
}

/* ---- A cancel. ---- */

static void test_cancel(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  g_autofree guint8 *bytes = g_malloc(8 << 20);
  hf_fixture_noise(bytes, 8 << 20, 9);
  for (guint i = 0; i < 8; i++) {
    g_autofree char *name = g_strdup_printf("src/%u/large", i);
    tree_lab_file(lab, name, bytes + i, 7 << 20);
  }
  HfPointInfo *info = tree_lab_backup(lab, "src");
  for (guint64 at = 1; at < 56 << 20; at += 9 << 20) {
    g_auto(HfRestoreResult) result = { 0 };
    g_autoptr(GError) error = NULL;
    HfReport *report = lab->repo->report;
    lab->cancel_at = at;
    if (!lab_restore(lab, info, NULL, NULL, &result, &error))
      assert_code(error, HF_ERROR_CANCELLED);
    /* What stands under its name is whole. */
    for (guint i = 0; i < 8; i++) {
      g_autofree char *name = g_strdup_printf("out/src/%u/large", i), *path = tree_lab_path(lab, name), *found = NULL;
      gsize length;
      if (g_file_get_contents(path, &found, &length, NULL))
        assert_bytes(found, length, bytes + i, 7 << 20);
    }
    g_assert_true(report == lab->repo->report);
    lab->cancel_at = 0;
    lab->cancel.flag = 0;
    lab_clear_out(lab);
  }
  hf_point_info_free(info);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_assert_cmpint(argc, ==, 2);
  compare_trees = argv[1];
  g_test_add_func("/restore/everything", test_everything);
  g_test_add_func("/restore/few-descriptors", test_few_descriptors);
  g_test_add_func("/restore/selection", test_selection);
  g_test_add_func("/restore/selected-metadata", test_selected_metadata);
  g_test_add_func("/restore/not-there", test_not_there);
  g_test_add_func("/restore/targets", test_targets);
  g_test_add_func("/restore/overwrite", test_overwrite);
  g_test_add_func("/restore/overwrite-durable", test_overwrite_durable);
  g_test_add_func("/restore/keep", test_keep);
  g_test_add_func("/restore/no-way-out", test_no_way_out);
  g_test_add_func("/restore/links", test_links);
  g_test_add_func("/restore/locked-links", test_locked_links);
  g_test_add_func("/restore/links-across", test_links_across);
  g_test_add_func("/restore/deep", test_deep);
  g_test_add_func("/restore/cancel", test_cancel);
  return g_test_run();
}
