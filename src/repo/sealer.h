/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Sealing and opening of frames (format.md 4). A sealer or opener belongs to one thread.
 *
 * Invariants
 *  S1 What hf_seal_* gives back was opened, decompressed and compared with its input after its digest was taken: the
 *     digest describes bytes that hold the input. With sums (hf_seal_sum) the input is proven to be what the ids were
 *     computed of.
 *  S2 What hf_open_* gives back has passed the authentication tag; ids are checked by the callee when asked for.
 */
#pragma once

#include "base/buffer.h"
#include "codec/codec.h"
#include "format/frame.h"

/* A frame ready for a pack. Reused from call to call. */
typedef struct HfSealed {
  guint8 prefix[HF_FRAME_PREFIX_BYTES];
  GByteArray *clear;
  HfBuffer body;     /* sealed section */
  HfFrameKind kind;
  guint16 blobs;
  guint32 stored_length;
  guint8 digest[16]; /* XXH3-128 of the stored frame */
} HfSealed;
void hf_sealed_init(HfSealed *sealed);
void hf_sealed_clear(HfSealed *sealed);

/* A sealer holds two buffers as large as the largest frame so far, of which compressible input touches one and a part
 * of the other, and the contexts of the codec (about 2 MiB for zstd:3). */
typedef struct HfSealer HfSealer;
/* Keys are copied; `codec` and `level` are those of new frames. */
HfSealer *hf_sealer_new(const HfShortId *session, const HfKey *data_key, const HfKey *meta_key, HfCodec codec,
                        int level);
void hf_sealer_free(HfSealer *sealer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfSealer, hf_sealer_free)

typedef struct HfGroup {
  const HfGroupItem *items; /* type and payload length of each blob */
  const guint32 *ref_counts;
  guint blobs;
  const HfId *refs;         /* of all blobs, in order */
  const guint8 *payloads;   /* one after the other */
  gsize payload_bytes;
  gsize headroom;           /* bytes before `payloads` that the sealer may overwrite: saves a copy */
  const guint64 *sums;      /* hf_seal_sum of each blob, or NULL: not checked */
} HfGroup;
/* Take it before the id is computed: sealing then notices when memory changed between hashing and compressing. */
guint64 hf_seal_sum(HfBlobType type, const HfId *refs, guint ref_count, const void *payload, gsize length);
/* `meta` chooses the key. HF_ERROR_FAILED when the frame does not prove right (S1) or is too large. */
gboolean hf_seal_group(HfSealer *sealer, gboolean meta, const HfGroup *group, HfSealed *sealed, GError **error);
/* `sums`: hf_xxh64 of each piece, taken before its leaf was computed, or NULL. */
gboolean hf_seal_row(HfSealer *sealer, const void *block, gsize length, const HfId *leaves, const guint64 *sums,
                     guint pieces, HfSealed *sealed, GError **error);

/* ---- Opening. ---- */
typedef struct HfOpener HfOpener;
HfOpener *hf_opener_new(void);
void hf_opener_free(HfOpener *opener);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfOpener, hf_opener_free)

/* An opened group: views stay valid until it is cleared or opened anew. */
typedef struct HfOpened {
  HfBuffer plain;
  guint blobs;
  GArray *items;      /* HfGroupItem */
  GArray *offsets;    /* gsize: of each payload in plain */
  GArray *ref_counts; /* guint32 */
  GArray *ref_starts; /* guint32: first ref of each blob */
  GArray *refs;       /* HfId */
} HfOpened;
void hf_opened_init(HfOpened *opened);
void hf_opened_clear(HfOpened *opened);
/* `stored` is the whole frame. HF_ERROR_DAMAGED (or INVALID) when anything does not fit. */
gboolean hf_open_group(HfOpener *opener, const HfKey *key, const void *stored, gsize length, HfOpened *opened,
                       GError **error);
/* A whole row into `block` of header.plain_length bytes. */
gboolean hf_open_row(HfOpener *opener, const HfKey *key, const void *stored, gsize length, HfBuffer *block,
                     GError **error);
/* One piece of a row: `prefix` is the stored frame's first 56 + clear bytes, `sealed` the piece's stored bytes (none
 * when its stored length is 0). The leaf is checked with `identity`. */
gboolean hf_open_piece(HfOpener *opener, const HfKey *key, HfIdentity *identity, const void *prefix,
                       gsize prefix_length, guint number, const void *sealed, gsize sealed_length, void *out,
                       GError **error);
