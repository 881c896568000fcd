/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/cli.h"

#include <glib/gstdio.h>
#include <string.h>

#include "capture.h"
#include "cli/help.h"

typedef struct Run {
  Capture *out, *err;
  int code;
} Run;

static Run run(const char *line)
{
  g_auto(GStrv) words = NULL;
  if (!g_shell_parse_argv(line, NULL, &words, NULL))
    words = g_new0(char *, 1);
  Run result = { .out = capture_new(), .err = capture_new() };
  HfCancel cancel = { 0 };
  result.code = hf_cli_run(words, result.out->stream, result.err->stream, &cancel);
  return result;
}

static void run_clear(Run *result)
{
  capture_free(result->out);
  capture_free(result->err);
}

static void assert_run(const char *line, int code, const char *out, const char *err)
{
  Run result = run(line);
  g_assert_cmpint(result.code, ==, code);
  const char *said = capture_text(result.out), *complained = capture_text(result.err);
  if (strstr(said, out) == NULL || (*out == '\0' && *said != '\0'))
    g_error("%s: stdout '%s' does not say '%s'", line, said, out);
  if (strstr(complained, err) == NULL || (*err == '\0' && *complained != '\0'))
    g_error("%s: stderr '%s' does not say '%s'", line, complained, err);
  run_clear(&result);
}

static void test_help(void)
{
  assert_run("help", 0, hf_program_help, "");
  assert_run("--help", 0, hf_program_help, "");
  assert_run("-h", 0, hf_program_help, "");
  assert_run("help backup", 0, "Usage: holdfast backup", "");
  assert_run("backup --help", 0, "Usage: holdfast backup", "");
  assert_run("help key", 0, "Usage: holdfast key VERB", "");
  assert_run("help key add", 0, "Usage: holdfast key add", "");
  assert_run("key add --help", 0, "Usage: holdfast key add", "");
  assert_run("help --json", 0, "{\"program\":\"holdfast\",\"help\":\"Usage", "");
  assert_run("help key add --json", 0, "{\"verb\":\"key add\",\"help\":\"Usage", "");
  assert_run("help bakup", 2, "", "did you mean 'backup'?");
  assert_run("help backup now", 2, "", "'now' is one word too many");
  assert_run("", 2, "", hf_program_help);
}

static void test_version(void)
{
  assert_run("version", 0, "holdfast 0.", "");
  assert_run("--version", 0, ", repository format 1\n", "");
  assert_run("version --json", 0, "\"format\":1}\n", "");
}

static void test_errors(void)
{
  /* What somebody else's words say to the terminal is shown, and not done. */
  assert_run("'b\x1b[2Jakup'", 2, "", "there is no verb 'b\\x1b[2Jakup'");
  assert_run("bakup", 2, "", "holdfast: there is no verb 'bakup'; did you mean 'backup'?\n");
  assert_run("bakup --json", 2, "", "{\"type\":\"error\",\"code\":\"usage\",\"message\":\"there is no verb");
  assert_run("backup --json", 2, "", "\"exit\":2}\n");
}

static void test_benchmark(void)
{
  Run result = run("benchmark --json");
  g_assert_cmpint(result.code, ==, 0);
  g_auto(GStrv) lines = g_strsplit(g_strchomp((char *)capture_text(result.out)), "\n", 0);
  for (guint i = 0; lines[i] != NULL; i++) {
    json_t *line = json_loads(lines[i], 0, NULL);
    g_assert_true(json_real_value(json_object_get(line, "bytes_per_second")) > 0);
    json_decref(line);
  }
  g_assert_cmpuint(g_strv_length(lines), >=, 5);
  run_clear(&result);
}

static void test_benchmark_storage(void)
{
  g_autofree char *folder = g_dir_make_tmp("hf-benchmark-XXXXXX", NULL);
  g_autofree char *line = g_strdup_printf("benchmark --storage '%s'", folder);
  Run result = run(line);
  g_assert_cmpint(result.code, ==, 0);
  const char *said = capture_text(result.out);
  g_assert_nonnull(strstr(said, "ok        creation is exclusive\n"));
  g_assert_nonnull(strstr(said, "put 4 KiB "));
  g_assert_null(strstr(said, "FAILED"));
  run_clear(&result);
  /* The folder is as empty as before. */
  g_assert_cmpint(g_rmdir(folder), ==, 0);
  assert_run("benchmark --storage /dev/null/x", 1, "", "/dev/null/x");
}

static void test_full(void)
{
  g_autoptr(Capture) err = capture_new();
  FILE *full = fopen("/dev/full", "w");
  HfCancel cancel = { 0 };
  char *words[] = { (char *)"version", NULL };
  g_assert_cmpint(hf_cli_run(words, full, err->stream, &cancel), ==, 1);
  g_assert_cmpstr(capture_text(err), ==, "holdfast: cannot write the output: No space left on device\n");
  fclose(full);
}

