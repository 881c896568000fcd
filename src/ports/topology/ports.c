/* SPDX-License-Identifier: GPL-3.0-or-later */
/* "port KEY = ...": reading it, and judging whether the pages let this port be set. */
#include <string.h>

#include "base/nearest.h"
#include "ports/topology/read.h"

/* ------------------------------------------------------------------------------------------------- reading -- */

static gboolean parse_number(const char *text, guint16 *number)
{
  guint64 value;
  gboolean good = g_ascii_string_to_unsigned(text, 10, 1, 65535, &value, NULL);
  if (good)
    *number = (guint16)value;
  return good;
}

/* "443", "7000-7100", "389/tcp". */
static gboolean parse_port(const HfMaker *maker, const HfWord *word, HfTopologyPort *port, GError **error)
{
  g_auto(GStrv) halves = g_strsplit(word->text, "/", 2);
  g_auto(GStrv) ends = g_strsplit(*halves[0] != '\0' ? halves[0] : "-", "-", 2);
  gboolean tcp = g_strcmp0(halves[1], "tcp") == 0, udp = g_strcmp0(halves[1], "udp") == 0;
  *port = (HfTopologyPort){ .transports = tcp ? HF_PORT_TCP : udp ? HF_PORT_UDP : 0 };
  if (halves[1] != NULL && !tcp && !udp)
    return hf_maker_fail(maker, word->place, error, "'/tcp' or '/udp' may stand behind a port, not '/%s'", halves[1]);
  if (!parse_number(g_strstrip(ends[0]), &port->first) ||
      !parse_number(ends[1] != NULL ? g_strstrip(ends[1]) : ends[0], &port->last))
    return hf_maker_fail(maker, word->place, error,
                         "'%s' is no port; write a number from 1 to 65535, or a range as 7000-7100", word->text);
  if (port->last < port->first)
    return hf_maker_fail(maker, word->place, error, "the range '%s' runs backwards", word->text);
  return TRUE;
}

/* The name of the first symbolic or unknown port that is called so; NULL when there is none. */
static const char *find_name(const char *text)
{
  guint n_rows;
  const HfPortRow *rows = hf_port_rows(&n_rows);
  for (guint i = 0; i < n_rows; i++)
    for (guint j = 0; j < rows[i].n_items; j++)
      if (g_strcmp0(rows[i].items[j].name, text) == 0)
        return rows[i].items[j].name;
  return NULL;
}

static gboolean fail_key(const HfMaker *maker, const HfWord *word, GError **error)
{
  guint n_rows, n_services;
  const HfPortRow *rows = hf_port_rows(&n_rows);
  const HfPortService *services = hf_port_services(&n_services);
  g_autoptr(HfNearest) nearest = hf_nearest_new(word->text);
  for (guint i = 0; i < n_services; i++)
    hf_nearest_offer(nearest, services[i].id);
  for (guint i = 0; i < n_rows; i++)
    for (guint j = 0; j < rows[i].n_items; j++)
      if (rows[i].items[j].name != NULL)
        hf_nearest_offer(nearest, rows[i].items[j].name);
  const char *found = hf_nearest_result(nearest);
  if (found != NULL)
    return hf_maker_fail(maker, word->place, error, "unknown port '%s'; did you mean '%s'?", word->text, found);
  return hf_maker_fail(maker, word->place, error,
                       "unknown port '%s'; give a service, a number, a row as m5.6 or x1.2#1, or a name as mountd_port",
                       word->text);
}

/* "m5.6" or "m5.6#1". FALSE with an error for a row that there is, but not so. `*found` says whether it is a row. */
static gboolean parse_row(const HfMaker *maker, const HfWord *word, HfTopologySetting *setting, gboolean *found,
                          GError **error)
{
  g_auto(GStrv) halves = g_strsplit(word->text, "#", 2);
  const HfPortRow *row = hf_port_row_find(halves[0]);
  guint16 number = 1;
  *found = row != NULL;
  if (row == NULL)
    return TRUE;
  if (halves[1] != NULL && (!parse_number(halves[1], &number) || number > row->n_items))
    return hf_maker_fail(maker, word->place, error, "row '%s' has %u ports; '#%s' is none of them", row->id,
                         row->n_items, halves[1]);
  if (halves[1] == NULL && row->items[row->n_items - 1].group > 0)
    return hf_maker_fail(maker, word->place, error, "row '%s' has several ports; say which by '%s#1' to '%s#%u'",
                         row->id, row->id, row->id, row->n_items);
  setting->row = row;
  setting->item = number - 1u;
  return TRUE;
}

