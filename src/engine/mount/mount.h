/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The verb mount: restore points as folders of the file system.
 *
 *   NAME/2026-11-22T10:00:00 (3fa94c21)/...   a point, by name and (local) time
 *   NAME/latest                               a symbolic link to the newest of them
 *   ids/3fa94c21.../...                       every point by its id: also those of unknown signers, from the future, or
 *                                             whose name cannot be read
 *
 * or, with one point, its tree alone. In a NAME '/' and '%' are written as %2F and %25, and a first letter is written
 * so where the name would be ".", ".." or "ids". Disks are regular files of raw bytes.
 *
 * Invariants
 *  X1 A point never changes: all below it lives forever in the kernel's caches. Names and links above it live for a
 *     second.
 *  X2 Memory is bounded by what the kernel holds on to (some 150 bytes an entry, 600 a folder), the caches, and
 *     the roots of points that were looked into; not by the size of points.
 *  X3 What cannot be read gives EIO at its own place only, and one warning.
 */
#pragma once

#include "repo/points.h"

typedef struct HfMountOptions {
  const char *place;        /* the folder to mount at */
  const HfPointInfo *point; /* only this; NULL: all, and those that are made later */
  void (*mounted)(gpointer user); /* called once it can be used; may be NULL */
  gpointer user;
} HfMountOptions;

/* Mounts, and stays until it is unmounted or repo->cancel is set. repo->index may be loaded or not. */
gboolean hf_mount(HfRepo *repo, const HfMountOptions *options, GError **error);
