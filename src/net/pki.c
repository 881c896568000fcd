/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/pki.h"

#include <arpa/inet.h>
#include <gnutls/abstract.h>
#include <gnutls/x509.h>
#include <string.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "crypto/crypto.h"
#include "net/certificate.h"

#define SERIAL_BYTES 16
#define DAY_SECONDS (24 * 60 * 60)
#define SKEW_SECONDS (5 * 60) /* clocks of hosts differ */
#define NAMES_MAX 64u         /* names in a certificate that we look at */
#define NAME_MAX_BYTES 256u

G_DEFINE_AUTO_CLEANUP_FREE_FUNC(gnutls_x509_crt_t, gnutls_x509_crt_deinit, NULL)
G_DEFINE_AUTO_CLEANUP_FREE_FUNC(gnutls_x509_crq_t, gnutls_x509_crq_deinit, NULL)
G_DEFINE_AUTO_CLEANUP_FREE_FUNC(gnutls_x509_privkey_t, gnutls_x509_privkey_deinit, NULL)
G_DEFINE_AUTO_CLEANUP_FREE_FUNC(gnutls_privkey_t, gnutls_privkey_deinit, NULL)
G_DEFINE_AUTO_CLEANUP_FREE_FUNC(gnutls_pubkey_t, gnutls_pubkey_deinit, NULL)

static gboolean fail_tls(GError **error, HfErrorCode code, const char *what, int failure)
{
  return hf_fail(error, code, "%s: %s", what, gnutls_strerror(failure));
}

static gnutls_datum_t datum(const char *text)
{
  return (gnutls_datum_t){ (unsigned char *)text, (unsigned)strlen(text) };
}

/* The text that GnuTLS gave, as GLib's; wiped there. */
static char *take_text(gnutls_datum_t *text)
{
  char *copy = g_strndup((const char *)text->data, text->size);
  hf_wipe(text->data, text->size);
  gnutls_free(text->data);
  return copy;
}

void hf_pki_key_free(char *key)
{
  if (key != NULL)
    hf_wipe(key, strlen(key));
  g_free(key);
}

/* ---- Peers ---- */

void hf_peer_free(HfPeer *peer)
{
  if (peer == NULL)
    return;
  g_free(peer->uuid);
  g_strfreev(peer->roles);
  g_free(peer->name);
  g_free(peer->serial);
  g_free(peer->fingerprint);
  g_free(peer);
}

HfPeer *hf_peer_copy(const HfPeer *peer)
{
  HfPeer *copy = g_memdup2(peer, sizeof *peer);
  copy->uuid = g_strdup(peer->uuid);
  copy->roles = g_strdupv(peer->roles);
  copy->name = g_strdup(peer->name);
  copy->serial = g_strdup(peer->serial);
  copy->fingerprint = g_strdup(peer->fingerprint);
  return copy;
}

gboolean hf_peer_has_role(const HfPeer *peer, const char *role)
{
  return g_strv_contains((const char *const *)peer->roles, role);
}

static gboolean is_uuid(const char *text)
{
  for (const char *at = text; *at != '\0'; at++) {
    if (g_ascii_isupper(*at))
      return FALSE;
  }
  return g_uuid_string_is_valid(text);
}

