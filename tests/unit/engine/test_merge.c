/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Several points side by side: merge, diff, find (engine/browse). */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "treelab.h"

#define POINTS_MAX 80

typedef struct Scene {
  TreeLab *lab;
  Eyes eyes;
  HfTree *trees[POINTS_MAX];
  guint count;
} Scene;

static void scene_begin(Scene *scene)
{
  *scene = (Scene){ .lab = tree_lab_new() };
}

static void add_info(Scene *scene, HfPointInfo *info)
{
  g_autoptr(GError) error = NULL;
  if (scene->count == 0)
    eyes_open(&scene->eyes, scene->lab, info);
  else
    g_assert_true(hf_index_refresh(scene->lab->repo->index, NULL));
  scene->trees[scene->count++] = hf_tree_open(scene->eyes.browser, &info->point, &error);
  g_assert_no_error(error);
  hf_point_info_free(info);
}

static void add_backup(Scene *scene)
{
  add_info(scene, tree_lab_backup(scene->lab, "src"));
}

static void scene_end(Scene *scene)
{
  for (guint i = 0; i < scene->count; i++)
    hf_tree_free(scene->trees[i]);
  eyes_close(&scene->eyes);
  tree_lab_free(scene->lab);
}

/* Paths are shown without the scratch folder. */
static const char *shorter(Scene *scene, const char *path)
{
  return g_str_has_prefix(path, scene->lab->folder) ? path + strlen(scene->lab->folder) : path;
}

typedef struct Text {
  Scene *scene;
  GString *text;
} Text;

static gboolean note_change(const char *path, HfTreeChange change, const HfTreeNode *before, const HfTreeNode *after,
                            gpointer user, GError **error)
{
  Text *text = user;
  (void)error;
  g_assert_cmpint(before == NULL, ==, change == HF_TREE_ADDED);
  g_assert_cmpint(after == NULL, ==, change == HF_TREE_REMOVED);
  g_string_append_printf(text->text, "%c%s ", "+-MmT"[change], shorter(text->scene, path));
  return TRUE;
}

static char *diff(Scene *scene, guint before, guint after, guint64 *damaged)
{
  g_autoptr(GError) error = NULL;
  Text text = { scene, g_string_new(NULL) };
  *damaged = 0;
  hf_tree_diff(scene->eyes.browser, scene->trees[before], scene->trees[after], note_change, &text, damaged, &error);
  g_assert_no_error(error);
  return g_string_free(text.text, FALSE);
}

static void assert_diff(Scene *scene, guint before, guint after, const char *wanted)
{
  guint64 damaged;
  g_autofree char *found = diff(scene, before, after, &damaged);
  g_assert_cmpstr(found, ==, wanted);
  g_assert_cmpuint(damaged, ==, 0);
}

static void set_times(Scene *scene, const char *name)
{
  g_autofree char *path = tree_lab_path(scene->lab, name);
  const struct timespec times[2] = { { 1000, 0 }, { 1000, 0 } };
  g_assert_cmpint(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), ==, 0);
}

static void test_diff(void)
{
  Scene scene;
  scene_begin(&scene);
  g_autofree char *large = g_strnfill(100000, 'x'), *changed = g_strnfill(100000, 'x');
  changed[50000] = 'y';
  static const char *const folders[] = { "src", "src/d", "src/same", "src/t" };
  tree_lab_text(scene.lab, "src/d/gone", "gone");
  tree_lab_text(scene.lab, "src/inline", "one");
  tree_lab_text(scene.lab, "src/large", large);
  tree_lab_text(scene.lab, "src/mode", "mode");
  tree_lab_text(scene.lab, "src/same/deep/file", "same");
  tree_lab_text(scene.lab, "src/t/was-folder", "x");
  g_autofree char *link = tree_lab_path(scene.lab, "src/link"), *mode = tree_lab_path(scene.lab, "src/mode");
  g_autofree char *gone = tree_lab_path(scene.lab, "src/d/gone"), *t = tree_lab_path(scene.lab, "src/t");
  g_autofree char *was = tree_lab_path(scene.lab, "src/t/was-folder");
  g_assert_cmpint(symlink("here", link), ==, 0);
  for (guint i = 0; i < G_N_ELEMENTS(folders); i++)
    set_times(&scene, folders[i]);
  set_times(&scene, "src/mode");
  add_backup(&scene);
  g_unlink(gone);
  tree_lab_text(scene.lab, "src/d/new/file", "new");
  tree_lab_text(scene.lab, "src/inline", "two");
  tree_lab_text(scene.lab, "src/large", changed);
  g_chmod(mode, 0600);
  g_unlink(link);
  g_assert_cmpint(symlink("else", link), ==, 0);
  g_unlink(was);
  g_rmdir(t);
  tree_lab_text(scene.lab, "src/t", "file now");
  set_times(&scene, "src");
  add_backup(&scene);
  assert_diff(&scene, 0, 0, "");
  assert_diff(&scene, 0, 1,
              "m/src/d -/src/d/gone +/src/d/new +/src/d/new/file M/src/inline M/src/large M/src/link m/src/mode "
              "T/src/t -/src/t/was-folder ");
  assert_diff(&scene, 1, 0,
              "m/src/d +/src/d/gone -/src/d/new -/src/d/new/file M/src/inline M/src/large M/src/link m/src/mode "
              "T/src/t +/src/t/was-folder ");
  scene_end(&scene);
}

