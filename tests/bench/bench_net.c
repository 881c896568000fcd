/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Bulk data over mutual TLS 1.3 on loopback: our calls, with one and with several connections, beside GnuTLS alone on the
 * same kind of connection (records sent by one thread, received by another, nothing else), and beside AES-GCM alone.
 *
 *   bench_net [MEGABYTES [PIECE_KILOBYTES]]
 */
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "crypto/crypto.h"
#include "net/connect.h"
#include "net/rpc.h"
#include "net/tls.h"

#define RECORD (16 << 10)
#define UUID_A "00000000-0000-4000-8000-000000000002"
#define UUID_B "00000000-0000-4000-8000-000000000003"

static guint64 total = 2048ull << 20;
static gsize piece_bytes = 1 << 20;
static char *ca, *ca_key, *certificates[2], *keys[2];

static void check(gboolean done, GError *error)
{
  if (!done)
    g_error("%s", error != NULL ? error->message : "failed");
}

static void make_fleet(void)
{
  GError *error = NULL;
  const char *const roles[] = { "transport", NULL };
  check(hf_pki_new_ca("bench", &ca, &ca_key, &error), error);
  for (guint i = 0; i < 2; i++) {
    g_autofree char *request = NULL;
    HfPkiGrant grant = { .kind = HF_PEER_HOST, .uuid = i == 0 ? UUID_A : UUID_B, .roles = roles };
    check(hf_pki_new_request("bench", &request, &keys[i], &error), error);
    certificates[i] = hf_pki_issue(ca, ca_key, request, &grant, &error);
    check(certificates[i] != NULL, error);
  }
}

static void tcp_pair(int *a, int *b)
{
  GError *error = NULL;
  int listener = hf_net_listen("127.0.0.1", 0, &error);
  check(listener >= 0, error);
  *a = hf_net_connect("127.0.0.1", hf_net_port(listener), 5000, &error);
  *b = hf_net_accept(listener, 5000, NULL, &error);
  check(*a >= 0 && *b >= 0, error);
  close(listener);
}

