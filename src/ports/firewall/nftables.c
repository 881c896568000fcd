/* SPDX-License-Identifier: GPL-3.0-or-later */
/* nftables: one table of ours, replaced in one transaction; elements in sets, so that rules stay few. */
#include <arpa/inet.h>

#include "ports/firewall/make.h"

#define COMMENT_LENGTH 120 /* nft takes 128 bytes */

static const char base_chain[] =
  "  chain base {\n"
  "    comment \"the same on every host, besides the catalogue\"\n"
  "    iifname \"lo\" counter accept comment \"loopback\"\n"
  "    oifname \"lo\" counter accept comment \"loopback\"\n"
  "    # ARP does not pass here: a table of family inet sees IP only.\n"
  "    icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } ip6 hoplimit 255"
  " counter accept comment \"neighbour discovery\"\n"
  "    icmpv6 type { mld-listener-query, mld-listener-report, mld-listener-done, mld2-listener-report }"
  " counter accept comment \"MLD\"\n"
  "    icmp type { destination-unreachable, time-exceeded, parameter-problem }"
  " counter accept comment \"ICMP errors\"\n"
  "    icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem }"
  " counter accept comment \"ICMPv6 errors\"\n"
  "  }\n";

static void append_comment(GString *out, const HfFirewallReason *reason)
{
  g_autofree char *comment = hf_element_comment(reason, COMMENT_LENGTH);
  g_string_append_printf(out, " counter comment \"%s\",\n", comment);
}

static void append_set_head(GString *out, const char *name, const char *suffix, const char *type, const char *comment)
{
  g_string_append_printf(out, "  set %s_%s {\n    type %s\n    flags interval\n    counter\n", name, suffix, type);
  if (comment != NULL) {
    g_autofree char *plain = hf_plain(comment, COMMENT_LENGTH);
    g_string_append_printf(out, "    comment \"%s\"\n", plain);
  }
}

/* -------------------------------------------------------------------------------------------- address sets -- */

static void append_element(GString *out, const HfFirewall *firewall, guint i)
{
  const HfFirewallElement *element = &firewall->elements[i];
  g_autofree char *peer = hf_firewall_range_text(&element->peer);
  g_autofree char *ports = hf_plan_ports_text(element->first, element->last);
  if (!hf_element_goes_on(firewall, i))
    hf_text_reason(out, element->reason, element->direction, element->transport, element->first, element->last,
                   "      # ");
  g_string_append_printf(out, "      %s . %s . %s", peer, hf_port_transports_text(element->transport), ports);
  append_comment(out, element->reason);
}

/* The elements of one direction and family stand together: from *next on. */
static void append_address_set(GString *out, const HfFirewall *firewall, HfPlanDirection direction, int family,
                               guint *next)
{
  gboolean any = FALSE;
  append_set_head(out, hf_direction_text(direction), hf_family_text(family),
                  family == AF_INET ? "ipv4_addr . inet_proto . inet_service" : "ipv6_addr . inet_proto . inet_service",
                  NULL);
  for (; *next < firewall->n_elements; (*next)++) {
    const HfFirewallElement *element = &firewall->elements[*next];
    if (element->direction != direction || element->peer.family != family)
      break;
    if (!any)
      g_string_append(out, "    elements = {\n");
    any = TRUE;
    append_element(out, firewall, *next);
  }
  g_string_append(out, any ? "    }\n  }\n" : "  }\n");
}

/* ---------------------------------------------------------------------------------------------- named sets -- */

static void append_members(GString *out, const HfFirewallSet *set, int family)
{
  gboolean any = FALSE;
  append_set_head(out, set->id, hf_family_text(family), family == AF_INET ? "ipv4_addr" : "ipv6_addr", set->text);
  for (guint i = 0; i < set->n_members; i++) {
    if (set->members[i].family != family)
      continue;
    g_autofree char *member = hf_firewall_range_text(&set->members[i]);
    if (!any)
      g_string_append(out, "    elements = {\n");
    any = TRUE;
    g_string_append_printf(out, "      %s", member);
    append_comment(out, set->reason);
  }
  g_string_append(out, any ? "    }\n  }\n" : "  }\n");
}

static gboolean has_ports(const HfFirewallSet *set, HfPlanDirection direction)
{
  for (guint i = 0; i < set->n_ports; i++)
    if (set->ports[i].direction == direction)
      return TRUE;
  return FALSE;
}

static void append_set_ports(GString *out, const HfFirewallSet *set, HfPlanDirection direction)
{
  if (!has_ports(set, direction))
    return;
  append_set_head(out, set->id, hf_direction_text(direction), "inet_proto . inet_service", set->text);
  g_string_append(out, "    elements = {\n");
  for (guint i = 0; i < set->n_ports; i++) {
    const HfFirewallPorts *ports = &set->ports[i];
    if (ports->direction != direction)
      continue;
    g_autofree char *text = hf_plan_ports_text(ports->first, ports->last);
    hf_text_reason(out, ports->reason, direction, ports->transport, ports->first, ports->last, "      # ");
    g_string_append_printf(out, "      %s . %s", hf_port_transports_text(ports->transport), text);
    append_comment(out, ports->reason);
  }
  g_string_append(out, "    }\n  }\n");
}

