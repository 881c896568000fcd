/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The verbs notification show, mail, syslog and test. The interface has both as one object, which is replaced whole. */
#include "base/error.h"
#include "cli/fleet.h"

#define NOTIFICATIONS "/api/v1/holdfast/notifications"

gboolean hf_verb_notification_show(const HfOptions *options, HfCli *cli, GError **error)
{
  static const HfFleetColumn columns[] = {
    { { .title = "mail" }, "mail.isEnabled", HF_CELL_FLAG },
    { { .title = "  server" }, "mail.host", HF_CELL_TEXT },
    { { .title = "  port" }, "mail.port", HF_CELL_NUMBER },
    { { .title = "  security" }, "mail.tls", HF_CELL_TEXT },
    { { .title = "  user" }, "mail.user", HF_CELL_TEXT },
    { { .title = "  from" }, "mail.from", HF_CELL_TEXT },
    { { .title = "  to" }, "mail.to", HF_CELL_LIST },
    { { .title = "  success" }, "mail.onSuccess", HF_CELL_FLAG },
    { { .title = "  warnings" }, "mail.onWarning", HF_CELL_FLAG },
    { { .title = "  failures" }, "mail.onFailure", HF_CELL_FLAG },
    { { .title = "syslog" }, "syslog.isEnabled", HF_CELL_FLAG },
    { { .title = "  server" }, "syslog.host", HF_CELL_TEXT },
    { { .title = "  port" }, "syslog.port", HF_CELL_NUMBER },
    { { .title = "  transport" }, "syslog.transport", HF_CELL_TEXT },
  };
  g_auto(HfFleet) fleet = { 0 };
  if (!hf_fleet_open(&fleet, options, cli, error))
    return FALSE;
  hf_autojson json_t *all = hf_fleet_get(&fleet, NOTIFICATIONS, error);
  if (all == NULL)
    return FALSE;
  if (!hf_json_flag(all, "mail.isEnabled") && !hf_json_flag(all, "syslog.isEnabled"))
    hf_output_note(cli->output, "nobody is told: mail and syslog are off\n");
  hf_fleet_print_object(cli, all, columns, G_N_ELEMENTS(columns));
  return TRUE;
}

/* Both, with what `change` does to them. */
static gboolean change(const HfOptions *options, HfCli *cli,
                       gboolean (*apply)(HfFleet *fleet, const HfOptions *options, json_t *all, GError **error),
                       GError **error)
{
  g_auto(HfFleet) fleet = { 0 };
  hf_autojson json_t *answer = NULL;
  if (!hf_fleet_open(&fleet, options, cli, error))
    return FALSE;
  hf_autojson json_t *all = hf_fleet_get(&fleet, NOTIFICATIONS, error);
  if (all == NULL || !apply(&fleet, options, all, error) ||
      !hf_fleet_ask(&fleet, "PUT", NOTIFICATIONS, json_incref(all), &answer, error))
    return FALSE;
  hf_output_note(cli->output, "changed\n");
  hf_output_document(cli->output, json_incref(answer));
  return TRUE;
}

static void put_text(json_t *all, const char *path, const char *text)
{
  if (text != NULL)
    hf_json_put(all, path, json_string(text));
}

static void put_port(json_t *all, const char *path, guint64 port)
{
  if (port > 0)
    hf_json_put(all, path, json_integer((json_int_t)port));
}

/* What the option names, or the whole of all when it is not given. */
static void put_results(const HfOptions *options, json_t *all)
{
  static const struct {
    const char *word, *path;
  } results[] = { { "success", "mail.onSuccess" }, { "warnings", "mail.onWarning" }, { "failures", "mail.onFailure" } };
  for (guint i = 0; options->on[0] != NULL && i < G_N_ELEMENTS(results); i++)
    hf_json_put(all, results[i].path, json_boolean(g_strv_contains((const char *const *)options->on, results[i].word)));
}

static gboolean apply_mail(HfFleet *fleet, const HfOptions *options, json_t *all, GError **error)
{
  hf_json_put(all, "mail.isEnabled", json_boolean(!options->off));
  put_text(all, "mail.host", options->host);
  put_port(all, "mail.port", options->at_port);
  put_text(all, "mail.from", options->sender);
  put_text(all, "mail.user", options->user);
  put_text(all, "mail.subject", options->subject);
  put_text(all, "mail.caFile", options->ca);
  if (options->starttls || options->plain)
    hf_json_put(all, "mail.tls", json_string(options->starttls ? "starttls" : "plain"));
  put_results(options, all);
  if (options->receivers[0] != NULL) {
    json_t *to = json_array();
    for (guint i = 0; options->receivers[i] != NULL; i++)
      json_array_append_new(to, json_string(options->receivers[i]));
    hf_json_put(all, "mail.to", to);
  }
  if (options->password_file == NULL)
    return TRUE; /* the one that is there stays */
  hf_autosecret HfBuffer password = HF_BUFFER_INIT;
  if (!hf_fleet_password(fleet->cli, options->password_file, "password at the mail server", "--password-file", FALSE,
                         &password, error))
    return FALSE;
  hf_json_put(all, "mail.password", json_string((const char *)password.data));
  return TRUE;
}

static gboolean apply_syslog(HfFleet *fleet G_GNUC_UNUSED, const HfOptions *options, json_t *all,
                             GError **error G_GNUC_UNUSED)
{
  hf_json_put(all, "syslog.isEnabled", json_boolean(!options->off));
  put_text(all, "syslog.host", options->host);
  put_port(all, "syslog.port", options->at_port);
  put_text(all, "syslog.transport", options->transport);
  put_text(all, "syslog.caFile", options->ca);
  return TRUE;
}

gboolean hf_verb_notification_mail(const HfOptions *options, HfCli *cli, GError **error)
{
  return change(options, cli, apply_mail, error);
}

gboolean hf_verb_notification_syslog(const HfOptions *options, HfCli *cli, GError **error)
{
  return change(options, cli, apply_syslog, error);
}

gboolean hf_verb_notification_test(const HfOptions *options, HfCli *cli, GError **error)
{
  g_auto(HfFleet) fleet = { 0 };
  hf_autojson json_t *answer = NULL;
  if (!hf_fleet_open(&fleet, options, cli, error) ||
      !hf_fleet_ask(&fleet, "POST", NOTIFICATIONS "/testMail", NULL, &answer, error))
    return FALSE;
  hf_output_note(cli->output, "the mail server took the mail\n");
  hf_output_document(cli->output, json_incref(answer));
  return TRUE;
}
