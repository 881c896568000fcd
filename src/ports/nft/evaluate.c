/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What becomes of a packet. Matches answer yes, no or maybe; a rule that may match makes its verdict possible, and the
 * packet goes on to what follows. At the end the verdict is sure when everything that was possible is the same.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <string.h>

#include "ports/nft/model.h"

#define MAX_DEPTH 16         /* of jumps, as in the kernel */
#define MAX_VISITS 2000000   /* rules that one packet may pass: jumps can be made to multiply */
#define STATE_NEW 8
#define HIGH_PORT_FIRST 1024 /* sources of connections */

/* ---- matches ---- */

static gboolean address_span(const HfNftPacket *packet, int family, gboolean source, HfNftSpan *span)
{
  if (packet->family != family)
    return FALSE;
  if (source != (packet->direction == HF_PLAN_IN)) {
    hf_nft_any_span(span);
    if (family == AF_INET) {
      memset(span->first, 0, 12);
      memset(span->last, 0, 12);
    }
    return TRUE;
  }
  memset(span, 0, sizeof *span);
  memcpy(span->first + (family == AF_INET ? 12 : 0), packet->peer, family == AF_INET ? 4 : 16);
  memcpy(span->last, span->first, sizeof span->last);
  return TRUE;
}

static gboolean number(guint64 first, guint64 last, HfNftSpan *span)
{
  hf_nft_number_span(first, last, span);
  return TRUE;
}

static gboolean interface_span(const HfNftPacket *packet, gboolean inbound, HfNftSpan *span)
{
  /* Another one than the loopback (0): which, nobody knows. An inbound packet has no interface to leave by. */
  return inbound == (packet->direction == HF_PLAN_IN) && number(1, 2, span);
}

static gboolean has_transport(const HfNftPacket *packet, HfNftField field)
{
  if (field == HF_NFT_TCP_SPORT || field == HF_NFT_TCP_DPORT || field == HF_NFT_TCP_FLAGS)
    return packet->transport == HF_PORT_TCP;
  return (field != HF_NFT_UDP_SPORT && field != HF_NFT_UDP_DPORT) || packet->transport == HF_PORT_UDP;
}

gboolean hf_nft_packet_span(const HfNftPacket *packet, HfNftField field, guint flags_mask, HfNftSpan *span)
{
  guint64 protocol = packet->transport == HF_PORT_TCP ? IPPROTO_TCP : IPPROTO_UDP;
  if (!has_transport(packet, field))
    return FALSE;
  switch (field) {
    case HF_NFT_SADDR4:
    case HF_NFT_DADDR4:
      return address_span(packet, AF_INET, field == HF_NFT_SADDR4, span);
    case HF_NFT_SADDR6:
    case HF_NFT_DADDR6:
      return address_span(packet, AF_INET6, field == HF_NFT_SADDR6, span);
    case HF_NFT_PROTOCOL:
      return number(protocol, protocol, span);
    case HF_NFT_PROTOCOL4:
      return packet->family == AF_INET && number(protocol, protocol, span);
    case HF_NFT_PROTOCOL6:
      return packet->family == AF_INET6 && number(protocol, protocol, span);
    case HF_NFT_TCP_SPORT:
    case HF_NFT_UDP_SPORT:
    case HF_NFT_TH_SPORT:
      return number(HIGH_PORT_FIRST, G_MAXUINT16, span);
    case HF_NFT_TCP_DPORT:
    case HF_NFT_UDP_DPORT:
    case HF_NFT_TH_DPORT:
      return number(packet->port, packet->port, span);
    case HF_NFT_TCP_FLAGS:
      return number(TH_SYN & flags_mask, TH_SYN & flags_mask, span);
    case HF_NFT_STATE:
      return number(STATE_NEW, STATE_NEW, span);
    case HF_NFT_FAMILY:
      return number((guint64)packet->family, (guint64)packet->family, span);
    case HF_NFT_IN_INTERFACE:
    case HF_NFT_OUT_INTERFACE:
      return interface_span(packet, field == HF_NFT_IN_INTERFACE, span);
    default:
      return FALSE;
  }
}

static HfNftTruth span_has(const HfNftSpan *wanted, const HfNftSpan *got)
{
  if (memcmp(got->last, wanted->first, 16) < 0 || memcmp(got->first, wanted->last, 16) > 0)
    return HF_NFT_NO;
  return memcmp(got->first, wanted->first, 16) >= 0 && memcmp(got->last, wanted->last, 16) <= 0 ? HF_NFT_YES
                                                                                               : HF_NFT_MAYBE;
}

