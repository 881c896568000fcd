/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sessions that have a thread, and the life of the runner. */
#include <stdarg.h>
#include <string.h>

#include "base/error.h"
#include "base/work.h"
#include "server/jobs/run.h"
#include "server/jobs/state.h"

static void run_free(gpointer data)
{
  HfJobsRun *run = data;
  if (run->free_data != NULL)
    run->free_data(run->data);
  g_free(run->session);
  g_free(run->job);
  g_free(run);
}

/* ---- The runner. ---- */

HfJobs *hf_jobs_new(const HfJobsParts *parts)
{
  HfJobs *jobs = g_new0(HfJobs, 1);
  jobs->parts = *parts;
  jobs->inv = parts->inventory;
  g_mutex_init(&jobs->lock);
  g_mutex_init(&jobs->writers);
  g_cond_init(&jobs->changed);
  jobs->runs = g_hash_table_new(g_str_hash, g_str_equal);
  jobs->tasks = g_hash_table_new(g_str_hash, g_str_equal);
  jobs->early = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)hf_jobs_result_free);
  jobs->slots = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  jobs->away = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
  jobs->mounts = g_hash_table_new(g_str_hash, g_str_equal);
  jobs->broker = hf_jobs_broker_new(jobs);
  return jobs;
}

void hf_jobs_begin_end(HfJobs *jobs)
{
  hf_broker_freeze(jobs->broker);
  GHashTableIter iter;
  gpointer value;
  HF_LOCK(&jobs->lock);
  jobs->ending = TRUE;
  hf_cancel_set(&jobs->cancel);
  hf_jobs_doors_break(jobs);
  g_cond_broadcast(&jobs->changed);
  g_hash_table_iter_init(&iter, jobs->runs);
  while (g_hash_table_iter_next(&iter, NULL, &value))
    hf_cancel_set(&((HfJobsRun *)value)->cancel);
}

void hf_jobs_end(HfJobs *jobs)
{
  if (jobs == NULL)
    return;
  hf_jobs_begin_end(jobs);
  hf_broker_end(jobs->broker);
  g_mutex_lock(&jobs->lock);
  while (g_hash_table_size(jobs->runs) > 0)
    g_cond_wait(&jobs->changed, &jobs->lock);
  g_mutex_unlock(&jobs->lock);
}

void hf_jobs_free(HfJobs *jobs)
{
  if (jobs == NULL)
    return;
  hf_jobs_end(jobs);
  hf_jobs_mounts_close(jobs);
  hf_broker_free(jobs->broker);
  g_hash_table_unref(jobs->runs);
  g_hash_table_unref(jobs->tasks);
  g_hash_table_unref(jobs->early);
  g_hash_table_unref(jobs->slots);
  g_hash_table_unref(jobs->away);
  g_hash_table_unref(jobs->mounts);
  g_mutex_clear(&jobs->lock);
  g_mutex_clear(&jobs->writers);
  g_cond_clear(&jobs->changed);
  g_free(jobs);
}

/* The scheduler that was there may be freed afterwards: nobody tells it anything any more. */
void hf_jobs_set_scheduler(HfJobs *jobs, HfScheduler *scheduler)
{
  HF_LOCK(&jobs->lock);
  jobs->scheduler = scheduler;
  while (jobs->telling > 0)
    g_cond_wait(&jobs->changed, &jobs->lock);
}

/* ---- A session's thread. ---- */

HfJobsStop hf_run_stop(HfJobsRun *run)
{
  return (HfJobsStop)g_atomic_int_get(&run->stop);
}

gboolean hf_run_ending(HfJobsRun *run)
{
  HF_LOCK(&run->jobs->lock);
  return run->jobs->ending;
}

void hf_run_log(HfJobsRun *run, const char *status, const char *format, ...)
{
  va_list arguments;
  va_start(arguments, format);
  g_autofree char *title = g_strdup_vprintf(format, arguments);
  va_end(arguments);
  hf_inv_log(run->jobs->inv, run->session, status, title, NULL, NULL, NULL);
}

static const char *worse(const char *a, const char *b)
{
  static const char *const order[] = { HF_RESULT_NONE, HF_RESULT_SUCCESS, HF_RESULT_WARNING, HF_RESULT_FAILED };
  guint x = 0, y = 0;
  for (guint i = 0; i < G_N_ELEMENTS(order); i++) {
    x = g_str_equal(order[i], a) ? i : x;
    y = g_str_equal(order[i], b) ? i : y;
  }
  return order[MAX(x, y)];
}

/* What went wrong, in one line: the first task that failed, and how many others did. Caller frees. */
static char *sum_up(HfJobsRun *run)
{
  g_autoptr(GPtrArray) rows = hf_inv_tasks_of(run->jobs->inv, run->session, NULL);
  const HfTaskRow *first = NULL;
  guint failed = 0;
  for (guint i = 0; rows != NULL && i < rows->len; i++) {
    const HfTaskRow *row = rows->pdata[i];
    if (!g_str_equal(row->result, HF_RESULT_FAILED))
      continue;
    first = first == NULL ? row : first;
    failed++;
  }
  if (failed <= 1)
    return g_strdup(first == NULL ? "" : first->message);
  return g_strdup_printf("%s; and %u more of %u failed", first->message, failed - 1, rows->len);
}

