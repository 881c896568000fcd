/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Passwords of accounts: "argon2id$PASSES$KIB$SALT$HASH" with salt and hash in hex, so that costs can be raised later
 * and old hashes still be judged.
 */
#pragma once

#include <glib.h>

/* Caller frees. */
char *hf_password_hash(const char *password, guint32 memory_kib, GError **error);
/* `*same`: it is this password. In constant time but for the costs. HF_ERROR_DAMAGED when the hash is none. */
gboolean hf_password_check(const char *password, const char *hash, gboolean *same, GError **error);
