/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The verbs ports list and ports roles. */
#include <string.h>

#include "base/error.h"
#include "cli/ports_rows.h"

/* ---- Rules as lines of cells ---- */

static char *own_number(guint number)
{
  return g_strdup_printf("%u", number);
}

/* One word where all ports have the same, else one a port, as in the data. */
static char *own_items(const HfPortRow *row, const char *(*word)(const HfPortItem *item))
{
  GString *text = g_string_new(word(&row->items[0]));
  gboolean same = TRUE;
  for (guint i = 1; i < row->n_items; i++) {
    same = same && g_str_equal(word(&row->items[i]), word(&row->items[0]));
    g_string_append_printf(text, ",%s", word(&row->items[i]));
  }
  if (same)
    g_string_assign(text, word(&row->items[0]));
  return g_string_free(text, FALSE);
}

static const char *application_of(const HfPortItem *item)
{
  return item->application != NULL ? item->application : "-";
}

static const char *service_of(const HfPortItem *item)
{
  return item->service != NULL ? item->service->id : "-";
}

static char *own_marks(const HfPortRow *row)
{
  GString *text = g_string_new(NULL);
  for (guint i = 0; row->marks[i] != NULL; i++)
    g_string_append_printf(text, "%s%s", i > 0 ? "," : "", row->marks[i]->id);
  return g_string_free(text, FALSE);
}

static char *own_rules(const HfPortRow *row)
{
  GString *text = g_string_new(NULL);
  for (guint i = 0; row->rules[i] != NULL; i++)
    g_string_append_printf(text, "%s%s", i > 0 ? "," : "", row->rules[i]->id);
  return g_string_free(text, FALSE);
}

/* The first eight are as printed on the pages. */
static const char *const tsv_columns[] = { "page", "section", "table", "row", "from", "to", "protocol", "port", "id",
                                           "line", "title", "heading", "from-roles", "to-roles", "transport",
                                           "application", "mode", "ports", "service", "endpoints", "need", "when",
                                           "pair", "custom", "marks", "rules", "purpose" };

/* Cells in the order of tsv_columns, ended by NULL; caller frees. */
static char **tsv_cells(const HfPortRow *row)
{
  const HfPortTable *table = row->table;
  char *cells[] = {
    g_strdup(table->section->page),
    g_strdup(table->section->title),
    own_number(table->number),
    own_number(row->number),
    g_strdup(row->printed.from),
    g_strdup(row->printed.to),
    g_strdup(row->printed.protocol),
    g_strdup(row->printed.port),
    g_strdup(row->id),
    own_number(row->line),
    g_strdup(table->title),
    g_strdup(row->heading != NULL ? row->heading : ""),
    hf_port_uses_text(row->from, row->n_from),
    hf_port_uses_text(row->to, row->n_to),
    g_strdup(row->transports != 0 ? hf_port_transports_text(row->transports) : ""),
    own_items(row, application_of),
    g_strdup(hf_port_mode_text(row->mode)),
    hf_port_row_ports_text(row),
    own_items(row, service_of),
    hf_port_endpoints_text(row),
    g_strdup(hf_port_need_text(row->need)),
    hf_port_when_text(&row->when),
    g_strdup(hf_port_pair_text(row->pair)),
    g_strdup(row->customisable ? "yes" : "no"),
    own_marks(row),
    own_rules(row),
    g_strdup(row->purpose),
    NULL,
  };
  G_STATIC_ASSERT(G_N_ELEMENTS(cells) == G_N_ELEMENTS(tsv_columns) + 1);
  for (guint i = 0; cells[i] != NULL; i++)
    if (cells[i][0] == '\0') {
      g_free(cells[i]);
      cells[i] = g_strdup("-");
    }
  return g_memdup2(cells, sizeof cells);
}

static void print_tsv(HfOutput *output, const GPtrArray *rows)
{
  for (guint i = 0; i < G_N_ELEMENTS(tsv_columns); i++)
    hf_output_text(output, "%s%s", i > 0 ? "\t" : "", tsv_columns[i]);
  hf_output_text(output, "\n");
  for (guint i = 0; i < rows->len; i++) {
    g_auto(GStrv) cells = tsv_cells(rows->pdata[i]);
    g_autofree char *line = g_strjoinv("\t", cells);
    hf_output_text(output, "%s\n", line);
  }
}

/* Markdown takes '|', '*', '_', '<' and '\' for its own. */
static void print_markdown_cell(HfOutput *output, const char *text)
{
  hf_output_text(output, " ");
  for (; *text != '\0'; text++)
    hf_output_text(output, "%s%c", strchr("|*_<\\", *text) != NULL ? "\\" : "", *text);
  hf_output_text(output, " |");
}

