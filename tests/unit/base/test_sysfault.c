/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/sysfault.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/sys.h"

static void install(const char *text)
{
  HfSysFault fault = { 0 };
  g_autoptr(GError) error = NULL;
  if (text != NULL)
    g_assert_true(hf_sys_fault_parse(text, &fault, &error));
  g_assert_no_error(error);
  g_assert_true(hf_sys_fault_install(&fault, &error));
  g_assert_no_error(error);
}

static int make_file(void)
{
  int fd = open(g_get_tmp_dir(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  g_assert_cmpint(fd, >=, 0);
  return fd;
}

/* Makes each call of the table once and says how many failed with `errnum`; no other failure is allowed. */
static guint call_all(int errnum)
{
  g_autofree char *folder = g_dir_make_tmp("hf-fault-XXXXXX", NULL);
  int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), file = make_file(), closed = make_file();
  int opened = hf_sys->openat(dir, "file", O_RDWR | O_CREAT, 0600);
  gboolean open_failed = opened < 0;
  if (open_failed)
    opened = openat(dir, "file", O_RDWR | O_CREAT, 0600);
  char bytes[8] = "12345678", entries[512];
  struct iovec vector[2] = { { bytes, 3 }, { bytes, 5 } };
  struct stat status;
  struct statx statusx;
  struct statvfs usage;
  guint failed = open_failed ? 1 : 0;
#define TRY(call) \
  do { \
    errno = 0; \
    if ((call) < 0) { \
      g_assert_cmpint(errno, ==, errnum); \
      failed++; \
    } \
  } while (0)
  TRY(hf_sys->write(file, bytes, 8));
  TRY(hf_sys->pwrite(file, bytes, 8, 0));
  TRY(hf_sys->writev(file, vector, 2));
  TRY(hf_sys->lseek(file, 0, SEEK_SET));
  TRY(hf_sys->read(file, bytes, 8));
  TRY(hf_sys->pread(file, bytes, 8, 0));
  TRY(hf_sys->fsync(file));
  TRY(hf_sys->fdatasync(file));
  TRY(hf_sys->syncfs(file));
  TRY(hf_sys->ftruncate(file, 4));
  TRY(hf_sys->fallocate(file, FALLOC_FL_KEEP_SIZE, 0, 4096));
  TRY(hf_sys->fstatat(dir, "file", &status, 0));
  TRY(hf_sys->statx(dir, "file", 0, STATX_BASIC_STATS, &statusx));
  TRY(hf_sys->getdents64(dir, entries, sizeof entries));
  TRY(hf_sys->fstatvfs(dir, &usage));
  TRY(hf_sys->linkat(dir, "file", dir, "link", 0));
  TRY(hf_sys->mkdirat(dir, "folder", 0700));
  unlinkat(dir, "link", 0);
  TRY(hf_sys->renameat2(dir, "file", dir, "moved", 0));
  mkdirat(dir, "folder", 0700);
  TRY(hf_sys->unlinkat(dir, "folder", AT_REMOVEDIR));
  TRY(hf_sys->close(closed));
#undef TRY
  g_assert_cmpint(fcntl(closed, F_GETFD), ==, -1);
  unlinkat(dir, "folder", AT_REMOVEDIR);
  unlinkat(dir, "file", 0);
  unlinkat(dir, "moved", 0);
  g_assert_cmpint(g_rmdir(folder), ==, 0);
  close(dir);
  close(file);
  close(opened);
  return failed;
}

#define MEMBERS (sizeof(HfSys) / sizeof(void (*)(void)))

static void test_count(void)
{
  const HfSys *before = hf_sys;
  install(NULL);
  g_assert_cmpuint(call_all(0), ==, 0);
  g_assert_cmpuint(hf_sys_fault_calls(NULL), ==, MEMBERS);
  g_assert_cmpuint(hf_sys_fault_calls("fsync"), ==, 1);
  g_assert_cmpuint(hf_sys_fault_hits(), ==, 0);
  install(NULL);
  g_assert_cmpuint(hf_sys_fault_calls(NULL), ==, 0);
  hf_sys_fault_remove();
  g_assert_true(hf_sys == before);
  hf_sys_fault_remove();
  g_assert_true(hf_sys == before);
}

static void test_each_fails(void)
{
  for (guint nth = 1; nth <= MEMBERS; nth++) {
    g_autofree char *text = g_strdup_printf("%u:EIO", nth);
    install(text);
    g_assert_cmpuint(call_all(EIO), ==, 1);
    g_assert_cmpuint(hf_sys_fault_hits(), ==, 1);
    g_assert_cmpuint(call_all(EIO), ==, 0);
  }
  install("1:ENOSPC:persist");
  g_assert_cmpuint(call_all(ENOSPC), ==, MEMBERS);
  g_assert_cmpuint(hf_sys_fault_hits(), ==, MEMBERS);
  hf_sys_fault_remove();
}

static void test_one_function(void)
{
  hf_autofd int fd = make_file();
  install("2:ENOSPC:write");
  g_assert_cmpint(hf_sys->write(fd, "x", 1), ==, 1);
  g_assert_cmpint(hf_sys->pwrite(fd, "x", 1, 0), ==, 1);
  g_assert_cmpint(hf_sys->write(fd, "x", 1), ==, -1);
  g_assert_cmpint(errno, ==, ENOSPC);
  g_assert_cmpint(hf_sys->write(fd, "x", 1), ==, 1);
  install("2:ENOSPC:write:persist");
  g_assert_cmpint(hf_sys->write(fd, "x", 1), ==, 1);
  g_assert_cmpint(hf_sys->write(fd, "x", 1), ==, -1);
  g_assert_cmpint(hf_sys->write(fd, "x", 1), ==, -1);
  g_assert_cmpuint(hf_sys_fault_calls("write"), ==, 3);
  g_assert_cmpuint(hf_sys_fault_hits(), ==, 2);
  hf_sys_fault_remove();
}

static void test_short(void)
{
  hf_autofd int fd = make_file();
  char bytes[10];
  struct iovec vector[3] = { { (char *)"abc", 3 }, { (char *)"defg", 4 }, { (char *)"hij", 3 } };
  install("1:SHORT:persist");
  g_assert_cmpint(hf_sys->write(fd, "0123456789", 10), ==, 5);
  g_assert_cmpint(hf_sys->pwrite(fd, "0123456789", 10, 5), ==, 5);
  g_assert_cmpint(hf_sys->pread(fd, bytes, 10, 0), ==, 5);
  g_assert_cmpint(hf_sys->lseek(fd, 0, SEEK_SET), ==, 0);
  g_assert_cmpint(hf_sys->read(fd, bytes, 10), ==, 5);
  g_assert_cmpint(hf_sys->lseek(fd, 0, SEEK_SET), ==, 0);
  g_assert_cmpint(hf_sys->writev(fd, vector, 3), ==, 5);
  g_assert_cmpuint(hf_sys_fault_hits(), ==, 5);
  g_assert_cmpint(hf_sys->write(fd, "x", 1), ==, 1);
  g_assert_cmpint(hf_sys->fsync(fd), ==, 0);
  g_assert_cmpuint(hf_sys_fault_hits(), ==, 5);
  hf_sys_fault_remove();
  g_assert_cmpint(pread(fd, bytes, 10, 0), ==, 10);
  g_assert_cmpmem(bytes, 10, "abcdex1234", 10);

  /* Those who loop get everything across all the same. */
  install("1:SHORT:persist");
  g_assert_true(hf_pwrite_all(fd, "ABCDEFGHIJ", 10, 0, "x", NULL));
  g_assert_cmpint(hf_pread_full(fd, bytes, 10, 0, "x", NULL), ==, 10);
  hf_sys_fault_remove();
  g_assert_cmpmem(bytes, 10, "ABCDEFGHIJ", 10);
}

static void test_parse(void)
{
  HfSysFault fault = { .kill_nth = 5 };
  g_autoptr(GError) error = NULL;
  g_assert_true(hf_sys_fault_parse("12:EACCES:renameat2:persist", &fault, &error));
  g_assert_cmpuint(fault.nth, ==, 12);
  g_assert_cmpint(fault.errnum, ==, EACCES);
  g_assert_cmpstr(fault.function, ==, "renameat2");
  g_assert_true(fault.persist);
  g_assert_cmpuint(fault.kill_nth, ==, 5);
  g_assert_true(hf_sys_fault_parse("1:SHORT", &fault, &error));
  g_assert_cmpint(fault.errnum, ==, 0);
  g_assert_null(fault.function);
  g_assert_false(fault.persist);
  static const char *const bad[] = {
    "", "1", "0:EIO", "x:EIO", "1:EWHAT", "1:5", "1:EIO:open", "1:EIO:write:always", "1:EIO:persist:write",
    "1:EIO:write:persist:x", ":EIO",
  };
  for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
    g_assert_false(hf_sys_fault_parse(bad[i], &fault, &error));
    g_assert_error(error, HF_ERROR, HF_ERROR_USAGE);
    g_clear_error(&error);
  }
  fault.function = "open";
  g_assert_false(hf_sys_fault_install(&fault, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_USAGE);
}

#ifdef HF_TEST_HOOKS
/* Runs in a process of its own, with `name`=`value` in its environment: sets up, then writes ten bytes one by one. */
static int run_child(const char *name, const char *value, const char *path)
{
  pid_t child = fork();
  g_assert_cmpint(child, >=, 0);
  if (child == 0) {
    g_setenv(name, value, TRUE);
    if (!hf_sys_fault_from_environment(NULL))
      _exit(9);
    int fd = hf_sys->openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    int failed = 0;
    for (int i = 0; i < 10; i++)
      failed += hf_sys->write(fd, "x", 1) != 1;
    exit(failed);
  }
  int status;
  g_assert_cmpint(waitpid(child, &status, 0), ==, child);
  return status;
}

static void test_environment(void)
{
  g_autofree char *folder = g_dir_make_tmp("hf-fault-XXXXXX", NULL), *text = NULL;
  g_autofree char *path = g_build_filename(folder, "file", NULL), *count = g_build_filename(folder, "count", NULL);
  g_assert_cmpint(run_child("HOLDFAST_FAULT", "3:EIO:write", path), ==, 1 << 8);
  g_assert_cmpint(run_child("HOLDFAST_FAULT", "3:EIO:write:persist", path), ==, 8 << 8);
  g_assert_cmpint(run_child("HOLDFAST_FAULT", "nonsense", path), ==, 9 << 8);
  g_assert_cmpint(run_child("HOLDFAST_KILL", "nonsense", path), ==, 9 << 8);
  g_assert_cmpint(run_child("HOLDFAST_RECORD", "/nowhere/file", path), ==, 9 << 8);
  g_assert_cmpint(run_child("UNRELATED", "1", path), ==, 0);
  g_assert_cmpint(run_child("HOLDFAST_FAULT_COUNT", "/nowhere/file", path), ==, 0);
  g_assert_cmpint(run_child("HOLDFAST_FAULT_COUNT", count, path), ==, 0);
  g_assert_true(g_file_get_contents(count, &text, NULL, NULL));
  g_assert_cmpstr(text, ==, "11\n");
  g_unlink(count);

  struct stat status;
  g_unlink(path);
  int killed = run_child("HOLDFAST_KILL", "5", path);
  g_assert_true(WIFSIGNALED(killed));
  g_assert_cmpint(WTERMSIG(killed), ==, SIGKILL);
  g_assert_cmpint(stat(path, &status), ==, 0);
  g_assert_cmpint(status.st_size, ==, 3);
  g_unlink(path);
  g_assert_cmpint(g_rmdir(folder), ==, 0);
}
#else
static void test_environment(void)
{
  const HfSys *before = hf_sys;
  g_setenv("HOLDFAST_FAULT", "1:EIO", TRUE);
  g_assert_true(hf_sys_fault_from_environment(NULL));
  g_unsetenv("HOLDFAST_FAULT");
  g_assert_true(hf_sys == before);
}
#endif

int main(int argc, char **argv)
{
  /* In memory where there is such a place: syncing a disk that others use takes its time. */
  if (access("/dev/shm", W_OK) == 0)
    g_setenv("TMPDIR", "/dev/shm", TRUE);
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/sysfault/count", test_count);
  g_test_add_func("/sysfault/each-fails", test_each_fails);
  g_test_add_func("/sysfault/one-function", test_one_function);
  g_test_add_func("/sysfault/short", test_short);
  g_test_add_func("/sysfault/parse", test_parse);
  g_test_add_func("/sysfault/environment", test_environment);
  return g_test_run();
}
