/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How fast fleets are planned: 1,000 hosts whole, and one host of 10,000. Each is planned twice: with hosts that are
 * alike in dozens, as in a real fleet, and with hosts that all differ, which is the worst that a plan can meet.
 *
 *   bench_ports [all]     all: also 10,000 hosts that differ as a whole, which takes minutes and gigabytes
 */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "ports/plan/plan.h"

/* What machines of a fleet are, and how many in a hundred. */
static const struct {
  const char *roles;
  guint share;
} kinds[] = {
  { "backup-proxy", 10 },
  { "backup-repository", 10 },
  { "gateway-server", 3 },
  { "mount-server", 3 },
  { "guest-interaction-proxy", 3 },
  { "wan-accelerator", 2 },
  { "tape-server", 2 },
  { "log-shipping-server", 2 },
  { "cdp-proxy", 3 },
  { "hyperv", 6 },
  { "guest", 36 },
  { "mssql-guest", 10 },
  { "postgresql-guest", 6 },
  { "file-server, oracle-guest", 4 },
};

#define SITES 4

/* `size` hosts; `alone`: each with a section and a setting of its own. */
static char *fleet_text(guint size, gboolean alone)
{
  GString *text = g_string_new("[fleet]\ntitle = Bench\n");
  guint address = 0;
  for (guint s = 0; s < SITES; s++)
    g_string_append_printf(text, "[site s%u]\n", s);
  g_string_append(text, "[host vbr]\nroles = backup-server\nsite = s0\naddress = 10.255.0.1\n"
                        "[external dns]\nroles = dns-server, domain-controller\naddress = 10.255.0.2\n"
                        "[external esx[1-100]]\nroles = esxi\naddress = 10.255.1.1-10.255.1.100\n");
  for (guint k = 0; k < G_N_ELEMENTS(kinds); k++)
    for (guint s = 0; s < SITES; s++) {
      guint count = size * kinds[k].share / 100 / SITES;
      for (guint n = 0; n < count; n += alone ? 1 : count) {
        guint last = alone ? 1 : count;
        g_string_append_printf(text, "[host k%us%un%u-[1-%u]]\nroles = %s\nsite = s%u\n", k, s, n, last, kinds[k].roles,
                               s);
        g_string_append_printf(text, "address = 10.%u.%u.%u-10.%u.%u.%u\n", address >> 16, address >> 8 & 255,
                               address & 255, (address + last - 1) >> 16, (address + last - 1) >> 8 & 255,
                               (address + last - 1) & 255);
        if (alone)
          g_string_append_printf(text, "value storage-account = own%u\n", address);
        address += last;
      }
    }
  return g_string_free(text, FALSE);
}

/* All that the firewall of one host asks a plan. Gives how many peers and addresses it has. */
static guint64 expand(const HfPlan *plan, const HfTopologyNode *host)
{
  HfPlanElements elements;
  HfPlanElement element;
  guint64 addresses = 0;
  hf_plan_elements(plan, host, &elements);
  while (hf_plan_elements_next(&elements, &element)) {
    g_autoptr(GArray) list = hf_plan_addresses(element.peers, host);
    addresses += list->len;
  }
  return addresses;
}

/* Milliseconds since `*begin`, which is set to now. */
static double lap(gint64 *begin)
{
  gint64 now = g_get_monotonic_time(), past = now - *begin;
  *begin = now;
  return (double)past / 1000;
}

/* `whole`: plan the fleet, not only one host of it. */
static void measure(guint size, gboolean alone, gboolean whole)
{
  g_autofree char *text = fleet_text(size, alone);
  gint64 clock = g_get_monotonic_time();
  g_autoptr(HfTopology) topology = hf_topology_parse(text, strlen(text), "bench", NULL);
  double read = lap(&clock);
  const HfTopologyNode *host = topology->nodes[0];
  g_autoptr(HfPlan) plan = hf_plan_new_for(topology, whole ? NULL : host);
  double planned = lap(&clock);
  guint64 elements = expand(plan, host);
  double expanded = lap(&clock);
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  printf(
    "%6u nodes, %5u groups, %-8s %5u flows: read %6.1f ms, planned %8.1f ms, its peers %6.1f ms (%" G_GUINT64_FORMAT
    "), %ld MiB at most so far\n",
    topology->n_nodes, plan->n_groups, whole ? "whole" : "one host", plan->n_flows, read, planned, expanded, elements,
    usage.ru_maxrss / 1024);
}

int main(int argc, char **argv)
{
  (void)argv;
  measure(1000, FALSE, TRUE);
  measure(1000, TRUE, TRUE);
  measure(10000, FALSE, TRUE);
  measure(10000, FALSE, FALSE);
  measure(10000, TRUE, FALSE);
  if (argc > 1)
    measure(10000, TRUE, TRUE);
  return 0;
}
