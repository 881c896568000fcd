/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * firewalld: a zone for what comes in and a policy for what goes out. firewalld keeps them in two files, so that this
 * is a shell script that writes both; the files stand in it as they are.
 */
#include <arpa/inet.h>

#include "ports/firewall/make.h"

static const char head[] =
  "# Write, check and load: sh FILE. Only write and check, below another folder: sh FILE FOLDER\n"
  "set -eu\n"
  "folder=${1:-/etc/firewalld}\n"
  "mkdir -p \"$folder/zones\" \"$folder/policies\"\n";

static const char tail[] =
  "firewall-offline-cmd --system-config \"$folder\" --check-config\n"
  "if [ $# -eq 0 ]; then\n"
  "  # The zone is for every interface that no other zone has been given.\n"
  "  firewall-offline-cmd --set-default-zone holdfast\n"
  "  if firewall-cmd --quiet --state; then firewall-cmd --reload; fi\n"
  "fi\n";

/* One rule. `end` is "source" or "destination". */
static void append_rule(GString *out, const char *end, int family, const char *address, const char *what)
{
  g_string_append_printf(out, "  <rule family=\"%s\">", hf_family_text(family));
  if (address != NULL)
    g_string_append_printf(out, "<%s address=\"%s\"/>", end, address);
  g_string_append_printf(out, "%s<accept/></rule>\n", what);
}

/* loopback and, with it, ARP and what belongs to a connection: firewalld itself lets them through. */
static void append_base(GString *out, const char *end, gboolean in)
{
  static const char *const errors[] = { "destination-unreachable", "time-exceeded", "parameter-problem" };
  static const char *const more[] = { "packet-too-big", "router-solicitation", "router-advertisement",
                                      "neighbour-solicitation", "neighbour-advertisement" };
  g_string_append(out, "  <!-- The same on every host: ICMP errors, neighbour discovery, MLD (as ICMPv6 between "
                       "neighbours). -->\n");
  for (guint i = 0; i < G_N_ELEMENTS(errors); i++) {
    g_autofree char *what = g_strdup_printf("<icmp-type name=\"%s\"/>", errors[i]);
    append_rule(out, end, AF_INET, NULL, what);
    append_rule(out, end, AF_INET6, NULL, what);
  }
  for (guint i = 0; i < G_N_ELEMENTS(more); i++) {
    g_autofree char *what = g_strdup_printf("<icmp-type name=\"%s\"/>", more[i]);
    append_rule(out, end, AF_INET6, NULL, what);
  }
  append_rule(out, end, AF_INET6, in ? "fe80::/10" : "ff00::/8", "<protocol value=\"ipv6-icmp\"/>");
}

/* In a comment of XML no two signs '-' follow on each other. */
static void append_comment(GString *out, const char *text)
{
  g_autofree char *safe = g_strdup(text);
  for (char *at = safe; *at != '\0'; at++)
    if (at[0] == '-' && at[1] == '-')
      at[0] = '?';
  g_string_append_printf(out, "  <!-- %s -->\n", g_strchomp(safe));
}

static void append_comments(GString *out, const GString *lines)
{
  g_auto(GStrv) each = g_strsplit(lines->str, "\n", -1);
  for (guint i = 0; each[i] != NULL; i++)
    if (*each[i] != '\0')
      append_comment(out, each[i]);
}

static void append_element(GString *out, const HfFirewallElement *element, const char *end)
{
  g_autoptr(GArray) networks = hf_firewall_range_networks(&element->peer);
  g_autofree char *ports = hf_plan_ports_text(element->first, element->last);
  g_autofree char *what = g_strdup_printf("<port port=\"%s\" protocol=\"%s\"/>", ports,
                                          hf_port_transports_text(element->transport));
  for (guint i = 0; i < networks->len; i++) {
    g_autofree char *address = hf_topology_address_text(&g_array_index(networks, HfTopologyAddress, i));
    append_rule(out, end, element->peer.family, address, what);
  }
}

static void append_direction(GString *out, const HfFirewall *firewall, HfPlanDirection direction)
{
  const char *end = direction == HF_PLAN_IN ? "source" : "destination";
  append_base(out, end, direction == HF_PLAN_IN);
  for (guint i = 0; i < firewall->n_elements; i++) {
    const HfFirewallElement *element = &firewall->elements[i];
    if (element->direction != direction)
      continue;
    if (!hf_element_goes_on(firewall, i)) {
      g_autoptr(GString) reason = g_string_new(NULL);
      hf_text_reason(reason, element->reason, direction, element->transport, element->first, element->last, "");
      append_comments(out, reason);
    }
    append_element(out, element, end);
  }
}

char *hf_firewall_firewalld(const HfFirewall *firewall, int log_group)
{
  GString *out = g_string_new("#!/bin/sh\n");
  (void)log_group;
  hf_text_head(out, firewall, "# ");
  g_string_append(out, head);
  g_string_append(out, "cat > \"$folder/zones/holdfast.xml\" <<'END_OF_FILE'\n<?xml version=\"1.0\" "
                       "encoding=\"utf-8\"?>\n<zone target=\"DROP\">\n  <short>Holdfast</short>\n");
  g_autoptr(GString) closed = g_string_new(NULL);
  hf_text_closed(closed, firewall, "", TRUE);
  append_comments(out, closed);
  append_direction(out, firewall, HF_PLAN_IN);
  g_string_append(out, "</zone>\nEND_OF_FILE\ncat > \"$folder/policies/holdfast-out.xml\" <<'END_OF_FILE'\n"
                       "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<policy target=\"DROP\">\n"
                       "  <short>Holdfast, outbound</short>\n"
                       "  <ingress-zone name=\"HOST\"/>\n  <egress-zone name=\"ANY\"/>\n");
  append_direction(out, firewall, HF_PLAN_OUT);
  g_string_append(out, "</policy>\nEND_OF_FILE\n");
  g_string_append(out, tail);
  return g_string_free(out, FALSE);
}
