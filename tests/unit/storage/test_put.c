/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writing into a folder: what a failure at any moment leaves. */
#include <errno.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/sys.h"
#include "base/sysfault.h"
#include "fixture.h"

static const HfSys *real;
static HfSys table; /* a copy of the real one that tests change */

static void set_up(Fixture *fixture)
{
  fixture_open(fixture);
  real = hf_sys;
  table = *hf_sys;
  hf_sys = &table;
}

static void tear_down(Fixture *fixture)
{
  hf_sys = real;
  fixture_close(fixture);
}

static HfPut *begin(HfStore *store, const char *name, const char *text)
{
  g_autoptr(GError) error = NULL;
  HfPut *put = hf_put_begin(store, name, &error);
  g_assert_no_error(error);
  struct iovec vector = { (char *)text, strlen(text) };
  g_assert_true(hf_put_write(put, &vector, 1, &error));
  return put;
}

static void expect_commit_fails(HfPut *put, int code, const char *text)
{
  g_autoptr(GError) error = NULL;
  g_assert_false(hf_put_commit(put, &error));
  g_assert_error(error, HF_ERROR, code);
  g_assert_nonnull(strstr(error->message, text));
}

static void expect_readable(HfPut *put, const char *text)
{
  g_autofree char *back = g_malloc(strlen(text));
  g_assert_true(hf_put_read(put, 0, back, strlen(text), NULL));
  g_assert_true(memcmp(back, text, strlen(text)) == 0);
}

static int fail_errno(int errnum)
{
  errno = errnum;
  return -1;
}

static int no_tmpfile(int dirfd, const char *path, int flags, mode_t mode)
{
  return (flags & O_TMPFILE) == O_TMPFILE ? fail_errno(EISDIR) : real->openat(dirfd, path, flags, mode);
}

static void expect_tree(Fixture *fixture, const char *expected)
{
  g_autofree char *tree = fixture_tree(fixture);
  g_assert_cmpstr(tree, ==, expected);
}

/* ---- What is made. ---- */

static void expect_mode(Fixture *fixture, const char *name, guint mode)
{
  GStatBuf status;
  g_autofree char *path = fixture_path(fixture, name);
  g_assert_cmpint(g_lstat(path, &status), ==, 0);
  g_assert_cmpuint(status.st_mode & 07777, ==, mode);
  g_assert_cmpuint(status.st_nlink, ==, S_ISDIR(status.st_mode) ? status.st_nlink : 1);
}

static void test_modes(void)
{
  Fixture fixture;
  set_up(&fixture);
  put_text(fixture.store, "a/b/unnamed", "hello");
  table.openat = no_tmpfile;
  put_text(fixture.store, "a/b/named", "hello");
  expect_mode(&fixture, "a", 0700);
  expect_mode(&fixture, "a/b", 0700);
  expect_mode(&fixture, "a/b/unnamed", 0400);
  expect_mode(&fixture, "a/b/named", 0400);
  expect_tree(&fixture, "a a/b a/b/named a/b/unnamed");
  tear_down(&fixture);
}

static void test_abort(void)
{
  Fixture fixture;
  set_up(&fixture);
  hf_put_free(begin(fixture.store, "unnamed", "hello"));
  table.openat = no_tmpfile;
  HfPut *put = begin(fixture.store, "named", "hello");
  g_autofree char *tree = fixture_tree(&fixture);
  g_assert_true(g_str_has_prefix(tree, ".tmp-"));
  g_autoptr(GPtrArray) names = hf_store_list_names(fixture.store, "", NULL);
  g_assert_cmpuint(names->len, ==, 0);
  hf_put_free(put);
  expect_tree(&fixture, "");
  tear_down(&fixture);
}

static int no_proc(int dirfd, const char *path, struct stat *status, int flags)
{
  return g_str_has_prefix(path, "/proc/") ? fail_errno(ENOENT) : real->fstatat(dirfd, path, status, flags);
}

static void test_no_proc(void)
{
  Fixture fixture;
  set_up(&fixture);
  table.fstatat = no_proc;
  g_autoptr(HfStore) store = hf_local_open(fixture.path, FALSE, NULL);
  HfPut *put = begin(store, "a", "hello");
  g_autofree char *tree = fixture_tree(&fixture);
  g_assert_true(g_str_has_prefix(tree, ".tmp-"));
  g_assert_true(hf_put_commit(put, NULL));
  expect_tree(&fixture, "a");
  hf_put_free(put);
  tear_down(&fixture);
}

