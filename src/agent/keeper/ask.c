/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/keeper/keeper.h"
#include "base/error.h"
#include "base/work.h"

#define PATIENCE_US (60 * G_TIME_SPAN_SECOND)

struct HfAsk {
  gint references;
  GMutex lock;
  GCond done;
  gboolean is_done;
  GBytes *answer;
  GError *error;
  HfKeeper *keeper;
  HfAskFunc func;
  gpointer data;
  GDestroyNotify free_data;
};

HfAsk *hf_ask_ref(HfAsk *ask)
{
  g_atomic_int_inc(&ask->references);
  return ask;
}

void hf_ask_unref(HfAsk *ask)
{
  if (ask == NULL || !g_atomic_int_dec_and_test(&ask->references))
    return;
  g_clear_pointer(&ask->answer, g_bytes_unref);
  g_clear_error(&ask->error);
  if (ask->free_data != NULL)
    ask->free_data(ask->data);
  g_cond_clear(&ask->done);
  g_mutex_clear(&ask->lock);
  g_free(ask);
}

void hf_ask_done(HfAsk *ask, GBytes *answer, GError *error)
{
  HF_LOCK(&ask->lock);
  ask->answer = answer != NULL ? answer : g_bytes_new(NULL, 0);
  ask->error = error;
  ask->is_done = TRUE;
  g_cond_signal(&ask->done);
}

static gboolean carry_out(gpointer user)
{
  HfAsk *ask = user;
  ask->func(ask->keeper, ask, ask->data);
  return G_SOURCE_REMOVE;
}

static void forget(gpointer user)
{
  hf_ask_unref(user);
}

GBytes *hf_keeper_ask(HfKeeper *keeper, HfAskFunc func, gpointer data, GDestroyNotify free_data, GError **error)
{
  HfAsk *ask = g_new0(HfAsk, 1);
  ask->references = 1;
  g_mutex_init(&ask->lock);
  g_cond_init(&ask->done);
  ask->keeper = keeper;
  ask->func = func;
  ask->data = data;
  ask->free_data = free_data;
  g_idle_add_full(G_PRIORITY_DEFAULT, carry_out, hf_ask_ref(ask), forget);
  gint64 end = g_get_monotonic_time() + PATIENCE_US;
  GBytes *answer = NULL;
  g_mutex_lock(&ask->lock);
  while (!ask->is_done && g_cond_wait_until(&ask->done, &ask->lock, end))
    continue;
  if (ask->is_done && ask->error == NULL)
    answer = g_steal_pointer(&ask->answer);
  else if (ask->is_done)
    g_propagate_error(error, g_steal_pointer(&ask->error));
  else
    hf_fail(error, HF_ERROR_IO, "the agent did not carry out an order within a minute");
  g_mutex_unlock(&ask->lock);
  hf_ask_unref(ask);
  return answer;
}
