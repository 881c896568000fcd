/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/error.h"
#include "base/sys.h"
#include "fixture.h"
#include "source/tree.h"

static HfSourceDir *here; /* a folder of a tmpfs or, without rights, the scratch folder */
static GPtrArray *warnings;
static HfReport *report;

static void warn(gpointer user, const char *path, const char *message)
{
  g_ptr_array_add(user, g_strdup_printf("%s: %s", path, message));
}

static mode_t mode_of(const char *name)
{
  struct stat status;
  g_assert_cmpint(lstat(name, &status), ==, 0);
  return status.st_mode;
}

/* The extras as text: "user.a=616263 flags=40 ", values in hex. */
static char *extras_of(const char *name, int fd)
{
  g_autoptr(GByteArray) extras = g_byte_array_new();
  g_autoptr(GError) error = NULL;
  GString *text = g_string_new(NULL);
  hf_source_extras(here, name, fd, mode_of(name), extras, report, name, &error);
  g_assert_no_error(error);
  HfReader reader = hf_reader(extras->data, extras->len);
  guint64 tag;
  HfView value;
  while (hf_extras_next(&reader, &tag, &value, &error)) {
    gsize skip = tag == HF_EXTRA_XATTR ? strlen((const char *)value.data) + 1 : 0;
    g_autofree char *hex = hf_hex(value.data + skip, MIN(value.length - skip, 4));
    const char *const labels[] = { "", (const char *)value.data, "flags", "project" };
    /* A security label is the machine's, not the test's. */
    if (tag != HF_EXTRA_XATTR || strcmp((const char *)value.data, "security.selinux") != 0)
      g_string_append_printf(text, "%s=%s ", labels[tag], hex);
  }
  g_assert_no_error(error);
  return g_string_free(text, FALSE);
}

static void assert_extras(const char *name, const char *expected)
{
  g_autofree char *found = extras_of(name, -1);
  g_assert_cmpstr(found, ==, expected);
  g_assert_cmpuint(warnings->len, ==, 0);
}

static void make_file(const char *name)
{
  g_assert_true(g_file_set_contents(name, "x", 1, NULL));
}

static gboolean set(const char *name, const char *attribute, const void *value, gsize length)
{
  if (lsetxattr(name, attribute, value, length, 0) == 0)
    return TRUE;
  g_test_skip("no right to set such attributes here");
  return FALSE;
}

static void test_none(void)
{
  make_file("none");
  g_assert_cmpint(mkdir("none folder", 0755), ==, 0);
  g_assert_cmpint(symlink("x", "none link"), ==, 0);
  g_assert_cmpint(mkfifo("none fifo", 0600), ==, 0);
  alarm(20); /* a fifo must not be waited for */
  assert_extras("none", "");
  assert_extras("none folder", "");
  assert_extras("none link", "");
  assert_extras("none fifo", "");
  alarm(0);
}

static void test_sorted(void)
{
  make_file("sorted");
  if (!set("sorted", "user.b", "B", 1) || !set("sorted", "user.a", "", 0) || !set("sorted", "user.ab", "\0\xff", 2) ||
      !set("sorted", "trusted.z", "z", 1))
    return;
  assert_extras("sorted", "trusted.z=7a user.a= user.ab=00ff user.b=42 ");
  /* by a descriptor likewise */
  hf_autofd int fd = open("sorted", O_RDONLY | O_CLOEXEC);
  g_autofree char *found = extras_of("sorted", fd);
  g_assert_cmpstr(found, ==, "trusted.z=7a user.a= user.ab=00ff user.b=42 ");
}

static void test_links(void)
{
  make_file("target");
  g_assert_cmpint(symlink("target", "link"), ==, 0);
  if (!set("target", "trusted.of", "target", 6) || !set("link", "trusted.of", "link", 4))
    return;
  assert_extras("target", "trusted.of=74617267 ");
  assert_extras("link", "trusted.of=6c696e6b ");
}

/* Values and lists of more than the first try. */
static void test_large(void)
{
  g_autofree char *value = g_strnfill(60000, 'v');
  make_file("large");
  if (!set("large", "user.large", value, 60000))
    return;
  g_autoptr(GByteArray) extras = g_byte_array_new();
  g_assert_true(hf_source_extras(here, "large", -1, S_IFREG, extras, report, "large", NULL));
  g_assert_cmpuint(extras->len, >, 60000);
  g_assert_true(hf_extras_valid((HfView){ extras->data, extras->len }));
  g_assert_cmpmem(extras->data + extras->len - 60000, 60000, value, 60000);

  make_file("many");
  for (guint i = 0; i < 100; i++) {
    g_autofree char *name = g_strdup_printf("user.attribute number %03u", i * 37 % 100);
    if (!set("many", name, "1", 1))
      return;
  }
  g_autofree char *found = extras_of("many", -1);
  g_auto(GStrv) words = g_strsplit(found, "=31 ", -1);
  g_assert_cmpuint(g_strv_length(words), ==, 101);
  for (guint i = 0; i < 100; i++) {
    g_autofree char *name = g_strdup_printf("user.attribute number %03u", i);
    g_assert_cmpstr(words[i], ==, name);
  }
}

