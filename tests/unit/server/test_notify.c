/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>
#include <sys/wait.h>

#include "peers.h"
#include "place.h"
#include "server/inventory/sessions.h"
#include "server/notify/state.h"

/* ---- as text ---- */

static void test_syslog_message(void)
{
  static const char *const pairs[] = {"job", "a\"b\\c]d", "odd name", "\xff", NULL};
  g_autofree char *message = hf_syslog_message(HF_SEVERITY_ERROR, G_GINT64_CONSTANT(1700000000123456), "host lost",
                                               pairs,
                                               "line\nbreak \xc3\xbc");
  g_assert_true(g_str_has_prefix(message, "<27>1 2023-11-14T22:13:20.123456Z "));
  g_assert_nonnull(strstr(message, " host-lost [holdfast@32473 job=\"a\\\"b\\\\c\\]d\" odd-name=\"\xef\xbf\xbd\"] "
                                   "\xef\xbb\xbfline break \xc3\xbc"));
  g_autofree char *bare = hf_syslog_message(HF_SEVERITY_INFO, 0, "", NULL, "x");
  g_assert_true(g_str_has_suffix(bare, " - - \xef\xbb\xbfx"));
}

static void test_mail_text(void)
{
  char *to[] = {"a@example.org", "b@example.org", NULL};
  HfMailSettings settings = {.from = (char *)"from@example.org", .to = to};
  HfMail mail = {(char *)"plain\r\nBcc: all@example.org", (char *)"body \xc3\xbc\n"};
  g_autofree char *text = hf_mail_text(&settings, "server", &mail);
  g_assert_nonnull(strstr(text, "\r\nTo: a@example.org, b@example.org\r\nSubject: plain  Bcc: all@example.org\r\nDate: "
                                ""));
  g_assert_nonnull(strstr(text, "\r\n\r\nYm9keSDDvAo=\r\n"));
  HfMail foreign = {(char *)"Gr\xc3\xbc\xc3\x9f" "e von einem sehr langen Betreff, der in mehr als ein Wort "
                                                 "zerf\xc3\xa4llt",
                    (char *)""};
  g_autofree char *encoded = hf_mail_text(&settings, "server", &foreign);
  g_assert_nonnull(strstr(encoded, "\r\nSubject: =?UTF-8?B?R3LDvMOfZSB2b24"));
  g_assert_nonnull(strstr(encoded, "?=\r\n =?UTF-8?B?"));
}

/* ---- settings ---- */

static HfNotifySettings *settings_new(int mail_port, int syslog_port)
{
  HfNotifySettings *settings = g_new0(HfNotifySettings, 1);
  settings->mail.enabled = mail_port != 0;
  settings->mail.host = g_strdup("localhost");
  settings->mail.port = mail_port;
  settings->mail.from = g_strdup("holdfast@example.org");
  settings->mail.to = g_strsplit("admin@example.org,b@example.org", ",", -1);
  settings->mail.on_failure = settings->mail.on_warning = TRUE;
  settings->syslog.enabled = syslog_port != 0;
  settings->syslog.host = g_strdup("localhost");
  settings->syslog.port = syslog_port;
  return settings;
}

static void save(TestPlace *place, const HfNotifySettings *settings, const char *password)
{
  GError *error = NULL;
  hf_notify_settings_save(place->db, place->secrets, settings, password, &error);
  g_assert_no_error(error);
}

static void put(char **member, const char *text)
{
  g_free(*member);
  *member = g_strdup(text);
}

static void refuse(TestPlace *place, HfNotifySettings *settings, const char *holds)
{
  GError *error = NULL;
  g_assert_false(hf_notify_settings_save(place->db, place->secrets, settings, NULL, &error));
  test_refused(&error, HF_ERROR_USAGE, holds);
  hf_notify_settings_free(settings);
}

