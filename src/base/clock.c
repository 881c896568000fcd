/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/clock.h"

#include <time.h>

#include "base/error.h"

#define NS_PER_SECOND G_GINT64_CONSTANT(1000000000)

/* A date and time as written; what was left out is at its default. */
typedef struct WrittenTime {
  int year, month, day, hour, minute, second;
  gboolean has_time, has_second;
  gboolean has_zone;
  int zone_seconds; /* east of Greenwich */
} WrittenTime;

gint64 hf_clock_monotonic_us(void)
{
  struct timespec now;
  clock_gettime(CLOCK_BOOTTIME, &now);
  return (gint64)now.tv_sec * G_USEC_PER_SEC + now.tv_nsec / 1000;
}

#ifdef HF_TEST_HOOKS
static gint64 test_shift_ns(void)
{
  const char *text = g_getenv("HOLDFAST_TEST_TIME");
  return text == NULL ? 0 : g_ascii_strtoll(text, NULL, 10) * NS_PER_SECOND;
}
#else
static gint64 test_shift_ns(void)
{
  return 0;
}
#endif

gint64 hf_clock_real_ns(void)
{
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (gint64)now.tv_sec * NS_PER_SECOND + now.tv_nsec + test_shift_ns();
}

/* Splits into seconds, rounded down, and the nanoseconds above them. */
static gint64 split_ns(gint64 ns, gint64 *rest)
{
  gint64 seconds = ns / NS_PER_SECOND;
  *rest = ns % NS_PER_SECOND;
  if (*rest < 0) {
    *rest += NS_PER_SECOND;
    seconds--;
  }
  return seconds;
}

char *hf_clock_format_local(gint64 ns)
{
  gint64 rest;
  g_autoptr(GDateTime) moment = g_date_time_new_from_unix_local(split_ns(ns, &rest));
  return g_date_time_format(moment, "%Y-%m-%dT%H:%M:%S%:z");
}

char *hf_clock_format_utc(gint64 ns)
{
  gint64 rest;
  g_autoptr(GDateTime) moment = g_date_time_new_from_unix_utc(split_ns(ns, &rest));
  g_autofree char *seconds = g_date_time_format(moment, "%Y-%m-%dT%H:%M:%S");
  return g_strdup_printf("%s.%09dZ", seconds, (int)rest);
}

/* Reads exactly `count` digits as a number in [low, high] and moves past them. */
static gboolean read_field(const char **text, int count, int low, int high, int *value)
{
  int sum = 0;
  for (int i = 0; i < count; i++, (*text)++) {
    if (!g_ascii_isdigit(**text))
      return FALSE;
    sum = sum * 10 + (**text - '0');
  }
  *value = sum;
  return sum >= low && sum <= high;
}

static gboolean read_char(const char **text, char wanted)
{
  if (**text != wanted)
    return FALSE;
  (*text)++;
  return TRUE;
}

static gboolean read_zone(const char **text, WrittenTime *written)
{
  char sign = **text;
  written->has_zone = TRUE;
  if (read_char(text, 'Z'))
    return TRUE;
  int hours, minutes;
  if (!read_char(text, '+') && !read_char(text, '-'))
    return FALSE;
  if (!read_field(text, 2, 0, 23, &hours) || !read_char(text, ':') || !read_field(text, 2, 0, 59, &minutes))
    return FALSE;
  written->zone_seconds = (hours * 60 + minutes) * 60 * (sign == '-' ? -1 : 1);
  return TRUE;
}

static gboolean read_written(const char *text, WrittenTime *written)
{
  *written = (WrittenTime){ 0 };
  /* 64-bit nanoseconds reach from 1677 to 2262. */
  if (!read_field(&text, 4, 1678, 2261, &written->year) || !read_char(&text, '-') ||
      !read_field(&text, 2, 1, 12, &written->month) || !read_char(&text, '-') ||
      !read_field(&text, 2, 1, 31, &written->day))
    return FALSE;
  if (!g_date_valid_dmy((GDateDay)written->day, (GDateMonth)written->month, (GDateYear)written->year))
    return FALSE;
  written->has_time = read_char(&text, 'T');
  if (written->has_time) {
    if (!read_field(&text, 2, 0, 23, &written->hour) || !read_char(&text, ':') ||
        !read_field(&text, 2, 0, 59, &written->minute))
      return FALSE;
    written->has_second = read_char(&text, ':');
    if (written->has_second && !read_field(&text, 2, 0, 59, &written->second))
      return FALSE;
  }
  return *text == '\0' || (read_zone(&text, written) && *text == '\0');
}

gboolean hf_clock_parse(const char *text, gint64 *ns, GError **error)
{
  WrittenTime w;
  if (!read_written(text, &w))
    return hf_fail(error, HF_ERROR_USAGE, "'%s' is not a time; write YYYY-MM-DD[THH:MM[:SS]][Z|+HH:MM]", text);
  g_autoptr(GTimeZone) zone = w.has_zone ? g_time_zone_new_offset(w.zone_seconds) : g_time_zone_new_local();
  g_autoptr(GDateTime) start = g_date_time_new(zone, w.year, w.month, w.day, w.hour, w.minute, w.second);
  /* A day may have 23 or 25 hours: it ends where the next one starts. */
  g_autoptr(GDateTime) end = NULL;
  if (!w.has_time)
    end = g_date_time_add_days(start, 1);
  else
    end = g_date_time_add_seconds(start, w.has_second ? 1 : 60);
  *ns = g_date_time_to_unix(end) * NS_PER_SECOND - 1;
  return TRUE;
}
