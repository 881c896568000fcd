/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The run of a backup job. Every object has a task row, made before anything begins; the rows say what is left to do,
 * so that a run which lost its server goes on: rows that have ended are passed over, rows that were ordered are waited
 * for.
 */
#include "server/jobs/run.h"

#include <string.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/work.h"
#include "storage/service/service.h"
#include "storage/service/terms.h"

/* What a task's row says of how far it is. */
#define ORDERED "{\"ordered\": true}"
#define DISK_FREEZE_SECONDS 60u
#define POINT_PREFIX "{\"point\": \""

typedef struct BackupRun {
  HfJobsRun *run;
  HfJobRow *job;
  HfJobConfig *config;
  HfRepositoryRow *repository;
} BackupRun;

typedef struct BackupTask {
  BackupRun *backup;
  const HfJobObject *object;
  HfTaskRow *row;
  GThread *thread;
} BackupTask;

static void backup_run_clear(BackupRun *backup)
{
  g_clear_pointer(&backup->job, hf_job_free);
  g_clear_pointer(&backup->repository, hf_repository_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(BackupRun, backup_run_clear)

static void backup_task_free(gpointer data)
{
  BackupTask *task = data;
  hf_task_free(task->row);
  g_free(task);
}

/* ---- One task: the order. ---- */

static void add_script(HfWorkBackup *order, gboolean before, const HfJobConfig *config)
{
  const char *path = before ? config->hook_before : config->hook_after;
  if (path == NULL)
    return;
  HfWorkScript *script = before ? hf_work_backup_add_before(order) : hf_work_backup_add_after(order);
  hf_work_script_add_argv(script, path);
  script->user = g_strdup(config->hook_user != NULL ? config->hook_user : "");
  script->timeout = config->hook_timeout;
  script->required = config->hook_required;
}

static void add_tags(HfWorkBackup *order, const BackupTask *task)
{
  const HfJobRow *job = task->backup->job;
  const struct {
    const char *prefix, *value;
  } tags[] = { { HF_JOBS_TAG_JOB, job->id }, { HF_JOBS_TAG_TYPE, job->type }, { HF_JOBS_TAG_JOB_NAME, job->name },
               { HF_JOBS_TAG_OBJECT, task->object->host_id }, { HF_JOBS_TAG_TASK, task->row->id } };
  for (gsize i = 0; i < G_N_ELEMENTS(tags); i++) {
    g_autofree char *tag = g_strconcat(tags[i].prefix, tags[i].value, NULL);
    hf_work_backup_add_tags(order, tag);
  }
}

static GBytes *make_order(BackupTask *task, GError **error)
{
  const BackupRun *backup = task->backup;
  const HfJobObject *object = task->object;
  g_auto(HfWorkBackup) order = { 0 };
  hf_jobs_describe(backup->run->jobs, backup->repository, 0, HF_JOBS_STREAMS, &order.repository);
  order.name = hf_job_object_label(backup->job->name, object);
  for (guint i = 0; i < object->paths->len; i++)
    hf_work_backup_add_paths(&order, object->paths->pdata[i]);
  for (guint i = 0; i < object->excludes->len; i++)
    hf_work_backup_add_excludes(&order, object->excludes->pdata[i]);
  order.disks = order.live = object->disks;
  order.one_file_system = object->entire;
  order.rescan = g_str_equal(task->row->algorithm, "Full");
  order.rate = hf_jobs_limit(backup->run->jobs, task->row->id, object->host_id, backup->repository, FALSE);
  order.freeze = backup->config->snapshot ? HF_WORK_FREEZE_AUTO : HF_WORK_FREEZE_NONE;
  /* A disk in use that is read as it is gives a torn image; files are whole, each by itself, without that. */
  order.freeze_seconds = backup->config->freeze > 0 ? backup->config->freeze : object->disks ? DISK_FREEZE_SECONDS : 0;
  add_tags(&order, task);
  add_script(&order, TRUE, backup->config);
  add_script(&order, FALSE, backup->config);
  return hf_work_backup_encode(&order, error);
}

static GBytes *make_secret(char *credential, GError **error)
{
  g_auto(HfWorkKey) key = { .text = credential };
  return hf_work_key_encode(&key, error);
}

/* How long a script may hold up the task before it connects. */
static guint script_seconds(const HfJobConfig *config)
{
  return config->hook_before != NULL ? config->hook_timeout : 0;
}

static gboolean give_order(BackupTask *task, HfJobsWay *way, GError **error)
{
  HfJobsRun *run = task->backup->run;
  HfJobs *jobs = run->jobs;
  HfJobLink links[HF_JOBS_STREAMS];
  HfShortId writer;
  char *credential = hf_jobs_writer(jobs, task->object->host_id, task->backup->repository, &writer, error);
  if (credential == NULL)
    return FALSE;
  g_autoptr(GBytes) secret = make_secret(credential, error); /* takes it over, and wipes it */
  g_autoptr(GBytes) order = secret == NULL ? NULL : make_order(task, error);
  if (order == NULL || !hf_jobs_way_open(jobs, way, task->backup->repository, task->object->host_id, HF_TICKET_WRITE,
                                         &writer, HF_JOBS_STREAMS, script_seconds(task->backup->config), FALSE, error))
    return FALSE;
  hf_jobs_way_links(way, "backup-proxy", links);
  if (!hf_inv_task_resume(jobs->inv, task->row->id, ORDERED, error))
    return FALSE;
  g_autoptr(GError) why = NULL;
  if (jobs->parts.hosts.order(jobs->parts.hosts.user, task->object->host_id, task->row->id, "backup", order, secret,
                              links, HF_JOBS_STREAMS, &why))
    return TRUE;
  if (hf_error_is(why, HF_ERROR_EXISTS)) {
    /* It runs already, at the rate of its first order. */
    hf_jobs_limit(jobs, task->row->id, task->object->host_id, task->backup->repository, TRUE);
    return TRUE;
  }
  g_propagate_error(error, g_steal_pointer(&why));
  return FALSE;
}

/* ---- One task: its end. ---- */

static HfTaskFigures task_figures(const HfTaskRow *row, const HfJobsResult *result, const HfWorkBackupDone *done)
{
  const HfWorkFigures *measured = &done->figures;
  return (HfTaskFigures){
    .duration_us = hf_db_now() - row->created,
    .total_bytes = (gint64)done->bytes,
    .processed_bytes = (gint64)done->bytes,
    .read_bytes = (gint64)done->new_bytes,
    .transferred_bytes = (gint64)MAX(result->wire_sent, measured->sent),
    .busy_source_us = (gint64)measured->source,
    .busy_proxy_us = (gint64)measured->proxy,
    .busy_network_us = (gint64)measured->network,
    .busy_target_us = (gint64)measured->target,
    .busy_throttle_us = (gint64)measured->throttle,
  };
}

static gboolean end_done(BackupTask *task, const HfJobsResult *result, const HfWorkBackupDone *done, GError **error)
{
  const HfInventory *inv = task->backup->run->jobs->inv;
  HfTaskFigures figures = task_figures(task->row, result, done);
  g_autofree char *size = hf_format_size(done->bytes), *sent = hf_format_size((guint64)figures.transferred_bytes);
  g_autofree char *line = g_strdup_printf("%" G_GUINT64_FORMAT " files, %s; %" G_GUINT64_FORMAT
                                          " unchanged; %s over the wire%s", done->files, size, done->unchanged, sent,
                                          done->resumed ? "; an interrupted run was taken up" : "");
  hf_inv_log(inv, task->row->id, HF_LINE_SUCCEEDED, line, NULL, NULL, NULL);
  g_autofree char *point = hf_hex(done->point.b, sizeof done->point.b);
  g_autofree char *resume = g_strdup_printf(POINT_PREFIX "%s\"}", point);
  if (!hf_inv_task_resume(inv, task->row->id, resume, error))
    return FALSE;
  const char *end = done->warnings > 0 ? HF_RESULT_WARNING : HF_RESULT_SUCCESS;
  g_autofree char *message =
    done->warnings > 0 ? g_strdup_printf("%" G_GUINT64_FORMAT " warnings; the log names them", done->warnings) : NULL;
  return hf_inv_task_finish(inv, task->row->id, end, message != NULL ? message : "",
                            done->first ? "Full" : "Increment", NULL, &figures, error);
}

/* A task that made its point and did not come to tell of it (its keeper was killed, the connection broke at the commit,
 * the server ended with the result in hand) is done: ordered again it would make a second one. */
static gboolean take_made(BackupTask *task)
{
  HfJobs *jobs = task->backup->run->jobs;
  const HfJobsResult nothing = { 0 };
  g_auto(HfWorkBackupDone) done = { 0 };
  if (!hf_jobs_find_made(jobs, task->backup->repository, task->row->id, &done))
    return FALSE;
  hf_inv_log(jobs->inv, task->row->id, HF_LINE_NONE, "The host did not tell of its end; the restore point is there",
             NULL, NULL, NULL);
  return end_done(task, &nothing, &done, NULL);
}

static void end_failed(BackupTask *task, const GError *why)
{
  const HfInventory *inv = task->backup->run->jobs->inv;
  g_autofree char *message = g_strdup_printf("%s: %s", task->row->name, why->message);
  hf_inv_log(inv, task->row->id, HF_LINE_FAILED, why->message, NULL, NULL, NULL);
  hf_inv_task_finish(inv, task->row->id, HF_RESULT_FAILED, message, NULL, NULL, NULL, NULL);
  hf_run_log(task->backup->run, HF_LINE_FAILED, "%s", message);
}

/* Did the task end with an account of its own? */
static gboolean is_account(const HfJobsResult *result)
{
  return result != NULL && (result->why == NULL || hf_error_is(result->why, HF_ERROR_CANCELLED) ||
                            g_bytes_get_size(result->bytes) > 0);
}

static gboolean wait_for_end(BackupTask *task, HfJobsTask *waiting, GError **error)
{
  HfJobsRun *run = task->backup->run;
  g_autoptr(GError) why = NULL;
  g_auto(HfWorkBackupDone) done = { 0 };
  const HfJobsResult *result = hf_jobs_task_wait(run, waiting, &why);
  if (result != NULL && result->why == NULL)
    return hf_work_backup_done_decode(result->bytes, &done, error) && end_done(task, result, &done, error);
  if (!is_account(result) && !hf_run_ending(run) && take_made(task))
    return TRUE;
  g_propagate_error(error, result == NULL ? g_steal_pointer(&why) : g_error_copy(result->why));
  return FALSE;
}

static gint64 proxy_limit(HfJobs *jobs, const char *host_id)
{
  g_autoptr(GPtrArray) proxies = hf_inv_proxies_load(jobs->inv, NULL);
  for (guint i = 0; proxies != NULL && i < proxies->len; i++) {
    const HfProxyRow *proxy = proxies->pdata[i];
    if (g_str_equal(proxy->host_id, host_id) && !proxy->disabled)
      return proxy->max_tasks;
  }
  return 1;
}

static gboolean is_told(HfJobs *jobs, const HfJobsTask *waiting)
{
  HF_LOCK(&jobs->lock);
  return waiting->result != NULL;
}

static gboolean has_name(const GPtrArray *names, const char *name)
{
  for (guint i = 0; i < names->len; i++)
    if (g_str_equal(names->pdata[i], name))
      return TRUE;
  return FALSE;
}

/* A row that says "ordered" may be wrong: the server ended before the order went out, or when it had taken the result
 * and not yet put it down. The host knows nothing of the task then, and would never tell. Ordered again, it sends what
 * is not stored yet. */
static gboolean is_lost(BackupTask *task, const HfJobsTask *waiting)
{
  HfJobsRun *run = task->backup->run;
  const HfJobHosts *hosts = &run->jobs->parts.hosts;
  for (guint tries = 0; tries < HF_JOB_LOST_SECONDS && !hf_run_ending(run); tries++) {
    g_autoptr(GPtrArray) names = hosts->tasks(hosts->user, task->object->host_id, NULL);
    if (names != NULL)
      return !has_name(names, task->row->id) && !is_told(run->jobs, waiting);
    if (is_told(run->jobs, waiting) || hf_run_stop(run) == HF_JOBS_STOP_NOW)
      break;
    g_usleep(G_USEC_PER_SEC);
  }
  return FALSE;
}

static gboolean order_and_wait(BackupTask *task, HfJobsTask *waiting, HfJobsWay *way, GError **error)
{
  gboolean ordered = g_str_equal(task->row->resume, ORDERED);
  if (ordered && is_lost(task, waiting)) {
    if (take_made(task))
      return TRUE;
    ordered = FALSE;
  }
  return (ordered || give_order(task, way, error)) && wait_for_end(task, waiting, error);
}

static gboolean carry_out(BackupTask *task, GError **error)
{
  HfJobsRun *run = task->backup->run;
  HfJobs *jobs = run->jobs;
  g_auto(HfJobsWay) way = { 0 };
  g_autofree char *repository = g_strconcat("repository:", task->backup->repository->id, NULL);
  g_autofree char *host = g_strconcat("host:", task->object->host_id, NULL);
  HfJobsSlot slots[] = { { repository, task->backup->repository->task_limit },
                         { host, proxy_limit(jobs, task->object->host_id) } };
  hf_inv_task_state(jobs->inv, task->row->id, HF_STATE_WAITING_SLOT, NULL);
  if (!hf_jobs_slots_take(run, slots, G_N_ELEMENTS(slots), error))
    return FALSE;
  hf_inv_task_state(jobs->inv, task->row->id, HF_STATE_WORKING, NULL);
  HfJobsTask *waiting = hf_jobs_task_new(jobs, task->row->id, task->object->host_id, FALSE);
  gboolean good = order_and_wait(task, waiting, &way, error);
  hf_jobs_task_free(jobs, waiting);
  hf_jobs_slots_give(jobs, slots, G_N_ELEMENTS(slots));
  return good;
}

static gpointer task_main(gpointer data)
{
  BackupTask *task = data;
  g_autoptr(GError) why = NULL;
  if (!carry_out(task, &why) && !hf_run_ending(task->backup->run))
    end_failed(task, why);
  return NULL;
}

/* ---- All tasks. ---- */

static HfTaskRow *find_row(const GPtrArray *rows, const HfJobObject *object, guint number)
{
  for (guint i = 0; i < rows->len; i++) {
    HfTaskRow *row = rows->pdata[i];
    if (row->host_id != NULL && g_str_equal(row->host_id, object->host_id) && number-- == 0)
      return row;
  }
  return NULL;
}

static gboolean make_rows(BackupRun *backup, GError **error)
{
  HfJobsRun *run = backup->run;
  g_autoptr(HfSessionRow) session = hf_inv_session_get(run->jobs->inv, run->session, error);
  if (session == NULL)
    return FALSE;
  gboolean full = strstr(session->resume, "\"full\": true") != NULL;
  for (guint i = 0; i < backup->config->objects->len; i++) {
    const HfJobObject *object = backup->config->objects->pdata[i];
    if (!hf_jobs_wanted(run->jobs, session, object))
      continue;
    g_autoptr(HfTaskRow) row = g_new0(HfTaskRow, 1);
    row->session_id = g_strdup(run->session);
    row->type = g_strdup("Backup");
    row->name = g_strdup(object->name != NULL ? object->name : object->host_id);
    row->host_id = g_strdup(object->host_id);
    row->repository_id = g_strdup(backup->repository->id);
    row->algorithm = g_strdup(full ? "Full" : "None");
    if (!hf_inv_task_create(run->jobs->inv, row, error))
      return FALSE;
  }
  return TRUE;
}

static GPtrArray *make_tasks(BackupRun *backup, GError **error)
{
  HfJobsRun *run = backup->run;
  g_autoptr(GPtrArray) rows = hf_inv_tasks_of(run->jobs->inv, run->session, error);
  if (rows == NULL)
    return NULL;
  if (rows->len == 0) {
    if (!make_rows(backup, error))
      return NULL;
    g_clear_pointer(&rows, g_ptr_array_unref);
    rows = hf_inv_tasks_of(run->jobs->inv, run->session, error);
  }
  g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
  g_autoptr(GPtrArray) tasks = g_ptr_array_new_with_free_func(backup_task_free);
  for (guint i = 0; rows != NULL && i < backup->config->objects->len; i++) {
    const HfJobObject *object = backup->config->objects->pdata[i];
    guint number = GPOINTER_TO_UINT(g_hash_table_lookup(seen, object->host_id));
    const HfTaskRow *row = find_row(rows, object, number);
    g_hash_table_insert(seen, object->host_id, GUINT_TO_POINTER(number + 1));
    if (row == NULL || row->ended != 0)
      continue;
    BackupTask *task = g_new0(BackupTask, 1);
    task->backup = backup;
    task->object = object;
    task->row = hf_inv_task_get(run->jobs->inv, row->id, error);
    g_ptr_array_add(tasks, task);
    if (task->row == NULL)
      return NULL;
  }
  return rows == NULL ? NULL : g_steal_pointer(&tasks);
}

/* In order: a task begins when it is its turn and slots are free; each waits on a thread of its own. */
static void run_tasks(GPtrArray *tasks)
{
  for (guint i = 0; i < tasks->len; i++) {
    BackupTask *task = tasks->pdata[i];
    task->thread = g_thread_new("task", task_main, task);
  }
  for (guint i = 0; i < tasks->len; i++)
    g_thread_join(((BackupTask *)tasks->pdata[i])->thread);
}

/* ---- After the tasks. ---- */

/* The task of this session that made the point, by its row; NULL when it was another run. */
static const HfTaskRow *task_of(const GPtrArray *rows, const char *point)
{
  for (guint i = 0; i < rows->len; i++) {
    const HfTaskRow *row = rows->pdata[i];
    if (g_str_has_prefix(row->resume, POINT_PREFIX) && g_str_has_prefix(row->resume + strlen(POINT_PREFIX), point))
      return row;
  }
  return NULL;
}

/* The catalogue's points of the backup that `row_id` is of which the repository has no more: a server that was killed
 * while retention ran may not have put that down. */
static gboolean forget_gone(BackupRun *backup, const GPtrArray *infos, const char *row_id, GError **error)
{
  const HfInventory *inv = backup->run->jobs->inv;
  g_autoptr(HfPointRow) one = hf_inv_point_get(inv, row_id, error);
  g_autoptr(GPtrArray) rows = one == NULL ? NULL : hf_inv_points_of(inv, one->backup_id, NULL, error);
  if (rows == NULL)
    return FALSE;
  g_autoptr(GHashTable) there = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  for (guint i = 0; i < infos->len; i++) {
    const HfPointInfo *info = infos->pdata[i];
    g_hash_table_add(there, hf_hex(info->point.id.b, sizeof info->point.id.b));
  }
  g_autoptr(GPtrArray) gone = g_ptr_array_new();
  for (guint i = 0; i < rows->len; i++) {
    HfPointRow *row = rows->pdata[i];
    if (!g_hash_table_contains(there, row->point))
      g_ptr_array_add(gone, row->point);
  }
  g_ptr_array_add(gone, NULL);
  return gone->len == 1 ||
    hf_inv_points_forget(inv, backup->repository->id, (const char *const *)gone->pdata, error);
}

/* All points of the job: also those of a run whose server was killed before it came to this. */
static gboolean catalogue(BackupRun *backup, HfJobsDoor *door, const GPtrArray *infos, const GPtrArray *rows,
                          GError **error)
{
  HfJobs *jobs = backup->run->jobs;
  guint64 now = hf_service_visit(door->repo->store).seconds;
  g_autofree char *any = NULL;
  for (guint i = 0; i < infos->len; i++) {
    const HfPointInfo *info = infos->pdata[i];
    g_autofree char *id = hf_hex(info->point.id.b, sizeof info->point.id.b), *row = NULL;
    const HfTaskRow *task = task_of(rows, id);
    if (!hf_jobs_is_of(info, backup->job->id))
      continue;
    if (!hf_jobs_catalogue(jobs, backup->repository, info, task, hf_jobs_is_first(infos, i), now, &row, error))
      return FALSE;
    if (task != NULL && row != NULL && task->restore_point_id == NULL &&
        !hf_inv_task_point(jobs->inv, task->id, row, error))
      return FALSE;
    if (any == NULL)
      any = g_steal_pointer(&row);
  }
  return any == NULL || forget_gone(backup, infos, any, error);
}

static gboolean any_done(const GPtrArray *rows)
{
  for (guint i = 0; i < rows->len; i++)
    if (g_str_has_prefix(((HfTaskRow *)rows->pdata[i])->resume, POINT_PREFIX))
      return TRUE;
  return FALSE;
}

static gboolean wrap_up(BackupRun *backup, const char **result, GError **error)
{
  HfJobsRun *run = backup->run;
  g_autoptr(GPtrArray) rows = hf_inv_tasks_of(run->jobs->inv, run->session, error);
  if (rows == NULL)
    return FALSE;
  if (!any_done(rows))
    return TRUE;
  hf_inv_session_state(run->jobs->inv, run->session, HF_STATE_POSTPROCESSING, NULL);
  g_autoptr(HfJobsDoor) door = hf_jobs_door_open(run->jobs, backup->repository, HF_TICKET_READ | HF_TICKET_KEEP, NULL,
                                                 &run->cancel, error);
  g_autoptr(GPtrArray) infos = door == NULL ? NULL : hf_points_load(door->repo, NULL, error);
  if (infos == NULL || !catalogue(backup, door, infos, rows, error))
    return FALSE;
  g_autoptr(GError) why = NULL;
  if (!hf_jobs_retain(run, door, backup->repository, backup->config, infos, backup->job->id, &why)) {
    hf_run_log(run, HF_LINE_WARNING, "Retention: %s", why->message);
    *result = HF_RESULT_WARNING;
  }
  hf_jobs_space(run->jobs, backup->repository, door, NULL);
  return TRUE;
}

static gboolean load(BackupRun *backup, GError **error)
{
  const HfInventory *inv = backup->run->jobs->inv;
  backup->job = hf_inv_job_get(inv, backup->run->job, error);
  if (backup->job == NULL)
    return FALSE;
  if (backup->job->repository_id == NULL) {
    hf_fail(error, HF_ERROR_USAGE, "job '%s' has no repository", backup->job->name);
    return FALSE;
  }
  backup->repository = hf_inv_repository_get(inv, backup->job->repository_id, error);
  return backup->repository != NULL;
}

gboolean hf_jobs_run_backup(HfJobsRun *run, gpointer config, const char **result, GError **error)
{
  g_auto(BackupRun) backup = { .run = run, .config = config };
  if (!load(&backup, error))
    return FALSE;
  g_autoptr(GPtrArray) tasks = make_tasks(&backup, error);
  if (tasks == NULL)
    return FALSE;
  hf_inv_job_status(run->jobs->inv, run->job, HF_JOB_RUNNING, NULL);
  if (backup.config->before != NULL && !hf_jobs_command(run, backup.config->before, "before", error))
    return FALSE;
  run_tasks(tasks);
  if (hf_run_ending(run))
    return TRUE;
  gboolean good = wrap_up(&backup, result, error);
  if (backup.config->after != NULL && !hf_jobs_command(run, backup.config->after, "after", good ? error : NULL))
    good = FALSE;
  if (good && hf_run_stop(run) != HF_JOBS_GO_ON)
    good = hf_fail(error, HF_ERROR_CANCELLED, "stopped");
  return good;
}
