/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Restoring what is damaged: nothing wrong stands under a good name, and all else comes back. */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sysfault.h"
#include "fixture.h"
#include "restorelab.h"

#define BLOCK (256u << 10)

static void assert_file(TreeLab *lab, const char *name, const char *wanted, gsize length)
{
  g_autofree char *path = tree_lab_path(lab, name), *found = NULL;
  gsize size = 0;
  g_assert_true(g_file_get_contents(path, &found, &size, NULL));
  assert_bytes(found, size, wanted, length);
}

/* ---- Files. ---- */

static void test_files(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  Maker maker;
  maker_begin(&maker, lab);
  HfId ten = maker_text(&maker, "0123456789"), lost = maker_lost();
  HfListItem items[] = { { 10, FALSE, ten }, { 10, FALSE, lost }, { 5, TRUE, lost }, { 10, FALSE, ten } };
  HfListItem twice[] = { { 10, FALSE, lost }, { 10, FALSE, lost }, { 10, FALSE, ten }, { 10, FALSE, lost } };
  HfListItem wrong[] = { { 11, FALSE, ten } };
  HfId gap = maker_list(&maker, 0, items, 4), ends = maker_list(&maker, 0, twice, 4);
  HfId longer = maker_list(&maker, 0, wrong, 1);
  HfEntry entries[] = {
    file_entry("blob", HF_CONTENT_BLOB, 10, &lost),    file_entry("ends", HF_CONTENT_LIST, 40, &ends),
    file_entry("gap", HF_CONTENT_LIST, 35, &gap),      file_entry("good", HF_CONTENT_BLOB, 10, &ten),
    file_entry("list", HF_CONTENT_LIST, 9, &lost),     file_entry("longer", HF_CONTENT_LIST, 11, &longer),
    file_entry("short", HF_CONTENT_BLOB, 9, &ten),     file_entry("whole", HF_CONTENT_LIST, 10, &ten),
  };
  HfId page = maker_page(&maker, entries, G_N_ELEMENTS(entries), NULL);
  HfEntry root = folder_entry("/r", &page);
  HfPointInfo *info = maker_commit(&maker, &root, 1, NULL);
  lab_restore_badly(lab, info, 7, 0, 1);
  lab_assert_out(lab, "r r/blob.damaged r/ends.damaged r/gap.damaged r/good r/list.damaged r/longer.damaged "
                      "r/short.damaged r/whole.damaged");
  assert_file(lab, "out/r/gap.damaged", "0123456789\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" "0123456789", 35);
  assert_file(lab, "out/r/blob.damaged", "\0\0\0\0\0\0\0\0\0\0", 10);
  assert_file(lab, "out/r/list.damaged", "\0\0\0\0\0\0\0\0\0", 9);
  g_assert_true(tree_lab_warned(lab, "/r/gap: bytes 10-19 cannot be read"));
  g_assert_true(tree_lab_warned(lab, "/r/ends: bytes 0-19, 30-39 cannot be read"));
  g_assert_true(tree_lab_warned(lab, "; the rest of it is in 'gap.damaged'"));
  /* Again: what is there stays, and the damaged rest is not kept a second time. */
  tree_lab_text(lab, "out/r/gap.damaged", "another one's");
  tree_lab_text(lab, "out/r/blob", "older, but whole");
  tree_lab_text(lab, "out/r/gap", "older, but whole, and made anew at once");
  lab_restore_badly(lab, info, 7, 0, 1);
  tree_lab_holds(lab, "out/r/gap.damaged", "another one's");
  tree_lab_holds(lab, "out/r/gap", "older, but whole, and made anew at once");
  tree_lab_holds(lab, "out/r/blob", "older, but whole");
  lab_assert_out(lab, "r r/blob r/blob.damaged r/ends.damaged r/gap r/gap.damaged r/good r/list.damaged "
                      "r/longer.damaged r/short.damaged r/whole.damaged");
  g_assert_true(tree_lab_warned(lab, "; the rest of it is not kept: cannot make 'gap.damaged': File exists"));
  hf_point_info_free(info);
}

