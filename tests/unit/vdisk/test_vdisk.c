/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "vdisk/vdisk.h"

#include <string.h>

#include "fixture.h"
#include "treelab.h"
#include "vdisk/maps.h"

#define BLOCK (256u << 10)
#define SPAN ((guint64)BLOCK * HF_MAP_FANOUT)

/* ---- A disk of seven blocks: noise, zeros, the same noise, half a piece, lost, zeros, a short one. ---- */

#define SMALL_SIZE (6 * BLOCK + 1000)
#define LOST_BLOCK 4u

typedef struct Small {
  TreeLab *lab;
  HfPointInfo *info;
  Eyes eyes;
  HfVdisk *vdisk;
  guint8 *bytes;
} Small;

static HfVdisk *open_vdisk(Eyes *eyes, const HfPointInfo *info, const HfEntry *entry)
{
  GError *error = NULL;
  HfVdisk *vdisk = hf_vdisk_open(eyes->cache, info->point.domain, entry, &error);
  g_assert_no_error(error);
  return vdisk;
}

static void small_open(Small *small)
{
  Maker maker;
  HfId blocks[7] = { 0 };
  small->lab = tree_lab_new();
  small->bytes = g_malloc0(SMALL_SIZE);
  hf_fixture_noise(small->bytes, BLOCK, 1);
  hf_fixture_noise(small->bytes + 2 * BLOCK, BLOCK, 1);
  hf_fixture_noise(small->bytes + 3 * BLOCK, 64 << 10, 2);
  hf_fixture_noise(small->bytes + 6 * BLOCK, 1000, 3);
  maker_begin(&maker, small->lab);
  for (guint i = 0; i < 7; i++)
    if (i == LOST_BLOCK)
      blocks[i] = maker_lost();
    else if (i != 1 && i != 5)
      blocks[i] = maker_block(&maker, small->bytes + i * BLOCK, i == 6 ? 1000 : BLOCK);
  HfId map = maker_map(&maker, 0, blocks, 7);
  HfEntry root = disk_entry("/dev/disk", SMALL_SIZE, &map);
  root.sector_size = 4096;
  small->info = maker_commit(&maker, &root, 1, NULL);
  eyes_open(&small->eyes, small->lab, small->info);
  small->vdisk = open_vdisk(&small->eyes, small->info, &root);
}

static void small_close(Small *small)
{
  hf_vdisk_free(small->vdisk);
  eyes_close(&small->eyes);
  hf_point_info_free(small->info);
  tree_lab_free(small->lab);
  g_free(small->bytes);
}

static gboolean touches_lost(guint64 offset, gsize length)
{
  return length > 0 && offset < (LOST_BLOCK + 1) * BLOCK && offset + length > LOST_BLOCK * BLOCK;
}

/* Reads and compares; where the lost block is touched it must fail, and as damage. */
static void check_read(Small *small, guint64 offset, gsize length)
{
  g_autoptr(GError) error = NULL;
  g_autofree guint8 *found = g_malloc(length + 1);
  found[length] = 0x5a;
  gboolean good = hf_vdisk_read(small->vdisk, offset, found, length, &error);
  g_assert_cmpint(good, ==, !touches_lost(offset, length));
  g_assert_cmpuint(found[length], ==, 0x5a);
  if (good)
    assert_bytes(found, length, small->bytes + offset, length);
  else
    assert_code(error, HF_ERROR_DAMAGED);
}

