/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Paths, folders and walks (engine/browse). */
#include <string.h>
#include <sys/stat.h>

#include "treelab.h"

/* All names of a folder joined by spaces; errors as "!". */
static char *names_in(Eyes *eyes, const char *path, const char *after)
{
  g_autoptr(GError) error = NULL;
  GString *text = g_string_new(NULL);
  HfTreeNode node;
  g_autoptr(HfTreeNode) folder = hf_tree_lookup(eyes->browser, eyes->tree, path, &error);
  g_assert_no_error(error);
  HfView from = view_of(after != NULL ? after : "");
  g_autoptr(HfTreeList) list =
    hf_tree_list_new(eyes->browser, eyes->tree, folder, after != NULL ? &from : NULL, &error);
  g_assert_no_error(error);
  for (;;) {
    g_autoptr(GError) problem = NULL;
    if (hf_tree_list_next(list, &node, &problem))
      g_string_append_printf(text, "%s%.*s%s", text->len > 0 ? " " : "", (int)node.entry.name.length,
                             (const char *)node.entry.name.data, node.is_virtual ? "*" : "");
    else if (problem != NULL)
      g_string_append(text, text->len > 0 ? " !" : "!");
    else
      return g_string_free(text, FALSE);
  }
}

#define assert_names(eyes, path, after, wanted) \
  G_STMT_START { \
    g_autofree char *names_found = names_in(eyes, path, after); \
    g_assert_cmpstr(names_found, ==, wanted); \
  } G_STMT_END

static char *walk_all(Eyes *eyes, const char *path, const char *skip)
{
  g_autoptr(GError) error = NULL;
  GString *text = g_string_new(NULL);
  HfTreeNode node;
  g_autoptr(HfTreeNode) folder = hf_tree_lookup(eyes->browser, eyes->tree, path, &error);
  g_assert_no_error(error);
  g_autoptr(HfTreeWalk) walk = hf_tree_walk_new(eyes->browser, eyes->tree, folder, path);
  for (;;) {
    g_autoptr(GError) problem = NULL;
    gboolean found = hf_tree_walk_next(walk, &node, &problem);
    if (!found && problem == NULL)
      return g_string_free(text, FALSE);
    g_string_append_printf(text, "%s%s%s", text->len > 0 ? " " : "", hf_tree_walk_path(walk), found ? "" : "!");
    if (found && skip != NULL && g_str_equal(hf_tree_walk_path(walk), skip))
      hf_tree_walk_skip(walk);
  }
}

#define assert_walk(eyes, path, skip, wanted) \
  G_STMT_START { \
    g_autofree char *walk_found = walk_all(eyes, path, skip); \
    g_assert_cmpstr(walk_found, ==, wanted); \
  } G_STMT_END

static void assert_missing(Eyes *eyes, const char *path, HfErrorCode code, const char *text)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(HfTreeNode) node = hf_tree_lookup(eyes->browser, eyes->tree, path, &error);
  g_assert_null(node);
  assert_code(error, code);
  g_assert_nonnull(strstr(error->message, text));
}

static HfTreeNode *look_up(Eyes *eyes, const char *path)
{
  g_autoptr(GError) error = NULL;
  HfTreeNode *node = hf_tree_lookup(eyes->browser, eyes->tree, path, &error);
  g_assert_no_error(error);
  return node;
}

/* ---- Roots. ---- */

/* Roots whose order by bytes is not that of the tree, one inside another, one a disk. */
static HfPointInfo *make_roots(TreeLab *lab)
{
  Maker maker;
  maker_begin(&maker, lab);
  HfEntry inner[] = { file_entry("deep", HF_CONTENT_NONE, 0, NULL) };
  HfId inner_page = maker_page(&maker, inner, 1, NULL);
  HfEntry outer[] = { file_entry("a", HF_CONTENT_NONE, 0, NULL), folder_entry("n", NULL),
                      file_entry("s", HF_CONTENT_NONE, 0, NULL), folder_entry("z", NULL) };
  HfId outer_page = maker_page(&maker, outer, 4, NULL);
  HfEntry roots[] = { disk_entry("/dev/vdb", 0, NULL), folder_entry("/home", &outer_page),
                      folder_entry("/home-old", NULL), folder_entry("/home/n/x/y", &inner_page),
                      folder_entry("/home/s/t", &inner_page), folder_entry("/home/z", &inner_page) };
  return maker_commit(&maker, roots, G_N_ELEMENTS(roots), NULL);
}

