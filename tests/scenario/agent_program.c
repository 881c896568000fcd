/* SPDX-License-Identifier: GPL-3.0-or-later */
/* holdfast-agent with tasks and a repository service that tests can make do what they like. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/builtin.h"
#include "agent/ticket.h"
#include "base/error.h"

#define TICK_US 50000

/* "sleep TICKS": progress at each tick, a line at every tenth. */
static gboolean run_sleep(HfWorker *worker, GByteArray *result, GError **error)
{
  HfView task = hf_worker_task(worker);
  g_autofree char *text = g_strndup((const char *)task.data, task.length);
  int ticks = atoi(text);
  hf_report_total(hf_worker_report(worker), (guint64)ticks, (guint64)ticks * 100);
  for (int i = 0; i < ticks; i++) {
    if (hf_cancelled(hf_worker_cancel(worker), error))
      return FALSE;
    hf_report_add(hf_worker_report(worker), 1, 100, 10);
    if (i % 10 == 0)
      hf_worker_log(worker, "tick %d", i);
    g_usleep(TICK_US);
  }
  g_byte_array_append(result, (const guint8 *)"slept", 5);
  return TRUE;
}

static GBytes *measure(gpointer user G_GNUC_UNUSED)
{
  return g_bytes_new_static("figures", 7);
}

/* Task and secret come back; where the secret could be seen from outside is looked at. */
static gboolean run_echo(HfWorker *worker, GByteArray *result, GError **error)
{
  HfView task = hf_worker_task(worker), secret = hf_worker_secret(worker);
  g_autofree char *line = NULL, *environment = NULL, *hidden = g_strndup((const char *)secret.data, secret.length);
  gsize line_length = 0, environment_length = 0;
  g_file_get_contents("/proc/self/cmdline", &line, &line_length, NULL);
  g_file_get_contents("/proc/self/environ", &environment, &environment_length, NULL);
  if (secret.length > 0 && (g_strstr_len(line, (gssize)line_length, hidden) != NULL ||
                            memmem(environment, environment_length, hidden, secret.length) != NULL))
    return hf_fail(error, HF_ERROR_FAILED, "the secret can be seen");
  hf_report_warning(hf_worker_report(worker), "/some/file", "cannot be read");
  hf_worker_measure(worker, measure, NULL);
  g_byte_array_append(result, task.data, (guint)task.length);
  g_byte_array_append(result, secret.data, (guint)secret.length);
  return TRUE;
}

static gboolean run_fail(HfWorker *worker G_GNUC_UNUSED, GByteArray *result, GError **error)
{
  g_byte_array_append(result, (const guint8 *)"part", 4);
  return hf_fail(error, HF_ERROR_NO_SPACE, "there is no room");
}

static gboolean run_die(HfWorker *worker G_GNUC_UNUSED, GByteArray *result G_GNUC_UNUSED, GError **error G_GNUC_UNUSED)
{
  raise(SIGKILL);
  return TRUE;
}

/* Is there a network here? */
static gboolean run_network(HfWorker *worker G_GNUC_UNUSED, GByteArray *result, GError **error)
{
  g_autofree char *routes = NULL;
  if (!g_file_get_contents("/proc/self/net/dev", &routes, NULL, error))
    return FALSE;
  g_byte_array_append(result, (const guint8 *)routes, (guint)strlen(routes));
  return TRUE;
}

/* Sends the task's text over every link and gives back what came. */
static gboolean run_link(HfWorker *worker, GByteArray *result, GError **error)
{
  HfView task = hf_worker_task(worker);
  for (guint i = 0; i < hf_worker_links(worker); i++) {
    g_autofree guint8 *answer = g_malloc(task.length);
    g_autoptr(HfChannel) channel = hf_worker_link(worker, i, NULL, error);
    if (channel == NULL || !hf_channel_send(channel, task.data, task.length, error) ||
        !hf_channel_read(channel, answer, task.length, error) || !hf_channel_end(channel, error))
      return FALSE;
    g_byte_array_append(result, answer, (guint)task.length);
  }
  return TRUE;
}

static const HfTaskKind task_sleep = { "sleep", run_sleep }, task_echo = { "echo", run_echo },
                        task_fail = { "fail", run_fail }, task_die = { "die", run_die },
                        task_network = { "network", run_network }, task_link = { "link", run_link };

/* A repository service that says everything twice as loud. */
static gboolean serve(HfChannel *channel, const HfTicket *ticket, const char *peer, HfCancel *cancel, GError **error)
{
  char block[4096];
  g_message("serving '%s' to %s, rights %u", ticket->repository, peer, ticket->rights);
  while (!hf_cancelled(cancel, error)) {
    gssize got = hf_channel_read_some(channel, block, sizeof block, error);
    if (got <= 0)
      return got == 0;
    for (gssize i = 0; i < got; i++)
      block[i] = g_ascii_toupper(block[i]);
    if (!hf_channel_send(channel, block, (gsize)got, error))
      return FALSE;
  }
  return FALSE;
}

int main(int argc, char **argv)
{
  static const HfTaskKind *const tasks[] = { &hf_task_list, &hf_task_logs, &task_sleep, &task_echo, &task_fail,
                                             &task_die, &task_network, &task_link, NULL };
  static const HfAgentParts parts = { .tasks = tasks, .serve = serve };
  return hf_agent_main(argc, argv, &parts);
}
