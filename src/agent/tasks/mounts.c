/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/tasks/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/error.h"
#include "base/sys.h"

#define DEPTH_MAX 8u /* of images in images, and of devices upon devices */

typedef struct Mount {
  int id;
  dev_t device; /* of the super block: btrfs gives files other numbers, by their subvolume */
  dev_t source; /* of the block device that it was mounted from */
  char *place, *type;
  gboolean read_only;
} Mount;

static void mount_free(gpointer data)
{
  Mount *mount = data;
  g_free(mount->place);
  g_free(mount->type);
  g_free(mount);
}

/* ---- mountinfo ---- */

static dev_t number_of(const char *text)
{
  unsigned high, low;
  return sscanf(text, "%u:%u", &high, &low) == 2 ? makedev(high, low) : 0;
}

/* id parent major:minor root place options [more]... - type source options. The places are not looked at: a server that
 * is away would hold up whoever does. */
static Mount *parse(const char *line)
{
  struct stat status;
  g_auto(GStrv) fields = g_strsplit(line, " ", -1);
  guint count = g_strv_length(fields), dash = 6;
  while (dash < count && !g_str_equal(fields[dash], "-"))
    dash++;
  if (dash + 3 >= count)
    return NULL;
  Mount *mount = g_new0(Mount, 1);
  g_autofree char *source = g_strcompress(fields[dash + 2]);
  const char *options = fields[dash + 3];
  mount->id = (int)g_ascii_strtoll(fields[0], NULL, 10);
  mount->place = g_strcompress(fields[4]);
  mount->type = g_strdup(fields[dash + 1]);
  mount->read_only = g_str_equal(options, "ro") || g_str_has_prefix(options, "ro,");
  mount->device = mount->source = number_of(fields[2]);
  if (major(mount->device) == 0 && g_str_has_prefix(source, "/dev/") && stat(source, &status) == 0 &&
      S_ISBLK(status.st_mode))
    mount->source = status.st_rdev;
  return mount;
}

static GPtrArray *load_mounts(void)
{
  g_autofree char *text = NULL;
  GPtrArray *mounts = g_ptr_array_new_with_free_func(mount_free);
  g_file_get_contents("/proc/self/mountinfo", &text, NULL, NULL);
  g_auto(GStrv) lines = g_strsplit(text != NULL ? text : "", "\n", -1);
  for (guint i = 0; lines[i] != NULL; i++) {
    Mount *mount = parse(lines[i]);
    if (mount != NULL)
      g_ptr_array_add(mounts, mount);
  }
  return mounts;
}

/* NULL with errno, which is 0 for what lies in no mount of this process (a pipe). */
static const Mount *find_mount(const GPtrArray *mounts, const char *path)
{
  hf_autofd int fd = open(path, O_PATH | O_CLOEXEC);
  if (fd < 0)
    return NULL;
  const int id = hf_mount_id(fd);
  errno = 0;
  for (guint i = 0; i < mounts->len; i++)
    if (((const Mount *)mounts->pdata[i])->id == id)
      return mounts->pdata[i];
  return NULL;
}

static HfFrozen *frozen_new(const char *place, dev_t device)
{
  HfFrozen *frozen = g_new0(HfFrozen, 1);
  frozen->mount = g_strdup(place);
  frozen->device = device;
  return frozen;
}

HfFrozen *hf_mounts_of_path(const char *path, GError **error)
{
  g_autoptr(GPtrArray) mounts = load_mounts();
  const Mount *mount = find_mount(mounts, path);
  if (mount != NULL)
    return frozen_new(mount->place, mount->device);
  const int why = errno;
  if (why != 0)
    hf_fail_errno(error, why, "cannot look at '%s'", path);
  else
    hf_fail(error, HF_ERROR_UNSUPPORTED, "the file system of '%s' has no place of its own", path);
  return NULL;
}

/* ---- devices upon devices ---- */

static dev_t read_number(const char *folder, const char *name)
{
  g_autofree char *path = g_build_filename(folder, name, "dev", NULL), *text = NULL;
  return g_file_get_contents(path, &text, NULL, NULL) ? number_of(text) : 0;
}

static char *loop_backing(const char *folder)
{
  g_autofree char *path = g_build_filename(folder, "loop", "backing_file", NULL), *text = NULL;
  return g_file_get_contents(path, &text, NULL, NULL) ? g_strdup(g_strchomp(text)) : NULL;
}

static void add_device(GArray *devices, dev_t device, guint depth);

static void add_below(GArray *devices, const char *folder, const char *needs, guint depth)
{
  const char *name;
  g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
  while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
    g_autofree char *mark = needs != NULL ? g_build_filename(folder, name, needs, NULL) : NULL;
    if (mark == NULL || g_file_test(mark, G_FILE_TEST_EXISTS))
      add_device(devices, read_number(folder, name), depth + 1);
  }
}

static void add_loops(GArray *devices, const struct stat *status, guint depth)
{
  const char *name;
  g_autoptr(GDir) dir = g_dir_open("/sys/block", 0, NULL);
  while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
    struct stat backing;
    g_autofree char *folder = g_build_filename("/sys/block", name, NULL), *path = loop_backing(folder);
    if (path == NULL || stat(path, &backing) != 0)
      continue;
    if (S_ISBLK(status->st_mode) ? S_ISBLK(backing.st_mode) && backing.st_rdev == status->st_rdev
                                 : backing.st_dev == status->st_dev && backing.st_ino == status->st_ino)
      add_device(devices, read_number("/sys/block", name), depth + 1);
  }
}

