/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a channel carries its bytes over: the socket itself, or TLS on it. Private to src/net. */
#pragma once

#include "net/socket.h"

typedef struct HfStream HfStream;
typedef struct HfStreamOps {
  gssize (*read)(HfStream *stream, void *bytes, gsize length, GError **error); /* as hf_channel_read_some */
  gboolean (*write)(HfStream *stream, const struct iovec *parts, int count, GError **error);
  gboolean (*end)(HfStream *stream, GError **error);
  void (*free)(HfStream *stream); /* not the socket */
} HfStreamOps;

/* First member of each stream's own struct. */
struct HfStream {
  const HfStreamOps *ops;
  HfSocket *socket; /* the channel's */
};

/* A channel over a stream: takes over both. `stream` NULL: the socket itself. */
HfChannel *hf_channel_new_stream(HfSocket *socket, HfStream *stream);
