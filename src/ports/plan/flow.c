/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From claims to flows: cut where they overlap, joined where they are alike. */
#include <stdlib.h>
#include <string.h>

#include "ports/plan/make.h"

HfPlanRow hf_plan_row(const HfPlanMaker *maker, guint row)
{
  guint n_rows, item = row / 8;
  const HfPortRow *rows = hf_port_rows(&n_rows);
  guint low = 0, high = n_rows;
  while (high - low > 1) { /* item_offset[low] <= item < item_offset[high] */
    guint middle = low + (high - low) / 2;
    *(maker->item_offset[middle] <= item ? &low : &high) = middle;
  }
  return (HfPlanRow){ .row = &rows[low],
                      .item = &rows[low].items[item - maker->item_offset[low]],
                      .fallback = (row & 1) != 0,
                      .optional = (row & 2) != 0,
                      .set = (row & 4) != 0 };
}

/* ------------------------------------------------------------------------------------------------- segments -- */

/* What a flow is, but for who takes part; the key that equal flows between different groups share. `numbers` are the
 * rows, then the endpoints, each ascending and without repeats. */
typedef struct Shape {
  guint transport, first, last, name, n_rows, n_endpoints;
  guint numbers[];
} Shape;

/* A shape, and the pairs of groups that have it: from << 32 | to. */
typedef struct Bucket {
  GBytes *shape;
  GArray *pairs;
} Bucket;

static void bucket_free(gpointer data)
{
  Bucket *bucket = data;
  g_bytes_unref(bucket->shape);
  g_array_unref(bucket->pairs);
  g_free(bucket);
}

typedef struct Joiner {
  HfPlanMaker *maker;
  GHashTable *buckets; /* GBytes of a Shape -> Bucket */
  GPtrArray *order;    /* Bucket * */
  GArray *cuts;        /* guint: where segments begin */
  GArray *numbers;     /* guint: rows and endpoints of the segment */
  GArray *before;      /* the same of the segment before */
} Joiner;

static int compare_uints(gconstpointer a, gconstpointer b)
{
  guint x = *(const guint *)a, y = *(const guint *)b;
  return (x > y) - (x < y);
}

static int compare_claims(gconstpointer a, gconstpointer b)
{
  const HfClaim *x = a, *y = b;
  if (x->transport != y->transport)
    return x->transport - y->transport;
  if (x->first != y->first)
    return x->first - y->first;
  return x->last - y->last;
}

/* Sorts the numbers from `begin` on and takes repeats out. */
static guint settle(GArray *numbers, guint begin)
{
  guint count = numbers->len - begin, n = 0;
  if (count == 0)
    return 0;
  guint *at = (guint *)(gpointer)numbers->data + begin;
  qsort(at, count, sizeof *at, compare_uints);
  for (guint i = 0; i < count; i++)
    if (n == 0 || at[i] != at[n - 1])
      at[n++] = at[i];
  g_array_set_size(numbers, begin + n);
  return n;
}

/* Puts the rows and endpoints of the claims that cover `first` into joiner->numbers; gives their counts. */
static void gather(Joiner *joiner, const HfClaim *claims, guint n, guint first, guint *n_rows, guint *n_endpoints)
{
  g_array_set_size(joiner->numbers, 0);
  for (guint i = 0; i < n && claims[i].first <= first; i++)
    if (claims[i].last >= first)
      g_array_append_val(joiner->numbers, claims[i].row);
  *n_rows = settle(joiner->numbers, 0);
  for (guint i = 0; i < n && claims[i].first <= first; i++)
    if (claims[i].last >= first && claims[i].endpoints != 0)
      g_array_append_val(joiner->numbers, claims[i].endpoints);
  *n_endpoints = settle(joiner->numbers, *n_rows);
}

/* Notes that the pair of groups (and the name) of the cell has this flow. */
static void add_segment(Joiner *joiner, guint64 cell, const Shape *head, const GArray *numbers)
{
  gsize size = sizeof *head + numbers->len * sizeof(guint);
  Shape *shape = g_malloc0(size);
  *shape = *head;
  memcpy(shape->numbers, numbers->data, numbers->len * sizeof(guint));
  g_autoptr(GBytes) key = g_bytes_new_take(shape, size);
  Bucket *bucket = g_hash_table_lookup(joiner->buckets, key);
  if (bucket == NULL) {
    bucket = g_new0(Bucket, 1);
    bucket->shape = g_bytes_ref(key);
    bucket->pairs = g_array_new(FALSE, FALSE, sizeof(guint64));
    g_hash_table_insert(joiner->buckets, bucket->shape, bucket);
    g_ptr_array_add(joiner->order, bucket);
  }
  guint64 pair = (cell >> 44) << 32 | ((cell >> 24) & 0xfffff);
  g_array_append_val(bucket->pairs, pair);
}

