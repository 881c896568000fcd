/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Channels over plain sockets, throttles, relays. */
#include "net/channel.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fleet.h"

static void test_bytes(void)
{
  HfChannel *a, *b;
  char text[16] = "";
  GError *error = NULL;
  g_assert_true(hf_channel_pair(&a, &b, &error));
  struct iovec parts[] = { { (char *)"one", 3 }, { (char *)"", 0 }, { (char *)" two", 4 } };
  g_assert_true(hf_channel_write(a, parts, 3, &error));
  g_assert_cmpint(hf_channel_read_some(b, text, sizeof text, &error), ==, 7);
  g_assert_cmpstr(text, ==, "one two");
  HfChannelBytes sent = hf_channel_bytes(a), got = hf_channel_bytes(b);
  g_assert_cmpuint(sent.written, ==, 7);
  g_assert_cmpuint(sent.wire_written, ==, 7);
  g_assert_cmpuint(got.read, ==, 7);
  g_assert_cmpuint(got.wire_read, ==, 7);
  g_assert_cmpuint(got.written, ==, 0);
  g_assert_cmpstr(hf_channel_peer(a), ==, "other end");
  g_assert_cmpint(hf_channel_fd(a), >=, 0);

  /* The end of one direction. */
  g_assert_true(hf_channel_end(a, &error));
  g_assert_true(hf_channel_end(a, &error));
  g_assert_false(hf_channel_send(a, "x", 1, &error));
  assert_error(error, HF_ERROR_IO, "takes nothing more");
  g_clear_error(&error);
  g_assert_cmpint(hf_channel_read_some(b, text, 4, &error), ==, 0);
  g_assert_false(hf_channel_read(b, text, 4, &error));
  assert_error(error, HF_ERROR_IO, "closed by 'other end'");
  g_clear_error(&error);
  g_assert_true(hf_channel_send(b, "back", 4, &error));
  g_assert_true(hf_channel_read(a, text, 4, &error));
  hf_channel_free(a);

  /* Nobody is there. */
  g_assert_false(hf_channel_send(b, "x", 1, &error));
  assert_error(error, HF_ERROR_IO, "broke");
  g_clear_error(&error);
  hf_channel_free(b);
  hf_channel_free(NULL);

  int child;
  g_assert_true(hf_channel_pair_fd(&a, &child, &error));
  g_assert_cmpint(write(child, "hi", 2), ==, 2);
  g_assert_true(hf_channel_read(a, text, 2, &error));
  hf_channel_free(a);
  close(child);
}

static void test_deadline(void)
{
  HfChannel *a, *b;
  GError *error = NULL;
  char byte;
  g_autofree char *bytes = g_malloc0(8 << 20);
  g_assert_true(hf_channel_pair(&a, &b, NULL));
  hf_channel_set_deadline(a, 30);
  g_assert_cmpint(hf_channel_read_some(a, &byte, 1, &error), ==, -1);
  assert_error(error, HF_ERROR_IO, "sent nothing in time");
  g_clear_error(&error);
  g_assert_false(hf_channel_send(a, bytes, 8 << 20, &error));
  assert_error(error, HF_ERROR_IO, "took no bytes in time");
  g_clear_error(&error);
  g_assert_false(hf_channel_send(a, bytes, 1, &error));
  assert_error(error, HF_ERROR_IO, "takes nothing more");
  g_clear_error(&error);
  hf_channel_set_silence(b, 30);
  hf_channel_set_deadline(b, 60000);
  while (hf_channel_read_some(b, bytes, 8 << 20, &error) > 0)
    continue;
  assert_error(error, HF_ERROR_IO, "sent nothing in time");
  g_clear_error(&error);
  hf_channel_free(a);
  hf_channel_free(b);
}

static gpointer shut(gpointer channel)
{
  g_usleep(30000);
  hf_channel_shutdown(channel);
  return NULL;
}

static void test_shutdown(void)
{
  HfChannel *a, *b;
  GError *error = NULL;
  char byte;
  g_autofree char *bytes = g_malloc0(8 << 20);
  g_assert_true(hf_channel_pair(&a, &b, NULL));
  GThread *thread = g_thread_new("shut", shut, a);
  g_assert_cmpint(hf_channel_read_some(a, &byte, 1, &error), ==, -1);
  assert_error(error, HF_ERROR_CANCELLED, "was closed here");
  g_clear_error(&error);
  g_thread_join(thread);
  g_assert_false(hf_channel_send(a, &byte, 1, &error));
  assert_error(error, HF_ERROR_CANCELLED, "was closed here");
  g_clear_error(&error);
  g_assert_false(hf_channel_send(a, &byte, 1, &error));
  assert_error(error, HF_ERROR_CANCELLED, "takes nothing more");
  g_clear_error(&error);
  hf_channel_free(a);
  hf_channel_free(b);

  g_assert_true(hf_channel_pair(&a, &b, NULL));
  thread = g_thread_new("shut", shut, a);
  g_assert_false(hf_channel_send(a, bytes, 8 << 20, &error));
  assert_error(error, HF_ERROR_CANCELLED, "was closed here");
  g_clear_error(&error);
  g_thread_join(thread);
  hf_channel_free(a);
  hf_channel_free(b);
}

