/* SPDX-License-Identifier: GPL-3.0-or-later */
/* TLS to a syslog server. It is no part of Holdfast: its certificate is judged by its name and a CA, as on the web. */
#include <gnutls/gnutls.h>
#include <string.h>

#include "base/error.h"
#include "server/notify/state.h"

#define HANDSHAKE_MS 5000
#define PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

struct HfSyslogTls {
  gnutls_certificate_credentials_t credentials;
  gnutls_session_t session;
  char *host;
};

void hf_syslog_tls_free(HfSyslogTls *tls)
{
  if (tls == NULL)
    return;
  if (tls->session != NULL)
    gnutls_deinit(tls->session);
  if (tls->credentials != NULL)
    gnutls_certificate_free_credentials(tls->credentials);
  g_free(tls->host);
  g_free(tls);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfSyslogTls, hf_syslog_tls_free)

static gboolean load(HfSyslogTls *tls, const HfSyslogSettings *settings, GError **error)
{
  int got = settings->ca_file != NULL
                ? gnutls_certificate_set_x509_trust_file(tls->credentials, settings->ca_file, GNUTLS_X509_FMT_PEM)
                : gnutls_certificate_set_x509_system_trust(tls->credentials);
  if (got <= 0)
    return hf_fail(error, HF_ERROR_NOT_FOUND, "no certificate of a CA in '%s'; the syslog server cannot be judged",
                   settings->ca_file != NULL ? settings->ca_file : "the system's store");
  if (settings->certificate_file == NULL)
    return TRUE;
  got = gnutls_certificate_set_x509_key_file(tls->credentials, settings->certificate_file, settings->key_file,
                                             GNUTLS_X509_FMT_PEM);
  return got >= 0 || hf_fail(error, HF_ERROR_INVALID, "cannot use the certificate '%s' for syslog: %s",
                             settings->certificate_file, gnutls_strerror(got));
}

static gboolean shake(HfSyslogTls *tls, GError **error)
{
  int got;
  do
    got = gnutls_handshake(tls->session);
  while (got < 0 && gnutls_error_is_fatal(got) == 0);
  if (got == GNUTLS_E_SUCCESS)
    return TRUE;
  gnutls_datum_t why = {NULL, 0};
  if (got == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR)
    gnutls_certificate_verification_status_print(gnutls_session_get_verify_cert_status(tls->session), GNUTLS_CRT_X509,
                                                 &why, 0);
  hf_fail(error, HF_ERROR_PERMISSION, "no TLS with the syslog server '%s': %s", tls->host,
          why.data != NULL ? (const char *)why.data : gnutls_strerror(got));
  gnutls_free(why.data);
  return FALSE;
}

HfSyslogTls *hf_syslog_tls_new(int fd, const HfSyslogSettings *settings, GError **error)
{
  g_autoptr(HfSyslogTls) tls = g_new0(HfSyslogTls, 1);
  tls->host = g_strdup(settings->host);
  gnutls_certificate_allocate_credentials(&tls->credentials);
  if (!load(tls, settings, error))
    return NULL;
  gnutls_init(&tls->session, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL);
  gnutls_priority_set_direct(tls->session, PRIORITIES, NULL);
  gnutls_credentials_set(tls->session, GNUTLS_CRD_CERTIFICATE, tls->credentials);
  if (!g_hostname_is_ip_address(tls->host))
    gnutls_server_name_set(tls->session, GNUTLS_NAME_DNS, tls->host, strlen(tls->host));
  gnutls_session_set_verify_cert(tls->session, tls->host, 0);
  gnutls_handshake_set_timeout(tls->session, HANDSHAKE_MS);
  gnutls_transport_set_int(tls->session, fd);
  return shake(tls, error) ? g_steal_pointer(&tls) : NULL;
}

gboolean hf_syslog_tls_send(HfSyslogTls *tls, const char *bytes, gsize length, GError **error)
{
  while (length > 0) {
    ssize_t sent = gnutls_record_send(tls->session, bytes, length);
    if (sent == GNUTLS_E_INTERRUPTED)
      continue;
    if (sent < 0)
      return hf_fail(error, HF_ERROR_IO, "cannot send to the syslog server '%s': %s", tls->host,
                     gnutls_strerror((int)sent));
    bytes += sent;
    length -= (gsize)sent;
  }
  return TRUE;
}
