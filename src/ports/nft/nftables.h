/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A ruleset of nftables as `nft -j list ruleset` prints it, and an independent evaluation of it: what becomes of the
 * first packet of a connection. It knows the matches and statements that firewalls of hosts use; of what it does not
 * know it says so, and never guesses.
 *
 * INVARIANTS
 * 1. Evaluation ends: jumps go 16 deep at most and every rule is passed once a visit.
 * 2. A verdict that hangs on a match that is not understood is HF_NFT_UNSURE, never accept or drop.
 */
#pragma once

#include <glib.h>

#include "ports/firewall/firewall.h"

#define HF_NFT_MAX_BYTES (256u << 20) /* of the text of a ruleset */

typedef struct HfNftRuleset HfNftRuleset;

/* Reads the JSON text. HF_ERROR_INVALID when it is not what nft prints. */
HfNftRuleset *hf_nft_parse(const char *text, gsize length, GError **error);
/* From a file ("-": standard input). */
HfNftRuleset *hf_nft_load(const char *path, GError **error);
/* Of this machine, by running nft. HF_ERROR_NOT_FOUND when there is no nft, HF_ERROR_PERMISSION when it may not. */
HfNftRuleset *hf_nft_live(GError **error);
void hf_nft_free(HfNftRuleset *ruleset);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfNftRuleset, hf_nft_free)

/* The first packet of a connection: inbound from the peer to a port of this host, or outbound from it to a port of
 * the peer. The other port is any high one, the other address any of this host. */
typedef struct HfNftPacket {
  HfPlanDirection direction;
  int family;
  guint8 peer[16]; /* 4 bytes of them for AF_INET */
  guint transport; /* HF_PORT_TCP or HF_PORT_UDP */
  guint16 port;    /* of the end that listens */
} HfNftPacket;

typedef enum HfNftVerdict {
  HF_NFT_ACCEPT,
  HF_NFT_DROP,   /* or reject */
  HF_NFT_UNSURE, /* hangs on a match that is not understood */
} HfNftVerdict;

/* Of all filtering base chains of the direction (hooks input and prerouting, output and postrouting) together:
 * accepted is what all of them accept. Translations of addresses are not followed. `by`, when not NULL, becomes the
 * place of the rule or policy that decided ("inet holdfast in, handle 12"; NULL when there is no chain); borrowed from
 * the ruleset. */
HfNftVerdict hf_nft_evaluate(const HfNftRuleset *ruleset, const HfNftPacket *packet, const char **by);

/* TRUE when a base chain of this family stands at a hook of the direction: else everything is let through. */
gboolean hf_nft_has_chain(const HfNftRuleset *ruleset, HfPlanDirection direction, int family);

/* A part of what some rule or set element accepts, as a box: all combinations of it. */
typedef struct HfNftBox {
  HfPlanDirection direction;
  HfFirewallRange peer;
  guint transport;
  guint16 first, last;
  const char *place;   /* "inet holdfast in, handle 12", "inet holdfast set in_ipv4"; borrowed */
  const char *comment; /* of the element or rule, or NULL; borrowed */
  gboolean counted;    /* it has a counter of its own: `packets` */
  guint64 packets;
} HfNftBox;

/*
 * Everything that might be accepted as a first packet: a box for each rule that accepts (for each member of a set that
 * it uses), and for each policy that does, whatever rules before it say. What hf_nft_evaluate does not accept is not
 * open all the same. HfNftBox by value; caller unrefs. `whole` becomes FALSE when the ruleset multiplies to more than
 * HF_NFT_MAX_BOXES, and the rest is left out.
 */
#define HF_NFT_MAX_BOXES 1000000
GArray *hf_nft_boxes(const HfNftRuleset *ruleset, gboolean *whole);

/* The places where what a ruleset does may change: in each cell between them all packets fare alike. */
typedef struct HfNftCuts {
  GArray *ports;        /* guint32: each begins a cell; ascending, the first is 0 */
  GArray *addresses[2]; /* of IPv4 and IPv6: HfFirewallRange, whose `first` begins a cell; ascending, the first is 0 */
} HfNftCuts;
void hf_nft_cuts(const HfNftRuleset *ruleset, HfNftCuts *cuts);
void hf_nft_cuts_clear(HfNftCuts *cuts);
