/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/output.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"

struct HfOutput {
  FILE *stream;
  HfOutputMode mode;
  GString *line; /* the JSON line being made */
  int errnum;    /* of the first failure */
};

HfOutput *hf_output_new(FILE *stream, HfOutputMode mode)
{
  HfOutput *output = g_new0(HfOutput, 1);
  output->stream = stream;
  output->mode = mode;
  output->line = g_string_new(NULL);
  return output;
}

void hf_output_free(HfOutput *output)
{
  if (output == NULL)
    return;
  g_string_free(output->line, TRUE);
  g_free(output);
}

gboolean hf_output_is_json(const HfOutput *output)
{
  return output->mode == HF_OUTPUT_JSON;
}

gboolean hf_output_check(HfOutput *output, GError **error)
{
  if (output->errnum == 0)
    return TRUE;
  if (output->errnum == EPIPE)
    return hf_fail(error, HF_ERROR_CANCELLED, "the reader of the output has gone away");
  return hf_fail_errno(error, output->errnum, "cannot write the output");
}

gboolean hf_output_reader_gone(const HfOutput *output)
{
  return output->errnum == EPIPE;
}

void hf_output_flush(HfOutput *output)
{
  if (fflush(output->stream) != 0 && output->errnum == 0)
    output->errnum = errno;
}

gboolean hf_output_finish(HfOutput *output, GError **error)
{
  hf_output_flush(output);
  return hf_output_check(output, error);
}

void hf_output_bytes(HfOutput *output, const void *bytes, gsize length)
{
  if (output->errnum != 0 || length == 0)
    return;
  if (fwrite(bytes, 1, length, output->stream) != length)
    output->errnum = errno;
}

static void G_GNUC_PRINTF(2, 0) print(HfOutput *output, const char *format, va_list arguments)
{
  g_autofree char *text = g_strdup_vprintf(format, arguments);
  g_autofree char *shown = hf_printable_lines(text);
  hf_output_bytes(output, shown, strlen(shown));
}

void hf_output_text(HfOutput *output, const char *format, ...)
{
  if (output->mode == HF_OUTPUT_JSON)
    return;
  va_list arguments;
  va_start(arguments, format);
  print(output, format, arguments);
  va_end(arguments);
}

void hf_output_note(HfOutput *output, const char *format, ...)
{
  if (output->mode != HF_OUTPUT_TEXT)
    return;
  va_list arguments;
  va_start(arguments, format);
  print(output, format, arguments);
  va_end(arguments);
}

void hf_output_table(HfOutput *output, const HfTable *table)
{
  if (output->mode == HF_OUTPUT_JSON)
    return;
  g_autofree char *text = hf_table_format(table, hf_terminal_width(output->stream));
  hf_output_bytes(output, text, strlen(text));
}

/* ---- JSON ---- */

/* Controls that JSON lets stand for themselves (DEL, C1), and a terminal obeys, are escaped like the others. */
static void append_plain(GString *line, const char *text)
{
  for (const char *p = text; *p != '\0'; p++) {
    guchar c = (guchar)p[0], next = (guchar)p[1];
    if (c == 0xc2 && next >= 0x80 && next < 0xa0) {
      g_string_append_printf(line, "\\u%04x", next);
      p++;
    } else if (c < 0x20 || c == 0x7f) {
      g_string_append_printf(line, "\\u%04x", c);
    } else {
      g_string_append_c(line, *p);
    }
  }
}

void hf_output_document(HfOutput *output, json_t *object)
{
  if (output->mode == HF_OUTPUT_JSON) {
    char *text = json_dumps(object, JSON_COMPACT);
    g_assert(text != NULL);
    g_autoptr(GString) plain = g_string_new(NULL);
    append_plain(plain, text);
    g_string_append_c(plain, '\n');
    hf_output_bytes(output, plain->str, plain->len);
    free(text);
  }
  json_decref(object);
}

