/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Retention against a slow and obvious oracle. Local time is that of Berlin, where two days a year are 23 and 25
 * hours. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/error.h"
#include "repo/points.h"

#define SECOND_NS G_GINT64_CONSTANT(1000000000)
#define SETS 40
#define POINTS 500

static HfPointInfo *new_point(gint64 seconds, const char *name, guint8 writer, guint64 sequence)
{
  HfPointInfo *info = g_new0(HfPointInfo, 1);
  info->point.time = seconds * SECOND_NS + g_test_rand_int_range(0, 1000000000);
  info->point.sequence = sequence;
  info->point.writer.b[0] = writer;
  memset(info->point.source.b, name[0], sizeof info->point.source.b);
  for (guint i = 0; i < sizeof info->point.id.b; i++)
    info->point.id.b[i] = (guint8)g_test_rand_int_range(0, 256);
  info->known_signer = TRUE;
  info->details = hf_point_details_new();
  info->details->name = g_strdup(name);
  return info;
}

static GPtrArray *new_points(void)
{
  return g_ptr_array_new_with_free_func((GDestroyNotify)hf_point_info_free);
}

/* ---- The oracle: for each point and rule, look at all others. ---- */

static gboolean same_group(const HfPointInfo *a, const HfPointInfo *b)
{
  return a->point.writer.b[0] == b->point.writer.b[0] && g_str_equal(a->details->name, b->details->name);
}

static gboolean takes_part(const HfPointInfo *info)
{
  return info->known_signer && !info->future;
}

static gboolean is_newer(const HfPointInfo *a, const HfPointInfo *b)
{
  if (a->point.sequence != b->point.sequence)
    return a->point.sequence > b->point.sequence;
  if (a->point.time != b->point.time)
    return a->point.time > b->point.time;
  return memcmp(&a->point.id, &b->point.id, sizeof a->point.id) > 0;
}

/* What the bucket of a point is called by the C library; `kind` is the first letter of hour, day, week, month, year. */
static void bucket_name(const HfPointInfo *info, char kind, char out[64])
{
  time_t seconds = (time_t)(info->point.time / SECOND_NS);
  struct tm local;
  localtime_r(&seconds, &local);
  if (kind == 'h')
    strftime(out, 64, "%Y-%m-%d %H %z", &local);
  else if (kind == 'd')
    strftime(out, 64, "%Y-%m-%d", &local);
  else if (kind == 'w')
    strftime(out, 64, "%G-%V", &local);
  else
    strftime(out, 64, kind == 'm' ? "%Y-%m" : "%Y", &local);
}

/* Newest of its bucket, and fewer than `limit` buckets of newer points are before it. */
static gboolean kept_by_bucket(const GPtrArray *points, const HfPointInfo *info, char kind, guint limit)
{
  char own[64], other_name[64];
  g_autoptr(GHashTable) newer = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  bucket_name(info, kind, own);
  for (guint i = 0; i < points->len; i++) {
    const HfPointInfo *other = g_ptr_array_index(points, i);
    if (!takes_part(other) || !same_group(other, info) || !is_newer(other, info))
      continue;
    bucket_name(other, kind, other_name);
    if (g_str_equal(own, other_name))
      return FALSE;
    g_hash_table_add(newer, g_strdup(other_name));
  }
  return g_hash_table_size(newer) < limit;
}

static gboolean oracle(const GPtrArray *points, const HfPointInfo *info, const HfKeepRules *rules, gboolean all)
{
  guint newer = 0;
  const HfPointInfo *newest = info;
  if (!takes_part(info) || info->locked)
    return TRUE;
  for (guint i = 0; i < points->len; i++) {
    const HfPointInfo *other = g_ptr_array_index(points, i);
    if (!takes_part(other) || !same_group(other, info))
      continue;
    newer += is_newer(other, info);
    newest = is_newer(other, newest) ? other : newest;
  }
  return newer < rules->last || (newer == 0 && !all) ||
    (rules->within_ns > 0 && newest->point.time - info->point.time < rules->within_ns) ||
    kept_by_bucket(points, info, 'h', rules->hourly) || kept_by_bucket(points, info, 'd', rules->daily) ||
    kept_by_bucket(points, info, 'w', rules->weekly) || kept_by_bucket(points, info, 'm', rules->monthly) ||
    kept_by_bucket(points, info, 'y', rules->yearly);
}

/* Days on which a clock is put forward or back, ends of years whose ISO week is of another year, and any others. */
static gint64 random_second(void)
{
  static const gint64 starts[] = {
    1774738800, /* 2026-03-29 00:00 CET: 23 hours */
    1792879200, /* 2026-10-25 00:00 CEST: 25 hours */
    1767135600, /* 2025-12-31 */
    1798671600, /* 2026-12-31 */
    951778800,  /* 2000-02-29 */
  };
  guint which = (guint)g_test_rand_int_range(0, 8);
  if (which < G_N_ELEMENTS(starts))
    return starts[which] + g_test_rand_int_range(0, 3 * 86400);
  return 1700000000 + (gint64)g_test_rand_int_range(-1000000000, 100000000);
}

