/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Hosts, repositories and proxies. What takes time is done elsewhere (api/actions.h). */
#include <string.h>

#include "api/call.h"
#include "api/routes.gen.h"
#include "server/inventory/hosts.h"
#include "server/inventory/repositories.h"

#define MEGABYTE 1000000

static void replace(char **text, const char *with)
{
  if (with == NULL)
    return;
  g_free(*text);
  *text = g_strdup(with);
}

static const char *text_or_empty(json_t *body, const char *path)
{
  const char *text = hf_api_text_at(body, path);
  return text != NULL ? text : "";
}

/* NULL for no id and for the one that means none. */
static const char *id_at(json_t *body, const char *path)
{
  const char *id = hf_api_text_at(body, path);
  return id == NULL || strcmp(id, HF_API_NO_ID) == 0 ? NULL : id;
}

/* ---- Hosts ---- */

static gboolean add_host(HfApiCall *call, const HfApiHostSpec *spec, GError **error)
{
  char *session = NULL;
  HfApiActor by = hf_api_actor(call);
  const HfApiActions *actions = call->api->settings.actions;
  return HF_API_NEED(call, host_add, error) && actions->host_add(actions->data, &by, spec, &session, error) &&
         hf_api_answer_session(call, session, error);
}

gboolean hf_api_host_add(HfApiCall *call, GError **error)
{
  json_t *body = call->body, *once = hf_api_at(body, "singleUseCredentials");
  const char *storage = hf_api_text_at(body, "credentialsStorageType");
  HfApiHostSpec spec = {
    .name = hf_api_text_at(body, "name"),
    .description = text_or_empty(body, "description"),
    .ssh = strcmp(storage, "Certificate") != 0,
    .credential_id = strcmp(storage, "Permanent") == 0 ? id_at(body, "credentialsId") : NULL,
    .fingerprint = hf_api_text_at(body, "sshFingerprint"),
    .token = hf_api_text_at(body, "handshakeCode"),
  };
  if (strcmp(storage, "SingleUse") == 0) {
    spec.user = hf_api_text_at(once, "username");
    spec.password = hf_api_text_at(once, "password");
    spec.private_key = hf_api_text_at(once, "privateKey");
    spec.passphrase = hf_api_text_at(once, "passphrase");
    spec.elevate = hf_api_bool_at(once, "elevateToRoot", FALSE);
    spec.ssh_port = (int)hf_api_int_at(once, "SSHPort", 0);
  }
  if (spec.ssh && spec.credential_id == NULL && spec.user == NULL)
    return hf_fail(error, HF_ERROR_USAGE, "'credentialsId' or 'singleUseCredentials' is needed to log into the host");
  if (!spec.ssh && spec.token == NULL)
    return hf_fail(error, HF_ERROR_USAGE, "'handshakeCode' is needed: the token of holdfast-agent enroll");
  return add_host(call, &spec, error);
}

gboolean hf_api_host_enrol(HfApiCall *call, GError **error)
{
  HfApiHostSpec spec = {
    .name = hf_api_text_at(call->body, "name"),
    .description = text_or_empty(call->body, "description"),
    .token = hf_api_text_at(call->body, "token"),
  };
  return add_host(call, &spec, error);
}

gboolean hf_api_host_change(HfApiCall *call, GError **error)
{
  g_autoptr(HfHostRow) row = hf_inv_host_get(hf_api_inventory(call), call->params[0], error);
  if (row == NULL)
    return FALSE;
  replace(&row->name, hf_api_text_at(call->body, "name"));
  replace(&row->description, hf_api_text_at(call->body, "description"));
  if (hf_api_text_at(call->body, "credentialsId") != NULL) {
    g_free(row->credentials_id);
    row->credentials_id = g_strdup(id_at(call->body, "credentialsId"));
  }
  g_autofree char *name = g_strdup_printf("Change host '%s'", row->name);
  return hf_inv_host_change(hf_api_inventory(call), call->actor, row, error) &&
         hf_api_answer_done(call, name, row->id, error);
}

typedef gboolean (*HostAction)(gpointer data, const HfApiActor *by, const char *host_id, char **session,
                               GError **error);

