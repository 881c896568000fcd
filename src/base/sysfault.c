/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/sysfault.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/sys.h"
#include "base/sysrecord.h"
#include "base/work.h"

#define FUNCTIONS(X) \
  X(openat) X(close) X(read) X(pread) X(write) X(pwrite) X(writev) X(fsync) X(fdatasync) X(syncfs) X(ftruncate) \
  X(fallocate) X(lseek) X(linkat) X(renameat2) X(unlinkat) X(mkdirat) X(fstatat) X(statx) \
  X(getdents64) X(fstatvfs)

#define NUMBER(name) CALL_##name,
typedef enum Call { FUNCTIONS(NUMBER) CALL_COUNT } Call;

/* A member added to HfSys must be wrapped here too. */
G_STATIC_ASSERT(sizeof(HfSys) == CALL_COUNT * sizeof(void (*)(void)));

#define NAME(name) #name,
static const char *const call_names[] = { FUNCTIONS(NAME) };

static const HfSys *inner; /* the table that does the work; NULL when the layer is not installed */
static GMutex mutex;       /* guards everything below */
static HfSysFault plan;
static int planned_call; /* of plan.function; -1: any */
static guint64 counts[CALL_COUNT], count_all, count_planned, hits;

/* Counts a call and ends the process when its time has come. TRUE when the plan has this call fail. */
static gboolean is_planned_locked(Call call)
{
  counts[call]++;
  count_all++;
  if (count_all == plan.kill_nth) {
    hf_sys_record_settle();
    kill(getpid(), SIGKILL);
  }
  if (plan.nth == 0 || (planned_call >= 0 && planned_call != (int)call))
    return FALSE;
  count_planned++;
  return plan.persist ? count_planned >= plan.nth : count_planned == plan.nth;
}

/* As admit, for a call that moves *length bytes: a short count halves them. */
static gboolean admit_bytes(Call call, size_t *length)
{
  HF_LOCK(&mutex);
  if (!is_planned_locked(call))
    return TRUE;
  if (plan.errnum != 0) {
    hits++;
    errno = plan.errnum;
    return FALSE;
  }
  if (*length > 1) {
    hits++;
    *length /= 2;
  }
  return TRUE;
}

/* FALSE, with errno set, when the call has to fail. */
static gboolean admit(Call call)
{
  size_t none = 0;
  return admit_bytes(call, &none);
}

static int fault_openat(int dirfd, const char *path, int flags, mode_t mode)
{
  return admit(CALL_openat) ? inner->openat(dirfd, path, flags, mode) : -1;
}

static int fault_close(int fd)
{
  gboolean admitted = admit(CALL_close);
  int errnum = errno, result = inner->close(fd);
  if (admitted)
    return result;
  errno = errnum;
  return -1;
}

static ssize_t fault_read(int fd, void *buffer, size_t length)
{
  return admit_bytes(CALL_read, &length) ? inner->read(fd, buffer, length) : -1;
}

static ssize_t fault_pread(int fd, void *buffer, size_t length, off_t offset)
{
  return admit_bytes(CALL_pread, &length) ? inner->pread(fd, buffer, length, offset) : -1;
}

static ssize_t fault_write(int fd, const void *buffer, size_t length)
{
  return admit_bytes(CALL_write, &length) ? inner->write(fd, buffer, length) : -1;
}

static ssize_t fault_pwrite(int fd, const void *buffer, size_t length, off_t offset)
{
  return admit_bytes(CALL_pwrite, &length) ? inner->pwrite(fd, buffer, length, offset) : -1;
}

static ssize_t fault_writev(int fd, const struct iovec *vector, int count)
{
  size_t length = 0;
  for (int i = 0; i < count; i++)
    length += vector[i].iov_len;
  size_t allowed = length;
  if (!admit_bytes(CALL_writev, &allowed))
    return -1;
  if (allowed == length)
    return inner->writev(fd, vector, count);
  g_autofree struct iovec *part = g_new(struct iovec, (gsize)count);
  for (int i = 0; i < count; i++) {
    part[i] = vector[i];
    part[i].iov_len = MIN(vector[i].iov_len, allowed);
    allowed -= part[i].iov_len;
  }
  return inner->writev(fd, part, count);
}

static int fault_fsync(int fd)
{
  return admit(CALL_fsync) ? inner->fsync(fd) : -1;
}

static int fault_fdatasync(int fd)
{
  return admit(CALL_fdatasync) ? inner->fdatasync(fd) : -1;
}

static int fault_syncfs(int fd)
{
  return admit(CALL_syncfs) ? inner->syncfs(fd) : -1;
}

static int fault_ftruncate(int fd, off_t length)
{
  return admit(CALL_ftruncate) ? inner->ftruncate(fd, length) : -1;
}

static int fault_fallocate(int fd, int mode, off_t offset, off_t length)
{
  return admit(CALL_fallocate) ? inner->fallocate(fd, mode, offset, length) : -1;
}

static off_t fault_lseek(int fd, off_t offset, int whence)
{
  return admit(CALL_lseek) ? inner->lseek(fd, offset, whence) : -1;
}

static int fault_linkat(int olddir, const char *oldpath, int newdir, const char *newpath, int flags)
{
  return admit(CALL_linkat) ? inner->linkat(olddir, oldpath, newdir, newpath, flags) : -1;
}

static int fault_renameat2(int olddir, const char *oldpath, int newdir, const char *newpath, unsigned flags)
{
  return admit(CALL_renameat2) ? inner->renameat2(olddir, oldpath, newdir, newpath, flags) : -1;
}

