/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ranges of addresses, as numbers of 4 or 16 bytes. */
#include <arpa/inet.h>
#include <string.h>

#include "ports/firewall/make.h"

guint hf_span_bytes(int family)
{
  return family == AF_INET ? 4 : 16;
}

/* The last address of the network of `prefix` bits that begins at `first`. */
static void last_of(int family, const guint8 *first, guint prefix, guint8 *last)
{
  guint length = hf_span_bytes(family);
  for (guint i = 0; i < length; i++) {
    guint free_bits = prefix >= 8 * (i + 1) ? 0 : prefix <= 8 * i ? 8 : 8 * (i + 1) - prefix;
    last[i] = (guint8)(first[i] | ((1u << free_bits) - 1));
  }
}

void hf_span_of(const HfTopologyAddress *address, HfFirewallRange *range)
{
  *range = (HfFirewallRange){ .family = address->family };
  memcpy(range->first, address->bytes, hf_span_bytes(address->family));
  last_of(address->family, range->first, address->prefix, range->last);
}

gboolean hf_span_step_up(int family, guint8 *bytes)
{
  for (guint i = hf_span_bytes(family); i-- > 0;)
    if (++bytes[i] != 0)
      return TRUE;
  return FALSE;
}

gboolean hf_span_step_down(int family, guint8 *bytes)
{
  for (guint i = hf_span_bytes(family); i-- > 0;)
    if (bytes[i]-- != 0)
      return TRUE;
  return FALSE;
}

void hf_span_append(GArray *ranges, const HfFirewallRange *range)
{
  if (ranges->len > 0) {
    HfFirewallRange *last = &g_array_index(ranges, HfFirewallRange, ranges->len - 1);
    guint8 next[16];
    memcpy(next, last->last, sizeof next);
    if (last->family == range->family && hf_span_step_up(last->family, next) &&
        memcmp(next, range->first, hf_span_bytes(range->family)) == 0) {
      memcpy(last->last, range->last, sizeof last->last);
      return;
    }
  }
  g_array_append_vals(ranges, range, 1);
}

/* Bits that all addresses of the largest network at `first` have in common, when it must end at `last` or before. */
static guint widest_prefix(int family, const guint8 *first, const guint8 *last)
{
  guint prefix = 8 * hf_span_bytes(family);
  guint8 end[16];
  while (prefix > 0) {
    guint bit = prefix - 1;
    if (first[bit / 8] & (0x80 >> bit % 8))
      break;
    last_of(family, first, bit, end);
    if (memcmp(end, last, hf_span_bytes(family)) > 0)
      break;
    prefix = bit;
  }
  return prefix;
}

GArray *hf_firewall_range_networks(const HfFirewallRange *range)
{
  GArray *networks = g_array_new(FALSE, TRUE, sizeof(HfTopologyAddress));
  guint length = hf_span_bytes(range->family);
  guint8 first[16], end[16];
  memcpy(first, range->first, length);
  do {
    HfTopologyAddress network = { .family = range->family };
    network.prefix = widest_prefix(range->family, first, range->last);
    memcpy(network.bytes, first, length);
    g_array_append_val(networks, network);
    last_of(range->family, first, network.prefix, end);
    memcpy(first, end, length);
  } while (memcmp(end, range->last, length) < 0 && hf_span_step_up(range->family, first));
  return networks;
}

char *hf_firewall_range_text(const HfFirewallRange *range)
{
  char first[INET6_ADDRSTRLEN], last[INET6_ADDRSTRLEN];
  guint prefix = widest_prefix(range->family, range->first, range->last);
  guint8 end[16];
  last_of(range->family, range->first, prefix, end);
  inet_ntop(range->family, range->first, first, sizeof first);
  inet_ntop(range->family, range->last, last, sizeof last);
  if (memcmp(end, range->last, hf_span_bytes(range->family)) != 0)
    return g_strdup_printf("%s-%s", first, last);
  if (prefix == 8 * hf_span_bytes(range->family))
    return g_strdup(first);
  return g_strdup_printf("%s/%u", first, prefix);
}
