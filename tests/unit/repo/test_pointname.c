/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "repo/pointstate.h"

#define SECOND_NS G_GINT64_CONSTANT(1000000000)

/* ---- A list of points without a repository. ---- */

static guint64 sequence;

static HfPointInfo *add(GPtrArray *points, const char *id, const char *name, const char *time, guint8 writer)
{
  HfPointInfo *info = g_new0(HfPointInfo, 1);
  g_autofree char *padded = g_strdup_printf("%s%.*s", id, (int)(32 - strlen(id)), "77777777777777777777777777777777");
  g_assert_true(hf_unhex(padded, info->point.id.b, sizeof info->point.id.b));
  info->point.writer.b[0] = writer;
  info->point.sequence = ++sequence;
  g_assert_true(hf_clock_parse(time, &info->point.time, NULL));
  info->known_signer = TRUE;
  if (name != NULL) {
    info->details = hf_point_details_new();
    info->details->name = g_strdup(name);
    info->details->host = g_strdup_printf("host%u", writer);
  }
  g_ptr_array_add(points, info);
  return info;
}

static GPtrArray *new_points(void)
{
  return g_ptr_array_new_with_free_func((GDestroyNotify)hf_point_info_free);
}

static void expect(GPtrArray *points, const char *spec, const HfPointInfo *wanted)
{
  g_autoptr(GError) error = NULL;
  const HfPointInfo *found = hf_points_resolve(points, spec, &error);
  g_assert_no_error(error);
  g_assert_true(found == wanted);
}

static void expect_fail(GPtrArray *points, const char *spec, int code, const char *text)
{
  g_autoptr(GError) error = NULL;
  if (hf_points_resolve(points, spec, &error) != NULL)
    g_error("'%s' was found", spec);
  g_assert_error(error, HF_ERROR, code);
  if (strstr(error->message, text) == NULL)
    g_error("'%s' is not in: %s", text, error->message);
}

static void test_valid(void)
{
  g_autofree char *long_name = g_strnfill(256, 'x'), *longest = g_strnfill(255, 'x');
  const char *good[] = { "a", "abc", "dead-beef", "web server", "gr\xc3\xb6\xc3\x9f" "e", "latest1", "Latest", "123",
                         "a/b", longest };
  const char *bad[] = { "", "abcd", "DEADbeef", "1234", "latest", "a@b", "a\nb", "a\x7f" "b", "\xff", long_name };
  for (guint i = 0; i < G_N_ELEMENTS(good); i++)
    g_assert_true(hf_point_name_valid(good[i], NULL));
  for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
    g_autoptr(GError) error = NULL;
    g_assert_false(hf_point_name_valid(bad[i], &error));
    g_assert_error(error, HF_ERROR, HF_ERROR_USAGE);
  }
}

static void test_short_name(void)
{
  HfPointInfo info = { .digits = 0 };
  char out[33];
  memset(info.point.id.b, 0xab, sizeof info.point.id.b);
  hf_point_short_name(&info, out);
  g_assert_cmpstr(out, ==, "abababab");
  info.digits = 11;
  hf_point_short_name(&info, out);
  g_assert_cmpstr(out, ==, "ababababab" "a");
  info.digits = 200;
  hf_point_short_name(&info, out);
  g_assert_cmpuint(strlen(out), ==, 32);
}

static void test_digits(void)
{
  g_autoptr(GPtrArray) points = new_points();
  static const char *const ids[] = { "aaaaaaaaaaaa1", "b", "aaaaaaaaaaaa2", "aaaaaaaaa1", "ab" };
  static const guint8 digits[] = { 13, 8, 13, 10, 8 };
  for (guint i = 0; i < G_N_ELEMENTS(ids); i++)
    add(points, ids[i], "one", "2026-01-01", 1);
  HfPointInfo *near = add(points, "cccccccccccccccccccccccccccccccc", "one", "2026-01-01", 1);
  add(points, "cccccccccccccccccccccccccccccccd", "one", "2026-01-01", 1);
  hf_points_count_digits(points);
  for (guint i = 0; i < G_N_ELEMENTS(ids); i++)
    g_assert_cmpuint(((HfPointInfo *)g_ptr_array_index(points, i))->digits, ==, digits[i]);
  g_assert_cmpuint(near->digits, ==, 32);
}

static void test_by_id(void)
{
  g_autoptr(GPtrArray) points = new_points();
  HfPointInfo *a = add(points, "abcd11", "one", "2026-01-01", 1), *b = add(points, "abcd22", NULL, "2026-01-02", 1);
  HfPointInfo *future = add(points, "ffff11", "one", "2126-01-01", 1),
              *unknown = add(points, "eeee11", NULL, "2026-01-01", 9);
  future->future = TRUE;
  unknown->known_signer = FALSE;
  expect(points, "abcd1", a);
  expect(points, "ABCD2", b);
  expect(points, "ffff", future);
  expect(points, "eeee", unknown);
  expect_fail(points, "abcd", HF_ERROR_USAGE,
              "'abcd' means more than one point: 'abcd1177' (one of host host1, 2026-01-01");
  expect_fail(points, "abcd", HF_ERROR_USAGE, "'abcd2277' (2026-01-02");
  expect_fail(points, "abc", HF_ERROR_NOT_FOUND, "there is no point 'abc'; of an id, give 4 digits or more");
  expect_fail(points, "abz", HF_ERROR_NOT_FOUND, "there is no point 'abz'; there are points of 'one'");
  expect_fail(points, "dddd", HF_ERROR_NOT_FOUND, "there is no point 'dddd'");
  /* More than a prefix, and too long for an id. */
  g_autofree char *whole = hf_hex(a->point.id.b, sizeof a->point.id.b), *more = g_strconcat(whole, "7", NULL);
  expect(points, whole, a);
  expect_fail(points, more, HF_ERROR_NOT_FOUND, "there is no point");
  for (guint i = 0; i < 6; i++)
    add(points, "abcd33", "one", "2026-01-01", 1);
  expect_fail(points, "abcd", HF_ERROR_USAGE, "and 3 more");
}

