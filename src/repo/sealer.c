/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Sealing (format.md 4). How S1 is kept, in this order: lay out, compress, encrypt, take the digest; then decrypt what
 * the digest was taken of, decompress it, and compare with the caller's memory and with sums that are older than the
 * ids. A bit that flips anywhere in between makes one of these comparisons fail. What flips after the digest was taken
 * is found by the packer, which reads its packs back.
 */
#include "repo/sealer.h"

#include <string.h>

#include "base/error.h"
#include "repo/sealerhook.h"

#define PIECE_CLEAR_BYTES 36u
#define PIECE_EXTRA_BYTES (HF_FRAME_HEADER_BYTES + PIECE_CLEAR_BYTES)

#ifdef HF_TEST_HOOKS
void (*hf_sealer_hook)(HfSealStage stage, void *bytes, gsize length);
#endif

struct HfSealer {
  HfShortId session;
  HfAead *data, *meta;
  HfCodec codec;
  int level;
  HfCodecContext *context;
  HfXxh128 *digest;
  HfBuffer packed; /* compressed bytes, going in and coming back */
  HfBuffer plain;  /* what came back; before that the layout, when the caller has no headroom */
  GByteArray *table, *extra;
};

void hf_sealed_init(HfSealed *sealed)
{
  memset(sealed, 0, sizeof *sealed);
  sealed->clear = g_byte_array_new();
}

void hf_sealed_clear(HfSealed *sealed)
{
  g_clear_pointer(&sealed->clear, g_byte_array_unref);
  hf_buffer_clear(&sealed->body);
}

HfSealer *hf_sealer_new(const HfShortId *session, const HfKey *data_key, const HfKey *meta_key, HfCodec codec,
                        int level)
{
  HfSealer *sealer = g_new0(HfSealer, 1);
  sealer->session = *session;
  sealer->data = hf_aead_new(data_key);
  sealer->meta = hf_aead_new(meta_key);
  sealer->codec = codec;
  sealer->level = level;
  sealer->context = hf_codec_new();
  sealer->digest = hf_xxh128_new();
  sealer->table = g_byte_array_new();
  sealer->extra = g_byte_array_new();
  return sealer;
}

void hf_sealer_free(HfSealer *sealer)
{
  if (sealer == NULL)
    return;
  hf_aead_free(sealer->data);
  hf_aead_free(sealer->meta);
  hf_codec_free(sealer->context);
  hf_xxh128_free(sealer->digest);
  hf_buffer_clear(&sealer->packed);
  hf_buffer_clear(&sealer->plain);
  g_byte_array_unref(sealer->table);
  g_byte_array_unref(sealer->extra);
  g_free(sealer);
}

guint64 hf_seal_sum(HfBlobType type, const HfId *refs, guint ref_count, const void *payload, gsize length)
{
  guint64 sum = hf_xxh64(payload, length) + (guint64)type;
  return ref_count == 0 ? sum : sum * 3 + hf_xxh64(refs, ref_count * sizeof *refs);
}

/* ---- What groups and rows have in common. ---- */

static void begin_header(const HfSealer *sealer, HfFrameKind kind, guint count, gsize plain_length,
                         HfFrameHeader *header)
{
  *header = (HfFrameHeader){
    .kind = (guint8)kind, .count = (guint16)count, .session = sealer->session, .plain_length = (guint32)plain_length
  };
  hf_random(header->nonce, HF_NONCE_BYTES - 1);
}

/* Fills in the prefix, once all lengths are known. */
static gboolean encode_prefix(HfSealed *sealed, HfFrameHeader *header, gsize sealed_length, GError **error)
{
  gsize stored = HF_FRAME_PREFIX_BYTES + sealed->clear->len + sealed_length;
  if (stored > HF_FRAME_STORED_MAX)
    return hf_fail(error, HF_ERROR_FAILED, "cannot seal a frame of %zu bytes; at most %u are allowed", stored,
                   HF_FRAME_STORED_MAX);
  header->clear_length = sealed->clear->len;
  header->sealed_length = (guint32)sealed_length;
  hf_frame_encode(header, sealed->clear->data, sealed->prefix);
  HF_SEALER_HOOK(HF_SEAL_PREFIX, sealed->prefix, sizeof sealed->prefix);
  HF_SEALER_HOOK(HF_SEAL_CLEAR, sealed->clear->data, sealed->clear->len);
  sealed->kind = (HfFrameKind)header->kind;
  sealed->blobs = header->kind == HF_FRAME_ROW ? 1 : header->count;
  sealed->stored_length = (guint32)stored;
  return hf_buffer_resize(&sealed->body, sealed_length, error);
}

