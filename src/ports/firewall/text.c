/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Texts that the formats have in common. */
#include <arpa/inet.h>
#include <string.h>

#include "ports/firewall/make.h"

#define PEERS_ROOM 12   /* a comment names the peers when at least so many bytes are left for them */
#define NAMES_SHOWN 500 /* host names of one set in comments */

/* ------------------------------------------------------------------------------------------------- escaping -- */

/* One '?' for each character that is neither a letter nor a digit of ASCII nor one of `signs`. */
static void append_safe(GString *out, const char *text, const char *signs)
{
  for (const char *at = text; *at != '\0';) {
    gunichar c = g_utf8_get_char_validated(at, -1);
    gboolean valid = c != (gunichar)-1 && c != (gunichar)-2;
    gboolean safe = valid && c < 128 && (g_ascii_isalnum((char)c) || strchr(signs, (char)c) != NULL);
    g_string_append_c(out, safe ? (char)c : '?');
    at = valid ? g_utf8_next_char(at) : at + 1;
  }
}

void hf_line_append(GString *out, const char *text)
{
  append_safe(out, text, " .,:;_-+*@=()[]/'<>");
}

char *hf_plain(const char *text, gsize limit)
{
  g_autoptr(GString) out = g_string_new(NULL);
  append_safe(out, text, " .,:;_-+*@=()[]/");
  if (out->len > limit) {
    g_string_truncate(out, limit - 3);
    g_string_append(out, "...");
  }
  return g_string_free(g_steal_pointer(&out), FALSE);
}

const char *hf_direction_text(HfPlanDirection direction)
{
  return direction == HF_PLAN_OUT ? "out" : "in";
}

const char *hf_family_text(int family)
{
  return family == AF_INET ? "ipv4" : "ipv6";
}

/* ----------------------------------------------------------------------------------------------------- rows -- */

static void append_ids(GString *text, const HfFirewallReason *reason)
{
  for (guint i = 0; i < reason->n_rows; i++)
    g_string_append_printf(text, "%s%s", i > 0 ? " " : "", reason->rows[i]->id);
}

/* How many rows from `first` on follow on each other in one table. */
static guint run_length(const HfFirewallReason *reason, guint first)
{
  guint n = 1;
  while (first + n < reason->n_rows && reason->rows[first + n]->table == reason->rows[first]->table &&
         reason->rows[first + n]->number == reason->rows[first]->number + n)
    n++;
  return n;
}

/* "m2.17,18,20-24 x1.3": ends before the piece that would make it longer than `limit`, and returns how many rows it
 * has. */
static guint append_folded(GString *text, const HfFirewallReason *reason, gsize limit)
{
  guint done = 0;
  while (done < reason->n_rows) {
    const HfPortRow *row = reason->rows[done];
    guint n = run_length(reason, done);
    gsize before = text->len;
    if (done > 0 && reason->rows[done - 1]->table == row->table)
      g_string_append_printf(text, ",%u", row->number);
    else
      g_string_append_printf(text, "%s%s", done > 0 ? " " : "", row->id);
    if (n > 1)
      g_string_append_printf(text, "%c%u", n == 2 ? ',' : '-', row->number + n - 1);
    if (text->len > limit) {
      g_string_truncate(text, before);
      break;
    }
    done += n;
  }
  return done;
}

char *hf_firewall_rows_text(const HfFirewallReason *reason, gsize limit)
{
  g_autoptr(GString) text = g_string_new(NULL);
  append_ids(text, reason);
  if (text->len <= limit)
    return g_string_free(g_steal_pointer(&text), FALSE);
  g_string_truncate(text, 0);
  if (append_folded(text, reason, limit) < reason->n_rows) {
    g_string_truncate(text, 0);
    guint done = append_folded(text, reason, limit - strlen(" +449"));
    g_string_append_printf(text, " +%u", reason->n_rows - done);
  }
  return g_string_free(g_steal_pointer(&text), FALSE);
}

char *hf_element_comment(const HfFirewallReason *reason, gsize limit)
{
  g_autofree char *rows = hf_firewall_rows_text(reason, limit);
  gsize used = strlen(rows) + strlen(" | ");
  if (used + PEERS_ROOM > limit)
    return g_steal_pointer(&rows);
  g_autofree char *peers = hf_plain(reason->peers, limit - used);
  return g_strconcat(rows, " | ", peers, NULL);
}