static void test_settings(TestPlace *place)
{
  GError *error = NULL;
  test_open(place);
  g_autoptr(HfNotifySettings) settings = settings_new(26, 515);
  put(&settings->mail.user, "u");
  put(&settings->mail.subject, "[%JobResult%] \xc3\xbc");
  put(&settings->syslog.ca_file, "/ca.pem");
  settings->mail.tls = HF_MAIL_STARTTLS;
  settings->syslog.transport = HF_SYSLOG_TLS;
  save(place, settings, "hush");
  save(place, settings, NULL); /* the password stays */
  g_autoptr(HfNotifySettings) got = hf_notify_settings_load(place->db, &error);
  g_assert_cmpstr(got->mail.to[1], ==, "b@example.org");
  g_assert_cmpint(got->mail.tls, ==, HF_MAIL_STARTTLS);
  g_assert_true(got->mail.on_warning && !got->mail.on_success);
  g_assert_cmpint(got->syslog.transport, ==, HF_SYSLOG_TLS);
  g_assert_cmpstr(got->syslog.ca_file, ==, "/ca.pem");
  g_autoptr(HfSecret) secret = hf_secrets_unseal(place->secrets, "settings.mail", "password",
                                                    got->mail.sealed_password,
                                                    NULL, &error);
  g_assert_cmpstr(secret, ==, "hush");
  g_autofree char *stored = test_text(place->db, "SELECT value FROM settings WHERE name = 'notify'");
  g_assert_null(strstr(stored, "hush"));
  save(place, settings, "");
  g_autoptr(HfNotifySettings) without = hf_notify_settings_load(place->db, &error);
  g_assert_null(without->mail.sealed_password);

  HfNotifySettings *wrong = settings_new(25, 0);
  put(&wrong->mail.host, "");
  refuse(place, wrong, "name of a mail server");
  wrong = settings_new(25, 0);
  put(&wrong->mail.from, "a@b\r\nRCPT");
  refuse(place, wrong, "no mail address");
  wrong = settings_new(25, 0);
  put(&wrong->mail.to[0], "nobody");
  refuse(place, wrong, "no mail address");
  wrong = settings_new(25, 0);
  g_clear_pointer(&wrong->mail.to, g_strfreev);
  refuse(place, wrong, "somebody");
  wrong = settings_new(25, 0);
  put(&wrong->mail.subject, "a\nb");
  refuse(place, wrong, "one line");
  refuse(place, settings_new(70000, 0), "port of the mail server");
  refuse(place, settings_new(0, 70000), "port of the syslog server");
  wrong = settings_new(0, 514);
  put(&wrong->syslog.host, "");
  refuse(place, wrong, "syslog needs");
  wrong = settings_new(0, 514);
  put(&wrong->syslog.key_file, "/k");
  refuse(place, wrong, "needs its key");
}

/* ---- mail ---- */

static char *ended_session(TestPlace *place, const char *name, const char *result)
{
  GError *error = NULL;
  g_autoptr(HfSessionRow) session = g_new0(HfSessionRow, 1);
  g_autoptr(HfTaskRow) task = g_new0(HfTaskRow, 1);
  session->name = g_strdup(name);
  session->type = g_strdup("BackupJob");
  hf_inv_session_create(&place->inv, &hf_actor_server, session, &error);
  task->session_id = g_strdup(session->id);
  task->type = g_strdup("Backup");
  task->name = g_strdup("alpha");
  hf_inv_task_create(&place->inv, task, &error);
  hf_inv_log(&place->inv, task->id, HF_LINE_WARNING, "cannot read '/etc/shadow'", NULL, NULL, &error);
  hf_inv_task_finish(&place->inv, task->id, result, "because", NULL, NULL, NULL, &error);
  hf_inv_session_finish(&place->inv, session->id, result, "see above", FALSE, &error);
  g_assert_no_error(error);
  return g_strdup(session->id);
}

/* The base64 body of a mail, as text. */
static char *body_of(const char *mail)
{
  gsize length;
  const char *body = strstr(mail, "\n\n") != NULL ? strstr(mail, "\n\n") : strstr(mail, "\r\n\r\n");
  guchar *bytes = g_base64_decode(body, &length);
  char *text = g_strndup((char *)bytes, length);
  g_free(bytes);
  return text;
}

static void test_mail(TestPlace *place)
{
  GError *error = NULL;
  g_autofree char *failed = NULL, *fine = NULL;
  Peer peer = {0};
  if (!peer_mail_start(&peer, place->folder, peer_free_port(), FALSE)) {
    g_test_skip("the package python3-aiosmtpd is not installed");
    return;
  }
  test_open(place);
  g_autoptr(HfNotifySettings) settings = settings_new(peer.port, 0);
  save(place, settings, NULL);
  g_autoptr(HfNotify) notify = hf_notify_new(place->db, place->secrets, "server one", &error);
  g_assert_no_error(error);
  fine = ended_session(place, "fine", HF_RESULT_SUCCESS);
  failed = ended_session(place, "nightly", HF_RESULT_FAILED);
  hf_notify_session(notify, fine); /* nobody wants to know */
  hf_notify_session(notify, failed);
  g_autofree char *mail = peer_wait_for(place->folder, "mail.1", "X-From: holdfast@example.org");
  g_assert_nonnull(strstr(mail, "X-To: admin@example.org,b@example.org"));
  g_assert_nonnull(strstr(mail, "Subject: [Failed] nightly (1 objects)"));
  g_autofree char *body = body_of(mail);
  g_assert_nonnull(strstr(body, "nightly: Failed\nsee above\n"));
  g_assert_nonnull(strstr(body, "Failed   alpha: 0 B processed"));
  g_assert_nonnull(strstr(body, "Warning  cannot read '/etc/shadow'"));
  g_assert_true(hf_notify_test_mail(notify, &error));
  g_autofree char *test = peer_wait_for(place->folder, "mail.2", "Subject: Test of");
  for (guint i = 0; i < 100 && test_number(place->db, "SELECT COUNT(*) FROM events") > 0; i++)
    g_usleep(20000);
  g_assert_cmpint(test_number(place->db, "SELECT COUNT(*) FROM events"), ==, 0);
  g_assert_cmpint(hf_notify_counts(notify).mails_sent, ==, 1);
  /* Switched off: nothing goes. */
  settings->mail.enabled = FALSE;
  save(place, settings, NULL);
  hf_notify_changed(notify);
  g_assert_false(hf_notify_test_mail(notify, &error));
  test_refused(&error, HF_ERROR_USAGE, "not enabled");
  peer_stop(&peer);
}

