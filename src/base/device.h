/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who uses a block device or an image file: mounts, swap, holders (LVM, RAID, device mapper, loop), of the whole device and of
 * its partitions. */
#pragma once

#include <glib.h>

typedef enum HfUse {
  HF_USE_WRITERS, /* only what may write: a read-only mount is no use */
  HF_USE_ANY,
} HfUse;

/* Says by what the device open at `fd` is used ("mounted at '/srv'", "swap", "held by dm-0"), or NULL when by nothing. The
 * text is the caller's. A regular file is looked for behind loop devices. */
char *hf_device_use(int fd, HfUse use);