static void take_digest(HfSealer *sealer, HfSealed *sealed)
{
  HF_SEALER_HOOK(HF_SEAL_ENCRYPTED, sealed->body.data, sealed->body.length);
  hf_xxh128_update(sealer->digest, sealed->prefix, sizeof sealed->prefix);
  hf_xxh128_update(sealer->digest, sealed->clear->data, sealed->clear->len);
  hf_xxh128_update(sealer->digest, sealed->body.data, sealed->body.length);
  hf_xxh128_final(sealer->digest, sealed->digest);
  HF_SEALER_HOOK(HF_SEAL_DIGESTED, sealed->body.data, sealed->body.length);
}

/* Whether prefix and clear section are still what `header` and `clear` encode to. */
static gboolean front_equals(const HfSealed *sealed, HfFrameHeader header, const void *clear, gsize length)
{
  guint8 prefix[HF_FRAME_PREFIX_BYTES];
  header.nonce[HF_NONCE_BYTES - 1] = 0;
  hf_frame_encode(&header, clear, prefix);
  return length == sealed->clear->len && memcmp(prefix, sealed->prefix, sizeof prefix) == 0 &&
         (length == 0 || memcmp(clear, sealed->clear->data, length) == 0);
}

static gboolean not_proven(GError **error)
{
  return hf_fail(error, HF_ERROR_FAILED,
                 "a sealed frame does not open to what was put into it; the memory or the processor of this machine "
                 "may be faulty: test it, then run again");
}

/* ---- Groups. ---- */

/* Table and payloads side by side: before the payloads when there is room, else in our own buffer. */
static const guint8 *lay_out(HfSealer *sealer, const HfGroup *group)
{
  gsize table = sealer->table->len;
  guint8 *plain = sealer->plain.data;
  if (group->headroom >= table)
    plain = (guint8 *)group->payloads - table;
  else if (group->payload_bytes > 0)
    memcpy(plain + table, group->payloads, group->payload_bytes);
  memcpy(plain, sealer->table->data, table);
  HF_SEALER_HOOK(HF_SEAL_INPUT, plain, table + group->payload_bytes);
  return plain;
}

/* The additional data of a group: header and clear section. */
static const GByteArray *group_extra(HfSealer *sealer, const HfSealed *sealed)
{
  g_byte_array_set_size(sealer->extra, 0);
  hf_put_raw(sealer->extra, sealed->prefix, HF_FRAME_HEADER_BYTES);
  hf_put_raw(sealer->extra, sealed->clear->data, sealed->clear->len);
  return sealer->extra;
}

/* Compares what came back (in sealer->plain) with what the caller gave: by the sums where there are any, for they were
 * taken before the bytes lay in memory for long, so they also tell when the caller's own copy has changed since. */
static gboolean group_equals(HfSealer *sealer, const HfFrameHeader *header, const HfGroup *group,
                             const HfSealed *sealed)
{
  g_byte_array_set_size(sealer->extra, 0);
  hf_group_refs_encode(group->ref_counts, group->blobs, group->refs, sealer->extra);
  const guint8 *back = sealer->plain.data, *given = group->payloads;
  if (!front_equals(sealed, *header, sealer->extra->data, sealer->extra->len) ||
      memcmp(back, sealer->table->data, sealer->table->len) != 0)
    return FALSE;
  back += sealer->table->len;
  const HfId *refs = group->refs;
  for (guint i = 0; i < group->blobs; i++) {
    const HfGroupItem *item = &group->items[i];
    gboolean same = group->sums == NULL
                      ? item->length == 0 || memcmp(back, given, item->length) == 0
                      : hf_seal_sum((HfBlobType)item->type, refs, group->ref_counts[i], back, item->length) ==
                          group->sums[i];
    if (!same)
      return FALSE;
    back += item->length;
    /* Either may be missing: payloads where their sums are given, refs where there are none. */
    if (given != NULL)
      given += item->length;
    if (refs != NULL)
      refs += group->ref_counts[i];
  }
  return TRUE;
}

