/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/error.h"
#include "engine/repair/private.h"
#include "repo/objects.h"
#include "repo/parity.h"

#define COPY_BYTES (1u << 20)

typedef struct Source {
  HfStore *store;
  const char *name;
} Source;

static gboolean read_object(gpointer data, guint64 offset, void *bytes, gsize length, GError **error)
{
  const Source *source = data;
  return hf_store_get(source->store, source->name, offset, bytes, length, error);
}

/* Copies an object to another name, which must not exist. */
static gboolean copy_object(HfStore *store, const char *from, const char *to, GError **error)
{
  guint64 size;
  if (!hf_store_size(store, from, &size, error))
    return FALSE;
  g_autoptr(HfPut) put = hf_put_begin(store, to, error);
  g_autofree guint8 *bytes = g_malloc(COPY_BYTES);
  for (guint64 at = 0; put && at < size; at += COPY_BYTES) {
    gsize length = (gsize)MIN(COPY_BYTES, size - at);
    struct iovec vector = { bytes, length };
    if (!hf_store_get(store, from, at, bytes, length, error) || !hf_put_write(put, &vector, 1, error))
      return FALSE;
  }
  return put && hf_put_commit(put, error);
}

static gboolean remake_parity(HfRepairRun *run, const HfShortId *pack, const char *name, GError **error)
{
  char parity[HF_NAME_BYTES];
  guint64 size, bytes;
  Source source = { run->repo->store, name };
  hf_name_parity(parity, pack);
  return hf_store_size(run->repo->store, name, &size, error) && hf_object_remove(run->repo->store, parity, error) &&
         hf_parity_make(run->repo->store, pack, size, run->repo->config.parity, read_object, &source, &bytes, error);
}

/* The pack from its mirror when only that is left, else the mirror from the pack. */
static gboolean remake_mirror(HfRepairRun *run, const HfShortId *pack, const char *name, gboolean exists,
                              GError **error)
{
  char mirror[HF_NAME_BYTES];
  hf_name_mirror(mirror, pack);
  if (!exists)
    return copy_object(run->repo->store, mirror, name, error);
  return hf_object_remove(run->repo->store, mirror, error) && copy_object(run->repo->store, name, mirror, error);
}

/* What is damaged beside a pack and cannot be removed yet is made anew by a repair after that. */
static gboolean is_held(HfRepairRun *run, const HfShortId *pack)
{
  char parity[HF_NAME_BYTES], mirror[HF_NAME_BYTES];
  hf_name_parity(parity, pack);
  hf_name_mirror(mirror, pack);
  if (!hf_store_held(run->repo->store, parity) && !hf_store_held(run->repo->store, mirror))
    return FALSE;
  hf_report_warning(run->repo->report, parity, "parity or mirror is damaged, and immutable until its lock has ended");
  return TRUE;
}

gboolean hf_repair_is_aside(const HfRepairRun *run, const HfShortId *pack)
{
  for (guint i = 0; i < run->aside->len; i++)
    if (hf_short_id_equal(&g_array_index(run->aside, HfPlace, i).pack, pack))
      return TRUE;
  return FALSE;
}

gboolean hf_repair_redundancy(HfRepairRun *run, GError **error)
{
  for (guint i = 0; i < run->result->found.weak->len; i++) {
    const HfShortId *pack = &g_array_index(run->result->found.weak, HfPlace, i).pack;
    char data[HF_NAME_BYTES], meta[HF_NAME_BYTES], mirror[HF_NAME_BYTES];
    gboolean has_data, has_meta, has_mirror;
    hf_name_pack(data, HF_PACK_DATA, pack);
    hf_name_pack(meta, HF_PACK_META, pack);
    hf_name_mirror(mirror, pack);
    if (hf_repair_is_aside(run, pack) || is_held(run, pack))
      continue;
    if (!hf_object_exists(run->repo->store, data, &has_data, error) ||
        !hf_object_exists(run->repo->store, meta, &has_meta, error) ||
        !hf_object_exists(run->repo->store, mirror, &has_mirror, error))
      return FALSE;
    if (has_data ? !remake_parity(run, pack, data, error)
                 : (has_meta || has_mirror) && !remake_mirror(run, pack, meta, has_meta, error))
      return FALSE;
    run->result->made_parity++;
  }
  return TRUE;
}
