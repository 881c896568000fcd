/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Scripts around a task: what they print, how they fail, that they are stopped with all that they started, whom they
 * run as and what they find around them. */
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/tasks/hooks.h"
#include "agent/worker.h"
#include "base/error.h"
#include "fixture.h"
#include "net/messages/work.h"

typedef struct Lab {
  char *folder;
  HfWorkBackup task;
  const char *outcome; /* "": those before */
  GPtrArray *lines;    /* of char*: warnings behind "warning: " */
  HfControl *keeper;
  guint cancel_after; /* lines; 0: never */
} Lab;

static void lab_open(Lab *lab)
{
  *lab = (Lab){ .folder = g_dir_make_tmp("holdfast-XXXXXX", NULL), .outcome = "" };
  chmod(lab->folder, 0755);
  lab->lines = g_ptr_array_new_with_free_func(g_free);
  lab->task.name = g_strdup("name");
  lab->task.repository.location = g_strdup("here:/there");
}

static void lab_close(Lab *lab)
{
  hf_work_backup_clear(&lab->task);
  g_ptr_array_unref(lab->lines);
  hf_fixture_remove(lab->folder);
  g_free(lab->folder);
}

static HfWorkScript *lab_add(Lab *lab, const char *body, gboolean required, guint timeout)
{
  const gboolean after = *lab->outcome != '\0';
  const guint number = lab->task.n_before + lab->task.n_after;
  g_autofree char *path = g_strdup_printf("%s/script-%u", lab->folder, number);
  g_autofree char *text = g_strconcat("#!/bin/sh\n", body, "\n", NULL);
  g_assert_true(g_file_set_contents(path, text, -1, NULL));
  g_assert_cmpint(chmod(path, 0755), ==, 0);
  HfWorkScript *script = after ? hf_work_backup_add_after(&lab->task) : hf_work_backup_add_before(&lab->task);
  hf_work_script_add_argv(script, path);
  script->user = g_strdup("");
  script->required = required;
  script->timeout = timeout;
  return script;
}

static gboolean lab_told(const Lab *lab, const char *text)
{
  for (guint i = 0; i < lab->lines->len; i++)
    if (strstr(lab->lines->pdata[i], text) != NULL)
      return TRUE;
  return FALSE;
}

static gpointer serve(gpointer data)
{
  HfControl *control = data;
  g_autoptr(GError) error = NULL;
  if (!hf_hooks_serve(control, &error))
    g_message("scripts: %s", error->message);
  hf_control_shutdown(control);
  return NULL;
}

static gboolean take(Lab *lab, HfControlMessage *message, GError **error)
{
  HfReader reader = hf_reader(message->body->data, message->body->len);
  if (message->kind == HF_CONTROL_RESULT)
    return hf_get_error(&reader, error);
  g_assert_cmpint(message->kind, ==, HF_CONTROL_LINE);
  const gboolean warning = hf_get_u8(&reader) != 0;
  g_autofree char *text = hf_get_text(&reader, HF_TASK_LINE_MAX);
  g_ptr_array_add(lab->lines, g_strconcat(warning ? "warning: " : "", text, NULL));
  if (lab->lines->len == lab->cancel_after)
    hf_control_send(lab->keeper, HF_CONTROL_CANCEL, NULL, -1, NULL);
  return TRUE;
}

/* What the keeper does. */
static gboolean lab_give(Lab *lab, const char *kind, GBytes *task, GError **error)
{
  int end;
  gboolean good = TRUE;
  g_autoptr(HfBody) body = hf_body_new();
  HfHooksOrder order = { .task = (char *)"a-task", .kind = (char *)kind, .outcome = (char *)lab->outcome,
                         .order = task };
  lab->keeper = hf_control_new_pair(&end, NULL);
  g_autoptr(HfControl) other = hf_control_new(end);
  GThread *thread = g_thread_new("scripts", serve, other);
  hf_hooks_order_put(body, &order);
  g_assert_true(hf_control_send(lab->keeper, HF_CONTROL_SCRIPTS, body, -1, NULL));
  for (;;) {
    g_autoptr(HfControlMessage) message = hf_control_receive(lab->keeper, NULL);
    if (message == NULL)
      break;
    good = take(lab, message, error) && good;
  }
  g_thread_join(thread);
  g_clear_pointer(&lab->keeper, hf_control_free);
  return good;
}

static gboolean lab_run(Lab *lab, GError **error)
{
  g_autoptr(GBytes) task = NULL;
  task = hf_work_backup_encode(&lab->task, error);
  return task != NULL && lab_give(lab, "backup", task, error);
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
  g_assert_true(lab_told(&lab, "before: one a b; c"));
  g_assert_true(lab_told(&lab, "before: two"));
  lab_close(&lab);
}

static void test_much_output(void)
{
  Lab lab;
  lab_open(&lab);
  lab_add(&lab, "yes | head -c 300000; exit 0", TRUE, 20);
  g_assert_true(lab_run(&lab, NULL));
  g_assert_cmpuint(lab.lines->len, <=, 22);
  lab_close(&lab);
}