static gboolean prove_group(HfSealer *sealer, HfAead *aead, const HfFrameHeader *header, const HfGroup *group,
                            const HfSealed *sealed, GError **error)
{
  const GByteArray *extra = group_extra(sealer, sealed);
  gboolean packed = header->codec != HF_CODEC_NONE;
  guint8 *opened = packed ? sealer->packed.data : sealer->plain.data;
  gsize length = sealed->body.length - HF_TAG_BYTES;
  if (hf_aead_open(aead, header->nonce, extra->data, extra->len, sealed->body.data, sealed->body.length, opened,
                   NULL) &&
      (!packed || hf_decompress(sealer->context, (HfCodec)header->codec, opened, length, sealer->plain.data,
                                header->plain_length, NULL)) &&
      group_equals(sealer, header, group, sealed))
    return TRUE;
  return not_proven(error);
}

gboolean hf_seal_group(HfSealer *sealer, gboolean meta, const HfGroup *group, HfSealed *sealed, GError **error)
{
  g_byte_array_set_size(sealer->table, 0);
  hf_group_table_encode(group->items, group->blobs, sealer->table);
  gsize length = sealer->table->len + group->payload_bytes;
  if (length > HF_FRAME_STORED_MAX)
    return hf_fail(error, HF_ERROR_FAILED, "cannot seal a group of %zu bytes; at most %u are allowed", length,
                   HF_FRAME_STORED_MAX);
  if (!hf_buffer_reserve(&sealer->plain, length, error) || !hf_buffer_reserve(&sealer->packed, length, error))
    return FALSE;
  HfFrameHeader header;
  begin_header(sealer, HF_FRAME_GROUP, group->blobs, length, &header);
  const guint8 *in = lay_out(sealer, group);
  gssize packed =
    hf_compress(sealer->context, sealer->codec, sealer->level, in, length, sealer->packed.data, length - 1, error);
  if (packed < 0)
    return FALSE;
  if (packed > 0) {
    header.codec = (guint8)sealer->codec;
    in = sealer->packed.data;
    length = (gsize)packed;
    HF_SEALER_HOOK(HF_SEAL_COMPRESSED, sealer->packed.data, length);
  }
  g_byte_array_set_size(sealed->clear, 0);
  hf_group_refs_encode(group->ref_counts, group->blobs, group->refs, sealed->clear);
  if (!encode_prefix(sealed, &header, length + HF_TAG_BYTES, error))
    return FALSE;
  HfAead *aead = meta ? sealer->meta : sealer->data;
  const GByteArray *extra = group_extra(sealer, sealed);
  if (!hf_aead_seal(aead, header.nonce, extra->data, extra->len, in, length, sealed->body.data, error))
    return FALSE;
  take_digest(sealer, sealed);
  return prove_group(sealer, aead, &header, group, sealed, error);
}

/* ---- Rows. ---- */

static void piece_extra(const HfSealed *sealed, guint number, guint8 out[PIECE_EXTRA_BYTES])
{
  memcpy(out, sealed->prefix, HF_FRAME_HEADER_BYTES);
  memcpy(out + HF_FRAME_HEADER_BYTES, sealed->clear->data + number * PIECE_CLEAR_BYTES, PIECE_CLEAR_BYTES);
}

/* Compresses the pieces, one after the other, into sealer->packed; pieces that do not shrink stay where they are. */
static gboolean pack_pieces(HfSealer *sealer, const guint8 *block, gsize length, guint count, HfRowPiece *pieces,
                            gsize *sealed_length, GError **error)
{
  guint8 *out = sealer->packed.data;
  *sealed_length = 0;
  for (guint i = 0; i < count; i++, block += HF_PIECE_BYTES) {
    gsize plain = hf_piece_length((guint32)length, i);
    pieces[i].stored_length = 0;
    if (hf_bytes_all_zero(block, plain))
      continue;
    gssize packed = hf_compress(sealer->context, sealer->codec, sealer->level, block, plain, out, plain - 1, error);
    if (packed < 0)
      return FALSE;
    HF_SEALER_HOOK(HF_SEAL_COMPRESSED, out, (gsize)packed);
    out += packed;
    pieces[i].stored_length = (guint32)(packed > 0 ? (gsize)packed : plain) + HF_TAG_BYTES;
    *sealed_length += pieces[i].stored_length;
  }
  return TRUE;
}

