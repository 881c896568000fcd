/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a mount shows, asked the way a server asks (export/tree.h), without a kernel. */
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/clock.h"
#include "base/sysfault.h"
#include "engine/mount/state.h"
#include "fixture.h"
#include "treelab.h"

#define BLOCK (256u << 10)

/* ---- Asking. ---- */

static HfMount *open_mount(TreeLab *lab, const HfPointInfo *info)
{
  GError *error = NULL;
  HfMount *mount = hf_mount_new(lab->repo, info, &error);
  g_assert_no_error(error);
  return mount;
}

static HfExportItem *find(HfMount *mount, const char *path)
{
  g_auto(GStrv) names = g_strsplit(path, "/", -1);
  HfExportItem *item = hf_item_ref(mount, mount->export.ops->top(&mount->export));
  for (guint i = 0; names[i] != NULL && item != NULL; i++) {
    GError *error = NULL;
    HfExportItem *next = *names[i] != '\0' ? hf_mount_lookup(&mount->export, item, names[i],
                                                             &error) : hf_item_ref(mount, item);
    g_assert_no_error(error);
    hf_item_unref(mount, item, 1);
    item = next;
  }
  return item;
}

static struct stat status_of(HfMount *mount, const char *path)
{
  GError *error = NULL;
  struct stat status;
  HfExportItem *item = find(mount, path);
  g_assert_nonnull(item);
  hf_mount_status(&mount->export, item, &status, &error);
  g_assert_no_error(error);
  hf_item_unref(mount, item, 1);
  return status;
}

static gboolean has(HfMount *mount, const char *path)
{
  HfExportItem *item = find(mount, path);
  if (item != NULL)
    hf_item_unref(mount, item, 1);
  return item != NULL;
}

/* ---- Listing. ---- */

typedef struct Names {
  HfMount *mount;
  GString *text;
  guint count, room; /* as in a buffer of the kernel */
  guint64 next;
  gboolean items;
} Names;

static gboolean take_name(const HfExportEntry *entry, guint64 position, gpointer user)
{
  Names *names = user;
  if (names->room == 0)
    return FALSE;
  names->room--;
  names->count++;
  names->next = position + 1;
  g_string_append_printf(names->text, "%s%s", names->text->len > 0 ? " " : "", entry->name);
  g_assert_true((entry->item != NULL) == names->items);
  if (entry->item != NULL) {
    struct stat status;
    g_assert_true(hf_mount_status(&names->mount->export, entry->item, &status, NULL));
    g_assert_cmpmem(&status, sizeof status, &entry->status, sizeof status);
    hf_item_unref(names->mount, entry->item, 1);
  }
  return TRUE;
}

/* All names of a folder, `room` at a time. */
static char *list_all(HfMount *mount, const char *path, guint room, gboolean items, GError **error)
{
  HfExportItem *folder = find(mount, path);
  Names names = { .mount = mount, .text = g_string_new(NULL), .items = items };
  HfExportList *list = hf_mount_list_open(&mount->export, folder, error);
  g_assert_nonnull(list);
  for (gboolean good = TRUE; good;) {
    names.count = 0;
    names.room = room;
    good = hf_mount_list_read(&mount->export, list, names.next, items, take_name, &names, error);
    if (names.count == 0)
      break;
    if (!good)
      g_clear_error(error); /* it comes again */
    good = TRUE;
  }
  hf_mount_list_close(&mount->export, list);
  hf_item_unref(mount, folder, 1);
  return g_string_free(names.text, FALSE);
}

static void assert_list(HfMount *mount, const char *path, const char *expected)
{
  GError *error = NULL;
  for (guint room = 1; room < 4; room++)
    for (guint items = 0; items < 2; items++) {
      g_autofree char *found = list_all(mount, path, room, items != 0, &error);
      g_assert_no_error(error);
      g_assert_cmpstr(found, ==, expected);
    }
}

static char *read_all(HfMount *mount, const char *path, gsize *length)
{
  GError *error = NULL;
  HfExportItem *item = find(mount, path);
  g_assert_nonnull(item);
  HfExportFile *file = hf_mount_open(&mount->export, item, &error);
  g_assert_no_error(error);
  *length = hf_mount_size(&mount->export, file);
  char *bytes = g_malloc0(*length + 100);
  for (gsize at = 0; at < *length + 50;) {
    gssize got = hf_mount_read(&mount->export, file, at, bytes + at, MIN(50000, *length + 100 - at), &error);
    g_assert_no_error(error);
    if (got == 0)
      break;
    at += (gsize)got;
    g_assert_cmpuint(at, <=, *length);
  }
  hf_mount_close(&mount->export, file);
  hf_item_unref(mount, item, 1);
  return bytes;
}

