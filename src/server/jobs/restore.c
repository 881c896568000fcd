/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Restores: a session with one task, on the host that the data go to. */
#include <string.h>

#include "base/buffer.h"
#include "base/error.h"
#include "server/jobs/state.h"
#include "storage/service/terms.h"

#define RESTORE_STREAMS 3u

typedef struct Restore {
  HfPointRow *point;
  HfRepositoryRow *repository;
  char *host_id, *target; /* target NULL: the original places */
  char **paths;
  gboolean overwrite, keep;
} Restore;

static void restore_free(gpointer data)
{
  Restore *restore = data;
  g_clear_pointer(&restore->point, hf_point_row_free);
  g_clear_pointer(&restore->repository, hf_repository_free);
  g_free(restore->host_id);
  g_free(restore->target);
  g_strfreev(restore->paths);
  g_free(restore);
}

/* ---- The order. ---- */

/* The domain in which the point's writer works, as its writer row says. */
static gboolean domain_of(HfJobs *jobs, const Restore *restore, guint32 *domain, GError **error)
{
  g_autoptr(GPtrArray) writers = hf_inv_writers_of(jobs->inv, restore->repository->id, error);
  for (guint i = 0; writers != NULL && i < writers->len; i++) {
    const HfWriterRow *row = writers->pdata[i];
    if (g_str_equal(row->writer, restore->point->writer)) {
      *domain = (guint32)g_ascii_strtoull(row->domain, NULL, 10);
      return TRUE;
    }
  }
  if (writers == NULL)
    return FALSE;
  /* An imported repository, or a host that is gone: the point itself says it. */
  return hf_jobs_point_domain(jobs, restore->repository, restore->point->point, domain, error);
}

static GBytes *make_order(HfJobs *jobs, const Restore *restore, const char *task_id, GError **error)
{
  g_auto(HfWorkRestore) order = { 0 };
  hf_jobs_describe(jobs, restore->repository, 0, RESTORE_STREAMS, &order.repository);
  hf_unhex(restore->point->point, order.point.b, sizeof order.point.b);
  for (guint i = 0; restore->paths != NULL && restore->paths[i] != NULL; i++)
    hf_work_restore_add_paths(&order, restore->paths[i]);
  order.target = g_strdup(restore->target != NULL ? restore->target : "");
  order.overwrite = restore->overwrite;
  order.keep = restore->keep;
  order.rate = hf_jobs_limit(jobs, task_id, restore->host_id, restore->repository, FALSE);
  return hf_work_restore_encode(&order, error);
}

/* A host with a repository is the mount server of that, and reads backups as such. */
static const char *role_of(HfJobs *jobs, const char *host_id)
{
  g_autoptr(GPtrArray) rows = hf_inv_repositories_load(jobs->inv, NULL);
  for (guint i = 0; rows != NULL && i < rows->len; i++)
    if (g_str_equal(((HfRepositoryRow *)rows->pdata[i])->host_id, host_id))
      return "mount-server";
  return "backup-proxy";
}

static gboolean give_order(HfJobs *jobs, const Restore *restore, const char *task_id, HfJobsWay *way, GError **error)
{
  guint32 domain;
  HfJobLink links[RESTORE_STREAMS];
  if (!domain_of(jobs, restore, &domain, error))
    return FALSE;
  char *pass = hf_jobs_pass(jobs, restore->repository, domain, error);
  if (pass == NULL)
    return FALSE;
  g_auto(HfWorkKey) key = { .text = pass }; /* wipes it */
  g_autoptr(GBytes) secret = hf_work_key_encode(&key, error);
  g_autoptr(GBytes) order = secret == NULL ? NULL : make_order(jobs, restore, task_id, error);
  if (order == NULL || !hf_jobs_way_open(jobs, way, restore->repository, restore->host_id, HF_TICKET_READ, NULL,
                                         RESTORE_STREAMS, 0, FALSE, error))
    return FALSE;
  hf_jobs_way_links(way, role_of(jobs, restore->host_id), links);
  return jobs->parts.hosts.order(jobs->parts.hosts.user, restore->host_id, task_id, "restore", order, secret, links,
                                 RESTORE_STREAMS, error);
}

