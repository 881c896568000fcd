/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "server/inventory/jobs.h"

#include <jansson.h>
#include <string.h>

#include "base/error.h"
#include "server/inventory/tables.h"
#include "server/schedule/schedule.h"

#define R HfJobRow
static const HfField fields[] = {
  HF_FIELD(R, id, TEXT),
  HF_FIELD_CHANGES(R, name, TEXT),
  HF_FIELD_CHANGES(R, description, TEXT),
  HF_FIELD(R, type, TEXT),
  HF_FIELD(R, disabled, FLAG),
  HF_FIELD_CHANGES(R, high_priority, FLAG),
  HF_FIELD_CHANGES(R, repository_id, OPTIONAL),
  HF_FIELD_JSON(R, config, TRUE, "{}"),
  HF_FIELD_JSON(R, schedule, TRUE, "{}"),
  HF_FIELD_CHANGES(R, objects_count, NUMBER),
  HF_FIELD_CHANGES(R, after_job_id, OPTIONAL),
  HF_FIELD(R, status, TEXT),
  HF_FIELD_CHANGES(R, next_run, TIME),
  HF_FIELD_CHANGES(R, next_run_policy, TEXT),
  HF_FIELD(R, last_run, TIME),
  HF_FIELD(R, last_result, TEXT),
  HF_FIELD(R, last_session_id, OPTIONAL),
  HF_FIELD(R, retries, NUMBER),
  HF_FIELD(R, created, NUMBER),
  HF_FIELD_CHANGES(R, modified, NUMBER),
};
#undef R
const HfTable hf_table_jobs = {"jobs", "job", sizeof(HfJobRow), fields, G_N_ELEMENTS(fields)};

void hf_job_free(HfJobRow *row)
{
  hf_record_free(&hf_table_jobs, row);
}

HfJobRow *hf_inv_job_get(const HfInventory *inv, const char *id, GError **error)
{
  return hf_record_read(inv->db, &hf_table_jobs, id, error);
}

static HfJobRow *find(HfDbLink *link, const char *name, GError **error)
{
  g_autoptr(GError) problem = NULL;
  HfJobRow *row = hf_record_find(link, &hf_table_jobs, "LOWER(name) = LOWER(?)", HF_DB_VALUES(HF_DB_TEXT(name)),
                                 &problem);
  if (problem != NULL)
    g_propagate_error(error, g_steal_pointer(&problem));
  else if (row == NULL)
    hf_fail(error, HF_ERROR_NOT_FOUND, "there is no job '%s'", name);
  return row;
}

HfJobRow *hf_inv_job_find(const HfInventory *inv, const char *name, GError **error)
{
  g_autoptr(HfDbLink) link = hf_db_read(inv->db, error);
  return link == NULL ? NULL : find(link, name, error);
}

GPtrArray *hf_inv_jobs_load(const HfInventory *inv, GError **error)
{
  return hf_record_read_all(inv->db, &hf_table_jobs, "ORDER BY name, id", HF_DB_NONE, (GDestroyNotify)hf_job_free,
                            error);
}

/* ---- changes by an administrator ---- */

/* Jobs that run after each other must not come back to the first. */
static gboolean check_chain(HfDbLink *link, const char *id, const char *after, GError **error)
{
  g_autofree char *at = g_strdup(after);
  for (guint steps = 0; at != NULL; steps++) {
    if (strcmp(at, id) == 0 || steps > 1000)
      return hf_fail(error, HF_ERROR_USAGE, "the job would run after itself; choose another job to run after");
    g_autoptr(HfJobRow) job = hf_record_get(link, &hf_table_jobs, at, error);
    if (job == NULL)
      return FALSE;
    g_free(at);
    at = g_steal_pointer(&job->after_job_id);
  }
  return TRUE;
}

