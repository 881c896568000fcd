/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Points of one repository into its sibling, mover to mover, frame by frame and without any key. */
#include "agent/tasks/far.h"
#include "agent/tasks/tasks.h"
#include "base/error.h"
#include "engine/copy/copy.h"

static gboolean is_wanted(const HfWorkCopy *task, const HfShortId *id)
{
  for (guint i = 0; i < task->n_points; i++)
    if (hf_short_id_equal(&task->points[i], id))
      return TRUE;
  return task->n_points == 0;
}

/* What nobody known has signed is not spread. */
static GPtrArray *choose(const HfWorkCopy *task, const GPtrArray *points)
{
  GPtrArray *chosen = g_ptr_array_new();
  for (guint i = 0; i < points->len; i++) {
    HfPointInfo *info = points->pdata[i];
    if (info->known_signer && is_wanted(task, &info->point.id))
      g_ptr_array_add(chosen, info);
  }
  return chosen;
}

static gboolean finish(const HfFar *from, const HfFar *to, const HfCopyResult *result, GByteArray *out, GError **error)
{
  g_auto(HfWorkCopyDone) done = { .points = result->points, .there = result->points_there, .frames = result->frames,
                                  .bytes = result->bytes };
  hf_far_figures(from, &done.figures);
  hf_far_figures(to, &done.figures);
  return hf_far_result(hf_work_copy_done_encode(&done, error), out);
}

static gboolean run(HfWorker *worker, GByteArray *out, GError **error)
{
  HfView view = hf_worker_task(worker);
  g_auto(HfWorkCopy) task = { 0 };
  HfCopyResult result = { 0 };
  if (!hf_work_copy_decode_bytes(view.data, view.length, &task, error))
    return FALSE;
  g_autoptr(HfFar) from = hf_far_open(worker, &task.from, NULL, NULL, error);
  HfThrottle *throttle = hf_worker_throttle(worker, task.rate);
  g_autoptr(HfFar) to = from == NULL ? NULL : hf_far_open(worker, &task.to, NULL, throttle, error);
  if (to == NULL || !hf_repo_load_index(from->repo, error) || !hf_repo_load_index(to->repo, error))
    return FALSE;
  g_autoptr(GPtrArray) points = hf_points_load(from->repo, NULL, error);
  g_autoptr(GPtrArray) chosen = points == NULL ? NULL : choose(&task, points);
  return chosen != NULL && hf_copy(from->repo, to->repo, chosen, &result, error) &&
    finish(from, to, &result, out, error);
}

const HfTaskKind hf_task_copy = { "copy", run };
