/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The firewall of one host, made from the plan of its fleet: what goes in and out, ready to be loaded by the firewall
 * of the host's system. docs/firewall.md shows what each format looks like and what it cannot express.
 *
 * INVARIANTS
 * 1. What is open is what the plan's elements of the host say, no more and no less, for addresses that are known.
 *    What the topology leaves open (a port, a member of a named set, the address of a host name) is a comment with the
 *    line to write, or an empty named set, and lets nothing through.
 * 2. Elements of one direction do not overlap: no address, transport and port is in two of them. Where flows of the
 *    plan meet on the same address and port (networks in networks, members of two sets), the element lists the rows of
 *    all.
 * 3. Texts of a topology stand in comments and quoted cells only, with every character that could end these replaced;
 *    what a firewall acts on is made of numbers and of binary addresses.
 * 4. The same plan gives the same bytes.
 */
#pragma once

#include <glib.h>

#include "ports/plan/plan.h"

/* ---- what is open ---- */

/* Addresses from first to last, both included; first <= last. */
typedef struct HfFirewallRange {
  int family;                 /* AF_INET or AF_INET6 */
  guint8 first[16], last[16]; /* in network order; 4 bytes of them for AF_INET */
} HfFirewallRange;

/* What asks for an element: the flows that meet there. One object for each different set of flows; the flows of an
 * element have its transport. */
typedef struct HfFirewallReason {
  guint index;
  const HfPlanFlow *const *flows; /* by HfPlanFlow.index; at least one */
  guint n_flows;
  const HfPortRow *const *rows; /* of all of them, in page order, none twice; at least one */
  guint n_rows;
  gboolean fallback; /* all flows say so */
  gboolean optional; /* all rows of all flows say so */
  const char *peers; /* titles of the other ends, apart by ", ", raw; many are cut: "a, b, c and 40 more" */
} HfFirewallReason;

/* One direction, transport, range of ports and range of addresses that is open. */
typedef struct HfFirewallElement {
  HfPlanDirection direction;
  HfFirewallRange peer; /* remote addresses: they connect (HF_PLAN_IN) or listen (HF_PLAN_OUT) */
  guint transport;      /* HF_PORT_TCP or HF_PORT_UDP */
  guint16 first, last;  /* ports of the end that listens */
  const HfFirewallReason *reason;
} HfFirewallElement;

/* Ports that are open between the host and the members of a named set. */
typedef struct HfFirewallPorts {
  HfPlanDirection direction;
  guint transport;
  guint16 first, last;
  const HfFirewallReason *reason;
} HfFirewallPorts;

/* A named set: what a host name or wildcard of the catalogue stands for, or nodes of which only host names are known.
 * Its members may change while the firewall is loaded. */
typedef struct HfFirewallSet {
  const char *id;   /* "any_amazonaws_com": lower case letters, digits and '_'; unique, at most 48 bytes */
  const char *text; /* "*.amazonaws.com", or the title of the nodes; raw */
  const HfPlanName *name;         /* NULL for nodes */
  const HfPlanGroup *group;       /* NULL for names; nodes without any address */
  const HfFirewallRange *members; /* ascending, IPv4 first, neither overlapping nor adjacent */
  guint n_members;
  const char *const *host_names; /* whose addresses are members too, but not known here; ended by NULL; raw */
  const HfFirewallPorts *ports;  /* outbound first, then by transport and port; not overlapping; at least one */
  guint n_ports;
  const HfFirewallReason *reason; /* all flows of all ports */
} HfFirewallSet;

typedef struct HfFirewall {
  const HfPlan *plan;
  const HfTopologyNode *host;
  /* Outbound first; in each direction IPv4 first, then by reason, port, address. */
  const HfFirewallElement *elements;
  guint n_elements;
  const HfFirewallSet *sets; /* by id */
  guint n_sets;
  const HfFirewallReason *const *reasons; /* by index */
  guint n_reasons;
  const HfPlanUnresolved *const *unresolved; /* what concerns the host */
  guint n_unresolved;
} HfFirewall;

typedef enum HfFirewallNames {
  HF_FIREWALL_NAMES_APART,    /* named sets are sets: for firewalls that have them */
  HF_FIREWALL_NAMES_RESOLVED, /* known members of named sets are in the elements; sets hold only host names */
} HfFirewallNames;

/* Never fails. Borrows the plan, which must outlive it; constant afterwards, any thread may read it. */
HfFirewall *hf_firewall_new(const HfPlan *plan, const HfTopologyNode *host, HfFirewallNames names);
void hf_firewall_free(HfFirewall *firewall);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfFirewall, hf_firewall_free)

/* "10.0.0.1", "10.0.0.0/24" where the range is just that, else "10.0.0.1-10.0.0.9". Caller frees. */
char *hf_firewall_range_text(const HfFirewallRange *range);
/* The fewest networks that cover just the range, ascending: HfTopologyAddress by value; caller unrefs. */
GArray *hf_firewall_range_networks(const HfFirewallRange *range);
/*
 * The ids of the rows for a comment of at most `limit` bytes, in the first of these forms that fits:
 *     m2.17 m2.18 x1.3        every id in full
 *     m2.17,18,20-24 x1.3     rows of one table together
 *     m2.17,18 +6             cut, and how many are missing: all of them are in the json format
 * Caller frees.
 */
char *hf_firewall_rows_text(const HfFirewallReason *reason, gsize limit);

/* ---- formats ---- */

typedef enum HfFirewallFormat {
  HF_FIREWALL_NFTABLES,
  HF_FIREWALL_IPTABLES,
  HF_FIREWALL_FIREWALLD,
  HF_FIREWALL_UFW,
  HF_FIREWALL_WINDOWS,
  HF_FIREWALL_CSV,
  HF_FIREWALL_JSON,
} HfFirewallFormat;

#define HF_FIREWALL_NO_LOG (-1)

/*
 * The rules of `host`: one file for the firewall of its system, always ended by a newline. `log_group` is the NFLOG
 * group (0 to 65535) to which nftables and iptables send what falls to the default drop; HF_FIREWALL_NO_LOG: none.
 * HF_ERROR_USAGE when another format gets a group. Caller frees.
 */
char *hf_firewall_render(const HfPlan *plan, const HfTopologyNode *host, HfFirewallFormat format, int log_group,
                         GError **error);
