/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A fleet as its administrator writes it down: sites, hosts, and the external systems that they work with, in a text
 * file (docs/topology.md tells its format).
 *
 * A topology is constant once it was read: any thread may read it. All pointers in it live as long as it does; nodes,
 * sites and profiles are one object in memory each and may be compared by address.
 *
 * INVARIANTS
 * 1. What was read holds: every role, condition, row, service and name of a port exists in the catalogue; every name of
 *    a node or site exists in the file; no address stands at two nodes; no port is set that the pages call fixed.
 *    A file that breaks this is refused whole, with the line and column of the first mistake.
 * 2. Sizes are bounded (HF_TOPOLOGY_MAX_*), so that no file takes more memory or time than one of the largest fleet.
 * 3. A node that is not external has single addresses only (prefix 32 or 128).
 */
#pragma once

#include <glib.h>

#include "ports/catalogue/catalogue.h"

#define HF_TOPOLOGY_MAX_BYTES (4u << 20)
#define HF_TOPOLOGY_MAX_LINE 4096 /* bytes */
#define HF_TOPOLOGY_MAX_NODES 100000
#define HF_TOPOLOGY_MAX_SITES 1000
#define HF_TOPOLOGY_MAX_ITEMS 1000                            /* of one list */
#define HF_TOPOLOGY_MAX_NAME 63                               /* bytes of the name of a node, site or network */
#define HF_TOPOLOGY_MAX_ADDRESSES (4 * HF_TOPOLOGY_MAX_NODES) /* of all nodes; as many host names */
#define HF_TOPOLOGY_MAX_NETWORKS 2000                         /* of all sites */
#define HF_TOPOLOGY_MAX_PEERS 1000000                         /* nodes in all lists of peers */
#define HF_TOPOLOGY_OPEN_PORTS 10 /* how many ports "N+" opens unless the file says otherwise */

/* From 1; columns are characters, not bytes. {0, 0}: nowhere. */
typedef struct HfTopologyPlace {
  guint line, column;
} HfTopologyPlace;

/* An address, or (of externals and sites) a network of addresses. */
typedef struct HfTopologyAddress {
  int family;          /* AF_INET or AF_INET6 */
  guint prefix;        /* bits that count: 32 or 128 for one address */
  guint8 bytes[16];    /* in network order; 4 of them for AF_INET. Bits after the prefix are 0 */
  const char *network; /* the name of the network that it lies in, or NULL. Equal names are one pointer */
} HfTopologyAddress;

typedef struct HfTopologySite {
  guint index;
  const char *name;
  const HfTopologyAddress *networks;
  guint n_networks;
  HfTopologyPlace place;
} HfTopologySite;

/* One of the ports of a setting. */
typedef struct HfTopologyPort {
  guint16 first, last;
  guint transports; /* HF_PORT_TCP, HF_PORT_UDP; 0: those of the row */
} HfTopologyPort;

/* "port KEY = ...": where this node listens instead. Exactly one of service, row, name, number is set. */
typedef struct HfTopologySetting {
  const HfPortService *service;
  const HfPortRow *row;
  guint item;       /* of `row`: place in row->items that it stands for */
  const char *name; /* of a symbolic or unknown port: HfPortItem.name */
  guint16 number;   /* of ports that no service of Holdfast has: wherever the catalogue has this one */
  const HfTopologyPort *ports;
  guint n_ports; /* at least 1 */
  HfTopologyPlace place;
} HfTopologySetting;

/* "value PLACEHOLDER = ...": what stands for the placeholder in host names. */
typedef struct HfTopologyValue {
  const char *placeholder;  /* without < and > */
  const char *const *texts; /* ended by NULL; at least one */
  HfTopologyPlace place;
} HfTopologyValue;

/* "names ENDPOINT = ...": the members of the set that a host name or wildcard of the catalogue stands for. */
typedef struct HfTopologyNames {
  const char *endpoint; /* as HfPortEndpoint.host, lower case */
  const HfTopologyAddress *addresses;
  guint n_addresses;
  const char *const *texts; /* host names, ended by NULL */
  HfTopologyPlace place;
} HfTopologyNames;

typedef struct HfTopologyNode HfTopologyNode;

/* "peers ROLE = ...": of the nodes with this role only these have to do with this one. */
typedef struct HfTopologyPeers {
  const HfPortRole *role;
  const HfTopologyNode *const *nodes; /* in the order of the file, none twice */
  guint n_nodes;                      /* 0: "none" */
  HfTopologyPlace place;
} HfTopologyPeers;

typedef enum HfTopologyChoice {
  HF_TOPOLOGY_UNSAID,
  HF_TOPOLOGY_NO,
  HF_TOPOLOGY_YES,
} HfTopologyChoice;

