/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/error.h"
#include "base/work.h"

struct HfQueue {
  GMutex mutex; /* guards everything below */
  GCond changed;
  gpointer *items; /* a ring */
  guint capacity, first, count;
  gboolean closed;
};

void hf_cancel_set(HfCancel *cancel)
{
  g_atomic_int_set(&cancel->flag, 1);
}

gboolean hf_cancelled(HfCancel *cancel, GError **error)
{
  if (cancel == NULL || g_atomic_int_get(&cancel->flag) == 0)
    return FALSE;
  hf_fail(error, HF_ERROR_CANCELLED, "cancelled");
  return TRUE;
}

HfQueue *hf_queue_new(guint capacity)
{
  HfQueue *queue = g_new0(HfQueue, 1);
  g_mutex_init(&queue->mutex);
  g_cond_init(&queue->changed);
  queue->capacity = MAX(capacity, 1);
  queue->items = g_new0(gpointer, queue->capacity);
  return queue;
}

void hf_queue_free(HfQueue *queue)
{
  if (queue == NULL)
    return;
  g_mutex_clear(&queue->mutex);
  g_cond_clear(&queue->changed);
  g_free(queue->items);
  g_free(queue);
}

gboolean hf_queue_push(HfQueue *queue, gpointer item)
{
  HF_LOCK(&queue->mutex);
  while (queue->count == queue->capacity && !queue->closed)
    g_cond_wait(&queue->changed, &queue->mutex);
  if (queue->closed)
    return FALSE;
  queue->items[(queue->first + queue->count) % queue->capacity] = item;
  queue->count++;
  g_cond_broadcast(&queue->changed);
  return TRUE;
}

static gpointer take_locked(HfQueue *queue)
{
  if (queue->count == 0)
    return NULL;
  gpointer item = queue->items[queue->first];
  queue->first = (queue->first + 1) % queue->capacity;
  queue->count--;
  g_cond_broadcast(&queue->changed);
  return item;
}

gpointer hf_queue_pop(HfQueue *queue)
{
  HF_LOCK(&queue->mutex);
  while (queue->count == 0 && !queue->closed)
    g_cond_wait(&queue->changed, &queue->mutex);
  return take_locked(queue);
}

gpointer hf_queue_try_pop(HfQueue *queue)
{
  HF_LOCK(&queue->mutex);
  return take_locked(queue);
}

void hf_queue_close(HfQueue *queue)
{
  HF_LOCK(&queue->mutex);
  queue->closed = TRUE;
  g_cond_broadcast(&queue->changed);
}
