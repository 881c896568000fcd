/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "api/jobs_map.h"

#include <string.h>

#include "api/routes.gen.h"
#include "server/inventory/hosts.h"
#include "server/schedule/schedule.h"

#define COPY "BackupCopy"

/* ---- From the body ---- */

/* A reference more to what is at `path`, under `name`; nothing when it is not there. */
static void keep(json_t *to, const char *name, json_t *value)
{
  if (value != NULL)
    json_object_set(to, name, value);
}

static void put(json_t *to, const char *name, json_t *value)
{
  if (value != NULL && (!json_is_object(value) || json_object_size(value) > 0))
    json_object_set_new(to, name, value);
  else
    json_decref(value);
}

static json_t *retention_of(json_t *policy)
{
  json_t *result = json_object();
  const char *type = hf_api_text_at(policy, "type");
  if (type != NULL)
    json_object_set(result, strcmp(type, "Days") == 0 ? "days" : "points", hf_api_at(policy, "quantity"));
  return result;
}

static json_t *gfs_of(json_t *policy)
{
  static const struct {
    const char *name, *enabled, *count;
  } parts[] = {
    { "weekly", "weekly.isEnabled", "weekly.keepForNumberOfWeeks" },
    { "monthly", "monthly.isEnabled", "monthly.keepForNumberOfMonths" },
    { "yearly", "yearly.isEnabled", "yearly.keepForNumberOfYears" },
  };
  json_t *result = json_object();
  for (guint i = 0; hf_api_bool_at(policy, "isEnabled", FALSE) && i < G_N_ELEMENTS(parts); i++)
    if (hf_api_bool_at(policy, parts[i].enabled, FALSE))
      json_object_set_new(result, parts[i].name, json_integer(hf_api_int_at(policy, parts[i].count, 1)));
  return result;
}

static json_t *scripts_of(json_t *scripts)
{
  json_t *result = json_object();
  if (hf_api_bool_at(scripts, "preCommand.isEnabled", FALSE))
    keep(result, "before", hf_api_at(scripts, "preCommand.command"));
  if (hf_api_bool_at(scripts, "postCommand.isEnabled", FALSE))
    keep(result, "after", hf_api_at(scripts, "postCommand.command"));
  return result;
}

/* Scripts of the first machine that has some: they are the same for all hosts of a job. */
static json_t *hooks_of(json_t *processing)
{
  json_t *result = json_object();
  json_t *settings = hf_api_at(processing, "appAwareProcessing.appSettings");
  json_t *scripts = hf_api_at(json_array_get(settings, 0), "scripts");
  if (!hf_api_bool_at(processing, "appAwareProcessing.isEnabled", FALSE) || scripts == NULL ||
      !hf_api_bool_at(scripts, "isExecutionEnabled", TRUE))
    return result;
  keep(result, "before", hf_api_at(scripts, "jobScripts.preJobScript"));
  keep(result, "before", hf_api_at(scripts, "snapshotScripts.preFreezeScript"));
  keep(result, "after", hf_api_at(scripts, "jobScripts.postJobScript"));
  keep(result, "after", hf_api_at(scripts, "snapshotScripts.postThawScript"));
  keep(result, "user", hf_api_at(scripts, "user"));
  keep(result, "timeout", hf_api_at(scripts, "timeoutSeconds"));
  keep(result, "required", hf_api_at(scripts, "isRequired"));
  return result;
}

static gboolean check_hooks(json_t *hooks, GError **error)
{
  const char *key;
  json_t *value;
  json_object_foreach(hooks, key, value)
  {
    gboolean script = strcmp(key, "before") == 0 || strcmp(key, "after") == 0;
    if (script && json_string_value(value)[0] != '/')
      return hf_fail(error, HF_ERROR_USAGE, "script '%s' must be an absolute path on the host",
                     json_string_value(value));
  }
  return TRUE;
}

/* Every text of a list is an absolute path, and there is one. */
static gboolean check_paths(json_t *paths, const char *what, const char *host, GError **error)
{
  size_t index;
  json_t *path;
  json_array_foreach(paths, index, path)
  {
    if (json_string_value(path)[0] != '/')
      return hf_fail(error, HF_ERROR_USAGE, "'%s' is no absolute path; %s of a job are absolute",
                     json_string_value(path), what);
  }
  return json_array_size(paths) > 0 || hf_fail(error, HF_ERROR_USAGE, "host '%s' has no %s to back up", host, what);
}

