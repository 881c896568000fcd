/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Credentials for hosts, and encryption passwords of repositories. Secrets go in and are asked for apart from the
 * rows. */
#pragma once

#include "server/inventory/inventory.h"

typedef struct HfCredentialRow {
  char *id;
  char *username, *description;
  char *type;           /* "Standard", "Linux" */
  char *authentication; /* "Password", "PrivateKey" */
  gint64 ssh_port;      /* 0: the catalogue's */
  gboolean elevate_to_root, add_to_sudoers, use_su;
  gint64 created, modified;
} HfCredentialRow;
void hf_credential_free(HfCredentialRow *row);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfCredentialRow, hf_credential_free)

/* NULL members: stay as they are (change) or are none (create). Borrowed. */
typedef struct HfCredentialSecrets {
  const char *password, *private_key, *passphrase, *root_password;
} HfCredentialSecrets;

HfCredentialRow *hf_inv_credential_get(const HfInventory *inv, const char *id, GError **error);
/* Needs a password or a private key, as `authentication` says. */
gboolean hf_inv_credential_create(const HfInventory *inv, const HfActor *actor, HfCredentialRow *row,
                                  const HfCredentialSecrets *secrets, GError **error);
/* All of the row but id, type and times; `secrets` may be NULL. */
gboolean hf_inv_credential_change(const HfInventory *inv, const HfActor *actor, const HfCredentialRow *row,
                                  const HfCredentialSecrets *secrets, GError **error);
/* HF_ERROR_EXISTS while a host uses it. */
gboolean hf_inv_credential_delete(const HfInventory *inv, const HfActor *actor, const char *id, GError **error);

typedef enum HfCredentialPart {
  HF_CREDENTIAL_PASSWORD,
  HF_CREDENTIAL_PRIVATE_KEY,
  HF_CREDENTIAL_PASSPHRASE,
  HF_CREDENTIAL_ROOT_PASSWORD,
} HfCredentialPart;
/* The secret itself, "" when there is none; caller: hf_secret_free. Only to log into a host with it. */
char *hf_inv_credential_secret(const HfInventory *inv, const char *id, HfCredentialPart part, GError **error);

typedef struct HfEncryptionPasswordRow {
  char *id, *hint;
  gint64 created, modified;
} HfEncryptionPasswordRow;
void hf_encryption_password_free(HfEncryptionPasswordRow *row);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfEncryptionPasswordRow, hf_encryption_password_free)

HfEncryptionPasswordRow *hf_inv_encryption_password_get(const HfInventory *inv, const char *id, GError **error);
gboolean hf_inv_encryption_password_create(const HfInventory *inv, const HfActor *actor, HfEncryptionPasswordRow *row,
                                           const char *password, GError **error);
/* Hint, and the password when it is not NULL. The password of a repository in use is changed there first: the
 * caller's. */
gboolean hf_inv_encryption_password_change(const HfInventory *inv, const HfActor *actor,
                                           const HfEncryptionPasswordRow *row, const char *password, GError **error);
/* HF_ERROR_EXISTS while a repository uses it. */
gboolean hf_inv_encryption_password_delete(const HfInventory *inv, const HfActor *actor, const char *id,
                                           GError **error);
/* Caller: hf_secret_free. */
char *hf_inv_encryption_password_secret(const HfInventory *inv, const char *id, GError **error);
/* `*same`: is it this password? In constant time. */
gboolean hf_inv_encryption_password_verify(const HfInventory *inv, const char *id, const char *password, gboolean *same,
                                           GError **error);
