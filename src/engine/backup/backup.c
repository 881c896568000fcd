/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "engine/backup/backup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "engine/backup/disk.h"
#include "engine/backup/reading.h"
#include "engine/backup/walk.h"
#include "repo/points.h"

#define BASE_CACHE_BYTES (12u << 20)
#define CHECKPOINT_SECONDS 300u

/* ---- Workers. ---- */

void hf_backup_count(HfBackupWorker *worker)
{
  HfBackupState *state = worker->state;
  HfBackupCounts *counts = &worker->counts;
  guint64 bytes = counts->bytes > worker->reported ? counts->bytes - worker->reported : 0;
  hf_report_add(state->report, counts->files, bytes, 0);
  g_mutex_lock(&state->lock);
  state->counts.files += counts->files;
  state->counts.directories += counts->directories;
  state->counts.bytes += counts->bytes;
  state->counts.unchanged += counts->unchanged;
  g_mutex_unlock(&state->lock);
  *counts = (HfBackupCounts){ 0 };
  worker->reported = 0;
}

static void worker_free(gpointer data)
{
  HfBackupWorker *worker = data;
  hf_blob_writer_free(worker->writer);
  hf_blob_reader_free(worker->reader);
  hf_buffer_clear(&worker->window);
  g_byte_array_unref(worker->scratch);
  g_byte_array_unref(worker->extras);
  g_free(worker);
}

/* Workers belong to the state, not to the pool: a checkpoint stores the groups of all of them. */
static gpointer worker_new(gpointer user, GError **error)
{
  HfBackupState *state = user;
  HfBackupWorker *worker = g_new0(HfBackupWorker, 1);
  worker->state = state;
  worker->scratch = g_byte_array_new();
  worker->extras = g_byte_array_new();
  worker->writer = hf_blob_writer_new(state->store);
  worker->reader = hf_blob_reader_new(state->cache, hf_keyring_domain(state->repo->keys), error);
  if (!worker->reader) {
    worker_free(worker);
    return NULL;
  }
  g_mutex_lock(&state->lock);
  g_ptr_array_add(state->workers, worker);
  g_mutex_unlock(&state->lock);
  return worker;
}

static void worker_leave(gpointer worker)
{
  (void)worker;
}

static gboolean job_run(gpointer job, gpointer worker, gpointer user, GError **error)
{
  HfBackupJob *work = job;
  (void)user;
  return work->run(work, worker, error);
}

static void job_drop(gpointer job)
{
  HfBackupJob *work = job;
  work->drop(work);
}

/* ---- Checkpoints. ---- */

/* The gate is closed, or the pool has ended. */
static gboolean store_groups(HfBackupState *state, GError **error)
{
  for (guint i = 0; i < state->workers->len; i++)
    if (!hf_blob_writer_flush(((HfBackupWorker *)state->workers->pdata[i])->writer, error))
      return FALSE;
  return hf_blob_store_flush(state->store, error) && hf_index_flush(state->repo->index, TRUE, error);
}

static gboolean take_checkpoint(HfBackupState *state, HfBackupWorker *worker, const HfShortId *source, GError **error)
{
  HfId roots;
  gboolean any;
  g_autoptr(GArray) parts = g_array_new(FALSE, FALSE, sizeof(HfEntry));
  if (!state->roots || !hf_reading_parts(worker, parts, error) ||
      !hf_tree_partial(worker, state->roots, parts, &roots, &any, error))
    return FALSE;
  return !any || (store_groups(state, error) && hf_session_checkpoint(state->session, source, &roots, error));
}

typedef struct Checkpointer {
  HfBackupState *state;
  HfBackupWorker *worker; /* of its own */
  const HfShortId *source;
  gint64 interval_us;
  GThread *thread;
  GMutex mutex;
  GCond wake;
  gboolean stop;
} Checkpointer;

static gpointer checkpoint_thread(gpointer data)
{
  Checkpointer *points = data;
  g_mutex_lock(&points->mutex);
  while (!points->stop) {
    gint64 until = g_get_monotonic_time() + points->interval_us;
    while (!points->stop && g_cond_wait_until(&points->wake, &points->mutex, until))
      ;
    if (points->stop)
      break;
    g_autoptr(GError) problem = NULL;
    hf_gate_close(&points->state->gate);
    gboolean taken = take_checkpoint(points->state, points->worker, points->source, &problem);
    hf_gate_open(&points->state->gate);
    if (!taken && problem)
      hf_report_warning(points->state->report, NULL, "no checkpoint could be taken: %s", problem->message);
  }
  g_mutex_unlock(&points->mutex);
  return NULL;
}

