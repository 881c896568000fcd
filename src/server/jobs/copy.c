/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The run of a copy job: from each repository that holds what the job is about, what is missing goes to the job's own
 * repository, mover to mover. Both are siblings (they have one password in this server), so no key is needed on the
 * way.
 */
#include <string.h>

#include "base/error.h"
#include "server/jobs/run.h"
#include "storage/service/service.h"
#include "storage/service/terms.h"

#define COPY_STREAMS 4u

/* What is to be copied from one repository: ids of points. */
typedef struct Source {
  HfRepositoryRow *repository;
  GArray *points; /* of HfShortId */
} Source;

static void source_free(gpointer data)
{
  Source *source = data;
  hf_repository_free(source->repository);
  g_array_unref(source->points);
  g_free(source);
}

static gboolean holds(const GPtrArray *list, const char *id)
{
  for (guint i = 0; id != NULL && i < list->len; i++)
    if (g_str_equal(list->pdata[i], id))
      return TRUE;
  return FALSE;
}

/* ---- What to copy. ---- */

static Source *find_source(GPtrArray *sources, HfJobs *jobs, const char *repository_id, GError **error)
{
  for (guint i = 0; i < sources->len; i++)
    if (g_str_equal(((Source *)sources->pdata[i])->repository->id, repository_id))
      return sources->pdata[i];
  HfRepositoryRow *repository = hf_inv_repository_get(jobs->inv, repository_id, error);
  if (repository == NULL)
    return NULL;
  Source *source = g_new0(Source, 1);
  source->repository = repository;
  source->points = g_array_new(FALSE, FALSE, sizeof(HfShortId));
  g_ptr_array_add(sources, source);
  return source;
}

static gboolean add_backup(HfJobs *jobs, GPtrArray *sources, const char *backup_id, const char *repository_id,
                           GError **error)
{
  Source *source = find_source(sources, jobs, repository_id, error);
  g_autoptr(GPtrArray) points = source == NULL ? NULL : hf_inv_points_of(jobs->inv, backup_id, NULL, error);
  for (guint i = 0; points != NULL && i < points->len; i++) {
    HfShortId id;
    if (hf_unhex(((HfPointRow *)points->pdata[i])->point, id.b, sizeof id.b))
      g_array_append_val(source->points, id);
  }
  return points != NULL;
}

static GPtrArray *list_backups(HfJobs *jobs, GError **error)
{
  g_autoptr(GPtrArray) ids = g_ptr_array_new_with_free_func(g_free);
  g_autoptr(HfDbLink) link = hf_db_read(jobs->inv->db, error);
  g_autoptr(HfDbRows) rows =
    link == NULL ? NULL : hf_db_query(link, "SELECT id FROM backups ORDER BY created, id", HF_DB_NONE, error);
  while (rows != NULL && hf_db_next(rows, error))
    g_ptr_array_add(ids, g_strdup(hf_db_text(rows, 0)));
  return rows == NULL || hf_db_failed(rows) ? NULL : g_steal_pointer(&ids);
}

static GPtrArray *find_sources(HfJobs *jobs, const HfJobConfig *config, const HfRepositoryRow *target, GError **error)
{
  g_autoptr(GPtrArray) sources = g_ptr_array_new_with_free_func(source_free);
  g_autoptr(GPtrArray) ids = list_backups(jobs, error);
  for (guint i = 0; ids != NULL && i < ids->len; i++) {
    g_autoptr(HfBackupRow) backup = hf_inv_backup_get(jobs->inv, ids->pdata[i], error);
    if (backup == NULL)
      return NULL;
    gboolean wanted = holds(config->source_backups, backup->id) || holds(config->source_jobs, backup->job_id) ||
      holds(config->source_repositories, backup->repository_id);
    if (wanted && !g_str_equal(backup->repository_id, target->id) &&
        !add_backup(jobs, sources, backup->id, backup->repository_id, error))
      return NULL;
  }
  return ids == NULL ? NULL : g_steal_pointer(&sources);
}

/* ---- One source. ---- */