static gboolean parse_key(const HfMaker *maker, const HfWord *word, HfTopologySetting *setting, GError **error)
{
  gboolean row;
  const HfPortService *service = hf_port_service_find(word->text);
  if (!parse_row(maker, word, setting, &row, error))
    return FALSE;
  if (row || parse_number(word->text, &setting->number))
    return TRUE;
  if (service != NULL && service->own)
    setting->service = service;
  else if (service != NULL)
    setting->number = service->first;
  else if ((setting->name = find_name(word->text)) == NULL)
    return fail_key(maker, word, error);
  return TRUE;
}

gboolean hf_maker_port(HfMaker *maker, HfSection *section, const HfLine *line, GError **error)
{
  HfTopologySetting setting = { .place = line->argument.place };
  if (!parse_key(maker, &line->argument, &setting, error))
    return FALSE;
  if (section->kind == HF_SECTION_FLEET && setting.name == NULL)
    return hf_maker_fail(maker, line->argument.place, error,
                         "[fleet] sets symbolic and unknown ports only; put 'port %s' where it listens",
                         line->argument.text);
  HfTopologyPort *ports = hf_maker_alloc(maker, sizeof *ports, line->items->len);
  for (guint i = 0; i < line->items->len; i++)
    if (!parse_port(maker, line->items->pdata[i], &ports[i], error))
      return FALSE;
  setting.ports = ports;
  setting.n_ports = line->items->len;
  g_array_append_val(section->settings, setting);
  return TRUE;
}

/* ------------------------------------------------------------------------------------------------- judging -- */

/* FALSE when `when` cannot hold for rows that lead to `node`, whoever connects. */
static gboolean may_hold(const HfMaker *maker, const HfTopologyNode *node, const HfPortWhen *when)
{
  for (guint c = 0; c < when->n_clauses; c++) {
    const HfPortClause *clause = &when->clauses[c];
    gboolean may = FALSE;
    for (guint a = 0; a < clause->n_atoms && !may; a++) {
      const HfPortAtom *atom = &clause->atoms[a];
      const HfTopologyNode *whose = atom->subject == HF_PORT_SUBJECT_TO ? node : NULL;
      gboolean known = atom->subject == HF_PORT_SUBJECT_TO || atom->subject == HF_PORT_SUBJECT_FLEET;
      may = !known || (hf_topology_answer(&maker->topology, whose, atom->condition) == atom->value) != atom->negated;
    }
    if (!may)
      return FALSE;
  }
  return TRUE;
}

/* Whether the row has `node` at its listening end; conditions count when `strict`. */
static gboolean leads_to(const HfMaker *maker, const HfPortRow *row, const HfTopologyNode *node, gboolean strict)
{
  if (node == NULL)
    return TRUE;
  if (strict && !may_hold(maker, node, &row->when))
    return FALSE;
  for (guint i = 0; i < row->n_to; i++)
    if (hf_topology_has_role(node, row->to[i].role) && (!strict || may_hold(maker, node, &row->to[i].when)))
      return TRUE;
  return FALSE;
}

/* A row with a port that the page leaves open says by this which of its ports varies; the others are fixed. */
static gboolean is_customisable(const HfPortRow *row)
{
  for (guint i = 0; i < row->n_items; i++)
    if (row->items[i].name != NULL)
      return FALSE;
  return row->customisable;
}

static gboolean is_one_of(const HfPortRow *row, guint group, guint16 number)
{
  for (guint i = 0; i < row->n_items; i++)
    if (row->items[i].group == group && row->items[i].kind == HF_PORT_NUMBER && row->items[i].first == number)
      return TRUE;
  return FALSE;
}

/* Whether the page lets this item of the row have these ports. */
static gboolean may_set(const HfPortRow *row, const HfPortItem *item, const HfTopologySetting *setting)
{
  const HfTopologyPort *port = &setting->ports[0];
  if (is_customisable(row))
    return TRUE;
  if (setting->n_ports > 1)
    return FALSE;
  if (item->kind == HF_PORT_OPEN)
    return port->first >= item->first;
  return item->mode == HF_PORT_ANY && port->first == port->last && is_one_of(row, item->group, port->first);
}