/* The last field first: it is the port mostly, and tells most. */
static HfNftTruth element_has(const HfNftElement *element, const HfNftSpan *got, const gboolean *known, guint n_fields)
{
  HfNftTruth truth = HF_NFT_YES;
  for (guint i = n_fields; i-- > 0;) {
    HfNftTruth one = known[i] ? span_has(&element->spans[i], &got[i]) : HF_NFT_MAYBE;
    if (one == HF_NFT_NO)
      return HF_NFT_NO;
    truth = MIN(truth, one);
  }
  return truth;
}

/* Which members are worth a look. */
static void near(const HfNftMatch *match, const HfNftSpan *got, const gboolean *known, guint *from, guint *to)
{
  *from = 0;
  *to = match->set->elements->len;
  if (known[0])
    hf_nft_set_near(match->set, &got[0], from, to);
}

/* The spans of the packet in the fields of the match. FALSE: it lacks one, so that nothing can match. */
static gboolean fields_of(const HfNftMatch *match, const HfNftPacket *packet, HfNftSpan *got, gboolean *known)
{
  for (guint i = 0; i < match->n_fields; i++) {
    known[i] = match->fields[i] != HF_NFT_UNKNOWN;
    if (known[i] && !hf_nft_packet_span(packet, match->fields[i], match->flags_mask, &got[i]))
      return FALSE;
  }
  return TRUE;
}

static HfNftTruth match_truth(const HfNftMatch *match, const HfNftPacket *packet)
{
  HfNftSpan got[HF_NFT_MAX_FIELDS];
  gboolean known[HF_NFT_MAX_FIELDS];
  if (!fields_of(match, packet, got, known))
    return HF_NFT_NO;
  if (match->odd)
    return HF_NFT_MAYBE;
  HfNftTruth truth = match->set->odd ? HF_NFT_MAYBE : HF_NFT_NO;
  guint from, to;
  near(match, got, known, &from, &to);
  for (guint i = from; truth != HF_NFT_YES && i < to; i++)
    truth = MAX(truth, element_has(&g_array_index(match->set->elements, HfNftElement, i), got, known, match->n_fields));
  return match->inverted ? (HfNftTruth)(HF_NFT_YES - truth) : truth;
}

/* ---- rules ---- */

typedef struct Walk {
  const HfNftPacket *packet;
  guint visits;
  gboolean may_accept, may_drop;
  const char *by; /* of the first verdict that was possible or sure */
} Walk;

static HfNftKind walk_chain(Walk *walk, const HfNftChain *chain, guint depth);

static void both_possible(Walk *walk)
{
  walk->may_accept = walk->may_drop = TRUE;
}

/* Does what the action says. Gives what ends the chain, or NO_VERDICT. */
static HfNftKind act(Walk *walk, const HfNftAction *action, guint depth, const char *place)
{
  HfNftKind kind = action->kind;
  if (kind == HF_NFT_TO_JUMP || kind == HF_NFT_TO_GOTO) {
    if (action->chain == NULL || depth >= MAX_DEPTH) {
      both_possible(walk);
      return HF_NFT_NO_VERDICT;
    }
    HfNftKind inner = walk_chain(walk, action->chain, depth + 1);
    if (inner == HF_NFT_TO_ACCEPT || inner == HF_NFT_TO_DROP)
      return inner;
    return kind == HF_NFT_TO_GOTO ? HF_NFT_TO_RETURN : HF_NFT_NO_VERDICT;
  }
  if (kind == HF_NFT_TO_UNKNOWN) {
    both_possible(walk);
    return HF_NFT_NO_VERDICT;
  }
  if (kind == HF_NFT_TO_ACCEPT || kind == HF_NFT_TO_DROP) {
    walk->may_accept = walk->may_accept || kind == HF_NFT_TO_ACCEPT;
    walk->may_drop = walk->may_drop || kind == HF_NFT_TO_DROP;
    walk->by = place;
  }
  return kind;
}

/* An action that may happen or not: what it would end in is possible, and the packet goes on. */
static void act_maybe(Walk *walk, const HfNftAction *action, guint depth, const char *place)
{
  const char *by = walk->by;
  /* What the rest of this chain or its callers would do instead is not followed. */
  if (action->kind == HF_NFT_TO_RETURN || action->kind == HF_NFT_TO_GOTO)
    both_possible(walk);
  else
    act(walk, action, depth, place);
  walk->by = by;
}

static HfNftKind act_truth(Walk *walk, const HfNftAction *action, HfNftTruth truth, guint depth,
                           const char *place)
{
  if (truth == HF_NFT_YES)
    return act(walk, action, depth, place);
  if (truth == HF_NFT_MAYBE)
    act_maybe(walk, action, depth, place);
  return HF_NFT_NO_VERDICT;
}

