/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which points stay. Pure: points in, decisions out; only the time zone comes from outside. */
#include <string.h>

#include "base/error.h"
#include "repo/pointstate.h"

#define SECOND_NS G_GINT64_CONSTANT(1000000000)
#define HOUR 3600
#define DAY 86400

gboolean hf_keep_rules_empty(const HfKeepRules *rules)
{
  return rules->last == 0 && rules->hourly == 0 && rules->daily == 0 && rules->weekly == 0 && rules->monthly == 0 &&
    rules->yearly == 0 && rules->within_ns == 0;
}

static gint64 unit_seconds(char unit)
{
  switch (unit) {
  case 'h':
    return HOUR;
  case 'd':
    return DAY;
  case 'w':
    return 7 * DAY;
  case 'm':
    return 30 * DAY;
  case 'y':
    return 365 * DAY;
  default:
    return 0;
  }
}

gboolean hf_keep_parse_within(const char *text, gint64 *ns, GError **error)
{
  const gint64 limit = G_MAXINT64 / SECOND_NS;
  gint64 sum = 0;
  const char *at = text;
  gboolean valid = *at != '\0';
  while (valid && *at != '\0') {
    gint64 count = 0;
    valid = g_ascii_isdigit(*at);
    for (; valid && g_ascii_isdigit(*at); at++) {
      count = count * 10 + (*at - '0');
      valid = count <= limit;
    }
    gint64 unit = unit_seconds(*at);
    valid = valid && unit > 0 && count <= (limit - sum) / unit;
    if (valid) {
      sum += count * unit;
      at++;
    }
  }
  if (!valid || sum == 0)
    return hf_fail(error, HF_ERROR_USAGE, "'%s' is not a span of time; write for example 12h, 30d, 2w, 6m, 1y or 1y6m",
                   text);
  *ns = sum * SECOND_NS;
  return TRUE;
}

/* ---- Buckets. ---- */

typedef enum Bucket { BUCKET_HOUR, BUCKET_DAY, BUCKET_WEEK, BUCKET_MONTH, BUCKET_YEAR, BUCKETS } Bucket;

static const char *const reasons[BUCKETS] = { "hourly", "daily", "weekly", "monthly", "yearly" };

static gint64 floor_div(gint64 value, gint64 divisor)
{
  return value / divisor - (value % divisor < 0);
}

/* A number for each bucket of local time that `ns` lies in. */
static void bucket_keys(gint64 ns, gint64 keys[BUCKETS])
{
  gint64 seconds = floor_div(ns, SECOND_NS);
  g_autoptr(GDateTime) moment = g_date_time_new_from_unix_local(seconds);
  gint64 offset = g_date_time_get_utc_offset(moment) / G_USEC_PER_SEC, local = seconds + offset;
  /* The hour that comes twice when summer ends is two hours: they differ in their offset, below a day each way. */
  keys[BUCKET_HOUR] = floor_div(local, HOUR) * (2 * DAY) + offset + DAY;
  keys[BUCKET_DAY] = floor_div(local, DAY);
  /* Day 0 was a Thursday; ISO weeks begin on Monday. */
  keys[BUCKET_WEEK] = floor_div(keys[BUCKET_DAY] + 3, 7);
  keys[BUCKET_YEAR] = g_date_time_get_year(moment);
  keys[BUCKET_MONTH] = keys[BUCKET_YEAR] * 12 + g_date_time_get_month(moment);
}

/* ---- One name of one writer. ---- */

typedef struct Group {
  const HfKeepRules *rules;
  gboolean all;
  gint64 newest; /* time of the newest */
  guint counted;
  guint left[BUCKETS];
  GHashTable *used[BUCKETS]; /* keys of buckets that have their point */
} Group;

static void group_free(gpointer pointer)
{
  Group *group = pointer;
  for (guint i = 0; i < BUCKETS; i++)
    g_hash_table_unref(group->used[i]);
  g_free(group);
}

