/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/work.h"
#include "net/tls_private.h"

struct HfTlsIdentity {
  gint references; /* atomic */
  GMutex lock;     /* guards what follows */
  HfTlsMaterial *material;
  GHashTable *revoked; /* set of serials */
};

static HfTlsMaterial *new_material(const HfTlsSettings *settings, GError **error)
{
  gint64 now = hf_clock_real_ns() / 1000000000;
  /* That the own certificate has expired is for the other side to say, and must not keep a host from renewing it. */
  if (!hf_pki_check(settings->certificate, settings->key, settings->ca, 0, error))
    return NULL;
  HfPeer *own = hf_pki_peer(settings->certificate, error);
  if (own == NULL)
    return NULL;
  if (now < own->not_before)
    g_info("the own certificate is not valid yet: check the clock of this host");

  HfTlsMaterial *material = g_new0(HfTlsMaterial, 1);
  material->references = 1;
  material->own = own;
  gnutls_datum_t certificate = { (unsigned char *)settings->certificate, (unsigned)strlen(settings->certificate) };
  gnutls_datum_t key = { (unsigned char *)settings->key, (unsigned)strlen(settings->key) };
  gnutls_datum_t ca = { (unsigned char *)settings->ca, (unsigned)strlen(settings->ca) };
  int failure = gnutls_certificate_allocate_credentials(&material->credentials);
  if (failure == 0)
    failure = gnutls_certificate_set_x509_key_mem(material->credentials, &certificate, &key, GNUTLS_X509_FMT_PEM);
  if (failure >= 0)
    failure = gnutls_certificate_set_x509_trust_mem(material->credentials, &ca, GNUTLS_X509_FMT_PEM);
  if (failure >= 0)
    return material;
  hf_tls_material_unref(material);
  (void)hf_fail(error, HF_ERROR_INVALID, "cannot use the own certificate: %s", gnutls_strerror(failure));
  return NULL;
}

void hf_tls_material_unref(HfTlsMaterial *material)
{
  if (material == NULL || !g_atomic_int_dec_and_test(&material->references))
    return;
  if (material->credentials != NULL)
    gnutls_certificate_free_credentials(material->credentials);
  hf_peer_free(material->own);
  g_free(material);
}

static GHashTable *serial_set(const char *const *serials)
{
  GHashTable *set = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  for (guint i = 0; serials != NULL && serials[i] != NULL; i++)
    g_hash_table_add(set, g_strdup(serials[i]));
  return set;
}

HfTlsIdentity *hf_tls_identity_new(const HfTlsSettings *settings, GError **error)
{
  HfTlsMaterial *material = new_material(settings, error);
  if (material == NULL)
    return NULL;
  HfTlsIdentity *identity = g_new0(HfTlsIdentity, 1);
  identity->references = 1;
  g_mutex_init(&identity->lock);
  identity->material = material;
  identity->revoked = serial_set(settings->revoked);
  return identity;
}

gboolean hf_tls_identity_reload(HfTlsIdentity *identity, const HfTlsSettings *settings, GError **error)
{
  HfTlsMaterial *material = new_material(settings, error);
  if (material == NULL)
    return FALSE;
  g_mutex_lock(&identity->lock);
  HfTlsMaterial *old = identity->material;
  identity->material = material;
  g_mutex_unlock(&identity->lock);
  hf_tls_material_unref(old);
  hf_tls_identity_set_revoked(identity, settings->revoked);
  return TRUE;
}

void hf_tls_identity_set_revoked(HfTlsIdentity *identity, const char *const *revoked)
{
  GHashTable *set = serial_set(revoked);
  g_mutex_lock(&identity->lock);
  GHashTable *old = identity->revoked;
  identity->revoked = set;
  g_mutex_unlock(&identity->lock);
  g_hash_table_unref(old);
}

HfTlsIdentity *hf_tls_identity_ref(HfTlsIdentity *identity)
{
  g_atomic_int_inc(&identity->references);
  return identity;
}

void hf_tls_identity_unref(HfTlsIdentity *identity)
{
  if (identity == NULL || !g_atomic_int_dec_and_test(&identity->references))
    return;
  hf_tls_material_unref(identity->material);
  g_hash_table_unref(identity->revoked);
  g_mutex_clear(&identity->lock);
  g_free(identity);
}

HfTlsMaterial *hf_tls_identity_material(HfTlsIdentity *identity)
{
  HF_LOCK(&identity->lock);
  g_atomic_int_inc(&identity->material->references);
  return identity->material;
}

gboolean hf_tls_identity_is_revoked(HfTlsIdentity *identity, const char *serial)
{
  HF_LOCK(&identity->lock);
  return g_hash_table_contains(identity->revoked, serial);
}

HfPeer *hf_tls_identity_peer(HfTlsIdentity *identity)
{
  HF_LOCK(&identity->lock);
  return hf_peer_copy(identity->material->own);
}
