/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "export/fuse/requests.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "format/tree.h"

#define FOREVER_SECONDS (10.0 * 365 * 86400)
#define DOTS 2 /* entries "." and ".." before all others */
#define NAME_BYTES 255u

/* ---- Between the kernel's words and ours. ---- */

static HfExport *export_of(fuse_req_t request)
{
  return fuse_req_userdata(request);
}

static HfExportItem *item_of(fuse_req_t request, fuse_ino_t number)
{
  HfExport *export = export_of(request);
  return number == FUSE_ROOT_ID ? export->ops->top(export) : (HfExportItem *)(gpointer)number;
}

static double seconds(HfExport *export, HfExportItem *item)
{
  guint lifetime = export->ops->lifetime(export, item);
  return lifetime == HF_EXPORT_FOREVER ? FOREVER_SECONDS : (double)lifetime;
}

static gboolean lives_forever(HfExport *export, HfExportItem *item)
{
  return export->ops->lifetime(export, item) == HF_EXPORT_FOREVER;
}

static int errno_of(const GError *error)
{
  if (hf_error_is(error, HF_ERROR_NOT_FOUND))
    return ENOENT;
  if (hf_error_is(error, HF_ERROR_PERMISSION))
    return EACCES;
  return hf_error_is(error, HF_ERROR_USAGE) ? EINVAL : EIO;
}

static void reply_error(fuse_req_t request, const GError *error)
{
  fuse_reply_err(request, errno_of(error));
}

static void unref(HfExport *export, fuse_ino_t number, guint64 count)
{
  if (number != FUSE_ROOT_ID)
    export->ops->unref(export, (HfExportItem *)(gpointer)number, count);
}

/* ---- Items. ---- */

static void start(void *user, struct fuse_conn_info *connection)
{
  (void)user;
  connection->want |= connection->capable & FUSE_CAP_PARALLEL_DIROPS;
}

/* What the kernel shall know of an entry of `folder`. */
static void fill_entry(HfExport *export, HfExportItem *folder, HfExportItem *item, const struct stat *status,
                       struct fuse_entry_param *entry)
{
  *entry = (struct fuse_entry_param){ .ino = (fuse_ino_t)(gpointer)item, .attr = *status };
  entry->entry_timeout = seconds(export, folder);
  entry->attr_timeout = seconds(export, item);
}

static void look_up(fuse_req_t request, fuse_ino_t parent, const char *name)
{
  HfExport *export = export_of(request);
  HfExportItem *folder = item_of(request, parent);
  g_autoptr(GError) error = NULL;
  struct fuse_entry_param entry;
  struct stat status;
  if (strlen(name) > NAME_BYTES) {
    fuse_reply_err(request, ENAMETOOLONG);
    return;
  }
  HfExportItem *item = export->ops->lookup(export, folder, name, &error);
  if (item == NULL && error == NULL) {
    entry = (struct fuse_entry_param){ .entry_timeout = seconds(export, folder) };
    fuse_reply_entry(request, &entry);
  } else if (item == NULL || !export->ops->status(export, item, &status, &error)) {
    if (item != NULL)
      export->ops->unref(export, item, 1);
    reply_error(request, error);
  } else {
    fill_entry(export, folder, item, &status, &entry);
    if (fuse_reply_entry(request, &entry) != 0)
      export->ops->unref(export, item, 1); /* the kernel no longer wanted to know */
  }
}

static void forget(fuse_req_t request, fuse_ino_t number, uint64_t count)
{
  unref(export_of(request), number, count);
  fuse_reply_none(request);
}

static void forget_multi(fuse_req_t request, size_t count, struct fuse_forget_data *all)
{
  for (size_t i = 0; i < count; i++)
    unref(export_of(request), all[i].ino, all[i].nlookup);
  fuse_reply_none(request);
}

static void get_status(fuse_req_t request, fuse_ino_t number, struct fuse_file_info *info)
{
  HfExport *export = export_of(request);
  HfExportItem *item = item_of(request, number);
  g_autoptr(GError) error = NULL;
  struct stat status;
  (void)info;
  if (export->ops->status(export, item, &status, &error))
    fuse_reply_attr(request, &status, seconds(export, item));
  else
    reply_error(request, error);
}

