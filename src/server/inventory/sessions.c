/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "server/inventory/sessions.h"

#include <string.h>

#include "base/error.h"
#include "server/inventory/tables.h"

#define R HfSessionRow
static const HfField fields[] = {
  HF_FIELD(R, id, TEXT),
  HF_FIELD(R, usn, NUMBER),
  HF_FIELD(R, name, TEXT),
  HF_FIELD(R, job_id, OPTIONAL),
  HF_FIELD(R, type, TEXT),
  HF_FIELD(R, state, TEXT),
  HF_FIELD(R, result, TEXT),
  HF_FIELD(R, message, TEXT),
  HF_FIELD(R, cancelled, FLAG),
  HF_FIELD(R, stop_requested, TEXT),
  HF_FIELD(R, progress, NUMBER),
  HF_FIELD(R, processed_bytes, NUMBER),
  HF_FIELD(R, read_bytes, NUMBER),
  HF_FIELD(R, transferred_bytes, NUMBER),
  HF_FIELD(R, initiated_by, TEXT),
  HF_FIELD(R, repository_id, OPTIONAL),
  HF_FIELD(R, parent_id, OPTIONAL),
  HF_FIELD(R, related_id, OPTIONAL),
  HF_FIELD(R, resource_id, OPTIONAL),
  HF_FIELD(R, resource_reference, TEXT),
  HF_FIELD_JSON(R, resume, FALSE, "{}"),
  HF_FIELD(R, created, NUMBER),
  HF_FIELD(R, ended, TIME),
};
#undef R
const HfTable hf_table_sessions = {"sessions", "session", sizeof(HfSessionRow), fields, G_N_ELEMENTS(fields)};

void hf_session_row_free(HfSessionRow *row)
{
  hf_record_free(&hf_table_sessions, row);
}

HfSessionRow *hf_inv_session_get(const HfInventory *inv, const char *id, GError **error)
{
  return hf_record_read(inv->db, &hf_table_sessions, id, error);
}

GPtrArray *hf_inv_sessions_open(const HfInventory *inv, GError **error)
{
  return hf_record_read_all(inv->db, &hf_table_sessions, "WHERE ended IS NULL ORDER BY created, id", HF_DB_NONE,
                            (GDestroyNotify)hf_session_row_free, error);
}

/* ---- creating ---- */

static gboolean insert_session(HfDbLink *link, gpointer user, GError **error)
{
  HfSessionRow *row = user;
  row->usn = hf_db_count_up(link, "usn", error);
  /* log_lines is no member: only the log counts it. */
  return row->usn >= 0 && hf_record_insert(link, &hf_table_sessions, row, error);
}

static void give(char **member, const char *otherwise)
{
  if (*member == NULL)
    *member = g_strdup(otherwise);
}

gboolean hf_inv_session_create(const HfInventory *inv, const HfActor *actor, HfSessionRow *row, GError **error)
{
  if (row->type == NULL || *row->type == '\0')
    return hf_fail(error, HF_ERROR_USAGE, "the session needs a type");
  if (!hf_inv_check_json("what the session resumes by", row->resume, FALSE, error))
    return FALSE;
  if (row->id == NULL)
    row->id = hf_db_new_id();
  give(&row->state, HF_STATE_STARTING);
  give(&row->result, HF_RESULT_NONE);
  give(&row->initiated_by, actor != NULL ? actor->account : "");
  row->created = hf_db_now();
  row->ended = 0;
  return hf_db_write(inv->db, insert_session, row, error);
}

/* ---- changing one that has not ended ---- */

typedef struct Change {
  const char *id;
  const char *sql;           /* of the values and then usn and id: SET ... */
  const HfDbValue *values;
  gsize n_values;
} Change;

