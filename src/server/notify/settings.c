/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "server/notify/state.h"

static const char *const tls_words[] = {"plain", "starttls"};
static const char *const transport_words[] = {"udp", "tcp", "tls"};

void hf_notify_settings_free(HfNotifySettings *settings)
{
  if (settings == NULL)
    return;
  HfMailSettings *mail = &settings->mail;
  g_free(mail->host);
  g_free(mail->ca_file);
  g_free(mail->user);
  g_clear_pointer(&mail->sealed_password, g_bytes_unref);
  g_free(mail->from);
  g_strfreev(mail->to);
  g_free(mail->subject);
  HfSyslogSettings *syslog = &settings->syslog;
  g_free(syslog->host);
  g_free(syslog->ca_file);
  g_free(syslog->certificate_file);
  g_free(syslog->key_file);
  g_free(settings);
}

/* ---- reading ---- */

static char *text_of(json_t *object, const char *name)
{
  return g_strdup(json_string_value(json_object_get(object, name)));
}

static guint word_of(json_t *object, const char *name, const char *const *words, guint n_words)
{
  const char *text = json_string_value(json_object_get(object, name));
  for (guint i = 0; i < n_words; i++)
    if (g_strcmp0(text, words[i]) == 0)
      return i;
  return 0;
}

static gboolean flag_of(json_t *object, const char *name)
{
  return json_is_true(json_object_get(object, name));
}

static void read_mail(json_t *json, HfMailSettings *mail)
{
  mail->enabled = flag_of(json, "enabled");
  mail->host = text_of(json, "host");
  mail->port = (int)json_integer_value(json_object_get(json, "port"));
  mail->tls = (HfMailTls)word_of(json, "tls", tls_words, G_N_ELEMENTS(tls_words));
  mail->ca_file = text_of(json, "ca_file");
  mail->user = text_of(json, "user");
  mail->from = text_of(json, "from");
  mail->subject = text_of(json, "subject");
  mail->on_success = flag_of(json, "on_success");
  mail->on_warning = flag_of(json, "on_warning");
  mail->on_failure = flag_of(json, "on_failure");
  const char *sealed = json_string_value(json_object_get(json, "sealed_password"));
  if (sealed != NULL) {
    gsize length;
    guchar *bytes = g_base64_decode(sealed, &length);
    mail->sealed_password = g_bytes_new_take(bytes, length);
  }
  g_autoptr(GStrvBuilder) to = g_strv_builder_new();
  gsize index;
  json_t *address;
  json_array_foreach(json_object_get(json, "to"), index, address) {
    g_strv_builder_add(to, json_string_value(address));
  }
  mail->to = g_strv_builder_end(to);
}

static void read_syslog(json_t *json, HfSyslogSettings *syslog)
{
  syslog->enabled = flag_of(json, "enabled");
  syslog->host = text_of(json, "host");
  syslog->port = (int)json_integer_value(json_object_get(json, "port"));
  syslog->transport = (HfSyslogTransport)word_of(json, "transport", transport_words, G_N_ELEMENTS(transport_words));
  syslog->ca_file = text_of(json, "ca_file");
  syslog->certificate_file = text_of(json, "certificate_file");
  syslog->key_file = text_of(json, "key_file");
}

HfNotifySettings *hf_notify_settings_load(HfDb *db, GError **error)
{
  g_autoptr(HfDbLink) link = hf_db_read(db, error);
  if (link == NULL)
    return NULL;
  g_autoptr(GError) problem = NULL;
  g_autofree char *text = hf_db_setting(link, "notify", &problem);
  if (problem != NULL) {
    g_propagate_error(error, g_steal_pointer(&problem));
    return NULL;
  }
  HfNotifySettings *settings = g_new0(HfNotifySettings, 1);
  json_t *root = json_loads(text != NULL ? text : "{}", 0, NULL);
  read_mail(json_object_get(root, "mail"), &settings->mail);
  read_syslog(json_object_get(root, "syslog"), &settings->syslog);
  json_decref(root);
  return settings;
}

/* ---- checking ---- */

/* What stands in a line of SMTP or of a header must not begin another. */
static gboolean one_line(const char *what, const char *text, GError **error)
{
  if (text == NULL || (g_utf8_validate(text, -1, NULL) && strpbrk(text, "\r\n") == NULL))
    return TRUE;
  return hf_fail(error, HF_ERROR_USAGE, "%s must be one line of text", what);
}

static gboolean check_address(const char *address, GError **error)
{
  const char *at = address == NULL ? NULL : strrchr(address, '@');
  if (at != NULL && at != address && at[1] != '\0' && strpbrk(address, " \t\r\n<>,;") == NULL)
    return TRUE;
  return hf_fail(error, HF_ERROR_USAGE, "'%s' is no mail address", address != NULL ? address : "");
}