static void assert_text(HfMount *mount, const char *path, const char *text)
{
  gsize length;
  g_autofree char *found = read_all(mount, path, &length);
  assert_bytes(found, length, text, strlen(text));
}

/* ---- Points. ---- */

/* The newest point's folder name: "TIME (id)". */
static char *shown_name(const HfPointInfo *info)
{
  char digits[33];
  g_autofree char *time = hf_clock_format_local(info->point.time);
  hf_point_short_name(info, digits);
  return g_strdup_printf("%.19s (%s)", time, digits);
}

static char *point_path(const HfPointInfo *info, const char *below)
{
  g_autofree char *name = shown_name(info);
  return g_strdup_printf("lab/%s/%s", name, below);
}

static void age(HfMount *mount)
{
  g_mutex_lock(&mount->lock);
  mount->looked -= 2 * G_USEC_PER_SEC;
  g_mutex_unlock(&mount->lock);
}

static void test_points(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  tree_lab_text(lab, "in/a", "one");
  HfPointInfo *first = tree_lab_backup(lab, "in/a");
  g_autofree char *first_name = shown_name(first), *id = hf_hex(first->point.id.b, 16);
  g_autofree char *both = g_strdup_printf("%s latest", first_name);
  HfMount *mount = open_mount(lab, NULL);
  assert_list(mount, "", "ids lab");
  assert_list(mount, "ids", id);
  assert_list(mount, "lab", both);
  g_assert_false(has(mount, "nobody"));
  g_assert_false(has(mount, "lab/yesterday"));
  g_assert_false(has(mount, "ids/00"));
  g_autofree char *path = g_strdup_printf("ids/%s%s/in/a", id, lab->folder);
  assert_text(mount, path, "one");
  HfExportItem *latest = find(mount, "lab/latest");
  g_autofree char *target = mount->export.ops->read_link(&mount->export, latest, NULL);
  g_assert_cmpstr(target, ==, first_name);
  g_assert_cmpuint(mount->export.ops->lifetime(&mount->export, latest), ==, 1);

  /* A new point shows up by itself, but not more than once a second. */
  tree_lab_text(lab, "in/a", "another");
  HfPointInfo *second = tree_lab_backup(lab, "in/a");
  g_autofree char *second_name = shown_name(second), *new_path = point_path(second, lab->folder + 1);
  g_autofree char *new_file = g_strconcat(new_path, "/in/a", NULL);
  age(mount);
  g_assert_true(has(mount, "lab"));
  assert_text(mount, new_file, "another");
  assert_text(mount, path, "one");
  g_autofree char *new_target = mount->export.ops->read_link(&mount->export, latest, NULL);
  g_assert_cmpstr(new_target, ==, second_name);
  /* And one that is forgotten goes, but stays with who has it. */
  HfExportItem *held = find(mount, path);
  g_assert_true(hf_points_forget(lab->repo, first, NULL));
  age(mount);
  g_assert_false(has(mount, path));
  struct stat status;
  g_assert_true(hf_mount_status(&mount->export, held, &status, NULL));
  g_assert_cmpint(status.st_size, ==, 3);
  hf_item_unref(mount, held, 1);
  g_assert_true(hf_points_forget(lab->repo, second, NULL));
  age(mount);
  assert_list(mount, "", "ids");
  assert_list(mount, "ids", "");
  g_autoptr(GError) error = NULL;
  g_assert_null(mount->export.ops->read_link(&mount->export, latest, &error));
  assert_code(error, HF_ERROR_NOT_FOUND);
  hf_item_unref(mount, latest, 1);
  g_assert_cmpuint(tree_lab_warnings(lab), ==, 0);
  hf_mount_free(mount);
  hf_point_info_free(first);
  hf_point_info_free(second);
}

/* Removes what stands below a folder of the repository; returns how many there were. */
static guint remove_below(TreeLab *lab, const char *folder)
{
  g_autofree char *path = g_build_filename(lab->folder, "repo", folder, NULL);
  guint count = 0;
  g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
  for (const char *name; dir != NULL && (name = g_dir_read_name(dir)) != NULL; count++) {
    g_autofree char *below = g_build_filename(path, name, NULL);
    hf_fixture_remove(below);
  }
  return count;
}

