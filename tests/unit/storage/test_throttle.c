/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Times are only asserted from below: a slow machine cannot make these fail. */
#include "base/clock.h"
#include "base/error.h"
#include "memstore.h"
#include "storage/wrap/wrap.h"

#define KIB 1024
#define RATE (1024 * KIB)

static double seconds_since(gint64 begin)
{
  return (double)(hf_clock_monotonic_us() - begin) / 1e6;
}

/* The first second's bytes are free; what is above takes its time. */
static void test_write(void)
{
  HfStore *mem = mem_open("throttle");
  g_autoptr(HfStore) throttle = hf_wrap_throttle(mem, RATE, 0);
  g_autoptr(GError) error = NULL;
  g_autofree guint8 *bytes = g_malloc0(RATE + RATE / 2);
  gint64 begin = hf_clock_monotonic_us();
  g_assert_true(hf_store_put(throttle, "a", bytes, RATE + RATE / 2, &error));
  g_assert_cmpfloat(seconds_since(begin), >=, 0.49);
  mem_calls(mem);
  g_assert_true(hf_store_get(throttle, "a", 0, bytes, RATE, &error));
  g_assert_cmpuint(mem_calls(mem).gets, ==, 1); /* reading is not bounded, so it is not cut */
}

static void test_read(void)
{
  HfStore *mem = mem_open("throttle");
  g_autoptr(HfStore) throttle = hf_wrap_throttle(mem, 0, RATE);
  g_autoptr(GError) error = NULL;
  g_autofree guint8 *bytes = g_malloc0(RATE + RATE / 2);
  for (gsize i = 0; i < RATE + RATE / 2; i++)
    bytes[i] = (guint8)(i / 1000);
  g_assert_true(hf_store_put(throttle, "a", bytes, RATE + RATE / 2, &error));
  mem_calls(mem);
  g_autofree guint8 *back = g_malloc(RATE + RATE / 2);
  gint64 begin = hf_clock_monotonic_us();
  g_assert_true(hf_store_get(throttle, "a", 0, back, RATE + RATE / 2, &error));
  g_assert_cmpfloat(seconds_since(begin), >=, 0.49);
  g_assert_cmpmem(bytes, RATE + RATE / 2, back, RATE + RATE / 2);
  MemCalls calls = mem_calls(mem);
  g_assert_cmpuint(calls.gets, ==, 6); /* pieces of a quarter of a second */
  g_assert_cmpuint(calls.bytes_got, ==, RATE + RATE / 2);
}

/* A call larger than a burst is cut across its vector, and nothing is lost at the edges. */
static void test_cuts(void)
{
  g_autoptr(HfStore) throttle = hf_wrap_throttle(mem_open("throttle"), 400 * KIB, 0);
  g_autoptr(GError) error = NULL;
  g_autofree guint8 *bytes = g_malloc(300 * KIB);
  for (gsize i = 0; i < 300 * KIB; i++)
    bytes[i] = (guint8)(i / 777);
  struct iovec vector[4] = { { bytes, 1 }, { bytes + 1, 0 }, { bytes + 1, 250 * KIB },
                             { bytes + 1 + 250 * KIB, 50 * KIB - 1 } };
  g_autoptr(HfPut) put = hf_put_begin(throttle, "a", &error);
  g_assert_true(hf_put_write(put, vector, 4, &error));
  g_assert_cmpuint(put->length, ==, 300 * KIB);
  g_assert_true(hf_put_write(put, vector, 1, &error)); /* small ones pass whole */
  g_assert_true(hf_put_commit(put, &error));
  g_autoptr(GBytes) back = hf_store_get_all(throttle, "a", G_MAXUINT32, &error);
  g_assert_cmpuint(g_bytes_get_size(back), ==, 300 * KIB + 1);
  g_assert_cmpmem(g_bytes_get_data(back, NULL), 300 * KIB, bytes, 300 * KIB);
}

static void test_errors(void)
{
  HfStore *fault = hf_wrap_fault(mem_open("throttle"), 1);
  g_autoptr(HfStore) throttle = hf_wrap_throttle(fault, 4 * RATE, 4 * RATE);
  g_autofree guint8 *bytes = g_malloc0(2 * RATE);
  g_autoptr(GError) error = NULL;
  hf_wrap_fault_add(fault, HF_FAULT_PUT_WRITE, "", 2, 1, HF_FAULT_ERROR, HF_ERROR_NO_SPACE);
  hf_wrap_fault_add(fault, HF_FAULT_GET, "", 2, 1, HF_FAULT_ERROR, HF_ERROR_IO);
  g_assert_false(hf_store_put(throttle, "a", bytes, 2 * RATE, &error)); /* in the second piece */
  g_assert_error(error, HF_ERROR, HF_ERROR_NO_SPACE);
  g_clear_error(&error);
  g_assert_true(hf_store_put(throttle, "a", bytes, 2 * RATE, &error));
  g_assert_false(hf_store_get(throttle, "a", 0, bytes, 2 * RATE, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_IO);
  g_assert_cmpuint(hf_wrap_fault_left(fault), ==, 0);
}

/* ---- Several threads share one bound. ---- */

static gpointer read_some(gpointer data)
{
  g_autofree guint8 *bytes = g_malloc(RATE / 8);
  for (int i = 0; i < 3; i++)
    g_assert_true(hf_store_get(data, "a", 0, bytes, RATE / 8, NULL));
  return NULL;
}

static void test_threads(void)
{
  g_autoptr(HfStore) throttle = hf_wrap_throttle(mem_open("throttle"), 0, RATE);
  g_autofree guint8 *bytes = g_malloc0(RATE / 8);
  g_assert_true(hf_store_put(throttle, "a", bytes, RATE / 8, NULL));
  GThread *threads[4];
  gint64 begin = hf_clock_monotonic_us();
  for (gsize i = 0; i < G_N_ELEMENTS(threads); i++)
    threads[i] = g_thread_new("read", read_some, throttle);
  for (gsize i = 0; i < G_N_ELEMENTS(threads); i++)
    g_thread_join(threads[i]);
  g_assert_cmpfloat(seconds_since(begin), >=, 0.49); /* 12 eighths, of which 8 are free */
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  mem_register();
  g_test_add_func("/storage/throttle/write", test_write);
  g_test_add_func("/storage/throttle/read", test_read);
  g_test_add_func("/storage/throttle/cuts", test_cuts);
  g_test_add_func("/storage/throttle/errors", test_errors);
  g_test_add_func("/storage/throttle/threads", test_threads);
  return g_test_run();
}
