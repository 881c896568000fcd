/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The part of the index that is in memory: claimed ids, blobs of packs that this process finished, blobs of packs that
 * no run names. Open addressing, 64 bytes an entry, several entries may have one id. Not thread-safe: index.c locks.
 */
#pragma once

#include "crypto/crypto.h"

#define HF_TABLE_NO_PACK G_MAXUINT32

typedef struct HfIndexTableEntry {
  HfId id;
  guint32 domain;
  guint32 pack;   /* number in the index's list of packs; HF_TABLE_NO_PACK: claimed, not yet durable */
  guint32 offset, stored_length;
  guint16 blob;
  guint8 used, own; /* own: stored by this process */
} HfIndexTableEntry;

typedef struct HfIndexTable {
  HfIndexTableEntry *entries;
  gsize capacity, used; /* capacity is a power of two, or 0 */
  gsize durable;        /* entries with a pack */
} HfIndexTable;

void hf_index_table_clear(HfIndexTable *table);
/* The first entry with `id` in `domain` (previous NULL), or the next after `previous`; NULL when there is none. */
HfIndexTableEntry *hf_index_table_find(const HfIndexTable *table, guint32 domain, const HfId *id,
                                       const HfIndexTableEntry *previous);
/* Adds a copy. */
void hf_index_table_add(HfIndexTable *table, const HfIndexTableEntry *entry);
/* Takes all durable entries out, as a new array of HfIndexTableEntry; claimed ones stay. */
GArray *hf_index_table_take_durable(HfIndexTable *table);
/* Takes all claimed entries out. */
void hf_index_table_drop_claims(HfIndexTable *table);
guint64 hf_index_table_memory(const HfIndexTable *table);
