/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/keeper/repositories.h"

#include <string.h>

#include "agent/state.h"
#include "base/error.h"

/* Each in a line, escaped; "" where there are none. */
static char *read_lines(const char *state, GError **error)
{
  g_autoptr(GError) why = NULL;
  g_autoptr(GBytes) bytes = hf_state_read(state, HF_STATE_REPOSITORIES, &why);
  if (bytes != NULL)
    return g_strndup(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
  if (hf_error_is(why, HF_ERROR_NOT_FOUND))
    return g_strdup("");
  g_propagate_error(error, g_steal_pointer(&why));
  return NULL;
}

gboolean hf_repositories_add(const char *state, const char *path, GError **error)
{
  g_autofree char *text = read_lines(state, error);
  if (text == NULL)
    return FALSE;
  g_autofree char *escaped = g_strescape(path, NULL);
  g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
  if (g_strv_contains((const char *const *)lines, escaped))
    return TRUE;
  g_autofree char *more = g_strconcat(text, escaped, "\n", NULL);
  return hf_state_write(state, HF_STATE_REPOSITORIES, more, strlen(more), error);
}

char **hf_repositories_list(const char *state, GError **error)
{
  g_autofree char *text = read_lines(state, error);
  if (text == NULL)
    return NULL;
  g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
  g_autoptr(GPtrArray) paths = g_ptr_array_new();
  for (guint i = 0; lines[i] != NULL; i++)
    if (*lines[i] != '\0')
      g_ptr_array_add(paths, g_strcompress(lines[i]));
  g_ptr_array_add(paths, NULL);
  return (char **)g_ptr_array_steal(paths, NULL);
}
