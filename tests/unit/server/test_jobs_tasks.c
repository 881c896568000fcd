/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What hosts tell about tasks, slots, and the life of the runner, without any host: the runner is told by hand. */
#include <string.h>

#include "place.h"
#include "server/inventory/sessions.h"
#include "server/jobs/state.h"

typedef struct Stage {
  TestPlace *place;
  HfJobs *jobs;
  char *host, *other; /* hosts */
  char *session, *task;
} Stage;

static void stage_open(Stage *stage, TestPlace *place)
{
  test_open(place);
  stage->place = place;
  stage->host = test_host(place, "one");
  stage->other = test_host(place, "two");
  HfJobsParts parts = { .inventory = &place->inv, .state_folder = place->folder };
  stage->jobs = hf_jobs_new(&parts);
  g_autoptr(HfSessionRow) session = g_new0(HfSessionRow, 1);
  session->name = g_strdup("nightly");
  session->type = g_strdup("BackupJob");
  g_assert_true(hf_inv_session_create(&place->inv, &test_actor, session, NULL));
  g_autoptr(HfTaskRow) task = g_new0(HfTaskRow, 1);
  task->session_id = g_strdup(session->id);
  task->type = g_strdup("Backup");
  task->name = g_strdup("one");
  task->host_id = g_strdup(stage->host);
  g_assert_true(hf_inv_task_create(&place->inv, task, NULL));
  stage->session = g_strdup(session->id);
  stage->task = g_strdup(task->id);
}

static void stage_close(Stage *stage)
{
  hf_jobs_free(stage->jobs);
  g_free(stage->host);
  g_free(stage->other);
  g_free(stage->session);
  g_free(stage->task);
  test_close(stage->place);
}

static void tell_result(const Stage *stage, const char *host, const char *text)
{
  g_autoptr(GBytes) bytes = g_bytes_new(text, strlen(text));
  hf_jobs_told_result(stage->jobs, host, stage->task, NULL, bytes, 1, 2);
}

static void assert_result(const HfJobsTask *waiting, const char *text)
{
  g_assert_nonnull(waiting->result);
  g_assert_cmpmem(g_bytes_get_data(waiting->result->bytes, NULL), (int)g_bytes_get_size(waiting->result->bytes), text,
                  (int)strlen(text));
}

/* A result that comes before anybody waits is kept, the first one counts, another host has no say. */
static void test_results(TestPlace *place)
{
  Stage stage = { 0 };
  stage_open(&stage, place);
  tell_result(&stage, stage.other, "theirs");
  HfJobsTask *waiting = hf_jobs_task_new(stage.jobs, stage.task, stage.host, FALSE);
  g_assert_null(waiting->result);
  tell_result(&stage, stage.other, "theirs");
  g_assert_null(waiting->result);
  tell_result(&stage, stage.host, "ours");
  tell_result(&stage, stage.host, "again");
  assert_result(waiting, "ours");
  hf_jobs_task_free(stage.jobs, waiting);
  tell_result(&stage, stage.host, "early");
  waiting = hf_jobs_task_new(stage.jobs, stage.task, stage.host, FALSE);
  assert_result(waiting, "early");
  hf_jobs_task_free(stage.jobs, waiting);
  stage_close(&stage);
}

/* What nobody will ever ask for does not stay in memory. */
static void test_strangers(TestPlace *place)
{
  Stage stage = { 0 };
  stage_open(&stage, place);
  for (guint i = 0; i < 100; i++) {
    g_autofree char *name = g_uuid_string_random();
    hf_jobs_told_result(stage.jobs, stage.host, name, NULL, NULL, 0, 0);
    hf_jobs_told_line(stage.jobs, stage.host, name, FALSE, "a line of a task that nobody knows");
  }
  g_assert_true(hf_inv_task_finish(&place->inv, stage.task, HF_RESULT_FAILED, "lost", NULL, NULL, NULL, NULL));
  tell_result(&stage, stage.host, "late");
  g_assert_cmpuint(g_hash_table_size(stage.jobs->early), ==, 0);
  g_assert_cmpint(test_number(place->db, "SELECT count(*) FROM session_logs"), ==, 0);
  stage_close(&stage);
}

