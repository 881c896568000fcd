/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/vault/slots.h"

#include <string.h>

#include "base/error.h"
#include "repo/objects.h"

#define HEAD_BYTES (HF_PACK_HEAD_FIXED + 8 * HF_SESSION_SLOT_BYTES) /* most packs are of one session */

static gboolean read_head(HfStore *store, const HfPackState *state, HfPackInfo *info, GError **error)
{
  char name[HF_NAME_BYTES];
  guint64 size;
  gsize head = 0;
  hf_name_pack(name, state->pack.kind, &state->pack.id);
  if (!hf_store_size(store, name, &size, error))
    return FALSE;
  gsize length = (gsize)MIN(size, HEAD_BYTES);
  g_autofree guint8 *bytes = g_malloc(length);
  if (!hf_store_get(store, name, 0, bytes, length, error) || !hf_pack_head_peek(bytes, length, &head, error))
    return FALSE;
  if (head > length) {
    bytes = g_realloc(bytes, head);
    if (!hf_store_get(store, name, 0, bytes, head, error))
      return FALSE;
    length = head;
  }
  return hf_pack_head_decode(bytes, length, info, error);
}

/* Packs that are gone, or whose heads cannot be read, give nothing: what they hold cannot be read by it either. */
static void add_slots(HfStore *store, const HfPackState *state, GHashTable *seen, GByteArray *out)
{
  g_auto(HfPackInfo) info;
  hf_pack_info_init(&info);
  if (!read_head(store, state, &info, NULL))
    return;
  for (guint i = 0; i < info.slots->len; i++) {
    const HfSessionSlot *slot = &g_array_index(info.slots, HfSessionSlot, i);
    if (!g_hash_table_contains(seen, &slot->session)) {
      g_hash_table_add(seen, g_memdup2(&slot->session, sizeof slot->session));
      hf_put_session_slot(out, slot);
    }
  }
}

GByteArray *hf_vault_slots(HfDepot *depot, guint32 domain, GError **error)
{
  HfRepo *repo = hf_depot_repo(depot, error);
  if (repo == NULL || !hf_depot_refresh(depot, error))
    return NULL;
  g_autoptr(GArray) packs = hf_index_packs(repo->index);
  g_autoptr(GHashTable) seen = g_hash_table_new_full(hf_id_hash, hf_short_id_equal_func, g_free, NULL);
  GByteArray *out = g_byte_array_new();
  for (guint i = 0; i < packs->len; i++) {
    const HfPackState *state = &g_array_index(packs, HfPackState, i);
    if (state->pack.domain == domain)
      add_slots(repo->store, state, seen, out);
  }
  return out;
}
