/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Backing up disks, whole and by tracking; what is stored is read back through a vdisk. */
#include <string.h>

#include "engine/backup/backup.h"
#include "fakedisk.h"
#include "repo/objects.h"
#include "treelab.h"
#include "vdisk/vdisk.h"

#define BLOCK (256u << 10)
#define SPAN ((guint64)BLOCK * HF_MAP_FANOUT)
#define TIB ((guint64)1 << 40)

/* ---- Running. ---- */

static FakeDisk *new_disk(TreeLab *lab, const char *name, guint64 size)
{
  g_autofree char *path = tree_lab_path(lab, name);
  return fake_disk_new(path, size);
}

static gboolean try_backup(TreeLab *lab, HfBackupOptions options, HfBackupResult *result, GError **error, ...)
{
  va_list fakes;
  g_autoptr(GPtrArray) paths = g_ptr_array_new();
  va_start(fakes, error);
  for (FakeDisk *fake; (fake = va_arg(fakes, FakeDisk *)) != NULL;)
    g_ptr_array_add(paths, fake->path);
  va_end(fakes);
  options.name = "lab";
  options.paths = paths;
  options.disks = TRUE;
  options.codec = -1;
  return hf_backup(lab->repo, &options, result, error);
}

static HfBackupResult back_up(TreeLab *lab, FakeDisk *fake)
{
  GError *error = NULL;
  HfBackupResult result;
  try_backup(lab, (HfBackupOptions){ 0 }, &result, &error, fake, NULL);
  g_assert_no_error(error);
  g_assert_cmpuint(result.bytes, ==, fake->size);
  g_assert_cmpuint(result.files, ==, 1);
  return result;
}

static void assert_fails(TreeLab *lab, HfBackupOptions options, FakeDisk *fake, HfErrorCode code, const char *text)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GPtrArray) before = hf_points_load(lab->repo, NULL, NULL);
  HfBackupResult result;
  g_assert_false(try_backup(lab, options, &result, &error, fake, NULL));
  assert_code(error, code);
  g_assert_nonnull(strstr(error->message, text));
  g_autoptr(GPtrArray) after = hf_points_load(lab->repo, NULL, NULL);
  g_assert_cmpuint(after->len, ==, before->len);
}

/* ---- Looking at the newest point. ---- */

typedef struct Look {
  HfPointInfo *info;
  Eyes eyes;
  HfTreeNode *node;
  HfVdisk *vdisk;
} Look;

static void look_open(Look *look, TreeLab *lab, const FakeDisk *fake)
{
  GError *error = NULL;
  look->info = tree_lab_newest(lab);
  eyes_open(&look->eyes, lab, look->info);
  look->node = hf_tree_lookup(look->eyes.browser, look->eyes.tree, fake->path, &error);
  g_assert_no_error(error);
  look->vdisk = hf_vdisk_open(look->eyes.cache, look->info->point.domain, &look->node->entry, &error);
  g_assert_no_error(error);
  g_assert_cmpuint(hf_vdisk_size(look->vdisk), ==, fake->size);
  g_assert_cmpuint(hf_vdisk_sector_size(look->vdisk), ==, fake->sector_size);
}

static void look_close(Look *look)
{
  hf_vdisk_free(look->vdisk);
  hf_tree_node_free(look->node);
  eyes_close(&look->eyes);
  hf_point_info_free(look->info);
}

static void assert_range(Look *look, const FakeDisk *fake, guint64 offset, gsize length)
{
  GError *error = NULL;
  g_autofree guint8 *found = g_malloc(length), *wanted = g_malloc(length);
  hf_vdisk_read(look->vdisk, offset, found, length, &error);
  g_assert_no_error(error);
  fake_disk_bytes(fake, offset, wanted, length);
  g_assert_true(memcmp(found, wanted, length) == 0);
}

/* All of it where it is small; of a large one all noise, with a block around it, and both ends. */
static void assert_disk(TreeLab *lab, const FakeDisk *fake)
{
  Look look;
  look_open(&look, lab, fake);
  if (fake->size <= 64u << 20)
    assert_range(&look, fake, 0, (gsize)fake->size);
  assert_range(&look, fake, 0, (gsize)MIN(BLOCK, fake->size));
  assert_range(&look, fake, fake->size - MIN(fake->size, 4096), (gsize)MIN(fake->size, 4096));
  for (guint i = 0; i < fake->ranges->len; i++) {
    const FakeRange *range = &g_array_index(fake->ranges, FakeRange, i);
    guint64 from = range->offset - MIN(range->offset, BLOCK),
            to = MIN(range->offset + range->length + BLOCK, fake->size);
    assert_range(&look, fake, from, (gsize)(to - from));
  }
  look_close(&look);
}

