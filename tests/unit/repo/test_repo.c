/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/error.h"
#include "repo/keystate.h"
#include "repo/objects.h"
#include "repo/points.h"
#include "repolab.h"

static HfRepo *try_open(Lab *lab, const HfUnlock *unlock, GError **error)
{
  HfRepoOptions options = { .unlock = unlock, .report = lab->report };
  return hf_repo_open(lab_store(lab), &options, error);
}

static void expect_fail(Lab *lab, const HfUnlock *unlock, int code, const char *text)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *before = lab_digest(lab);
  g_assert_null(try_open(lab, unlock, &error));
  g_assert_error(error, HF_ERROR, code);
  if (strstr(error->message, text) == NULL)
    g_error("'%s' is not in: %s", text, error->message);
  g_autofree char *after = lab_digest(lab);
  g_assert_cmpstr(before, ==, after);
}

static void test_open(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  g_autoptr(HfRepo) keyless = lab_open(lab, NULL, NULL);
  g_assert_cmpint(keyless->access, ==, HF_ACCESS_NONE);
  g_assert_null(keyless->keys);
  g_autoptr(HfRepo) repo = lab_open_full(lab);
  g_assert_cmpint(repo->access, ==, HF_ACCESS_FULL);
  g_assert_false(repo->read_only);
  HfShortId fingerprint;
  hf_fingerprint(&repo->config.family, repo->config.admin_public, &fingerprint);
  g_assert_true(hf_short_id_equal(&fingerprint, &repo->fingerprint));
  g_assert_cmpuint(repo->config.pack_target, ==, 64u << 20);
  g_autoptr(GError) error = NULL;
  g_assert_true(hf_repo_load_index(repo, &error));
  HfIndex *index = repo->index;
  g_assert_true(hf_repo_load_index(repo, &error));
  g_assert_true(repo->index == index);
  g_assert_cmpuint(lab->warnings->len, ==, 0);
  hf_repo_free(NULL);
}

