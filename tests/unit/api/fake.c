/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fake.h"

#include <string.h>

#include "base/error.h"
#include "server/inventory/catalogue.h"
#include "server/inventory/credentials.h"
#include "server/inventory/hosts.h"
#include "server/inventory/jobs.h"
#include "server/inventory/repositories.h"
#include "server/inventory/sessions.h"

/* ---- Actions ---- */

static char *session(HfInventory *inventory, const HfApiActor *by, const char *type, const char *job, const char *resource)
{
  g_autoptr(HfSessionRow) row = g_new0(HfSessionRow, 1);
  row->name = g_strdup_printf("%s by a test", type);
  row->type = g_strdup(type);
  row->job_id = g_strdup(job);
  row->resource_id = g_strdup(resource);
  row->initiated_by = g_strdup(by != NULL ? by->account : "");
  g_assert_true(hf_inv_session_create(inventory, &hf_actor_server, row, NULL));
  g_assert_true(hf_inv_session_state(inventory, row->id, HF_STATE_WORKING, NULL));
  return g_steal_pointer(&row->id);
}

static char *ended(HfInventory *inventory, const HfApiActor *by, const char *type, const char *resource)
{
  char *id = session(inventory, by, type, NULL, resource);
  g_assert_true(hf_inv_session_finish(inventory, id, HF_RESULT_SUCCESS, "", FALSE, NULL));
  return id;
}

static gboolean job_start(gpointer data, const HfApiActor *by, const char *job_id, gboolean full, char **id, GError **error)
{
  (void)full;
  g_autofree char *started = session(data, by, "BackupJob", job_id, NULL);
  if (!hf_inv_job_begin(data, job_id, started, FALSE, error)) {
    g_assert_true(hf_inv_session_finish(data, started, HF_RESULT_FAILED, "runs already", FALSE, NULL));
    return FALSE;
  }
  *id = g_steal_pointer(&started);
  return TRUE;
}

static gboolean job_retry(gpointer data, const HfApiActor *by, const char *job_id, char **id, GError **error)
{
  return job_start(data, by, job_id, FALSE, id, error);
}

static gboolean job_stop(gpointer data, const HfApiActor *by, const char *job_id, gboolean graceful, char **id,
                         GError **error)
{
  (void)by;
  g_autoptr(HfJobRow) job = hf_inv_job_get(data, job_id, error);
  if (job == NULL)
    return FALSE;
  if (strcmp(job->status, HF_JOB_INACTIVE) == 0 || job->last_session_id == NULL)
    return hf_fail(error, HF_ERROR_USAGE, "job '%s' does not run", job->name);
  *id = g_strdup(job->last_session_id);
  return hf_inv_session_finish(data, *id, graceful ? HF_RESULT_WARNING : HF_RESULT_FAILED, "stopped", TRUE, error) &&
         hf_inv_job_end(data, job_id, HF_RESULT_FAILED, error);
}

static gboolean session_stop(gpointer data, const HfApiActor *by, const char *id, gboolean graceful, GError **error)
{
  (void)by, (void)graceful;
  return hf_inv_session_finish(data, id, HF_RESULT_FAILED, "stopped", TRUE, error);
}

static gboolean host_add(gpointer data, const HfApiActor *by, const HfApiHostSpec *spec, char **id, GError **error)
{
  g_autoptr(HfHostRow) row = g_new0(HfHostRow, 1);
  row->name = g_strdup(spec->name);
  row->address = g_strdup(spec->name);
  row->description = g_strdup(spec->description);
  row->type = g_strdup("LinuxHost");
  if (!hf_inv_host_create(data, &hf_actor_server, row, error))
    return FALSE;
  *id = ended(data, by, "Infrastructure", row->id);
  return TRUE;
}

static gboolean host_remove(gpointer data, const HfApiActor *by, const char *host_id, char **id, GError **error)
{
  if (!hf_inv_host_delete(data, &hf_actor_server, host_id, error))
    return FALSE;
  *id = ended(data, by, "Infrastructure", host_id);
  return TRUE;
}