static void read_link(fuse_req_t request, fuse_ino_t number)
{
  HfExport *export = export_of(request);
  g_autoptr(GError) error = NULL;
  g_autofree char *target = export->ops->read_link(export, item_of(request, number), &error);
  if (target != NULL)
    fuse_reply_readlink(request, target);
  else
    reply_error(request, error);
}

static void get_file_system(fuse_req_t request, fuse_ino_t number)
{
  const struct statvfs status = { .f_bsize = 4096, .f_frsize = 4096, .f_namemax = NAME_BYTES, .f_flag = ST_RDONLY };
  (void)number;
  fuse_reply_statfs(request, &status);
}

/* ---- Extras. ---- */

/* The extras of an item, or NULL after the error was replied. */
static GByteArray *get_extras(fuse_req_t request, fuse_ino_t number)
{
  HfExport *export = export_of(request);
  g_autoptr(GByteArray) extras = g_byte_array_new();
  g_autoptr(GError) error = NULL;
  if (export->ops->extras(export, item_of(request, number), extras, &error))
    return g_steal_pointer(&extras);
  reply_error(request, error);
  return NULL;
}

/* `bytes` as the answer to a question with room for `size`; 0 asks for the length. */
static void reply_sized(fuse_req_t request, const void *bytes, gsize length, gsize size)
{
  if (size == 0)
    fuse_reply_xattr(request, length);
  else if (length > size)
    fuse_reply_err(request, ERANGE);
  else
    fuse_reply_buf(request, bytes, length);
}

static void get_attribute(fuse_req_t request, fuse_ino_t number, const char *name, size_t size)
{
  g_autoptr(GByteArray) extras = get_extras(request, number);
  if (extras == NULL)
    return;
  HfReader reader = hf_reader(extras->data, extras->len);
  gsize length = strlen(name) + 1;
  guint64 tag;
  HfView value;
  while (hf_extras_next(&reader, &tag, &value, NULL))
    if (tag == HF_EXTRA_XATTR && value.length >= length && memcmp(value.data, name, length) == 0) {
      reply_sized(request, value.data + length, value.length - length, size);
      return;
    }
  fuse_reply_err(request, ENODATA);
}

static void list_attributes(fuse_req_t request, fuse_ino_t number, size_t size)
{
  g_autoptr(GByteArray) extras = get_extras(request, number), names = g_byte_array_new();
  if (extras == NULL)
    return;
  HfReader reader = hf_reader(extras->data, extras->len);
  guint64 tag;
  HfView value;
  while (hf_extras_next(&reader, &tag, &value, NULL))
    if (tag == HF_EXTRA_XATTR)
      g_byte_array_append(names, value.data, (guint)(strlen((const char *)value.data) + 1));
  reply_sized(request, names->data, names->len, size);
}

/* A number among the extras; 0 when it is not there. */
static guint32 find_number(const GByteArray *extras, HfExtra wanted)
{
  HfReader reader = hf_reader(extras->data, extras->len);
  guint64 tag;
  HfView value;
  while (hf_extras_next(&reader, &tag, &value, NULL))
    if (tag == (guint64)wanted)
      return hf_load_u32(value.data);
  return 0;
}

/* What lsattr asks for. */
static void control(fuse_req_t request, fuse_ino_t number, unsigned command, void *argument,
                    struct fuse_file_info *info, unsigned flags, const void *in, size_t in_size, size_t out_size)
{
  (void)argument;
  (void)info;
  (void)flags;
  (void)in;
  (void)in_size;
  struct fsxattr project = { 0 };
  gboolean wants_flags = command == (unsigned)FS_IOC_GETFLAGS && out_size >= sizeof(guint32);
  gboolean wants_project = command == (unsigned)FS_IOC_FSGETXATTR && out_size >= sizeof project;
  if (!wants_flags && !wants_project) {
    fuse_reply_err(request, ENOTTY);
    return;
  }
  g_autoptr(GByteArray) extras = get_extras(request, number);
  if (extras == NULL)
    return;
  guint32 inode_flags = find_number(extras, HF_EXTRA_INODE_FLAGS);
  project.fsx_projid = find_number(extras, HF_EXTRA_PROJECT);
  if (wants_flags)
    fuse_reply_ioctl(request, 0, &inode_flags, sizeof inode_flags);
  else
    fuse_reply_ioctl(request, 0, &project, sizeof project);
}

