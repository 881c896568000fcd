/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Immutable files (keeper/hold.h) on a thread of their own: a file system that does not answer must not hold up the
 * keeper.
 *
 * Threads: the keeper's main thread.
 */
#pragma once

#include <jansson.h>

#include "agent/keeper/keeper.h"

HfHolding *hf_holding_new(HfKeeper *keeper);
void hf_holding_free(HfHolding *holding);

/* HF_CONTROL_HOLD of the transport face: it is answered later. */
void hf_holding_request(HfHolding *holding, const GByteArray *body);
/* What a ticket of the server says. */
void hf_holding_lock(HfHolding *holding, const char *repository, guint64 seconds);
/* The transport face has ended. */
void hf_holding_stop(HfHolding *holding);
/* For 'holdfast-agent status': {"able", "reason", "repositories": [{"path", "files", "problem"}]}. The caller's. */
json_t *hf_holding_describe(HfHolding *holding);
