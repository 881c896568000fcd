/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/fleet_jobspec.h"

#include <string.h>

#include "base/buffer.h"
#include "base/error.h"

#define BACKUP "LinuxAgentBackup"
#define COPY "BackupCopy"

static gboolean is_copy(json_t *job)
{
  return g_strcmp0(hf_json_text(job, "type"), COPY) == 0;
}

/* Where in a job of its type retention, scripts and the repository stand. */
static char *in_storage(json_t *job, const char *path)
{
  return g_strconcat(is_copy(job) ? "target." : "storage.", path, NULL);
}

static void put_storage(json_t *job, const char *path, json_t *value)
{
  g_autofree char *where = in_storage(job, path);
  hf_json_put(job, where, value);
}

static json_t *texts(char *const *list)
{
  json_t *array = json_array();
  for (; *list != NULL; list++)
    json_array_append_new(array, json_string(*list));
  return array;
}

/* ---- What is read. ---- */

static gboolean is_absolute(char *const *paths, const char *option, GError **error)
{
  for (; *paths != NULL; paths++)
    if (!g_path_is_absolute(*paths))
      return hf_fail(error, HF_ERROR_USAGE, "'%s' of '%s' is no absolute path; the host has no folder to start from",
                     *paths, option);
  return TRUE;
}

static gboolean name_hosts(HfFleet *fleet, const HfOptions *options, json_t *job, GError **error)
{
  json_t *old = json_array_get(json_object_get(job, "computers"), 0), *computers = json_array();
  for (guint i = 0; options->hosts[i] != NULL; i++) {
    hf_autojson json_t *host = hf_fleet_find(fleet, &hf_fleet_host, options->hosts[i], error);
    if (host == NULL) {
      json_decref(computers);
      return FALSE;
    }
    /* A host that comes to a job is read as its first one is. */
    json_t *computer =
      old != NULL ? json_deep_copy(old) : json_pack("{s:s, s:s}", "platform", "Agent", "type", "LinuxComputer");
    hf_json_put(computer, "id", json_string(hf_json_text(host, "id")));
    hf_json_put(computer, "name", json_string(hf_json_text(host, "name")));
    json_array_append_new(computers, computer);
  }
  json_object_set_new(job, "computers", computers);
  return TRUE;
}

/* The same for every host: `key` of each. */
static void put_for_all(json_t *job, const char *key, char *const *list)
{
  json_t *computer;
  size_t index;
  json_array_foreach(json_object_get(job, "computers"), index, computer)
  {
    json_object_set_new(computer, key, texts(list));
  }
}

static void set_mode(json_t *job, const char *mode, const char *kept)
{
  static const char *const keys[] = { "paths", "devices" };
  json_t *computer;
  size_t index;
  hf_json_put(job, "backupMode", json_string(mode));
  json_object_del(job, "files");
  json_object_del(job, "volumes");
  json_array_foreach(json_object_get(job, "computers"), index, computer)
  {
    for (guint i = 0; i < G_N_ELEMENTS(keys); i++)
      if (g_strcmp0(keys[i], kept) != 0)
        json_object_del(computer, keys[i]);
  }
}

static gboolean apply_source(HfFleet *fleet, const HfOptions *options, json_t *job, GError **error)
{
  if (!is_absolute(options->paths, "--path", error) || !is_absolute(options->devices, "--device", error) ||
      (options->hosts[0] != NULL && !name_hosts(fleet, options, job, error)))
    return FALSE;
  if (options->paths[0] != NULL) {
    set_mode(job, "FileLevel", "paths");
    put_for_all(job, "paths", options->paths);
  }
  if (options->devices[0] != NULL) {
    set_mode(job, "Volumes", "devices");
    put_for_all(job, "devices", options->devices);
  }
  if (options->entire)
    set_mode(job, "EntireComputer", NULL);
  if (options->exclude[0] != NULL)
    put_for_all(job, "excludes", options->exclude);
  if (options->no_snapshot)
    hf_json_put(job, "useSnapshotlessFileLevelBackup", json_true());
  if (options->freeze > 0)
    hf_json_put(job, "freezeSeconds", json_integer((json_int_t)options->freeze));
  return TRUE;
}

/* ---- Scripts on the hosts. ---- */

