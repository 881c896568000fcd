/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/error.h"
#include "memstore.h"
#include "storage/scratch.h"
#include "storage/wrap/wrap.h"

#define KIB 1024
#define MIB (1024 * KIB)
#define BLOCK (64 * KIB)

typedef struct Stack {
  HfStore *mem, *fault, *cache;
} Stack;

static void set_up(Stack *stack, gsize bytes)
{
  stack->mem = mem_open("cache");
  stack->fault = hf_wrap_fault(mem_open("cache"), 1);
  stack->cache = hf_wrap_cache(stack->fault, bytes);
}

static void tear_down(Stack *stack)
{
  g_assert_cmpuint(hf_wrap_fault_left(stack->fault), ==, 0);
  hf_store_free(stack->cache);
  hf_store_free(stack->mem);
}

static void put(Stack *stack, const char *name, guint64 size, guint64 seed)
{
  g_autoptr(GError) error = NULL;
  hf_content_put(stack->cache, name, size, seed, 100000, &error);
  g_assert_no_error(error);
  mem_calls(stack->mem);
}

/* Gets a range, right, by `gets` reads of the inner store. */
static void expect_gets(Stack *stack, const char *name, guint64 offset, gsize length, guint64 seed, guint gets)
{
  g_autoptr(GError) error = NULL;
  hf_content_get(stack->cache, name, offset, length, seed, &error);
  g_assert_no_error(error);
  g_assert_cmpuint(mem_calls(stack->mem).gets, ==, gets);
}

static void test_hits(void)
{
  Stack stack;
  set_up(&stack, 4 * MIB);
  put(&stack, "a", 10 * BLOCK + 100, 1);
  expect_gets(&stack, "a", 5, 10, 1, 1);
  expect_gets(&stack, "a", 0, BLOCK, 1, 0);         /* its whole block came along */
  expect_gets(&stack, "a", BLOCK - 1, 2, 1, 1);     /* half kept */
  expect_gets(&stack, "a", 10 * BLOCK, 100, 1, 1);  /* the short last block */
  expect_gets(&stack, "a", 10 * BLOCK + 99, 1, 1, 0);
  expect_gets(&stack, "a", 4 * BLOCK, BLOCK, 1, 1);
  expect_gets(&stack, "a", 0, 10 * BLOCK + 100, 1, 2); /* two holes: 2 to 3, and 5 to 9 */
  expect_gets(&stack, "a", 0, 10 * BLOCK + 100, 1, 0);
  tear_down(&stack);
}

/* One question for the size, ever. */
static void test_size_is_kept(void)
{
  Stack stack;
  g_autoptr(GError) error = NULL;
  set_up(&stack, MIB);
  put(&stack, "a", 1000, 1);
  for (int i = 0; i < 3; i++)
    g_assert_true(hf_content_get(stack.cache, "a", 0, 1000, 1, &error));
  MemCalls calls = mem_calls(stack.mem);
  g_assert_cmpuint(calls.sizes, ==, 1);
  g_assert_cmpuint(calls.gets, ==, 1);
  guint64 size;
  g_assert_true(hf_store_size(stack.cache, "a", &size, &error)); /* who asks himself is told what is so now */
  g_assert_cmpuint(mem_calls(stack.mem).sizes, ==, 1);
  g_autoptr(GBytes) all = hf_store_get_all(stack.cache, "a", 1000, &error);
  g_assert_cmpuint(g_bytes_get_size(all), ==, 1000);
  calls = mem_calls(stack.mem);
  g_assert_cmpuint(calls.sizes, ==, 1);
  g_assert_cmpuint(calls.gets, ==, 0);
  tear_down(&stack);
}

