/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ports/live/probe.h"

#include <arpa/inet.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"

#define TIMEOUT_MS 400

/* ---- somebody who listens ---- */

typedef enum Manner {
  MANNER_GREETS,  /* says `text` and waits */
  MANNER_HANGS_UP,
  MANNER_SILENT,
  MANNER_ANSWERS, /* says `text` once asked */
  MANNER_TLS,
} Manner;

typedef struct Server {
  Manner manner;
  const char *text;
  gsize length;
  int fd;
  guint16 port;
  guint visits;
  gint stopping;
  GThread *thread;
  gnutls_certificate_credentials_t credentials;
} Server;

static void greet_tls(Server *server, int peer)
{
  gnutls_session_t session;
  gnutls_init(&session, GNUTLS_SERVER);
  gnutls_set_default_priority(session);
  gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, server->credentials);
  gnutls_transport_set_int(session, peer);
  gnutls_handshake_set_timeout(session, 2000);
  gnutls_handshake(session);
  gnutls_deinit(session);
}

static void serve_one(Server *server, int peer)
{
  char buffer[256];
  if (server->manner == MANNER_TLS) {
    greet_tls(server, peer);
    return;
  }
  if (server->manner == MANNER_ANSWERS)
    g_assert_cmpint(recv(peer, buffer, sizeof buffer, 0), >=, 0);
  if (server->manner == MANNER_GREETS || server->manner == MANNER_ANSWERS)
    send(peer, server->text, server->length, MSG_NOSIGNAL);
  if (server->manner != MANNER_HANGS_UP)
    while (recv(peer, buffer, sizeof buffer, 0) > 0)
      continue;
}

static gpointer serve(gpointer user)
{
  Server *server = user;
  int peer;
  while ((peer = accept(server->fd, NULL, NULL)) >= 0) {
    server->visits++;
    serve_one(server, peer);
    close(peer);
  }
  return NULL;
}

static gpointer serve_datagrams(gpointer user)
{
  Server *server = user;
  char buffer[256];
  struct sockaddr_in peer;
  socklen_t length = sizeof peer;
  while (!g_atomic_int_get(&server->stopping)) {
    if (recvfrom(server->fd, buffer, sizeof buffer, 0, (struct sockaddr *)&peer, &length) < 0)
      continue; /* the tick of its time limit */
    server->visits++;
    if (server->manner == MANNER_ANSWERS)
      sendto(server->fd, server->text, server->length, 0, (struct sockaddr *)&peer, length);
  }
  return NULL;
}

static void open_server(Server *server, int type)
{
  struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
  socklen_t length = sizeof address;
  server->fd = socket(AF_INET, type, 0);
  g_assert_cmpint(bind(server->fd, (struct sockaddr *)&address, sizeof address), ==, 0);
  getsockname(server->fd, (struct sockaddr *)&address, &length);
  server->port = ntohs(address.sin_port);
}

static void start(Server *server, Manner manner, const char *text, gsize length)
{
  *server = (Server){ .manner = manner, .text = text, .length = length };
  open_server(server, SOCK_STREAM);
  g_assert_cmpint(listen(server->fd, 16), ==, 0);
  server->thread = g_thread_new("server", serve, server);
}

static void start_datagrams(Server *server, Manner manner, const char *text, gsize length)
{
  *server = (Server){ .manner = manner, .text = text, .length = length };
  open_server(server, SOCK_DGRAM);
  struct timeval tick = { .tv_usec = 50000 };
  setsockopt(server->fd, SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof tick);
  server->thread = g_thread_new("server", serve_datagrams, server);
}

static void stop(Server *server)
{
  g_atomic_int_set(&server->stopping, 1);
  shutdown(server->fd, SHUT_RDWR);
  g_thread_join(server->thread);
  close(server->fd);
}

/* ---- what a probe finds ---- */

typedef struct Found {
  guint count;
  HfProbeState state;
  char *application, *reason, *banner, *subject, *issuer;
  gint64 until, microseconds;
} Found;

static void clear_found(Found *found)
{
  g_free(found->application);
  g_free(found->reason);
  g_free(found->banner);
  g_free(found->subject);
  g_free(found->issuer);
  *found = (Found){ 0 };
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Found, clear_found)

static void take(const HfProbeTarget *target, const HfProbeResult *result, gpointer user)
{
  Found *found = user;
  (void)target;
  guint count = found->count + 1;
  clear_found(found);
  found->count = count;
  found->state = result->state;
  found->application = g_strdup(result->application);
  found->reason = g_strdup(result->reason);
  found->banner = g_strdup(result->banner);
  found->microseconds = result->microseconds;
  if (result->certificate != NULL) {
    found->subject = g_strdup(result->certificate->subject);
    found->issuer = g_strdup(result->certificate->issuer);
    found->until = result->certificate->until;
  }
}

