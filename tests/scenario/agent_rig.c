/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent_rig.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/work.h"
#include "net/connect.h"
#include "net/tls.h"

static const char *program_path;

/* ---- the server ---- */

static void event_free(gpointer item)
{
  hf_installer_event_clear(item);
  g_free(item);
}

static void on_status(gpointer user, const char *host, gboolean available, const char *message)
{
  Rig *rig = user;
  g_test_message("host %s: %s %s", host, available ? "up" : "down", message != NULL ? message : "");
  HF_LOCK(&rig->lock);
  if (available) {
    gint times = GPOINTER_TO_INT(g_hash_table_lookup(rig->up, host));
    g_hash_table_insert(rig->up, g_strdup(host), GINT_TO_POINTER(times + 1));
  }
  g_cond_broadcast(&rig->changed);
}

static gboolean on_told(gpointer user, const char *host G_GNUC_UNUSED, const HfInstallerEvent *event)
{
  Rig *rig = user;
  HF_LOCK(&rig->lock);
  if (rig->deaf)
    return FALSE;
  HfInstallerEvent *copy = g_new0(HfInstallerEvent, 1);
  g_autoptr(GBytes) bytes = hf_installer_event_encode(event, NULL);
  g_assert_true(hf_installer_event_decode(bytes, copy, NULL));
  g_ptr_array_add(rig->told, copy);
  g_cond_broadcast(&rig->changed);
  return TRUE;
}

static gboolean on_issued(gpointer user, const char *host G_GNUC_UNUSED, const char *certificate,
                          GError **error G_GNUC_UNUSED)
{
  Rig *rig = user;
  HF_LOCK(&rig->lock);
  g_ptr_array_add(rig->issued, g_strdup(certificate));
  return TRUE;
}

static char *on_known(gpointer user, const HfId *machine)
{
  Rig *rig = user;
  g_autofree char *hex = hf_hex(machine->b, sizeof machine->b);
  HF_LOCK(&rig->lock);
  return g_strdup(g_hash_table_lookup(rig->machines, hex));
}

void rig_start(Rig *rig)
{
  g_autoptr(GError) error = NULL;
  const HfHostsOps ops = { .user = rig, .status = on_status, .told = on_told, .issued = on_issued, .known = on_known };
  rig->hosts = hf_hosts_new(rig->identity, &ops, &error);
  g_assert_no_error(error);
}

Rig *rig_new(const HfServerIdentity *identity)
{
  g_autoptr(GError) error = NULL;
  Rig *rig = g_new0(Rig, 1);
  g_mutex_init(&rig->lock);
  g_cond_init(&rig->changed);
  rig->identity = identity != NULL ? hf_server_identity_copy(identity) : hf_server_identity_new("test server", &error);
  g_assert_no_error(error);
  rig->told = g_ptr_array_new_with_free_func(event_free);
  rig->issued = g_ptr_array_new_with_free_func(g_free);
  rig->up = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  rig->machines = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
  rig_start(rig);
  return rig;
}

void rig_stop(Rig *rig)
{
  g_clear_pointer(&rig->hosts, hf_hosts_free);
}

void rig_free(Rig *rig)
{
  rig_stop(rig);
  hf_server_identity_free(rig->identity);
  g_ptr_array_unref(rig->told);
  g_ptr_array_unref(rig->issued);
  g_hash_table_unref(rig->up);
  g_hash_table_unref(rig->machines);
  g_cond_clear(&rig->changed);
  g_mutex_clear(&rig->lock);
  g_free(rig);
}

static gboolean has_event(Rig *rig, const char *task, HfInstallerEventKind kind, const HfInstallerEvent **found)
{
  for (guint i = 0; i < rig->told->len; i++) {
    const HfInstallerEvent *event = rig->told->pdata[i];
    if (event->kind == kind && strcmp(event->name, task) == 0) {
      *found = event;
      return TRUE;
    }
  }
  return FALSE;
}

gboolean rig_wait_result(Rig *rig, const char *task, guint seconds, HfInstallerResult *result)
{
  const HfInstallerEvent *event = NULL;
  gint64 end = g_get_monotonic_time() + seconds * G_TIME_SPAN_SECOND;
  HF_LOCK(&rig->lock);
  while (!has_event(rig, task, HF_INSTALLER_EVENT_KIND_RESULT, &event))
    if (!g_cond_wait_until(&rig->changed, &rig->lock, end))
      return FALSE;
  return result == NULL || hf_installer_result_decode(event->body, result, NULL);
}

