/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "place.h"
#include "server/inventory/jobs.h"
#include "server/inventory/sessions.h"

#define NOBODY "00000000-0000-4000-8000-00000000dead"

static char *new_session(TestPlace *place, const char *name)
{
  GError *error = NULL;
  g_autoptr(HfSessionRow) row = g_new0(HfSessionRow, 1);
  row->name = g_strdup(name);
  row->type = g_strdup("BackupJob");
  hf_inv_session_create(&place->inv, &test_actor, row, &error);
  g_assert_no_error(error);
  return g_strdup(row->id);
}

static char *new_task(TestPlace *place, const char *session_id, const char *name)
{
  GError *error = NULL;
  g_autoptr(HfTaskRow) row = g_new0(HfTaskRow, 1);
  row->session_id = g_strdup(session_id);
  row->type = g_strdup("Backup");
  row->name = g_strdup(name);
  hf_inv_task_create(&place->inv, row, &error);
  g_assert_no_error(error);
  return g_strdup(row->id);
}

static HfSessionRow *session_of(TestPlace *place, const char *id)
{
  GError *error = NULL;
  HfSessionRow *row = hf_inv_session_get(&place->inv, id, &error);
  g_assert_no_error(error);
  return row;
}

static HfTaskRow *task_of(TestPlace *place, const char *id)
{
  GError *error = NULL;
  HfTaskRow *row = hf_inv_task_get(&place->inv, id, &error);
  g_assert_no_error(error);
  return row;
}

/* ---- sessions ---- */

static void test_life(TestPlace *place)
{
  GError *error = NULL;
  test_open(place);
  const HfInventory *inv = &place->inv;
  g_autofree char *id = new_session(place, "nightly");
  g_autoptr(HfSessionRow) first = session_of(place, id);
  g_assert_cmpstr(first->state, ==, HF_STATE_STARTING);
  g_assert_cmpstr(first->initiated_by, ==, "tester");
  g_assert_true(hf_inv_session_state(inv, id, HF_STATE_WORKING, &error));
  g_assert_true(hf_inv_session_resource(inv, id, NOBODY, NULL, &error));
  g_assert_true(hf_inv_session_resume(inv, id, "{\"order\":7}", &error));
  g_assert_true(hf_inv_session_progress(inv, id, 40, 400, 300, 200, &error));
  g_assert_true(hf_inv_session_progress(inv, id, 30, 500, -1, 100, &error)); /* nothing falls */
  g_autoptr(HfSessionRow) row = session_of(place, id);
  g_assert_cmpint(row->progress, ==, 40);
  g_assert_cmpint(row->processed_bytes, ==, 500);
  g_assert_cmpint(row->read_bytes, ==, 300);
  g_assert_cmpint(row->transferred_bytes, ==, 200);
  g_assert_cmpint(row->usn, ==, first->usn + 5);
  g_assert_cmpstr(row->resume, ==, "{\"order\":7}");
  g_assert_true(hf_inv_session_progress(inv, id, 100, -1, -1, -1, &error)); /* 100 is for the end */
  g_clear_pointer(&row, hf_session_row_free);
  row = session_of(place, id);
  g_assert_cmpint(row->progress, ==, 99);
  g_autoptr(GPtrArray) open = hf_inv_sessions_open(inv, &error);
  g_assert_cmpuint(open->len, ==, 1);

  g_assert_true(hf_inv_session_finish(inv, id, HF_RESULT_WARNING, "one file", FALSE, &error));
  g_assert_true(hf_inv_session_finish(inv, id, HF_RESULT_FAILED, "again", TRUE, &error)); /* changes nothing */
  g_assert_true(hf_inv_session_progress(inv, id, 50, 9999, 9999, 9999, &error));
  g_assert_true(hf_inv_session_state(inv, id, HF_STATE_WORKING, &error));
  g_clear_pointer(&row, hf_session_row_free);
  row = session_of(place, id);
  g_assert_cmpstr(row->state, ==, HF_STATE_STOPPED);
  g_assert_cmpstr(row->result, ==, HF_RESULT_WARNING);
  g_assert_cmpstr(row->message, ==, "one file");
  g_assert_cmpint(row->progress, ==, 100);
  g_assert_cmpint(row->processed_bytes, ==, 500);
  g_assert_cmpint(row->ended, >=, row->created);
  g_assert_false(hf_inv_session_request_stop(inv, &test_actor, id, TRUE, &error));
  test_refused(&error, HF_ERROR_USAGE, "ended already");
  g_clear_pointer(&open, g_ptr_array_unref);
  open = hf_inv_sessions_open(inv, &error);
  g_assert_cmpuint(open->len, ==, 0);
}

