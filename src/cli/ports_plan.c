/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The verb ports plan. */
#include <string.h>

#include "cli/verbs.h"
#include "cli/cli.h"
#include "ports/plan/show.h"

/* What is shown: a plan, of one host or (NULL) of all. */
typedef struct Show {
  HfOutput *output;
  const HfPlan *plan;
  const HfTopologyNode *host;
  GPtrArray *unresolved; /* const HfPlanUnresolved * */
} Show;

/* ----------------------------------------------------------------------------------------------------- JSON -- */

/* Prints one object a line, with --json and with --format json. Takes `object`. */
static void print_object(const Show *show, json_t *object)
{
  char *text = json_dumps(object, JSON_COMPACT);
  g_assert(text != NULL);
  hf_output_bytes(show->output, text, strlen(text));
  hf_output_bytes(show->output, "\n", 1);
  free(text);
  json_decref(object);
}

static void set_text(json_t *object, const char *key, const char *text)
{
  json_object_set_new(object, key, json_string(text));
}

static json_t *texts_json(const char *const *texts)
{
  json_t *list = json_array();
  for (; *texts != NULL; texts++)
    json_array_append_new(list, json_string(*texts));
  return list;
}

static json_t *addresses_json(const HfTopologyAddress *addresses, guint n_addresses)
{
  json_t *list = json_array();
  for (guint i = 0; i < n_addresses; i++) {
    g_autofree char *text = hf_topology_address_text(&addresses[i]);
    json_array_append_new(list, json_string(text));
  }
  return list;
}

static json_t *titles_json(const HfPlanPeers *peers)
{
  json_t *list = json_array();
  for (guint i = 0; i < peers->n_groups; i++)
    json_array_append_new(list, json_string(peers->groups[i]->title));
  return list;
}

static json_t *roles_json(const HfTopologyNode *node)
{
  guint n;
  const HfPortRole *roles = hf_port_roles(&n);
  json_t *list = json_array();
  for (guint i = 0; i < n; i++)
    if (hf_topology_has_role(node, &roles[i]))
      json_array_append_new(list, json_string(roles[i].id));
  return list;
}

static void print_group(const Show *show, const HfPlanGroup *group)
{
  json_t *object = json_object(), *names = json_array();
  for (guint i = 0; i < group->n_nodes; i++)
    json_array_append_new(names, json_string(group->nodes[i]->name));
  set_text(object, "type", "group");
  set_text(object, "group", group->title);
  json_object_set_new(object, "external", json_boolean(group->nodes[0]->profile->external));
  json_object_set_new(object, "roles", roles_json(group->nodes[0]));
  json_object_set_new(object, "nodes", names);
  if (group->nodes[0]->site != NULL)
    set_text(object, "site", group->nodes[0]->site->name);
  print_object(show, object);
}

static json_t *row_json(const HfPlanRow *row)
{
  json_t *object = json_object();
  set_text(object, "row", row->row->id);
  set_text(object, "purpose", row->row->purpose);
  if (row->item->service != NULL)
    set_text(object, "service", row->item->service->id);
  json_object_set_new(object, "fallback", json_boolean(row->fallback));
  json_object_set_new(object, "optional", json_boolean(row->optional));
  json_object_set_new(object, "set", json_boolean(row->set));
  return object;
}

/* What a flow has besides its ends. */
static json_t *flow_json(const HfPlanFlow *flow)
{
  json_t *object = json_object(), *rows = json_array();
  for (guint i = 0; i < flow->n_rows; i++)
    json_array_append_new(rows, row_json(&flow->rows[i]));
  set_text(object, "type", "flow");
  set_text(object, "transport", flow->transport == HF_PORT_TCP ? "tcp" : "udp");
  json_object_set_new(object, "first", json_integer(flow->first));
  json_object_set_new(object, "last", json_integer(flow->last));
  json_object_set_new(object, "fallback", json_boolean(flow->fallback));
  json_object_set_new(object, "rows", rows);
  if (flow->to->name != NULL)
    set_text(object, "set", flow->to->name->text);
  if (flow->endpoints[0] != NULL)
    json_object_set_new(object, "endpoints", texts_json(flow->endpoints));
  return object;
}

