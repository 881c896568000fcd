/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/sysrecord.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/error.h"
#include "base/sys.h"

#define HEADER_SIZE 64
#define FLAG_CREATED 1
#define FLAG_FOLDER 2

typedef struct Record {
  HfSysRecordKind kind;
  guint flags;
  struct stat status;
  gint64 offset, length;
  guint argument;
  const char *path, *other; /* other may be NULL */
  const struct iovec *data; /* the first `length` bytes of it are the record's */
} Record;

static const HfSys *inner; /* the table that does the work; NULL when not installed */
static HfSys table;        /* inner with the recorder's functions in it */
static int record_fd = -1;
static GMutex mutex; /* held from before a call until its record is written */

static void begin(void)
{
  g_mutex_lock(&mutex);
  while (flock(record_fd, LOCK_EX) != 0)
    g_assert(errno == EINTR);
}

/* Leaves errno as the call left it. */
static void end(void)
{
  int saved = errno;
  flock(record_fd, LOCK_UN);
  g_mutex_unlock(&mutex);
  errno = saved;
}

static guint8 *put16(guint8 *to, gsize value)
{
  guint16 raw = GUINT16_TO_LE((guint16)value);
  return (guint8 *)mempcpy(to, &raw, sizeof raw);
}

static guint8 *put32(guint8 *to, guint64 value)
{
  guint32 raw = GUINT32_TO_LE((guint32)value);
  return (guint8 *)mempcpy(to, &raw, sizeof raw);
}

static guint8 *put64(guint8 *to, guint64 value)
{
  guint64 raw = GUINT64_TO_LE(value);
  return (guint8 *)mempcpy(to, &raw, sizeof raw);
}

static void write_out(const void *bytes, gsize length)
{
  gsize done = 0;
  while (done < length) {
    ssize_t count = write(record_fd, (const guint8 *)bytes + done, length - done);
    if (count < 0 && errno != EINTR)
      g_error("cannot write the recording: %s", g_strerror(errno));
    done += count > 0 ? (gsize)count : 0;
  }
}

static void append(const Record *record)
{
  gsize path_length = strlen(record->path), other_length = record->other != NULL ? strlen(record->other) : 0;
  gsize data_length = record->data != NULL ? (gsize)record->length : 0;
  guint8 header[HEADER_SIZE], *p = (guint8 *)mempcpy(header, "HFRC", 4);
  p = put32(p, HEADER_SIZE + path_length + other_length + data_length);
  p = put16(p, record->kind);
  p = put16(p, path_length);
  p = put16(p, other_length);
  p = put16(p, record->flags | (S_ISDIR(record->status.st_mode) ? FLAG_FOLDER : 0));
  p = put32(p, (guint64)getpid());
  p = put32(p, record->status.st_mode);
  p = put64(p, record->status.st_dev);
  p = put64(p, record->status.st_ino);
  p = put64(p, (guint64)record->offset);
  p = put64(p, (guint64)record->length);
  p = put32(p, record->argument);
  p = put32(p, 0);
  g_assert(p == header + HEADER_SIZE);
  write_out(header, sizeof header);
  write_out(record->path, path_length);
  write_out(record->other, other_length);
  for (const struct iovec *piece = record->data; data_length > 0; piece++) {
    gsize part = MIN(piece->iov_len, data_length);
    write_out(piece->iov_base, part);
    data_length -= part;
  }
}

static char *path_of_fd(int fd)
{
  g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);
  char *path = g_file_read_link(link, NULL);
  return path != NULL ? path : g_strdup("");
}

/* The absolute path of a name whose folder exists. */
static char *path_at(int dirfd, const char *path)
{
  g_autofree char *full = NULL;
  if (path[0] == '/' || dirfd == AT_FDCWD)
    full = g_strdup(path);
  else
    full = g_strdup_printf("/proc/self/fd/%d/%s", dirfd, path);
  for (gsize length = strlen(full); length > 1 && full[length - 1] == '/'; length--)
    full[length - 1] = '\0';
  g_autofree char *folder = g_path_get_dirname(full), *name = g_path_get_basename(full);
  g_autofree char *resolved = realpath(folder, NULL);
  return g_build_filename(resolved != NULL ? resolved : folder, name, NULL);
}

