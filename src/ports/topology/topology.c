/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Questions to a topology that was read. */
#include "ports/topology/topology.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/nearest.h"
#include "base/sys.h"
#include "ports/topology/read.h"

/* -------------------------------------------------------------------------------------------------- loading -- */

/* Reads up to a byte more than a topology may have. */
static gboolean read_whole(int fd, const char *what, HfBuffer *text, GError **error)
{
  if (!hf_buffer_resize(text, HF_TOPOLOGY_MAX_BYTES + 1, error))
    return FALSE;
  gssize got = hf_read_full(fd, text->data, text->length, what, error);
  if (got < 0)
    return FALSE;
  text->length = (gsize)got;
  return TRUE;
}

HfTopology *hf_topology_load(const char *path, GError **error)
{
  gboolean standard = strcmp(path, "-") == 0;
  g_auto(HfBuffer) text = HF_BUFFER_INIT;
  hf_autofd int fd = standard ? dup(STDIN_FILENO) : hf_open(AT_FDCWD, path, O_RDONLY, 0, error);
  if (fd < 0) {
    if (standard)
      hf_fail_errno(error, errno, "cannot read standard input");
    return NULL;
  }
  if (!read_whole(fd, path, &text, error))
    return NULL;
  return hf_topology_parse((const char *)text.data, text.length, standard ? "standard input" : path, error);
}

/* -------------------------------------------------------------------------------------------------- finding -- */

static gboolean is_called(const HfTopologyNode *node, const char *lower, const HfTopologyAddress *address)
{
  for (guint i = 0; node->dns[i] != NULL; i++)
    if (strcmp(node->dns[i], lower) == 0)
      return TRUE;
  for (guint i = 0; address != NULL && i < node->n_addresses; i++)
    if (hf_topology_address_compare(&node->addresses[i], address) == 0)
      return TRUE;
  return FALSE;
}

const HfTopologyNode *hf_topology_node(const HfTopology *topology, const char *name)
{
  return g_hash_table_lookup(((const HfMaker *)topology)->nodes_by_name, name);
}

const HfTopologyNode *hf_topology_find(const HfTopology *topology, const char *name, GError **error)
{
  const HfTopologyNode *node = hf_topology_node(topology, name);
  if (node != NULL)
    return node;
  HfTopologyAddress address;
  gboolean is_address = hf_topology_address_parse(name, FALSE, &address);
  g_autofree char *lower = g_ascii_strdown(name, -1);
  g_autoptr(HfNearest) nearest = hf_nearest_new(name);
  for (guint i = 0; i < topology->n_nodes; i++) {
    if (is_called(topology->nodes[i], lower, is_address ? &address : NULL))
      return topology->nodes[i];
    hf_nearest_offer(nearest, topology->nodes[i]->name);
  }
  g_autofree char *shown = hf_printable(name, -1);
  const char *found = hf_nearest_result(nearest);
  if (found != NULL)
    hf_fail(error, HF_ERROR_NOT_FOUND, "the topology has no host '%s'; did you mean '%s'?", shown, found);
  else
    hf_fail(error, HF_ERROR_NOT_FOUND, "the topology has no host '%s'", shown);
  return NULL;
}

const HfTopologyNode *hf_topology_find_host(const HfTopology *topology, const char *name, GError **error)
{
  const HfTopologyNode *node = hf_topology_find(topology, name, error);
  if (node == NULL || !node->profile->external)
    return node;
  hf_fail(error, HF_ERROR_USAGE, "'%s' is an external system, which has no firewall of ours; name a host", node->name);
  return NULL;
}

/* -------------------------------------------------------------------------------------------------- answers -- */

gboolean hf_topology_has_role(const HfTopologyNode *node, const HfPortRole *role)
{
  return node->profile->roles[role->index];
}

/* Whether the role that implies an answer is there, for `node`. */
static gboolean is_implied(const HfTopology *topology, const HfTopologyNode *node, const HfPortCondition *condition)
{
  const HfMaker *maker = (const HfMaker *)topology;
  const HfPortRole *role = condition->implied_by;
  if (condition->implied_own)
    return node != NULL && hf_topology_has_role(node, role);
  for (guint i = 0; node != NULL && i < node->profile->n_peers; i++)
    if (hf_port_role_is(role, node->profile->peers[i].role))
      return node->profile->peers[i].n_nodes > 0;
  return maker->fleet_roles[role->index];
}

guint hf_topology_answer(const HfTopology *topology, const HfTopologyNode *node, const HfPortCondition *condition)
{
  int answer = node != NULL ? node->profile->answers[condition->index] : -1;
  if (answer < 0)
    answer = topology->fleet->answers[condition->index];
  if (answer >= 0)
    return (guint)answer;
  if (condition->implied_by != NULL && is_implied(topology, node, condition))
    return condition->implied;
  return condition->fallback;
}

const HfTopologyNode *hf_topology_server(const HfTopology *topology, const HfTopologyNode *from,
                                         const HfTopologyNode *to)
{
  const HfPortRole *server = hf_port_role_find("backup-server");
  if (hf_topology_has_role(from, server))
    return from;
  if (hf_topology_has_role(to, server))
    return to;
  for (guint i = 0; i < topology->n_nodes; i++)
    if (hf_topology_has_role(topology->nodes[i], server))
      return topology->nodes[i];
  return NULL;
}

/* ------------------------------------------------------------------------------------------------ addresses -- */

static gboolean is_in_network(const HfTopologyNode *node, const char *network)
{
  for (guint i = 0; i < node->n_addresses; i++)
    if (node->addresses[i].network == network)
      return TRUE;
  return FALSE;
}

static gboolean share_network(const HfTopologyNode *a, const HfTopologyNode *b)
{
  for (guint i = 0; i < a->n_addresses; i++)
    if (a->addresses[i].network != NULL && is_in_network(b, a->addresses[i].network))
      return TRUE;
  return FALSE;
}

gboolean hf_topology_address_used(const HfTopologyNode *node, const HfTopologyAddress *address,
                                  const HfTopologyNode *peer)
{
  gboolean family = peer->n_addresses == 0;
  for (guint i = 0; i < peer->n_addresses && !family; i++)
    family = peer->addresses[i].family == address->family;
  if (!family)
    return FALSE;
  if (!share_network(node, peer))
    return TRUE;
  return address->network != NULL && is_in_network(peer, address->network);
}
