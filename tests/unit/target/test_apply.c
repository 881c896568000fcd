/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What test_fidelity.c cannot show: where not all can be applied, and where an entry is not what it was. */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/error.h"
#include "base/sys.h"
#include "fixture.h"
#include "target/tree.h"

#define NOBODY 65534u

static int here = -1; /* a folder of a tmpfs or, without rights, the scratch folder */
static char *top, *place;
static GPtrArray *warnings;
static HfReport *report;
static GByteArray *extras;

static void warn(gpointer user, const char *path, const char *message)
{
  g_ptr_array_add(user, g_strdup_printf("%s: %s", path, message));
}

static gboolean only_for_root(void)
{
  if (place != NULL)
    return TRUE;
  g_test_skip("only root can mount and take on another user");
  return FALSE;
}

static void make_file(const char *name, mode_t mode, uid_t uid, gid_t gid)
{
  g_assert_true(g_file_set_contents(name, "x", 1, NULL));
  g_assert_cmpint(chown(name, uid, gid), ==, 0);
  g_assert_cmpint(chmod(name, mode), ==, 0);
}

static struct stat status_of(const char *name)
{
  struct stat status;
  g_assert_cmpint(lstat(name, &status), ==, 0);
  return status;
}

static void begin(void)
{
  g_ptr_array_set_size(warnings, 0);
  g_byte_array_set_size(extras, 0);
}

static void add_attribute(const char *name, const char *value)
{
  g_autoptr(GByteArray) both = g_byte_array_new();
  g_byte_array_append(both, (const guint8 *)name, (guint)strlen(name) + 1);
  g_byte_array_append(both, (const guint8 *)value, (guint)strlen(value));
  hf_extras_add(extras, HF_EXTRA_XATTR, both->data, both->len);
}

static void add_number(HfExtra tag, guint32 number)
{
  guint8 bytes[4];
  hf_store_u32(bytes, number);
  hf_extras_add(extras, tag, bytes, sizeof bytes);
}

static gboolean apply(const char *name, int fd, const HfEntry *entry, GError **error)
{
  HfView view = extras->len > 0 ? (HfView){ extras->data, extras->len } : (HfView){ hf_nothing, 0 };
  return hf_target_apply(here, name, fd, entry, view, report, name, error);
}

static void must_apply(const char *name, int fd, const HfEntry *entry)
{
  g_autoptr(GError) error = NULL;
  apply(name, fd, entry, &error);
  g_assert_no_error(error);
}

static HfEntry entry_of(mode_t mode, uid_t uid, gid_t gid)
{
  return (HfEntry){ .mode = mode, .uid = uid, .gid = gid, .mtime_sec = 1234, .mtime_nsec = 567 };
}

static void assert_warnings(const char *const *expected, guint count)
{
  for (guint i = 0; i < MIN(count, warnings->len); i++)
    g_assert_cmpstr(warnings->pdata[i], ==, expected[i]);
  g_assert_cmpuint(warnings->len, ==, count);
}

/* ---- With all rights, and without a descriptor. ---- */

static void test_by_name(void)
{
  static const mode_t modes[] = { S_IFREG | 0640, S_IFDIR | 01751, S_IFLNK | 0777, S_IFIFO | 0604, S_IFSOCK | 0111 };
  static const char *const names[] = { "file", "folder", "link", "fifo", "socket" };
  make_file("file", 0600, getuid(), getgid());
  g_assert_cmpint(mkdir("folder", 0700), ==, 0);
  g_assert_cmpint(symlink("nowhere", "link"), ==, 0);
  g_assert_cmpint(mkfifo("fifo", 0600), ==, 0);
  g_assert_cmpint(mknod("socket", S_IFSOCK | 0600, 0), ==, 0);
  alarm(20);
  for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
    HfEntry entry = entry_of(modes[i], getuid(), getgid());
    begin();
    must_apply(names[i], -1, &entry);
    assert_warnings(NULL, 0);
    struct stat status = status_of(names[i]);
    g_assert_cmpuint(status.st_mode, ==, modes[i]);
    g_assert_cmpint(status.st_mtim.tv_sec, ==, 1234);
    g_assert_cmpint(status.st_mtim.tv_nsec, ==, 567);
  }
  alarm(0);
}

