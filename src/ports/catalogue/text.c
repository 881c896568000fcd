/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The catalogue as text, in the grammars of docs/port-catalogue.md. */
#include "ports/catalogue/catalogue.h"

static void add_atom(GString *text, const HfPortAtom *atom)
{
  static const char *const subjects[] = { "", "from.", "to.", "server." };
  g_string_append_printf(text, "%s%s%s%s", subjects[atom->subject], atom->condition->id, atom->negated ? "!=" : "=",
                         atom->condition->values[atom->value]);
}

static void add_when(GString *text, const HfPortWhen *when)
{
  for (guint i = 0; i < when->n_clauses; i++) {
    if (i > 0)
      g_string_append_c(text, '&');
    for (guint j = 0; j < when->clauses[i].n_atoms; j++) {
      if (j > 0)
        g_string_append_c(text, '|');
      add_atom(text, &when->clauses[i].atoms[j]);
    }
  }
}

static void add_braced_when(GString *text, const HfPortWhen *when)
{
  if (when->n_clauses == 0)
    return;
  g_string_append_c(text, '{');
  add_when(text, when);
  g_string_append_c(text, '}');
}

char *hf_port_when_text(const HfPortWhen *when)
{
  GString *text = g_string_new(NULL);
  add_when(text, when);
  return g_string_free(text, FALSE);
}

static void add_item(GString *text, const HfPortItem *item)
{
  switch (item->kind) {
  case HF_PORT_NUMBER:
    g_string_append_printf(text, "%u", item->first);
    return;
  case HF_PORT_RANGE:
    g_string_append_printf(text, "%u-%u", item->first, item->last);
    return;
  case HF_PORT_OPEN:
    g_string_append_printf(text, "%u+", item->first);
    return;
  case HF_PORT_SYMBOL:
    g_string_append_printf(text, "$%s", item->name);
    return;
  case HF_PORT_UNKNOWN:
    g_string_append_printf(text, "?%s", item->name);
    return;
  }
}

char *hf_port_item_text(const HfPortItem *item)
{
  GString *text = g_string_new(NULL);
  add_item(text, item);
  return g_string_free(text, FALSE);
}

char *hf_port_row_ports_text(const HfPortRow *row)
{
  GString *text = g_string_new(NULL);
  for (guint i = 0; i < row->n_items; i++) {
    const HfPortItem *item = &row->items[i];
    if (i > 0)
      g_string_append_c(text, row->items[i - 1].group != item->group ? ',' : item->mode == HF_PORT_ANY ? '|' : '>');
    add_item(text, item);
    if (item->legacy)
      g_string_append_c(text, '!');
    add_braced_when(text, &item->when);
  }
  return g_string_free(text, FALSE);
}

char *hf_port_uses_text(const HfPortRoleUse *uses, guint n_uses)
{
  GString *text = g_string_new(NULL);
  for (guint i = 0; i < n_uses; i++) {
    if (i > 0)
      g_string_append_c(text, ',');
    g_string_append(text, uses[i].role->id);
    add_braced_when(text, &uses[i].when);
  }
  return g_string_free(text, FALSE);
}

char *hf_port_endpoints_text(const HfPortRow *row)
{
  GString *text = g_string_new(NULL);
  for (guint i = 0; i < row->n_endpoints; i++) {
    if (i > 0)
      g_string_append_c(text, ' ');
    g_string_append(text, row->endpoints[i].text);
    add_braced_when(text, &row->endpoints[i].when);
  }
  return g_string_free(text, FALSE);
}

const char *hf_port_transports_text(guint transports)
{
  static const char *const texts[] = { "unknown", "tcp", "udp", "tcp,udp" };
  return texts[transports & (HF_PORT_TCP | HF_PORT_UDP)];
}

const char *hf_port_mode_text(HfPortMode mode)
{
  static const char *const texts[] = { "all", "any", "fallback" };
  return texts[mode];
}

const char *hf_port_need_text(HfPortNeed need)
{
  static const char *const texts[] = { "required", "conditional", "optional" };
  return texts[need];
}

const char *hf_port_pair_text(HfPortPair pair)
{
  static const char *const texts[] = { "any", "same-site", "other-site" };
  return texts[pair];
}

const char *hf_port_kind_text(HfPortKind kind)
{
  static const char *const texts[] = { "holdfast", "management", "hypervisor", "storage", "cloud", "directory",
                                       "database", "guest", "application", "mail", "network", "vendor" };
  return texts[kind];
}
