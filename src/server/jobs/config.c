/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "server/jobs/config.h"

#include <jansson.h>
#include <string.h>

#include "base/error.h"

#define HOOK_TIMEOUT 600u
#define NUMBER_MAX 100000

static void object_free(gpointer data)
{
  HfJobObject *object = data;
  g_free(object->host_id);
  g_free(object->name);
  g_ptr_array_unref(object->paths);
  g_ptr_array_unref(object->excludes);
  g_free(object);
}

void hf_job_config_free(HfJobConfig *config)
{
  if (config == NULL)
    return;
  g_ptr_array_unref(config->objects);
  g_ptr_array_unref(config->source_jobs);
  g_ptr_array_unref(config->source_repositories);
  g_ptr_array_unref(config->source_backups);
  g_free(config->before);
  g_free(config->after);
  g_free(config->hook_before);
  g_free(config->hook_after);
  g_free(config->hook_user);
  g_free(config);
}

static gboolean fail_key(const char *key, const char *wanted, GError **error)
{
  return hf_fail(error, HF_ERROR_USAGE, "the job's config is wrong: '%s' must be %s", key, wanted);
}

/* ---- Members: missing ones leave what is there. ---- */

static gboolean take_text(const json_t *from, const char *key, char **out, GError **error)
{
  const json_t *value = json_object_get(from, key);
  if (value == NULL || json_is_null(value))
    return TRUE;
  if (!json_is_string(value))
    return fail_key(key, "a text", error);
  if (*json_string_value(value) != '\0') {
    g_free(*out);
    *out = g_strdup(json_string_value(value));
  }
  return TRUE;
}

static gboolean take_bool(const json_t *from, const char *key, gboolean *out, GError **error)
{
  const json_t *value = json_object_get(from, key);
  if (value == NULL || json_is_null(value))
    return TRUE;
  *out = json_is_true(value);
  return json_is_boolean(value) || fail_key(key, "true or false", error);
}

static gboolean take_number(const json_t *from, const char *key, guint *out, GError **error)
{
  const json_t *value = json_object_get(from, key);
  if (value == NULL || json_is_null(value))
    return TRUE;
  json_int_t number = json_integer_value(value);
  if (!json_is_integer(value) || number < 0 || number > NUMBER_MAX)
    return fail_key(key, "a number from 0 to 100000", error);
  *out = (guint)number;
  return TRUE;
}

static gboolean take_list(const json_t *from, const char *key, GPtrArray *out, GError **error)
{
  const json_t *list = json_object_get(from, key);
  if (list == NULL || json_is_null(list))
    return TRUE;
  if (!json_is_array(list))
    return fail_key(key, "a list of texts", error);
  for (gsize i = 0; i < json_array_size(list); i++) {
    const json_t *value = json_array_get(list, i);
    if (!json_is_string(value))
      return fail_key(key, "a list of texts", error);
    g_ptr_array_add(out, g_strdup(json_string_value(value)));
  }
  return TRUE;
}

/* The object at `key`; NULL without an error when it is missing. */
static const json_t *get_object(const json_t *from, const char *key, gboolean *good, GError **error)
{
  const json_t *value = json_object_get(from, key);
  if (value == NULL || json_is_null(value))
    return NULL;
  if (json_is_object(value))
    return value;
  *good = fail_key(key, "an object", error);
  return NULL;
}

/* ---- Objects. ---- */

static gboolean check_paths(const GPtrArray *paths, GError **error)
{
  for (guint i = 0; i < paths->len; i++)
    if (*(const char *)paths->pdata[i] != '/')
      return hf_fail(error, HF_ERROR_USAGE, "the job's config is wrong: path '%s' is not absolute",
                     (const char *)paths->pdata[i]);
  return TRUE;
}

static gboolean take_object(HfJobConfig *config, const json_t *from, const char *mode, GError **error)
{
  HfJobObject *object = g_new0(HfJobObject, 1);
  object->paths = g_ptr_array_new_with_free_func(g_free);
  object->excludes = g_ptr_array_new_with_free_func(g_free);
  g_ptr_array_add(config->objects, object);
  object->disks = g_str_equal(mode, "Volumes");
  object->entire = g_str_equal(mode, "EntireComputer");
  if (!take_text(from, "host", &object->host_id, error) || !take_text(from, "name", &object->name, error) ||
      !take_list(from, object->disks ? "devices" : "paths", object->paths, error) ||
      !take_list(from, "excludes", object->excludes, error))
    return FALSE;
  if (object->entire) {
    g_ptr_array_set_size(object->paths, 0);
    g_ptr_array_add(object->paths, g_strdup("/"));
  }
  if (object->host_id == NULL)
    return fail_key("host", "the id of a host", error);
  if (object->paths->len == 0)
    return fail_key(object->disks ? "devices" : "paths", "a list that is not empty", error);
  return check_paths(object->paths, error);
}

