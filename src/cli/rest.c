/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/rest.h"

#include <curl/curl.h>
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <malloc.h>
#include <string.h>

#include "base/buffer.h"
#include "base/error.h"
#include "cli/password.h"
#include "crypto/crypto.h"
#include "net/pki.h"
#include "ports/catalogue/catalogue.h"

#define API_VERSION "1.3-rev1"
#define CONNECT_SECONDS 15L
#define ANSWER_SECONDS 600L /* opening a large point takes a while */
#define ANSWER_MAX (64u << 20)
#define HARMLESS_PATH "/api/v1/serverTime"

typedef CURL Curl;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Curl, curl_easy_cleanup)
typedef struct curl_slist CurlList;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CurlList, curl_slist_free_all)

struct HfRest {
  const HfRestServer *server;
  HfCancel *cancel;
  CURL *curl;
  char *token;
  char problem[CURL_ERROR_SIZE];
};

/* ---- Addresses and fingerprints. ---- */

void hf_rest_server_clear(HfRestServer *server)
{
  g_clear_pointer(&server->address, g_free);
  g_clear_pointer(&server->pin, g_free);
  g_clear_pointer(&server->ca, g_free);
}

static gboolean is_host(const char *text, gsize length)
{
  for (gsize i = 0; i < length; i++)
    if (!g_ascii_isalnum(text[i]) && strchr(".-_:%", text[i]) == NULL)
      return FALSE;
  return length > 0;
}

char *hf_rest_address(const char *text, GError **error)
{
  guint64 port = hf_port_service("rest")->first;
  const char *host = text, *end = text + strlen(text), *last = strrchr(text, ':'), *port_text = NULL;
  gboolean brackets = *text == '[';
  if (brackets) {
    host = text + 1;
    end = strchr(text, ']');
    if (end == NULL || (end[1] != '\0' && end[1] != ':')) {
      hf_fail(error, HF_ERROR_USAGE, "'%s' is no address of a server; write HOST, HOST:PORT or [IPv6]:PORT", text);
      return NULL;
    }
    port_text = end[1] == ':' ? end + 2 : NULL;
  } else if (last != NULL && strchr(text, ':') == last) {
    end = last;
    port_text = last + 1;
  }
  if (!is_host(host, (gsize)(end - host))) {
    hf_fail(error, HF_ERROR_USAGE, "'%s' is no address of a server; write HOST, HOST:PORT or [IPv6]:PORT", text);
    return NULL;
  }
  if (port_text != NULL && !hf_parse_number("the port of the server", port_text, 1, G_MAXUINT16, &port, error))
    return NULL;
  g_autofree char *name = g_ascii_strdown(host, end - host);
  return strchr(name, ':') != NULL ? g_strdup_printf("[%s]:%u", name, (guint)port)
                                   : g_strdup_printf("%s:%u", name, (guint)port);
}

char *hf_rest_fingerprint_parse(const char *text, GError **error)
{
  const char *digits = g_ascii_strncasecmp(text, "SHA256:", 7) == 0 ? text + 7 : text;
  GString *plain = g_string_new(NULL);
  for (; *digits != '\0'; digits++)
    if (*digits != ':')
      g_string_append_c(plain, g_ascii_tolower(*digits));
  guint8 bytes[32];
  if (hf_unhex(plain->str, bytes, sizeof bytes))
    return g_string_free(plain, FALSE);
  g_string_free(plain, TRUE);
  hf_fail(error, HF_ERROR_USAGE, "'%s' is no fingerprint; it takes the 64 hex digits of a SHA-256", text);
  return NULL;
}

/* ---- Certificates. ---- */

void hf_rest_certificate_clear(HfRestCertificate *certificate)
{
  g_clear_pointer(&certificate->fingerprint, g_free);
  g_clear_pointer(&certificate->pin, g_free);
  g_clear_pointer(&certificate->subject, g_free);
  g_clear_pointer(&certificate->issuer, g_free);
}

