/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The verbs login, logout and whoami. */
#include <string.h>

#include "base/error.h"
#include "cli/fleet.h"
#include "cli/secretfile.h"

/* ---- The server's certificate. ---- */

static char *day_of(gint64 seconds)
{
  g_autoptr(GDateTime) time = g_date_time_new_from_unix_local(seconds);
  return time == NULL ? g_strdup("?") : g_date_time_format(time, "%Y-%m-%d");
}

/* Shows what the server shows and asks whether that is right. */
static gboolean ask_about(HfCli *cli, const char *address, const HfRestCertificate *shown, GError **error)
{
  g_autofree char *from = day_of(shown->from), *until = day_of(shown->until);
  g_autofree char *subject = hf_printable(shown->subject, -1), *issuer = hf_printable(shown->issuer, -1);
  g_autofree char *question = g_strdup_printf(
    "the certificate of '%s' is not known here yet\n  fingerprint  SHA256:%s\n  belongs to   %s\n  issued by    %s\n"
    "  valid        %s to %s\nIs this the fingerprint that the server printed when it was installed?",
    address, shown->fingerprint, subject, issuer, from, until);
  g_autofree char *refusal =
    g_strdup_printf("the certificate of '%s' is not known here yet; compare its fingerprint with the server's own, and "
                    "give it with --fingerprint SHA256:%s",
                    address, shown->fingerprint);
  return hf_fleet_confirm(cli, question, refusal, error);
}

static gboolean is_wanted(const char *address, const HfRestCertificate *shown, const char *wanted, GError **error)
{
  g_autofree char *fingerprint = hf_rest_fingerprint_parse(wanted, error);
  if (fingerprint == NULL)
    return FALSE;
  return strcmp(fingerprint, shown->fingerprint) == 0 ||
         hf_fail(error, HF_ERROR_PERMISSION,
                 "server '%s' shows the certificate SHA256:%s, not the one of --fingerprint; "
                 "nothing was sent to it",
                 address, shown->fingerprint);
}

/* Changed since an earlier login: that is never asked away. */
static gboolean is_as_before(const HfLogin *before, const HfRestCertificate *shown, GError **error)
{
  if (g_strcmp0(before->server.pin, shown->pin) == 0)
    return TRUE;
  return hf_fail(error, HF_ERROR_PERMISSION,
                 "SERVER '%s' SHOWS ANOTHER CERTIFICATE than at the last login: was SHA256:%s, "
                 "is SHA256:%s; somebody may stand between, so nothing was sent; if its administrator confirms the new "
                 "one, give it with --fingerprint",
                 before->server.address, before->fingerprint, shown->fingerprint);
}

static gboolean pin_server(const HfOptions *options, HfCli *cli, const HfLogin *before, HfLogin *login, GError **error)
{
  if (options->ca != NULL) {
    login->server.ca = g_canonicalize_filename(options->ca, NULL);
    return g_file_test(login->server.ca, G_FILE_TEST_IS_REGULAR) ||
           hf_fail(error, HF_ERROR_NOT_FOUND, "there is no file '%s'", login->server.ca);
  }
  g_auto(HfRestCertificate) shown = { 0 };
  const char *address = login->server.address;
  if (!hf_rest_probe(address, cli->cancel, &shown, error))
    return FALSE;
  if (options->fingerprint != NULL                   ? !is_wanted(address, &shown, options->fingerprint, error)
      : before != NULL && before->server.pin != NULL ? !is_as_before(before, &shown, error)
                                                     : !ask_about(cli, address, &shown, error))
    return FALSE;
  login->server.pin = g_steal_pointer(&shown.pin);
  login->fingerprint = g_steal_pointer(&shown.fingerprint);
  return TRUE;
}

/* ---- login ---- */

static gboolean get_tokens(HfLogin *login, const char *password, HfCli *cli, GError **error)
{
  g_auto(HfRestAnswer) answer = { 0 };
  g_autoptr(HfRest) rest = hf_rest_new(&login->server, cli->cancel, error);
  const char *const form[] = { "grant_type", "password", "username", login->user, "password", password, NULL };
  if (rest == NULL || !hf_rest_form(rest, "/api/oauth2/token", form, &answer, error) || !hf_rest_check(&answer, error))
    return FALSE;
  login->access = g_strdup(hf_json_text(answer.body, "access_token"));
  login->refresh = g_strdup(hf_json_text(answer.body, "refresh_token"));
  return (login->access != NULL && login->refresh != NULL) ||
         hf_fail(error, HF_ERROR_INVALID, "the answer of '%s' holds no tokens; is it a Holdfast server?",
                 login->server.address);
}

