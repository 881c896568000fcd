/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/vault/slots.h"

#include <string.h>

#include "base/error.h"
#include "repo/objects.h"
#include "repo/pointstate.h"

#define LOOKS_MAX 8u /* others may move what we are about to read as often */
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

typedef struct Slots {
  guint32 domain;
  GHashTable *sessions; /* sets of HfShortId*, owned: whose slots are in `out` */
  GHashTable *packs;    /* that were read */
  GByteArray *out;
} Slots;

static void slots_clear(Slots *slots)
{
  g_clear_pointer(&slots->sessions, g_hash_table_unref);
  g_clear_pointer(&slots->packs, g_hash_table_unref);
  g_clear_pointer(&slots->out, g_byte_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Slots, slots_clear)

static void add_slot(Slots *slots, const HfSessionSlot *slot)
{
  if (!g_hash_table_contains(slots->sessions, &slot->session)) {
    g_hash_table_add(slots->sessions, g_memdup2(&slot->session, sizeof slot->session));
    hf_put_session_slot(slots->out, slot);
  }
}

static gboolean add_point(HfPoint *point, GBytes *record G_GNUC_UNUSED, gpointer user, GError **error G_GNUC_UNUSED)
{
  Slots *slots = user;
  if (point->domain == slots->domain)
    add_slot(slots, &point->slot);
  return TRUE;
}

/* Packs whose heads cannot be read give nothing: what they hold cannot be read by it either. FALSE: it is gone, and
 * what is needed of it is in another pack now. */
static gboolean add_pack(Slots *slots, HfStore *store, const HfPackState *state)
{
  g_auto(HfPackInfo) info;
  g_autoptr(GError) why = NULL;
  hf_pack_info_init(&info);
  if (!read_head(store, state, &info, &why))
    return !hf_error_is(why, HF_ERROR_NOT_FOUND);
  for (guint i = 0; i < info.slots->len; i++)
    add_slot(slots, &g_array_index(info.slots, HfSessionSlot, i));
  g_hash_table_add(slots->packs, g_memdup2(&info.id, sizeof info.id));
  return TRUE;
}

/* *all: none was swept since they were listed. */
static gboolean add_packs(Slots *slots, HfDepot *depot, gboolean *all, GError **error)
{
  HfRepo *repo = hf_depot_repo(depot, error);
  if (repo == NULL || !hf_depot_refresh(depot, error))
    return FALSE;
  g_autoptr(GArray) packs = hf_index_packs(repo->index);
  *all = TRUE;
  for (guint i = 0; i < packs->len; i++) {
    const HfPackState *state = &g_array_index(packs, HfPackState, i);
    if (state->pack.domain == slots->domain && !g_hash_table_contains(slots->packs, &state->pack.id))
      *all = add_pack(slots, repo->store, state) && *all;
  }
  return TRUE;
}

GByteArray *hf_vault_slots(HfDepot *depot, guint32 domain, GError **error)
{
  g_auto(Slots) slots = {
    .domain = domain,
    .sessions = g_hash_table_new_full(hf_id_hash, hf_short_id_equal_func, g_free, NULL),
    .packs = g_hash_table_new_full(hf_id_hash, hf_short_id_equal_func, g_free, NULL),
    .out = g_byte_array_new(),
  };
  HfRepo *repo = hf_depot_repo(depot, error);
  if (repo == NULL || !hf_points_each(repo, NULL, NULL, add_point, &slots, error))
    return NULL;
  gboolean all = FALSE;
  for (guint looks = 0; !all && looks < LOOKS_MAX; looks++)
    if (!add_packs(&slots, depot, &all, error))
      return NULL;
  return g_steal_pointer(&slots.out);
}
