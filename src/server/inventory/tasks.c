/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/error.h"
#include "server/inventory/sessions.h"
#include "server/inventory/tables.h"

#define R HfTaskRow
static const HfField fields[] = {
  HF_FIELD(R, id, TEXT),
  HF_FIELD(R, usn, NUMBER),
  HF_FIELD(R, session_id, TEXT),
  HF_FIELD(R, session_type, TEXT),
  HF_FIELD(R, type, TEXT),
  HF_FIELD(R, name, TEXT),
  HF_FIELD(R, host_id, OPTIONAL),
  HF_FIELD(R, object_id, OPTIONAL),
  HF_FIELD_CHANGES(R, state, TEXT),
  HF_FIELD_CHANGES(R, result, TEXT),
  HF_FIELD_CHANGES(R, message, TEXT),
  HF_FIELD_CHANGES(R, algorithm, TEXT),
  HF_FIELD_CHANGES(R, bottleneck, TEXT),
  HF_FIELD_CHANGES(R, duration_us, NUMBER),
  HF_FIELD_CHANGES(R, rate, NUMBER),
  HF_FIELD_CHANGES(R, total_bytes, NUMBER),
  HF_FIELD_CHANGES(R, processed_bytes, NUMBER),
  HF_FIELD_CHANGES(R, read_bytes, NUMBER),
  HF_FIELD_CHANGES(R, transferred_bytes, NUMBER),
  HF_FIELD_CHANGES(R, progress, NUMBER),
  HF_FIELD_CHANGES(R, busy_source_us, NUMBER),
  HF_FIELD_CHANGES(R, busy_proxy_us, NUMBER),
  HF_FIELD_CHANGES(R, busy_network_us, NUMBER),
  HF_FIELD_CHANGES(R, busy_target_us, NUMBER),
  HF_FIELD_CHANGES(R, busy_throttle_us, NUMBER),
  HF_FIELD(R, repository_id, OPTIONAL),
  HF_FIELD_CHANGES(R, restore_point_id, OPTIONAL),
  HF_FIELD_JSON(R, resume, TRUE, "{}"),
  HF_FIELD(R, created, NUMBER),
  HF_FIELD_CHANGES(R, ended, TIME),
  HF_FIELD_CHANGES(R, usn, NUMBER),
};
#undef R
/* The last field, usn again, is only for changes: it is neither read nor inserted twice. */
const HfTable hf_table_tasks = {"task_sessions", "task session", sizeof(HfTaskRow), fields, G_N_ELEMENTS(fields) - 1};
static const HfTable changing = {"task_sessions", "task session", sizeof(HfTaskRow), fields, G_N_ELEMENTS(fields)};

void hf_task_free(HfTaskRow *row)
{
  hf_record_free(&hf_table_tasks, row);
}

HfTaskRow *hf_inv_task_get(const HfInventory *inv, const char *id, GError **error)
{
  return hf_record_read(inv->db, &hf_table_tasks, id, error);
}

GPtrArray *hf_inv_tasks_of(const HfInventory *inv, const char *session_id, GError **error)
{
  return hf_record_read_all(inv->db, &hf_table_tasks, "WHERE session_id = ? ORDER BY created, id",
                            HF_DB_VALUES(HF_DB_TEXT(session_id)), (GDestroyNotify)hf_task_free, error);
}

/* ---- creating ---- */

static gboolean insert_task(HfDbLink *link, gpointer user, GError **error)
{
  HfTaskRow *row = user;
  g_autoptr(HfSessionRow) session = hf_record_get(link, &hf_table_sessions, row->session_id, error);
  if (session == NULL)
    return FALSE;
  if (session->ended != 0)
    return hf_fail(error, HF_ERROR_USAGE, "the session '%s' has ended already", session->name);
  g_free(row->session_type);
  row->session_type = g_strdup(session->type);
  row->usn = hf_db_count_up(link, "usn", error);
  return row->usn >= 0 && hf_record_insert(link, &hf_table_tasks, row, error);
}

static void give(char **member, const char *otherwise)
{
  if (*member == NULL)
    *member = g_strdup(otherwise);
}

gboolean hf_inv_task_create(const HfInventory *inv, HfTaskRow *row, GError **error)
{
  static const char *const types[] = {"Backup", "Restore", NULL};
  if (!hf_inv_check_word("the type of the task", row->type, types, error))
    return FALSE;
  if (row->id == NULL)
    row->id = hf_db_new_id();
  give(&row->state, HF_STATE_STARTING);
  give(&row->result, HF_RESULT_NONE);
  give(&row->algorithm, "None");
  give(&row->bottleneck, "None");
  row->created = hf_db_now();
  row->ended = 0;
  return hf_db_write(inv->db, insert_task, row, error);
}

