/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every kind of use, made for real: this needs root and loop devices. Locks need neither. */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <linux/blkpg.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/swap.h>
#include <unistd.h>

#include "base/device.h"
#include "fixture.h"
#include "loop.h"

#define FILE_NAME "disk.img"
#define MEGABYTES 16u

/* Asks about what lies at `path`; "" when it is not used. */
static char *use_of(const char *path, HfUse use)
{
  int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  g_assert_cmpint(fd, >=, 0);
  char *found = hf_device_use(fd, use);
  close(fd);
  return found != NULL ? found : g_strdup("");
}

static void assert_use(const char *path, HfUse use, const char *expected)
{
  g_autofree char *found = use_of(path, use);
  g_assert_cmpstr(found, ==, expected);
}

static HfLoop *begin(void)
{
  hf_scratch_enter();
  HfLoop *loop = geteuid() == 0 && hf_place_private() ? hf_loop_new(FILE_NAME, MEGABYTES) : NULL;
  if (loop == NULL) {
    g_test_skip("no loop devices here");
    hf_scratch_leave();
  }
  return loop;
}

static void end(HfLoop *loop)
{
  hf_loop_detach(loop);
  hf_scratch_leave();
}

static gboolean format(const char *program, const char *device)
{
  const char *arguments[] = { program, "-q", device, NULL };
  return hf_run(arguments);
}

/* ---- Devices. ---- */

static void test_idle(void)
{
  HfLoop *loop = begin();
  if (loop == NULL)
    return;
  g_autofree char *name = g_path_get_basename(loop->device), *attached = g_strdup_printf("attached as '%s'", name);
  assert_use(loop->device, HF_USE_ANY, "");
  assert_use(loop->device, HF_USE_WRITERS, "");
  assert_use(FILE_NAME, HF_USE_WRITERS, "");
  assert_use(FILE_NAME, HF_USE_ANY, attached);
  /* It is known by its inode, not by its name. */
  g_assert_cmpint(g_rename(FILE_NAME, "other"), ==, 0);
  assert_use("other", HF_USE_ANY, attached);
  g_assert_true(g_file_set_contents(FILE_NAME, "x", 1, NULL));
  assert_use(FILE_NAME, HF_USE_ANY, "");
  end(loop);
}

static void check_mount(HfLoop *loop, const char *type, unsigned long flags)
{
  g_autofree char *here = g_get_current_dir(), *name = g_path_get_basename(loop->device);
  g_autofree char *expected = g_strdup_printf("mounted at '%s/a place'", here);
  g_autofree char *attached = g_strdup_printf("attached as '%s', %s", name, expected);
  gboolean read_only = (flags & MS_RDONLY) != 0;
  g_assert_cmpint(mount(loop->device, "a place", type, flags, NULL), ==, 0);
  assert_use(loop->device, HF_USE_ANY, expected);
  assert_use(FILE_NAME, HF_USE_ANY, attached);
  assert_use(loop->device, HF_USE_WRITERS, read_only ? "" : expected);
  assert_use(FILE_NAME, HF_USE_WRITERS, read_only ? "" : attached);
  g_assert_cmpint(umount("a place"), ==, 0);
}

static void test_mounted(void)
{
  HfLoop *loop = begin();
  if (loop == NULL)
    return;
  g_assert_cmpint(g_mkdir("a place", 0700), ==, 0);
  g_assert_true(format("mkfs.ext4", loop->device));
  check_mount(loop, "ext4", 0);
  check_mount(loop, "ext4", MS_RDONLY);
  /* A read-only mount of a file system that is writable elsewhere does not make it safe. */
  g_assert_cmpint(mount(loop->device, "a place", "ext4", 0, NULL), ==, 0);
  g_assert_cmpint(g_mkdir("second", 0700), ==, 0);
  g_assert_cmpint(mount("a place", "second", NULL, MS_BIND, NULL), ==, 0);
  g_assert_cmpint(mount(NULL, "second", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL), ==, 0);
  g_assert_cmpint(umount2("a place", MNT_DETACH), ==, 0);
  g_autofree char *use = use_of(loop->device, HF_USE_WRITERS);
  g_assert_true(g_str_has_prefix(use, "mounted at '") && g_str_has_suffix(use, "/second'"));
  g_assert_cmpint(umount("second"), ==, 0);
  end(loop);
}