static gboolean host_key(gpointer data, const char *host, int port, char **fingerprint, char **algorithm, GError **error)
{
  (void)data, (void)host, (void)port, (void)error;
  *fingerprint = g_strdup("SHA256:test");
  *algorithm = g_strdup("ssh-ed25519");
  return TRUE;
}

static gboolean simple(gpointer data, const HfApiActor *by, const char *thing, char **id, GError **error)
{
  (void)error;
  *id = ended(data, by, "Infrastructure", thing);
  return TRUE;
}

static gboolean host_role(gpointer data, const HfApiActor *by, const char *host, const char *role, const char *action,
                          char **id, GError **error)
{
  g_assert_true(g_str_equal(role, "transport") || g_str_equal(role, "installer"));
  g_assert_true(g_str_equal(action, "Start") || g_str_equal(action, "Stop") || g_str_equal(action, "Restart"));
  if (!g_str_equal(role, "installer") || !g_str_equal(action, "Stop"))
    return simple(data, by, host, id, error);
  *id = session(data, by, "Infrastructure", NULL, host); /* as a host does, which the server speaks with by that role */
  return hf_inv_session_finish(data, *id, HF_RESULT_FAILED, "it cannot be stopped", FALSE, error);
}

static gboolean repository_create(gpointer data, const HfApiActor *by, const HfApiRepositorySpec *spec, char **id,
                                  GError **error)
{
  g_autoptr(HfRepositoryRow) row = g_new0(HfRepositoryRow, 1);
  row->name = g_strdup(spec->name);
  row->description = g_strdup(spec->description);
  row->type = g_strdup(spec->hardened ? "LinuxHardened" : "LinuxLocal");
  row->host_id = g_strdup(spec->host_id);
  row->path = g_strdup(spec->path);
  row->task_limit = spec->max_tasks;
  row->rate_limit = (gint64)spec->rate_bytes;
  row->immutable_days = spec->immutable_days;
  row->encryption_password_id = g_strdup(spec->password_id);
  if (!hf_inv_repository_create(data, &hf_actor_server, row, error))
    return FALSE;
  *id = ended(data, by, "Infrastructure", row->id);
  return TRUE;
}

static gboolean repository_remove(gpointer data, const HfApiActor *by, const char *id, gboolean backups, GError **error)
{
  (void)by;
  return hf_inv_repository_delete(data, &hf_actor_server, id, backups, error);
}

static gboolean backup_delete(gpointer data, const HfApiActor *by, const char *backup, const char *object, char **id,
                              GError **error)
{
  if (object == NULL && !hf_inv_backup_delete(data, &hf_actor_server, backup, error))
    return FALSE;
  *id = ended(data, by, "DeleteBackup", backup);
  return TRUE;
}

static gboolean health_check(gpointer data, const HfApiActor *by, const char *const *backups, const char *const *jobs,
                             gboolean repair, GPtrArray *sessions, GError **error)
{
  (void)repair, (void)error;
  for (; *backups != NULL; backups++)
    g_ptr_array_add(sessions, ended(data, by, "FileBackupHealthCheck", *backups));
  for (; *jobs != NULL; jobs++)
    g_ptr_array_add(sessions, ended(data, by, "FileBackupHealthCheck", *jobs));
  return TRUE;
}

static gboolean mount(gpointer data, const HfApiActor *by, const char *point, guint minutes, const char *reason, char **id,
                      GError **error)
{
  (void)minutes, (void)reason, (void)error;
  *id = session(data, by, "FileLevelRestore", NULL, point);
  return TRUE;
}

static const HfApiEntry entries[] = {
  { "etc", "/", "root", NULL, 'd', 0, 1000000, 1000000 },
  { "big", "/", "root", NULL, 'f', 5000, 3000000, 2000000 },
  { "small", "/", "adm", NULL, 'f', 5, 1000000, 9000000 },
  { "link", "/", "root", "/etc", 'l', 0, 1000000, 1000000 },
  { "bad\xff", "/", NULL, NULL, 'o', 0, 1000000, 1000000 },
};