/* Seconds of processor time of all threads so far. */
static gdouble processor_seconds(void)
{
  struct rusage usage;
  check(getrusage(RUSAGE_SELF, &usage) == 0, NULL);
  return (gdouble)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         (gdouble)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void report(const char *name, guint64 bytes, gint64 begun)
{
  static gdouble before;
  gdouble seconds = (gdouble)(g_get_monotonic_time() - begun) / 1e6, used = processor_seconds();
  printf("%-44s %8.0f MiB/s %8.2f processor s/GiB\n", name, (gdouble)bytes / seconds / (1 << 20),
         (used - before) / ((gdouble)bytes / (1 << 30)));
  fflush(stdout);
  before = used;
}

/* ---- AES-GCM alone, records of 16 KiB, one thread ---- */

static void bench_cipher(void)
{
  g_autofree guint8 *bytes = g_malloc0(RECORD + 16);
  guint8 key_bytes[16] = { 1 }, nonce[12] = { 0 };
  gnutls_datum_t key = { key_bytes, sizeof key_bytes };
  gnutls_aead_cipher_hd_t cipher;
  size_t length = RECORD + 16;
  check(gnutls_aead_cipher_init(&cipher, GNUTLS_CIPHER_AES_128_GCM, &key) == 0, NULL);
  gint64 begun = g_get_monotonic_time();
  for (guint64 done = 0; done < total; done += RECORD) {
    nonce[0]++;
    length = RECORD + 16;
    check(gnutls_aead_cipher_encrypt(cipher, nonce, sizeof nonce, NULL, 0, 16, bytes, RECORD, bytes, &length) == 0,
          NULL);
  }
  report("AES-128-GCM, one thread", total, begun);
  gnutls_aead_cipher_deinit(cipher);
}

/* ---- GnuTLS alone ---- */

typedef struct Plain {
  gnutls_session_t session;
  int fd;
  unsigned flags;
  guint64 bytes;
} Plain;

static void plain_open(Plain *plain)
{
  guint i = plain->flags == GNUTLS_SERVER;
  gnutls_certificate_credentials_t credentials;
  gnutls_datum_t certificate = { (guint8 *)certificates[i], (unsigned)strlen(certificates[i]) };
  gnutls_datum_t key = { (guint8 *)keys[i], (unsigned)strlen(keys[i]) };
  gnutls_certificate_allocate_credentials(&credentials);
  check(gnutls_certificate_set_x509_key_mem(credentials, &certificate, &key, GNUTLS_X509_FMT_PEM) >= 0, NULL);
  gnutls_init(&plain->session, plain->flags);
  check(gnutls_priority_set_direct(plain->session, "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM", NULL) == 0,
        NULL);
  gnutls_credentials_set(plain->session, GNUTLS_CRD_CERTIFICATE, credentials);
  gnutls_transport_set_int(plain->session, plain->fd);
  int result;
  do
    result = gnutls_handshake(plain->session);
  while (result == GNUTLS_E_AGAIN || result == GNUTLS_E_INTERRUPTED);
  check(result == 0, NULL);
}

static gpointer plain_receive(gpointer data)
{
  Plain *plain = data;
  g_autofree guint8 *bytes = g_malloc(1 << 20);
  plain_open(plain);
  for (guint64 got = 0; got < plain->bytes;) {
    gssize result = gnutls_record_recv(plain->session, bytes, 1 << 20);
    check(result > 0 || !gnutls_error_is_fatal((int)result), NULL);
    got += result > 0 ? (guint64)result : 0;
  }
  return NULL;
}

static gpointer plain_send(gpointer data)
{
  Plain *plain = data;
  g_autofree guint8 *bytes = g_malloc0(RECORD);
  plain_open(plain);
  for (guint64 sent = 0; sent < plain->bytes; sent += RECORD) {
    gssize result = gnutls_record_send(plain->session, bytes, RECORD);
    while (result == GNUTLS_E_AGAIN || result == GNUTLS_E_INTERRUPTED)
      result = gnutls_record_send(plain->session, NULL, 0);
    check(result == RECORD, NULL);
  }
  return NULL;
}

/* GnuTLS alone waits in the system's calls. */
static void block(int fd)
{
  check(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK) == 0, NULL);
}

static void bench_plain(guint n)
{
  Plain sides[2][8];
  GThread *threads[2][8];
  for (guint i = 0; i < n; i++) {
    sides[0][i] = (Plain){ .flags = GNUTLS_CLIENT, .bytes = total / n / RECORD * RECORD };
    sides[1][i] = (Plain){ .flags = GNUTLS_SERVER, .bytes = total / n / RECORD * RECORD };
    tcp_pair(&sides[0][i].fd, &sides[1][i].fd);
    block(sides[0][i].fd);
    block(sides[1][i].fd);
  }
  gint64 begun = g_get_monotonic_time();
  for (guint i = 0; i < n; i++) {
    threads[1][i] = g_thread_new("receive", plain_receive, &sides[1][i]);
    threads[0][i] = g_thread_new("send", plain_send, &sides[0][i]);
  }
  for (guint i = 0; i < 2 * n; i++)
    g_thread_join(threads[i / n][i % n]);
  g_autofree char *name = g_strdup_printf("GnuTLS alone, %u connection%s", n, n > 1 ? "s" : "");
  report(name, total, begun);
}

/* ---- Our calls ---- */

enum { SINK = 1 };

static gboolean sink(HfCall *call, gpointer user G_GNUC_UNUSED, GBytes **reply G_GNUC_UNUSED, GError **error)
{
  gboolean end;
  for (;;) {
    g_autoptr(GBytes) piece = hf_call_receive(call, &end, error);
    if (piece == NULL)
      return end;
  }
}

static const HfRpcMethod methods[] = { { SINK, "sink", sink, 0 }, { 0 } };
static const HfRpcOptions options = { .service = "bench", .methods = methods };

