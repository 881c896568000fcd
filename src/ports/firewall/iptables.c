/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * iptables: one file for iptables-restore and for ip6tables-restore. A rule that begins with -4 (-6) is passed over by
 * the tool of the other family.
 */
#include <arpa/inet.h>
#include <string.h>

#include "ports/firewall/make.h"

#define COMMENT_LENGTH 250 /* iptables takes 255 bytes */

static const char chains[] =
  "*filter\n"
  ":INPUT DROP [0:0]\n"
  ":FORWARD DROP [0:0]\n"
  ":OUTPUT DROP [0:0]\n"
  ":HOLDFAST-BASE - [0:0]\n"
  ":HOLDFAST-IN - [0:0]\n"
  ":HOLDFAST-OUT - [0:0]\n"
  ":HOLDFAST-DROPPED - [0:0]\n"
  "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n"
  "-A INPUT -m conntrack --ctstate INVALID -j DROP\n"
  "-A INPUT -j HOLDFAST-BASE\n"
  "-A INPUT -m conntrack --ctstate NEW -j HOLDFAST-IN\n"
  "-A INPUT -j HOLDFAST-DROPPED\n"
  "-A OUTPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n"
  "-A OUTPUT -m conntrack --ctstate INVALID -j DROP\n"
  "-A OUTPUT -j HOLDFAST-BASE\n"
  "-A OUTPUT -m conntrack --ctstate NEW -j HOLDFAST-OUT\n"
  "-A OUTPUT -j HOLDFAST-DROPPED\n"
  "-A FORWARD -j HOLDFAST-DROPPED\n"
  "# The same on every host, besides the catalogue. ARP does not pass here.\n"
  "-A HOLDFAST-BASE -i lo -m comment --comment \"loopback\" -j ACCEPT\n"
  "-A HOLDFAST-BASE -o lo -m comment --comment \"loopback\" -j ACCEPT\n";

static void append_icmp(GString *out, const char *what, const guint *types, guint n_types, const char *more)
{
  for (guint i = 0; i < n_types; i++)
    g_string_append_printf(out, "-6 -A HOLDFAST-BASE -p ipv6-icmp -m icmp6 --icmpv6-type %u%s -m comment --comment "
                                "\"%s\" -j ACCEPT\n", types[i], more, what);
}

static void append_base(GString *out)
{
  static const guint discovery[] = { 133, 134, 135, 136 }, mld[] = { 130, 131, 132, 143 }, errors[] = { 1, 2, 3, 4 },
                     errors_ipv4[] = { 3, 11, 12 };
  g_string_append(out, chains);
  append_icmp(out, "neighbour discovery", discovery, G_N_ELEMENTS(discovery), " -m hl --hl-eq 255");
  append_icmp(out, "MLD", mld, G_N_ELEMENTS(mld), "");
  append_icmp(out, "ICMPv6 errors", errors, G_N_ELEMENTS(errors), "");
  for (guint i = 0; i < G_N_ELEMENTS(errors_ipv4); i++)
    g_string_append_printf(out, "-4 -A HOLDFAST-BASE -p icmp -m icmp --icmp-type %u -m comment --comment "
                                "\"ICMP errors\" -j ACCEPT\n", errors_ipv4[i]);
}

static void append_peer(GString *out, const HfFirewallElement *element)
{
  g_autofree char *text = hf_firewall_range_text(&element->peer);
  gboolean in = element->direction == HF_PLAN_IN;
  if (strchr(text, '-') != NULL)
    g_string_append_printf(out, " -m iprange --%s-range %s", in ? "src" : "dst", text);
  else
    g_string_append_printf(out, " -%c %s", in ? 's' : 'd', text);
}

static void append_element(GString *out, const HfFirewallElement *element)
{
  const char *transport = hf_port_transports_text(element->transport);
  g_autofree char *comment = hf_element_comment(element->reason, COMMENT_LENGTH);
  g_string_append_printf(out, "-%c -A HOLDFAST-%s", element->peer.family == AF_INET ? '4' : '6',
                         element->direction == HF_PLAN_IN ? "IN" : "OUT");
  append_peer(out, element);
  g_string_append_printf(out, " -p %s -m %s --dport %u", transport, transport, element->first);
  if (element->last != element->first)
    g_string_append_printf(out, ":%u", element->last);
  g_string_append_printf(out, " -m comment --comment \"%s\" -j ACCEPT\n", comment);
}

char *hf_firewall_iptables(const HfFirewall *firewall, int log_group)
{
  GString *out = g_string_new(NULL);
  hf_text_head(out, firewall, "# ");
  g_string_append(out, "# Test: iptables-restore --test FILE && ip6tables-restore --test FILE. Load: the same without "
                       "--test.\n# It replaces the whole table 'filter' of both families.\n");
  hf_text_closed(out, firewall, "# ", TRUE);
  append_base(out);
  for (guint i = 0; i < firewall->n_elements; i++) {
    const HfFirewallElement *element = &firewall->elements[i];
    if (!hf_element_goes_on(firewall, i))
      hf_text_reason(out, element->reason, element->direction, element->transport, element->first, element->last, "# ");
    append_element(out, element);
  }
  g_string_append(out, "# What comes here falls to the policy.\n");
  if (log_group != HF_FIREWALL_NO_LOG)
    g_string_append_printf(out, "-A HOLDFAST-DROPPED -j NFLOG --nflog-group %d --nflog-prefix \"holdfast\"\n",
                           log_group);
  else
    g_string_append(out, "# To see it (--log-group 5): -A HOLDFAST-DROPPED -j NFLOG --nflog-group 5 --nflog-prefix "
                         "\"holdfast\"\n");
  g_string_append(out, "-A HOLDFAST-DROPPED -m comment --comment \"default drop\" -j RETURN\nCOMMIT\n");
  return g_string_free(out, FALSE);
}