/* The answer is the session that the action begins about the host of the path. */
static gboolean about_host(HfApiCall *call, HostAction action, GError **error)
{
  char *session = NULL;
  HfApiActor by = hf_api_actor(call);
  return hf_api_exists(call, &hf_api_view_host, call->params[0], error) &&
         action(call->api->settings.actions->data, &by, call->params[0], &session, error) &&
         hf_api_answer_session(call, session, error);
}

gboolean hf_api_host_remove(HfApiCall *call, GError **error)
{
  return HF_API_NEED(call, host_remove, error) && about_host(call, call->api->settings.actions->host_remove, error);
}

gboolean hf_api_host_rescan(HfApiCall *call, GError **error)
{
  return HF_API_NEED(call, host_rescan, error) && about_host(call, call->api->settings.actions->host_rescan, error);
}

/* One session for each; the last is the answer, as clients expect one. */
gboolean hf_api_hosts_rescan(HfApiCall *call, GError **error)
{
  HfApiActor by = hf_api_actor(call);
  const HfApiActions *actions = call->api->settings.actions;
  json_t *list = hf_api_at(call->body, "ids"), *item;
  g_autoptr(GPtrArray) ids = g_ptr_array_new_with_free_func(g_free);
  g_autofree char *session = NULL;
  size_t index;
  json_array_foreach(list, index, item) {
    g_ptr_array_add(ids, g_strdup(json_string_value(item)));
  }
  g_autoptr(GPtrArray) hosts = ids->len > 0 ? NULL : hf_inv_hosts_load(hf_api_inventory(call), error);
  if (!HF_API_NEED(call, host_rescan, error) || (ids->len == 0 && hosts == NULL))
    return FALSE;
  for (guint i = 0; hosts != NULL && i < hosts->len; i++)
    g_ptr_array_add(ids, g_strdup(((const HfHostRow *)hosts->pdata[i])->id));
  for (guint i = 0; i < ids->len; i++) /* before anything is begun */
    if (!hf_api_exists(call, &hf_api_view_host, ids->pdata[i], error))
      return FALSE;
  for (guint i = 0; i < ids->len; i++) {
    g_clear_pointer(&session, g_free);
    if (!actions->host_rescan(actions->data, &by, ids->pdata[i], &session, error))
      return FALSE;
  }
  return session != NULL ? hf_api_answer_session(call, g_steal_pointer(&session), error)
                         : hf_fail(error, HF_ERROR_NOT_FOUND, "there are no hosts yet");
}

gboolean hf_api_host_upgrade(HfApiCall *call, GError **error)
{
  return HF_API_NEED(call, host_upgrade, error) && about_host(call, call->api->settings.actions->host_upgrade, error);
}

gboolean hf_api_host_role(HfApiCall *call, GError **error)
{
  char *session = NULL;
  HfApiActor by = hf_api_actor(call);
  const HfApiActions *actions = call->api->settings.actions;
  return hf_api_exists(call, &hf_api_view_host, call->params[0], error) && HF_API_NEED(call, host_role, error) &&
         actions->host_role(actions->data, &by, call->params[0], hf_api_text_at(call->body, "role"),
                            hf_api_text_at(call->body, "action"), &session, error) &&
         hf_api_answer_session(call, session, error);
}

gboolean hf_api_host_logs(HfApiCall *call, GError **error)
{
  return HF_API_NEED(call, host_logs, error) && about_host(call, call->api->settings.actions->host_logs, error);
}

gboolean hf_api_host_logs_read(HfApiCall *call, GError **error)
{
  const HfApiActions *actions = call->api->settings.actions;
  if (!hf_api_exists(call, &hf_api_view_host, call->params[0], error) || !HF_API_NEED(call, host_logs_read, error))
    return FALSE;
  g_autoptr(GBytes) bytes = actions->host_logs_read(actions->data, call->params[0], error);
  if (bytes == NULL)
    return FALSE;
  call->content_type = "application/x-tar";
  g_string_append_len(call->out.text, g_bytes_get_data(bytes, NULL), (gssize)g_bytes_get_size(bytes));
  return TRUE;
}

