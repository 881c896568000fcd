/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ufw: a shell script of calls, because ufw's own files are not for others to write. */
#include "ports/firewall/make.h"

#define COMMENT_LENGTH 120

static const char head[] =
  "# Try without a change: sh FILE --dry-run. Load: sh FILE. It replaces the rules whose comment begins with\n"
  "# 'holdfast', and denies what no rule allows; rules of others stay. IPv6 needs IPV6=yes in /etc/default/ufw.\n"
  "# The base block (loopback, connections, ICMP errors, neighbour discovery, MLD) is the one of ufw, in\n"
  "# /etc/ufw/before.rules and before6.rules. These also let ping, DHCP, mDNS and SSDP through: take them out there.\n"
  "set -eu\n"
  "case \"$*\" in '' | --dry-run) ;; *) echo \"usage: sh $0 [--dry-run]\" >&2; exit 2 ;; esac\n"
  "ufw show added | sed -n \"s/^ufw \\(.* comment 'holdfast .*'\\)\\$/\\1/p\" |\n"
  "  xargs -r -L 1 ufw \"$@\" --force delete\n";

static const char tail[] =
  "ufw \"$@\" default deny incoming\n"
  "ufw \"$@\" default deny outgoing\n"
  "ufw \"$@\" default deny routed\n"
  "# A dry run of 'enable' would enable.\n"
  "[ $# -gt 0 ] || ufw --force enable\n";

static void append_element(GString *out, const HfFirewallElement *element)
{
  g_autoptr(GArray) networks = hf_firewall_range_networks(&element->peer);
  g_autofree char *comment = hf_element_comment(element->reason, COMMENT_LENGTH);
  g_autofree char *ports = element->first == element->last
    ? g_strdup_printf("%u", element->first)
    : g_strdup_printf("%u:%u", element->first, element->last);
  const char *transport = hf_port_transports_text(element->transport);
  for (guint i = 0; i < networks->len; i++) {
    g_autofree char *address = hf_topology_address_text(&g_array_index(networks, HfTopologyAddress, i));
    g_string_append_printf(out, "ufw \"$@\" allow %s proto %s from %s to %s port %s comment 'holdfast %s'\n",
                           hf_direction_text(element->direction), transport,
                           element->direction == HF_PLAN_IN ? address : "any",
                           element->direction == HF_PLAN_IN ? "any" : address, ports, comment);
  }
}

char *hf_firewall_ufw(const HfFirewall *firewall, int log_group)
{
  GString *out = g_string_new("#!/bin/sh\n");
  (void)log_group;
  hf_text_head(out, firewall, "# ");
  hf_text_closed(out, firewall, "# ", TRUE);
  g_string_append(out, head);
  for (guint i = 0; i < firewall->n_elements; i++) {
    const HfFirewallElement *element = &firewall->elements[i];
    if (!hf_element_goes_on(firewall, i))
      hf_text_reason(out, element->reason, element->direction, element->transport, element->first, element->last, "# ");
    append_element(out, element);
  }
  g_string_append(out, tail);
  return g_string_free(out, FALSE);
}