/* ---- Folders. ---- */

static void open_folder(fuse_req_t request, fuse_ino_t number, struct fuse_file_info *info)
{
  HfExport *export = export_of(request);
  HfExportItem *folder = item_of(request, number);
  g_autoptr(GError) error = NULL;
  HfExportList *list = export->ops->list_open(export, folder, &error);
  if (list == NULL) {
    reply_error(request, error);
    return;
  }
  info->fh = (guint64)(gsize)list;
  info->cache_readdir = info->keep_cache = lives_forever(export, folder) ? 1 : 0;
  if (fuse_reply_open(request, info) != 0)
    export->ops->list_close(export, list);
}

static void close_folder(fuse_req_t request, fuse_ino_t number, struct fuse_file_info *info)
{
  HfExport *export = export_of(request);
  (void)number;
  export->ops->list_close(export, (HfExportList *)(gpointer)info->fh);
  fuse_reply_err(request, 0);
}

typedef struct Filling {
  fuse_req_t request;
  HfExportItem *folder;
  gboolean plus;
  char *buffer;
  gsize size, used;
  GPtrArray *items; /* references that go to the kernel with the reply */
} Filling;

/* Adds one entry; `item` NULL: the kernel shall not take it for one that it looked up. */
static gboolean fill(Filling *filling, const char *name, HfExportItem *item, const struct stat *status, guint64 next)
{
  HfExport *export = export_of(filling->request);
  char *at = filling->buffer + filling->used;
  gsize room = filling->size - filling->used, taken;
  struct fuse_entry_param entry = { .attr = *status };
  if (item != NULL)
    fill_entry(export, filling->folder, item, status, &entry);
  taken = filling->plus ? fuse_add_direntry_plus(filling->request, at, room, name, &entry, (off_t)next)
                        : fuse_add_direntry(filling->request, at, room, name, status, (off_t)next);
  if (taken > room)
    return FALSE;
  filling->used += taken;
  return TRUE;
}

static gboolean take_entry(const HfExportEntry *entry, guint64 position, gpointer user)
{
  Filling *filling = user;
  if (!fill(filling, entry->name, entry->item, &entry->status, position + 1 + DOTS))
    return FALSE;
  if (entry->item != NULL)
    g_ptr_array_add(filling->items, entry->item);
  return TRUE;
}

static gboolean fill_dots(Filling *filling, guint64 offset, GError **error)
{
  HfExport *export = export_of(filling->request);
  struct stat status;
  if (offset >= DOTS)
    return TRUE;
  if (!export->ops->status(export, filling->folder, &status, error))
    return FALSE;
  return (offset > 0 || fill(filling, ".", NULL, &status, 1)) && fill(filling, "..", NULL, &status, DOTS);
}

static void reply_entries(Filling *filling)
{
  HfExport *export = export_of(filling->request);
  if (fuse_reply_buf(filling->request, filling->buffer, filling->used) == 0)
    return;
  for (guint i = 0; i < filling->items->len; i++)
    export->ops->unref(export, filling->items->pdata[i], 1);
}

static void read_entries(fuse_req_t request, fuse_ino_t number, size_t size, off_t offset, struct fuse_file_info *info,
                         gboolean plus)
{
  HfExport *export = export_of(request);
  HfExportList *list = (HfExportList *)(gpointer)info->fh;
  guint64 position = (guint64)MAX(offset - DOTS, 0);
  g_autoptr(GError) error = NULL;
  g_autofree char *buffer = g_try_malloc(size);
  g_autoptr(GPtrArray) items = g_ptr_array_new();
  Filling filling = { request, item_of(request, number), plus, buffer, size, 0, items };
  if (buffer == NULL) {
    fuse_reply_err(request, ENOMEM);
    return;
  }
  gboolean good = fill_dots(&filling, (guint64)offset, &error) &&
                  export->ops->list_read(export, list, position, plus, take_entry, &filling, &error);
  /* An error behind the entries comes again when the kernel asks for what follows them. */
  if (good || filling.used > 0)
    reply_entries(&filling);
  else
    reply_error(request, error);
}

