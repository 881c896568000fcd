/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Enrolment over SSH, by a real sshd on a free port: skipped where there is none, or who tests is not root. */
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent_rig.h"
#include "base/error.h"
#include "net/connect.h"

#define SSHD "/usr/sbin/sshd"

/* A sudo as scripts meet it: it asks for a password ("pass word too") unless "free" lies beside it, and then leaves
 * standard input alone. */
#define SUDO                                                                                               \
  "#!/bin/sh\nhere=${0%/*}\nask=yes\nwhile [ $# -gt 0 ]; do\n  case $1 in\n  -n) ask=never ;;\n  -p) shift ;;\n" \
  "  --) shift; break ;;\n  esac\n  shift\ndone\nif [ ! -e \"$here/free\" ]; then\n" \
  "  [ $ask = never ] && { echo 'sudo: a password is required' >&2; exit 1; }\n  IFS= read -r word\n" \
  "  [ \"$word\" = 'pass word too' ] || { echo 'sudo: wrong' >&2; exit 1; }\nfi\nexec \"$@\"\n"

typedef struct Sshd {
  char *folder;
  guint16 port;
  GPid pid;
  char *key; /* private key of the user */
} Sshd;

static void run(const char *const *words)
{
  int status = 0;
  g_autoptr(GError) error = NULL;
  g_autofree char *said = NULL;
  g_spawn_sync(NULL, (char **)words, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &said, NULL, &status, &error);
  g_assert_no_error(error);
  g_assert_cmpint(status, ==, 0);
}

static char *make_key(const Sshd *sshd, const char *name, const char *passphrase)
{
  g_autofree char *path = g_build_filename(sshd->folder, name, NULL);
  const char *const words[] = { "ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", path, NULL };
  run(words);
  return g_steal_pointer(&path);
}

static gboolean listens(guint16 port)
{
  int fd = hf_net_connect("127.0.0.1", port, 200, NULL);
  if (fd >= 0)
    close(fd);
  return fd >= 0;
}

static Sshd *sshd_start_with(const char *sftp)
{
  Sshd *sshd = g_new0(Sshd, 1);
  sshd->folder = test_folder();
  sshd->port = free_port();
  g_autofree char *host_key = make_key(sshd, "host", ""), *user_key = make_key(sshd, "user", "pass word");
  g_autofree char *config = g_build_filename(sshd->folder, "sshd_config", NULL);
  g_autofree char *text =
    g_strdup_printf("Port %u\nListenAddress 127.0.0.1\nHostKey %s\nPidFile %s/pid\nAuthorizedKeysFile %s.pub\n"
                    "StrictModes no\nUsePAM no\nPermitRootLogin yes\nSetEnv PATH=%s:/usr/sbin:/usr/bin:/sbin:/bin\n"
                    "Subsystem sftp %s\n",
                    sshd->port, host_key, sshd->folder, user_key, sshd->folder, sftp);
  g_autofree char *sudo = g_build_filename(sshd->folder, "sudo", NULL);
  g_assert_true(g_file_set_contents_full(sudo, SUDO, -1, G_FILE_SET_CONTENTS_NONE, 0755, NULL));
  g_assert_true(g_file_set_contents(config, text, -1, NULL));
  g_assert_true(g_file_get_contents(user_key, &sshd->key, NULL, NULL));
  g_mkdir_with_parents("/run/sshd", 0755);
  const char *const words[] = { SSHD, "-D", "-e", "-f", config, NULL };
  g_assert_true(g_spawn_async(NULL, (char **)words, NULL, G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDERR_TO_DEV_NULL, NULL,
                              NULL, &sshd->pid, NULL));
  WAIT_FOR(listens(sshd->port), 10);
  return sshd;
}

static Sshd *sshd_start(void)
{
  return sshd_start_with("internal-sftp");
}

static void sshd_stop(Sshd *sshd)
{
  kill(sshd->pid, SIGTERM);
  waitpid(sshd->pid, NULL, 0);
  remove_folder(sshd->folder);
  g_free(sshd->folder);
  g_free(sshd->key);
  g_free(sshd);
}

static gboolean can_test(void)
{
  if (geteuid() == 0 && g_file_test(SSHD, G_FILE_TEST_IS_EXECUTABLE))
    return TRUE;
  g_test_skip("needs root and " SSHD);
  return FALSE;
}

static const char *program;

/* The keeper that was started over SSH: its own pid is in the status that it writes. */
static pid_t keeper_of(const Agent *agent)
{
  g_autofree char *path = g_build_filename(agent->folder, "run", "status", NULL), *text = NULL;
  if (!g_file_get_contents(path, &text, NULL, NULL))
    return 0;
  const char *pid = strstr(text, "\"pid\":");
  return pid != NULL ? (pid_t)g_ascii_strtoll(pid + strlen("\"pid\":"), NULL, 10) : 0;
}

