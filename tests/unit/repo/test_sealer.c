/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/sealer.h"

#include "frametest.h"
#include "repo/sealerhook.h"

/* ---- Groups that know what they hold. ---- */

typedef struct Sample {
  guint8 *memory; /* headroom, then payloads */
  GArray *items, *ref_counts, *refs, *sums;
  HfGroup group;
} Sample;

#define SAMPLE_HEADROOM (16u << 10)

static void sample_clear(Sample *sample)
{
  g_free(sample->memory);
  g_array_unref(sample->items);
  g_array_unref(sample->ref_counts);
  g_array_unref(sample->refs);
  g_array_unref(sample->sums);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Sample, sample_clear)

/* `blobs` blobs of up to `largest` bytes; of meta blobs, every second one has refs. */
static void sample_init(Sample *sample, guint blobs, gsize largest, gboolean meta, gboolean noise, guint64 seed)
{
  guint64 state = seed;
  *sample = (Sample){ .items = g_array_new(FALSE, TRUE, sizeof(HfGroupItem)),
                      .ref_counts = g_array_new(FALSE, TRUE, sizeof(guint32)),
                      .refs = g_array_new(FALSE, TRUE, sizeof(HfId)),
                      .sums = g_array_new(FALSE, TRUE, sizeof(guint64)) };
  gsize total = 0;
  for (guint i = 0; i < blobs; i++) {
    HfGroupItem item = { meta ? HF_BLOB_PAGE : HF_BLOB_DATA,
                         (guint32)(blobs == 1 ? largest : random_below(&state, largest + 1)) };
    guint32 refs = meta && i % 2 == 0 ? (guint32)random_below(&state, 5) : 0;
    g_array_append_val(sample->items, item);
    g_array_append_val(sample->ref_counts, refs);
    g_array_set_size(sample->refs, sample->refs->len + refs);
    total += item.length;
  }
  fill_noise((guint8 *)(void *)sample->refs->data, sample->refs->len * sizeof(HfId), seed + 1);
  sample->memory = g_malloc(SAMPLE_HEADROOM + total + 1);
  (noise ? fill_noise : fill_text)(sample->memory + SAMPLE_HEADROOM, total, seed + 2);
  HfGroup *group = &sample->group;
  *group = (HfGroup){ .items = (HfGroupItem *)(void *)sample->items->data,
                      .ref_counts = (guint32 *)(void *)sample->ref_counts->data,
                      .blobs = blobs,
                      .refs = (HfId *)(void *)sample->refs->data,
                      .payloads = sample->memory + SAMPLE_HEADROOM,
                      .payload_bytes = total };
  const guint8 *payload = group->payloads;
  const HfId *refs = group->refs;
  for (guint i = 0; i < blobs; i++) {
    guint64 sum =
      hf_seal_sum((HfBlobType)group->items[i].type, refs, group->ref_counts[i], payload, group->items[i].length);
    g_array_append_val(sample->sums, sum);
    payload += group->items[i].length;
    refs += group->ref_counts[i];
  }
  group->sums = (guint64 *)(void *)sample->sums->data;
}

static GByteArray *stored_of(const HfSealed *sealed)
{
  GByteArray *stored = g_byte_array_new();
  hf_put_raw(stored, sealed->prefix, sizeof sealed->prefix);
  hf_put_raw(stored, sealed->clear->data, sealed->clear->len);
  hf_put_raw(stored, sealed->body.data, sealed->body.length);
  return stored;
}

static HfSealer *new_sealer(HfCodec codec)
{
  HfKey data_key = key_of(1), meta_key = key_of(2);
  HfShortId session = short_id_of(3);
  return hf_sealer_new(&session, &data_key, &meta_key, codec, 3);
}

static void assert_opened(const HfOpened *opened, const HfGroup *group)
{
  gsize offset = 0;
  guint32 ref = 0;
  g_assert_cmpuint(opened->blobs, ==, group->blobs);
  for (guint i = 0; i < group->blobs; i++) {
    const HfGroupItem *item = &g_array_index(opened->items, HfGroupItem, i);
    g_assert_cmpuint(item->type, ==, group->items[i].type);
    assert_bytes(opened->plain.data + g_array_index(opened->offsets, gsize, i), item->length, group->payloads + offset,
                 group->items[i].length);
    g_assert_cmpuint(g_array_index(opened->ref_counts, guint32, i), ==, group->ref_counts[i]);
    g_assert_cmpuint(g_array_index(opened->ref_starts, guint32, i), ==, ref);
    offset += item->length;
    ref += group->ref_counts[i];
  }
  g_assert_cmpuint(opened->refs->len, ==, ref);
  if (ref > 0)
    g_assert_cmpint(memcmp(opened->refs->data, group->refs, ref * sizeof(HfId)), ==, 0);
}

