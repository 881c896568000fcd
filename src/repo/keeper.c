/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/keeper.h"

#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "repo/live.h"
#include "repo/objects.h"
#include "repo/pointstate.h"
#include "repo/sessionstate.h"

#define CLOCK "clock/"
#define CLOCK_DIGITS 16u
#define WALKS_MAX 4u /* others may move what is walked over as often */

/* ---- The clock. ---- */

static gboolean clock_number(const char *name, guint64 *seconds)
{
  const char *digits = name + strlen(CLOCK);
  char *end;
  *seconds = g_ascii_strtoull(digits, &end, 16);
  return strlen(digits) == CLOCK_DIGITS && *end == '\0';
}

static void clock_name(char out[HF_NAME_BYTES], guint64 seconds)
{
  g_snprintf(out, HF_NAME_BYTES, CLOCK "%016" G_GINT64_MODIFIER "x", seconds);
}

gboolean hf_keeper_clock_open(HfKeeperClock *clock, HfStore *store, GError **error)
{
  g_autoptr(GPtrArray) names = hf_store_list_names(store, CLOCK, error);
  guint64 seconds;
  if (names == NULL)
    return FALSE;
  *clock = (HfKeeperClock){ .since = hf_clock_monotonic_us() };
  for (guint i = 0; i < names->len; i++)
    if (clock_number(names->pdata[i], &seconds))
      clock->start = MAX(clock->start, seconds);
  clock->kept = clock->start;
  return TRUE;
}

guint64 hf_keeper_clock_seconds(const HfKeeperClock *clock)
{
  return clock->start + (guint64)(hf_clock_monotonic_us() - clock->since) / G_USEC_PER_SEC;
}

gboolean hf_keeper_clock_keep(HfKeeperClock *clock, HfStore *store, GError **error)
{
  char name[HF_NAME_BYTES];
  g_autoptr(GError) why = NULL;
  guint64 now = hf_keeper_clock_seconds(clock), old = clock->kept;
  if (now == old)
    return TRUE;
  clock_name(name, now);
  if (!hf_store_put(store, name, NULL, 0, &why) && !hf_error_is(why, HF_ERROR_EXISTS)) {
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
  }
  clock->kept = now;
  clock_name(name, old);
  return old == 0 || hf_object_remove(store, name, error);
}

/* ---- Checks. ---- */

const HfWriter *hf_keeper_signer(HfWriterTable *writers, const HfShortId *writer, guint32 domain, GError **error)
{
  gboolean removed;
  const HfWriter *found = hf_writer_table_find(writers, writer, &removed, NULL);
  if (found != NULL && !removed && found->domain == domain)
    return found;
  hf_fail(error, HF_ERROR_PERMISSION, "the writer %s; enrol the host anew",
          found == NULL ? "is not enrolled in this repository" : removed ? "was removed from this repository"
                                                                         : "belongs to another domain");
  return NULL;
}

static gboolean refuse(const HfId *id, GError **error)
{
  g_autofree char *hex = hf_hex(id->b, sizeof id->b);
  return hf_fail(error, HF_ERROR_REFUSED, "blob '%s' is needed and not stored here; run the backup again", hex);
}

gboolean hf_keeper_resolves(HfRepo *repo, guint32 domain, const HfId *id, GError **error)
{
  HfLocation location;
  gboolean found;
  /* What is not known here may have been stored by another process on this folder, or moved by a prune: visitors are
   * told what the store holds, which may be more than this index knows. */
  if (!hf_index_find(repo->index, domain, id, 0, &found, &location, error) ||
      (!found && (!hf_index_refresh(repo->index, error) ||
                  !hf_index_find(repo->index, domain, id, 0, &found, &location, error))))
    return FALSE;
  if (found && location.standing != HF_STANDING_DAMAGED)
    return TRUE;
  return refuse(id, error);
}

typedef struct Missing {
  HfId first;
  gboolean any;
} Missing;

static void note_missing(const HfId *id, gpointer user)
{
  Missing *missing = user;
  if (!missing->any)
    missing->first = *id;
  missing->any = TRUE;
}

