/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "place.h"
#include "server/inventory/jobs.h"
#include "server/inventory/sessions.h"
#include "server/schedule/scheduler.h"

#define SECOND G_GINT64_CONSTANT(1000000)
#define HOUR (3600 * SECOND)
#define WAIT_US (5 * SECOND)

#define EVERY_SECOND \
  "{\"runAutomatically\":true,\"periodically\":{\"isEnabled\":true,\"periodicallyKind\":\"Seconds\",\"frequency\":1}}"
#define DAILY(more) "{\"runAutomatically\":true,\"daily\":{\"isEnabled\":true,\"localTime\":\"00:00\"}" more "}"
#define AFTER(name) "{\"runAutomatically\":true,\"afterThisJob\":{\"isEnabled\":true,\"jobName\":\"" name "\"}}"

/* What the scheduler asked for, in order: "planned NAME". */
typedef struct Asked {
  TestPlace *place;
  GMutex mutex; /* guards the rest */
  GCond changed;
  GPtrArray *lines;
  gboolean refuse;
} Asked;

static void add_line(Asked *asked, const char *word, const char *job_id)
{
  g_autoptr(HfJobRow) job = hf_inv_job_get(&asked->place->inv, job_id, NULL);
  g_mutex_lock(&asked->mutex);
  g_ptr_array_add(asked->lines, g_strdup_printf("%s %s", word, job != NULL ? job->name : "?"));
  g_cond_broadcast(&asked->changed);
  g_mutex_unlock(&asked->mutex);
}

static gboolean on_start(gpointer user, const char *job_id, HfStartReason reason, const char *session_id,
                         GError **error)
{
  static const char *const words[] = {"planned", "missed", "after", "retry"};
  Asked *asked = user;
  g_assert_true((session_id != NULL) == (reason == HF_START_AFTER || reason == HF_START_RETRY));
  if (asked->refuse) {
    add_line(asked, "refused", job_id);
    return hf_fail(error, HF_ERROR_FAILED, "not today");
  }
  g_autoptr(HfSessionRow) session = g_new0(HfSessionRow, 1);
  session->name = g_strdup("run");
  session->type = g_strdup("BackupJob");
  session->job_id = g_strdup(job_id);
  g_assert_true(hf_inv_session_create(&asked->place->inv, &hf_actor_server, session, NULL));
  g_assert_true(hf_inv_job_begin(&asked->place->inv, job_id, session->id, reason == HF_START_RETRY, NULL));
  add_line(asked, words[reason], job_id);
  return TRUE;
}

static void on_stop(gpointer user, const char *job_id, const char *session_id)
{
  g_assert_nonnull(session_id);
  add_line(user, "stop", job_id);
}

static Asked *asked_new(TestPlace *place)
{
  Asked *asked = g_new0(Asked, 1);
  asked->place = place;
  asked->lines = g_ptr_array_new_with_free_func(g_free);
  g_mutex_init(&asked->mutex);
  g_cond_init(&asked->changed);
  return asked;
}

static void asked_free(Asked *asked)
{
  g_ptr_array_unref(asked->lines);
  g_mutex_clear(&asked->mutex);
  g_cond_clear(&asked->changed);
  g_free(asked);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Asked, asked_free)

static HfScheduler *scheduler_of(Asked *asked)
{
  HfSchedulerCalls calls = {on_start, on_stop, asked};
  g_autoptr(GTimeZone) zone = g_time_zone_new_utc();
  return hf_scheduler_new(asked->place->db, zone, &calls);
}

/* Waits for the line of that number (from 0) and compares it. */
static void expect(Asked *asked, guint number, const char *line)
{
  gint64 until = g_get_monotonic_time() + WAIT_US;
  g_mutex_lock(&asked->mutex);
  while (asked->lines->len <= number)
    if (!g_cond_wait_until(&asked->changed, &asked->mutex, until))
      g_error("nothing was asked for: wanted '%s'", line);
  g_assert_cmpstr(asked->lines->pdata[number], ==, line);
  g_mutex_unlock(&asked->mutex);
}

static void expect_no_more(Asked *asked, guint count, gulong wait_us)
{
  g_usleep(wait_us);
  g_mutex_lock(&asked->mutex);
  if (asked->lines->len > count)
    g_error("unexpected: '%s'", (char *)asked->lines->pdata[count]);
  g_mutex_unlock(&asked->mutex);
}

static void set_job(TestPlace *place, const char *id, const char *what, gint64 value)
{
  g_autofree char *sql = g_strdup_printf("UPDATE jobs SET %s = %" G_GINT64_FORMAT " WHERE id = '%s'", what, value, id);
  test_exec(place->db, sql);
}

