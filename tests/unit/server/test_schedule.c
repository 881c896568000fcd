/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Schedules beside an independent reckoning that knows nothing of days and periods: it walks minute by minute and asks
 * the calendar of each minute (GDateTime) whether a start is due then.
 */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "server/schedule/schedule.h"

#define MINUTE_US (60 * G_GINT64_CONSTANT(1000000))
#define HOUR_US (60 * MINUTE_US)
#define DAY_US (24 * HOUR_US)
#define ALL_DAY "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1"
#define NIGHT "1,1,1,1,1,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1,1"
#define NEVER "0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0"

static GTimeZone *zone_of(const char *name)
{
  GTimeZone *zone = g_time_zone_new_identifier(name);
  g_assert_nonnull(zone);
  return zone;
}

/* "2026-03-29 01:30" in UTC. */
static gint64 utc(const char *text)
{
  int year, month, day, hour, minute;
  g_assert_cmpint(sscanf(text, "%d-%d-%d %d:%d", &year, &month, &day, &hour, &minute), ==, 5);
  g_autoptr(GDateTime) time = g_date_time_new_utc(year, month, day, hour, minute, 0);
  return g_date_time_to_unix(time) * G_USEC_PER_SEC;
}

static HfSchedule *parsed(const char *json)
{
  GError *error = NULL;
  HfSchedule *schedule = hf_schedule_parse(json, &error);
  g_assert_no_error(error);
  return schedule;
}

static void check_next(const char *json, const char *zone_name, const char *after, const char *wanted)
{
  g_autoptr(HfSchedule) schedule = parsed(json);
  g_autoptr(GTimeZone) zone = zone_of(zone_name);
  gint64 next = hf_schedule_next(schedule, zone, utc(after));
  if (wanted == NULL) {
    g_assert_cmpint(next, ==, -1);
    return;
  }
  g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(next / G_USEC_PER_SEC);
  g_autofree char *text = time == NULL ? NULL : g_date_time_format(time, "%Y-%m-%d %H:%M");
  g_assert_cmpstr(text, ==, wanted);
}

#define DAILY(time) "{\"runAutomatically\":true,\"daily\":{\"isEnabled\":true,\"localTime\":\"" time "\"}}"

/* ---- named cases ---- */

static void test_daily(void)
{
  check_next(DAILY("22:00"), "UTC", "2026-11-22 21:59", "2026-11-22 22:00");
  check_next(DAILY("22:00"), "UTC", "2026-11-22 22:00", "2026-11-23 22:00");
  check_next(DAILY("22:00:00"), "Europe/Berlin", "2026-11-22 10:00", "2026-11-22 21:00");
  check_next("{\"runAutomatically\":\"true\",\"daily\":{\"isEnabled\":true,\"localTime\":\"06:30\",\"dailyKind\":"
             "\"selecteddays\",\"days\":[\"monday\",\"Thursday\"]},\"monthly\":null}",
             "UTC", "2026-11-22 12:00", "2026-11-23 06:30");
  check_next("{\"runAutomatically\":true,\"daily\":{\"isEnabled\":true,\"localTime\":\"06:30\",\"dailyKind\":"
             "\"WeekDays\"}}",
             "UTC", "2026-11-20 12:00", "2026-11-23 06:30");
  check_next("{\"runAutomatically\":false,\"daily\":{\"isEnabled\":true}}", "UTC", "2026-11-20 12:00", NULL);
  check_next("{}", "UTC", "2026-11-20 12:00", NULL);
  check_next(NULL, "UTC", "2026-11-20 12:00", NULL);
}

/* Berlin: on 2026-03-29 02:00 becomes 03:00, on 2026-10-25 03:00 becomes 02:00. */
static void test_changes_of_the_clock(void)
{
  check_next(DAILY("02:30"), "Europe/Berlin", "2026-03-28 12:00", "2026-03-29 01:00"); /* does not exist: 03:00 */
  check_next(DAILY("02:30"), "Europe/Berlin", "2026-03-29 01:00", "2026-03-30 00:30");
  check_next(DAILY("02:30"), "Europe/Berlin", "2026-10-24 12:00", "2026-10-25 00:30"); /* exists twice: the first */
  check_next(DAILY("02:30"), "Europe/Berlin", "2026-10-25 00:30", "2026-10-26 01:30");
  /* Half an hour. */
  check_next(DAILY("02:15"), "Australia/Lord_Howe", "2026-10-03 12:00", "2026-10-03 15:30");
  /* Midnight itself does not exist. */
  check_next(DAILY("00:00"), "Africa/Cairo", "2026-04-23 12:00", "2026-04-23 22:00");
  check_next("{\"runAutomatically\":true,\"periodically\":{\"isEnabled\":true,\"periodicallyKind\":\"Hours\","
             "\"frequency\":2}}",
             "Europe/Berlin", "2026-03-29 00:30", "2026-03-29 01:00"); /* 0:00 and two real hours: 03:00 */
}

