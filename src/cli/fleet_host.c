/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The verbs of hosts. */
#include "base/error.h"
#include "cli/fleet.h"
#include "cli/secretfile.h"

#define SERVERS "/api/v1/backupInfrastructure/managedServers"

gboolean hf_verb_host_list(const HfOptions *options, HfCli *cli, GError **error)
{
  static const HfFleetColumn columns[] = {
    { { .title = "NAME", .shrink = TRUE }, "name", HF_CELL_TEXT },
    { { .title = "ADDRESS", .shrink = TRUE }, "address", HF_CELL_TEXT },
    { { .title = "STATUS" }, "status", HF_CELL_TEXT },
    { { .title = "SYSTEM", .shrink = TRUE }, "osName", HF_CELL_TEXT },
    { { .title = "AGENT" }, "agentVersion", HF_CELL_TEXT },
    { { .title = "LAST SEEN" }, "lastSeen", HF_CELL_TIME },
    { { .title = "SAYS", .shrink = TRUE }, "statusMessage", HF_CELL_TEXT },
  };
  g_auto(HfFleet) fleet = { 0 };
  return hf_fleet_open(&fleet, options, cli, error) &&
         hf_fleet_print_list(&fleet, hf_fleet_host.list, 0, columns, G_N_ELEMENTS(columns),
                             "there are no hosts; 'holdfast host add' adds one", error);
}

gboolean hf_verb_host_show(const HfOptions *options, HfCli *cli, GError **error)
{
  static const HfFleetColumn columns[] = {
    { { .title = "name" }, "name", HF_CELL_TEXT },
    { { .title = "id" }, "id", HF_CELL_TEXT },
    { { .title = "address" }, "address", HF_CELL_TEXT },
    { { .title = "description" }, "description", HF_CELL_TEXT },
    { { .title = "status" }, "status", HF_CELL_TEXT },
    { { .title = "says" }, "statusMessage", HF_CELL_TEXT },
    { { .title = "the server itself" }, "isServer", HF_CELL_FLAG },
    { { .title = "system" }, "osName", HF_CELL_TEXT },
    { { .title = "release" }, "osVersion", HF_CELL_TEXT },
    { { .title = "kernel" }, "kernel", HF_CELL_TEXT },
    { { .title = "architecture" }, "architecture", HF_CELL_TEXT },
    { { .title = "processors" }, "processors", HF_CELL_NUMBER },
    { { .title = "memory" }, "memory", HF_CELL_SIZE },
    { { .title = "agent" }, "agentVersion", HF_CELL_TEXT },
    { { .title = "roles" }, "roles", HF_CELL_JSON },
    { { .title = "ports" }, "ports", HF_CELL_JSON },
    { { .title = "networks" }, "networks", HF_CELL_LIST },
    { { .title = "certificate" }, "certificateFingerprint", HF_CELL_TEXT },
    { { .title = "SSH host key" }, "sshHostKey", HF_CELL_TEXT },
    { { .title = "enrolled" }, "enrolled", HF_CELL_TIME },
    { { .title = "last seen" }, "lastSeen", HF_CELL_TIME },
  };
  g_auto(HfFleet) fleet = { 0 };
  if (!hf_fleet_open(&fleet, options, cli, error))
    return FALSE;
  hf_autojson json_t *host = hf_fleet_find(&fleet, &hf_fleet_host, options->host_name, error);
  if (host == NULL)
    return FALSE;
  hf_fleet_print_object(cli, host, columns, G_N_ELEMENTS(columns));
  return TRUE;
}

/* ---- host add ---- */

static gboolean add_by_token(HfFleet *fleet, const HfOptions *options, json_t **session, GError **error)
{
  hf_autosecret HfBuffer token = HF_BUFFER_INIT;
  if (options->token == NULL &&
      !hf_fleet_password(fleet->cli, options->token_file, "token of the agent", "--token-file", FALSE, &token, error))
    return FALSE;
  json_t *body = json_pack("{s:s, s:s}", "name", options->host_name, "token",
                           options->token != NULL ? options->token : (const char *)token.data);
  if (body == NULL)
    return hf_fail(error, HF_ERROR_USAGE, "the name of the host, or its token, is not UTF-8");
  if (options->description != NULL)
    json_object_set_new(body, "description", json_string(options->description));
  return hf_fleet_ask(fleet, "POST", hf_fleet_host.list, body, session, error);
}

