/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A client of the REST interface of one server, over TLS (libcurl with GnuTLS) and jansson. It knows requests and
 * answers, and nothing of logins (cli/logins.h) nor of what the interface is about (cli/fleet.h).
 *
 * Invariants:
 * 1. Nothing but the probe speaks to a server that was not proven: by its pinned key (no byte of a request leaves
 *    before the key is the pinned one), or by a chain to a given CA with the server's name in it.
 * 2. What is sent and what comes back is wiped: every JSON value of the process is (hf_rest_init), as are the buffers
 *    here.
 * 3. No redirection is followed, no proxy of the environment is used.
 *
 * A client belongs to one thread.
 */
#pragma once

#include <glib.h>
#include <jansson.h>

#include "base/buffer.h"
#include "base/work.h"

/* How a server is proven. `pin` or `ca`, never both. */
typedef struct HfRestServer {
  char *address; /* "host:port", "[v6]:port" */
  char *pin;     /* SHA-256 of the public key (SubjectPublicKeyInfo), base64; or NULL */
  char *ca;      /* absolute path of a file of CA certificates; or NULL */
} HfRestServer;

void hf_rest_server_clear(HfRestServer *server);

/* "host", "host:port", "[v6]:port" or a bare v6 address as "host:port"; the port of the interface when none is given.
 * Caller frees; NULL with HF_ERROR_USAGE. */
char *hf_rest_address(const char *text, GError **error);

/* Once, before anything else here and before any JSON: libcurl, and JSON values that are wiped when they are freed. */
gboolean hf_rest_init(GError **error);

/* What a server shows. */
typedef struct HfRestCertificate {
  char *fingerprint; /* SHA-256 of the certificate, lower-case hex */
  char *pin;         /* as in HfRestServer */
  char *subject, *issuer;
  gint64 from, until; /* seconds since 1970 */
} HfRestCertificate;
void hf_rest_certificate_clear(HfRestCertificate *certificate);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HfRestCertificate, hf_rest_certificate_clear)

/* Asks for the certificate without proof of anything, and tells the server nothing. `certificate` is zeroed at first.
 */
gboolean hf_rest_probe(const char *address, HfCancel *cancel, HfRestCertificate *certificate, GError **error);

/* The first certificate of a PEM text as above. */
gboolean hf_rest_certificate_read(const char *pem, HfRestCertificate *certificate, GError **error);

/* A fingerprint as people write it ("SHA256:", colons, capitals) as 64 lower-case hex digits; caller frees. NULL with
 * HF_ERROR_USAGE. */
char *hf_rest_fingerprint_parse(const char *text, GError **error);

typedef struct HfRest HfRest;
/* `server` is borrowed and must outlive it. */
HfRest *hf_rest_new(const HfRestServer *server, HfCancel *cancel, GError **error);
void hf_rest_free(HfRest *rest);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfRest, hf_rest_free)
/* What is shown as "Bearer" from now on; NULL: nothing. Copied. */
void hf_rest_set_token(HfRest *rest, const char *token);

typedef struct HfRestAnswer {
  long status;
  json_t *body; /* NULL when there was none */
} HfRestAnswer;
void hf_rest_answer_clear(HfRestAnswer *answer);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HfRestAnswer, hf_rest_answer_clear)

/* One request. `path` begins with '/' and is escaped; `body` is borrowed, NULL for none. TRUE when an answer came,
 * whatever its status; `answer` is zeroed at first.
 * Errors: HF_ERROR_IO (no answer; may be tried again), HF_ERROR_PERMISSION (the server is not proven),
 * HF_ERROR_INVALID (an answer that is no JSON, or too long), HF_ERROR_CANCELLED. */
gboolean hf_rest_ask(HfRest *rest, const char *method, const char *path, json_t *body, HfRestAnswer *answer,
                     GError **error);
/* GET of what is no JSON: appended to `bytes`, at most 64 MiB. A refusal is an error. */
gboolean hf_rest_get_bytes(HfRest *rest, const char *path, HfBuffer *bytes, GError **error);
/* As above: POST of a form (names and values in turn, ended by NULL). */
gboolean hf_rest_form(HfRest *rest, const char *path, const char *const *pairs, HfRestAnswer *answer, GError **error);

/* TRUE for a status below 300; else the server's own words as an error of the code that fits. */
gboolean hf_rest_check(const HfRestAnswer *answer, GError **error);

/* ---- Reading answers. ---- */
/* The value at "a.b.c", borrowed, or NULL. */
json_t *hf_json_at(json_t *object, const char *path);
const char *hf_json_text(json_t *object, const char *path); /* NULL when it is no text */
gint64 hf_json_int(json_t *object, const char *path, gint64 otherwise);
gboolean hf_json_flag(json_t *object, const char *path);
/* Sets the value at "a.b.c", making the objects on the way; takes `value` over. */
void hf_json_put(json_t *object, const char *path, json_t *value);