static guint64 data_blocks(TreeLab *lab, const FakeDisk *fake)
{
  Look look;
  guint64 blocks = 0;
  look_open(&look, lab, fake);
  for (guint64 at = 0, length; at < fake->size; at += length) {
    gboolean zero;
    g_assert_true(hf_vdisk_extent(look.vdisk, at, &zero, &length, NULL));
    g_assert_cmpuint(length, >, 0);
    g_assert_cmpuint(at + length, <=, fake->size);
    blocks += zero ? 0 : (length + BLOCK - 1) / BLOCK;
  }
  look_close(&look);
  return blocks;
}

/* Blocks that noise touches. */
static guint64 noisy_blocks(const FakeDisk *fake)
{
  g_autoptr(GHashTable) blocks = g_hash_table_new(NULL, NULL);
  for (guint i = 0; i < fake->ranges->len; i++) {
    const FakeRange *range = &g_array_index(fake->ranges, FakeRange, i);
    for (guint64 block = range->offset / BLOCK; block * BLOCK < range->offset + range->length; block++)
      g_hash_table_add(blocks, (gpointer)(block + 1));
  }
  return g_hash_table_size(blocks);
}

/* ---- Sizes. ---- */

static void test_sizes(void)
{
  const guint64 sizes[] = { 1, 511, 512, 4097, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 5 * BLOCK + 777, SPAN - 1, SPAN,
                            SPAN + 1, SPAN + BLOCK + 5 };
  for (guint i = 0; i < G_N_ELEMENTS(sizes); i++) {
    guint64 size = sizes[i];
    g_autoptr(TreeLab) lab = tree_lab_new();
    g_autoptr(FakeDisk) fake = new_disk(lab, "disk", size);
    fake_disk_noise(fake, 0, MIN(size, 700), 1);
    fake_disk_noise(fake, size / 2, MIN(size - size / 2, 5), 2);
    fake_disk_noise(fake, size - 1, 1, 3);
    HfBackupResult result = back_up(lab, fake);
    g_assert_cmpuint(fake->bytes_read, ==, size);
    g_assert_cmpuint(fake->longest_read, <=, BLOCK);
    g_assert_cmpuint(result.warnings, ==, 0);
    assert_disk(lab, fake);
    g_assert_cmpuint(data_blocks(lab, fake), ==, noisy_blocks(fake));
    /* Nothing changed: nothing is stored but the point. */
    result = back_up(lab, fake);
    g_assert_cmpuint(result.new_bytes, ==, 0);
    assert_disk(lab, fake);
  }
}

static void test_zeros(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  g_autoptr(FakeDisk) fake = new_disk(lab, "disk", 40 * (guint64)BLOCK + 1);
  HfBackupResult result = back_up(lab, fake);
  g_assert_cmpuint(result.new_bytes, <, 200);
  g_assert_cmpuint(data_blocks(lab, fake), ==, 0);
  Look look;
  look_open(&look, lab, fake);
  g_assert_cmpuint(look.node->entry.content, ==, HF_CONTENT_NONE);
  look_close(&look);
  assert_disk(lab, fake);
}

/* Three levels of maps, nearly all of it holes: nothing is read but the rest. */
static void test_huge(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  g_autoptr(FakeDisk) fake = new_disk(lab, "disk", 3 * TIB + 12345);
  const guint64 places[] = { 0, 7 * SPAN - 1, TIB + 4096, 3 * TIB };
  guint64 at = 0;
  for (guint i = 0; i < G_N_ELEMENTS(places); i++) {
    fake_disk_noise(fake, places[i], 12345, i);
    fake_disk_extent(fake, places[i] - at, HF_EXTENT_ZERO);
    fake_disk_extent(fake, 12345, HF_EXTENT_DATA);
    at = places[i] + 12345;
  }
  gint64 begun = g_get_monotonic_time();
  back_up(lab, fake);
  g_test_message("%.2f s", (double)(g_get_monotonic_time() - begun) / G_USEC_PER_SEC);
  g_assert_cmpuint(fake->bytes_read, <=, 5 * BLOCK);
  assert_disk(lab, fake);
  g_assert_cmpuint(data_blocks(lab, fake), ==, noisy_blocks(fake));
  Look look;
  guint64 bytes;
  look_open(&look, lab, fake);
  g_assert_true(hf_vdisk_data_bytes(look.vdisk, &bytes, NULL));
  g_assert_cmpuint(bytes, >=, 4 * BLOCK + 12345);
  g_assert_cmpuint(bytes, <=, 5 * BLOCK);
  look_close(&look);
}