static void test_refusals(TestPlace *place)
{
  GError *error = NULL;
  test_open(place);
  const HfInventory *inv = &place->inv;
  HfSessionRow none = {.name = (char *)"x"};
  g_assert_false(hf_inv_session_create(inv, &test_actor, &none, &error));
  test_refused(&error, HF_ERROR_USAGE, "type");
  g_autofree char *id = new_session(place, "x");
  g_assert_false(hf_inv_session_state(inv, id, HF_STATE_STOPPED, &error));
  test_refused(&error, HF_ERROR_USAGE, "state");
  g_assert_false(hf_inv_session_resume(inv, id, "no", &error));
  test_refused(&error, HF_ERROR_USAGE, "JSON");
  g_assert_false(hf_inv_session_finish(inv, id, HF_RESULT_NONE, NULL, FALSE, &error));
  test_refused(&error, HF_ERROR_USAGE, "result");
  g_assert_false(hf_inv_session_finish(inv, NOBODY, HF_RESULT_SUCCESS, NULL, FALSE, &error));
  test_refused(&error, HF_ERROR_NOT_FOUND, "session");
  g_assert_null(hf_inv_session_get(inv, NOBODY, &error));
  test_refused(&error, HF_ERROR_NOT_FOUND, "session");
  g_assert_false(hf_inv_session_request_stop(inv, &test_actor, NOBODY, FALSE, &error));
  test_refused(&error, HF_ERROR_NOT_FOUND, "session");
  HfTaskRow task = {.session_id = (char *)NOBODY, .type = (char *)"Magic", .name = (char *)"x"};
  g_assert_false(hf_inv_task_create(inv, &task, &error));
  test_refused(&error, HF_ERROR_USAGE, "type of the task");
  g_assert_false(hf_inv_task_state(inv, NOBODY, HF_STATE_WORKING, &error));
  test_refused(&error, HF_ERROR_NOT_FOUND, "task session");
  g_assert_false(hf_inv_task_finish(inv, NOBODY, HF_RESULT_SUCCESS, NULL, "Half", NULL, NULL, &error));
  test_refused(&error, HF_ERROR_USAGE, "algorithm");
  /* Into a session that has ended no task comes. */
  g_assert_true(hf_inv_session_finish(inv, id, HF_RESULT_SUCCESS, NULL, FALSE, &error));
  g_autoptr(HfTaskRow) late = g_new0(HfTaskRow, 1);
  late->session_id = g_strdup(id);
  late->type = g_strdup("Backup");
  late->name = g_strdup("x");
  g_assert_false(hf_inv_task_create(inv, late, &error));
  test_refused(&error, HF_ERROR_USAGE, "ended already");
}

