/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <curl/curl.h>
#include <string.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "ports/catalogue/catalogue.h"
#include "server/notify/state.h"

#define DEFAULT_SUBJECT "[%JobResult%] %JobName% (%ObjectCount% objects)"

void hf_mail_free(HfMail *mail)
{
  if (mail == NULL)
    return;
  g_free(mail->subject);
  g_free(mail->body);
  g_free(mail);
}

/* ---- what it says ---- */

static gboolean wanted(const HfMailSettings *settings, const char *result)
{
  if (strcmp(result, "Success") == 0)
    return settings->on_success;
  return strcmp(result, "Warning") == 0 ? settings->on_warning : settings->on_failure;
}

static char *subject_of(const HfMailSettings *settings, const char *name, const char *result, gint64 objects,
                        const char *message)
{
  g_autofree char *count = g_strdup_printf("%" G_GINT64_FORMAT, objects);
  const struct {
    const char *word, *instead;
  } words[] = {{"%JobName%", name}, {"%JobResult%", result}, {"%ObjectCount%", count}, {"%Issues%", message}};
  const char *from = settings->subject != NULL ? settings->subject : DEFAULT_SUBJECT;
  GString *subject = g_string_new(NULL);
  while (*from != '\0') {
    gsize i = 0;
    while (i < G_N_ELEMENTS(words) && !g_str_has_prefix(from, words[i].word))
      i++;
    if (i == G_N_ELEMENTS(words)) {
      g_string_append_c(subject, *from++);
      continue;
    }
    g_string_append(subject, words[i].instead);
    from += strlen(words[i].word);
  }
  return g_string_free(subject, FALSE);
}

static gboolean add_tasks(GString *body, HfDbLink *link, const char *session_id, gint64 *count, GError **error)
{
  g_autoptr(HfDbRows) rows =
      hf_db_query(link, "SELECT name, result, processed_bytes, transferred_bytes, bottleneck, message FROM "
                        "task_sessions "
                        "WHERE session_id = ? ORDER BY created, id", HF_DB_VALUES(HF_DB_TEXT(session_id)), error);
  if (rows == NULL)
    return FALSE;
  while (hf_db_next(rows, error)) {
    g_autofree char *processed = hf_format_size((guint64)hf_db_int(rows, 2));
    g_autofree char *transferred = hf_format_size((guint64)hf_db_int(rows, 3));
    g_string_append_printf(body, "%-8s %s: %s processed, %s sent, bottleneck %s%s%s\n", hf_db_text(rows, 1),
                           hf_db_text(rows, 0), processed, transferred, hf_db_text(rows, 4),
                           *hf_db_text(rows, 5) != '\0' ? ": " : "", hf_db_text(rows, 5));
    ++*count;
  }
  return !hf_db_failed(rows);
}

static gboolean add_troubles(GString *body, HfDbLink *link, const char *session_id, GError **error)
{
  g_autoptr(HfDbRows) rows =
      hf_db_query(link, "SELECT status, title FROM session_logs WHERE status IN ('Warning', 'Failed') AND "
                        "(session_id = ? OR session_id IN (SELECT id FROM task_sessions WHERE session_id = ?)) "
                        "ORDER BY started, seq LIMIT 100", HF_DB_VALUES(HF_DB_TEXT(session_id), HF_DB_TEXT(session_id)),
                  error);
  if (rows == NULL)
    return FALSE;
  for (gboolean first = TRUE; hf_db_next(rows, error); first = FALSE)
    g_string_append_printf(body, "%s%-8s %s\n", first ? "\n" : "", hf_db_text(rows, 0), hf_db_text(rows, 1));
  return !hf_db_failed(rows);
}

static char *time_text(gint64 time)
{
  return time == 0 ? g_strdup("-") : hf_clock_format_local(time * 1000);
}

HfMail *hf_mail_of_session(HfDb *db, const HfMailSettings *settings, const char *session_id, GError **error)
{
  g_autoptr(HfDbLink) link = hf_db_read(db, error);
  g_autoptr(HfDbRows) rows =
      link == NULL ? NULL
                   : hf_db_query(link, "SELECT name, result, message, created, ended FROM sessions WHERE id = ?",
                                 HF_DB_VALUES(HF_DB_TEXT(session_id)), error);
  if (rows == NULL || !hf_db_next(rows, error) || !wanted(settings, hf_db_text(rows, 1)))
    return NULL;
  g_autoptr(GString) body = g_string_new(NULL);
  g_autofree char *began = time_text(hf_db_int(rows, 3));
  g_autofree char *ended = time_text(hf_db_int(rows, 4));
  gint64 objects = 0;
  g_string_append_printf(body, "%s: %s\n%s\nbegan %s\nended %s\n\n", hf_db_text(rows, 0), hf_db_text(rows, 1),
                         hf_db_text(rows, 2), began, ended);
  if (!add_tasks(body, link, session_id, &objects, error) || !add_troubles(body, link, session_id, error))
    return NULL;
  HfMail *mail = g_new0(HfMail, 1);
  mail->subject = subject_of(settings, hf_db_text(rows, 0), hf_db_text(rows, 1), objects, hf_db_text(rows, 2));
  mail->body = g_string_free(g_steal_pointer(&body), FALSE);
  return mail;
}

/* ---- as text ---- */