/* The same bytes put in other ways: as a blob, a list, inline. Extras in an entry and in a blob. */
static void test_same_content(void)
{
  Scene scene;
  scene_begin(&scene);
  Maker maker;
  g_autoptr(GByteArray) extras = g_byte_array_new();
  hf_extras_add(extras, HF_EXTRA_XATTR, "user.a\0v", 8);
  maker_begin(&maker, scene.lab);
  HfId ten = maker_text(&maker, "0123456789"), five = maker_text(&maker, "01234"), rest = maker_text(&maker, "56789");
  HfListItem items[2] = { { 5, FALSE, five }, { 5, FALSE, rest } };
  HfId list = maker_list(&maker, 0, items, 2),
       blob = maker_blob(&maker, HF_BLOB_DATA, NULL, 0, extras->data, extras->len);
  HfEntry first[] = { disk_entry("/disk", 1 << 20, NULL), file_entry("/in", HF_CONTENT_INLINE, 10, NULL),
                      file_entry("/list", HF_CONTENT_BLOB, 10, &ten), file_entry("/list2", HF_CONTENT_LIST, 10, &list),
                      file_entry("/x", HF_CONTENT_NONE, 0, NULL) };
  first[4].flags = HF_ENTRY_EXTRAS;
  first[4].extras = (HfView){ extras->data, extras->len };
  add_info(&scene, maker_commit(&maker, first, 5, &ten));
  maker_begin(&maker, scene.lab);
  HfId longer = maker_text(&maker, "abc0123456789"), map = maker_map(&maker, 0, NULL, 4);
  HfListItem others[2] = { { 6, FALSE, maker_text(&maker, "012345") }, { 4, FALSE, maker_text(&maker, "6789") } };
  HfId other = maker_list(&maker, 0, others, 2);
  HfEntry second[] = { disk_entry("/disk", 1 << 20, &map), file_entry("/a", HF_CONTENT_INLINE, 3, NULL),
                       file_entry("/in", HF_CONTENT_INLINE, 10, NULL), file_entry("/list", HF_CONTENT_LIST, 10, &list),
                       file_entry("/list2", HF_CONTENT_LIST, 10, &other), file_entry("/x", HF_CONTENT_NONE, 0, NULL) };
  second[5].flags = HF_ENTRY_EXTRAS_BLOB;
  second[5].extras_ref = blob;
  HfEntry swapped = second[0]; /* by path */
  second[0] = second[1];
  second[1] = swapped;
  add_info(&scene, maker_commit(&maker, second, 6, &longer));
  assert_diff(&scene, 0, 1, "+/a ");
  /* Nothing but the extras differs. */
  maker_begin(&maker, scene.lab);
  HfEntry third[] = { file_entry("/x", HF_CONTENT_NONE, 0, NULL) };
  add_info(&scene, maker_commit(&maker, third, 1, NULL));
  maker_begin(&maker, scene.lab);
  third[0].flags = HF_ENTRY_EXTRAS_BLOB;
  third[0].extras_ref = blob;
  add_info(&scene, maker_commit(&maker, third, 1, NULL));
  assert_diff(&scene, 2, 3, "m/x ");
  assert_diff(&scene, 3, 3, "");
  scene_end(&scene);
}

