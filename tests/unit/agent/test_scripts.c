/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The keeper's side of scripts: those after a task run whatever happened, and whoever is killed leaves nothing running.
 * This program is keeper and child: with "--role scripts" it is the child. */
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/keeper/scripts.h"
#include "agent/tasks/hooks.h"
#include "agent/worker.h"
#include "base/error.h"
#include "fixture.h"
#include "net/messages/work.h"

#define NUMBER 7u

typedef struct Lab {
  char *folder;
  GBytes *order;
  GMainLoop *loop;
  HfScripts *scripts;
  char *task;
  gboolean before_ended, after_ended;
  GError *before, *after;
} Lab;

static char program[4096];

static void on_line(gpointer user G_GNUC_UNUSED, HfReader *reader)
{
  (void)hf_get_u8(reader);
  g_autofree char *text = hf_get_text(reader, HF_TASK_LINE_MAX);
  g_test_message("%s", text);
}

static void on_ended(gpointer user, gboolean after, const GError *error)
{
  Lab *lab = user;
  *(after ? &lab->after_ended : &lab->before_ended) = TRUE;
  if (error != NULL)
    *(after ? &lab->after : &lab->before) = g_error_copy(error);
  g_main_loop_quit(lab->loop);
}

static void add_script(const Lab *lab, HfWorkScript *script, const char *name, const char *body)
{
  g_autofree char *path = g_build_filename(lab->folder, name, NULL);
  g_autofree char *text = g_strdup_printf("#!/bin/sh\ncd %s\n%s\n", lab->folder, body);
  g_assert_true(g_file_set_contents(path, text, -1, NULL));
  chmod(path, 0755);
  hf_work_script_add_argv(script, path);
  script->user = g_strdup("");
  script->required = TRUE;
}

static HfScripts *make(Lab *lab, HfScripts *(*func)(const HfScriptsOf *, const HfScriptsOps *, gpointer))
{
  static const HfScriptsOps ops = { on_line, on_ended };
  const HfScriptsOf of = { program, lab->folder, NUMBER, lab->task, "backup", lab->order };
  return func(&of, &ops, lab);
}

static void lab_open(Lab *lab, const char *before)
{
  g_auto(HfWorkBackup) task = { .name = g_strdup("name") };
  *lab = (Lab){ .folder = g_dir_make_tmp("holdfast-XXXXXX", NULL) };
  lab->task = g_uuid_string_random();
  task.repository.location = g_strdup("here:/there");
  add_script(lab, hf_work_backup_add_before(&task), "before", before);
  add_script(lab, hf_work_backup_add_after(&task), "after", "echo $HOLDFAST_OUTCOME >> outcome");
  lab->order = hf_work_backup_encode(&task, NULL);
  lab->loop = g_main_loop_new(NULL, FALSE);
  lab->scripts = make(lab, hf_scripts_new);
}

static void lab_close(Lab *lab)
{
  hf_scripts_free(lab->scripts);
  g_clear_error(&lab->before);
  g_clear_error(&lab->after);
  g_bytes_unref(lab->order);
  g_main_loop_unref(lab->loop);
  hf_fixture_remove(lab->folder);
  g_free(lab->task);
  g_free(lab->folder);
}

static gboolean is_there(const Lab *lab, const char *name)
{
  g_autofree char *path = g_build_filename(lab->folder, name, NULL);
  return g_file_test(path, G_FILE_TEST_EXISTS);
}

static void expect_outcome(const Lab *lab, const char *wanted)
{
  g_autofree char *path = g_build_filename(lab->folder, "outcome", NULL), *text = NULL;
  g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
  g_assert_cmpstr(text, ==, wanted);
}

static void wait_until_there(const Lab *lab, const char *name)
{
  for (guint i = 0; i < 1000 && !is_there(lab, name); i++)
    g_usleep(10000);
  g_assert_true(is_there(lab, name));
}