static json_t *volume_paths(json_t *body)
{
  json_t *result = json_array(), *volume;
  size_t index;
  json_array_foreach(hf_api_at(body, "volumes.volumeObject"), index, volume)
  {
    json_array_append(result, hf_api_at(volume, "path"));
  }
  return result;
}

/* One host of the job: its own paths, or those that all share. */
static gboolean fill_object(json_t *object, json_t *computer, json_t *body, const char *mode, GError **error)
{
  const char *name = hf_api_text_at(object, "name");
  json_t *own = hf_api_at(computer, "excludes");
  keep(object, "excludes", own != NULL ? own : hf_api_at(body, "files.advancedSettings.excludeMasks"));
  if (strcmp(mode, "FileLevel") == 0) {
    own = hf_api_at(computer, "paths");
    keep(object, "paths", own != NULL ? own : hf_api_at(body, "files.customFiles"));
    return check_paths(hf_api_at(object, "paths"), "paths", name, error);
  }
  if (strcmp(mode, "Volumes") == 0) {
    own = hf_api_at(computer, "devices");
    put(object, "devices", own != NULL ? json_incref(own) : volume_paths(body));
    return check_paths(hf_api_at(object, "devices"), "devices", name, error);
  }
  return TRUE;
}

static gboolean objects_of(HfApiCall *call, json_t *body, json_t *objects, GPtrArray *hosts, GError **error)
{
  const char *mode = hf_api_text_at(body, "backupMode");
  json_t *computer;
  size_t index;
  json_array_foreach(hf_api_at(body, "computers"), index, computer)
  {
    g_autoptr(HfHostRow) host = hf_inv_host_get(hf_api_inventory(call), hf_api_text_at(computer, "id"), error);
    if (host == NULL)
      return FALSE;
    json_t *object = json_pack("{s:s, s:s}", "host", host->id, "name", host->name);
    json_array_append_new(objects, object);
    if (!fill_object(object, computer, body, mode, error))
      return FALSE;
    if (!g_ptr_array_find_with_equal_func(hosts, host->id, g_str_equal, NULL))
      g_ptr_array_add(hosts, g_strdup(host->id));
  }
  return json_array_size(objects) > 0 || hf_fail(error, HF_ERROR_USAGE, "'computers' is empty");
}

/* What clients gave, to be shown to them again. */
static json_t *interface_of(json_t *body, const char *const *names)
{
  json_t *result = json_object();
  for (; *names != NULL; names++)
    keep(result, *names, hf_api_at(body, *names));
  return result;
}

static gboolean agent_config(HfApiCall *call, json_t *body, json_t *config, GPtrArray *hosts, GError **error)
{
  static const char *const shown[] = { "agentType", "files", "volumes", "storage", "guestProcessing", NULL };
  json_t *objects = json_array(), *storage = hf_api_at(body, "storage");
  json_object_set_new(config, "objects", objects);
  keep(config, "mode", hf_api_at(body, "backupMode"));
  json_object_set_new(config, "snapshot", json_boolean(!hf_api_bool_at(body, "useSnapshotlessFileLevelBackup", FALSE)));
  keep(config, "freeze", hf_api_at(body, "freezeSeconds"));
  put(config, "retention", retention_of(hf_api_at(storage, "retentionPolicy")));
  put(config, "gfs", gfs_of(hf_api_at(storage, "gfsPolicy")));
  put(config, "scripts", scripts_of(hf_api_at(storage, "advancedSettings.scripts")));
  put(config, "hooks", hooks_of(hf_api_at(body, "guestProcessing")));
  keep(config, "compression", hf_api_at(storage, "advancedSettings.storageData.compressionLevel"));
  put(config, "interface", interface_of(body, shown));
  return objects_of(call, body, objects, hosts, error) && check_hooks(hf_api_at(config, "hooks"), error);
}

static gboolean source_ids(HfApiCall *call, json_t *list, const HfApiView *view, json_t *to, GError **error)
{
  json_t *item;
  size_t index;
  json_array_foreach(list, index, item)
  {
    if (!hf_api_exists(call, view, hf_api_text_at(item, "id"), error))
      return FALSE;
    json_array_append(to, hf_api_at(item, "id"));
  }
  return TRUE;
}

