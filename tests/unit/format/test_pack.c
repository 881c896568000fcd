/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "format/pack.h"
#include "testing.h"

#define SLOT \
  "11*16 22*16 07000000 09000000 33*80 44*80 00*32 " \
  "7ad8beaf0b7bc02806f2d607e123b92a5b3d1685e6858fe70acd0fb0701d5470" \
  "2bef030215ed65f2c0edae2bbb0864ca52f1b963ba4d81d890fa42753c52c108"
#define HEAD "4846 'pack1' 0a 66*16 01 00 0100 07000000 " SLOT " 00d020a2af7ff916"
#define DIRECTORY \
  "02000000 03000000 0100 0000 " SLOT " 00010000 01 00 0200 77*16 e9030000 02 00 0100 78*16 81*32 82*32 83*32"
#define DIGEST "6173fab570d26d6890d8e191e5aef072"
#define TRAILER "4846656e64310a00 66*16 3906000000000000 c401000000000000 " DIGEST " 5c7d79d4b1719687"
#define OFFSET 1593
#define LENGTH 2109

/* Where rows of the directory lie: two frames after the counts and one slot. */
enum { AT_SLOTS = 8, AT_ZERO = 10, AT_FRAMES = 308 };

static void make_slot(HfSessionSlot *slot)
{
  memset(slot, 0, sizeof *slot);
  fill(&slot->session, 0x11, sizeof slot->session);
  fill(&slot->writer, 0x22, sizeof slot->writer);
  slot->domain = 7;
  slot->generation = 9;
  fill(slot->sealed_key, 0x33, sizeof slot->sealed_key);
  fill(slot->sealed_meta_key, 0x44, sizeof slot->sealed_meta_key);
}

static void test_slot(void)
{
  HfSessionSlot slot, decoded;
  guint8 bytes[HF_SESSION_SLOT_BYTES], public_half[32];
  make_slot(&slot);
  hf_session_slot_encode(&slot, &test_seed, bytes);
  assert_parts(bytes, sizeof bytes, SLOT);
  g_assert_true(hf_session_slot_decode(bytes, &decoded));
  hf_sign_public(&test_seed, public_half);
  g_assert_true(hf_session_slot_verify(&decoded, public_half));
  guint8 again[HF_SESSION_SLOT_BYTES];
  hf_session_slot_encode(&decoded, NULL, again);
  assert_bytes(again, sizeof again, bytes, sizeof bytes);
  decoded.generation++;
  g_assert_false(hf_session_slot_verify(&decoded, public_half));
  for (guint i = 200; i < 232; i++) {
    bytes[i] = 1;
    g_assert_false(hf_session_slot_decode(bytes, &decoded));
    bytes[i] = 0;
  }
}

static void make_pack(HfPackInfo *info)
{
  HfSessionSlot slot;
  guint8 bytes[HF_SESSION_SLOT_BYTES];
  hf_pack_info_init(info);
  fill(&info->id, 0x66, sizeof info->id);
  info->kind = HF_PACK_DATA;
  info->domain = 7;
  info->length = LENGTH;
  make_slot(&slot);
  hf_session_slot_encode(&slot, &test_seed, bytes);
  g_array_append_val(info->slots, slot);
  HfPackFrame frames[2] = { { .stored_length = 256, .kind = HF_FRAME_GROUP, .blobs = 2 },
                            { .stored_length = 1001, .kind = HF_FRAME_ROW, .blobs = 1 } };
  fill(frames[0].digest, 0x77, sizeof frames[0].digest);
  fill(frames[1].digest, 0x78, sizeof frames[1].digest);
  g_array_append_vals(info->frames, frames, 2);
  for (guint8 i = 0; i < 3; i++) {
    HfId id;
    fill(&id, (guint8)(0x81 + i), sizeof id);
    g_array_append_val(info->ids, id);
  }
}

