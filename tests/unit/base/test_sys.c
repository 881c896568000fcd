/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/sys.h"

/* A table that answers the calls of one test: EINTR first, then at most `step` bytes a call, then `errnum`. */
static struct {
  HfSys table;
  const HfSys *real;
  guint calls;
  size_t step;
  guint fail_from; /* the call that fails with errnum, from 1; 0: none */
  int errnum;      /* 0: returns 0 bytes */
} meddler;

/* The bytes that the real call may move; 0 when the call must answer *result instead. */
static size_t meddle(size_t length, ssize_t *result)
{
  meddler.calls++;
  *result = -1;
  if (meddler.calls == 1) {
    errno = EINTR;
    return 0;
  }
  if (meddler.fail_from > 0 && meddler.calls >= meddler.fail_from) {
    errno = meddler.errnum;
    *result = meddler.errnum != 0 ? -1 : 0;
    return 0;
  }
  return MIN(length, meddler.step);
}

static ssize_t meddle_read(int fd, void *buffer, size_t length)
{
  ssize_t result;
  length = meddle(length, &result);
  return length > 0 ? meddler.real->read(fd, buffer, length) : result;
}

static ssize_t meddle_pread(int fd, void *buffer, size_t length, off_t offset)
{
  ssize_t result;
  length = meddle(length, &result);
  return length > 0 ? meddler.real->pread(fd, buffer, length, offset) : result;
}

static ssize_t meddle_write(int fd, const void *buffer, size_t length)
{
  ssize_t result;
  length = meddle(length, &result);
  return length > 0 ? meddler.real->write(fd, buffer, length) : result;
}

static ssize_t meddle_pwrite(int fd, const void *buffer, size_t length, off_t offset)
{
  ssize_t result;
  length = meddle(length, &result);
  return length > 0 ? meddler.real->pwrite(fd, buffer, length, offset) : result;
}

static ssize_t meddle_writev(int fd, const struct iovec *vector, int count)
{
  ssize_t result;
  g_assert_cmpint(count, >, 0);
  g_assert_cmpint(count, <=, 1024);
  size_t length = meddle(meddler.step, &result);
  return length > 0 ? meddler.real->write(fd, vector->iov_base, MIN(length, vector->iov_len)) : result;
}

static int meddle_openat(int dirfd, const char *path, int flags, mode_t mode)
{
  ssize_t result;
  return meddle(1, &result) > 0 ? meddler.real->openat(dirfd, path, flags, mode) : -1;
}

static void start_meddling(size_t step, guint fail_from, int errnum)
{
  meddler.real = hf_sys;
  meddler.table = *hf_sys;
  meddler.table.read = meddle_read;
  meddler.table.pread = meddle_pread;
  meddler.table.write = meddle_write;
  meddler.table.pwrite = meddle_pwrite;
  meddler.table.writev = meddle_writev;
  meddler.table.openat = meddle_openat;
  meddler.calls = 0;
  meddler.step = step;
  meddler.fail_from = fail_from;
  meddler.errnum = errnum;
  hf_sys = &meddler.table;
}

static void stop_meddling(void)
{
  hf_sys = meddler.real;
}

/* A file without a name. */
static int make_file(void)
{
  g_autoptr(GError) error = NULL;
  int fd = hf_open(AT_FDCWD, g_get_tmp_dir(), O_TMPFILE | O_RDWR, 0600, &error);
  g_assert_no_error(error);
  g_assert_cmpint(fd, >=, 0);
  return fd;
}

static void check_content(int fd, const char *expected)
{
  char text[4096];
  ssize_t count = pread(fd, text, sizeof text, 0);
  g_assert_cmpint(count, >=, 0);
  g_assert_cmpmem(text, (int)count, expected, (int)strlen(expected));
}