static void test_roots(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  HfPointInfo *info = make_roots(lab);
  Eyes eyes;
  eyes_open(&eyes, lab, info);
  assert_names(&eyes, "/", NULL, "dev* home home-old");
  assert_names(&eyes, "/", "dev", "home home-old");
  assert_names(&eyes, "/dev", NULL, "vdb");
  assert_names(&eyes, "/home", NULL, "a n s* z");
  assert_names(&eyes, "/home", "n", "s* z");
  assert_names(&eyes, "/home/n", NULL, "x*");
  assert_names(&eyes, "/home/n/x/y", NULL, "deep");
  assert_names(&eyes, "/home/z", NULL, "deep");
  assert_names(&eyes, "/home/a", NULL, "");
  assert_walk(&eyes, "/", "/home/z",
              "/dev /dev/vdb /home /home/a /home/n /home/n/x /home/n/x/y /home/n/x/y/deep /home/s /home/s/t "
              "/home/s/t/deep /home/z /home-old");
  assert_walk(&eyes, "/home/n", NULL, "/home/n/x /home/n/x/y /home/n/x/y/deep");
  assert_walk(&eyes, "/home/a", NULL, "");
  eyes_close(&eyes);
  hf_point_info_free(info);
}

static void test_root_nodes(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  HfPointInfo *info = make_roots(lab);
  Eyes eyes;
  HfTreeNode root;
  eyes_open(&eyes, lab, info);
  g_assert_cmpuint(hf_tree_root_count(eyes.tree), ==, 6);
  hf_tree_root(eyes.tree, 1, &root);
  g_assert_cmpint(hf_name_compare(root.entry.name, view_of("/home")), ==, 0);
  g_autoptr(HfTreeWalk) walk = hf_tree_walk_new(eyes.browser, eyes.tree, &root, "/home");
  HfTreeNode node;
  guint count = 0;
  for (; hf_tree_walk_next(walk, &node, NULL); count++)
    g_assert_cmpuint(hf_tree_walk_depth(walk), ==, 0);
  g_assert_cmpuint(count, ==, 4); /* without what the other roots hold */
  g_autoptr(HfTreeNode) disk = look_up(&eyes, "/dev/vdb");
  g_assert_true(hf_tree_node_is_disk(disk));
  g_assert_false(hf_tree_node_has_entries(disk));
  g_autoptr(HfTreeNode) dev = look_up(&eyes, "dev/");
  g_assert_true(dev->is_virtual);
  g_assert_cmpstr((const char *)dev->entry.name.data, ==, "dev");
  g_autoptr(HfTreeNode) top = look_up(&eyes, "//");
  g_assert_true(top->is_virtual);
  g_autoptr(HfTreeNode) home = look_up(&eyes, "/home//");
  g_assert_false(home->is_virtual);
  g_assert_cmpuint(home->entry.mode, ==, S_IFDIR | 0755);
  assert_missing(&eyes, "/home/q/r", HF_ERROR_NOT_FOUND, "'/home/q'");
  assert_missing(&eyes, "/home/a/b", HF_ERROR_NOT_FOUND, "'/home/a/b'");
  assert_missing(&eyes, "/nothing", HF_ERROR_NOT_FOUND, "'/nothing'");
  eyes_close(&eyes);
  hf_point_info_free(info);
}

static void test_whole_system(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  Maker maker;
  Eyes eyes;
  maker_begin(&maker, lab);
  HfEntry files[] = { file_entry("etc", HF_CONTENT_NONE, 0, NULL), folder_entry("home", NULL) };
  HfId page = maker_page(&maker, files, 2, NULL);
  HfEntry roots[] = { folder_entry("/", &page), file_entry("/home/ada", HF_CONTENT_NONE, 0, NULL) };
  HfPointInfo *info = maker_commit(&maker, roots, 2, NULL);
  eyes_open(&eyes, lab, info);
  assert_names(&eyes, "/", NULL, "etc home");
  assert_names(&eyes, "/home", NULL, "ada");
  assert_walk(&eyes, "/", NULL, "/etc /home /home/ada");
  eyes_close(&eyes);
  hf_point_info_free(info);
}

