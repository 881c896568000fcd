/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The bytes of rpc.h (docs/protocol.md 3): header, hello, errors. Private to src/net. Pure. */
#pragma once

#include <glib.h>

#define HF_RPC_HEADER_BYTES 12
#define HF_RPC_MAGIC 0x31435248u       /* "HRC1" */
#define HF_RPC_HELLO_MAX 1024u         /* bytes of a hello */
#define HF_RPC_ERROR_MAX 4096u         /* bytes of an error or goodbye */
#define HF_RPC_NAME_MAX 64u            /* bytes of a name in a hello */
#define HF_RPC_PIECE_COST 64u          /* what a piece uses up of a window beside its length */

typedef enum HfRpcType {
  HF_RPC_HELLO = 1,
  HF_RPC_CALL,    /* body: the request */
  HF_RPC_DATA,    /* body: a piece; empty only with END */
  HF_RPC_CREDIT,  /* body: u32, bytes more that may be sent */
  HF_RPC_REPLY,   /* body: the reply */
  HF_RPC_ERROR,   /* body: code, message */
  HF_RPC_CANCEL,  /* by the caller */
  HF_RPC_PING,
  HF_RPC_PONG,
  HF_RPC_GOODBYE, /* body: code (0: all is well), message */
} HfRpcType;

enum {
  HF_RPC_END = 1 << 0,    /* of CALL and DATA: the sender sends no (more) pieces */
  HF_RPC_ANSWER = 1 << 1, /* the call is one that the receiver began */
};

typedef struct HfRpcFrame {
  guint32 length; /* of the body */
  guint8 type;    /* HfRpcType */
  guint8 flags;
  guint16 method; /* of CALL, else 0 */
  guint32 call;   /* from 1; 0 for frames of the connection itself */
} HfRpcFrame;

void hf_rpc_frame_encode(const HfRpcFrame *frame, guint8 out[HF_RPC_HEADER_BYTES]);
/* HF_ERROR_INVALID for what no frame may be: unknown types, flags out of place, lengths that do not fit the type or are
 * above `frame_max`. */
gboolean hf_rpc_frame_decode(const guint8 in[HF_RPC_HEADER_BYTES], guint32 frame_max, HfRpcFrame *frame,
                             GError **error);

typedef struct HfRpcHello {
  guint16 rpc_low, rpc_high; /* versions of the frames */
  guint16 low, high;         /* versions of the service */
  guint32 frame_max, window, max_calls;
  char *service, *program;
} HfRpcHello;
void hf_rpc_hello_clear(HfRpcHello *hello);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HfRpcHello, hf_rpc_hello_clear)
/* The body. */
void hf_rpc_hello_encode(const HfRpcHello *hello, GByteArray *out);
gboolean hf_rpc_hello_decode(const guint8 *bytes, gsize length, HfRpcHello *hello, GError **error);

/* The body of an error or goodbye; NULL: code 0. */
void hf_rpc_error_encode(const GError *error, GByteArray *out);
/* What it says, in *said (NULL for code 0). FALSE with HF_ERROR_INVALID when it is malformed. */
gboolean hf_rpc_error_decode(const guint8 *bytes, gsize length, GError **said, GError **error);