void hf_json_set_name(json_t *object, const char *key, const char *name)
{
  if (g_utf8_validate(name, -1, NULL)) {
    json_object_set_new(object, key, json_string(name));
    return;
  }
  g_autofree char *valid = g_utf8_make_valid(name, -1);
  g_autofree char *bytes_key = g_strconcat(key, "_bytes", NULL);
  g_autofree char *bytes = g_base64_encode((const guchar *)name, strlen(name));
  json_object_set_new(object, key, json_string(valid));
  json_object_set_new(object, bytes_key, json_string(bytes));
}

/* `text` is valid UTF-8. */
static void append_quoted(GString *line, const char *text)
{
  g_string_append_c(line, '"');
  for (const char *p = text; *p != '\0';) {
    gsize length = strcspn(p, "\"\\");
    g_autofree char *piece = g_strndup(p, length);
    append_plain(line, piece);
    p += length;
    if (*p != '\0')
      g_string_append_printf(line, "\\%c", *p++);
  }
  g_string_append_c(line, '"');
}

/* Starts a member; FALSE when nothing is to be printed. */
static gboolean begin_member(HfOutput *output, const char *key)
{
  if (output->mode != HF_OUTPUT_JSON)
    return FALSE;
  if (output->line->len > 1)
    g_string_append_c(output->line, ',');
  append_quoted(output->line, key);
  g_string_append_c(output->line, ':');
  return TRUE;
}

void hf_line_begin(HfOutput *output)
{
  g_string_assign(output->line, "{");
}

static void append_text(GString *line, const char *text)
{
  if (g_utf8_validate(text, -1, NULL)) {
    append_quoted(line, text);
    return;
  }
  g_autofree char *valid = g_utf8_make_valid(text, -1);
  append_quoted(line, valid);
}

void hf_line_text(HfOutput *output, const char *key, const char *text)
{
  if (text != NULL && begin_member(output, key))
    append_text(output->line, text);
}

void hf_line_name(HfOutput *output, const char *key, const char *name)
{
  if (name == NULL || output->mode != HF_OUTPUT_JSON)
    return;
  hf_line_text(output, key, name);
  if (g_utf8_validate(name, -1, NULL))
    return;
  g_autofree char *bytes_key = g_strconcat(key, "_bytes", NULL);
  g_autofree char *bytes = g_base64_encode((const guchar *)name, strlen(name));
  hf_line_text(output, bytes_key, bytes);
}

void hf_line_number(HfOutput *output, const char *key, guint64 number)
{
  if (begin_member(output, key))
    g_string_append_printf(output->line, "%" G_GUINT64_FORMAT, number);
}

void hf_line_real(HfOutput *output, const char *key, double number)
{
  char text[G_ASCII_DTOSTR_BUF_SIZE];
  if (begin_member(output, key))
    g_string_append(output->line, g_ascii_formatd(text, sizeof text, "%.3f", number));
}

void hf_line_flag(HfOutput *output, const char *key, gboolean flag)
{
  if (begin_member(output, key))
    g_string_append(output->line, flag ? "true" : "false");
}

void hf_line_time(HfOutput *output, const char *key, gint64 ns)
{
  if (output->mode != HF_OUTPUT_JSON)
    return;
  g_autofree char *text = hf_clock_format_utc(ns);
  hf_line_text(output, key, text);
}

void hf_line_list(HfOutput *output, const char *key, const char *const *texts)
{
  if (!begin_member(output, key))
    return;
  g_string_append_c(output->line, '[');
  for (gsize i = 0; texts[i] != NULL; i++) {
    if (i > 0)
      g_string_append_c(output->line, ',');
    append_text(output->line, texts[i]);
  }
  g_string_append_c(output->line, ']');
}

void hf_line_end(HfOutput *output)
{
  if (output->mode != HF_OUTPUT_JSON)
    return;
  g_string_append(output->line, "}\n");
  hf_output_bytes(output, output->line->str, output->line->len);
}
