/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What enrolment needs of SSH, by libssh: commands and files on a host whose key is pinned. A session belongs to one
 * thread at a time. Secrets are sent by standard input, never in a command.
 */
#pragma once

#include <glib.h>

typedef struct HfSsh HfSsh;
typedef struct HfSshRun HfSshRun;

/* Connects and looks at the key: "SHA256:...", caller frees. Nobody is logged in. */
HfSsh *hf_ssh_connect(const char *address, guint16 port, const char *user, GError **error);
void hf_ssh_free(HfSsh *ssh);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfSsh, hf_ssh_free)
char *hf_ssh_fingerprint(HfSsh *ssh, GError **error);
gboolean hf_ssh_login_password(HfSsh *ssh, const char *password, GError **error);
gboolean hf_ssh_login_key(HfSsh *ssh, const char *key, const char *passphrase, GError **error);

/* Runs words there (each quoted: the other side's shell sees them as they are), with `input` (or NULL) on standard
 * input. FALSE when it could not run or ended by another code than 0: the error has what it said. `output` may be
 * NULL. */
gboolean hf_ssh_run(HfSsh *ssh, const char *const *words, const char *input, char **output, GError **error);
/* The same while it runs: reads lines as they come. */
HfSshRun *hf_ssh_begin(HfSsh *ssh, const char *const *words, const char *input, GError **error);
/* The next line without its end, or NULL at the end (no error) or after `timeout_ms`. */
char *hf_ssh_line(HfSshRun *run, int timeout_ms, GError **error);
/* Waits for the end as hf_ssh_run does, and frees. */
gboolean hf_ssh_end(HfSshRun *run, int timeout_ms, GError **error);
void hf_ssh_run_free(HfSshRun *run);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfSshRun, hf_ssh_run_free)

/* Copies a file from here to `target` there, mode 0600. */
gboolean hf_ssh_copy(HfSsh *ssh, const char *path, const char *target, GError **error);
