/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/keeper/events.h"

#include <string.h>

#include "crypto/crypto.h"

static void add(HfEvents *events, HfEventKind kind, guint64 task, const char *text)
{
  hf_events_add(events, kind, task, "name", g_bytes_new(text, strlen(text)));
}

static const HfEvent *at(const GPtrArray *found, guint place)
{
  return found->pdata[place];
}

static void test_order(void)
{
  g_autoptr(HfEvents) events = hf_events_new(), other = hf_events_new();
  g_assert_cmpuint(hf_events_epoch(events), !=, hf_events_epoch(other));
  add(events, HF_EVENT_LOG, 1, "a");
  add(events, HF_EVENT_WARNING, 1, "b");
  add(events, HF_EVENT_RESULT, 1, "c");
  g_autoptr(GPtrArray) all = hf_events_after(events, 0, 10, 0), two = hf_events_after(events, 1, 10, 0);
  g_autoptr(GPtrArray) one = hf_events_after(events, 0, 1, 0), none = hf_events_after(events, 3, 10, 10);
  g_assert_cmpuint(all->len, ==, 3);
  g_assert_cmpuint(at(all, 0)->number, <, at(all, 1)->number);
  g_assert_cmpstr(at(all, 0)->name, ==, "name");
  g_assert_cmpuint(two->len, ==, 2);
  g_assert_cmpuint(one->len, ==, 1);
  g_assert_cmpuint(none->len, ==, 0);
}

static void test_progress(void)
{
  g_autoptr(HfEvents) events = hf_events_new();
  for (guint i = 0; i < 1000; i++) {
    add(events, HF_EVENT_PROGRESS, 1, "p");
    add(events, HF_EVENT_PROGRESS, 2, "q");
  }
  g_autoptr(GPtrArray) found = hf_events_after(events, 0, 10, 0);
  g_assert_cmpuint(found->len, ==, 2);
  g_assert_cmpuint(at(found, 1)->number, ==, 2000);
  /* A result makes progress pointless. */
  add(events, HF_EVENT_RESULT, 2, "r");
  g_autoptr(GPtrArray) after = hf_events_after(events, 0, 10, 0);
  g_assert_cmpuint(after->len, ==, 2);
  g_assert_cmpint(at(after, 1)->kind, ==, HF_EVENT_RESULT);
}

static void test_bounds(void)
{
  g_autoptr(HfEvents) events = hf_events_new();
  add(events, HF_EVENT_RESULT, 9, "kept");
  for (guint i = 0; i < HF_EVENTS_LINES + 25; i++)
    add(events, HF_EVENT_LOG, 1 + i % 2, "line");
  g_autoptr(GPtrArray) found = hf_events_after(events, 0, G_MAXUINT, 0);
  g_assert_cmpuint(found->len, ==, HF_EVENTS_LINES + 1);
  g_assert_cmpint(at(found, 0)->kind, ==, HF_EVENT_RESULT);
  g_assert_cmpuint(hf_events_lost(events, 1), ==, 13);
  g_assert_cmpuint(hf_events_lost(events, 2), ==, 12);
  g_assert_cmpuint(hf_events_lost(events, 1), ==, 0);
  /* By bytes as well. */
  g_autofree char *page = g_strnfill(64 << 10, 'x');
  for (guint i = 0; i < 100; i++)
    add(events, HF_EVENT_WARNING, 3, page);
  g_autoptr(GPtrArray) less = hf_events_after(events, 0, G_MAXUINT, 0);
  g_assert_cmpuint(less->len, <=, 1 + HF_EVENTS_LINE_BYTES / (64 << 10));
  g_assert_cmpuint(hf_events_lost(events, 3), ==, 100 - (less->len - 1));
}

static void test_taken(void)
{
  g_autoptr(HfEvents) events = hf_events_new();
  add(events, HF_EVENT_LOG, 1, "a");
  add(events, HF_EVENT_RESULT, 1, "b");
  add(events, HF_EVENT_RESULT, 2, "c");
  g_autoptr(GArray) first = hf_events_taken(events, 2);
  g_assert_cmpuint(first->len, ==, 1);
  g_assert_cmpuint(g_array_index(first, guint64, 0), ==, 1);
  g_autoptr(GPtrArray) left = hf_events_after(events, 0, 10, 0);
  g_assert_cmpuint(left->len, ==, 1);
  g_autoptr(GArray) again = hf_events_taken(events, 2);
  g_assert_cmpuint(again->len, ==, 0);
  add(events, HF_EVENT_NOTE, 0, "d");
  g_autoptr(GPtrArray) more = hf_events_after(events, 3, 10, 0);
  g_assert_cmpuint(more->len, ==, 1);
}

static gpointer add_soon(gpointer user)
{
  g_usleep(100000);
  add(user, HF_EVENT_LOG, 1, "late");
  return NULL;
}

static gpointer close_soon(gpointer user)
{
  g_usleep(100000);
  hf_events_close(user);
  return NULL;
}

static void test_wait(void)
{
  g_autoptr(HfEvents) events = hf_events_new();
  GThread *thread = g_thread_new("add", add_soon, events);
  g_autoptr(GPtrArray) found = hf_events_after(events, 0, 10, 10000);
  g_assert_cmpuint(found->len, ==, 1);
  g_thread_join(thread);
  thread = g_thread_new("close", close_soon, events);
  gint64 begun = g_get_monotonic_time();
  g_autoptr(GPtrArray) none = hf_events_after(events, 1, 10, 20000);
  g_assert_cmpuint(none->len, ==, 0);
  g_assert_cmpint(g_get_monotonic_time() - begun, <, 10 * G_USEC_PER_SEC);
  g_thread_join(thread);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/agent/events/order", test_order);
  g_test_add_func("/agent/events/progress", test_progress);
  g_test_add_func("/agent/events/bounds", test_bounds);
  g_test_add_func("/agent/events/taken", test_taken);
  g_test_add_func("/agent/events/wait", test_wait);
  return g_test_run();
}
