/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of tls.h share. Private to src/net. */
#pragma once

#include <gnutls/gnutls.h>

#include "crypto/crypto.h"
#include "net/stream.h"
#include "net/tls.h"

/* ---- Own certificate, key and authority, as connections hold it: never changed, counted. ---- */
typedef struct HfTlsMaterial {
  gint references; /* atomic */
  gnutls_certificate_credentials_t credentials;
  HfPeer *own;
} HfTlsMaterial;
void hf_tls_material_unref(HfTlsMaterial *material);
/* What a connection that begins now uses. */
HfTlsMaterial *hf_tls_identity_material(HfTlsIdentity *identity);
gboolean hf_tls_identity_is_revoked(HfTlsIdentity *identity, const char *serial);

/* ---- Tokens. ---- */
#define HF_TLS_PSK_NAME "holdfast-enrolment-1"
/* The key that a token stands for; FALSE with HF_ERROR_USAGE when it is none. */
gboolean hf_tls_token_key(const char *token, HfKey *key, GError **error);

/* ---- TLS on a socket. ---- */
/*
 * GnuTLS works between two buffers and never waits; the socket is read and written outside of it. So one lock makes the
 * session safe for a reader and a writer at once, key updates included, and nobody waits for the network while he holds
 * it.
 */
typedef struct HfTlsStream HfTlsStream;
/* `flags` are those of gnutls_init. The socket stays the caller's. */
HfTlsStream *hf_tls_stream_new(HfSocket *socket, unsigned flags, GError **error);
gnutls_session_t hf_tls_stream_session(HfTlsStream *stream);
/* Keeps `data` until the stream goes. */
void hf_tls_stream_keep(HfTlsStream *stream, gpointer data, GDestroyNotify free_data);
/* 0, or the failure of GnuTLS; of G_MININT `error` says that the socket failed. */
int hf_tls_stream_handshake(HfTlsStream *stream, GError **error);
/* Tells the other side why, as far as the socket takes it. */
void hf_tls_stream_alert(HfTlsStream *stream, gnutls_alert_description_t alert);
void hf_tls_stream_free(HfTlsStream *stream);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfTlsStream, hf_tls_stream_free)
/* The alert that the other side sent last, as a text; NULL: none that was fatal. */
const char *hf_tls_alert_text(gnutls_session_t session, int failure);
