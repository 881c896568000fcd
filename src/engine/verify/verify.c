/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "engine/verify/verify.h"

#include "base/error.h"
#include "engine/verify/check.h"
#include "repo/objects.h"
#include "repo/session.h"

static void affected_free(gpointer data)
{
  HfAffected *affected = data;
  g_free(affected->path);
  g_free(affected);
}

static void result_init(HfVerifyResult *result)
{
  *result = (HfVerifyResult){ 0 };
  result->places = g_array_new(FALSE, FALSE, sizeof(HfPlace));
  result->weak = g_array_new(FALSE, FALSE, sizeof(HfPlace));
  result->affected = g_ptr_array_new_with_free_func(affected_free);
}

void hf_verify_result_clear(HfVerifyResult *result)
{
  g_clear_pointer(&result->places, g_array_unref);
  g_clear_pointer(&result->weak, g_array_unref);
  g_clear_pointer(&result->affected, g_ptr_array_unref);
}

gboolean hf_verify_result_good(const HfVerifyResult *result)
{
  return result->bad_packs == 0 && result->bad_frames == 0 && result->missing_blobs == 0;
}

/* ---- Refs. ---- */

#define ROUNDS_MAX 8u

static void note_missing(const HfId *id, gpointer user)
{
  HfVerifyState *state = user;
  g_array_append_vals(state->missing, id, 1);
}

static gboolean walk_points(HfVerifyState *state, HfLive *live, const GPtrArray *points, GError **error)
{
  g_array_set_size(state->missing, 0);
  for (guint i = 0; i < points->len; i++) {
    const HfPointInfo *info = points->pdata[i];
    if (!hf_live_walk(live, info->point.domain, &info->point.roots, note_missing, state, error))
      return FALSE;
  }
  return TRUE;
}

static void report_missing(HfVerifyState *state)
{
  for (guint i = 0; i < state->missing->len; i++) {
    const HfId *id = &g_array_index(state->missing, HfId, i);
    g_autofree char *hex = hf_hex(id->b, sizeof id->b);
    hf_report_warning(state->repo->report, hex,
                      "a point needs this blob, and it is missing or its refs cannot be read");
  }
  state->result->missing_blobs += state->missing->len;
}

static void report_signers(HfVerifyState *state, const GPtrArray *points)
{
  for (guint i = 0; state->repo->keys && i < points->len; i++) {
    const HfPointInfo *info = points->pdata[i];
    char id[33];
    if (info->known_signer)
      continue;
    hf_point_short_name(info, id);
    state->result->unknown_signers++;
    hf_report_warning(state->repo->report, id, "this point is signed by a writer that is not enrolled");
  }
}

/* ---- Damage is kept in the repository: one list replaces the earlier ones after a whole verification. ---- */

/* Packs that were known as damaged altogether stay so: repair has put them aside, and what was copied out of them
 * counts. */
static GArray *known_places(const HfVerifyState *state)
{
  GArray *places = g_array_new(FALSE, FALSE, sizeof(HfPlace));
  g_autoptr(GArray) packs = hf_index_packs(state->repo->index);
  g_array_append_vals(places, state->result->places->data, state->result->places->len);
  for (guint i = 0; i < packs->len; i++) {
    const HfPackState *pack = &g_array_index(packs, HfPackState, i);
    HfPlace place = { pack->pack.id, HF_PLACE_WHOLE_PACK };
    if (pack->damaged)
      g_array_append_val(places, place);
  }
  return places;
}

static gboolean note_damage(HfVerifyState *state, GError **error)
{
  HfRepo *repo = state->repo;
  gboolean whole = !state->options->points && state->options->sample >= 100;
  g_autoptr(GArray) places = known_places(state);
  g_autoptr(GPtrArray) old = hf_store_list_names(repo->store, "damage/", error);
  if (!old)
    return FALSE;
  for (guint i = 0; i < state->result->places->len; i++)
    hf_index_note_damage(repo->index, &g_array_index(state->result->places, HfPlace, i));
  if (repo->read_only)
    return TRUE;
  if (places->len) {
    HfShortId id;
    hf_random(&id, sizeof id);
    g_autofree char *hex = hf_hex(id.b, sizeof id.b), *name = g_strconcat("damage/", hex, NULL);
    g_autoptr(GBytes) record = hf_places_encode(HF_RECORD_DAMAGE, places);
    if (!hf_repo_put_urgent(repo, name, record, error))
      return FALSE;
  }
  for (guint i = 0; whole && i < old->len; i++)
    if (!hf_object_remove(repo->store, old->pdata[i], error))
      return FALSE;
  return TRUE;
}

/* The points as they are now, what they need, and all packs that were not looked at yet. */
static gboolean verify_round(HfVerifyState *state, GPtrArray **all, guint *damaged, GError **error)
{
  HfRepo *repo = state->repo;
  g_clear_pointer(all, g_ptr_array_unref);
  *all = hf_points_load(repo, damaged, error);
  /* After the points: what was committed meanwhile has its packs in it. */
  g_autoptr(HfLive) live = *all && hf_index_refresh(repo->index, error) ? hf_live_new(repo, error) : NULL;
  if (!live || !walk_points(state, live, state->options->points ? state->options->points : *all, error))
    return FALSE;
  state->live = live;
  state->moved = FALSE;
  gboolean done = hf_verify_packs(state, error);
  state->live = NULL;
  return done;
}

/* A prune may sweep, while we look, what it had condemned before we came: what is missing then is looked for anew. */
static gboolean verify_all(HfVerifyState *state, GError **error)
{
  HfRepo *repo = state->repo;
  guint damaged = 0;
  g_autoptr(GPtrArray) all = NULL;
  if (!hf_repo_load_index(repo, error) || !hf_verify_objects(state, error))
    return FALSE;
  for (guint round = 1, missing = 0;; round++) {
    if (!verify_round(state, &all, &damaged, error))
      return FALSE;
    if (!state->moved && (state->missing->len == 0 || state->missing->len == missing))
      break;
    missing = state->missing->len;
    if (round == ROUNDS_MAX)
      return hf_fail(error, HF_ERROR_BUSY, "a prune moves what is to be verified; run verify again when it has ended");
  }
  const GPtrArray *points = state->options->points ? state->options->points : all;
  state->result->missing_blobs += damaged;
  report_missing(state);
  report_signers(state, points);
  if (!note_damage(state, error))
    return FALSE;
  return hf_verify_result_good(state->result) || repo->access == HF_ACCESS_NONE ||
         hf_verify_affected(repo, points, state->result, error);
}

gboolean hf_verify(HfRepo *repo, const HfVerifyOptions *options, HfVerifyResult *result, GError **error)
{
  HfVerifyState state = { .repo = repo, .options = options, .result = result };
  result_init(result);
  if (options->content && repo->access != HF_ACCESS_FULL)
    return hf_fail(error, HF_ERROR_PERMISSION,
                   "verifying contents needs a password or key file; without one, use --stored");
  g_autoptr(HfSession) session = hf_session_open(repo, HF_PURPOSE_READ, error);
  if (!session)
    return FALSE;
  g_mutex_init(&state.lock);
  state.missing = g_array_new(FALSE, FALSE, sizeof(HfId));
  state.verified = g_hash_table_new_full(hf_id_hash, hf_short_id_equal_func, g_free, NULL);
  gboolean done = verify_all(&state, error);
  g_array_unref(state.missing);
  g_hash_table_unref(state.verified);
  g_mutex_clear(&state.lock);
  return done;
}
