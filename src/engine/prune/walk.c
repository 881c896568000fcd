/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What points and checkpoints need. */
#include <string.h>

#include "base/error.h"
#include "engine/prune/collect.h"
#include "repo/objects.h"
#include "repo/points.h"

#define WALK_TRIES 3u /* at least, before a blob is taken for missing */

gboolean hf_short_ids_have(const GArray *ids, const HfShortId *id)
{
  for (guint i = 0; ids && i < ids->len; i++)
    if (hf_short_id_equal(&g_array_index(ids, HfShortId, i), id))
      return TRUE;
  return FALSE;
}

gboolean hf_collect_held(HfCollect *collect, const HfShortId *pack)
{
  char data[HF_NAME_BYTES], meta[HF_NAME_BYTES];
  hf_name_pack(data, HF_PACK_DATA, pack);
  hf_name_pack(meta, HF_PACK_META, pack);
  return hf_store_held(collect->repo->store, data) || hf_store_held(collect->repo->store, meta);
}

static gboolean walk_checkpoints(HfCollect *collect, HfLive *live, GError **error)
{
  g_autoptr(GPtrArray) sessions = hf_sessions_list(collect->repo, collect->session, error);
  if (!sessions)
    return FALSE;
  for (guint i = 0; i < sessions->len; i++) {
    const HfSessionInfo *info = sessions->pdata[i];
    if (info->has_checkpoint &&
        !hf_live_walk(live, info->checkpoint.domain, &info->checkpoint.roots, NULL, NULL, error))
      return FALSE;
  }
  return TRUE;
}

/* Those that are locked, or those that are not. Of what locked points need every copy stays (L3 of repo/live.h). */
static gboolean walk_points(HfLive *live, const GPtrArray *infos, gboolean locked, const GArray *but, GError **error)
{
  hf_live_keep_copies(live, locked);
  for (guint i = 0; i < infos->len; i++) {
    const HfPointInfo *info = infos->pdata[i];
    if (info->locked == locked && !hf_short_ids_have(but, &info->point.id) &&
        !hf_live_walk(live, info->point.domain, &info->point.roots, NULL, NULL, error))
      return FALSE;
  }
  return TRUE;
}

/* Walks all points (or only those not in `but`) and all checkpoints. `points` gets the ids of points. */
static gboolean walk_all(HfCollect *collect, HfLive *live, const GArray *but, GArray *points, GError **error)
{
  guint damaged = 0;
  g_autoptr(GPtrArray) infos = hf_points_load(collect->repo, &damaged, error);
  if (!infos)
    return FALSE;
  if (damaged)
    return hf_fail(error, HF_ERROR_DAMAGED,
                   "%u points are damaged in all copies: nothing is deleted while it is not known what they need; run "
                   "'holdfast repair'", damaged);
  for (guint i = 0; i < infos->len; i++) {
    const HfPointInfo *info = infos->pdata[i];
    if (points)
      g_array_append_val(points, info->point.id);
  }
  return walk_points(live, infos, TRUE, but, error) && walk_points(live, infos, FALSE, but, error) &&
    walk_checkpoints(collect, live, error);
}

static gboolean same_ids(const GArray *one, const GArray *two)
{
  return one && two && one->len == two->len &&
         (one->len == 0 || memcmp(one->data, two->data, one->len * sizeof(HfShortId)) == 0);
}

/* The packs are listed first, then the points: a point that is committed in between has packs that are not known yet.
 * So the walk is made anew, as long as it fails at another point than before. */
HfLive *hf_collect_live(HfCollect *collect, const GArray *but, GArray *points, GError **error)
{
  g_autoptr(GArray) before = NULL;
  for (guint tries = 1;; tries++) {
    g_autoptr(GError) problem = NULL;
    g_autoptr(GArray) walked = g_array_new(FALSE, FALSE, sizeof(HfShortId));
    g_autoptr(HfLive) live = hf_live_new(collect->repo, error);
    if (!live)
      return NULL;
    if (walk_all(collect, live, but, walked, &problem)) {
      if (points)
        g_array_append_vals(points, walked->data, walked->len);
      return g_steal_pointer(&live);
    }
    if (!hf_error_is_damage(problem) || (tries >= WALK_TRIES && same_ids(before, walked))) {
      g_propagate_error(error, g_steal_pointer(&problem));
      return NULL;
    }
    g_clear_pointer(&before, g_array_unref);
    before = g_steal_pointer(&walked);
    if (!hf_index_refresh(collect->repo->index, error))
      return NULL;
  }
}

GArray *hf_collect_open(HfCollect *collect, HfSessionFits fits, GError **error)
{
  g_autoptr(GPtrArray) infos = hf_sessions_list(collect->repo, collect->session, error);
  if (!infos)
    return NULL;
  GArray *ids = g_array_new(FALSE, FALSE, sizeof(HfShortId));
  for (guint i = 0; i < infos->len; i++) {
    const HfSessionInfo *info = infos->pdata[i];
    if (info->opened && !info->has_outcome && (!fits || fits(info)))
      g_array_append_val(ids, info->open.id);
  }
  return ids;
}
