/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "server/jobs/managed.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <jansson.h>
#include <string.h>

#include "base/error.h"
#include "net/pki.h"
#include "server/jobs/state.h"

#define FIRST_CALL_MS 20000 /* an agent that was just enrolled starts its roles */
#define ROLE_MS 15000       /* a role ends and begins in this time */
#define ROLE_STEP_US 200000

/* ---- What hosts tell. ---- */

/* What cannot be kept (the database is away) is told again in a moment. */
static void keep_status(gpointer user, const char *host, gboolean available, const char *message)
{
  HfManaged *managed = user;
  g_autoptr(HfHostRow) before = NULL;
  if (!hf_inv_host_status(managed->inv, host, available, message != NULL ? message : "", &before, NULL) ||
      managed->notify == NULL || g_str_equal(before->status, HF_HOST_AVAILABLE) == available)
    return;
  const char *pairs[] = { "host", before->name, NULL };
  hf_notify_event(managed->notify, available ? HF_SEVERITY_NOTICE : HF_SEVERITY_WARNING,
                  available ? "host-back" : "host-lost", pairs, "host %s %s", before->name,
                  available ? "answers" : "does not answer");
}

static void told_status(gpointer user, const char *host, gboolean available, const char *message)
{
  const HfManaged *managed = user;
  keep_status(user, host, available, message);
  hf_jobs_told_host(managed->jobs, host, available);
}

static char *addresses_json(const HfInstallerWelcome *welcome)
{
  json_t *list = json_array();
  for (guint i = 0; i < welcome->n_addresses; i++)
    json_array_append_new(list, json_string(welcome->addresses[i]));
  char *text = json_dumps(list, JSON_COMPACT);
  json_decref(list);
  return text;
}

static void told_facts(gpointer user, const char *host, const HfInstallerWelcome *welcome)
{
  HfManaged *managed = user;
  g_autofree char *networks = addresses_json(welcome);
  HfHostRow facts = {
    .networks = networks, .id = (char *)host, .agent_version = welcome->program, .os_name = welcome->os_name,
    .os_version = welcome->os_version, .kernel = welcome->kernel, .architecture = welcome->architecture,
    .processors = welcome->processors, .memory = (gint64)welcome->memory,
  };
  hf_inv_host_facts(managed->inv, &facts, NULL);
}

static void told_progress(HfManaged *managed, const char *host, const HfInstallerEvent *event)
{
  g_auto(HfInstallerProgress) progress = { 0 };
  if (!hf_installer_progress_decode(event->body, &progress, NULL))
    return;
  HfJobProgress told = { progress.files_done, progress.bytes_done, progress.files_total, progress.bytes_total,
                         progress.stored_bytes, progress.figures };
  hf_jobs_told_progress(managed->jobs, host, event->name, &told);
}

static gboolean told_result(HfManaged *managed, const char *host, const HfInstallerEvent *event)
{
  g_auto(HfInstallerResult) result = { 0 };
  g_autoptr(GError) why = NULL;
  if (!hf_installer_result_decode(event->body, &result, &why))
    hf_jobs_told_result(managed->jobs, host, event->name, why, NULL, 0, 0);
  else if (result.code != 0 && (why = g_error_new_literal(HF_ERROR, (int)result.code, result.message)) != NULL)
    hf_jobs_told_result(managed->jobs, host, event->name, why, result.result, result.wire_written, result.wire_read);
  else
    hf_jobs_told_result(managed->jobs, host, event->name, NULL, result.result, result.wire_written, result.wire_read);
  return TRUE;
}

static gboolean told(gpointer user, const char *host, const HfInstallerEvent *event)
{
  HfManaged *managed = user;
  gsize length;
  const char *bytes = g_bytes_get_data(event->body, &length);
  g_autofree char *text = NULL;
  switch (event->kind) {
  case HF_INSTALLER_EVENT_KIND_PROGRESS:
    told_progress(managed, host, event);
    break;
  case HF_INSTALLER_EVENT_KIND_LOG:
  case HF_INSTALLER_EVENT_KIND_WARNING:
    text = g_utf8_make_valid(bytes, (gssize)length);
    hf_jobs_told_line(managed->jobs, host, event->name, event->kind == HF_INSTALLER_EVENT_KIND_WARNING, text);
    break;
  case HF_INSTALLER_EVENT_KIND_RESULT:
    return told_result(managed, host, event);
  case HF_INSTALLER_EVENT_KIND_NOTE:
    text = g_utf8_make_valid(bytes, (gssize)length);
    if (managed->notify != NULL)
      hf_notify_event(managed->notify, HF_SEVERITY_INFO, "host-note", NULL, "%s", text);
    break;
  }
  return TRUE;
}

