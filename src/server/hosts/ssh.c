/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * INVARIANTS
 * 1. The library waits for ever in places (for an answer of SFTP, for room in a window), so a watch breaks the
 *    connection off when one step takes longer than ANSWER_SECONDS: no host can hold a thread.
 * 2. What a host says is kept up to SAID_MAX: no host can fill the memory.
 */
#include "server/hosts/ssh.h"

#include <fcntl.h>
#include <libssh/libssh.h>
#include <libssh/sftp.h>
#include <string.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/sys.h"
#include "base/work.h"

#define CONNECT_SECONDS 15L
#define BLOCK (32u << 10)
#define RUN_MS 300000
#define ANSWER_SECONDS 30
#define SAID_MAX (64u << 10)       /* of one stream: more is not kept */
#define ENDLESS_BYTES (64u << 20)  /* nothing that is run says as much */
#define COMPLAINT_MAX 4000u        /* of that, in an error */
#define READ_MS 200

struct HfSsh {
  ssh_session session;
  char *address;
  GThread *watch;
  GMutex lock; /* guards what follows */
  GCond changed;
  gint64 until; /* monotonic: when this step is too late; 0: nothing is waited for */
  gboolean late, over;
};

struct HfSshRun {
  HfSsh *ssh;
  ssh_channel channel;
  char *what;       /* the first words, for errors */
  GString *out, *err; /* what came and was not read yet; what it complained */
  guint64 said;     /* bytes in all */
};

/* ---- the watch ---- */

static gpointer watch_thread(gpointer user)
{
  HfSsh *ssh = user;
  HF_LOCK(&ssh->lock);
  while (!ssh->over) {
    if (ssh->until == 0) {
      g_cond_wait(&ssh->changed, &ssh->lock);
    } else if (g_get_monotonic_time() < ssh->until) {
      g_cond_wait_until(&ssh->changed, &ssh->lock, ssh->until);
    } else {
      ssh->late = TRUE;
      ssh->until = 0;
      shutdown(ssh_get_fd(ssh->session), SHUT_RDWR);
    }
  }
  return NULL;
}

/* A step begins, or goes on; 0 seconds: it is over. */
static void await(HfSsh *ssh, int seconds)
{
  HF_LOCK(&ssh->lock);
  ssh->until = seconds == 0 ? 0 : g_get_monotonic_time() + seconds * G_TIME_SPAN_SECOND;
  g_cond_signal(&ssh->changed);
}

static gboolean is_late(HfSsh *ssh)
{
  HF_LOCK(&ssh->lock);
  return ssh->late;
}

static gboolean failed(HfSsh *ssh, GError **error, const char *what)
{
  if (is_late(ssh))
    return hf_fail(error, HF_ERROR_IO, "%s on '%s' by SSH: it does not answer for %d seconds", what, ssh->address,
                   ANSWER_SECONDS);
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
  g_mutex_init(&ssh->lock);
  g_cond_init(&ssh->changed);
  if (ssh_connect(ssh->session) == SSH_OK) {
    ssh->watch = g_thread_new("hf-ssh-watch", watch_thread, ssh);
    return g_steal_pointer(&ssh);
  }
  failed(ssh, error, "cannot connect");
  return NULL;
}

