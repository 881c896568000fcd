/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "engine/prune/collect.h"
#include "repo/objects.h"

#define SEALS_KEPT 1000u
#define MARK_TRIES 8u

static void gc_name(char out[HF_NAME_BYTES], const char *what, guint64 generation)
{
  g_snprintf(out, HF_NAME_BYTES, "gc/%s.%016" G_GINT64_MODIFIER "x", what, generation);
}

/* Numbers of "gc/WHAT.N", rising. */
static GArray *list_numbers(HfStore *store, const char *what, GError **error)
{
  g_autoptr(GPtrArray) names = hf_store_list_names(store, "gc/", error);
  if (!names)
    return NULL;
  g_autofree char *prefix = g_strdup_printf("gc/%s.", what);
  GArray *numbers = g_array_new(FALSE, FALSE, sizeof(guint64));
  for (guint i = 0; i < names->len; i++)
    if (g_str_has_prefix(names->pdata[i], prefix)) {
      guint64 number = g_ascii_strtoull((const char *)names->pdata[i] + strlen(prefix), NULL, 16);
      g_array_append_val(numbers, number);
    }
  return numbers;
}

static gboolean read_seal(HfCollect *collect, guint64 generation, HfSeal *seal, GError **error)
{
  char name[HF_NAME_BYTES];
  gc_name(name, "seal", generation);
  g_autoptr(GBytes) record = hf_store_get_all(collect->repo->store, name, HF_RECORD_BYTES_LIMIT, error);
  return record && hf_seal_decode(record, seal, error);
}

/* Creates the seal; when another has created it already, *seal becomes that one. */
static gboolean create_seal(HfCollect *collect, guint64 generation, HfSeal *seal, GError **error)
{
  char name[HF_NAME_BYTES];
  g_autoptr(GError) problem = NULL;
  seal->collector = *hf_session_id(collect->session);
  g_autoptr(GBytes) record = hf_seal_encode(seal);
  gc_name(name, "seal", generation);
  if (hf_repo_put_urgent(collect->repo, name, record, &problem))
    return TRUE;
  if (!hf_error_is(problem, HF_ERROR_EXISTS)) {
    g_propagate_error(error, g_steal_pointer(&problem));
    return FALSE;
  }
  return read_seal(collect, generation, seal, error);
}

static gboolean remove_object(HfCollect *collect, const char *what, guint64 generation, GError **error)
{
  char name[HF_NAME_BYTES];
  gc_name(name, what, generation);
  return hf_object_remove(collect->repo->store, name, error);
}

static gboolean has_number(const GArray *numbers, guint64 number)
{
  for (guint i = 0; i < numbers->len; i++)
    if (g_array_index(numbers, guint64, i) == number)
      return TRUE;
  return FALSE;
}

/* *ours: the seal of this number is ours and void, so that no other collector has done anything with the number. */
static gboolean void_mark(HfCollect *collect, guint64 generation, gboolean *ours, GError **error)
{
  HfSeal seal = { .sealed = FALSE };
  if (!create_seal(collect, generation, &seal, error))
    return FALSE;
  *ours = !seal.sealed && hf_short_id_equal(&seal.collector, hf_session_id(collect->session));
  return seal.sealed || remove_object(collect, "mark", generation, error);
}

gboolean hf_mark_number(HfCollect *collect, guint64 *generation, GError **error)
{
  g_autoptr(GArray) seals = list_numbers(collect->repo->store, "seal", error);
  g_autoptr(GArray) marks = seals ? list_numbers(collect->repo->store, "mark", error) : NULL;
  if (!marks)
    return FALSE;
  *generation = 0;
  for (guint i = 0; i < seals->len; i++)
    *generation = MAX(*generation, g_array_index(seals, guint64, i));
  for (guint i = 0; i < marks->len; i++) {
    guint64 number = g_array_index(marks, guint64, i);
    *generation = MAX(*generation, number);
    gboolean ours;
    if (!collect->options->dry_run && !has_number(seals, number) && !void_mark(collect, number, &ours, error))
      return FALSE;
  }
  for (guint i = 0; !collect->options->dry_run && i + SEALS_KEPT < seals->len; i++) {
    guint64 number = g_array_index(seals, guint64, i);
    if (!has_number(marks, number) && !remove_object(collect, "seal", number, error))
      return FALSE;
  }
  ++*generation;
  return TRUE;
}

/* Sessions at work, but for our own: their ids. Those over, or of processes that are gone, are settled first. */
static GArray *open_sessions(HfCollect *collect, GError **error)
{
  g_autoptr(GArray) ids = hf_collect_open(collect, NULL, error);
  return ids && hf_sessions_settle(collect->repo, ids, 0, error) ? g_steal_pointer(&ids) : NULL;
}

static gboolean all_known(const GArray *ids, const GArray *known)
{
  for (guint i = 0; i < ids->len; i++)
    if (!hf_short_ids_have(known, &g_array_index(ids, HfShortId, i)))
      return FALSE;
  return TRUE;
}

