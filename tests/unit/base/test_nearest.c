/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/nearest.h"

static const char *nearest_of(const char *word)
{
  static const char *const candidates[] = { "backup", "restore", "rebuild", "ls", "one-file-system", "key" };
  g_autoptr(HfNearest) nearest = hf_nearest_new(word);
  for (gsize i = 0; i < G_N_ELEMENTS(candidates); i++)
    hf_nearest_offer(nearest, candidates[i]);
  return hf_nearest_result(nearest);
}

static void test_slips(void)
{
  g_assert_cmpstr(nearest_of("bakup"), ==, "backup");
  g_assert_cmpstr(nearest_of("backupp"), ==, "backup");
  g_assert_cmpstr(nearest_of("bqckup"), ==, "backup");
  g_assert_cmpstr(nearest_of("abckup"), ==, "backup");
  g_assert_cmpstr(nearest_of("resotre"), ==, "restore");
  g_assert_cmpstr(nearest_of("sl"), ==, "ls");
  g_assert_cmpstr(nearest_of("one-filesystem"), ==, "one-file-system");
}

static void test_beginnings(void)
{
  g_assert_cmpstr(nearest_of("one"), ==, "one-file-system");
  g_assert_cmpstr(nearest_of("rest"), ==, "restore");
}

static void test_nothing_near(void)
{
  g_assert_null(nearest_of("frobnicate"));
  g_assert_null(nearest_of(""));
  g_assert_null(nearest_of("o"));
  g_assert_null(nearest_of("backupbackupbackupbackupbackupbackupbackup"));
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/base/nearest/slips", test_slips);
  g_test_add_func("/base/nearest/beginnings", test_beginnings);
  g_test_add_func("/base/nearest/nothing-near", test_nothing_near);
  return g_test_run();
}
