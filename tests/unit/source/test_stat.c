/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/sys.h"
#include "base/sysfault.h"
#include "fixture.h"
#include "source/tree.h"

static HfSourceDir *here; /* the scratch folder */
static GByteArray *scratch;

static void write_file(const char *name, const char *bytes)
{
  g_assert_true(g_file_set_contents(name, bytes, -1, NULL));
}

static void assert_view(HfView view, const char *expected)
{
  g_assert_cmpuint(view.length, ==, strlen(expected));
  g_assert_cmpint(memcmp(view.data, expected, view.length), ==, 0);
}

static HfEntry stat_of(const char *name, HfSourceStat *status)
{
  g_autoptr(GError) error = NULL;
  HfEntry entry;
  hf_source_stat(here, name, &entry, status, scratch, &error);
  g_assert_no_error(error);
  assert_view(entry.name, name);
  g_assert_cmpuint(entry.content, ==, HF_CONTENT_NONE);
  g_assert_cmpuint(entry.extras.length, ==, 0);
  return entry;
}

static void assert_like(const HfEntry *entry, const struct stat *status)
{
  g_assert_cmpuint(entry->mode, ==, status->st_mode);
  g_assert_cmpuint(entry->uid, ==, status->st_uid);
  g_assert_cmpuint(entry->gid, ==, status->st_gid);
  g_assert_cmpint(entry->mtime_sec, ==, status->st_mtim.tv_sec);
  g_assert_cmpuint(entry->mtime_nsec, ==, status->st_mtim.tv_nsec);
  g_assert_cmpint(entry->ctime_sec, ==, status->st_ctim.tv_sec);
  g_assert_cmpuint(entry->ctime_nsec, ==, status->st_ctim.tv_nsec);
  g_assert_cmpuint(entry->inode, ==, status->st_ino);
}

static void test_kinds(void)
{
  static const struct { const char *name; mode_t kind; } kinds[] = {
    { "file", S_IFREG }, { "folder", S_IFDIR }, { "link", S_IFLNK }, { "fifo", S_IFIFO }, { "socket", S_IFSOCK } };
  const struct timespec times[2] = { { 5, 6 }, { -1234567890, 123456789 } };
  write_file("file", "twelve bytes");
  g_assert_cmpint(utimensat(AT_FDCWD, "file", times, 0), ==, 0);
  g_assert_cmpint(mkdir("folder", 01750), ==, 0);
  g_assert_cmpint(symlink("to \xff nowhere", "link"), ==, 0);
  g_assert_cmpint(mkfifo("fifo", 0640), ==, 0);
  g_assert_cmpint(mknod("socket", S_IFSOCK | 0600, 0), ==, 0);
  for (guint i = 0; i < G_N_ELEMENTS(kinds); i++) {
    struct stat expected;
    HfSourceStat status;
    g_assert_cmpint(lstat(kinds[i].name, &expected), ==, 0);
    HfEntry entry = stat_of(kinds[i].name, &status);
    g_assert_cmpuint(entry.mode & S_IFMT, ==, kinds[i].kind);
    assert_like(&entry, &expected);
    g_assert_cmpuint(entry.flags, ==, 0);
    g_assert_cmpuint(entry.size, ==, kinds[i].kind == S_IFREG ? 12 : 0);
    g_assert_cmpuint(entry.target.length, ==, kinds[i].kind == S_IFLNK ? 12 : 0);
    g_assert_cmpuint(status.device, ==, expected.st_dev);
    g_assert_cmpuint(status.links, ==, expected.st_nlink);
    g_assert_cmpuint(status.blocks, ==, expected.st_blocks);
    g_assert_cmpuint(status.mount, !=, 0);
  }
  HfSourceStat status;
  HfEntry entry = stat_of("link", &status);
  assert_view(entry.target, "to \xff nowhere");
  g_assert_true(entry.target.data == scratch->data);
}

static void test_devices(void)
{
  static const struct { const char *name; mode_t kind; unsigned major, minor; } devices[] = {
    { "char", S_IFCHR, 1, 3 }, { "block", S_IFBLK, 259, 1048575 } };
  for (guint i = 0; i < G_N_ELEMENTS(devices); i++) {
    HfSourceStat status;
    if (mknod(devices[i].name, devices[i].kind | 0600, makedev(devices[i].major, devices[i].minor)) < 0) {
      g_test_skip("no right to make devices");
      return;
    }
    HfEntry entry = stat_of(devices[i].name, &status);
    g_assert_cmpuint(entry.major, ==, devices[i].major);
    g_assert_cmpuint(entry.minor, ==, devices[i].minor);
    g_assert_cmpuint(entry.size, ==, 0);
  }
}

