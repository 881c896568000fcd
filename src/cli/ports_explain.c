/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The verb ports explain: a port, a role, a rule, a service or a condition. */
#include "base/error.h"
#include "base/nearest.h"
#include "cli/ports_rows.h"

#define HIGHEST_PORT 65535

/* In whole sentences, where 'ports list' has a table that is cut to fit. */
static void print_rows(HfCli *cli, const char *title, const GPtrArray *rows)
{
  hf_output_text(cli->output, "\n%s: %u rule%s\n", title, rows->len, rows->len == 1 ? "" : "s");
  for (guint i = 0; i < rows->len; i++) {
    const HfPortRow *row = rows->pdata[i];
    g_autofree char *when = hf_port_when_text(&row->when);
    hf_output_text(cli->output, "%-7s %s -> %s: %s %s\n", row->id, row->printed.from, row->printed.to,
                   row->printed.protocol, row->printed.port);
    hf_output_text(cli->output, "        %s\n", row->purpose);
    if (when[0] != '\0' || row->need == HF_PORT_OPTIONAL)
      hf_output_text(cli->output, "        %s%s%s\n", row->need == HF_PORT_OPTIONAL ? "optional" : "only",
                     when[0] != '\0' ? " when " : "", when);
  }
}

/* "6162", "2500 to 3300" or "the first free port from 2049 on". Caller frees. */
static char *service_ports(const HfPortService *service)
{
  if (service->open_end)
    return g_strdup_printf("the first free port from %u on", service->first);
  if (service->first != service->last)
    return g_strdup_printf("%u to %u", service->first, service->last);
  return g_strdup_printf("%u", service->first);
}

static void print_service(HfCli *cli, const HfPortService *service)
{
  g_autofree char *ports = service_ports(service);
  hf_output_text(cli->output, "service '%s' (%s): %s, %s, by rule %s\n", service->id, service->title, ports,
                 hf_port_transports_text(service->transports), service->source->id);
  if (service->fallback != NULL) {
    g_autofree char *others = service_ports(service->fallback);
    hf_output_text(cli->output, "  where that cannot be reached: '%s', %s\n", service->fallback->id, others);
  }
}

static gboolean explain_port(HfCli *cli, guint16 port)
{
  guint n;
  const HfPortService *services = hf_port_services(&n);
  g_autoptr(GPtrArray) rows = hf_port_select(&(HfPortFilter){ .port = port });
  json_t *ids = json_array();
  hf_output_text(cli->output, "port %u\n", port);
  for (guint i = 0; i < n; i++)
    if (port >= services[i].first && port <= (services[i].open_end ? services[i].first : services[i].last)) {
      print_service(cli, &services[i]);
      json_array_append_new(ids, json_string(services[i].id));
    }
  print_rows(cli, "in the catalogue", rows);
  hf_output_document(
    cli->output, json_pack("{s:i, s:o, s:o}", "port", (int)port, "services", ids, "rows", hf_cli_port_rows_json(rows)));
  return TRUE;
}

static json_t *role_json(const HfPortRole *role)
{
  json_t *names = json_array();
  for (guint i = 0; role->names[i] != NULL; i++)
    json_array_append_new(names, json_string(role->names[i]));
  json_t *object =
    json_pack("{s:s, s:s, s:s, s:b, s:b, s:o}", "role", role->id, "title", role->title, "kind",
              hf_port_kind_text(role->kind), "external", role->external, "assumed", role->assumed, "names", names);
  if (role->is != NULL)
    json_object_set_new(object, "is", json_string(role->is->id));
  return object;
}

static gboolean explain_role(HfCli *cli, const HfPortRole *role)
{
  g_autoptr(GPtrArray) listens = hf_port_select(&(HfPortFilter){ .to = role });
  g_autoptr(GPtrArray) connects = hf_port_select(&(HfPortFilter){ .from = role });
  g_autofree char *names = g_strjoinv("; ", (char **)role->names);
  hf_output_text(cli->output, "role '%s' (%s): %s%s\n", role->id, role->title, hf_port_kind_text(role->kind),
                 role->external ? ", outside the fleet" : "");
  if (role->is != NULL)
    hf_output_text(cli->output, "  each one is also '%s'%s\n", role->is->id,
                   role->assumed ? ", and each of those is one unless a topology says otherwise" : "");
  if (names[0] != '\0')
    hf_output_text(cli->output, "  on the pages: %s\n", names);
  print_rows(cli, "others connect to it", listens);
  print_rows(cli, "it connects to others", connects);
  json_t *object = role_json(role);
  json_object_set_new(object, "listens", hf_cli_port_rows_json(listens));
  json_object_set_new(object, "connects", hf_cli_port_rows_json(connects));
  hf_output_document(cli->output, object);
  return TRUE;
}

