/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "engine/repair/repair.h"

#include "base/error.h"
#include "engine/repair/private.h"
#include "repo/objects.h"
#include "repo/session.h"

void hf_repair_result_clear(HfRepairResult *result)
{
  hf_verify_result_clear(&result->found);
}

static char *new_name(const char *prefix)
{
  HfShortId id;
  hf_random(&id, sizeof id);
  g_autofree char *hex = hf_hex(id.b, sizeof id.b);
  return g_strconcat(prefix, hex, NULL);
}

/* New records first, then the old ones go: interrupted in between, both say the same. */
static gboolean replace_records(HfRepo *repo, const char *folder, const char *prefix, GBytes *record, GError **error)
{
  g_autoptr(GPtrArray) old = hf_store_list_names(repo->store, folder, error);
  g_autofree char *name = new_name(prefix);
  if (!old || (record && !hf_repo_put_urgent(repo, name, record, error)))
    return FALSE;
  for (guint i = 0; i < old->len; i++)
    if (g_str_has_prefix(old->pdata[i], prefix) && !hf_object_remove(repo->store, old->pdata[i], error))
      return FALSE;
  return TRUE;
}

/* What an earlier repair has put aside and verify therefore passed over stays so, until prune has taken it away. */
static void keep_aside(HfRepairRun *run)
{
  g_autoptr(GArray) packs = hf_index_packs(run->repo->index);
  for (guint i = 0; i < packs->len; i++) {
    const HfPackState *pack = &g_array_index(packs, HfPackState, i);
    HfPlace place = { pack->pack.id, HF_PLACE_WHOLE_PACK };
    if (pack->damaged && !hf_repair_is_aside(run, &pack->pack.id))
      g_array_append_val(run->aside, place);
  }
}

static gboolean record_state(HfRepairRun *run, GError **error)
{
  g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(HfId));
  GHashTableIter iter;
  gpointer id;
  keep_aside(run);
  g_hash_table_iter_init(&iter, run->lost);
  while (g_hash_table_iter_next(&iter, &id, NULL))
    g_array_append_vals(ids, id, 1);
  g_autoptr(GBytes) lost = ids->len ? hf_lost_encode(ids) : NULL;
  g_autoptr(GBytes) damage = run->aside->len ? hf_places_encode(HF_RECORD_DAMAGE, run->aside) : NULL;
  return replace_records(run->repo, "gc/", "gc/lost.", lost, error) &&
         replace_records(run->repo, "damage/", "damage/", damage, error);
}

static gboolean repair_all(HfRepairRun *run, GError **error)
{
  HfRepo *repo = run->repo;
  HfVerifyOptions verify = { .content = repo->access == HF_ACCESS_FULL, .sample = 100 };
  if (!hf_verify(repo, &verify, &run->result->found, error))
    return FALSE;
  if (run->from && !hf_repo_load_index(run->from, error))
    return FALSE;
  return hf_repair_objects(run, error) && hf_repair_packs(run, error) && hf_repair_fetch(run, error) &&
         hf_repair_redundancy(run, error) && record_state(run, error) && hf_index_flush(repo->index, TRUE, error);
}

gboolean hf_repair(HfRepo *repo, HfRepo *from, HfRepairResult *result, GError **error)
{
  *result = (HfRepairResult){ 0 };
  if (repo->read_only)
    return hf_fail(error, HF_ERROR_PERMISSION, "'%s' cannot be written; repair needs that", repo->store->location);
  if (from && !hf_short_id_equal(&from->config.family, &repo->config.family))
    return hf_fail(error, HF_ERROR_USAGE, "'%s' has other keys: only a sibling (init --like) can help to repair",
                   from->store->location);
  g_autoptr(HfSession) session = hf_session_open(repo, HF_PURPOSE_REPAIR, error);
  g_autoptr(HfSession) lease = session && from ? hf_session_open(from, HF_PURPOSE_READ, error) : NULL;
  if (!session || (from && !lease))
    return FALSE;
  HfRepairRun run = { .repo = repo, .from = from, .result = result };
  run.lost = g_hash_table_new_full(hf_id_hash, hf_id_equal_func, g_free, NULL);
  run.aside = g_array_new(FALSE, FALSE, sizeof(HfPlace));
  gboolean done = repair_all(&run, error);
  g_hash_table_unref(run.lost);
  g_array_unref(run.aside);
  return done;
}
