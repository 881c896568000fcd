/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "format/point.h"
#include "testing.h"

#define MARK_BODY "0900000000000000 0807060504030201 77*16 01 11*16 02 22*16 23*16 00"
#define MARK_GOLDEN \
  "'HOLDFAST' 0100 0b00 53000000 " MARK_BODY " 47f85948ac3aaa6daeeddc688320cb363aa59815e8a3026397771e3d8a0e6313"
#define SEAL_GOLDEN \
  "'HOLDFAST' 0100 1100 11000000 01 77*16 27cd99697b7d9743498afcad248a66069bf3aef1a60cc2df6b9414129b6297b1"
#define VOID_GOLDEN \
  "'HOLDFAST' 0100 1100 11000000 02 77*16 3d8a00c09ce3f4bd087af14e1efb9e500e1782e19f0d43cafe2db0421387f9f9"
#define PLACES_BODY "02 11*16 78560000 22*16 ffffffff"
#define THIN_GOLDEN \
  "'HOLDFAST' 0100 0c00 29000000 " PLACES_BODY " e9ae0c548002db26541f16b5ed41b8c482ac09146ce6196ee033c384594335fc"
#define DAMAGE_GOLDEN \
  "'HOLDFAST' 0100 0d00 29000000 " PLACES_BODY " 12d64acbd5a7664c55a5c147a5877c3de30826e95741b6218e98a0ce6e916029"
#define LOST_BODY "02 11*32 22*32"
#define LOST_GOLDEN \
  "'HOLDFAST' 0100 1200 41000000 " LOST_BODY " 8ef6095df09db06a4175b052ee565b35c60692cafd26f1264de92f7e44ac0541"

static void append(GArray *array, guint8 value)
{
  HfShortId id;
  fill(&id, value, sizeof id);
  g_array_append_val(array, id);
}

static gboolean decode_mark(const guint8 *bytes, gsize length, GError **error)
{
  HfMark mark;
  g_autoptr(GBytes) record = hf_record_wrap(HF_RECORD_MARK, bytes, length);
  gboolean done = hf_mark_decode(record, &mark, error);
  if (done)
    hf_mark_clear(&mark);
  g_assert_null(mark.packs);
  return done;
}

static void test_mark(void)
{
  HfMark mark, decoded;
  GError *error = NULL;
  hf_mark_init(&mark);
  mark.generation = 9;
  mark.time = 0x0102030405060708;
  fill(&mark.collector, 0x77, sizeof mark.collector);
  append(mark.sessions, 0x11);
  append(mark.points, 0x22);
  append(mark.points, 0x23);
  g_autoptr(GBytes) record = hf_mark_encode(&mark);
  assert_g_bytes_parts(record, MARK_GOLDEN);
  hf_mark_clear(&mark);
  g_assert_true(hf_mark_decode(record, &decoded, &error));
  g_assert_no_error(error);
  g_assert_cmpuint(decoded.generation, ==, 9);
  g_assert_cmpuint(decoded.sessions->len, ==, 1);
  g_assert_cmpuint(decoded.points->len, ==, 2);
  g_assert_cmpuint(decoded.packs->len, ==, 0);
  g_autoptr(GBytes) again = hf_mark_encode(&decoded);
  g_assert_true(g_bytes_equal(record, again));
  hf_mark_clear(&decoded);
}

static void test_bad_mark(void)
{
  assert_exact_length(decode_mark, MARK_BODY, HF_ERROR_INVALID);
  assert_refused(decode_mark, "00*8 00*8 77*16 ffffffff0f 00 00");
  assert_refused(decode_mark, "00*8 00*8 77*16 00 ff*9 01 00");
  assert_refused(decode_mark, "00*8 00*8 77*16 00 00 02 11*16");
  HfMark mark;
  g_autoptr(GBytes) kind = hf_record_wrap(HF_RECORD_DAMAGE, "", 0);
  g_assert_false(hf_mark_decode(kind, &mark, NULL));
}

static gboolean decode_seal(const guint8 *bytes, gsize length, GError **error)
{
  HfSeal seal;
  g_autoptr(GBytes) record = hf_record_wrap(HF_RECORD_SEAL, bytes, length);
  return hf_seal_decode(record, &seal, error);
}

