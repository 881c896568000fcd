/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "format/frame.h"

#include "base/error.h"

#define MAGIC "HFf1"
#define CODEC_LAST 2
#define ROW_PIECE_BYTES 36u
#define BLOCK_MAX (HF_PIECES_MAX * HF_PIECE_BYTES)

G_STATIC_ASSERT(sizeof(HfId) == HF_ID_BYTES);

/* XXH3-64 of the header and the clear section, which do not lie side by side. */
static guint64 sum(const guint8 *header, const void *clear, gsize length)
{
  guint8 small[HF_FRAME_HEADER_BYTES + HF_PIECES_MAX * ROW_PIECE_BYTES];
  g_autofree guint8 *large = NULL;
  guint8 *joined = small;
  if (length > sizeof small - HF_FRAME_HEADER_BYTES)
    joined = large = g_malloc(HF_FRAME_HEADER_BYTES + length);
  memcpy(joined, header, HF_FRAME_HEADER_BYTES);
  if (length > 0)
    memcpy(joined + HF_FRAME_HEADER_BYTES, clear, length);
  return hf_xxh64(joined, HF_FRAME_HEADER_BYTES + length);
}

void hf_frame_encode(const HfFrameHeader *header, const void *clear, guint8 out[HF_FRAME_PREFIX_BYTES])
{
  memcpy(out, MAGIC, 4);
  out[4] = header->kind;
  out[5] = header->codec;
  hf_store_u16(out + 6, header->count);
  memcpy(out + 8, header->session.b, HF_SHORT_ID_BYTES);
  memcpy(out + 24, header->nonce, HF_NONCE_BYTES);
  hf_store_u32(out + 36, header->plain_length);
  hf_store_u32(out + 40, header->clear_length);
  hf_store_u32(out + 44, header->sealed_length);
  hf_store_be64(out + 48, sum(out, clear, header->clear_length));
}

static gboolean group_valid(const HfFrameHeader *header)
{
  guint64 plain = header->plain_length, sealed = header->sealed_length, clear = header->clear_length;
  /* The table of a group takes two bytes a blob at least, refs one byte a blob and one ref. */
  if (plain < 2u * header->count || plain > HF_FRAME_STORED_MAX)
    return FALSE;
  if (clear != 0 && clear < header->count + (guint64)HF_ID_BYTES)
    return FALSE;
  return header->codec == 0 ? sealed == plain + HF_TAG_BYTES : sealed > HF_TAG_BYTES && sealed < plain + HF_TAG_BYTES;
}

static gboolean row_valid(const HfFrameHeader *header)
{
  return header->plain_length > 0 && header->plain_length <= BLOCK_MAX &&
    header->count == (header->plain_length + HF_PIECE_BYTES - 1) / HF_PIECE_BYTES &&
    header->clear_length == header->count * ROW_PIECE_BYTES &&
    header->sealed_length <= header->plain_length + header->count * HF_TAG_BYTES;
}

gboolean hf_frame_decode(const void *bytes, gsize length, HfFrameHeader *header, GError **error)
{
  const guint8 *at = bytes;
  if (length < HF_FRAME_PREFIX_BYTES)
    return hf_fail(error, HF_ERROR_DAMAGED, "a frame is cut short");
  header->kind = at[4];
  header->codec = at[5];
  header->count = hf_load_u16(at + 6);
  memcpy(header->session.b, at + 8, HF_SHORT_ID_BYTES);
  memcpy(header->nonce, at + 24, HF_NONCE_BYTES);
  header->plain_length = hf_load_u32(at + 36);
  header->clear_length = hf_load_u32(at + 40);
  header->sealed_length = hf_load_u32(at + 44);
  gboolean valid = memcmp(at, MAGIC, 4) == 0 && header->codec <= CODEC_LAST && header->count > 0 &&
    header->nonce[HF_NONCE_BYTES - 1] == 0 && hf_frame_stored(header) <= HF_FRAME_STORED_MAX;
  if (valid)
    valid = header->kind == HF_FRAME_GROUP ? group_valid(header) : header->kind == HF_FRAME_ROW && row_valid(header);
  if (!valid)
    return hf_fail(error, HF_ERROR_INVALID, "the header of a frame is malformed");
  return TRUE;
}

gboolean hf_frame_check(const void *bytes, gsize length, const HfFrameHeader *header, GError **error)
{
  const guint8 *at = bytes;
  if (length < HF_FRAME_PREFIX_BYTES || length - HF_FRAME_PREFIX_BYTES < header->clear_length)
    return hf_fail(error, HF_ERROR_DAMAGED, "a frame is cut short");
  if (hf_load_be64(at + HF_FRAME_HEADER_BYTES) != sum(at, at + HF_FRAME_PREFIX_BYTES, header->clear_length))
    return hf_fail(error, HF_ERROR_DAMAGED, "the header of a frame does not match its check");
  return TRUE;
}