/* Whole writes of several threads never mix. */
typedef struct Writer {
  HfChannel *channel;
  guint8 letter;
} Writer;

#define BLOCK 70000
#define BLOCKS 40

static gpointer write_blocks(gpointer data)
{
  Writer *writer = data;
  g_autofree guint8 *bytes = g_malloc(BLOCK);
  memset(bytes, writer->letter, BLOCK);
  for (guint i = 0; i < BLOCKS; i++) {
    struct iovec parts[] = { { bytes, 1 }, { bytes, BLOCK - 2 }, { bytes, 1 } };
    g_assert_true(hf_channel_write(writer->channel, parts, 3, NULL));
  }
  return NULL;
}

static void test_writers(void)
{
  HfChannel *a, *b;
  Writer writers[3];
  GThread *threads[3];
  g_autofree guint8 *bytes = g_malloc(BLOCK);
  g_assert_true(hf_channel_pair(&a, &b, NULL));
  for (guint i = 0; i < 3; i++) {
    writers[i] = (Writer){ a, (guint8)('a' + i) };
    threads[i] = g_thread_new("writer", write_blocks, &writers[i]);
  }
  for (guint i = 0; i < 3 * BLOCKS; i++) {
    g_assert_true(hf_channel_read(b, bytes, BLOCK, NULL));
    for (guint k = 1; k < BLOCK; k++)
      g_assert_cmpint(bytes[k], ==, bytes[0]);
  }
  for (guint i = 0; i < 3; i++)
    g_thread_join(threads[i]);
  hf_channel_free(a);
  hf_channel_free(b);
}

/* ---- Throttles ---- */

typedef struct Reader {
  HfChannel *channel;
  gsize bytes;
} Reader;

static gpointer read_bytes(gpointer data)
{
  Reader *reader = data;
  g_autofree guint8 *bytes = g_malloc(reader->bytes);
  g_assert_true(hf_channel_read(reader->channel, bytes, reader->bytes, NULL));
  return NULL;
}

/* Milliseconds that `bytes` take through `channel`. */
static gint64 timed_send(HfChannel *a, HfChannel *b, gsize bytes)
{
  Reader reader = { b, bytes };
  g_autofree guint8 *data = g_malloc0(bytes);
  GThread *thread = g_thread_new("reader", read_bytes, &reader);
  gint64 begun = g_get_monotonic_time();
  g_assert_true(hf_channel_send(a, data, bytes, NULL));
  g_thread_join(thread);
  return (g_get_monotonic_time() - begun) / 1000;
}

static gpointer lift(gpointer throttle)
{
  g_usleep(100000);
  hf_throttle_set_rate(throttle, 0);
  return NULL;
}

static void test_throttle(void)
{
  HfChannel *a, *b, *c, *d;
  g_autoptr(HfThrottle) throttle = hf_throttle_new(2 << 20);
  g_assert_true(hf_channel_pair(&a, &b, NULL));
  g_assert_true(hf_channel_pair(&c, &d, NULL));
  hf_channel_set_throttle(a, throttle);
  hf_channel_set_throttle(c, throttle);
  /* 1 MiB at 2 MiB a second, a bucket of a tenth of a second ahead. */
  gint64 took = timed_send(a, b, 1 << 20);
  g_assert_cmpint(took, >=, 350);
  g_assert_cmpuint(hf_throttle_waited_us(throttle), >=, 300000);
  g_assert_cmpuint(hf_throttle_rate(throttle), ==, 2 << 20);
  took = timed_send(c, d, 512 << 10);
  g_assert_cmpint(took, >=, 100);

  /* Another rate holds at once, for who is waiting too. */
  hf_throttle_set_rate(throttle, 1024);
  GThread *thread = g_thread_new("lift", lift, throttle);
  took = timed_send(a, b, 4 << 20);
  g_assert_cmpint(took, <, 30000);
  g_thread_join(thread);

  /* Taken away, and never there. */
  hf_throttle_set_rate(throttle, 1024);
  hf_channel_set_throttle(a, NULL);
  hf_channel_set_throttle(a, NULL);
  took = timed_send(a, b, 4 << 20);
  g_assert_cmpint(took, <, 30000);

  /* Deadlines and shutdowns wake who is held back. */
  GError *error = NULL;
  g_autofree guint8 *data = g_malloc0(4 << 20);
  hf_channel_set_deadline(c, 50);
  g_assert_false(hf_channel_send(c, data, 4 << 20, &error));
  assert_error(error, HF_ERROR_IO, "bandwidth limit");
  g_clear_error(&error);
  hf_channel_set_throttle(a, throttle);
  thread = g_thread_new("shut", shut, a);
  g_assert_false(hf_channel_send(a, data, 4 << 20, &error));
  assert_error(error, HF_ERROR_CANCELLED, "was closed here");
  g_clear_error(&error);
  g_thread_join(thread);
  hf_channel_free(a);
  hf_channel_free(b);
  hf_channel_free(c);
  hf_channel_free(d);
}

