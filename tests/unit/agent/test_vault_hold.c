/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the service asks its keeper to make immutable: all that locked points need, and nothing that comes and goes. */
#include <string.h>

#include "agent/hold.h"
#include "agent/vault/depot.h"
#include "agent/vault/holder.h"
#include "agent/vault/vault.h"
#include "base/error.h"
#include "repo/objects.h"
#include "vaultlab.h"

#define DAY 86400u
#define HOUR 3600u

/* ---- A keeper. ---- */

static struct {
  GMutex lock;
  GHashTable *names; /* to the longest time, as guint */
  guint calls, largest;
  gint failing; /* HfErrorCode; 0: none */
} keeper;

static gboolean take(const char *repository, guint64 seconds, const GPtrArray *names, guint *refused, GError **error)
{
  g_autoptr(GMutexLocker) lock G_GNUC_UNUSED = g_mutex_locker_new(&keeper.lock);
  g_assert_true(g_str_has_suffix(repository, "/repo"));
  *refused = 0;
  keeper.calls++;
  keeper.largest = MAX(keeper.largest, names->len);
  if (keeper.failing != 0)
    return hf_fail(error, (HfErrorCode)keeper.failing, "not now");
  for (guint i = 0; i < names->len; i++) {
    guint before = GPOINTER_TO_UINT(g_hash_table_lookup(keeper.names, names->pdata[i]));
    g_hash_table_insert(keeper.names, g_strdup(names->pdata[i]), GUINT_TO_POINTER(MAX(before, (guint)seconds)));
  }
  return TRUE;
}

static void forget_all(void)
{
  g_autoptr(GMutexLocker) lock G_GNUC_UNUSED = g_mutex_locker_new(&keeper.lock);
  if (keeper.names != NULL)
    g_hash_table_unref(keeper.names);
  keeper.names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  keeper.calls = keeper.largest = 0;
  keeper.failing = 0;
}

static guint term_of(const char *name)
{
  g_autoptr(GMutexLocker) lock G_GNUC_UNUSED = g_mutex_locker_new(&keeper.lock);
  return GPOINTER_TO_UINT(g_hash_table_lookup(keeper.names, name));
}

/* ---- The repository. ---- */

static void write_file(VaultLab *lab, const char *name, gsize length)
{
  g_autofree char *path = vault_lab_path(lab, name), *folder = g_path_get_dirname(path);
  g_autofree guint8 *bytes = g_malloc(length);
  hf_random(bytes, length);
  g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
  g_assert_true(g_file_set_contents(path, (const char *)bytes, (gssize)length, NULL));
}

static void backup(VaultLab *lab, const char *credential, const HfShortId *writer, guint64 lock, const char *source)
{
  g_autoptr(GError) error = NULL;
  HfBackupResult result;
  g_autofree char *path = vault_lab_path(lab, source);
  vault_lab_backup(lab, credential, writer, lock, path, &result, &error);
  g_assert_no_error(error);
}

static GPtrArray *list(VaultLab *lab, const char *folder)
{
  g_autofree char *path = vault_lab_path(lab, "repo");
  HfDepot *depot = hf_depot_open(path, FALSE, NULL);
  return hf_store_list_names(hf_depot_store(depot), folder, NULL);
}

static gboolean pass(VaultLab *lab, GError **error)
{
  HfCancel cancel = { 0 };
  g_autofree char *path = vault_lab_path(lab, "repo");
  HfDepot *depot = hf_depot_open(path, FALSE, NULL);
  g_assert_nonnull(hf_depot_repo(depot, NULL));
  const HfHeld held = hf_depot_held(depot);
  return hf_holder_pass(&held, &cancel, error);
}

static void assert_terms(VaultLab *lab, const char *folder, guint low, guint high)
{
  g_autoptr(GPtrArray) names = list(lab, folder);
  g_assert_cmpuint(names->len, >, 0);
  for (guint i = 0; i < names->len; i++) {
    g_assert_cmpuint(term_of(names->pdata[i]), >=, low);
    g_assert_cmpuint(term_of(names->pdata[i]), <=, high);
  }
}