static void test_eviction(void)
{
  Stack stack;
  set_up(&stack, 4 * (BLOCK + KIB)); /* four blocks and what they cost */
  put(&stack, "a", 10 * BLOCK, 1);
  for (guint i = 0; i < 4; i++)
    expect_gets(&stack, "a", i * BLOCK, 1, 1, 1);
  expect_gets(&stack, "a", 0, 1, 1, 0);             /* used: block 1 is the oldest now */
  expect_gets(&stack, "a", 4 * BLOCK, 1, 1, 1);
  expect_gets(&stack, "a", 0, 1, 1, 0);
  expect_gets(&stack, "a", 2 * BLOCK, 1, 1, 0);
  expect_gets(&stack, "a", BLOCK, 1, 1, 1);
  tear_down(&stack);
}

/* Nothing fits: everything is read, and is right. */
static void test_no_memory(void)
{
  Stack stack;
  set_up(&stack, 100);
  put(&stack, "a", 3 * BLOCK, 1);
  expect_gets(&stack, "a", 7, 20, 1, 1);
  expect_gets(&stack, "a", 7, 20, 1, 1);
  expect_gets(&stack, "a", 7, 2 * BLOCK, 1, 1);
  tear_down(&stack);
}

static void test_large_reads_pass(void)
{
  Stack stack;
  set_up(&stack, 32 * MIB);
  put(&stack, "a", 6 * MIB, 1);
  expect_gets(&stack, "a", 0, 5 * MIB, 1, 1);
  expect_gets(&stack, "a", 0, 1, 1, 1);        /* nothing of it was kept */
  expect_gets(&stack, "a", BLOCK, 4 * MIB, 1, 1);
  expect_gets(&stack, "a", 2 * BLOCK, 100, 1, 0);
  tear_down(&stack);
}