/* Fills after_job_id and next_run_policy from the schedule. */
static gboolean apply_schedule(HfDbLink *link, HfJobRow *row, GError **error)
{
  g_autoptr(HfSchedule) schedule = hf_schedule_parse(row->schedule, error);
  if (schedule == NULL)
    return FALSE;
  row->next_run_policy = hf_schedule_text(schedule);
  row->after_job_id = NULL;
  const char *name = hf_schedule_after_job(schedule);
  if (name == NULL)
    return TRUE;
  g_autoptr(HfJobRow) before = find(link, name, error);
  if (before == NULL)
    return FALSE;
  row->after_job_id = g_steal_pointer(&before->id);
  return check_chain(link, row->id, row->after_job_id, error);
}

static gboolean check_job(HfDbLink *link, const HfJobRow *row, GError **error)
{
  static const char *const types[] = {"LinuxAgentBackup", "FileBackup", "BackupCopy", NULL};
  if (!hf_inv_check_name("job", row->name, error) ||
      !hf_inv_check_word("the type of the job", row->type, types, error) ||
      !hf_inv_check_range("the number of objects", row->objects_count, 0, 1000000, error) ||
      !hf_inv_check_json("the configuration of the job", row->config, FALSE, error) ||
      !hf_inv_check_name_free(link, &hf_table_jobs, row->name, row->id, error))
    return FALSE;
  if (row->repository_id == NULL)
    return TRUE;
  gpointer repository = hf_record_get(link, &hf_table_repositories, row->repository_id, error);
  hf_record_free(&hf_table_repositories, repository);
  return repository != NULL;
}

static gboolean put_hosts(HfDbLink *link, const char *id, const char *const *hosts, GError **error)
{
  if (!hf_db_exec(link, "DELETE FROM job_hosts WHERE job_id = ?", HF_DB_VALUES(HF_DB_TEXT(id)), NULL, error))
    return FALSE;
  for (; hosts != NULL && *hosts != NULL; hosts++) {
    gpointer host = hf_record_get(link, &hf_table_hosts, *hosts, error);
    if (host == NULL)
      return FALSE;
    hf_record_free(&hf_table_hosts, host);
    if (!hf_db_exec(link, "INSERT INTO job_hosts (job_id, host_id) VALUES (?, ?) ON CONFLICT DO NOTHING",
                    HF_DB_VALUES(HF_DB_TEXT(id), HF_DB_TEXT(*hosts)), NULL, error))
      return FALSE;
  }
  return TRUE;
}

typedef struct JobWork {
  const HfJobRow *row;
  const char *const *hosts;
} JobWork;

/* The row with what the schedule says put in; those two members are ours to free. */
typedef HfJobRow Planned;
static void planned_clear(Planned *row)
{
  g_free(row->next_run_policy);
  g_free(row->after_job_id);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Planned, planned_clear)

static gboolean insert_job(HfDbLink *link, gpointer user, GError **error)
{
  const JobWork *work = user;
  g_auto(Planned) row = *work->row;
  row.next_run_policy = row.after_job_id = NULL;
  return check_job(link, &row, error) && apply_schedule(link, &row, error) &&
         hf_record_insert(link, &hf_table_jobs, &row, error) && put_hosts(link, row.id, work->hosts, error);
}

gboolean hf_inv_job_create(const HfInventory *inv, const HfActor *actor, HfJobRow *row, const char *const *hosts,
                           GError **error)
{
  if (row->id == NULL)
    row->id = hf_db_new_id();
  g_free(row->status);
  row->status = g_strdup(row->disabled ? HF_JOB_DISABLED : HF_JOB_INACTIVE);
  g_free(row->last_result);
  row->last_result = g_strdup(HF_RESULT_NONE);
  row->created = row->modified = hf_db_now();
  JobWork work = {row, hosts};
  return hf_inv_audited(&(HfChange){inv, actor, "create", &hf_table_jobs, row->id, row->name}, insert_job, &work,
                        error);
}

