/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Two operations on one repository, interleaved: before the N-th call that one makes of the store the other runs from
 * its beginning to its end, for every N (with -m quick: for some). Whatever comes between, all points are whole. */
#include <string.h>

#include "engine/backup/backup.h"
#include "engine/copy/copy.h"
#include "engine/verify/rehearse.h"
#include "engine/verify/verify.h"
#include "storage/local/local.h"
#include "storage/wrap/pass.h"
#include "treelab.h"

#define FILES 12u
#define FILE_BYTES 9000u
#define QUICK_STRIDE 17u

/* ---- A store that lets another come between. ---- */

typedef struct Meddler {
  HfPass pass;
  gint calls; /* atomic */
  const char *suffix; /* or it comes, once, before the first object whose name ends so is put */
  gint first; /* the meddling comes before this call, and before the one twice as far; 0: never */
  void (*meddle)(gpointer user);
  gpointer user;
} Meddler;

static void step(HfStore *store)
{
  Meddler *meddler = (Meddler *)store;
  gint call = g_atomic_int_add(&meddler->calls, 1) + 1;
  if (meddler->first > 0 && (call == meddler->first || call == 2 * meddler->first))
    meddler->meddle(meddler->user);
}

static HfPut *step_begin(HfStore *store, const char *name, GError **error)
{
  Meddler *meddler = (Meddler *)store;
  step(store);
  if (meddler->suffix != NULL && g_str_has_suffix(name, meddler->suffix)) {
    meddler->suffix = NULL;
    meddler->meddle(meddler->user);
  }
  return hf_pass_put_new(store, name, sizeof(HfPassPut), error);
}

static gboolean step_commit(HfPut *put, GError **error)
{
  step(put->store);
  return hf_pass_put_commit(put, error);
}

static gboolean step_get(HfStore *store, const char *name, guint64 offset, void *bytes, gsize length, GError **error)
{
  step(store);
  return hf_pass_get(store, name, offset, bytes, length, error);
}

static gboolean step_size(HfStore *store, const char *name, guint64 *size, GError **error)
{
  step(store);
  return hf_pass_size(store, name, size, error);
}

static gboolean step_list(HfStore *store, const char *prefix, HfStoreListFunc func, gpointer user, GError **error)
{
  step(store);
  return hf_pass_list(store, prefix, func, user, error);
}

static gboolean step_remove(HfStore *store, const char *name, GError **error)
{
  step(store);
  return hf_pass_remove(store, name, error);
}

static const HfStoreOps step_ops = {
  .put_begin = step_begin,
  .put_write = hf_pass_put_write,
  .put_commit = step_commit,
  .put_read = hf_pass_put_read,
  .put_free = hf_pass_put_free,
  .get = step_get,
  .size = step_size,
  .list = step_list,
  .remove = step_remove,
  .free = hf_pass_free,
  .usage = hf_pass_usage,
};

/* ---- Operations. ---- */

static HfRepo *open_repo(TreeLab *lab, HfStore *store)
{
  GError *error = NULL;
  const HfUnlock unlock = { .kind = HF_UNLOCK_NONE };
  HfRepoOptions options = { .unlock = &unlock, .report = lab->report, .cancel = &lab->cancel };
  HfRepo *repo = hf_repo_open(store, &options, &error);
  g_assert_no_error(error);
  return repo;
}

static HfStore *plain_store(TreeLab *lab)
{
  g_autofree char *path = tree_lab_path(lab, "repo");
  GError *error = NULL;
  HfStore *store = hf_local_open(path, FALSE, &error);
  g_assert_no_error(error);
  return store;
}

static void change(TreeLab *lab, const char *tree, guint first, guint step_width)
{
  guint8 bytes[FILE_BYTES];
  for (guint i = first; i < FILES; i += step_width) {
    g_autofree char *name = g_strdup_printf("%s/file%u", tree, i);
    hf_random(bytes, sizeof bytes);
    tree_lab_file(lab, name, bytes, sizeof bytes);
  }
}

static void backup(TreeLab *lab, HfRepo *repo, const char *tree)
{
  GError *error = NULL;
  HfBackupResult result;
  g_autofree char *path = tree_lab_path(lab, tree);
  g_autoptr(GPtrArray) paths = g_ptr_array_new();
  g_ptr_array_add(paths, path);
  HfBackupOptions options = { .name = tree, .paths = paths, .codec = -1 };
  hf_backup(repo, &options, &result, &error);
  g_assert_no_error(error);
}