static void add_device(GArray *devices, dev_t device, guint depth)
{
  const struct stat status = { .st_mode = S_IFBLK, .st_rdev = device };
  if (device == 0 || depth > DEPTH_MAX)
    return;
  for (guint i = 0; i < devices->len; i++)
    if (g_array_index(devices, dev_t, i) == device)
      return;
  g_array_append_val(devices, device);
  g_autofree char *folder = g_strdup_printf("/sys/dev/block/%u:%u", major(device), minor(device));
  g_autofree char *holders = g_build_filename(folder, "holders", NULL);
  add_below(devices, folder, "partition", depth);
  add_below(devices, holders, NULL, depth);
  add_loops(devices, &status, depth);
}

static gboolean has_device(const GArray *devices, dev_t device)
{
  for (guint i = 0; i < devices->len; i++)
    if (g_array_index(devices, dev_t, i) == device)
      return TRUE;
  return FALSE;
}

static gboolean has_place(const GPtrArray *places, dev_t device)
{
  for (guint i = 0; i < places->len; i++)
    if (((const HfFrozen *)places->pdata[i])->device == device)
      return TRUE;
  return FALSE;
}

void hf_mounts_of_disk(const char *path, GPtrArray *places)
{
  struct stat status;
  g_autoptr(GArray) devices = g_array_new(FALSE, FALSE, sizeof(dev_t));
  if (stat(path, &status) != 0)
    return;
  if (S_ISBLK(status.st_mode))
    add_device(devices, status.st_rdev, 0);
  else
    add_loops(devices, &status, 0);
  g_autoptr(GPtrArray) mounts = load_mounts();
  for (guint i = 0; i < mounts->len; i++) {
    const Mount *mount = mounts->pdata[i];
    if (!mount->read_only && has_device(devices, mount->source) && !has_place(places, mount->device))
      g_ptr_array_add(places, frozen_new(mount->place, mount->device));
  }
}

/* ---- what is written to what ---- */

/* Of a file system that lies over folders nobody can say which ones: it may be any. */
static gboolean lies_over_folders(const Mount *mount)
{
  static const char *const types[] = { "overlay", "aufs", "ecryptfs", "fuse.mergerfs", NULL };
  return g_strv_contains(types, mount->type);
}

static gboolean device_comes_to(const GPtrArray *mounts, dev_t device, dev_t target, guint depth);

/* Does what is written to `mount`, or NULL, come to the file system `target`? */
static gboolean mount_comes_to(const GPtrArray *mounts, const Mount *mount, dev_t target, guint depth)
{
  return mount != NULL && (mount->device == target || lies_over_folders(mount) ||
                           device_comes_to(mounts, mount->source, target, depth));
}

static gboolean backing_comes_to(const GPtrArray *mounts, const char *path, dev_t target, guint depth)
{
  struct stat status;
  if (stat(path, &status) == 0 && S_ISBLK(status.st_mode))
    return device_comes_to(mounts, status.st_rdev, target, depth);
  return mount_comes_to(mounts, find_mount(mounts, path), target, depth);
}

static gboolean device_comes_to(const GPtrArray *mounts, dev_t device, dev_t target, guint depth)
{
  const char *name;
  if (depth > DEPTH_MAX)
    return TRUE;
  g_autofree char *folder = g_strdup_printf("/sys/dev/block/%u:%u", major(device), minor(device));
  g_autofree char *whole = g_build_filename(folder, "..", NULL), *mark = g_build_filename(folder, "partition", NULL);
  g_autofree char *backing = loop_backing(g_file_test(mark, G_FILE_TEST_EXISTS) ? whole : folder);
  g_autofree char *slaves = g_build_filename(folder, "slaves", NULL);
  if (backing != NULL && backing_comes_to(mounts, backing, target, depth + 1))
    return TRUE;
  g_autoptr(GDir) dir = g_dir_open(slaves, 0, NULL);
  while (dir != NULL && (name = g_dir_read_name(dir)) != NULL)
    if (device_comes_to(mounts, read_number(slaves, name), target, depth + 1))
      return TRUE;
  return FALSE;
}

char *hf_mounts_refusal(const HfFrozen *place, const char *const *needed)
{
  g_autoptr(GPtrArray) mounts = load_mounts();
  for (; *needed != NULL; needed++)
    if (mount_comes_to(mounts, find_mount(mounts, *needed), place->device, 0))
      return g_strdup_printf("'%s' is not frozen: what this host has to go on writing lies in it ('%s')",
                             place->mount, *needed);
  return NULL;
}

static gboolean lies_upon(const GPtrArray *mounts, const HfFrozen *upper, const HfFrozen *lower)
{
  for (guint i = 0; i < mounts->len; i++)
    if (((const Mount *)mounts->pdata[i])->device == upper->device)
      return mount_comes_to(mounts, mounts->pdata[i], lower->device, 0);
  return FALSE;
}

static gboolean is_top(const GPtrArray *mounts, const GPtrArray *places, guint from, guint index)
{
  for (guint i = from; i < places->len; i++)
    if (i != index && lies_upon(mounts, places->pdata[i], places->pdata[index]))
      return FALSE;
  return TRUE;
}

void hf_mounts_order(GPtrArray *places)
{
  g_autoptr(GPtrArray) mounts = load_mounts();
  for (guint i = 0; i + 1 < places->len; i++) {
    guint top = i;
    while (top < places->len - 1 && !is_top(mounts, places, i, top))
      top++;
    gpointer first = places->pdata[i];
    places->pdata[i] = places->pdata[top];
    places->pdata[top] = first;
  }
}