static gboolean issued(gpointer user, const char *host, const char *certificate, GError **error)
{
  HfManaged *managed = user;
  g_autoptr(HfPeer) peer = hf_pki_peer(certificate, error);
  if (peer == NULL)
    return FALSE;
  g_autoptr(HfHostRow) row = hf_inv_host_get(managed->inv, host, NULL);
  g_autoptr(HfCertificateRow) kept = g_new0(HfCertificateRow, 1);
  kept->serial = g_strdup(peer->serial);
  kept->host_id = row == NULL ? NULL : g_strdup(host); /* while it is being enrolled it has no row yet */
  kept->subject = g_strdup(host);
  kept->fingerprint = g_strdup(peer->fingerprint);
  kept->issued = hf_db_now();
  kept->expires = peer->not_after * G_USEC_PER_SEC;
  return hf_inv_certificate_add(managed->inv, kept, error);
}

static char *known(gpointer user, const HfId *machine)
{
  HfManaged *managed = user;
  g_autofree char *hex = hf_hex(machine->b, sizeof machine->b);
  g_autoptr(GPtrArray) rows = hf_inv_hosts_load(managed->inv, NULL);
  for (guint i = 0; rows != NULL && i < rows->len; i++) {
    const HfHostRow *row = rows->pdata[i];
    if (g_strcmp0(row->identity, hex) == 0)
      return g_strdup(row->id);
  }
  return NULL;
}

/* A host moves data until it gets a repository, whose mount server it is then, too. */
static const char *const *roles(gpointer user, const char *host)
{
  static const char *const mover[] = { "backup-proxy", NULL };
  static const char *const keeper[] = { "backup-repository", "mount-server", NULL };
  const HfManaged *managed = user;
  g_autoptr(GPtrArray) rows = hf_inv_repositories_load(managed->inv, NULL);
  for (guint i = 0; rows != NULL && i < rows->len; i++)
    if (g_str_equal(((HfRepositoryRow *)rows->pdata[i])->host_id, host))
      return keeper;
  return mover;
}

void hf_managed_ops(HfManaged *managed, HfHostsOps *ops)
{
  *ops = (HfHostsOps){ .user = managed, .status = told_status, .still = keep_status, .facts = told_facts, .told = told,
                       .issued = issued, .known = known, .roles = roles };
}

/* ---- Roles of a host. ---- */

static const char *state_of(const HfInstallerRole *role)
{
  return role->running ? "running" : role->wanted ? "down" : "stopped";
}

/* Asks the host what it is now, and puts that down. */
static gboolean look(HfManaged *managed, char *host_id, HfInstallerStatus *status, GError **error)
{
  if (!hf_hosts_status(managed->hosts, host_id, status, error))
    return FALSE;
  json_t *roles = json_object();
  for (guint i = 0; i < status->n_roles; i++)
    json_object_set_new(roles, status->roles[i].name, json_string(state_of(&status->roles[i])));
  char *text = json_dumps(roles, JSON_COMPACT);
  HfHostRow facts = { .id = host_id, .processors = status->processors, .memory = (gint64)status->memory_total,
                      .roles = text };
  hf_inv_host_facts(managed->inv, &facts, NULL);
  free(text);
  json_decref(roles);
  return TRUE;
}

static const HfInstallerRole *role_of(const HfInstallerStatus *status, const char *name)
{
  for (guint i = 0; i < status->n_roles; i++)
    if (g_str_equal(status->roles[i].name, name))
      return &status->roles[i];
  return NULL;
}

/* Until the role is `state`, and another process than `before` (0: any), or for ROLE_MS; what it is then stands in the
 * host's row. */
static gboolean await_role(HfManaged *managed, char *host_id, const char *name, const char *state, guint32 before,
                           GError **error)
{
  for (gint64 until = g_get_monotonic_time() + ROLE_MS * G_TIME_SPAN_MILLISECOND;;) {
    g_auto(HfInstallerStatus) status = { 0 };
    if (!look(managed, host_id, &status, error))
      return FALSE;
    const HfInstallerRole *role = role_of(&status, name);
    if (role != NULL && g_str_equal(state_of(role), state) && (before == 0 || role->pid != before))
      return TRUE;
    if (g_get_monotonic_time() >= until)
      return hf_fail(error, HF_ERROR_BUSY, "role '%s' is not %s yet; 'holdfast host rescan' tells when it is", name,
                     state);
    g_usleep(ROLE_STEP_US);
  }
}