static gboolean browse(gpointer data, const char *id, const char *path, HfApiEntrySink sink, gpointer to, GError **error)
{
  (void)data, (void)id;
  if (strcmp(path, "/") != 0)
    return hf_fail(error, HF_ERROR_NOT_FOUND, "there is no folder '%s'", path);
  for (guint i = 0; i < G_N_ELEMENTS(entries); i++)
    if (!sink(&entries[i], to))
      break;
  return TRUE;
}

static gboolean search(gpointer data, const char *id, const char *path, const char *text, HfApiEntrySink sink, gpointer to,
                       GError **error)
{
  (void)data, (void)id, (void)path, (void)error;
  for (guint i = 0; i < G_N_ELEMENTS(entries); i++)
    if (strstr(entries[i].name, text) != NULL && !sink(&entries[i], to))
      break;
  return TRUE;
}

static gboolean restore(gpointer data, const HfApiActor *by, const HfApiRestoreSpec *spec, char **id, GError **error)
{
  (void)error;
  *id = ended(data, by, "FileLevelRestore", spec->host_id);
  return TRUE;
}

static gboolean unmount(gpointer data, const HfApiActor *by, const char *id, GError **error)
{
  (void)by;
  return hf_inv_session_finish(data, id, HF_RESULT_SUCCESS, "", FALSE, error);
}

static GBytes *host_logs_read(gpointer data, const char *id, GError **error)
{
  (void)data;
  (void)id;
  (void)error;
  return g_bytes_new_static("a\0tar", 5);
}

void fake_actions(HfApiActions *actions, HfInventory *inventory)
{
  *actions = (HfApiActions){
    .data = inventory,
    .job_start = job_start,
    .job_stop = job_stop,
    .job_retry = job_retry,
    .session_stop = session_stop,
    .host_add = host_add,
    .host_rescan = simple,
    .host_upgrade = simple,
    .host_role = host_role,
    .host_logs = simple,
    .host_logs_read = host_logs_read,
    .host_remove = host_remove,
    .host_key = host_key,
    .repository_create = repository_create,
    .repository_rescan = simple,
    .repository_remove = repository_remove,
    .backup_delete = backup_delete,
    .health_check = health_check,
    .mount = mount,
    .browse = browse,
    .search = search,
    .restore = restore,
    .unmount = unmount,
  };
}

/* ---- Rows ---- */

#define MUST(what)                       \
  do {                                   \
    GError *failed = NULL;               \
    gboolean went = (what);              \
    if (!went)                           \
      g_error("%s", failed->message);    \
  } while (0)

static HfHostRow *add_host(HfInventory *inventory, const char *name, gboolean server)
{
  HfHostRow *row = g_new0(HfHostRow, 1);
  row->name = g_strdup(name);
  row->address = g_strdup(name);
  row->description = g_strdup("a host");
  row->type = g_strdup("LinuxHost");
  row->is_server = server;
  MUST(hf_inv_host_create(inventory, &hf_actor_server, row, &failed));
  MUST(hf_inv_host_status(inventory, row->id, TRUE, "", NULL, &failed));
  row->agent_version = g_strdup(server ? HF_VERSION : "0.0.1");
  MUST(hf_inv_host_facts(inventory, row, &failed));
  return row;
}

static HfRepositoryRow *add_repository(HfInventory *inventory, const char *name, const char *host, guint days)
{
  HfRepositoryRow *row = g_new0(HfRepositoryRow, 1);
  row->name = g_strdup(name);
  row->description = g_strdup("a place");
  row->type = g_strdup(days > 0 ? "LinuxHardened" : "LinuxLocal");
  row->host_id = g_strdup(host);
  row->path = g_strdup_printf("/srv/%s", name);
  row->task_limit = 4;
  row->immutable_days = days;
  MUST(hf_inv_repository_create(inventory, &hf_actor_server, row, &failed));
  MUST(hf_inv_repository_state(inventory, row->id, TRUE, "", G_GINT64_CONSTANT(1) << 40, G_GINT64_CONSTANT(3) << 38,
                               G_GINT64_CONSTANT(1) << 38, FALSE, &failed));
  return row;
}

