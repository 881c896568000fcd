/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "target/disk.h"

#include <errno.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/device.h"
#include "base/error.h"
#include "base/sys.h"
#include "target/block/signature.h"

#define PARTIAL_SUFFIX ".partial"
#define DAMAGED_SUFFIX ".damaged"
#define NAME_BYTES 255u
#define SPARSE_BYTES (64u << 10) /* shorter runs of zeros in data are written */
#define ZEROS_BYTES (64u << 10)

/* Tried in this order; what a file system or device does not know is not tried again. On a device the kernel unmaps, or
 * has the device write zeros (what the ioctl BLKZEROOUT does). */
static const int zero_modes[] = { FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                  FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE };
static const guint8 zeros[ZEROS_BYTES];

struct HfDiskTarget {
  char *path;        /* as it will be called */
  char *partial;     /* a new file meanwhile; NULL: not new */
  int fd;
  guint64 size;
  gboolean device;
  guint64 alignment; /* of what a device zeroes by itself */
  gint zero_mode;    /* atomic: the first of zero_modes that may work */
};

void hf_disk_target_free(HfDiskTarget *target)
{
  if (target == NULL)
    return;
  if (target->partial != NULL && target->fd >= 0)
    hf_sys->unlinkat(AT_FDCWD, target->partial, 0);
  hf_close_ptr(&target->fd);
  g_free(target->partial);
  g_free(target->path);
  g_free(target);
}

/* PATH with a suffix; a name that would be too long is cut. */
static char *with_suffix(const char *path, const char *suffix)
{
  g_autofree char *folder = g_path_get_dirname(path), *name = g_path_get_basename(path);
  gsize length = MIN(strlen(name), NAME_BYTES - strlen(suffix));
  g_autofree char *whole = g_strdup_printf("%.*s%s", (int)length, name, suffix);
  return g_build_filename(folder, whole, NULL);
}

/* ---- A new file. ---- */

static gboolean make_file(HfDiskTarget *target, gboolean overwrite, GError **error)
{
  g_autoptr(GError) problem = NULL;
  const char *path = target->path;
  g_autofree char *partial = with_suffix(path, PARTIAL_SUFFIX);
  if (overwrite)
    hf_sys->unlinkat(AT_FDCWD, partial, 0);
  target->fd = hf_open(AT_FDCWD, partial, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, &problem);
  if (hf_error_is(problem, HF_ERROR_EXISTS))
    return hf_fail(error, HF_ERROR_REFUSED,
                   "'%s' exists: another restore runs, or one was cut short; remove it, or give "
                   "--overwrite", partial);
  if (problem != NULL) {
    g_propagate_prefixed_error(error, g_steal_pointer(&problem), "cannot make '%s': ", path);
    return FALSE;
  }
  target->partial = g_steal_pointer(&partial);
  return HF_AGAIN(hf_sys->ftruncate(target->fd, (off_t)target->size)) == 0 ||
         hf_fail_errno(error, errno, "cannot make '%s' as large as %" G_GUINT64_FORMAT " bytes", path, target->size);
}

/* ---- An existing file. ---- */

static gboolean check_use(int fd, const char *path, GError **error)
{
  g_autofree char *use = hf_device_use(fd, HF_USE_ANY);
  return use == NULL || hf_fail(error, HF_ERROR_BUSY, "'%s' is in use: %s; free it, or choose another target", path,
                                use);
}

static gboolean open_file(HfDiskTarget *target, gboolean overwrite, GError **error)
{
  const char *path = target->path;
  if (!overwrite)
    return hf_fail(error, HF_ERROR_REFUSED,
                   "'%s' exists; choose another name, or replace what is there with --overwrite",
                   path);
  target->fd = hf_open(AT_FDCWD, path, O_WRONLY | O_NONBLOCK, 0, error);
  if (target->fd < 0 || !check_use(target->fd, path, error))
    return FALSE;
  return HF_AGAIN(hf_sys->ftruncate(target->fd, (off_t)target->size)) == 0 ||
         hf_fail_errno(error, errno, "cannot make '%s' as large as %" G_GUINT64_FORMAT " bytes", path, target->size);
}

/* ---- A block device. ---- */

static gboolean check_device(HfDiskTarget *target, gboolean overwrite, GError **error)
{
  const char *path = target->path;
  g_autofree char *signature = NULL;
  guint64 size;
  int sector, read_only;
  if (ioctl(target->fd, BLKGETSIZE64, &size) != 0 || ioctl(target->fd, BLKSSZGET, &sector) != 0 ||
      ioctl(target->fd, BLKROGET, &read_only) != 0)
    return hf_fail_errno(error, errno, "cannot find the size of device '%s'", path);
  target->alignment = (guint64)sector;
  if (read_only)
    return hf_fail(error, HF_ERROR_PERMISSION, "device '%s' is set to be read-only", path);
  if (size < target->size)
    return hf_fail(error, HF_ERROR_NO_SPACE, "device '%s' has %" G_GUINT64_FORMAT " bytes, the disk %" G_GUINT64_FORMAT,
                   path, size, target->size);
  if (overwrite)
    return TRUE;
  return hf_signature_find(target->fd, path, &signature, error) &&
         (signature == NULL || hf_fail(error, HF_ERROR_REFUSED,
                                       "device '%s' is not blank: it holds '%s'; write over it "
                                       "with --overwrite", path, signature));
}