static void end_run(TestPlace *place, const char *job_id, const char *result)
{
  g_autoptr(HfJobRow) job = hf_inv_job_get(&place->inv, job_id, NULL);
  g_assert_true(hf_inv_session_finish(&place->inv, job->last_session_id, result, "", FALSE, NULL));
  g_assert_true(hf_inv_job_end(&place->inv, job_id, result, NULL));
}

/* ---- the cases ---- */

static void test_planned(TestPlace *place)
{
  test_open(place);
  g_autoptr(Asked) asked = asked_new(place);
  g_autofree char *job = test_job(place, "often", NULL, EVERY_SECOND);
  g_autofree char *manual = test_job(place, "manual", NULL, NULL);
  g_autoptr(HfScheduler) scheduler = scheduler_of(asked);
  expect(asked, 0, "planned often");
  expect_no_more(asked, 1, 1500000); /* it runs: what comes due is left out */
  end_run(place, job, HF_RESULT_SUCCESS);
  hf_scheduler_ended(scheduler, job, "x");
  expect(asked, 1, "planned often");
  g_assert_cmpint(test_number(place->db, "SELECT COUNT(*) FROM jobs WHERE name = 'manual' AND next_run IS NULL"), ==,
                  1);
  /* Disabled: nothing is planned any more. */
  end_run(place, job, HF_RESULT_SUCCESS);
  g_assert_true(hf_inv_job_switch(&place->inv, &test_actor, job, TRUE, NULL));
  hf_scheduler_changed(scheduler);
  expect_no_more(asked, 2, 1500000);
  g_assert_cmpint(test_number(place->db, "SELECT COUNT(*) FROM jobs WHERE next_run IS NOT NULL"), ==, 0);
}

static void test_missed(TestPlace *place)
{
  test_open(place);
  g_autoptr(Asked) asked = asked_new(place);
  g_autofree char *made_up = test_job(place, "made up", NULL, DAILY(""));
  g_autofree char *skipped = test_job(place, "skipped", NULL, DAILY(",\"missedRun\":\"Skip\""));
  set_job(place, made_up, "next_run", hf_db_now() - HOUR);
  set_job(place, skipped, "next_run", hf_db_now() - HOUR);
  g_autoptr(HfScheduler) scheduler = scheduler_of(asked);
  expect(asked, 0, "missed made up");
  expect_no_more(asked, 1, 500000);
  g_autofree char *sql = g_strdup_printf("SELECT COUNT(*) FROM jobs WHERE next_run > %" G_GINT64_FORMAT, hf_db_now());
  g_assert_cmpint(test_number(place->db, sql), ==, 2);
}

static void test_refused_start(TestPlace *place)
{
  test_open(place);
  g_autoptr(Asked) asked = asked_new(place);
  g_autofree char *job = test_job(place, "nightly", NULL, DAILY(""));
  gint64 due = hf_db_now() - SECOND;
  set_job(place, job, "next_run", due);
  asked->refuse = TRUE;
  g_autoptr(HfScheduler) scheduler = scheduler_of(asked);
  expect(asked, 0, "refused nightly");
  hf_scheduler_changed(scheduler);
  expect_no_more(asked, 1, 700000); /* not again at once */
  g_assert_cmpint(test_number(place->db, "SELECT next_run FROM jobs"), ==, due); /* it stays planned */
  g_autofree char *line = test_text(place->db, "SELECT action || ' ' || object_name || ' ' || result FROM audit "
                                               "WHERE action = 'start'");
  g_assert_cmpstr(line, ==, "start nightly not today");
}

static void test_retry(TestPlace *place)
{
  test_open(place);
  g_autoptr(Asked) asked = asked_new(place);
  g_autofree char *job = test_job(place, "nightly", NULL,
                                  DAILY(",\"retry\":{\"isEnabled\":true,\"retryCount\":2,\"awaitMinutes\":0}"));
  set_job(place, job, "next_run", hf_db_now() - SECOND);
  g_autoptr(HfScheduler) scheduler = scheduler_of(asked);
  expect(asked, 0, "planned nightly");
  for (guint i = 1; i <= 2; i++) {
    end_run(place, job, HF_RESULT_FAILED);
    hf_scheduler_ended(scheduler, job, "x");
    expect(asked, i, "retry nightly");
  }
  end_run(place, job, HF_RESULT_FAILED);
  hf_scheduler_ended(scheduler, job, "x");
  expect_no_more(asked, 3, 500000);
}