/* Many ranges are told of in few words; a name as long as names get; a file that is called like another's rest. */
static void test_names(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  Maker maker;
  maker_begin(&maker, lab);
  HfId one = maker_text(&maker, "1"), lost = maker_lost();
  HfListItem items[24];
  g_autofree char *name = g_strnfill(255, 'n'), *cut = g_strnfill(247, 'n');
  g_autofree char *path = g_strdup_printf("out/r/%s.damaged", cut);
  for (guint i = 0; i < 24; i++)
    items[i] = (HfListItem){ 1, FALSE, i % 2 ? one : lost };
  HfId list = maker_list(&maker, 0, items, 24);
  HfEntry entries[] = { file_entry("a", HF_CONTENT_BLOB, 1, &lost), file_entry("a.damaged", HF_CONTENT_BLOB, 1, &one),
                        file_entry(name, HF_CONTENT_LIST, 24, &list) };
  HfId page = maker_page(&maker, entries, 3, NULL);
  HfEntry root = folder_entry("/r", &page);
  HfPointInfo *info = maker_commit(&maker, &root, 1, NULL);
  lab_restore_badly(lab, info, 2, 0, 1);
  g_assert_true(tree_lab_warned(lab, "bytes 0-0, 2-2, 4-4, 6-6, 8-8, 10-10, 12-12, 14-14 and 4 more ranges cannot"));
  assert_file(lab, path, "\0001\0001\0001\0001\0001\0001\0001\0001\0001\0001\0001\0001", 24);
  tree_lab_holds(lab, "out/r/a.damaged", "1");
  hf_point_info_free(info);
}

static void test_tail(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  Maker maker;
  maker_begin(&maker, lab);
  HfId lost = maker_lost();
  HfEntry entries[] = { file_entry("a", HF_CONTENT_INLINE, 3, NULL), file_entry("b", HF_CONTENT_INLINE, 4, NULL),
                        file_entry("c", HF_CONTENT_NONE, 0, NULL), symlink_entry("d", "a") };
  HfId page = maker_page(&maker, entries, 4, &lost), shorter = maker_text(&maker, "12345");
  HfId other = maker_page(&maker, entries, 4, &shorter);
  HfEntry roots[] = { folder_entry("/r", &page), folder_entry("/s", &other) };
  HfPointInfo *info = maker_commit(&maker, roots, 2, NULL);
  lab_restore_badly(lab, info, 3, 0, 5);
  lab_assert_out(lab, "r r/a.damaged r/b.damaged r/c r/d s s/a s/b.damaged s/c s/d");
  tree_lab_holds(lab, "out/s/a", "123");
  hf_point_info_free(info);
}

/* ---- Folders, metadata, incomplete entries. ---- */

static void test_folders(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  Maker maker;
  maker_begin(&maker, lab);
  HfId lost = maker_lost(), text = maker_text(&maker, "no extras");
  HfEntry entries[] = { file_entry("a", HF_CONTENT_NONE, 0, NULL), file_entry("b", HF_CONTENT_NONE, 0, NULL),
                        folder_entry("gone", &lost), folder_entry("part", NULL),
                        file_entry("z", HF_CONTENT_NONE, 7, NULL) };
  entries[0].flags = entries[1].flags = HF_ENTRY_EXTRAS_BLOB;
  entries[0].extras_ref = lost;
  entries[1].extras_ref = text;
  entries[3].flags = entries[4].flags = HF_ENTRY_INCOMPLETE;
  HfId page = maker_page(&maker, entries, 5, NULL);
  HfEntry root = folder_entry("/r", &page);
  HfPointInfo *info = maker_commit(&maker, &root, 1, NULL);
  lab_restore_badly(lab, info, 3, 0, 3);
  lab_assert_out(lab, "r r/a r/b r/gone r/part r/z");
  g_assert_true(tree_lab_warned(lab, "/r/a: its extended attributes cannot be read"));
  g_assert_true(tree_lab_warned(lab, "/r/gone: not all that is in this folder can be read"));
  g_assert_true(tree_lab_warned(lab, "/r/part: was not saved whole"));
  g_assert_true(tree_lab_warned(lab, "/r/z: was not saved whole"));
  struct stat status;
  g_autofree char *gone = tree_lab_path(lab, "out/r/gone");
  g_assert_cmpint(stat(gone, &status), ==, 0);
  g_assert_cmpuint(status.st_mode, ==, S_IFDIR | 0755);
  hf_point_info_free(info);
}

/* ---- Hard links. ---- */

static HfEntry link_entry(const char *name, guint64 inode, HfContent content, guint64 size, const HfId *ref)
{
  HfEntry entry = file_entry(name, content, size, ref);
  entry.flags = HF_ENTRY_HARD_LINK;
  entry.device = 5;
  entry.inode = inode;
  return entry;
}