/* The number of its mounts is not that of the device. */
static void test_btrfs(void)
{
  hf_scratch_enter();
  HfLoop *loop = geteuid() == 0 && hf_place_private() ? hf_loop_new(FILE_NAME, 128) : NULL;
  const char *arguments[] = { "mkfs.btrfs", "-q", loop != NULL ? loop->device : NULL, NULL };
  if (loop == NULL || !hf_run(arguments)) {
    g_test_skip("no loop devices or no btrfs here");
  } else {
    g_assert_cmpint(g_mkdir("a place", 0700), ==, 0);
    check_mount(loop, "btrfs", 0);
    check_mount(loop, "btrfs", MS_RDONLY);
  }
  end(loop);
}

/* Told to the kernel by hand: not every kernel reads tables of partitions. */
static gboolean add_partition(HfLoop *loop)
{
  struct blkpg_partition part = { .pno = 1, .start = 1 << 20, .length = 8 << 20 };
  struct blkpg_ioctl_arg add = { .op = BLKPG_ADD_PARTITION, .datalen = sizeof part, .data = &part };
  return ioctl(loop->fd, BLKPG, &add) == 0;
}

static void delete_partition(HfLoop *loop)
{
  struct blkpg_partition part = { .pno = 1 };
  struct blkpg_ioctl_arg delete = { .op = BLKPG_DEL_PARTITION, .datalen = sizeof part, .data = &part };
  g_assert_cmpint(ioctl(loop->fd, BLKPG, &delete), ==, 0);
}

static void test_partition(void)
{
  HfLoop *loop = begin();
  if (loop == NULL)
    return;
  g_autofree char *part = g_strconcat(loop->device, "p1", NULL);
  if (!add_partition(loop)) {
    g_test_skip("no partitions of loop devices here");
  } else {
    g_assert_true(format("mkfs.ext4", part));
    g_autofree char *here = g_get_current_dir(), *expected = g_strdup_printf("mounted at '%s/p'", here);
    g_assert_cmpint(g_mkdir("p", 0700), ==, 0);
    assert_use(loop->device, HF_USE_ANY, "");
    g_assert_cmpint(mount(part, "p", "ext4", 0, NULL), ==, 0);
    assert_use(part, HF_USE_WRITERS, expected);
    assert_use(loop->device, HF_USE_WRITERS, expected);
    g_assert_cmpint(umount("p"), ==, 0);
    /* Read-only: no use for who reads. */
    g_assert_cmpint(mount(part, "p", "ext4", MS_RDONLY, NULL), ==, 0);
    assert_use(loop->device, HF_USE_WRITERS, "");
    assert_use(loop->device, HF_USE_ANY, expected);
    g_assert_cmpint(umount("p"), ==, 0);
    delete_partition(loop);
  }
  end(loop);
}

static void test_swap(void)
{
  HfLoop *loop = begin();
  if (loop == NULL)
    return;
  const char *make[] = { "mkswap", loop->device, NULL };
  if (!hf_run(make) || swapon(loop->device, 0) != 0) {
    g_test_skip("no swap here");
  } else {
    assert_use(loop->device, HF_USE_ANY, "swap");
    assert_use(loop->device, HF_USE_WRITERS, "swap");
    g_assert_cmpint(swapoff(loop->device), ==, 0);
    assert_use(loop->device, HF_USE_ANY, "");
  }
  end(loop);
}

static void test_held(void)
{
  HfLoop *loop = begin();
  if (loop == NULL)
    return;
  g_autofree char *name = g_strdup_printf("holdfast-test-%d", getpid());
  g_autofree char *table = g_strdup_printf("0 2048 linear %s 0", loop->device);
  const char *create[] = { "dmsetup", "create", name, "--noudevsync", "--table", table, NULL };
  const char *remove[] = { "dmsetup", "remove", "--noudevsync", name, NULL };
  if (!hf_run(create)) {
    g_test_skip("no device mapper here");
  } else {
    g_autofree char *any = use_of(loop->device, HF_USE_ANY), *writers = use_of(loop->device, HF_USE_WRITERS);
    g_assert_true(hf_run(remove));
    g_assert_true(g_str_has_prefix(any, "held by 'dm-"));
    g_assert_cmpstr(writers, ==, any);
    assert_use(loop->device, HF_USE_ANY, "");
  }
  end(loop);
}

