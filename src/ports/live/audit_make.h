/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inside of the audit: only audit*.c includes this. */
#pragma once

#include "ports/live/audit.h"

/* Adds a finding; counts are made at the end. */
void hf_audit_add(HfAudit *audit, const HfAuditFinding *finding);
void hf_audit_rules(HfAudit *audit, const HfFirewall *firewall, const HfNftRuleset *ruleset);
