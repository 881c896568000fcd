/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A server and agents as real processes: enrolment, orders, tasks, events, deaths. */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "agent_rig.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/work.h"
#include "net/connect.h"
#include "net/tls.h"

static const char *scenario_program;

static void assert_up(Rig *rig, const Agent *agent)
{
  g_autoptr(GError) error = NULL;
  hf_hosts_wait(rig->hosts, agent->host, 20000, &error);
  g_assert_no_error(error);
}

/* A server with one agent that answers. */
static void set_up(Rig **rig, Agent **agent)
{
  *rig = rig_new(NULL);
  *agent = agent_new();
  agent_join(*agent, *rig);
  agent_start(*agent);
  assert_up(*rig, *agent);
}

static void tear_down(Rig *rig, Agent *agent)
{
  agent_stop(agent);
  rig_free(rig);
  agent_free(agent);
}

static gboolean echoes(Rig *rig, const Agent *agent)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *result = NULL;
  gboolean done = rig_do(rig, agent->host, "echo", "hello ", "world", &result, &error);
  if (error != NULL)
    g_test_message("echo: %s", error->message);
  return done && strcmp(result, "hello world") == 0;
}

/* ---- enrolment ---- */

static void test_enroll(void)
{
  Rig *rig;
  Agent *agent;
  set_up(&rig, &agent);
  g_assert_true(echoes(rig, agent));
  g_assert_true(agent_status_has(agent, "\"enrolled\":true"));
  WAIT_FOR(agent_status_has(agent, "\"running\":true"), 5);
  /* Enrolled once: not again without being told so. */
  char *token = hf_tls_token_new();
  GPid pid = agent_begin_enroll(agent, token, FALSE);
  g_assert_cmpint(wait_exit(pid, 10), ==, 1);
  hf_tls_token_free(token);
  tear_down(rig, agent);
}

static void test_wrong_token(void)
{
  Rig *rig = rig_new(NULL);
  Agent *agent = agent_new();
  char *right = hf_tls_token_new();
  GPid pid = agent_begin_enroll(agent, right, FALSE);
  for (guint i = 0; i < 5; i++) {
    g_autoptr(GError) error = NULL;
    g_auto(HfEnrolled) enrolled = { 0 };
    /* The name of a token is sent in the clear: who has only that is who guesses. */
    char *wrong = g_strdup(right);
    wrong[0] = wrong[0] == 'A' ? 'B' : 'A';
    const HfEnrollWish wish = { .address = "127.0.0.1", .port = agent->installer, .token = wrong, .wait_seconds = 5 };
    g_assert_false(hf_hosts_enroll(rig->hosts, &wish, &enrolled, &error));
    g_assert_nonnull(error);
    hf_tls_token_free(wrong);
  }
  g_assert_cmpint(wait_exit(pid, 10), ==, 5);
  /* The right token is void now, also for another try. */
  pid = agent_begin_enroll(agent, right, FALSE);
  g_assert_cmpint(wait_exit(pid, 10), ==, 5);
  hf_tls_token_free(right);
  rig_free(rig);
  agent_free(agent);
}

static void test_token_once(void)
{
  Rig *rig = rig_new(NULL);
  Agent *agent = agent_new();
  g_autoptr(GError) error = NULL;
  g_auto(HfEnrolled) enrolled = { 0 };
  char *token = hf_tls_token_new();
  GPid pid = agent_begin_enroll(agent, token, FALSE);
  const HfEnrollWish wish = { .address = "127.0.0.1", .port = agent->installer, .token = token, .wait_seconds = 5 };
  g_assert_true(hf_hosts_enroll(rig->hosts, &wish, &enrolled, &error));
  g_assert_cmpint(wait_exit(pid, 10), ==, 0);
  pid = agent_begin_enroll(agent, token, TRUE);
  g_assert_cmpint(wait_exit(pid, 10), ==, 5);
  hf_tls_token_free(token);
  rig_free(rig);
  agent_free(agent);
}

/* The same machine under a second name is found; told to, it is enrolled again under its first one. */
static void test_enrolled_twice(void)
{
  Rig *rig;
  Agent *agent;
  set_up(&rig, &agent);
  for (guint again = 0; again < 2; again++) {
    g_autoptr(GError) error = NULL;
    g_auto(HfEnrolled) enrolled = { 0 };
    char *token = hf_tls_token_new();
    GPid pid = agent_begin_enroll(agent, token, TRUE);
    const HfEnrollWish wish = { .address = "127.0.0.1", .port = agent->installer, .token = token,
                                .replaces = again ? agent->host : NULL, .wait_seconds = 10 };
    /* The keeper's installer role answers until it has left the port. */
    for (guint i = 0; i < 50; i++) {
      g_clear_error(&error);
      hf_enrolled_clear(&enrolled);
      if (hf_hosts_enroll(rig->hosts, &wish, &enrolled, &error) || hf_error_is(error, HF_ERROR_EXISTS))
        break;
      g_usleep(200000);
    }
    if (again) {
      g_assert_no_error(error);
      g_assert_cmpstr(enrolled.host, ==, agent->host);
      g_assert_cmpint(wait_exit(pid, 10), ==, 0);
    } else {
      g_assert_error(error, HF_ERROR, HF_ERROR_EXISTS);
      g_assert_nonnull(strstr(error->message, agent->host));
      kill(pid, SIGKILL);
      wait_exit(pid, 10);
      /* What was killed tells nobody that it has left the port. */
      assert_up(rig, agent);
    }
    hf_tls_token_free(token);
  }
  hf_hosts_nudge(rig->hosts, agent->host);
  g_usleep(1000000);
  assert_up(rig, agent);
  WAIT_FOR(echoes(rig, agent), 20);
  tear_down(rig, agent);
}