static void print_flow(const Show *show, const HfPlanFlow *flow)
{
  json_t *object = flow_json(flow);
  json_object_set_new(object, "from", titles_json(flow->from));
  json_object_set_new(object, "to", titles_json(flow->to));
  if (flow->to->name != NULL)
    json_object_set_new(object, "addresses", addresses_json(flow->to->name->addresses, flow->to->name->n_addresses));
  print_object(show, object);
}

static void print_element(const Show *show, const HfPlanElement *element)
{
  json_t *object = flow_json(element->flow), *names = json_array();
  g_autoptr(GArray) addresses = hf_plan_addresses(element->peers, show->host);
  g_autoptr(GPtrArray) host_names = hf_plan_host_names(element->peers, show->host);
  HfPlanNodes nodes;
  hf_plan_nodes(element->peers, show->host, &nodes);
  for (const HfTopologyNode *node; (node = hf_plan_nodes_next(&nodes)) != NULL;)
    json_array_append_new(names, json_string(node->name));
  g_ptr_array_add(host_names, NULL);
  set_text(object, "direction", element->direction == HF_PLAN_OUT ? "out" : "in");
  json_object_set_new(object, "peers", names);
  json_object_set_new(object, "addresses",
                      addresses_json((const HfTopologyAddress *)(gconstpointer)addresses->data, addresses->len));
  json_object_set_new(object, "host_names", texts_json((const char *const *)host_names->pdata));
  print_object(show, object);
}

static void print_unresolved(const Show *show, const HfPlanUnresolved *unresolved)
{
  json_t *object = json_object(), *rows = json_array();
  for (guint i = 0; i < unresolved->n_rows; i++)
    json_array_append_new(rows, json_string(unresolved->rows[i]->id));
  set_text(object, "type", "unresolved");
  set_text(object, "cause", hf_plan_cause_text(unresolved->cause));
  if (unresolved->from != NULL)
    json_object_set_new(object, "from", titles_json(unresolved->from));
  set_text(object, "to", unresolved->to->title);
  set_text(object, "what", unresolved->what);
  set_text(object, "reason", unresolved->reason);
  set_text(object, "key", unresolved->key);
  json_object_set_new(object, "rows", rows);
  print_object(show, object);
}

static void print_json(const Show *show)
{
  const HfPlan *plan = show->plan;
  HfPlanElements elements;
  HfPlanElement element;
  guint64 n_flows = 0;
  for (guint i = 0; show->host == NULL && i < plan->n_groups; i++)
    print_group(show, plan->groups[i]);
  for (guint i = 0; show->host == NULL && i < plan->n_flows; i++, n_flows++)
    print_flow(show, plan->flows[i]);
  if (show->host != NULL)
    hf_plan_elements(plan, show->host, &elements);
  for (; show->host != NULL && hf_plan_elements_next(&elements, &element); n_flows++)
    print_element(show, &element);
  for (guint i = 0; i < show->unresolved->len; i++)
    print_unresolved(show, show->unresolved->pdata[i]);
  for (guint i = 0; show->host == NULL && i < plan->n_optional; i++) {
    json_t *object = json_object();
    set_text(object, "type", "optional");
    set_text(object, "row", plan->optional[i]->row->id);
    json_object_set_new(object, "from", titles_json(plan->optional[i]->from));
    json_object_set_new(object, "to", titles_json(plan->optional[i]->to));
    print_object(show, object);
  }
  print_object(show, json_pack("{s:s, s:i, s:i, s:I, s:i}", "type", "summary", "nodes", (int)plan->topology->n_nodes,
                               "groups", (int)plan->n_groups, "flows", (json_int_t)n_flows, "unresolved",
                               (int)show->unresolved->len));
}

/* ---------------------------------------------------------------------------------------------------- table -- */

