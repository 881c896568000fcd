/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a ruleset might accept, as boxes. A walk like that of a packet, but with a box in its place: each match cuts it
 * down to the members that fit. What is not understood does not cut.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "ports/nft/model.h"

#define MAX_DEPTH 16

typedef struct Walk {
  GArray *found; /* HfNftBox */
  guint visits;
  gboolean whole;
} Walk;

static gboolean cut_peer(HfNftBox *box, const HfNftSpan *span)
{
  guint bytes = box->peer.family == AF_INET ? 4 : 16;
  if (memcmp(span->first + 16 - bytes, box->peer.first, bytes) > 0)
    memcpy(box->peer.first, span->first + 16 - bytes, bytes);
  if (memcmp(span->last + 16 - bytes, box->peer.last, bytes) < 0)
    memcpy(box->peer.last, span->last + 16 - bytes, bytes);
  return memcmp(box->peer.first, box->peer.last, bytes) <= 0;
}

static guint64 number_of(const guint8 *value)
{
  guint64 number;
  memcpy(&number, value + 8, sizeof number);
  return GUINT64_FROM_BE(number);
}

static gboolean cut_port(HfNftBox *box, const HfNftSpan *span)
{
  guint64 first = MAX(number_of(span->first), box->first), last = MIN(number_of(span->last), box->last);
  box->first = (guint16)MIN(first, G_MAXUINT16);
  box->last = (guint16)MIN(last, G_MAXUINT16);
  return first <= last;
}

/* FALSE: nothing of the box has the value. Values that boxes do not have (states, interfaces) are those of any first
 * packet. */
static gboolean cut_field(HfNftBox *box, HfNftField field, guint flags_mask, const HfNftSpan *span)
{
  HfNftField peer4 = box->direction == HF_PLAN_IN ? HF_NFT_SADDR4 : HF_NFT_DADDR4;
  HfNftField peer6 = box->direction == HF_PLAN_IN ? HF_NFT_SADDR6 : HF_NFT_DADDR6;
  const HfNftPacket packet = { .direction = box->direction, .family = box->peer.family, .transport = box->transport };
  HfNftSpan got;
  if (!hf_nft_packet_span(&packet, field, flags_mask, &got))
    return FALSE;
  if (field == peer4 || field == peer6)
    return cut_peer(box, span);
  if (field == HF_NFT_TCP_DPORT || field == HF_NFT_UDP_DPORT || field == HF_NFT_TH_DPORT)
    return cut_port(box, span);
  return memcmp(got.first, span->last, 16) <= 0 && memcmp(got.last, span->first, 16) >= 0;
}

/* FALSE when the member has nothing of the box. */
static gboolean cut(HfNftBox *box, const HfNftMatch *match, const HfNftElement *element)
{
  for (guint i = 0; i < match->n_fields; i++)
    if (match->fields[i] != HF_NFT_UNKNOWN &&
        !cut_field(box, match->fields[i], match->flags_mask, &element->spans[i]))
      return FALSE;
  return TRUE;
}

static gboolean add(Walk *walk, GArray *boxes, const HfNftBox *box)
{
  if (boxes->len >= HF_NFT_MAX_BOXES) {
    walk->whole = FALSE;
    return FALSE;
  }
  g_array_append_val(boxes, *box);
  return TRUE;
}

/* Which member it was goes along: its comment, and its counter if it has one. */
static void mark(HfNftBox *box, const HfNftMatch *match, const HfNftElement *element)
{
  if (match->set->place != NULL)
    box->place = match->set->place;
  if (element->comment != NULL)
    box->comment = element->comment;
  if (element->counted) {
    box->packets = box->counted ? MIN(box->packets, element->packets) : element->packets;
    box->counted = TRUE;
  }
}

/* TRUE when no packet of the box has all fields of the match. */
static gboolean lacks(const HfNftBox *box, const HfNftMatch *match)
{
  const HfNftPacket packet = { .direction = box->direction, .family = box->peer.family, .transport = box->transport };
  HfNftSpan got;
  for (guint i = 0; i < match->n_fields; i++)
    if (match->fields[i] != HF_NFT_UNKNOWN &&
        !hf_nft_packet_span(&packet, match->fields[i], match->flags_mask, &got))
      return TRUE;
  return FALSE;
}

