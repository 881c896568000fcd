/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inside of the firewall: only *.c of this folder include this. */
#pragma once

#include <glib.h>

#include "ports/firewall/firewall.h"

/* ---- firewall_range.c ---- */

guint hf_span_bytes(int family); /* 4 or 16 */
void hf_span_of(const HfTopologyAddress *address, HfFirewallRange *range);
/* One address up (down); FALSE after the last (before the first) of all. */
gboolean hf_span_step_up(int family, guint8 *bytes);
gboolean hf_span_step_down(int family, guint8 *bytes);
/* Appends to an array of HfFirewallRange, or lengthens its last one if `range` goes on where that ends. */
void hf_span_append(GArray *ranges, const HfFirewallRange *range);

/* ---- firewall_reason.c ---- */

typedef struct HfReasons HfReasons; /* all reasons of one firewall */

HfReasons *hf_reasons_new(GPtrArray *owned, GStringChunk *strings);
void hf_reasons_free(HfReasons *reasons);
/* The reason for `n` flows (any order, repeats allowed) seen in `direction`; `peers` overrides the titles of the other
 * ends where it is not NULL. */
const HfFirewallReason *hf_reasons_get(HfReasons *reasons, HfPlanDirection direction, const HfPlanFlow *const *flows,
                                       guint n, const char *peers);
/* Numbers them in a fixed order, and returns that array: const HfFirewallReason *. Caller unrefs. */
GPtrArray *hf_reasons_finish(HfReasons *reasons);

/* ---- firewall_cells.c ---- */

/* Some remote addresses of one family, and the flows that are open to them. */
typedef struct HfFirewallSource {
  GArray *ranges;   /* HfFirewallRange: ascending, not overlapping */
  GPtrArray *flows; /* const HfPlanFlow * */
} HfFirewallSource;

/* Appends the HfFirewallPorts that `flows` make in `direction`, by transport and port. */
void hf_cells_ports(HfReasons *reasons, HfPlanDirection direction, const GPtrArray *flows, const char *peers,
                    GArray *ports);
/* Appends the HfFirewallElements that sources (HfFirewallSource *) of one direction and family make, in no order that
 * matters; addresses of equal reason, transport and ports ascend and are merged. */
void hf_cells_elements(HfReasons *reasons, HfPlanDirection direction, const GPtrArray *sources, GArray *elements);

/* ---- firewall_set.c ---- */

/* A name for sets made of `text` that is not in `taken` (a set of strings), which takes it. Caller frees. */
char *hf_set_id(const char *text, GHashTable *taken);

/* ---- firewall_text.c ---- */

/* `text` for a comment between quotes: at most `limit` bytes of ASCII, in which only letters, digits, spaces and
 * ".,:;_-+*@=()[]/" stand; everything else is '?'. What is too long ends in "...". Caller frees. */
char *hf_plain(const char *text, gsize limit);
/* Appends `text` for a line that is a comment: as above, besides with "'<>", of any length. */
void hf_line_append(GString *out, const char *text);
/* A comment for an element: row ids, and the peers if there is room: "m2.17 m4.3 | web[1-40]". Caller frees. */
char *hf_element_comment(const HfFirewallReason *reason, gsize limit);
const char *hf_direction_text(HfPlanDirection direction); /* "out", "in"; static */
const char *hf_family_text(int family);                   /* "ipv4", "ipv6"; static */

/* The lines that stand on top of each text format, each behind `mark` ("# "): whose rules these are, of which fleet. */
void hf_text_head(GString *out, const HfFirewall *firewall, const char *mark);
/* What is not open and why, each line behind `mark`: what is unresolved, and (with `sets`) named sets with host names
 * that this format cannot hold. */
void hf_text_closed(GString *out, const HfFirewall *firewall, const char *mark, gboolean sets);
/* What the element is for, behind `mark`: all row ids, whether it is optional or for a fallback, the peers, the purpose
 * of the first row. */
void hf_text_reason(GString *out, const HfFirewallReason *reason, HfPlanDirection direction, guint transport,
                    guint16 first, guint16 last, const char *mark);
/* TRUE when `element` is not the first, and is the one before it but for its addresses. */
gboolean hf_element_goes_on(const HfFirewall *firewall, guint element);

/* ---- one file a format ---- */

char *hf_firewall_nftables(const HfFirewall *firewall, int log_group);
char *hf_firewall_iptables(const HfFirewall *firewall, int log_group);
char *hf_firewall_firewalld(const HfFirewall *firewall, int log_group);
char *hf_firewall_ufw(const HfFirewall *firewall, int log_group);
char *hf_firewall_windows(const HfFirewall *firewall, int log_group);
char *hf_firewall_csv(const HfFirewall *firewall, int log_group);
char *hf_firewall_json(const HfFirewall *firewall, int log_group);
