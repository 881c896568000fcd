/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Small values of the interface as text: times, ids, members of enumerations, network addresses. Pure. */
#pragma once

#include <glib.h>

#include "api/model.h"

#define HF_API_TIME_BYTES 40 /* with the final zero */
#define HF_API_NO_ID "00000000-0000-0000-0000-000000000000"

/* "2026-11-22T18:04:05.123456+00:00": UTC, always six digits. Times outside the years 1 to 9999 become the nearest of
 * them. */
void hf_api_time_text(gint64 microseconds, char text[HF_API_TIME_BYTES]);
/* RFC 3339 with offset or 'Z', without an offset UTC; any number of digits after the point (six count); 'T', 't' or
 * blank between date and time, and a blank for the '+' of an offset that nobody escaped. FALSE: no such time. */
gboolean hf_api_time_parse(const char *text, gint64 *microseconds);

/* "HH:MM" or "HH:MM:SS[.fff]" of a day. */
gboolean hf_api_clock_valid(const char *text);

/* 8-4-4-4-12 hex digits, also in braces or upper case; `id` gets it in lower case. */
gboolean hf_api_uuid_parse(const char *text, char id[37]);

/* "HH:MM:SS", with "D." before it from a day on. */
void hf_api_duration_text(gint64 microseconds, char text[HF_API_TIME_BYTES]);

/* The stored word for what a client of any era sent, without regard to case; NULL when it is no member. */
const char *hf_api_enum_stored(const HfApiEnum *members, const char *text);
/* The word of an era for a stored word. A word that no member has is given back as it is. */
const char *hf_api_enum_spelled(const HfApiEnum *members, const char *stored, guint era);

/* The number of a version in hf_api_versions, or -1. */
int hf_api_version_find(const char *name);
