/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Objects whose files are immutable for a while: who would remove them does so later, and fails at nothing. */
#include <string.h>

#include "base/sys.h"
#include "engine/repair/repair.h"
#include "engine/verify/verify.h"
#include "repo/objects.h"
#include "repo/session.h"
#include "storage/local/local.h"
#include "treelab.h"

/* A kernel in which what lies in some folders of a store is immutable. */
static const HfSys *real;
static HfSys table;
static const char *held[4];

static gboolean is_held(const char *path)
{
  for (guint i = 0; i < G_N_ELEMENTS(held) && held[i] != NULL; i++)
    if (g_str_has_prefix(path, held[i]))
      return TRUE;
  return FALSE;
}

static int held_statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *status)
{
  int done = real->statx(dirfd, path, flags, mask, status);
  if (done == 0 && is_held(path))
    status->stx_attributes |= STATX_ATTR_IMMUTABLE;
  return done;
}

static int held_unlinkat(int dirfd, const char *path, int flags)
{
  if (is_held(path)) {
    errno = EPERM;
    return -1;
  }
  return real->unlinkat(dirfd, path, flags);
}

static void hold(const char *first, const char *second, const char *third)
{
  held[0] = first;
  held[1] = second;
  held[2] = third;
}

static void let_go(void)
{
  memset(held, 0, sizeof held);
}

static void fill(TreeLab *lab, const char *folder, guint from, guint files)
{
  for (guint i = from; i < from + files; i++) {
    guint8 bytes[9000];
    g_autofree char *name = g_strdup_printf("%s/file%u", folder, i);
    hf_random(bytes, sizeof bytes);
    tree_lab_file(lab, name, bytes, sizeof bytes);
  }
}

static guint count(TreeLab *lab, const char *folder)
{
  g_autoptr(GPtrArray) names = hf_store_list_names(lab->repo->store, folder, NULL);
  g_assert_nonnull(names);
  return names->len;
}

static void assert_good(TreeLab *lab)
{
  HfVerifyOptions options = { .content = TRUE, .sample = 100 };
  g_auto(HfVerifyResult) result = { 0 };
  g_assert_true(hf_verify(lab->repo, &options, &result, NULL));
  g_assert_true(hf_verify_result_good(&result));
}

/* Dead packs, or packs of which little is live: neither condemned nor rewritten. */
static void test_prune(gconstpointer user)
{
  guint again = GPOINTER_TO_UINT(user);
  g_autoptr(TreeLab) lab = tree_lab_new();
  fill(lab, "tree", 0, 120);
  g_autoptr(HfPointInfo) first = tree_lab_backup(lab, "tree");
  fill(lab, "tree", 0, again);
  g_autoptr(HfPointInfo) second = tree_lab_backup(lab, "tree");
  tree_lab_forget_point(lab->repo, first);
  guint packs = count(lab, "data/");
  hold("data/", "meta/", "mirror/");
  HfPruneResult now = tree_lab_prune(lab->repo);
  g_assert_cmpuint(now.swept_packs + now.rewritten_packs + now.waiting_packs, ==, 0);
  if (again == 120) { /* else a whole pack may be dead, as the order in which files are stored falls out */
    g_assert_cmpuint(now.held_packs, >, 0);
    g_assert_cmpuint(now.held_bytes, >, 1000);
  }
  g_assert_cmpuint(count(lab, "data/"), ==, packs);
  assert_good(lab);
  let_go();
  HfPruneResult then = tree_lab_prune(lab->repo);
  g_assert_cmpuint(then.swept_packs, >=, MAX(now.held_packs, 1));
  g_assert_cmpuint(then.held_packs, ==, 0);
  assert_good(lab);
}

