/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/error.h"
#include "memstore.h"
#include "storage/wrap/wrap.h"

static HfStore *open_fault(guint64 seed)
{
  return hf_wrap_fault(mem_open("fault"), seed);
}

static gboolean count(const char *name G_GNUC_UNUSED, guint64 size G_GNUC_UNUSED, gpointer user,
                      GError **error G_GNUC_UNUSED)
{
  ++*(guint *)user;
  return TRUE;
}

static void test_counting(void)
{
  g_autoptr(HfStore) fault = open_fault(1);
  char bytes[5];
  g_assert_true(hf_store_put(fault, "data/a", "hello", 5, NULL));
  g_assert_true(hf_store_put(fault, "points/a", "hello", 5, NULL));
  g_assert_cmpuint(hf_wrap_fault_left(fault), ==, 0);
  hf_wrap_fault_add(fault, HF_FAULT_GET, "data/", 2, 2, HF_FAULT_ERROR, HF_ERROR_PERMISSION);
  g_assert_cmpuint(hf_wrap_fault_left(fault), ==, 2);
  static const struct {
    const char *name;
    gboolean works;
  } calls[] = { { "data/a", TRUE },    { "points/a", TRUE }, { "data/a", FALSE }, { "points/a", TRUE },
                { "data/a", FALSE }, { "data/a", TRUE },   { "data/a", TRUE } };
  for (gsize i = 0; i < G_N_ELEMENTS(calls); i++) {
    g_autoptr(GError) error = NULL;
    g_assert_cmpint(hf_store_get(fault, calls[i].name, 0, bytes, 5, &error), ==, calls[i].works);
    if (!calls[i].works)
      g_assert_error(error, HF_ERROR, HF_ERROR_PERMISSION);
  }
  g_assert_cmpuint(hf_wrap_fault_left(fault), ==, 0);
}