/* What a section says: shared by all nodes of a range. The [fleet] section is one too, without roles and peers. */
typedef struct HfTopologyProfile {
  guint index;               /* of nodes: from 0, in the order of the file */
  HfTopologyPlace place;     /* of its heading */
  gboolean external;         /* [external ...]: outside the fleet */
  const guint8 *roles;       /* by HfPortRole.index: TRUE for each that it has, wider and assumed ones included */
  const guint8 *named_roles; /* the same, as they stand in the file */
  const gint16 *answers;     /* by HfPortCondition.index: place in its values, or -1: nobody says */
  const HfTopologySetting *settings;
  guint n_settings;
  const HfTopologyValue *values;
  guint n_values;
  const HfTopologyNames *names;
  guint n_names;
  const HfTopologyPeers *peers;
  guint n_peers;
  const guint8 *wanted;      /* by HfPortRow.index: TRUE for optional rows that shall be open */
  HfTopologyChoice fallback; /* whether ports of a fallback are open ("fallback-ports") */
  guint open_ports;          /* how many ports "N+" opens here; 0: unsaid */
} HfTopologyProfile;

/* A host of the fleet or an external system. */
struct HfTopologyNode {
  guint index; /* place in nodes */
  const char *name;
  const HfTopologyProfile *profile;
  const HfTopologySite *site; /* NULL: no site is known */
  const HfTopologyAddress *addresses;
  guint n_addresses;
  const char *const *dns; /* host names, ended by NULL */
};

typedef struct HfTopology {
  const char *title; /* "" when it has none */
  const HfTopologyProfile *fleet;
  const HfTopologySite *const *sites;
  guint n_sites;
  const HfTopologyProfile *const *profiles; /* of the nodes */
  guint n_profiles;
  const HfTopologyNode *const *nodes; /* hosts and externals in the order of the file */
  guint n_nodes;
} HfTopology;

/* Reads a file. HF_ERROR_USAGE for what is wrong in it: the message names the file, line and column, the cause, and
 * the nearest right name or the way to write it; HF_ERROR_NOT_FOUND, PERMISSION or IO when it cannot be read. "-" is
 * standard input. */
HfTopology *hf_topology_load(const char *path, GError **error);
/* The same for `length` bytes of text; `name` stands for the file in messages. */
HfTopology *hf_topology_parse(const char *text, gsize length, const char *name, GError **error);
void hf_topology_free(HfTopology *topology);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfTopology, hf_topology_free)

/* By its name; NULL when there is none. */
const HfTopologyNode *hf_topology_node(const HfTopology *topology, const char *name);
/* By its name, else by one of its host names or addresses. HF_ERROR_NOT_FOUND with the nearest name. */
const HfTopologyNode *hf_topology_find(const HfTopology *topology, const char *name, GError **error);
/* As find, for hosts only: HF_ERROR_USAGE for an external ("has no firewall of ours"). */
const HfTopologyNode *hf_topology_find_host(const HfTopology *topology, const char *name, GError **error);

gboolean hf_topology_has_role(const HfTopologyNode *node, const HfPortRole *role);
/* The answer of a node (NULL: of the fleet) to `condition`: its own, else that of [fleet], else the implied one, else
 * the fallback. Always a place in condition->values. Where the role that implies it is one that the node names peers
 * of, these decide: with peers it is implied, with none it is not. */
guint hf_topology_answer(const HfTopology *topology, const HfTopologyNode *node, const HfPortCondition *condition);
/* The server whose answers count for rows between the two (HF_PORT_SUBJECT_SERVER): one of them if it has the role,
 * else the first of the file that has; NULL when there is none. */
const HfTopologyNode *hf_topology_server(const HfTopology *topology, const HfTopologyNode *from,
                                         const HfTopologyNode *to);

/* TRUE when traffic between the two nodes uses this address of `node`. When both have addresses in networks with
 * names and share some, only those in shared networks are used; else all are. Besides, `peer` must have an address of
 * the same family (a peer without any address is no hindrance). */
gboolean hf_topology_address_used(const HfTopologyNode *node, const HfTopologyAddress *address,
                                  const HfTopologyNode *peer);

/* "10.0.0.1", "2001:db8::/32". Caller frees. */
char *hf_topology_address_text(const HfTopologyAddress *address);
/* A single address, or (with `networks`) one with "/bits". FALSE, without an error, when it is neither. Bits after the
 * prefix must be 0. */
gboolean hf_topology_address_parse(const char *text, gboolean networks, HfTopologyAddress *address);
/* TRUE when all of `inner` lies in `outer`. */
gboolean hf_topology_address_within(const HfTopologyAddress *inner, const HfTopologyAddress *outer);
/* Order by family, bytes, prefix; 0 when equal. The name of the network does not count. */
int hf_topology_address_compare(const HfTopologyAddress *a, const HfTopologyAddress *b);
