/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Credentials of hosts, and passwords of repositories. */
#include <string.h>

#include "api/call.h"
#include "api/routes.gen.h"
#include "server/inventory/credentials.h"

static const char *text_or(json_t *body, const char *name, const char *otherwise)
{
  const char *text = hf_api_text_at(body, name);
  return text != NULL ? text : otherwise;
}

static void replace(char **text, const char *with)
{
  if (with == NULL || with == *text)
    return;
  g_free(*text);
  *text = g_strdup(with);
}

/* What the body says over what is there. */
static void fill(HfCredentialRow *row, json_t *body)
{
  replace(&row->username, hf_api_text_at(body, "username"));
  replace(&row->description, hf_api_text_at(body, "description"));
  replace(&row->authentication, hf_api_text_at(body, "authenticationType"));
  row->ssh_port = hf_api_int_at(body, "SSHPort", row->ssh_port);
  row->elevate_to_root = hf_api_bool_at(body, "elevateToRoot", row->elevate_to_root);
  row->add_to_sudoers = hf_api_bool_at(body, "addToSudoers", row->add_to_sudoers);
  row->use_su = hf_api_bool_at(body, "useSu", row->use_su);
}

gboolean hf_api_credentials_create(HfApiCall *call, GError **error)
{
  g_autoptr(HfCredentialRow) row = g_new0(HfCredentialRow, 1);
  row->type = g_strdup(hf_api_text_at(call->body, "type"));
  row->description = g_strdup("");
  row->authentication = g_strdup("Password");
  fill(row, call->body);
  HfCredentialSecrets secrets = {
    .password = hf_api_text_at(call->body, "password"),
    .private_key = hf_api_text_at(call->body, "privateKey"),
    .passphrase = hf_api_text_at(call->body, "passphrase"),
    .root_password = hf_api_text_at(call->body, "rootPassword"),
  };
  return hf_inv_credential_create(hf_api_inventory(call), call->actor, row, &secrets, error) &&
         hf_api_answer_row(call, &hf_api_view_credentials, row->id, error);
}

gboolean hf_api_credentials_change(HfApiCall *call, GError **error)
{
  g_autoptr(HfCredentialRow) row = hf_inv_credential_get(hf_api_inventory(call), call->params[0], error);
  if (row == NULL)
    return FALSE;
  fill(row, call->body);
  return hf_inv_credential_change(hf_api_inventory(call), call->actor, row, NULL, error) &&
         hf_api_answer_row(call, &hf_api_view_credentials, row->id, error);
}

gboolean hf_api_credentials_delete(HfApiCall *call, GError **error)
{
  return hf_inv_credential_delete(hf_api_inventory(call), call->actor, call->params[0], error);
}

/* `authentication` NULL: stays. */
static gboolean change_secrets(HfApiCall *call, const HfCredentialSecrets *secrets, const char *authentication,
                               GError **error)
{
  g_autoptr(HfCredentialRow) row = hf_inv_credential_get(hf_api_inventory(call), call->params[0], error);
  if (row == NULL)
    return FALSE;
  replace(&row->authentication, authentication);
  return hf_inv_credential_change(hf_api_inventory(call), call->actor, row, secrets, error) &&
         hf_api_answer_empty(call);
}

gboolean hf_api_credentials_password(HfApiCall *call, GError **error)
{
  HfCredentialSecrets secrets = { .password = hf_api_text_at(call->body, "password") };
  return change_secrets(call, &secrets, NULL, error);
}

gboolean hf_api_credentials_private_key(HfApiCall *call, GError **error)
{
  HfCredentialSecrets secrets = {
    .private_key = hf_api_text_at(call->body, "privateKey"),
    .passphrase = text_or(call->body, "passphrase", ""),
  };
  return change_secrets(call, &secrets, "PrivateKey", error);
}

gboolean hf_api_credentials_root_password(HfApiCall *call, GError **error)
{
  HfCredentialSecrets secrets = { .root_password = hf_api_text_at(call->body, "password") };
  return change_secrets(call, &secrets, NULL, error);
}

/* ---- Encryption passwords ---- */

gboolean hf_api_encryption_create(HfApiCall *call, GError **error)
{
  g_autoptr(HfEncryptionPasswordRow) row = g_new0(HfEncryptionPasswordRow, 1);
  row->hint = g_strdup(hf_api_text_at(call->body, "hint"));
  const char *password = hf_api_text_at(call->body, "password");
  return hf_inv_encryption_password_create(hf_api_inventory(call), call->actor, row, password, error) &&
         hf_api_answer_row(call, &hf_api_view_encryption_password, row->id, error);
}

static gboolean change_encryption(HfApiCall *call, GError **error)
{
  g_autoptr(HfEncryptionPasswordRow) row =
    hf_inv_encryption_password_get(hf_api_inventory(call), call->params[0], error);
  if (row == NULL)
    return FALSE;
  replace(&row->hint, hf_api_text_at(call->body, "hint"));
  return hf_inv_encryption_password_change(hf_api_inventory(call), call->actor, row,
                                           hf_api_text_at(call->body, "password"), error);
}

gboolean hf_api_encryption_change(HfApiCall *call, GError **error)
{
  return change_encryption(call, error) &&
         hf_api_answer_row(call, &hf_api_view_encryption_password, call->params[0], error);
}

gboolean hf_api_encryption_password(HfApiCall *call, GError **error)
{
  return change_encryption(call, error) && hf_api_answer_empty(call);
}

gboolean hf_api_encryption_delete(HfApiCall *call, GError **error)
{
  return hf_inv_encryption_password_delete(hf_api_inventory(call), call->actor, call->params[0], error);
}

gboolean hf_api_encryption_verify(HfApiCall *call, GError **error)
{
  gboolean same = FALSE;
  if (!hf_inv_encryption_password_verify(hf_api_inventory(call), call->params[0],
                                         hf_api_text_at(call->body, "password"), &same, error))
    return FALSE;
  hf_api_out_open(&call->out, '{');
  hf_api_out_pair_bool(&call->out, "isSuccessful", same);
  hf_api_out_pair(&call->out, "message", same ? "the password is right" : "the password is another one");
  hf_api_out_close(&call->out, '}');
  return TRUE;
}