/* Holes that begin and end inside blocks. */
static void test_ragged_extents(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  g_autoptr(FakeDisk) fake = new_disk(lab, "disk", 10 * (guint64)BLOCK + 100);
  fake_disk_noise(fake, BLOCK / 2, BLOCK, 1);
  fake_disk_noise(fake, 5 * BLOCK + 1, 1, 2);
  fake_disk_noise(fake, 10 * BLOCK + 99, 1, 3);
  fake_disk_extent(fake, BLOCK / 2, HF_EXTENT_ZERO);
  fake_disk_extent(fake, BLOCK / 4, HF_EXTENT_DATA);
  fake_disk_extent(fake, 3 * BLOCK / 4, HF_EXTENT_DATA);
  fake_disk_extent(fake, 3 * BLOCK + BLOCK / 2 + 1, HF_EXTENT_ZERO);
  fake_disk_extent(fake, 1, HF_EXTENT_DATA);
  fake_disk_extent(fake, BLOCK, HF_EXTENT_ZERO);
  fake_disk_extent(fake, 4 * BLOCK - 2 + 99, HF_EXTENT_ZERO);
  fake_disk_extent(fake, 1, HF_EXTENT_DATA);
  back_up(lab, fake);
  g_assert_cmpuint(fake->bytes_read, ==, 3 * BLOCK + 100);
  assert_disk(lab, fake);
}

static void test_only_changes_are_stored(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  g_autoptr(FakeDisk) fake = new_disk(lab, "disk", 50 * (guint64)BLOCK);
  fake_disk_noise(fake, 0, 50 * BLOCK, 1);
  HfBackupResult result = back_up(lab, fake);
  g_assert_cmpuint(result.new_bytes, >=, 50 * BLOCK);
  fake_disk_noise(fake, 7 * BLOCK + 5, 1, 2);
  fake_disk_noise(fake, 20 * BLOCK - 1, 2, 3);
  result = back_up(lab, fake);
  g_assert_cmpuint(result.new_bytes, >=, 3 * BLOCK);
  g_assert_cmpuint(result.new_bytes, <, 3 * BLOCK + 10000);
  assert_disk(lab, fake);
  /* The same block again and again is stored once. */
  g_autoptr(FakeDisk) other = new_disk(lab, "other", 20 * (guint64)BLOCK);
  for (guint i = 0; i < 20; i++)
    for (guint page = 0; page < BLOCK; page += 4096)
      fake_disk_noise(other, i * BLOCK + page, 3, 77);
  GError *error = NULL;
  try_backup(lab, (HfBackupOptions){ 0 }, &result, &error, fake, other, NULL);
  g_assert_no_error(error);
  g_assert_cmpuint(result.files, ==, 2);
  g_assert_cmpuint(result.bytes, ==, 70 * BLOCK);
  assert_disk(lab, fake);
  assert_disk(lab, other);
}

/* ---- Tracking. ---- */

/* A disk of 3,000 blocks: noise at both ends of each map page, and the first point of it. */
static FakeDisk *tracked_disk(TreeLab *lab)
{
  FakeDisk *fake = new_disk(lab, "disk", 3000 * (guint64)BLOCK - 5);
  fake_disk_noise(fake, 0, BLOCK, 1);
  fake_disk_noise(fake, SPAN - BLOCK, 2 * BLOCK, 2);
  fake_disk_noise(fake, fake->size - 10, 10, 3);
  fake->cookie = "one";
  back_up(lab, fake);
  g_assert_null(fake->since);
  fake_disk_reset(fake);
  fake->cookie = "two";
  return fake;
}

static void assert_since(const FakeDisk *fake, const char *cookie)
{
  g_assert_cmpstr(fake->since, ==, cookie);
}

static void test_unchanged(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  g_autoptr(FakeDisk) fake = tracked_disk(lab);
  fake_disk_extent(fake, fake->size, HF_EXTENT_UNCHANGED);
  HfBackupResult result = back_up(lab, fake);
  assert_since(fake, "one");
  g_assert_cmpuint(fake->bytes_read, ==, 0);
  g_assert_cmpuint(result.new_bytes, ==, 0);
  assert_disk(lab, fake);
  /* The next one goes on from there. */
  back_up(lab, fake);
  assert_since(fake, "two");
}

