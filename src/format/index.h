/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Index runs on disk (format.md 8): layout only; lookup and merge is repo/index.h. */
#pragma once

#include "format/pack.h"

#define HF_INDEX_PAGE_BYTES 4096u
#define HF_INDEX_ENTRIES_A_PAGE 127u
#define HF_INDEX_KEY_BYTES 20u
#define HF_INDEX_PACK_BYTES 32u
#define HF_INDEX_SUPERSEDES_MAX 64u

typedef struct HfIndexEntry {
  guint8 key[HF_INDEX_KEY_BYTES];
  guint32 pack;   /* position in the run's table of packs, < 2^24 */
  guint32 offset; /* of the frame in the pack */
  guint32 stored_length;
  guint16 blob;   /* number in the frame */
} HfIndexEntry;

typedef struct HfIndexPack {
  HfShortId id;
  guint8 kind;
  guint32 domain;
  guint64 length;
} HfIndexPack;

typedef struct HfIndexFoot {
  HfShortId run;
  guint64 entries, pages, filter_bytes;
  guint32 packs;
  guint8 tables_digest[16];
  guint16 supersedes;
  HfShortId superseded[HF_INDEX_SUPERSEDES_MAX];
} HfIndexFoot;

void hf_index_foot_encode(const HfIndexFoot *foot, guint8 out[HF_INDEX_PAGE_BYTES]);
gboolean hf_index_foot_decode(const void *bytes, gsize length, HfIndexFoot *foot, GError **error);
/* `entries` are sorted by key; count <= 127. */
void hf_index_page_encode(const HfIndexEntry *entries, guint count, guint8 out[HF_INDEX_PAGE_BYTES]);
/* Checks the check and the count. Entries are read one by one with hf_index_entry_decode. */
gboolean hf_index_page_decode(const void *bytes, gsize length, guint *count, GError **error);
void hf_index_entry_decode(const guint8 *page, guint number, HfIndexEntry *entry);
void hf_index_pack_encode(const HfIndexPack *pack, guint8 out[HF_INDEX_PACK_BYTES]);
gboolean hf_index_pack_decode(const guint8 bytes[HF_INDEX_PACK_BYTES], HfIndexPack *pack);
/* Offsets in the object: entry pages begin at 0, the foot page is the last. */
guint64 hf_index_fences_offset(const HfIndexFoot *foot);
guint64 hf_index_packs_offset(const HfIndexFoot *foot);
guint64 hf_index_filter_offset(const HfIndexFoot *foot);
guint64 hf_index_object_length(const HfIndexFoot *foot);

/* Filter (format.md 8.1). `bytes` is a multiple of 64. */
void hf_filter_add(guint8 *filter, guint64 bytes, const guint8 *id);
gboolean hf_filter_has(const guint8 *filter, guint64 bytes, const guint8 *id);
guint64 hf_filter_bytes(guint64 entries); /* about 10 bits an entry, at least one block */
