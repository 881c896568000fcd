/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Logging in. The order matters: a slot for a hash, then the look at the waits, the hash, and the count of the failure
 * before the slot is given back: so that many logins at once cannot run past the waits.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/work.h"
#include "crypto/crypto.h"
#include "server/auth/password.h"
#include "server/auth/state.h"

#define ACCOUNT_FREE 5
#define ADDRESS_FREE 20
#define ACCOUNT_WAIT_MAX (G_GINT64_CONSTANT(30) * G_USEC_PER_SEC)
#define ADDRESS_WAIT_MAX (G_GINT64_CONSTANT(900) * G_USEC_PER_SEC)
#define KNOWN_WAIT_MAX (G_GINT64_CONSTANT(2) * G_USEC_PER_SEC) /* where the account was logged in before */
#define NAME_SHOWN 64 /* characters: no account's name is longer */
#define NETWORK_BYTES 8 /* of an IPv6 address: who has one of a /64 has them all */

static gint64 wait_after(gint64 failures, gint64 allowed, gint64 longest)
{
  if (failures < allowed)
    return 0;
  return MIN((gint64)G_USEC_PER_SEC << MIN(failures - allowed, 20), longest);
}

typedef struct Login {
  HfAuth *auth;
  const char *name, *address;
  gboolean short_refresh;
  char *source;   /* the row of the address */
  char *stranger; /* the row of a name that no account has: it waits as an account does, and so tells nothing */
  char *shown;    /* of the name, for the audit trail */
  /* What was found: id NULL when there is no such account. */
  char *id, *real_name, *hash;
  HfRole role;
  gboolean disabled;
  gint64 account_failures, account_until, address_failures, address_until;
  const GError *refused; /* what is audited */
  HfTokenPair *pair;
} Login;

static void login_clear(Login *login)
{
  g_free(login->source);
  g_free(login->stranger);
  g_free(login->shown);
  g_free(login->id);
  g_free(login->real_name);
  g_free(login->hash);
  hf_token_pair_free(login->pair);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Login, login_clear)

/* Who counts as one: an address, or a network of IPv6. */
static char *source_of(const char *address)
{
  struct in6_addr v6;
  char text[INET6_ADDRSTRLEN];
  if (inet_pton(AF_INET6, address, &v6) != 1)
    return g_strdup(address);
  memset(v6.s6_addr + NETWORK_BYTES, 0, sizeof v6.s6_addr - NETWORK_BYTES);
  return g_strdup_printf("%s/64", inet_ntop(AF_INET6, &v6, text, sizeof text));
}

static void name_it(Login *login)
{
  guint8 digest[32];
  g_autofree char *valid = g_utf8_make_valid(login->name, -1), *folded = g_utf8_casefold(valid, -1);
  hf_sha256(folded, strlen(folded), digest);
  g_autofree char *hex = hf_hex(digest, sizeof digest);
  login->source = source_of(login->address);
  login->stranger = g_strconcat("name ", hex, NULL);
  login->shown = g_utf8_substring(valid, 0, MIN(g_utf8_strlen(valid, -1), NAME_SHOWN));
}

/* A row of login_addresses; both stay as they are when there is none. */
static gboolean look_at_failures(HfDbLink *link, const char *row, gint64 *failures, gint64 *until, GError **error)
{
  g_autoptr(HfDbRows) rows = hf_db_query(link, "SELECT failed_logins, locked_until FROM login_addresses WHERE address "
                                               "= ?",
                                         HF_DB_VALUES(HF_DB_TEXT(row)), error);
  if (rows == NULL)
    return FALSE;
  if (hf_db_next(rows, error)) {
    *failures = hf_db_int(rows, 0);
    *until = hf_db_int(rows, 1);
  }
  return !hf_db_failed(rows);
}

/* Else a stranger could keep the owner of an account out for ever, by a wrong password now and then. */
static gboolean shorten_where_known(HfDbLink *link, Login *login, GError **error)
{
  gint64 logins = 0, wait = wait_after(login->account_failures, ACCOUNT_FREE, ACCOUNT_WAIT_MAX);
  if (login->account_until == 0 || wait <= KNOWN_WAIT_MAX)
    return TRUE;
  if (!hf_db_query_int(link, "SELECT COUNT(*) FROM tokens WHERE account_id = ? AND address = ?",
                       HF_DB_VALUES(HF_DB_TEXT(login->id), HF_DB_TEXT(login->address)), &logins, error))
    return FALSE;
  if (logins > 0)
    login->account_until -= wait - KNOWN_WAIT_MAX;
  return TRUE;
}

static gboolean look(Login *login, GError **error)
{
  g_autoptr(HfDbLink) link = hf_db_read(login->auth->db, error);
  if (link == NULL)
    return FALSE;
  g_autoptr(HfDbRows) rows = hf_db_query(link, "SELECT id, name, password_hash, role, disabled, failed_logins, "
                                               "locked_until FROM accounts WHERE LOWER(name) = LOWER(?)",
                                         HF_DB_VALUES(HF_DB_TEXT(login->name)), error);
  if (rows == NULL)
    return FALSE;
  if (hf_db_next(rows, error)) {
    login->id = g_strdup(hf_db_text(rows, 0));
    login->real_name = g_strdup(hf_db_text(rows, 1));
    login->hash = g_strdup(hf_db_text(rows, 2));
    login->disabled = !hf_role_parse(hf_db_text(rows, 3), &login->role, NULL) || hf_db_int(rows, 4) != 0;
    login->account_failures = hf_db_int(rows, 5);
    login->account_until = hf_db_int(rows, 6);
  } else if (hf_db_failed(rows)) {
    return FALSE;
  }
  return (login->id != NULL ? shorten_where_known(link, login, error)
                            : look_at_failures(link, login->stranger, &login->account_failures, &login->account_until,
                                               error)) &&
         look_at_failures(link, login->source, &login->address_failures, &login->address_until, error);
}

