/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "api/out.h"

#include <math.h>
#include <string.h>

#include "api/value.h"

static void separate(HfApiOut *out)
{
  if (out->comma)
    g_string_append_c(out->text, ',');
  out->comma = TRUE;
}

void hf_api_out_open(HfApiOut *out, char bracket)
{
  separate(out);
  g_string_append_c(out->text, bracket);
  out->comma = FALSE;
  out->depth++;
}

void hf_api_out_close(HfApiOut *out, char bracket)
{
  g_assert(out->depth > 0);
  g_string_append_c(out->text, bracket);
  out->comma = TRUE;
  out->depth--;
}

/* Bytes that need no escape go over in runs. */
static void escape(GString *to, const char *text)
{
  static const char plain[256] = { [' ' ... '!'] = 1, ['#' ... '['] = 1, [']' ... 255] = 1 };
  const char *run = text;
  for (; *text != '\0'; text++) {
    guchar byte = (guchar)*text;
    if (plain[byte])
      continue;
    g_string_append_len(to, run, text - run);
    if (byte < 0x20)
      g_string_append_printf(to, "\\u%04x", (guint)byte);
    else
      g_string_append_c(g_string_append_c(to, '\\'), (char)byte);
    run = text + 1;
  }
  g_string_append_len(to, run, text - run);
}

void hf_api_out_text(HfApiOut *out, const char *text)
{
  separate(out);
  g_string_append_c(out->text, '"');
  if (g_utf8_validate(text, -1, NULL)) {
    escape(out->text, text);
  } else {
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    escape(out->text, valid);
  }
  g_string_append_c(out->text, '"');
}

void hf_api_out_key(HfApiOut *out, const char *key)
{
  separate(out);
  g_string_append_c(out->text, '"');
  g_string_append(out->text, key);
  g_string_append_len(out->text, "\":", 2);
  out->comma = FALSE;
}

void hf_api_out_int(HfApiOut *out, gint64 value)
{
  char digits[24];
  char *at = digits + sizeof digits;
  guint64 rest = value < 0 ? 0 - (guint64)value : (guint64)value;
  *--at = '\0';
  do
    *--at = (char)('0' + rest % 10);
  while ((rest /= 10) > 0);
  if (value < 0)
    *--at = '-';
  separate(out);
  g_string_append(out->text, at);
}

void hf_api_out_double(HfApiOut *out, double value)
{
  char digits[G_ASCII_DTOSTR_BUF_SIZE];
  separate(out);
  g_string_append(out->text, isfinite(value) ? g_ascii_formatd(digits, sizeof digits, "%.15g", value) : "0");
}

void hf_api_out_bool(HfApiOut *out, gboolean value)
{
  separate(out);
  g_string_append(out->text, value ? "true" : "false");
}

void hf_api_out_time(HfApiOut *out, gint64 microseconds)
{
  char text[HF_API_TIME_BYTES];
  hf_api_time_text(microseconds, text);
  separate(out);
  g_string_append_c(g_string_append(g_string_append_c(out->text, '"'), text), '"');
}

void hf_api_out_rate(HfApiOut *out, gint64 bytes)
{
  g_autofree char *size = g_format_size_full((guint64)MAX(bytes, 0), G_FORMAT_SIZE_IEC_UNITS);
  g_autofree char *text = g_strconcat(size, "/s", NULL);
  for (char *at = text; *at != '\0'; at++)
    if ((guchar)at[0] == 0xc2 && (guchar)at[1] == 0xa0) { /* a blank that does not break is one that does not parse */
      at[0] = ' ';
      memmove(at + 1, at + 2, strlen(at + 2) + 1);
    }
  hf_api_out_text(out, text);
}

void hf_api_out_raw(HfApiOut *out, const char *json)
{
  separate(out);
  g_string_append(out->text, json);
}

void hf_api_out_pair(HfApiOut *out, const char *key, const char *text)
{
  if (text == NULL)
    return;
  hf_api_out_key(out, key);
  hf_api_out_text(out, text);
}

void hf_api_out_pair_int(HfApiOut *out, const char *key, gint64 value)
{
  hf_api_out_key(out, key);
  hf_api_out_int(out, value);
}

void hf_api_out_pair_bool(HfApiOut *out, const char *key, gboolean value)
{
  hf_api_out_key(out, key);
  hf_api_out_bool(out, value);
}

void hf_api_out_pair_time(HfApiOut *out, const char *key, gint64 microseconds)
{
  hf_api_out_key(out, key);
  hf_api_out_time(out, microseconds);
}