static guint random_count(void)
{
  return g_test_rand_bit() ? 0 : (guint)g_test_rand_int_range(0, 30);
}

static void test_oracle(void)
{
  static const char *const names[] = { "one", "two", "three" };
  guint kept = 0, dropped = 0;
  for (guint set = 0; set < SETS; set++) {
    g_autoptr(GPtrArray) points = new_points();
    gboolean dense = g_test_rand_bit(), ordered = g_test_rand_bit(), all = g_test_rand_bit();
    gint64 base = random_second();
    for (guint i = 0; i < POINTS; i++) {
      gint64 seconds = dense ? base + g_test_rand_int_range(0, 60 * 86400) : random_second();
      HfPointInfo *info = new_point(seconds, names[g_test_rand_int_range(0, 3)], (guint8)g_test_rand_int_range(0, 2),
                                    ordered ? (guint64)seconds : (guint64)g_test_rand_int_range(0, POINTS));
      info->known_signer = g_test_rand_int_range(0, 20) != 0;
      info->future = g_test_rand_int_range(0, 40) == 0;
      info->locked = g_test_rand_int_range(0, 40) == 0;
      g_ptr_array_add(points, info);
    }
    gint64 within = g_test_rand_bit() ? (gint64)g_test_rand_int_range(0, 90 * 86400) * SECOND_NS : 0;
    HfKeepRules rules = { random_count(), random_count(), random_count(), random_count(), random_count(),
                          random_count(), within };
    g_autoptr(GArray) decisions = hf_points_apply_rules(points, &rules, NULL, all);
    g_assert_cmpuint(decisions->len, ==, POINTS);
    for (guint i = 0; i < POINTS; i++) {
      const HfKeepDecision *decision = &g_array_index(decisions, HfKeepDecision, i);
      g_assert_true(decision->keep == oracle(points, decision->info, &rules, all));
      g_assert_true(decision->keep == (decision->reason != NULL));
      g_assert_true(i == 0 || is_newer(decision->info, g_array_index(decisions, HfKeepDecision, i - 1).info));
      kept += decision->keep;
      dropped += !decision->keep;
    }
  }
  g_test_message("%u kept, %u dropped", kept, dropped);
  g_assert_cmpuint(kept, >, 1000);
  g_assert_cmpuint(dropped, >, 1000);
}

/* ---- Single rules. ---- */

static void expect_kept(GPtrArray *points, const HfKeepRules *rules, const char *name, gboolean all,
                        const char *expected)
{
  g_autoptr(GArray) decisions = hf_points_apply_rules(points, rules, name, all);
  g_autoptr(GString) found = g_string_new(NULL);
  for (guint i = 0; i < decisions->len; i++) {
    const HfKeepDecision *decision = &g_array_index(decisions, HfKeepDecision, i);
    g_string_append_printf(found, "%s%s", i > 0 ? " " : "", decision->keep ? decision->reason : "-");
  }
  g_assert_cmpstr(found->str, ==, expected);
}

static void add_at(GPtrArray *points, const char *time, const char *name)
{
  gint64 ns;
  g_assert_true(hf_clock_parse(time, &ns, NULL));
  g_ptr_array_add(points, new_point(ns / SECOND_NS, name, 1, points->len + 1));
}

static void test_reasons(void)
{
  g_autoptr(GPtrArray) points = new_points();
  HfKeepRules none = { 0 }, last = { .last = 2 }, daily = { .daily = 2 }, weekly = { .weekly = 5 },
              yearly = { .yearly = 9 };
  HfKeepRules within = { .within_ns = 2 * 86400 * SECOND_NS }, monthly = { .monthly = 1 }, hourly = { .hourly = 1 };
  add_at(points, "2025-12-28T10:00", "one"); /* Sunday of week 52 */
  add_at(points, "2025-12-29T10:00", "one"); /* Monday of week 1 of 2026 */
  add_at(points, "2026-01-02T09:00", "one");
  add_at(points, "2026-01-02T10:00", "one");
  expect_kept(points, &none, NULL, FALSE, "- - - last of its name");
  expect_kept(points, &none, NULL, TRUE, "- - - -");
  expect_kept(points, &last, NULL, TRUE, "- - last last");
  expect_kept(points, &daily, NULL, TRUE, "- daily - daily");
  expect_kept(points, &weekly, NULL, TRUE, "weekly - - weekly");
  expect_kept(points, &monthly, NULL, TRUE, "- - - monthly");
  expect_kept(points, &yearly, NULL, TRUE, "- yearly - yearly");
  expect_kept(points, &hourly, NULL, TRUE, "- - - hourly");
  expect_kept(points, &within, NULL, TRUE, "- - within within");
  ((HfPointInfo *)g_ptr_array_index(points, 0))->locked = TRUE;
  ((HfPointInfo *)g_ptr_array_index(points, 1))->known_signer = FALSE;
  ((HfPointInfo *)g_ptr_array_index(points, 2))->future = TRUE;
  expect_kept(points, &none, NULL, TRUE, "locked unknown signer from the future -");
}

