/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Sessions: what the server does that takes time, with a log; and task sessions, one for each object of a job's run.
 *
 * INVARIANTS
 * 1. Progress (percent and sizes) never falls; a finished row never changes again.
 * 2. Every change of a row takes the next `usn`: who remembers the highest he saw finds all later changes.
 * 3. A task session ends no later than its session: finishing a session fails what still runs in it.
 * 4. Log lines are numbered 1, 2, 3... without gaps, in the order in which they were written.
 */
#pragma once

#include "server/inventory/inventory.h"

typedef struct HfSessionRow {
  char *id;
  gint64 usn;
  char *name;
  char *job_id;         /* may be NULL */
  char *type;           /* "BackupJob", "BackupCopyJob", "FileLevelRestore", "Infrastructure", ... */
  char *state, *result, *message;
  gboolean cancelled;
  char *stop_requested; /* "", "graceful", "now" */
  gint64 progress;      /* percent */
  gint64 processed_bytes, read_bytes, transferred_bytes;
  char *initiated_by;   /* filled from the actor when NULL */
  char *repository_id, *parent_id, *related_id; /* may be NULL */
  char *resource_id;    /* may be NULL */
  char *resource_reference;
  char *resume;         /* JSON */
  gint64 created, ended;
} HfSessionRow;
void hf_session_row_free(HfSessionRow *row);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfSessionRow, hf_session_row_free)

HfSessionRow *hf_inv_session_get(const HfInventory *inv, const char *id, GError **error);
/* HfSessionRow* that have not ended, oldest first: what a server that starts anew has to take up or to fail. */
GPtrArray *hf_inv_sessions_open(const HfInventory *inv, GError **error);
/* Needs name and type; the rest may be NULL or 0. State: Starting unless given. Fills id, usn, created. */
gboolean hf_inv_session_create(const HfInventory *inv, const HfActor *actor, HfSessionRow *row, GError **error);
gboolean hf_inv_session_state(const HfInventory *inv, const char *id, const char *state, GError **error);
/* Asks a session to stop; "now" is stronger than "graceful" and never taken back. HF_ERROR_USAGE when it has ended.
 * Audited. Who runs the session is told by the caller. */
gboolean hf_inv_session_request_stop(const HfInventory *inv, const HfActor *actor, const char *id, gboolean graceful,
                                     GError **error);
gboolean hf_inv_session_resource(const HfInventory *inv, const char *id, const char *resource_id, const char *reference,
                                 GError **error);
gboolean hf_inv_session_resume(const HfInventory *inv, const char *id, const char *resume, GError **error);
/* `progress` -1 and sizes -1: stay; less than before: stay. */
gboolean hf_inv_session_progress(const HfInventory *inv, const char *id, gint64 progress, gint64 processed, gint64 read,
                                 gint64 transferred, GError **error);
/* Ends it: state Stopped, progress 100 unless failed. Finishing what is finished changes nothing and is no error. */
gboolean hf_inv_session_finish(const HfInventory *inv, const char *id, const char *result, const char *message,
                               gboolean cancelled, GError **error);

/* ---- The log (of sessions and of task sessions: `id` of either). ---- */
/* `*seq` (may be NULL) is the number of the line. `description` may be NULL. */
gboolean hf_inv_log(const HfInventory *inv, const char *id, const char *status, const char *title,
                    const char *description, gint64 *seq, GError **error);
/* Changes a line that was written when something began: its status, and title when not NULL. */
gboolean hf_inv_log_update(const HfInventory *inv, const char *id, gint64 seq, const char *status, const char *title,
                           const char *description, GError **error);

/* ---- Task sessions. ---- */
typedef struct HfTaskRow {
  char *id;
  gint64 usn;
  char *session_id, *session_type;
  char *type;      /* "Backup", "Restore" */
  char *name;
  char *host_id, *object_id; /* may be NULL */
  char *state, *result, *message;
  char *algorithm; /* "None", "Full", "Increment" */
  char *bottleneck; /* "None", "Source", "Proxy", "Network", "Target", "Throttling" */
  gint64 duration_us, rate;
  gint64 total_bytes, processed_bytes, read_bytes, transferred_bytes, progress;
  gint64 busy_source_us, busy_proxy_us, busy_network_us, busy_target_us, busy_throttle_us;
  char *repository_id, *restore_point_id; /* may be NULL */
  char *resume;    /* JSON */
  gint64 created, ended;
} HfTaskRow;
void hf_task_free(HfTaskRow *row);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfTaskRow, hf_task_free)

HfTaskRow *hf_inv_task_get(const HfInventory *inv, const char *id, GError **error);
/* HfTaskRow* of a session, in order of creation. */
GPtrArray *hf_inv_tasks_of(const HfInventory *inv, const char *session_id, GError **error);
/* Needs session_id, type, name; session_type is taken from the session. */
gboolean hf_inv_task_create(const HfInventory *inv, HfTaskRow *row, GError **error);
gboolean hf_inv_task_state(const HfInventory *inv, const char *id, const char *state, GError **error);
gboolean hf_inv_task_resume(const HfInventory *inv, const char *id, const char *resume, GError **error);

/* What a mover measured so far. Busy times in microseconds since the task began. */
typedef struct HfTaskFigures {
  gint64 duration_us;
  gint64 total_bytes; /* 0: not known yet */
  gint64 processed_bytes, read_bytes, transferred_bytes;
  gint64 busy_source_us, busy_proxy_us, busy_network_us, busy_target_us, busy_throttle_us;
} HfTaskFigures;
/* Sets figures, rate (processed bytes a second), percent (of total; 99 at most until it ends) and the bottleneck: who
 * was busiest. The session's sizes become the sums over its tasks, its percent their mean weighted by total. */
gboolean hf_inv_task_progress(const HfInventory *inv, const char *id, const HfTaskFigures *figures, GError **error);
/* `figures`, `point_id` (row of restore_points), `algorithm` may be NULL: stay. */
gboolean hf_inv_task_finish(const HfInventory *inv, const char *id, const char *result, const char *message,
                            const char *algorithm, const char *point_id, const HfTaskFigures *figures, GError **error);
/* The row of the point that the task made, once the catalogue has it: the one thing that is told after the task's
 * end. */
gboolean hf_inv_task_point(const HfInventory *inv, const char *id, const char *point_id, GError **error);
/* The worst of the results of the session's tasks: Failed, Warning, Success; "None" without tasks. Static. NULL on
 * error. */
const char *hf_inv_tasks_result(const HfInventory *inv, const char *session_id, GError **error);

/* Who was busiest: the word for `bottleneck`. Static. Pure. */
const char *hf_task_bottleneck(const HfTaskFigures *figures);

/* Deletes sessions that ended before `before`, with tasks and logs, but the last of each job. */
gboolean hf_inv_sessions_sweep(const HfInventory *inv, gint64 before, GError **error);
