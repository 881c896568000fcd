/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The repository service and the store that speaks to it, end to end: every verb over socket pairs. */
#include <errno.h>
#include <glib/gstdio.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "agent/vault/depot.h"
#include "base/error.h"
#include "engine/restore/restore.h"
#include "engine/verify/verify.h"
#include "fixture.h"
#include "storage/local/local.h"
#include "vaultlab.h"

#define FILES 60u
#define FILE_BYTES 30000u

/* ---- Sources. ---- */

static char *make_source(VaultLab *lab)
{
  for (guint i = 0; i < FILES; i++) {
    g_autofree char *name = g_strdup_printf("source/%u/file-%u", i % 7, i);
    vault_lab_noise(lab, name, i, FILE_BYTES + i);
  }
  vault_lab_noise(lab, "source/large", 1000, 3 << 20);
  return vault_lab_path(lab, "source");
}

static HfPointInfo *newest(HfRepo *repo, GPtrArray **points)
{
  *points = hf_points_load(repo, NULL, NULL);
  g_assert_nonnull(*points);
  g_assert_cmpuint((*points)->len, >, 0);
  return (*points)->pdata[(*points)->len - 1];
}

/* With a pass of the writer's domain, as a host would that restores. */
static char *make_pass(VaultLab *lab, guint32 domain)
{
  g_autoptr(HfRepo) repo = vault_lab_owner(lab, HF_TICKET_KEYS | HF_TICKET_READ);
  g_autoptr(GError) error = NULL;
  g_autoptr(GArray) slots = hf_service_slots(repo->store, domain, &error);
  g_assert_no_error(error);
  g_assert_cmpuint(slots->len, >, 0);
  char *pass = hf_keyring_make_pass(repo->keys, domain, slots, &error);
  g_assert_no_error(error);
  return pass;
}

static void assert_restores(VaultLab *lab, guint32 domain, const char *source)
{
  g_autofree char *pass = make_pass(lab, domain), *out = vault_lab_path(lab, "out");
  g_autoptr(GError) error = NULL;
  VaultTicket ticket = { .rights = HF_TICKET_READ };
  g_autoptr(HfRepo) repo = vault_lab_open(lab, &ticket, pass, &error);
  g_assert_no_error(error);
  g_assert_true(hf_repo_load_index(repo, NULL));
  g_autoptr(GPtrArray) points = NULL;
  const HfPointInfo *info = newest(repo, &points);
  g_auto(HfRestoreResult) result = { 0 };
  HfRestoreOptions options = { .target = out };
  hf_restore(repo, info, &options, &result, &error);
  g_assert_no_error(error);
  g_assert_cmpuint(result.damaged + result.failed + result.warnings, ==, 0);
  g_autofree char *restored = g_build_filename(out, "source", NULL);
  const char *argv[] = { "diff", "-r", source, restored, NULL };
  int status;
  g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, &status, NULL));
  g_assert_cmpint(status, ==, 0);
  hf_fixture_remove(out);
}

static void assert_verifies(VaultLab *lab)
{
  VaultTicket ticket = { .rights = HF_TICKET_KEEP };
  g_autoptr(GError) error = NULL;
  g_autoptr(HfStore) store = vault_lab_store(lab, &ticket, 1, &error);
  g_assert_no_error(error);
  HfServiceVerified verified;
  hf_service_verify(store, 100, lab->report, &verified, &error);
  g_assert_no_error(error);
  g_assert_true(verified.good);
  g_assert_cmpuint(verified.frames, >, 0);
}

/* ---- Tests. ---- */

static void test_round(void)
{
  g_autoptr(VaultLab) lab = vault_lab_new();
  g_autoptr(GError) error = NULL;
  HfShortId writer;
  HfBackupResult first, second;
  vault_lab_init(lab);
  g_autofree char *credential = vault_lab_writer(lab, "host", &writer), *source = make_source(lab);
  vault_lab_backup(lab, credential, &writer, 0, source, &first, &error);
  g_assert_no_error(error);
  g_assert_cmpuint(first.files, ==, FILES + 1);
  g_assert_cmpuint(first.stored_bytes, >, FILES * FILE_BYTES);
  g_assert_true(first.first);
  assert_restores(lab, 1, source);
  assert_verifies(lab);

  vault_lab_noise(lab, "source/3/new", 77, 50000);
  vault_lab_backup(lab, credential, &writer, 0, source, &second, &error);
  g_assert_no_error(error);
  g_assert_false(second.first);
  g_assert_cmpuint(second.stored_bytes, <, first.stored_bytes / 10);
  assert_restores(lab, 1, source);
  assert_verifies(lab);
  g_assert_cmpuint(lab->warnings->len, ==, 0);
}

