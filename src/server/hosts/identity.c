/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "server/hosts/identity.h"

#include "net/pki.h"

static gboolean issue(const HfServerIdentity *identity, const char *name, guint days, char **certificate, char **key,
                      GError **error)
{
  g_autofree char *request = NULL;
  g_autoptr(HfPkiKey) fresh = NULL;
  const HfPkiGrant grant = { .kind = HF_PEER_SERVER, .uuid = identity->uuid, .name = name, .days = days };
  if (!hf_pki_new_request(name, &request, &fresh, error))
    return FALSE;
  char *issued = hf_pki_issue(identity->authority, identity->authority_key, request, &grant, error);
  if (issued == NULL)
    return FALSE;
  g_free(*certificate);
  hf_pki_key_free(*key);
  *certificate = issued;
  *key = g_steal_pointer(&fresh);
  return TRUE;
}

HfServerIdentity *hf_server_identity_new(const char *name, GError **error)
{
  g_autoptr(HfServerIdentity) identity = g_new0(HfServerIdentity, 1);
  identity->uuid = g_uuid_string_random();
  /* A day less than the authority: its own certificate may not outlast it. */
  if (hf_pki_new_ca(name, &identity->authority, &identity->authority_key, error) &&
      issue(identity, name, HF_PKI_CA_DAYS - 1, &identity->order_certificate, &identity->order_key, error) &&
      hf_server_identity_renew(identity, name, error))
    return g_steal_pointer(&identity);
  return NULL;
}

gboolean hf_server_identity_renew(HfServerIdentity *identity, const char *name, GError **error)
{
  return issue(identity, name, HF_PKI_DAYS, &identity->certificate, &identity->key, error);
}

void hf_server_identity_free(HfServerIdentity *identity)
{
  if (identity == NULL)
    return;
  hf_pki_key_free(identity->authority_key);
  hf_pki_key_free(identity->order_key);
  hf_pki_key_free(identity->key);
  g_free(identity->uuid);
  g_free(identity->authority);
  g_free(identity->order_certificate);
  g_free(identity->certificate);
  g_free(identity);
}

HfServerIdentity *hf_server_identity_copy(const HfServerIdentity *identity)
{
  HfServerIdentity *copy = g_new0(HfServerIdentity, 1);
  copy->uuid = g_strdup(identity->uuid);
  copy->authority = g_strdup(identity->authority);
  copy->authority_key = g_strdup(identity->authority_key);
  copy->order_certificate = g_strdup(identity->order_certificate);
  copy->order_key = g_strdup(identity->order_key);
  copy->certificate = g_strdup(identity->certificate);
  copy->key = g_strdup(identity->key);
  return copy;
}