static void test_monthly(void)
{
#define MONTHLY(rest) "{\"runAutomatically\":true,\"monthly\":{\"isEnabled\":true,\"localTime\":\"04:00\"," rest "}}"
  check_next(MONTHLY("\"dayNumberInMonth\":\"Last\",\"dayOfWeek\":\"Sunday\""), "UTC", "2026-11-22 12:00",
             "2026-11-29 04:00");
  check_next(MONTHLY("\"dayNumberInMonth\":\"Second\",\"dayOfWeek\":\"Tuesday\""), "UTC", "2026-11-22 12:00",
             "2026-12-08 04:00");
  check_next(MONTHLY("\"dayNumberInMonth\":\"OnDay\",\"dayOfMonth\":31"), "UTC", "2026-11-22 12:00", "2026-12-31 "
                                                                                                     "04:00");
  check_next(MONTHLY("\"isLastDayOfMonth\":true,\"months\":[\"February\"]"), "UTC", "2026-11-22 12:00",
             "2027-02-28 04:00");
  check_next(MONTHLY("\"dayNumberInMonth\":\"First\""), "UTC", "2026-11-22 12:00", "2026-12-05 04:00");
  check_next(MONTHLY("\"dayNumberInMonth\":\"OnDay\",\"dayOfMonth\":30,\"months\":[\"February\"]"), "UTC",
             "2026-11-22 12:00", NULL);
}

#define PERIODIC(kind, count, rest) \
  "{\"runAutomatically\":true,\"periodically\":{\"isEnabled\":true,\"periodicallyKind\":\"" kind "\"," \
  "\"frequency\":" count \
  rest "}}"

static void test_periodic(void)
{
  check_next(PERIODIC("Minutes", "15", ""), "UTC", "2026-11-22 12:00", "2026-11-22 12:15");
  check_next(PERIODIC("Minutes", "15", ""), "UTC", "2026-11-22 23:50", "2026-11-23 00:00");
  check_next(PERIODIC("Hours", "5", ",\"startTimeWithinAnHour\":20"), "UTC", "2026-11-22 20:20", "2026-11-23 00:20");
  check_next(PERIODIC("Hours", "5", ",\"startTimeWithinAnHour\":20"), "UTC", "2026-11-22 20:19", "2026-11-22 20:20");
  check_next(PERIODIC("Seconds", "90", ""), "UTC", "2026-11-22 12:00", "2026-11-22 12:01");
  check_next(PERIODIC("Days", "1", ""), "UTC", "2026-11-22 12:00", "2026-11-23 00:00");
  check_next(PERIODIC("Minutes", "10", ",\"backupWindow\":{\"days\":[{\"day\":\"Monday\",\"hours\":\"" NIGHT "\"}]}"),
             "UTC", "2026-11-22 12:00", "2026-11-23 00:00");
  check_next(PERIODIC("Minutes", "10", ",\"backupWindow\":{\"days\":[{\"day\":\"Monday\",\"hours\":\"" NEVER "\"}]}"),
             "UTC", "2026-11-22 12:00", NULL);
  check_next(PERIODIC("Hours", "24", ",\"backupWindow\":{\"days\":[{\"day\":\"Monday\",\"hours\":"
                      "\"0,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0\"}]}"), "UTC", "2026-11-22 12:00", NULL);
}

