/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tables for the terminal (cli/output.h). */
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/buffer.h"
#include "cli/output.h"

#define GAP 2          /* spaces between two columns */
#define LEAST_WIDTH 8  /* no column shrinks below this */
#define CUT "..."

struct HfTable {
  const HfColumn *columns;
  guint n_columns;
  GPtrArray *rows; /* char **, the titles first */
};

HfTable *hf_table_new(const HfColumn *columns, guint n_columns)
{
  HfTable *table = g_new0(HfTable, 1);
  table->columns = columns;
  table->n_columns = n_columns;
  table->rows = g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev);
  g_autofree const char **titles = g_new0(const char *, n_columns);
  for (guint i = 0; i < n_columns; i++)
    titles[i] = columns[i].title;
  hf_table_add(table, titles);
  return table;
}

void hf_table_add(HfTable *table, const char *const *cells)
{
  char **row = g_new0(char *, table->n_columns + 1);
  for (guint i = 0; i < table->n_columns; i++)
    row[i] = cells[i] == NULL ? g_strdup("") : hf_printable(cells[i], -1);
  g_ptr_array_add(table->rows, row);
}

void hf_table_free(HfTable *table)
{
  if (table == NULL)
    return;
  g_ptr_array_unref(table->rows);
  g_free(table);
}

static gsize char_width(gunichar c)
{
  return g_unichar_iszerowidth(c) ? 0 : g_unichar_iswide(c) ? 2 : 1;
}

gsize hf_text_width(const char *text)
{
  gsize width = 0;
  for (const char *p = text; *p != '\0'; p = g_utf8_next_char(p))
    width += char_width(g_utf8_get_char(p));
  return width;
}

gsize hf_terminal_width(FILE *stream)
{
  struct winsize size;
  if (ioctl(fileno(stream), TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
    return G_MAXSIZE;
  return size.ws_col;
}

/* Takes columns from the widest that may shrink, until the table fits or none can give more. */
static void shrink(const HfTable *table, gsize *widths, gsize width)
{
  gsize total = GAP * (gsize)(table->n_columns - 1);
  for (guint i = 0; i < table->n_columns; i++)
    total += widths[i];
  for (; total > width; total--) {
    guint widest = table->n_columns;
    for (guint i = 0; i < table->n_columns; i++)
      if (table->columns[i].shrink && widths[i] > LEAST_WIDTH &&
          (widest == table->n_columns || widths[i] > widths[widest]))
        widest = i;
    if (widest == table->n_columns)
      return;
    widths[widest]--;
  }
}

static void append_spaces(GString *text, gsize count)
{
  for (gsize i = 0; i < count; i++)
    g_string_append_c(text, ' ');
}

/* `cell` in exactly `width` columns; without `pad` no spaces follow it. */
static void append_cell(GString *text, const char *cell, gsize width, gboolean right, gboolean pad)
{
  gsize wide = hf_text_width(cell);
  if (wide <= width) {
    if (right)
      append_spaces(text, width - wide);
    g_string_append(text, cell);
    if (!right && pad)
      append_spaces(text, width - wide);
    return;
  }
  gsize used = 0;
  const char *p = cell;
  for (; used + char_width(g_utf8_get_char(p)) <= width - strlen(CUT); p = g_utf8_next_char(p))
    used += char_width(g_utf8_get_char(p));
  g_string_append_len(text, cell, p - cell);
  g_string_append(text, CUT);
  if (pad)
    append_spaces(text, width - strlen(CUT) - used);
}

char *hf_table_format(const HfTable *table, gsize width)
{
  g_autofree gsize *widths = g_new0(gsize, table->n_columns);
  for (guint r = 0; r < table->rows->len; r++) {
    char **row = table->rows->pdata[r];
    for (guint i = 0; i < table->n_columns; i++)
      widths[i] = MAX(widths[i], hf_text_width(row[i]));
  }
  shrink(table, widths, width);
  GString *text = g_string_new(NULL);
  for (guint r = 0; r < table->rows->len; r++) {
    char **row = table->rows->pdata[r];
    for (guint i = 0; i < table->n_columns; i++) {
      gboolean last = i == table->n_columns - 1;
      append_cell(text, row[i], widths[i], table->columns[i].right, !last);
      if (!last)
        append_spaces(text, GAP);
    }
    g_string_append_c(text, '\n');
  }
  return g_string_free(text, FALSE);
}