static int taken_names;

static int taken(int dirfd, const char *path, int flags, mode_t mode)
{
  if ((flags & O_CREAT) && taken_names-- > 0)
    return fail_errno(EEXIST);
  return no_tmpfile(dirfd, path, flags, mode);
}

static void test_temporary_name_taken(void)
{
  Fixture fixture;
  set_up(&fixture);
  taken_names = 2;
  table.openat = taken;
  put_text(fixture.store, "a", "hello");
  g_assert_cmpint(taken_names, <, 0);
  expect_text(fixture.store, "a", "hello");
  tear_down(&fixture);
}

/* ---- Syncs that fail. ---- */

static guint syncs, failing_sync; /* calls so far; the number of the one that fails */

static int count_fsync(int fd)
{
  return ++syncs == failing_sync ? fail_errno(EIO) : real->fsync(fd);
}

/* Bytes, link count, folder: whichever sync fails, the put is lost, and a second try is no better. */
static void test_failed_sync(void)
{
  Fixture fixture;
  set_up(&fixture);
  table.fsync = count_fsync;
  for (failing_sync = 1; failing_sync <= 3; failing_sync++) {
    g_autofree char *name = g_strdup_printf("a%u", failing_sync);
    g_autoptr(HfPut) put = begin(fixture.store, name, "hello");
    char byte;
    syncs = 0;
    expect_commit_fails(put, HF_ERROR_IO, "cannot sync");
    g_assert_cmpuint(syncs, ==, failing_sync);
    expect_commit_fails(put, HF_ERROR_IO, "may have lost bytes");
    g_assert_false(hf_put_read(put, 0, &byte, 1, NULL));
    g_assert_cmpuint(syncs, ==, failing_sync);
  }
  syncs = 0;
  put_text(fixture.store, "fresh", "hello");
  g_assert_cmpuint(syncs, ==, 3);
  tear_down(&fixture);
}