/* ---- Round trips. ---- */

static void check_group(HfCodec codec, gboolean meta, Sample *sample, gboolean headroom, gboolean sums)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(HfSealer) sealer = new_sealer(codec);
  g_autoptr(HfOpener) opener = hf_opener_new();
  HfSealed sealed;
  HfOpened opened;
  hf_sealed_init(&sealed);
  hf_opened_init(&opened);
  sample->group.headroom = headroom ? SAMPLE_HEADROOM : 0;
  const guint64 *kept = sample->group.sums;
  if (!sums)
    sample->group.sums = NULL;
  g_assert_true(hf_seal_group(sealer, meta, &sample->group, &sealed, &error));
  g_assert_no_error(error);
  sample->group.sums = kept;
  g_autoptr(GByteArray) stored = stored_of(&sealed);
  g_assert_cmpuint(stored->len, ==, sealed.stored_length);
  g_assert_cmpuint(sealed.blobs, ==, sample->group.blobs);
  g_assert_cmpuint(sealed.kind, ==, HF_FRAME_GROUP);
  guint8 digest[16];
  hf_xxh128(stored->data, stored->len, digest);
  assert_bytes(digest, sizeof digest, sealed.digest, sizeof digest);
  HfKey key = key_of(meta ? 2 : 1);
  g_assert_true(hf_open_group(opener, &key, stored->data, stored->len, &opened, &error));
  g_assert_no_error(error);
  assert_opened(&opened, &sample->group);
  hf_sealed_clear(&sealed);
  hf_opened_clear(&opened);
}

static void test_groups(void)
{
  static const struct {
    guint blobs;
    gsize largest;
    gboolean noise;
  } shapes[] = { { 1, 0, FALSE },    { 1, 1, FALSE },      { 1, 1 << 20, FALSE },       { 1, 1 << 20, TRUE },
                 { 2, 5, FALSE },    { 1000, 900, FALSE }, { 1000, 900, TRUE },         { 9000, 40, FALSE },
                 { 65535, 3, TRUE }, { 3, 0, FALSE },      { 1, HF_PAYLOAD_MAX, FALSE } };
  for (guint i = 0; i < G_N_ELEMENTS(shapes); i++)
    for (int meta = 0; meta < 2; meta++) {
      g_auto(Sample) sample;
      sample_init(&sample, shapes[i].blobs, shapes[i].largest, meta, shapes[i].noise, i * 7 + 1);
      for (HfCodec codec = HF_CODEC_NONE; codec <= HF_CODEC_ZSTD; codec++)
        check_group(codec, meta, &sample, codec != HF_CODEC_LZ4, codec != HF_CODEC_NONE);
    }
}

/* What lies on disk, taken apart by hand. */
static void test_layout(void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(HfSealer) sealer = new_sealer(HF_CODEC_ZSTD);
  g_auto(Sample) sample;
  HfSealed sealed;
  hf_sealed_init(&sealed);
  sample_init(&sample, 1, 10, FALSE, TRUE, 5);
  g_assert_true(hf_seal_group(sealer, FALSE, &sample.group, &sealed, &error));
  const guint8 *prefix = sealed.prefix;
  assert_bytes(prefix, 4, "HFf1", 4);
  g_assert_cmpuint(prefix[4], ==, 1);
  g_assert_cmpuint(prefix[5], ==, HF_CODEC_NONE); /* ten random bytes do not shrink */
  g_assert_cmpuint(hf_load_u16(prefix + 6), ==, 1);
  g_assert_cmpuint(prefix[8], ==, 3);
  g_assert_cmpuint(prefix[35], ==, 0); /* last byte of the nonce */
  g_assert_cmpuint(hf_load_u32(prefix + 36), ==, 12);
  g_assert_cmpuint(hf_load_u32(prefix + 40), ==, 0);
  g_assert_cmpuint(hf_load_u32(prefix + 44), ==, 28);
  guint8 opened[12];
  HfKey key = key_of(1);
  g_autoptr(HfAead) aead = hf_aead_new(&key);
  g_assert_true(hf_aead_open(aead, prefix + 24, prefix, 48, sealed.body.data, 28, opened, &error));
  g_assert_cmpuint(opened[0], ==, HF_BLOB_DATA);
  g_assert_cmpuint(opened[1], ==, 10);
  g_assert_cmpint(memcmp(opened + 2, sample.group.payloads, 10), ==, 0);
  guint8 nonce[12];
  memcpy(nonce, prefix + 24, sizeof nonce);
  g_assert_true(hf_seal_group(sealer, FALSE, &sample.group, &sealed, &error));
  g_assert_cmpint(memcmp(nonce, sealed.prefix + 24, sizeof nonce), !=, 0);
  hf_sealed_clear(&sealed);
}

