/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reads that were announced (hf_store_will_read): they are asked for before they are needed, so that a restore over a
 * long link is as fast as the link, however few threads it has. What is asked for and not yet taken is bounded by bytes
 * and calls; what nobody takes is dropped when two more plans have come.
 */
#include <string.h>

#include "base/work.h"
#include "storage/service/private.h"

#define AHEAD_BYTES (16u << 20) /* 150 ms at 850 Mbit/s */
#define AHEAD_CALLS 8u          /* for each connection: small frames are many */

typedef struct Read {
  char *name;
  guint64 offset;
  gsize length;
  guint plan;
  HfCall *call; /* NULL: not asked for yet */
} Read;

struct HfPlanned {
  GMutex lock;
  GHashTable *reads; /* Read to itself, by place */
  GQueue waiting;    /* of Read*, borrowed: not asked for yet, in order */
  gsize bytes;       /* asked for and not taken */
  guint calls, plan;
};

static guint read_hash(gconstpointer data)
{
  const Read *read = data;
  return g_str_hash(read->name) ^ g_int64_hash(&read->offset);
}

static gboolean read_equal(gconstpointer a, gconstpointer b)
{
  const Read *x = a, *y = b;
  return x->offset == y->offset && x->length == y->length && g_str_equal(x->name, y->name);
}

static void read_free(gpointer data)
{
  Read *read = data;
  hf_call_free(read->call);
  g_free(read->name);
  g_free(read);
}

HfPlanned *hf_planned_new(void)
{
  HfPlanned *planned = g_new0(HfPlanned, 1);
  g_mutex_init(&planned->lock);
  g_queue_init(&planned->waiting);
  planned->reads = g_hash_table_new_full(read_hash, read_equal, NULL, read_free);
  return planned;
}

void hf_planned_free(HfPlanned *planned)
{
  g_queue_clear(&planned->waiting);
  g_hash_table_unref(planned->reads);
  g_mutex_clear(&planned->lock);
  g_free(planned);
}

/* A read that cannot be asked for is forgotten: who needs it asks himself, and hears why. */
static gboolean ask_locked(HfPlanned *planned, HfServiceStore *service, Read *read)
{
  read->call = hf_service_ask_range(service, read->name, read->offset, read->length, NULL);
  if (read->call == NULL) {
    g_hash_table_remove(planned->reads, read);
    return FALSE;
  }
  planned->bytes += read->length;
  planned->calls++;
  return TRUE;
}

static void top_up_locked(HfPlanned *planned, HfServiceStore *service)
{
  guint most = AHEAD_CALLS * service->connections->len;
  while (planned->bytes < AHEAD_BYTES && planned->calls < most && planned->waiting.length > 0)
    if (!ask_locked(planned, service, g_queue_pop_head(&planned->waiting)))
      return;
}

static void leave_locked(HfPlanned *planned, const Read *read)
{
  if (read->call == NULL)
    return;
  planned->bytes -= read->length;
  planned->calls--;
}

static void drop_old_locked(HfPlanned *planned)
{
  GHashTableIter iter;
  gpointer key;
  g_hash_table_iter_init(&iter, planned->reads);
  while (g_hash_table_iter_next(&iter, &key, NULL)) {
    Read *read = key;
    if (read->plan + 2 > planned->plan)
      continue;
    leave_locked(planned, read);
    g_queue_remove(&planned->waiting, read);
    g_hash_table_iter_remove(&iter);
  }
}

void hf_planned_add(HfPlanned *planned, HfServiceStore *service, const HfStoreRange *ranges, guint count)
{
  HF_LOCK(&planned->lock);
  planned->plan++;
  drop_old_locked(planned);
  for (guint i = 0; i < count; i++) {
    Read wanted = { .name = (char *)ranges[i].name, .offset = ranges[i].offset, .length = ranges[i].length };
    if (ranges[i].length == 0 || ranges[i].length > HF_SERVICE_GET_MAX ||
        g_hash_table_contains(planned->reads, &wanted))
      continue;
    Read *read = g_memdup2(&wanted, sizeof wanted);
    read->name = g_strdup(ranges[i].name);
    read->plan = planned->plan;
    g_hash_table_add(planned->reads, read);
    g_queue_push_tail(&planned->waiting, read);
  }
  top_up_locked(planned, service);
}

HfCall *hf_planned_take(HfPlanned *planned, HfServiceStore *service, const char *name, guint64 offset, gsize length)
{
  Read wanted = { .name = (char *)name, .offset = offset, .length = length };
  HF_LOCK(&planned->lock);
  Read *read = g_hash_table_lookup(planned->reads, &wanted);
  if (read == NULL)
    return NULL;
  leave_locked(planned, read);
  if (read->call == NULL)
    g_queue_remove(&planned->waiting, read); /* its turn came early: the caller asks himself */
  HfCall *call = g_steal_pointer(&read->call);
  g_hash_table_remove(planned->reads, read);
  top_up_locked(planned, service);
  return call;
}