/* The stamp is the service's: sequences rise, locks count its clock. */
static void test_lock(void)
{
  g_autoptr(VaultLab) lab = vault_lab_new();
  g_autoptr(GError) error = NULL;
  HfShortId writer;
  HfBackupResult result;
  guint forgotten;
  vault_lab_init(lab);
  g_autofree char *credential = vault_lab_writer(lab, "host", &writer), *source = make_source(lab);
  vault_lab_backup(lab, credential, &writer, 0, source, &result, &error);
  g_assert_no_error(error);
  vault_lab_backup(lab, credential, &writer, 86400, source, &result, &error);
  g_assert_no_error(error);

  g_autoptr(HfRepo) repo = vault_lab_owner(lab, HF_TICKET_KEEP);
  g_autoptr(GPtrArray) points = hf_points_load(repo, NULL, NULL);
  g_assert_cmpuint(points->len, ==, 2);
  const HfPointInfo *free_one = points->pdata[0], *locked = points->pdata[1];
  g_assert_cmpuint(free_one->point.sequence, ==, 1);
  g_assert_cmpuint(locked->point.sequence, ==, 2);
  g_assert_cmpuint(free_one->point.lock, ==, 0);
  g_assert_cmpuint(locked->point.lock, >=, 86400);
  g_assert_cmpuint(locked->point.lock, <, 86400 + 600);

  g_autoptr(GArray) both = g_array_new(FALSE, FALSE, sizeof(HfShortId));
  g_array_append_val(both, free_one->point.id);
  g_array_append_val(both, locked->point.id);
  g_assert_false(hf_service_forget(repo->store, both, &forgotten, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_REFUSED);
  g_clear_error(&error);
  g_array_set_size(both, 1);
  g_assert_true(hf_service_forget(repo->store, both, &forgotten, &error));
  g_assert_cmpuint(forgotten, ==, 1);
  HfServicePruned pruned;
  g_assert_true(hf_service_prune(repo->store, FALSE, NULL, &pruned, &error));
  assert_restores(lab, 1, source);
  assert_verifies(lab);
}

/* ---- What a visitor may not do. ---- */

static void expect_refused(gboolean done, GError **error, gint code)
{
  g_assert_false(done);
  g_assert_error(*error, HF_ERROR, code);
  g_clear_error(error);
}

static void test_rights(void)
{
  g_autoptr(VaultLab) lab = vault_lab_new();
  g_autoptr(GError) error = NULL;
  HfShortId writer, other;
  HfBackupResult result;
  guint8 byte;
  guint forgotten;
  vault_lab_init(lab);
  g_autofree char *credential = vault_lab_writer(lab, "host", &writer);
  g_autofree char *second = vault_lab_writer(lab, "other", &other);
  g_autofree char *source = make_source(lab), *repo_path = vault_lab_path(lab, "repo");
  vault_lab_backup(lab, credential, &writer, 0, source, &result, &error);
  g_assert_no_error(error);

  VaultTicket ticket = { .rights = HF_TICKET_WRITE, .writer = writer };
  g_autoptr(HfStore) store = vault_lab_store(lab, &ticket, 1, &error);
  g_autoptr(HfStore) local = hf_local_open(repo_path, FALSE, NULL);
  g_autoptr(GPtrArray) data = hf_store_list_names(local, "data/", NULL);
  g_autoptr(GPtrArray) keys = hf_store_list_names(local, "keys/", NULL);
  g_autoptr(GPtrArray) points = hf_store_list_names(local, "points/", NULL);
  g_autoptr(GPtrArray) runs = hf_store_list_names(local, "index/", NULL);
  /* Reading data and key slots. */
  expect_refused(hf_store_get(store, data->pdata[0], 0, &byte, 1, &error), &error, HF_ERROR_PERMISSION);
  expect_refused(hf_store_get(store, keys->pdata[0], 0, &byte, 1, &error), &error, HF_ERROR_PERMISSION);
  /* Removing anything. */
  GPtrArray *lists[] = { data, keys, points, runs };
  for (gsize i = 0; i < G_N_ELEMENTS(lists); i++)
    expect_refused(hf_store_remove(store, lists[i]->pdata[0], &error), &error, HF_ERROR_PERMISSION);
  expect_refused(hf_store_remove(store, "config.0", &error), &error, HF_ERROR_PERMISSION);
  /* Creating what only the service makes. */
  static const char *const names[] = {
    "index/00000000000000000000000000000000", "points/00000000000000000000000000000000.0",
    "points/00000000000000000000000000000000.gone", "gc/mark.0000000000000001", "gc/seal.0000000000000001",
    "damage/00000000000000000000000000000000", "data/00/00000000000000000000000000000000",
    "meta/00/00000000000000000000000000000000", "clock/ffffffffffffffff", "config.0", "keys/x.0", "ring/00000009.0",
    "writers/00000000000000000000000000000000.0", "sessions/00000000000000000000000000000000/outcome",
    "sessions/00000000000000000000000000000000/open", "reserve", "else",
  };
  for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
    g_assert_false(hf_store_put(store, names[i], "x", 1, &error));
    g_assert_nonnull(error);
    g_clear_error(&error);
  }
  g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(HfShortId));
  g_array_append_val(ids, result.point);
  HfServicePruned pruned;
  expect_refused(hf_service_forget(store, ids, &forgotten, &error), &error, HF_ERROR_PERMISSION);
  expect_refused(hf_service_prune(store, FALSE, NULL, &pruned, &error), &error, HF_ERROR_PERMISSION);
  g_assert_null(hf_service_slots(store, 1, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_PERMISSION);
  g_clear_error(&error);

  /* The right ticket and the credential of another writer: nothing of his is taken. */
  g_assert_false(vault_lab_backup(lab, second, &writer, 0, source, &result, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_PERMISSION);
  g_clear_error(&error);
  assert_verifies(lab);
}

/* The reason comes to the visitor, not only into the service's log. */
static void test_no_folder(void)
{
  g_autoptr(VaultLab) lab = vault_lab_new();
  g_autoptr(GError) error = NULL;
  VaultTicket ticket = { .rights = HF_TICKET_READ };
  g_assert_null(vault_lab_store(lab, &ticket, 2, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_NOT_FOUND);
  g_assert_nonnull(strstr(error->message, lab->folder));
}

/* ---- One folder, several paths. ---- */

static HfDepot *open_depot(VaultLab *lab, const char *path)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *whole = vault_lab_path(lab, path);
  HfDepot *depot = hf_depot_open(whole, FALSE, &error);
  g_assert_no_error(error);
  return depot;
}

/* Mounts seen by this thread alone; nothing where that is not allowed. */
static gpointer open_bound(gpointer data)
{
  VaultLab *lab = data;
  g_autofree char *from = vault_lab_path(lab, "repo"), *to = vault_lab_path(lab, "bound");
  g_assert_cmpint(g_mkdir(to, 0700), ==, 0);
  if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
      mount(from, to, NULL, MS_BIND, NULL) != 0) {
    g_test_message("no bind mounts here: %s", g_strerror(errno));
    return NULL;
  }
  HfDepot *bound = open_depot(lab, "bound");
  g_assert_cmpint(umount2(to, MNT_DETACH), ==, 0);
  return bound;
}