static gboolean explain_service(HfCli *cli, const HfPortService *service)
{
  g_autoptr(GPtrArray) rows = hf_port_select(&(HfPortFilter){ .service = service });
  print_service(cli, service);
  if (service->own)
    print_rows(cli, "in the catalogue", rows);
  json_t *object = json_pack("{s:s, s:s, s:i, s:i, s:o}", "service", service->id, "title", service->title, "first",
                             (int)service->first, "last", (int)service->last, "rows", hf_cli_port_rows_json(rows));
  if (service->fallback != NULL)
    json_object_set_new(object, "fallback", json_string(service->fallback->id));
  hf_output_document(cli->output, object);
  return TRUE;
}

/* The rules that ask about it, whatever the answer. */
static GPtrArray *asking(const HfPortCondition *condition)
{
  guint n;
  const HfPortRow *all = hf_port_rows(&n);
  GPtrArray *rows = g_ptr_array_new();
  for (guint i = 0; i < n; i++) {
    gboolean asks = FALSE;
    for (guint value = 0; condition->values[value] != NULL && !asks; value++)
      asks = hf_port_row_matches(&all[i], &(HfPortFilter){ .condition = condition, .value = value });
    if (asks)
      g_ptr_array_add(rows, (gpointer)&all[i]);
  }
  return rows;
}

static gboolean explain_condition(HfCli *cli, const HfPortCondition *condition)
{
  g_autoptr(GPtrArray) rows = asking(condition);
  g_autofree char *values = g_strjoinv(", ", (char **)condition->values);
  const char *scope = condition->scope == HF_PORT_SCOPE_FLEET ? "fleet" : "host";
  json_t *list = json_array();
  for (guint i = 0; condition->values[i] != NULL; i++)
    json_array_append_new(list, json_string(condition->values[i]));
  hf_output_text(cli->output, "condition '%s': %s\n", condition->id, condition->title);
  hf_output_text(cli->output, "  answers for each %s: %s; when nobody says: %s\n", scope, values,
                 condition->values[condition->fallback]);
  if (condition->implied_by != NULL)
    hf_output_text(cli->output, "  with the role '%s' %s: %s\n", condition->implied_by->id,
                   condition->implied_own ? "on the host" : "in the fleet", condition->values[condition->implied]);
  print_rows(cli, "asked by", rows);
  hf_output_document(cli->output, json_pack("{s:s, s:s, s:s, s:o, s:s, s:o}", "condition", condition->id, "title",
                                            condition->title, "scope", scope, "values", list, "default",
                                            condition->values[condition->fallback], "rows",
                                            hf_cli_port_rows_json(rows)));
  return TRUE;
}

/* Prints each condition that `when` asks about with its question, and adds it to `list`. */
static void print_questions(HfCli *cli, const HfPortWhen *when, GHashTable *seen, json_t *list)
{
  for (guint i = 0; i < when->n_clauses; i++)
    for (guint j = 0; j < when->clauses[i].n_atoms; j++) {
      const HfPortCondition *condition = when->clauses[i].atoms[j].condition;
      if (!g_hash_table_add(seen, (gpointer)condition))
        continue;
      hf_output_text(cli->output, "  %s: %s\n", condition->id, condition->title);
      json_array_append_new(list, json_pack("{s:s, s:s}", "condition", condition->id, "title", condition->title));
    }
}

static json_t *print_all_questions(HfCli *cli, const HfPortRow *row)
{
  g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
  json_t *list = json_array();
  print_questions(cli, &row->when, seen, list);
  for (guint i = 0; i < row->n_from; i++)
    print_questions(cli, &row->from[i].when, seen, list);
  for (guint i = 0; i < row->n_to; i++)
    print_questions(cli, &row->to[i].when, seen, list);
  for (guint i = 0; i < row->n_items; i++)
    print_questions(cli, &row->items[i].when, seen, list);
  for (guint i = 0; i < row->n_endpoints; i++)
    print_questions(cli, &row->endpoints[i].when, seen, list);
  return list;
}

