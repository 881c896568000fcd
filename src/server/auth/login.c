/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Logging in. The order matters: a slot for a hash, then the look at the waits, the hash, and the count of the failure
 * before the slot is given back: so that many logins at once cannot run past the waits.
 */
#include <string.h>

#include "base/error.h"
#include "base/work.h"
#include "server/auth/password.h"
#include "server/auth/state.h"

#define ACCOUNT_FREE 5
#define ADDRESS_FREE 20
#define ACCOUNT_WAIT_MAX (G_GINT64_CONSTANT(30) * G_USEC_PER_SEC)
#define ADDRESS_WAIT_MAX (G_GINT64_CONSTANT(900) * G_USEC_PER_SEC)

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
  /* What was found: id NULL when there is no such account. */
  char *id, *real_name, *hash;
  HfRole role;
  gboolean disabled;
  gint64 account_failures, address_failures, locked_until;
  const GError *refused; /* what is audited */
  HfTokenPair *pair;
} Login;

static void login_clear(Login *login)
{
  g_free(login->id);
  g_free(login->real_name);
  g_free(login->hash);
  hf_token_pair_free(login->pair);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Login, login_clear)

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
    login->locked_until = hf_db_int(rows, 6);
  } else if (hf_db_failed(rows)) {
    return FALSE;
  }
  g_autoptr(HfDbRows) more = hf_db_query(link, "SELECT failed_logins, locked_until FROM login_addresses WHERE address "
                                               "= ?",
                                         HF_DB_VALUES(HF_DB_TEXT(login->address)), error);
  if (more == NULL)
    return FALSE;
  if (hf_db_next(more, error)) {
    login->address_failures = hf_db_int(more, 0);
    login->locked_until = MAX(login->locked_until, hf_db_int(more, 1));
  }
  return !hf_db_failed(more);
}

static gboolean audit(HfDbLink *link, const Login *login, GError **error)
{
  HfActor actor = {.account_id = login->id, .account = login->id != NULL ? login->real_name : login->name,
                   .address = login->address};
  HfAudit line = {.action = "login", .object_kind = "accounts", .object_id = login->id != NULL ? login->id : "",
                  .object_name = actor.account, .refused = login->refused};
  return hf_audit_write(link, &actor, &line, error);
}

static gboolean count_failure(HfDbLink *link, gpointer user, GError **error)
{
  const Login *login = user;
  gint64 now = hf_db_now();
  gint64 wait = wait_after(login->account_failures + 1, ACCOUNT_FREE, ACCOUNT_WAIT_MAX);
  if (login->id != NULL &&
      !hf_db_exec(link, "UPDATE accounts SET failed_logins = failed_logins + 1, locked_until = ? WHERE id = ?",
                  HF_DB_VALUES(wait > 0 ? HF_DB_INT(now + wait) : HF_DB_NULL, HF_DB_TEXT(login->id)), NULL, error))
    return FALSE;
  wait = wait_after(login->address_failures + 1, ADDRESS_FREE, ADDRESS_WAIT_MAX);
  return hf_db_exec(link, "INSERT INTO login_addresses (address, failed_logins, locked_until, last_failure) "
                          "VALUES (?, 1, ?, ?) ON CONFLICT (address) DO UPDATE SET "
                          "failed_logins = login_addresses.failed_logins + 1, locked_until = excluded.locked_until, "
                          "last_failure = excluded.last_failure",
                    HF_DB_VALUES(HF_DB_TEXT(login->address), wait > 0 ? HF_DB_INT(now + wait) : HF_DB_NULL,
                                 HF_DB_INT(now)), NULL, error) &&
         audit(link, login, error);
}

static gboolean succeed(HfDbLink *link, gpointer user, GError **error)
{
  Login *login = user;
  hf_token_pair_free(g_steal_pointer(&login->pair)); /* of a try that was undone */
  if (!hf_db_exec(link, "UPDATE accounts SET failed_logins = 0, locked_until = NULL, last_login = ? WHERE id = ?",
                  HF_DB_VALUES(HF_DB_INT(hf_db_now()), HF_DB_TEXT(login->id)), NULL, error) ||
      !hf_db_exec(link, "DELETE FROM login_addresses WHERE address = ?", HF_DB_VALUES(HF_DB_TEXT(login->address)), NULL,
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
  gint64 wait = login->locked_until - hf_db_now();
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
  hf_auth_begin_hash(auth);
  gboolean good = try(&login, password, error);
  hf_auth_end_hash(auth);
  return good ? g_steal_pointer(&login.pair) : NULL;
}
