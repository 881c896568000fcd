/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The command line and a server that lies. The first byte chooses a verb, the second whether it is to print JSON; then
 * come the server's answers, a line each: a status of three digits and a body. (The linker puts the functions below in
 * the place of those that would ask a server, and of the one that would wait.)
 *
 * What goes to the terminal is text: no byte of it moves the cursor or changes a colour. With --json each line is JSON.
 */
#include <glib/gstdio.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "cli/rest.h"
#include "fuzz.h"

#define WORDS 6u
#define ANSWERS_MAX 64u

#define ID "0f8fad5b-d9cb-469f-a165-70867728950e"
static const char *const verbs[][WORDS] = {
  { "host", "list" },           { "host", "show", "one" },         { "job", "list" },
  { "job", "show", "one" },     { "job", "start", "one" },         { "session", "list" },
  { "session", "show", "one" }, { "session", "follow", ID },       { "session", "stop", "0f8f" },
  { "point", "list" },          { "repository", "list" },          { "repository", "show", "one" },
  { "proxy", "list" },          { "traffic", "list" },             { "traffic", "remove", "one" },
  { "credential", "list" },     { "account", "list" },             { "notification", "show" },
  { "whoami" },                 { "point", "ls", "one" },          { "restore", "one", "--to", "one:/x" },
  { "logout" },                 { "job", "start", "one", "--follow" }, { "audit" },
  { "job", "stop", ID },        { "host", "rescan", "one" },       { "repository", "rescan", "one", "--follow" },
};

static struct {
  const char *next, *end;
  guint given;
  HfCancel cancel;
} answers;

/* ---- In the place of a server. ---- */

static gboolean next_answer(HfRestAnswer *answer, GError **error)
{
  if (answers.next >= answers.end || answers.given++ >= ANSWERS_MAX) {
    hf_cancel_set(&answers.cancel);
    return hf_fail(error, HF_ERROR_CANCELLED, "the server says no more");
  }
  const char *line = answers.next, *end = memchr(line, '\n', (gsize)(answers.end - line));
  end = end == NULL ? answers.end : end;
  answers.next = end + 1;
  if (end - line < 3)
    return hf_fail(error, HF_ERROR_IO, "the server does not answer");
  g_autofree char *status = g_strndup(line, 3);
  answer->status = strtol(status, NULL, 10);
  if (end - line == 3)
    return TRUE;
  answer->body = json_loadb(line + 3, (gsize)(end - line - 3), JSON_DECODE_ANY, NULL);
  return answer->body != NULL || hf_fail(error, HF_ERROR_INVALID, "the answer is no JSON");
}

gboolean __wrap_hf_rest_ask(HfRest *rest, const char *method, const char *path, json_t *body, HfRestAnswer *answer,
                            GError **error);
gboolean __wrap_hf_rest_ask(HfRest *rest G_GNUC_UNUSED, const char *method G_GNUC_UNUSED, const char *path,
                            json_t *body G_GNUC_UNUSED, HfRestAnswer *answer, GError **error)
{
  /* What a server says may become part of an address, and must be escaped there. */
  for (const char *at = path; *at != '\0'; at++)
    g_assert_true((guchar)*at > ' ' && (guchar)*at < 127);
  return next_answer(answer, error);
}

gboolean __wrap_hf_rest_form(HfRest *rest, const char *path, const char *const *pairs, HfRestAnswer *answer,
                             GError **error);
gboolean __wrap_hf_rest_form(HfRest *rest G_GNUC_UNUSED, const char *path G_GNUC_UNUSED,
                             const char *const *pairs G_GNUC_UNUSED, HfRestAnswer *answer, GError **error)
{
  return next_answer(answer, error);
}

void __wrap_g_usleep(gulong microseconds);
void __wrap_g_usleep(gulong microseconds G_GNUC_UNUSED)
{
}

/* ---- What was said. ---- */

static void check_text(const char *what, const char *text, gsize length)
{
  if (!g_utf8_validate_len(text, length, NULL))
    g_error("%s is not UTF-8: %s", what, text);
  for (const char *at = text; *at != '\0'; at = g_utf8_next_char(at)) {
    gunichar c = g_utf8_get_char(at);
    if (c != '\n' && c != '\t' && g_unichar_iscntrl(c))
      g_error("%s has the control character %x: %s", what, c, text);
  }
}

static void check_json(const char *what, const char *text)
{
  g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
  for (guint i = 0; lines[i] != NULL; i++) {
    if (*lines[i] == '\0')
      continue;
    json_t *line = json_loads(lines[i], JSON_DECODE_ANY, NULL);
    if (line == NULL)
      g_error("%s is no JSON: %s", what, lines[i]);
    json_decref(line);
  }
}

/* ---- The run. ---- */

static const char login[] =
  "{\"current\": \"server:1\", \"servers\": {\"server:1\": {\"user\": \"somebody\", \"pin\": \"cGlu\", "
  "\"access\": \"token\", \"refresh\": \"token\"}}}";
static char *folder;

static void write_login(void)
{
  g_autofree char *path = g_build_filename(folder, "holdfast", "login", NULL);
  g_assert_true(g_file_set_contents_full(path, login, -1, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
}

static void remove_folder(void)
{
  static const char *const names[] = { "holdfast/login", "holdfast/login.lock", "holdfast", "" };
  for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
    g_autofree char *path = g_build_filename(folder, names[i], NULL);
    g_remove(path);
  }
}

static void make_world(void)
{
  if (folder == NULL) {
    fuzz_begin();
    folder = g_strdup("/tmp/holdfast-XXXXXX");
    g_assert_nonnull(g_mkdtemp(folder));
    g_setenv("XDG_CONFIG_HOME", folder, TRUE);
    g_autofree char *inner = g_build_filename(folder, "holdfast", NULL);
    g_assert_true(g_mkdir(inner, 0700) == 0);
    atexit(remove_folder);
  }
  write_login();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  const char *words[WORDS + 2] = { NULL };
  char *texts[2];
  size_t lengths[2];
  guint count = 0;
  if (size < 2)
    return 0;
  make_world();
  const char *const *verb = verbs[data[0] % G_N_ELEMENTS(verbs)];
  gboolean json = (data[1] & 1) != 0;
  for (guint i = 0; i < WORDS && verb[i] != NULL; i++)
    words[count++] = verb[i];
  if (json)
    words[count++] = "--json";
  answers.next = (const char *)data + 2;
  answers.end = (const char *)data + size;
  answers.given = 0;
  memset(&answers.cancel, 0, sizeof answers.cancel);
  FILE *out = open_memstream(&texts[0], &lengths[0]), *err = open_memstream(&texts[1], &lengths[1]);
  hf_cli_run((char *const *)words, out, err, &answers.cancel);
  fclose(out);
  fclose(err);
  static const char *const what[] = { "the output", "what is said of errors" };
  for (guint i = 0; i < 2; i++) {
    check_text(what[i], texts[i], lengths[i]);
    if (json)
      check_json(what[i], texts[i]);
    free(texts[i]);
  }
  return 0;
}
