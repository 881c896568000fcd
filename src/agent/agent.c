/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/agent.h"

#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "agent/enroll.h"
#include "agent/keeper/keeper.h"
#include "agent/log.h"
#include "agent/role.h"
#include "agent/spec.h"
#include "agent/thaw.h"
#include "base/clock.h"
#include "base/error.h"
#include "net/messages/installer.h"
#include "net/tls.h"

#define THAW_TRIES 150 /* of a fifth of a second */

typedef struct Context {
  const HfAgentOptions *options;
  const HfAgentParts *parts;
  char **argv;
} Context;

typedef int (*Verb)(const Context *context, GError **error); /* exit code; with an error its own counts */

static void print(json_t *document)
{
  char *text = json_dumps(document, JSON_COMPACT);
  printf("%s\n", text);
  fflush(stdout);
  free(text);
  json_decref(document);
}

static HfSettings *load_settings(const Context *context, GError **error)
{
  const HfAgentOptions *options = context->options;
  return hf_settings_load(options->config, options->state, options->runtime, error);
}

/* ---- enroll, unenroll ---- */

static char *read_token(const char *path, GError **error)
{
  g_autofree char *text = NULL;
  g_autoptr(GError) why = NULL;
  if (!g_file_get_contents(strcmp(path, "-") == 0 ? "/dev/stdin" : path, &text, NULL, &why)) {
    hf_fail(error, HF_ERROR_FAILED, "cannot read the token: %s", why->message);
    return NULL;
  }
  char *token = g_strdup(g_strstrip(g_strdelimit(text, "\n", '\0')));
  hf_wipe(text, strlen(text));
  return token;
}

typedef struct Said {
  char *made; /* a token that was made up here, or NULL */
  gboolean json;
} Said;

static void say_ready(guint16 port, gpointer user)
{
  const Said *said = user;
  if (said->json) {
    print(said->made != NULL ? json_pack("{s:s, s:i}", "token", said->made, "port", port)
                             : json_pack("{s:i}", "port", port));
    return;
  }
  if (said->made != NULL)
    printf("Token: %s\nGive it to the backup server: holdfast host add %s --token TOKEN\n", said->made,
           g_get_host_name());
  printf("Waiting for the server on port %u.\n", port);
  fflush(stdout);
}

static int verb_enroll(const Context *context, GError **error)
{
  const HfAgentOptions *options = context->options;
  g_autoptr(HfSettings) settings = load_settings(context, error);
  if (settings == NULL)
    return 1;
  Said said = { NULL, options->json };
  char *token = options->token_file != NULL ? read_token(options->token_file, error) : g_strdup(options->token);
  if (token == NULL && options->token_file != NULL)
    return 1;
  if (token == NULL)
    token = said.made = hf_tls_token_new();
  g_autoptr(HfMembership) identity =
    hf_enroll(settings, token, options->again, (guint)options->wait, say_ready, &said, error);
  hf_tls_token_free(token);
  if (identity == NULL)
    return 1;
  if (options->json)
    print(json_pack("{s:s, s:s}", "host", identity->host, "server", identity->server));
  else
    printf("Enrolled: this is host %s of server %s.\n", identity->host, identity->server);
  return 0;
}

static int verb_unenroll(const Context *context, GError **error)
{
  g_autoptr(HfSettings) settings = load_settings(context, error);
  g_autoptr(HfMembership) identity = settings != NULL ? hf_membership_load(settings->state, error) : NULL;
  if (identity == NULL || !hf_membership_remove(settings->state, error))
    return 1;
  if (context->options->json)
    print(json_pack("{s:s, s:s}", "host", identity->host, "server", identity->server));
  else
    printf("This host obeys server %s no more.\n", identity->server);
  return 0;
}

/* ---- run, status ---- */

static int verb_run(const Context *context, GError **error)
{
  g_autoptr(HfSettings) settings = load_settings(context, error);
  if (settings == NULL)
    return 1;
  hf_log_keep(settings->state);
  return hf_keeper_run(settings, context->parts, context->argv);
}

