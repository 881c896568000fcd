/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/connect.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fleet.h"

static void test_both(gconstpointer address)
{
  GError *error = NULL;
  g_autofree char *peer = NULL;
  int listener = hf_net_listen(address, 0, &error);
  g_assert_no_error(error);
  guint16 port = hf_net_port(listener);
  g_assert_cmpuint(port, >, 0);
  /* A name with addresses of both kinds: the one that does not answer is passed over. */
  int near = hf_net_connect("localhost", port, 5000, &error);
  g_assert_no_error(error);
  int far = hf_net_accept(listener, 5000, &peer, &error);
  g_assert_no_error(error);
  g_autofree char *expected = g_strdup_printf("%s port %u", address == NULL ? "127.0.0.1" : (const char *)address,
                                              hf_net_port(near));
  if (address != NULL)
    g_assert_cmpstr(peer, ==, expected);
  g_autofree char *text = hf_net_peer_text(far), *only = hf_net_peer_address(far);
  g_assert_cmpstr(text, ==, peer);
  g_assert_true(g_str_has_prefix(peer, only));
  int value = 0;
  socklen_t length = sizeof value;
  g_assert_cmpint(getsockopt(near, IPPROTO_TCP, TCP_NODELAY, &value, &length), ==, 0);
  g_assert_cmpint(value, !=, 0);
  g_assert_cmpint(getsockopt(far, SOL_SOCKET, SO_KEEPALIVE, &value, &length), ==, 0);
  g_assert_cmpint(value, !=, 0);
  close(near);
  close(far);
  close(listener);
}

static void test_refused(void)
{
  GError *error = NULL;
  int listener = hf_net_listen("127.0.0.1", 0, NULL);
  guint16 port = hf_net_port(listener);
  close(listener);
  g_assert_cmpint(hf_net_connect("127.0.0.1", port, 5000, &error), ==, -1);
  assert_error(error, HF_ERROR_IO, "127.0.0.1: Connection refused");
  g_clear_error(&error);
  g_assert_cmpint(hf_net_connect("no-such-host.invalid", port, 5000, &error), ==, -1);
  assert_error(error, HF_ERROR_NOT_FOUND, "cannot resolve 'no-such-host.invalid'");
  g_clear_error(&error);
}

/* A listener whose queue is full answers nobody. */
static void test_timeout(void)
{
  GError *error = NULL;
  struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
  socklen_t length = sizeof address;
  int full = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), held[4];
  g_assert_cmpint(bind(full, (struct sockaddr *)&address, length), ==, 0);
  g_assert_cmpint(listen(full, 0), ==, 0);
  g_assert_cmpint(getsockname(full, (struct sockaddr *)&address, &length), ==, 0);
  gint64 begun = g_get_monotonic_time();
  for (guint i = 0; i < G_N_ELEMENTS(held); i++) {
    held[i] = hf_net_connect("127.0.0.1", ntohs(address.sin_port), 200, &error);
    if (held[i] < 0)
      break;
  }
  assert_error(error, HF_ERROR_IO, "timed out");
  g_clear_error(&error);
  g_assert_cmpint(g_get_monotonic_time() - begun, <, 5 * G_USEC_PER_SEC);
  for (guint i = 0; i < G_N_ELEMENTS(held) && held[i] >= 0; i++)
    close(held[i]);
  close(full);
}

static void test_listen(void)
{
  GError *error = NULL;
  int listener = hf_net_listen("127.0.0.1", 0, NULL);
  g_assert_cmpint(hf_net_listen("127.0.0.1", hf_net_port(listener), &error), ==, -1);
  assert_error(error, HF_ERROR_EXISTS, "another program uses it");
  g_clear_error(&error);
  g_assert_cmpint(hf_net_listen("localhost", 0, &error), ==, -1);
  assert_error(error, HF_ERROR_USAGE, "'localhost' is not an address");
  g_clear_error(&error);
  g_assert_cmpint(hf_net_listen("192.0.2.1", 0, &error), ==, -1);
  assert_error(error, HF_ERROR_IO, "cannot listen on 192.0.2.1");
  g_clear_error(&error);
  close(listener);
}

static gpointer stop(gpointer data)
{
  g_usleep(30000);
  (void)shutdown(GPOINTER_TO_INT(data), SHUT_RDWR);
  return NULL;
}

static void test_accept(void)
{
  GError *error = NULL;
  int listener = hf_net_listen("127.0.0.1", 0, NULL);
  g_assert_cmpint(hf_net_accept(listener, 20, NULL, &error), ==, -1);
  assert_error(error, HF_ERROR_IO, "nobody connected");
  g_clear_error(&error);
  GThread *thread = g_thread_new("stop", stop, GINT_TO_POINTER(listener));
  g_assert_cmpint(hf_net_accept(listener, -1, NULL, &error), ==, -1);
  assert_error(error, HF_ERROR_CANCELLED, "no longer listening");
  g_clear_error(&error);
  g_thread_join(thread);
  close(listener);
  int ends[2];
  g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), ==, 0);
  g_assert_cmpint(hf_net_accept(ends[0], 20, NULL, &error), ==, -1);
  assert_error(error, HF_ERROR_CANCELLED, "");
  g_clear_error(&error);
  g_autofree char *text = hf_net_peer_text(ends[0]), *none = hf_net_peer_address(ends[0]);
  g_autofree char *closed = hf_net_peer_text(-1), *gone = hf_net_peer_address(-1);
  g_assert_cmpstr(text, ==, "unknown");
  g_assert_cmpstr(none, ==, "");
  g_assert_cmpstr(closed, ==, "unknown");
  g_assert_cmpstr(gone, ==, "");
  g_assert_cmpuint(hf_net_port(ends[0]), ==, 0);
  g_assert_cmpuint(hf_net_port(-1), ==, 0);
  close(ends[0]);
  close(ends[1]);
  g_assert_cmpint(hf_net_accept(ends[0], 20, NULL, &error), ==, -1);
  assert_error(error, HF_ERROR_IO, "cannot accept");
  g_clear_error(&error);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_data_func("/net/connect/all", NULL, test_both);
  g_test_add_data_func("/net/connect/plain", "127.0.0.1", test_both);
  g_test_add_func("/net/connect/refused", test_refused);
  g_test_add_func("/net/connect/timeout", test_timeout);
  g_test_add_func("/net/connect/listen", test_listen);
  g_test_add_func("/net/connect/accept", test_accept);
  return g_test_run();
}
