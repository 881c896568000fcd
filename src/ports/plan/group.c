/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which nodes are alike. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "ports/plan/make.h"

/* ------------------------------------------------------------------------------------------------- profiles -- */

static void put_bytes(GByteArray *key, gconstpointer bytes, gsize length)
{
  g_byte_array_append(key, bytes, (guint)length);
}

static void put_text(GByteArray *key, const char *text)
{
  put_bytes(key, text, strlen(text) + 1);
}

static void put_address(GByteArray *key, const HfTopologyAddress *address)
{
  put_bytes(key, &address->family, sizeof address->family);
  put_bytes(key, &address->prefix, sizeof address->prefix);
  put_bytes(key, address->bytes, sizeof address->bytes);
}

static void put_texts(GByteArray *key, const char *const *texts)
{
  for (; *texts != NULL; texts++)
    put_text(key, *texts);
  put_text(key, "");
}

static void put_settings(GByteArray *key, const HfTopologyProfile *profile)
{
  for (guint i = 0; i < profile->n_settings; i++) {
    const HfTopologySetting *setting = &profile->settings[i];
    put_text(key, "port");
    put_bytes(key, &setting->service, sizeof setting->service);
    put_bytes(key, &setting->row, sizeof setting->row);
    put_bytes(key, &setting->item, sizeof setting->item);
    put_bytes(key, &setting->number, sizeof setting->number);
    put_text(key, setting->name != NULL ? setting->name : "");
    for (guint p = 0; p < setting->n_ports; p++) {
      put_bytes(key, &setting->ports[p].first, sizeof setting->ports[p].first);
      put_bytes(key, &setting->ports[p].last, sizeof setting->ports[p].last);
      put_bytes(key, &setting->ports[p].transports, sizeof setting->ports[p].transports);
    }
  }
  for (guint i = 0; i < profile->n_values; i++) {
    put_text(key, "value");
    put_text(key, profile->values[i].placeholder);
    put_texts(key, profile->values[i].texts);
  }
  for (guint i = 0; i < profile->n_names; i++) {
    put_text(key, "names");
    put_text(key, profile->names[i].endpoint);
    put_texts(key, profile->names[i].texts);
    for (guint a = 0; a < profile->names[i].n_addresses; a++)
      put_address(key, &profile->names[i].addresses[a]);
  }
}

/* All of a profile that decides about rules, as bytes: equal for profiles that are alike. */
static GBytes *profile_key(const HfTopologyProfile *profile)
{
  guint n_roles, n_conditions, n_rows;
  hf_port_roles(&n_roles);
  hf_port_conditions(&n_conditions);
  hf_port_rows(&n_rows);
  GByteArray *key = g_byte_array_new();
  put_bytes(key, &profile->external, sizeof profile->external);
  put_bytes(key, profile->roles, n_roles);
  put_bytes(key, profile->answers, n_conditions * sizeof *profile->answers);
  put_bytes(key, profile->wanted, n_rows);
  put_bytes(key, &profile->fallback, sizeof profile->fallback);
  put_bytes(key, &profile->open_ports, sizeof profile->open_ports);
  put_settings(key, profile);
  for (guint i = 0; i < profile->n_peers; i++) {
    const HfTopologyPeers *peers = &profile->peers[i];
    put_text(key, "peers");
    put_bytes(key, &peers->role, sizeof peers->role);
    for (guint n = 0; n < peers->n_nodes; n++)
      put_bytes(key, &peers->nodes[n]->index, sizeof peers->nodes[n]->index);
  }
  return g_byte_array_free_to_bytes(key);
}

/* For each profile the first one that is like it. */
static const HfTopologyProfile **first_alike(const HfTopology *topology)
{
  const HfTopologyProfile **firsts = g_new(const HfTopologyProfile *, MAX(topology->n_profiles, 1));
  g_autoptr(GHashTable) known = g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref, NULL);
  for (guint i = 0; i < topology->n_profiles; i++) {
    GBytes *key = profile_key(topology->profiles[i]);
    const HfTopologyProfile *first = g_hash_table_lookup(known, key);
    firsts[i] = first != NULL ? first : topology->profiles[i];
    if (first == NULL)
      g_hash_table_insert(known, key, (gpointer)topology->profiles[i]);
    else
      g_bytes_unref(key);
  }
  return firsts;
}

/* ---------------------------------------------------------------------------------------------------- peers -- */

/* Numbers every list of peers of the profiles `firsts` and notes for each node in which it is. Freed by the caller:
 * arrays of guint by node, and the numbers of the lists by profile. */
