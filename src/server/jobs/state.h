/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of server/jobs share. */
#pragma once

#include "net/messages/work.h"
#include "repo/points.h"
#include "server/inventory/catalogue.h"
#include "server/inventory/credentials.h"
#include "server/inventory/hosts.h"
#include "server/inventory/jobs.h"
#include "server/inventory/repositories.h"
#include "server/inventory/sessions.h"
#include "server/jobs/broker.h"
#include "server/jobs/config.h"
#include "server/jobs/jobs.h"

#define HF_JOBS_STREAMS 5u

struct HfJobs {
  HfJobsParts parts;
  const HfInventory *inv; /* parts.inventory */
  HfScheduler *scheduler;
  GMutex lock; /* guards what follows */
  GCond changed; /* a result came, a slot is free, a host went or came, a session is to stop */
  gboolean ending;
  HfCancel cancel; /* set when it ends: for doors that no run has opened */
  GList *opening;  /* GPtrArray * of HfChannel: of doors that are being opened */
  guint telling; /* threads that tell the scheduler something */
  GHashTable *runs;   /* session id to HfJobsRun* */
  GHashTable *tasks;  /* task row id to HfJobsTask*: those that somebody waits for; borrowed */
  GHashTable *early;  /* task row id to HfJobsResult*: results of open rows that nobody waits for yet; owned */
  GHashTable *slots;  /* "repository:ID", "host:ID" to how many are taken */
  GHashTable *away;   /* host id to gint64*: monotonic microseconds since when */
  GHashTable *mounts; /* session id to HfJobsMount*, owned (mounts.c) */
  GMutex writers;     /* one at a time makes writers and repositories */
  HfBroker *broker;   /* shares what traffic rules leave (limits.c) */
};

/* ---- Sessions with a thread (session.c). ---- */
typedef struct HfJobsRun HfJobsRun;
/* Does what the session is for. FALSE with HF_ERROR_CANCELLED: it was stopped. Lines, tasks and warnings go into the
 * database meanwhile; *result may be set to HF_RESULT_WARNING. Returns early without an error when hf_run_ending. */
typedef gboolean (*HfJobsWork)(HfJobsRun *run, gpointer data, const char **result, GError **error);
struct HfJobsRun {
  HfJobs *jobs;
  char *session; /* id */
  char *job;     /* id, or NULL */
  HfCancel cancel;       /* set by "now": for what this process does itself */
  gint stop;             /* atomic: HfJobsStop */
  HfJobsWork work;
  gpointer data;
  GDestroyNotify free_data;
};
typedef enum HfJobsStop { HF_JOBS_GO_ON, HF_JOBS_STOP_GRACEFUL, HF_JOBS_STOP_NOW } HfJobsStop;

/* Makes the row and starts the thread; takes `data` over in any case. `*session` is a copy of the id. */
gboolean hf_jobs_spawn(HfJobs *jobs, const HfActor *actor, HfSessionRow *row, HfJobsWork work, gpointer data,
                       GDestroyNotify free_data, char **session, GError **error);
/* The same for a row that is there: a session that is taken up. */
void hf_jobs_spawn_row(HfJobs *jobs, const char *session, const char *job, HfJobsWork work, gpointer data,
                       GDestroyNotify free_data);
HfJobsStop hf_run_stop(HfJobsRun *run);
/* The server ends: let go, the next one takes the session up. */
gboolean hf_run_ending(HfJobsRun *run);
/* A line of the session's log; failing to write it is not what the work is about. */
void hf_run_log(HfJobsRun *run, const char *status, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* ---- Tasks on hosts (tasks.c). ---- */
typedef struct HfJobsResult {
  GError *why;   /* NULL: done */
  GBytes *bytes; /* never NULL */
  guint64 wire_sent, wire_received;
} HfJobsResult;
void hf_jobs_result_free(HfJobsResult *result);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfJobsResult, hf_jobs_result_free)

