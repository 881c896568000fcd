/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of the folder share. Only they and its tests include this. */
#pragma once

#include "server/notify/notify.h"

/* ---- the page of counters asks ---- */
typedef struct HfNotifyCounts {
  gint64 mails_sent, mails_failed, mails_dropped;
  gint64 events_sent, events_failed, events_dropped;
} HfNotifyCounts;
HfNotifyCounts hf_notify_counts(HfNotify *notify);

/* What "a minute" is for mails that are tried again: tests hurry it. */
void hf_notify_hurry(HfNotify *notify, gint64 minute_us);

/* ---- mail ---- */
typedef struct HfMail {
  char *subject, *body; /* UTF-8 */
} HfMail;
/* The mail about a session; NULL without an error when its result asks for none. */
HfMail *hf_mail_of_session(HfDb *db, const HfMailSettings *settings, const char *session_id, GError **error);
void hf_mail_free(HfMail *mail);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfMail, hf_mail_free)
/* As it goes over the wire: headers and base64 body; caller frees. */
char *hf_mail_text(const HfMailSettings *settings, const char *name, const HfMail *mail);
/* Hands it to the mail server; `stop` (may be NULL) set to non-zero ends it early. */
gboolean hf_mail_send(const HfMailSettings *settings, const char *password, const char *name, const HfMail *mail,
                      gint *stop, GError **error);

/* ---- syslog ---- */
/* An RFC 5424 message without framing; caller frees. `pairs` as hf_notify_event. */
char *hf_syslog_message(HfSeverity severity, gint64 time_us, const char *id, const char *const *pairs,
                        const char *text);
typedef struct HfSyslogLink HfSyslogLink;
HfSyslogLink *hf_syslog_connect(const HfSyslogSettings *settings, GError **error);
/* Frames it as the transport asks. After an error the link is of no use any more. */
gboolean hf_syslog_send(HfSyslogLink *link, const char *message, GError **error);
void hf_syslog_close(HfSyslogLink *link);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfSyslogLink, hf_syslog_close)

/* TLS over a connected socket, to a server that has a certificate for `host`. The socket stays the caller's. */
typedef struct HfSyslogTls HfSyslogTls;
HfSyslogTls *hf_syslog_tls_new(int fd, const HfSyslogSettings *settings, GError **error);
gboolean hf_syslog_tls_send(HfSyslogTls *tls, const char *bytes, gsize length, GError **error);
void hf_syslog_tls_free(HfSyslogTls *tls);
