/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "memstore.h"
#include "storage/wrap/wrap.h"

typedef struct Stack {
  HfStore *mem, *fault, *retry;
  HfCancel cancel;
} Stack;

static void set_up(Stack *stack, guint tries)
{
  *stack = (Stack){ .mem = mem_open("retry") };
  stack->fault = hf_wrap_fault(mem_open("retry"), 1);
  stack->retry = hf_wrap_retry(stack->fault, tries, &stack->cancel);
}

static void tear_down(Stack *stack)
{
  g_assert_cmpuint(hf_wrap_fault_left(stack->fault), ==, 0);
  hf_store_free(stack->retry);
  hf_store_free(stack->mem);
}

static void fail_io(Stack *stack, HfFaultOp op, guint times, HfFaultKind kind)
{
  hf_wrap_fault_add(stack->fault, op, "", 1, times, kind, HF_ERROR_IO);
}

static void expect_stored(Stack *stack, const char *name, const char *text)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GBytes) bytes = hf_store_get_all(stack->mem, name, 1 << 20, &error);
  g_assert_no_error(error);
  g_autoptr(GBytes) expected = g_bytes_new(text, strlen(text));
  g_assert_true(g_bytes_equal(bytes, expected));
}

static void test_base(void)
{
  Stack stack;
  set_up(&stack, 3);
  g_assert_cmpstr(stack.retry->location, ==, "mem:retry");
  g_assert_cmpuint(stack.retry->features, ==, stack.mem->features);
  HfStoreUsage usage;
  g_assert_true(hf_store_usage(stack.retry, &usage, NULL));
  g_assert_cmpuint(usage.bytes_free, ==, 500);
  tear_down(&stack);
}

static void test_get(void)
{
  Stack stack;
  char bytes[5];
  g_autoptr(GError) error = NULL;
  set_up(&stack, 3);
  g_assert_true(hf_store_put(stack.retry, "a", "hello", 5, &error));
  fail_io(&stack, HF_FAULT_GET, 2, HF_FAULT_ERROR);
  gint64 begin = hf_clock_monotonic_us();
  g_assert_true(hf_store_get(stack.retry, "a", 0, bytes, 5, &error));
  g_assert_cmpint(hf_clock_monotonic_us() - begin, >=, 300 * 1000); /* 100 ms and 200 ms */
  g_assert_cmpmem(bytes, 5, "hello", 5);
  tear_down(&stack);
}