static void test_progress(TestPlace *place)
{
  Stage stage = { 0 };
  stage_open(&stage, place);
  HfJobProgress progress = { .bytes_done = 500, .bytes_total = 1000 };
  HfJobsTask *waiting = hf_jobs_task_new(stage.jobs, stage.task, stage.host, FALSE);
  hf_jobs_told_progress(stage.jobs, stage.other, stage.task, &progress);
  hf_jobs_told_line(stage.jobs, stage.other, stage.task, TRUE, "theirs");
  g_autoptr(HfTaskRow) row = hf_inv_task_get(&place->inv, stage.task, NULL);
  g_assert_cmpint(row->processed_bytes, ==, 0);
  g_assert_cmpint(test_number(place->db, "SELECT count(*) FROM session_logs"), ==, 0);
  hf_jobs_told_progress(stage.jobs, stage.host, stage.task, &progress);
  hf_jobs_told_line(stage.jobs, stage.host, stage.task, TRUE, "ours");
  g_clear_pointer(&row, hf_task_free);
  row = hf_inv_task_get(&place->inv, stage.task, NULL);
  g_assert_cmpint(row->processed_bytes, ==, 500);
  g_assert_cmpint(test_number(place->db, "SELECT count(*) FROM session_logs"), ==, 1);
  hf_jobs_task_free(stage.jobs, waiting);
  stage_close(&stage);
}

static gint64 transferred(TestPlace *place, const Stage *stage)
{
  g_autoptr(HfTaskRow) row = hf_inv_task_get(&place->inv, stage->task, NULL);
  return row->transferred_bytes;
}

/* What a backup transfers is what it sends, of a restore what it gets: while it runs as in the end. */
static void check_transferred(TestPlace *place, gboolean receives, gint64 wanted)
{
  Stage stage = { 0 };
  stage_open(&stage, place);
  g_auto(HfWorkFigures) measured = { .sent = 300, .received = 7000 };
  g_autoptr(GBytes) figures = hf_work_figures_encode(&measured, NULL);
  HfJobProgress progress = { .bytes_done = 500, .bytes_total = 1000, .figures = figures };
  HfJobsTask *waiting = hf_jobs_task_new(stage.jobs, stage.task, stage.host, receives);
  hf_jobs_told_progress(stage.jobs, stage.host, stage.task, &progress);
  g_assert_cmpint(transferred(place, &stage), ==, wanted);
  progress.figures = NULL; /* nothing is measured any more */
  hf_jobs_told_progress(stage.jobs, stage.host, stage.task, &progress);
  g_assert_cmpint(transferred(place, &stage), ==, wanted);
  hf_jobs_task_free(stage.jobs, waiting);
  stage_close(&stage);
}

static void test_transferred_sent(TestPlace *place)
{
  check_transferred(place, FALSE, 300);
}

static void test_transferred_received(TestPlace *place)
{
  check_transferred(place, TRUE, 7000);
}

/* ---- Runs. ---- */

typedef struct Crowd {
  HfJobsSlot slot;
  gint inside, most, done;
} Crowd;

static gboolean in_turn(HfJobsRun *run, gpointer data, const char **result G_GNUC_UNUSED, GError **error)
{
  Crowd *crowd = data;
  if (!hf_jobs_slots_take(run, &crowd->slot, 1, error))
    return FALSE;
  gint now = g_atomic_int_add(&crowd->inside, 1) + 1;
  if (now > g_atomic_int_get(&crowd->most))
    g_atomic_int_set(&crowd->most, now);
  g_usleep(2000);
  g_atomic_int_add(&crowd->inside, -1);
  hf_jobs_slots_give(run->jobs, &crowd->slot, 1);
  g_atomic_int_inc(&crowd->done);
  return TRUE;
}

static void spawn(const Stage *stage, const char *job, HfJobsWork work, gpointer data)
{
  GError *error = NULL;
  g_autoptr(HfSessionRow) row = g_new0(HfSessionRow, 1);
  row->name = g_strdup("run");
  row->type = g_strdup("BackupJob");
  row->job_id = g_strdup(job);
  g_assert_true(hf_jobs_spawn(stage->jobs, &test_actor, row, work, data, NULL, NULL, &error));
  g_assert_no_error(error);
}

