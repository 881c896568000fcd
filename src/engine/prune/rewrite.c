/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Copying live frames into new packs, without keys: by one packer for each kind and domain. */
#include <string.h>

#include "base/error.h"
#include "engine/prune/collect.h"
#include "repo/objects.h"
#include "repo/packer.h"

typedef struct Rewrite {
  HfCollect *collect;
  HfPackKind kind;
  guint32 domain;
  HfPacker *packer;
} Rewrite;

static gboolean pack_done(const HfPackInfo *info, gpointer user, GError **error)
{
  HfCollect *collect = user;
  return hf_index_add_pack(collect->repo->index, info, error);
}

/* A frame as it is stored, checked against its digest; the mirror helps out for metadata. */
static gboolean read_frame(HfRepo *repo, const HfPackInfo *info, const HfPackFrame *frame, HfBuffer *stored,
                           GError **error)
{
  if (!hf_buffer_resize(stored, frame->stored_length, error))
    return FALSE;
  for (guint copy = 0; copy < (info->kind == HF_PACK_META ? 2u : 1u); copy++) {
    char name[HF_NAME_BYTES];
    guint8 digest[16];
    if (copy == 0)
      hf_name_pack(name, info->kind, &info->id);
    else
      hf_name_mirror(name, &info->id);
    if (!hf_store_get(repo->store, name, frame->offset, stored->data, stored->length, NULL))
      continue;
    hf_xxh128(stored->data, stored->length, digest);
    if (memcmp(digest, frame->digest, sizeof digest) == 0)
      return TRUE;
  }
  g_autofree char *hex = hf_hex(info->id.b, sizeof info->id.b);
  return hf_fail(error, HF_ERROR_DAMAGED, "a frame of pack '%s' is damaged; run 'holdfast repair'", hex);
}

static gboolean copy_pack(Rewrite *rewrite, HfLivePack *pack, HfBuffer *stored, GError **error)
{
  HfRepo *repo = rewrite->collect->repo;
  g_auto(HfPackInfo) info;
  hf_pack_info_init(&info);
  if (!hf_pack_read_info(repo->store, pack->state.pack.kind, &pack->state.pack.id, &info, error))
    return FALSE;
  for (guint f = 0; f < info.frames->len; f++) {
    const HfPackFrame *frame = &g_array_index(info.frames, HfPackFrame, f);
    guint blobs;
    if (hf_cancelled(repo->cancel, error))
      return FALSE;
    if (hf_live_in_frame(pack, f, &blobs) == 0)
      continue;
    if (!read_frame(repo, &info, frame, stored, error) ||
        !hf_packer_add_stored(rewrite->packer, frame, stored->data, &g_array_index(info.ids, HfId, frame->first_blob),
                              error))
      return FALSE;
    rewrite->collect->result->rewritten_bytes += frame->stored_length;
  }
  rewrite->collect->result->rewritten_packs++;
  return TRUE;
}

/* The key slots of all packs of this kind and domain, each session once. */
static GArray *gather_slots(Rewrite *rewrite, const GPtrArray *packs, GError **error)
{
  g_autoptr(GArray) slots = g_array_new(FALSE, FALSE, sizeof(HfSessionSlot));
  g_autoptr(GHashTable) seen = g_hash_table_new_full(hf_id_hash, hf_short_id_equal_func, g_free, NULL);
  for (guint i = 0; i < packs->len; i++) {
    const HfLivePack *pack = packs->pdata[i];
    g_auto(HfPackInfo) info;
    hf_pack_info_init(&info);
    if (!hf_pack_read_info(rewrite->collect->repo->store, pack->state.pack.kind, &pack->state.pack.id, &info, error))
      return NULL;
    for (guint s = 0; s < info.slots->len; s++) {
      const HfSessionSlot *slot = &g_array_index(info.slots, HfSessionSlot, s);
      if (g_hash_table_add(seen, g_memdup2(&slot->session, sizeof slot->session)))
        g_array_append_vals(slots, slot, 1);
    }
  }
  return g_steal_pointer(&slots);
}

static gboolean is_damage(const GError *error)
{
  return hf_error_is(error, HF_ERROR_DAMAGED) || hf_error_is(error, HF_ERROR_INVALID) ||
         hf_error_is(error, HF_ERROR_NOT_FOUND);
}

/* Packs of one kind and domain, so many that their slots fit one pack's head. */
static gboolean rewrite_some(Rewrite *rewrite, const GPtrArray *packs, GPtrArray *done, GError **error)
{
  HfRepo *repo = rewrite->collect->repo;
  g_autoptr(GArray) slots = gather_slots(rewrite, packs, error);
  if (!slots)
    return FALSE;
  HfPackerOptions options = {
    .kind = rewrite->kind, .domain = rewrite->domain, .parity = repo->config.parity,
    .target = rewrite->kind == HF_PACK_DATA ? repo->config.pack_target : repo->config.meta_pack_target,
    .slots = (const HfSessionSlot *)(void *)slots->data, .slot_count = slots->len,
    .done = pack_done, .user = rewrite->collect,
  };
  g_autoptr(HfPacker) packer = hf_packer_new(repo->store, &options);
  g_auto(HfBuffer) stored = HF_BUFFER_INIT;
  g_autoptr(GPtrArray) copied = g_ptr_array_new();
  rewrite->packer = packer;
  for (guint i = 0; i < packs->len; i++) {
    g_autoptr(GError) problem = NULL;
    if (copy_pack(rewrite, packs->pdata[i], &stored, &problem)) {
      g_ptr_array_add(copied, packs->pdata[i]);
      continue;
    }
    if (!is_damage(problem)) {
      g_propagate_error(error, g_steal_pointer(&problem));
      return FALSE;
    }
    hf_report_warning(repo->report, NULL, "%s; the pack is kept as it is", problem->message);
  }
  if (!hf_packer_flush(packer, error) || !hf_index_flush(repo->index, TRUE, error))
    return FALSE;
  g_ptr_array_extend(done, copied, NULL, NULL);
  return TRUE;
}

gboolean hf_rewrite(HfCollect *collect, const GPtrArray *packs, GPtrArray *done, GError **error)
{
  g_autoptr(GPtrArray) left = g_ptr_array_new();
  for (guint i = 0; i < packs->len; i++)
    g_ptr_array_add(left, packs->pdata[i]);
  while (left->len) {
    const HfLivePack *first = left->pdata[0];
    Rewrite rewrite = { .collect = collect, .kind = first->state.pack.kind, .domain = first->state.pack.domain };
    g_autoptr(GPtrArray) same = g_ptr_array_new(), others = g_ptr_array_new();
    guint slots = 0;
    for (guint i = 0; i < left->len; i++) {
      HfLivePack *pack = left->pdata[i];
      gboolean fits = pack->state.pack.kind == rewrite.kind && pack->state.pack.domain == rewrite.domain &&
                      (same->len == 0 || slots + pack->sessions->len <= HF_PACK_SLOTS_MAX);
      slots += fits ? pack->sessions->len : 0;
      g_ptr_array_add(fits ? same : others, pack);
    }
    if (!rewrite_some(&rewrite, same, done, error))
      return FALSE;
    g_ptr_array_unref(left);
    left = g_steal_pointer(&others);
  }
  return TRUE;
}
