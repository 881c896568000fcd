/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of this driver share. */
#pragma once

#include <linux/fs.h>
#include <sys/stat.h>

#include "source/tree.h"

#define HF_PROC_FD_BYTES 32

/* The inode flags that are kept: file/extras.c says which and why. */
#define HF_SOURCE_FLAGS                                                                                                 \
  ((guint32)(FS_SECRM_FL | FS_UNRM_FL | FS_COMPR_FL | FS_SYNC_FL | FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL |      \
             FS_NOATIME_FL | FS_NOCOMP_FL | FS_JOURNAL_DATA_FL | FS_NOTAIL_FL | FS_DIRSYNC_FL | FS_TOPDIR_FL |          \
             FS_NOCOW_FL | FS_DAX_FL | FS_PROJINHERIT_FL | FS_CASEFOLD_FL))

/* As openat with O_CLOEXEC, for a path of any length: `flags` count for its last part, symbolic links of all parts before are
 * followed. Returns -1 with errno set. */
int hf_open_long(const char *path, int flags);
/* Opens `name` below `parent`, without touching its atime where that is allowed; never follows it. -1 with errno set. */
int hf_open_quietly(int parent, const char *name, int flags);
/* Writes the name under which /proc shows a descriptor: the way to what was opened with O_PATH. */
void hf_proc_fd(int fd, char name[HF_PROC_FD_BYTES]);