/* What tracking calls unchanged is not even looked at; blocks that are so in part are read. */
static void test_changed_extents(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  g_autoptr(FakeDisk) fake = tracked_disk(lab);
  g_autoptr(FakeDisk) truth = new_disk(lab, "truth", fake->size);
  g_array_append_vals(truth->ranges, fake->ranges->data, fake->ranges->len);
  fake_disk_extent(fake, SPAN + BLOCK / 2, HF_EXTENT_UNCHANGED);
  fake_disk_extent(fake, BLOCK, HF_EXTENT_DATA);
  fake_disk_extent(fake, 100 * BLOCK, HF_EXTENT_UNCHANGED);
  fake_disk_extent(fake, 2 * BLOCK, HF_EXTENT_ZERO);
  fake_disk_extent(fake, fake->size, HF_EXTENT_UNCHANGED);
  fake_disk_noise(fake, SPAN + BLOCK / 2, BLOCK, 10);
  fake_disk_noise(truth, SPAN + BLOCK / 2, BLOCK, 10);
  fake_disk_noise(fake, 5 * BLOCK, BLOCK, 11); /* a lie of the tracking: it is believed */
  back_up(lab, fake);
  g_assert_cmpuint(fake->bytes_read, ==, 2 * BLOCK + 2 * BLOCK); /* two blocks at each ragged end */
  g_free(truth->path);
  truth->path = g_strdup(fake->path);
  assert_disk(lab, truth);
}

static void check_read_whole(TreeLab *lab, FakeDisk *fake, HfBackupOptions options)
{
  GError *error = NULL;
  HfBackupResult result;
  fake_disk_extent(fake, fake->size, HF_EXTENT_UNCHANGED);
  try_backup(lab, options, &result, &error, fake, NULL);
  g_assert_no_error(error);
  g_assert_cmpuint(fake->bytes_read, ==, fake->size);
  assert_disk(lab, fake);
}

static void test_rescan(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  g_autoptr(FakeDisk) fake = tracked_disk(lab);
  check_read_whole(lab, fake, (HfBackupOptions){ .rescan = TRUE });
}

static void test_other_size(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  g_autoptr(FakeDisk) fake = tracked_disk(lab);
  fake->size += 512;
  check_read_whole(lab, fake, (HfBackupOptions){ 0 });
}

/* The place where a blob lies: one bit of it is turned. */
static void spoil(TreeLab *lab, guint32 domain, const HfId *id)
{
  g_autoptr(HfBlobCache) cache = hf_blob_cache_new(lab->repo, 1 << 20);
  g_autoptr(HfBlobReader) reader = hf_blob_reader_new(cache, domain, NULL);
  HfLocation place;
  char name[HF_NAME_BYTES];
  gsize length;
  g_autofree char *bytes = NULL;
  g_assert_true(hf_blob_locate(reader, id, &place, NULL));
  hf_name_pack(name, (HfPackKind)place.kind, &place.pack);
  g_autofree char *path = g_build_filename(lab->folder, "repo", name, NULL);
  g_assert_true(g_file_get_contents(path, &bytes, &length, NULL));
  bytes[place.offset + place.stored_length - 1] ^= 1;
  g_assert_true(g_file_set_contents(path, bytes, (gssize)length, NULL));
}

/* The map of the base cannot be read: the disk is, and the point is good. */
static void test_damaged_base(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  g_autoptr(FakeDisk) fake = tracked_disk(lab);
  Maker maker;
  HfId blocks[2], maps[3] = { 0 };
  guint8 noise[BLOCK];
  HfPointInfo *info = tree_lab_newest(lab);
  hf_point_info_free(info);
  maker_begin(&maker, lab);
  fake_disk_bytes(fake, 0, noise, BLOCK);
  blocks[0] = maker_block(&maker, noise, BLOCK);
  memset(blocks + 1, 0, sizeof(HfId));
  maps[0] = maker_map(&maker, 0, blocks, 2); /* too few entries: it does not belong there */
  maps[1] = maker_lost();
  HfId top = maker_map(&maker, 1, maps, 3);
  HfEntry root = disk_entry(fake->path, fake->size, &top);
  info = maker_commit(&maker, &root, 1, NULL);
  hf_point_info_free(info);
  fake_disk_extent(fake, fake->size, HF_EXTENT_UNCHANGED);
  GError *error = NULL;
  HfBackupResult result;
  try_backup(lab, (HfBackupOptions){ 0 }, &result, &error, fake, NULL);
  g_assert_no_error(error);
  g_assert_true(tree_lab_warned(lab, "cannot be compared with"));
  g_assert_cmpuint(result.warnings, >, 0);
  assert_disk(lab, fake);
}

