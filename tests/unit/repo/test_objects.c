/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/objects.h"

#include <string.h>

#include "base/error.h"
#include "format/record.h"
#include "repolab.h"

static GBytes *sample(const char *text)
{
  return hf_record_wrap(HF_RECORD_TOMBSTONE, text, strlen(text));
}

static void test_names(void)
{
  HfShortId id, back;
  char name[HF_NAME_BYTES];
  for (guint i = 0; i < sizeof id.b; i++)
    id.b[i] = (guint8)(0xa0 + i);
  hf_name_pack(name, HF_PACK_DATA, &id);
  g_assert_cmpstr(name, ==, "data/a0/a0a1a2a3a4a5a6a7a8a9aaabacadaeaf");
  g_assert_true(hf_name_short_id(name, &back) && hf_short_id_equal(&id, &back));
  hf_name_pack(name, HF_PACK_META, &id);
  g_assert_cmpstr(name, ==, "meta/a0/a0a1a2a3a4a5a6a7a8a9aaabacadaeaf");
  hf_name_parity(name, &id);
  g_assert_cmpstr(name, ==, "parity/a0/a0a1a2a3a4a5a6a7a8a9aaabacadaeaf");
  hf_name_mirror(name, &id);
  g_assert_cmpstr(name, ==, "mirror/a0/a0a1a2a3a4a5a6a7a8a9aaabacadaeaf");
  hf_name_run(name, &id);
  g_assert_cmpstr(name, ==, "index/a0a1a2a3a4a5a6a7a8a9aaabacadaeaf");
  hf_name_slot(name, &id);
  g_assert_cmpstr(name, ==, "keys/a0a1a2a3a4a5a6a7a8a9aaabacadaeaf");
  hf_name_ring(name, 0x1f);
  g_assert_cmpstr(name, ==, "ring/0000001f");
  hf_name_writer(name, &id);
  g_assert_cmpstr(name, ==, "writers/a0a1a2a3a4a5a6a7a8a9aaabacadaeaf");
  hf_name_tombstone(name, &id);
  g_assert_cmpstr(name, ==, "points/a0a1a2a3a4a5a6a7a8a9aaabacadaeaf.gone");
  g_assert_true(hf_name_short_id(name, &back) && hf_short_id_equal(&id, &back));
  hf_name_session(name, &id, "beat.18446744073709551615");
  g_assert_cmpstr(name, ==, "sessions/a0a1a2a3a4a5a6a7a8a9aaabacadaeaf/beat.18446744073709551615");
  g_assert_false(hf_name_short_id(name, &back));
  g_assert_false(hf_name_short_id("points/a0a1", &back));
  g_assert_false(hf_name_short_id("points/x0a1a2a3a4a5a6a7a8a9aaabacadaeaf", &back));
  g_assert_false(hf_name_short_id("", &back));
  g_assert_true(hf_name_short_id("a0a1a2a3a4a5a6a7a8a9aaabacadaeaf.0", &back));
}

static void test_exists(void)
{
  g_autoptr(Lab) lab = lab_new();
  Fault fault = { .strike = 1, .code = HF_ERROR_IO };
  g_autoptr(HfStore) store = lab_hooked(lab, fault_hook, &fault);
  g_autoptr(GError) error = NULL;
  gboolean there = TRUE;
  g_assert_false(hf_object_exists(store, "x", &there, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_IO);
  g_clear_error(&error);
  g_assert_true(hf_object_exists(store, "x", &there, &error));
  g_assert_false(there);
  g_assert_true(hf_object_remove(store, "x", &error));
  lab_put(lab, "x", "", 0);
  g_assert_true(hf_object_exists(store, "x", &there, &error));
  g_assert_true(there);
  fault.strike = fault.calls + 1;
  g_assert_false(hf_object_remove(store, "x", &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_IO);
  g_clear_error(&error);
  g_assert_true(hf_object_remove(store, "x", &error));
  g_assert_false(lab_has(lab, "x"));
}

static void put_sample(HfStore *store)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GBytes) record = sample("one");
  hf_triple_put(store, "gc/x", record, &error);
  g_assert_no_error(error);
}

static void expect_get(HfStore *store, gboolean healthy)
{
  g_autoptr(GError) error = NULL;
  gboolean told;
  g_autoptr(GBytes) record = hf_triple_get(store, "gc/x", HF_RECORD_TOMBSTONE, &told, &error);
  g_autoptr(GBytes) expected = sample("one");
  g_assert_no_error(error);
  g_assert_true(g_bytes_equal(record, expected));
  g_assert_true(told == healthy);
}

static void expect_fail(HfStore *store, int code)
{
  g_autoptr(GError) error = NULL;
  g_assert_null(hf_triple_get(store, "gc/x", HF_RECORD_TOMBSTONE, NULL, &error));
  g_assert_error(error, HF_ERROR, code);
}