static void test_head(void)
{
  g_auto(HfPackInfo) info, decoded;
  GError *error = NULL;
  gsize length;
  make_pack(&info);
  hf_pack_info_init(&decoded);
  g_autoptr(GByteArray) head = g_byte_array_new();
  hf_pack_head_encode(&info, head);
  assert_array_parts(head, HEAD);
  g_assert_cmpuint(hf_pack_head_length(1), ==, head->len);
  g_assert_true(hf_pack_head_peek(head->data, HF_PACK_HEAD_FIXED, &length, &error));
  g_assert_no_error(error);
  g_assert_cmpuint(length, ==, head->len);
  /* What follows the head is not its business. */
  hf_put_u8(head, 0xff);
  g_assert_true(hf_pack_head_decode(head->data, head->len, &decoded, &error));
  g_assert_no_error(error);
  g_assert_true(hf_short_id_equal(&decoded.id, &info.id));
  g_assert_cmpuint(decoded.kind, ==, HF_PACK_DATA);
  g_assert_cmpuint(decoded.domain, ==, 7);
  g_assert_cmpuint(decoded.slots->len, ==, 1);
  g_autoptr(GByteArray) again = g_byte_array_new();
  hf_pack_head_encode(&decoded, again);
  assert_array_parts(again, HEAD);
}

static gboolean decode_head(const guint8 *bytes, gsize length, GError **error)
{
  g_auto(HfPackInfo) info;
  hf_pack_info_init(&info);
  return hf_pack_head_decode(bytes, length, &info, error);
}

/* `patch` with a right check: what is wrong is more than rot. */
static void assert_head_refused(gsize at, const char *patch)
{
  g_autoptr(GByteArray) head = patched(HEAD, at, patch);
  hf_store_be64(head->data + head->len - 8, hf_xxh64(head->data, head->len - 8));
  assert_refused_as(decode_head, head->data, head->len, HF_ERROR_INVALID);
}

static void test_bad_heads(void)
{
  g_autoptr(GByteArray) head = parts(HEAD);
  for (gsize length = 0; length < head->len; length++)
    assert_refused_as(decode_head, head->data, length, HF_ERROR_DAMAGED);
  assert_head_refused(0, "49");
  assert_head_refused(24, "00");
  assert_head_refused(24, "03");
  assert_head_refused(25, "01");
  assert_head_refused(26, "0000");
  assert_head_refused(26, "0110");
  assert_head_refused(32 + 200, "01");
  for (guint i = 32; i < head->len; i++) {
    head->data[i] ^= 1;
    assert_refused_as(decode_head, head->data, head->len, HF_ERROR_DAMAGED);
    head->data[i] ^= 1;
  }
  gsize length;
  g_autoptr(GByteArray) most = patched(HEAD, 26, "0010");
  g_assert_true(hf_pack_head_peek(most->data, most->len, &length, NULL));
  g_assert_cmpuint(length, ==, 40 + 4096 * 296);
}

static void test_end(void)
{
  g_auto(HfPackInfo) info, decoded;
  HfShortId pack;
  guint64 offset, length;
  guint8 digest[16];
  GError *error = NULL;
  make_pack(&info);
  g_autoptr(GByteArray) end = g_byte_array_new();
  hf_pack_end_encode(&info, OFFSET, end);
  assert_array_parts(end, DIRECTORY " " TRAILER);
  const guint8 *trailer = end->data + end->len - HF_PACK_TRAILER_BYTES;
  g_assert_true(hf_pack_trailer_decode(trailer, HF_PACK_TRAILER_BYTES, &pack, &offset, &length, digest, &error));
  g_assert_no_error(error);
  g_assert_true(hf_short_id_equal(&pack, &info.id));
  g_assert_cmpuint(offset, ==, OFFSET);
  g_assert_cmpuint(length, ==, end->len - HF_PACK_TRAILER_BYTES);
  hf_pack_info_init(&decoded);
  decoded.id = pack;
  decoded.kind = HF_PACK_DATA;
  decoded.length = LENGTH;
  /* Decoding twice gives the same as decoding once. */
  for (guint i = 0; i < 2; i++) {
    g_assert_true(hf_pack_directory_decode(end->data, (gsize)length, offset, digest, &decoded, &error));
    g_assert_no_error(error);
  }
  g_assert_cmpuint(decoded.frames->len, ==, 2);
  const HfPackFrame *frames = (const HfPackFrame *)(gpointer)decoded.frames->data;
  g_assert_cmpuint(frames[0].offset, ==, 336);
  g_assert_cmpuint(frames[0].first_blob, ==, 0);
  g_assert_cmpuint(frames[1].offset, ==, 592);
  g_assert_cmpuint(frames[1].first_blob, ==, 2);
  g_assert_cmpuint(decoded.ids->len, ==, 3);
  g_autoptr(GByteArray) again = g_byte_array_new();
  hf_pack_end_encode(&decoded, offset, again);
  assert_array_parts(again, DIRECTORY " " TRAILER);
  hf_pack_info_clear(&decoded);
  g_assert_null(decoded.ids);
}

