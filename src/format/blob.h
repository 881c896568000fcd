/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Blobs and their identity (format.md 2.1, 2.2, 7). */
#pragma once

#include "format/cursor.h"

typedef enum HfBlobType {
  HF_BLOB_DATA = 1, HF_BLOB_BLOCK = 2, HF_BLOB_LIST = 3, HF_BLOB_PAGE = 4, HF_BLOB_MAP = 6, HF_BLOB_ROOTS = 7,
} HfBlobType;

#define HF_PIECE_BYTES (128u << 10)
#define HF_PIECES_MAX 32u
#define HF_PAYLOAD_MAX (8u << 20)
#define HF_REFS_MAX 65535u

static inline gboolean hf_blob_is_meta(HfBlobType type) { return type != HF_BLOB_DATA && type != HF_BLOB_BLOCK; }
gboolean hf_blob_type_valid(guint8 type);

/* Computes ids in one domain. Belongs to one thread. */
typedef struct HfIdentity HfIdentity;
HfIdentity *hf_identity_new(const HfKey *domain_key);
void hf_identity_free(HfIdentity *identity);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfIdentity, hf_identity_free)
/* For every type but block. `refs` may be NULL when count is 0. */
void hf_identity_blob(HfIdentity *identity, HfBlobType type, const HfId *refs, guint count, const void *payload,
                      gsize length, HfId *id);
void hf_identity_leaf(HfIdentity *identity, const void *piece, gsize length, HfId *leaf);
void hf_identity_block(HfIdentity *identity, guint32 length, const HfId *leaves, guint count, HfId *id);
/* Leaves and id of a whole block of up to 4 MiB; `leaves` has room for HF_PIECES_MAX; returns their number. */
guint hf_identity_whole_block(HfIdentity *identity, const void *block, gsize length, HfId *leaves, HfId *id);
void hf_identity_source(HfIdentity *identity, const char *name, HfShortId *source);
/* The gear table of the domain for hf_cutter_init. */
void hf_gear_table(const HfKey *domain_key, guint64 gear[256]);
