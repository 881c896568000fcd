/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "engine/copy/copy.h"

#include "base/error.h"
#include "engine/copy/private.h"
#include "repo/pointstate.h"

#define TRIES 4u

static gboolean is_there(const GPtrArray *points, const HfPointInfo *wanted, gboolean siblings)
{
  for (guint i = 0; i < points->len; i++) {
    const HfPointInfo *info = points->pdata[i];
    if (hf_short_id_equal(&info->point.id, &wanted->point.id))
      return TRUE;
    /* A copy between strangers has an id of its own: it is known by name, host and the clock of the host. */
    if (!siblings && info->details && wanted->details && info->details->started == wanted->details->started &&
        info->details->ended == wanted->details->ended && g_str_equal(info->details->name, wanted->details->name) &&
        g_str_equal(info->details->host, wanted->details->host))
      return TRUE;
  }
  return FALSE;
}

static gboolean choose(HfCopyRun *run, const GPtrArray *points, gboolean siblings, GPtrArray *missing, GError **error)
{
  g_autoptr(GPtrArray) there = hf_points_load(run->to, NULL, error);
  if (!there)
    return FALSE;
  for (guint i = 0; i < points->len; i++) {
    if (is_there(there, points->pdata[i], siblings))
      run->result->points_there++;
    else
      g_ptr_array_add(missing, points->pdata[i]);
  }
  return TRUE;
}

static gboolean try_point(HfCopyRun *run, HfLive *live, const HfPointInfo *info, GError **error)
{
  g_autoptr(HfSession) session = hf_session_open(run->to, HF_PURPOSE_COPY, error);
  run->session = session;
  if (!session || !hf_repo_fresh_index(run->to, error))
    return FALSE;
  hf_index_drop_claims(run->to->index); /* of a try that failed */
  return live ? hf_copy_to_sibling(run, live, info, error) : hf_copy_to_stranger(run, info, error);
}

/* It may have been forgotten before we came, and be swept by now. *gone: there is nothing to copy. */
static gboolean look_again(HfCopyRun *run, const HfPointInfo *info, gboolean *gone, GError **error)
{
  char shown[33];
  if (!hf_point_is_forgotten(run->from->store, &info->point.id, gone, error))
    return FALSE;
  hf_point_short_name(info, shown);
  if (*gone)
    hf_report_warning(run->from->report, shown, "this point was forgotten meanwhile; it is not copied");
  return TRUE;
}

/* What a prune had condemned before we came it may sweep while we read; what points need of it is in other packs then.
 * So what is missing is looked for anew. `live` is NULL between strangers. */
static gboolean copy_point(HfCopyRun *run, HfLive **live, const HfPointInfo *info, GError **error)
{
  for (guint tries = 1;; tries++) {
    g_autoptr(GError) problem = NULL;
    gboolean gone;
    if (!look_again(run, info, &gone, error))
      return FALSE;
    if (gone || try_point(run, *live, info, &problem))
      return TRUE;
    if (!hf_error_is_damage(problem) || tries == TRIES) {
      g_propagate_error(error, g_steal_pointer(&problem));
      return FALSE;
    }
    if (!hf_index_refresh(run->from->index, error))
      return FALSE;
    if (!*live)
      continue;
    hf_live_free(*live);
    *live = hf_live_new(run->from, error);
    if (!*live)
      return FALSE;
  }
}

/* Strangers: what is read must be opened, what is written be sealed. Whoever has less than all keys of one repository
 * must have a part of the other's, too: what he copies is one host's there and here. */
static gboolean may_rename(const HfRepo *from, const HfRepo *to)
{
  return (from->access == HF_ACCESS_FULL && to->access == HF_ACCESS_FULL) ||
         (from->access == HF_ACCESS_READ && to->access == HF_ACCESS_WRITE);
}

gboolean hf_copy(HfRepo *from, HfRepo *to, const GPtrArray *points, HfCopyResult *result, GError **error)
{
  gboolean siblings = hf_short_id_equal(&from->config.family, &to->config.family);
  *result = (HfCopyResult){ 0 };
  if (hf_short_id_equal(&from->config.repository, &to->config.repository))
    return hf_fail(error, HF_ERROR_USAGE, "source and target are the same repository");
  if (!siblings && !may_rename(from, to))
    return hf_fail(error, HF_ERROR_PERMISSION,
                   "these repositories have different keys: copying needs the passwords of both; a sibling made with "
                   "'init --like' needs none");
  HfCopyRun run = { .from = from, .to = to, .result = result };
  g_autoptr(HfSession) lease = hf_session_open(from, HF_PURPOSE_READ, error);
  g_autoptr(GPtrArray) missing = g_ptr_array_new();
  if (!lease || !hf_repo_fresh_index(from, error) || !choose(&run, points, siblings, missing, error))
    return FALSE;
  g_autoptr(HfLive) live = siblings ? hf_live_new(from, error) : NULL;
  /* Keys, ring generations and writers that came after the sibling was made. */
  if (siblings && (live == NULL || !hf_keyring_clone(from->store, to->store, error)))
    return FALSE;
  for (guint i = 0; i < missing->len; i++)
    if (!copy_point(&run, &live, missing->pdata[i], error))
      return FALSE;
  return TRUE;
}
