/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/tls.h"

#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/error.h"
#include "net/certificate.h"
#include "net/tls_private.h"

#define PROTOCOL "holdfast/1"
/* AES-128 first: what is worth more is sealed by AES-256 before it gets here. */
#define PRIORITIES                                                                                                    \
  "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:-GROUP-ALL:+GROUP-X25519:" \
  "+GROUP-SECP256R1:+GROUP-SECP384R1"
#define PRIORITIES_TOKEN PRIORITIES ":-KX-ALL:+ECDHE-PSK:+DHE-PSK"
#define PRIORITIES_EITHER PRIORITIES ":+ECDHE-PSK:+DHE-PSK"
/* The acceptor's first byte: it has checked the other side, who in TLS 1.3 would not hear of it otherwise. */
#define CHECKED 1

/* One handshake. */
typedef struct Handshake {
  HfTlsIdentity *identity;   /* NULL: by token only */
  const HfTlsExpect *expect; /* with an identity */
  const char *token;         /* NULL: by certificate only */
  gboolean accepts;
  const char *who; /* names the other side in errors */
  HfKey key;       /* of the token */
  gboolean token_offered, by_token;
  HfPeer *peer;
  GError *error; /* why the other side was refused */
  gnutls_alert_description_t alert;
} Handshake;

gboolean hf_tls_error_is_wrong_token(const GError *error)
{
  return hf_error_is(error, HF_ERROR_PASSWORD);
}

/* ---- Who is it? Called by GnuTLS within the handshake. ---- */

static int refuse(Handshake *handshake, gnutls_alert_description_t alert, const char *format, ...) G_GNUC_PRINTF(3, 4);
static int refuse(Handshake *handshake, gnutls_alert_description_t alert, const char *format, ...)
{
  va_list arguments;
  va_start(arguments, format);
  g_autofree char *why = g_strdup_vprintf(format, arguments);
  va_end(arguments);
  handshake->alert = alert;
  if (handshake->error == NULL)
    (void)hf_fail(&handshake->error, HF_ERROR_REFUSED, "'%s' is refused: %s", handshake->who, why);
  return GNUTLS_E_CERTIFICATE_ERROR;
}

static const char *kind_text(guint kinds)
{
  return kinds == HF_PEER_SERVER ? "the server" : kinds == HF_PEER_HOST ? "a host" : "a host or the server";
}

static int check_expected(Handshake *handshake, const HfPeer *peer)
{
  const HfTlsExpect *expect = handshake->expect;
  const char *kind = peer->kind == HF_PEER_HOST ? "host" : "server";
  if ((expect->kinds & (guint)peer->kind) == 0)
    return refuse(handshake, GNUTLS_A_ACCESS_DENIED, "its certificate is that of %s '%s', but %s is expected here; "
                  "check the address", kind, peer->uuid, kind_text(expect->kinds));
  if (expect->uuid != NULL && strcmp(expect->uuid, peer->uuid) != 0)
    return refuse(handshake, GNUTLS_A_ACCESS_DENIED, "its certificate is that of %s '%s', not of '%s'; check the "
                  "address, or enrol the host again", kind, peer->uuid, expect->uuid);
  if (expect->role != NULL && peer->kind == HF_PEER_HOST && !hf_peer_has_role(peer, expect->role))
    return refuse(handshake, GNUTLS_A_ACCESS_DENIED, "its certificate does not have the role '%s'; give host '%s' this "
                  "role at the server", expect->role, peer->uuid);
  return 0;
}

/* What GnuTLS found wrong with the chain. */
static int check_status(Handshake *handshake, unsigned status, gnutls_x509_crt_t certificate)
{
  gint64 from = gnutls_x509_crt_get_activation_time(certificate), to = gnutls_x509_crt_get_expiration_time(certificate);
  if (status & (GNUTLS_CERT_SIGNER_NOT_FOUND | GNUTLS_CERT_SIGNER_NOT_CA))
    return refuse(handshake, GNUTLS_A_UNKNOWN_CA, "its certificate was issued by another authority than this system's; "
                  "enrol the host again");
  if (status & GNUTLS_CERT_EXPIRED) {
    g_autofree char *day = hf_clock_format_utc(to * 1000000000);
    return refuse(handshake, GNUTLS_A_CERTIFICATE_EXPIRED, "its certificate expired at %s; check the clocks of both "
                  "hosts, or enrol the host again", day);
  }
  if (status & GNUTLS_CERT_NOT_ACTIVATED) {
    g_autofree char *day = hf_clock_format_utc(from * 1000000000);
    return refuse(handshake, GNUTLS_A_BAD_CERTIFICATE, "its certificate is valid only from %s; check the clocks of "
                  "both hosts", day);
  }
  gnutls_datum_t text = { NULL, 0 };
  (void)gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &text, 0);
  g_autofree char *why = text.data != NULL ? g_strndup((const char *)text.data, text.size) : g_strdup("");
  gnutls_free(text.data);
  return refuse(handshake, GNUTLS_A_BAD_CERTIFICATE, "its certificate is not valid: %s", g_strstrip(why));
}

