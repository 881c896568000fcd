/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "program/actions.h"

#include <string.h>

#include "base/error.h"

/* Permission was checked by the interface; the actor is for sessions and the audit trail. */
static HfActor actor_of(const HfApiActor *by)
{
  return (HfActor){ .account_id = by->account_id, .account = by->account, .address = by->peer,
                    .role = HF_ROLE_ADMINISTRATOR };
}

static void traffic_changed(gpointer data)
{
  hf_jobs_traffic_changed(((HfProgramActions *)data)->jobs);
}

/* ---- Jobs and sessions. ---- */

static gboolean job_start(gpointer data, const HfApiActor *by, const char *job_id, gboolean full, char **session,
                          GError **error)
{
  HfActor actor = actor_of(by);
  return hf_jobs_start(((HfProgramActions *)data)->jobs, &actor, job_id, full, session, error);
}

static gboolean job_stop(gpointer data, const HfApiActor *by, const char *job_id, gboolean graceful, char **session,
                         GError **error)
{
  HfActor actor = actor_of(by);
  return hf_jobs_stop(((HfProgramActions *)data)->jobs, &actor, job_id, graceful, session, error);
}

static gboolean job_retry(gpointer data, const HfApiActor *by, const char *job_id, char **session, GError **error)
{
  HfActor actor = actor_of(by);
  return hf_jobs_retry(((HfProgramActions *)data)->jobs, &actor, job_id, session, error);
}

static gboolean session_stop(gpointer data, const HfApiActor *by, const char *session_id, gboolean graceful,
                             GError **error)
{
  HfActor actor = actor_of(by);
  return hf_jobs_stop_session(((HfProgramActions *)data)->jobs, &actor, session_id, graceful, error);
}

static void jobs_changed(gpointer data, const char *job_id G_GNUC_UNUSED)
{
  const HfProgramActions *real = data;
  if (real->scheduler != NULL)
    hf_scheduler_changed(real->scheduler);
}

/* ---- Hosts. ---- */

static gboolean host_add(gpointer data, const HfApiActor *by, const HfApiHostSpec *spec, char **session, GError **error)
{
  const HfProgramActions *real = data;
  HfActor actor = actor_of(by);
  HfManagedWish wish = {
    .address = spec->name, .description = spec->description, .token = spec->ssh ? NULL : spec->token,
    .credential_id = spec->credential_id, .user = spec->user, .password = spec->password,
    .private_key = spec->private_key, .passphrase = spec->passphrase, .host_key = spec->fingerprint,
    .sudo = spec->elevate, .ssh_port = (guint16)spec->ssh_port,
    .package = real->agent_package, .program = real->agent_package == NULL ? real->agent_program : NULL,
  };
  return hf_managed_add(real->managed, &actor, &wish, session, error);
}

static gboolean host_rescan(gpointer data, const HfApiActor *by, const char *host_id, char **session, GError **error)
{
  HfActor actor = actor_of(by);
  return hf_managed_rescan(((HfProgramActions *)data)->managed, &actor, host_id, session, error);
}

static gboolean host_upgrade(gpointer data, const HfApiActor *by, const char *host_id, char **session, GError **error)
{
  const HfProgramActions *real = data;
  HfActor actor = actor_of(by);
  gboolean package = real->agent_package != NULL;
  const char *path = package ? real->agent_package : real->agent_program;
  if (path == NULL)
    return hf_fail(error, HF_ERROR_UNSUPPORTED, "this server has no agent for hosts; name one with 'agent-package' in "
                   "its configuration");
  HfManagedAgent agent = { .path = path, .package = package, .version = HF_VERSION };
  return hf_managed_upgrade(real->managed, &actor, host_id, &agent, session, error);
}