static gboolean put_mark(HfCollect *collect, guint64 generation, const GArray *sessions, const GArray *points,
                         const GPtrArray *packs, GError **error)
{
  char name[HF_NAME_BYTES];
  HfMark mark;
  hf_mark_init(&mark);
  mark.generation = generation;
  mark.time = hf_clock_real_ns();
  mark.collector = *hf_session_id(collect->session);
  g_array_append_vals(mark.sessions, sessions->data, sessions->len);
  g_array_append_vals(mark.points, points->data, points->len);
  for (guint i = 0; i < packs->len; i++)
    g_array_append_val(mark.packs, ((HfLivePack *)packs->pdata[i])->state.pack.id);
  g_autoptr(GBytes) record = hf_mark_encode(&mark);
  hf_mark_clear(&mark);
  gc_name(name, "mark", generation);
  return hf_repo_put_urgent(collect->repo, name, record, error);
}

gboolean hf_mark_write(HfCollect *collect, guint64 *generation, const GArray *points, const GPtrArray *packs,
                       gboolean *sealed, GError **error)
{
  *sealed = FALSE;
  for (guint tries = 0; tries < MARK_TRIES; tries++, ++*generation) {
    g_autoptr(GError) problem = NULL;
    g_autoptr(GArray) sessions = open_sessions(collect, error);
    if (!sessions)
      return FALSE;
    if (!put_mark(collect, *generation, sessions, points, packs, &problem)) {
      if (hf_error_is(problem, HF_ERROR_EXISTS))
        return TRUE; /* another collector has this number: our walk may be out of date */
      g_propagate_error(error, g_steal_pointer(&problem));
      return FALSE;
    }
    g_autoptr(GArray) now = open_sessions(collect, error);
    if (!now)
      return FALSE;
    if (!all_known(now, sessions)) {
      gboolean ours;
      if (!void_mark(collect, *generation, &ours, error))
        return FALSE;
      if (!ours) /* another had this number, and may have swept by it: our walk is out of date */
        return remove_object(collect, "mark", *generation, error);
      continue;
    }
    HfSeal seal = { .sealed = TRUE };
    if (!create_seal(collect, *generation, &seal, error))
      return FALSE;
    *sealed = seal.sealed && hf_short_id_equal(&seal.collector, hf_session_id(collect->session));
    return *sealed || remove_object(collect, "mark", *generation, error);
  }
  return TRUE;
}

/* Takes away a mark that counts for nothing, or (`why`) cannot be read. */
static gboolean drop_mark(HfCollect *collect, guint64 generation, const GError *why, GError **error)
{
  char name[HF_NAME_BYTES];
  gc_name(name, "mark", generation);
  if (why)
    hf_report_warning(collect->repo->report, name, "%s; what it condemned is looked at anew", why->message);
  return collect->options->dry_run || remove_object(collect, "mark", generation, error);
}

/* G6. *counts: it is sealed, and can be read. A mark whose seal is not there is somebody's who has only begun. */
static gboolean judge_mark(HfCollect *collect, guint64 generation, gboolean *counts, GError **error)
{
  HfSeal seal = { .sealed = FALSE };
  HfMark mark;
  g_autoptr(GError) why = NULL;
  *counts = FALSE;
  if (!read_seal(collect, generation, &seal, &why))
    return hf_error_is(why, HF_ERROR_NOT_FOUND) || drop_mark(collect, generation, why, error);
  *counts = seal.sealed && hf_mark_read(collect, generation, &mark, &why);
  if (*counts) {
    hf_mark_clear(&mark);
    return TRUE;
  }
  return drop_mark(collect, generation, hf_error_is(why, HF_ERROR_NOT_FOUND) ? NULL : why, error);
}

GArray *hf_mark_sealed(HfCollect *collect, GError **error)
{
  g_autoptr(GArray) marks = list_numbers(collect->repo->store, "mark", error);
  g_autoptr(GArray) sealed = g_array_new(FALSE, FALSE, sizeof(guint64));
  for (guint i = 0; marks && i < marks->len; i++) {
    guint64 number = g_array_index(marks, guint64, i);
    gboolean counts;
    if (!judge_mark(collect, number, &counts, error))
      return NULL;
    if (counts)
      g_array_append_val(sealed, number);
  }
  return marks ? g_steal_pointer(&sealed) : NULL;
}

gboolean hf_mark_read(HfCollect *collect, guint64 generation, HfMark *mark, GError **error)
{
  char name[HF_NAME_BYTES];
  gc_name(name, "mark", generation);
  g_autoptr(GBytes) record = hf_store_get_all(collect->repo->store, name, HF_RECORD_BYTES_LIMIT, error);
  if (!record || !hf_mark_decode(record, mark, error))
    return FALSE;
  HfSeal seal;
  gboolean read = read_seal(collect, generation, &seal, error);
  if (read && seal.sealed && hf_short_id_equal(&seal.collector, &mark->collector))
    return TRUE;
  hf_mark_clear(mark);
  return read && hf_fail(error, HF_ERROR_NOT_FOUND, "mark %" G_GUINT64_FORMAT " does not count", generation);
}
