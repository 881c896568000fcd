/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "format/inode_flags.h"
#include "target/file/apply_private.h"

#define LOCKING ((guint32)(FS_IMMUTABLE_FL | FS_APPEND_FL))
/* File systems take these only while a file or folder is empty. */
#define WHILE_EMPTY ((guint32)(FS_COMPR_FL | FS_NOCOMP_FL | FS_NOCOW_FL | FS_DAX_FL | FS_CASEFOLD_FL))

/* The letters that chattr and lsattr have for them. */
static const struct {
  guint32 flag;
  char letter;
} letters[] = {
  { FS_SECRM_FL, 's' },        { FS_UNRM_FL, 'u' },     { FS_COMPR_FL, 'c' },  { FS_SYNC_FL, 'S' },
  { FS_IMMUTABLE_FL, 'i' },    { FS_APPEND_FL, 'a' },   { FS_NODUMP_FL, 'd' }, { FS_NOATIME_FL, 'A' },
  { FS_NOCOMP_FL, 'm' },       { FS_NOTAIL_FL, 't' },   { FS_DIRSYNC_FL, 'D' }, { FS_TOPDIR_FL, 'T' },
  { FS_JOURNAL_DATA_FL, 'j' }, { FS_NOCOW_FL, 'C' },    { FS_DAX_FL, 'x' },    { FS_PROJINHERIT_FL, 'P' },
  { FS_CASEFOLD_FL, 'F' },
};

/* The kernel reads and writes an int, whatever the names of these ioctls say. */
static gboolean get_flags(int fd, guint32 *flags)
{
  unsigned found = 0;
  *flags = 0;
  if (ioctl(fd, FS_IOC_GETFLAGS, &found) < 0)
    return FALSE;
  *flags = found;
  return TRUE;
}

static gboolean set_flags(int fd, guint32 flags)
{
  unsigned wanted = flags;
  return ioctl(fd, FS_IOC_SETFLAGS, &wanted) == 0;
}

/* Makes the flags of `mask` as `wanted` says: together if that can be, else those that can be, one by one. Returns what
 * flags there are then. */
static guint32 change_flags(int fd, guint32 mask, guint32 wanted)
{
  guint32 now;
  (void)get_flags(fd, &now);
  guint32 change = (now ^ wanted) & mask;
  if (change == 0)
    return now;
  if (!set_flags(fd, now ^ change))
    for (guint i = 0; i < G_N_ELEMENTS(letters); i++)
      if ((change & letters[i].flag) != 0 && set_flags(fd, now ^ letters[i].flag))
        now ^= letters[i].flag;
  (void)get_flags(fd, &now);
  return now;
}

static void add_letters(GString *text, char sign, guint32 flags)
{
  if (flags != 0)
    g_string_append_printf(text, "%s%c", text->len > 0 ? " " : "", sign);
  for (guint i = 0; i < G_N_ELEMENTS(letters); i++)
    if ((flags & letters[i].flag) != 0)
      g_string_append_c(text, letters[i].letter);
}

/* Changes flags and looks what came of it; returns what there are then. */
static guint32 want_flags(const HfApply *apply, guint32 mask, guint32 wanted)
{
  guint32 now = apply->path ? 0 : change_flags(apply->fd, mask, wanted);
  guint32 wrong = (now ^ wanted) & mask;
  if (wrong == 0)
    return now;
  g_autoptr(GString) text = g_string_new(NULL);
  add_letters(text, '+', wrong & wanted);
  add_letters(text, '-', wrong & ~wanted);
  hf_report_warning(apply->report, apply->shown, "inode flags cannot be changed: %s is missing; see chattr(1)",
                    text->str);
  return now;
}

static gboolean set_project(const HfApply *apply)
{
  struct fsxattr more = { 0 };
  if (apply->path || ioctl(apply->fd, FS_IOC_FSGETXATTR, &more) < 0)
    return apply->project == 0;
  if (more.fsx_projid == apply->project)
    return TRUE;
  more.fsx_projid = apply->project;
  return ioctl(apply->fd, FS_IOC_FSSETXATTR, &more) == 0;
}

static void read_extras(HfView extras, guint32 *flags, guint32 *project)
{
  HfReader reader = hf_reader(extras.data, extras.length);
  guint64 tag;
  HfView value;
  *flags = *project = 0;
  while (hf_extras_next(&reader, &tag, &value, NULL)) {
    if (tag == HF_EXTRA_INODE_FLAGS)
      *flags = hf_load_u32(value.data) & HF_INODE_FLAGS;
    else if (tag == HF_EXTRA_PROJECT)
      *project = hf_load_u32(value.data);
  }
}

void hf_apply_read_extras(HfApply *apply)
{
  read_extras(apply->extras, &apply->flags, &apply->project);
}

static gboolean has_flags(const HfApply *apply)
{
  return S_ISREG(apply->entry->mode) || S_ISDIR(apply->entry->mode);
}

void hf_apply_flags(HfApply *apply)
{
  if (!has_flags(apply))
    return;
  if (!set_project(apply))
    hf_report_warning(apply->report, apply->shown, "the project id %u cannot be set: %s", apply->project,
                      g_strerror(errno));
  guint32 now = want_flags(apply, HF_INODE_FLAGS & ~LOCKING, apply->flags & ~LOCKING);
  apply->locks = ((now ^ apply->flags) & LOCKING) != 0;
}

void hf_apply_last_flags(const HfApply *apply)
{
  if (apply->locks)
    want_flags(apply, LOCKING, apply->flags & LOCKING);
}

void hf_target_prepare(int fd, HfView extras)
{
  guint32 flags, project;
  read_extras(extras, &flags, &project);
  change_flags(fd, WHILE_EMPTY, flags & WHILE_EMPTY);
}