/* The machine slept and another declared us dead: the lease is taken anew. */
static void test_lost_session(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  tree_lab_text(lab, "in/a", "one");
  HfPointInfo *info = tree_lab_backup(lab, "in");
  HfMount *mount = open_mount(lab, NULL);
  HfShortId first = *hf_session_id(mount->session);
  age(mount);
  assert_list(mount, "", "ids lab");
  g_assert_true(hf_short_id_equal(&first, hf_session_id(mount->session)));
  g_assert_cmpuint(remove_below(lab, "sessions"), ==, 1);
  for (guint i = 0; i < 1000 && hf_short_id_equal(&first, hf_session_id(mount->session)); i++) {
    g_usleep(10000);
    age(mount);
    assert_list(mount, "", "ids lab");
  }
  g_assert_false(hf_short_id_equal(&first, hf_session_id(mount->session)));
  g_autofree char *id = hf_hex(hf_session_id(mount->session)->b, 16);
  g_autofree char *open = g_build_filename(lab->folder, "repo", "sessions", id, "open", NULL);
  g_assert_true(g_file_test(open, G_FILE_TEST_EXISTS));
  hf_mount_free(mount);
  hf_point_info_free(info);
}

/* The store cannot be read for a while: what was known is shown, and one warning. */
static void test_store_away(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  tree_lab_text(lab, "in/a", "one");
  HfPointInfo *info = tree_lab_backup(lab, "in");
  const HfSysFault none = { 0 }, fault = { .nth = 1, .function = "getdents64", .errnum = EIO, .persist = TRUE };
  g_assert_true(hf_sys_fault_install(&none, NULL)); /* before the mount has a thread */
  HfMount *mount = open_mount(lab, NULL);
  g_assert_true(hf_sys_fault_install(&fault, NULL));
  for (guint i = 0; i < 3; i++) {
    age(mount);
    assert_list(mount, "", "ids lab");
  }
  g_assert_cmpuint(hf_sys_fault_hits(), >, 0);
  g_assert_true(hf_sys_fault_install(&none, NULL));
  g_assert_cmpuint(tree_lab_warnings(lab), ==, 1);
  tree_lab_text(lab, "in/b", "two");
  HfPointInfo *second = tree_lab_backup(lab, "in");
  g_autofree char *path = point_path(second, lab->folder + 1), *file = g_strconcat(path, "/in/b", NULL);
  age(mount);
  assert_text(mount, file, "two");
  hf_mount_free(mount);
  hf_sys_fault_remove();
  hf_point_info_free(info);
  hf_point_info_free(second);
}

static void test_one_point(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  tree_lab_text(lab, "in/a", "one");
  HfPointInfo *info = tree_lab_backup(lab, "in");
  g_autofree char *path = g_strconcat(lab->folder + 1, "/in/a", NULL);
  HfMount *mount = open_mount(lab, info);
  HfExportItem *top = mount->export.ops->top(&mount->export);
  g_assert_cmpuint(mount->export.ops->lifetime(&mount->export, top), ==, HF_EXPORT_FOREVER);
  assert_text(mount, path, "one");
  struct stat status = status_of(mount, "");
  g_assert_true(S_ISDIR(status.st_mode));
  hf_mount_free(mount);
  hf_mount_free(NULL);
  hf_point_info_free(info);
}

static void assert_folder_name(const char *name, const char *expected)
{
  g_autofree char *found = hf_folder_name(name);
  g_assert_cmpstr(found, ==, expected);
}

static void test_names(void)
{
  assert_folder_name("web1", "web1");
  assert_folder_name("a/b%c", "a%2Fb%25c");
  assert_folder_name("ids", "%69ds");
  assert_folder_name(".", "%2E");
  assert_folder_name("..", "%2E.");
  assert_folder_name("...", "...");
  g_autofree char *slashes = g_strnfill(100, '/'), *letters = g_strnfill(255, 'x');
  assert_folder_name(slashes, NULL);
  assert_folder_name(letters, letters);
}

/* ---- Trees. ---- */

