/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What becomes of sessions in a repository when who held them is gone without a word. */
#include <string.h>

#include "agent/vault/vault.h"
#include "base/clock.h"
#include "base/error.h"
#include "fixture.h"
#include "repo/objects.h"
#include "repo/sessionstate.h"
#include "treelab.h"
#include "vaultlab.h"

#define BEAT_MS "50"
#define SOON_US (10 * G_USEC_PER_SEC)

static char *part_path(VaultLab *lab, const HfShortId *session, const char *part)
{
  char name[HF_NAME_BYTES];
  hf_name_session(name, session, part);
  g_autofree char *repo = vault_lab_path(lab, "repo");
  return g_build_filename(repo, name, NULL);
}

static gboolean has_part(VaultLab *lab, const HfShortId *session, const char *part)
{
  g_autofree char *path = part_path(lab, session, part);
  return g_file_test(path, G_FILE_TEST_EXISTS);
}

static void put_part(VaultLab *lab, const HfShortId *session, const char *part, GBytes *record)
{
  g_autofree char *path = part_path(lab, session, part), *folder = g_path_get_dirname(path);
  g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
  g_assert_true(g_file_set_contents(path, record != NULL ? g_bytes_get_data(record, NULL) : "",
                                    record != NULL ? (gssize)g_bytes_get_size(record) : 0, NULL));
}

static guint count_folders(VaultLab *lab)
{
  g_autofree char *folder = vault_lab_path(lab, "repo/sessions");
  g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
  guint count = 0;
  while (dir != NULL && g_dir_read_name(dir) != NULL)
    count++;
  return count;
}

/* Whose depot is still there clears away, too, and may not be done yet. */
static void expect_sessions(VaultLab *lab, guint count)
{
  for (gint64 until = g_get_monotonic_time() + SOON_US; count_folders(lab) != count;) {
    g_assert_cmpint(g_get_monotonic_time(), <, until);
    g_usleep(10000);
  }
}

/* Put there by another machine: not through the service. */
static HfShortId far_session(VaultLab *lab)
{
  g_autofree char *path = vault_lab_path(lab, "repo");
  HfStore *store = hf_store_open(path, FALSE, NULL);
  HfShortId id = tree_lab_far_session(store);
  hf_store_free(store);
  return id;
}

/* Says that it came through a service that is no more: on this boot, or on one before it. */
static void serve_by_dead(VaultLab *lab, const HfShortId *session, gboolean other_boot)
{
  HfSessionOpen service = { .id = *session, .purpose = HF_PURPOSE_READ };
  hf_process_identity(&service);
  service.pid_start--;
  if (other_boot)
    service.boot.b[0] ^= 1;
  g_autoptr(GBytes) record = hf_session_open_encode(&service);
  put_part(lab, session, HF_SESSION_SERVED, record);
}

static void put_checkpoint(VaultLab *lab, const HfShortId *session)
{
  HfCheckpoint checkpoint = { .time = hf_clock_real_ns(), .slot = { .session = *session } };
  g_auto(HfKey) seed = { 0 };
  g_autoptr(GBytes) record = hf_checkpoint_encode(&checkpoint, &seed);
  put_part(lab, session, "checkpoint.1", record);
}

static void take_over(VaultLab *lab)
{
  HfCancel cancel = { 0 };
  g_autofree char *path = vault_lab_path(lab, "repo");
  hf_vault_take_over(path, &cancel);
}

/* A service that begins ends at once what came through the one before it, long before beats would tell. What a
 * checkpoint has stays for the next run. */
static void test_left_behind(void)
{
  g_autoptr(VaultLab) lab = vault_lab_new();
  vault_lab_init(lab);
  HfShortId plain = far_session(lab), rebooted = far_session(lab), saved = far_session(lab);
  serve_by_dead(lab, &plain, FALSE);
  serve_by_dead(lab, &rebooted, TRUE);
  serve_by_dead(lab, &saved, FALSE);
  put_checkpoint(lab, &saved);
  gint64 begun = g_get_monotonic_time();
  take_over(lab);
  g_assert_cmpint(g_get_monotonic_time() - begun, <, SOON_US);
  expect_sessions(lab, 1);
  g_assert_false(has_part(lab, &plain, "open"));
  g_assert_false(has_part(lab, &rebooted, "open"));
  g_assert_true(has_part(lab, &saved, "outcome"));
  g_assert_true(has_part(lab, &saved, "checkpoint.1"));
}

/* Without the service, as a program on the same machine would. */
static HfRepo *open_folder(VaultLab *lab)
{
  HfRepoOptions options = { 0 };
  g_autoptr(GError) error = NULL;
  g_autofree char *path = vault_lab_path(lab, "repo");
  HfRepo *repo = hf_repo_open(hf_store_open(path, FALSE, NULL), &options, &error);
  g_assert_no_error(error);
  return repo;
}