static int check_certificate(Handshake *handshake, gnutls_session_t session, gnutls_x509_crt_t certificate)
{
  unsigned status = 0;
  gnutls_typed_vdata_st purpose = { .type = GNUTLS_DT_KEY_PURPOSE_OID };
  const char *oid = handshake->accepts ? GNUTLS_KP_TLS_WWW_CLIENT : GNUTLS_KP_TLS_WWW_SERVER;
  purpose.data = (unsigned char *)oid;
  int failure = gnutls_certificate_verify_peers(session, &purpose, 1, &status);
  if (failure != 0)
    return refuse(handshake, GNUTLS_A_BAD_CERTIFICATE, "its certificate cannot be checked: %s",
                  gnutls_strerror(failure));
  if (status != 0)
    return check_status(handshake, status, certificate);

  g_autoptr(GError) cause = NULL;
  g_autoptr(HfPeer) peer = hf_peer_of(certificate, &cause);
  if (peer == NULL)
    return refuse(handshake, GNUTLS_A_BAD_CERTIFICATE, "%s; enrol the host again", cause->message);
  if (hf_tls_identity_is_revoked(handshake->identity, peer->serial))
    return refuse(handshake, GNUTLS_A_CERTIFICATE_REVOKED, "its certificate %s was revoked; enrol the host again",
                  peer->serial);
  int result = check_expected(handshake, peer);
  if (result == 0)
    handshake->peer = g_steal_pointer(&peer);
  return result;
}

static int check_peer(gnutls_session_t session)
{
  Handshake *handshake = gnutls_session_get_ptr(session);
  unsigned n = 0;
  const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &n);
  gnutls_x509_crt_t certificate = NULL;
  int result;
  /* A side that takes tokens only has no use for certificates (tls.h, invariant 3). */
  if (n == 0 || handshake->identity == NULL)
    return refuse(handshake, GNUTLS_A_CERTIFICATE_REQUIRED, "it came without a certificate; enrol the host");
  if (gnutls_x509_crt_init(&certificate) == 0 &&
      gnutls_x509_crt_import(certificate, &chain[0], GNUTLS_X509_FMT_DER) == 0)
    result = check_certificate(handshake, session, certificate);
  else
    result = refuse(handshake, GNUTLS_A_BAD_CERTIFICATE, "its certificate cannot be read");
  gnutls_x509_crt_deinit(certificate);
  return result;
}

static int find_token(gnutls_session_t session, const char *name, gnutls_datum_t *key)
{
  Handshake *handshake = gnutls_session_get_ptr(session);
  handshake->token_offered = TRUE;
  if (strcmp(name, HF_TLS_PSK_NAME) != 0)
    return -1;
  key->data = gnutls_malloc(sizeof handshake->key.b);
  if (key->data == NULL)
    return -1;
  memcpy(key->data, handshake->key.b, sizeof handshake->key.b);
  key->size = sizeof handshake->key.b;
  return 0;
}

/* ---- Setting up. ---- */

static void free_psk_client(gpointer credentials)
{
  gnutls_psk_free_client_credentials(credentials);
}

static void free_psk_server(gpointer credentials)
{
  gnutls_psk_free_server_credentials(credentials);
}

static void unref_material(gpointer material)
{
  hf_tls_material_unref(material);
}

static int use_token(Handshake *handshake, HfTlsStream *stream)
{
  gnutls_session_t session = hf_tls_stream_session(stream);
  if (handshake->accepts) {
    gnutls_psk_server_credentials_t credentials;
    int failure = gnutls_psk_allocate_server_credentials(&credentials);
    if (failure != 0)
      return failure;
    hf_tls_stream_keep(stream, credentials, free_psk_server);
    gnutls_psk_set_server_credentials_function(credentials, find_token);
    return gnutls_credentials_set(session, GNUTLS_CRD_PSK, credentials);
  }
  gnutls_psk_client_credentials_t credentials;
  gnutls_datum_t key = { handshake->key.b, sizeof handshake->key.b };
  int failure = gnutls_psk_allocate_client_credentials(&credentials);
  if (failure != 0)
    return failure;
  hf_tls_stream_keep(stream, credentials, free_psk_client);
  failure = gnutls_psk_set_client_credentials(credentials, HF_TLS_PSK_NAME, &key, GNUTLS_PSK_KEY_RAW);
  return failure != 0 ? failure : gnutls_credentials_set(session, GNUTLS_CRD_PSK, credentials);
}

