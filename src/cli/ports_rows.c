/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/ports_rows.h"

#include <string.h>

#include "base/error.h"
#include "base/nearest.h"

/* ---- Names ---- */

/* FALSE, with an error that suggests the nearest of what was offered. */
static gboolean fail_unknown(GError **error, const char *kind, const char *name, const HfNearest *nearest,
                             const char *where)
{
  const char *near = hf_nearest_result(nearest);
  if (near != NULL)
    return hf_fail(error, HF_ERROR_USAGE, "there is no %s '%s'; did you mean '%s'?", kind, name, near);
  return hf_fail(error, HF_ERROR_USAGE, "there is no %s '%s'; %s", kind, name, where);
}

const HfPortRole *hf_cli_port_role(const char *name, GError **error)
{
  const HfPortRole *found = hf_port_role_find(name);
  if (found != NULL)
    return found;
  guint n;
  const HfPortRole *roles = hf_port_roles(&n);
  g_autoptr(HfNearest) nearest = hf_nearest_new(name);
  for (guint i = 0; i < n; i++) {
    hf_nearest_offer(nearest, roles[i].id);
    for (guint j = 0; roles[i].names[j] != NULL; j++)
      hf_nearest_offer(nearest, roles[i].names[j]);
  }
  fail_unknown(error, "role", name, nearest, "'holdfast ports roles' lists them");
  return NULL;
}

const HfPortService *hf_cli_port_service(const char *id, GError **error)
{
  const HfPortService *found = hf_port_service_find(id);
  if (found != NULL)
    return found;
  guint n;
  const HfPortService *services = hf_port_services(&n);
  g_autoptr(HfNearest) nearest = hf_nearest_new(id);
  for (guint i = 0; i < n; i++)
    hf_nearest_offer(nearest, services[i].id);
  fail_unknown(error, "service", id, nearest, "column 'service' of 'holdfast ports list --format tsv' has them");
  return NULL;
}

static const HfPortCondition *find_condition(const char *id, GError **error)
{
  const HfPortCondition *found = hf_port_condition_find(id);
  if (found != NULL)
    return found;
  guint n;
  const HfPortCondition *conditions = hf_port_conditions(&n);
  g_autoptr(HfNearest) nearest = hf_nearest_new(id);
  for (guint i = 0; i < n; i++)
    hf_nearest_offer(nearest, conditions[i].id);
  fail_unknown(error, "condition", id, nearest, "column 'when' of 'holdfast ports list --format tsv' has them");
  return NULL;
}

gboolean hf_cli_port_condition(const char *text, const HfPortCondition **condition, guint *value, GError **error)
{
  const char *sign = strchr(text, '=');
  if (sign == NULL)
    return hf_fail(error, HF_ERROR_USAGE, "'%s' is no condition with its answer; write it as in os=linux", text);
  g_autofree char *id = g_strndup(text, (gsize)(sign - text));
  *condition = find_condition(id, error);
  if (*condition == NULL)
    return FALSE;
  int place = hf_port_condition_value(*condition, sign + 1);
  if (place < 0) {
    g_autofree char *values = g_strjoinv(", ", (char **)(*condition)->values);
    return hf_fail(error, HF_ERROR_USAGE, "condition '%s' has no answer '%s'; there are: %s", id, sign + 1, values);
  }
  *value = (guint)place;
  return TRUE;
}

gboolean hf_cli_port_section(const char *name, HfPortFilter *filter, GError **error)
{
  filter->section = hf_port_section_find(name);
  if (filter->section != NULL)
    return TRUE;
  const HfPortTable *table = hf_port_table_find(name);
  if (table != NULL) {
    filter->table_title = table->title;
    return TRUE;
  }
  guint n_sections, n_tables;
  const HfPortSection *sections = hf_port_sections(&n_sections);
  const HfPortTable *tables = hf_port_tables(&n_tables);
  g_autoptr(HfNearest) nearest = hf_nearest_new(name);
  for (guint i = 0; i < n_sections; i++) {
    hf_nearest_offer(nearest, sections[i].id);
    hf_nearest_offer(nearest, sections[i].title);
  }
  for (guint i = 0; i < n_tables; i++)
    hf_nearest_offer(nearest, tables[i].title);
  return fail_unknown(error, "section", name, nearest,
                      "column 'section' of 'holdfast ports list --format tsv' has them");
}

/* ---- JSON: fields that do not apply are left out ---- */

static void set_text(json_t *object, const char *key, const char *text)
{
  if (text != NULL)
    json_object_set_new(object, key, json_string(text));
}

static void set_when(json_t *object, const HfPortWhen *when)
{
  g_autofree char *text = hf_port_when_text(when);
  if (when->n_clauses > 0)
    set_text(object, "when", text);
}