static void read_folder(fuse_req_t request, fuse_ino_t number, size_t size, off_t offset, struct fuse_file_info *info)
{
  read_entries(request, number, size, offset, info, FALSE);
}

static void read_folder_plus(fuse_req_t request, fuse_ino_t number, size_t size, off_t offset,
                             struct fuse_file_info *info)
{
  read_entries(request, number, size, offset, info, TRUE);
}

/* ---- Files. ---- */

static HfExportFile *file_of(const struct fuse_file_info *info)
{
  return (HfExportFile *)(gpointer)info->fh;
}

static void open_file(fuse_req_t request, fuse_ino_t number, struct fuse_file_info *info)
{
  HfExport *export = export_of(request);
  HfExportItem *item = item_of(request, number);
  g_autoptr(GError) error = NULL;
  if ((info->flags & O_ACCMODE) != O_RDONLY) {
    fuse_reply_err(request, EROFS);
    return;
  }
  HfExportFile *file = export->ops->open(export, item, &error);
  if (file == NULL) {
    reply_error(request, error);
    return;
  }
  info->fh = (guint64)(gsize)file;
  info->keep_cache = lives_forever(export, item) ? 1 : 0;
  info->noflush = 1;
  if (fuse_reply_open(request, info) != 0)
    export->ops->close(export, file);
}

static void close_file(fuse_req_t request, fuse_ino_t number, struct fuse_file_info *info)
{
  HfExport *export = export_of(request);
  (void)number;
  export->ops->close(export, file_of(info));
  fuse_reply_err(request, 0);
}

static void read_file(fuse_req_t request, fuse_ino_t number, size_t size, off_t offset, struct fuse_file_info *info)
{
  HfExport *export = export_of(request);
  g_autoptr(GError) error = NULL;
  g_autofree char *buffer = g_try_malloc(size);
  (void)number;
  if (buffer == NULL) {
    fuse_reply_err(request, ENOMEM);
    return;
  }
  gssize got = export->ops->read(export, file_of(info), (guint64)offset, buffer, size, &error);
  if (got >= 0)
    fuse_reply_buf(request, buffer, (gsize)got);
  else
    reply_error(request, error);
}

/* SEEK_DATA and SEEK_HOLE; the kernel does the others by itself. */
static void seek(fuse_req_t request, fuse_ino_t number, off_t offset, int whence, struct fuse_file_info *info)
{
  HfExport *export = export_of(request);
  HfExportFile *file = file_of(info);
  guint64 at = (guint64)offset, size = export->ops->size(export, file), length;
  gboolean hole = whence == SEEK_DATA, wanted = whence == SEEK_HOLE;
  g_autoptr(GError) error = NULL;
  (void)number;
  if (whence != SEEK_DATA && whence != SEEK_HOLE) {
    fuse_reply_err(request, EINVAL);
    return;
  }
  if (offset < 0 || at >= size) {
    fuse_reply_err(request, ENXIO);
    return;
  }
  while (at < size) {
    if (!export->ops->extent(export, file, at, &hole, &length, &error)) {
      reply_error(request, error);
      return;
    }
    if (hole == wanted)
      break;
    at += length;
  }
  if (at >= size && whence == SEEK_DATA)
    fuse_reply_err(request, ENXIO);
  else
    fuse_reply_lseek(request, (off_t)MIN(at, size)); /* the end counts as a hole */
}

const struct fuse_lowlevel_ops hf_fuse_requests = {
  .init = start,
  .lookup = look_up,
  .forget = forget,
  .forget_multi = forget_multi,
  .getattr = get_status,
  .readlink = read_link,
  .statfs = get_file_system,
  .getxattr = get_attribute,
  .listxattr = list_attributes,
  .ioctl = control,
  .opendir = open_folder,
  .readdir = read_folder,
  .readdirplus = read_folder_plus,
  .releasedir = close_folder,
  .open = open_file,
  .read = read_file,
  .lseek = seek,
  .release = close_file,
};
