/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Listings on their way. What a listing says is true when the service answered it: who uses it within SECONDS could have
 * asked then, and would have been told the same. Later ones are thrown away.
 */
#include "base/work.h"
#include "storage/service/private.h"

#define SECONDS 20

typedef struct Early {
  HfCall *call;
  gint64 asked; /* monotonic microseconds */
} Early;

struct HfAhead {
  GMutex lock;
  GHashTable *calls; /* prefix to Early */
};

static void early_free(gpointer data)
{
  Early *early = data;
  hf_call_free(early->call);
  g_free(early);
}

HfAhead *hf_ahead_new(void)
{
  HfAhead *ahead = g_new0(HfAhead, 1);
  g_mutex_init(&ahead->lock);
  ahead->calls = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, early_free);
  return ahead;
}

void hf_ahead_free(HfAhead *ahead)
{
  g_hash_table_unref(ahead->calls);
  g_mutex_clear(&ahead->lock);
  g_free(ahead);
}

void hf_ahead_put(HfAhead *ahead, const char *prefix, HfCall *call)
{
  Early *early = g_new0(Early, 1);
  early->call = call;
  early->asked = g_get_monotonic_time();
  HF_LOCK(&ahead->lock);
  g_hash_table_replace(ahead->calls, g_strdup(prefix), early);
}

HfCall *hf_ahead_take(HfAhead *ahead, const char *prefix)
{
  gpointer name, found;
  g_mutex_lock(&ahead->lock);
  gboolean there = g_hash_table_steal_extended(ahead->calls, prefix, &name, &found);
  g_mutex_unlock(&ahead->lock);
  if (!there)
    return NULL;
  Early *early = found;
  HfCall *call =
    g_get_monotonic_time() - early->asked < SECONDS * G_USEC_PER_SEC ? g_steal_pointer(&early->call) : NULL;
  early_free(early);
  g_free(name);
  return call;
}