gboolean hf_api_host_key(HfApiCall *call, GError **error)
{
  g_autofree char *fingerprint = NULL, *algorithm = NULL;
  const HfApiActions *actions = call->api->settings.actions;
  if (!HF_API_NEED(call, host_key, error) ||
      !actions->host_key(actions->data, hf_api_text_at(call->body, "serverName"),
                         (int)hf_api_int_at(call->body, "port", 0), &fingerprint, &algorithm, error))
    return FALSE;
  hf_api_out_open(&call->out, '{');
  hf_api_out_pair(&call->out, "fingerprint", fingerprint);
  hf_api_out_close(&call->out, '}');
  return TRUE;
}

/* ---- Repositories ---- */

gboolean hf_api_repository_create(HfApiCall *call, GError **error)
{
  json_t *body = call->body, *settings = hf_api_at(body, "repository");
  char *session = NULL;
  HfApiActor by = hf_api_actor(call);
  const HfApiActions *actions = call->api->settings.actions;
  HfApiRepositorySpec spec = {
    .name = hf_api_text_at(body, "name"),
    .description = text_or_empty(body, "description"),
    .host_id = hf_api_text_at(body, "hostId"),
    .path = hf_api_text_at(settings, "path"),
    .hardened = strcmp(hf_api_text_at(body, "type"), "LinuxHardened") == 0,
    .immutable_days = (guint)hf_api_int_at(settings, "makeRecentBackupsImmutableDays", 0),
    .import = hf_api_bool_at(body, "importBackup", FALSE),
    .password_id = id_at(body, "encryptionPasswordId"),
  };
  if (hf_api_bool_at(settings, "taskLimitEnabled", TRUE))
    spec.max_tasks = (guint)hf_api_int_at(settings, "maxTaskCount", 0);
  if (hf_api_bool_at(settings, "readWriteLimitEnabled", FALSE))
    spec.rate_bytes = (guint64)hf_api_int_at(settings, "readWriteRate", 0) * MEGABYTE;
  if (spec.path == NULL || spec.path[0] != '/')
    return hf_fail(error, HF_ERROR_USAGE, "'repository.path' must be an absolute path on the host");
  if (spec.hardened && spec.immutable_days == 0)
    return hf_fail(error, HF_ERROR_USAGE, "'repository.makeRecentBackupsImmutableDays' must be at least 1");
  return hf_api_exists(call, &hf_api_view_host, spec.host_id, error) && HF_API_NEED(call, repository_create, error) &&
         actions->repository_create(actions->data, &by, &spec, &session, error) &&
         hf_api_answer_session(call, session, error);
}

static void fill_repository(HfRepositoryRow *row, json_t *body)
{
  json_t *settings = hf_api_at(body, "repository");
  replace(&row->name, hf_api_text_at(body, "name"));
  replace(&row->description, hf_api_text_at(body, "description"));
  row->task_limit = hf_api_int_at(settings, "maxTaskCount", row->task_limit);
  if (!hf_api_bool_at(settings, "taskLimitEnabled", row->task_limit > 0))
    row->task_limit = 0;
  row->rate_limit = hf_api_int_at(settings, "readWriteRate", row->rate_limit / MEGABYTE) * MEGABYTE;
  if (!hf_api_bool_at(settings, "readWriteLimitEnabled", row->rate_limit > 0))
    row->rate_limit = 0;
  row->immutable_days = hf_api_int_at(settings, "makeRecentBackupsImmutableDays", row->immutable_days);
}

gboolean hf_api_repository_change(HfApiCall *call, GError **error)
{
  const HfApiActions *actions = call->api->settings.actions;
  g_autoptr(HfRepositoryRow) row = hf_inv_repository_get(hf_api_inventory(call), call->params[0], error);
  if (row == NULL)
    return FALSE;
  if (strcmp(row->type, hf_api_text_at(call->body, "type")) != 0)
    return hf_fail(error, HF_ERROR_USAGE, "the type of a repository cannot be changed");
  const char *path = hf_api_text_at(call->body, "repository.path");
  if (path != NULL && strcmp(path, row->path) != 0)
    return hf_fail(error, HF_ERROR_USAGE, "the path of a repository cannot be changed; take it in anew from there");
  fill_repository(row, call->body);
  if (!hf_inv_repository_change(hf_api_inventory(call), call->actor, row, error))
    return FALSE;
  if (actions->repository_changed != NULL)
    actions->repository_changed(actions->data, row->id);
  g_autofree char *name = g_strdup_printf("Change repository '%s'", row->name);
  return hf_api_answer_done(call, name, row->id, error);
}

