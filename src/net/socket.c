/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/socket.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/work.h"
#include "net/connect.h"

#define PARTS_AT_ONCE 64

struct HfSocket {
  int fd;
  char *peer;
  gint shut; /* atomic */
  GMutex lock; /* guards what follows */
  gint64 deadline_us, silence_us; /* -1: none */
  guint64 read, written;
  HfThrottle *throttle;
};

HfSocket *hf_socket_new(int fd, const char *peer)
{
  HfSocket *socket = g_new0(HfSocket, 1);
  socket->fd = fd;
  socket->peer = peer != NULL ? g_strdup(peer) : hf_net_peer_text(fd);
  g_mutex_init(&socket->lock);
  socket->deadline_us = socket->silence_us = -1;
  return socket;
}

void hf_socket_free(HfSocket *socket)
{
  if (socket == NULL)
    return;
  close(socket->fd);
  hf_throttle_unref(socket->throttle);
  g_mutex_clear(&socket->lock);
  g_free(socket->peer);
  g_free(socket);
}

static gboolean fail_shut(const HfSocket *socket, GError **error)
{
  return hf_fail(error, HF_ERROR_CANCELLED, "the connection with '%s' was closed here", socket->peer);
}

/* Milliseconds for poll until `until` (us; -1: for ever), rounded up; 0 when it has passed. */
static int poll_time(gint64 until)
{
  if (until < 0)
    return -1;
  gint64 left = until - hf_clock_monotonic_us();
  return left <= 0 ? 0 : (int)MIN((left + 999) / 1000, G_MAXINT);
}

/* Waits until the socket is ready. */
static gboolean wait_ready(HfSocket *socket, short events, gint64 until, const char *what, GError **error)
{
  struct pollfd entry = { .fd = socket->fd, .events = events };
  for (;;) {
    int timeout = poll_time(until);
    int ready = poll(&entry, 1, timeout);
    if (g_atomic_int_get(&socket->shut))
      return fail_shut(socket, error);
    if (ready > 0)
      return TRUE;
    if (ready == 0 && poll_time(until) == 0)
      return hf_fail(error, HF_ERROR_IO, "'%s' %s in time; check that the host is up and that the network works",
                     socket->peer, what);
    if (ready < 0 && errno != EINTR)
      return hf_fail_errno(error, errno, "cannot wait for '%s'", socket->peer);
  }
}

/* When a read that begins now gives up. */
static gint64 read_until(HfSocket *socket)
{
  HF_LOCK(&socket->lock);
  if (socket->silence_us < 0)
    return socket->deadline_us;
  gint64 silence = hf_clock_monotonic_us() + socket->silence_us;
  return socket->deadline_us < 0 ? silence : MIN(silence, socket->deadline_us);
}

static gboolean take_leave(HfSocket *socket, HfThrottle *throttle, gsize bytes, gint64 until, GError **error);

static HfThrottle *ref_throttle(HfSocket *socket)
{
  HF_LOCK(&socket->lock);
  return socket->throttle != NULL ? hf_throttle_ref(socket->throttle) : NULL;
}

static gint64 get_deadline(HfSocket *socket)
{
  HF_LOCK(&socket->lock);
  return socket->deadline_us;
}

gssize hf_socket_read(HfSocket *socket, void *bytes, gsize length, GError **error)
{
  g_autoptr(HfThrottle) throttle = ref_throttle(socket);
  if (throttle != NULL) {
    if (!take_leave(socket, throttle, 0, get_deadline(socket), error))
      return -1;
    length = MIN(length, hf_throttle_piece(throttle));
  }
  gint64 until = read_until(socket); /* the other end is not silent while it is held back here */
  for (;;) {
    if (g_atomic_int_get(&socket->shut)) {
      (void)fail_shut(socket, error);
      return -1;
    }
    gssize got = recv(socket->fd, bytes, length, MSG_DONTWAIT);
    if (got >= 0) {
      if (throttle != NULL)
        hf_throttle_charge(throttle, (gsize)got);
      HF_LOCK(&socket->lock);
      socket->read += (gsize)got;
      return got;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      if (!wait_ready(socket, POLLIN, until, "sent nothing", error))
        return -1;
    } else if (errno != EINTR) {
      (void)hf_fail_errno(error, errno, "the connection with '%s' broke", socket->peer);
      return -1;
    }
  }
}

gsize hf_socket_read_ready(HfSocket *socket, void *bytes, gsize length)
{
  gssize got = recv(socket->fd, bytes, length, MSG_DONTWAIT);
  HF_LOCK(&socket->lock);
  socket->read += (gsize)MAX(got, 0);
  return (gsize)MAX(got, 0);
}

int hf_parts_slice(const struct iovec *parts, int count, gsize skip, gsize most, struct iovec *slice, int room,
                   gsize *bytes)
{
  int n = 0;
  *bytes = 0;
  for (int i = 0; i < count && n < room && *bytes < most; i++) {
    if (skip >= parts[i].iov_len) {
      skip -= parts[i].iov_len;
      continue;
    }
    gsize length = MIN(parts[i].iov_len - skip, most - *bytes);
    slice[n++] = (struct iovec){ (guint8 *)parts[i].iov_base + skip, length };
    *bytes += length;
    skip = 0;
  }
  return n;
}