static HfProbeTarget target_of(const char *address, guint transport, guint16 port)
{
  HfProbeTarget target = { .transport = transport, .port = port };
  g_assert_true(hf_topology_address_parse(address, FALSE, &target.address));
  return target;
}

static void probe(const HfProbeTarget *target, Found *found)
{
  g_autoptr(GError) error = NULL;
  clear_found(found);
  g_autoptr(HfProber) prober = hf_prober_new(TIMEOUT_MS, take, found);
  hf_prober_add(prober, target);
  g_assert_true(hf_prober_run(prober, NULL, &error));
  g_assert_no_error(error);
  g_assert_cmpuint(found->count, ==, 1);
}

static void probe_local(const Server *server, guint transport, const char *application, const char *second,
                        Found *found)
{
  HfProbeTarget target = target_of("127.0.0.1", transport, server->port);
  target.applications[0] = application;
  target.applications[1] = second;
  target.n_applications = application == NULL ? 0 : second == NULL ? 1 : 2;
  probe(&target, found);
}

/* ---- TCP ---- */

static void test_open(void)
{
  Server server;
  g_auto(Found) found = { 0 };
  start(&server, MANNER_GREETS, "SSH-2.0-try\r\nmore", 16);
  probe_local(&server, HF_PORT_TCP, "ssh", NULL, &found);
  g_assert_cmpint(found.state, ==, HF_PROBE_OPEN);
  g_assert_cmpstr(found.application, ==, "ssh");
  g_assert_cmpstr(found.banner, ==, "SSH-2.0-try");
  g_assert_cmpint(found.microseconds, >, 0);
  probe_local(&server, HF_PORT_TCP, NULL, NULL, &found);
  g_assert_cmpint(found.state, ==, HF_PROBE_OPEN);
  g_assert_null(found.application);
  stop(&server);
  start(&server, MANNER_ANSWERS, "N", 1);
  probe_local(&server, HF_PORT_TCP, "postgresql", NULL, &found);
  g_assert_cmpint(found.state, ==, HF_PROBE_OPEN);
  g_assert_cmpstr(found.application, ==, "postgresql");
  g_assert_null(found.banner);
  stop(&server);
}

static void expect_wrong(Manner manner, const char *text, const char *reason)
{
  Server server;
  g_auto(Found) found = { 0 };
  start(&server, manner, text, strlen(text));
  probe_local(&server, HF_PORT_TCP, "ssh", NULL, &found);
  g_assert_cmpint(found.state, ==, HF_PROBE_WRONG);
  g_assert_cmpstr(found.reason, ==, reason);
  g_assert_null(found.application);
  stop(&server);
}

static void test_wrong(void)
{
  expect_wrong(MANNER_GREETS, "220 mail\r\n", "not ssh: it says something else");
  expect_wrong(MANNER_HANGS_UP, "", "not ssh: it hangs up");
  expect_wrong(MANNER_SILENT, "", "not ssh: it says nothing for 0.4 s");
}

/* What it says is shown when it is a line of text, and never when it is anything else. */
static void test_banner(void)
{
  Server server;
  g_auto(Found) found = { 0 };
  start(&server, MANNER_GREETS, "220 mail\r\n", 10);
  probe_local(&server, HF_PORT_TCP, "ssh", NULL, &found);
  g_assert_cmpstr(found.banner, ==, "220 mail");
  stop(&server);
  start(&server, MANNER_GREETS, "220 \33[31mred\r\n", 14);
  probe_local(&server, HF_PORT_TCP, "ssh", NULL, &found);
  g_assert_null(found.banner);
  stop(&server);
}

/* Several may be spoken: each is asked for, with a connection of its own; one that cannot be asked for is no mistake. */
static void test_several(void)
{
  Server server;
  g_auto(Found) found = { 0 };
  start(&server, MANNER_GREETS, "220 mail\r\n", 10);
  probe_local(&server, HF_PORT_TCP, "ssh", "smtp", &found);
  g_assert_cmpint(found.state, ==, HF_PROBE_OPEN);
  g_assert_cmpstr(found.application, ==, "smtp");
  g_assert_cmpuint(server.visits, ==, 2);
  probe_local(&server, HF_PORT_TCP, "ssh", "holdfast", &found);
  g_assert_cmpint(found.state, ==, HF_PROBE_OPEN);
  g_assert_null(found.application);
  probe_local(&server, HF_PORT_TCP, "holdfast", "ssh", &found);
  g_assert_cmpint(found.state, ==, HF_PROBE_OPEN);
  g_assert_null(found.application);
  stop(&server);
}

/* A port that was just given back: nobody has it. */
static guint16 free_port(int type)
{
  Server server = { 0 };
  open_server(&server, type);
  close(server.fd);
  return server.port;
}