static void test_status(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  Maker maker;
  maker_begin(&maker, lab);
  HfId text = maker_text(&maker, "hello");
  HfEntry entries[] = { file_entry("b", HF_CONTENT_BLOB, 5, &text), file_entry("c", HF_CONTENT_BLOB, 5, &text),
                        file_entry("d", HF_CONTENT_BLOB, 5, &text), file_entry("e", HF_CONTENT_NONE, 77, NULL),
                        symlink_entry("l", "some/where"), file_entry("n", HF_CONTENT_NONE, 0, NULL) };
  for (guint i = 0; i < 2; i++) { /* b and c are one file */
    entries[i].flags = HF_ENTRY_HARD_LINK;
    entries[i].inode = 1234;
    entries[i].device = 5;
  }
  entries[3].flags = HF_ENTRY_INCOMPLETE; /* nothing of it could be saved */
  entries[5].mode = S_IFBLK | 0600;
  entries[5].major = 300;
  entries[5].minor = 70000;
  HfId page = maker_page(&maker, entries, G_N_ELEMENTS(entries), NULL);
  HfEntry root = folder_entry("/top/in", &page);
  HfPointInfo *info = maker_commit(&maker, &root, 1, NULL);
  HfMount *mount = open_mount(lab, info);
  struct stat b = status_of(mount, "top/in/b"), c = status_of(mount, "top/in/c"), d = status_of(mount, "top/in/d");
  g_assert_cmpuint(b.st_mode, ==, S_IFREG | 0644);
  g_assert_cmpuint(b.st_uid, ==, entries[0].uid);
  g_assert_cmpint(b.st_size, ==, 5);
  g_assert_cmpint(b.st_mtim.tv_sec, ==, 1700000000);
  g_assert_cmpint(b.st_mtim.tv_nsec, ==, 123456789);
  g_assert_cmpint(b.st_ctim.tv_sec, ==, 1700000001);
  g_assert_cmpuint(b.st_ino, ==, c.st_ino);
  g_assert_cmpuint(b.st_nlink, >, 1);
  g_assert_cmpuint(d.st_ino, !=, c.st_ino);
  g_assert_cmpuint(d.st_nlink, ==, 1);
  g_assert_cmpint(status_of(mount, "top/in/e").st_size, ==, 0);
  struct stat link = status_of(mount, "top/in/l");
  g_assert_true(S_ISLNK(link.st_mode));
  g_assert_cmpint(link.st_size, ==, 10);
  g_assert_cmpuint(status_of(mount, "top/in/n").st_rdev, ==, makedev(300, 70000));
  struct stat virtual = status_of(mount, "top"), folder = status_of(mount, "top/in");
  g_assert_cmpuint(virtual.st_mode, ==, S_IFDIR | 0555);
  g_assert_cmpuint(folder.st_mode, ==, S_IFDIR | 0755);
  assert_list(mount, "top/in", "b c d e l n");
  assert_text(mount, "top/in/e", "");
  assert_text(mount, "top/in/c", "hello");
  /* The same numbers in the next mount. */
  hf_mount_free(mount);
  mount = open_mount(lab, NULL);
  g_autofree char *path = point_path(info, "top/in/d"), *linked = point_path(info, "top/in/b");
  g_assert_cmpuint(status_of(mount, path).st_ino, ==, d.st_ino);
  g_assert_cmpuint(status_of(mount, linked).st_ino, ==, b.st_ino);
  hf_mount_free(mount);
  hf_point_info_free(info);
}

static void test_wrong_kinds(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  tree_lab_text(lab, "in/a", "one");
  HfPointInfo *info = tree_lab_backup(lab, "in");
  HfMount *mount = open_mount(lab, NULL);
  g_autofree char *path = point_path(info, lab->folder + 1), *file_path = g_strconcat(path, "/in/a", NULL);
  HfExportItem *file = find(mount, file_path), *folder = find(mount, path), *top = find(mount, "");
  g_autoptr(GError) error = NULL;
  g_assert_null(hf_mount_open(&mount->export, folder, &error));
  assert_code(error, HF_ERROR_USAGE);
  g_clear_error(&error);
  g_assert_null(hf_mount_open(&mount->export, top, &error));
  assert_code(error, HF_ERROR_USAGE);
  g_clear_error(&error);
  g_assert_null(hf_mount_list_open(&mount->export, file, &error));
  assert_code(error, HF_ERROR_USAGE);
  g_clear_error(&error);
  g_assert_null(hf_mount_lookup(&mount->export, file, "x", &error));
  assert_code(error, HF_ERROR_USAGE);
  g_clear_error(&error);
  g_assert_null(mount->export.ops->read_link(&mount->export, file, &error));
  assert_code(error, HF_ERROR_USAGE);
  g_clear_error(&error);
  g_assert_null(mount->export.ops->read_link(&mount->export, top, &error));
  assert_code(error, HF_ERROR_USAGE);
  g_autoptr(GByteArray) extras = g_byte_array_new();
  g_assert_true(mount->export.ops->extras(&mount->export, top, extras, NULL));
  g_assert_cmpuint(extras->len, ==, 0);
  hf_item_unref(mount, file, 1);
  hf_item_unref(mount, folder, 1);
  hf_item_unref(mount, top, 1);
  hf_mount_free(mount);
  hf_point_info_free(info);
}