/* Also what a scheduler that ended before it saw it: the rows say it. */
static void test_after(TestPlace *place)
{
  test_open(place);
  g_autoptr(Asked) asked = asked_new(place);
  g_autofree char *first = test_job(place, "first", NULL, DAILY(""));
  g_autofree char *second = test_job(place, "second", NULL, AFTER("first"));
  set_job(place, first, "next_run", hf_db_now() - SECOND);
  HfScheduler *before = scheduler_of(asked);
  expect(asked, 0, "planned first");
  expect_no_more(asked, 1, 300000);
  hf_scheduler_free(before);
  end_run(place, first, HF_RESULT_WARNING);
  g_autoptr(HfScheduler) scheduler = scheduler_of(asked);
  expect(asked, 1, "after second");
  end_run(place, second, HF_RESULT_SUCCESS);
  hf_scheduler_ended(scheduler, second, "x");
  expect_no_more(asked, 2, 500000);
}

/* A run that began inside its window is stopped when it closes: once. */
static void test_window_closes(TestPlace *place)
{
  test_open(place);
  g_autoptr(Asked) asked = asked_new(place);
  gint64 began = hf_db_now() - 3 * HOUR;
  int open = (int)(began / HOUR % 24);
  g_autoptr(GString) hours = g_string_new(NULL);
  for (int i = 0; i < 24; i++)
    g_string_append_printf(hours, "%s%d", i == 0 ? "" : ",", i == open);
  g_autoptr(GString) json = g_string_new("{\"runAutomatically\":true,\"backupWindow\":{\"isEnabled\":true,"
                                         "\"backupWindow\":"
                                         "{\"days\":[");
  static const char *const days[] = {"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"};
  for (gsize i = 0; i < G_N_ELEMENTS(days); i++)
    g_string_append_printf(json, "%s{\"day\":\"%s\",\"hours\":\"%s\"}", i == 0 ? "" : ",", days[i], hours->str);
  g_string_append(json, "]}}}");
  g_autofree char *job = test_job(place, "long", NULL, json->str);
  g_autofree char *by_hand = test_job(place, "by hand", NULL, json->str);
  g_assert_true(on_start(asked, job, HF_START_PLANNED, NULL, NULL));
  g_assert_true(on_start(asked, by_hand, HF_START_PLANNED, NULL, NULL)); /* began outside of it: goes on */
  set_job(place, job, "last_run", began);
  g_autoptr(HfScheduler) scheduler = scheduler_of(asked);
  expect(asked, 2, "stop long");
  hf_scheduler_changed(scheduler);
  expect_no_more(asked, 3, 500000);
}

/* Planned by a clock that was wrong. */
static void test_clock_set_back(TestPlace *place)
{
  test_open(place);
  g_autoptr(Asked) asked = asked_new(place);
  g_autofree char *job = test_job(place, "nightly", NULL, DAILY(""));
  set_job(place, job, "next_run", hf_db_now() + 1000 * 24 * HOUR);
  g_autoptr(HfScheduler) scheduler = scheduler_of(asked);
  g_autofree char *sql = g_strdup_printf("SELECT COUNT(*) FROM jobs WHERE next_run <= %" G_GINT64_FORMAT,
                                         hf_db_now() + 25 * HOUR);
  for (guint i = 0; i < 50 && test_number(place->db, sql) == 0; i++)
    g_usleep(50000);
  g_assert_cmpint(test_number(place->db, sql), ==, 1);
  expect_no_more(asked, 0, 100000);
}

static void test_continuous(TestPlace *place)
{
  test_open(place);
  g_autoptr(Asked) asked = asked_new(place);
  g_autofree char *job = test_job(place, "always", NULL,
                                  "{\"runAutomatically\":true,\"continuously\":{\"isEnabled\":true}}");
  g_autoptr(HfScheduler) scheduler = scheduler_of(asked);
  expect(asked, 0, "planned always");
  end_run(place, job, HF_RESULT_SUCCESS);
  hf_scheduler_ended(scheduler, job, "x");
  expect_no_more(asked, 1, 500000); /* a short rest between runs */
  g_assert_cmpint(test_number(place->db, "SELECT next_run - last_run FROM jobs"), ==, 10 * SECOND + 1);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  test_add("/server/scheduler/planned", test_planned);
  test_add("/server/scheduler/missed", test_missed);
  test_add("/server/scheduler/refused-start", test_refused_start);
  test_add("/server/scheduler/retry", test_retry);
  test_add("/server/scheduler/after", test_after);
  test_add("/server/scheduler/window-closes", test_window_closes);
  test_add("/server/scheduler/clock-set-back", test_clock_set_back);
  test_add("/server/scheduler/continuous", test_continuous);
  return test_run();
}
