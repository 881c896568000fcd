/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/connect.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"

#define BACKLOG 128
#define LOOK_MS 200 /* how often a cancel is looked for */
/* It does not take every lost packet for a full link: at 1 % loss and 150 ms one that does so gets a twentieth of what
 * the link can carry. A kernel that has it not, or does not let us, uses its own. */
#define CONGESTION "bbr"
/* What the kernel holds of a connection beyond what is on its way. More would be decided too early: which connection a
 * frame takes is best decided when there is room on the link. */
#define UNSENT_BYTES (1 << 20)
#define KEEPALIVE_IDLE 30
#define KEEPALIVE_EVERY 10
#define KEEPALIVE_PROBES 3

static void set_option(int fd, int level, int name, int value)
{
  /* Comfort only: a connection works without any of them. */
  (void)setsockopt(fd, level, name, &value, sizeof value);
}

static void set_options(int fd)
{
  set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_BYTES);
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  (void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, CONGESTION, sizeof CONGESTION - 1);
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE);
  set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_EVERY);
  set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
}

/* Address as text, without port; IPv4 addresses inside IPv6 ones as IPv4. */
static char *address_text(const struct sockaddr_storage *address, socklen_t length)
{
  struct sockaddr_in plain = { .sin_family = AF_INET };
  const struct sockaddr_in6 *wide = (const struct sockaddr_in6 *)address;
  const struct sockaddr *shown = (const struct sockaddr *)address;
  if (address->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&wide->sin6_addr)) {
    memcpy(&plain.sin_addr, wide->sin6_addr.s6_addr + 12, sizeof plain.sin_addr);
    shown = (const struct sockaddr *)&plain;
    length = sizeof plain;
  }
  char text[NI_MAXHOST];
  if ((address->ss_family != AF_INET && address->ss_family != AF_INET6) ||
      getnameinfo(shown, length, text, sizeof text, NULL, 0, NI_NUMERICHOST) != 0)
    return g_strdup("");
  return g_strdup(text);
}

static guint16 address_port(const struct sockaddr_storage *address)
{
  if (address->ss_family == AF_INET)
    return ntohs(((const struct sockaddr_in *)address)->sin_port);
  if (address->ss_family == AF_INET6)
    return ntohs(((const struct sockaddr_in6 *)address)->sin6_port);
  return 0;
}

static char *peer_text(const struct sockaddr_storage *address, socklen_t length)
{
  g_autofree char *text = address_text(address, length);
  return *text != '\0' ? g_strdup_printf("%s port %u", text, address_port(address)) : g_strdup("unknown");
}

/* Waits until `fd` is ready or `until` (us; -1: for ever) has passed. Returns an errno, 0 when it is ready. */
static int wait_for(int fd, short events, gint64 until, HfCancel *cancel)
{
  struct pollfd entry = { .fd = fd, .events = events };
  for (;;) {
    gint64 left = until < 0 ? -1 : MAX(until - hf_clock_monotonic_us(), 0);
    int most = cancel != NULL ? LOOK_MS : left < 0 ? -1 : G_MAXINT;
    int ready = poll(&entry, 1, left < 0 ? most : (int)MIN((left + 999) / 1000, most));
    if (ready > 0)
      return 0;
    if (hf_cancelled(cancel, NULL))
      return ECANCELED;
    if (ready == 0 && until >= 0 && hf_clock_monotonic_us() >= until)
      return ETIMEDOUT;
    if (ready < 0 && errno != EINTR)
      return errno;
  }
}

/* Connects `fd` without waiting longer than `until`; an errno, 0 when it worked. */
static int connect_until(int fd, const struct addrinfo *at, gint64 until, HfCancel *cancel)
{
  if (connect(fd, at->ai_addr, at->ai_addrlen) == 0)
    return 0;
  if (errno != EINPROGRESS)
    return errno;
  int failure = wait_for(fd, POLLOUT, until, cancel);
  socklen_t length = sizeof failure;
  if (failure == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &length) != 0)
    failure = errno;
  return failure;
}

/* One address; the socket, or -1 with the cause appended to `tried`. */
static int try_address(const struct addrinfo *at, gint64 until, HfCancel *cancel, GString *tried)
{
  struct sockaddr_storage address = { 0 };
  memcpy(&address, at->ai_addr, at->ai_addrlen);
  g_autofree char *text = address_text(&address, at->ai_addrlen);
  int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
  int failure = fd < 0 ? errno : connect_until(fd, at, until, cancel);
  if (failure == 0) {
    set_options(fd);
    return fd;
  }
  if (fd >= 0)
    close(fd);
  g_string_append_printf(tried, "%s%s: %s", tried->len > 0 ? "; " : "", text, g_strerror(failure));
  return -1;
}

static struct addrinfo *resolve(const char *host, guint16 port, int flags, int *failure)
{
  const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP,
                                  .ai_flags = AI_NUMERICSERV | flags };
  char number[8];
  struct addrinfo *list = NULL;
  g_snprintf(number, sizeof number, "%u", port);
  *failure = getaddrinfo(host, number, &hints, &list);
  return *failure == 0 ? list : NULL;
}

