/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/indextable.h"

#include <string.h>

static gsize first_slot(const HfIndexTable *table, const HfId *id)
{
  gsize hash;
  memcpy(&hash, id->b, sizeof hash); /* ids are keyed hashes: any bytes of them will do */
  return hash & (table->capacity - 1);
}

void hf_index_table_clear(HfIndexTable *table)
{
  g_free(table->entries);
  *table = (HfIndexTable){ 0 };
}

HfIndexTableEntry *hf_index_table_find(const HfIndexTable *table, guint32 domain, const HfId *id,
                                       const HfIndexTableEntry *previous)
{
  if (table->capacity == 0)
    return NULL;
  gsize at = previous ? ((gsize)(previous - table->entries) + 1) & (table->capacity - 1) : first_slot(table, id);
  for (; table->entries[at].used; at = (at + 1) & (table->capacity - 1)) {
    HfIndexTableEntry *entry = &table->entries[at];
    if (entry->domain == domain && hf_id_equal(&entry->id, id))
      return entry;
  }
  return NULL;
}

static void insert(HfIndexTable *table, const HfIndexTableEntry *entry)
{
  gsize at = first_slot(table, &entry->id);
  while (table->entries[at].used)
    at = (at + 1) & (table->capacity - 1);
  table->entries[at] = *entry;
  table->entries[at].used = 1;
}

static void resize(HfIndexTable *table, gsize capacity)
{
  HfIndexTable old = *table;
  table->entries = g_new0(HfIndexTableEntry, capacity);
  table->capacity = capacity;
  for (gsize i = 0; i < old.capacity; i++)
    if (old.entries[i].used)
      insert(table, &old.entries[i]);
  g_free(old.entries);
}

void hf_index_table_add(HfIndexTable *table, const HfIndexTableEntry *entry)
{
  if ((table->used + 1) * 4 > table->capacity * 3)
    resize(table, table->capacity ? table->capacity * 2 : 1024);
  insert(table, entry);
  table->used++;
  table->durable += entry->pack != HF_TABLE_NO_PACK;
}

GArray *hf_index_table_take_durable(HfIndexTable *table)
{
  GArray *taken = g_array_sized_new(FALSE, FALSE, sizeof(HfIndexTableEntry), (guint)table->durable);
  HfIndexTable rest = { 0 };
  for (gsize i = 0; i < table->capacity; i++) {
    const HfIndexTableEntry *entry = &table->entries[i];
    if (!entry->used)
      continue;
    if (entry->pack == HF_TABLE_NO_PACK)
      hf_index_table_add(&rest, entry);
    else
      g_array_append_vals(taken, entry, 1);
  }
  hf_index_table_clear(table);
  *table = rest;
  return taken;
}

void hf_index_table_drop_claims(HfIndexTable *table)
{
  HfIndexTable rest = { 0 };
  for (gsize i = 0; i < table->capacity; i++)
    if (table->entries[i].used && table->entries[i].pack != HF_TABLE_NO_PACK)
      hf_index_table_add(&rest, &table->entries[i]);
  hf_index_table_clear(table);
  *table = rest;
}

guint64 hf_index_table_memory(const HfIndexTable *table)
{
  return table->capacity * sizeof(HfIndexTableEntry);
}