/* The target must know who signed what it is to take. */
static gboolean share_keys(HfJobs *jobs, const HfRepositoryRow *from, const HfRepositoryRow *to, GError **error)
{
  g_autoptr(HfJobsDoor) source = hf_jobs_door_store(jobs, from, HF_TICKET_KEYS, FALSE, error);
  g_autoptr(HfJobsDoor) target =
    source == NULL ? NULL : hf_jobs_door_store(jobs, to, HF_TICKET_KEYS, FALSE, error);
  return target != NULL && hf_keyring_clone(source->store, target->store, error);
}

static gboolean give_order(HfJobsRun *run, const Source *source, const HfRepositoryRow *target, const char *task_id,
                           HfJobsWay ways[2], GError **error)
{
  HfJobs *jobs = run->jobs;
  HfJobLink links[1 + COPY_STREAMS];
  g_auto(HfWorkCopy) order = { 0 };
  const char *mover = source->repository->host_id;
  hf_jobs_describe(jobs, source->repository, 0, 1, &order.from);
  hf_jobs_describe(jobs, target, 1, COPY_STREAMS, &order.to);
  order.rate = hf_jobs_limit(jobs, task_id, mover, target, FALSE);
  for (guint i = 0; i < source->points->len; i++)
    hf_work_copy_add_points(&order, &g_array_index(source->points, HfShortId, i));
  g_autoptr(GBytes) encoded = hf_work_copy_encode(&order, error);
  g_autoptr(GBytes) secret = g_bytes_new(NULL, 0);
  if (encoded == NULL || !share_keys(jobs, source->repository, target, error) ||
      !hf_jobs_way_open(jobs, &ways[0], source->repository, mover, HF_TICKET_READ, NULL, 1, 0, FALSE, error) ||
      !hf_jobs_way_open(jobs, &ways[1], target, mover, HF_TICKET_READ | HF_TICKET_COPY, NULL, COPY_STREAMS, 0, FALSE,
                        error))
    return FALSE;
  hf_jobs_way_links(&ways[0], "backup-repository", links);
  hf_jobs_way_links(&ways[1], "backup-repository", links + 1);
  return jobs->parts.hosts.order(jobs->parts.hosts.user, mover, task_id, "copy", encoded, secret, links,
                                 G_N_ELEMENTS(links), error);
}

static gboolean end_task(HfJobsRun *run, const HfTaskRow *row, const HfJobsResult *result, GError **error)
{
  g_auto(HfWorkCopyDone) done = { 0 };
  if (result->why != NULL) {
    g_propagate_error(error, g_error_copy(result->why));
    return FALSE;
  }
  if (!hf_work_copy_done_decode(result->bytes, &done, error))
    return FALSE;
  const HfWorkFigures *measured = &done.figures;
  HfTaskFigures figures = { .duration_us = hf_db_now() - row->created, .total_bytes = (gint64)done.bytes,
                            .processed_bytes = (gint64)done.bytes, .read_bytes = (gint64)done.bytes,
                            .transferred_bytes = (gint64)MAX(result->wire_sent, measured->sent),
                            .busy_source_us = (gint64)measured->source, .busy_proxy_us = (gint64)measured->proxy,
                            .busy_network_us = (gint64)measured->network,
                            .busy_target_us = (gint64)measured->target,
                            .busy_throttle_us = (gint64)measured->throttle };
  g_autofree char *line = g_strdup_printf("%" G_GUINT64_FORMAT " points copied, %" G_GUINT64_FORMAT
                                          " were there already", done.points, done.there);
  hf_inv_log(run->jobs->inv, row->id, HF_LINE_SUCCEEDED, line, NULL, NULL, NULL);
  return hf_inv_task_finish(run->jobs->inv, row->id, HF_RESULT_SUCCESS, "", "Increment", NULL, &figures, error);
}