static void test_too_large(void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(HfSealer) sealer = new_sealer(HF_CODEC_NONE);
  HfSealed sealed;
  hf_sealed_init(&sealed);
  gsize length = HF_FRAME_STORED_MAX;
  g_autofree guint8 *payload = g_malloc0(length);
  g_autofree HfId *many = g_new0(HfId, 520000);
  HfGroupItem item = { HF_BLOB_DATA, (guint32)length }, small[8] = { 0 };
  guint32 none = 0, refs[8];
  HfGroup group = { .items = &item, .ref_counts = &none, .blobs = 1, .payloads = payload, .payload_bytes = length };
  g_assert_false(hf_seal_group(sealer, FALSE, &group, &sealed, &error));
  assert_failed(&error, HF_ERROR_FAILED, 0);
  for (guint i = 0; i < 8; i++) {
    small[i].type = HF_BLOB_MAP;
    refs[i] = 65000;
  }
  small[0].length = 1 << 20;
  group = (HfGroup){
    .items = small, .ref_counts = refs, .blobs = 8, .refs = many, .payloads = payload, .payload_bytes = 1 << 20
  };
  g_assert_false(hf_seal_group(sealer, TRUE, &group, &sealed, &error));
  assert_failed(&error, HF_ERROR_FAILED, 0);
  g_autoptr(HfSealer) wrong = new_sealer((HfCodec)77);
  group = (HfGroup){ .items = small, .ref_counts = &none, .blobs = 1, .payloads = payload, .payload_bytes = 1 << 20 };
  g_assert_false(hf_seal_group(wrong, TRUE, &group, &sealed, &error));
  assert_failed(&error, HF_ERROR_INVALID, 0);
  HfId leaf = { { 0 } };
  payload[0] = 1;
  g_assert_false(hf_seal_row(wrong, payload, 100, &leaf, NULL, 1, &sealed, &error));
  assert_failed(&error, HF_ERROR_INVALID, 0);
  hf_sealed_clear(&sealed);
}

/* ---- Rows. ---- */

typedef struct Row {
  guint8 *block;
  gsize length;
  HfId leaves[HF_PIECES_MAX], id;
  guint64 sums[HF_PIECES_MAX];
  guint pieces;
} Row;

static void row_clear(Row *row)
{
  g_free(row->block);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Row, row_clear)

static HfIdentity *new_identity(guint8 byte)
{
  HfKey key = key_of(byte);
  return hf_identity_new(&key);
}

/* Pieces in turn: text, noise, zeros; `only` (0 to 2) makes all of one kind. */
static void row_init(Row *row, gsize length, int only)
{
  g_autoptr(HfIdentity) identity = new_identity(9);
  row->block = g_malloc0(length);
  row->length = length;
  for (gsize at = 0, i = 0; at < length; at += HF_PIECE_BYTES, i++) {
    int kind = only >= 0 ? only : (int)(i % 3);
    if (kind < 2)
      (kind == 0 ? fill_text : fill_noise)(row->block + at, MIN(length - at, HF_PIECE_BYTES), at + 5);
  }
  row->pieces = hf_identity_whole_block(identity, row->block, length, row->leaves, &row->id);
  for (guint i = 0; i < row->pieces; i++)
    row->sums[i] = hf_xxh64(row->block + i * (gsize)HF_PIECE_BYTES, hf_piece_length((guint32)length, i));
}

