/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is due follows from the rows alone (jobs and their last sessions), so that a restart of the server forgets
 * nothing: the thread looks at all jobs when it is told that something changed, when the next thing is due, and once a
 * minute.
 */
#include "server/schedule/scheduler.h"

#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/work.h"
#include "server/auth/auth.h"
#include "server/schedule/schedule.h"

#define SECOND G_GINT64_CONSTANT(1000000)
#define LOOK_EVERY (60 * SECOND)
#define LATE (300 * SECOND)         /* a planned run that is later than this was missed */
#define CONTINUOUS_REST (10 * SECOND)
#define OLD_RETRY (3600 * SECOND)   /* older failures are not tried again after a restart */
#define OLD_CHAIN (24 * 3600 * SECOND)
#define CLOCK_BACK (25 * 3600 * SECOND)
#define LONGEST_REST (3600 * SECOND)

struct HfScheduler {
  HfDb *db;
  GTimeZone *zone;
  HfSchedulerCalls calls;
  GThread *thread;
  /* Only of the thread: */
  GHashTable *rests;   /* job id -> Rest*: starts that were refused */
  GHashTable *stopped; /* ids of sessions that were told to stop */

  GMutex mutex; /* guards the rest */
  GCond changed;
  gboolean closing, look;
  GPtrArray *ended; /* ids of jobs and sessions that ended: nothing need be remembered of them */
};

typedef struct Rest {
  gint64 until, length;
} Rest;

/* A job with what the plan needs to know. */
typedef struct Job {
  char *id, *name, *status, *last_result, *session_id, *after_id;
  gboolean disabled, cancelled;
  gint64 next_run, last_run, retries, modified;
  gint64 ended; /* of its last session; 0: runs, or never ran */
  HfSchedule *schedule;
} Job;

static void job_free(gpointer user)
{
  Job *job = user;
  g_free(job->id);
  g_free(job->name);
  g_free(job->status);
  g_free(job->last_result);
  g_free(job->session_id);
  g_free(job->after_id);
  hf_schedule_free(job->schedule);
  g_free(job);
}

static gboolean idle(const Job *job)
{
  return strcmp(job->status, "Inactive") == 0 || strcmp(job->status, "Disabled") == 0;
}

static Job *job_of(HfDbRows *rows)
{
  Job *job = g_new0(Job, 1);
  job->id = g_strdup(hf_db_text(rows, 0));
  job->name = g_strdup(hf_db_text(rows, 1));
  job->status = g_strdup(hf_db_text(rows, 2));
  job->last_result = g_strdup(hf_db_text(rows, 3));
  job->session_id = g_strdup(hf_db_text(rows, 4));
  job->after_id = g_strdup(hf_db_text(rows, 5));
  job->disabled = hf_db_int(rows, 6) != 0;
  job->next_run = hf_db_int(rows, 7);
  job->last_run = hf_db_int(rows, 8);
  job->retries = hf_db_int(rows, 9);
  job->modified = hf_db_int(rows, 10);
  job->ended = hf_db_int(rows, 11);
  job->cancelled = hf_db_int(rows, 12) != 0;
  job->schedule = hf_schedule_parse(hf_db_text(rows, 13), NULL);
  if (job->schedule == NULL) /* of a newer program: it is not run by guessing */
    job->schedule = hf_schedule_parse(NULL, NULL);
  return job;
}

static GPtrArray *load_jobs(HfDb *db, GError **error)
{
  g_autoptr(HfDbLink) link = hf_db_read(db, error);
  g_autoptr(HfDbRows) rows =
      link == NULL ? NULL
                   : hf_db_query(link, "SELECT jobs.id, jobs.name, status, last_result, last_session_id, after_job_id, "
                                       "disabled, next_run, last_run, retries, modified, sessions.ended, "
                                       "sessions.cancelled, schedule FROM jobs "
                                       "LEFT JOIN sessions ON sessions.id = last_session_id "
                                       "ORDER BY high_priority DESC, jobs.name", HF_DB_NONE, error);
  if (rows == NULL)
    return NULL;
  g_autoptr(GPtrArray) jobs = g_ptr_array_new_with_free_func(job_free);
  while (hf_db_next(rows, error))
    g_ptr_array_add(jobs, job_of(rows));
  return hf_db_failed(rows) ? NULL : g_steal_pointer(&jobs);
}

/* ---- what the database is told ---- */

typedef struct NextRun {
  const char *id;
  gint64 from, to; /* 0: none */
} NextRun;

/* Only where nobody else has changed it meanwhile. */
static gboolean put_next_run(HfDbLink *link, gpointer user, GError **error)
{
  const NextRun *next = user;
  gint64 changed = 0;
  return hf_db_exec(link, "UPDATE jobs SET next_run = ? WHERE id = ? AND COALESCE(next_run, 0) = ?",
                    HF_DB_VALUES(next->to == 0 ? HF_DB_NULL : HF_DB_INT(next->to), HF_DB_TEXT(next->id),
                                 HF_DB_INT(next->from)), &changed, error) &&
         (changed == 1 || hf_fail(error, HF_ERROR_BUSY, "the job was changed meanwhile"));
}

