/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * When does a job run next? A schedule is a JSON object, kept as the interface has it (every part may be missing):
 *
 *   {"runAutomatically": true,
 *    "daily": {"isEnabled": true, "localTime": "22:00", "dailyKind": "Everyday|WeekDays|SelectedDays",
 *              "days": ["Monday"]},
 *    "monthly": {"isEnabled": true, "localTime": "22:00", "dayNumberInMonth": "First|Second|Third|Fourth|Last|OnDay",
 *                "dayOfWeek": "Saturday", "dayOfMonth": 15, "isLastDayOfMonth": false, "months": ["January"]},
 *    "periodically": {"isEnabled": true, "periodicallyKind": "Seconds|Minutes|Hours|Days", "frequency": 15,
 *                     "startTimeWithinAnHour": 0, "backupWindow": WINDOW},
 *    "continuously": {"isEnabled": true, "backupWindow": WINDOW},
 *    "afterThisJob": {"isEnabled": true, "jobName": "..."},
 *    "retry": {"isEnabled": true, "retryCount": 3, "awaitMinutes": 10},
 *    "backupWindow": {"isEnabled": true, "backupWindow": WINDOW},
 *    "missedRun": "Run|Skip"}                       (ours; "Run" when missing)
 *   WINDOW = {"days": [{"day": "Monday", "hours": "0,0,1,...24 of them: 1 allowed, 0 denied"}]}; days that are missing
 *   are allowed when the WINDOW has no days at all, else denied.
 *
 * Times are local to the zone of the server. The clocks change twice a year: a time that does not exist that day runs
 * at the first moment after the gap; a time that exists twice runs at the first; periods count real minutes from the
 * local midnight; an hour of a window that exists twice is allowed or denied both times.
 *
 * Everything here but HfScheduler is pure. Times: microseconds since 1970 UTC.
 */
#pragma once

#include <glib.h>

typedef struct HfSchedule HfSchedule;
/* `json` NULL or "" or "{}": never runs by itself. HF_ERROR_USAGE naming the member that is wrong. */
HfSchedule *hf_schedule_parse(const char *json, GError **error);
void hf_schedule_free(HfSchedule *schedule);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfSchedule, hf_schedule_free)

/* The first start later than `after`, or -1 when there is none (within 13 months). Continuous jobs: the first allowed
 * moment after `after`, which is when the last run ended. Jobs after another: -1. */
gint64 hf_schedule_next(const HfSchedule *schedule, GTimeZone *zone, gint64 after);
/* May a run go on at `time` (the window of the job)? */
gboolean hf_schedule_allowed(const HfSchedule *schedule, GTimeZone *zone, gint64 time);
/* When a run that goes on at `time` has to be stopped: the end of the window, -1 for never, `time` itself outside. */
gint64 hf_schedule_window_end(const HfSchedule *schedule, GTimeZone *zone, gint64 time);
/* NULL unless it runs after another job: that job's name; the schedule's. */
const char *hf_schedule_after_job(const HfSchedule *schedule);
gboolean hf_schedule_continuous(const HfSchedule *schedule);
/* A run that was due while the server was down: TRUE when it is made up for at once. */
gboolean hf_schedule_runs_missed(const HfSchedule *schedule);
/* Retries: how many (0: none) and after how many microseconds. */
guint hf_schedule_retries(const HfSchedule *schedule, gint64 *wait);
/* Words for people: "daily at 22:00", "every 15 minutes", "after job 'x'", "not scheduled"; caller frees. */
char *hf_schedule_text(const HfSchedule *schedule);

/* A 7 x 24 matrix of hours by itself, as traffic rules have it. NULL or "" is always open. */
typedef struct HfWindow HfWindow;
HfWindow *hf_window_parse(const char *json, GError **error);
void hf_window_free(HfWindow *window);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfWindow, hf_window_free)
gboolean hf_window_open(const HfWindow *window, GTimeZone *zone, gint64 time);
/* The next change of hf_window_open later than `time`; -1 when it never changes. */
gint64 hf_window_next_change(const HfWindow *window, GTimeZone *zone, gint64 time);
