/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "engine/prune/reseal.h"
#include "repo/recopy.h"

static gboolean want_live(const HfRecopySource *source, const HfPackInfo *info, guint frame, gpointer user,
                          gboolean *want, GError **error)
{
  const HfCollect *collect = user;
  const HfLivePack *pack = source->user;
  guint blobs;
  (void)info;
  (void)error;
  *want = hf_live_in_frame(pack, frame, &blobs) > 0 && !(hf_reseal_may(collect, pack) && hf_reseal_takes(pack, frame));
  return TRUE;
}

/* What is sealed anew goes first: packs for which that failed are not copied. Returns the others. */
static GPtrArray *reseal_some(HfCollect *collect, const GPtrArray *packs, GError **error)
{
  g_autoptr(GPtrArray) some = g_ptr_array_new(), failed = g_ptr_array_new(), rest = g_ptr_array_new();
  for (guint i = 0; i < packs->len; i++)
    if (hf_reseal_may(collect, packs->pdata[i]))
      g_ptr_array_add(some, packs->pdata[i]);
  if (!hf_reseal(collect, some, failed, error))
    return NULL;
  for (guint i = 0; i < packs->len; i++)
    if (!g_ptr_array_find(failed, packs->pdata[i], NULL))
      g_ptr_array_add(rest, packs->pdata[i]);
  return g_steal_pointer(&rest);
}

gboolean hf_rewrite(HfCollect *collect, const GPtrArray *packs, GPtrArray *done, GError **error)
{
  HfRecopy recopy = { .from = collect->repo->store, .to = collect->repo, .want = want_live, .user = collect };
  g_autofree HfRecopySource *sources = g_new0(HfRecopySource, MAX(packs->len, 1));
  g_autoptr(GPtrArray) rest = reseal_some(collect, packs, error);
  if (!rest)
    return FALSE;
  for (guint i = 0; i < rest->len; i++) {
    HfLivePack *pack = rest->pdata[i];
    sources[i] = (HfRecopySource){ .kind = pack->state.pack.kind, .domain = pack->state.pack.domain,
                                   .slots = pack->sessions->len, .pack = pack->state.pack.id, .user = pack };
  }
  if (!hf_recopy(&recopy, sources, rest->len, error))
    return FALSE;
  for (guint i = 0; i < rest->len; i++)
    if (sources[i].done)
      g_ptr_array_add(done, rest->pdata[i]);
  collect->result->rewritten_packs += recopy.packs;
  collect->result->rewritten_bytes += recopy.bytes;
  return TRUE;
}
