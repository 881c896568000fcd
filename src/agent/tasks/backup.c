/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files and disks of this host into a repository at a distance. */
#include "agent/tasks/far.h"
#include "agent/tasks/still.h"
#include "agent/tasks/tasks.h"
#include "base/error.h"
#include "engine/backup/backup.h"

static HfExclude *make_exclude(const HfWorkBackup *task, GError **error)
{
  HfExclude *exclude = hf_exclude_new();
  for (guint i = 0; i < task->n_excludes; i++)
    if (!hf_exclude_add(exclude, task->excludes[i], error)) {
      hf_exclude_free(exclude);
      return NULL;
    }
  return exclude;
}

static GPtrArray *texts(char **list, guint count)
{
  GPtrArray *array = g_ptr_array_new();
  for (guint i = 0; i < count; i++)
    g_ptr_array_add(array, list[i]);
  return array;
}

static gboolean finish(const HfFar *far, const HfBackupResult *result, const HfShortId *source, GByteArray *out,
                       GError **error)
{
  g_auto(HfWorkBackupDone) done = {
    .point = result->point, .source = *source, .files = result->files, .directories = result->directories,
    .bytes = result->bytes, .unchanged = result->files_unchanged, .new_bytes = result->new_bytes,
    .stored_bytes = result->stored_bytes, .parity_bytes = result->parity_bytes, .warnings = result->warnings,
    .resumed = result->resumed, .first = result->first,
  };
  hf_far_figures(far, &done.figures);
  return hf_far_result(hf_work_backup_done_encode(&done, error), out);
}

static gboolean back_up(HfWorker *worker, const HfWorkBackup *task, const HfFar *far, HfBackupResult *result,
                        GError **error)
{
  g_autoptr(HfExclude) exclude = make_exclude(task, error);
  g_autoptr(GPtrArray) paths = texts(task->paths, task->n_paths);
  g_autoptr(GPtrArray) tags = texts(task->tags, task->n_tags);
  g_autoptr(GPtrArray) allow_empty = texts(task->allow_empty, task->n_allow_empty);
  if (exclude == NULL)
    return FALSE;
  g_autoptr(HfStill) still = hf_still_begin(worker, task, error);
  if (still == NULL)
    return FALSE;
  HfBackupOptions options = {
    .name = task->name, .tags = tags, .paths = paths, .places = hf_still_places(still),
    .disks = task->disks, .live = task->live, .hold = hf_still_hold(still),
    .exclude = exclude, .one_file_system = task->one_file_system, .rescan = task->rescan,
    .allow_empty = allow_empty, .codec = -1, .checkpoint_seconds = task->checkpoint_seconds,
  };
  const gboolean good = hf_backup(far->repo, &options, result, error);
  /* Those of holding it still come last. */
  result->warnings = hf_report_warnings(hf_worker_report(worker));
  return good;
}

static gboolean run(HfWorker *worker, GByteArray *result, GError **error)
{
  HfView view = hf_worker_task(worker);
  g_auto(HfWorkBackup) task = { 0 };
  g_auto(HfWorkKey) key = { 0 };
  HfBackupResult backup = { 0 };
  if (!hf_work_backup_decode_bytes(view.data, view.length, &task, error) || !hf_far_key(worker, &key, error) ||
      (task.n_before + task.n_after > 0 && !hf_worker_scripts(worker, error)))
    return FALSE;
  g_autoptr(HfFar) far =
    hf_far_open(worker, &task.repository, &key, hf_worker_throttle(worker, task.rate), error);
  if (far == NULL)
    return FALSE;
  hf_far_tell(far, NULL);
  return back_up(worker, &task, far, &backup, error) &&
    finish(far, &backup, &backup.source, result, error);
}

const HfTaskKind hf_task_backup = { "backup", run };
