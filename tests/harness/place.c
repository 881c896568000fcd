/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <grp.h>
#include <linux/fs.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"

#define NOBODY 65534u

/* ---- Removing. ---- */

static void clear_flags(int fd)
{
  unsigned flags = 0;
  if (ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0 && (flags & (FS_IMMUTABLE_FL | FS_APPEND_FL)) != 0) {
    flags &= ~(unsigned)(FS_IMMUTABLE_FL | FS_APPEND_FL);
    (void)ioctl(fd, FS_IOC_SETFLAGS, &flags);
  }
}

static void remove_entry(int parent, const char *name);

static void remove_below(int fd)
{
  DIR *dir = fdopendir(fd);
  for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir))
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
      remove_entry(fd, entry->d_name);
  closedir(dir);
}

static void remove_entry(int parent, const char *name)
{
  struct stat status;
  if (fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
    return;
  if (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode)) {
    int fd = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
      (void)fchmodat(parent, name, 0700, 0);
      fd = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    }
    if (fd >= 0)
      clear_flags(fd);
    if (fd >= 0 && S_ISDIR(status.st_mode)) {
      (void)fchmod(fd, 0700);
      remove_below(fd);
    } else if (fd >= 0) {
      close(fd);
    }
  }
  if (unlinkat(parent, name, S_ISDIR(status.st_mode) ? AT_REMOVEDIR : 0) < 0) {
    g_printerr("fixture: cannot remove '%s': %s\n", name, g_strerror(errno));
    exit(2);
  }
}

void hf_fixture_remove(const char *path)
{
  remove_entry(AT_FDCWD, path);
}

/* ---- Places. ---- */

gboolean hf_place_private(void)
{
  return geteuid() == 0 && unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

static gboolean run(const char *const *arguments)
{
  int status = 0;
  return g_spawn_sync(NULL, (char **)arguments, NULL,
                      G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL,
                      NULL, NULL, &status, NULL) &&
         status == 0;
}

/* How to make each kind on an image; the image's name comes last. */
static const char *const makers[][9] = {
  { "mkfs.ext4", "-q", "-F", "-b", "4096", "-I", "256", NULL },
  { "mkfs.xfs", "-q", "-f", NULL },
  { "mkfs.btrfs", "-q", "-f", NULL },
};

static gboolean mount_image(const char *kind, const char *folder, guint megabytes)
{
  g_autofree char *image = g_strconcat(folder, ".image", NULL);
  const char *make[G_N_ELEMENTS(makers[0]) + 1] = { NULL };
  for (guint i = 0; i < G_N_ELEMENTS(makers); i++)
    if (strcmp(makers[i][0] + strlen("mkfs."), kind) == 0)
      memcpy(make, makers[i], sizeof makers[i]);
  make[g_strv_length((char **)make)] = image;
  int fd = open(image, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0 || ftruncate(fd, (off_t)megabytes << 20) < 0)
    return FALSE;
  close(fd);
  const char *const attach[] = { "mount", "-o", "loop", image, folder, NULL };
  gboolean good = run(make) && run(attach);
  g_unlink(image); /* the mount holds it */
  return good;
}

char *hf_place_mount(const char *kind, guint megabytes, const char *above)
{
  g_autofree char *folder = g_strdup_printf("%s/%s-XXXXXX", above, kind);
  g_autofree char *options = g_strdup_printf("size=%um,mode=755", megabytes);
  if (g_mkdtemp(folder) == NULL)
    return NULL;
  if (strcmp(kind, "tmpfs") == 0 ? mount("tmpfs", folder, "tmpfs", 0, options) == 0
                                 : mount_image(kind, folder, megabytes))
    return g_steal_pointer(&folder);
  g_rmdir(folder);
  return NULL;
}

void hf_place_unmount(char *place)
{
  if (place == NULL)
    return;
  if (umount2(place, MNT_DETACH) < 0 || g_rmdir(place) < 0)
    g_printerr("fixture: cannot unmount '%s': %s\n", place, g_strerror(errno));
  g_free(place);
}

/* ---- For tests of single calls. ---- */

static char *scratch;

void hf_scratch_enter(void)
{
  scratch = g_dir_make_tmp("hf-test-XXXXXX", NULL);
  if (scratch == NULL || chmod(scratch, 0755) < 0 || chdir(scratch) < 0) {
    g_printerr("fixture: cannot make a folder: %s\n", g_strerror(errno));
    exit(2);
  }
}

void hf_scratch_leave(void)
{
  if (chdir("/") == 0)
    hf_fixture_remove(scratch);
  g_clear_pointer(&scratch, g_free);
}

gboolean hf_as_nobody(void (*work)(void))
{
  int status = 0;
  pid_t child = fork();
  if (child == 0) {
    if (geteuid() == 0 && (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
                           setresuid(NOBODY, NOBODY, NOBODY) < 0))
      exit(3);
    work();
    exit(0);
  }
  return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}
