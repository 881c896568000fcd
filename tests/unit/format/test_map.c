/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "walk.h"

static gboolean decode(const guint8 *bytes, gsize length, GError **error)
{
  gint32 index[HF_MAP_FANOUT];
  guint8 level;
  guint count;
  return hf_map_decode(bytes + 1, length - 1, bytes[0], &level, &count, index, error);
}

static void test_golden(void)
{
  static const guint8 present[] = { 1, 0, 0, 1, 0, 0, 0, 0, 0, 1 };
  gint32 index[HF_MAP_FANOUT];
  guint8 level;
  guint count;
  GError *error = NULL;
  g_autoptr(GByteArray) payload = g_byte_array_new();
  hf_map_encode(2, present, 10, payload);
  assert_array_parts(payload, "02 0a 0902");
  g_assert_true(hf_map_decode(payload->data, payload->len, 3, &level, &count, index, &error));
  g_assert_no_error(error);
  g_assert_cmpuint(level, ==, 2);
  g_assert_cmpuint(count, ==, 10);
  static const gint32 expected[] = { 0, -1, -1, 1, -1, -1, -1, -1, -1, 2 };
  assert_bytes(index, sizeof expected, expected, sizeof expected);
}

static void test_full(void)
{
  guint8 present[HF_MAP_FANOUT];
  gint32 index[HF_MAP_FANOUT];
  guint8 level;
  guint count;
  g_autoptr(GByteArray) payload = g_byte_array_new();
  fill(present, 1, sizeof present);
  hf_map_encode(0, present, HF_MAP_FANOUT, payload);
  assert_array_parts(payload, "00 8008 ff*128");
  g_assert_true(hf_map_decode(payload->data, payload->len, HF_MAP_FANOUT, &level, &count, index, NULL));
  g_assert_cmpuint(count, ==, HF_MAP_FANOUT);
  g_assert_cmpint(index[HF_MAP_FANOUT - 1], ==, HF_MAP_FANOUT - 1);
}

static void test_rules(void)
{
  static const char *const good[] = { "00 00 01 00", "01 00 01 01", "01 06 08 80", "01 00 09 0001" };
  static const char *const bad[] = {
    "00",
    "00 00",
    "00 00 00",
    "00 00 01",
    "00 07 01 00",
    "00 00 8108 00*129",
    "00 00 01 0000",
    "00 00 01 01",
    "01 00 01 00",
    "01 00 01 02",
    "02 00 01 03",
    "01 00 01 80",
    "01 00 09 0002",
    "01 00 09 01",
    "00 00 8100 00",
  };
  for (gsize i = 0; i < G_N_ELEMENTS(good); i++)
    assert_taken(decode, good[i]);
  for (gsize i = 0; i < G_N_ELEMENTS(bad); i++)
    assert_refused(decode, bad[i]);
}

static void test_levels(void)
{
  static const struct {
    guint64 blocks;
    guint8 level;
  } rows[] = {
    { 0, 0 }, { 1, 0 }, { 1024, 0 }, { 1025, 1 }, { 1 << 20, 1 }, { (1 << 20) + 1, 2 },
    { G_GUINT64_CONSTANT(1) << 30, 2 }, { (G_GUINT64_CONSTANT(1) << 30) + 1, 3 }, { G_MAXUINT64, HF_MAP_LEVEL_MAX },
  };
  for (gsize i = 0; i < G_N_ELEMENTS(rows); i++)
    g_assert_cmpuint(hf_map_level(rows[i].blocks), ==, rows[i].level);
}

int main(int argc, char **argv)
{
  test_begin(&argc, &argv);
  g_test_add_func("/map/golden", test_golden);
  g_test_add_func("/map/full", test_full);
  g_test_add_func("/map/rules", test_rules);
  g_test_add_func("/map/levels", test_levels);
  return g_test_run();
}
