/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The difference of two plans. Nodes of the same group in both plans change alike; the pairs of such common groups are
 * compared, never those of nodes.
 */
#include <string.h>

#include "ports/plan/make.h"

#define NOBODY G_MAXUINT

/* Nodes that are in one group before, and in one after. */
typedef struct Common {
  guint before, after; /* numbers of groups, or NOBODY */
  GPtrArray *names[2]; /* const char *: of the nodes before, and after */
} Common;

typedef struct Differ {
  const HfPlan *plans[2];
  GPtrArray *commons;   /* Common * */
  GHashTable *cells[2]; /* from << 32 | to -> GPtrArray of HfPlanFlow * */
  GHashTable *buckets;  /* what changes -> GArray of pairs of commons */
  GPtrArray *order;     /* Bucket * */
  HfPlanDiff *diff;
} Differ;

/* The same change between different commons. */
typedef struct Bucket {
  gboolean opened;
  const HfPlanFlow *flow; /* one that has it */
  guint first, last;
  GArray *pairs;
  Differ *differ;
} Bucket;

static void bucket_free(gpointer data)
{
  Bucket *bucket = data;
  g_array_unref(bucket->pairs);
  g_free(bucket);
}

static void common_free(gpointer data)
{
  Common *common = data;
  g_ptr_array_unref(common->names[0]);
  g_ptr_array_unref(common->names[1]);
  g_free(common);
}

/* ---------------------------------------------------------------------------------------------------- nodes -- */

static const HfTopologyNode *same_node(const HfPlan *plan, const HfTopologyNode *node)
{
  return hf_topology_node(plan->topology, node->name);
}

static void add_common(Differ *differ, GHashTable *known, const HfTopologyNode *before, const HfTopologyNode *after)
{
  guint old = before != NULL ? hf_plan_group(differ->plans[0], before)->index : NOBODY;
  guint new = after != NULL ? hf_plan_group(differ->plans[1], after)->index : NOBODY;
  guint64 id = (guint64)old << 32 | new;
  Common *common = g_hash_table_lookup(known, &id);
  if (common == NULL) {
    common = g_new0(Common, 1);
    *common = (Common){ old, new, { g_ptr_array_new(), g_ptr_array_new() } };
    g_ptr_array_add(differ->commons, common);
    g_hash_table_insert(known, g_memdup2(&id, sizeof id), common);
  }
  if (before != NULL)
    g_ptr_array_add(common->names[0], (gpointer)before->name);
  if (after != NULL)
    g_ptr_array_add(common->names[1], (gpointer)after->name);
}

static gboolean same_places(const HfTopologyNode *a, const HfTopologyNode *b)
{
  if (a->n_addresses != b->n_addresses || !g_strv_equal((const char *const *)a->dns, (const char *const *)b->dns))
    return FALSE;
  for (guint i = 0; i < a->n_addresses; i++)
    if (hf_topology_address_compare(&a->addresses[i], &b->addresses[i]) != 0 ||
        g_strcmp0(a->addresses[i].network, b->addresses[i].network) != 0)
      return FALSE;
  return TRUE;
}

static void compare_nodes(Differ *differ)
{
  const HfTopology *before = differ->plans[0]->topology, *after = differ->plans[1]->topology;
  g_autoptr(GHashTable) known = g_hash_table_new_full(hf_plan_pair_hash, g_int64_equal, g_free, NULL);
  for (guint i = 0; i < after->n_nodes; i++) {
    const HfTopologyNode *node = after->nodes[i], *old = same_node(differ->plans[0], node);
    add_common(differ, known, old, node);
    if (old == NULL)
      g_ptr_array_add(differ->diff->added, (gpointer)node->name);
    else if (!same_places(old, node))
      g_ptr_array_add(differ->diff->moved, (gpointer)node->name);
  }
  for (guint i = 0; i < before->n_nodes; i++)
    if (same_node(differ->plans[1], before->nodes[i]) == NULL) {
      add_common(differ, known, before->nodes[i], NULL);
      g_ptr_array_add(differ->diff->removed, (gpointer)before->nodes[i]->name);
    }
}

/* ---------------------------------------------------------------------------------------------------- flows -- */

static GHashTable *cells_of(const HfPlan *plan)
{
  GHashTable *cells =
    g_hash_table_new_full(hf_plan_pair_hash, g_int64_equal, g_free, (GDestroyNotify)g_ptr_array_unref);
  for (guint i = 0; i < plan->n_flows; i++) {
    const HfPlanFlow *flow = plan->flows[i];
    for (guint f = 0; f < flow->from->n_groups; f++)
      for (guint t = 0; t < flow->to->n_groups; t++) {
        guint64 id = (guint64)flow->from->groups[f]->index << 32 | flow->to->groups[t]->index;
        GPtrArray *flows = g_hash_table_lookup(cells, &id);
        if (flows == NULL) {
          flows = g_ptr_array_new();
          g_hash_table_insert(cells, g_memdup2(&id, sizeof id), flows);
        }
        g_ptr_array_add(flows, (gpointer)flow);
      }
  }
  return cells;
}

