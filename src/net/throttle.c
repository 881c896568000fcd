/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A token bucket: tokens are bytes, they come by the rate and are kept up to a tenth of a second's.
 *
 * INVARIANTS
 * 1. Who waits stands in a line. The first in it goes as soon as there is any token, and may leave the bucket in debt
 *    by what it takes; nobody else goes while the line is not empty. So nobody starves, and what went since any moment
 *    is at most a bucket, the rate times the time since then, and one piece.
 * 2. What was received is charged afterwards, when its length is known: a bucket in debt holds back the next read.
 * 3. The line is empty or its first waits for a moment that is known: whatever changes that wakes all.
 */
#include "base/clock.h"
#include "net/socket.h"

#define BUCKET_LEAST (64 << 10)
#define PIECE_MOST (64 << 10)
#define PIECE_LEAST 1024

struct HfThrottle {
  gint references; /* atomic */
  GMutex lock;
  GCond changed; /* rate, line, or somebody is to stop waiting */
  guint64 rate;
  gdouble tokens;
  gint64 filled_us; /* when tokens were counted last */
  GQueue line;      /* of who waits: addresses of locals of theirs */
  guint64 waited_us, held_us;
  gint64 held_since; /* while the line is not empty */
};

HfThrottle *hf_throttle_new(guint64 rate)
{
  HfThrottle *throttle = g_new0(HfThrottle, 1);
  throttle->references = 1;
  g_mutex_init(&throttle->lock);
  g_cond_init(&throttle->changed);
  g_queue_init(&throttle->line);
  throttle->rate = rate;
  throttle->filled_us = g_get_monotonic_time();
  return throttle;
}

HfThrottle *hf_throttle_ref(HfThrottle *throttle)
{
  g_atomic_int_inc(&throttle->references);
  return throttle;
}

void hf_throttle_unref(HfThrottle *throttle)
{
  if (throttle == NULL || !g_atomic_int_dec_and_test(&throttle->references))
    return;
  g_mutex_clear(&throttle->lock);
  g_cond_clear(&throttle->changed);
  g_free(throttle);
}

/* Counts what came since the last time. */
static void fill_locked(HfThrottle *throttle)
{
  gint64 now = g_get_monotonic_time();
  gdouble room = MAX((gdouble)throttle->rate / 10, (gdouble)BUCKET_LEAST);
  throttle->tokens += (gdouble)(now - throttle->filled_us) * (gdouble)throttle->rate / 1e6;
  throttle->tokens = MIN(throttle->tokens, room);
  throttle->filled_us = now;
}

void hf_throttle_set_rate(HfThrottle *throttle, guint64 rate)
{
  g_mutex_lock(&throttle->lock);
  fill_locked(throttle);
  /* What was saved up under another rate does not go out in a burst, and a debt is not paid off at a lower one. */
  if (throttle->rate != rate)
    throttle->tokens = 0;
  throttle->rate = rate;
  g_cond_broadcast(&throttle->changed);
  g_mutex_unlock(&throttle->lock);
}

guint64 hf_throttle_rate(HfThrottle *throttle)
{
  g_mutex_lock(&throttle->lock);
  guint64 rate = throttle->rate;
  g_mutex_unlock(&throttle->lock);
  return rate;
}

guint64 hf_throttle_waited_us(HfThrottle *throttle)
{
  g_mutex_lock(&throttle->lock);
  guint64 waited = throttle->waited_us;
  g_mutex_unlock(&throttle->lock);
  return waited;
}

guint64 hf_throttle_held_us(HfThrottle *throttle)
{
  g_mutex_lock(&throttle->lock);
  guint64 held = throttle->held_us;
  if (throttle->line.length > 0)
    held += (guint64)(g_get_monotonic_time() - throttle->held_since);
  g_mutex_unlock(&throttle->lock);
  return held;
}

gsize hf_throttle_piece(HfThrottle *throttle)
{
  guint64 rate = hf_throttle_rate(throttle);
  return rate == 0 ? G_MAXSSIZE : (gsize)CLAMP(rate / 20, PIECE_LEAST, PIECE_MOST);
}

void hf_throttle_wake(HfThrottle *throttle)
{
  g_mutex_lock(&throttle->lock);
  g_cond_broadcast(&throttle->changed);
  g_mutex_unlock(&throttle->lock);
}

static gboolean may_go_locked(HfThrottle *throttle, const void *who)
{
  fill_locked(throttle);
  if (throttle->rate == 0)
    return TRUE;
  const void *first = g_queue_peek_head(&throttle->line);
  return throttle->tokens > 0 && (first == NULL || first == who);
}

/* Sleeps until it may be its turn, `until` has passed, or something has changed. FALSE when `until` has passed. */
static gboolean sleep_locked(HfThrottle *throttle, const void *who, gint64 until)
{
  gint64 due = -1;
  if (until >= 0 && throttle->filled_us >= until)
    return FALSE;
  if (g_queue_peek_head(&throttle->line) == who)
    due = throttle->filled_us + 1 + (gint64)((1 - throttle->tokens) * 1e6 / (gdouble)throttle->rate);
  if (until >= 0)
    due = due < 0 ? until : MIN(due, until);
  if (due < 0)
    g_cond_wait(&throttle->changed, &throttle->lock);
  else
    (void)g_cond_wait_until(&throttle->changed, &throttle->lock, due);
  return TRUE;
}

static void leave_line_locked(HfThrottle *throttle, gpointer who, gint64 begun)
{
  gint64 now = g_get_monotonic_time();
  g_queue_remove(&throttle->line, who);
  if (throttle->line.length == 0)
    throttle->held_us += (guint64)(now - throttle->held_since);
  throttle->waited_us += (guint64)(now - begun);
  g_cond_broadcast(&throttle->changed);
}

gboolean hf_throttle_take(HfThrottle *throttle, gsize bytes, gint64 until, const gint *stop)
{
  gint64 begun = 0; /* its address is what stands in the line */
  g_mutex_lock(&throttle->lock);
  gboolean taken = !g_atomic_int_get(stop) && may_go_locked(throttle, &begun);
  if (!taken && !g_atomic_int_get(stop)) {
    begun = g_get_monotonic_time();
    if (throttle->line.length == 0)
      throttle->held_since = begun;
    g_queue_push_tail(&throttle->line, &begun);
    while (!taken && sleep_locked(throttle, &begun, until) && !g_atomic_int_get(stop))
      taken = may_go_locked(throttle, &begun);
    leave_line_locked(throttle, &begun, begun);
  }
  if (taken && throttle->rate != 0)
    throttle->tokens -= (gdouble)bytes;
  g_mutex_unlock(&throttle->lock);
  return taken;
}

void hf_throttle_charge(HfThrottle *throttle, gsize bytes)
{
  g_mutex_lock(&throttle->lock);
  fill_locked(throttle);
  if (throttle->rate != 0)
    throttle->tokens -= (gdouble)bytes;
  g_mutex_unlock(&throttle->lock);
}