static GArray **number_lists(HfPlanMaker *maker, const HfTopologyProfile **firsts, guint **numbers)
{
  const HfTopology *topology = maker->plan.topology;
  GArray **lists = g_new0(GArray *, MAX(topology->n_nodes, 1));
  guint next = 0;
  for (guint i = 0; i < topology->n_profiles; i++) {
    const HfTopologyProfile *profile = topology->profiles[i];
    if (firsts[i] != profile || profile->n_peers == 0)
      continue;
    numbers[i] = hf_plan_alloc(maker, sizeof(guint), profile->n_peers);
    for (guint p = 0; p < profile->n_peers; p++) {
      numbers[i][p] = next;
      for (guint n = 0; n < profile->peers[p].n_nodes; n++) {
        GArray **list = &lists[profile->peers[p].nodes[n]->index];
        if (*list == NULL)
          *list = g_array_new(FALSE, FALSE, sizeof(guint));
        g_array_append_val(*list, next);
      }
      next++;
    }
  }
  return lists;
}

/* --------------------------------------------------------------------------------------------------- groups -- */

static guint families_of(const HfTopologyNode *node)
{
  guint families = node->dns[0] != NULL ? HF_HAS_NAME : 0;
  for (guint i = 0; i < node->n_addresses; i++)
    families |= node->addresses[i].family == AF_INET ? HF_HAS_IPV4 : HF_HAS_IPV6;
  return families;
}

static GBytes *node_key(const HfTopologyNode *node, const HfTopologyProfile *profile, const GArray *lists)
{
  GByteArray *key = g_byte_array_new();
  guint site = node->site != NULL ? node->site->index + 1 : 0, families = families_of(node);
  put_bytes(key, &profile->index, sizeof profile->index);
  put_bytes(key, &site, sizeof site);
  put_bytes(key, &families, sizeof families);
  if (lists != NULL)
    put_bytes(key, lists->data, (gsize)lists->len * sizeof(guint));
  return g_byte_array_free_to_bytes(key);
}

/* A name with a number in it: the last run of digits, for at most nine of them. */
typedef struct Numbered {
  const char *name;
  gsize prefix, digits; /* lengths; digits 0: no number */
  guint number;
} Numbered;

static Numbered split_number(const char *name)
{
  gsize end = strlen(name);
  while (end > 0 && !g_ascii_isdigit(name[end - 1]))
    end--;
  gsize begin = end;
  while (begin > 0 && g_ascii_isdigit(name[begin - 1]))
    begin--;
  if (begin == end || end - begin > 9)
    return (Numbered){ .name = name, .prefix = strlen(name) };
  return (Numbered){ name, begin, end - begin, (guint)strtoul(name + begin, NULL, 10) };
}

static gboolean follows(const Numbered *a, const Numbered *b)
{
  gboolean padded = a->name[a->prefix] == '0' || b->name[b->prefix] == '0';
  return a->digits > 0 && b->digits > 0 && b->number == a->number + 1 && a->prefix == b->prefix &&
         strncmp(a->name, b->name, a->prefix) == 0 && (!padded || a->digits == b->digits) &&
         strcmp(a->name + a->prefix + a->digits, b->name + b->prefix + b->digits) == 0;
}

/* "node[1-500], other": ranges of names that follow each other, as a topology writes them. */
char *hf_plan_nodes_text(const GPtrArray *nodes)
{
  GString *title = g_string_new(NULL);
  for (guint i = 0, next; i < nodes->len; i = next) {
    Numbered first = split_number(((const HfTopologyNode *)nodes->pdata[i])->name), last = first;
    for (next = i + 1; next < nodes->len; next++) {
      Numbered more = split_number(((const HfTopologyNode *)nodes->pdata[next])->name);
      if (!follows(&last, &more))
        break;
      last = more;
    }
    g_string_append(title, i > 0 ? ", " : "");
    if (next == i + 1)
      g_string_append(title, first.name);
    else
      g_string_append_printf(title, "%.*s[%.*s-%.*s]%s", (int)first.prefix, first.name, (int)first.digits,
                             first.name + first.prefix, (int)last.digits, last.name + last.prefix,
                             first.name + first.prefix + first.digits);
  }
  return g_string_free(title, FALSE);
}

static void note_facts(HfPlanMaker *maker, HfGroupFacts *facts, const HfTopologyProfile *profile, const GArray *lists)
{
  guint n_conditions;
  const HfPortCondition *conditions = hf_port_conditions(&n_conditions);
  facts->profile = profile;
  facts->families = families_of(facts->node);
  facts->answers = hf_plan_alloc(maker, 1, n_conditions);
  for (guint i = 0; i < n_conditions; i++)
    facts->answers[i] = (guint8)hf_topology_answer(maker->plan.topology, facts->node, &conditions[i]);
  facts->n_lists = lists != NULL ? lists->len : 0;
  facts->lists = hf_plan_alloc(maker, sizeof(guint), facts->n_lists);
  if (lists != NULL)
    memcpy(facts->lists, lists->data, lists->len * sizeof(guint));
}

