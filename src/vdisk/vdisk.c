/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "vdisk/vdisk.h"

#include <string.h>

#include "base/error.h"
#include "base/work.h"
#include "vdisk/maps.h"
#include "vdisk/pieces.h"

struct HfVdisk {
  HfBlobCache *cache; /* borrowed */
  guint32 domain;
  guint64 size;
  guint32 block_size, sector_size;
  HfMaps *maps;
  HfPieces *pieces;
  GMutex lock;    /* guards: */
  GQueue readers; /* of HfBlobReader: not in use */
};

/* ---- Readers: each belongs to one thread at a time. ---- */

static HfBlobReader *take_reader(HfVdisk *vdisk, GError **error)
{
  g_mutex_lock(&vdisk->lock);
  HfBlobReader *reader = g_queue_pop_head(&vdisk->readers);
  g_mutex_unlock(&vdisk->lock);
  return reader != NULL ? reader : hf_blob_reader_new(vdisk->cache, vdisk->domain, error);
}

static void give_reader(HfVdisk *vdisk, HfBlobReader *reader)
{
  HF_LOCK(&vdisk->lock);
  g_queue_push_head(&vdisk->readers, reader);
}

/* ---- The disk. ---- */

HfVdisk *hf_vdisk_open(HfBlobCache *cache, guint32 domain, const HfEntry *disk, GError **error)
{
  if (disk->mode != 0 || disk->block_size == 0 || disk->block_size % HF_PIECE_BYTES != 0) {
    hf_fail(error, HF_ERROR_USAGE, "this is no disk");
    return NULL;
  }
  HfBlobReader *reader = hf_blob_reader_new(cache, domain, error);
  if (reader == NULL)
    return NULL;
  HfVdisk *vdisk = g_new0(HfVdisk, 1);
  vdisk->cache = cache;
  vdisk->domain = domain;
  vdisk->size = disk->size;
  vdisk->block_size = disk->block_size;
  vdisk->sector_size = disk->sector_size;
  vdisk->maps = hf_maps_new(disk);
  vdisk->pieces = hf_pieces_new();
  g_mutex_init(&vdisk->lock);
  give_reader(vdisk, reader);
  return vdisk;
}

void hf_vdisk_free(HfVdisk *vdisk)
{
  if (vdisk == NULL)
    return;
  g_queue_clear_full(&vdisk->readers, (GDestroyNotify)hf_blob_reader_free);
  hf_pieces_free(vdisk->pieces);
  hf_maps_free(vdisk->maps);
  g_mutex_clear(&vdisk->lock);
  g_free(vdisk);
}

guint64 hf_vdisk_size(const HfVdisk *vdisk)
{
  return vdisk->size;
}

guint32 hf_vdisk_sector_size(const HfVdisk *vdisk)
{
  return vdisk->sector_size;
}

guint32 hf_vdisk_block_size(const HfVdisk *vdisk)
{
  return vdisk->block_size;
}

/* ---- Where bytes are. ---- */

/* A block, and `run` blocks of the same kind from it on. */
typedef struct Place {
  gboolean zero;
  HfId id;
  gsize length; /* of the block: the last one may be shorter */
  guint64 run;
} Place;

static gboolean look_up(HfVdisk *vdisk, HfBlobReader *reader, guint64 block, gboolean with_run, Place *place,
                        GError **error)
{
  place->length = (gsize)MIN(vdisk->block_size, vdisk->size - block * vdisk->block_size);
  return hf_maps_find(vdisk->maps, reader, block, &place->zero, &place->id, with_run ? &place->run : NULL, error);
}

/* ---- Reading. ---- */

