/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/error.h"
#include "base/work.h"
#include "crypto/crypto.h"
#include "server/auth/audited.h"
#include "server/auth/password.h"
#include "server/auth/state.h"

#define MINUTE_US (G_GINT64_CONSTANT(60) * G_USEC_PER_SEC)
#define COLUMNS "id, name, description, role, disabled, failed_logins, locked_until, last_login, created"

HfAuth *hf_auth_new(HfDb *db, const HfAuthTimes *times, guint memory_kib)
{
  HfAuth *auth = g_new0(HfAuth, 1);
  auth->db = db;
  auth->memory_kib = memory_kib != 0 ? memory_kib : 64 * 1024;
  if (times != NULL)
    auth->times = *times;
  else
    auth->times = (HfAuthTimes){15 * MINUTE_US, 14 * 24 * 60 * MINUTE_US, 60 * MINUTE_US};
  g_mutex_init(&auth->mutex);
  g_cond_init(&auth->freed);
  auth->nobody = hf_password_hash("nobody", auth->memory_kib, NULL);
  return auth;
}

void hf_auth_free(HfAuth *auth)
{
  if (auth == NULL)
    return;
  g_mutex_clear(&auth->mutex);
  g_cond_clear(&auth->freed);
  g_free(auth->nobody);
  g_free(auth);
}

void hf_auth_begin_hash(HfAuth *auth)
{
  HF_LOCK(&auth->mutex);
  while (auth->hashing >= 2)
    g_cond_wait(&auth->freed, &auth->mutex);
  auth->hashing++;
}

void hf_auth_end_hash(HfAuth *auth)
{
  HF_LOCK(&auth->mutex);
  auth->hashing--;
  g_cond_signal(&auth->freed);
}

static char *hash_of(HfAuth *auth, const char *password, GError **error)
{
  hf_auth_begin_hash(auth);
  char *hash = hf_password_hash(password, auth->memory_kib, error);
  hf_auth_end_hash(auth);
  return hash;
}

/* ---- reading ---- */

void hf_account_free(HfAccountRow *account)
{
  if (account == NULL)
    return;
  g_free(account->id);
  g_free(account->name);
  g_free(account->description);
  g_free(account);
}

static HfAccountRow *account_of(HfDbRows *rows)
{
  HfAccountRow *account = g_new0(HfAccountRow, 1);
  account->id = g_strdup(hf_db_text(rows, 0));
  account->name = g_strdup(hf_db_text(rows, 1));
  account->description = g_strdup(hf_db_text(rows, 2));
  if (!hf_role_parse(hf_db_text(rows, 3), &account->role, NULL))
    account->role = HF_ROLE_VIEWER; /* a word that somebody wrote by hand gives nothing away */
  account->disabled = hf_db_int(rows, 4) != 0;
  account->failed_logins = hf_db_int(rows, 5);
  account->locked_until = hf_db_int(rows, 6);
  account->last_login = hf_db_int(rows, 7);
  account->created = hf_db_int(rows, 8);
  return account;
}

static HfAccountRow *get(HfDbLink *link, const char *id_or_name, GError **error)
{
  g_autoptr(HfDbRows) rows = hf_db_query(link, "SELECT " COLUMNS " FROM accounts WHERE id = ? OR LOWER(name) = "
                                                                 "LOWER(?) "
                                               "ORDER BY CASE WHEN id = ? THEN 0 ELSE 1 END",
                                         HF_DB_VALUES(HF_DB_TEXT(id_or_name), HF_DB_TEXT(id_or_name),
                                                      HF_DB_TEXT(id_or_name)), error);
  if (rows == NULL)
    return NULL;
  if (hf_db_next(rows, error))
    return account_of(rows);
  if (!hf_db_failed(rows))
    hf_fail(error, HF_ERROR_NOT_FOUND, "there is no account '%s'", id_or_name);
  return NULL;
}

HfAccountRow *hf_account_get(HfAuth *auth, const char *id_or_name, GError **error)
{
  g_autoptr(HfDbLink) link = hf_db_read(auth->db, error);
  return link == NULL ? NULL : get(link, id_or_name, error);
}

