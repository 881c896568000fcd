/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The verbs job list, show, create, change, start, stop, retry, enable, disable and remove. */
#include "base/error.h"
#include "cli/fleet.h"
#include "cli/fleet_jobspec.h"

#define STATES "/api/v1/jobs/states"

gboolean hf_verb_job_list(const HfOptions *options, HfCli *cli, GError **error)
{
  static const HfFleetColumn columns[] = {
    { { .title = "NAME", .shrink = TRUE }, "name", HF_CELL_TEXT },
    { { .title = "STATUS" }, "status", HF_CELL_TEXT },
    { { .title = "LAST RESULT" }, "lastResult", HF_CELL_TEXT },
    { { .title = "LAST RUN" }, "lastRun", HF_CELL_TIME },
    { { .title = "NEXT RUN" }, "nextRun", HF_CELL_TIME },
    { { .title = "REPOSITORY", .shrink = TRUE }, "repositoryName", HF_CELL_TEXT },
    { { .title = "OBJECTS", .right = TRUE }, "objectsCount", HF_CELL_NUMBER },
  };
  g_auto(HfFleet) fleet = { 0 };
  return hf_fleet_open(&fleet, options, cli, error) &&
         hf_fleet_print_list(&fleet, STATES, 0, columns, G_N_ELEMENTS(columns),
                             "there are no jobs; 'holdfast job create' makes one", error);
}

static char *hosts_of(json_t *job)
{
  GString *text = g_string_new(NULL);
  json_t *computer;
  size_t index;
  json_array_foreach(json_object_get(job, "computers"), index, computer)
  {
    g_autofree char *paths = hf_fleet_cell(computer, "paths", HF_CELL_LIST);
    g_autofree char *devices = hf_fleet_cell(computer, "devices", HF_CELL_LIST);
    g_string_append_printf(text, "%s%s: %s%s", index > 0 ? "; " : "", hf_json_text(computer, "name"), paths, devices);
  }
  return g_string_free(text, FALSE);
}

gboolean hf_verb_job_show(const HfOptions *options, HfCli *cli, GError **error)
{
  static const HfFleetColumn columns[] = {
    { { .title = "name" }, "name", HF_CELL_TEXT },
    { { .title = "id" }, "id", HF_CELL_TEXT },
    { { .title = "description" }, "description", HF_CELL_TEXT },
    { { .title = "type" }, "type", HF_CELL_TEXT },
    { { .title = "disabled" }, "isDisabled", HF_CELL_FLAG },
    { { .title = "reads" }, "backupMode", HF_CELL_TEXT },
    { { .title = "copies" }, "sourceObjects.includes", HF_CELL_JSON },
    { { .title = "keeps" }, "storage.retentionPolicy", HF_CELL_JSON },
    { { .title = "keeps besides" }, "storage.gfsPolicy", HF_CELL_JSON },
    { { .title = "schedule" }, "schedule", HF_CELL_JSON },
    { { .title = "scripts" }, "guestProcessing", HF_CELL_JSON },
  };
  static const HfFleetColumn state_columns[] = {
    { { .title = "repository   " }, "repositoryName", HF_CELL_TEXT },
    { { .title = "runs" }, "nextRunPolicy", HF_CELL_TEXT },
    { { .title = "status" }, "status", HF_CELL_TEXT },
    { { .title = "last run" }, "lastRun", HF_CELL_TIME },
    { { .title = "last result" }, "lastResult", HF_CELL_TEXT },
    { { .title = "next run" }, "nextRun", HF_CELL_TIME },
  };
  g_auto(HfFleet) fleet = { 0 };
  if (!hf_fleet_open(&fleet, options, cli, error))
    return FALSE;
  hf_autojson json_t *job = hf_fleet_find(&fleet, &hf_fleet_job, options->name, error);
  if (job == NULL)
    return FALSE;
  g_autofree char *hosts = hosts_of(job);
  hf_fleet_print_object(cli, job, columns, G_N_ELEMENTS(columns));
  if (*hosts != '\0')
    hf_output_text(cli->output, "%-13s  %s\n", "hosts", hosts);
  return hf_fleet_print_state(&fleet, STATES, hf_json_text(job, "id"), state_columns, G_N_ELEMENTS(state_columns),
                              error);
}

/* ---- create, change ---- */

