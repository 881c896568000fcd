/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Windows and local time. All zones differ from UTC by whole quarters of an hour, and change at whole quarters: walking
 * by them misses nothing.
 */
#include <string.h>

#include "base/error.h"
#include "server/schedule/plan.h"

#define WALK_QUARTERS (9 * 96) /* a week, and what changes of the clock may add */

#define MISSING (-2)

const char *const hf_weekday_names[] = {"Monday", "Tuesday",  "Wednesday", "Thursday",
                                        "Friday", "Saturday", "Sunday",    NULL};

/* ---- local time ---- */

static gint64 offset_at(GTimeZone *zone, gint64 utc_seconds)
{
  return g_time_zone_get_offset(zone, g_time_zone_find_interval(zone, G_TIME_TYPE_UNIVERSAL, utc_seconds));
}

static gint64 floor_div(gint64 value, gint64 by)
{
  gint64 quotient = value / by;
  return value % by < 0 ? quotient - 1 : quotient;
}

HfLocal hf_local(GTimeZone *zone, gint64 utc_seconds)
{
  gint64 local = utc_seconds + offset_at(zone, utc_seconds);
  gint64 day = floor_div(local, DAY_SECONDS);
  /* 1970-01-01 was a Thursday. */
  return (HfLocal){.day = day, .seconds = (int)(local - day * DAY_SECONDS),
                   .weekday = (int)(((day + 3) % 7 + 7) % 7)};
}

gint64 hf_local_moment(GTimeZone *zone, gint64 day, int seconds)
{
  gint64 wanted = day * DAY_SECONDS + seconds;
  gint64 before = offset_at(zone, wanted - DAY_SECONDS), after = offset_at(zone, wanted + DAY_SECONDS);
  /* The larger offset makes the earlier moment: it is tried first. */
  gint64 early = wanted - MAX(before, after), late = wanted - MIN(before, after);
  if (offset_at(zone, early) == wanted - early)
    return early;
  if (offset_at(zone, late) == wanted - late)
    return late;
  /* In a gap: the moment at which the offset changes. */
  gint64 low = wanted - DAY_SECONDS, high = wanted + DAY_SECONDS;
  while (high - low > 1) {
    gint64 middle = low + (high - low) / 2;
    if (offset_at(zone, middle) == before)
      low = middle;
    else
      high = middle;
  }
  return high;
}

/* ---- windows ---- */

gboolean hf_window_open_at(const HfWindow *window, const HfLocal *local)
{
  return !window->limited || (window->hours[local->weekday] >> (local->seconds / 3600) & 1) != 0;
}

gint64 hf_windows_find(const HfWindow *a, const HfWindow *b, GTimeZone *zone, gint64 from, gboolean open)
{
  gint64 at = from;
  for (guint i = 0; i < WALK_QUARTERS; i++) {
    HfLocal local = hf_local(zone, at);
    if ((hf_window_open_at(a, &local) && hf_window_open_at(b, &local)) == open)
      return at;
    at = (floor_div(at, QUARTER_SECONDS) + 1) * QUARTER_SECONDS;
  }
  return -1;
}

static gboolean parse_hours(const char *text, guint32 *hours)
{
  *hours = 0;
  for (guint hour = 0; hour < 24; hour++) {
    while (*text == ' ')
      text++;
    if (*text != '0' && *text != '1')
      return FALSE;
    *hours |= (guint32)(*text++ - '0') << hour;
    while (*text == ' ')
      text++;
    if (*text != (hour < 23 ? ',' : '\0'))
      return FALSE;
    text++;
  }
  return TRUE;
}

gboolean hf_window_parse_json(json_t *json, const char *what, HfWindow *window, GError **error)
{
  memset(window, 0, sizeof *window);
  json_t *days = json_object_get(json, "days");
  if (json == NULL || json_is_null(json) || (json_is_object(json) && (days == NULL || json_is_null(days))))
    return TRUE;
  if (!json_is_array(days))
    return hf_fail(error, HF_ERROR_USAGE, "%s: 'days' is no list of days", what);
  gsize index;
  json_t *entry;
  json_array_foreach(days, index, entry) {
    int day = hf_json_word(entry, "day", hf_weekday_names, MISSING, error);
    if (day == MISSING)
      hf_fail(error, HF_ERROR_USAGE, "%s: a day without its name", what);
    if (day < 0)
      return FALSE;
    const char *hours = json_string_value(json_object_get(entry, "hours"));
    if (hours == NULL || !parse_hours(hours, &window->hours[day]))
      return hf_fail(error, HF_ERROR_USAGE, "%s: the hours of %s are not 24 times 0 or 1 with commas between", what,
                     hf_weekday_names[day]);
    window->limited = TRUE;
  }
  return TRUE;
}

HfWindow *hf_window_parse(const char *json, GError **error)
{
  HfWindow *window = g_new0(HfWindow, 1);
  if (json == NULL || *json == '\0')
    return window;
  json_t *root = json_loads(json, 0, NULL);
  gboolean good = root == NULL || !json_is_object(root) ? hf_fail(error, HF_ERROR_USAGE, "the window is no JSON object")
                                                        : hf_window_parse_json(root, "the window", window, error);
  json_decref(root);
  if (good)
    return window;
  g_free(window);
  return NULL;
}

void hf_window_free(HfWindow *window)
{
  g_free(window);
}

gboolean hf_window_open(const HfWindow *window, GTimeZone *zone, gint64 time)
{
  HfLocal local = hf_local(zone, floor_div(time, G_USEC_PER_SEC));
  return hf_window_open_at(window, &local);
}

gint64 hf_window_next_change(const HfWindow *window, GTimeZone *zone, gint64 time)
{
  gint64 found = hf_windows_find(window, window, zone, floor_div(time, G_USEC_PER_SEC),
                                 !hf_window_open(window, zone, time));
  return found < 0 ? -1 : found * G_USEC_PER_SEC;
}
