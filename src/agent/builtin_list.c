/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <dirent.h>
#include <string.h>

#include "agent/builtin.h"
#include "base/error.h"
#include "base/sys.h"
#include "net/messages/installer.h"

#define MOST 1000u
#define SLACK 4096u

static int compare(gconstpointer a, gconstpointer b)
{
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Keeps the `most` + 1 lowest: of a folder of any size little is in memory. */
static void trim(GPtrArray *names, guint most)
{
  g_ptr_array_sort(names, compare);
  if (names->len > most + 1)
    g_ptr_array_set_size(names, (int)most + 1);
}

static GPtrArray *read_names(const char *path, const char *after, guint most, HfCancel *cancel, GError **error)
{
  DIR *dir = opendir(path);
  if (dir == NULL) {
    hf_fail_errno(error, errno, "cannot read folder '%s'", path);
    return NULL;
  }
  g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
  gboolean stopped = FALSE;
  errno = 0;
  for (struct dirent *entry = readdir(dir); entry != NULL && !stopped; errno = 0, entry = readdir(dir)) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 || strcmp(entry->d_name, after) <= 0)
      continue;
    g_ptr_array_add(names, g_strdup(entry->d_name));
    if (names->len > most + SLACK)
      trim(names, most);
    stopped = hf_cancelled(cancel, error);
  }
  gboolean whole = errno == 0 || hf_fail_errno(stopped ? NULL : error, errno, "cannot read folder '%s'", path);
  closedir(dir);
  trim(names, most);
  return stopped || !whole ? NULL : g_steal_pointer(&names);
}

static void add_entry(HfInstallerList *list, int folder, const char *name)
{
  struct stat status;
  if (hf_sys->fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
    return;
  HfInstallerEntry *entry = hf_installer_list_add_entries(list);
  entry->name = g_bytes_new(name, strlen(name));
  entry->mode = status.st_mode;
  entry->size = (guint64)status.st_size;
  entry->modified = (gint64)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec;
  entry->uid = status.st_uid;
  entry->gid = status.st_gid;
}

static char *as_path(GBytes *bytes)
{
  return g_strndup(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
}

static gboolean list_folder(const HfInstallerListTask *task, HfCancel *cancel, HfInstallerList *list, GError **error)
{
  g_autofree char *path = as_path(task->path), *after = as_path(task->after);
  if (*path != '/')
    return hf_fail(error, HF_ERROR_USAGE, "'%s' is no absolute path", path);
  guint most = CLAMP(task->most, 1, MOST);
  g_autoptr(GPtrArray) names = read_names(path, after, most, cancel, error);
  hf_autofd int folder = names != NULL ? hf_open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0, error) : -1;
  if (folder < 0)
    return FALSE;
  for (guint i = 0; i < MIN(names->len, most); i++)
    add_entry(list, folder, names->pdata[i]);
  list->more = names->len > most;
  return TRUE;
}

static gboolean run_list(HfWorker *worker, GByteArray *result, GError **error)
{
  HfView view = hf_worker_task(worker);
  g_auto(HfInstallerListTask) task = { 0 };
  g_auto(HfInstallerList) list = { 0 };
  if (!hf_installer_list_task_decode_bytes(view.data, view.length, &task, error) ||
      !list_folder(&task, hf_worker_cancel(worker), &list, error))
    return FALSE;
  g_autoptr(GBytes) encoded = hf_installer_list_encode(&list, error);
  if (encoded == NULL)
    return FALSE;
  g_byte_array_append(result, g_bytes_get_data(encoded, NULL), (guint)g_bytes_get_size(encoded));
  return TRUE;
}

const HfTaskKind hf_task_list = { "list", run_list };
