/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "engine/restore/restore.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "base/sys.h"
#include "engine/restore/plan.h"
#include "engine/restore/running.h"

/* ---- The target. ---- */

/* Also empty is what a file system has of itself. */
static gboolean is_entry(const char *name)
{
  return strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && strcmp(name, "lost+found") != 0;
}

static gboolean check_empty(int fd, const char *path, GError **error)
{
  char buffer[4096];
  gssize got;
  while ((got = HF_AGAIN(hf_sys->getdents64(fd, buffer, sizeof buffer))) > 0)
    for (char *at = buffer; at < buffer + got;) {
      const struct dirent64 *entry = (const struct dirent64 *)(void *)at;
      at += entry->d_reclen;
      if (is_entry(entry->d_name))
        return hf_fail(error, HF_ERROR_REFUSED,
                       "'%s' is not empty; restore into another folder, or use --overwrite", path);
    }
  return got == 0 || hf_fail_errno(error, errno, "cannot read '%s'", path);
}

/* Must the target be empty? To keep what is there is to restore beside it, which the target itself cannot be. */
static gboolean wants_empty(const HfRestoreOptions *options, const GPtrArray *selections)
{
  for (guint i = 0; options->keep && i < selections->len; i++)
    if (*((const HfSelection *)selections->pdata[i])->target == '\0')
      return TRUE;
  return !options->overwrite && !options->keep;
}

static gboolean open_target(HfRestoreState *state, const HfRestoreOptions *options, const GPtrArray *selections,
                            GError **error)
{
  const char *path = options->target;
  if (HF_AGAIN(hf_sys->mkdirat(AT_FDCWD, path, 0777)) < 0 && errno != EEXIST)
    return hf_fail_errno(error, errno, "cannot make the folder '%s'", path);
  hf_autofd int fd = hf_open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0, error);
  if (fd < 0 || (wants_empty(options, selections) && !check_empty(fd, path, error)))
    return FALSE;
  if (state->overwrite == HF_OVERWRITE_REPLACE)
    hf_target_clear(fd);
  state->target = hf_folder_new(NULL, path, NULL, "");
  hf_spot_take(&state->spots, &state->target->spot, hf_steal_fd(&fd));
  return TRUE;
}

static gboolean sync_target(HfRestoreState *state, const char *path, GError **error)
{
  if (HF_AGAIN(hf_sys->syncfs(state->target->spot.fd)) == 0)
    return TRUE;
  return hf_fail_errno(error, errno, "cannot make what was restored into '%s' durable", path);
}

/* ---- All of it. ---- */

static gboolean plan_all(HfRestoreWorker *walker, const GPtrArray *selections, GError **error)
{
  g_autoptr(GHashTable) parents = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  GHashTableIter at;
  gpointer folder;
  gboolean good = TRUE;
  for (guint i = 0; good && i < selections->len; i++)
    good = hf_plan(walker, selections->pdata[i], parents, error) && hf_restore_is_alive(walker, error);
  good = good && hf_window_finish(walker, error);
  if (!good)
    hf_running_stop(walker->state, walker, error);
  g_hash_table_iter_init(&at, parents);
  while (g_hash_table_iter_next(&at, NULL, &folder))
    hf_folder_release(walker, folder);
  return good;
}

static gboolean restore_all(HfRestoreWorker *walker, const GPtrArray *selections, const HfRestoreOptions *options,
                            GError **error)
{
  HfRestoreState *state = walker->state;
  hf_links_init(&state->links);
  hf_running_start(state);
  gboolean good = plan_all(walker, selections, error);
  hf_links_end(walker);
  good = good && sync_target(state, options->target, error);
  hf_folder_release(walker, state->target); /* the last one: its own metadata, and its descriptor */
  hf_links_clear(&state->links);
  return good;
}

static gboolean restore_into(HfRestoreState *state, const HfPointInfo *point, const HfRestoreOptions *options,
                             GError **error)
{
  g_autoptr(HfRestoreWorker) walker = hf_restore_worker_new(state, error);
  if (walker == NULL)
    return FALSE;
  state->tree = hf_tree_open(walker->browser, &point->point, error);
  if (state->tree == NULL)
    return FALSE;
  g_autoptr(GPtrArray) selections = hf_select(walker->browser, state->tree, options, error);
  if (selections == NULL || !open_target(state, options, selections, error))
    return FALSE;
  gboolean all = options->paths == NULL || options->paths->len == 0;
  if (all && point->details != NULL)
    hf_report_total(state->report, point->details->files, point->details->bytes);
  return restore_all(walker, selections, options, error);
}

gboolean hf_restore(HfRepo *repo, const HfPointInfo *point, const HfRestoreOptions *options, HfRestoreResult *result,
                    GError **error)
{
  HfRestoreState state;
  if (!hf_running_open(&state, repo, &point->point, result, error))
    return FALSE;
  state.keep = options->keep;
  state.overwrite = options->overwrite ? HF_OVERWRITE_REPLACE : HF_OVERWRITE_REFUSE;
  g_autoptr(GError) problem = NULL;
  gboolean good = restore_into(&state, point, options, &problem);
  hf_running_close(&state);
  if (good)
    return TRUE;
  if (hf_error_is(problem, HF_ERROR_CANCELLED))
    return hf_fail(error, HF_ERROR_CANCELLED,
                   "cancelled; %" G_GUINT64_FORMAT
                   " files were restored and stay in '%s', folders may lack their metadata",
                   result->files, options->target);
  g_propagate_error(error, g_steal_pointer(&problem));
  return FALSE;
}
