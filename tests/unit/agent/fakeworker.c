/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fakeworker.h"

#include <string.h>

static void note_warning(gpointer user, const char *path G_GNUC_UNUSED, const char *message)
{
  HfWorker *worker = user;
  g_ptr_array_add(worker->lines, g_strconcat("warning: ", message, NULL));
}

void fake_worker_init(HfWorker *worker, const char *state)
{
  static const HfReportOps ops = { .warning = note_warning };
  memset(worker, 0, sizeof *worker);
  worker->state = g_strdup(state);
  worker->lines = g_ptr_array_new_with_free_func(g_free);
  worker->report = hf_report_new(&ops, worker);
}

void fake_worker_clear(HfWorker *worker)
{
  hf_report_free(worker->report);
  g_ptr_array_unref(worker->lines);
  g_free(worker->state);
}

gboolean fake_worker_told(const HfWorker *worker, const char *text)
{
  for (guint i = 0; i < worker->lines->len; i++)
    if (strstr(worker->lines->pdata[i], text) != NULL)
      return TRUE;
  return FALSE;
}

/* ---- agent/worker.h ---- */

void hf_worker_log(HfWorker *worker, const char *format, ...)
{
  va_list arguments;
  va_start(arguments, format);
  g_ptr_array_add(worker->lines, g_strdup_vprintf(format, arguments));
  va_end(arguments);
}

HfReport *hf_worker_report(HfWorker *worker)
{
  return worker->report;
}

HfCancel *hf_worker_cancel(HfWorker *worker)
{
  return &worker->cancel;
}

const char *hf_worker_state(const HfWorker *worker)
{
  return worker->state;
}

const char *hf_worker_name(const HfWorker *worker G_GNUC_UNUSED)
{
  return "00000000-0000-4000-8000-000000000001";
}
