/* SPDX-License-Identifier: GPL-3.0-or-later */
/* restore at a server: a mount of the point, and what of it goes where. */
#include <string.h>

#include "base/error.h"
#include "cli/fleet.h"

/* Options that only speak of a repository that is opened here. */
static gboolean check_options(const HfOptions *options, GError **error)
{
  const struct {
    const char *name;
    gboolean given;
  } local[] = {
    { "--disk-to", options->disk_to != NULL },   { "--full-path", options->full_path },
    { "--limit", options->limit > 0 },           { "--password-file", options->password_file != NULL },
    { "--key-file", options->key_file != NULL }, { "--password-command", options->password_command != NULL },
  };
  for (guint i = 0; i < G_N_ELEMENTS(local); i++)
    if (local[i].given)
      return hf_fail(error, HF_ERROR_USAGE,
                     "'%s' is for a repository that is opened here; give '--repository REPO' with "
                     "it, or leave it out",
                     local[i].name);
  if (options->to != NULL && strchr(options->to, '/') != NULL)
    return hf_fail(error, HF_ERROR_USAGE,
                   "'%s' is no host; at a server '--to' names the host, and '--target' the folder "
                   "there",
                   options->to);
  return options->target == NULL || g_path_is_absolute(options->target) ||
         hf_fail(error, HF_ERROR_USAGE, "'%s' of '--target' is no absolute path on the host", options->target);
}

/* What is restored: arguments and --path alike; all of it when nothing is named. NULL with an error. */
static json_t *paths_of(const HfOptions *options, GError **error)
{
  json_t *paths = json_array();
  char *const *lists[] = { options->paths, options->only };
  for (guint l = 0; l < G_N_ELEMENTS(lists); l++)
    for (guint i = 0; lists[l][i] != NULL; i++) {
      if (!g_path_is_absolute(lists[l][i]) || !g_utf8_validate(lists[l][i], -1, NULL)) {
        hf_fail(error, HF_ERROR_USAGE, "'%s' is no absolute path in UTF-8; write it as it was saved", lists[l][i]);
        json_decref(paths);
        return NULL;
      }
      json_array_append_new(paths, json_string(lists[l][i]));
    }
  if (json_array_size(paths) == 0)
    json_array_append_new(paths, json_string("/"));
  return paths;
}

static gboolean start(HfFleet *fleet, const HfOptions *options, const char *mount, json_t *paths, json_t **task,
                      GError **error)
{
  g_autofree char *host = options->to == NULL ? NULL : hf_fleet_id(fleet, &hf_fleet_host, options->to, error);
  if (options->to != NULL && host == NULL)
    return FALSE;
  g_autofree char *path = hf_fleet_path(
    host != NULL ? "/api/v1/backupBrowser/flr/%s/restoreTo" : "/api/v1/backupBrowser/flr/%s/restore", mount);
  json_t *body = json_pack("{s:O, s:s}", "sourcePath", paths, "restoreType", options->overwrite ? "Overwrite" : "Keep");
  if (host != NULL)
    hf_json_put(body, "targetHost", json_pack("{s:s, s:s}", "type", "Agent", "protectedComputerId", host));
  if (options->target != NULL || host != NULL)
    hf_json_put(body, "targetPath", json_string(options->target != NULL ? options->target : ""));
  return hf_fleet_ask(fleet, "POST", path, body, task, error);
}

gboolean hf_fleet_restore(const HfOptions *options, HfCli *cli, GError **error)
{
  g_auto(HfFleet) fleet = { 0 };
  if (!check_options(options, error))
    return FALSE;
  hf_autojson json_t *paths = paths_of(options, error), *task = NULL;
  if (paths == NULL)
    return FALSE;
  if (!hf_fleet_open(&fleet, options, cli, error)) {
    if (error != NULL && hf_error_is(*error, HF_ERROR_NOT_FOUND))
      g_prefix_error(error,
                     "'restore' needs '--repository REPO' (or HOLDFAST_REPOSITORY) for a repository that is opened "
                     "here, or a login at a server: ");
    return FALSE;
  }
  hf_autojson json_t *point = hf_fleet_point(&fleet, options->point, options->job, error);
  if (point == NULL)
    return FALSE;
  g_autofree char *mount = hf_fleet_mount(&fleet, hf_json_text(point, "id"), "holdfast restore", error);
  if (mount == NULL)
    return FALSE;
  gboolean done =
    start(&fleet, options, mount, paths, &task, error) && hf_fleet_started(&fleet, task, options->follow, error);
  hf_fleet_unmount(&fleet, mount);
  return done;
}
