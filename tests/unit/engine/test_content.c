/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Contents of files and disks at any offset (engine/browse/file.c). */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.h"
#include "treelab.h"

#define SIZE (1500u << 10)
#define BLOCK (256u << 10)

static HfTreeFile *open_file(Eyes *eyes, const char *path)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(HfTreeNode) node = hf_tree_lookup(eyes->browser, eyes->tree, path, &error);
  g_assert_no_error(error);
  HfTreeFile *file = hf_tree_file_open(eyes->browser, eyes->tree, node, &error);
  g_assert_no_error(error);
  return file;
}

/* Reads here and there, small and large, and compares. */
static void compare_reads(HfTreeFile *file, const guint8 *bytes, gsize size)
{
  g_autoptr(GError) error = NULL;
  g_autofree guint8 *found = g_malloc(size + 100);
  g_autoptr(GRand) random = g_rand_new_with_seed(7);
  g_assert_cmpuint(hf_tree_file_size(file), ==, size);
  g_assert_cmpint(hf_tree_file_read(file, 0, found, size + 100, &error), ==, size);
  assert_bytes(found, size, bytes, size);
  g_assert_cmpint(hf_tree_file_read(file, size, found, 1, &error), ==, 0);
  g_assert_cmpint(hf_tree_file_read(file, size + 5, found, 1, &error), ==, 0);
  for (guint i = 0; i < 200 && size > 0; i++) {
    gsize at = (gsize)g_rand_int_range(random, 0, (gint32)size);
    gsize length = (gsize)g_rand_int_range(random, 1, i % 2 ? 300000 : 5000), wanted = MIN(length, size - at);
    g_assert_cmpint(hf_tree_file_read(file, at, found, length, &error), ==, wanted);
    assert_bytes(found, wanted, bytes + at, wanted);
  }
  g_assert_no_error(error);
}

static void test_backed_up(void)
{
  static const gsize sizes[] = { 0, 1, 511, 512, 513, 4096, 4097, 70000, SIZE };
  g_autoptr(TreeLab) lab = tree_lab_new();
  g_autofree guint8 *bytes = g_malloc(SIZE);
  Eyes eyes;
  hf_fixture_noise(bytes, SIZE, 1);
  for (guint i = 0; i < G_N_ELEMENTS(sizes); i++) {
    g_autofree char *name = g_strdup_printf("src/%u", i);
    tree_lab_file(lab, name, bytes + i, sizes[i] - (sizes[i] == SIZE ? i : 0));
  }
  HfPointInfo *info = tree_lab_backup(lab, "src");
  eyes_open(&eyes, lab, info);
  for (guint i = 0; i < G_N_ELEMENTS(sizes); i++) {
    g_autofree char *name = g_strdup_printf("src/%u", i), *path = tree_lab_path(lab, name);
    g_autoptr(HfTreeFile) file = open_file(&eyes, path);
    compare_reads(file, bytes + i, sizes[i] - (sizes[i] == SIZE ? i : 0));
  }
  g_autofree char *src = tree_lab_path(lab, "src");
  g_autoptr(GError) error = NULL;
  g_autoptr(HfTreeNode) folder = hf_tree_lookup(eyes.browser, eyes.tree, src, &error);
  g_assert_null(hf_tree_file_open(eyes.browser, eyes.tree, folder, &error));
  assert_code(error, HF_ERROR_USAGE);
  eyes_close(&eyes);
  hf_point_info_free(info);
}

