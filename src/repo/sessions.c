/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Others' sessions: listing, judging, fencing, finishing and clearing away. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "repo/objects.h"
#include "repo/pointstate.h"
#include "repo/sessionstate.h"

#define FOLDER "sessions/"
#define CHECKPOINT_KEPT_NS (7 * 86400 * G_GINT64_CONSTANT(1000000000))

/* ---- Processes. ---- */

/* Start time and state of a process: fields 22 and 3 of its line; FALSE when it cannot be read. */
static gboolean process_start(const char *path, guint64 *start, char *state)
{
  g_autofree char *line = NULL;
  if (!g_file_get_contents(path, &line, NULL, NULL))
    return FALSE;
  /* The name of the program, in parentheses, may hold anything. */
  const char *at = strrchr(line, ')');
  if (at == NULL || at[1] != ' ')
    return FALSE;
  g_auto(GStrv) fields = g_strsplit(at + 2, " ", -1);
  if (g_strv_length(fields) < 20)
    return FALSE;
  *state = fields[0][0];
  *start = g_ascii_strtoull(fields[19], NULL, 10);
  return TRUE;
}

static void read_boot(HfShortId *boot)
{
  g_autofree char *text = NULL;
  memset(boot, 0, sizeof *boot);
  if (!g_file_get_contents("/proc/sys/kernel/random/boot_id", &text, NULL, NULL))
    return;
  g_autoptr(GString) hex = g_string_new(NULL);
  for (const char *at = text; *at != '\0'; at++)
    if (g_ascii_isxdigit(*at))
      g_string_append_c(hex, *at);
  hf_unhex(hex->str, boot->b, sizeof boot->b);
}

void hf_process_identity(HfSessionOpen *open)
{
  struct stat status;
  char state;
  read_boot(&open->boot);
  open->pid = (guint32)getpid();
  open->pid_start = 0;
  process_start("/proc/self/stat", &open->pid_start, &state);
  open->pid_namespace = stat("/proc/self/ns/pid", &status) == 0 ? status.st_ino : 0;
}

/* Same boot, same process namespace: we can ask for the process. Where our own identity cannot be read nothing is
 * known. */
static gboolean is_here(const HfSessionOpen *open, const HfSessionOpen *own)
{
  static const HfShortId no_boot;
  return !hf_short_id_equal(&own->boot, &no_boot) && own->pid_namespace != 0 &&
    hf_short_id_equal(&own->boot, &open->boot) && own->pid_namespace == open->pid_namespace && open->pid != 0 &&
    open->pid <= G_MAXINT32;
}

gboolean hf_process_is_gone(const HfSessionOpen *open)
{
  HfSessionOpen own;
  hf_process_identity(&own);
  if (!is_here(open, &own))
    return FALSE;
  if (kill((pid_t)open->pid, 0) < 0 && errno == ESRCH)
    return TRUE;
  guint64 start;
  char path[64], state;
  snprintf(path, sizeof path, "/proc/%u/stat", open->pid);
  /* It may be hidden from us: then it lives until its beat ends. */
  if (!process_start(path, &start, &state))
    return FALSE;
  return state == 'Z' || state == 'X' || start != open->pid_start;
}

/* ---- What is there. ---- */

/* What the names below sessions/ID/ tell. */
typedef struct Present {
  HfShortId id;
  gboolean open, outcome, served;
  guint64 beat;
  guint64 checkpoint; /* 0: none */
} Present;

static void note_part(Present *present, const char *part)
{
  if (g_str_equal(part, "open"))
    present->open = TRUE;
  else if (g_str_equal(part, "outcome"))
    present->outcome = TRUE;
  else if (g_str_equal(part, HF_SESSION_SERVED))
    present->served = TRUE;
  else if (g_str_has_prefix(part, "beat."))
    present->beat = MAX(present->beat, g_ascii_strtoull(part + strlen("beat."), NULL, 10));
  else if (g_str_has_prefix(part, "checkpoint."))
    present->checkpoint = MAX(present->checkpoint, g_ascii_strtoull(part + strlen("checkpoint."), NULL, 10));
}

static gboolean note_name(const char *name, guint64 size, gpointer user, GError **error)
{
  GHashTable *all = user;
  const char *hex = name + strlen(FOLDER), *slash = strchr(hex, '/');
  HfShortId id;
  (void)size;
  (void)error;
  if (slash == NULL)
    return TRUE;
  g_autofree char *digits = g_strndup(hex, (gsize)(slash - hex));
  if (!hf_unhex(digits, id.b, sizeof id.b))
    return TRUE;
  Present *present = g_hash_table_lookup(all, &id);
  if (present == NULL) {
    present = g_new0(Present, 1);
    present->id = id;
    g_hash_table_insert(all, &present->id, present);
  }
  note_part(present, slash + 1);
  return TRUE;
}

