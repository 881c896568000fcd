/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/report.h"

#define THREADS 4
#define ROUNDS 5000

typedef struct Seen {
  gint inside; /* atomic: calls going on; never above 1 */
  guint warnings, items, shown, last;
  char path[32], message[64];
  HfProgress progress;
} Seen;

static void enter(Seen *seen)
{
  g_assert_cmpint(g_atomic_int_add(&seen->inside, 1), ==, 0);
}

static void leave(Seen *seen)
{
  g_atomic_int_add(&seen->inside, -1);
}

static void on_warning(gpointer user, const char *path, const char *message)
{
  Seen *seen = user;
  enter(seen);
  seen->warnings++;
  g_strlcpy(seen->path, path != NULL ? path : "(null)", sizeof seen->path);
  g_strlcpy(seen->message, message, sizeof seen->message);
  leave(seen);
}

static void on_progress(gpointer user, const HfProgress *progress, gboolean last)
{
  Seen *seen = user;
  enter(seen);
  seen->shown++;
  seen->last += last ? 1 : 0;
  seen->progress = *progress;
  leave(seen);
}

static void on_item(gpointer user, const char *path, const char *what)
{
  Seen *seen = user;
  enter(seen);
  seen->items++;
  g_strlcpy(seen->path, path, sizeof seen->path);
  g_strlcpy(seen->message, what, sizeof seen->message);
  leave(seen);
}

static const HfReportOps all_ops = { .warning = on_warning, .progress = on_progress, .item = on_item };

static void test_warning(void)
{
  Seen seen = { 0 };
  g_autoptr(HfReport) report = hf_report_new(&all_ops, &seen);
  hf_report_warning(report, "/a", "cannot read '%s':\nline\r2", "/a");
  g_assert_cmpstr(seen.path, ==, "/a");
  g_assert_cmpstr(seen.message, ==, "cannot read '/a': line 2");
  hf_report_warning(report, NULL, "no path");
  g_assert_cmpstr(seen.path, ==, "(null)");
  g_assert_cmpuint(seen.warnings, ==, 2);
  g_assert_cmpuint(hf_report_warnings(report), ==, 2);
  hf_report_item(report, "/b", "restored");
  g_assert_cmpuint(seen.items, ==, 1);
  g_assert_cmpstr(seen.message, ==, "restored");
}

static void test_progress(void)
{
  Seen seen = { 0 };
  g_autoptr(HfReport) report = hf_report_new(&all_ops, &seen);
  gint64 start = g_get_monotonic_time();
  hf_report_total(report, 10, 1000);
  g_assert_cmpuint(seen.shown, ==, 1);
  for (guint i = 0; i < 10; i++)
    hf_report_add(report, 1, 100, 40);
  guint slots = (guint)((g_get_monotonic_time() - start) / 100000);
  g_assert_cmpuint(seen.shown, <=, 2 + slots);
  HfProgress now = hf_report_progress(report);
  g_assert_cmpuint(now.files_done, ==, 10);
  g_assert_cmpuint(now.bytes_done, ==, 1000);
  g_assert_cmpuint(now.stored_bytes, ==, 400);
  g_assert_cmpuint(now.files_total, ==, 10);
  g_assert_cmpuint(now.bytes_total, ==, 1000);
  guint before = seen.shown;
  g_usleep(110000);
  hf_report_add(report, 0, 0, 1);
  g_assert_cmpuint(seen.shown, ==, before + 1);
  g_assert_cmpuint(seen.last, ==, 0);
}

static void test_finish(void)
{
  Seen seen = { 0 };
  g_autoptr(HfReport) report = hf_report_new(&all_ops, &seen);
  hf_report_add(report, 1, 2, 3);
  hf_report_finish(report);
  g_assert_cmpuint(seen.shown, ==, 2);
  g_assert_cmpuint(seen.last, ==, 1);
  g_assert_cmpuint(seen.progress.bytes_done, ==, 2);
  hf_report_finish(report);
  g_usleep(110000);
  hf_report_add(report, 1, 2, 3);
  g_assert_cmpuint(seen.shown, ==, 2);
}

static void use_all(HfReport *report)
{
  hf_report_warning(report, "/a", "w");
  hf_report_total(report, 1, 1);
  hf_report_add(report, 1, 1, 1);
  hf_report_item(report, "/a", "i");
  hf_report_finish(report);
}

static void test_nobody_listens(void)
{
  HfReportOps none = { 0 };
  g_autoptr(HfReport) report = hf_report_new(&none, NULL);
  use_all(report);
  g_assert_cmpuint(hf_report_warnings(report), ==, 1);
  g_assert_cmpuint(hf_report_progress(report).files_done, ==, 1);
  use_all(NULL);
  g_assert_cmpuint(hf_report_warnings(NULL), ==, 0);
  g_assert_cmpuint(hf_report_progress(NULL).files_done, ==, 0);
  hf_report_free(NULL);
}

static gpointer report_much(gpointer report)
{
  for (guint i = 0; i < ROUNDS; i++) {
    hf_report_add(report, 1, 10, 5);
    hf_report_warning(report, NULL, "%u", i);
    hf_report_item(report, "/a", "i");
  }
  return NULL;
}

static void test_threads(void)
{
  Seen seen = { 0 };
  g_autoptr(HfReport) report = hf_report_new(&all_ops, &seen);
  GThread *threads[THREADS];
  for (guint i = 0; i < THREADS; i++)
    threads[i] = g_thread_new("reporter", report_much, report);
  for (guint i = 0; i < THREADS; i++)
    g_thread_join(threads[i]);
  g_assert_cmpuint(seen.warnings, ==, THREADS * ROUNDS);
  g_assert_cmpuint(seen.items, ==, THREADS * ROUNDS);
  g_assert_cmpuint(hf_report_warnings(report), ==, THREADS * ROUNDS);
  g_assert_cmpuint(hf_report_progress(report).bytes_done, ==, THREADS * ROUNDS * 10);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/report/warning", test_warning);
  g_test_add_func("/report/progress", test_progress);
  g_test_add_func("/report/finish", test_finish);
  g_test_add_func("/report/nobody-listens", test_nobody_listens);
  g_test_add_func("/report/threads", test_threads);
  return g_test_run();
}
