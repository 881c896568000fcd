/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Raw files and block devices as disks. Neither tracks changes: every block that is not a hole is read. */
#include "source/disk.h"

#include <errno.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/device.h"
#include "base/error.h"
#include "base/sys.h"
#include "source/tree.h"

typedef struct RawDisk {
  HfDisk disk; /* first */
  int fd;
  gboolean regular;
  struct stat opened; /* what it was like then */
} RawDisk;

static gboolean raw_extent(HfDisk *disk, guint64 offset, HfExtentKind *kind, guint64 *length, GError **error)
{
  RawDisk *raw = (RawDisk *)disk;
  gboolean hole = FALSE;
  g_autoptr(GError) problem = NULL;
  *kind = HF_EXTENT_DATA;
  *length = disk->size - offset;
  if (!raw->regular)
    return TRUE;
  if (!hf_source_next_run(raw->fd, offset, disk->size, &hole, length, &problem) && problem) {
    g_propagate_prefixed_error(error, g_steal_pointer(&problem), "cannot read '%s': ", disk->path);
    return FALSE;
  }
  if (*length == 0)
    return hf_fail(error, HF_ERROR_FAILED, "'%s' became shorter while it was read", disk->path);
  *kind = hole ? HF_EXTENT_ZERO : HF_EXTENT_DATA;
  return TRUE;
}

static gboolean raw_read(HfDisk *disk, guint64 offset, void *bytes, gsize length, GError **error)
{
  RawDisk *raw = (RawDisk *)disk;
  gssize got = hf_pread_full(raw->fd, bytes, length, (goffset)offset, disk->path, error);
  if (got < 0)
    return FALSE;
  return (gsize)got == length || hf_fail(error, HF_ERROR_FAILED, "'%s' became shorter while it was read", disk->path);
}

static gboolean same_time(const struct timespec *a, const struct timespec *b)
{
  return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* Of a file the times tell; a device keeps none. */
static gboolean raw_changed(HfDisk *disk)
{
  const RawDisk *raw = (const RawDisk *)disk;
  struct stat now;
  return raw->regular && fstat(raw->fd, &now) == 0 &&
         (now.st_size != raw->opened.st_size || !same_time(&now.st_mtim, &raw->opened.st_mtim) ||
          !same_time(&now.st_ctim, &raw->opened.st_ctim));
}

static void raw_free(HfDisk *disk)
{
  RawDisk *raw = (RawDisk *)disk;
  hf_close_ptr(&raw->fd);
}

static const HfDiskOps raw_ops = { .extent = raw_extent, .read = raw_read, .changed = raw_changed, .free = raw_free };

static gboolean find_size(RawDisk *raw, GError **error)
{
  const char *path = raw->disk.path;
  if (fstat(raw->fd, &raw->opened) != 0)
    return hf_fail_errno(error, errno, "cannot look at '%s'", path);
  raw->disk.sector_size = 512;
  raw->regular = S_ISREG(raw->opened.st_mode);
  if (raw->regular) {
    raw->disk.size = (guint64)raw->opened.st_size;
    return TRUE;
  }
  if (!S_ISBLK(raw->opened.st_mode))
    return hf_fail(error, HF_ERROR_USAGE, "'%s' is neither a regular file nor a block device", path);
  guint64 size;
  int sector;
  if (ioctl(raw->fd, BLKGETSIZE64, &size) != 0 || ioctl(raw->fd, BLKSSZGET, &sector) != 0)
    return hf_fail_errno(error, errno, "cannot find the size of device '%s'", path);
  raw->disk.size = size;
  raw->disk.sector_size = (guint32)sector;
  return TRUE;
}

HfDisk *hf_disk_open(const char *path, GBytes *since, GError **error)
{
  (void)since; /* no driver here tracks changes */
  RawDisk *raw = g_new0(RawDisk, 1);
  g_autoptr(HfDisk) disk = &raw->disk;
  disk->ops = &raw_ops;
  disk->path = g_canonicalize_filename(path, NULL);
  raw->fd = hf_open(AT_FDCWD, disk->path, O_RDONLY | O_NONBLOCK, 0, error);
  if (raw->fd < 0 || !find_size(raw, error))
    return NULL;
  if (disk->size == 0) {
    hf_fail(error, HF_ERROR_USAGE, "disk '%s' is empty", path);
    return NULL;
  }
  disk->use = hf_device_use(raw->fd, HF_USE_WRITERS);
  disk->in_use = disk->use != NULL;
  return g_steal_pointer(&disk);
}

void hf_disk_free(HfDisk *disk)
{
  if (!disk)
    return;
  disk->ops->free(disk);
  g_free(disk->path);
  g_free(disk->use);
  g_free(disk);
}