static gboolean copy_from(HfJobsRun *run, const Source *source, const HfRepositoryRow *target, GError **error)
{
  HfJobs *jobs = run->jobs;
  g_autoptr(HfTaskRow) row = g_new0(HfTaskRow, 1);
  row->session_id = g_strdup(run->session);
  row->type = g_strdup("Backup");
  row->name = g_strdup(source->repository->name);
  row->host_id = g_strdup(source->repository->host_id);
  row->repository_id = g_strdup(target->id);
  if (!hf_inv_task_create(jobs->inv, row, error))
    return FALSE;
  hf_inv_task_state(jobs->inv, row->id, HF_STATE_WORKING, NULL);
  HfJobsWay ways[2] = { { 0 }, { 0 } };
  HfJobsTask *waiting = hf_jobs_task_new(jobs, row->id, source->repository->host_id);
  g_autoptr(GError) why = NULL;
  const HfJobsResult *result = give_order(run, source, target, row->id, ways, &why)
    ? hf_jobs_task_wait(run, waiting, &why)
    : NULL;
  gboolean good = result != NULL && end_task(run, row, result, &why);
  hf_jobs_task_free(jobs, waiting);
  hf_jobs_way_close(&ways[0]);
  hf_jobs_way_close(&ways[1]);
  if (!good && !hf_run_ending(run)) {
    hf_inv_task_finish(jobs->inv, row->id, HF_RESULT_FAILED, why->message, NULL, NULL, NULL, NULL);
    hf_run_log(run, HF_LINE_FAILED, "%s: %s", source->repository->name, why->message);
  }
  return TRUE;
}

/* ---- The run. ---- */

/* A copy's rules are for the copies: all points of the sources' jobs that stand in the target. */
static gboolean wrap_up(HfJobsRun *run, const HfJobConfig *config, const HfRepositoryRow *target, const char **result,
                        GError **error)
{
  guint points;
  if (!hf_jobs_rescan(run->jobs, target, &points, error))
    return FALSE;
  g_autoptr(HfJobsDoor) door =
    hf_jobs_door_open(run->jobs, target, HF_TICKET_READ | HF_TICKET_KEEP, NULL, &run->cancel, error);
  g_autoptr(GPtrArray) infos = door == NULL ? NULL : hf_points_load(door->repo, NULL, error);
  if (infos == NULL)
    return FALSE;
  for (guint i = 0; i < config->source_jobs->len; i++) {
    g_autoptr(GError) why = NULL;
    if (hf_jobs_retain(run, door, target, config, infos, config->source_jobs->pdata[i], &why))
      continue;
    hf_run_log(run, HF_LINE_WARNING, "Retention: %s", why->message);
    *result = HF_RESULT_WARNING;
  }
  return TRUE;
}

gboolean hf_jobs_run_copy(HfJobsRun *run, gpointer data, const char **result, GError **error)
{
  const HfJobConfig *config = data;
  g_autoptr(HfJobRow) job = hf_inv_job_get(run->jobs->inv, run->job, error);
  if (job == NULL)
    return FALSE;
  if (job->repository_id == NULL)
    return hf_fail(error, HF_ERROR_USAGE, "job '%s' has no repository", job->name);
  g_autoptr(HfRepositoryRow) target = hf_inv_repository_get(run->jobs->inv, job->repository_id, error);
  g_autoptr(GPtrArray) sources =
    target == NULL ? NULL : find_sources(run->jobs, config, target, error);
  if (sources == NULL)
    return FALSE;
  hf_inv_job_status(run->jobs->inv, run->job, HF_JOB_RUNNING, NULL);
  for (guint i = 0; i < sources->len; i++) {
    const Source *source = sources->pdata[i];
    if (hf_run_stop(run) != HF_JOBS_GO_ON)
      return hf_fail(error, HF_ERROR_CANCELLED, "stopped");
    if (!g_str_equal(source->repository->fingerprint, target->fingerprint))
      return hf_fail(error, HF_ERROR_UNSUPPORTED,
                     "repository '%s' has another password than '%s': points can be copied between repositories that "
                     "were made with the same encryption password", source->repository->name, target->name);
    if (!copy_from(run, source, target, error))
      return FALSE;
    if (hf_run_ending(run))
      return TRUE;
  }
  return wrap_up(run, config, target, result, error);
}