typedef struct Link {
  gboolean tls;
  int fd[2];
  HfChannel *channel[2];
  HfRpc *rpc[2];
  guint64 bytes;
} Link;

static gpointer open_far(gpointer data)
{
  Link *link = data;
  GError *error = NULL;
  HfTlsExpect expect = { .kinds = HF_PEER_HOST, .uuid = UUID_A, .role = "transport" };
  HfTlsSettings settings = { certificates[1], keys[1], ca, NULL };
  g_autoptr(HfTlsIdentity) identity = hf_tls_identity_new(&settings, &error);
  link->channel[1] = link->tls ? hf_tls_accept(identity, link->fd[1], &expect, NULL, 5000, NULL, &error)
                               : hf_channel_new(link->fd[1], NULL);
  check(link->channel[1] != NULL, error);
  link->rpc[1] = hf_rpc_new(link->channel[1], &options, &error);
  check(link->rpc[1] != NULL, error);
  return NULL;
}

static void link_open(Link *link)
{
  GError *error = NULL;
  tcp_pair(&link->fd[0], &link->fd[1]);
  GThread *far = g_thread_new("far", open_far, link);
  HfTlsExpect expect = { .kinds = HF_PEER_HOST, .uuid = UUID_B, .role = "transport" };
  HfTlsSettings settings = { certificates[0], keys[0], ca, NULL };
  g_autoptr(HfTlsIdentity) identity = hf_tls_identity_new(&settings, &error);
  link->channel[0] = link->tls ? hf_tls_connect(identity, link->fd[0], &expect, NULL, 5000, NULL, &error)
                               : hf_channel_new(link->fd[0], NULL);
  check(link->channel[0] != NULL, error);
  link->rpc[0] = hf_rpc_new(link->channel[0], &options, &error);
  check(link->rpc[0] != NULL, error);
  g_thread_join(far);
}

static gpointer send_pieces(gpointer data)
{
  Link *link = data;
  GError *error = NULL;
  g_autofree guint8 *bytes = g_malloc0(piece_bytes);
  g_autoptr(HfCall) call = hf_rpc_begin(link->rpc[0], SINK, NULL, &error);
  check(call != NULL, error);
  for (guint64 sent = 0; sent < link->bytes; sent += piece_bytes) {
    struct iovec parts[] = { { bytes, 100 }, { bytes + 100, piece_bytes - 100 } };
    check(hf_call_send(call, parts, 2, &error), error);
  }
  g_autoptr(GBytes) reply = hf_call_finish(call, &error);
  check(reply != NULL, error);
  return NULL;
}

static void bench_calls(guint n, gboolean tls)
{
  Link links[8];
  GThread *threads[8];
  for (guint i = 0; i < n; i++) {
    links[i] = (Link){ .tls = tls, .bytes = total / n };
    link_open(&links[i]);
  }
  gint64 begun = g_get_monotonic_time();
  for (guint i = 0; i < n; i++)
    threads[i] = g_thread_new("send", send_pieces, &links[i]);
  for (guint i = 0; i < n; i++)
    g_thread_join(threads[i]);
  g_autofree char *name = g_strdup_printf("calls over %s, %u connection%s", tls ? "mutual TLS 1.3" : "plain TCP", n,
                                          n > 1 ? "s" : "");
  report(name, total, begun);
  for (guint i = 0; i < n; i++) {
    for (guint side = 0; side < 2; side++) {
      hf_rpc_free(links[i].rpc[side]);
      hf_channel_free(links[i].channel[side]);
    }
  }
}

int main(int argc, char **argv)
{
  if (argc > 1)
    total = (guint64)atoll(argv[1]) << 20;
  if (argc > 2)
    piece_bytes = (gsize)atoll(argv[2]) << 10;
  check(hf_crypto_init(NULL), NULL);
  make_fleet();
  bench_cipher();
  bench_plain(1);
  bench_plain(5);
  bench_calls(1, TRUE);
  bench_calls(5, TRUE);
  bench_calls(1, FALSE);
  bench_calls(5, FALSE);
  return 0;
}
