/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/blobcache.h"

#include <string.h>

#include "base/error.h"
#include "repo/parity.h"

typedef struct SessionKeys {
  HfShortId session;
  const HfKey *data_key, *meta_key; /* the keyring's */
} SessionKeys;

struct HfBlobCache {
  HfRepo *repo; /* borrowed */
  gsize limit;
  GMutex lock; /* guards everything down to `mending` */
  GHashTable *frames; /* set of HfCachedFrame, by place */
  GQueue order;       /* the one used last comes first */
  gsize bytes;
  GHashTable *sessions; /* set of SessionKeys */
  GHashTable *warned;   /* set of HfShortId */
  GMutex mending; /* taken before `lock`; guards everything below: a pack is mended once, by one thread */
  GHashTable *hopeless; /* set of HfShortId */
  HfShortId mended_pack;
  GBytes *mended;
};

/* ---- Frames. ---- */

HfCachedFrame *hf_cached_frame_new(const HfShortId *pack, guint32 offset)
{
  HfCachedFrame *frame = g_new0(HfCachedFrame, 1);
  frame->refs = 1;
  frame->pack = *pack;
  frame->offset = offset;
  hf_opened_init(&frame->opened);
  return frame;
}

void hf_cached_frame_unref(HfCachedFrame *frame)
{
  if (frame == NULL || !g_atomic_int_dec_and_test(&frame->refs))
    return;
  hf_opened_clear(&frame->opened);
  hf_buffer_clear(&frame->prefix);
  g_free(frame->ids);
  g_free(frame->known);
  g_free(frame);
}

static guint frame_hash(gconstpointer key)
{
  const HfCachedFrame *frame = key;
  return hf_id_hash(&frame->pack) ^ (frame->offset * 2654435761u);
}

static gboolean frame_equal(gconstpointer a, gconstpointer b)
{
  const HfCachedFrame *one = a, *other = b;
  return one->offset == other->offset && hf_short_id_equal(&one->pack, &other->pack);
}

static gsize frame_bytes(const HfCachedFrame *frame)
{
  gsize a_blob = sizeof(HfGroupItem) + sizeof(gsize) + 2 * sizeof(guint32) + sizeof(HfId) + 1;
  return sizeof *frame + frame->opened.plain.length + frame->prefix.length + frame->opened.blobs * a_blob +
         frame->opened.refs->len * sizeof(HfId);
}

/* ---- The cache. ---- */

HfBlobCache *hf_blob_cache_new(HfRepo *repo, gsize bytes)
{
  HfBlobCache *cache = g_new0(HfBlobCache, 1);
  cache->repo = repo;
  cache->limit = bytes;
  g_mutex_init(&cache->lock);
  g_mutex_init(&cache->mending);
  g_queue_init(&cache->order);
  cache->frames = g_hash_table_new(frame_hash, frame_equal);
  cache->sessions = g_hash_table_new_full(hf_id_hash, hf_short_id_equal_func, g_free, NULL);
  cache->warned = g_hash_table_new_full(hf_id_hash, hf_short_id_equal_func, g_free, NULL);
  cache->hopeless = g_hash_table_new_full(hf_id_hash, hf_short_id_equal_func, g_free, NULL);
  return cache;
}

static void drop_oldest_locked(HfBlobCache *cache)
{
  GList *last = g_queue_pop_tail_link(&cache->order);
  HfCachedFrame *frame = last->data;
  g_hash_table_remove(cache->frames, frame);
  cache->bytes -= frame->bytes;
  hf_cached_frame_unref(frame);
}

void hf_blob_cache_free(HfBlobCache *cache)
{
  if (cache == NULL)
    return;
  while (!g_queue_is_empty(&cache->order))
    drop_oldest_locked(cache);
  g_hash_table_unref(cache->frames);
  g_hash_table_unref(cache->sessions);
  g_hash_table_unref(cache->warned);
  g_hash_table_unref(cache->hopeless);
  g_clear_pointer(&cache->mended, g_bytes_unref);
  g_mutex_clear(&cache->lock);
  g_mutex_clear(&cache->mending);
  g_free(cache);
}

HfRepo *hf_cache_repo(HfBlobCache *cache)
{
  return cache->repo;
}

HfCachedFrame *hf_cache_find(HfBlobCache *cache, const HfShortId *pack, guint32 offset)
{
  HfCachedFrame wanted = { .pack = *pack, .offset = offset };
  HF_LOCK(&cache->lock);
  HfCachedFrame *frame = g_hash_table_lookup(cache->frames, &wanted);
  if (frame == NULL)
    return NULL;
  g_queue_unlink(&cache->order, &frame->link);
  g_queue_push_head_link(&cache->order, &frame->link);
  g_atomic_int_inc(&frame->refs);
  return frame;
}

