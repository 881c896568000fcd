/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Our own session. */
#include "repo/session.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "repo/objects.h"
#include "repo/pointstate.h"
#include "repo/sessionstate.h"

#define BEAT_US (20 * G_USEC_PER_SEC)
#define BEATS_TO_DEATH 3

typedef enum SessionState {
  SESSION_OPEN,
  SESSION_COMMITTED,
  SESSION_FENCED, /* what is left is for who fenced us */
} SessionState;

struct HfSession {
  HfRepo *repo;
  HfShortId id;
  gboolean written; /* there are objects in the store */
  gint64 interval;  /* of beats */
  gboolean has_slot;
  HfSessionSlot slot;
  HfKey data_key, meta_key;
  SessionState state;
  guint64 checkpoint; /* number of the last one; 0: none */
  gboolean keep_checkpoint;

  GThread *thread;
  GMutex mutex; /* guards what follows */
  GCond wake;
  gboolean stop, fenced;
  gint64 looked; /* monotonic: when `fenced` was last known to be right */
  guint64 beat;  /* only the thread's */
};

#ifdef HF_TEST_HOOKS
gint64 hf_session_beat_us(void)
{
  const char *text = g_getenv("HOLDFAST_TEST_BEAT_MS");
  gint64 ms = text == NULL ? 0 : g_ascii_strtoll(text, NULL, 10);
  return ms > 0 ? ms * 1000 : BEAT_US;
}
#else
gint64 hf_session_beat_us(void)
{
  return BEAT_US;
}
#endif

gint64 hf_session_death_us(void)
{
  return BEATS_TO_DEATH * hf_session_beat_us();
}

/* ---- The beat. ---- */

/* Asks the store whether another has decided; an error of the store decides nothing. */
static void look(HfSession *session)
{
  char open[HF_NAME_BYTES], outcome[HF_NAME_BYTES];
  gboolean is_open, is_decided;
  gint64 now = hf_clock_monotonic_us();
  hf_name_session(open, &session->id, "open");
  hf_name_session(outcome, &session->id, "outcome");
  if (!hf_object_exists(session->repo->store, outcome, &is_decided, NULL) ||
      !hf_object_exists(session->repo->store, open, &is_open, NULL))
    return;
  HF_LOCK(&session->mutex);
  session->fenced = session->fenced || is_decided || !is_open;
  session->looked = now;
}

static gboolean is_fenced(HfSession *session, gint64 *looked)
{
  HF_LOCK(&session->mutex);
  *looked = session->looked;
  return session->fenced;
}

static void beat(HfSession *session)
{
  char name[HF_NAME_BYTES], part[32];
  gint64 looked;
  look(session);
  if (is_fenced(session, &looked))
    return;
  snprintf(part, sizeof part, "beat.%" G_GUINT64_FORMAT, session->beat + 1);
  hf_name_session(name, &session->id, part);
  /* A beat that fails is made up for by the next one. */
  if (!hf_store_put(session->repo->store, name, NULL, 0, NULL))
    return;
  snprintf(part, sizeof part, "beat.%" G_GUINT64_FORMAT, session->beat);
  hf_name_session(name, &session->id, part);
  if (session->beat++ > 0)
    hf_object_remove(session->repo->store, name, NULL);
}

static gpointer beat_main(gpointer user)
{
  HfSession *session = user;
  g_mutex_lock(&session->mutex);
  while (!session->stop) {
    gint64 until = g_get_monotonic_time() + session->interval;
    while (!session->stop && g_cond_wait_until(&session->wake, &session->mutex, until))
      ;
    if (session->stop)
      break;
    g_mutex_unlock(&session->mutex);
    beat(session);
    g_mutex_lock(&session->mutex);
  }
  g_mutex_unlock(&session->mutex);
  return NULL;
}

static void stop_beating(HfSession *session)
{
  if (session->thread == NULL)
    return;
  g_mutex_lock(&session->mutex);
  session->stop = TRUE;
  g_cond_signal(&session->wake);
  g_mutex_unlock(&session->mutex);
  g_thread_join(g_steal_pointer(&session->thread));
}

/* ---- Opening. ---- */

static gboolean check_access(HfRepo *repo, HfPurpose purpose, GError **error)
{
  if (purpose == HF_PURPOSE_READ)
    return TRUE;
  if (repo->read_only)
    return hf_fail(error, HF_ERROR_PERMISSION, "repository '%s' is open for reading only", repo->store->location);
  if (purpose == HF_PURPOSE_BACKUP && repo->keys == NULL)
    return hf_fail(error, HF_ERROR_PERMISSION, "a backup needs a key of repository '%s'", repo->store->location);
  return TRUE;
}

