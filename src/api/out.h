/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * JSON written straight into a text, without a tree in between: answers have thousands of small values. The writer
 * keeps commas right; that begins and ends match is the caller's duty (asserted by hf_api_out_end). Nothing ever
 * writes null: a value that is not there has no key either.
 */
#pragma once

#include <glib.h>

typedef struct HfApiOut {
  GString *text;
  gboolean comma; /* before the next value or key */
  guint depth;
} HfApiOut;

void hf_api_out_open(HfApiOut *out, char bracket); /* '{' or '[' */
void hf_api_out_close(HfApiOut *out, char bracket); /* '}' or ']' */
void hf_api_out_key(HfApiOut *out, const char *key); /* the program's own words: nothing is escaped */
void hf_api_out_text(HfApiOut *out, const char *text); /* bytes that are no UTF-8 become U+FFFD */
void hf_api_out_int(HfApiOut *out, gint64 value);
void hf_api_out_double(HfApiOut *out, double value);
void hf_api_out_bool(HfApiOut *out, gboolean value);
void hf_api_out_time(HfApiOut *out, gint64 microseconds);
void hf_api_out_rate(HfApiOut *out, gint64 bytes); /* a second: "12.5 MiB/s" */
void hf_api_out_raw(HfApiOut *out, const char *json);

/* Key and value; `text` NULL writes neither. */
void hf_api_out_pair(HfApiOut *out, const char *key, const char *text);
void hf_api_out_pair_int(HfApiOut *out, const char *key, gint64 value);
void hf_api_out_pair_bool(HfApiOut *out, const char *key, gboolean value);
void hf_api_out_pair_time(HfApiOut *out, const char *key, gint64 microseconds);
