/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/error.h"
#include "base/work.h"

#define ITEMS 20000
#define PRODUCERS 3

static void test_cancel(void)
{
  HfCancel cancel = { 0 };
  g_autoptr(GError) error = NULL;
  g_assert_false(hf_cancelled(NULL, &error));
  g_assert_false(hf_cancelled(&cancel, &error));
  g_assert_no_error(error);
  hf_cancel_set(&cancel);
  hf_cancel_set(&cancel);
  g_assert_true(hf_cancelled(&cancel, NULL));
  g_assert_true(hf_cancelled(&cancel, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_CANCELLED);
}

static void test_order(void)
{
  g_autoptr(HfQueue) queue = hf_queue_new(3);
  g_assert_null(hf_queue_try_pop(queue));
  for (guint round = 0; round < 5; round++) {
    for (guint i = 1; i <= 3; i++)
      g_assert_true(hf_queue_push(queue, GUINT_TO_POINTER(round * 10 + i)));
    for (guint i = 1; i <= 2; i++)
      g_assert_cmpuint(GPOINTER_TO_UINT(hf_queue_pop(queue)), ==, round * 10 + i);
    g_assert_cmpuint(GPOINTER_TO_UINT(hf_queue_try_pop(queue)), ==, round * 10 + 3);
  }
}

static void test_close(void)
{
  g_autoptr(HfQueue) queue = hf_queue_new(0);
  int item = 0;
  g_assert_true(hf_queue_push(queue, &item));
  hf_queue_close(queue);
  g_assert_false(hf_queue_push(queue, &item));
  g_assert_true(hf_queue_pop(queue) == &item);
  g_assert_null(hf_queue_pop(queue));
  g_assert_null(hf_queue_try_pop(queue));
  hf_queue_free(NULL);
}

static gpointer push_one(gpointer queue)
{
  return GINT_TO_POINTER(hf_queue_push(queue, queue) ? 1 : 2);
}

static void test_push_waits(void)
{
  g_autoptr(HfQueue) queue = hf_queue_new(1);
  int item = 0;
  g_assert_true(hf_queue_push(queue, &item));
  GThread *pusher = g_thread_new("pusher", push_one, queue);
  g_usleep(5000);
  g_assert_true(hf_queue_pop(queue) == &item);
  g_assert_true(hf_queue_pop(queue) == queue);
  g_assert_cmpint(GPOINTER_TO_INT(g_thread_join(pusher)), ==, 1);

  g_assert_true(hf_queue_push(queue, &item));
  pusher = g_thread_new("pusher", push_one, queue);
  g_usleep(5000);
  hf_queue_close(queue);
  g_assert_cmpint(GPOINTER_TO_INT(g_thread_join(pusher)), ==, 2);
  g_assert_true(hf_queue_pop(queue) == &item);
  g_assert_null(hf_queue_pop(queue));
}

static gpointer produce(gpointer queue)
{
  for (guint i = 1; i <= ITEMS; i++)
    g_assert_true(hf_queue_push(queue, GUINT_TO_POINTER(i)));
  return NULL;
}

static gpointer consume(gpointer queue)
{
  gsize sum = 0;
  gpointer item;
  while ((item = hf_queue_pop(queue)) != NULL)
    sum += GPOINTER_TO_UINT(item);
  return GSIZE_TO_POINTER(sum);
}

/* Each item arrives exactly once. */
static void test_many(void)
{
  g_autoptr(HfQueue) queue = hf_queue_new(7);
  GThread *producers[PRODUCERS], *consumers[2];
  for (guint i = 0; i < PRODUCERS; i++)
    producers[i] = g_thread_new("producer", produce, queue);
  for (guint i = 0; i < 2; i++)
    consumers[i] = g_thread_new("consumer", consume, queue);
  for (guint i = 0; i < PRODUCERS; i++)
    g_thread_join(producers[i]);
  hf_queue_close(queue);
  gsize sum = 0;
  for (guint i = 0; i < 2; i++)
    sum += GPOINTER_TO_SIZE(g_thread_join(consumers[i]));
  g_assert_cmpuint(sum, ==, (gsize)PRODUCERS * ITEMS * (ITEMS + 1) / 2);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/queue/cancel", test_cancel);
  g_test_add_func("/queue/order", test_order);
  g_test_add_func("/queue/close", test_close);
  g_test_add_func("/queue/push-waits", test_push_waits);
  g_test_add_func("/queue/many", test_many);
  return g_test_run();
}
