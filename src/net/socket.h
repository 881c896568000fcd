/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is below every channel: a connected socket with deadlines, counters, a throttle, and a switch that ends waits.
 * Private to src/net. One thread reads and one writes at a time (channels see to it); the rest from any thread.
 */
#pragma once

#include "net/channel.h"

typedef struct HfSocket HfSocket;

HfSocket *hf_socket_new(int fd, const char *peer);
void hf_socket_free(HfSocket *socket);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfSocket, hf_socket_free)

/* 1 to `length` bytes; 0 at the end of the stream; -1 on error. */
gssize hf_socket_read(HfSocket *socket, void *bytes, gsize length, GError **error);
/* What is there now, without waiting. */
gsize hf_socket_read_ready(HfSocket *socket, void *bytes, gsize length);
/* All bytes of all parts. */
gboolean hf_socket_write(HfSocket *socket, const struct iovec *parts, int count, GError **error);
void hf_socket_end(HfSocket *socket);
void hf_socket_shutdown(HfSocket *socket);
gboolean hf_socket_is_shut(HfSocket *socket);

void hf_socket_set_deadline(HfSocket *socket, gint64 milliseconds);
void hf_socket_set_silence(HfSocket *socket, gint64 milliseconds);
void hf_socket_set_throttle(HfSocket *socket, HfThrottle *throttle);
void hf_socket_bytes(HfSocket *socket, guint64 *read, guint64 *written);
const char *hf_socket_peer(const HfSocket *socket);
int hf_socket_fd(const HfSocket *socket);

/* Copies at most `room` entries of parts, skipping `skip` bytes from the front and stopping after `most` bytes; the
 * number of entries, *bytes what they hold. */
int hf_parts_slice(const struct iovec *parts, int count, gsize skip, gsize most, struct iovec *slice, int room,
                   gsize *bytes);
gsize hf_parts_length(const struct iovec *parts, int count);

/* ---- Throttle, the waiting side. ---- */
/* How much to ask for at a time. */
gsize hf_throttle_piece(HfThrottle *throttle);
/* Waits until it is one's turn and takes `bytes`, by which the bucket may get into debt (0: only waits). FALSE when
 * `until` (monotonic us; -1: never) has passed, or `stop` is set: who sets it calls hf_throttle_wake. */
gboolean hf_throttle_take(HfThrottle *throttle, gsize bytes, gint64 until, const gint *stop);
/* Takes `bytes` that have come already, without waiting. */
void hf_throttle_charge(HfThrottle *throttle, gsize bytes);
void hf_throttle_wake(HfThrottle *throttle);
