/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/error.h"
#include "server/schedule/plan.h"

#define MINUTE_US (60 * G_USEC_PER_SEC)

const char *const hf_month_names[] = {"January", "February", "March",     "April",   "May",      "June", "July",
                                      "August",  "September", "October", "November", "December", NULL};

/* ---- lenient members ---- */

gboolean hf_json_bool(json_t *object, const char *name)
{
  json_t *value = json_object_get(object, name);
  return json_is_true(value) || (json_is_string(value) && g_ascii_strcasecmp(json_string_value(value), "true") == 0);
}

static int place_of(const char *text, const char *const *words)
{
  for (int i = 0; words[i] != NULL; i++)
    if (text != NULL && g_ascii_strcasecmp(words[i], text) == 0)
      return i;
  return -1;
}

int hf_json_word(json_t *object, const char *name, const char *const *words, int missing, GError **error)
{
  json_t *value = json_object_get(object, name);
  if (value == NULL || json_is_null(value))
    return missing;
  int place = place_of(json_string_value(value), words);
  if (place < 0) {
    g_autofree char *all = g_strjoinv(", ", (char **)words);
    hf_fail(error, HF_ERROR_USAGE, "the schedule's '%s' must be one of %s", name, all);
  }
  return place;
}

/* A list of words as bits; `missing` without the list. 0 with an error. */
static gboolean word_bits(json_t *object, const char *name, const char *const *words, guint missing, guint *bits,
                          GError **error)
{
  json_t *list = json_object_get(object, name);
  *bits = missing;
  if (list == NULL || json_is_null(list))
    return TRUE;
  *bits = 0;
  gsize index;
  json_t *entry;
  json_array_foreach(list, index, entry) {
    int place = place_of(json_string_value(entry), words);
    if (place < 0) {
      g_autofree char *all = g_strjoinv(", ", (char **)words);
      return hf_fail(error, HF_ERROR_USAGE, "the schedule's '%s' holds something else than %s", name, all);
    }
    *bits |= 1u << place;
  }
  return TRUE;
}

static gboolean number(json_t *object, const char *name, gint64 missing, gint64 low, gint64 high, gint64 *value,
                       GError **error)
{
  json_t *member = json_object_get(object, name);
  *value = missing;
  if (member == NULL || json_is_null(member))
    return TRUE;
  *value = json_integer_value(member);
  if (!json_is_integer(member) || *value < low || *value > high)
    return hf_fail(error, HF_ERROR_USAGE, "the schedule's '%s' must be a number from %" G_GINT64_FORMAT " to %"
                   G_GINT64_FORMAT, name, low, high);
  return TRUE;
}

/* "22:00", "22:00:30", "22:00:30.5" */
static gboolean clock_time(json_t *object, int *seconds, GError **error)
{
  json_t *member = json_object_get(object, "localTime");
  const char *text = json_string_value(member);
  guint hour = 0, minute = 0, second = 0;
  char rest = '\0';
  *seconds = 0;
  if (member == NULL || json_is_null(member))
    return TRUE;
  int found = text == NULL ? 0 : sscanf(text, "%2u:%2u:%2u%c", &hour, &minute, &second, &rest);
  if (found < 2 || (found == 2 && strlen(text) > 5) || (found == 4 && rest != '.') || hour > 23 || minute > 59 ||
      second > 59)
    return hf_fail(error, HF_ERROR_USAGE, "the schedule's 'localTime' must be HH:MM or HH:MM:SS");
  *seconds = (int)(hour * 3600 + minute * 60 + second);
  return TRUE;
}

/* ---- the parts ---- */

static gboolean parse_daily(json_t *json, HfSchedule *schedule, GError **error)
{
  static const char *const kinds[] = {"Everyday", "WeekDays", "SelectedDays", NULL};
  schedule->daily.on = hf_json_bool(json, "isEnabled");
  int kind = hf_json_word(json, "dailyKind", kinds, 0, error);
  if (kind < 0 || !clock_time(json, &schedule->daily.seconds, error) ||
      !word_bits(json, "days", hf_weekday_names, 0, &schedule->daily.days, error))
    return FALSE;
  if (kind < 2)
    schedule->daily.days = kind == 0 ? 0x7f : 0x1f;
  return TRUE;
}

