/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A ruleset beside the plan. What is planned is evaluated; what the ruleset accepts is cut down by what is planned, and
 * what is left is evaluated cell by cell.
 */
#include <arpa/inet.h>
#include <string.h>

#include "ports/live/audit_make.h"
#include "ports/firewall/make.h"

#define MAX_PIECES 1000 /* that a box may be cut into */
#define MAX_CELLS 4096  /* of one piece that are evaluated; of larger ones the corner speaks for all */

typedef struct Rules {
  HfAudit *audit;
  const HfFirewall *firewall;
  const HfNftRuleset *ruleset;
  GArray *planned; /* HfAuditFinding: what should be open; by family and first address */
  GArray *reach;   /* HfFirewallRange: `last` is the greatest last address of the family up to this one */
  HfNftCuts cuts;
} Rules;

/* ---- what is planned ---- */

static void plan_box(Rules *rules, HfPlanDirection direction, const HfFirewallRange *peer, guint transport,
                     guint16 first, guint16 last, const HfFirewallReason *reason)
{
  HfAuditFinding planned = { .kind = HF_AUDIT_MISSING, .direction = direction, .peer = *peer, .transport = transport,
                             .first = first, .last = last, .reason = reason };
  g_array_append_val(rules->planned, planned);
}

static void collect_planned(Rules *rules)
{
  for (guint i = 0; i < rules->firewall->n_elements; i++) {
    const HfFirewallElement *element = &rules->firewall->elements[i];
    plan_box(rules, element->direction, &element->peer, element->transport, element->first, element->last,
             element->reason);
  }
  for (guint i = 0; i < rules->firewall->n_sets; i++) {
    const HfFirewallSet *set = &rules->firewall->sets[i];
    for (guint j = 0; j < set->n_members; j++)
      for (guint k = 0; k < set->n_ports; k++)
        plan_box(rules, set->ports[k].direction, &set->members[j], set->ports[k].transport, set->ports[k].first,
                 set->ports[k].last, set->ports[k].reason);
  }
}

static int compare_peers(gconstpointer a, gconstpointer b)
{
  const HfFirewallRange *left = &((const HfAuditFinding *)a)->peer, *right = &((const HfAuditFinding *)b)->peer;
  if (left->family != right->family)
    return left->family < right->family ? -1 : 1;
  return memcmp(left->first, right->first, sizeof left->first);
}

static void sort_planned(Rules *rules)
{
  HfFirewallRange reach = { 0 };
  g_array_sort(rules->planned, compare_peers);
  for (guint i = 0; i < rules->planned->len; i++) {
    const HfFirewallRange *peer = &g_array_index(rules->planned, HfAuditFinding, i).peer;
    if (peer->family != reach.family || memcmp(peer->last, reach.last, sizeof reach.last) > 0)
      reach = *peer;
    g_array_append_val(rules->reach, reach);
  }
}