static void append_named_set(GString *out, const HfFirewallSet *set)
{
  g_string_append_printf(out, "  # Named set %s: ", set->id);
  hf_line_append(out, set->text);
  g_string_append_c(out, '\n');
  if (set->host_names[0] != NULL)
    g_string_append_printf(out, "  # Its host names have no address here. Once they are known: nft add element inet "
                                "holdfast %s_ipv4 '{ ADDRESS }'\n", set->id);
  for (guint i = 0; set->host_names[i] != NULL; i++) {
    g_string_append(out, "  #   ");
    hf_line_append(out, set->host_names[i]);
    g_string_append_c(out, '\n');
  }
  append_members(out, set, AF_INET);
  append_members(out, set, AF_INET6);
  append_set_ports(out, set, HF_PLAN_OUT);
  append_set_ports(out, set, HF_PLAN_IN);
}

/* -------------------------------------------------------------------------------------------------- chains -- */

static void append_rule(GString *out, const char *key, const char *family, const char *set)
{
  g_string_append_printf(out, "    ct state new %s %s . meta l4proto . th dport @%s_%s accept\n",
                         g_str_equal(family, "ipv4") ? "ip" : "ip6", key, set, family);
}

static void append_named_rules(GString *out, const HfFirewall *firewall, HfPlanDirection direction, const char *key)
{
  const char *way = hf_direction_text(direction);
  for (guint i = 0; i < firewall->n_sets; i++) {
    const HfFirewallSet *set = &firewall->sets[i];
    if (!has_ports(set, direction))
      continue;
    g_string_append_printf(out, "    ct state new ip %s @%s_ipv4 meta l4proto . th dport @%s_%s accept\n", key, set->id,
                           set->id, way);
    g_string_append_printf(out, "    ct state new ip6 %s @%s_ipv6 meta l4proto . th dport @%s_%s accept\n", key,
                           set->id, set->id, way);
  }
}

/* What falls to the policy is counted, and logged when somebody wants it. */
static void append_end(GString *out, const char *way, int log_group)
{
  if (log_group == HF_FIREWALL_NO_LOG)
    g_string_append_printf(out, "    # To see what falls here (--log-group 5): log group 5 snaplen 128 prefix "
                                "\"holdfast-%s\"\n", way);
  else
    g_string_append_printf(out, "    log group %d snaplen 128 prefix \"holdfast-%s\"\n", log_group, way);
  g_string_append_printf(out, "    counter name \"dropped_%s\" comment \"default drop\"\n  }\n", way);
}

static void append_chain(GString *out, const HfFirewall *firewall, HfPlanDirection direction, int log_group)
{
  gboolean in = direction == HF_PLAN_IN;
  const char *hook = in ? "input" : "output", *key = in ? "saddr" : "daddr", *way = hf_direction_text(direction);
  g_string_append_printf(out, "  chain %s {\n    type filter hook %s priority filter; policy drop;\n", hook, hook);
  g_string_append(out, "    ct state established,related counter accept\n");
  g_string_append_printf(out, "    ct state invalid counter name \"invalid_%s\" drop\n    jump base\n", way);
  append_rule(out, key, "ipv4", way);
  append_rule(out, key, "ipv6", way);
  append_named_rules(out, firewall, direction, key);
  append_end(out, way, log_group);
}

char *hf_firewall_nftables(const HfFirewall *firewall, int log_group)
{
  GString *out = g_string_new("#!/usr/sbin/nft -f\n");
  guint next = 0;
  hf_text_head(out, firewall, "# ");
  g_string_append(out, "# Test: nft -c -f FILE. Load: nft -f FILE. It replaces the table 'inet holdfast' and no other, "
                       "in one step.\n");
  hf_text_closed(out, firewall, "# ", FALSE);
  g_string_append(out, "table inet holdfast\ndelete table inet holdfast\ntable inet holdfast {\n");
  static const char *const counters[] = { "dropped_out", "dropped_in", "dropped_forward", "invalid_out",
                                          "invalid_in" };
  for (guint i = 0; i < G_N_ELEMENTS(counters); i++)
    g_string_append_printf(out, "  counter %s {\n  }\n", counters[i]);
  append_address_set(out, firewall, HF_PLAN_OUT, AF_INET, &next);
  append_address_set(out, firewall, HF_PLAN_OUT, AF_INET6, &next);
  append_address_set(out, firewall, HF_PLAN_IN, AF_INET, &next);
  append_address_set(out, firewall, HF_PLAN_IN, AF_INET6, &next);
  for (guint i = 0; i < firewall->n_sets; i++)
    append_named_set(out, &firewall->sets[i]);
  g_string_append(out, base_chain);
  append_chain(out, firewall, HF_PLAN_OUT, log_group);
  append_chain(out, firewall, HF_PLAN_IN, log_group);
  g_string_append(out, "  chain forward {\n    type filter hook forward priority filter; policy drop;\n");
  append_end(out, "forward", log_group);
  g_string_append(out, "}\n");
  return g_string_free(out, FALSE);
}