static void test_bad_input(void)
{
  g_autoptr(Lab) empty = lab_new();
  expect_fail(empty, &lab_no_key, HF_ERROR_FORMAT, "is not a repository; 'holdfast init' makes one");

  g_autoptr(Lab) lab = lab_with_repo();
  HfUnlock password = lab_text(HF_UNLOCK_PASSWORD, "x");
  expect_fail(lab, &password, HF_ERROR_PASSWORD, "no password opens it");

  g_autoptr(HfRepo) repo = lab_open_full(lab);
  HfConfig config = repo->config;
  config.features_read = 4;
  g_autoptr(GBytes) newer = hf_config_encode(&config, &repo->keys->admin_seed);
  lab_put_triple(lab, "config", newer);
  expect_fail(lab, &lab_no_key, HF_ERROR_FORMAT, "use a newer holdfast");
  config.features_read = 0;
  config.features_write = 4;
  g_autoptr(GBytes) readable = hf_config_encode(&config, &repo->keys->admin_seed);
  lab_put_triple(lab, "config", readable);
  g_autoptr(HfRepo) may_read = lab_open_full(lab);
  g_assert_true(may_read->read_only);
  g_autoptr(Lab) sibling = lab_new();
  g_autoptr(HfStore) store = lab_store(sibling);
  g_autoptr(GError) error = NULL;
  g_assert_false(hf_repo_create_like(store, may_read, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_FORMAT);

  /* An envelope of version 2, whole. */
  gsize length = g_bytes_get_size(readable);
  g_autofree guint8 *bytes = g_memdup2(g_bytes_get_data(readable, NULL), length);
  bytes[8] = 2;
  hf_sha256(bytes, length - 32, bytes + length - 32);
  g_autoptr(GBytes) version = g_bytes_new(bytes, length);
  lab_put_triple(lab, "config", version);
  expect_fail(lab, &lab_no_key, HF_ERROR_FORMAT, "version 2");
  for (guint i = 0; i < 3; i++) {
    g_autofree char *name = g_strdup_printf("config.%u", i);
    lab_flip(lab, name, 99);
  }
  expect_fail(lab, &lab_no_key, HF_ERROR_DAMAGED, "put the config back from an export");
}

/* Every copy of every small object, damaged and missing: opening to write puts it right. */
static void test_healing(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  g_autoptr(GError) error = NULL;
  {
    g_autoptr(HfRepo) repo = lab_open_full(lab);
    lab_commit(repo, "one");
    g_free(hf_writers_add(repo->store, &repo->config, repo->keys, "web", &error));
    g_autoptr(GPtrArray) writers = hf_writers_list(repo->keys, &error);
    g_assert_true(hf_writers_remove(repo->store, &repo->config, repo->keys,
                                    &((HfWriterInfo *)g_ptr_array_index(writers, 1))->id, 0, &error));
    HfUnlock file = { .kind = HF_UNLOCK_KEY_FILE };
    g_autofree char *made = NULL;
    HfShortId slot;
    g_assert_true(hf_keys_add(repo->store, &repo->config, repo->keys, &file, NULL, &made, &slot, &error));
    g_assert_true(hf_keys_hide(repo->store, &repo->config, repo->keys, &slot, &error));
  }
  g_autofree char *before = lab_digest(lab);
  g_autoptr(GPtrArray) names = lab_names(lab, "");
  guint tried = 0;
  for (guint i = 0; i < names->len; i++) {
    const char *name = g_ptr_array_index(names, i);
    if (g_str_equal(name, "reserve"))
      continue;
    for (guint way = 0; way < 3; way++, tried++) {
      lab_forget_report(lab);
      if (way == 0)
        lab_drop(lab, name);
      else if (way == 1)
        lab_flip(lab, name, 12 + i);
      else
        lab_cut(lab, name, 10);
      g_autoptr(HfRepo) looked G_GNUC_UNUSED = lab_open_read_only(lab);
      g_autofree char *unhealed = lab_digest(lab);
      g_assert_cmpstr(before, !=, unhealed);
      g_autoptr(HfRepo) repo G_GNUC_UNUSED = lab_open_full(lab);
      g_autofree char *after = lab_digest(lab);
      g_assert_cmpstr(before, ==, after);
      g_assert_cmpuint(lab->warnings->len, ==, way == 0 ? 0 : 1);
    }
  }
  g_assert_cmpuint(tried, ==, 3 * 3 * (1 + 1 + 2 + 1 + 2 + 1 + 1));
}

static void test_create(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  g_autoptr(HfStore) store = lab_store(lab);
  g_autoptr(GError) error = NULL;
  HfConfig config = { 0 };
  hf_config_defaults(&config);
  g_autofree char *before = lab_digest(lab);
  g_assert_false(hf_repo_create(store, &config, &lab_no_key, NULL, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_REFUSED);
  g_autofree char *after = lab_digest(lab);
  g_assert_cmpstr(before, ==, after);
}

static void test_create_like(void)
{
  g_autoptr(Lab) lab = lab_with_repo(), sibling = lab_new();
  g_autoptr(HfRepo) repo = lab_open_full(lab), keyless = lab_open(lab, NULL, NULL);
  g_autoptr(HfStore) store = lab_store(sibling), own = lab_store(lab);
  g_autoptr(GError) error = NULL;
  g_assert_false(hf_repo_create_like(store, keyless, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_PERMISSION);
  g_clear_error(&error);
  g_assert_false(hf_repo_create_like(own, repo, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_REFUSED);
  g_clear_error(&error);
  g_assert_true(hf_repo_create_like(store, repo, &error));
  g_autoptr(HfRepo) other = lab_open_full(sibling);
  g_assert_true(hf_short_id_equal(&other->config.family, &repo->config.family));
  g_assert_true(hf_short_id_equal(&other->fingerprint, &repo->fingerprint));
  g_assert_false(hf_short_id_equal(&other->config.repository, &repo->config.repository));
  g_assert_true(hf_short_id_equal(hf_keyring_writer_id(other->keys), hf_keyring_writer_id(repo->keys)));
  HfKey a, b;
  g_assert_true(hf_keyring_domain_key(repo->keys, 0, &a, NULL) && hf_keyring_domain_key(other->keys, 0, &b, NULL));
  g_assert_cmpmem(&a, sizeof a, &b, sizeof b);
}

/* Whatever fails when opening, it fails cleanly or the repository is as it should be. */
static void test_open_faults(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  {
    g_autoptr(HfRepo) repo = lab_open_full(lab);
    lab_commit(repo, "one");
  }
  static const int codes[] = { HF_ERROR_IO, HF_ERROR_PERMISSION, HF_ERROR_NO_SPACE };
  guint failed = 0;
  for (guint i = 0; i < G_N_ELEMENTS(codes); i++)
    for (guint persist = 0; persist < 2; persist++) {
      gboolean more = TRUE;
      for (guint strike = 1; more; strike++) {
        Fault fault = { .strike = strike, .code = codes[i], .persist = persist == 1 };
        HfRepoOptions options = { .unlock = &lab_no_key, .report = lab->report };
        g_autoptr(GError) error = NULL;
        g_autoptr(HfRepo) repo = hf_repo_open(lab_hooked(lab, fault_hook, &fault), &options, &error);
        g_assert_true((repo != NULL) == (error == NULL));
        failed += repo == NULL;
        more = fault.calls >= strike;
      }
    }
  g_assert_cmpuint(failed, >, 20);
  lab_forget_report(lab);
  g_autoptr(HfRepo) repo = lab_open_full(lab);
  g_autoptr(GPtrArray) points = hf_points_load(repo, NULL, NULL);
  g_assert_cmpuint(points->len, ==, 1);
  g_assert_cmpuint(lab->warnings->len, ==, 0);
}

/* ---- The reserve. ---- */

typedef struct Full {
  Lab *lab;
  gboolean full; /* while the reserve is there */
  gboolean hopeless;
} Full;

static int no_space(gboolean before, HookOp op, const char *name, gpointer user)
{
  Full *full = user;
  (void)name;
  if (!before || op != HOOK_PUT)
    return 0;
  return full->hopeless || (full->full && lab_has(full->lab, "reserve")) ? HF_ERROR_NO_SPACE : 0;
}

static void test_reserve(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  Full full = { .lab = lab };
  g_autoptr(HfRepo) repo = lab_open(lab, lab_hooked(lab, no_space, &full), &lab_no_key);
  g_autoptr(GBytes) record = g_bytes_new("x", 1), reserve = lab_get(lab, "reserve");
  g_autoptr(GError) error = NULL;
  g_assert_cmpuint(g_bytes_get_size(reserve), ==, 1 << 20);
  g_assert_true(hf_repo_put_urgent(repo, "gc/a", record, &error));
  g_assert_true(lab_has(lab, "reserve"));
  full.full = TRUE;
  g_assert_true(hf_repo_put_urgent(repo, "gc/b", record, &error));
  g_assert_no_error(error);
  g_assert_false(lab_has(lab, "reserve"));
  g_assert_false(hf_repo_put_urgent(repo, "gc/b", record, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_EXISTS);
  g_clear_error(&error);
  full.hopeless = TRUE;
  g_assert_false(hf_repo_put_urgent(repo, "gc/c", record, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_NO_SPACE);
  hf_repo_restore_reserve(repo);
  g_assert_false(lab_has(lab, "reserve"));
  full.hopeless = full.full = FALSE;
  hf_repo_restore_reserve(repo);
  g_assert_true(lab_has(lab, "reserve"));
  hf_repo_restore_reserve(repo);
  lab_drop(lab, "reserve");
  g_autoptr(HfRepo) read_only = lab_open_read_only(lab);
  hf_repo_restore_reserve(read_only);
  g_assert_false(lab_has(lab, "reserve"));
}

static int taken_by_other(gboolean before, HookOp op, const char *name, gpointer user)
{
  Lab *lab = user;
  if (!before || op != HOOK_PUT || !g_str_equal(name, "gc/a") || !lab_has(lab, "reserve"))
    return 0;
  lab_drop(lab, "reserve");
  return HF_ERROR_NO_SPACE;
}

/* Two need it at once: who comes second has the room, too. */
static void test_reserve_shared(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  g_autoptr(HfRepo) repo = lab_open(lab, lab_hooked(lab, taken_by_other, lab), &lab_no_key);
  g_autoptr(GBytes) record = g_bytes_new("x", 1);
  g_autoptr(GError) error = NULL;
  g_assert_true(hf_repo_put_urgent(repo, "gc/a", record, &error));
  g_assert_no_error(error);
}

static void fill_up(const char *folder)
{
  g_autofree char *path = g_build_filename(folder, "FILL", NULL);
  g_autofree char *bytes = g_malloc0(65536);
  FILE *file = fopen(path, "w");
  g_assert_nonnull(file);
  setvbuf(file, NULL, _IONBF, 0);
  for (gsize part = 65536; part > 0; part /= 2)
    while (fwrite(bytes, 1, part, file) == part)
      ;
  fclose(file);
}

/* A store on a file system of its own that is full to the last byte: points can be forgotten, sessions collect and
 * read. */
static void test_full_disk(void)
{
  g_autoptr(Lab) lab = lab_new();
  if (mount("tmpfs", lab->folder, "tmpfs", 0, "size=8m") < 0) {
    g_test_skip("this needs the right to mount");
    return;
  }
  g_autoptr(GError) error = NULL;
  HfShortId first;
  {
    g_assert_null(lab_init(lab, &lab_no_key));
    g_autoptr(HfRepo) repo = lab_open_full(lab);
    first = lab_commit(repo, "one");
    lab_commit(repo, "one");
    fill_up(lab->folder);
  }
  {
    g_autoptr(HfRepo) repo = lab_open_full(lab);
    g_assert_null(hf_session_open(repo, HF_PURPOSE_BACKUP, &error));
    g_assert_error(error, HF_ERROR, HF_ERROR_NO_SPACE);
    g_clear_error(&error);
    HfStoreUsage usage;
    g_assert_true(hf_store_usage(repo->store, &usage, &error));
    g_assert_cmpuint(usage.bytes_free, ==, 0);
    hf_repo_restore_reserve(repo);
    g_autoptr(HfSession) reader G_GNUC_UNUSED = hf_session_open(repo, HF_PURPOSE_READ, &error);
    g_assert_no_error(error);
    g_autoptr(HfSession) collector G_GNUC_UNUSED = hf_session_open(repo, HF_PURPOSE_COLLECT, &error);
    g_assert_no_error(error);
    g_autoptr(GPtrArray) points = hf_points_load(repo, NULL, &error);
    g_assert_cmpuint(points->len, ==, 2);
    g_assert_true(hf_points_forget(repo, g_ptr_array_index(points, 0), &error));
    g_assert_no_error(error);
  }
  {
    g_autoptr(HfRepo) repo = lab_open_full(lab);
    g_autoptr(GPtrArray) points = hf_points_load(repo, NULL, &error);
    g_assert_cmpuint(points->len, ==, 1);
    g_assert_false(hf_short_id_equal(&((HfPointInfo *)g_ptr_array_index(points, 0))->point.id, &first));
    hf_repo_restore_reserve(repo);
    g_assert_false(lab_has(lab, "reserve"));
  }
  umount2(lab->folder, MNT_DETACH);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_assert_true(hf_crypto_init(NULL));
  g_test_add_func("/repo/open", test_open);
  g_test_add_func("/repo/bad-input", test_bad_input);
  g_test_add_func("/repo/healing", test_healing);
  g_test_add_func("/repo/create", test_create);
  g_test_add_func("/repo/create-like", test_create_like);
  g_test_add_func("/repo/open-faults", test_open_faults);
  g_test_add_func("/repo/reserve", test_reserve);
  g_test_add_func("/repo/reserve-shared", test_reserve_shared);
  g_test_add_func("/repo/full-disk", test_full_disk);
  return g_test_run();
}
