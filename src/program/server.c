/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "program/server.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/api.h"
#include "program/actions.h"
#include "base/error.h"
#include "base/work.h"
#include "net/pki.h"
#include "ports/catalogue/catalogue.h"
#include "server/hosts/identity.h"
#include "server/inventory/repositories.h"
#include "server/inventory/sessions.h"

#define READERS 16u
#define CARE_US (60 * G_USEC_PER_SEC)
#define TELL_US (15 * G_USEC_PER_SEC)
#define DAY_US (G_GINT64_CONSTANT(86400) * G_USEC_PER_SEC)
#define KEEP_SESSIONS_US (365 * DAY_US)
#define KEEP_AUDIT_US (3 * 365 * DAY_US)
#define WAIT_HOSTS_MS 30000
#define OWN_DAYS 3650u

struct HfServer {
  char *state;
  int lock; /* of the state folder */
  HfDb *db;
  HfSecrets *secrets;
  HfAuth *auth;
  HfInventory inventory;
  HfNotify *notify;
  HfServerIdentity *identity;
  HfManaged managed;
  HfHosts *hosts;
  HfJobs *jobs;
  HfScheduler *scheduler;
  HfProgramActions real;
  HfApiActions actions;
  HfApi *api;
  char *certificate; /* of the interface, PEM */
  GThread *care;
  GMutex mutex; /* guards what follows */
  GCond wake;
  gboolean stop;
};

/* ---- Settings. ---- */

void hf_server_settings_free(HfServerSettings *settings)
{
  if (settings == NULL)
    return;
  char *texts[] = { settings->state, settings->database, settings->name, settings->address, settings->certificate,
                    settings->key, settings->agent_package, settings->agent_program };
  for (gsize i = 0; i < G_N_ELEMENTS(texts); i++)
    g_free(texts[i]);
  g_free(settings);
}

static gboolean take_key(HfServerSettings *settings, const char *key, const char *value, GError **error)
{
  const struct {
    const char *key;
    char **member;
  } texts[] = {
    { "state", &settings->state },           { "database", &settings->database },
    { "name", &settings->name },             { "address", &settings->address },
    { "certificate", &settings->certificate }, { "key", &settings->key },
    { "agent-package", &settings->agent_package }, { "agent-program", &settings->agent_program },
  };
  for (gsize i = 0; i < G_N_ELEMENTS(texts); i++)
    if (g_str_equal(key, texts[i].key)) {
      g_free(*texts[i].member);
      *texts[i].member = g_strdup(value);
      return TRUE;
    }
  guint64 port;
  if (!g_str_equal(key, "port"))
    return hf_fail(error, HF_ERROR_USAGE, "'%s' is no setting of the server", key);
  if (!g_ascii_string_to_unsigned(value, 10, 0, G_MAXUINT16, &port, NULL))
    return hf_fail(error, HF_ERROR_USAGE, "'port' must be a number from 0 to 65535, not '%s'", value);
  settings->port = (int)port;
  return TRUE;
}

static gboolean read_file(HfServerSettings *settings, const char *path, gboolean needed, GError **error)
{
  g_autoptr(GKeyFile) file = g_key_file_new();
  g_autoptr(GError) why = NULL;
  if (!g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, &why)) {
    if (!needed && g_error_matches(why, G_FILE_ERROR, G_FILE_ERROR_NOENT))
      return TRUE;
    return hf_fail(error, HF_ERROR_USAGE, "cannot read '%s': %s", path, why->message);
  }
  g_auto(GStrv) keys = g_key_file_get_keys(file, "server", NULL, NULL);
  for (guint i = 0; keys != NULL && keys[i] != NULL; i++) {
    g_autofree char *value = g_key_file_get_string(file, "server", keys[i], NULL);
    if (!take_key(settings, keys[i], value != NULL ? value : "", error)) {
      g_prefix_error(error, "%s: ", path);
      return FALSE;
    }
  }
  return TRUE;
}

HfServerSettings *hf_server_settings_load(const char *config, const char *state, GError **error)
{
  g_autoptr(HfServerSettings) settings = g_new0(HfServerSettings, 1);
  settings->state = g_strdup(HF_SERVER_STATE);
  settings->name = g_strdup(g_get_host_name());
  settings->port = -1;
  if (!read_file(settings, config != NULL ? config : HF_SERVER_CONFIG, config != NULL, error) ||
      (state != NULL && !take_key(settings, "state", state, error)))
    return NULL;
  return g_steal_pointer(&settings);
}

/* ---- The authority: sealed in the database. ---- */

#define IDENTITY_SETTING "identity"
#define IDENTITY_PLACE "settings.identity"

