/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "walk.h"

static gboolean decode(const guint8 *bytes, gsize length, GError **error)
{
  HfPageReader page;
  HfNodeItem item;
  GError *found = NULL;
  if (!hf_page_open(&page, bytes + 1, length - 1, test_refs(), bytes[0], FALSE, error))
    return FALSE;
  g_assert_cmpuint(page.level, >, 0);
  while (hf_node_next(&page, &item, &found))
    continue;
  if (found == NULL)
    return TRUE;
  g_assert_false(hf_node_next(&page, &item, NULL));
  g_propagate_error(error, found);
  return FALSE;
}

static void test_golden(void)
{
  const HfId *refs = test_refs();
  const HfNodeItem items[2] = { { { (const guint8 *)"b", 1 }, 300, refs[0] },
                                { { (const guint8 *)"ba", 2 }, 1, refs[1] } };
  g_autoptr(GByteArray) payload = g_byte_array_new();
  g_autoptr(GArray) used = g_array_new(FALSE, FALSE, sizeof(HfId));
  hf_node_begin(payload, 1);
  for (guint i = 0; i < 2; i++)
    hf_node_add(payload, used, &items[i]);
  assert_array_parts(payload, "01 00 01 'b' ac02 02 'ba' 01");
  HfPageReader page;
  GError *error = NULL;
  g_assert_true(
    hf_page_open(&page, payload->data, payload->len, (const HfId *)(gpointer)used->data, used->len, FALSE, &error));
  g_assert_cmpuint(page.level, ==, 1);
  for (guint i = 0; i < 2; i++) {
    HfNodeItem item;
    g_assert_true(hf_node_next(&page, &item, &error));
    g_assert_no_error(error);
    assert_bytes(item.last_name.data, item.last_name.length, items[i].last_name.data, items[i].last_name.length);
    g_assert_cmpuint(item.entries, ==, items[i].entries);
    g_assert_true(hf_id_equal(&item.ref, &items[i].ref));
  }
  HfNodeItem none;
  g_assert_false(hf_node_next(&page, &none, &error));
  g_assert_no_error(error);
  g_assert_cmpuint(page.below, ==, 301);
}

static void test_rules(void)
{
  static const char *const good[] = { "01 01 00 01 'a' 01", "01 07 00 01 'a' 01",
                                      "02 01 00 01 'a' 01 01 'b' fe ff*8 01" };
  static const char *const bad[] = {
    "00 01 00",
    "00 01 00 01 'a' 01",
    "02 01 00 01 'a' 01",
    "01 01 00 01 'a' 00",
    "01 01 00 00 01",
    "01 01 00 02 'a/' 01",
    "01 01 00 02 '..' 01",
    "02 01 00 01 'a' 01 01 'a' 01",
    "02 01 00 01 'b' 01 01 'a' 01",
    "01 01 00 01 'a'",
    "01 01 00 01 'a' 8100",
    "01 08 00 01 'a' 01",
    /* counts whose sum is 2^64 */
    "02 01 00 01 'a' 01 01 'b' ff*9 01",
  };
  for (gsize i = 0; i < G_N_ELEMENTS(good); i++)
    assert_taken(decode, good[i]);
  for (gsize i = 0; i < G_N_ELEMENTS(bad); i++)
    assert_refused(decode, bad[i]);
}

/* `count` items with names of `length` bytes. */
static gboolean walk_many(guint count, guint length, GError **error)
{
  g_autoptr(GByteArray) payload = g_byte_array_new();
  g_autoptr(GArray) refs = g_array_new(FALSE, TRUE, sizeof(HfId));
  g_autofree char *name = g_strnfill(length, 'x');
  HfPageReader page;
  HfNodeItem item = { .last_name = { (const guint8 *)name, length }, .entries = 1 };
  GError *found = NULL;
  hf_node_begin(payload, 2);
  for (guint i = 0; i < count; i++) {
    g_snprintf(name, 5, "%04x", i);
    name[4] = 'x';
    hf_node_add(payload, refs, &item);
  }
  g_assert_true(
    hf_page_open(&page, payload->data, payload->len, (const HfId *)(gpointer)refs->data, refs->len, FALSE, NULL));
  while (hf_node_next(&page, &item, &found))
    continue;
  if (found != NULL)
    g_propagate_error(error, found);
  return found == NULL;
}

static void test_full(void)
{
  GError *error = NULL;
  g_assert_true(walk_many(1024, 200, &error));
  g_assert_no_error(error);
  g_assert_false(walk_many(1025, 200, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_INVALID);
  g_clear_error(&error);
}

int main(int argc, char **argv)
{
  test_begin(&argc, &argv);
  g_test_add_func("/node/golden", test_golden);
  g_test_add_func("/node/rules", test_rules);
  g_test_add_func("/node/full", test_full);
  return g_test_run();
}