gsize hf_parts_length(const struct iovec *parts, int count)
{
  gsize length = 0;
  for (int i = 0; i < count; i++)
    length += parts[i].iov_len;
  return length;
}

/* Sends what is in the slice, all of it. */
static gboolean send_slice(HfSocket *socket, struct iovec *slice, int count, gsize bytes, gint64 until, GError **error)
{
  int first = 0;
  while (bytes > 0) {
    if (g_atomic_int_get(&socket->shut))
      return fail_shut(socket, error);
    struct msghdr message = { .msg_iov = slice + first, .msg_iovlen = (gsize)(count - first) };
    gssize sent = sendmsg(socket->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno == EAGAIN || errno == EWOULDBLOCK) {
        if (!wait_ready(socket, POLLOUT, until, "took no bytes", error))
          return FALSE;
      } else if (errno != EINTR) {
        return hf_fail_errno(error, errno, "the connection with '%s' broke", socket->peer);
      }
      continue;
    }
    bytes -= (gsize)sent;
    gsize left = (gsize)sent;
    for (; first < count && left >= slice[first].iov_len; first++)
      left -= slice[first].iov_len;
    if (left > 0)
      slice[first] = (struct iovec){ (guint8 *)slice[first].iov_base + left, slice[first].iov_len - left };
    HF_LOCK(&socket->lock);
    socket->written += (gsize)sent;
  }
  return TRUE;
}

/* Waits for leave of the throttle to send `bytes`, or to receive. */
static gboolean take_leave(HfSocket *socket, HfThrottle *throttle, gsize bytes, gint64 until, GError **error)
{
  /* The throttle waits by the clock of condition variables, which stands still in suspend: that only waits longer. */
  gint64 now = g_get_monotonic_time();
  gint64 limit = until < 0 ? -1 : now + MAX(until - hf_clock_monotonic_us(), 0);
  if (hf_throttle_take(throttle, bytes, limit, &socket->shut))
    return TRUE;
  if (g_atomic_int_get(&socket->shut))
    return fail_shut(socket, error);
  return hf_fail(error, HF_ERROR_IO, "the bandwidth limit left no room for '%s' in time", socket->peer);
}

gboolean hf_socket_write(HfSocket *socket, const struct iovec *parts, int count, GError **error)
{
  gint64 until = get_deadline(socket);
  g_autoptr(HfThrottle) throttle = ref_throttle(socket);
  gsize length = hf_parts_length(parts, count), done = 0;
  while (done < length) {
    struct iovec slice[PARTS_AT_ONCE];
    gsize bytes;
    gsize most = throttle != NULL ? hf_throttle_piece(throttle) : G_MAXSSIZE;
    int n = hf_parts_slice(parts, count, done, most, slice, PARTS_AT_ONCE, &bytes);
    if (throttle != NULL && !take_leave(socket, throttle, bytes, until, error))
      return FALSE;
    if (!send_slice(socket, slice, n, bytes, until, error))
      return FALSE;
    done += bytes;
  }
  return TRUE;
}

void hf_socket_end(HfSocket *socket)
{
  (void)shutdown(socket->fd, SHUT_WR);
}

void hf_socket_shutdown(HfSocket *socket)
{
  g_atomic_int_set(&socket->shut, TRUE);
  (void)shutdown(socket->fd, SHUT_RDWR);
  g_autoptr(HfThrottle) throttle = ref_throttle(socket);
  if (throttle != NULL)
    hf_throttle_wake(throttle);
}

gboolean hf_socket_is_shut(HfSocket *socket)
{
  return g_atomic_int_get(&socket->shut);
}

void hf_socket_set_deadline(HfSocket *socket, gint64 milliseconds)
{
  HF_LOCK(&socket->lock);
  socket->deadline_us = milliseconds < 0 ? -1 : hf_clock_monotonic_us() + milliseconds * 1000;
}

void hf_socket_set_silence(HfSocket *socket, gint64 milliseconds)
{
  HF_LOCK(&socket->lock);
  socket->silence_us = milliseconds < 0 ? -1 : milliseconds * 1000;
}

void hf_socket_set_throttle(HfSocket *socket, HfThrottle *throttle)
{
  HfThrottle *old;
  g_mutex_lock(&socket->lock);
  old = socket->throttle;
  socket->throttle = throttle != NULL ? hf_throttle_ref(throttle) : NULL;
  g_mutex_unlock(&socket->lock);
  if (old != NULL)
    hf_throttle_wake(old);
  hf_throttle_unref(old);
}

void hf_socket_bytes(HfSocket *socket, guint64 *read, guint64 *written)
{
  HF_LOCK(&socket->lock);
  *read = socket->read;
  *written = socket->written;
}

const char *hf_socket_peer(const HfSocket *socket)
{
  return socket->peer;
}

int hf_socket_fd(const HfSocket *socket)
{
  return socket->fd;
}
