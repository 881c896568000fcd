/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A small tree behind the kernel's FUSE: what it is asked, what comes back, and that every reference is given back. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/error.h"
#include "export/fuse/fuse.h"
#include "fixture.h"
#include "format/tree.h"

#define MANY 3000u /* entries of a folder: more than one buffer */
#define SIZE (300u << 10)

/* ---- The tree. What an item does is told by its name. ---- */

struct HfExportItem {
  char *name;
  gint references;
};

typedef struct Tree {
  HfExport export; /* first */
  GMutex lock;
  GHashTable *items;        /* by name */
  GHashTable *files, *lists; /* sets of those that are open */
  gint gone;                /* atomic: "brief..." is not there any more */
} Tree;

struct HfExportFile {
  HfExportItem *item;
};
struct HfExportList {
  HfExportItem *folder;
};

static HfExportItem *item_of(Tree *tree, const char *name)
{
  g_mutex_lock(&tree->lock);
  HfExportItem *item = g_hash_table_lookup(tree->items, name);
  if (item == NULL) {
    item = g_new0(HfExportItem, 1);
    item->name = g_strdup(name);
    g_hash_table_insert(tree->items, item->name, item);
  }
  item->references++;
  g_mutex_unlock(&tree->lock);
  return item;
}

static void note_open(Tree *tree, GHashTable *set, gpointer handle, gboolean open)
{
  HF_LOCK(&tree->lock);
  g_assert_true(open ? g_hash_table_add(set, handle) : g_hash_table_remove(set, handle));
}

static gboolean is(const HfExportItem *item, const char *name)
{
  return strcmp(item->name, name) == 0;
}

static HfExportItem *tree_top(HfExport *export)
{
  return g_hash_table_lookup(((Tree *)export)->items, "");
}

static gboolean fail_as(const char *name, GError **error)
{
  if (strstr(name, "denied") != NULL)
    return hf_fail(error, HF_ERROR_PERMISSION, "denied");
  if (strstr(name, "vanished") != NULL)
    return hf_fail(error, HF_ERROR_NOT_FOUND, "vanished");
  if (strstr(name, "wrong") != NULL)
    return hf_fail(error, HF_ERROR_USAGE, "wrong");
  return hf_fail(error, HF_ERROR_DAMAGED, "lost");
}

static HfExportItem *tree_lookup(HfExport *export, HfExportItem *folder, const char *name, GError **error)
{
  Tree *tree = (Tree *)export;
  (void)folder;
  if (g_str_has_prefix(name, "lookup-")) {
    fail_as(name, error);
    return NULL;
  }
  if (strcmp(name, "missing") == 0 || (g_atomic_int_get(&tree->gone) && g_str_has_prefix(name, "brief")))
    return NULL;
  return item_of(tree, name);
}

static void tree_unref(HfExport *export, HfExportItem *item, guint64 count)
{
  Tree *tree = (Tree *)export;
  g_mutex_lock(&tree->lock);
  item->references -= (gint)count;
  g_assert_cmpint(item->references, >=, 0);
  g_mutex_unlock(&tree->lock);
}

static guint tree_lifetime(HfExport *export, HfExportItem *item)
{
  (void)export;
  return is(item, "") || g_str_has_prefix(item->name, "brief") ? 0 : HF_EXPORT_FOREVER;
}

static gboolean is_folder(const char *name)
{
  return *name == '\0' || strstr(name, "folder") != NULL;
}

static void fill_status(const HfExportItem *item, struct stat *status)
{
  memset(status, 0, sizeof *status);
  status->st_mode = is_folder(item->name) ? S_IFDIR | 0755 : strstr(item->name,
                                                                    "link") ? S_IFLNK | 0777 : S_IFREG | 0644;
  status->st_ino = g_str_hash(item->name) + 2u;
  status->st_nlink = 1;
  status->st_size = S_ISREG(status->st_mode) ? SIZE : 0;
  status->st_mtim = (struct timespec){ 1700000000, 987654321 };
}