/* Fills in what the file descriptor says. FALSE when it is neither a regular file nor a folder. */
static gboolean look_at(int fd, Record *record)
{
  return fstat(fd, &record->status) == 0 && (S_ISREG(record->status.st_mode) || S_ISDIR(record->status.st_mode));
}

static void append_fd(int fd, Record *record)
{
  if (!look_at(fd, record))
    return;
  g_autofree char *path = path_of_fd(fd);
  record->path = path;
  append(record);
}

static int record_openat(int dirfd, const char *path, int flags, mode_t mode)
{
  gboolean nameless = (flags & O_TMPFILE) == O_TMPFILE;
  if (!nameless && (flags & (O_ACCMODE | O_CREAT | O_TRUNC)) == O_RDONLY)
    return inner->openat(dirfd, path, flags, mode);
  begin();
  struct stat before;
  gboolean makes = nameless || ((flags & O_CREAT) != 0 && fstatat(dirfd, path, &before, 0) != 0);
  int fd = inner->openat(dirfd, path, flags, mode);
  if (fd >= 0)
    append_fd(fd, &(Record){ .kind = HF_RECORD_OPEN, .flags = makes ? FLAG_CREATED : 0, .argument = (guint)flags });
  end();
  return fd;
}

static int record_close(int fd)
{
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY)
    return inner->close(fd);
  begin();
  append_fd(fd, &(Record){ .kind = HF_RECORD_CLOSE });
  int result = inner->close(fd);
  end();
  return result;
}

/* Records a write of `count` bytes; `offset` -1 means that it was made at the file position. */
static void append_write(int fd, const struct iovec *vector, ssize_t count, off_t offset)
{
  Record record = { .kind = HF_RECORD_WRITE, .length = count, .data = vector };
  if (count <= 0 || !look_at(fd, &record))
    return;
  if (offset < 0)
    record.offset = lseek(fd, 0, SEEK_CUR) - count;
  else if ((fcntl(fd, F_GETFL) & O_APPEND) != 0)
    record.offset = record.status.st_size - count; /* Linux appends then, whatever the offset */
  else
    record.offset = offset;
  append_fd(fd, &record);
}

static ssize_t record_write(int fd, const void *buffer, size_t length)
{
  begin();
  ssize_t count = inner->write(fd, buffer, length);
  append_write(fd, &(struct iovec){ (void *)buffer, length }, count, -1);
  end();
  return count;
}

static ssize_t record_pwrite(int fd, const void *buffer, size_t length, off_t offset)
{
  begin();
  ssize_t count = inner->pwrite(fd, buffer, length, offset);
  append_write(fd, &(struct iovec){ (void *)buffer, length }, count, offset);
  end();
  return count;
}

static ssize_t record_writev(int fd, const struct iovec *vector, int vector_count)
{
  begin();
  ssize_t count = inner->writev(fd, vector, vector_count);
  append_write(fd, vector, count, -1);
  end();
  return count;
}

static int record_sync(HfSysRecordKind kind, int (*sync)(int fd), int fd)
{
  begin();
  int result = sync(fd);
  if (result == 0)
    append_fd(fd, &(Record){ .kind = kind });
  end();
  return result;
}

static int record_fsync(int fd)
{
  return record_sync(HF_RECORD_FSYNC, inner->fsync, fd);
}

static int record_fdatasync(int fd)
{
  return record_sync(HF_RECORD_FDATASYNC, inner->fdatasync, fd);
}

static int record_syncfs(int fd)
{
  return record_sync(HF_RECORD_SYNCFS, inner->syncfs, fd);
}