static void test_write(void)
{
  hf_autofd int fd = make_file();
  g_autoptr(GError) error = NULL;
  start_meddling(3, 0, 0);
  g_assert_true(hf_write_all(fd, "0123456789", 10, "x", &error));
  stop_meddling();
  g_assert_cmpuint(meddler.calls, ==, 5);
  check_content(fd, "0123456789");

  start_meddling(3, 0, 0);
  g_assert_true(hf_pwrite_all(fd, "abcdefg", 7, 2, "x", &error));
  stop_meddling();
  g_assert_cmpuint(meddler.calls, ==, 4);
  check_content(fd, "01abcdefg9");
  g_assert_true(hf_write_all(fd, NULL, 0, "x", &error));
  g_assert_no_error(error);
}

static void test_write_fails(void)
{
  hf_autofd int fd = make_file();
  g_autoptr(GError) error = NULL;
  start_meddling(3, 3, ENOSPC);
  g_assert_false(hf_write_all(fd, "0123456789", 10, "the file", &error));
  stop_meddling();
  g_assert_error(error, HF_ERROR, HF_ERROR_NO_SPACE);
  g_assert_true(g_str_has_prefix(error->message, "cannot write 'the file': "));
  g_clear_error(&error);
  start_meddling(3, 2, 0);
  g_assert_false(hf_pwrite_all(fd, "0123456789", 10, 0, "the file", &error));
  stop_meddling();
  g_assert_error(error, HF_ERROR, HF_ERROR_IO);
  g_clear_error(&error);
  struct iovec piece = { (char *)"0123", 4 };
  start_meddling(3, 3, EIO);
  g_assert_false(hf_writev_all(fd, &piece, 1, "the file", &error));
  stop_meddling();
  g_assert_error(error, HF_ERROR, HF_ERROR_IO);
}

static void test_writev(void)
{
  static const char *const parts[] = { "", "one", "", "", "two", "three", "" };
  struct iovec vector[G_N_ELEMENTS(parts)];
  for (gsize i = 0; i < G_N_ELEMENTS(parts); i++)
    vector[i] = (struct iovec){ (char *)parts[i], strlen(parts[i]) };
  for (size_t step = 1; step < 8; step++) {
    hf_autofd int fd = make_file();
    g_autoptr(GError) error = NULL;
    start_meddling(step, 0, 0);
    g_assert_true(hf_writev_all(fd, vector, G_N_ELEMENTS(parts), "x", &error));
    stop_meddling();
    g_assert_no_error(error);
    check_content(fd, "onetwothree");
  }
  hf_autofd int fd = make_file();
  g_assert_true(hf_writev_all(fd, vector, 1, "x", NULL));
  g_assert_true(hf_writev_all(fd, vector, 0, "x", NULL));
  check_content(fd, "");
}

/* More pieces than the kernel takes in one call. */
static void test_writev_long(void)
{
  g_autoptr(GError) error = NULL;
  struct iovec vector[1500];
  char letters[1500 + 1] = { 0 };
  for (gsize i = 0; i < G_N_ELEMENTS(vector); i++) {
    letters[i] = (char)('a' + i % 26);
    vector[i] = (struct iovec){ &letters[i], 1 };
  }
  hf_autofd int fd = make_file();
  g_assert_true(hf_writev_all(fd, vector, G_N_ELEMENTS(vector), "x", &error));
  g_assert_no_error(error);
  check_content(fd, letters);
}