static const char *name_of(const HfPlanFlow *flow)
{
  return flow->to->name != NULL ? flow->to->name->text : "";
}

static void note_change(Differ *differ, const HfPlanFlow *flow, gboolean opened, guint first, guint last, guint64 pair)
{
  g_autofree char *rows = hf_plan_rows_text(flow->rows, flow->n_rows);
  g_autofree char *id = g_strdup_printf("%d %u %u %u %s %s", opened, flow->transport, first, last, rows, name_of(flow));
  Bucket *bucket = g_hash_table_lookup(differ->buckets, id);
  if (bucket == NULL) {
    bucket = g_new0(Bucket, 1);
    *bucket = (Bucket){ opened, flow, first, last, g_array_new(FALSE, FALSE, sizeof(guint64)), differ };
    g_hash_table_insert(differ->buckets, g_steal_pointer(&id), bucket);
    g_ptr_array_add(differ->order, bucket);
  }
  g_array_append_val(bucket->pairs, pair);
}

/* Notes what of `flow` none of `others` has. */
static void subtract(Differ *differ, const HfPlanFlow *flow, const GPtrArray *others, gboolean opened, guint64 pair)
{
  guint from = flow->first; /* what is before is dealt with; flows of one cell come in the order of ports */
  for (guint i = 0; others != NULL && i < others->len && from <= flow->last; i++) {
    const HfPlanFlow *other = others->pdata[i];
    if (other->transport != flow->transport || strcmp(name_of(other), name_of(flow)) != 0 || other->last < from ||
        other->first > flow->last)
      continue;
    if (other->first > from)
      note_change(differ, flow, opened, from, other->first - 1u, pair);
    from = other->last + 1u;
  }
  if (from <= flow->last)
    note_change(differ, flow, opened, from, flow->last, pair);
}

static int compare_by_port(gconstpointer a, gconstpointer b)
{
  const HfPlanFlow *x = *(const HfPlanFlow *const *)a, *y = *(const HfPlanFlow *const *)b;
  return x->first - y->first;
}

static GPtrArray *cell(const Differ *differ, guint plan, guint from, guint to)
{
  guint64 id = (guint64)from << 32 | to;
  return from == NOBODY || to == NOBODY ? NULL : g_hash_table_lookup(differ->cells[plan], &id);
}

static void compare_pair(Differ *differ, guint from, guint to)
{
  const Common *a = differ->commons->pdata[from], *b = differ->commons->pdata[to];
  guint64 pair = (guint64)from << 32 | to;
  const GPtrArray *before = cell(differ, 0, a->before, b->before), *after = cell(differ, 1, a->after, b->after);
  gboolean alone = a == b && a->names[0]->len <= 1 && a->names[1]->len <= 1;
  for (guint i = 0; !alone && before != NULL && i < before->len; i++)
    subtract(differ, before->pdata[i], after, FALSE, pair);
  for (guint i = 0; !alone && after != NULL && i < after->len; i++)
    subtract(differ, after->pdata[i], before, TRUE, pair);
}

/* The names of all nodes of these commons. */
static const char *const *names_of(const Differ *differ, const GArray *commons, gboolean after)
{
  GPtrArray *names = g_ptr_array_new();
  for (guint i = 0; i < commons->len; i++) {
    const Common *common = differ->commons->pdata[g_array_index(commons, guint, i)];
    g_ptr_array_extend(names, common->names[after ? 1 : 0], NULL, NULL);
  }
  g_ptr_array_add(names, NULL);
  return (const char *const *)g_ptr_array_free(names, FALSE);
}

static void add_change(GArray *froms, GArray *tos, gpointer user)
{
  const Bucket *bucket = user;
  const HfPlanFlow *flow = bucket->flow;
  HfPlanChange *change = g_new0(HfPlanChange, 1);
  *change = (HfPlanChange){ .opened = bucket->opened,
                            .from = names_of(bucket->differ, froms, bucket->opened),
                            .to = names_of(bucket->differ, tos, bucket->opened),
                            .name = flow->to->name != NULL ? flow->to->name->text : NULL,
                            .transport = flow->transport,
                            .first = (guint16)bucket->first,
                            .last = (guint16)bucket->last,
                            .rows = flow->rows,
                            .n_rows = flow->n_rows };
  g_ptr_array_add(bucket->differ->diff->changes, change);
}