/* The roots of the newest point are lost: the base is the one before, and so must the cookie be. */
static void test_cookie_of_base(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  g_autoptr(FakeDisk) fake = tracked_disk(lab);
  fake_disk_noise(fake, 9 * BLOCK, BLOCK, 20);
  back_up(lab, fake);
  HfPointInfo *info = tree_lab_newest(lab);
  spoil(lab, info->point.domain, &info->point.roots);
  hf_point_info_free(info);
  fake_disk_reset(fake);
  fake->cookie = "three";
  fake_disk_extent(fake, 9 * BLOCK, HF_EXTENT_UNCHANGED); /* since "one" */
  fake_disk_extent(fake, BLOCK, HF_EXTENT_DATA);
  fake_disk_extent(fake, fake->size, HF_EXTENT_UNCHANGED);
  GError *error = NULL;
  HfBackupResult result;
  try_backup(lab, (HfBackupOptions){ 0 }, &result, &error, fake, NULL);
  g_assert_no_error(error);
  assert_since(fake, "one");
  assert_disk(lab, fake);
}

/* ---- What goes wrong. ---- */

static void test_bad_sectors(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  g_autoptr(FakeDisk) fake = new_disk(lab, "disk", 10 * (guint64)BLOCK + 100);
  fake_disk_noise(fake, 0, fake->size, 1);
  fake->cookie = "one";
  fake->bad_offset = 3 * BLOCK + 5000;
  fake->bad_length = 10;
  fake->bad_code = HF_ERROR_IO;
  fake->bad_times = -1;
  HfBackupResult result = back_up(lab, fake);
  g_assert_cmpuint(result.warnings, ==, 1);
  g_assert_true(tree_lab_warned(lab, "4096 bytes from byte 790528 on cannot be read and are stored as zeros"));
  Look look;
  guint8 found[4096];
  look_open(&look, lab, fake);
  g_assert_cmpuint(look.node->entry.flags, ==, HF_ENTRY_INCOMPLETE);
  g_assert_true(look.info->point.flags & HF_POINT_WARNINGS);
  assert_range(&look, fake, 0, 3 * BLOCK + 4096);
  assert_range(&look, fake, 3 * BLOCK + 8192, 7 * BLOCK + 100 - 8192);
  g_assert_true(hf_vdisk_read(look.vdisk, 3 * BLOCK + 4096, found, sizeof found, NULL));
  g_assert_true(hf_bytes_all_zero(found, sizeof found));
  look_close(&look);
  /* It is no base: its zeros would stay. */
  fake->bad_times = 0;
  fake_disk_reset(fake);
  check_read_whole(lab, fake, (HfBackupOptions){ 0 });
  look_open(&look, lab, fake);
  g_assert_cmpuint(look.node->entry.flags, ==, 0);
  look_close(&look);
}

static void test_passing_trouble(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  g_autoptr(FakeDisk) fake = new_disk(lab, "disk", 4 * (guint64)BLOCK);
  fake_disk_noise(fake, 0, fake->size, 1);
  fake->bad_length = fake->size;
  fake->bad_code = HF_ERROR_IO;
  fake->bad_times = 1;
  HfBackupResult result = back_up(lab, fake);
  g_assert_cmpuint(result.warnings, ==, 0);
  assert_disk(lab, fake);
}

static void test_bad_disk(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  g_autoptr(FakeDisk) fake = new_disk(lab, "disk", 40 * (guint64)BLOCK);
  fake_disk_noise(fake, 0, fake->size, 1);
  fake->bad_offset = BLOCK;
  fake->bad_length = 30 * BLOCK;
  fake->bad_code = HF_ERROR_IO;
  fake->bad_times = -1;
  assert_fails(lab, (HfBackupOptions){ 0 }, fake, HF_ERROR_IO, "more than 1024 KiB of '");
  /* Trouble of another kind ends it at once, and is what the user is told. */
  fake->bad_code = HF_ERROR_FAILED;
  assert_fails(lab, (HfBackupOptions){ 0 }, fake, HF_ERROR_FAILED, "the medium is bad");
  fake->bad_code = HF_ERROR_IO;
  fake->bad_times = 1;
  fake->bad_extent = 20 * (guint64)BLOCK;
  fake_disk_extent(fake, 20 * (guint64)BLOCK, HF_EXTENT_DATA);
  assert_fails(lab, (HfBackupOptions){ 0 }, fake, HF_ERROR_IO, "the extent is bad");
}

