/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What accounts.c, login.c and tokens.c share. Only they include this. */
#pragma once

#include "server/auth/auth.h"

struct HfAuth {
  HfDb *db;
  HfAuthTimes times;
  guint memory_kib;
  char *nobody; /* the hash that names which do not exist are judged by */

  GMutex mutex; /* guards the rest */
  GCond freed;
  guint hashing;            /* hashes that are being reckoned */
  gint64 slowed_noted;      /* when a login that came too soon was audited last */
};

/* At most two hashes at a time: each takes 64 MiB. */
void hf_auth_begin_hash(HfAuth *auth);
void hf_auth_end_hash(HfAuth *auth);

/* A new pair of tokens for the account, inside a transaction; `family` NULL: a new login. */
HfTokenPair *hf_auth_issue(HfAuth *auth, HfDbLink *link, const char *account_id, const char *family,
                           const char *address,
                           gboolean short_refresh, GError **error);
gboolean hf_auth_revoke_account(HfDbLink *link, const char *account_id, GError **error);