static int compare_changes(gconstpointer a, gconstpointer b)
{
  const HfPlanChange *x = *(const HfPlanChange *const *)a, *y = *(const HfPlanChange *const *)b;
  int order = strcmp(x->from[0], y->from[0]);
  if (order == 0)
    order = strcmp(x->to[0], y->to[0]);
  if (order == 0)
    order = (int)x->transport - (int)y->transport;
  if (order == 0)
    order = x->first - y->first;
  return order != 0 ? order : x->opened - y->opened;
}

static void compare_flows(Differ *differ)
{
  for (guint i = 0; i < 2; i++) {
    GHashTableIter iter;
    gpointer flows;
    differ->cells[i] = cells_of(differ->plans[i]);
    g_hash_table_iter_init(&iter, differ->cells[i]);
    while (g_hash_table_iter_next(&iter, NULL, &flows))
      g_ptr_array_sort(flows, compare_by_port);
  }
  for (guint from = 0; from < differ->commons->len; from++)
    for (guint to = 0; to < differ->commons->len; to++)
      compare_pair(differ, from, to);
  for (guint i = 0; i < differ->order->len; i++) {
    Bucket *bucket = differ->order->pdata[i];
    hf_plan_rectangles(bucket->pairs, add_change, bucket);
  }
  g_ptr_array_sort(differ->diff->changes, compare_changes);
}

/* ---------------------------------------------------------------------------------------------------- names -- */

static gboolean same_members(const HfPlanName *a, const HfPlanName *b)
{
  if (a->n_addresses != b->n_addresses || !g_strv_equal(a->texts, b->texts))
    return FALSE;
  for (guint i = 0; i < a->n_addresses; i++)
    if (hf_topology_address_compare(&a->addresses[i], &b->addresses[i]) != 0)
      return FALSE;
  return TRUE;
}

/* The named sets of a plan by their text and each node that has them. */
static GHashTable *names_by_node(const HfPlan *plan)
{
  GHashTable *names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  for (guint i = 0; i < plan->n_peers; i++) {
    const HfPlanPeers *peers = plan->peers[i];
    for (guint n = 0; peers->name != NULL && n < peers->groups[0]->n_nodes; n++)
      g_hash_table_insert(names, g_strdup_printf("%s %s", peers->name->text, peers->groups[0]->nodes[n]->name),
                          (gpointer)peers->name);
  }
  return names;
}

static int compare_texts(gconstpointer a, gconstpointer b)
{
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void compare_names(Differ *differ)
{
  g_autoptr(GHashTable) before = names_by_node(differ->plans[0]), after = names_by_node(differ->plans[1]);
  g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
  GHashTableIter iter;
  gpointer key, value;
  g_hash_table_iter_init(&iter, before);
  while (g_hash_table_iter_next(&iter, &key, &value)) {
    const HfPlanName *old = value, *new = g_hash_table_lookup(after, key);
    if (new != NULL && !same_members(old, new) && g_hash_table_add(seen, (gpointer) new->text))
      g_ptr_array_add(differ->diff->refilled, (gpointer) new->text);
  }
  g_ptr_array_sort(differ->diff->refilled, compare_texts);
}

/* ---------------------------------------------------------------------------------------------------- whole -- */

static void change_free(gpointer data)
{
  HfPlanChange *change = data;
  g_free((gpointer)change->from);
  g_free((gpointer)change->to);
  g_free(change);
}

HfPlanDiff *hf_plan_diff(const HfPlan *before, const HfPlan *after)
{
  HfPlanDiff *diff = g_new0(HfPlanDiff, 1);
  diff->changes = g_ptr_array_new_with_free_func(change_free);
  diff->added = g_ptr_array_new();
  diff->removed = g_ptr_array_new();
  diff->moved = g_ptr_array_new();
  diff->refilled = g_ptr_array_new();
  Differ differ = { .plans = { before, after }, .diff = diff };
  differ.commons = g_ptr_array_new_with_free_func(common_free);
  differ.buckets = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  differ.order = g_ptr_array_new_with_free_func(bucket_free);
  compare_nodes(&differ);
  compare_flows(&differ);
  compare_names(&differ);
  g_hash_table_unref(differ.cells[0]);
  g_hash_table_unref(differ.cells[1]);
  g_hash_table_unref(differ.buckets);
  g_ptr_array_unref(differ.order);
  g_ptr_array_unref(differ.commons);
  return diff;
}

void hf_plan_diff_free(HfPlanDiff *diff)
{
  if (diff == NULL)
    return;
  g_ptr_array_unref(diff->changes);
  g_ptr_array_unref(diff->added);
  g_ptr_array_unref(diff->removed);
  g_ptr_array_unref(diff->moved);
  g_ptr_array_unref(diff->refilled);
  g_free(diff);
}