/* The member of a verdict map that has the packet. */
static HfNftKind look_up(Walk *walk, const HfNftRule *rule, HfNftTruth truth, guint depth)
{
  const HfNftMatch *map = rule->map;
  HfNftSpan got[HF_NFT_MAX_FIELDS];
  gboolean known[HF_NFT_MAX_FIELDS];
  if (!fields_of(map, walk->packet, got, known))
    return HF_NFT_NO_VERDICT;
  if (map->odd || map->set->odd) {
    both_possible(walk);
    return HF_NFT_NO_VERDICT;
  }
  guint from, to;
  near(map, got, known, &from, &to);
  for (guint i = from; i < to; i++) {
    const HfNftElement *element = &g_array_index(map->set->elements, HfNftElement, i);
    HfNftTruth has = MIN(truth, element_has(element, got, known, map->n_fields));
    HfNftKind kind = act_truth(walk, &element->action, has, depth, rule->place);
    if (kind != HF_NFT_NO_VERDICT || has == HF_NFT_YES)
      return kind;
  }
  return HF_NFT_NO_VERDICT;
}

static HfNftTruth rule_truth(const HfNftRule *rule, const HfNftPacket *packet)
{
  HfNftTruth truth = HF_NFT_YES;
  for (guint i = 0; truth != HF_NFT_NO && i < rule->matches->len; i++)
    truth = MIN(truth, match_truth(&g_array_index(rule->matches, HfNftMatch, i), packet));
  return truth;
}

static HfNftKind walk_chain(Walk *walk, const HfNftChain *chain, guint depth)
{
  for (guint i = 0; i < chain->rules->len; i++) {
    const HfNftRule *rule = chain->rules->pdata[i];
    if (++walk->visits > MAX_VISITS) {
      both_possible(walk);
      return HF_NFT_TO_DROP;
    }
    HfNftTruth truth = rule_truth(rule, walk->packet);
    if (truth == HF_NFT_NO)
      continue;
    HfNftKind kind = rule->map != NULL ? look_up(walk, rule, truth, depth)
                                       : act_truth(walk, &rule->action, truth, depth, rule->place);
    if (kind != HF_NFT_NO_VERDICT)
      return kind;
  }
  return HF_NFT_NO_VERDICT;
}

static HfNftVerdict evaluate_chain(const HfNftChain *chain, const HfNftPacket *packet, const char **by)
{
  Walk walk = { .packet = packet };
  HfNftKind kind = walk_chain(&walk, chain, 0);
  if (kind != HF_NFT_TO_ACCEPT && kind != HF_NFT_TO_DROP) {
    walk.may_accept = walk.may_accept || !chain->drop;
    walk.may_drop = walk.may_drop || chain->drop;
    walk.by = chain->place;
  }
  *by = walk.by;
  if (walk.may_accept && walk.may_drop)
    return HF_NFT_UNSURE;
  return walk.may_drop ? HF_NFT_DROP : HF_NFT_ACCEPT;
}

gboolean hf_nft_chain_sees(const HfNftChain *chain, HfPlanDirection direction, int family)
{
  static const char *const hooks[2][2] = { { "output", "postrouting" }, { "input", "prerouting" } };
  const char *const *wanted = hooks[direction == HF_PLAN_IN];
  if (chain->hook == NULL || !chain->filter)
    return FALSE;
  if (!g_str_equal(chain->hook, wanted[0]) && !g_str_equal(chain->hook, wanted[1]))
    return FALSE;
  return g_str_equal(chain->family, "inet") || g_str_equal(chain->family, family == AF_INET ? "ip" : "ip6");
}

HfNftVerdict hf_nft_evaluate(const HfNftRuleset *ruleset, const HfNftPacket *packet, const char **by)
{
  HfNftVerdict verdict = HF_NFT_ACCEPT;
  const char *place = NULL;
  for (guint i = 0; verdict != HF_NFT_DROP && i < ruleset->chains->len; i++) {
    const HfNftChain *chain = ruleset->chains->pdata[i];
    const char *here;
    if (!hf_nft_chain_sees(chain, packet->direction, packet->family))
      continue;
    HfNftVerdict one = evaluate_chain(chain, packet, &here);
    if (one == HF_NFT_DROP || verdict == HF_NFT_ACCEPT)
      place = here;
    if (one != HF_NFT_ACCEPT)
      verdict = one;
  }
  if (by != NULL)
    *by = place;
  return verdict;
}

gboolean hf_nft_has_chain(const HfNftRuleset *ruleset, HfPlanDirection direction, int family)
{
  for (guint i = 0; i < ruleset->chains->len; i++)
    if (hf_nft_chain_sees(ruleset->chains->pdata[i], direction, family))
      return TRUE;
  return FALSE;
}
