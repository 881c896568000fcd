/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which sessions have points or frames in a domain? Told by the points and by the heads of its packs: a session that
 * found all of its point stored by others has no frame, and one that has frames need not have a point any more. */
#pragma once

#include "agent/vault/depot.h"

/* Their key slots, HF_SESSION_SLOT_BYTES each, each once. Any thread. */
GByteArray *hf_vault_slots(HfDepot *depot, guint32 domain, GError **error);
