/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "format/blob.h"
#include "testing.h"

static void test_types(void)
{
  for (guint type = 0; type < 256; type++) {
    gboolean valid = type == 1 || type == 2 || type == 3 || type == 4 || type == 6 || type == 7;
    g_assert_cmpint(hf_blob_type_valid((guint8)type), ==, valid);
  }
  g_assert_false(hf_blob_is_meta(HF_BLOB_DATA));
  g_assert_false(hf_blob_is_meta(HF_BLOB_BLOCK));
  g_assert_true(hf_blob_is_meta(HF_BLOB_LIST));
  g_assert_true(hf_blob_is_meta(HF_BLOB_ROOTS));
}

static void test_blobs(void)
{
  g_autoptr(HfIdentity) identity = hf_identity_new(&test_seed);
  HfId refs[2], id;
  fill(&refs[0], 0x11, sizeof refs[0]);
  fill(&refs[1], 0x22, sizeof refs[1]);
  /* Twice, since each use begins anew. */
  for (guint i = 0; i < 2; i++) {
    hf_identity_blob(identity, HF_BLOB_DATA, NULL, 0, "abc", 3, &id);
    assert_parts(id.b, sizeof id.b, "94c90dafaa5c3c47e288ae784ec13dbfa765f7c106947f3ae5277a78e08ec4c6");
    hf_identity_blob(identity, HF_BLOB_LIST, refs, 2, "xyz", 3, &id);
    assert_parts(id.b, sizeof id.b, "812ea3d71692391082729ca430d218125d4e31db10efc4c9f29e8504282494f6");
  }
  HfId empty, other;
  hf_identity_blob(identity, HF_BLOB_DATA, NULL, 0, NULL, 0, &empty);
  hf_identity_blob(identity, HF_BLOB_PAGE, NULL, 0, NULL, 0, &other);
  g_assert_false(hf_id_equal(&empty, &other));
  hf_identity_free(NULL);
}

static void test_blocks(void)
{
  g_autoptr(HfIdentity) identity = hf_identity_new(&test_seed);
  gsize length = HF_PIECE_BYTES + 5;
  g_autofree guint8 *block = g_malloc(length);
  HfId leaves[HF_PIECES_MAX], id, again;
  fill(block, 0x61, HF_PIECE_BYTES);
  fill(block + HF_PIECE_BYTES, 0x62, 5);
  g_assert_cmpuint(hf_identity_whole_block(identity, block, length, leaves, &id), ==, 2);
  assert_parts(leaves[0].b, HF_ID_BYTES, "7d1405aeba8f5f42133eb1b112213acab080c8f80a7d6fa427b732f959fcff45");
  assert_parts(leaves[1].b, HF_ID_BYTES, "49f9643b8b4e23dc1d0477beac7bbc11c8722e888cfc17a3959ac0579ae74022");
  assert_parts(id.b, sizeof id.b, "50ecb616bac198ce5635bb1e5c5e8ddf3eb15fb87595845880e45c911ab02cfa");
  hf_identity_block(identity, (guint32)length, leaves, 2, &again);
  g_assert_true(hf_id_equal(&id, &again));
  hf_identity_leaf(identity, block + HF_PIECE_BYTES, 5, &again);
  g_assert_true(hf_id_equal(&leaves[1], &again));
  g_assert_cmpuint(hf_identity_whole_block(identity, block, HF_PIECE_BYTES, leaves, &id), ==, 1);
  g_assert_cmpuint(hf_identity_whole_block(identity, block, 1, leaves, &id), ==, 1);
}

static void test_source(void)
{
  g_autoptr(HfIdentity) identity = hf_identity_new(&test_seed);
  HfShortId source;
  hf_identity_source(identity, "home", &source);
  assert_parts(source.b, sizeof source.b, "0b42a011f3c8a009c9bfe90b2d81264a");
}

static void test_gear(void)
{
  guint64 gear[256];
  hf_gear_table(&test_seed, gear);
  g_assert_cmphex(gear[0], ==, 0x60a96c6f135fa4d1);
  g_assert_cmphex(gear[1], ==, 0x3e3a0ebce81bfcb0);
  g_assert_cmphex(gear[255], ==, 0xa13b7bf72afb46a2);
}

int main(int argc, char **argv)
{
  test_begin(&argc, &argv);
  g_test_add_func("/blob/types", test_types);
  g_test_add_func("/blob/blobs", test_blobs);
  g_test_add_func("/blob/blocks", test_blocks);
  g_test_add_func("/blob/source", test_source);
  g_test_add_func("/blob/gear", test_gear);
  return g_test_run();
}
