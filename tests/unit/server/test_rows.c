/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The rows that connections belong to: which port may be tried for what work. */
#include "server/hosts/rows.h"

static void assert_data(const char *from, const char *to, const char *transport, const char *channels, const char *text)
{
  g_auto(HfRowsData) rows = { 0 };
  hf_rows_data(from, to, &rows);
  g_autofree char *both = hf_rows_data_text(&rows);
  g_assert_cmpstr(rows.transport, ==, transport);
  g_assert_cmpstr(rows.channels, ==, channels);
  g_assert_cmpstr(both, ==, text);
}

static void test_data(void)
{
  assert_data("backup-proxy", "backup-repository", "m5.14", "m8.8", "m5.14>m8.8");
  /* Between repositories the transport port is not to be touched. */
  assert_data("backup-repository", "backup-repository", "", "m8.9", "m8.9");
  /* Rows that name both ports speak for both; those of other work of a mount server are left out. */
  assert_data("mount-server", "backup-repository", "x1.8,m57.2", "x1.8,m57.2", "x1.8,m57.2");
  assert_data("rest-client", "backup-repository", "", "", "");
}

static void assert_rows(const char *const *to, const char *service, const char *rows)
{
  g_autofree char *found = hf_rows_to("backup-server", to, service);
  g_assert_cmpstr(found, ==, rows);
}

static void test_server(void)
{
  static const char *const mover[] = { "backup-proxy", NULL };
  static const char *const keeper[] = { "backup-repository", "mount-server", NULL };
  static const char *const nobody[] = { NULL };
  assert_rows(mover, "installer", "m5.5");
  assert_rows(mover, "channels", "m5.7");
  assert_rows(mover, "ssh", "m5.4");
  assert_rows(keeper, "installer", "m8.5,m57.8,m61.1");
  assert_rows(keeper, "transport", "m8.6,m57.9");
  assert_rows(keeper, "channels", "m8.7,m57.7");
  assert_rows(nobody, "channels", "");
}

static void test_services(void)
{
  g_assert_cmpstr(hf_rows_of_service("dns"), ==, "m2.29");
  g_assert_cmpstr(hf_rows_of_service("rest"), ==, "m1.9");
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/rows/data", test_data);
  g_test_add_func("/rows/server", test_server);
  g_test_add_func("/rows/services", test_services);
  return g_test_run();
}
