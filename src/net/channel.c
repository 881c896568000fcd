/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/channel.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/work.h"
#include "net/stream.h"

#define RELAY_BYTES (256 << 10)

struct HfChannel {
  HfSocket *socket;
  HfStream *stream; /* NULL: the socket itself */
  GMutex write_lock; /* held by who writes, for one whole write */
  gboolean broken;   /* write_lock: a write failed or the stream was ended */
  GMutex lock;       /* guards what follows */
  guint64 read, written;
};

HfChannel *hf_channel_new_stream(HfSocket *socket, HfStream *stream)
{
  HfChannel *channel = g_new0(HfChannel, 1);
  channel->socket = socket;
  channel->stream = stream;
  g_mutex_init(&channel->write_lock);
  g_mutex_init(&channel->lock);
  return channel;
}

HfChannel *hf_channel_new(int fd, const char *peer)
{
  return hf_channel_new_stream(hf_socket_new(fd, peer), NULL);
}

void hf_channel_free(HfChannel *channel)
{
  if (channel == NULL)
    return;
  if (channel->stream != NULL)
    channel->stream->ops->free(channel->stream);
  hf_socket_free(channel->socket);
  g_mutex_clear(&channel->write_lock);
  g_mutex_clear(&channel->lock);
  g_free(channel);
}

static gboolean make_pair(int ends[2], GError **error)
{
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return hf_fail_errno(error, errno, "cannot make a socket pair");
  return TRUE;
}

gboolean hf_channel_pair(HfChannel **a, HfChannel **b, GError **error)
{
  int ends[2];
  if (!make_pair(ends, error))
    return FALSE;
  *a = hf_channel_new(ends[0], "other end");
  *b = hf_channel_new(ends[1], "other end");
  return TRUE;
}

gboolean hf_channel_pair_fd(HfChannel **a, int *b, GError **error)
{
  int ends[2];
  if (!make_pair(ends, error))
    return FALSE;
  *a = hf_channel_new(ends[0], "child");
  *b = ends[1];
  return TRUE;
}

static gboolean write_locked(HfChannel *channel, const struct iovec *parts, int count, GError **error)
{
  if (channel->broken)
    return hf_fail(error, hf_socket_is_shut(channel->socket) ? HF_ERROR_CANCELLED : HF_ERROR_IO,
                   "the connection with '%s' takes nothing more", hf_channel_peer(channel));
  channel->broken = channel->stream != NULL ? !channel->stream->ops->write(channel->stream, parts, count, error)
                                            : !hf_socket_write(channel->socket, parts, count, error);
  return !channel->broken;
}

gboolean hf_channel_write(HfChannel *channel, const struct iovec *parts, int count, GError **error)
{
  HF_LOCK(&channel->write_lock);
  if (!write_locked(channel, parts, count, error))
    return FALSE;
  g_mutex_lock(&channel->lock);
  channel->written += hf_parts_length(parts, count);
  g_mutex_unlock(&channel->lock);
  return TRUE;
}

gboolean hf_channel_send(HfChannel *channel, const void *bytes, gsize length, GError **error)
{
  struct iovec part = { (gpointer)bytes, length };
  return hf_channel_write(channel, &part, 1, error);
}

gssize hf_channel_read_some(HfChannel *channel, void *bytes, gsize length, GError **error)
{
  gssize got = channel->stream != NULL ? channel->stream->ops->read(channel->stream, bytes, length, error)
                                       : hf_socket_read(channel->socket, bytes, length, error);
  if (got > 0) {
    HF_LOCK(&channel->lock);
    channel->read += (gsize)got;
  }
  return got;
}

gboolean hf_channel_read(HfChannel *channel, void *bytes, gsize length, GError **error)
{
  for (guint8 *next = bytes; length > 0;) {
    gssize got = hf_channel_read_some(channel, next, length, error);
    if (got < 0)
      return FALSE;
    if (got == 0)
      return hf_fail(error, HF_ERROR_IO, "the connection was closed by '%s'", hf_channel_peer(channel));
    next += got;
    length -= (gsize)got;
  }
  return TRUE;
}

