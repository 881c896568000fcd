/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/rest.h"

#include <string.h>

#include "base/error.h"
#include "cli/fleet.h"
#include "cli/fleet_jobspec.h"
#include "cli/fleet_network.h"
#include "ports/catalogue/catalogue.h"

static void assert_address(const char *text, const char *expected)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *address = hf_rest_address(text, &error);
  g_assert_cmpstr(address, ==, expected);
  g_assert_true((expected == NULL) == hf_error_is(error, HF_ERROR_USAGE));
}

static void test_address(void)
{
  guint port = hf_port_service("rest")->first;
  g_autofree char *usual = g_strdup_printf("backup.example.org:%u", port);
  g_autofree char *v6 = g_strdup_printf("[fd00::1]:%u", port);
  assert_address("Backup.Example.org", usual);
  assert_address("backup:1", "backup:1");
  assert_address("[FD00::1]", v6);
  assert_address("fd00::1", v6);
  assert_address("[fd00::1]:65535", "[fd00::1]:65535");
  static const char *const bad[] = { "", ":1", "a b", "a/b", "host:", "host:0", "host:65536", "[fd00::1", "[fd00::1]1",
                                     "[]", "user@host", "host:1x" };
  for (guint i = 0; i < G_N_ELEMENTS(bad); i++)
    assert_address(bad[i], NULL);
}

static void test_fingerprint(void)
{
  static const char digits[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
  static const char *const same[] = {
    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
    "sha256:00112233445566778899AABBCCDDEEFF00112233445566778899aabbccddeeff",
    "SHA256:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF",
  };
  for (guint i = 0; i < G_N_ELEMENTS(same); i++) {
    g_autofree char *read = hf_rest_fingerprint_parse(same[i], NULL);
    g_assert_cmpstr(read, ==, digits);
  }
  static const char *const bad[] = { "", "SHA256:", "00", "zz112233445566778899aabbccddeeff00112233445566778899aabbccddeeff" };
  for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
    g_autoptr(GError) error = NULL;
    g_assert_null(hf_rest_fingerprint_parse(bad[i], &error));
    g_assert_true(hf_error_is(error, HF_ERROR_USAGE));
  }
}

static void test_certificate(void)
{
  g_auto(HfRestCertificate) certificate = { 0 };
  g_autoptr(GError) error = NULL;
  g_assert_false(hf_rest_certificate_read("no certificate", &certificate, &error));
  g_assert_nonnull(error);
}

static void test_query(void)
{
  g_autofree char *none = HF_QUERY("/a", "x", NULL);
  g_assert_cmpstr(none, ==, "/a");
  g_autofree char *some = HF_QUERY("/a", "x", "1 & 2", "y", NULL, "z", "+*");
  g_assert_cmpstr(some, ==, "/a?x=1%20%26%202&z=%2B%2A");
  g_autofree char *more = HF_QUERY("/a?b=c", "x", "1");
  g_assert_cmpstr(more, ==, "/a?b=c&x=1");
  g_autofree char *path = hf_fleet_path("/a/%s/b/%s", "../x", "y?z");
  g_assert_cmpstr(path, ==, "/a/..%2Fx/b/y%3Fz");
}

static void test_json(void)
{
  hf_autojson json_t *object = json_pack("{s:s}", "a", "text");
  hf_json_put(object, "b.c", json_integer(5));
  hf_json_put(object, "b.d.e", json_true());
  hf_json_put(object, "a.x", json_string("an object in the place of a text"));
  g_assert_cmpint(hf_json_int(object, "b.c", 0), ==, 5);
  g_assert_cmpint(hf_json_int(object, "b.d", 7), ==, 7);
  g_assert_true(hf_json_flag(object, "b.d.e"));
  g_assert_false(hf_json_flag(object, "b.c"));
  g_assert_nonnull(hf_json_text(object, "a.x"));
  g_assert_null(hf_json_text(object, "b.c"));
  g_assert_null(hf_json_at(object, "x.y.z"));
}

static void assert_cell(json_t *row, const char *path, HfCellKind kind, const char *expected)
{
  g_autofree char *text = hf_fleet_cell(row, path, kind);
  g_assert_cmpstr(text, ==, expected);
}

