/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>

#include "base/buffer.h"
#include "base/error.h"
#include "net/tls_private.h"

#define IN_BYTES (128 << 10)    /* read from the socket at a time */
#define FLUSH_BYTES (128 << 10) /* written to it at a time */
#define RECORD_BYTES (16 << 10) /* the most that a record carries */

struct HfTlsStream {
  HfStream base;
  GMutex lock; /* guards the session and `out` */
  gnutls_session_t session;
  HfBuffer out;           /* records that GnuTLS made */
  HfBuffer sending;       /* the writer's: what is on its way to the socket */
  guint8 *in;             /* the reader's: what came from the socket, from in_at to in_end */
  gsize in_at, in_end;
  gboolean in_over;       /* the socket has ended */
  guint8 *record;         /* the writer's: parts that are shorter than a record */
  GSList *kept;           /* of Kept */
};

typedef struct Kept {
  gpointer data;
  GDestroyNotify free_data;
} Kept;

static const HfStreamOps tls_ops;

/* ---- What GnuTLS calls. ---- */

static gssize push(gnutls_transport_ptr_t data, const giovec_t *parts, int count)
{
  HfTlsStream *stream = data;
  gsize length = 0;
  for (int i = 0; i < count; i++) {
    if (!hf_buffer_append(&stream->out, parts[i].iov_base, parts[i].iov_len, NULL)) {
      gnutls_transport_set_errno(stream->session, ENOMEM);
      return -1;
    }
    length += parts[i].iov_len;
  }
  return (gssize)length;
}

static gssize pull(gnutls_transport_ptr_t data, void *bytes, size_t length)
{
  HfTlsStream *stream = data;
  gsize there = MIN(stream->in_end - stream->in_at, length);
  if (there == 0 && !stream->in_over) {
    gnutls_transport_set_errno(stream->session, EAGAIN);
    return -1;
  }
  memcpy(bytes, stream->in + stream->in_at, there);
  stream->in_at += there;
  return (gssize)there;
}

static int pull_timeout(gnutls_transport_ptr_t data, unsigned milliseconds G_GNUC_UNUSED)
{
  HfTlsStream *stream = data;
  return stream->in_at < stream->in_end || stream->in_over;
}

/* ---- The socket's side. ---- */

/* Waits for bytes; to be called when all that was there has been taken. */
static gboolean fill(HfTlsStream *stream, GError **error)
{
  gssize got = hf_socket_read(stream->base.socket, stream->in, IN_BYTES, error);
  if (got < 0)
    return FALSE;
  stream->in_over = got == 0;
  stream->in_at = 0;
  stream->in_end = (gsize)got;
  return TRUE;
}

/* Sends the records made so far, if they are `least` bytes. */
static gboolean flush(HfTlsStream *stream, gsize least, GError **error)
{
  g_mutex_lock(&stream->lock);
  gboolean due = stream->out.length > 0 && stream->out.length >= least;
  if (due) {
    HfBuffer empty = stream->sending;
    stream->sending = stream->out;
    stream->out = empty;
  }
  g_mutex_unlock(&stream->lock);
  if (!due)
    return TRUE;
  struct iovec part = { stream->sending.data, stream->sending.length };
  stream->sending.length = 0;
  return hf_socket_write(stream->base.socket, &part, 1, error);
}

/* ---- Life. ---- */

HfTlsStream *hf_tls_stream_new(HfSocket *socket, unsigned flags, GError **error)
{
  HfTlsStream *stream = g_new0(HfTlsStream, 1);
  stream->base = (HfStream){ &tls_ops, socket };
  g_mutex_init(&stream->lock);
  stream->in = g_try_malloc(IN_BYTES);
  stream->record = g_malloc(RECORD_BYTES);
  int failure = stream->in == NULL ? GNUTLS_E_MEMORY_ERROR
                                   : gnutls_init(&stream->session, flags | GNUTLS_NO_TICKETS | GNUTLS_NO_SIGNAL);
  if (failure != 0) {
    (void)hf_fail(error, HF_ERROR_FAILED, "cannot begin TLS: %s", gnutls_strerror(failure));
    hf_tls_stream_free(stream);
    return NULL;
  }
  gnutls_transport_set_ptr(stream->session, stream);
  gnutls_transport_set_vec_push_function(stream->session, push);
  gnutls_transport_set_pull_function(stream->session, pull);
  gnutls_transport_set_pull_timeout_function(stream->session, pull_timeout);
  return stream;
}

static void free_kept(gpointer data)
{
  Kept *kept = data;
  kept->free_data(kept->data);
  g_free(kept);
}

void hf_tls_stream_free(HfTlsStream *stream)
{
  if (stream == NULL)
    return;
  if (stream->session != NULL)
    gnutls_deinit(stream->session);
  g_slist_free_full(stream->kept, free_kept);
  hf_buffer_clear(&stream->out);
  hf_buffer_clear(&stream->sending);
  g_mutex_clear(&stream->lock);
  hf_wipe(stream->record, RECORD_BYTES);
  g_free(stream->record);
  g_free(stream->in);
  g_free(stream);
}

gnutls_session_t hf_tls_stream_session(HfTlsStream *stream)
{
  return stream->session;
}