static void test_reads(void)
{
  Small small;
  const guint64 edges[] = { 0, 1, 4095, 128 << 10, (128 << 10) - 1, BLOCK - 1, BLOCK, 2 * BLOCK, 3 * BLOCK + (64 << 10),
                            LOST_BLOCK * BLOCK, (LOST_BLOCK + 1) * BLOCK, 6 * BLOCK, 6 * BLOCK + 999, SMALL_SIZE };
  small_open(&small);
  g_assert_cmpuint(hf_vdisk_size(small.vdisk), ==, SMALL_SIZE);
  g_assert_cmpuint(hf_vdisk_sector_size(small.vdisk), ==, 4096);
  g_assert_cmpuint(hf_vdisk_block_size(small.vdisk), ==, BLOCK);
  for (guint i = 0; i < G_N_ELEMENTS(edges); i++)
    for (guint j = i; j < G_N_ELEMENTS(edges); j++)
      check_read(&small, MIN(edges[i], edges[j]), (gsize)(MAX(edges[i], edges[j]) - MIN(edges[i], edges[j])));
  GRand *rand = g_rand_new_with_seed(42);
  for (guint i = 0; i < 2000; i++) {
    guint64 offset = (guint64)g_rand_int_range(rand, 0, SMALL_SIZE);
    gsize length = (gsize)g_rand_int_range(rand, 0, i % 3 ? 9000 : 2 * BLOCK);
    check_read(&small, offset, MIN(SMALL_SIZE - offset, length));
  }
  g_rand_free(rand);
  small_close(&small);
}

static void test_outside(void)
{
  Small small;
  guint8 bytes[16];
  gboolean zero;
  guint64 length;
  g_autoptr(GError) error = NULL;
  small_open(&small);
  const guint64 offsets[] = { SMALL_SIZE + 1, SMALL_SIZE - 15, G_MAXUINT64, G_MAXUINT64 - 10 };
  for (guint i = 0; i < G_N_ELEMENTS(offsets); i++) {
    g_assert_false(hf_vdisk_read(small.vdisk, offsets[i], bytes, sizeof bytes, &error));
    assert_code(error, HF_ERROR_USAGE);
    g_clear_error(&error);
  }
  g_assert_false(hf_vdisk_extent(small.vdisk, SMALL_SIZE, &zero, &length, &error));
  assert_code(error, HF_ERROR_USAGE);
  small_close(&small);
  hf_vdisk_free(NULL);
}

static void assert_extent(HfVdisk *vdisk, guint64 offset, gboolean zero, guint64 length)
{
  gboolean found_zero;
  guint64 found;
  GError *error = NULL;
  hf_vdisk_extent(vdisk, offset, &found_zero, &found, &error);
  g_assert_no_error(error);
  g_assert_cmpint(found_zero, ==, zero);
  g_assert_cmpuint(found, ==, length);
}

static void test_extents(void)
{
  Small small;
  guint64 bytes;
  small_open(&small);
  assert_extent(small.vdisk, 0, FALSE, BLOCK);
  assert_extent(small.vdisk, 100, FALSE, BLOCK - 100);
  assert_extent(small.vdisk, BLOCK, TRUE, BLOCK);
  assert_extent(small.vdisk, 2 * BLOCK + 1, FALSE, 3 * BLOCK - 1);
  assert_extent(small.vdisk, 5 * BLOCK, TRUE, BLOCK);
  assert_extent(small.vdisk, 6 * BLOCK, FALSE, 1000);
  assert_extent(small.vdisk, SMALL_SIZE - 1, FALSE, 1);
  g_assert_true(hf_vdisk_data_bytes(small.vdisk, &bytes, NULL));
  g_assert_cmpuint(bytes, ==, 5 * BLOCK);
  small_close(&small);
}

/* ---- Many threads. ---- */

static gpointer read_much(gpointer data)
{
  Small *small = data;
  for (guint i = 0; i < 300; i++) {
    guint64 offset = (guint64)g_random_int_range(0, SMALL_SIZE);
    gsize length = (gsize)g_random_int_range(1, 40000);
    check_read(small, offset, MIN(SMALL_SIZE - offset, length));
  }
  return NULL;
}

static void test_threads(void)
{
  Small small;
  GThread *threads[8];
  small_open(&small);
  for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
    threads[i] = g_thread_new("read", read_much, &small);
  for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
    g_thread_join(threads[i]);
  small_close(&small);
}

/* ---- More map pages than are kept, three levels of them. ---- */

