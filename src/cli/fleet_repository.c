/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The verbs repository list, show, add, change, remove and rescan. */
#include <string.h>

#include "base/error.h"
#include "cli/fleet.h"

#define STATES "/api/v1/backupInfrastructure/repositories/states"
#define MEGABYTE 1000000u
#define HARDENED "LinuxHardened"

gboolean hf_verb_repository_list(const HfOptions *options, HfCli *cli, GError **error)
{
  static const HfFleetColumn columns[] = {
    { { .title = "NAME", .shrink = TRUE }, "name", HF_CELL_TEXT },
    { { .title = "TYPE" }, "type", HF_CELL_TEXT },
    { { .title = "HOST", .shrink = TRUE }, "hostName", HF_CELL_TEXT },
    { { .title = "PATH", .shrink = TRUE }, "path", HF_CELL_TEXT },
    { { .title = "CAPACITY", .right = TRUE }, "capacityGB", HF_CELL_GIB },
    { { .title = "FREE", .right = TRUE }, "freeGB", HF_CELL_GIB },
    { { .title = "USED", .right = TRUE }, "usedSpaceGB", HF_CELL_GIB },
    { { .title = "ONLINE" }, "isOnline", HF_CELL_FLAG },
  };
  g_auto(HfFleet) fleet = { 0 };
  return hf_fleet_open(&fleet, options, cli, error) &&
         hf_fleet_print_list(&fleet, STATES, 0, columns, G_N_ELEMENTS(columns),
                             "there are no repositories; 'holdfast repository add' makes one", error);
}

gboolean hf_verb_repository_show(const HfOptions *options, HfCli *cli, GError **error)
{
  static const HfFleetColumn columns[] = {
    { { .title = "name" }, "name", HF_CELL_TEXT },
    { { .title = "id" }, "id", HF_CELL_TEXT },
    { { .title = "description" }, "description", HF_CELL_TEXT },
    { { .title = "type" }, "type", HF_CELL_TEXT },
    { { .title = "path" }, "repository.path", HF_CELL_TEXT },
    { { .title = "immutable days" }, "repository.makeRecentBackupsImmutableDays", HF_CELL_NUMBER },
    { { .title = "tasks at once" }, "repository.maxTaskCount", HF_CELL_NUMBER },
    { { .title = "limit, MB a second" }, "repository.readWriteRate", HF_CELL_NUMBER },
    { { .title = "fingerprint" }, "uniqueId", HF_CELL_TEXT },
  };
  static const HfFleetColumn state_columns[] = {
    { { .title = "host               " }, "hostName", HF_CELL_TEXT },
    { { .title = "online" }, "isOnline", HF_CELL_FLAG },
    { { .title = "capacity" }, "capacityGB", HF_CELL_GIB },
    { { .title = "free" }, "freeGB", HF_CELL_GIB },
    { { .title = "used" }, "usedSpaceGB", HF_CELL_GIB },
  };
  g_auto(HfFleet) fleet = { 0 };
  if (!hf_fleet_open(&fleet, options, cli, error))
    return FALSE;
  hf_autojson json_t *found = hf_fleet_find(&fleet, &hf_fleet_repository, options->name, error);
  if (found == NULL)
    return FALSE;
  hf_fleet_print_object(cli, found, columns, G_N_ELEMENTS(columns));
  return hf_fleet_print_state(&fleet, STATES, hf_json_text(found, "id"), state_columns, G_N_ELEMENTS(state_columns),
                              error);
}

/* ---- add, change ---- */

static void put_limits(const HfOptions *options, json_t *body)
{
  if (options->description != NULL)
    hf_json_put(body, "description", json_string(options->description));
  if (options->immutable > 0)
    hf_json_put(body, "repository.makeRecentBackupsImmutableDays", json_integer((json_int_t)options->immutable));
  if (options->tasks > 0) {
    hf_json_put(body, "repository.taskLimitEnabled", json_true());
    hf_json_put(body, "repository.maxTaskCount", json_integer((json_int_t)options->tasks));
  }
  if (options->limit > 0) {
    hf_json_put(body, "repository.readWriteLimitEnabled", json_true());
    hf_json_put(body, "repository.readWriteRate",
                json_integer((json_int_t)((options->limit + MEGABYTE - 1) / MEGABYTE)));
  }
}