static void test_rest(void)
{
  gint64 wait = 0;
  g_autoptr(GTimeZone) zone = zone_of("UTC");
  g_autoptr(HfSchedule) after = parsed("{\"runAutomatically\":true,\"afterThisJob\":{\"isEnabled\":true,\"jobName\":"
                                       "\"first\"},\"retry\":{\"isEnabled\":true,\"retryCount\":2,\"awaitMinutes\":7},"
                                       "\"missedRun\":\"Skip\"}");
  g_assert_cmpstr(hf_schedule_after_job(after), ==, "first");
  g_assert_cmpint(hf_schedule_next(after, zone, 0), ==, -1);
  g_assert_cmpuint(hf_schedule_retries(after, &wait), ==, 2);
  g_assert_cmpint(wait, ==, 7 * MINUTE_US);
  g_assert_false(hf_schedule_runs_missed(after));
  g_assert_false(hf_schedule_continuous(after));

  g_autoptr(HfSchedule) always = parsed("{\"runAutomatically\":true,\"continuously\":{\"isEnabled\":true,"
                                        "\"backupWindow\":"
                                        "{\"days\":[{\"day\":\"Sunday\",\"hours\":\"" NIGHT "\"}]}}}");
  g_assert_true(hf_schedule_continuous(always));
  g_assert_true(hf_schedule_runs_missed(always));
  gint64 night = utc("2026-11-22 05:30"), day = utc("2026-11-22 12:00");
  g_assert_cmpint(hf_schedule_next(always, zone, night), ==, night + 1);
  g_assert_cmpint(hf_schedule_next(always, zone, day), ==, utc("2026-11-22 22:00"));
  g_assert_true(hf_schedule_allowed(always, zone, night));
  g_assert_false(hf_schedule_allowed(always, zone, day));
  g_assert_cmpint(hf_schedule_window_end(always, zone, night), ==, utc("2026-11-22 06:00"));
  g_assert_cmpint(hf_schedule_window_end(always, zone, day), ==, day);

  g_autoptr(HfSchedule) none = parsed("");
  g_assert_true(hf_schedule_allowed(none, zone, day));
  g_assert_cmpint(hf_schedule_window_end(none, zone, day), ==, -1);
  g_assert_null(hf_schedule_after_job(none));
  g_assert_cmpuint(hf_schedule_retries(none, &wait), ==, 0);
  g_autoptr(HfSchedule) open = parsed(DAILY("01:00"));
  g_assert_cmpint(hf_schedule_window_end(open, zone, day), ==, -1);
}

static void check_text(const char *json, const char *wanted)
{
  g_autoptr(HfSchedule) schedule = parsed(json);
  g_autofree char *text = hf_schedule_text(schedule);
  g_assert_cmpstr(text, ==, wanted);
}

static void test_text(void)
{
  check_text(DAILY("22:05"), "daily at 22:05");
  check_text(PERIODIC("Minutes", "90", ""), "every 90 minutes");
  check_text(PERIODIC("Hours", "1", ""), "every hour");
  check_text(PERIODIC("Days", "2", ""), "every 2 days");
  check_text(PERIODIC("Seconds", "30", ""), "every 30 seconds");
  check_text("{}", "not scheduled");
  check_text("{\"runAutomatically\":true,\"daily\":{\"isEnabled\":true,\"dailyKind\":\"WeekDays\"},"
             "\"monthly\":{\"isEnabled\":"
             "true,\"localTime\":\"03:00\"},\"continuously\":{\"isEnabled\":true},\"afterThisJob\":{\"isEnabled\":true,"
             "\"jobName\":\"a\"}}",
             "on some days at 00:00, monthly at 03:00, continuously, after job 'a'");
}

