/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The thread that starts jobs when they are due. It keeps jobs.next_run and next_run_policy in the database true.
 *
 * INVARIANTS
 * 1. A planned run is started at most once: next_run moves on in the database before `start` is called.
 * 2. A job that runs is not started again; a run that comes due meanwhile is left out (but a job that follows another
 *    runs afterwards).
 * 3. The clock may jump: the thread looks at it at least once a minute. A jump back starts nothing twice.
 */
#pragma once

#include "server/db/db.h"

typedef enum HfStartReason {
  HF_START_PLANNED,
  HF_START_MISSED,  /* was due while the server was down */
  HF_START_AFTER,   /* the job before it ended */
  HF_START_RETRY,   /* `session_id` failed; its failed objects again */
} HfStartReason;

typedef struct HfSchedulerCalls {
  /* Start this job; returns at once, hf_inv_job_begin done. What it says by its error is audited and the job's next run
   * stays planned. `session_id` is that of the run before for AFTER (its job) and RETRY, else NULL. */
  gboolean (*start)(gpointer user, const char *job_id, HfStartReason reason, const char *session_id, GError **error);
  /* The window of a running job has closed: stop it (gracefully; resumable). */
  void (*stop)(gpointer user, const char *job_id, const char *session_id);
  gpointer user;
} HfSchedulerCalls;

typedef struct HfScheduler HfScheduler;
/* Starts the thread: plans all jobs, makes up for missed runs. `zone` NULL: local. `db` must outlive it. */
HfScheduler *hf_scheduler_new(HfDb *db, GTimeZone *zone, const HfSchedulerCalls *calls);
/* Waits for a call that is under way. */
void hf_scheduler_free(HfScheduler *scheduler);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfScheduler, hf_scheduler_free)

/* Plan anew: jobs were created, changed, enabled, disabled or deleted. Any thread; returns at once. */
void hf_scheduler_changed(HfScheduler *scheduler);
/* A run of a job ended (hf_inv_session_finish, then hf_inv_job_end were called): plans retries, the next continuous run
 * and the jobs after it. Any thread; returns at once. */
void hf_scheduler_ended(HfScheduler *scheduler, const char *job_id, const char *session_id);