/* ------------------------------------------------------------------------------------------- comment lines -- */

void hf_text_head(GString *out, const HfFirewall *firewall, const char *mark)
{
  g_string_append_printf(out, "%sFirewall of host ", mark);
  hf_line_append(out, firewall->host->name);
  if (*firewall->plan->topology->title != '\0') {
    g_string_append(out, " of fleet ");
    hf_line_append(out, firewall->plan->topology->title);
  }
  g_string_append_printf(out, ", made by 'holdfast ports firewall'.\n");
  g_string_append_printf(out, "%sComments name the rows of the port catalogue: holdfast ports explain m2.17\n", mark);
}

static void append_unresolved(GString *out, const HfPlanUnresolved *unresolved, const char *mark)
{
  g_string_append_printf(out, "%snot open:", mark);
  for (guint i = 0; i < unresolved->n_rows; i++)
    g_string_append_printf(out, " %s", unresolved->rows[i]->id);
  g_string_append(out, unresolved->n_rows > 0 ? ": " : " ");
  hf_line_append(out, unresolved->reason);
  g_string_append(out, "; write: ");
  hf_line_append(out, unresolved->key);
  g_string_append_c(out, '\n');
}

/* "names *.amazonaws.com = ADDRESS in [external aws]", or "address = ADDRESS in [host node[1-500]]". */
static void append_set_key(GString *out, const HfFirewallSet *set)
{
  if (set->name != NULL) {
    g_string_append(out, "names ");
    hf_line_append(out, set->name->text);
    g_string_append(out, " = ADDRESS in the external or in [fleet]");
    return;
  }
  g_string_append_printf(out, "address = ADDRESS in [%s ",
                         set->group->nodes[0]->profile->external ? "external" : "host");
  hf_line_append(out, set->group->title);
  g_string_append_c(out, ']');
}

static void append_closed_set(GString *out, const HfFirewallSet *set, const char *mark)
{
  g_autofree char *rows = hf_firewall_rows_text(set->reason, 1000);
  g_string_append_printf(out, "%snot open: %s: no address is known for", mark, rows);
  for (guint i = 0; set->host_names[i] != NULL; i++) {
    if (i == NAMES_SHOWN) {
      g_string_append(out, " and others");
      break;
    }
    g_string_append(out, i > 0 ? ", " : " ");
    hf_line_append(out, set->host_names[i]);
  }
  g_string_append(out, "; write: ");
  append_set_key(out, set);
  g_string_append_c(out, '\n');
}

void hf_text_closed(GString *out, const HfFirewall *firewall, const char *mark, gboolean sets)
{
  for (guint i = 0; i < firewall->n_unresolved; i++)
    append_unresolved(out, firewall->unresolved[i], mark);
  for (guint i = 0; sets && i < firewall->n_sets; i++)
    append_closed_set(out, &firewall->sets[i], mark);
}

void hf_text_reason(GString *out, const HfFirewallReason *reason, HfPlanDirection direction, guint transport,
                    guint16 first, guint16 last, const char *mark)
{
  g_autofree char *ports = hf_plan_ports_text(first, last);
  g_string_append_printf(out, "%s%s %s %s: ", mark, hf_direction_text(direction), hf_port_transports_text(transport),
                         ports);
  append_ids(out, reason);
  g_string_append_printf(out, "%s%s: ", reason->optional ? ", optional" : "", reason->fallback ? ", fallback" : "");
  hf_line_append(out, reason->peers);
  g_string_append(out, ": ");
  hf_line_append(out, reason->rows[0]->purpose);
  g_string_append_c(out, '\n');
}

gboolean hf_element_goes_on(const HfFirewall *firewall, guint element)
{
  if (element == 0)
    return FALSE;
  const HfFirewallElement *here = &firewall->elements[element], *before = here - 1;
  return here->direction == before->direction && here->peer.family == before->peer.family &&
    here->reason == before->reason && here->transport == before->transport && here->first == before->first &&
    here->last == before->last;
}