/* Leaf number `i` of a large disk has its only block at i % 1024. */
static void test_many_maps(void)
{
  const guint leaves = HF_MAPS_KEPT + 50, middle = 3;
  g_autoptr(TreeLab) lab = tree_lab_new();
  g_autofree HfId *maps = g_new0(HfId, HF_MAP_FANOUT);
  guint8 noise[4096], found[4096], zeros[4096] = { 0 };
  HfId uppers[2] = { 0 };
  guint64 size = (HF_MAP_FANOUT + 1) * SPAN, bytes;
  g_autofree guint8 *block = g_malloc0(BLOCK);
  Maker maker;
  Eyes eyes;
  maker_begin(&maker, lab);
  hf_fixture_noise(noise, sizeof noise, 9);
  memcpy(block + 8192, noise, sizeof noise);
  HfId one = maker_block(&maker, block, BLOCK);
  for (guint i = 0; i < leaves; i++) {
    g_autofree HfId *blocks = g_new0(HfId, HF_MAP_FANOUT);
    blocks[i] = one;
    maps[middle + i] = maker_map(&maker, 0, blocks, HF_MAP_FANOUT);
  }
  uppers[0] = maker_map(&maker, 1, maps, HF_MAP_FANOUT);
  HfId top = maker_map(&maker, 2, uppers, 2);
  HfEntry root = disk_entry("/dev/large", size, &top);
  HfPointInfo *info = maker_commit(&maker, &root, 1, NULL);
  eyes_open(&eyes, lab, info);
  HfVdisk *vdisk = open_vdisk(&eyes, info, &root);
  for (guint round = 0; round < 2; round++)
    for (guint i = 0; i < leaves; i++) {
      guint64 at = (middle + i) * SPAN + (guint64)i * BLOCK;
      g_assert_true(hf_vdisk_read(vdisk, at + 8192, found, sizeof found, NULL));
      assert_bytes(found, sizeof found, noise, sizeof noise);
      g_assert_true(hf_vdisk_read(vdisk, at + BLOCK, found, sizeof found, NULL));
      assert_bytes(found, sizeof found, zeros, sizeof zeros);
      assert_extent(vdisk, at + 5, FALSE, BLOCK - 5);
    }
  assert_extent(vdisk, 0, TRUE, middle * SPAN);
  assert_extent(vdisk, middle * SPAN + BLOCK, TRUE, SPAN - BLOCK);
  assert_extent(vdisk, (middle + leaves) * SPAN, TRUE, (HF_MAP_FANOUT - middle - leaves) * SPAN);
  assert_extent(vdisk, HF_MAP_FANOUT * SPAN, TRUE, SPAN);
  g_assert_true(hf_vdisk_data_bytes(vdisk, &bytes, NULL));
  /* Only so many pages are looked at: those below count whole. */
  g_assert_cmpuint(bytes, ==, (HF_MAPS_COUNTED - 1) * (guint64)BLOCK + (leaves - HF_MAPS_COUNTED + 1) * SPAN);
  hf_vdisk_free(vdisk);
  eyes_close(&eyes);
  hf_point_info_free(info);
}

/* ---- Disks that are none, or not right. ---- */

static void test_zeros(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  guint8 found[1000];
  guint64 bytes;
  Maker maker;
  Eyes eyes;
  maker_begin(&maker, lab);
  HfEntry root = disk_entry("/dev/zeros", 5 * SPAN + 3, NULL);
  HfPointInfo *info = maker_commit(&maker, &root, 1, NULL);
  eyes_open(&eyes, lab, info);
  HfVdisk *vdisk = open_vdisk(&eyes, info, &root);
  assert_extent(vdisk, 10, TRUE, 5 * SPAN + 3 - 10);
  memset(found, 1, sizeof found);
  g_assert_true(hf_vdisk_read(vdisk, 5 * SPAN + 3 - 1000, found, 1000, NULL));
  g_assert_true(hf_bytes_all_zero(found, 1000));
  g_assert_true(hf_vdisk_data_bytes(vdisk, &bytes, NULL));
  g_assert_cmpuint(bytes, ==, 0);
  hf_vdisk_free(vdisk);
  eyes_close(&eyes);
  hf_point_info_free(info);
}