static void test_stop(TestPlace *place)
{
  GError *error = NULL;
  test_open(place);
  const HfInventory *inv = &place->inv;
  g_autofree char *id = new_session(place, "x");
  g_autofree char *task = new_task(place, id, "t");
  g_assert_true(hf_inv_session_request_stop(inv, &test_actor, id, TRUE, &error));
  g_autoptr(HfSessionRow) row = session_of(place, id);
  g_assert_cmpstr(row->stop_requested, ==, "graceful");
  g_assert_cmpstr(row->state, ==, HF_STATE_STOPPING);
  g_assert_true(hf_inv_session_request_stop(inv, &test_actor, id, FALSE, &error));
  g_assert_true(hf_inv_session_request_stop(inv, &test_actor, id, TRUE, &error)); /* not taken back */
  g_clear_pointer(&row, hf_session_row_free);
  row = session_of(place, id);
  g_assert_cmpstr(row->stop_requested, ==, "now");
  g_assert_cmpint(test_number(place->db, "SELECT COUNT(*) FROM audit WHERE action = 'stop'"), ==, 3);
  g_assert_true(hf_inv_session_progress(inv, id, 70, 1, 1, 1, &error));
  g_assert_true(hf_inv_session_finish(inv, id, HF_RESULT_FAILED, "stopped", TRUE, &error));
  g_clear_pointer(&row, hf_session_row_free);
  row = session_of(place, id);
  g_assert_true(row->cancelled);
  g_assert_cmpint(row->progress, ==, 70); /* of what failed it stays */
  /* Invariant 3. */
  g_autoptr(HfTaskRow) ended = task_of(place, task);
  g_assert_cmpstr(ended->result, ==, HF_RESULT_FAILED);
  g_assert_cmpstr(ended->message, ==, "stopped");
  g_assert_cmpint(ended->ended, <=, row->ended);
  g_assert_cmpint(ended->usn, <, row->usn);
}

/* ---- tasks ---- */

static void test_tasks(TestPlace *place)
{
  GError *error = NULL;
  test_open(place);
  const HfInventory *inv = &place->inv;
  const gint64 mib = 1048576;
  g_autofree char *id = new_session(place, "x");
  g_assert_cmpstr(hf_inv_tasks_result(inv, id, &error), ==, HF_RESULT_NONE);
  g_autofree char *small = new_task(place, id, "small");
  g_autofree char *large = new_task(place, id, "large");
  HfTaskFigures figures = {.duration_us = 2 * G_USEC_PER_SEC, .total_bytes = 100 * mib, .processed_bytes = 50 * mib,
                           .read_bytes = 20 * mib, .transferred_bytes = 10 * mib, .busy_source_us = 5,
                           .busy_network_us = 9, .busy_target_us = 3};
  g_assert_true(hf_inv_task_state(inv, small, HF_STATE_WORKING, &error));
  g_assert_true(hf_inv_task_resume(inv, small, "{\"a\":1}", &error));
  HfTaskFigures begun = {.total_bytes = 300 * mib, .transferred_bytes = 10 * mib};
  g_assert_true(hf_inv_task_progress(inv, large, &begun, &error));
  g_assert_true(hf_inv_task_progress(inv, small, &figures, &error));
  g_autoptr(HfTaskRow) row = task_of(place, small);
  g_assert_cmpint(row->progress, ==, 50);
  g_assert_cmpint(row->rate, ==, 25 * mib);
  g_assert_cmpstr(row->bottleneck, ==, "Network");
  g_assert_cmpstr(row->session_type, ==, "BackupJob");
  g_assert_cmpstr(row->state, ==, HF_STATE_WORKING);
  HfTaskFigures less = {.processed_bytes = 1, .total_bytes = 100 * mib};
  g_assert_true(hf_inv_task_progress(inv, small, &less, &error));
  g_autoptr(HfSessionRow) session = session_of(place, id);
  g_assert_cmpint(session->processed_bytes, ==, 50 * mib);
  g_assert_cmpint(session->transferred_bytes, ==, 20 * mib);
  g_assert_cmpint(session->progress, ==, 12); /* half of a quarter */

  figures.total_bytes = figures.processed_bytes = 300 * mib;
  g_assert_true(hf_inv_task_finish(inv, large, HF_RESULT_SUCCESS, "", "Increment", NOBODY, &figures, &error));
  g_assert_true(hf_inv_task_finish(inv, large, HF_RESULT_FAILED, "again", NULL, NULL, NULL, &error)); /* nothing */
  g_clear_pointer(&row, hf_task_free);
  row = task_of(place, large);
  g_assert_cmpstr(row->result, ==, HF_RESULT_SUCCESS);
  g_assert_cmpstr(row->restore_point_id, ==, NOBODY);
  g_assert_cmpstr(row->algorithm, ==, "Increment");
  g_assert_cmpint(row->progress, ==, 100);
  g_assert_cmpstr(hf_inv_tasks_result(inv, id, &error), ==, HF_RESULT_SUCCESS);
  g_assert_true(hf_inv_task_finish(inv, small, HF_RESULT_FAILED, "no space", NULL, NULL, NULL, &error));
  g_assert_cmpstr(hf_inv_tasks_result(inv, id, &error), ==, HF_RESULT_FAILED);
  g_clear_pointer(&session, hf_session_row_free);
  session = session_of(place, id);
  g_assert_cmpint(session->processed_bytes, ==, 350 * mib);
  g_assert_cmpint(session->progress, ==, 87);
  g_autoptr(GPtrArray) tasks = hf_inv_tasks_of(inv, id, &error);
  g_assert_cmpuint(tasks->len, ==, 2);
}

