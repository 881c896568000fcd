/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "peers.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

int peer_free_port(void)
{
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  g_assert_cmpint(bind(fd, (struct sockaddr *)&address, size), ==, 0);
  g_assert_cmpint(getsockname(fd, (struct sockaddr *)&address, &size), ==, 0);
  close(fd);
  return ntohs(address.sin_port);
}

void peer_make_certificate(const char *folder)
{
  char *argv[] = {"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                  "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                  "-keyout", "key.pem", "-out", "cert.pem", NULL};
  int status = -1;
  g_assert_true(g_spawn_sync(folder, argv, NULL,
                             G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL,
                             NULL, NULL, &status, NULL));
  g_assert_cmpint(status, ==, 0);
}

static void die_with_test(gpointer user)
{
  (void)user;
  prctl(PR_SET_PDEATHSIG, SIGTERM);
}

static void start(Peer *peer, const char *folder, char **argv)
{
  GError *error = NULL;
  g_spawn_async(folder, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL,
                die_with_test, NULL, &peer->pid, &error);
  g_assert_no_error(error);
}

static void wait_until_listening(int port)
{
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((guint16)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  for (guint i = 0; i < 200; i++) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int failed = connect(fd, (struct sockaddr *)&address, sizeof address);
    close(fd);
    if (failed == 0)
      return;
    g_usleep(50000);
  }
  g_error("nothing listens on port %d", port);
}

gboolean peer_mail_start(Peer *peer, const char *folder, int port, gboolean tls)
{
  char *probe[] = {"/usr/bin/python3", "-c", "import aiosmtpd", NULL};
  int status = -1;
  if (!g_spawn_sync(NULL, probe, NULL, G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, NULL, NULL, &status, NULL) ||
      status != 0)
    return FALSE;
  g_autofree char *script = g_build_filename(g_getenv("MAIL_SINK"), NULL);
  g_autofree char *number = g_strdup_printf("%d", port);
  char *argv[] = {"/usr/bin/python3", script, (char *)folder, number, tls ? "cert.pem" : NULL, "key.pem", NULL};
  peer->port = port;
  start(peer, folder, argv);
  wait_until_listening(port);
  return TRUE;
}

gboolean peer_syslog_start(Peer *peer, const char *folder, int port, int tls_port)
{
  if (!g_file_test("/usr/sbin/rsyslogd", G_FILE_TEST_IS_EXECUTABLE) ||
      !g_file_test("/usr/lib/x86_64-linux-gnu/rsyslog/lmnsd_gtls.so", G_FILE_TEST_EXISTS))
    return FALSE;
  g_autofree char *conf = g_build_filename(folder, "rs.conf", NULL);
  g_autofree char *pid_file = g_build_filename(folder, "rs.pid", NULL);
  g_autofree char *text = g_strdup_printf(
      "global(workDirectory=\"%s\" defaultNetstreamDriverCAFile=\"%s/cert.pem\" "
      "defaultNetstreamDriverCertFile=\"%s/cert.pem\" defaultNetstreamDriverKeyFile=\"%s/key.pem\")\n"
      "module(load=\"imtcp\")\nmodule(load=\"imudp\")\n"
      "input(type=\"imudp\" port=\"%d\" address=\"127.0.0.1\")\n"
      "input(type=\"imtcp\" port=\"%d\" address=\"127.0.0.1\")\n"
      "input(type=\"imtcp\" port=\"%d\" address=\"127.0.0.1\" streamDriver.name=\"gtls\" streamDriver.mode=\"1\" "
      "streamDriver.authMode=\"anon\")\n"
      "template(name=\"raw\" type=\"string\" string=\"%%inputname%% %%rawmsg%%\\n\")\n"
      "action(type=\"omfile\" file=\"%s/out.log\" template=\"raw\")\n",
      folder, folder, folder, folder, port, port, tls_port, folder);
  g_assert_true(g_file_set_contents(conf, text, -1, NULL));
  char *argv[] = {"/usr/sbin/rsyslogd", "-n", "-f", conf, "-i", pid_file, NULL};
  peer->port = port;
  start(peer, folder, argv);
  wait_until_listening(tls_port);
  return TRUE;
}

void peer_stop(Peer *peer)
{
  if (peer->pid == 0)
    return;
  kill(peer->pid, SIGTERM);
  waitpid(peer->pid, NULL, 0);
  peer->pid = 0;
}

char *peer_wait_for(const char *folder, const char *name, const char *holds)
{
  g_autofree char *path = g_build_filename(folder, name, NULL);
  char *text = NULL;
  for (guint i = 0; i < 300; i++) {
    if (g_file_get_contents(path, &text, NULL, NULL) && strstr(text, holds) != NULL)
      return text;
    g_clear_pointer(&text, g_free);
    g_usleep(50000);
  }
  g_error("'%s' never held '%s'", path, holds);
  return NULL;
}
