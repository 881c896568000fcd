/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A request from its first byte to its answer: route, version, account, right, body, handler, errors. Knows no HTTP
 * library. */
#include "api/call.h"

#include <string.h>

#include "api/routes.gen.h"
#include "crypto/crypto.h"
#include "server/inventory/sessions.h"

/* ---- Refusals ---- */

void hf_api_call_refuse(HfApiCall *call, guint status, const char *code, const char *message)
{
  if (call->out.text == NULL)
    call->out.text = g_string_new(NULL);
  g_string_truncate(call->out.text, 0);
  call->out.comma = FALSE;
  call->out.depth = 0;
  call->status = status;
  call->content_type = "application/json";
  hf_api_out_open(&call->out, '{');
  hf_api_out_pair(&call->out, "errorCode", code);
  hf_api_out_pair(&call->out, "message", message);
  char id[37];
  if (status == 404 && call->params[0] != NULL && hf_api_uuid_parse(call->params[0], id))
    hf_api_out_pair(&call->out, "resourceId", call->params[0]);
  hf_api_out_close(&call->out, '}');
}

static const struct Refusal {
  int code;
  guint status;
  const char *name;
} refusals[] = {
  { HF_ERROR_NOT_FOUND, 404, "NotFound" },        { HF_ERROR_USAGE, 400, "UnexpectedContent" },
  { HF_ERROR_INVALID, 400, "UnexpectedContent" }, { HF_ERROR_PERMISSION, 403, "AccessDenied" },
  { HF_ERROR_PASSWORD, 401, "AccessDenied" },     { HF_ERROR_EXISTS, 409, "UnexpectedContent" },
  { HF_ERROR_BUSY, 409, "UnexpectedContent" },    { HF_ERROR_REFUSED, 403, "AccessDenied" },
  { HF_ERROR_UNSUPPORTED, 501, "NotImplemented" }, { HF_ERROR_NO_SPACE, 507, "ServiceUnavailable" },
};

static void refuse_error(HfApiCall *call, const GError *error)
{
  if (error->domain == HF_ERROR)
    for (guint i = 0; i < G_N_ELEMENTS(refusals); i++)
      if (refusals[i].code == error->code) {
        hf_api_call_refuse(call, refusals[i].status, refusals[i].name, error->message);
        return;
      }
  hf_api_call_refuse(call, 500, "UnknownError", error->message);
}

/* ---- Who asks, and may he? ---- */

static const char *bearer(const char *authorization)
{
  if (authorization == NULL || g_ascii_strncasecmp(authorization, "bearer ", 7) != 0)
    return NULL;
  authorization += 7;
  while (*authorization == ' ')
    authorization++;
  return *authorization == '\0' ? NULL : authorization;
}

static gboolean find_account(HfApiCall *call)
{
  g_autoptr(GError) error = NULL;
  const char *token = bearer(call->request->authorization);
  if (token == NULL) {
    hf_api_call_refuse(call, 401, "InvalidToken", "a token is needed; log in with POST /api/oauth2/token");
    return FALSE;
  }
  call->who = hf_auth_check(call->api->settings.auth, token, call->request->peer, &error);
  if (call->who != NULL) {
    call->actor = &call->who->actor;
    return TRUE;
  }
  if (hf_error_is(error, HF_ERROR_CANCELLED))
    hf_api_call_refuse(call, 401, "ExpiredToken", error->message);
  else if (hf_error_is(error, HF_ERROR_PERMISSION))
    hf_api_call_refuse(call, 401, "InvalidToken", error->message);
  else
    refuse_error(call, error);
  return FALSE;
}

static void note(HfApiCall *call, const GError *refused)
{
  const HfApiRoute *route = call->route;
  HfAudit audit = {
    .action = route->audit != NULL ? route->audit : route->operation,
    .object_kind = route->audit_kind != NULL ? route->audit_kind : "",
    .object_id = route->n_names > 0 ? call->params[0] : "",
    .object_name = "",
    .refused = refused,
  };
  g_autoptr(GError) error = NULL;
  if (!hf_audit_note(call->api->settings.db, call->actor, &audit, &error))
    g_warning("cannot write the audit trail: %s", error->message);
}

