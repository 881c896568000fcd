/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A testing aid: records the calls of hf_sys that change files, for the crash simulator (tests/crash/replay.py), which
 * rebuilds from a recording what a power loss at any moment could leave on the disk.
 *
 * Only calls that succeeded are recorded, and only on regular files and folders. A call and its record are made under
 * one lock, held across processes that record into the same file, so that the order of records is the order of effects.
 * Recorded bytes are what the kernel took, not what was asked for.
 *
 * A recording is a row of records and has no header: processes append to it. Integers are little-endian.
 *
 *   offset size
 *        0    4  magic "HFRC"
 *        4    4  size of the whole record
 *        8    2  kind (HfSysRecordKind)
 *       10    2  length of path 1
 *       12    2  length of path 2
 *       14    2  flags: 1 the call made the file, 2 a folder
 *       16    4  process id
 *       20    4  st_mode
 *       24    8  st_dev
 *       32    8  st_ino: together they name the file; a number may come again once a file is gone
 *       40    8  offset: of the bytes written or allocated; the new length for ftruncate
 *       48    8  length: bytes written or allocated
 *       56    4  argument: flags of open, renameat2 and unlinkat, mode of fallocate
 *       60    4  0
 *       64       path 1, path 2, then for writes the bytes
 *
 * Paths are absolute, without symbolic links, as they were after the call. Path 1 is the file (for a file without a
 * name it ends in " (deleted)"), or the old name of renameat2; path 2 the new name of linkat and renameat2. A write at
 * the file position is recorded as a write at its offset. What else a file has (mode, times, extended attributes) and
 * memory-mapped writes are not recorded.
 */
#pragma once

#include <glib.h>

typedef enum HfSysRecordKind {
  HF_RECORD_OPEN = 1, /* for writing, or with O_CREAT, O_TRUNC or O_TMPFILE */
  HF_RECORD_WRITE = 2,
  HF_RECORD_FSYNC = 3,
  HF_RECORD_FDATASYNC = 4,
  HF_RECORD_SYNCFS = 5,
  HF_RECORD_TRUNCATE = 6,
  HF_RECORD_ALLOCATE = 7,
  HF_RECORD_LINK = 8,
  HF_RECORD_RENAME = 9,
  HF_RECORD_UNLINK = 10,
  HF_RECORD_MKDIR = 11,
  HF_RECORD_CLOSE = 12, /* of a file open for writing */
  HF_RECORD_MARK = 13,  /* put in by a test between two programs; path 1 is its text */
} HfSysRecordKind;

/* Puts the recorder around the table in force and appends to `path` from now on. A recording that cannot be written
 * would mislead, so the process aborts then. Before other threads start; thread-safe afterwards. */
gboolean hf_sys_record_install(const char *path, GError **error);
/* Waits until no call is between its effect and its record, and holds up all later ones for good: for who is about to
 * kill the process. Without effect when not installed. */
void hf_sys_record_settle(void);
/* Ends the recording and puts the table back that was there before; without effect when not installed. */
void hf_sys_record_remove(void);