static gboolean parse_monthly(json_t *json, HfSchedule *schedule, GError **error)
{
  static const char *const numbers[] = {"First", "Second", "Third", "Fourth", "Last", "OnDay", NULL};
  gint64 day = 0;
  schedule->monthly.on = hf_json_bool(json, "isEnabled");
  int place = hf_json_word(json, "dayNumberInMonth", numbers, HF_MONTH_FIRST, error);
  int weekday = hf_json_word(json, "dayOfWeek", hf_weekday_names, 5, error);
  if (place < 0 || weekday < 0 || !clock_time(json, &schedule->monthly.seconds, error) ||
      !number(json, "dayOfMonth", 1, 0, 31, &day, error) ||
      !word_bits(json, "months", hf_month_names, 0xfff, &schedule->monthly.months, error))
    return FALSE;
  schedule->monthly.number = (HfMonthDay)place;
  schedule->monthly.weekday = weekday;
  schedule->monthly.day = (int)day;
  if (hf_json_bool(json, "isLastDayOfMonth")) {
    schedule->monthly.number = HF_MONTH_ON_DAY;
    schedule->monthly.day = 0;
  }
  return TRUE;
}

static gboolean parse_periodic(json_t *json, HfSchedule *schedule, GError **error)
{
  static const char *const kinds[] = {"Seconds", "Minutes", "Hours", "Days", NULL};
  static const gint64 lengths[] = {1, 60, 3600, DAY_SECONDS};
  gint64 frequency = 0, minute = 0;
  schedule->periodic.on = hf_json_bool(json, "isEnabled");
  int kind = hf_json_word(json, "periodicallyKind", kinds, 2, error);
  if (kind < 0 || !number(json, "frequency", 1, 1, 100000, &frequency, error) ||
      !number(json, "startTimeWithinAnHour", 0, 0, 59, &minute, error) ||
      !hf_window_parse_json(json_object_get(json, "backupWindow"), "periodically", &schedule->periodic.window, error))
    return FALSE;
  schedule->periodic.period = frequency * lengths[kind];
  schedule->periodic.days = kind == 3 ? frequency : 0;
  schedule->periodic.offset = minute * 60;
  return TRUE;
}

static gboolean parse_rest(json_t *root, HfSchedule *schedule, GError **error)
{
  static const char *const missed[] = {"Run", "Skip", NULL};
  json_t *continuous = json_object_get(root, "continuously"), *window = json_object_get(root, "backupWindow");
  json_t *after = json_object_get(root, "afterThisJob"), *retry = json_object_get(root, "retry");
  gint64 count = 0, wait = 0;
  int policy = hf_json_word(root, "missedRun", missed, 0, error);
  schedule->continuous.on = hf_json_bool(continuous, "isEnabled");
  if (policy < 0 || !number(retry, "retryCount", 3, 0, 1000, &count, error) ||
      !number(retry, "awaitMinutes", 10, 0, 100000, &wait, error) ||
      !hf_window_parse_json(json_object_get(continuous, "backupWindow"), "continuously", &schedule->continuous.window,
                            error))
    return FALSE;
  if (hf_json_bool(window, "isEnabled") &&
      !hf_window_parse_json(json_object_get(window, "backupWindow"), "backupWindow", &schedule->window, error))
    return FALSE;
  if (hf_json_bool(after, "isEnabled")) {
    schedule->after_job = g_strdup(json_string_value(json_object_get(after, "jobName")));
    if (schedule->after_job == NULL || *schedule->after_job == '\0')
      return hf_fail(error, HF_ERROR_USAGE, "the schedule's 'afterThisJob' needs a 'jobName'");
  }
  schedule->skip_missed = policy == 1;
  schedule->retries = hf_json_bool(retry, "isEnabled") ? (guint)count : 0;
  schedule->retry_wait = wait * MINUTE_US;
  return TRUE;
}

HfSchedule *hf_schedule_parse(const char *json, GError **error)
{
  g_autoptr(HfSchedule) schedule = g_new0(HfSchedule, 1);
  if (json == NULL || *json == '\0')
    return g_steal_pointer(&schedule);
  json_t *root = json_loads(json, 0, NULL);
  gboolean good = json_is_object(root) || hf_fail(error, HF_ERROR_USAGE, "the schedule is no JSON object");
  schedule->automatic = hf_json_bool(root, "runAutomatically");
  good = good && parse_daily(json_object_get(root, "daily"), schedule, error) &&
         parse_monthly(json_object_get(root, "monthly"), schedule, error) &&
         parse_periodic(json_object_get(root, "periodically"), schedule, error) && parse_rest(root, schedule, error);
  json_decref(root);
  return good ? g_steal_pointer(&schedule) : NULL;
}

void hf_schedule_free(HfSchedule *schedule)
{
  if (schedule != NULL)
    g_free(schedule->after_job);
  g_free(schedule);
}