static gboolean host_role(gpointer data, const HfApiActor *by, const char *host_id, const char *role,
                          const char *action, char **session, GError **error)
{
  HfActor actor = actor_of(by);
  HfManagedRole wish = { .role = role, .act = HF_INSTALLER_ROLE_ACT_RESTART };
  if (strcmp(action, "Start") == 0)
    wish.act = HF_INSTALLER_ROLE_ACT_START;
  else if (strcmp(action, "Stop") == 0)
    wish.act = HF_INSTALLER_ROLE_ACT_STOP;
  return hf_managed_role(((HfProgramActions *)data)->managed, &actor, host_id, &wish, session, error);
}

static gboolean host_logs(gpointer data, const HfApiActor *by, const char *host_id, char **session, GError **error)
{
  HfActor actor = actor_of(by);
  return hf_managed_logs(((HfProgramActions *)data)->managed, &actor, host_id, session, error);
}

static GBytes *host_logs_read(gpointer data, const char *host_id, GError **error)
{
  return hf_managed_logs_read(((HfProgramActions *)data)->managed, host_id, error);
}

static gboolean host_remove(gpointer data, const HfApiActor *by, const char *host_id, char **session, GError **error)
{
  HfActor actor = actor_of(by);
  return hf_managed_remove(((HfProgramActions *)data)->managed, &actor, host_id, session, error);
}

static gboolean host_key(gpointer data G_GNUC_UNUSED, const char *host, int ssh_port, char **fingerprint,
                         char **algorithm, GError **error)
{
  *fingerprint = hf_ssh_host_key(host, (guint16)ssh_port, error);
  if (*fingerprint == NULL)
    return FALSE;
  *algorithm = g_strdup("SHA256");
  return TRUE;
}

/* ---- Repositories. ---- */

static gboolean repository_create(gpointer data, const HfApiActor *by, const HfApiRepositorySpec *spec, char **session,
                                  GError **error)
{
  HfActor actor = actor_of(by);
  HfJobsNewRepository wanted = {
    .name = spec->name, .description = spec->description, .host_id = spec->host_id, .path = spec->path,
    .hardened = spec->hardened, .import = spec->import, .immutable_days = spec->immutable_days,
    .max_tasks = spec->max_tasks, .rate_bytes = spec->rate_bytes, .password_id = spec->password_id,
  };
  return hf_jobs_create_repository(((HfProgramActions *)data)->jobs, &actor, &wanted, session, error);
}

static gboolean repository_rescan(gpointer data, const HfApiActor *by, const char *repository_id, char **session,
                                  GError **error)
{
  HfActor actor = actor_of(by);
  return hf_jobs_rescan_repository(((HfProgramActions *)data)->jobs, &actor, repository_id, session, error);
}

static gboolean repository_remove(gpointer data, const HfApiActor *by, const char *repository_id, gboolean backups,
                                  GError **error)
{
  HfActor actor = actor_of(by);
  return hf_jobs_remove_repository(((HfProgramActions *)data)->jobs, &actor, repository_id, backups, error);
}

/* ---- Backups. ---- */

static gboolean backup_delete(gpointer data, const HfApiActor *by, const char *backup_id, const char *object_id,
                              char **session, GError **error)
{
  HfActor actor = actor_of(by);
  return hf_jobs_delete_backup(((HfProgramActions *)data)->jobs, &actor, backup_id, object_id, session, error);
}

static gboolean health_check(gpointer data, const HfApiActor *by, const char *const *backup_ids,
                             const char *const *job_ids, gboolean repair G_GNUC_UNUSED, GPtrArray *sessions,
                             GError **error)
{
  HfJobs *jobs = ((HfProgramActions *)data)->jobs;
  HfActor actor = actor_of(by);
  g_autoptr(GPtrArray) ids = hf_jobs_backups_of(jobs, job_ids, error);
  if (ids == NULL)
    return FALSE;
  for (guint i = 0; backup_ids != NULL && backup_ids[i] != NULL; i++)
    g_ptr_array_add(ids, g_strdup(backup_ids[i]));
  for (guint i = 0; i < ids->len; i++) {
    char *session;
    if (!hf_jobs_health_check(jobs, &actor, ids->pdata[i], &session, error))
      return FALSE;
    g_ptr_array_add(sessions, session);
  }
  return TRUE;
}

