/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Beginning runs: by hand, by the schedule, and after the server was away. */
#include <jansson.h>
#include <string.h>

#include "base/error.h"
#include "server/jobs/run.h"

static HfJobsWork work_of(const HfJobRow *job)
{
  return g_str_equal(job->type, "BackupCopy") ? hf_jobs_run_copy : hf_jobs_run_backup;
}

static const char *session_type(const HfJobRow *job)
{
  return g_str_equal(job->type, "BackupCopy") ? "BackupCopyJob" : "BackupJob";
}

static void config_free(gpointer config)
{
  hf_job_config_free(config);
}

typedef struct Start {
  gboolean full, retry;
  const char *before; /* session of the run before: a retry is for what failed there; else NULL */
} Start;

static gboolean start(HfJobs *jobs, const HfActor *actor, HfJobRow *job, const Start *how, char **session,
                      GError **error)
{
  HfJobConfig *config = hf_job_config_parse(job->config, error);
  if (config == NULL)
    return FALSE;
  g_autoptr(HfSessionRow) row = g_new0(HfSessionRow, 1);
  row->name = g_strdup(job->name);
  row->job_id = g_strdup(job->id);
  row->type = g_strdup(session_type(job));
  row->repository_id = g_strdup(job->repository_id);
  row->related_id = g_strdup(how->before);
  row->resume = g_strdup_printf("{\"full\": %s, \"retry\": %s}", how->full ? "true" : "false",
                                how->retry ? "true" : "false");
  if (!hf_inv_session_create(jobs->inv, actor, row, error)) {
    config_free(config);
    return FALSE;
  }
  g_autoptr(GError) why = NULL;
  if (!hf_inv_job_begin(jobs->inv, job->id, row->id, how->retry, &why)) {
    hf_inv_session_finish(jobs->inv, row->id, HF_RESULT_FAILED, why->message, FALSE, NULL);
    config_free(config);
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
  }
  if (session != NULL)
    *session = g_strdup(row->id);
  hf_jobs_spawn_row(jobs, row->id, job->id, work_of(job), config, config_free);
  return TRUE;
}

gboolean hf_jobs_start(HfJobs *jobs, const HfActor *actor, const char *job_id, gboolean full, char **session,
                       GError **error)
{
  g_autoptr(HfJobRow) job = hf_inv_job_get(jobs->inv, job_id, error);
  return job != NULL && start(jobs, actor, job, &(Start){ .full = full }, session, error);
}

gboolean hf_jobs_retry(HfJobs *jobs, const HfActor *actor, const char *job_id, char **session, GError **error)
{
  g_autoptr(HfJobRow) job = hf_inv_job_get(jobs->inv, job_id, error);
  if (job == NULL)
    return FALSE;
  if (job->last_session_id == NULL || !g_str_equal(job->last_result, HF_RESULT_FAILED))
    return hf_fail(error, HF_ERROR_USAGE, "job '%s' has nothing to try again: its last run did not fail", job->name);
  return start(jobs, actor, job, &(Start){ .retry = TRUE, .before = job->last_session_id }, session, error);
}

gboolean hf_jobs_scheduled(gpointer data, const char *job_id, HfStartReason reason, const char *session_id,
                           GError **error)
{
  HfJobs *jobs = data;
  g_autoptr(HfJobRow) job = hf_inv_job_get(jobs->inv, job_id, error);
  gboolean retry = reason == HF_START_RETRY;
  return job != NULL &&
    start(jobs, &hf_actor_server, job, &(Start){ .retry = retry, .before = retry ? session_id : NULL }, NULL, error);
}

/* ---- Copies. ---- */

static gboolean copies(const HfJobRow *job, const char *source_id)
{
  g_autoptr(HfJobConfig) config =
    job->disabled || !g_str_equal(job->type, "BackupCopy") ? NULL : hf_job_config_parse(job->config, NULL);
  if (config == NULL || !config->immediate)
    return FALSE;
  for (guint i = 0; i < config->source_jobs->len; i++)
    if (g_str_equal(config->source_jobs->pdata[i], source_id))
      return TRUE;
  return FALSE;
}

