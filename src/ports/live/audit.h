/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Compares what a host lets through and where it listens with what is planned for it.
 *
 * INVARIANTS
 * 1. MISSING and SURPLUS are never said on what the evaluation of the ruleset is not sure of: that is UNSURE.
 * 2. Every planned element is evaluated at its corners (first and last address and port), and every part of the ruleset
 *    that accepts is held against the plan; what is reported as surplus was evaluated as accepted.
 */
#pragma once

#include <glib.h>

#include "ports/firewall/firewall.h"
#include "ports/nft/nftables.h"
#include "ports/live/sockets.h"

typedef enum HfAuditKind {
  HF_AUDIT_MISSING,   /* planned, and the firewall does not let it through */
  HF_AUDIT_SURPLUS,   /* let through, and not planned */
  HF_AUDIT_UNSURE,    /* the ruleset cannot be evaluated for it */
  HF_AUDIT_UNUSED,    /* let through, and nothing ever passed: its counter is 0 */
  HF_AUDIT_STRAY,     /* something listens, not only on the loopback, and nothing is planned there */
  HF_AUDIT_NO_SERVICE, /* planned, and nothing listens */
} HfAuditKind;

typedef struct HfAuditFinding {
  HfAuditKind kind;
  HfPlanDirection direction;
  HfFirewallRange peer; /* of the firewall; family 0 for sockets */
  guint transport;
  guint16 first, last;
  const HfFirewallReason *reason; /* of what is planned, or NULL */
  const char *place;              /* in the ruleset; or NULL; borrowed from it */
  const char *comment;            /* the same */
  const HfSocket *socket;         /* of what listens, or NULL; borrowed */
} HfAuditFinding;

typedef struct HfAudit {
  GArray *findings; /* HfAuditFinding by value, by kind, direction, transport, port, address */
  guint counts[HF_AUDIT_NO_SERVICE + 1]; /* by HfAuditKind */
  guint elements; /* of the plan that were held against the ruleset */
  gboolean whole; /* FALSE: the ruleset multiplies to so much that surplus may be left out (HF_NFT_MAX_BOXES) */
} HfAudit;

/* `firewall` is one with HF_FIREWALL_NAMES_APART. `ruleset` and `sockets` may be NULL: not compared then. The result
 * borrows all of its arguments. Never fails. */
HfAudit *hf_audit_new(const HfFirewall *firewall, const HfNftRuleset *ruleset, const GArray *sockets);
void hf_audit_free(HfAudit *audit);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfAudit, hf_audit_free)

/* "missing", "surplus", "unsure", "unused", "stray", "no-service"; static. */
const char *hf_audit_kind_text(HfAuditKind kind);