static int use_identity(Handshake *handshake, HfTlsStream *stream)
{
  gnutls_session_t session = hf_tls_stream_session(stream);
  HfTlsMaterial *material = hf_tls_identity_material(handshake->identity);
  hf_tls_stream_keep(stream, material, unref_material);
  if (handshake->accepts)
    gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUIRE);
  return gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, material->credentials);
}

static int set_up(Handshake *handshake, HfTlsStream *stream)
{
  gnutls_session_t session = hf_tls_stream_session(stream);
  gnutls_datum_t protocol = { (unsigned char *)PROTOCOL, strlen(PROTOCOL) };
  const char *priorities = handshake->identity == NULL ? PRIORITIES_TOKEN
                                                       : handshake->token == NULL ? PRIORITIES : PRIORITIES_EITHER;
  gnutls_session_set_ptr(session, handshake);
  gnutls_session_set_verify_function(session, check_peer);
  int failure = gnutls_priority_set_direct(session, priorities, NULL);
  if (failure == 0)
    failure = gnutls_alpn_set_protocols(session, &protocol, 1, GNUTLS_ALPN_MANDATORY);
  if (failure == 0 && handshake->token != NULL)
    failure = use_token(handshake, stream);
  if (failure == 0 && handshake->identity != NULL)
    failure = use_identity(handshake, stream);
  return failure;
}

/* ---- What went wrong. ---- */

static gboolean fail_token(const Handshake *handshake, GError **error)
{
  return hf_fail(error, HF_ERROR_PASSWORD, "'%s' has another enrolment token, or one that is void; make a new token "
                 "and give it to both sides", handshake->who);
}

/* The other side refused us. */
static gboolean fail_alert(const Handshake *handshake, gnutls_session_t session, GError **error)
{
  const char *who = handshake->who;
  gnutls_alert_description_t alert = gnutls_alert_get(session);
  if (handshake->identity == NULL && !handshake->accepts && alert != GNUTLS_A_PROTOCOL_VERSION)
    return fail_token(handshake, error);
  switch (alert) {
  case GNUTLS_A_UNKNOWN_CA:
    return hf_fail(error, HF_ERROR_REFUSED, "'%s' refuses this side's certificate: it belongs to another system; enrol "
                   "the host again", who);
  case GNUTLS_A_CERTIFICATE_EXPIRED:
    return hf_fail(error, HF_ERROR_REFUSED, "'%s' refuses this side's certificate: it has expired; check the clocks of "
                   "both hosts, or enrol the host again", who);
  case GNUTLS_A_CERTIFICATE_REVOKED:
    return hf_fail(error, HF_ERROR_REFUSED, "'%s' refuses this side's certificate: it was revoked; enrol the host "
                   "again", who);
  case GNUTLS_A_ACCESS_DENIED:
    return hf_fail(error, HF_ERROR_REFUSED, "'%s' refuses this side: it expects another host, or another role; check "
                   "the address and the roles of both hosts", who);
  case GNUTLS_A_PROTOCOL_VERSION:
    return hf_fail(error, HF_ERROR_REFUSED, "'%s' does not speak TLS 1.3; check that it is Holdfast, and that nothing "
                   "between the hosts opens TLS", who);
  case GNUTLS_A_NO_APPLICATION_PROTOCOL:
    return hf_fail(error, HF_ERROR_REFUSED, "'%s' does not speak this protocol of Holdfast; check the address and "
                   "port, and upgrade the older side", who);
  default:
    return hf_fail(error, HF_ERROR_REFUSED, "'%s' refuses this side: %s; see its log", who,
                   hf_tls_alert_text(session, GNUTLS_E_FATAL_ALERT_RECEIVED));
  }
}