/* Attributes that stand on the entry and are not the point's are taken off, however many; the system's labels stay. */
static void test_others(void)
{
  char value[8];
  if (!only_for_root())
    return;
  make_file("others", 0600, 0, 0);
  for (guint i = 0; i < 100; i++) {
    g_autofree char *name = g_strdup_printf("user.attribute number %u", i);
    g_assert_cmpint(setxattr("others", name, "old", 3, 0), ==, 0);
  }
  g_assert_cmpint(setxattr("others", "trusted.old", "old", 3, 0), ==, 0);
  gboolean label = setxattr("others", "security.SMACK64EXEC", "label", 5, 0) == 0;
  begin();
  add_attribute("trusted.new", "new");
  add_attribute("user.attribute number 7", "new");
  HfEntry entry = entry_of(S_IFREG | 0600, 0, 0);
  must_apply("others", -1, &entry);
  assert_warnings(NULL, 0);
  g_assert_cmpint(getxattr("others", "user.attribute number 7", value, sizeof value), ==, 3);
  g_assert_cmpint(memcmp(value, "new", 3), ==, 0);
  g_assert_cmpint(getxattr("others", "trusted.new", value, sizeof value), ==, 3);
  g_assert_cmpint(getxattr("others", "user.attribute number 8", value, sizeof value), ==, -1);
  g_assert_cmpint(getxattr("others", "trusted.old", value, sizeof value), ==, -1);
  g_assert_true(!label || getxattr("others", "security.SMACK64EXEC", value, sizeof value) == 5);
}

static void test_unsupported(void)
{
  unsigned flags = 0;
  if (!only_for_root())
    return;
  make_file("unsupported", 0600, 0, 0);
  begin();
  add_attribute("nonsense", "x");
  add_attribute("system.nonsense", "x");
  add_number(HF_EXTRA_INODE_FLAGS, FS_COMPR_FL | FS_NODUMP_FL | FS_JOURNAL_DATA_FL | FS_IMMUTABLE_FL);
  add_number(HF_EXTRA_PROJECT, 99);
  HfEntry entry = entry_of(S_IFREG | 0644, 0, 0);
  must_apply("unsupported", -1, &entry);
  static const char *const expected[] = {
    "unsupported: the extended attribute 'nonsense' cannot be set: Operation not supported",
    "unsupported: the extended attribute 'system.nonsense' cannot be set: Operation not supported",
    "unsupported: the project id 99 cannot be set: Operation not supported",
    "unsupported: inode flags cannot be changed: +cj is missing; see chattr(1)",
  };
  assert_warnings(expected, G_N_ELEMENTS(expected));
  /* All the rest was done. */
  g_assert_cmpuint(status_of("unsupported").st_mode, ==, S_IFREG | 0644);
  g_assert_cmpint(status_of("unsupported").st_mtim.tv_sec, ==, 1234);
  hf_autofd int fd = open("unsupported", O_RDONLY | O_CLOEXEC);
  g_assert_cmpint(ioctl(fd, FS_IOC_GETFLAGS, &flags), ==, 0);
  g_assert_cmpuint(flags & (FS_NODUMP_FL | FS_IMMUTABLE_FL), ==, FS_NODUMP_FL | FS_IMMUTABLE_FL);

  /* Now it is immutable: each thing that cannot be done is said once. */
  begin();
  entry = entry_of(S_IFREG | 0600, 1, 1);
  must_apply("unsupported", -1, &entry);
  static const char *const refused[] = {
    "unsupported: the owner 1:1 cannot be set: Operation not permitted",
    "unsupported: the mode 0600 cannot be set: Operation not permitted",
    "unsupported: its time cannot be set: Operation not permitted",
  };
  assert_warnings(refused, G_N_ELEMENTS(refused));
  g_assert_cmpint(ioctl(fd, FS_IOC_GETFLAGS, &flags), ==, 0);
  g_assert_cmpuint(flags & FS_IMMUTABLE_FL, ==, 0); /* and the flag is the entry's again */
}