typedef struct Text {
  const char *name;
  char **member;
} Text;
#define IDENTITY_TEXTS(identity)                                                                             \
  {                                                                                                          \
    { "uuid", &(identity)->uuid }, { "authority", &(identity)->authority },                                   \
      { "authority_key", &(identity)->authority_key }, { "order_certificate", &(identity)->order_certificate }, \
      { "order_key", &(identity)->order_key }, { "certificate", &(identity)->certificate },                   \
      { "key", &(identity)->key },                                                                           \
  }

static gboolean put_setting(HfDbLink *link, gpointer user, GError **error)
{
  return hf_db_set_setting(link, IDENTITY_SETTING, user, error);
}

static gboolean keep_identity(HfServer *server, GError **error)
{
  HfServerIdentity *identity = server->identity;
  const Text texts[] = IDENTITY_TEXTS(identity);
  json_t *document = json_object();
  for (gsize i = 0; i < G_N_ELEMENTS(texts); i++)
    json_object_set_new(document, texts[i].name, json_string(*texts[i].member));
  char *plain = json_dumps(document, JSON_COMPACT);
  json_decref(document);
  g_autoptr(GBytes) sealed =
    hf_secrets_seal(server->secrets, IDENTITY_PLACE, IDENTITY_SETTING, plain, strlen(plain), error);
  hf_wipe(plain, strlen(plain));
  free(plain);
  if (sealed == NULL)
    return FALSE;
  g_autofree char *text = g_base64_encode(g_bytes_get_data(sealed, NULL), g_bytes_get_size(sealed));
  return hf_db_write(server->db, put_setting, text, error);
}

static HfServerIdentity *open_identity(HfServer *server, const char *text, GError **error)
{
  gsize length;
  guint8 *bytes = g_base64_decode(text, &length);
  g_autoptr(GBytes) sealed = g_bytes_new_take(bytes, length);
  g_autoptr(HfSecret) plain =
    hf_secrets_unseal(server->secrets, IDENTITY_PLACE, IDENTITY_SETTING, sealed, NULL, error);
  if (plain == NULL)
    return NULL;
  g_autoptr(HfServerIdentity) identity = g_new0(HfServerIdentity, 1);
  const Text texts[] = IDENTITY_TEXTS(identity);
  json_t *document = json_loads(plain, 0, NULL);
  gboolean whole = TRUE;
  for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
    *texts[i].member = g_strdup(json_string_value(json_object_get(document, texts[i].name)));
    whole = whole && *texts[i].member != NULL;
  }
  json_decref(document);
  if (whole)
    return g_steal_pointer(&identity);
  hf_fail(error, HF_ERROR_DAMAGED, "the authority in the database is not whole; restore the database from a copy");
  return NULL;
}

static gboolean load_identity(HfServer *server, const HfServerSettings *settings, GError **error)
{
  g_autoptr(HfDbLink) link = hf_db_read(server->db, error);
  if (link == NULL)
    return FALSE;
  g_autoptr(GError) why = NULL;
  g_autofree char *text = hf_db_setting(link, IDENTITY_SETTING, &why);
  g_clear_pointer(&link, hf_db_release);
  if (why != NULL) {
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
  }
  if (text != NULL) {
    server->identity = open_identity(server, text, error);
    return server->identity != NULL;
  }
  server->identity = hf_server_identity_new(settings->name, error);
  return server->identity != NULL && keep_identity(server, error);
}

/* Connections' certificate, before it ends. */
static gboolean renew_identity(HfServer *server, GError **error)
{
  g_autoptr(HfPeer) peer = hf_pki_peer(server->identity->certificate, error);
  if (peer == NULL || !hf_pki_renew_due(peer, hf_db_now() / G_USEC_PER_SEC))
    return peer != NULL;
  return hf_server_identity_renew(server->identity, NULL, error) && keep_identity(server, error) &&
    (server->hosts == NULL || hf_hosts_set_identity(server->hosts, server->identity, error));
}

/* ---- The interface's certificate. ---- */

static gboolean issue_own(HfServer *server, const HfServerSettings *settings, char **key, GError **error)
{
  g_autofree char *request = NULL, *own = NULL;
  const char *names[] = { settings->name, "localhost", "127.0.0.1", "::1", NULL };
  /* Clients pin its key: it lasts as long as the authority. */
  HfPkiGrant grant = { .kind = HF_PEER_SERVER, .uuid = server->identity->uuid, .name = settings->name, .names = names,
                       .days = OWN_DAYS };
  if (!hf_pki_new_request(settings->name, &request, key, error))
    return FALSE;
  own = hf_pki_issue(server->identity->authority, server->identity->authority_key, request, &grant, error);
  if (own == NULL)
    return FALSE;
  server->certificate = g_strconcat(own, server->identity->authority, NULL);
  return TRUE;
}