typedef struct HfJobsTask {
  char *id; /* of its row */
  char *host_id;
  HfJobsResult *result; /* under jobs->lock; NULL: not yet */
  gint64 begun;         /* microseconds since 1970 */
  gboolean receives;    /* what it transfers is what comes to the host, else what leaves it */
} HfJobsTask;
/* Registers a task before it is ordered: what the host tells about it is taken from then on. */
HfJobsTask *hf_jobs_task_new(HfJobs *jobs, const char *id, const char *host_id, gboolean receives);
void hf_jobs_task_free(HfJobs *jobs, HfJobsTask *task);
/* Waits for its result: NULL with HF_ERROR_IO when its host is lost, with HF_ERROR_CANCELLED and hf_run_ending when
 * the server ends. A stop "now" is passed on to the host; the result then tells how it ended. Borrowed from the task.
 * */
const HfJobsResult *hf_jobs_task_wait(HfJobsRun *run, HfJobsTask *task, GError **error);
/* Takes slots (keys as in HfJobs.slots; limit 0: none), all at once; waits until they are free. */
typedef struct HfJobsSlot {
  char *key;
  gint64 limit;
} HfJobsSlot;
gboolean hf_jobs_slots_take(HfJobsRun *run, const HfJobsSlot *slots, guint count, GError **error);
void hf_jobs_slots_give(HfJobs *jobs, const HfJobsSlot *slots, guint count);

/* ---- Repositories (reach.c). ---- */
/* What a host is to have in hand to reach a repository: a ticket at its host, and links that show it. */
typedef struct HfJobsWay {
  HfJobs *jobs;
  HfJobTicket ticket;
  HfJobTicketOpen open;
  char *host_id; /* of the repository */
  char *preferred; /* its address in a preferred network, or NULL */
} HfJobsWay;
/* `peer_id` NULL: this server itself. `writer` NULL: none. `patience`: seconds that its task may take before it
 * connects, more than usual. */
gboolean hf_jobs_way_open(HfJobs *jobs, HfJobsWay *way, const HfRepositoryRow *repository, const char *peer_id,
                          guint32 rights, const HfShortId *writer, guint streams, guint patience, gboolean create,
                          GError **error);
void hf_jobs_way_close(HfJobsWay *way);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HfJobsWay, hf_jobs_way_close)
/* Links of a task that goes this way, which must live until they are ordered. */
void hf_jobs_way_links(const HfJobsWay *way, const char *role, HfJobLink *links);

/* A repository that this server has opened itself. */
typedef struct HfJobsDoor {
  HfJobsWay way;
  HfStore *store; /* until it was handed to `repo` */
  HfRepo *repo;   /* NULL: only the store */
} HfJobsDoor;
/* The store alone (keys are not needed, a repository need not be there). */
HfJobsDoor *hf_jobs_door_store(HfJobs *jobs, const HfRepositoryRow *repository, guint32 rights, gboolean create,
                               GError **error);
/* Nobody waits any more for who does not answer a door that is being opened. jobs->lock is held. */
void hf_jobs_doors_break(HfJobs *jobs);
/* The repository, with its password; `report` and `cancel` may be NULL. */
HfJobsDoor *hf_jobs_door_open(HfJobs *jobs, const HfRepositoryRow *repository, guint32 rights, HfReport *report,
                              HfCancel *cancel, GError **error);
void hf_jobs_door_free(HfJobsDoor *door);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfJobsDoor, hf_jobs_door_free)

/* The write-only credential of a host in a repository, made when there is none: its text (hf_secret_free) and id. */
char *hf_jobs_writer(HfJobs *jobs, const char *host_id, const HfRepositoryRow *repository, HfShortId *writer,
                     GError **error);
/* Removes the writers of a host that is gone, HfWriterRow*, from their repositories and the siblings of these. What
 * they wrote stays readable. FALSE, with a warning in the log of `run` for each, when a repository cannot be told. */
gboolean hf_jobs_writers_remove(HfJobs *jobs, HfJobsRun *run, const GPtrArray *rows);
/* A pass for what is stored in `domain`: hf_secret_free. */
char *hf_jobs_pass(HfJobs *jobs, const HfRepositoryRow *repository, guint32 domain, GError **error);

/* "HOST:/path"; caller frees. */
char *hf_jobs_location(HfJobs *jobs, const HfRepositoryRow *repository);
/* Fills in location, links and fingerprint. */
void hf_jobs_describe(HfJobs *jobs, const HfRepositoryRow *repository, guint first_link, guint links,
                      HfWorkRepository *out);