static void test_far_times(void)
{
  g_autofree char *ext4 = only_for_root() ? hf_place_mount("ext4", 16, top) : NULL;
  if (ext4 == NULL) {
    g_test_skip("needs ext4");
    return;
  }
  static const gint64 seconds[] = { -1, 2147483648, 15032385535, G_GINT64_CONSTANT(1) << 40, -G_MAXINT32 - 5LL };
  hf_autofd int folder = open(ext4, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  for (guint i = 0; i < G_N_ELEMENTS(seconds); i++) {
    g_autoptr(GError) error = NULL;
    HfEntry entry = entry_of(S_IFREG | 0600, 0, 0);
    entry.mtime_sec = seconds[i];
    g_autofree char *beside = NULL;
    unlinkat(folder, "far", 0);
    hf_autofd int fd = hf_target_file(folder, "far", HF_OVERWRITE_REPLACE, &beside, &error);
    begin();
    g_assert_true(hf_target_apply(folder, "far", fd, &entry, (HfView){ hf_nothing, 0 }, report, "far", &error));
    static const char *const expected[] = { "far: its time is beyond what this file system can keep" };
    assert_warnings(expected, i >= 3);
  }
  close(hf_steal_fd(&folder));
  hf_place_unmount(g_steal_pointer(&ext4));
}

/* ---- Without rights. ---- */

static void of_others(void)
{
  HfEntry entry = entry_of(S_IFREG | 06755, 0, 0);
  g_autoptr(GError) error = NULL;
  g_autofree char *beside = NULL;
  hf_autofd int fd = hf_target_file(here, "mine", HF_OVERWRITE_REFUSE, &beside, &error);
  g_assert_no_error(error);
  begin();
  add_attribute("trusted.x", "x");
  add_attribute("user.x", "x");
  add_number(HF_EXTRA_INODE_FLAGS, FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL);
  must_apply("mine", fd, &entry);
  static const char *const expected[] = {
    "mine: the owner 0:0 cannot be set: Operation not permitted; so its setuid or setgid bit is left out",
    "mine: the extended attribute 'trusted.x' cannot be set: Operation not permitted",
    "mine: inode flags cannot be changed: +ia is missing; see chattr(1)",
  };
  assert_warnings(expected, G_N_ELEMENTS(expected));
  struct stat status = status_of("mine");
  g_assert_cmpuint(status.st_mode, ==, S_IFREG | 0755); /* nobody's program would run as nobody else */
  g_assert_cmpuint(status.st_uid, ==, NOBODY);
  g_assert_cmpint(status.st_mtim.tv_sec, ==, 1234);
  g_assert_cmpint(getxattr("mine", "user.x", NULL, 0), ==, 1);

  /* A group of somebody else, on a file of ours: the kernel takes the bit off and says nothing. */
  entry = entry_of(S_IFREG | 02755, NOBODY, 0);
  begin();
  must_apply("group of root", -1, &entry);
  static const char *const group[] = {
    "group of root: the extended attribute 'security.x' is not in the point, and cannot be removed: Operation not "
    "permitted",
    "group of root: its setgid bit is left out: you are no member of group 0",
  };
  assert_warnings(group, G_N_ELEMENTS(group));
  g_assert_cmpuint(status_of("group of root").st_mode, ==, S_IFREG | 0755);

  /* May not be opened for reading: by its name in /proc. */
  entry = entry_of(S_IFREG | 0400, NOBODY, NOBODY);
  begin();
  add_number(HF_EXTRA_INODE_FLAGS, FS_NODUMP_FL);
  must_apply("write only", -1, &entry);
  static const char *const unread[] = {
    "write only: inode flags cannot be changed: +d is missing; see chattr(1)" };
  assert_warnings(unread, G_N_ELEMENTS(unread));
  g_assert_cmpuint(status_of("write only").st_mode, ==, S_IFREG | 0400);
}

static void test_rights(void)
{
  if (!only_for_root())
    return;
  g_assert_cmpint(fchmod(here, 0777), ==, 0);
  make_file("group of root", 0644, NOBODY, 0);
  g_assert_cmpint(setxattr("group of root", "security.x", "x", 1, 0), ==, 0);
  make_file("write only", 0200, NOBODY, NOBODY);
  g_assert_true(hf_as_nobody(of_others));
}

/* ---- An entry that is not what it was. ---- */

static void test_malformed(void)
{
  g_autoptr(GError) error = NULL;
  HfEntry entry = entry_of(S_IFREG | 0777, getuid(), getgid());
  make_file("malformed", 0600, getuid(), getgid());
  begin();
  add_attribute("user.b", "");
  add_attribute("user.a", "");
  g_assert_false(apply("malformed", -1, &entry, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_INVALID);
  g_clear_error(&error);
  begin();
  g_assert_false(apply("../malformed", -1, &entry, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_INVALID);
  g_clear_error(&error);
  g_assert_cmpuint(status_of("malformed").st_mode, ==, S_IFREG | 0600);
  g_assert_false(apply("vanished", -1, &entry, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_NOT_FOUND);
}

static void test_replaced(void)
{
  static const struct { mode_t mode; const char *name; } rows[] = {
    { S_IFREG | 0777, "swap link" }, { S_IFDIR | 0777, "swap link" }, { S_IFREG | 0777, "swap folder" },
    { S_IFREG | 0777, "swap fifo" }, { S_IFIFO | 0777, "victim" },    { S_IFLNK | 0777, "victim" },
    { S_IFDIR | 0777, "victim" },
  };
  make_file("victim", 0600, getuid(), getgid());
  g_assert_cmpint(symlink("victim", "swap link"), ==, 0);
  g_assert_cmpint(mkdir("swap folder", 0700), ==, 0);
  g_assert_cmpint(mkfifo("swap fifo", 0600), ==, 0);
  alarm(20);
  for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(GError) error = NULL;
    HfEntry entry = entry_of(rows[i].mode, getuid(), getgid());
    begin();
    g_assert_false(apply(rows[i].name, -1, &entry, &error));
    g_assert_error(error, HF_ERROR, HF_ERROR_REFUSED);
    g_assert_nonnull(strstr(error->message, rows[i].name));
  }
  alarm(0);
  g_assert_cmpuint(status_of("victim").st_mode, ==, S_IFREG | 0600);
  g_assert_cmpuint(status_of("swap folder").st_mode, ==, S_IFDIR | 0700);
  g_assert_cmpuint(status_of("swap fifo").st_mode, ==, S_IFIFO | 0600);
}

/* ---- Before anything is in it. ---- */

static void test_prepare(void)
{
  g_autofree char *beside = NULL;
  hf_autofd int fd = hf_target_file(here, "prepare", HF_OVERWRITE_REFUSE, &beside, NULL);
  unsigned flags = 0;
  begin();
  add_number(HF_EXTRA_INODE_FLAGS, FS_NOCOW_FL | FS_IMMUTABLE_FL);
  hf_target_prepare(fd, (HfView){ extras->data, extras->len });
  g_assert_cmpint(write(fd, "x", 1), ==, 1);
  g_assert_true(ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0 || (flags & FS_IMMUTABLE_FL) == 0);
  hf_target_prepare(fd, (HfView){ hf_nothing, 0 });
}

int main(int argc, char **argv)
{
  static const HfReportOps ops = { .warning = warn };
  g_test_init(&argc, &argv, NULL);
  hf_scratch_enter();
  top = g_get_current_dir();
  place = hf_place_private() ? hf_place_mount("tmpfs", 64, top) : NULL;
  g_assert_true(place == NULL || chdir(place) == 0);
  here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  warnings = g_ptr_array_new_with_free_func(g_free);
  report = hf_report_new(&ops, warnings);
  extras = g_byte_array_new();
  g_test_add_func("/apply/by-name", test_by_name);
  g_test_add_func("/apply/others", test_others);
  g_test_add_func("/apply/unsupported", test_unsupported);
  g_test_add_func("/apply/far-times", test_far_times);
  g_test_add_func("/apply/rights", test_rights);
  g_test_add_func("/apply/malformed", test_malformed);
  g_test_add_func("/apply/replaced", test_replaced);
  g_test_add_func("/apply/prepare", test_prepare);
  int result = g_test_run();
  close(here);
  hf_report_free(report);
  g_ptr_array_unref(warnings);
  g_byte_array_unref(extras);
  g_assert_cmpint(chdir(top), ==, 0);
  hf_place_unmount(place);
  hf_scratch_leave();
  g_free(top);
  return result;
}