static void test_damaged_diff(void)
{
  Scene scene;
  Maker maker;
  guint64 damaged;
  scene_begin(&scene);
  for (guint i = 0; i < 2; i++) {
    maker_begin(&maker, scene.lab);
    HfEntry inside = file_entry("f", HF_CONTENT_NONE, i, NULL);
    inside.flags = i ? HF_ENTRY_INCOMPLETE : 0;
    HfId page = maker_page(&maker, &inside, 1, NULL), lost = maker_lost(), text = maker_text(&maker, i ? "a" : "b");
    HfEntry roots[] = { folder_entry("/bad", i ? &lost : &page), folder_entry("/good", &page),
                        file_entry("/read", i ? HF_CONTENT_BLOB : HF_CONTENT_INLINE, 1, i ? &lost : NULL) };
    add_info(&scene, maker_commit(&maker, roots, 3, i ? NULL : &text));
  }
  g_autofree char *found = diff(&scene, 0, 1, &damaged);
  g_assert_cmpstr(found, ==, "-/bad/f M/good/f ");
  g_assert_cmpuint(damaged, ==, 2);
  g_assert_true(tree_lab_warned(scene.lab, "/bad: cannot be looked at whole"));
  g_assert_true(tree_lab_warned(scene.lab, "/read: cannot be looked at whole"));
  scene_end(&scene);
}

static gboolean stop_at_once(const char *path, HfTreeChange change, const HfTreeNode *before, const HfTreeNode *after,
                             gpointer user, GError **error)
{
  (void)path;
  (void)change;
  (void)before;
  (void)after;
  ++*(guint *)user;
  return hf_fail(error, HF_ERROR_IO, "enough");
}

static void test_stops(void)
{
  Scene scene;
  scene_begin(&scene);
  g_autoptr(GError) error = NULL;
  guint calls = 0;
  guint64 damaged = 0;
  tree_lab_text(scene.lab, "src/a", "a");
  add_backup(&scene);
  tree_lab_text(scene.lab, "src/a", "other");
  tree_lab_text(scene.lab, "src/b", "b");
  add_backup(&scene);
  g_assert_false(
    hf_tree_diff(scene.eyes.browser, scene.trees[0], scene.trees[1], stop_at_once, &calls, &damaged, &error));
  assert_code(error, HF_ERROR_IO);
  g_assert_cmpuint(calls, ==, 1);
  g_clear_error(&error);
  Text text = { &scene, g_string_new(NULL) };
  hf_cancel_set(&scene.lab->cancel);
  g_assert_false(
    hf_tree_diff(scene.eyes.browser, scene.trees[0], scene.trees[1], note_change, &text, &damaged, &error));
  assert_code(error, HF_ERROR_CANCELLED);
  g_string_free(text.text, TRUE);
  scene_end(&scene);
}

/* ---- Find. ---- */

static gboolean note_version(const char *path, const HfTreeVersion *version, gpointer user, GError **error)
{
  Text *text = user;
  (void)error;
  g_string_append_printf(text->text, "%s(%" G_GUINT64_FORMAT ")", shorter(text->scene, path), version->node.entry.size);
  for (guint i = 0; i < text->scene->count; i++)
    if (hf_tree_version_has(version, i))
      g_string_append_printf(text->text, "%u", i);
  g_string_append_c(text->text, ' ');
  return TRUE;
}

static void assert_find(Scene *scene, const char *pattern, const char *wanted)
{
  g_autoptr(GError) error = NULL;
  Text text = { scene, g_string_new(NULL) };
  guint64 damaged = 0;
  hf_tree_find(scene->eyes.browser, scene->trees, scene->count, pattern, note_version, &text, &damaged, &error);
  g_assert_no_error(error);
  g_assert_cmpstr(text.text->str, ==, wanted);
  g_assert_cmpuint(damaged, ==, 0);
  g_string_free(text.text, TRUE);
}