static gboolean take_objects(HfJobConfig *config, const json_t *root, GError **error)
{
  g_autofree char *mode = g_strdup("FileLevel");
  const json_t *list = json_object_get(root, "objects");
  if (!take_text(root, "mode", &mode, error))
    return FALSE;
  if (!g_str_equal(mode, "FileLevel") && !g_str_equal(mode, "Volumes") && !g_str_equal(mode, "EntireComputer"))
    return fail_key("mode", "FileLevel, Volumes or EntireComputer", error);
  if (list != NULL && !json_is_array(list))
    return fail_key("objects", "a list", error);
  for (gsize i = 0; i < json_array_size(list); i++)
    if (!take_object(config, json_array_get(list, i), mode, error))
      return FALSE;
  return TRUE;
}

/* ---- The rest. ---- */

static gboolean take_retention(HfJobConfig *config, const json_t *root, GError **error)
{
  gboolean good = TRUE;
  const json_t *retention = get_object(root, "retention", &good, error);
  const json_t *gfs = good ? get_object(root, "gfs", &good, error) : NULL;
  return good && take_number(retention, "points", &config->keep_points, error) &&
    take_number(retention, "days", &config->keep_days, error) &&
    take_number(gfs, "weekly", &config->keep_weekly, error) &&
    take_number(gfs, "monthly", &config->keep_monthly, error) &&
    take_number(gfs, "yearly", &config->keep_yearly, error);
}

static gboolean take_scripts(HfJobConfig *config, const json_t *root, GError **error)
{
  gboolean good = TRUE;
  const json_t *scripts = get_object(root, "scripts", &good, error);
  const json_t *hooks = good ? get_object(root, "hooks", &good, error) : NULL;
  return good && take_text(scripts, "before", &config->before, error) &&
    take_text(scripts, "after", &config->after, error) && take_text(hooks, "before", &config->hook_before, error) &&
    take_text(hooks, "after", &config->hook_after, error) && take_text(hooks, "user", &config->hook_user, error) &&
    take_number(hooks, "timeout", &config->hook_timeout, error) &&
    take_bool(hooks, "required", &config->hook_required, error);
}

static gboolean take_sources(HfJobConfig *config, const json_t *root, GError **error)
{
  gboolean good = TRUE;
  const json_t *sources = get_object(root, "sources", &good, error);
  const json_t *mode = json_object_get(root, "mode");
  config->immediate = json_is_string(mode) && g_str_equal(json_string_value(mode), "Immediate");
  return good && take_list(sources, "jobs", config->source_jobs, error) &&
    take_list(sources, "repositories", config->source_repositories, error) &&
    take_list(sources, "backups", config->source_backups, error);
}

HfJobConfig *hf_job_config_parse(const char *json, GError **error)
{
  json_error_t why;
  json_t *root = json_loads(json, JSON_REJECT_DUPLICATES, &why);
  if (!json_is_object(root)) {
    json_decref(root);
    hf_fail(error, HF_ERROR_USAGE, "the job's config is not a JSON object: %s", why.text);
    return NULL;
  }
  g_autoptr(HfJobConfig) config = g_new0(HfJobConfig, 1);
  config->objects = g_ptr_array_new_with_free_func(object_free);
  config->source_jobs = g_ptr_array_new_with_free_func(g_free);
  config->source_repositories = g_ptr_array_new_with_free_func(g_free);
  config->source_backups = g_ptr_array_new_with_free_func(g_free);
  config->snapshot = TRUE;
  config->hook_timeout = HOOK_TIMEOUT;
  config->hook_required = TRUE;
  gboolean copies = json_object_get(root, "sources") != NULL;
  gboolean good = (copies ? take_sources(config, root, error) : take_objects(config, root, error)) &&
    take_bool(root, "snapshot", &config->snapshot, error) &&
    take_number(root, "freeze", &config->freeze, error) && take_retention(config, root, error) &&
    take_scripts(config, root, error);
  json_decref(root);
  return good ? g_steal_pointer(&config) : NULL;
}

char *hf_job_object_label(const char *job_name, const HfJobObject *object)
{
  return g_strdup_printf("%s %s", object->name != NULL ? object->name : object->host_id, job_name);
}