/* HfShortId to Present. With `session` only that one. */
static GHashTable *list_present(HfStore *store, const HfShortId *session, GError **error)
{
  g_autoptr(GHashTable) all = g_hash_table_new_full(hf_id_hash, hf_short_id_equal_func, NULL, g_free);
  char folder[HF_NAME_BYTES] = FOLDER;
  if (session != NULL)
    hf_name_session(folder, session, "");
  return hf_store_list(store, folder, note_name, all, error) ? g_steal_pointer(&all) : NULL;
}

static GBytes *read_part(HfStore *store, const HfShortId *session, const char *part)
{
  char name[HF_NAME_BYTES];
  hf_name_session(name, session, part);
  return hf_store_get_all(store, name, HF_RECORD_BYTES_LIMIT, NULL);
}

static gboolean read_checkpoint(HfStore *store, const Present *present, HfCheckpoint *checkpoint)
{
  char part[40];
  snprintf(part, sizeof part, "checkpoint.%" G_GUINT64_FORMAT, present->checkpoint);
  g_autoptr(GBytes) record = present->checkpoint > 0 ? read_part(store, &present->id, part) : NULL;
  return record != NULL && hf_checkpoint_decode(record, NULL, checkpoint, NULL);
}

/* The process of the service that the session came through. */
static gboolean read_service(HfStore *store, const Present *present, HfSessionOpen *service)
{
  g_autoptr(GBytes) record = present->served ? read_part(store, &present->id, HF_SESSION_SERVED) : NULL;
  return record != NULL && hf_session_open_decode(record, service, NULL);
}

/* Who holds it: `open` is the holder, NULL when that cannot be read. */
static void judge_processes(HfStore *store, const Present *present, const HfSessionOpen *open, HfSessionInfo *info)
{
  HfSessionOpen own, service;
  hf_process_identity(&own);
  info->served = read_service(store, present, &service);
  info->served_by_us = info->served && is_here(&service, &own) && service.pid == own.pid &&
    service.pid_start == own.pid_start;
  info->dead_here = (open != NULL && hf_process_is_gone(open)) || (info->served && hf_process_is_gone(&service));
  const HfSessionOpen *asked = info->served ? &service : open;
  info->alive_here = asked != NULL && is_here(asked, &own) && !info->dead_here;
}

static HfSessionInfo *read_info(HfStore *store, const Present *present)
{
  HfSessionInfo *info = g_new0(HfSessionInfo, 1);
  g_autoptr(GBytes) open = present->open ? read_part(store, &present->id, "open") : NULL;
  g_autoptr(GBytes) outcome = present->outcome ? read_part(store, &present->id, "outcome") : NULL;
  g_autoptr(GBytes) point = NULL;
  gboolean readable = open != NULL && hf_session_open_decode(open, &info->open, NULL);
  if (!readable)
    memset(&info->open, 0, sizeof info->open);
  info->open.id = present->id;
  info->opened = present->open;
  info->has_outcome = present->outcome;
  if (outcome == NULL || !hf_outcome_decode(outcome, &info->state, &point, NULL))
    info->state = (HfOutcomeState)0;
  judge_processes(store, present, readable ? &info->open : NULL, info);
  info->beat = present->beat;
  info->has_checkpoint = read_checkpoint(store, present, &info->checkpoint);
  return info;
}

GPtrArray *hf_sessions_list(HfRepo *repo, const HfSession *own, GError **error)
{
  g_autoptr(GHashTable) all = list_present(repo->store, NULL, error);
  if (all == NULL)
    return NULL;
  GPtrArray *infos = g_ptr_array_new_with_free_func(g_free);
  GHashTableIter iter;
  gpointer present;
  g_hash_table_iter_init(&iter, all);
  while (g_hash_table_iter_next(&iter, NULL, &present)) {
    const HfShortId *id = &((Present *)present)->id;
    if (own == NULL || !hf_short_id_equal(id, hf_session_id(own)))
      g_ptr_array_add(infos, read_info(repo->store, present));
  }
  return infos;
}

/* ---- Outcomes. ---- */

static gboolean fail_outcome(const HfShortId *session, const GError *why, GError **error)
{
  g_autofree char *hex = hf_hex(session->b, sizeof session->b);
  return hf_fail(error, HF_ERROR_DAMAGED,
                 "the outcome of session %s is damaged; a point that it committed just before is "
                 "lost, the ones that are listed are not: %s",
                 hex, why->message);
}