/* A slot is never taken more often than its limit, and everybody has his turn. */
static void test_slots(TestPlace *place)
{
  Stage stage = { 0 };
  stage_open(&stage, place);
  Crowd crowd = { .slot = { (char *)"host:one", 2 } };
  for (guint i = 0; i < 12; i++)
    spawn(&stage, NULL, in_turn, &crowd);
  for (guint i = 0; i < 1000 && g_atomic_int_get(&crowd.done) < 12; i++)
    g_usleep(10000);
  g_assert_cmpint(g_atomic_int_get(&crowd.done), ==, 12);
  g_assert_cmpint(g_atomic_int_get(&crowd.most), <=, 2);
  hf_jobs_end(stage.jobs);
  g_assert_cmpuint(g_hash_table_size(stage.jobs->slots), ==, 0);
  stage_close(&stage);
}

static gboolean nothing(HfJobsRun *run G_GNUC_UNUSED, gpointer data G_GNUC_UNUSED,
                        const char **result G_GNUC_UNUSED, GError **error G_GNUC_UNUSED)
{
  return TRUE;
}

static gboolean start_none(gpointer user G_GNUC_UNUSED, const char *job_id G_GNUC_UNUSED,
                           HfStartReason reason G_GNUC_UNUSED, const char *session_id G_GNUC_UNUSED,
                           GError **error G_GNUC_UNUSED)
{
  return TRUE;
}

static void stop_none(gpointer user G_GNUC_UNUSED, const char *job_id G_GNUC_UNUSED,
                      const char *session_id G_GNUC_UNUSED)
{
}

/* Runs that end while the scheduler goes away tell it nothing afterwards (a sanitizer sees it otherwise). */
static void test_scheduler_goes(TestPlace *place)
{
  Stage stage = { 0 };
  stage_open(&stage, place);
  g_autofree char *repository = test_repository(place, "store", stage.host);
  g_autofree char *job = test_job(place, "daily", repository, NULL);
  const HfSchedulerCalls calls = { start_none, stop_none, NULL };
  for (guint round = 0; round < 20; round++) {
    HfScheduler *scheduler = hf_scheduler_new(place->db, NULL, &calls);
    hf_jobs_set_scheduler(stage.jobs, scheduler);
    for (guint i = 0; i < 3; i++)
      spawn(&stage, job, nothing, NULL);
    g_usleep(500 * round);
    hf_jobs_set_scheduler(stage.jobs, NULL);
    hf_scheduler_free(scheduler);
  }
  stage_close(&stage);
}

static gboolean wait_for_task(HfJobsRun *run, gpointer data, const char **result G_GNUC_UNUSED, GError **error)
{
  const Stage *stage = data;
  HfJobsTask *waiting = hf_jobs_task_new(run->jobs, stage->task, stage->host, FALSE);
  const HfJobsResult *told = hf_jobs_task_wait(run, waiting, error);
  hf_jobs_task_free(run->jobs, waiting);
  return told != NULL;
}

/* A host that went away long ago fails the task by its name; a runner that ends leaves the session open. */
static void test_lost_host(TestPlace *place)
{
  Stage stage = { 0 };
  stage_open(&stage, place);
  spawn(&stage, NULL, wait_for_task, &stage);
  hf_jobs_end(stage.jobs);
  g_assert_cmpint(test_number(place->db, "SELECT count(*) FROM sessions WHERE result = 'Failed'"), ==, 0);
  hf_jobs_free(stage.jobs);
  HfJobsParts parts = { .inventory = &place->inv, .state_folder = place->folder };
  stage.jobs = hf_jobs_new(&parts);
  hf_jobs_told_host(stage.jobs, stage.host, FALSE);
  gint64 *since = g_hash_table_lookup(stage.jobs->away, stage.host);
  *since -= HF_JOB_LOST_SECONDS * G_USEC_PER_SEC;
  spawn(&stage, NULL, wait_for_task, &stage);
  for (guint i = 0; i < 500 && test_number(place->db, "SELECT count(*) FROM sessions WHERE result = 'Failed'") == 0; i++)
    g_usleep(10000);
  g_autofree char *message = test_text(place->db, "SELECT message FROM sessions WHERE result = 'Failed'");
  g_assert_cmpstr(message, ==, "host 'one' does not answer; look whether its agent runs and its installer port is open");
  stage_close(&stage);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  test_add("/jobs/results", test_results);
  test_add("/jobs/strangers", test_strangers);
  test_add("/jobs/progress", test_progress);
  test_add("/jobs/transferred-sent", test_transferred_sent);
  test_add("/jobs/transferred-received", test_transferred_received);
  test_add("/jobs/slots", test_slots);
  test_add("/jobs/scheduler-goes", test_scheduler_goes);
  test_add("/jobs/lost-host", test_lost_host);
  return test_run();
}