static void test_latest(void)
{
  g_autoptr(GPtrArray) points = new_points();
  expect_fail(points, "latest", HF_ERROR_NOT_FOUND, "there is no point 'latest'; see 'holdfast points'");
  add(points, "a111", "one", "2026-01-01", 1);
  HfPointInfo *b = add(points, "b111", "two", "2026-01-02", 2), *c = add(points, "c111", "one", "2026-01-03", 1);
  expect(points, "latest", c);
  add(points, "d111", "one", "2126-01-03", 1)->future = TRUE;
  add(points, "e111", "one", "2026-01-04", 1)->known_signer = FALSE;
  expect(points, "latest", c);
  expect(points, "two", b);
  expect(points, "two@latest", b);
  /* The committer's order counts, not his clock. */
  HfPointInfo *early = add(points, "f111", "one", "2025-01-01", 1);
  expect(points, "latest", early);
  expect(points, "one", early);
}

static void test_by_time(void)
{
  g_autoptr(GPtrArray) points = new_points();
  HfPointInfo *a = add(points, "a111", "one", "2026-01-01T10:00", 1),
              *b = add(points, "b111", "one", "2026-01-01T12:00", 1);
  add(points, "c111", NULL, "2026-01-01T13:00", 1);
  expect(points, "one@2026-01-01T10:00", a);
  expect(points, "one@2026-01-01T11:59", a);
  expect(points, "one@2026-01-01", b);
  expect(points, "one@2027-01-01", b);
  expect_fail(points, "one@2026-01-01T09:59", HF_ERROR_NOT_FOUND, "there is no point 'one@2026-01-01T09:59'");
  expect_fail(points, "one@yesterday", HF_ERROR_USAGE, "'yesterday' is not a time");
  expect_fail(points, "one@", HF_ERROR_USAGE, "'' is not a time");
  expect_fail(points, "@latest", HF_ERROR_NOT_FOUND, "there is no point '@latest'");
}

/* A host that uses the name of another cannot put its point in the other's place. */
static void test_two_writers(void)
{
  g_autoptr(GPtrArray) points = new_points();
  HfPointInfo *owner = add(points, "a111", "www", "2026-01-01", 1);
  expect(points, "www", owner);
  HfPointInfo *other = add(points, "b111", "www", "2026-01-02", 2);
  expect_fail(points, "www", HF_ERROR_USAGE, "'www' means more than one point: 'b1117777' (www of host host2");
  expect_fail(points, "www@latest", HF_ERROR_USAGE, "'a1117777' (www of host host1");
  expect(points, "www@2026-01-01", owner);
  /* Was it removed since, it no longer counts where there are others. */
  other->removed_signer = TRUE;
  expect(points, "www", owner);
  owner->removed_signer = TRUE;
  expect(points, "www", other);
  expect(points, "latest", other);
}

/* Both meanings of what could be an id and is a name. */
static void test_both_meanings(void)
{
  g_autoptr(GPtrArray) points = new_points();
  HfPointInfo *by_id = add(points, "cafe11", "one", "2026-01-01", 1);
  HfPointInfo *by_name = add(points, "b111", "cafe", "2026-01-02", 1);
  expect_fail(points, "cafe", HF_ERROR_USAGE, "'cafe11");
  expect_fail(points, "cafe", HF_ERROR_USAGE, "(cafe of host");
  expect(points, "cafe1", by_id);
  expect(points, "cafe@latest", by_name);
}

static void test_nearest(void)
{
  g_autoptr(GPtrArray) points = new_points();
  static const char *const names[] = { "webserver", "web", "database", "mail", "files", "gateway", "web", "wiki" };
  for (guint i = 0; i < G_N_ELEMENTS(names); i++)
    add(points, "a111", names[i], "2026-01-01", 1);
  add(points, "a111", "wexx", "2026-01-01", 1)->known_signer = FALSE;
  expect_fail(points, "wex", HF_ERROR_NOT_FOUND, "there are points of 'web', 'wiki', 'files', 'mail', 'gateway'");
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/pointname/valid", test_valid);
  g_test_add_func("/pointname/short-name", test_short_name);
  g_test_add_func("/pointname/digits", test_digits);
  g_test_add_func("/pointname/by-id", test_by_id);
  g_test_add_func("/pointname/latest", test_latest);
  g_test_add_func("/pointname/by-time", test_by_time);
  g_test_add_func("/pointname/two-writers", test_two_writers);
  g_test_add_func("/pointname/both-meanings", test_both_meanings);
  g_test_add_func("/pointname/nearest", test_nearest);
  return g_test_run();
}
