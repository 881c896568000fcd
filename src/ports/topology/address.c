/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <arpa/inet.h>
#include <string.h>

#include "ports/topology/topology.h"
#include "ports/topology/read.h"

static guint family_bits(int family)
{
  return family == AF_INET ? 32 : 128;
}

char *hf_topology_address_text(const HfTopologyAddress *address)
{
  char text[INET6_ADDRSTRLEN];
  inet_ntop(address->family, address->bytes, text, sizeof text);
  if (address->prefix == family_bits(address->family))
    return g_strdup(text);
  return g_strdup_printf("%s/%u", text, address->prefix);
}

void hf_address_cut(HfTopologyAddress *address, guint prefix)
{
  for (guint i = 0; i < sizeof address->bytes; i++) {
    guint bits = prefix > i * 8 ? MIN(8, prefix - i * 8) : 0;
    address->bytes[i] = (guint8)(address->bytes[i] & (0xff00 >> bits));
  }
  address->prefix = prefix;
}

/* Without looking at the bits after the prefix. */
gboolean hf_address_scan(const char *text, gboolean networks, HfTopologyAddress *address)
{
  const char *slash = strchr(text, '/');
  g_autofree char *bare = slash != NULL ? g_strndup(text, (gsize)(slash - text)) : g_strdup(text);
  *address = (HfTopologyAddress){ .family = strchr(bare, ':') != NULL ? AF_INET6 : AF_INET };
  if (inet_pton(address->family, bare, address->bytes) != 1 || (slash != NULL && !networks))
    return FALSE;
  guint64 prefix = address->prefix = family_bits(address->family);
  if (slash != NULL && !g_ascii_string_to_unsigned(slash + 1, 10, 0, address->prefix, &prefix, NULL))
    return FALSE;
  address->prefix = (guint)prefix;
  return TRUE;
}

gboolean hf_topology_address_parse(const char *text, gboolean networks, HfTopologyAddress *address)
{
  if (!hf_address_scan(text, networks, address))
    return FALSE;
  HfTopologyAddress whole = *address;
  hf_address_cut(address, address->prefix);
  return memcmp(whole.bytes, address->bytes, sizeof whole.bytes) == 0;
}

gboolean hf_topology_address_within(const HfTopologyAddress *inner, const HfTopologyAddress *outer)
{
  if (inner->family != outer->family || inner->prefix < outer->prefix)
    return FALSE;
  HfTopologyAddress cut = *inner;
  hf_address_cut(&cut, outer->prefix);
  return memcmp(cut.bytes, outer->bytes, sizeof cut.bytes) == 0;
}

int hf_topology_address_compare(const HfTopologyAddress *a, const HfTopologyAddress *b)
{
  if (a->family != b->family)
    return a->family == AF_INET ? -1 : 1;
  int order = memcmp(a->bytes, b->bytes, sizeof a->bytes);
  return order != 0 ? order : (int)a->prefix - (int)b->prefix;
}

gboolean hf_address_is_single(const HfTopologyAddress *address)
{
  return address->prefix == family_bits(address->family);
}

void hf_address_step(HfTopologyAddress *address, guint count)
{
  guint64 carry = count;
  for (guint i = family_bits(address->family) / 8; i > 0 && carry > 0; i--) {
    carry += address->bytes[i - 1];
    address->bytes[i - 1] = (guint8)(carry & 0xff);
    carry >>= 8;
  }
}

guint64 hf_address_distance(const HfTopologyAddress *first, const HfTopologyAddress *last)
{
  if (first->family != last->family || memcmp(first->bytes, last->bytes, sizeof first->bytes) > 0)
    return 0;
  guint bytes = family_bits(first->family) / 8;
  guint64 distance = 0;
  for (guint i = 0; i < bytes; i++) {
    if (distance > G_MAXUINT32)
      return G_MAXUINT32;
    distance = (distance << 8) + last->bytes[i] - first->bytes[i];
  }
  return MIN(distance, G_MAXUINT32 - 1) + 1;
}

/* Why nobody can be reached there, or NULL. */
const char *hf_address_flaw(const HfTopologyAddress *address)
{
  static const struct {
    const char *network, *flaw;
  } flaws[] = {
    { "127.0.0.0/8", "is the machine itself" },
    { "::1", "is the machine itself" },
    { "0.0.0.0", "is no address of a machine" },
    { "::", "is no address of a machine" },
    { "255.255.255.255", "is no address of a machine" },
    { "224.0.0.0/4", "is a multicast address" },
    { "ff00::/8", "is a multicast address" },
    { "fe80::/10", "counts on one link only; give one that is routed" },
    { "::ffff:0:0/96", "is an IPv4 address in disguise; write it as 192.0.2.1" },
  };
  for (guint i = 0; i < G_N_ELEMENTS(flaws); i++) {
    HfTopologyAddress network;
    if (hf_address_scan(flaws[i].network, TRUE, &network) && hf_topology_address_within(address, &network))
      return flaws[i].flaw;
  }
  return NULL;
}