static gboolean tree_status(HfExport *export, HfExportItem *item, struct stat *status, GError **error)
{
  (void)export;
  fill_status(item, status);
  return strstr(item->name, "status-") == NULL || fail_as(item->name, error);
}

static char *tree_read_link(HfExport *export, HfExportItem *item, GError **error)
{
  (void)export;
  if (is(item, "link"))
    return g_strdup("some/where");
  fail_as(item->name, error);
  return NULL;
}

static gboolean tree_extras(HfExport *export, HfExportItem *item, GByteArray *extras, GError **error)
{
  const guint8 flags[4] = { 0x10, 0, 0, 0 }, project[4] = { 42, 0, 0, 0 };
  (void)export;
  if (strstr(item->name, "extras-") != NULL)
    return fail_as(item->name, error);
  if (is(item, "file")) {
    hf_extras_add(extras, HF_EXTRA_XATTR, "user.empty", sizeof "user.empty");
    hf_extras_add(extras, HF_EXTRA_XATTR, "user.one\0" "12345", sizeof "user.one" + 5);
    hf_extras_add(extras, HF_EXTRA_INODE_FLAGS, flags, sizeof flags);
    hf_extras_add(extras, HF_EXTRA_PROJECT, project, sizeof project);
  }
  return TRUE;
}

/* ---- Folders. ---- */

static HfExportList *tree_list_open(HfExport *export, HfExportItem *folder, GError **error)
{
  Tree *tree = (Tree *)export;
  if (strstr(folder->name, "open-") != NULL) {
    fail_as(folder->name, error);
    return NULL;
  }
  HfExportList *list = g_new(HfExportList, 1);
  list->folder = folder;
  note_open(tree, tree->lists, list, TRUE);
  return list;
}

/* "half-folder" gives ten entries and an error, "lost-folder" the error alone. */
static gboolean tree_list_read(HfExport *export, HfExportList *list, guint64 position, gboolean items,
                               HfExportEntryFunc func, gpointer user, GError **error)
{
  Tree *tree = (Tree *)export;
  guint64 count = is(list->folder, "lost-folder") ? 0 : is(list->folder, "half-folder") ? 10 : MANY;
  for (; position < count; position++) {
    g_autofree char *name = g_strdup_printf("entry %u", (guint)position);
    HfExportItem *item = item_of(tree, name);
    HfExportEntry entry = { .name = name, .item = items ? item : NULL };
    fill_status(item, &entry.status);
    gboolean taken = func(&entry, position, user);
    if (!taken || !items)
      tree_unref(export, item, 1);
    if (!taken)
      return TRUE;
  }
  return count == MANY || fail_as(list->folder->name, error);
}

static void tree_list_close(HfExport *export, HfExportList *list)
{
  Tree *tree = (Tree *)export;
  note_open(tree, tree->lists, list, FALSE);
}

/* ---- Files: byte i is i % 251, with a hole in the second quarter. ---- */

static HfExportFile *tree_open(HfExport *export, HfExportItem *item, GError **error)
{
  Tree *tree = (Tree *)export;
  if (strstr(item->name, "open-") != NULL) {
    fail_as(item->name, error);
    return NULL;
  }
  HfExportFile *file = g_new(HfExportFile, 1);
  file->item = item;
  note_open(tree, tree->files, file, TRUE);
  return file;
}

static gssize tree_read(HfExport *export, HfExportFile *file, guint64 offset, void *bytes, gsize length, GError **error)
{
  (void)export;
  if (strstr(file->item->name, "read-") != NULL) {
    fail_as(file->item->name, error);
    return -1;
  }
  gsize got = offset < SIZE ? MIN(length, SIZE - (gsize)offset) : 0;
  for (gsize i = 0; i < got; i++)
    ((guint8 *)bytes)[i] = (guint8)((offset + i) % 251);
  return (gssize)got;
}

static gboolean tree_extent(HfExport *export, HfExportFile *file, guint64 offset, gboolean *hole, guint64 *length,
                            GError **error)
{
  const guint64 quarter = SIZE / 4;
  (void)export;
  *hole = offset >= quarter && offset < 2 * quarter;
  *length = (offset < quarter ? quarter : offset < 2 * quarter ? 2 * quarter : SIZE) - offset;
  return strstr(file->item->name, "extent-") == NULL || fail_as(file->item->name, error);
}

