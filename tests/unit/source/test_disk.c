/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/sysfault.h"
#include "fixture.h"
#include "loop.h"
#include "source/disk.h"

#define KIB 1024u

static HfDisk *open_disk(const char *path)
{
  GError *error = NULL;
  HfDisk *disk = hf_disk_open(path, NULL, &error);
  g_assert_no_error(error);
  g_assert_nonnull(disk);
  return disk;
}

static void assert_refused(const char *path, HfErrorCode code, const char *text)
{
  g_autoptr(GError) error = NULL;
  g_assert_null(hf_disk_open(path, NULL, &error));
  g_assert_error(error, HF_ERROR, (int)code);
  g_assert_nonnull(strstr(error->message, text));
}

/* Noise at [at, at + length) of a file of `size`. */
static int make_disk(const char *path, goffset size, goffset at, gsize length)
{
  g_autofree guint8 *noise = g_malloc(length + 1);
  int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  hf_fixture_noise(noise, length, 3);
  g_assert_cmpint(ftruncate(fd, size), ==, 0);
  g_assert_cmpint(pwrite(fd, noise, length, at), ==, length);
  return fd;
}

static void assert_extent(HfDisk *disk, guint64 offset, HfExtentKind kind, guint64 length)
{
  HfExtentKind found_kind;
  guint64 found;
  GError *error = NULL;
  disk->ops->extent(disk, offset, &found_kind, &found, &error);
  g_assert_no_error(error);
  g_assert_cmpint(found_kind, ==, kind);
  g_assert_cmpuint(found, ==, length);
}

static void test_file(void)
{
  guint8 bytes[100 + 1] = { [100] = 7 }, noise[64 * KIB];
  hf_scratch_enter();
  g_autofree char *here = g_get_current_dir(), *expected = g_build_filename(here, "disk", NULL);
  close(make_disk("disk", 1024 * KIB + 11, 256 * KIB, 64 * KIB));
  g_autoptr(HfDisk) disk = open_disk("./disk");
  g_assert_cmpstr(disk->path, ==, expected);
  g_assert_cmpuint(disk->size, ==, 1024 * KIB + 11);
  g_assert_cmpuint(disk->sector_size, ==, 512);
  g_assert_false(disk->in_use);
  g_assert_null(disk->use);
  g_assert_null(disk->ops->cookie);
  assert_extent(disk, 0, HF_EXTENT_ZERO, 256 * KIB);
  assert_extent(disk, 100, HF_EXTENT_ZERO, 256 * KIB - 100);
  assert_extent(disk, 256 * KIB, HF_EXTENT_DATA, 64 * KIB);
  assert_extent(disk, 320 * KIB - 1, HF_EXTENT_DATA, 1);
  assert_extent(disk, 320 * KIB, HF_EXTENT_ZERO, 704 * KIB + 11);
  assert_extent(disk, 1024 * KIB + 10, HF_EXTENT_ZERO, 1);
  hf_fixture_noise(noise, sizeof noise, 3);
  g_assert_true(disk->ops->read(disk, 256 * KIB + 5, bytes, 100, NULL));
  g_assert_cmpint(memcmp(bytes, noise + 5, 100), ==, 0);
  g_assert_cmpint(bytes[100], ==, 7);
  g_assert_false(disk->ops->changed(disk));
  hf_disk_free(NULL);
  hf_scratch_leave();
}

