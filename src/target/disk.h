/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Target: a disk: a raw file or a block device.
 *
 * Invariants
 *  T1 A device is written to only while it is claimed (O_EXCL), after it was found unmounted, not held, large enough
 *     and, without `overwrite`, blank.
 *  T2 A new file stands under its name once all of it is durable, not before; until then it is NAME.partial.
 *  T3 Nothing outside [0, size) is written.
 */
#pragma once

#include <glib.h>

typedef struct HfDiskTarget HfDiskTarget;

/* Opens for writing. A device that is mounted, held (swap, RAID, LVM, another opener) or smaller than `size` is refused
 * (HF_ERROR_BUSY, HF_ERROR_NO_SPACE), as is a file that is mounted or locked; a device that carries a signature (file
 * system, partition table) or an existing file needs `overwrite` (HF_ERROR_REFUSED). A new file is made sparse with
 * `size` bytes, for its owner only; an existing one gets `size` bytes. What lies on a device behind `size` stays as
 * it is. */
HfDiskTarget *hf_disk_target_open(const char *path, guint64 size, gboolean overwrite, GError **error);
/* Thread-safe for disjoint ranges. In a new file longer runs of zeros become holes. */
gboolean hf_disk_target_write(HfDiskTarget *target, guint64 offset, const void *bytes, gsize length, GError **error);
/* Makes the range read as zeros, whatever it held: nothing to do in a new file; else holes are punched (devices:
 * unmapped) or the system zeroes the range where that works, else zeros are written. Thread-safe as write. */
gboolean hf_disk_target_zero(HfDiskTarget *target, guint64 offset, guint64 length, GError **error);
/* Not all bytes could be given: a new file shall stand as NAME.damaged. Before finish. */
void hf_disk_target_set_damaged(HfDiskTarget *target);
/* Where the disk stands once it is finished; lives as long as the target. */
const char *hf_disk_target_path(const HfDiskTarget *target);
/* Makes all durable and closes the target for writing; errors that the system kept back come out here. */
gboolean hf_disk_target_finish(HfDiskTarget *target, GError **error);
/* A new file that was not finished is removed. */
void hf_disk_target_free(HfDiskTarget *target);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfDiskTarget, hf_disk_target_free)
