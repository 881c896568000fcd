/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A point of a repository at a distance onto this host. */
#include "agent/tasks/far.h"
#include "agent/tasks/tasks.h"
#include "base/error.h"
#include "engine/restore/restore.h"

#define PATHS_TOLD 100u /* of each kind */

static HfPointInfo *find_point(GPtrArray *points, const HfShortId *id, const char *location, GError **error)
{
  for (guint i = 0; points != NULL && i < points->len; i++) {
    HfPointInfo *info = points->pdata[i];
    if (hf_short_id_equal(&info->point.id, id))
      return info;
  }
  if (points != NULL)
    hf_fail(error, HF_ERROR_NOT_FOUND, "the point is not in '%s' any more; rescan the repository", location);
  return NULL;
}

static gboolean restore(const HfWorkRestore *task, HfRepo *repo, const HfPointInfo *info, HfRestoreResult *result,
                        GError **error)
{
  if (task->disk) {
    HfRestoreDiskOptions options = { .target = task->target, .overwrite = task->overwrite,
                                     .path = task->n_paths > 0 ? task->paths[0] : NULL };
    return hf_restore_disk(repo, info, &options, result, error);
  }
  gboolean in_place = *task->target == '\0';
  if (in_place && !task->overwrite && !task->keep)
    return hf_fail(error, HF_ERROR_REFUSED,
                   "to the original places means to replace what is there, or to restore beside it: allow one of them, "
                   "or name a folder");
  g_autoptr(GPtrArray) paths = g_ptr_array_new();
  for (guint i = 0; i < task->n_paths; i++)
    g_ptr_array_add(paths, task->paths[i]);
  /* The original places are a target that is never empty: what is there is replaced only when that was asked for. */
  HfRestoreOptions options = { .target = in_place ? "/" : task->target, .paths = paths,
                               .overwrite = task->overwrite, .keep = task->keep, .full_path = in_place };
  return hf_restore(repo, info, &options, result, error);
}

static gboolean finish(const HfFar *far, const HfRestoreResult *result, GByteArray *out, GError **error)
{
  g_auto(HfWorkRestoreDone) done = {
    .files = result->files, .directories = result->directories, .bytes = result->bytes,
    .warnings = result->warnings, .damaged = result->damaged, .failed = result->failed,
  };
  for (guint i = 0; result->missing != NULL && i < MIN(result->missing->len, PATHS_TOLD); i++) {
    g_autofree char *shown = g_utf8_make_valid(result->missing->pdata[i], -1);
    hf_work_restore_done_add_missing(&done, shown);
  }
  for (guint i = 0; result->beside != NULL && i < MIN(result->beside->len, PATHS_TOLD); i++) {
    g_autofree char *shown = g_utf8_make_valid(result->beside->pdata[i], -1);
    hf_work_restore_done_add_beside(&done, shown);
  }
  hf_far_figures(far, &done.figures);
  return hf_far_result(hf_work_restore_done_encode(&done, error), out);
}

static gboolean run(HfWorker *worker, GByteArray *out, GError **error)
{
  HfView view = hf_worker_task(worker);
  g_auto(HfWorkRestore) task = { 0 };
  g_auto(HfWorkKey) key = { 0 };
  g_auto(HfRestoreResult) result = { 0 };
  if (!hf_work_restore_decode_bytes(view.data, view.length, &task, error) || !hf_far_key(worker, &key, error))
    return FALSE;
  g_autoptr(HfFar) far =
    hf_far_open(worker, &task.repository, &key, hf_worker_throttle(worker, task.rate), error);
  g_autoptr(GPtrArray) points = NULL;
  if (far == NULL)
    return FALSE;
  hf_far_tell(far, NULL);
  points = hf_points_load(far->repo, NULL, error);
  const HfPointInfo *info = find_point(points, &task.point, task.repository.location, error);
  gboolean good = info != NULL && restore(&task, far->repo, info, &result, error);
  return finish(far, &result, out, good ? error : NULL) && good;
}

const HfTaskKind hf_task_restore = { "restore", run };
