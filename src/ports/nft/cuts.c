/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <arpa/inet.h>
#include <string.h>

#include "ports/firewall/make.h"
#include "ports/nft/model.h"

static void add_port(HfNftCuts *cuts, guint64 port)
{
  guint32 cut = (guint32)port;
  if (port <= G_MAXUINT16)
    g_array_append_val(cuts->ports, cut);
}

static void add_address(HfNftCuts *cuts, int family, const guint8 *bytes, gboolean after)
{
  HfFirewallRange cut = { .family = family };
  memcpy(cut.first, bytes, hf_span_bytes(family));
  if (!after || hf_span_step_up(family, cut.first))
    g_array_append_val(cuts->addresses[family == AF_INET6], cut);
}

static guint64 low_bits(const guint8 *value)
{
  guint64 number;
  memcpy(&number, value + 8, sizeof number);
  return GUINT64_FROM_BE(number);
}

static void add_span(HfNftCuts *cuts, HfNftField field, const HfNftSpan *span)
{
  HfNftClass class = hf_nft_class(field);
  if (class == HF_NFT_CLASS_PORT) {
    add_port(cuts, low_bits(span->first));
    add_port(cuts, low_bits(span->last) + 1);
  } else if (class == HF_NFT_CLASS_ADDRESS4 || class == HF_NFT_CLASS_ADDRESS6) {
    int family = class == HF_NFT_CLASS_ADDRESS4 ? AF_INET : AF_INET6;
    add_address(cuts, family, span->first + 16 - hf_span_bytes(family), FALSE);
    add_address(cuts, family, span->last + 16 - hf_span_bytes(family), TRUE);
  }
}

static void add_match(HfNftCuts *cuts, const HfNftMatch *match)
{
  for (guint i = 0; !match->odd && i < match->set->elements->len; i++)
    for (guint j = 0; j < match->n_fields; j++)
      add_span(cuts, match->fields[j], &g_array_index(match->set->elements, HfNftElement, i).spans[j]);
}

static int compare_ports(gconstpointer a, gconstpointer b)
{
  guint32 left = *(const guint32 *)a, right = *(const guint32 *)b;
  return left < right ? -1 : left > right;
}

static int compare_addresses(gconstpointer a, gconstpointer b)
{
  return memcmp(((const HfFirewallRange *)a)->first, ((const HfFirewallRange *)b)->first, 16);
}

/* Sorts, and leaves one of equals. */
static void tidy(GArray *array, GCompareFunc compare)
{
  guint size = g_array_get_element_size(array), kept = 1;
  g_array_sort(array, compare);
  for (guint i = 1; i < array->len; i++)
    if (compare(array->data + (gsize)i * size, array->data + (gsize)(kept - 1) * size) != 0)
      memmove(array->data + (gsize)kept++ * size, array->data + (gsize)i * size, size);
  g_array_set_size(array, kept);
}

void hf_nft_cuts(const HfNftRuleset *ruleset, HfNftCuts *cuts)
{
  static const guint8 zero[16] = { 0 };
  cuts->ports = g_array_new(FALSE, FALSE, sizeof(guint32));
  cuts->addresses[0] = g_array_new(FALSE, FALSE, sizeof(HfFirewallRange));
  cuts->addresses[1] = g_array_new(FALSE, FALSE, sizeof(HfFirewallRange));
  add_port(cuts, 0);
  add_address(cuts, AF_INET, zero, FALSE);
  add_address(cuts, AF_INET6, zero, FALSE);
  for (guint i = 0; i < ruleset->chains->len; i++) {
    const HfNftChain *chain = ruleset->chains->pdata[i];
    for (guint j = 0; j < chain->rules->len; j++) {
      const HfNftRule *rule = chain->rules->pdata[j];
      for (guint k = 0; k < rule->matches->len; k++)
        add_match(cuts, &g_array_index(rule->matches, HfNftMatch, k));
      if (rule->map != NULL)
        add_match(cuts, rule->map);
    }
  }
  tidy(cuts->ports, compare_ports);
  tidy(cuts->addresses[0], compare_addresses);
  tidy(cuts->addresses[1], compare_addresses);
}

void hf_nft_cuts_clear(HfNftCuts *cuts)
{
  g_array_unref(cuts->ports);
  g_array_unref(cuts->addresses[0]);
  g_array_unref(cuts->addresses[1]);
}
