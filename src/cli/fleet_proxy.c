/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The verbs proxy list, add, change and remove. */
#include "cli/fleet.h"

#define KIND "GeneralPurposeProxy"

gboolean hf_verb_proxy_list(const HfOptions *options, HfCli *cli, GError **error)
{
  static const HfFleetColumn columns[] = {
    { { .title = "NAME", .shrink = TRUE }, "name", HF_CELL_TEXT },
    { { .title = "HOST", .shrink = TRUE }, "server.hostName", HF_CELL_TEXT },
    { { .title = "TASKS", .right = TRUE }, "server.maxTaskCount", HF_CELL_NUMBER },
    { { .title = "DESCRIPTION", .shrink = TRUE }, "description", HF_CELL_TEXT },
  };
  static const HfFleetColumn states[] = {
    { { .title = "NAME", .shrink = TRUE }, "name", HF_CELL_TEXT },
    { { .title = "HOST", .shrink = TRUE }, "hostName", HF_CELL_TEXT },
    { { .title = "ONLINE" }, "isOnline", HF_CELL_FLAG },
    { { .title = "DISABLED" }, "isDisabled", HF_CELL_FLAG },
    { { .title = "DESCRIPTION", .shrink = TRUE }, "description", HF_CELL_TEXT },
  };
  g_auto(HfFleet) fleet = { 0 };
  if (!hf_fleet_open(&fleet, options, cli, error))
    return FALSE;
  const char *none = "there are no proxies; every host reads its own files";
  if (options->states)
    return hf_fleet_print_list(&fleet, "/api/v1/backupInfrastructure/proxies/states", 0, states, G_N_ELEMENTS(states),
                               none, error);
  return hf_fleet_print_list(&fleet, hf_fleet_proxy.list, 0, columns, G_N_ELEMENTS(columns), none, error);
}

gboolean hf_verb_proxy_add(const HfOptions *options, HfCli *cli, GError **error)
{
  g_auto(HfFleet) fleet = { 0 };
  hf_autojson json_t *session = NULL;
  if (!hf_fleet_open(&fleet, options, cli, error))
    return FALSE;
  g_autofree char *host = hf_fleet_id(&fleet, &hf_fleet_host, options->host_name, error);
  if (host == NULL)
    return FALSE;
  hf_autojson json_t *body = json_pack("{s:s, s:{s:s}}", "type", KIND, "server", "hostId", host);
  if (options->description != NULL)
    hf_json_put(body, "description", json_string(options->description));
  if (options->tasks > 0)
    hf_json_put(body, "server.maxTaskCount", json_integer((json_int_t)options->tasks));
  return hf_fleet_ask(&fleet, "POST", hf_fleet_proxy.list, json_incref(body), &session, error) &&
         hf_fleet_started(&fleet, session, !options->no_wait, error);
}

static gboolean set_enabled(HfFleet *fleet, const HfOptions *options, const char *id, GError **error)
{
  if (!options->enable && !options->disable)
    return TRUE;
  g_autofree char *path = g_strdup_printf("%s/%s/%s", hf_fleet_proxy.list, id, options->enable ? "enable" : "disable");
  return hf_fleet_ask(fleet, "POST", path, NULL, NULL, error);
}

gboolean hf_verb_proxy_change(const HfOptions *options, HfCli *cli, GError **error)
{
  g_auto(HfFleet) fleet = { 0 };
  hf_autojson json_t *session = NULL;
  if (!hf_fleet_open(&fleet, options, cli, error))
    return FALSE;
  hf_autojson json_t *found = hf_fleet_find(&fleet, &hf_fleet_proxy, options->name, error);
  if (found == NULL)
    return FALSE;
  if (options->description != NULL)
    hf_json_put(found, "description", json_string(options->description));
  if (options->tasks > 0)
    hf_json_put(found, "server.maxTaskCount", json_integer((json_int_t)options->tasks));
  g_autofree char *path = g_strdup_printf("%s/%s", hf_fleet_proxy.list, hf_json_text(found, "id"));
  return set_enabled(&fleet, options, hf_json_text(found, "id"), error) &&
         hf_fleet_ask(&fleet, "PUT", path, json_incref(found), &session, error) &&
         hf_fleet_started(&fleet, session, !options->no_wait, error);
}

gboolean hf_verb_proxy_remove(const HfOptions *options, HfCli *cli, GError **error)
{
  g_auto(HfFleet) fleet = { 0 };
  if (!hf_fleet_open(&fleet, options, cli, error))
    return FALSE;
  g_autofree char *id = hf_fleet_id(&fleet, &hf_fleet_proxy, options->name, error);
  g_autofree char *path = id == NULL ? NULL : g_strdup_printf("%s/%s", hf_fleet_proxy.list, id);
  return path != NULL && hf_fleet_ask(&fleet, "DELETE", path, NULL, NULL, error) &&
         hf_fleet_done(cli, "removed", &hf_fleet_proxy, options->name, id);
}