static void test_remove(void)
{
  Stack stack;
  g_autoptr(GError) error = NULL;
  char byte;
  set_up(&stack, MIB);
  put(&stack, "a", 3 * BLOCK, 1);
  put(&stack, "b", BLOCK, 2);
  expect_gets(&stack, "a", 0, 3 * BLOCK, 1, 1);
  expect_gets(&stack, "b", 0, BLOCK, 2, 1);
  g_assert_true(hf_store_remove(stack.cache, "a", &error));
  g_assert_false(hf_store_get(stack.cache, "a", 0, &byte, 1, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_NOT_FOUND);
  expect_gets(&stack, "b", 0, BLOCK, 2, 0);
  put(&stack, "a", 2 * BLOCK, 3); /* a copy that was mended */
  expect_gets(&stack, "a", 0, 2 * BLOCK, 3, 1);
  tear_down(&stack);
}

/* Another process replaced a short, damaged object by a whole one. */
static void test_mended_elsewhere(void)
{
  Stack stack;
  g_autoptr(GError) error = NULL;
  guint8 bytes[100];
  set_up(&stack, MIB);
  put(&stack, "a", 100, 1);
  expect_gets(&stack, "a", 0, 100, 1, 1);
  g_assert_false(hf_store_get(stack.cache, "a", 50, bytes, 100, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_DAMAGED);
  expect_gets(&stack, "a", 0, 100, 1, 1); /* was forgotten */
  g_assert_true(hf_store_remove(stack.mem, "a", NULL));
  g_assert_true(hf_content_put(stack.mem, "a", 200, 2, 1000, NULL));
  mem_calls(stack.mem);
  expect_gets(&stack, "a", 100, 100, 2, 1);
  expect_gets(&stack, "a", 0, 200, 2, 1);
  tear_down(&stack);
}

/* Names that may hold other bytes tomorrow. */
static void test_names_that_change(void)
{
  Stack stack;
  set_up(&stack, MIB);
  put(&stack, "leases/a", 100, 1);
  expect_gets(&stack, "leases/a", 0, 100, 1, 1);
  expect_gets(&stack, "leases/a", 0, 100, 1, 1);
  g_assert_true(hf_store_remove(stack.mem, "leases/a", NULL));
  put(&stack, "leases/a", 100, 2);
  expect_gets(&stack, "leases/a", 0, 100, 2, 1);
  guint64 size;
  g_assert_true(hf_store_size(stack.cache, "leases/a", &size, NULL));
  tear_down(&stack);
}

static void test_errors(void)
{
  Stack stack;
  g_autoptr(GError) error = NULL;
  guint8 bytes[100];
  set_up(&stack, MIB);
  put(&stack, "a", 100, 1);
  hf_wrap_fault_add(stack.fault, HF_FAULT_GET, "", 1, 1, HF_FAULT_ERROR, HF_ERROR_IO);
  g_assert_false(hf_store_get(stack.cache, "a", 0, bytes, 100, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_IO);
  expect_gets(&stack, "a", 0, 100, 1, 1); /* a failure is not kept */
  tear_down(&stack);
}

/* ---- An object removed while it is being fetched is not kept. ---- */

static HfStore *racing; /* the cache under test */

static gboolean racing_get(HfStore *store G_GNUC_UNUSED, const char *name, guint64 offset, void *bytes, gsize length,
                           GError **error G_GNUC_UNUSED)
{
  hf_content_fill(1, offset, bytes, length);
  hf_store_remove(racing, name, NULL);
  return TRUE;
}

static guint sizes_asked;

static gboolean racing_size(HfStore *store G_GNUC_UNUSED, const char *name G_GNUC_UNUSED, guint64 *size,
                            GError **error G_GNUC_UNUSED)
{
  sizes_asked++;
  *size = 1000;
  return TRUE;
}

static gboolean racing_remove(HfStore *store G_GNUC_UNUSED, const char *name G_GNUC_UNUSED,
                              GError **error G_GNUC_UNUSED)
{
  return TRUE;
}

static void racing_free(HfStore *store)
{
  g_free(store);
}

static void test_removed_while_fetched(void)
{
  static const HfStoreOps ops = {
    .get = racing_get, .size = racing_size, .remove = racing_remove, .free = racing_free
  };
  HfStore *inner = g_new0(HfStore, 1);
  inner->ops = &ops;
  g_autoptr(HfStore) cache = hf_wrap_cache(inner, MIB);
  racing = cache;
  sizes_asked = 0;
  for (guint i = 1; i <= 3; i++) {
    g_assert_true(hf_content_get(cache, "a", 0, 100, 1, NULL));
    g_assert_cmpuint(sizes_asked, ==, i);
  }
}

/* ---- Threads. ---- */

static gboolean read_often(guint number, gpointer user, GError **error)
{
  HfScratch numbers = { .random = number };
  for (int i = 0; i < 500; i++) {
    guint64 offset = hf_scratch_random(&numbers, 20 * BLOCK);
    gsize length = 1 + (gsize)hf_scratch_random(&numbers, 3 * BLOCK);
    if (!hf_content_get(user, "a", offset, length, 1, error))
      return FALSE;
  }
  return TRUE;
}

static void test_threads(void)
{
  Stack stack;
  g_autoptr(GError) error = NULL;
  set_up(&stack, MIB);
  put(&stack, "a", 23 * BLOCK, 1);
  g_assert_true(hf_scratch_run(4, read_often, stack.cache, &error));
  g_assert_no_error(error);
  tear_down(&stack);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  mem_register();
  g_test_add_func("/storage/cache/hits", test_hits);
  g_test_add_func("/storage/cache/size-is-kept", test_size_is_kept);
  g_test_add_func("/storage/cache/eviction", test_eviction);
  g_test_add_func("/storage/cache/no-memory", test_no_memory);
  g_test_add_func("/storage/cache/large-reads-pass", test_large_reads_pass);
  g_test_add_func("/storage/cache/remove", test_remove);
  g_test_add_func("/storage/cache/mended-elsewhere", test_mended_elsewhere);
  g_test_add_func("/storage/cache/names-that-change", test_names_that_change);
  g_test_add_func("/storage/cache/errors", test_errors);
  g_test_add_func("/storage/cache/removed-while-fetched", test_removed_while_fetched);
  g_test_add_func("/storage/cache/threads", test_threads);
  return g_test_run();
}