GPtrArray *hf_accounts_load(HfAuth *auth, GError **error)
{
  g_autoptr(HfDbLink) link = hf_db_read(auth->db, error);
  g_autoptr(HfDbRows) rows =
      link == NULL ? NULL : hf_db_query(link, "SELECT " COLUMNS " FROM accounts ORDER BY name, id", HF_DB_NONE, error);
  if (rows == NULL)
    return NULL;
  g_autoptr(GPtrArray) accounts = g_ptr_array_new_with_free_func((GDestroyNotify)hf_account_free);
  while (hf_db_next(rows, error))
    g_ptr_array_add(accounts, account_of(rows));
  return hf_db_failed(rows) ? NULL : g_steal_pointer(&accounts);
}

/* ---- changing ---- */

typedef struct AccountWork {
  const char *id, *name, *description, *hash;
  HfRole role;
  gboolean disabled;
} AccountWork;

static gboolean check_name(const char *name, GError **error)
{
  gboolean good = name != NULL && g_utf8_validate(name, -1, NULL) && *name != '\0' && g_utf8_strlen(name, -1) <= 64 &&
                  strchr(name, ':') == NULL && !g_ascii_isspace(name[0]) && !g_ascii_isspace(name[strlen(name) - 1]);
  for (const char *at = name; good && *at != '\0'; at = g_utf8_next_char(at))
    good = !g_unichar_iscntrl(g_utf8_get_char(at));
  return good || hf_fail(error, HF_ERROR_USAGE, "'%s' is no name of an account: 1 to 64 characters, no ':', no blanks "
                                                "at "
                         "its ends", name != NULL && g_utf8_validate(name, -1, NULL) ? name : "");
}

static gboolean check_password(const char *password, GError **error)
{
  gsize length = password == NULL ? 0 : strlen(password);
  return (length >= 8 && length <= 1024) ||
         hf_fail(error, HF_ERROR_USAGE, "a password has 8 to 1024 bytes; choose another");
}

static gboolean insert_account(HfDbLink *link, gpointer user, GError **error)
{
  const AccountWork *work = user;
  g_autoptr(HfDbRows) rows = hf_db_query(link, "SELECT name FROM accounts WHERE LOWER(name) = LOWER(?)",
                                         HF_DB_VALUES(HF_DB_TEXT(work->name)), error);
  if (rows == NULL)
    return FALSE;
  if (hf_db_next(rows, error))
    return hf_fail(error, HF_ERROR_EXISTS, "there is an account '%s' already; choose another name",
                   hf_db_text(rows, 0));
  return !hf_db_failed(rows) &&
         hf_db_exec(link, "INSERT INTO accounts (id, name, description, password_hash, role, disabled, failed_logins, "
                          "created) VALUES (?, ?, ?, ?, ?, 0, 0, ?)",
                    HF_DB_VALUES(HF_DB_TEXT(work->id), HF_DB_TEXT(work->name), HF_DB_TEXT(work->description),
                                 HF_DB_TEXT(work->hash), HF_DB_TEXT(hf_role_name(work->role)), HF_DB_INT(hf_db_now())),
                    NULL, error);
}

gboolean hf_account_create(HfAuth *auth, const HfActor *actor, const char *name, const char *description,
                           const char *password, HfRole role, char **id, GError **error)
{
  if (!check_name(name, error) || !check_password(password, error))
    return FALSE;
  g_autofree char *hash = hash_of(auth, password, error);
  if (hash == NULL)
    return FALSE;
  g_autofree char *new_id = hf_db_new_id();
  AccountWork work = {.id = new_id, .name = name, .description = description != NULL ? description : "", .hash = hash,
                      .role = role};
  HfAudited change = {auth->db, actor, "create", "accounts", new_id, name};
  if (!hf_audited(&change, insert_account, &work, error))
    return FALSE;
  if (id != NULL)
    *id = g_steal_pointer(&new_id);
  return TRUE;
}

/* Invariant 4. */
static gboolean check_another(HfDbLink *link, const HfAccountRow *account, GError **error)
{
  gint64 others = 0;
  return hf_db_query_int(link, "SELECT COUNT(*) FROM accounts WHERE role = 'administrator' AND disabled = 0 AND id <> "
                               "?",
                         HF_DB_VALUES(HF_DB_TEXT(account->id)), &others, error) &&
         (others > 0 || hf_fail(error, HF_ERROR_REFUSED, "'%s' is the last administrator; make another one first",
                                account->name));
}