static void test_bottleneck(void)
{
  HfTaskFigures figures = {0};
  g_assert_cmpstr(hf_task_bottleneck(&figures), ==, "None");
  figures.busy_source_us = 1;
  g_assert_cmpstr(hf_task_bottleneck(&figures), ==, "Source");
  figures.busy_proxy_us = 2;
  g_assert_cmpstr(hf_task_bottleneck(&figures), ==, "Proxy");
  figures.busy_target_us = 3;
  g_assert_cmpstr(hf_task_bottleneck(&figures), ==, "Target");
  figures.busy_throttle_us = 4;
  g_assert_cmpstr(hf_task_bottleneck(&figures), ==, "Throttling");
}

/* ---- the log ---- */

static void test_log(TestPlace *place)
{
  GError *error = NULL;
  gint64 seq = 0;
  test_open(place);
  const HfInventory *inv = &place->inv;
  g_autofree char *id = new_session(place, "x");
  g_autofree char *task = new_task(place, id, "t");
  g_assert_true(hf_inv_log(inv, id, HF_LINE_NONE, "reading /home", NULL, &seq, &error));
  g_assert_cmpint(seq, ==, 1);
  g_assert_true(hf_inv_log(inv, id, HF_LINE_WARNING, "bad name \xff", "more", NULL, &error));
  g_assert_true(hf_inv_log(inv, task, HF_LINE_SUCCEEDED, "of the task", NULL, &seq, &error));
  g_assert_cmpint(seq, ==, 1);
  g_assert_true(hf_inv_log_update(inv, id, 1, HF_LINE_SUCCEEDED, NULL, "done", &error));
  g_autofree char *line = test_text(place->db, "SELECT status || '|' || title || '|' || description FROM session_logs "
                                               "WHERE seq = 1 AND description = 'done'");
  g_assert_cmpstr(line, ==, "Succeeded|reading /home|done");
  g_assert_false(hf_inv_log(inv, NOBODY, HF_LINE_NONE, "x", NULL, NULL, &error));
  test_refused(&error, HF_ERROR_NOT_FOUND, "no row");
  g_assert_false(hf_inv_log(inv, id, "Odd", "x", NULL, NULL, &error));
  test_refused(&error, HF_ERROR_USAGE, "status of a line");
  g_assert_false(hf_inv_log_update(inv, id, 9, HF_LINE_NONE, "x", NULL, &error));
  test_refused(&error, HF_ERROR_NOT_FOUND, "no line 9");
}

static void test_sweep(TestPlace *place)
{
  GError *error = NULL;
  test_open(place);
  const HfInventory *inv = &place->inv;
  g_autofree char *old = new_session(place, "old");
  g_autofree char *task = new_task(place, old, "t");
  g_autofree char *last = new_session(place, "last of its job");
  g_autofree char *open = new_session(place, "open");
  g_autofree char *job = test_job(place, "nightly", NULL, NULL);
  g_assert_true(hf_inv_job_begin(inv, job, last, FALSE, &error));
  const char *const all[] = {old, task, last, open};
  for (gsize i = 0; i < G_N_ELEMENTS(all); i++)
    g_assert_true(hf_inv_log(inv, all[i], HF_LINE_NONE, "line", NULL, NULL, &error));
  g_assert_true(hf_inv_session_finish(inv, old, HF_RESULT_SUCCESS, NULL, FALSE, &error));
  g_assert_true(hf_inv_session_finish(inv, last, HF_RESULT_SUCCESS, NULL, FALSE, &error));
  g_assert_true(hf_inv_sessions_sweep(inv, 1, &error));
  g_assert_cmpint(test_number(place->db, "SELECT COUNT(*) FROM sessions"), ==, 3);
  g_assert_true(hf_inv_sessions_sweep(inv, G_MAXINT64, &error));
  g_assert_no_error(error);
  g_assert_cmpint(test_number(place->db, "SELECT COUNT(*) FROM sessions"), ==, 2);
  g_assert_cmpint(test_number(place->db, "SELECT COUNT(*) FROM task_sessions"), ==, 0);
  g_assert_cmpint(test_number(place->db, "SELECT COUNT(*) FROM session_logs"), ==, 2);
}