/* Several pages, more entries than a batch and than nodes that are kept. */
static void test_large_folder(void)
{
  const guint count = 10000;
  g_autoptr(TreeLab) lab = tree_lab_new();
  g_autoptr(GArray) items = g_array_new(FALSE, FALSE, sizeof(HfNodeItem));
  g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free), held = g_ptr_array_new();
  g_autoptr(GString) expected = g_string_new(NULL);
  Maker maker;
  maker_begin(&maker, lab);
  for (guint first = 0; first < count; first += 500) {
    HfEntry entries[500];
    for (guint i = 0; i < 500; i++) {
      g_ptr_array_add(names, g_strdup_printf("file-%05u", first + i));
      entries[i] = file_entry(names->pdata[first + i], HF_CONTENT_NONE, 0, NULL);
      entries[i].mtime_sec = first + i;
      g_string_append_printf(expected, "%s%s", expected->len > 0 ? " " : "", (char *)names->pdata[first + i]);
    }
    HfNodeItem item = { view_of(names->pdata[first + 499]), 500, maker_page(&maker, entries, 500, NULL) };
    g_array_append_val(items, item);
  }
  HfId page = maker_node(&maker, 1, (const HfNodeItem *)(void *)items->data, items->len);
  HfEntry root = folder_entry("/in", &page);
  HfPointInfo *info = maker_commit(&maker, &root, 1, NULL);
  HfMount *mount = open_mount(lab, info);
  GError *error = NULL;
  g_autofree char *found = list_all(mount, "in", 300, TRUE, &error), *again = list_all(mount, "in", 7777, FALSE,
                                                                                       &error);
  g_assert_cmpstr(found, ==, expected->str);
  g_assert_cmpstr(again, ==, expected->str);
  HfExportItem *folder = find(mount, "in");
  for (guint i = 0; i < count; i++)
    g_ptr_array_add(held, hf_mount_lookup(&mount->export, folder, names->pdata[i], NULL));
  g_assert_cmpuint(mount->items.nodes.length, <, count);
  for (guint i = 0; i < count; i += 7) { /* those that went are found again */
    struct stat status;
    g_assert_true(hf_mount_status(&mount->export, held->pdata[i], &status, NULL));
    g_assert_cmpint(status.st_mtim.tv_sec, ==, i);
  }
  HfExportItem *same = hf_mount_lookup(&mount->export, folder, names->pdata[5], NULL);
  g_assert_true(same == held->pdata[5]);
  hf_item_unref(mount, same, 1);
  for (guint i = 0; i < count; i++)
    hf_item_unref(mount, held->pdata[i], 1);
  /* Back to an earlier place. */
  HfExportList *list = hf_mount_list_open(&mount->export, folder, NULL);
  const guint64 places[] = { 9999, 0, 5000, 4999, 256, 255, 10000, 12345 };
  for (guint i = 0; i < G_N_ELEMENTS(places); i++) {
    Names few = { .mount = mount, .text = g_string_new(NULL), .room = 1 };
    g_assert_true(hf_mount_list_read(&mount->export, list, places[i], FALSE, take_name, &few, NULL));
    g_assert_cmpstr(few.text->str, ==, places[i] < count ? (char *)names->pdata[places[i]] : "");
    g_string_free(few.text, TRUE);
  }
  hf_mount_list_close(&mount->export, list);
  hf_item_unref(mount, folder, 1);
  g_assert_cmpuint(g_hash_table_size(mount->items.all), ==, 1); /* the top alone */
  hf_mount_free(mount);
  hf_point_info_free(info);
}

/* ---- Contents. ---- */

