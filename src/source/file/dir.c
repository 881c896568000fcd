/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A folder that was opened and listed. Names lie in one block, in the order in which the kernel gave them; an array of
 * offsets has them sorted. So a name costs its length and five bytes.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/sys.h"
#include "source/file/tree_private.h"

#define LISTING_BYTES (64u << 10)
#define LONG_PIECE 4000u /* of a path longer than PATH_MAX, opened in one step */

struct HfSourceDir {
  gint references;
  int fd;
  guint count;
  guint32 *offsets; /* into names, sorted by name */
  char *names;      /* each ends with NUL */
};

/* ---- Opening. ---- */

static int open_again(int parent, const char *name, int flags)
{
  int fd;
  do
    fd = hf_sys->openat(parent, name, flags | O_CLOEXEC, 0);
  while (fd < 0 && errno == EINTR);
  return fd;
}

int hf_open_quietly(int parent, const char *name, int flags)
{
  int fd = open_again(parent, name, flags | O_NOFOLLOW | O_NOATIME);
  if (fd < 0 && errno == EPERM) /* O_NOATIME is for the owner and for root */
    fd = open_again(parent, name, flags | O_NOFOLLOW);
  return fd;
}

int hf_open_long(const char *path, int flags)
{
  hf_autofd int folder = -1;
  int parent = AT_FDCWD;
  while (strlen(path) > LONG_PIECE) {
    /* The last slash within a piece, or the first one when a part is too long by itself: the kernel then says so. */
    const char *end = memrchr(path, '/', LONG_PIECE);
    if (end == NULL || end == path)
      end = strchr(path + 1, '/');
    if (end == NULL)
      break;
    g_autofree char *piece = g_strndup(path, (gsize)(end - path) + 1);
    int next = open_again(parent, piece, O_PATH | O_DIRECTORY);
    if (next < 0)
      return -1;
    hf_close_ptr(&folder);
    parent = folder = next;
    path = end + strspn(end, "/");
  }
  return open_again(parent, *path != '\0' ? path : ".", flags);
}

void hf_proc_fd(int fd, char name[HF_PROC_FD_BYTES])
{
  g_snprintf(name, HF_PROC_FD_BYTES, "/proc/self/fd/%d", fd);
}

static int open_folder(HfSourceDir *parent, const char *name)
{
  int flags = O_RDONLY | O_DIRECTORY | O_NONBLOCK;
  if (parent != NULL)
    return hf_open_quietly(parent->fd, name, flags);
  int fd = hf_open_long(name, flags | O_NOATIME);
  return fd < 0 && errno == EPERM ? hf_open_long(name, flags) : fd;
}

/* ---- Listing. ---- */

