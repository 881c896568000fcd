/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The verbs session list, show, follow and stop. */
#include "base/error.h"
#include "cli/fleet.h"

#define SESSIONS "/api/v1/sessions"
#define SEARCHED 2000u /* newest sessions among which an id is looked for by its first digits */

static const HfFleetColumn list_columns[] = {
  { { .title = "ID" }, "id", HF_CELL_ID },
  { { .title = "STARTED" }, "creationTime", HF_CELL_TIME },
  { { .title = "NAME", .shrink = TRUE }, "name", HF_CELL_TEXT },
  { { .title = "TYPE", .shrink = TRUE }, "sessionType", HF_CELL_TEXT },
  { { .title = "STATE" }, "state", HF_CELL_TEXT },
  { { .title = "%", .right = TRUE }, "progressPercent", HF_CELL_NUMBER },
  { { .title = "RESULT" }, "result.result", HF_CELL_TEXT },
  { { .title = "BY", .shrink = TRUE }, "initiatedBy", HF_CELL_TEXT },
};

gboolean hf_verb_session_list(const HfOptions *options, HfCli *cli, GError **error)
{
  g_auto(HfFleet) fleet = { 0 };
  if (!hf_fleet_open(&fleet, options, cli, error))
    return FALSE;
  g_autofree char *job = NULL, *since = NULL;
  if (options->job != NULL && (job = hf_fleet_id(&fleet, &hf_fleet_job, options->job, error)) == NULL)
    return FALSE;
  if (options->since != NULL && !hf_fleet_since(options->since, &since, error))
    return FALSE;
  g_autofree char *path =
    HF_QUERY(SESSIONS, "jobIdFilter", job, "createdAfterFilter", since, "resultFilter",
             options->failed ? "Failed" : NULL, "orderColumn", "CreationTime", "orderAsc", "false");
  return hf_fleet_print_list(&fleet, path, (guint)options->last, list_columns, G_N_ELEMENTS(list_columns),
                             "there are no such sessions", error);
}

static json_t *get_session(HfFleet *fleet, const char *id, GError **error)
{
  g_autofree char *path = hf_fleet_path(SESSIONS "/%s", id);
  return hf_fleet_get(fleet, path, error);
}

/* The last session of the job of that name, *job TRUE; NULL with an error, or without one when there is no such job. */
static json_t *find_of_job(HfFleet *fleet, const char *name, gboolean *job, GError **error)
{
  g_autofree char *path = HF_QUERY("/api/v1/jobs/states", "nameFilter", name);
  hf_autojson json_t *rows = hf_fleet_list(fleet, path, 0, error);
  json_t *row;
  size_t index;
  *job = rows == NULL;
  json_array_foreach(rows, index, row)
  {
    if (g_strcmp0(hf_json_text(row, "name"), name) != 0)
      continue;
    *job = TRUE;
    const char *id = hf_json_text(row, "sessionId");
    if (id != NULL)
      return get_session(fleet, id, error);
    hf_fail(error, HF_ERROR_NOT_FOUND, "job '%s' has not run yet; 'holdfast job start' runs it", name);
  }
  return NULL;
}

/* The last run of the job of that name, else the newest session of that name. */
static json_t *find_name(HfFleet *fleet, const char *name, GError **error)
{
  gboolean job;
  json_t *last = find_of_job(fleet, name, &job, error);
  if (job)
    return last;
  g_autofree char *path = HF_QUERY(SESSIONS, "nameFilter", name, "orderColumn", "CreationTime", "orderAsc", "false");
  hf_autojson json_t *rows = hf_fleet_list(fleet, path, 1, error);
  if (rows == NULL)
    return NULL;
  if (json_array_size(rows) > 0)
    return json_incref(json_array_get(rows, 0));
  hf_fail(error, HF_ERROR_NOT_FOUND, "there is no session '%s'; 'holdfast session list' lists them", name);
  return NULL;
}

static json_t *find_row(HfFleet *fleet, const char *text, GError **error)
{
  if (hf_fleet_is_id(text))
    return get_session(fleet, text, error);
  hf_autojson json_t *rows = hf_fleet_list(fleet, SESSIONS "?orderColumn=CreationTime&orderAsc=false", SEARCHED, error);
  json_t *row, *found = NULL;
  size_t index;
  if (rows == NULL)
    return NULL;
  json_array_foreach(rows, index, row)
  {
    if (!hf_fleet_is_start_of(text, hf_json_text(row, "id")))
      continue;
    if (found != NULL) {
      hf_fail(error, HF_ERROR_USAGE, "the ids of several sessions begin with '%s'; give more digits: %s, %s", text,
              hf_json_text(found, "id"), hf_json_text(row, "id"));
      return NULL;
    }
    found = row;
  }
  return found != NULL ? json_incref(found) : find_name(fleet, text, error);
}

static json_t *find_session(HfFleet *fleet, const char *text, GError **error)
{
  hf_autojson json_t *row = find_row(fleet, text, error);
  return row != NULL && hf_fleet_has_id(fleet, row, error) ? g_steal_pointer(&row) : NULL;
}