static Group *group_new(const HfKeepRules *rules, gboolean all)
{
  const guint counts[BUCKETS] = { rules->hourly, rules->daily, rules->weekly, rules->monthly, rules->yearly };
  Group *group = g_new0(Group, 1);
  group->rules = rules;
  group->all = all;
  for (guint i = 0; i < BUCKETS; i++) {
    group->left[i] = counts[i];
    group->used[i] = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
  }
  return group;
}

/* The first reason wins; every bucket is filled all the same. */
static void give_reason(HfKeepDecision *decision, const char *reason)
{
  decision->keep = TRUE;
  if (decision->reason == NULL)
    decision->reason = reason;
}

/* Times are a writer's word: they may be any. */
static gboolean is_within(gint64 time, gint64 newest, gint64 within)
{
  return within > 0 && (time >= newest || (guint64)newest - (guint64)time < (guint64)within);
}

/* Points come newest first. */
static void judge_in_group(Group *group, HfKeepDecision *decision)
{
  const HfPoint *point = &decision->info->point;
  gint64 keys[BUCKETS];
  gboolean first = group->counted == 0;
  if (first)
    group->newest = point->time;
  if (decision->info->locked)
    give_reason(decision, "locked");
  if (group->counted++ < group->rules->last)
    give_reason(decision, "last");
  bucket_keys(point->time, keys);
  for (guint i = 0; i < BUCKETS; i++) {
    if (group->left[i] == 0 || g_hash_table_contains(group->used[i], &keys[i]))
      continue;
    g_hash_table_add(group->used[i], g_memdup2(&keys[i], sizeof keys[i]));
    group->left[i]--;
    give_reason(decision, reasons[i]);
  }
  if (is_within(point->time, group->newest, group->rules->within_ns))
    give_reason(decision, "within");
  if (first && !group->all)
    give_reason(decision, "last of its name");
}

/* ---- All. ---- */

static gboolean passes(const HfPointInfo *info, const char *name)
{
  return name == NULL || (info->details != NULL && g_str_equal(info->details->name, name));
}

/* Name and writer; the source stands for a name that cannot be read. */
static char *group_key(const HfPointInfo *info)
{
  g_autofree char *writer = hf_hex(info->point.writer.b, sizeof info->point.writer.b);
  g_autofree char *source = hf_hex(info->point.source.b, sizeof info->point.source.b);
  return info->details != NULL ? g_strdup_printf("%s name %s", writer, info->details->name)
                               : g_strdup_printf("%s source %s", writer, source);
}

static Group *find_group(GHashTable *groups, const HfPointInfo *info, const HfKeepRules *rules, gboolean all)
{
  g_autofree char *key = group_key(info);
  Group *group = g_hash_table_lookup(groups, key);
  if (group == NULL) {
    group = group_new(rules, all);
    g_hash_table_insert(groups, g_steal_pointer(&key), group);
  }
  return group;
}

GArray *hf_points_apply_rules(GPtrArray *points, const HfKeepRules *rules, const char *name, gboolean all)
{
  g_autoptr(GHashTable) groups = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, group_free);
  g_autoptr(GPtrArray) sorted = g_ptr_array_copy(points, NULL, NULL);
  GArray *decisions = g_array_new(FALSE, TRUE, sizeof(HfKeepDecision));
  g_ptr_array_set_free_func(sorted, NULL);
  g_ptr_array_sort(sorted, hf_point_info_compare);
  for (guint i = 0; i < sorted->len; i++) {
    HfKeepDecision decision = { .info = g_ptr_array_index(sorted, i) };
    if (passes(decision.info, name))
      g_array_append_val(decisions, decision);
  }
  for (guint i = decisions->len; i-- > 0;) {
    HfKeepDecision *decision = &g_array_index(decisions, HfKeepDecision, i);
    if (!decision->info->known_signer)
      give_reason(decision, "unknown signer");
    else if (decision->info->future)
      give_reason(decision, "from the future");
    else
      judge_in_group(find_group(groups, decision->info, rules, all), decision);
  }
  return decisions;
}
