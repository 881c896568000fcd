/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A tree that holds one of everything a Linux file system can keep: owners, modes, times, ACLs, extended attributes,
 * capabilities, hard links, holes, devices, inode flags, names that are no text, great depth. Tests of sources, targets
 * and of whole backups use it. The same tree comes out each time, but for inodes, ctimes and atimes.
 *
 * A failure that a test could not stand for (no memory, no room, no right to make the folder) ends the program.
 */
#pragma once

#include <glib.h>

/* Makes the tree in the folder `path`, which is made and must not exist. What the file system or the caller's rights
 * do not allow is left out and told in `left_out`, one a line. */
void hf_fixture_make(const char *path, GString *left_out);

/* Removes a tree, whatever its flags, modes and depth; nothing is done when there is none. */
void hf_fixture_remove(const char *path);

/* Writes `length` bytes that follow from `seed` and do not compress. */
void hf_fixture_noise(guint8 *bytes, gsize length, guint64 seed);

/* ---- Places: file systems for a test, mounted where nobody else sees them. For root only. ---- */

/* Gives the process mounts of its own. FALSE when it may not. */
gboolean hf_place_private(void);
/* Mounts an empty file system of `kind` ("tmpfs", "ext4", "xfs", "btrfs") of `megabytes` (at least 320) at a new
 * folder below `above` and returns its path. NULL when the machine does not have it. */
char *hf_place_mount(const char *kind, guint megabytes, const char *above);
/* Unmounts and frees; NULL is allowed. Without it the mount goes with the process. */
void hf_place_unmount(char *place);

/* ---- For tests of single calls. ---- */

/* Makes an empty folder that everybody may enter, and goes there; the process had none before. */
void hf_scratch_enter(void);
/* Leaves it and removes all that is in it. */
void hf_scratch_leave(void);
/* Runs `work` in a child process that has no rights beyond those of everybody; TRUE when it ended well. */
gboolean hf_as_nobody(void (*work)(void));
