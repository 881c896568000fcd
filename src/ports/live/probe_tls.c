/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ports/live/probe_tls.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "base/buffer.h"

/* Old servers are to be named, too, and nothing is trusted to this connection: everything that both sides know. */
#define PRIORITIES "NORMAL:+VERS-ALL:+SHA256:+SHA384:+RSA:%COMPAT"

struct HfProbeTls {
  gnutls_session_t session;
  gnutls_certificate_credentials_t credentials;
  HfProbeCertificate *certificate;
};

void hf_probe_certificate_free(HfProbeCertificate *certificate)
{
  if (certificate == NULL)
    return;
  g_free(certificate->subject);
  g_free(certificate->issuer);
  g_free(certificate);
}

static char *name_text(gnutls_x509_crt_t certificate,
                       int (*get)(gnutls_x509_crt_t certificate, gnutls_datum_t *name, unsigned flags))
{
  gnutls_datum_t name;
  if (get(certificate, &name, 0) != GNUTLS_E_SUCCESS)
    return g_strdup("");
  char *text = hf_printable((const char *)name.data, (gssize)name.size);
  gnutls_free(name.data);
  return text;
}

/* Called as soon as the other side has shown what it has: it may end the handshake later, because we have none. */
static int keep_certificate(gnutls_session_t session)
{
  HfProbeTls *tls = gnutls_session_get_ptr(session);
  unsigned n = 0;
  gnutls_x509_crt_t certificate;
  const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &n);
  if (n == 0 || tls->certificate != NULL || gnutls_x509_crt_init(&certificate) != GNUTLS_E_SUCCESS)
    return 0;
  if (gnutls_x509_crt_import(certificate, &chain[0], GNUTLS_X509_FMT_DER) == GNUTLS_E_SUCCESS) {
    tls->certificate = g_new0(HfProbeCertificate, 1);
    tls->certificate->subject = name_text(certificate, gnutls_x509_crt_get_dn3);
    tls->certificate->issuer = name_text(certificate, gnutls_x509_crt_get_issuer_dn3);
    tls->certificate->from = gnutls_x509_crt_get_activation_time(certificate);
    tls->certificate->until = gnutls_x509_crt_get_expiration_time(certificate);
  }
  gnutls_x509_crt_deinit(certificate);
  return 0;
}

HfProbeTls *hf_probe_tls_new(int fd, const char *host_name)
{
  HfProbeTls *tls = g_new0(HfProbeTls, 1);
  gnutls_init(&tls->session, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL);
  gnutls_certificate_allocate_credentials(&tls->credentials);
  gnutls_certificate_set_verify_function(tls->credentials, keep_certificate);
  gnutls_credentials_set(tls->session, GNUTLS_CRD_CERTIFICATE, tls->credentials);
  gnutls_priority_set_direct(tls->session, PRIORITIES, NULL);
  gnutls_session_set_ptr(tls->session, tls);
  if (host_name != NULL)
    gnutls_server_name_set(tls->session, GNUTLS_NAME_DNS, host_name, strlen(host_name));
  gnutls_transport_set_int(tls->session, fd);
  return tls;
}

HfProbeTlsState hf_probe_tls_step(HfProbeTls *tls, char **reason)
{
  int code;
  do
    code = gnutls_handshake(tls->session);
  while (code == GNUTLS_E_INTERRUPTED || code == GNUTLS_E_WARNING_ALERT_RECEIVED ||
         code == GNUTLS_E_GOT_APPLICATION_DATA);
  if (code == GNUTLS_E_AGAIN)
    return gnutls_record_get_direction(tls->session) == 0 ? HF_PROBE_TLS_READ : HF_PROBE_TLS_WRITE;
  if (code == GNUTLS_E_SUCCESS)
    return HF_PROBE_TLS_RIGHT;
  if (code == GNUTLS_E_FATAL_ALERT_RECEIVED) {
    *reason = g_strdup_printf("TLS, but: %s", gnutls_alert_get_name(gnutls_alert_get(tls->session)));
    return HF_PROBE_TLS_RIGHT;
  }
  *reason = g_strdup_printf("no TLS: %s", gnutls_strerror(code));
  return tls->certificate != NULL ? HF_PROBE_TLS_RIGHT : HF_PROBE_TLS_WRONG;
}

HfProbeCertificate *hf_probe_tls_certificate(HfProbeTls *tls)
{
  return g_steal_pointer(&tls->certificate);
}

void hf_probe_tls_free(HfProbeTls *tls)
{
  if (tls == NULL)
    return;
  gnutls_deinit(tls->session);
  gnutls_certificate_free_credentials(tls->credentials);
  hf_probe_certificate_free(tls->certificate);
  g_free(tls);
}
