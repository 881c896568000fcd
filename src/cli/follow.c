/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Following a session: its log as it grows, the logs of its tasks, how far it is, and how it ended. */
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "cli/fleet.h"
#include "cli/progress.h"

#define FIRST_PAUSE_MS 200u
#define PAUSE_MS 1000u
#define BYTES_MAX 9e18                     /* of a total that is guessed */
#define STEP_MS 50u                        /* a cancel is seen this soon */
#define PATIENCE_US (120 * G_USEC_PER_SEC) /* a server that starts again is waited for this long */

typedef struct Follower {
  HfFleet *fleet;
  char *id;
  GHashTable *lines;            /* id of a session or task to the number of its lines that were shown */
  GHashTable *done;             /* tasks whose log was read after they ended */
  guint64 files, bytes, stored; /* told to the report so far */
  gint64 heard;                 /* monotonic, of the last answer */
} Follower;

static void follower_clear(Follower *follower)
{
  g_free(follower->id);
  g_hash_table_unref(follower->lines);
  g_hash_table_unref(follower->done);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Follower, follower_clear)

/* ---- Logs. ---- */

static void show_line(Follower *follower, const char *name, json_t *line)
{
  HfCli *cli = follower->fleet->cli;
  const char *status = hf_json_text(line, "status"), *title = hf_json_text(line, "title");
  const char *description = hf_json_text(line, "description");
  g_autofree char *time = hf_fleet_cell(line, "startTime", HF_CELL_TIME);
  g_autofree char *text =
    g_strdup_printf("%s%s%s%s%s", name != NULL ? name : "", name != NULL ? ": " : "", title != NULL ? title : "",
                    description != NULL && *description ? ": " : "", description != NULL ? description : "");
  g_autofree char *shown = hf_printable(text, -1);
  gboolean bad = g_strcmp0(status, "Warning") == 0 || g_strcmp0(status, "Failed") == 0;
  hf_progress_hide(cli->progress);
  hf_output_text(cli->output, "%s  %s%s%s\n", time, bad ? status : "", bad ? ": " : "", shown);
  if (hf_output_is_json(cli->output))
    hf_output_document(cli->output, json_incref(line));
  hf_output_flush(cli->output);
}

/* What was added to the log of `kind` ("sessions", "taskSessions") `id`. */
static gboolean show_log(Follower *follower, const char *kind, const char *id, const char *name, GError **error)
{
  for (;;) {
    guint shown = GPOINTER_TO_UINT(g_hash_table_lookup(follower->lines, id));
    g_autofree char *path = g_strdup_printf("/api/v1/%s/%s/logs?skip=%u&limit=500", kind, id, shown);
    hf_autojson json_t *answer = hf_fleet_get(follower->fleet, path, error);
    if (answer == NULL)
      return FALSE;
    json_t *records = json_object_get(answer, "records"), *line;
    size_t index;
    json_array_foreach(records, index, line)
    {
      show_line(follower, name, line);
    }
    shown += (guint)json_array_size(records);
    g_hash_table_insert(follower->lines, g_strdup(id), GUINT_TO_POINTER(shown));
    if (json_array_size(records) == 0 || shown >= hf_json_int(answer, "totalRecords", 0))
      return TRUE;
  }
}

/* ---- Progress. ---- */

static gboolean is_over(json_t *row)
{
  return g_strcmp0(hf_json_text(row, "state"), "Stopped") == 0;
}

typedef struct Sums {
  guint64 processed, transferred;
} Sums;

static gboolean show_task(Follower *follower, json_t *task, Sums *sums, GError **error)
{
  const char *id = hf_json_text(task, "id"), *name = hf_json_text(task, "name");
  sums->processed += (guint64)MAX(hf_json_int(task, "progress.processedSize", 0), 0);
  sums->transferred += (guint64)MAX(hf_json_int(task, "progress.transferredSize", 0), 0);
  if (id == NULL || g_hash_table_contains(follower->done, id))
    return TRUE;
  if (!show_log(follower, "taskSessions", id, name, error))
    return FALSE;
  if (is_over(task))
    g_hash_table_add(follower->done, g_strdup(id));
  return TRUE;
}

/* The report only counts up, and so do true figures. */
static guint64 rise(guint64 *told, guint64 now)
{
  guint64 more = now > *told ? now - *told : 0;
  *told += more;
  return more;
}

static gboolean show_tasks(Follower *follower, gint64 percent, GError **error)
{
  Sums sums = { 0 };
  g_autofree char *path = g_strdup_printf("/api/v1/sessions/%s/taskSessions", follower->id);
  hf_autojson json_t *tasks = hf_fleet_list(follower->fleet, path, 0, error);
  if (tasks == NULL)
    return FALSE;
  json_t *task;
  size_t index;
  json_array_foreach(tasks, index, task)
  {
    if (!show_task(follower, task, &sums, error))
      return FALSE;
  }
  HfReport *report = follower->fleet->cli->report;
  guint64 more = rise(&follower->bytes, sums.processed), stored = rise(&follower->stored, sums.transferred);
  /* How much there is in all is what the server's percentage makes of what was done. */
  if (percent > 0 && percent <= 100 && follower->bytes > 0)
    hf_report_total(report, 0, (guint64)MIN((double)follower->bytes * 100.0 / (double)percent, BYTES_MAX));
  hf_report_add(report, 0, more, stored);
  return TRUE;
}