static gboolean may(HfApiCall *call)
{
  g_autoptr(GError) error = NULL;
  const HfApiRoute *route = call->route;
  if (route->right == HF_API_NOBODY || (route->right == HF_API_LOOPBACK && call->request->loopback))
    return TRUE;
  if (!find_account(call))
    return FALSE;
  if (route->right == HF_API_ANYBODY || hf_actor_may(call->actor, route->action, &error))
    return TRUE;
  if (strcmp(route->method, "GET") != 0)
    note(call, error);
  refuse_error(call, error);
  return FALSE;
}

/* ---- Parts of the request ---- */

static gboolean find_version(HfApiCall *call)
{
  int version = (int)hf_api_n_versions - 1;
  if (call->request->version != NULL)
    version = hf_api_version_find(call->request->version);
  if (version >= 0) {
    call->era = hf_api_versions[version].era;
    return TRUE;
  }
  hf_api_call_refuse(call, 400, "UnexpectedContent",
                     "x-api-version is not one that this server speaks; GET /api/v1/holdfast/apiVersions lists them");
  return FALSE;
}

static gboolean find_params(HfApiCall *call)
{
  guint n = 0;
  for (guint i = 0; i < call->path.n; i++) {
    if (call->route->segments[i] != NULL)
      continue;
    char *segment = call->path.segments[i];
    char id[37];
    gboolean free_text = strcmp(call->route->names[n], "name") == 0;
    if (!free_text && !hf_api_uuid_parse(segment, id)) {
      hf_api_call_refuse(call, 404, "NotFound", "an id in the path is no UUID");
      return FALSE;
    }
    if (!free_text)
      memcpy(segment, id, strlen(segment) >= 36 ? sizeof id : 0);
    call->params[n++] = segment;
  }
  return TRUE;
}

static gboolean find_route(HfApiCall *call)
{
  const char *target = call->request->target, *mark = strchr(target, '?');
  g_autofree char *path = mark == NULL ? g_strdup(target) : g_strndup(target, (gsize)(mark - target));
  g_autoptr(GError) error = NULL;
  gboolean valid = hf_api_path_parse(path, &call->path);
  if (valid)
    call->route = hf_api_route_find(call->request->method, &call->path, &call->allow);
  if (call->route == NULL) {
    if (call->allow != NULL)
      hf_api_call_refuse(call, 405, "MethodNotAllowed", "this address does not know the method");
    else
      hf_api_call_refuse(call, 404, "InvalidURI", "there is no such address");
    return FALSE;
  }
  mark = mark == NULL ? "" : mark + 1;
  call->query = hf_api_query_parse(mark, strlen(mark), HF_API_QUERY_URL, &error);
  if (call->query == NULL) {
    refuse_error(call, error);
    return FALSE;
  }
  return find_params(call);
}

static gboolean find_body(HfApiCall *call)
{
  const HfApiRequest *request = call->request;
  const HfApiSchema *schema = call->route->body;
  g_autoptr(GError) error = NULL;
  if (schema == NULL)
    return TRUE;
  gboolean json = request->content_type != NULL &&
                  g_ascii_strncasecmp(request->content_type, "application/json", 16) == 0;
  gboolean form = call->route->form && !json;
  json_t *body = hf_api_body_parse(request->body, request->length, form, &error);
  if (body != NULL)
    call->body = hf_api_check(schema, body, &error);
  hf_api_body_free(body);
  if (call->body != NULL)
    return TRUE;
  refuse_error(call, error);
  return FALSE;
}

static gboolean answer(HfApiCall *call, GError **error)
{
  if (call->route->handler != NULL)
    return call->route->handler(call, error);
  return call->route->list ? hf_api_list(call, error) : hf_api_get(call, error);
}

