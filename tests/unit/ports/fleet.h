/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the tests of topologies and plans share. */
#pragma once

#include <string.h>

#include "base/error.h"
#include "ports/plan/plan.h"

static inline HfTopology *fleet_read(const char *text)
{
  g_autoptr(GError) error = NULL;
  HfTopology *topology = hf_topology_parse(text, strlen(text), "f", &error);
  if (topology == NULL)
    g_error("%s in\n%s", error->message, text);
  return topology;
}

/* A plan and what it borrows. */
typedef struct Fleet {
  HfTopology *topology;
  HfPlan *plan;
} Fleet;

static inline Fleet *fleet_plan(const char *text)
{
  Fleet *fleet = g_new0(Fleet, 1);
  fleet->topology = fleet_read(text);
  fleet->plan = hf_plan_new(fleet->topology);
  return fleet;
}

static inline void fleet_free(Fleet *fleet)
{
  hf_plan_free(fleet->plan);
  hf_topology_free(fleet->topology);
  g_free(fleet);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Fleet, fleet_free)

static inline const HfTopologyNode *fleet_node(const Fleet *fleet, const char *name)
{
  const HfTopologyNode *node = hf_topology_node(fleet->topology, name);
  if (node == NULL)
    g_error("no node '%s'", name);
  return node;
}

/* The flow by which `from` opens a port of "tcp 443", "udp 53" to `to`; NULL: it does not. */
static inline const HfPlanFlow *fleet_flow(const Fleet *fleet, const char *from, const char *to, const char *what)
{
  const HfPlanGroup *a = hf_plan_group(fleet->plan, fleet_node(fleet, from));
  const HfPlanGroup *b = hf_plan_group(fleet->plan, fleet_node(fleet, to));
  guint transport = g_str_has_prefix(what, "tcp ") ? HF_PORT_TCP : HF_PORT_UDP;
  guint port = (guint)g_ascii_strtoull(what + 4, NULL, 10);
  const HfPlanFlow *found = NULL;
  for (guint i = 0; i < fleet->plan->n_flows; i++) {
    const HfPlanFlow *flow = fleet->plan->flows[i];
    if (flow->transport != transport || flow->first > port || flow->last < port || !hf_plan_peers_have(flow->from, a) ||
        !hf_plan_peers_have(flow->to, b) || strcmp(from, to) == 0)
      continue;
    if (found != NULL && found->to->name == flow->to->name)
      g_error("%s is open from '%s' to '%s' twice", what, from, to);
    found = flow;
  }
  return found;
}

/* The rows that ask for it: "m5.4, m7.5"; "" when it is closed. Caller frees. */
static inline char *fleet_rows(const Fleet *fleet, const char *from, const char *to, const char *what)
{
  const HfPlanFlow *flow = fleet_flow(fleet, from, to, what);
  return flow != NULL ? hf_plan_rows_text(flow->rows, flow->n_rows) : g_strdup("");
}

static inline void fleet_expect(const Fleet *fleet, const char *from, const char *to, const char *what,
                                const char *rows)
{
  g_autofree char *found = fleet_rows(fleet, from, to, what);
  if (strcmp(found, rows) != 0)
    g_error("%s from '%s' to '%s' is asked for by '%s', not '%s'", what, from, to, found, rows);
}

/* Whether `row` is among those that ask for it. */
static inline gboolean fleet_asks(const Fleet *fleet, const char *from, const char *to, const char *what,
                                  const char *row)
{
  const HfPlanFlow *flow = fleet_flow(fleet, from, to, what);
  for (guint i = 0; flow != NULL && i < flow->n_rows; i++)
    if (strcmp(flow->rows[i].row->id, row) == 0)
      return TRUE;
  return FALSE;
}

static inline gboolean fleet_open(const Fleet *fleet, const char *from, const char *to, const char *what)
{
  return fleet_flow(fleet, from, to, what) != NULL;
}

/* What is unresolved at `to` and called `what`; NULL: nothing is. */
static inline const HfPlanUnresolved *fleet_unresolved(const Fleet *fleet, const char *to, const char *what)
{
  const HfPlanGroup *group = hf_plan_group(fleet->plan, fleet_node(fleet, to));
  for (guint i = 0; i < fleet->plan->n_unresolved; i++)
    if (fleet->plan->unresolved[i]->to == group && strcmp(fleet->plan->unresolved[i]->what, what) == 0)
      return fleet->plan->unresolved[i];
  return NULL;
}
