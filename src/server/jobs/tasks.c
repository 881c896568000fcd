/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tasks on hosts: waiting for them, what hosts tell about them, and the slots that they take. */
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/work.h"
#include "server/jobs/state.h"

void hf_jobs_result_free(HfJobsResult *result)
{
  if (result == NULL)
    return;
  g_clear_error(&result->why);
  g_bytes_unref(result->bytes);
  g_free(result);
}

HfJobsTask *hf_jobs_task_new(HfJobs *jobs, const char *id, const char *host_id, gboolean receives)
{
  HfJobsTask *task = g_new0(HfJobsTask, 1);
  task->id = g_strdup(id);
  task->host_id = g_strdup(host_id);
  task->begun = hf_db_now();
  task->receives = receives;
  gpointer key, early;
  HF_LOCK(&jobs->lock);
  if (g_hash_table_steal_extended(jobs->early, id, &key, &early)) {
    g_free(key);
    task->result = early;
  }
  g_hash_table_insert(jobs->tasks, task->id, task);
  return task;
}

void hf_jobs_task_free(HfJobs *jobs, HfJobsTask *task)
{
  if (task == NULL)
    return;
  g_mutex_lock(&jobs->lock);
  g_hash_table_remove(jobs->tasks, task->id);
  g_mutex_unlock(&jobs->lock);
  hf_broker_leave(jobs->broker, task->id);
  hf_jobs_result_free(task->result);
  g_free(task->id);
  g_free(task->host_id);
  g_free(task);
}

/* ---- Waiting. ---- */

static gboolean host_is_lost(HfJobs *jobs, const char *host_id)
{
  const gint64 *since = g_hash_table_lookup(jobs->away, host_id);
  return since != NULL && hf_clock_monotonic_us() - *since >= HF_JOB_LOST_SECONDS * G_USEC_PER_SEC;
}

/* Tells the host once that the task is to be stopped. `lock` is released meanwhile. */
static void pass_stop_on(HfJobsRun *run, const HfJobsTask *task, gboolean *told)
{
  HfJobs *jobs = run->jobs;
  if (*told || hf_run_stop(run) != HF_JOBS_STOP_NOW)
    return;
  *told = TRUE;
  g_mutex_unlock(&jobs->lock);
  jobs->parts.hosts.cancel(jobs->parts.hosts.user, task->host_id, task->id, NULL);
  g_mutex_lock(&jobs->lock);
}

const HfJobsResult *hf_jobs_task_wait(HfJobsRun *run, HfJobsTask *task, GError **error)
{
  HfJobs *jobs = run->jobs;
  gboolean told = FALSE;
  g_mutex_lock(&jobs->lock);
  while (task->result == NULL && !jobs->ending && !host_is_lost(jobs, task->host_id)) {
    pass_stop_on(run, task, &told);
    g_cond_wait_until(&jobs->changed, &jobs->lock, g_get_monotonic_time() + G_USEC_PER_SEC);
  }
  const HfJobsResult *result = task->result;
  gboolean ending = jobs->ending;
  g_mutex_unlock(&jobs->lock);
  if (result != NULL)
    return result;
  if (ending) {
    hf_fail(error, HF_ERROR_CANCELLED, "the server ends");
    return NULL;
  }
  g_autoptr(HfHostRow) host = hf_inv_host_get(jobs->inv, task->host_id, NULL);
  hf_fail(error, HF_ERROR_IO, "host '%s' does not answer; look whether its agent runs and its installer port is open",
          host != NULL ? host->name : task->host_id);
  return NULL;
}

/* ---- What hosts tell. ---- */

static gboolean read_figures(GBytes *bytes, HfWorkFigures *figures)
{
  return bytes != NULL && hf_work_figures_decode(bytes, figures, NULL);
}

/* A host has a say only in tasks that it was given, as long as they last. */
static gboolean is_open_task_of(HfJobs *jobs, const char *id, const char *host_id)
{
  g_autoptr(HfTaskRow) row = hf_inv_task_get(jobs->inv, id, NULL);
  return row != NULL && row->ended == 0 && g_strcmp0(row->host_id, host_id) == 0;
}