static void apply_scripts(const HfOptions *options, json_t *job)
{
  if (options->before_script == NULL && options->after_script == NULL && options->script_user == NULL &&
      options->script_timeout == 0)
    return;
  json_t *scripts = hf_json_at(job, "guestProcessing.appAwareProcessing.appSettings");
  scripts = json_object_get(json_array_get(scripts, 0), "scripts");
  scripts = json_is_object(scripts) ? json_deep_copy(scripts) : json_object();
  if (options->before_script != NULL)
    hf_json_put(scripts, "jobScripts.preJobScript", json_string(options->before_script));
  if (options->after_script != NULL)
    hf_json_put(scripts, "jobScripts.postJobScript", json_string(options->after_script));
  if (options->script_user != NULL)
    hf_json_put(scripts, "user", json_string(options->script_user));
  if (options->script_timeout > 0)
    hf_json_put(scripts, "timeoutSeconds", json_integer((json_int_t)options->script_timeout));
  hf_json_put(scripts, "isExecutionEnabled", json_true());
  hf_json_put(job, "guestProcessing.appAwareProcessing.isEnabled", json_true());
  hf_json_put(job, "guestProcessing.appAwareProcessing.appSettings", json_pack("[{s:o}]", "scripts", scripts));
}

/* ---- When it runs. ---- */

gboolean hf_jobspec_period(const char *text, guint64 *frequency, const char **unit, GError **error)
{
  gsize length = strlen(text);
  char last = length > 0 ? text[length - 1] : '\0';
  if (last != 'm' && last != 'h')
    return hf_fail(error, HF_ERROR_USAGE, "'%s' of '--every' is no period; write minutes or hours, as in 30m or 6h",
                   text);
  g_autofree char *digits = g_strndup(text, length - 1);
  *unit = last == 'h' ? "Hours" : "Minutes";
  return hf_parse_number("--every", digits, 1, last == 'h' ? 24 : 1440, frequency, error);
}

gboolean hf_jobspec_clock(const char *text, GError **error)
{
  gboolean right = strlen(text) == 5 && text[2] == ':' && g_ascii_isdigit(text[0]) && g_ascii_isdigit(text[1]) &&
                   g_ascii_isdigit(text[3]) && g_ascii_isdigit(text[4]) && g_ascii_strtoull(text, NULL, 10) < 24 &&
                   text[3] < '6';
  return right || hf_fail(error, HF_ERROR_USAGE, "'%s' of '--daily' is no time of day; write HH:MM, as in 22:00", text);
}

/* One way at a time: what the job had before is turned off. */
static void begin_schedule(json_t *job)
{
  static const char *const ways[] = { "daily", "monthly", "periodically", "continuously", "afterThisJob" };
  json_t *schedule = json_object_get(job, "schedule");
  for (guint i = 0; i < G_N_ELEMENTS(ways); i++)
    if (json_is_object(schedule))
      json_object_del(schedule, ways[i]);
  hf_json_put(job, "schedule.runAutomatically", json_true());
}

/* mon, tuesday, ... as the interface writes it; NULL when it is no day. */
static const char *day_name(const char *text)
{
  static const char *const days[] = { "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday" };
  for (guint i = 0; i < G_N_ELEMENTS(days) && strlen(text) >= 2; i++)
    if (g_ascii_strncasecmp(days[i], text, strlen(text)) == 0)
      return days[i];
  return NULL;
}

static gboolean apply_daily(const HfOptions *options, json_t *job, GError **error)
{
  if (!hf_jobspec_clock(options->daily, error))
    return FALSE;
  json_t *days = json_array();
  for (guint i = 0; options->days[i] != NULL; i++) {
    const char *day = day_name(options->days[i]);
    if (day == NULL) {
      json_decref(days);
      return hf_fail(error, HF_ERROR_USAGE, "'%s' of '--day' is no day of the week", options->days[i]);
    }
    json_array_append_new(days, json_string(day));
  }
  begin_schedule(job);
  hf_json_put(job, "schedule.daily",
              json_pack("{s:b, s:s, s:s}", "isEnabled", TRUE, "localTime", options->daily, "dailyKind",
                        json_array_size(days) > 0 ? "SelectedDays" : "Everyday"));
  if (json_array_size(days) > 0)
    hf_json_put(job, "schedule.daily.days", days);
  else
    json_decref(days);
  return TRUE;
}

static gboolean apply_schedule(HfFleet *fleet, const HfOptions *options, json_t *job, GError **error)
{
  guint64 frequency = 0;
  const char *unit = NULL;
  if (options->days[0] != NULL && options->daily == NULL)
    return hf_fail(error, HF_ERROR_USAGE, "'--day' says on which days '--daily' runs; give that too");
  if (options->daily != NULL && !apply_daily(options, job, error))
    return FALSE;
  if (options->every != NULL) {
    if (!hf_jobspec_period(options->every, &frequency, &unit, error))
      return FALSE;
    begin_schedule(job);
    hf_json_put(
      job, "schedule.periodically",
      json_pack("{s:b, s:s, s:I}", "isEnabled", TRUE, "periodicallyKind", unit, "frequency", (json_int_t)frequency));
  }
  if (options->after != NULL) {
    hf_autojson json_t *other = hf_fleet_find(fleet, &hf_fleet_job, options->after, error);
    if (other == NULL)
      return FALSE;
    begin_schedule(job);
    hf_json_put(job, "schedule.afterThisJob",
                json_pack("{s:b, s:s}", "isEnabled", TRUE, "jobName", hf_json_text(other, "name")));
  }
  if (options->manual) {
    begin_schedule(job);
    hf_json_put(job, "schedule.runAutomatically", json_false());
  }
  if (options->retries > 0)
    hf_json_put(job, "schedule.retry",
                json_pack("{s:b, s:I, s:I}", "isEnabled", TRUE, "retryCount", (json_int_t)options->retries,
                          "awaitMinutes", (json_int_t)options->retry_wait));
  if (is_copy(job) && json_object_get(job, "schedule") != NULL) {
    gboolean clock = options->daily != NULL || options->every != NULL || options->after != NULL || options->manual;
    if (clock)
      hf_json_put(job, "mode", json_string("Periodic"));
    hf_json_put(job, "schedule.type", json_string(hf_json_text(job, "mode")));
  }
  return TRUE;
}

