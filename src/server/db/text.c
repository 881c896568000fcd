/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The small differences between the dialects, as text. */
#include <string.h>

#include "server/db/driver.h"

/* The length of the quoted text that begins at `sql`, of the comment, or 1. */
static gsize piece(const char *sql)
{
  if (*sql == '\'' || *sql == '"') {
    const char *end = strchr(sql + 1, *sql);
    return end == NULL ? strlen(sql) : (gsize)(end - sql) + 1;
  }
  if (sql[0] == '-' && sql[1] == '-')
    return strcspn(sql, "\n");
  return 1;
}

char *hf_db_number_values(const char *sql)
{
  GString *out = g_string_sized_new(strlen(sql) + 16);
  guint number = 0;
  for (gsize length; *sql != '\0'; sql += length) {
    length = piece(sql);
    if (*sql == '?')
      g_string_append_printf(out, "$%u", ++number);
    else
      g_string_append_len(out, sql, (gssize)length);
  }
  return g_string_free(out, FALSE);
}

static gboolean in_word(char c)
{
  return g_ascii_isalnum(c) || c == '_';
}

char *hf_db_postgresql_types(const char *sql)
{
  static const struct {
    const char *word, *instead;
  } types[] = {{"BLOB", "BYTEA"}, {"TEXT", "TEXT COLLATE \"C\""}};
  GString *out = g_string_sized_new(strlen(sql) * 2);
  for (gsize length; *sql != '\0'; sql += length) {
    length = piece(sql);
    if (!in_word(*sql)) {
      g_string_append_len(out, sql, (gssize)length);
      continue;
    }
    while (in_word(sql[length]))
      length++;
    const char *instead = NULL;
    for (gsize i = 0; i < G_N_ELEMENTS(types); i++)
      if (strlen(types[i].word) == length && strncmp(sql, types[i].word, length) == 0)
        instead = types[i].instead;
    if (instead != NULL)
      g_string_append(out, instead);
    else
      g_string_append_len(out, sql, (gssize)length);
  }
  return g_string_free(out, FALSE);
}

char *hf_db_short_sql(const char *sql)
{
  g_autofree char *line = g_strdup(sql);
  g_strdelimit(line, "\n\t", ' ');
  return strlen(line) <= 80 ? g_steal_pointer(&line) : g_strdup_printf("%.77s...", line);
}