int hf_net_connect(const char *host, guint16 port, int timeout_ms, GError **error)
{
  return hf_net_connect_or_cancel(host, port, timeout_ms, NULL, error);
}

int hf_net_connect_or_cancel(const char *host, guint16 port, int timeout_ms, HfCancel *cancel, GError **error)
{
  int failure, fd = -1;
  gint64 until = hf_clock_monotonic_us() + (gint64)timeout_ms * 1000;
  struct addrinfo *list = resolve(host, port, 0, &failure);
  if (list == NULL) {
    (void)hf_fail(error, HF_ERROR_NOT_FOUND, "cannot resolve '%s': %s; check the name and the name servers", host,
                  gai_strerror(failure));
    return -1;
  }
  guint left = 0;
  for (struct addrinfo *at = list; at != NULL; at = at->ai_next)
    left++;
  g_autoptr(GString) tried = g_string_new(NULL);
  for (struct addrinfo *at = list; at != NULL && fd < 0 && !hf_cancelled(cancel, NULL); at = at->ai_next, left--) {
    /* An address that does not answer must not use up the time of those behind it. */
    gint64 now = hf_clock_monotonic_us();
    fd = try_address(at, now + MAX(until - now, 0) / left, cancel, tried);
  }
  freeaddrinfo(list);
  if (fd < 0 && hf_cancelled(cancel, NULL))
    (void)hf_fail(error, HF_ERROR_CANCELLED, "the call to '%s' port %u was given up", host, port);
  else if (fd < 0)
    (void)hf_fail(error, HF_ERROR_IO, "cannot connect to '%s' port %u: %s; check that it runs there and that the "
                  "firewalls let it through", host, port, tried->str);
  return fd;
}

static int listen_at(const struct addrinfo *at, int *failure)
{
  int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
  if (fd < 0) {
    *failure = errno;
    return -1;
  }
  set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (at->ai_family == AF_INET6)
    set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
  if (bind(fd, at->ai_addr, at->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
    return fd;
  *failure = errno;
  close(fd);
  return -1;
}

int hf_net_listen(const char *address, guint16 port, GError **error)
{
  gboolean all = address == NULL || *address == '\0';
  int failure, fd;
  struct addrinfo *list = resolve(all ? "::" : address, port, AI_PASSIVE | AI_NUMERICHOST, &failure);
  if (list == NULL) {
    (void)hf_fail(error, HF_ERROR_USAGE, "'%s' is not an address; give an IPv4 or IPv6 address of this host", address);
    return -1;
  }
  fd = listen_at(list, &failure);
  freeaddrinfo(list);
  if (fd < 0 && all && failure == EAFNOSUPPORT && (list = resolve("0.0.0.0", port, AI_PASSIVE, &failure)) != NULL) {
    fd = listen_at(list, &failure);
    freeaddrinfo(list);
  }
  if (fd >= 0)
    return fd;
  const char *shown = all ? "all addresses" : address;
  if (failure == EADDRINUSE)
    (void)hf_fail(error, HF_ERROR_EXISTS, "cannot listen on %s port %u: another program uses it; stop that or "
                  "configure another port", shown, port);
  else
    (void)hf_fail_errno(error, failure, "cannot listen on %s port %u", shown, port);
  return -1;
}

guint16 hf_net_port(int fd)
{
  struct sockaddr_storage address = { 0 };
  socklen_t length = sizeof address;
  return getsockname(fd, (struct sockaddr *)&address, &length) == 0 ? address_port(&address) : 0;
}

int hf_net_accept(int listener, int timeout_ms, char **peer, GError **error)
{
  gint64 until = timeout_ms < 0 ? -1 : hf_clock_monotonic_us() + (gint64)timeout_ms * 1000;
  for (;;) {
    struct sockaddr_storage address = { 0 };
    socklen_t length = sizeof address;
    int fd = accept4(listener, (struct sockaddr *)&address, &length, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) {
      set_options(fd);
      if (peer != NULL)
        *peer = peer_text(&address, length);
      return fd;
    }
    int failure = errno == EAGAIN || errno == EWOULDBLOCK ? wait_for(listener, POLLIN, until, NULL) : errno;
    if (failure == EINVAL)
      (void)hf_fail(error, HF_ERROR_CANCELLED, "no longer listening on port %u", hf_net_port(listener));
    else if (failure == ETIMEDOUT)
      (void)hf_fail(error, HF_ERROR_IO, "nobody connected to port %u in time; check the firewalls between the hosts",
                    hf_net_port(listener));
    else if (failure != 0 && failure != EINTR && failure != ECONNABORTED)
      (void)hf_fail_errno(error, failure, "cannot accept a connection");
    else
      continue;
    return -1;
  }
}

char *hf_net_peer_address(int fd)
{
  struct sockaddr_storage address = { 0 };
  socklen_t length = sizeof address;
  return getpeername(fd, (struct sockaddr *)&address, &length) == 0 ? address_text(&address, length) : g_strdup("");
}

char *hf_net_peer_text(int fd)
{
  struct sockaddr_storage address = { 0 };
  socklen_t length = sizeof address;
  return getpeername(fd, (struct sockaddr *)&address, &length) == 0 ? peer_text(&address, length)
                                                                    : g_strdup("unknown");
}
