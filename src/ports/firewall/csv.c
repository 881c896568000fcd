/* SPDX-License-Identifier: GPL-3.0-or-later */
/* csv: one line a rule, for spreadsheets and for firewalls that this program does not know (RFC 4180). */
#include <string.h>

#include "ports/firewall/make.h"

/* Always in quotes. A text that a spreadsheet would take for a formula gets a ' in front; signs that break lines or
 * cannot be seen become '?'. */
static void append_cell(GString *out, const char *text)
{
  g_autofree char *valid = g_utf8_make_valid(text, -1);
  g_string_append_c(out, '"');
  if (*valid != '\0' && strchr("=+-@", *valid) != NULL)
    g_string_append_c(out, '\'');
  for (const char *at = valid; *at != '\0'; at = g_utf8_next_char(at)) {
    gunichar c = g_utf8_get_char(at);
    if (c == '"')
      g_string_append(out, "\"\"");
    else
      g_string_append_unichar(out, g_unichar_isprint(c) ? c : '?');
  }
  g_string_append_c(out, '"');
}

static void append_line(GString *out, const char *const *cells, guint n_cells)
{
  for (guint i = 0; i < n_cells; i++) {
    if (i > 0)
      g_string_append_c(out, ',');
    append_cell(out, cells[i]);
  }
  g_string_append(out, "\r\n");
}

/* Caller frees. */
static char *rows_text(const HfPortRow *const *rows, guint n_rows)
{
  GString *text = g_string_new(NULL);
  for (guint i = 0; i < n_rows; i++)
    g_string_append_printf(text, "%s%s", i > 0 ? " " : "", rows[i]->id);
  return g_string_free(text, FALSE);
}

static const char *need_text(const HfFirewallReason *reason)
{
  return reason->optional ? "optional" : reason->fallback ? "fallback" : "required";
}

/* One line for addresses (NULL: none that is known) and ports. */
static void append_open(GString *out, const char *kind, const char *peer, const char *set, const HfFirewallPorts *ports)
{
  const HfFirewallReason *reason = ports->reason;
  g_autofree char *rows = rows_text(reason->rows, reason->n_rows);
  g_autofree char *numbers = hf_plan_ports_text(ports->first, ports->last);
  const char *cells[] = { kind, hf_direction_text(ports->direction), hf_port_transports_text(ports->transport), numbers,
                          peer, set, rows, reason->peers, need_text(reason), reason->rows[0]->purpose };
  append_line(out, cells, G_N_ELEMENTS(cells));
}

static void append_set(GString *out, const HfFirewallSet *set)
{
  for (guint i = 0; i < set->n_ports; i++) {
    for (guint k = 0; k < set->n_members; k++) {
      g_autofree char *peer = hf_firewall_range_text(&set->members[k]);
      append_open(out, "allow", peer, set->text, &set->ports[i]);
    }
    for (guint k = 0; set->host_names[k] != NULL; k++)
      append_open(out, "name", set->host_names[k], set->text, &set->ports[i]);
  }
}

static void append_unresolved(GString *out, const HfPlanUnresolved *unresolved)
{
  g_autofree char *rows = rows_text(unresolved->rows, unresolved->n_rows);
  g_autofree char *note = g_strdup_printf("%s; write: %s", unresolved->reason, unresolved->key);
  const char *cells[] = { "unresolved", "", "", "", "", "", rows, unresolved->to->title,
                          hf_plan_cause_text(unresolved->cause), note };
  append_line(out, cells, G_N_ELEMENTS(cells));
}

char *hf_firewall_csv(const HfFirewall *firewall, int log_group)
{
  static const char *const base[] = { "loopback", "ARP", "neighbour discovery", "MLD", "ICMP errors",
                                      "established and related connections" };
  static const char *const columns[] = { "kind", "direction", "transport", "ports", "peer", "set", "rows", "peers",
                                         "need", "purpose" };
  GString *out = g_string_new(NULL);
  (void)log_group;
  append_line(out, columns, G_N_ELEMENTS(columns));
  for (guint i = 0; i < G_N_ELEMENTS(base); i++) {
    const char *cells[] = { "base", "both", "", "", "", "", "", "", "required", base[i] };
    append_line(out, cells, G_N_ELEMENTS(cells));
  }
  for (guint i = 0; i < firewall->n_elements; i++) {
    const HfFirewallElement *element = &firewall->elements[i];
    HfFirewallPorts ports = { element->direction, element->transport, element->first, element->last, element->reason };
    g_autofree char *peer = hf_firewall_range_text(&element->peer);
    append_open(out, "allow", peer, "", &ports);
  }
  for (guint i = 0; i < firewall->n_sets; i++)
    append_set(out, &firewall->sets[i]);
  for (guint i = 0; i < firewall->n_unresolved; i++)
    append_unresolved(out, firewall->unresolved[i]);
  static const char *const last[] = { "drop", "both", "", "", "any", "", "", "", "required", "everything else" };
  append_line(out, last, G_N_ELEMENTS(last));
  return g_string_free(out, FALSE);
}