static void test_mail_tls(TestPlace *place)
{
  GError *error = NULL;
  Peer peer = {0};
  peer_make_certificate(place->folder);
  if (!peer_mail_start(&peer, place->folder, peer_free_port(), TRUE)) {
    g_test_skip("the package python3-aiosmtpd is not installed");
    return;
  }
  test_open(place);
  g_autoptr(HfNotifySettings) settings = settings_new(peer.port, 0);
  settings->mail.tls = HF_MAIL_STARTTLS;
  settings->mail.user = g_strdup("u");
  save(place, settings, "p");
  g_autoptr(HfNotify) notify = hf_notify_new(place->db, place->secrets, "server", &error);
  g_assert_false(hf_notify_test_mail(notify, &error)); /* the system's CAs do not know it */
  test_refused(&error, HF_ERROR_IO, "cannot send mail by 'localhost'");
  settings->mail.ca_file = g_build_filename(place->folder, "cert.pem", NULL);
  save(place, settings, NULL);
  g_assert_true(hf_notify_test_mail(notify, &error));
  g_assert_no_error(error);
  g_autofree char *mail = peer_wait_for(place->folder, "mail.1", "X-Tls: True");
  save(place, settings, "wrong");
  g_assert_false(hf_notify_test_mail(notify, &error));
  test_refused(&error, HF_ERROR_IO, "cannot send mail");
  peer_stop(&peer);
}

/* A mail server that is not there holds up nobody, and what it did not get is told at last. */
static void test_mail_given_up(TestPlace *place)
{
  GError *error = NULL;
  test_open(place);
  g_autoptr(HfNotifySettings) settings = settings_new(peer_free_port(), 0);
  save(place, settings, NULL);
  g_autoptr(HfNotify) notify = hf_notify_new(place->db, place->secrets, "server", &error);
  hf_notify_hurry(notify, 1000);
  g_autofree char *session = ended_session(place, "nightly", HF_RESULT_FAILED);
  gint64 before = g_get_monotonic_time();
  hf_notify_session(notify, session);
  g_assert_cmpint(g_get_monotonic_time() - before, <, 100000);
  for (guint i = 0; i < 300 && test_number(place->db, "SELECT COUNT(*) FROM audit WHERE action = 'mail'") == 0; i++)
    g_usleep(50000);
  g_autofree char *line = test_text(place->db, "SELECT object_name || result FROM audit WHERE action = 'mail'");
  g_assert_nonnull(strstr(line, "[Failed] nightly (1 objects)cannot send mail"));
  g_assert_cmpint(test_number(place->db, "SELECT COUNT(*) FROM session_logs WHERE title LIKE '%given up%'"), ==, 1);
  g_assert_cmpint(hf_notify_counts(notify).mails_failed, ==, 5);
}

/* What a server that stopped had not delivered goes out after its next start. */
static void test_mail_survives(TestPlace *place)
{
  GError *error = NULL;
  Peer peer = {0};
  test_open(place);
  int port = peer_free_port();
  g_autoptr(HfNotifySettings) settings = settings_new(port, 0);
  save(place, settings, NULL);
  HfNotify *first = hf_notify_new(place->db, place->secrets, "server", &error);
  g_autofree char *session = ended_session(place, "nightly", HF_RESULT_WARNING);
  hf_notify_session(first, session);
  hf_notify_free(first);
  g_assert_cmpint(test_number(place->db, "SELECT COUNT(*) FROM events WHERE channel = 'mail'"), ==, 1);
  test_exec(place->db, "UPDATE events SET not_before = 0");
  if (!peer_mail_start(&peer, place->folder, port, FALSE)) {
    g_test_skip("the package python3-aiosmtpd is not installed");
    return;
  }
  g_autoptr(HfNotify) second = hf_notify_new(place->db, place->secrets, "server", &error);
  g_autofree char *mail = peer_wait_for(place->folder, "mail.1", "Subject: [Warning] nightly");
  peer_stop(&peer);
}

