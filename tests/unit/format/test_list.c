/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "walk.h"

static gboolean decode(const guint8 *bytes, gsize length, GError **error)
{
  HfListReader list;
  HfListItem item;
  GError *found = NULL;
  if (!hf_list_open(&list, bytes + 1, length - 1, test_refs(), bytes[0], error))
    return FALSE;
  while (hf_list_next(&list, &item, &found))
    continue;
  if (found == NULL)
    return TRUE;
  g_assert_false(hf_list_next(&list, &item, NULL));
  g_propagate_error(error, found);
  return FALSE;
}

static void round_trip(guint8 level, const HfListItem *items, guint count, const char *golden)
{
  g_autoptr(GByteArray) payload = g_byte_array_new();
  g_autoptr(GArray) refs = g_array_new(FALSE, FALSE, sizeof(HfId));
  HfListReader list;
  HfListItem item;
  GError *error = NULL;
  guint64 covered = 0;
  hf_list_begin(payload, level);
  for (guint i = 0; i < count; i++)
    hf_list_add(payload, refs, level, &items[i]);
  assert_array_parts(payload, golden);
  g_assert_true(
    hf_list_open(&list, payload->data, payload->len, (const HfId *)(gpointer)refs->data, refs->len, &error));
  g_assert_cmpuint(list.level, ==, level);
  for (guint i = 0; i < count; i++) {
    g_assert_true(hf_list_next(&list, &item, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(item.length, ==, items[i].length);
    g_assert_cmpint(item.hole, ==, items[i].hole);
    g_assert_true(hf_id_equal(&item.ref, &items[i].ref));
    covered += item.length;
  }
  g_assert_false(hf_list_next(&list, &item, &error));
  g_assert_no_error(error);
  g_assert_cmpuint(list.covered, ==, covered);
}

static void test_golden(void)
{
  const HfId *refs = test_refs();
  const HfListItem chunks[3] = { { .length = 300, .ref = refs[1] }, { .length = G_MAXINT64 - 301, .hole = TRUE },
                                 { .length = 1, .ref = refs[2] } };
  round_trip(0, chunks, 3, "00 d804 a5fb ff*7 01 02");
  const HfListItem lists[2] = { { .length = 300, .ref = refs[1] }, { .length = G_MAXINT64 - 300, .ref = refs[2] } };
  round_trip(7, lists, 2, "07 ac02 d3fdffffffffffff7f");
}

static void test_rules(void)
{
  static const char *const good[] = {
    "01 00 02", "00 00 03", "01 00 80808008", "00 00 ff*9 01", "01 01 01", "01 01 ff*8 7f", "01 07 01",
  };
  static const char *const bad[] = {
    "00",
    "00 00",
    "01 08 01",
    "01 00 00",
    "00 00 01",
    "01 00 82808008",
    "01 01 00",
    "01 01 80*9 01",
    "00 00 02",
    "00 01 01",
    "01 00 03",
    "02 00 02",
    "02 01 01",
    "00 00 ff*9 01 03",
    "02 01 ff*8 7f 01",
    "01 00 ff*9 01 02",
    "01 00 8200",
    "01 00 80",
  };
  for (gsize i = 0; i < G_N_ELEMENTS(good); i++)
    assert_taken(decode, good[i]);
  for (gsize i = 0; i < G_N_ELEMENTS(bad); i++)
    assert_refused(decode, bad[i]);
  assert_taken(decode, "00 00 03*1024");
  assert_refused(decode, "00 00 03*1025");
}

int main(int argc, char **argv)
{
  test_begin(&argc, &argv);
  g_test_add_func("/list/golden", test_golden);
  g_test_add_func("/list/rules", test_rules);
  return g_test_run();
}
