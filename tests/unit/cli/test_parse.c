/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/parse.h"

#include <string.h>

#include "base/error.h"

/* Parses the words of `line`, split as a shell does. */
static HfOptions *parse(const char *line, GError **error)
{
  g_auto(GStrv) words = NULL;
  if (!g_shell_parse_argv(line, NULL, &words, NULL))
    words = g_new0(char *, 1);
  return hf_options_parse(words, error);
}

static HfOptions *parse_good(const char *line)
{
  g_autoptr(GError) error = NULL;
  HfOptions *options = parse(line, &error);
  g_assert_no_error(error);
  g_assert_nonnull(options);
  return options;
}

static void assert_bad(const char *line, const char *part)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(HfOptions) options = parse(line, &error);
  g_assert_null(options);
  g_assert_error(error, HF_ERROR, HF_ERROR_USAGE);
  if (strstr(error->message, part) == NULL)
    g_error("'%s' does not say '%s'", error->message, part);
}

static void test_spellings(void)
{
  static const char *const lines[] = {
    "backup --repository /r --name web --exclude a --exclude b --rescan p q",
    "backup --repository=/r --name=web --exclude=a --exclude=b --rescan p q",
    "backup -r /r -n web -x a -x b --rescan p q",
    "backup -r/r -nweb -xa -xb --rescan p q",
    "backup p -r /r --rescan -xa q -xb -qn web",
    "backup -r /r -xa -xb --rescan -n old -n web -- p q",
  };
  for (gsize i = 0; i < G_N_ELEMENTS(lines); i++) {
    g_autoptr(HfOptions) options = parse_good(lines[i]);
    g_assert_cmpint(options->verb, ==, HF_VERB_BACKUP);
    g_assert_cmpstr(options->repository, ==, "/r");
    g_assert_cmpstr(options->name, ==, "web");
    g_assert_true(options->rescan);
    g_assert_false(options->one_file_system);
    g_assert_cmpuint(g_strv_length(options->exclude), ==, 2);
    g_assert_cmpstr(options->exclude[0], ==, "a");
    g_assert_cmpstr(options->exclude[1], ==, "b");
    g_assert_cmpuint(g_strv_length(options->paths), ==, 2);
    g_assert_cmpstr(options->paths[0], ==, "p");
    g_assert_cmpstr(options->paths[1], ==, "q");
    g_assert_cmpuint(g_strv_length(options->tags), ==, 0);
  }
}

static void test_types(void)
{
  g_autoptr(HfOptions) init = parse_good("init -r /r");
  g_assert_cmpint(init->encryption, ==, HF_ENCRYPTION_CHOICE_PASSWORD);
  g_assert_cmpuint(init->block_size, ==, 1 << 20);
  g_assert_cmpuint(init->parity, ==, 5);
  g_assert_cmpstr(init->compression, ==, "zstd:3");
  g_assert_null(init->like);

  g_autoptr(HfOptions) chosen = parse_good("init -r /r --encryption none --block-size 256K --parity 10");
  g_assert_cmpint(chosen->encryption, ==, HF_ENCRYPTION_CHOICE_NONE);
  g_assert_cmpuint(chosen->block_size, ==, 256 << 10);
  g_assert_cmpuint(chosen->parity, ==, 10);

  g_autoptr(HfOptions) verify = parse_good("verify -r /r --sample 7% --limit 20M");
  g_assert_cmpuint(verify->sample, ==, 7);
  g_assert_cmpuint(verify->limit, ==, 20 << 20);
  g_autoptr(HfOptions) plain = parse_good("verify -r /r --sample 8");
  g_assert_cmpuint(plain->sample, ==, 8);
  g_assert_cmpuint(plain->limit, ==, 0);

  g_autoptr(HfOptions) forget = parse_good("forget -r /r --keep-last 3 --keep-within 1y6m");
  g_assert_cmpuint(forget->keep_last, ==, 3);
  g_assert_cmpuint(forget->keep_daily, ==, 0);
  g_assert_cmpstr(forget->keep_within, ==, "1y6m");
}