/* The claims of one cell and one transport, sorted. */
static void cut_claims(Joiner *joiner, guint64 cell, const HfClaim *claims, guint n)
{
  Shape open = { .transport = 0 }; /* the segment that may still grow */
  g_array_set_size(joiner->cuts, 0);
  for (guint i = 0; i < n; i++) {
    guint first = claims[i].first, after = claims[i].last + 1u;
    g_array_append_val(joiner->cuts, first);
    g_array_append_val(joiner->cuts, after);
  }
  guint n_cuts = settle(joiner->cuts, 0);
  for (guint c = 0; c + 1 < n_cuts; c++) {
    guint n_rows, n_endpoints, first = g_array_index(joiner->cuts, guint, c),
                               after = g_array_index(joiner->cuts, guint, c + 1);
    gather(joiner, claims, n, first, &n_rows, &n_endpoints);
    gboolean grows = open.transport != 0 && n_rows > 0 && open.last + 1 == first && open.n_rows == n_rows &&
                     open.n_endpoints == n_endpoints &&
                     memcmp(joiner->before->data, joiner->numbers->data, joiner->numbers->len * sizeof(guint)) == 0;
    if (grows) {
      open.last = after - 1;
      continue;
    }
    if (open.transport != 0)
      add_segment(joiner, cell, &open, joiner->before);
    open = (Shape){ .transport = n_rows > 0 ? claims[0].transport : 0,
                    .first = first,
                    .last = after - 1,
                    .name = (guint)(cell & 0xffffff),
                    .n_rows = n_rows,
                    .n_endpoints = n_endpoints };
    GArray *numbers = joiner->before;
    joiner->before = joiner->numbers;
    joiner->numbers = numbers;
  }
  if (open.transport != 0)
    add_segment(joiner, cell, &open, joiner->before);
}

static void cut_cell(Joiner *joiner, guint64 cell, GArray *claims)
{
  g_array_sort(claims, compare_claims);
  const HfClaim *all = (const HfClaim *)(gconstpointer)claims->data;
  for (guint i = 0, n; i < claims->len; i += n) {
    for (n = 1; i + n < claims->len && all[i + n].transport == all[i].transport; n++)
      ;
    cut_claims(joiner, cell, &all[i], n);
  }
}

/* ---------------------------------------------------------------------------------------------------- flows -- */

static int compare_pairs(gconstpointer a, gconstpointer b)
{
  guint64 x = *(const guint64 *)a, y = *(const guint64 *)b;
  return (x > y) - (x < y);
}

void hf_plan_rectangles(GArray *pairs, HfPlanRectangle each, gpointer user)
{
  g_autoptr(GHashTable) froms_by_tos =
    g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref, NULL);
  g_autoptr(GPtrArray) order = g_ptr_array_new(); /* GBytes of the second numbers, borrowed from the table */
  g_autoptr(GPtrArray) froms = g_ptr_array_new_with_free_func((GDestroyNotify)g_array_unref);
  g_array_sort(pairs, compare_pairs);
  const guint64 *all = (const guint64 *)(gconstpointer)pairs->data;
  for (guint i = 0, next; i < pairs->len; i = next) {
    guint from = (guint)(all[i] >> 32);
    GArray *tos = g_array_new(FALSE, FALSE, sizeof(guint));
    for (next = i; next < pairs->len && all[next] >> 32 == from; next++) {
      guint to = (guint)(all[next] & 0xffffffff);
      g_array_append_val(tos, to);
    }
    gsize size = tos->len * sizeof(guint);
    g_autoptr(GBytes) key = g_bytes_new_take(g_array_free(tos, FALSE), size);
    GArray *list = g_hash_table_lookup(froms_by_tos, key);
    if (list == NULL) {
      list = g_array_new(FALSE, FALSE, sizeof(guint));
      g_ptr_array_add(froms, list);
      g_ptr_array_add(order, key);
      g_hash_table_insert(froms_by_tos, g_bytes_ref(key), list);
    }
    g_array_append_val(list, from);
  }
  for (guint i = 0; i < order->len; i++) {
    gsize size;
    const guint *numbers = g_bytes_get_data(order->pdata[i], &size);
    g_autoptr(GArray) tos = g_array_new(FALSE, FALSE, sizeof(guint));
    g_array_append_vals(tos, numbers, (guint)(size / sizeof *numbers));
    each(froms->pdata[i], tos, user);
  }
}

