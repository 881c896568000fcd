/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Throttles of channels: both ways, shared by many, changed while all wait. */
#include "net/channel.h"

#include "fleet.h"

typedef struct Stream {
  HfChannel *a, *b;
  gsize bytes;
} Stream;

static gpointer read_all(gpointer data)
{
  const Stream *stream = data;
  g_autofree guint8 *bytes = g_malloc(stream->bytes);
  g_assert_true(hf_channel_read(stream->b, bytes, stream->bytes, NULL));
  return NULL;
}

static gpointer run_stream(gpointer data)
{
  Stream *stream = data;
  g_autofree guint8 *bytes = g_malloc0(stream->bytes);
  GThread *reader = g_thread_new("reader", read_all, stream);
  g_assert_true(hf_channel_send(stream->a, bytes, stream->bytes, NULL));
  g_thread_join(reader);
  return NULL;
}

static gpointer shut(gpointer channel)
{
  g_usleep(100000);
  hf_channel_shutdown(channel);
  return NULL;
}

/* What is received counts as well, though nothing holds back the sender but the buffers between. */
static void test_received(void)
{
  Stream stream = { .bytes = 1 << 20 };
  g_autoptr(HfThrottle) throttle = hf_throttle_new(1 << 20);
  g_assert_true(hf_channel_pair(&stream.a, &stream.b, NULL));
  hf_channel_set_throttle(stream.b, throttle);
  gint64 begun = g_get_monotonic_time();
  run_stream(&stream);
  g_assert_cmpint(g_get_monotonic_time() - begun, >=, 700000);
  guint64 held = hf_throttle_held_us(throttle);
  g_assert_cmpuint(held, >=, 600000);
  g_assert_cmpuint(held, <=, (guint64)(g_get_monotonic_time() - begun));
  hf_channel_free(stream.a);
  hf_channel_free(stream.b);
}

/* Deadlines and shutdowns wake who is held back from reading. */
static void test_woken(void)
{
  HfChannel *a, *b;
  char bytes[4096] = "";
  GError *error = NULL;
  g_autoptr(HfThrottle) throttle = hf_throttle_new(1024);
  g_assert_true(hf_channel_pair(&a, &b, NULL));
  hf_channel_set_throttle(b, throttle);
  hf_throttle_set_rate(throttle, 1025); /* nothing is saved up */
  g_assert_true(hf_channel_send(a, bytes, sizeof bytes, NULL));
  hf_channel_set_deadline(b, 300);
  g_assert_false(hf_channel_read(b, bytes, sizeof bytes, &error));
  assert_error(error, HF_ERROR_IO, "in time");
  g_clear_error(&error);
  hf_channel_set_deadline(b, -1);
  GThread *thread = g_thread_new("shut", shut, b);
  g_assert_false(hf_channel_read(b, bytes, sizeof bytes, &error));
  assert_error(error, HF_ERROR_CANCELLED, "was closed here");
  g_clear_error(&error);
  g_thread_join(thread);
  hf_channel_free(a);
  hf_channel_free(b);
}

#define STREAMS 6

/* Milliseconds. */
static gint64 run_streams(HfThrottle *throttle, gsize bytes, void (*meanwhile)(HfThrottle *throttle))
{
  Stream streams[STREAMS];
  GThread *threads[STREAMS];
  gint64 begun = g_get_monotonic_time();
  for (guint i = 0; i < STREAMS; i++) {
    g_assert_true(hf_channel_pair(&streams[i].a, &streams[i].b, NULL));
    hf_channel_set_throttle(i % 2 == 0 ? streams[i].a : streams[i].b, throttle); /* some send, some receive */
    streams[i].bytes = bytes;
    threads[i] = g_thread_new("stream", run_stream, &streams[i]);
  }
  if (meanwhile != NULL)
    meanwhile(throttle);
  for (guint i = 0; i < STREAMS; i++) {
    g_thread_join(threads[i]);
    hf_channel_free(streams[i].a);
    hf_channel_free(streams[i].b);
  }
  return (g_get_monotonic_time() - begun) / 1000;
}

static void test_shared(void)
{
  g_autoptr(HfThrottle) throttle = hf_throttle_new(3 << 20);
  /* 3 MiB in all at 3 MiB a second, less a bucket and a piece for each. */
  g_assert_cmpint(run_streams(throttle, 512 << 10, NULL), >=, 700);
  g_assert_cmpuint(hf_throttle_waited_us(throttle), >=, hf_throttle_held_us(throttle));
  g_assert_cmpuint(hf_throttle_held_us(throttle), >=, 400000);
}

/* From a limit to none and back, while many wait: in the end all bytes have gone. */
static void flip_rates(HfThrottle *throttle)
{
  for (guint i = 0; i < 300; i++) {
    hf_throttle_set_rate(throttle, i % 3 == 0 ? 1024 : i % 3 == 1 ? 1 << 20 : 0);
    g_usleep(i % 7 * 100);
  }
  hf_throttle_set_rate(throttle, 1024);
  g_usleep(50000);
  hf_throttle_set_rate(throttle, 0);
}

static void test_flipped(void)
{
  g_autoptr(HfThrottle) throttle = hf_throttle_new(1024);
  g_assert_cmpint(run_streams(throttle, 4 << 20, flip_rates), <, 60000);
  g_assert_cmpuint(hf_throttle_rate(throttle), ==, 0);
}

/* Who wants much does not keep those waiting who want little: each goes in its turn. */
static gpointer flood(gpointer channel)
{
  static const guint8 bytes[256 << 10];
  while (hf_channel_send(channel, bytes, sizeof bytes, NULL))
    continue;
  return NULL;
}

static gpointer swallow(gpointer channel)
{
  guint8 bytes[4096];
  while (hf_channel_read_some(channel, bytes, sizeof bytes, NULL) > 0)
    continue;
  return NULL;
}

static void test_turns(void)
{
  HfChannel *a, *b, *c, *d;
  char byte;
  g_autoptr(HfThrottle) throttle = hf_throttle_new(64 << 10);
  g_assert_true(hf_channel_pair(&a, &b, NULL));
  g_assert_true(hf_channel_pair(&c, &d, NULL));
  hf_channel_set_throttle(a, throttle);
  hf_channel_set_throttle(c, throttle);
  GThread *writer = g_thread_new("flood", flood, a), *reader = g_thread_new("swallow", swallow, b);
  for (guint i = 0; i < 10; i++) {
    gint64 begun = g_get_monotonic_time();
    g_assert_true(hf_channel_send(c, "x", 1, NULL));
    g_assert_true(hf_channel_read(d, &byte, 1, NULL));
    g_assert_cmpint(g_get_monotonic_time() - begun, <, 10 * G_USEC_PER_SEC);
  }
  hf_channel_shutdown(a);
  g_thread_join(writer);
  g_thread_join(reader);
  hf_channel_free(a);
  hf_channel_free(b);
  hf_channel_free(c);
  hf_channel_free(d);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/net/throttle/received", test_received);
  g_test_add_func("/net/throttle/woken", test_woken);
  g_test_add_func("/net/throttle/shared", test_shared);
  g_test_add_func("/net/throttle/flipped", test_flipped);
  g_test_add_func("/net/throttle/turns", test_turns);
  return g_test_run();
}
