/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "api/value.h"

#include <string.h>

/* Days since 1970-01-01 of a date of the proleptic Gregorian calendar. Years begin in March here, so that the day that
 * is put in stands at the end. */
static gint64 days_of(gint64 year, int month, int day)
{
  year -= month <= 2;
  gint64 era = year / 400, of_era = year - era * 400;
  gint64 of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static void date_of(gint64 days, int *year, int *month, int *day)
{
  days += 719468;
  gint64 era = days / 146097, of_era = days - era * 146097;
  gint64 years = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  gint64 of_year = of_era - (365 * years + years / 4 - years / 100);
  gint64 shifted = (5 * of_year + 2) / 153;
  *day = (int)(of_year - (153 * shifted + 2) / 5 + 1);
  *month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
  *year = (int)(years + era * 400 + (*month <= 2));
}

#define FIRST_TIME (-G_GINT64_CONSTANT(62135596800) * G_USEC_PER_SEC) /* year 1 */
#define LAST_TIME (G_GINT64_CONSTANT(253402300800) * G_USEC_PER_SEC - 1) /* end of year 9999 */

static char *put_digits(char *at, guint value, guint n)
{
  for (guint i = n; i-- > 0; value /= 10)
    at[i] = (char)('0' + value % 10);
  return at + n;
}

void hf_api_time_text(gint64 microseconds, char text[HF_API_TIME_BYTES])
{
  const gint64 day_us = G_GINT64_CONSTANT(86400) * G_USEC_PER_SEC;
  gint64 time = CLAMP(microseconds, FIRST_TIME, LAST_TIME) - FIRST_TIME; /* never negative: divisions round down */
  int year, month, day;
  date_of(time / day_us + FIRST_TIME / day_us, &year, &month, &day);
  guint second = (guint)(time % day_us / G_USEC_PER_SEC);
  char *at = put_digits(text, (guint)year, 4);
  *at++ = '-';
  at = put_digits(at, (guint)month, 2);
  *at++ = '-';
  at = put_digits(at, (guint)day, 2);
  *at++ = 'T';
  at = put_digits(at, second / 3600, 2);
  *at++ = ':';
  at = put_digits(at, second / 60 % 60, 2);
  *at++ = ':';
  at = put_digits(at, second % 60, 2);
  *at++ = '.';
  at = put_digits(at, (guint)(time % G_USEC_PER_SEC), 6);
  memcpy(at, "+00:00", 7);
}

/* Takes exactly `n` digits and, unless 0, the byte that must follow. */
static gboolean take_digits(const char **at, guint n, char then, int *value)
{
  *value = 0;
  for (guint i = 0; i < n; i++, (*at)++) {
    if (!g_ascii_isdigit(**at))
      return FALSE;
    *value = *value * 10 + (**at - '0');
  }
  if (then == '\0')
    return TRUE;
  return *(*at)++ == then;
}

static gboolean take_fraction(const char **at, int *microseconds)
{
  *microseconds = 0;
  if (**at != '.' && **at != ',')
    return TRUE;
  int scale = 100000;
  const char *first = ++*at;
  for (; g_ascii_isdigit(**at); (*at)++, scale /= 10)
    *microseconds += (**at - '0') * scale;
  return *at > first;
}

static gboolean take_offset(const char **at, int *minutes)
{
  *minutes = 0;
  if (**at == '\0')
    return TRUE;
  char sign = *(*at)++;
  if (sign == 'Z' || sign == 'z')
    return **at == '\0';
  int hour, minute = 0;
  if ((sign != '+' && sign != '-' && sign != ' ') || !take_digits(at, 2, '\0', &hour))
    return FALSE;
  if (**at == ':')
    (*at)++;
  if (**at != '\0' && !take_digits(at, 2, '\0', &minute))
    return FALSE;
  *minutes = (hour * 60 + minute) * (sign == '-' ? -1 : 1);
  return **at == '\0' && hour <= 23 && minute <= 59;
}

static int days_in(int year, int month)
{
  static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
  gboolean leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return days[month - 1] + (month == 2 && leap);
}

gboolean hf_api_time_parse(const char *text, gint64 *microseconds)
{
  int year, month, day, hour = 0, minute = 0, second = 0, fraction = 0, offset = 0;
  if (!take_digits(&text, 4, '-', &year) || !take_digits(&text, 2, '-', &month) || !take_digits(&text, 2, '\0', &day))
    return FALSE;
  if (year < 1 || month < 1 || month > 12 || day < 1 || day > days_in(year, month))
    return FALSE;
  if (*text != '\0') {
    if (strchr("Tt ", *text++) == NULL || !take_digits(&text, 2, ':', &hour) || !take_digits(&text, 2, '\0', &minute))
      return FALSE;
    if (*text == ':') {
      text++;
      if (!take_digits(&text, 2, '\0', &second) || !take_fraction(&text, &fraction))
        return FALSE;
    }
    if (!take_offset(&text, &offset) || hour > 23 || minute > 59 || second > 60)
      return FALSE;
  }
  gint64 seconds = days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset * 60;
  *microseconds = seconds * G_USEC_PER_SEC + fraction;
  return TRUE;
}

gboolean hf_api_clock_valid(const char *text)
{
  int hour, minute, second = 0, fraction;
  if (!take_digits(&text, 2, ':', &hour) || !take_digits(&text, 2, '\0', &minute))
    return FALSE;
  if (*text == ':') {
    text++;
    if (!take_digits(&text, 2, '\0', &second) || !take_fraction(&text, &fraction))
      return FALSE;
  }
  return *text == '\0' && hour <= 23 && minute <= 59 && second <= 59;
}

gboolean hf_api_uuid_parse(const char *text, char id[37])
{
  gsize length = strlen(text);
  if (length == 38 && text[0] == '{' && text[37] == '}')
    text++;
  else if (length != 36)
    return FALSE;
  for (guint i = 0; i < 36; i++) {
    gboolean dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-' : !g_ascii_isxdigit(text[i]))
      return FALSE;
    id[i] = g_ascii_tolower(text[i]);
  }
  id[36] = '\0';
  return TRUE;
}

void hf_api_duration_text(gint64 microseconds, char text[HF_API_TIME_BYTES])
{
  gint64 seconds = MAX(microseconds, 0) / G_USEC_PER_SEC;
  gint64 days = seconds / 86400;
  guint rest = (guint)(seconds % 86400);
  if (days > 0)
    g_snprintf(text, HF_API_TIME_BYTES, "%" G_GINT64_FORMAT ".%02u:%02u:%02u", days, rest / 3600, rest / 60 % 60,
               rest % 60);
  else
    g_snprintf(text, HF_API_TIME_BYTES, "%02u:%02u:%02u", rest / 3600, rest / 60 % 60, rest % 60);
}

const char *hf_api_enum_stored(const HfApiEnum *members, const char *text)
{
  for (int era = HF_API_ERAS; era-- > 0;)
    for (guint i = 0; i < members->n_members; i++)
      if (g_ascii_strcasecmp(members->members[i].spelled[era], text) == 0)
        return members->members[i].stored;
  return NULL;
}

const char *hf_api_enum_spelled(const HfApiEnum *members, const char *stored, guint era)
{
  for (guint i = 0; i < members->n_members; i++)
    if (strcmp(members->members[i].stored, stored) == 0)
      return members->members[i].spelled[era];
  return stored;
}

int hf_api_version_find(const char *name)
{
  for (guint i = 0; i < hf_api_n_versions; i++)
    if (g_ascii_strcasecmp(hf_api_versions[i].name, name) == 0)
      return (int)i;
  return -1;
}