static void test_links(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  Maker maker;
  maker_begin(&maker, lab);
  HfId ten = maker_text(&maker, "0123456789"), lost = maker_lost();
  HfListItem items[] = { { 10, FALSE, ten }, { 10, FALSE, lost } };
  HfId list = maker_list(&maker, 0, items, 2);
  HfEntry first[] = { link_entry("a", 1, HF_CONTENT_LIST, 20, &list), link_entry("b", 1, HF_CONTENT_LIST, 20, &list),
                      link_entry("c", 2, HF_CONTENT_BLOB, 10, &lost), link_entry("d", 3, HF_CONTENT_BLOB, 10, &ten) };
  HfEntry last[] = { link_entry("a", 1, HF_CONTENT_LIST, 20, &list), link_entry("c", 2, HF_CONTENT_BLOB, 10, &lost),
                     link_entry("d", 3, HF_CONTENT_BLOB, 10, &ten) };
  HfId pages[3] = { maker_page(&maker, first, 4, NULL), { { 0 } }, maker_page(&maker, last, 3, NULL) };
  /* Enough between them that the first are done when the last names come. */
  enum { BETWEEN = 1000 };
  g_autofree HfEntry *many = g_new(HfEntry, BETWEEN);
  g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
  for (guint i = 0; i < BETWEEN; i++) {
    g_ptr_array_add(names, g_strdup_printf("%05u", i));
    many[i] = file_entry(names->pdata[i], HF_CONTENT_BLOB, 10, &ten);
  }
  pages[1] = maker_page(&maker, many, BETWEEN, NULL);
  HfEntry roots[] = { folder_entry("/1", &pages[0]), folder_entry("/2", &pages[1]), folder_entry("/3", &pages[2]) };
  HfPointInfo *info = maker_commit(&maker, roots, 3, NULL);
  lab_restore_badly(lab, info, 5, 0, BETWEEN + 2);
  struct stat one, other;
  static const char *const pairs[][2] = { { "1/a.damaged", "1/b.damaged" }, { "1/a.damaged", "3/a.damaged" },
                                          { "1/c.damaged", "3/c.damaged" }, { "1/d", "3/d" } };
  for (guint i = 0; i < G_N_ELEMENTS(pairs); i++) {
    g_autofree char *a = g_build_filename(lab->folder, "out", pairs[i][0], NULL);
    g_autofree char *b = g_build_filename(lab->folder, "out", pairs[i][1], NULL);
    g_assert_cmpint(stat(a, &one), ==, 0);
    g_assert_cmpint(stat(b, &other), ==, 0);
    g_assert_cmpuint(one.st_ino, ==, other.st_ino);
    g_assert_cmpuint(one.st_nlink, ==, i < 2 ? 3 : 2);
  }
  tree_lab_holds(lab, "out/1/a", NULL);
  tree_lab_holds(lab, "out/3/c", NULL);
  g_assert_true(tree_lab_warned(lab, "/3/a: is damaged like its other names"));
  assert_file(lab, "out/3/a.damaged", "0123456789\0\0\0\0\0\0\0\0\0\0", 20);
  hf_point_info_free(info);
}

/* ---- Disks. ---- */

static HfPointInfo *make_disk(TreeLab *lab, guint8 *bytes)
{
  Maker maker;
  HfId blocks[4] = { 0 };
  maker_begin(&maker, lab);
  hf_fixture_noise(bytes, BLOCK, 1);
  hf_fixture_noise(bytes + 3 * BLOCK, 1000, 2);
  memset(bytes + BLOCK, 0, 2 * BLOCK);
  blocks[0] = maker_block(&maker, bytes, BLOCK);
  blocks[1] = maker_lost();
  blocks[3] = maker_block(&maker, bytes + 3 * BLOCK, 1000);
  HfId map = maker_map(&maker, 0, blocks, 4);
  HfEntry root = disk_entry("/dev/disk", 3 * BLOCK + 1000, &map);
  return maker_commit(&maker, &root, 1, NULL);
}

static void test_disk(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  g_autofree guint8 *bytes = g_malloc(4 * BLOCK);
  HfPointInfo *info = make_disk(lab, bytes);
  lab_restore_badly(lab, info, 1, 0, 0);
  lab_assert_out(lab, "disk.damaged");
  assert_file(lab, "out/disk.damaged", (char *)bytes, 3 * BLOCK + 1000);
  /* Onto a file that is full of something else. */
  g_autofree char *target = tree_lab_path(lab, "target"), *noise = g_strnfill(5 * BLOCK, 'x');
  g_auto(HfRestoreResult) result = { 0 };
  g_autoptr(GError) error = NULL;
  tree_lab_file(lab, "target", noise, 5 * BLOCK);
  HfRestoreDiskOptions options = { .target = target };
  g_assert_false(hf_restore_disk(lab->repo, info, &options, &result, &error));
  assert_code(error, HF_ERROR_REFUSED);
  g_clear_error(&error);
  hf_restore_result_clear(&result);
  options.overwrite = TRUE;
  hf_restore_disk(lab->repo, info, &options, &result, &error);
  g_assert_no_error(error);
  g_assert_cmpuint(result.damaged, ==, 1);
  assert_file(lab, "target", (char *)bytes, 3 * BLOCK + 1000);
  g_assert_true(tree_lab_warned(lab, "bytes 262144-524287 cannot be read"));
  hf_point_info_free(info);
}

