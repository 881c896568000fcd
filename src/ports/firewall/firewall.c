/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From the plan's elements of a host to what its firewall lets through, and the choice of the format. */
#include "ports/firewall/firewall.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/error.h"
#include "ports/firewall/make.h"

/* A firewall while it is made, and what owns its memory afterwards. */
typedef struct Maker {
  HfFirewall firewall; /* first: a HfFirewall * is a Maker * */
  HfFirewallNames names;
  GPtrArray *owned;
  GStringChunk *strings;
  GPtrArray *unresolved;
  GArray *elements, *sets; /* HfFirewallElement, HfFirewallSet */
  HfReasons *reasons;      /* gone after the making, as the next ones */
  GHashTable *ids;         /* of sets: char * */
  GHashTable *drafts;      /* HfPlanName * or HfPlanGroup * -> Draft * */
  GPtrArray *draft_order;
} Maker;

/* A named set to be. */
typedef struct Draft {
  const HfPlanName *name;
  const HfPlanGroup *group;
  GPtrArray *flows[2]; /* by HfPlanDirection: const HfPlanFlow * */
} Draft;

static void draft_free(gpointer data)
{
  Draft *draft = data;
  g_ptr_array_unref(draft->flows[HF_PLAN_OUT]);
  g_ptr_array_unref(draft->flows[HF_PLAN_IN]);
  g_free(draft);
}

static void source_free(gpointer data)
{
  HfFirewallSource *source = data;
  g_array_unref(source->ranges);
  g_ptr_array_unref(source->flows);
  g_free(source);
}

static gpointer own(Maker *maker, gpointer memory)
{
  g_ptr_array_add(maker->owned, memory);
  return memory;
}

/* ----------------------------------------------------------------------------------------------- named sets -- */

static void add_to_draft(Maker *maker, gpointer key, const HfPlanElement *element)
{
  Draft *draft = g_hash_table_lookup(maker->drafts, key);
  if (draft == NULL) {
    draft = g_new0(Draft, 1);
    draft->flows[HF_PLAN_OUT] = g_ptr_array_new();
    draft->flows[HF_PLAN_IN] = g_ptr_array_new();
    if (element->peers->name != NULL)
      draft->name = key;
    else
      draft->group = key;
    g_hash_table_insert(maker->drafts, key, draft);
    g_ptr_array_add(maker->draft_order, draft);
  }
  g_ptr_array_add(draft->flows[element->direction], (gpointer)element->flow);
}

static gboolean only_has_names(const HfPlanGroup *group)
{
  return group->nodes[0]->n_addresses == 0 && group->nodes[0]->dns[0] != NULL;
}

/* Takes what of the element has to be a set. */
static void draft_sets(Maker *maker, const HfPlanElement *element)
{
  const HfPlanPeers *peers = element->peers;
  if (peers->name != NULL) {
    if (maker->names == HF_FIREWALL_NAMES_APART || peers->name->texts[0] != NULL)
      add_to_draft(maker, (gpointer)peers->name, element);
    return;
  }
  for (guint i = 0; i < peers->n_groups; i++)
    if (only_has_names(peers->groups[i]) &&
        (peers->groups[i]->n_nodes > 1 || peers->groups[i]->nodes[0] != maker->firewall.host))
      add_to_draft(maker, (gpointer)peers->groups[i], element);
}

/* The host names whose addresses a topology does not give, and that lead into the set. */
static const char *const *names_of(Maker *maker, const Draft *draft)
{
  if (draft->name != NULL)
    return draft->name->texts;
  GPtrArray *names = g_ptr_array_new();
  for (guint i = 0; i < draft->group->n_nodes; i++)
    for (guint k = 0; draft->group->nodes[i] != maker->firewall.host && draft->group->nodes[i]->dns[k] != NULL; k++)
      g_ptr_array_add(names, (gpointer)draft->group->nodes[i]->dns[k]);
  g_ptr_array_add(names, NULL);
  return own(maker, g_ptr_array_free(names, FALSE));
}

static void fill_members(Maker *maker, const Draft *draft, HfFirewallSet *set)
{
  g_autoptr(GArray) members = g_array_new(FALSE, FALSE, sizeof(HfFirewallRange));
  guint n = draft->name != NULL && maker->names == HF_FIREWALL_NAMES_APART ? draft->name->n_addresses : 0;
  g_autoptr(GArray) sorted = g_array_new(FALSE, FALSE, sizeof(HfTopologyAddress));
  if (n > 0)
    g_array_append_vals(sorted, draft->name->addresses, n);
  g_array_sort(sorted, (GCompareFunc)hf_topology_address_compare);
  const HfTopologyAddress *kept = NULL;
  for (guint i = 0; i < n; i++) {
    const HfTopologyAddress *address = &g_array_index(sorted, HfTopologyAddress, i);
    if (kept != NULL && hf_topology_address_within(address, kept))
      continue;
    HfFirewallRange range;
    hf_span_of(address, &range);
    hf_span_append(members, &range);
    kept = address;
  }
  set->n_members = members->len;
  set->members = own(maker, g_array_free(g_steal_pointer(&members), FALSE));
}

