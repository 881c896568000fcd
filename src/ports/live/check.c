/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ports/live/check.h"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <string.h>

#include "base/error.h"
#include "ports/live/resolve.h"

/* ---- which host this is ---- */

static gboolean same_address(const struct sockaddr *own, const HfTopologyAddress *address)
{
  if (own == NULL || own->sa_family != address->family)
    return FALSE;
  if (address->family == AF_INET)
    return memcmp(&((const struct sockaddr_in *)own)->sin_addr, address->bytes, 4) == 0;
  return memcmp(&((const struct sockaddr_in6 *)own)->sin6_addr, address->bytes, 16) == 0;
}

static gboolean has_own(const HfTopologyNode *node, const struct ifaddrs *own)
{
  for (; own != NULL; own = own->ifa_next)
    for (guint i = 0; i < node->n_addresses; i++)
      if (same_address(own->ifa_addr, &node->addresses[i]))
        return TRUE;
  return FALSE;
}

gboolean hf_check_is_self(const HfTopologyNode *node)
{
  struct ifaddrs *own = NULL;
  if (getifaddrs(&own) < 0)
    return FALSE;
  gboolean has = has_own(node, own);
  freeifaddrs(own);
  return has;
}

const HfTopologyNode *hf_check_self(const HfTopology *topology, GError **error)
{
  struct ifaddrs *own = NULL;
  const HfTopologyNode *found = NULL, *other = NULL;
  if (getifaddrs(&own) < 0) {
    hf_fail_errno(error, errno, "cannot list the addresses of this machine");
    return NULL;
  }
  for (guint i = 0; i < topology->n_nodes; i++) {
    const HfTopologyNode *node = topology->nodes[i];
    if (node->profile->external || !has_own(node, own))
      continue;
    if (found == NULL)
      found = node;
    else
      other = node;
  }
  freeifaddrs(own);
  if (found == NULL)
    hf_fail(error, HF_ERROR_NOT_FOUND,
            "no host of the topology has an address of this machine; name the host with --host");
  if (other != NULL) {
    hf_fail(error, HF_ERROR_USAGE, "this machine has addresses of both '%s' and '%s'; choose one with --host",
            found->name, other->name);
    return NULL;
  }
  return found;
}

/* ---- what to try ---- */

/* One address of one flow. */
typedef struct Aim {
  const HfPlanFlow *flow;
  const HfTopologyNode *node;
  const HfPlanName *name;
  const char *host_name;
  HfTopologyAddress address;
  guint ends;      /* of a range: results of its ends that are still to come */
  gboolean passed; /* something got through to an end */
} Aim;

/* One port of it. */
typedef struct Try {
  Aim *aim;
  guint16 port;
  gboolean inside; /* of a range: neither its first nor its last port */
} Try;

typedef struct Check {
  const HfPlan *plan;
  const HfTopologyNode *host;
  const HfCheckOptions *options;
  HfReport *report;
  HfCheckDone done;
  gpointer user;
  HfCheckSummary *summary;
  HfProber *prober;
  GPtrArray *aims;  /* Aim * */
  GHashTable *seen; /* "address transport first last" */
  HfResolver *resolver;
  GPtrArray *names; /* that are to be looked up */
} Check;

static void tell(Check *check, const Aim *aim, const HfTopologyAddress *address, guint16 port,
                 const HfProbeResult *probe, gboolean good)
{
  const HfCheckResult result = { .flow = aim->flow, .node = aim->node, .name = aim->name, .host_name = aim->host_name,
                                 .address = address, .port = port, .probe = probe, .good = good };
  check->summary->results[probe->state]++;
  check->summary->bad += good ? 0 : 1;
  check->done(&result, check->user);
}

static void tell_untried(Check *check, const Aim *aim, const HfTopologyAddress *address, const char *reason,
                         gboolean good)
{
  HfProbeResult probe = { .state = HF_PROBE_UNTRIED, .reason = (char *)reason };
  tell(check, aim, address, aim->flow->first, &probe, good);
}

static void add_application(HfProbeTarget *target, const char *application)
{
  for (guint i = 0; i < target->n_applications; i++)
    if (g_str_equal(target->applications[i], application))
      return;
  if (target->n_applications < HF_PROBE_MAX_APPLICATIONS)
    target->applications[target->n_applications++] = application;
}

static gboolean aim_at(Check *check, Aim *aim, guint16 port, gboolean inside)
{
  const HfPlanFlow *flow = aim->flow;
  if (check->summary->tried >= check->options->limit) {
    check->summary->left++;
    return FALSE;
  }
  check->summary->tried++;
  Try *try = g_new(Try, 1);
  *try = (Try){ .aim = aim, .port = port, .inside = inside };
  HfProbeTarget target = { .address = aim->address, .transport = flow->transport, .port = port, .user = try };
  target.host_name = aim->host_name != NULL ? aim->host_name : aim->node->dns[0];
  for (guint i = 0; !check->options->paths && i < flow->n_rows; i++) {
    const char *application = flow->rows[i].item->application;
    add_application(&target, application != NULL ? application : "");
  }
  hf_report_total(check->report, check->summary->tried, 0);
  hf_prober_add(check->prober, &target);
  return TRUE;
}