static GBytes *open_record(const HfSession *session, HfPurpose purpose)
{
  HfSessionOpen open = { .id = session->id, .purpose = (guint8)purpose, .started = hf_clock_real_ns() };
  hf_process_identity(&open);
  if (session->has_slot) {
    open.has_slot = TRUE;
    open.slot = session->slot;
    open.writer = session->slot.writer;
    open.domain = session->slot.domain;
  }
  return hf_session_open_encode(&open);
}

/* Makes the `open` object (E2). Who only reads may go on without it: what is taken away meanwhile is missed loudly. */
static gboolean announce(HfSession *session, HfPurpose purpose, GError **error)
{
  HfRepo *repo = session->repo;
  char name[HF_NAME_BYTES];
  g_autoptr(GError) why = NULL;
  g_autoptr(GBytes) record = open_record(session, purpose);
  gboolean writes = purpose == HF_PURPOSE_BACKUP || purpose == HF_PURPOSE_COPY;
  hf_name_session(name, &session->id, "open");
  session->written = writes
    ? hf_store_put(repo->store, name, g_bytes_get_data(record, NULL), g_bytes_get_size(record), &why)
    : hf_repo_put_urgent(repo, name, record, &why);
  if (session->written)
    return TRUE;
  /* It may have been made, and only the answer been lost. */
  hf_session_remove(repo->store, &session->id, NULL);
  if (purpose != HF_PURPOSE_READ) {
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
  }
  if (!hf_error_is(why, HF_ERROR_PERMISSION))
    hf_report_warning(repo->report, NULL,
                      "reading without a lease: a prune at the same time may take away what is read: %s", why->message);
  return TRUE;
}

/* Who collects writes only what he has opened: that takes all keys. */
static gboolean needs_slot(const HfRepo *repo, HfPurpose purpose)
{
  return repo->keys != NULL && !repo->read_only &&
         (purpose == HF_PURPOSE_BACKUP || purpose == HF_PURPOSE_COPY ||
          (purpose == HF_PURPOSE_COLLECT && repo->access == HF_ACCESS_FULL));
}

HfSession *hf_session_open(HfRepo *repo, HfPurpose purpose, GError **error)
{
  if (!check_access(repo, purpose, error))
    return NULL;
  HfSession *session = g_new0(HfSession, 1);
  session->repo = repo;
  session->looked = hf_clock_monotonic_us();
  session->interval = hf_session_beat_us();
  g_mutex_init(&session->mutex);
  g_cond_init(&session->wake);
  hf_random(session->id.b, sizeof session->id.b);
  session->has_slot = needs_slot(repo, purpose);
  gboolean opened = (!session->has_slot ||
                     hf_keyring_new_session(repo->keys, &session->id, &session->slot, &session->data_key,
                                            &session->meta_key, error)) &&
    (repo->read_only || announce(session, purpose, error));
  if (!opened) {
    hf_session_free(session);
    return NULL;
  }
  if (session->written)
    session->thread = g_thread_new("beat", beat_main, session);
  return session;
}

const HfShortId *hf_session_id(const HfSession *session)
{
  return &session->id;
}

const HfSessionSlot *hf_session_slot(const HfSession *session)
{
  return session->has_slot ? &session->slot : NULL;
}

const HfKey *hf_session_data_key(const HfSession *session)
{
  return session->has_slot ? &session->data_key : NULL;
}

const HfKey *hf_session_meta_key(const HfSession *session)
{
  return session->has_slot ? &session->meta_key : NULL;
}

static gboolean fail_fenced(HfSession *session, GError **error)
{
  session->state = SESSION_FENCED;
  return hf_fail(error, HF_ERROR_FENCED, "this session was declared dead by another, as it gave no sign of life; run "
                 "again, the work is resumed");
}

gboolean hf_session_check(HfSession *session, GError **error)
{
  gint64 looked;
  if (!session->written)
    return TRUE;
  gboolean fenced = is_fenced(session, &looked);
  /* We may have been stopped: then the beat has not looked either. */
  if (!fenced && hf_clock_monotonic_us() - looked >= hf_session_death_us()) {
    look(session);
    fenced = is_fenced(session, &looked);
  }
  return !fenced || fail_fenced(session, error);
}