static json_t *uses_json(const HfPortRoleUse *uses, guint n_uses)
{
  json_t *list = json_array();
  for (guint i = 0; i < n_uses; i++) {
    json_t *object = json_pack("{s:s}", "role", uses[i].role->id);
    set_when(object, &uses[i].when);
    json_array_append_new(list, object);
  }
  return list;
}

static json_t *item_json(const HfPortItem *item)
{
  static const char *const kinds[] = { "number", "range", "open", "symbol", "unknown" };
  json_t *object = json_pack("{s:s, s:i, s:s, s:b}", "kind", kinds[item->kind], "group", (int)item->group, "mode",
                             hf_port_mode_text(item->mode), "legacy", item->legacy);
  if (item->first != 0) {
    json_object_set_new(object, "first", json_integer(item->first));
    json_object_set_new(object, "last", json_integer(item->last));
  }
  set_text(object, "name", item->name);
  set_when(object, &item->when);
  set_text(object, "application", item->application);
  set_text(object, "service", item->service != NULL ? item->service->id : NULL);
  return object;
}

static json_t *endpoint_json(const HfPortEndpoint *endpoint)
{
  static const char *const kinds[] = { "name", "wildcard", "placeholder", "address" };
  json_t *object =
    json_pack("{s:s, s:s, s:s}", "kind", kinds[endpoint->kind], "text", endpoint->text, "host", endpoint->host);
  set_text(object, "placeholder", endpoint->placeholder);
  set_when(object, &endpoint->when);
  return object;
}

static void set_lists(json_t *object, const HfPortRow *row)
{
  json_t *transports = json_array(), *ports = json_array(), *endpoints = json_array(), *marks = json_array();
  json_t *rules = json_array();
  if (row->transports & HF_PORT_TCP)
    json_array_append_new(transports, json_string("tcp"));
  if (row->transports & HF_PORT_UDP)
    json_array_append_new(transports, json_string("udp"));
  for (guint i = 0; i < row->n_items; i++)
    json_array_append_new(ports, item_json(&row->items[i]));
  for (guint i = 0; i < row->n_endpoints; i++)
    json_array_append_new(endpoints, endpoint_json(&row->endpoints[i]));
  for (guint i = 0; row->marks[i] != NULL; i++)
    json_array_append_new(marks, json_string(row->marks[i]->id));
  for (guint i = 0; row->rules[i] != NULL; i++)
    json_array_append_new(rules, json_string(row->rules[i]->id));
  json_object_set_new(object, "transports", transports);
  json_object_set_new(object, "ports", ports);
  json_object_set_new(object, "endpoints", endpoints);
  json_object_set_new(object, "marks", marks);
  json_object_set_new(object, "rules", rules);
}

json_t *hf_cli_port_row_json(const HfPortRow *row)
{
  const HfPortTable *table = row->table;
  json_t *object = json_pack(
    "{s:s, s:s, s:s, s:i, s:s, s:i, s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:s}", "row", row->id, "page",
    table->section->page, "section", table->section->title, "table", (int)table->number, "table_title", table->title,
    "number", (int)row->number, "line", (int)row->line, "from", row->printed.from, "to", row->printed.to, "protocol",
    row->printed.protocol, "port", row->printed.port, "mode", hf_port_mode_text(row->mode), "need",
    hf_port_need_text(row->need), "pair", hf_port_pair_text(row->pair), "customisable", row->customisable, "purpose",
    row->purpose);
  set_text(object, "heading", row->heading);
  json_object_set_new(object, "from_roles", uses_json(row->from, row->n_from));
  json_object_set_new(object, "to_roles", uses_json(row->to, row->n_to));
  set_when(object, &row->when);
  set_lists(object, row);
  return object;
}

json_t *hf_cli_port_rows_json(const GPtrArray *rows)
{
  json_t *list = json_array();
  for (guint i = 0; i < rows->len; i++)
    json_array_append_new(list, hf_cli_port_row_json(rows->pdata[i]));
  return list;
}

/* ---- Tables ---- */

void hf_cli_port_rows_table(HfOutput *output, const GPtrArray *rows)
{
  static const HfColumn columns[] = { { .title = "RULE" }, { .title = "FROM", .shrink = TRUE },
                                      { .title = "TO", .shrink = TRUE }, { .title = "PROTOCOL", .shrink = TRUE },
                                      { .title = "PORT", .shrink = TRUE }, { .title = "FOR", .shrink = TRUE },
                                      { .title = "WHEN", .shrink = TRUE } };
  g_autoptr(HfTable) table = hf_table_new(columns, G_N_ELEMENTS(columns));
  for (guint i = 0; i < rows->len; i++) {
    const HfPortRow *row = rows->pdata[i];
    g_autofree char *when = hf_port_when_text(&row->when);
    const char *cells[] = { row->id, row->printed.from, row->printed.to, row->printed.protocol, row->printed.port,
                            row->purpose, when };
    hf_table_add(table, cells);
  }
  hf_output_table(output, table);
}
