/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "engine/backup/lists.h"

#include "chunk/cut.h"

typedef struct Level {
  GByteArray *payload;
  GArray *refs; /* of HfId */
  guint items;
  guint64 length; /* bytes of the file covered */
  guint stored;   /* nodes of this level that were stored */
} Level;

struct HfListBuilder {
  HfBlobWriter *writer; /* borrowed */
  GPtrArray *levels;    /* of Level* */
  guint64 length;
};

static void level_free(gpointer data)
{
  Level *level = data;
  g_byte_array_unref(level->payload);
  g_array_unref(level->refs);
  g_free(level);
}

static void level_reset(Level *level, guint8 number)
{
  g_byte_array_set_size(level->payload, 0);
  g_array_set_size(level->refs, 0);
  level->items = 0;
  level->length = 0;
  hf_list_begin(level->payload, number);
}

static Level *level_at(HfListBuilder *builder, guint number)
{
  if (number < builder->levels->len)
    return builder->levels->pdata[number];
  Level *level = g_new0(Level, 1);
  level->payload = g_byte_array_new();
  level->refs = g_array_new(FALSE, FALSE, sizeof(HfId));
  level_reset(level, (guint8)number);
  g_ptr_array_add(builder->levels, level);
  return level;
}

HfListBuilder *hf_list_builder_new(HfBlobWriter *writer)
{
  HfListBuilder *builder = g_new0(HfListBuilder, 1);
  builder->writer = writer;
  builder->levels = g_ptr_array_new_with_free_func(level_free);
  return builder;
}

void hf_list_builder_free(HfListBuilder *builder)
{
  if (!builder)
    return;
  g_ptr_array_unref(builder->levels);
  g_free(builder);
}

static gboolean store_level(HfListBuilder *builder, guint number, HfListItem *item, GError **error)
{
  Level *level = level_at(builder, number);
  *item = (HfListItem){ .length = level->length };
  if (!hf_blob_write(builder->writer, HF_BLOB_LIST, (const HfId *)(void *)level->refs->data, level->refs->len,
                     level->payload->data, level->payload->len, &item->ref, NULL, error))
    return FALSE;
  level->stored++;
  level_reset(level, (guint8)number);
  return TRUE;
}

static gboolean add_at(HfListBuilder *builder, guint number, const HfListItem *item, GError **error)
{
  HfListItem current = *item;
  for (;; number++) {
    Level *level = level_at(builder, number);
    hf_list_add(level->payload, level->refs, (guint8)number, &current);
    level->items++;
    level->length += current.length;
    gboolean cut = level->items >= HF_CUT_MAXIMUM ||
                   (level->items >= HF_CUT_MINIMUM && !current.hole && hf_id_is_cut(current.ref.b, number));
    if (!cut)
      return TRUE;
    if (!store_level(builder, number, &current, error))
      return FALSE;
  }
}

gboolean hf_list_builder_add(HfListBuilder *builder, const HfListItem *item, GError **error)
{
  builder->length += item->length;
  return add_at(builder, 0, item, error);
}

guint64 hf_list_builder_length(const HfListBuilder *builder)
{
  return builder->length;
}

gboolean hf_list_builder_part(const HfListBuilder *builder, HfBlobWriter *writer, HfId *top, GError **error)
{
  g_autoptr(HfListBuilder) copy = hf_list_builder_new(writer);
  for (guint i = 0; i < builder->levels->len; i++) {
    const Level *from = builder->levels->pdata[i];
    Level *level = level_at(copy, i);
    g_byte_array_set_size(level->payload, 0);
    g_byte_array_append(level->payload, from->payload->data, from->payload->len);
    g_array_append_vals(level->refs, from->refs->data, from->refs->len);
    level->items = from->items;
    level->length = from->length;
    level->stored = from->stored;
  }
  return hf_list_builder_finish(copy, top, error);
}

gboolean hf_list_builder_finish(HfListBuilder *builder, HfId *top, GError **error)
{
  for (guint number = 0;; number++) {
    Level *level = level_at(builder, number);
    HfListItem item;
    /* One node on this level, all told: it is the top; a level above with this one node alone would say nothing. */
    if (level->stored == 1 && level->items == 0) {
      const Level *above = level_at(builder, number + 1);
      *top = g_array_index(above->refs, HfId, 0);
      return TRUE;
    }
    if (level->items == 0)
      continue;
    gboolean last = level->stored == 0;
    if (!store_level(builder, number, &item, error))
      return FALSE;
    if (last) {
      *top = item.ref;
      return TRUE;
    }
    if (!add_at(builder, number + 1, &item, error))
      return FALSE;
  }
}

static gboolean store_nodes(HfBlobWriter *writer, guint8 level, const HfNodeItem *items, guint count, GArray *above,
                            GError **error)
{
  g_autoptr(GByteArray) payload = g_byte_array_new();
  g_autoptr(GArray) refs = g_array_new(FALSE, FALSE, sizeof(HfId));
  guint held = 0;
  guint64 entries = 0;
  for (guint i = 0; i < count; i++) {
    if (held == 0)
      hf_node_begin(payload, level);
    hf_node_add(payload, refs, &items[i]);
    entries += items[i].entries;
    held++;
    gboolean cut = held >= HF_CUT_MAXIMUM || payload->len >= HF_PAGE_FULL_BYTES ||
                   (held >= HF_CUT_MINIMUM &&
                    hf_name_is_cut(items[i].last_name.data, items[i].last_name.length, level));
    if (!cut && i + 1 < count)
      continue;
    HfNodeItem node = { .last_name = items[i].last_name, .entries = entries };
    if (!hf_blob_write(writer, HF_BLOB_PAGE, (const HfId *)(void *)refs->data, refs->len, payload->data, payload->len,
                       &node.ref, NULL, error))
      return FALSE;
    g_array_append_val(above, node);
    g_byte_array_set_size(payload, 0);
    g_array_set_size(refs, 0);
    held = 0;
    entries = 0;
  }
  return TRUE;
}

gboolean hf_nodes_store(HfBlobWriter *writer, const HfNodeItem *pages, guint count, HfId *top, GError **error)
{
  g_autoptr(GArray) below = g_array_new(FALSE, FALSE, sizeof(HfNodeItem));
  g_array_append_vals(below, pages, count);
  for (guint8 level = 1; below->len > 1; level++) {
    g_autoptr(GArray) above = g_array_new(FALSE, FALSE, sizeof(HfNodeItem));
    if (!store_nodes(writer, level, (const HfNodeItem *)(void *)below->data, below->len, above, error))
      return FALSE;
    g_array_unref(below);
    below = g_steal_pointer(&above);
  }
  *top = g_array_index(below, HfNodeItem, 0).ref;
  return TRUE;
}
