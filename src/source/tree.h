/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Source: a file tree. Everything is reached from folder descriptors (openat and its kin), so that paths deeper than
 * PATH_MAX work and a folder that is moved meanwhile cannot lead elsewhere. Symbolic links are never followed below a
 * root.
 *
 * An HfSourceDir belongs to one thread at a time; reference counting keeps parents open as long as children need
 * them. Descriptors are bounded by the caller (depth first).
 */
#pragma once

#include "base/report.h"
#include "format/tree.h"

typedef struct HfSourceDir HfSourceDir;

/* Opens the folder `name` below `parent` (NULL: `name` is a path, its symbolic links are followed). The names in it are
 * read and sorted bytewise. HF_ERROR_NOT_FOUND (also when it is no folder any more), HF_ERROR_PERMISSION, ... */
HfSourceDir *hf_source_dir_open(HfSourceDir *parent, const char *name, GError **error);
HfSourceDir *hf_source_dir_ref(HfSourceDir *dir);
void hf_source_dir_unref(HfSourceDir *dir);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfSourceDir, hf_source_dir_unref)
guint hf_source_dir_count(const HfSourceDir *dir);
/* NUL-terminated; lives as long as dir. */
const char *hf_source_dir_name(const HfSourceDir *dir, guint number);
/* The descriptor, for hf_sys calls. */
int hf_source_dir_fd(const HfSourceDir *dir);

/* One statx as an entry: name, mode, owner, times, inode, size (regular files), device numbers; HARD_LINK and
 * `device` when anything but a folder has more than one link. Symlink targets are read into `scratch`
 * (target is a view of it). */
typedef struct HfSourceStat {
  guint64 device;      /* of the file system: for --one-file-system and hard links */
  guint64 blocks;      /* of 512 bytes: fewer than the size needs means holes */
  guint32 links;
  guint64 mount;       /* statx mount id, 0 when unknown */
} HfSourceStat;
gboolean hf_source_stat(HfSourceDir *dir, const char *name, HfEntry *entry, HfSourceStat *status, GByteArray *scratch,
                        GError **error);
/* The same for a root's path (dir NULL semantics: follows symbolic links of the path's parents, not of the last
 * part). */
gboolean hf_source_stat_path(const char *path, HfEntry *entry, HfSourceStat *status, GByteArray *scratch,
                             GError **error);

/* Opens a regular file for reading without touching its atime where allowed (O_NOATIME), never blocking (a fifo that
 * took its place is refused). Returns the descriptor or -1. */
int hf_source_file_open(HfSourceDir *dir, const char *name, GError **error);

/* All extended attributes of all namespaces (ACLs are among them), inode flags and project id, as extras of
 * format/tree.h, appended to `extras`. `fd` is an open descriptor of a regular file or folder, or -1 (the entry is
 * opened with O_PATH). What cannot be read is warned about (report) and left out. */
gboolean hf_source_extras(HfSourceDir *dir, const char *name, int fd, guint32 mode, GByteArray *extras,
                          HfReport *report, const char *shown_path, GError **error);

/* Runs of data and holes of an open file by SEEK_DATA and SEEK_HOLE; [*offset, *offset + *length) of one kind from
 * `from` on; FALSE with *length 0 at `end`. A file system without holes gives one run of data. */
gboolean hf_source_next_run(int fd, guint64 from, guint64 end, gboolean *hole, guint64 *length, GError **error);

/* ---- Patterns of -x: one rule a line.
 *
 *   *  ?          any number of bytes, one byte; neither is a slash
 *   [a-z] [!a-z]  one byte of these, or one that is none of these and no slash
 *   **            any number of bytes, slashes too; between slashes it may also stand for no folder at all
 *   \             the byte behind it stands for itself
 *   /at/start     matches the whole absolute path; without a slash at the start a pattern matches the last part of the
 *                 path, or as many of its last parts as the pattern has
 *   end/          folders only
 *   !             at the start: takes back; the last rule that matches decides
 *
 * What lies below an excluded folder is not asked about, so it cannot be taken back. ---- */
typedef struct HfExclude HfExclude;
HfExclude *hf_exclude_new(void);
gboolean hf_exclude_add(HfExclude *exclude, const char *pattern, GError **error);
/* Lines; '#' begins a comment line. */
gboolean hf_exclude_add_file(HfExclude *exclude, const char *path, GError **error);
/* `path` is the absolute path of the entry. NULL exclude matches nothing. */
gboolean hf_exclude_match(const HfExclude *exclude, const char *path, gboolean folder);
void hf_exclude_free(HfExclude *exclude);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfExclude, hf_exclude_free)