static gboolean audit(HfDbLink *link, const Login *login, GError **error)
{
  HfActor actor = {.account_id = login->id, .account = login->id != NULL ? login->real_name : login->shown,
                   .address = login->address};
  HfAudit line = {.action = "login", .object_kind = "accounts", .object_id = login->id != NULL ? login->id : "",
                  .object_name = actor.account, .refused = login->refused};
  return hf_audit_write(link, &actor, &line, error);
}

static gboolean count_at(HfDbLink *link, const char *row, gint64 wait, GError **error)
{
  gint64 now = hf_db_now();
  return hf_db_exec(link, "INSERT INTO login_addresses (address, failed_logins, locked_until, last_failure) "
                          "VALUES (?, 1, ?, ?) ON CONFLICT (address) DO UPDATE SET "
                          "failed_logins = login_addresses.failed_logins + 1, locked_until = excluded.locked_until, "
                          "last_failure = excluded.last_failure",
                    HF_DB_VALUES(HF_DB_TEXT(row), wait > 0 ? HF_DB_INT(now + wait) : HF_DB_NULL, HF_DB_INT(now)), NULL,
                    error);
}

static gboolean count_at_account(HfDbLink *link, const Login *login, gint64 wait, GError **error)
{
  return hf_db_exec(link, "UPDATE accounts SET failed_logins = failed_logins + 1, locked_until = ? WHERE id = ?",
                    HF_DB_VALUES(wait > 0 ? HF_DB_INT(hf_db_now() + wait) : HF_DB_NULL, HF_DB_TEXT(login->id)), NULL,
                    error);
}

static gboolean count_failure(HfDbLink *link, gpointer user, GError **error)
{
  const Login *login = user;
  gint64 wait = wait_after(login->account_failures + 1, ACCOUNT_FREE, ACCOUNT_WAIT_MAX);
  return (login->id != NULL ? count_at_account(link, login, wait, error)
                            : count_at(link, login->stranger, wait, error)) &&
         count_at(link, login->source, wait_after(login->address_failures + 1, ADDRESS_FREE, ADDRESS_WAIT_MAX),
                  error) &&
         audit(link, login, error);
}

static gboolean succeed(HfDbLink *link, gpointer user, GError **error)
{
  Login *login = user;
  hf_token_pair_free(g_steal_pointer(&login->pair)); /* of a try that was undone */
  if (!hf_db_exec(link, "UPDATE accounts SET failed_logins = 0, locked_until = NULL, last_login = ? WHERE id = ?",
                  HF_DB_VALUES(HF_DB_INT(hf_db_now()), HF_DB_TEXT(login->id)), NULL, error) ||
      !hf_db_exec(link, "DELETE FROM login_addresses WHERE address = ?", HF_DB_VALUES(HF_DB_TEXT(login->source)), NULL,
                  error) ||
      !audit(link, login, error))
    return FALSE;
  login->pair = hf_auth_issue(login->auth, link, login->id, NULL, login->address, login->short_refresh, error);
  return login->pair != NULL;
}

static gboolean write_audit(HfDbLink *link, gpointer user, GError **error)
{
  return audit(link, user, error);
}

/* A flood of logins that come too soon must not fill the disk by its lines: one a second. */
static void note_slowed(Login *login, const GError *refused)
{
  HfAuth *auth = login->auth;
  g_mutex_lock(&auth->mutex);
  gint64 now = hf_db_now();
  gboolean due = ABS(now - auth->slowed_noted) >= G_USEC_PER_SEC;
  if (due)
    auth->slowed_noted = now;
  g_mutex_unlock(&auth->mutex);
  login->refused = refused;
  if (due)
    hf_db_write(auth->db, write_audit, login, NULL);
}

static gboolean try(Login *login, const char *password, GError **error)
{
  if (!look(login, error))
    return FALSE;
  g_autoptr(GError) refused = NULL;
  gint64 wait = MAX(login->account_until, login->address_until) - hf_db_now();
  if (wait > 0) {
    hf_fail(&refused, HF_ERROR_BUSY, "too many failed logins; wait %" G_GINT64_FORMAT " seconds",
            MIN(wait, ADDRESS_WAIT_MAX) / G_USEC_PER_SEC + 1);
    note_slowed(login, refused);
    g_propagate_error(error, g_steal_pointer(&refused));
    return FALSE;
  }
  gboolean same = FALSE;
  if (!hf_password_check(password, login->id != NULL ? login->hash : login->auth->nobody, &same, error))
    return FALSE;
  if (same && login->id != NULL && !login->disabled)
    return hf_db_write(login->auth->db, succeed, login, error);
  hf_fail(&refused, HF_ERROR_PASSWORD, "wrong name or password");
  login->refused = refused;
  if (!hf_db_write(login->auth->db, count_failure, login, error))
    return FALSE;
  g_propagate_error(error, g_steal_pointer(&refused));
  return FALSE;
}

HfTokenPair *hf_auth_login(HfAuth *auth, const char *name, const char *password, const char *address,
                           gboolean short_refresh, GError **error)
{
  g_auto(Login) login = {.auth = auth, .name = name, .address = address, .short_refresh = short_refresh};
  name_it(&login);
  hf_auth_begin_hash(auth);
  gboolean good = try(&login, password, error);
  hf_auth_end_hash(auth);
  return good ? g_steal_pointer(&login.pair) : NULL;
}
