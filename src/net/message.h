/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What generated messages (net/messages/NAME.h, from spec/messages/NAME.toml by spec/gen-messages.py) are made of:
 * tables of fields, and the one encoder and decoder that goes by them. docs/protocol.md 4 has the bytes.
 *
 * INVARIANTS
 * 1. A decoder allocates for what is there: never more elements than their bytes could hold, never beyond a limit.
 * 2. What was decoded encodes to the same bytes, but for fields of a newer version, which are skipped.
 * 3. Secret fields are wiped when the struct is cleared, and so are the encoded bytes of structs that have any.
 *
 * Any thread; nothing is kept.
 */
#pragma once

#include <glib.h>

#include "format/cursor.h"
#include "net/rpc.h"

typedef enum HfMessageType {
  HF_MESSAGE_U8,
  HF_MESSAGE_U16,
  HF_MESSAGE_U32,
  HF_MESSAGE_U64,
  HF_MESSAGE_I64,
  HF_MESSAGE_BOOL,
  HF_MESSAGE_TEXT,
  HF_MESSAGE_BYTES,
  HF_MESSAGE_ID16,
  HF_MESSAGE_ID32,
  HF_MESSAGE_ENUM,
  HF_MESSAGE_STRUCT,
} HfMessageType;

enum {
  HF_MESSAGE_OPTIONAL = 1 << 0,
  HF_MESSAGE_LIST = 1 << 1,
  HF_MESSAGE_SECRET = 1 << 2,
  HF_MESSAGE_LATE = 1 << 3, /* an older sender leaves it out */
};

/* The longest encoded message: more cannot be sent in one frame. */
#define HF_MESSAGE_MAX HF_RPC_FRAME_MAX

typedef struct HfMessageKind HfMessageKind;

typedef struct HfMessageField {
  const char *name;
  HfMessageType type;
  guint flags;
  gsize offset;             /* of the member */
  gsize beside;             /* of has_NAME or n_NAME */
  guint32 max;              /* bytes of a text or of bytes */
  guint32 list;             /* most elements */
  const HfMessageKind *of;  /* STRUCT */
  const guint32 *values;    /* ENUM: ascending */
  guint n_values;
} HfMessageField;

struct HfMessageKind {
  const char *name; /* for errors */
  gsize size;       /* of the struct */
  const HfMessageField *fields;
  guint count;
  gboolean secret; /* has a secret field, at any depth */
};

/* HF_ERROR_USAGE, naming the field, when a limit of the declaration is broken. */
GBytes *hf_message_encode(const HfMessageKind *kind, gconstpointer message, GError **error);
/* `message` must be all zeros; it is so again after a failure: HF_ERROR_INVALID, or HF_ERROR_FAILED without memory. */
gboolean hf_message_decode(const HfMessageKind *kind, const void *bytes, gsize length, gpointer message,
                           GError **error);
/* Frees what the members own and makes all zeros. */
void hf_message_clear(const HfMessageKind *kind, gpointer message);
/* Appends a zeroed element to a list made of *items (a pointer of any type) and *count. */
void hf_message_grow(void *items, guint *count, gsize size);
/* Bytes that are wiped when the last reference goes. */
GBytes *hf_message_secret(const void *bytes, gsize length);

/* One call without pieces; kinds NULL: empty. `reply` must be all zeros. */
gboolean hf_message_call(HfRpc *rpc, guint method, const HfMessageKind *request_kind, gconstpointer request,
                         const HfMessageKind *reply_kind, gpointer reply, int timeout_ms, GError **error);
