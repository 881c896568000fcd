/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#define DEEP_LEVELS 60u
#define DEEP_BYTES 200u /* of a name: 12,000 in all */
#define WIDE_NAMES 3000u

/* Flags are given when all else is done: some forbid everything. */
typedef struct LateFlags {
  int fd;
  guint32 flags;
  char *what;
} LateFlags;

typedef struct Build {
  int root;
  GString *left_out;
  GArray *late; /* of LateFlags */
} Build;

static void must(gboolean good, const char *what)
{
  if (good)
    return;
  g_printerr("fixture: %s: %s\n", what, g_strerror(errno));
  exit(2);
}

/* Notes what the file system, or want of rights, did not allow. */
static gboolean may(Build *build, gboolean good, const char *what)
{
  if (!good)
    g_string_append_printf(build->left_out, "%s: %s\n", what, g_strerror(errno));
  return good;
}

void hf_fixture_noise(guint8 *bytes, gsize length, guint64 seed)
{
  guint64 state = seed * 0x9e3779b97f4a7c15u + 1;
  for (gsize i = 0; i < length; i++) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    bytes[i] = (guint8)(state >> 32);
  }
}

/* ---- Entries. ---- */

static int add_folder(int parent, const char *name)
{
  must(mkdirat(parent, name, 0755) == 0, name);
  int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  must(fd >= 0, name);
  return fd;
}

static void write_noise(int fd, off_t offset, gsize length, guint64 seed)
{
  g_autofree guint8 *bytes = g_malloc(length);
  hf_fixture_noise(bytes, length, seed);
  must(pwrite(fd, bytes, length, offset) == (ssize_t)length, "write");
}

