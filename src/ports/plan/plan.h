/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The plan of a fleet: which node opens what to whom, and which rows of the catalogue ask for it.
 *
 * Nodes that are alike in all that decides about rules are one group; the plan is kept group by group and never
 * expanded pair by pair, so that it stays small for large fleets. What concerns one host is given out on request.
 *
 * A plan is constant once it was made: any thread may read it. It borrows the topology, which must outlive it.
 *
 * INVARIANTS
 * 1. Nothing twice: of two flows, no pair of nodes, set of names, transport and port is in both.
 * 2. Nothing missing: every port that a row asks for between two nodes is in a flow that lists this row, or (where its
 *    number, its transport or its endpoint is not known) in the list of what is unresolved.
 * 3. Nothing besides: no port is in a flow that no row asks for. What is unresolved is in no flow. Only the causes
 *    HF_PLAN_NO_ADDRESS and HF_PLAN_NO_FAMILY stand beside a flow: it is planned, and cannot be rendered yet.
 * 4. No flow leads from a node to itself.
 */
#pragma once

#include <glib.h>

#include "ports/topology/topology.h"

/* Nodes for which the same rules hold: alike in profile, site, families of their addresses, and peers. */
typedef struct HfPlanGroup {
  guint index;
  const HfTopologyNode *const *nodes; /* in the order of the topology; at least one */
  guint n_nodes;
  const char *title; /* "vbr1", "node[1-500]", "node1, node3": for people */
} HfPlanGroup;

/* A named set: what a host name or wildcard of the catalogue stands for at one external system. */
typedef struct HfPlanName {
  guint index;
  const char *text; /* "*.amazonaws.com"; placeholders are filled in */
  /* Its members, from "names" or an address of the catalogue itself. Both empty: the topology names none, and nothing
   * can be opened for it (HF_PLAN_NO_ADDRESS is listed). */
  const HfTopologyAddress *addresses;
  guint n_addresses;
  const char *const *texts; /* host names that are its members, ended by NULL */
} HfPlanName;

/* What asks for a flow. */
typedef struct HfPlanRow {
  const HfPortRow *row;
  const HfPortItem *item;
  gboolean fallback; /* for the case that the first port of the group cannot be reached */
  gboolean optional; /* everything works without */
  gboolean set;      /* the number comes from the topology, not from the catalogue */
} HfPlanRow;

/* Some nodes, seen from one flow. One object for each different set: may be compared by address. */
typedef struct HfPlanPeers {
  guint index;                      /* place among all sets of the plan */
  const HfPlanGroup *const *groups; /* ascending by index */
  guint n_groups;
  guint n_nodes;
  /* NULL: the addresses and host names of the nodes themselves. Else the members of this set are meant (listening end
   * only, one group). */
  const HfPlanName *name;
} HfPlanPeers;

/* All nodes of `from` open `first` to `last` to all nodes of `to`, but none to itself. */
typedef struct HfPlanFlow {
  guint index;
  const HfPlanPeers *from, *to;
  guint transport; /* HF_PORT_TCP or HF_PORT_UDP */
  guint16 first, last;
  const HfPlanRow *rows; /* in page order; at least one */
  guint n_rows;
  gboolean fallback; /* all of its rows say so */
  /* The endpoints that the rows name, where the addresses of the nodes themselves stand for them; ended by NULL. */
  const char *const *endpoints;
} HfPlanFlow;

typedef enum HfPlanCause {
  HF_PLAN_NO_PORT,      /* the number of a symbolic or unknown port is not given */
  HF_PLAN_NO_TRANSPORT, /* neither the page nor the topology says TCP or UDP */
  HF_PLAN_NO_VALUE,     /* the value of a placeholder is not given */
  HF_PLAN_NO_ADDRESS,   /* a node without address and host name, or a named set without members */
  HF_PLAN_NO_FAMILY,    /* one end has IPv4 addresses only, the other IPv6 only */
} HfPlanCause;

/* What a row asks for and the topology leaves open. */
typedef struct HfPlanUnresolved {
  HfPlanCause cause;
  const HfPlanPeers *from;      /* who would connect; NULL for HF_PLAN_NO_ADDRESS of a node that connects */
  const HfPlanGroup *to;        /* who lacks it */
  const HfPortRow *const *rows; /* in page order; none for HF_PLAN_NO_ADDRESS of a node */
  guint n_rows;
  const char *what;   /* the name of the port, placeholder, set or node */
  const char *reason; /* "nobody says which port 'mountd_port' of 'nas1' is" */
  const char *key;    /* what to write, and where: "port mountd_port = NUMBER in [external nas1]" */
} HfPlanUnresolved;

/* An optional row that would apply, and that nobody wants ("want"). */
typedef struct HfPlanOptional {
  const HfPortRow *row;
  const HfPlanPeers *from, *to;
} HfPlanOptional;

typedef struct HfPlan {
  const HfTopology *topology;
  const HfPlanGroup *const *groups;
  guint n_groups;
  const HfPlanPeers *const *peers;
  guint n_peers;
  const HfPlanName *const *names;
  guint n_names;
  const HfPlanFlow *const *flows; /* by from, to (order of the file), transport, port */
  guint n_flows;
  const HfPlanUnresolved *const *unresolved;
  guint n_unresolved;
  const HfPlanOptional *const *optional;
  guint n_optional;
} HfPlan;