/* ---- syslog ---- */

static void tell(TestPlace *place, HfNotify *notify, HfNotifySettings *settings, HfSyslogTransport transport, int port,
                 const char *word)
{
  settings->syslog.transport = transport;
  settings->syslog.port = port;
  save(place, settings, NULL);
  hf_notify_changed(notify);
  hf_notify_event(notify, HF_SEVERITY_NOTICE, "test", NULL, "hello by %s", word);
}

static void test_syslog(TestPlace *place)
{
  GError *error = NULL;
  Peer peer = {0};
  int port = peer_free_port(), tls_port = peer_free_port();
  peer_make_certificate(place->folder);
  if (!peer_syslog_start(&peer, place->folder, port, tls_port)) {
    g_test_skip("the packages rsyslog and rsyslog-gnutls are not installed");
    return;
  }
  test_open(place);
  g_autoptr(HfNotifySettings) settings = settings_new(0, port);
  put(&settings->syslog.host, "127.0.0.1");
  settings->syslog.ca_file = g_build_filename(place->folder, "cert.pem", NULL);
  save(place, settings, NULL);
  g_autoptr(HfNotify) notify = hf_notify_new(place->db, place->secrets, "server", &error);
  tell(place, notify, settings, HF_SYSLOG_UDP, port, "udp");
  g_autofree char *udp = peer_wait_for(place->folder, "out.log", "hello by udp");
  g_assert_nonnull(strstr(udp, "imudp <29>1 "));
  tell(place, notify, settings, HF_SYSLOG_TCP, port, "tcp");
  g_free(peer_wait_for(place->folder, "out.log", "hello by tcp"));
  tell(place, notify, settings, HF_SYSLOG_TLS, tls_port, "tls");
  g_free(peer_wait_for(place->folder, "out.log", "hello by tls"));
  g_autofree char *session = ended_session(place, "nightly", HF_RESULT_FAILED);
  hf_notify_session(notify, session);
  g_autofree char *log = peer_wait_for(place->folder, "out.log", "'nightly' ended: Failed: see above");
  g_assert_nonnull(strstr(log, " session-ended [holdfast@32473 session="));
  g_assert_nonnull(strstr(log, "imtcp <29>1 "));

  /* A server that is started anew gets what was said meanwhile. */
  peer_stop(&peer);
  hf_notify_event(notify, HF_SEVERITY_NOTICE, "test", NULL, "said to nobody");
  g_usleep(300000);
  g_assert_true(peer_syslog_start(&peer, place->folder, port, tls_port));
  g_free(peer_wait_for(place->folder, "out.log", "said to nobody"));
  peer_stop(&peer);
}

static void test_syslog_refused(TestPlace *place)
{
  GError *error = NULL;
  Peer peer = {0};
  int port = peer_free_port(), tls_port = peer_free_port();
  peer_make_certificate(place->folder);
  HfSyslogSettings settings = {.enabled = TRUE, .host = (char *)"127.0.0.1", .port = tls_port,
                               .transport = HF_SYSLOG_TLS};
  g_assert_null(hf_syslog_connect(&settings, &error));
  test_refused(&error, HF_ERROR_IO, "cannot connect");
  settings.host = (char *)"no such host.invalid";
  g_assert_null(hf_syslog_connect(&settings, &error));
  test_refused(&error, HF_ERROR_IO, "cannot find");
  if (!peer_syslog_start(&peer, place->folder, port, tls_port)) {
    g_test_skip("the packages rsyslog and rsyslog-gnutls are not installed");
    return;
  }
  settings.host = (char *)"127.0.0.1";
  g_assert_null(hf_syslog_connect(&settings, &error)); /* not known to the system's CAs */
  test_refused(&error, HF_ERROR_PERMISSION, "no TLS");
  settings.ca_file = (char *)"/nowhere.pem";
  g_assert_null(hf_syslog_connect(&settings, &error));
  test_refused(&error, HF_ERROR_NOT_FOUND, "no certificate of a CA");
  g_autofree char *ca = g_build_filename(place->folder, "cert.pem", NULL);
  settings.ca_file = ca;
  settings.certificate_file = settings.key_file = (char *)"/nowhere.pem";
  g_assert_null(hf_syslog_connect(&settings, &error));
  test_refused(&error, HF_ERROR_INVALID, "cannot use the certificate");
  peer_stop(&peer);
}