static gboolean fail_handshake(Handshake *handshake, gnutls_session_t session, int failure, GError **error)
{
  if (handshake->error != NULL) {
    g_propagate_error(error, g_steal_pointer(&handshake->error));
    return FALSE;
  }
  /* A wrong token is found out here, from the first message of the other side. */
  if (handshake->token_offered && failure != GNUTLS_E_FATAL_ALERT_RECEIVED && failure != GNUTLS_E_PREMATURE_TERMINATION)
    return fail_token(handshake, error);
  switch (failure) {
  case GNUTLS_E_FATAL_ALERT_RECEIVED:
    return fail_alert(handshake, session, error);
  case GNUTLS_E_UNSUPPORTED_VERSION_PACKET:
  case GNUTLS_E_NO_CIPHER_SUITES: /* what an older version leads to */
    return hf_fail(error, HF_ERROR_REFUSED, "'%s' does not speak TLS 1.3 in a way that this side takes; check that it "
                   "is Holdfast, and that nothing between the hosts opens TLS", handshake->who);
  case GNUTLS_E_CERTIFICATE_REQUIRED:
  case GNUTLS_E_NO_CERTIFICATE_FOUND:
    return hf_fail(error, HF_ERROR_REFUSED, "'%s' is refused: it came without a certificate; enrol the host",
                   handshake->who);
  case GNUTLS_E_PREMATURE_TERMINATION:
    return hf_fail(error, HF_ERROR_IO, "'%s' closed the connection during the handshake; see its log", handshake->who);
  default:
    return hf_fail(error, HF_ERROR_REFUSED, "the TLS handshake with '%s' failed: %s", handshake->who,
                   gnutls_strerror(failure));
  }
}

/* ---- The whole. ---- */

static gboolean is_our_protocol(gnutls_session_t session)
{
  gnutls_datum_t protocol = { NULL, 0 };
  return gnutls_alpn_get_selected_protocol(session, &protocol) == 0 && protocol.size == strlen(PROTOCOL) &&
         memcmp(protocol.data, PROTOCOL, protocol.size) == 0;
}

/* After a handshake that GnuTLS calls done: that it is what was asked for. */
static gboolean check_done(Handshake *handshake, gnutls_session_t session)
{
  gnutls_kx_algorithm_t exchange = gnutls_kx_get(session);
  handshake->by_token = exchange == GNUTLS_KX_ECDHE_PSK || exchange == GNUTLS_KX_DHE_PSK;
  if (gnutls_protocol_get_version(session) != GNUTLS_TLS1_3)
    (void)refuse(handshake, GNUTLS_A_PROTOCOL_VERSION, "it does not speak TLS 1.3");
  else if (!is_our_protocol(session))
    (void)refuse(handshake, GNUTLS_A_NO_APPLICATION_PROTOCOL, "it does not speak the protocol '" PROTOCOL "'; check "
                 "the address and port");
  else if (handshake->by_token ? handshake->token == NULL : handshake->peer == NULL)
    (void)refuse(handshake, GNUTLS_A_ACCESS_DENIED, "it proved neither a certificate nor a token");
  return handshake->error == NULL;
}

static gboolean say_first(const HfTlsExpect *expect, HfTlsStream *stream, GError **error)
{
  if (expect == NULL || expect->say == NULL)
    return TRUE;
  GByteArray *first = g_byte_array_new();
  expect->say(first, expect->user);
  struct iovec part = { first->data, first->len };
  gboolean said = first->len == 0 || ((HfStream *)stream)->ops->write((HfStream *)stream, &part, 1, error);
  if (first->len > 0)
    hf_wipe(first->data, first->len);
  g_byte_array_unref(first);
  return said;
}

/* The acceptor tells that it has checked; the other side waits for that. */
static gboolean confirm(Handshake *handshake, HfTlsStream *stream, GError **error)
{
  const HfStreamOps *ops = ((HfStream *)stream)->ops;
  guint8 byte = CHECKED;
  struct iovec part = { &byte, 1 };
  if (handshake->accepts)
    return ops->write((HfStream *)stream, &part, 1, error);
  g_autoptr(GError) cause = NULL;
  gnutls_session_t session = hf_tls_stream_session(stream);
  /* When what is said cannot go out, the alert that comes in tells why. */
  (void)say_first(handshake->expect, stream, &cause);
  g_clear_error(&cause);
  gssize got = ops->read((HfStream *)stream, &byte, 1, &cause);
  if (got == 1 && byte == CHECKED)
    return TRUE;
  if (got < 0 && gnutls_alert_get(session) != GNUTLS_A_CLOSE_NOTIFY)
    return fail_alert(handshake, session, error);
  if (got < 0 && !hf_error_is(cause, HF_ERROR_IO)) {
    g_propagate_error(error, g_steal_pointer(&cause));
    return FALSE;
  }
  return hf_fail(error, HF_ERROR_IO, "'%s' did not take this side: %s; see its log", handshake->who,
                 got < 0 ? cause->message : "it sent something else");
}

