/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Source: a disk. Drivers (block/: raw files and block devices; later nbd/, libvirt/, ...) implement HfDiskOps; the
 * engine asks for extents and reads. Changed-block tracking is part of the interface: a driver that knows what changed
 * since a cookie says so by HF_EXTENT_UNCHANGED, and the engine then takes those blocks from the last point without
 * reading them. Reads may come from several threads at once.
 */
#pragma once

#include <glib.h>

#include "base/report.h"

typedef enum HfExtentKind { HF_EXTENT_DATA, HF_EXTENT_ZERO, HF_EXTENT_UNCHANGED } HfExtentKind;

typedef struct HfDisk HfDisk;
typedef struct HfDiskOps {
  /* The extent at `offset`: kind and length (at least 1, at most to the end). */
  gboolean (*extent)(HfDisk *disk, guint64 offset, HfExtentKind *kind, guint64 *length, GError **error);
  /* HF_ERROR_IO for bytes that cannot be read, though others perhaps can: they are read around. */
  gboolean (*read)(HfDisk *disk, guint64 offset, void *bytes, gsize length, GError **error);
  /* Was it written to since it was opened, as far as can be seen? May be NULL. */
  gboolean (*changed)(HfDisk *disk);
  /* A new cookie that stands for the state just read; NULL when there is no tracking. May be NULL. */
  GBytes *(*cookie)(HfDisk *disk);
  void (*free)(HfDisk *disk);
} HfDiskOps;
struct HfDisk {
  const HfDiskOps *ops;
  char *path;          /* absolute; owned, freed by hf_disk_free */
  guint64 size;        /* bytes */
  guint32 sector_size; /* 512, 4096 */
  gboolean in_use;     /* mounted read-write, or held by another user: only with --live */
  char *use;           /* says by what, for messages; owned */
};

/* `since` is the cookie of the last point, or NULL. */
HfDisk *hf_disk_open(const char *path, GBytes *since, GError **error);
void hf_disk_free(HfDisk *disk);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfDisk, hf_disk_free)
