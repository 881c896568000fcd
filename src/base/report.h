/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What an operation tells its user while it runs: warnings (each names a thing and a cause; the operation then ends
 * with exit code 3) and progress. The engine reports into an HfReport; the command line, the server and tests give
 * their own functions. All calls are thread-safe: the implementation serialises them.
 */
#pragma once

#include <glib.h>

typedef struct HfProgress {
  guint64 files_done, bytes_done;   /* bytes of source or target data */
  guint64 files_total, bytes_total; /* 0 while unknown */
  guint64 stored_bytes;             /* written to the repository so far */
} HfProgress;

typedef struct HfReport HfReport;

typedef struct HfReportOps {
  /* `path` may hold any bytes but NUL; may be NULL. `message` is one line. */
  void (*warning)(gpointer user, const char *path, const char *message);
  /* Called at most 10 times a second, and once at the end. */
  void (*progress)(gpointer user, const HfProgress *progress, gboolean last);
  /* Something was written or restored: for --verbose. May be NULL. */
  void (*item)(gpointer user, const char *path, const char *what);
} HfReportOps;

/* Members of ops may be NULL. */
HfReport *hf_report_new(const HfReportOps *ops, gpointer user);
void hf_report_free(HfReport *report);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfReport, hf_report_free)

/* All of these accept report NULL and then do nothing. */
void hf_report_warning(HfReport *report, const char *path, const char *format, ...) G_GNUC_PRINTF(3, 4);
void hf_report_total(HfReport *report, guint64 files, guint64 bytes);
void hf_report_add(HfReport *report, guint64 files, guint64 bytes, guint64 stored);
void hf_report_item(HfReport *report, const char *path, const char *what);
void hf_report_finish(HfReport *report);
guint64 hf_report_warnings(HfReport *report);
HfProgress hf_report_progress(HfReport *report);
