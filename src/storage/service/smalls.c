/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Small objects that a listing brought along: config, keys, points and marks are read one by one by who lists them, and
 * each would cost a round trip. Bounded: what comes above the bound is not kept, and costs that round trip.
 */
#include <string.h>

#include "base/work.h"
#include "storage/service/private.h"

#define BYTES_MAX (64u << 20)

struct HfSmalls {
  GMutex lock;
  GHashTable *objects; /* name to GBytes */
  gsize bytes;
};

HfSmalls *hf_smalls_new(void)
{
  HfSmalls *smalls = g_new0(HfSmalls, 1);
  g_mutex_init(&smalls->lock);
  smalls->objects = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_bytes_unref);
  return smalls;
}

void hf_smalls_free(HfSmalls *smalls)
{
  g_hash_table_unref(smalls->objects);
  g_mutex_clear(&smalls->lock);
  g_free(smalls);
}

gboolean hf_service_brings_content(const char *prefix)
{
  static const char *const large[] = { "data/", "meta/", "parity/", "mirror/", "index/", "sessions/" };
  for (gsize i = 0; i < G_N_ELEMENTS(large); i++)
    if (g_str_has_prefix(prefix, large[i]))
      return FALSE;
  return *prefix != '\0';
}

GBytes *hf_smalls_find(HfSmalls *smalls, const char *name)
{
  HF_LOCK(&smalls->lock);
  GBytes *content = g_hash_table_lookup(smalls->objects, name);
  return content == NULL ? NULL : g_bytes_ref(content);
}

static void remove_locked(HfSmalls *smalls, const char *name)
{
  GBytes *old = g_hash_table_lookup(smalls->objects, name);
  if (old == NULL)
    return;
  smalls->bytes -= g_bytes_get_size(old) + strlen(name);
  g_hash_table_remove(smalls->objects, name);
}

void hf_smalls_add(HfSmalls *smalls, const char *name, GBytes *content)
{
  gsize bytes = g_bytes_get_size(content) + strlen(name);
  HF_LOCK(&smalls->lock);
  remove_locked(smalls, name);
  if (!hf_store_name_keeps(name) || bytes > BYTES_MAX - smalls->bytes)
    return;
  smalls->bytes += bytes;
  g_hash_table_insert(smalls->objects, g_strdup(name), g_bytes_ref(content));
}

void hf_smalls_remove(HfSmalls *smalls, const char *name)
{
  HF_LOCK(&smalls->lock);
  remove_locked(smalls, name);
}