static gboolean keep(const HfLogin *login, GError **error)
{
  g_autoptr(HfLogins) logins = hf_logins_open(error);
  return logins != NULL && hf_logins_put(logins, login, error);
}

gboolean hf_verb_login(const HfOptions *options, HfCli *cli, GError **error)
{
  g_autoptr(HfLogin) login = g_new0(HfLogin, 1), before = NULL;
  login->server.address = hf_rest_address(options->server, error);
  if (login->server.address == NULL)
    return FALSE;
  g_autoptr(HfLogins) logins = hf_logins_open(error);
  if (logins == NULL)
    return FALSE;
  before = hf_logins_get(logins, login->server.address, NULL);
  g_clear_pointer(&logins, hf_logins_free); /* nobody waits for the lock while people think */
  login->user = g_strdup(options->user != NULL ? options->user : before != NULL ? before->user : g_get_user_name());
  if (!pin_server(options, cli, before, login, error))
    return FALSE;
  hf_autosecret HfBuffer password = HF_BUFFER_INIT;
  g_autofree char *prompt = g_strdup_printf("password of '%s' at '%s'", login->user, login->server.address);
  if (!hf_fleet_password(cli, options->password_file, prompt, "--password-file", FALSE, &password, error) ||
      !get_tokens(login, (const char *)password.data, cli, error) || !keep(login, error))
    return FALSE;
  hf_output_note(cli->output, "logged in at '%s' as '%s'\n", login->server.address, login->user);
  json_t *document = json_pack("{s:s, s:s}", "server", login->server.address, "user", login->user);
  if (login->fingerprint != NULL)
    json_object_set_new(document, "fingerprint", json_string(login->fingerprint));
  hf_output_document(cli->output, document);
  return TRUE;
}

/* ---- logout ---- */

gboolean hf_verb_logout(const HfOptions *options, HfCli *cli, GError **error)
{
  g_autofree char *address = options->server == NULL ? NULL : hf_rest_address(options->server, error);
  if (options->server != NULL && address == NULL)
    return FALSE;
  g_autoptr(HfLogins) logins = hf_logins_open(error);
  HfLogin *login = logins == NULL ? NULL : hf_logins_get(logins, address, error);
  if (login == NULL)
    return FALSE;
  g_auto(HfFleet) fleet = { 0 };
  g_auto(HfRestAnswer) answer = { 0 };
  g_autoptr(GError) problem = NULL;
  gboolean told = hf_fleet_open_with(&fleet, login, cli, &problem) &&
                  hf_rest_ask(fleet.rest, "POST", "/api/oauth2/logout", NULL, &answer, &problem);
  if (!told) /* what is kept here goes in any case; that the tokens live on until they end must be known */
    hf_report_warning(cli->report, NULL, "the server was not told, so the tokens end by themselves: %s",
                      problem->message);
  if (!hf_logins_remove(logins, login->server.address, error))
    return FALSE;
  hf_output_note(cli->output, "logged out at '%s'\n", login->server.address);
  hf_output_document(cli->output, json_pack("{s:s}", "server", login->server.address));
  return TRUE;
}

/* ---- whoami ---- */

gboolean hf_verb_whoami(const HfOptions *options, HfCli *cli, GError **error)
{
  static const HfFleetColumn columns[] = {
    { { .title = "account" }, "name", HF_CELL_TEXT },
    { { .title = "role" }, "role", HF_CELL_TEXT },
    { { .title = "id" }, "id", HF_CELL_TEXT },
  };
  g_auto(HfFleet) fleet = { 0 };
  if (!hf_fleet_open(&fleet, options, cli, error))
    return FALSE;
  hf_autojson json_t *self = hf_fleet_get(&fleet, "/api/v1/holdfast/self", error);
  if (self == NULL)
    return FALSE;
  hf_output_text(cli->output, "server   %s\n", fleet.login->server.address);
  hf_fleet_print_object(cli, self, columns, G_N_ELEMENTS(columns));
  return TRUE;
}
