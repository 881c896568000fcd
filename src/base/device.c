/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * No single place tells who uses a device. Mounts are told by mountinfo (also read-only ones apart), swap by
 * /proc/swaps, LVM, RAID and the like by sysfs, loop devices by themselves; whatever else claims a device for itself
 * alone shows when one tries to claim it, too.
 */
#include "base/device.h"

#include <errno.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/sys.h"

/* QEMU locks this byte of an image, for reading, when it may write to the image. */
#define QEMU_WRITES_BYTE 101

/* ---- Mounts and swap, of one device number. ---- */

static char **read_lines(const char *path)
{
  g_autofree char *text = NULL;
  return g_file_get_contents(path, &text, NULL, NULL) ? g_strsplit(text, "\n", -1) : g_new0(char *, 1);
}

/* Some file systems (btrfs) have a number that is not their device's: then the source tells. */
static gboolean is_source(const char *escaped, dev_t number)
{
  struct stat status;
  g_autofree char *path = g_strcompress(escaped);
  return g_str_has_prefix(path, "/dev/") && hf_sys->fstatat(AT_FDCWD, path, &status, 0) == 0 &&
         S_ISBLK(status.st_mode) && status.st_rdev == number;
}

/* A line of mountinfo: id parent major:minor root mountpoint options [more]... - type source options. Returns the place
 * when it is a mount of device `number`; *read_only is that of the file system itself, which may write whatever the
 * mount says. */
static char *mount_of(const char *line, dev_t number, const char *number_text, gboolean *read_only)
{
  g_auto(GStrv) fields = g_strsplit(line, " ", -1);
  guint count = g_strv_length(fields), dash = 6;
  while (dash < count && !g_str_equal(fields[dash], "-"))
    dash++;
  if (dash + 3 >= count || (!g_str_equal(fields[2], number_text) && !is_source(fields[dash + 2], number)))
    return NULL;
  const char *options = fields[dash + 3];
  *read_only = g_str_equal(options, "ro") || g_str_has_prefix(options, "ro,");
  return g_strcompress(fields[4]);
}

static char *mounted(dev_t number, HfUse use)
{
  g_autofree char *text = g_strdup_printf("%u:%u", major(number), minor(number));
  g_auto(GStrv) lines = read_lines("/proc/self/mountinfo");
  for (guint i = 0; lines[i] != NULL; i++) {
    gboolean read_only = FALSE;
    g_autofree char *place = mount_of(lines[i], number, text, &read_only);
    if (place != NULL && (use == HF_USE_ANY || !read_only))
      return g_strdup_printf("mounted at '%s'", place);
  }
  return NULL;
}