/* Looked at before it is claimed: so the message can say who uses it. */
static gboolean open_device(HfDiskTarget *target, gboolean overwrite, GError **error)
{
  const char *path = target->path;
  hf_autofd int looking = hf_open(AT_FDCWD, path, O_RDONLY | O_NONBLOCK, 0, error);
  if (looking < 0 || !check_use(looking, path, error))
    return FALSE;
  do
    target->fd = hf_sys->openat(AT_FDCWD, path, O_RDWR | O_EXCL | O_NONBLOCK | O_CLOEXEC, 0);
  while (target->fd < 0 && errno == EINTR);
  if (target->fd < 0 && errno == EBUSY)
    return hf_fail(error, HF_ERROR_BUSY,
                   "'%s' is in use: claimed by another program; free it, or choose another target",
                   path);
  if (target->fd < 0)
    return hf_fail_errno(error, errno, "cannot open device '%s' for writing", path);
  struct stat before, after;
  if (fstat(looking, &before) != 0 || fstat(target->fd, &after) != 0 || !S_ISBLK(after.st_mode) ||
      before.st_rdev != after.st_rdev)
    return hf_fail(error, HF_ERROR_REFUSED, "'%s' became another device just now; try again", path);
  return check_device(target, overwrite, error);
}

/* ---- Opening. ---- */

static gboolean open_target(HfDiskTarget *target, gboolean overwrite, GError **error)
{
  struct stat status;
  const char *path = target->path;
  if (hf_sys->fstatat(AT_FDCWD, path, &status, 0) == 0) {
    target->device = S_ISBLK(status.st_mode);
    if (target->device)
      return open_device(target, overwrite, error);
    return S_ISREG(status.st_mode) ? open_file(target, overwrite, error)
                                   : hf_fail(error, HF_ERROR_USAGE, "'%s' is neither a regular file nor a block device",
                                             path);
  }
  if (errno != ENOENT)
    return hf_fail_errno(error, errno, "cannot look at '%s'", path);
  if (hf_sys->fstatat(AT_FDCWD, path, &status, AT_SYMLINK_NOFOLLOW) == 0)
    return hf_fail(error, HF_ERROR_USAGE, "'%s' is a symbolic link that leads nowhere", path);
  return make_file(target, overwrite, error);
}

HfDiskTarget *hf_disk_target_open(const char *path, guint64 size, gboolean overwrite, GError **error)
{
  g_autoptr(HfDiskTarget) target = g_new0(HfDiskTarget, 1);
  target->fd = -1;
  target->size = size;
  target->path = g_canonicalize_filename(path, NULL);
  if (size > G_MAXINT64) {
    hf_fail(error, HF_ERROR_USAGE, "a disk of %" G_GUINT64_FORMAT " bytes is too large", size);
    return NULL;
  }
  return open_target(target, overwrite, error) ? g_steal_pointer(&target) : NULL;
}

/* ---- Writing. ---- */

static gboolean check_range(const HfDiskTarget *target, guint64 offset, guint64 length, GError **error)
{
  return (offset <= target->size && length <= target->size - offset) ||
         hf_fail(error, HF_ERROR_INVALID, "bytes behind the end of '%s' were to be written", target->path);
}

/* The length of the run at `bytes` that holds data (or zeros only: *hole), in whole parts of SPARSE_BYTES counted
 * from the start of the disk. */
static gsize next_run(guint64 offset, const guint8 *bytes, gsize length, gboolean *hole)
{
  gsize done = 0;
  while (done < length) {
    gsize part = MIN(length - done, SPARSE_BYTES - (gsize)((offset + done) % SPARSE_BYTES));
    gboolean empty = hf_bytes_all_zero(bytes + done, part);
    if (done == 0)
      *hole = empty;
    else if (empty != *hole)
      break;
    done += part;
  }
  return done;
}

static gboolean write_sparse(HfDiskTarget *target, guint64 offset, const guint8 *bytes, gsize length, GError **error)
{
  while (length > 0) {
    gboolean hole = FALSE;
    gsize run = next_run(offset, bytes, length, &hole);
    if (!hole && !hf_pwrite_all(target->fd, bytes, run, (goffset)offset, target->path, error))
      return FALSE;
    offset += run;
    bytes += run;
    length -= run;
  }
  return TRUE;
}

gboolean hf_disk_target_write(HfDiskTarget *target, guint64 offset, const void *bytes, gsize length, GError **error)
{
  if (!check_range(target, offset, length, error))
    return FALSE;
  return target->partial != NULL ? write_sparse(target, offset, bytes, length, error)
                                 : hf_pwrite_all(target->fd, bytes, length, (goffset)offset, target->path, error);
}

