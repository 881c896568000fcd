/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <unistd.h>

#include "base/error.h"
#include "base/sys.h"
#include "source/tree.h"

/* As lseek; *found is 0 where the kernel knows of nothing more (ENXIO). */
static gboolean seek(int fd, guint64 from, int whence, guint64 *found, GError **error)
{
  off_t at = HF_AGAIN(hf_sys->lseek(fd, (off_t)from, whence));
  *found = at > 0 ? (guint64)at : 0;
  return at >= 0 || errno == ENXIO || hf_fail_errno(error, errno, "cannot find the holes of a file");
}

gboolean hf_source_next_run(int fd, guint64 from, guint64 end, gboolean *hole, guint64 *length, GError **error)
{
  guint64 next;
  *length = 0;
  *hole = FALSE;
  if (from >= end)
    return FALSE;
  off_t data = HF_AGAIN(hf_sys->lseek(fd, (off_t)from, SEEK_DATA));
  if (data < 0 && errno == EINVAL) { /* a file system without holes */
    *length = end - from;
    return TRUE;
  }
  if (data < 0 && errno != ENXIO)
    return hf_fail_errno(error, errno, "cannot find the holes of a file");
  if (data < 0) { /* a hole up to the end of the file, which may have become shorter */
    *hole = TRUE;
    if (!seek(fd, 0, SEEK_END, &next, error))
      return FALSE;
  } else if ((guint64)data > from) {
    *hole = TRUE;
    next = (guint64)data;
  } else if (!seek(fd, from, SEEK_HOLE, &next, error)) {
    return FALSE;
  }
  if (next > from)
    *length = MIN(next, end) - from;
  return *length > 0;
}
