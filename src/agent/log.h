/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The log of the agent: to standard error (the journal), and what the keeper says to STATE/log/agent.log as well, which
 * is put aside as agent.log.1 when it gets long. */
#pragma once

#include <glib.h>

/* From now on g_message and its like go there; `state` NULL: to standard error only. `json`: objects, a line each. */
void hf_log_open(const char *state, gboolean json);