/* One UPDATE with the next usn; nothing for a row that has ended (invariant 1). */
static gboolean change_open(HfDbLink *link, gpointer user, GError **error)
{
  const Change *change = user;
  gint64 usn = hf_db_count_up(link, "usn", error);
  if (usn < 0)
    return FALSE;
  g_autofree HfDbValue *values = g_new0(HfDbValue, change->n_values + 2);
  memcpy(values, change->values, change->n_values * sizeof *values);
  values[change->n_values] = HF_DB_INT(usn);
  values[change->n_values + 1] = HF_DB_TEXT(change->id);
  g_autofree char *sql = g_strdup_printf("UPDATE sessions SET %s, usn = ? WHERE id = ? AND ended IS NULL", change->sql);
  return hf_db_exec(link, sql, values, change->n_values + 2, NULL, error);
}

static gboolean change_session(const HfInventory *inv, const char *id, const char *sql, const HfDbValue *values,
                               gsize n_values, GError **error)
{
  Change change = {id, sql, values, n_values};
  return hf_db_write(inv->db, change_open, &change, error);
}

gboolean hf_inv_session_state(const HfInventory *inv, const char *id, const char *state, GError **error)
{
  static const char *const words[] = {HF_STATE_STARTING, HF_STATE_WORKING, HF_STATE_STOPPING, HF_STATE_POSTPROCESSING,
                                      HF_STATE_WAITING_REPOSITORY, HF_STATE_WAITING_SLOT, "Pausing", "Resuming", "Idle",
                                      NULL};
  return hf_inv_check_word("the state of a session that has not ended", state, words, error) &&
         change_session(inv, id, "state = ?", HF_DB_VALUES(HF_DB_TEXT(state)), error);
}

typedef struct StopWork {
  const HfInventory *inv;
  const char *id;
  gboolean graceful;
} StopWork;

static gboolean request_stop(HfDbLink *link, gpointer user, GError **error)
{
  const StopWork *work = user;
  g_autoptr(HfSessionRow) row = hf_record_get(link, &hf_table_sessions, work->id, error);
  if (row == NULL)
    return FALSE;
  if (row->ended != 0)
    return hf_fail(error, HF_ERROR_USAGE, "the session '%s' has ended already", row->name);
  if (strcmp(row->stop_requested, "now") == 0)
    return TRUE;
  const HfDbValue values[] = {HF_DB_TEXT(work->graceful ? "graceful" : "now"), HF_DB_TEXT(HF_STATE_STOPPING)};
  Change change = {work->id, "stop_requested = ?, state = ?", values, G_N_ELEMENTS(values)};
  return change_open(link, &change, error);
}

gboolean hf_inv_session_request_stop(const HfInventory *inv, const HfActor *actor, const char *id, gboolean graceful,
                                     GError **error)
{
  StopWork work = {inv, id, graceful};
  return hf_inv_audited(&(HfChange){inv, actor, "stop", &hf_table_sessions, id, NULL}, request_stop, &work, error);
}

gboolean hf_inv_session_resource(const HfInventory *inv, const char *id, const char *resource_id, const char *reference,
                                 GError **error)
{
  return change_session(inv, id, "resource_id = ?, resource_reference = ?",
                        HF_DB_VALUES(HF_DB_TEXT(resource_id), HF_DB_TEXT(reference != NULL ? reference : "")), error);
}

gboolean hf_inv_session_resume(const HfInventory *inv, const char *id, const char *resume, GError **error)
{
  return hf_inv_check_json("what the session resumes by", resume, FALSE, error) &&
         change_session(inv, id, "resume = ?", HF_DB_VALUES(HF_DB_TEXT(resume)), error);
}

#define RISING(column) #column " = CASE WHEN ? > " #column " THEN ? ELSE " #column " END"

