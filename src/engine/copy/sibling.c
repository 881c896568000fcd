/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/error.h"
#include "engine/copy/private.h"
#include "repo/objects.h"
#include "repo/recopy.h"

/* A frame is wanted when a live blob in it is not in the target: claiming says so, and keeps it from being copied
 * twice. */
static gboolean want_missing(const HfRecopySource *source, const HfPackInfo *info, guint frame, gpointer user,
                             gboolean *want, GError **error)
{
  const HfCopyRun *run = user;
  const HfLivePack *live = source->user;
  const HfPackFrame *place = &g_array_index(info->frames, HfPackFrame, frame);
  *want = FALSE;
  for (guint32 b = 0; b < place->blobs; b++) {
    gboolean claimed;
    if (!hf_live_bit(live, place->first_blob + b))
      continue;
    if (!hf_index_claim(run->to->index, info->domain, &g_array_index(info->ids, HfId, place->first_blob + b), &claimed,
                        error))
      return FALSE;
    *want = *want || claimed;
  }
  if (*want)
    hf_report_add(run->to->report, 0, place->stored_length, place->stored_length);
  return TRUE;
}

static gboolean copy_frames(HfCopyRun *run, HfLive *live, const HfPoint *point, GError **error)
{
  hf_live_reset(live);
  if (!hf_live_walk(live, point->domain, &point->roots, NULL, NULL, error))
    return FALSE;
  GPtrArray *packs = hf_live_packs(live);
  g_autofree HfRecopySource *sources = g_new0(HfRecopySource, MAX(packs->len, 1));
  guint count = 0;
  guint64 bytes = 0;
  for (guint i = 0; i < packs->len; i++) {
    HfLivePack *pack = packs->pdata[i];
    if (!pack->frames || pack->live_blobs == 0)
      continue;
    sources[count++] = (HfRecopySource){ .kind = pack->state.pack.kind, .domain = pack->state.pack.domain,
                                         .slots = pack->sessions->len, .pack = pack->state.pack.id, .user = pack };
    bytes += pack->live_bytes;
  }
  hf_report_total(run->to->report, 0, bytes);
  HfRecopy recopy = { .from = run->from->store, .to = run->to, .want = want_missing, .user = run };
  if (!hf_recopy(&recopy, sources, count, error))
    return FALSE;
  run->result->frames += recopy.frames;
  run->result->bytes += recopy.bytes;
  for (guint i = 0; i < count; i++)
    if (!sources[i].done)
      return hf_fail(
        error, HF_ERROR_DAMAGED,
        "the source is damaged: no point is copied that would lack something; run 'holdfast repair' there");
  return TRUE;
}

gboolean hf_copy_to_sibling(HfCopyRun *run, HfLive *live, const HfPointInfo *info, GError **error)
{
  g_autoptr(GBytes) record = hf_point_encode(&info->point);
  if (!copy_frames(run, live, &info->point, error) || !hf_session_commit_copy(run->session, record, error))
    return FALSE;
  run->result->points++;
  return TRUE;
}
