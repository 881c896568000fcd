/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Certificates, requests, signatures and tokens. The first byte says what the rest is:
 *
 *   0 a certificate as PEM   1 a certificate as DER   2 a request as DER   3 a signature   4 a token
 *   5 URI names, one a line, of a certificate that is right otherwise      6 what a certificate is to say: lines
 */
#include <gnutls/abstract.h>

#include "fuzz.h"
#include "net/certificate.h"
#include "net/tls_private.h"

#define NAMES_MAX 40u
#define UUID "0f8fad5b-d9cb-469f-a165-70867728950e"

static struct {
  char *ca, *ca_key, *server, *server_key, *request;
  gnutls_x509_crt_t crt;
  gnutls_x509_privkey_t key;
} world;

static void make_world(void)
{
  GError *error = NULL;
  char *request;
  const HfPkiGrant grant = { .kind = HF_PEER_SERVER, .uuid = UUID, .name = "server" };
  if (world.ca != NULL)
    return;
  fuzz_begin();
  g_assert_true(hf_pki_new_ca("authority", &world.ca, &world.ca_key, &error));
  g_assert_true(hf_pki_new_request("server", &request, &world.server_key, &error));
  world.server = hf_pki_issue(world.ca, world.ca_key, request, &grant, &error);
  g_assert_no_error(error);
  world.request = request;
  gnutls_datum_t text = { (guint8 *)world.server_key, (guint)strlen(world.server_key) };
  g_assert_true(gnutls_x509_privkey_init(&world.key) == 0 &&
                gnutls_x509_privkey_import(world.key, &text, GNUTLS_X509_FMT_PEM) == 0);
}

static char *to_pem(const char *label, const uint8_t *data, size_t size)
{
  g_autofree char *base64 = g_base64_encode(data, size);
  GString *pem = g_string_new(NULL);
  g_string_printf(pem, "-----BEGIN %s-----\n", label);
  for (gsize at = 0, length = strlen(base64); at < length; at += 64)
    g_string_append_printf(pem, "%.64s\n", base64 + at);
  g_string_append_printf(pem, "-----END %s-----\n", label);
  return g_string_free(pem, FALSE);
}

static void check_peer(const HfPeer *peer)
{
  g_assert_true(peer->kind == HF_PEER_HOST || peer->kind == HF_PEER_SERVER);
  g_assert_true(strlen(peer->uuid) == 36 && g_uuid_string_is_valid(peer->uuid));
  g_assert_true(peer->kind == HF_PEER_HOST || peer->roles[0] == NULL);
  for (guint i = 0; peer->roles[i] != NULL; i++)
    g_assert_true(strlen(peer->roles[i]) <= 32 && hf_peer_has_role(peer, peer->roles[i]));
  g_assert_true(strlen(peer->fingerprint) == 64 && g_utf8_validate(peer->name, -1, NULL));
  g_autoptr(HfPeer) copy = hf_peer_copy(peer);
  g_assert_cmpstr(copy->uuid, ==, peer->uuid);
  hf_pki_renew_due(peer, peer->not_before);
}

static void fuzz_certificate(const char *pem)
{
  GError *error = NULL;
  g_autoptr(HfPeer) peer = hf_pki_peer(pem, &error);
  if (fuzz_judge(peer != NULL, &error))
    check_peer(peer);
  g_autofree char *fingerprint = hf_pki_fingerprint(pem, &error);
  fuzz_judge(fingerprint != NULL, &error);
  /* Only our own authority's certificates are good. */
  if (hf_pki_check(pem, NULL, world.ca, 0, &error))
    g_assert_nonnull(fingerprint);
  g_clear_error(&error);
}

static void fuzz_request(const uint8_t *data, size_t size)
{
  GError *error = NULL;
  static const char *const roles[] = { "transport", NULL };
  const HfPkiGrant grant = { .kind = HF_PEER_HOST, .uuid = UUID, .name = "host", .roles = roles };
  g_autofree char *pem = to_pem("CERTIFICATE REQUEST", data, size);
  g_autofree char *issued = hf_pki_issue(world.ca, world.ca_key, pem, &grant, &error);
  if (!fuzz_judge(issued != NULL, &error))
    return;
  g_autoptr(HfPeer) peer = hf_pki_peer(issued, &error);
  g_assert_no_error(error);
  g_assert_true(peer->kind == HF_PEER_HOST && g_str_equal(peer->uuid, UUID) && g_str_equal(peer->name, "host"));
}