static int compare_sets(gconstpointer a, gconstpointer b)
{
  return strcmp(((const HfFirewallSet *)a)->id, ((const HfFirewallSet *)b)->id);
}

static void make_set(Maker *maker, const Draft *draft)
{
  HfFirewallSet set = { .name = draft->name, .group = draft->group };
  set.text = draft->name != NULL ? draft->name->text : draft->group->title;
  set.id = own(maker, hf_set_id(set.text, maker->ids));
  set.host_names = names_of(maker, draft);
  fill_members(maker, draft, &set);
  g_autoptr(GArray) ports = g_array_new(FALSE, FALSE, sizeof(HfFirewallPorts));
  g_autoptr(GPtrArray) flows = g_ptr_array_new();
  for (guint way = HF_PLAN_OUT; way <= HF_PLAN_IN; way++) {
    hf_cells_ports(maker->reasons, way, draft->flows[way], set.text, ports);
    g_ptr_array_extend(flows, draft->flows[way], NULL, NULL);
  }
  set.reason = hf_reasons_get(maker->reasons, HF_PLAN_OUT, (const HfPlanFlow *const *)flows->pdata, flows->len,
                              set.text);
  set.n_ports = ports->len;
  set.ports = own(maker, g_array_free(g_steal_pointer(&ports), FALSE));
  g_array_append_val(maker->sets, set);
}

/* ------------------------------------------------------------------------------------------------- elements -- */

/* The source of one family for these peers, or NULL when there is no such address. Caller owns. */
static HfFirewallSource *source_new(const GArray *addresses, int family)
{
  GArray *ranges = g_array_new(FALSE, FALSE, sizeof(HfFirewallRange));
  for (guint i = 0; i < addresses->len; i++) {
    const HfTopologyAddress *address = &g_array_index(addresses, HfTopologyAddress, i);
    HfFirewallRange range;
    if (address->family != family)
      continue;
    hf_span_of(address, &range);
    hf_span_append(ranges, &range);
  }
  if (ranges->len == 0) {
    g_array_unref(ranges);
    return NULL;
  }
  HfFirewallSource *source = g_new0(HfFirewallSource, 1);
  source->ranges = ranges;
  source->flows = g_ptr_array_new();
  return source;
}

typedef struct Sources {
  GPtrArray *all[2][2];    /* by direction and family (IPv6 last): HfFirewallSource * */
  GHashTable *by_peers[2]; /* by direction: HfPlanPeers * -> HfFirewallSource *[2] */
} Sources;

static void add_element(Maker *maker, Sources *sources, const HfPlanElement *element)
{
  HfFirewallSource **pair = g_hash_table_lookup(sources->by_peers[element->direction], element->peers);
  if (pair == NULL) {
    g_autoptr(GArray) addresses = hf_plan_addresses(element->peers, maker->firewall.host);
    pair = g_new0(HfFirewallSource *, 2);
    for (guint i = 0; i < 2; i++) {
      pair[i] = source_new(addresses, i == 0 ? AF_INET : AF_INET6);
      if (pair[i] != NULL)
        g_ptr_array_add(sources->all[element->direction][i], pair[i]);
    }
    g_hash_table_insert(sources->by_peers[element->direction], (gpointer)element->peers, pair);
  }
  for (guint i = 0; i < 2; i++)
    if (pair[i] != NULL)
      g_ptr_array_add(pair[i]->flows, (gpointer)element->flow);
}

static void collect(Maker *maker, Sources *sources)
{
  HfPlanElements elements;
  HfPlanElement element;
  hf_plan_elements(maker->firewall.plan, maker->firewall.host, &elements);
  while (hf_plan_elements_next(&elements, &element)) {
    draft_sets(maker, &element);
    if (element.peers->name == NULL || maker->names == HF_FIREWALL_NAMES_RESOLVED)
      add_element(maker, sources, &element);
  }
}

static int compare_elements(gconstpointer a, gconstpointer b)
{
  const HfFirewallElement *first = a, *second = b;
  if (first->direction != second->direction)
    return first->direction == HF_PLAN_OUT ? -1 : 1;
  if (first->peer.family != second->peer.family)
    return first->peer.family == AF_INET ? -1 : 1;
  if (first->reason != second->reason)
    return first->reason->index < second->reason->index ? -1 : 1;
  if (first->first != second->first)
    return first->first < second->first ? -1 : 1;
  return memcmp(first->peer.first, second->peer.first, sizeof first->peer.first);
}

static void make_elements(Maker *maker)
{
  Sources sources;
  for (guint way = 0; way < 2; way++) {
    sources.by_peers[way] = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    for (guint i = 0; i < 2; i++)
      sources.all[way][i] = g_ptr_array_new_with_free_func(source_free);
  }
  collect(maker, &sources);
  for (guint way = 0; way < 2; way++) {
    for (guint i = 0; i < 2; i++) {
      hf_cells_elements(maker->reasons, way, sources.all[way][i], maker->elements);
      g_ptr_array_unref(sources.all[way][i]);
    }
    g_hash_table_unref(sources.by_peers[way]);
  }
}

