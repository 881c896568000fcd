/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which inode flags (FS_IOC_GETFLAGS) a point keeps: those that a user sets and that mean the same elsewhere. Left out
 * are flags that tell how a file system keeps the file (extents, index, inline data, dirty or compressed blocks,
 * attribute inodes, encryption, verity, reserved bits): they cannot be set, and a restored file has its own.
 */
#pragma once

#include <glib.h>
#include <linux/fs.h>

#define HF_INODE_FLAGS \
  ((guint32)(FS_SECRM_FL | FS_UNRM_FL | FS_COMPR_FL | FS_SYNC_FL | FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL | \
             FS_NOATIME_FL | FS_NOCOMP_FL | FS_JOURNAL_DATA_FL | FS_NOTAIL_FL | FS_DIRSYNC_FL | FS_TOPDIR_FL | \
             FS_NOCOW_FL | FS_DAX_FL | FS_PROJINHERIT_FL | FS_CASEFOLD_FL))
