/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Making entries below an open folder.
 *
 * 1. A name is checked to be one part of a path, whoever checked it before.
 * 2. Nothing that exists is written to: what is made is new (O_EXCL and its like). What was there gives place only when
 *    replacing was asked for, and in one step: to what was made beside it. (But to a folder: it is unlinked first.) A
 *    folder is never removed.
 * 3. What is made is for its owner only until hf_target_apply gives it its mode.
 */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/sys.h"
#include "target/tree.h"

#define BESIDE ".holdfast-"
#define BESIDE_DIGITS 16u
#define LEFT_SECONDS 3600

#define TRIES 16u /* against somebody who makes the name again each time */

/* What is to be made. */
typedef struct Making {
  int (*make)(const struct Making *making); /* a descriptor or 0; -1 with errno */
  int parent;
  const char *name;
  HfOverwrite overwrite;
  const HfEntry *entry; /* symlinks, nodes */
  int old_parent;       /* hard links */
  const char *old_name;
} Making;

static int open_folder(const Making *making)
{
  return HF_AGAIN(hf_sys->openat(making->parent, making->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0));
}

static int make_folder(const Making *making)
{
  if (making->overwrite != HF_OVERWRITE_REFUSE) {
    int fd = open_folder(making);
    if (fd >= 0 || (errno != ENOENT && errno != ENOTDIR && errno != ELOOP))
      return fd;
  }
  return HF_AGAIN(hf_sys->mkdirat(making->parent, making->name, 0700)) < 0 ? -1 : open_folder(making);
}

static int make_file(const Making *making)
{
  const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  return HF_AGAIN(hf_sys->openat(making->parent, making->name, flags, 0600));
}

static int make_symlink(const Making *making)
{
  const HfView *target = &making->entry->target;
  g_autofree char *text = g_strndup((const char *)target->data, target->length);
  return HF_AGAIN(symlinkat(text, making->parent, making->name));
}

static int make_node(const Making *making)
{
  const HfEntry *entry = making->entry;
  return mknodat(making->parent, making->name, (entry->mode & S_IFMT) | 0600, makedev(entry->major, entry->minor));
}

/* Whether both names are the same file already: to unlink one first might lose it. */
static gboolean is_same(const Making *making)
{
  struct stat old, now;
  return HF_AGAIN(hf_sys->fstatat(making->old_parent, making->old_name, &old, AT_SYMLINK_NOFOLLOW)) == 0 &&
         HF_AGAIN(hf_sys->fstatat(making->parent, making->name, &now, AT_SYMLINK_NOFOLLOW)) == 0 &&
         old.st_dev == now.st_dev && old.st_ino == now.st_ino;
}

static int make_link(const Making *making)
{
  int made = HF_AGAIN(hf_sys->linkat(making->old_parent, making->old_name, making->parent, making->name, 0));
  if (made == 0 || errno != EEXIST || making->overwrite != HF_OVERWRITE_REPLACE)
    return made;
  if (is_same(making))
    return 0;
  errno = EEXIST;
  return -1;
}

static gboolean check_name(const char *name, GError **error)
{
  if (hf_name_valid((HfView){ (const guint8 *)name, strlen(name) }))
    return TRUE;
  g_autofree char *shown = hf_printable(name, -1);
  return hf_fail(error, HF_ERROR_INVALID, "'%s' cannot be the name of an entry", shown);
}

static gboolean is_folder(int parent, const char *name)
{
  struct stat status;
  return HF_AGAIN(hf_sys->fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW)) == 0 && S_ISDIR(status.st_mode);
}

static gboolean fail_folder(const char *name, GError **error)
{
  g_autofree char *shown = hf_printable(name, -1);
  return hf_fail(error, HF_ERROR_REFUSED, "'%s' is a folder and cannot be replaced by something else; move it away",
                 shown);
}

/* A folder cannot take the place of something else. */
static gboolean remove_old(const Making *making, GError **error)
{
  if (HF_AGAIN(hf_sys->unlinkat(making->parent, making->name, 0)) == 0 || errno == ENOENT || errno == EINTR)
    return TRUE;
  int errnum = errno;
  if (is_folder(making->parent, making->name))
    return fail_folder(making->name, error);
  g_autofree char *shown = hf_printable(making->name, -1);
  return hf_fail_errno(error, errnum, "cannot replace '%s'", shown);
}

static int make(const Making *making, GError **error);

/* Something stands there: makes it under another name in the same folder. */
static int make_beside(const Making *making, char **beside, GError **error)
{
  if (is_folder(making->parent, making->name)) {
    fail_folder(making->name, error);
    return -1;
  }
  g_autofree char *name = g_strdup_printf(BESIDE "%08x%08x", g_random_int(), g_random_int());
  Making other = *making;
  other.name = name;
  other.overwrite = HF_OVERWRITE_REFUSE;
  int made = make(&other, error);
  if (made >= 0) {
    *beside = g_steal_pointer(&name);
    return made;
  }
  g_autofree char *shown = hf_printable(making->name, -1);
  g_prefix_error(error, "nothing can be made to replace '%s': ", shown);
  return -1;
}