static void test_claimed(void)
{
  HfLoop *loop = begin();
  if (loop == NULL)
    return;
  int fd = open(loop->device, O_RDONLY | O_EXCL | O_CLOEXEC);
  g_assert_cmpint(fd, >=, 0);
  g_autofree char *name = g_path_get_basename(loop->device);
  g_autofree char *attached = g_strdup_printf("attached as '%s', claimed by another program", name);
  assert_use(loop->device, HF_USE_ANY, "claimed by another program");
  assert_use(loop->device, HF_USE_WRITERS, "claimed by another program");
  assert_use(FILE_NAME, HF_USE_WRITERS, attached);
  close(fd);
  assert_use(loop->device, HF_USE_ANY, "");
  end(loop);
}

/* A loop device over a block device. */
static void test_stacked(void)
{
  HfLoop *loop = begin();
  if (loop == NULL)
    return;
  HfLoop *upper = hf_loop_attach(loop->device, 512);
  g_assert_nonnull(upper);
  g_autofree char *name = g_path_get_basename(upper->device), *attached = g_strdup_printf("attached as '%s'", name);
  assert_use(loop->device, HF_USE_ANY, attached);
  assert_use(loop->device, HF_USE_WRITERS, "");
  hf_loop_detach(upper);
  end(loop);
}

/* ---- Files. ---- */

static void lock_byte(int fd, short type, off_t start, off_t length)
{
  struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length };
  g_assert_cmpint(fcntl(fd, F_OFD_SETLK, &lock), ==, 0);
}

static void test_locked(void)
{
  const char *locked = "locked by another program, perhaps a running machine";
  hf_scratch_enter();
  g_assert_true(g_file_set_contents(FILE_NAME, "disk", 4, NULL));
  int fd = open(FILE_NAME, O_RDWR | O_CLOEXEC);
  assert_use(FILE_NAME, HF_USE_ANY, "");
  /* Somebody writes. */
  lock_byte(fd, F_WRLCK, 0, 1);
  assert_use(FILE_NAME, HF_USE_ANY, locked);
  assert_use(FILE_NAME, HF_USE_WRITERS, locked);
  /* Somebody reads. */
  lock_byte(fd, F_UNLCK, 0, 0);
  lock_byte(fd, F_RDLCK, 100, 1);
  assert_use(FILE_NAME, HF_USE_ANY, locked);
  assert_use(FILE_NAME, HF_USE_WRITERS, "");
  /* A machine that may write. */
  lock_byte(fd, F_RDLCK, 101, 1);
  assert_use(FILE_NAME, HF_USE_WRITERS, locked);
  close(fd);
  assert_use(FILE_NAME, HF_USE_ANY, "");
  hf_scratch_leave();
}

static void test_swap_file(void)
{
  g_autofree guint8 *noise = g_malloc(1 << 20);
  hf_scratch_enter();
  char *place = geteuid() == 0 && hf_place_private() ? hf_place_mount("ext4", 320, ".") : NULL;
  g_autofree char *path = g_strdup_printf("%s/swap file", place != NULL ? place : ".");
  const char *make[] = { "mkswap", path, NULL };
  hf_fixture_noise(noise, 1 << 20, 1);
  g_assert_true(g_file_set_contents(path, (const char *)noise, 1 << 20, NULL));
  g_assert_cmpint(g_chmod(path, 0600), ==, 0);
  if (place == NULL || !hf_run(make) || swapon(path, 0) != 0) {
    g_test_skip("no swap here");
  } else {
    assert_use(path, HF_USE_ANY, "swap");
    assert_use(path, HF_USE_WRITERS, "swap");
    g_assert_cmpint(swapoff(path), ==, 0);
    assert_use(path, HF_USE_ANY, "");
  }
  hf_place_unmount(place);
  hf_scratch_leave();
}

static void test_no_descriptor(void)
{
  g_assert_null(hf_device_use(-1, HF_USE_ANY));
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/device/idle", test_idle);
  g_test_add_func("/device/mounted", test_mounted);
  g_test_add_func("/device/btrfs", test_btrfs);
  g_test_add_func("/device/partition", test_partition);
  g_test_add_func("/device/swap", test_swap);
  g_test_add_func("/device/held", test_held);
  g_test_add_func("/device/claimed", test_claimed);
  g_test_add_func("/device/stacked", test_stacked);
  g_test_add_func("/device/locked", test_locked);
  g_test_add_func("/device/swap-file", test_swap_file);
  g_test_add_func("/device/no-descriptor", test_no_descriptor);
  return g_test_run();
}