gboolean hf_inv_session_progress(const HfInventory *inv, const char *id, gint64 progress, gint64 processed, gint64 read,
                                 gint64 transferred, GError **error)
{
  progress = MIN(progress, 99); /* 100 is for the end */
  return change_session(inv, id,
                        RISING(progress) ", " RISING(processed_bytes) ", " RISING(read_bytes) ", "
                        RISING(transferred_bytes),
                        HF_DB_VALUES(HF_DB_INT(progress), HF_DB_INT(progress), HF_DB_INT(processed),
                                     HF_DB_INT(processed), HF_DB_INT(read), HF_DB_INT(read), HF_DB_INT(transferred),
                                     HF_DB_INT(transferred)), error);
}

/* ---- ending ---- */

typedef struct Finish {
  const char *id, *result, *message;
  gboolean cancelled;
} Finish;

/* Invariant 3. */
static gboolean fail_tasks(HfDbLink *link, const char *id, gint64 ended, gboolean cancelled, GError **error)
{
  g_autoptr(GPtrArray) open = hf_record_load(link, &hf_table_tasks, "WHERE session_id = ? AND ended IS NULL",
                                             HF_DB_VALUES(HF_DB_TEXT(id)), (GDestroyNotify)hf_task_free, error);
  for (guint i = 0; open != NULL && i < open->len; i++) {
    HfTaskRow *task = g_ptr_array_index(open, i);
    gint64 usn = hf_db_count_up(link, "usn", error);
    if (usn < 0 ||
        !hf_db_exec(link, "UPDATE task_sessions SET usn = ?, state = ?, result = ?, message = ?, ended = ? WHERE id = "
                          "?",
                    HF_DB_VALUES(HF_DB_INT(usn), HF_DB_TEXT(HF_STATE_STOPPED), HF_DB_TEXT(HF_RESULT_FAILED),
                                 HF_DB_TEXT(cancelled ? "stopped" : "its session ended before it did"),
                                 HF_DB_INT(ended), HF_DB_TEXT(task->id)), NULL, error))
      return FALSE;
  }
  return open != NULL;
}

static gboolean finish(HfDbLink *link, gpointer user, GError **error)
{
  const Finish *work = user;
  g_autoptr(HfSessionRow) row = hf_record_get(link, &hf_table_sessions, work->id, error);
  if (row == NULL)
    return FALSE;
  if (row->ended != 0)
    return TRUE;
  gboolean failed = strcmp(work->result, HF_RESULT_FAILED) == 0;
  gint64 ended = MAX(hf_db_now(), row->created);
  const HfDbValue values[] = {HF_DB_TEXT(HF_STATE_STOPPED), HF_DB_TEXT(work->result), HF_DB_TEXT(work->message),
                              HF_DB_INT(work->cancelled), HF_DB_INT(failed ? row->progress : 100),
                              HF_DB_INT(ended)};
  Change change = {work->id, "state = ?, result = ?, message = ?, cancelled = ?, progress = ?, ended = ?", values,
                   G_N_ELEMENTS(values)};
  return fail_tasks(link, work->id, ended, work->cancelled, error) && change_open(link, &change, error);
}

gboolean hf_inv_session_finish(const HfInventory *inv, const char *id, const char *result, const char *message,
                               gboolean cancelled, GError **error)
{
  static const char *const words[] = {HF_RESULT_SUCCESS, HF_RESULT_WARNING, HF_RESULT_FAILED, NULL};
  Finish work = {id, result, message != NULL ? message : "", cancelled};
  return hf_inv_check_word("the result of a session", result, words, error) &&
         hf_db_write(inv->db, finish, &work, error);
}

/* ---- the log ---- */

typedef struct Line {
  const char *id, *status, *title, *description;
  gint64 seq;
} Line;

static gboolean next_line(HfDbLink *link, const char *table, Line *line, GError **error)
{
  g_autofree char *sql = g_strdup_printf("UPDATE %s SET log_lines = log_lines + 1 WHERE id = ? RETURNING log_lines",
                                         table);
  return hf_db_query_int(link, sql, HF_DB_VALUES(HF_DB_TEXT(line->id)), &line->seq, error);
}

