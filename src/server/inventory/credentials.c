/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "server/inventory/credentials.h"

#include <string.h>

#include "base/error.h"
#include "crypto/crypto.h"
#include "server/inventory/record.h"

#define R HfCredentialRow
static const HfField credential_fields[] = {
  HF_FIELD(R, id, TEXT),
  HF_FIELD_CHANGES(R, username, TEXT),
  HF_FIELD_CHANGES(R, description, TEXT),
  HF_FIELD(R, type, TEXT),
  HF_FIELD_CHANGES(R, authentication, TEXT),
  HF_FIELD_CHANGES(R, ssh_port, NUMBER),
  HF_FIELD_CHANGES(R, elevate_to_root, FLAG),
  HF_FIELD_CHANGES(R, add_to_sudoers, FLAG),
  HF_FIELD_CHANGES(R, use_su, FLAG),
  HF_FIELD(R, created, NUMBER),
  HF_FIELD_CHANGES(R, modified, NUMBER),
};
#undef R
static const HfTable credentials = {"credentials", "credential", sizeof(HfCredentialRow), credential_fields,
                                    G_N_ELEMENTS(credential_fields)};

#define R HfEncryptionPasswordRow
static const HfField password_fields[] = {
  HF_FIELD(R, id, TEXT),
  HF_FIELD_CHANGES(R, hint, TEXT),
  HF_FIELD(R, created, NUMBER),
  HF_FIELD_CHANGES(R, modified, NUMBER),
};
#undef R
static const HfTable passwords = {"encryption_passwords", "encryption password", sizeof(HfEncryptionPasswordRow),
                                  password_fields, G_N_ELEMENTS(password_fields)};

void hf_credential_free(HfCredentialRow *row)
{
  hf_record_free(&credentials, row);
}

void hf_encryption_password_free(HfEncryptionPasswordRow *row)
{
  hf_record_free(&passwords, row);
}

/* ---- sealed columns ---- */

static gboolean put_secret(const HfInventory *inv, HfDbLink *link, const char *table, const char *column,
                           const char *id,
                           const char *secret, GError **error)
{
  if (secret == NULL)
    return TRUE;
  g_autofree char *place = g_strdup_printf("%s.%s", table, column);
  g_autofree char *sql = g_strdup_printf("UPDATE %s SET %s = ? WHERE id = ?", table, column);
  g_autoptr(GBytes) sealed = hf_secrets_seal(inv->secrets, place, id, secret, strlen(secret), error);
  return sealed != NULL && hf_db_exec(link, sql, HF_DB_VALUES(HF_DB_BYTES(sealed), HF_DB_TEXT(id)), NULL, error);
}

static char *get_secret(const HfInventory *inv, const HfTable *table, const char *column, const char *id,
                        GError **error)
{
  g_autofree char *place = g_strdup_printf("%s.%s", table->name, column);
  g_autofree char *sql = g_strdup_printf("SELECT %s FROM %s WHERE id = ?", column, table->name);
  g_autoptr(HfDbLink) link = hf_db_read(inv->db, error);
  g_autoptr(HfDbRows) rows = link == NULL ? NULL : hf_db_query(link, sql, HF_DB_VALUES(HF_DB_TEXT(id)), error);
  if (rows == NULL)
    return NULL;
  if (!hf_db_next(rows, error)) {
    if (!hf_db_failed(rows))
      hf_fail(error, HF_ERROR_NOT_FOUND, "there is no %s '%s'", table->what, id);
    return NULL;
  }
  gsize size;
  gconstpointer bytes = hf_db_blob(rows, 0, &size);
  if (bytes == NULL)
    return g_strdup("");
  g_autoptr(GBytes) sealed = g_bytes_new(bytes, size);
  return hf_secrets_unseal(inv->secrets, place, id, sealed, NULL, error);
}

/* ---- credentials ---- */

HfCredentialRow *hf_inv_credential_get(const HfInventory *inv, const char *id, GError **error)
{
  return hf_record_read(inv->db, &credentials, id, error);
}

static gboolean check_credential(const HfCredentialRow *row, GError **error)
{
  static const char *const types[] = {"Standard", "Linux", NULL};
  static const char *const ways[] = {"Password", "PrivateKey", NULL};
  if (row->username == NULL || *row->username == '\0')
    return hf_fail(error, HF_ERROR_USAGE, "the credential needs a user name");
  return hf_inv_check_name("credential", row->username, error) &&
         hf_inv_check_word("the type of the credential", row->type, types, error) &&
         hf_inv_check_word("the authentication", row->authentication, ways, error) &&
         hf_inv_check_range("the SSH port", row->ssh_port, 0, 65535, error);
}