/* Keeps the password at the server and names it in `body`. A repository that is taken in has one already. */
static gboolean put_password(HfFleet *fleet, const HfOptions *options, json_t *body, GError **error)
{
  hf_autosecret HfBuffer password = HF_BUFFER_INIT;
  hf_autojson json_t *answer = NULL;
  if (!options->import && options->password_file == NULL)
    return TRUE; /* the server makes one */
  g_autofree char *prompt = g_strdup_printf("password of repository '%s'", options->new_name);
  if (!hf_fleet_password(fleet->cli, options->password_file, prompt, "--password-file", !options->import, &password,
                         error))
    return FALSE;
  json_t *secret = json_pack("{s:s, s:s}", "password", (const char *)password.data, "hint", prompt);
  if (!hf_fleet_ask(fleet, "POST", "/api/v1/encryptionPasswords", secret, &answer, error))
    return FALSE;
  hf_json_put(body, "encryptionPasswordId", json_string(hf_json_text(answer, "id")));
  return TRUE;
}

gboolean hf_verb_repository_add(const HfOptions *options, HfCli *cli, GError **error)
{
  g_auto(HfFleet) fleet = { 0 };
  hf_autojson json_t *session = NULL;
  if (!hf_fleet_open(&fleet, options, cli, error))
    return FALSE;
  g_autofree char *host = hf_fleet_id(&fleet, &hf_fleet_host, options->host, error);
  if (host == NULL)
    return FALSE;
  hf_autojson json_t *body =
    json_pack("{s:s, s:s, s:s, s:b}", "name", options->new_name, "type",
              options->immutable > 0 ? HARDENED : "LinuxLocal", "hostId", host, "importBackup", options->import);
  if (body == NULL)
    return hf_fail(error, HF_ERROR_USAGE, "the name of the repository is not UTF-8");
  hf_json_put(body, "repository.path", json_string(options->path));
  put_limits(options, body);
  return put_password(&fleet, options, body, error) &&
         hf_fleet_ask(&fleet, "POST", hf_fleet_repository.list, json_incref(body), &session, error) &&
         hf_fleet_started(&fleet, session, !options->no_wait, error);
}

gboolean hf_verb_repository_change(const HfOptions *options, HfCli *cli, GError **error)
{
  g_auto(HfFleet) fleet = { 0 };
  hf_autojson json_t *session = NULL;
  if (!hf_fleet_open(&fleet, options, cli, error))
    return FALSE;
  hf_autojson json_t *found = hf_fleet_find(&fleet, &hf_fleet_repository, options->name, error);
  if (found == NULL)
    return FALSE;
  if (options->immutable > 0 && g_strcmp0(hf_json_text(found, "type"), HARDENED) != 0)
    return hf_fail(error, HF_ERROR_USAGE,
                   "repository '%s' was made without --immutable; only one that was made with it "
                   "can change its days",
                   options->name);
  if (options->new_name != NULL)
    hf_json_put(found, "name", json_string(options->new_name));
  put_limits(options, found);
  g_autofree char *path = g_strdup_printf("%s/%s", hf_fleet_repository.list, hf_json_text(found, "id"));
  return hf_fleet_ask(&fleet, "PUT", path, json_incref(found), &session, error) &&
         hf_fleet_started(&fleet, session, !options->no_wait, error);
}

/* ---- remove, rescan ---- */

gboolean hf_verb_repository_remove(const HfOptions *options, HfCli *cli, GError **error)
{
  g_auto(HfFleet) fleet = { 0 };
  if (!hf_fleet_open(&fleet, options, cli, error))
    return FALSE;
  g_autofree char *id = hf_fleet_id(&fleet, &hf_fleet_repository, options->name, error);
  g_autofree char *path = id == NULL ? NULL
                                     : g_strdup_printf("%s/%s%s", hf_fleet_repository.list, id,
                                                       options->delete_backups ? "?deleteBackups=true" : "");
  return path != NULL && hf_fleet_ask(&fleet, "DELETE", path, NULL, NULL, error) &&
         hf_fleet_done(cli, "removed", &hf_fleet_repository, options->name, id);
}

gboolean hf_verb_repository_rescan(const HfOptions *options, HfCli *cli, GError **error)
{
  g_auto(HfFleet) fleet = { 0 };
  hf_autojson json_t *session = NULL;
  if (!hf_fleet_open(&fleet, options, cli, error))
    return FALSE;
  g_autofree char *id = hf_fleet_id(&fleet, &hf_fleet_repository, options->name, error);
  return id != NULL &&
         hf_fleet_ask(&fleet, "POST", "/api/v1/backupInfrastructure/repositories/rescan",
                      json_pack("{s:[s]}", "repositoryIds", id), &session, error) &&
         hf_fleet_started(&fleet, session, !options->no_wait, error);
}