/* Two rules due at one call: the second keeps its strike for the next call. */
static void test_two_rules(void)
{
  g_autoptr(HfStore) fault = open_fault(1);
  g_autoptr(GError) error = NULL;
  char bytes[5];
  g_assert_true(hf_store_put(fault, "a", "hello", 5, NULL));
  hf_wrap_fault_add(fault, HF_FAULT_GET, "", 1, 1, HF_FAULT_ERROR, HF_ERROR_IO);
  hf_wrap_fault_add(fault, HF_FAULT_GET, "", 1, 1, HF_FAULT_ERROR, HF_ERROR_BUSY);
  g_assert_false(hf_store_get(fault, "a", 0, bytes, 5, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_IO);
  g_clear_error(&error);
  g_assert_cmpuint(hf_wrap_fault_left(fault), ==, 1);
  g_assert_false(hf_store_get(fault, "a", 0, bytes, 5, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_BUSY);
  g_assert_cmpuint(hf_wrap_fault_left(fault), ==, 0);
}

static void test_before(void)
{
  g_autoptr(HfStore) fault = open_fault(1);
  guint listed = 0;
  for (int op = HF_FAULT_PUT_WRITE; op <= HF_FAULT_REMOVE; op++)
    if (op != HF_FAULT_GET)
      hf_wrap_fault_add(fault, (HfFaultOp)op, "", 1, 1, HF_FAULT_ERROR, HF_ERROR_IO);
  g_assert_false(hf_store_put(fault, "a", "hello", 5, NULL)); /* the write */
  g_assert_cmpuint(hf_wrap_fault_left(fault), ==, 3);
  g_assert_false(hf_store_put(fault, "a", "hello", 5, NULL)); /* the commit */
  g_assert_cmpuint(hf_wrap_fault_left(fault), ==, 2);
  g_assert_true(hf_store_put(fault, "a", "hello", 5, NULL)); /* nothing had been done */
  g_assert_false(hf_store_list(fault, "", count, &listed, NULL));
  g_assert_cmpuint(listed, ==, 0);
  g_assert_false(hf_store_remove(fault, "a", NULL));
  g_assert_cmpuint(hf_wrap_fault_left(fault), ==, 0);
  g_assert_true(hf_store_remove(fault, "a", NULL));
}

/* What was done before the answer got lost has been done. */
static void test_after(void)
{
  g_autoptr(HfStore) fault = open_fault(1);
  g_autoptr(GError) error = NULL;
  guint listed = 0;
  char bytes[5] = "";
  for (int op = HF_FAULT_PUT_COMMIT; op <= HF_FAULT_REMOVE; op++)
    hf_wrap_fault_add(fault, (HfFaultOp)op, "", 1, 1, HF_FAULT_DONE_ERROR, HF_ERROR_IO);
  g_autoptr(HfPut) put = hf_put_begin(fault, "a", &error);
  struct iovec vector = { (char *)"hello", 5 };
  g_assert_true(hf_put_write(put, &vector, 1, &error));
  g_assert_false(hf_put_commit(put, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_IO);
  g_clear_error(&error);
  g_assert_true(hf_put_read(put, 1, bytes, 2, &error));
  g_assert_cmpmem(bytes, 2, "el", 2);
  g_assert_false(hf_put_commit(put, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_EXISTS);
  g_assert_false(hf_store_get(fault, "a", 0, bytes, 5, NULL));
  g_assert_false(hf_store_list(fault, "", count, &listed, NULL));
  g_assert_cmpuint(listed, ==, 1);
  g_assert_false(hf_store_remove(fault, "a", NULL));
  g_clear_error(&error);
  g_assert_false(hf_store_remove(fault, "a", &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_NOT_FOUND);
  g_assert_cmpuint(hf_wrap_fault_left(fault), ==, 0);
}

static void test_write_after(void)
{
  g_autoptr(HfStore) fault = open_fault(1);
  hf_wrap_fault_add(fault, HF_FAULT_PUT_WRITE, "", 1, 1, HF_FAULT_DONE_ERROR, HF_ERROR_NO_SPACE);
  g_autoptr(GError) error = NULL;
  g_assert_false(hf_store_put(fault, "a", "hello", 5, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_NO_SPACE);
  g_assert_cmpuint(hf_wrap_fault_left(fault), ==, 0);
}

/* A fault of the store below is told, and not hidden by the scripted one. */
static void test_failing_store(void)
{
  g_autoptr(HfStore) fault = open_fault(1);
  guint listed = 0;
  char byte;
  for (int op = HF_FAULT_GET; op <= HF_FAULT_REMOVE; op++)
    hf_wrap_fault_add(fault, (HfFaultOp)op, "", 1, 1, HF_FAULT_DONE_ERROR, HF_ERROR_IO);
  g_autoptr(GError) error = NULL;
  g_assert_false(hf_store_get(fault, "none", 0, &byte, 1, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_NOT_FOUND);
  g_clear_error(&error);
  g_assert_false(hf_store_remove(fault, "none", &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_NOT_FOUND);
  g_clear_error(&error);
  g_assert_false(hf_store_list(fault, "", count, &listed, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_IO);
}

static guint bits_between(const guint8 *a, const guint8 *b, gsize length)
{
  guint bits = 0;
  for (gsize i = 0; i < length; i++)
    bits += (guint)__builtin_popcount(a[i] ^ b[i]);
  return bits;
}

static void read_flipped(guint64 seed, guint8 *first, guint8 *second)
{
  g_autoptr(HfStore) fault = open_fault(seed);
  static const guint8 zeros[1000];
  struct iovec vector[2] = { { (guint8 *)zeros, 300 }, { (guint8 *)zeros, 700 } };
  hf_wrap_fault_add(fault, HF_FAULT_GET, "read", 1, 1, HF_FAULT_FLIP, 0);
  hf_wrap_fault_add(fault, HF_FAULT_PUT_WRITE, "written", 1, 1, HF_FAULT_FLIP, 0);
  g_assert_true(hf_store_put(fault, "read", zeros, 1000, NULL));
  g_assert_true(hf_store_get(fault, "read", 0, first, 1000, NULL));
  g_assert_cmpuint(bits_between(first, zeros, 1000), ==, 1);
  guint8 again[1000];
  g_assert_true(hf_store_get(fault, "read", 0, again, 1000, NULL));
  g_assert_cmpuint(bits_between(again, zeros, 1000), ==, 0);
  g_autoptr(HfPut) put = hf_put_begin(fault, "written", NULL);
  g_assert_true(hf_put_write(put, vector, 2, NULL));
  g_assert_true(hf_put_commit(put, NULL));
  g_assert_true(hf_store_get(fault, "written", 0, second, 1000, NULL));
  g_assert_cmpuint(bits_between(second, zeros, 1000), ==, 1);
  g_assert_cmpuint(hf_wrap_fault_left(fault), ==, 0);
}

/* One bit, chosen by the seed. */
static void test_flip(void)
{
  guint8 read[3][1000], written[3][1000];
  read_flipped(1, read[0], written[0]);
  read_flipped(1, read[1], written[1]);
  read_flipped(2, read[2], written[2]);
  g_assert_cmpmem(read[0], 1000, read[1], 1000);
  g_assert_cmpmem(written[0], 1000, written[1], 1000);
  g_assert_true(memcmp(read[0], read[2], 1000) != 0);
  g_assert_true(memcmp(read[0], written[0], 1000) != 0);
}

static void test_usage(void)
{
  g_autoptr(HfStore) fault = open_fault(1);
  HfStoreUsage usage;
  g_assert_true(hf_store_usage(fault, &usage, NULL));
  g_assert_cmpuint(usage.bytes_total, ==, 1000);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  mem_register();
  g_test_add_func("/storage/fault/counting", test_counting);
  g_test_add_func("/storage/fault/two-rules", test_two_rules);
  g_test_add_func("/storage/fault/before", test_before);
  g_test_add_func("/storage/fault/after", test_after);
  g_test_add_func("/storage/fault/write-after", test_write_after);
  g_test_add_func("/storage/fault/failing-store", test_failing_store);
  g_test_add_func("/storage/fault/flip", test_flip);
  g_test_add_func("/storage/fault/usage", test_usage);
  return g_test_run();
}
