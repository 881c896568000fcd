/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which folders of this host are repositories, as tickets of the server named them: kept for who has to know that they
 * are written to (HF_STATE_REPOSITORIES of agent/state.h). Threads: the keeper's main thread. */
#pragma once

#include <glib.h>

/* One that is known already costs nothing but the reading of the list. */
gboolean hf_repositories_add(const char *state, const char *path, GError **error);
/* All of them, ended by NULL; the caller's to free. */
char **hf_repositories_list(const char *state, GError **error);
