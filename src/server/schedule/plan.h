/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A schedule once parsed, and the arithmetic of local time. Only the folder includes this. */
#pragma once

#include <jansson.h>

#include "server/schedule/schedule.h"

#define DAY_SECONDS 86400
#define QUARTER_SECONDS 900

struct HfWindow {
  gboolean limited; /* FALSE: always open */
  guint32 hours[7]; /* from Monday; bit h: the hour h is open */
};

typedef enum HfMonthDay {
  HF_MONTH_FIRST,
  HF_MONTH_SECOND,
  HF_MONTH_THIRD,
  HF_MONTH_FOURTH,
  HF_MONTH_LAST,
  HF_MONTH_ON_DAY,
} HfMonthDay;

struct HfSchedule {
  gboolean automatic;
  struct {
    gboolean on;
    int seconds; /* of the local day */
    guint days;  /* bits from Monday */
  } daily;
  struct {
    gboolean on;
    int seconds;
    HfMonthDay number;
    int weekday; /* 0: Monday */
    int day;     /* of ON_DAY: 1 to 31, 0: the last */
    guint months; /* bits from January */
  } monthly;
  struct {
    gboolean on;
    gint64 period; /* seconds; of whole days when a multiple of a day */
    gint64 days;   /* of the kind Days, else 0 */
    gint64 offset; /* seconds after midnight of the first start */
    HfWindow window;
  } periodic;
  struct {
    gboolean on;
    HfWindow window;
  } continuous;
  char *after_job; /* NULL: none */
  guint retries;
  gint64 retry_wait; /* microseconds */
  HfWindow window;
  gboolean skip_missed;
};

/* A moment as a local clock and calendar show it. */
typedef struct HfLocal {
  gint64 day;  /* since 1970-01-01 */
  int seconds; /* of the day */
  int weekday; /* 0: Monday */
} HfLocal;
HfLocal hf_local(GTimeZone *zone, gint64 utc_seconds);
/* The first moment whose local clock shows at least this: what header says about times that do not exist or exist
 * twice. Seconds since 1970 UTC. */
gint64 hf_local_moment(GTimeZone *zone, gint64 day, int seconds);

gboolean hf_window_parse_json(json_t *json, const char *what, HfWindow *window, GError **error);
gboolean hf_window_open_at(const HfWindow *window, const HfLocal *local);
/* The first moment (seconds) from `from` on in which both are open (`open`) or one is closed (not `open`); -1 when that
 * never comes. */
gint64 hf_windows_find(const HfWindow *a, const HfWindow *b, GTimeZone *zone, gint64 from, gboolean open);

/* ---- Lenient reading of what clients send: words in any case, "true" for true, null for missing. ---- */
gboolean hf_json_bool(json_t *object, const char *name);
/* The place of the member's text in `words`; `missing` when there is none; -1 with an error for another word. */
int hf_json_word(json_t *object, const char *name, const char *const *words, int missing, GError **error);
extern const char *const hf_weekday_names[], *const hf_month_names[];