static void check_row(HfCodec codec, gsize length, int only)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(HfSealer) sealer = new_sealer(codec);
  g_autoptr(HfOpener) opener = hf_opener_new();
  g_autoptr(HfIdentity) identity = new_identity(9);
  g_auto(HfBuffer) block = HF_BUFFER_INIT;
  g_autofree guint8 *piece = g_malloc(HF_PIECE_BYTES);
  g_auto(Row) row;
  HfSealed sealed;
  HfKey key = key_of(1);
  hf_sealed_init(&sealed);
  row_init(&row, length, only);
  g_assert_true(
    hf_seal_row(sealer, row.block, length, row.leaves, only == 1 ? NULL : row.sums, row.pieces, &sealed, &error));
  g_assert_no_error(error);
  g_autoptr(GByteArray) stored = stored_of(&sealed);
  g_assert_cmpuint(stored->len, ==, sealed.stored_length);
  g_assert_cmpuint(sealed.blobs, ==, 1);
  g_assert_cmpuint(sealed.kind, ==, HF_FRAME_ROW);
  if (only == 2)
    g_assert_cmpuint(sealed.body.length, ==, 0);
  g_assert_true(hf_open_row(opener, &key, stored->data, stored->len, &block, &error));
  assert_bytes(block.data, block.length, row.block, length);
  gsize prefix = HF_FRAME_PREFIX_BYTES + 36 * row.pieces, at = prefix;
  for (guint i = 0; i < row.pieces; i++) {
    gsize stored_length = hf_load_u32(stored->data + HF_FRAME_PREFIX_BYTES + 36 * i);
    g_assert_true(
      hf_open_piece(opener, &key, identity, stored->data, prefix, i, stored->data + at, stored_length, piece, &error));
    g_assert_no_error(error);
    gsize plain = hf_piece_length((guint32)length, i);
    assert_bytes(piece, plain, row.block + i * (gsize)HF_PIECE_BYTES, plain);
    at += stored_length;
  }
  g_assert_cmpuint(at, ==, stored->len);
  hf_sealed_clear(&sealed);
}

static void test_rows(void)
{
  static const gsize lengths[] = {
    1, 17, 512, HF_PIECE_BYTES - 1, HF_PIECE_BYTES, HF_PIECE_BYTES + 1, 1 << 20, 4 << 20
  };
  for (guint i = 0; i < G_N_ELEMENTS(lengths); i++)
    for (HfCodec codec = HF_CODEC_NONE; codec <= HF_CODEC_ZSTD; codec++)
      for (int only = -1; only < 3; only++)
        check_row(codec, lengths[i], only);
}

static void test_row_arguments(void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(HfSealer) sealer = new_sealer(HF_CODEC_ZSTD);
  HfSealed sealed;
  g_auto(Row) row;
  row_init(&row, 4 << 20, 0);
  hf_sealed_init(&sealed);
  g_assert_false(hf_seal_row(sealer, row.block, 0, row.leaves, NULL, 0, &sealed, &error));
  assert_failed(&error, HF_ERROR_FAILED, 0);
  g_assert_false(hf_seal_row(sealer, row.block, 1 << 20, row.leaves, NULL, 7, &sealed, &error));
  assert_failed(&error, HF_ERROR_FAILED, 0);
  g_assert_false(hf_seal_row(sealer, row.block, (4 << 20) + 1, row.leaves, NULL, 33, &sealed, &error));
  assert_failed(&error, HF_ERROR_FAILED, 0);
  hf_sealed_clear(&sealed);
}

/* Asks for pieces in wrong ways: number, length, bytes of another piece, another domain. */
static void test_wrong_pieces(void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(HfSealer) sealer = new_sealer(HF_CODEC_NONE);
  g_autoptr(HfOpener) opener = hf_opener_new();
  g_autoptr(HfIdentity) identity = new_identity(9), stranger = new_identity(10);
  g_autofree guint8 *piece = g_malloc(HF_PIECE_BYTES);
  g_auto(Row) row;
  HfSealed sealed;
  HfKey key = key_of(1), other_key = key_of(2);
  hf_sealed_init(&sealed);
  row_init(&row, 2 * HF_PIECE_BYTES, 1);
  g_assert_true(hf_seal_row(sealer, row.block, row.length, row.leaves, row.sums, row.pieces, &sealed, &error));
  g_autoptr(GByteArray) stored = stored_of(&sealed);
  gsize prefix = HF_FRAME_PREFIX_BYTES + 72, length = HF_PIECE_BYTES + HF_TAG_BYTES;
  const guint8 *bytes = stored->data, *first = bytes + prefix, *second = first + length;
  g_assert_true(hf_open_piece(opener, &key, identity, bytes, prefix, 1, second, length, piece, &error));
  g_assert_false(hf_open_piece(opener, &key, identity, bytes, prefix, 2, second, length, piece, &error));
  ASSERT_DAMAGED(&error);
  g_assert_false(hf_open_piece(opener, &key, identity, bytes, prefix, 1, second, length - 1, piece, &error));
  ASSERT_DAMAGED(&error);
  g_assert_false(hf_open_piece(opener, &key, identity, bytes, prefix, 0, second, length, piece, &error));
  ASSERT_DAMAGED(&error);
  g_assert_false(hf_open_piece(opener, &key, identity, bytes, prefix, 1, first, length, piece, &error));
  ASSERT_DAMAGED(&error);
  g_assert_false(hf_open_piece(opener, &key, identity, bytes, prefix - 1, 0, first, length, piece, &error));
  ASSERT_DAMAGED(&error);
  g_assert_false(hf_open_piece(opener, &other_key, identity, bytes, prefix, 0, first, length, piece, &error));
  ASSERT_DAMAGED(&error);
  g_assert_false(hf_open_piece(opener, &key, stranger, bytes, prefix, 0, first, length, piece, &error));
  ASSERT_DAMAGED(&error);
  hf_sealed_clear(&sealed);
}