static void test_file_extents(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  Maker maker;
  g_autofree char *noise = g_malloc(30000);
  hf_fixture_noise((guint8 *)noise, 30000, 1);
  maker_begin(&maker, lab);
  HfId data = maker_blob(&maker, HF_BLOB_DATA, NULL, 0, noise, 30000);
  HfListItem items[] = { { 100000, TRUE, { { 0 } } }, { 30000, FALSE, data }, { 1 << 20, TRUE, { { 0 } } },
                         { 30000, FALSE, data } };
  HfId list = maker_list(&maker, 0, items, 4);
  guint64 size = 100000 + 30000 + (1 << 20) + 30000, length;
  HfEntry entries[] = { file_entry("a", HF_CONTENT_LIST, size, &list), file_entry("b", HF_CONTENT_LIST, size, &list) };
  HfId page = maker_page(&maker, entries, 2, NULL);
  HfEntry root = folder_entry("/in", &page);
  HfPointInfo *info = maker_commit(&maker, &root, 1, NULL);
  HfMount *mount = open_mount(lab, info);
  HfExportItem *a = find(mount, "in/a"), *b = find(mount, "in/b");
  HfExportFile *one = hf_mount_open(&mount->export, a, NULL), *two = hf_mount_open(&mount->export, b, NULL);
  gboolean hole;
  char bytes[1000];
  for (guint i = 0; i < 3; i++) { /* two files take turns with one worker */
    g_assert_true(hf_mount_extent(&mount->export, one, 5, &hole, &length, NULL));
    g_assert_true(hole);
    g_assert_cmpuint(length, ==, 100000 - 5);
    g_assert_true(hf_mount_extent(&mount->export, two, 100000, &hole, &length, NULL));
    g_assert_false(hole);
    g_assert_cmpuint(length, ==, 30000);
    g_assert_cmpint(hf_mount_read(&mount->export, one, 100000 - 500, bytes, 1000, NULL), ==, 1000);
    g_assert_true(hf_bytes_all_zero(bytes, 500));
    assert_bytes(bytes + 500, 500, noise, 500);
    g_assert_cmpint(hf_mount_read(&mount->export, two, size - 10, bytes, 1000, NULL), ==, 10);
    assert_bytes(bytes, 10, noise + 30000 - 10, 10);
  }
  g_assert_cmpuint(mount->workers.length, ==, 1);
  hf_mount_close(&mount->export, one);
  hf_item_unref(mount, a, 1);
  hf_item_unref(mount, b, 1);
  hf_mount_free(mount); /* two is left open, as by a forced unmount */
  hf_point_info_free(info);
}

/* A worker that looks something up while a file is closed must not take the next one, perhaps at the same address, for
 * it. */
static void test_stale_content(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  tree_lab_text(lab, "in/a", "text of a");
  tree_lab_text(lab, "in/b", "text of b");
  HfPointInfo *info = tree_lab_backup(lab, "in");
  HfMount *mount = open_mount(lab, info);
  g_autofree char *folder = g_strconcat(lab->folder + 1, "/in/", NULL), *one = g_strconcat(folder, "a", NULL);
  g_autofree char *other = g_strconcat(folder, "b", NULL);
  HfExportItem *a = find(mount, one), *b = find(mount, other);
  for (guint i = 0; i < 20; i++) {
    char bytes[20] = { 0 };
    HfExportFile *file = hf_mount_open(&mount->export, a, NULL);
    g_assert_cmpint(hf_mount_read(&mount->export, file, 0, bytes, 20, NULL), ==, 9);
    HfMountWorker *worker = hf_worker_take(mount, 0);
    hf_mount_close(&mount->export, file);
    file = hf_mount_open(&mount->export, b, NULL);
    hf_worker_give(mount, worker);
    g_assert_cmpint(hf_mount_read(&mount->export, file, 0, bytes, 20, NULL), ==, 9);
    g_assert_cmpstr(bytes, ==, "text of b");
    hf_mount_close(&mount->export, file);
  }
  hf_item_unref(mount, a, 1);
  hf_item_unref(mount, b, 1);
  hf_mount_free(mount);
  hf_point_info_free(info);
}

