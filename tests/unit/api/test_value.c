/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "api/value.h"

#include "api/routes.gen.h"

#define DAY (G_GINT64_CONSTANT(86400) * G_USEC_PER_SEC)

static void check_text(gint64 time, const char *wanted)
{
  char text[HF_API_TIME_BYTES];
  hf_api_time_text(time, text);
  g_assert_cmpstr(text, ==, wanted);
}

static void test_time_text(void)
{
  check_text(0, "1970-01-01T00:00:00.000000+00:00");
  check_text(-1, "1969-12-31T23:59:59.999999+00:00");
  check_text(G_GINT64_CONSTANT(1795370645123456), "2026-11-22T18:04:05.123456+00:00");
  check_text(G_GINT64_CONSTANT(951782400) * G_USEC_PER_SEC, "2000-02-29T00:00:00.000000+00:00");
  check_text(G_MAXINT64, "9999-12-31T23:59:59.999999+00:00");
  check_text(G_MININT64, "0001-01-01T00:00:00.000000+00:00");
}

/* Every day of eight centuries, against GLib's calendar. */
static void test_time_calendar(void)
{
  g_autoptr(GDateTime) day = g_date_time_new_utc(1600, 1, 1, 12, 34, 56);
  while (g_date_time_get_year(day) < 2400) {
    char text[HF_API_TIME_BYTES];
    gint64 back, time = g_date_time_to_unix(day) * G_USEC_PER_SEC + 7;
    g_autofree char *wanted = g_date_time_format(day, "%Y-%m-%dT%H:%M:%S.000007+00:00");
    hf_api_time_text(time, text);
    g_assert_cmpstr(text, ==, wanted);
    g_assert_true(hf_api_time_parse(text, &back));
    g_assert_cmpint(back, ==, time);
    GDateTime *next = g_date_time_add_days(day, 1);
    g_date_time_unref(day);
    day = next;
  }
}

static void test_time_parse(void)
{
  static const struct {
    const char *text;
    gint64 time;
  } good[] = {
    { "1970-01-02", DAY },
    { "1970-01-01T00:00", 0 },
    { "1970-01-01t00:00:01z", G_USEC_PER_SEC },
    { "1970-01-01 00:00:01.5Z", G_USEC_PER_SEC * 3 / 2 },
    { "1970-01-01T00:00:00.1234567Z", 123456 },
    { "1970-01-01T01:00:00+01:00", 0 },
    { "1970-01-01T01:00:00 01:00", 0 },
    { "1969-12-31T19:00:00-0500", 0 },
    { "1970-01-01T02:00:00+02", 0 },
    { "2026-11-21T06:47:07.551131+00:00", G_GINT64_CONSTANT(1795243627551131) },
  };
  static const char *const bad[] = { "",           "1970",          "1970-13-01",          "1970-02-29",
                                     "1970-00-01", "1970-01-32",    "0000-01-01",          "1970-01-01T",
                                     "1970-01-01T24:00", "1970-01-01T00:60", "1970-01-01T00:00:61Z",
                                     "1970-01-01T00:00:00.Z", "1970-01-01T00:00:00Zx", "1970-01-01T00:00:00+",
                                     "1970-01-01T00:00:00+24:00", "1970-01-01X00:00", "1970-01-01T00:00:00+00:0" };
  gint64 time;
  for (guint i = 0; i < G_N_ELEMENTS(good); i++) {
    g_assert_true(hf_api_time_parse(good[i].text, &time));
    g_assert_cmpint(time, ==, good[i].time);
  }
  for (guint i = 0; i < G_N_ELEMENTS(bad); i++)
    g_assert_false(hf_api_time_parse(bad[i], &time));
}

static void test_clock(void)
{
  g_assert_true(hf_api_clock_valid("00:00"));
  g_assert_true(hf_api_clock_valid("23:59:59"));
  g_assert_true(hf_api_clock_valid("22:00:00.0000000"));
  for (guint i = 0; i < 7; i++) {
    static const char *const bad[] = { "", "24:00", "1:00", "00:60", "00:00:60", "00:00:00.", "00:00x" };
    g_assert_false(hf_api_clock_valid(bad[i]));
  }
}

static void test_uuid(void)
{
  char id[37];
  g_assert_true(hf_api_uuid_parse("{01234567-89AB-cdef-0123-456789ABCDEF}", id));
  g_assert_cmpstr(id, ==, "01234567-89ab-cdef-0123-456789abcdef");
  g_assert_true(hf_api_uuid_parse(HF_API_NO_ID, id));
  static const char *const bad[] = { "", "x", "01234567-89ab-cdef-0123-456789abcdeg", "01234567-89ab-cdef-0123-456789abcde",
                                     "{01234567-89ab-cdef-0123-456789abcdef)", "0123456789-ab-cdef-0123-456789abcdef" };
  for (guint i = 0; i < G_N_ELEMENTS(bad); i++)
    g_assert_false(hf_api_uuid_parse(bad[i], id));
}

static void test_duration(void)
{
  char text[HF_API_TIME_BYTES];
  hf_api_duration_text(-5, text);
  g_assert_cmpstr(text, ==, "00:00:00");
  hf_api_duration_text(DAY - 1, text);
  g_assert_cmpstr(text, ==, "23:59:59");
  hf_api_duration_text(12 * DAY + 3661 * G_GINT64_CONSTANT(1000000), text);
  g_assert_cmpstr(text, ==, "12.01:01:01");
}

static void test_enums(void)
{
  g_assert_cmpstr(hf_api_enum_stored(&hf_api_enum_EJobStatus, "running"), ==, "Running");
  g_assert_cmpstr(hf_api_enum_spelled(&hf_api_enum_EJobStatus, "Running", 0), ==, "running");
  g_assert_cmpstr(hf_api_enum_spelled(&hf_api_enum_EJobStatus, "Starting", 1), ==, "running");
  g_assert_cmpstr(hf_api_enum_spelled(&hf_api_enum_EJobStatus, "Starting", 2), ==, "starting");
  g_assert_cmpstr(hf_api_enum_spelled(&hf_api_enum_EJobStatus, "Starting", 3), ==, "Starting");
  g_assert_cmpstr(hf_api_enum_spelled(&hf_api_enum_EJobStatus, "unheard of", 3), ==, "unheard of");
  g_assert_null(hf_api_enum_stored(&hf_api_enum_EJobStatus, "unheard of"));
  g_assert_cmpstr(hf_api_enum_stored(&hf_api_enum_EAuthenticationType, "sshkey"), ==, "PrivateKey");
}

static void test_versions(void)
{
  g_assert_cmpint(hf_api_version_find("1.0-rev1"), ==, 0);
  g_assert_cmpint(hf_api_version_find("1.3-REV2"), ==, (int)hf_api_n_versions - 1);
  g_assert_cmpint(hf_api_version_find("1.3"), ==, -1);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/value/time-text", test_time_text);
  g_test_add_func("/value/time-calendar", test_time_calendar);
  g_test_add_func("/value/time-parse", test_time_parse);
  g_test_add_func("/value/clock", test_clock);
  g_test_add_func("/value/uuid", test_uuid);
  g_test_add_func("/value/duration", test_duration);
  g_test_add_func("/value/enums", test_enums);
  g_test_add_func("/value/versions", test_versions);
  return g_test_run();
}
