/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Private to vdisk: where the blocks of a disk are, by its map pages (format.md 7.5). The pages used last are kept,
 * decoded; thread-safe. */
#pragma once

#include "format/tree.h"
#include "repo/reader.h"

#define HF_MAPS_KEPT 128u /* of at most 35 KiB each */

typedef struct HfMaps HfMaps;
HfMaps *hf_maps_new(const HfEntry *disk);
void hf_maps_free(HfMaps *maps);

/* Finds block number `block`: zeros, or the blob `id`. *run (may be NULL) is how many blocks, this one included, are
 * known to be of the same kind; there may be more. */
gboolean hf_maps_find(HfMaps *maps, HfBlobReader *reader, guint64 block, gboolean *zero, HfId *id, guint64 *run,
                      GError **error);
#define HF_MAPS_COUNTED 16u
/* Blocks that are not zeros, or more: no more pages are read than HF_MAPS_COUNTED below the topmost one. */
gboolean hf_maps_count(HfMaps *maps, HfBlobReader *reader, guint64 *blocks, GError **error);