/* Invariant 1: nobody waits, the oldest go. */
static void test_bounded(TestPlace *place)
{
  GError *error = NULL;
  test_open(place);
  g_autoptr(HfNotifySettings) settings = settings_new(0, peer_free_port());
  settings->syslog.transport = HF_SYSLOG_TCP;
  save(place, settings, NULL);
  g_autoptr(HfNotify) notify = hf_notify_new(place->db, place->secrets, "server", &error);
  for (guint i = 0; i < 5000; i++)
    hf_notify_event(notify, HF_SEVERITY_INFO, "flood", NULL, "%u", i);
  HfNotifyCounts counts = hf_notify_counts(notify);
  g_assert_cmpint(counts.events_dropped, >=, 5000 - 4096 - 1);
  g_assert_cmpint(counts.events_dropped, <=, 5000 - 4096 + 1);
  g_assert_cmpint(counts.events_sent, ==, 0);
}

/* ---- the page of counters ---- */

static void test_metrics(TestPlace *place)
{
  GError *error = NULL;
  test_open(place);
  g_autofree char *host = test_host(place, "alpha");
  g_autofree char *repository = test_repository(place, "store", host);
  g_autofree char *job = test_job(place, "nightly", repository, NULL);
  g_autofree char *session = ended_session(place, "nightly", HF_RESULT_FAILED);
  g_autoptr(HfNotify) notify = hf_notify_new(place->db, place->secrets, "server", &error);
  test_exec(place->db, "UPDATE hosts SET name = 'alpha \"one\\'; UPDATE repositories SET capacity = 1000, checked = 1; "
                       "UPDATE jobs SET last_run = 1500000");
  g_autofree char *page = hf_metrics_text(place->db, notify, &error);
  g_assert_no_error(error);
  static const char *const lines[] = {
    "holdfast_hosts{status=\"Unavailable\"} 1\n",
    "holdfast_host_available{host=\"alpha \\\"one\\\\\"} 0\n",
    "# TYPE holdfast_repository_capacity_bytes gauge\nholdfast_repository_capacity_bytes{repository=\"store\"} 1000\n",
    "holdfast_job_last_run_timestamp_seconds{job=\"nightly\"} 1.500\n",
    "holdfast_job_last_result{job=\"nightly\"} 0\n",
    "holdfast_sessions_kept{type=\"BackupJob\",result=\"Failed\"} 1\n",
    "holdfast_restore_points_damaged 0\n",
    "# TYPE holdfast_mails_total counter\nholdfast_mails_total{outcome=\"sent\"} 0\n",
  };
  g_autofree char *schema = g_strdup_printf(",schema=\"%u\"} 1\n", hf_db_schema(place->db));
  g_assert_nonnull(strstr(page, schema));
  for (gsize i = 0; i < G_N_ELEMENTS(lines); i++)
    if (strstr(page, lines[i]) == NULL)
      g_error("the page lacks '%s':\n%s", lines[i], page);
  g_autofree char *alone = hf_metrics_text(place->db, NULL, &error);
  g_assert_null(strstr(alone, "holdfast_mails_total"));
  /* Prometheus' own judgement, where it is installed. */
  g_autofree char *promtool = g_find_program_in_path("promtool");
  if (promtool == NULL)
    return;
  g_autofree char *file = g_build_filename(place->folder, "page", NULL);
  g_assert_true(g_file_set_contents(file, page, -1, NULL));
  char *argv[] = {"sh", "-c", "promtool check metrics < page", NULL};
  g_autofree char *said = NULL;
  int status = -1;
  g_assert_true(g_spawn_sync(place->folder, argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL,
                             NULL, &said, &status, NULL));
  g_test_message("promtool: %s", said);
  g_assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 3)); /* 3: only hints */
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/server/notify/syslog-message", test_syslog_message);
  g_test_add_func("/server/notify/mail-text", test_mail_text);
  test_add("/server/notify/settings", test_settings);
  test_add("/server/notify/mail", test_mail);
  test_add("/server/notify/mail-tls", test_mail_tls);
  test_add("/server/notify/mail-given-up", test_mail_given_up);
  test_add("/server/notify/mail-survives", test_mail_survives);
  test_add("/server/notify/syslog", test_syslog);
  test_add("/server/notify/syslog-refused", test_syslog_refused);
  test_add("/server/notify/bounded", test_bounded);
  test_add("/server/notify/metrics", test_metrics);
  return test_run();
}