/* ---- Large folders. ---- */

#define MANY 6000

static void test_large_folder(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  Eyes eyes;
  for (guint i = 0; i < MANY; i++) {
    g_autofree char *name = g_strdup_printf("src/file-%05u", i * 2);
    tree_lab_text(lab, name, name);
  }
  HfPointInfo *info = tree_lab_backup(lab, "src");
  g_autofree char *src = tree_lab_path(lab, "src");
  eyes_open(&eyes, lab, info);
  g_autoptr(HfTreeNode) folder = look_up(&eyes, src);
  for (int after = -1; after < MANY * 2; after += after < 10 ? 1 : 1999) {
    g_autofree char *from = g_strdup_printf("file-%05d", after);
    HfView view = view_of(from);
    g_autoptr(HfTreeList) list = hf_tree_list_new(eyes.browser, eyes.tree, folder, after < 0 ? NULL : &view, NULL);
    HfTreeNode node;
    guint next = after < 0 ? 0 : (guint)after / 2 + 1;
    for (; hf_tree_list_next(list, &node, NULL); next++) {
      g_autofree char *wanted = g_strdup_printf("file-%05u", next * 2);
      g_assert_cmpint(hf_name_compare(node.entry.name, view_of(wanted)), ==, 0);
    }
    g_assert_cmpuint(next, ==, MANY);
  }
  for (guint i = 0; i < MANY * 2; i += 7) {
    g_autofree char *name = g_strdup_printf("file-%05u", i);
    g_autoptr(GError) error = NULL;
    g_autoptr(HfTreeNode) node = hf_tree_find_child(eyes.browser, eyes.tree, folder, view_of(name), &error);
    g_assert_no_error(error);
    g_assert_cmpint(node != NULL, ==, i % 2 == 0);
  }
  eyes_close(&eyes);
  hf_point_info_free(info);
}

/* Three levels of pages, in the middle of which one is lost. */
static HfId make_levels(Maker *maker, gboolean damaged)
{
  HfNodeItem upper[3], lower[3];
  char names[9][4];
  for (guint i = 0; i < 3; i++) {
    for (guint k = 0; k < 3; k++) {
      g_snprintf(names[i * 3 + k], 4, "%c%c", 'a' + i, 'a' + k);
      HfEntry entry = file_entry(names[i * 3 + k], HF_CONTENT_NONE, 0, NULL);
      lower[k] = (HfNodeItem){ entry.name, 1, maker_page(maker, &entry, 1, NULL) };
      if (damaged && i * 3 + k == 4)
        lower[k].ref = maker_lost();
    }
    upper[i] = (HfNodeItem){ lower[2].last_name, 3, maker_node(maker, 1, lower, 3) };
  }
  return maker_node(maker, 2, upper, 3);
}

static void test_levels(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  Maker maker;
  Eyes eyes;
  maker_begin(&maker, lab);
  HfId good = make_levels(&maker, FALSE), bad = make_levels(&maker, TRUE), lost = maker_lost();
  HfEntry inner = file_entry("f", HF_CONTENT_NONE, 0, NULL);
  HfId page = maker_page(&maker, &inner, 1, NULL);
  HfEntry roots[] = { folder_entry("/bad", &bad), folder_entry("/good", &good), folder_entry("/lost", &lost),
                      folder_entry("/lost/r", &page) };
  HfPointInfo *info = maker_commit(&maker, roots, 4, NULL);
  eyes_open(&eyes, lab, info);
  assert_names(&eyes, "/good", NULL, "aa ab ac ba bb bc ca cb cc");
  assert_names(&eyes, "/good", "ab", "ac ba bb bc ca cb cc");
  assert_names(&eyes, "/good", "bc", "ca cb cc");
  assert_names(&eyes, "/good", "cc", "");
  assert_names(&eyes, "/bad", NULL, "aa ab ac ba ! bc ca cb cc");
  assert_names(&eyes, "/lost", NULL, "! r");
  assert_walk(&eyes, "/", NULL,
              "/bad /bad/aa /bad/ab /bad/ac /bad/ba /bad! /bad/bc /bad/ca /bad/cb /bad/cc /good /good/aa /good/ab "
              "/good/ac /good/ba /good/bb /good/bc /good/ca /good/cb /good/cc /lost /lost! /lost/r /lost/r/f");
  assert_missing(&eyes, "/bad/bb", HF_ERROR_DAMAGED, "cannot be read");
  assert_missing(&eyes, "/lost/q", HF_ERROR_DAMAGED, "cannot be read");
  assert_missing(&eyes, "/good/bbb", HF_ERROR_NOT_FOUND, "not in this point");
  g_autoptr(HfTreeNode) found = look_up(&eyes, "/lost/r/f"), other = look_up(&eyes, "/bad/bc");
  g_assert_nonnull(found);
  g_assert_nonnull(other);
  eyes_close(&eyes);
  hf_point_info_free(info);
}