static HfJobRow *add_job(HfInventory *inventory, const char *name, const HfHostRow *host, const char *repository)
{
  const char *hosts[] = { host->id, NULL };
  HfJobRow *row = g_new0(HfJobRow, 1);
  row->name = g_strdup(name);
  row->description = g_strdup("saves /etc");
  row->type = g_strdup("LinuxAgentBackup");
  row->repository_id = g_strdup(repository);
  row->config = g_strdup_printf("{\"mode\":\"FileLevel\",\"objects\":[{\"host\":\"%s\",\"name\":\"%s\",\"paths\":[\"/etc\"]}],"
                                "\"retention\":{\"points\":7}}",
                                host->id, host->name);
  row->schedule = g_strdup("{\"runAutomatically\":true,\"daily\":{\"isEnabled\":true,\"localTime\":\"22:00\","
                           "\"dailyKind\":\"Everyday\"}}");
  row->objects_count = 1;
  MUST(hf_inv_job_create(inventory, &hf_actor_server, row, hosts, &failed));
  return row;
}

/* A run of a job that made a point, with its task and its log. */
static void add_run(HfInventory *inventory, const HfJobRow *job, const HfHostRow *host, guint number)
{
  g_autoptr(HfSessionRow) run = g_new0(HfSessionRow, 1);
  run->name = g_strdup(job->name);
  run->type = g_strdup("BackupJob");
  run->job_id = g_strdup(job->id);
  run->repository_id = g_strdup(job->repository_id);
  MUST(hf_inv_session_create(inventory, &hf_actor_server, run, &failed));
  MUST(hf_inv_job_begin(inventory, job->id, run->id, FALSE, &failed));
  g_autoptr(HfTaskRow) task = g_new0(HfTaskRow, 1);
  task->session_id = g_strdup(run->id);
  task->type = g_strdup("Backup");
  task->name = g_strdup(host->name);
  task->host_id = g_strdup(host->id);
  task->repository_id = g_strdup(job->repository_id);
  MUST(hf_inv_task_create(inventory, task, &failed));
  MUST(hf_inv_log(inventory, run->id, HF_LINE_SUCCEEDED, "Began", "all is \"well\"", NULL, &failed));
  MUST(hf_inv_log(inventory, run->id, HF_LINE_WARNING, "A file changed", NULL, NULL, &failed));
  MUST(hf_inv_log(inventory, task->id, HF_LINE_SUCCEEDED, "Read", NULL, NULL, &failed));
  g_autoptr(HfBackupRow) backup = g_new0(HfBackupRow, 1);
  backup->job_id = g_strdup(job->id);
  backup->job_type = g_strdup(job->type);
  backup->name = g_strdup(job->name);
  backup->platform = g_strdup("LinuxPhysical");
  backup->repository_id = g_strdup(job->repository_id);
  g_autoptr(HfObjectRow) object = g_new0(HfObjectRow, 1);
  object->host_id = g_strdup(host->id);
  object->name = g_strdup(host->name);
  object->type = g_strdup(number % 4 == 3 ? "Disk" : "Files");
  object->platform = g_strdup("LinuxPhysical");
  object->path = g_strdup(number % 4 == 3 ? "/dev/vda" : "/etc");
  object->source_id = g_strdup_printf("%032x", g_str_hash(host->id));
  g_autoptr(HfPointRow) point = g_new0(HfPointRow, 1);
  point->repository_id = g_strdup(job->repository_id);
  point->point = g_strdup_printf("%016x%016x", g_str_hash(host->id), number);
  point->name = g_strdup(host->name);
  point->sequence = number;
  point->time = hf_db_now();
  point->type = g_strdup(number == 0 ? "Full" : "Increment");
  point->original_size = 1000000;
  point->session_id = g_strdup(run->id);
  point->writer = g_strdup("00");
  point->facts = g_strdup("{}");
  MUST(hf_inv_point_add(inventory, backup, object, point, &failed));
  const guint kept = number == 1 ? HF_INV_PERIOD_WEEKLY | HF_INV_PERIOD_YEARLY : 0;
  MUST(hf_inv_points_periods(inventory, job->repository_id, (const char *const *)&point->point, &kept, 1, &failed));
  HfTaskFigures figures = { .duration_us = 5000000, .total_bytes = 1000000, .processed_bytes = 1000000,
                            .read_bytes = 900000, .transferred_bytes = 1000, .busy_source_us = 4000000 };
  MUST(hf_inv_task_finish(inventory, task->id, HF_RESULT_SUCCESS, "", "Increment", point->id, &figures, &failed));
  MUST(hf_inv_session_finish(inventory, run->id, number % 7 == 6 ? HF_RESULT_FAILED : HF_RESULT_SUCCESS, "", FALSE,
                             &failed));
  MUST(hf_inv_job_end(inventory, job->id, HF_RESULT_SUCCESS, &failed));
}

