/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The job runner: turns jobs into sessions, sessions into tasks on hosts, and what hosts tell into rows of the
 * database.
 *
 * INVARIANTS
 * 1. What a session is to do next can be told from its rows alone: a server that was killed goes on where it was. A
 *    task is ordered under the id of its row, so that it never runs twice at a time, and its point carries that id, so
 *    that it never makes two.
 * 2. A point is in the catalogue only after the repository's service has committed it.
 * 3. Slots: no repository has more tasks at a time than its limit, no host more than its proxy's (or one for each
 *    session where it has none).
 * 4. A session ends: every task ends by a result, a cancel, or the loss of its host.
 *
 * Threads: any. Every session has one thread; what hosts tell comes on theirs and only wakes it.
 */
#pragma once

#include "server/inventory/inventory.h"
#include "server/jobs/hosts.h"
#include "server/notify/notify.h"
#include "server/schedule/scheduler.h"

typedef struct HfJobs HfJobs;

typedef struct HfJobsParts {
  const HfInventory *inventory;
  HfJobHosts hosts;
  HfNotify *notify;         /* may be NULL */
  const char *state_folder; /* for index caches */
} HfJobsParts;

/* Nothing runs yet. `parts` is copied; what it points to is borrowed. */
HfJobs *hf_jobs_new(const HfJobsParts *parts);
/* Asks all sessions of this server to let go; tasks on hosts go on. From here on what fails is not put down as failed:
 * the next server takes it up. Does not wait. */
void hf_jobs_begin_end(HfJobs *jobs);
/* The same, and waits for their threads. What hosts tell is still taken afterwards. NULL is allowed. */
void hf_jobs_end(HfJobs *jobs);
/* Ends, and frees: nobody may tell anything any more. */
void hf_jobs_free(HfJobs *jobs);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfJobs, hf_jobs_free)
/* Takes up the sessions that were open when the server ended. Once hosts may be called. */
gboolean hf_jobs_resume(HfJobs *jobs, GError **error);
/* The scheduler that is told when runs end; it needs the calls below. May be NULL. */
void hf_jobs_set_scheduler(HfJobs *jobs, HfScheduler *scheduler);
gboolean hf_jobs_scheduled(gpointer jobs, const char *job_id, HfStartReason reason, const char *session_id,
                           GError **error);
void hf_jobs_window_closed(gpointer jobs, const char *job_id, const char *session_id);

/* Traffic rules were changed: tasks that run are told what they leave them from now on. */
void hf_jobs_traffic_changed(HfJobs *jobs);

/* ---- Jobs and sessions. `*session` (caller frees) is the id of the session that was begun. ---- */
gboolean hf_jobs_start(HfJobs *jobs, const HfActor *actor, const char *job_id, gboolean full, char **session,
                       GError **error);
/* Only what failed in the last run. HF_ERROR_USAGE when nothing did. */
gboolean hf_jobs_retry(HfJobs *jobs, const HfActor *actor, const char *job_id, char **session, GError **error);
gboolean hf_jobs_stop(HfJobs *jobs, const HfActor *actor, const char *job_id, gboolean graceful, char **session,
                      GError **error);
gboolean hf_jobs_stop_session(HfJobs *jobs, const HfActor *actor, const char *session_id, gboolean graceful,
                              GError **error);

/* ---- Repositories. ---- */
typedef struct HfJobsNewRepository {
  const char *name, *description, *host_id, *path;
  gboolean hardened, import;
  guint immutable_days, max_tasks;
  guint64 rate_bytes;
  const char *password_id; /* NULL: a password is made */
} HfJobsNewRepository;
gboolean hf_jobs_create_repository(HfJobs *jobs, const HfActor *actor, const HfJobsNewRepository *wanted,
                                   char **session, GError **error);
gboolean hf_jobs_rescan_repository(HfJobs *jobs, const HfActor *actor, const char *repository_id, char **session,
                                   GError **error);
/* Takes it out of this server; what it stores stays, unless `backups`: then all its points go first (a lock refuses).
 * */
gboolean hf_jobs_remove_repository(HfJobs *jobs, const HfActor *actor, const char *repository_id, gboolean backups,
                                   GError **error);
/* Space of one repository, or of all that have not been asked for a minute: capacity and free are statvfs of the host.
 * */
void hf_jobs_refresh_space(HfJobs *jobs);
/* Rebuilds the catalogue of every repository, one after the other; waits. */
gboolean hf_jobs_rescan_all(HfJobs *jobs, GError **error);

/* ---- Backups. ---- */
gboolean hf_jobs_delete_backup(HfJobs *jobs, const HfActor *actor, const char *backup_id, const char *object_id,
                               char **session, GError **error);
/* Ids (char*) of the backups of these jobs (ended by NULL; NULL: none). */
GPtrArray *hf_jobs_backups_of(HfJobs *jobs, const char *const *job_ids, GError **error);
/* Verifies the repository of a backup where the data lie. */
gboolean hf_jobs_health_check(HfJobs *jobs, const HfActor *actor, const char *backup_id, char **session,
                              GError **error);

/* ---- Restores. ---- */
typedef struct HfJobsRestore {
  const char *point_id;            /* row of restore_points */
  const char *const *paths;        /* NULL: all */
  const char *host_id;             /* NULL: where the point came from */
  const char *target;              /* NULL: the original places */
  gboolean overwrite;              /* replace what is there */
  gboolean keep;                   /* or restore beside it */
  const char *parent_session;      /* the mount it belongs to, or NULL */
} HfJobsRestore;
gboolean hf_jobs_restore(HfJobs *jobs, const HfActor *actor, const HfJobsRestore *wanted, char **session,
                         GError **error);

/* A point opened for looking: read by this server, with its password, from the repository's service. */
gboolean hf_jobs_mount(HfJobs *jobs, const HfActor *actor, const char *point_id, guint idle_minutes, char **session,
                       GError **error);
gboolean hf_jobs_unmount(HfJobs *jobs, const HfActor *actor, const char *mount_session, GError **error);
/* The point that a mount is of; caller frees. */
char *hf_jobs_mounted_point(HfJobs *jobs, const char *mount_session, GError **error);

typedef struct HfJobsEntry {
  const char *name, *folder, *link; /* link: target of a symbolic link, or NULL */
  char type;                        /* 'd', 'f', 'l', 'o' */
  guint32 mode, uid, gid;
  guint64 size;
  gint64 mtime_ns, ctime_ns;
} HfJobsEntry;
/* FALSE ends it. */
typedef gboolean (*HfJobsEntryFunc)(const HfJobsEntry *entry, gpointer user);
gboolean hf_jobs_browse(HfJobs *jobs, const char *mount_session, const char *path, HfJobsEntryFunc func, gpointer user,
                        GError **error);
/* Entries below `path` whose names hold `text`, without regard to case. */
gboolean hf_jobs_search(HfJobs *jobs, const char *mount_session, const char *path, const char *text,
                        HfJobsEntryFunc func, gpointer user, GError **error);