/* The first of two halves is signed; what is signed already is not found by turning bits. */
static void fuzz_signature(const uint8_t *data, size_t size)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GBytes) given = g_bytes_new(data, size);
  g_assert_false(hf_pki_verify(world.server, world.ca, 0, "label", "bytes", 5, given, NULL, &error));
  g_assert_true(hf_error_is(error, HF_ERROR_REFUSED));
}

static void fuzz_token(const char *text)
{
  HfKey key;
  g_autoptr(GError) error = NULL;
  gboolean valid = hf_tls_token_valid(text);
  g_assert_true(hf_tls_token_key(text, &key, &error) == valid);
  g_assert_true((error == NULL) == valid);
  g_autofree char *name = hf_tls_token_name(text);
  g_assert_true((*name != '\0') == valid);
}

static void fuzz_names(const char *text)
{
  g_auto(GStrv) uris = g_strsplit(text, "\n", NAMES_MAX);
  gnutls_x509_crt_t crt;
  gnutls_datum_t der = { NULL, 0 };
  g_assert_true(gnutls_x509_crt_init(&crt) == 0 && gnutls_x509_crt_set_version(crt, 3) == 0);
  gnutls_x509_crt_set_serial(crt, "\1", 1);
  gnutls_x509_crt_set_activation_time(crt, 1);
  gnutls_x509_crt_set_expiration_time(crt, 2000000000);
  gnutls_x509_crt_set_key(crt, world.key);
  for (guint i = 0; uris[i] != NULL; i++)
    gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_URI, uris[i], (guint)strlen(uris[i]), GNUTLS_FSAN_APPEND);
  if (gnutls_x509_crt_sign2(crt, crt, world.key, GNUTLS_DIG_SHA256, 0) == 0 &&
      gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &der) == 0) {
    g_autofree char *pem = g_strndup((const char *)der.data, der.size);
    fuzz_certificate(pem);
    gnutls_free(der.data);
  }
  gnutls_x509_crt_deinit(crt);
}

static void fuzz_grant(const char *text)
{
  GError *error = NULL;
  g_auto(GStrv) lines = g_strsplit(text, "\n", NAMES_MAX);
  if (g_strv_length(lines) < 3)
    return;
  const HfPkiGrant grant = { .kind = (HfPeerKind)strlen(lines[0]), .uuid = lines[1], .name = lines[2],
                             .roles = (const char *const *)lines + 3 };
  g_autofree char *issued = hf_pki_issue(world.ca, world.ca_key, world.request, &grant, &error);
  g_assert_true((issued == NULL) == (error != NULL));
  g_clear_error(&error);
  if (issued == NULL)
    return;
  g_autoptr(HfPeer) peer = hf_pki_peer(issued, &error);
  g_assert_no_error(error);
  check_peer(peer);
  g_assert_cmpuint(peer->kind, ==, grant.kind);
  g_assert_true(g_ascii_strcasecmp(peer->uuid, grant.uuid) == 0);
  for (guint i = 0; grant.roles[i] != NULL; i++)
    g_assert_true(hf_peer_has_role(peer, grant.roles[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  if (size == 0)
    return 0;
  make_world();
  guint kind = *data++ % 7;
  g_autofree char *text = g_strndup((const char *)data, --size);
  if (kind == 0) {
    fuzz_certificate(text);
  } else if (kind == 1) {
    g_autofree char *pem = to_pem("CERTIFICATE", data, size);
    fuzz_certificate(pem);
  } else if (kind == 2) {
    fuzz_request(data, size);
  } else if (kind == 3) {
    fuzz_signature(data, size);
  } else {
    void (*const rest[])(const char *text) = { fuzz_token, fuzz_names, fuzz_grant };
    rest[kind - 4](text);
  }
  return 0;
}
