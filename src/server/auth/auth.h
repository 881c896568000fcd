/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who may do what: accounts, logins, tokens, roles, and the audit trail.
 *
 * INVARIANTS
 * 1. Passwords are kept as Argon2id hashes, tokens as SHA-256 of 32 random bytes: nothing in the database lets anyone
 *    in.
 * 2. After 5 failed logins of a name or 20 of an address, each further failure doubles the wait: from 1 s up to 30 s
 *    for a name (2 s from an address where its account was logged in before: nobody can lock its owner out for ever),
 *    up to 15 minutes for an address (of IPv6: its /64). While it lasts nothing is even tried. Names that no account
 *    has wait as accounts do, and cost the same time as a wrong password.
 * 3. A refresh token works once. One that comes a second time revokes every token of its login: it was stolen.
 * 4. There is always one administrator who may log in: the last is neither deleted, disabled nor given less.
 *
 * Threads: any.
 */
#pragma once

#include "server/auth/secrets.h"
#include "server/db/db.h"

typedef enum HfRole {
  HF_ROLE_VIEWER,           /* sees everything but secrets */
  HF_ROLE_RESTORE_OPERATOR, /* and restores */
  HF_ROLE_OPERATOR,         /* and starts and stops jobs */
  HF_ROLE_ADMINISTRATOR,    /* everything */
} HfRole;
/* "administrator", "operator", "restore-operator", "viewer"; static. */
const char *hf_role_name(HfRole role);
gboolean hf_role_parse(const char *name, HfRole *role, GError **error);

typedef enum HfAction {
  HF_ACTION_VIEW,      /* read anything, the licence included */
  HF_ACTION_AUDIT,     /* read the audit trail and the accounts */
  HF_ACTION_RUN,       /* start, stop, retry jobs; stop sessions; health check */
  HF_ACTION_SWITCH,    /* enable and disable jobs and proxies */
  HF_ACTION_RESTORE,   /* browse points and restore to where they came from */
  HF_ACTION_RESTORE_ELSEWHERE, /* restore to another host */
  HF_ACTION_RESCAN,    /* rescan hosts and repositories */
  HF_ACTION_CONFIGURE, /* create, change, delete hosts, credentials, repositories, proxies, jobs, rules, passwords */
  HF_ACTION_DELETE,    /* delete backups */
  HF_ACTION_ACCOUNTS,  /* accounts and their roles */
} HfAction;
gboolean hf_role_allows(HfRole role, HfAction action);

/* Who does something, for audit and permission. Borrowed strings. The server itself: hf_actor_server. */
typedef struct HfActor {
  const char *account_id; /* NULL: the server itself */
  const char *account;    /* its name, "" for the server itself */
  const char *address;    /* "" when there is none */
  HfRole role;
} HfActor;
extern const HfActor hf_actor_server;
/* HF_ERROR_PERMISSION, naming the account, its role and the action, when the role does not allow it. */
gboolean hf_actor_may(const HfActor *actor, HfAction action, GError **error);

typedef struct HfAuthTimes {
  gint64 access_us;  /* 15 minutes */
  gint64 refresh_us; /* 14 days */
  gint64 short_refresh_us; /* of logins that ask for a short one: 1 hour */
} HfAuthTimes;

typedef struct HfAuth HfAuth;
/* `db` must outlive it. `times` NULL: the defaults above. `memory_kib` of Argon2id, 0: 64 MiB; at most two
 * hashes are reckoned at a time. */
HfAuth *hf_auth_new(HfDb *db, const HfAuthTimes *times, guint memory_kib);
void hf_auth_free(HfAuth *auth);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfAuth, hf_auth_free)

/* ---- Accounts. ---- */
typedef struct HfAccountRow {
  char *id, *name, *description;
  HfRole role;
  gboolean disabled;
  gint64 failed_logins, locked_until, last_login, created; /* 0: never */
} HfAccountRow;
void hf_account_free(HfAccountRow *account);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfAccountRow, hf_account_free)

/* Names: 1 to 64 characters, no control characters, ':' or blanks at the ends; unique without regard to case.
 * Passwords: 8 to 1024 bytes. `*id` (may be NULL) is the caller's. */
