/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Calls over a channel, in both directions, with streams of bulk data inside each call (docs/protocol.md 3).
 *
 * A call has a method number, a request (an encoded message, net/messages), a stream of pieces each way, and ends by a
 * reply or an error. A piece is what one hf_call_send gave: it arrives whole, by one hf_call_receive. Credit bounds
 * what is under way: the receiver's window for that call and direction. A sender waits when the window is used up.
 *
 * INVARIANTS
 * 1. No length from the other end is believed before it was compared with the limit told in our hello.
 * 2. Bytes held for a connection stay below memory_max plus one frame for each call.
 * 3. Every call ends: by reply, error, cancel, or the end of the connection (which fails all calls, naming the peer).
 * 4. A peer that breaks the protocol loses the connection, nothing else.
 *
 * Threads: everything may be called from any thread; on one call, one thread sends and one receives at a time. Handlers
 * run on threads of their own, at most max_calls at a time for each connection.
 *
 * Errors of the other side's handler come out with the same code and message. HF_ERROR_IO: the connection broke.
 */
#pragma once

#include <glib.h>
#include <sys/uio.h>

#include "base/work.h"
#include "net/channel.h"

#define HF_RPC_VERSION 1u                 /* of the frames */
#define HF_RPC_FRAME_MAX (4u << 20)       /* default limit of a body: request, piece, reply */
#define HF_RPC_WINDOW (4u << 20)          /* default window */
#define HF_RPC_WINDOW_MAX (64u << 20)
#define HF_RPC_CALLS 32u                  /* default limit of calls at a time, each way */
#define HF_RPC_MEMORY (512u << 20)        /* default of memory_max */

typedef struct HfRpc HfRpc;
typedef struct HfCall HfCall;

/* Serves a call. TRUE: *reply (NULL: an empty one) goes back; FALSE: `error` does, code and message. The call is freed
 * after it returns. What was not received is thrown away. */
typedef gboolean (*HfRpcHandler)(HfCall *call, gpointer user, GBytes **reply, GError **error);

typedef struct HfRpcMethod {
  guint16 number;       /* not 0 */
  const char *name;     /* for errors and logs */
  HfRpcHandler handler;
  guint32 request_max;  /* bytes of a request; 0: frame_max */
} HfRpcMethod;

typedef struct HfRpcOptions {
  const char *service;            /* must be the same at both ends: "control", "vault" */
  guint version_low, version_high; /* versions of the service that we speak; 0: 1 */
  const HfRpcMethod *methods;     /* what the other side may call; ended by number 0; NULL: nothing. Borrowed */
  gpointer user;                  /* for handlers and on_closed */
  /* Called once on the reader's thread when the connection has ended; `reason` is NULL after an orderly end. Calls have
   * failed by then. May call hf_rpc_close, not hf_rpc_free. */
  void (*on_closed)(HfRpc *rpc, const GError *reason, gpointer user);
  HfCancel *cancel;               /* once set, waiting calls fail with HF_ERROR_CANCELLED (asked 5 times a second) */
  guint32 frame_max;              /* 0: the defaults above */
  guint32 window;                 /* cut so that all calls together have half of memory_max */
  guint32 max_calls;
  guint64 memory_max;
  guint ping_seconds;             /* a ping when nothing came, or went, for so long; 0: 10 */
  guint dead_seconds;             /* dead when nothing came for so long; 0: 30 */
  guint hello_seconds;            /* for the hello; 0: 30 */
  gboolean hasty;                 /* hf_rpc_free does not wait for the other end's goodbye: for socket pairs, where
                                   * what was written arrives whatever happens to this end */
  guint16 first_method;           /* not 0: a call of it, without a request, goes out with the hello: hf_rpc_first. Only
                                   * what every version of the service has */
} HfRpcOptions;

/* Says hello both ways and starts the reader. The channel stays the caller's and must live until hf_rpc_free; nobody
 * else may use it but for hf_channel_bytes, _set_throttle and _shutdown. `options` are copied, what they point to is
 * borrowed. HF_ERROR_UNSUPPORTED when the versions do not fit: it names which end to upgrade. */
HfRpc *hf_rpc_new(HfChannel *channel, const HfRpcOptions *options, GError **error);
/* The call that went out with the hello, once: the caller's, who finishes it. */
HfCall *hf_rpc_first(HfRpc *rpc);
/* Ends the connection in order: tells the other end, fails what is under way with HF_ERROR_CANCELLED. Does not wait. */
void hf_rpc_close(HfRpc *rpc);
/* Closes and waits for all threads, handlers included (they see hf_call_cancelled). Calls begun here must have been
 * freed. Not from a handler or on_closed. NULL is allowed. */
void hf_rpc_free(HfRpc *rpc);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfRpc, hf_rpc_free)
/* Waits until the connection has ended, or `timeout_ms` (-1: for ever); TRUE when it has. */
gboolean hf_rpc_wait_closed(HfRpc *rpc, int timeout_ms);
/* TRUE once ended; `reason` (may be NULL) as on_closed had it, copied. */
gboolean hf_rpc_closed(HfRpc *rpc, GError **reason);

guint hf_rpc_version(const HfRpc *rpc);              /* of the service: the highest that both speak */
const char *hf_rpc_peer(const HfRpc *rpc);           /* hf_channel_peer */
guint32 hf_rpc_piece_max(const HfRpc *rpc);          /* the other end's frame_max: no piece or request may be longer */

/* ---- The caller's side. ---- */
/* Waits while the other end has as many calls as it takes at a time. `request` NULL: an empty one. */
HfCall *hf_rpc_begin(HfRpc *rpc, guint method, GBytes *request, GError **error);
/* Says that no more data come (not needed before hf_call_finish, which says it too), then waits for the reply. Pieces
 * that nobody received are thrown away. Once for a call. */
GBytes *hf_call_finish(HfCall *call, GError **error);
/* Cancels what is not finished. NULL is allowed. */
void hf_call_free(HfCall *call);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfCall, hf_call_free)
/* A call without streams. `timeout_ms` -1: as long as the connection lives. */
GBytes *hf_rpc_call(HfRpc *rpc, guint method, GBytes *request, int timeout_ms, GError **error);

/* ---- Both sides. ---- */
/* Sends one piece (1 byte to hf_rpc_piece_max), waiting for credit. The bytes are not kept. When the other side has
 * ended the call already, its error comes out here (HF_ERROR_CANCELLED when it replied without wanting more). A piece
 * uses up its length and 64 bytes more of the window. */
gboolean hf_call_send(HfCall *call, const struct iovec *parts, int count, GError **error);
/* No more pieces from here. */
gboolean hf_call_end(HfCall *call, GError **error);
/* The next piece. NULL with *end TRUE and no error: the other side sends no more. NULL with *end FALSE: the call or
 * the connection failed. */
GBytes *hf_call_receive(HfCall *call, gboolean *end, GError **error);
/* The window for what comes in, from now on: HF_RPC_WINDOW_MAX at most, as far as memory_max goes. Larger than
 * bandwidth times delay, else the window is the limit. */
void hf_call_set_window(HfCall *call, guint32 bytes);
/* Wakes who waits in this call, which fails with HF_ERROR_CANCELLED, and tells the other side. Any thread. */
void hf_call_cancel(HfCall *call);

/* ---- The handler's side. ---- */
GBytes *hf_call_request(const HfCall *call); /* never NULL; the call's */
/* The caller gave up, or the connection ended: nobody waits for the reply. */
gboolean hf_call_cancelled(HfCall *call);
