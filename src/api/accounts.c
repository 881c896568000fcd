/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Accounts: who may log in, and one's own. */
#include "api/call.h"
#include "api/routes.gen.h"

static const char *text_or_empty(json_t *body, const char *name)
{
  const char *text = hf_api_text_at(body, name);
  return text != NULL ? text : "";
}

gboolean hf_api_account_create(HfApiCall *call, GError **error)
{
  HfRole role;
  g_autofree char *id = NULL;
  json_t *body = call->body;
  return hf_role_parse(hf_api_text_at(body, "role"), &role, error) &&
         hf_account_create(call->api->settings.auth, call->actor, hf_api_text_at(body, "name"),
                           text_or_empty(body, "description"), hf_api_text_at(body, "password"), role, &id, error) &&
         hf_api_answer_row(call, &hf_api_view_account, id, error);
}

gboolean hf_api_account_change(HfApiCall *call, GError **error)
{
  HfRole role;
  g_autoptr(HfAccountRow) row = hf_account_get(call->api->settings.auth, call->params[0], error);
  if (row == NULL || !hf_role_parse(hf_api_text_at(call->body, "role"), &role, error))
    return FALSE;
  const char *description = hf_api_text_at(call->body, "description");
  return hf_account_change(call->api->settings.auth, call->actor, row->id,
                           description != NULL ? description : row->description, role,
                           hf_api_bool_at(call->body, "isDisabled", row->disabled), error) &&
         hf_api_answer_row(call, &hf_api_view_account, row->id, error);
}

gboolean hf_api_account_delete(HfApiCall *call, GError **error)
{
  return hf_api_exists(call, &hf_api_view_account, call->params[0], error) &&
         hf_account_delete(call->api->settings.auth, call->actor, call->params[0], error);
}

gboolean hf_api_account_password(HfApiCall *call, GError **error)
{
  return hf_api_exists(call, &hf_api_view_account, call->params[0], error) &&
         hf_account_set_password(call->api->settings.auth, call->actor, call->params[0],
                                 hf_api_text_at(call->body, "password"), error) &&
         hf_api_answer_empty(call);
}

gboolean hf_api_self_get(HfApiCall *call, GError **error)
{
  (void)error;
  hf_api_out_open(&call->out, '{');
  hf_api_out_pair(&call->out, "id", call->actor->account_id);
  hf_api_out_pair(&call->out, "name", call->actor->account);
  hf_api_out_pair(&call->out, "role", hf_role_name(call->actor->role));
  hf_api_out_close(&call->out, '}');
  return TRUE;
}

/* The old password is proven by a login, so that guessing here is slowed as it is there. */
gboolean hf_api_self_password(HfApiCall *call, GError **error)
{
  HfAuth *auth = call->api->settings.auth;
  g_autoptr(GError) failed = NULL;
  g_autoptr(HfTokenPair) pair = hf_auth_login(auth, call->actor->account, hf_api_text_at(call->body, "oldPassword"),
                                              call->request->peer, TRUE, &failed);
  if (pair == NULL && hf_error_is(failed, HF_ERROR_PASSWORD))
    return hf_fail(error, HF_ERROR_PERMISSION, "the old password is another one");
  if (pair == NULL) {
    g_propagate_error(error, g_steal_pointer(&failed));
    return FALSE;
  }
  return hf_account_set_password(auth, call->actor, call->actor->account_id, hf_api_text_at(call->body, "password"),
                                 error) &&
         hf_api_answer_empty(call);
}