static gboolean move_on(HfScheduler *scheduler, Job *job, gint64 to)
{
  if (job->next_run == to)
    return TRUE;
  NextRun next = {job->id, job->next_run, to};
  if (!hf_db_write(scheduler->db, put_next_run, &next, NULL))
    return FALSE;
  job->next_run = to;
  return TRUE;
}

/* ---- starting ---- */

static gboolean rests(HfScheduler *scheduler, const Job *job, gint64 now)
{
  const Rest *rest = g_hash_table_lookup(scheduler->rests, job->id);
  return rest != NULL && now < rest->until && rest->until - now <= LONGEST_REST;
}

static void refused(HfScheduler *scheduler, const Job *job, const GError *error)
{
  const Rest *before = g_hash_table_lookup(scheduler->rests, job->id);
  Rest *rest = g_new0(Rest, 1);
  rest->length = before == NULL ? LOOK_EVERY : MIN(before->length * 2, LONGEST_REST);
  rest->until = hf_db_now() + rest->length;
  g_hash_table_replace(scheduler->rests, g_strdup(job->id), rest);
  HfAudit line = {.action = "start", .object_kind = "jobs", .object_id = job->id, .object_name = job->name,
                  .refused = error};
  hf_audit_note(scheduler->db, &hf_actor_server, &line, NULL);
}

static gboolean start(HfScheduler *scheduler, Job *job, HfStartReason reason, const char *session_id)
{
  g_autoptr(GError) error = NULL;
  if (scheduler->calls.start(scheduler->calls.user, job->id, reason, session_id, &error)) {
    g_hash_table_remove(scheduler->rests, job->id);
    return TRUE;
  }
  refused(scheduler, job, error);
  return FALSE;
}

/* ---- what is due ---- */

/* When a failed run is tried again; 0: not. */
static gint64 retry_time(const Job *job)
{
  gint64 wait = 0;
  guint count = hf_schedule_retries(job->schedule, &wait);
  if (job->disabled || !idle(job) || job->ended == 0 || job->cancelled || strcmp(job->last_result, "Failed") != 0 ||
      job->retries >= count)
    return 0;
  return job->ended + wait;
}

static Job *find(GPtrArray *jobs, const char *id)
{
  for (guint i = 0; i < jobs->len; i++) {
    Job *job = g_ptr_array_index(jobs, i);
    if (strcmp(job->id, id) == 0)
      return job;
  }
  return NULL;
}

/* The job before it, when it ended since this one ran last and will not be tried again. */
static Job *chain_due(GPtrArray *jobs, const Job *job, gint64 now)
{
  Job *before = job->after_id == NULL ? NULL : find(jobs, job->after_id);
  if (before == NULL || !idle(before) || before->ended == 0 || before->cancelled ||
      retry_time(before) > now - OLD_RETRY)
    return NULL;
  return before->ended > MAX(job->last_run, job->modified) && now - before->ended < OLD_CHAIN ? before : NULL;
}

/* The base of planning: a clock that was set back starts nothing twice, one that was set back by more than a day was
 * wrong before. */
static gint64 base_of(const Job *job, gint64 now)
{
  gint64 base = job->last_run > now && job->last_run - now < CLOCK_BACK ? job->last_run : now;
  return hf_schedule_continuous(job->schedule) && job->last_run <= now ? MAX(base, job->last_run + CONTINUOUS_REST)
                                                                       : base;
}

static gint64 plan(HfScheduler *scheduler, const Job *job, gint64 now)
{
  gint64 next = job->disabled ? -1 : hf_schedule_next(job->schedule, scheduler->zone, base_of(job, now));
  return MAX(next, 0);
}

/* Starts the planned run when its time has come. */
static void look_at_plan(HfScheduler *scheduler, Job *job, gint64 now)
{
  gint64 due = job->next_run;
  if (job->disabled || due == 0 || due > now) {
    /* Also when a clock was set back: nothing waits for a moment that is not the next any more. */
    gint64 next = hf_schedule_continuous(job->schedule) && !idle(job) ? due : plan(scheduler, job, now);
    if (job->disabled || due == 0 || next == 0 || next < due)
      move_on(scheduler, job, next);
    return;
  }
  gboolean missed = now - due > LATE;
  gboolean wanted = idle(job) && (!missed || hf_schedule_runs_missed(job->schedule)) && !rests(scheduler, job, now);
  if (idle(job) && rests(scheduler, job, now))
    return; /* stays planned */
  /* Invariant 1: first the next one. A continuous job is planned when it ends. */
  gint64 next = hf_schedule_continuous(job->schedule) ? 0 : plan(scheduler, job, now);
  if (!move_on(scheduler, job, next) || !wanted)
    return;
  if (!start(scheduler, job, missed ? HF_START_MISSED : HF_START_PLANNED, NULL))
    move_on(scheduler, job, due);
}