static gboolean is_role(const char *text)
{
  gsize length = strlen(text);
  return length > 0 && length <= 32 && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

/* Takes one URI name of a certificate into `peer`. FALSE when it makes no sense. */
static gboolean take_name(HfPeer *peer, GPtrArray *roles, const char *uri)
{
  const char *rest;
  if (g_str_has_prefix(uri, HF_PKI_URI_HOST) || g_str_has_prefix(uri, HF_PKI_URI_SERVER)) {
    gboolean host = g_str_has_prefix(uri, HF_PKI_URI_HOST);
    rest = uri + strlen(host ? HF_PKI_URI_HOST : HF_PKI_URI_SERVER);
    if (peer->uuid != NULL || !is_uuid(rest))
      return FALSE;
    peer->kind = host ? HF_PEER_HOST : HF_PEER_SERVER;
    peer->uuid = g_strdup(rest);
    return TRUE;
  }
  if (!g_str_has_prefix(uri, HF_PKI_URI_ROLE))
    return TRUE;
  rest = uri + strlen(HF_PKI_URI_ROLE);
  g_ptr_array_add(roles, g_strdup(rest));
  return is_role(rest);
}

static gboolean read_names(gnutls_x509_crt_t certificate, HfPeer *peer, GPtrArray *roles)
{
  for (unsigned i = 0; i < NAMES_MAX; i++) {
    char name[NAME_MAX_BYTES + 1] = "";
    size_t size = NAME_MAX_BYTES;
    int kind = gnutls_x509_crt_get_subject_alt_name(certificate, i, name, &size, NULL);
    if (kind == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
      return peer->uuid != NULL && (peer->kind == HF_PEER_HOST || roles->len == 0);
    /* A name with a NUL inside would read as a shorter one. */
    if (kind == GNUTLS_SAN_URI && (strnlen(name, size) != size || !take_name(peer, roles, name)))
      return FALSE;
    if (kind < 0)
      return FALSE;
  }
  return FALSE;
}

static char *common_name(gnutls_x509_crt_t certificate)
{
  char name[NAME_MAX_BYTES + 1] = "";
  size_t size = sizeof name;
  if (gnutls_x509_crt_get_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name, &size) < 0)
    return g_strdup("");
  return hf_printable(name, -1);
}

static char *serial_text(gnutls_x509_crt_t certificate)
{
  guint8 serial[64];
  size_t size = sizeof serial;
  if (gnutls_x509_crt_get_serial(certificate, serial, &size) < 0)
    return g_strdup("");
  return hf_hex(serial, size);
}

static char *fingerprint_text(gnutls_x509_crt_t certificate)
{
  guint8 digest[32] = { 0 };
  size_t size = sizeof digest;
  (void)gnutls_x509_crt_get_fingerprint(certificate, GNUTLS_DIG_SHA256, digest, &size);
  return hf_hex(digest, sizeof digest);
}

HfPeer *hf_peer_of(gnutls_x509_crt_t certificate, GError **error)
{
  g_autoptr(HfPeer) peer = g_new0(HfPeer, 1);
  g_autoptr(GPtrArray) roles = g_ptr_array_new_with_free_func(g_free);
  peer->name = common_name(certificate);
  peer->serial = serial_text(certificate);
  peer->fingerprint = fingerprint_text(certificate);
  peer->not_before = gnutls_x509_crt_get_activation_time(certificate);
  peer->not_after = gnutls_x509_crt_get_expiration_time(certificate);
  gboolean named = read_names(certificate, peer, roles);
  g_ptr_array_add(roles, NULL);
  peer->roles = (char **)g_ptr_array_free(g_steal_pointer(&roles), FALSE);
  if (named && *peer->serial != '\0')
    return g_steal_pointer(&peer);
  (void)hf_fail(error, HF_ERROR_INVALID, "the certificate '%s' names no host and no server of this system", peer->name);
  return NULL;
}

static gnutls_x509_crt_t import_certificate(const char *pem, const char *what, GError **error)
{
  gnutls_x509_crt_t certificate = NULL;
  gnutls_datum_t text = datum(pem);
  int failure = gnutls_x509_crt_init(&certificate);
  if (failure == 0)
    failure = gnutls_x509_crt_import(certificate, &text, GNUTLS_X509_FMT_PEM);
  if (failure == 0)
    return certificate;
  gnutls_x509_crt_deinit(certificate);
  (void)fail_tls(error, HF_ERROR_INVALID, what, failure);
  return NULL;
}

static gnutls_x509_privkey_t import_key(const char *pem, const char *what, GError **error)
{
  gnutls_x509_privkey_t key = NULL;
  gnutls_datum_t text = datum(pem);
  int failure = gnutls_x509_privkey_init(&key);
  if (failure == 0)
    failure = gnutls_x509_privkey_import2(key, &text, GNUTLS_X509_FMT_PEM, NULL, 0);
  if (failure == 0)
    return key;
  gnutls_x509_privkey_deinit(key);
  (void)fail_tls(error, HF_ERROR_INVALID, what, failure);
  return NULL;
}

HfPeer *hf_pki_peer(const char *certificate, GError **error)
{
  g_auto(gnutls_x509_crt_t) read = import_certificate(certificate, "cannot read a certificate", error);
  return read != NULL ? hf_peer_of(read, error) : NULL;
}

char *hf_pki_fingerprint(const char *certificate, GError **error)
{
  g_auto(gnutls_x509_crt_t) read = import_certificate(certificate, "cannot read a certificate", error);
  return read != NULL ? fingerprint_text(read) : NULL;
}

gboolean hf_pki_renew_due(const HfPeer *peer, gint64 now)
{
  return now >= peer->not_before + (peer->not_after - peer->not_before) / HF_PKI_DAYS * HF_PKI_RENEW_DAYS;
}

/* ---- Making ---- */

static gnutls_x509_privkey_t new_key(GError **error)
{
  gnutls_x509_privkey_t key = NULL;
  int failure = gnutls_x509_privkey_init(&key);
  if (failure == 0)
    failure = gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
  if (failure == 0)
    return key;
  gnutls_x509_privkey_deinit(key);
  (void)fail_tls(error, HF_ERROR_FAILED, "cannot make a key", failure);
  return NULL;
}

static gboolean export_key(gnutls_x509_privkey_t key, char **pem, GError **error)
{
  gnutls_datum_t text = { NULL, 0 };
  int failure = gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN, &text);
  if (failure < 0)
    return fail_tls(error, HF_ERROR_FAILED, "cannot write a key", failure);
  *pem = take_text(&text);
  return TRUE;
}