static gboolean decode_trailer(const guint8 *bytes, gsize length, GError **error)
{
  HfShortId pack;
  guint64 offset, directory;
  guint8 digest[16];
  return hf_pack_trailer_decode(bytes, length, &pack, &offset, &directory, digest, error);
}

static void trailer_with(gsize at, const char *patch, gboolean valid)
{
  g_autoptr(GByteArray) trailer = patched(TRAILER, at, patch);
  hf_store_be64(trailer->data + 56, hf_xxh64(trailer->data, 56));
  if (valid)
    assert_accepted(decode_trailer, trailer->data, trailer->len);
  else
    assert_refused_as(decode_trailer, trailer->data, trailer->len, HF_ERROR_INVALID);
}

static void test_bad_trailers(void)
{
  assert_exact_length(decode_trailer, TRAILER, HF_ERROR_DAMAGED);
  g_autoptr(GByteArray) trailer = parts(TRAILER);
  for (guint i = 0; i < trailer->len; i++) {
    trailer->data[i] ^= 0x80;
    assert_refused_as(decode_trailer, trailer->data, trailer->len, HF_ERROR_DAMAGED);
    trailer->data[i] ^= 0x80;
  }
  trailer_with(7, "01", FALSE);
  trailer_with(24, "8801000000000000", FALSE);
  trailer_with(24, "8901000000000000", TRUE);
  trailer_with(24, "0000000001000000", FALSE);
  trailer_with(24, "ffffffffffffffff", FALSE);
  trailer_with(32, "0b00000000000000", FALSE);
  trailer_with(32, "ffffffffffffffff", FALSE);
  trailer_with(32, "86f9ffff00000000", TRUE);
  trailer_with(32, "87f9ffff00000000", FALSE);
}

static HfPackKind directory_kind = HF_PACK_DATA;
static guint64 directory_offset = OFFSET;

/* A directory with a right digest, in a pack of the right length. */
static gboolean decode_directory(const guint8 *bytes, gsize length, GError **error)
{
  g_auto(HfPackInfo) info;
  guint8 digest[16];
  hf_pack_info_init(&info);
  info.kind = (guint8)directory_kind;
  info.length = directory_offset + length + HF_PACK_TRAILER_BYTES;
  hf_xxh128(bytes, length, digest);
  return hf_pack_directory_decode(bytes, length, directory_offset, digest, &info, error);
}

