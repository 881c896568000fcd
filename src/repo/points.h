/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Restore points: listing, naming, retention, forgetting (format.md 9). */
#pragma once

#include "repo/repo.h"

typedef struct HfPointInfo {
  HfPoint point;
  HfPointDetails *details; /* NULL without keys or when it cannot be opened */
  gboolean known_signer, future;
  gboolean removed_signer; /* its writer was removed later */
  gboolean locked;         /* by its lock and repo->running_seconds, when it was loaded */
  guint8 digits;           /* of the id, as many as tell it apart from the others; 0 counts as 8 */
} HfPointInfo;
void hf_point_info_free(HfPointInfo *info);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfPointInfo, hf_point_info_free)

/* All points, oldest first (sequence, time, id), committed ones of unfinished sessions included, tombstoned ones not.
 * Points whose three copies are all damaged are warned about by the report, never silently dropped, and counted in
 * *damaged (may be NULL). Elements HfPointInfo*, freed with the array. */
GPtrArray *hf_points_load(HfRepo *repo, guint *damaged, GError **error);

/* POINT of the command line: an id prefix (4 or more hex digits), `latest`, NAME, NAME@latest, NAME@TIME (newest at
 * or before). Ambiguity is HF_ERROR_USAGE with all meanings: an id prefix of several points, or a name that several
 * enrolled writers use (points of removed writers count when there are no others). Nothing found: HF_ERROR_NOT_FOUND
 * with the nearest names. Unknown signers and points from the future are only found by id. The result is borrowed
 * from `points`. */
HfPointInfo *hf_points_resolve(GPtrArray *points, const char *spec, GError **error);
/* Names may not look like ids (4 or more hex digits only), hold '@' or control characters, be "latest" or empty. */
gboolean hf_point_name_valid(const char *name, GError **error);
/* First 8 hex digits of the id, or as many as tell it apart from the others that were loaded with it. */
void hf_point_short_name(const HfPointInfo *info, char out[33]);

/* ---- Retention. ---- */
typedef struct HfKeepRules {
  guint last, hourly, daily, weekly, monthly, yearly;
  gint64 within_ns; /* 0: not given */
} HfKeepRules;
gboolean hf_keep_rules_empty(const HfKeepRules *rules);
/* "30d", "12h", "2w", "6m", "1y" and sums "1y6m"; months are 30 days, years 365. */
gboolean hf_keep_parse_within(const char *text, gint64 *ns, GError **error);
typedef struct HfKeepDecision {
  HfPointInfo *info; /* borrowed */
  gboolean keep;
  const char *reason; /* "last", "daily", "locked", "last of its name", ... static */
} HfKeepDecision;
/* Judges by the service's sequence and time, apart for each name and writer (the source stands for a name that cannot
 * be read); only points that pass `name` (NULL: all). Buckets (hour, day, ISO week, month, year) are of local time;
 * in each the newest point is kept. `within` counts back from the newest point of the name. Unknown signers and
 * points from the future never count and are kept. With `all` FALSE the newest point of each name is always kept.
 * Elements HfKeepDecision, oldest first. Pure, but for the local time zone. */
GArray *hf_points_apply_rules(GPtrArray *points, const HfKeepRules *rules, const char *name, gboolean all);

/* A lock counts the running time of the service that keeps the repository: to who is not that service it never ends. */
gboolean hf_point_is_locked(const HfRepo *repo, const HfPoint *point);
/* The time of the newest point of a writer that is not more than a day in the future; 0: there is none. A writer that
 * is removed as of then or later has its points known, also where the clock of who stamped them is ahead of ours. */
gboolean hf_points_last_time(HfRepo *repo, const HfShortId *writer, gint64 *time, GError **error);
/* Forgets: tombstone first, then the copies. HF_ERROR_REFUSED for a locked point. Works on a full store. */
gboolean hf_points_forget(HfRepo *repo, const HfPointInfo *info, GError **error);
