/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "server/schedule/plan.h"

#define DAYS_AHEAD 396 /* 13 months */

static gint64 ceil_div(gint64 value, gint64 by)
{
  return value <= 0 ? 0 : (value + by - 1) / by;
}

static gint64 floor_seconds(gint64 time)
{
  return time >= 0 ? time / G_USEC_PER_SEC : -((-time + G_USEC_PER_SEC - 1) / G_USEC_PER_SEC);
}

static gboolean open_at(const HfSchedule *schedule, GTimeZone *zone, gint64 seconds)
{
  HfLocal local = hf_local(zone, seconds);
  return hf_window_open_at(&schedule->window, &local);
}

/* ---- which days ---- */

static gboolean daily_on(const HfSchedule *schedule, gint64 day)
{
  return (schedule->daily.days >> (((day + 3) % 7 + 7) % 7) & 1) != 0;
}

static gboolean monthly_on(const HfSchedule *schedule, gint64 day)
{
  g_autoptr(GDateTime) date = g_date_time_new_from_unix_utc(day * DAY_SECONDS);
  int month = g_date_time_get_month(date), in_month = g_date_time_get_day_of_month(date);
  int length = g_date_get_days_in_month((GDateMonth)month, (GDateYear)g_date_time_get_year(date));
  if ((schedule->monthly.months >> (month - 1) & 1) == 0)
    return FALSE;
  if (schedule->monthly.number == HF_MONTH_ON_DAY)
    return in_month == (schedule->monthly.day == 0 ? length : schedule->monthly.day);
  if (g_date_time_get_day_of_week(date) - 1 != schedule->monthly.weekday)
    return FALSE;
  if (schedule->monthly.number == HF_MONTH_LAST)
    return in_month + 7 > length;
  return (in_month - 1) / 7 == (int)schedule->monthly.number;
}

typedef gboolean (*DayTest)(const HfSchedule *schedule, gint64 day);

/* The first start after `after` (seconds) at a time of day on the days that pass the test. */
static gint64 next_by_day(const HfSchedule *schedule, GTimeZone *zone, gint64 after, int seconds, DayTest test)
{
  gint64 first = hf_local(zone, after).day - 1; /* yesterday's time may have been put off by a gap */
  for (gint64 day = first; day < first + DAYS_AHEAD; day++) {
    if (!test(schedule, day))
      continue;
    gint64 at = hf_local_moment(zone, day, seconds);
    if (at > after && open_at(schedule, zone, at))
      return at;
  }
  return -1;
}

/* ---- every so often ---- */

/* Within one local day, which begins at `start` and ends before `end`. */
static gint64 next_in_day(const HfSchedule *schedule, GTimeZone *zone, gint64 after, gint64 start, gint64 end)
{
  gint64 first = start + schedule->periodic.offset, period = schedule->periodic.period;
  gint64 at = first + ceil_div(after + 1 - first, period) * period;
  while (at < end) {
    gint64 open = hf_windows_find(&schedule->periodic.window, &schedule->window, zone, at, TRUE);
    if (open == at)
      return at;
    if (open < 0)
      return -1;
    at = first + ceil_div(open - first, period) * period;
  }
  return -1;
}

static gint64 next_periodic(const HfSchedule *schedule, GTimeZone *zone, gint64 after)
{
  if (hf_windows_find(&schedule->periodic.window, &schedule->window, zone, after, TRUE) < 0)
    return -1;
  gint64 first = hf_local(zone, after).day;
  for (gint64 day = first; day < first + DAYS_AHEAD; day++) {
    if (schedule->periodic.days > 0 && day % schedule->periodic.days != 0)
      continue;
    gint64 at = next_in_day(schedule, zone, after, hf_local_moment(zone, day, 0), hf_local_moment(zone, day + 1, 0));
    if (at >= 0)
      return at;
  }
  return -1;
}

/* ---- what the header promises ---- */

static void earlier(gint64 *best, gint64 at)
{
  if (at >= 0 && (*best < 0 || at < *best))
    *best = at;
}

static gint64 next_continuous(const HfSchedule *schedule, GTimeZone *zone, gint64 after)
{
  gint64 from = floor_seconds(after);
  gint64 open = hf_windows_find(&schedule->continuous.window, &schedule->window, zone, from, TRUE);
  return open < 0 ? -1 : MAX(open * G_USEC_PER_SEC, after + 1);
}