static void assert_no_disk(TreeLab *lab, const HfPointInfo *info, const char *path, HfErrorCode code)
{
  g_autofree char *target = tree_lab_path(lab, "target");
  g_auto(HfRestoreResult) result = { 0 };
  g_autoptr(GError) error = NULL;
  HfRestoreDiskOptions options = { .target = target, .path = path };
  g_assert_false(hf_restore_disk(lab->repo, info, &options, &result, &error));
  assert_code(error, code);
  tree_lab_holds(lab, "target", NULL);
}

static void test_which_disk(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  Maker maker;
  maker_begin(&maker, lab);
  HfEntry roots[] = { disk_entry("/dev/a", 1 << 20, NULL), disk_entry("/dev/b", 2 << 20, NULL),
                      file_entry("/file", HF_CONTENT_NONE, 0, NULL) };
  HfPointInfo *info = maker_commit(&maker, roots, 3, NULL);
  assert_no_disk(lab, info, NULL, HF_ERROR_USAGE);
  assert_no_disk(lab, info, "/dev/c", HF_ERROR_NOT_FOUND);
  assert_no_disk(lab, info, "/file", HF_ERROR_USAGE);
  g_autofree char *target = tree_lab_path(lab, "target");
  g_auto(HfRestoreResult) result = { 0 };
  HfRestoreDiskOptions options = { .target = target, .path = "/dev/b" };
  g_assert_true(hf_restore_disk(lab->repo, info, &options, &result, NULL));
  g_assert_cmpuint(result.files, ==, 1);
  g_assert_cmpuint(result.bytes, ==, 2 << 20);
  struct stat status;
  g_assert_cmpint(stat(target, &status), ==, 0);
  g_assert_cmpint(status.st_size, ==, 2 << 20);
  hf_point_info_free(info);
  maker_begin(&maker, lab);
  info = maker_commit(&maker, roots + 2, 1, NULL);
  g_unlink(target);
  assert_no_disk(lab, info, NULL, HF_ERROR_NOT_FOUND);
  hf_point_info_free(info);
}

static void test_backed_up_disk(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  g_autofree guint8 *bytes = g_malloc0(6 * BLOCK + 512);
  hf_fixture_noise(bytes + BLOCK, BLOCK + 7, 1);
  hf_fixture_noise(bytes + 6 * BLOCK, 512, 2);
  tree_lab_file(lab, "disk", bytes, 6 * BLOCK + 512);
  HfPointInfo *info = tree_lab_backup_disk(lab, "disk");
  g_autofree char *target = tree_lab_path(lab, "target");
  g_auto(HfRestoreResult) result = { 0 };
  g_autoptr(GError) error = NULL;
  HfRestoreDiskOptions options = { .target = target };
  hf_restore_disk(lab->repo, info, &options, &result, &error);
  g_assert_no_error(error);
  assert_file(lab, "target", (char *)bytes, 6 * BLOCK + 512);
  lab_restore_well(lab, info, NULL, NULL);
  assert_file(lab, "out/disk", (char *)bytes, 6 * BLOCK + 512);
  hf_point_info_free(info);
}

/* ---- Bytes of the repository. ---- */

/* Spoils one data pack, not where a frame begins; returns FALSE when there is none with this number. */
static gboolean spoil(TreeLab *lab, guint number)
{
  g_autoptr(GPtrArray) names = hf_store_list_names(lab->repo->store, "data/", NULL);
  if (number >= names->len)
    return FALSE;
  g_autofree char *repo = tree_lab_path(lab, "repo"), *path = g_build_filename(repo, names->pdata[number], NULL);
  struct stat status;
  guint8 junk[64];
  hf_fixture_noise(junk, sizeof junk, number);
  g_assert_cmpint(stat(path, &status), ==, 0);
  chmod(path, 0600);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  g_assert_cmpint(pwrite(fd, junk, sizeof junk, status.st_size * 2 / 5), ==, sizeof junk);
  close(fd);
  return TRUE;
}