static void test_seal(void)
{
  HfSeal seal, decoded;
  GError *error = NULL;
  fill(&seal.collector, 0x77, sizeof seal.collector);
  for (seal.sealed = FALSE; seal.sealed <= TRUE; seal.sealed++) {
    g_autoptr(GBytes) record = hf_seal_encode(&seal);
    assert_g_bytes_parts(record, seal.sealed ? SEAL_GOLDEN : VOID_GOLDEN);
    g_assert_true(hf_seal_decode(record, &decoded, &error));
    g_assert_no_error(error);
    g_assert_cmpint(decoded.sealed, ==, seal.sealed);
    g_assert_true(hf_short_id_equal(&decoded.collector, &seal.collector));
  }
  assert_exact_length(decode_seal, "01 77*16", HF_ERROR_INVALID);
  assert_refused(decode_seal, "00 77*16");
  assert_refused(decode_seal, "03 77*16");
  g_autoptr(GBytes) kind = hf_record_wrap(HF_RECORD_DAMAGE, "", 0);
  g_assert_false(hf_seal_decode(kind, &decoded, NULL));
}

static gboolean decode_places(const guint8 *bytes, gsize length, GError **error)
{
  g_autoptr(GArray) places = g_array_new(FALSE, TRUE, sizeof(HfPlace));
  g_autoptr(GBytes) record = hf_record_wrap(HF_RECORD_DAMAGE, bytes, length);
  g_array_set_size(places, 1);
  gboolean done = hf_places_decode(record, HF_RECORD_DAMAGE, places, error);
  g_assert_true(done || places->len == 1);
  return done;
}

static void places_of(HfRecordKind kind, HfRecordKind other, const char *golden)
{
  g_autoptr(GArray) places = g_array_new(FALSE, FALSE, sizeof(HfPlace)),
                    decoded = g_array_new(FALSE, FALSE, sizeof(HfPlace));
  HfPlace first = { .offset = 0x5678 }, second = { .offset = HF_PLACE_WHOLE_PACK };
  GError *error = NULL;
  fill(&first.pack, 0x11, sizeof first.pack);
  fill(&second.pack, 0x22, sizeof second.pack);
  g_array_append_val(places, first);
  g_array_append_val(places, second);
  g_autoptr(GBytes) record = hf_places_encode(kind, places);
  assert_g_bytes_parts(record, golden);
  /* Decoding appends. */
  for (guint i = 1; i <= 2; i++) {
    g_assert_true(hf_places_decode(record, kind, decoded, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(decoded->len, ==, 2 * i);
  }
  assert_bytes(decoded->data, 2 * sizeof(HfPlace), places->data, 2 * sizeof(HfPlace));
  g_assert_false(hf_places_decode(record, other, decoded, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_INVALID);
  g_clear_error(&error);
}

static void test_places(void)
{
  places_of(HF_RECORD_THIN, HF_RECORD_DAMAGE, THIN_GOLDEN);
  places_of(HF_RECORD_DAMAGE, HF_RECORD_THIN, DAMAGE_GOLDEN);
  assert_exact_length(decode_places, PLACES_BODY, HF_ERROR_INVALID);
  assert_taken(decode_places, "00");
  assert_refused(decode_places, "ffffffff0f 11*20");
}

static gboolean decode_lost(const guint8 *bytes, gsize length, GError **error)
{
  g_autoptr(GArray) ids = g_array_new(FALSE, TRUE, sizeof(HfId));
  g_autoptr(GBytes) record = hf_record_wrap(HF_RECORD_LOST, bytes, length);
  g_array_set_size(ids, 1);
  gboolean done = hf_lost_decode(record, ids, error);
  g_assert_true(done || ids->len == 1);
  return done;
}

static void test_lost(void)
{
  g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(HfId)), decoded = g_array_new(FALSE, FALSE, sizeof(HfId));
  HfId first, second;
  GError *error = NULL;
  fill(&first, 0x11, sizeof first);
  fill(&second, 0x22, sizeof second);
  g_array_append_val(ids, first);
  g_array_append_val(ids, second);
  g_autoptr(GBytes) record = hf_lost_encode(ids);
  assert_g_bytes_parts(record, LOST_GOLDEN);
  for (guint i = 1; i <= 2; i++) {
    g_assert_true(hf_lost_decode(record, decoded, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(decoded->len, ==, 2 * i);
  }
  assert_bytes(decoded->data, 64, ids->data, 64);
  assert_exact_length(decode_lost, LOST_BODY, HF_ERROR_INVALID);
  assert_taken(decode_lost, "00");
  assert_refused(decode_lost, "ffffffff0f 11*32");
  g_autoptr(GBytes) kind = hf_record_wrap(HF_RECORD_DAMAGE, "", 0);
  g_assert_false(hf_lost_decode(kind, decoded, NULL));
}

int main(int argc, char **argv)
{
  test_begin(&argc, &argv);
  g_test_add_func("/mark/mark", test_mark);
  g_test_add_func("/mark/bad-mark", test_bad_mark);
  g_test_add_func("/mark/seal", test_seal);
  g_test_add_func("/mark/places", test_places);
  g_test_add_func("/mark/lost", test_lost);
  return g_test_run();
}
