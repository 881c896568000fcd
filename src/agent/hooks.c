/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/hooks.h"

#include "agent/worker.h"

void hf_hooks_order_put(GByteArray *body, const HfHooksOrder *order)
{
  hf_put_text(body, order->task);
  hf_put_text(body, order->kind);
  hf_put_text(body, order->outcome);
  hf_put_bytes(body, g_bytes_get_data(order->order, NULL), g_bytes_get_size(order->order));
}

gboolean hf_hooks_order_get(const GByteArray *body, HfHooksOrder *order, GError **error)
{
  HfReader reader = hf_reader(body->data, body->len);
  order->task = hf_get_text(&reader, HF_TEXT_MAX);
  order->kind = hf_get_text(&reader, HF_TEXT_MAX);
  order->outcome = hf_get_text(&reader, HF_TEXT_MAX);
  HfView view = hf_get_bytes(&reader, HF_TASK_MESSAGE_MAX);
  order->order = g_bytes_new(view.data, view.length);
  return hf_reader_done(&reader, "the scripts of a task", error);
}

void hf_hooks_order_clear(HfHooksOrder *order)
{
  g_free(order->task);
  g_free(order->kind);
  g_free(order->outcome);
  g_bytes_unref(order->order);
}