static void look_at_job(HfScheduler *scheduler, GPtrArray *jobs, Job *job, gint64 now)
{
  gint64 retry = retry_time(job);
  Job *before = job->disabled || !idle(job) ? NULL : chain_due(jobs, job, now);
  if (!idle(job) && hf_schedule_allowed(job->schedule, scheduler->zone, job->last_run) &&
      !hf_schedule_allowed(job->schedule, scheduler->zone, now) && job->session_id != NULL &&
      g_hash_table_add(scheduler->stopped, g_strdup(job->session_id)))
    scheduler->calls.stop(scheduler->calls.user, job->id, job->session_id);
  if (rests(scheduler, job, now)) {
    /* Later. */
  } else if (retry > 0 && retry <= now && retry > now - OLD_RETRY) {
    start(scheduler, job, HF_START_RETRY, job->session_id);
    return; /* its row is not what it was */
  } else if (before != NULL) {
    start(scheduler, job, HF_START_AFTER, before->session_id);
    return;
  }
  look_at_plan(scheduler, job, now);
}

/* Looks at all jobs; gives how long nothing will be due (microseconds). */
static gint64 look(HfScheduler *scheduler)
{
  g_autoptr(GPtrArray) jobs = load_jobs(scheduler->db, NULL);
  gint64 now = hf_db_now(), wait = LOOK_EVERY;
  for (guint i = 0; jobs != NULL && i < jobs->len; i++)
    look_at_job(scheduler, jobs, g_ptr_array_index(jobs, i), now);
  for (guint i = 0; jobs != NULL && i < jobs->len; i++) {
    const Job *job = g_ptr_array_index(jobs, i);
    gint64 times[] = {job->next_run, retry_time(job),
                      idle(job) ? 0 : hf_schedule_window_end(job->schedule, scheduler->zone, now)};
    for (gsize k = 0; k < G_N_ELEMENTS(times); k++)
      if (times[k] > now)
        wait = MIN(wait, times[k] - now);
  }
  return wait;
}

/* ---- the thread ---- */

static gpointer run(gpointer user)
{
  HfScheduler *scheduler = user;
  g_mutex_lock(&scheduler->mutex);
  while (!scheduler->closing) {
    scheduler->look = FALSE;
    for (guint i = 0; i < scheduler->ended->len; i++) {
      g_hash_table_remove(scheduler->rests, g_ptr_array_index(scheduler->ended, i));
      g_hash_table_remove(scheduler->stopped, g_ptr_array_index(scheduler->ended, i));
    }
    g_ptr_array_set_size(scheduler->ended, 0);
    g_mutex_unlock(&scheduler->mutex);
    gint64 until = g_get_monotonic_time() + look(scheduler);
    g_mutex_lock(&scheduler->mutex);
    while (!scheduler->closing && !scheduler->look && g_cond_wait_until(&scheduler->changed, &scheduler->mutex, until))
      ;
  }
  g_mutex_unlock(&scheduler->mutex);
  return NULL;
}

HfScheduler *hf_scheduler_new(HfDb *db, GTimeZone *zone, const HfSchedulerCalls *calls)
{
  HfScheduler *scheduler = g_new0(HfScheduler, 1);
  scheduler->db = db;
  scheduler->zone = zone != NULL ? g_time_zone_ref(zone) : g_time_zone_new_local();
  scheduler->calls = *calls;
  scheduler->rests = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
  scheduler->stopped = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  scheduler->ended = g_ptr_array_new_with_free_func(g_free);
  g_mutex_init(&scheduler->mutex);
  g_cond_init(&scheduler->changed);
  scheduler->thread = g_thread_new("scheduler", run, scheduler);
  return scheduler;
}

static void wake(HfScheduler *scheduler, gboolean close)
{
  HF_LOCK(&scheduler->mutex);
  scheduler->look = TRUE;
  scheduler->closing |= close;
  g_cond_signal(&scheduler->changed);
}

void hf_scheduler_free(HfScheduler *scheduler)
{
  if (scheduler == NULL)
    return;
  wake(scheduler, TRUE);
  g_thread_join(scheduler->thread);
  g_hash_table_unref(scheduler->rests);
  g_hash_table_unref(scheduler->stopped);
  g_ptr_array_unref(scheduler->ended);
  g_time_zone_unref(scheduler->zone);
  g_mutex_clear(&scheduler->mutex);
  g_cond_clear(&scheduler->changed);
  g_free(scheduler);
}

void hf_scheduler_changed(HfScheduler *scheduler)
{
  wake(scheduler, FALSE);
}

void hf_scheduler_ended(HfScheduler *scheduler, const char *job_id, const char *session_id)
{
  g_mutex_lock(&scheduler->mutex);
  g_ptr_array_add(scheduler->ended, g_strdup(job_id));
  g_ptr_array_add(scheduler->ended, g_strdup(session_id));
  g_mutex_unlock(&scheduler->mutex);
  wake(scheduler, FALSE);
}
