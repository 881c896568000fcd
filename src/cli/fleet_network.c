/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/fleet_network.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/buffer.h"
#include "base/error.h"

typedef struct Address {
  int family;
  guint bytes;
  guint8 b[16];
} Address;

static gboolean read_address(const char *text, Address *address)
{
  address->family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
  address->bytes = address->family == AF_INET6 ? 16 : 4;
  return inet_pton(address->family, text, address->b) == 1;
}

static char *address_text(const Address *address)
{
  char text[INET6_ADDRSTRLEN];
  return g_strdup(inet_ntop(address->family, address->b, text, sizeof text));
}

static gboolean no_network(const char *text, GError **error)
{
  return hf_fail(error, HF_ERROR_USAGE, "'%s' is no network; write ADDRESS, FIRST-LAST or ADDRESS/BITS", text);
}

static gboolean by_bits(const char *text, const char *slash, Address *first, Address *last, GError **error)
{
  guint64 bits;
  g_autofree char *address = g_strndup(text, (gsize)(slash - text));
  if (!read_address(address, first))
    return no_network(text, error);
  if (!hf_parse_number("the bits of the network", slash + 1, 0, first->bytes * 8, &bits, error))
    return FALSE;
  *last = *first;
  for (guint bit = (guint)bits; bit < first->bytes * 8; bit++) {
    guint8 mask = (guint8)(0x80 >> bit % 8);
    first->b[bit / 8] &= (guint8)~mask;
    last->b[bit / 8] |= mask;
  }
  return TRUE;
}

gboolean hf_fleet_network(const char *text, char **first, char **last, GError **error)
{
  const char *slash = strchr(text, '/'), *dash = strchr(text, '-');
  Address from = { 0 }, to = { 0 };
  if (slash != NULL) {
    if (!by_bits(text, slash, &from, &to, error))
      return FALSE;
  } else {
    g_autofree char *low = dash == NULL ? g_strdup(text) : g_strndup(text, (gsize)(dash - text));
    if (!read_address(low, &from) || !read_address(dash == NULL ? text : dash + 1, &to) || from.family != to.family ||
        memcmp(from.b, to.b, from.bytes) > 0)
      return no_network(text, error);
  }
  *first = address_text(&from);
  *last = address_text(&to);
  return TRUE;
}