static guint64 tree_size(HfExport *export, HfExportFile *file)
{
  (void)export;
  (void)file;
  return SIZE;
}

static void tree_close(HfExport *export, HfExportFile *file)
{
  Tree *tree = (Tree *)export;
  note_open(tree, tree->files, file, FALSE);
}

static const HfExportOps tree_ops = {
  .top = tree_top, .lookup = tree_lookup, .unref = tree_unref, .lifetime = tree_lifetime, .status = tree_status,
  .read_link = tree_read_link, .extras = tree_extras, .list_open = tree_list_open, .list_read = tree_list_read,
  .list_close = tree_list_close, .open = tree_open, .read = tree_read, .extent = tree_extent, .size = tree_size,
  .close = tree_close,
};

/* ---- Serving it. ---- */

typedef struct Served {
  Tree tree;
  HfCancel cancel;
  GThread *thread;
  gint mounted; /* atomic */
  GError *error;
  gboolean good;
} Served;

static void note_mounted(gpointer user)
{
  g_atomic_int_set(&((Served *)user)->mounted, 1);
}

static gpointer serve(gpointer data)
{
  Served *served = data;
  HfFuseOptions options = { .place = "place", .source = "a,source", .cancel = &served->cancel, .mounted = note_mounted,
                            .user = served };
  served->good = hf_fuse_serve(&served->tree.export, &options, &served->error);
  return NULL;
}

/* Leaves us in a scratch folder where the tree is mounted at "place"; NULL when that is not possible here. */
static Served *begin(void)
{
  hf_scratch_enter();
  if (g_access("/dev/fuse", R_OK | W_OK) != 0 || !hf_place_private()) {
    g_test_skip("no FUSE here");
    hf_scratch_leave();
    return NULL;
  }
  g_assert_cmpint(g_mkdir("place", 0700), ==, 0);
  Served *served = g_new0(Served, 1);
  served->tree.export.ops = &tree_ops;
  served->tree.items = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
  served->tree.files = g_hash_table_new_full(NULL, NULL, g_free, NULL);
  served->tree.lists = g_hash_table_new_full(NULL, NULL, g_free, NULL);
  g_mutex_init(&served->tree.lock);
  item_of(&served->tree, "");
  served->thread = g_thread_new("serve", serve, served);
  while (!g_atomic_int_get(&served->mounted))
    g_usleep(1000);
  return served;
}

static void end(Served *served)
{
  g_thread_join(served->thread);
  g_assert_no_error(served->error);
  g_assert_true(served->good);
  g_hash_table_unref(served->tree.files);
  g_hash_table_unref(served->tree.lists);
  g_hash_table_unref(served->tree.items);
  g_mutex_clear(&served->tree.lock);
  g_free(served);
  hf_scratch_leave();
}

static void unmount(Served *served)
{
  g_assert_cmpint(umount("place"), ==, 0);
  end(served);
}

static void assert_errno(int result, int expected)
{
  int found = errno;
  g_assert_cmpint(result, ==, -1);
  g_assert_cmpint(found, ==, expected);
}

/* ---- Tests. ---- */

