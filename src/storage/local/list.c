/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Listing a folder: one folder open at a time, those still to come kept as names. */
#include <dirent.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/sys.h"
#include "storage/local/internal.h"

#define ENTRY_BYTES (32 * 1024)
#define STALE_AFTER_NS (G_GINT64_CONSTANT(24) * 3600 * 1000000000)

typedef struct Walk {
  HfStore *store;
  HfStoreListFunc func;
  gpointer user;
  GQueue folders; /* paths still to be listed, owned; "" or with a '/' at the end */
  guint64 *entries;
} Walk;

/* What a killed writer left. A failure is nobody's concern: the next listing tries again. */
static void clean_temporary(int folder, const char *name)
{
  struct stat status;
  if (HF_AGAIN(hf_sys->fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW)) == 0 && S_ISREG(status.st_mode) &&
      (gint64)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec < hf_clock_real_ns() - STALE_AFTER_NS)
    HF_AGAIN(hf_sys->unlinkat(folder, name, 0));
}

static gboolean visit(Walk *walk, int folder, const char *path, const struct dirent64 *entry, GError **error)
{
  const char *leaf = entry->d_name;
  if (g_str_has_prefix(leaf, HF_LOCAL_TEMPORARY))
    clean_temporary(folder, leaf);
  g_autofree char *name = g_strconcat(path, leaf, NULL);
  if (!hf_store_name_valid(name))
    return TRUE;
  if (entry->d_type == DT_DIR) {
    g_queue_push_tail(&walk->folders, g_strconcat(name, "/", NULL));
    return TRUE;
  }
  if (entry->d_type != DT_REG && entry->d_type != DT_UNKNOWN)
    return TRUE;
  struct stat status;
  if (HF_AGAIN(hf_sys->fstatat(folder, leaf, &status, AT_SYMLINK_NOFOLLOW)) < 0)
    return errno == ENOENT || hf_fail_errno(error, errno, "cannot list '%s' in '%s'", name, walk->store->location);
  if (S_ISDIR(status.st_mode))
    g_queue_push_tail(&walk->folders, g_strconcat(name, "/", NULL));
  return !S_ISREG(status.st_mode) || walk->func(name, (guint64)status.st_size, walk->user, error);
}

static gboolean list_open_folder(Walk *walk, int folder, const char *path, GError **error)
{
  while (TRUE) {
    ssize_t length = HF_AGAIN(hf_sys->getdents64(folder, walk->entries, ENTRY_BYTES));
    if (length == 0 || (length < 0 && errno == ENOENT)) /* ENOENT: the folder was removed meanwhile */
      return TRUE;
    if (length < 0)
      return hf_fail_errno(error, errno, "cannot list '%s' in '%s'", path, walk->store->location);
    const guint8 *bytes = (const guint8 *)walk->entries;
    for (ssize_t at = 0; at < length;) {
      const struct dirent64 *entry = (const struct dirent64 *)(const void *)(bytes + at);
      if (!visit(walk, folder, path, entry, error))
        return FALSE;
      at += entry->d_reclen;
    }
  }
}

static gboolean list_folder(Walk *walk, const char *path, GError **error)
{
  HfLocal *local = (HfLocal *)walk->store;
  const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  hf_autofd int folder = HF_AGAIN(hf_sys->openat(local->root->fd, *path == '\0' ? "." : path, flags, 0));
  if (folder >= 0)
    return list_open_folder(walk, folder, path, error);
  return errno == ENOENT || errno == ENOTDIR ||
         hf_fail_errno(error, errno, "cannot list '%s' in '%s'", path, walk->store->location);
}

gboolean hf_local_list(HfStore *store, const char *prefix, HfStoreListFunc func, gpointer user, GError **error)
{
  Walk walk = { .store = store, .func = func, .user = user, .folders = G_QUEUE_INIT };
  g_autofree guint64 *entries = g_malloc(ENTRY_BYTES);
  walk.entries = entries;
  g_queue_push_tail(&walk.folders, g_strdup(prefix));
  gboolean listed = TRUE;
  while (listed && walk.folders.length > 0) {
    g_autofree char *path = g_queue_pop_head(&walk.folders);
    listed = list_folder(&walk, path, error);
  }
  g_queue_clear_full(&walk.folders, g_free);
  return listed;
}