/* Never fails: what cannot be planned is in `unresolved`. */
HfPlan *hf_plan_new(const HfTopology *topology);
/* The same, of what the group of `host` takes part in only: flows, what is unresolved and what is optional between
 * others is left out. Takes a fraction of the time for fleets of thousands of hosts that all differ. NULL: all. */
HfPlan *hf_plan_new_for(const HfTopology *topology, const HfTopologyNode *host);
void hf_plan_free(HfPlan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfPlan, hf_plan_free)

/* The group of a node. */
const HfPlanGroup *hf_plan_group(const HfPlan *plan, const HfTopologyNode *node);
gboolean hf_plan_peers_have(const HfPlanPeers *peers, const HfPlanGroup *group);
/* How many pairs of nodes the flow is for. */
guint64 hf_plan_flow_pairs(const HfPlanFlow *flow);

/* ------------------------------------------------------------------------------------------------- of one host -- */

typedef enum HfPlanDirection {
  HF_PLAN_OUT, /* the host connects: its output chain */
  HF_PLAN_IN,  /* the host listens: its input chain */
} HfPlanDirection;

/* What the firewall of one host must let through. All members of an element are those of `flow`. */
typedef struct HfPlanElement {
  HfPlanDirection direction;
  const HfPlanFlow *flow;
  const HfPlanPeers *peers; /* flow->to for OUT, flow->from for IN. The host itself is left out when iterating */
} HfPlanElement;

/* The elements of a host, outbound first, in the order of the flows. */
typedef struct HfPlanElements {
  const HfPlan *plan;
  const HfPlanGroup *group;
  HfPlanDirection direction;
  guint next;
} HfPlanElements;
void hf_plan_elements(const HfPlan *plan, const HfTopologyNode *host, HfPlanElements *elements);
gboolean hf_plan_elements_next(HfPlanElements *elements, HfPlanElement *element);

/* The nodes of `peers` but `host` (NULL: all), in the order of the groups. */
typedef struct HfPlanNodes {
  const HfPlanPeers *peers;
  const HfTopologyNode *host;
  guint group, node;
} HfPlanNodes;
void hf_plan_nodes(const HfPlanPeers *peers, const HfTopologyNode *host, HfPlanNodes *nodes);
/* NULL at the end. */
const HfTopologyNode *hf_plan_nodes_next(HfPlanNodes *nodes);

/* The addresses by which `host` meets `peers`: those of the nodes that are used towards `host`
 * (hf_topology_address_used), or the members of the named set. Sorted, none twice, none inside a network that is in the
 * list too. HfTopologyAddress by value; caller unrefs. */
GArray *hf_plan_addresses(const HfPlanPeers *peers, const HfTopologyNode *host);
/* The host names among them, for nodes (or the set) that have no address: const char *, borrowed; caller unrefs. Names
 * may be wildcards only in a set that lists one. */
GPtrArray *hf_plan_host_names(const HfPlanPeers *peers, const HfTopologyNode *host);

/* What is unresolved and concerns the host: it connects, listens, or lacks an address. Borrowed pointers to const
 * HfPlanUnresolved; caller unrefs. */
GPtrArray *hf_plan_unresolved_of(const HfPlan *plan, const HfTopologyNode *host);

/* -------------------------------------------------------------------------------------------------- difference -- */

/* Some nodes of both plans, by name. */
typedef struct HfPlanChange {
  gboolean opened;                     /* else closed */
  const char *const *from, *const *to; /* names of nodes, ended by NULL, in the order of the newer (older) file */
  const char *name;                    /* of the named set, or NULL */
  guint transport;
  guint16 first, last;
  const HfPlanRow *rows; /* of the plan that has it */
  guint n_rows;
} HfPlanChange;

typedef struct HfPlanDiff {
  GPtrArray *changes;  /* HfPlanChange *: by from, to, transport, port */
  GPtrArray *added;    /* names of nodes that only the newer topology has */
  GPtrArray *removed;  /* and only the older one */
  GPtrArray *moved;    /* of both, with other addresses or host names: rules that name them change */
  GPtrArray *refilled; /* texts of named sets with other members */
} HfPlanDiff;

/* What becomes open and what closed when `before` gives way to `after`. Nodes are the same when their names are. Both
 * plans must outlive the result. */
HfPlanDiff *hf_plan_diff(const HfPlan *before, const HfPlan *after);
void hf_plan_diff_free(HfPlanDiff *diff);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfPlanDiff, hf_plan_diff_free)

/* ------------------------------------------------------------------------------------------------------- texts -- */

/* "m2.17, m4.3"; without repeats. Caller frees. */
char *hf_plan_rows_text(const HfPlanRow *rows, guint n_rows);
/* "443", "2500-3300". Caller frees. */
char *hf_plan_ports_text(guint16 first, guint16 last);
/* The titles of the groups, apart by ", "; with the set in front when it is one. Caller frees. */
char *hf_plan_peers_text(const HfPlanPeers *peers);
/* "node[1-500], other" for const HfTopologyNode *. Caller frees. */
char *hf_plan_nodes_text(const GPtrArray *nodes);
const char *hf_plan_cause_text(HfPlanCause cause); /* "no-port"...: static */
