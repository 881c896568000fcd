/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Scripts around a task: what they print, how they fail, that they are stopped, whom they run as. */
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/tasks/hooks.h"
#include "base/error.h"
#include "fakeworker.h"
#include "fixture.h"

typedef struct Lab {
  char *folder;
  HfWorker worker;
  GArray *scripts; /* of HfWorkScript */
} Lab;

static void lab_open(Lab *lab)
{
  lab->folder = g_dir_make_tmp("holdfast-XXXXXX", NULL);
  chmod(lab->folder, 0755);
  fake_worker_init(&lab->worker, lab->folder);
  lab->scripts = g_array_new(FALSE, TRUE, sizeof(HfWorkScript));
  g_array_set_clear_func(lab->scripts, (GDestroyNotify)hf_work_script_clear);
}

static void lab_close(Lab *lab)
{
  g_array_unref(lab->scripts);
  fake_worker_clear(&lab->worker);
  hf_fixture_remove(lab->folder);
  g_free(lab->folder);
}

static HfWorkScript *lab_add(Lab *lab, const char *body, gboolean required, guint timeout)
{
  g_autofree char *path = g_strdup_printf("%s/script-%u", lab->folder, lab->scripts->len);
  g_autofree char *text = g_strconcat("#!/bin/sh\n", body, "\n", NULL);
  g_assert_true(g_file_set_contents(path, text, -1, NULL));
  g_assert_cmpint(chmod(path, 0755), ==, 0);
  g_array_set_size(lab->scripts, lab->scripts->len + 1);
  HfWorkScript *script = &g_array_index(lab->scripts, HfWorkScript, lab->scripts->len - 1);
  hf_work_script_add_argv(script, path);
  script->user = g_strdup("");
  script->required = required;
  script->timeout = timeout;
  return script;
}

static gboolean lab_run(Lab *lab, GError **error)
{
  return hf_hooks_run(&lab->worker, (const HfWorkScript *)(void *)lab->scripts->data, lab->scripts->len, "before",
                      error);
}

static void expect_failure(Lab *lab, const char *text)
{
  g_autoptr(GError) error = NULL;
  g_assert_false(lab_run(lab, &error));
  g_assert_nonnull(strstr(error->message, text));
}

static void test_output(void)
{
  Lab lab;
  g_autoptr(GError) error = NULL;
  lab_open(&lab);
  HfWorkScript *script = lab_add(&lab, "echo \"one $1\"; echo two >&2", TRUE, 10);
  hf_work_script_add_argv(script, "a b; c"); /* no shell sees it */
  g_assert_true(lab_run(&lab, &error));
  g_assert_no_error(error);
  g_assert_true(fake_worker_told(&lab.worker, "before: one a b; c"));
  g_assert_true(fake_worker_told(&lab.worker, "before: two"));
  lab_close(&lab);
}

static void test_much_output(void)
{
  Lab lab;
  lab_open(&lab);
  lab_add(&lab, "yes | head -c 300000; exit 0", TRUE, 20);
  g_assert_true(lab_run(&lab, NULL));
  g_assert_cmpuint(lab.worker.lines->len, <=, 22);
  lab_close(&lab);
}

static void test_failures(void)
{
  Lab lab;
  lab_open(&lab);
  lab_add(&lab, "exit 3", TRUE, 10);
  lab_add(&lab, "echo not run", TRUE, 10);
  expect_failure(&lab, "ended with 3");
  g_assert_false(fake_worker_told(&lab.worker, "not run"));
  lab_close(&lab);

  lab_open(&lab);
  lab_add(&lab, "kill -TERM $$", TRUE, 10);
  expect_failure(&lab, "ended by signal 15");
  lab_close(&lab);

  lab_open(&lab);
  HfWorkScript *missing = lab_add(&lab, "true", TRUE, 10);
  unlink(missing->argv[0]);
  expect_failure(&lab, "it cannot be run");
  lab_close(&lab);

  lab_open(&lab);
  HfWorkScript *relative = lab_add(&lab, "true", TRUE, 10);
  g_free(relative->argv[0]);
  relative->argv[0] = g_strdup("true");
  expect_failure(&lab, "absolute path");
  lab_close(&lab);

  lab_open(&lab);
  HfWorkScript *stranger = lab_add(&lab, "true", TRUE, 10);
  g_free(stranger->user);
  stranger->user = g_strdup("no such user here");
  expect_failure(&lab, "no user");
  lab_close(&lab);
}

/* What need not succeed is a warning, and the next one runs. */
static void test_optional(void)
{
  Lab lab;
  lab_open(&lab);
  lab_add(&lab, "exit 1", FALSE, 10);
  lab_add(&lab, "echo next", TRUE, 10);
  g_assert_true(lab_run(&lab, NULL));
  g_assert_true(fake_worker_told(&lab.worker, "warning: script"));
  g_assert_true(fake_worker_told(&lab.worker, "before: next"));
  lab_close(&lab);
}

/* The script's children are killed with it. */
static void test_timeout(void)
{
  Lab lab;
  lab_open(&lab);
  g_autofree char *mark = g_build_filename(lab.folder, "mark", NULL);
  g_autofree char *body = g_strdup_printf("(sleep 3; touch %s) & wait", mark);
  lab_add(&lab, body, TRUE, 1);
  gint64 begun = g_get_monotonic_time();
  expect_failure(&lab, "took too long");
  g_assert_cmpint(g_get_monotonic_time() - begun, <, 3 * G_USEC_PER_SEC);
  g_usleep(3 * G_USEC_PER_SEC);
  g_assert_false(g_file_test(mark, G_FILE_TEST_EXISTS));
  lab_close(&lab);
}

static void test_cancel(void)
{
  Lab lab;
  lab_open(&lab);
  lab_add(&lab, "sleep 30", TRUE, 0);
  hf_cancel_set(&lab.worker.cancel);
  expect_failure(&lab, "as the task is");
  lab_close(&lab);
}

static void test_user(void)
{
  Lab lab;
  if (geteuid() != 0 || getpwnam("nobody") == NULL) {
    g_test_skip("only root may run scripts as another user");
    return;
  }
  lab_open(&lab);
  chmod(lab.folder, 0777);
  /* Into a file: a build that counts coverage has things of its own to say when a process changes its user. */
  g_autofree char *body = g_strdup_printf("id -un > %s/who; id -G | wc -w >> %s/who", lab.folder, lab.folder);
  g_autofree char *path = g_build_filename(lab.folder, "who", NULL), *who = NULL;
  HfWorkScript *script = lab_add(&lab, body, TRUE, 10);
  g_free(script->user);
  script->user = g_strdup("nobody");
  g_assert_true(lab_run(&lab, NULL));
  g_assert_true(g_file_get_contents(path, &who, NULL, NULL));
  g_assert_cmpstr(who, ==, "nobody\n1\n");
  lab_close(&lab);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/hooks/output", test_output);
  g_test_add_func("/hooks/much-output", test_much_output);
  g_test_add_func("/hooks/failures", test_failures);
  g_test_add_func("/hooks/optional", test_optional);
  g_test_add_func("/hooks/timeout", test_timeout);
  g_test_add_func("/hooks/cancel", test_cancel);
  g_test_add_func("/hooks/user", test_user);
  return g_test_run();
}
