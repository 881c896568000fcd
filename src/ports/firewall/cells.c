/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From flows that may meet on the same address and port to elements that do not overlap.
 *
 * Addresses first: a walk over where ranges of sources begin and end cuts them into pieces that all have the same
 * sources. Pieces with equal sources share one list of ports, which is cut the same way. What comes out is put together
 * again wherever reason, transport and ports are equal and addresses go on.
 */
#include <arpa/inet.h>
#include <string.h>

#include "ports/firewall/make.h"

/* ---------------------------------------------------------------------------------------------------- ports -- */

static int compare_numbers(gconstpointer a, gconstpointer b)
{
  guint first = *(const guint *)a, second = *(const guint *)b;
  return first < second ? -1 : first > second;
}

/* At every bound a flow begins or ends: pieces side by side never have the same flows. */
static void cut_ports(HfReasons *reasons, HfPlanDirection direction, const GPtrArray *flows, guint transport,
                      const char *peers, GArray *ports)
{
  g_autoptr(GArray) bounds = g_array_new(FALSE, FALSE, sizeof(guint));
  for (guint i = 0; i < flows->len; i++) {
    const HfPlanFlow *flow = flows->pdata[i];
    guint ends[] = { flow->first, flow->last + 1u };
    if (flow->transport == transport)
      g_array_append_vals(bounds, ends, 2);
  }
  g_array_sort(bounds, compare_numbers);
  g_autoptr(GPtrArray) here = g_ptr_array_new();
  for (guint i = 0; i + 1 < bounds->len; i++) {
    guint first = g_array_index(bounds, guint, i), end = g_array_index(bounds, guint, i + 1);
    if (first == end)
      continue;
    g_ptr_array_set_size(here, 0);
    for (guint k = 0; k < flows->len; k++) {
      const HfPlanFlow *flow = flows->pdata[k];
      if (flow->transport == transport && flow->first <= first && first <= flow->last)
        g_ptr_array_add(here, (gpointer)flow);
    }
    if (here->len == 0)
      continue;
    HfFirewallPorts piece = { direction, transport, (guint16)first, (guint16)(end - 1), NULL };
    piece.reason = hf_reasons_get(reasons, direction, (const HfPlanFlow *const *)here->pdata, here->len, peers);
    g_array_append_val(ports, piece);
  }
}

void hf_cells_ports(HfReasons *reasons, HfPlanDirection direction, const GPtrArray *flows, const char *peers,
                    GArray *ports)
{
  cut_ports(reasons, direction, flows, HF_PORT_TCP, peers, ports);
  cut_ports(reasons, direction, flows, HF_PORT_UDP, peers, ports);
}

/* ------------------------------------------------------------------------------------------------ addresses -- */

/* Where a range of a source begins, or where the address after its end is. */
typedef struct Bound {
  guint8 bytes[16];
  gboolean after; /* the place behind `bytes`, not `bytes` itself */
  guint source;
} Bound;

typedef struct Walk {
  HfReasons *reasons;
  HfPlanDirection direction;
  const GPtrArray *sources;
  GHashTable *ports; /* GBytes of source numbers -> GArray of HfFirewallPorts */
  GHashTable *runs;  /* HfFirewallPorts * -> GArray of HfFirewallRange */
  GPtrArray *order;  /* keys of runs in the order of their making */
  GArray *active;    /* numbers of the sources that cover the place, ascending */
} Walk;

static int compare_bounds(gconstpointer a, gconstpointer b)
{
  const Bound *first = a, *second = b;
  int order = memcmp(first->bytes, second->bytes, sizeof first->bytes);
  return order != 0 ? order : first->after - second->after;
}

static guint hash_ports(gconstpointer key)
{
  const HfFirewallPorts *ports = key;
  return g_direct_hash(ports->reason) * 31 + (guint)(ports->first << 16 | ports->last) + ports->transport;
}

static gboolean equal_ports(gconstpointer a, gconstpointer b)
{
  const HfFirewallPorts *first = a, *second = b;
  return first->reason == second->reason && first->transport == second->transport && first->first == second->first &&
    first->last == second->last;
}

static void free_array(gpointer array)
{
  g_array_unref(array);
}