/* Pages that a lying writer put together. */
static void test_lies(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  Maker maker;
  Eyes eyes;
  maker_begin(&maker, lab);
  HfEntry entry = file_entry("m", HF_CONTENT_NONE, 0, NULL);
  HfId leaf = maker_page(&maker, &entry, 1, NULL);
  HfNodeItem item = { entry.name, 1, leaf };
  HfId jump = maker_node(&maker, 2, &item, 1); /* level 2 above level 0 */
  HfId text = maker_text(&maker, "no page");
  HfId broken = maker_blob(&maker, HF_BLOB_PAGE, NULL, 0, "\0\0\x01m\xff\xff", 6);
  HfId headless = maker_blob(&maker, HF_BLOB_PAGE, NULL, 0, "\x09", 1);
  HfEntry roots[] = { folder_entry("/broken", &broken), folder_entry("/data", &text),
                      folder_entry("/headless", &headless), folder_entry("/jump", &jump) };
  HfPointInfo *info = maker_commit(&maker, roots, 4, NULL);
  eyes_open(&eyes, lab, info);
  assert_names(&eyes, "/broken", NULL, "!");
  assert_names(&eyes, "/data", NULL, "!");
  assert_names(&eyes, "/headless", NULL, "!");
  assert_names(&eyes, "/jump", NULL, "!");
  assert_missing(&eyes, "/broken/m", HF_ERROR_INVALID, "malformed");
  assert_missing(&eyes, "/jump/m", HF_ERROR_INVALID, "level");
  eyes_close(&eyes);
  hf_point_info_free(info);
}

static void test_lost_roots(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  g_autoptr(GError) error = NULL;
  Maker maker;
  maker_begin(&maker, lab);
  HfEntry root = folder_entry("/r", NULL);
  HfPointInfo *info = maker_commit(&maker, &root, 1, NULL);
  HfPoint point = info->point;
  point.roots = maker_lost();
  HfBlobCache *cache = hf_blob_cache_new(lab->repo, 1 << 20);
  g_autoptr(HfBrowser) browser = hf_browser_new(lab->repo, cache);
  g_assert_null(hf_tree_open(browser, &point, &error));
  assert_code(error, HF_ERROR_DAMAGED);
  g_clear_error(&error);
  point.domain = 77; /* no keys for it */
  g_assert_null(hf_tree_open(browser, &point, &error));
  g_assert_nonnull(error);
  hf_browser_free(g_steal_pointer(&browser));
  hf_blob_cache_free(cache);
  hf_point_info_free(info);
}

/* ---- Deep trees: lists further up are put aside and taken up again. ---- */

#define DEPTH 60