void hf_jobs_told_progress(HfJobs *jobs, const char *host_id, const char *id, const HfJobProgress *progress)
{
  g_mutex_lock(&jobs->lock);
  const HfJobsTask *task = g_hash_table_lookup(jobs->tasks, id);
  gint64 begun = task == NULL || !g_str_equal(task->host_id, host_id) ? 0 : task->begun;
  gboolean receives = begun != 0 && task->receives;
  g_mutex_unlock(&jobs->lock);
  if (begun == 0)
    return;
  g_auto(HfWorkFigures) measured = { 0 };
  read_figures(progress->figures, &measured);
  HfTaskFigures figures = {
    .duration_us = hf_db_now() - begun,
    .total_bytes = (gint64)progress->bytes_total,
    .processed_bytes = (gint64)progress->bytes_done,
    .transferred_bytes = (gint64)(receives ? measured.received : measured.sent),
    .busy_source_us = (gint64)measured.source,
    .busy_proxy_us = (gint64)measured.proxy,
    .busy_network_us = (gint64)measured.network,
    .busy_target_us = (gint64)measured.target,
    .busy_throttle_us = (gint64)measured.throttle,
  };
  hf_inv_task_progress(jobs->inv, id, &figures, NULL);
}

void hf_jobs_told_line(HfJobs *jobs, const char *host_id, const char *id, gboolean warning, const char *line)
{
  if (is_open_task_of(jobs, id, host_id))
    hf_inv_log(jobs->inv, id, warning ? HF_LINE_WARNING : HF_LINE_NONE, line, NULL, NULL, NULL);
}

void hf_jobs_told_result(HfJobs *jobs, const char *host_id, const char *id, const GError *why,
                         GBytes *bytes, guint64 wire_sent, guint64 wire_received)
{
  g_mutex_lock(&jobs->lock);
  const HfJobsTask *waiting = g_hash_table_lookup(jobs->tasks, id);
  gboolean is_its = waiting != NULL && g_str_equal(waiting->host_id, host_id);
  g_mutex_unlock(&jobs->lock);
  if (!is_its && !is_open_task_of(jobs, id, host_id))
    return;
  hf_broker_leave(jobs->broker, id);
  HfJobsResult *result = g_new0(HfJobsResult, 1);
  result->why = why == NULL ? NULL : g_error_copy(why);
  result->bytes = bytes == NULL ? g_bytes_new(NULL, 0) : g_bytes_ref(bytes);
  result->wire_sent = wire_sent;
  result->wire_received = wire_received;
  HF_LOCK(&jobs->lock);
  HfJobsTask *task = g_hash_table_lookup(jobs->tasks, id);
  if (task == NULL)
    g_hash_table_replace(jobs->early, g_strdup(id), result);
  else if (task->result == NULL)
    task->result = result;
  else
    hf_jobs_result_free(result); /* told twice: the first counts */
  g_cond_broadcast(&jobs->changed);
}

void hf_jobs_told_host(HfJobs *jobs, const char *host_id, gboolean here)
{
  if (here)
    hf_broker_host(jobs->broker, host_id);
  HF_LOCK(&jobs->lock);
  if (here) {
    g_hash_table_remove(jobs->away, host_id);
  } else if (!g_hash_table_contains(jobs->away, host_id)) {
    gint64 now = hf_clock_monotonic_us();
    g_hash_table_insert(jobs->away, g_strdup(host_id), g_memdup2(&now, sizeof now));
  }
  g_cond_broadcast(&jobs->changed);
}

/* ---- Slots. ---- */

static guint taken(HfJobs *jobs, const char *key)
{
  return GPOINTER_TO_UINT(g_hash_table_lookup(jobs->slots, key));
}

static gboolean all_free(HfJobs *jobs, const HfJobsSlot *slots, guint count)
{
  for (guint i = 0; i < count; i++)
    if (slots[i].limit > 0 && taken(jobs, slots[i].key) >= slots[i].limit)
      return FALSE;
  return TRUE;
}

gboolean hf_jobs_slots_take(HfJobsRun *run, const HfJobsSlot *slots, guint count, GError **error)
{
  HfJobs *jobs = run->jobs;
  HF_LOCK(&jobs->lock);
  while (!all_free(jobs, slots, count)) {
    if (jobs->ending || hf_run_stop(run) != HF_JOBS_GO_ON)
      return hf_fail(error, HF_ERROR_CANCELLED, "stopped before it began");
    g_cond_wait(&jobs->changed, &jobs->lock);
  }
  for (guint i = 0; i < count; i++)
    g_hash_table_replace(jobs->slots, g_strdup(slots[i].key), GUINT_TO_POINTER(taken(jobs, slots[i].key) + 1));
  return TRUE;
}

void hf_jobs_slots_give(HfJobs *jobs, const HfJobsSlot *slots, guint count)
{
  HF_LOCK(&jobs->lock);
  for (guint i = 0; i < count; i++) {
    guint left = taken(jobs, slots[i].key) - 1;
    if (left == 0)
      g_hash_table_remove(jobs->slots, slots[i].key);
    else
      g_hash_table_replace(jobs->slots, g_strdup(slots[i].key), GUINT_TO_POINTER(left));
  }
  g_cond_broadcast(&jobs->changed);
}
