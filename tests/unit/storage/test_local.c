/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Opening, reading, removing and free space of the folder driver. */
#include "storage/local/local.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/error.h"
#include "base/sys.h"
#include "base/sysfault.h"
#include "fixture.h"
#include "storage/local/internal.h"

/* The nth call of `function` fails with `errnum` from now on, or once. */
static void fail_call(const char *function, guint64 nth, int errnum, gboolean persist)
{
  g_autoptr(GError) error = NULL;
  HfSysFault fault = { .nth = nth, .function = function, .errnum = errnum, .persist = persist };
  hf_sys_fault_install(&fault, &error);
  g_assert_no_error(error);
}

/* The fault was hit; calls work again. */
static void end_fault(void)
{
  g_assert_cmpuint(hf_sys_fault_hits(), >, 0);
  hf_sys_fault_remove();
}

/* ---- Opening. ---- */

static void expect_open_fails(const char *path, gboolean create, int code, const char *text)
{
  g_autoptr(GError) error = NULL;
  g_assert_null(hf_local_open(path, create, &error));
  g_assert_error(error, HF_ERROR, code);
  g_assert_nonnull(strstr(error->message, path));
  g_assert_nonnull(strstr(error->message, text));
}

static void test_open(void)
{
  Fixture fixture;
  fixture_open(&fixture);
  GStatBuf status;
  g_assert_cmpint(g_stat(fixture.path, &status), ==, 0);
  g_assert_cmpuint(status.st_mode & 07777, ==, 0700);
  g_assert_cmpstr(fixture.store->location, ==, fixture.path);
  g_assert_cmpuint(fixture.store->features, ==, HF_STORE_EXCLUSIVE | HF_STORE_LOCAL);
  put_text(fixture.store, "a", "hello");
  for (int create = FALSE; create <= TRUE; create++) {
    g_autoptr(HfStore) again = hf_local_open(fixture.path, create, NULL);
    expect_text(again, "a", "hello");
  }
  g_autofree char *missing = g_build_filename(fixture.folder, "missing", NULL);
  g_autofree char *deeper = g_build_filename(missing, "deeper", NULL);
  g_autofree char *file = fixture_path(&fixture, "a");
  expect_open_fails(missing, FALSE, HF_ERROR_NOT_FOUND, "cannot open");
  expect_open_fails(deeper, TRUE, HF_ERROR_NOT_FOUND, "its parent does not exist; create that first");
  expect_open_fails(file, FALSE, HF_ERROR_IO, "Not a directory");
  expect_open_fails(file, TRUE, HF_ERROR_IO, "Not a directory");
  g_assert_false(g_file_test(missing, G_FILE_TEST_EXISTS));
  fixture_close(&fixture);
}

static void test_register(void)
{
  Fixture fixture;
  g_autoptr(GError) error = NULL;
  fixture_open(&fixture);
  hf_local_register();
  put_text(fixture.store, "a", "hello");
  g_autoptr(HfStore) plain = hf_store_open(fixture.path, FALSE, &error);
  expect_text(plain, "a", "hello");
  g_autofree char *location = g_strconcat("file:", fixture.path, NULL);
  g_autoptr(HfStore) full = hf_store_open(location, FALSE, &error);
  expect_text(full, "a", "hello");
  g_assert_cmpstr(full->location, ==, location);
  fixture_close(&fixture);
}

static void test_open_errors(void)
{
  Fixture fixture;
  fixture_open(&fixture);
  g_autofree char *path = g_build_filename(fixture.folder, "other", NULL);
  fail_call("mkdirat", 1, EACCES, FALSE);
  expect_open_fails(path, TRUE, HF_ERROR_PERMISSION, "cannot create folder");
  end_fault();
  fail_call("fsync", 1, EIO, FALSE);
  expect_open_fails(path, TRUE, HF_ERROR_IO, "cannot sync the parent");
  end_fault();
  fail_call("openat", 1, EMFILE, FALSE);
  expect_open_fails(path, TRUE, HF_ERROR_IO, "cannot open");
  end_fault();
  fixture_close(&fixture);
}

