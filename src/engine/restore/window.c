/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "engine/restore/window.h"

#include <string.h>

#include "base/error.h"
#include "repo/objects.h"

#define FIRST_NEEDS 512u /* the first window is small, so that the workers soon begin */
#define MOST_NEEDS 16384u
#define MOST_BYTES (6u << 20) /* of names, targets and extras */
#define EMPTY_FILES 64u  /* made by one job */
#define POLL_US (50 * G_TIME_SPAN_MILLISECOND)

struct HfWindow {
  gint references;
  GArray *needs;  /* of HfNeed */
  guint capacity, weight;
  gsize bytes;    /* of names, targets and extras of their files */
};

/* Needs [first, first + count) of a window: they share a frame, or have none. */
typedef struct Job {
  HfRestoreState *state;
  HfWindow *window;
  guint first, count;
} Job;

HfWindow *hf_window_new(void)
{
  HfWindow *window = g_new0(HfWindow, 1);
  window->references = 1;
  window->capacity = FIRST_NEEDS;
  window->needs = g_array_new(FALSE, FALSE, sizeof(HfNeed));
  return window;
}

static void unref(HfWindow *window)
{
  if (!g_atomic_int_dec_and_test(&window->references))
    return;
  g_array_unref(window->needs);
  g_free(window);
}

void hf_window_free(HfRestoreWorker *walker, HfWindow *window)
{
  hf_needs_drop(walker, (const HfNeed *)(void *)window->needs->data, window->needs->len);
  unref(window);
}

/* ---- Order. ---- */

static gint compare_needs(gconstpointer a, gconstpointer b)
{
  const HfNeed *x = a, *y = b;
  if (x->has_blob != y->has_blob)
    return x->has_blob ? -1 : 1;
  int order = x->has_blob ? memcmp(&x->place.pack, &y->place.pack, sizeof x->place.pack) : 0;
  if (order == 0 && x->has_blob && x->place.offset != y->place.offset)
    order = x->place.offset < y->place.offset ? -1 : 1;
  if (order == 0 && x->has_blob)
    order = x->place.blob - y->place.blob;
  return order != 0 ? order : x->number < y->number ? -1 : 1;
}

static gboolean one_job(const HfNeed *first, const HfNeed *next, guint count)
{
  if (first->has_blob != next->has_blob)
    return FALSE;
  if (!first->has_blob)
    return count < EMPTY_FILES;
  return first->place.offset == next->place.offset && hf_short_id_equal(&first->place.pack, &next->place.pack);
}

/* A frame of the window, or some files without bytes. */
typedef struct Share {
  guint first, count;
  guint32 rank; /* when its pack was needed first: packs are read in that order, which is about that of the tree */
} Share;

static gint compare_shares(gconstpointer a, gconstpointer b)
{
  const Share *x = a, *y = b;
  if (x->rank != y->rank)
    return x->rank < y->rank ? -1 : 1;
  return x->first < y->first ? -1 : 1;
}

static void rank_pack(GArray *shares, guint from, guint32 rank)
{
  for (guint i = from; i < shares->len; i++)
    g_array_index(shares, Share, i).rank = rank;
}

static GArray *split(GArray *needs)
{
  GArray *shares = g_array_new(FALSE, FALSE, sizeof(Share));
  const HfNeed *all = (const HfNeed *)(void *)needs->data;
  guint pack = 0; /* the first share of the pack at hand */
  guint32 rank = G_MAXUINT32;
  for (guint first = 0, next; first < needs->len; first = next) {
    const HfNeed *need = &all[first], *before = first > 0 ? &all[first - 1] : NULL;
    gboolean fresh = before == NULL || need->has_blob != before->has_blob || !need->has_blob ||
      !hf_short_id_equal(&need->place.pack, &before->place.pack);
    if (fresh) {
      rank_pack(shares, pack, rank);
      pack = shares->len;
      rank = G_MAXUINT32;
    }
    for (next = first; next < needs->len && one_job(need, &all[next], next - first); next++)
      rank = MIN(rank, all[next].number);
    Share share = { first, next - first, 0 };
    g_array_append_val(shares, share);
  }
  rank_pack(shares, pack, rank);
  g_array_sort(shares, compare_shares);
  return shares;
}

/* ---- Handing over. ---- */