/* The first planned one that can reach up to the addresses of `box`; those of another family come before or behind. */
static guint first_near(const Rules *rules, const HfAuditFinding *box)
{
  guint low = 0, high = rules->reach->len;
  while (low < high) {
    guint middle = low + (high - low) / 2;
    const HfFirewallRange *reach = &g_array_index(rules->reach, HfFirewallRange, middle);
    if (reach->family < box->peer.family ||
        (reach->family == box->peer.family && memcmp(reach->last, box->peer.first, sizeof reach->last) < 0))
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

/* TRUE when this planned one, and with it all that follow, lie behind the addresses of `box`. */
static gboolean is_behind(const HfAuditFinding *planned, const HfAuditFinding *box)
{
  return planned->peer.family > box->peer.family ||
    (planned->peer.family == box->peer.family &&
     memcmp(planned->peer.first, box->peer.last, sizeof planned->peer.first) > 0);
}

static HfNftVerdict evaluate(const Rules *rules, const HfAuditFinding *box, const guint8 *peer, guint16 port,
                             const char **by)
{
  HfNftPacket packet = { .direction = box->direction, .family = box->peer.family, .transport = box->transport,
                         .port = port };
  memcpy(packet.peer, peer, hf_span_bytes(box->peer.family));
  return hf_nft_evaluate(rules->ruleset, &packet, by);
}

static void look_for_planned(Rules *rules)
{
  for (guint i = 0; i < rules->planned->len; i++) {
    HfAuditFinding finding = g_array_index(rules->planned, HfAuditFinding, i);
    const guint8 *peers[2] = { finding.peer.first, finding.peer.last };
    guint16 ports[2] = { finding.first, finding.last };
    HfNftVerdict worst = HF_NFT_ACCEPT;
    for (guint corner = 0; corner < 4 && worst != HF_NFT_DROP; corner++) {
      const char *by;
      HfNftVerdict verdict = evaluate(rules, &finding, peers[corner & 1], ports[corner >> 1], &by);
      if (verdict != HF_NFT_ACCEPT) {
        worst = verdict;
        finding.place = by;
      }
    }
    if (worst == HF_NFT_ACCEPT)
      continue;
    finding.kind = worst == HF_NFT_DROP ? HF_AUDIT_MISSING : HF_AUDIT_UNSURE;
    hf_audit_add(rules->audit, &finding);
  }
}

/* ---- what is left of a box ---- */

static gboolean overlap(const HfAuditFinding *a, const HfAuditFinding *b)
{
  guint bytes = hf_span_bytes(a->peer.family);
  return a->direction == b->direction && a->transport == b->transport && a->peer.family == b->peer.family &&
    a->first <= b->last && b->first <= a->last && memcmp(a->peer.first, b->peer.last, bytes) <= 0 &&
    memcmp(b->peer.first, a->peer.last, bytes) <= 0;
}

/* Appends what `piece` has and `hole` has not: at most a piece above and below in addresses, and in ports. */
static void subtract(const HfAuditFinding *piece, const HfAuditFinding *hole, GArray *pieces)
{
  guint bytes = hf_span_bytes(piece->peer.family);
  HfAuditFinding rest = *piece, part;
  if (memcmp(rest.peer.first, hole->peer.first, bytes) < 0) {
    part = rest;
    memcpy(part.peer.last, hole->peer.first, bytes);
    hf_span_step_down(part.peer.family, part.peer.last);
    g_array_append_val(pieces, part);
    memcpy(rest.peer.first, hole->peer.first, bytes);
  }
  if (memcmp(rest.peer.last, hole->peer.last, bytes) > 0) {
    part = rest;
    memcpy(part.peer.first, hole->peer.last, bytes);
    hf_span_step_up(part.peer.family, part.peer.first);
    g_array_append_val(pieces, part);
    memcpy(rest.peer.last, hole->peer.last, bytes);
  }
  if (rest.first < hole->first) {
    part = rest;
    part.last = (guint16)(hole->first - 1);
    g_array_append_val(pieces, part);
  }
  if (rest.last > hole->last) {
    part = rest;
    part.first = (guint16)(hole->last + 1);
    g_array_append_val(pieces, part);
  }
}

/* What of `box` is not planned. FALSE: it falls into too many pieces, and these are only some, planned ones among
 * them. */
static gboolean cut_planned(const Rules *rules, const HfAuditFinding *box, GArray **left)
{
  GArray *pieces = g_array_new(FALSE, FALSE, sizeof(HfAuditFinding));
  g_array_append_val(pieces, *box);
  for (guint i = first_near(rules, box); i < rules->planned->len; i++) {
    const HfAuditFinding *hole = &g_array_index(rules->planned, HfAuditFinding, i);
    if (is_behind(hole, box) || pieces->len == 0 || pieces->len > MAX_PIECES)
      break;
    if (!overlap(box, hole))
      continue;
    GArray *next = g_array_new(FALSE, FALSE, sizeof(HfAuditFinding));
    for (guint j = 0; j < pieces->len; j++) {
      const HfAuditFinding *piece = &g_array_index(pieces, HfAuditFinding, j);
      if (overlap(piece, hole))
        subtract(piece, hole, next);
      else
        g_array_append_val(next, *piece);
    }
    g_array_unref(pieces);
    pieces = next;
  }
  *left = pieces;
  return pieces->len <= MAX_PIECES;
}

/* ---- cells ---- */

/* How many cells begin in (low, high], and from which one on. */
static guint port_cells(const GArray *cuts, guint16 low, guint16 high, guint *from)
{
  guint count = 0;
  *from = 0;
  for (guint i = 0; i < cuts->len; i++) {
    guint32 cut = g_array_index(cuts, guint32, i);
    if (cut <= low)
      *from = i + 1;
    else if (cut <= high)
      count++;
  }
  return count;
}

static guint address_cells(const GArray *cuts, const HfFirewallRange *range, guint *from)
{
  guint count = 0, bytes = hf_span_bytes(range->family);
  *from = 0;
  for (guint i = 0; i < cuts->len; i++) {
    const guint8 *cut = g_array_index(cuts, HfFirewallRange, i).first;
    if (memcmp(cut, range->first, bytes) <= 0)
      *from = i + 1;
    else if (memcmp(cut, range->last, bytes) <= 0)
      count++;
  }
  return count;
}

/* Adds what was found, or lengthens what was found just before if it goes on there. */
static void add_run(Rules *rules, const HfAuditFinding *run, guint since)
{
  GArray *findings = rules->audit->findings;
  HfAuditFinding *before = findings->len > since ? &g_array_index(findings, HfAuditFinding, findings->len - 1) : NULL;
  HfFirewallRange next = run->peer;
  if (before != NULL && before->kind == run->kind && before->first == run->first && before->last == run->last) {
    memcpy(next.first, before->peer.last, sizeof next.first);
    if (hf_span_step_up(next.family, next.first) && memcmp(next.first, run->peer.first, sizeof next.first) == 0) {
      memcpy(before->peer.last, run->peer.last, sizeof before->peer.last);
      return;
    }
  }
  hf_audit_add(rules->audit, run);
}

static HfAuditKind kind_of(HfNftVerdict verdict)
{
  return verdict == HF_NFT_ACCEPT ? HF_AUDIT_SURPLUS : HF_AUDIT_UNSURE;
}

/* All ports of a strip of addresses that fare alike. */
static void look_at_strip(Rules *rules, const HfAuditFinding *strip, guint from, guint count, guint since)
{
  HfAuditFinding run = *strip;
  HfNftVerdict before = HF_NFT_DROP;
  guint16 port = strip->first;
  for (guint i = 0; i <= count; i++) {
    if (i > 0)
      port = (guint16)g_array_index(rules->cuts.ports, guint32, from + i - 1);
    HfNftVerdict verdict = evaluate(rules, strip, strip->peer.first, port, NULL);
    if (verdict == before)
      continue;
    if (before != HF_NFT_DROP) {
      run.last = (guint16)(port - 1);
      add_run(rules, &run, since);
    }
    run.kind = kind_of(verdict);
    run.first = port;
    before = verdict;
  }
  run.last = strip->last;
  if (before != HF_NFT_DROP)
    add_run(rules, &run, since);
}

static void look_at_piece(Rules *rules, const HfAuditFinding *piece)
{
  const GArray *cuts = rules->cuts.addresses[piece->peer.family == AF_INET6];
  guint from_port, from_address, since = rules->audit->findings->len;
  guint n_ports = port_cells(rules->cuts.ports, piece->first, piece->last, &from_port);
  guint n_addresses = address_cells(cuts, &piece->peer, &from_address);
  if ((guint64)(n_ports + 1) * (n_addresses + 1) > MAX_CELLS)
    n_ports = n_addresses = 0;
  HfAuditFinding strip = *piece;
  for (guint i = 0; i <= n_addresses; i++) {
    if (i > 0)
      memcpy(strip.peer.first, g_array_index(cuts, HfFirewallRange, from_address + i - 1).first, 16);
    if (i < n_addresses) {
      memcpy(strip.peer.last, g_array_index(cuts, HfFirewallRange, from_address + i).first, 16);
      hf_span_step_down(strip.peer.family, strip.peer.last);
    } else {
      memcpy(strip.peer.last, piece->peer.last, 16);
    }
    look_at_strip(rules, &strip, from_port, n_ports, since);
  }
}

/* The members of this set came while the firewall was loaded: addresses of host names, which the plan does not know. */
static gboolean of_host_names(const Rules *rules, const HfNftBox *box)
{
  const char *space = strrchr(box->place, ' ');
  for (guint i = 0; space != NULL && i < rules->firewall->n_sets; i++) {
    const HfFirewallSet *set = &rules->firewall->sets[i];
    g_autofree char *name = g_strdup_printf("%s_%s", set->id, hf_direction_text(box->direction));
    if (set->host_names[0] == NULL || !g_str_equal(space + 1, name))
      continue;
    for (guint j = 0; j < set->n_ports; j++)
      if (set->ports[j].direction == box->direction && set->ports[j].transport == box->transport &&
          set->ports[j].first <= box->first && box->last <= set->ports[j].last)
        return TRUE;
  }
  return FALSE;
}

static void look_at_box(Rules *rules, const HfNftBox *box)
{
  HfAuditFinding whole = { .kind = HF_AUDIT_SURPLUS, .direction = box->direction, .peer = box->peer,
                           .transport = box->transport, .first = box->first, .last = box->last, .place = box->place,
                           .comment = box->comment };
  g_autoptr(GArray) pieces = NULL;
  if (of_host_names(rules, box))
    return;
  if (!cut_planned(rules, &whole, &pieces)) {
    HfNftVerdict verdict = HF_NFT_DROP;
    for (guint i = 0; i < pieces->len && verdict == HF_NFT_DROP; i++) {
      const HfAuditFinding *piece = &g_array_index(pieces, HfAuditFinding, i);
      verdict = evaluate(rules, piece, piece->peer.first, piece->first, NULL);
    }
    whole.kind = kind_of(verdict);
    if (verdict != HF_NFT_DROP)
      hf_audit_add(rules->audit, &whole);
    return;
  }
  for (guint i = 0; i < pieces->len; i++)
    look_at_piece(rules, &g_array_index(pieces, HfAuditFinding, i));
}

/* The reason of what is planned there. */
static const HfFirewallReason *reason_of(const Rules *rules, const HfAuditFinding *finding)
{
  for (guint i = first_near(rules, finding); i < rules->planned->len; i++) {
    const HfAuditFinding *planned = &g_array_index(rules->planned, HfAuditFinding, i);
    if (is_behind(planned, finding))
      break;
    if (overlap(finding, planned))
      return planned->reason;
  }
  return NULL;
}

static void look_at_boxes(Rules *rules)
{
  gboolean whole;
  g_autoptr(GArray) boxes = hf_nft_boxes(rules->ruleset, &whole);
  rules->audit->whole = whole;
  for (guint i = 0; i < boxes->len; i++) {
    const HfNftBox *box = &g_array_index(boxes, HfNftBox, i);
    look_at_box(rules, box);
    if (!box->counted || box->packets > 0)
      continue;
    HfAuditFinding unused = { .kind = HF_AUDIT_UNUSED, .direction = box->direction, .peer = box->peer,
                              .transport = box->transport, .first = box->first, .last = box->last,
                              .place = box->place, .comment = box->comment };
    unused.reason = reason_of(rules, &unused);
    hf_audit_add(rules->audit, &unused);
  }
}

void hf_audit_rules(HfAudit *audit, const HfFirewall *firewall, const HfNftRuleset *ruleset)
{
  Rules rules = { .audit = audit, .firewall = firewall, .ruleset = ruleset };
  rules.planned = g_array_new(FALSE, FALSE, sizeof(HfAuditFinding));
  rules.reach = g_array_new(FALSE, FALSE, sizeof(HfFirewallRange));
  collect_planned(&rules);
  sort_planned(&rules);
  audit->elements = rules.planned->len;
  hf_nft_cuts(ruleset, &rules.cuts);
  look_for_planned(&rules);
  look_at_boxes(&rules);
  hf_nft_cuts_clear(&rules.cuts);
  g_array_unref(rules.planned);
  g_array_unref(rules.reach);
}