/* The key that the host must show: as it was given, or asked from it and confirmed. Caller frees. */
static char *host_key(HfFleet *fleet, const HfOptions *options, GError **error)
{
  if (options->fingerprint != NULL)
    return g_strdup(options->fingerprint);
  hf_autojson json_t *shown = NULL;
  json_t *body = json_pack("{s:s, s:s}", "serverName", options->host_name, "type", "LinuxHost");
  if (body == NULL ||
      !hf_fleet_ask(fleet, "POST", "/api/v1/connectionCertificate",
                    (hf_json_put(body, "port", json_integer((json_int_t)options->ssh_port)), body), &shown, error))
    return NULL;
  const char *fingerprint = hf_json_text(shown, "fingerprint");
  g_autofree char *question =
    g_strdup_printf("the SSH key of '%s' is %s\nIs that the key of this host ('ssh-keygen -lf "
                    "/etc/ssh/ssh_host_ed25519_key.pub' there tells)?",
                    options->host_name, fingerprint);
  g_autofree char *refusal = g_strdup_printf("the SSH key of '%s' is %s; compare it, and give it with --fingerprint",
                                             options->host_name, fingerprint);
  return hf_fleet_confirm(fleet->cli, question, refusal, error) ? g_strdup(fingerprint) : NULL;
}

/* What proves the user to the host, used once and not kept: a key, or a password. NULL with an error. */
static json_t *single_use(HfFleet *fleet, const HfOptions *options, GError **error)
{
  json_t *login = json_pack("{s:s, s:s, s:b, s:I}", "username", options->ssh, "type", "Linux", "elevateToRoot",
                            !options->no_sudo, "SSHPort", (json_int_t)options->ssh_port);
  hf_autosecret HfBuffer password = HF_BUFFER_INIT;
  g_autofree char *prompt = g_strdup_printf("password of '%s' at '%s'", options->ssh, options->host_name);
  gboolean got = TRUE;
  if (options->key != NULL) {
    json_t *key = hf_fleet_secret_file(options->key, error);
    got = key != NULL;
    hf_json_put(login, "authenticationType", json_string("SshKey"));
    if (got)
      hf_json_put(login, "privateKey", key);
  }
  if (got && (options->key == NULL || options->password_file != NULL)) {
    got = hf_fleet_password(fleet->cli, options->password_file, prompt, "--password-file or --key", FALSE, &password,
                            error);
    if (got)
      hf_json_put(login, options->key == NULL ? "password" : "passphrase", json_string((const char *)password.data));
  }
  if (options->key == NULL)
    hf_json_put(login, "authenticationType", json_string("Password"));
  if (got)
    return login;
  json_decref(login);
  return NULL;
}

static gboolean add_by_ssh(HfFleet *fleet, const HfOptions *options, json_t **session, GError **error)
{
  g_autofree char *key = host_key(fleet, options, error);
  if (key == NULL)
    return FALSE;
  hf_autojson json_t *body =
    json_pack("{s:s, s:s, s:s}", "name", options->host_name, "type", "LinuxHost", "sshFingerprint", key);
  if (options->description != NULL)
    hf_json_put(body, "description", json_string(options->description));
  if (options->credential != NULL) {
    g_autofree char *id = hf_fleet_id(fleet, &hf_fleet_credential, options->credential, error);
    if (id == NULL)
      return FALSE;
    hf_json_put(body, "credentialsStorageType", json_string("Permanent"));
    hf_json_put(body, "credentialsId", json_string(id));
  } else {
    json_t *login = single_use(fleet, options, error);
    if (login == NULL)
      return FALSE;
    hf_json_put(body, "credentialsStorageType", json_string("SingleUse"));
    hf_json_put(body, "singleUseCredentials", login);
  }
  return hf_fleet_ask(fleet, "POST", SERVERS, json_incref(body), session, error);
}

gboolean hf_verb_host_add(const HfOptions *options, HfCli *cli, GError **error)
{
  g_auto(HfFleet) fleet = { 0 };
  hf_autojson json_t *session = NULL;
  gboolean token = options->token != NULL || options->token_file != NULL;
  return hf_fleet_open(&fleet, options, cli, error) &&
         (token ? add_by_token : add_by_ssh)(&fleet, options, &session, error) &&
         hf_fleet_started(&fleet, session, !options->no_wait, error);
}

