/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "walk.h"

static gboolean decode(const guint8 *bytes, gsize length, GError **error)
{
  HfReader reader = hf_reader(bytes, length);
  guint64 tag;
  HfView value;
  GError *found = NULL;
  while (hf_extras_next(&reader, &tag, &value, &found))
    continue;
  g_assert_cmpint(hf_extras_valid((HfView){ bytes, length }), ==, found == NULL);
  if (found == NULL)
    return TRUE;
  g_assert_false(hf_extras_next(&reader, &tag, &value, error));
  g_error_free(found);
  return FALSE;
}

static void test_golden(void)
{
  static const struct {
    HfExtra tag;
    const char *value;
    gsize length;
  } rows[] = {
    { HF_EXTRA_XATTR, "security.capability\0\1\0\0\2", 24 }, { HF_EXTRA_XATTR, "user.a\0", 7 },
    { HF_EXTRA_XATTR, "user.ab\0x", 9 }, { HF_EXTRA_INODE_FLAGS, "\x10\0\0\0", 4 }, { HF_EXTRA_PROJECT, "\7\0\0\0", 4 },
  };
  g_autoptr(GByteArray) extras = g_byte_array_new();
  for (gsize i = 0; i < G_N_ELEMENTS(rows); i++)
    hf_extras_add(extras, rows[i].tag, rows[i].value, rows[i].length);
  assert_array_parts(extras, "01 18 'security.capability' 00 01000002 01 07 'user.a' 00 01 09 'user.ab' 00 'x' "
                             "02 04 10000000 03 04 07000000");
  HfReader reader = hf_reader(extras->data, extras->len);
  guint64 tag;
  HfView value;
  GError *error = NULL;
  for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_assert_true(hf_extras_next(&reader, &tag, &value, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(tag, ==, rows[i].tag);
    assert_bytes(value.data, value.length, rows[i].value, rows[i].length);
  }
  g_assert_false(hf_extras_next(&reader, &tag, &value, &error));
  g_assert_no_error(error);
}

static void test_rules(void)
{
  static const char *const good[] = { "",
                                      "01 02 'a' 00",
                                      "02 04 00*4",
                                      "03 04 00*4",
                                      "01 8002 61*255 00",
                                      "01 02 'a' 00 01 02 'b' 00",
                                      "01 02 'a' 00 01 03 'aa' 00",
                                      "02 04 00*4 03 04 00*4" };
  static const char *const bad[] = {
    "00",
    "00 04 00*4",
    "04 04 00*4",
    "02 03 00*3",
    "02 05 00*5",
    "03 00",
    "02 04 00*3",
    "02",
    "01 00",
    "01 01 'a'",
    "01 01 00",
    "01 8102 61*256 00",
    "01 02 'a' 00 01 02 'a' 00",
    "01 02 'b' 00 01 02 'a' 00",
    "01 03 'aa' 00 01 02 'a' 00",
    "01 03 'a' 0001 01 03 'a' 0002",
    "02 04 00*4 01 02 'a' 00",
    "02 04 00*4 02 04 00*4",
    "03 04 00*4 02 04 00*4",
    "01 02 'a' 00 ff",
    "8100 02 'a' 00",
    "02 8400 00*4",
  };
  for (gsize i = 0; i < G_N_ELEMENTS(good); i++)
    assert_taken(decode, good[i]);
  for (gsize i = 0; i < G_N_ELEMENTS(bad); i++)
    assert_refused(decode, bad[i]);
}

int main(int argc, char **argv)
{
  test_begin(&argc, &argv);
  g_test_add_func("/extras/golden", test_golden);
  g_test_add_func("/extras/rules", test_rules);
  return g_test_run();
}