static void print_lines(const Show *show, const GPtrArray *lines)
{
  static const HfColumn columns[] = { { .title = "CONNECTS", .shrink = TRUE },
                                      { .title = "LISTENS", .shrink = TRUE },
                                      { .title = "PORTS" },
                                      { .title = "ROWS", .shrink = TRUE },
                                      { .title = "WHAT FOR", .shrink = TRUE } };
  g_autoptr(HfTable) table = hf_table_new(columns, G_N_ELEMENTS(columns));
  for (guint i = 0; i < lines->len; i++) {
    const HfPlanLine *line = lines->pdata[i];
    g_autofree char *ports = line->fallback ? g_strdup_printf("%s (fallback)", line->ports) : g_strdup(line->ports);
    const char *cells[] = { line->from, line->to, ports, line->rows, line->purpose };
    hf_table_add(table, cells);
  }
  hf_output_table(show->output, table);
}

static void print_table(const Show *show)
{
  g_autoptr(GPtrArray) lines = hf_plan_lines(show->plan, show->host);
  print_lines(show, lines);
  if (show->unresolved->len > 0)
    hf_output_text(show->output, "\nunresolved, and closed until the topology says more:\n");
  for (guint i = 0; i < show->unresolved->len; i++) {
    const HfPlanUnresolved *unresolved = show->unresolved->pdata[i];
    hf_output_text(show->output, "  %s; write '%s'\n", unresolved->reason, unresolved->key);
  }
  for (guint i = 0; show->host == NULL && i < show->plan->n_optional; i++)
    hf_output_note(show->output, "%srow %s is optional: 'want = %s' opens it: %s\n", i == 0 ? "\n" : "",
                   show->plan->optional[i]->row->id, show->plan->optional[i]->row->id,
                   show->plan->optional[i]->row->purpose);
}

/* ----------------------------------------------------------------------------------------------------- verb -- */

static void print_page(const Show *show, char *page)
{
  hf_output_bytes(show->output, page, strlen(page));
  g_free(page);
}

static void print_plan(const Show *show, HfPlanFormatChoice format)
{
  if (hf_output_is_json(show->output))
    format = HF_PLAN_FORMAT_CHOICE_JSON;
  switch (format) {
  case HF_PLAN_FORMAT_CHOICE_JSON:
    print_json(show);
    break;
  case HF_PLAN_FORMAT_CHOICE_MARKDOWN:
    print_page(show, hf_plan_markdown(show->plan, show->host));
    break;
  case HF_PLAN_FORMAT_CHOICE_DOT:
    print_page(show, hf_plan_dot(show->plan, show->host));
    break;
  case HF_PLAN_FORMAT_CHOICE_SVG:
    print_page(show, hf_plan_svg(show->plan, show->host));
    break;
  case HF_PLAN_FORMAT_CHOICE_TABLE:
  default:
    print_table(show);
  }
}

gboolean hf_verb_ports_plan(const HfOptions *options, HfCli *cli, GError **error)
{
  g_autoptr(HfTopology) topology = hf_topology_load(options->topology, error);
  if (topology == NULL)
    return FALSE;
  const HfTopologyNode *host = options->host != NULL ? hf_topology_find(topology, options->host, error) : NULL;
  if (options->host != NULL && host == NULL)
    return FALSE;
  g_autoptr(HfPlan) plan = hf_plan_new_for(topology, host);
  g_autoptr(GPtrArray) unresolved = host != NULL ? hf_plan_unresolved_of(plan, host) : g_ptr_array_new();
  for (guint i = 0; host == NULL && i < plan->n_unresolved; i++)
    g_ptr_array_add(unresolved, (gpointer)plan->unresolved[i]);
  Show show = { cli->output, plan, host, unresolved };
  print_plan(&show, options->plan_format);
  if (unresolved->len > 0)
    hf_report_warning(cli->report, options->topology,
                      "%u %s unresolved; 'ports plan' lists what to write into the topology", unresolved->len,
                      unresolved->len == 1 ? "thing is" : "things are");
  return hf_output_check(cli->output, error);
}