/* Each copy damaged in each way, and healed. */
static void test_heal(void)
{
  static const char *const copies[] = { "gc/x.0", "gc/x.1", "gc/x.2" };
  g_autoptr(Lab) lab = lab_new();
  g_autoptr(HfStore) store = lab_store(lab);
  put_sample(store);
  expect_get(store, TRUE);
  for (guint copy = 0; copy < 3; copy++)
    for (guint way = 0; way < 4; way++) {
      lab_forget_report(lab);
      if (way == 0)
        lab_drop(lab, copies[copy]);
      else if (way == 1)
        lab_flip(lab, copies[copy], 17);
      else if (way == 2)
        lab_cut(lab, copies[copy], 20);
      else
        lab_cut(lab, copies[copy], 0);
      expect_get(store, FALSE);
      hf_triple_heal(store, "gc/x", HF_RECORD_TOMBSTONE, lab->report);
      expect_get(store, TRUE);
      g_assert_cmpuint(lab->warnings->len, ==, way == 0 ? 0 : 1);
      g_assert_cmpuint(lab->items->len, ==, way == 0 ? 1 : 0);
    }
  /* Two at once. */
  lab_drop(lab, copies[0]);
  lab_flip(lab, copies[1], 0);
  hf_triple_heal(store, "gc/x", HF_RECORD_TOMBSTONE, NULL);
  expect_get(store, TRUE);
}

static void test_bad(void)
{
  g_autoptr(Lab) lab = lab_new();
  g_autoptr(HfStore) store = lab_store(lab);
  expect_fail(store, HF_ERROR_NOT_FOUND);
  hf_triple_heal(store, "gc/x", HF_RECORD_TOMBSTONE, lab->report);
  g_assert_cmpuint(lab->warnings->len, ==, 0);
  put_sample(store);
  for (guint i = 0; i < 3; i++) {
    g_autofree char *name = g_strdup_printf("gc/x.%u", i);
    lab_flip(lab, name, 20);
  }
  expect_fail(store, HF_ERROR_DAMAGED);
  hf_triple_heal(store, "gc/x", HF_RECORD_TOMBSTONE, lab->report);
  g_assert_true(lab_warned(lab, "all copies of 'gc/x'"));
  lab_drop(lab, "gc/x.1");
  expect_fail(store, HF_ERROR_DAMAGED);
}

/* A record of another kind is no copy. */
static void test_kind(void)
{
  g_autoptr(Lab) lab = lab_new();
  g_autoptr(HfStore) store = lab_store(lab);
  g_autoptr(GBytes) other = hf_record_wrap(HF_RECORD_MARK, "x", 1);
  lab_put_triple(lab, "gc/x", other);
  expect_fail(store, HF_ERROR_DAMAGED);
}

/* A newer format is said to be that, and left alone. */
static void test_newer(void)
{
  g_autoptr(Lab) lab = lab_new();
  g_autoptr(HfStore) store = lab_store(lab);
  g_autoptr(GBytes) old = sample("one");
  gsize length = g_bytes_get_size(old);
  g_autofree guint8 *copy = g_memdup2(g_bytes_get_data(old, NULL), length);
  copy[8] = 2;
  hf_sha256(copy, length - 32, copy + length - 32);
  g_autoptr(GBytes) newer = g_bytes_new(copy, length);
  lab_put_triple(lab, "gc/x", newer);
  expect_fail(store, HF_ERROR_FORMAT);
  lab_put(lab, "gc/x.2", g_bytes_get_data(old, NULL), length);
  expect_get(store, FALSE);
  hf_triple_heal(store, "gc/x", HF_RECORD_TOMBSTONE, lab->report);
  g_autoptr(GBytes) there = lab_get(lab, "gc/x.0");
  g_assert_true(g_bytes_equal(there, newer));
  /* Not our magic at all: damaged. */
  for (guint i = 0; i < 3; i++) {
    g_autofree char *name = g_strdup_printf("gc/x.%u", i);
    lab_put(lab, name, "something else", 14);
  }
  expect_fail(store, HF_ERROR_DAMAGED);
}

/* Copies that are whole and differ are not made equal: nobody knows which is right. */
static void test_differ(void)
{
  g_autoptr(Lab) lab = lab_new();
  g_autoptr(HfStore) store = lab_store(lab);
  g_autoptr(GBytes) other = sample("two");
  put_sample(store);
  lab_put(lab, "gc/x.1", g_bytes_get_data(other, NULL), g_bytes_get_size(other));
  lab_drop(lab, "gc/x.2");
  expect_get(store, FALSE);
  hf_triple_heal(store, "gc/x", HF_RECORD_TOMBSTONE, lab->report);
  g_assert_true(lab_warned(lab, "differ"));
  g_assert_false(lab_has(lab, "gc/x.2"));
}