static void test_disk(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  g_autofree guint8 *bytes = g_malloc0(6 * BLOCK + 512);
  hf_fixture_noise(bytes + BLOCK, BLOCK + 7, 1);
  hf_fixture_noise(bytes + 6 * BLOCK, 512, 2);
  tree_lab_file(lab, "images/disk.raw", bytes, 6 * BLOCK + 512);
  HfPointInfo *info = tree_lab_backup_disk(lab, "images/disk.raw");
  HfMount *mount = open_mount(lab, info);
  g_autofree char *path = g_strconcat(lab->folder + 1, "/images/disk.raw", NULL);
  struct stat status = status_of(mount, path);
  g_assert_cmpuint(status.st_mode, ==, S_IFREG | 0400);
  g_assert_cmpuint(status.st_uid, ==, getuid());
  g_assert_cmpint(status.st_size, ==, 6 * BLOCK + 512);
  g_assert_cmpint(status.st_blocks * 512, ==, 3 * BLOCK); /* the last block counts whole */
  g_assert_cmpint(status_of(mount, path).st_blocks, ==, status.st_blocks);
  gsize length;
  g_autofree char *found = read_all(mount, path, &length);
  assert_bytes(found, length, bytes, 6 * BLOCK + 512);
  g_autofree char *folder = g_path_get_dirname(path);
  assert_list(mount, folder, "disk.raw");
  HfExportItem *item = find(mount, path);
  HfExportFile *one = hf_mount_open(&mount->export, item, NULL), *two = hf_mount_open(&mount->export, item, NULL);
  g_assert_cmpuint(item->vdisk_users, ==, 2);
  gboolean hole;
  guint64 run;
  g_assert_true(hf_mount_extent(&mount->export, one, 0, &hole, &run, NULL));
  g_assert_true(hole);
  g_assert_cmpuint(run, ==, BLOCK);
  hf_mount_close(&mount->export, one);
  g_assert_cmpuint(item->vdisk_users, ==, 1);
  hf_item_unref(mount, item, 1);
  (void)two; /* is left open */
  hf_mount_free(mount);
  hf_point_info_free(info);
}

/* ---- Damage. ---- */

static void test_damage(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  Maker maker;
  maker_begin(&maker, lab);
  HfId good = maker_text(&maker, "good"), lost = maker_lost();
  HfEntry entries[] = { file_entry("a", HF_CONTENT_BLOB, 4, &good), file_entry("b", HF_CONTENT_BLOB, 4, &lost),
                        file_entry("c", HF_CONTENT_BLOB, 4, &good), folder_entry("d", &lost) };
  entries[2].flags = HF_ENTRY_EXTRAS_BLOB;
  entries[2].extras_ref = lost;
  HfNodeItem items[] = { { view_of("d"), 4, maker_page(&maker, entries, 4, NULL) },
                         { view_of("m"), 10, lost },
                         { view_of("z"), 1, { { 0 } } } };
  HfEntry last = file_entry("z", HF_CONTENT_BLOB, 4, &good);
  items[2].ref = maker_page(&maker, &last, 1, NULL);
  HfId page = maker_node(&maker, 1, items, 3);
  HfEntry root = folder_entry("/in", &page);
  HfPointInfo *info = maker_commit(&maker, &root, 1, NULL);
  HfMount *mount = open_mount(lab, info);
  g_autoptr(GError) error = NULL;
  /* What is left of the folder is listed, then comes the error. */
  g_autofree char *found = list_all(mount, "in", 2, TRUE, &error);
  g_assert_cmpstr(found, ==, "a b c d z");
  assert_code(error, HF_ERROR_DAMAGED);
  g_clear_error(&error);
  assert_text(mount, "in/a", "good");
  assert_text(mount, "in/z", "good");
  g_assert_cmpuint(tree_lab_warnings(lab), ==, 1);
  HfExportItem *folder = find(mount, "in"), *b = find(mount, "in/b"), *c = find(mount, "in/c"), *d = find(mount,
                                                                                                          "in/d");
  g_assert_null(hf_mount_lookup(&mount->export, folder, "k", &error));
  assert_code(error, HF_ERROR_DAMAGED);
  g_clear_error(&error);
  char bytes[10];
  HfExportFile *file = hf_mount_open(&mount->export, b, NULL);
  for (guint i = 0; i < 3; i++) {
    g_assert_cmpint(hf_mount_read(&mount->export, file, 0, bytes, 4, &error), ==, -1);
    assert_code(error, HF_ERROR_DAMAGED);
    g_clear_error(&error);
  }
  hf_mount_close(&mount->export, file);
  g_autoptr(GByteArray) extras = g_byte_array_new();
  g_assert_false(mount->export.ops->extras(&mount->export, c, extras, &error));
  assert_code(error, HF_ERROR_DAMAGED);
  g_clear_error(&error);
  g_assert_null(hf_mount_lookup(&mount->export, d, "x", &error));
  assert_code(error, HF_ERROR_DAMAGED);
  g_clear_error(&error);
  /* Each place was warned about once (X3). */
  g_assert_true(tree_lab_warned(lab, "/in: cannot be read"));
  g_assert_true(tree_lab_warned(lab, "/in/b: cannot be read"));
  g_assert_true(tree_lab_warned(lab, "/in/c: cannot be read"));
  g_assert_true(tree_lab_warned(lab, "/in/d: cannot be read"));
  g_assert_cmpuint(tree_lab_warnings(lab), ==, 4);
  hf_item_unref(mount, folder, 1);
  hf_item_unref(mount, b, 1);
  hf_item_unref(mount, c, 1);
  hf_item_unref(mount, d, 1);
  hf_mount_free(mount);
  hf_point_info_free(info);
}

