/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The verb ports firewall. */
#include "ports/firewall/firewall.h"

#include <string.h>

#include "cli/cli.h"
#include "cli/verbs.h"

static HfFirewallFormat chosen_format(const HfOptions *options, const HfOutput *output)
{
  static const HfFirewallFormat formats[] = {
    [HF_FIREWALL_FORMAT_CHOICE_NFTABLES] = HF_FIREWALL_NFTABLES,
    [HF_FIREWALL_FORMAT_CHOICE_IPTABLES] = HF_FIREWALL_IPTABLES,
    [HF_FIREWALL_FORMAT_CHOICE_FIREWALLD] = HF_FIREWALL_FIREWALLD,
    [HF_FIREWALL_FORMAT_CHOICE_UFW] = HF_FIREWALL_UFW,
    [HF_FIREWALL_FORMAT_CHOICE_WINDOWS] = HF_FIREWALL_WINDOWS,
    [HF_FIREWALL_FORMAT_CHOICE_CSV] = HF_FIREWALL_CSV,
    [HF_FIREWALL_FORMAT_CHOICE_JSON] = HF_FIREWALL_JSON,
  };
  return hf_output_is_json(output) ? HF_FIREWALL_JSON : formats[options->firewall_format];
}

gboolean hf_verb_ports_firewall(const HfOptions *options, HfCli *cli, GError **error)
{
  g_autoptr(HfTopology) topology = hf_topology_load(options->topology, error);
  if (topology == NULL)
    return FALSE;
  const HfTopologyNode *host = hf_topology_find_host(topology, options->host, error);
  if (host == NULL)
    return FALSE;
  g_autoptr(HfPlan) plan = hf_plan_new_for(topology, host);
  int log_group = options->log_group > 0 ? (int)options->log_group : HF_FIREWALL_NO_LOG;
  g_autofree char *rules = hf_firewall_render(plan, host, chosen_format(options, cli->output), log_group, error);
  if (rules == NULL)
    return FALSE;
  hf_output_bytes(cli->output, rules, strlen(rules));
  g_autoptr(GPtrArray) unresolved = hf_plan_unresolved_of(plan, host);
  if (unresolved->len > 0)
    hf_report_warning(cli->report, options->topology,
                      "%u %s unresolved and closed; comments in the rules tell what to write into the topology",
                      unresolved->len, unresolved->len == 1 ? "thing is" : "things are");
  return hf_output_check(cli->output, error);
}