/* ---- changing ---- */

const char *hf_task_bottleneck(const HfTaskFigures *figures)
{
  const struct {
    const char *word;
    gint64 busy;
  } parts[] = {
    {"Source", figures->busy_source_us},   {"Proxy", figures->busy_proxy_us},
    {"Network", figures->busy_network_us}, {"Target", figures->busy_target_us},
    {"Throttling", figures->busy_throttle_us},
  };
  const char *busiest = "None";
  gint64 most = 0;
  for (gsize i = 0; i < G_N_ELEMENTS(parts); i++)
    if (parts[i].busy > most) {
      most = parts[i].busy;
      busiest = parts[i].word;
    }
  return busiest;
}

static void apply_figures(HfTaskRow *row, const HfTaskFigures *figures)
{
#define RISE(member) row->member = MAX(row->member, figures->member)
  RISE(duration_us);
  RISE(total_bytes);
  RISE(processed_bytes);
  RISE(read_bytes);
  RISE(transferred_bytes);
  RISE(busy_source_us);
  RISE(busy_proxy_us);
  RISE(busy_network_us);
  RISE(busy_target_us);
  RISE(busy_throttle_us);
#undef RISE
  HfTaskFigures all = {.busy_source_us = row->busy_source_us, .busy_proxy_us = row->busy_proxy_us,
                       .busy_network_us = row->busy_network_us, .busy_target_us = row->busy_target_us,
                       .busy_throttle_us = row->busy_throttle_us};
  g_free(row->bottleneck);
  row->bottleneck = g_strdup(hf_task_bottleneck(&all));
  if (row->duration_us > 0)
    row->rate = (gint64)((double)row->processed_bytes * G_USEC_PER_SEC / (double)row->duration_us);
  if (row->total_bytes > 0) {
    gint64 percent = (gint64)((double)row->processed_bytes * 100 / (double)row->total_bytes);
    row->progress = MAX(row->progress, CLAMP(percent, 0, 99));
  }
}

/* The session's figures are those of its tasks: sizes summed, percent weighted by size (in MiB, so that it cannot
 * overflow). */
static gboolean sum_up(HfDbLink *link, const char *session_id, GError **error)
{
  g_autoptr(HfDbRows) rows = hf_db_query(
      link,
      "SELECT CAST(SUM(processed_bytes) AS BIGINT), CAST(SUM(read_bytes) AS BIGINT), "
      "CAST(SUM(transferred_bytes) AS BIGINT), CAST(SUM(progress * (total_bytes / 1048576 + 1)) AS BIGINT), "
      "CAST(SUM(total_bytes / 1048576 + 1) AS BIGINT) FROM task_sessions WHERE session_id = ?",
      HF_DB_VALUES(HF_DB_TEXT(session_id)), error);
  if (rows == NULL || !hf_db_next(rows, error))
    return FALSE;
  gint64 processed = hf_db_int(rows, 0), read = hf_db_int(rows, 1), transferred = hf_db_int(rows, 2);
  gint64 percent = MIN(hf_db_int(rows, 3) / MAX(hf_db_int(rows, 4), 1), 99);
  gint64 usn = hf_db_count_up(link, "usn", error);
#define RISING(column) #column " = CASE WHEN ? > " #column " THEN ? ELSE " #column " END"
  return usn >= 0 &&
         hf_db_exec(link, "UPDATE sessions SET " RISING(processed_bytes) ", " RISING(read_bytes) ", "
                          RISING(transferred_bytes) ", " RISING(progress) ", usn = ? WHERE id = ? AND ended IS NULL",
                    HF_DB_VALUES(HF_DB_INT(processed), HF_DB_INT(processed), HF_DB_INT(read), HF_DB_INT(read),
                                 HF_DB_INT(transferred), HF_DB_INT(transferred), HF_DB_INT(percent),
                                 HF_DB_INT(percent), HF_DB_INT(usn), HF_DB_TEXT(session_id)), NULL, error);
#undef RISING
}

typedef struct TaskWork {
  const char *id;
  const char *state, *resume; /* NULL: stay */
  const HfTaskFigures *figures;
  const char *result, *message, *algorithm, *point_id; /* result NULL: it goes on */
} TaskWork;

static void put(char **member, const char *value)
{
  if (value == NULL)
    return;
  g_free(*member);
  *member = g_strdup(value);
}

