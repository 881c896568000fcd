/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What idle agents and the server's end of them cost: agent_memory PROGRAM [AGENTS]. Prints figures; fails above the
 * limits (16 MiB of private memory an agent, all its processes together; 128 MiB for the server with 200). */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent_rig.h"
#include "base/error.h"

#define AGENT_MAX_KIB (16u * 1024)
#define SERVER_MAX_KIB (128u * 1024)

static guint agents = 3;

/* Of one process, in KiB. */
static guint64 field_kib(pid_t pid, const char *name)
{
  g_autofree char *path = g_strdup_printf("/proc/%d/smaps_rollup", (int)pid), *text = NULL;
  guint64 sum = 0;
  g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
  for (const char *at = strstr(text, name); at != NULL; at = strstr(at + 1, name))
    sum += g_ascii_strtoull(at + strlen(name), NULL, 10);
  return sum;
}

static guint64 private_kib(pid_t pid)
{
  return field_kib(pid, "Private_Clean:") + field_kib(pid, "Private_Dirty:");
}

static guint threads_of(pid_t pid)
{
  g_autofree char *path = g_strdup_printf("/proc/%d/task", (int)pid);
  GDir *dir = g_dir_open(path, 0, NULL);
  guint count = 0;
  while (g_dir_read_name(dir) != NULL)
    count++;
  g_dir_close(dir);
  return count;
}

static void test_idle(void)
{
  if (g_file_test("/proc/self/smaps_rollup", G_FILE_TEST_EXISTS) == FALSE || geteuid() != 0) {
    g_test_skip("needs root and /proc/self/smaps_rollup");
    return;
  }
  g_autoptr(GPtrArray) all = g_ptr_array_new();
  Rig *rig = rig_new(NULL);
  guint64 before = private_kib(getpid()), worst = 0;
  for (guint i = 0; i < agents; i++) {
    Agent *agent = agent_new();
    agent_join(agent, rig);
    agent_start(agent);
    g_ptr_array_add(all, agent);
  }
  for (guint i = 0; i < agents; i++) {
    g_autoptr(GError) error = NULL;
    Agent *agent = all->pdata[i];
    hf_hosts_wait(rig->hosts, agent->host, 120000, &error);
    g_assert_no_error(error);
    WAIT_FOR(agent_child(agent, "hf-transport") > 0 && agent_child(agent, "hf-installer") > 0, 30);
  }
  g_usleep(5 * G_USEC_PER_SEC);
  for (guint i = 0; i < agents; i++) {
    const Agent *agent = all->pdata[i];
    guint64 keeper = private_kib(agent->pid), installer = private_kib(agent_child(agent, "hf-installer"));
    guint64 transport = private_kib(agent_child(agent, "hf-transport"));
    worst = MAX(worst, keeper + installer + transport);
    if (i == 0)
      g_print("# an idle agent: keeper %" G_GUINT64_FORMAT " + installer %" G_GUINT64_FORMAT " + transport %"
              G_GUINT64_FORMAT " KiB private\n", keeper, installer, transport);
  }
  g_print("# the largest of %u agents: %" G_GUINT64_FORMAT " KiB private\n", agents, worst);
  g_print("# the server's end of %u hosts: %" G_GUINT64_FORMAT " KiB private (%" G_GUINT64_FORMAT " before), %"
          G_GUINT64_FORMAT " KiB resident, %u threads\n", agents, private_kib(getpid()), before,
          field_kib(getpid(), "Rss:"), threads_of(getpid()));
  g_assert_cmpuint(worst, <=, AGENT_MAX_KIB);
  g_assert_cmpuint(field_kib(getpid(), "Rss:"), <=, SERVER_MAX_KIB);
  for (guint i = 0; i < agents; i++)
    kill(((Agent *)all->pdata[i])->pid, SIGTERM);
  for (guint i = 0; i < agents; i++)
    agent_free(all->pdata[i]);
  rig_free(rig);
}

int main(int argc, char **argv)
{
  g_autoptr(GError) error = NULL;
  g_test_init(&argc, &argv, NULL);
  g_assert_true(hf_crypto_init(&error));
  g_assert_cmpint(argc, >=, 2);
  if (argc > 2)
    agents = (guint)atoi(argv[2]);
  agent_program(argv[1]);
  signal(SIGPIPE, SIG_IGN);
  g_test_add_func("/agent/memory/idle", test_idle);
  return g_test_run();
}