/* ---- Refusals. ---- */

/* Every bit of a stored frame, and every length. */
static void check_bits(const GByteArray *stored, gboolean row, const HfKey *key)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(HfOpener) opener = hf_opener_new();
  g_auto(HfBuffer) block = HF_BUFFER_INIT;
  HfOpened opened;
  hf_opened_init(&opened);
  g_autofree guint8 *bytes = g_memdup2(stored->data, stored->len);
  for (gsize bit = 0; bit < stored->len * (gsize)8; bit++) {
    bytes[bit / 8] ^= (guint8)(1 << bit % 8);
    gboolean good = row ? hf_open_row(opener, key, bytes, stored->len, &block, &error)
                        : hf_open_group(opener, key, bytes, stored->len, &opened, &error);
    g_assert_false(good);
    ASSERT_DAMAGED(&error);
    bytes[bit / 8] ^= (guint8)(1 << bit % 8);
  }
  for (gsize length = 0; length < stored->len; length++) {
    g_autofree guint8 *part = g_memdup2(bytes, MAX(length, 1));
    g_assert_false(row ? hf_open_row(opener, key, part, length, &block, &error)
                       : hf_open_group(opener, key, part, length, &opened, &error));
    ASSERT_DAMAGED(&error);
  }
  hf_opened_clear(&opened);
}

static void test_every_bit(void)
{
  g_autoptr(GError) error = NULL;
  HfSealed sealed;
  hf_sealed_init(&sealed);
  for (HfCodec codec = HF_CODEC_NONE; codec <= HF_CODEC_ZSTD; codec++)
    for (int meta = 0; meta < 2; meta++) {
      g_autoptr(HfSealer) sealer = new_sealer(codec);
      HfKey key = key_of(meta ? 2 : 1);
      g_auto(Sample) sample;
      sample_init(&sample, 5, 100, meta, FALSE, 40);
      g_assert_true(hf_seal_group(sealer, meta, &sample.group, &sealed, &error));
      g_autoptr(GByteArray) group = stored_of(&sealed);
      check_bits(group, FALSE, &key);
      g_auto(Row) row;
      row_init(&row, meta ? 300 : 1, meta ? 0 : 1);
      g_assert_true(hf_seal_row(sealer, row.block, row.length, row.leaves, row.sums, row.pieces, &sealed, &error));
      g_autoptr(GByteArray) stored = stored_of(&sealed);
      key = key_of(1);
      check_bits(stored, TRUE, &key);
    }
  hf_sealed_clear(&sealed);
}

/* Changes `stored` as someone would who can compute the check, but has no key. */
static void forge_check(GByteArray *stored)
{
  g_autoptr(GByteArray) summed = g_byte_array_new();
  gsize clear = hf_load_u32(stored->data + 40);
  hf_put_raw(summed, stored->data, HF_FRAME_HEADER_BYTES);
  hf_put_raw(summed, stored->data + HF_FRAME_PREFIX_BYTES, clear);
  hf_store_be64(stored->data + HF_FRAME_HEADER_BYTES, hf_xxh64(summed->data, summed->len));
}

static void assert_group_refused(const HfKey *key, const GByteArray *stored)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(HfOpener) opener = hf_opener_new();
  HfOpened opened;
  hf_opened_init(&opened);
  g_assert_false(hf_open_group(opener, key, stored->data, stored->len, &opened, &error));
  g_assert_cmpuint(opened.blobs, ==, 0);
  ASSERT_DAMAGED(&error);
  hf_opened_clear(&opened);
}

