/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/error.h"
#include "engine/repair/private.h"
#include "repo/objects.h"

static guint kind_of(const char *base)
{
  if (g_str_has_prefix(base, "keys/"))
    return g_str_has_suffix(base, ".hidden") ? HF_RECORD_SLOT_HIDDEN : HF_RECORD_SLOT;
  if (g_str_has_prefix(base, "writers/"))
    return g_str_has_suffix(base, ".removed") ? HF_RECORD_WRITER_REMOVED : HF_RECORD_WRITER;
  return g_str_has_prefix(base, "ring/") ? HF_RECORD_RING : HF_RECORD_POINT;
}

/* All copies are bad: the sibling has the same object under the same name. */
static gboolean take_from_sibling(HfRepairRun *run, const char *base, guint kind, GError **error)
{
  g_autoptr(GBytes) record = run->from ? hf_triple_get(run->from->store, base, kind, NULL, NULL) : NULL;
  if (!record) {
    hf_report_warning(run->repo->report, base, "all copies of this object are damaged");
    return TRUE;
  }
  for (guint copy = 0; copy < 3; copy++) {
    g_autofree char *name = g_strdup_printf("%s.%u", base, copy);
    if (hf_store_held(run->repo->store, name)) {
      hf_report_warning(run->repo->report, name, "damaged, and immutable until its lock has ended");
      return TRUE;
    }
    if (!hf_object_remove(run->repo->store, name, error))
      return FALSE;
  }
  return hf_triple_put(run->repo->store, base, record, error);
}

static gboolean repair_folder(HfRepairRun *run, const char *folder, GError **error)
{
  g_autoptr(GPtrArray) bases = hf_triple_list(run->repo->store, folder, error);
  for (guint i = 0; bases && i < bases->len; i++) {
    gboolean healthy = FALSE;
    guint kind = kind_of(bases->pdata[i]);
    g_autoptr(GBytes) record = hf_triple_get(run->repo->store, bases->pdata[i], kind, &healthy, NULL);
    if (!record && !take_from_sibling(run, bases->pdata[i], kind, error))
      return FALSE;
    if (record && !healthy)
      hf_triple_heal(run->repo->store, bases->pdata[i], kind, run->repo->report);
  }
  return bases != NULL;
}

gboolean hf_repair_objects(HfRepairRun *run, GError **error)
{
  static const char *const folders[] = { "keys/", "ring/", "writers/", "points/" };
  guint64 packs, blobs;
  hf_triple_heal(run->repo->store, "config", HF_RECORD_CONFIG, run->repo->report);
  for (guint i = 0; i < G_N_ELEMENTS(folders); i++)
    if (!repair_folder(run, folders[i], error))
      return FALSE;
  if (run->result->found.bad_objects == 0)
    return TRUE;
  run->result->made_index = TRUE;
  return hf_index_rebuild(run->repo->store, run->repo->report, &packs, &blobs, error) &&
         hf_repo_load_index(run->repo, error);
}