static void test_find(void)
{
  Scene scene;
  scene_begin(&scene);
  g_autofree char *large = g_strnfill(100000, 'x');
  tree_lab_text(scene.lab, "src/a.txt", "1");
  tree_lab_text(scene.lab, "src/d/b.txt", large);
  tree_lab_text(scene.lab, "src/d/e/c.dat", "1");
  set_times(&scene, "src/a.txt");
  add_backup(&scene);
  add_backup(&scene);
  tree_lab_text(scene.lab, "src/a.txt", "22");
  tree_lab_text(scene.lab, "src/new.txt", "333");
  add_backup(&scene);
  large[7] = 'y';
  tree_lab_text(scene.lab, "src/d/b.txt", large);
  add_backup(&scene);
  assert_find(&scene, "*.txt",
              "/src/a.txt(1)01 /src/a.txt(2)23 /src/d/b.txt(100000)012 /src/d/b.txt(100000)3 /src/new.txt(3)23 ");
  assert_find(&scene, "c.?at", "/src/d/e/c.dat(1)0123 ");
  assert_find(&scene, "d", "/src/d(0)012 /src/d(0)3 ");
  assert_find(&scene, "nothing", "");
  g_autofree char *whole = g_strconcat(scene.lab->folder, "/src/*.txt", NULL);
  assert_find(&scene, whole, "/src/a.txt(1)01 /src/a.txt(2)23 /src/new.txt(3)23 ");
  scene_end(&scene);
}

/* More points than one word of a set has bits. */
static void test_many_points(void)
{
  Scene scene;
  Maker maker;
  scene_begin(&scene);
  for (guint i = 0; i < POINTS_MAX; i++) {
    maker_begin(&maker, scene.lab);
    HfEntry file = file_entry("f", HF_CONTENT_NONE, 0, NULL);
    file.mtime_sec += i % 2 ? 5 : 0;
    HfId page = maker_page(&maker, &file, 1, NULL);
    HfEntry root = folder_entry("/r", &page);
    add_info(&scene, maker_commit(&maker, &root, 1, NULL));
  }
  g_autoptr(HfTreeMerge) merge = hf_tree_merge_new(scene.eyes.browser, scene.trees, POINTS_MAX, FALSE);
  const HfTreeVersion *versions;
  guint count;
  g_assert_true(hf_tree_merge_next(merge, &versions, &count, NULL));
  g_assert_cmpstr(hf_tree_merge_path(merge), ==, "/r");
  g_assert_true(hf_tree_merge_next(merge, &versions, &count, NULL));
  g_assert_cmpstr(hf_tree_merge_path(merge), ==, "/r/f");
  g_assert_cmpuint(count, ==, 2);
  for (guint i = 0; i < POINTS_MAX; i++) {
    g_assert_cmpint(hf_tree_version_has(&versions[0], i), ==, i % 2 == 0);
    g_assert_cmpint(hf_tree_version_has(&versions[1], i), ==, i % 2 == 1);
  }
  g_assert_false(hf_tree_merge_next(merge, &versions, &count, NULL));
  scene_end(&scene);
}

/* Deeper than the levels whose lists are held. */
static void test_deep(void)
{
  Scene scene;
  Maker maker;
  scene_begin(&scene);
  for (guint point = 0; point < 2; point++) {
    HfId page;
    maker_begin(&maker, scene.lab);
    for (int i = 12; i-- > 0;) {
      HfEntry entries[] = { folder_entry("d", i < 11 ? &page : NULL), file_entry("z", HF_CONTENT_NONE, 0, NULL) };
      entries[1].mode ^= point && i % 3 == 0 ? 1 : 0;
      page = maker_page(&maker, entries, 2, NULL);
    }
    HfEntry root = folder_entry("/r", &page);
    add_info(&scene, maker_commit(&maker, &root, 1, NULL));
  }
  assert_diff(&scene, 0, 1, "m/r/d/d/d/d/d/d/d/d/d/z m/r/d/d/d/d/d/d/z m/r/d/d/d/z m/r/z ");
  scene_end(&scene);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/merge/diff", test_diff);
  g_test_add_func("/merge/same-content", test_same_content);
  g_test_add_func("/merge/damaged-diff", test_damaged_diff);
  g_test_add_func("/merge/stops", test_stops);
  g_test_add_func("/merge/find", test_find);
  g_test_add_func("/merge/many-points", test_many_points);
  g_test_add_func("/merge/deep", test_deep);
  return g_test_run();
}