static void test_arguments(void)
{
  g_autoptr(HfOptions) one = parse_good("mount -r /r dir");
  g_assert_null(one->point);
  g_assert_cmpstr(one->directory, ==, "dir");
  g_autoptr(HfOptions) two = parse_good("mount -r /r latest dir");
  g_assert_cmpstr(two->point, ==, "latest");
  g_assert_cmpstr(two->directory, ==, "dir");
  g_autoptr(HfOptions) diff = parse_good("diff -r /r a b");
  g_assert_cmpstr(diff->point, ==, "a");
  g_assert_cmpstr(diff->other_point, ==, "b");
  g_autoptr(HfOptions) restore = parse_good("restore -r /r latest --to d -- -x -");
  g_assert_cmpstr(restore->point, ==, "latest");
  g_assert_cmpuint(g_strv_length(restore->paths), ==, 2);
  g_assert_cmpstr(restore->paths[0], ==, "-x");
  g_assert_cmpstr(restore->paths[1], ==, "-");
  g_autoptr(HfOptions) dash = parse_good("cat -r /r latest -");
  g_assert_cmpstr(dash->path, ==, "-");
  g_autoptr(HfOptions) forget = parse_good("forget -r /r");
  g_assert_cmpuint(g_strv_length(forget->points), ==, 0);
  g_autoptr(HfOptions) key = parse_good("key add -r /r --new-key-file f");
  g_assert_cmpint(key->verb, ==, HF_VERB_KEY_ADD);
  g_assert_cmpstr(key->new_key_file, ==, "f");
}

static void test_bad_verbs(void)
{
  assert_bad("", "no verb given");
  assert_bad("-r /r backup", "'-r' stands before the verb");
  assert_bad("bakcup", "did you mean 'backup'?");
  assert_bad("kez", "did you mean 'key'?");
  assert_bad("frobnicate", "'holdfast help' lists them");
  assert_bad("key", "'key' needs a second word");
  assert_bad("key -r /r", "'key' needs a second word");
  assert_bad("key lst", "did you mean 'key list'?");
  assert_bad("writer frobnicate", "'holdfast help writer' lists them");
}

static void test_bad_options(void)
{
  assert_bad("backup --exlude a", "'backup' takes no option '--exlude'; did you mean '--exclude'?");
  assert_bad("backup --excl a", "did you mean '--exclude'?");
  assert_bad("backup --frobnicate", "'holdfast help backup' lists them");
  assert_bad("backup -qz", "takes no option '-z'");
  assert_bad("backup '-\xc3\xa4'", "takes no option '-\xc3\xa4'");
  assert_bad("backup --rescan=yes", "'--rescan' takes no value, but was given 'yes'");
  assert_bad("backup -r", "'-r' needs a value: REPO");
  assert_bad("backup --name", "'--name' needs a value: NAME");
  assert_bad("backup --name=", "'--name' has an empty value");
  assert_bad("init -r /r --encryption rot13",
             "'rot13' is no value for '--encryption'; it takes one of: password, none");
  assert_bad("init -r /r --parity 7", "one of: 0, 5, 10");
  assert_bad("verify -r /r --sample 0", "'--sample'");
  assert_bad("verify -r /r --sample 101%", "'--sample'");
  assert_bad("verify -r /r --limit lots", "'--limit'");
  assert_bad("verify -r /r --limit 1", "'--limit'");
  assert_bad("forget -r /r --keep-last -1", "'--keep-last'");
}