/* ---- Beginning. ---- */

/* "installer" of the ports that were set for this host; 0: the usual one. */
static guint16 installer_port(const HfHostRow *row)
{
  json_t *ports = json_loads(row->ports, 0, NULL);
  json_int_t port = json_integer_value(json_object_get(ports, "installer"));
  json_decref(ports);
  return port > 0 && port <= G_MAXUINT16 ? (guint16)port : 0;
}

gboolean hf_managed_start(HfManaged *managed, GError **error)
{
  g_auto(GStrv) revoked = hf_inv_certificates_revoked(managed->inv, error);
  g_autoptr(GPtrArray) rows = revoked == NULL ? NULL : hf_inv_hosts_load(managed->inv, error);
  if (rows == NULL)
    return FALSE;
  hf_hosts_set_revoked(managed->hosts, (const char *const *)revoked);
  for (guint i = 0; i < rows->len; i++) {
    const HfHostRow *row = rows->pdata[i];
    if (row->identity != NULL)
      hf_hosts_add(managed->hosts, row->id, row->name, row->address, installer_port(row));
  }
  return TRUE;
}

/* ---- Adding. ---- */

typedef struct Adding {
  HfManaged *managed;
  char *name, *address, *description, *token, *credential_id, *user, *password, *private_key, *passphrase, *host_key;
  char *package, *program;
  gboolean sudo;
  guint16 ssh_port, installer_port;
} Adding;

static void adding_free(gpointer data)
{
  Adding *adding = data;
  char *secrets[] = { adding->token, adding->password, adding->private_key, adding->passphrase };
  for (gsize i = 0; i < G_N_ELEMENTS(secrets); i++)
    hf_secret_free(secrets[i]);
  char *texts[] = { adding->name, adding->address, adding->description, adding->credential_id, adding->user,
                    adding->host_key, adding->package, adding->program };
  for (gsize i = 0; i < G_N_ELEMENTS(texts); i++)
    g_free(texts[i]);
  g_free(adding);
}

/* "HOST:PORT" is cut in two; an IPv6 address holds more than one colon and stays whole. */
static char *split_port(const char *text, guint16 *port)
{
  const char *colon = strchr(text, ':');
  guint64 number = 0;
  if (colon == NULL || strchr(colon + 1, ':') != NULL ||
      !g_ascii_string_to_unsigned(colon + 1, 10, 1, G_MAXUINT16, &number, NULL))
    return g_strdup(text);
  *port = (guint16)number;
  return g_strndup(text, (gsize)(colon - text));
}

static Adding *adding_new(HfManaged *managed, const HfManagedWish *wish)
{
  Adding *adding = g_new0(Adding, 1);
  adding->managed = managed;
  adding->name = g_strdup(wish->address);
  adding->address = split_port(wish->address, &adding->installer_port);
  adding->description = g_strdup(wish->description != NULL ? wish->description : "");
  adding->token = g_strdup(wish->token);
  adding->credential_id = g_strdup(wish->credential_id);
  adding->user = g_strdup(wish->user);
  adding->password = g_strdup(wish->password);
  adding->private_key = g_strdup(wish->private_key);
  adding->passphrase = g_strdup(wish->passphrase);
  adding->host_key = g_strdup(wish->host_key);
  adding->package = g_strdup(wish->package);
  adding->program = g_strdup(wish->program);
  adding->sudo = wish->sudo;
  adding->ssh_port = wish->ssh_port;
  return adding;
}

static char *secret_or_null(const HfInventory *inv, const char *id, HfCredentialPart part)
{
  char *secret = hf_inv_credential_secret(inv, id, part, NULL);
  if (secret != NULL && *secret == '\0')
    g_clear_pointer(&secret, hf_secret_free);
  return secret;
}

/* A stored credential takes the place of single-use values. */
static gboolean take_credential(Adding *adding, GError **error)
{
  const HfInventory *inv = adding->managed->inv;
  if (adding->credential_id == NULL)
    return TRUE;
  g_autoptr(HfCredentialRow) row = hf_inv_credential_get(inv, adding->credential_id, error);
  if (row == NULL)
    return FALSE;
  g_free(adding->user);
  adding->user = g_strdup(row->username);
  adding->password = secret_or_null(inv, row->id, HF_CREDENTIAL_PASSWORD);
  adding->private_key = secret_or_null(inv, row->id, HF_CREDENTIAL_PRIVATE_KEY);
  adding->passphrase = secret_or_null(inv, row->id, HF_CREDENTIAL_PASSPHRASE);
  adding->sudo = row->elevate_to_root;
  if (adding->ssh_port == 0)
    adding->ssh_port = (guint16)row->ssh_port;
  return TRUE;
}

