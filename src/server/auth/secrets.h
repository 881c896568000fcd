/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Secrets in the database are sealed (AES-256-GCM) with a key that is not in it: a file of 32 random bytes in hex, mode
 * 0600. A stolen database is worth nothing without it; a lost key file means that passwords have to be given again.
 *
 * What is sealed is bound to its place ("credentials.sealed_password:ID"): a sealed value that was moved to another row
 * or column does not open. Layout: version byte 1, 12 bytes of nonce, sealed bytes, 16 bytes of tag.
 *
 * Threads: any.
 */
#pragma once

#include <glib.h>

typedef struct HfSecrets HfSecrets;

/* Opens the key file, or makes it when it is missing and `make` is TRUE. HF_ERROR_PERMISSION when others may read
 * it. */
HfSecrets *hf_secrets_open(const char *path, gboolean make, GError **error);
void hf_secrets_free(HfSecrets *secrets); /* wipes */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfSecrets, hf_secrets_free)

/* `place`: "table.column"; `id`: the row's. */
GBytes *hf_secrets_seal(HfSecrets *secrets, const char *place, const char *id, gconstpointer secret, gsize length,
                        GError **error);
/* Gives the secret with a zero byte after it, `*length` (may be NULL) not counting that; caller wipes it and frees it
 * with g_free, or with hf_secret_free for text. HF_ERROR_DAMAGED when it was not sealed by this key for this place. */
char *hf_secrets_unseal(HfSecrets *secrets, const char *place, const char *id, GBytes *sealed, gsize *length,
                        GError **error);
/* Wipes up to the zero byte and frees. NULL is allowed. */
void hf_secret_free(char *secret);
typedef char HfSecret; /* g_autoptr(HfSecret) password = hf_secrets_unseal(...); */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfSecret, hf_secret_free)
