/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Windows: a PowerShell script. Every text stands between single quotes, in which only the quote itself means
 * something, and no text holds one (hf_plain); it is pure ASCII, so that no encoding can turn a byte into a quote.
 */
#include "ports/firewall/make.h"

#define COMMENT_LENGTH 250
#define ADDRESSES 1000 /* of one rule; more make another rule */

static const char head[] =
  "#Requires -RunAsAdministrator\n"
  "# Load: powershell -ExecutionPolicy Bypass -File FILE. It replaces the rules of the group 'Holdfast' and blocks\n"
  "# what no rule allows. Allow rules of other groups stay: see Get-NetFirewallRule -Enabled True -Action Allow.\n"
  "# The firewall of Windows does not see loopback and ARP, and lets answers through by itself.\n"
  "$ErrorActionPreference = 'Stop'\n"
  "Get-NetFirewallRule -Group 'Holdfast' -ErrorAction SilentlyContinue | Remove-NetFirewallRule\n"
  "function Allow {\n"
  "  param([string]$Name, [string]$Direction, [string]$Rows, [hashtable]$What)\n"
  "  New-NetFirewallRule -Group 'Holdfast' -DisplayName $Name -Description $Rows -Direction $Direction `\n"
  "    -Action Allow -Enabled True -Profile Any @What | Out-Null\n"
  "}\n"
  "# The same on every host: ICMP errors, neighbour discovery, MLD.\n"
  "foreach ($way in 'Inbound', 'Outbound') {\n"
  "  Allow \"Holdfast base ICMPv4 $way\" $way 'base' @{ Protocol = 'ICMPv4'; IcmpType = '3', '11', '12' }\n"
  "  Allow \"Holdfast base ICMPv6 $way\" $way 'base' @{ Protocol = 'ICMPv6'; IcmpType = '1', '2', '3', '4', '130', "
  "'131', '132', '133', '134', '135', '136', '143' }\n"
  "}\n";

static const char tail[] =
  "Set-NetFirewallProfile -All -Enabled True -DefaultInboundAction Block -DefaultOutboundAction Block\n";

/* How many elements from `first` on make one rule. */
static guint rule_length(const HfFirewall *firewall, guint first)
{
  guint n = 1;
  while (first + n < firewall->n_elements && n < ADDRESSES && hf_element_goes_on(firewall, first + n))
    n++;
  return n;
}

static void append_rule(GString *out, const HfFirewall *firewall, guint first, guint n, guint number)
{
  const HfFirewallElement *element = &firewall->elements[first];
  gboolean in = element->direction == HF_PLAN_IN;
  g_autofree char *comment = hf_element_comment(element->reason, COMMENT_LENGTH);
  g_autofree char *ports = hf_plan_ports_text(element->first, element->last);
  g_autofree char *transport = g_ascii_strup(hf_port_transports_text(element->transport), -1);
  g_string_append_printf(out, "Allow 'Holdfast %u' '%s' '%s' @{ Protocol = '%s'; %s = '%s'; RemoteAddress = @(\n",
                         number, in ? "Inbound" : "Outbound", comment, transport, in ? "LocalPort" : "RemotePort",
                         ports);
  for (guint i = 0; i < n; i++) {
    g_autofree char *peer = hf_firewall_range_text(&firewall->elements[first + i].peer);
    g_string_append_printf(out, "  '%s'%s\n", peer, i + 1 < n ? "," : "");
  }
  g_string_append(out, ") }\n");
}

char *hf_firewall_windows(const HfFirewall *firewall, int log_group)
{
  GString *out = g_string_new(NULL);
  (void)log_group;
  hf_text_head(out, firewall, "# ");
  hf_text_closed(out, firewall, "# ", TRUE);
  g_string_append(out, head);
  for (guint i = 0, n, number = 1; i < firewall->n_elements; i += n, number++) {
    const HfFirewallElement *element = &firewall->elements[i];
    n = rule_length(firewall, i);
    hf_text_reason(out, element->reason, element->direction, element->transport, element->first, element->last, "# ");
    append_rule(out, firewall, i, n, number);
  }
  g_string_append(out, tail);
  return g_string_free(out, FALSE);
}