/* A list of three levels, with holes. */
static void test_levels(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  g_autofree guint8 *bytes = g_malloc0(SIZE);
  Maker maker;
  Eyes eyes;
  gsize at = 0;
  HfListItem top[3];
  maker_begin(&maker, lab);
  for (guint i = 0; i < 3; i++) {
    HfListItem middle[4];
    top[i] = (HfListItem){ 0 };
    for (guint k = 0; k < 4; k++) {
      HfListItem leaf[5];
      middle[k] = (HfListItem){ 0 };
      for (guint m = 0; m < 5; m++) {
        leaf[m] = (HfListItem){ .length = 1000 + 300 * m + k, .hole = m == 3 };
        if (!leaf[m].hole) {
          hf_fixture_noise(bytes + at, leaf[m].length, i * 100 + k * 10 + m);
          leaf[m].ref = maker_blob(&maker, HF_BLOB_DATA, NULL, 0, bytes + at, leaf[m].length);
        }
        middle[k].length += leaf[m].length;
        at += leaf[m].length;
      }
      middle[k].ref = maker_list(&maker, 0, leaf, 5);
      top[i].length += middle[k].length;
    }
    top[i].ref = maker_list(&maker, 1, middle, 4);
  }
  HfId list = maker_list(&maker, 2, top, 3);
  HfEntry root = file_entry("/f", HF_CONTENT_LIST, at, &list);
  HfPointInfo *info = maker_commit(&maker, &root, 1, NULL);
  eyes_open(&eyes, lab, info);
  g_autoptr(HfTreeFile) file = open_file(&eyes, "/f");
  compare_reads(file, bytes, at);
  guint extents = 0, holes = 0;
  for (guint64 next = 0; next < at; extents++) {
    HfTreeExtent extent;
    g_assert_true(hf_tree_file_extent(file, next, &extent, NULL));
    g_assert_cmpuint(extent.offset, ==, next);
    holes += extent.hole;
    next += extent.length;
  }
  g_assert_cmpuint(extents, ==, 60);
  g_assert_cmpuint(holes, ==, 12);
  eyes_close(&eyes);
  hf_point_info_free(info);
}

static void test_disk(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  gsize size = 5 * BLOCK + 512 * 3;
  g_autofree guint8 *bytes = g_malloc0(size);
  Maker maker;
  Eyes eyes;
  HfId blocks[6] = { 0 };
  maker_begin(&maker, lab);
  for (guint i = 0; i < 6; i++) {
    gsize length = MIN(BLOCK, size - i * BLOCK);
    if (i == 1 || i == 4)
      continue;
    hf_fixture_noise(bytes + i * BLOCK, length, i);
    blocks[i] = maker_block(&maker, bytes + i * BLOCK, length);
  }
  HfId map = maker_map(&maker, 0, blocks, 6), zeros = maker_map(&maker, 0, NULL, 2);
  /* 1,500 blocks: two levels; of the second half only one block is there. */
  HfId upper_blocks[2] = { 0 }, sparse[500 - 24] = { 0 };
  sparse[400] = blocks[0];
  upper_blocks[1] = maker_map(&maker, 0, sparse, G_N_ELEMENTS(sparse));
  HfId upper = maker_map(&maker, 1, upper_blocks, 2);
  guint64 large = (guint64)1500 * BLOCK;
  HfEntry roots[] = { disk_entry("/dev/a", size, &map), disk_entry("/dev/b", large, &upper),
                      disk_entry("/dev/c", 1 << 20, NULL), disk_entry("/dev/d", 2 * BLOCK, &zeros) };
  HfPointInfo *info = maker_commit(&maker, roots, 4, NULL);
  eyes_open(&eyes, lab, info);
  g_autoptr(HfTreeFile) a = open_file(&eyes, "/dev/a"), b = open_file(&eyes, "/dev/b");
  g_autoptr(HfTreeFile) c = open_file(&eyes, "/dev/c"), d = open_file(&eyes, "/dev/d");
  compare_reads(a, bytes, size);
  g_autofree guint8 *nothing = g_malloc0(1 << 20), *found = g_malloc(BLOCK + 20);
  compare_reads(c, nothing, 1 << 20);
  compare_reads(d, nothing, 2 * BLOCK);
  g_assert_cmpuint(hf_tree_file_size(b), ==, large);
  g_assert_cmpint(hf_tree_file_read(b, (guint64)1424 * BLOCK - 10, found, BLOCK + 20, NULL), ==, BLOCK + 20);
  g_assert_true(hf_bytes_all_zero(found, 10));
  assert_bytes(found + 10, BLOCK, bytes, BLOCK);
  g_assert_true(hf_bytes_all_zero(found + 10 + BLOCK, 10));
  HfTreeExtent extent;
  g_assert_true(hf_tree_file_extent(b, 5, &extent, NULL));
  g_assert_true(extent.hole);
  g_assert_cmpuint(extent.length, ==, (guint64)1024 * BLOCK);
  eyes_close(&eyes);
  hf_point_info_free(info);
}