/* Frames in the order in which the jobs will read them. */
static void announce(const HfRestoreState *state, const HfWindow *window, const GArray *shares)
{
  g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
  g_autoptr(GArray) ranges = g_array_new(FALSE, FALSE, sizeof(HfStoreRange));
  for (guint i = 0; i < shares->len; i++) {
    const HfNeed *need = &g_array_index(window->needs, HfNeed, g_array_index(shares, Share, i).first);
    char name[HF_NAME_BYTES];
    if (!need->has_blob)
      continue;
    hf_name_pack(name, (HfPackKind)need->place.kind, &need->place.pack);
    if (names->len == 0 || !g_str_equal(names->pdata[names->len - 1], name))
      g_ptr_array_add(names, g_strdup(name));
    HfStoreRange range = { names->pdata[names->len - 1], need->place.offset, need->place.stored_length };
    g_array_append_val(ranges, range);
  }
  hf_store_will_read(state->repo->store, (const HfStoreRange *)(void *)ranges->data, ranges->len);
}

/* Waits until at most `most` needs are out. */
static gboolean wait_room(HfRestoreWorker *walker, guint most, GError **error)
{
  HfRestoreState *state = walker->state;
  g_mutex_lock(&state->lock);
  while (state->outstanding > most && !hf_pool_stopping(state->pool))
    g_cond_wait_until(&state->room, &state->lock, g_get_monotonic_time() + POLL_US);
  g_mutex_unlock(&state->lock);
  return !hf_pool_stopping(state->pool) || hf_fail(error, HF_ERROR_CANCELLED, "cancelled");
}

static gboolean hand_over(HfRestoreWorker *walker, GError **error)
{
  HfRestoreState *state = walker->state;
  HfWindow *window = state->window;
  /* Who was taken for dead may lose packs: what is missing then is no damage. */
  if (!wait_room(walker, window->capacity / 4, error) || !hf_session_check(state->session, error))
    return FALSE;
  hf_restore_count(walker);
  state->window = hf_window_new();
  state->window->capacity = MIN(window->capacity * 2, MOST_NEEDS);
  g_array_sort(window->needs, compare_needs);
  g_autoptr(GArray) shares = split(window->needs);
  announce(state, window, shares);
  g_mutex_lock(&state->lock);
  state->outstanding += window->needs->len;
  g_mutex_unlock(&state->lock);
  for (guint i = 0; i < shares->len; i++) {
    const Share *share = &g_array_index(shares, Share, i);
    Job *job = g_new(Job, 1);
    *job = (Job){ state, window, share->first, share->count };
    g_atomic_int_inc(&window->references);
    hf_pool_push_front(state->pool, job);
  }
  unref(window);
  return TRUE;
}

static gboolean full(const HfWindow *window)
{
  return window->needs->len + window->weight >= window->capacity || window->bytes >= MOST_BYTES;
}

gboolean hf_window_add(HfRestoreWorker *walker, const HfNeed *need, GError **error)
{
  HfWindow *window = walker->state->window;
  HfNeed taken = *need;
  const HfEntry *entry = &need->file->node->entry;
  taken.number = window->needs->len;
  window->bytes += entry->name.length + entry->target.length + entry->extras.length;
  g_array_append_val(window->needs, taken);
  return !full(window) || hand_over(walker, error);
}

gboolean hf_window_weigh(HfRestoreWorker *walker, GError **error)
{
  HfWindow *window = walker->state->window;
  window->weight++;
  return !full(window) || hand_over(walker, error);
}

gboolean hf_window_finish(HfRestoreWorker *walker, GError **error)
{
  HfRestoreState *state = walker->state;
  return hand_over(walker, error) && hf_pool_wait(state->pool, error) && hf_session_check(state->session, error);
}

/* ---- Jobs. ---- */

static const HfNeed *job_needs(const Job *job)
{
  return &g_array_index(job->window->needs, HfNeed, job->first);
}

static void job_done(Job *job)
{
  HfRestoreState *state = job->state;
  g_mutex_lock(&state->lock);
  state->outstanding -= job->count;
  g_cond_signal(&state->room);
  g_mutex_unlock(&state->lock);
  unref(job->window);
  g_free(job);
}

static gboolean run_job(gpointer data, gpointer worker, gpointer user, GError **error)
{
  Job *job = data;
  (void)user;
  gboolean good = hf_needs_meet(worker, job_needs(job), job->count, error);
  hf_restore_count(worker);
  job_done(job);
  return good;
}

static void drop_job(gpointer data)
{
  Job *job = data;
  g_autoptr(HfRestoreWorker) worker = hf_restore_worker_new_bare(job->state);
  hf_needs_drop(worker, job_needs(job), job->count);
  job_done(job);
}

static gpointer new_worker(gpointer user, GError **error)
{
  return hf_restore_worker_new(user, error);
}

static void free_worker(gpointer worker)
{
  hf_restore_worker_free(worker);
}

HfPool *hf_window_pool(HfRestoreState *state, guint threads)
{
  const HfPoolOps ops = { .new_worker = new_worker, .free_worker = free_worker, .run = run_job, .drop = drop_job };
  return hf_pool_new(threads, &ops, state, state->repo->cancel);
}