/* Nothing for points without a lock; for locked ones all they need, for an hour more than their lock at least. */
static void test_what(void)
{
  g_autoptr(VaultLab) lab = vault_lab_new();
  g_autoptr(GError) error = NULL;
  HfShortId writer;
  vault_lab_init(lab);
  g_autofree char *credential = vault_lab_writer(lab, "host", &writer);
  write_file(lab, "source/a", 70000);
  backup(lab, credential, &writer, 0, "source");
  forget_all();
  g_assert_true(pass(lab, &error));
  g_assert_cmpuint(keeper.calls, ==, 1); /* that the repository is kept */
  g_assert_cmpuint(g_hash_table_size(keeper.names), ==, 0);

  write_file(lab, "other/b", 70000);
  backup(lab, credential, &writer, DAY, "source"); /* needs packs of before */
  forget_all();
  g_assert_true(pass(lab, &error));
  g_assert_no_error(error);
  static const char *const needed[] = { "data/", "keys/", "ring/", "writers/", "parity/", "mirror/" };
  for (guint i = 0; i < G_N_ELEMENTS(needed); i++) {
    g_autoptr(GPtrArray) names = list(lab, needed[i]);
    if (names->len > 0)
      assert_terms(lab, needed[i], DAY, DAY + 2 * HOUR);
  }
  g_assert_cmpuint(term_of("config.2"), >=, DAY);
  g_assert_cmpuint(term_of("reserve"), ==, 0);
  static const char *const passing[] = { "index/", "sessions/", "clock/", "gc/" };
  for (guint i = 0; i < G_N_ELEMENTS(passing); i++) {
    g_autoptr(GPtrArray) names = list(lab, passing[i]);
    for (guint k = 0; k < names->len; k++)
      g_assert_cmpuint(term_of(names->pdata[k]), ==, 0);
  }
  /* One of the two points, by all of its copies. */
  g_autoptr(GPtrArray) points = list(lab, "points/");
  guint held = 0;
  for (guint i = 0; i < points->len; i++)
    held += term_of(points->pdata[i]) >= DAY ? 1 : 0;
  g_assert_cmpuint(points->len, ==, 2 * HF_COPIES);
  g_assert_cmpuint(held, ==, HF_COPIES);
}

/* A pack for as long as the longest lock of those that need it; requests are no larger than the keeper takes. */
static void test_longest(void)
{
  g_autoptr(VaultLab) lab = vault_lab_new();
  g_autoptr(GError) error = NULL;
  HfShortId writer;
  vault_lab_init(lab);
  g_autofree char *credential = vault_lab_writer(lab, "host", &writer);
  write_file(lab, "source/a", 70000);
  backup(lab, credential, &writer, 9 * DAY, "source");
  g_autoptr(GPtrArray) early = list(lab, "data/");
  write_file(lab, "source/b", 70000);
  backup(lab, credential, &writer, DAY, "source");
  g_autoptr(GPtrArray) all = list(lab, "data/");
  g_assert_cmpuint(all->len, >, early->len);
  forget_all();
  g_assert_true(pass(lab, &error));
  guint shorter = 0;
  for (guint i = 0; i < all->len; i++) {
    gboolean is_early = g_ptr_array_find_with_equal_func(early, all->pdata[i], g_str_equal, NULL);
    g_assert_cmpuint(term_of(all->pdata[i]), >=, is_early ? 9 * DAY : DAY);
    shorter += term_of(all->pdata[i]) < 2 * DAY ? 1 : 0;
  }
  g_assert_cmpuint(shorter, ==, all->len - early->len);
  g_assert_cmpuint(keeper.largest, <=, HF_HOLD_NAMES);
}

/* A commit of a locked point is followed by a pass, without anybody asking for one. */
static void test_by_itself(void)
{
  g_autoptr(VaultLab) lab = vault_lab_new();
  HfShortId writer;
  vault_lab_init(lab);
  g_autofree char *credential = vault_lab_writer(lab, "host", &writer);
  write_file(lab, "source/a", 70000);
  forget_all();
  backup(lab, credential, &writer, DAY, "source");
  g_autoptr(GPtrArray) packs = list(lab, "data/");
  gint64 end = g_get_monotonic_time() + 20 * G_TIME_SPAN_SECOND;
  while (term_of(packs->pdata[0]) == 0 && g_get_monotonic_time() < end)
    g_usleep(10000);
  g_assert_cmpuint(term_of(packs->pdata[0]), >=, DAY);
}

/* Where it cannot be, or the keeper is gone, backups go on. */
static void test_failing(void)
{
  static const HfErrorCode codes[] = { HF_ERROR_UNSUPPORTED, HF_ERROR_IO };
  for (guint i = 0; i < G_N_ELEMENTS(codes); i++) {
    g_autoptr(VaultLab) lab = vault_lab_new();
    g_autoptr(GError) error = NULL;
    HfShortId writer;
    vault_lab_init(lab);
    g_autofree char *credential = vault_lab_writer(lab, "host", &writer);
    write_file(lab, "source/a", 7000);
    forget_all();
    g_atomic_int_set(&keeper.failing, (gint)codes[i]);
    backup(lab, credential, &writer, DAY, "source");
    g_assert_false(pass(lab, &error));
    g_assert_true(hf_error_is(error, codes[i]));
    g_atomic_int_set(&keeper.failing, 0);
    g_clear_error(&error);
    g_assert_true(pass(lab, &error));
  }
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_log_set_always_fatal(G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL); /* a keeper that fails is warned about */
  g_assert_true(hf_crypto_init(NULL));
  forget_all();
  hf_vault_hold_by(take);
  g_test_add_func("/vault-hold/what", test_what);
  g_test_add_func("/vault-hold/longest", test_longest);
  g_test_add_func("/vault-hold/by-itself", test_by_itself);
  g_test_add_func("/vault-hold/failing", test_failing);
  return g_test_run();
}
