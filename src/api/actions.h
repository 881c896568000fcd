/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the interface asks of the rest of the server: everything that takes longer than a query. src/bin fills the table
 * with the real functions (server/jobs, server/hosts), tests with their own.
 *
 * The rules for whoever implements them:
 * - `data` is the table's own. Called from several threads at once. `by` and what it points to live for the call.
 * - A function that takes a `session` starts something and returns at once (within 100 ms, or 5 s where it says "asks
 *   the host"). It has then written a session row, and `*session` is its id, to be freed by the caller. The work itself
 *   may fail later: that is the session's result. What can be refused at once is refused by an error and no session.
 * - Ids are UUIDs as text (36 characters, lower case), checked for their form but not for their existence:
 *   HF_ERROR_NOT_FOUND when there is no such thing, HF_ERROR_EXISTS or HF_ERROR_BUSY when its state forbids it,
 *   HF_ERROR_USAGE when a value makes no sense, HF_ERROR_PERMISSION when it must not be (a lock, for instance),
 *   HF_ERROR_UNSUPPORTED when this server cannot do it. The message reaches the caller as it is.
 * - Permission was checked and the audit line is written by the interface, before and after the call.
 * - A member that is NULL means that this server has no such thing: the caller hears "not implemented".
 */
#pragma once

#include <glib.h>

typedef struct HfApiActor {
  const char *account_id;
  const char *account; /* its name: what "initiatedBy" says */
  const char *peer;    /* address of the caller, as text */
} HfApiActor;

/* A host to be added. Either `ssh` or `token`. Secrets are the caller's, who wipes them. */
typedef struct HfApiHostSpec {
  const char *name;           /* DNS name or address */
  const char *description;    /* "" when there is none */
  gboolean ssh;               /* by SSH with `credential_id` or the single use values below; else by token */
  const char *credential_id;  /* stored credential, or NULL */
  const char *user;           /* single use: instead of credential_id */
  const char *password;       /* or NULL */
  const char *private_key;    /* PEM or OpenSSH text, or NULL */
  const char *passphrase;     /* of the key, or NULL */
  gboolean elevate;           /* use sudo */
  int ssh_port;               /* 0: the usual one */
  const char *fingerprint;    /* "SHA256:..." that the host key must have; NULL: refuse (the caller shows it first) */
  const char *token;          /* what `holdfast-agent enroll --token` was started with */
} HfApiHostSpec;

typedef struct HfApiRepositorySpec {
  const char *name;
  const char *description;
  const char *host_id;
  const char *path;           /* absolute, on that host */
  gboolean hardened;          /* the service is the only deleter */
  guint immutable_days;       /* 0: none; at least 1 when hardened */
  guint max_tasks;            /* 0: no limit */
  guint64 rate_bytes;         /* bytes a second, 0: no limit */
  gboolean import;            /* a repository is there already: open it and read its points */
  const char *password_id;    /* encryption password (row of encryption_passwords), or NULL: the server makes one */
} HfApiRepositorySpec;

typedef struct HfApiRestoreSpec {
  const char *mount_id;            /* session of a mounted point */
  const char *const *paths;        /* NULL ended, absolute, as the point has them */
  const char *host_id;             /* where to; NULL: the host the point came from */
  const char *target;              /* folder there; NULL: the original places */
  gboolean keep;                   /* leave what exists and write beside it; else overwrite */
  gboolean metadata_only;          /* owner, mode, ACL only */
} HfApiRestoreSpec;

/* One entry of a folder of a mounted point. */
typedef struct HfApiEntry {
  const char *name;
  const char *location;  /* folder it is in */
  const char *owner;     /* or NULL */
  const char *link;      /* target of a symbolic link, or NULL */
  char type;             /* 'd', 'f', 'l' (link) or 'o' (other) */
  guint64 size;          /* bytes */
  gint64 changed;        /* microseconds since 1970: birth or, where unknown, change of the inode */
  gint64 modified;       /* microseconds since 1970 */
} HfApiEntry;

/* Gets each entry; FALSE ends the listing. The entry lives for the call. */
typedef gboolean (*HfApiEntrySink)(const HfApiEntry *entry, gpointer to);

typedef struct HfApiActions {
  gpointer data;

  /* ---- Jobs and sessions. ---- */
  gboolean (*job_start)(gpointer data, const HfApiActor *by, const char *job_id, gboolean full, char **session,
                        GError **error);
  /* `graceful`: tasks that run end as they would; else they are cancelled at once (the checkpoint stays). The session
   * is that of the run that is stopped. HF_ERROR_USAGE when the job does not run. */
  gboolean (*job_stop)(gpointer data, const HfApiActor *by, const char *job_id, gboolean graceful, char **session,
                       GError **error);
  gboolean (*job_retry)(gpointer data, const HfApiActor *by, const char *job_id, char **session, GError **error);
  gboolean (*session_stop)(gpointer data, const HfApiActor *by, const char *session_id, gboolean graceful,
                           GError **error);
  /* Told after a job was created, changed, enabled, disabled or deleted: plan anew. */
  void (*jobs_changed)(gpointer data, const char *job_id);
  /* Told after traffic rules changed: share them anew among running tasks. */
  void (*traffic_changed)(gpointer data);

  /* ---- Hosts. ---- */
  gboolean (*host_add)(gpointer data, const HfApiActor *by, const HfApiHostSpec *spec, char **session, GError **error);
  gboolean (*host_rescan)(gpointer data, const HfApiActor *by, const char *host_id, char **session, GError **error);
  /* Sends it the agent that hosts get that are added by SSH. */
  gboolean (*host_upgrade)(gpointer data, const HfApiActor *by, const char *host_id, char **session, GError **error);
  /* `role` "transport" or "installer", `action` "Start", "Stop" or "Restart". */
  gboolean (*host_role)(gpointer data, const HfApiActor *by, const char *host_id, const char *role, const char *action,
                        char **session, GError **error);
  /* Fetches its logs, and gives those that were fetched last, a tar file: HF_ERROR_NOT_FOUND when there are none. */
  gboolean (*host_logs)(gpointer data, const HfApiActor *by, const char *host_id, char **session, GError **error);
  GBytes *(*host_logs_read)(gpointer data, const char *host_id, GError **error);
  /* Revokes its certificates. HF_ERROR_EXISTS while repositories or jobs name it. */
  gboolean (*host_remove)(gpointer data, const HfApiActor *by, const char *host_id, char **session, GError **error);
  /* Asks the host for its SSH key: `*fingerprint` "SHA256:...", `*algorithm` "ssh-ed25519", both to be freed. */
  gboolean (*host_key)(gpointer data, const char *host, int ssh_port, char **fingerprint, char **algorithm,
                       GError **error);

  /* ---- Repositories. ---- */
  gboolean (*repository_create)(gpointer data, const HfApiActor *by, const HfApiRepositorySpec *spec, char **session,
                                GError **error);
  /* Rebuilds the catalogue of its points and asks for its free space. */
  gboolean (*repository_rescan)(gpointer data, const HfApiActor *by, const char *repository_id, char **session,
                                GError **error);
  /* Told after name, limits or days of immutability of a repository changed in the database. */
  void (*repository_changed)(gpointer data, const char *repository_id);
  /* Forgets it; what it stores stays on its disk unless `backups`, which deletes its points first (locks hold). */
  gboolean (*repository_remove)(gpointer data, const HfApiActor *by, const char *repository_id, gboolean backups,
                                GError **error);

  /* ---- Backups. ---- */
  /* `object_id` NULL: all its objects. Points under lock stay and make the session end with a warning. */
  gboolean (*backup_delete)(gpointer data, const HfApiActor *by, const char *backup_id, const char *object_id,
                            char **session, GError **error);
  /* One session for each backup; `sessions` gets text ids (free function set). Either list may be empty. */
  gboolean (*health_check)(gpointer data, const HfApiActor *by, const char *const *backup_ids,
                           const char *const *job_ids, gboolean repair, GPtrArray *sessions, GError **error);

  /* ---- Restore of files. ---- */
  /* Opens a point for browsing. The session has type "FileLevelRestore" and the point (row of restore_points) as its
   * resource_id; it goes on until unmount or `idle_minutes` without a call (0: 30). */
  gboolean (*mount)(gpointer data, const HfApiActor *by, const char *point_id, guint idle_minutes, const char *reason,
                    char **session, GError **error);
  /* Entries of one folder, in no order. "/" and "" are the top. Asks the host that reads the point. */
  gboolean (*browse)(gpointer data, const char *mount_id, const char *path, HfApiEntrySink sink, gpointer to,
                     GError **error);
  /* Entries below `path` whose name holds `text` (no case). The sink may end it. */
  gboolean (*search)(gpointer data, const char *mount_id, const char *path, const char *text, HfApiEntrySink sink,
                     gpointer to, GError **error);
  gboolean (*restore)(gpointer data, const HfApiActor *by, const HfApiRestoreSpec *spec, char **session,
                      GError **error);
  gboolean (*unmount)(gpointer data, const HfApiActor *by, const char *mount_id, GError **error);
} HfApiActions;