/* What all certificates have: version, serial, name, times. The first failure, or 0. */
static int set_common(gnutls_x509_crt_t certificate, const char *name, gint64 from, guint days)
{
  guint8 serial[SERIAL_BYTES];
  hf_random(serial, sizeof serial);
  /* Positive, without leading zeros: the text of a serial is the same everywhere. */
  serial[0] = (guint8)((serial[0] & 0x7f) | 0x40);
  int failure = gnutls_x509_crt_set_version(certificate, 3);
  if (failure == 0)
    failure = gnutls_x509_crt_set_serial(certificate, serial, sizeof serial);
  if (failure == 0 && name != NULL && *name != '\0')
    failure = gnutls_x509_crt_set_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, name, (unsigned)strlen(name));
  if (failure == 0)
    failure = gnutls_x509_crt_set_activation_time(certificate, from);
  if (failure == 0)
    failure = gnutls_x509_crt_set_expiration_time(certificate, from + (gint64)days * DAY_SECONDS);
  return failure;
}

static int set_key_id(gnutls_x509_crt_t certificate)
{
  guint8 id[64];
  size_t size = sizeof id;
  int failure = gnutls_x509_crt_get_key_id(certificate, 0, id, &size);
  return failure == 0 ? gnutls_x509_crt_set_subject_key_id(certificate, id, size) : failure;
}

static gint64 now_seconds(void)
{
  return hf_clock_real_ns() / 1000000000;
}

static gboolean export_certificate(gnutls_x509_crt_t certificate, char **pem, GError **error)
{
  gnutls_datum_t text = { NULL, 0 };
  int failure = gnutls_x509_crt_export2(certificate, GNUTLS_X509_FMT_PEM, &text);
  if (failure < 0)
    return fail_tls(error, HF_ERROR_FAILED, "cannot write a certificate", failure);
  *pem = take_text(&text);
  return TRUE;
}

gboolean hf_pki_new_ca(const char *name, char **certificate, char **key, GError **error)
{
  g_auto(gnutls_x509_privkey_t) secret = new_key(error);
  g_auto(gnutls_x509_crt_t) ca = NULL;
  if (secret == NULL)
    return FALSE;
  int failure = gnutls_x509_crt_init(&ca);
  if (failure == 0)
    failure = set_common(ca, name, now_seconds() - SKEW_SECONDS, HF_PKI_CA_DAYS);
  if (failure == 0)
    failure = gnutls_x509_crt_set_key(ca, secret);
  if (failure == 0)
    failure = gnutls_x509_crt_set_basic_constraints(ca, 1, 0);
  if (failure == 0)
    failure = gnutls_x509_crt_set_key_usage(ca, GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN);
  if (failure == 0)
    failure = set_key_id(ca);
  if (failure == 0)
    failure = gnutls_x509_crt_sign2(ca, ca, secret, GNUTLS_DIG_SHA256, 0);
  if (failure != 0)
    return fail_tls(error, HF_ERROR_FAILED, "cannot make a certificate authority", failure);
  return export_key(secret, key, error) && export_certificate(ca, certificate, error);
}