/* A part of one piece, out of a piece at hand, or one that is opened and kept. */
static gboolean read_part(HfVdisk *vdisk, HfBlobReader *reader, guint64 block, const Place *place, gsize offset,
                          gsize length, guint8 *out, GError **error)
{
  gsize start = offset - offset % HF_PIECE_BYTES, whole = MIN(HF_PIECE_BYTES, place->length - start);
  guint64 number = (block * vdisk->block_size + start) / HF_PIECE_BYTES;
  gboolean fill = FALSE, good = TRUE;
  HfPiece *piece = hf_pieces_get(vdisk->pieces, number, length < whole ? &fill : NULL, length < whole ? error : NULL);
  if (piece == NULL) /* who wants a piece as a whole needs no copy of it kept */
    return length == whole && hf_block_read(reader, &place->id, place->length, start, whole, out, error);
  if (fill) {
    good = hf_block_read(reader, &place->id, place->length, start, whole, piece->bytes, error);
    hf_pieces_filled(vdisk->pieces, piece, good);
  }
  if (good)
    memcpy(out, piece->bytes + (offset - start), length);
  hf_pieces_release(vdisk->pieces, piece);
  return good;
}

/* [offset, offset + length) of a block, piece by piece. */
static gboolean read_block(HfVdisk *vdisk, HfBlobReader *reader, guint64 block, const Place *place, gsize offset,
                           gsize length, guint8 *out, GError **error)
{
  for (gsize end = offset + length; offset < end;) {
    gsize part = MIN(end - offset, HF_PIECE_BYTES - offset % HF_PIECE_BYTES);
    if (!read_part(vdisk, reader, block, place, offset, part, out, error))
      return FALSE;
    offset += part;
    out += part;
  }
  return TRUE;
}

static gboolean read_blocks(HfVdisk *vdisk, HfBlobReader *reader, guint64 offset, guint8 *out, gsize length,
                            GError **error)
{
  while (length > 0) {
    Place place;
    guint64 block = offset / vdisk->block_size;
    gsize inside = (gsize)(offset % vdisk->block_size);
    if (!look_up(vdisk, reader, block, FALSE, &place, error))
      return FALSE;
    gsize part = MIN(length, place.length - inside);
    if (place.zero)
      memset(out, 0, part);
    else if (!read_block(vdisk, reader, block, &place, inside, part, out, error))
      return FALSE;
    offset += part;
    out += part;
    length -= part;
  }
  return TRUE;
}

gboolean hf_vdisk_read(HfVdisk *vdisk, guint64 offset, void *bytes, gsize length, GError **error)
{
  if (offset > vdisk->size || length > vdisk->size - offset)
    return hf_fail(error, HF_ERROR_USAGE,
                   "a disk of %" G_GUINT64_FORMAT " bytes has no %zu bytes at %" G_GUINT64_FORMAT,
                   vdisk->size, length, offset);
  HfBlobReader *reader = take_reader(vdisk, error);
  if (reader == NULL)
    return FALSE;
  gboolean good = read_blocks(vdisk, reader, offset, bytes, length, error);
  give_reader(vdisk, reader);
  return good;
}

/* ---- Extents. ---- */

gboolean hf_vdisk_extent(HfVdisk *vdisk, guint64 offset, gboolean *zero, guint64 *length, GError **error)
{
  Place place;
  if (offset >= vdisk->size)
    return hf_fail(error, HF_ERROR_USAGE, "a disk of %" G_GUINT64_FORMAT " bytes has no byte %" G_GUINT64_FORMAT,
                   vdisk->size, offset);
  HfBlobReader *reader = take_reader(vdisk, error);
  if (reader == NULL)
    return FALSE;
  guint64 block = offset / vdisk->block_size;
  gboolean good = look_up(vdisk, reader, block, TRUE, &place, error);
  give_reader(vdisk, reader);
  if (!good)
    return FALSE;
  *zero = place.zero;
  *length = vdisk->size - offset; /* when the run goes up to the end, it ends with the disk */
  if (place.run < (vdisk->size - block * vdisk->block_size + vdisk->block_size - 1) / vdisk->block_size)
    *length = (block + place.run) * vdisk->block_size - offset;
  return TRUE;
}

gboolean hf_vdisk_data_bytes(HfVdisk *vdisk, guint64 *bytes, GError **error)
{
  guint64 blocks;
  HfBlobReader *reader = take_reader(vdisk, error);
  if (reader == NULL)
    return FALSE;
  gboolean good = hf_maps_count(vdisk->maps, reader, &blocks, error);
  give_reader(vdisk, reader);
  *bytes = good ? MIN(blocks * vdisk->block_size, vdisk->size) : 0;
  return good;
}