static gboolean seal_pieces(HfSealer *sealer, const guint8 *block, const HfRowPiece *pieces, HfFrameHeader *header,
                            HfSealed *sealed, GError **error)
{
  const guint8 *packed = sealer->packed.data;
  guint8 *out = sealed->body.data;
  for (guint i = 0; i < header->count; i++, block += HF_PIECE_BYTES) {
    if (pieces[i].stored_length == 0)
      continue;
    gsize length = pieces[i].stored_length - HF_TAG_BYTES;
    const guint8 *in = block;
    if (length < hf_piece_length(header->plain_length, i)) {
      in = packed;
      packed += length;
    }
    guint8 extra[PIECE_EXTRA_BYTES];
    piece_extra(sealed, i, extra);
    header->nonce[HF_NONCE_BYTES - 1] = (guint8)i;
    if (!hf_aead_seal(sealer->data, header->nonce, extra, sizeof extra, in, length, out, error))
      return FALSE;
    out += pieces[i].stored_length;
  }
  return TRUE;
}

/* What piece `number` opens to, in sealer->plain; FALSE when it does not open. */
static gboolean reopen_piece(HfSealer *sealer, HfFrameHeader *header, const HfSealed *sealed, guint number,
                             const guint8 *stored, gsize stored_length)
{
  gsize plain = hf_piece_length(header->plain_length, number), length = stored_length - HF_TAG_BYTES;
  guint8 extra[PIECE_EXTRA_BYTES];
  piece_extra(sealed, number, extra);
  header->nonce[HF_NONCE_BYTES - 1] = (guint8)number;
  guint8 *opened = length < plain ? sealer->packed.data : sealer->plain.data;
  return hf_aead_open(sealer->data, header->nonce, extra, sizeof extra, stored, stored_length, opened, NULL) &&
         (length == plain ||
          hf_decompress(sealer->context, (HfCodec)header->codec, opened, length, sealer->plain.data, plain, NULL));
}

static gboolean prove_row(HfSealer *sealer, const guint8 *block, const HfRowPiece *pieces, const guint64 *sums,
                          HfFrameHeader *header, const HfSealed *sealed, GError **error)
{
  guint8 clear[HF_PIECES_MAX * PIECE_CLEAR_BYTES];
  hf_row_encode(pieces, header->count, clear);
  if (!front_equals(sealed, *header, clear, header->count * PIECE_CLEAR_BYTES))
    return not_proven(error);
  const guint8 *stored = sealed->body.data;
  for (guint i = 0; i < header->count; i++, block += HF_PIECE_BYTES) {
    gsize plain = hf_piece_length(header->plain_length, i);
    const guint8 *back = sealer->plain.data;
    if (pieces[i].stored_length == 0)
      back = block;
    else if (!reopen_piece(sealer, header, sealed, i, stored, pieces[i].stored_length))
      return not_proven(error);
    if (sums == NULL ? memcmp(back, block, plain) != 0 : hf_xxh64(back, plain) != sums[i])
      return not_proven(error);
    stored += pieces[i].stored_length;
  }
  return TRUE;
}

gboolean hf_seal_row(HfSealer *sealer, const void *block, gsize length, const HfId *leaves, const guint64 *sums,
                     guint pieces, HfSealed *sealed, GError **error)
{
  HfRowPiece table[HF_PIECES_MAX];
  HfFrameHeader header;
  gsize sealed_length;
  if (length == 0 || pieces > HF_PIECES_MAX || (length + HF_PIECE_BYTES - 1) / HF_PIECE_BYTES != pieces)
    return hf_fail(error, HF_ERROR_FAILED, "cannot seal a block of %zu bytes in %u pieces", length, pieces);
  if (!hf_buffer_reserve(&sealer->packed, MAX(length, HF_PIECE_BYTES), error) ||
      !hf_buffer_reserve(&sealer->plain, HF_PIECE_BYTES, error))
    return FALSE;
  HF_SEALER_HOOK(HF_SEAL_INPUT, (void *)block, length);
  begin_header(sealer, HF_FRAME_ROW, pieces, length, &header);
  header.codec = (guint8)sealer->codec;
  if (!pack_pieces(sealer, block, length, pieces, table, &sealed_length, error))
    return FALSE;
  for (guint i = 0; i < pieces; i++)
    table[i].leaf = leaves[i];
  g_byte_array_set_size(sealed->clear, pieces * PIECE_CLEAR_BYTES);
  hf_row_encode(table, pieces, sealed->clear->data);
  if (!encode_prefix(sealed, &header, sealed_length, error) ||
      !seal_pieces(sealer, block, table, &header, sealed, error))
    return FALSE;
  take_digest(sealer, sealed);
  return prove_row(sealer, block, table, sums, &header, sealed, error);
}
