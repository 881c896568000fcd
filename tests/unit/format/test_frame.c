/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "format/frame.h"
#include "testing.h"

#define GROUP "48466631 01 02 0200 11*16 22*11 00 64000000 42000000 30000000 1045c17f78b55e49"
#define GROUP_CLEAR "00 02 33*32 44*32"
#define PLAIN "48466631 01 00 0100 11*16 22*11 00 64000000 00000000 74000000 d0409661bab0e243"
#define ROW "48466631 02 02 0200 11*16 22*11 00 05000200 48000000 15000000 b56ef712f7c7bed9"
#define ROW_CLEAR "00000000 33*32 15000000 44*32"
#define LONG "48466631 01 00 0100 11*16 22*11 00 64000000 21050000 74000000 50266759f71cc118"
#define LONG_CLEAR "29 33*1312"

enum { AT_KIND = 4, AT_CODEC, AT_COUNT = 6, AT_NONCE_END = 35, AT_PLAIN = 36, AT_CLEAR = 40, AT_SEALED = 44 };

static gboolean decode(const guint8 *bytes, gsize length, GError **error)
{
  HfFrameHeader header;
  return hf_frame_decode(bytes, length, &header, error);
}

/* Both steps, with the clear section behind the prefix. */
static gboolean decode_and_check(const guint8 *bytes, gsize length, GError **error)
{
  HfFrameHeader header;
  return hf_frame_decode(bytes, length, &header, error) && hf_frame_check(bytes, length, &header, error);
}