static void test_names(void)
{
  g_autoptr(GPtrArray) points = new_points();
  HfKeepRules none = { 0 }, last = { .last = 1 };
  add_at(points, "2026-01-01", "one");
  add_at(points, "2026-01-02", "two");
  add_at(points, "2026-01-03", "one");
  add_at(points, "2026-01-04", "two");
  expect_kept(points, &none, NULL, FALSE, "- - last of its name last of its name");
  expect_kept(points, &last, "two", TRUE, "- last");
  expect_kept(points, &last, "three", FALSE, "");
  /* Another writer's points of the same name are a group of their own. */
  ((HfPointInfo *)g_ptr_array_index(points, 0))->point.writer.b[0] = 2;
  expect_kept(points, &last, "one", TRUE, "last last");
  /* Without keys the source stands for the name, and no name passes. */
  for (guint i = 0; i < points->len; i++) {
    HfPointInfo *info = g_ptr_array_index(points, i);
    g_clear_pointer(&info->details, hf_point_details_free);
  }
  expect_kept(points, &last, NULL, TRUE, "last - last last");
  expect_kept(points, &last, "one", TRUE, "");
}

/* The hour from two to three comes twice. */
static void test_autumn(void)
{
  g_autoptr(GPtrArray) points = new_points();
  HfKeepRules hourly = { .hourly = 9 }, daily = { .daily = 9 };
  add_at(points, "2026-10-25T02:30+02:00", "one");
  add_at(points, "2026-10-25T02:40+02:00", "one");
  add_at(points, "2026-10-25T02:30+01:00", "one");
  add_at(points, "2026-10-25T23:30+01:00", "one");
  add_at(points, "2026-10-26T00:30+01:00", "one");
  expect_kept(points, &hourly, NULL, TRUE, "- hourly hourly hourly hourly");
  expect_kept(points, &daily, NULL, TRUE, "- - - daily daily");
}

static void test_rules(void)
{
  HfKeepRules rules = { 0 };
  g_assert_true(hf_keep_rules_empty(&rules));
  for (guint i = 0; i < 7; i++) {
    HfKeepRules one = { i == 0, i == 1, i == 2, i == 3, i == 4, i == 5, i == 6 };
    g_assert_false(hf_keep_rules_empty(&one));
  }
}

/* Times that a liar wrote. */
static void test_any_time(void)
{
  g_autoptr(GPtrArray) points = new_points();
  HfKeepRules rules = { 1, 1, 1, 1, 1, 1, G_MAXINT64 };
  static const gint64 times[] = { G_MININT64, -1, G_MAXINT64 };
  for (guint i = 0; i < 2 * G_N_ELEMENTS(times); i++) {
    HfPointInfo *info = new_point(0, "one", 1, i);
    info->point.time = times[i % G_N_ELEMENTS(times)];
    g_ptr_array_add(points, info);
  }
  expect_kept(points, &rules, NULL, TRUE, "- - within - - last");
}

static void test_within(void)
{
  static const struct {
    const char *text;
    gint64 seconds;
  } good[] = { { "1h", 3600 },        { "30d", 30 * 86400 },
               { "2w", 14 * 86400 },  { "6m", 180 * 86400 },
               { "1y", 365 * 86400 }, { "1y6m", 545 * 86400 },
               { "0d1h", 3600 },      { "292y", 292 * G_GINT64_CONSTANT(31536000) } };
  static const char *const bad[] = { "", "0d", "d", "1", "1x", "-1d", "1d ", "1.5d", "293y", "99999999999999999999d",
                                     "292y9999d", "1d2" };
  for (guint i = 0; i < G_N_ELEMENTS(good); i++) {
    gint64 ns;
    g_assert_true(hf_keep_parse_within(good[i].text, &ns, NULL));
    g_assert_cmpint(ns, ==, good[i].seconds * SECOND_NS);
  }
  for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
    g_autoptr(GError) error = NULL;
    gint64 ns;
    if (hf_keep_parse_within(bad[i], &ns, &error))
      g_error("'%s' was taken", bad[i]);
    g_assert_error(error, HF_ERROR, HF_ERROR_USAGE);
  }
}

int main(int argc, char **argv)
{
  g_setenv("TZ", "Europe/Berlin", TRUE);
  tzset();
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/retention/oracle", test_oracle);
  g_test_add_func("/retention/reasons", test_reasons);
  g_test_add_func("/retention/names", test_names);
  g_test_add_func("/retention/autumn", test_autumn);
  g_test_add_func("/retention/rules", test_rules);
  g_test_add_func("/retention/any-time", test_any_time);
  g_test_add_func("/retention/within", test_within);
  return g_test_run();
}
