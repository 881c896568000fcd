/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Target: a file tree. The mirror image of source/tree.h: everything is made relative to folder descriptors, symbolic
 * links in the target are never followed, so that a hostile point cannot write outside.
 */
#pragma once

#include "base/report.h"
#include "format/tree.h"

typedef enum HfOverwrite {
  HF_OVERWRITE_REFUSE,  /* an existing entry is HF_ERROR_REFUSED */
  HF_OVERWRITE_ENTER,   /* the same, but for existing folders, which are entered */
  HF_OVERWRITE_REPLACE, /* files and links are replaced (new inode, never written through), folders are merged */
} HfOverwrite;

/* Makes or enters a folder; returns its descriptor or -1. Mode 0700 until its metadata is applied. */
int hf_target_folder(int parent, const char *name, HfOverwrite overwrite, GError **error);
/* Makes a regular file, mode 0600, and returns its descriptor, open for writing. With REPLACE what stands there stays
 * as long as the new file is not whole: that is made under another name, *beside (caller frees; NULL: it has its own),
 * which hf_target_replace makes its own. */
int hf_target_file(int parent, const char *name, HfOverwrite overwrite, char **beside, GError **error);
/* Puts all of it on the disk. To be called of what is to replace something: a file system may write the new name before
 * the contents, and after a power cut both files were lost. */
gboolean hf_target_settle(int fd, const char *name, GError **error);
/* What was made beside it takes the place of what stands under `name`, in one step; after a failure it is still
 * there. */
gboolean hf_target_replace(int parent, const char *beside, const char *name, GError **error);
/* Removes what restores that were killed left beside other files of the folder: own regular files of that pattern that
 * nobody has touched for an hour (one that still runs writes to its own all the time). Nothing is lost by it if one did
 * not: that file fails by its name, and what it was to replace stays. Errors are passed over. */
void hf_target_clear(int folder);
/* Makes a symlink, fifo, socket or device node as `entry` says (`name` is given apart: NUL-terminated). */
gboolean hf_target_special(int parent, const char *name, const HfEntry *entry, HfOverwrite overwrite, GError **error);
/* Makes a hard link to an earlier restored file, by descriptors of the folders. */
gboolean hf_target_link(int old_parent, const char *old_name, int parent, const char *name, HfOverwrite overwrite,
                        GError **error);

/* Sets or clears (they may be inherited) the inode flags that a file system takes only while a file or folder is
 * empty: no copy on write, compression, case folding. To be called for each new file and folder, before anything is
 * put into it, with the extras that it will have. What cannot be done is left to hf_target_apply to warn about. */
void hf_target_prepare(int fd, HfView extras);

/* Applies all metadata of `entry` and its encoded extras to what lies at `name` below `parent`; `fd` is its open
 * descriptor (regular file or folder) or -1. Order: owner, extended attributes, mode, inode flags but immutable and
 * append, times, immutable and append last. What cannot be applied (for want of right or support) is a named warning,
 * not an error. */
gboolean hf_target_apply(int parent, const char *name, int fd, const HfEntry *entry, HfView extras, HfReport *report,
                         const char *shown_path, GError **error);