static void assert_malformed(Eyes *eyes, const HfPointInfo *info, const HfEntry *entry, guint64 offset,
                             HfErrorCode code)
{
  guint8 bytes[16];
  gboolean zero;
  guint64 length;
  g_autoptr(GError) error = NULL;
  HfVdisk *vdisk = open_vdisk(eyes, info, entry);
  for (guint i = 0; i < 2; i++) { /* the second time it comes from no cache either */
    g_assert_false(hf_vdisk_read(vdisk, offset, bytes, sizeof bytes, &error));
    assert_code(error, code);
    g_clear_error(&error);
    g_assert_false(hf_vdisk_extent(vdisk, offset, &zero, &length, &error));
    assert_code(error, code);
    g_clear_error(&error);
  }
  hf_vdisk_free(vdisk);
}

static void test_malformed(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  Maker maker;
  Eyes eyes;
  HfId lost[3] = { maker_lost(), maker_lost(), maker_lost() };
  guint64 bytes;
  g_autoptr(GError) error = NULL;
  maker_begin(&maker, lab);
  HfId flat = maker_map(&maker, 0, lost, 3), deep = maker_map(&maker, 1, lost, 3), text = maker_text(&maker, "no map");
  HfId gone = maker_lost();
  HfEntry roots[] = {
    disk_entry("/a", 4 * BLOCK, &flat), disk_entry("/b", 3 * BLOCK, &deep), disk_entry("/c", 2 * SPAN, &flat),
    disk_entry("/d", 3 * BLOCK, &text), disk_entry("/e", 3 * BLOCK, &gone), disk_entry("/f", 3 * SPAN, &deep),
  };
  HfPointInfo *info = maker_commit(&maker, roots, G_N_ELEMENTS(roots), NULL);
  eyes_open(&eyes, lab, info);
  for (guint i = 0; i < 3; i++)
    assert_malformed(&eyes, info, &roots[i], 5, HF_ERROR_INVALID);
  assert_malformed(&eyes, info, &roots[3], 5, HF_ERROR_INVALID);
  assert_malformed(&eyes, info, &roots[4], 5, HF_ERROR_DAMAGED);
  assert_malformed(&eyes, info, &roots[5], 5, HF_ERROR_DAMAGED);
  HfVdisk *vdisk = open_vdisk(&eyes, info, &roots[4]);
  g_assert_false(hf_vdisk_data_bytes(vdisk, &bytes, &error));
  assert_code(error, HF_ERROR_DAMAGED);
  g_clear_error(&error);
  hf_vdisk_free(vdisk);
  vdisk = open_vdisk(&eyes, info, &roots[5]);
  g_assert_false(hf_vdisk_data_bytes(vdisk, &bytes, &error));
  assert_code(error, HF_ERROR_DAMAGED);
  hf_vdisk_free(vdisk);
  eyes_close(&eyes);
  hf_point_info_free(info);
}

static void test_no_disk(void)
{
  Small small;
  g_autoptr(GError) error = NULL;
  small_open(&small);
  HfEntry entry = file_entry("file", HF_CONTENT_NONE, 0, NULL);
  g_assert_null(hf_vdisk_open(small.eyes.cache, small.info->point.domain, &entry, &error));
  assert_code(error, HF_ERROR_USAGE);
  g_clear_error(&error);
  entry = disk_entry("/dev/x", 10, NULL);
  g_assert_null(hf_vdisk_open(small.eyes.cache, 77, &entry, &error)); /* a domain whose key we lack */
  assert_code(error, HF_ERROR_PERMISSION);
  g_clear_error(&error);
  entry.block_size = 1000;
  g_assert_null(hf_vdisk_open(small.eyes.cache, small.info->point.domain, &entry, &error));
  assert_code(error, HF_ERROR_USAGE);
  small_close(&small);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/vdisk/reads", test_reads);
  g_test_add_func("/vdisk/outside", test_outside);
  g_test_add_func("/vdisk/extents", test_extents);
  g_test_add_func("/vdisk/threads", test_threads);
  g_test_add_func("/vdisk/many-maps", test_many_maps);
  g_test_add_func("/vdisk/zeros", test_zeros);
  g_test_add_func("/vdisk/malformed", test_malformed);
  g_test_add_func("/vdisk/no-disk", test_no_disk);
  return g_test_run();
}