static int record_ftruncate(int fd, off_t length)
{
  begin();
  int result = inner->ftruncate(fd, length);
  if (result == 0)
    append_fd(fd, &(Record){ .kind = HF_RECORD_TRUNCATE, .offset = length });
  end();
  return result;
}

static int record_fallocate(int fd, int mode, off_t offset, off_t length)
{
  begin();
  int result = inner->fallocate(fd, mode, offset, length);
  if (result == 0)
    append_fd(fd, &(Record){ .kind = HF_RECORD_ALLOCATE, .offset = offset, .length = length, .argument = (guint)mode });
  end();
  return result;
}

/* Records a change of names that has been made; `status` is the file's. */
static void append_names(HfSysRecordKind kind, const struct stat *status, char *path, char *other, guint argument)
{
  append(&(Record){ .kind = kind, .status = *status, .path = path, .other = other, .argument = argument });
  g_free(path);
  g_free(other);
}

static int record_linkat(int olddir, const char *oldpath, int newdir, const char *newpath, int flags)
{
  struct stat status;
  begin();
  int result = inner->linkat(olddir, oldpath, newdir, newpath, flags);
  if (result == 0 && fstatat(newdir, newpath, &status, AT_SYMLINK_NOFOLLOW) == 0)
    append_names(HF_RECORD_LINK, &status, g_strdup(""), path_at(newdir, newpath), (guint)flags);
  end();
  return result;
}

static int record_renameat2(int olddir, const char *oldpath, int newdir, const char *newpath, unsigned flags)
{
  struct stat status;
  begin();
  int result = inner->renameat2(olddir, oldpath, newdir, newpath, flags);
  if (result == 0 && fstatat(newdir, newpath, &status, AT_SYMLINK_NOFOLLOW) == 0)
    append_names(HF_RECORD_RENAME, &status, path_at(olddir, oldpath), path_at(newdir, newpath), flags);
  end();
  return result;
}

static int record_unlinkat(int dirfd, const char *path, int flags)
{
  struct stat status = { 0 };
  begin();
  fstatat(dirfd, path, &status, AT_SYMLINK_NOFOLLOW);
  int result = inner->unlinkat(dirfd, path, flags);
  if (result == 0)
    append_names(HF_RECORD_UNLINK, &status, path_at(dirfd, path), NULL, (guint)flags);
  end();
  return result;
}

static int record_mkdirat(int dirfd, const char *path, mode_t mode)
{
  struct stat status;
  begin();
  int result = inner->mkdirat(dirfd, path, mode);
  if (result == 0 && fstatat(dirfd, path, &status, AT_SYMLINK_NOFOLLOW) == 0)
    append_names(HF_RECORD_MKDIR, &status, path_at(dirfd, path), NULL, 0);
  end();
  return result;
}

gboolean hf_sys_record_install(const char *path, GError **error)
{
  hf_sys_record_remove();
  record_fd = hf_open(AT_FDCWD, path, O_WRONLY | O_APPEND | O_CREAT, 0600, error);
  if (record_fd < 0)
    return FALSE;
  inner = hf_sys;
  table = *inner;
  table.openat = record_openat;
  table.close = record_close;
  table.write = record_write;
  table.pwrite = record_pwrite;
  table.writev = record_writev;
  table.fsync = record_fsync;
  table.fdatasync = record_fdatasync;
  table.syncfs = record_syncfs;
  table.ftruncate = record_ftruncate;
  table.fallocate = record_fallocate;
  table.linkat = record_linkat;
  table.renameat2 = record_renameat2;
  table.unlinkat = record_unlinkat;
  table.mkdirat = record_mkdirat;
  hf_sys = &table;
  return TRUE;
}

void hf_sys_record_settle(void)
{
  if (inner != NULL)
    begin();
}

void hf_sys_record_remove(void)
{
  if (inner == NULL)
    return;
  hf_sys = inner;
  inner = NULL;
  hf_close_ptr(&record_fd);
}