#define FILES 60u
#define FILE_STEP 60000u
#define FILE_MOST 200000u

static void test_spoiled_packs(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  g_autofree guint8 *bytes = g_malloc(FILES * FILE_STEP + FILE_MOST);
  hf_fixture_noise(bytes, FILES * FILE_STEP + FILE_MOST, 11);
  for (guint i = 0; i < FILES; i++) {
    g_autofree char *name = g_strdup_printf("src/%02u", i);
    tree_lab_file(lab, name, bytes + i * FILE_STEP, 600 + i * i * 50);
  }
  HfPointInfo *info = tree_lab_backup(lab, "src");
  guint packs = 0;
  while (spoil(lab, packs))
    packs++;
  g_assert_cmpuint(packs, >, 3);
  g_auto(HfRestoreResult) result = { 0 };
  g_autoptr(GError) error = NULL;
  lab_restore(lab, info, NULL, NULL, &result, &error);
  g_assert_no_error(error);
  guint whole = 0, damaged = 0;
  for (guint i = 0; i < FILES; i++) {
    g_autofree char *name = g_strdup_printf("src/%02u", i), *path = g_build_filename(lab->folder, "out", name, NULL);
    g_autofree char *other = g_strconcat(path, ".damaged", NULL), *found = NULL;
    gsize size = 0, wanted = 600 + i * i * 50;
    if (g_file_get_contents(path, &found, &size, NULL)) {
      assert_bytes(found, size, bytes + i * FILE_STEP, wanted);
      whole++;
    } else {
      g_assert_true(g_file_get_contents(other, &found, &size, NULL));
      g_assert_cmpuint(size, ==, wanted);
      damaged++;
    }
  }
  g_test_message("%u packs spoiled, %u files whole, %u damaged", packs, whole, damaged);
  g_assert_cmpuint(damaged, ==, result.damaged);
  g_assert_cmpuint(damaged, >, 0);
  g_assert_cmpuint(whole, ==, result.files);
  hf_point_info_free(info);
}

/* Of a damaged block only the damaged piece is lost. */
static void test_spoiled_disk(void)
{
  enum { BLOCKS = 12 };
  g_autoptr(TreeLab) lab = tree_lab_new();
  gsize size = BLOCKS * (gsize)BLOCK, lost = 0;
  g_autofree guint8 *bytes = g_malloc(size);
  g_autofree char *target = tree_lab_path(lab, "target"), *rest = g_strconcat(target, ".damaged", NULL), *found = NULL;
  hf_fixture_noise(bytes, size, 31);
  tree_lab_file(lab, "disk", bytes, size);
  HfPointInfo *info = tree_lab_backup_disk(lab, "disk");
  guint packs = 0;
  while (spoil(lab, packs))
    packs++;
  g_auto(HfRestoreResult) result = { 0 };
  g_autoptr(GError) error = NULL;
  HfRestoreDiskOptions options = { .target = target };
  hf_restore_disk(lab->repo, info, &options, &result, &error);
  g_assert_no_error(error);
  g_assert_cmpuint(result.damaged, ==, 1);
  g_assert_true(g_file_get_contents(rest, &found, NULL, NULL));
  for (gsize at = 0; at < size; at += HF_PIECE_BYTES) {
    if (memcmp(found + at, bytes + at, HF_PIECE_BYTES) == 0)
      continue;
    g_assert_true(hf_bytes_all_zero(found + at, HF_PIECE_BYTES));
    lost++;
  }
  g_test_message("%u packs spoiled, %zu of %zu pieces lost", packs, lost, size / HF_PIECE_BYTES);
  g_assert_cmpuint(lost, >, 0);
  g_assert_cmpuint(lost, <=, packs);
  hf_point_info_free(info);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/restore-damage/files", test_files);
  g_test_add_func("/restore-damage/names", test_names);
  g_test_add_func("/restore-damage/tail", test_tail);
  g_test_add_func("/restore-damage/folders", test_folders);
  g_test_add_func("/restore-damage/links", test_links);
  g_test_add_func("/restore-damage/disk", test_disk);
  g_test_add_func("/restore-damage/which-disk", test_which_disk);
  g_test_add_func("/restore-damage/backed-up-disk", test_backed_up_disk);
  g_test_add_func("/restore-damage/spoiled-packs", test_spoiled_packs);
  g_test_add_func("/restore-damage/spoiled-disk", test_spoiled_disk);
  return g_test_run();
}