static void test_failures(void)
{
  Lab lab;
  lab_open(&lab);
  lab_add(&lab, "exit 3", TRUE, 10);
  lab_add(&lab, "echo not run", TRUE, 10);
  expect_failure(&lab, "ended with 3");
  g_assert_false(lab_told(&lab, "not run"));
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
  g_assert_true(lab_told(&lab, "warning: script"));
  g_assert_true(lab_told(&lab, "before: next"));
  lab_close(&lab);
}

/* Nothing that the script started goes on: its children, and who hid from it in a session of its own. */
static void check_gone(const char *hiding, gboolean late)
{
  Lab lab;
  lab_open(&lab);
  g_autofree char *mark = g_build_filename(lab.folder, "mark", NULL);
  g_autofree char *body = g_strdup_printf("%s sh -c 'sleep 2; touch %s' </dev/null >/dev/null 2>&1 &\n%s", hiding, mark,
                                          late ? "sleep 30" : "exit 0");
  lab_add(&lab, body, TRUE, 1);
  gint64 begun = g_get_monotonic_time();
  if (late)
    expect_failure(&lab, "took too long");
  else
    g_assert_true(lab_run(&lab, NULL));
  g_assert_cmpint(g_get_monotonic_time() - begun, <, 2 * G_USEC_PER_SEC);
  g_usleep(5 * G_USEC_PER_SEC / 2);
  g_assert_false(g_file_test(mark, G_FILE_TEST_EXISTS));
  lab_close(&lab);
}

static void test_timeout(void)
{
  check_gone("", TRUE);
  check_gone("setsid setsid", TRUE);
}

static void test_left_behind(void)
{
  check_gone("setsid setsid", FALSE);
}

static void test_cancel(void)
{
  Lab lab;
  g_autoptr(GError) error = NULL;
  lab_open(&lab);
  lab_add(&lab, "sleep 30", FALSE, 0);
  lab_add(&lab, "echo not run", FALSE, 0);
  lab.cancel_after = 1;
  g_assert_false(lab_run(&lab, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_CANCELLED);
  g_assert_true(lab_told(&lab, "as the task is"));
  g_assert_false(lab_told(&lab, "not run"));
  lab_close(&lab);
}

/* Those after are all run, and the first that failed is told. */
static void test_after(void)
{
  Lab lab;
  g_autoptr(GError) error = NULL;
  lab_open(&lab);
  lab.outcome = "failed";
  lab_add(&lab, "echo \"$HOLDFAST_TASK $HOLDFAST_WHEN $HOLDFAST_OUTCOME\"; exit 4", TRUE, 10);
  lab_add(&lab, "exit 5", TRUE, 10);
  lab_add(&lab, "echo last", TRUE, 10);
  g_assert_false(lab_run(&lab, &error));
  g_assert_nonnull(strstr(error->message, "ended with 4"));
  g_assert_true(lab_told(&lab, "after: a-task after failed"));
  g_assert_true(lab_told(&lab, "warning: script"));
  g_assert_true(lab_told(&lab, "after: last"));
  lab_close(&lab);
}

static void test_wrong_orders(void)
{
  Lab lab;
  g_autoptr(GBytes) nothing = g_bytes_new_static("\377", 1);
  g_autoptr(GError) error = NULL;
  lab_open(&lab);
  g_assert_false(lab_give(&lab, "backup", nothing, &error));
  g_clear_error(&error);
  g_assert_false(lab_give(&lab, "copy", nothing, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_UNSUPPORTED);
  lab_close(&lab);
}

/* As itself the script is who it is at a login: its folder, its groups, no open files of the agent, and signals that
 * end what they should. */
static void test_surroundings(void)
{
  Lab lab;
  const struct passwd *self = getpwuid(geteuid());
  lab_open(&lab);
  lab_add(&lab, "echo \"$HOME $USER $HOLDFAST_WHEN $HOLDFAST_OUTCOME.\"; pwd; ls /proc/self/fd | wc -l; "
                "yes | head -n 1; umask", TRUE, 10);
  g_assert_true(lab_run(&lab, NULL));
  g_autofree char *line = g_strdup_printf("before: %s %s before .", self->pw_dir, self->pw_name);
  g_assert_true(lab_told(&lab, line));
  g_assert_true(lab_told(&lab, "before: 4")); /* and the folder that ls reads */
  g_assert_true(lab_told(&lab, "before: y"));
  g_assert_true(lab_told(&lab, "before: 0022"));
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
  g_test_add_func("/hooks/left-behind", test_left_behind);
  g_test_add_func("/hooks/cancel", test_cancel);
  g_test_add_func("/hooks/after", test_after);
  g_test_add_func("/hooks/wrong-orders", test_wrong_orders);
  g_test_add_func("/hooks/surroundings", test_surroundings);
  g_test_add_func("/hooks/user", test_user);
  return g_test_run();
}