/* *beside becomes the name that it has until hf_target_replace; NULL: it has its own. Folders may give NULL. */
static int make_or_beside(const Making *making, char **beside, GError **error)
{
  int errnum = 0;
  if (!check_name(making->name, error))
    return -1;
  for (guint tries = 0; tries < TRIES; tries++) {
    int made = making->make(making);
    if (made >= 0)
      return made;
    errnum = errno;
    if (errnum == EEXIST && making->overwrite != HF_OVERWRITE_REPLACE) {
      g_autofree char *shown = hf_printable(making->name, -1);
      hf_fail(error, HF_ERROR_REFUSED, "'%s' exists already; restore to another folder, or use --overwrite", shown);
      return -1;
    }
    if (errnum == EEXIST && beside != NULL)
      return make_beside(making, beside, error);
    if (errnum == EEXIST && !remove_old(making, error))
      return -1;
    if (errnum != EEXIST && errnum != EINTR)
      break;
  }
  g_autofree char *shown = hf_printable(making->name, -1);
  hf_fail_errno(error, errnum, "cannot make '%s'", shown);
  return -1;
}

static int make(const Making *making, GError **error)
{
  return make_or_beside(making, NULL, error);
}

/* What is complete as soon as it is made. */
static gboolean make_whole(const Making *making, GError **error)
{
  g_autofree char *beside = NULL;
  if (make_or_beside(making, &beside, error) < 0)
    return FALSE;
  if (beside == NULL || hf_target_replace(making->parent, beside, making->name, error))
    return TRUE;
  HF_AGAIN(hf_sys->unlinkat(making->parent, beside, 0));
  return FALSE;
}

/* ---- The interface. ---- */

int hf_target_folder(int parent, const char *name, HfOverwrite overwrite, GError **error)
{
  hf_raise_file_limit();
  return make(&(Making){ .make = make_folder, .parent = parent, .name = name, .overwrite = overwrite }, error);
}

int hf_target_file(int parent, const char *name, HfOverwrite overwrite, char **beside, GError **error)
{
  *beside = NULL;
  return make_or_beside(&(Making){ .make = make_file, .parent = parent, .name = name, .overwrite = overwrite }, beside,
                        error);
}

gboolean hf_target_settle(int fd, const char *name, GError **error)
{
  if (HF_AGAIN(hf_sys->fsync(fd)) == 0)
    return TRUE;
  int errnum = errno;
  g_autofree char *shown = hf_printable(name, -1);
  return hf_fail_errno(error, errnum, "cannot make '%s' durable", shown);
}

static gboolean is_left(int folder, const char *name, gint64 now)
{
  struct stat status;
  return g_str_has_prefix(name, BESIDE) && strlen(name) == strlen(BESIDE) + BESIDE_DIGITS &&
    strspn(name + strlen(BESIDE), "0123456789abcdef") == BESIDE_DIGITS &&
    HF_AGAIN(hf_sys->fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW)) == 0 && S_ISREG(status.st_mode) &&
    status.st_nlink == 1 && status.st_uid == geteuid() && status.st_ctime < now - LEFT_SECONDS;
}

void hf_target_clear(int folder)
{
  gint64 now = hf_clock_real_ns() / G_GINT64_CONSTANT(1000000000);
  int fd = HF_AGAIN(hf_sys->openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0));
  DIR *entries = fd < 0 ? NULL : fdopendir(fd);
  if (entries == NULL) {
    if (fd >= 0)
      close(fd);
    return;
  }
  for (const struct dirent *entry = readdir(entries); entry != NULL; entry = readdir(entries))
    if (is_left(folder, entry->d_name, now))
      HF_AGAIN(hf_sys->unlinkat(folder, entry->d_name, 0));
  closedir(entries);
}

gboolean hf_target_replace(int parent, const char *beside, const char *name, GError **error)
{
  if (HF_AGAIN(hf_sys->renameat2(parent, beside, parent, name, 0)) == 0)
    return TRUE;
  int errnum = errno;
  if (is_folder(parent, name))
    return fail_folder(name, error);
  g_autofree char *shown = hf_printable(name, -1);
  return hf_fail_errno(error, errnum, "cannot replace '%s'", shown);
}

gboolean hf_target_special(int parent, const char *name, const HfEntry *entry, HfOverwrite overwrite, GError **error)
{
  Making making = { .make = make_node, .parent = parent, .name = name, .overwrite = overwrite, .entry = entry };
  switch (entry->mode & S_IFMT) {
  case S_IFLNK:
    making.make = make_symlink;
    break;
  case S_IFIFO:
  case S_IFSOCK:
  case S_IFCHR:
  case S_IFBLK:
    break;
  default:
    return hf_fail(error, HF_ERROR_INVALID, "'%s' is of an unknown kind: mode 0%o", name, entry->mode);
  }
  return make_whole(&making, error);
}

gboolean hf_target_link(int old_parent, const char *old_name, int parent, const char *name, HfOverwrite overwrite,
                        GError **error)
{
  Making making = { .make = make_link, .parent = parent, .name = name, .overwrite = overwrite,
                    .old_parent = old_parent, .old_name = old_name };
  return check_name(old_name, error) && make_whole(&making, error);
}