void fake_fill(HfInventory *inventory)
{
  g_autoptr(HfHostRow) server = add_host(inventory, "server.example", TRUE);
  g_autoptr(HfHostRow) web = add_host(inventory, "web1.example", FALSE);
  g_autoptr(HfRepositoryRow) local = add_repository(inventory, "first", server->id, 0);
  g_autoptr(HfRepositoryRow) hardened = add_repository(inventory, "hard", server->id, 14);
  g_autoptr(HfJobRow) job = add_job(inventory, "nightly", web, local->id);
  g_autoptr(HfJobRow) idle = add_job(inventory, "idle", web, hardened->id);
  for (guint i = 0; i < 3; i++)
    add_run(inventory, job, web, i);
  g_autoptr(HfProxyRow) proxy = g_new0(HfProxyRow, 1);
  proxy->name = g_strdup("proxy");
  proxy->description = g_strdup("");
  proxy->type = g_strdup("GeneralPurposeProxy");
  proxy->host_id = g_strdup(server->id);
  proxy->max_tasks = 2;
  MUST(hf_inv_proxy_create(inventory, &hf_actor_server, proxy, &failed));
  g_autoptr(HfCredentialRow) credential = g_new0(HfCredentialRow, 1);
  credential->username = g_strdup("root");
  credential->description = g_strdup("of the web hosts");
  credential->type = g_strdup("Linux");
  credential->authentication = g_strdup("Password");
  HfCredentialSecrets secrets = { .password = "secret-of-root" };
  MUST(hf_inv_credential_create(inventory, &hf_actor_server, credential, &secrets, &failed));
  g_autoptr(HfEncryptionPasswordRow) password = g_new0(HfEncryptionPasswordRow, 1);
  password->hint = g_strdup("the usual");
  MUST(hf_inv_encryption_password_create(inventory, &hf_actor_server, password, "secret-of-repository", &failed));
}

typedef struct Many {
  const HfJobRow *job;
  guint from, n;
} Many;

/* Ended sessions with a task each, straight into the tables: there are many. */
static gboolean add_sessions(HfDbLink *link, gpointer user, GError **error)
{
  const Many *many = user;
  for (guint i = many->from; i < many->from + many->n; i++) {
    g_autofree char *id = hf_db_new_id(), *task = hf_db_new_id();
    gint64 time = hf_db_now() - (gint64)i * 60 * G_USEC_PER_SEC;
    const char *result = i % 50 == 0 ? "Failed" : i % 10 == 0 ? "Warning" : "Success";
    if (!hf_db_exec(link,
                    "INSERT INTO sessions VALUES (?, ?, ?, ?, 'BackupJob', 'Stopped', ?, '', 0, '', 100, 1000, 900, 800, "
                    "'', ?, NULL, NULL, NULL, '', '{}', ?, ?, 0)",
                    HF_DB_VALUES(HF_DB_TEXT(id), HF_DB_INT(1000 + i), HF_DB_TEXT(many->job->name),
                                 HF_DB_TEXT(many->job->id), HF_DB_TEXT(result), HF_DB_TEXT(many->job->repository_id),
                                 HF_DB_INT(time), HF_DB_INT(time + 30 * G_USEC_PER_SEC)),
                    NULL, error) ||
        !hf_db_exec(link,
                    "INSERT INTO task_sessions VALUES (?, ?, ?, 'BackupJob', 'Backup', 'host', NULL, NULL, 'Stopped', ?, "
                    "'', 'Increment', 'Source', 30000000, 1000, 1000, 1000, 900, 800, 100, 1, 1, 1, 1, 1, ?, NULL, '{}', "
                    "?, ?, 0)",
                    HF_DB_VALUES(HF_DB_TEXT(task), HF_DB_INT(1000 + i), HF_DB_TEXT(id), HF_DB_TEXT(result),
                                 HF_DB_TEXT(many->job->repository_id), HF_DB_INT(time),
                                 HF_DB_INT(time + 30 * G_USEC_PER_SEC)),
                    NULL, error))
      return FALSE;
  }
  return TRUE;
}