static int fault_unlinkat(int dirfd, const char *path, int flags)
{
  return admit(CALL_unlinkat) ? inner->unlinkat(dirfd, path, flags) : -1;
}

static int fault_mkdirat(int dirfd, const char *path, mode_t mode)
{
  return admit(CALL_mkdirat) ? inner->mkdirat(dirfd, path, mode) : -1;
}

static int fault_fstatat(int dirfd, const char *path, struct stat *status, int flags)
{
  return admit(CALL_fstatat) ? inner->fstatat(dirfd, path, status, flags) : -1;
}

static int fault_statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *status)
{
  return admit(CALL_statx) ? inner->statx(dirfd, path, flags, mask, status) : -1;
}

static ssize_t fault_getdents64(int fd, void *buffer, size_t length)
{
  return admit(CALL_getdents64) ? inner->getdents64(fd, buffer, length) : -1;
}

static int fault_fstatvfs(int fd, struct statvfs *status)
{
  return admit(CALL_fstatvfs) ? inner->fstatvfs(fd, status) : -1;
}

#define MEMBER(name) .name = fault_##name,
static const HfSys fault_sys = { FUNCTIONS(MEMBER) };

/* The number of a function of HfSys; -1 when it is none. */
static int find_call(const char *name)
{
  for (int i = 0; i < CALL_COUNT; i++)
    if (strcmp(call_names[i], name) == 0)
      return i;
  return -1;
}

gboolean hf_sys_fault_install(const HfSysFault *fault, GError **error)
{
  int call = fault->function != NULL ? find_call(fault->function) : -1;
  if (fault->function != NULL && call < 0)
    return hf_fail(error, HF_ERROR_USAGE, "'%s' is not a function of the system-call table", fault->function);
  HF_LOCK(&mutex);
  plan = *fault;
  planned_call = call;
  memset(counts, 0, sizeof counts);
  count_all = count_planned = hits = 0;
  if (inner == NULL) {
    inner = hf_sys;
    hf_sys = &fault_sys;
  }
  return TRUE;
}

void hf_sys_fault_remove(void)
{
  if (inner == NULL)
    return;
  hf_sys = inner;
  inner = NULL;
}

guint64 hf_sys_fault_calls(const char *function)
{
  int call = function != NULL ? find_call(function) : -1;
  g_return_val_if_fail(function == NULL || call >= 0, 0);
  HF_LOCK(&mutex);
  return function != NULL ? counts[call] : count_all;
}

guint64 hf_sys_fault_hits(void)
{
  HF_LOCK(&mutex);
  return hits;
}

/* 0 for "SHORT", -1 when there is no such name. */
static int find_errno(const char *name)
{
  if (strcmp(name, "SHORT") == 0)
    return 0;
  for (int i = 1; i < 256; i++)
    if (g_strcmp0(strerrorname_np(i), name) == 0)
      return i;
  return -1;
}

gboolean hf_sys_fault_parse(const char *text, HfSysFault *fault, GError **error)
{
  g_auto(GStrv) parts = g_strsplit(text, ":", -1);
  guint count = g_strv_length(parts), next = 2;
  guint64 nth = 0;
  int errnum = -1, call = -1;
  gboolean valid = count >= 2 && hf_parse_number("HOLDFAST_FAULT", parts[0], 1, G_MAXUINT64, &nth, NULL);
  if (valid)
    errnum = find_errno(parts[1]);
  if (next < count && (call = find_call(parts[next])) >= 0)
    next++;
  gboolean persist = next < count && strcmp(parts[next], "persist") == 0;
  if (!valid || errnum < 0 || next + (persist ? 1 : 0) != count)
    return hf_fail(error, HF_ERROR_USAGE, "'%s' is not a fault; write N:ERRNO[:FUNCTION][:persist]", text);
  fault->nth = nth;
  fault->function = call >= 0 ? call_names[call] : NULL;
  fault->errnum = errnum;
  fault->persist = persist;
  return TRUE;
}

#ifdef HF_TEST_HOOKS
static char *count_file;

static void write_count(void)
{
  FILE *stream = fopen(count_file, "we");
  if (stream == NULL)
    return;
  fprintf(stream, "%" G_GUINT64_FORMAT "\n", hf_sys_fault_calls(NULL));
  fclose(stream);
}

gboolean hf_sys_fault_from_environment(GError **error)
{
  const char *fault_text = g_getenv("HOLDFAST_FAULT"), *kill_text = g_getenv("HOLDFAST_KILL");
  const char *count_path = g_getenv("HOLDFAST_FAULT_COUNT"), *record_path = g_getenv("HOLDFAST_RECORD");
  HfSysFault fault = { 0 };
  if (record_path != NULL && !hf_sys_record_install(record_path, error))
    return FALSE;
  if (fault_text != NULL && !hf_sys_fault_parse(fault_text, &fault, error))
    return FALSE;
  if (kill_text != NULL && !hf_parse_number("HOLDFAST_KILL", kill_text, 1, G_MAXUINT64, &fault.kill_nth, error))
    return FALSE;
  if (fault_text == NULL && kill_text == NULL && count_path == NULL)
    return TRUE;
  if (count_path != NULL && count_file == NULL) {
    count_file = g_strdup(count_path);
    atexit(write_count);
  }
  return hf_sys_fault_install(&fault, error);
}
#else
gboolean hf_sys_fault_from_environment(GError **error G_GNUC_UNUSED)
{
  return TRUE;
}
#endif
