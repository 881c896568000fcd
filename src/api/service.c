/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the server says about itself. */
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <string.h>

#include "api/call.h"
#include "api/routes.gen.h"
#include "ports/catalogue/catalogue.h"

gboolean hf_api_server_info(HfApiCall *call, GError **error)
{
  (void)error;
  HfDb *db = call->api->settings.db;
  g_autofree char *schema = g_strdup_printf("%u", hf_db_schema(db));
  const HfApiFact facts[] = {
    { "server-id", call->api->server_id },
    { "name", call->api->name },
    { "version", HF_VERSION },
    { "database", hf_db_kind(db) == HF_DB_SQLITE ? "SQLite" : "PostgreSQL" },
    { "database-version", hf_db_version(db) },
    { "schema", schema },
  };
  return hf_api_answer_record(call, &hf_api_record_server_info, facts, G_N_ELEMENTS(facts));
}

gboolean hf_api_server_time(HfApiCall *call, GError **error)
{
  (void)error;
  g_autofree char *now = g_strdup_printf("%" G_GINT64_FORMAT, hf_db_now());
  g_autoptr(GTimeZone) zone = g_time_zone_new_local();
  const HfApiFact facts[] = { { "time", now }, { "zone", g_time_zone_get_identifier(zone) } };
  return hf_api_answer_record(call, &hf_api_record_server_time, facts, G_N_ELEMENTS(facts));
}

/* ---- The certificate ---- */

static char *hex(const guint8 *bytes, gsize length)
{
  GString *text = g_string_sized_new(2 * length);
  for (gsize i = 0; i < length; i++)
    g_string_append_printf(text, "%02X", bytes[i]);
  return g_string_free(text, FALSE);
}

static char *dn_text(gnutls_x509_crt_t certificate, gboolean issuer)
{
  gnutls_datum_t text = { NULL, 0 };
  int result = issuer ? gnutls_x509_crt_get_issuer_dn3(certificate, &text, 0)
                      : gnutls_x509_crt_get_dn3(certificate, &text, 0);
  char *copy = g_strdup(result < 0 ? "" : (const char *)text.data);
  gnutls_free(text.data);
  return copy;
}

/* The common name of a distinguished name, or all of it. */
static char *common_name(const char *dn)
{
  g_auto(GStrv) parts = g_strsplit(dn, ",", -1);
  for (guint i = 0; parts[i] != NULL; i++)
    if (g_str_has_prefix(g_strstrip(parts[i]), "CN="))
      return g_strdup(parts[i] + 3);
  return g_strdup(dn);
}

static gboolean answer_certificate(HfApiCall *call, gnutls_x509_crt_t certificate)
{
  guint8 digest[20], serial[64];
  size_t digest_length = sizeof digest, serial_length = sizeof serial;
  unsigned int bits = 0;
  gnutls_x509_crt_get_fingerprint(certificate, GNUTLS_DIG_SHA1, digest, &digest_length);
  gnutls_x509_crt_get_serial(certificate, serial, &serial_length);
  const char *algorithm = gnutls_pk_get_name(gnutls_x509_crt_get_pk_algorithm(certificate, &bits));
  g_autofree char *thumbprint = hex(digest, digest_length), *number = hex(serial, serial_length);
  g_autofree char *size = g_strdup_printf("%u", bits);
  g_autofree char *subject = dn_text(certificate, FALSE), *issuer = dn_text(certificate, TRUE);
  g_autofree char *to = common_name(subject), *by = common_name(issuer);
  g_autofree char *from = g_strdup_printf("%" G_GINT64_FORMAT,
                                          (gint64)gnutls_x509_crt_get_activation_time(certificate) * G_USEC_PER_SEC);
  g_autofree char *until = g_strdup_printf("%" G_GINT64_FORMAT,
                                           (gint64)gnutls_x509_crt_get_expiration_time(certificate) * G_USEC_PER_SEC);
  const HfApiFact facts[] = {
    { "thumbprint", thumbprint }, { "serial", number }, { "algorithm", algorithm != NULL ? algorithm : "unknown" },
    { "bits", size },             { "subject", subject }, { "to", to },
    { "by", by },                 { "from", from },       { "until", until },
    { "trusted", gnutls_x509_crt_check_issuer(certificate, certificate) != 0 ? "false" : "true" },
  };
  return hf_api_answer_record(call, &hf_api_record_certificate, facts, G_N_ELEMENTS(facts));
}

