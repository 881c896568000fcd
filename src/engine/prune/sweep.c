/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/clock.h"
#include "base/error.h"
#include "engine/prune/collect.h"
#include "repo/objects.h"
#include "repo/points.h"

#define DAY_NS (G_GINT64_CONSTANT(86400) * 1000000000)
#define SLACK_NS (G_GINT64_CONSTANT(600) * 1000000000) /* by which the clocks of hosts may differ */

static guint64 pack_bytes(HfStore *store, HfPackKind kind, const HfShortId *pack)
{
  char name[HF_NAME_BYTES];
  guint64 size = 0;
  hf_name_pack(name, kind, pack);
  return hf_store_size(store, name, &size, NULL) ? size : 0;
}

/* Adds it to `held`, and counts it. */
static void note_held(HfCollect *collect, const HfShortId *pack, GArray *held)
{
  g_array_append_val(held, *pack);
  collect->result->held_packs++;
  collect->result->held_bytes += pack_bytes(collect->repo->store, HF_PACK_DATA, pack) +
                                 pack_bytes(collect->repo->store, HF_PACK_META, pack);
}

/* Of both kinds: a mark does not say which it is. One that is held since it was asked is added to `held`. */
static gboolean remove_pack(HfCollect *collect, const HfShortId *pack, GArray *held, GError **error)
{
  HfStore *store = collect->repo->store;
  guint64 bytes = pack_bytes(store, HF_PACK_DATA, pack) + pack_bytes(store, HF_PACK_META, pack);
  char names[4][HF_NAME_BYTES];
  hf_name_pack(names[0], HF_PACK_DATA, pack);
  hf_name_pack(names[1], HF_PACK_META, pack);
  hf_name_mirror(names[2], pack);
  hf_name_parity(names[3], pack);
  for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
    g_autoptr(GError) why = NULL;
    if (hf_object_remove(store, names[i], &why))
      continue;
    if (hf_store_held(store, names[i])) {
      note_held(collect, pack, held);
      return TRUE;
    }
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
  }
  collect->result->swept_packs++;
  collect->result->swept_bytes += bytes;
  return TRUE;
}

/* Has any point come since the mark, or is there any checkpoint? */
static gboolean anything_new(HfCollect *collect, const HfMark *mark, gboolean *found, GError **error)
{
  g_autoptr(GPtrArray) points = hf_points_load(collect->repo, NULL, error);
  g_autoptr(GPtrArray) sessions = points ? hf_sessions_list(collect->repo, collect->session, error) : NULL;
  *found = FALSE;
  for (guint i = 0; points && i < points->len; i++)
    *found = *found || !hf_short_ids_have(mark->points, &((HfPointInfo *)points->pdata[i])->point.id);
  for (guint i = 0; sessions && i < sessions->len; i++)
    *found = *found || ((HfSessionInfo *)sessions->pdata[i])->has_checkpoint;
  return sessions != NULL;
}

/* Copies what points that came since the mark, and checkpoints, need of the condemned packs. */
static gboolean copy_what_lives(HfCollect *collect, const HfMark *mark, const GArray *held, GPtrArray **kept,
                                HfLive **live, GError **error)
{
  gboolean found;
  *kept = g_ptr_array_new();
  *live = NULL;
  if (!anything_new(collect, mark, &found, error))
    return FALSE;
  if (!found)
    return TRUE;
  *live = hf_collect_live(collect, mark->points, NULL, error);
  if (!*live)
    return FALSE;
  g_autoptr(GPtrArray) packs = g_ptr_array_new();
  GPtrArray *all = hf_live_packs(*live);
  for (guint i = 0; i < all->len; i++) {
    HfLivePack *pack = all->pdata[i];
    if (pack->live_blobs && hf_short_ids_have(mark->packs, &pack->state.pack.id) &&
        !hf_short_ids_have(held, &pack->state.pack.id))
      g_ptr_array_add(packs, pack);
  }
  g_autoptr(GPtrArray) done = g_ptr_array_new();
  if (packs->len && !hf_rewrite(collect, packs, done, error))
    return FALSE;
  for (guint i = 0; i < packs->len; i++)
    if (!g_ptr_array_find(done, packs->pdata[i], NULL))
      g_ptr_array_add(*kept, packs->pdata[i]);
  return TRUE;
}

static gboolean is_kept(const GPtrArray *kept, const HfShortId *pack)
{
  for (guint i = 0; i < kept->len; i++)
    if (hf_short_id_equal(&((HfLivePack *)kept->pdata[i])->state.pack.id, pack))
      return TRUE;
  return FALSE;
}

/* ---- Who may still read what was forgotten. ---- */

/* Tombstones of points that came after the mark and were forgotten since: nobody will copy what they need. */
static GArray *forgotten_since(HfCollect *collect, const HfMark *mark, GError **error)
{
  g_autoptr(GPtrArray) names = hf_store_list_names(collect->repo->store, "points/", error);
  if (!names)
    return NULL;
  GArray *times = g_array_new(FALSE, FALSE, sizeof(gint64));
  for (guint i = 0; i < names->len; i++) {
    HfShortId id;
    gint64 time;
    if (!g_str_has_suffix(names->pdata[i], ".gone"))
      continue;
    g_autoptr(GBytes) record = hf_store_get_all(collect->repo->store, names->pdata[i], 65536, NULL);
    if (record && hf_notice_decode(record, HF_RECORD_TOMBSTONE, NULL, &id, &time, NULL) &&
        time >= mark->time - SLACK_NS && !hf_short_ids_have(mark->points, &id))
      g_array_append_val(times, time);
  }
  return times;
}

/* Adds sessions that were open when such a point was forgotten: they may be reading it, and they are not in the mark
 * when they came after it. */