static void test_forged(void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(HfSealer) sealer = new_sealer(HF_CODEC_NONE);
  g_autoptr(HfOpener) opener = hf_opener_new();
  g_auto(HfBuffer) block = HF_BUFFER_INIT;
  g_auto(Sample) sample;
  HfSealed sealed;
  HfKey key = key_of(2), wrong = key_of(77);
  hf_sealed_init(&sealed);
  sample_init(&sample, 4, 100, TRUE, FALSE, 41);
  g_assert_cmpuint(sample.refs->len, >, 0);
  g_assert_true(hf_seal_group(sealer, TRUE, &sample.group, &sealed, &error));
  for (guint place = 0; place < 6; place++) {
    static const guint bytes[] = {
      8, 24, HF_FRAME_PREFIX_BYTES + 20, HF_FRAME_PREFIX_BYTES + 40, HF_FRAME_HEADER_BYTES - 1, 5
    };
    g_autoptr(GByteArray) stored = stored_of(&sealed);
    stored->data[bytes[place]] ^= 1; /* session, nonce, refs, refs, a length, the codec */
    forge_check(stored);
    assert_group_refused(&key, stored);
  }
  g_autoptr(GByteArray) stored = stored_of(&sealed);
  assert_group_refused(&wrong, stored);
  g_assert_false(hf_open_row(opener, &key, stored->data, stored->len, &block, &error));
  ASSERT_DAMAGED(&error);
  g_byte_array_set_size(stored, stored->len + 1);
  assert_group_refused(&key, stored);
  hf_sealed_clear(&sealed);
}

/* Frames by who has the key, but not our encoder: the tag is right, the content is not. */
static void check_crafted(HfCodec codec, guint count, gsize plain_length, const guint8 *body, gsize length)
{
  HfFrameHeader header = { .kind = HF_FRAME_GROUP,
                           .codec = (guint8)codec,
                           .count = (guint16)count,
                           .session = short_id_of(3),
                           .plain_length = (guint32)plain_length,
                           .sealed_length = (guint32)(length + HF_TAG_BYTES) };
  HfKey key = key_of(1);
  g_autoptr(HfAead) aead = hf_aead_new(&key);
  g_autoptr(GByteArray) stored = g_byte_array_new();
  g_byte_array_set_size(stored, (guint)hf_frame_stored(&header));
  hf_frame_encode(&header, NULL, stored->data);
  g_assert_true(hf_aead_seal(aead, header.nonce, stored->data, HF_FRAME_HEADER_BYTES, body, length,
                             stored->data + HF_FRAME_PREFIX_BYTES, NULL));
  assert_group_refused(&key, stored);
}

static void test_crafted(void)
{
  static const guint8 good[] = { 1, 2, 'a', 'b' };
  guint8 bad[sizeof good];
  check_crafted(HF_CODEC_NONE, 2, sizeof good, good, sizeof good);
  for (guint i = 0; i < 2; i++) {
    memcpy(bad, good, sizeof good);
    bad[i] = 9;
    check_crafted(HF_CODEC_NONE, 1, sizeof bad, bad, sizeof bad);
  }
  check_crafted(HF_CODEC_ZSTD, 1, 1000, good, sizeof good);
  check_crafted(HF_CODEC_LZ4, 1, 1000, good, sizeof good);
}

/* ---- S1: faulty memory, faulty codecs. ---- */

#ifdef HF_TEST_HOOKS
static struct {
  HfSealStage stage;
  guint wait; /* calls at this stage to let pass */
  guint64 random;
  const guint8 *instead; /* NULL: flip a bit */
  gsize length;
  guint struck;
} plan;

static void spoil(HfSealStage stage, void *bytes, gsize length)
{
  if (stage != plan.stage || length == 0 || plan.struck > 0 || plan.wait-- > 0)
    return;
  if (plan.instead != NULL) {
    g_assert_cmpuint(plan.length, ==, length);
    memcpy(bytes, plan.instead, length);
  } else {
    gsize bit = random_below(&plan.random, length * 8);
    ((guint8 *)bytes)[bit / 8] ^= (guint8)(1 << bit % 8);
  }
  plan.struck++;
}

static void plan_flip(HfSealStage stage, guint wait, guint64 seed)
{
  memset(&plan, 0, sizeof plan);
  plan.stage = stage;
  plan.wait = wait;
  plan.random = seed;
  hf_sealer_hook = spoil;
}

/* Some bits of compressed bytes mean nothing: what was not refused must be right. */
static void assert_harmless(const HfSealed *sealed, gboolean meta, const HfGroup *group)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(HfOpener) opener = hf_opener_new();
  HfOpened opened;
  HfKey key = key_of(meta ? 2 : 1);
  hf_opened_init(&opened);
  g_autoptr(GByteArray) stored = stored_of(sealed);
  g_assert_true(plan.stage == HF_SEAL_COMPRESSED);
  g_assert_true(hf_open_group(opener, &key, stored->data, stored->len, &opened, &error));
  assert_opened(&opened, group);
  hf_opened_clear(&opened);
}