gboolean hf_outcome_read(HfStore *store, const HfShortId *session, HfOutcomeState *state, GBytes **point,
                         GError **error)
{
  char name[HF_NAME_BYTES];
  gboolean is_open;
  g_autoptr(GError) why = NULL;
  *state = (HfOutcomeState)0;
  *point = NULL;
  hf_name_session(name, session, "outcome");
  g_autoptr(GBytes) record = hf_store_get_all(store, name, HF_RECORD_BYTES_LIMIT, &why);
  if (record == NULL && hf_error_is(why, HF_ERROR_NOT_FOUND))
    return TRUE;
  if (record == NULL) {
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
  }
  /* After the outcome (F2). */
  hf_name_session(name, session, "open");
  if (!hf_object_exists(store, name, &is_open, error))
    return FALSE;
  return !is_open || hf_outcome_decode(record, state, point, &why) || fail_outcome(session, why, error);
}

gboolean hf_session_fence(HfRepo *repo, const HfShortId *session, GError **error)
{
  char name[HF_NAME_BYTES];
  g_autoptr(GBytes) record = hf_outcome_encode(HF_OUTCOME_FENCED, NULL);
  g_autoptr(GError) why = NULL;
  hf_name_session(name, session, "outcome");
  if (hf_repo_put_urgent(repo, name, record, &why) || hf_error_is(why, HF_ERROR_EXISTS))
    return TRUE;
  g_propagate_error(error, g_steal_pointer(&why));
  return FALSE;
}

/* ---- Judging. ---- */

typedef struct Watch {
  gboolean seen, moved; /* looked at; seen to beat */
  guint64 beat;
  gint64 looked; /* monotonic */
  gint64 silent; /* microseconds without a new beat, as far as we were awake to see it */
} Watch;

/* TRUE when no new beat came for long enough. A long gap between two looks counts for one step only: we may have slept,
 * and the other with us. */
static gboolean is_silent(Watch *watch, guint64 beat, gint64 step)
{
  gint64 now = hf_clock_monotonic_us();
  watch->moved = watch->moved || (watch->seen && beat != watch->beat);
  if (!watch->seen || beat != watch->beat)
    watch->silent = 0;
  else
    watch->silent += MIN(now - watch->looked, 2 * step);
  watch->seen = TRUE;
  watch->beat = beat;
  watch->looked = now;
  return watch->silent >= hf_session_death_us();
}

/* *over: it has ended, or was dead and is fenced now. */
static gboolean judge(HfRepo *repo, const HfShortId *session, Watch *watch, gint64 step, gboolean *over, GError **error)
{
  g_autoptr(GHashTable) all = list_present(repo->store, session, error);
  if (all == NULL)
    return FALSE;
  const Present *present = g_hash_table_lookup(all, session);
  *over = present == NULL || !present->open || present->outcome;
  if (*over)
    return TRUE;
  HfSessionOpen open, service;
  g_autoptr(GBytes) record = read_part(repo->store, session, "open");
  gboolean gone = (record != NULL && hf_session_open_decode(record, &open, NULL) && hf_process_is_gone(&open)) ||
    (read_service(repo->store, present, &service) && hf_process_is_gone(&service));
  *over = is_silent(watch, present->beat, step) || gone;
  return !*over || hf_session_fence(repo, session, error);
}

static gboolean judge_all(HfRepo *repo, GArray *ids, GHashTable *watches, gint64 step, GError **error)
{
  for (guint i = ids->len; i-- > 0;) {
    HfShortId id = g_array_index(ids, HfShortId, i);
    Watch *watch = g_hash_table_lookup(watches, &id);
    gboolean over;
    if (watch == NULL) {
      watch = g_new0(Watch, 1);
      g_hash_table_insert(watches, g_memdup2(&id, sizeof id), watch);
    }
    if (!judge(repo, &id, watch, step, &over, error))
      return FALSE;
    if (over)
      g_array_remove_index(ids, i);
  }
  return TRUE;
}

static gboolean all_moved(const GArray *ids, GHashTable *watches)
{
  for (guint i = 0; i < ids->len; i++) {
    const Watch *watch = g_hash_table_lookup(watches, &g_array_index(ids, HfShortId, i));
    if (!watch->moved)
      return FALSE;
  }
  return TRUE;
}