static gboolean change_account(HfDbLink *link, gpointer user, GError **error)
{
  const AccountWork *work = user;
  g_autoptr(HfAccountRow) old = get(link, work->id, error);
  if (old == NULL)
    return FALSE;
  gboolean less = work->disabled || work->role != HF_ROLE_ADMINISTRATOR;
  if (old->role == HF_ROLE_ADMINISTRATOR && !old->disabled && less && !check_another(link, old, error))
    return FALSE;
  return hf_db_exec(link, "UPDATE accounts SET description = ?, role = ?, disabled = ? WHERE id = ?",
                    HF_DB_VALUES(HF_DB_TEXT(work->description), HF_DB_TEXT(hf_role_name(work->role)),
                                 HF_DB_INT(work->disabled), HF_DB_TEXT(old->id)), NULL, error) &&
         (!work->disabled || hf_auth_revoke_account(link, old->id, error));
}

gboolean hf_account_change(HfAuth *auth, const HfActor *actor, const char *id, const char *description, HfRole role,
                           gboolean disabled, GError **error)
{
  AccountWork work = {.id = id, .description = description != NULL ? description : "", .role = role,
                      .disabled = disabled};
  HfAudited change = {auth->db, actor, "change", "accounts", id, NULL};
  return hf_audited(&change, change_account, &work, error);
}

static gboolean put_password(HfDbLink *link, gpointer user, GError **error)
{
  const AccountWork *work = user;
  g_autoptr(HfAccountRow) old = get(link, work->id, error);
  return old != NULL &&
         hf_db_exec(link, "UPDATE accounts SET password_hash = ?, failed_logins = 0, locked_until = NULL WHERE id = ?",
                    HF_DB_VALUES(HF_DB_TEXT(work->hash), HF_DB_TEXT(old->id)), NULL, error) &&
         hf_auth_revoke_account(link, old->id, error);
}

gboolean hf_account_set_password(HfAuth *auth, const HfActor *actor, const char *id, const char *password,
                                 GError **error)
{
  if (!check_password(password, error))
    return FALSE;
  g_autofree char *hash = hash_of(auth, password, error);
  if (hash == NULL)
    return FALSE;
  AccountWork work = {.id = id, .hash = hash};
  HfAudited change = {auth->db, actor, "password", "accounts", id, NULL};
  return hf_audited(&change, put_password, &work, error);
}

static gboolean delete_account(HfDbLink *link, gpointer user, GError **error)
{
  const AccountWork *work = user;
  g_autoptr(HfAccountRow) old = get(link, work->id, error);
  if (old == NULL)
    return FALSE;
  if (old->role == HF_ROLE_ADMINISTRATOR && !old->disabled && !check_another(link, old, error))
    return FALSE;
  return hf_db_exec(link, "DELETE FROM accounts WHERE id = ?", HF_DB_VALUES(HF_DB_TEXT(old->id)), NULL, error);
}

gboolean hf_account_delete(HfAuth *auth, const HfActor *actor, const char *id, GError **error)
{
  AccountWork work = {.id = id};
  HfAudited change = {auth->db, actor, "delete", "accounts", id, NULL};
  return hf_audited(&change, delete_account, &work, error);
}

gboolean hf_auth_first_account(HfAuth *auth, char **password, GError **error)
{
  *password = NULL;
  g_autoptr(GPtrArray) accounts = hf_accounts_load(auth, error);
  if (accounts == NULL)
    return FALSE;
  if (accounts->len > 0)
    return TRUE;
  /* 20 of 32 signs that are not taken for each other: 100 bits. */
  static const char signs[] = "abcdefghijkmnpqrstuvwxyz23456789";
  G_STATIC_ASSERT(sizeof signs - 1 == 32);
  guint8 random[20];
  hf_random(random, sizeof random);
  g_autoptr(HfSecret) made = g_malloc0(sizeof random + 1);
  for (gsize i = 0; i < sizeof random; i++)
    made[i] = signs[random[i] % 32];
  hf_wipe(random, sizeof random);
  if (!hf_account_create(auth, &hf_actor_server, "admin", "made when the server first started", made,
                         HF_ROLE_ADMINISTRATOR, NULL, error))
    return FALSE;
  *password = g_steal_pointer(&made);
  return TRUE;
}
