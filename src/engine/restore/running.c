/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "engine/restore/running.h"

#include "base/error.h"
#include "engine/restore/window.h"
#include "repo/session.h"

#define CACHE_BYTES (8u << 20)  /* pages and lists, for the walker */
#define FRAMES_BYTES (56u << 20) /* held by all workers together */
#define FRAME_COPIES 3u         /* stored, opened, and decompressed */

/* ---- Results. ---- */

void hf_restore_result_clear(HfRestoreResult *result)
{
  g_clear_pointer(&result->missing, g_ptr_array_unref);
  g_clear_pointer(&result->beside, g_ptr_array_unref);
}

void hf_restore_missing(HfRestoreState *state, const char *path, gboolean damaged)
{
  HF_LOCK(&state->lock);
  HfRestoreResult *result = state->result;
  result->damaged += damaged ? 1 : 0;
  result->failed += damaged ? 0 : 1;
  if (result->missing->len < HF_RESTORE_MISSING_MAX)
    g_ptr_array_add(result->missing, g_strdup(path));
}

void hf_restore_count(HfRestoreWorker *worker)
{
  HfRestoreState *state = worker->state;
  if (worker->files > 0 || worker->progress > 0)
    hf_report_add(state->report, worker->files, worker->progress, 0);
  g_mutex_lock(&state->lock);
  state->result->files += worker->files;
  state->result->directories += worker->directories;
  state->result->bytes += worker->bytes;
  g_mutex_unlock(&state->lock);
  worker->files = worker->directories = worker->bytes = worker->progress = 0;
}

gboolean hf_restore_is_alive(HfRestoreWorker *worker, GError **error)
{
  if (worker->fatal == NULL)
    return TRUE;
  g_propagate_error(error, g_steal_pointer(&worker->fatal));
  return FALSE;
}

gboolean hf_restore_is_damage(const GError *error)
{
  return hf_error_is(error, HF_ERROR_DAMAGED) || hf_error_is(error, HF_ERROR_INVALID);
}

/* ---- Workers. ---- */

HfRestoreWorker *hf_restore_worker_new_bare(HfRestoreState *state)
{
  HfRestoreWorker *worker = g_new0(HfRestoreWorker, 1);
  worker->state = state;
  worker->path = g_string_new(NULL);
  worker->wanted = g_array_new(FALSE, FALSE, sizeof(HfWanted));
  hf_opened_init(&worker->opened);
  return worker;
}

HfRestoreWorker *hf_restore_worker_new(HfRestoreState *state, GError **error)
{
  g_autoptr(HfRestoreWorker) worker = hf_restore_worker_new_bare(state);
  worker->browser = hf_browser_new(state->repo, state->cache);
  worker->reader = hf_browser_reader(worker->browser, state->domain, error);
  return worker->reader != NULL ? g_steal_pointer(&worker) : NULL;
}

void hf_restore_worker_free(HfRestoreWorker *worker)
{
  if (worker == NULL)
    return;
  hf_restore_count(worker);
  hf_opened_clear(&worker->opened);
  hf_buffer_clear(&worker->piece);
  g_array_unref(worker->wanted);
  g_string_free(worker->path, TRUE);
  g_clear_error(&worker->fatal);
  hf_browser_free(worker->browser);
  g_free(worker);
}

/* ---- Begin and end. ---- */

gboolean hf_running_open(HfRestoreState *state, HfRepo *repo, const HfPoint *point, HfRestoreResult *result,
                         GError **error)
{
  *state = (HfRestoreState){ .repo = repo, .report = repo->report, .domain = point->domain, .result = result };
  *result = (HfRestoreResult){ .missing = g_ptr_array_new_with_free_func(g_free),
                               .beside = g_ptr_array_new_with_free_func(g_free) };
  state->warnings = hf_report_warnings(repo->report);
  state->session = hf_session_open(repo, HF_PURPOSE_READ, error);
  if (state->session == NULL)
    return FALSE;
  if (!hf_repo_fresh_index(repo, error)) {
    hf_session_free(state->session);
    return FALSE;
  }
  state->cache = hf_blob_cache_new(repo, CACHE_BYTES);
  g_mutex_init(&state->lock);
  g_cond_init(&state->room);
  hf_spots_init(&state->spots);
  return TRUE;
}

/* As many as processors, but no more than may hold the largest frames at once. */
static guint count_threads(const HfConfig *config)
{
  gsize frame = MAX(MAX(config->chunk_maximum, config->block_size), config->frame_target + config->frame_target / 2);
  return (guint)CLAMP(FRAMES_BYTES / (FRAME_COPIES * frame), 2, hf_processors());
}

void hf_running_start(HfRestoreState *state)
{
  state->window = hf_window_new();
  state->pool = hf_window_pool(state, count_threads(&state->repo->config));
}

void hf_running_stop(HfRestoreState *state, HfRestoreWorker *walker, GError **error)
{
  GError *first = NULL;
  g_atomic_int_set(&state->aborted, TRUE);
  /* What stopped the walker may only be that a worker had failed. */
  if (hf_pool_stopping(state->pool) && !hf_pool_wait(state->pool, &first)) {
    g_clear_error(error);
    g_propagate_error(error, first);
  }
  g_clear_pointer(&state->pool, hf_pool_free);
  hf_window_free(walker, g_steal_pointer(&state->window));
}

void hf_running_close(HfRestoreState *state)
{
  hf_pool_free(state->pool);
  if (state->window != NULL)
    hf_window_free(NULL, state->window); /* empty: all was handed over */
  hf_spots_clear(&state->spots);
  hf_tree_free(state->tree);
  hf_blob_cache_free(state->cache);
  hf_session_free(state->session);
  g_mutex_clear(&state->lock);
  g_cond_clear(&state->room);
  state->result->warnings = hf_report_warnings(state->report) - state->warnings;
}
