/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The run of a copy job: from each repository that holds what the job is about, what is missing goes to the job's own
 * repository, mover to mover. Between siblings (they were made with one password of this server) no key is needed on
 * the way. Else the points of each host are a task of their own, and the mover gets a pass for what that host has there
 * and the credential of the same host here: what it can open is what it copies.
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
  char *host_id;  /* all are of this one, and in `domain`; NULL: into a sibling, of any */
  guint32 domain;
  GArray *points; /* of HfShortId */
} Source;

static void source_free(gpointer data)
{
  Source *source = data;
  hf_repository_free(source->repository);
  g_free(source->host_id);
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

static Source *find_source(HfJobs *jobs, GPtrArray *sources, const char *repository_id, const char *host_id,
                           guint32 domain, GError **error)
{
  for (guint i = 0; i < sources->len; i++) {
    Source *source = sources->pdata[i];
    if (g_str_equal(source->repository->id, repository_id) && g_strcmp0(source->host_id, host_id) == 0 &&
        source->domain == domain)
      return source;
  }
  HfRepositoryRow *repository = hf_inv_repository_get(jobs->inv, repository_id, error);
  if (repository == NULL)
    return NULL;
  Source *source = g_new0(Source, 1);
  source->repository = repository;
  source->host_id = g_strdup(host_id);
  source->domain = domain;
  source->points = g_array_new(FALSE, FALSE, sizeof(HfShortId));
  g_ptr_array_add(sources, source);
  return source;
}

/* Whose point it is, by its writer or else by its object; NULL when that host is not managed (any more). */
static char *find_host(HfJobs *jobs, const HfPointRow *point, const GPtrArray *writers, guint32 *domain)
{
  for (guint i = 0; i < writers->len; i++) {
    const HfWriterRow *row = writers->pdata[i];
    if (g_str_equal(row->writer, point->writer)) {
      *domain = (guint32)g_ascii_strtoull(row->domain, NULL, 10);
      return g_strdup(row->host_id);
    }
  }
  g_autoptr(HfObjectRow) object = hf_inv_object_get(jobs->inv, point->object_id, NULL);
  g_autoptr(HfRepositoryRow) repository = hf_inv_repository_get(jobs->inv, point->repository_id, NULL);
  if (object == NULL || repository == NULL || !hf_jobs_point_domain(jobs, repository, point->point, domain, NULL))
    return NULL;
  return g_strdup(object->host_id);
}

/* *left counts points that cannot be copied. */
static gboolean add_backup(HfJobs *jobs, GPtrArray *sources, const HfBackupRow *backup, const HfRepositoryRow *target,
                           guint *left, GError **error)
{
  g_autoptr(HfRepositoryRow) repository = hf_inv_repository_get(jobs->inv, backup->repository_id, error);
  g_autoptr(GPtrArray) writers = repository == NULL ? NULL : hf_inv_writers_of(jobs->inv, repository->id, error);
  g_autoptr(GPtrArray) points = writers == NULL ? NULL : hf_inv_points_of(jobs->inv, backup->id, NULL, error);
  gboolean siblings = repository != NULL && g_str_equal(repository->fingerprint, target->fingerprint);
  for (guint i = 0; points != NULL && i < points->len; i++) {
    const HfPointRow *point = points->pdata[i];
    HfShortId id;
    guint32 domain = 0;
    g_autofree char *host = siblings ? NULL : find_host(jobs, point, writers, &domain);
    if ((!siblings && host == NULL) || !hf_unhex(point->point, id.b, sizeof id.b)) {
      (*left)++;
      continue;
    }
    Source *source = find_source(jobs, sources, repository->id, host, domain, error);
    if (source == NULL)
      return FALSE;
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

static GPtrArray *find_sources(HfJobs *jobs, const HfJobConfig *config, const HfRepositoryRow *target, guint *left,
                               GError **error)
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
        !add_backup(jobs, sources, backup, target, left, error))
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

/* What the mover needs; none between siblings. */
static GBytes *make_secret(HfJobs *jobs, const Source *source, const HfRepositoryRow *target, HfShortId *writer,
                           GError **error)
{
  g_auto(HfWorkCopyKeys) keys = { 0 }; /* wipes them */
  if (source->host_id == NULL)
    return share_keys(jobs, source->repository, target, error) ? g_bytes_new(NULL, 0) : NULL;
  keys.from = hf_jobs_pass(jobs, source->repository, source->domain, error);
  if (keys.from == NULL)
    return NULL;
  keys.to = hf_jobs_writer(jobs, source->host_id, target, writer, error);
  return keys.to == NULL ? NULL : hf_work_copy_keys_encode(&keys, error);
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
  HfShortId writer;
  gboolean siblings = source->host_id == NULL;
  g_autoptr(GBytes) secret = encoded == NULL ? NULL : make_secret(jobs, source, target, &writer, error);
  if (secret == NULL ||
      !hf_jobs_way_open(jobs, &ways[0], source->repository, mover, HF_TICKET_READ, NULL, 1, 0, FALSE, error) ||
      !hf_jobs_way_open(jobs, &ways[1], target, mover, siblings ? HF_TICKET_READ | HF_TICKET_COPY : HF_TICKET_WRITE,
                        siblings ? NULL : &writer, COPY_STREAMS, 0, FALSE, error))
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
  HfJobsTask *waiting = hf_jobs_task_new(jobs, row->id, source->repository->host_id, FALSE);
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
  g_autoptr(HfJobsDoor) door =
    hf_jobs_door_open(run->jobs, target, HF_TICKET_READ | HF_TICKET_KEEP, NULL, &run->cancel, error);
  g_autoptr(GPtrArray) infos = door == NULL ? NULL : hf_jobs_rescan_by(run->jobs, target, door, error);
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
  guint left = 0;
  g_autoptr(HfJobRow) job = hf_inv_job_get(run->jobs->inv, run->job, error);
  if (job == NULL)
    return FALSE;
  if (job->repository_id == NULL)
    return hf_fail(error, HF_ERROR_USAGE, "job '%s' has no repository", job->name);
  g_autoptr(HfRepositoryRow) target = hf_inv_repository_get(run->jobs->inv, job->repository_id, error);
  g_autoptr(GPtrArray) sources =
    target == NULL ? NULL : find_sources(run->jobs, config, target, &left, error);
  if (sources == NULL)
    return FALSE;
  if (left > 0) {
    hf_run_log(run, HF_LINE_WARNING,
               "%u restore points are of hosts that are not managed any more: into a repository with another password "
               "they cannot be copied", left);
    *result = HF_RESULT_WARNING;
  }
  hf_inv_job_status(run->jobs->inv, run->job, HF_JOB_RUNNING, NULL);
  for (guint i = 0; i < sources->len; i++) {
    const Source *source = sources->pdata[i];
    if (hf_run_stop(run) != HF_JOBS_GO_ON)
      return hf_fail(error, HF_ERROR_CANCELLED, "stopped");
    if (!copy_from(run, source, target, error))
      return FALSE;
    if (hf_run_ending(run))
      return TRUE;
  }
  return wrap_up(run, config, target, result, error);
}
