/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Points of one repository into another, mover to mover: into its sibling frame by frame and without any key; into one
 * with other keys those of one host, read with a pass and written with that host's credential. */
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
                                  .bytes = result->bytes + result->new_bytes };
  hf_far_figures(from, &done.figures);
  hf_far_figures(to, &done.figures);
  return hf_far_result(hf_work_copy_done_encode(&done, error), out);
}

/* Both NULL between siblings; `keys` holds the texts. */
static gboolean read_keys(HfWorker *worker, HfWorkCopyKeys *keys, HfWorkKey *from, HfWorkKey *to, GError **error)
{
  HfView secret = hf_worker_secret(worker);
  if (secret.length > 0 && !hf_work_copy_keys_decode_bytes(secret.data, secret.length, keys, error))
    return FALSE;
  from->text = keys->from;
  to->text = keys->to;
  return TRUE;
}

static gboolean run(HfWorker *worker, GByteArray *out, GError **error)
{
  HfView view = hf_worker_task(worker);
  g_auto(HfWorkCopy) task = { 0 };
  g_auto(HfWorkCopyKeys) keys = { 0 };
  HfWorkKey from_key = { 0 }, to_key = { 0 }; /* borrow their texts */
  HfCopyResult result = { 0 };
  if (!hf_work_copy_decode_bytes(view.data, view.length, &task, error) ||
      !read_keys(worker, &keys, &from_key, &to_key, error))
    return FALSE;
  g_autoptr(HfFar) from = hf_far_open(worker, &task.from, from_key.text != NULL ? &from_key : NULL, NULL, error);
  HfThrottle *throttle = hf_worker_throttle(worker, task.rate);
  g_autoptr(HfFar) to =
    from == NULL ? NULL : hf_far_open(worker, &task.to, to_key.text != NULL ? &to_key : NULL, throttle, error);
  if (to == NULL)
    return FALSE;
  hf_far_tell(from, to);
  g_autoptr(GPtrArray) points = hf_points_load(from->repo, NULL, error);
  g_autoptr(GPtrArray) chosen = points == NULL ? NULL : choose(&task, points);
  return chosen != NULL && hf_copy(from->repo, to->repo, chosen, &result, error) &&
    finish(from, to, &result, out, error);
}

const HfTaskKind hf_task_copy = { "copy", run };