void hf_tls_stream_keep(HfTlsStream *stream, gpointer data, GDestroyNotify free_data)
{
  Kept *kept = g_new(Kept, 1);
  *kept = (Kept){ data, free_data };
  stream->kept = g_slist_prepend(stream->kept, kept);
}

/* ---- Handshake: one thread, nobody else is there yet. ---- */

int hf_tls_stream_handshake(HfTlsStream *stream, GError **error)
{
  for (;;) {
    int failure = gnutls_handshake(stream->session);
    /* What it made goes out first, alerts too. */
    GError *cause = NULL;
    gboolean flushed = flush(stream, 0, &cause);
    if (failure == 0 || (failure != GNUTLS_E_AGAIN && gnutls_error_is_fatal(failure))) {
      if (failure != 0 || flushed) {
        g_clear_error(&cause);
        return failure;
      }
    }
    if (!flushed) {
      g_propagate_error(error, cause);
      return G_MININT;
    }
    if (failure == GNUTLS_E_AGAIN && stream->in_at == stream->in_end && !fill(stream, error))
      return G_MININT;
  }
}

void hf_tls_stream_alert(HfTlsStream *stream, gnutls_alert_description_t alert)
{
  (void)gnutls_alert_send(stream->session, GNUTLS_AL_FATAL, alert);
  (void)flush(stream, 0, NULL);
}

const char *hf_tls_alert_text(gnutls_session_t session, int failure)
{
  if (failure != GNUTLS_E_FATAL_ALERT_RECEIVED)
    return NULL;
  const char *name = gnutls_alert_get_name(gnutls_alert_get(session));
  return name != NULL ? name : "an alert";
}

/* ---- A channel's operations. ---- */

static gboolean fail_record(HfTlsStream *stream, int failure, GError **error)
{
  const char *peer = hf_socket_peer(stream->base.socket);
  const char *alert = hf_tls_alert_text(stream->session, failure);
  if (alert != NULL)
    return hf_fail(error, HF_ERROR_IO, "'%s' ended the connection: %s", peer, alert);
  if (failure == GNUTLS_E_PREMATURE_TERMINATION)
    return hf_fail(error, HF_ERROR_IO, "the connection with '%s' was cut", peer);
  return hf_fail(error, HF_ERROR_IO, "the connection with '%s' broke: %s", peer, gnutls_strerror(failure));
}

static gssize tls_read(HfStream *base, void *bytes, gsize length, GError **error)
{
  HfTlsStream *stream = (HfTlsStream *)base;
  gsize got = 0;
  while (got < length) {
    g_mutex_lock(&stream->lock);
    gssize result = gnutls_record_recv(stream->session, (guint8 *)bytes + got, length - got);
    g_mutex_unlock(&stream->lock);
    if (result > 0) {
      got += (gsize)result;
    } else if (result == GNUTLS_E_AGAIN) {
      /* After a message of TLS itself, such as new keys, there may be more in the buffer. */
      if (stream->in_at < stream->in_end)
        continue;
      if (got > 0)
        break;
      if (!fill(stream, error))
        return -1;
    } else if (result == 0) {
      break;
    } else if (gnutls_error_is_fatal((int)result)) {
      if (got > 0)
        break; /* it comes again */
      (void)fail_record(stream, (int)result, error);
      return -1;
    }
  }
  return (gssize)got;
}

/* Makes records of `length` bytes at `bytes`. */
static gboolean send_bytes(HfTlsStream *stream, const guint8 *bytes, gsize length, GError **error)
{
  while (length > 0) {
    g_mutex_lock(&stream->lock);
    gssize result = gnutls_record_send(stream->session, bytes, MIN(length, RECORD_BYTES));
    g_mutex_unlock(&stream->lock);
    if (result < 0)
      return fail_record(stream, (int)result, error);
    bytes += result;
    length -= (gsize)result;
    if (!flush(stream, FLUSH_BYTES, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean tls_write(HfStream *base, const struct iovec *parts, int count, GError **error)
{
  HfTlsStream *stream = (HfTlsStream *)base;
  gsize held = 0; /* bytes in `record` */
  for (int i = 0; i < count; i++) {
    const guint8 *bytes = parts[i].iov_base;
    for (gsize left = parts[i].iov_len; left > 0;) {
      gsize taken;
      if (held == 0 && left >= RECORD_BYTES) {
        taken = left - left % RECORD_BYTES;
        if (!send_bytes(stream, bytes, taken, error))
          return FALSE;
      } else {
        taken = MIN(left, RECORD_BYTES - held);
        memcpy(stream->record + held, bytes, taken);
        held += taken;
        if (held == RECORD_BYTES) {
          if (!send_bytes(stream, stream->record, held, error))
            return FALSE;
          held = 0;
        }
      }
      bytes += taken;
      left -= taken;
    }
  }
  return send_bytes(stream, stream->record, held, error) && flush(stream, 0, error);
}

static gboolean tls_end(HfStream *base, GError **error)
{
  HfTlsStream *stream = (HfTlsStream *)base;
  g_mutex_lock(&stream->lock);
  (void)gnutls_bye(stream->session, GNUTLS_SHUT_WR);
  g_mutex_unlock(&stream->lock);
  return flush(stream, 0, error);
}

static void tls_free(HfStream *base)
{
  hf_tls_stream_free((HfTlsStream *)base);
}

static const HfStreamOps tls_ops = { tls_read, tls_write, tls_end, tls_free };
