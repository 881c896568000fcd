/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ports/live/sockets.h"

#include <arpa/inet.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"

/* Numbers as a little-endian machine writes them; the test of live sockets holds for any. */
static const char tables[] =
  "==> /proc/net/tcp <==\n"
  "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
  "   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1665 1 0000 100 0 0 10 0\n"
  "   1: 0100007F:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000   105        0 1700 1 0000 100 0 0 10 0\n"
  "   2: 0100007F:1538 0100007F:9999 01 00000000:00000000 00:00000000 00000000   105        0 1701 1 0000 100 0 0 10 0\n"
  "\n"
  "==> /proc/net/tcp6 <==\n"
  "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when\n"
  "   0: 00000000000000000000000000000000:01BB 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 "
  "00000000     7        0 1800 1 0000 100 0 0 10 0\n"
  "   1: 0000000000000000FFFF00000A00000A:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 "
  "00000000     7        0 1801 1 0000 100 0 0 10 0\n"
  "\n"
  "==> udp <==\n"
  " 2151: 0A00000A:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000    53        0 1900 2 0000 0\n"
  " 2152: 0A00000A:D431 08080808:0035 01 00000000:00000000 00:00000000 00000000    53        0 1901 2 0000 0\n";

static void expect(const GArray *sockets, guint place, guint transport, guint port, const char *address, guint uid)
{
  const HfSocket *found = &g_array_index(sockets, HfSocket, place);
  g_autofree char *text = found->address.prefix != 0 ? hf_topology_address_text(&found->address) : g_strdup("any");
  g_assert_cmpuint(found->transport, ==, transport);
  g_assert_cmpuint(found->port, ==, port);
  g_assert_cmpstr(text, ==, address);
  g_assert_cmpuint(found->uid, ==, uid);
}

static void test_tables(void)
{
  g_autoptr(GError) error = NULL;
  if (G_BYTE_ORDER != G_LITTLE_ENDIAN) {
    g_test_skip("the tables are of a little-endian machine");
    return;
  }
  g_autoptr(GArray) sockets = hf_sockets_parse(tables, strlen(tables), "t", &error);
  g_assert_no_error(error);
  g_assert_cmpuint(sockets->len, ==, 5);
  expect(sockets, 0, HF_PORT_TCP, 22, "any", 0);
  expect(sockets, 1, HF_PORT_TCP, 80, "10.0.0.10", 7);
  expect(sockets, 2, HF_PORT_TCP, 443, "any", 7);
  expect(sockets, 3, HF_PORT_TCP, 5432, "127.0.0.1", 105);
  expect(sockets, 4, HF_PORT_UDP, 53, "10.0.0.10", 53);
  g_assert_true(g_array_index(sockets, HfSocket, 2).both);
  g_assert_false(g_array_index(sockets, HfSocket, 0).both);
  g_assert_cmpuint(g_array_index(sockets, HfSocket, 3).inode, ==, 1700);
}

static void test_mistakes(void)
{
  static const char *const wrong[] = {
    "   0: 00000000:0016 00000000:0000 0A 0:0 0:0 0 0 0 1 1\n", /* under no table */
    "==> tcp <==\nnonsense\n",
    "==> tcp <==\n   0: 000000:0016 00000000:0000 0A 0:0 0:0 0 0 0 1 1\n",
    "==> tcp6 <==\n   0: 00000000:0016 00000000:0000 0A 0:0 0:0 0 0 0 1 1\n",
    "==> /etc/passwd <==\nroot\n",
    "==> <==\n",
  };
  for (guint i = 0; i < G_N_ELEMENTS(wrong); i++) {
    g_autoptr(GError) error = NULL;
    g_assert_null(hf_sockets_parse(wrong[i], strlen(wrong[i]), "t", &error));
    g_assert_true(hf_error_is(error, HF_ERROR_INVALID));
    g_assert_nonnull(strstr(error->message, "'t', line "));
  }
}

static void test_files(void)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *path = g_build_filename(g_get_tmp_dir(), "holdfast-sockets-XXXXXX", NULL);
  close(g_mkstemp(path));
  g_autoptr(GArray) none = hf_sockets_load(path, &error);
  g_assert_no_error(error);
  g_assert_cmpuint(none->len, ==, 0);
  g_unlink(path);
  g_assert_null(hf_sockets_load(path, &error));
  g_assert_true(hf_error_is(error, HF_ERROR_NOT_FOUND));
}

/* A socket of our own is found, with our name. */
static void test_live(void)
{
  g_autoptr(GError) error = NULL;
  struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
  socklen_t length = sizeof address;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
  g_assert_cmpint(listen(fd, 1), ==, 0);
  g_assert_cmpint(getsockname(fd, (struct sockaddr *)&address, &length), ==, 0);
  g_autoptr(GArray) sockets = hf_sockets_live(&error);
  g_assert_no_error(error);
  const HfSocket *own = NULL;
  for (guint i = 0; i < sockets->len; i++)
    if (g_array_index(sockets, HfSocket, i).transport == HF_PORT_TCP &&
        g_array_index(sockets, HfSocket, i).port == ntohs(address.sin_port))
      own = &g_array_index(sockets, HfSocket, i);
  g_assert_nonnull(own);
  g_assert_cmpuint(own->address.bytes[0], ==, 127);
  g_assert_cmpuint(own->uid, ==, getuid());
  g_assert_cmpstr(own->program, ==, "test_sockets");
  close(fd);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/sockets/tables", test_tables);
  g_test_add_func("/sockets/mistakes", test_mistakes);
  g_test_add_func("/sockets/files", test_files);
  g_test_add_func("/sockets/live", test_live);
  return g_test_run();
}
