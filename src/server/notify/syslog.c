/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Events as RFC 5424 messages: over UDP (RFC 5426), TCP with counted octets (RFC 6587) and TLS (RFC 5425). */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/sys.h"
#include "ports/catalogue/catalogue.h"
#include "server/notify/state.h"

#define FACILITY 3 /* system daemons */
#define CONNECT_MS 5000
#define SEND_SECONDS 5
#define LONGEST 8192
#define LONGEST_UDP 2048
/* The number for documentation: there is none of our own. */
#define DATA_ID "holdfast@32473"

/* ---- the message ---- */

/* Printable ASCII only; "-" for nothing. */
static void add_word(GString *message, const char *word, gsize longest)
{
  gsize start = message->len;
  for (; *word != '\0' && message->len - start < longest; word++)
    g_string_append_c(message, *word > ' ' && *word < 127 ? *word : '-');
  if (message->len == start)
    g_string_append_c(message, '-');
}

static void add_pairs(GString *message, const char *const *pairs)
{
  if (pairs == NULL || pairs[0] == NULL) {
    g_string_append(message, " -");
    return;
  }
  g_string_append(message, " [" DATA_ID);
  for (; pairs[0] != NULL; pairs += 2) {
    g_autofree char *value = g_utf8_make_valid(pairs[1], -1);
    g_string_append_c(message, ' ');
    add_word(message, pairs[0], 32);
    g_string_append(message, "=\"");
    for (const char *at = value; *at != '\0'; at++) {
      if (strchr("\"\\]", *at) != NULL)
        g_string_append_c(message, '\\');
      g_string_append_c(message, *at);
    }
    g_string_append_c(message, '"');
  }
  g_string_append_c(message, ']');
}

char *hf_syslog_message(HfSeverity severity, gint64 time_us, const char *id, const char *const *pairs, const char *text)
{
  g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(time_us / G_USEC_PER_SEC);
  g_autofree char *clock = g_date_time_format(time, "%Y-%m-%dT%H:%M:%S");
  g_autofree char *valid = g_utf8_make_valid(text, -1);
  GString *message = g_string_new(NULL);
  g_string_append_printf(message, "<%d>1 %s.%06dZ ", FACILITY * 8 + (int)severity, clock,
                         (int)(time_us % G_USEC_PER_SEC));
  add_word(message, g_get_host_name(), 255);
  g_string_append_printf(message, " holdfast-server %d ", (int)getpid());
  add_word(message, id, 32);
  add_pairs(message, pairs);
  g_string_append_printf(message, " \xef\xbb\xbf%s", g_strdelimit(valid, "\r\n", ' '));
  return g_string_free(message, FALSE);
}

/* ---- the connection ---- */

struct HfSyslogLink {
  HfSyslogTransport transport;
  char *host;
  int fd;
  HfSyslogTls *tls;
};

static gboolean finish_connect(int fd)
{
  struct pollfd wait = {.fd = fd, .events = POLLOUT};
  int problem = ETIMEDOUT;
  socklen_t size = sizeof problem;
  if (HF_AGAIN(poll(&wait, 1, CONNECT_MS)) == 1)
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &problem, &size);
  errno = problem;
  return problem == 0;
}

static int dial(const struct addrinfo *address)
{
  hf_autofd int fd = socket(address->ai_family, address->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0)
    return -1;
  if (connect(fd, address->ai_addr, address->ai_addrlen) != 0 && (errno != EINPROGRESS || !finish_connect(fd)))
    return -1;
  const struct timeval limit = {.tv_sec = SEND_SECONDS};
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) != 0)
    return -1;
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  return hf_steal_fd(&fd);
}

static const HfPortService *service_of(const HfSyslogSettings *settings)
{
  return hf_port_service(settings->transport == HF_SYSLOG_TLS ? "syslog-tls" : "syslog");
}

static int dial_any(const HfSyslogSettings *settings, GError **error)
{
  int port = settings->port;
  if (port == 0)
    port = service_of(settings)->first;
  struct addrinfo hints = {.ai_socktype = settings->transport == HF_SYSLOG_UDP ? SOCK_DGRAM : SOCK_STREAM};
  struct addrinfo *addresses = NULL;
  g_autofree char *service = g_strdup_printf("%d", port);
  int problem = getaddrinfo(settings->host, service, &hints, &addresses);
  if (problem != 0) {
    hf_fail(error, HF_ERROR_IO, "cannot find the syslog server '%s': %s", settings->host, gai_strerror(problem));
    return -1;
  }
  int fd = -1;
  for (const struct addrinfo *address = addresses; address != NULL && fd < 0; address = address->ai_next)
    fd = dial(address);
  if (fd < 0)
    hf_fail_errno(error, errno, "cannot connect to the syslog server '%s' port %d", settings->host, port);
  freeaddrinfo(addresses);
  return fd;
}

HfSyslogLink *hf_syslog_connect(const HfSyslogSettings *settings, GError **error)
{
  int fd = dial_any(settings, error);
  if (fd < 0)
    return NULL;
  g_autoptr(HfSyslogLink) link = g_new0(HfSyslogLink, 1);
  link->transport = settings->transport;
  link->host = g_strdup(settings->host);
  link->fd = fd;
  if (settings->transport == HF_SYSLOG_TLS) {
    link->tls = hf_syslog_tls_new(fd, settings, error);
    if (link->tls == NULL)
      return NULL;
  }
  g_message("row %s: connected to the syslog server '%s'", service_of(settings)->source->id, settings->host);
  return g_steal_pointer(&link);
}

void hf_syslog_close(HfSyslogLink *link)
{
  if (link == NULL)
    return;
  hf_syslog_tls_free(link->tls);
  hf_sys->close(link->fd);
  g_free(link->host);
  g_free(link);
}

/* A server that went away has closed its side: what is written then would be lost without a word. */
static gboolean closed_by_peer(int fd)
{
  char byte;
  ssize_t got = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

static gboolean send_all(const HfSyslogLink *link, const char *bytes, gsize length, GError **error)
{
  while (length > 0) {
    ssize_t sent = HF_AGAIN(send(link->fd, bytes, length, MSG_NOSIGNAL));
    if (sent < 0)
      return hf_fail_errno(error, errno, "cannot send to the syslog server '%s'", link->host);
    bytes += sent;
    length -= (gsize)sent;
  }
  return TRUE;
}

/* The length of whole characters in at most `longest` bytes. */
static gsize cut(const char *message, gsize longest)
{
  gsize length = strlen(message);
  if (length <= longest)
    return length;
  while (longest > 0 && ((guchar)message[longest] & 0xc0) == 0x80)
    longest--;
  return longest;
}

gboolean hf_syslog_send(HfSyslogLink *link, const char *message, GError **error)
{
  if (link->transport == HF_SYSLOG_UDP)
    return send_all(link, message, cut(message, LONGEST_UDP), error);
  gsize length = cut(message, LONGEST);
  g_autofree char *framed = g_strdup_printf("%zu %.*s", length, (int)length, message);
  if (closed_by_peer(link->fd))
    return hf_fail(error, HF_ERROR_IO, "the syslog server '%s' closed the connection", link->host);
  return link->tls != NULL ? hf_syslog_tls_send(link->tls, framed, strlen(framed), error)
                           : send_all(link, framed, strlen(framed), error);
}
