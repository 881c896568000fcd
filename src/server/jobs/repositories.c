/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sessions about repositories: making, importing, rescanning, deleting what is in them, verifying. */
#include <string.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/work.h"
#include "server/jobs/state.h"
#include "storage/service/service.h"
#include "storage/service/terms.h"

#define SPACE_US (60 * G_USEC_PER_SEC)
#define PASSWORD_HINT "made by the server"
#define PASSWORD_BYTES 24u

/* A session about one repository (or one backup in it). */
typedef struct Errand {
  HfRepositoryRow *repository;
  char *backup_id, *object_id; /* or NULL */
  gboolean import;
} Errand;

static void errand_free(gpointer data)
{
  Errand *errand = data;
  hf_repository_free(errand->repository);
  g_free(errand->backup_id);
  g_free(errand->object_id);
  g_free(errand);
}

static HfSessionRow *new_session(const char *type, const char *name, const HfRepositoryRow *repository)
{
  HfSessionRow *row = g_new0(HfSessionRow, 1);
  row->name = g_strdup(name);
  row->type = g_strdup(type);
  row->repository_id = g_strdup(repository->id);
  row->resource_id = g_strdup(repository->id);
  row->resource_reference = g_strdup_printf("/api/v1/backupInfrastructure/repositories/%s", repository->id);
  return row;
}

/* ---- Making. ---- */

/* A repository of the same password: the new one becomes its sibling, so that points can be copied without keys. */
static HfRepositoryRow *find_family(HfJobs *jobs, const HfRepositoryRow *repository)
{
  g_autoptr(GPtrArray) rows = hf_inv_repositories_load(jobs->inv, NULL);
  for (guint i = 0; rows != NULL && i < rows->len; i++) {
    const HfRepositoryRow *row = rows->pdata[i];
    if (!g_str_equal(row->id, repository->id) && *row->fingerprint != '\0' &&
        g_strcmp0(row->encryption_password_id, repository->encryption_password_id) == 0)
      return hf_inv_repository_get(jobs->inv, row->id, NULL);
  }
  return NULL;
}

static gboolean make_new(HfJobs *jobs, const HfRepositoryRow *repository, HfJobsDoor *door, GError **error)
{
  g_autoptr(HfSecret) password =
    hf_inv_encryption_password_secret(jobs->inv, repository->encryption_password_id, error);
  if (password == NULL)
    return FALSE;
  HfConfig config = { 0 };
  hf_config_defaults(&config);
  HfUnlock unlock = { .kind = HF_UNLOCK_PASSWORD, .text = password, .length = strlen(password) };
  return hf_repo_create(door->store, &config, &unlock, NULL, error);
}

static gboolean make_sibling(HfJobs *jobs, const HfRepositoryRow *like, HfJobsDoor *door, GError **error)
{
  g_autoptr(HfJobsDoor) other = hf_jobs_door_open(jobs, like, HF_TICKET_READ | HF_TICKET_KEYS, NULL, NULL, error);
  return other != NULL && hf_repo_create_like(door->store, other->repo, error);
}

static gboolean make(HfJobsRun *run, const Errand *errand, GError **error)
{
  HfJobs *jobs = run->jobs;
  g_autoptr(HfJobsDoor) door =
    hf_jobs_door_store(jobs, errand->repository, HF_TICKET_KEYS | HF_TICKET_READ, !errand->import, error);
  if (door == NULL)
    return FALSE;
  gboolean there = hf_service_visit(door->store).kept;
  if (errand->import)
    return there || hf_fail(error, HF_ERROR_NOT_FOUND, "there is no repository at '%s'", errand->repository->path);
  if (there)
    return hf_fail(error, HF_ERROR_EXISTS, "there is a repository at '%s' already; import it instead",
                   errand->repository->path);
  g_autoptr(HfRepositoryRow) family = find_family(jobs, errand->repository);
  hf_run_log(run, HF_LINE_NONE, family != NULL ? "Making a sibling of repository '%s'" : "Making the repository%s",
             family != NULL ? family->name : "");
  return family != NULL ? make_sibling(jobs, family, door, error) : make_new(jobs, errand->repository, door, error);
}

/* The family's fingerprint is what agents check, and what tells siblings; the repository's own id tells whether it is
 * here already by another path. */
static gboolean note_identity(HfJobs *jobs, const HfRepositoryRow *repository, GError **error)
{
  g_autoptr(HfJobsDoor) door = hf_jobs_door_open(jobs, repository, HF_TICKET_READ, NULL, NULL, error);
  return door != NULL && hf_jobs_note_identity(jobs, repository, door, error);
}

