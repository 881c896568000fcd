/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/keeper/events.h"

#include "base/clock.h"
#include "base/work.h"
#include "crypto/crypto.h"

struct HfEvents {
  GMutex lock;
  GCond more;
  GQueue queue; /* HfEvent *, by number */
  guint64 epoch, last;
  guint lines;
  gsize line_bytes;
  GHashTable *lost; /* task -> number of lines, both guint64 */
  gboolean closed;
};

static void event_free(gpointer item)
{
  HfEvent *event = item;
  g_bytes_unref(event->body);
  g_free(event->name);
  g_free(event);
}

/* Shares nothing: it goes to another thread. */
static HfEvent *event_copy(const HfEvent *event)
{
  HfEvent *copy = g_memdup2(event, sizeof *event);
  copy->body = g_bytes_new(g_bytes_get_data(event->body, NULL), g_bytes_get_size(event->body));
  copy->name = g_strdup(event->name);
  return copy;
}

HfEvents *hf_events_new(void)
{
  HfEvents *events = g_new0(HfEvents, 1);
  g_mutex_init(&events->lock);
  g_cond_init(&events->more);
  g_queue_init(&events->queue);
  hf_random(&events->epoch, sizeof events->epoch);
  events->lost = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
  return events;
}

void hf_events_free(HfEvents *events)
{
  if (events == NULL)
    return;
  g_queue_clear_full(&events->queue, event_free);
  g_hash_table_unref(events->lost);
  g_cond_clear(&events->more);
  g_mutex_clear(&events->lock);
  g_free(events);
}

guint64 hf_events_epoch(const HfEvents *events)
{
  return events->epoch;
}

static gboolean is_line(const HfEvent *event)
{
  return event->kind == HF_EVENT_LOG || event->kind == HF_EVENT_WARNING || event->kind == HF_EVENT_NOTE;
}

static void drop_link(HfEvents *events, GList *link)
{
  HfEvent *event = link->data;
  if (is_line(event)) {
    events->lines--;
    events->line_bytes -= g_bytes_get_size(event->body);
  }
  g_queue_delete_link(&events->queue, link);
  event_free(event);
}

static void drop_progress(HfEvents *events, guint64 task)
{
  for (GList *link = events->queue.tail; link != NULL; link = link->prev) {
    const HfEvent *event = link->data;
    if (event->kind == HF_EVENT_PROGRESS && event->task == task) {
      drop_link(events, link);
      return;
    }
  }
}

static void count_lost(HfEvents *events, guint64 task)
{
  guint64 *count = g_hash_table_lookup(events->lost, &task);
  if (count == NULL) {
    count = g_new0(guint64, 1);
    g_hash_table_insert(events->lost, g_memdup2(&task, sizeof task), count);
  }
  ++*count;
}

static void drop_old_lines(HfEvents *events)
{
  GList *link = events->queue.head;
  while (link != NULL && (events->lines > HF_EVENTS_LINES || events->line_bytes > HF_EVENTS_LINE_BYTES)) {
    GList *next = link->next;
    HfEvent *event = link->data;
    if (is_line(event)) {
      count_lost(events, event->task);
      drop_link(events, link);
    }
    link = next;
  }
}

void hf_events_add(HfEvents *events, HfEventKind kind, guint64 task, const char *name, GBytes *body)
{
  HF_LOCK(&events->lock);
  if (kind == HF_EVENT_PROGRESS || kind == HF_EVENT_RESULT)
    drop_progress(events, task);
  HfEvent *event = g_new0(HfEvent, 1);
  *event = (HfEvent){ ++events->last, kind, task, g_strdup(name), hf_clock_real_ns(), body };
  g_queue_push_tail(&events->queue, event);
  if (is_line(event)) {
    events->lines++;
    events->line_bytes += g_bytes_get_size(body);
    drop_old_lines(events);
  }
  g_cond_broadcast(&events->more);
}

guint64 hf_events_lost(HfEvents *events, guint64 task)
{
  HF_LOCK(&events->lock);
  const guint64 *count = g_hash_table_lookup(events->lost, &task);
  guint64 lost = count != NULL ? *count : 0;
  g_hash_table_remove(events->lost, &task);
  return lost;
}

static void collect(HfEvents *events, guint64 after, guint most, GPtrArray *found)
{
  for (GList *link = events->queue.head; link != NULL && found->len < most; link = link->next)
    if (((const HfEvent *)link->data)->number > after)
      g_ptr_array_add(found, event_copy(link->data));
}

GPtrArray *hf_events_after(HfEvents *events, guint64 after, guint most, guint wait_ms)
{
  GPtrArray *found = g_ptr_array_new_with_free_func(event_free);
  gint64 end = g_get_monotonic_time() + (gint64)wait_ms * 1000;
  HF_LOCK(&events->lock);
  collect(events, after, most, found);
  while (found->len == 0 && !events->closed && g_cond_wait_until(&events->more, &events->lock, end))
    collect(events, after, most, found);
  return found;
}

GArray *hf_events_taken(HfEvents *events, guint64 number)
{
  GArray *results = g_array_new(FALSE, FALSE, sizeof(guint64));
  HF_LOCK(&events->lock);
  while (events->queue.head != NULL && ((const HfEvent *)events->queue.head->data)->number <= number) {
    const HfEvent *event = events->queue.head->data;
    if (event->kind == HF_EVENT_RESULT)
      g_array_append_val(results, event->task);
    drop_link(events, events->queue.head);
  }
  return results;
}

void hf_events_close(HfEvents *events)
{
  HF_LOCK(&events->lock);
  events->closed = TRUE;
  g_cond_broadcast(&events->more);
}
