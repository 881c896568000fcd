/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Rows of the interface as tables and as JSON. */
#include <string.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "cli/fleet.h"

#define ID_DIGITS 8
#define GIB 1073741824.0
#define GIB_MAX 8e9 /* of them: no more can be a number of bytes */

/* "2026-11-22T10:00:00.123456+00:00" as "2026-11-22 11:00:00" of here. */
static char *local_time(const char *text)
{
  g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
  g_autoptr(GDateTime) time = g_date_time_new_from_iso8601(text, utc);
  if (time == NULL)
    return g_strdup(text);
  g_autoptr(GDateTime) local = g_date_time_to_local(time);
  if (local == NULL) /* past the years that are counted */
    return g_strdup(text);
  return g_date_time_format(local, "%Y-%m-%d %H:%M:%S");
}

static char *words_of(json_t *list)
{
  GString *text = g_string_new(NULL);
  json_t *word;
  size_t index;
  json_array_foreach(list, index, word)
  {
    if (json_is_string(word))
      g_string_append_printf(text, "%s%s", text->len > 0 ? " " : "", json_string_value(word));
  }
  return g_string_free(text, FALSE);
}

static char *plain_json(json_t *value)
{
  char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY), *copy = g_strdup(text);
  free(text);
  return copy;
}

static char *text_cell(json_t *value, HfCellKind kind)
{
  const char *text = json_string_value(value);
  if (text == NULL)
    return plain_json(value);
  if (kind == HF_CELL_TIME)
    return local_time(text);
  return kind == HF_CELL_ID ? g_strndup(text, ID_DIGITS) : g_strdup(text);
}

char *hf_fleet_cell(json_t *row, const char *path, HfCellKind kind)
{
  json_t *value = hf_json_at(row, path);
  if (value == NULL || json_is_null(value))
    return g_strdup("");
  switch (kind) {
  case HF_CELL_TEXT:
  case HF_CELL_ID:
  case HF_CELL_TIME:
    return text_cell(value, kind);
  case HF_CELL_NUMBER:
  case HF_CELL_JSON:
    return plain_json(value);
  case HF_CELL_SIZE:
    return hf_format_size((guint64)MAX(json_integer_value(value), 0));
  case HF_CELL_GIB:
    return hf_format_size((guint64)(CLAMP(json_number_value(value), 0.0, GIB_MAX) * GIB));
  case HF_CELL_FLAG:
    return g_strdup(json_is_true(value) ? "yes" : "");
  case HF_CELL_LIST:
    return words_of(value);
  }
  g_assert_not_reached();
}

void hf_fleet_print_rows(HfCli *cli, json_t *rows, const HfFleetColumn *columns, guint n_columns, const char *none)
{
  g_autofree HfColumn *heads = g_new0(HfColumn, n_columns);
  for (guint i = 0; i < n_columns; i++)
    heads[i] = columns[i].head;
  g_autoptr(HfTable) table = hf_table_new(heads, n_columns);
  json_t *row;
  size_t index;
  json_array_foreach(rows, index, row)
  {
    g_auto(GStrv) cells = g_new0(char *, n_columns + 1);
    for (guint i = 0; i < n_columns; i++)
      cells[i] = hf_fleet_cell(row, columns[i].path, columns[i].kind);
    hf_table_add(table, (const char *const *)cells);
    hf_output_document(cli->output, json_incref(row));
  }
  if (json_array_size(rows) > 0)
    hf_output_table(cli->output, table);
  else
    hf_output_note(cli->output, "%s\n", none);
}

gboolean hf_fleet_print_list(HfFleet *fleet, const char *path, guint most, const HfFleetColumn *columns,
                             guint n_columns, const char *none, GError **error)
{
  hf_autojson json_t *rows = hf_fleet_list(fleet, path, most, error);
  if (rows == NULL)
    return FALSE;
  hf_fleet_print_rows(fleet->cli, rows, columns, n_columns, none);
  return TRUE;
}

void hf_fleet_print_object(HfCli *cli, json_t *object, const HfFleetColumn *columns, guint n_columns)
{
  gsize width = 0;
  for (guint i = 0; i < n_columns; i++)
    width = MAX(width, strlen(columns[i].head.title));
  for (guint i = 0; i < n_columns; i++) {
    g_autofree char *text = hf_fleet_cell(object, columns[i].path, columns[i].kind);
    g_autofree char *shown = hf_printable(text, -1);
    if (*shown != '\0')
      hf_output_text(cli->output, "%-*s  %s\n", (int)width, columns[i].head.title, shown);
  }
  hf_output_document(cli->output, json_incref(object));
}

gboolean hf_fleet_print_state(HfFleet *fleet, const char *list, const char *id, const HfFleetColumn *columns,
                              guint n_columns, GError **error)
{
  if (hf_output_is_json(fleet->cli->output))
    return TRUE;
  g_autofree char *path = HF_QUERY(list, "idFilter", id);
  hf_autojson json_t *rows = hf_fleet_list(fleet, path, 1, error);
  if (json_array_size(rows) > 0)
    hf_fleet_print_object(fleet->cli, json_array_get(rows, 0), columns, n_columns);
  return rows != NULL;
}

gboolean hf_fleet_done(HfCli *cli, const char *done, const HfFleetKind *kind, const char *name, const char *id)
{
  hf_output_note(cli->output, "%s %s '%s'\n", done, kind->word, name);
  hf_output_document(cli->output, json_pack("{s:s}", "id", id));
  return TRUE;
}

gboolean hf_fleet_since(const char *text, char **time, GError **error)
{
  gint64 ns;
  const char *clock = strchr(text, 'T'), *minutes = clock == NULL ? NULL : strchr(clock, ':');
  gboolean seconds = minutes == NULL || strlen(minutes) > 3;
  g_autofree char *whole = g_strconcat(text, clock == NULL ? "T00:00:00" : seconds ? "" : ":00", NULL);
  if (!hf_clock_parse(whole, &ns, error))
    return FALSE;
  *time = hf_clock_format_utc(ns - ns % G_GINT64_CONSTANT(1000000000));
  return TRUE;
}