static gboolean is_dots(const char *name)
{
  return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

static gboolean take_names(const guint8 *listing, gsize length, HfBuffer *names, guint *count, GError **error)
{
  for (gsize at = 0; at < length;) {
    const struct dirent64 *entry = (const struct dirent64 *)(listing + at);
    at += entry->d_reclen;
    if (is_dots(entry->d_name))
      continue;
    if (!hf_buffer_append(names, entry->d_name, strlen(entry->d_name) + 1, error))
      return FALSE;
    ++*count;
  }
  return TRUE;
}

static gboolean read_names(int fd, const char *shown, HfBuffer *names, guint *count, GError **error)
{
  _Alignas(struct dirent64) guint8 listing[LISTING_BYTES];
  while (TRUE) {
    ssize_t got = hf_sys->getdents64(fd, listing, sizeof listing);
    if (got == 0)
      return TRUE;
    if (got < 0 && errno != EINTR)
      return hf_fail_errno(error, errno, "cannot list the folder '%s'", shown);
    if (got > 0 && !take_names(listing, (gsize)got, names, count, error))
      return FALSE;
    if (names->length > G_MAXUINT32)
      return hf_fail(error, HF_ERROR_UNSUPPORTED, "the folder '%s' has more than 4 GiB of names", shown);
  }
}

typedef struct SortKey {
  guint64 start; /* eight bytes as a number: settles most comparisons without a look at the name */
  const char *name;
} SortKey;

static int compare_keys(const void *a, const void *b)
{
  const SortKey *x = a, *y = b;
  if (x->start != y->start)
    return x->start < y->start ? -1 : 1;
  return strcmp(x->name, y->name);
}

static guint64 key_start(const char *name)
{
  guint64 start = 0;
  gsize length = strnlen(name, sizeof start);
  for (gsize i = 0; i < length; i++)
    start |= (guint64)(guint8)name[i] << (8 * (sizeof start - 1 - i));
  return start;
}

/* How many bytes all names begin with alike, as those of photographs do. */
static gsize common_start(const HfSourceDir *dir)
{
  const char *first = dir->names, *name = first;
  gsize common = strlen(first);
  for (guint i = 1; i < dir->count && common > 0; i++) {
    gsize alike = 0;
    name += strlen(name) + 1;
    while (alike < common && name[alike] == first[alike])
      alike++;
    common = alike;
  }
  return common;
}

static gboolean sort_names(HfSourceDir *dir, GError **error)
{
  g_autofree SortKey *keys = g_try_new(SortKey, dir->count);
  dir->offsets = g_try_new(guint32, dir->count);
  if (keys == NULL || dir->offsets == NULL)
    return hf_fail(error, HF_ERROR_FAILED, "out of memory: a folder has %u names", dir->count);
  const char *name = dir->names;
  gsize common = common_start(dir);
  for (guint i = 0; i < dir->count; i++, name += strlen(name) + 1)
    keys[i] = (SortKey){ key_start(name + common), name };
  qsort(keys, dir->count, sizeof *keys, compare_keys);
  for (guint i = 0; i < dir->count; i++)
    dir->offsets[i] = (guint32)(keys[i].name - dir->names);
  return TRUE;
}

static gboolean list_folder(HfSourceDir *dir, const char *shown, GError **error)
{
  g_auto(HfBuffer) names = HF_BUFFER_INIT;
  if (!read_names(dir->fd, shown, &names, &dir->count, error))
    return FALSE;
  if (dir->count == 0)
    return TRUE;
  dir->names = g_try_malloc(names.length);
  if (dir->names == NULL)
    return hf_fail(error, HF_ERROR_FAILED, "out of memory: the folder '%s' has %u names", shown, dir->count);
  memcpy(dir->names, names.data, names.length);
  hf_buffer_clear(&names);
  return sort_names(dir, error);
}

/* ---- The interface. ---- */

HfSourceDir *hf_source_dir_open(HfSourceDir *parent, const char *name, GError **error)
{
  hf_raise_file_limit();
  int fd = open_folder(parent, name);
  int errnum = errno;
  g_autofree char *shown = hf_printable(name, -1);
  if (fd < 0) {
    if (parent != NULL && (errnum == ENOTDIR || errnum == ELOOP))
      hf_fail(error, HF_ERROR_NOT_FOUND, "the folder '%s' was replaced by something else meanwhile", shown);
    else
      hf_fail_errno(error, errnum, "cannot open the folder '%s'", shown);
    return NULL;
  }
  g_autoptr(HfSourceDir) dir = g_new0(HfSourceDir, 1);
  dir->references = 1;
  dir->fd = fd;
  return list_folder(dir, shown, error) ? g_steal_pointer(&dir) : NULL;
}

HfSourceDir *hf_source_dir_ref(HfSourceDir *dir)
{
  g_atomic_int_inc(&dir->references);
  return dir;
}

void hf_source_dir_unref(HfSourceDir *dir)
{
  if (dir == NULL || !g_atomic_int_dec_and_test(&dir->references))
    return;
  hf_close_ptr(&dir->fd);
  g_free(dir->offsets);
  g_free(dir->names);
  g_free(dir);
}

guint hf_source_dir_count(const HfSourceDir *dir)
{
  return dir->count;
}

const char *hf_source_dir_name(const HfSourceDir *dir, guint number)
{
  return dir->names + dir->offsets[number];
}

int hf_source_dir_fd(const HfSourceDir *dir)
{
  return dir->fd;
}
