/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hf_nft_parse on any text. What is accepted can be evaluated in bounded time, and whatever packet it accepts lies in one
 * of its boxes. */
#include <glib.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "base/error.h"
#include "ports/nft/nftables.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MANY 6 /* cuts of addresses, and of ports, that are tried */

static gboolean has(const HfNftBox *box, const HfNftPacket *packet)
{
  gsize bytes = packet->family == AF_INET ? 4 : 16;
  return box->direction == packet->direction && box->transport == packet->transport &&
    box->peer.family == packet->family && box->first <= packet->port && packet->port <= box->last &&
    memcmp(box->peer.first, packet->peer, bytes) <= 0 && memcmp(packet->peer, box->peer.last, bytes) <= 0;
}

static void try_packet(const HfNftRuleset *ruleset, const GArray *boxes, gboolean whole, const HfNftPacket *packet)
{
  HfNftVerdict verdict = hf_nft_evaluate(ruleset, packet, NULL);
  gboolean found = !whole || verdict != HF_NFT_ACCEPT;
  for (guint i = 0; !found && i < boxes->len; i++)
    found = has(&g_array_index(boxes, HfNftBox, i), packet);
  g_assert_true(found);
}

static void try_packets(const HfNftRuleset *ruleset, const GArray *boxes, gboolean whole, const HfNftCuts *cuts)
{
  for (guint kind = 0; kind < 8; kind++) {
    HfNftPacket packet = { .direction = kind & 1 ? HF_PLAN_IN : HF_PLAN_OUT,
                           .family = kind & 2 ? AF_INET6 : AF_INET,
                           .transport = kind & 4 ? HF_PORT_UDP : HF_PORT_TCP };
    const GArray *addresses = cuts->addresses[packet.family == AF_INET6];
    for (guint i = 0; i < MIN(addresses->len, MANY); i++)
      for (guint j = 0; j < MIN(cuts->ports->len, MANY); j++) {
        guint32 port = g_array_index(cuts->ports, guint32, j);
        memcpy(packet.peer, g_array_index(addresses, HfFirewallRange, i).first, sizeof packet.peer);
        packet.port = (guint16)MAX(port, 1);
        try_packet(ruleset, boxes, whole, &packet);
      }
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(HfNftRuleset) ruleset = hf_nft_parse((const char *)data, size, &error);
  g_assert_true((ruleset != NULL) == (error == NULL));
  if (ruleset == NULL) {
    g_assert_true(hf_error_is(error, HF_ERROR_INVALID));
    return 0;
  }
  gboolean whole;
  HfNftCuts cuts;
  g_autoptr(GArray) boxes = hf_nft_boxes(ruleset, &whole);
  hf_nft_cuts(ruleset, &cuts);
  try_packets(ruleset, boxes, whole, &cuts);
  hf_nft_cuts_clear(&cuts);
  return 0;
}
