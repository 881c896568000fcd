/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Blocks of objects in memory, the one used longest ago given up first. One table holds all entries: the blocks of an
 * object, and its size, which is needed to know how far the last block reaches.
 * Objects are immutable, so an entry cannot be wrong; names that may hold other bytes later are not kept at all.
 */
#include <string.h>

#include "base/error.h"
#include "storage/wrap/pass.h"
#include "storage/wrap/wrap.h"

#define BLOCK_BYTES (64 * 1024)
#define LONGEST_READ (4 * 1024 * 1024)
#define INDEX_OF_SIZE G_MAXUINT64
/* What the tables cost for one entry, about. */
#define ENTRY_OVERHEAD 64

typedef struct Entry {
  GList link; /* the youngest first */
  char *name;
  guint64 index; /* of the block, or INDEX_OF_SIZE */
  guint64 size;  /* bytes of the block, or of the object */
  guint8 bytes[];
} Entry;

typedef struct Cache {
  HfPass pass;
  gsize limit;
  GMutex mutex; /* guards everything below */
  GHashTable *entries; /* a set of Entry by name and index */
  GQueue by_age;
  gsize used;
  guint drops; /* objects removed so far: what was fetched across one is not kept */
} Cache;

/* A range being read. */
typedef struct Range {
  const char *name;
  guint64 size; /* of the object */
  guint64 offset;
  guint8 *bytes;
  gsize length;
  guint drops;
} Range;

/* ---- The table. ---- */

static guint entry_hash(gconstpointer key)
{
  const Entry *entry = key;
  return g_str_hash(entry->name) ^ (guint)(entry->index * 2654435761U);
}

static gboolean entry_equal(gconstpointer a, gconstpointer b)
{
  const Entry *first = a, *second = b;
  return first->index == second->index && g_str_equal(first->name, second->name);
}

static gsize entry_cost(const Entry *entry)
{
  gsize bytes = entry->index == INDEX_OF_SIZE ? 0 : (gsize)entry->size;
  return sizeof *entry + ENTRY_OVERHEAD + strlen(entry->name) + bytes;
}

static Entry *find_locked(Cache *cache, const char *name, guint64 index)
{
  Entry key = { .name = (char *)name, .index = index };
  Entry *entry = g_hash_table_lookup(cache->entries, &key);
  if (entry != NULL) {
    g_queue_unlink(&cache->by_age, &entry->link);
    g_queue_push_head_link(&cache->by_age, &entry->link);
  }
  return entry;
}

static void drop_locked(Cache *cache, Entry *entry)
{
  g_hash_table_remove(cache->entries, entry);
  g_queue_unlink(&cache->by_age, &entry->link);
  cache->used -= entry_cost(entry);
  g_free(entry->name);
  g_free(entry);
}

static void drop_object(Cache *cache, const char *name)
{
  HF_LOCK(&cache->mutex);
  cache->drops++;
  for (GList *link = cache->by_age.head; link != NULL;) {
    Entry *entry = link->data;
    link = link->next;
    if (g_str_equal(entry->name, name))
      drop_locked(cache, entry);
  }
}

/* Keeps a block (`bytes`) or a size (NULL). Memory that is short means that nothing is kept. */
static void keep_locked(Cache *cache, const char *name, guint64 index, const guint8 *bytes, guint64 size)
{
  if (find_locked(cache, name, index) != NULL)
    return;
  gsize length = bytes == NULL ? 0 : (gsize)size;
  Entry *entry = g_try_malloc(sizeof *entry + length);
  if (entry == NULL)
    return;
  *entry = (Entry){ .link = { .data = entry }, .name = g_strdup(name), .index = index, .size = size };
  if (length > 0)
    memcpy(entry->bytes, bytes, length);
  g_hash_table_add(cache->entries, entry);
  g_queue_push_head_link(&cache->by_age, &entry->link);
  cache->used += entry_cost(entry);
  while (cache->used > cache->limit)
    drop_locked(cache, cache->by_age.tail->data);
}

/* ---- Reading. ---- */

/* Copies what a block and the range have in common. */
static void copy_common(const Range *range, guint64 index, const guint8 *block, gsize block_length)
{
  guint64 start = index * BLOCK_BYTES;
  guint64 from = MAX(start, range->offset);
  guint64 to = MIN(start + block_length, range->offset + range->length);
  memcpy(range->bytes + (from - range->offset), block + (from - start), (gsize)(to - from));
}

static gboolean copy_kept(Cache *cache, const Range *range, guint64 index)
{
  HF_LOCK(&cache->mutex);
  Entry *entry = find_locked(cache, range->name, index);
  if (entry != NULL)
    copy_common(range, index, entry->bytes, (gsize)entry->size);
  return entry != NULL;
}

static gboolean is_kept(Cache *cache, const Range *range, guint64 index)
{
  HF_LOCK(&cache->mutex);
  return find_locked(cache, range->name, index) != NULL;
}

