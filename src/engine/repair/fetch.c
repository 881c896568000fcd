/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/error.h"
#include "engine/repair/private.h"
#include "repo/live.h"
#include "repo/points.h"
#include "repo/recopy.h"

typedef struct Losses {
  GHashTable *ids; /* as run->lost */
  guint32 domain;
} Losses;

static void note_loss(const HfId *id, gpointer user)
{
  Losses *losses = user;
  g_hash_table_insert(losses->ids, g_memdup2(id, sizeof *id), GUINT_TO_POINTER(losses->domain));
}

/* Of the blobs in frames that could not be mended, those that points need and that lie nowhere else. */
static gboolean keep_needed(HfRepairRun *run, const HfLive *live, Losses *losses, GError **error)
{
  GHashTableIter iter;
  gpointer id, domain;
  g_hash_table_iter_init(&iter, run->lost);
  while (g_hash_table_iter_next(&iter, &id, &domain)) {
    gboolean found, damaged = FALSE;
    HfLocation location;
    losses->domain = GPOINTER_TO_UINT(domain);
    if (!hf_index_find(run->repo->index, losses->domain, id, 0, &found, &location, error))
      return FALSE;
    for (guint i = 0; found && i < run->aside->len; i++)
      damaged = damaged || hf_short_id_equal(&g_array_index(run->aside, HfPlace, i).pack, &location.pack);
    if (damaged && hf_live_at(live, &location))
      note_loss(id, losses);
  }
  return TRUE;
}

/* Everything that points need and that has no readable place. */
static gboolean find_losses(HfRepairRun *run, GError **error)
{
  g_autoptr(GPtrArray) points = hf_points_load(run->repo, NULL, error);
  g_autoptr(HfLive) live = points ? hf_live_new(run->repo, error) : NULL;
  Losses losses = { .ids = g_hash_table_new_full(hf_id_hash, hf_id_equal_func, g_free, NULL) };
  gboolean good = live != NULL;
  for (guint i = 0; good && i < points->len; i++) {
    const HfPoint *point = &((HfPointInfo *)points->pdata[i])->point;
    losses.domain = point->domain;
    good = hf_live_walk(live, point->domain, &point->roots, note_loss, &losses, error);
  }
  good = good && keep_needed(run, live, &losses, error);
  g_hash_table_unref(run->lost);
  run->lost = losses.ids;
  return good;
}

static gboolean want_lost(const HfRecopySource *source, const HfPackInfo *info, guint frame, gpointer user,
                          gboolean *want, GError **error)
{
  HfRepairRun *run = user;
  const HfPackFrame *place = &g_array_index(info->frames, HfPackFrame, frame);
  (void)source;
  (void)error;
  *want = FALSE;
  for (guint32 b = 0; b < place->blobs; b++)
    *want = g_hash_table_remove(run->lost, &g_array_index(info->ids, HfId, place->first_blob + b)) || *want;
  return TRUE;
}

/* Lost blobs are looked for in all packs of the sibling. *progress: some were found. */
static gboolean fetch_round(HfRepairRun *run, gboolean *progress, GError **error)
{
  g_autoptr(HfLive) packs = hf_live_new(run->from, error);
  if (!packs)
    return FALSE;
  GPtrArray *all = hf_live_packs(packs);
  g_autofree HfRecopySource *sources = g_new0(HfRecopySource, MAX(all->len, 1));
  guint count = 0;
  for (guint i = 0; i < all->len; i++) {
    const HfLivePack *pack = all->pdata[i];
    if (pack->frames)
      sources[count++] = (HfRecopySource){ .kind = pack->state.pack.kind, .domain = pack->state.pack.domain,
                                           .slots = pack->sessions->len, .pack = pack->state.pack.id };
  }
  HfRecopy recopy = { .from = run->from->store, .to = run->repo, .want = want_lost, .user = run };
  if (!hf_recopy(&recopy, sources, count, error))
    return FALSE;
  run->result->fetched_frames += recopy.frames;
  *progress = recopy.frames > 0;
  return TRUE;
}

/* Metadata that came back shows what else is missing below it: so it goes in rounds. */
gboolean hf_repair_fetch(HfRepairRun *run, GError **error)
{
  gboolean progress = TRUE;
  if (!find_losses(run, error))
    return FALSE;
  while (run->from && progress && g_hash_table_size(run->lost))
    if (!fetch_round(run, &progress, error) || !find_losses(run, error))
      return FALSE;
  run->result->lost_blobs = g_hash_table_size(run->lost);
  return TRUE;
}