static gboolean enroll(Adding *adding, HfEnrolled *enrolled, GError **error)
{
  HfHosts *hosts = adding->managed->hosts;
  if (adding->token != NULL) {
    HfEnrollWish wish = { .address = adding->address, .port = adding->installer_port, .token = adding->token,
                          .wait_seconds = 10 };
    return hf_hosts_enroll(hosts, &wish, enrolled, error);
  }
  HfSshWish wish = { .address = adding->address, .port = adding->ssh_port, .user = adding->user,
                     .host_key = adding->host_key, .password = adding->password,
                     .private_key = adding->private_key, .passphrase = adding->passphrase, .sudo = adding->sudo,
                     .package = adding->package, .program = adding->program,
                     .installer_port = adding->installer_port };
  return hf_hosts_enroll_ssh(hosts, &wish, enrolled, error);
}

static gboolean keep(HfJobsRun *run, const Adding *adding, const HfEnrolled *enrolled, GError **error)
{
  const HfInventory *inv = adding->managed->inv;
  g_autoptr(HfPeer) peer = hf_pki_peer(enrolled->certificate, error);
  if (peer == NULL)
    return FALSE;
  g_autoptr(HfHostRow) row = g_new0(HfHostRow, 1);
  row->id = g_strdup(enrolled->host);
  row->name = g_strdup(adding->name);
  row->address = g_strdup(adding->address);
  row->description = g_strdup(adding->description);
  row->type = g_strdup("LinuxHost");
  row->credentials_id = g_strdup(adding->credential_id);
  row->ssh_host_key = g_strdup(enrolled->ssh_host_key);
  row->ports = adding->installer_port != 0 ? g_strdup_printf("{\"installer\": %u}", adding->installer_port) : NULL;
  g_autofree char *machine = hf_hex(enrolled->machine.b, sizeof enrolled->machine.b);
  if (!hf_inv_host_create(inv, &hf_actor_server, row, error) ||
      !hf_inv_host_enrolled(inv, &hf_actor_server, row->id, machine, peer->serial, peer->fingerprint, error))
    return FALSE;
  hf_inv_session_resource(inv, run->session, row->id, "", NULL);
  hf_hosts_add(adding->managed->hosts, row->id, row->name, row->address, adding->installer_port);
  return TRUE;
}

static gboolean run_add(HfJobsRun *run, gpointer data, const char **result, GError **error)
{
  Adding *adding = data;
  g_auto(HfEnrolled) enrolled = { 0 };
  g_autoptr(GError) why = NULL;
  hf_run_log(run, HF_LINE_NONE, "Enrolling %s by %s", adding->address, adding->token != NULL ? "token" : "SSH");
  if (!take_credential(adding, error) || !enroll(adding, &enrolled, error) || !keep(run, adding, &enrolled, error))
    return FALSE;
  hf_run_log(run, HF_LINE_SUCCEEDED, "%s is host %s, with agent %s", adding->address, enrolled.host, enrolled.program);
  if (!hf_hosts_wait(adding->managed->hosts, enrolled.host, FIRST_CALL_MS, &why) ||
      !await_role(adding->managed, enrolled.host, "transport", "running", 0, &why)) {
    hf_run_log(run, HF_LINE_WARNING, "It is enrolled and not ready yet: %s", why->message);
    *result = HF_RESULT_WARNING;
  }
  return TRUE;
}

gboolean hf_managed_add(HfManaged *managed, const HfActor *actor, const HfManagedWish *wish, char **session,
                        GError **error)
{
  g_autoptr(HfHostRow) there = hf_inv_host_find(managed->inv, wish->address, NULL);
  if (there != NULL)
    return hf_fail(error, HF_ERROR_EXISTS, "'%s' is a managed host already", wish->address);
  if (wish->token == NULL && wish->host_key == NULL)
    return hf_fail(error, HF_ERROR_USAGE, "the SSH key of '%s' must be looked at and given first", wish->address);
  g_autoptr(HfSessionRow) row = g_new0(HfSessionRow, 1);
  row->name = g_strdup(wish->address);
  row->type = g_strdup("Infrastructure");
  return hf_jobs_spawn(managed->jobs, actor, row, run_add, adding_new(managed, wish), adding_free, session, error);
}