/* What is there, without waiting for more; the rest comes in order. */
static void test_ready(void)
{
  HfChannel *a, *b;
  char text[8] = "";
  g_assert_true(hf_channel_pair(&a, &b, NULL));
  g_assert_cmpuint(hf_channel_read_ready(b, text, sizeof text), ==, 0);
  g_assert_true(hf_channel_send(a, "seven", 5, NULL));
  g_assert_cmpuint(hf_channel_read_ready(b, text, 3), ==, 3);
  g_assert_true(hf_channel_read(b, text + 3, 2, NULL));
  g_assert_cmpstr(text, ==, "seven");
  g_assert_cmpuint(hf_channel_bytes(b).read, ==, 5);
  g_assert_cmpuint(hf_channel_bytes(b).wire_read, ==, 5);
  hf_channel_free(a);
  g_assert_cmpuint(hf_channel_read_ready(b, text, sizeof text), ==, 0);
  hf_channel_free(b);
}

/* ---- Relays ---- */

typedef struct Relay {
  HfChannel *a, *b;
  gboolean done;
  GError *error;
  gint ended; /* atomic: times that `a_ended` was called */
} Relay;

static void count_end(gpointer user)
{
  g_atomic_int_inc((gint *)user);
}

static gpointer run_relay(gpointer data)
{
  Relay *relay = data;
  relay->done = hf_channel_relay(relay->a, relay->b, count_end, &relay->ended, &relay->error);
  return NULL;
}

static void test_relay(void)
{
  HfChannel *near, *far;
  Relay relay = { .done = FALSE };
  char text[8] = "";
  g_assert_true(hf_channel_pair(&near, &relay.a, NULL));
  g_assert_true(hf_channel_pair(&relay.b, &far, NULL));
  GThread *thread = g_thread_new("relay", run_relay, &relay);
  (void)timed_send(near, far, 3 << 20);
  (void)timed_send(far, near, 3 << 20);
  /* The end of one direction goes through; the other goes on. */
  g_assert_cmpint(g_atomic_int_get(&relay.ended), ==, 0);
  g_assert_true(hf_channel_end(near, NULL));
  g_assert_cmpint(hf_channel_read_some(far, text, 1, NULL), ==, 0);
  g_assert_true(hf_channel_send(far, "later", 5, NULL));
  g_assert_true(hf_channel_read(near, text, 5, NULL));
  for (guint i = 0; i < 1000 && g_atomic_int_get(&relay.ended) == 0; i++)
    g_usleep(10000);
  g_assert_cmpint(g_atomic_int_get(&relay.ended), ==, 1); /* though the other direction goes on */
  g_assert_true(hf_channel_end(far, NULL));
  g_thread_join(thread);
  g_assert_true(relay.done);
  g_assert_cmpint(relay.ended, ==, 1);
  g_assert_no_error(relay.error);
  hf_channel_free(near);
  hf_channel_free(far);
  hf_channel_free(relay.a);
  hf_channel_free(relay.b);
}

static void test_relay_broken(void)
{
  HfChannel *near, *far;
  Relay relay = { .done = TRUE };
  g_assert_true(hf_channel_pair(&near, &relay.a, NULL));
  g_assert_true(hf_channel_pair(&relay.b, &far, NULL));
  GThread *thread = g_thread_new("relay", run_relay, &relay);
  /* One side is gone, and bytes for it are under way. */
  hf_channel_free(far);
  (void)hf_channel_send(near, "lost", 4, NULL);
  g_thread_join(thread);
  g_assert_false(relay.done);
  assert_error(relay.error, HF_ERROR_IO, "");
  g_clear_error(&relay.error);
  hf_channel_free(near);
  hf_channel_free(relay.a);
  hf_channel_free(relay.b);

  /* Ended from here. */
  g_assert_true(hf_channel_pair(&near, &relay.a, NULL));
  g_assert_true(hf_channel_pair(&relay.b, &far, NULL));
  thread = g_thread_new("relay", run_relay, &relay);
  hf_channel_shutdown(relay.a);
  g_thread_join(thread);
  g_assert_false(relay.done);
  assert_error(relay.error, HF_ERROR_CANCELLED, "was closed here");
  g_clear_error(&relay.error);
  hf_channel_free(near);
  hf_channel_free(far);
  hf_channel_free(relay.a);
  hf_channel_free(relay.b);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/net/channel/bytes", test_bytes);
  g_test_add_func("/net/channel/deadline", test_deadline);
  g_test_add_func("/net/channel/shutdown", test_shutdown);
  g_test_add_func("/net/channel/writers", test_writers);
  g_test_add_func("/net/channel/throttle", test_throttle);
  g_test_add_func("/net/channel/ready", test_ready);
  g_test_add_func("/net/channel/relay", test_relay);
  g_test_add_func("/net/channel/relay-broken", test_relay_broken);
  return g_test_run();
}