gboolean hf_pki_new_request(const char *name, char **request, char **key, GError **error)
{
  g_auto(gnutls_x509_privkey_t) secret = new_key(error);
  g_auto(gnutls_x509_crq_t) asked = NULL;
  gnutls_datum_t text = { NULL, 0 };
  if (secret == NULL)
    return FALSE;
  int failure = gnutls_x509_crq_init(&asked);
  if (failure == 0)
    failure = gnutls_x509_crq_set_version(asked, 1);
  if (failure == 0)
    failure = gnutls_x509_crq_set_dn_by_oid(asked, GNUTLS_OID_X520_COMMON_NAME, 0, name, (unsigned)strlen(name));
  if (failure == 0)
    failure = gnutls_x509_crq_set_key(asked, secret);
  if (failure == 0)
    failure = gnutls_x509_crq_sign2(asked, secret, GNUTLS_DIG_SHA256, 0);
  if (failure == 0)
    failure = gnutls_x509_crq_export2(asked, GNUTLS_X509_FMT_PEM, &text);
  if (failure != 0)
    return fail_tls(error, HF_ERROR_FAILED, "cannot make a certificate request", failure);
  *request = take_text(&text);
  return export_key(secret, key, error);
}

/* ---- Issuing ---- */

static gboolean grant_valid(const HfPkiGrant *grant, GError **error)
{
  if (grant->kind != HF_PEER_HOST && grant->kind != HF_PEER_SERVER)
    return hf_fail(error, HF_ERROR_USAGE, "a certificate is for a host or for a server");
  if (grant->uuid == NULL || !is_uuid(grant->uuid))
    return hf_fail(error, HF_ERROR_USAGE, "'%s' is no id for a certificate", grant->uuid != NULL ? grant->uuid : "");
  for (guint i = 0; grant->roles != NULL && grant->roles[i] != NULL; i++) {
    if (grant->kind == HF_PEER_SERVER || !is_role(grant->roles[i]))
      return hf_fail(error, HF_ERROR_USAGE, "'%s' is no role for this certificate", grant->roles[i]);
  }
  return TRUE;
}

/* The key of a request, once it was seen that whoever asks has it. */
static gnutls_pubkey_t request_key(const char *request, GError **error)
{
  g_auto(gnutls_x509_crq_t) asked = NULL;
  g_auto(gnutls_pubkey_t) key = NULL;
  gnutls_datum_t text = datum(request);
  int failure = gnutls_x509_crq_init(&asked);
  if (failure == 0)
    failure = gnutls_x509_crq_import(asked, &text, GNUTLS_X509_FMT_PEM);
  if (failure == 0)
    failure = gnutls_x509_crq_verify(asked, 0);
  if (failure == 0)
    failure = gnutls_pubkey_init(&key);
  if (failure == 0)
    failure = gnutls_pubkey_import_x509_crq(key, asked, 0);
  if (failure == 0 && gnutls_pubkey_get_pk_algorithm(key, NULL) != GNUTLS_PK_ECDSA)
    failure = GNUTLS_E_UNSUPPORTED_SIGNATURE_ALGORITHM;
  if (failure != 0) {
    (void)fail_tls(error, HF_ERROR_INVALID, "the certificate request is malformed", failure);
    return NULL;
  }
  return g_steal_pointer(&key);
}

static int add_uri(gnutls_x509_crt_t certificate, const char *prefix, const char *rest)
{
  g_autofree char *uri = g_strconcat(prefix, rest, NULL);
  return gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_URI, uri, (unsigned)strlen(uri),
                                              GNUTLS_FSAN_APPEND);
}

/* A DNS name or an address. */
static int add_name(gnutls_x509_crt_t certificate, const char *name)
{
  struct in6_addr address;
  if (inet_pton(AF_INET, name, &address) == 1)
    return gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_IPADDRESS, &address, 4, GNUTLS_FSAN_APPEND);
  if (inet_pton(AF_INET6, name, &address) == 1)
    return gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_IPADDRESS, &address, 16, GNUTLS_FSAN_APPEND);
  return gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_DNSNAME, name, (unsigned)strlen(name),
                                              GNUTLS_FSAN_APPEND);
}