/* ---- Looking, removing. ---- */

typedef struct Errand {
  HfManaged *managed;
  char *host_id;
  char *path, *version; /* of an upgrade */
  gboolean package;
  char *role;           /* that is told to */
  HfInstallerRoleAct act;
} Errand;

static void errand_free(gpointer data)
{
  Errand *errand = data;
  g_free(errand->host_id);
  g_free(errand->path);
  g_free(errand->version);
  g_free(errand->role);
  g_free(errand);
}

/* Takes `errand`. */
static gboolean spawn_errand(Errand *errand, const HfActor *actor, const char *host_id, HfJobsWork work, char **session,
                             GError **error)
{
  HfManaged *managed = errand->managed;
  g_autoptr(HfHostRow) host = hf_inv_host_get(managed->inv, host_id, error);
  if (host == NULL) {
    errand_free(errand);
    return FALSE;
  }
  errand->host_id = g_strdup(host_id);
  g_autoptr(HfSessionRow) row = g_new0(HfSessionRow, 1);
  row->name = g_strdup(host->name);
  row->type = g_strdup("Infrastructure");
  row->resource_id = g_strdup(host_id);
  return hf_jobs_spawn(managed->jobs, actor, row, work, errand, errand_free, session, error);
}

static gboolean spawn(HfManaged *managed, const HfActor *actor, const char *host_id, HfJobsWork work, char **session,
                      GError **error)
{
  Errand *errand = g_new0(Errand, 1);
  errand->managed = managed;
  return spawn_errand(errand, actor, host_id, work, session, error);
}

static gboolean run_rescan(HfJobsRun *run, gpointer data, const char **result G_GNUC_UNUSED, GError **error)
{
  const Errand *errand = data;
  g_auto(HfInstallerStatus) status = { 0 };
  hf_hosts_nudge(errand->managed->hosts, errand->host_id);
  if (!hf_hosts_wait(errand->managed->hosts, errand->host_id, 15000, error) ||
      !look(errand->managed, errand->host_id, &status, error))
    return FALSE;
  for (guint i = 0; i < status.n_roles; i++)
    hf_run_log(run, status.roles[i].running || !status.roles[i].wanted ? HF_LINE_SUCCEEDED : HF_LINE_WARNING,
               "Role %s: %s", status.roles[i].name, status.roles[i].running ? "listens" : "does not listen");
  return TRUE;
}

gboolean hf_managed_rescan(HfManaged *managed, const HfActor *actor, const char *host_id, char **session,
                           GError **error)
{
  return spawn(managed, actor, host_id, run_rescan, session, error);
}

/* ---- Upgrades, roles, logs. ---- */

static gboolean run_upgrade(HfJobsRun *run, gpointer data, const char **result G_GNUC_UNUSED, GError **error)
{
  const Errand *errand = data;
  HfHosts *hosts = errand->managed->hosts;
  if (!hf_hosts_wait(hosts, errand->host_id, FIRST_CALL_MS, error) ||
      !hf_hosts_upgrade(hosts, errand->host_id, errand->path, errand->version, errand->package, error))
    return FALSE;
  hf_run_log(run, HF_LINE_SUCCEEDED, "The host has agent %s and installs it when no task runs there", errand->version);
  return TRUE;
}

gboolean hf_managed_upgrade(HfManaged *managed, const HfActor *actor, const char *host_id, const HfManagedAgent *agent,
                            char **session, GError **error)
{
  Errand *errand = g_new0(Errand, 1);
  errand->managed = managed;
  errand->path = g_strdup(agent->path);
  errand->version = g_strdup(agent->version);
  errand->package = agent->package;
  return spawn_errand(errand, actor, host_id, run_upgrade, session, error);
}

