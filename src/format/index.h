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
/* Checks the check, the count, the order of keys and the zeros. Entries are then read with hf_index_entry_decode. */
gboolean hf_index_page_decode(const void *bytes, gsize length, guint *count, GError **error);
/* `page` passed hf_index_page_decode and number < count. What no page alone can tell is the caller's to check: pack
 * against the table, offset and length against the pack. */
static inline void hf_index_entry_decode(const guint8 *page, guint number, HfIndexEntry *entry)
{
  const guint8 *at = page + number * 32;
  memcpy(entry->key, at, HF_INDEX_KEY_BYTES);
  entry->pack = hf_load_u24(at + 20);
  entry->offset = hf_load_u32(at + 23);
  entry->stored_length = hf_load_u24(at + 27);
  entry->blob = hf_load_u16(at + 30);
}
void hf_index_pack_encode(const HfIndexPack *pack, guint8 out[HF_INDEX_PACK_BYTES]);
gboolean hf_index_pack_decode(const guint8 bytes[HF_INDEX_PACK_BYTES], HfIndexPack *pack);
/* Offsets in the object: entry pages begin at 0, the foot page is the last. */
guint64 hf_index_fences_offset(const HfIndexFoot *foot);
guint64 hf_index_packs_offset(const HfIndexFoot *foot);
guint64 hf_index_filter_offset(const HfIndexFoot *foot);
guint64 hf_index_object_length(const HfIndexFoot *foot);

/* ---- Filter (format.md 8.1). `bytes` is a multiple of 64 above 0; the first 16 bytes of `id` count. ---- */
#define HF_FILTER_BLOCK_BYTES 64u
#define HF_FILTER_PROBES 6u
static inline gsize hf_filter_block(guint64 bytes, const guint8 *id)
{
  return (gsize)((unsigned __int128)hf_load_u64(id) * (bytes / HF_FILTER_BLOCK_BYTES) >> 64) * HF_FILTER_BLOCK_BYTES;
}
static inline void hf_filter_add(guint8 *filter, guint64 bytes, const guint8 *id)
{
  guint8 *block = filter + hf_filter_block(bytes, id);
  guint64 bits = hf_load_u64(id + 8);
  for (guint i = 0; i < HF_FILTER_PROBES; i++, bits >>= 9)
    block[bits >> 3 & 63] |= (guint8)(1u << (bits & 7));
}
static inline gboolean hf_filter_has(const guint8 *filter, guint64 bytes, const guint8 *id)
{
  const guint8 *block = filter + hf_filter_block(bytes, id);
  guint64 bits = hf_load_u64(id + 8);
  for (guint i = 0; i < HF_FILTER_PROBES; i++, bits >>= 9)
    if ((block[bits >> 3 & 63] >> (bits & 7) & 1) == 0)
      return FALSE;
  return TRUE;
}
guint64 hf_filter_bytes(guint64 entries); /* about 10 bits an entry, at least one block */