/* Held since it was condemned: it stays so, prune after prune, and a point that needs it is served from it. */
static void test_condemned(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  fill(lab, "tree", 0, 20);
  g_autoptr(HfPointInfo) first = tree_lab_backup(lab, "tree");
  fill(lab, "tree", 0, 20);
  g_autoptr(HfPointInfo) second = tree_lab_backup(lab, "tree");
  HfSession *reader = hf_session_open(lab->repo, HF_PURPOSE_READ, NULL);
  g_assert_nonnull(reader);
  tree_lab_forget_point(lab->repo, first);
  HfPruneResult waiting = tree_lab_prune(lab->repo);
  g_assert_cmpuint(waiting.waiting_packs, >, 0);
  hf_session_free(reader);
  hold("data/", "meta/", "mirror/");
  guint packs = count(lab, "data/");
  for (guint i = 0; i < 2; i++) {
    fill(lab, "tree", 20 + i, 1);
    g_autoptr(HfPointInfo) more = tree_lab_backup(lab, "tree");
    HfPruneResult held_now = tree_lab_prune(lab->repo);
    g_assert_cmpuint(held_now.held_packs, ==, waiting.waiting_packs);
    g_assert_cmpuint(held_now.swept_packs, ==, 0);
  }
  g_assert_cmpuint(count(lab, "data/"), >=, packs);
  assert_good(lab);
  let_go();
  g_assert_cmpuint(tree_lab_prune(lab->repo).swept_packs, >=, waiting.waiting_packs);
  assert_good(lab);
}

static void test_forget(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  fill(lab, "tree", 0, 3);
  g_autoptr(HfPointInfo) first = tree_lab_backup(lab, "tree");
  g_autoptr(HfPointInfo) second = tree_lab_backup(lab, "tree");
  g_autofree char *hex = hf_hex(first->point.id.b, sizeof first->point.id.b), *base = g_strconcat("points/", hex, NULL);
  g_autofree char *copy = g_strconcat(base, ".0", NULL);
  hold(copy, NULL, NULL);
  tree_lab_forget_point(lab->repo, first);
  g_assert_true(tree_lab_warned(lab, "immutable"));
  g_autoptr(GPtrArray) points = hf_points_load(lab->repo, NULL, NULL);
  g_assert_cmpuint(points->len, ==, 1);
  g_assert_true(hf_store_held(lab->repo->store, copy));
  g_assert_false(hf_store_held(lab->repo->store, "points/nothing"));
  GError *error = NULL;
  g_assert_false(hf_store_remove(lab->repo->store, copy, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_PERMISSION);
  g_assert_nonnull(strstr(error->message, "immutable"));
  g_clear_error(&error);
  let_go();
  g_assert_true(hf_store_remove(lab->repo->store, copy, &error));
}

/* What is damaged and cannot be made anew for now is said, and the rest is repaired. */
static void test_repair(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  lab->repo->config.parity = 10;
  fill(lab, "tree", 0, 30);
  g_autoptr(HfPointInfo) info = tree_lab_backup(lab, "tree");
  g_autoptr(GPtrArray) seconds = hf_store_list_names(lab->repo->store, "parity/", NULL);
  g_assert_cmpuint(seconds->len, >, 0);
  g_autofree char *in_repo = g_strconcat("repo/", (char *)seconds->pdata[0], NULL);
  g_autofree char *path = tree_lab_path(lab, in_repo);
  g_assert_true(g_file_set_contents(path, "rubbish", 7, NULL));
  tree_lab_forget(lab);
  g_auto(HfRepairResult) result = { 0 }, again = { 0 };
  hold("parity/", NULL, NULL);
  g_assert_true(hf_repair(lab->repo, NULL, &result, NULL));
  g_assert_true(tree_lab_warned(lab, "immutable"));
  let_go();
  g_assert_true(hf_repair(lab->repo, NULL, &again, NULL));
  assert_good(lab);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_assert_true(hf_crypto_init(NULL));
  real = hf_sys;
  table = *hf_sys;
  table.statx = held_statx;
  table.unlinkat = held_unlinkat;
  hf_sys = &table;
  g_test_add_data_func("/held/prune-dead", GUINT_TO_POINTER(120), test_prune);
  g_test_add_data_func("/held/prune-thin", GUINT_TO_POINTER(90), test_prune);
  g_test_add_func("/held/condemned", test_condemned);
  g_test_add_func("/held/forget", test_forget);
  g_test_add_func("/held/repair", test_repair);
  return g_test_run();
}