/* SHA-256 of the public key, in base64: what libcurl pins. */
static char *pin_of(gnutls_x509_crt_t certificate)
{
  gnutls_pubkey_t key;
  gnutls_datum_t der = { NULL, 0 };
  if (gnutls_pubkey_init(&key) < 0)
    return NULL;
  char *pin = NULL;
  if (gnutls_pubkey_import_x509(key, certificate, 0) >= 0 &&
      gnutls_pubkey_export2(key, GNUTLS_X509_FMT_DER, &der) >= 0) {
    guint8 hash[32];
    if (gnutls_hash_fast(GNUTLS_DIG_SHA256, der.data, der.size, hash) >= 0)
      pin = g_base64_encode(hash, sizeof hash);
    gnutls_free(der.data);
  }
  gnutls_pubkey_deinit(key);
  return pin;
}

/* Takes the name over from GnuTLS; "?" where it has none. */
static char *name_of(int status, gnutls_datum_t *name)
{
  if (status < 0)
    return g_strdup("?");
  char *text = g_strndup((const char *)name->data, name->size);
  gnutls_free(name->data);
  return text;
}

gboolean hf_rest_certificate_read(const char *pem, HfRestCertificate *certificate, GError **error)
{
  gnutls_datum_t text = { (guint8 *)pem, (guint)strlen(pem) }, name = { NULL, 0 };
  gnutls_x509_crt_t crt;
  certificate->fingerprint = hf_pki_fingerprint(pem, error);
  if (certificate->fingerprint == NULL)
    return FALSE;
  if (gnutls_x509_crt_init(&crt) < 0 || gnutls_x509_crt_import(crt, &text, GNUTLS_X509_FMT_PEM) < 0)
    return hf_fail(error, HF_ERROR_INVALID, "the certificate of the server cannot be read");
  certificate->pin = pin_of(crt);
  certificate->subject = name_of(gnutls_x509_crt_get_dn3(crt, &name, 0), &name);
  certificate->issuer = name_of(gnutls_x509_crt_get_issuer_dn3(crt, &name, 0), &name);
  certificate->from = gnutls_x509_crt_get_activation_time(crt);
  certificate->until = gnutls_x509_crt_get_expiration_time(crt);
  gnutls_x509_crt_deinit(crt);
  return certificate->pin != NULL ||
         hf_fail(error, HF_ERROR_INVALID, "the public key of the server's certificate cannot be read");
}

/* ---- Requests. ---- */

static void free_wiped(void *memory)
{
  if (memory != NULL)
    hf_wipe(memory, malloc_usable_size(memory));
  free(memory);
}

gboolean hf_rest_init(GError **error)
{
  static gsize done;
  if (g_once_init_enter(&done)) {
    json_set_alloc_funcs(malloc, free_wiped);
    g_once_init_leave(&done, curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? 1 : 2);
  }
  return hf_crypto_init(error) && (done == 1 || hf_fail(error, HF_ERROR_FAILED, "cannot initialise libcurl"));
}

static int check_cancel(void *user, curl_off_t down_total G_GNUC_UNUSED, curl_off_t down G_GNUC_UNUSED,
                        curl_off_t up_total G_GNUC_UNUSED, curl_off_t up G_GNUC_UNUSED)
{
  return hf_cancelled(user, NULL) ? 1 : 0;
}

static size_t take(char *bytes, size_t size, size_t count, void *user)
{
  HfBuffer *buffer = user;
  gsize length = size * count, needed = buffer->length + length;
  if (needed > ANSWER_MAX)
    return 0;
  if (needed > buffer->capacity) {
    /* A new buffer each time, so that no copy of a token stays behind where realloc took it from. */
    HfBuffer larger = HF_BUFFER_INIT;
    if (!hf_buffer_reserve(&larger, needed * 2, NULL) ||
        !hf_buffer_append(&larger, buffer->data, buffer->length, NULL)) {
      hf_buffer_wipe(&larger);
      return 0;
    }
    hf_buffer_wipe(buffer);
    *buffer = larger;
  }
  return hf_buffer_append(buffer, bytes, length, NULL) ? length : 0;
}

static size_t drop(char *bytes G_GNUC_UNUSED, size_t size, size_t count, void *user G_GNUC_UNUSED)
{
  return size * count;
}

