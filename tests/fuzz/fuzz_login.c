/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the command line reads of servers beside their answers. The first byte says what the rest is:
 *
 *   0 the file of logins   1 an address   2 a fingerprint   3 the certificate that a server shows
 */
#include <glib/gstdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "cli/logins.h"
#include "fuzz.h"

static char *folder;

static void remove_folder(void)
{
  static const char *const names[] = { "holdfast/login", "holdfast/login.lock", "holdfast", "" };
  for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
    g_autofree char *path = g_build_filename(folder, names[i], NULL);
    g_remove(path);
  }
}

static void make_world(void)
{
  if (folder != NULL)
    return;
  fuzz_begin();
  folder = g_strdup("/tmp/holdfast-XXXXXX");
  g_assert_nonnull(g_mkdtemp(folder));
  g_setenv("XDG_CONFIG_HOME", folder, TRUE);
  g_autofree char *inner = g_build_filename(folder, "holdfast", NULL);
  g_assert_true(g_mkdir(inner, 0700) == 0);
  atexit(remove_folder);
}

static gboolean judge(gboolean done, GError **error)
{
  g_assert_true(done == (*error == NULL));
  g_clear_error(error);
  return done;
}

/* A login that can be read is the same after it was written. */
static void fuzz_file(const char *text, gsize length)
{
  GError *error = NULL;
  g_autofree char *path = g_build_filename(folder, "holdfast", "login", NULL);
  g_assert_true(g_file_set_contents_full(path, text, (gssize)length, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
  g_autoptr(HfLogins) logins = hf_logins_open(&error);
  if (!judge(logins != NULL, &error))
    return;
  g_autoptr(HfLogin) login = hf_logins_get(logins, NULL, &error);
  if (!judge(login != NULL, &error))
    return;
  g_assert_true(hf_logins_put(logins, login, &error));
  g_clear_pointer(&logins, hf_logins_free);
  logins = hf_logins_open(&error);
  g_assert_no_error(error);
  g_autoptr(HfLogin) again = hf_logins_get(logins, login->server.address, &error);
  g_assert_no_error(error);
  g_assert_cmpstr(again->access, ==, login->access);
  g_assert_cmpstr(again->server.pin, ==, login->server.pin);
  g_assert_cmpstr(again->server.ca, ==, login->server.ca);
  g_assert_true(hf_logins_remove(logins, login->server.address, &error));
}

static void fuzz_address(const char *text)
{
  GError *error = NULL;
  g_autofree char *address = hf_rest_address(text, &error);
  if (!judge(address != NULL, &error))
    return;
  g_autofree char *again = hf_rest_address(address, &error);
  g_assert_no_error(error);
  g_assert_cmpstr(again, ==, address);
  g_assert_true(strpbrk(address, "/@?# \r\n") == NULL);
}

static void fuzz_fingerprint(const char *text)
{
  GError *error = NULL;
  g_autofree char *digits = hf_rest_fingerprint_parse(text, &error);
  if (judge(digits != NULL, &error))
    g_assert_true(strlen(digits) == 64 && strspn(digits, "0123456789abcdef") == 64);
}

static void fuzz_certificate(const char *text)
{
  GError *error = NULL;
  g_auto(HfRestCertificate) shown = { 0 };
  if (judge(hf_rest_certificate_read(text, &shown, &error), &error))
    g_assert_true(strlen(shown.fingerprint) == 64 && shown.pin != NULL && shown.subject != NULL &&
                  shown.issuer != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  if (size == 0)
    return 0;
  make_world();
  g_autofree char *text = g_strndup((const char *)data + 1, size - 1);
  void (*const targets[])(const char *text) = { fuzz_address, fuzz_fingerprint, fuzz_certificate };
  if (data[0] % 4 == 0)
    fuzz_file(text, size - 1);
  else
    targets[data[0] % 4 - 1](text);
  return 0;
}