static void test_paths(void)
{
  static const char *const names[] = { "repo/", "./repo", "source/../repo", "repo//.", "link", "link/" };
  g_autoptr(VaultLab) lab = vault_lab_new();
  g_autoptr(GError) error = NULL;
  g_autofree char *source = make_source(lab), *link = vault_lab_path(lab, "link"), *real = vault_lab_path(lab, "repo");
  vault_lab_init(lab);
  g_assert_cmpint(symlink("repo", link), ==, 0);
  HfDepot *depot = open_depot(lab, "repo");
  for (gsize i = 0; i < G_N_ELEMENTS(names); i++)
    g_assert_true(open_depot(lab, names[i]) == depot);
  HfDepot *bound = g_thread_join(g_thread_new("bound", open_bound, lab));
  g_assert_true(bound == NULL || bound == depot);

  /* Another folder in the same place is another depot, and what had the old one does not take it for its own. */
  g_autofree char *away = vault_lab_path(lab, "away");
  g_assert_cmpint(g_rename(real, away), ==, 0);
  g_assert_null(hf_depot_open(real, FALSE, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_NOT_FOUND);
  g_clear_error(&error);
  g_assert_true(open_depot(lab, "away") == depot);
  g_assert_nonnull(hf_depot_repo(depot, &error));
  g_assert_no_error(error);
  HfDepot *other = hf_depot_open(real, TRUE, &error);
  g_assert_no_error(error);
  g_assert_true(other != depot);
  g_assert_null(hf_depot_repo(other, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_FORMAT);
}

/* The first path leads elsewhere by the time the repository is opened: nothing of the other one is touched. */
static void test_moved(void)
{
  g_autoptr(VaultLab) lab = vault_lab_new();
  g_autoptr(GError) error = NULL;
  g_autofree char *link = vault_lab_path(lab, "link"), *repo = vault_lab_path(lab, "repo");
  g_autofree char *empty = vault_lab_path(lab, "empty");
  g_assert_cmpint(g_mkdir(empty, 0700), ==, 0);
  g_assert_cmpint(symlink("empty", link), ==, 0);
  HfDepot *depot = open_depot(lab, "link");
  vault_lab_init(lab);
  g_assert_cmpint(g_unlink(link), ==, 0);
  g_assert_cmpint(symlink("repo", link), ==, 0);
  g_assert_null(hf_depot_repo(depot, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_REFUSED);
}

/* What the store itself answers: room, bytes on the wire, and a put that is read back before it is committed. */
static void test_store(void)
{
  g_autoptr(VaultLab) lab = vault_lab_new();
  g_autoptr(GError) error = NULL;
  HfStoreUsage usage;
  char back[3];
  vault_lab_init(lab);
  VaultTicket ticket = { .rights = HF_TICKET_READ };
  g_autoptr(HfStore) store = vault_lab_store(lab, &ticket, 2, &error);
  g_assert_no_error(error);
  const HfServiceTraffic before = hf_service_traffic(store);
  g_assert_true(hf_store_usage(store, &usage, &error));
  g_assert_cmpuint(usage.bytes_total, >, usage.bytes_free);
  const HfServiceTraffic after = hf_service_traffic(store);
  g_assert_cmpuint(after.sent, >, before.sent);
  g_assert_cmpuint(after.received, >, before.received);
  g_assert_cmpuint(after.waited_us + after.held_us + after.busy_us, ==, 0);

  const gsize much = 40 << 20; /* twice of it is more than a put may hold */
  g_autofree char *bytes = g_malloc0(much);
  memcpy(bytes, "abcdef", 6);
  struct iovec part = { bytes, much };
  g_autoptr(HfPut) put = hf_put_begin(store, "points/p", &error);
  g_assert_true(hf_put_write(put, &part, 1, &error));
  g_assert_true(hf_put_read(put, 2, back, sizeof back, &error));
  g_assert_cmpmem(back, sizeof back, "cde", 3);
  g_assert_false(hf_put_write(put, &part, 1, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_UNSUPPORTED);
}

/* What a lost connection says is not said of what is stored: the engine would take it for damage, and go on. */
static void test_gone(void)
{
  g_autoptr(VaultLab) lab = vault_lab_new();
  g_autoptr(GError) error = NULL;
  char bytes[16];
  guint64 size;
  vault_lab_init(lab);
  VaultTicket ticket = { .rights = HF_TICKET_READ };
  g_autoptr(HfStore) store = vault_lab_store(lab, &ticket, 2, &error);
  g_assert_no_error(error);
  g_assert_false(hf_store_get(store, "data/none", 0, bytes, sizeof bytes, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_NOT_FOUND);
  g_clear_error(&error);
  hf_cancel_set(&lab->cancel);
  vault_lab_join(lab);
  for (guint i = 0; i < 4; i++) {
    g_assert_false(hf_store_get(store, "data/none", 0, bytes, sizeof bytes, &error));
    g_assert_error(error, HF_ERROR, HF_ERROR_FAILED);
    g_clear_error(&error);
    g_assert_false(hf_store_size(store, "data/none", &size, &error));
    g_assert_error(error, HF_ERROR, HF_ERROR_FAILED);
    g_clear_error(&error);
  }
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/vault/round", test_round);
  g_test_add_func("/vault/lock", test_lock);
  g_test_add_func("/vault/rights", test_rights);
  g_test_add_func("/vault/no-folder", test_no_folder);
  g_test_add_func("/vault/paths", test_paths);
  g_test_add_func("/vault/moved", test_moved);
  g_test_add_func("/vault/store", test_store);
  g_test_add_func("/vault/gone", test_gone);
  return g_test_run();
}
