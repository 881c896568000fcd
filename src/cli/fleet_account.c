/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The verbs account list, add, change, password and remove, and audit. */
#include <string.h>

#include "base/error.h"
#include "cli/fleet.h"

gboolean hf_verb_account_list(const HfOptions *options, HfCli *cli, GError **error)
{
  static const HfFleetColumn columns[] = {
    { { .title = "NAME", .shrink = TRUE }, "name", HF_CELL_TEXT },
    { { .title = "ROLE" }, "role", HF_CELL_TEXT },
    { { .title = "DISABLED" }, "isDisabled", HF_CELL_FLAG },
    { { .title = "LAST LOGIN" }, "lastLogin", HF_CELL_TIME },
    { { .title = "LOCKED UNTIL" }, "lockedUntil", HF_CELL_TIME },
    { { .title = "DESCRIPTION", .shrink = TRUE }, "description", HF_CELL_TEXT },
  };
  g_auto(HfFleet) fleet = { 0 };
  return hf_fleet_open(&fleet, options, cli, error) &&
         hf_fleet_print_list(&fleet, hf_fleet_account.list, 0, columns, G_N_ELEMENTS(columns), "there are no accounts",
                             error);
}

gboolean hf_verb_account_add(const HfOptions *options, HfCli *cli, GError **error)
{
  g_auto(HfFleet) fleet = { 0 };
  hf_autosecret HfBuffer password = HF_BUFFER_INIT;
  hf_autojson json_t *answer = NULL;
  g_autofree char *prompt = g_strdup_printf("new password of '%s'", options->name);
  if (!hf_fleet_open(&fleet, options, cli, error) ||
      !hf_fleet_password(cli, options->password_file, prompt, "--password-file", TRUE, &password, error))
    return FALSE;
  json_t *body =
    json_pack("{s:s, s:s, s:s, s:s}", "name", options->name, "role", options->role, "description",
              options->description != NULL ? options->description : "", "password", (const char *)password.data);
  if (body == NULL)
    return hf_fail(error, HF_ERROR_USAGE, "the name or the description of the account is not UTF-8");
  if (!hf_fleet_ask(&fleet, "POST", hf_fleet_account.list, body, &answer, error))
    return FALSE;
  hf_output_note(cli->output, "account '%s' is %s\n", options->name, options->role);
  hf_output_document(cli->output, json_incref(answer));
  return TRUE;
}

gboolean hf_verb_account_change(const HfOptions *options, HfCli *cli, GError **error)
{
  g_auto(HfFleet) fleet = { 0 };
  hf_autojson json_t *answer = NULL;
  if (!hf_fleet_open(&fleet, options, cli, error))
    return FALSE;
  hf_autojson json_t *found = hf_fleet_find(&fleet, &hf_fleet_account, options->name, error);
  if (found == NULL)
    return FALSE;
  hf_autojson json_t *body =
    json_pack("{s:s, s:s, s:b}", "role", options->role != NULL ? options->role : hf_json_text(found, "role"),
              "description", options->description != NULL ? options->description : hf_json_text(found, "description"),
              "isDisabled", options->disable || (hf_json_flag(found, "isDisabled") && !options->enable));
  g_autofree char *path = g_strdup_printf("%s/%s", hf_fleet_account.list, hf_json_text(found, "id"));
  if (!hf_fleet_ask(&fleet, "PUT", path, json_incref(body), &answer, error))
    return FALSE;
  hf_output_note(cli->output, "changed account '%s'\n", options->name);
  hf_output_document(cli->output, json_incref(answer));
  return TRUE;
}

/* One's own needs the old one too; that of others ends their tokens. */
static gboolean own_password(HfFleet *fleet, const HfOptions *options, const char *fresh, GError **error)
{
  hf_autosecret HfBuffer old = HF_BUFFER_INIT;
  if (!hf_fleet_password(fleet->cli, options->old_password_file, "your present password", "--old-password-file", FALSE,
                         &old, error))
    return FALSE;
  return hf_fleet_ask(fleet, "POST", "/api/v1/holdfast/self/password",
                      json_pack("{s:s, s:s}", "oldPassword", (const char *)old.data, "password", fresh), NULL, error);
}

gboolean hf_verb_account_password(const HfOptions *options, HfCli *cli, GError **error)
{
  g_auto(HfFleet) fleet = { 0 };
  hf_autosecret HfBuffer password = HF_BUFFER_INIT;
  if (!hf_fleet_open(&fleet, options, cli, error))
    return FALSE;
  gboolean own = options->name == NULL;
  const char *name = own ? fleet.login->user : options->name;
  g_autofree char *id = own ? g_strdup("") : hf_fleet_id(&fleet, &hf_fleet_account, name, error);
  g_autofree char *path = id == NULL ? NULL : g_strdup_printf("%s/%s/password", hf_fleet_account.list, id);
  g_autofree char *prompt = g_strdup_printf("new password of '%s'", name);
  if (path == NULL ||
      !hf_fleet_password(cli, options->password_file, prompt, "--password-file", TRUE, &password, error))
    return FALSE;
  const char *fresh = (const char *)password.data;
  if (!(own ? own_password(&fleet, options, fresh, error)
            : hf_fleet_ask(&fleet, "POST", path, json_pack("{s:s}", "password", fresh), NULL, error)))
    return FALSE;
  hf_output_note(cli->output, "the password of '%s' is changed; %s\n", name,
                 own ? "log in again with it" : "whoever was logged in with the old one is out");
  hf_output_document(cli->output, json_pack("{s:s}", "account", name));
  return TRUE;
}

gboolean hf_verb_account_remove(const HfOptions *options, HfCli *cli, GError **error)
{
  g_auto(HfFleet) fleet = { 0 };
  if (!hf_fleet_open(&fleet, options, cli, error))
    return FALSE;
  g_autofree char *id = hf_fleet_id(&fleet, &hf_fleet_account, options->name, error);
  g_autofree char *path = id == NULL ? NULL : g_strdup_printf("%s/%s", hf_fleet_account.list, id);
  return path != NULL && hf_fleet_ask(&fleet, "DELETE", path, NULL, NULL, error) &&
         hf_fleet_done(cli, "removed", &hf_fleet_account, options->name, id);
}

/* ---- audit ---- */

gboolean hf_verb_audit(const HfOptions *options, HfCli *cli, GError **error)
{
  static const HfFleetColumn columns[] = {
    { { .title = "TIME" }, "time", HF_CELL_TIME },
    { { .title = "ACCOUNT", .shrink = TRUE }, "account", HF_CELL_TEXT },
    { { .title = "FROM" }, "address", HF_CELL_TEXT },
    { { .title = "ACTION" }, "action", HF_CELL_TEXT },
    { { .title = "KIND" }, "objectKind", HF_CELL_TEXT },
    { { .title = "NAME", .shrink = TRUE }, "objectName", HF_CELL_TEXT },
    { { .title = "RESULT", .shrink = TRUE }, "result", HF_CELL_TEXT },
  };
  g_auto(HfFleet) fleet = { 0 };
  g_autofree char *after = NULL;
  if (options->since != NULL && !hf_fleet_since(options->since, &after, error))
    return FALSE;
  g_autofree char *path = HF_QUERY("/api/v1/holdfast/audit", "accountFilter", options->account, "actionFilter",
                                   options->action, "timeAfterFilter", after);
  return hf_fleet_open(&fleet, options, cli, error) &&
         hf_fleet_print_list(&fleet, path, (guint)options->last, columns, G_N_ELEMENTS(columns), "nothing is recorded",
                             error);
}