static gboolean concerns(const HfTopologySetting *setting, const HfPortRow *row, const HfPortItem *item)
{
  if (setting->row != NULL)
    return setting->row == row && item == &row->items[setting->item];
  if (setting->name != NULL)
    return g_strcmp0(item->name, setting->name) == 0;
  if (setting->service != NULL)
    return item->service == setting->service;
  return item->service == NULL && item->kind == HF_PORT_NUMBER && item->first == setting->number;
}

static gboolean check_transports(const HfMaker *maker, const HfTopologySetting *setting, const HfPortRow *row,
                                 GError **error)
{
  for (guint i = 0; i < setting->n_ports; i++) {
    guint transports = setting->ports[i].transports;
    if (row->transports == 0 && transports == 0)
      return hf_maker_fail(maker, setting->place, error,
                           "the page does not say over which protocol; write it behind the port: %u/tcp",
                           setting->ports[i].first);
    if (row->transports != 0 && (transports & ~row->transports) != 0)
      return hf_maker_fail(maker, setting->place, error, "row '%s' is for %s only", row->id,
                           hf_port_transports_text(row->transports));
  }
  return TRUE;
}

static char *setting_text(const HfTopologySetting *setting)
{
  if (setting->row != NULL)
    return g_strdup_printf("%s#%u", setting->row->id, setting->item + 1);
  if (setting->name != NULL || setting->service != NULL)
    return g_strdup(setting->name != NULL ? setting->name : setting->service->id);
  return g_strdup_printf("%u", setting->number);
}

/* Says why none of the rows that `setting` is about lets itself be set: `nearly` is one that does under conditions, and
 * `fixed` one that does not, or both NULL when none leads to the node. */
static gboolean fail_setting(const HfMaker *maker, const HfTopologySetting *setting, const HfTopologyNode *node,
                             const HfPortRow *nearly, const HfPortRow *fixed, GError **error)
{
  g_autofree char *what = setting_text(setting);
  const char *whose = node != NULL ? node->name : "the fleet";
  if (nearly != NULL) {
    g_autofree char *when = hf_port_when_text(&nearly->when);
    return hf_maker_fail(maker, setting->place, error, "port '%s' of '%s' can be set only while '%s' holds (row %s)",
                         what, whose, when, nearly->id);
  }
  if (fixed != NULL)
    return hf_maker_fail(maker, setting->place, error,
                         "port '%s' of '%s' is fixed: row %s does not say that it can be set; take the line out", what,
                         whose, fixed->id);
  if (setting->row != NULL) {
    g_autofree char *roles = hf_port_uses_text(setting->row->to, setting->row->n_to);
    return hf_maker_fail(maker, setting->place, error, "row '%s' does not lead to '%s'; it leads to %s",
                         setting->row->id, whose, roles);
  }
  return hf_maker_fail(maker, setting->place, error, "no row leads to port '%s' of '%s' with the roles that it has",
                       what, whose);
}

static gboolean check_setting(const HfMaker *maker, const HfTopologySetting *setting, const HfTopologyNode *node,
                              GError **error)
{
  guint n_rows;
  const HfPortRow *rows = hf_port_rows(&n_rows), *nearly = NULL, *fixed = NULL;
  gboolean good = FALSE;
  for (guint r = 0; r < n_rows; r++)
    for (guint i = 0; i < rows[r].n_items; i++) {
      const HfPortItem *item = &rows[r].items[i];
      if (!concerns(setting, &rows[r], item) || !leads_to(maker, &rows[r], node, FALSE))
        continue;
      if (item->name != NULL && setting->row != NULL)
        return hf_maker_fail(maker, setting->place, error, "this port has a name; write 'port %s = ...'", item->name);
      gboolean may = setting->name != NULL || may_set(&rows[r], item, setting);
      if (may && !check_transports(maker, setting, &rows[r], error))
        return FALSE;
      if (may && (setting->name != NULL || leads_to(maker, &rows[r], node, TRUE)))
        good = TRUE;
      else if (may)
        nearly = &rows[r];
      else
        fixed = &rows[r];
    }
  return good || fail_setting(maker, setting, node, nearly, fixed, error);
}

gboolean hf_maker_check_settings(HfMaker *maker, const HfTopologyNode *node, GError **error)
{
  const HfTopologyProfile *profile = node != NULL ? node->profile : maker->topology.fleet;
  for (guint i = 0; i < profile->n_settings; i++)
    if (!check_setting(maker, &profile->settings[i], node, error))
      return FALSE;
  return TRUE;
}
