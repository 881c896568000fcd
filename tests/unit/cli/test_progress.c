/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/progress.h"

#include <string.h>

#include "capture.h"
#include "cli/output.h"

#define GIB (G_GUINT64_CONSTANT(1) << 30)

static void assert_line(const HfProgress *progress, double rate, double seconds, gsize width, const char *expected)
{
  g_autofree char *line = hf_progress_line(progress, rate, seconds, width);
  g_assert_cmpstr(line, ==, expected);
}

static void test_line(void)
{
  HfProgress progress = { .files_done = 12, .bytes_done = GIB, .bytes_total = 4 * GIB };
  assert_line(&progress, 1 << 20, 5, 100,
              "[=====>              ]  25%  1.0 GiB of 4.0 GiB  1.0 MiB/s  51:12 left  12 files");
  assert_line(&progress, 1 << 18, 5, 58, "1.0 GiB of 4.0 GiB  256.0 KiB/s  3:24:48 left  12 files");
  /* Without a rate, or with one that leads nowhere, the time that passed is shown. */
  assert_line(&progress, 0, 65, 59, "1.0 GiB of 4.0 GiB  0 B/s  1:05  12 files");
  assert_line(&progress, 2, 65, 59, "1.0 GiB of 4.0 GiB  2 B/s  1:05  12 files");
  progress.bytes_total = 0;
  assert_line(&progress, 1 << 20, 3661, 100, "1.0 GiB  1.0 MiB/s  1:01:01  12 files");
  assert_line(&progress, 1 << 20, 3661, 10, "1.0 GiB  1");
  progress.files_done = 0;
  assert_line(&progress, 1 << 20, 3661, 100, "1.0 GiB  1.0 MiB/s  1:01:01");
}

/* More than was announced is still 100 %. */
static void test_line_over(void)
{
  HfProgress progress = { .files_done = 1, .bytes_done = 5 * GIB, .bytes_total = 4 * GIB };
  assert_line(&progress, 1 << 20, 5, 100, "[====================] 100%  5.0 GiB of 4.0 GiB  1.0 MiB/s  0:05  1 files");
}

static void run_operation(HfProgressView *view)
{
  g_autoptr(HfReport) report = hf_progress_report(view);
  hf_report_total(report, 2, 100);
  hf_report_item(report, "a/b\n", "added");
  hf_report_add(report, 1, 60, 20);
  hf_report_warning(report, "bad\xff", "cannot read: %s", "denied");
  hf_report_warning(report, NULL, "odd");
  g_usleep(110000);
  hf_report_add(report, 1, 40, 20);
  hf_report_finish(report);
  g_assert_cmpuint(hf_report_warnings(report), ==, 2);
}

static void test_none(void)
{
  g_autoptr(Capture) capture = capture_new();
  g_autoptr(HfProgressView) view = hf_progress_new(capture->stream, HF_PROGRESS_NONE, FALSE);
  run_operation(view);
  g_assert_cmpstr(capture_text(capture), ==, "warning: 'bad\\xff': cannot read: denied\nwarning: odd\n");
  hf_progress_free(NULL);
}

static void test_bar(void)
{
  g_autoptr(Capture) capture = capture_new();
  g_autoptr(HfProgressView) view = hf_progress_new(capture->stream, HF_PROGRESS_BAR, TRUE);
  run_operation(view);
  const char *text = capture_text(capture);
  /* Each line of text starts where the bar was erased, and nothing of it is left at the end. */
  g_assert_nonnull(strstr(text, "\r\033[Kadded a/b\\x0a\nwarning: 'bad\\xff'"));
  g_assert_nonnull(strstr(text, "100 B of 100 B"));
  g_assert_true(g_str_has_suffix(text, "\r\033[K"));
}

/* The members of every line, by its "type". */
static void test_json(void)
{
  g_autoptr(Capture) capture = capture_new();
  g_autoptr(HfProgressView) view = hf_progress_new(capture->stream, HF_PROGRESS_JSON, TRUE);
  run_operation(view);
  g_auto(GStrv) lines = g_strsplit(g_strchomp((char *)capture_text(capture)), "\n", 0);
  guint warnings = 0, items = 0;
  json_t *last = NULL;
  for (guint i = 0; lines[i] != NULL; i++) {
    json_decref(last);
    last = json_loads(lines[i], 0, NULL);
    g_assert_nonnull(last);
    const char *type = json_string_value(json_object_get(last, "type"));
    warnings += strcmp(type, "warning") == 0;
    if (strcmp(type, "item") == 0) {
      g_assert_cmpstr(json_string_value(json_object_get(last, "path")), ==, "a/b\n");
      items++;
    }
  }
  g_assert_cmpuint(warnings, ==, 2);
  g_assert_cmpuint(items, ==, 1);
  g_assert_cmpstr(json_string_value(json_object_get(last, "type")), ==, "progress");
  g_assert_cmpint(json_integer_value(json_object_get(last, "bytes_done")), ==, 100);
  g_assert_cmpint(json_integer_value(json_object_get(last, "bytes_total")), ==, 100);
  g_assert_cmpint(json_integer_value(json_object_get(last, "stored_bytes")), ==, 40);
  json_decref(last);
}

/* A verb that reports nothing prints no line. */
static void test_json_nothing(void)
{
  g_autoptr(Capture) capture = capture_new();
  g_autoptr(HfProgressView) view = hf_progress_new(capture->stream, HF_PROGRESS_JSON, FALSE);
  g_autoptr(HfReport) report = hf_progress_report(view);
  hf_report_item(report, "a", "added");
  hf_report_finish(report);
  fflush(capture->stream);
  g_assert_cmpuint(capture->length, ==, 0);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/cli/progress/line", test_line);
  g_test_add_func("/cli/progress/line-over", test_line_over);
  g_test_add_func("/cli/progress/none", test_none);
  g_test_add_func("/cli/progress/bar", test_bar);
  g_test_add_func("/cli/progress/json", test_json);
  g_test_add_func("/cli/progress/json-nothing", test_json_nothing);
  return g_test_run();
}