static gboolean print_tasks(HfFleet *fleet, const char *id, GError **error)
{
  static const HfFleetColumn columns[] = {
    { { .title = "TASK", .shrink = TRUE }, "name", HF_CELL_TEXT },
    { { .title = "STATE" }, "state", HF_CELL_TEXT },
    { { .title = "RESULT" }, "result.result", HF_CELL_TEXT },
    { { .title = "PROCESSED", .right = TRUE }, "progress.processedSize", HF_CELL_SIZE },
    { { .title = "SENT", .right = TRUE }, "progress.transferredSize", HF_CELL_SIZE },
    { { .title = "RATE", .right = TRUE }, "progress.processingRate", HF_CELL_TEXT },
    { { .title = "TOOK", .right = TRUE }, "progress.duration", HF_CELL_TEXT },
    { { .title = "BOTTLENECK" }, "progress.bottleneck", HF_CELL_TEXT },
    { { .title = "SAYS", .shrink = TRUE }, "result.message", HF_CELL_TEXT },
  };
  g_autofree char *path = hf_fleet_path(SESSIONS "/%s/taskSessions", id);
  hf_autojson json_t *tasks = hf_fleet_list(fleet, path, 0, error);
  if (tasks == NULL)
    return FALSE;
  if (json_array_size(tasks) > 0) {
    hf_output_text(fleet->cli->output, "\n");
    hf_fleet_print_rows(fleet->cli, tasks, columns, G_N_ELEMENTS(columns), "");
  }
  return TRUE;
}

static gboolean print_log(HfFleet *fleet, const char *id, GError **error)
{
  static const HfFleetColumn columns[] = {
    { { .title = "TIME" }, "startTime", HF_CELL_TIME },
    { { .title = "STATUS" }, "status", HF_CELL_TEXT },
    { { .title = "LOG" }, "title", HF_CELL_TEXT },
    { { .title = "" }, "description", HF_CELL_TEXT },
  };
  g_autofree char *path = hf_fleet_path(SESSIONS "/%s/logs", id);
  hf_autojson json_t *answer = hf_fleet_get(fleet, path, error);
  json_t *records = answer == NULL ? NULL : json_object_get(answer, "records");
  if (json_array_size(records) > 0) {
    hf_output_text(fleet->cli->output, "\n");
    hf_fleet_print_rows(fleet->cli, records, columns, G_N_ELEMENTS(columns), "");
  }
  return answer != NULL;
}

gboolean hf_verb_session_show(const HfOptions *options, HfCli *cli, GError **error)
{
  static const HfFleetColumn columns[] = {
    { { .title = "name" }, "name", HF_CELL_TEXT },
    { { .title = "id" }, "id", HF_CELL_TEXT },
    { { .title = "type" }, "sessionType", HF_CELL_TEXT },
    { { .title = "started" }, "creationTime", HF_CELL_TIME },
    { { .title = "by" }, "initiatedBy", HF_CELL_TEXT },
    { { .title = "ended" }, "endTime", HF_CELL_TIME },
    { { .title = "state" }, "state", HF_CELL_TEXT },
    { { .title = "percent" }, "progressPercent", HF_CELL_NUMBER },
    { { .title = "result" }, "result.result", HF_CELL_TEXT },
    { { .title = "says" }, "result.message", HF_CELL_TEXT },
  };
  g_auto(HfFleet) fleet = { 0 };
  if (!hf_fleet_open(&fleet, options, cli, error))
    return FALSE;
  hf_autojson json_t *session = find_session(&fleet, options->session, error);
  if (session == NULL)
    return FALSE;
  const char *id = hf_json_text(session, "id");
  hf_fleet_print_object(cli, session, columns, G_N_ELEMENTS(columns));
  return print_tasks(&fleet, id, error) && print_log(&fleet, id, error);
}

gboolean hf_verb_session_follow(const HfOptions *options, HfCli *cli, GError **error)
{
  g_auto(HfFleet) fleet = { 0 };
  if (!hf_fleet_open(&fleet, options, cli, error))
    return FALSE;
  hf_autojson json_t *session = find_session(&fleet, options->session, error);
  return session != NULL && hf_fleet_follow(&fleet, hf_json_text(session, "id"), error);
}

gboolean hf_verb_session_stop(const HfOptions *options, HfCli *cli, GError **error)
{
  g_auto(HfFleet) fleet = { 0 };
  if (!hf_fleet_open(&fleet, options, cli, error))
    return FALSE;
  hf_autojson json_t *session = find_session(&fleet, options->session, error);
  const char *id = session == NULL ? NULL : hf_json_text(session, "id");
  g_autofree char *path = id == NULL ? NULL : hf_fleet_path(SESSIONS "/%s/stop", id);
  if (path == NULL || !hf_fleet_ask(&fleet, "POST", path, NULL, NULL, error))
    return FALSE;
  g_autofree char *name = hf_fleet_cell(session, "name", HF_CELL_TEXT);
  hf_output_note(cli->output, "session %s of '%s' stops\n", id, name);
  hf_output_document(cli->output, json_pack("{s:s}", "id", id));
  return TRUE;
}
