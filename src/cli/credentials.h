/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How the user proves that he may open a repository: from the options of the command line to an HfUnlock. */
#pragma once

#include "cli/options.gen.h"
#include "cli/password.h"
#include "repo/keyring.h"

/* Where to look; all borrowed. At most one of the first three is given (the parser saw to that). */
typedef struct HfKeySource {
  const char *password_file, *password_command;
  const char *key_file; /* a key file, a write-only credential, or a paper key typed into a file */
  const char *variable; /* an environment variable that may hold the password; or NULL */
  const char *hint;     /* for the message where nothing is given and there is no terminal */
} HfKeySource;

/* The common options; those that copy takes for its target; those for a password that shall be new. */
HfKeySource hf_key_source(const HfOptions *options);
HfKeySource hf_key_source_to(const HfOptions *options);
HfKeySource hf_key_source_new(const HfOptions *options);
/* TRUE when something is given, so that nothing will be asked. */
gboolean hf_key_source_given(const HfKeySource *source);

typedef struct HfCredentials {
  HfUnlock unlock; /* its bytes are those of `secret` */
  HfBuffer secret;
} HfCredentials;

/* Reads what `source` names, or asks for the password of `location` on the terminal, twice with `confirm`. Clear it in
 * any case. */
gboolean hf_credentials_get(const HfKeySource *source, const char *location, gboolean confirm, HfCancel *cancel,
                            HfCredentials *credentials, GError **error);
/* Wipes. */
void hf_credentials_clear(HfCredentials *credentials);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HfCredentials, hf_credentials_clear)
