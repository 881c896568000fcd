/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every storage driver, and every wrapper on top of one, passes the conformance suite. */
#include <errno.h>
#include <glib/gstdio.h>

#include "base/error.h"
#include "base/sys.h"
#include "storage/conform.h"
#include "storage/local/local.h"
#include "storage/wrap/wrap.h"

#define MIB (1024 * 1024)

static void show(const char *check, gboolean passed, const char *detail, gpointer user)
{
  g_test_message("%s %s%s%s", passed ? "passed:" : "FAILED:", check, detail != NULL ? ": " : "",
                 detail != NULL ? detail : "");
  ++*(guint *)user;
}

static HfStore *open_local(const char *folder)
{
  g_autoptr(GError) error = NULL;
  HfStore *store = hf_store_open(folder, TRUE, &error);
  g_assert_no_error(error);
  return store;
}

static void check(HfStore *store)
{
  g_autoptr(GError) error = NULL;
  guint checks = 0;
  hf_store_conform(store, show, &checks, &error);
  g_assert_no_error(error);
  g_assert_cmpuint(checks, ==, 21);
}

static void measure(HfStore *store)
{
  g_autoptr(GError) error = NULL;
  HfStoreRates rates;
  hf_store_measure(store, 0.1, &rates, &error);
  g_assert_no_error(error);
  g_assert_cmpuint(rates.count, ==, HF_STORE_RATES);
  for (guint i = 0; i < rates.count; i++) {
    const HfStoreRate *row = &rates.rows[i];
    g_assert_cmpuint(row->operations, >=, row->threads);
    g_assert_cmpfloat(row->seconds, >, 0);
    g_test_message("%s, %u threads: %.0f/s, %.1f MiB/s", row->what, row->threads,
                   (double)row->operations / row->seconds, (double)row->bytes / row->seconds / MIB);
  }
}

/* Nothing may be left in `folder`, not even an empty folder. Frees the store. */
static void finish(HfStore *store, const char *folder)
{
  hf_store_free(store);
  g_assert_cmpint(g_rmdir(folder), ==, 0);
}

/* Takes the store. */
static void run_suite(HfStore *store, const char *folder)
{
  check(store);
  finish(store, folder);
}

static char *scratch_folder(void)
{
  g_autoptr(GError) error = NULL;
  char *folder = g_dir_make_tmp("holdfast-conform-XXXXXX", &error);
  g_assert_no_error(error);
  return folder;
}

static void test_local(void)
{
  g_autofree char *folder = scratch_folder();
  HfStore *store = open_local(folder);
  check(store);
  measure(store);
  finish(store, folder);
}

/* A file system in memory, whatever holds the temporary folder. */
static void test_local_memory(void)
{
  g_autofree char *folder = g_strdup("/dev/shm/holdfast-conform-XXXXXX");
  if (g_mkdtemp(folder) == NULL) {
    g_test_skip("no /dev/shm");
    return;
  }
  run_suite(open_local(folder), folder);
}

/* ---- File systems that lack something. ---- */

static const HfSys *real;
static gint refused;

static int openat_without_tmpfile(int dirfd, const char *path, int flags, mode_t mode)
{
  if ((flags & O_TMPFILE) == O_TMPFILE) {
    g_atomic_int_inc(&refused);
    errno = EOPNOTSUPP;
    return -1;
  }
  return real->openat(dirfd, path, flags, mode);
}

static int renameat2_unknown(int olddir G_GNUC_UNUSED, const char *oldpath G_GNUC_UNUSED, int newdir G_GNUC_UNUSED,
                             const char *newpath G_GNUC_UNUSED, unsigned flags G_GNUC_UNUSED)
{
  g_atomic_int_inc(&refused);
  errno = EINVAL;
  return -1;
}

static void run_with(HfSys *table, int expected_refusals)
{
  real = hf_sys;
  refused = 0;
  hf_sys = table;
  g_autofree char *folder = scratch_folder();
  run_suite(open_local(folder), folder);
  g_assert_cmpint(refused, >=, expected_refusals);
  hf_sys = real;
}