static GArray *active_ports(Walk *walk)
{
  g_autoptr(GBytes) key = g_bytes_new(walk->active->data, walk->active->len * sizeof(guint));
  GArray *ports = g_hash_table_lookup(walk->ports, key);
  if (ports != NULL)
    return ports;
  g_autoptr(GPtrArray) flows = g_ptr_array_new();
  for (guint i = 0; i < walk->active->len; i++) {
    const HfFirewallSource *source = walk->sources->pdata[g_array_index(walk->active, guint, i)];
    g_ptr_array_extend(flows, source->flows, NULL, NULL);
  }
  ports = g_array_new(FALSE, FALSE, sizeof(HfFirewallPorts));
  hf_cells_ports(walk->reasons, walk->direction, flows, NULL, ports);
  g_hash_table_insert(walk->ports, g_steal_pointer(&key), ports);
  return ports;
}

static void add_piece(Walk *walk, const HfFirewallRange *piece)
{
  GArray *ports = active_ports(walk);
  for (guint i = 0; i < ports->len; i++) {
    HfFirewallPorts *key = &g_array_index(ports, HfFirewallPorts, i);
    GArray *run = g_hash_table_lookup(walk->runs, key);
    if (run == NULL) {
      run = g_array_new(FALSE, FALSE, sizeof(HfFirewallRange));
      g_hash_table_insert(walk->runs, key, run);
      g_ptr_array_add(walk->order, key);
    }
    hf_span_append(run, piece);
  }
}

/* Puts the source in, or out if it is there. */
static void toggle(GArray *active, guint source)
{
  guint i = 0;
  while (i < active->len && g_array_index(active, guint, i) < source)
    i++;
  if (i < active->len && g_array_index(active, guint, i) == source)
    g_array_remove_index(active, i);
  else
    g_array_insert_val(active, i, source);
}

/* Caller unrefs. */
static GArray *bounds_of(const GPtrArray *sources, int *family)
{
  GArray *bounds = g_array_new(FALSE, FALSE, sizeof(Bound));
  for (guint i = 0; i < sources->len; i++) {
    const HfFirewallSource *source = sources->pdata[i];
    for (guint k = 0; k < source->ranges->len; k++) {
      const HfFirewallRange *range = &g_array_index(source->ranges, HfFirewallRange, k);
      Bound begin = { .source = i }, end = { .after = TRUE, .source = i };
      memcpy(begin.bytes, range->first, sizeof begin.bytes);
      memcpy(end.bytes, range->last, sizeof end.bytes);
      g_array_append_val(bounds, begin);
      g_array_append_val(bounds, end);
      *family = range->family;
    }
  }
  g_array_sort(bounds, compare_bounds);
  return bounds;
}

static void cut_addresses(Walk *walk)
{
  int family = AF_INET;
  g_autoptr(GArray) bounds = bounds_of(walk->sources, &family);
  for (guint i = 0; i + 1 < bounds->len; i++) {
    const Bound *from = &g_array_index(bounds, Bound, i), *to = from + 1;
    toggle(walk->active, from->source);
    if (walk->active->len == 0 || compare_bounds(from, to) == 0)
      continue;
    HfFirewallRange piece = { .family = family };
    memcpy(piece.first, from->bytes, sizeof piece.first);
    memcpy(piece.last, to->bytes, sizeof piece.last);
    gboolean there = (!from->after || hf_span_step_up(family, piece.first)) &&
      (to->after || hf_span_step_down(family, piece.last)) && memcmp(piece.first, piece.last, sizeof piece.first) <= 0;
    if (there)
      add_piece(walk, &piece);
  }
}

void hf_cells_elements(HfReasons *reasons, HfPlanDirection direction, const GPtrArray *sources, GArray *elements)
{
  Walk walk = { .reasons = reasons, .direction = direction, .sources = sources };
  walk.ports = g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref, free_array);
  walk.runs = g_hash_table_new_full(hash_ports, equal_ports, NULL, free_array);
  walk.order = g_ptr_array_new();
  walk.active = g_array_new(FALSE, FALSE, sizeof(guint));
  cut_addresses(&walk);
  for (guint i = 0; i < walk.order->len; i++) {
    const HfFirewallPorts *ports = walk.order->pdata[i];
    GArray *run = g_hash_table_lookup(walk.runs, ports);
    for (guint k = 0; k < run->len; k++) {
      HfFirewallElement element = { .direction = direction, .transport = ports->transport, .first = ports->first,
                                    .last = ports->last, .reason = ports->reason };
      element.peer = g_array_index(run, HfFirewallRange, k);
      g_array_append_val(elements, element);
    }
  }
  g_array_unref(walk.active);
  g_ptr_array_unref(walk.order);
  g_hash_table_unref(walk.runs);
  g_hash_table_unref(walk.ports);
}