static void test_shrinks(void)
{
  guint8 bytes[100];
  HfExtentKind kind;
  guint64 length;
  GError *error = NULL;
  hf_scratch_enter();
  int fd = make_disk("disk", 1024 * KIB, 256 * KIB, 64 * KIB);
  g_autoptr(HfDisk) disk = open_disk("disk");
  g_assert_cmpint(ftruncate(fd, 512 * KIB + 50), ==, 0);
  assert_extent(disk, 400 * KIB, HF_EXTENT_ZERO, 112 * KIB + 50);
  g_assert_false(disk->ops->extent(disk, 512 * KIB + 50, &kind, &length, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_FAILED);
  g_assert_nonnull(strstr(error->message, "became shorter"));
  g_clear_error(&error);
  g_assert_false(disk->ops->extent(disk, 800 * KIB, &kind, &length, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_FAILED);
  g_clear_error(&error);
  g_assert_true(disk->ops->read(disk, 512 * KIB, bytes, 50, &error));
  g_assert_false(disk->ops->read(disk, 512 * KIB, bytes, 51, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_FAILED);
  g_assert_nonnull(strstr(error->message, "became shorter"));
  g_clear_error(&error);
  g_assert_true(disk->ops->changed(disk));
  close(fd);
  hf_scratch_leave();
}

static void test_changed(void)
{
  hf_scratch_enter();
  int fd = make_disk("disk", 1024 * KIB, 0, 10);
  g_autoptr(HfDisk) disk = open_disk("disk");
  g_assert_false(disk->ops->changed(disk));
  /* The clock of files goes in steps. */
  while (!disk->ops->changed(disk))
    g_assert_cmpint(pwrite(fd, "x", 1, 5), ==, 1);
  close(fd);
  hf_scratch_leave();
}

static void test_faults(void)
{
  guint8 bytes[10];
  HfExtentKind kind;
  guint64 length;
  GError *error = NULL;
  hf_scratch_enter();
  close(make_disk("disk", 1024 * KIB, 0, 4 * KIB));
  g_autoptr(HfDisk) disk = open_disk("disk");
  HfSysFault fault = { .nth = 1, .function = "pread", .errnum = EIO };
  g_assert_true(hf_sys_fault_install(&fault, NULL));
  g_assert_false(disk->ops->read(disk, 0, bytes, 10, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_IO);
  g_clear_error(&error);
  for (guint nth = 1; nth <= 2; nth++) {
    fault = (HfSysFault){ .nth = nth, .function = "lseek", .errnum = EIO };
    g_assert_true(hf_sys_fault_install(&fault, NULL));
    g_assert_false(disk->ops->extent(disk, 0, &kind, &length, &error));
    g_assert_error(error, HF_ERROR, HF_ERROR_IO);
    g_assert_nonnull(strstr(error->message, "disk'"));
    g_clear_error(&error);
  }
  hf_sys_fault_remove();
  hf_scratch_leave();
}

static void test_not_fit(void)
{
  hf_scratch_enter();
  assert_refused("missing", HF_ERROR_NOT_FOUND, "missing'");
  g_assert_cmpint(g_mkdir("folder", 0700), ==, 0);
  assert_refused("folder", HF_ERROR_USAGE, "neither");
  g_assert_cmpint(mkfifo("fifo", 0600), ==, 0);
  assert_refused("fifo", HF_ERROR_USAGE, "neither");
  g_assert_true(g_file_set_contents("empty", "", 0, NULL));
  assert_refused("empty", HF_ERROR_USAGE, "is empty");
  assert_refused("/dev/null", HF_ERROR_USAGE, "neither");
  hf_scratch_leave();
}

/* ---- Devices. ---- */

static void check_device(guint sector)
{
  guint8 bytes[4 * KIB], noise[4 * KIB];
  hf_scratch_enter();
  close(make_disk("backing", 2048 * KIB, 1024 * KIB, 4 * KIB));
  HfLoop *loop = geteuid() == 0 ? hf_loop_attach("backing", sector) : NULL;
  if (loop == NULL) {
    g_test_skip("no loop devices here");
  } else {
    g_autoptr(HfDisk) disk = open_disk(loop->device);
    hf_fixture_noise(noise, sizeof noise, 3);
    g_assert_cmpuint(disk->size, ==, 2048 * KIB);
    g_assert_cmpuint(disk->sector_size, ==, sector);
    g_assert_false(disk->in_use);
    assert_extent(disk, 0, HF_EXTENT_DATA, 2048 * KIB);
    assert_extent(disk, 2047 * KIB, HF_EXTENT_DATA, KIB);
    g_assert_true(disk->ops->read(disk, 1024 * KIB, bytes, sizeof bytes, NULL));
    g_assert_cmpint(memcmp(bytes, noise, sizeof noise), ==, 0);
    g_assert_false(disk->ops->changed(disk));
  }
  hf_loop_detach(loop);
  hf_scratch_leave();
}

static void test_device(void)
{
  check_device(512);
  check_device(4096);
}

/* Who mounts it for writing makes it a disk in use; read-only does not, and the file behind it counts as the device. */
static void test_in_use(void)
{
  hf_scratch_enter();
  HfLoop *loop = geteuid() == 0 && hf_place_private() ? hf_loop_new("backing", 4) : NULL;
  const char *mkfs[] = { "mkfs.ext4", "-q", loop != NULL ? loop->device : NULL, NULL };
  if (loop == NULL || !hf_run(mkfs)) {
    g_test_skip("no loop devices here");
  } else {
    g_assert_cmpint(g_mkdir("place", 0700), ==, 0);
    g_assert_cmpint(mount(loop->device, "place", "ext4", MS_RDONLY, NULL), ==, 0);
    g_autoptr(HfDisk) quiet = open_disk(loop->device);
    g_assert_false(quiet->in_use);
    g_assert_cmpint(umount("place"), ==, 0);
    g_assert_cmpint(mount(loop->device, "place", "ext4", 0, NULL), ==, 0);
    g_autoptr(HfDisk) busy = open_disk(loop->device), file = open_disk("backing");
    g_assert_true(busy->in_use && file->in_use);
    g_assert_nonnull(strstr(busy->use, "mounted at '"));
    g_assert_nonnull(strstr(file->use, "attached as 'loop"));
    g_assert_cmpint(umount("place"), ==, 0);
  }
  hf_loop_detach(loop);
  hf_scratch_leave();
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/disk/file", test_file);
  g_test_add_func("/disk/shrinks", test_shrinks);
  g_test_add_func("/disk/changed", test_changed);
  g_test_add_func("/disk/faults", test_faults);
  g_test_add_func("/disk/not-fit", test_not_fit);
  g_test_add_func("/disk/device", test_device);
  g_test_add_func("/disk/in-use", test_in_use);
  return g_test_run();
}