/* ---- Limits of traffic (limits.c). ---- */
/* Addresses of the data connections that one host makes to another. */
typedef struct HfJobsRoute {
  char *source, *target; /* by which traffic rules decide; NULL: the same host, or not known */
  char *preferred;       /* the target's address in a preferred network, to be called first; NULL: none */
} HfJobsRoute;
void hf_jobs_route(HfJobs *jobs, const char *from_id, const char *to_id, HfJobsRoute *route);
void hf_jobs_route_clear(HfJobsRoute *route);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HfJobsRoute, hf_jobs_route_clear)
HfBroker *hf_jobs_broker_new(HfJobs *jobs);
/* Bytes a second that a task of a host with a repository may have, 0 for no limit; it is told of changes until
 * hf_jobs_task_free. May wait some seconds. `running`: it was ordered before, and is told; returns 0. */
guint64 hf_jobs_limit(HfJobs *jobs, const char *task_id, const char *host_id, const HfRepositoryRow *repository,
                      gboolean running);
/* The tasks of a session that went on while there was no server. */
void hf_jobs_limit_running(HfJobs *jobs, const char *session_id);

/* ---- The catalogue (points.c). ---- */
#define HF_JOBS_TAG_JOB "job="
#define HF_JOBS_TAG_TYPE "job-type="
#define HF_JOBS_TAG_JOB_NAME "job-name="
#define HF_JOBS_TAG_OBJECT "object="
#define HF_JOBS_TAG_TASK "task=" /* row of the task that made it: no task makes two */
/* Puts a point that was read with keys into the catalogue. `task` NULL: not made by a task that is known. `row_id` (may
 * be NULL) becomes the id of its row, caller frees. */
gboolean hf_jobs_catalogue(HfJobs *jobs, const HfRepositoryRow *repository, const HfPointInfo *info,
                           const HfTaskRow *task, gboolean first, guint64 lock_now, char **row_id, GError **error);
/* Is point `number` of `infos` (HfPointInfo*, oldest first) the first of its source? */
gboolean hf_jobs_is_first(const GPtrArray *infos, guint number);
/* Was the point made by this job? */
gboolean hf_jobs_is_of(const HfPointInfo *info, const char *job_id);
/* The point that a task made, found by its tag: `done` becomes what the task would have told. FALSE when there is none,
 * or when the repository cannot be asked. */
gboolean hf_jobs_find_made(HfJobs *jobs, const HfRepositoryRow *repository, const char *task_id,
                           HfWorkBackupDone *done);
/* Brings the catalogue of a repository up to date with what it holds; *points counts. */
gboolean hf_jobs_rescan(HfJobs *jobs, const HfRepositoryRow *repository, guint *points, GError **error);
/* Likewise through a door that is open with its keys; the points that it holds, or NULL. */
GPtrArray *hf_jobs_rescan_by(HfJobs *jobs, const HfRepositoryRow *repository, HfJobsDoor *door, GError **error);
/* Puts down which repository it is. HF_ERROR_EXISTS when another row is about the same one. */
gboolean hf_jobs_note_identity(HfJobs *jobs, const HfRepositoryRow *repository, HfJobsDoor *door, GError **error);
/* Asks for its space and puts that down. */
gboolean hf_jobs_space(HfJobs *jobs, const HfRepositoryRow *repository, HfJobsDoor *door, GError **error);

/* Writes a setting of the server. */
gboolean hf_jobs_setting(HfJobs *jobs, const char *name, const char *value, GError **error);

/* ---- Retention (retention.c). ---- */
/* Forgets, by the rules of the config, those of `points` (HfPointInfo*, all of the repository) that are the job's, and
 * prunes when anything went. The catalogue is told which are kept for a week, a month or a year. */
gboolean hf_jobs_retain(HfJobsRun *run, HfJobsDoor *door, const HfRepositoryRow *repository, const HfJobConfig *config,
                        const GPtrArray *points, const char *job_id, GError **error);

/* ---- Mounts (mounts.c). ---- */
void hf_jobs_mounts_close(HfJobs *jobs);
/* The domain of a point (hex id), asked of its repository. */
gboolean hf_jobs_point_domain(HfJobs *jobs, const HfRepositoryRow *repository, const char *point, guint32 *domain,
                              GError **error);
