/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/indextable.h"

#include <string.h>

static gsize first_slot(const HfTable *table, const HfId *id)
{
  gsize hash;
  memcpy(&hash, id->b, sizeof hash); /* ids are keyed hashes: any bytes of them will do */
  return hash & (table->capacity - 1);
}

void hf_table_clear(HfTable *table)
{
  g_free(table->entries);
  *table = (HfTable){ 0 };
}

HfTableEntry *hf_table_find(const HfTable *table, guint32 domain, const HfId *id, const HfTableEntry *previous)
{
  if (table->capacity == 0)
    return NULL;
  gsize at = previous ? ((gsize)(previous - table->entries) + 1) & (table->capacity - 1) : first_slot(table, id);
  for (; table->entries[at].used; at = (at + 1) & (table->capacity - 1)) {
    HfTableEntry *entry = &table->entries[at];
    if (entry->domain == domain && hf_id_equal(&entry->id, id))
      return entry;
  }
  return NULL;
}

static void insert(HfTable *table, const HfTableEntry *entry)
{
  gsize at = first_slot(table, &entry->id);
  while (table->entries[at].used)
    at = (at + 1) & (table->capacity - 1);
  table->entries[at] = *entry;
  table->entries[at].used = 1;
}

static void resize(HfTable *table, gsize capacity)
{
  HfTable old = *table;
  table->entries = g_new0(HfTableEntry, capacity);
  table->capacity = capacity;
  for (gsize i = 0; i < old.capacity; i++)
    if (old.entries[i].used)
      insert(table, &old.entries[i]);
  g_free(old.entries);
}

void hf_table_add(HfTable *table, const HfTableEntry *entry)
{
  if ((table->used + 1) * 4 > table->capacity * 3)
    resize(table, table->capacity ? table->capacity * 2 : 1024);
  insert(table, entry);
  table->used++;
  table->durable += entry->pack != HF_TABLE_NO_PACK;
}

GArray *hf_table_take_durable(HfTable *table)
{
  GArray *taken = g_array_sized_new(FALSE, FALSE, sizeof(HfTableEntry), (guint)table->durable);
  HfTable rest = { 0 };
  for (gsize i = 0; i < table->capacity; i++) {
    const HfTableEntry *entry = &table->entries[i];
    if (!entry->used)
      continue;
    if (entry->pack == HF_TABLE_NO_PACK)
      hf_table_add(&rest, entry);
    else
      g_array_append_vals(taken, entry, 1);
  }
  hf_table_clear(table);
  *table = rest;
  return taken;
}

guint64 hf_table_memory(const HfTable *table)
{
  return table->capacity * sizeof(HfTableEntry);
}