void hf_ssh_free(HfSsh *ssh)
{
  if (ssh == NULL)
    return;
  await(ssh, ANSWER_SECONDS);
  ssh_disconnect(ssh->session);
  g_mutex_lock(&ssh->lock);
  ssh->over = TRUE;
  g_cond_signal(&ssh->changed);
  g_mutex_unlock(&ssh->lock);
  if (ssh->watch != NULL)
    g_thread_join(ssh->watch);
  ssh_free(ssh->session);
  g_mutex_clear(&ssh->lock);
  g_cond_clear(&ssh->changed);
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

static gboolean logged_in(HfSsh *ssh, int result, const char *with, GError **error)
{
  await(ssh, 0);
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
  await(ssh, ANSWER_SECONDS);
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
  await(ssh, ANSWER_SECONDS);
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
  await(ssh, ANSWER_SECONDS);
  gboolean begun = run->channel != NULL && ssh_channel_open_session(run->channel) == SSH_OK &&
                   ssh_channel_request_exec(run->channel, line) == SSH_OK && send_input(run, input);
  await(ssh, 0);
  if (begun)
    return g_steal_pointer(&run);
  failed(ssh, error, "cannot run a command");
  return NULL;
}

void hf_ssh_run_free(HfSshRun *run)
{
  if (run == NULL)
    return;
  await(run->ssh, ANSWER_SECONDS);
  if (run->channel != NULL)
    ssh_channel_free(run->channel);
  await(run->ssh, 0);
  g_string_free(run->out, TRUE);
  g_string_free(run->err, TRUE);
  g_free(run->what);
  g_free(run);
}

/* Invariant 2. */
static void keep(HfSshRun *run, GString *stream, const char *bytes, int length)
{
  if (length <= 0)
    return;
  run->said += (guint64)length;
  g_string_append_len(stream, bytes, (gssize)MIN((gsize)length, SAID_MAX - MIN(stream->len, SAID_MAX)));
}

/* Takes what is there, waiting a moment; FALSE at the end. */
static gboolean fill(HfSshRun *run)
{
  char block[4096];
  int said = ssh_channel_read_nonblocking(run->channel, block, sizeof block, 1);
  keep(run, run->err, block, said);
  int got = ssh_channel_read_timeout(run->channel, block, sizeof block, 0, READ_MS);
  keep(run, run->out, block, got);
  return got > 0 || said > 0 || (got != SSH_ERROR && !ssh_channel_is_eof(run->channel));
}

static gboolean fail_endless(const HfSshRun *run, GError **error)
{
  return hf_fail(error, HF_ERROR_IO, "'%s' on '%s' says too much; look what it is there", run->what, run->ssh->address);
}

char *hf_ssh_line(HfSshRun *run, int timeout_ms, GError **error)
{
  gint64 end = g_get_monotonic_time() + (gint64)timeout_ms * 1000;
  for (;;) {
    const char *newline = memchr(run->out->str, '\n', run->out->len);
    if (newline != NULL) {
      char *line = g_strndup(run->out->str, (gsize)(newline - run->out->str));
      g_string_erase(run->out, 0, newline - run->out->str + 1);
      return line;
    }
    if (run->out->len >= SAID_MAX) {
      fail_endless(run, error);
      return NULL;
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
  while (fill(run)) {
    if (g_get_monotonic_time() > end)
      return hf_fail(error, HF_ERROR_IO, "'%s' on '%s' did not end in time", run->what, run->ssh->address);
    if (run->said > ENDLESS_BYTES)
      return fail_endless(run, error);
  }
  int code = ssh_channel_get_exit_status(run->channel);
  g_string_truncate(run->err, MIN(run->err->len, COMPLAINT_MAX));
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
  if (output != NULL && run->out->len >= SAID_MAX)
    return fail_endless(run, error);
  if (output != NULL)
    *output = g_strdup(run->out->str);
  return TRUE;
}

/* ---- files ---- */

static gboolean copy_blocks(HfSsh *ssh, int fd, const char *path, sftp_file file, GError **error)
{
  g_autofree char *block = g_malloc(BLOCK);
  for (;;) {
    gssize got = hf_read_full(fd, block, BLOCK, path, error);
    if (got <= 0)
      return got == 0;
    await(ssh, ANSWER_SECONDS);
    if (sftp_write(file, block, (size_t)got) != got)
      return failed(ssh, error, "cannot write a file");
  }
}

static gboolean copy_by(HfSsh *ssh, sftp_session sftp, int fd, const char *path, const char *target,
                        GError **error)
{
  if (sftp_init(sftp) != SSH_OK)
    return failed(ssh, error, "cannot copy a file (SFTP)");
  sftp_file file = sftp_open(sftp, target, O_WRONLY | O_CREAT | O_EXCL, 0600);
  if (file == NULL)
    return is_late(ssh) ? failed(ssh, error, "cannot make a file")
                        : hf_fail(error, HF_ERROR_IO, "cannot make '%s' on '%s' (SFTP error %d)", target, ssh->address,
                                  sftp_get_error(sftp));
  gboolean done = copy_blocks(ssh, fd, path, file, error);
  return sftp_close(file) == SSH_OK && done;
}

gboolean hf_ssh_copy(HfSsh *ssh, const char *path, const char *target, GError **error)
{
  hf_autofd int fd = hf_open(AT_FDCWD, path, O_RDONLY, 0, error);
  if (fd < 0)
    return FALSE;
  await(ssh, ANSWER_SECONDS);
  sftp_session sftp = sftp_new(ssh->session);
  gboolean done = sftp != NULL ? copy_by(ssh, sftp, fd, path, target, error)
                               : failed(ssh, error, "cannot copy a file (SFTP)");
  if (sftp != NULL)
    sftp_free(sftp);
  await(ssh, 0);
  return done;
}