static void run_after(Lab *lab, const char *outcome)
{
  g_assert_true(hf_scripts_after(lab->scripts, outcome));
  if (!lab->after_ended)
    g_main_loop_run(lab->loop);
  g_assert_true(lab->after_ended);
}

/* No process bears the mark of the task. */
static gboolean runs_none(const Lab *lab)
{
  g_autofree char *mark = g_strdup_printf(HF_HOOKS_MARK "=%s", lab->task);
  const char *name;
  g_autoptr(GDir) dir = g_dir_open("/proc", 0, NULL);
  while ((name = g_dir_read_name(dir)) != NULL) {
    gsize length;
    g_autofree char *path = g_strdup_printf("/proc/%s/environ", name), *text = NULL;
    if (g_ascii_isdigit(*name) && g_file_get_contents(path, &text, &length, NULL) &&
        memmem(text, length, mark, strlen(mark)) != NULL)
      return FALSE;
  }
  return TRUE;
}

static void test_order(void)
{
  Lab lab;
  lab_open(&lab, "echo $HOLDFAST_WHEN > ran");
  g_assert_false(hf_scripts_after(NULL, "success"));
  g_assert_false(hf_scripts_after(lab.scripts, "success")); /* nothing is owed yet */
  g_assert_true(hf_scripts_before(lab.scripts, NULL));
  g_assert_true(is_there(&lab, "7.scripts"));
  g_assert_false(hf_scripts_before(lab.scripts, NULL));
  g_main_loop_run(lab.loop);
  g_assert_true(lab.before_ended);
  g_assert_no_error(lab.before);
  g_assert_true(is_there(&lab, "ran"));
  g_assert_true(is_there(&lab, "7.scripts"));
  run_after(&lab, "success");
  g_assert_no_error(lab.after);
  g_assert_false(is_there(&lab, "7.scripts"));
  expect_outcome(&lab, "success\n");
  g_assert_null(make(&lab, hf_scripts_left));
  lab_close(&lab);
}

/* Those before fail, or are ended because the task was stopped: those after run. */
static void test_after_failure(void)
{
  Lab lab;
  lab_open(&lab, "exit 9");
  g_assert_true(hf_scripts_before(lab.scripts, NULL));
  g_main_loop_run(lab.loop);
  g_assert_nonnull(strstr(lab.before->message, "ended with 9"));
  run_after(&lab, "failed");
  expect_outcome(&lab, "failed\n");
  lab_close(&lab);

  lab_open(&lab, "touch began; sleep 60");
  g_assert_true(hf_scripts_before(lab.scripts, NULL));
  wait_until_there(&lab, "began");
  gint64 begun = g_get_monotonic_time();
  run_after(&lab, "stopped");
  g_assert_false(lab.before_ended); /* nobody waits for those any more */
  g_assert_cmpint(g_get_monotonic_time() - begun, <, 5 * G_USEC_PER_SEC);
  expect_outcome(&lab, "stopped\n");
  g_assert_true(runs_none(&lab));
  lab_close(&lab);
}

static pid_t find_child(void)
{
  g_autofree char *path = g_strdup_printf("/proc/self/task/%d/children", (int)getpid()), *text = NULL;
  g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
  return (pid_t)g_ascii_strtoull(text, NULL, 10);
}

/* kill -9 of the process that runs them: what hid goes too, and those after run. */
static void test_child_killed(void)
{
  Lab lab;
  lab_open(&lab, "setsid setsid sh -c 'touch hid; sleep 60' & sleep 60");
  g_assert_true(hf_scripts_before(lab.scripts, NULL));
  wait_until_there(&lab, "hid");
  kill(find_child(), SIGKILL);
  g_main_loop_run(lab.loop);
  g_assert_nonnull(strstr(lab.before->message, "signal 9"));
  g_assert_true(runs_none(&lab));
  run_after(&lab, "failed");
  expect_outcome(&lab, "failed\n");
  lab_close(&lab);
}