static void finish(HfJobsRun *run, gboolean good, const char *result, const GError *why)
{
  const HfInventory *inv = run->jobs->inv;
  gboolean cancelled = !good && hf_error_is(why, HF_ERROR_CANCELLED);
  const char *tasks = hf_inv_tasks_result(inv, run->session, NULL);
  const char *end = good ? worse(result, tasks == NULL ? HF_RESULT_NONE : tasks) : HF_RESULT_FAILED;
  if (why != NULL)
    hf_inv_log(inv, run->session, HF_LINE_FAILED, why->message, NULL, NULL, NULL);
  g_autofree char *message = why != NULL ? g_strdup(why->message) : sum_up(run);
  hf_inv_session_finish(inv, run->session, end, message, cancelled, NULL);
  if (run->job != NULL)
    hf_inv_job_end(inv, run->job, end, NULL);
  if (run->jobs->parts.notify != NULL)
    hf_notify_session(run->jobs->parts.notify, run->session);
}

/* The job's run is over: its schedule goes on, and copies that follow it begin. */
static void tell_followers(HfJobs *jobs, const HfJobsRun *run)
{
  g_mutex_lock(&jobs->lock);
  HfScheduler *scheduler = jobs->scheduler;
  jobs->telling++;
  g_mutex_unlock(&jobs->lock);
  if (scheduler != NULL)
    hf_scheduler_ended(scheduler, run->job, run->session);
  hf_jobs_start_copies(jobs, run->job);
  HF_LOCK(&jobs->lock);
  jobs->telling--;
  g_cond_broadcast(&jobs->changed);
}

static gpointer run_main(gpointer data)
{
  HfJobsRun *run = data;
  HfJobs *jobs = run->jobs;
  const char *result = HF_RESULT_SUCCESS;
  g_autoptr(GError) why = NULL;
  hf_inv_session_state(jobs->inv, run->session, HF_STATE_WORKING, NULL);
  gboolean good = run->work(run, run->data, &result, &why);
  gboolean ending = hf_run_ending(run);
  if (!ending)
    finish(run, good, result, why);
  if (!ending && run->job != NULL)
    tell_followers(jobs, run);
  /* Last of all: who ends the runner waits for this, and then takes it away from under us. */
  g_mutex_lock(&jobs->lock);
  g_hash_table_remove(jobs->runs, run->session);
  run_free(run);
  g_cond_broadcast(&jobs->changed);
  g_mutex_unlock(&jobs->lock);
  return NULL;
}

void hf_jobs_spawn_row(HfJobs *jobs, const char *session, const char *job, HfJobsWork work, gpointer data,
                       GDestroyNotify free_data)
{
  HfJobsRun *run = g_new0(HfJobsRun, 1);
  run->jobs = jobs;
  run->session = g_strdup(session);
  run->job = g_strdup(job);
  run->work = work;
  run->data = data;
  run->free_data = free_data;
  HF_LOCK(&jobs->lock);
  g_hash_table_insert(jobs->runs, run->session, run);
  g_thread_unref(g_thread_new("session", run_main, run));
}

gboolean hf_jobs_spawn(HfJobs *jobs, const HfActor *actor, HfSessionRow *row, HfJobsWork work, gpointer data,
                       GDestroyNotify free_data, char **session, GError **error)
{
  if (!hf_inv_session_create(jobs->inv, actor, row, error)) {
    if (free_data != NULL)
      free_data(data);
    return FALSE;
  }
  if (session != NULL)
    *session = g_strdup(row->id);
  hf_jobs_spawn_row(jobs, row->id, row->job_id, work, data, free_data);
  return TRUE;
}

/* ---- Stopping. ---- */

static void stop_run(HfJobs *jobs, const char *session, gboolean graceful)
{
  HF_LOCK(&jobs->lock);
  HfJobsRun *run = g_hash_table_lookup(jobs->runs, session);
  if (run == NULL)
    return;
  int wanted = graceful ? HF_JOBS_STOP_GRACEFUL : HF_JOBS_STOP_NOW;
  if (g_atomic_int_get(&run->stop) < wanted)
    g_atomic_int_set(&run->stop, wanted);
  if (!graceful)
    hf_cancel_set(&run->cancel);
  g_cond_broadcast(&jobs->changed);
}

gboolean hf_jobs_stop_session(HfJobs *jobs, const HfActor *actor, const char *session_id, gboolean graceful,
                              GError **error)
{
  if (!hf_inv_session_request_stop(jobs->inv, actor, session_id, graceful, error))
    return FALSE;
  g_autoptr(HfSessionRow) row = hf_inv_session_get(jobs->inv, session_id, NULL);
  if (row != NULL && row->job_id != NULL)
    hf_inv_job_status(jobs->inv, row->job_id, HF_JOB_STOPPING, NULL);
  stop_run(jobs, session_id, graceful);
  return TRUE;
}

gboolean hf_jobs_stop(HfJobs *jobs, const HfActor *actor, const char *job_id, gboolean graceful, char **session,
                      GError **error)
{
  g_autoptr(HfJobRow) job = hf_inv_job_get(jobs->inv, job_id, error);
  if (job == NULL)
    return FALSE;
  if (job->last_session_id == NULL)
    return hf_fail(error, HF_ERROR_USAGE, "job '%s' does not run", job->name);
  *session = g_strdup(job->last_session_id);
  return hf_jobs_stop_session(jobs, actor, job->last_session_id, graceful, error);
}

void hf_jobs_window_closed(gpointer data, const char *job_id G_GNUC_UNUSED, const char *session_id)
{
  hf_jobs_stop_session(data, &hf_actor_server, session_id, FALSE, NULL);
}
