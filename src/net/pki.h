/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The internal certificate authority: what the server makes once, and what hosts get from it (docs/protocol.md 2).
 * Everything is PEM text; keys are ECDSA P-256 in PKCS#8 without a password. Private keys are secrets: wipe and free
 * them with hf_pki_key_free. Any thread; nothing is kept.
 *
 * A certificate of a host has the URI names holdfast:host:UUID and one holdfast:role:NAME for each role, that of the
 * server holdfast:server:UUID. Nothing else says who a peer is: the common name is for people.
 */
#pragma once

#include <glib.h>

#define HF_PKI_CA_DAYS 3650u
#define HF_PKI_DAYS 90u        /* of what is issued */
#define HF_PKI_RENEW_DAYS 60u  /* renew when so old */

typedef enum HfPeerKind {
  HF_PEER_HOST = 1 << 0,
  HF_PEER_SERVER = 1 << 1,
} HfPeerKind;

/* Who a certificate belongs to. */
typedef struct HfPeer {
  HfPeerKind kind;
  char *uuid;        /* lower case, 36 characters */
  char **roles;      /* ended by NULL; empty for servers */
  char *name;        /* common name, "" when it has none: for showing only */
  char *serial;      /* lower-case hex */
  char *fingerprint; /* SHA-256 of the certificate (DER), lower-case hex */
  gint64 not_before, not_after; /* seconds since 1970 */
} HfPeer;
void hf_peer_free(HfPeer *peer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfPeer, hf_peer_free)
HfPeer *hf_peer_copy(const HfPeer *peer);
gboolean hf_peer_has_role(const HfPeer *peer, const char *role);

/* Wipes and frees; NULL is allowed. */
void hf_pki_key_free(char *key);
typedef char HfPkiKey; /* g_autoptr(HfPkiKey) key = NULL; */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfPkiKey, hf_pki_key_free)

/* A new authority: certificate and key. `name` is its common name. */
gboolean hf_pki_new_ca(const char *name, char **certificate, char **key, GError **error);
/* A new key and a request for a certificate of it, with `name` as its common name. */
gboolean hf_pki_new_request(const char *name, char **request, char **key, GError **error);

/* What a certificate is to say; all of it is the issuer's, of a request only the key is taken. */
typedef struct HfPkiGrant {
  HfPeerKind kind;
  const char *uuid;
  const char *name;               /* common name; NULL: none */
  const char *const *roles;       /* ended by NULL; NULL: none. "installer", "transport"... */
  const char *const *names;       /* DNS names and addresses, for the REST interface; NULL: none */
  gint64 not_before;              /* seconds since 1970; 0: five minutes ago */
  guint days;                     /* from not_before; 0: HF_PKI_DAYS */
} HfPkiGrant;
/* Issues a certificate; the caller frees the text. HF_ERROR_INVALID when the request is malformed or not signed by the
 * key in it, HF_ERROR_USAGE when the grant says nothing possible. */
char *hf_pki_issue(const char *ca, const char *ca_key, const char *request, const HfPkiGrant *grant, GError **error);

/* Who the (first) certificate belongs to. HF_ERROR_INVALID when it names no host or server of Holdfast, or several. */
HfPeer *hf_pki_peer(const char *certificate, GError **error);
/* TRUE when it should be renewed at `now` (seconds since 1970): HF_PKI_RENEW_DAYS of HF_PKI_DAYS have passed, or the
 * like share of another lifetime. */
gboolean hf_pki_renew_due(const HfPeer *peer, gint64 now);
/* SHA-256 of the (first) certificate, lower-case hex; NULL with an error when it is none. */
char *hf_pki_fingerprint(const char *certificate, GError **error);
/* FALSE with HF_ERROR_INVALID unless the certificate was issued by `ca` and is valid at `now`, or `key` (may be NULL)
 * is not the key of it. */
gboolean hf_pki_check(const char *certificate, const char *key, const char *ca, gint64 now, GError **error);

/* ---- Signed orders: a signature over bytes, apart from them. ECDSA, SHA-256, over label, a zero byte, bytes. ---- */
/* `label` says what is signed ("holdfast order 1"): a signature of one kind is no signature of another. */
GBytes *hf_pki_sign(const char *key, const char *label, const void *bytes, gsize length, GError **error);
/* Checks the signature by the key of `certificate`, that this was issued by `ca`, is valid at `now` (seconds since
 * 1970; 0: not asked) and that it is the server's; HF_ERROR_REFUSED else. `server` (may be NULL): who signed. */
gboolean hf_pki_verify(const char *certificate, const char *ca, gint64 now, const char *label, const void *bytes,
                       gsize length, GBytes *signature, HfPeer **server, GError **error);
