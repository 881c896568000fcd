/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <time.h>

#include "base/clock.h"
#include "base/error.h"

#define SECOND G_GINT64_CONSTANT(1000000000)
/* 2026-11-22T10:00:00Z */
#define MOMENT (G_GINT64_CONSTANT(1795341600) * SECOND)

static void test_monotonic(void)
{
  gint64 first = hf_clock_monotonic_us();
  g_usleep(2000);
  gint64 second = hf_clock_monotonic_us();
  g_assert_cmpint(first, >, 0);
  g_assert_cmpint(second - first, >=, 2000);
}

static void test_real(void)
{
  gint64 now = hf_clock_real_ns();
  g_assert_cmpint(ABS(now / SECOND - (gint64)time(NULL)), <=, 1);
#ifdef HF_TEST_HOOKS
  g_setenv("HOLDFAST_TEST_TIME", "-86400", TRUE);
  gint64 yesterday = hf_clock_real_ns();
  g_unsetenv("HOLDFAST_TEST_TIME");
  g_assert_cmpint(ABS(now - 86400 * SECOND - yesterday), <, 60 * SECOND);
#endif
}

static void test_format(void)
{
  g_autofree char *local = hf_clock_format_local(MOMENT + 999);
  g_assert_cmpstr(local, ==, "2026-11-22T11:00:00+01:00");
  g_autofree char *summer = hf_clock_format_local(G_GINT64_CONSTANT(1783072800) * SECOND);
  g_assert_cmpstr(summer, ==, "2026-07-03T12:00:00+02:00");
  g_autofree char *utc = hf_clock_format_utc(MOMENT + 123456789);
  g_assert_cmpstr(utc, ==, "2026-11-22T10:00:00.123456789Z");
  g_autofree char *before = hf_clock_format_utc(-1);
  g_assert_cmpstr(before, ==, "1969-12-31T23:59:59.999999999Z");
  g_autofree char *first = hf_clock_format_utc(G_MININT64);
  g_assert_cmpstr(first, ==, "1677-09-21T00:12:43.145224192Z");
  g_autofree char *last = hf_clock_format_utc(G_MAXINT64);
  g_assert_cmpstr(last, ==, "2262-04-11T23:47:16.854775807Z");
}

/* The local zone of this program is Europe/Berlin. */
static void test_parse(void)
{
  static const struct {
    const char *text;
    gint64 end; /* one nanosecond after the value, in seconds from MOMENT */
  } cases[] = {
    { "2026-11-22T10:00Z", 60 },
    { "2026-11-22T10:00:00Z", 1 },
    { "2026-11-22T11:00:00", 1 },
    { "2026-11-22T11:00", 60 },
    { "2026-11-22T13:30:00+03:30", 1 },
    { "2026-11-22T05:00-05:00", 60 },
    { "2026-11-22Z", 14 * 3600 },
    { "2026-11-22", 13 * 3600 },
    { "2026-11-22+14:00", 0 },
  };
  for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
    g_autoptr(GError) error = NULL;
    gint64 ns = 0;
    g_assert_true(hf_clock_parse(cases[i].text, &ns, &error));
    g_assert_no_error(error);
    g_assert_cmpint(ns, ==, MOMENT + cases[i].end * SECOND - 1);
  }
}

static void test_parse_odd_days(void)
{
  gint64 start, end;
  /* The clocks go forward on 2026-03-29 and back on 2026-10-25: 23 and 25 hours. */
  g_assert_true(hf_clock_parse("2026-03-28", &start, NULL));
  g_assert_true(hf_clock_parse("2026-03-29", &end, NULL));
  g_assert_cmpint(end - start, ==, 23 * 3600 * SECOND);
  g_assert_true(hf_clock_parse("2026-10-24", &start, NULL));
  g_assert_true(hf_clock_parse("2026-10-25", &end, NULL));
  g_assert_cmpint(end - start, ==, 25 * 3600 * SECOND);
  g_assert_true(hf_clock_parse("2028-02-29", &end, NULL));
  g_assert_true(hf_clock_parse("1969-12-31T23:59:59Z", &end, NULL));
  g_assert_cmpint(end, ==, -1);
}

static void test_parse_own_format(void)
{
  gint64 ns;
  g_autofree char *text = hf_clock_format_local(MOMENT);
  g_assert_true(hf_clock_parse(text, &ns, NULL));
  g_assert_cmpint(ns, ==, MOMENT + SECOND - 1);
}

static void test_parse_refuses(void)
{
  static const char *const bad[] = {
    "", "today", "2026", "2026-11", "2026-13-01", "2026-00-01", "2026-02-29", "2026-11-31", "2026-11-00", "26-11-22",
    "2026/11/22", "2026-11/22", "2026-11-22T", "2026-11-22T10", "2026-11-22T10:", "2026-11-22T24:00",
    "2026-11-22T10:60", "2026-11-22T10:00:60", "2026-11-22T10.00", "2026-11-22T10:00:", "2026-11-22T10:00z",
    "2026-11-22T10:00+1:00", "2026-11-22T10:00+01", "2026-11-22T10:00+0100", "2026-11-22T10:00+24:00",
    "2026-11-22T10:00+01:60", "2026-11-22T10:00Zx", "2026-11-22 10:00", " 2026-11-22", "2026-11-22T10:00+01:00x",
    "1677-12-31", "2262-01-01", "-2026-11-22",
  };
  for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
    g_autoptr(GError) error = NULL;
    gint64 ns = 77;
    g_assert_false(hf_clock_parse(bad[i], &ns, &error));
    g_assert_error(error, HF_ERROR, HF_ERROR_USAGE);
    g_assert_cmpint(ns, ==, 77);
  }
}

int main(int argc, char **argv)
{
  /* A rule instead of a name: it works where no zone files are installed. */
  g_setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", TRUE);
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/clock/monotonic", test_monotonic);
  g_test_add_func("/clock/real", test_real);
  g_test_add_func("/clock/format", test_format);
  g_test_add_func("/clock/parse", test_parse);
  g_test_add_func("/clock/parse-odd-days", test_parse_odd_days);
  g_test_add_func("/clock/parse-own-format", test_parse_own_format);
  g_test_add_func("/clock/parse-refuses", test_parse_refuses);
  return g_test_run();
}