static void set_common(CURL *curl, HfCancel *cancel, char *problem)
{
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, problem);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
  curl_easy_setopt(curl, CURLOPT_PROXY, "");
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT, ANSWER_SECONDS);
  curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, check_cancel);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, cancel);
  curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
}

static gboolean no_answer(const char *address, CURLcode code, const char *problem, HfCancel *cancel, GError **error)
{
  if (hf_cancelled(cancel, error))
    return FALSE;
  if (code == CURLE_WRITE_ERROR)
    return hf_fail(error, HF_ERROR_INVALID, "the answer of server '%s' is longer than %u MiB", address,
                   ANSWER_MAX >> 20);
  return hf_fail(error, HF_ERROR_IO,
                 "cannot reach server '%s': %s; does holdfast-server run there, and is the port open?", address,
                 *problem != '\0' ? problem : curl_easy_strerror(code));
}

static gboolean read_shown(CURL *curl, const char *address, HfRestCertificate *certificate, GError **error)
{
  struct curl_certinfo *shown = NULL;
  if (curl_easy_getinfo(curl, CURLINFO_CERTINFO, &shown) == CURLE_OK && shown != NULL && shown->num_of_certs > 0)
    for (const struct curl_slist *line = shown->certinfo[0]; line != NULL; line = line->next)
      if (g_str_has_prefix(line->data, "Cert:"))
        return hf_rest_certificate_read(line->data + strlen("Cert:"), certificate, error);
  return hf_fail(error, HF_ERROR_INVALID, "server '%s' shows no certificate", address);
}

gboolean hf_rest_probe(const char *address, HfCancel *cancel, HfRestCertificate *certificate, GError **error)
{
  char problem[CURL_ERROR_SIZE] = "";
  g_autofree char *url = g_strconcat("https://", address, HARMLESS_PATH, NULL);
  if (!hf_rest_init(error))
    return FALSE;
  g_autoptr(Curl) curl = curl_easy_init();
  if (curl == NULL)
    return hf_fail(error, HF_ERROR_FAILED, "cannot start libcurl");
  set_common(curl, cancel, problem);
  curl_easy_setopt(curl, CURLOPT_URL, url);
  curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
  curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
  curl_easy_setopt(curl, CURLOPT_CERTINFO, 1L);
  curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, drop);
  CURLcode code = curl_easy_perform(curl);
  return code == CURLE_OK ? read_shown(curl, address, certificate, error)
                          : no_answer(address, code, problem, cancel, error);
}

HfRest *hf_rest_new(const HfRestServer *server, HfCancel *cancel, GError **error)
{
  if (!hf_rest_init(error))
    return NULL;
  CURL *curl = curl_easy_init();
  if (curl == NULL) {
    hf_fail(error, HF_ERROR_FAILED, "cannot start libcurl");
    return NULL;
  }
  HfRest *rest = g_new0(HfRest, 1);
  rest->server = server;
  rest->cancel = cancel;
  rest->curl = curl;
  return rest;
}

void hf_rest_set_token(HfRest *rest, const char *token)
{
  if (rest->token != NULL)
    hf_wipe(rest->token, strlen(rest->token));
  g_free(rest->token);
  rest->token = g_strdup(token);
}

void hf_rest_free(HfRest *rest)
{
  if (rest == NULL)
    return;
  hf_rest_set_token(rest, NULL);
  curl_easy_cleanup(rest->curl);
  g_free(rest);
}

/* Invariant 1. */
static void set_proof(HfRest *rest)
{
  if (rest->server->ca != NULL) {
    curl_easy_setopt(rest->curl, CURLOPT_CAINFO, rest->server->ca);
    return;
  }
  g_autofree char *pin = g_strconcat("sha256//", rest->server->pin, NULL);
  curl_easy_setopt(rest->curl, CURLOPT_SSL_VERIFYPEER, 0L);
  curl_easy_setopt(rest->curl, CURLOPT_SSL_VERIFYHOST, 0L);
  curl_easy_setopt(rest->curl, CURLOPT_PINNEDPUBLICKEY, pin);
}