void hf_api_call_run(HfApiCall *call, HfApi *api, const HfApiRequest *request)
{
  g_autoptr(GError) error = NULL;
  *call = (HfApiCall){ .api = api, .request = request, .actor = &hf_actor_server, .content_type = "application/json" };
  call->now = hf_db_now() / G_USEC_PER_SEC * G_USEC_PER_SEC;
  call->out.text = g_string_sized_new(1024);
  if (!find_route(call) || !find_version(call) || !may(call) || !find_body(call))
    return;
  call->status = call->route->status;
  gboolean done = answer(call, &error);
  if (call->route->audit != NULL)
    note(call, error);
  if (!done)
    refuse_error(call, error);
  else
    g_assert(call->out.depth == 0);
}

void hf_api_call_clear(HfApiCall *call)
{
  hf_api_body_free(call->body);
  hf_who_free(call->who);
  hf_api_path_clear(&call->path);
  if (call->query != NULL)
    g_ptr_array_unref(call->query);
  if (call->out.text != NULL) {
    if (call->secret)
      hf_wipe(call->out.text->str, call->out.text->len);
    g_string_free(call->out.text, TRUE);
  }
  g_free(call->allow);
}

/* ---- For nouns ---- */

const HfInventory *hf_api_inventory(HfApiCall *call)
{
  return &call->api->inventory;
}

HfApiActor hf_api_actor(HfApiCall *call)
{
  return (HfApiActor){ call->actor->account_id, call->actor->account, call->request->peer };
}

const char *hf_api_parameter(HfApiCall *call, const char *name)
{
  return hf_api_query_get(call->query, name);
}

gboolean hf_api_parameter_bool(HfApiCall *call, const char *name, gboolean otherwise)
{
  const char *value = hf_api_parameter(call, name);
  if (value == NULL || *value == '\0')
    return otherwise;
  return g_ascii_strcasecmp(value, "true") == 0 || strcmp(value, "1") == 0;
}

gboolean hf_api_answer_session(HfApiCall *call, char *session, GError **error)
{
  g_autofree char *id = session;
  return hf_api_answer_row(call, &hf_api_view_session, id, error);
}

gboolean hf_api_answer_done(HfApiCall *call, const char *name, const char *resource_id, GError **error)
{
  g_autoptr(HfSessionRow) row = g_new0(HfSessionRow, 1);
  row->name = g_strdup(name);
  row->type = g_strdup("Infrastructure");
  row->resource_id = g_strdup(resource_id);
  return hf_inv_session_create(hf_api_inventory(call), call->actor, row, error) &&
         hf_inv_session_finish(hf_api_inventory(call), row->id, HF_RESULT_SUCCESS, "", FALSE, error) &&
         hf_api_answer_row(call, &hf_api_view_session, row->id, error);
}

gboolean hf_api_answer_empty(HfApiCall *call)
{
  hf_api_out_raw(&call->out, "{}");
  return TRUE;
}

static gboolean page_number(HfApiCall *call, const char *name, gint64 otherwise, gint64 *value, GError **error)
{
  const char *text = hf_api_parameter(call, name);
  *value = otherwise;
  if (text == NULL || *text == '\0')
    return TRUE;
  if (g_ascii_string_to_signed(text, 10, -1, G_MAXINT32, value, NULL)) {
    *value = MAX(*value, 0);
    return TRUE;
  }
  return hf_fail(error, HF_ERROR_USAGE, "parameter '%s' must be a whole number from 0", name);
}

gboolean hf_api_page_parse(HfApiCall *call, HfApiPage *page, GError **error)
{
  if (!page_number(call, "skip", 0, &page->skip, error) ||
      !page_number(call, "limit", HF_API_PAGE, &page->limit, error))
    return FALSE;
  page->most = page->limit == 0 ? HF_API_PAGE_MAX : MIN(page->limit, HF_API_PAGE_MAX);
  return TRUE;
}

void hf_api_page_write(HfApiCall *call, const HfApiPage *page, gint64 total, gint64 count)
{
  HfApiOut *out = &call->out;
  hf_api_out_key(out, "pagination");
  hf_api_out_open(out, '{');
  hf_api_out_pair_int(out, "total", total);
  hf_api_out_pair_int(out, "count", count);
  hf_api_out_pair_int(out, "skip", page->skip);
  hf_api_out_pair_int(out, "limit", page->limit == 0 ? count : page->most);
  hf_api_out_close(out, '}');
}
