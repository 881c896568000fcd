/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The suite passes an honest store, and catches every lie. */
#include <string.h>

#include "base/error.h"
#include "memstore.h"
#include "storage/conform.h"
#include "storage/wrap/wrap.h"

typedef struct Heard {
  guint passed, failed, left_out;
  char *first_failed;
} Heard;

static void hear(const char *check, gboolean passed, const char *detail, gpointer user)
{
  Heard *heard = user;
  if (passed) {
    heard->passed++;
    heard->left_out += detail != NULL;
    return;
  }
  g_assert_nonnull(detail);
  heard->failed++;
  if (heard->first_failed == NULL)
    heard->first_failed = g_strdup(check);
}

static void test_honest(void)
{
  g_autoptr(HfStore) store = mem_open("honest");
  g_autoptr(GError) error = NULL;
  Heard heard = { 0 };
  g_assert_true(hf_store_conform(store, hear, &heard, &error));
  g_assert_no_error(error);
  g_assert_cmpuint(heard.passed, ==, 21);
  g_assert_cmpuint(heard.left_out, ==, 0);
  g_autoptr(GPtrArray) names = hf_store_list_names(store, "", &error);
  g_assert_cmpuint(names->len, ==, 0);
}

static void test_silent(void)
{
  g_autoptr(HfStore) store = mem_open("silent");
  g_autoptr(GError) error = NULL;
  g_assert_true(hf_store_conform(store, NULL, NULL, &error));
  mem_lie(store, MEM_USAGE_WRONG);
  g_assert_false(hf_store_conform(store, NULL, NULL, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_FAILED);
  g_assert_nonnull(strstr(error->message, "mem:silent"));
  g_assert_nonnull(strstr(error->message, "free space"));
}

/* A store that does not promise exclusive creation is not held to it. */
static void test_not_exclusive(void)
{
  g_autoptr(HfStore) store = mem_open("shared");
  g_autoptr(GError) error = NULL;
  Heard heard = { 0 };
  store->features &= ~(guint)HF_STORE_EXCLUSIVE;
  mem_lie(store, MEM_OVERWRITES);
  g_assert_true(hf_store_conform(store, hear, &heard, &error));
  g_assert_cmpuint(heard.left_out, ==, 2);
}

static const struct {
  MemLie lie;
  const char *caught_by;
} lies[] = {
  { MEM_NO_SECOND, "a second handle opens" },
  { MEM_OVERWRITES, "creation is exclusive" },
  { MEM_ABORT_STAYS, "an abort leaves nothing" },
  { MEM_EARLY, "an abort leaves nothing" },
  { MEM_BACK_WRONG, "an abort leaves nothing" },
  { MEM_PADS, "objects of all sizes" },
  { MEM_FAR_WRONG, "a large object" },
  { MEM_SIZE_WRONG, "objects of all sizes" },
  { MEM_MISSING_EMPTY, "what is missing is not found" },
  { MEM_MISSING_IO, "what is missing is not found" },
  { MEM_LOSES_LARGE, "a large object" },
  { MEM_LOSES_DOTS, "names" },
  { MEM_LONG_NAMES_CUT, "the longest name" },
  { MEM_STALE_LIST, "names" },
  { MEM_LIST_TWICE, "names" },
  { MEM_LIST_PREFIX, "listings" },
  { MEM_LIST_SIZE, "many objects by many threads" },
  { MEM_LIST_GOES_ON, "listings" },
  { MEM_REMOVE_STAYS, "removal while being read" },
  { MEM_REMOVE_ANY, "what is missing is not found" },
  { MEM_REMOVE_FAILS, "folders come and go" },
  { MEM_USAGE_WRONG, "free space" },
};
G_STATIC_ASSERT(G_N_ELEMENTS(lies) == MEM_LIES - 1);

static void test_lie(gconstpointer data)
{
  gsize number = GPOINTER_TO_SIZE(data);
  g_autoptr(HfStore) store = mem_open("liar");
  g_autoptr(GError) error = NULL;
  Heard heard = { 0 };
  mem_lie(store, lies[number].lie);
  g_assert_false(hf_store_conform(store, hear, &heard, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_FAILED);
  g_assert_cmpstr(heard.first_failed, ==, lies[number].caught_by);
  g_free(heard.first_failed);
}

static void test_measure(void)
{
  g_autoptr(HfStore) store = mem_open("measured");
  g_autoptr(GError) error = NULL;
  HfStoreRates rates;
  g_assert_true(hf_store_measure(store, 0.02, &rates, &error));
  g_assert_no_error(error);
  g_assert_cmpuint(rates.count, ==, HF_STORE_RATES);
  for (guint i = 0; i < rates.count; i++) {
    g_assert_cmpuint(rates.rows[i].operations, >=, rates.rows[i].threads);
    g_assert_cmpfloat(rates.rows[i].seconds, >, 0);
  }
  g_autoptr(GPtrArray) names = hf_store_list_names(store, "", &error);
  g_assert_cmpuint(names->len, ==, 0);
}

/* The error of the line that failed is what is told, and what was made is removed all the same. */
static void test_measure_fails(void)
{
  g_autoptr(HfStore) store = mem_open("small");
  g_autoptr(GError) error = NULL;
  HfStoreRates rates;
  mem_lie(store, MEM_LOSES_LARGE);
  g_assert_false(hf_store_measure(store, 0.01, &rates, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_NO_SPACE);
  g_assert_cmpuint(rates.count, ==, 3);
  g_autoptr(GPtrArray) names = hf_store_list_names(store, "", NULL);
  g_assert_cmpuint(names->len, ==, 0);
}

static void test_measure_faults(void)
{
  for (int op = HF_FAULT_PUT_WRITE; op <= HF_FAULT_REMOVE; op++) {
    g_autoptr(HfStore) fault = hf_wrap_fault(mem_open("faulty"), 1);
    g_autoptr(GError) error = NULL;
    HfStoreRates rates;
    hf_wrap_fault_add(fault, (HfFaultOp)op, "conform/", 1, 1, HF_FAULT_ERROR, HF_ERROR_BUSY);
    g_assert_false(hf_store_measure(fault, 0.01, &rates, &error));
    g_assert_error(error, HF_ERROR, HF_ERROR_BUSY);
    g_assert_cmpuint(hf_wrap_fault_left(fault), ==, 0);
    g_autoptr(GPtrArray) names = hf_store_list_names(fault, "", NULL);
    g_assert_cmpuint(names->len, ==, 0);
  }
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  mem_register();
  g_test_add_func("/storage/conform/honest", test_honest);
  g_test_add_func("/storage/conform/silent", test_silent);
  g_test_add_func("/storage/conform/not-exclusive", test_not_exclusive);
  for (gsize i = 0; i < G_N_ELEMENTS(lies); i++) {
    g_autofree char *path = g_strdup_printf("/storage/conform/lie/%d", (int)lies[i].lie);
    g_test_add_data_func(path, GSIZE_TO_POINTER(i), test_lie);
  }
  g_test_add_func("/storage/conform/measure", test_measure);
  g_test_add_func("/storage/conform/measure-fails", test_measure_fails);
  g_test_add_func("/storage/conform/measure-faults", test_measure_faults);
  return g_test_run();
}
