/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What rpc.c (the connection: hello, reader, sender, workers) and rpc_call.c (calls) share. Private to src/net.
 *
 * INVARIANTS
 * 1. The reader never waits for the network to take anything: what it has to say (credit, pong, cancel) is queued for
 *    the sender. So both ends always read, and no two ends wait for each other.
 * 2. A call is listed from its first frame to its last: reply or error. The called side takes it off its list before it
 *    sends that frame, the caller when that frame comes: the caller never counts fewer than the called side.
 * 3. `lock` guards everything in both structs that is not constant. It is not held while the channel is read or
 *    written. Order: begin_lock, then lock.
 */
#pragma once

#include "net/rpc.h"
#include "net/rpc_body.h"
#include "net/rpc_frame.h"

struct HfRpc {
  HfChannel *channel;
  HfRpcOptions options; /* defaults filled in */
  HfBodies *bodies;
  HfRpcHello theirs;
  guint version;
  guint32 window;      /* what each call begins with, inwards */
  guint32 calls_out;   /* most calls at a time that we may begin */
  GMutex begin_lock;   /* ids of calls ascend on the wire */
  GMutex lock;
  GCond changed;       /* a call ended, or the connection did */
  GCond due;           /* the sender has something to do */
  GCond work;          /* a worker has something to do */
  GHashTable *outgoing, *incoming; /* id -> HfCall, listed ones */
  guint reserved;      /* calls about to be listed in `outgoing` */
  guint32 next_call;   /* begun here */
  guint32 last_call;   /* begun by the other side */
  guint64 budget;      /* bytes of memory that windows may grow by */
  GByteArray *queued;  /* frames for the sender */
  gboolean pong_due, goodbye_due;
  gboolean said_goodbye; /* it was written */
  gboolean closing;    /* hf_rpc_close was called */
  gboolean closed;     /* no calls any more */
  gboolean over;       /* the reader has ended */
  GError *reason;      /* why it is closed; NULL: in order */
  GQueue jobs;         /* HfCall: begun by the other side, no worker has them yet */
  guint idle;          /* workers without a job */
  GPtrArray *workers;  /* GThread */
  GThread *reader, *sender;
  HfCall *first;       /* until it is taken */
};

struct HfCall {
  HfRpc *rpc;
  guint32 id;
  guint16 method;
  gboolean incoming; /* begun by the other side */
  GCond changed;
  gboolean held, listed; /* by who uses it; in the table. Neither: freed */
  GBytes *request;
  /* outwards */
  gint64 credit;
  gboolean out_ended;
  /* inwards */
  gint64 in_credit;  /* what the other side may still send */
  guint32 window;
  guint32 extra;     /* of the budget */
  gint64 consumed;   /* taken and not yet given back */
  gint64 withheld;   /* not given back, because the window became smaller */
  GQueue pieces;     /* GBytes */
  gboolean in_ended, discard;
  /* the end */
  gboolean done, cancelled;
  GBytes *reply;
  GError *failure;
  gint64 deadline_us; /* -1: none */
};

/* What a piece uses up of a window. */
static inline gint64 hf_piece_cost(gsize length) { return (gint64)length + HF_RPC_PIECE_COST; }

/* ---- rpc.c ---- */
/* Puts a frame without a body, or with a small one, into the sender's queue. */
void hf_rpc_queue_locked(HfRpc *rpc, HfRpcType type, guint8 flags, guint32 call, const void *body, guint32 length);
/* Writes a frame from this thread. On failure the connection is given up. */
gboolean hf_rpc_write(HfRpc *rpc, HfRpcFrame frame, const struct iovec *parts, int count, GError **error);
/* Sets why calls fail now. */
gboolean hf_rpc_fail_closed_locked(HfRpc *rpc, GError **error);

/* ---- rpc_call.c ---- */
HfCall *hf_call_new(HfRpc *rpc, guint32 id, guint16 method, gboolean incoming);
/* Takes it off its list; frees it when nobody holds it. */
void hf_call_unlist_locked(HfCall *call);
/* A piece has come: keeps it, or throws it away and gives the credit back. Takes over `piece` (NULL: none). */
void hf_call_take_piece_locked(HfCall *call, GBytes *piece, gboolean end);
/* The end of a call that was begun here. Takes over `reply` or `failure`. */
void hf_call_done_locked(HfCall *call, GBytes *reply, GError *failure);
/* Runs the handler of a call and sends what came of it. */
void hf_call_serve(HfCall *call);