/* ---- Checkpoints. ---- */

static gboolean need_slot(const HfSession *session, GError **error)
{
  return session->has_slot || hf_fail(error, HF_ERROR_PERMISSION, "this session has no key to write with");
}

gboolean hf_session_checkpoint(HfSession *session, const HfShortId *source, const HfId *roots, GError **error)
{
  HfRepo *repo = session->repo;
  char name[HF_NAME_BYTES], part[40];
  if (!need_slot(session, error) || !hf_session_check(session, error))
    return FALSE;
  HfCheckpoint checkpoint = {
    .source = *source,
    .writer = session->slot.writer,
    .domain = session->slot.domain,
    .roots = *roots,
    .time = hf_clock_real_ns(),
    .slot = session->slot,
  };
  g_autoptr(GBytes) record = hf_checkpoint_encode(&checkpoint, hf_keyring_seed(repo->keys));
  snprintf(part, sizeof part, "checkpoint.%" G_GUINT64_FORMAT, session->checkpoint + 1);
  hf_name_session(name, &session->id, part);
  if (!hf_store_put(repo->store, name, g_bytes_get_data(record, NULL), g_bytes_get_size(record), error))
    return FALSE;
  snprintf(part, sizeof part, "checkpoint.%" G_GUINT64_FORMAT, session->checkpoint);
  hf_name_session(name, &session->id, part);
  return session->checkpoint++ == 0 || hf_object_remove(repo->store, name, error);
}

void hf_session_keep_checkpoint(HfSession *session)
{
  session->keep_checkpoint = TRUE;
}

/* ---- The outcome. ---- */

/* TRUE when the outcome in the store is `record`. */
static gboolean outcome_is_ours(HfSession *session, const char *name, GBytes *record)
{
  g_autoptr(GBytes) there =
    hf_store_get_all(session->repo->store, name, HF_RECORD_BYTES_LIMIT, NULL);
  return there != NULL && g_bytes_equal(there, record);
}

/* Creates the outcome (E1). An answer may have been lost: what is in the store decides. */
static gboolean place_outcome(HfSession *session, const char *name, GBytes *record, GError **error)
{
  g_autoptr(GError) why = NULL;
  if (hf_repo_put_urgent(session->repo, name, record, &why) || outcome_is_ours(session, name, record))
    return TRUE;
  if (hf_error_is(why, HF_ERROR_EXISTS))
    return fail_fenced(session, error);
  g_propagate_error(error, g_steal_pointer(&why));
  return FALSE;
}

/* The outcome is ours, but does it count (F1)? When `open` is gone, either another has finished our commit, and then
 * the point or its tombstone is there, or we were fenced and cleared away before the outcome was made. */
static gboolean outcome_counts(HfSession *session, const char *outcome, const HfShortId *point, gboolean *finished,
                               GError **error)
{
  HfStore *store = session->repo->store;
  char open[HF_NAME_BYTES], base[HF_NAME_BYTES];
  gboolean is_open, forgotten;
  *finished = FALSE;
  /* Whose outcome a service took, it has published: it says so by taking it. */
  if (store->features & HF_STORE_KEPT) {
    *finished = TRUE;
    return TRUE;
  }
  hf_name_session(open, &session->id, "open");
  if (!hf_object_exists(store, open, &is_open, error))
    return FALSE;
  if (is_open)
    return TRUE;
  hf_name_point(base, point);
  g_autoptr(GBytes) copy = hf_triple_get(store, base, HF_RECORD_POINT, NULL, NULL);
  if (!hf_point_is_forgotten(store, point, &forgotten, error))
    return FALSE;
  *finished = copy != NULL || forgotten;
  return *finished || (hf_object_remove(store, outcome, error) && fail_fenced(session, error));
}

/* From here on the commit has happened: what fails later is made up for by who opens the repository next. */
static void publish(HfSession *session, GBytes *point)
{
  g_autoptr(GError) why = NULL;
  if (!hf_session_finish(session->repo, &session->id, point, &why))
    hf_report_warning(session->repo->report, NULL, "the point is committed, but its copies are not yet complete: %s",
                      why->message);
}