/* Fetches the blocks `first` to `last` in one read, hands out what the range wants of them, and keeps them. */
static gboolean fetch(Cache *cache, const Range *range, guint64 first, guint64 last, GError **error)
{
  guint64 start = first * BLOCK_BYTES;
  gsize length = (gsize)(MIN((last + 1) * BLOCK_BYTES, range->size) - start);
  g_autofree guint8 *bytes = g_try_malloc(length);
  if (bytes == NULL)
    return hf_fail(error, HF_ERROR_FAILED, "cannot read object '%s': out of memory", range->name);
  if (!hf_pass_get(&cache->pass.store, range->name, start, bytes, length, error))
    return FALSE;
  HF_LOCK(&cache->mutex);
  for (guint64 index = first; index <= last; index++) {
    const guint8 *block = bytes + (index - first) * BLOCK_BYTES;
    gsize block_length = (gsize)MIN(BLOCK_BYTES, range->size - index * BLOCK_BYTES);
    copy_common(range, index, block, block_length);
    if (range->drops == cache->drops)
      keep_locked(cache, range->name, index, block, block_length);
  }
  return TRUE;
}

static gboolean read_blocks(Cache *cache, const Range *range, GError **error)
{
  guint64 last = (range->offset + range->length - 1) / BLOCK_BYTES;
  for (guint64 index = range->offset / BLOCK_BYTES; index <= last; index++) {
    if (copy_kept(cache, range, index))
      continue;
    guint64 first = index;
    while (index < last && !is_kept(cache, range, index + 1))
      index++;
    if (!fetch(cache, range, first, index, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean ask_size(Cache *cache, const char *name, guint64 *size, GError **error)
{
  g_mutex_lock(&cache->mutex);
  guint drops = cache->drops;
  g_mutex_unlock(&cache->mutex);
  if (!hf_pass_size(&cache->pass.store, name, size, error))
    return FALSE;
  HF_LOCK(&cache->mutex);
  if (drops == cache->drops && hf_store_name_keeps(name))
    keep_locked(cache, name, INDEX_OF_SIZE, NULL, *size);
  return TRUE;
}

static gboolean cache_size(HfStore *store, const char *name, guint64 *size, GError **error)
{
  return ask_size((Cache *)store, name, size, error);
}

/* Fills in range->size and range->drops. */
static gboolean find_size(Cache *cache, Range *range, GError **error)
{
  g_mutex_lock(&cache->mutex);
  range->drops = cache->drops;
  Entry *entry = find_locked(cache, range->name, INDEX_OF_SIZE);
  if (entry != NULL)
    range->size = entry->size;
  g_mutex_unlock(&cache->mutex);
  return entry != NULL || ask_size(cache, range->name, &range->size, error);
}

static gboolean cache_get(HfStore *store, const char *name, guint64 offset, void *bytes, gsize length, GError **error)
{
  Cache *cache = (Cache *)store;
  if (length > LONGEST_READ || length > cache->limit / 4 || !hf_store_name_keeps(name))
    return hf_pass_get(store, name, offset, bytes, length, error);
  Range range = { .name = name, .offset = offset, .bytes = bytes, .length = length };
  if (!find_size(cache, &range, error))
    return FALSE;
  if (offset + length <= range.size)
    return read_blocks(cache, &range, error);
  /* Damaged, or mended by another process since: the store decides. */
  drop_object(cache, name);
  return hf_pass_get(store, name, offset, bytes, length, error);
}

static gboolean cache_remove(HfStore *store, const char *name, GError **error)
{
  gboolean removed = hf_pass_remove(store, name, error);
  drop_object((Cache *)store, name);
  return removed;
}

static void cache_free(HfStore *store)
{
  Cache *cache = (Cache *)store;
  while (cache->by_age.tail != NULL)
    drop_locked(cache, cache->by_age.tail->data);
  g_hash_table_unref(cache->entries);
  g_mutex_clear(&cache->mutex);
  hf_pass_free(store);
}

static const HfStoreOps cache_ops = {
  .put_begin = hf_pass_put_begin,
  .put_write = hf_pass_put_write,
  .put_read = hf_pass_put_read,
  .put_commit = hf_pass_put_commit,
  .put_free = hf_pass_put_free,
  .get = cache_get,
  .size = cache_size,
  .list = hf_pass_list,
  .remove = cache_remove,
  .free = cache_free,
  .usage = hf_pass_usage,
  .held = hf_pass_held,
  .sink_open = hf_pass_sink_open,
};

HfStore *hf_wrap_cache(HfStore *inner, gsize bytes)
{
  Cache *cache = g_new0(Cache, 1);
  hf_pass_init(&cache->pass, &cache_ops, inner);
  g_mutex_init(&cache->mutex);
  cache->limit = bytes;
  cache->entries = g_hash_table_new(entry_hash, entry_equal);
  g_queue_init(&cache->by_age);
  return &cache->pass.store;
}