static gboolean copy_config(HfApiCall *call, json_t *body, json_t *config, GError **error)
{
  static const char *const shown[] = { "target", "schedule", NULL };
  json_t *includes = hf_api_at(body, "sourceObjects.includes"), *target = hf_api_at(body, "target");
  json_t *sources = json_object();
  json_t *jobs = json_array(), *repositories = json_array(), *backups = json_array();
  json_object_set_new(config, "sources", sources);
  json_object_set_new(sources, "jobs", jobs);
  json_object_set_new(sources, "repositories", repositories);
  json_object_set_new(sources, "backups", backups);
  keep(config, "mode", hf_api_at(body, "mode"));
  put(config, "retention", retention_of(hf_api_at(target, "retentionPolicy")));
  put(config, "gfs", gfs_of(hf_api_at(target, "gfsPolicy")));
  put(config, "scripts", scripts_of(hf_api_at(target, "advancedSettings.scripts")));
  put(config, "interface", interface_of(body, shown));
  if (!source_ids(call, hf_api_at(includes, "jobs"), &hf_api_view_job, jobs, error) ||
      !source_ids(call, hf_api_at(includes, "repositories"), &hf_api_view_repository, repositories, error) ||
      !source_ids(call, hf_api_at(includes, "backups"), &hf_api_view_backup, backups, error))
    return FALSE;
  return json_array_size(jobs) + json_array_size(repositories) + json_array_size(backups) > 0 ||
         hf_fail(error, HF_ERROR_USAGE, "'sourceObjects.includes' is empty");
}

/* A copy's schedule is kept as a job's; copies that follow their sources run by no clock. */
static char *schedule_of(json_t *body, gboolean copy)
{
  json_t *schedule = hf_api_at(body, "schedule");
  const char *type = hf_api_text_at(schedule, "type");
  if (schedule == NULL || (copy && g_strcmp0(type, "Periodic") != 0))
    return g_strdup("{}");
  json_t *kept = json_copy(schedule);
  json_object_del(kept, "type");
  json_object_del(kept, "scheduleMode");
  if (copy && json_object_get(kept, "runAutomatically") == NULL)
    json_object_set_new(kept, "runAutomatically", json_true());
  char *text = json_dumps(kept, JSON_COMPACT);
  json_decref(kept);
  return text;
}

static void replace(char **text, char *with)
{
  g_free(*text);
  *text = with;
}

gboolean hf_api_job_from_body(HfApiCall *call, json_t *body, HfJobRow *row, GPtrArray *hosts, GError **error)
{
  const char *type = hf_api_text_at(body, "type"), *description = hf_api_text_at(body, "description");
  gboolean copy = strcmp(type, COPY) == 0;
  const char *repository = hf_api_text_at(body, copy ? "target.backupRepositoryId" : "storage.backupRepositoryId");
  if (repository == NULL || strcmp(repository, HF_API_NO_ID) == 0)
    return hf_fail(error, HF_ERROR_USAGE, "'%s.backupRepositoryId' is missing", copy ? "target" : "storage");
  if (!hf_api_exists(call, &hf_api_view_repository, repository, error))
    return FALSE;
  json_t *config = json_object();
  gboolean done = copy ? copy_config(call, body, config, error) : agent_config(call, body, config, hosts, error);
  if (done) {
    replace(&row->name, g_strdup(hf_api_text_at(body, "name")));
    if (description != NULL || row->description == NULL)
      replace(&row->description, g_strdup(description != NULL ? description : ""));
    replace(&row->type, g_strdup(type));
    row->high_priority = hf_api_bool_at(body, "isHighPriority", row->high_priority);
    replace(&row->repository_id, g_strdup(repository));
    replace(&row->config, json_dumps(config, JSON_COMPACT));
    replace(&row->schedule, schedule_of(body, copy));
    json_t *counted = hf_api_at(config, copy ? "sources.jobs" : "objects");
    row->objects_count = (gint64)MAX(json_array_size(counted), 1);
  }
  json_decref(config);
  return done;
}

/* ---- To the answer ---- */

static void out_json(HfApiOut *out, const char *key, json_t *value)
{
  if (value == NULL)
    return;
  char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
  hf_api_out_key(out, key);
  hf_api_out_raw(out, text);
  free(text);
}

