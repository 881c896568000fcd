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
#include "target/disk.h"

#define KIB 1024u
#define SIZE (3u * 1024 * KIB + 777) /* no multiple of anything */

/* What a disk of SIZE bytes is to hold: noise, zeros of odd lengths at odd places, noise. */
typedef struct Range {
  guint64 offset, length;
  gboolean zero;
} Range;
static const Range ranges[] = {
  { 0, 300 * KIB, FALSE },
  { 300 * KIB, 1024 * KIB + 1, TRUE },
  { 1324 * KIB + 1, 700 * KIB - 1, FALSE },
  { 2024 * KIB, 1, TRUE },
  { 2024 * KIB + 1, 513, FALSE },
  { 2024 * KIB + 514, SIZE - 2024 * KIB - 514, TRUE },
};

static guint8 *wanted_bytes(void)
{
  guint8 *bytes = g_malloc0(SIZE);
  for (guint i = 0; i < G_N_ELEMENTS(ranges); i++)
    if (!ranges[i].zero)
      hf_fixture_noise(bytes + ranges[i].offset, ranges[i].length, i + 1);
  return bytes;
}

static void fill(HfDiskTarget *target, const guint8 *bytes)
{
  GError *error = NULL;
  for (guint i = G_N_ELEMENTS(ranges); i-- > 0;) {
    const Range *range = &ranges[i];
    gboolean good = range->zero ? hf_disk_target_zero(target, range->offset, range->length, &error)
                                : hf_disk_target_write(target, range->offset, bytes + range->offset, range->length,
                                                       &error);
    g_assert_no_error(error);
    g_assert_true(good);
  }
}

static void finish(HfDiskTarget *target)
{
  GError *error = NULL;
  hf_disk_target_finish(target, &error);
  g_assert_no_error(error);
  hf_disk_target_free(target);
}

static HfDiskTarget *open_target(const char *path, guint64 size, gboolean overwrite)
{
  GError *error = NULL;
  HfDiskTarget *target = hf_disk_target_open(path, size, overwrite, &error);
  g_assert_no_error(error);
  g_assert_nonnull(target);
  return target;
}

static void assert_refused(const char *path, guint64 size, gboolean overwrite, HfErrorCode code, const char *text)
{
  g_autoptr(GError) error = NULL;
  g_assert_null(hf_disk_target_open(path, size, overwrite, &error));
  g_assert_error(error, HF_ERROR, (int)code);
  g_assert_nonnull(strstr(error->message, text));
}

static void make_noise(const char *path, gsize length)
{
  g_autofree guint8 *bytes = g_malloc(length);
  hf_fixture_noise(bytes, length, 99);
  g_assert_true(g_file_set_contents(path, (const char *)bytes, (gssize)length, NULL));
}

static void assert_bytes(const char *path, const guint8 *wanted, gsize length)
{
  g_autofree guint8 *bytes = g_malloc(length);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  g_assert_cmpint(fd, >=, 0);
  g_assert_cmpint(pread(fd, bytes, length, 0), ==, length);
  close(fd);
  g_assert_true(memcmp(bytes, wanted, length) == 0);
}

static guint64 blocks_of(const char *path)
{
  struct stat status;
  g_assert_cmpint(stat(path, &status), ==, 0);
  return (guint64)status.st_blocks * 512;
}

static guint64 size_of(const char *path)
{
  struct stat status;
  g_assert_cmpint(stat(path, &status), ==, 0);
  return (guint64)status.st_size;
}

/* ---- Files. ---- */

static void test_new(void)
{
  struct stat status;
  g_autofree guint8 *bytes = wanted_bytes();
  hf_scratch_enter();
  HfDiskTarget *target = open_target("disk", SIZE, FALSE);
  g_autofree char *here = g_get_current_dir(), *expected = g_build_filename(here, "disk", NULL);
  g_assert_cmpstr(hf_disk_target_path(target), ==, expected);
  fill(target, bytes);
  /* T2 */
  g_assert_false(g_file_test("disk", G_FILE_TEST_EXISTS));
  g_assert_true(g_file_test("disk.partial", G_FILE_TEST_EXISTS));
  finish(target);
  g_assert_false(g_file_test("disk.partial", G_FILE_TEST_EXISTS));
  g_assert_cmpuint(size_of("disk"), ==, SIZE);
  assert_bytes("disk", bytes, SIZE);
  g_assert_cmpuint(blocks_of("disk"), <, 1100 * KIB);
  g_assert_cmpint(stat("disk", &status), ==, 0);
  g_assert_cmpuint(status.st_mode & 07777, ==, 0600);
  hf_scratch_leave();
}

