/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "engine/restore/spots.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/sys.h"

#define OPEN_MAX_WANTED 512u
#define OPEN_MIN 16u

void hf_spots_init(HfSpots *spots)
{
  struct rlimit files;
  hf_raise_file_limit();
  g_mutex_init(&spots->lock);
  g_queue_init(&spots->idle);
  spots->open = 0;
  spots->limit = OPEN_MAX_WANTED;
  /* Half of what the process may have: the other half is the repository's and the program's. */
  if (getrlimit(RLIMIT_NOFILE, &files) == 0)
    spots->limit = (guint)CLAMP(files.rlim_cur / 2, OPEN_MIN, OPEN_MAX_WANTED);
}

void hf_spots_clear(HfSpots *spots)
{
  g_assert(spots->open == 0);
  g_mutex_clear(&spots->lock);
}

void hf_spot_init(HfSpot *spot, HfSpot *parent, const char *name, const char *shown, gboolean folder)
{
  *spot = (HfSpot){ .parent = parent, .name = name, .shown = shown, .folder = folder, .fd = -1,
                      .link = { .data = spot } };
}

void hf_spot_path(const HfSpot *spot, GString *path)
{
  gsize length = 0;
  const HfSpot *top = spot;
  for (; top->shown == NULL; top = top->parent)
    length += strlen(top->name) + 1;
  g_string_assign(path, top->shown);
  if (length == 0)
    return;
  if (g_str_equal(path->str, "/"))
    g_string_truncate(path, 0);
  g_string_set_size(path, path->len + length);
  char *at = path->str + path->len;
  for (const HfSpot *step = spot; step != top; step = step->parent) {
    gsize part = strlen(step->name);
    at -= part + 1;
    *at = '/';
    memcpy(at + 1, step->name, part);
  }
}

static void close_locked(HfSpots *spots, HfSpot *spot)
{
  if (hf_sys->close(spot->fd) < 0 && errno != EINTR)
    spot->errnum = errno;
  spot->fd = -1;
  spots->open--;
}

/* The target's own descriptor is never given up: everything is opened from there. */
static gboolean is_kept(const HfSpot *spot)
{
  return spot->parent == NULL;
}

static void trim_locked(HfSpots *spots)
{
  while (spots->open > spots->limit && spots->idle.length > 1) {
    GList *last = g_queue_pop_tail_link(&spots->idle);
    close_locked(spots, last->data);
  }
}

static void rest_locked(HfSpots *spots, HfSpot *spot)
{
  if (!is_kept(spot))
    g_queue_push_head_link(&spots->idle, &spot->link);
}

void hf_spot_take(HfSpots *spots, HfSpot *spot, int fd)
{
  g_mutex_lock(&spots->lock);
  spot->fd = fd;
  spot->pins = 1;
  spots->open++;
  trim_locked(spots);
  g_mutex_unlock(&spots->lock);
}

static gboolean reopen_locked(HfSpots *spots, HfSpot *spot, GError **error)
{
  int flags = O_NOFOLLOW | (spot->folder ? O_RDONLY | O_DIRECTORY : O_WRONLY);
  spot->fd = hf_open(spot->parent->fd, spot->name, flags, 0, error);
  if (spot->fd < 0)
    return FALSE;
  spots->open++;
  rest_locked(spots, spot);
  return TRUE;
}

/* Opens all that is closed on the way down to `spot`. The way may be long: trimming leaves the last step open. */
static gboolean reopen_all_locked(HfSpots *spots, HfSpot *spot, GError **error)
{
  g_autoptr(GPtrArray) way = g_ptr_array_new();
  for (HfSpot *at = spot; at->fd < 0; at = at->parent)
    g_ptr_array_add(way, at);
  for (guint i = way->len; i-- > 0; trim_locked(spots))
    if (!reopen_locked(spots, way->pdata[i], error))
      return FALSE;
  return TRUE;
}

int hf_spot_open(HfSpots *spots, HfSpot *spot, GError **error)
{
  g_mutex_lock(&spots->lock);
  gboolean good = spot->fd >= 0 || reopen_all_locked(spots, spot, error);
  if (good && spot->pins++ == 0 && !is_kept(spot))
    g_queue_unlink(&spots->idle, &spot->link);
  trim_locked(spots);
  int fd = good ? spot->fd : -1;
  g_mutex_unlock(&spots->lock);
  return fd;
}

void hf_spot_unpin(HfSpots *spots, HfSpot *spot)
{
  g_mutex_lock(&spots->lock);
  if (--spot->pins == 0)
    rest_locked(spots, spot);
  trim_locked(spots);
  g_mutex_unlock(&spots->lock);
}

int hf_spot_close(HfSpots *spots, HfSpot *spot)
{
  g_mutex_lock(&spots->lock);
  if (spot->fd >= 0) {
    if (!is_kept(spot))
      g_queue_unlink(&spots->idle, &spot->link);
    close_locked(spots, spot);
  }
  int errnum = spot->errnum;
  g_mutex_unlock(&spots->lock);
  return errnum;
}
