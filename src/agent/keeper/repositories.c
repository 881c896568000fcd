/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/keeper/repositories.h"

#include <string.h>

#include "agent/state.h"
#include "base/error.h"

gboolean hf_repositories_add(const char *state, const char *path, GError **error)
{
  g_autoptr(GError) why = NULL;
  g_autoptr(GBytes) bytes = hf_state_read(state, HF_STATE_REPOSITORIES, &why);
  if (bytes == NULL && !hf_error_is(why, HF_ERROR_NOT_FOUND)) {
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
  }
  g_autofree char *text = bytes == NULL ? g_strdup("")
                                        : g_strndup(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
  g_autofree char *escaped = g_strescape(path, NULL);
  g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
  if (g_strv_contains((const char *const *)lines, escaped))
    return TRUE;
  g_autofree char *more = g_strconcat(text, escaped, "\n", NULL);
  return hf_state_write(state, HF_STATE_REPOSITORIES, more, strlen(more), error);
}