/* The roots of a point are lost: it is shown, and says so when it is entered. */
static void test_damaged_roots(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  Maker maker;
  maker_begin(&maker, lab);
  HfEntry root = file_entry("/in", HF_CONTENT_NONE, 0, NULL);
  HfPointInfo *info = maker_commit(&maker, &root, 1, NULL);
  HfMount *mount = open_mount(lab, NULL);
  HfShownPoint *point = mount->points->all->pdata[0];
  ((HfPointInfo *)point->info)->point.roots = maker_lost();
  HfExportItem *folder = find(mount, "lab");
  g_autoptr(GError) error = NULL;
  g_assert_null(hf_mount_lookup(&mount->export, folder, point->name, &error));
  assert_code(error, HF_ERROR_DAMAGED);
  g_clear_error(&error);
  g_autofree char *found = list_all(mount, "lab", 10, FALSE, &error);
  g_assert_cmpstr(found, ==, "latest");
  hf_item_unref(mount, folder, 1);
  hf_mount_free(mount);
  g_assert_null(hf_mount_new(lab->repo, &(HfPointInfo){ .point = { .domain = 77 } }, &error));
  assert_code(error, HF_ERROR_PERMISSION);
  hf_point_info_free(info);
}

/* ---- Many threads. ---- */

typedef struct Crowd {
  HfMount *mount;
  const char *folder;
} Crowd;

static gpointer look_around(gpointer data)
{
  const Crowd *crowd = data;
  HfMount *mount = crowd->mount;
  for (guint i = 0; i < 100; i++) {
    g_autofree char *name = g_strdup_printf("%s/in/file-%u", crowd->folder, g_random_int_range(0, 20));
    g_autofree char *text = g_strdup_printf("text of %s", strrchr(name, '/') + 1);
    assert_text(mount, name, text);
    GError *error = NULL;
    g_autofree char *top = list_all(mount, "", 10, i % 2 == 0, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(top, ==, "ids lab");
    if (i % 10 == 0)
      age(mount);
  }
  return NULL;
}

static void test_threads(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  for (guint i = 0; i < 20; i++) {
    g_autofree char *name = g_strdup_printf("in/file-%u", i), *text = g_strdup_printf("text of file-%u", i);
    tree_lab_text(lab, name, text);
  }
  HfPointInfo *info = tree_lab_backup(lab, "in");
  g_autofree char *folder = point_path(info, lab->folder + 1);
  HfMount *mount = open_mount(lab, NULL);
  Crowd crowd = { mount, folder };
  GThread *threads[6];
  for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
    threads[i] = g_thread_new("look", look_around, &crowd);
  for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
    g_thread_join(threads[i]);
  g_assert_cmpuint(mount->workers.length, <=, G_N_ELEMENTS(threads));
  g_assert_cmpuint(g_hash_table_size(mount->items.all), ==, 1);
  hf_mount_free(mount);
  hf_point_info_free(info);
}

int main(int argc, char **argv)
{
  g_setenv("HOLDFAST_TEST_BEAT_MS", "10", TRUE); /* a lost lease is soon noticed */
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/mount/points", test_points);
  g_test_add_func("/mount/lost-session", test_lost_session);
  g_test_add_func("/mount/store-away", test_store_away);
  g_test_add_func("/mount/one-point", test_one_point);
  g_test_add_func("/mount/names", test_names);
  g_test_add_func("/mount/status", test_status);
  g_test_add_func("/mount/wrong-kinds", test_wrong_kinds);
  g_test_add_func("/mount/large-folder", test_large_folder);
  g_test_add_func("/mount/file-extents", test_file_extents);
  g_test_add_func("/mount/stale-content", test_stale_content);
  g_test_add_func("/mount/disk", test_disk);
  g_test_add_func("/mount/damage", test_damage);
  g_test_add_func("/mount/damaged-roots", test_damaged_roots);
  g_test_add_func("/mount/threads", test_threads);
  return g_test_run();
}