static gboolean change_task(HfDbLink *link, gpointer user, GError **error)
{
  const TaskWork *work = user;
  g_autoptr(HfTaskRow) row = hf_record_get(link, &hf_table_tasks, work->id, error);
  if (row == NULL)
    return FALSE;
  if (row->ended != 0)
    return TRUE; /* invariant 1 */
  if (work->figures != NULL)
    apply_figures(row, work->figures);
  put(&row->state, work->state);
  put(&row->resume, work->resume);
  if (work->result != NULL) {
    put(&row->state, HF_STATE_STOPPED);
    put(&row->result, work->result);
    put(&row->message, work->message);
    put(&row->algorithm, work->algorithm);
    put(&row->restore_point_id, work->point_id);
    row->ended = MAX(hf_db_now(), row->created);
    if (row->duration_us == 0)
      row->duration_us = row->ended - row->created;
    if (strcmp(work->result, HF_RESULT_FAILED) != 0)
      row->progress = 100;
  }
  row->usn = hf_db_count_up(link, "usn", error);
  if (row->usn < 0 || !hf_record_update(link, &changing, row, error))
    return FALSE;
  return (work->figures == NULL && work->result == NULL) || sum_up(link, row->session_id, error);
}

gboolean hf_inv_task_state(const HfInventory *inv, const char *id, const char *state, GError **error)
{
  static const char *const words[] = {HF_STATE_STARTING, HF_STATE_WORKING, HF_STATE_STOPPING, HF_STATE_POSTPROCESSING,
                                      HF_STATE_WAITING_REPOSITORY, HF_STATE_WAITING_SLOT, "Pausing", "Resuming", "Idle",
                                      NULL};
  TaskWork work = {.id = id, .state = state};
  return hf_inv_check_word("the state of a task that has not ended", state, words, error) &&
         hf_db_write(inv->db, change_task, &work, error);
}

gboolean hf_inv_task_resume(const HfInventory *inv, const char *id, const char *resume, GError **error)
{
  TaskWork work = {.id = id, .resume = resume};
  return hf_inv_check_json("what the task resumes by", resume, FALSE, error) &&
         hf_db_write(inv->db, change_task, &work, error);
}

gboolean hf_inv_task_progress(const HfInventory *inv, const char *id, const HfTaskFigures *figures, GError **error)
{
  TaskWork work = {.id = id, .figures = figures};
  return hf_db_write(inv->db, change_task, &work, error);
}

gboolean hf_inv_task_finish(const HfInventory *inv, const char *id, const char *result, const char *message,
                            const char *algorithm, const char *point_id, const HfTaskFigures *figures, GError **error)
{
  static const char *const words[] = {HF_RESULT_SUCCESS, HF_RESULT_WARNING, HF_RESULT_FAILED, NULL};
  static const char *const algorithms[] = {"None", "Full", "Increment", NULL};
  TaskWork work = {.id = id, .figures = figures, .result = result, .message = message, .algorithm = algorithm,
                   .point_id = point_id};
  return hf_inv_check_word("the result of a task", result, words, error) &&
         (algorithm == NULL || hf_inv_check_word("the algorithm of a task", algorithm, algorithms, error)) &&
         hf_db_write(inv->db, change_task, &work, error);
}

const char *hf_inv_tasks_result(const HfInventory *inv, const char *session_id, GError **error)
{
  g_autoptr(GPtrArray) tasks = hf_inv_tasks_of(inv, session_id, error);
  if (tasks == NULL)
    return NULL;
  static const char *const worst_last[] = {HF_RESULT_NONE, HF_RESULT_SUCCESS, HF_RESULT_WARNING, HF_RESULT_FAILED};
  gsize worst = 0;
  for (guint i = 0; i < tasks->len; i++) {
    const HfTaskRow *task = g_ptr_array_index(tasks, i);
    for (gsize at = worst + 1; at < G_N_ELEMENTS(worst_last); at++)
      if (strcmp(task->result, worst_last[at]) == 0)
        worst = at;
  }
  return worst_last[worst];
}

typedef struct PointWork {
  const char *id, *point_id;
} PointWork;

static gboolean set_point(HfDbLink *link, gpointer user, GError **error)
{
  const PointWork *work = user;
  gint64 usn = hf_db_count_up(link, "usn", error);
  return usn >= 0 &&
         hf_db_exec(link, "UPDATE task_sessions SET restore_point_id = ?, usn = ? "
                          "WHERE id = ? AND restore_point_id IS NULL",
                    HF_DB_VALUES(HF_DB_TEXT(work->point_id), HF_DB_INT(usn), HF_DB_TEXT(work->id)), NULL, error);
}

gboolean hf_inv_task_point(const HfInventory *inv, const char *id, const char *point_id, GError **error)
{
  PointWork work = {id, point_id};
  return hf_db_write(inv->db, set_point, &work, error);
}
