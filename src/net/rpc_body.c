/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/rpc_body.h"

#include "base/work.h"

#define LEAST (64u << 10)  /* smaller ones are malloc's */
#define KEPT_MAX (4u << 20) /* bytes that wait to be used again */
#define SLOTS 16u

/* In front of the bytes. */
typedef struct Body {
  HfBodies *bodies;
  gsize room;
} Body;
G_STATIC_ASSERT(sizeof(Body) % 16 == 0);

struct HfBodies {
  gint references; /* atomic: the owner, and each body that is out */
  GMutex lock;     /* guards what follows */
  Body *kept[SLOTS];
  guint count;
  gsize bytes;
};

HfBodies *hf_bodies_new(void)
{
  HfBodies *bodies = g_new0(HfBodies, 1);
  bodies->references = 1;
  g_mutex_init(&bodies->lock);
  return bodies;
}

void hf_bodies_unref(HfBodies *bodies)
{
  if (bodies == NULL || !g_atomic_int_dec_and_test(&bodies->references))
    return;
  for (guint i = 0; i < bodies->count; i++)
    g_free(bodies->kept[i]);
  g_mutex_clear(&bodies->lock);
  g_free(bodies);
}

/* One that has room, and not more than twice as much. */
static Body *find_kept(HfBodies *bodies, gsize length)
{
  HF_LOCK(&bodies->lock);
  for (guint i = 0; i < bodies->count; i++) {
    Body *body = bodies->kept[i];
    if (body->room >= length && body->room / 2 <= length) {
      bodies->kept[i] = bodies->kept[--bodies->count];
      bodies->bytes -= body->room;
      return body;
    }
  }
  return NULL;
}

guint8 *hf_bodies_get(HfBodies *bodies, gsize length)
{
  Body *body = length >= LEAST ? find_kept(bodies, length) : NULL;
  if (body == NULL) {
    body = g_try_malloc(sizeof *body + length);
    if (body == NULL)
      return NULL;
    body->bodies = bodies;
    body->room = length;
  }
  g_atomic_int_inc(&bodies->references);
  return (guint8 *)(body + 1);
}

static void give_back(gpointer data)
{
  Body *body = data;
  HfBodies *bodies = body->bodies;
  g_mutex_lock(&bodies->lock);
  if (body->room >= LEAST && bodies->count < SLOTS && bodies->bytes + body->room <= KEPT_MAX) {
    bodies->kept[bodies->count++] = body;
    bodies->bytes += body->room;
    body = NULL;
  }
  g_mutex_unlock(&bodies->lock);
  g_free(body);
  hf_bodies_unref(bodies);
}

void hf_bodies_put(guint8 *bytes)
{
  give_back((Body *)(gpointer)bytes - 1);
}

GBytes *hf_bodies_take(guint8 *bytes, gsize length)
{
  return g_bytes_new_with_free_func(bytes, length, give_back, (Body *)(gpointer)bytes - 1);
}