static void test_missing(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  g_autofree char *path = tree_lab_path(lab, "other");
  g_autoptr(GPtrArray) paths = g_ptr_array_new();
  g_ptr_array_add(paths, path);
  HfBackupOptions options = { .name = "lab", .paths = paths, .disks = TRUE, .codec = -1 };
  HfBackupResult result;
  g_autoptr(GError) error = NULL;
  g_assert_false(hf_backup(lab->repo, &options, &result, &error));
  assert_code(error, HF_ERROR_NOT_FOUND);
}

static void test_cancel(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  g_autoptr(FakeDisk) fake = new_disk(lab, "disk", 400 * (guint64)BLOCK);
  fake_disk_noise(fake, 0, fake->size, 1);
  hf_cancel_set(&lab->cancel);
  assert_fails(lab, (HfBackupOptions){ 0 }, fake, HF_ERROR_CANCELLED, "");
  lab->cancel.flag = 0;
  lab->cancel_at = 20 * BLOCK;
  assert_fails(lab, (HfBackupOptions){ 0 }, fake, HF_ERROR_CANCELLED, "");
  lab->cancel.flag = 0;
  lab->cancel_at = 0;
  back_up(lab, fake);
  assert_disk(lab, fake);
}

static void test_in_use(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  g_autoptr(FakeDisk) fake = new_disk(lab, "disk", BLOCK);
  GError *error = NULL;
  HfBackupResult result;
  fake->in_use = fake->changed = TRUE;
  assert_fails(lab, (HfBackupOptions){ 0 }, fake, HF_ERROR_BUSY, "used by a test");
  g_assert_cmpuint(fake->bytes_read, ==, 0);
  try_backup(lab, (HfBackupOptions){ .live = TRUE }, &result, &error, fake, NULL);
  g_assert_no_error(error);
  g_assert_cmpuint(result.warnings, ==, 1);
  g_assert_true(tree_lab_warned(lab, "read while in use (used by a test)"));
  HfPointInfo *info = tree_lab_newest(lab);
  g_assert_true(info->point.flags & HF_POINT_LIVE);
  hf_point_info_free(info);
  /* Nobody was seen, but it changed. */
  fake->in_use = FALSE;
  result = back_up(lab, fake);
  g_assert_cmpuint(result.warnings, ==, 2); /* the report goes on counting */
  g_assert_true(tree_lab_warned(lab, "changed while it was read"));
  info = tree_lab_newest(lab);
  g_assert_true(info->point.flags & HF_POINT_LIVE);
  hf_point_info_free(info);
  /* And with --live nobody used it. */
  fake->changed = FALSE;
  try_backup(lab, (HfBackupOptions){ .live = TRUE }, &result, &error, fake, NULL);
  g_assert_no_error(error);
  info = tree_lab_newest(lab);
  g_assert_false(info->point.flags & HF_POINT_LIVE);
  hf_point_info_free(info);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/backup-disk/sizes", test_sizes);
  g_test_add_func("/backup-disk/zeros", test_zeros);
  g_test_add_func("/backup-disk/huge", test_huge);
  g_test_add_func("/backup-disk/ragged-extents", test_ragged_extents);
  g_test_add_func("/backup-disk/only-changes-are-stored", test_only_changes_are_stored);
  g_test_add_func("/backup-disk/unchanged", test_unchanged);
  g_test_add_func("/backup-disk/changed-extents", test_changed_extents);
  g_test_add_func("/backup-disk/rescan", test_rescan);
  g_test_add_func("/backup-disk/other-size", test_other_size);
  g_test_add_func("/backup-disk/damaged-base", test_damaged_base);
  g_test_add_func("/backup-disk/cookie-of-base", test_cookie_of_base);
  g_test_add_func("/backup-disk/bad-sectors", test_bad_sectors);
  g_test_add_func("/backup-disk/passing-trouble", test_passing_trouble);
  g_test_add_func("/backup-disk/bad-disk", test_bad_disk);
  g_test_add_func("/backup-disk/missing", test_missing);
  g_test_add_func("/backup-disk/cancel", test_cancel);
  g_test_add_func("/backup-disk/in-use", test_in_use);
  return g_test_run();
}