static gboolean run(Handshake *handshake, HfTlsStream *stream, GError **error)
{
  gnutls_session_t session = hf_tls_stream_session(stream);
  int failure = set_up(handshake, stream);
  if (failure != 0)
    return hf_fail(error, HF_ERROR_FAILED, "cannot begin TLS: %s", gnutls_strerror(failure));
  failure = hf_tls_stream_handshake(stream, error);
  if (failure == G_MININT) {
    g_prefix_error(error, "the TLS handshake with '%s' failed: ", handshake->who);
    return FALSE;
  }
  if (failure == 0 && check_done(handshake, session))
    return confirm(handshake, stream, error);
  if (handshake->error != NULL)
    hf_tls_stream_alert(stream, handshake->alert);
  else if (failure != GNUTLS_E_FATAL_ALERT_RECEIVED)
    hf_tls_stream_alert(stream, (gnutls_alert_description_t)gnutls_error_to_alert(failure, NULL));
  return fail_handshake(handshake, session, failure, error);
}

static HfChannel *start(Handshake *handshake, int fd, const char *name, int timeout_ms, GError **error)
{
  g_autoptr(HfSocket) socket = hf_socket_new(fd, name);
  g_autoptr(HfTlsStream) stream = NULL;
  handshake->who = hf_socket_peer(socket);
  hf_socket_set_deadline(socket, timeout_ms);
  unsigned flags = handshake->accepts ? GNUTLS_SERVER : GNUTLS_CLIENT | GNUTLS_FORCE_CLIENT_CERT;
  gboolean done = (handshake->token == NULL || hf_tls_token_key(handshake->token, &handshake->key, error)) &&
                  (stream = hf_tls_stream_new(socket, flags, error)) != NULL && run(handshake, stream, error);
  hf_key_clear(&handshake->key);
  g_clear_error(&handshake->error);
  if (!done) {
    g_clear_pointer(&handshake->peer, hf_peer_free);
    return NULL;
  }
  gnutls_session_set_ptr(hf_tls_stream_session(stream), NULL);
  hf_socket_set_deadline(socket, -1);
  return hf_channel_new_stream(g_steal_pointer(&socket), (HfStream *)g_steal_pointer(&stream));
}

/* Hands out who it was. */
static HfChannel *give(Handshake *handshake, HfChannel *channel, HfPeer **peer)
{
  if (peer != NULL)
    *peer = handshake->peer;
  else
    hf_peer_free(handshake->peer);
  return channel;
}

HfChannel *hf_tls_connect(HfTlsIdentity *identity, int fd, const HfTlsExpect *expect, const char *name, int timeout_ms,
                          HfPeer **peer, GError **error)
{
  Handshake handshake = { .identity = identity, .expect = expect };
  return give(&handshake, start(&handshake, fd, name, timeout_ms, error), peer);
}

HfChannel *hf_tls_accept(HfTlsIdentity *identity, int fd, const HfTlsExpect *expect, const char *name, int timeout_ms,
                         HfPeer **peer, GError **error)
{
  Handshake handshake = { .identity = identity, .expect = expect, .accepts = TRUE };
  return give(&handshake, start(&handshake, fd, name, timeout_ms, error), peer);
}

HfChannel *hf_tls_connect_token(const char *token, int fd, const char *name, int timeout_ms, GError **error)
{
  Handshake handshake = { .token = token };
  return start(&handshake, fd, name, timeout_ms, error);
}

HfChannel *hf_tls_accept_token(const char *token, int fd, const char *name, int timeout_ms, GError **error)
{
  Handshake handshake = { .token = token, .accepts = TRUE };
  return start(&handshake, fd, name, timeout_ms, error);
}

HfChannel *hf_tls_accept_either(HfTlsIdentity *identity, const char *token, int fd, const HfTlsExpect *expect,
                                const char *name, int timeout_ms, gboolean *by_token, HfPeer **peer, GError **error)
{
  Handshake handshake = { .identity = identity, .expect = expect, .token = token, .accepts = TRUE };
  HfChannel *channel = start(&handshake, fd, name, timeout_ms, error);
  *by_token = handshake.by_token;
  return give(&handshake, channel, peer);
}
