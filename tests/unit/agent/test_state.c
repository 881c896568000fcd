/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Settings, the membership, the files of tasks. */
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/keeper/kept.h"
#include "agent/keeper/repositories.h"
#include "agent/settings.h"
#include "agent/state.h"
#include "base/error.h"
#include "ports/catalogue/catalogue.h"

static char *make_folder(void)
{
  return g_dir_make_tmp("holdfast-state-XXXXXX", NULL);
}

static void remove_folder(char *folder)
{
  const char *const words[] = { "rm", "-rf", "--", folder, NULL };
  g_spawn_sync(NULL, (char **)words, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL);
  g_free(folder);
}

static HfSettings *load(const char *folder, const char *text, GError **error)
{
  g_autofree char *path = g_build_filename(folder, "agent.conf", NULL);
  g_assert_true(g_file_set_contents(path, text, -1, NULL));
  return hf_settings_load(path, NULL, NULL, error);
}

static void test_settings(void)
{
  char *folder = make_folder();
  g_autoptr(GError) error = NULL;
  g_autoptr(HfSettings) plain = load(folder, "# nothing\n", &error);
  g_assert_no_error(error);
  g_assert_cmpuint(plain->installer_port, ==, hf_port_service("installer")->first);
  g_assert_cmpuint(plain->channels_last, ==, hf_port_service("channels")->last);
  g_assert_cmpstr(plain->state, ==, HF_AGENT_STATE);
  g_assert_null(plain->address);
  g_autoptr(HfSettings) full = load(folder, "[agent]\nstate=/s\nruntime=/r\naddress=::1\nuser=u\n[ports]\ninstaller=11\n"
                                            "transport=12\nchannels=20-30\n", &error);
  g_assert_no_error(error);
  g_assert_cmpstr(full->state, ==, "/s");
  g_assert_cmpstr(full->address, ==, "::1");
  g_assert_cmpuint(full->transport_port, ==, 12);
  g_assert_cmpuint(full->channels_first, ==, 20);
  g_assert_cmpuint(full->channels_last, ==, 30);
  static const char *const wrong[] = { "[ports]\ninstaler=1\n", "[ports]\ninstaller=0\n", "[ports]\ntransport=70000\n",
                                       "[ports]\nchannels=30\n", "[ports]\nchannels=30-20\n", "[nets]\nx=1\n", "what\n" };
  for (guint i = 0; i < G_N_ELEMENTS(wrong); i++) {
    g_assert_null(load(folder, wrong[i], &error));
    g_assert_error(error, HF_ERROR, HF_ERROR_USAGE);
    g_test_message("%s", error->message);
    g_clear_error(&error);
  }
  g_assert_null(load(folder, wrong[0], &error));
  g_assert_nonnull(strstr(error->message, "did you mean 'installer'"));
  g_clear_error(&error);
  g_assert_null(hf_settings_load("/no/such/file", NULL, NULL, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_USAGE);
  g_clear_error(&error);
  g_autofree char *path = g_build_filename(folder, "agent.conf", NULL);
  g_assert_true(g_file_set_contents(path, "[agent]\nstate=/s\n", -1, NULL));
  g_autoptr(HfSettings) over = hf_settings_load(path, "/elsewhere", "/run/x", &error);
  g_assert_cmpstr(over->state, ==, "/elsewhere");
  g_assert_cmpstr(over->runtime, ==, "/run/x");
  remove_folder(folder);
}

static void test_membership(void)
{
  char *folder = make_folder();
  struct stat status;
  g_autoptr(GError) error = NULL;
  HfMembership in = { (char *)"h", (char *)"s", (char *)"-----KEY\nline\n", (char *)"cert\n", (char *)"ca\n",
                      (char *)"server\n" };
  g_assert_null(hf_membership_load(folder, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_NOT_FOUND);
  g_clear_error(&error);
  g_assert_true(hf_membership_save(folder, &in, &error));
  g_autofree char *path = g_build_filename(folder, "identity", NULL);
  g_assert_cmpint(g_stat(path, &status), ==, 0);
  g_assert_cmpuint(status.st_mode & 0777, ==, 0600);
  g_autoptr(HfMembership) out = hf_membership_load(folder, &error);
  g_autoptr(HfMembership) copy = hf_membership_copy(out);
  g_assert_cmpstr(copy->key, ==, in.key);
  g_assert_cmpstr(copy->server_certificate, ==, in.server_certificate);
  g_assert_true(g_file_set_contents(path, "[identity]\nhost=h\n", -1, NULL));
  g_assert_null(hf_membership_load(folder, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_DAMAGED);
  g_clear_error(&error);
  g_assert_true(hf_membership_remove(folder, &error));
  g_assert_true(hf_membership_remove(folder, &error));
  g_assert_false(hf_membership_save("/no/such/folder", &in, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_IO);
  remove_folder(folder);
}

static void test_kept(void)
{
  char *base = make_folder(), *folder = g_build_filename(base, "tasks", NULL);
  g_autoptr(GError) error = NULL;
  g_autoptr(GBytes) result = g_bytes_new("result", 6);
  const HfKeptTask one = { 12, (char *)"name-1", (char *)"backup", 5, NULL };
  const HfKeptTask two = { 3, (char *)"name-2", (char *)"copy", 6, NULL };
  g_autoptr(GPtrArray) none = hf_kept_tasks_load(folder, &error);
  g_assert_cmpuint(none->len, ==, 0);
  g_assert_true(hf_kept_task_begin(folder, &one, &error));
  g_assert_true(hf_kept_task_begin(folder, &two, &error));
  g_assert_true(hf_kept_task_finish(folder, &two, result, &error));
  /* A keeper that was killed between writing the result and removing the other file; a file that was cut off. */
  g_assert_true(hf_kept_task_begin(folder, &two, &error));
  g_autofree char *cut = g_build_filename(folder, "99", NULL), *half = g_build_filename(folder, "12.ABCDEF", NULL);
  g_assert_true(g_file_set_contents(cut, "abc", 3, NULL));
  g_assert_true(g_file_set_contents(half, "abc", 3, NULL));
  g_test_expect_message(NULL, G_LOG_LEVEL_WARNING, "*lost*");
  g_autoptr(GPtrArray) found = hf_kept_tasks_load(folder, &error);
  g_test_assert_expected_messages();
  g_assert_cmpuint(found->len, ==, 2);
  const HfKeptTask *first = found->pdata[0], *second = found->pdata[1];
  g_assert_cmpuint(first->number, ==, 3);
  g_assert_true(g_bytes_equal(first->result, result));
  g_assert_cmpstr(second->name, ==, "name-1");
  g_assert_null(second->result);
  g_assert_true(hf_kept_task_remove(folder, 3, &error));
  g_assert_true(hf_kept_task_remove(folder, 12, &error));
  g_unlink(cut);
  g_autoptr(GPtrArray) left = hf_kept_tasks_load(folder, &error);
  g_assert_cmpuint(left->len, ==, 0);
  g_free(folder);
  remove_folder(base);
}

static void test_repositories(void)
{
  char *folder = make_folder();
  g_autoptr(GError) error = NULL;
  g_auto(GStrv) none = hf_repositories_list(folder, &error);
  g_assert_no_error(error);
  g_assert_cmpuint(g_strv_length(none), ==, 0);
  g_assert_true(hf_repositories_add(folder, "/srv/one", &error));
  g_assert_true(hf_repositories_add(folder, "/srv/two\nlines", &error));
  g_assert_true(hf_repositories_add(folder, "/srv/one", &error));
  g_autoptr(GBytes) list = hf_state_read(folder, HF_STATE_REPOSITORIES, &error);
  g_autofree char *text = g_strndup(g_bytes_get_data(list, NULL), g_bytes_get_size(list));
  g_assert_cmpstr(text, ==, "/srv/one\n/srv/two\\nlines\n");
  g_auto(GStrv) paths = hf_repositories_list(folder, &error);
  g_assert_cmpuint(g_strv_length(paths), ==, 2);
  g_assert_cmpstr(paths[0], ==, "/srv/one");
  g_assert_cmpstr(paths[1], ==, "/srv/two\nlines");
  /* What cannot be read is no empty list. */
  g_autofree char *path = g_build_filename(folder, HF_STATE_REPOSITORIES, NULL);
  g_assert_cmpint(g_unlink(path), ==, 0);
  g_assert_cmpint(g_mkdir(path, 0700), ==, 0);
  g_assert_false(hf_repositories_add(folder, "/srv/three", &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_IO);
  g_assert_null(hf_repositories_list(folder, NULL));
  remove_folder(folder);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/agent/state/settings", test_settings);
  g_test_add_func("/agent/state/membership", test_membership);
  g_test_add_func("/agent/state/kept", test_kept);
  g_test_add_func("/agent/state/repositories", test_repositories);
  return g_test_run();
}