static void test_flips_in_groups(void)
{
  g_autoptr(GError) error = NULL;
  guint flips = 0, caught = 0, harmless = 0;
  HfSealed sealed;
  hf_sealed_init(&sealed);
  for (HfCodec codec = HF_CODEC_NONE; codec <= HF_CODEC_ZSTD; codec++) {
    g_autoptr(HfSealer) sealer = new_sealer(codec);
    for (guint i = 0; i < 600; i++) {
      g_auto(Sample) sample;
      sample_init(&sample, 1 + i % 7, 400, i % 2, i % 3 == 0, i);
      sample.group.headroom = i % 4 < 2 ? SAMPLE_HEADROOM : 0;
      plan_flip((HfSealStage)(i % HF_SEAL_STAGES), 0, i + 1000);
      gboolean done = hf_seal_group(sealer, i % 2, &sample.group, &sealed, &error);
      hf_sealer_hook = NULL;
      flips += plan.struck;
      if (plan.struck == 0) {
        g_assert_true(done); /* nothing was compressed, or there are no refs */
        continue;
      }
      if (done) {
        assert_harmless(&sealed, i % 2, &sample.group);
        harmless++;
        continue;
      }
      caught++;
      assert_failed(&error, HF_ERROR_FAILED, 0);
    }
  }
  g_test_message("%u bits flipped while groups were sealed, %u caught, %u without effect", flips, caught, harmless);
  g_assert_cmpuint(flips, >, 1000);
  g_assert_cmpuint(flips, ==, caught + harmless);
  g_assert_cmpuint(harmless, <, 20);
  hf_sealed_clear(&sealed);
}

static void test_flips_in_rows(void)
{
  g_autoptr(GError) error = NULL;
  guint flips = 0, caught = 0, harmless = 0;
  g_autoptr(HfOpener) opener = hf_opener_new();
  g_auto(HfBuffer) block = HF_BUFFER_INIT;
  HfKey key = key_of(1);
  HfSealed sealed;
  hf_sealed_init(&sealed);
  for (HfCodec codec = HF_CODEC_NONE; codec <= HF_CODEC_ZSTD; codec++) {
    g_autoptr(HfSealer) sealer = new_sealer(codec);
    for (guint i = 0; i < 400; i++) {
      g_auto(Row) row;
      row_init(&row, i % 8 == 0 ? 3 * HF_PIECE_BYTES : 200 + i, i % 8 == 0 ? -1 : (int)(i % 3));
      plan_flip((HfSealStage)(i % HF_SEAL_STAGES), i % 8 == 0 ? (i / 8) % 2 : 0, i + 5000);
      gboolean done = hf_seal_row(sealer, row.block, row.length, row.leaves, row.sums, row.pieces, &sealed, &error);
      hf_sealer_hook = NULL;
      flips += plan.struck;
      if (plan.struck == 0) {
        g_assert_true(done);
        continue;
      }
      if (done) {
        g_autoptr(GByteArray) stored = stored_of(&sealed);
        g_assert_true(plan.stage == HF_SEAL_COMPRESSED);
        g_assert_true(hf_open_row(opener, &key, stored->data, stored->len, &block, &error));
        assert_bytes(block.data, block.length, row.block, row.length);
        harmless++;
        continue;
      }
      caught++;
      assert_failed(&error, HF_ERROR_FAILED, 0);
    }
  }
  g_test_message("%u bits flipped while rows were sealed, %u caught, %u without effect", flips, caught, harmless);
  g_assert_cmpuint(flips, >, 600);
  g_assert_cmpuint(flips, ==, caught + harmless);
  g_assert_cmpuint(harmless, <, 20);
  hf_sealed_clear(&sealed);
}

/* A codec whose output is in order, but holds other bytes. */
static void test_lying_codec(void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(HfCodecContext) context = hf_codec_new();
  HfSealed sealed;
  hf_sealed_init(&sealed);
  for (HfCodec codec = HF_CODEC_LZ4; codec <= HF_CODEC_ZSTD; codec++) {
    g_autoptr(HfSealer) sealer = new_sealer(codec);
    g_auto(Sample) sample;
    sample_init(&sample, 1, 5000, FALSE, FALSE, 3);
    guint8 plain[5003], packed[2][5003];
    plain[0] = HF_BLOB_DATA;
    plain[1] = 0x88;
    plain[2] = 0x27;
    memcpy(plain + 3, sample.group.payloads, 5000);
    gssize right = hf_compress(context, codec, 3, plain, sizeof plain, packed[0], sizeof plain - 1, &error), wrong = 0;
    for (gsize i = 3; i < sizeof plain && wrong != right; i++) {
      plain[i] ^= 1;
      wrong = hf_compress(context, codec, 3, plain, sizeof plain, packed[1], sizeof plain - 1, &error);
      plain[i] ^= 1;
    }
    g_assert_cmpint(wrong, ==, right);
    for (int sums = 0; sums < 2; sums++) {
      plan_flip(HF_SEAL_COMPRESSED, 0, 0);
      plan.instead = packed[1];
      plan.length = (gsize)wrong;
      if (!sums)
        sample.group.sums = NULL;
      g_assert_false(hf_seal_group(sealer, FALSE, &sample.group, &sealed, &error));
      hf_sealer_hook = NULL;
      g_assert_cmpuint(plan.struck, ==, 1);
      assert_failed(&error, HF_ERROR_FAILED, 0);
    }
    g_assert_true(hf_seal_group(sealer, FALSE, &sample.group, &sealed, &error));
  }
  hf_sealed_clear(&sealed);
}