gsize hf_channel_read_ready(HfChannel *channel, void *bytes, gsize length)
{
  gsize got = channel->stream == NULL ? hf_socket_read_ready(channel->socket, bytes, length) : 0;
  HF_LOCK(&channel->lock);
  channel->read += got;
  return got;
}

gboolean hf_channel_end(HfChannel *channel, GError **error)
{
  HF_LOCK(&channel->write_lock);
  if (channel->broken)
    return TRUE;
  channel->broken = TRUE;
  if (channel->stream != NULL && !channel->stream->ops->end(channel->stream, error))
    return FALSE;
  hf_socket_end(channel->socket);
  return TRUE;
}

void hf_channel_shutdown(HfChannel *channel)
{
  hf_socket_shutdown(channel->socket);
}

void hf_channel_set_deadline(HfChannel *channel, gint64 milliseconds)
{
  hf_socket_set_deadline(channel->socket, milliseconds);
}

void hf_channel_set_silence(HfChannel *channel, gint64 milliseconds)
{
  hf_socket_set_silence(channel->socket, milliseconds);
}

void hf_channel_set_throttle(HfChannel *channel, HfThrottle *throttle)
{
  hf_socket_set_throttle(channel->socket, throttle);
}

const char *hf_channel_peer(const HfChannel *channel)
{
  return hf_socket_peer(channel->socket);
}

int hf_channel_fd(const HfChannel *channel)
{
  return hf_socket_fd(channel->socket);
}

HfChannelBytes hf_channel_bytes(HfChannel *channel)
{
  HfChannelBytes bytes;
  hf_socket_bytes(channel->socket, &bytes.wire_read, &bytes.wire_written);
  HF_LOCK(&channel->lock);
  bytes.read = channel->read;
  bytes.written = channel->written;
  return bytes;
}

/* ---- Relays ---- */

typedef struct Pump {
  HfChannel *from, *to;
  GError *error;
  GThread *thread;
} Pump;

/* Carries one direction until it ends; on an error both channels are shut down, so that the other direction ends. */
static void run_pump(Pump *pump)
{
  g_autofree guint8 *buffer = g_malloc(RELAY_BYTES);
  gssize got;
  while ((got = hf_channel_read_some(pump->from, buffer, RELAY_BYTES, &pump->error)) > 0) {
    if (!hf_channel_send(pump->to, buffer, (gsize)got, &pump->error))
      break;
  }
  if (got == 0)
    (void)hf_channel_end(pump->to, &pump->error);
  if (pump->error != NULL) {
    hf_channel_shutdown(pump->from);
    hf_channel_shutdown(pump->to);
  }
}

static gpointer pump_thread(gpointer data)
{
  run_pump(data);
  return NULL;
}

gboolean hf_channel_relay(HfChannel *a, HfChannel *b, void (*a_ended)(gpointer user), gpointer user, GError **error)
{
  Pump there = { .from = a, .to = b }, back = { .from = b, .to = a };
  back.thread = g_thread_try_new("relay", pump_thread, &back, error);
  if (back.thread == NULL)
    return FALSE;
  run_pump(&there);
  if (a_ended != NULL)
    a_ended(user);
  g_thread_join(back.thread);
  /* The first cause: a direction that was only shut down because of the other has HF_ERROR_CANCELLED. */
  gboolean there_first = back.error == NULL || !hf_error_is(there.error, HF_ERROR_CANCELLED);
  Pump *first = there.error != NULL && there_first ? &there : &back;
  GError *reason = g_steal_pointer(&first->error);
  g_clear_error(&there.error);
  g_clear_error(&back.error);
  if (reason == NULL)
    return TRUE;
  g_propagate_error(error, reason);
  return FALSE;
}