static void test_status(void)
{
  struct stat status;
  struct statvfs system;
  char target[100];
  Served *served = begin();
  if (served == NULL)
    return;
  g_assert_cmpint(stat("place", &status), ==, 0);
  g_assert_true(S_ISDIR(status.st_mode));
  g_assert_cmpint(stat("place/file", &status), ==, 0);
  g_assert_cmpint(status.st_size, ==, SIZE);
  g_assert_cmpuint(status.st_ino, ==, g_str_hash("file") + 2u);
  g_assert_cmpint(status.st_mtim.tv_nsec, ==, 987654321);
  assert_errno(stat("place/missing", &status), ENOENT);
  assert_errno(stat("place/lookup-denied", &status), EACCES);
  assert_errno(stat("place/lookup-vanished", &status), ENOENT);
  assert_errno(stat("place/lookup-wrong", &status), EINVAL);
  assert_errno(stat("place/lookup-lost", &status), EIO);
  assert_errno(stat("place/status-lost", &status), EIO);
  g_assert_cmpint(readlink("place/link", target, sizeof target), ==, 10);
  g_assert_cmpint(memcmp(target, "some/where", 10), ==, 0);
  assert_errno((int)readlink("place/bad-link", target, sizeof target), EIO);
  g_assert_cmpint(statvfs("place", &system), ==, 0);
  g_assert_cmpuint(system.f_namemax, ==, 255);
  g_autofree char *name = g_strnfill(256, 'n'), *path = g_build_filename("place", name, NULL);
  assert_errno(stat(path, &status), ENAMETOOLONG);
  unmount(served);
}

static void test_extras(void)
{
  char value[100];
  unsigned flags = 0;
  struct fsxattr project;
  Served *served = begin();
  if (served == NULL)
    return;
  g_assert_cmpint(getxattr("place/file", "user.one", value, sizeof value), ==, 5);
  g_assert_cmpint(memcmp(value, "12345", 5), ==, 0);
  g_assert_cmpint(getxattr("place/file", "user.one", NULL, 0), ==, 5);
  g_assert_cmpint(getxattr("place/file", "user.empty", value, sizeof value), ==, 0);
  assert_errno((int)getxattr("place/file", "user.one", value, 3), ERANGE);
  assert_errno((int)getxattr("place/file", "user.two", value, sizeof value), ENODATA);
  g_assert_cmpint(listxattr("place/file", value, sizeof value), ==, 20);
  g_assert_cmpint(memcmp(value, "user.empty\0user.one", 20), ==, 0);
  g_assert_cmpint(listxattr("place/file", NULL, 0), ==, 20);
  assert_errno((int)listxattr("place/file", value, 19), ERANGE);
  g_assert_cmpint(listxattr("place/plain", value, sizeof value), ==, 0);
  assert_errno((int)listxattr("place/extras-lost", value, sizeof value), EIO);
  assert_errno((int)getxattr("place/extras-denied", "user.one", value, sizeof value), EACCES);
  int fd = open("place/file", O_RDONLY | O_CLOEXEC);
  g_assert_cmpint(ioctl(fd, FS_IOC_GETFLAGS, &flags), ==, 0);
  g_assert_cmpuint(flags, ==, 0x10);
  g_assert_cmpint(ioctl(fd, FS_IOC_FSGETXATTR, &project), ==, 0);
  g_assert_cmpuint(project.fsx_projid, ==, 42);
  assert_errno(ioctl(fd, FS_IOC_GETVERSION, &flags), ENOTTY);
  close(fd);
  fd = open("place/extras-lost", O_RDONLY | O_CLOEXEC);
  assert_errno(ioctl(fd, FS_IOC_GETFLAGS, &flags), EIO);
  close(fd);
  unmount(served);
}

static guint count_entries(const char *path, int *errnum)
{
  DIR *dir = opendir(path);
  guint count = 0, dots = 0;
  g_assert_nonnull(dir);
  errno = 0;
  for (const struct dirent *entry; (entry = readdir(dir)) != NULL; errno = 0) {
    g_autofree char *expected = g_strdup_printf("entry %u", count);
    if (entry->d_name[0] == '.') {
      dots++;
      continue;
    }
    g_assert_cmpstr(entry->d_name, ==, expected);
    g_assert_cmpuint(entry->d_ino, ==, g_str_hash(expected) + 2u);
    count++;
  }
  *errnum = errno;
  g_assert_true(dots == 2 || count == 0);
  closedir(dir);
  return count;
}