static gboolean is_running(const HfSettings *settings)
{
  g_autofree char *path = g_build_filename(settings->state, "lock", NULL);
  hf_autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
  return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0;
}

static json_t *status_document(const HfSettings *settings, const HfMembership *identity)
{
  gboolean running = is_running(settings);
  json_t *document = json_pack("{s:b, s:b}", "enrolled", identity != NULL, "running", running);
  g_autoptr(HfPeer) own = identity != NULL ? hf_pki_peer(identity->certificate, NULL) : NULL;
  if (own != NULL) {
    g_autofree char *until = hf_clock_format_utc(own->not_after * 1000000000);
    json_object_set_new(document, "host", json_string(identity->host));
    json_object_set_new(document, "server", json_string(identity->server));
    json_object_set_new(document, "certificate_until", json_string(until));
  }
  g_autofree char *path = g_build_filename(settings->runtime, "status", NULL);
  json_t *live = running ? json_load_file(path, 0, NULL) : NULL;
  /* One that was killed leaves its last words behind. */
  if (live != NULL && kill((pid_t)json_integer_value(json_object_get(live, "pid")), 0) == 0)
    json_object_update(document, live);
  json_decref(live);
  return document;
}

static const char *member(json_t *object, const char *key)
{
  const char *text = json_string_value(json_object_get(object, key));
  return text != NULL ? text : "";
}

static void print_role(json_t *role)
{
  int port = (int)json_integer_value(json_object_get(role, "port"));
  if (port != 0)
    printf("role %s: listens on port %d\n", member(role, "role"), port);
  else
    printf("role %s: does not listen\n", member(role, "role"));
}

static void print_immutable(json_t *immutable)
{
  json_t *repositories = json_object_get(immutable, "repositories"), *row;
  size_t i;
  if (*member(immutable, "reason") != '\0')
    printf("files of locked points are not made immutable: %s\n", member(immutable, "reason"));
  json_array_foreach (repositories, i, row) {
    const char *problem = member(row, "problem");
    printf("repository %s: %d files are immutable%s%s\n", member(row, "path"),
           (int)json_integer_value(json_object_get(row, "files")), *problem != '\0' ? "; " : "", problem);
  }
}

static void print_status(json_t *document)
{
  json_t *roles = json_object_get(document, "roles"), *tasks = json_object_get(document, "tasks");
  if (json_is_true(json_object_get(document, "enrolled")))
    printf("host %s of server %s\ncertificate until %s\n", member(document, "host"), member(document, "server"),
           member(document, "certificate_until"));
  else
    printf("not enrolled\n");
  printf("%s\n", json_is_true(json_object_get(document, "running")) ? "running" : "not running");
  for (size_t i = 0; i < json_array_size(roles); i++)
    print_role(json_array_get(roles, i));
  for (size_t i = 0; i < json_array_size(tasks); i++)
    printf("task %s (%s)\n", member(json_array_get(tasks, i), "task"), member(json_array_get(tasks, i), "kind"));
  print_immutable(json_object_get(document, "immutable"));
}

static int verb_status(const Context *context, GError **error)
{
  g_autoptr(GError) why = NULL;
  g_autoptr(HfSettings) settings = load_settings(context, error);
  if (settings == NULL)
    return 1;
  g_autoptr(HfMembership) identity = hf_membership_load(settings->state, &why);
  if (identity == NULL && !hf_error_is(why, HF_ERROR_NOT_FOUND)) {
    g_propagate_error(error, g_steal_pointer(&why));
    return 1;
  }
  json_t *document = status_document(settings, identity);
  if (context->options->json) {
    print(document);
    return 0;
  }
  print_status(document);
  json_decref(document);
  return 0;
}

/* ---- thaw ---- */

