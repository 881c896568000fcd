/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "vdisk/maps.h"

#include <string.h>

#include "base/error.h"
#include "base/work.h"

typedef struct Map {
  gint references; /* atomic */
  guint8 level;
  guint64 number;  /* among the maps of its level */
  guint count;
  gint16 index[HF_MAP_FANOUT]; /* into ids; -1: zeros */
  HfId *ids;
  GList link;      /* in the order of use */
} Map;

struct HfMaps {
  gboolean has_top;
  HfId top;
  guint8 top_level;
  guint64 blocks;
  GMutex lock; /* guards everything below */
  GHashTable *known; /* set of Map, by level and number */
  GQueue order;      /* of Map; the one used last comes first */
};

/* ---- One map. ---- */

static void map_unref(Map *map)
{
  if (map == NULL || !g_atomic_int_dec_and_test(&map->references))
    return;
  g_free(map->ids);
  g_free(map);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Map, map_unref)

static guint map_hash(gconstpointer key)
{
  const Map *map = key;
  return (guint)(map->number * 2654435761u) ^ map->level;
}

static gboolean map_equal(gconstpointer a, gconstpointer b)
{
  const Map *one = a, *other = b;
  return one->level == other->level && one->number == other->number;
}

/* ---- All maps. ---- */

HfMaps *hf_maps_new(const HfEntry *disk)
{
  HfMaps *maps = g_new0(HfMaps, 1);
  maps->blocks = disk->size == 0 ? 0 : (disk->size - 1) / disk->block_size + 1;
  maps->top_level = hf_map_level(maps->blocks);
  maps->has_top = disk->content == HF_CONTENT_MAP;
  maps->top = disk->ref;
  maps->known = g_hash_table_new(map_hash, map_equal);
  g_mutex_init(&maps->lock);
  return maps;
}

static void drop_oldest_locked(HfMaps *maps)
{
  Map *map = g_queue_pop_tail_link(&maps->order)->data;
  g_hash_table_remove(maps->known, map);
  map_unref(map);
}

void hf_maps_free(HfMaps *maps)
{
  if (maps == NULL)
    return;
  while (maps->order.length > 0)
    drop_oldest_locked(maps);
  g_hash_table_unref(maps->known);
  g_mutex_clear(&maps->lock);
  g_free(maps);
}

static Map *find_known(HfMaps *maps, guint8 level, guint64 number)
{
  const Map wanted = { .level = level, .number = number };
  HF_LOCK(&maps->lock);
  Map *map = g_hash_table_lookup(maps->known, &wanted);
  if (map == NULL)
    return NULL;
  g_queue_unlink(&maps->order, &map->link);
  g_queue_push_head_link(&maps->order, &map->link);
  g_atomic_int_inc(&map->references);
  return map;
}

static void keep(HfMaps *maps, Map *map)
{
  HF_LOCK(&maps->lock);
  if (g_hash_table_contains(maps->known, map))
    return; /* another thread was faster */
  if (maps->order.length == HF_MAPS_KEPT)
    drop_oldest_locked(maps);
  g_atomic_int_inc(&map->references);
  map->link.data = map;
  g_queue_push_head_link(&maps->order, &map->link);
  g_hash_table_add(maps->known, map);
}

/* ---- Reading. ---- */

/* Blocks below one child of a map of `level`. */
static guint64 child_blocks(guint8 level)
{
  return G_GUINT64_CONSTANT(1) << (10 * level); /* HF_MAP_FANOUT to the power of level */
}

/* How many children map `number` of `level` has, by the size of the disk. */
static guint children_of(const HfMaps *maps, guint8 level, guint64 number)
{
  guint64 span = child_blocks(level), first = number * HF_MAP_FANOUT;
  guint64 all = (maps->blocks - 1) / span + 1;
  return (guint)MIN(all - first, HF_MAP_FANOUT);
}

static gboolean decode(const HfMaps *maps, const HfBlob *blob, Map *map, GError **error)
{
  gint32 index[HF_MAP_FANOUT];
  guint8 level;
  if (!hf_map_decode(blob->payload, blob->length, blob->ref_count, &level, &map->count, index, error))
    return FALSE;
  if (level != map->level || map->count != children_of(maps, map->level, map->number))
    return hf_fail(error, HF_ERROR_INVALID,
                   "a disk map of level %u with %u entries stands where one of level %u with %u "
                   "should", level, map->count, map->level, children_of(maps, map->level, map->number));
  for (guint i = 0; i < map->count; i++)
    map->index[i] = (gint16)index[i];
  map->ids = g_memdup2(blob->refs, blob->ref_count * sizeof(HfId));
  return TRUE;
}

/* A reference to the map, from memory or read anew as `id`. */
static Map *get(HfMaps *maps, HfBlobReader *reader, guint8 level, guint64 number, const HfId *id, GError **error)
{
  Map *known = find_known(maps, level, number);
  if (known != NULL)
    return known;
  g_auto(HfBlob) blob = { 0 };
  g_autoptr(Map) map = g_new0(Map, 1);
  map->references = 1;
  map->level = level;
  map->number = number;
  if (!hf_blob_read(reader, id, HF_BLOB_MAP, &blob, error) || !decode(maps, &blob, map, error))
    return NULL;
  keep(maps, map);
  return g_steal_pointer(&map);
}

static guint equal_children(const Map *map, guint slot)
{
  guint end = slot + 1;
  while (end < map->count && (map->index[end] < 0) == (map->index[slot] < 0))
    end++;
  return end - slot;
}

gboolean hf_maps_find(HfMaps *maps, HfBlobReader *reader, guint64 block, gboolean *zero, HfId *id, guint64 *run,
                      GError **error)
{
  *zero = !maps->has_top;
  *id = maps->top;
  if (*zero && run != NULL)
    *run = maps->blocks - block;
  for (guint8 level = maps->top_level; !*zero; level--) {
    guint64 span = child_blocks(level), child = block / span;
    g_autoptr(Map) map = get(maps, reader, level, child / HF_MAP_FANOUT, id, error);
    if (map == NULL)
      return FALSE;
    guint slot = (guint)(child % HF_MAP_FANOUT);
    *zero = map->index[slot] < 0;
    if (!*zero)
      *id = map->ids[map->index[slot]];
    if (run != NULL)
      *run = MIN(equal_children(map, slot) * span - block % span, maps->blocks - block);
    if (level == 0)
      break;
  }
  return TRUE;
}

/* Adds the blocks below a map that are not zeros; maps below it are read only while *budget allows. */
static gboolean count_below(HfMaps *maps, HfBlobReader *reader, guint8 level, guint64 number, const HfId *id,
                            guint *budget, guint64 *blocks, GError **error)
{
  g_autoptr(Map) map = get(maps, reader, level, number, id, error);
  if (map == NULL)
    return FALSE;
  for (guint i = 0; i < map->count; i++) {
    guint64 child = number * HF_MAP_FANOUT + i, span = child_blocks(level);
    if (map->index[i] < 0)
      continue;
    if (level == 0 || *budget == 0) {
      *blocks += MIN(span, maps->blocks - child * span);
    } else {
      --*budget;
      if (!count_below(maps, reader, level - 1, child, &map->ids[map->index[i]], budget, blocks, error))
        return FALSE;
    }
  }
  return TRUE;
}

gboolean hf_maps_count(HfMaps *maps, HfBlobReader *reader, guint64 *blocks, GError **error)
{
  guint budget = HF_MAPS_COUNTED;
  *blocks = 0;
  return !maps->has_top || count_below(maps, reader, maps->top_level, 0, &maps->top, &budget, blocks, error);
}
