/* SPDX-License-Identifier: GPL-3.0-or-later */
/* json: everything that is known about the rules, one object a line. Sets have the names that they have in nftables. */
#include <arpa/inet.h>

#include "ports/firewall/make.h"

static void append_text(GString *out, const char *text)
{
  g_autofree char *valid = g_utf8_make_valid(text, -1);
  g_string_append_c(out, '"');
  for (const char *at = valid; *at != '\0'; at = g_utf8_next_char(at)) {
    gunichar c = g_utf8_get_char(at);
    if (c == '"' || c == '\\')
      g_string_append_printf(out, "\\%c", (char)c);
    else if (c < 0x20 || c == 0x7f || (c >= 0x80 && c < 0xa0) || c == 0x2028 || c == 0x2029)
      g_string_append_printf(out, "\\u%04x", c);
    else
      g_string_append_unichar(out, c);
  }
  g_string_append_c(out, '"');
}

static void append_member(GString *out, const char *key, const char *text)
{
  g_string_append_printf(out, "\"%s\": ", key);
  append_text(out, text);
}

static void append_texts(GString *out, const char *key, const char *const *texts)
{
  g_string_append_printf(out, "\"%s\": [", key);
  for (guint i = 0; texts[i] != NULL; i++) {
    g_string_append(out, i > 0 ? ", " : "");
    append_text(out, texts[i]);
  }
  g_string_append_c(out, ']');
}

static void append_rows(GString *out, const HfPortRow *const *rows, guint n_rows)
{
  g_string_append(out, "\"rows\": [");
  for (guint i = 0; i < n_rows; i++)
    g_string_append_printf(out, "%s\"%s\"", i > 0 ? ", " : "", rows[i]->id);
  g_string_append_c(out, ']');
}

static void append_flag(GString *out, const char *key, gboolean flag)
{
  g_string_append_printf(out, ", \"%s\": %s", key, flag ? "true" : "false");
}

static void begin(GString *out, const char *type)
{
  g_string_append_printf(out, "{\"type\": \"%s\", ", type);
}

static void end(GString *out)
{
  g_string_append(out, "}\n");
}

static void append_open(GString *out, HfPlanDirection direction, guint transport, guint16 first, guint16 last,
                        const HfFirewallReason *reason)
{
  g_string_append_printf(out, "\"direction\": \"%s\", \"transport\": \"%s\", ", hf_direction_text(direction),
                         hf_port_transports_text(transport));
  g_string_append_printf(out, "\"first\": %u, \"last\": %u, \"reason\": %u, ", first, last, reason->index);
  append_rows(out, reason->rows, reason->n_rows);
}

static void append_range(GString *out, const char *key, const HfFirewallRange *range)
{
  char first[INET6_ADDRSTRLEN], last[INET6_ADDRSTRLEN];
  g_autofree char *text = hf_firewall_range_text(range);
  inet_ntop(range->family, range->first, first, sizeof first);
  inet_ntop(range->family, range->last, last, sizeof last);
  g_string_append_printf(out, "\"%s\": \"%s\", \"%s_first\": \"%s\", \"%s_last\": \"%s\"", key, text, key, first, key,
                         last);
}

/* ---------------------------------------------------------------------------------------------------- lines -- */

static void append_firewall(GString *out, const HfFirewall *firewall)
{
  begin(out, "firewall");
  append_member(out, "host", firewall->host->name);
  g_string_append(out, ", ");
  append_member(out, "fleet", firewall->plan->topology->title);
  g_string_append(out, ", \"table\": \"inet holdfast\", \"policy\": \"drop\", \"stateful\": true, \"base\": "
                       "[\"loopback\", \"arp\", \"neighbour-discovery\", \"mld\", \"icmp-errors\"]");
  end(out);
}

static void append_reason(GString *out, const HfFirewallReason *reason)
{
  begin(out, "reason");
  g_string_append_printf(out, "\"reason\": %u, ", reason->index);
  append_rows(out, reason->rows, reason->n_rows);
  g_string_append(out, ", ");
  append_member(out, "peers", reason->peers);
  g_string_append(out, ", ");
  append_member(out, "purpose", reason->rows[0]->purpose);
  append_flag(out, "optional", reason->optional);
  append_flag(out, "fallback", reason->fallback);
  end(out);
}

static void append_element(GString *out, const HfFirewallElement *element)
{
  begin(out, "element");
  g_string_append_printf(out, "\"set\": \"%s_%s\", ", hf_direction_text(element->direction),
                         hf_family_text(element->peer.family));
  append_range(out, "peer", &element->peer);
  g_string_append(out, ", ");
  append_open(out, element->direction, element->transport, element->first, element->last, element->reason);
  end(out);
}

static void append_set(GString *out, const HfFirewallSet *set)
{
  begin(out, "set");
  append_member(out, "set", set->id);
  g_string_append(out, ", ");
  append_member(out, "text", set->text);
  g_string_append(out, ", ");
  append_texts(out, "host_names", set->host_names);
  g_string_append(out, ", \"members\": [");
  for (guint i = 0; i < set->n_members; i++) {
    g_string_append(out, i > 0 ? ", {" : "{");
    append_range(out, "peer", &set->members[i]);
    g_string_append_c(out, '}');
  }
  g_string_append(out, "], \"ports\": [");
  for (guint i = 0; i < set->n_ports; i++) {
    const HfFirewallPorts *ports = &set->ports[i];
    g_string_append(out, i > 0 ? ", {" : "{");
    append_open(out, ports->direction, ports->transport, ports->first, ports->last, ports->reason);
    g_string_append_c(out, '}');
  }
  g_string_append_c(out, ']');
  end(out);
}

static void append_unresolved(GString *out, const HfPlanUnresolved *unresolved)
{
  begin(out, "unresolved");
  append_member(out, "cause", hf_plan_cause_text(unresolved->cause));
  g_string_append(out, ", ");
  append_rows(out, unresolved->rows, unresolved->n_rows);
  g_string_append(out, ", ");
  append_member(out, "what", unresolved->what);
  g_string_append(out, ", ");
  append_member(out, "reason", unresolved->reason);
  g_string_append(out, ", ");
  append_member(out, "key", unresolved->key);
  end(out);
}

char *hf_firewall_json(const HfFirewall *firewall, int log_group)
{
  GString *out = g_string_new(NULL);
  (void)log_group;
  append_firewall(out, firewall);
  for (guint i = 0; i < firewall->n_reasons; i++)
    append_reason(out, firewall->reasons[i]);
  for (guint i = 0; i < firewall->n_elements; i++)
    append_element(out, &firewall->elements[i]);
  for (guint i = 0; i < firewall->n_sets; i++)
    append_set(out, &firewall->sets[i]);
  for (guint i = 0; i < firewall->n_unresolved; i++)
    append_unresolved(out, firewall->unresolved[i]);
  begin(out, "summary");
  g_string_append_printf(out, "\"elements\": %u, \"sets\": %u, \"unresolved\": %u", firewall->n_elements,
                         firewall->n_sets, firewall->n_unresolved);
  end(out);
  return g_string_free(out, FALSE);
}