/* One that runs already takes what is new with its next run. */
void hf_jobs_start_copies(HfJobs *jobs, const char *job_id)
{
  g_autoptr(GPtrArray) rows = hf_inv_jobs_load(jobs->inv, NULL);
  for (guint i = 0; rows != NULL && i < rows->len; i++)
    if (copies(rows->pdata[i], job_id))
      start(jobs, &hf_actor_server, rows->pdata[i], &(Start){ 0 }, NULL, NULL);
}

/* ---- What a retry is for. ---- */

gboolean hf_jobs_wanted(HfJobs *jobs, const HfSessionRow *session, const HfJobObject *object)
{
  if (strstr(session->resume, "\"retry\": true") == NULL || session->related_id == NULL)
    return TRUE;
  g_autoptr(GPtrArray) before = hf_inv_tasks_of(jobs->inv, session->related_id, NULL);
  for (guint i = 0; before != NULL && i < before->len; i++) {
    const HfTaskRow *row = before->pdata[i];
    if (row->host_id != NULL && g_str_equal(row->host_id, object->host_id) &&
        !g_str_equal(row->result, HF_RESULT_FAILED))
      return FALSE;
  }
  return TRUE;
}

/* ---- After the server was away. ---- */

static void give_up(HfJobs *jobs, const HfSessionRow *row, const char *why)
{
  hf_inv_log(jobs->inv, row->id, HF_LINE_FAILED, why, NULL, NULL, NULL);
  hf_inv_session_finish(jobs->inv, row->id, HF_RESULT_FAILED, why, FALSE, NULL);
  if (row->job_id != NULL)
    hf_inv_job_end(jobs->inv, row->job_id, HF_RESULT_FAILED, NULL);
}

static void take_up(HfJobs *jobs, const HfSessionRow *row)
{
  g_autoptr(GError) why = NULL;
  g_autoptr(HfJobRow) job = row->job_id == NULL ? NULL : hf_inv_job_get(jobs->inv, row->job_id, &why);
  HfJobConfig *config = job == NULL ? NULL : hf_job_config_parse(job->config, &why);
  if (config == NULL) {
    give_up(jobs, row, why != NULL ? why->message : "the server ended before this was done; start it again");
    return;
  }
  hf_inv_log(jobs->inv, row->id, HF_LINE_NONE, "The server was started again: the run goes on", NULL, NULL, NULL);
  hf_jobs_spawn_row(jobs, row->id, job->id, work_of(job), config, config_free);
}

gboolean hf_jobs_resume(HfJobs *jobs, GError **error)
{
  g_autoptr(GPtrArray) open = hf_inv_sessions_open(jobs->inv, error);
  for (guint i = 0; open != NULL && i < open->len; i++)
    hf_jobs_limit_running(jobs, ((HfSessionRow *)open->pdata[i])->id);
  for (guint i = 0; open != NULL && i < open->len; i++)
    take_up(jobs, open->pdata[i]);
  return open != NULL;
}

/* ---- Commands on the server. ---- */

gboolean hf_jobs_command(HfJobsRun *run, const char *command, const char *when, GError **error)
{
  g_auto(GStrv) words = g_strsplit(command, " ", -1);
  g_autofree char *output = NULL;
  int status;
  if (words[0] == NULL || *words[0] != '/')
    return hf_fail(error, HF_ERROR_USAGE, "the command '%s' needs an absolute path", command);
  hf_run_log(run, HF_LINE_NONE, "%s: running '%s'", when, words[0]);
  g_autoptr(GError) why = NULL;
  if (!g_spawn_sync("/", words, NULL, G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, &output, NULL, &status, &why) ||
      !g_spawn_check_wait_status(status, &why))
    return hf_fail(error, HF_ERROR_FAILED, "the command '%s' failed: %s", words[0], why->message);
  return TRUE;
}
