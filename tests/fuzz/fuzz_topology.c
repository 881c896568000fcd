/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hf_topology_parse on any text. What is accepted holds to the invariants of its header and can be planned; the plan
 * opens nothing that no row asks for. */
#include <glib.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "base/error.h"
#include "ports/plan/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MANY 40 /* nodes: more take too long for a try */

static void check_node(const HfTopology *topology, const HfTopologyNode *node)
{
  g_assert_true(topology->nodes[node->index] == node);
  g_assert_true(hf_topology_node(topology, node->name) == node);
  for (guint i = 0; i < node->n_addresses; i++) {
    const HfTopologyAddress *address = &node->addresses[i];
    guint bits = address->family == AF_INET ? 32 : 128;
    g_assert_true(address->prefix <= bits && (node->profile->external || address->prefix == bits));
  }
  for (guint i = 0; i < node->profile->n_settings; i++)
    for (guint p = 0; p < node->profile->settings[i].n_ports; p++)
      g_assert_true(node->profile->settings[i].ports[p].first > 0 &&
                    node->profile->settings[i].ports[p].first <= node->profile->settings[i].ports[p].last);
}

static void check_plan(const HfTopology *topology)
{
  g_autoptr(HfPlan) plan = hf_plan_new(topology);
  for (guint i = 0; i < plan->n_flows; i++) {
    const HfPlanFlow *flow = plan->flows[i];
    g_assert_true(flow->n_rows > 0 && flow->first > 0 && flow->first <= flow->last);
    g_assert_true(flow->transport == HF_PORT_TCP || flow->transport == HF_PORT_UDP);
    g_assert_true(hf_plan_flow_pairs(flow) > 0);
    for (guint r = 0; r < flow->n_rows; r++)
      g_assert_true(flow->rows[r].set || hf_port_item_has(flow->rows[r].item, flow->first) ||
                    flow->rows[r].item->kind == HF_PORT_OPEN);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  GError *error = NULL;
  g_log_set_always_fatal(G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_ERROR);
  HfTopology *topology = hf_topology_parse((const char *)data, size, "fuzz", &error);
  g_assert_true((topology != NULL) == (error == NULL));
  if (topology == NULL) {
    g_assert_true(hf_error_is(error, HF_ERROR_USAGE) && g_str_has_prefix(error->message, "fuzz:"));
    g_assert_true(g_utf8_validate(error->message, -1, NULL));
    g_error_free(error);
    return 0;
  }
  for (guint i = 0; i < topology->n_nodes; i++)
    check_node(topology, topology->nodes[i]);
  if (topology->n_nodes <= MANY)
    check_plan(topology);
  hf_topology_free(topology);
  return 0;
}