gboolean hf_api_repository_remove(HfApiCall *call, GError **error)
{
  HfApiActor by = hf_api_actor(call);
  const HfApiActions *actions = call->api->settings.actions;
  return hf_api_exists(call, &hf_api_view_repository, call->params[0], error) &&
         HF_API_NEED(call, repository_remove, error) &&
         actions->repository_remove(actions->data, &by, call->params[0],
                                    hf_api_parameter_bool(call, "deleteBackups", FALSE), error);
}

/* One session for each; the last is the answer, as clients expect one. */
gboolean hf_api_repository_rescan(HfApiCall *call, GError **error)
{
  HfApiActor by = hf_api_actor(call);
  const HfApiActions *actions = call->api->settings.actions;
  json_t *ids = hf_api_at(call->body, "repositoryIds"), *id;
  char *session = NULL;
  size_t index;
  if (!HF_API_NEED(call, repository_rescan, error))
    return FALSE;
  if (json_array_size(ids) == 0)
    return hf_fail(error, HF_ERROR_USAGE, "'repositoryIds' is empty");
  json_array_foreach(ids, index, id)
  {
    g_clear_pointer(&session, g_free);
    if (!hf_api_exists(call, &hf_api_view_repository, json_string_value(id), error) ||
        !actions->repository_rescan(actions->data, &by, json_string_value(id), &session, error))
      return FALSE;
  }
  return hf_api_answer_session(call, session, error);
}

/* ---- Proxies ---- */

gboolean hf_api_proxy_create(HfApiCall *call, GError **error)
{
  json_t *body = call->body;
  g_autoptr(HfProxyRow) row = g_new0(HfProxyRow, 1);
  g_autoptr(HfHostRow) host = hf_inv_host_get(hf_api_inventory(call), hf_api_text_at(body, "server.hostId"), error);
  if (host == NULL)
    return FALSE;
  const char *name = hf_api_text_at(body, "name");
  row->name = g_strdup(name != NULL && *name != '\0' ? name : host->name);
  row->description = g_strdup(text_or_empty(body, "description"));
  row->type = g_strdup(hf_api_text_at(body, "type"));
  row->host_id = g_strdup(host->id);
  row->max_tasks = hf_api_int_at(body, "server.maxTaskCount", 2);
  g_autofree char *title = g_strdup_printf("Make '%s' a proxy", row->name);
  return hf_inv_proxy_create(hf_api_inventory(call), call->actor, row, error) &&
         hf_api_answer_done(call, title, row->id, error);
}

gboolean hf_api_proxy_change(HfApiCall *call, GError **error)
{
  g_autoptr(HfProxyRow) row = hf_inv_proxy_get(hf_api_inventory(call), call->params[0], error);
  if (row == NULL)
    return FALSE;
  if (strcmp(row->host_id, hf_api_text_at(call->body, "server.hostId")) != 0)
    return hf_fail(error, HF_ERROR_USAGE, "the host of a proxy cannot be changed; make another proxy");
  replace(&row->name, hf_api_text_at(call->body, "name"));
  replace(&row->description, hf_api_text_at(call->body, "description"));
  row->max_tasks = hf_api_int_at(call->body, "server.maxTaskCount", row->max_tasks);
  g_autofree char *title = g_strdup_printf("Change proxy '%s'", row->name);
  return hf_inv_proxy_change(hf_api_inventory(call), call->actor, row, error) &&
         hf_api_answer_done(call, title, row->id, error);
}

gboolean hf_api_proxy_delete(HfApiCall *call, GError **error)
{
  return hf_inv_proxy_delete(hf_api_inventory(call), call->actor, call->params[0], error);
}

gboolean hf_api_proxy_enable(HfApiCall *call, GError **error)
{
  return hf_inv_proxy_switch(hf_api_inventory(call), call->actor, call->params[0], FALSE, error);
}

gboolean hf_api_proxy_disable(HfApiCall *call, GError **error)
{
  return hf_inv_proxy_switch(hf_api_inventory(call), call->actor, call->params[0], TRUE, error);
}