static void test_folders(void)
{
  struct stat status;
  int errnum;
  Served *served = begin();
  if (served == NULL)
    return;
  for (guint i = 0; i < 3; i++) { /* asked, with what they are, and out of the kernel's cache */
    g_assert_cmpuint(count_entries("place/folder", &errnum), ==, MANY);
    g_assert_cmpint(errnum, ==, 0);
    g_assert_cmpint(stat("place/folder/entry 17", &status), ==, 0);
  }
  g_assert_cmpuint(count_entries("place", &errnum), ==, MANY);
  g_assert_cmpuint(count_entries("place/half-folder", &errnum), ==, 10);
  g_assert_cmpint(errnum, ==, EIO);
  g_assert_cmpuint(count_entries("place/lost-folder", &errnum), ==, 0);
  g_assert_cmpint(errnum, ==, EIO);
  g_assert_null(opendir("place/open-denied-folder"));
  g_assert_cmpint(errno, ==, EACCES);
  /* Back to a place that telldir gave. */
  DIR *dir = opendir("place/folder");
  for (guint i = 0; i < 2500; i++)
    g_assert_nonnull(readdir(dir));
  long place = telldir(dir);
  g_autofree char *name = g_strdup(readdir(dir)->d_name);
  rewinddir(dir);
  g_assert_cmpstr(readdir(dir)->d_name, ==, ".");
  seekdir(dir, place);
  g_assert_cmpstr(readdir(dir)->d_name, ==, name);
  closedir(dir);
  unmount(served);
}

static guint open_files(Tree *tree)
{
  HF_LOCK(&tree->lock);
  return g_hash_table_size(tree->files);
}

static void test_files(void)
{
  g_autofree guint8 *bytes = g_malloc(SIZE + 100);
  Served *served = begin();
  if (served == NULL)
    return;
  int fd = open("place/file", O_RDONLY | O_CLOEXEC);
  g_assert_cmpint(fd, >=, 0);
  g_assert_cmpint(pread(fd, bytes, SIZE + 100, 0), ==, SIZE);
  for (guint i = 0; i < SIZE; i++)
    if (bytes[i] != i % 251)
      g_error("byte %u is wrong", i);
  g_assert_cmpint(pread(fd, bytes, 100, SIZE - 3), ==, 3);
  g_assert_cmpint(pread(fd, bytes, 100, SIZE + 3), ==, 0);
  g_assert_cmpint(lseek(fd, 5, SEEK_DATA), ==, 5);
  g_assert_cmpint(lseek(fd, 5, SEEK_HOLE), ==, SIZE / 4);
  g_assert_cmpint(lseek(fd, SIZE / 4 + 5, SEEK_DATA), ==, SIZE / 2);
  g_assert_cmpint(lseek(fd, SIZE / 4 + 5, SEEK_HOLE), ==, SIZE / 4 + 5);
  g_assert_cmpint(lseek(fd, SIZE / 2, SEEK_HOLE), ==, SIZE);
  assert_errno((int)lseek(fd, SIZE, SEEK_DATA), ENXIO);
  g_assert_cmpint(lseek(fd, -1, SEEK_END), ==, SIZE - 1);
  close(fd);
  assert_errno(open("place/file", O_RDWR | O_CLOEXEC), EROFS);
  assert_errno(open("place/open-denied", O_RDONLY | O_CLOEXEC), EACCES);
  fd = open("place/read-lost", O_RDONLY | O_CLOEXEC);
  assert_errno((int)pread(fd, bytes, 100, 0), EIO);
  close(fd);
  fd = open("place/extent-lost", O_RDONLY | O_CLOEXEC);
  assert_errno((int)lseek(fd, 0, SEEK_DATA), EIO);
  close(fd);
  for (guint i = 0; i < 5000 && open_files(&served->tree) > 0; i++)
    g_usleep(1000); /* closing is told later */
  g_assert_cmpuint(open_files(&served->tree), ==, 0);
  unmount(served);
}

static gint references(Tree *tree, const HfExportItem *item)
{
  HF_LOCK(&tree->lock);
  return item->references;
}

