/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The REST interface of the server: HTTPS on one port. docs/rest.md says how it behaves, spec/api/ declares what it
 * offers; clients of the de-facto standard (its paths, names and shapes) work against it unchanged.
 *
 *   request -> HTTP (http.c) -> version, account, right (call.c) -> body and query held against the declarations
 *           -> a list or a row straight from the tables (view.c), or the handler of a noun -> JSON
 *
 * INVARIANTS
 * 1. No answer holds null, and every refusal has a body that says why.
 * 2. No SQL is made of what came from outside: fragments are the declarations', values are bound.
 * 3. A request is judged by its account before its body is read.
 * 4. Secrets are wiped after use, and no answer but that of a login holds one.
 *
 * Threads: a few that move bytes, and `workers` that answer. hf_api_start and hf_api_stop are called by one thread.
 */
#pragma once

#include "api/actions.h"
#include "server/auth/auth.h"
#include "server/db/db.h"
#include "server/notify/notify.h"

typedef struct HfApiSettings {
  HfDb *db;                     /* opened with at least `workers` readers */
  HfSecrets *secrets;
  HfAuth *auth;
  HfNotify *notify;             /* may be NULL */
  const HfApiActions *actions;
  const char *name;             /* of this server, as clients see it */
  const char *address;          /* to listen on; NULL: all */
  int port;                     /* -1: the catalogue's; 0: any that is free */
  const char *certificate;      /* PEM: the server's, then those above it */
  const char *key;              /* PEM, unsealed */
  guint workers;                /* 0: 8 */
  guint connections;            /* at a time; 0: 512 */
} HfApiSettings;

typedef struct HfApi HfApi;

/* Listens and answers when this returns. All that `settings` points to but the strings must outlive it. */
HfApi *hf_api_start(const HfApiSettings *settings, GError **error);
/* Answers what is under way, refuses what comes, and stops. NULL is allowed. */
void hf_api_stop(HfApi *api);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfApi, hf_api_stop)

/* The port that it listens on. */
int hf_api_port(const HfApi *api);