/* Each folder on the way is on disk before an object is in it, whoever made it. */
static void test_parents_are_synced(void)
{
  Fixture fixture;
  set_up(&fixture);
  g_autofree char *path = fixture_path(&fixture, "a/b");
  g_assert_cmpint(g_mkdir_with_parents(path, 0700), ==, 0); /* by somebody who did not sync */
  table.fsync = count_fsync;
  syncs = failing_sync = 0;
  put_text(fixture.store, "a/b/one", "hello");
  g_assert_cmpuint(syncs, ==, 5); /* the root for a, a for b, and three as above */
  put_text(fixture.store, "a/b/two", "hello");
  g_assert_cmpuint(syncs, ==, 8); /* once is enough */
  syncs = 0;
  failing_sync = 1;
  g_autoptr(GError) error = NULL;
  g_assert_null(hf_put_begin(fixture.store, "c/one", &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_IO);
  tear_down(&fixture);
}

/* ---- Names that cannot be given. ---- */

static int linkat_errno; /* 0: links */
static gboolean linkat_links; /* links, and fails all the same */

static int scripted_linkat(int olddir, const char *oldpath, int newdir, const char *newpath, int flags)
{
  if (linkat_errno == 0)
    return real->linkat(olddir, oldpath, newdir, newpath, flags);
  if (linkat_links)
    g_assert_cmpint(real->linkat(olddir, oldpath, newdir, newpath, flags), ==, 0);
  return fail_errno(linkat_errno);
}

static void test_link_fails(void)
{
  Fixture fixture;
  set_up(&fixture);
  table.linkat = scripted_linkat;
  linkat_errno = EIO;
  linkat_links = FALSE;
  HfPut *put = begin(fixture.store, "a", "hello");
  expect_commit_fails(put, HF_ERROR_IO, "cannot create object 'a'");
  expect_readable(put, "hello");
  linkat_errno = 0;
  g_assert_true(hf_put_commit(put, NULL)); /* nothing was lost: tried again */
  expect_text(fixture.store, "a", "hello");
  HfPut *full = begin(fixture.store, "b", "hello");
  linkat_errno = ENOSPC; /* no room for the name */
  expect_commit_fails(full, HF_ERROR_NO_SPACE, "No space");
  hf_put_free(put);
  hf_put_free(full);
  tear_down(&fixture);
}

/* The server linked it, the answer was lost, and the second request met our own file. */
static void test_link_answer_lost(void)
{
  Fixture fixture;
  set_up(&fixture);
  table.linkat = scripted_linkat;
  linkat_errno = EEXIST;
  linkat_links = TRUE;
  put_text(fixture.store, "a", "hello");
  expect_text(fixture.store, "a", "hello");
  linkat_links = FALSE;
  linkat_errno = 0;
  g_autoptr(GError) error = NULL;
  g_assert_false(hf_store_put(fixture.store, "a", "hello", 5, &error)); /* equal bytes, but not our file */
  linkat_errno = EEXIST;
  g_clear_error(&error);
  g_assert_false(hf_store_put(fixture.store, "a", "hello", 5, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_EXISTS);
  tear_down(&fixture);
}

static int renames_but(int olddir, const char *oldpath, int newdir, const char *newpath, unsigned flags)
{
  g_assert_cmpint(real->renameat2(olddir, oldpath, newdir, newpath, flags), ==, 0);
  return fail_errno(ENOENT);
}

static int no_rename(int olddir G_GNUC_UNUSED, const char *oldpath G_GNUC_UNUSED, int newdir G_GNUC_UNUSED,
                     const char *newpath G_GNUC_UNUSED, unsigned flags G_GNUC_UNUSED)
{
  return fail_errno(EINVAL);
}

static void test_rename_answer_lost(void)
{
  Fixture fixture;
  set_up(&fixture);
  table.openat = no_tmpfile;
  table.renameat2 = renames_but;
  put_text(fixture.store, "a", "hello");
  expect_tree(&fixture, "a");
  tear_down(&fixture);
}

static void test_link_instead_of_rename(void)
{
  Fixture fixture;
  set_up(&fixture);
  table.openat = no_tmpfile;
  table.renameat2 = no_rename;
  put_text(fixture.store, "a", "hello");
  put_text(fixture.store, "b", "hello");
  g_autoptr(GError) error = NULL;
  g_assert_false(hf_store_put(fixture.store, "a", "world", 5, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_EXISTS);
  expect_tree(&fixture, "a b");
  expect_mode(&fixture, "a", 0400);
  tear_down(&fixture);
}

static void test_neither_link_nor_rename(void)
{
  Fixture fixture;
  set_up(&fixture);
  table.openat = no_tmpfile;
  table.renameat2 = no_rename;
  table.linkat = scripted_linkat;
  linkat_errno = EPERM;
  linkat_links = FALSE;
  HfPut *put = begin(fixture.store, "a", "hello");
  expect_commit_fails(put, HF_ERROR_UNSUPPORTED, "use another file system");
  hf_put_free(put);
  expect_tree(&fixture, "");
  tear_down(&fixture);
}

/* Somebody cleaned up behind our back. */
static void test_temporary_removed(void)
{
  Fixture fixture;
  set_up(&fixture);
  table.openat = no_tmpfile;
  HfPut *put = begin(fixture.store, "a", "hello");
  g_autofree char *tree = fixture_tree(&fixture), *path = fixture_path(&fixture, tree);
  g_assert_cmpint(g_remove(path), ==, 0);
  expect_commit_fails(put, HF_ERROR_FAILED, "its unfinished file was removed");
  hf_put_free(put);
  tear_down(&fixture);
}

/* ---- Folders that go. ---- */

static void test_folder_removed(void)
{
  Fixture fixture;
  set_up(&fixture);
  g_autofree char *path = fixture_path(&fixture, "a");
  put_text(fixture.store, "a/b/one", "1");
  remove_tree(path);
  HfPut *put = begin(fixture.store, "a/b/two", "2");
  remove_tree(path);
  g_assert_true(hf_put_commit(put, NULL));
  expect_text(fixture.store, "a/b/two", "2");
  expect_tree(&fixture, "a a/b a/b/two");
  hf_put_free(put);
  tear_down(&fixture);
}

static void test_root_removed(void)
{
  Fixture fixture;
  g_autoptr(GError) error = NULL;
  set_up(&fixture);
  HfPut *put = begin(fixture.store, "a/b", "hello");
  remove_tree(fixture.path);
  g_assert_null(hf_put_begin(fixture.store, "c", &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_NOT_FOUND);
  g_clear_error(&error);
  g_assert_null(hf_put_begin(fixture.store, "c/d", &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_NOT_FOUND);
  expect_commit_fails(put, HF_ERROR_IO, "cannot create object 'a/b'");
  hf_put_free(put);
  tear_down(&fixture);
}

/* The folder cannot be made anew. */
static int refused_mkdirat(int dirfd G_GNUC_UNUSED, const char *path G_GNUC_UNUSED, mode_t mode G_GNUC_UNUSED)
{
  return fail_errno(EDQUOT);
}

static void test_folder_refused(void)
{
  Fixture fixture;
  g_autoptr(GError) error = NULL;
  set_up(&fixture);
  g_autofree char *path = fixture_path(&fixture, "a");
  HfPut *put = begin(fixture.store, "a/b", "hello");
  remove_tree(path);
  table.mkdirat = refused_mkdirat;
  expect_commit_fails(put, HF_ERROR_NO_SPACE, "cannot create object 'a/b'");
  g_assert_null(hf_put_begin(fixture.store, "c/d", &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_NO_SPACE);
  hf_put_free(put);
  tear_down(&fixture);
}

/* An object stands where a folder is needed. */
static void test_object_in_the_way(void)
{
  Fixture fixture;
  g_autoptr(GError) error = NULL;
  set_up(&fixture);
  put_text(fixture.store, "a", "hello");
  g_assert_null(hf_put_begin(fixture.store, "a/b", &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_IO);
  g_assert_nonnull(strstr(error->message, "a/b"));
  expect_text(fixture.store, "a", "hello");
  tear_down(&fixture);
}

/* ---- Bytes that do not go. ---- */

static ssize_t no_room(int fd G_GNUC_UNUSED, const struct iovec *vector G_GNUC_UNUSED, int count G_GNUC_UNUSED)
{
  return fail_errno(ENOSPC);
}

static ssize_t nothing_there(int fd G_GNUC_UNUSED, void *buffer G_GNUC_UNUSED, size_t length G_GNUC_UNUSED,
                             off_t offset G_GNUC_UNUSED)
{
  return 0;
}

static ssize_t unreadable(int fd G_GNUC_UNUSED, void *buffer G_GNUC_UNUSED, size_t length G_GNUC_UNUSED,
                          off_t offset G_GNUC_UNUSED)
{
  return fail_errno(EIO);
}

static void test_write_fails(void)
{
  Fixture fixture;
  g_autoptr(GError) error = NULL;
  set_up(&fixture);
  table.writev = no_room;
  g_assert_false(hf_store_put(fixture.store, "a", "hello", 5, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_NO_SPACE);
  expect_tree(&fixture, "");
  tear_down(&fixture);
}

static void test_read_back_fails(void)
{
  Fixture fixture;
  g_autoptr(GError) error = NULL;
  char byte;
  set_up(&fixture);
  HfPut *put = begin(fixture.store, "a", "hello");
  table.pread = nothing_there;
  g_assert_false(hf_put_read(put, 0, &byte, 1, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_IO);
  g_clear_error(&error);
  table.pread = unreadable;
  g_assert_false(hf_put_read(put, 0, &byte, 1, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_IO);
  hf_put_free(put);
  tear_down(&fixture);
}

/* ---- Every call, one after the other. ---- */

#define TEXT "the text that is written, long enough to be cut in two"

typedef struct Outcome {
  gboolean put_one, put_two, removed;
} Outcome;

static gboolean ignore(const char *name G_GNUC_UNUSED, guint64 size G_GNUC_UNUSED, gpointer user G_GNUC_UNUSED,
                       GError **error G_GNUC_UNUSED)
{
  return TRUE;
}

/* Every kind of call; each says whether it succeeded, and if not, why. */
static Outcome run_calls(const char *path)
{
  Outcome outcome = { FALSE, FALSE, FALSE };
  g_autoptr(HfStore) store = hf_local_open(path, TRUE, NULL);
  if (store == NULL)
    return outcome;
  char bytes[sizeof TEXT];
  HfStoreUsage usage;
  GError *errors[6] = { NULL };
  outcome.put_one = hf_store_put(store, "x/y/one", TEXT, strlen(TEXT), &errors[0]);
  outcome.put_two = hf_store_put(store, "x/two", TEXT, strlen(TEXT), &errors[1]);
  gboolean got = hf_store_get(store, "x/two", 0, bytes, strlen(TEXT), &errors[2]);
  gboolean listed = hf_store_list(store, "", ignore, NULL, &errors[3]);
  outcome.removed = hf_store_remove(store, "x/y/one", &errors[4]);
  gboolean told = hf_store_usage(store, &usage, &errors[5]);
  g_assert_true(outcome.put_one == (errors[0] == NULL) && outcome.put_two == (errors[1] == NULL));
  g_assert_true(got == (errors[2] == NULL) && listed == (errors[3] == NULL));
  g_assert_true(outcome.removed == (errors[4] == NULL) && told == (errors[5] == NULL));
  g_assert_true(!got || memcmp(bytes, TEXT, strlen(TEXT)) == 0);
  for (gsize i = 0; i < G_N_ELEMENTS(errors); i++)
    g_clear_error(&errors[i]);
  return outcome;
}

/* What is there is whole, what was acknowledged is there, and nothing else is. */
static void expect_consistent(Fixture *fixture, const Outcome *outcome)
{
  g_autoptr(HfStore) store = hf_local_open(fixture->path, TRUE, NULL);
  g_autoptr(GPtrArray) names = hf_store_list_names(store, "", NULL);
  gboolean one = FALSE, two = FALSE;
  for (guint i = 0; i < names->len; i++) {
    const char *name = g_ptr_array_index(names, i);
    one = one || g_str_equal(name, "x/y/one");
    two = two || g_str_equal(name, "x/two");
    expect_text(store, name, TEXT);
  }
  g_assert_cmpuint(names->len, ==, (guint)one + (guint)two);
  g_assert_true(two || !outcome->put_two);
  g_assert_true(one || !outcome->put_one || outcome->removed);
  g_assert_false(one && outcome->removed);
  for (guint i = 0; i < names->len; i++)
    g_assert_true(hf_store_remove(store, g_ptr_array_index(names, i), NULL));
}

static void every_call(gboolean named)
{
  static const struct {
    int errnum; /* 0: short */
    gboolean persist;
  } kinds[] = { { EIO, FALSE }, { EIO, TRUE }, { ENOSPC, FALSE }, { ENOSPC, TRUE }, { EINTR, FALSE }, { 0, FALSE },
                { 0, TRUE } };
  Fixture fixture;
  set_up(&fixture);
  if (named)
    table.openat = no_tmpfile;
  guint64 most = 0;
  for (gsize kind = 0; kind < G_N_ELEMENTS(kinds); kind++)
    for (guint64 nth = 1, calls = 1; nth <= calls; nth++) {
      HfSysFault fault = { .nth = nth, .errnum = kinds[kind].errnum, .persist = kinds[kind].persist };
      g_assert_true(hf_sys_fault_install(&fault, NULL));
      Outcome outcome = run_calls(fixture.path);
      calls = hf_sys_fault_calls(NULL);
      hf_sys_fault_remove();
      g_assert_true(kinds[kind].errnum != EINTR || (outcome.put_one && outcome.put_two && outcome.removed));
      expect_consistent(&fixture, &outcome);
      most = MAX(most, nth);
    }
  g_test_message("%" G_GUINT64_FORMAT " calls, each failed in %d ways", most, (int)G_N_ELEMENTS(kinds));
  g_assert_cmpuint(most, >, 40);
  tear_down(&fixture);
}

static void test_every_call(void)
{
  every_call(FALSE);
}

static void test_every_call_named(void)
{
  every_call(TRUE);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/storage/put/modes", test_modes);
  g_test_add_func("/storage/put/abort", test_abort);
  g_test_add_func("/storage/put/no-proc", test_no_proc);
  g_test_add_func("/storage/put/temporary-name-taken", test_temporary_name_taken);
  g_test_add_func("/storage/put/failed-sync", test_failed_sync);
  g_test_add_func("/storage/put/parents-are-synced", test_parents_are_synced);
  g_test_add_func("/storage/put/link-fails", test_link_fails);
  g_test_add_func("/storage/put/link-answer-lost", test_link_answer_lost);
  g_test_add_func("/storage/put/rename-answer-lost", test_rename_answer_lost);
  g_test_add_func("/storage/put/link-instead-of-rename", test_link_instead_of_rename);
  g_test_add_func("/storage/put/neither-link-nor-rename", test_neither_link_nor_rename);
  g_test_add_func("/storage/put/temporary-removed", test_temporary_removed);
  g_test_add_func("/storage/put/folder-removed", test_folder_removed);
  g_test_add_func("/storage/put/root-removed", test_root_removed);
  g_test_add_func("/storage/put/folder-refused", test_folder_refused);
  g_test_add_func("/storage/put/object-in-the-way", test_object_in_the_way);
  g_test_add_func("/storage/put/write-fails", test_write_fails);
  g_test_add_func("/storage/put/read-back-fails", test_read_back_fails);
  g_test_add_func("/storage/put/every-call", test_every_call);
  g_test_add_func("/storage/put/every-call-named", test_every_call_named);
  return g_test_run();
}