/* An open file of `length` bytes of noise. */
static int open_file(int parent, const char *name, gsize length)
{
  int fd = openat(parent, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  must(fd >= 0, name);
  if (length > 0)
    write_noise(fd, 0, length, strlen(name) * 131 + length);
  return fd;
}

static void add_file(int parent, const char *name, gsize length)
{
  close(open_file(parent, name, length));
}

/* The way to an entry that can be opened with O_PATH only. */
static char *proc_name(int fd)
{
  return g_strdup_printf("/proc/self/fd/%d", fd);
}

static void add_attribute(Build *build, int parent, const char *name, const char *attribute,
                          const void *value, gsize length)
{
  int fd = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  must(fd >= 0, name);
  g_autofree char *proc = proc_name(fd), *what = g_strdup_printf("attribute %s of %s", attribute, name);
  may(build, setxattr(proc, attribute, value, length, 0) == 0, what);
  close(fd);
}

static void add_late_flags(Build *build, int parent, const char *name, guint32 flags, const char *what)
{
  LateFlags late = { openat(parent, name, O_RDONLY | O_CLOEXEC), flags, g_strdup(what) };
  must(late.fd >= 0, name);
  g_array_append_val(build->late, late);
}

/* ---- The parts of the tree. ---- */

static void make_contents(Build *build)
{
  static const gsize sizes[] = { 0, 1, 4095, 4096, 4097, 65537, 1 << 20, (3 << 20) + 17 };
  int fd = add_folder(build->root, "contents");
  for (guint i = 0; i < G_N_ELEMENTS(sizes); i++) {
    g_autofree char *name = g_strdup_printf("%zu bytes", sizes[i]);
    add_file(fd, name, sizes[i]);
  }
  close(add_folder(fd, "empty folder"));
  close(fd);
}

static void make_owners(Build *build)
{
  static const struct { uid_t uid; gid_t gid; } owners[] = { { 0, 0 }, { 1, 2 }, { 1000, 1000 }, { 65534, 65534 },
                                                              { 4294967294, 4000000000 } };
  static const mode_t modes[] = { 0, 0400, 0644, 0777, 01644, 02755, 04755, 06711, 07777 };
  int fd = add_folder(build->root, "owners");
  for (guint i = 0; i < G_N_ELEMENTS(owners); i++) {
    for (guint j = 0; j < G_N_ELEMENTS(modes); j++) {
      g_autofree char *file = g_strdup_printf("file %u %04o", owners[i].uid, modes[j]);
      g_autofree char *folder = g_strdup_printf("folder %u %04o", owners[i].uid, modes[j]);
      add_file(fd, file, 10);
      close(add_folder(fd, folder));
      may(build, fchownat(fd, file, owners[i].uid, owners[i].gid, 0) == 0, file);
      may(build, fchownat(fd, folder, owners[i].uid, owners[i].gid, 0) == 0, folder);
      must(fchmodat(fd, file, modes[j], 0) == 0 && fchmodat(fd, folder, modes[j], 0) == 0, "chmod");
    }
    g_autofree char *link = g_strdup_printf("link %u", owners[i].uid);
    must(symlinkat("nowhere", fd, link) == 0, link);
    may(build, fchownat(fd, link, owners[i].uid, owners[i].gid, AT_SYMLINK_NOFOLLOW) == 0, link);
  }
  close(fd);
}

static void make_times(Build *build)
{
  /* 2^31 seconds before 1970, and 34 bits of seconds after that: what ext4 can keep. */
  static const struct timespec times[] = {
    { -2147483648, 0 }, { -2147483647, 999999999 }, { -1, 999999999 }, { -1, 0 }, { 0, 0 }, { 0, 1 },
    { 2147483647, 999999999 }, { 2147483648, 1 }, { 4294967296, 123456789 }, { 15032385535, 999999999 },
  };
  int fd = add_folder(build->root, "times");
  for (guint i = 0; i < G_N_ELEMENTS(times); i++) {
    const struct timespec both[2] = { times[i], times[i] };
    g_autofree char *file = g_strdup_printf("file %u", i), *folder = g_strdup_printf("folder %u", i);
    g_autofree char *link = g_strdup_printf("link %u", i);
    add_file(fd, file, 5);
    close(add_folder(fd, folder));
    must(symlinkat(file, fd, link) == 0, link);
    must(utimensat(fd, file, both, 0) == 0 && utimensat(fd, folder, both, 0) == 0 &&
         utimensat(fd, link, both, AT_SYMLINK_NOFOLLOW) == 0, "times");
  }
  close(fd);
}

/* An ACL as the kernel takes it: version 2, then tag, rights and number of each entry. */
static gsize encode_acl(guint8 *acl, const guint32 (*entries)[3], guint count)
{
  const guint32 version = GUINT32_TO_LE(2);
  memcpy(acl, &version, 4);
  for (guint i = 0; i < count; i++) {
    const guint16 tag = GUINT16_TO_LE((guint16)entries[i][0]), rights = GUINT16_TO_LE((guint16)entries[i][1]);
    const guint32 number = GUINT32_TO_LE(entries[i][2]);
    memcpy(acl + 4 + 8 * i, &tag, 2);
    memcpy(acl + 6 + 8 * i, &rights, 2);
    memcpy(acl + 8 + 8 * i, &number, 4);
  }
  return 4 + 8 * (gsize)count;
}

static void make_acls(Build *build)
{
  static const guint32 none = 0xffffffff;
  const guint32 access[][3] = { { 1, 6, none }, { 2, 7, 1234 }, { 2, 4, 4000000000 }, { 4, 4, none }, { 8, 5, 55 },
                                { 16, 5, none }, { 32, 0, none } };
  const guint32 inherited[][3] = { { 1, 7, none }, { 2, 5, 77 }, { 4, 5, none }, { 16, 7, none }, { 32, 1, none } };
  guint8 acl[64];
  int fd = add_folder(build->root, "acls");
  add_file(fd, "file", 3);
  close(add_folder(fd, "folder"));
  gsize length = encode_acl(acl, access, G_N_ELEMENTS(access));
  add_attribute(build, fd, "file", "system.posix_acl_access", acl, length);
  add_attribute(build, fd, "folder", "system.posix_acl_access", acl, length);

  int heir = add_folder(fd, "default");
  length = encode_acl(acl, inherited, G_N_ELEMENTS(inherited));
  add_attribute(build, fd, "default", "system.posix_acl_default", acl, length);
  add_file(heir, "heir", 3);
  close(add_folder(heir, "heir folder"));
  /* These had inherited, and lost it again: nothing may inherit anew when they are restored. */
  add_file(heir, "no heir", 3);
  close(add_folder(heir, "no heir folder"));
  static const char *const bare[] = { "no heir", "no heir folder" };
  for (guint i = 0; i < G_N_ELEMENTS(bare); i++) {
    int child = openat(heir, bare[i], O_RDONLY | O_CLOEXEC);
    (void)fremovexattr(child, "system.posix_acl_access");
    (void)fremovexattr(child, "system.posix_acl_default");
    must(fchmod(child, i == 0 ? 0644 : 0755) == 0, "chmod");
    close(child);
  }
  close(heir);
  close(fd);
}

static void make_attributes(Build *build)
{
  static const char *const kinds[] = { "file", "folder", "link", "fifo" };
  int fd = add_folder(build->root, "attributes");
  guint8 large[3000];
  hf_fixture_noise(large, sizeof large, 5);
  add_file(fd, "file", 3);
  close(add_folder(fd, "folder"));
  must(symlinkat("file", fd, "link") == 0 && mkfifoat(fd, "fifo", 0600) == 0, "attributes");
  for (guint i = 0; i < G_N_ELEMENTS(kinds); i++) {
    if (i < 2) { /* the kernel allows user attributes on files and folders only */
      add_attribute(build, fd, kinds[i], "user.text", "some text", 9);
      add_attribute(build, fd, kinds[i], "user.empty", "", 0);
      add_attribute(build, fd, kinds[i], "user.name with \xff and\nmore", "a\0b\n\xff", 5);
    }
    add_attribute(build, fd, kinds[i], "trusted.holdfast", "\0\1\2\3", 4);
    add_attribute(build, fd, kinds[i], "security.holdfast", kinds[i], 4);
  }
  add_file(fd, "large", 3);
  add_attribute(build, fd, "large", "user.large", large, sizeof large);
  add_file(fd, "many", 3);
  for (guint i = 0; i < 50; i++) { /* in no order */
    g_autofree char *name = g_strdup_printf("user.number %u", i * 37 % 50);
    add_attribute(build, fd, "many", name, &i, 1);
  }

  /* cap_net_raw in the sets permitted and effective */
  const guint32 capability[5] = { GUINT32_TO_LE(VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE),
                                  GUINT32_TO_LE(1u << CAP_NET_RAW), 0, 0, 0 };
  static const struct { const char *name; uid_t uid; mode_t mode; } programs[] = { { "program", 0, 0755 },
                                                                                    { "program of 1000", 1000, 0750 } };
  for (guint i = 0; i < G_N_ELEMENTS(programs); i++) {
    add_file(fd, programs[i].name, 100);
    may(build, fchownat(fd, programs[i].name, programs[i].uid, programs[i].uid, 0) == 0, "owner of a program");
    must(fchmodat(fd, programs[i].name, programs[i].mode, 0) == 0, "chmod");
    add_attribute(build, fd, programs[i].name, "security.capability", capability, sizeof capability);
  }
  close(fd);
}

static void make_links(Build *build)
{
  int fd = add_folder(build->root, "links"), below = add_folder(fd, "below");
  g_autofree char *longest = g_strnfill(4095, 'x');
  for (guint i = 100; i < 4095; i += 101)
    longest[i] = '/';
  add_file(fd, "one", 100000);
  add_file(fd, "other", 7);
  must(linkat(fd, "one", below, "one again", 0) == 0 && linkat(fd, "one", fd, "two", 0) == 0 &&
       linkat(fd, "other", below, "a", 0) == 0, "hard links");
  must(mkfifoat(fd, "fifo", 0640) == 0 && linkat(fd, "fifo", below, "fifo", 0) == 0, "hard links of a fifo");
  must(symlinkat("one", fd, "soft") == 0 && linkat(fd, "soft", below, "soft", 0) == 0, "hard links of a symlink");
  must(symlinkat("soft loop", fd, "soft loop") == 0 && symlinkat("/", fd, "soft root") == 0 &&
       symlinkat("below", fd, "soft folder") == 0 && symlinkat("no\nwhere \xff", fd, "soft dangling") == 0,
       "symbolic links");
  may(build, symlinkat(longest, fd, "soft longest") == 0, "symbolic link of 4,095 bytes");
  longest[1023] = '\0';
  must(symlinkat(longest, fd, "soft long") == 0, "symbolic link of 1,023 bytes");
  close(below);
  close(fd);
}

static void make_sparse(Build *build)
{
  static const struct { const char *name; off_t size; off_t data[3]; } files[] = {
    { "hole at the start", 2 << 20, { 1 << 20, -1, -1 } },
    { "hole in the middle", 3 << 20, { 0, 2 << 20, -1 } },
    { "hole at the end", 2 << 20, { 0, -1, -1 } },
    { "hole only", 1 << 20, { -1, -1, -1 } },
    { "many holes, odd end", (64 << 20) + 1, { 4096, 1 << 20, 33 << 20 } },
    { "data at the very end", (16 << 20) + 4096, { 16 << 20, -1, -1 } },
  };
  int fd = add_folder(build->root, "sparse");
  for (guint i = 0; i < G_N_ELEMENTS(files); i++) {
    int file = open_file(fd, files[i].name, 0);
    must(ftruncate(file, files[i].size) == 0, files[i].name);
    for (guint j = 0; j < G_N_ELEMENTS(files[i].data) && files[i].data[j] >= 0; j++)
      write_noise(file, files[i].data[j], 4096, i * 10 + j);
    close(file);
  }
  int file = open_file(fd, "zeros that are data", 0);
  g_autofree char *zeros = g_malloc0(1 << 18);
  must(pwrite(file, zeros, 1 << 18, 0) == 1 << 18, "zeros");
  close(file);
  close(fd);
}

static void make_special(Build *build)
{
  static const struct { const char *name; mode_t mode; unsigned major, minor; } nodes[] = {
    { "fifo", S_IFIFO | 0644, 0, 0 },         { "socket", S_IFSOCK | 0755, 0, 0 },
    { "null", S_IFCHR | 0666, 1, 3 },         { "block", S_IFBLK | 0660, 7, 200 },
    { "great char", S_IFCHR | 0600, 4095, 1048575 }, { "great block", S_IFBLK | 04640, 259, 70000 },
    { "white-out", S_IFCHR | 0000, 0, 0 },
  };
  int fd = add_folder(build->root, "special");
  for (guint i = 0; i < G_N_ELEMENTS(nodes); i++) {
    dev_t device = makedev(nodes[i].major, nodes[i].minor);
    if (may(build, mknodat(fd, nodes[i].name, nodes[i].mode, device) == 0, nodes[i].name))
      must(fchmodat(fd, nodes[i].name, nodes[i].mode & 07777, 0) == 0, nodes[i].name);
  }
  close(fd);
}

static gboolean change_flags(int fd, guint32 set, guint32 clear)
{
  unsigned flags = 0;
  if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
    return FALSE;
  flags = (flags | set) & ~clear;
  return ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0;
}

/* Flags that only what is empty can be given, and that files inherit from folders. */
static void make_early_flags(Build *build)
{
  static const struct { const char *name; guint32 flag; } kinds[] = {
    { "nocow", FS_NOCOW_FL }, { "compressed", FS_COMPR_FL }, { "not compressed", FS_NOCOMP_FL } };
  int fd = add_folder(build->root, "early flags");
  for (guint i = 0; i < G_N_ELEMENTS(kinds); i++) {
    int file = open_file(fd, kinds[i].name, 0);
    g_autofree char *what = g_strdup_printf("flag of %s", kinds[i].name);
    g_autofree char *name = g_strconcat("folder ", kinds[i].name, NULL);
    may(build, change_flags(file, kinds[i].flag, 0), what);
    write_noise(file, 0, 70000, i);
    close(file);

    int folder = add_folder(fd, name);
    may(build, change_flags(folder, kinds[i].flag, 0), what);
    add_file(folder, "heir", 5000);
    file = open_file(folder, "no heir", 0);
    (void)change_flags(file, 0, kinds[i].flag);
    write_noise(file, 0, 5000, i);
    close(file);
    close(folder);
  }
  close(fd);
}

static void make_flags(Build *build)
{
  static const struct { const char *name; guint32 flags; } files[] = {
    { "append", FS_APPEND_FL }, { "immutable", FS_IMMUTABLE_FL }, { "both", FS_APPEND_FL | FS_IMMUTABLE_FL },
    { "nodump", FS_NODUMP_FL }, { "noatime", FS_NOATIME_FL }, { "sync", FS_SYNC_FL }, { "secure", FS_SECRM_FL },
    { "undelete", FS_UNRM_FL }, { "journal", FS_JOURNAL_DATA_FL }, { "notail", FS_NOTAIL_FL },
    { "several", FS_NODUMP_FL | FS_NOATIME_FL | FS_IMMUTABLE_FL },
  };
  static const struct { const char *name; guint32 flags; } folders[] = {
    { "folder append", FS_APPEND_FL }, { "folder immutable", FS_IMMUTABLE_FL }, { "folder dirsync", FS_DIRSYNC_FL },
    { "folder top", FS_TOPDIR_FL }, { "folder nodump", FS_NODUMP_FL }, { "folder projinherit", FS_PROJINHERIT_FL },
  };
  int fd = add_folder(build->root, "flags");
  for (guint i = 0; i < G_N_ELEMENTS(files); i++) {
    add_file(fd, files[i].name, 11);
    add_late_flags(build, fd, files[i].name, files[i].flags, files[i].name);
  }
  for (guint i = 0; i < G_N_ELEMENTS(folders); i++) {
    int folder = add_folder(fd, folders[i].name);
    add_file(folder, "inside", 12);
    add_late_flags(build, fd, folders[i].name, folders[i].flags, folders[i].name);
    close(folder);
  }
  int file = open_file(fd, "project", 5);
  struct fsxattr more = { 0 };
  gboolean known = ioctl(file, FS_IOC_FSGETXATTR, &more) == 0;
  more.fsx_projid = 4711;
  may(build, known && ioctl(file, FS_IOC_FSSETXATTR, &more) == 0, "project id");
  close(file);
  close(fd);
}

static void make_names(Build *build)
{
  static const char *const names[] = {
    " ", "  spaces  ", "-", "-rf", "--help", "...", ".hidden", "a\nb", "\n", "\r\n", "tab\t", "back\\slash", "'", "\"",
    "*", "?", "[a]", "$HOME", "`id`", "!", "#", "~", "\xff\xfe", "\xc3\xa9", "e\xcc\x81", "\xed\xa0\x80",
    "\x01\x02\x7f", "a:b", "%s%n", "CON", "{}", "(", "&", ";", "|", "<>",
  };
  int fd = add_folder(build->root, "names");
  char all[256] = "", longest[256];
  guint count = 0;
  for (guint byte = 1; byte < 256; byte++)
    if (byte != '/')
      all[count++] = (char)byte;
  memset(longest, 0xe9, 255);
  longest[255] = '\0';
  for (guint i = 0; i < G_N_ELEMENTS(names); i++)
    add_file(fd, names[i], strlen(names[i]));
  add_file(fd, all, 254);
  close(add_folder(fd, longest));
  close(fd);
}

static void make_deep(Build *build)
{
  int fd = add_folder(build->root, "deep");
  for (guint i = 0; i < DEEP_LEVELS; i++) {
    g_autofree char *name = g_strnfill(DEEP_BYTES, (char)('a' + i % 26));
    int next = add_folder(fd, name);
    close(fd);
    fd = next;
  }
  add_file(fd, "at the bottom", 1000);
  must(symlinkat("at the bottom", fd, "link at the bottom") == 0, "link at the bottom");
  add_attribute(build, fd, "at the bottom", "trusted.deep", "yes", 3);
  close(fd);
}

static void make_wide(Build *build)
{
  int fd = add_folder(build->root, "wide");
  for (guint i = 0; i < WIDE_NAMES; i++) {
    g_autofree char *name = g_strdup_printf("%u is the number of this file among many others", i * 1009 % WIDE_NAMES);
    add_file(fd, name, 0);
  }
  close(fd);
}

static void set_late_flags(Build *build)
{
  for (guint i = 0; i < build->late->len; i++) {
    LateFlags *late = &g_array_index(build->late, LateFlags, i);
    g_autofree char *what = g_strdup_printf("flags of %s", late->what);
    may(build, change_flags(late->fd, late->flags, 0), what);
    close(late->fd);
    g_free(late->what);
  }
}

void hf_fixture_make(const char *path, GString *left_out)
{
  g_autoptr(GArray) late = g_array_new(FALSE, FALSE, sizeof(LateFlags));
  Build build = { .left_out = left_out, .late = late };
  mode_t mask = umask(0);
  build.root = add_folder(AT_FDCWD, path);
  make_contents(&build);
  make_owners(&build);
  make_times(&build);
  make_acls(&build);
  make_attributes(&build);
  make_links(&build);
  make_sparse(&build);
  make_special(&build);
  make_flags(&build);
  make_early_flags(&build);
  make_names(&build);
  make_deep(&build);
  make_wide(&build);
  set_late_flags(&build);
  close(build.root);
  umask(mask);
}