guint rig_count(Rig *rig, const char *task, HfInstallerEventKind kind)
{
  guint count = 0;
  HF_LOCK(&rig->lock);
  for (guint i = 0; i < rig->told->len; i++) {
    const HfInstallerEvent *event = rig->told->pdata[i];
    count += event->kind == kind && strcmp(event->name, task) == 0;
  }
  return count;
}

static gboolean has_note(Rig *rig, const char *text)
{
  for (guint i = 0; i < rig->told->len; i++) {
    const HfInstallerEvent *event = rig->told->pdata[i];
    g_autofree char *note = g_strndup(g_bytes_get_data(event->body, NULL), g_bytes_get_size(event->body));
    if (event->kind == HF_INSTALLER_EVENT_KIND_NOTE && strstr(note, text) != NULL)
      return TRUE;
  }
  return FALSE;
}

gboolean rig_wait_note(Rig *rig, const char *text, guint seconds)
{
  gint64 end = g_get_monotonic_time() + seconds * G_TIME_SPAN_SECOND;
  HF_LOCK(&rig->lock);
  while (!has_note(rig, text))
    if (!g_cond_wait_until(&rig->changed, &rig->lock, end))
      return FALSE;
  return TRUE;
}

static void fill_order(HfInstallerTaskOrder *order, const char *kind, const char *task, const char *secret)
{
  order->name = g_uuid_string_random();
  order->kind = g_strdup(kind);
  order->task = g_bytes_new(task, strlen(task));
  order->secret = g_bytes_new(secret, strlen(secret));
}

gboolean rig_do(Rig *rig, const char *host, const char *kind, const char *task, const char *secret, char **result,
                GError **error)
{
  g_auto(HfInstallerTaskOrder) order = { 0 };
  g_auto(HfInstallerResult) got = { 0 };
  fill_order(&order, kind, task, secret);
  gboolean done = hf_hosts_do(rig->hosts, host, &order, 30000, &got, error);
  if (got.result != NULL && result != NULL)
    *result = g_strndup(g_bytes_get_data(got.result, NULL), g_bytes_get_size(got.result));
  return done;
}

char *rig_begin(Rig *rig, const char *host, const char *kind, const char *task)
{
  g_autoptr(GError) error = NULL;
  g_auto(HfInstallerTaskOrder) order = { 0 };
  g_auto(HfInstallerTaskStarted) started = { 0 };
  fill_order(&order, kind, task, "");
  hf_hosts_run(rig->hosts, host, &order, &started, &error);
  g_assert_no_error(error);
  return g_strdup(order.name);
}

/* ---- agents ---- */

void agent_program(const char *path)
{
  program_path = path;
}

/* Below the ports that the kernel gives to connections: what is free now is still free when an agent listens. */
guint16 free_port(void)
{
  static guint16 next;
  if (next == 0)
    next = (guint16)g_random_int_range(10000, 18000);
  for (;;) {
    int fd = hf_net_listen("127.0.0.1", ++next, NULL);
    if (fd < 0)
      continue;
    close(fd);
    return next;
  }
}

/* The network roles run as another user, who must be able to look into it. */
char *test_folder(void)
{
  char *folder = g_dir_make_tmp("holdfast-agent-XXXXXX", NULL);
  g_assert_nonnull(folder);
  g_assert_cmpint(g_chmod(folder, 0755), ==, 0);
  return folder;
}

void remove_folder(const char *folder)
{
  const char *const words[] = { "rm", "-rf", "--", folder, NULL };
  g_assert_true(g_spawn_sync(NULL, (char **)words, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL));
}

Agent *agent_new(void)
{
  Agent *agent = g_new0(Agent, 1);
  agent->folder = test_folder();
  agent->config = g_build_filename(agent->folder, "agent.conf", NULL);
  agent->installer = free_port();
  agent->transport = free_port();
  agent->first = (guint16)g_test_rand_int_range(20000, 30000);
  agent->last = (guint16)(agent->first + 50);
  g_autofree char *text = g_strdup_printf("[agent]\nstate=%s/state\nruntime=%s/run\naddress=127.0.0.1\nuser=nobody\n"
                                          "[ports]\ninstaller=%u\ntransport=%u\nchannels=%u-%u\n", agent->folder,
                                          agent->folder, agent->installer, agent->transport, agent->first, agent->last);
  g_assert_true(g_file_set_contents(agent->config, text, -1, NULL));
  return agent;
}

