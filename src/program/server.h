/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The whole backup server: state folder, database, authority, hosts, jobs, schedule, interface; put together in the
 * order in which they need each other, and taken apart in the other.
 *
 * The state folder (mode 0700) holds server.db unless the database is elsewhere, seal.key (opens the secrets in the
 * database; keep a copy of it apart), server.pem (the interface's certificate when none was given) and index/ (a
 * cache).
 */
#pragma once

#include <glib.h>

#define HF_SERVER_CONFIG "/etc/holdfast/server.conf"
#define HF_SERVER_STATE "/var/lib/holdfast-server"

typedef struct HfServerSettings {
  char *state;
  char *database;     /* NULL: server.db of the state folder; else a file or "postgresql://..." */
  char *name;         /* of this server */
  char *address;      /* of the interface; NULL: all */
  int port;           /* -1: the catalogue's */
  char *certificate, *key; /* files (PEM) for the interface; NULL: one by the internal authority */
  char *agent_package, *agent_program; /* what hosts get that are added by SSH; NULL: none */
} HfServerSettings;
/* Reads `config`; NULL: HF_SERVER_CONFIG, which may be missing. `state` (or NULL) goes before what it says. Unknown
 * keys are errors. */
HfServerSettings *hf_server_settings_load(const char *config, const char *state, GError **error);
void hf_server_settings_free(HfServerSettings *settings);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfServerSettings, hf_server_settings_free)

typedef struct HfServer HfServer;
/* Starts all of it. *password is set when the first account, "admin", was made: it is told this once (caller:
 * hf_secret_free). HF_ERROR_BUSY when another server works in the state folder. */
HfServer *hf_server_start(const HfServerSettings *settings, char **password, GError **error);
/* Sessions are let go (tasks on hosts go on); the next start takes them up. NULL is allowed. */
void hf_server_stop(HfServer *server);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfServer, hf_server_stop)
int hf_server_port(const HfServer *server);
/* SHA-256 of the interface's certificate, hex; caller frees. */
char *hf_server_fingerprint(const HfServer *server);
/* Rebuilds the catalogue from the repositories; hosts must answer. For `holdfast-server rescan`. */
gboolean hf_server_rescan(HfServer *server, GError **error);
