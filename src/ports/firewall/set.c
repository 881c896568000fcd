/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names for named sets. */
#include <string.h>

#include "ports/firewall/make.h"

#define ID_LENGTH 40 /* bytes, without the number that may follow */

/* "*.Amazonaws.com" -> "any_amazonaws_com" */
static void fold(const char *text, GString *id)
{
  if (*text == '*')
    g_string_append(id, "any_");
  for (; *text != '\0' && id->len < ID_LENGTH; text++) {
    if (g_ascii_isalnum(*text))
      g_string_append_c(id, g_ascii_tolower(*text));
    else if (id->len > 0 && id->str[id->len - 1] != '_')
      g_string_append_c(id, '_');
  }
  while (id->len > 0 && id->str[id->len - 1] == '_')
    g_string_truncate(id, id->len - 1);
}

/* A name begins with a letter. "in" and "out" would give the names of the sets of addresses. */
static gboolean is_fit(const GString *id)
{
  return id->len > 0 && g_ascii_isalpha(id->str[0]) && !g_str_equal(id->str, "in") && !g_str_equal(id->str, "out");
}

char *hf_set_id(const char *text, GHashTable *taken)
{
  g_autoptr(GString) id = g_string_new(NULL);
  fold(text, id);
  if (!is_fit(id))
    g_string_prepend(id, id->len > 0 ? "set_" : "set");
  gsize length = id->len;
  for (guint i = 2; g_hash_table_contains(taken, id->str); i++) {
    g_string_truncate(id, length);
    g_string_append_printf(id, "_%u", i);
  }
  g_hash_table_add(taken, g_strdup(id->str));
  return g_string_free(g_steal_pointer(&id), FALSE);
}
