/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reading blobs: index, store, opener, and the check of the id, in one call. A blob that is damaged in one place is
 * read from the next (another pack, the mirror, parity); what was found damaged is noted in the index and the report.
 * Opened meta frames and the last data frames are kept in a cache shared by all readers of one HfBlobCache.
 *
 * Invariants
 *  R1 No byte is given out whose id (or leaf) was not computed anew and compared.
 *
 * An HfBlobReader belongs to one thread; the cache is shared. Memory beside the cache: a reader keeps the largest
 * stored frame and the largest decompressed one of its own; after damage the cache keeps the pack that parity mended
 * last.
 */
#pragma once

#include "format/blob.h"
#include "repo/repo.h"
#include "repo/sealer.h"

typedef struct HfBlobCache HfBlobCache;
/* `bytes` bounds the plain bytes kept. */
HfBlobCache *hf_blob_cache_new(HfRepo *repo, gsize bytes);
void hf_blob_cache_free(HfBlobCache *cache);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfBlobCache, hf_blob_cache_free)

typedef struct HfBlobReader HfBlobReader;
/* Reads blobs of one domain. */
HfBlobReader *hf_blob_reader_new(HfBlobCache *cache, guint32 domain, GError **error);
void hf_blob_reader_free(HfBlobReader *reader);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfBlobReader, hf_blob_reader_free)

/* A blob in hand: holds a reference to its cached frame. Free with hf_blob_release (zero-initialised is legal). */
typedef struct HfBlob {
  HfBlobType type;
  const guint8 *payload;
  gsize length;
  const HfId *refs;
  guint ref_count;
  gpointer frame; /* private */
} HfBlob;
void hf_blob_release(HfBlob *blob);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HfBlob, hf_blob_release)

/* Any blob but blocks of disks. HF_ERROR_DAMAGED names the blob when it is missing or no location gives it whole,
 * HF_ERROR_INVALID when it is of another type (a lying writer), HF_ERROR_PERMISSION when these keys do not open it. */
gboolean hf_blob_read(HfBlobReader *reader, const HfId *id, HfBlobType type, HfBlob *blob, GError **error);
/* [offset, offset + length) of a block of `block_length` bytes into `out`: reads and opens only the pieces needed. */
gboolean hf_block_read(HfBlobReader *reader, const HfId *id, gsize block_length, gsize offset, gsize length, void *out,
                       GError **error);

/* ---- For restore, which reads whole frames in the order of the packs. ---- */
gboolean hf_blob_locate(HfBlobReader *reader, const HfId *id, HfLocation *location, GError **error);
/* Reads and opens the frame at `location` and checks the ids of the `count` blobs that are wanted. A row opens to one
 * blob, the block. After damage the wanted blobs are read in hf_blob_read's ways; `opened` then holds only these, at
 * their numbers, and the others are empty. When one cannot be read at all this fails: hf_blob_read tells which. Nothing
 * is cached. `opened` was initialised by the caller and is used again and again. */
typedef struct HfWanted {
  guint16 blob;
  HfId id;
} HfWanted;
gboolean hf_frame_read(HfBlobReader *reader, const HfLocation *location, const HfWanted *wanted, guint count,
                       HfOpened *opened, GError **error);