static gboolean run_role(HfJobsRun *run, gpointer data, const char **result G_GNUC_UNUSED, GError **error)
{
  const Errand *errand = data;
  HfManaged *managed = errand->managed;
  const char *state = errand->act == HF_INSTALLER_ROLE_ACT_STOP ? "stopped" : "running";
  g_auto(HfInstallerStatus) status = { 0 };
  if (!hf_hosts_wait(managed->hosts, errand->host_id, FIRST_CALL_MS, error) ||
      !look(managed, errand->host_id, &status, error) ||
      !hf_hosts_role(managed->hosts, errand->host_id, errand->role, errand->act, error))
    return FALSE;
  if (g_str_equal(errand->role, "installer")) { /* it carries the answer, and ends after it: nobody saw it come back */
    hf_run_log(run, HF_LINE_SUCCEEDED, "Role installer starts anew; the host answers again in a moment");
    return TRUE;
  }
  const HfInstallerRole *role = role_of(&status, errand->role);
  guint32 before = role != NULL && errand->act == HF_INSTALLER_ROLE_ACT_RESTART ? role->pid : 0;
  if (!await_role(managed, errand->host_id, errand->role, state, before, error))
    return FALSE;
  hf_run_log(run, HF_LINE_SUCCEEDED, "Role %s is %s", errand->role, state);
  return TRUE;
}

gboolean hf_managed_role(HfManaged *managed, const HfActor *actor, const char *host_id, const HfManagedRole *wish,
                         char **session, GError **error)
{
  Errand *errand = g_new0(Errand, 1);
  errand->managed = managed;
  errand->role = g_strdup(wish->role);
  errand->act = wish->act;
  return spawn_errand(errand, actor, host_id, run_role, session, error);
}

static char *logs_path(const HfManaged *managed, const char *host_id)
{
  g_autofree char *name = g_strconcat(host_id, ".tar", NULL);
  return g_build_filename(managed->state_folder, "logs", name, NULL);
}

static gboolean run_logs(HfJobsRun *run, gpointer data, const char **result G_GNUC_UNUSED, GError **error)
{
  const Errand *errand = data;
  g_autofree char *path = logs_path(errand->managed, errand->host_id), *folder = g_path_get_dirname(path);
  g_autofree char *draft = g_strconcat(path, ".new", NULL);
  if (g_mkdir_with_parents(folder, 0700) != 0)
    return hf_fail_errno(error, errno, "cannot make the folder '%s'", folder);
  if (!hf_hosts_wait(errand->managed->hosts, errand->host_id, FIRST_CALL_MS, error) ||
      !hf_hosts_collect_logs(errand->managed->hosts, errand->host_id, 0, draft, error))
    return FALSE;
  if (g_rename(draft, path) != 0)
    return hf_fail_errno(error, errno, "cannot rename '%s'", draft);
  hf_run_log(run, HF_LINE_SUCCEEDED, "The logs are here");
  return TRUE;
}

gboolean hf_managed_logs(HfManaged *managed, const HfActor *actor, const char *host_id, char **session, GError **error)
{
  return spawn(managed, actor, host_id, run_logs, session, error);
}

GBytes *hf_managed_logs_read(const HfManaged *managed, const char *host_id, GError **error)
{
  char *text;
  gsize length;
  g_autofree char *path = logs_path(managed, host_id);
  if (g_file_get_contents(path, &text, &length, NULL))
    return g_bytes_new_take(text, length);
  hf_fail(error, HF_ERROR_NOT_FOUND, "no logs of this host were fetched; fetch them first");
  return NULL;
}

static gboolean run_remove(HfJobsRun *run, gpointer data, const char **result, GError **error)
{
  const Errand *errand = data;
  HfManaged *managed = errand->managed;
  g_autoptr(GError) why = NULL;
  g_autoptr(GPtrArray) writers = hf_inv_writers_for(managed->inv, errand->host_id, error);
  if (writers == NULL || !hf_inv_host_delete(managed->inv, &hf_actor_server, errand->host_id, error))
    return FALSE;
  if (!hf_hosts_forget(managed->hosts, errand->host_id, &why)) {
    hf_run_log(run, HF_LINE_WARNING, "The host could not be told: %s; run 'holdfast-agent unenroll' there",
               why->message);
    *result = HF_RESULT_WARNING;
    hf_hosts_remove(managed->hosts, errand->host_id);
  }
  g_auto(GStrv) revoked = hf_inv_certificates_revoked(managed->inv, error);
  if (revoked == NULL)
    return FALSE;
  hf_hosts_set_revoked(managed->hosts, (const char *const *)revoked);
  /* Whoever has kept what the host was given must not write in its name. */
  if (!hf_jobs_writers_remove(managed->jobs, run, writers))
    *result = HF_RESULT_WARNING;
  return TRUE;
}

gboolean hf_managed_remove(HfManaged *managed, const HfActor *actor, const char *host_id, char **session,
                           GError **error)
{
  return spawn(managed, actor, host_id, run_remove, session, error);
}
