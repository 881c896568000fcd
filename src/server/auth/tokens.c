/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/error.h"
#include "crypto/crypto.h"
#include "server/auth/state.h"

#define TOKEN_BYTES 32
#define DAY_US (G_GINT64_CONSTANT(24) * 3600 * G_USEC_PER_SEC)

void hf_token_pair_free(HfTokenPair *pair)
{
  if (pair == NULL)
    return;
  hf_secret_free(pair->access);
  hf_secret_free(pair->refresh);
  g_free(pair->account_id);
  g_free(pair->account);
  g_free(pair);
}

void hf_who_free(HfWho *who)
{
  if (who == NULL)
    return;
  g_free(who->account_id);
  g_free(who->account);
  g_free(who->address);
  g_free(who->token_id);
  g_free(who);
}

/* 43 characters of base64url. */
static char *new_token(guint8 hash[32])
{
  guint8 random[TOKEN_BYTES];
  hf_random(random, sizeof random);
  char *text = g_base64_encode(random, sizeof random);
  hf_wipe(random, sizeof random);
  g_strdelimit(text, "+", '-');
  g_strdelimit(text, "/", '_');
  text[strcspn(text, "=")] = '\0';
  hf_sha256(text, strlen(text), hash);
  return text;
}

HfTokenPair *hf_auth_issue(HfAuth *auth, HfDbLink *link, const char *account_id, const char *family,
                           const char *address,
                           gboolean short_refresh, GError **error)
{
  guint8 access[32], refresh[32];
  g_autoptr(HfTokenPair) pair = g_new0(HfTokenPair, 1);
  g_autofree char *id = hf_db_new_id();
  pair->access = new_token(access);
  pair->refresh = new_token(refresh);
  pair->issued = hf_db_now();
  pair->access_expires = pair->issued + auth->times.access_us;
  pair->refresh_expires = pair->issued + (short_refresh ? auth->times.short_refresh_us : auth->times.refresh_us);
  g_autoptr(HfDbRows) rows = hf_db_query(link, "SELECT name, role FROM accounts WHERE id = ?",
                                         HF_DB_VALUES(HF_DB_TEXT(account_id)), error);
  if (rows == NULL || !hf_db_next(rows, error) || !hf_role_parse(hf_db_text(rows, 1), &pair->role, error))
    return NULL;
  pair->account_id = g_strdup(account_id);
  pair->account = g_strdup(hf_db_text(rows, 0));
  if (!hf_db_exec(link, "INSERT INTO tokens (id, account_id, family, access_hash, refresh_hash, address, issued, "
                        "access_expires, refresh_expires) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                  HF_DB_VALUES(HF_DB_TEXT(id), HF_DB_TEXT(account_id), HF_DB_TEXT(family != NULL ? family : id),
                               HF_DB_BLOB(access, sizeof access), HF_DB_BLOB(refresh, sizeof refresh),
                               HF_DB_TEXT(address), HF_DB_INT(pair->issued), HF_DB_INT(pair->access_expires),
                               HF_DB_INT(pair->refresh_expires)), NULL, error))
    return NULL;
  return g_steal_pointer(&pair);
}

gboolean hf_auth_revoke_account(HfDbLink *link, const char *account_id, GError **error)
{
  return hf_db_exec(link, "UPDATE tokens SET revoked = ? WHERE account_id = ? AND revoked IS NULL",
                    HF_DB_VALUES(HF_DB_INT(hf_db_now()), HF_DB_TEXT(account_id)), NULL, error);
}

static gboolean revoke_family(HfDbLink *link, const char *family, GError **error)
{
  return hf_db_exec(link, "UPDATE tokens SET revoked = ? WHERE family = ? AND revoked IS NULL",
                    HF_DB_VALUES(HF_DB_INT(hf_db_now()), HF_DB_TEXT(family)), NULL, error);
}

/* ---- refreshing ---- */

typedef struct Refresh {
  HfAuth *auth;
  guint8 hash[32];
  const char *address;
  gboolean stolen;
  HfTokenPair *pair;
} Refresh;

static gboolean refuse_stolen(HfDbLink *link, Refresh *refresh, const char *account_id, const char *account,
                              const char *family, GError **error)
{
  g_autoptr(GError) reason = NULL;
  hf_fail(&reason, HF_ERROR_PERMISSION, "a refresh token came a second time; all tokens of that login are revoked");
  HfActor actor = {.account_id = account_id, .account = account, .address = refresh->address};
  HfAudit line = {.action = "refresh", .object_kind = "accounts", .object_id = account_id, .object_name = account,
                  .refused = reason};
  refresh->stolen = TRUE;
  return revoke_family(link, family, error) && hf_audit_write(link, &actor, &line, error);
}