static void test_read(void)
{
  hf_autofd int fd = make_file();
  g_autoptr(GError) error = NULL;
  char text[20];
  g_assert_true(hf_pwrite_all(fd, "0123456789", 10, 0, "x", &error));
  start_meddling(4, 0, 0);
  g_assert_cmpint(hf_read_full(fd, text, 10, "x", &error), ==, 10);
  g_assert_cmpint(hf_read_full(fd, text, 10, "x", &error), ==, 0);
  stop_meddling();
  g_assert_cmpmem(text, 10, "0123456789", 10);
  start_meddling(4, 0, 0);
  g_assert_cmpint(hf_pread_full(fd, text, sizeof text, 3, "x", &error), ==, 7);
  stop_meddling();
  g_assert_cmpmem(text, 7, "3456789", 7);
  g_assert_no_error(error);

  start_meddling(4, 3, EIO);
  g_assert_cmpint(hf_pread_full(fd, text, 10, 0, "the file", &error), ==, -1);
  stop_meddling();
  g_assert_error(error, HF_ERROR, HF_ERROR_IO);
  g_assert_true(g_str_has_prefix(error->message, "cannot read 'the file': "));
  g_clear_error(&error);
  start_meddling(4, 2, EACCES);
  g_assert_cmpint(hf_read_full(fd, text, 10, "the file", &error), ==, -1);
  stop_meddling();
  g_assert_error(error, HF_ERROR, HF_ERROR_PERMISSION);
}

static void test_open(void)
{
  g_autoptr(GError) error = NULL;
  start_meddling(1, 0, 0);
  hf_autofd int fd = hf_open(AT_FDCWD, "/dev/null", O_RDONLY, 0, &error);
  stop_meddling();
  g_assert_no_error(error);
  g_assert_cmpuint(meddler.calls, ==, 2);
  g_assert_cmpint(fcntl(fd, F_GETFD) & FD_CLOEXEC, !=, 0);
  g_assert_cmpint(hf_open(AT_FDCWD, "/nowhere/to\nbe", O_RDONLY, 0, &error), ==, -1);
  g_assert_error(error, HF_ERROR, HF_ERROR_NOT_FOUND);
  g_assert_true(g_str_has_prefix(error->message, "cannot open '/nowhere/to\\x0abe': "));
}

static void test_autofd(void)
{
  int kept, copy;
  {
    hf_autofd int fd = make_file();
    hf_autofd int other = make_file();
    hf_autofd int none = -1;
    g_assert_cmpint(none, ==, -1);
    copy = fd;
    kept = hf_steal_fd(&other);
    g_assert_cmpint(other, ==, -1);
    errno = ENOTTY;
  }
  g_assert_cmpint(errno, ==, ENOTTY);
  g_assert_cmpint(fcntl(copy, F_GETFD), ==, -1);
  g_assert_cmpint(fcntl(kept, F_GETFD), !=, -1);
  hf_close_ptr(&kept);
  g_assert_cmpint(kept, ==, -1);
}

static void test_every_member(void)
{
  /* The table is all function pointers: none may be missing. */
  void (*members[sizeof(HfSys) / sizeof(void (*)(void))])(void);
  memcpy(members, hf_sys, sizeof(HfSys));
  for (gsize i = 0; i < G_N_ELEMENTS(members); i++)
    g_assert_true(members[i] != NULL);
}

static void test_folder(void)
{
  g_autofree char *folder = g_dir_make_tmp("hf-sys-XXXXXX", NULL);
  hf_autofd int fd = hf_open(AT_FDCWD, folder, O_RDONLY | O_DIRECTORY, 0, NULL);
  char entries[1024];
  struct statvfs usage;
  g_assert_cmpint(hf_sys->getdents64(fd, entries, sizeof entries), >, 0);
  g_assert_cmpint(hf_sys->getdents64(fd, entries, sizeof entries), ==, 0);
  g_assert_cmpint(hf_sys->fstatvfs(fd, &usage), ==, 0);
  g_assert_cmpint(g_rmdir(folder), ==, 0);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/sys/write", test_write);
  g_test_add_func("/sys/write-fails", test_write_fails);
  g_test_add_func("/sys/writev", test_writev);
  g_test_add_func("/sys/writev-long", test_writev_long);
  g_test_add_func("/sys/read", test_read);
  g_test_add_func("/sys/open", test_open);
  g_test_add_func("/sys/autofd", test_autofd);
  g_test_add_func("/sys/every-member", test_every_member);
  g_test_add_func("/sys/folder", test_folder);
  return g_test_run();
}
