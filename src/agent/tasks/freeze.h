/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Freezing file systems for a short time: all writing waits, and what is on their devices is whole.
 *
 *   begin --> note written --> guardian forked --> frozen --(end, deadline, the worker is gone)--> thawed
 *
 * INVARIANTS
 * 1. Before a file system is frozen, a note names it (agent/thaw.h).
 * 2. The guardian, a process of its own that does nothing else, freezes and thaws. It holds the descriptors open,
 *    blocks all signals that can be blocked, writes nothing while something is frozen, and thaws when the worker says
 *    so, when it is gone, and at the deadline.
 * 3. When the guardian is killed the worker thaws at once, and a little after the deadline when the guardian does not
 *    answer. When both are killed, or stopped for longer, the keeper thaws (note); when the keeper is killed with them,
 *    the next keeper does, or 'holdfast-agent thaw', which the service manager runs when the agent has ended.
 * 4. What lies in an image in another file system is frozen before that one, and thawed after it (hf_mounts_order).
 * 5. What the agent itself has to write to is never frozen (agent/tasks/mounts.h, hf_mounts_refusal).
 */
#pragma once

#include "agent/thaw.h"
#include "agent/worker.h"

#define HF_FREEZE_SECONDS_MAX 600u

typedef struct HfFreeze HfFreeze;

/* `folder` is for the note. Freezes `places` (of HfFrozen*), in their order, for at most `seconds`. Those whose file
 * systems cannot be are passed over: hf_freeze_has. NULL: none of them is frozen; HF_ERROR_BUSY when somebody else has
 * frozen one, HF_ERROR_FAILED when it took longer than `seconds` to write out what was not written. */
HfFreeze *hf_freeze_begin(const char *folder, const GPtrArray *places, guint seconds, GError **error);
/* Was place `index` frozen? */
gboolean hf_freeze_has(const HfFreeze *freeze, guint index);
/* Were they frozen from the beginning until now? */
gboolean hf_freeze_held(HfFreeze *freeze);
/* Thaws. TRUE: they were frozen until now. Frees `freeze`; NULL is allowed, and gives FALSE. */
gboolean hf_freeze_end(HfFreeze *freeze);
