/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Invariants:
 *  P1 Every job pushed is either run once or dropped once.
 *  P2 Once `stopping` is set no job starts, and both lists are empty whenever the mutex is free.
 *  P3 `error` is set before `stopping` and never changes afterwards; it stays NULL when hf_pool_free stops the pool.
 *  P4 `busy` counts workers that start up or run a job: the pool is idle when it is 0 and both lists are empty.
 *  P5 Functions of HfPoolOps are called without the mutex.
 */
#include "base/buffer.h"
#include "base/error.h"
#include "base/work.h"

struct HfPool {
  HfPoolOps ops;
  gpointer user;
  HfCancel *cancel;
  GPtrArray *threads;
  gint stopping; /* atomic: read without the mutex too */

  GMutex mutex;  /* guards everything below */
  GCond arrived; /* a job came or the pool stops */
  GCond idle;    /* busy fell to 0 */
  GPtrArray *stack;
  GQueue front;
  guint busy;
  GError *error;
};

static guint queued_locked(HfPool *pool)
{
  return pool->stack->len + pool->front.length;
}

static gpointer take_locked(HfPool *pool)
{
  if (pool->front.length > 0)
    return g_queue_pop_head(&pool->front);
  return g_ptr_array_steal_index(pool->stack, pool->stack->len - 1);
}

static void drop_job(HfPool *pool, gpointer job)
{
  if (pool->ops.drop != NULL)
    pool->ops.drop(job);
}

/* Stops the pool for `error` (owned; NULL when the pool is being freed) and drops what is queued. */
static void stop(HfPool *pool, GError *error)
{
  g_autoptr(GPtrArray) dropped = g_ptr_array_new();
  g_mutex_lock(&pool->mutex);
  if (g_atomic_int_get(&pool->stopping) == 0)
    pool->error = g_steal_pointer(&error);
  g_atomic_int_set(&pool->stopping, 1);
  while (queued_locked(pool) > 0)
    g_ptr_array_add(dropped, take_locked(pool));
  g_cond_broadcast(&pool->arrived);
  g_mutex_unlock(&pool->mutex);
  for (guint i = 0; i < dropped->len; i++)
    drop_job(pool, dropped->pdata[i]);
  g_clear_error(&error);
}

static void run_job(HfPool *pool, gpointer job, gpointer worker)
{
  GError *error = NULL;
  if (hf_cancelled(pool->cancel, &error)) {
    drop_job(pool, job);
    stop(pool, error);
    return;
  }
  if (!pool->ops.run(job, worker, pool->user, &error)) {
    if (error == NULL)
      hf_fail(&error, HF_ERROR_FAILED, "a job failed and gave no reason");
    stop(pool, error);
  }
}

static void finish_locked(HfPool *pool)
{
  pool->busy--;
  if (pool->busy == 0)
    g_cond_broadcast(&pool->idle);
}

static void serve(HfPool *pool, gpointer worker)
{
  g_mutex_lock(&pool->mutex);
  finish_locked(pool);
  while (TRUE) {
    while (queued_locked(pool) == 0 && !g_atomic_int_get(&pool->stopping))
      g_cond_wait(&pool->arrived, &pool->mutex);
    if (g_atomic_int_get(&pool->stopping))
      break;
    gpointer job = take_locked(pool);
    pool->busy++;
    g_mutex_unlock(&pool->mutex);
    run_job(pool, job, worker);
    g_mutex_lock(&pool->mutex);
    finish_locked(pool);
  }
  g_mutex_unlock(&pool->mutex);
}

static gpointer worker_main(gpointer data)
{
  HfPool *pool = data;
  GError *error = NULL;
  gpointer worker = NULL;
  if (pool->ops.new_worker != NULL)
    worker = pool->ops.new_worker(pool->user, &error);
  if (error != NULL)
    stop(pool, error);
  serve(pool, worker);
  if (worker != NULL && pool->ops.free_worker != NULL)
    pool->ops.free_worker(worker);
  return NULL;
}

HfPool *hf_pool_new(guint threads, const HfPoolOps *ops, gpointer user, HfCancel *cancel)
{
  HfPool *pool = g_new0(HfPool, 1);
  guint count = MAX(threads, 1);
  pool->ops = *ops;
  pool->user = user;
  pool->cancel = cancel;
  g_mutex_init(&pool->mutex);
  g_cond_init(&pool->arrived);
  g_cond_init(&pool->idle);
  pool->stack = g_ptr_array_new();
  g_queue_init(&pool->front);
  pool->busy = count;
  pool->threads = g_ptr_array_new();
  for (guint i = 0; i < count; i++)
    g_ptr_array_add(pool->threads, g_thread_new("hf-pool", worker_main, pool));
  return pool;
}

static void push(HfPool *pool, gpointer job, gboolean front)
{
  g_mutex_lock(&pool->mutex);
  gboolean stopping = g_atomic_int_get(&pool->stopping) != 0;
  if (!stopping) {
    if (front)
      g_queue_push_tail(&pool->front, job);
    else
      g_ptr_array_add(pool->stack, job);
    g_cond_signal(&pool->arrived);
  }
  g_mutex_unlock(&pool->mutex);
  if (stopping)
    drop_job(pool, job);
}

void hf_pool_push(HfPool *pool, gpointer job)
{
  push(pool, job, FALSE);
}

void hf_pool_push_front(HfPool *pool, gpointer job)
{
  push(pool, job, TRUE);
}

gboolean hf_pool_wait(HfPool *pool, GError **error)
{
  HF_LOCK(&pool->mutex);
  while (pool->busy > 0 || queued_locked(pool) > 0)
    g_cond_wait(&pool->idle, &pool->mutex);
  if (pool->error != NULL) {
    if (error != NULL)
      *error = g_error_copy(pool->error);
    return FALSE;
  }
  /* A job that saw hf_pool_stopping may have ended early without an error: that is no success either. */
  return !hf_cancelled(pool->cancel, error);
}

guint hf_pool_queued(HfPool *pool)
{
  HF_LOCK(&pool->mutex);
  return queued_locked(pool);
}

gboolean hf_pool_stopping(HfPool *pool)
{
  return g_atomic_int_get(&pool->stopping) != 0 || hf_cancelled(pool->cancel, NULL);
}

void hf_pool_free(HfPool *pool)
{
  if (pool == NULL)
    return;
  stop(pool, NULL);
  for (guint i = 0; i < pool->threads->len; i++)
    g_thread_join(pool->threads->pdata[i]);
  g_ptr_array_unref(pool->threads);
  g_ptr_array_unref(pool->stack);
  g_mutex_clear(&pool->mutex);
  g_cond_clear(&pool->arrived);
  g_cond_clear(&pool->idle);
  g_clear_error(&pool->error);
  g_free(pool);
}

guint hf_processors(void)
{
  const char *text = g_getenv("HOLDFAST_THREADS");
  guint64 threads;
  if (text != NULL && hf_parse_number("HOLDFAST_THREADS", text, 1, 256, &threads, NULL))
    return (guint)threads;
  /* GLib counts by sched_getaffinity. */
  return g_get_num_processors();
}