gboolean hf_keeper_resolves_below(HfRepo *repo, guint32 domain, const HfId *root, GError **error)
{
  for (guint walks = 1;; walks++) {
    Missing missing = { .any = FALSE };
    /* A prune may have moved what this index knows elsewhere, also while we look. */
    g_autoptr(HfLive) live = hf_index_refresh(repo->index, error) ? hf_live_new(repo, error) : NULL;
    if (live == NULL || !hf_live_walk(live, domain, root, note_missing, &missing, error))
      return FALSE;
    if (!missing.any)
      return TRUE;
    if (walks == WALKS_MAX)
      return refuse(&missing.first, error);
  }
}

/* ---- Commit. ---- */

/* A copy is also taken of what its writer made before it was removed. */
static const HfWriter *signer_of_copy(HfWriterTable *writers, const HfPoint *point, GError **error)
{
  gboolean removed;
  gint64 when = 0;
  const HfWriter *found = hf_writer_table_find(writers, &point->writer, &removed, &when);
  return found != NULL && removed && found->domain == point->domain && point->time <= when
    ? found
    : hf_keeper_signer(writers, &point->writer, point->domain, error);
}

static gboolean check_point(HfRepo *repo, HfWriterTable *writers, const HfKeeperTerms *terms,
                            const HfShortId *session, const HfPoint *point, GError **error)
{
  const HfWriter *writer = terms->copies ? signer_of_copy(writers, point, error)
                                         : hf_keeper_signer(writers, &point->writer, point->domain, error);
  if (writer == NULL)
    return FALSE;
  if (!terms->copies && !hf_short_id_equal(&point->writer, &terms->writer))
    return hf_fail(error, HF_ERROR_PERMISSION, "the point is by another writer than this connection is for");
  if (!terms->copies && !hf_short_id_equal(&point->session, session))
    return hf_fail(error, HF_ERROR_REFUSED, "the point belongs to another session");
  if (!hf_point_verify(point, writer->public_key))
    return hf_fail(error, HF_ERROR_REFUSED, "the point is not signed by the writer that it names");
  return hf_keeper_resolves(repo, point->domain, &point->roots, error);
}

/* C4: what is published already gives the stamp; only a lock may grow. */
static gboolean stamp_as_before(HfRepo *repo, HfPoint *point)
{
  char base[HF_NAME_BYTES];
  g_auto(HfPoint) before = { 0 };
  hf_name_point(base, &point->id);
  g_autoptr(GBytes) record = hf_triple_get(repo->store, base, HF_RECORD_POINT, NULL, NULL);
  if (record == NULL || !hf_point_decode(record, &before, NULL))
    return FALSE;
  point->sequence = before.sequence;
  point->time = before.time;
  point->lock = MAX(point->lock, before.lock);
  return TRUE;
}

static gboolean stamp(HfRepo *repo, const HfKeeperTerms *terms, HfPoint *point, GError **error)
{
  point->lock = terms->lock == 0 ? 0 : repo->running_seconds + terms->lock;
  if (stamp_as_before(repo, point))
    return TRUE;
  if (terms->copies)
    return TRUE;
  point->time = hf_clock_real_ns();
  return hf_points_next_sequence(repo, &point->sequence, error);
}

static gboolean fenced(GError **error)
{
  return hf_fail(error, HF_ERROR_FENCED, "this session was declared dead; run again, the work is resumed");
}

/* Without its `open` a session has ended, and nothing may come of it any more. */
static gboolean check_open(HfStore *store, const HfShortId *session, GError **error)
{
  char name[HF_NAME_BYTES];
  gboolean open;
  hf_name_session(name, session, "open");
  return hf_object_exists(store, name, &open, error) && (open || fenced(error));
}