static int add_names(gnutls_x509_crt_t certificate, const HfPkiGrant *grant)
{
  int failure = add_uri(certificate, grant->kind == HF_PEER_HOST ? HF_PKI_URI_HOST : HF_PKI_URI_SERVER, grant->uuid);
  for (guint i = 0; failure == 0 && grant->roles != NULL && grant->roles[i] != NULL; i++)
    failure = add_uri(certificate, HF_PKI_URI_ROLE, grant->roles[i]);
  for (guint i = 0; failure == 0 && grant->names != NULL && grant->names[i] != NULL; i++)
    failure = add_name(certificate, grant->names[i]);
  return failure;
}

static int set_uses(gnutls_x509_crt_t certificate)
{
  int failure = gnutls_x509_crt_set_basic_constraints(certificate, 0, -1);
  if (failure == 0)
    failure = gnutls_x509_crt_set_key_usage(certificate, GNUTLS_KEY_DIGITAL_SIGNATURE);
  if (failure == 0)
    failure = gnutls_x509_crt_set_key_purpose_oid(certificate, GNUTLS_KP_TLS_WWW_SERVER, 0);
  if (failure == 0)
    failure = gnutls_x509_crt_set_key_purpose_oid(certificate, GNUTLS_KP_TLS_WWW_CLIENT, 0);
  return failure;
}

char *hf_pki_issue(const char *ca, const char *ca_key, const char *request, const HfPkiGrant *grant, GError **error)
{
  if (!grant_valid(grant, error))
    return NULL;
  g_auto(gnutls_x509_crt_t) issuer = import_certificate(ca, "cannot read the authority's certificate", error);
  g_auto(gnutls_x509_privkey_t) secret = issuer != NULL ? import_key(ca_key, "cannot read the authority's key", error)
                                                        : NULL;
  g_auto(gnutls_pubkey_t) key = secret != NULL ? request_key(request, error) : NULL;
  g_auto(gnutls_x509_crt_t) certificate = NULL;
  if (key == NULL)
    return NULL;

  guint8 id[64];
  size_t size = sizeof id;
  gint64 from = grant->not_before != 0 ? grant->not_before : now_seconds() - SKEW_SECONDS;
  int failure = gnutls_x509_crt_init(&certificate);
  if (failure == 0)
    failure = set_common(certificate, grant->name, from, grant->days != 0 ? grant->days : HF_PKI_DAYS);
  if (failure == 0)
    failure = gnutls_x509_crt_set_pubkey(certificate, key);
  if (failure == 0)
    failure = add_names(certificate, grant);
  if (failure == 0)
    failure = set_uses(certificate);
  if (failure == 0)
    failure = set_key_id(certificate);
  if (failure == 0)
    failure = gnutls_x509_crt_get_subject_key_id(issuer, id, &size, NULL);
  if (failure == 0)
    failure = gnutls_x509_crt_set_authority_key_id(certificate, id, size);
  if (failure == 0)
    failure = gnutls_x509_crt_sign2(certificate, issuer, secret, GNUTLS_DIG_SHA256, 0);
  char *pem = NULL;
  if (failure != 0)
    (void)fail_tls(error, HF_ERROR_FAILED, "cannot issue a certificate", failure);
  else
    (void)export_certificate(certificate, &pem, error);
  return pem;
}

/* ---- Checking ---- */

/* `now` 0: the time is not asked. */
static gboolean check_issued(gnutls_x509_crt_t certificate, const char *ca, gint64 now, GError **error)
{
  g_auto(gnutls_x509_crt_t) issuer = import_certificate(ca, "cannot read the authority's certificate", error);
  unsigned status = 0;
  if (issuer == NULL)
    return FALSE;
  int failure = gnutls_x509_crt_verify(certificate, &issuer, 1, GNUTLS_VERIFY_DISABLE_TIME_CHECKS, &status);
  if (failure != 0 || status != 0)
    return hf_fail(error, HF_ERROR_INVALID, "the certificate was not issued by this system's authority");
  if (now != 0 && now < gnutls_x509_crt_get_activation_time(certificate))
    return hf_fail(error, HF_ERROR_INVALID, "the certificate is not valid yet; check the clock of this host");
  if (now != 0 && now > gnutls_x509_crt_get_expiration_time(certificate))
    return hf_fail(error, HF_ERROR_INVALID, "the certificate has expired; it must be renewed");
  return TRUE;
}

