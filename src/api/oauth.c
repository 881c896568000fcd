/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Logging in and out. */
#include <string.h>

#include "api/call.h"
#include "api/routes.gen.h"

static gboolean answer_pair(HfApiCall *call, const HfTokenPair *pair)
{
  HfApiOut *out = &call->out;
  call->secret = TRUE;
  hf_api_out_open(out, '{');
  hf_api_out_pair(out, "access_token", pair->access);
  hf_api_out_pair(out, "token_type", "bearer");
  hf_api_out_pair(out, "refresh_token", pair->refresh);
  hf_api_out_pair_int(out, "expires_in", (pair->access_expires - pair->issued) / G_USEC_PER_SEC);
  hf_api_out_pair_time(out, ".issued", pair->issued);
  hf_api_out_pair_time(out, ".expires", pair->access_expires);
  hf_api_out_close(out, '}');
  return TRUE;
}

static HfTokenPair *by_password(HfApiCall *call, GError **error)
{
  const char *name = hf_api_text_at(call->body, "username"), *password = hf_api_text_at(call->body, "password");
  if (name == NULL || password == NULL) {
    hf_fail(error, HF_ERROR_USAGE, "'username' and 'password' are needed");
    return NULL;
  }
  return hf_auth_login(call->api->settings.auth, name, password, call->request->peer,
                       hf_api_bool_at(call->body, "use_short_term_refresh", FALSE), error);
}

static HfTokenPair *by_refresh(HfApiCall *call, GError **error)
{
  const char *token = hf_api_text_at(call->body, "refresh_token");
  if (token != NULL)
    return hf_auth_refresh(call->api->settings.auth, token, call->request->peer, error);
  hf_fail(error, HF_ERROR_USAGE, "'refresh_token' is needed");
  return NULL;
}

gboolean hf_api_oauth_token(HfApiCall *call, GError **error)
{
  g_autoptr(GError) failed = NULL;
  g_autoptr(HfTokenPair) pair = NULL;
  const char *grant = hf_api_text_at(call->body, "grant_type");
  if (strcmp(grant, "password") == 0)
    pair = by_password(call, &failed);
  else if (strcmp(grant, "refresh_token") == 0)
    pair = by_refresh(call, &failed);
  else
    return hf_fail(error, HF_ERROR_USAGE, "this server has no such way to log in; use a password or a refresh token");
  if (pair != NULL)
    return answer_pair(call, pair);
  if (hf_error_is(failed, HF_ERROR_PERMISSION)) /* a refresh token that is worth nothing */
    hf_api_call_refuse(call, 401, "InvalidToken", failed->message);
  else if (hf_error_is(failed, HF_ERROR_BUSY)) /* slowed: clients take it for a wrong password and tell its words */
    hf_api_call_refuse(call, 401, "AccessDenied", failed->message);
  else
    return g_propagate_error(error, g_steal_pointer(&failed)), FALSE;
  return TRUE;
}

gboolean hf_api_oauth_logout(HfApiCall *call, GError **error)
{
  const char *token = strchr(call->request->authorization, ' ');
  while (*token == ' ')
    token++;
  return hf_auth_logout(call->api->settings.auth, token, error) && hf_api_answer_empty(call);
}