/* Zeros inside what is written become holes. */
static void test_sparse(void)
{
  GError *error = NULL;
  g_autofree guint8 *bytes = g_malloc0(1024 * KIB);
  hf_scratch_enter();
  memset(bytes + 5, 'a', 10);
  memset(bytes + 900 * KIB, 'b', 1);
  HfDiskTarget *target = open_target("disk", 1025 * KIB, FALSE);
  hf_disk_target_write(target, KIB, bytes, 1024 * KIB, &error);
  g_assert_no_error(error);
  finish(target);
  g_assert_cmpuint(blocks_of("disk"), <=, 128 * KIB);
  g_autofree guint8 *whole = g_malloc0(1025 * KIB);
  memcpy(whole + KIB, bytes, 1024 * KIB);
  assert_bytes("disk", whole, 1025 * KIB);
  hf_scratch_leave();
}

static void test_unfinished(void)
{
  hf_scratch_enter();
  HfDiskTarget *target = open_target("disk", SIZE, FALSE);
  assert_refused("disk", SIZE, FALSE, HF_ERROR_REFUSED, "disk.partial'");
  hf_disk_target_free(target);
  g_assert_false(g_file_test("disk", G_FILE_TEST_EXISTS));
  g_assert_false(g_file_test("disk.partial", G_FILE_TEST_EXISTS));
  /* What a killed restore left goes when told so. */
  make_noise("disk.partial", 100);
  assert_refused("disk", SIZE, FALSE, HF_ERROR_REFUSED, "--overwrite");
  finish(open_target("disk", 10, TRUE));
  g_autofree guint8 *zeros = g_malloc0(10);
  assert_bytes("disk", zeros, 10);
  hf_disk_target_free(NULL);
  hf_scratch_leave();
}