static void test_rules(void)
{
  assert_bad("points", "give it, or set HOLDFAST_REPOSITORY");
  assert_bad("copy -r /r", "'copy' needs '--to REPO'");
  assert_bad("restore -r /r latest --to a --disk-to b", "'--to' and '--disk-to' exclude each other");
  assert_bad("verify -r /r --stored --content", "'--stored' and '--content' exclude each other");
  assert_bad("points -r /r --key-file a --password-file b", "exclude each other");
  assert_bad("backup -r /r", "'backup' needs PATH");
  assert_bad("cat -r /r latest", "'cat' needs PATH");
  assert_bad("mount -r /r", "'mount' needs DIR");
  assert_bad("points -r /r 'sur\nplus'", "does not know what to do with 'sur\\x0aplus'");
}

static void test_environment(void)
{
  g_setenv("HOLDFAST_REPOSITORY", "/env", TRUE);
  g_setenv("HOLDFAST_KEY_FILE", "/key", TRUE);
  g_autoptr(HfOptions) taken = parse_good("points");
  g_assert_cmpstr(taken->repository, ==, "/env");
  g_assert_cmpstr(taken->key_file, ==, "/key");
  /* The command line goes before, also for what excludes the variable. */
  g_autoptr(HfOptions) over = parse_good("points -r /r --password-file f");
  g_assert_cmpstr(over->repository, ==, "/r");
  g_assert_cmpstr(over->password_file, ==, "f");
  g_assert_null(over->key_file);
  g_setenv("HOLDFAST_PASSWORD_FILE", "/file", TRUE);
  assert_bad("points", "'HOLDFAST_PASSWORD_FILE' and 'HOLDFAST_KEY_FILE' exclude each other");
  g_setenv("HOLDFAST_PASSWORD_FILE", "", TRUE);
  g_autoptr(HfOptions) empty = parse_good("points");
  g_assert_null(empty->password_file);
  g_unsetenv("HOLDFAST_PASSWORD_FILE");
  g_unsetenv("HOLDFAST_KEY_FILE");
  g_unsetenv("HOLDFAST_REPOSITORY");
}

static void test_help_needs_nothing(void)
{
  g_autoptr(HfOptions) options = parse_good("copy -h");
  g_assert_true(options->help);
  g_autoptr(HfOptions) with_words = parse_good("cat --help too many words here");
  g_assert_true(with_words->help);
  /* Lists that the verb does not even take are there. */
  g_assert_cmpuint(g_strv_length(with_words->exclude), ==, 0);
  g_assert_cmpuint(g_strv_length(with_words->paths), ==, 0);
  hf_options_free(NULL);
}

/* Every verb's own help and examples parse as they are written. */
static void test_examples(void)
{
  guint examples = 0;
  for (guint verb = 0; verb < HF_VERBS; verb++) {
    g_auto(GStrv) lines = g_strsplit(strstr(hf_verb_specs[verb].help, "\nExamples:\n"), "\n", 0);
    for (guint i = 0; lines[i] != NULL; i++) {
      if (!g_str_has_prefix(lines[i], "  holdfast "))
        continue;
      g_autofree char *alone = g_strdup(lines[i] + strlen("  holdfast "));
      alone[strcspn(alone, "|>")] = '\0';
      g_autoptr(HfOptions) options = parse_good(alone);
      g_assert_cmpint(options->verb, ==, (HfVerb)verb);
      examples++;
    }
  }
  g_assert_cmpuint(examples, >=, HF_VERBS);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/cli/parse/spellings", test_spellings);
  g_test_add_func("/cli/parse/types", test_types);
  g_test_add_func("/cli/parse/arguments", test_arguments);
  g_test_add_func("/cli/parse/bad-verbs", test_bad_verbs);
  g_test_add_func("/cli/parse/bad-options", test_bad_options);
  g_test_add_func("/cli/parse/rules", test_rules);
  g_test_add_func("/cli/parse/environment", test_environment);
  g_test_add_func("/cli/parse/help-needs-nothing", test_help_needs_nothing);
  g_test_add_func("/cli/parse/examples", test_examples);
  return g_test_run();
}