/* ---- Zeros. ---- */

static gboolean write_zeros(HfDiskTarget *target, guint64 offset, guint64 length, GError **error)
{
  while (length > 0) {
    gsize part = (gsize)MIN(length, ZEROS_BYTES);
    if (!hf_pwrite_all(target->fd, zeros, part, (goffset)offset, target->path, error))
      return FALSE;
    offset += part;
    length -= part;
  }
  return TRUE;
}

/* Has the system make zeros; *done tells whether it could. */
static gboolean zero_by_system(HfDiskTarget *target, guint64 offset, guint64 length, gboolean *done, GError **error)
{
  *done = FALSE;
  for (gint mode; (mode = g_atomic_int_get(&target->zero_mode)) < (gint)G_N_ELEMENTS(zero_modes);) {
    if (hf_sys->fallocate(target->fd, zero_modes[mode], (off_t)offset, (off_t)length) == 0) {
      *done = TRUE;
      return TRUE;
    }
    if (errno == EINTR)
      continue;
    if (errno != EOPNOTSUPP && errno != EINVAL && errno != ENOSYS && errno != ENODEV)
      return hf_fail_errno(error, errno, "cannot zero %" G_GUINT64_FORMAT " bytes of '%s'", length, target->path);
    g_atomic_int_compare_and_exchange(&target->zero_mode, mode, mode + 1);
  }
  return TRUE;
}

gboolean hf_disk_target_zero(HfDiskTarget *target, guint64 offset, guint64 length, GError **error)
{
  gboolean done = FALSE;
  if (!check_range(target, offset, length, error))
    return FALSE;
  if (target->partial != NULL || length == 0)
    return TRUE;
  /* A device zeroes whole sectors only; what sticks out at the ends is written. */
  guint64 unit = target->device ? target->alignment : 1, end = offset + length;
  guint64 first = (offset + unit - 1) / unit * unit, last = end / unit * unit;
  if (first >= last)
    return write_zeros(target, offset, length, error);
  return write_zeros(target, offset, first - offset, error) && write_zeros(target, last, end - last, error) &&
         zero_by_system(target, first, last - first, &done, error) &&
         (done || write_zeros(target, first, last - first, error));
}

/* ---- The end. ---- */

void hf_disk_target_set_damaged(HfDiskTarget *target)
{
  if (target->partial == NULL)
    return;
  char *path = with_suffix(target->path, DAMAGED_SUFFIX);
  g_free(target->path);
  target->path = path;
}

const char *hf_disk_target_path(const HfDiskTarget *target)
{
  return target->path;
}

static gboolean sync_target(HfDiskTarget *target, GError **error)
{
  int result;
  do
    result = hf_sys->fsync(target->fd);
  while (result != 0 && errno == EINTR);
  if (result != 0)
    return hf_fail_errno(error, errno, "cannot make '%s' durable", target->path);
  if (target->device)
    (void)ioctl(target->fd, BLKRRPART); /* shows new partitions; where it cannot, who plugs it in anew sees them */
  if (target->partial != NULL)
    return TRUE;
  return hf_sys->close(hf_steal_fd(&target->fd)) == 0 || hf_fail_errno(error, errno, "cannot write '%s'", target->path);
}

/* Like renameat2 with RENAME_NOREPLACE, which some file systems lack. */
static gboolean rename_new(const char *from, const char *to)
{
  if (hf_sys->renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
    return TRUE;
  return errno == EINVAL && hf_sys->linkat(AT_FDCWD, from, AT_FDCWD, to, 0) == 0 &&
         hf_sys->unlinkat(AT_FDCWD, from, 0) == 0;
}

static gboolean sync_folder(const char *path, GError **error)
{
  g_autofree char *folder = g_path_get_dirname(path);
  hf_autofd int fd = hf_open(AT_FDCWD, folder, O_RDONLY | O_DIRECTORY, 0, error);
  return fd >= 0 && (hf_sys->fsync(fd) == 0 || errno == EINVAL || errno == EOPNOTSUPP ||
                     hf_fail_errno(error, errno, "cannot make the name '%s' durable", path));
}

static gboolean name_file(HfDiskTarget *target, GError **error)
{
  if (hf_sys->close(hf_steal_fd(&target->fd)) != 0) {
    int errnum = errno;
    hf_sys->unlinkat(AT_FDCWD, target->partial, 0);
    return hf_fail_errno(error, errnum, "cannot write '%s'", target->path);
  }
  if (!rename_new(target->partial, target->path))
    return hf_fail_errno(error, errno, "cannot make '%s'; what was restored stands in '%s'", target->path,
                         target->partial);
  return sync_folder(target->path, error);
}

gboolean hf_disk_target_finish(HfDiskTarget *target, GError **error)
{
  return sync_target(target, error) && (target->partial == NULL || name_file(target, error));
}