static void test_flags(void)
{
  make_file("flags");
  hf_autofd int fd = open("flags", O_RDONLY | O_CLOEXEC);
  unsigned flags = 0;
  gboolean known = ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0;
  flags |= FS_NODUMP_FL;
  if (!known || ioctl(fd, FS_IOC_SETFLAGS, &flags) < 0) {
    g_test_skip("the file system has no inode flags");
    return;
  }
  assert_extras("flags", "flags=40000000 ");
  g_autofree char *found = extras_of("flags", fd);
  g_assert_cmpstr(found, ==, "flags=40000000 ");
}

static void test_vanished(void)
{
  g_autoptr(GByteArray) extras = g_byte_array_new();
  static const mode_t modes[] = { S_IFREG, S_IFDIR, S_IFLNK, S_IFIFO };
  for (guint i = 0; i < G_N_ELEMENTS(modes); i++) {
    g_autoptr(GError) error = NULL;
    g_assert_false(hf_source_extras(here, "vanished", -1, modes[i], extras, report, "vanished", &error));
    g_assert_error(error, HF_ERROR, HF_ERROR_NOT_FOUND);
    g_assert_nonnull(strstr(error->message, "vanished"));
  }
  g_assert_cmpuint(extras->len, ==, 0);
}

/* What may not be opened still shows names of attributes; a value that may not be read is a warning. */
static void by_nobody(void)
{
  g_autofree char *found = extras_of("closed", -1), *folder = extras_of("closed folder", -1);
  g_assert_cmpstr(found, ==, "");
  g_assert_cmpstr(folder, ==, "");
  g_assert_cmpuint(warnings->len, ==, 1);
  g_assert_cmpstr(warnings->pdata[0], ==,
                  "closed: the extended attribute 'user.secret' cannot be read and is left out: Permission denied");
}

static void test_rights(void)
{
  if (geteuid() != 0) {
    g_test_skip("only root can take on another user");
    return;
  }
  make_file("closed");
  g_assert_cmpint(chmod("closed", 0600), ==, 0);
  g_assert_cmpint(mkdir("closed folder", 0700), ==, 0);
  if (set("closed", "user.secret", "s", 1))
    g_assert_true(hf_as_nobody(by_nobody));
}

/* A file system without extended attributes or flags. */
static void test_no_support(void)
{
  g_autoptr(HfSourceDir) proc = hf_source_dir_open(NULL, "/proc/self", NULL);
  g_autoptr(GByteArray) extras = g_byte_array_new();
  g_assert_nonnull(proc);
  g_assert_true(hf_source_extras(proc, "status", -1, S_IFREG, extras, report, "status", NULL));
  g_assert_cmpuint(extras->len, ==, 0);
  g_assert_cmpuint(warnings->len, ==, 0);
}

int main(int argc, char **argv)
{
  static const HfReportOps ops = { .warning = warn };
  g_test_init(&argc, &argv, NULL);
  hf_scratch_enter();
  g_autofree char *top = g_get_current_dir();
  char *place = hf_place_private() ? hf_place_mount("tmpfs", 64, top) : NULL;
  g_assert_true(place == NULL || chdir(place) == 0);
  here = hf_source_dir_open(NULL, ".", NULL);
  warnings = g_ptr_array_new_with_free_func(g_free);
  report = hf_report_new(&ops, warnings);
  g_test_add_func("/extras/none", test_none);
  g_test_add_func("/extras/sorted", test_sorted);
  g_test_add_func("/extras/links", test_links);
  g_test_add_func("/extras/large", test_large);
  g_test_add_func("/extras/flags", test_flags);
  g_test_add_func("/extras/vanished", test_vanished);
  g_test_add_func("/extras/rights", test_rights);
  g_test_add_func("/extras/no-support", test_no_support);
  int result = g_test_run();
  hf_source_dir_unref(here);
  hf_report_free(report);
  g_ptr_array_unref(warnings);
  g_assert_cmpint(chdir(top), ==, 0);
  hf_place_unmount(place);
  hf_scratch_leave();
  return result;
}
