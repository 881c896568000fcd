/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "server/hosts/ssh.h"

#include <fcntl.h>
#include <libssh/libssh.h>
#include <libssh/sftp.h>
#include <string.h>

#include "base/error.h"
#include "base/sys.h"
#include "crypto/crypto.h"

#define CONNECT_SECONDS 15L
#define BLOCK (32u << 10)
#define RUN_MS 300000
#define SAID_MAX 4000u
#define READ_MS 200

struct HfSsh {
  ssh_session session;
  char *address;
};

struct HfSshRun {
  HfSsh *ssh;
  ssh_channel channel;
  char *what;       /* the first words, for errors */
  GString *out, *err; /* what came and was not read yet; what it complained */
};

static gboolean failed(const HfSsh *ssh, GError **error, const char *what)
{
  return hf_fail(error, HF_ERROR_IO, "%s on '%s' by SSH: %s", what, ssh->address, ssh_get_error(ssh->session));
}

/* ---- sessions ---- */

HfSsh *hf_ssh_connect(const char *address, guint16 port, const char *user, GError **error)
{
  long patience = CONNECT_SECONDS;
  unsigned int number = port;
  int no_config = 0;
  g_autoptr(HfSsh) ssh = g_new0(HfSsh, 1);
  ssh->session = ssh_new();
  ssh->address = g_strdup(address);
  ssh_options_set(ssh->session, SSH_OPTIONS_PROCESS_CONFIG, &no_config);
  ssh_options_set(ssh->session, SSH_OPTIONS_HOST, address);
  ssh_options_set(ssh->session, SSH_OPTIONS_PORT, &number);
  ssh_options_set(ssh->session, SSH_OPTIONS_TIMEOUT, &patience);
  if (user != NULL)
    ssh_options_set(ssh->session, SSH_OPTIONS_USER, user);
  if (ssh_connect(ssh->session) == SSH_OK)
    return g_steal_pointer(&ssh);
  failed(ssh, error, "cannot connect");
  return NULL;
}

void hf_ssh_free(HfSsh *ssh)
{
  if (ssh == NULL)
    return;
  ssh_disconnect(ssh->session);
  ssh_free(ssh->session);
  g_free(ssh->address);
  g_free(ssh);
}

char *hf_ssh_fingerprint(HfSsh *ssh, GError **error)
{
  ssh_key key = NULL;
  guchar *hash = NULL;
  size_t length = 0;
  char *result = NULL;
  if (ssh_get_server_publickey(ssh->session, &key) == SSH_OK &&
      ssh_get_publickey_hash(key, SSH_PUBLICKEY_HASH_SHA256, &hash, &length) == 0) {
    char *text = ssh_get_fingerprint_hash(SSH_PUBLICKEY_HASH_SHA256, hash, length);
    result = g_strdup(text);
    ssh_string_free_char(text);
  } else {
    failed(ssh, error, "cannot learn the host key");
  }
  ssh_clean_pubkey_hash(&hash);
  ssh_key_free(key);
  return result;
}

static gboolean logged_in(const HfSsh *ssh, int result, const char *with, GError **error)
{
  if (result == SSH_AUTH_SUCCESS)
    return TRUE;
  if (result == SSH_AUTH_ERROR)
    return failed(ssh, error, "cannot log in");
  return hf_fail(error, HF_ERROR_PASSWORD, "'%s' refuses the login by %s; check user and credentials", ssh->address,
                 with);
}

/* Servers that ask questions instead of taking a password are given it as every answer. */
static int answer_questions(HfSsh *ssh, const char *password)
{
  int result = ssh_userauth_kbdint(ssh->session, NULL, NULL);
  for (guint round = 0; result == SSH_AUTH_INFO && round < 4; round++) {
    int count = ssh_userauth_kbdint_getnprompts(ssh->session);
    for (int i = 0; i < count; i++)
      ssh_userauth_kbdint_setanswer(ssh->session, (unsigned)i, password);
    result = ssh_userauth_kbdint(ssh->session, NULL, NULL);
  }
  return result;
}

gboolean hf_ssh_login_password(HfSsh *ssh, const char *password, GError **error)
{
  ssh_userauth_none(ssh->session, NULL);
  int result = ssh_userauth_password(ssh->session, NULL, password);
  if (result == SSH_AUTH_DENIED && (ssh_userauth_list(ssh->session, NULL) & SSH_AUTH_METHOD_INTERACTIVE) != 0)
    result = answer_questions(ssh, password);
  return logged_in(ssh, result, "password", error);
}

gboolean hf_ssh_login_key(HfSsh *ssh, const char *text, const char *passphrase, GError **error)
{
  ssh_key key = NULL;
  if (ssh_pki_import_privkey_base64(text, passphrase, NULL, NULL, &key) != SSH_OK)
    return hf_fail(error, HF_ERROR_PASSWORD,
                   "the private key cannot be read: it is malformed, or its passphrase is wrong");
  int result = ssh_userauth_publickey(ssh->session, NULL, key);
  ssh_key_free(key);
  return logged_in(ssh, result, "key", error);
}

/* ---- commands ---- */

static char *quote_words(const char *const *words)
{
  GString *line = g_string_new(NULL);
  for (guint i = 0; words[i] != NULL; i++) {
    g_autofree char *quoted = g_shell_quote(words[i]);
    g_string_append_printf(line, "%s%s", i > 0 ? " " : "", quoted);
  }
  return g_string_free(line, FALSE);
}