/* --------------------------------------------------------------------------------------------------- making -- */

static Maker *maker_new(const HfPlan *plan, const HfTopologyNode *host, HfFirewallNames names)
{
  Maker *maker = g_new0(Maker, 1);
  maker->firewall.plan = plan;
  maker->firewall.host = host;
  maker->names = names;
  maker->owned = g_ptr_array_new_with_free_func(g_free);
  maker->strings = g_string_chunk_new(1024);
  maker->elements = g_array_new(FALSE, FALSE, sizeof(HfFirewallElement));
  maker->sets = g_array_new(FALSE, FALSE, sizeof(HfFirewallSet));
  maker->reasons = hf_reasons_new(maker->owned, maker->strings);
  maker->ids = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  maker->drafts = g_hash_table_new(NULL, NULL);
  maker->draft_order = g_ptr_array_new_with_free_func(draft_free);
  return maker;
}

HfFirewall *hf_firewall_new(const HfPlan *plan, const HfTopologyNode *host, HfFirewallNames names)
{
  Maker *maker = maker_new(plan, host, names);
  HfFirewall *firewall = &maker->firewall;
  make_elements(maker);
  for (guint i = 0; i < maker->draft_order->len; i++)
    make_set(maker, maker->draft_order->pdata[i]);
  maker->unresolved = hf_plan_unresolved_of(plan, host);
  g_autoptr(GPtrArray) reasons = hf_reasons_finish(maker->reasons);
  firewall->n_reasons = reasons->len;
  firewall->reasons = own(maker, g_memdup2(reasons->pdata, MAX(reasons->len, 1) * sizeof(gpointer)));
  g_array_sort(maker->elements, compare_elements);
  g_array_sort(maker->sets, compare_sets);
  g_clear_pointer(&maker->reasons, hf_reasons_free);
  g_clear_pointer(&maker->ids, g_hash_table_unref);
  g_clear_pointer(&maker->drafts, g_hash_table_unref);
  g_clear_pointer(&maker->draft_order, g_ptr_array_unref);
  firewall->elements = (const HfFirewallElement *)(gpointer)maker->elements->data;
  firewall->n_elements = maker->elements->len;
  firewall->sets = (const HfFirewallSet *)(gpointer)maker->sets->data;
  firewall->n_sets = maker->sets->len;
  firewall->unresolved = (const HfPlanUnresolved *const *)maker->unresolved->pdata;
  firewall->n_unresolved = maker->unresolved->len;
  return firewall;
}

void hf_firewall_free(HfFirewall *firewall)
{
  Maker *maker = (Maker *)firewall;
  if (maker == NULL)
    return;
  g_array_unref(maker->elements);
  g_array_unref(maker->sets);
  g_ptr_array_unref(maker->unresolved);
  g_ptr_array_unref(maker->owned);
  g_string_chunk_free(maker->strings);
  g_free(maker);
}

/* -------------------------------------------------------------------------------------------------- formats -- */

typedef struct Format {
  const char *name;
  HfFirewallNames names;
  gboolean logs; /* can send to an NFLOG group */
  char *(*render)(const HfFirewall *firewall, int log_group);
} Format;

static const Format formats[] = {
  [HF_FIREWALL_NFTABLES] = { "nftables", HF_FIREWALL_NAMES_APART, TRUE, hf_firewall_nftables },
  [HF_FIREWALL_IPTABLES] = { "iptables", HF_FIREWALL_NAMES_RESOLVED, TRUE, hf_firewall_iptables },
  [HF_FIREWALL_FIREWALLD] = { "firewalld", HF_FIREWALL_NAMES_RESOLVED, FALSE, hf_firewall_firewalld },
  [HF_FIREWALL_UFW] = { "ufw", HF_FIREWALL_NAMES_RESOLVED, FALSE, hf_firewall_ufw },
  [HF_FIREWALL_WINDOWS] = { "windows", HF_FIREWALL_NAMES_RESOLVED, FALSE, hf_firewall_windows },
  [HF_FIREWALL_CSV] = { "csv", HF_FIREWALL_NAMES_APART, FALSE, hf_firewall_csv },
  [HF_FIREWALL_JSON] = { "json", HF_FIREWALL_NAMES_APART, FALSE, hf_firewall_json },
};

char *hf_firewall_render(const HfPlan *plan, const HfTopologyNode *host, HfFirewallFormat format, int log_group,
                         GError **error)
{
  const Format *chosen = &formats[format];
  if (log_group != HF_FIREWALL_NO_LOG && !chosen->logs) {
    hf_fail(error, HF_ERROR_USAGE, "format '%s' cannot log to an NFLOG group; nftables and iptables can",
            chosen->name);
    return NULL;
  }
  g_autoptr(HfFirewall) firewall = hf_firewall_new(plan, host, chosen->names);
  return chosen->render(firewall, log_group);
}
