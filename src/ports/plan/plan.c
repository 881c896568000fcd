/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Making a plan, and what it gives out. */
#include "ports/plan/plan.h"

#include <string.h>

#include "ports/plan/make.h"

gpointer hf_plan_alloc(HfPlanMaker *maker, gsize size, gsize count)
{
  gpointer memory = g_malloc0_n(MAX(count, 1), size);
  g_ptr_array_add(maker->owned, memory);
  return memory;
}

const char *hf_plan_text(HfPlanMaker *maker, const char *text)
{
  return g_string_chunk_insert_const(maker->strings, text);
}

/* --------------------------------------------------------------------------------------------------- making -- */

static void number_items(HfPlanMaker *maker)
{
  guint n_rows, offset = 0;
  const HfPortRow *rows = hf_port_rows(&n_rows);
  maker->item_offset = hf_plan_alloc(maker, sizeof(guint), n_rows + 1);
  for (guint i = 0; i < n_rows; i++) {
    maker->item_offset[i] = offset;
    offset += rows[i].n_items;
  }
  maker->item_offset[n_rows] = offset;
}

static void answer_for_fleet(HfPlanMaker *maker)
{
  guint n;
  const HfPortCondition *conditions = hf_port_conditions(&n);
  maker->fleet_answers = hf_plan_alloc(maker, 1, n);
  for (guint i = 0; i < n; i++)
    maker->fleet_answers[i] = (guint8)hf_topology_answer(maker->plan.topology, NULL, &conditions[i]);
}

static HfPlanMaker *maker_new(const HfTopology *topology)
{
  guint n_roles;
  hf_port_roles(&n_roles);
  HfPlanMaker *maker = g_new0(HfPlanMaker, 1);
  maker->plan.topology = topology;
  maker->owned = g_ptr_array_new_with_free_func(g_free);
  maker->strings = g_string_chunk_new(4096);
  maker->groups = g_ptr_array_new();
  maker->peers = g_ptr_array_new();
  maker->names = g_ptr_array_new();
  maker->flows = g_ptr_array_new();
  maker->unresolved = g_ptr_array_new();
  maker->optional = g_ptr_array_new();
  maker->by_role = hf_plan_alloc(maker, sizeof *maker->by_role, n_roles);
  for (guint i = 0; i < n_roles; i++)
    maker->by_role[i] = g_ptr_array_new();
  maker->group_of = hf_plan_alloc(maker, sizeof(guint), topology->n_nodes);
  maker->peers_by_key = g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref, NULL);
  maker->cells = g_hash_table_new_full(hf_plan_pair_hash, g_int64_equal, g_free, (GDestroyNotify)g_array_unref);
  maker->names_by_key = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  maker->endpoints = g_ptr_array_new();
  g_ptr_array_add(maker->endpoints, NULL);
  maker->endpoint_numbers = g_hash_table_new(g_str_hash, g_str_equal);
  maker->server_role = hf_port_role_find("backup-server");
  for (guint i = 0; i < topology->n_nodes && maker->server == NULL; i++)
    if (hf_topology_has_role(topology->nodes[i], maker->server_role))
      maker->server = topology->nodes[i];
  number_items(maker);
  answer_for_fleet(maker);
  return maker;
}

/* Drops what only the making needs. */
static void finish_making(HfPlanMaker *maker)
{
  guint n_roles;
  hf_port_roles(&n_roles);
  for (guint i = 0; i < n_roles; i++)
    g_ptr_array_unref(maker->by_role[i]);
  g_hash_table_unref(maker->cells);
  g_hash_table_unref(maker->names_by_key);
  g_hash_table_unref(maker->peers_by_key);
  g_hash_table_unref(maker->endpoint_numbers);
  g_ptr_array_unref(maker->endpoints);
}

HfPlan *hf_plan_new(const HfTopology *topology)
{
  return hf_plan_new_for(topology, NULL);
}