typedef struct CredentialWork {
  const HfInventory *inv;
  const HfCredentialRow *row;
  const HfCredentialSecrets *secrets;
} CredentialWork;

static gboolean put_secrets(HfDbLink *link, const CredentialWork *work, GError **error)
{
  const HfCredentialSecrets *secrets = work->secrets;
  const char *id = work->row->id;
  return secrets == NULL ||
         (put_secret(work->inv, link, "credentials", "sealed_password", id, secrets->password, error) &&
          put_secret(work->inv, link, "credentials", "sealed_private_key", id, secrets->private_key, error) &&
          put_secret(work->inv, link, "credentials", "sealed_passphrase", id, secrets->passphrase, error) &&
          put_secret(work->inv, link, "credentials", "sealed_root_password", id, secrets->root_password, error));
}

/* Whoever logs in by a key needs one, whoever by a password a password. */
static gboolean check_secrets(HfDbLink *link, const HfCredentialRow *row, GError **error)
{
  gboolean by_key = strcmp(row->authentication, "PrivateKey") == 0;
  gint64 there = 0;
  return hf_db_query_int(link,
                         by_key ? "SELECT COUNT(sealed_private_key) FROM credentials WHERE id = ?"
                                : "SELECT COUNT(sealed_password) FROM credentials WHERE id = ?",
                         HF_DB_VALUES(HF_DB_TEXT(row->id)), &there, error) &&
         (there > 0 || hf_fail(error, HF_ERROR_USAGE, "the credential '%s' logs in by %s, and has none", row->username,
                               by_key ? "a private key" : "password"));
}

static gboolean insert_credential(HfDbLink *link, gpointer user, GError **error)
{
  CredentialWork *work = user;
  return check_credential(work->row, error) && hf_record_insert(link, &credentials, work->row, error) &&
         put_secrets(link, work, error) && check_secrets(link, work->row, error);
}

gboolean hf_inv_credential_create(const HfInventory *inv, const HfActor *actor, HfCredentialRow *row,
                                  const HfCredentialSecrets *secrets, GError **error)
{
  g_free(row->id);
  row->id = hf_db_new_id();
  if (row->authentication == NULL)
    row->authentication = g_strdup("Password");
  row->created = row->modified = hf_db_now();
  CredentialWork work = {inv, row, secrets};
  return hf_inv_audited(&(HfChange){inv, actor, "create", &credentials, row->id, row->username}, insert_credential,
                        &work, error);
}

static gboolean update_credential(HfDbLink *link, gpointer user, GError **error)
{
  CredentialWork *work = user;
  g_autoptr(HfCredentialRow) old = hf_record_get(link, &credentials, work->row->id, error);
  if (old == NULL)
    return FALSE;
  HfCredentialRow row = *work->row;
  row.type = old->type;
  row.modified = hf_db_now();
  return check_credential(&row, error) && hf_record_update(link, &credentials, &row, error) &&
         put_secrets(link, work, error) && check_secrets(link, &row, error);
}

gboolean hf_inv_credential_change(const HfInventory *inv, const HfActor *actor, const HfCredentialRow *row,
                                  const HfCredentialSecrets *secrets, GError **error)
{
  CredentialWork work = {inv, row, secrets};
  return hf_inv_audited(&(HfChange){inv, actor, "change", &credentials, row->id, row->username}, update_credential,
                        &work, error);
}

static gboolean delete_credential(HfDbLink *link, gpointer user, GError **error)
{
  const char *id = user;
  return hf_inv_check_unused(link, "credential", id, "host", "SELECT name FROM hosts WHERE credentials_id = ?",
                             error) &&
         hf_inv_exec_one(link, &credentials, id, "DELETE FROM credentials WHERE id = ?", HF_DB_VALUES(HF_DB_TEXT(id)),
                         error);
}

gboolean hf_inv_credential_delete(const HfInventory *inv, const HfActor *actor, const char *id, GError **error)
{
  return hf_inv_audited(&(HfChange){inv, actor, "delete", &credentials, id, NULL}, delete_credential, (gpointer)id,
                        error);
}

char *hf_inv_credential_secret(const HfInventory *inv, const char *id, HfCredentialPart part, GError **error)
{
  static const char *const columns[] = {"sealed_password", "sealed_private_key", "sealed_passphrase",
                                        "sealed_root_password"};
  return get_secret(inv, &credentials, columns[part], id, error);
}

/* ---- encryption passwords ---- */