static void print_markdown(HfOutput *output, const GPtrArray *rows)
{
  hf_output_text(output, "| Rule | From | To | Protocol | Port | For | When |\n");
  hf_output_text(output, "| --- | --- | --- | --- | --- | --- | --- |\n");
  for (guint i = 0; i < rows->len; i++) {
    const HfPortRow *row = rows->pdata[i];
    g_autofree char *when = hf_port_when_text(&row->when);
    const char *cells[] = { row->id, row->printed.from, row->printed.to, row->printed.protocol, row->printed.port,
                            row->purpose, when };
    hf_output_text(output, "|");
    for (guint j = 0; j < G_N_ELEMENTS(cells); j++)
      print_markdown_cell(output, cells[j]);
    hf_output_text(output, "\n");
  }
}

static void print_json(HfOutput *output, const GPtrArray *rows)
{
  for (guint i = 0; i < rows->len; i++) {
    json_t *object = hf_cli_port_row_json(rows->pdata[i]);
    char *text = json_dumps(object, JSON_COMPACT);
    g_assert(text != NULL);
    hf_output_bytes(output, text, strlen(text));
    hf_output_bytes(output, "\n", 1);
    free(text);
    json_decref(object);
  }
}

/* ---- Verbs ---- */

static gboolean set_filter(HfPortFilter *filter, const HfOptions *options, GError **error)
{
  if (options->from != NULL && (filter->from = hf_cli_port_role(options->from, error)) == NULL)
    return FALSE;
  if (options->to != NULL && (filter->to = hf_cli_port_role(options->to, error)) == NULL)
    return FALSE;
  if (options->service != NULL && (filter->service = hf_cli_port_service(options->service, error)) == NULL)
    return FALSE;
  filter->port = (guint16)options->port;
  return options->section == NULL || hf_cli_port_section(options->section, filter, error);
}

/* Leaves the rows that ask about the condition and are satisfied by its value. */
static gboolean keep_asking(GPtrArray *rows, const char *text, GError **error)
{
  HfPortFilter filter = { 0 };
  if (!hf_cli_port_condition(text, &filter.condition, &filter.value, error))
    return FALSE;
  for (guint i = rows->len; i > 0; i--)
    if (!hf_port_row_matches(rows->pdata[i - 1], &filter))
      g_ptr_array_remove_index(rows, i - 1);
  return TRUE;
}

gboolean hf_verb_ports_list(const HfOptions *options, HfCli *cli, GError **error)
{
  HfPortFilter filter = { 0 };
  if (!set_filter(&filter, options, error))
    return FALSE;
  g_autoptr(GPtrArray) rows = hf_port_select(&filter);
  for (guint i = 0; options->condition[i] != NULL; i++)
    if (!keep_asking(rows, options->condition[i], error))
      return FALSE;
  if (hf_output_is_json(cli->output) || options->rows_format == HF_ROWS_FORMAT_CHOICE_JSON)
    print_json(cli->output, rows);
  else if (options->rows_format == HF_ROWS_FORMAT_CHOICE_TSV)
    print_tsv(cli->output, rows);
  else if (options->rows_format == HF_ROWS_FORMAT_CHOICE_MARKDOWN)
    print_markdown(cli->output, rows);
  else if (rows->len > 0)
    hf_cli_port_rows_table(cli->output, rows);
  else
    hf_output_note(cli->output, "no rule is like that\n");
  return TRUE;
}

static void print_role(HfCli *cli, HfTable *table, const HfPortRole *role)
{
  g_autofree char *names = g_strjoinv("; ", (char **)role->names);
  const char *cells[] = { role->id, hf_port_kind_text(role->kind), role->is != NULL ? role->is->id : "", role->title,
                          names };
  hf_table_add(table, cells);
  hf_line_begin(cli->output);
  hf_line_text(cli->output, "role", role->id);
  hf_line_text(cli->output, "title", role->title);
  hf_line_text(cli->output, "kind", hf_port_kind_text(role->kind));
  hf_line_flag(cli->output, "external", role->external);
  hf_line_text(cli->output, "is", role->is != NULL ? role->is->id : NULL);
  hf_line_flag(cli->output, "assumed", role->assumed);
  hf_line_list(cli->output, "names", role->names);
  hf_line_end(cli->output);
}

gboolean hf_verb_ports_roles(const HfOptions *options, HfCli *cli, GError **error)
{
  static const HfColumn columns[] = { { .title = "ROLE" }, { .title = "KIND" }, { .title = "IS", .shrink = TRUE },
                                      { .title = "TITLE", .shrink = TRUE },
                                      { .title = "ON THE PAGES", .shrink = TRUE } };
  guint n;
  const HfPortRole *roles = hf_port_roles(&n);
  g_autoptr(HfTable) table = hf_table_new(columns, G_N_ELEMENTS(columns));
  (void)options;
  (void)error;
  for (guint i = 0; i < n; i++)
    print_role(cli, table, &roles[i]);
  hf_output_table(cli->output, table);
  return TRUE;
}