static pid_t start_keeper(Lab *lab, const char *then)
{
  pid_t pid = fork();
  if (pid != 0)
    return pid;
  g_assert_true(hf_scripts_before(lab->scripts, NULL));
  if (then == NULL)
    g_main_loop_run(lab->loop);
  else
    wait_until_there(lab, then);
  if (then != NULL)
    kill(find_child(), SIGKILL);
  kill(getpid(), SIGKILL);
  _exit(1);
}

/* kill -9 of the keeper: by itself while they run, after they ran, and together with its child. */
static void test_keeper_killed(void)
{
  Lab lab;
  lab_open(&lab, "setsid setsid sh -c 'touch hid; sleep 60' & sleep 60");
  pid_t pid = start_keeper(&lab, NULL);
  wait_until_there(&lab, "hid");
  kill(pid, SIGKILL);
  waitpid(pid, NULL, 0);
  for (guint i = 0; i < 500 && !runs_none(&lab); i++)
    g_usleep(10000);
  g_assert_true(runs_none(&lab)); /* without any new keeper */
  lab_close(&lab);

  lab_open(&lab, "true");
  waitpid(start_keeper(&lab, NULL), NULL, 0);
  HfScripts *left = make(&lab, hf_scripts_left);
  g_assert_nonnull(left);
  hf_scripts_free(lab.scripts);
  lab.scripts = left;
  run_after(&lab, "failed");
  expect_outcome(&lab, "failed\n");
  g_assert_false(is_there(&lab, "7.scripts"));
  lab_close(&lab);

  lab_open(&lab, "setsid setsid sh -c 'touch hid; sleep 60' & sleep 60");
  waitpid(start_keeper(&lab, "hid"), NULL, 0);
  left = make(&lab, hf_scripts_left);
  g_assert_nonnull(left);
  g_assert_true(runs_none(&lab));
  hf_scripts_free(left);
  g_assert_true(is_there(&lab, "7.scripts")); /* still owed */
  lab_close(&lab);
}

static void test_damaged_file(void)
{
  Lab lab;
  lab_open(&lab, "true");
  g_autofree char *path = g_build_filename(lab.folder, "7.scripts", NULL);
  g_assert_true(g_file_set_contents(path, "\377\377", 2, NULL));
  g_test_expect_message(NULL, G_LOG_LEVEL_WARNING, "*are lost*");
  g_assert_null(make(&lab, hf_scripts_left));
  g_test_assert_expected_messages();
  lab_close(&lab);
}

/* No process can be started: nothing is owed. */
static void test_no_program(void)
{
  Lab lab;
  g_autoptr(GError) error = NULL;
  lab_open(&lab, "true");
  hf_scripts_free(lab.scripts);
  g_autofree char *kept = g_strdup(program);
  g_strlcpy(program, "/nonexistent", sizeof program);
  lab.scripts = make(&lab, hf_scripts_new);
  g_assert_false(hf_scripts_before(lab.scripts, &error));
  g_assert_false(is_there(&lab, "7.scripts"));
  g_strlcpy(program, kept, sizeof program);
  lab_close(&lab);
}

int main(int argc, char **argv)
{
  if (argc == 3 && strcmp(argv[1], "--role") == 0) {
    g_autoptr(HfControl) control = hf_control_new(HF_CONTROL_FD);
    return hf_hooks_serve(control, NULL) ? 0 : 1;
  }
  g_test_init(&argc, &argv, NULL);
  g_assert_cmpint(readlink("/proc/self/exe", program, sizeof program - 1), >, 0);
  g_test_add_func("/scripts/order", test_order);
  g_test_add_func("/scripts/after-failure", test_after_failure);
  g_test_add_func("/scripts/child-killed", test_child_killed);
  g_test_add_func("/scripts/keeper-killed", test_keeper_killed);
  g_test_add_func("/scripts/damaged-file", test_damaged_file);
  g_test_add_func("/scripts/no-program", test_no_program);
  return g_test_run();
}