/* The first example of a verb's help, with a repository that is not there. */
static char *example_without_repository(const HfVerbSpec *verb)
{
  g_auto(GStrv) halves = g_strsplit(strstr(verb->help, "\n  holdfast ") + strlen("\n  holdfast "), "\n", 2);
  g_auto(GStrv) commands = g_strsplit(halves[0], "|", 2);
  g_auto(GStrv) parts = g_strsplit(commands[0], "/srv/backup", 0);
  return g_strjoinv("/nonexistent/repository", parts);
}

/* Every verb is there, and names the repository that is not. */
static void test_no_repository(void)
{
  guint tried = 0;
  g_setenv("HOLDFAST_PASSWORD", "x", TRUE);
  for (guint verb = 0; verb < HF_VERBS; verb++) {
    g_autofree char *line = example_without_repository(&hf_verb_specs[verb]);
    if (strstr(line, "/nonexistent/repository") == NULL)
      continue;
    assert_run(line, 1, "", "'/nonexistent/repository'");
    tried++;
  }
  g_assert_cmpuint(tried, >=, 25);
  g_unsetenv("HOLDFAST_PASSWORD");
}

/* restore works on a repository that is named, else by a server; what is missing for both is said. */
static void test_restore_worlds(void)
{
  assert_run("restore -r /r latest", 2, "", "'restore' needs '--to' or '--disk-to'");
  assert_run("restore -r /r latest --to d --follow", 2, "", "are for a restore by a server");
  assert_run("restore -r /r latest --to d --target /d", 2, "", "are for a restore by a server");
  assert_run("restore -r /r --server s latest --to d", 2, "", "'--repository' and '--server' exclude each other");
  assert_run("restore web1 --full-path", 2, "", "'--full-path' is for a repository that is opened here");
  assert_run("restore web1 --disk-to /d", 2, "", "'--disk-to' is for a repository");
  assert_run("restore web1 --to /tmp/back", 2, "", "at a server '--to' names the host");
  assert_run("restore web1 --target back", 2, "", "'back' of '--target' is no absolute path");
  assert_run("restore web1 etc", 2, "", "'etc' is no absolute path");
  assert_run("restore web1", 1, "", "'restore' needs '--repository REPO' (or HOLDFAST_REPOSITORY)");
  assert_run("restore web1", 1, "", "run 'holdfast login SERVER'");
  g_setenv("HOLDFAST_REPOSITORY", "/nonexistent/repository", TRUE);
  assert_run("restore latest --to d", 1, "", "'/nonexistent/repository'");
  /* A server that is named on the command line goes before the variable. */
  assert_run("restore --server nowhere latest", 1, "", "you are not logged in at 'nowhere:");
  g_unsetenv("HOLDFAST_REPOSITORY");
}

/* The texts fit 80 columns, and each example stands on a line of its own. */
static void test_texts_fit(void)
{
  for (guint verb = 0; verb < HF_VERBS; verb++) {
    g_auto(GStrv) lines = g_strsplit(hf_verb_specs[verb].help, "\n", 0);
    for (guint i = 0; lines[i] != NULL; i++)
      g_assert_cmpuint(strlen(lines[i]), <=, 80);
    g_assert_nonnull(strstr(hf_verb_specs[verb].help, "\nExamples:\n  # "));
  }
  g_auto(GStrv) lines = g_strsplit(hf_program_help, "\n", 0);
  for (guint i = 0; lines[i] != NULL; i++)
    g_assert_cmpuint(strlen(lines[i]), <=, 80);
}

int main(int argc, char **argv)
{
  /* Nobody is logged in anywhere. */
  g_autofree char *config = g_dir_make_tmp("holdfast-cli-XXXXXX", NULL);
  g_autofree char *folder = g_build_filename(config, "holdfast", NULL);
  g_autofree char *lock = g_build_filename(folder, "login.lock", NULL);
  g_setenv("XDG_CONFIG_HOME", config, TRUE);
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/cli/cli/help", test_help);
  g_test_add_func("/cli/cli/version", test_version);
  g_test_add_func("/cli/cli/errors", test_errors);
  g_test_add_func("/cli/cli/benchmark", test_benchmark);
  g_test_add_func("/cli/cli/benchmark-storage", test_benchmark_storage);
  g_test_add_func("/cli/cli/full", test_full);
  g_test_add_func("/cli/cli/no-repository", test_no_repository);
  g_test_add_func("/cli/cli/restore-worlds", test_restore_worlds);
  g_test_add_func("/cli/cli/texts-fit", test_texts_fit);
  int code = g_test_run();
  g_unlink(lock);
  g_rmdir(folder);
  g_rmdir(config);
  return code;
}