static void test_deep(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  Maker maker;
  Eyes eyes;
  maker_begin(&maker, lab);
  HfId page;
  for (int i = DEPTH; i-- > 0;) {
    HfEntry entries[] = { file_entry("a", HF_CONTENT_NONE, 0, NULL), folder_entry("d", i + 1 < DEPTH ? &page : NULL),
                          file_entry("z", HF_CONTENT_NONE, 0, NULL) };
    page = maker_page(&maker, entries, 3, NULL);
  }
  HfEntry root = folder_entry("/r", &page);
  HfPointInfo *info = maker_commit(&maker, &root, 1, NULL);
  eyes_open(&eyes, lab, info);
  g_autoptr(HfTreeNode) start = look_up(&eyes, "/r");
  g_autoptr(HfTreeWalk) walk = hf_tree_walk_new(eyes.browser, eyes.tree, start, "/r");
  HfTreeNode node;
  guint count = 0, deepest = 0;
  while (hf_tree_walk_next(walk, &node, NULL)) {
    /* a and d on the way down, z on the way up */
    guint depth = count < 2 * DEPTH ? count / 2 : 3 * DEPTH - 1 - count;
    g_assert_cmpuint(hf_tree_walk_depth(walk), ==, depth);
    g_assert_cmpuint(strlen(hf_tree_walk_path(walk)), ==, 4 + 2 * depth);
    g_assert_cmpint(node.entry.name.data[0], ==, count >= 2 * DEPTH ? 'z' : count % 2 ? 'd' : 'a');
    deepest = MAX(deepest, depth);
    count++;
  }
  g_assert_cmpuint(count, ==, 3 * DEPTH);
  g_assert_cmpuint(deepest, ==, DEPTH - 1);
  eyes_close(&eyes);
  hf_point_info_free(info);
}

/* ---- Extras. ---- */

static void test_extras(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  g_autoptr(GError) error = NULL;
  g_autoptr(GByteArray) extras = g_byte_array_new();
  Maker maker;
  Eyes eyes;
  maker_begin(&maker, lab);
  hf_extras_add(extras, HF_EXTRA_XATTR, "user.a\0value", 12);
  HfEntry entries[] = { file_entry("blob", HF_CONTENT_NONE, 0, NULL), file_entry("inline", HF_CONTENT_NONE, 0, NULL),
                        file_entry("lost", HF_CONTENT_NONE, 0, NULL), file_entry("none", HF_CONTENT_NONE, 0, NULL),
                        file_entry("wrong", HF_CONTENT_NONE, 0, NULL) };
  entries[0].flags = entries[2].flags = entries[4].flags = HF_ENTRY_EXTRAS_BLOB;
  entries[0].extras_ref = maker_blob(&maker, HF_BLOB_DATA, NULL, 0, extras->data, extras->len);
  entries[1].flags = HF_ENTRY_EXTRAS;
  entries[1].extras = (HfView){ extras->data, extras->len };
  entries[2].extras_ref = maker_lost();
  entries[4].extras_ref = maker_text(&maker, "no extras");
  HfId page = maker_page(&maker, entries, 5, NULL);
  HfEntry root = folder_entry("/r", &page);
  HfPointInfo *info = maker_commit(&maker, &root, 1, NULL);
  eyes_open(&eyes, lab, info);
  for (guint i = 0; i < 5; i++) {
    g_autofree char *path = g_strdup_printf("/r/%.*s", (int)entries[i].name.length, (const char *)entries[i].name.data);
    g_autoptr(HfTreeNode) node = look_up(&eyes, path);
    g_auto(HfBlob) blob = { 0 };
    HfView found;
    gboolean good = hf_tree_extras(eyes.browser, eyes.tree, node, &blob, &found, &error);
    if (i < 2)
      assert_bytes(found.data, found.length, extras->data, extras->len);
    else if (i == 3)
      g_assert_cmpuint(found.length, ==, 0);
    else
      assert_code(error, i == 2 ? HF_ERROR_DAMAGED : HF_ERROR_INVALID);
    g_assert_cmpint(good, ==, error == NULL);
    g_clear_error(&error);
  }
  eyes_close(&eyes);
  hf_point_info_free(info);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/browse/roots", test_roots);
  g_test_add_func("/browse/root-nodes", test_root_nodes);
  g_test_add_func("/browse/whole-system", test_whole_system);
  g_test_add_func("/browse/large-folder", test_large_folder);
  g_test_add_func("/browse/levels", test_levels);
  g_test_add_func("/browse/lies", test_lies);
  g_test_add_func("/browse/lost-roots", test_lost_roots);
  g_test_add_func("/browse/deep", test_deep);
  g_test_add_func("/browse/extras", test_extras);
  return g_test_run();
}