static gboolean refresh_work(HfDbLink *link, gpointer user, GError **error)
{
  Refresh *refresh = user;
  hf_token_pair_free(g_steal_pointer(&refresh->pair));
  refresh->stolen = FALSE;
  g_autoptr(HfDbRows) rows =
      hf_db_query(link, "SELECT tokens.id, account_id, family, issued, refresh_expires, used, revoked, disabled, name "
                        "FROM tokens JOIN accounts ON accounts.id = account_id WHERE refresh_hash = ?",
                  HF_DB_VALUES(HF_DB_BLOB(refresh->hash, sizeof refresh->hash)), error);
  if (rows == NULL)
    return FALSE;
  if (!hf_db_next(rows, error))
    return !hf_db_failed(rows) && hf_fail(error, HF_ERROR_PERMISSION, "this refresh token is not known; log in again");
  g_autofree char *id = g_strdup(hf_db_text(rows, 0));
  g_autofree char *account_id = g_strdup(hf_db_text(rows, 1));
  g_autofree char *family = g_strdup(hf_db_text(rows, 2));
  gint64 now = hf_db_now(), life = hf_db_int(rows, 4) - hf_db_int(rows, 3);
  if (!hf_db_is_null(rows, 6) || hf_db_int(rows, 7) != 0)
    return hf_fail(error, HF_ERROR_PERMISSION, "this refresh token was revoked; log in again");
  if (hf_db_int(rows, 4) <= now)
    return hf_fail(error, HF_ERROR_PERMISSION, "this refresh token has expired; log in again");
  if (!hf_db_is_null(rows, 5))
    return refuse_stolen(link, refresh, account_id, hf_db_text(rows, 8), family, error);
  if (!hf_db_exec(link, "UPDATE tokens SET used = ? WHERE id = ?", HF_DB_VALUES(HF_DB_INT(now), HF_DB_TEXT(id)), NULL,
                  error))
    return FALSE;
  gboolean short_refresh = life <= refresh->auth->times.short_refresh_us;
  refresh->pair = hf_auth_issue(refresh->auth, link, account_id, family, refresh->address, short_refresh, error);
  return refresh->pair != NULL;
}

HfTokenPair *hf_auth_refresh(HfAuth *auth, const char *refresh, const char *address, GError **error)
{
  Refresh work = {.auth = auth, .address = address};
  hf_sha256(refresh, strlen(refresh), work.hash);
  if (!hf_db_write(auth->db, refresh_work, &work, error)) {
    hf_token_pair_free(work.pair);
    return NULL;
  }
  if (work.stolen)
    hf_fail(error, HF_ERROR_PERMISSION, "this refresh token was used before; log in again");
  return work.pair;
}

/* ---- using ---- */

HfWho *hf_auth_check(HfAuth *auth, const char *access, const char *address, GError **error)
{
  guint8 hash[32];
  hf_sha256(access, strlen(access), hash);
  g_autoptr(HfDbLink) link = hf_db_read(auth->db, error);
  g_autoptr(HfDbRows) rows =
      link == NULL ? NULL
                   : hf_db_query(link, "SELECT tokens.id, account_id, name, role, disabled, revoked, access_expires "
                                       "FROM tokens JOIN accounts ON accounts.id = account_id WHERE access_hash = ?",
                                 HF_DB_VALUES(HF_DB_BLOB(hash, sizeof hash)), error);
  if (rows == NULL)
    return NULL;
  HfRole role;
  if (!hf_db_next(rows, error)) {
    if (!hf_db_failed(rows))
      hf_fail(error, HF_ERROR_PERMISSION, "this token is not known; log in again");
    return NULL;
  }
  if (!hf_db_is_null(rows, 5) || hf_db_int(rows, 4) != 0) {
    hf_fail(error, HF_ERROR_PERMISSION, "this token was revoked; log in again");
    return NULL;
  }
  if (hf_db_int(rows, 6) <= hf_db_now()) {
    hf_fail(error, HF_ERROR_CANCELLED, "this token has expired; refresh it or log in again");
    return NULL;
  }
  if (!hf_role_parse(hf_db_text(rows, 3), &role, error))
    return NULL;
  HfWho *who = g_new0(HfWho, 1);
  who->token_id = g_strdup(hf_db_text(rows, 0));
  who->account_id = g_strdup(hf_db_text(rows, 1));
  who->account = g_strdup(hf_db_text(rows, 2));
  who->address = g_strdup(address);
  who->actor = (HfActor){who->account_id, who->account, who->address, role};
  return who;
}

typedef struct Logout {
  const char *access;
} Logout;

static gboolean logout_work(HfDbLink *link, gpointer user, GError **error)
{
  const Logout *logout = user;
  guint8 hash[32];
  hf_sha256(logout->access, strlen(logout->access), hash);
  g_autoptr(HfDbRows) rows =
      hf_db_query(link, "SELECT family, account_id, name, tokens.address FROM tokens "
                        "JOIN accounts ON accounts.id = account_id WHERE access_hash = ?",
                  HF_DB_VALUES(HF_DB_BLOB(hash, sizeof hash)), error);
  if (rows == NULL)
    return FALSE;
  if (!hf_db_next(rows, error))
    return !hf_db_failed(rows) && hf_fail(error, HF_ERROR_PERMISSION, "this token is not known; log in again");
  HfActor actor = {.account_id = hf_db_text(rows, 1), .account = hf_db_text(rows, 2), .address = hf_db_text(rows, 3)};
  HfAudit line = {.action = "logout", .object_kind = "accounts", .object_id = actor.account_id,
                  .object_name = actor.account};
  return revoke_family(link, hf_db_text(rows, 0), error) && hf_audit_write(link, &actor, &line, error);
}

gboolean hf_auth_logout(HfAuth *auth, const char *access, GError **error)
{
  Logout logout = {access};
  return hf_db_write(auth->db, logout_work, &logout, error);
}

static gboolean sweep(HfDbLink *link, gpointer user, GError **error)
{
  const gint64 *before = user;
  return hf_db_exec(link, "DELETE FROM tokens WHERE refresh_expires < ?", HF_DB_VALUES(HF_DB_INT(*before)), NULL,
                    error) &&
         hf_db_exec(link, "DELETE FROM login_addresses WHERE last_failure < ?", HF_DB_VALUES(HF_DB_INT(*before)), NULL,
                    error);
}

gboolean hf_auth_sweep(HfAuth *auth, GError **error)
{
  gint64 before = hf_db_now() - DAY_US;
  return hf_db_write(auth->db, sweep, &before, error);
}
