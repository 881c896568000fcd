/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * TLS 1.3 between parts of Holdfast (docs/protocol.md 2), by GnuTLS. Both sides show certificates of the internal CA
 * and check chain, validity, revocation, and that the other is who was expected. There is no fallback to less.
 *
 * INVARIANTS
 * 1. No byte of payload goes either way before both sides were checked: a channel comes out only afterwards.
 * 2. Only TLS 1.3, only AEAD ciphers, no resumption, no early data.
 * 3. With a token both sides have proved to know it; a peer that shows a certificate instead is refused.
 *
 * All functions may be called from any thread. They take over `fd`, also when they fail. Time for a handshake is
 * bounded by `timeout_ms`. Errors are HF_ERROR_REFUSED (who the peer is) or HF_ERROR_IO, and name the peer, what was
 * wrong and what to do next.
 */
#pragma once

#include "net/channel.h"
#include "net/pki.h"

/* ---- Who we are and whom we believe. ---- */
typedef struct HfTlsIdentity HfTlsIdentity;

typedef struct HfTlsSettings {
  const char *certificate;    /* PEM: own certificate */
  const char *key;            /* PEM */
  const char *ca;             /* PEM: the internal CA */
  const char *const *revoked; /* serials (lower-case hex) that are void; ended by NULL; NULL: none */
} HfTlsSettings;

/* HF_ERROR_INVALID when key and certificate do not fit, or the CA did not issue it. */
HfTlsIdentity *hf_tls_identity_new(const HfTlsSettings *settings, GError **error);
/* Puts other settings in place, while in use: connections that stand are not touched, later ones use the new. On error
 * the old ones stay. */
gboolean hf_tls_identity_reload(HfTlsIdentity *identity, const HfTlsSettings *settings, GError **error);
/* Only the revoked serials. */
void hf_tls_identity_set_revoked(HfTlsIdentity *identity, const char *const *revoked);
HfTlsIdentity *hf_tls_identity_ref(HfTlsIdentity *identity);
void hf_tls_identity_unref(HfTlsIdentity *identity);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfTlsIdentity, hf_tls_identity_unref)
/* Own certificate; the caller frees. */
HfPeer *hf_tls_identity_peer(HfTlsIdentity *identity);

/* ---- Connections. ---- */
/* Whom the caller wants at the other end. Zero and NULL members ask nothing, but `kinds` must be given. */
typedef struct HfTlsExpect {
  guint kinds;      /* HfPeerKind bits that are welcome */
  const char *uuid; /* exactly this host or server */
  const char *role; /* hosts must have this role */
  /* Of who connects, may be NULL: appends what is to go out as soon as the other side was checked. It saves a round
   * trip, for this side has not been checked then: when it is refused, nobody reads what was said. Wiped after it was
   * sent. */
  void (*say)(GByteArray *first, gpointer user);
  gpointer user;
} HfTlsExpect;

/* `name` names the peer in errors ("host web-1 (10.0.0.7 port 40112)"); NULL: its address. `peer` (may be NULL) is set
 * to who it is; the caller frees. */
HfChannel *hf_tls_connect(HfTlsIdentity *identity, int fd, const HfTlsExpect *expect, const char *name, int timeout_ms,
                          HfPeer **peer, GError **error);
HfChannel *hf_tls_accept(HfTlsIdentity *identity, int fd, const HfTlsExpect *expect, const char *name, int timeout_ms,
                         HfPeer **peer, GError **error);

/* ---- Enrolment by a one-time token. ---- */
/* A new token: 160 random bits as text, "XXXX-XXXX-..." of A-Z and 2-7. Wipe it with hf_tls_token_free. */
char *hf_tls_token_new(void);
void hf_tls_token_free(char *token);
/* TRUE when the text has the form of a token (case and '-' do not matter). */
gboolean hf_tls_token_valid(const char *token);
/* A name for a token that tells nothing about it, for logs and for finding it: 16 hex digits, "" for what is no token.
 * Caller frees. */
char *hf_tls_token_name(const char *token);

HfChannel *hf_tls_connect_token(const char *token, int fd, const char *name, int timeout_ms, GError **error);
HfChannel *hf_tls_accept_token(const char *token, int fd, const char *name, int timeout_ms, GError **error);

/* One port for both: who offers the token is taken by it, everybody else by certificate. `identity` may be NULL (not
 * enrolled yet), `token` may be NULL (nobody is awaited), not both. `by_token` says which it was; then *peer stays
 * NULL. */
HfChannel *hf_tls_accept_either(HfTlsIdentity *identity, const char *token, int fd, const HfTlsExpect *expect,
                                const char *name, int timeout_ms, gboolean *by_token, HfPeer **peer, GError **error);
/* Of a failed accept with a token: TRUE when the other side came with a token, and it was not this one (what
 * counts as a failure of the token); its code is HF_ERROR_PASSWORD. */
gboolean hf_tls_error_is_wrong_token(const GError *error);