static void test_bad_directories(void)
{
  assert_exact_length(decode_directory, DIRECTORY, HF_ERROR_INVALID);
  static const struct {
    gsize at;
    const char *patch;
  } bad[] = {
    { 0, "01000000" }, { 0, "03000000" }, { 0, "ffffffff ffffffff ffff" }, { 4, "02000000" }, { AT_SLOTS, "0000" },
    { AT_SLOTS, "0200" }, { AT_ZERO, "0100" }, { 12 + 200, "01" },
    /* Lengths that do not add up, of no frame, of none that exists. */
    { AT_FRAMES, "01010000" }, { AT_FRAMES, "ff000000" }, { AT_FRAMES, "38000000" }, { AT_FRAMES, "00000001" },
    { AT_FRAMES + 4, "00" }, { AT_FRAMES + 4, "03" }, { AT_FRAMES + 4, "02" }, { AT_FRAMES + 5, "01" },
    { AT_FRAMES + 6, "0000" }, { AT_FRAMES + 6, "0100" }, { AT_FRAMES + 6, "0300" }, { AT_FRAMES + 24 + 6, "0200" },
  };
  for (gsize i = 0; i < G_N_ELEMENTS(bad); i++)
    assert_patch_refused(decode_directory, DIRECTORY, bad[i].at, bad[i].patch);
  /* No frames, and counts that could only be in a directory of gigabytes. */
  assert_refused(decode_directory, "00000000 00000000 0100 0000 " SLOT);
  assert_refused(decode_directory, "00000000 01000000 0100 0000 " SLOT " 81*32");
  /* Frames that add up but do not reach the directory, or pass it. */
  assert_patch_taken(decode_directory, DIRECTORY, AT_FRAMES, "b0040000 01 00 0200 77*16 39000000");
  assert_patch_refused(decode_directory, DIRECTORY, AT_FRAMES, "b0040000 01 00 0200 77*16 3a000000");
  assert_patch_refused(decode_directory, DIRECTORY, AT_FRAMES, "b1040000 01 00 0200 77*16 38000000");
  /* A frame without blobs, though all are there. */
  assert_patch_taken(decode_directory, DIRECTORY, AT_FRAMES + 6, "0100 77*16 e9030000 01 00 0200");
  assert_patch_refused(decode_directory, DIRECTORY, AT_FRAMES + 6, "0000 77*16 e9030000 01 00 0300");
  /* A frame of 16 MiB, though it ends where it should. */
  directory_offset = 336 + 0xffffff + 1001;
  assert_patch_taken(decode_directory, DIRECTORY, AT_FRAMES, "ffffff00");
  directory_offset++;
  assert_patch_refused(decode_directory, DIRECTORY, AT_FRAMES, "00000001");
  directory_offset = OFFSET;
  /* A row in a meta pack. */
  directory_kind = HF_PACK_META;
  assert_refused(decode_directory, DIRECTORY);
  assert_patch_taken(decode_directory, DIRECTORY, AT_FRAMES + 28, "01");
  directory_kind = HF_PACK_DATA;
}

static void test_damaged_directory(void)
{
  g_auto(HfPackInfo) info;
  guint8 digest[16];
  GError *error = NULL;
  g_autoptr(GByteArray) bytes = parts(DIRECTORY);
  hf_pack_info_init(&info);
  info.kind = HF_PACK_DATA;
  info.length = LENGTH;
  hf_xxh128(bytes->data, bytes->len, digest);
  digest[15] ^= 1;
  g_assert_false(hf_pack_directory_decode(bytes->data, bytes->len, OFFSET, digest, &info, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_DAMAGED);
  g_clear_error(&error);
  /* A pack of another length. */
  digest[15] ^= 1;
  info.length++;
  g_assert_false(hf_pack_directory_decode(bytes->data, bytes->len, OFFSET, digest, &info, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_INVALID);
  g_clear_error(&error);
}

int main(int argc, char **argv)
{
  test_begin(&argc, &argv);
  g_test_add_func("/pack/slot", test_slot);
  g_test_add_func("/pack/head", test_head);
  g_test_add_func("/pack/bad-heads", test_bad_heads);
  g_test_add_func("/pack/end", test_end);
  g_test_add_func("/pack/bad-trailers", test_bad_trailers);
  g_test_add_func("/pack/bad-directories", test_bad_directories);
  g_test_add_func("/pack/damaged-directory", test_damaged_directory);
  return g_test_run();
}