static void checkpointer_start(Checkpointer *points)
{
  g_mutex_init(&points->mutex);
  g_cond_init(&points->wake);
  points->thread = g_thread_new("checkpoint", checkpoint_thread, points);
}

static void checkpointer_stop(Checkpointer *points)
{
  g_mutex_lock(&points->mutex);
  points->stop = TRUE;
  g_cond_broadcast(&points->wake);
  g_mutex_unlock(&points->mutex);
  g_thread_join(points->thread);
  g_mutex_clear(&points->mutex);
  g_cond_clear(&points->wake);
}

static gint64 checkpoint_interval_us(const HfBackupOptions *options)
{
  guint seconds = options->checkpoint_seconds ? options->checkpoint_seconds : CHECKPOINT_SECONDS;
  gint64 interval = (gint64)seconds * G_USEC_PER_SEC;
#ifdef HF_TEST_HOOKS
  const char *test = g_getenv("HOLDFAST_TEST_CHECKPOINT_MS");
  if (test)
    interval = MAX(g_ascii_strtoll(test, NULL, 10), 1) * 1000;
#endif
  return interval;
}

/* ---- Roots. ---- */

static int compare_paths(gconstpointer a, gconstpointer b)
{
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Is not the last part itself meant, but the folder that it leads to? */
static gboolean means_folder(const char *path)
{
  const char *slash = strrchr(path, '/');
  const char *last = slash ? slash + 1 : path;
  return *last == '\0' || g_str_equal(last, ".") || g_str_equal(last, "..");
}

/* Absolute, without "." and "..": symbolic links are resolved in all parts but the last, and there, too, when a '/'
 * follows. What is missing is left as it is written: that is found out later. */
static char *absolute_path(const char *path, GError **error)
{
  gboolean all = means_folder(path);
  g_autofree char *folder = all ? g_strdup(path) : g_path_get_dirname(path);
  char *resolved = realpath(folder, NULL);
  if (!resolved && errno == ENOENT)
    return g_canonicalize_filename(path, NULL);
  if (!resolved) {
    hf_fail_errno(error, errno, "cannot back up '%s'", path);
    return NULL;
  }
  g_autofree char *name = g_path_get_basename(path);
  char *result = all ? g_strdup(resolved) : g_build_filename(resolved, name, NULL);
  free(resolved);
  return result;
}

static GPtrArray *absolute_paths(const GPtrArray *paths, GError **error)
{
  g_autoptr(GPtrArray) roots = g_ptr_array_new_with_free_func(g_free);
  for (guint i = 0; paths && i < paths->len; i++) {
    char *path = absolute_path(paths->pdata[i], error);
    if (!path)
      return NULL;
    g_ptr_array_add(roots, path);
  }
  g_ptr_array_sort(roots, compare_paths);
  return g_steal_pointer(&roots);
}

static gboolean check_twins(const GPtrArray *roots, GError **error)
{
  for (guint i = 1; i < roots->len; i++)
    if (g_str_equal(roots->pdata[i - 1], roots->pdata[i]))
      return hf_fail(error, HF_ERROR_USAGE, "'%s' is named twice", (char *)roots->pdata[i]);
  return TRUE;
}

static gboolean add_roots(HfBackupState *state, HfBackupWorker *worker, const GPtrArray *roots, guint32 *flags,
                          HfPointDetails *details, GError **error)
{
  g_autoptr(GPtrArray) children = g_ptr_array_new();
  HfTreePage *page = hf_tree_page(state->roots);
  for (guint i = 0; i < roots->len; i++) {
    const char *path = roots->pdata[i];
    HfTreeDir *child = NULL;
    if (hf_walk_passes_over(state, path)) {
      hf_report_warning(state->report, path, "is missing, as it may be; the point is made without it");
      continue;
    }
    HfPointRoot *root = hf_point_root_new(path, strlen(path), state->options->disks ? 2 : 1);
    g_ptr_array_add(details->roots, root);
    if (!(state->options->disks ? hf_backup_disk(worker, page, path, root, flags, error)
                                : hf_walk_root(worker, page, path, &child, error)))
      return FALSE;
    if (child)
      g_ptr_array_add(children, child);
  }
  if (details->roots->len == 0)
    return hf_fail(error, HF_ERROR_NOT_FOUND, "nothing is left to back up: all that was named is missing");
  if (!hf_walk_store_tail(worker, state->roots, page, error) || !hf_tree_close(worker, page, error))
    return FALSE;
  for (guint i = children->len; i-- > 0;)
    hf_walk_push(children->pdata[i]);
  return hf_tree_walked(worker, state->roots, error);
}

/* ---- The point. ---- */

static HfPointDetails *new_details(const HfBackupOptions *options, const char *name)
{
  HfPointDetails *details = hf_point_details_new();
  details->name = g_strdup(name);
  details->host = g_strdup(g_get_host_name());
  details->user = g_strdup(g_get_user_name());
  details->program = g_strdup("holdfast " HF_VERSION);
  details->started = hf_clock_real_ns();
  for (guint i = 0; options->tags && i < options->tags->len; i++)
    g_ptr_array_add(details->tags, g_strdup(options->tags->pdata[i]));
  return details;
}

static void fill_details(HfBackupState *state, HfPointDetails *details)
{
  HfBlobTotals totals = hf_blob_store_totals(state->store);
  details->ended = hf_clock_real_ns();
  details->files = state->counts.files;
  details->directories = state->counts.directories;
  details->bytes = state->counts.bytes;
  details->new_bytes = totals.new_bytes;
  details->stored_bytes = totals.stored_bytes;
  details->warnings = hf_report_warnings(state->report);
}

static void fill_result(const HfBackupState *state, const HfPointDetails *details, const HfPoint *point,
                        HfBackupResult *result)
{
  HfBlobTotals totals = hf_blob_store_totals(state->store);
  *result = (HfBackupResult){ .point = point->id, .source = point->source, .files = details->files,
                              .directories = details->directories,
                              .bytes = details->bytes, .files_unchanged = state->counts.unchanged,
                              .new_bytes = totals.new_bytes, .stored_bytes = totals.stored_bytes,
                              .parity_bytes = totals.parity_bytes, .warnings = details->warnings,
                              .resumed = hf_base_resumed(state->base),
                              .first = hf_base_details(state->base) == NULL };
}

/* ---- The backup. ---- */

static void state_clear(HfBackupState *state)
{
  hf_pool_free(state->pool);
  hf_tree_dir_free(state->roots);
  g_clear_pointer(&state->workers, g_ptr_array_unref);
  g_clear_pointer(&state->readings, g_ptr_array_unref);
  g_clear_pointer(&state->left, g_ptr_array_unref);
  hf_blob_store_free(state->store);
  hf_base_free(state->base);
  hf_blob_cache_free(state->cache);
  hf_session_free(state->session);
  g_clear_pointer(&state->links, g_hash_table_unref);
  hf_gate_clear(&state->gate);
  g_mutex_clear(&state->lock);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HfBackupState, state_clear)

static void find_store(HfBackupState *state)
{
  struct stat status;
  if ((state->repo->store->features & HF_STORE_LOCAL) && stat(state->repo->store->location, &status) == 0) {
    state->store_device = status.st_dev;
    state->store_inode = status.st_ino;
  }
}

static gboolean prepare_cutter(HfBackupState *state, GError **error)
{
  const HfConfig *config = &state->repo->config;
  g_auto(HfKey) domain_key;
  guint64 gear[256];
  if (!hf_keyring_domain_key(state->repo->keys, hf_keyring_domain(state->repo->keys), &domain_key, error))
    return FALSE;
  hf_gear_table(&domain_key, gear);
  hf_cutter_init(&state->cutter, gear, config->chunk_minimum, config->chunk_average, config->chunk_maximum);
  hf_wipe(gear, sizeof gear);
  return TRUE;
}

static gboolean find_source(HfRepo *repo, const char *name, HfShortId *source, GError **error)
{
  g_auto(HfKey) domain_key;
  if (!hf_keyring_domain_key(repo->keys, hf_keyring_domain(repo->keys), &domain_key, error))
    return FALSE;
  g_autoptr(HfIdentity) identity = hf_identity_new(&domain_key);
  hf_identity_source(identity, name, source);
  return TRUE;
}

/* Session first, then the index (session.h E2), then the base. */
static gboolean open_state(HfBackupState *state, GPtrArray **points, const HfShortId *source, GError **error)
{
  HfRepo *repo = state->repo;
  state->session = hf_session_open(repo, HF_PURPOSE_BACKUP, error);
  if (!state->session || !hf_repo_fresh_index(repo, error))
    return FALSE;
  state->cache = hf_blob_cache_new(repo, BASE_CACHE_BYTES);
  state->store = hf_blob_store_new(state->session, repo, state->options->codec, state->options->level, error);
  *points = hf_points_load(repo, NULL, error);
  if (!state->store || !*points || !prepare_cutter(state, error))
    return FALSE;
  g_autoptr(HfBlobReader) reader = hf_blob_reader_new(state->cache, hf_keyring_domain(repo->keys), error);
  state->base = reader ? hf_base_new(repo, state->session, reader, *points, source, error) : NULL;
  return state->base != NULL;
}

static gboolean run_tree(HfBackupState *state, const GPtrArray *roots, const HfShortId *source, guint32 *flags,
                         HfPointDetails *details, GError **error)
{
  static const HfPoolOps ops = { worker_new, worker_leave, job_run, job_drop };
  const HfBackupHold *hold = state->options->hold;
  HfBackupWorker *worker = worker_new(state, error);
  if (!worker || (hold && !hold->begin(hold->user, error)))
    return FALSE;
  const HfPointDetails *last = hf_base_details(state->base);
  if (last)
    hf_report_total(state->report, last->files, last->bytes);
  state->pool = hf_pool_new(state->threads, &ops, state, state->repo->cancel);
  state->roots = hf_tree_new(state);
  Checkpointer points = { .state = state, .worker = worker, .source = source,
                          .interval_us = checkpoint_interval_us(state->options) };
  hf_gate_enter(&state->gate);
  checkpointer_start(&points);
  gboolean good = add_roots(state, worker, roots, flags, details, error);
  hf_gate_leave(&state->gate);
  good = hf_pool_wait(state->pool, good ? error : NULL) && good;
  checkpointer_stop(&points);
  if (hold)
    hold->end(hold->user);
  hf_backup_count(worker);
  if (good)
    return store_groups(state, error);
  g_autoptr(GError) ignored = NULL;
  if (hf_cancelled(state->repo->cancel, NULL) && take_checkpoint(state, worker, source, &ignored))
    hf_session_keep_checkpoint(state->session);
  return FALSE;
}

static gboolean check_name(const char *given, const char *name, GError **error)
{
  if (hf_point_name_valid(name, given ? error : NULL))
    return TRUE;
  return given ? FALSE
               : hf_fail(error, HF_ERROR_USAGE, "the name of this host, '%s', cannot be the name of a backup; "
                         "give one with --name", name);
}

gboolean hf_backup(HfRepo *repo, const HfBackupOptions *options, HfBackupResult *result, GError **error)
{
  g_auto(HfBackupState) state = { .repo = repo, .options = options };
  g_autoptr(HfReport) own_report = repo->report ? NULL : hf_report_new(&(HfReportOps){ 0 }, NULL);
  const char *name = options->name ? options->name : g_get_host_name();
  HfShortId source;
  g_mutex_init(&state.lock);
  hf_gate_init(&state.gate);
  state.report = repo->report ? repo->report : own_report;
  state.workers = g_ptr_array_new_with_free_func(worker_free);
  state.readings = g_ptr_array_new();
  state.left = g_ptr_array_new_with_free_func(hf_reading_left_free);
  state.threads = hf_processors();
  find_store(&state);
  if (repo->access == HF_ACCESS_NONE)
    return hf_fail(error, HF_ERROR_PERMISSION, "a backup needs a password, key file or credential");
  if (!check_name(options->name, name, error) || !find_source(repo, name, &source, error))
    return FALSE;
  g_autoptr(GPtrArray) roots = absolute_paths(options->paths, error);
  g_autoptr(GPtrArray) allow_empty = roots ? absolute_paths(options->allow_empty, error) : NULL;
  g_autoptr(HfPointDetails) details = new_details(options, name);
  g_autoptr(GPtrArray) points = NULL;
  state.allow_empty = allow_empty;
  if (!allow_empty || !check_twins(roots, error) || !open_state(&state, &points, &source, error))
    return FALSE;

  g_auto(HfPoint) point = { .source = source, .domain = hf_keyring_domain(repo->keys) };
  if (!run_tree(&state, roots, &source, &point.flags, details, error))
    return FALSE;
  fill_details(&state, details);
  point.roots = state.roots_id;
  point.flags |= details->warnings ? HF_POINT_WARNINGS : 0;
  if (!hf_session_commit(state.session, &point, details, error))
    return FALSE;
  fill_result(&state, details, &point, result);
  hf_report_finish(state.report);
  return TRUE;
}