gboolean hf_sessions_settle(HfRepo *repo, GArray *ids, guint patience_seconds, GError **error)
{
  g_autoptr(GHashTable) watches = g_hash_table_new_full(hf_id_hash, hf_short_id_equal_func, g_free, g_free);
  gint64 step = MAX(hf_session_beat_us() / 10, 1000);
  gint64 until = hf_clock_monotonic_us() + patience_seconds * G_USEC_PER_SEC;
  for (;;) {
    if (!judge_all(repo, ids, watches, step, error))
      return FALSE;
    gint64 left = until - hf_clock_monotonic_us();
    if (left <= 0 || all_moved(ids, watches))
      return TRUE;
    for (gint64 slept = 0; slept < MIN(step, left); slept += 100000) {
      if (hf_cancelled(repo->cancel, error))
        return FALSE;
      g_usleep((gulong)MIN(MIN(step, left) - slept, 100000));
    }
  }
}

/* ---- Finishing and clearing away. ---- */

static gboolean is_part(const char *name, const char *part)
{
  return g_str_equal(strrchr(name, '/') + 1, part);
}

gboolean hf_session_remove(HfStore *store, const HfShortId *session, GError **error)
{
  char folder[HF_NAME_BYTES], open[HF_NAME_BYTES], outcome[HF_NAME_BYTES];
  hf_name_session(folder, session, "");
  hf_name_session(open, session, "open");
  hf_name_session(outcome, session, "outcome");
  if (!hf_object_remove(store, open, error))
    return FALSE;
  if (store->features & HF_STORE_KEPT)
    return TRUE; /* the service has removed the rest with it */
  g_autoptr(GPtrArray) names = hf_store_list_names(store, folder, error);
  if (names == NULL)
    return FALSE;
  for (guint i = 0; i < names->len; i++)
    if (!is_part(g_ptr_array_index(names, i), "outcome") &&
        !hf_object_remove(store, g_ptr_array_index(names, i), error))
      return FALSE;
  return hf_object_remove(store, outcome, error);
}

/* Puts one copy; one that is there already is looked at by the caller. */
static gboolean put_point_copy(HfRepo *repo, const char *base, guint copy, GBytes *record, gboolean *met,
                               GError **error)
{
  char name[HF_NAME_BYTES];
  g_autoptr(GError) why = NULL;
  hf_name_copy(name, base, copy);
  if (hf_repo_put_urgent(repo, name, record, &why))
    return TRUE;
  *met = TRUE;
  if (hf_error_is(why, HF_ERROR_EXISTS))
    return TRUE;
  g_propagate_error(error, g_steal_pointer(&why));
  return FALSE;
}

/* *finished: another has done it all; the outcome is gone. */
static gboolean put_point(HfRepo *repo, const char *outcome, const char *base, GBytes *record, gboolean *finished,
                          GError **error)
{
  gboolean met = FALSE, there;
  for (guint i = 0; i < HF_COPIES; i++) {
    if (!hf_object_exists(repo->store, outcome, &there, error))
      return FALSE;
    *finished = !there;
    if (*finished)
      return TRUE;
    if (!put_point_copy(repo, base, i, record, &met, error))
      return FALSE;
  }
  if (met)
    hf_triple_heal(repo->store, base, HF_RECORD_POINT, repo->report);
  g_autoptr(GBytes) copy = hf_triple_get(repo->store, base, HF_RECORD_POINT, NULL, error);
  return copy != NULL;
}

gboolean hf_session_finish(HfRepo *repo, const HfShortId *session, GBytes *point_record, GError **error)
{
  g_auto(HfPoint) point = { 0 };
  char outcome[HF_NAME_BYTES], base[HF_NAME_BYTES];
  gboolean forgotten, finished = FALSE;
  if (!hf_point_decode(point_record, &point, error) ||
      !hf_point_is_forgotten(repo->store, &point.id, &forgotten, error))
    return FALSE;
  hf_name_session(outcome, session, "outcome");
  hf_name_point(base, &point.id);
  if (!forgotten && !put_point(repo, outcome, base, point_record, &finished, error))
    return FALSE;
  if (finished)
    return TRUE;
  /* It may have been forgotten while we put it: then it must not come back (F3). */
  if (!hf_point_is_forgotten(repo->store, &point.id, &forgotten, error) ||
      (forgotten && !hf_triple_remove(repo->store, base, error)))
    return FALSE;
  return hf_session_remove(repo->store, session, error);
}

static void warn_session(HfRepo *repo, const HfShortId *session, const GError *why)
{
  char name[HF_NAME_BYTES];
  hf_name_session(name, session, "outcome");
  hf_report_warning(repo->report, name, "%s", why->message);
}