static gboolean send_input(HfSshRun *run, const char *input)
{
  gsize length = input != NULL ? strlen(input) : 0;
  return (length == 0 || ssh_channel_write(run->channel, input, (uint32_t)length) == (int)length) &&
         ssh_channel_send_eof(run->channel) == SSH_OK;
}

HfSshRun *hf_ssh_begin(HfSsh *ssh, const char *const *words, const char *input, GError **error)
{
  g_autofree char *line = quote_words(words);
  g_autoptr(HfSshRun) run = g_new0(HfSshRun, 1);
  run->ssh = ssh;
  run->what = g_strdup(words[0]);
  run->out = g_string_new(NULL);
  run->err = g_string_new(NULL);
  run->channel = ssh_channel_new(ssh->session);
  if (run->channel != NULL && ssh_channel_open_session(run->channel) == SSH_OK &&
      ssh_channel_request_exec(run->channel, line) == SSH_OK && send_input(run, input))
    return g_steal_pointer(&run);
  failed(ssh, error, "cannot run a command");
  return NULL;
}

void hf_ssh_run_free(HfSshRun *run)
{
  if (run == NULL)
    return;
  if (run->channel != NULL)
    ssh_channel_free(run->channel);
  g_string_free(run->out, TRUE);
  g_string_free(run->err, TRUE);
  g_free(run->what);
  g_free(run);
}

/* Takes what is there, waiting a moment; FALSE at the end. */
static gboolean fill(HfSshRun *run)
{
  char block[4096];
  int said = ssh_channel_read_nonblocking(run->channel, block, sizeof block, 1);
  if (said > 0 && run->err->len < SAID_MAX)
    g_string_append_len(run->err, block, said);
  int got = ssh_channel_read_timeout(run->channel, block, sizeof block, 0, READ_MS);
  if (got > 0)
    g_string_append_len(run->out, block, got);
  return got > 0 || said > 0 || (got != SSH_ERROR && !ssh_channel_is_eof(run->channel));
}

char *hf_ssh_line(HfSshRun *run, int timeout_ms, GError **error)
{
  gint64 end = g_get_monotonic_time() + (gint64)timeout_ms * 1000;
  for (;;) {
    const char *newline = strchr(run->out->str, '\n');
    if (newline != NULL) {
      char *line = g_strndup(run->out->str, (gsize)(newline - run->out->str));
      g_string_erase(run->out, 0, newline - run->out->str + 1);
      return line;
    }
    if (!fill(run))
      return NULL;
    if (g_get_monotonic_time() > end) {
      hf_fail(error, HF_ERROR_IO, "'%s' on '%s' said nothing in time", run->what, run->ssh->address);
      return NULL;
    }
  }
}

static gboolean wait_end(HfSshRun *run, int timeout_ms, GError **error)
{
  gint64 end = g_get_monotonic_time() + (gint64)timeout_ms * 1000;
  while (fill(run))
    if (g_get_monotonic_time() > end)
      return hf_fail(error, HF_ERROR_IO, "'%s' on '%s' did not end in time", run->what, run->ssh->address);
  int code = ssh_channel_get_exit_status(run->channel);
  g_autofree char *said = g_utf8_make_valid(g_strchomp(run->err->str), -1);
  return code == 0 || hf_fail(error, HF_ERROR_FAILED, "'%s' on '%s' failed (exit code %d)%s%s", run->what,
                              run->ssh->address, code, *said != '\0' ? ": " : "", said);
}

gboolean hf_ssh_end(HfSshRun *run, int timeout_ms, GError **error)
{
  gboolean done = wait_end(run, timeout_ms, error);
  hf_ssh_run_free(run);
  return done;
}

gboolean hf_ssh_run(HfSsh *ssh, const char *const *words, const char *input, char **output, GError **error)
{
  g_autoptr(HfSshRun) run = hf_ssh_begin(ssh, words, input, error);
  if (run == NULL || !wait_end(run, RUN_MS, error))
    return FALSE;
  if (output != NULL)
    *output = g_strdup(run->out->str);
  return TRUE;
}

/* ---- files ---- */

static gboolean copy_blocks(const HfSsh *ssh, int fd, const char *path, sftp_file file, GError **error)
{
  g_autofree char *block = g_malloc(BLOCK);
  for (;;) {
    gssize got = hf_read_full(fd, block, BLOCK, path, error);
    if (got <= 0)
      return got == 0;
    if (sftp_write(file, block, (size_t)got) != got)
      return failed(ssh, error, "cannot write a file");
  }
}

static gboolean copy_by(const HfSsh *ssh, sftp_session sftp, int fd, const char *path, const char *target,
                        GError **error)
{
  if (sftp_init(sftp) != SSH_OK)
    return failed(ssh, error, "cannot copy a file (SFTP)");
  sftp_file file = sftp_open(sftp, target, O_WRONLY | O_CREAT | O_EXCL, 0600);
  if (file == NULL)
    return hf_fail(error, HF_ERROR_IO, "cannot make '%s' on '%s' (SFTP error %d)", target, ssh->address,
                   sftp_get_error(sftp));
  gboolean done = copy_blocks(ssh, fd, path, file, error);
  return sftp_close(file) == SSH_OK && done;
}

gboolean hf_ssh_copy(HfSsh *ssh, const char *path, const char *target, GError **error)
{
  hf_autofd int fd = hf_open(AT_FDCWD, path, O_RDONLY, 0, error);
  if (fd < 0)
    return FALSE;
  sftp_session sftp = sftp_new(ssh->session);
  if (sftp == NULL)
    return failed(ssh, error, "cannot copy a file (SFTP)");
  gboolean done = copy_by(ssh, sftp, fd, path, target, error);
  sftp_free(sftp);
  return done;
}