/* What all flows of a bucket have, and who collects them. */
typedef struct Pourer {
  HfPlanMaker *maker;
  const Shape *shape;
} Pourer;

static void add_flow(GArray *froms, GArray *tos, gpointer user)
{
  const Pourer *pourer = user;
  HfPlanMaker *maker = pourer->maker;
  const Shape *shape = pourer->shape;
  HfPlanFlow *flow = hf_plan_alloc(maker, sizeof *flow, 1);
  HfPlanRow *rows = hf_plan_alloc(maker, sizeof *rows, shape->n_rows);
  const char **endpoints = hf_plan_alloc(maker, sizeof *endpoints, shape->n_endpoints + 1);
  gboolean fallback = TRUE;
  for (guint i = 0; i < shape->n_rows; i++) {
    rows[i] = hf_plan_row(maker, shape->numbers[i]);
    fallback = fallback && rows[i].fallback;
  }
  for (guint i = 0; i < shape->n_endpoints; i++)
    endpoints[i] = maker->endpoints->pdata[shape->numbers[shape->n_rows + i]];
  const HfPlanName *name = shape->name > 0 ? maker->names->pdata[shape->name - 1] : NULL;
  *flow = (HfPlanFlow){ .from = hf_plan_peers(maker, froms, NULL),
                        .to = hf_plan_peers(maker, tos, name),
                        .transport = shape->transport,
                        .first = (guint16)shape->first,
                        .last = (guint16)shape->last,
                        .rows = rows,
                        .n_rows = shape->n_rows,
                        .fallback = fallback,
                        .endpoints = endpoints };
  g_ptr_array_add(maker->flows, flow);
}

static int compare_peers(const HfPlanPeers *a, const HfPlanPeers *b)
{
  for (guint i = 0; i < MIN(a->n_groups, b->n_groups); i++)
    if (a->groups[i] != b->groups[i])
      return a->groups[i]->index < b->groups[i]->index ? -1 : 1;
  if (a->n_groups != b->n_groups)
    return a->n_groups < b->n_groups ? -1 : 1;
  guint x = a->name != NULL ? a->name->index + 1 : 0, y = b->name != NULL ? b->name->index + 1 : 0;
  return (x > y) - (x < y);
}

static int compare_flows(gconstpointer a, gconstpointer b)
{
  const HfPlanFlow *x = *(const HfPlanFlow *const *)a, *y = *(const HfPlanFlow *const *)b;
  int order = compare_peers(x->from, y->from);
  if (order == 0)
    order = compare_peers(x->to, y->to);
  if (order == 0)
    order = (int)x->transport - (int)y->transport;
  return order != 0 ? order : x->first - y->first;
}

static int compare_keys(gconstpointer a, gconstpointer b)
{
  return compare_pairs(*(const guint64 *const *)a, *(const guint64 *const *)b);
}

void hf_plan_make_flows(HfPlanMaker *maker)
{
  Joiner joiner = { .maker = maker };
  joiner.buckets = g_hash_table_new(g_bytes_hash, g_bytes_equal);
  joiner.order = g_ptr_array_new_with_free_func(bucket_free);
  joiner.cuts = g_array_new(FALSE, FALSE, sizeof(guint));
  joiner.numbers = g_array_new(FALSE, FALSE, sizeof(guint));
  joiner.before = g_array_new(FALSE, FALSE, sizeof(guint));
  guint n_cells;
  g_autofree gpointer *keys = g_hash_table_get_keys_as_array(maker->cells, &n_cells);
  qsort(keys, n_cells, sizeof *keys, compare_keys); /* so that a plan comes out the same each time */
  for (guint i = 0; i < n_cells; i++)
    cut_cell(&joiner, *(const guint64 *)keys[i], g_hash_table_lookup(maker->cells, keys[i]));
  for (guint i = 0; i < joiner.order->len; i++) {
    const Bucket *bucket = joiner.order->pdata[i];
    Pourer pourer = { maker, g_bytes_get_data(bucket->shape, NULL) };
    hf_plan_rectangles(bucket->pairs, add_flow, &pourer);
  }
  g_ptr_array_sort(maker->flows, compare_flows);
  for (guint i = 0; i < maker->flows->len; i++)
    ((HfPlanFlow *)maker->flows->pdata[i])->index = i;
  g_hash_table_unref(joiner.buckets);
  g_ptr_array_unref(joiner.order);
  g_array_unref(joiner.cuts);
  g_array_unref(joiner.numbers);
  g_array_unref(joiner.before);
}