gboolean hf_sessions_finish(HfRepo *repo, GError **error)
{
  g_autoptr(GHashTable) all = list_present(repo->store, NULL, error);
  if (all == NULL)
    return FALSE;
  GHashTableIter iter;
  gpointer value;
  g_hash_table_iter_init(&iter, all);
  while (g_hash_table_iter_next(&iter, NULL, &value)) {
    const Present *present = value;
    HfOutcomeState state;
    g_autoptr(GBytes) point = NULL;
    g_autoptr(GError) why = NULL;
    if (!present->outcome)
      continue;
    if (hf_outcome_read(repo->store, &present->id, &state, &point, &why) &&
        (state != HF_OUTCOME_COMMITTED || hf_session_finish(repo, &present->id, point, &why)))
      continue;
    /* The point is listed from its outcome until somebody who may write finishes this. */
    if (!hf_error_is(why, HF_ERROR_PERMISSION))
      warn_session(repo, &present->id, why);
  }
  return TRUE;
}

GPtrArray *hf_sessions_committed(HfRepo *repo, HfReport *report, GError **error)
{
  g_autoptr(GHashTable) all = list_present(repo->store, NULL, error);
  if (all == NULL)
    return NULL;
  g_autoptr(GPtrArray) points = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
  GHashTableIter iter;
  gpointer value;
  g_hash_table_iter_init(&iter, all);
  while (g_hash_table_iter_next(&iter, NULL, &value)) {
    const Present *present = value;
    HfOutcomeState state;
    GBytes *point = NULL;
    g_autoptr(GError) why = NULL;
    if (present->outcome && !hf_outcome_read(repo->store, &present->id, &state, &point, &why))
      hf_report_warning(report, NULL, "%s", why->message);
    if (point != NULL)
      g_ptr_array_add(points, point);
  }
  return g_steal_pointer(&points);
}

typedef struct Cover {
  const HfCheckpoint *checkpoint;
  gboolean covered;
} Cover;

static gboolean note_cover(HfPoint *point, GBytes *record, gpointer user, GError **error)
{
  Cover *cover = user;
  (void)record;
  (void)error;
  cover->covered = cover->covered ||
    (hf_short_id_equal(&point->source, &cover->checkpoint->source) &&
     hf_short_id_equal(&point->writer, &cover->checkpoint->writer) && point->time >= cover->checkpoint->time);
  return TRUE;
}

/* Also for times that lie ahead, whatever a writer wrote. */
static gboolean is_younger(gint64 time, guint64 age)
{
  gint64 now = hf_clock_real_ns();
  return (now >= time ? (guint64)now - (guint64)time : (guint64)time - (guint64)now) < age;
}

/* format.md 10.3 */
static gboolean keeps_checkpoint(HfRepo *repo, const Present *present, gboolean *keep, GError **error)
{
  HfCheckpoint checkpoint;
  *keep = read_checkpoint(repo->store, present, &checkpoint) &&
    is_younger(checkpoint.time, CHECKPOINT_KEPT_NS);
  if (!*keep)
    return TRUE;
  Cover cover = { &checkpoint, FALSE };
  if (!hf_points_each(repo, NULL, NULL, note_cover, &cover, error))
    return FALSE;
  *keep = !cover.covered;
  return TRUE;
}

static gboolean tidy_session(HfRepo *repo, const Present *present, GError **error)
{
  HfOutcomeState state;
  g_autoptr(GBytes) point = NULL;
  g_autoptr(GError) why = NULL;
  gboolean keep = FALSE;
  /* Without `open` these are leftovers (F1); with it and without outcome it may be at work. */
  if (present->open && !present->outcome)
    return TRUE;
  if (present->outcome) {
    if (!hf_outcome_read(repo->store, &present->id, &state, &point, &why)) {
      if (!hf_error_is(why, HF_ERROR_DAMAGED)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
      }
      warn_session(repo, &present->id, why);
    } else if (state == HF_OUTCOME_COMMITTED) {
      return hf_session_finish(repo, &present->id, point, error);
    } else if (state != 0 && !keeps_checkpoint(repo, present, &keep, error)) {
      return FALSE;
    }
  }
  return keep || hf_session_remove(repo->store, &present->id, error);
}

gboolean hf_sessions_tidy(HfRepo *repo, GError **error)
{
  g_autoptr(GHashTable) all = list_present(repo->store, NULL, error);
  if (all == NULL)
    return FALSE;
  GHashTableIter iter;
  gpointer present;
  g_hash_table_iter_init(&iter, all);
  while (g_hash_table_iter_next(&iter, NULL, &present))
    if (!tidy_session(repo, present, error))
      return FALSE;
  return TRUE;
}
