/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The page for Prometheus: what the tables say at this moment, and the counts of what was told to whom. */
#include <string.h>

#include "server/notify/state.h"

static void add_label(GString *page, const char *name, const char *value)
{
  g_string_append_printf(page, "%s=\"", name);
  for (; *value != '\0'; value++) {
    if (*value == '\n')
      g_string_append(page, "\\n");
    else if (*value == '"' || *value == '\\')
      g_string_append_printf(page, "\\%c", *value);
    else
      g_string_append_c(page, *value);
  }
  g_string_append_c(page, '"');
}

static void add_head(GString *page, const char *name, const char *type, const char *help)
{
  g_string_append_printf(page, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* A metric whose samples a query gives: its last column is the value, the others are labels by their names. A value of
 * time or duration is in microseconds in the table and in seconds here. */
typedef struct Metric {
  const char *name, *help, *sql;
  gboolean seconds;
} Metric;

static const Metric metrics[] = {
  {"holdfast_hosts", "Managed hosts by status.", "SELECT status, COUNT(*) FROM hosts GROUP BY status ORDER BY status",
   FALSE},
  {"holdfast_host_available", "1 when the server reaches the host.",
   "SELECT name AS host, CASE WHEN status = 'Available' THEN 1 ELSE 0 END FROM hosts ORDER BY name", FALSE},
  {"holdfast_host_last_seen_timestamp_seconds", "When the server last heard of the host.",
   "SELECT name AS host, last_seen FROM hosts WHERE last_seen IS NOT NULL ORDER BY name", TRUE},
  {"holdfast_repository_online", "1 when the repository's host serves it.",
   "SELECT name AS repository, online FROM repositories ORDER BY name", FALSE},
  {"holdfast_repository_capacity_bytes", "Size of the file system below the repository.",
   "SELECT name AS repository, capacity FROM repositories WHERE checked IS NOT NULL ORDER BY name", FALSE},
  {"holdfast_repository_free_bytes", "Free bytes of the file system below the repository.",
   "SELECT name AS repository, free FROM repositories WHERE checked IS NOT NULL ORDER BY name", FALSE},
  {"holdfast_repository_used_bytes", "Bytes that the repository uses.",
   "SELECT name AS repository, used FROM repositories WHERE checked IS NOT NULL ORDER BY name", FALSE},
  {"holdfast_restore_points", "Restore points by repository.",
   "SELECT repositories.name AS repository, COUNT(*) FROM restore_points "
   "JOIN repositories ON repositories.id = repository_id GROUP BY repositories.name ORDER BY repositories.name", FALSE},
  {"holdfast_restore_points_damaged", "Restore points that a verification found damaged.",
   "SELECT COUNT(*) FROM restore_points WHERE damaged = 1", FALSE},
  {"holdfast_jobs", "Jobs by status.", "SELECT status, COUNT(*) FROM jobs GROUP BY status ORDER BY status", FALSE},
  {"holdfast_job_last_result", "0 never ran, 1 success, 2 warning, 3 failed.",
   "SELECT name AS job, CASE last_result WHEN 'Success' THEN 1 WHEN 'Warning' THEN 2 WHEN 'Failed' THEN 3 ELSE 0 END "
   "FROM jobs ORDER BY name", FALSE},
  {"holdfast_job_last_run_timestamp_seconds", "When the job last began.",
   "SELECT name AS job, last_run FROM jobs WHERE last_run IS NOT NULL ORDER BY name", TRUE},
  {"holdfast_job_next_run_timestamp_seconds", "When the job begins next.",
   "SELECT name AS job, next_run FROM jobs WHERE next_run IS NOT NULL ORDER BY name", TRUE},
  {"holdfast_job_last_duration_seconds", "How long the job's last run took.",
   "SELECT jobs.name AS job, sessions.ended - sessions.created FROM jobs JOIN sessions ON sessions.id = "
   "last_session_id "
   "WHERE sessions.ended IS NOT NULL ORDER BY jobs.name", TRUE},
  {"holdfast_job_last_processed_bytes", "Bytes of the sources that the job's last run looked at.",
   "SELECT jobs.name AS job, processed_bytes FROM jobs JOIN sessions ON sessions.id = last_session_id "
   "ORDER BY jobs.name", FALSE},
  {"holdfast_job_last_transferred_bytes", "Bytes that the job's last run sent.",
   "SELECT jobs.name AS job, transferred_bytes FROM jobs JOIN sessions ON sessions.id = last_session_id "
   "ORDER BY jobs.name", FALSE},
  {"holdfast_sessions_running", "Sessions that have not ended, by type.",
   "SELECT type, COUNT(*) FROM sessions WHERE ended IS NULL GROUP BY type ORDER BY type", FALSE},
  {"holdfast_sessions_kept", "Sessions in the database that have ended, by type and result.",
   "SELECT type, result, COUNT(*) FROM sessions WHERE ended IS NOT NULL GROUP BY type, result ORDER BY type, result",
   FALSE},
  {"holdfast_mails_waiting", "Mails that will be tried again.", "SELECT COUNT(*) FROM events WHERE channel = 'mail'",
   FALSE},
};

static void add_sample(GString *page, const Metric *metric, HfDbRows *rows)
{
  guint last = hf_db_columns(rows) - 1;
  g_string_append(page, metric->name);
  for (guint i = 0; i < last; i++) {
    g_string_append_c(page, i == 0 ? '{' : ',');
    add_label(page, hf_db_column_name(rows, i), hf_db_text(rows, i));
  }
  if (last > 0)
    g_string_append_c(page, '}');
  gint64 value = hf_db_int(rows, last);
  char seconds[G_ASCII_DTOSTR_BUF_SIZE];
  if (metric->seconds)
    g_string_append_printf(page, " %s\n", g_ascii_formatd(seconds, sizeof seconds, "%.3f",
                                                          (double)value / G_USEC_PER_SEC));
  else
    g_string_append_printf(page, " %" G_GINT64_FORMAT "\n", value);
}

static gboolean add_metric(GString *page, HfDbLink *link, const Metric *metric, GError **error)
{
  g_autoptr(HfDbRows) rows = hf_db_query(link, metric->sql, HF_DB_NONE, error);
  if (rows == NULL)
    return FALSE;
  add_head(page, metric->name, "gauge", metric->help);
  while (hf_db_next(rows, error))
    add_sample(page, metric, rows);
  return !hf_db_failed(rows);
}

static void add_counters(GString *page, HfNotify *notify)
{
  HfNotifyCounts counts = hf_notify_counts(notify);
  const struct {
    const char *name, *help;
    gint64 sent, failed, dropped;
  } channels[] = {
    {"holdfast_mails_total", "Mails since the server started, by outcome of the try.", counts.mails_sent,
     counts.mails_failed, counts.mails_dropped},
    {"holdfast_events_total", "Syslog events since the server started, by outcome of the try.", counts.events_sent,
     counts.events_failed, counts.events_dropped},
  };
  for (gsize i = 0; i < G_N_ELEMENTS(channels); i++) {
    add_head(page, channels[i].name, "counter", channels[i].help);
    g_string_append_printf(page, "%s{outcome=\"sent\"} %" G_GINT64_FORMAT "\n", channels[i].name, channels[i].sent);
    g_string_append_printf(page, "%s{outcome=\"failed\"} %" G_GINT64_FORMAT "\n", channels[i].name, channels[i].failed);
    g_string_append_printf(page, "%s{outcome=\"dropped\"} %" G_GINT64_FORMAT "\n", channels[i].name,
                           channels[i].dropped);
  }
}

char *hf_metrics_text(HfDb *db, HfNotify *notify, GError **error)
{
  g_autoptr(GString) page = g_string_new(NULL);
  g_autoptr(HfDbLink) link = hf_db_read(db, error);
  if (link == NULL)
    return NULL;
  add_head(page, "holdfast_info", "gauge", "What runs here.");
  g_string_append(page, "holdfast_info{");
  add_label(page, "database", hf_db_version(db));
  g_string_append_printf(page, ",schema=\"%u\"} 1\n", hf_db_schema(db));
  for (gsize i = 0; i < G_N_ELEMENTS(metrics); i++)
    if (!add_metric(page, link, &metrics[i], error))
      return NULL;
  if (notify != NULL)
    add_counters(page, notify);
  return g_string_free(g_steal_pointer(&page), FALSE);
}