/* What is left ends with the agent, or a moment later. */
static gboolean thaw_left(const char *folder, GPtrArray *told)
{
  gboolean again = TRUE;
  for (guint i = 0; again && i < THAW_TRIES; i++) {
    if (i > 0)
      g_usleep(G_USEC_PER_SEC / 5);
    g_autoptr(GPtrArray) more = hf_thaw_left(folder, &again);
    g_ptr_array_extend_and_steal(told, g_steal_pointer(&more));
  }
  return !again;
}

static int verb_thaw(const Context *context, GError **error)
{
  g_autoptr(HfSettings) settings = load_settings(context, error);
  if (settings == NULL)
    return 1;
  if (is_running(settings)) {
    hf_fail(error, HF_ERROR_BUSY, "the agent runs, and thaws what has to be; 'fsfreeze -u' thaws in its stead");
    return 1;
  }
  g_autofree char *folder = g_build_filename(settings->state, "work", NULL);
  g_autoptr(GPtrArray) told = g_ptr_array_new_with_free_func(g_free);
  const gboolean good = thaw_left(folder, told);
  json_t *list = json_array();
  for (guint i = 0; i < told->len; i++)
    json_array_append_new(list, json_string(told->pdata[i]));
  for (guint i = 0; !context->options->json && i < told->len; i++)
    printf("%s\n", (const char *)told->pdata[i]);
  if (context->options->json)
    print(json_pack("{s:O}", "done", list));
  json_decref(list);
  if (!good)
    hf_fail(error, HF_ERROR_FAILED, "something may be frozen still: see 'frozen-' in '%s'", folder);
  return good ? 0 : 1;
}

/* ---- version, help ---- */

static int verb_version(const Context *context, GError **error G_GNUC_UNUSED)
{
  if (context->options->json)
    print(json_pack("{s:s, s:i}", "version", HF_VERSION, "protocol", (int)HF_INSTALLER_VERSION));
  else
    printf("holdfast-agent %s\n", HF_VERSION);
  return 0;
}

static int verb_help(const Context *context, GError **error)
{
  const char *text = hf_program_topic(&hf_agent_program, context->options->topic, error);
  if (text == NULL)
    return 2;
  if (context->options->json)
    print(json_pack("{s:s}", "help", text));
  else
    fputs(text, stdout);
  return 0;
}

static const Verb verbs[HF_AGENT_VERBS] = {
  [HF_AGENT_VERB_ENROLL] = verb_enroll, [HF_AGENT_VERB_UNENROLL] = verb_unenroll, [HF_AGENT_VERB_RUN] = verb_run,
  [HF_AGENT_VERB_STATUS] = verb_status, [HF_AGENT_VERB_THAW] = verb_thaw,
  [HF_AGENT_VERB_VERSION] = verb_version, [HF_AGENT_VERB_HELP] = verb_help,
};

static int fail(const GError *error)
{
  fprintf(stderr, "holdfast-agent: %s\n", error->message);
  return hf_error_exit_code(error);
}

static int run_verb(const HfAgentOptions *options, const HfAgentParts *parts, char **argv)
{
  g_autoptr(GError) error = NULL;
  if (options->help) {
    fputs(hf_agent_verb_specs[options->verb].help, stdout);
    return 0;
  }
  hf_log_open(options->json);
  const Context context = { options, parts, argv };
  int code = verbs[options->verb](&context, &error);
  return error != NULL ? fail(error) : code;
}

int hf_agent_main(int argc, char **argv, const HfAgentParts *parts)
{
  g_autoptr(GError) error = NULL;
  if (argc == 3 && strcmp(argv[1], "--role") == 0) {
    hf_log_open(FALSE);
    return hf_role_main(argv[2], parts);
  }
  if (argc < 2) {
    fputs(hf_agent_program_help, stderr);
    return 2;
  }
  HfAgentOptions *options = hf_program_parse(&hf_agent_program, argv + 1, &error);
  if (options == NULL)
    return fail(error);
  int code = run_verb(options, parts, argv);
  hf_program_free(&hf_agent_program, options);
  return code;
}