/* ---- host rescan, remove, upgrade, start, stop, restart, logs ---- */

typedef struct Deed {
  const char *method;
  const char *above; /* the path of all hosts */
  const char *what;  /* the path below that of the host */
  json_t *body;      /* taken; NULL: nothing is told */
} Deed;

/* Starts it and waits. The id of the host, caller frees; NULL with an error. */
static char *act_at(HfFleet *fleet, const HfOptions *options, const Deed *deed, GError **error)
{
  hf_autojson json_t *body = deed->body;
  hf_autojson json_t *session = NULL;
  g_autofree char *id = hf_fleet_id(fleet, &hf_fleet_host, options->host_name, error);
  g_autofree char *path = id == NULL ? NULL : g_strdup_printf("%s/%s%s", deed->above, id, deed->what);
  gboolean done = path != NULL && hf_fleet_ask(fleet, deed->method, path, json_incref(body), &session, error) &&
                  hf_fleet_started(fleet, session, !options->no_wait, error);
  return done ? g_steal_pointer(&id) : NULL;
}

static gboolean act(const HfOptions *options, HfCli *cli, const Deed *deed, GError **error)
{
  g_auto(HfFleet) fleet = { 0 };
  if (!hf_fleet_open(&fleet, options, cli, error)) {
    json_decref(deed->body);
    return FALSE;
  }
  g_autofree char *id = act_at(&fleet, options, deed, error);
  return id != NULL;
}

gboolean hf_verb_host_rescan(const HfOptions *options, HfCli *cli, GError **error)
{
  return act(options, cli, &(Deed){ "POST", SERVERS, "/rescan", NULL }, error);
}

gboolean hf_verb_host_remove(const HfOptions *options, HfCli *cli, GError **error)
{
  return act(options, cli, &(Deed){ "DELETE", SERVERS, "", NULL }, error);
}

gboolean hf_verb_host_upgrade(const HfOptions *options, HfCli *cli, GError **error)
{
  return act(options, cli, &(Deed){ "POST", hf_fleet_host.list, "/upgrade", NULL }, error);
}

static gboolean act_on_role(const HfOptions *options, HfCli *cli, const char *action, GError **error)
{
  const char *role = options->host_role == HF_HOST_ROLE_CHOICE_INSTALLER ? "installer" : "transport";
  json_t *body = json_pack("{s:s, s:s}", "role", role, "action", action);
  return act(options, cli, &(Deed){ "POST", hf_fleet_host.list, "/roles", body }, error);
}

gboolean hf_verb_host_start(const HfOptions *options, HfCli *cli, GError **error)
{
  return act_on_role(options, cli, "Start", error);
}

gboolean hf_verb_host_stop(const HfOptions *options, HfCli *cli, GError **error)
{
  return act_on_role(options, cli, "Stop", error);
}

gboolean hf_verb_host_restart(const HfOptions *options, HfCli *cli, GError **error)
{
  return act_on_role(options, cli, "Restart", error);
}

gboolean hf_verb_host_logs(const HfOptions *options, HfCli *cli, GError **error)
{
  g_auto(HfFleet) fleet = { 0 };
  const Deed deed = { "POST", hf_fleet_host.list, "/logs", NULL };
  g_auto(HfBuffer) logs = HF_BUFFER_INIT;
  g_autofree char *id =
    hf_fleet_open(&fleet, options, cli, error) ? act_at(&fleet, options, &deed, error) : NULL;
  if (id == NULL)
    return FALSE;
  g_autofree char *path = g_strdup_printf("%s/%s/logs", hf_fleet_host.list, id);
  if (!hf_rest_get_bytes(fleet.rest, path, &logs, error))
    return FALSE;
  g_autoptr(GError) problem = NULL;
  if (!g_file_set_contents_full(options->to, (const char *)logs.data, (gssize)logs.length,
                                G_FILE_SET_CONTENTS_CONSISTENT, 0600, &problem))
    return hf_fail(error, HF_ERROR_IO, "cannot write '%s': %s", options->to, problem->message);
  hf_output_note(cli->output, "the logs of '%s' are in '%s'\n", options->host_name, options->to);
  return TRUE;
}
