/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Schedules and windows of hours as clients send them: a zone (1 byte), a moment (4 bytes, minutes since 1970), then
 * JSON. What was accepted holds to the promises of the header around that moment. */
#include "fuzz.h"
#include "server/schedule/schedule.h"

#define MONTHS_13 (G_GINT64_CONSTANT(400) * 86400 * G_USEC_PER_SEC)
#define MINUTES_MAX (130u * 366 * 24 * 60)

static GTimeZone *zone_of(guint8 number)
{
  static const char *const names[] = { "UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe" };
  static GTimeZone *zones[G_N_ELEMENTS(names)];
  number %= G_N_ELEMENTS(names);
  if (zones[number] == NULL) {
    zones[number] = g_time_zone_new_identifier(names[number]);
    g_assert_nonnull(zones[number]);
  }
  return zones[number];
}

static gboolean judge(gboolean done, GError **error)
{
  g_assert_true(done == (*error == NULL));
  g_assert_true(done || hf_error_is(*error, HF_ERROR_USAGE));
  g_clear_error(error);
  return done;
}

static void fuzz_schedule(const char *json, GTimeZone *zone, gint64 time)
{
  gint64 wait;
  GError *error = NULL;
  g_autoptr(HfSchedule) schedule = hf_schedule_parse(json, &error);
  if (!judge(schedule != NULL, &error))
    return;
  gint64 next = hf_schedule_next(schedule, zone, time), end = hf_schedule_window_end(schedule, zone, time);
  g_assert_true(next == -1 || (next > time && next < time + MONTHS_13));
  /* Whoever is asked again a moment before says the same. */
  g_assert_true(next == -1 || hf_schedule_continuous(schedule) || hf_schedule_next(schedule, zone, next - 1) == next);
  g_assert_true(end == -1 || end >= time);
  g_assert_true(end == -1 || !hf_schedule_allowed(schedule, zone, end));
  g_assert_true(end != time || !hf_schedule_allowed(schedule, zone, time));
  g_autofree char *text = hf_schedule_text(schedule);
  g_assert_true(*text != '\0');
  g_assert_true(hf_schedule_retries(schedule, &wait) <= 1000 && wait >= 0);
  g_assert_true(hf_schedule_after_job(schedule) == NULL || *hf_schedule_after_job(schedule) != '\0');
  hf_schedule_runs_missed(schedule);
}

static void fuzz_window(const char *json, GTimeZone *zone, gint64 time)
{
  GError *error = NULL;
  g_autoptr(HfWindow) window = hf_window_parse(json, &error);
  if (!judge(window != NULL, &error))
    return;
  gint64 change = hf_window_next_change(window, zone, time);
  if (change == -1)
    return;
  g_assert_true(change > time);
  g_assert_true(hf_window_open(window, zone, change) != hf_window_open(window, zone, time));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  if (size < 5)
    return 0;
  g_autofree char *json = g_strndup((const char *)data + 5, size - 5);
  GTimeZone *zone = zone_of(data[0]);
  gint64 time = (gint64)(hf_load_u32(data + 1) % MINUTES_MAX) * 60 * G_USEC_PER_SEC;
  fuzz_schedule(json, zone, time);
  fuzz_window(json, zone, time);
  return 0;
}