static void test_put_twice(void)
{
  g_autoptr(Lab) lab = lab_new();
  g_autoptr(HfStore) store = lab_store(lab);
  g_autoptr(GError) error = NULL;
  g_autoptr(GBytes) other = sample("two");
  put_sample(store);
  lab_drop(lab, "gc/x.1");
  put_sample(store);
  expect_get(store, TRUE);
  g_assert_false(hf_triple_put(store, "gc/x", other, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_EXISTS);
  expect_get(store, TRUE);
}

/* What cannot be read for now is neither damage nor absence. */
static void test_unreadable(void)
{
  g_autoptr(Lab) lab = lab_new();
  Fault fault = { .code = HF_ERROR_IO, .persist = TRUE };
  g_autoptr(HfStore) store = lab_hooked(lab, fault_hook, &fault);
  put_sample(store);
  fault.strike = 1;
  expect_fail(store, HF_ERROR_IO);
  fault.persist = FALSE;
  fault.strike = fault.calls + 1;
  expect_get(store, FALSE);
  lab_drop(lab, "gc/x.1");
  lab_flip(lab, "gc/x.2", 3);
  fault.strike = fault.calls + 1;
  expect_fail(store, HF_ERROR_IO);
  /* Healing that fails is told of. */
  fault.persist = TRUE;
  lab_forget_report(lab);
  fault.strike = fault.calls + 8;
  hf_triple_heal(store, "gc/x", HF_RECORD_TOMBSTONE, lab->report);
  g_assert_true(lab_warned(lab, "this copy is damaged; another is used"));
  fault.strike = 0;
  hf_triple_heal(store, "gc/x", HF_RECORD_TOMBSTONE, lab->report);
  expect_get(store, TRUE);
}

/* A read-only store is not healed, but the damage is told. */
static int forbid_writing(gboolean before, HookOp op, const char *name, gpointer user)
{
  (void)name;
  (void)user;
  return before && (op == HOOK_PUT || op == HOOK_REMOVE) ? HF_ERROR_PERMISSION : 0;
}

static void test_read_only(void)
{
  g_autoptr(Lab) lab = lab_new();
  g_autoptr(HfStore) plain = lab_store(lab);
  g_autoptr(HfStore) store = lab_hooked(lab, forbid_writing, NULL);
  put_sample(plain);
  lab_flip(lab, "gc/x.0", 3);
  lab_drop(lab, "gc/x.2");
  hf_triple_heal(store, "gc/x", HF_RECORD_TOMBSTONE, lab->report);
  g_assert_true(lab_warned(lab, "gc/x.0: this copy is damaged"));
  g_assert_true(lab_noted(lab, "gc/x.2: missing copy"));
  expect_get(store, FALSE);
}

static void test_list_and_remove(void)
{
  g_autoptr(Lab) lab = lab_new();
  Fault fault = { .code = HF_ERROR_IO };
  g_autoptr(HfStore) store = lab_hooked(lab, fault_hook, &fault);
  g_autoptr(GError) error = NULL;
  static const char *const names[] = { "keys/a.0", "keys/a.1", "keys/a.hidden.2", "keys/aa.2", "keys/b.3", "keys/c.00",
                                       "keys/d", "keys/e.gone", "keys/0.1" };
  for (guint i = 0; i < G_N_ELEMENTS(names); i++)
    lab_put(lab, names[i], "", 0);
  g_autoptr(GPtrArray) bases = hf_triple_list(store, "keys/", &error);
  g_assert_no_error(error);
  g_ptr_array_add(bases, NULL);
  g_autofree char *joined = g_strjoinv(" ", (char **)bases->pdata);
  g_assert_cmpstr(joined, ==, "keys/0 keys/a keys/a.hidden keys/aa");
  fault.strike = fault.calls + 1;
  g_assert_null(hf_triple_list(store, "keys/", &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_IO);
  g_clear_error(&error);
  fault.strike = fault.calls + 2;
  g_assert_false(hf_triple_remove(store, "keys/a", &error));
  g_clear_error(&error);
  g_assert_false(lab_has(lab, "keys/a.0"));
  g_assert_true(hf_triple_remove(store, "keys/a", &error));
  g_assert_false(lab_has(lab, "keys/a.1"));
  g_assert_true(lab_has(lab, "keys/a.hidden.2"));
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_assert_true(hf_crypto_init(NULL));
  g_test_add_func("/objects/names", test_names);
  g_test_add_func("/objects/exists", test_exists);
  g_test_add_func("/objects/heal", test_heal);
  g_test_add_func("/objects/bad", test_bad);
  g_test_add_func("/objects/kind", test_kind);
  g_test_add_func("/objects/newer", test_newer);
  g_test_add_func("/objects/differ", test_differ);
  g_test_add_func("/objects/put-twice", test_put_twice);
  g_test_add_func("/objects/unreadable", test_unreadable);
  g_test_add_func("/objects/read-only", test_read_only);
  g_test_add_func("/objects/list-and-remove", test_list_and_remove);
  return g_test_run();
}