void hf_group_refs_encode(const guint32 *counts, guint blobs, const HfId *refs, GByteArray *out)
{
  gsize total = 0;
  for (guint i = 0; i < blobs; i++)
    total += counts[i];
  if (total == 0)
    return;
  for (guint i = 0; i < blobs; i++)
    hf_put_varint(out, counts[i]);
  hf_put_raw(out, refs, total * sizeof *refs);
}

gboolean hf_group_refs_decode(HfView clear, guint blobs, guint32 *counts, const HfId **refs, GError **error)
{
  HfReader reader = hf_reader(clear.data, clear.length);
  guint64 total = 0;
  *refs = NULL;
  if (clear.length == 0) {
    for (guint i = 0; i < blobs; i++)
      counts[i] = 0;
    return TRUE;
  }
  for (guint i = 0; i < blobs && !reader.failed; i++) {
    counts[i] = (guint32)hf_get_varint(&reader, HF_REFS_MAX);
    total += counts[i];
  }
  /* No section is written for no refs, so that there is one form only. */
  if (total == 0 || total > hf_reader_left(&reader) / sizeof(HfId))
    hf_reader_fail(&reader);
  else
    *refs = (const HfId *)hf_get_view(&reader, (gsize)total * sizeof(HfId)).data;
  return hf_reader_done(&reader, "the list of refs in a frame", error);
}

void hf_group_table_encode(const HfGroupItem *items, guint blobs, GByteArray *out)
{
  for (guint i = 0; i < blobs; i++) {
    hf_put_u8(out, items[i].type);
    hf_put_varint(out, items[i].length);
  }
}

/* Blocks stand in rows; data and metadata are sealed with different keys, so no group holds both. */
static gboolean type_fits(guint8 type, guint8 first)
{
  return hf_blob_type_valid(type) && type != HF_BLOB_BLOCK && hf_blob_is_meta(type) == hf_blob_is_meta(first);
}

gboolean hf_group_table_decode(const void *plain, gsize length, guint blobs, HfGroupItem *items, gsize *table_length,
                               GError **error)
{
  HfReader reader = hf_reader(plain, length);
  guint64 total = 0;
  for (guint i = 0; i < blobs && !reader.failed; i++) {
    items[i].type = hf_get_u8(&reader);
    items[i].length = (guint32)hf_get_varint(&reader, HF_PAYLOAD_MAX);
    total += items[i].length;
    if (!type_fits(items[i].type, items[0].type))
      hf_reader_fail(&reader);
  }
  if (reader.failed || total != hf_reader_left(&reader))
    return hf_fail(error, HF_ERROR_INVALID, "the table of a frame is malformed");
  *table_length = length - hf_reader_left(&reader);
  return TRUE;
}

void hf_row_encode(const HfRowPiece *pieces, guint count, guint8 *out)
{
  for (guint i = 0; i < count; i++, out += ROW_PIECE_BYTES) {
    hf_store_u32(out, pieces[i].stored_length);
    memcpy(out + 4, pieces[i].leaf.b, HF_ID_BYTES);
  }
}

guint32 hf_piece_length(guint32 plain_length, guint number)
{
  return MIN(HF_PIECE_BYTES, plain_length - number * HF_PIECE_BYTES);
}

/* Zeros take nothing; else there is at least a byte before the tag, and only codec 0 may not shorten. */
static gboolean piece_valid(const HfFrameHeader *header, guint number, guint32 stored)
{
  guint32 whole = hf_piece_length(header->plain_length, number) + HF_TAG_BYTES;
  return stored == 0 || stored == whole || (header->codec != 0 && stored > HF_TAG_BYTES && stored < whole);
}

gboolean hf_row_decode(HfView clear, const HfFrameHeader *header, HfRowPiece *pieces, GError **error)
{
  HfReader reader = hf_reader(clear.data, clear.length);
  guint64 total = 0;
  for (guint i = 0; i < header->count; i++) {
    pieces[i].stored_length = hf_get_u32(&reader);
    hf_get_raw(&reader, pieces[i].leaf.b, HF_ID_BYTES);
    total += pieces[i].stored_length;
    if (!piece_valid(header, i, pieces[i].stored_length))
      hf_reader_fail(&reader);
  }
  if (total != header->sealed_length)
    hf_reader_fail(&reader);
  return hf_reader_done(&reader, "the list of pieces in a frame", error);
}