static void test_enroll(void)
{
  if (!can_test())
    return;
  Rig *rig = rig_new(NULL);
  Agent *agent = agent_new();
  Sshd *sshd = sshd_start();
  g_autoptr(GError) error = NULL;
  g_auto(HfEnrolled) enrolled = { 0 };
  g_autofree char *target = g_build_filename(agent->folder, "bin", "holdfast-agent", NULL);
  g_autofree char *shown = hf_ssh_host_key("127.0.0.1", sshd->port, &error);
  g_assert_no_error(error);
  g_assert_true(g_str_has_prefix(shown, "SHA256:"));
  const char *const places[] = { "--config", agent->config, NULL };
  HfSshWish wish = { .address = "127.0.0.1", .port = sshd->port, .user = "root", .host_key = "SHA256:other",
                     .private_key = sshd->key, .passphrase = "pass word", .program = program, .target = target,
                     .places = places, .installer_port = agent->installer };
  /* Another host key than the one that was confirmed. */
  g_assert_false(hf_hosts_enroll_ssh(rig->hosts, &wish, &enrolled, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_REFUSED);
  g_assert_nonnull(strstr(error->message, shown));
  g_clear_error(&error);
  hf_enrolled_clear(&enrolled);
  /* None was confirmed. */
  wish.host_key = NULL;
  g_assert_false(hf_hosts_enroll_ssh(rig->hosts, &wish, &enrolled, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_REFUSED);
  g_clear_error(&error);
  hf_enrolled_clear(&enrolled);
  wish.host_key = shown;
  wish.passphrase = "wrong";
  g_assert_false(hf_hosts_enroll_ssh(rig->hosts, &wish, &enrolled, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_PASSWORD);
  g_clear_error(&error);
  hf_enrolled_clear(&enrolled);
  wish.passphrase = "pass word";
  g_assert_true(hf_hosts_enroll_ssh(rig->hosts, &wish, &enrolled, &error) || error == NULL);
  g_assert_no_error(error);
  g_assert_cmpstr(enrolled.ssh_host_key, ==, shown);
  agent->host = g_strdup(enrolled.host);
  hf_hosts_add(rig->hosts, agent->host, "web-1", "127.0.0.1", agent->installer);
  hf_hosts_wait(rig->hosts, agent->host, 20000, &error);
  g_assert_no_error(error);
  g_autofree char *result = NULL;
  g_assert_true(rig_do(rig, agent->host, "echo", "by ", "ssh", &result, &error));
  g_assert_cmpstr(result, ==, "by ssh");
  /* It is enrolled now: not a second time. */
  g_auto(HfEnrolled) again = { 0 };
  g_assert_false(hf_hosts_enroll_ssh(rig->hosts, &wish, &again, &error));
  g_assert_nonnull(strstr(error->message, "--again"));
  pid_t keeper = keeper_of(agent);
  g_assert_cmpint(keeper, >, 0);
  kill(keeper, SIGTERM);
  WAIT_FOR(kill(keeper, 0) < 0, 20);
  sshd_stop(sshd);
  rig_free(rig);
  agent_free(agent);
}

static void test_refused(void)
{
  if (!can_test())
    return;
  Rig *rig = rig_new(NULL);
  Sshd *sshd = sshd_start();
  g_autoptr(GError) error = NULL;
  g_auto(HfEnrolled) enrolled = { 0 };
  g_autofree char *shown = hf_ssh_host_key("127.0.0.1", sshd->port, &error);
  HfSshWish wish = { .address = "127.0.0.1", .port = sshd->port, .user = "root", .host_key = shown,
                     .password = "surely not this one", .program = program };
  g_assert_false(hf_hosts_enroll_ssh(rig->hosts, &wish, &enrolled, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_PASSWORD);
  g_clear_error(&error);
  hf_enrolled_clear(&enrolled);
  /* A program that is not there. */
  wish = (HfSshWish){ .address = "127.0.0.1", .port = sshd->port, .user = "root", .host_key = shown,
                      .private_key = sshd->key, .passphrase = "pass word", .target = "/no/such/holdfast-agent" };
  g_assert_false(hf_hosts_enroll_ssh(rig->hosts, &wish, &enrolled, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_FAILED);
  g_assert_nonnull(strstr(error->message, "/no/such/holdfast-agent"));
  g_clear_error(&error);
  guint16 closed = sshd->port;
  sshd_stop(sshd);
  g_assert_null(hf_ssh_host_key("127.0.0.1", closed, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_IO);
  rig_free(rig);
}

/* Behind sudo, with a password at hand: whether sudo asks for it or not, the token arrives. */
static void test_sudo(void)
{
  if (!can_test())
    return;
  for (int asks = 0; asks < 2; asks++) {
    Rig *rig = rig_new(NULL);
    Agent *agent = agent_new();
    Sshd *sshd = sshd_start();
    g_autoptr(GError) error = NULL;
    g_auto(HfEnrolled) enrolled = { 0 };
    g_autofree char *target = g_build_filename(agent->folder, "bin", "holdfast-agent", NULL);
    g_autofree char *mark = g_build_filename(sshd->folder, "free", NULL);
    g_autofree char *shown = hf_ssh_host_key("127.0.0.1", sshd->port, &error);
    const char *const places[] = { "--config", agent->config, NULL };
    HfSshWish wish = { .address = "127.0.0.1", .port = sshd->port, .user = "root", .host_key = shown,
                       .private_key = sshd->key, .passphrase = "pass word", .password = "pass word too", .sudo = TRUE,
                       .program = program, .target = target, .places = places, .installer_port = agent->installer };
    if (asks == 0)
      g_assert_true(g_file_set_contents(mark, "", -1, NULL));
    g_assert_true(hf_hosts_enroll_ssh(rig->hosts, &wish, &enrolled, &error) || error == NULL);
    g_assert_no_error(error);
    pid_t keeper = 0;
    WAIT_FOR((keeper = keeper_of(agent)) > 0, 20);
    kill(keeper, SIGTERM);
    WAIT_FOR(kill(keeper, 0) < 0, 20);
    g_auto(HfEnrolled) again = { 0 };
    wish.password = "surely not this one";
    if (asks == 1) {
      g_assert_false(hf_hosts_enroll_ssh(rig->hosts, &wish, &again, &error));
      g_assert_nonnull(strstr(error->message, "sudo: wrong"));
    }
    sshd_stop(sshd);
    rig_free(rig);
    agent_free(agent);
  }
}

/* A host that never ends its line, or never answers, costs neither memory nor a thread for ever. */
static void test_hostile(void)
{
  if (!can_test())
    return;
  Rig *rig = rig_new(NULL);
  Sshd *sshd = sshd_start_with("/bin/sleep 600");
  g_autoptr(GError) error = NULL;
  g_auto(HfEnrolled) enrolled = { 0 };
  g_autofree char *endless = g_build_filename(sshd->folder, "endless", NULL);
  g_assert_true(g_file_set_contents_full(endless, "#!/bin/sh\nexec tr '\\0' x </dev/zero\n", -1,
                                         G_FILE_SET_CONTENTS_NONE, 0755, NULL));
  g_autofree char *shown = hf_ssh_host_key("127.0.0.1", sshd->port, &error);
  HfSshWish wish = { .address = "127.0.0.1", .port = sshd->port, .user = "root", .host_key = shown,
                     .private_key = sshd->key, .passphrase = "pass word", .target = endless };
  gint64 begun = g_get_monotonic_time();
  g_assert_false(hf_hosts_enroll_ssh(rig->hosts, &wish, &enrolled, &error));
  g_assert_nonnull(strstr(error->message, "says too much"));
  g_assert_cmpint(g_get_monotonic_time() - begun, <, 20 * G_TIME_SPAN_SECOND);
  g_clear_error(&error);
  hf_enrolled_clear(&enrolled);
  begun = g_get_monotonic_time();
  wish.program = program;
  g_assert_false(hf_hosts_enroll_ssh(rig->hosts, &wish, &enrolled, &error));
  g_assert_nonnull(strstr(error->message, "does not answer"));
  g_assert_cmpint(g_get_monotonic_time() - begun, <, 60 * G_TIME_SPAN_SECOND);
  sshd_stop(sshd);
  rig_free(rig);
}

int main(int argc, char **argv)
{
  g_autoptr(GError) error = NULL;
  g_test_init(&argc, &argv, NULL);
  g_assert_true(hf_crypto_init(&error));
  g_assert_cmpint(argc, >=, 2);
  program = argv[1];
  agent_program(argv[1]);
  signal(SIGPIPE, SIG_IGN);
  g_test_add_func("/agent/ssh/enroll", test_enroll);
  g_test_add_func("/agent/ssh/refused", test_refused);
  g_test_add_func("/agent/ssh/sudo", test_sudo);
  g_test_add_func("/agent/ssh/hostile", test_hostile);
  return g_test_run();
}