static gboolean check_port(const char *what, int port, GError **error)
{
  return (port >= 0 && port <= 65535) || hf_fail(error, HF_ERROR_USAGE, "the port of %s is out of range", what);
}

static gboolean check_mail(const HfMailSettings *mail, GError **error)
{
  if (!one_line("the mail server", mail->host, error) || !one_line("the mail user", mail->user, error) ||
      !one_line("the subject", mail->subject, error) || !check_port("the mail server", mail->port, error))
    return FALSE;
  if (!mail->enabled)
    return TRUE;
  if (mail->host == NULL || *mail->host == '\0')
    return hf_fail(error, HF_ERROR_USAGE, "mail needs the name of a mail server");
  if (mail->to == NULL || mail->to[0] == NULL)
    return hf_fail(error, HF_ERROR_USAGE, "mail needs somebody to go to");
  for (char **to = mail->to; *to != NULL; to++)
    if (!check_address(*to, error))
      return FALSE;
  return check_address(mail->from, error);
}

static gboolean check_syslog(const HfSyslogSettings *syslog, GError **error)
{
  if (!check_port("the syslog server", syslog->port, error))
    return FALSE;
  if (syslog->enabled && (syslog->host == NULL || *syslog->host == '\0'))
    return hf_fail(error, HF_ERROR_USAGE, "syslog needs the name of a server");
  if ((syslog->certificate_file == NULL) != (syslog->key_file == NULL))
    return hf_fail(error, HF_ERROR_USAGE, "a certificate for syslog needs its key, and a key its certificate");
  return TRUE;
}

/* ---- writing ---- */

static void put(json_t *object, const char *name, const char *text)
{
  if (text != NULL)
    json_object_set_new(object, name, json_string(text));
}

static json_t *mail_json(const HfMailSettings *mail, GBytes *sealed)
{
  json_t *json = json_object(), *to = json_array();
  json_object_set_new(json, "enabled", json_boolean(mail->enabled));
  put(json, "host", mail->host);
  json_object_set_new(json, "port", json_integer(mail->port));
  put(json, "tls", tls_words[mail->tls]);
  put(json, "ca_file", mail->ca_file);
  put(json, "user", mail->user);
  put(json, "from", mail->from);
  put(json, "subject", mail->subject);
  json_object_set_new(json, "on_success", json_boolean(mail->on_success));
  json_object_set_new(json, "on_warning", json_boolean(mail->on_warning));
  json_object_set_new(json, "on_failure", json_boolean(mail->on_failure));
  for (char **address = mail->to; address != NULL && *address != NULL; address++)
    json_array_append_new(to, json_string(*address));
  json_object_set_new(json, "to", to);
  if (sealed != NULL) {
    g_autofree char *text = g_base64_encode(g_bytes_get_data(sealed, NULL), g_bytes_get_size(sealed));
    put(json, "sealed_password", text);
  }
  return json;
}

static json_t *syslog_json(const HfSyslogSettings *syslog)
{
  json_t *json = json_object();
  json_object_set_new(json, "enabled", json_boolean(syslog->enabled));
  put(json, "host", syslog->host);
  json_object_set_new(json, "port", json_integer(syslog->port));
  put(json, "transport", transport_words[syslog->transport]);
  put(json, "ca_file", syslog->ca_file);
  put(json, "certificate_file", syslog->certificate_file);
  put(json, "key_file", syslog->key_file);
  return json;
}

static gboolean save(HfDbLink *link, gpointer user, GError **error)
{
  return hf_db_set_setting(link, "notify", user, error);
}

gboolean hf_notify_settings_save(HfDb *db, HfSecrets *secrets, const HfNotifySettings *settings,
                                 const char *mail_password, GError **error)
{
  if (!check_mail(&settings->mail, error) || !check_syslog(&settings->syslog, error))
    return FALSE;
  g_autoptr(HfNotifySettings) old = hf_notify_settings_load(db, error);
  if (old == NULL)
    return FALSE;
  g_autoptr(GBytes) sealed = NULL;
  if (mail_password == NULL && old->mail.sealed_password != NULL)
    sealed = g_bytes_ref(old->mail.sealed_password);
  else if (mail_password != NULL && *mail_password != '\0') {
    sealed = hf_secrets_seal(secrets, "settings.mail", "password", mail_password, strlen(mail_password), error);
    if (sealed == NULL)
      return FALSE;
  }
  json_t *root = json_object();
  json_object_set_new(root, "mail", mail_json(&settings->mail, sealed));
  json_object_set_new(root, "syslog", syslog_json(&settings->syslog));
  char *text = json_dumps(root, JSON_COMPACT);
  json_decref(root);
  gboolean good = hf_db_write(db, save, text, error);
  free(text);
  return good;
}
