/* SPDX-License-Identifier: GPL-3.0-or-later */
/* To whom results of jobs are told: mail and syslog, read and replaced as a whole. The mail's password only goes in. */
#include "api/call.h"
#include "api/routes.gen.h"
#include "server/notify/notify.h"

static const char *const mail_tls[] = { "plain", "starttls" };
static const char *const syslog_transport[] = { "udp", "tcp", "tls" };

/* ---- Reading ---- */

static void write_mail(HfApiOut *out, const HfMailSettings *mail)
{
  hf_api_out_open(out, '{');
  hf_api_out_pair_bool(out, "isEnabled", mail->enabled);
  hf_api_out_pair(out, "host", mail->host);
  hf_api_out_pair_int(out, "port", mail->port);
  hf_api_out_pair(out, "tls", mail_tls[mail->tls]);
  hf_api_out_pair(out, "caFile", mail->ca_file);
  hf_api_out_pair(out, "user", mail->user);
  hf_api_out_pair_bool(out, "hasPassword", mail->sealed_password != NULL);
  hf_api_out_pair(out, "from", mail->from);
  hf_api_out_key(out, "to");
  hf_api_out_open(out, '[');
  for (char **to = mail->to; to != NULL && *to != NULL; to++)
    hf_api_out_text(out, *to);
  hf_api_out_close(out, ']');
  hf_api_out_pair(out, "subject", mail->subject);
  hf_api_out_pair_bool(out, "onSuccess", mail->on_success);
  hf_api_out_pair_bool(out, "onWarning", mail->on_warning);
  hf_api_out_pair_bool(out, "onFailure", mail->on_failure);
  hf_api_out_close(out, '}');
}

static void write_syslog(HfApiOut *out, const HfSyslogSettings *syslog)
{
  hf_api_out_open(out, '{');
  hf_api_out_pair_bool(out, "isEnabled", syslog->enabled);
  hf_api_out_pair(out, "host", syslog->host);
  hf_api_out_pair_int(out, "port", syslog->port);
  hf_api_out_pair(out, "transport", syslog_transport[syslog->transport]);
  hf_api_out_pair(out, "caFile", syslog->ca_file);
  hf_api_out_pair(out, "certificateFile", syslog->certificate_file);
  hf_api_out_pair(out, "keyFile", syslog->key_file);
  hf_api_out_close(out, '}');
}

gboolean hf_api_notifications_get(HfApiCall *call, GError **error)
{
  g_autoptr(HfNotifySettings) settings = hf_notify_settings_load(call->api->settings.db, error);
  if (settings == NULL)
    return FALSE;
  hf_api_out_open(&call->out, '{');
  hf_api_out_key(&call->out, "mail");
  write_mail(&call->out, &settings->mail);
  hf_api_out_key(&call->out, "syslog");
  write_syslog(&call->out, &settings->syslog);
  hf_api_out_close(&call->out, '}');
  return TRUE;
}

/* ---- Replacing ---- */

/* The place of a declared word; the first where none is given. */
static guint word_at(json_t *body, const char *path, const char *const *words, guint n_words)
{
  const char *text = hf_api_text_at(body, path);
  for (guint i = 0; i < n_words; i++)
    if (g_strcmp0(text, words[i]) == 0)
      return i;
  return 0;
}

static char *text_at(json_t *body, const char *path)
{
  return g_strdup(hf_api_text_at(body, path));
}

static void read_mail(json_t *body, HfMailSettings *mail)
{
  mail->enabled = hf_api_bool_at(body, "mail.isEnabled", FALSE);
  mail->host = text_at(body, "mail.host");
  mail->port = (int)hf_api_int_at(body, "mail.port", 0);
  mail->tls = (HfMailTls)word_at(body, "mail.tls", mail_tls, G_N_ELEMENTS(mail_tls));
  mail->ca_file = text_at(body, "mail.caFile");
  mail->user = text_at(body, "mail.user");
  mail->from = text_at(body, "mail.from");
  mail->subject = text_at(body, "mail.subject");
  mail->on_success = hf_api_bool_at(body, "mail.onSuccess", FALSE);
  mail->on_warning = hf_api_bool_at(body, "mail.onWarning", TRUE);
  mail->on_failure = hf_api_bool_at(body, "mail.onFailure", TRUE);
  g_autoptr(GStrvBuilder) to = g_strv_builder_new();
  gsize index;
  json_t *address;
  json_array_foreach(hf_api_at(body, "mail.to"), index, address) {
    g_strv_builder_add(to, json_string_value(address));
  }
  mail->to = g_strv_builder_end(to);
}

static void read_syslog(json_t *body, HfSyslogSettings *syslog)
{
  syslog->enabled = hf_api_bool_at(body, "syslog.isEnabled", FALSE);
  syslog->host = text_at(body, "syslog.host");
  syslog->port = (int)hf_api_int_at(body, "syslog.port", 0);
  syslog->transport = (HfSyslogTransport)word_at(body, "syslog.transport", syslog_transport,
                                                 G_N_ELEMENTS(syslog_transport));
  syslog->ca_file = text_at(body, "syslog.caFile");
  syslog->certificate_file = text_at(body, "syslog.certificateFile");
  syslog->key_file = text_at(body, "syslog.keyFile");
}

gboolean hf_api_notifications_put(HfApiCall *call, GError **error)
{
  const HfApiSettings *own = &call->api->settings;
  g_autoptr(HfNotifySettings) settings = g_new0(HfNotifySettings, 1);
  read_mail(call->body, &settings->mail);
  read_syslog(call->body, &settings->syslog);
  if (!hf_notify_settings_save(own->db, own->secrets, settings, hf_api_text_at(call->body, "mail.password"), error))
    return FALSE;
  if (own->notify != NULL)
    hf_notify_changed(own->notify);
  return hf_api_notifications_get(call, error);
}

gboolean hf_api_notifications_test(HfApiCall *call, GError **error)
{
  HfNotify *notify = call->api->settings.notify;
  if (notify == NULL)
    return hf_fail(error, HF_ERROR_UNSUPPORTED, "this server sends no mail");
  return hf_notify_test_mail(notify, error) && hf_api_answer_empty(call);
}