HfPlan *hf_plan_new_for(const HfTopology *topology, const HfTopologyNode *host)
{
  HfPlanMaker *maker = maker_new(topology);
  HfPlan *plan = &maker->plan;
  hf_plan_make_groups(maker);
  if (host != NULL)
    maker->only = hf_plan_group(plan, host);
  hf_plan_make_claims(maker);
  hf_plan_make_flows(maker);
  finish_making(maker);
  plan->groups = (const HfPlanGroup *const *)maker->groups->pdata;
  plan->n_groups = maker->groups->len;
  plan->peers = (const HfPlanPeers *const *)maker->peers->pdata;
  plan->n_peers = maker->peers->len;
  plan->names = (const HfPlanName *const *)maker->names->pdata;
  plan->n_names = maker->names->len;
  plan->flows = (const HfPlanFlow *const *)maker->flows->pdata;
  plan->n_flows = maker->flows->len;
  plan->unresolved = (const HfPlanUnresolved *const *)maker->unresolved->pdata;
  plan->n_unresolved = maker->unresolved->len;
  plan->optional = (const HfPlanOptional *const *)maker->optional->pdata;
  plan->n_optional = maker->optional->len;
  return plan;
}

void hf_plan_free(HfPlan *plan)
{
  HfPlanMaker *maker = (HfPlanMaker *)plan;
  if (maker == NULL)
    return;
  g_ptr_array_unref(maker->groups);
  g_ptr_array_unref(maker->peers);
  g_ptr_array_unref(maker->names);
  g_ptr_array_unref(maker->flows);
  g_ptr_array_unref(maker->unresolved);
  g_ptr_array_unref(maker->optional);
  g_ptr_array_unref(maker->owned);
  g_string_chunk_free(maker->strings);
  g_free(maker);
}

/* --------------------------------------------------------------------------------------------------- groups -- */

const HfPlanGroup *hf_plan_group(const HfPlan *plan, const HfTopologyNode *node)
{
  const HfPlanMaker *maker = (const HfPlanMaker *)plan;
  return maker->groups->pdata[maker->group_of[node->index]];
}

gboolean hf_plan_peers_have(const HfPlanPeers *peers, const HfPlanGroup *group)
{
  guint low = 0, high = peers->n_groups;
  while (low < high) {
    guint middle = low + (high - low) / 2;
    if (peers->groups[middle] == group)
      return TRUE;
    if (peers->groups[middle]->index < group->index)
      low = middle + 1;
    else
      high = middle;
  }
  return FALSE;
}

guint64 hf_plan_flow_pairs(const HfPlanFlow *flow)
{
  guint64 pairs = (guint64)flow->from->n_nodes * flow->to->n_nodes;
  for (guint i = 0; i < flow->from->n_groups; i++)
    if (hf_plan_peers_have(flow->to, flow->from->groups[i]))
      pairs -= flow->from->groups[i]->n_nodes;
  return pairs;
}

/* ------------------------------------------------------------------------------------------------- one host -- */

void hf_plan_elements(const HfPlan *plan, const HfTopologyNode *host, HfPlanElements *elements)
{
  *elements = (HfPlanElements){ .plan = plan, .group = hf_plan_group(plan, host), .direction = HF_PLAN_OUT };
}

/* FALSE when the only node of the set is the host itself. */
static gboolean has_others(const HfPlanPeers *peers, const HfPlanGroup *group)
{
  return peers->n_nodes > 1 || peers->groups[0] != group;
}

gboolean hf_plan_elements_next(HfPlanElements *elements, HfPlanElement *element)
{
  const HfPlan *plan = elements->plan;
  for (;;) {
    if (elements->next == plan->n_flows) {
      if (elements->direction == HF_PLAN_IN)
        return FALSE;
      elements->direction = HF_PLAN_IN;
      elements->next = 0;
      continue;
    }
    const HfPlanFlow *flow = plan->flows[elements->next++];
    gboolean out = elements->direction == HF_PLAN_OUT;
    const HfPlanPeers *own = out ? flow->from : flow->to, *peers = out ? flow->to : flow->from;
    if (!hf_plan_peers_have(own, elements->group) || !has_others(peers, elements->group))
      continue;
    *element = (HfPlanElement){ elements->direction, flow, peers };
    return TRUE;
  }
}

void hf_plan_nodes(const HfPlanPeers *peers, const HfTopologyNode *host, HfPlanNodes *nodes)
{
  *nodes = (HfPlanNodes){ .peers = peers, .host = host };
}

const HfTopologyNode *hf_plan_nodes_next(HfPlanNodes *nodes)
{
  while (nodes->group < nodes->peers->n_groups) {
    const HfPlanGroup *group = nodes->peers->groups[nodes->group];
    if (nodes->node == group->n_nodes) {
      nodes->group++;
      nodes->node = 0;
      continue;
    }
    const HfTopologyNode *node = group->nodes[nodes->node++];
    if (node != nodes->host)
      return node;
  }
  return NULL;
}