/* ---- many at once ---- */

#define THREADS 6
#define ROUNDS 15

typedef struct Worker {
  TestPlace *place;
  const char *shared; /* all write into its log */
  gboolean *ended;
} Worker;

static gpointer work(gpointer user)
{
  Worker *worker = user;
  const HfInventory *inv = &worker->place->inv;
  for (int round = 0; round < ROUNDS; round++) {
    GError *error = NULL;
    g_autofree char *id = new_session(worker->place, "many");
    g_autofree char *task = new_task(worker->place, id, "t");
    HfTaskFigures figures = {.processed_bytes = round, .total_bytes = 100, .duration_us = 1};
    hf_inv_log(inv, worker->shared, HF_LINE_NONE, "shared", NULL, NULL, &error);
    g_assert_no_error(error);
    hf_inv_task_progress(inv, task, &figures, &error);
    g_assert_no_error(error);
    hf_inv_session_finish(inv, id, HF_RESULT_SUCCESS, NULL, FALSE, &error);
    g_assert_no_error(error);
  }
  return NULL;
}

/* Whoever asks by the highest usn he saw misses nothing. */
static gpointer watch(gpointer user)
{
  Worker *worker = user;
  gint64 highest = 0;
  while (!g_atomic_int_get(worker->ended)) {
    gint64 usn = test_number(worker->place->db, "SELECT COALESCE(MAX(usn), 0) FROM sessions");
    g_assert_cmpint(usn, >=, highest);
    highest = usn;
    g_usleep(2000);
  }
  return NULL;
}

static void test_many(TestPlace *place)
{
  test_open(place);
  g_autofree char *shared = new_session(place, "shared");
  gboolean ended = FALSE;
  Worker worker = {place, shared, &ended};
  GThread *threads[THREADS], *watcher = g_thread_new("watch", watch, &worker);
  for (guint i = 0; i < THREADS; i++)
    threads[i] = g_thread_new("work", work, &worker);
  for (guint i = 0; i < THREADS; i++)
    g_thread_join(threads[i]);
  g_atomic_int_set(&ended, TRUE);
  g_thread_join(watcher);
  HfDb *db = place->db;
  g_assert_cmpint(test_number(db, "SELECT COUNT(*) FROM sessions"), ==, THREADS * ROUNDS + 1);
  g_assert_cmpint(test_number(db, "SELECT COUNT(*) FROM session_logs"), ==, THREADS * ROUNDS);
  g_assert_cmpint(test_number(db, "SELECT MAX(seq) FROM session_logs"), ==, THREADS * ROUNDS); /* invariant 4 */
  g_assert_cmpint(test_number(db, "SELECT COUNT(DISTINCT usn) FROM (SELECT usn FROM sessions UNION ALL "
                                  "SELECT usn FROM task_sessions) AS numbers"), ==, 2 * THREADS * ROUNDS + 1);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/server/sessions/bottleneck", test_bottleneck);
  test_add("/server/sessions/life", test_life);
  test_add("/server/sessions/refusals", test_refusals);
  test_add("/server/sessions/stop", test_stop);
  test_add("/server/sessions/tasks", test_tasks);
  test_add("/server/sessions/log", test_log);
  test_add("/server/sessions/sweep", test_sweep);
  test_add("/server/sessions/many", test_many);
  return test_run();
}