/* ---- Restore of files. ---- */

static gboolean mount(gpointer data, const HfApiActor *by, const char *point_id, guint idle_minutes,
                      const char *reason G_GNUC_UNUSED, char **session, GError **error)
{
  HfActor actor = actor_of(by);
  return hf_jobs_mount(((HfProgramActions *)data)->jobs, &actor, point_id, idle_minutes, session, error);
}

typedef struct Sink {
  HfApiEntrySink sink;
  gpointer to;
} Sink;

static gboolean give_entry(const HfJobsEntry *entry, gpointer user)
{
  const Sink *sink = user;
  g_autofree char *owner = g_strdup_printf("%u:%u", entry->uid, entry->gid);
  HfApiEntry told = { .name = entry->name, .location = entry->folder, .owner = owner, .link = entry->link,
                      .type = entry->type, .size = entry->size, .changed = entry->ctime_ns / 1000,
                      .modified = entry->mtime_ns / 1000 };
  return sink->sink(&told, sink->to);
}

static gboolean browse(gpointer data, const char *mount_id, const char *path, HfApiEntrySink sink, gpointer to,
                       GError **error)
{
  Sink given = { sink, to };
  return hf_jobs_browse(((HfProgramActions *)data)->jobs, mount_id, path, give_entry, &given, error);
}

static gboolean search(gpointer data, const char *mount_id, const char *path, const char *text, HfApiEntrySink sink,
                       gpointer to, GError **error)
{
  Sink given = { sink, to };
  HfJobs *jobs = ((HfProgramActions *)data)->jobs;
  return hf_jobs_search(jobs, mount_id, *path == '\0' ? "/" : path, text, give_entry, &given, error);
}

static gboolean restore(gpointer data, const HfApiActor *by, const HfApiRestoreSpec *spec, char **session,
                        GError **error)
{
  HfJobs *jobs = ((HfProgramActions *)data)->jobs;
  HfActor actor = actor_of(by);
  if (spec->metadata_only)
    return hf_fail(error, HF_ERROR_UNSUPPORTED, "restoring owners and rights alone is not possible yet");
  g_autofree char *point = hf_jobs_mounted_point(jobs, spec->mount_id, error);
  HfJobsRestore wanted = { .point_id = point, .paths = spec->paths, .host_id = spec->host_id, .target = spec->target,
                           .overwrite = !spec->keep, .keep = spec->keep, .parent_session = spec->mount_id };
  return point != NULL && hf_jobs_restore(jobs, &actor, &wanted, session, error);
}

static gboolean unmount(gpointer data, const HfApiActor *by, const char *mount_id, GError **error)
{
  HfActor actor = actor_of(by);
  return hf_jobs_unmount(((HfProgramActions *)data)->jobs, &actor, mount_id, error);
}

void hf_program_actions(HfProgramActions *real, HfApiActions *actions)
{
  *actions = (HfApiActions){
    .data = real,
    .job_start = job_start, .job_stop = job_stop, .job_retry = job_retry, .session_stop = session_stop,
    .jobs_changed = jobs_changed, .traffic_changed = traffic_changed,
    .host_add = host_add, .host_rescan = host_rescan, .host_upgrade = host_upgrade, .host_role = host_role,
    .host_logs = host_logs, .host_logs_read = host_logs_read, .host_remove = host_remove, .host_key = host_key,
    .repository_create = repository_create, .repository_rescan = repository_rescan,
    .repository_remove = repository_remove,
    .backup_delete = backup_delete, .health_check = health_check,
    .mount = mount, .browse = browse, .search = search, .restore = restore, .unmount = unmount,
  };
}
