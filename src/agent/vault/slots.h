/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which sessions have frames in a domain? Told by the heads of its packs. */
#pragma once

#include "agent/vault/depot.h"

/* Their key slots, HF_SESSION_SLOT_BYTES each, each once. Any thread. */
GByteArray *hf_vault_slots(HfDepot *depot, guint32 domain, GError **error);