static void out_computer(HfApiOut *out, json_t *object)
{
  hf_api_out_open(out, '{');
  hf_api_out_pair(out, "platform", "Agent");
  hf_api_out_pair(out, "id", hf_api_text_at(object, "host"));
  hf_api_out_pair(out, "name", hf_api_text_at(object, "name"));
  hf_api_out_pair(out, "type", "LinuxComputer");
  hf_api_out_pair(out, "protectionGroupId", HF_API_NO_ID);
  out_json(out, "paths", hf_api_at(object, "paths"));
  out_json(out, "excludes", hf_api_at(object, "excludes"));
  out_json(out, "devices", hf_api_at(object, "devices"));
  hf_api_out_close(out, '}');
}

static void out_agent(HfApiOut *out, json_t *config, json_t *schedule, const char *repository_id)
{
  json_t *object, *storage = json_object(), *interface = hf_api_at(config, "interface");
  size_t index;
  if (hf_api_at(interface, "storage") != NULL)
    json_object_update(storage, hf_api_at(interface, "storage"));
  if (repository_id != NULL)
    json_object_set_new(storage, "backupRepositoryId", json_string(repository_id));
  hf_api_out_key(out, "computers");
  hf_api_out_open(out, '[');
  json_array_foreach(hf_api_at(config, "objects"), index, object)
  {
    out_computer(out, object);
  }
  hf_api_out_close(out, ']');
  const char *mode = hf_api_text_at(config, "mode");
  hf_api_out_pair(out, "backupMode", mode != NULL ? mode : "FileLevel");
  hf_api_out_pair_bool(out, "useSnapshotlessFileLevelBackup", !hf_api_bool_at(config, "snapshot", TRUE));
  out_json(out, "freezeSeconds", hf_api_at(config, "freeze"));
  out_json(out, "agentType", hf_api_at(interface, "agentType"));
  out_json(out, "files", hf_api_at(interface, "files"));
  out_json(out, "volumes", hf_api_at(interface, "volumes"));
  out_json(out, "storage", storage);
  out_json(out, "guestProcessing", hf_api_at(interface, "guestProcessing"));
  if (json_object_get(schedule, "runAutomatically") != NULL)
    out_json(out, "schedule", schedule);
  json_decref(storage);
}

static void out_references(HfApiOut *out, const char *key, json_t *ids)
{
  json_t *id;
  size_t index;
  hf_api_out_key(out, key);
  hf_api_out_open(out, '[');
  json_array_foreach(ids, index, id)
  {
    hf_api_out_open(out, '{');
    hf_api_out_pair(out, "id", json_string_value(id));
    hf_api_out_close(out, '}');
  }
  hf_api_out_close(out, ']');
}

static void out_copy(HfApiOut *out, json_t *config)
{
  const char *mode = hf_api_text_at(config, "mode");
  hf_api_out_pair(out, "mode", mode != NULL ? mode : "Periodic");
  hf_api_out_key(out, "sourceObjects");
  hf_api_out_open(out, '{');
  hf_api_out_key(out, "includes");
  hf_api_out_open(out, '{');
  out_references(out, "jobs", hf_api_at(config, "sources.jobs"));
  out_references(out, "repositories", hf_api_at(config, "sources.repositories"));
  out_references(out, "backups", hf_api_at(config, "sources.backups"));
  hf_api_out_close(out, '}');
  hf_api_out_close(out, '}');
  out_json(out, "target", hf_api_at(config, "interface.target"));
  out_json(out, "schedule", hf_api_at(config, "interface.schedule"));
}

gboolean hf_api_job_to_out(HfApiOut *out, const char *type, const char *config, const char *schedule,
                           const char *repository_id, GError **error)
{
  json_t *parsed = json_loads(config, 0, NULL), *when = json_loads(schedule, 0, NULL);
  gboolean done = parsed != NULL && when != NULL;
  if (!done)
    hf_fail(error, HF_ERROR_DAMAGED, "the config of a job in the database is no JSON");
  else if (strcmp(type, COPY) == 0)
    out_copy(out, parsed);
  else
    out_agent(out, parsed, when, repository_id);
  json_decref(parsed);
  json_decref(when);
  return done;
}