/* Forgets the oldest points but `keep`. */
static void forget(HfRepo *repo, guint keep)
{
  GError *error = NULL;
  g_autoptr(GPtrArray) points = hf_points_load(repo, NULL, &error);
  g_assert_no_error(error);
  for (guint i = 0; i + keep < points->len; i++) {
    hf_points_forget(repo, points->pdata[i], &error);
    g_assert_no_error(error);
  }
}

/* ---- What comes between. ---- */

static void forget_and_prune(gpointer user)
{
  TreeLab *lab = user;
  g_autoptr(HfRepo) repo = open_repo(lab, plain_store(lab));
  forget(repo, 2);
  tree_lab_prune(repo);
}

static void back_up_the_same(gpointer user)
{
  TreeLab *lab = user;
  g_autoptr(HfRepo) repo = open_repo(lab, plain_store(lab));
  backup(lab, repo, "tree");
}

static void replace_and_prune(gpointer user)
{
  TreeLab *lab = user;
  g_autoptr(HfRepo) repo = open_repo(lab, plain_store(lab));
  change(lab, "other", 0, 2);
  backup(lab, repo, "other");
  forget(repo, 1);
  tree_lab_prune(repo);
}

/* Sweeps what is condemned, and moves what lives of it. */
static void replace_and_sweep(gpointer user)
{
  TreeLab *lab = user;
  g_autoptr(HfRepo) repo = open_repo(lab, plain_store(lab));
  change(lab, "other", 0, 2);
  backup(lab, repo, "other");
  tree_lab_prune(repo);
}

static void rebuild(gpointer user)
{
  TreeLab *lab = user;
  GError *error = NULL;
  guint64 packs, blobs;
  g_autoptr(HfRepo) repo = open_repo(lab, plain_store(lab));
  hf_index_rebuild(repo->store, lab->report, &packs, &blobs, &error);
  g_assert_no_error(error);
}

static void assert_whole(TreeLab *lab, HfRepo *repo)
{
  GError *error = NULL;
  g_auto(HfVerifyResult) result = { 0 };
  HfVerifyOptions options = { .content = TRUE, .sample = 100 };
  hf_verify(repo, &options, &result, &error);
  g_assert_no_error(error);
  if (!hf_verify_result_good(&result))
    tree_lab_warnings(lab);
  g_assert_true(hf_verify_result_good(&result));
}

/* ---- What it comes into. ---- */

static void run_backup(TreeLab *lab, HfRepo *repo)
{
  backup(lab, repo, "tree");
}

static void run_prune(TreeLab *lab, HfRepo *repo)
{
  (void)lab;
  forget(repo, 2);
  tree_lab_prune(repo);
}

static void run_verify(TreeLab *lab, HfRepo *repo)
{
  assert_whole(lab, repo);
}

/* Restores the points that there are now, and compares. */
static void run_restore(TreeLab *lab, HfRepo *repo)
{
  GError *error = NULL;
  HfRehearseResult result;
  (void)lab;
  HfSession *lease = hf_session_open(repo, HF_PURPOSE_READ, &error);
  g_assert_no_error(error);
  g_autoptr(GPtrArray) points = hf_points_load(repo, NULL, &error);
  g_assert_no_error(error);
  hf_rehearse(repo, points, NULL, &result, &error);
  g_assert_no_error(error);
  g_assert_cmpuint(result.different, ==, 0);
  hf_session_free(lease);
}

/* Copies the points that there are now to a sibling, in which all of them must be whole. */
static void run_copy(TreeLab *lab, HfRepo *repo)
{
  GError *error = NULL;
  HfCopyResult result;
  g_autofree char *path = tree_lab_path(lab, "sibling");
  HfStore *store = hf_local_open(path, TRUE, &error);
  g_assert_no_error(error);
  hf_repo_create_like(store, repo, &error);
  g_assert_no_error(error);
  g_autoptr(HfRepo) sibling = open_repo(lab, store);
  g_autoptr(GPtrArray) points = hf_points_load(repo, NULL, &error);
  g_assert_no_error(error);
  hf_copy(repo, sibling, points, &result, &error);
  g_assert_no_error(error);
  assert_whole(lab, sibling);
}

