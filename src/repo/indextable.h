/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The part of the index that is in memory: claimed ids, blobs of packs that this process finished, blobs of packs that no
 * run names. Open addressing, 64 bytes an entry, several entries may have one id. Not thread-safe: index.c locks.
 */
#pragma once

#include "crypto/crypto.h"

#define HF_TABLE_NO_PACK G_MAXUINT32

typedef struct HfTableEntry {
  HfId id;
  guint32 domain;
  guint32 pack;   /* number in the index's list of packs; HF_TABLE_NO_PACK: claimed, not yet durable */
  guint32 offset, stored_length;
  guint16 blob;
  guint8 used, own; /* own: stored by this process */
} HfTableEntry;

typedef struct HfTable {
  HfTableEntry *entries;
  gsize capacity, used; /* capacity is a power of two, or 0 */
  gsize durable;        /* entries with a pack */
} HfTable;

void hf_table_clear(HfTable *table);
/* The first entry with `id` in `domain` (previous NULL), or the next after `previous`; NULL when there is none. */
HfTableEntry *hf_table_find(const HfTable *table, guint32 domain, const HfId *id, const HfTableEntry *previous);
/* Adds a copy. */
void hf_table_add(HfTable *table, const HfTableEntry *entry);
/* Takes all durable entries out, as a new array of HfTableEntry; claimed ones stay. */
GArray *hf_table_take_durable(HfTable *table);
guint64 hf_table_memory(const HfTable *table);
