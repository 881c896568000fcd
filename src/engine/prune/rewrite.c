/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "engine/prune/collect.h"
#include "repo/recopy.h"

static gboolean want_live(const HfRecopySource *source, const HfPackInfo *info, guint frame, gpointer user,
                          gboolean *want, GError **error)
{
  guint blobs;
  (void)info;
  (void)user;
  (void)error;
  *want = hf_live_in_frame(source->user, frame, &blobs) > 0;
  return TRUE;
}

gboolean hf_rewrite(HfCollect *collect, const GPtrArray *packs, GPtrArray *done, GError **error)
{
  HfRecopy recopy = { .from = collect->repo->store, .to = collect->repo, .want = want_live };
  g_autofree HfRecopySource *sources = g_new0(HfRecopySource, MAX(packs->len, 1));
  for (guint i = 0; i < packs->len; i++) {
    HfLivePack *pack = packs->pdata[i];
    sources[i] = (HfRecopySource){ .kind = pack->state.pack.kind, .domain = pack->state.pack.domain,
                                   .slots = pack->sessions->len, .pack = pack->state.pack.id, .user = pack };
  }
  if (!hf_recopy(&recopy, sources, packs->len, error))
    return FALSE;
  for (guint i = 0; i < packs->len; i++)
    if (sources[i].done)
      g_ptr_array_add(done, packs->pdata[i]);
  collect->result->rewritten_packs += recopy.packs;
  collect->result->rewritten_bytes += recopy.bytes;
  return TRUE;
}