/* A folder with names that no repository has is somebody's; what a disk brings along, and leftovers of ours, are not. */
static void test_open_among_others(void)
{
  static const char *const harmless[] = { "lost+found", HF_LOCAL_TEMPORARY "left" };
  Fixture fixture;
  fixture_open(&fixture);
  g_autofree char *path = g_build_filename(fixture.folder, "other", NULL), *foreign = NULL;
  g_assert_cmpint(g_mkdir(path, 0700), ==, 0);
  for (guint i = 0; i < G_N_ELEMENTS(harmless); i++) {
    g_autofree char *name = g_build_filename(path, harmless[i], NULL);
    g_assert_cmpint(g_mkdir(name, 0700), ==, 0);
  }
  g_autoptr(HfStore) store = hf_local_open(path, TRUE, NULL);
  g_assert_nonnull(store);
  foreign = g_build_filename(path, "My photos", NULL);
  g_assert_cmpint(g_mkdir(foreign, 0700), ==, 0);
  expect_open_fails(path, TRUE, HF_ERROR_REFUSED, "it holds 'My photos'");
  fixture_close(&fixture);
}

/* The parent may be written and not read: then all of its file system is synced. */
static void test_open_below_unreadable(void)
{
  Fixture fixture;
  fixture_open(&fixture);
  g_autofree char *path = g_build_filename(fixture.folder, "other", NULL);
  fail_call("openat", 2, EACCES, FALSE);
  g_autoptr(HfStore) store = hf_local_open(path, TRUE, NULL);
  g_assert_nonnull(store);
  g_assert_cmpuint(hf_sys_fault_calls("syncfs"), ==, 1);
  end_fault();
  fixture_close(&fixture);
}

static const HfSys *real;

static int openat_of_unreadable_parent(int dirfd, const char *path, int flags, mode_t mode)
{
  if (!g_str_equal(path, ".."))
    return real->openat(dirfd, path, flags, mode);
  errno = EACCES;
  return -1;
}

static int failing_syncfs(int fd G_GNUC_UNUSED)
{
  errno = EIO;
  return -1;
}

static void test_open_below_unreadable_fails(void)
{
  Fixture fixture;
  fixture_open(&fixture);
  real = hf_sys;
  HfSys table = *hf_sys;
  table.openat = openat_of_unreadable_parent;
  table.syncfs = failing_syncfs;
  hf_sys = &table;
  expect_open_fails(fixture.path, TRUE, HF_ERROR_IO, "cannot sync the parent");
  hf_sys = real;
  fixture_close(&fixture);
}

/* ---- Reading. ---- */

/* What lies there and is no object is not found, and opening it does not hang. */
static void test_no_objects(void)
{
  Fixture fixture;
  fixture_open(&fixture);
  put_text(fixture.store, "folder/a", "hello");
  g_autofree char *fifo = fixture_path(&fixture, "fifo"), *link = fixture_path(&fixture, "link");
  g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
  g_assert_cmpint(symlink("folder/a", link), ==, 0);
  static const char *const names[] = { "fifo", "link", "folder", "missing", "folder/a/b", "missing/a" };
  for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
    g_autoptr(GError) error = NULL;
    guint64 size;
    expect_get_fails(fixture.store, names[i], HF_ERROR_NOT_FOUND);
    g_assert_false(hf_store_size(fixture.store, names[i], &size, &error));
    g_assert_error(error, HF_ERROR, HF_ERROR_NOT_FOUND);
  }
  static const char *const kept[] = { "folder", "missing", "folder/a/b", "missing/a" };
  for (gsize i = 0; i < G_N_ELEMENTS(kept); i++) {
    g_autoptr(GError) error = NULL;
    g_assert_false(hf_store_remove(fixture.store, kept[i], &error));
    g_assert_error(error, HF_ERROR, HF_ERROR_NOT_FOUND);
  }
  g_autofree char *tree = fixture_tree(&fixture);
  g_assert_cmpstr(tree, ==, "fifo folder folder/a link");
  fixture_close(&fixture);
}