gboolean hf_jobs_note_identity(HfJobs *jobs, const HfRepositoryRow *repository, HfJobsDoor *door, GError **error)
{
  const HfShortId *id = &door->repo->config.repository, *family = &door->repo->fingerprint;
  g_autofree char *fingerprint = hf_hex(family->b, sizeof family->b), *unique = hf_hex(id->b, sizeof id->b);
  return hf_inv_repository_made(jobs->inv, repository->id, fingerprint, unique, error);
}

static gboolean run_make(HfJobsRun *run, gpointer data, const char **result G_GNUC_UNUSED, GError **error)
{
  const Errand *errand = data;
  HfJobs *jobs = run->jobs;
  guint points = 0;
  g_autoptr(GError) why = NULL;
  g_mutex_lock(&jobs->writers);
  gboolean made = make(run, errand, &why) && note_identity(jobs, errand->repository, &why);
  g_mutex_unlock(&jobs->writers);
  if (!made || !hf_jobs_rescan(jobs, errand->repository, &points, &why)) {
    hf_inv_repository_state(jobs->inv, errand->repository->id, FALSE, why->message, 0, 0, 0, FALSE, NULL);
    /* A row for what could not be made helps nobody; one that could be is kept and shown as offline. */
    if (!made)
      hf_inv_repository_delete(jobs->inv, &hf_actor_server, errand->repository->id, TRUE, NULL);
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
  }
  hf_run_log(run, HF_LINE_SUCCEEDED, "The repository is ready; it holds %u restore points", points);
  return TRUE;
}

/* The password that repositories get which are given none: one for all, so that they are one family. */
static char *common_password(HfJobs *jobs, const HfActor *actor, GError **error)
{
  HF_LOCK(&jobs->writers);
  g_autoptr(HfDbLink) link = hf_db_read(jobs->inv->db, error);
  if (link == NULL)
    return NULL;
  g_autofree char *known = hf_db_setting(link, "repositories.password", error);
  g_clear_pointer(&link, hf_db_release);
  g_autoptr(HfEncryptionPasswordRow) there =
    known == NULL ? NULL : hf_inv_encryption_password_get(jobs->inv, known, NULL);
  if (there != NULL)
    return g_steal_pointer(&known);
  guint8 bytes[PASSWORD_BYTES];
  hf_random(bytes, sizeof bytes);
  g_autoptr(HfSecret) password = g_base64_encode(bytes, sizeof bytes);
  hf_wipe(bytes, sizeof bytes);
  g_autoptr(HfEncryptionPasswordRow) row = g_new0(HfEncryptionPasswordRow, 1);
  row->hint = g_strdup(PASSWORD_HINT);
  if (!hf_inv_encryption_password_create(jobs->inv, actor, row, password, error) ||
      !hf_jobs_setting(jobs, "repositories.password", row->id, error))
    return NULL;
  return g_strdup(row->id);
}

static gboolean write_setting(HfDbLink *link, gpointer user, GError **error)
{
  const char *const *pair = user;
  return hf_db_set_setting(link, pair[0], pair[1], error);
}

gboolean hf_jobs_setting(HfJobs *jobs, const char *name, const char *value, GError **error)
{
  const char *pair[] = { name, value };
  return hf_db_write(jobs->inv->db, write_setting, pair, error);
}

gboolean hf_jobs_create_repository(HfJobs *jobs, const HfActor *actor, const HfJobsNewRepository *wanted,
                                   char **session, GError **error)
{
  g_autoptr(HfRepositoryRow) row = g_new0(HfRepositoryRow, 1);
  row->name = g_strdup(wanted->name);
  row->description = g_strdup(wanted->description != NULL ? wanted->description : "");
  row->type = g_strdup(wanted->hardened ? "LinuxHardened" : "LinuxLocal");
  row->host_id = g_strdup(wanted->host_id);
  row->path = g_strdup(wanted->path);
  row->task_limit = wanted->max_tasks;
  row->rate_limit = (gint64)wanted->rate_bytes;
  row->immutable_days = wanted->immutable_days;
  row->settings = g_strdup("{}");
  row->encryption_password_id =
    wanted->password_id != NULL ? g_strdup(wanted->password_id) : common_password(jobs, actor, error);
  if (row->encryption_password_id == NULL || !hf_inv_repository_create(jobs->inv, actor, row, error))
    return FALSE;
  Errand *errand = g_new0(Errand, 1);
  errand->import = wanted->import;
  errand->repository = hf_inv_repository_get(jobs->inv, row->id, error);
  if (errand->repository == NULL) {
    g_free(errand);
    return FALSE;
  }
  g_autoptr(HfSessionRow) session_row = new_session("Infrastructure", wanted->name, errand->repository);
  return hf_jobs_spawn(jobs, actor, session_row, run_make, errand, errand_free, session, error);
}

/* ---- Rescan. ---- */