gboolean hf_account_create(HfAuth *auth, const HfActor *actor, const char *name, const char *description,
                           const char *password, HfRole role, char **id, GError **error);
/* By id, or by name when no id fits. */
HfAccountRow *hf_account_get(HfAuth *auth, const char *id_or_name, GError **error);
/* HfAccountRow*, by name; freed with the array. */
GPtrArray *hf_accounts_load(HfAuth *auth, GError **error);
/* Changes description, role, disabled; a disabled account loses its tokens. */
gboolean hf_account_change(HfAuth *auth, const HfActor *actor, const char *id, const char *description, HfRole role,
                           gboolean disabled, GError **error);
/* Revokes all tokens of the account and lifts a lock. */
gboolean hf_account_set_password(HfAuth *auth, const HfActor *actor, const char *id, const char *password,
                                 GError **error);
gboolean hf_account_delete(HfAuth *auth, const HfActor *actor, const char *id, GError **error);
/* Makes "admin" with a random password when there is no account at all: `*password` is then set (caller:
 * hf_secret_free), else NULL. */
gboolean hf_auth_first_account(HfAuth *auth, char **password, GError **error);

/* ---- Logging in. ---- */
typedef struct HfTokenPair {
  char *access;  /* 43 characters of base64url: 32 random bytes */
  char *refresh;
  gint64 issued, access_expires, refresh_expires; /* microseconds since 1970 */
  char *account_id, *account;
  HfRole role;
} HfTokenPair;
void hf_token_pair_free(HfTokenPair *pair); /* wipes */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfTokenPair, hf_token_pair_free)

/* HF_ERROR_PASSWORD: the same words for an unknown name, a wrong password, a disabled account; HF_ERROR_BUSY while
 * slowed, with the seconds to wait. All three are audited. */
HfTokenPair *hf_auth_login(HfAuth *auth, const char *name, const char *password, const char *address,
                           gboolean short_refresh, GError **error);
/* A new pair for a refresh token. HF_ERROR_PERMISSION: expired, revoked, unknown. */
HfTokenPair *hf_auth_refresh(HfAuth *auth, const char *refresh, const char *address, GError **error);

/* Whose access token is it? The strings of `actor` point into `who`, which the caller frees. HF_ERROR_PERMISSION when
 * unknown or revoked, HF_ERROR_CANCELLED when expired (the interface tells the two apart). Costs one indexed read. */
typedef struct HfWho {
  char *account_id, *account, *address, *token_id;
  HfActor actor;
} HfWho;
void hf_who_free(HfWho *who);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfWho, hf_who_free)
HfWho *hf_auth_check(HfAuth *auth, const char *access, const char *address, GError **error);
/* Revokes the pair of this access token, and its whole login. */
gboolean hf_auth_logout(HfAuth *auth, const char *access, GError **error);
/* Deletes tokens that expired a day ago and forgets addresses that have been quiet for a day; called now and then. */
gboolean hf_auth_sweep(HfAuth *auth, GError **error);

/* ---- Audit. ---- */
typedef struct HfAudit {
  const char *action;      /* "create", "start", ... */
  const char *object_kind; /* the table: "jobs" */
  const char *object_id, *object_name; /* "" when there is none */
  const char *old_value, *new_value;   /* JSON or NULL; secrets never */
  const GError *refused;   /* NULL: it was done */
} HfAudit;
/* Inside the transaction of the change itself, so that neither is without the other. */
gboolean hf_audit_write(HfDbLink *link, const HfActor *actor, const HfAudit *audit, GError **error);
/* In a transaction of its own: for refusals and for actions that change no row. */
gboolean hf_audit_note(HfDb *db, const HfActor *actor, const HfAudit *audit, GError **error);
/* Deletes what is older than `before`. */
gboolean hf_audit_sweep(HfDb *db, gint64 before, GError **error);
/* The row of `table` with that id as a JSON object, sealed_* and *_hash columns replaced by "(secret)" or left out when
 * NULL; "null" when there is no such row. Caller frees; NULL on error. */
char *hf_audit_row(HfDbLink *link, const char *table, const char *id, GError **error);