static gboolean insert_line(HfDbLink *link, gpointer user, GError **error)
{
  Line *line = user;
  g_autoptr(GError) none = NULL;
  if (!next_line(link, "sessions", line, &none) &&
      (!hf_error_is(none, HF_ERROR_NOT_FOUND) || !next_line(link, "task_sessions", line, error))) {
    if (!hf_error_is(none, HF_ERROR_NOT_FOUND))
      g_propagate_error(error, g_steal_pointer(&none));
    return FALSE;
  }
  gint64 now = hf_db_now();
  return hf_db_exec(link, "INSERT INTO session_logs (session_id, seq, status, started, updated, title, description) "
                          "VALUES (?, ?, ?, ?, ?, ?, ?)",
                    HF_DB_VALUES(HF_DB_TEXT(line->id), HF_DB_INT(line->seq), HF_DB_TEXT(line->status), HF_DB_INT(now),
                                 HF_DB_INT(now), HF_DB_TEXT(line->title), HF_DB_TEXT(line->description)), NULL, error);
}

static gboolean check_line(const char *status, GError **error)
{
  static const char *const words[] = {HF_LINE_NONE, HF_LINE_SUCCEEDED, HF_LINE_WARNING, HF_LINE_FAILED, NULL};
  return hf_inv_check_word("the status of a line", status, words, error);
}

gboolean hf_inv_log(const HfInventory *inv, const char *id, const char *status, const char *title,
                    const char *description, gint64 *seq, GError **error)
{
  Line line = {id, status, title, description != NULL ? description : "", 0};
  if (!check_line(status, error) || !hf_db_write(inv->db, insert_line, &line, error))
    return FALSE;
  if (seq != NULL)
    *seq = line.seq;
  return TRUE;
}

static gboolean update_line(HfDbLink *link, gpointer user, GError **error)
{
  const Line *line = user;
  gint64 changed = 0;
  return hf_db_exec(link, "UPDATE session_logs SET status = ?, updated = ?, title = COALESCE(?, title), "
                          "description = COALESCE(?, description) WHERE session_id = ? AND seq = ?",
                    HF_DB_VALUES(HF_DB_TEXT(line->status), HF_DB_INT(hf_db_now()), HF_DB_TEXT(line->title),
                                 HF_DB_TEXT(line->description), HF_DB_TEXT(line->id), HF_DB_INT(line->seq)), &changed,
                    error) &&
         (changed > 0 || hf_fail(error, HF_ERROR_NOT_FOUND, "the log of '%s' has no line %" G_GINT64_FORMAT, line->id,
                                 line->seq));
}

gboolean hf_inv_log_update(const HfInventory *inv, const char *id, gint64 seq, const char *status, const char *title,
                           const char *description, GError **error)
{
  Line line = {id, status, title, description, seq};
  return check_line(status, error) && hf_db_write(inv->db, update_line, &line, error);
}

/* ---- forgetting ---- */

static gboolean sweep(HfDbLink *link, gpointer user, GError **error)
{
  const gint64 *before = user;
#define OLD \
  "(SELECT id FROM sessions WHERE ended < ? AND NOT EXISTS (SELECT 1 FROM jobs WHERE last_session_id = sessions.id))"
  return hf_db_exec(link, "DELETE FROM session_logs WHERE session_id IN " OLD, HF_DB_VALUES(HF_DB_INT(*before)), NULL,
                    error) &&
         hf_db_exec(link, "DELETE FROM session_logs WHERE session_id IN "
                          "(SELECT id FROM task_sessions WHERE session_id IN " OLD ")",
                    HF_DB_VALUES(HF_DB_INT(*before)), NULL, error) &&
         hf_db_exec(link, "DELETE FROM sessions WHERE id IN " OLD, HF_DB_VALUES(HF_DB_INT(*before)), NULL, error);
#undef OLD
}

gboolean hf_inv_sessions_sweep(const HfInventory *inv, gint64 before, GError **error)
{
  return hf_db_write(inv->db, sweep, &before, error);
}
