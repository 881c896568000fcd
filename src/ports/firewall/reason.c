/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Why something is open: each different set of flows is one object. */
#include <string.h>

#include "ports/firewall/make.h"

#define PEERS_LENGTH 160 /* bytes of titles after which the rest is only counted */

struct HfReasons {
  GPtrArray *owned;      /* memory of the firewall: borrowed */
  GStringChunk *strings; /* borrowed */
  GHashTable *by_key;    /* GBytes of direction, flow numbers and peers -> HfFirewallReason * */
  GPtrArray *all;        /* HfFirewallReason * */
};

HfReasons *hf_reasons_new(GPtrArray *owned, GStringChunk *strings)
{
  HfReasons *reasons = g_new0(HfReasons, 1);
  reasons->owned = owned;
  reasons->strings = strings;
  reasons->by_key = g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref, NULL);
  reasons->all = g_ptr_array_new();
  return reasons;
}

void hf_reasons_free(HfReasons *reasons)
{
  if (reasons == NULL)
    return;
  g_hash_table_unref(reasons->by_key);
  g_ptr_array_unref(reasons->all);
  g_free(reasons);
}

static int compare_flows(gconstpointer a, gconstpointer b)
{
  const HfPlanFlow *first = *(const HfPlanFlow *const *)a, *second = *(const HfPlanFlow *const *)b;
  return first->index < second->index ? -1 : first->index > second->index;
}

static int compare_rows(gconstpointer a, gconstpointer b)
{
  const HfPortRow *first = *(const HfPortRow *const *)a, *second = *(const HfPortRow *const *)b;
  return first->index < second->index ? -1 : first->index > second->index;
}

/* Leaves each pointer of a sorted array once. */
static void drop_repeats(GPtrArray *array)
{
  guint n = 0;
  for (guint i = 0; i < array->len; i++)
    if (n == 0 || array->pdata[i] != array->pdata[n - 1])
      array->pdata[n++] = array->pdata[i];
  g_ptr_array_set_size(array, (int)n);
}

static gpointer keep(HfReasons *reasons, GPtrArray *array, guint *n)
{
  *n = array->len;
  gpointer copy = g_memdup2(array->pdata, MAX(array->len, 1) * sizeof(gpointer));
  g_ptr_array_add(reasons->owned, copy);
  return copy;
}

static void collect_titles(const HfPlanPeers *peers, GHashTable *seen, GPtrArray *titles)
{
  if (peers->name != NULL) {
    if (g_hash_table_add(seen, (gpointer)peers->name))
      g_ptr_array_add(titles, (gpointer)peers->name->text);
    return;
  }
  for (guint i = 0; i < peers->n_groups; i++)
    if (g_hash_table_add(seen, (gpointer)peers->groups[i]))
      g_ptr_array_add(titles, (gpointer)peers->groups[i]->title);
}

static const char *peers_text(HfReasons *reasons, HfPlanDirection direction, const GPtrArray *flows)
{
  g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
  g_autoptr(GPtrArray) titles = g_ptr_array_new();
  for (guint i = 0; i < flows->len; i++) {
    const HfPlanFlow *flow = flows->pdata[i];
    collect_titles(direction == HF_PLAN_OUT ? flow->to : flow->from, seen, titles);
  }
  g_autoptr(GString) text = g_string_new(NULL);
  for (guint i = 0; i < titles->len; i++) {
    if (text->len > PEERS_LENGTH) {
      g_string_append_printf(text, " and %u more", titles->len - i);
      break;
    }
    g_string_append_printf(text, "%s%s", i > 0 ? ", " : "", (const char *)titles->pdata[i]);
  }
  return g_string_chunk_insert_const(reasons->strings, text->str);
}

static void look_at_flows(HfReasons *reasons, HfFirewallReason *reason, GPtrArray *flows)
{
  g_autoptr(GPtrArray) rows = g_ptr_array_new();
  reason->fallback = reason->optional = TRUE;
  for (guint i = 0; i < flows->len; i++) {
    const HfPlanFlow *flow = flows->pdata[i];
    reason->fallback = reason->fallback && flow->fallback;
    for (guint k = 0; k < flow->n_rows; k++) {
      reason->optional = reason->optional && flow->rows[k].optional;
      g_ptr_array_add(rows, (gpointer)flow->rows[k].row);
    }
  }
  g_ptr_array_sort(rows, compare_rows);
  drop_repeats(rows);
  reason->rows = keep(reasons, rows, &reason->n_rows);
  reason->flows = keep(reasons, flows, &reason->n_flows);
}

/* Caller unrefs. */
static GBytes *key_of(HfPlanDirection direction, const GPtrArray *flows, const char *peers)
{
  g_autoptr(GByteArray) key = g_byte_array_new();
  guint8 way = (guint8)direction;
  g_byte_array_append(key, &way, 1);
  for (guint i = 0; i < flows->len; i++) {
    const HfPlanFlow *flow = flows->pdata[i];
    g_byte_array_append(key, (const guint8 *)&flow->index, sizeof flow->index);
  }
  if (peers != NULL)
    g_byte_array_append(key, (const guint8 *)peers, (guint)strlen(peers));
  return g_byte_array_free_to_bytes(g_steal_pointer(&key));
}

const HfFirewallReason *hf_reasons_get(HfReasons *reasons, HfPlanDirection direction, const HfPlanFlow *const *flows,
                                       guint n, const char *peers)
{
  g_autoptr(GPtrArray) sorted = g_ptr_array_new();
  for (guint i = 0; i < n; i++)
    g_ptr_array_add(sorted, (gpointer)flows[i]);
  g_ptr_array_sort(sorted, compare_flows);
  drop_repeats(sorted);
  g_autoptr(GBytes) key = key_of(direction, sorted, peers);
  HfFirewallReason *reason = g_hash_table_lookup(reasons->by_key, key);
  if (reason != NULL)
    return reason;
  reason = g_new0(HfFirewallReason, 1);
  g_ptr_array_add(reasons->owned, reason);
  look_at_flows(reasons, reason, sorted);
  reason->peers = peers != NULL ? g_string_chunk_insert_const(reasons->strings, peers)
                                : peers_text(reasons, direction, sorted);
  g_hash_table_insert(reasons->by_key, g_steal_pointer(&key), reason);
  g_ptr_array_add(reasons->all, reason);
  return reason;
}

static int compare_reasons(gconstpointer a, gconstpointer b)
{
  const HfFirewallReason *first = *(const HfFirewallReason *const *)a, *second = *(const HfFirewallReason *const *)b;
  guint n = MIN(first->n_flows, second->n_flows);
  for (guint i = 0; i < n; i++)
    if (first->flows[i] != second->flows[i])
      return compare_flows(&first->flows[i], &second->flows[i]);
  if (first->n_flows != second->n_flows)
    return first->n_flows < second->n_flows ? -1 : 1;
  int order = strcmp(first->peers, second->peers);
  return order != 0 ? order : first->index < second->index ? -1 : 1;
}

GPtrArray *hf_reasons_finish(HfReasons *reasons)
{
  for (guint i = 0; i < reasons->all->len; i++)
    ((HfFirewallReason *)reasons->all->pdata[i])->index = i;
  g_ptr_array_sort(reasons->all, compare_reasons);
  for (guint i = 0; i < reasons->all->len; i++)
    ((HfFirewallReason *)reasons->all->pdata[i])->index = i;
  return g_ptr_array_ref(reasons->all);
}