static int compare_addresses(gconstpointer a, gconstpointer b)
{
  return hf_topology_address_compare(a, b);
}

GArray *hf_plan_addresses(const HfPlanPeers *peers, const HfTopologyNode *host)
{
  GArray *addresses = g_array_new(FALSE, FALSE, sizeof(HfTopologyAddress));
  HfPlanNodes nodes;
  hf_plan_nodes(peers, host, &nodes);
  if (peers->name != NULL)
    g_array_append_vals(addresses, peers->name->addresses, peers->name->n_addresses);
  else
    for (const HfTopologyNode *node; (node = hf_plan_nodes_next(&nodes)) != NULL;)
      for (guint i = 0; i < node->n_addresses; i++)
        if (hf_topology_address_used(node, &node->addresses[i], host))
          g_array_append_val(addresses, node->addresses[i]);
  g_array_sort(addresses, compare_addresses);
  /* A network comes before what lies in it. */
  guint n = 0;
  HfTopologyAddress *all = (HfTopologyAddress *)(gpointer)addresses->data;
  for (guint i = 0; i < addresses->len; i++)
    if (n == 0 || !hf_topology_address_within(&all[i], &all[n - 1]))
      all[n++] = all[i];
  g_array_set_size(addresses, n);
  return addresses;
}

GPtrArray *hf_plan_host_names(const HfPlanPeers *peers, const HfTopologyNode *host)
{
  GPtrArray *names = g_ptr_array_new();
  HfPlanNodes nodes;
  hf_plan_nodes(peers, host, &nodes);
  for (guint i = 0; peers->name != NULL && peers->name->texts[i] != NULL; i++)
    g_ptr_array_add(names, (gpointer)peers->name->texts[i]);
  if (peers->name != NULL)
    return names;
  for (const HfTopologyNode *node; (node = hf_plan_nodes_next(&nodes)) != NULL;)
    for (guint i = 0; node->n_addresses == 0 && node->dns[i] != NULL; i++)
      g_ptr_array_add(names, (gpointer)node->dns[i]);
  return names;
}

GPtrArray *hf_plan_unresolved_of(const HfPlan *plan, const HfTopologyNode *host)
{
  const HfPlanGroup *group = hf_plan_group(plan, host);
  GPtrArray *found = g_ptr_array_new();
  for (guint i = 0; i < plan->n_unresolved; i++) {
    const HfPlanUnresolved *unresolved = plan->unresolved[i];
    if (unresolved->to == group || (unresolved->from != NULL && hf_plan_peers_have(unresolved->from, group)))
      g_ptr_array_add(found, (gpointer)unresolved);
  }
  return found;
}

/* ---------------------------------------------------------------------------------------------------- texts -- */

char *hf_plan_rows_text(const HfPlanRow *rows, guint n_rows)
{
  GString *text = g_string_new(NULL);
  for (guint i = 0; i < n_rows; i++)
    if (i == 0 || rows[i].row != rows[i - 1].row)
      g_string_append_printf(text, "%s%s", i > 0 ? ", " : "", rows[i].row->id);
  return g_string_free(text, FALSE);
}

char *hf_plan_ports_text(guint16 first, guint16 last)
{
  return first == last ? g_strdup_printf("%u", first) : g_strdup_printf("%u-%u", first, last);
}

char *hf_plan_peers_text(const HfPlanPeers *peers)
{
  GString *text = g_string_new(NULL);
  if (peers->name != NULL)
    g_string_append_printf(text, "%s (", peers->name->text);
  for (guint i = 0; i < peers->n_groups; i++)
    g_string_append_printf(text, "%s%s", i > 0 ? ", " : "", peers->groups[i]->title);
  if (peers->name != NULL)
    g_string_append_c(text, ')');
  return g_string_free(text, FALSE);
}

const char *hf_plan_cause_text(HfPlanCause cause)
{
  static const char *const texts[] = {
    [HF_PLAN_NO_PORT] = "no-port",       [HF_PLAN_NO_TRANSPORT] = "no-transport", [HF_PLAN_NO_VALUE] = "no-value",
    [HF_PLAN_NO_ADDRESS] = "no-address", [HF_PLAN_NO_FAMILY] = "no-family",
  };
  return texts[cause];
}
