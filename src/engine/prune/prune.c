/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "engine/prune/prune.h"

#include <string.h>

#include "base/error.h"
#include "engine/prune/reseal.h"
#include "repo/objects.h"
#include "repo/points.h"

#define REWRITE_BELOW_PERCENT 50u /* packs of which less is in live frames are rewritten */
#define WASTE_PERCENT 25u         /* with keys, those of which nothing needs as much as this */
#define SMALL_PACKS_MINIMUM 10u   /* so many small packs of one kind are joined */
#define SMALL_PART 8u             /* small: below this part of the target */
#define THIN_BELOW_PERCENT 40u
#define COMPACT_ALWAYS 1000000u   /* an index with fewer entries is compacted after each sweep */

/* ---- Choosing. ---- */

static gboolean of_open_session(const HfLivePack *pack, const GArray *open)
{
  for (guint i = 0; i < pack->sessions->len; i++)
    if (hf_short_ids_have(open, &g_array_index(pack->sessions, HfShortId, i)))
      return TRUE;
  return FALSE;
}

static gboolean is_not_dead(const HfSessionInfo *info)
{
  return !info->dead_here;
}

static GArray *sessions_at_work(HfCollect *collect, GError **error)
{
  return hf_collect_open(collect, is_not_dead, error);
}

typedef struct Choice {
  GPtrArray *dead, *rewrite; /* of HfLivePack*, borrowed */
  GArray *thin;              /* of HfPlace */
} Choice;

static void choice_clear(Choice *choice)
{
  g_ptr_array_unref(choice->dead);
  g_ptr_array_unref(choice->rewrite);
  g_array_unref(choice->thin);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Choice, choice_clear)

static gboolean is_small(const HfCollect *collect, const HfLivePack *pack)
{
  const HfConfig *config = &collect->repo->config;
  guint64 target = pack->state.pack.kind == HF_PACK_DATA ? config->pack_target : config->meta_pack_target;
  return pack->state.pack.length < target / SMALL_PART;
}

static void note_thin(const HfLivePack *pack, GArray *thin)
{
  for (guint f = 0; f < pack->frames->len; f++) {
    guint blobs, live = hf_live_in_frame(pack, f, &blobs);
    HfPlace place = { pack->state.pack.id, g_array_index(pack->frames, HfLiveFrame, f).offset };
    if (live && (guint64)live * 100 < (guint64)blobs * THIN_BELOW_PERCENT)
      g_array_append_val(thin, place);
  }
}

/* The directory of the pack is unreadable, and repair has put it aside. The walk found all that points need elsewhere;
 * but while anything is recorded as lost, the wreck is kept. */
static gboolean is_wreck(const HfLive *live, const HfLivePack *pack)
{
  return pack->state.damaged && !hf_live_has_losses(live);
}

/* G5 */
static gboolean must_stay(HfCollect *collect, const HfLivePack *pack, const GArray *open)
{
  if (pack->state.condemned || of_open_session(pack, open))
    return TRUE;
  if (!hf_collect_held(collect, &pack->state.pack.id))
    return FALSE;
  if (pack->frames != NULL && pack->live_blobs == 0) {
    collect->result->held_packs++;
    collect->result->held_bytes += pack->state.pack.length;
  }
  return TRUE;
}

static void choose(HfCollect *collect, HfLive *live, const GArray *open, Choice *choice)
{
  g_autoptr(GPtrArray) small_meta = g_ptr_array_new(), small_data = g_ptr_array_new();
  GPtrArray *packs = hf_live_packs(live);
  for (guint i = 0; i < packs->len; i++) {
    HfLivePack *pack = packs->pdata[i];
    collect->result->packs++;
    collect->result->pack_bytes += pack->state.pack.length;
    if (must_stay(collect, pack, open))
      continue;
    if (!pack->frames) {
      if (is_wreck(live, pack))
        g_ptr_array_add(choice->dead, pack);
      continue;
    }
    if (pack->live_blobs == 0) {
      g_ptr_array_add(choice->dead, pack);
      continue;
    }
    note_thin(pack, choice->thin);
    if (pack->live_bytes * 100 < pack->frame_bytes * REWRITE_BELOW_PERCENT ||
        (hf_reseal_may(collect, pack) && hf_reseal_waste(pack) * 100 > pack->frame_bytes * WASTE_PERCENT))
      g_ptr_array_add(choice->rewrite, pack);
    else if (is_small(collect, pack))
      g_ptr_array_add(pack->state.pack.kind == HF_PACK_DATA ? small_data : small_meta, pack);
  }
  if (small_meta->len >= SMALL_PACKS_MINIMUM)
    g_ptr_array_extend(choice->rewrite, small_meta, NULL, NULL);
  if (small_data->len >= SMALL_PACKS_MINIMUM)
    g_ptr_array_extend(choice->rewrite, small_data, NULL, NULL);
}