typedef struct PasswordWork {
  const HfInventory *inv;
  HfEncryptionPasswordRow row;
  const char *password;
} PasswordWork;

HfEncryptionPasswordRow *hf_inv_encryption_password_get(const HfInventory *inv, const char *id, GError **error)
{
  return hf_record_read(inv->db, &passwords, id, error);
}

static gboolean insert_password(HfDbLink *link, gpointer user, GError **error)
{
  PasswordWork *work = user;
  if (work->row.hint == NULL || *work->row.hint == '\0')
    return hf_fail(error, HF_ERROR_USAGE, "the encryption password needs a hint");
  if (work->password == NULL || *work->password == '\0')
    return hf_fail(error, HF_ERROR_USAGE, "the encryption password is empty");
  g_autoptr(GBytes) sealed = hf_secrets_seal(work->inv->secrets, "encryption_passwords.sealed_password", work->row.id,
                                           work->password, strlen(work->password), error);
  return sealed != NULL &&
         hf_db_exec(link, "INSERT INTO encryption_passwords (id, hint, sealed_password, created, modified) "
                          "VALUES (?, ?, ?, ?, ?)",
                    HF_DB_VALUES(HF_DB_TEXT(work->row.id), HF_DB_TEXT(work->row.hint), HF_DB_BYTES(sealed),
                                 HF_DB_INT(work->row.created), HF_DB_INT(work->row.modified)), NULL, error);
}

gboolean hf_inv_encryption_password_create(const HfInventory *inv, const HfActor *actor, HfEncryptionPasswordRow *row,
                                           const char *password, GError **error)
{
  g_free(row->id);
  row->id = hf_db_new_id();
  row->created = row->modified = hf_db_now();
  PasswordWork work = {inv, *row, password};
  return hf_inv_audited(&(HfChange){inv, actor, "create", &passwords, row->id, row->hint}, insert_password, &work,
                        error);
}

static gboolean update_password(HfDbLink *link, gpointer user, GError **error)
{
  PasswordWork *work = user;
  if (work->row.hint == NULL || *work->row.hint == '\0')
    return hf_fail(error, HF_ERROR_USAGE, "the encryption password needs a hint");
  if (work->password != NULL && *work->password == '\0')
    return hf_fail(error, HF_ERROR_USAGE, "the encryption password is empty");
  return hf_record_update(link, &passwords, &work->row, error) &&
         put_secret(work->inv, link, "encryption_passwords", "sealed_password", work->row.id, work->password, error);
}

gboolean hf_inv_encryption_password_change(const HfInventory *inv, const HfActor *actor,
                                           const HfEncryptionPasswordRow *row, const char *password, GError **error)
{
  PasswordWork work = {inv, *row, password};
  work.row.modified = hf_db_now();
  return hf_inv_audited(&(HfChange){inv, actor, "change", &passwords, row->id, row->hint}, update_password, &work,
                        error);
}

static gboolean delete_password(HfDbLink *link, gpointer user, GError **error)
{
  const char *id = user;
  return hf_inv_check_unused(link, "encryption password", id, "repository",
                             "SELECT name FROM repositories WHERE encryption_password_id = ?", error) &&
         hf_inv_exec_one(link, &passwords, id, "DELETE FROM encryption_passwords WHERE id = ?",
                         HF_DB_VALUES(HF_DB_TEXT(id)), error);
}

gboolean hf_inv_encryption_password_delete(const HfInventory *inv, const HfActor *actor, const char *id, GError **error)
{
  return hf_inv_audited(&(HfChange){inv, actor, "delete", &passwords, id, NULL}, delete_password, (gpointer)id, error);
}

char *hf_inv_encryption_password_secret(const HfInventory *inv, const char *id, GError **error)
{
  return get_secret(inv, &passwords, "sealed_password", id, error);
}

gboolean hf_inv_encryption_password_verify(const HfInventory *inv, const char *id, const char *password, gboolean *same,
                                           GError **error)
{
  g_autoptr(HfSecret) secret = hf_inv_encryption_password_secret(inv, id, error);
  if (secret == NULL)
    return FALSE;
  /* Digests are compared in constant time; the length of a password shows in neither. */
  HfId digests[2];
  hf_sha256(secret, strlen(secret), digests[0].b);
  hf_sha256(password, strlen(password), digests[1].b);
  guint8 different = 0;
  for (gsize i = 0; i < HF_ID_BYTES; i++)
    different |= digests[0].b[i] ^ digests[1].b[i];
  *same = different == 0;
  hf_wipe(digests, sizeof digests);
  return TRUE;
}