gboolean hf_api_server_certificate(HfApiCall *call, GError **error)
{
  gnutls_x509_crt_t certificate;
  const gnutls_datum_t pem = { (unsigned char *)call->api->certificate, (unsigned int)strlen(call->api->certificate) };
  if (gnutls_x509_crt_init(&certificate) < 0)
    return hf_fail(error, HF_ERROR_FAILED, "there is no memory for a certificate");
  gboolean done = gnutls_x509_crt_import(certificate, &pem, GNUTLS_X509_FMT_PEM) >= 0
                    ? answer_certificate(call, certificate)
                    : hf_fail(error, HF_ERROR_FAILED, "the server's certificate cannot be read");
  gnutls_x509_crt_deinit(certificate);
  return done;
}

/* ---- Fixed answers ---- */

gboolean hf_api_license(HfApiCall *call, GError **error)
{
  gint64 hosts = 0;
  g_autoptr(HfDbLink) link = hf_db_read(call->api->settings.db, error);
  if (link == NULL || !hf_db_query_int(link, "SELECT COUNT(*) FROM hosts", HF_DB_NONE, &hosts, error))
    return FALSE;
  g_autofree char *number = g_strdup_printf("%" G_GINT64_FORMAT, hosts);
  const HfApiFact facts[] = { { "hosts", number } };
  return hf_api_answer_record(call, &hf_api_record_license, facts, G_N_ELEMENTS(facts));
}

gboolean hf_api_best_practices(HfApiCall *call, GError **error)
{
  (void)error;
  return hf_api_answer_record(call, &hf_api_record_best_practices, NULL, 0);
}

gboolean hf_api_config_backup(HfApiCall *call, GError **error)
{
  (void)error;
  return hf_api_answer_record(call, &hf_api_record_config_backup, NULL, 0);
}

gboolean hf_api_api_versions(HfApiCall *call, GError **error)
{
  (void)error;
  HfApiOut *out = &call->out;
  hf_api_out_open(out, '{');
  hf_api_out_key(out, "versions");
  hf_api_out_open(out, '[');
  for (guint i = 0; i < hf_api_n_versions; i++)
    hf_api_out_text(out, hf_api_versions[i].name);
  hf_api_out_close(out, ']');
  hf_api_out_pair(out, "newest", hf_api_versions[hf_api_n_versions - 1].name);
  hf_api_out_close(out, '}');
  return TRUE;
}

gboolean hf_api_ports(HfApiCall *call, GError **error)
{
  (void)error;
  guint n;
  const HfPortService *services = hf_port_services(&n);
  HfApiOut *out = &call->out;
  hf_api_out_open(out, '{');
  hf_api_out_key(out, "services");
  hf_api_out_open(out, '[');
  for (guint i = 0; i < n; i++) {
    if (services[i].first == 0)
      continue;
    hf_api_out_open(out, '{');
    hf_api_out_pair(out, "id", services[i].id);
    hf_api_out_pair(out, "about", services[i].title);
    hf_api_out_pair_int(out, "first", services[i].first);
    hf_api_out_pair_int(out, "last", services[i].last);
    hf_api_out_close(out, '}');
  }
  hf_api_out_close(out, ']');
  hf_api_out_close(out, '}');
  return TRUE;
}

gboolean hf_api_metrics(HfApiCall *call, GError **error)
{
  g_autofree char *page = hf_metrics_text(call->api->settings.db, call->api->settings.notify, error);
  if (page == NULL)
    return FALSE;
  call->content_type = "text/plain; version=0.0.4; charset=utf-8";
  g_string_assign(call->out.text, page);
  return TRUE;
}

/* ---- The document ---- */

gboolean hf_api_document(HfApiCall *call, GError **error)
{
  const char *name = call->params[0];
  if (name != NULL && (*name == 'v' || *name == 'V'))
    name++;
  int version = name == NULL ? (int)hf_api_n_versions - 1 : hf_api_version_find(name);
  if (version < 0)
    return hf_fail(error, HF_ERROR_NOT_FOUND, "there is no version '%.40s'", name);
  const char *text = hf_api_documents[hf_api_versions[version].era];
  const char *mark = strstr(text, "@VERSION@");
  g_string_append_len(call->out.text, text, mark - text);
  g_string_append(call->out.text, hf_api_versions[version].name);
  g_string_append(call->out.text, mark + strlen("@VERSION@"));
  return TRUE;
}