/* ---- The steps. ---- */

static gboolean write_thin(HfCollect *collect, guint64 generation, const GArray *thin, GError **error)
{
  HfStore *store = collect->repo->store;
  g_autoptr(GPtrArray) old = hf_store_list_names(store, "gc/", error);
  char name[HF_NAME_BYTES];
  if (!old)
    return FALSE;
  g_snprintf(name, sizeof name, "gc/thin.%016" G_GINT64_MODIFIER "x", generation);
  if (thin->len) {
    g_autoptr(GBytes) record = hf_places_encode(HF_RECORD_THIN, thin);
    g_autoptr(GError) problem = NULL;
    if (!hf_repo_put_urgent(collect->repo, name, record, &problem) && !hf_error_is(problem, HF_ERROR_EXISTS)) {
      g_propagate_error(error, g_steal_pointer(&problem));
      return FALSE;
    }
  }
  for (guint i = 0; i < old->len; i++)
    if (g_str_has_prefix(old->pdata[i], "gc/thin.") && !g_str_equal(old->pdata[i], name) &&
        !hf_object_remove(store, old->pdata[i], error))
      return FALSE;
  collect->result->thin_frames = thin->len;
  return TRUE;
}

static gboolean mark_and_sweep(HfCollect *collect, guint64 *generation, const GArray *points, const GPtrArray *packs,
                               GError **error)
{
  gboolean sealed;
  if (packs->len == 0)
    return TRUE;
  if (!hf_mark_write(collect, generation, points, packs, &sealed, error))
    return FALSE;
  if (!sealed) {
    collect->result->other_at_work = TRUE;
    return TRUE;
  }
  guint64 number = (*generation)++;
  return hf_sweep(collect, number, error);
}

/* Rewriting needs room; without it, what was freed is enough. */
static gboolean rewrite_packs(HfCollect *collect, guint64 *generation, const GArray *points, const Choice *choice,
                              GError **error)
{
  g_autoptr(GPtrArray) done = g_ptr_array_new();
  g_autoptr(GError) problem = NULL;
  if (choice->rewrite->len == 0)
    return TRUE;
  if (!hf_rewrite(collect, choice->rewrite, done, &problem)) {
    if (!hf_error_is(problem, HF_ERROR_NO_SPACE)) {
      g_propagate_error(error, g_steal_pointer(&problem));
      return FALSE;
    }
    hf_report_warning(collect->repo->report, NULL, "no room to rewrite %u packs of which little is live: %s",
                      choice->rewrite->len, problem->message);
    return TRUE;
  }
  return mark_and_sweep(collect, generation, points, done, error);
}

static gboolean is_far(const HfSessionInfo *info)
{
  return !info->alive_here && !info->dead_here;
}

static gboolean is_collector(const HfSessionInfo *info)
{
  return info->open.purpose == HF_PURPOSE_COLLECT;
}

/* *left: are there such sessions, after they were watched for so long? */
static gboolean settle(HfCollect *collect, HfSessionFits fits, guint seconds, gboolean *left, GError **error)
{
  g_autoptr(GArray) ids = hf_collect_open(collect, fits, error);
  if (!ids || (ids->len && !hf_sessions_settle(collect->repo, ids, seconds, error)))
    return FALSE;
  *left = ids->len > 0;
  return TRUE;
}

static gboolean sweep_earlier(HfCollect *collect, const GArray *sealed, GError **error)
{
  for (guint i = 0; i < sealed->len; i++)
    if (!hf_sweep(collect, g_array_index(sealed, guint64, i), error))
      return FALSE;
  return TRUE;
}