/* One that was given, or the one of the last start (clients pin it) until it has to be renewed, or a new one. */
static gboolean load_certificate(HfServer *server, const HfServerSettings *settings, char **key, GError **error)
{
  if (settings->certificate != NULL)
    return g_file_get_contents(settings->certificate, &server->certificate, NULL, error) &&
      g_file_get_contents(settings->key != NULL ? settings->key : settings->certificate, key, NULL, error);
  g_autofree char *path = g_build_filename(settings->state, "server.pem", NULL), *text = NULL;
  if (g_file_get_contents(path, &text, NULL, NULL)) {
    g_autoptr(HfPeer) peer = hf_pki_peer(text, NULL);
    const char *private_key = strstr(text, "-----BEGIN PRIVATE KEY");
    if (peer != NULL && private_key != NULL && !hf_pki_renew_due(peer, hf_db_now() / G_USEC_PER_SEC)) {
      *key = g_strdup(private_key);
      server->certificate = g_strndup(text, (gsize)(private_key - text));
      return TRUE;
    }
  }
  if (!issue_own(server, settings, key, error))
    return FALSE;
  g_autofree char *both = g_strconcat(server->certificate, *key, NULL);
  gboolean kept = g_file_set_contents_full(path, both, -1, G_FILE_SET_CONTENTS_DURABLE, 0600, error);
  hf_wipe(both, strlen(both));
  return kept;
}

/* ---- Care: what has to be done now and then. ---- */

static void care(HfServer *server, gboolean daily)
{
  gint64 now = hf_db_now();
  hf_jobs_refresh_space(server->jobs);
  hf_auth_sweep(server->auth, NULL);
  if (!daily)
    return;
  g_autoptr(GError) why = NULL;
  if (!renew_identity(server, &why))
    g_warning("the server's certificate could not be renewed: %s", why->message);
  hf_hosts_renew(server->hosts, FALSE);
  hf_inv_sessions_sweep(&server->inventory, now - KEEP_SESSIONS_US, NULL);
  hf_audit_sweep(server->db, now - KEEP_AUDIT_US, NULL);
}

/* Has `period` passed since *last (0: never done)? Then it counts as done now. */
static gboolean is_time(gint64 *last, gint64 period)
{
  gint64 now = g_get_monotonic_time();
  if (*last != 0 && now - *last < period)
    return FALSE;
  *last = now;
  return TRUE;
}

static gpointer care_main(gpointer data)
{
  HfServer *server = data;
  gint64 cared = 0, day = 0;
  g_mutex_lock(&server->mutex);
  while (!server->stop) {
    g_mutex_unlock(&server->mutex);
    hf_hosts_tell_again(server->hosts);
    if (is_time(&cared, CARE_US))
      care(server, is_time(&day, DAY_US));
    g_mutex_lock(&server->mutex);
    gint64 until = g_get_monotonic_time() + TELL_US;
    while (!server->stop && g_cond_wait_until(&server->wake, &server->mutex, until))
      ;
  }
  g_mutex_unlock(&server->mutex);
  return NULL;
}

/* ---- Starting. ---- */

static gboolean take_folder(HfServer *server, const HfServerSettings *settings, GError **error)
{
  g_autofree char *path = g_build_filename(settings->state, "lock", NULL);
  if (g_mkdir_with_parents(settings->state, 0700) != 0)
    return hf_fail_errno(error, errno, "cannot make the state folder '%s'", settings->state);
  server->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (server->lock < 0)
    return hf_fail_errno(error, errno, "cannot use the state folder '%s'", settings->state);
  if (flock(server->lock, LOCK_EX | LOCK_NB) != 0)
    return hf_fail(error, HF_ERROR_BUSY, "another server works in '%s'; stop it first", settings->state);
  return TRUE;
}

static gboolean open_database(HfServer *server, const HfServerSettings *settings, char **password, GError **error)
{
  g_autofree char *own = g_build_filename(settings->state, "server.db", NULL);
  g_autofree char *seal = g_build_filename(settings->state, "seal.key", NULL);
  server->db = hf_db_open(settings->database != NULL ? settings->database : own, READERS, error);
  server->secrets = server->db == NULL ? NULL : hf_secrets_open(seal, TRUE, error);
  if (server->secrets == NULL)
    return FALSE;
  if (hf_db_kind(server->db) == HF_DB_POSTGRESQL)
    g_message("row %s: connected to the database", hf_port_service("postgresql")->source->id);
  server->inventory = (HfInventory){ server->db, server->secrets };
  server->auth = hf_auth_new(server->db, NULL, 0);
  return hf_auth_first_account(server->auth, password, error) && load_identity(server, settings, error) &&
    renew_identity(server, error);
}

