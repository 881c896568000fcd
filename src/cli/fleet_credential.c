/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The verbs credential list, add, change and remove. */
#include "base/error.h"
#include "cli/fleet.h"

static const HfFleetColumn columns[] = {
  { { .title = "ID" }, "id", HF_CELL_ID },
  { { .title = "USER", .shrink = TRUE }, "username", HF_CELL_TEXT },
  { { .title = "BY" }, "authenticationType", HF_CELL_TEXT },
  { { .title = "SUDO" }, "elevateToRoot", HF_CELL_FLAG },
  { { .title = "DESCRIPTION", .shrink = TRUE }, "description", HF_CELL_TEXT },
  { { .title = "CREATED" }, "creationTime", HF_CELL_TIME },
};

gboolean hf_verb_credential_list(const HfOptions *options, HfCli *cli, GError **error)
{
  g_auto(HfFleet) fleet = { 0 };
  return hf_fleet_open(&fleet, options, cli, error) &&
         hf_fleet_print_list(&fleet, hf_fleet_credential.list, 0, columns, G_N_ELEMENTS(columns),
                             "there are no credentials", error);
}

/* Puts the key, and the password or the key's passphrase, into `body`. */
static gboolean put_secrets(HfFleet *fleet, const HfOptions *options, gboolean ask, json_t *body, GError **error)
{
  hf_autosecret HfBuffer password = HF_BUFFER_INIT;
  g_autofree char *prompt =
    g_strdup_printf("%s of '%s'", options->key != NULL ? "passphrase of the key" : "password", options->user);
  if (options->key != NULL) {
    json_t *key = hf_fleet_secret_file(options->key, error);
    if (key == NULL)
      return FALSE;
    hf_json_put(body, "privateKey", key);
  }
  if (!ask && options->password_file == NULL)
    return TRUE;
  if (!hf_fleet_password(fleet->cli, options->password_file, prompt, "--password-file or --key", FALSE, &password,
                         error))
    return FALSE;
  hf_json_put(body, options->key != NULL ? "passphrase" : "password", json_string((const char *)password.data));
  return TRUE;
}

static void put_plain(const HfOptions *options, json_t *body)
{
  if (options->description != NULL)
    hf_json_put(body, "description", json_string(options->description));
  if (options->ssh_port > 0)
    hf_json_put(body, "SSHPort", json_integer((json_int_t)options->ssh_port));
  if (options->sudo || options->no_sudo)
    hf_json_put(body, "elevateToRoot", json_boolean(options->sudo));
}

gboolean hf_verb_credential_add(const HfOptions *options, HfCli *cli, GError **error)
{
  g_auto(HfFleet) fleet = { 0 };
  if (!hf_fleet_open(&fleet, options, cli, error))
    return FALSE;
  hf_autojson json_t *answer = NULL;
  hf_autojson json_t *body = json_pack("{s:s, s:s, s:s}", "type", "Linux", "username", options->user,
                                       "authenticationType", options->key != NULL ? "SshKey" : "Password");
  put_plain(options, body);
  if (!put_secrets(&fleet, options, options->key == NULL, body, error) ||
      !hf_fleet_ask(&fleet, "POST", hf_fleet_credential.list, json_incref(body), &answer, error))
    return FALSE;
  g_autofree char *id = hf_fleet_cell(answer, "id", HF_CELL_TEXT);
  hf_output_note(cli->output, "credential %s for '%s'\n", id, options->user);
  hf_output_document(cli->output, json_incref(answer));
  return TRUE;
}

static gboolean change_secret(HfFleet *fleet, const HfOptions *options, const char *id, GError **error)
{
  if (options->key == NULL && options->password_file == NULL && !options->password)
    return TRUE;
  hf_autojson json_t *body = json_object();
  g_autofree char *path = g_strdup_printf("%s/%s/%s", hf_fleet_credential.list, id,
                                          options->key != NULL ? "changeprivatekey" : "changepassword");
  return put_secrets(fleet, options, options->password, body, error) &&
         hf_fleet_ask(fleet, "POST", path, json_incref(body), NULL, error);
}

gboolean hf_verb_credential_change(const HfOptions *options, HfCli *cli, GError **error)
{
  g_auto(HfFleet) fleet = { 0 };
  if (!hf_fleet_open(&fleet, options, cli, error))
    return FALSE;
  hf_autojson json_t *found = hf_fleet_find(&fleet, &hf_fleet_credential, options->credential, error), *answer = NULL;
  if (found == NULL)
    return FALSE;
  if (options->user != NULL)
    hf_json_put(found, "username", json_string(options->user));
  put_plain(options, found);
  g_autofree char *path = g_strdup_printf("%s/%s", hf_fleet_credential.list, hf_json_text(found, "id"));
  if (!change_secret(&fleet, options, hf_json_text(found, "id"), error) ||
      !hf_fleet_ask(&fleet, "PUT", path, json_incref(found), &answer, error))
    return FALSE;
  g_autofree char *user = hf_fleet_cell(answer, "username", HF_CELL_TEXT);
  hf_output_note(cli->output, "changed credential '%s'\n", user);
  hf_output_document(cli->output, json_incref(answer));
  return TRUE;
}

gboolean hf_verb_credential_remove(const HfOptions *options, HfCli *cli, GError **error)
{
  g_auto(HfFleet) fleet = { 0 };
  if (!hf_fleet_open(&fleet, options, cli, error))
    return FALSE;
  g_autofree char *id = hf_fleet_id(&fleet, &hf_fleet_credential, options->credential, error);
  g_autofree char *path = id == NULL ? NULL : g_strdup_printf("%s/%s", hf_fleet_credential.list, id);
  return path != NULL && hf_fleet_ask(&fleet, "DELETE", path, NULL, NULL, error) &&
         hf_fleet_done(cli, "removed", &hf_fleet_credential, options->credential, id);
}