/* ---- The loop. ---- */

/* One look; *session is as it was before the logs were read, so that none of a session that is over is missed. */
static gboolean look(Follower *follower, json_t **session, GError **error)
{
  g_autofree char *path = g_strdup_printf("/api/v1/sessions/%s", follower->id);
  hf_autojson json_t *got = hf_fleet_get(follower->fleet, path, error);
  if (got == NULL || !show_log(follower, "sessions", follower->id, NULL, error) ||
      !show_tasks(follower, hf_json_int(got, "progressPercent", 0), error))
    return FALSE;
  *session = g_steal_pointer(&got);
  return TRUE;
}

static gboolean pause_for(const HfFleet *fleet, guint ms, GError **error)
{
  for (guint slept = 0; slept < ms; slept += STEP_MS) {
    if (hf_cancelled(fleet->cli->cancel, error))
      return FALSE;
    g_usleep(STEP_MS * 1000);
  }
  return TRUE;
}

/* A server that cannot be reached or has too much to do may be well again soon. */
static gboolean passes(const GError *problem)
{
  return hf_error_is(problem, HF_ERROR_IO) || hf_error_is(problem, HF_ERROR_BUSY);
}

/* The session when it is over; NULL with an error. */
static json_t *wait_for_end(Follower *follower, GError **error)
{
  guint pause = FIRST_PAUSE_MS;
  for (;;) {
    g_autoptr(GError) problem = NULL;
    hf_autojson json_t *session = NULL;
    gint64 now = hf_clock_monotonic_us();
    if (look(follower, &session, &problem)) {
      follower->heard = now;
      if (is_over(session))
        return g_steal_pointer(&session);
    } else if (!passes(problem) || now - follower->heard > PATIENCE_US) {
      g_propagate_error(error, g_steal_pointer(&problem));
      return NULL;
    }
    if (!hf_output_check(follower->fleet->cli->output, error) || !pause_for(follower->fleet, pause, error))
      return NULL;
    pause = PAUSE_MS;
  }
}

static const char *name_of(json_t *session)
{
  const char *name = hf_json_text(session, "name");
  return name != NULL ? name : "the session";
}

static gboolean judge(HfFleet *fleet, json_t *session, GError **error)
{
  const char *result = hf_json_text(session, "result.result"), *message = hf_json_text(session, "result.message");
  const char *name = name_of(session);
  gboolean stopped = hf_json_flag(session, "result.isCanceled"), said = message != NULL && *message != '\0';
  if (g_strcmp0(result, "Success") == 0)
    return TRUE;
  if (g_strcmp0(result, "Warning") != 0)
    return hf_fail(error, stopped ? HF_ERROR_CANCELLED : HF_ERROR_FAILED, "'%s' %s%s%s", name,
                   stopped ? "was stopped" : "failed", said ? ": " : "", said ? message : "");
  hf_report_warning(fleet->cli->report, NULL, "'%s' %s%s%s", name, stopped ? "was stopped" : "ended with warnings",
                    said ? ": " : "", said ? message : "");
  return TRUE;
}

static void print_end(const Follower *follower, json_t *session)
{
  HfCli *cli = follower->fleet->cli;
  g_autofree char *bytes = hf_format_size(follower->bytes), *sent = hf_format_size(follower->stored);
  g_autofree char *result = hf_fleet_cell(session, "result.result", HF_CELL_TEXT);
  hf_progress_hide(cli->progress);
  if (follower->bytes > 0)
    hf_output_note(cli->output, "%s: %s, %s processed, %s sent\n", name_of(session), result, bytes, sent);
  else
    hf_output_note(cli->output, "%s: %s\n", name_of(session), result);
  hf_output_document(cli->output, json_incref(session));
}

gboolean hf_fleet_follow(HfFleet *fleet, const char *session_id, GError **error)
{
  g_auto(Follower) follower = { .fleet = fleet, .id = g_strdup(session_id), .heard = hf_clock_monotonic_us() };
  follower.lines = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  follower.done = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr(GError) problem = NULL;
  hf_autojson json_t *session = wait_for_end(&follower, &problem);
  if (session != NULL) {
    print_end(&follower, session);
    return judge(fleet, session, error);
  }
  if (hf_error_is(problem, HF_ERROR_CANCELLED))
    g_prefix_error(&problem, "session %s goes on, 'holdfast session follow %s' shows it again: ", session_id,
                   session_id);
  g_propagate_error(error, g_steal_pointer(&problem));
  return FALSE;
}

gboolean hf_fleet_started(HfFleet *fleet, json_t *session, gboolean follow, GError **error)
{
  const char *id = hf_json_text(session, "id");
  if (!hf_fleet_has_id(fleet, session, error))
    return FALSE;
  if (follow)
    return hf_fleet_follow(fleet, id, error);
  hf_output_text(fleet->cli->output, "session %s\n", id);
  hf_output_document(fleet->cli->output, json_incref(session));
  return TRUE;
}