static void test_short(void)
{
  Fixture fixture;
  g_autoptr(GError) error = NULL;
  char bytes[8];
  fixture_open(&fixture);
  put_text(fixture.store, "a", "hello");
  g_assert_false(hf_store_get(fixture.store, "a", 2, bytes, 4, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_DAMAGED);
  g_assert_nonnull(strstr(error->message, "no 4 bytes at 2 but 5 bytes in all"));
  fixture_close(&fixture);
}

/* Another handle, as another process would, removes an object and mends it: we hold the old one open. */
static void test_removed_elsewhere(void)
{
  static const char *const names[] = { "points/a.0", "sessions/a/beat" };
  Fixture fixture;
  fixture_open(&fixture);
  g_autoptr(HfStore) other = hf_local_open(fixture.path, FALSE, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
    put_text(fixture.store, names[i], "hello");
    expect_text(fixture.store, names[i], "hello");
    g_assert_true(hf_store_remove(other, names[i], NULL));
    expect_get_fails(fixture.store, names[i], HF_ERROR_NOT_FOUND);
    put_text(other, names[i], "world");
    expect_text(fixture.store, names[i], "world");
    g_assert_true(hf_store_remove(other, names[i], NULL));
    put_text(other, names[i], "again");
    expect_text(fixture.store, names[i], "again");
  }
  fixture_close(&fixture);
}

/* More objects than are kept open. */
static void test_many_open(void)
{
  Fixture fixture;
  fixture_open(&fixture);
  for (int i = 0; i < 150; i++) {
    g_autofree char *name = g_strdup_printf("%02x/%d", i, i), *text = g_strdup_printf("object %d", i);
    put_text(fixture.store, name, text);
  }
  for (int round = 0; round < 2; round++)
    for (int i = 0; i < 150; i++) {
      g_autofree char *name = g_strdup_printf("%02x/%d", i, i), *text = g_strdup_printf("object %d", i);
      expect_text(fixture.store, name, text);
    }
  g_autoptr(GDir) fds = g_dir_open("/proc/self/fd", 0, NULL);
  guint open_fds = 0;
  while (g_dir_read_name(fds) != NULL)
    open_fds++;
  g_assert_cmpuint(open_fds, <=, 64 + 64 + 16);
  fixture_close(&fixture);
}

static void test_read_errors(void)
{
  Fixture fixture;
  g_autoptr(GError) error = NULL;
  guint64 size;
  char bytes[5];
  fixture_open(&fixture);
  put_text(fixture.store, "a", "hello");
  fail_call("openat", 1, EACCES, FALSE);
  expect_get_fails(fixture.store, "a", HF_ERROR_PERMISSION);
  end_fault();
  fail_call("fstatat", 1, EIO, FALSE);
  g_assert_false(hf_store_size(fixture.store, "a", &size, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_IO);
  end_fault();
  fail_call("pread", 1, EIO, FALSE);
  expect_get_fails(fixture.store, "a", HF_ERROR_IO);
  end_fault();
  fail_call("pread", 1, ESTALE, FALSE); /* of a file that was open: opened again, and all is well */
  g_assert_true(hf_store_get(fixture.store, "a", 0, bytes, 5, NULL));
  g_assert_cmpmem(bytes, 5, "hello", 5);
  end_fault();
  fail_call("fstatat", 1, EIO, TRUE);
  expect_get_fails(fixture.store, "a", HF_ERROR_IO);
  end_fault();
  expect_text(fixture.store, "a", "hello");
  fixture_close(&fixture);
}

/* ---- Removing. ---- */

static void test_remove(void)
{
  Fixture fixture;
  fixture_open(&fixture);
  put_text(fixture.store, "a/b/c/one", "1");
  put_text(fixture.store, "a/b/two", "2");
  g_assert_true(hf_store_remove(fixture.store, "a/b/c/one", NULL));
  g_autofree char *some = fixture_tree(&fixture);
  g_assert_cmpstr(some, ==, "a a/b a/b/two"); /* only what is empty goes */
  g_assert_true(hf_store_remove(fixture.store, "a/b/two", NULL));
  g_autofree char *none = fixture_tree(&fixture);
  g_assert_cmpstr(none, ==, "");
  put_text(fixture.store, "a/b/c/one", "1"); /* and comes back */
  expect_text(fixture.store, "a/b/c/one", "1");
  fixture_close(&fixture);
}

static void test_remove_errors(void)
{
  Fixture fixture;
  g_autoptr(GError) error = NULL;
  fixture_open(&fixture);
  put_text(fixture.store, "a/b", "hello");
  fail_call("unlinkat", 1, EPERM, FALSE); /* as for a file with the immutable flag */
  g_assert_false(hf_store_remove(fixture.store, "a/b", &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_PERMISSION);
  end_fault();
  expect_text(fixture.store, "a/b", "hello");
  fail_call("unlinkat", 2, EACCES, FALSE); /* the folder cannot go: nobody's concern */
  g_assert_true(hf_store_remove(fixture.store, "a/b", NULL));
  end_fault();
  g_autofree char *tree = fixture_tree(&fixture);
  g_assert_cmpstr(tree, ==, "a");
  fixture_close(&fixture);
}

/* ---- Space. ---- */

static void test_usage(void)
{
  Fixture fixture;
  g_autoptr(GError) error = NULL;
  HfStoreUsage usage;
  fixture_open(&fixture);
  g_assert_true(hf_store_usage(fixture.store, &usage, NULL));
  g_assert_cmpuint(usage.bytes_total, >, 0);
  g_assert_cmpuint(usage.bytes_free, <=, usage.bytes_total);
  fail_call("fstatvfs", 1, EIO, FALSE);
  g_assert_false(hf_store_usage(fixture.store, &usage, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_IO);
  end_fault();
  fixture_close(&fixture);
}

/* Fills the store until nothing fits. */
static guint fill(HfStore *store)
{
  g_autofree guint8 *bytes = g_malloc0(65536);
  for (guint count = 0;; count++) {
    g_autoptr(GError) error = NULL;
    g_autofree char *name = g_strdup_printf("data/%u", count);
    if (!hf_store_put(store, name, bytes, 65536, &error)) {
      g_assert_error(error, HF_ERROR, HF_ERROR_NO_SPACE);
      return count;
    }
  }
}

static const char *numbered(guint number)
{
  static char name[16];
  g_snprintf(name, sizeof name, "last.%u", number);
  return name;
}

static void test_full_disk(void)
{
  Fixture fixture;
  fixture_open(&fixture);
  if (mount("holdfast-test", fixture.path, "tmpfs", 0, "size=1m") != 0) {
    g_test_skip("needs the right to mount");
    fixture_close(&fixture);
    return;
  }
  HfStore *store = hf_local_open(fixture.path, FALSE, NULL);
  g_assert_cmpint(umount2(fixture.path, MNT_DETACH), ==, 0); /* the open store keeps it until it is closed */
  guint count = fill(store);
  g_assert_cmpuint(count, >, 4);
  for (guint i = 0; hf_store_put(store, numbered(i), "x", 1, NULL); i++) /* the last pages */
    ;
  HfStoreUsage usage;
  g_assert_true(hf_store_usage(store, &usage, NULL));
  g_assert_cmpuint(usage.bytes_free, ==, 0);
  g_autoptr(GPtrArray) names = hf_store_list_names(store, "", NULL);
  for (guint i = 0; i < names->len; i++)
    g_assert_true(hf_store_remove(store, g_ptr_array_index(names, i), NULL));
  g_assert_cmpuint(fill(store), ==, count);
  hf_store_free(store);
  fixture_close(&fixture);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/storage/local/open", test_open);
  g_test_add_func("/storage/local/register", test_register);
  g_test_add_func("/storage/local/open-errors", test_open_errors);
  g_test_add_func("/storage/local/open-among-others", test_open_among_others);
  g_test_add_func("/storage/local/open-below-unreadable", test_open_below_unreadable);
  g_test_add_func("/storage/local/open-below-unreadable-fails", test_open_below_unreadable_fails);
  g_test_add_func("/storage/local/no-objects", test_no_objects);
  g_test_add_func("/storage/local/short", test_short);
  g_test_add_func("/storage/local/removed-elsewhere", test_removed_elsewhere);
  g_test_add_func("/storage/local/many-open", test_many_open);
  g_test_add_func("/storage/local/read-errors", test_read_errors);
  g_test_add_func("/storage/local/remove", test_remove);
  g_test_add_func("/storage/local/remove-errors", test_remove_errors);
  g_test_add_func("/storage/local/usage", test_usage);
  g_test_add_func("/storage/local/full-disk", test_full_disk);
  return g_test_run();
}
