/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/error.h"
#include "engine/repair/private.h"
#include "repo/objects.h"
#include "repo/parity.h"
#include "repo/recopy.h"

/* Has the blob a place to stay, in a pack without damage? */
static gboolean lies_elsewhere(HfRepairRun *run, guint32 domain, const HfId *id, gboolean *elsewhere, GError **error)
{
  gboolean found = TRUE;
  HfLocation location;
  *elsewhere = FALSE;
  for (guint attempt = 0; !*elsewhere; attempt++) {
    if (!hf_index_find(run->repo->index, domain, id, attempt, &found, &location, error))
      return FALSE;
    if (!found)
      return TRUE;
    *elsewhere = location.standing <= HF_STANDING_THIN && !g_hash_table_contains(run->struck, &location.pack);
  }
  return TRUE;
}

/* Nothing is copied that an earlier repair, or a backup, has brought to safety: a pack that keeps a lost frame is
 * found damaged again and again. */
static gboolean want_frame(const HfRecopySource *source, const HfPackInfo *info, guint frame, gpointer user,
                           gboolean *want, GError **error)
{
  HfRepairRun *run = user;
  const HfPackFrame *place = &g_array_index(info->frames, HfPackFrame, frame);
  gboolean elsewhere = TRUE;
  (void)source;
  for (guint32 b = 0; elsewhere && b < place->blobs; b++)
    if (!lies_elsewhere(run, info->domain, &g_array_index(info->ids, HfId, place->first_blob + b), &elsewhere, error))
      return FALSE;
  *want = !elsewhere;
  return TRUE;
}

/* The frame cannot be had from here: its blobs go to the lost ones, which a sibling may have. */
static gboolean lose_frame(const HfRecopySource *source, const HfPackInfo *info, guint frame, HfBuffer *stored,
                           gpointer user, GError **error)
{
  HfRepairRun *run = user;
  const HfPackFrame *place = &g_array_index(info->frames, HfPackFrame, frame);
  (void)source;
  for (guint32 b = 0; b < place->blobs; b++)
    g_hash_table_insert(run->lost, g_memdup2(&g_array_index(info->ids, HfId, place->first_blob + b), sizeof(HfId)),
                        GUINT_TO_POINTER(info->domain));
  return hf_buffer_resize(stored, 0, error);
}

static gboolean pack_kind(HfRepo *repo, const HfShortId *pack, HfPackKind *kind, GError **error)
{
  g_autoptr(GArray) packs = hf_index_packs(repo->index);
  for (guint i = 0; i < packs->len; i++) {
    const HfPackState *state = &g_array_index(packs, HfPackState, i);
    if (hf_short_id_equal(&state->pack.id, pack)) {
      *kind = state->pack.kind;
      return TRUE;
    }
  }
  return hf_fail(error, HF_ERROR_NOT_FOUND, "a damaged pack is gone");
}

/* What is known of the pack: mended from parity when that works, else as far as its directory can be read, else as far
 * as its frames can be opened. */
static gboolean open_source(HfRepairRun *run, const HfShortId *pack, HfRecopySource *source, GError **error)
{
  HfRepo *repo = run->repo;
  g_auto(HfPackInfo) info;
  HfPackKind kind = HF_PACK_DATA;
  HfParityResult parity = { 0 };
  hf_pack_info_init(&info);
  if (!pack_kind(repo, pack, &kind, error))
    return FALSE;
  *source = (HfRecopySource){ .kind = kind, .pack = *pack };
  if (kind == HF_PACK_DATA && hf_parity_check(repo->store, pack, TRUE, &parity, NULL) && parity.mended)
    source->whole = g_bytes_ref(parity.mended);
  hf_parity_result_clear(&parity);
  g_autoptr(GError) problem = NULL;
  if (!source->whole && !hf_pack_read_info(repo->store, kind, pack, &info, &problem)) {
    gboolean scan = hf_error_is_damage(problem) && !hf_error_is(problem, HF_ERROR_NOT_FOUND) &&
                    repo->access == HF_ACCESS_FULL;
    if (!scan) {
      g_propagate_error(error, g_steal_pointer(&problem));
      return FALSE;
    }
    source->whole = hf_repair_scan(run, kind, pack, error);
    if (!source->whole)
      return FALSE;
  }
  if (source->whole && !hf_pack_bytes_info(source->whole, &info, error))
    return FALSE;
  source->domain = info.domain;
  source->slots = info.slots->len;
  return TRUE;
}

/* One pack at a time: a mended pack is held in memory. */
static gboolean repair_pack(HfRepairRun *run, const HfShortId *pack, GError **error)
{
  HfRecopy recopy = { .from = run->repo->store, .to = run->repo, .want = want_frame, .rescue = lose_frame,
                      .user = run };
  HfRecopySource source = { 0 };
  HfPlace place = { *pack, HF_PLACE_WHOLE_PACK };
  g_autoptr(GError) problem = NULL;
  gboolean good = open_source(run, pack, &source, &problem) && hf_recopy(&recopy, &source, 1, &problem);
  g_clear_pointer(&source.whole, g_bytes_unref);
  if (!good) {
    if (!hf_error_is_damage(problem)) {
      g_propagate_error(error, g_steal_pointer(&problem));
      return FALSE;
    }
    g_autofree char *hex = hf_hex(pack->b, sizeof pack->b);
    hf_report_warning(run->repo->report, hex, "nothing of this pack can be read here: %s", problem->message);
  }
  run->result->mended_frames += recopy.frames;
  run->result->mended_bytes += recopy.bytes;
  g_array_append_val(run->aside, place);
  hf_index_note_damage(run->repo->index, &place);
  return TRUE;
}

gboolean hf_repair_packs(HfRepairRun *run, GError **error)
{
  GHashTableIter iter;
  gpointer pack;
  gboolean good = TRUE;
  run->struck = g_hash_table_new(hf_id_hash, hf_short_id_equal_func);
  for (guint i = 0; i < run->result->found.places->len; i++)
    g_hash_table_add(run->struck, &g_array_index(run->result->found.places, HfPlace, i).pack);
  g_hash_table_iter_init(&iter, run->struck);
  while (good && g_hash_table_iter_next(&iter, &pack, NULL))
    good = repair_pack(run, pack, error);
  g_clear_pointer(&run->struck, g_hash_table_unref);
  return good;
}