static gboolean compact_index(HfCollect *collect, GError **error)
{
  HfIndex *index = collect->repo->index;
  HfPruneResult *result = collect->result;
  if (result->swept_packs == 0 ||
      (hf_index_entries(index) > COMPACT_ALWAYS && result->swept_packs * 5 < result->packs))
    return TRUE;
  g_autoptr(GError) problem = NULL;
  if (hf_index_compact(index, &problem) || hf_error_is(problem, HF_ERROR_NO_SPACE))
    return TRUE; /* an index with stale entries works as well */
  g_propagate_error(error, g_steal_pointer(&problem));
  return FALSE;
}

static void count_dry(HfCollect *collect, const Choice *choice)
{
  for (guint i = 0; i < choice->dead->len; i++) {
    collect->result->swept_packs++;
    collect->result->swept_bytes += ((HfLivePack *)choice->dead->pdata[i])->state.pack.length;
  }
  for (guint i = 0; i < choice->rewrite->len; i++) {
    const HfLivePack *pack = choice->rewrite->pdata[i];
    collect->result->rewritten_packs++;
    collect->result->rewritten_bytes += pack->live_bytes;
    collect->result->swept_packs++;
    collect->result->swept_bytes += pack->state.pack.length;
  }
  collect->result->thin_frames = choice->thin->len;
}

/* Parity whose pack never came: a writer lost its power between the two. `parities` were listed before it was found
 * that nobody writes, and the packs are listed after that: so none of them can still get its pack. */
static gboolean remove_orphans(HfCollect *collect, const GPtrArray *parities, GError **error)
{
  g_autoptr(GArray) open = sessions_at_work(collect, error);
  if (!open)
    return FALSE;
  for (guint i = 0; open->len == 0 && i < parities->len; i++) {
    char name[HF_NAME_BYTES];
    HfShortId pack;
    gboolean exists;
    if (!hf_name_short_id(parities->pdata[i], &pack))
      continue;
    hf_name_pack(name, HF_PACK_DATA, &pack);
    if (!hf_object_exists(collect->repo->store, name, &exists, error) ||
        (!exists && !hf_store_held(collect->repo->store, parities->pdata[i]) &&
         !hf_object_remove(collect->repo->store, parities->pdata[i], error)))
      return FALSE;
  }
  return TRUE;
}

static gboolean collect_all(HfCollect *collect, GError **error)
{
  HfRepo *repo = collect->repo;
  guint64 generation;
  if (!hf_mark_number(collect, &generation, error))
    return FALSE;
  /* Before the index is read, which goes by all marks that are there. */
  g_autoptr(GArray) sealed = hf_mark_sealed(collect, error);
  if (!sealed || !hf_repo_fresh_index(repo, error) || !sweep_earlier(collect, sealed, error))
    return FALSE;
  g_autoptr(GArray) points = g_array_new(FALSE, FALSE, sizeof(HfShortId));
  g_autoptr(GArray) open = sessions_at_work(collect, error);
  g_autoptr(HfLive) live = open ? hf_collect_live(collect, NULL, points, error) : NULL;
  if (!live)
    return FALSE;
  g_auto(Choice) choice = { g_ptr_array_new(), g_ptr_array_new(), g_array_new(FALSE, FALSE, sizeof(HfPlace)) };
  choose(collect, live, open, &choice);
  if (collect->options->dry_run) {
    count_dry(collect, &choice);
    return TRUE;
  }
  return mark_and_sweep(collect, &generation, points, choice.dead, error) &&
         (collect->result->other_at_work || (rewrite_packs(collect, &generation, points, &choice, error) &&
                                             write_thin(collect, generation, choice.thin, error) &&
                                             compact_index(collect, error)));
}

gboolean hf_prune(HfRepo *repo, const HfPruneOptions *options, HfPruneResult *result, GError **error)
{
  HfCollect collect = { .repo = repo, .options = options, .result = result };
  *result = (HfPruneResult){ 0 };
  if (options->dry_run)
    return collect_all(&collect, error);
  g_autoptr(HfSession) session = hf_session_open(repo, HF_PURPOSE_COLLECT, error);
  collect.session = session;
  gboolean far;
  if (!session || !settle(&collect, is_far, options->patience_seconds, &far, error) ||
      !hf_sessions_tidy(repo, error) || !settle(&collect, is_collector, 0, &result->other_at_work, error))
    return FALSE;
  g_autoptr(GPtrArray) parities = hf_store_list_names(repo->store, "parity/", error);
  gboolean good = parities && (result->other_at_work ||
                               (collect_all(&collect, error) && remove_orphans(&collect, parities, error)));
  hf_repo_restore_reserve(repo);
  return good;
}
