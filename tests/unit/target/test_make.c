/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/error.h"
#include "base/sys.h"
#include "base/sysfault.h"
#include "fixture.h"
#include "target/tree.h"

/* Every test works in a folder of its own. */
static int here = -1;

static void enter(const char *name)
{
  g_assert_cmpint(mkdir(name, 0755), ==, 0);
  g_assert_cmpint(chdir(name), ==, 0);
  here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void leave(void)
{
  close(here);
  g_assert_cmpint(chdir(".."), ==, 0);
}

static void write_file(const char *name, const char *bytes)
{
  g_assert_true(g_file_set_contents(name, bytes, -1, NULL));
}

static void assert_content(const char *name, const char *expected)
{
  g_autofree char *found = NULL;
  g_assert_true(g_file_get_contents(name, &found, NULL, NULL));
  g_assert_cmpstr(found, ==, expected);
}

static struct stat status_of(const char *name)
{
  struct stat status;
  g_assert_cmpint(lstat(name, &status), ==, 0);
  return status;
}

/* One of each kind that may be in the way, and what it says; `outside` is what the link leads to. */
static const char *const kinds[] = { "file", "link", "dangling", "fifo", "folder" };

static void fill_in(void)
{
  g_assert_cmpint(mkdir("outside", 0755), ==, 0);
  write_file("outside/inside", "untouched");
  write_file("file", "old");
  g_assert_cmpint(link("file", "other name"), ==, 0);
  g_assert_cmpint(symlink("outside", "link"), ==, 0);
  g_assert_cmpint(symlink("nowhere", "dangling"), ==, 0);
  g_assert_cmpint(mkfifo("fifo", 0600), ==, 0);
  g_assert_cmpint(mkdir("folder", 0751), ==, 0);
  write_file("folder/kept", "kept");
}

static void assert_outside_untouched(void)
{
  assert_content("outside/inside", "untouched");
  assert_content("other name", "old");
  g_assert_cmpint(access("nowhere", F_OK), !=, 0);
}

/* What is made beside something takes its place at once; it stands there until then. */
static int make_file(const char *name, HfOverwrite overwrite, GError **error)
{
  g_autofree char *beside = NULL;
  struct stat before = { 0 };
  if (fstatat(here, name, &before, AT_SYMLINK_NOFOLLOW) < 0)
    before.st_ino = 0;
  int fd = hf_target_file(here, name, overwrite, &beside, error);
  if (fd < 0 || beside == NULL)
    return fd;
  if (before.st_ino != 0)
    g_assert_cmpuint(status_of(name).st_ino, ==, before.st_ino);
  if (hf_target_replace(here, beside, name, error))
    return fd;
  close(fd);
  g_assert_cmpint(unlink(beside), ==, 0);
  return -1;
}

static int make(const char *what, const char *name, HfOverwrite overwrite, GError **error)
{
  const HfEntry link = { .mode = S_IFLNK | 0777, .target = { (const guint8 *)"target", 6 } };
  const HfEntry socket = { .mode = S_IFSOCK | 0777 };
  if (strcmp(what, "folder") == 0)
    return hf_target_folder(here, name, overwrite, error);
  if (strcmp(what, "file") == 0)
    return make_file(name, overwrite, error);
  if (strcmp(what, "symlink") == 0)
    return hf_target_special(here, name, &link, overwrite, error) ? 0 : -1;
  return hf_target_special(here, name, &socket, overwrite, error) ? 0 : -1;
}

static void close_made(int fd)
{
  if (fd > 0)
    close(fd);
}

static const char *const makers[] = { "folder", "file", "symlink", "socket" };
static const mode_t made[] = { S_IFDIR | 0700, S_IFREG | 0600, S_IFLNK | 0777, S_IFSOCK | 0600 };

static void test_new(void)
{
  g_autoptr(GError) error = NULL;
  enter("new");
  for (guint i = 0; i < G_N_ELEMENTS(makers); i++)
    for (guint j = 0; j < 2; j++) {
      g_autofree char *name = g_strdup_printf("%s %u", makers[i], j);
      int fd = make(makers[i], name, j == 0 ? HF_OVERWRITE_REFUSE : HF_OVERWRITE_REPLACE, &error);
      g_assert_no_error(error);
      g_assert_cmpuint(status_of(name).st_mode, ==, made[i]);
      g_assert_true(i > 1 || (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
      g_assert_true(i != 1 || write(fd, "x", 1) == 1);
      close_made(fd);
    }
  char target[16];
  g_assert_cmpint(readlink("symlink 0", target, sizeof target), ==, 6);
  g_assert_cmpint(memcmp(target, "target", 6), ==, 0);
  leave();
}

static void test_refuse(void)
{
  enter("refuse");
  fill_in();
  for (guint i = 0; i < G_N_ELEMENTS(makers); i++)
    for (guint j = 0; j < G_N_ELEMENTS(kinds); j++) {
      g_autoptr(GError) error = NULL;
      struct stat before = status_of(kinds[j]);
      g_assert_cmpint(make(makers[i], kinds[j], HF_OVERWRITE_REFUSE, &error), ==, -1);
      g_assert_error(error, HF_ERROR, HF_ERROR_REFUSED);
      g_assert_nonnull(strstr(error->message, kinds[j]));
      g_assert_cmpuint(status_of(kinds[j]).st_ino, ==, before.st_ino);
    }
  assert_outside_untouched();
  assert_content("file", "old");
  leave();
}

static void test_replace(void)
{
  for (guint i = 0; i < G_N_ELEMENTS(makers); i++) {
    enter(makers[i]);
    fill_in();
    for (guint j = 0; j < G_N_ELEMENTS(kinds); j++) {
      g_autoptr(GError) error = NULL;
      int fd = make(makers[i], kinds[j], HF_OVERWRITE_REPLACE, &error);
      if (j < 4 || i == 0) {
        g_assert_no_error(error);
        /* A folder that was there keeps its mode until metadata is applied. */
        g_assert_cmpuint(status_of(kinds[j]).st_mode, ==, j == 4 ? S_IFDIR | 0751u : made[i]);
        g_assert_true(i != 1 || write(fd, "new", 3) == 3);
      } else {
        g_assert_cmpint(fd, ==, -1);
        g_assert_error(error, HF_ERROR, HF_ERROR_REFUSED);
      }
      close_made(fd);
    }
    assert_content("folder/kept", "kept");
    assert_outside_untouched();
    leave();
  }
}

/* Folders are shared, nothing else. */
static void test_enter(void)
{
  enter("shared");
  fill_in();
  for (guint i = 0; i < G_N_ELEMENTS(makers); i++)
    for (guint j = 0; j < G_N_ELEMENTS(kinds); j++) {
      g_autoptr(GError) error = NULL;
      struct stat before = status_of(kinds[j]);
      int fd = make(makers[i], kinds[j], HF_OVERWRITE_ENTER, &error);
      if (i == 0 && S_ISDIR(before.st_mode))
        g_assert_no_error(error);
      else
        g_assert_error(error, HF_ERROR, HF_ERROR_REFUSED);
      g_assert_cmpuint(status_of(kinds[j]).st_ino, ==, before.st_ino);
      close_made(fd);
    }
  assert_outside_untouched();
  leave();
}

static void test_nodes(void)
{
  static const struct { mode_t mode; unsigned major, minor; } nodes[] = {
    { S_IFIFO | 0644, 0, 0 }, { S_IFCHR | 04666, 1, 3 }, { S_IFBLK | 0660, 259, 1048575 } };
  g_autoptr(GError) error = NULL;
  enter("nodes");
  for (guint i = 0; i < G_N_ELEMENTS(nodes); i++) {
    g_autofree char *name = g_strdup_printf("%u", i);
    HfEntry entry = { .mode = nodes[i].mode, .major = nodes[i].major, .minor = nodes[i].minor };
    if (!hf_target_special(here, name, &entry, HF_OVERWRITE_REFUSE, &error) && i > 0 && geteuid() != 0) {
      g_assert_error(error, HF_ERROR, HF_ERROR_PERMISSION);
      g_clear_error(&error);
      continue;
    }
    g_assert_no_error(error);
    struct stat status = status_of(name);
    g_assert_cmpuint(status.st_mode, ==, (nodes[i].mode & S_IFMT) | 0600);
    g_assert_cmpuint(status.st_rdev, ==, makedev(nodes[i].major, nodes[i].minor));
  }
  static const mode_t unknown[] = { S_IFREG, S_IFDIR, 0, 0170000 };
  for (guint i = 0; i < G_N_ELEMENTS(unknown); i++) {
    g_autoptr(GError) problem = NULL;
    const HfEntry entry = { .mode = unknown[i] };
    g_assert_false(hf_target_special(here, "unknown", &entry, HF_OVERWRITE_REPLACE, &problem));
    g_assert_error(problem, HF_ERROR, HF_ERROR_INVALID);
  }
  leave();
}

static void assert_linked(const char *a, const char *b)
{
  g_assert_cmpuint(status_of(a).st_ino, ==, status_of(b).st_ino);
}

static void test_link(void)
{
  g_autoptr(GError) error = NULL;
  enter("links");
  fill_in();
  hf_autofd int outside = open("outside", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  g_assert_true(hf_target_link(outside, "inside", here, "new", HF_OVERWRITE_REFUSE, &error));
  assert_linked("outside/inside", "new");
  g_assert_true(hf_target_link(here, "dangling", here, "dangling too", HF_OVERWRITE_REFUSE, &error));
  assert_linked("dangling", "dangling too"); /* the link itself, not what it leads to */

  g_assert_false(hf_target_link(outside, "inside", here, "fifo", HF_OVERWRITE_REFUSE, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_REFUSED);
  g_clear_error(&error);
  g_assert_true(hf_target_link(outside, "inside", here, "fifo", HF_OVERWRITE_REPLACE, &error));
  assert_linked("outside/inside", "fifo");
  g_assert_false(hf_target_link(outside, "inside", here, "folder", HF_OVERWRITE_REPLACE, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_REFUSED);
  g_clear_error(&error);

  /* Already the same file, the only name of it even: nothing may be lost. */
  write_file("alone", "alone");
  g_assert_true(hf_target_link(here, "alone", here, "alone", HF_OVERWRITE_REPLACE, &error));
  g_assert_true(hf_target_link(here, "file", here, "other name", HF_OVERWRITE_REPLACE, &error));
  assert_content("alone", "alone");
  assert_linked("file", "other name");
  g_assert_false(hf_target_link(here, "alone", here, "alone", HF_OVERWRITE_REFUSE, &error));
  g_clear_error(&error);

  g_assert_false(hf_target_link(here, "gone", here, "x", HF_OVERWRITE_REFUSE, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_NOT_FOUND);
  g_clear_error(&error);
  g_assert_false(hf_target_link(here, "outside/inside", here, "x", HF_OVERWRITE_REFUSE, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_INVALID);
  assert_outside_untouched();
  leave();
}

/* No name leads out of its folder, whatever was checked before. */
static void test_names(void)
{
  g_autofree char *longest = g_strnfill(256, 'x');
  const char *const names[] = { "", ".", "..", "a/b", "/etc/passwd", "../x", "x/", longest };
  enter("names");
  write_file("alone", "alone");
  for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
    for (guint j = 0; j < G_N_ELEMENTS(makers); j++) {
      g_autoptr(GError) error = NULL;
      g_assert_cmpint(make(makers[j], names[i], HF_OVERWRITE_REPLACE, &error), ==, -1);
      g_assert_error(error, HF_ERROR, HF_ERROR_INVALID);
    }
    g_autoptr(GError) error = NULL;
    g_assert_false(hf_target_link(here, "alone", here, names[i], HF_OVERWRITE_REPLACE, &error));
    g_assert_error(error, HF_ERROR, HF_ERROR_INVALID);
  }
  leave();
}

typedef struct Fault {
  const char *maker, *name, *function;
  guint nth;
  int errnum;
  gboolean persist;
  int code; /* -1: it succeeds all the same */
} Fault;

static void test_faults(void)
{
  static const Fault faults[] = {
    { "file", "a", "openat", 1, EINTR, FALSE, -1 },
    { "file", "b", "openat", 1, ENOSPC, FALSE, HF_ERROR_NO_SPACE },
    { "file", "file", "renameat2", 1, EROFS, FALSE, HF_ERROR_PERMISSION },
    { "file", "file", "renameat2", 1, EIO, FALSE, HF_ERROR_IO },
    { "file", "file", "renameat2", 1, EINTR, FALSE, -1 },
    { "file", "file", "openat", 2, ENOSPC, FALSE, HF_ERROR_NO_SPACE },
    { "symlink", "fifo", "renameat2", 1, EIO, FALSE, HF_ERROR_IO },
    { "folder", "file", "unlinkat", 1, EROFS, FALSE, HF_ERROR_PERMISSION },
    { "folder", "file", "unlinkat", 1, EIO, FALSE, HF_ERROR_IO },
    { "folder", "file", "unlinkat", 1, ENOENT, FALSE, -1 }, /* another was quicker */
    { "folder", "fifo", "unlinkat", 1, EINTR, FALSE, -1 },
    { "file", "c", "openat", 1, EEXIST, TRUE, HF_ERROR_REFUSED }, /* any name is taken */
    { "folder", "d", "mkdirat", 1, EDQUOT, FALSE, HF_ERROR_NO_SPACE },
    { "folder", "e", "openat", 1, EACCES, FALSE, HF_ERROR_PERMISSION },
    { "folder", "f", "openat", 2, EMFILE, FALSE, HF_ERROR_IO },
    { "folder", "g", "openat", 1, EINTR, FALSE, -1 },
    { "folder", "link", "openat", 1, ELOOP, FALSE, -1 },
  };
  enter("faults");
  fill_in();
  for (guint i = 0; i < G_N_ELEMENTS(faults); i++) {
    HfSysFault fault = { .nth = faults[i].nth, .function = faults[i].function, .errnum = faults[i].errnum,
                         .persist = faults[i].persist };
    g_autoptr(GError) error = NULL;
    g_assert_true(hf_sys_fault_install(&fault, NULL));
    int fd = make(faults[i].maker, faults[i].name, HF_OVERWRITE_REPLACE, &error);
    g_assert_cmpuint(hf_sys_fault_hits(), >, 0);
    hf_sys_fault_remove();
    if (faults[i].code < 0) {
      g_assert_no_error(error);
      close_made(fd);
    } else {
      g_assert_cmpint(fd, ==, -1);
      g_assert_error(error, HF_ERROR, faults[i].code);
      g_assert_nonnull(strstr(error->message, faults[i].name));
    }
  }
  assert_outside_untouched();
  leave();
}

/* Only what a restore left, long ago, goes. */
static void test_clear(void)
{
  static const char *const left[] = { ".holdfast-0123456789abcdef", ".holdfast-aaaaaaaabbbbbbbb" };
  static const char *const stays[] = { ".holdfast-0123456789abcde", ".holdfast-0123456789ABCDEF", ".holdfast-0123456789abcdef0",
                                       ".holdfast-linked1-00000000", "holdfast-0123456789abcdef", "own" };
  enter("clear");
  for (guint i = 0; i < G_N_ELEMENTS(left); i++)
    write_file(left[i], "rest");
  for (guint i = 0; i < G_N_ELEMENTS(stays); i++)
    write_file(stays[i], "kept");
  write_file(".holdfast-1111111111111111", "kept");
  g_assert_cmpint(link(".holdfast-1111111111111111", "its other name"), ==, 0);
  g_assert_cmpint(symlink("own", ".holdfast-2222222222222222"), ==, 0);
  g_assert_cmpint(mkdir(".holdfast-3333333333333333", 0700), ==, 0);
  hf_target_clear(here);
  for (guint i = 0; i < G_N_ELEMENTS(left); i++) /* who made it may be at it */
    assert_content(left[i], "rest");
  g_setenv("HOLDFAST_TEST_TIME", "3700", TRUE);
  hf_target_clear(here);
  hf_target_clear(-1);
  g_unsetenv("HOLDFAST_TEST_TIME");
  for (guint i = 0; i < G_N_ELEMENTS(left); i++)
    g_assert_cmpint(access(left[i], F_OK), !=, 0);
  for (guint i = 0; i < G_N_ELEMENTS(stays); i++)
    assert_content(stays[i], "kept");
  assert_content(".holdfast-1111111111111111", "kept");
  g_assert_true(S_ISLNK(status_of(".holdfast-2222222222222222").st_mode));
  g_assert_true(S_ISDIR(status_of(".holdfast-3333333333333333").st_mode));
  leave();
}

static void test_settle(void)
{
  g_autoptr(GError) error = NULL;
  enter("settle");
  int fd = hf_target_file(here, "file", HF_OVERWRITE_REFUSE, &(char *){ NULL }, &error);
  g_assert_true(hf_target_settle(fd, "file", &error));
  close(fd);
  g_assert_false(hf_target_settle(-1, "file", &error));
  g_assert_nonnull(strstr(error->message, "cannot make 'file' durable"));
  leave();
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  hf_scratch_enter();
  umask(022);
  g_test_add_func("/make/new", test_new);
  g_test_add_func("/make/refuse", test_refuse);
  g_test_add_func("/make/replace", test_replace);
  g_test_add_func("/make/enter", test_enter);
  g_test_add_func("/make/nodes", test_nodes);
  g_test_add_func("/make/link", test_link);
  g_test_add_func("/make/names", test_names);
  g_test_add_func("/make/faults", test_faults);
  g_test_add_func("/make/clear", test_clear);
  g_test_add_func("/make/settle", test_settle);
  int result = g_test_run();
  hf_scratch_leave();
  return result;
}
