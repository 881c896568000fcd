/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Channels: a byte stream to another process, over a socket pair, TCP or TLS (net/tls.h makes the last). Everything
 * above (RPC, relays, preambles) reads and writes channels and does not know what lies below.
 *
 * Threads: one thread reads at a time; any number write, each write goes out whole, one after another. Everything else
 * may be called from any thread while the channel lives. Calls block; hf_channel_shutdown from any thread wakes them.
 *
 * Errors: HF_ERROR_IO that names the peer (closed, broken, too slow); HF_ERROR_CANCELLED after hf_channel_shutdown.
 * After an error of writing nothing more can be written: part of the bytes may have gone.
 */
#pragma once

#include <glib.h>
#include <sys/uio.h>

typedef struct HfChannel HfChannel;

/* A channel over a connected stream socket, which it takes over. `peer` names the other end in errors ("10.0.0.7 port
 * 40112", "worker 12"); NULL: the address of the socket's other end. */
HfChannel *hf_channel_new(int fd, const char *peer);
/* Closes. No other thread may be inside a call. NULL is allowed. */
void hf_channel_free(HfChannel *channel);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfChannel, hf_channel_free)

/* Two connected channels in one process (tests), or one end as a descriptor for a child (close-on-exec). */
gboolean hf_channel_pair(HfChannel **a, HfChannel **b, GError **error);
gboolean hf_channel_pair_fd(HfChannel **a, int *b, GError **error);

/* Writes all bytes of `count` parts, as one: no other writer's bytes come in between. */
gboolean hf_channel_write(HfChannel *channel, const struct iovec *parts, int count, GError **error);
gboolean hf_channel_send(HfChannel *channel, const void *bytes, gsize length, GError **error);
/* Reads exactly `length` bytes; HF_ERROR_IO "closed by ..." when the stream ends before. */
gboolean hf_channel_read(HfChannel *channel, void *bytes, gsize length, GError **error);
/* Reads 1 to `length` bytes as soon as some are there; 0 when the other end has ended the stream; -1 on error. */
gssize hf_channel_read_some(HfChannel *channel, void *bytes, gsize length, GError **error);
/* What is there now of at most `length` bytes, without waiting; 0 also when nothing will ever be. Plain channels only.
 */
gsize hf_channel_read_ready(HfChannel *channel, void *bytes, gsize length);
/* Says that nothing more will be written (the other end reads 0 bytes). Reading goes on. */
gboolean hf_channel_end(HfChannel *channel, GError **error);
/* Breaks both directions: who reads or writes, here and at the other end, wakes up. May be called more than once. */
void hf_channel_shutdown(HfChannel *channel);

/* Calls that begin from now on fail when they have not ended `milliseconds` from now; -1: no deadline (as in the
 * beginning). */
void hf_channel_set_deadline(HfChannel *channel, gint64 milliseconds);
/* A read that begins from now on fails when no byte at all came for so long; -1: it waits (as in the beginning). */
void hf_channel_set_silence(HfChannel *channel, gint64 milliseconds);

/* Lives as long as the channel. */
const char *hf_channel_peer(const HfChannel *channel);
/* The socket, for poll and getsockname; stays the channel's. */
int hf_channel_fd(const HfChannel *channel);

/* Bytes so far: payload, and what went over the socket (with TLS records and handshake; equal for plain ones). */
typedef struct HfChannelBytes {
  guint64 read, written, wire_read, wire_written;
} HfChannelBytes;
HfChannelBytes hf_channel_bytes(HfChannel *channel);

/* ---- Throttles: a rate that several channels share, for wire bytes both ways together. ---- */
typedef struct HfThrottle HfThrottle;
/* Bytes a second; 0: no limit. A pause lets at most a tenth of a second's bytes (64 KiB at least) go at once. What is
 * received is held back by reading no more of it than may come: what buffers on the way hold comes on top, once. */
HfThrottle *hf_throttle_new(guint64 rate);
HfThrottle *hf_throttle_ref(HfThrottle *throttle);
void hf_throttle_unref(HfThrottle *throttle);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfThrottle, hf_throttle_unref)
/* Takes effect at once, also for who is waiting. Any thread. */
void hf_throttle_set_rate(HfThrottle *throttle, guint64 rate);
guint64 hf_throttle_rate(HfThrottle *throttle);
/* Microseconds that threads were held back so far, summed over them; and those in which any of them was. */
guint64 hf_throttle_waited_us(HfThrottle *throttle);
guint64 hf_throttle_held_us(HfThrottle *throttle);
/* Takes a reference (NULL: none any more). From any thread. */
void hf_channel_set_throttle(HfChannel *channel, HfThrottle *throttle);

/* ---- Relays. ---- */
/*
 * Carries bytes both ways between two channels, on this thread and one more, until both directions have ended or one
 * has broken; an end on one side is passed on to the other. FALSE when it broke: both channels are then shut down. The
 * channels stay the caller's. hf_channel_shutdown of either ends a relay. `a_ended` (may be NULL) is called once, when
 * all that came from `a` was passed on, or the relay is over.
 */
gboolean hf_channel_relay(HfChannel *a, HfChannel *b, void (*a_ended)(gpointer user), gpointer user, GError **error);
