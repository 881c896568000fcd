/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a verb prints, as text for people or as JSON for programs. A verb may say both: what does not fit the mode is
 * left out here, so that no verb asks which mode it is. An HfOutput belongs to one thread at a time.
 *
 * Failures of the stream stick: the functions that print return nothing, a loop over much asks hf_output_check, and
 * the frame calls hf_output_finish at the end.
 *
 * Names (of files, points, hosts) need not be UTF-8. In JSON "KEY" then holds the name with every bad byte replaced by
 * U+FFFD, and "KEY_bytes" the true bytes in base64; for names that are UTF-8 there is no "KEY_bytes".
 */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdio.h>

typedef struct HfOutput HfOutput;

typedef enum HfOutputMode {
  HF_OUTPUT_TEXT,
  HF_OUTPUT_QUIET, /* text without notes */
  HF_OUTPUT_JSON,
} HfOutputMode;

/* `stream` is borrowed. */
HfOutput *hf_output_new(FILE *stream, HfOutputMode mode);
void hf_output_free(HfOutput *output);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfOutput, hf_output_free)

gboolean hf_output_is_json(const HfOutput *output);
/* HF_ERROR_IO once something could not be written (HF_ERROR_CANCELLED when the reader has gone away). */
gboolean hf_output_check(HfOutput *output, GError **error);
gboolean hf_output_reader_gone(const HfOutput *output);
/* Hands to the system what was printed so far: for what is read while it grows. Failures stick. */
void hf_output_flush(HfOutput *output);
/* As check, after everything was handed to the system. */
gboolean hf_output_finish(HfOutput *output, GError **error);

/* ---- Text; nothing with JSON. ---- */
/* The result that was asked for. */
void hf_output_text(HfOutput *output, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* What is good to know besides: left out with --quiet. */
void hf_output_note(HfOutput *output, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* Bytes as they are, in every mode: the content of a file. */
void hf_output_bytes(HfOutput *output, const void *bytes, gsize length);

typedef struct HfColumn {
  const char *title;
  gboolean right;  /* aligned right */
  gboolean shrink; /* may be cut, ending in "...", to fit the terminal */
} HfColumn;
typedef struct HfTable HfTable;
/* `columns` is borrowed; the last one is not padded. */
HfTable *hf_table_new(const HfColumn *columns, guint n_columns);
/* `cells` are copied and made printable; NULL is an empty cell. */
void hf_table_add(HfTable *table, const char *const *cells);
void hf_table_free(HfTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfTable, hf_table_free)
/* Prints the table, no wider than the terminal where columns may shrink; as wide as it gets into a file. For bounded
 * lists: all rows are in memory. */
void hf_output_table(HfOutput *output, const HfTable *table);
/* The same, for `width` columns of a terminal. Caller frees. */
char *hf_table_format(const HfTable *table, gsize width);

/* Columns that the terminal behind `stream` has; G_MAXSIZE when it is no terminal. */
gsize hf_terminal_width(FILE *stream);
/* Columns that UTF-8 text takes on a terminal. */
gsize hf_text_width(const char *text);

/* ---- JSON; nothing with text. ---- */
/* One bounded object; takes it over. */
void hf_output_document(HfOutput *output, json_t *object);
/* Sets KEY, and KEY_bytes where the rule above asks for it. */
void hf_json_set_name(json_t *object, const char *key, const char *name);

/* One object a line, without a tree in memory: begin, members, end. Keys are ASCII. */
void hf_line_begin(HfOutput *output);
void hf_line_text(HfOutput *output, const char *key, const char *text); /* NULL: the key is left out */
void hf_line_name(HfOutput *output, const char *key, const char *name); /* NULL: the key is left out */
void hf_line_number(HfOutput *output, const char *key, guint64 number);
void hf_line_real(HfOutput *output, const char *key, double number);
void hf_line_flag(HfOutput *output, const char *key, gboolean flag);
void hf_line_time(HfOutput *output, const char *key, gint64 ns); /* as "2026-11-22T10:00:00.123456789Z" */
void hf_line_list(HfOutput *output, const char *key, const char *const *texts);
void hf_line_end(HfOutput *output);