static void test_cells(void)
{
  hf_autojson json_t *row =
    json_pack("{s:s, s:s, s:i, s:f, s:b, s:[s,s,i], s:{s:n}, s:s}", "id", "0123456789", "time",
              "2026-11-22T10:00:00.123456+00:00", "size", 2048, "gib", 1.5, "flag", TRUE, "list", "a", "b", 1, "inner",
              "null", "bad", "no time");
  assert_cell(row, "id", HF_CELL_ID, "01234567");
  assert_cell(row, "id", HF_CELL_TEXT, "0123456789");
  assert_cell(row, "time", HF_CELL_TIME, "2026-11-22 10:00:00");
  assert_cell(row, "bad", HF_CELL_TIME, "no time");
  assert_cell(row, "size", HF_CELL_SIZE, "2.0 KiB");
  assert_cell(row, "size", HF_CELL_NUMBER, "2048");
  assert_cell(row, "size", HF_CELL_TEXT, "2048");
  assert_cell(row, "gib", HF_CELL_GIB, "1.5 GiB");
  assert_cell(row, "flag", HF_CELL_FLAG, "yes");
  assert_cell(row, "list", HF_CELL_LIST, "a b");
  assert_cell(row, "list", HF_CELL_JSON, "[\"a\",\"b\",1]");
  assert_cell(row, "inner.null", HF_CELL_TEXT, "");
  assert_cell(row, "nothing", HF_CELL_SIZE, "");
}

static void test_since(void)
{
  static const char *const times[][2] = {
    { "2026-11-22", "2026-11-22T00:00:00.000000000Z" },
    { "2026-11-22T10:30", "2026-11-22T10:30:00.000000000Z" },
    { "2026-11-22T10:30:05", "2026-11-22T10:30:05.000000000Z" },
  };
  for (guint i = 0; i < G_N_ELEMENTS(times); i++) {
    g_autofree char *time = NULL;
    g_assert_true(hf_fleet_since(times[i][0], &time, NULL));
    g_assert_cmpstr(time, ==, times[i][1]);
  }
}

static void assert_network(const char *text, const char *first, const char *last)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *from = NULL, *to = NULL;
  g_assert_true(hf_fleet_network(text, &from, &to, &error) == (first != NULL));
  g_assert_cmpstr(from, ==, first);
  g_assert_cmpstr(to, ==, last);
}

static void test_network(void)
{
  assert_network("10.0.0.7", "10.0.0.7", "10.0.0.7");
  assert_network("10.0.0.7/8", "10.0.0.0", "10.255.255.255");
  assert_network("0.0.0.0/0", "0.0.0.0", "255.255.255.255");
  assert_network("10.0.0.7/31", "10.0.0.6", "10.0.0.7");
  assert_network("10.0.0.1-10.0.1.0", "10.0.0.1", "10.0.1.0");
  assert_network("fd00::/126", "fd00::", "fd00::3");
  assert_network("10.0.0.2-10.0.0.1", NULL, NULL);
  assert_network("10.0.0.1-fd00::", NULL, NULL);
  assert_network("10.0.0.0/", NULL, NULL);
  assert_network("example.org", NULL, NULL);
}

static void test_periods(void)
{
  guint64 frequency;
  const char *unit;
  g_assert_true(hf_jobspec_period("30m", &frequency, &unit, NULL));
  g_assert_cmpuint(frequency, ==, 30);
  g_assert_cmpstr(unit, ==, "Minutes");
  g_assert_true(hf_jobspec_period("24h", &frequency, &unit, NULL));
  g_assert_cmpstr(unit, ==, "Hours");
  g_assert_false(hf_jobspec_period("", &frequency, &unit, NULL));
  g_assert_true(hf_jobspec_clock("00:00", NULL));
  g_assert_true(hf_jobspec_clock("23:59", NULL));
  g_assert_false(hf_jobspec_clock("24:00", NULL));
  g_assert_false(hf_jobspec_clock("12:60", NULL));
  g_assert_true(hf_fleet_is_start_of("ABCD", "abcdef"));
  g_assert_false(hf_fleet_is_start_of("abc", "abcdef"));
  g_assert_false(hf_fleet_is_start_of("abcd", NULL));
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_setenv("TZ", "UTC", TRUE);
  g_test_add_func("/cli/rest/address", test_address);
  g_test_add_func("/cli/rest/fingerprint", test_fingerprint);
  g_test_add_func("/cli/rest/certificate", test_certificate);
  g_test_add_func("/cli/fleet/query", test_query);
  g_test_add_func("/cli/fleet/json", test_json);
  g_test_add_func("/cli/fleet/cells", test_cells);
  g_test_add_func("/cli/fleet/since", test_since);
  g_test_add_func("/cli/fleet/network", test_network);
  g_test_add_func("/cli/fleet/periods", test_periods);
  return g_test_run();
}