/* A job has got another name: schedules that name it follow. */
static gboolean follow_name(HfDbLink *link, const HfJobRow *row, GError **error)
{
  g_autoptr(GPtrArray) after = hf_record_load(link, &hf_table_jobs, "WHERE after_job_id = ?",
                                              HF_DB_VALUES(HF_DB_TEXT(row->id)), (GDestroyNotify)hf_job_free, error);
  if (after == NULL)
    return FALSE;
  for (guint i = 0; i < after->len; i++) {
    HfJobRow *job = g_ptr_array_index(after, i);
    json_t *schedule = json_loads(job->schedule, 0, NULL);
    json_object_set_new(json_object_get(schedule, "afterThisJob"), "jobName", json_string(row->name));
    g_free(job->schedule);
    char *text = json_dumps(schedule, JSON_COMPACT);
    job->schedule = g_strdup(text);
    free(text);
    json_decref(schedule);
    g_free(job->next_run_policy);
    job->next_run_policy = g_strdup_printf("after job '%s'", row->name);
    if (!hf_record_update(link, &hf_table_jobs, job, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean update_job(HfDbLink *link, gpointer user, GError **error)
{
  const JobWork *work = user;
  g_auto(Planned) row = *work->row;
  row.next_run_policy = row.after_job_id = NULL;
  g_autoptr(HfJobRow) old = hf_record_get(link, &hf_table_jobs, row.id, error);
  if (old == NULL)
    return FALSE;
  row.type = old->type;
  row.modified = hf_db_now();
  /* Another schedule is planned anew by the scheduler. */
  row.next_run = g_strcmp0(row.schedule, old->schedule) == 0 ? old->next_run : 0;
  return check_job(link, &row, error) && apply_schedule(link, &row, error) &&
         hf_record_update(link, &hf_table_jobs, &row, error) &&
         (work->hosts == NULL || put_hosts(link, row.id, work->hosts, error)) &&
         (strcmp(row.name, old->name) == 0 || follow_name(link, &row, error));
}

gboolean hf_inv_job_change(const HfInventory *inv, const HfActor *actor, const HfJobRow *row, const char *const *hosts,
                           GError **error)
{
  JobWork work = {row, hosts};
  return hf_inv_audited(&(HfChange){inv, actor, "change", &hf_table_jobs, row->id, row->name}, update_job, &work,
                        error);
}

static gboolean running(const HfJobRow *row)
{
  return strcmp(row->status, HF_JOB_INACTIVE) != 0 && strcmp(row->status, HF_JOB_DISABLED) != 0;
}

static gboolean delete_job(HfDbLink *link, gpointer user, GError **error)
{
  const char *id = user;
  g_autoptr(HfJobRow) row = hf_record_get(link, &hf_table_jobs, id, error);
  if (row == NULL)
    return FALSE;
  if (running(row))
    return hf_fail(error, HF_ERROR_BUSY, "the job '%s' runs; stop it first", row->name);
  return hf_inv_check_unused(link, "job", id, "job", "SELECT name FROM jobs WHERE after_job_id = ?", error) &&
         hf_inv_exec_one(link, &hf_table_jobs, id, "DELETE FROM jobs WHERE id = ?", HF_DB_VALUES(HF_DB_TEXT(id)),
                         error);
}

gboolean hf_inv_job_delete(const HfInventory *inv, const HfActor *actor, const char *id, GError **error)
{
  return hf_inv_audited(&(HfChange){inv, actor, "delete", &hf_table_jobs, id, NULL}, delete_job, (gpointer)id, error);
}

typedef struct Switch {
  const char *id;
  gboolean disabled;
} Switch;

static gboolean switch_job(HfDbLink *link, gpointer user, GError **error)
{
  const Switch *to = user;
  return hf_inv_exec_one(link, &hf_table_jobs, to->id,
                         "UPDATE jobs SET disabled = ?, next_run = NULL, modified = ?, "
                         "status = CASE WHEN status IN ('Inactive', 'Disabled') THEN ? ELSE status END WHERE id = ?",
                         HF_DB_VALUES(HF_DB_INT(to->disabled), HF_DB_INT(hf_db_now()),
                                      HF_DB_TEXT(to->disabled ? HF_JOB_DISABLED : HF_JOB_INACTIVE),
                                      HF_DB_TEXT(to->id)), error);
}

gboolean hf_inv_job_switch(const HfInventory *inv, const HfActor *actor, const char *id, gboolean disabled,
                           GError **error)
{
  Switch to = {id, disabled};
  return hf_inv_audited(&(HfChange){inv, actor, disabled ? "disable" : "enable", &hf_table_jobs, id, NULL}, switch_job,
                        &to, error);
}

char **hf_inv_job_hosts(const HfInventory *inv, const char *id, GError **error)
{
  g_autoptr(HfDbLink) link = hf_db_read(inv->db, error);
  g_autoptr(HfDbRows) rows =
      link == NULL ? NULL
                   : hf_db_query(link, "SELECT host_id FROM job_hosts WHERE job_id = ? ORDER BY host_id",
                                 HF_DB_VALUES(HF_DB_TEXT(id)), error);
  if (rows == NULL)
    return NULL;
  g_autoptr(GStrvBuilder) hosts = g_strv_builder_new();
  while (hf_db_next(rows, error))
    g_strv_builder_add(hosts, hf_db_text(rows, 0));
  return hf_db_failed(rows) ? NULL : g_strv_builder_end(hosts);
}

/* ---- runs ---- */

typedef struct Run {
  const char *id, *session_id, *word;
  gboolean retry;
} Run;

static gboolean begin_run(HfDbLink *link, gpointer user, GError **error)
{
  const Run *run = user;
  g_autoptr(HfJobRow) row = hf_record_get(link, &hf_table_jobs, run->id, error);
  if (row == NULL)
    return FALSE;
  if (running(row))
    return hf_fail(error, HF_ERROR_BUSY, "the job '%s' runs already", row->name);
  return hf_inv_exec_one(link, &hf_table_jobs, run->id,
                         "UPDATE jobs SET status = ?, last_run = ?, last_session_id = ?, retries = ? WHERE id = ?",
                         HF_DB_VALUES(HF_DB_TEXT(HF_JOB_STARTING), HF_DB_INT(hf_db_now()), HF_DB_TEXT(run->session_id),
                                      HF_DB_INT(run->retry ? row->retries + 1 : 0), HF_DB_TEXT(run->id)), error);
}

gboolean hf_inv_job_begin(const HfInventory *inv, const char *id, const char *session_id, gboolean retry,
                          GError **error)
{
  Run run = {.id = id, .session_id = session_id, .retry = retry};
  return hf_db_write(inv->db, begin_run, &run, error);
}

static gboolean put_status(HfDbLink *link, gpointer user, GError **error)
{
  const Run *run = user;
  return hf_db_exec(link, "UPDATE jobs SET status = ? WHERE id = ? AND status NOT IN ('Inactive', 'Disabled')",
                    HF_DB_VALUES(HF_DB_TEXT(run->word), HF_DB_TEXT(run->id)), NULL, error);
}

gboolean hf_inv_job_status(const HfInventory *inv, const char *id, const char *status, GError **error)
{
  static const char *const words[] = {HF_JOB_RUNNING, HF_JOB_STOPPING, HF_JOB_STARTING, NULL};
  Run run = {.id = id, .word = status};
  return hf_inv_check_word("the status of a job that runs", status, words, error) &&
         hf_db_write(inv->db, put_status, &run, error);
}

static gboolean end_run(HfDbLink *link, gpointer user, GError **error)
{
  const Run *run = user;
  return hf_inv_exec_one(link, &hf_table_jobs, run->id,
                         "UPDATE jobs SET status = CASE WHEN disabled = 1 THEN 'Disabled' ELSE 'Inactive' END, "
                         "last_result = ? WHERE id = ?",
                         HF_DB_VALUES(HF_DB_TEXT(run->word), HF_DB_TEXT(run->id)), error);
}

gboolean hf_inv_job_end(const HfInventory *inv, const char *id, const char *result, GError **error)
{
  Run run = {.id = id, .word = result};
  return hf_db_write(inv->db, end_run, &run, error);
}
