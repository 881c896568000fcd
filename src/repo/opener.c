/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Opening of frames (format.md 4). Nothing is decompressed before its authentication tag was checked. */
#include <string.h>

#include "base/error.h"
#include "repo/sealer.h"

#define PIECE_CLEAR_BYTES 36u
#define KEYS_KEPT 4u

struct HfOpener {
  HfCodecContext *context;
  HfBuffer packed;
  GByteArray *extra;
  struct {
    HfKey key;
    HfAead *aead;
  } keys[KEYS_KEPT]; /* used last: a key schedule costs more than a small frame */
  guint next;
};

HfOpener *hf_opener_new(void)
{
  HfOpener *opener = g_new0(HfOpener, 1);
  opener->context = hf_codec_new();
  opener->extra = g_byte_array_new();
  return opener;
}

void hf_opener_free(HfOpener *opener)
{
  if (opener == NULL)
    return;
  for (guint i = 0; i < KEYS_KEPT; i++) {
    hf_aead_free(opener->keys[i].aead);
    hf_key_clear(&opener->keys[i].key);
  }
  hf_codec_free(opener->context);
  hf_buffer_clear(&opener->packed);
  g_byte_array_unref(opener->extra);
  g_free(opener);
}

static HfAead *aead_for(HfOpener *opener, const HfKey *key)
{
  for (guint i = 0; i < KEYS_KEPT; i++)
    if (opener->keys[i].aead != NULL && memcmp(&opener->keys[i].key, key, sizeof *key) == 0)
      return opener->keys[i].aead;
  guint place = opener->next++ % KEYS_KEPT;
  hf_aead_free(opener->keys[place].aead);
  opener->keys[place].key = *key;
  opener->keys[place].aead = hf_aead_new(key);
  return opener->keys[place].aead;
}

void hf_opened_init(HfOpened *opened)
{
  *opened = (HfOpened){ .items = g_array_new(FALSE, FALSE, sizeof(HfGroupItem)),
                        .offsets = g_array_new(FALSE, FALSE, sizeof(gsize)),
                        .ref_counts = g_array_new(FALSE, FALSE, sizeof(guint32)),
                        .ref_starts = g_array_new(FALSE, FALSE, sizeof(guint32)),
                        .refs = g_array_new(FALSE, FALSE, sizeof(HfId)) };
}

void hf_opened_clear(HfOpened *opened)
{
  hf_buffer_clear(&opened->plain);
  g_clear_pointer(&opened->items, g_array_unref);
  g_clear_pointer(&opened->offsets, g_array_unref);
  g_clear_pointer(&opened->ref_counts, g_array_unref);
  g_clear_pointer(&opened->ref_starts, g_array_unref);
  g_clear_pointer(&opened->refs, g_array_unref);
  opened->blobs = 0;
}

/* Decodes and checks what can be checked without a key. `whole`: `length` is that of the stored frame, else at least of
 * its prefix and clear section. */
static gboolean begin(const void *stored, gsize length, HfFrameKind kind, gboolean whole, HfFrameHeader *header,
                      GError **error)
{
  if (!hf_frame_decode(stored, length, header, error))
    return FALSE;
  if (header->kind != kind)
    return hf_fail(error, HF_ERROR_INVALID, "a frame is of kind %u instead of %u", header->kind, (guint)kind);
  gsize needed = whole ? hf_frame_stored(header) : HF_FRAME_PREFIX_BYTES + (gsize)header->clear_length;
  if (length != needed)
    return hf_fail(error, HF_ERROR_INVALID, "a frame has %zu bytes instead of %zu", length, needed);
  return hf_frame_check(stored, length, header, error);
}

/* ---- Groups. ---- */

static gboolean decode_refs(const guint8 *clear, const HfFrameHeader *header, HfOpened *opened, GError **error)
{
  g_array_set_size(opened->ref_counts, header->count);
  g_array_set_size(opened->ref_starts, header->count);
  const HfId *refs = NULL;
  HfView view = { clear, header->clear_length };
  if (!hf_group_refs_decode(view, header->count, (guint32 *)(void *)opened->ref_counts->data, &refs, error))
    return FALSE;
  guint32 total = 0;
  for (guint i = 0; i < header->count; i++) {
    g_array_index(opened->ref_starts, guint32, i) = total;
    total += g_array_index(opened->ref_counts, guint32, i);
  }
  g_array_set_size(opened->refs, 0);
  if (total > 0)
    g_array_append_vals(opened->refs, refs, total);
  return TRUE;
}

static gboolean open_plain(HfOpener *opener, const HfKey *key, const HfFrameHeader *header, const guint8 *stored,
                           HfBuffer *plain, GError **error)
{
  g_byte_array_set_size(opener->extra, 0);
  hf_put_raw(opener->extra, stored, HF_FRAME_HEADER_BYTES);
  hf_put_raw(opener->extra, stored + HF_FRAME_PREFIX_BYTES, header->clear_length);
  const guint8 *sealed = stored + HF_FRAME_PREFIX_BYTES + header->clear_length;
  gsize packed = header->sealed_length - HF_TAG_BYTES;
  gboolean direct = header->codec == HF_CODEC_NONE; /* then the lengths are equal: hf_frame_decode */
  HfBuffer *into = direct ? plain : &opener->packed;
  if (!hf_buffer_resize(into, packed, error) ||
      !hf_aead_open(aead_for(opener, key), header->nonce, opener->extra->data, opener->extra->len, sealed,
                    header->sealed_length, into->data, error))
    return FALSE;
  return direct || (hf_buffer_resize(plain, header->plain_length, error) &&
                    hf_decompress(opener->context, (HfCodec)header->codec, into->data, packed, plain->data,
                                  header->plain_length, error));
}