static GPid spawn(const Agent *agent, const char *const *words, const char *out)
{
  GPid pid = 0;
  g_autoptr(GError) error = NULL;
  g_autofree char *path = g_build_filename(agent->folder, out, NULL);
  int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  g_spawn_async_with_fds(NULL, (char **)words, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid, -1, fd, fd, &error);
  g_assert_no_error(error);
  close(fd);
  return pid;
}

void agent_start(Agent *agent)
{
  const char *const words[] = { program_path, "run", "--config", agent->config, NULL };
  g_assert_cmpint(agent->pid, ==, 0);
  agent->pid = spawn(agent, words, "keeper.out");
}

int wait_exit(GPid pid, guint seconds)
{
  int status;
  gint64 end = g_get_monotonic_time() + seconds * G_TIME_SPAN_SECOND;
  while (waitpid(pid, &status, WNOHANG) == 0) {
    if (g_get_monotonic_time() > end) {
      kill(pid, SIGKILL);
      waitpid(pid, &status, 0);
      return -1;
    }
    g_usleep(10000);
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void agent_stop(Agent *agent)
{
  if (agent->pid == 0)
    return;
  kill(agent->pid, SIGTERM);
  g_assert_cmpint(wait_exit(agent->pid, 45), ==, 0);
  agent->pid = 0;
}

void agent_kill(Agent *agent)
{
  kill(agent->pid, SIGKILL);
  wait_exit(agent->pid, 10);
  agent->pid = 0;
}

void agent_free(Agent *agent)
{
  agent_stop(agent);
  if (g_test_failed() || g_getenv("HOLDFAST_TEST_KEEP") != NULL)
    g_test_message("kept: %s", agent->folder);
  else
    remove_folder(agent->folder);
  g_free(agent->folder);
  g_free(agent->config);
  g_free(agent->host);
  g_free(agent);
}

GPid agent_begin_enroll(Agent *agent, const char *token, gboolean again)
{
  const char *const words[] = { program_path, "enroll",  "--config", agent->config, "--wait", "30", "--token",
                                token,        again ? "--again" : NULL, NULL };
  return spawn(agent, words, "enroll.out");
}

void agent_join(Agent *agent, Rig *rig)
{
  g_autoptr(GError) error = NULL;
  g_auto(HfEnrolled) enrolled = { 0 };
  char *token = hf_tls_token_new();
  GPid pid = agent_begin_enroll(agent, token, FALSE);
  const HfEnrollWish wish = { .address = "127.0.0.1", .port = agent->installer, .token = token, .wait_seconds = 10 };
  hf_hosts_enroll(rig->hosts, &wish, &enrolled, &error);
  g_assert_no_error(error);
  g_assert_cmpint(wait_exit(pid, 10), ==, 0);
  hf_tls_token_free(token);
  g_free(agent->host);
  agent->host = g_strdup(enrolled.host);
  g_hash_table_insert(rig->machines, hf_hex(enrolled.machine.b, sizeof enrolled.machine.b), g_strdup(enrolled.host));
  hf_hosts_add(rig->hosts, agent->host, "web-1", "127.0.0.1", agent->installer);
}

pid_t agent_child(const Agent *agent, const char *name)
{
  g_autofree char *path = g_strdup_printf("/proc/%d/task/%d/children", agent->pid, agent->pid), *text = NULL;
  if (!g_file_get_contents(path, &text, NULL, NULL))
    return 0;
  g_auto(GStrv) pids = g_strsplit(g_strstrip(text), " ", 0);
  for (guint i = 0; pids[i] != NULL; i++) {
    g_autofree char *comm = g_strdup_printf("/proc/%s/comm", pids[i]), *found = NULL;
    if (g_file_get_contents(comm, &found, NULL, NULL) && strcmp(g_strstrip(found), name) == 0)
      return (pid_t)g_ascii_strtoll(pids[i], NULL, 10);
  }
  return 0;
}

gboolean agent_status_has(const Agent *agent, const char *text)
{
  g_autofree char *said = NULL;
  const char *const words[] = { program_path, "status", "--json", "--config", agent->config, NULL };
  g_assert_true(g_spawn_sync(NULL, (char **)words, NULL, G_SPAWN_DEFAULT, NULL, NULL, &said, NULL, NULL, NULL));
  return strstr(said, text) != NULL;
}