static void test_gives_up(void)
{
  Stack stack;
  char bytes[5];
  g_autoptr(GError) error = NULL;
  set_up(&stack, 2);
  g_assert_true(hf_store_put(stack.retry, "a", "hello", 5, &error));
  fail_io(&stack, HF_FAULT_GET, 2, HF_FAULT_ERROR);
  g_assert_false(hf_store_get(stack.retry, "a", 0, bytes, 5, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_IO);
  g_assert_true(g_str_has_prefix(error->message, "tried 2 times: "));
  tear_down(&stack);
}

/* Only what may pass by itself is tried again: everything else is told at once, as it came. */
static void test_other_errors(void)
{
  static const int codes[] = { HF_ERROR_NOT_FOUND, HF_ERROR_DAMAGED, HF_ERROR_NO_SPACE, HF_ERROR_PERMISSION,
                               HF_ERROR_CANCELLED, HF_ERROR_FAILED };
  Stack stack;
  set_up(&stack, 5);
  g_assert_true(hf_store_put(stack.retry, "a", "hello", 5, NULL));
  for (gsize i = 0; i < G_N_ELEMENTS(codes); i++) {
    g_autoptr(GError) error = NULL;
    char bytes[5];
    hf_wrap_fault_add(stack.fault, HF_FAULT_GET, "", 1, 1, HF_FAULT_ERROR, codes[i]);
    g_assert_false(hf_store_get(stack.retry, "a", 0, bytes, 5, &error));
    g_assert_error(error, HF_ERROR, codes[i]);
    g_assert_true(g_str_has_prefix(error->message, "a scripted fault"));
    g_assert_cmpuint(hf_wrap_fault_left(stack.fault), ==, 0);
  }
  tear_down(&stack);
}

static void test_write_is_not_tried_again(void)
{
  Stack stack;
  g_autoptr(GError) error = NULL;
  set_up(&stack, 5);
  fail_io(&stack, HF_FAULT_PUT_WRITE, 1, HF_FAULT_ERROR);
  g_assert_false(hf_store_put(stack.retry, "a", "hello", 5, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_IO);
  g_clear_error(&error);
  g_assert_true(hf_store_put(stack.retry, "a", "hello", 5, &error));
  tear_down(&stack);
}

static void test_commit(void)
{
  Stack stack;
  g_autoptr(GError) error = NULL;
  set_up(&stack, 3);
  fail_io(&stack, HF_FAULT_PUT_COMMIT, 2, HF_FAULT_ERROR);
  g_assert_true(hf_store_put(stack.retry, "a", "hello", 5, &error));
  g_assert_no_error(error);
  expect_stored(&stack, "a", "hello");
  tear_down(&stack);
}

/* The first commit succeeded and its answer was lost: the second meets our own object. */
static void test_lost_answer(void)
{
  Stack stack;
  g_autoptr(GError) error = NULL;
  set_up(&stack, 3);
  fail_io(&stack, HF_FAULT_PUT_COMMIT, 1, HF_FAULT_DONE_ERROR);
  g_assert_true(hf_store_put(stack.retry, "a", "hello", 5, &error));
  g_assert_no_error(error);
  expect_stored(&stack, "a", "hello");
  tear_down(&stack);
}

/* The comparison is tried again too, and reads all of a large object. */
static void test_lost_answer_twice(void)
{
  Stack stack;
  g_autoptr(GError) error = NULL;
  g_autofree guint8 *much = g_malloc(1000000);
  for (int i = 0; i < 1000000; i++)
    much[i] = (guint8)(i % 251);
  set_up(&stack, 4);
  fail_io(&stack, HF_FAULT_PUT_COMMIT, 1, HF_FAULT_DONE_ERROR);
  hf_wrap_fault_add(stack.fault, HF_FAULT_GET, "", 3, 1, HF_FAULT_ERROR, HF_ERROR_IO);
  g_assert_true(hf_store_put(stack.retry, "a", much, 1000000, &error));
  g_assert_no_error(error);
  tear_down(&stack);
}

/* Somebody else's object of that name is no success. */
static void expect_foreign(const char *theirs)
{
  Stack stack;
  g_autoptr(GError) error = NULL;
  set_up(&stack, 3);
  g_assert_true(hf_store_put(stack.mem, "a", theirs, strlen(theirs), &error));
  fail_io(&stack, HF_FAULT_PUT_COMMIT, 1, HF_FAULT_ERROR);
  g_assert_false(hf_store_put(stack.retry, "a", "hello", 5, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_EXISTS);
  expect_stored(&stack, "a", theirs);
  tear_down(&stack);
}

static void test_foreign(void)
{
  expect_foreign("hallo");
  expect_foreign("hello!");
}

/* EXISTS at the first try is the loss of a race, whatever the bytes are. */
static void test_exists(void)
{
  Stack stack;
  g_autoptr(GError) error = NULL;
  set_up(&stack, 3);
  g_assert_true(hf_store_put(stack.mem, "a", "hello", 5, &error));
  g_assert_false(hf_store_put(stack.retry, "a", "hello", 5, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_EXISTS);
  tear_down(&stack);
}

/* The object that was in the way is gone when we look at it. */
static void test_compare_fails(void)
{
  Stack stack;
  g_autoptr(GError) error = NULL;
  set_up(&stack, 2);
  fail_io(&stack, HF_FAULT_PUT_COMMIT, 1, HF_FAULT_DONE_ERROR);
  hf_wrap_fault_add(stack.fault, HF_FAULT_GET, "", 1, 1, HF_FAULT_ERROR, HF_ERROR_NOT_FOUND);
  g_assert_false(hf_store_put(stack.retry, "a", "hello", 5, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_NOT_FOUND);
  tear_down(&stack);
}

/* ---- Listing. ---- */

static gboolean add(const char *name, guint64 size, gpointer user, GError **error G_GNUC_UNUSED)
{
  g_string_append_printf(user, "%s=%" G_GUINT64_FORMAT " ", name, size);
  return TRUE;
}

static gboolean refuse(const char *name G_GNUC_UNUSED, guint64 size G_GNUC_UNUSED, gpointer user, GError **error)
{
  ++*(guint *)user;
  return hf_fail(error, HF_ERROR_IO, "enough");
}

static void test_list(void)
{
  Stack stack;
  g_autoptr(GError) error = NULL;
  g_autoptr(GString) seen = g_string_new(NULL);
  set_up(&stack, 4);
  g_assert_true(hf_store_put(stack.mem, "x/a", "hello", 5, &error));
  fail_io(&stack, HF_FAULT_LIST, 1, HF_FAULT_ERROR);
  fail_io(&stack, HF_FAULT_LIST, 1, HF_FAULT_DONE_ERROR); /* after it showed all */
  g_assert_true(hf_store_list(stack.retry, "x/", add, seen, &error));
  g_assert_cmpstr(seen->str, ==, "x/a=5 ");
  /* What the caller's own function fails with is not tried again, even when it looks alike. */
  guint calls = 0;
  g_assert_false(hf_store_list(stack.retry, "x/", refuse, &calls, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_IO);
  g_assert_cmpuint(calls, ==, 1);
  g_clear_error(&error);
  fail_io(&stack, HF_FAULT_LIST, 4, HF_FAULT_ERROR);
  g_assert_false(hf_store_list(stack.retry, "x/", add, seen, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_IO);
  tear_down(&stack);
}

/* ---- Removing. ---- */

static void test_remove(void)
{
  Stack stack;
  g_autoptr(GError) error = NULL;
  set_up(&stack, 3);
  g_assert_true(hf_store_put(stack.mem, "a", "hello", 5, &error));
  fail_io(&stack, HF_FAULT_REMOVE, 1, HF_FAULT_ERROR);
  g_assert_true(hf_store_remove(stack.retry, "a", &error));
  g_assert_true(hf_store_put(stack.mem, "b", "hello", 5, &error));
  fail_io(&stack, HF_FAULT_REMOVE, 1, HF_FAULT_DONE_ERROR); /* the second try finds nothing: success */
  g_assert_true(hf_store_remove(stack.retry, "b", &error));
  g_assert_no_error(error);
  g_assert_false(hf_store_remove(stack.retry, "b", &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_NOT_FOUND);
  g_clear_error(&error);
  fail_io(&stack, HF_FAULT_REMOVE, 3, HF_FAULT_ERROR);
  g_assert_false(hf_store_remove(stack.retry, "b", &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_IO);
  tear_down(&stack);
}

/* ---- Calls that the fault wrapper does not script. ---- */

static guint failures_left;

static gboolean now_failing(GError **error)
{
  if (failures_left == 0)
    return FALSE;
  failures_left--;
  hf_fail(error, HF_ERROR_IO, "unplugged");
  return TRUE;
}

static gboolean flaky_size(HfStore *store G_GNUC_UNUSED, const char *name G_GNUC_UNUSED, guint64 *size, GError **error)
{
  *size = 42;
  return !now_failing(error);
}

static gboolean flaky_usage(HfStore *store G_GNUC_UNUSED, HfStoreUsage *usage, GError **error)
{
  usage->bytes_free = 43;
  return !now_failing(error);
}

static HfPut *flaky_begin(HfStore *store G_GNUC_UNUSED, const char *name G_GNUC_UNUSED, GError **error)
{
  return now_failing(error) ? NULL : g_new0(HfPut, 1);
}

static gboolean flaky_write(HfPut *put G_GNUC_UNUSED, const struct iovec *vector G_GNUC_UNUSED,
                            int count G_GNUC_UNUSED, GError **error G_GNUC_UNUSED)
{
  return TRUE;
}

static gboolean flaky_read(HfPut *put G_GNUC_UNUSED, guint64 offset G_GNUC_UNUSED, void *bytes, gsize length,
                           GError **error)
{
  memset(bytes, 'x', length);
  return !now_failing(error);
}

static void flaky_put_free(HfPut *put)
{
  g_free(put);
}

static void flaky_free(HfStore *store)
{
  g_free(store);
}

static const HfStoreOps flaky_ops = {
  .put_begin = flaky_begin,
  .put_write = flaky_write,
  .put_read = flaky_read,
  .put_free = flaky_put_free,
  .size = flaky_size,
  .usage = flaky_usage,
  .free = flaky_free,
};

static void test_rest(void)
{
  HfStore *flaky = g_new0(HfStore, 1);
  flaky->ops = &flaky_ops;
  flaky->location = g_strdup("flaky");
  g_autoptr(HfStore) retry = hf_wrap_retry(flaky, 2, NULL);
  guint64 size;
  HfStoreUsage usage;
  char byte = 'a';
  failures_left = 1;
  g_assert_true(hf_store_size(retry, "a", &size, NULL));
  g_assert_cmpuint(size, ==, 42);
  failures_left = 1;
  g_assert_true(hf_store_usage(retry, &usage, NULL));
  g_assert_cmpuint(usage.bytes_free, ==, 43);
  failures_left = 1;
  g_autoptr(HfPut) put = hf_put_begin(retry, "a", NULL);
  g_assert_nonnull(put);
  struct iovec vector = { &byte, 1 };
  g_assert_true(hf_put_write(put, &vector, 1, NULL));
  failures_left = 1;
  g_assert_true(hf_put_read(put, 0, &byte, 1, NULL));
  g_assert_cmpint(byte, ==, 'x');
  failures_left = 2;
  g_assert_false(hf_store_size(retry, "a", &size, NULL));
  failures_left = 2;
  g_assert_false(hf_store_usage(retry, &usage, NULL));
  failures_left = 2;
  g_assert_null(hf_put_begin(retry, "a", NULL));
  failures_left = 2;
  g_assert_false(hf_put_read(put, 0, &byte, 1, NULL));
  g_assert_cmpuint(failures_left, ==, 0);
}

/* ---- Cancelling. ---- */

static gpointer cancel_soon(gpointer data)
{
  g_usleep(150 * 1000);
  hf_cancel_set(data);
  return NULL;
}

static void test_cancel(void)
{
  Stack stack;
  char bytes[5];
  g_autoptr(GError) error = NULL;
  set_up(&stack, 100);
  g_assert_true(hf_store_put(stack.mem, "a", "hello", 5, &error));
  hf_wrap_fault_add(stack.fault, HF_FAULT_GET, "", 1, 2, HF_FAULT_ERROR, HF_ERROR_IO);
  GThread *thread = g_thread_new("cancel", cancel_soon, &stack.cancel);
  gint64 begin = hf_clock_monotonic_us();
  g_assert_false(hf_store_get(stack.retry, "a", 0, bytes, 5, &error)); /* ended in the second wait, of 200 ms */
  g_assert_error(error, HF_ERROR, HF_ERROR_CANCELLED);
  g_assert_cmpint(hf_clock_monotonic_us() - begin, >=, 100 * 1000);
  g_thread_join(thread);
  tear_down(&stack);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  mem_register();
  g_test_add_func("/storage/retry/base", test_base);
  g_test_add_func("/storage/retry/get", test_get);
  g_test_add_func("/storage/retry/gives-up", test_gives_up);
  g_test_add_func("/storage/retry/other-errors", test_other_errors);
  g_test_add_func("/storage/retry/write-is-not-tried-again", test_write_is_not_tried_again);
  g_test_add_func("/storage/retry/commit", test_commit);
  g_test_add_func("/storage/retry/lost-answer", test_lost_answer);
  g_test_add_func("/storage/retry/lost-answer-twice", test_lost_answer_twice);
  g_test_add_func("/storage/retry/foreign", test_foreign);
  g_test_add_func("/storage/retry/exists", test_exists);
  g_test_add_func("/storage/retry/compare-fails", test_compare_fails);
  g_test_add_func("/storage/retry/list", test_list);
  g_test_add_func("/storage/retry/remove", test_remove);
  g_test_add_func("/storage/retry/rest", test_rest);
  g_test_add_func("/storage/retry/cancel", test_cancel);
  return g_test_run();
}
