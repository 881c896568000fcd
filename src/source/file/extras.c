/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What an entry has beyond its stat: extended attributes, inode flags, project id.
 *
 * Inode flags are read from an open descriptor only, so from regular files and folders: to open a device or a fifo
 * would have effects.
 */
#include <errno.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>

#include "base/error.h"
#include "base/sys.h"
#include "format/inode_flags.h"
#include "source/file/tree_private.h"

#define FIRST_BYTES 1024u /* the kernel takes as much memory as we offer, and most attributes are short */

/* The entry whose extras are read. */
typedef struct Thing {
  int fd;       /* -1: only by its name in /proc */
  char proc[HF_PROC_FD_BYTES];
  HfReport *report;
  const char *shown;
} Thing;

static ssize_t list_names(const Thing *thing, char *names, gsize length)
{
  return thing->fd >= 0 ? flistxattr(thing->fd, names, length) : listxattr(thing->proc, names, length);
}

static ssize_t get_value(const Thing *thing, const char *name, void *value, gsize length)
{
  return thing->fd >= 0 ? fgetxattr(thing->fd, name, value, length) : getxattr(thing->proc, name, value, length);
}

/* Fills `room` with the value of `name`, or with the list of names for NULL. -1 with errno. */
static ssize_t fetch(const Thing *thing, const char *name, GByteArray *room)
{
  ssize_t got;
  gsize most = name != NULL ? XATTR_SIZE_MAX : XATTR_LIST_MAX;
  for (gsize offer = FIRST_BYTES; TRUE; offer = most) {
    g_byte_array_set_size(room, (guint)offer);
    got = name != NULL ? get_value(thing, name, room->data, offer) : list_names(thing, (char *)room->data, offer);
    if (got >= 0 || errno != ERANGE || offer == most)
      break;
  }
  g_byte_array_set_size(room, (guint)MAX(got, 0));
  return got;
}

static int compare_names(const void *a, const void *b)
{
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Those without support or without any are alike. */
static gboolean nothing_there(int errnum)
{
  return errnum == EOPNOTSUPP || errnum == ENOTTY || errnum == ENOSYS || errnum == EINVAL;
}

static void add_attribute(const Thing *thing, const char *name, GByteArray *value, GByteArray *extras)
{
  gsize name_bytes = strlen(name) + 1;
  if (fetch(thing, name, value) < 0) {
    if (errno != ENODATA) /* it went meanwhile */
      hf_report_warning(thing->report, thing->shown, "the extended attribute '%s' cannot be read and is left out: %s",
                        name, g_strerror(errno));
    return;
  }
  g_byte_array_prepend(value, (const guint8 *)name, (guint)name_bytes);
  hf_extras_add(extras, HF_EXTRA_XATTR, value->data, value->len);
}

static void add_attributes(const Thing *thing, GByteArray *extras)
{
  g_autoptr(GByteArray) list = g_byte_array_new();
  if (fetch(thing, NULL, list) < 0) {
    if (!nothing_there(errno))
      hf_report_warning(thing->report, thing->shown, "extended attributes cannot be read and are left out: %s",
                        g_strerror(errno));
    return;
  }
  if (list->len == 0)
    return;
  g_autoptr(GPtrArray) names = g_ptr_array_new();
  g_autoptr(GByteArray) value = g_byte_array_new();
  for (guint at = 0; at < list->len; at += (guint)strlen((char *)list->data + at) + 1)
    g_ptr_array_add(names, list->data + at);
  qsort(names->pdata, names->len, sizeof *names->pdata, compare_names);
  for (guint i = 0; i < names->len; i++)
    if (i == 0 || strcmp(names->pdata[i - 1], names->pdata[i]) != 0)
      add_attribute(thing, names->pdata[i], value, extras);
}

static void add_number(GByteArray *extras, HfExtra tag, guint32 number)
{
  guint8 bytes[4];
  hf_store_u32(bytes, number);
  hf_extras_add(extras, tag, bytes, sizeof bytes);
}

static void add_flags(const Thing *thing, GByteArray *extras)
{
  unsigned flags = 0; /* the kernel writes an int, whatever the name of the ioctl says */
  struct fsxattr more = { 0 };
  if (ioctl(thing->fd, FS_IOC_GETFLAGS, &flags) < 0) {
    flags = 0;
    if (!nothing_there(errno))
      hf_report_warning(thing->report, thing->shown, "inode flags cannot be read and are left out: %s",
                        g_strerror(errno));
  }
  if ((flags & HF_INODE_FLAGS) != 0)
    add_number(extras, HF_EXTRA_INODE_FLAGS, flags & HF_INODE_FLAGS);
  if (ioctl(thing->fd, FS_IOC_FSGETXATTR, &more) == 0 && more.fsx_projid != 0)
    add_number(extras, HF_EXTRA_PROJECT, more.fsx_projid);
}

/* Opens what has inode flags for reading; all else, and what may not be read, with O_PATH. *reading tells which. */
static int open_thing(int folder, const char *name, guint32 mode, gboolean *reading)
{
  *reading = TRUE;
  int fd = -1;
  if (S_ISDIR(mode))
    fd = hf_open_quietly(folder, name, O_RDONLY | O_NONBLOCK | O_DIRECTORY);
  else if (S_ISREG(mode))
    fd = hf_open_quietly(folder, name, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (fd >= 0)
    return fd;
  *reading = FALSE;
  return HF_AGAIN(hf_sys->openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0));
}

gboolean hf_source_extras(HfSourceDir *dir, const char *name, int fd, guint32 mode, GByteArray *extras,
                          HfReport *report, const char *shown_path, GError **error)
{
  Thing thing = { .fd = fd, .report = report, .shown = shown_path };
  hf_autofd int own = -1;
  if (fd < 0) {
    gboolean reading;
    own = open_thing(hf_source_dir_fd(dir), name, mode, &reading);
    if (own < 0) {
      int errnum = errno;
      g_autofree char *shown = hf_printable(name, -1);
      return hf_fail_errno(error, errnum, "cannot open '%s' to read its extended attributes", shown);
    }
    thing.fd = reading ? own : -1;
    hf_proc_fd(own, thing.proc);
  }
  add_attributes(&thing, extras);
  if (thing.fd >= 0)
    add_flags(&thing, extras);
  return TRUE;
}
