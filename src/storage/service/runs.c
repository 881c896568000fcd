/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Index runs as local files. "Is this blob stored?" is then answered without a round trip. A run never changes, and
 * each of its pages carries a check that the index verifies, so that a copy which rotted is noticed there.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/work.h"
#include "storage/service/private.h"

#define RUN_MAX (64u << 20)
#define KEPT_SECONDS (30 * 86400)

typedef struct Run {
  GMutex lock; /* held while it is fetched */
  int fd;      /* -1: not here */
  gboolean tried;
  gboolean noted;
  guint64 size; /* where `noted` */
} Run;

struct HfRunCache {
  char *folder; /* NULL: unnamed files */
  GMutex lock;
  GHashTable *runs; /* name to Run */
};

static void run_free(gpointer data)
{
  Run *run = data;
  if (run->fd >= 0)
    close(run->fd);
  g_mutex_clear(&run->lock);
  g_free(run);
}

/* Copies that nobody read for a month are of runs that were merged long ago. */
static void clean(const char *folder)
{
  g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
  const char *name;
  while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
    struct stat status;
    g_autofree char *path = g_build_filename(folder, name, NULL);
    if (stat(path, &status) == 0 && S_ISREG(status.st_mode) && status.st_mtime < time(NULL) - KEPT_SECONDS)
      unlink(path);
  }
}

HfRunCache *hf_run_cache_new(const char *folder)
{
  HfRunCache *cache = g_new0(HfRunCache, 1);
  g_mutex_init(&cache->lock);
  cache->runs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, run_free);
  cache->folder = g_strdup(folder);
  if (folder != NULL && g_mkdir_with_parents(folder, 0700) == 0)
    clean(folder);
  return cache;
}

void hf_run_cache_free(HfRunCache *cache)
{
  g_hash_table_unref(cache->runs);
  g_mutex_clear(&cache->lock);
  g_free(cache->folder);
  g_free(cache);
}

static Run *get_run(HfRunCache *cache, const char *name)
{
  HF_LOCK(&cache->lock);
  Run *run = g_hash_table_lookup(cache->runs, name);
  if (run != NULL)
    return run;
  run = g_new0(Run, 1);
  run->fd = -1;
  g_mutex_init(&run->lock);
  g_hash_table_insert(cache->runs, g_strdup(name), run);
  return run;
}

void hf_run_cache_note(HfRunCache *cache, const char *name, guint64 size)
{
  Run *run = get_run(cache, name);
  HF_LOCK(&run->lock);
  run->noted = TRUE;
  run->size = size;
}

gboolean hf_run_cache_size(HfRunCache *cache, const char *name, guint64 *size)
{
  if (!g_str_has_prefix(name, "index/"))
    return FALSE;
  Run *run = get_run(cache, name);
  HF_LOCK(&run->lock);
  *size = run->size;
  return run->noted;
}

static char *local_path(const HfRunCache *cache, const char *name)
{
  return cache->folder == NULL ? NULL : g_build_filename(cache->folder, strrchr(name, '/') + 1, NULL);
}

static int open_copy(const char *path, guint64 size)
{
  struct stat status;
  int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd >= 0 && (fstat(fd, &status) != 0 || (guint64)status.st_size != size)) {
    close(fd);
    return -1;
  }
  if (fd >= 0)
    futimens(fd, NULL);
  return fd;
}

static gboolean write_all(int fd, const guint8 *bytes, gsize length)
{
  while (length > 0) {
    gssize written = write(fd, bytes, length);
    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0)
      return FALSE;
    bytes += written;
    length -= (gsize)written;
  }
  return TRUE;
}

/* Into a file of another name first: a copy is whole or not there. Without a folder that can be written it lives in
 * memory's file system. -1: cannot be kept here; the caller does without. */
static int keep(const char *path, const guint8 *bytes, gsize length)
{
  g_autofree char *draft = path == NULL ? NULL : g_strdup_printf("%s.%d", path, (int)getpid());
  int fd = draft == NULL ? -1 : open(draft, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) {
    g_clear_pointer(&draft, g_free);
    fd = open(g_get_tmp_dir(), O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
  }
  if (fd < 0)
    return -1;
  gboolean kept = write_all(fd, bytes, length);
  if (draft != NULL && (!kept || rename(draft, path) != 0))
    unlink(draft);
  if (kept)
    return fd;
  close(fd);
  return -1;
}

static gboolean fetch(HfRunCache *cache, HfServiceStore *service, Run *run, const char *name, GError **error)
{
  guint64 size = run->size;
  g_autofree char *path = local_path(cache, name);
  g_auto(HfVaultName) request = { .name = g_strdup(name) };
  g_auto(HfVaultSize) reply = { 0 };
  if (!run->noted) {
    if (!hf_vault_call_size(hf_service_rpc(service), &request, &reply, -1, error))
      return FALSE;
    size = reply.size;
  }
  run->tried = TRUE;
  if (size > RUN_MAX)
    return TRUE;
  run->fd = open_copy(path, size);
  if (run->fd >= 0)
    return TRUE;
  g_autofree guint8 *bytes = g_try_malloc((gsize)MAX(size, 1));
  if (bytes == NULL)
    return TRUE;
  if (!hf_service_fetch(service, name, 0, bytes, (gsize)size, error))
    return FALSE;
  run->fd = keep(path, bytes, (gsize)size);
  return TRUE;
}

static gboolean read_copy(int fd, guint64 offset, guint8 *bytes, gsize length)
{
  while (length > 0) {
    gssize got = pread(fd, bytes, length, (off_t)offset);
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      return FALSE;
    bytes += got;
    length -= (gsize)got;
    offset += (guint64)got;
  }
  return TRUE;
}

gboolean hf_run_cache_read(HfRunCache *cache, HfServiceStore *service, const char *name, guint64 offset, void *bytes,
                           gsize length, gboolean *here, GError **error)
{
  Run *run = get_run(cache, name);
  g_mutex_lock(&run->lock);
  gboolean fetched = run->tried || fetch(cache, service, run, name, error);
  int fd = run->fd;
  g_mutex_unlock(&run->lock);
  *here = fd >= 0 && read_copy(fd, offset, bytes, length);
  return fetched;
}
