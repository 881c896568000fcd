/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Target: a disk: a raw file or a block device. */
#pragma once

#include <glib.h>

#include "base/report.h"

typedef struct HfDiskTarget HfDiskTarget;

/* Opens for writing. A device that is mounted, held (swap, RAID, LVM, another opener) or smaller than `size` is refused
 * (HF_ERROR_BUSY, HF_ERROR_NO_SPACE); one that carries a signature (file system, partition table) or an existing file needs
 * `overwrite` (HF_ERROR_REFUSED). A new file is made sparse with `size` bytes; a longer file is cut. */
HfDiskTarget *hf_disk_target_open(const char *path, guint64 size, gboolean overwrite, GError **error);
/* Thread-safe for disjoint ranges. */
gboolean hf_disk_target_write(HfDiskTarget *target, guint64 offset, const void *bytes, gsize length, GError **error);
/* Makes the range read as zeros, whatever it held: nothing to do in a new file; else BLKZEROOUT or punched holes where they
 * work, else zeros are written. */
gboolean hf_disk_target_zero(HfDiskTarget *target, guint64 offset, guint64 length, GError **error);
/* Makes all durable and closes the target for writing; errors that the system kept back come out here. */
gboolean hf_disk_target_finish(HfDiskTarget *target, GError **error);
void hf_disk_target_free(HfDiskTarget *target);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfDiskTarget, hf_disk_target_free)
