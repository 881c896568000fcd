/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/report.h"

#include "base/clock.h"
#include "base/work.h"

#define PROGRESS_INTERVAL_US (G_USEC_PER_SEC / 10)

struct HfReport {
  HfReportOps ops;
  gpointer user;
  GMutex mutex; /* guards everything below and serialises the calls of ops */
  HfProgress progress;
  gint64 next_progress_us; /* monotonic; before it progress is not called */
  guint64 warnings;
  gboolean finished;
};

HfReport *hf_report_new(const HfReportOps *ops, gpointer user)
{
  HfReport *report = g_new0(HfReport, 1);
  report->ops = *ops;
  report->user = user;
  g_mutex_init(&report->mutex);
  return report;
}

void hf_report_free(HfReport *report)
{
  if (report == NULL)
    return;
  g_mutex_clear(&report->mutex);
  g_free(report);
}

void hf_report_warning(HfReport *report, const char *path, const char *format, ...)
{
  if (report == NULL)
    return;
  va_list arguments;
  va_start(arguments, format);
  g_autofree char *message = g_strdup_vprintf(format, arguments);
  va_end(arguments);
  g_strdelimit(message, "\r\n", ' ');
  HF_LOCK(&report->mutex);
  report->warnings++;
  if (report->ops.warning != NULL)
    report->ops.warning(report->user, path, message);
}

static void show_progress_locked(HfReport *report)
{
  if (report->ops.progress == NULL || report->finished)
    return;
  gint64 now = hf_clock_monotonic_us();
  if (now < report->next_progress_us)
    return;
  report->next_progress_us = now + PROGRESS_INTERVAL_US;
  report->ops.progress(report->user, &report->progress, FALSE);
}

void hf_report_total(HfReport *report, guint64 files, guint64 bytes)
{
  if (report == NULL)
    return;
  HF_LOCK(&report->mutex);
  report->progress.files_total = files;
  report->progress.bytes_total = bytes;
  show_progress_locked(report);
}

void hf_report_add(HfReport *report, guint64 files, guint64 bytes, guint64 stored)
{
  if (report == NULL)
    return;
  HF_LOCK(&report->mutex);
  report->progress.files_done += files;
  report->progress.bytes_done += bytes;
  report->progress.stored_bytes += stored;
  show_progress_locked(report);
}

void hf_report_item(HfReport *report, const char *path, const char *what)
{
  if (report == NULL || report->ops.item == NULL)
    return;
  HF_LOCK(&report->mutex);
  report->ops.item(report->user, path, what);
}

void hf_report_finish(HfReport *report)
{
  if (report == NULL)
    return;
  HF_LOCK(&report->mutex);
  if (!report->finished && report->ops.progress != NULL)
    report->ops.progress(report->user, &report->progress, TRUE);
  report->finished = TRUE;
}

guint64 hf_report_warnings(HfReport *report)
{
  if (report == NULL)
    return 0;
  HF_LOCK(&report->mutex);
  return report->warnings;
}

HfProgress hf_report_progress(HfReport *report)
{
  if (report == NULL)
    return (HfProgress){ 0 };
  HF_LOCK(&report->mutex);
  return report->progress;
}
