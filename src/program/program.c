/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "program/program.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "crypto/crypto.h"
#include "program/server.h"
#include "program/spec.h"
#include "server/auth/auth.h"

typedef int (*Verb)(const HfServerOptions *options, GError **error); /* exit code; with an error its own counts */

static void print(json_t *document)
{
  char *text = json_dumps(document, JSON_COMPACT);
  printf("%s\n", text);
  fflush(stdout);
  free(text);
  json_decref(document);
}

/* ---- run ---- */

/* What a service manager asks for: "ready" and "stopping" (sd_notify(3)). */
static void notify_manager(const char *state)
{
  const char *path = g_getenv("NOTIFY_SOCKET");
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  if (path == NULL || strlen(path) >= sizeof address.sun_path)
    return;
  g_strlcpy(address.sun_path, path, sizeof address.sun_path);
  if (*path == '@')
    address.sun_path[0] = '\0';
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return;
  socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
  if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address, length) < 0)
    g_message("the service manager was not told: %s", g_strerror(errno));
  close(fd);
}

static void say_started(const HfServer *server, const char *password, gboolean json)
{
  g_autofree char *fingerprint = hf_server_fingerprint(server);
  if (json) {
    json_t *document = json_pack("{s:i, s:s}", "port", hf_server_port(server), "fingerprint", fingerprint);
    if (password != NULL)
      json_object_set_new(document, "password", json_string(password));
    print(document);
    return;
  }
  printf("Listening on port %d; certificate SHA-256 %s\n", hf_server_port(server), fingerprint);
  if (password != NULL)
    printf("The account 'admin' was made. Its password, which is not shown again: %s\n"
           "Try: holdfast login localhost --user admin\n", password);
  fflush(stdout);
}

/* Blocked in all threads from the start, so that only the wait below sees them. */
static int open_signals(void)
{
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  sigprocmask(SIG_BLOCK, &set, NULL);
  signal(SIGPIPE, SIG_IGN);
  return signalfd(-1, &set, SFD_CLOEXEC);
}

static int verb_run(const HfServerOptions *options, GError **error)
{
  int signals = open_signals();
  g_autoptr(HfServerSettings) settings = hf_server_settings_load(options->config, options->state, error);
  g_autoptr(HfSecret) password = NULL;
  if (settings == NULL)
    return 1;
  g_autoptr(HfServer) server = hf_server_start(settings, &password, error);
  if (server == NULL)
    return 1;
  say_started(server, password, options->json);
  notify_manager("READY=1");
  struct pollfd wait = { .fd = signals, .events = POLLIN };
  while (poll(&wait, 1, -1) < 0 && errno == EINTR)
    ;
  notify_manager("STOPPING=1");
  close(signals);
  return 0;
}

/* ---- rescan, password ---- */

static int verb_rescan(const HfServerOptions *options, GError **error)
{
  open_signals();
  g_autoptr(HfServerSettings) settings = hf_server_settings_load(options->config, options->state, error);
  g_autoptr(HfSecret) password = NULL;
  if (settings == NULL)
    return 1;
  g_autoptr(HfServer) server = hf_server_start(settings, &password, error);
  if (server == NULL || !hf_server_rescan(server, error))
    return 1;
  if (options->json)
    print(json_pack("{s:b}", "rescanned", 1));
  else
    printf("The catalogue was made anew from the repositories.\n");
  return 0;
}

static HfDb *open_database(const HfServerSettings *settings, GError **error)
{
  g_autofree char *own = g_build_filename(settings->state, "server.db", NULL);
  return hf_db_open(settings->database != NULL ? settings->database : own, 1, error);
}

static char *read_password(GError **error)
{
  char line[1100];
  if (fgets(line, sizeof line, stdin) == NULL) {
    hf_fail(error, HF_ERROR_USAGE, "no password came on standard input");
    return NULL;
  }
  line[strcspn(line, "\n")] = '\0';
  char *password = g_strdup(line);
  hf_wipe(line, sizeof line);
  return password;
}

static int verb_password(const HfServerOptions *options, GError **error)
{
  g_autoptr(HfServerSettings) settings = hf_server_settings_load(options->config, options->state, error);
  g_autoptr(HfDb) db = settings == NULL ? NULL : open_database(settings, error);
  g_autoptr(HfSecret) password = db == NULL ? NULL : read_password(error);
  if (password == NULL)
    return 1;
  g_autoptr(HfAuth) auth = hf_auth_new(db, NULL, 0);
  g_autoptr(HfAccountRow) account = hf_account_get(auth, options->account, error);
  if (account == NULL || !hf_account_set_password(auth, &hf_actor_server, account->id, password, error))
    return 1;
  if (options->json)
    print(json_pack("{s:s}", "account", account->name));
  else
    printf("The password of '%s' is set; its logins are void.\n", account->name);
  return 0;
}

/* ---- version, help ---- */

static int verb_version(const HfServerOptions *options, GError **error G_GNUC_UNUSED)
{
  if (options->json)
    print(json_pack("{s:s}", "version", HF_VERSION));
  else
    printf("holdfast-server %s\n", HF_VERSION);
  return 0;
}

static int verb_help(const HfServerOptions *options, GError **error)
{
  const char *text = hf_program_topic(&hf_server_program, options->topic, error);
  if (text == NULL)
    return 2;
  if (options->json)
    print(json_pack("{s:s}", "help", text));
  else
    fputs(text, stdout);
  return 0;
}

static const Verb verbs[HF_SERVER_VERBS] = {
  [HF_SERVER_VERB_RUN] = verb_run,         [HF_SERVER_VERB_RESCAN] = verb_rescan,
  [HF_SERVER_VERB_PASSWORD] = verb_password, [HF_SERVER_VERB_VERSION] = verb_version,
  [HF_SERVER_VERB_HELP] = verb_help,
};

static int fail(const GError *error)
{
  fprintf(stderr, "holdfast-server: %s\n", error->message);
  return hf_error_exit_code(error);
}

static int run_verb(const HfServerOptions *options)
{
  g_autoptr(GError) error = NULL;
  if (options->help) {
    fputs(hf_server_verb_specs[options->verb].help, stdout);
    return 0;
  }
  int code = verbs[options->verb](options, &error);
  return error != NULL ? fail(error) : code;
}

int hf_server_main(int argc, char **argv)
{
  g_autoptr(GError) error = NULL;
  if (argc < 2) {
    fputs(hf_server_program_help, stderr);
    return 2;
  }
  HfServerOptions *options = hf_program_parse(&hf_server_program, argv + 1, &error);
  if (options == NULL)
    return fail(error);
  int code = run_verb(options);
  hf_program_free(&hf_server_program, options);
  return code;
}
