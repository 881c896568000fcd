/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Private to reader.c and blobcache.c: what all readers of a repository share. Opened frames used last, tables of rows
 * used last, keys of sessions, and what is known of damage. All functions are thread-safe.
 */
#pragma once

#include "repo/reader.h"

/* An opened group, or prefix and clear section of a row. Immutable once it was added to the cache, but for `ids`. */
typedef struct HfCachedFrame {
  gint refs; /* atomic */
  HfShortId pack;
  guint32 offset;
  HfOpened opened;
  HfBuffer prefix; /* rows only, */
  HfId block;      /* of this block; `opened` is empty then */
  HfId *ids;       /* of each blob, where `known`: computed by us from what is here; under the cache's lock */
  guint8 *known;
  gsize bytes;
  GList link; /* in the order of use; data NULL: not in the cache */
} HfCachedFrame;

HfCachedFrame *hf_cached_frame_new(const HfShortId *pack, guint32 offset);
void hf_cached_frame_unref(HfCachedFrame *frame);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfCachedFrame, hf_cached_frame_unref)

HfRepo *hf_cache_repo(HfBlobCache *cache);
/* A new reference, or NULL. */
HfCachedFrame *hf_cache_find(HfBlobCache *cache, const HfShortId *pack, guint32 offset);
/* Frames that would take more than a quarter of the cache are not kept. The caller's reference stays. */
void hf_cache_add(HfBlobCache *cache, HfCachedFrame *frame);
/* TRUE with the id of a blob that was computed before. */
gboolean hf_cache_known_id(HfBlobCache *cache, HfCachedFrame *frame, guint blob, HfId *id);
void hf_cache_note_id(HfBlobCache *cache, HfCachedFrame *frame, guint blob, const HfId *id);

/* Keys of a session: either may be NULL when the keyring does not give it. FALSE when they are not known. */
gboolean hf_cache_keys(HfBlobCache *cache, const HfShortId *session, const HfKey **data_key, const HfKey **meta_key);
void hf_cache_note_keys(HfBlobCache *cache, const HfShortId *session, const HfKey *data_key, const HfKey *meta_key);

/* Damage is what other ways are tried for. Anything else (no permission, no memory) is the caller's to know. */
gboolean hf_cache_is_damage(const GError *why);
/* TRUE the first time for each pack. */
gboolean hf_cache_first_warning(HfBlobCache *cache, const HfShortId *pack);
/* A damaged data pack as its parity gives it: the last one is kept, and hopeless ones are not tried again. Free with
 * g_bytes_unref. */
GBytes *hf_cache_mended(HfBlobCache *cache, const HfShortId *pack, GError **error);
