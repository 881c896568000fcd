/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>

#include "base/error.h"

static void test_fail(void)
{
  g_autoptr(GError) error = NULL;
  g_assert_false(hf_fail(&error, HF_ERROR_BUSY, "target '%s' is in use by %d", "sda", 3));
  g_assert_error(error, HF_ERROR, HF_ERROR_BUSY);
  g_assert_cmpstr(error->message, ==, "target 'sda' is in use by 3");
  g_assert_false(hf_fail(NULL, HF_ERROR_BUSY, "nobody listens"));
}

static void test_fail_errno(void)
{
  static const struct {
    int errnum;
    int code; /* as GError has it */
  } cases[] = {
    { EACCES, HF_ERROR_PERMISSION }, { EPERM, HF_ERROR_PERMISSION },     { ENOSPC, HF_ERROR_NO_SPACE },
    { EDQUOT, HF_ERROR_NO_SPACE },   { ENOENT, HF_ERROR_NOT_FOUND },     { EEXIST, HF_ERROR_EXISTS },
    { EIO, HF_ERROR_IO },            { ECANCELED, HF_ERROR_CANCELLED },  { EROFS, HF_ERROR_PERMISSION },
  };
  for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
    g_autoptr(GError) error = NULL;
    g_autofree char *expected = g_strdup_printf("cannot open 'x': %s", g_strerror(cases[i].errnum));
    g_assert_false(hf_fail_errno(&error, cases[i].errnum, "cannot open '%s'", "x"));
    g_assert_error(error, HF_ERROR, cases[i].code);
    g_assert_cmpstr(error->message, ==, expected);
  }
  g_assert_false(hf_fail_errno(NULL, EIO, "nobody listens"));
}

static void test_is(void)
{
  g_autoptr(GError) ours = g_error_new_literal(HF_ERROR, HF_ERROR_IO, "x");
  g_autoptr(GError) foreign = g_error_new_literal(G_FILE_ERROR, HF_ERROR_IO, "x");
  g_assert_true(hf_error_is(ours, HF_ERROR_IO));
  g_assert_false(hf_error_is(ours, HF_ERROR_USAGE));
  g_assert_false(hf_error_is(foreign, HF_ERROR_IO));
  g_assert_false(hf_error_is(NULL, HF_ERROR_IO));
}

static int exit_code(GQuark domain, int code)
{
  g_autoptr(GError) error = g_error_new_literal(domain, code, "x");
  return hf_error_exit_code(error);
}

static void test_exit_code(void)
{
  g_assert_cmpint(hf_error_exit_code(NULL), ==, 0);
  g_assert_cmpint(exit_code(HF_ERROR, HF_ERROR_FAILED), ==, 1);
  g_assert_cmpint(exit_code(HF_ERROR, HF_ERROR_USAGE), ==, 2);
  g_assert_cmpint(exit_code(HF_ERROR, HF_ERROR_DAMAGED), ==, 4);
  g_assert_cmpint(exit_code(HF_ERROR, HF_ERROR_PASSWORD), ==, 5);
  g_assert_cmpint(exit_code(HF_ERROR, 9999), ==, 1);
  g_assert_cmpint(exit_code(G_FILE_ERROR, HF_ERROR_USAGE), ==, 1);
}

static void test_names(void)
{
  g_assert_cmpstr(hf_error_code_name(HF_ERROR_FAILED), ==, "failed");
  g_assert_cmpstr(hf_error_code_name(HF_ERROR_NOT_FOUND), ==, "not-found");
  g_assert_cmpstr(hf_error_code_name(0), ==, "unknown");
  /* Numbers are on the wire: they never change. */
  g_assert_cmpint(HF_ERROR_DAMAGED, ==, 9);
  g_assert_cmpint(HF_ERROR_INVALID, ==, 16);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/error/fail", test_fail);
  g_test_add_func("/error/fail-errno", test_fail_errno);
  g_test_add_func("/error/is", test_is);
  g_test_add_func("/error/exit-code", test_exit_code);
  g_test_add_func("/error/names", test_names);
  return g_test_run();
}