typedef struct Case {
  const char *name;
  void (*run)(TreeLab *lab, HfRepo *repo);
  void (*meddle)(gpointer user);
} Case;

static void forget_last_and_prune(gpointer user)
{
  TreeLab *lab = user;
  g_autoptr(HfRepo) repo = open_repo(lab, plain_store(lab));
  forget(repo, 1);
  tree_lab_prune(repo);
}

static HfRepo *open_meddled(TreeLab *lab, Meddler *meddler)
{
  hf_pass_init(&meddler->pass, &step_ops, plain_store(lab));
  return open_repo(lab, &meddler->pass.store);
}

/* A point that needs what was condemned while it was made, right before its commit: the sweep will have to move it. */
static void leave_condemned(TreeLab *lab)
{
  Meddler *meddler = g_new0(Meddler, 1);
  meddler->suffix = "/outcome";
  meddler->meddle = forget_last_and_prune;
  meddler->user = lab;
  change(lab, "last", 0, 1);
  backup(lab, lab->repo, "last");
  backup(lab, lab->repo, "other"); /* the newest, which is kept */
  g_autoptr(HfRepo) repo = open_meddled(lab, meddler);
  backup(lab, repo, "last");
}

/* Points of which some are forgotten, packs that are condemned and not yet swept, thin frames, and content that two
 * trees share. */
static TreeLab *make_past(void)
{
  TreeLab *lab = tree_lab_new();
  change(lab, "tree", 0, 1);
  backup(lab, lab->repo, "tree");
  for (guint i = 0; i < 2; i++) {
    change(lab, "tree", i, 3);
    change(lab, "other", i, 4);
    backup(lab, lab->repo, "tree");
    backup(lab, lab->repo, "other");
  }
  HfSession *reader = hf_session_open(lab->repo, HF_PURPOSE_READ, NULL);
  g_assert_nonnull(reader);
  forget(lab->repo, 3);
  tree_lab_prune(lab->repo);
  hf_session_free(reader);
  leave_condemned(lab);
  change(lab, "tree", 2, 5);
  return lab;
}

/* FALSE when the operation ends before call `at`. */
static gboolean meddle_at(const Case *test, gint at)
{
  g_autoptr(TreeLab) lab = make_past();
  Meddler *meddler = g_new0(Meddler, 1);
  meddler->first = at;
  meddler->meddle = test->meddle;
  meddler->user = lab;
  HfRepo *repo = open_meddled(lab, meddler);
  g_test_message("before call %d", at);
  test->run(lab, repo);
  gboolean met = g_atomic_int_get(&meddler->calls) >= at;
  hf_repo_free(repo);
  g_autoptr(HfRepo) after = open_repo(lab, plain_store(lab));
  assert_whole(lab, after);
  tree_lab_prune(after);
  tree_lab_prune(after);
  assert_whole(lab, after);
  return met;
}

static void test_together(gconstpointer user)
{
  const Case *test = user;
  gint stride = g_test_slow() ? 1 : (gint)QUICK_STRIDE, at = 1;
  while (meddle_at(test, at))
    at += stride;
  g_assert_cmpint(at, >, 50);
}

static const Case cases[] = {
  { "/together/backup-forget-prune", run_backup, forget_and_prune },
  { "/together/backup-replace-prune", run_backup, replace_and_prune },
  { "/together/backup-backup", run_backup, back_up_the_same },
  { "/together/prune-backup", run_prune, back_up_the_same },
  { "/together/backup-rebuild", run_backup, rebuild },
  { "/together/prune-replace-prune", run_prune, replace_and_prune },
  { "/together/prune-prune", run_prune, forget_and_prune },
  { "/together/prune-rebuild", run_prune, rebuild },
  { "/together/restore-sweep", run_restore, replace_and_sweep },
  { "/together/restore-replace-prune", run_restore, replace_and_prune },
  { "/together/copy-replace-prune", run_copy, replace_and_prune },
  { "/together/verify-replace-prune", run_verify, replace_and_prune },
  { "/together/verify-rebuild", run_verify, rebuild },
};

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS(cases); i++)
    g_test_add_data_func(cases[i].name, &cases[i], test_together);
  return g_test_run();
}