static gboolean not_proven(const HfRest *rest, GError **error)
{
  const char *address = rest->server->address;
  if (rest->server->ca != NULL)
    return hf_fail(error, HF_ERROR_PERMISSION,
                   "server '%s' is not proven by the CA in '%s': %s; nothing was sent to it", address, rest->server->ca,
                   rest->problem);
  g_auto(HfRestCertificate) shown = { 0 };
  hf_rest_probe(address, rest->cancel, &shown, NULL);
  return hf_fail(
    error, HF_ERROR_PERMISSION,
    "SERVER '%s' SHOWS ANOTHER CERTIFICATE than the one that was pinned: now SHA256:%s; somebody may stand "
    "between, so nothing was sent; if its administrator confirms the new one, run 'holdfast logout %s' and "
    "'holdfast login %s'",
    address, shown.fingerprint != NULL ? shown.fingerprint : "unknown", address, address);
}

static gboolean read_answer(const HfRest *rest, const HfBuffer *bytes, HfRestAnswer *answer, GError **error)
{
  json_error_t where;
  if (bytes->length == 0)
    return TRUE;
  answer->body = json_loadb((const char *)bytes->data, bytes->length, JSON_DECODE_ANY, &where);
  return answer->body != NULL ||
         hf_fail(error, HF_ERROR_INVALID, "the answer of '%s' (status %ld) is no JSON; is it a Holdfast server?",
                 rest->server->address, answer->status);
}