gboolean hf_keeper_commit(HfRepo *repo, HfWriterTable *writers, const HfKeeperTerms *terms, const HfShortId *session,
                          GBytes *point_record, GBytes **stamped, GError **error)
{
  g_auto(HfPoint) point = { 0 };
  char name[HF_NAME_BYTES];
  gboolean forgotten;
  g_autoptr(GError) why = NULL;
  if (!hf_point_decode(point_record, &point, error) || !check_open(repo->store, session, error) ||
      !check_point(repo, writers, terms, session, &point, error) ||
      !hf_point_is_forgotten(repo->store, &point.id, &forgotten, error))
    return FALSE;
  if (forgotten)
    return hf_fail(error, HF_ERROR_REFUSED, "this point was forgotten here; it can come back after the next prunes");
  if (!stamp(repo, terms, &point, error))
    return FALSE;
  g_autoptr(GBytes) record = hf_point_encode(&point);
  g_autoptr(GBytes) outcome = hf_outcome_encode(HF_OUTCOME_COMMITTED, record);
  hf_name_session(name, session, "outcome");
  if (!hf_repo_put_urgent(repo, name, outcome, &why)) {
    if (hf_error_is(why, HF_ERROR_EXISTS))
      return fenced(error);
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
  }
  /* That was the commit: what fails from here on is made up for by who opens the repository next. */
  if (!hf_session_finish(repo, session, record, &why))
    hf_report_warning(repo->report, NULL, "the point is committed, but its copies are not yet complete: %s",
                      why->message);
  if (stamped != NULL)
    *stamped = g_steal_pointer(&record);
  return TRUE;
}

/* ---- The end of a visitor. ---- */

void hf_keeper_note_session(HfStore *store, const HfShortId *session)
{
  char name[HF_NAME_BYTES];
  HfSessionOpen service = { .id = *session, .purpose = HF_PURPOSE_READ, .started = hf_clock_real_ns() };
  hf_process_identity(&service);
  g_autoptr(GBytes) record = hf_session_open_encode(&service);
  hf_name_session(name, session, HF_SESSION_SERVED);
  hf_store_put(store, name, g_bytes_get_data(record, NULL), g_bytes_get_size(record), NULL);
}

gboolean hf_keeper_end_session(HfRepo *repo, const HfShortId *session, GError **error)
{
  char folder[HF_NAME_BYTES], name[HF_NAME_BYTES];
  gboolean open = FALSE, decided = FALSE, checkpoint = FALSE;
  hf_name_session(folder, session, "");
  g_autoptr(GPtrArray) names = hf_store_list_names(repo->store, folder, error);
  if (names == NULL)
    return FALSE;
  for (guint i = 0; i < names->len; i++) {
    const char *part = strrchr(names->pdata[i], '/') + 1;
    open = open || g_str_equal(part, "open");
    decided = decided || g_str_equal(part, "outcome");
    checkpoint = checkpoint || g_str_has_prefix(part, "checkpoint.");
  }
  if (names->len == 0 || decided)
    return TRUE;
  if (!open || !checkpoint)
    return hf_session_remove(repo->store, session, error);
  g_autoptr(GBytes) record = hf_outcome_encode(HF_OUTCOME_ENDED, NULL);
  hf_name_session(name, session, "outcome");
  return hf_repo_put_urgent(repo, name, record, error);
}

gboolean hf_keeper_clear_sessions(HfRepo *repo, guint patience_seconds, GError **error)
{
  g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(HfShortId));
  g_autoptr(GPtrArray) infos = hf_sessions_list(repo, NULL, error);
  guint fenced = 0;
  if (infos == NULL)
    return FALSE;
  for (guint i = 0; i < infos->len; i++) {
    const HfSessionInfo *info = infos->pdata[i];
    if (!info->opened || info->has_outcome || info->served_by_us)
      continue;
    if (!info->served) {
      g_array_append_val(ids, info->open.id);
      continue;
    }
    if (!hf_session_fence(repo, &info->open.id, error))
      return FALSE;
    fenced++;
  }
  /* What another service left behind is not kept waiting by what has to be watched. */
  if (fenced > 0 && !hf_sessions_tidy(repo, error))
    return FALSE;
  guint strangers = ids->len;
  return strangers == 0 ||
    (hf_sessions_settle(repo, ids, patience_seconds, error) &&
     (ids->len == strangers || hf_sessions_tidy(repo, error)));
}