gint64 hf_schedule_next(const HfSchedule *schedule, GTimeZone *zone, gint64 after)
{
  gint64 best = -1, from = floor_seconds(after);
  if (!schedule->automatic)
    return -1;
  if (schedule->daily.on)
    earlier(&best, next_by_day(schedule, zone, from, schedule->daily.seconds, daily_on));
  if (schedule->monthly.on)
    earlier(&best, next_by_day(schedule, zone, from, schedule->monthly.seconds, monthly_on));
  if (schedule->periodic.on)
    earlier(&best, next_periodic(schedule, zone, from));
  if (best >= 0)
    best *= G_USEC_PER_SEC;
  if (schedule->continuous.on)
    earlier(&best, next_continuous(schedule, zone, after));
  return best;
}

/* The hours in which a run may go on: those of the job, and of a continuous job its own. */
static const HfWindow *second_window(const HfSchedule *schedule)
{
  return schedule->continuous.on ? &schedule->continuous.window : &schedule->window;
}

gboolean hf_schedule_allowed(const HfSchedule *schedule, GTimeZone *zone, gint64 time)
{
  HfLocal local = hf_local(zone, floor_seconds(time));
  return !schedule->automatic ||
         (hf_window_open_at(&schedule->window, &local) && hf_window_open_at(second_window(schedule), &local));
}

gint64 hf_schedule_window_end(const HfSchedule *schedule, GTimeZone *zone, gint64 time)
{
  if (!schedule->automatic)
    return -1;
  gint64 closed = hf_windows_find(&schedule->window, second_window(schedule), zone, floor_seconds(time), FALSE);
  return closed < 0 ? -1 : MAX(closed * G_USEC_PER_SEC, time);
}

const char *hf_schedule_after_job(const HfSchedule *schedule)
{
  return schedule->automatic ? schedule->after_job : NULL;
}

gboolean hf_schedule_continuous(const HfSchedule *schedule)
{
  return schedule->automatic && schedule->continuous.on;
}

gboolean hf_schedule_runs_missed(const HfSchedule *schedule)
{
  return !schedule->skip_missed;
}

guint hf_schedule_retries(const HfSchedule *schedule, gint64 *wait)
{
  *wait = schedule->retry_wait;
  return schedule->automatic ? schedule->retries : 0;
}

static const char *unit_of(gint64 period, gint64 *count)
{
  static const struct {
    gint64 seconds;
    const char *name;
  } units[] = {{DAY_SECONDS, "day"}, {3600, "hour"}, {60, "minute"}, {1, "second"}};
  gsize i = 0;
  while (period % units[i].seconds != 0)
    i++;
  *count = period / units[i].seconds;
  return units[i].name;
}

char *hf_schedule_text(const HfSchedule *schedule)
{
  g_autoptr(GPtrArray) parts = g_ptr_array_new_with_free_func(g_free);
  const int daily = schedule->daily.seconds, monthly = schedule->monthly.seconds;
  if (schedule->daily.on)
    g_ptr_array_add(parts, g_strdup_printf("%s at %02d:%02d", schedule->daily.days == 0x7f ? "daily" : "on some days",
                                           daily / 3600, daily / 60 % 60));
  if (schedule->monthly.on)
    g_ptr_array_add(parts, g_strdup_printf("monthly at %02d:%02d", monthly / 3600, monthly / 60 % 60));
  if (schedule->periodic.on) {
    gint64 count = 0;
    const char *unit = unit_of(schedule->periodic.period, &count);
    g_ptr_array_add(parts, count == 1 ? g_strdup_printf("every %s", unit)
                                      : g_strdup_printf("every %" G_GINT64_FORMAT " %ss", count, unit));
  }
  if (schedule->continuous.on)
    g_ptr_array_add(parts, g_strdup("continuously"));
  if (schedule->after_job != NULL)
    g_ptr_array_add(parts, g_strdup_printf("after job '%s'", schedule->after_job));
  if (!schedule->automatic || parts->len == 0)
    return g_strdup("not scheduled");
  g_ptr_array_add(parts, NULL);
  return g_strjoinv(", ", (char **)parts->pdata);
}