/* `bytes` and `type` describe the body; NULL for none. What came back is added to `got`. */
static gboolean perform(HfRest *rest, const char *method, const char *path, const char *bytes, const char *type,
                        HfBuffer *got, long *status, GError **error)
{
  g_autofree char *url = g_strconcat("https://", rest->server->address, path, NULL);
  g_autofree char *bearer = rest->token == NULL ? NULL : g_strconcat("Authorization: Bearer ", rest->token, NULL);
  g_autoptr(CurlList) headers = curl_slist_append(NULL, "x-api-version: " API_VERSION);
  headers = curl_slist_append(headers, type != NULL ? type : "Content-Type:");
  headers = curl_slist_append(headers, "Expect:");
  if (bearer != NULL)
    headers = curl_slist_append(headers, bearer);
  curl_easy_reset(rest->curl); /* the connection stays */
  rest->problem[0] = '\0';
  set_common(rest->curl, rest->cancel, rest->problem);
  set_proof(rest);
  curl_easy_setopt(rest->curl, CURLOPT_URL, url);
  curl_easy_setopt(rest->curl, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(rest->curl, CURLOPT_WRITEFUNCTION, take);
  curl_easy_setopt(rest->curl, CURLOPT_WRITEDATA, got);
  if (bytes != NULL || strcmp(method, "POST") == 0) {
    curl_easy_setopt(rest->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(bytes != NULL ? strlen(bytes) : 0));
    curl_easy_setopt(rest->curl, CURLOPT_POSTFIELDS, bytes != NULL ? bytes : "");
  }
  curl_easy_setopt(rest->curl, CURLOPT_CUSTOMREQUEST, method);
  CURLcode code = curl_easy_perform(rest->curl);
  if (bearer != NULL)
    hf_wipe(bearer, strlen(bearer));
  if (bearer != NULL) /* libcurl's copy of it */
    for (CurlList *line = headers; line != NULL; line = line->next)
      hf_wipe(line->data, strlen(line->data));
  if (code == CURLE_SSL_PINNEDPUBKEYNOTMATCH || code == CURLE_PEER_FAILED_VERIFICATION ||
      code == CURLE_SSL_CACERT_BADFILE)
    return not_proven(rest, error);
  if (code != CURLE_OK)
    return no_answer(rest->server->address, code, rest->problem, rest->cancel, error);
  curl_easy_getinfo(rest->curl, CURLINFO_RESPONSE_CODE, status);
  return TRUE;
}

/* As perform, for an answer that is JSON. */
static gboolean perform_json(HfRest *rest, const char *method, const char *path, const char *bytes, const char *type,
                             HfRestAnswer *answer, GError **error)
{
  hf_autosecret HfBuffer got = HF_BUFFER_INIT;
  return perform(rest, method, path, bytes, type, &got, &answer->status, error) &&
         read_answer(rest, &got, answer, error);
}

gboolean hf_rest_ask(HfRest *rest, const char *method, const char *path, json_t *body, HfRestAnswer *answer,
                     GError **error)
{
  char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
  gboolean answered =
    perform_json(rest, method, path, text, text == NULL ? NULL : "Content-Type: application/json", answer, error);
  free_wiped(text);
  return answered;
}

gboolean hf_rest_get_bytes(HfRest *rest, const char *path, HfBuffer *bytes, GError **error)
{
  g_auto(HfRestAnswer) answer = { 0 };
  if (!perform(rest, "GET", path, NULL, NULL, bytes, &answer.status, error))
    return FALSE;
  return answer.status < 300 || (read_answer(rest, bytes, &answer, error) && hf_rest_check(&answer, error));
}

gboolean hf_rest_form(HfRest *rest, const char *path, const char *const *pairs, HfRestAnswer *answer, GError **error)
{
  gsize room = 1;
  for (guint i = 0; pairs[i] != NULL; i++)
    room += 3 * strlen(pairs[i]) + 1;
  GString *form = g_string_sized_new(room); /* it never grows: no copy stays behind */
  for (guint i = 0; pairs[i] != NULL; i++) {
    if (i > 0)
      g_string_append_c(form, i % 2 == 0 ? '&' : '=');
    g_string_append_uri_escaped(form, pairs[i], NULL, FALSE);
  }
  gboolean answered =
    perform_json(rest, "POST", path, form->str, "Content-Type: application/x-www-form-urlencoded", answer, error);
  hf_wipe(form->str, form->len);
  g_string_free(form, TRUE);
  return answered;
}

void hf_rest_answer_clear(HfRestAnswer *answer)
{
  json_decref(answer->body);
  answer->body = NULL;
}

gboolean hf_rest_check(const HfRestAnswer *answer, GError **error)
{
  static const struct {
    long status;
    HfErrorCode code;
  } codes[] = { { 400, HF_ERROR_USAGE },     { 401, HF_ERROR_PERMISSION }, { 403, HF_ERROR_PERMISSION },
                { 404, HF_ERROR_NOT_FOUND }, { 409, HF_ERROR_EXISTS },     { 501, HF_ERROR_UNSUPPORTED },
                { 503, HF_ERROR_BUSY },      { 507, HF_ERROR_NO_SPACE } };
  if (answer->status < 300)
    return TRUE;
  HfErrorCode code = HF_ERROR_FAILED;
  for (guint i = 0; i < G_N_ELEMENTS(codes); i++)
    if (codes[i].status == answer->status)
      code = codes[i].code;
  const char *message = hf_json_text(answer->body, "message");
  if (message == NULL)
    return hf_fail(error, code, "the server refused with status %ld and no words", answer->status);
  return hf_fail(error, code, "%s", message);
}

/* ---- Reading answers. ---- */

json_t *hf_json_at(json_t *object, const char *path)
{
  g_auto(GStrv) names = g_strsplit(path, ".", -1);
  for (guint i = 0; names[i] != NULL && object != NULL; i++)
    object = json_object_get(object, names[i]);
  return object;
}

const char *hf_json_text(json_t *object, const char *path)
{
  return json_string_value(hf_json_at(object, path));
}

gint64 hf_json_int(json_t *object, const char *path, gint64 otherwise)
{
  json_t *value = hf_json_at(object, path);
  return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

gboolean hf_json_flag(json_t *object, const char *path)
{
  return json_is_true(hf_json_at(object, path));
}

void hf_json_put(json_t *object, const char *path, json_t *value)
{
  g_auto(GStrv) names = g_strsplit(path, ".", -1);
  guint i = 0;
  for (; names[i + 1] != NULL; i++) {
    json_t *inner = json_object_get(object, names[i]);
    if (!json_is_object(inner)) {
      json_object_set_new(object, names[i], json_object());
      inner = json_object_get(object, names[i]);
    }
    object = inner;
  }
  json_object_set_new(object, names[i], value);
}