static void add_aim(Check *check, const Aim *aim)
{
  const HfPlanFlow *flow = aim->flow;
  g_autofree char *address = hf_topology_address_text(&aim->address);
  char *key = g_strdup_printf("%s %u %u %u", address, flow->transport, flow->first, flow->last);
  if (!g_hash_table_add(check->seen, key))
    return;
  Aim *kept = g_memdup2(aim, sizeof *aim);
  g_ptr_array_add(check->aims, kept);
  kept->ends = aim_at(check, kept, flow->first, FALSE) ? 1 : 0;
  if (flow->last > flow->first && aim_at(check, kept, flow->last, FALSE))
    kept->ends++;
}

static void add_address(Check *check, const Aim *aim, const HfTopologyAddress *address)
{
  Aim one = *aim;
  one.address = *address;
  if (address->prefix < (address->family == AF_INET ? 32u : 128u))
    tell_untried(check, &one, address, "a network; it has no single address to try", TRUE);
  else
    add_aim(check, &one);
}

/* With a resolver its addresses are tried; without one it is only noted down. */
static void add_host_name(Check *check, const Aim *aim, const char *host_name)
{
  Aim one = *aim;
  const char *reason;
  one.host_name = host_name;
  if (strchr(host_name, '*') != NULL) {
    if (check->resolver != NULL)
      tell_untried(check, &one, NULL, "a wildcard; it has no address to try", TRUE);
    return;
  }
  if (check->resolver == NULL) {
    g_ptr_array_add(check->names, (gpointer)host_name);
    return;
  }
  const GArray *addresses = hf_resolver_get(check->resolver, host_name, &reason);
  if (addresses->len == 0)
    tell_untried(check, &one, NULL, reason, FALSE);
  for (guint i = 0; i < addresses->len; i++)
    add_address(check, &one, &g_array_index(addresses, HfTopologyAddress, i));
}

static void add_set(Check *check, const Aim *aim)
{
  for (guint i = 0; check->resolver != NULL && i < aim->name->n_addresses; i++)
    add_address(check, aim, &aim->name->addresses[i]);
  for (guint i = 0; aim->name->texts[i] != NULL; i++)
    add_host_name(check, aim, aim->name->texts[i]);
}

static void add_node(Check *check, const Aim *aim)
{
  for (guint i = 0; check->resolver != NULL && i < aim->node->n_addresses; i++)
    if (hf_topology_address_used(aim->node, &aim->node->addresses[i], check->host))
      add_address(check, aim, &aim->node->addresses[i]);
  for (guint i = 0; aim->node->n_addresses == 0 && aim->node->dns[i] != NULL; i++)
    add_host_name(check, aim, aim->node->dns[i]);
}

/* Everything that the host connects to. Passed twice: first for the names alone. */
static void add_flows(Check *check)
{
  HfPlanElements elements;
  HfPlanElement element;
  hf_plan_elements(check->plan, check->host, &elements);
  while (hf_plan_elements_next(&elements, &element)) {
    if (element.direction != HF_PLAN_OUT)
      continue;
    Aim aim = { .flow = element.flow, .name = element.peers->name };
    HfPlanNodes nodes;
    hf_plan_nodes(element.peers, check->host, &nodes);
    while ((aim.node = hf_plan_nodes_next(&nodes)) != NULL) {
      if (aim.name != NULL)
        add_set(check, &aim);
      else
        add_node(check, &aim);
    }
  }
}

/* ---- results ---- */

static void look_through(Check *check, Aim *aim)
{
  guint n = (guint)(aim->flow->last - aim->flow->first) + 1;
  if (!aim->passed || n > check->options->scan || aim->flow->transport != HF_PORT_TCP)
    return;
  for (guint port = aim->flow->first + 1u; port < aim->flow->last; port++)
    aim_at(check, aim, (guint16)port, TRUE);
}

static void take_result(const HfProbeTarget *target, const HfProbeResult *probe, gpointer user)
{
  Check *check = user;
  Try *try = target->user;
  Aim *aim = try->aim;
  gboolean range = aim->flow->last > aim->flow->first;
  gboolean good = probe->state == HF_PROBE_OPEN || probe->state == HF_PROBE_SILENT ||
    (probe->state == HF_PROBE_CLOSED && (range || check->options->paths));
  hf_report_add(check->report, 1, 0, 0);
  if (try->inside && probe->state == HF_PROBE_CLOSED)
    check->summary->scanned++;
  else
    tell(check, aim, &aim->address, try->port, probe, good);
  if (range && !try->inside) {
    aim->passed = aim->passed || probe->state == HF_PROBE_OPEN || probe->state == HF_PROBE_CLOSED ||
      probe->state == HF_PROBE_WRONG;
    if (--aim->ends == 0)
      look_through(check, aim);
  }
  g_free(try);
}

gboolean hf_check_run(const HfPlan *plan, const HfTopologyNode *host, const HfCheckOptions *options, HfReport *report,
                      HfCancel *cancel, HfCheckDone done, gpointer user, HfCheckSummary *summary, GError **error)
{
  g_autoptr(GPtrArray) aims = g_ptr_array_new_with_free_func(g_free), names = g_ptr_array_new();
  g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  *summary = (HfCheckSummary){ 0 };
  Check check = { .plan = plan, .host = host, .options = options, .report = report, .done = done, .user = user,
                  .summary = summary, .aims = aims, .seen = seen, .names = names };
  g_autoptr(HfProber) prober = hf_prober_new(options->timeout_ms, take_result, &check);
  check.prober = prober;
  add_flows(&check);
  g_ptr_array_add(names, NULL);
  g_autoptr(HfResolver) resolver = hf_resolver_new((const char *const *)names->pdata, options->timeout_ms);
  check.resolver = resolver;
  add_flows(&check);
  return hf_prober_run(prober, cancel, error);
}
