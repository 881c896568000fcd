/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where the command line keeps its logins at servers: the file "holdfast/login" in the user's configuration folder
 * ($XDG_CONFIG_HOME, by default ~/.config), readable by its owner only. It holds for each server how the server is
 * proven and the tokens of one login; never a password.
 *
 * Invariants:
 * 1. The file is replaced as a whole, never written in place.
 * 2. Who changes it holds the lock from reading to writing; a refresh token works once, so that who turns one in holds
 *    the lock meanwhile too.
 * 3. A file that others may read or write is not used.
 */
#pragma once

#include <glib.h>

#include "cli/rest.h"

typedef struct HfLogin {
  HfRestServer server;
  char *fingerprint; /* of the certificate that was accepted, hex; NULL with a CA */
  char *user;
  char *access, *refresh; /* wiped */
} HfLogin;
void hf_login_free(HfLogin *login);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfLogin, hf_login_free)

/* The file, locked. */
typedef struct HfLogins HfLogins;
HfLogins *hf_logins_open(GError **error);
/* Lets the lock go. */
void hf_logins_free(HfLogins *logins);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfLogins, hf_logins_free)

/* The login at `address` ("host:port"; NULL: at the server that was logged into last). HF_ERROR_NOT_FOUND, saying what
 * to do, when there is none. */
HfLogin *hf_logins_get(HfLogins *logins, const char *address, GError **error);
/* Both write the file. A login that is put becomes the one that is used without --server. */
gboolean hf_logins_put(HfLogins *logins, const HfLogin *login, GError **error);
gboolean hf_logins_remove(HfLogins *logins, const char *address, GError **error);
/* New tokens of a login that is there. */
gboolean hf_logins_renew(HfLogins *logins, const HfLogin *login, GError **error);
