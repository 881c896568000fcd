/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where secrets come from. They stay in buffers that are wiped; no shell is ever involved. */
#pragma once

#include "base/buffer.h"
#include "base/work.h"

/* A buffer that is wiped when it goes out of scope. */
#define hf_autosecret __attribute__((cleanup(hf_buffer_wipe)))

typedef struct HfPasswordRequest {
  const char *file;     /* its first line is the password; or NULL */
  const char *command;  /* the first line that it prints is; split into words as a shell does; or NULL */
  const char *variable; /* an environment variable that may hold the password; or NULL */
  const char *prompt;   /* what is asked on the terminal, as in "password for '/srv/backup'" */
  const char *hint;     /* what to use where there is no terminal, as in "--password-file or --password-command" */
  gboolean confirm;     /* ask twice: the password is a new one */
} HfPasswordRequest;

/* Gets a password from the first source that is named, else from the terminal. `password` is empty at first and then
 * holds it, with a NUL byte behind its length; the caller wipes it. A password is 1 to 4096 bytes without line
 * breaks. */
gboolean hf_password_read(const HfPasswordRequest *request, HfCancel *cancel, HfBuffer *password, GError **error);

/* The whole of a small file that holds secrets (a key file), at most 64 KiB; a NUL byte stands behind its length. */
gboolean hf_secret_file_read(const char *path, HfBuffer *secret, GError **error);
