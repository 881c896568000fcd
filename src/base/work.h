/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Threads: a cancel flag, a bounded queue, and a pool of workers that share a stack or queue of jobs.
 * Everything here is safe to call from any thread unless said otherwise.
 */
#pragma once

#include <glib.h>

/* ---- Cancel: set once (also from a signal handler), polled by every loop. ---- */
typedef struct HfCancel {
  gint flag;
} HfCancel;
/* Async-signal-safe. */
void hf_cancel_set(HfCancel *cancel);
/* TRUE, with HF_ERROR_CANCELLED set when `error` is given, once cancelled. NULL `cancel` is never cancelled. */
gboolean hf_cancelled(HfCancel *cancel, GError **error);

/* ---- Holds a GMutex from here to the end of the enclosing block; one in a block. ---- */
#define HF_LOCK(mutex) g_autoptr(GMutexLocker) hf_lock G_GNUC_UNUSED = g_mutex_locker_new(mutex)

/* ---- Bounded queue of pointers, first in first out. ---- */
typedef struct HfQueue HfQueue;
HfQueue *hf_queue_new(guint capacity);
void hf_queue_free(HfQueue *queue);
/* Blocks while full. FALSE when the queue was closed (the item stays the caller's). */
gboolean hf_queue_push(HfQueue *queue, gpointer item);
/* Blocks while empty. NULL when the queue was closed and is empty. */
gpointer hf_queue_pop(HfQueue *queue);
gpointer hf_queue_try_pop(HfQueue *queue);
/* Wakes all: pushes fail from now on, pops drain what is left. */
void hf_queue_close(HfQueue *queue);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfQueue, hf_queue_free)

/* ---- A pool: N threads run jobs; the first error stops it. ----
 * Jobs are taken last in first out (depth first), except those pushed with hf_pool_push_front, which are taken before
 * all others, first in first out among themselves. Jobs may push more jobs: pushing never blocks (who pushes bounds
 * himself), so it cannot deadlock. */
typedef struct HfPool HfPool;
/* `worker` is the per-thread state from new_worker. Returns FALSE with an error to stop the pool. */
typedef gboolean (*HfJobFunc)(gpointer job, gpointer worker, gpointer user, GError **error);
typedef struct HfPoolOps {
  gpointer (*new_worker)(gpointer user, GError **error); /* may be NULL: worker state is NULL */
  void (*free_worker)(gpointer worker);
  HfJobFunc run;                  /* owns the job */
  void (*drop)(gpointer job);     /* frees a job that was never run (after an error or cancel) */
} HfPoolOps;
HfPool *hf_pool_new(guint threads, const HfPoolOps *ops, gpointer user, HfCancel *cancel);
void hf_pool_push(HfPool *pool, gpointer job);
void hf_pool_push_front(HfPool *pool, gpointer job);
/* Waits until no job is queued or running, then returns the first error, if any; the same again when called again.
 * May be called repeatedly. After a cancel it fails with HF_ERROR_CANCELLED even when no job was dropped. Not from a
 * job. */
gboolean hf_pool_wait(HfPool *pool, GError **error);
/* Number of queued (not running) jobs; a hint for who bounds himself. */
guint hf_pool_queued(HfPool *pool);
/* TRUE after the first error or a cancel: jobs should end early. */
gboolean hf_pool_stopping(HfPool *pool);
/* Stops and joins; queued jobs are dropped. NULL is allowed. */
void hf_pool_free(HfPool *pool);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfPool, hf_pool_free)

/* Processors this process may use (sched_getaffinity), at least 1; HOLDFAST_THREADS overrides (1..256). */
guint hf_processors(void);