static void test_damaged(void)
{
  hf_scratch_enter();
  HfDiskTarget *target = open_target("disk", 10, FALSE);
  hf_disk_target_set_damaged(target);
  g_assert_true(g_str_has_suffix(hf_disk_target_path(target), "/disk.damaged"));
  finish(target);
  g_assert_false(g_file_test("disk", G_FILE_TEST_EXISTS));
  g_assert_true(g_file_test("disk.damaged", G_FILE_TEST_EXISTS));
  /* It replaces nothing: then what was restored keeps its name of before. */
  GError *error = NULL;
  target = open_target("disk", 20, FALSE);
  hf_disk_target_set_damaged(target);
  g_assert_false(hf_disk_target_finish(target, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_EXISTS);
  g_assert_nonnull(strstr(error->message, "disk.partial'"));
  g_clear_error(&error);
  hf_disk_target_free(target);
  g_assert_cmpuint(size_of("disk.damaged"), ==, 10);
  g_assert_cmpuint(size_of("disk.partial"), ==, 20);
  /* What existed keeps its name. */
  make_noise("old", 10);
  target = open_target("old", 10, TRUE);
  hf_disk_target_set_damaged(target);
  g_assert_true(g_str_has_suffix(hf_disk_target_path(target), "/old"));
  finish(target);
  hf_scratch_leave();
}

static void test_long_name(void)
{
  char name[256], damaged[256];
  memset(name, 'n', 255);
  name[255] = '\0';
  memset(damaged, 'n', 255);
  g_strlcpy(damaged + 247, ".damaged", 9);
  hf_scratch_enter();
  finish(open_target(name, 3, FALSE));
  g_assert_cmpuint(size_of(name), ==, 3);
  g_assert_cmpint(g_unlink(name), ==, 0);
  HfDiskTarget *target = open_target(name, 4, FALSE);
  hf_disk_target_set_damaged(target);
  finish(target);
  g_assert_cmpuint(size_of(damaged), ==, 4);
  hf_scratch_leave();
}

/* Over an existing file: `length` bytes of noise that hard links share. */
static void check_existing(gsize length)
{
  g_autofree guint8 *bytes = wanted_bytes();
  hf_scratch_enter();
  make_noise("disk", length);
  g_assert_cmpint(link("disk", "other name"), ==, 0);
  assert_refused("disk", SIZE, FALSE, HF_ERROR_REFUSED, "--overwrite");
  HfDiskTarget *target = open_target("disk", SIZE, TRUE);
  fill(target, bytes);
  finish(target);
  g_assert_cmpuint(size_of("disk"), ==, SIZE);
  assert_bytes("disk", bytes, SIZE);
  assert_bytes("other name", bytes, SIZE);
  hf_scratch_leave();
}

static void test_existing(void)
{
  check_existing(0);
  check_existing(SIZE - 4000);
  check_existing(SIZE);
  check_existing(SIZE + 100000);
}

static void test_holes_are_punched(void)
{
  g_autofree guint8 *zeros = g_malloc0(1024 * KIB);
  GError *error = NULL;
  hf_scratch_enter();
  make_noise("disk", 1024 * KIB);
  HfDiskTarget *target = open_target("disk", 1024 * KIB, TRUE);
  hf_disk_target_zero(target, 0, 1024 * KIB, &error);
  g_assert_no_error(error);
  finish(target);
  g_assert_cmpuint(blocks_of("disk"), ==, 0);
  assert_bytes("disk", zeros, 1024 * KIB);
  hf_scratch_leave();
}

/* Each way to make zeros, by taking away those before it. */
static void check_way(const char *function, int errnum, gboolean persist)
{
  g_autofree guint8 *bytes = wanted_bytes();
  GError *error = NULL;
  HfSysFault fault = { .nth = 1, .function = function, .errnum = errnum, .persist = persist };
  hf_scratch_enter();
  make_noise("disk", SIZE + 5000);
  HfDiskTarget *target = open_target("disk", SIZE, TRUE);
  g_assert_true(hf_sys_fault_install(&fault, &error));
  fill(target, bytes);
  g_assert_cmpuint(hf_sys_fault_hits(), >, 0);
  hf_sys_fault_remove();
  finish(target);
  assert_bytes("disk", bytes, SIZE);
  hf_scratch_leave();
}

static void test_ways_to_zero(void)
{
  check_way("fallocate", EOPNOTSUPP, FALSE);
  check_way("fallocate", EOPNOTSUPP, TRUE);
  check_way("fallocate", EINVAL, TRUE);
  check_way("fallocate", ENOSYS, TRUE);
  check_way("fallocate", EINTR, FALSE);
  check_way("pwrite", 0, TRUE);
  check_way("pwrite", EINTR, FALSE);
}

static void test_zero_fails(void)
{
  GError *error = NULL;
  HfSysFault fault = { .nth = 1, .function = "fallocate", .errnum = EIO };
  hf_scratch_enter();
  make_noise("disk", SIZE);
  HfDiskTarget *target = open_target("disk", SIZE, TRUE);
  g_assert_true(hf_sys_fault_install(&fault, NULL));
  g_assert_false(hf_disk_target_zero(target, 5, 100, &error));
  hf_sys_fault_remove();
  g_assert_error(error, HF_ERROR, HF_ERROR_IO);
  g_clear_error(&error);
  /* Writing zeros fails. */
  fault = (HfSysFault){ .nth = 1, .function = "fallocate", .errnum = EOPNOTSUPP, .persist = TRUE };
  g_assert_true(hf_sys_fault_install(&fault, NULL));
  g_assert_true(hf_disk_target_zero(target, 5, 100, NULL));
  fault = (HfSysFault){ .nth = 2, .function = "pwrite", .errnum = ENOSPC };
  g_assert_true(hf_sys_fault_install(&fault, NULL));
  g_assert_false(hf_disk_target_zero(target, 5, 1024 * KIB, &error));
  hf_sys_fault_remove();
  g_assert_error(error, HF_ERROR, HF_ERROR_NO_SPACE);
  g_clear_error(&error);
  hf_disk_target_free(target);
  hf_scratch_leave();
}

/* T3 */
static void check_outside(HfDiskTarget *target, guint64 offset, gsize length)
{
  guint8 byte[16] = { 1 };
  GError *error = NULL;
  g_assert_false(hf_disk_target_write(target, offset, byte, length, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_INVALID);
  g_clear_error(&error);
  g_assert_false(hf_disk_target_zero(target, offset, length, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_INVALID);
  g_clear_error(&error);
}

static void test_outside(void)
{
  hf_scratch_enter();
  make_noise("disk", 100);
  HfDiskTarget *target = open_target("disk", 100, TRUE);
  check_outside(target, 100, 1);
  check_outside(target, 99, 2);
  check_outside(target, 101, 0);
  check_outside(target, G_MAXUINT64, 16);
  check_outside(target, G_MAXUINT64 - 7, 16);
  g_assert_true(hf_disk_target_zero(target, 100, 0, NULL));
  g_assert_true(hf_disk_target_write(target, 100, "", 0, NULL));
  finish(target);
  g_assert_cmpuint(size_of("disk"), ==, 100);
  hf_scratch_leave();
}

static void test_not_fit(void)
{
  hf_scratch_enter();
  g_assert_cmpint(g_mkdir("folder", 0700), ==, 0);
  assert_refused("folder", 10, TRUE, HF_ERROR_USAGE, "neither");
  g_assert_cmpint(symlink("nowhere", "link"), ==, 0);
  assert_refused("link", 10, TRUE, HF_ERROR_USAGE, "leads nowhere");
  assert_refused("missing/disk", 10, TRUE, HF_ERROR_NOT_FOUND, "missing/disk");
  assert_refused("folder/x/../../folder/disk/..", 10, TRUE, HF_ERROR_USAGE, "neither");
  make_noise("file", 10);
  assert_refused("file/disk", 10, TRUE, HF_ERROR_IO, "file/disk");
  assert_refused("disk", G_MAXUINT64, TRUE, HF_ERROR_USAGE, "too large");
  /* Larger than the file system takes. */
  g_autoptr(GError) error = NULL;
  g_assert_null(hf_disk_target_open("disk", G_MAXINT64, FALSE, &error));
  g_assert_nonnull(error);
  g_assert_false(g_file_test("disk.partial", G_FILE_TEST_EXISTS));
  /* A symbolic link to a file is that file. */
  g_assert_cmpint(symlink("file", "good link"), ==, 0);
  finish(open_target("good link", 5, TRUE));
  g_assert_cmpuint(size_of("file"), ==, 5);
  hf_scratch_leave();
}

static void test_locked_file(void)
{
  struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 100, .l_len = 1 };
  hf_scratch_enter();
  make_noise("disk", 100);
  int fd = open("disk", O_RDWR | O_CLOEXEC);
  g_assert_cmpint(fcntl(fd, F_OFD_SETLK, &lock), ==, 0);
  assert_refused("disk", 10, TRUE, HF_ERROR_BUSY, "locked by");
  close(fd);
  g_assert_cmpuint(size_of("disk"), ==, 100);
  hf_scratch_leave();
}

/* Every call of a restore into a new file, or over an old one, fails once: the error comes out, no half disk is left
 * under its name, and what is not reached is not called good. */
static gboolean restore_once(gboolean old, const guint8 *bytes)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(HfDiskTarget) target = hf_disk_target_open("disk", SIZE, old, &error);
  gboolean good = target != NULL;
  for (guint i = 0; good && i < G_N_ELEMENTS(ranges); i++)
    good = ranges[i].zero ? hf_disk_target_zero(target, ranges[i].offset, ranges[i].length, &error)
                          : hf_disk_target_write(target, ranges[i].offset, bytes + ranges[i].offset, ranges[i].length,
                                                 &error);
  good = good && hf_disk_target_finish(target, &error);
  g_assert_true(good == (error == NULL));
  return good;
}

static void check_faults(gboolean old, int errnum)
{
  g_autofree guint8 *bytes = wanted_bytes();
  gboolean hit = TRUE;
  guint failed = 0;
  for (guint nth = 1; hit; nth++) {
    HfSysFault fault = { .nth = nth, .errnum = errnum };
    hf_scratch_enter();
    if (old)
      make_noise("disk", SIZE);
    g_assert_true(hf_sys_fault_install(&fault, NULL));
    gboolean good = restore_once(old, bytes);
    hit = hf_sys_fault_hits() > 0;
    hf_sys_fault_remove();
    if (good)
      assert_bytes("disk", bytes, SIZE);
    else
      failed++;
    if (!good && !old && g_file_test("disk", G_FILE_TEST_EXISTS))
      assert_bytes("disk", bytes, SIZE); /* only its name may not be durable */
    hf_scratch_leave();
  }
  g_assert_cmpuint(failed, >, errnum == EINTR || errnum == 0 ? 0 : 4);
}

static void test_faults(void)
{
  check_faults(FALSE, EIO);
  check_faults(FALSE, ENOSPC);
  check_faults(TRUE, EIO);
}

static void test_interrupted(void)
{
  g_autofree guint8 *bytes = wanted_bytes();
  HfSysFault fault = { .nth = 1, .function = "fsync", .errnum = EINTR };
  hf_scratch_enter();
  g_assert_true(hf_sys_fault_install(&fault, NULL));
  g_assert_true(restore_once(FALSE, bytes));
  g_assert_cmpuint(hf_sys_fault_hits(), ==, 1);
  hf_sys_fault_remove();
  assert_bytes("disk", bytes, SIZE);
  hf_scratch_leave();
}

/* A file system that cannot rename without replacing. */
static void test_old_rename(void)
{
  g_autofree guint8 *bytes = wanted_bytes();
  HfSysFault fault = { .nth = 1, .function = "renameat2", .errnum = EINVAL };
  hf_scratch_enter();
  g_assert_true(hf_sys_fault_install(&fault, NULL));
  g_assert_true(restore_once(FALSE, bytes));
  hf_sys_fault_remove();
  assert_bytes("disk", bytes, SIZE);
  g_assert_false(g_file_test("disk.partial", G_FILE_TEST_EXISTS));
  hf_scratch_leave();
}

/* ---- Devices. ---- */

static HfLoop *begin(guint megabytes, guint sector)
{
  hf_scratch_enter();
  g_autofree guint8 *noise = g_malloc((gsize)megabytes << 20);
  HfLoop *loop = NULL;
  if (geteuid() == 0 && hf_place_private()) {
    hf_fixture_noise(noise, (gsize)megabytes << 20, 7);
    g_assert_true(g_file_set_contents("backing", (const char *)noise, (gssize)megabytes << 20, NULL));
    loop = hf_loop_attach("backing", sector);
  }
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

/* Bytes behind the disk stay what they were. */
static void check_device(guint sector, const char *function, int errnum, gboolean persist)
{
  HfLoop *loop = begin(4, sector);
  if (loop == NULL)
    return;
  g_autofree guint8 *wanted = g_malloc(4096 * KIB), *bytes = wanted_bytes();
  HfSysFault fault = { .nth = 1, .function = function, .errnum = errnum, .persist = persist };
  hf_fixture_noise(wanted, 4096 * KIB, 7);
  memcpy(wanted, bytes, SIZE);
  HfDiskTarget *target = open_target(loop->device, SIZE, FALSE);
  if (function != NULL)
    g_assert_true(hf_sys_fault_install(&fault, NULL));
  fill(target, bytes);
  g_assert_true(function == NULL || hf_sys_fault_hits() > 0);
  hf_sys_fault_remove();
  finish(target);
  assert_bytes(loop->device, wanted, 4096 * KIB);
  end(loop);
}

static void test_device(void)
{
  check_device(512, NULL, 0, FALSE);
  check_device(4096, NULL, 0, FALSE);
  check_device(512, "fallocate", EOPNOTSUPP, FALSE);
  check_device(512, "fallocate", EOPNOTSUPP, TRUE);
  check_device(4096, "fallocate", EOPNOTSUPP, TRUE);
}

static void test_device_exact(void)
{
  HfLoop *loop = begin(4, 512);
  if (loop == NULL)
    return;
  g_autofree guint8 *zeros = g_malloc0(4096 * KIB);
  GError *error = NULL;
  HfDiskTarget *target = open_target(loop->device, 4096 * KIB, FALSE);
  hf_disk_target_zero(target, 0, 4096 * KIB, &error);
  g_assert_no_error(error);
  hf_disk_target_set_damaged(target);
  g_assert_cmpstr(hf_disk_target_path(target), ==, loop->device);
  finish(target);
  assert_bytes(loop->device, zeros, 4096 * KIB);
  assert_refused(loop->device, 4096 * KIB + 1, TRUE, HF_ERROR_NO_SPACE, "has 4194304 bytes");
  end(loop);
}

static void assert_untouched(const char *path, gsize length)
{
  g_autofree guint8 *noise = g_malloc(length);
  hf_fixture_noise(noise, length, 7);
  assert_bytes(path, noise, length);
}

static void test_device_in_use(void)
{
  HfLoop *loop = begin(4, 512);
  if (loop == NULL)
    return;
  /* T1: claimed while we have it, and not given while another has it. */
  int other = open(loop->device, O_RDONLY | O_EXCL | O_CLOEXEC);
  g_assert_cmpint(other, >=, 0);
  assert_refused(loop->device, SIZE, TRUE, HF_ERROR_BUSY, "claimed by");
  close(other);
  HfDiskTarget *target = open_target(loop->device, SIZE, FALSE);
  g_assert_cmpint(open(loop->device, O_RDONLY | O_EXCL | O_CLOEXEC), ==, -1);
  g_assert_cmpint(errno, ==, EBUSY);
  hf_disk_target_free(target);
  /* The file below it. */
  assert_refused("backing", SIZE, TRUE, HF_ERROR_BUSY, "attached as 'loop");
  assert_untouched(loop->device, 4096 * KIB);
  end(loop);
}

/* Somebody claims it between looking and claiming. */
static void test_device_race(void)
{
  HfLoop *loop = begin(4, 512);
  if (loop == NULL)
    return;
  for (guint nth = 1; nth < 20; nth++) {
    HfSysFault fault = { .nth = nth, .function = "openat", .errnum = EBUSY };
    g_autoptr(GError) error = NULL;
    g_assert_true(hf_sys_fault_install(&fault, NULL));
    g_autoptr(HfDiskTarget) target = hf_disk_target_open(loop->device, SIZE, FALSE, &error);
    gboolean hit = hf_sys_fault_hits() > 0;
    hf_sys_fault_remove();
    g_assert_true((target != NULL) == (error == NULL));
    if (!hit)
      break;
  }
  assert_untouched(loop->device, 4096 * KIB);
  end(loop);
}

static void test_signature(void)
{
  HfLoop *loop = begin(4, 512);
  if (loop == NULL)
    return;
  const char *mkfs[] = { "mkfs.ext4", "-q", "-F", loop->device, NULL };
  const char *mkswap[] = { "mkswap", loop->device, NULL };
  g_assert_true(hf_run(mkfs));
  assert_refused(loop->device, SIZE, FALSE, HF_ERROR_REFUSED, "holds 'ext4'");
  g_assert_true(hf_run(mkswap));
  assert_refused(loop->device, SIZE, FALSE, HF_ERROR_REFUSED, "holds 'swap'");
  guint8 table[512] = { [446 + 4] = 0x83, [446 + 9] = 8, [446 + 13] = 8, [510] = 0x55, [511] = 0xaa };
  g_autofree guint8 *noise = g_malloc(4096 * KIB);
  hf_fixture_noise(noise, 4096 * KIB, 7);
  g_assert_cmpint(pwrite(loop->fd, noise, 4096 * KIB, 0), ==, 4096 * KIB);
  g_assert_cmpint(pwrite(loop->fd, table, sizeof table, 0), ==, sizeof table);
  assert_refused(loop->device, SIZE, FALSE, HF_ERROR_REFUSED, "holds 'dos'");
  finish(open_target(loop->device, SIZE, TRUE));
  end(loop);
}

static void test_mounted(void)
{
  HfLoop *loop = begin(4, 512);
  if (loop == NULL)
    return;
  const char *mkfs[] = { "mkfs.ext4", "-q", "-F", loop->device, NULL };
  g_assert_true(hf_run(mkfs));
  g_assert_cmpint(g_mkdir("place", 0700), ==, 0);
  const unsigned long flags[] = { 0, MS_RDONLY };
  for (guint i = 0; i < G_N_ELEMENTS(flags); i++) {
    g_assert_cmpint(mount(loop->device, "place", "ext4", flags[i], NULL), ==, 0);
    assert_refused(loop->device, SIZE, TRUE, HF_ERROR_BUSY, "mounted at '");
    assert_refused("backing", SIZE, TRUE, HF_ERROR_BUSY, "mounted at '");
    g_assert_cmpint(umount("place"), ==, 0);
  }
  end(loop);
}

static void test_device_faults(void)
{
  g_autofree guint8 *bytes = wanted_bytes();
  gboolean hit = TRUE;
  guint failed = 0;
  HfLoop *loop = begin(4, 512);
  if (loop == NULL)
    return;
  for (guint nth = 1; hit; nth++) {
    HfSysFault fault = { .nth = nth, .errnum = EIO };
    g_autoptr(GError) error = NULL;
    g_assert_true(hf_sys_fault_install(&fault, NULL));
    g_autoptr(HfDiskTarget) target = hf_disk_target_open(loop->device, SIZE, TRUE, &error);
    gboolean good = target != NULL && hf_disk_target_write(target, 0, bytes, SIZE, &error) &&
                    hf_disk_target_finish(target, &error);
    hit = hf_sys_fault_hits() > 0;
    hf_sys_fault_remove();
    g_assert_true(good == (error == NULL));
    failed += good ? 0 : 1;
  }
  g_assert_cmpuint(failed, >=, 4);
  end(loop);
}

static void test_read_only_device(void)
{
  HfLoop *loop = begin(4, 512);
  if (loop == NULL)
    return;
  const char *set[] = { "blockdev", "--setro", loop->device, NULL }, *undo[] = { "blockdev", "--setrw", loop->device,
                                                                                 NULL };
  g_assert_true(hf_run(set));
  g_autoptr(GError) error = NULL;
  g_autoptr(HfDiskTarget) target = hf_disk_target_open(loop->device, SIZE, TRUE, &error);
  g_assert_true(hf_run(undo)); /* it would outlive the test */
  g_assert_null(target);
  g_assert_error(error, HF_ERROR, HF_ERROR_PERMISSION);
  end(loop);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/disk/new", test_new);
  g_test_add_func("/disk/sparse", test_sparse);
  g_test_add_func("/disk/unfinished", test_unfinished);
  g_test_add_func("/disk/damaged", test_damaged);
  g_test_add_func("/disk/long-name", test_long_name);
  g_test_add_func("/disk/existing", test_existing);
  g_test_add_func("/disk/holes-are-punched", test_holes_are_punched);
  g_test_add_func("/disk/ways-to-zero", test_ways_to_zero);
  g_test_add_func("/disk/zero-fails", test_zero_fails);
  g_test_add_func("/disk/outside", test_outside);
  g_test_add_func("/disk/not-fit", test_not_fit);
  g_test_add_func("/disk/locked-file", test_locked_file);
  g_test_add_func("/disk/faults", test_faults);
  g_test_add_func("/disk/interrupted", test_interrupted);
  g_test_add_func("/disk/old-rename", test_old_rename);
  g_test_add_func("/disk/device", test_device);
  g_test_add_func("/disk/device-exact", test_device_exact);
  g_test_add_func("/disk/device-in-use", test_device_in_use);
  g_test_add_func("/disk/device-race", test_device_race);
  g_test_add_func("/disk/signature", test_signature);
  g_test_add_func("/disk/mounted", test_mounted);
  g_test_add_func("/disk/device-faults", test_device_faults);
  g_test_add_func("/disk/read-only-device", test_read_only_device);
  return g_test_run();
}