/* The boxes that are left of `boxes`, in an array of their own. A "not" does not cut. */
static GArray *narrow(Walk *walk, const GArray *boxes, const HfNftMatch *match)
{
  GArray *left = g_array_new(FALSE, FALSE, sizeof(HfNftBox));
  for (guint i = 0; i < boxes->len; i++) {
    const HfNftBox *box = &g_array_index(boxes, HfNftBox, i);
    if (lacks(box, match))
      continue;
    if (match->odd || match->set->odd || match->inverted) {
      add(walk, left, box);
      continue;
    }
    for (guint j = 0; j < match->set->elements->len; j++) {
      const HfNftElement *element = &g_array_index(match->set->elements, HfNftElement, j);
      HfNftBox part = *box;
      if (!cut(&part, match, element))
        continue;
      mark(&part, match, element);
      if (!add(walk, left, &part))
        break;
    }
  }
  return left;
}

static void walk_chain(Walk *walk, const HfNftChain *chain, const GArray *boxes, guint depth);

static void act(Walk *walk, const HfNftAction *action, const GArray *boxes, guint depth)
{
  if (action->kind == HF_NFT_TO_ACCEPT || action->kind == HF_NFT_TO_UNKNOWN)
    for (guint i = 0; i < boxes->len; i++)
      add(walk, walk->found, &g_array_index(boxes, HfNftBox, i));
  else if (action->chain != NULL && depth < MAX_DEPTH)
    walk_chain(walk, action->chain, boxes, depth + 1);
}

static void look_up(Walk *walk, const HfNftRule *rule, const GArray *boxes, guint depth)
{
  const HfNftMatch *map = rule->map;
  for (guint i = 0; !map->odd && i < map->set->elements->len; i++) {
    const HfNftElement *element = &g_array_index(map->set->elements, HfNftElement, i);
    g_autoptr(GArray) parts = g_array_new(FALSE, FALSE, sizeof(HfNftBox));
    for (guint j = 0; j < boxes->len; j++) {
      HfNftBox part = g_array_index(boxes, HfNftBox, j);
      if (!cut(&part, map, element))
        continue;
      mark(&part, map, element);
      g_array_append_val(parts, part);
    }
    act(walk, &element->action, parts, depth);
  }
}

static void walk_rule(Walk *walk, const HfNftRule *rule, const GArray *boxes, guint depth)
{
  g_autoptr(GArray) left = g_array_copy((GArray *)boxes);
  for (guint i = 0; i < left->len; i++) {
    HfNftBox *box = &g_array_index(left, HfNftBox, i);
    box->place = rule->place;
    box->comment = rule->comment;
    box->counted = rule->counted;
    box->packets = rule->packets;
  }
  for (guint i = 0; left->len > 0 && i < rule->matches->len; i++) {
    GArray *next = narrow(walk, left, &g_array_index(rule->matches, HfNftMatch, i));
    g_array_unref(left);
    left = next;
  }
  if (left->len > 0 && rule->map != NULL)
    look_up(walk, rule, left, depth);
  else if (left->len > 0)
    act(walk, &rule->action, left, depth);
}

static void walk_chain(Walk *walk, const HfNftChain *chain, const GArray *boxes, guint depth)
{
  for (guint i = 0; i < chain->rules->len; i++) {
    if (++walk->visits > HF_NFT_MAX_BOXES) {
      walk->whole = FALSE;
      return;
    }
    walk_rule(walk, chain->rules->pdata[i], boxes, depth);
  }
}

static void append_everything(GArray *boxes, HfPlanDirection direction, int family, const char *place)
{
  for (guint transport = HF_PORT_TCP; transport <= HF_PORT_UDP; transport <<= 1) {
    HfNftBox box = { .direction = direction, .transport = transport, .first = 1, .last = G_MAXUINT16, .place = place };
    box.peer.family = family;
    memset(box.peer.last, 0xff, family == AF_INET ? 4 : 16);
    g_array_append_val(boxes, box);
  }
}

GArray *hf_nft_boxes(const HfNftRuleset *ruleset, gboolean *whole)
{
  static const HfPlanDirection directions[] = { HF_PLAN_OUT, HF_PLAN_IN };
  static const int families[] = { AF_INET, AF_INET6 };
  Walk walk = { .found = g_array_new(FALSE, FALSE, sizeof(HfNftBox)), .whole = TRUE };
  for (guint i = 0; i < 4; i++) {
    HfPlanDirection direction = directions[i / 2];
    int family = families[i % 2];
    if (!hf_nft_has_chain(ruleset, direction, family))
      append_everything(walk.found, direction, family, "no chain");
    for (guint j = 0; j < ruleset->chains->len; j++) {
      const HfNftChain *chain = ruleset->chains->pdata[j];
      if (!hf_nft_chain_sees(chain, direction, family))
        continue;
      g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(HfNftBox));
      append_everything(all, direction, family, chain->place);
      walk_chain(&walk, chain, all, 0);
      if (!chain->drop)
        g_array_append_vals(walk.found, all->data, all->len);
    }
  }
  *whole = walk.whole;
  return walk.found;
}