/* Text that is not plain goes as encoded words of at most 75 signs, whole characters each. */
static void add_subject(GString *text, const char *subject)
{
  g_autofree char *line = g_strdelimit(g_utf8_make_valid(subject, -1), "\r\n\t", ' ');
  g_string_append(text, "Subject:");
  if (g_str_is_ascii(line) && strlen(line) < 900) {
    g_string_append_printf(text, " %s\r\n", line);
    return;
  }
  for (const char *at = line; *at != '\0';) {
    const char *end = at;
    while (*end != '\0' && g_utf8_next_char(end) - at <= 45)
      end = g_utf8_next_char(end);
    g_autofree char *word = g_base64_encode((const guchar *)at, (gsize)(end - at));
    g_string_append_printf(text, "%s =?UTF-8?B?%s?=", at == line ? "" : "\r\n", word);
    at = end;
  }
  g_string_append(text, "\r\n");
}

char *hf_mail_text(const HfMailSettings *settings, const char *name, const HfMail *mail)
{
  static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  static const char *const days[] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
  g_autoptr(GDateTime) now = g_date_time_new_from_unix_utc(hf_db_now() / G_USEC_PER_SEC);
  g_autofree char *clock = g_date_time_format(now, "%Y %H:%M:%S +0000");
  g_autofree char *id = hf_db_new_id();
  g_autofree char *to = g_strjoinv(", ", settings->to);
  g_autofree char *body = g_base64_encode((const guchar *)mail->body, strlen(mail->body));
  GString *text = g_string_new(NULL);
  g_string_append_printf(text, "From: %s\r\nTo: %s\r\n", settings->from, to);
  add_subject(text, mail->subject);
  /* Not by strftime: names of days and months are English, whatever the locale. */
  g_string_append_printf(text, "Date: %s, %02d %s %s\r\nMessage-ID: <%s@%s>\r\n",
                         days[g_date_time_get_day_of_week(now) - 1], g_date_time_get_day_of_month(now),
                         months[g_date_time_get_month(now) - 1], clock, id, name);
  g_string_append(text, "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
                        "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n");
  for (const char *at = body; *at != '\0'; at += MIN(strlen(at), 76))
    g_string_append_printf(text, "%.76s\r\n", at);
  return g_string_free(text, FALSE);
}

/* ---- over the wire ---- */

typedef struct Upload {
  const char *at;
  gint *stop;
} Upload;

static size_t give_bytes(char *buffer, size_t size, size_t count, void *user)
{
  Upload *upload = user;
  size_t length = MIN(strlen(upload->at), size * count);
  memcpy(buffer, upload->at, length);
  upload->at += length;
  return length;
}

static int ask_stop(void *user, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
  (void)a, (void)b, (void)c, (void)d;
  const Upload *upload = user;
  return upload->stop != NULL && g_atomic_int_get(upload->stop) != 0;
}

static const char *service_of(const HfMailSettings *settings)
{
  return settings->tls == HF_MAIL_STARTTLS ? "submission" : "smtp";
}

static char *url_of(const HfMailSettings *settings, const char *name)
{
  int port = settings->port;
  if (port == 0)
    port = hf_port_service(service_of(settings))->first;
  gboolean brackets = strchr(settings->host, ':') != NULL;
  return g_strdup_printf("smtp://%s%s%s:%d/%s", brackets ? "[" : "", settings->host, brackets ? "]" : "", port, name);
}

/* A name for HELO: letters, digits, dots and hyphens. */
static char *helo_name(const char *name)
{
  char *plain = g_strdup(name);
  return g_strcanon(plain, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS ".-", '-');
}

static void set_options(CURL *curl, const HfMailSettings *settings, const char *password, const char *url,
                        struct curl_slist *to, Upload *upload, char *said)
{
  curl_easy_setopt(curl, CURLOPT_URL, url);
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "smtp");
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 10L);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT, 30L);
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, said);
  curl_easy_setopt(curl, CURLOPT_USE_SSL, (long)(settings->tls == HF_MAIL_STARTTLS ? CURLUSESSL_ALL : CURLUSESSL_NONE));
  curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
  if (settings->ca_file != NULL)
    curl_easy_setopt(curl, CURLOPT_CAINFO, settings->ca_file);
  if (settings->user != NULL) {
    curl_easy_setopt(curl, CURLOPT_USERNAME, settings->user);
    curl_easy_setopt(curl, CURLOPT_PASSWORD, password != NULL ? password : "");
  }
  curl_easy_setopt(curl, CURLOPT_MAIL_FROM, settings->from);
  curl_easy_setopt(curl, CURLOPT_MAIL_RCPT, to);
  curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
  curl_easy_setopt(curl, CURLOPT_READFUNCTION, give_bytes);
  curl_easy_setopt(curl, CURLOPT_READDATA, upload);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, ask_stop);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, upload);
}

gboolean hf_mail_send(const HfMailSettings *settings, const char *password, const char *name, const HfMail *mail,
                      gint *stop, GError **error)
{
  static gsize ready;
  if (g_once_init_enter(&ready)) {
    curl_global_init(CURL_GLOBAL_DEFAULT);
    g_once_init_leave(&ready, 1);
  }
  char said[CURL_ERROR_SIZE] = "";
  g_autofree char *helo = helo_name(name);
  g_autofree char *url = url_of(settings, helo);
  g_autofree char *text = hf_mail_text(settings, helo, mail);
  Upload upload = {text, stop};
  struct curl_slist *to = NULL;
  for (char **address = settings->to; *address != NULL; address++)
    to = curl_slist_append(to, *address);
  CURL *curl = curl_easy_init();
  set_options(curl, settings, password, url, to, &upload, said);
  CURLcode result = curl_easy_perform(curl);
  curl_easy_cleanup(curl);
  curl_slist_free_all(to);
  if (result == CURLE_OK)
    g_message("row %s: sent mail by '%s'", hf_port_service(service_of(settings))->source->id, settings->host);
  return result == CURLE_OK || hf_fail(error, HF_ERROR_IO, "cannot send mail by '%s': %s", settings->host,
                                       *said != '\0' ? said : curl_easy_strerror(result));
}