static gboolean run_rescan(HfJobsRun *run, gpointer data, const char **result G_GNUC_UNUSED, GError **error)
{
  const Errand *errand = data;
  guint points;
  if (!hf_jobs_rescan(run->jobs, errand->repository, &points, error)) {
    hf_inv_repository_state(run->jobs->inv, errand->repository->id, FALSE,
                            error != NULL && *error != NULL ? (*error)->message : "", 0, 0, 0, FALSE, NULL);
    return FALSE;
  }
  hf_run_log(run, HF_LINE_SUCCEEDED, "%u restore points", points);
  return TRUE;
}

static gboolean spawn_errand(HfJobs *jobs, const HfActor *actor, const char *repository_id, const char *type,
                             HfJobsWork work, Errand *errand, char **session, GError **error)
{
  errand->repository = hf_inv_repository_get(jobs->inv, repository_id, error);
  if (errand->repository == NULL) {
    errand_free(errand);
    return FALSE;
  }
  g_autoptr(HfSessionRow) row = new_session(type, errand->repository->name, errand->repository);
  return hf_jobs_spawn(jobs, actor, row, work, errand, errand_free, session, error);
}

gboolean hf_jobs_rescan_repository(HfJobs *jobs, const HfActor *actor, const char *repository_id, char **session,
                                   GError **error)
{
  return spawn_errand(jobs, actor, repository_id, "RepositoryMaintenance", run_rescan, g_new0(Errand, 1), session,
                      error);
}

gboolean hf_jobs_rescan_all(HfJobs *jobs, GError **error)
{
  g_autoptr(GPtrArray) rows = hf_inv_repositories_load(jobs->inv, error);
  for (guint i = 0; rows != NULL && i < rows->len; i++) {
    guint points;
    if (!hf_jobs_rescan(jobs, rows->pdata[i], &points, error))
      return FALSE;
  }
  return rows != NULL;
}

void hf_jobs_refresh_space(HfJobs *jobs)
{
  g_autoptr(GPtrArray) rows = hf_inv_repositories_load(jobs->inv, NULL);
  for (guint i = 0; rows != NULL && i < rows->len; i++) {
    const HfRepositoryRow *row = rows->pdata[i];
    g_autoptr(GError) why = NULL;
    if (*row->fingerprint == '\0' || row->checked > hf_db_now() - SPACE_US)
      continue;
    g_autoptr(HfJobsDoor) door = hf_jobs_door_store(jobs, row, HF_TICKET_READ, FALSE, &why);
    if (door != NULL)
      hf_jobs_space(jobs, row, door, NULL);
    else
      hf_inv_repository_state(jobs->inv, row->id, FALSE, why->message, 0, 0, 0, FALSE, NULL);
  }
}

/* ---- Deleting backups. ---- */

/* Locked points stay, and make the session end with a warning: everything else goes. */
static GArray *choose(const GPtrArray *rows, guint *locked)
{
  GArray *ids = g_array_new(FALSE, FALSE, sizeof(HfShortId));
  for (guint i = 0; i < rows->len; i++) {
    const HfPointRow *row = rows->pdata[i];
    HfShortId id;
    if (row->locked_until > hf_db_now())
      ++*locked;
    else if (hf_unhex(row->point, id.b, sizeof id.b))
      g_array_append_val(ids, id);
  }
  return ids;
}

static gboolean run_delete(HfJobsRun *run, gpointer data, const char **result, GError **error)
{
  const Errand *errand = data;
  HfJobs *jobs = run->jobs;
  guint locked = 0, forgotten = 0, left = 0;
  HfServicePruned pruned;
  g_autoptr(GPtrArray) rows = hf_inv_points_of(jobs->inv, errand->backup_id, errand->object_id, error);
  if (rows == NULL)
    return FALSE;
  g_autoptr(GArray) ids = choose(rows, &locked);
  g_autoptr(HfJobsDoor) door = hf_jobs_door_store(jobs, errand->repository, HF_TICKET_KEEP, FALSE, error);
  if (door == NULL || !hf_service_forget(door->store, ids, &forgotten, error))
    return FALSE;
  hf_run_log(run, HF_LINE_SUCCEEDED, "%u restore points removed", forgotten);
  if (locked > 0) {
    hf_run_log(run, HF_LINE_WARNING, "%u restore points are locked and stay", locked);
    *result = HF_RESULT_WARNING;
  }
  return hf_service_prune(door->store, FALSE, NULL, &pruned, error) &&
    hf_jobs_rescan(jobs, errand->repository, &left, error);
}

gboolean hf_jobs_delete_backup(HfJobs *jobs, const HfActor *actor, const char *backup_id, const char *object_id,
                               char **session, GError **error)
{
  g_autoptr(HfBackupRow) backup = hf_inv_backup_get(jobs->inv, backup_id, error);
  if (backup == NULL)
    return FALSE;
  Errand *errand = g_new0(Errand, 1);
  errand->backup_id = g_strdup(backup_id);
  errand->object_id = g_strdup(object_id);
  return spawn_errand(jobs, actor, backup->repository_id, "DeleteBackup", run_delete, errand, session, error);
}