gboolean hf_verb_job_create(const HfOptions *options, HfCli *cli, GError **error)
{
  g_auto(HfFleet) fleet = { 0 };
  hf_autojson json_t *answer = NULL;
  if (!hf_fleet_open(&fleet, options, cli, error))
    return FALSE;
  hf_autojson json_t *job = hf_jobspec_new(&fleet, options, error);
  if (job == NULL)
    return FALSE;
  hf_json_put(job, "name", json_string(options->new_name));
  if (!hf_fleet_ask(&fleet, "POST", hf_fleet_job.list, json_incref(job), &answer, error))
    return FALSE;
  hf_output_note(cli->output, "job '%s' is made; 'holdfast job start' runs it now\n", options->new_name);
  hf_output_document(cli->output, json_incref(answer));
  return TRUE;
}

gboolean hf_verb_job_change(const HfOptions *options, HfCli *cli, GError **error)
{
  g_auto(HfFleet) fleet = { 0 };
  hf_autojson json_t *answer = NULL;
  if (!hf_fleet_open(&fleet, options, cli, error))
    return FALSE;
  hf_autojson json_t *job = hf_fleet_find(&fleet, &hf_fleet_job, options->name, error);
  if (job == NULL || !hf_jobspec_apply(&fleet, options, job, error))
    return FALSE;
  if (options->new_name != NULL)
    hf_json_put(job, "name", json_string(options->new_name));
  g_autofree char *path = g_strdup_printf("%s/%s", hf_fleet_job.list, hf_json_text(job, "id"));
  if (!hf_fleet_ask(&fleet, "PUT", path, json_incref(job), &answer, error))
    return FALSE;
  g_autofree char *name = hf_fleet_cell(answer, "name", HF_CELL_TEXT);
  hf_output_note(cli->output, "changed job '%s'\n", name);
  hf_output_document(cli->output, json_incref(answer));
  return TRUE;
}

/* ---- start, stop, retry ---- */

/* POST to what is below the job; `body` is taken over. */
static gboolean run(const HfOptions *options, HfCli *cli, const char *what, json_t *body, GError **error)
{
  g_auto(HfFleet) fleet = { 0 };
  hf_autojson json_t *session = NULL, *sent = body;
  if (!hf_fleet_open(&fleet, options, cli, error))
    return FALSE;
  g_autofree char *id = hf_fleet_id(&fleet, &hf_fleet_job, options->name, error);
  g_autofree char *path = id == NULL ? NULL : g_strdup_printf("%s/%s/%s", hf_fleet_job.list, id, what);
  return path != NULL && hf_fleet_ask(&fleet, "POST", path, json_incref(sent), &session, error) &&
         hf_fleet_started(&fleet, session, options->follow, error);
}

gboolean hf_verb_job_start(const HfOptions *options, HfCli *cli, GError **error)
{
  return run(options, cli, "start", json_pack("{s:b}", "performActiveFull", options->full), error);
}

gboolean hf_verb_job_stop(const HfOptions *options, HfCli *cli, GError **error)
{
  return run(options, cli, "stop", json_pack("{s:b}", "gracefulStop", !options->now), error);
}

gboolean hf_verb_job_retry(const HfOptions *options, HfCli *cli, GError **error)
{
  return run(options, cli, "retry", json_object(), error);
}

/* ---- enable, disable, remove ---- */

static gboolean act(const HfOptions *options, HfCli *cli, const char *method, const char *what, const char *done,
                    GError **error)
{
  g_auto(HfFleet) fleet = { 0 };
  if (!hf_fleet_open(&fleet, options, cli, error))
    return FALSE;
  g_autofree char *id = hf_fleet_id(&fleet, &hf_fleet_job, options->name, error);
  g_autofree char *path = id == NULL ? NULL : g_strdup_printf("%s/%s%s", hf_fleet_job.list, id, what);
  return path != NULL && hf_fleet_ask(&fleet, method, path, NULL, NULL, error) &&
         hf_fleet_done(cli, done, &hf_fleet_job, options->name, id);
}

gboolean hf_verb_job_enable(const HfOptions *options, HfCli *cli, GError **error)
{
  return act(options, cli, "POST", "/enable", "enabled", error);
}

gboolean hf_verb_job_disable(const HfOptions *options, HfCli *cli, GError **error)
{
  return act(options, cli, "POST", "/disable", "disabled", error);
}

gboolean hf_verb_job_remove(const HfOptions *options, HfCli *cli, GError **error)
{
  return act(options, cli, "DELETE", "", "removed", error);
}