/* A second server has the network and no right to anything. */
static void test_two_servers(void)
{
  Rig *rig, *other = rig_new(NULL);
  Agent *agent;
  g_autoptr(GError) error = NULL;
  set_up(&rig, &agent);
  hf_hosts_add(other->hosts, agent->host, "stolen", "127.0.0.1", agent->installer);
  g_assert_false(hf_hosts_wait(other->hosts, agent->host, 4000, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_IO);
  g_assert_true(echoes(rig, agent));
  /* With a certificate of the right authority, but of another server. */
  HfServerIdentity *mixed = hf_server_identity_copy(rig->identity);
  g_free(mixed->uuid);
  mixed->uuid = g_uuid_string_random();
  g_clear_error(&error);
  g_assert_true(hf_server_identity_renew(mixed, "another", &error));
  Rig *third = rig_new(mixed);
  hf_hosts_add(third->hosts, agent->host, "stolen", "127.0.0.1", agent->installer);
  g_assert_false(hf_hosts_wait(third->hosts, agent->host, 4000, NULL));
  g_assert_true(echoes(rig, agent));
  hf_server_identity_free(mixed);
  rig_free(third);
  rig_free(other);
  tear_down(rig, agent);
}

static void test_forget(void)
{
  Rig *rig;
  Agent *agent;
  g_autoptr(GError) error = NULL;
  set_up(&rig, &agent);
  g_assert_true(hf_hosts_forget(rig->hosts, agent->host, &error));
  WAIT_FOR(agent_status_has(agent, "\"enrolled\":false"), 5);
  WAIT_FOR(agent_child(agent, "hf-installer") == 0, 10);
  /* The keeper waits for another enrolment, and obeys that. */
  g_hash_table_remove_all(rig->machines);
  agent_join(agent, rig);
  assert_up(rig, agent);
  g_assert_true(echoes(rig, agent));
  tear_down(rig, agent);
}

/* ---- tasks ---- */

static void test_tasks(void)
{
  Rig *rig;
  Agent *agent;
  g_autofree char *result = NULL;
  g_autoptr(GError) error = NULL;
  set_up(&rig, &agent);
  g_assert_false(rig_do(rig, agent->host, "fail", "", "", &result, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_NO_SPACE);
  g_assert_cmpstr(error->message, ==, "there is no room");
  g_assert_cmpstr(result, ==, "part");
  g_clear_error(&error);
  g_clear_pointer(&result, g_free);
  g_assert_false(rig_do(rig, agent->host, "die", "", "", NULL, &error));
  g_assert_nonnull(strstr(error->message, "signal 9"));
  g_clear_error(&error);
  g_assert_false(rig_do(rig, agent->host, "knit", "", "", NULL, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_UNSUPPORTED);
  g_clear_error(&error);
  if (geteuid() == 0) {
    g_assert_true(rig_do(rig, agent->host, "network", "", "", &result, &error));
    g_assert_null(strstr(result, "eth"));
  }
  g_autofree char *slow = rig_begin(rig, agent->host, "sleep", "60");
  g_assert_true(rig_wait_result(rig, slow, 20, NULL));
  g_assert_cmpuint(rig_count(rig, slow, HF_INSTALLER_EVENT_KIND_LOG), ==, 6);
  g_assert_cmpuint(rig_count(rig, slow, HF_INSTALLER_EVENT_KIND_PROGRESS), >, 2);
  tear_down(rig, agent);
}

static void test_cancel(void)
{
  Rig *rig;
  Agent *agent;
  g_autoptr(GError) error = NULL;
  g_auto(HfInstallerResult) result = { 0 };
  set_up(&rig, &agent);
  g_autofree char *task = rig_begin(rig, agent->host, "sleep", "2000");
  g_assert_true(hf_hosts_cancel(rig->hosts, agent->host, task, &error));
  g_assert_true(rig_wait_result(rig, task, 10, &result));
  g_assert_cmpuint(result.code, ==, HF_ERROR_CANCELLED);
  g_assert_false(hf_hosts_cancel(rig->hosts, agent->host, "nobody", &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_NOT_FOUND);
  tear_down(rig, agent);
}

/* What no server asks for yet, and every agent answers. */
static gboolean ask_for_space(Rig *rig, const Agent *agent, const char *path, HfInstallerSpace *space, GError **error)
{
  const HfInstallerPath asked = { .path = (char *)path };
  g_autoptr(GBytes) body = hf_installer_path_encode(&asked, error);
  g_autoptr(GBytes) answer =
    body != NULL ? hf_hosts_order(rig->hosts, agent->host, HF_INSTALLER_ACT_SPACE, body, error) : NULL;
  return answer != NULL && hf_installer_space_decode(answer, space, error);
}

static void test_list_and_space(void)
{
  Rig *rig;
  Agent *agent;
  g_autoptr(GError) error = NULL;
  HfInstallerSpace space = { 0 };
  g_auto(HfInstallerList) list = { 0 }, rest = { 0 };
  set_up(&rig, &agent);
  g_auto(HfInstallerListTask) task = { .most = 2 };
  task.path = g_bytes_new(agent->folder, strlen(agent->folder));
  task.after = g_bytes_new("", 0);
  g_assert_true(hf_hosts_list(rig->hosts, agent->host, &task, &list, &error));
  g_assert_cmpuint(list.n_entries, ==, 2);
  g_assert_true(list.more);
  g_assert_cmpmem(g_bytes_get_data(list.entries[0].name, NULL), (int)g_bytes_get_size(list.entries[0].name),
                  "agent.conf", 10);
  g_bytes_unref(task.after);
  task.after = g_bytes_ref(list.entries[1].name);
  task.most = 100;
  g_assert_true(hf_hosts_list(rig->hosts, agent->host, &task, &rest, &error));
  g_assert_cmpuint(rest.n_entries, ==, 3);
  g_assert_false(rest.more);
  g_assert_true(ask_for_space(rig, agent, agent->folder, &space, &error));
  g_assert_cmpuint(space.total, >, space.free);
  g_assert_false(ask_for_space(rig, agent, "/no/such/place", &space, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_NOT_FOUND);
  tear_down(rig, agent);
}

static void test_logs(void)
{
  Rig *rig;
  Agent *agent;
  g_autoptr(GError) error = NULL;
  set_up(&rig, &agent);
  g_autofree char *tar = g_build_filename(agent->folder, "logs.tar", NULL), *said = NULL;
  g_assert_true(hf_hosts_collect_logs(rig->hosts, agent->host, 0, tar, &error));
  const char *const words[] = { "tar", "-xOf", tar, "agent.log", NULL };
  g_assert_true(g_spawn_sync(NULL, (char **)words, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &said, NULL, NULL, NULL));
  g_assert_nonnull(strstr(said, "listens on port"));
  tear_down(rig, agent);
}

/* ---- links ---- */

static gboolean can_listen(guint16 port)
{
  int fd = hf_net_listen("127.0.0.1", port, NULL);
  return fd >= 0 && close(fd) == 0;
}

static void test_links(void)
{
  Rig *rig;
  Agent *agent;
  Agent *far = agent_new();
  g_autoptr(GError) error = NULL;
  HfJobHosts table;
  HfJobTicketOpen open;
  set_up(&rig, &agent);
  agent_join(far, rig);
  agent_start(far);
  assert_up(rig, far);
  hf_hosts_for_jobs(rig->hosts, &table);
  HfJobTicket ticket = { .peer_id = agent->host, .path = "/srv/x", .rights = 3, .seconds = 60, .streams = 3 };
  hf_random(&ticket.id, sizeof ticket.id);
  hf_random(&ticket.token, sizeof ticket.token);
  WAIT_FOR(agent_status_has(far, "\"role\":\"transport\",\"running\":true"), 10);
  WAIT_FOR(agent_status_has(agent, "\"role\":\"transport\",\"running\":true"), 10);
  g_assert_true(table.ticket(rig->hosts, far->host, &ticket, &open, &error));
  g_assert_no_error(error);
  g_assert_cmpuint(open.ports, ==, 3);
  g_assert_cmpuint(open.transport_port, ==, far->transport);
  g_assert_cmpuint(open.channel_ports[0], >=, far->first);
  g_assert_cmpuint(open.channel_ports[2], <=, far->last);
  /* By the transport port, by the range alone, and where the transport port is closed. */
  const guint16 closed = free_port();
  HfJobLink links[3];
  const guint16 transports[] = { open.transport_port, 0, closed };
  for (gsize i = 0; i < G_N_ELEMENTS(links); i++)
    links[i] = (HfJobLink){ .host_id = far->host, .token = ticket.token, .transport_port = transports[i],
                            .channel_port = open.channel_ports[i] };
  g_auto(HfInstallerResult) result = { 0 };
  g_autofree char *name = g_uuid_string_random();
  g_autoptr(GBytes) task = g_bytes_new("abc", 3);
  g_assert_true(table.order(rig->hosts, agent->host, name, "link", task, NULL, links, 3, &error));
  g_assert_true(rig_wait_result(rig, name, 20, &result));
  g_assert_cmpstr(result.message, ==, "");
  g_assert_cmpmem(g_bytes_get_data(result.result, NULL), (int)g_bytes_get_size(result.result), "ABCABCABC", 9);
  g_assert_cmpuint(result.wire_written, >, 9);
  /* The same name is ordered once. */
  g_assert_false(table.order(rig->hosts, agent->host, name, "link", task, NULL, links, 3, &error) &&
                 rig_count(rig, name, HF_INSTALLER_EVENT_KIND_RESULT) != 1);
  g_clear_error(&error);
  /* A ticket that was taken back opens nothing; nor does one of another host. */
  table.ticket_close(rig->hosts, far->host, &ticket.id);
  g_autofree char *second = g_uuid_string_random();
  g_auto(HfInstallerResult) refused = { 0 };
  g_assert_true(table.order(rig->hosts, agent->host, second, "link", task, NULL, links, 1, &error));
  g_assert_true(rig_wait_result(rig, second, 20, &refused));
  g_assert_cmpuint(refused.code, ==, HF_ERROR_REFUSED);
  /* The server itself may show one that is for it. */
  ticket.peer_id = NULL;
  hf_random(&ticket.id, sizeof ticket.id);
  g_assert_true(table.ticket(rig->hosts, far->host, &ticket, &open, &error));
  g_autoptr(HfChannel) channel = table.connect(rig->hosts, far->host, &ticket.token, &open, 0, &error);
  g_assert_no_error(error);
  char back[4] = { 0 };
  g_assert_true(hf_channel_send(channel, "xyz", 3, &error));
  g_assert_true(hf_channel_read(channel, back, 3, &error));
  g_assert_cmpstr(back, ==, "XYZ");
  g_clear_pointer(&channel, hf_channel_free);
  agent_stop(far);
  tear_down(rig, agent);
  agent_free(far);
}

/* A ticket lives as long as somebody uses it, and a little longer; then its ports are given back. */
static void test_ticket_ends(void)
{
  Rig *rig;
  Agent *agent;
  g_autoptr(GError) error = NULL;
  HfJobHosts table;
  HfJobTicketOpen open;
  char back[4] = { 0 };
  set_up(&rig, &agent);
  hf_hosts_for_jobs(rig->hosts, &table);
  HfJobTicket ticket = { .path = "/srv/x", .rights = 3, .seconds = 2, .streams = 3 };
  hf_random(&ticket.id, sizeof ticket.id);
  hf_random(&ticket.token, sizeof ticket.token);
  WAIT_FOR(agent_status_has(agent, "\"role\":\"transport\",\"running\":true"), 10);
  g_assert_true(table.ticket(rig->hosts, agent->host, &ticket, &open, &error));
  g_autoptr(HfChannel) first = table.connect(rig->hosts, agent->host, &ticket.token, &open, 0, &error);
  g_assert_no_error(error);
  g_usleep(4 * G_USEC_PER_SEC);
  g_autoptr(HfChannel) second = table.connect(rig->hosts, agent->host, &ticket.token, &open, 1, &error);
  g_assert_no_error(error);
  g_assert_true(hf_channel_send(first, "xyz", 3, &error) && hf_channel_read(first, back, 3, &error));
  g_assert_cmpstr(back, ==, "XYZ");
  g_clear_pointer(&first, hf_channel_free);
  g_clear_pointer(&second, hf_channel_free);
  g_usleep(4 * G_USEC_PER_SEC);
  g_autoptr(HfChannel) third = table.connect(rig->hosts, agent->host, &ticket.token, &open, 2, &error);
  g_assert_null(third);
  g_assert_error(error, HF_ERROR, HF_ERROR_REFUSED);
  g_clear_error(&error);
  WAIT_FOR(can_listen(open.channel_ports[2]), 30);
  tear_down(rig, agent);
}

/* ---- deaths ---- */

/* The keeper and all that it started. */
static void signal_agent(const Agent *agent, int number)
{
  static const char *const names[] = { "hf-installer", "hf-transport", "hf-worker" };
  kill(agent->pid, number);
  for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
    pid_t pid = agent_child(agent, names[i]);
    if (pid > 0)
      kill(pid, number);
  }
}

static void assert_stops_soon(Rig *rig)
{
  gint64 begun = g_get_monotonic_time();
  rig_stop(rig);
  g_assert_cmpint(g_get_monotonic_time() - begun, <, 8 * G_USEC_PER_SEC);
}

static gpointer ask_for_status(gpointer user)
{
  void *const *pair = user;
  const Rig *rig = pair[0];
  const Agent *agent = pair[1];
  g_auto(HfInstallerStatus) status = { 0 };
  return GINT_TO_POINTER(hf_hosts_status(rig->hosts, agent->host, &status, NULL));
}

/* A server that ends does not wait for a host that says nothing: neither with a call under way, nor while it calls. */
static void test_silent_host(void)
{
  Rig *rig;
  Agent *agent;
  set_up(&rig, &agent);
  void *pair[] = { rig, agent };
  signal_agent(agent, SIGSTOP);
  GThread *asking = g_thread_new("ask", ask_for_status, pair);
  g_usleep(500000);
  hf_hosts_break(rig->hosts);
  g_assert_null(g_thread_join(asking));
  assert_stops_soon(rig);
  rig_start(rig);
  hf_hosts_add(rig->hosts, agent->host, "web-1", "127.0.0.1", agent->installer);
  g_usleep(500000);
  assert_stops_soon(rig);
  rig_start(rig);
  signal_agent(agent, SIGCONT);
  hf_hosts_add(rig->hosts, agent->host, "web-1", "127.0.0.1", agent->installer);
  assert_up(rig, agent);
  tear_down(rig, agent);
}

/* Whoever is killed is back at once; only what dies again and again has to wait. */
static void test_kill_often(void)
{
  Rig *rig;
  Agent *agent;
  set_up(&rig, &agent);
  gint64 begun = g_get_monotonic_time();
  for (guint i = 0; i < 4; i++) {
    WAIT_FOR(agent_status_has(agent, "\"role\":\"transport\",\"running\":true"), 20);
    pid_t pid = agent_child(agent, "hf-transport");
    kill(pid, SIGKILL);
    WAIT_FOR(agent_child(agent, "hf-transport") != pid, 20);
  }
  WAIT_FOR(agent_status_has(agent, "\"role\":\"transport\",\"running\":true"), 20);
  g_assert_cmpint(g_get_monotonic_time() - begun, <, 10 * G_USEC_PER_SEC);
  tear_down(rig, agent);
}

/* The task goes on while the server is away; its result is told to the next one. */
static void test_server_away(void)
{
  Rig *rig;
  Agent *agent;
  g_auto(HfInstallerResult) result = { 0 };
  set_up(&rig, &agent);
  g_autofree char *task = rig_begin(rig, agent->host, "sleep", "40");
  rig_stop(rig);
  g_usleep(4 * G_USEC_PER_SEC);
  g_assert_false(rig_wait_result(rig, task, 0, NULL));
  rig_start(rig);
  hf_hosts_add(rig->hosts, agent->host, "web-1", "127.0.0.1", agent->installer);
  g_assert_true(rig_wait_result(rig, task, 20, &result));
  g_assert_cmpuint(result.code, ==, 0);
  g_assert_cmpuint(rig_count(rig, task, HF_INSTALLER_EVENT_KIND_LOG), >=, 4);
  g_assert_true(echoes(rig, agent));
  tear_down(rig, agent);
}

/* An event that could not be kept comes again. */
static void test_not_kept(void)
{
  Rig *rig;
  Agent *agent;
  set_up(&rig, &agent);
  g_autofree char *task = rig_begin(rig, agent->host, "sleep", "10");
  rig->deaf = TRUE;
  g_usleep(2 * G_USEC_PER_SEC);
  rig->deaf = FALSE;
  g_assert_true(rig_wait_result(rig, task, 20, NULL));
  tear_down(rig, agent);
}

static void test_kill_keeper(void)
{
  Rig *rig;
  Agent *agent;
  g_auto(HfInstallerResult) result = { 0 };
  set_up(&rig, &agent);
  g_autofree char *task = rig_begin(rig, agent->host, "sleep", "2000");
  WAIT_FOR(agent_child(agent, "hf-worker") > 0, 10);
  pid_t worker = agent_child(agent, "hf-worker"), face = agent_child(agent, "hf-installer");
  g_assert_cmpint(face, >, 0);
  agent_kill(agent);
  /* Nothing outlives the keeper. */
  WAIT_FOR(kill(worker, 0) < 0 && kill(face, 0) < 0, 5);
  agent_start(agent);
  g_assert_true(rig_wait_result(rig, task, 30, &result));
  g_assert_cmpuint(result.code, ==, HF_ERROR_FAILED);
  g_assert_nonnull(strstr(result.message, "ended while the task ran"));
  WAIT_FOR(echoes(rig, agent), 20);
  tear_down(rig, agent);
}

static void test_kill_faces(void)
{
  Rig *rig;
  Agent *agent;
  set_up(&rig, &agent);
  g_autofree char *task = rig_begin(rig, agent->host, "sleep", "80");
  kill(agent_child(agent, "hf-installer"), SIGKILL);
  kill(agent_child(agent, "hf-transport"), SIGKILL);
  g_assert_true(rig_wait_note(rig, "role 'transport' ended (signal 9)", 20));
  g_assert_true(rig_wait_result(rig, task, 30, NULL));
  WAIT_FOR(agent_status_has(agent, "\"role\":\"transport\",\"running\":true"), 10);
  g_assert_true(echoes(rig, agent));
  tear_down(rig, agent);
}

static void test_kill_worker(void)
{
  Rig *rig;
  Agent *agent;
  g_auto(HfInstallerResult) result = { 0 };
  set_up(&rig, &agent);
  g_autofree char *task = rig_begin(rig, agent->host, "sleep", "2000");
  WAIT_FOR(agent_child(agent, "hf-worker") > 0, 5);
  kill(agent_child(agent, "hf-worker"), SIGKILL);
  g_assert_true(rig_wait_result(rig, task, 10, &result));
  g_assert_nonnull(strstr(result.message, "signal 9"));
  tear_down(rig, agent);
}

/* A keeper that is told to end asks its tasks first, and tells their results after its next start. */
static void test_stop_keeper(void)
{
  Rig *rig;
  Agent *agent;
  g_auto(HfInstallerResult) result = { 0 };
  set_up(&rig, &agent);
  g_autofree char *task = rig_begin(rig, agent->host, "sleep", "2000");
  rig_stop(rig);
  agent_stop(agent);
  agent_start(agent);
  rig_start(rig);
  hf_hosts_add(rig->hosts, agent->host, "web-1", "127.0.0.1", agent->installer);
  g_assert_true(rig_wait_result(rig, task, 20, &result));
  g_assert_cmpuint(result.code, ==, HF_ERROR_CANCELLED);
  tear_down(rig, agent);
}

static void test_roles(void)
{
  Rig *rig;
  Agent *agent;
  g_autoptr(GError) error = NULL;
  set_up(&rig, &agent);
  WAIT_FOR(agent_child(agent, "hf-transport") > 0, 5);
  g_assert_true(hf_hosts_role(rig->hosts, agent->host, "transport", HF_INSTALLER_ROLE_ACT_STOP, &error));
  WAIT_FOR(agent_child(agent, "hf-transport") == 0, 10);
  g_usleep(1500000);
  g_assert_cmpint(agent_child(agent, "hf-transport"), ==, 0);
  g_assert_true(hf_hosts_role(rig->hosts, agent->host, "transport", HF_INSTALLER_ROLE_ACT_START, &error));
  WAIT_FOR(agent_child(agent, "hf-transport") > 0, 10);
  g_assert_true(hf_hosts_role(rig->hosts, agent->host, "installer", HF_INSTALLER_ROLE_ACT_RESTART, &error));
  g_usleep(2000000);
  assert_up(rig, agent);
  g_assert_false(hf_hosts_role(rig->hosts, agent->host, "tape", HF_INSTALLER_ROLE_ACT_START, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_NOT_FOUND);
  g_auto(HfInstallerStatus) status = { 0 };
  g_clear_error(&error);
  assert_up(rig, agent);
  g_assert_true(hf_hosts_status(rig->hosts, agent->host, &status, &error));
  g_assert_cmpuint(status.n_roles, ==, 2);
  tear_down(rig, agent);
}

/* ---- orders from who must not give any ---- */

typedef struct Forger {
  HfChannel *channel;
  HfRpc *rpc;
} Forger;

/* What a face that was taken over could send: it has the server's session, and not the server's key. */
static Forger forger_new(const Rig *rig, const Agent *agent)
{
  g_autoptr(GError) error = NULL;
  const HfServerIdentity *own = rig->identity;
  const HfTlsSettings settings = { own->certificate, own->key, own->authority, NULL };
  g_autoptr(HfTlsIdentity) tls = hf_tls_identity_new(&settings, &error);
  const HfTlsExpect expect = { .kinds = HF_PEER_HOST };
  const HfRpcOptions options = { .service = HF_INSTALLER_SERVICE, .version_low = 1, .version_high = 1 };
  Forger forger;
  int fd = hf_net_connect("127.0.0.1", agent->installer, 3000, &error);
  forger.channel = hf_tls_connect(tls, fd, &expect, NULL, 5000, NULL, &error);
  g_assert_no_error(error);
  forger.rpc = hf_rpc_new(forger.channel, &options, &error);
  g_assert_no_error(error);
  return forger;
}

static GError *send_order(const Forger *forger, const char *key, const char *host, guint64 number, gint64 until,
                          gboolean tamper)
{
  GError *error = NULL;
  g_auto(HfInstallerTaskName) name = { .name = g_strdup("nobody") };
  g_auto(HfInstallerOrder) order = { .host = g_strdup(host), .number = number, .until = until,
                                     .act = HF_INSTALLER_ACT_CANCEL };
  order.body = hf_installer_task_name_encode(&name, NULL);
  g_auto(HfInstallerSignedOrder) out = { .order = hf_installer_order_encode(&order, NULL) };
  gsize length;
  const void *bytes = g_bytes_get_data(out.order, &length);
  out.signature = hf_pki_sign(key, "holdfast order 1", bytes, length, &error);
  g_assert_no_error(error);
  if (tamper) {
    guint8 *other = g_memdup2(bytes, length);
    other[length - 1] ^= 1;
    g_bytes_unref(out.order);
    out.order = g_bytes_new_take(other, length);
  }
  g_auto(HfInstallerAnswer) answer = { 0 };
  hf_installer_call_order(forger->rpc, &out, &answer, 10000, &error);
  return error;
}

static void test_forged_orders(void)
{
  Rig *rig;
  Agent *agent;
  set_up(&rig, &agent);
  rig_stop(rig);
  const gint64 later = hf_clock_real_ns() + G_GINT64_CONSTANT(60000000000);
  g_autoptr(HfServerIdentity) stranger = hf_server_identity_new("stranger", NULL);
  g_autofree char *other = g_uuid_string_random();
  const Forger forger = forger_new(rig, agent);
  const char *right = rig->identity->order_key;
  /* The connection's own key signs no orders. */
  const struct {
    const char *key, *host;
    guint64 number;
    gint64 until;
    gboolean tamper;
    HfErrorCode code;
  } tries[] = {
    { stranger->order_key, agent->host, 1000, later, FALSE, HF_ERROR_REFUSED },
    { rig->identity->key, agent->host, 1000, later, FALSE, HF_ERROR_REFUSED },
    { right, other, 1000, later, FALSE, HF_ERROR_REFUSED },
    { right, agent->host, 1000, 1, FALSE, HF_ERROR_REFUSED },
    { right, agent->host, 1000, later, TRUE, HF_ERROR_REFUSED },
    { right, agent->host, 1000, later, FALSE, HF_ERROR_NOT_FOUND }, /* taken: there is no such task */
    { right, agent->host, 1000, later, FALSE, HF_ERROR_REFUSED },   /* the same again */
    { right, agent->host, 999, later, FALSE, HF_ERROR_REFUSED },    /* an older one */
    { right, agent->host, 1001, later, FALSE, HF_ERROR_NOT_FOUND },
  };
  for (guint i = 0; i < G_N_ELEMENTS(tries); i++) {
    g_autoptr(GError) error =
      send_order(&forger, tries[i].key, tries[i].host, tries[i].number, tries[i].until, tries[i].tamper);
    g_test_message("%u: %s", i, error->message);
    g_assert_error(error, HF_ERROR, (int)tries[i].code);
  }
  hf_rpc_free(forger.rpc);
  hf_channel_free(forger.channel);
  /* Also after the keeper was killed: the number is on the disk. */
  agent_kill(agent);
  agent_start(agent);
  WAIT_FOR(agent_status_has(agent, "\"role\":\"installer\",\"running\":true"), 10);
  const Forger second = forger_new(rig, agent);
  g_autoptr(GError) replayed = send_order(&second, right, agent->host, 1001, later, FALSE);
  g_assert_error(replayed, HF_ERROR, HF_ERROR_REFUSED);
  hf_rpc_free(second.rpc);
  hf_channel_free(second.channel);
  rig_start(rig);
  hf_hosts_add(rig->hosts, agent->host, "web-1", "127.0.0.1", agent->installer);
  assert_up(rig, agent);
  g_assert_true(echoes(rig, agent));
  tear_down(rig, agent);
}

/* ---- certificates ---- */

static void test_renewal(void)
{
  Rig *rig;
  Agent *agent;
  g_autoptr(GError) error = NULL;
  set_up(&rig, &agent);
  g_assert_cmpuint(hf_hosts_renew(rig->hosts, FALSE), ==, 0);
  g_assert_cmpuint(hf_hosts_renew(rig->hosts, TRUE), ==, 1);
  g_assert_cmpuint(rig->issued->len, ==, 2);
  /* The first one is void now; the host shows the second. */
  g_autoptr(HfPeer) first = hf_pki_peer(rig->issued->pdata[0], &error);
  const char *const revoked[] = { first->serial, NULL };
  hf_hosts_set_revoked(rig->hosts, revoked);
  agent_stop(agent);
  agent_start(agent);
  g_usleep(500000);
  assert_up(rig, agent);
  WAIT_FOR(echoes(rig, agent), 20);
  /* The server's own certificate may change too. */
  g_assert_true(hf_server_identity_renew(rig->identity, "test server", &error));
  g_assert_true(hf_hosts_set_identity(rig->hosts, rig->identity, &error));
  agent_stop(agent);
  agent_start(agent);
  WAIT_FOR(echoes(rig, agent), 20);
  tear_down(rig, agent);
}

static void test_revoked(void)
{
  Rig *rig;
  Agent *agent, *far = agent_new();
  g_autoptr(GError) error = NULL;
  set_up(&rig, &agent);
  agent_join(far, rig);
  agent_start(far);
  assert_up(rig, far);
  g_autoptr(HfPeer) stolen = hf_pki_peer(rig->issued->pdata[1], &error);
  g_assert_cmpstr(stolen->uuid, ==, far->host);
  const char *const revoked[] = { stolen->serial, NULL };
  hf_hosts_set_revoked(rig->hosts, revoked);
  agent_kill(far);
  agent_start(far);
  g_usleep(1000000);
  g_assert_false(hf_hosts_wait(rig->hosts, far->host, 3000, NULL));
  /* Its neighbours were told: even a ticket opens nothing. */
  HfJobHosts table;
  HfJobTicketOpen open;
  hf_hosts_for_jobs(rig->hosts, &table);
  HfJobTicket ticket = { .peer_id = far->host, .path = "/srv/x", .rights = 1, .seconds = 60, .streams = 1 };
  hf_random(&ticket.id, sizeof ticket.id);
  g_assert_true(table.ticket(rig->hosts, agent->host, &ticket, &open, &error));
  g_autofree char *path = g_build_filename(far->folder, "state", "identity", NULL);
  g_autoptr(GKeyFile) file = g_key_file_new();
  g_assert_true(g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, NULL));
  g_autofree char *certificate = g_key_file_get_string(file, "identity", "certificate", NULL);
  g_autofree char *key = g_key_file_get_string(file, "identity", "key", NULL);
  const HfTlsSettings settings = { certificate, key, rig->identity->authority, NULL };
  g_autoptr(HfTlsIdentity) thief = hf_tls_identity_new(&settings, &error);
  const HfTlsExpect expect = { .kinds = HF_PEER_HOST };
  int fd = hf_net_connect("127.0.0.1", open.transport_port, 3000, &error);
  char byte;
  g_autoptr(HfChannel) channel = hf_tls_connect(thief, fd, &expect, NULL, 5000, NULL, &error);
  g_assert_true(channel == NULL || hf_channel_read_some(channel, &byte, 1, &error) <= 0);
  g_assert_true(echoes(rig, agent));
  kill(far->pid, SIGTERM);
  tear_down(rig, agent);
  agent_free(far);
}

/* ---- upgrade ---- */

static void test_upgrade(void)
{
  Rig *rig = rig_new(NULL);
  Agent *agent = agent_new();
  g_autoptr(GError) error = NULL;
  /* A program of its own, which the upgrade replaces. */
  g_autofree char *own = g_build_filename(agent->folder, "holdfast-agent", NULL), *bytes = NULL;
  gsize length;
  g_assert_true(g_file_get_contents(scenario_program, &bytes, &length, NULL));
  g_assert_true(g_file_set_contents_full(own, bytes, (gssize)length, G_FILE_SET_CONTENTS_NONE, 0755, NULL));
  agent_program(own);
  agent_join(agent, rig);
  agent_start(agent);
  assert_up(rig, agent);
  pid_t before = agent_child(agent, "hf-installer");
  g_autofree char *task = rig_begin(rig, agent->host, "sleep", "40");
  g_assert_true(hf_hosts_upgrade(rig->hosts, agent->host, scenario_program, HF_VERSION, FALSE, &error));
  g_assert_no_error(error);
  /* Waits for the task, and takes no other meanwhile. */
  g_assert_false(rig_do(rig, agent->host, "echo", "x", "", NULL, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_BUSY);
  g_assert_true(rig_wait_result(rig, task, 20, NULL));
  WAIT_FOR(agent_child(agent, "hf-installer") > 0 && agent_child(agent, "hf-installer") != before, 20);
  WAIT_FOR(echoes(rig, agent), 30);
  /* What is no program is not put in its place. */
  g_clear_error(&error);
  g_assert_true(hf_hosts_upgrade(rig->hosts, agent->host, agent->config, "0.3.0", FALSE, &error));
  g_assert_true(rig_wait_note(rig, "the upgrade to 0.3.0 failed", 20));
  g_assert_true(echoes(rig, agent));
  tear_down(rig, agent);
  agent_program(scenario_program);
}

int main(int argc, char **argv)
{
  g_autoptr(GError) error = NULL;
  g_test_init(&argc, &argv, NULL);
  g_assert_true(hf_crypto_init(&error));
  g_assert_cmpint(argc, >=, 2);
  scenario_program = argv[1];
  agent_program(argv[1]);
  g_log_set_always_fatal(G_LOG_FATAL_MASK);
  signal(SIGPIPE, SIG_IGN);
  g_test_add_func("/agent/enroll", test_enroll);
  g_test_add_func("/agent/wrong-token", test_wrong_token);
  g_test_add_func("/agent/token-once", test_token_once);
  g_test_add_func("/agent/enrolled-twice", test_enrolled_twice);
  g_test_add_func("/agent/two-servers", test_two_servers);
  g_test_add_func("/agent/forget", test_forget);
  g_test_add_func("/agent/tasks", test_tasks);
  g_test_add_func("/agent/cancel", test_cancel);
  g_test_add_func("/agent/list-and-space", test_list_and_space);
  g_test_add_func("/agent/logs", test_logs);
  g_test_add_func("/agent/links", test_links);
  g_test_add_func("/agent/ticket-ends", test_ticket_ends);
  g_test_add_func("/agent/server-away", test_server_away);
  g_test_add_func("/agent/not-kept", test_not_kept);
  g_test_add_func("/agent/kill-keeper", test_kill_keeper);
  g_test_add_func("/agent/kill-faces", test_kill_faces);
  g_test_add_func("/agent/kill-worker", test_kill_worker);
  g_test_add_func("/agent/kill-often", test_kill_often);
  g_test_add_func("/agent/silent-host", test_silent_host);
  g_test_add_func("/agent/stop-keeper", test_stop_keeper);
  g_test_add_func("/agent/roles", test_roles);
  g_test_add_func("/agent/forged-orders", test_forged_orders);
  g_test_add_func("/agent/renewal", test_renewal);
  g_test_add_func("/agent/revoked", test_revoked);
  g_test_add_func("/agent/upgrade", test_upgrade);
  return g_test_run();
}