/* ---- Verification. ---- */

static void log_warning(gpointer user, const char *path, const char *message)
{
  hf_run_log(user, HF_LINE_WARNING, "%s%s%s", path != NULL ? path : "", path != NULL ? ": " : "", message);
}

static void log_progress(gpointer user, const HfProgress *progress, gboolean last G_GNUC_UNUSED)
{
  HfJobsRun *run = user;
  gint64 percent =
    progress->bytes_total > 0 ? (gint64)(100 * progress->bytes_done / MAX(progress->bytes_total, 1)) : -1;
  hf_inv_session_progress(run->jobs->inv, run->session, MIN(percent, 99), (gint64)progress->bytes_done,
                          (gint64)progress->bytes_done, 0, NULL);
}

static gboolean run_verify(HfJobsRun *run, gpointer data, const char **result G_GNUC_UNUSED, GError **error)
{
  static const HfReportOps ops = { .warning = log_warning, .progress = log_progress };
  const Errand *errand = data;
  HfServiceVerified verified;
  g_autoptr(HfReport) report = hf_report_new(&ops, run);
  g_autoptr(HfJobsDoor) door = hf_jobs_door_store(run->jobs, errand->repository, HF_TICKET_KEEP, FALSE, error);
  if (door == NULL || !hf_service_verify(door->store, 100, report, &verified, error))
    return FALSE;
  g_autofree char *bytes = hf_format_size(verified.bytes);
  hf_run_log(run, HF_LINE_SUCCEEDED, "%" G_GUINT64_FORMAT " objects and %" G_GUINT64_FORMAT " frames (%s) were checked",
             verified.objects, verified.frames, bytes);
  return verified.good ||
    hf_fail(error, HF_ERROR_DAMAGED,
            "%" G_GUINT64_FORMAT " frames are damaged and %" G_GUINT64_FORMAT
            " blobs are missing; run 'holdfast repair' on the repository's host",
            verified.bad_frames, verified.missing_blobs);
}

gboolean hf_jobs_health_check(HfJobs *jobs, const HfActor *actor, const char *backup_id, char **session,
                              GError **error)
{
  g_autoptr(HfBackupRow) backup = hf_inv_backup_get(jobs->inv, backup_id, error);
  return backup != NULL && spawn_errand(jobs, actor, backup->repository_id, "RepositoryMaintenance", run_verify,
                                        g_new0(Errand, 1), session, error);
}

/* ---- Removing. ---- */

gboolean hf_jobs_remove_repository(HfJobs *jobs, const HfActor *actor, const char *repository_id, gboolean backups,
                                   GError **error)
{
  g_autoptr(HfRepositoryRow) row = hf_inv_repository_get(jobs->inv, repository_id, error);
  if (row == NULL)
    return FALSE;
  if (backups) {
    guint forgotten;
    HfServicePruned pruned;
    g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(HfShortId));
    g_autoptr(HfJobsDoor) door =
      hf_jobs_door_open(jobs, row, HF_TICKET_READ | HF_TICKET_KEEP, NULL, NULL, error);
    g_autoptr(GPtrArray) infos = door == NULL ? NULL : hf_points_load(door->repo, NULL, error);
    if (infos == NULL)
      return FALSE;
    for (guint i = 0; i < infos->len; i++)
      g_array_append_val(ids, ((HfPointInfo *)infos->pdata[i])->point.id);
    if (!hf_service_forget(door->repo->store, ids, &forgotten, error) ||
        !hf_service_prune(door->repo->store, FALSE, NULL, &pruned, error))
      return FALSE;
  }
  return hf_inv_repository_delete(jobs->inv, actor, repository_id, TRUE, error);
}

GPtrArray *hf_jobs_backups_of(HfJobs *jobs, const char *const *job_ids, GError **error)
{
  g_autoptr(GPtrArray) ids = g_ptr_array_new_with_free_func(g_free);
  g_autoptr(HfDbLink) link = hf_db_read(jobs->inv->db, error);
  for (guint i = 0; link != NULL && job_ids != NULL && job_ids[i] != NULL; i++) {
    g_autoptr(HfDbRows) rows = hf_db_query(link, "SELECT id FROM backups WHERE job_id = ? ORDER BY created, id",
                                           HF_DB_VALUES(HF_DB_TEXT(job_ids[i])), error);
    while (rows != NULL && hf_db_next(rows, error))
      g_ptr_array_add(ids, g_strdup(hf_db_text(rows, 0)));
    if (rows == NULL || hf_db_failed(rows))
      return NULL;
  }
  return link == NULL ? NULL : g_steal_pointer(&ids);
}