static void test_hard_links(void)
{
  struct stat expected;
  HfSourceStat status;
  write_file("one", "x");
  g_assert_cmpint(link("one", "two"), ==, 0);
  g_assert_cmpint(symlink("one", "soft"), ==, 0);
  g_assert_cmpint(link("soft", "soft two"), ==, 0);
  g_assert_cmpint(mkdir("parent", 0755), ==, 0);
  g_assert_cmpint(mkdir("parent/child", 0755), ==, 0);
  g_assert_cmpint(lstat("one", &expected), ==, 0);
  static const char *const linked[] = { "one", "two", "soft", "soft two" };
  for (guint i = 0; i < G_N_ELEMENTS(linked); i++) {
    HfEntry entry = stat_of(linked[i], &status);
    g_assert_cmpuint(entry.flags, ==, HF_ENTRY_HARD_LINK);
    g_assert_cmpuint(entry.device, ==, expected.st_dev);
    g_assert_cmpuint(status.links, ==, 2);
  }
  HfEntry entry = stat_of("parent", &status); /* has three links */
  g_assert_cmpuint(entry.flags, ==, 0);
  g_assert_cmpuint(entry.device, ==, 0);
}

static void test_paths(void)
{
  g_autoptr(GError) error = NULL;
  HfEntry entry;
  HfSourceStat status;
  g_autofree char *current = g_get_current_dir(), *path = g_strconcat(current, "/path link", NULL);
  g_assert_cmpint(symlink(".", "path link"), ==, 0);
  write_file("path file", "x");
  hf_source_stat_path(path, &entry, &status, scratch, &error);
  g_assert_no_error(error);
  g_assert_true(S_ISLNK(entry.mode));
  assert_view(entry.name, path);
  g_autofree char *through = g_strconcat(path, "/path file", NULL);
  hf_source_stat_path(through, &entry, &status, scratch, &error);
  g_assert_no_error(error);
  g_assert_true(S_ISREG(entry.mode));
  g_assert_false(hf_source_stat_path("/nowhere/at all", &entry, &status, scratch, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_NOT_FOUND);
}

static void test_stat_faults(void)
{
  HfSysFault fault = { .nth = 1, .function = "statx", .errnum = EINTR };
  HfEntry entry;
  HfSourceStat status;
  g_autoptr(GError) error = NULL;
  write_file("stat", "abc");
  g_assert_true(hf_sys_fault_install(&fault, NULL));
  entry = stat_of("stat", &status);
  g_assert_cmpuint(entry.size, ==, 3);
  fault.errnum = EIO;
  g_assert_true(hf_sys_fault_install(&fault, NULL));
  g_assert_false(hf_source_stat(here, "stat", &entry, &status, scratch, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_IO);
  g_clear_error(&error);
  g_assert_true(hf_sys_fault_install(&fault, NULL));
  g_assert_cmpint(hf_source_file_open(here, "stat", &error), ==, -1);
  g_assert_error(error, HF_ERROR, HF_ERROR_IO);
  hf_sys_fault_remove();
  g_clear_error(&error);
  g_assert_false(hf_source_stat(here, "vanished", &entry, &status, scratch, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_NOT_FOUND);
}

/* A link that becomes something else between stat and reading it. */
static int (*real_statx)(int, const char *, int, unsigned, struct statx *);

static int statx_then_replace(int dirfd, const char *path, int flags, unsigned mask, struct statx *status)
{
  int result = real_statx(dirfd, path, flags, mask, status);
  if (strcmp(path, "changing") == 0) {
    g_assert_cmpint(unlink("changing"), ==, 0);
    write_file("changing", "no link any more");
  }
  return result;
}

static void test_link_race(void)
{
  const HfSys *before = hf_sys;
  HfSys table = *hf_sys;
  HfEntry entry;
  HfSourceStat status;
  g_autoptr(GError) error = NULL;
  g_assert_cmpint(symlink("x", "changing"), ==, 0);
  real_statx = hf_sys->statx;
  table.statx = statx_then_replace;
  hf_sys = &table;
  g_assert_false(hf_source_stat(here, "changing", &entry, &status, scratch, &error));
  hf_sys = before;
  g_assert_error(error, HF_ERROR, HF_ERROR_IO);
  g_assert_nonnull(strstr(error->message, "changing"));
}

/* ---- Opening. ---- */

static void test_open(void)
{
  char bytes[16];
  struct stat before, after;
  g_autoptr(GError) error = NULL;
  write_file("open", "content");
  const struct timespec times[2] = { { 1000, 0 }, { 1000, 0 } };
  g_assert_cmpint(utimensat(AT_FDCWD, "open", times, 0), ==, 0);
  g_assert_cmpint(stat("open", &before), ==, 0);
  hf_autofd int fd = hf_source_file_open(here, "open", &error);
  g_assert_no_error(error);
  g_assert_cmpint(fcntl(fd, F_GETFD) & FD_CLOEXEC, !=, 0);
  g_assert_cmpint(read(fd, bytes, sizeof bytes), ==, 7);
  g_assert_cmpint(stat("open", &after), ==, 0);
  g_assert_cmpint(after.st_atim.tv_sec, ==, before.st_atim.tv_sec);
}

/* Whatever took the place of a file is refused, and at once: an open that waits for the other end of a fifo would let
 * the alarm end this test. */
static void test_open_replaced(void)
{
  static const char *const names[] = { "a fifo", "a socket", "a link", "a folder", "nothing", "a device" };
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  g_assert_cmpint(mkfifo("a fifo", 0600), ==, 0);
  hf_autofd int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  strcpy(address.sun_path, "a socket");
  g_assert_cmpint(bind(listener, (struct sockaddr *)&address, sizeof address), ==, 0);
  g_assert_cmpint(symlink("/etc/passwd", "a link"), ==, 0);
  g_assert_cmpint(mkdir("a folder", 0755), ==, 0);
  guint count = mknod("a device", S_IFCHR | 0600, makedev(1, 3)) == 0 ? 6 : 5;
  alarm(20);
  for (guint i = 0; i < count; i++) {
    g_autoptr(GError) error = NULL;
    g_assert_cmpint(hf_source_file_open(here, names[i], &error), ==, -1);
    g_assert_error(error, HF_ERROR, HF_ERROR_NOT_FOUND);
    g_assert_nonnull(strstr(error->message, names[i]));
  }
  alarm(0);
}

static void by_nobody(void)
{
  g_autoptr(GError) error = NULL;
  hf_autofd int fd = hf_source_file_open(here, "public", &error);
  g_assert_no_error(error);
  g_assert_cmpint(fd, >=, 0);
  g_assert_cmpint(hf_source_file_open(here, "private", &error), ==, -1);
  g_assert_error(error, HF_ERROR, HF_ERROR_PERMISSION);
}

static void test_rights(void)
{
  if (geteuid() != 0) {
    g_test_skip("only root can take on another user");
    return;
  }
  write_file("public", "x");
  write_file("private", "x");
  g_assert_cmpint(chmod("public", 0644), ==, 0);
  g_assert_cmpint(chmod("private", 0600), ==, 0);
  g_assert_true(hf_as_nobody(by_nobody));
}

/* Another process holds the file and gives it up when the kernel asks it to, as a file server does. */
static void hold_lease(int ready)
{
  sigset_t set;
  int got;
  sigemptyset(&set);
  sigaddset(&set, SIGIO);
  sigprocmask(SIG_BLOCK, &set, NULL);
  int fd = open("leased", O_RDWR | O_CLOEXEC);
  char said = fcntl(fd, F_SETLEASE, F_WRLCK) == 0 ? 'y' : 'n';
  (void)!write(ready, &said, 1);
  if (said == 'y' && sigwait(&set, &got) == 0) {
    g_usleep(50000);
    (void)fcntl(fd, F_SETLEASE, F_UNLCK);
  }
  _exit(0);
}

static void test_lease(void)
{
  int ends[2];
  char said = 'n', bytes[16];
  g_autoptr(GError) error = NULL;
  write_file("leased", "held");
  g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
  pid_t child = fork();
  if (child == 0)
    hold_lease(ends[1]);
  g_assert_cmpint(read(ends[0], &said, 1), ==, 1);
  close(ends[0]);
  close(ends[1]);
  if (said == 'y') {
    alarm(60);
    hf_autofd int fd = hf_source_file_open(here, "leased", &error);
    alarm(0);
    g_assert_no_error(error);
    g_assert_cmpint(read(fd, bytes, sizeof bytes), ==, 4);
  } else {
    g_test_skip("this file system has no leases");
  }
  g_assert_cmpint(waitpid(child, NULL, 0), ==, child);
}

/* Says EAGAIN the first time, as for a lease; by then a fifo has taken the place of the file. */
static void test_lease_race(void)
{
  HfSysFault fault = { .nth = 1, .function = "openat", .errnum = EAGAIN };
  g_autoptr(GError) error = NULL;
  g_assert_cmpint(mkfifo("leased fifo", 0600), ==, 0);
  static const char *const names[] = { "leased fifo", "leased and gone" };
  for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
    g_clear_error(&error);
    g_assert_true(hf_sys_fault_install(&fault, NULL));
    alarm(20);
    g_assert_cmpint(hf_source_file_open(here, names[i], &error), ==, -1);
    alarm(0);
    g_assert_error(error, HF_ERROR, HF_ERROR_NOT_FOUND);
    hf_sys_fault_remove();
  }
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  hf_scratch_enter();
  here = hf_source_dir_open(NULL, ".", NULL);
  scratch = g_byte_array_new();
  g_test_add_func("/stat/kinds", test_kinds);
  g_test_add_func("/stat/devices", test_devices);
  g_test_add_func("/stat/hard-links", test_hard_links);
  g_test_add_func("/stat/paths", test_paths);
  g_test_add_func("/stat/faults", test_stat_faults);
  g_test_add_func("/stat/link-race", test_link_race);
  g_test_add_func("/open/file", test_open);
  g_test_add_func("/open/replaced", test_open_replaced);
  g_test_add_func("/open/rights", test_rights);
  g_test_add_func("/open/lease", test_lease);
  g_test_add_func("/open/lease-race", test_lease_race);
  int result = g_test_run();
  hf_source_dir_unref(here);
  g_byte_array_unref(scratch);
  hf_scratch_leave();
  return result;
}
