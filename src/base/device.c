/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/device.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* A mount of device `number`, or NULL. Fields: id parent major:minor root mountpoint options ... */
static char *mounted(dev_t number, HfUse use)
{
  g_autofree char *text = NULL;
  if (!g_file_get_contents("/proc/self/mountinfo", &text, NULL, NULL))
    return NULL;
  g_autofree char *wanted = g_strdup_printf("%u:%u", major(number), minor(number));
  g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
  for (guint i = 0; lines[i]; i++) {
    g_auto(GStrv) fields = g_strsplit(lines[i], " ", 7);
    if (g_strv_length(fields) < 6 || !g_str_equal(fields[2], wanted))
      continue;
    /* The file system's own options stand last; a read-write super block may write whatever the mount says. */
    const char *super = strrchr(lines[i], ' ');
    gboolean read_only = super && (g_str_has_prefix(super + 1, "ro,") || g_str_equal(super + 1, "ro"));
    if (use == HF_USE_ANY || !read_only)
      return g_strdup_printf("mounted at '%s'", fields[4]);
  }
  return NULL;
}

static gboolean is_swap(dev_t number)
{
  g_autofree char *text = NULL;
  if (!g_file_get_contents("/proc/swaps", &text, NULL, NULL))
    return FALSE;
  g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
  for (guint i = 1; lines[i]; i++) {
    struct stat status;
    g_auto(GStrv) fields = g_strsplit_set(lines[i], " \t", 2);
    if (fields[0] && stat(fields[0], &status) == 0 && S_ISBLK(status.st_mode) && status.st_rdev == number)
      return TRUE;
  }
  return FALSE;
}

static char *held(const char *folder)
{
  g_autofree char *holders = g_build_filename(folder, "holders", NULL);
  g_autoptr(GDir) dir = g_dir_open(holders, 0, NULL);
  const char *name = dir ? g_dir_read_name(dir) : NULL;
  return name ? g_strdup_printf("held by '%s'", name) : NULL;
}

static char *number_use(dev_t number, const char *folder, HfUse use)
{
  char *found = mounted(number, use);
  if (!found && is_swap(number))
    found = g_strdup("swap");
  return found ? found : held(folder);
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
  while (!found && dir && (name = g_dir_read_name(dir))) {
    dev_t part;
    g_autofree char *below = g_build_filename(folder, name, NULL);
    g_autofree char *mark = g_build_filename(below, "partition", NULL);
    if (g_file_test(mark, G_FILE_TEST_EXISTS) && read_number(below, &part))
      found = number_use(part, below, use);
  }
  return found;
}

/* Loop devices whose backing file is the one with this device and inode number. */
static char *file_use(const struct stat *status, HfUse use)
{
  g_autoptr(GDir) dir = g_dir_open("/sys/block", 0, NULL);
  const char *name;
  while (dir && (name = g_dir_read_name(dir))) {
    g_autofree char *backing = g_build_filename("/sys/block", name, "loop", "backing_file", NULL), *path = NULL;
    struct stat other;
    if (!g_file_get_contents(backing, &path, NULL, NULL))
      continue;
    g_strchomp(path);
    if (stat(path, &other) != 0 || other.st_dev != status->st_dev || other.st_ino != status->st_ino)
      continue;
    g_autofree char *folder = g_build_filename("/sys/block", name, NULL);
    dev_t number;
    g_autofree char *by = read_number(folder, &number) ? block_use(number, use) : NULL;
    if (by)
      return g_strdup_printf("attached as '%s', %s", name, by);
  }
  return NULL;
}

char *hf_device_use(int fd, HfUse use)
{
  struct stat status;
  if (fstat(fd, &status) != 0)
    return NULL;
  return S_ISBLK(status.st_mode) ? block_use(status.st_rdev, use) : file_use(&status, use);
}