static void test_local_named(void)
{
  HfSys table = *hf_sys;
  table.openat = openat_without_tmpfile;
  run_with(&table, 1);
}

static void test_local_linked(void)
{
  HfSys table = *hf_sys;
  table.openat = openat_without_tmpfile;
  table.renameat2 = renameat2_unknown;
  run_with(&table, 2);
}

/* ---- Wrappers. ---- */

static void test_retry(void)
{
  g_autofree char *folder = scratch_folder();
  HfCancel cancel = { 0 };
  run_suite(hf_wrap_retry(open_local(folder), 5, &cancel), folder);
}

static void test_throttle(void)
{
  g_autofree char *folder = scratch_folder();
  run_suite(hf_wrap_throttle(open_local(folder), 800 * MIB, 800 * MIB), folder);
}

static void test_cache(void)
{
  g_autofree char *folder = scratch_folder();
  run_suite(hf_wrap_cache(open_local(folder), 16 * MIB), folder);
}

static void test_tiny_cache(void)
{
  g_autofree char *folder = scratch_folder();
  run_suite(hf_wrap_cache(open_local(folder), 300 * 1024), folder);
}

static void test_fault(void)
{
  g_autofree char *folder = scratch_folder();
  run_suite(hf_wrap_fault(open_local(folder), 1), folder);
}

/* Everything, with faults that the retries have to bear. */
static void test_stack(void)
{
  g_autofree char *folder = scratch_folder();
  HfStore *fault = hf_wrap_fault(open_local(folder), 1);
  hf_wrap_fault_add(fault, HF_FAULT_PUT_COMMIT, "conform/", 3, 1, HF_FAULT_ERROR, HF_ERROR_IO);
  hf_wrap_fault_add(fault, HF_FAULT_PUT_COMMIT, "conform/", 20, 2, HF_FAULT_DONE_ERROR, HF_ERROR_IO);
  hf_wrap_fault_add(fault, HF_FAULT_GET, "conform/", 7, 2, HF_FAULT_ERROR, HF_ERROR_IO);
  hf_wrap_fault_add(fault, HF_FAULT_GET, "conform/", 100, 1, HF_FAULT_DONE_ERROR, HF_ERROR_IO);
  hf_wrap_fault_add(fault, HF_FAULT_LIST, "conform/", 5, 1, HF_FAULT_ERROR, HF_ERROR_IO);
  hf_wrap_fault_add(fault, HF_FAULT_LIST, "conform/", 9, 1, HF_FAULT_DONE_ERROR, HF_ERROR_IO);
  hf_wrap_fault_add(fault, HF_FAULT_REMOVE, "conform/", 30, 1, HF_FAULT_DONE_ERROR, HF_ERROR_IO);
  HfStore *stack = hf_wrap_cache(hf_wrap_throttle(hf_wrap_retry(fault, 4, NULL), 800 * MIB, 0), 8 * MIB);
  check(stack);
  g_assert_cmpuint(hf_wrap_fault_left(fault), ==, 0);
  measure(stack);
  finish(stack, folder);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  hf_local_register();
  g_test_add_func("/conform/storage/local", test_local);
  g_test_add_func("/conform/storage/local-memory", test_local_memory);
  g_test_add_func("/conform/storage/local-named", test_local_named);
  g_test_add_func("/conform/storage/local-linked", test_local_linked);
  g_test_add_func("/conform/storage/retry", test_retry);
  g_test_add_func("/conform/storage/throttle", test_throttle);
  g_test_add_func("/conform/storage/cache", test_cache);
  g_test_add_func("/conform/storage/tiny-cache", test_tiny_cache);
  g_test_add_func("/conform/storage/fault", test_fault);
  g_test_add_func("/conform/storage/stack", test_stack);
  return g_test_run();
}