/* The nodes by group, in the order of the file; fills group_of. */
static GPtrArray *sort_nodes(HfPlanMaker *maker, const HfTopologyProfile **firsts, GArray **lists)
{
  const HfTopology *topology = maker->plan.topology;
  GPtrArray *sorted = g_ptr_array_new_with_free_func((GDestroyNotify)g_ptr_array_unref);
  g_autoptr(GHashTable) known = g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref, NULL);
  for (guint i = 0; i < topology->n_nodes; i++) {
    const HfTopologyNode *node = topology->nodes[i];
    GBytes *key = node_key(node, firsts[node->profile->index], lists[i]);
    guint number = GPOINTER_TO_UINT(g_hash_table_lookup(known, key));
    if (number == 0) {
      g_ptr_array_add(sorted, g_ptr_array_new());
      number = sorted->len;
      g_hash_table_insert(known, key, GUINT_TO_POINTER(number));
    } else {
      g_bytes_unref(key);
    }
    g_ptr_array_add(sorted->pdata[number - 1], (gpointer)node);
    maker->group_of[i] = number - 1;
  }
  return sorted;
}

static void add_group(HfPlanMaker *maker, const GPtrArray *members)
{
  HfPlanGroup *group = hf_plan_alloc(maker, sizeof *group, 1);
  const HfTopologyNode **nodes = hf_plan_alloc(maker, sizeof *nodes, members->len);
  g_autofree char *title = hf_plan_nodes_text(members);
  memcpy(nodes, members->pdata, members->len * sizeof *nodes);
  *group = (HfPlanGroup){
    .index = maker->groups->len, .nodes = nodes, .n_nodes = members->len, .title = hf_plan_text(maker, title)
  };
  g_ptr_array_add(maker->groups, group);
}

static void index_roles(HfPlanMaker *maker)
{
  guint n_roles;
  hf_port_roles(&n_roles);
  for (guint r = 0; r < n_roles; r++)
    for (guint g = 0; g < maker->groups->len; g++)
      if (maker->facts[g].profile->roles[r])
        g_ptr_array_add(maker->by_role[r], maker->groups->pdata[g]);
}

void hf_plan_make_groups(HfPlanMaker *maker)
{
  const HfTopology *topology = maker->plan.topology;
  g_autofree const HfTopologyProfile **firsts = first_alike(topology);
  g_autofree guint **numbers = g_new0(guint *, MAX(topology->n_profiles, 1));
  GArray **lists = number_lists(maker, firsts, numbers);
  g_autoptr(GPtrArray) sorted = sort_nodes(maker, firsts, lists);
  maker->facts = hf_plan_alloc(maker, sizeof *maker->facts, sorted->len);
  for (guint g = 0; g < sorted->len; g++) {
    const GPtrArray *members = sorted->pdata[g];
    HfGroupFacts *facts = &maker->facts[g];
    add_group(maker, members);
    facts->node = members->pdata[0];
    const HfTopologyProfile *profile = firsts[facts->node->profile->index];
    note_facts(maker, facts, profile, lists[facts->node->index]);
    facts->own_lists = numbers[profile->index];
  }
  for (guint i = 0; i < topology->n_nodes; i++)
    if (lists[i] != NULL)
      g_array_unref(lists[i]);
  g_free(lists);
  index_roles(maker);
}

/* ----------------------------------------------------------------------------------------------------- sets -- */

static int compare_numbers(gconstpointer a, gconstpointer b)
{
  guint x = *(const guint *)a, y = *(const guint *)b;
  return (x > y) - (x < y);
}

const HfPlanPeers *hf_plan_peers(HfPlanMaker *maker, GArray *groups, const HfPlanName *name)
{
  guint name_number = name != NULL ? name->index + 1 : 0, n = 0;
  guint *numbers = (guint *)(gpointer)groups->data;
  g_array_sort(groups, compare_numbers);
  for (guint i = 0; i < groups->len; i++)
    if (i == 0 || numbers[i] != numbers[n - 1])
      numbers[n++] = numbers[i];
  g_array_set_size(groups, n);
  g_autoptr(GByteArray) bytes = g_byte_array_new();
  put_bytes(bytes, &name_number, sizeof name_number);
  put_bytes(bytes, groups->data, n * sizeof *numbers);
  g_autoptr(GBytes) key = g_bytes_new(bytes->data, bytes->len);
  HfPlanPeers *peers = g_hash_table_lookup(maker->peers_by_key, key);
  if (peers != NULL)
    return peers;
  const HfPlanGroup **members = hf_plan_alloc(maker, sizeof *members, n);
  peers = hf_plan_alloc(maker, sizeof *peers, 1);
  *peers = (HfPlanPeers){ .index = maker->peers->len, .groups = members, .n_groups = n, .name = name };
  for (guint i = 0; i < n; i++) {
    members[i] = maker->groups->pdata[((const guint *)(gconstpointer)groups->data)[i]];
    peers->n_nodes += members[i]->n_nodes;
  }
  g_ptr_array_add(maker->peers, peers);
  g_hash_table_insert(maker->peers_by_key, g_steal_pointer(&key), peers);
  return peers;
}
