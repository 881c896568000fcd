/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What points.c, retention.c, pointname.c and the sessions share. */
#pragma once

#include "repo/points.h"

/* Called for each point that has no tombstone, committed ones of unfinished sessions included, in no order. It may take
 * what `point` owns by clearing it. */
typedef gboolean (*HfPointFunc)(HfPoint *point, GBytes *record, gpointer user, GError **error);
/* `report` (may be NULL) is warned of points that cannot be read, and *damaged (may be NULL) counts them. */
gboolean hf_points_each(HfRepo *repo, HfReport *report, guint *damaged, HfPointFunc func, gpointer user,
                        GError **error);
/* Heals the copies of all points; those that have a tombstone lose their copies. */
gboolean hf_points_heal(HfRepo *repo, GError **error);
/* One more than the greatest sequence of all points, but those of the future. */
gboolean hf_points_next_sequence(HfRepo *repo, guint64 *sequence, GError **error);
gboolean hf_point_is_forgotten(HfStore *store, const HfShortId *point, gboolean *forgotten, GError **error);
/* Sets how many digits of its id tell each point apart from all others. */
void hf_points_count_digits(const GPtrArray *infos);
/* Oldest first: for g_ptr_array_sort of HfPointInfo*. */
gint hf_point_info_compare(gconstpointer a, gconstpointer b);