/* ---- How long points are kept. ---- */

static void apply_gfs(json_t *job, const char *part, const char *count_key, guint64 count)
{
  if (count == 0)
    return;
  g_autofree char *path = g_strdup_printf("gfsPolicy.%s", part);
  put_storage(job, "gfsPolicy.isEnabled", json_true());
  put_storage(job, path, json_pack("{s:b, s:I}", "isEnabled", TRUE, count_key, (json_int_t)count));
}

static void apply_retention(const HfOptions *options, json_t *job)
{
  guint64 quantity = options->keep_points > 0 ? options->keep_points : options->keep_days;
  if (quantity > 0)
    put_storage(job, "retentionPolicy",
                json_pack("{s:s, s:I}", "type", options->keep_points > 0 ? "RestorePoints" : "Days", "quantity",
                          (json_int_t)quantity));
  apply_gfs(job, "weekly", "keepForNumberOfWeeks", options->weekly);
  apply_gfs(job, "monthly", "keepForNumberOfMonths", options->monthly);
  apply_gfs(job, "yearly", "keepForNumberOfYears", options->yearly);
}

/* ---- The whole. ---- */

static gboolean apply_copy_sources(HfFleet *fleet, const HfOptions *options, json_t *job, GError **error)
{
  json_t *jobs = json_array();
  for (guint i = 0; options->copy_of[i] != NULL; i++) {
    g_autofree char *id = hf_fleet_id(fleet, &hf_fleet_job, options->copy_of[i], error);
    if (id == NULL) {
      json_decref(jobs);
      return FALSE;
    }
    json_array_append_new(jobs, json_pack("{s:s}", "id", id));
  }
  hf_json_put(job, "sourceObjects.includes.jobs", jobs);
  return TRUE;
}

gboolean hf_jobspec_apply(HfFleet *fleet, const HfOptions *options, json_t *job, GError **error)
{
  gboolean reads =
    options->hosts[0] != NULL || options->paths[0] != NULL || options->devices[0] != NULL || options->entire;
  if (is_copy(job) && reads)
    return hf_fail(error, HF_ERROR_USAGE,
                   "a copy job reads no hosts; leave '--host', '--path', '--device' and '--entire' "
                   "out");
  if (options->copy_of[0] != NULL && (!is_copy(job) || !apply_copy_sources(fleet, options, job, error)))
    return is_copy(job) ? FALSE : hf_fail(error, HF_ERROR_USAGE, "a job that backs up cannot become a copy job");
  if (options->description != NULL)
    hf_json_put(job, "description", json_string(options->description));
  if (options->to_repository != NULL) {
    g_autofree char *id = hf_fleet_id(fleet, &hf_fleet_repository, options->to_repository, error);
    if (id == NULL)
      return FALSE;
    put_storage(job, "backupRepositoryId", json_string(id));
  }
  if (options->compress != NULL)
    put_storage(job, "advancedSettings.storageData.compressionLevel", json_string(options->compress));
  apply_retention(options, job);
  apply_scripts(options, job);
  return (!reads || apply_source(fleet, options, job, error)) && apply_schedule(fleet, options, job, error);
}

json_t *hf_jobspec_new(HfFleet *fleet, const HfOptions *options, GError **error)
{
  gboolean copy = options->copy_of[0] != NULL;
  gboolean reads = options->paths[0] != NULL || options->devices[0] != NULL || options->entire;
  if (!copy && (options->hosts[0] == NULL || !reads)) {
    hf_fail(error, HF_ERROR_USAGE,
            "'job create' needs '--host' with '--path', '--device' or '--entire', or '--copy-of'");
    return NULL;
  }
  json_t *job = json_pack("{s:s}", "type", copy ? COPY : BACKUP);
  if (copy)
    hf_json_put(job, "mode", json_string("Immediate"));
  if (hf_jobspec_apply(fleet, options, job, error))
    return job;
  json_decref(job);
  return NULL;
}