static void print_meaning(HfCli *cli, const HfPortRow *row)
{
  g_autofree char *from = hf_port_uses_text(row->from, row->n_from), *to = hf_port_uses_text(row->to, row->n_to);
  g_autofree char *ports = hf_port_row_ports_text(row), *when = hf_port_when_text(&row->when);
  g_autofree char *endpoints = hf_port_endpoints_text(row);
  hf_output_text(cli->output, "rule %s: %s\n", row->id, row->purpose);
  hf_output_text(cli->output, "  page '%s', section '%s', table %u, row %u, line %u\n", row->table->section->page,
                 row->table->section->title, row->table->number, row->number, row->line);
  hf_output_text(cli->output, "  printed:   %s -> %s, %s, %s\n", row->printed.from, row->printed.to,
                 row->printed.protocol, row->printed.port);
  hf_output_text(cli->output, "  from:      %s\n  to:        %s\n", from, to);
  hf_output_text(cli->output, "  ports:     %s (%s), %s%s\n", ports, hf_port_mode_text(row->mode),
                 hf_port_transports_text(row->transports), row->customisable ? "; can be set to another one" : "");
  if (endpoints[0] != '\0')
    hf_output_text(cli->output, "  endpoints: %s\n", endpoints);
  hf_output_text(cli->output, "  needed:    %s%s%s\n", hf_port_need_text(row->need), when[0] != '\0' ? ", when " : "",
                 when);
}

static gboolean explain_row(HfCli *cli, const HfPortRow *row)
{
  print_meaning(cli, row);
  json_t *object = hf_cli_port_row_json(row), *oddities = json_array(), *stated = json_array();
  json_t *questions = print_all_questions(cli, row);
  for (guint i = 0; row->rules[i] != NULL; i++) {
    hf_output_text(cli->output, "  %s: %s\n", row->rules[i]->id, row->rules[i]->title);
    json_array_append_new(stated, json_pack("{s:s, s:s}", "rule", row->rules[i]->id, "title", row->rules[i]->title));
  }
  for (guint i = 0; row->marks[i] != NULL; i++) {
    hf_output_text(cli->output, "  odd: %s\n", row->marks[i]->title);
    json_array_append_new(oddities, json_pack("{s:s, s:s}", "mark", row->marks[i]->id, "title", row->marks[i]->title));
  }
  json_object_set_new(object, "conditions", questions);
  json_object_set_new(object, "stated", stated);
  json_object_set_new(object, "oddities", oddities);
  hf_output_document(cli->output, object);
  return TRUE;
}

/* FALSE with an error that suggests the nearest role, service or condition. */
static gboolean fail_unknown(const char *what, GError **error)
{
  guint n;
  g_autoptr(HfNearest) nearest = hf_nearest_new(what);
  const HfPortRole *roles = hf_port_roles(&n);
  for (guint i = 0; i < n; i++)
    hf_nearest_offer(nearest, roles[i].id);
  const HfPortService *services = hf_port_services(&n);
  for (guint i = 0; i < n; i++)
    hf_nearest_offer(nearest, services[i].id);
  const HfPortCondition *conditions = hf_port_conditions(&n);
  for (guint i = 0; i < n; i++)
    hf_nearest_offer(nearest, conditions[i].id);
  const char *near = hf_nearest_result(nearest);
  if (near != NULL)
    return hf_fail(error, HF_ERROR_USAGE, "the catalogue does not know '%s'; did you mean '%s'?", what, near);
  return hf_fail(error, HF_ERROR_USAGE,
                 "the catalogue does not know '%s'; give a port from 1 to 65535, a role ('holdfast ports roles' lists "
                 "them), a rule as in m2.8, a service or a condition", what);
}

gboolean hf_verb_ports_explain(const HfOptions *options, HfCli *cli, GError **error)
{
  const char *what = options->what;
  guint64 port;
  if (g_ascii_string_to_unsigned(what, 10, 1, HIGHEST_PORT, &port, NULL))
    return explain_port(cli, (guint16)port);
  const HfPortRole *role = hf_port_role_find(what);
  if (role != NULL)
    return explain_role(cli, role);
  const HfPortRow *row = hf_port_row_find(what);
  if (row != NULL)
    return explain_row(cli, row);
  const HfPortService *service = hf_port_service_find(what);
  if (service != NULL)
    return explain_service(cli, service);
  const HfPortCondition *condition = hf_port_condition_find(what);
  return condition != NULL ? explain_condition(cli, condition) : fail_unknown(what, error);
}