/* ---- The end. ---- */

static void log_missing(HfJobs *jobs, const char *task_id, const HfWorkRestoreDone *done)
{
  for (guint i = 0; i < done->n_missing; i++) {
    g_autofree char *line = g_strdup_printf("%s could not be restored whole", done->missing[i]);
    hf_inv_log(jobs->inv, task_id, HF_LINE_FAILED, line, NULL, NULL, NULL);
  }
}

static void log_beside(HfJobs *jobs, const char *task_id, const Restore *restore, const HfWorkRestoreDone *done)
{
  for (guint i = 0; i < done->n_beside; i++) {
    g_autofree char *path =
      g_build_filename(restore->target != NULL ? restore->target : "/", done->beside[i], NULL);
    g_autofree char *line = g_strdup_printf("What is there was kept: restored as %s", path);
    hf_inv_log(jobs->inv, task_id, HF_LINE_NONE, line, NULL, NULL, NULL);
  }
}

static gboolean end_task(HfJobsRun *run, const Restore *restore, const HfTaskRow *row, const HfJobsResult *result,
                         GError **error)
{
  HfJobs *jobs = run->jobs;
  g_auto(HfWorkRestoreDone) done = { 0 };
  gboolean told = g_bytes_get_size(result->bytes) > 0 && hf_work_restore_done_decode(result->bytes, &done, NULL);
  const HfWorkFigures *measured = &done.figures;
  HfTaskFigures figures = { .duration_us = hf_db_now() - row->created, .total_bytes = (gint64)done.bytes,
                            .processed_bytes = (gint64)done.bytes, .read_bytes = (gint64)done.bytes,
                            .transferred_bytes = (gint64)MAX(result->wire_received, measured->received),
                            .busy_target_us = (gint64)measured->written, .busy_proxy_us = (gint64)measured->proxy,
                            .busy_network_us = (gint64)measured->network,
                            .busy_throttle_us = (gint64)measured->throttle };
  if (told) {
    log_missing(jobs, row->id, &done);
    log_beside(jobs, row->id, restore, &done);
  }
  if (result->why != NULL) {
    g_propagate_error(error, g_error_copy(result->why));
    return FALSE;
  }
  if (!told)
    return hf_fail(error, HF_ERROR_INVALID, "the host told a result that cannot be read");
  if (done.damaged + done.failed > 0)
    return hf_fail(error, HF_ERROR_DAMAGED,
                   "%" G_GUINT64_FORMAT " files or folders are damaged in the repository and %" G_GUINT64_FORMAT
                   " could not be written; the log names them", done.damaged, done.failed);
  g_autofree char *size = hf_format_size(done.bytes);
  g_autofree char *line = g_strdup_printf("%" G_GUINT64_FORMAT " files and %" G_GUINT64_FORMAT " folders, %s",
                                          done.files, done.directories, size);
  hf_inv_log(jobs->inv, row->id, HF_LINE_SUCCEEDED, line, NULL, NULL, NULL);
  const char *end = done.warnings > 0 ? HF_RESULT_WARNING : HF_RESULT_SUCCESS;
  return hf_inv_task_finish(jobs->inv, row->id, end, "", NULL, NULL, &figures, error);
}