static gboolean is_same(const struct stat *a, const struct stat *b)
{
  if (S_ISBLK(a->st_mode) || S_ISBLK(b->st_mode))
    return S_ISBLK(a->st_mode) && S_ISBLK(b->st_mode) && a->st_rdev == b->st_rdev;
  return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static gboolean is_swap(const struct stat *wanted)
{
  g_auto(GStrv) lines = read_lines("/proc/swaps");
  for (guint i = lines[0] != NULL ? 1 : 0; lines[i] != NULL; i++) {
    struct stat status;
    g_auto(GStrv) fields = g_strsplit_set(lines[i], " \t", 2);
    g_autofree char *path = g_strcompress(fields[0] != NULL ? fields[0] : "");
    if (*path == '/' && hf_sys->fstatat(AT_FDCWD, path, &status, 0) == 0 && is_same(&status, wanted))
      return TRUE;
  }
  return FALSE;
}

/* ---- Block devices. ---- */

static char *held(const char *folder)
{
  g_autofree char *holders = g_build_filename(folder, "holders", NULL);
  g_autoptr(GDir) dir = g_dir_open(holders, 0, NULL);
  const char *name = dir != NULL ? g_dir_read_name(dir) : NULL;
  return name != NULL ? g_strdup_printf("held by '%s'", name) : NULL;
}

static char *number_use(dev_t number, const char *folder, HfUse use)
{
  struct stat status = { .st_mode = S_IFBLK, .st_rdev = number };
  char *found = mounted(number, use);
  if (found == NULL && is_swap(&status))
    found = g_strdup("swap");
  return found != NULL ? found : held(folder);
}

static gboolean read_number(const char *folder, dev_t *number)
{
  g_autofree char *path = g_build_filename(folder, "dev", NULL), *text = NULL;
  unsigned high, low;
  if (!g_file_get_contents(path, &text, NULL, NULL) || sscanf(text, "%u:%u", &high, &low) != 2)
    return FALSE;
  *number = makedev(high, low);
  return TRUE;
}

/* The whole device, then its partitions: folders below it in sysfs that have a "partition" file. */
static char *block_use(dev_t number, HfUse use)
{
  g_autofree char *folder = g_strdup_printf("/sys/dev/block/%u:%u", major(number), minor(number));
  char *found = number_use(number, folder, use);
  g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
  const char *name;
  while (found == NULL && dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
    dev_t part;
    g_autofree char *below = g_build_filename(folder, name, NULL);
    g_autofree char *mark = g_build_filename(below, "partition", NULL);
    if (g_file_test(mark, G_FILE_TEST_EXISTS) && read_number(below, &part))
      found = number_use(part, below, use);
  }
  return found;
}

/* Who mounts a device, or takes it otherwise, claims it; a claim of ours then fails, also when the other is in another
 * mount namespace. A device that is mounted read-only is claimed, too. */
static char *claimed(const char *path, dev_t number, HfUse use)
{
  hf_autofd int fd = hf_sys->openat(AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_EXCL | O_CLOEXEC, 0);
  if (fd >= 0 || errno != EBUSY)
    return NULL;
  g_autofree char *explained = use == HF_USE_WRITERS ? block_use(number, HF_USE_ANY) : NULL;
  return explained == NULL ? g_strdup("claimed by another program") : NULL;
}

/* ---- Loop devices. ---- */

/* Whether the loop device `name` stands for what `status` describes. It knows by device and inode, which holds when the
 * file was renamed or is out of sight; without the right to ask it, the path in sysfs must do. */
static gboolean loop_is_over(const char *name, const struct stat *status)
{
  struct loop_info64 info;
  struct stat backing;
  g_autofree char *node = g_build_filename("/dev", name, NULL), *path = NULL;
  g_autofree char *shown = g_build_filename("/sys/block", name, "loop", "backing_file", NULL);
  if (!g_file_get_contents(shown, &path, NULL, NULL))
    return FALSE;
  hf_autofd int fd = hf_sys->openat(AT_FDCWD, node, O_RDONLY | O_NONBLOCK | O_CLOEXEC, 0);
  if (fd >= 0 && ioctl(fd, LOOP_GET_STATUS64, &info) == 0)
    return S_ISBLK(status->st_mode) ? info.lo_rdevice == status->st_rdev
                                    : info.lo_device == status->st_dev && info.lo_inode == status->st_ino;
  if (g_str_has_suffix(path, "\n"))
    path[strlen(path) - 1] = '\0';
  return hf_sys->fstatat(AT_FDCWD, path, &backing, 0) == 0 && is_same(&backing, status);
}

static char *loop_use(const struct stat *status, HfUse use)
{
  g_autoptr(GDir) dir = g_dir_open("/sys/block", 0, NULL);
  const char *name;
  while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
    dev_t number;
    g_autofree char *folder = g_build_filename("/sys/block", name, NULL), *node = g_build_filename("/dev", name, NULL);
    if (!loop_is_over(name, status) || !read_number(folder, &number))
      continue;
    g_autofree char *by = block_use(number, use);
    if (by == NULL)
      by = claimed(node, number, use);
    if (by != NULL)
      return g_strdup_printf("attached as '%s', %s", name, by);
    if (use == HF_USE_ANY)
      return g_strdup_printf("attached as '%s'", name);
  }
  return NULL;
}

/* ---- Locks of files. ---- */

static gboolean conflicts(int fd, short type, off_t start, off_t length)
{
  struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length };
  return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

static char *lock_use(int fd, HfUse use)
{
  gboolean found = use == HF_USE_ANY ? conflicts(fd, F_WRLCK, 0, 0)
                                     : conflicts(fd, F_RDLCK, 0, 0) || conflicts(fd, F_WRLCK, QEMU_WRITES_BYTE, 1);
  return found ? g_strdup("locked by another program, perhaps a running machine") : NULL;
}

/* ---- All. ---- */

static char *file_use(int fd, const struct stat *status, HfUse use)
{
  char *found = loop_use(status, use);
  if (found == NULL && is_swap(status))
    found = g_strdup("swap");
  return found != NULL ? found : lock_use(fd, use);
}

static char *device_use(int fd, const struct stat *status, HfUse use)
{
  char *found = block_use(status->st_rdev, use);
  if (found == NULL)
    found = loop_use(status, use);
  if (found != NULL)
    return found;
  g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
  return claimed(path, status->st_rdev, use);
}

char *hf_device_use(int fd, HfUse use)
{
  struct stat status;
  if (fstat(fd, &status) != 0)
    return NULL;
  return S_ISBLK(status.st_mode) ? device_use(fd, &status, use) : file_use(fd, &status, use);
}