void hf_cache_add(HfBlobCache *cache, HfCachedFrame *frame)
{
  frame->bytes = frame_bytes(frame);
  if (frame->bytes > cache->limit / 4)
    return;
  HF_LOCK(&cache->lock);
  if (g_hash_table_contains(cache->frames, frame))
    return; /* another thread was faster */
  while (cache->bytes + frame->bytes > cache->limit)
    drop_oldest_locked(cache);
  g_atomic_int_inc(&frame->refs);
  frame->link.data = frame;
  g_queue_push_head_link(&cache->order, &frame->link);
  g_hash_table_add(cache->frames, frame);
  cache->bytes += frame->bytes;
}

gboolean hf_cache_known_id(HfBlobCache *cache, HfCachedFrame *frame, guint blob, HfId *id)
{
  HF_LOCK(&cache->lock);
  if (frame->known == NULL || !frame->known[blob])
    return FALSE;
  *id = frame->ids[blob];
  return TRUE;
}

void hf_cache_note_id(HfBlobCache *cache, HfCachedFrame *frame, guint blob, const HfId *id)
{
  HF_LOCK(&cache->lock);
  if (frame->known == NULL) {
    frame->known = g_new0(guint8, frame->opened.blobs);
    frame->ids = g_new(HfId, frame->opened.blobs);
  }
  frame->ids[blob] = *id;
  frame->known[blob] = TRUE;
}

/* ---- Keys. ---- */

gboolean hf_cache_keys(HfBlobCache *cache, const HfShortId *session, const HfKey **data_key, const HfKey **meta_key)
{
  HF_LOCK(&cache->lock);
  const SessionKeys *keys = g_hash_table_lookup(cache->sessions, session);
  if (keys == NULL)
    return FALSE;
  *data_key = keys->data_key;
  *meta_key = keys->meta_key;
  return TRUE;
}

void hf_cache_note_keys(HfBlobCache *cache, const HfShortId *session, const HfKey *data_key, const HfKey *meta_key)
{
  SessionKeys *keys = g_new(SessionKeys, 1);
  *keys = (SessionKeys){ *session, data_key, meta_key };
  HF_LOCK(&cache->lock);
  g_hash_table_add(cache->sessions, keys);
}

/* ---- Damage. ---- */

gboolean hf_cache_is_damage(const GError *why)
{
  return hf_error_is(why, HF_ERROR_DAMAGED) || hf_error_is(why, HF_ERROR_INVALID) || hf_error_is(why, HF_ERROR_IO) ||
         hf_error_is(why, HF_ERROR_NOT_FOUND);
}

static gboolean add_pack(GHashTable *set, const HfShortId *pack)
{
  return g_hash_table_add(set, g_memdup2(pack, sizeof *pack));
}

gboolean hf_cache_first_warning(HfBlobCache *cache, const HfShortId *pack)
{
  HF_LOCK(&cache->lock);
  return add_pack(cache->warned, pack);
}

/* `mending` is held. TRUE with `cache->mended` when parity gave the pack back. */
static gboolean mend_locked(HfBlobCache *cache, const HfShortId *pack, GError **error)
{
  g_autoptr(GError) why = NULL;
  HfParityResult result = { 0 };
  if (hf_parity_check(cache->repo->store, pack, TRUE, &result, &why) && result.mended != NULL) {
    g_clear_pointer(&cache->mended, g_bytes_unref);
    cache->mended = g_steal_pointer(&result.mended);
    cache->mended_pack = *pack;
    return TRUE;
  }
  if (why != NULL && !hf_cache_is_damage(why)) {
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
  }
  add_pack(cache->hopeless, pack);
  return hf_fail(error, HF_ERROR_DAMAGED, "there is no parity that mends it");
}

GBytes *hf_cache_mended(HfBlobCache *cache, const HfShortId *pack, GError **error)
{
  HF_LOCK(&cache->mending);
  if (g_hash_table_contains(cache->hopeless, pack)) {
    hf_fail(error, HF_ERROR_DAMAGED, "there is no parity that mends it");
    return NULL;
  }
  gboolean at_hand = cache->mended != NULL && hf_short_id_equal(&cache->mended_pack, pack);
  return at_hand || mend_locked(cache, pack, error) ? g_bytes_ref(cache->mended) : NULL;
}