/* Also who only looks at the folder, as a prune does, sees that the service is gone. */
static void test_found_by_others(void)
{
  g_autoptr(VaultLab) lab = vault_lab_new();
  g_autoptr(GError) error = NULL;
  vault_lab_init(lab);
  HfShortId session = far_session(lab), alive = far_session(lab);
  HfSessionOpen service = { .id = alive };
  serve_by_dead(lab, &session, FALSE);
  hf_process_identity(&service);
  service.purpose = HF_PURPOSE_READ;
  g_autoptr(GBytes) record = hf_session_open_encode(&service);
  put_part(lab, &alive, HF_SESSION_SERVED, record);
  g_autoptr(HfRepo) repo = open_folder(lab);
  g_autoptr(GPtrArray) infos = hf_sessions_list(repo, NULL, &error);
  g_assert_no_error(error);
  g_assert_cmpuint(infos->len, ==, 2);
  for (guint i = 0; i < infos->len; i++) {
    const HfSessionInfo *info = infos->pdata[i];
    gboolean dead = hf_short_id_equal(&info->open.id, &session);
    g_assert_true(info->served);
    g_assert_true(info->dead_here == dead && info->alive_here == !dead && info->served_by_us == !dead);
  }
}

/* What came through this very process has a visit that ends it, however long it is silent. */
static void test_own(void)
{
  g_autoptr(VaultLab) lab = vault_lab_new();
  g_autoptr(GError) error = NULL;
  vault_lab_init(lab);
  HfRepo *repo = vault_lab_owner(lab, HF_TICKET_READ);
  HfSession *session = hf_session_open(repo, HF_PURPOSE_READ, &error), *lost;
  g_assert_no_error(error);
  HfShortId id = *hf_session_id(session);
  g_assert_true(has_part(lab, &id, HF_SESSION_SERVED));
  take_over(lab);
  g_assert_true(hf_session_check(session, &error));
  hf_session_free(session);
  expect_sessions(lab, 0);

  /* A visitor who is gone without a word. */
  lost = hf_session_open(repo, HF_PURPOSE_READ, &error);
  g_assert_no_error(error);
  expect_sessions(lab, 1);
  hf_cancel_set(&lab->cancel);
  vault_lab_join(lab);
  expect_sessions(lab, 0);
  hf_session_free(lost);
  hf_repo_free(repo);
}

static gboolean wait_gone(VaultLab *lab, const HfShortId *session)
{
  for (gint64 end = g_get_monotonic_time() + SOON_US; g_get_monotonic_time() < end; g_usleep(10000))
    if (!has_part(lab, session, "open"))
      return TRUE;
  return FALSE;
}

/* Programs on the folder itself are watched as long as it is served: those that are silent are ended. */
static void test_strangers(void)
{
  g_autoptr(VaultLab) lab = vault_lab_new();
  g_autoptr(GError) error = NULL;
  g_setenv("HOLDFAST_TEST_BEAT_MS", BEAT_MS, TRUE);
  vault_lab_init(lab);
  g_autoptr(HfRepo) beside = open_folder(lab), served = vault_lab_owner(lab, HF_TICKET_READ);
  g_assert_nonnull(served);
  g_autoptr(HfSession) at_work = hf_session_open(beside, HF_PURPOSE_READ, &error);
  HfShortId silent = far_session(lab);
  take_over(lab);
  g_assert_false(has_part(lab, &silent, "open"));
  g_assert_true(hf_session_check(at_work, &error));

  HfShortId later = far_session(lab);
  g_assert_true(wait_gone(lab, &later));
  HfShortId dead = far_session(lab);
  serve_by_dead(lab, &dead, FALSE);
  g_assert_true(wait_gone(lab, &dead));
  g_assert_true(hf_session_check(at_work, &error));
  g_unsetenv("HOLDFAST_TEST_BEAT_MS");
}

/* Folders that are not mounted, or hold something else, are passed over. */
static void test_nowhere(void)
{
  g_autoptr(VaultLab) lab = vault_lab_new();
  g_autofree char *repo = vault_lab_path(lab, "repo");
  take_over(lab);
  g_assert_false(g_file_test(repo, G_FILE_TEST_EXISTS));
  g_assert_cmpint(g_mkdir_with_parents(repo, 0700), ==, 0);
  take_over(lab);
  g_autoptr(GDir) dir = g_dir_open(repo, 0, NULL);
  g_assert_null(g_dir_read_name(dir));
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/vault/sessions/left-behind", test_left_behind);
  g_test_add_func("/vault/sessions/found-by-others", test_found_by_others);
  g_test_add_func("/vault/sessions/own", test_own);
  g_test_add_func("/vault/sessions/strangers", test_strangers);
  g_test_add_func("/vault/sessions/nowhere", test_nowhere);
  return g_test_run();
}