static gboolean check_key(gnutls_x509_crt_t certificate, const char *key, GError **error)
{
  g_auto(gnutls_x509_privkey_t) secret = import_key(key, "cannot read a private key", error);
  guint8 a[64], b[64];
  size_t a_size = sizeof a, b_size = sizeof b;
  if (secret == NULL)
    return FALSE;
  if (gnutls_x509_crt_get_key_id(certificate, 0, a, &a_size) != 0 ||
      gnutls_x509_privkey_get_key_id(secret, 0, b, &b_size) != 0 || a_size != b_size || memcmp(a, b, a_size) != 0)
    return hf_fail(error, HF_ERROR_INVALID, "the private key is not that of the certificate");
  return TRUE;
}

gboolean hf_pki_check(const char *certificate, const char *key, const char *ca, gint64 now, GError **error)
{
  g_auto(gnutls_x509_crt_t) read = import_certificate(certificate, "cannot read a certificate", error);
  return read != NULL && check_issued(read, ca, now, error) && (key == NULL || check_key(read, key, error));
}

/* ---- Signatures ---- */

/* What is signed: label, a zero byte, bytes. */
static GByteArray *signed_bytes(const char *label, const void *bytes, gsize length)
{
  GByteArray *whole = g_byte_array_sized_new((guint)(strlen(label) + 1 + length));
  g_byte_array_append(whole, (const guint8 *)label, (guint)strlen(label) + 1);
  if (length > 0)
    g_byte_array_append(whole, bytes, (guint)length);
  return whole;
}

GBytes *hf_pki_sign(const char *key, const char *label, const void *bytes, gsize length, GError **error)
{
  g_auto(gnutls_x509_privkey_t) read = import_key(key, "cannot read the key to sign with", error);
  g_auto(gnutls_privkey_t) secret = NULL;
  gnutls_datum_t signature = { NULL, 0 };
  if (read == NULL)
    return NULL;
  g_autoptr(GByteArray) whole = signed_bytes(label, bytes, length);
  gnutls_datum_t data = { whole->data, whole->len };
  int failure = gnutls_privkey_init(&secret);
  if (failure == 0)
    failure = gnutls_privkey_import_x509(secret, read, 0);
  if (failure == 0)
    failure = gnutls_privkey_sign_data2(secret, GNUTLS_SIGN_ECDSA_SHA256, 0, &data, &signature);
  if (failure != 0) {
    (void)fail_tls(error, HF_ERROR_FAILED, "cannot sign", failure);
    return NULL;
  }
  GBytes *result = g_bytes_new(signature.data, signature.size);
  gnutls_free(signature.data);
  return result;
}

static gboolean check_signature(gnutls_x509_crt_t certificate, const GByteArray *whole, GBytes *signature)
{
  g_auto(gnutls_pubkey_t) key = NULL;
  gsize length;
  const guint8 *bytes = g_bytes_get_data(signature, &length);
  gnutls_datum_t data = { whole->data, whole->len }, given = { (unsigned char *)bytes, (unsigned)length };
  int failure = gnutls_pubkey_init(&key);
  if (failure == 0)
    failure = gnutls_pubkey_import_x509(key, certificate, 0);
  if (failure == 0)
    failure = gnutls_pubkey_verify_data2(key, GNUTLS_SIGN_ECDSA_SHA256, 0, &data, &given);
  return failure >= 0;
}

gboolean hf_pki_verify(const char *certificate, const char *ca, gint64 now, const char *label, const void *bytes,
                       gsize length, GBytes *signature, HfPeer **server, GError **error)
{
  g_autoptr(GError) cause = NULL;
  g_auto(gnutls_x509_crt_t) read = import_certificate(certificate, "cannot read the signer's certificate", &cause);
  g_autoptr(HfPeer) signer = NULL;
  if (read == NULL || !check_issued(read, ca, now, &cause) || (signer = hf_peer_of(read, &cause)) == NULL)
    return hf_fail(error, HF_ERROR_REFUSED, "a signature is refused: %s", cause != NULL ? cause->message : "");
  if (signer->kind != HF_PEER_SERVER)
    return hf_fail(error, HF_ERROR_REFUSED, "a signature is refused: '%s' is not the server", signer->name);
  g_autoptr(GByteArray) whole = signed_bytes(label, bytes, length);
  if (!check_signature(read, whole, signature))
    return hf_fail(error, HF_ERROR_REFUSED, "a signature is refused: it is not that of '%s' over these bytes",
                   signer->name);
  if (server != NULL)
    *server = g_steal_pointer(&signer);
  return TRUE;
}