/* What a database does by itself sooner or later. */
static gboolean analyze(HfDbLink *link, gpointer user, GError **error)
{
  (void)user;
  return hf_db_exec(link, "ANALYZE", HF_DB_NONE, NULL, error);
}

void fake_fill_many(HfInventory *inventory, guint hosts, guint sessions)
{
  g_autoptr(HfHostRow) server = add_host(inventory, "server.example", TRUE);
  g_autoptr(HfRepositoryRow) local = add_repository(inventory, "first", server->id, 0);
  for (guint i = 0; i < hosts; i++) {
    g_autofree char *name = g_strdup_printf("host%03u.example", i), *job_name = g_strdup_printf("job of host %03u", i);
    g_autoptr(HfHostRow) host = add_host(inventory, name, FALSE);
    g_autoptr(HfJobRow) job = add_job(inventory, job_name, host, local->id);
    for (guint p = 0; p < 5; p++)
      add_run(inventory, job, host, p);
    Many many = { job, i * (sessions / hosts), sessions / hosts - 5 };
    MUST(hf_db_write(inventory->db, add_sessions, &many, &failed));
  }
  MUST(hf_db_write(inventory->db, analyze, NULL, &failed));
}

/* ---- Changes ---- */

typedef struct Changes {
  HfInventory *inventory;
  char *task;
  guint milliseconds;
} Changes;

static gpointer change(gpointer data)
{
  Changes *changes = data;
  for (gint64 i = 1;; i++) {
    g_usleep(changes->milliseconds * 1000);
    HfTaskFigures figures = { .duration_us = i * changes->milliseconds * 1000, .total_bytes = G_MAXINT32,
                              .processed_bytes = i, .read_bytes = i, .transferred_bytes = i };
    MUST(hf_inv_task_progress(changes->inventory, changes->task, &figures, &failed));
  }
  return NULL;
}

void fake_changes(HfInventory *inventory, guint milliseconds)
{
  g_autoptr(GPtrArray) jobs = NULL;
  MUST((jobs = hf_inv_jobs_load(inventory, &failed)) != NULL);
  const HfJobRow *job = jobs->pdata[0];
  g_autoptr(HfSessionRow) run = g_new0(HfSessionRow, 1);
  run->name = g_strdup(job->name);
  run->type = g_strdup("BackupJob");
  run->job_id = g_strdup(job->id);
  MUST(hf_inv_session_create(inventory, &hf_actor_server, run, &failed));
  MUST(hf_inv_session_state(inventory, run->id, HF_STATE_WORKING, &failed));
  MUST(hf_inv_job_begin(inventory, job->id, run->id, FALSE, &failed));
  g_autoptr(HfTaskRow) task = g_new0(HfTaskRow, 1);
  task->session_id = g_strdup(run->id);
  task->type = g_strdup("Backup");
  task->name = g_strdup("a host");
  MUST(hf_inv_task_create(inventory, task, &failed));
  MUST(hf_inv_task_state(inventory, task->id, HF_STATE_WORKING, &failed));
  Changes *changes = g_new0(Changes, 1); /* lives as long as its thread */
  *changes = (Changes){ inventory, g_steal_pointer(&task->id), milliseconds };
  g_thread_unref(g_thread_new("changes", change, changes));
}
