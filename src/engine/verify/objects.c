/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Config, keys, ring, writers, points in three copies; index runs; what collection and repair have put down. */
#include "base/error.h"
#include "engine/verify/check.h"
#include "repo/indexrun.h"
#include "repo/objects.h"

#define LOOKS 10u /* for a copy that is not there yet */
#define LOOK_US (G_USEC_PER_SEC / 10)
#define OTHER_COPIES "'holdfast repair' restores it from its other copies"

static void note_object(HfVerifyState *state, const char *name, const char *message)
{
  state->result->bad_objects++;
  hf_report_warning(state->repo->report, name, "%s", message);
}

static gboolean check_record(HfVerifyState *state, const char *name, const char *advice, GError **error)
{
  g_autoptr(GError) problem = NULL;
  g_autoptr(GBytes) record = hf_store_get_all(state->repo->store, name, HF_RECORD_BYTES_LIMIT, &problem);
  gsize length = 0;
  const guint8 *bytes = record ? g_bytes_get_data(record, &length) : NULL;
  HfView body;
  state->result->objects++;
  /* The kind stands at byte 10: whatever it is, the digest must be right. */
  if (record && length > 12 && hf_record_open(bytes, length, hf_load_u16(bytes + 10), name, &body, &problem))
    return TRUE;
  if (problem && hf_error_is(problem, HF_ERROR_IO)) {
    g_propagate_error(error, g_steal_pointer(&problem));
    return FALSE;
  }
  g_autofree char *message = g_strdup_printf("%s; %s", problem ? problem->message : "too short", advice);
  note_object(state, name, message);
  return TRUE;
}

static gboolean any_copy(HfVerifyState *state, const char *base, gboolean *any, GError **error)
{
  *any = FALSE;
  for (guint copy = 0; copy < HF_COPIES && !*any; copy++) {
    g_autofree char *name = g_strdup_printf("%s.%u", base, copy);
    if (!hf_object_exists(state->repo->store, name, any, error))
      return FALSE;
  }
  return TRUE;
}

/* A copy that is not there may be of a record that is just being published, or taken away. *gone: taken away. What is
 * missing for good is waited for once. */
static gboolean await_copy(HfVerifyState *state, const char *base, const char *name, gboolean *gone, GError **error)
{
  g_autofree char *tombstone = g_strconcat(base, ".gone", NULL);
  *gone = FALSE;
  for (guint look = 0; look < LOOKS; look++) {
    gboolean there, any;
    if (!hf_object_exists(state->repo->store, name, &there, error))
      return FALSE;
    if (there)
      return TRUE;
    if (!hf_object_exists(state->repo->store, tombstone, gone, error) || !any_copy(state, base, &any, error))
      return FALSE;
    *gone = *gone || !any;
    if (*gone || state->waited)
      return TRUE;
    g_usleep(LOOK_US);
  }
  state->waited = TRUE;
  return TRUE;
}

static gboolean check_triples(HfVerifyState *state, const char *folder, GError **error)
{
  g_autoptr(GPtrArray) bases = hf_triple_list(state->repo->store, folder, error);
  if (!bases)
    return FALSE;
  for (guint i = 0; i < bases->len; i++)
    for (guint copy = 0; copy < HF_COPIES; copy++) {
      g_autofree char *name = g_strdup_printf("%s.%u", (char *)bases->pdata[i], copy);
      gboolean gone;
      if (!await_copy(state, bases->pdata[i], name, &gone, error) ||
          (!gone && !check_record(state, name, OTHER_COPIES, error)))
        return FALSE;
    }
  return TRUE;
}

static gboolean check_run(HfVerifyState *state, const char *name, GError **error)
{
  g_autoptr(GError) problem = NULL;
  g_autoptr(HfRun) run = hf_run_open(state->repo->store, name, &problem);
  state->result->objects++;
  if (run) {
    HfRunScan scan;
    HfIndexEntry entry;
    hf_run_scan_init(&scan, run);
    while (hf_run_scan_next(&scan, &entry, &problem))
      ;
    hf_run_scan_clear(&scan);
  }
  if (!problem || hf_error_is(problem, HF_ERROR_NOT_FOUND))
    return TRUE;
  if (hf_error_is(problem, HF_ERROR_IO)) {
    g_propagate_error(error, g_steal_pointer(&problem));
    return FALSE;
  }
  g_autofree char *message = g_strdup_printf("%s; 'holdfast rebuild' makes the index anew", problem->message);
  note_object(state, name, message);
  return TRUE;
}

/* Records that stand once, and the verb that looks anew at what they were about. */
static gboolean check_singles(HfVerifyState *state, GError **error)
{
  static const struct {
    const char *prefix, *verb;
  } singles[] = { { "gc/mark.", "prune" }, { "gc/thin.", "prune" }, { "gc/lost.", "repair" } };
  g_autoptr(GPtrArray) names = hf_store_list_names(state->repo->store, "gc/", error);
  for (guint i = 0; names && i < names->len; i++)
    for (guint s = 0; s < G_N_ELEMENTS(singles); s++) {
      g_autofree char *advice = g_strdup_printf("'holdfast %s' looks at it anew", singles[s].verb);
      gboolean there = FALSE; /* a prune may be at work */
      if (g_str_has_prefix(names->pdata[i], singles[s].prefix) &&
          (!hf_object_exists(state->repo->store, names->pdata[i], &there, error) ||
           (there && !check_record(state, names->pdata[i], advice, error))))
        return FALSE;
    }
  return names != NULL;
}

gboolean hf_verify_objects(HfVerifyState *state, GError **error)
{
  static const char *const folders[] = { "keys/", "ring/", "writers/", "points/" };
  for (guint copy = 0; copy < 3; copy++) {
    g_autofree char *name = g_strdup_printf("config.%u", copy);
    if (!check_record(state, name, OTHER_COPIES, error))
      return FALSE;
  }
  for (guint i = 0; i < G_N_ELEMENTS(folders); i++)
    if (!check_triples(state, folders[i], error))
      return FALSE;
  g_autoptr(GPtrArray) runs = hf_store_list_names(state->repo->store, "index/", error);
  if (!runs)
    return FALSE;
  for (guint i = 0; i < runs->len; i++)
    if (!check_run(state, runs->pdata[i], error))
      return FALSE;
  return check_singles(state, error);
}
