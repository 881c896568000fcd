/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Telling the world: mail of job results (SMTP by libcurl), events to a syslog server (RFC 5424), counters for
 * Prometheus.
 *
 * INVARIANTS
 * 1. Telling never holds up who has something to tell: hf_notify_* put an event into a bounded queue and return. When
 *    it is full the oldest waiting event is dropped and counted.
 * 2. Mail is tried again (after 1, 5, 15, 60 minutes) and survives a restart in the table `events`; then a line of the
 *    session's log and the audit trail say that it was given up. Syslog is tried again while the queue has room.
 *
 * Threads: any.
 */
#pragma once

#include "server/auth/secrets.h"
#include "server/db/db.h"

typedef enum HfMailTls { HF_MAIL_PLAIN, HF_MAIL_STARTTLS } HfMailTls;
typedef struct HfMailSettings {
  gboolean enabled;
  char *host;
  int port;         /* 0: the catalogue's for `tls` (services smtp, submission) */
  HfMailTls tls;    /* STARTTLS is demanded, never merely tried */
  char *ca_file;    /* NULL: the system's */
  char *user;       /* NULL: no login */
  GBytes *sealed_password; /* hf_secrets place "settings.mail", id "password" */
  char *from;
  char **to;        /* ended by NULL */
  char *subject;    /* with %JobName%, %JobResult%, %ObjectCount%, %Issues%; NULL: a default */
  gboolean on_success, on_warning, on_failure;
} HfMailSettings;

typedef enum HfSyslogTransport { HF_SYSLOG_UDP, HF_SYSLOG_TCP, HF_SYSLOG_TLS } HfSyslogTransport;
typedef struct HfSyslogSettings {
  gboolean enabled;
  char *host;
  int port;        /* 0: the catalogue's for `transport` */
  HfSyslogTransport transport;
  char *ca_file;   /* of TLS; NULL: the system's */
  char *certificate_file, *key_file; /* of TLS, or NULL */
} HfSyslogSettings;

typedef struct HfNotifySettings {
  HfMailSettings mail;
  HfSyslogSettings syslog;
} HfNotifySettings;
void hf_notify_settings_free(HfNotifySettings *settings);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfNotifySettings, hf_notify_settings_free)
/* Kept in the table settings, "notify". */
HfNotifySettings *hf_notify_settings_load(HfDb *db, GError **error);
/* `mail_password` NULL: stays as it is; "": none. Audit is the caller's. Checks the values: HF_ERROR_USAGE. */
gboolean hf_notify_settings_save(HfDb *db, HfSecrets *secrets, const HfNotifySettings *settings,
                                 const char *mail_password, GError **error);

typedef struct HfNotify HfNotify;
/* Starts the threads (one for mail, one for syslog). `db` and `secrets` must outlive it. `name`: of this server, in
 * mails and syslog. */
HfNotify *hf_notify_new(HfDb *db, HfSecrets *secrets, const char *name, GError **error);
/* Gives what waits one second, then stops (a connection to syslog under way may take 5 more); mails that remain are in
 * the database. */
void hf_notify_free(HfNotify *notify);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfNotify, hf_notify_free)
/* Settings were saved. */
void hf_notify_changed(HfNotify *notify);

/* A session ended: mail (when its result asks for it) and a syslog event, made from its rows. */
void hf_notify_session(HfNotify *notify, const char *session_id);

typedef enum HfSeverity { /* RFC 5424 */
  HF_SEVERITY_ERROR = 3,
  HF_SEVERITY_WARNING = 4,
  HF_SEVERITY_NOTICE = 5,
  HF_SEVERITY_INFO = 6,
} HfSeverity;
/* An event for syslog. `id`: a word, its MSGID ("host-lost"). `pairs`: names and values of the structured data, ended
 * by NULL; may be NULL itself. */
void hf_notify_event(HfNotify *notify, HfSeverity severity, const char *id, const char *const *pairs,
                     const char *format, ...) G_GNUC_PRINTF(5, 6);
/* Sends a test mail and waits for it (at most 30 s): what the mail server said is in the error. */
gboolean hf_notify_test_mail(HfNotify *notify, GError **error);

/* The page /metrics in the text format of Prometheus; caller frees, NULL on error. `notify` may be NULL. */
char *hf_metrics_text(HfDb *db, HfNotify *notify, GError **error);
