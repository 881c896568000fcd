/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Real peers that telling is tested against: a mail server, rsyslogd. They end with the test. */
#pragma once

#include <glib.h>

typedef struct Peer {
  GPid pid;
  int port;
} Peer;

/* A TCP port that nobody listens on now. */
int peer_free_port(void);
/* Makes FOLDER/cert.pem and FOLDER/key.pem for "localhost" and 127.0.0.1. */
void peer_make_certificate(const char *folder);
/* FALSE when what it needs is not installed. */
gboolean peer_mail_start(Peer *peer, const char *folder, int port, gboolean tls);
/* Listens on `port` (UDP and TCP) and `tls_port`; writes FOLDER/out.log. */
gboolean peer_syslog_start(Peer *peer, const char *folder, int port, int tls_port);
void peer_stop(Peer *peer);
/* The content of the file once it holds the text; fails the test when that does not come within 15 s. Caller frees. */
char *peer_wait_for(const char *folder, const char *name, const char *holds);