static gboolean start_runner(HfServer *server, const HfServerSettings *settings, GError **error)
{
  HfHostsOps ops;
  HfJobsParts parts = { .inventory = &server->inventory, .state_folder = settings->state };
  server->notify = hf_notify_new(server->db, server->secrets, settings->name, error);
  if (server->notify == NULL)
    return FALSE;
  server->managed = (HfManaged){ .inv = &server->inventory, .notify = server->notify,
                                  .state_folder = server->state };
  hf_managed_ops(&server->managed, &ops);
  server->hosts = hf_hosts_new(server->identity, &ops, error);
  if (server->hosts == NULL)
    return FALSE;
  parts.notify = server->notify;
  hf_hosts_for_jobs(server->hosts, &parts.hosts);
  server->jobs = hf_jobs_new(&parts);
  server->managed.jobs = server->jobs;
  server->managed.hosts = server->hosts;
  /* Runs wait for their tasks before hosts can tell about them. */
  if (!hf_jobs_resume(server->jobs, error) || !hf_managed_start(&server->managed, error))
    return FALSE;
  HfSchedulerCalls calls = { .start = hf_jobs_scheduled, .stop = hf_jobs_window_closed, .user = server->jobs };
  server->scheduler = hf_scheduler_new(server->db, NULL, &calls);
  hf_jobs_set_scheduler(server->jobs, server->scheduler);
  return TRUE;
}

static gboolean start_interface(HfServer *server, const HfServerSettings *settings, GError **error)
{
  char *key = NULL;
  if (!load_certificate(server, settings, &key, error))
    return FALSE;
  server->real = (HfProgramActions){ server->jobs, &server->managed, server->scheduler, settings->agent_package,
                                  settings->agent_program };
  hf_program_actions(&server->real, &server->actions);
  HfApiSettings api = { .db = server->db, .secrets = server->secrets, .auth = server->auth, .notify = server->notify,
                        .actions = &server->actions, .name = settings->name, .address = settings->address,
                        .port = settings->port, .certificate = server->certificate, .key = key };
  server->api = hf_api_start(&api, error);
  hf_pki_key_free(key);
  if (server->api == NULL)
    return FALSE;
  g_message("row %s: listening on port %d", hf_port_service("rest")->source->id, hf_api_port(server->api));
  return TRUE;
}

HfServer *hf_server_start(const HfServerSettings *settings, char **password, GError **error)
{
  g_autoptr(HfServer) server = g_new0(HfServer, 1);
  server->lock = -1;
  server->state = g_strdup(settings->state);
  g_mutex_init(&server->mutex);
  g_cond_init(&server->wake);
  *password = NULL;
  if (!take_folder(server, settings, error) || !open_database(server, settings, password, error) ||
      !start_runner(server, settings, error) || !start_interface(server, settings, error))
    return NULL;
  server->care = g_thread_new("care", care_main, server);
  return g_steal_pointer(&server);
}

void hf_server_stop(HfServer *server)
{
  if (server == NULL)
    return;
  g_mutex_lock(&server->mutex);
  server->stop = TRUE;
  g_cond_signal(&server->wake);
  g_mutex_unlock(&server->mutex);
  /* A host behind a cut cable must not hold up the end: whoever waits for one stops waiting. */
  if (server->jobs != NULL)
    hf_jobs_begin_end(server->jobs);
  if (server->hosts != NULL)
    hf_hosts_break(server->hosts);
  hf_api_stop(server->api);
  if (server->jobs != NULL)
    hf_jobs_set_scheduler(server->jobs, NULL);
  hf_scheduler_free(server->scheduler);
  if (server->care != NULL)
    g_thread_join(server->care);
  /* Nobody listens to the runner any more after this. */
  hf_jobs_end(server->jobs);
  hf_hosts_free(server->hosts);
  hf_jobs_free(server->jobs);
  hf_notify_free(server->notify);
  hf_server_identity_free(server->identity);
  hf_auth_free(server->auth);
  hf_secrets_free(server->secrets);
  hf_db_close(server->db);
  if (server->lock >= 0)
    close(server->lock);
  g_free(server->certificate);
  g_free(server->state);
  g_mutex_clear(&server->mutex);
  g_cond_clear(&server->wake);
  g_free(server);
}

int hf_server_port(const HfServer *server)
{
  return hf_api_port(server->api);
}

char *hf_server_fingerprint(const HfServer *server)
{
  return hf_pki_fingerprint(server->certificate, NULL);
}

gboolean hf_server_rescan(HfServer *server, GError **error)
{
  g_autoptr(GPtrArray) rows = hf_inv_repositories_load(&server->inventory, error);
  for (guint i = 0; rows != NULL && i < rows->len; i++)
    if (!hf_hosts_wait(server->hosts, ((HfRepositoryRow *)rows->pdata[i])->host_id, WAIT_HOSTS_MS, error))
      return FALSE;
  return rows != NULL && hf_jobs_rescan_all(server->jobs, error);
}