/* A leaf that is not that of the piece as the caller gave it: refs and leaves are compared, too. */
static void test_changed_arguments(void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(HfSealer) sealer = new_sealer(HF_CODEC_ZSTD);
  HfSealed sealed;
  g_auto(Sample) sample;
  hf_sealed_init(&sealed);
  sample_init(&sample, 3, 100, TRUE, FALSE, 44);
  g_array_index(sample.refs, HfId, 0).b[5] ^= 4;
  g_assert_false(hf_seal_group(sealer, TRUE, &sample.group, &sealed, &error));
  assert_failed(&error, HF_ERROR_FAILED, 0);
  g_array_index(sample.refs, HfId, 0).b[5] ^= 4;
  g_array_index(sample.items, HfGroupItem, 0).type = HF_BLOB_LIST;
  g_assert_false(hf_seal_group(sealer, TRUE, &sample.group, &sealed, &error));
  assert_failed(&error, HF_ERROR_FAILED, 0);
  for (int kind = 0; kind < 3; kind++) {
    g_auto(Row) row;
    row_init(&row, 1000, kind);
    row.sums[0] ^= 1;
    g_assert_false(hf_seal_row(sealer, row.block, 1000, row.leaves, row.sums, 1, &sealed, &error));
    assert_failed(&error, HF_ERROR_FAILED, 0);
  }
  hf_sealed_clear(&sealed);
}
#endif

static void test_nothing(void)
{
  HfOpened opened = { 0 };
  HfSealed sealed = { 0 };
  hf_sealer_free(NULL);
  hf_opener_free(NULL);
  hf_opened_clear(&opened);
  hf_sealed_clear(&sealed);
}

/* An opener keeps the keys that it used last. */
static void test_many_keys(void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(HfOpener) opener = hf_opener_new();
  HfShortId session = short_id_of(1);
  HfOpened opened;
  HfSealed sealed;
  hf_opened_init(&opened);
  hf_sealed_init(&sealed);
  g_auto(Sample) sample;
  sample_init(&sample, 3, 100, FALSE, FALSE, 1);
  for (guint i = 0; i < 20; i++) {
    HfKey key = key_of((guint8)(i % 7));
    g_autoptr(HfSealer) sealer = hf_sealer_new(&session, &key, &key, HF_CODEC_LZ4, 1);
    g_assert_true(hf_seal_group(sealer, FALSE, &sample.group, &sealed, &error));
    g_autoptr(GByteArray) stored = stored_of(&sealed);
    for (int again = 0; again < 2; again++)
      g_assert_true(hf_open_group(opener, &key, stored->data, stored->len, &opened, &error));
    assert_opened(&opened, &sample.group);
  }
  hf_opened_clear(&opened);
  hf_sealed_clear(&sealed);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_assert_true(hf_crypto_init(NULL));
  g_test_add_func("/sealer/groups", test_groups);
  g_test_add_func("/sealer/layout", test_layout);
  g_test_add_func("/sealer/too-large", test_too_large);
  g_test_add_func("/sealer/rows", test_rows);
  g_test_add_func("/sealer/row-arguments", test_row_arguments);
  g_test_add_func("/sealer/wrong-pieces", test_wrong_pieces);
  g_test_add_func("/sealer/every-bit", test_every_bit);
  g_test_add_func("/sealer/forged", test_forged);
  g_test_add_func("/sealer/crafted", test_crafted);
#ifdef HF_TEST_HOOKS
  g_test_add_func("/sealer/flips-in-groups", test_flips_in_groups);
  g_test_add_func("/sealer/flips-in-rows", test_flips_in_rows);
  g_test_add_func("/sealer/lying-codec", test_lying_codec);
  g_test_add_func("/sealer/changed-arguments", test_changed_arguments);
#endif
  g_test_add_func("/sealer/nothing", test_nothing);
  g_test_add_func("/sealer/many-keys", test_many_keys);
  return g_test_run();
}
