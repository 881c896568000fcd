/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Begin and end of a restore, and its counts. */
#pragma once

#include "engine/restore/state.h"

/* Opens a session for reading, loads the index, makes `result` empty. */
gboolean hf_running_open(HfRestoreState *state, HfRepo *repo, const HfPoint *point, HfRestoreResult *result,
                         GError **error);
/* Starts the pool; state->tree is set. */
void hf_running_start(HfRestoreState *state);
/* After a failure: stops the pool and drops what is in the window; *error becomes what failed first. */
void hf_running_stop(HfRestoreState *state, HfRestoreWorker *walker, GError **error);
/* Frees everything. */
void hf_running_close(HfRestoreState *state);