/* ---- Damage and lies. ---- */

typedef struct BadCase {
  const char *path;
  HfErrorCode code;
  guint64 read_at;
} BadCase;

static void test_bad(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  Maker maker;
  Eyes eyes;
  maker_begin(&maker, lab);
  HfId ten = maker_text(&maker, "0123456789"), lost = maker_lost();
  HfListItem items[3] = { { 10, FALSE, ten }, { 10, FALSE, lost }, { 10, FALSE, ten } };
  HfId gap = maker_list(&maker, 0, items, 3);
  HfListItem part = { 30, FALSE, gap }, parts[2] = { { 30, FALSE, gap }, { 20, FALSE, lost } };
  HfId halves = maker_list(&maker, 1, parts, 2), jump = maker_list(&maker, 2, &part, 1);
  HfListItem longer = { 11, FALSE, ten };
  HfId wrong = maker_list(&maker, 0, &longer, 1);
  HfId map = maker_map(&maker, 0, NULL, 2), flat = maker_map(&maker, 0, NULL, 1024);
  HfEntry roots[] = {
    file_entry("/blob", HF_CONTENT_BLOB, 10, &lost), file_entry("/gap", HF_CONTENT_LIST, 30, &gap),
    file_entry("/halves", HF_CONTENT_LIST, 50, &halves), file_entry("/jump", HF_CONTENT_LIST, 30, &jump),
    file_entry("/long", HF_CONTENT_LIST, 31, &gap),
    disk_entry("/map", 3 * BLOCK, &map), disk_entry("/maplevel", (guint64)2000 * BLOCK, &flat),
    file_entry("/notext", HF_CONTENT_LIST, 10, &ten), file_entry("/short", HF_CONTENT_BLOB, 9, &ten),
    file_entry("/tail", HF_CONTENT_INLINE, 11, NULL), file_entry("/wrong", HF_CONTENT_LIST, 11, &wrong),
  };
  static const BadCase cases[] = {
    { "/blob", HF_ERROR_DAMAGED, 0 },    { "/gap", HF_ERROR_DAMAGED, 10 },     { "/halves", HF_ERROR_DAMAGED, 45 },
    { "/jump", HF_ERROR_INVALID, 0 },    { "/long", HF_ERROR_INVALID, 0 },     { "/map", HF_ERROR_INVALID, 0 },
    { "/maplevel", HF_ERROR_INVALID, 0 }, { "/notext", HF_ERROR_INVALID, 0 },  { "/short", HF_ERROR_INVALID, 0 },
    { "/tail", HF_ERROR_INVALID, 5 },    { "/wrong", HF_ERROR_INVALID, 0 },
  };
  HfPointInfo *info = maker_commit(&maker, roots, G_N_ELEMENTS(roots), &ten);
  eyes_open(&eyes, lab, info);
  for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
    g_autoptr(GError) error = NULL;
    g_autoptr(HfTreeFile) file = open_file(&eyes, cases[i].path);
    guint8 byte;
    g_assert_cmpint(hf_tree_file_read(file, cases[i].read_at, &byte, 1, &error), ==, -1);
    g_test_message("%s: %s", cases[i].path, error->message);
    assert_code(error, cases[i].code);
  }
  char text[30];
  HfTreeExtent extent;
  g_autoptr(HfTreeFile) holed = open_file(&eyes, "/gap"), halved = open_file(&eyes, "/halves");
  g_assert_cmpint(hf_tree_file_read(holed, 20, text, 30, NULL), ==, 10);
  assert_bytes(text, 10, "0123456789", 10);
  g_assert_cmpint(hf_tree_file_read(halved, 22, text, 8, NULL), ==, 8);
  g_assert_false(hf_tree_file_extent(halved, 33, &extent, NULL));
  g_assert_cmpuint(extent.offset, ==, 30);
  g_assert_cmpuint(extent.length, ==, 20);
  eyes_close(&eyes);
  hf_point_info_free(info);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/content/backed-up", test_backed_up);
  g_test_add_func("/content/levels", test_levels);
  g_test_add_func("/content/disk", test_disk);
  g_test_add_func("/content/bad", test_bad);
  return g_test_run();
}