static gboolean decide(HfSession *session, GBytes *point, const HfShortId *id, GError **error)
{
  char name[HF_NAME_BYTES];
  gboolean finished;
  hf_name_session(name, &session->id, "outcome");
  g_autoptr(GBytes) outcome = hf_outcome_encode(HF_OUTCOME_COMMITTED, point);
  if (!hf_session_check(session, error))
    return FALSE;
  stop_beating(session);
  if (!place_outcome(session, name, outcome, error) || !outcome_counts(session, name, id, &finished, error))
    return FALSE;
  session->state = SESSION_COMMITTED;
  if (!finished)
    publish(session, point);
  return TRUE;
}

/* ---- Commit. ---- */

static gboolean seal_details(HfSession *session, HfPoint *point, const HfPointDetails *details, GError **error)
{
  g_autoptr(GByteArray) plain = g_byte_array_new(), clear = g_byte_array_new();
  g_autoptr(HfAead) aead = hf_aead_new(&session->meta_key);
  hf_point_details_encode(details, plain);
  hf_point_clear_part(point, TRUE, clear);
  hf_random(point->nonce, sizeof point->nonce);
  guint8 *sealed = g_malloc(plain->len + HF_TAG_BYTES);
  g_clear_pointer(&point->sealed, g_bytes_unref);
  point->sealed = g_bytes_new_take(sealed, plain->len + HF_TAG_BYTES);
  return hf_aead_seal(aead, point->nonce, clear->data, clear->len, plain->data, plain->len, sealed, error);
}

static gboolean fill_point(HfSession *session, HfPoint *point, const HfPointDetails *details, GError **error)
{
  HfRepo *repo = session->repo;
  if (point->domain != session->slot.domain)
    return hf_fail(error, HF_ERROR_FAILED, "a point of domain %u cannot be committed by a writer of domain %u",
                   point->domain, session->slot.domain);
  memset(&point->id, 0, sizeof point->id);
  point->session = session->id;
  point->writer = session->slot.writer;
  point->slot = session->slot;
  point->lock = 0;
  if (!seal_details(session, point, details, error))
    return FALSE;
  if (repo->store->features & HF_STORE_KEPT) {
    /* The service's stamp takes the place of this one. */
    point->sequence = 1;
    point->time = hf_clock_real_ns();
  } else if (point->time == 0) {
    if (!hf_points_next_sequence(repo, &point->sequence, error))
      return FALSE;
    point->time = hf_clock_real_ns();
  }
  hf_point_sign(point, hf_keyring_seed(repo->keys));
  return TRUE;
}

gboolean hf_session_commit(HfSession *session, HfPoint *point, const HfPointDetails *details, GError **error)
{
  if (!need_slot(session, error) || !hf_point_name_valid(details->name, error) ||
      !fill_point(session, point, details, error))
    return FALSE;
  g_autoptr(GBytes) record = hf_point_encode(point);
  return decide(session, record, &point->id, error);
}

gboolean hf_session_commit_copy(HfSession *session, GBytes *point_record, GError **error)
{
  g_auto(HfPoint) point = { 0 };
  gboolean forgotten;
  if (!session->written)
    return hf_fail(error, HF_ERROR_PERMISSION, "this session cannot write");
  if (!hf_point_decode(point_record, &point, error) ||
      !hf_point_is_forgotten(session->repo->store, &point.id, &forgotten, error))
    return FALSE;
  if (forgotten)
    return hf_fail(error, HF_ERROR_REFUSED, "this point was forgotten in '%s'; it can come back after the next prunes",
                   session->repo->store->location);
  return decide(session, point_record, &point.id, error);
}

/* ---- The end. ---- */

/* Nothing was committed. Without a checkpoint to keep the objects go, `open` first: should an outcome be there whose
 * answer was an error, or come late, it is void (F1). */
static void end(HfSession *session)
{
  char name[HF_NAME_BYTES];
  g_autoptr(GBytes) record = hf_outcome_encode(HF_OUTCOME_ENDED, NULL);
  if (!session->keep_checkpoint || session->checkpoint == 0) {
    hf_session_remove(session->repo->store, &session->id, NULL);
    return;
  }
  hf_name_session(name, &session->id, "outcome");
  hf_repo_put_urgent(session->repo, name, record, NULL);
}

void hf_session_free(HfSession *session)
{
  if (session == NULL)
    return;
  stop_beating(session);
  if (session->written && session->state == SESSION_OPEN)
    end(session);
  g_mutex_clear(&session->mutex);
  g_cond_clear(&session->wake);
  hf_wipe(session, sizeof *session);
  g_free(session);
}