static gboolean run_restore(HfJobsRun *run, gpointer data, const char **result_word G_GNUC_UNUSED, GError **error)
{
  const Restore *restore = data;
  HfJobs *jobs = run->jobs;
  g_auto(HfJobsWay) way = { 0 };
  g_autoptr(HfTaskRow) row = g_new0(HfTaskRow, 1);
  row->session_id = g_strdup(run->session);
  row->type = g_strdup("Restore");
  row->name = g_strdup(restore->point->name);
  row->host_id = g_strdup(restore->host_id);
  row->object_id = g_strdup(restore->point->object_id);
  row->repository_id = g_strdup(restore->repository->id);
  row->restore_point_id = g_strdup(restore->point->id);
  if (!hf_inv_task_create(jobs->inv, row, error))
    return FALSE;
  hf_inv_task_state(jobs->inv, row->id, HF_STATE_WORKING, NULL);
  HfJobsTask *waiting = hf_jobs_task_new(jobs, row->id, restore->host_id, TRUE);
  g_autoptr(GError) why = NULL;
  const HfJobsResult *result =
    give_order(jobs, restore, row->id, &way, &why) ? hf_jobs_task_wait(run, waiting, &why) : NULL;
  gboolean good = result != NULL && end_task(run, restore, row, result, &why);
  hf_jobs_task_free(jobs, waiting);
  if (good || hf_run_ending(run))
    return TRUE;
  hf_inv_task_finish(jobs->inv, row->id, HF_RESULT_FAILED, why->message, NULL, NULL, NULL, NULL);
  g_propagate_error(error, g_steal_pointer(&why));
  return FALSE;
}

/* ---- Beginning. ---- */

static char *original_host(HfJobs *jobs, const HfPointRow *point, GError **error)
{
  g_autoptr(HfObjectRow) object = hf_inv_object_get(jobs->inv, point->object_id, error);
  if (object == NULL)
    return NULL;
  if (object->host_id == NULL)
    hf_fail(error, HF_ERROR_NOT_FOUND, "the host that this point is of is not managed any more; name another one");
  return g_strdup(object->host_id);
}

static gboolean check_paths(const char *const *paths, const char *target, GError **error)
{
  if (target != NULL && *target != '/')
    return hf_fail(error, HF_ERROR_USAGE, "the target '%s' is not an absolute path", target);
  for (guint i = 0; paths != NULL && paths[i] != NULL; i++)
    if (*paths[i] != '/')
      return hf_fail(error, HF_ERROR_USAGE, "'%s' is not an absolute path", paths[i]);
  return TRUE;
}

gboolean hf_jobs_restore(HfJobs *jobs, const HfActor *actor, const HfJobsRestore *wanted, char **session,
                         GError **error)
{
  if (!check_paths(wanted->paths, wanted->target, error))
    return FALSE;
  g_autoptr(HfPointRow) point = hf_inv_point_get(jobs->inv, wanted->point_id, error);
  if (point == NULL)
    return FALSE;
  g_autoptr(HfRepositoryRow) repository = hf_inv_repository_get(jobs->inv, point->repository_id, error);
  if (repository == NULL)
    return FALSE;
  g_autofree char *host_id = wanted->host_id != NULL ? g_strdup(wanted->host_id) : original_host(jobs, point, error);
  g_autoptr(HfHostRow) host = host_id == NULL ? NULL : hf_inv_host_get(jobs->inv, host_id, error);
  if (host == NULL)
    return FALSE;
  g_autoptr(HfSessionRow) row = g_new0(HfSessionRow, 1);
  row->name = g_strdup_printf("%s to %s", point->name, host->name);
  row->type = g_strdup("FileLevelRestore");
  row->repository_id = g_strdup(repository->id);
  row->parent_id = g_strdup(wanted->parent_session);
  row->related_id = g_strdup(point->id);
  row->resource_id = g_strdup(point->id);
  row->resource_reference = g_strdup_printf("/api/v1/restorePoints/%s", point->id);
  Restore *restore = g_new0(Restore, 1);
  restore->point = g_steal_pointer(&point);
  restore->repository = g_steal_pointer(&repository);
  restore->host_id = g_steal_pointer(&host_id);
  restore->target = g_strdup(wanted->target);
  restore->paths = g_strdupv((char **)wanted->paths);
  restore->overwrite = wanted->overwrite;
  restore->keep = wanted->keep;
  return hf_jobs_spawn(jobs, actor, row, run_restore, restore, restore_free, session, error);
}
