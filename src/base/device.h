/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who uses a block device or an image file: mounts, swap, holders (LVM, RAID, device mapper), loop devices, whoever
 * else claims it; of the whole device and of its partitions. An image file is also in use when it is locked, as running
 * machines lock theirs. */
#pragma once

#include <glib.h>

typedef enum HfUse {
  HF_USE_WRITERS, /* only what may write: a read-only mount is no use, nor is an idle loop device */
  HF_USE_ANY,
} HfUse;

/* Says by what the device or file open at `fd` is used ("mounted at '/srv'", "swap", "held by 'dm-0'", "attached as
 * 'loop0', mounted at '/mnt'"), or NULL when by nothing that can be seen. The text is the caller's. */
char *hf_device_use(int fd, HfUse use);
