/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Storing blobs: identity, deduplication, grouping into frames, sealing, packing. One HfBlobStore a session; one
 * HfBlobWriter a thread, which holds that thread's open data group and meta group: blobs that a thread adds one after
 * the other lie side by side.
 *
 * Memory of a writer: its open data group (frame target and a half), its open meta group (likewise), a sealer
 * (repo/sealer.h) and the frame that it sealed last; together about four times the frame target, or the largest blob,
 * if that is more.
 *
 * Invariants
 *  W1 An id that hf_blob_write gave out is durable once hf_blob_store_flush returned TRUE, or was durable before.
 *  W2 After any failure hf_blob_store_flush fails, too: no commit after a lost blob.
 */
#pragma once

#include "repo/packer.h"
#include "repo/session.h"

typedef struct HfBlobStore HfBlobStore;
/* The session must have a slot; repo->index must be loaded. codec/level override the config's when codec >= 0. */
HfBlobStore *hf_blob_store_new(HfSession *session, HfRepo *repo, int codec, int level, GError **error);
void hf_blob_store_free(HfBlobStore *store);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfBlobStore, hf_blob_store_free)

typedef struct HfBlobWriter HfBlobWriter;
HfBlobWriter *hf_blob_writer_new(HfBlobStore *store);
/* Its open groups are lost when not flushed (the store then fails by W2, unless they are empty). */
void hf_blob_writer_free(HfBlobWriter *writer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfBlobWriter, hf_blob_writer_free)

/* Any type but blocks; *fresh (may be NULL) tells whether it was new. The payload is copied or sealed before return. */
gboolean hf_blob_write(HfBlobWriter *writer, HfBlobType type, const HfId *refs, guint ref_count, const void *payload,
                       gsize length, HfId *id, gboolean *fresh, GError **error);
/* The same, though the blob may be stored already: another copy of it. For who is about to remove the first one. */
gboolean hf_blob_write_again(HfBlobWriter *writer, HfBlobType type, const HfId *refs, guint ref_count,
                             const void *payload, gsize length, HfId *id, GError **error);
/* A block of a disk, up to 4 MiB; all-zero blocks are the caller's business. */
gboolean hf_block_write(HfBlobWriter *writer, const void *block, gsize length, HfId *id, gboolean *fresh,
                        GError **error);
/* Room for the next small data payload of up to `length` bytes inside the open group, so that a file can be read
 * straight into its place; hf_blob_write with this pointer as payload does not copy. Valid until the next call. */
void *hf_blob_room(HfBlobWriter *writer, gsize length, GError **error);
/* Seals this writer's open groups. */
gboolean hf_blob_writer_flush(HfBlobWriter *writer, GError **error);
/* After all writers were flushed: finishes the packs and makes all durable (W1). For checkpoints, too: writers may go
 * on afterwards. */
gboolean hf_blob_store_flush(HfBlobStore *store, GError **error);

typedef struct HfBlobTotals {
  guint64 new_blobs, new_bytes;  /* new blobs and the plain bytes of their payloads */
  guint64 stored_bytes;          /* of packs */
  guint64 parity_bytes;          /* of parity and mirrors */
} HfBlobTotals;
HfBlobTotals hf_blob_store_totals(HfBlobStore *store);
HfIdentity *hf_blob_writer_identity(HfBlobWriter *writer);