static void test_wrong(void)
{
  static const char *const wrong[] = {
    "[]", "{", "3", DAILY("24:00"), DAILY("22"), DAILY("22:00x"), DAILY("22:00:00 PM"),
    "{\"daily\":{\"localTime\":5}}", "{\"daily\":{\"dailyKind\":\"Sometimes\"}}",
        "{\"daily\":{\"days\":[\"Someday\"]}}",
    "{\"monthly\":{\"dayNumberInMonth\":\"Fifth\"}}", "{\"monthly\":{\"dayOfMonth\":32}}",
    "{\"monthly\":{\"months\":[\"Brumaire\"]}}", "{\"monthly\":{\"dayOfWeek\":1}}",
    PERIODIC("Minutes", "0", ""), PERIODIC("Weeks", "1", ""), PERIODIC("Hours", "1", ",\"startTimeWithinAnHour\":60"),
    "{\"periodically\":{\"backupWindow\":{\"days\":5}}}",
    "{\"periodically\":{\"backupWindow\":{\"days\":[{\"hours\":\"" ALL_DAY "\"}]}}}",
    "{\"periodically\":{\"backupWindow\":{\"days\":[{\"day\":\"Monday\",\"hours\":\"1,1\"}]}}}",
    "{\"continuously\":{\"backupWindow\":{\"days\":[{\"day\":\"Monday\",\"hours\":\"" ALL_DAY ",1\"}]}}}",
    "{\"backupWindow\":{\"isEnabled\":true,\"backupWindow\":{\"days\":[{\"day\":\"X\"}]}}}",
    "{\"afterThisJob\":{\"isEnabled\":true}}", "{\"retry\":{\"retryCount\":-1}}",
        "{\"retry\":{\"awaitMinutes\":\"x\"}}",
    "{\"missedRun\":\"Maybe\"}",
  };
  for (gsize i = 0; i < G_N_ELEMENTS(wrong); i++) {
    g_autoptr(GError) error = NULL;
    if (hf_schedule_parse(wrong[i], &error) != NULL)
      g_error("'%s' was taken", wrong[i]);
    g_assert_error(error, HF_ERROR, HF_ERROR_USAGE);
  }
  g_autoptr(GError) error = NULL;
  g_assert_null(hf_window_parse("[", &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_USAGE);
}

/* ---- windows ---- */

static void test_window(void)
{
  g_autoptr(GTimeZone) zone = zone_of("Europe/Berlin");
  g_autoptr(HfWindow) window = hf_window_parse("{\"days\":[{\"day\":\"Sunday\",\"hours\":\"" NIGHT "\"}]}", NULL);
  /* Sunday 2026-10-25 has 25 hours: hours 0 to 5 last seven. */
  g_assert_true(hf_window_open(window, zone, utc("2026-10-24 22:00")));
  g_assert_cmpint(hf_window_next_change(window, zone, utc("2026-10-24 22:00")), ==, utc("2026-10-25 05:00"));
  g_assert_cmpint(hf_window_next_change(window, zone, utc("2026-10-25 05:00")), ==, utc("2026-10-25 21:00"));
  g_autoptr(HfWindow) open = hf_window_parse(NULL, NULL);
  g_assert_true(hf_window_open(open, zone, 0));
  g_assert_cmpint(hf_window_next_change(open, zone, 0), ==, -1);
  g_autoptr(HfWindow) empty = hf_window_parse("{\"days\":[]}", NULL);
  g_assert_true(hf_window_open(empty, zone, -1));
}

/* ---- the independent reckoning ---- */

typedef struct Case {
  int hour, minute;          /* of daily and monthly */
  gboolean daily, monthly, periodic, limited;
  guint days, months, hours; /* hours: open every day */
  int number, weekday, in_month;
  int period, offset;        /* minutes */
} Case;

static char *hours_text(guint hours)
{
  GString *text = g_string_new(NULL);
  for (guint i = 0; i < 24; i++)
    g_string_append_printf(text, "%s%u", i == 0 ? "" : ",", hours >> i & 1);
  return g_string_free(text, FALSE);
}

static const char *const weekdays[] = {"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"};
static const char *const months[] = {"January", "February", "March",     "April",   "May",      "June",
                                     "July",    "August",   "September", "October", "November", "December"};
static const char *const numbers[] = {"First", "Second", "Third", "Fourth", "Last", "OnDay"};

static void add_names(GString *json, const char *const *names, guint n_names, guint bits)
{
  const char *comma = "";
  for (guint i = 0; i < n_names; i++)
    if (bits >> i & 1) {
      g_string_append_printf(json, "%s\"%s\"", comma, names[i]);
      comma = ",";
    }
}

static char *case_json(const Case *c)
{
  GString *json = g_string_new("{\"runAutomatically\":true");
  g_string_append_printf(json, ",\"daily\":{\"isEnabled\":%s,\"localTime\":\"%02d:%02d\",\"dailyKind\":"
                               "\"SelectedDays\","
                               "\"days\":[", c->daily ? "true" : "false", c->hour, c->minute);
  add_names(json, weekdays, 7, c->days);
  g_string_append_printf(json, "]},\"monthly\":{\"isEnabled\":%s,\"localTime\":\"%02d:%02d\","
                               "\"dayNumberInMonth\":\"%s\","
                               "\"dayOfWeek\":\"%s\",\"dayOfMonth\":%d,\"isLastDayOfMonth\":%s,\"months\":[",
                         c->monthly ? "true" : "false", c->hour, c->minute, numbers[c->number], weekdays[c->weekday],
                         MAX(c->in_month, 1), c->number == 5 && c->in_month == 0 ? "true" : "false");
  add_names(json, months, 12, c->months);
  g_string_append_printf(json, "]},\"periodically\":{\"isEnabled\":%s,\"periodicallyKind\":\"Minutes\","
                               "\"frequency\":%d,"
                               "\"startTimeWithinAnHour\":%d}", c->periodic ? "true" : "false", c->period, c->offset);
  if (c->limited) {
    g_autofree char *hours = hours_text(c->hours);
    g_string_append(json, ",\"backupWindow\":{\"isEnabled\":true,\"backupWindow\":{\"days\":[");
    for (guint i = 0; i < 7; i++)
      g_string_append_printf(json, "%s{\"day\":\"%s\",\"hours\":\"%s\"}", i == 0 ? "" : ",", weekdays[i], hours);
    g_string_append(json, "]}}");
  }
  g_string_append_c(json, '}');
  return g_string_free(json, FALSE);
}

static gboolean month_day_fits(const Case *c, GDateTime *date)
{
  int day = g_date_time_get_day_of_month(date);
  g_autoptr(GDateTime) tomorrow = g_date_time_add_days(date, 1);
  g_autoptr(GDateTime) next_week = g_date_time_add_days(date, 7);
  int month = g_date_time_get_month(date);
  if ((c->months >> (month - 1) & 1) == 0)
    return FALSE;
  if (c->number == 5)
    return c->in_month == 0 ? g_date_time_get_month(tomorrow) != month : day == c->in_month;
  if (g_date_time_get_day_of_week(date) != c->weekday + 1)
    return FALSE;
  return c->number == 4 ? g_date_time_get_month(next_week) != month : day > c->number * 7 && day <= c->number * 7 + 7;
}

/* Is the wall clock's HH:MM passed or reached in this minute for the first time on this calendar day? `before` is the
 * minute before; a gap passes times without showing them. */
static gboolean reached(const Case *c, GDateTime *before, GDateTime *now)
{
  int wanted = c->hour * 60 + c->minute;
  int shows = g_date_time_get_hour(now) * 60 + g_date_time_get_minute(now);
  int showed = g_date_time_get_hour(before) * 60 + g_date_time_get_minute(before);
  gboolean same_day = g_date_time_get_day_of_month(now) == g_date_time_get_day_of_month(before);
  if (!same_day)
    showed = -1;
  if (shows < wanted || showed >= wanted)
    return FALSE;
  /* A clock that was set back passes it again: only the first counts. */
  g_autoptr(GDateTime) hours_ago = g_date_time_add_hours(now, -2);
  for (int i = 0; i < 120; i++) {
    g_autoptr(GDateTime) earlier = g_date_time_add_minutes(hours_ago, i);
    if (g_date_time_get_day_of_month(earlier) == g_date_time_get_day_of_month(now) &&
        g_date_time_get_hour(earlier) * 60 + g_date_time_get_minute(earlier) >= wanted)
      return FALSE;
  }
  return TRUE;
}

/* Walks from `after` for at most `days`; -1 when nothing comes. `midnight` is counted along. */
static gint64 brute_force(const Case *c, GTimeZone *zone, gint64 after, int days)
{
  g_autoptr(GDateTime) start = g_date_time_new_from_unix_utc(after / G_USEC_PER_SEC - 2 * 86400);
  g_autoptr(GDateTime) before = g_date_time_to_timezone(start, zone);
  gint64 since_midnight = G_MININT;
  for (gint64 at = after - 2 * DAY_US + MINUTE_US; at < after + days * DAY_US; at += MINUTE_US) {
    g_autoptr(GDateTime) clock = g_date_time_new_from_unix_utc(at / G_USEC_PER_SEC);
    g_autoptr(GDateTime) now = g_date_time_to_timezone(clock, zone);
    since_midnight = g_date_time_get_day_of_month(now) != g_date_time_get_day_of_month(before) ? 0 : since_midnight + 1;
    gboolean due = c->periodic && since_midnight >= c->offset && (since_midnight - c->offset) % c->period == 0;
    if (at > after && (c->daily || c->monthly) && reached(c, before, now))
      due = due || (c->daily && c->days >> (g_date_time_get_day_of_week(now) - 1) & 1) ||
            (c->monthly && month_day_fits(c, now));
    if (at > after && due && (!c->limited || c->hours >> g_date_time_get_hour(now) & 1))
      return at;
    g_date_time_unref(before);
    before = g_steal_pointer(&now);
  }
  return -1;
}

static void random_case(Case *c)
{
  memset(c, 0, sizeof *c);
  int kind = g_test_rand_int_range(0, 4);
  c->daily = kind == 0 || kind == 3;
  c->monthly = kind == 1 || kind == 3;
  c->periodic = kind == 2;
  /* Times around the changes of clocks come often. */
  c->hour = g_test_rand_int_range(0, 2) == 0 ? g_test_rand_int_range(0, 4) : g_test_rand_int_range(0, 24);
  c->minute = g_test_rand_int_range(0, 4) * 15;
  c->days = (guint)g_test_rand_int_range(1, 128);
  c->months = (guint)g_test_rand_int_range(1, 4096);
  c->number = g_test_rand_int_range(0, 6);
  c->weekday = g_test_rand_int_range(0, 7);
  c->in_month = g_test_rand_int_range(0, 32);
  c->period = g_test_rand_int_range(1, 1500);
  c->offset = g_test_rand_int_range(0, 60);
  c->limited = g_test_rand_int_range(0, 3) == 0;
  c->hours = (guint)g_test_rand_int_range(1, 1 << 24);
}

static void test_brute_force(void)
{
  /* Moments of 2026 (UTC) around which clocks of these zones change. */
  static const struct {
    const char *zone, *change;
  } places[] = {
    {"Europe/Berlin", "2026-03-29 01:00"},        {"Europe/Berlin", "2026-10-25 01:00"},
    {"America/New_York", "2026-03-08 07:00"},     {"America/New_York", "2026-11-01 06:00"},
    {"Australia/Lord_Howe", "2026-04-04 15:00"},  {"Australia/Lord_Howe", "2026-10-03 15:30"},
    {"Africa/Cairo", "2026-04-23 22:00"},         {"Africa/Cairo", "2026-10-29 21:00"},
    {"Asia/Kathmandu", "2026-06-01 00:00"},       {"UTC", "2026-12-31 23:00"},
  };
  guint found = 0;
  guint times = g_test_thorough() ? 2000 : 300;
  for (guint i = 0; i < times; i++) {
    gsize place = (gsize)g_test_rand_int_range(0, G_N_ELEMENTS(places));
    g_autoptr(GTimeZone) zone = zone_of(places[place].zone);
    Case c;
    random_case(&c);
    gint64 after = utc(places[place].change) + g_test_rand_int_range(-3000, 1500) * MINUTE_US;
    g_autofree char *json = case_json(&c);
    g_autoptr(HfSchedule) schedule = parsed(json);
    gint64 wanted = brute_force(&c, zone, after, 8), got = hf_schedule_next(schedule, zone, after);
    if (got > after + 8 * DAY_US - MINUTE_US)
      got = -1;
    found += wanted >= 0;
    if (got != wanted)
      g_error("%s %s + %d minutes: %s gives %" G_GINT64_FORMAT ", the walk %" G_GINT64_FORMAT, places[place].zone,
              places[place].change, (int)((after - utc(places[place].change)) / MINUTE_US), json, got / G_USEC_PER_SEC,
              wanted / G_USEC_PER_SEC);
  }
  g_test_message("%u schedules, %u of them with a start within 8 days", times, found);
  g_assert_cmpuint(found, >, times / 3);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/server/schedule/daily", test_daily);
  g_test_add_func("/server/schedule/changes-of-the-clock", test_changes_of_the_clock);
  g_test_add_func("/server/schedule/monthly", test_monthly);
  g_test_add_func("/server/schedule/periodic", test_periodic);
  g_test_add_func("/server/schedule/rest", test_rest);
  g_test_add_func("/server/schedule/text", test_text);
  g_test_add_func("/server/schedule/wrong", test_wrong);
  g_test_add_func("/server/schedule/window", test_window);
  g_test_add_func("/server/schedule/brute-force", test_brute_force);
  return g_test_run();
}