static gboolean wait_for_readers(HfCollect *collect, const HfMark *mark, GArray *waiting, GError **error)
{
  g_autoptr(GPtrArray) sessions = hf_sessions_list(collect->repo, collect->session, error);
  g_autoptr(GArray) times = sessions && sessions->len ? forgotten_since(collect, mark, error) : NULL;
  if (!times)
    return sessions && sessions->len == 0;
  for (guint i = 0; i < sessions->len; i++) {
    const HfSessionInfo *info = sessions->pdata[i];
    gboolean reads = FALSE;
    for (guint t = 0; t < times->len; t++)
      reads = reads || info->open.started <= g_array_index(times, gint64, t) + SLACK_NS;
    if (reads && info->opened && !info->has_outcome && !info->dead_here)
      g_array_append_val(waiting, info->open.id);
  }
  return hf_sessions_settle(collect->repo, waiting, 0, error);
}

static void remove_tombstones(HfCollect *collect, const HfMark *mark)
{
  g_autoptr(GPtrArray) names = hf_store_list_names(collect->repo->store, "points/", NULL);
  for (guint i = 0; names && i < names->len; i++) {
    HfShortId id;
    gint64 time;
    char base[HF_NAME_BYTES];
    if (!g_str_has_suffix(names->pdata[i], ".gone"))
      continue;
    g_autoptr(GBytes) record = hf_store_get_all(collect->repo->store, names->pdata[i], 65536, NULL);
    if (!record || !hf_notice_decode(record, HF_RECORD_TOMBSTONE, NULL, &id, &time, NULL) || time >= mark->time ||
        time >= hf_clock_real_ns() - DAY_NS)
      continue;
    /* A copy that stayed would bring the point back. */
    hf_name_point(base, &id);
    if (hf_triple_remove(collect->repo->store, base, NULL))
      (void)hf_store_remove(collect->repo->store, names->pdata[i], NULL);
  }
}

static void count_waiting(HfCollect *collect, const HfMark *mark)
{
  for (guint i = 0; i < mark->packs->len; i++) {
    const HfShortId *pack = &g_array_index(mark->packs, HfShortId, i);
    collect->result->waiting_packs++;
    collect->result->waiting_bytes += pack_bytes(collect->repo->store, HF_PACK_DATA, pack) +
                                      pack_bytes(collect->repo->store, HF_PACK_META, pack);
  }
}

/* G5: those of the mark that are held. Asked once: what was not copied must not go because its hold ends meanwhile. */
static GArray *find_held(HfCollect *collect, const HfMark *mark)
{
  GArray *held = g_array_new(FALSE, FALSE, sizeof(HfShortId));
  for (guint i = 0; i < mark->packs->len; i++) {
    const HfShortId *pack = &g_array_index(mark->packs, HfShortId, i);
    if (hf_collect_held(collect, pack))
      note_held(collect, pack, held);
  }
  return held;
}

/* G6: without its `open` this session was taken for dead, and another collector may be at work. */
static gboolean still_open(HfCollect *collect, GError **error)
{
  char name[HF_NAME_BYTES];
  gboolean open;
  hf_name_session(name, hf_session_id(collect->session), "open");
  return hf_object_exists(collect->repo->store, name, &open, error) &&
         (open || hf_fail(error, HF_ERROR_FENCED, "this prune was taken for dead, and removes no more; run it again"));
}

static gboolean sweep_mark(HfCollect *collect, const HfMark *mark, guint64 generation, GError **error)
{
  g_autoptr(HfLive) live = NULL;
  g_autoptr(GPtrArray) kept = NULL;
  g_autoptr(GArray) held = find_held(collect, mark);
  if (!hf_sessions_tidy(collect->repo, error) || !hf_index_refresh(collect->repo->index, error) ||
      !copy_what_lives(collect, mark, held, &kept, &live, error))
    return FALSE;
  for (guint i = 0; i < mark->packs->len; i++) {
    const HfShortId *pack = &g_array_index(mark->packs, HfShortId, i);
    if (hf_cancelled(collect->repo->cancel, error) || !still_open(collect, error))
      return FALSE;
    if (!is_kept(kept, pack) && !hf_short_ids_have(held, pack) && !remove_pack(collect, pack, held, error))
      return FALSE;
  }
  if (kept->len || held->len)
    return TRUE; /* what could not be read stays condemned until it was repaired, what is held until it is not */
  remove_tombstones(collect, mark);
  char name[HF_NAME_BYTES];
  g_snprintf(name, sizeof name, "gc/mark.%016" G_GINT64_MODIFIER "x", generation);
  return hf_object_remove(collect->repo->store, name, error);
}

gboolean hf_sweep(HfCollect *collect, guint64 generation, GError **error)
{
  HfMark mark;
  g_autoptr(GError) problem = NULL;
  if (!hf_mark_read(collect, generation, &mark, &problem)) {
    if (hf_error_is(problem, HF_ERROR_NOT_FOUND))
      return TRUE; /* another has swept it meanwhile */
    g_propagate_error(error, g_steal_pointer(&problem));
    return FALSE;
  }
  g_autoptr(GArray) waiting = g_array_new(FALSE, FALSE, sizeof(HfShortId));
  g_array_append_vals(waiting, mark.sessions->data, mark.sessions->len);
  gboolean good = collect->options->dry_run ||
                  (hf_sessions_settle(collect->repo, waiting, 0, error) &&
                   (waiting->len > 0 || wait_for_readers(collect, &mark, waiting, error)));
  if (good && (waiting->len || collect->options->dry_run)) {
    collect->result->sessions_waited_for += waiting->len;
    count_waiting(collect, &mark);
  } else if (good) {
    good = sweep_mark(collect, &mark, generation, error);
  }
  hf_mark_clear(&mark);
  return good;
}