/* The kernel asks again for what does not live, and gives back what it let go of. */
static void test_forget(void)
{
  struct stat status;
  Served *served = begin();
  if (served == NULL)
    return;
  g_assert_cmpint(stat("place/brief-folder", &status), ==, 0);
  g_assert_cmpint(stat("place/brief-folder/inner", &status), ==, 0);
  g_assert_cmpint(stat("place/brief-folder/other", &status), ==, 0);
  g_atomic_int_set(&served->tree.gone, 1);
  assert_errno(stat("place/brief-folder", &status), ENOENT);
  const char *names[] = { "brief-folder", "inner", "other" };
  for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
    HfExportItem *item = item_of(&served->tree, names[i]);
    for (guint wait = 0; wait < 5000 && references(&served->tree, item) > 1; wait++)
      g_usleep(1000);
    g_assert_cmpint(references(&served->tree, item), ==, 1); /* our own */
  }
  unmount(served);
}

static gpointer read_on(gpointer data)
{
  gint *stop = data;
  guint8 bytes[5000];
  while (!g_atomic_int_get(stop)) {
    int fd = open("place/file", O_RDONLY | O_DIRECT | O_CLOEXEC);
    if (fd >= 0 && pread(fd, bytes, sizeof bytes, 777) == (gssize)sizeof bytes)
      for (guint i = 0; i < sizeof bytes; i++)
        g_assert_cmpuint(bytes[i], ==, (777 + i) % 251);
    if (fd >= 0)
      close(fd);
  }
  return NULL;
}

/* Cancelled under load: it is unmounted, and everybody gets an answer. */
static void test_cancel(void)
{
  gint stop = 0;
  GThread *readers[4];
  Served *served = begin();
  if (served == NULL)
    return;
  for (guint i = 0; i < G_N_ELEMENTS(readers); i++)
    readers[i] = g_thread_new("read", read_on, &stop);
  g_usleep(100000);
  hf_cancel_set(&served->cancel);
  g_thread_join(served->thread);
  g_atomic_int_set(&stop, 1);
  for (guint i = 0; i < G_N_ELEMENTS(readers); i++)
    g_thread_join(readers[i]);
  struct stat status;
  g_assert_cmpint(stat("place/file", &status), ==, -1);
  served->thread = g_thread_new("nothing", serve, served); /* cancelled from the start: mounts and ends */
  end(served);
}

static void assert_refused(const char *place, HfErrorCode code, const char *text)
{
  Tree tree = { .export = { .ops = &tree_ops } };
  HfFuseOptions options = { .place = place, .source = "source", .threads = 1 };
  g_autoptr(GError) error = NULL;
  g_assert_false(hf_fuse_serve(&tree.export, &options, &error));
  g_assert_error(error, HF_ERROR, (int)code);
  g_assert_nonnull(strstr(error->message, text));
}

static void test_places(void)
{
  hf_scratch_enter();
  assert_refused("missing", HF_ERROR_NOT_FOUND, "missing");
  g_assert_true(g_file_set_contents("file", "x", 1, NULL));
  assert_refused("file", HF_ERROR_USAGE, "not a folder");
  g_assert_cmpint(g_mkdir("full", 0700), ==, 0);
  g_assert_true(g_file_set_contents("full/file", "x", 1, NULL));
  assert_refused("full", HF_ERROR_REFUSED, "not empty");
  hf_scratch_leave();
}

static void as_nobody(void)
{
  if (g_access("/dev/fuse", R_OK | W_OK) != 0)
    assert_refused("place", HF_ERROR_UNSUPPORTED, "cannot mount at 'place'");
}

static void test_no_right(void)
{
  hf_scratch_enter();
  g_assert_cmpint(g_mkdir("place", 0777), ==, 0);
  g_assert_cmpint(g_chmod("place", 0777), ==, 0);
  g_assert_true(hf_as_nobody(as_nobody));
  hf_scratch_leave();
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/fuse/status", test_status);
  g_test_add_func("/fuse/extras", test_extras);
  g_test_add_func("/fuse/folders", test_folders);
  g_test_add_func("/fuse/files", test_files);
  g_test_add_func("/fuse/forget", test_forget);
  g_test_add_func("/fuse/cancel", test_cancel);
  g_test_add_func("/fuse/places", test_places);
  g_test_add_func("/fuse/no-right", test_no_right);
  return g_test_run();
}