static void test_closed(void)
{
  g_auto(Found) found = { 0 };
  HfProbeTarget tcp = target_of("127.0.0.1", HF_PORT_TCP, free_port(SOCK_STREAM));
  probe(&tcp, &found);
  g_assert_cmpint(found.state, ==, HF_PROBE_CLOSED);
  HfProbeTarget udp = target_of("127.0.0.1", HF_PORT_UDP, free_port(SOCK_DGRAM));
  probe(&udp, &found);
  g_assert_cmpint(found.state, ==, HF_PROBE_CLOSED);
}

/* A listener whose queue is full swallows what comes, as a firewall does. */
static void test_filtered(void)
{
  Server server = { 0 };
  g_auto(Found) found = { 0 };
  int waiting[4];
  open_server(&server, SOCK_STREAM);
  g_assert_cmpint(listen(server.fd, 0), ==, 0);
  struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
  address.sin_port = htons(server.port);
  for (guint i = 0; i < G_N_ELEMENTS(waiting); i++) {
    waiting[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    connect(waiting[i], (struct sockaddr *)&address, sizeof address);
  }
  probe_local(&server, HF_PORT_TCP, "ssh", NULL, &found);
  g_assert_cmpint(found.state, ==, HF_PROBE_FILTERED);
  g_assert_cmpstr(found.reason, ==, "no answer in 0.4 s");
  for (guint i = 0; i < G_N_ELEMENTS(waiting); i++)
    close(waiting[i]);
  close(server.fd);
}

/* To broadcast takes a permission that the socket lacks. */
static void test_refused_here(void)
{
  g_auto(Found) found = { 0 };
  HfProbeTarget target = target_of("255.255.255.255", HF_PORT_UDP, 9);
  probe(&target, &found);
  g_assert_cmpint(found.state, ==, HF_PROBE_FILTERED);
  g_assert_nonnull(found.reason);
}

/* ---- UDP ---- */

static void test_datagrams(void)
{
  static const char answer[] = "hf\x80\5\0\1\0\0\0\0\0\0";
  Server server;
  g_auto(Found) found = { 0 };
  start_datagrams(&server, MANNER_ANSWERS, answer, sizeof answer - 1);
  probe_local(&server, HF_PORT_UDP, "dns", NULL, &found);
  g_assert_cmpint(found.state, ==, HF_PROBE_OPEN);
  g_assert_cmpstr(found.application, ==, "dns");
  probe_local(&server, HF_PORT_UDP, "ntp", NULL, &found);
  g_assert_cmpint(found.state, ==, HF_PROBE_WRONG);
  probe_local(&server, HF_PORT_UDP, NULL, NULL, &found);
  g_assert_cmpint(found.state, ==, HF_PROBE_OPEN);
  stop(&server);
}

/* Silence is silence; it was asked twice. */
static void test_silent(void)
{
  Server server;
  g_auto(Found) found = { 0 };
  start_datagrams(&server, MANNER_SILENT, NULL, 0);
  probe_local(&server, HF_PORT_UDP, "dns", NULL, &found);
  g_assert_cmpint(found.state, ==, HF_PROBE_SILENT);
  g_assert_cmpstr(found.reason, ==, "no answer in 0.4 s: open or filtered");
  g_assert_cmpuint(server.visits, ==, 2);
  stop(&server);
}

/* ---- TLS ---- */

static gnutls_certificate_credentials_t make_credentials(void)
{
  gnutls_certificate_credentials_t credentials;
  gnutls_x509_privkey_t key;
  gnutls_x509_crt_t certificate;
  const char *error;
  gnutls_certificate_allocate_credentials(&credentials);
  gnutls_x509_privkey_init(&key);
  gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
  gnutls_x509_crt_init(&certificate);
  gnutls_x509_crt_set_version(certificate, 3);
  gnutls_x509_crt_set_serial(certificate, "\1", 1);
  gnutls_x509_crt_set_dn(certificate, "CN=who,O=Try", &error);
  gnutls_x509_crt_set_issuer_dn(certificate, "CN=who,O=Try", &error);
  gnutls_x509_crt_set_activation_time(certificate, 1000000000);
  gnutls_x509_crt_set_expiration_time(certificate, 4000000000);
  gnutls_x509_crt_set_key(certificate, key);
  g_assert_cmpint(gnutls_x509_crt_sign2(certificate, certificate, key, GNUTLS_DIG_SHA256, 0), ==, 0);
  g_assert_cmpint(gnutls_certificate_set_x509_key(credentials, &certificate, 1, key), ==, 0);
  gnutls_x509_crt_deinit(certificate);
  gnutls_x509_privkey_deinit(key);
  return credentials;
}

static void test_tls(void)
{
  Server server;
  g_auto(Found) found = { 0 };
  start(&server, MANNER_TLS, NULL, 0);
  server.credentials = make_credentials();
  probe_local(&server, HF_PORT_TCP, "https", NULL, &found);
  g_assert_cmpint(found.state, ==, HF_PROBE_OPEN);
  g_assert_cmpstr(found.application, ==, "https");
  g_assert_cmpstr(found.subject, ==, "CN=who,O=Try");
  g_assert_cmpstr(found.issuer, ==, "CN=who,O=Try");
  g_assert_cmpint(found.until, ==, 4000000000);
  stop(&server);
  gnutls_certificate_free_credentials(server.credentials);
}

static void test_no_tls(void)
{
  Server server;
  g_auto(Found) found = { 0 };
  start(&server, MANNER_ANSWERS, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
  probe_local(&server, HF_PORT_TCP, "https", NULL, &found);
  g_assert_cmpint(found.state, ==, HF_PROBE_WRONG);
  g_assert_true(g_str_has_prefix(found.reason, "no TLS: "));
  stop(&server);
  start(&server, MANNER_SILENT, NULL, 0);
  probe_local(&server, HF_PORT_TCP, "https", NULL, &found);
  g_assert_cmpint(found.state, ==, HF_PROBE_WRONG);
  stop(&server);
  start(&server, MANNER_ANSWERS, "\x15\3\3\0\2\2\x28", 7); /* an alert: it speaks TLS, and not with us */
  probe_local(&server, HF_PORT_TCP, "ldaps", NULL, &found);
  g_assert_cmpint(found.state, ==, HF_PROBE_OPEN);
  g_assert_cmpstr(found.reason, ==, "TLS, but: Handshake failed");
  g_assert_null(found.subject);
  stop(&server);
}

/* ---- many ---- */

typedef struct Tally {
  guint states[HF_PROBE_WRONG + 1];
  HfProber *prober;
  HfCancel *cancel;
  guint more; /* that are added while it runs */
} Tally;

static void count(const HfProbeTarget *target, const HfProbeResult *result, gpointer user)
{
  Tally *tally = user;
  tally->states[result->state]++;
  if (tally->more > 0) {
    tally->more--;
    hf_prober_add(tally->prober, target);
  }
  if (tally->cancel != NULL)
    hf_cancel_set(tally->cancel);
}

static void test_thousands(void)
{
  g_autoptr(GError) error = NULL;
  Tally tally = { .more = 1000 };
  g_autoptr(HfProber) prober = hf_prober_new(5000, count, &tally);
  HfProbeTarget target = target_of("127.0.0.1", HF_PORT_TCP, free_port(SOCK_STREAM));
  tally.prober = prober;
  for (guint i = 0; i < 9000; i++)
    hf_prober_add(prober, &target);
  g_assert_true(hf_prober_run(prober, NULL, &error));
  g_assert_cmpuint(tally.states[HF_PROBE_CLOSED], ==, 10000);
}

static void test_cancel(void)
{
  Server server;
  g_autoptr(GError) error = NULL;
  HfCancel cancel = { 0 };
  Tally tally = { .cancel = &cancel };
  start_datagrams(&server, MANNER_SILENT, NULL, 0);
  g_autoptr(HfProber) prober = hf_prober_new(600000, count, &tally);
  HfProbeTarget silent = target_of("127.0.0.1", HF_PORT_UDP, server.port);
  HfProbeTarget closed = target_of("127.0.0.1", HF_PORT_TCP, free_port(SOCK_STREAM));
  hf_prober_add(prober, &silent);
  for (guint i = 0; i < 3 * HF_PROBE_AT_ONCE; i++)
    hf_prober_add(prober, &closed);
  g_assert_false(hf_prober_run(prober, &cancel, &error));
  g_assert_true(hf_error_is(error, HF_ERROR_CANCELLED));
  g_assert_cmpuint(tally.states[HF_PROBE_UNTRIED] + tally.states[HF_PROBE_CLOSED], ==, 3 * HF_PROBE_AT_ONCE + 1);
  g_assert_cmpuint(tally.states[HF_PROBE_UNTRIED], >, 0);
  stop(&server);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/probe/open", test_open);
  g_test_add_func("/probe/wrong", test_wrong);
  g_test_add_func("/probe/banner", test_banner);
  g_test_add_func("/probe/several", test_several);
  g_test_add_func("/probe/closed", test_closed);
  g_test_add_func("/probe/filtered", test_filtered);
  g_test_add_func("/probe/refused-here", test_refused_here);
  g_test_add_func("/probe/datagrams", test_datagrams);
  g_test_add_func("/probe/silent", test_silent);
  g_test_add_func("/probe/tls", test_tls);
  g_test_add_func("/probe/no-tls", test_no_tls);
  g_test_add_func("/probe/thousands", test_thousands);
  g_test_add_func("/probe/cancel", test_cancel);
  return g_test_run();
}