static gboolean open_group(HfOpener *opener, const HfKey *key, const guint8 *stored, gsize length, HfOpened *opened,
                           GError **error)
{
  HfFrameHeader header;
  gsize at;
  if (!begin(stored, length, HF_FRAME_GROUP, TRUE, &header, error) ||
      !decode_refs(stored + HF_FRAME_PREFIX_BYTES, &header, opened, error) ||
      !open_plain(opener, key, &header, stored, &opened->plain, error))
    return FALSE;
  g_array_set_size(opened->items, header.count);
  g_array_set_size(opened->offsets, header.count);
  HfGroupItem *items = (HfGroupItem *)(void *)opened->items->data;
  if (!hf_group_table_decode(opened->plain.data, opened->plain.length, header.count, items, &at, error))
    return FALSE;
  for (guint i = 0; i < header.count; i++) {
    g_array_index(opened->offsets, gsize, i) = at;
    at += items[i].length;
  }
  opened->blobs = header.count;
  return TRUE;
}

gboolean hf_open_group(HfOpener *opener, const HfKey *key, const void *stored, gsize length, HfOpened *opened,
                       GError **error)
{
  opened->blobs = 0;
  return open_group(opener, key, stored, length, opened, error);
}

/* ---- Rows. ---- */

typedef struct Row {
  HfFrameHeader header;
  const guint8 *bytes; /* prefix and clear section */
  HfRowPiece pieces[HF_PIECES_MAX];
} Row;

static gboolean row_begin(const guint8 *bytes, gsize length, gboolean whole, Row *row, GError **error)
{
  if (!begin(bytes, length, HF_FRAME_ROW, whole, &row->header, error))
    return FALSE;
  row->bytes = bytes;
  HfView clear = { bytes + HF_FRAME_PREFIX_BYTES, row->header.clear_length };
  return hf_row_decode(clear, &row->header, row->pieces, error);
}

static gboolean row_piece(HfOpener *opener, const HfKey *key, Row *row, guint number, const void *sealed, guint8 *out,
                          GError **error)
{
  gsize plain = hf_piece_length(row->header.plain_length, number), stored = row->pieces[number].stored_length;
  if (stored == 0) {
    memset(out, 0, plain);
    return TRUE;
  }
  guint8 extra[HF_FRAME_HEADER_BYTES + PIECE_CLEAR_BYTES];
  memcpy(extra, row->bytes, HF_FRAME_HEADER_BYTES);
  memcpy(extra + HF_FRAME_HEADER_BYTES, row->bytes + HF_FRAME_PREFIX_BYTES + number * PIECE_CLEAR_BYTES,
         PIECE_CLEAR_BYTES);
  row->header.nonce[HF_NONCE_BYTES - 1] = (guint8)number;
  HfAead *aead = aead_for(opener, key);
  if (stored == plain + HF_TAG_BYTES)
    return hf_aead_open(aead, row->header.nonce, extra, sizeof extra, sealed, stored, out, error);
  return hf_buffer_reserve(&opener->packed, HF_PIECE_BYTES, error) &&
         hf_aead_open(aead, row->header.nonce, extra, sizeof extra, sealed, stored, opener->packed.data, error) &&
         hf_decompress(opener->context, (HfCodec)row->header.codec, opener->packed.data, stored - HF_TAG_BYTES, out,
                       plain, error);
}

gboolean hf_open_row(HfOpener *opener, const HfKey *key, const void *stored, gsize length, HfBuffer *block,
                     GError **error)
{
  Row row;
  if (!row_begin(stored, length, TRUE, &row, error) || !hf_buffer_resize(block, row.header.plain_length, error))
    return FALSE;
  const guint8 *sealed = (const guint8 *)stored + HF_FRAME_PREFIX_BYTES + row.header.clear_length;
  for (guint i = 0; i < row.header.count; i++) {
    if (!row_piece(opener, key, &row, i, sealed, block->data + i * (gsize)HF_PIECE_BYTES, error))
      return FALSE;
    sealed += row.pieces[i].stored_length;
  }
  return TRUE;
}

gboolean hf_open_piece(HfOpener *opener, const HfKey *key, HfIdentity *identity, const void *prefix,
                       gsize prefix_length, guint number, const void *sealed, gsize sealed_length, void *out,
                       GError **error)
{
  Row row;
  if (!row_begin(prefix, prefix_length, FALSE, &row, error))
    return FALSE;
  if (number >= row.header.count || sealed_length != row.pieces[number].stored_length)
    return hf_fail(error, HF_ERROR_INVALID, "a row has no piece %u of %zu bytes", number, sealed_length);
  if (!row_piece(opener, key, &row, number, sealed, out, error))
    return FALSE;
  HfId leaf;
  hf_identity_leaf(identity, out, hf_piece_length(row.header.plain_length, number), &leaf);
  if (!hf_id_equal(&leaf, &row.pieces[number].leaf))
    return hf_fail(error, HF_ERROR_DAMAGED, "piece %u of a row is not what its leaf says", number);
  return TRUE;
}
