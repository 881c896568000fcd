/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A disk of a restore point as a random-access disk. A read goes from its offset to the number of a block, through
 * the map pages to the block's id, and to the pieces of 128 KiB that it needs: nothing else is opened.
 *
 * Invariants
 *  K1 Every byte given out was checked against the id of its block (repo/reader.h R1), or is a zero by a map that was.
 *  K2 Memory is bounded whatever the disk's size: 128 decoded map pages (4.4 MiB), 16 MiB of pieces, and a reader
 *     (about half a MiB) for each thread that reads at the same time, beside the blob cache, which is the caller's.
 *
 * Room for writing: an overlay (blocks that were written since) belongs into this layer, in front of look_up() in
 * vdisk.c, which alone says where the bytes of a block are. Reads and extents ask it for each block, so a block that
 * the overlay has is taken from there, and everything above sees one disk. Until then nobody can write.
 *
 * Threads: all functions are thread-safe but open and free. Reads of different pieces go on side by side.
 */
#pragma once

#include "format/tree.h"
#include "repo/reader.h"

typedef struct HfVdisk HfVdisk;

/* `disk` is an entry of mode 0; nothing is read yet. `cache` must outlive it. HF_ERROR_USAGE when it is no disk,
 * HF_ERROR_PERMISSION when the keys do not read this domain. */
HfVdisk *hf_vdisk_open(HfBlobCache *cache, guint32 domain, const HfEntry *disk, GError **error);
void hf_vdisk_free(HfVdisk *vdisk);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfVdisk, hf_vdisk_free)

guint64 hf_vdisk_size(const HfVdisk *vdisk);          /* bytes; may be no multiple of anything */
guint32 hf_vdisk_sector_size(const HfVdisk *vdisk);
guint32 hf_vdisk_block_size(const HfVdisk *vdisk);    /* what extents are counted in */
/* At most so many bytes are not zeros; a few map pages are read, of smaller disks all. */
gboolean hf_vdisk_data_bytes(HfVdisk *vdisk, guint64 *bytes, GError **error);

/* Reads all of [offset, offset + length), which must lie within the disk (HF_ERROR_USAGE), or fails. HF_ERROR_DAMAGED
 * when some of it cannot be given; then `bytes` is undefined. */
gboolean hf_vdisk_read(HfVdisk *vdisk, guint64 offset, void *bytes, gsize length, GError **error);

/* The extent at `offset` (below the size): zeros or data, and its length, at least 1. There may be zeros in data, and
 * neighbours may be of one kind. */
gboolean hf_vdisk_extent(HfVdisk *vdisk, guint64 offset, gboolean *zero, guint64 *length, GError **error);
