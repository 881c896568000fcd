/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The log of the agent: to standard error (the journal), and what the keeper and its
 * children say to STATE/log/agent.log as well, which
 * is put aside as agent.log.1 when it gets long. */
#pragma once

#include <glib.h>

/* From now on g_message and its like go to standard error, `json`: as objects, a line each. Once in a process. */
void hf_log_open(gboolean json);
/* And to the file below `state`. */
void hf_log_keep(const char *state);
/* A line that a child printed, as hf_log_open makes them or by others; without its end. */
void hf_log_child(const char *line);
