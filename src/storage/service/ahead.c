/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Listings that came with the answer to something else. What a listing says was true when the service answered: who
 * uses it within SECONDS could have asked then, and would have been told the same. What this store changes itself is
 * never told from here (hf_ahead_forget).
 *
 * Marks: a listing of "gc/" that came with a session's `open` was made when that was there. A mark that comes later
 * waits for that session, so that not knowing it does no harm (repo/session.h E2).
 */
#include <string.h>

#include "base/work.h"
#include "storage/service/private.h"

#define SECONDS 20

typedef struct Early {
  GPtrArray *pieces; /* of GBytes* */
  gboolean once;     /* `pieces` are given away when they are taken */
  gint64 came;       /* monotonic microseconds */
} Early;

struct HfAhead {
  GMutex lock;
  GHashTable *listings; /* prefix to Early */
};

static void early_free(gpointer data)
{
  Early *early = data;
  g_ptr_array_unref(early->pieces);
  g_free(early);
}

HfAhead *hf_ahead_new(void)
{
  HfAhead *ahead = g_new0(HfAhead, 1);
  g_mutex_init(&ahead->lock);
  ahead->listings = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, early_free);
  return ahead;
}

void hf_ahead_free(HfAhead *ahead)
{
  g_hash_table_unref(ahead->listings);
  g_mutex_clear(&ahead->lock);
  g_free(ahead);
}

void hf_ahead_keep(HfAhead *ahead, const char *prefix, GPtrArray *pieces, gboolean once)
{
  Early *early = g_new0(Early, 1);
  early->pieces = g_ptr_array_ref(pieces);
  early->once = once;
  early->came = g_get_monotonic_time();
  HF_LOCK(&ahead->lock);
  g_hash_table_replace(ahead->listings, g_strdup(prefix), early);
}

GPtrArray *hf_ahead_take(HfAhead *ahead, const char *prefix)
{
  HF_LOCK(&ahead->lock);
  Early *early = g_hash_table_lookup(ahead->listings, prefix);
  if (early == NULL)
    return NULL;
  gboolean old = g_get_monotonic_time() - early->came >= SECONDS * G_USEC_PER_SEC;
  GPtrArray *pieces = old ? NULL : g_ptr_array_ref(early->pieces);
  if (old || early->once)
    g_hash_table_remove(ahead->listings, prefix);
  return pieces;
}

static gboolean covers(gpointer prefix, gpointer early G_GNUC_UNUSED, gpointer name)
{
  return g_str_has_prefix(name, prefix);
}

static gboolean tells_of(const Early *early, const char *name)
{
  for (guint i = 0; i < early->pieces->len; i++) {
    g_auto(HfVaultListing) listing = { 0 };
    if (!hf_vault_listing_decode(early->pieces->pdata[i], &listing, NULL))
      continue;
    for (guint k = 0; k < listing.n_entries; k++)
      if (g_str_equal(listing.entries[k].name, name))
        return TRUE;
  }
  return FALSE;
}

static gboolean misleads(gpointer prefix, gpointer early, gpointer name)
{
  return g_str_has_prefix(name, prefix) && tells_of(early, name);
}

void hf_ahead_missing(HfAhead *ahead, const char *name)
{
  HF_LOCK(&ahead->lock);
  g_hash_table_foreach_remove(ahead->listings, misleads, (gpointer)name);
}

void hf_ahead_forget(HfAhead *ahead, const char *name)
{
  HF_LOCK(&ahead->lock);
  g_hash_table_foreach_remove(ahead->listings, covers, (gpointer)name);
}
