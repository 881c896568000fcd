/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A token bucket: tokens are bytes, they come by the rate and are kept up to a tenth of a second's. */
#include "base/clock.h"
#include "net/socket.h"

#define BUCKET_LEAST (64 << 10)
#define PIECE_MOST (64 << 10)
#define PIECE_LEAST 1024

struct HfThrottle {
  gint references; /* atomic */
  GMutex lock;
  GCond changed; /* rate, or somebody is to stop waiting */
  guint64 rate;
  gdouble tokens;
  gint64 filled_us; /* when tokens were counted last */
  guint64 waited_us;
};

HfThrottle *hf_throttle_new(guint64 rate)
{
  HfThrottle *throttle = g_new0(HfThrottle, 1);
  throttle->references = 1;
  g_mutex_init(&throttle->lock);
  g_cond_init(&throttle->changed);
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

gboolean hf_throttle_take(HfThrottle *throttle, gsize bytes, gint64 until, const gint *stop)
{
  gboolean taken = FALSE;
  g_mutex_lock(&throttle->lock);
  gint64 begun = g_get_monotonic_time();
  while (!taken && !g_atomic_int_get(stop)) {
    fill_locked(throttle);
    if (throttle->rate == 0 || throttle->tokens >= (gdouble)bytes) {
      throttle->tokens -= throttle->rate == 0 ? 0 : (gdouble)bytes;
      taken = TRUE;
      break;
    }
    gdouble missing = (gdouble)bytes - throttle->tokens;
    gint64 due = throttle->filled_us + 1 + (gint64)(missing * 1e6 / (gdouble)throttle->rate);
    if (until >= 0 && throttle->filled_us >= until)
      break;
    (void)g_cond_wait_until(&throttle->changed, &throttle->lock, until >= 0 ? MIN(due, until) : due);
  }
  throttle->waited_us += (guint64)(g_get_monotonic_time() - begun);
  g_mutex_unlock(&throttle->lock);
  return taken;
}