static void test_golden(void)
{
  static const struct {
    const char *prefix, *clear;
    HfFrameHeader header;
  } rows[] = {
    { GROUP,
      GROUP_CLEAR,
      { .kind = 1, .codec = 2, .count = 2, .plain_length = 100, .clear_length = 66, .sealed_length = 48 } },
    { PLAIN, "", { .kind = 1, .codec = 0, .count = 1, .plain_length = 100, .clear_length = 0, .sealed_length = 116 } },
    { ROW,
      ROW_CLEAR,
      { .kind = 2, .codec = 2, .count = 2, .plain_length = 131077, .clear_length = 72, .sealed_length = 21 } },
    { LONG,
      LONG_CLEAR,
      { .kind = 1, .codec = 0, .count = 1, .plain_length = 100, .clear_length = 1313, .sealed_length = 116 } },
  };
  for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
    HfFrameHeader header = rows[i].header, decoded;
    guint8 prefix[HF_FRAME_PREFIX_BYTES];
    g_autoptr(GByteArray) clear = parts(rows[i].clear);
    GError *error = NULL;
    fill(&header.session, 0x11, sizeof header.session);
    fill(header.nonce, 0x22, sizeof header.nonce - 1);
    hf_frame_encode(&header, clear->data, prefix);
    assert_parts(prefix, sizeof prefix, rows[i].prefix);
    g_assert_true(hf_frame_decode(prefix, sizeof prefix, &decoded, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(hf_frame_stored(&decoded), ==, 56 + header.clear_length + header.sealed_length);
    guint8 again[HF_FRAME_PREFIX_BYTES];
    hf_frame_encode(&decoded, clear->data, again);
    assert_bytes(again, sizeof again, prefix, sizeof prefix);
    g_autoptr(GByteArray) whole = parts(rows[i].prefix);
    hf_put_raw(whole, clear->data, clear->len);
    assert_accepted(decode_and_check, whole->data, whole->len);
    /* One flipped bit anywhere is found. */
    for (guint byte = 0; byte < whole->len; byte++) {
      whole->data[byte] ^= 4;
      g_assert_false(decode_and_check(whole->data, whole->len, NULL));
      whole->data[byte] ^= 4;
    }
    assert_refused_as(decode_and_check, whole->data, whole->len - 1, HF_ERROR_DAMAGED);
    assert_refused_as(decode_and_check, whole->data, HF_FRAME_PREFIX_BYTES - 1, HF_ERROR_DAMAGED);
    whole->data[whole->len - 1] ^= 1;
    assert_refused_as(decode_and_check, whole->data, whole->len, HF_ERROR_DAMAGED);
  }
}

static void test_check_alone(void)
{
  HfFrameHeader header = { .clear_length = 1 };
  GError *error = NULL;
  g_assert_false(hf_frame_check("", 0, &header, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_DAMAGED);
  g_clear_error(&error);
}

static void test_headers(void)
{
  static const struct {
    const char *prefix;
    gsize at;
    const char *patch;
  } bad[] = {
    { GROUP, 0, "49" }, { GROUP, AT_KIND, "00" }, { GROUP, AT_KIND, "03" }, { GROUP, AT_CODEC, "03" },
    { GROUP, AT_COUNT, "0000" }, { GROUP, AT_NONCE_END, "01" }, { GROUP, AT_KIND, "02" },
    /* Plain bytes: less than the table, 2^24, not those that codec 0 has. */
    { GROUP, AT_PLAIN, "03000000" }, { GROUP, AT_PLAIN, "00000001" }, { PLAIN, AT_PLAIN, "63000000" },
    { PLAIN, AT_PLAIN, "01000000 00000000 11000000" },
    /* Clear section without room for counts and a ref. */
    { GROUP, AT_CLEAR, "21000000" }, { GROUP, AT_CLEAR, "01000000" },
    /* Sealed: only a tag, not shorter than plain, too long altogether. */
    { GROUP, AT_SEALED, "10000000" }, { GROUP, AT_SEALED, "74000000" }, { PLAIN, AT_SEALED, "73000000" },
    { PLAIN, AT_PLAIN, "b8ffff00 00000000 c8ffff00" }, { GROUP, AT_CLEAR, "98ffff00" }, { GROUP, AT_CLEAR, "ffffffff" },
    { ROW, AT_PLAIN, "00000000" }, { ROW, AT_PLAIN, "00000200" }, { ROW, AT_PLAIN, "01000400" },
    { ROW, AT_COUNT, "0100" }, { ROW, AT_CLEAR, "47000000" }, { ROW, AT_CLEAR, "49000000" },
    { ROW, AT_SEALED, "26000200" }, { ROW, AT_COUNT, "2100 11*16 22*11 00 01004000 a4040000" },
  };
  for (gsize i = 0; i < G_N_ELEMENTS(bad); i++)
    assert_patch_refused(decode, bad[i].prefix, bad[i].at, bad[i].patch);
  assert_patch_taken(decode, GROUP, AT_PLAIN, "04000000 00000000 11000000");
  assert_patch_taken(decode, GROUP, AT_PLAIN, "ffffff00");
  assert_patch_taken(decode, GROUP, AT_CLEAR, "22000000");
  assert_patch_taken(decode, GROUP, AT_CLEAR, "97ffff00");
  assert_patch_taken(decode, PLAIN, AT_PLAIN, "b7ffff00 00000000 c7ffff00");
  assert_patch_taken(decode, ROW, AT_SEALED, "25000200");
  assert_patch_taken(decode, ROW, AT_SEALED, "00000000");
  assert_patch_taken(decode, ROW, AT_COUNT, "2000 11*16 22*11 00 00004000 80040000");
}

/* Three blobs. */
static gboolean decode_refs(const guint8 *bytes, gsize length, GError **error)
{
  guint32 counts[3];
  const HfId *refs;
  return hf_group_refs_decode((HfView){ bytes, length }, 3, counts, &refs, error);
}

static void test_refs(void)
{
  static const guint32 counts[] = { 0, 2, 1 }, none[] = { 0, 0, 0 };
  HfId refs[3];
  guint32 decoded[3];
  const HfId *view;
  GError *error = NULL;
  for (guint8 i = 0; i < 3; i++)
    fill(&refs[i], (guint8)(0x31 + i), sizeof refs[i]);
  g_autoptr(GByteArray) clear = g_byte_array_new();
  hf_group_refs_encode(none, 3, NULL, clear);
  g_assert_cmpuint(clear->len, ==, 0);
  g_assert_true(hf_group_refs_decode((HfView){ NULL, 0 }, 3, decoded, &view, &error));
  g_assert_no_error(error);
  g_assert_null(view);
  assert_bytes(decoded, sizeof decoded, none, sizeof none);
  hf_group_refs_encode(counts, 3, refs, clear);
  assert_array_parts(clear, "00 02 01 31*32 32*32 33*32");
  g_assert_true(hf_group_refs_decode((HfView){ clear->data, clear->len }, 3, decoded, &view, &error));
  g_assert_no_error(error);
  assert_bytes(decoded, sizeof decoded, counts, sizeof counts);
  assert_bytes(view, sizeof refs, refs, sizeof refs);
}

static void test_bad_refs(void)
{
  assert_taken(decode_refs, "01 00 00 31*32");
  assert_refused(decode_refs, "00");
  assert_refused(decode_refs, "01 00 00");
  assert_refused(decode_refs, "01 00 00 31*31");
  assert_refused(decode_refs, "01 00 00 31*33");
  assert_refused(decode_refs, "00 00 00");
  assert_refused(decode_refs, "00 00 00 31*32");
  assert_refused(decode_refs, "8100 00 00 31*32");
  assert_taken(decode_refs, "ffff03 00 00 31*2097120");
  assert_refused(decode_refs, "808004 00 00 31*2097152");
  assert_refused(decode_refs, "ff*9 01 ff*9 01 ff*9 01 31*32");
}

/* Two blobs. */
static gboolean decode_table(const guint8 *bytes, gsize length, GError **error)
{
  HfGroupItem items[2];
  gsize table;
  return hf_group_table_decode(bytes, length, 2, items, &table, error);
}

static void test_table(void)
{
  static const HfGroupItem items[] = { { HF_BLOB_PAGE, 3 }, { HF_BLOB_ROOTS, 200 } };
  HfGroupItem decoded[2];
  gsize table;
  GError *error = NULL;
  g_autoptr(GByteArray) plain = g_byte_array_new();
  hf_group_table_encode(items, 2, plain);
  assert_array_parts(plain, "04 03 07 c801");
  hf_put_zeros(plain, 203);
  g_assert_true(hf_group_table_decode(plain->data, plain->len, 2, decoded, &table, &error));
  g_assert_no_error(error);
  g_assert_cmpuint(table, ==, 5);
  for (guint i = 0; i < 2; i++) {
    g_assert_cmpuint(decoded[i].type, ==, items[i].type);
    g_assert_cmpuint(decoded[i].length, ==, items[i].length);
  }
}

static void test_bad_table(void)
{
  assert_exact_length(decode_table, "01 03 01 02 'abc' 'de'", HF_ERROR_INVALID);
  assert_taken(decode_table, "01 00 01 00");
  assert_taken(decode_table, "03 00 06 00");
  assert_refused(decode_table, "01 00 03 00");
  assert_refused(decode_table, "04 00 01 00");
  assert_refused(decode_table, "02 00 02 00");
  assert_refused(decode_table, "00 00 01 00");
  assert_refused(decode_table, "01 00 05 00");
  assert_refused(decode_table, "01 8000 01 00");
  assert_taken(decode_table, "01 80808004 01 00 00*8388608");
  assert_refused(decode_table, "01 81808004 01 00 00*8388609");
}

static void test_row(void)
{
  g_autoptr(GByteArray) prefix = parts(ROW), clear = parts(ROW_CLEAR);
  HfFrameHeader header;
  HfRowPiece pieces[HF_PIECES_MAX];
  guint8 again[72];
  GError *error = NULL;
  g_assert_true(hf_frame_decode(prefix->data, prefix->len, &header, &error));
  g_assert_true(hf_row_decode((HfView){ clear->data, clear->len }, &header, pieces, &error));
  g_assert_no_error(error);
  g_assert_cmpuint(pieces[0].stored_length, ==, 0);
  g_assert_cmpuint(pieces[1].stored_length, ==, 21);
  assert_parts(pieces[0].leaf.b, HF_ID_BYTES, "33*32");
  hf_row_encode(pieces, 2, again);
  assert_bytes(again, sizeof again, clear->data, clear->len);
  g_assert_cmpuint(hf_piece_length(131077, 0), ==, 131072);
  g_assert_cmpuint(hf_piece_length(131077, 1), ==, 5);
  g_assert_cmpuint(hf_piece_length(131072, 0), ==, 131072);
  g_assert_cmpuint(hf_piece_length(1, 0), ==, 1);
}

/* The first byte is the codec, then the clear section of a block of 131,077 bytes; the sealed length follows. */
static gboolean decode_row(const guint8 *bytes, gsize length, GError **error)
{
  HfFrameHeader header = { .kind = HF_FRAME_ROW, .codec = bytes[0], .count = 2, .plain_length = 131077 };
  HfRowPiece pieces[2];
  for (gsize at = 1; at + 4 <= length; at += 36)
    header.sealed_length += hf_load_u32(bytes + at);
  return hf_row_decode((HfView){ bytes + 1, length - 1 }, &header, pieces, error);
}

static void test_bad_rows(void)
{
  assert_taken(decode_row, "02 00000000 33*32 00000000 44*32");
  assert_taken(decode_row, "02 10000200 33*32 15000000 44*32");
  assert_taken(decode_row, "02 11000000 33*32 14000000 44*32");
  assert_taken(decode_row, "00 10000200 33*32 15000000 44*32");
  assert_refused(decode_row, "02 10000000 33*32 00000000 44*32");
  assert_refused(decode_row, "02 01000000 33*32 00000000 44*32");
  assert_refused(decode_row, "02 11000200 33*32 00000000 44*32");
  assert_refused(decode_row, "02 00000000 33*32 16000000 44*32");
  assert_refused(decode_row, "00 00000000 33*32 14000000 44*32");
  assert_refused(decode_row, "02 00000000 33*32 00000000 44*31");
  assert_refused(decode_row, "02 00000000 33*32 00000000 44*33");
  /* Lengths that do not fill the sealed section. */
  HfFrameHeader header = { .kind = HF_FRAME_ROW, .codec = 2, .count = 2, .plain_length = 131077, .sealed_length = 20 };
  HfRowPiece pieces[2];
  GError *error = NULL;
  g_autoptr(GByteArray) clear = parts(ROW_CLEAR);
  g_assert_false(hf_row_decode((HfView){ clear->data, clear->len }, &header, pieces, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_INVALID);
  g_clear_error(&error);
}

int main(int argc, char **argv)
{
  test_begin(&argc, &argv);
  g_test_add_func("/frame/golden", test_golden);
  g_test_add_func("/frame/check-alone", test_check_alone);
  g_test_add_func("/frame/headers", test_headers);
  g_test_add_func("/frame/refs", test_refs);
  g_test_add_func("/frame/bad-refs", test_bad_refs);
  g_test_add_func("/frame/table", test_table);
  g_test_add_func("/frame/bad-table", test_bad_table);
  g_test_add_func("/frame/row", test_row);
  g_test_add_func("/frame/bad-rows", test_bad_rows);
  return g_test_run();
}
