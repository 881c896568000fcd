/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A driver of source/disk.h that stands in for the true one when it is linked in: disks of any size that exist in a
 * table only, that track changes, fail, and count what is read of them. Threads: set it up before a backup, look after
 * it.
 */
#pragma once

#include "source/disk.h"

/* Noise that follows from `seed` at [offset, offset + length); everywhere else are zeros. Later ranges lie over
 * earlier. */
typedef struct FakeRange {
  guint64 offset, length, seed;
} FakeRange;

typedef struct FakeExtent {
  guint64 offset, length;
  HfExtentKind kind;
} FakeExtent;

typedef struct FakeDisk {
  char *path;
  guint64 size;
  guint32 sector_size;
  GArray *ranges;       /* of FakeRange */
  GArray *extents;      /* of FakeExtent, without gaps; empty: all is data */
  const char *cookie;   /* given out after reading; NULL: no tracking */
  gboolean in_use, changed;
  guint64 bad_offset, bad_length; /* reads that touch it fail */
  int bad_code;                   /* with this HfErrorCode */
  gint bad_times;                 /* so often; -1: always */
  guint64 bad_extent;             /* asking for the extent here fails; G_MAXUINT64: never */
  GMutex lock;          /* guards: */
  guint64 bytes_read;
  guint64 longest_read;
  guint opened;
  char *since;          /* the cookie that it was opened with last; NULL: none */
} FakeDisk;

/* A disk of zeros; hf_disk_open finds it by its path. */
FakeDisk *fake_disk_new(const char *path, guint64 size);
void fake_disk_free(FakeDisk *fake);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FakeDisk, fake_disk_free)
void fake_disk_noise(FakeDisk *fake, guint64 offset, guint64 length, guint64 seed);
void fake_disk_extent(FakeDisk *fake, guint64 length, HfExtentKind kind);
/* What it holds now. */
void fake_disk_bytes(const FakeDisk *fake, guint64 offset, guint8 *bytes, gsize length);
/* Forgets counts and extents. */
void fake_disk_reset(FakeDisk *fake);
