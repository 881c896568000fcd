/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/password.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/error.h"
#include "base/sys.h"

#define LONGEST_PASSWORD 4096
#define LONGEST_FILE (64 * 1024)

/* Reads until the file ends, into a buffer that never moves (so that no copy is left behind), with a NUL after the
 * end. */
static gboolean read_whole(int fd, gsize limit, const char *what, HfBuffer *secret, GError **error)
{
  if (!hf_buffer_resize(secret, limit + 2, error))
    return FALSE;
  gssize length = hf_read_full(fd, secret->data, limit + 1, what, error);
  if (length < 0)
    return FALSE;
  if ((gsize)length > limit)
    return hf_fail(error, HF_ERROR_USAGE, "'%s' gives more than %" G_GSIZE_FORMAT " bytes", what, limit);
  secret->data[length] = '\0';
  secret->length = (gsize)length;
  return TRUE;
}

gboolean hf_secret_file_read(const char *path, HfBuffer *secret, GError **error)
{
  hf_autofd int fd = hf_open(AT_FDCWD, path, O_RDONLY, 0, error);
  return fd >= 0 && read_whole(fd, LONGEST_FILE, path, secret, error);
}

/* Cuts behind the first line and checks that something is left. */
static gboolean keep_first_line(HfBuffer *password, const char *what, GError **error)
{
  guint8 *end = memchr(password->data, '\n', password->length);
  gsize length = end == NULL ? password->length : (gsize)(end - password->data);
  if (length > 0 && password->data[length - 1] == '\r')
    length--;
  memset(password->data + length, 0, password->length - length);
  password->length = length;
  if (memchr(password->data, '\0', length) != NULL)
    return hf_fail(error, HF_ERROR_USAGE, "the password from '%s' holds a NUL byte", what);
  return length > 0 || hf_fail(error, HF_ERROR_USAGE, "the password from '%s' is empty", what);
}

static gboolean read_from_file(const char *path, HfBuffer *password, GError **error)
{
  hf_autofd int fd = hf_open(AT_FDCWD, path, O_RDONLY, 0, error);
  return fd >= 0 && read_whole(fd, LONGEST_PASSWORD, path, password, error) &&
         keep_first_line(password, path, error);
}

/* ---- a command ---- */

static gboolean wait_for(GPid child, const char *name, GError **error)
{
  int status;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR)
      return hf_fail_errno(error, errno, "cannot wait for the password command '%s'", name);
  if (WIFSIGNALED(status))
    return hf_fail(error, HF_ERROR_FAILED, "the password command '%s' was ended by signal %d", name, WTERMSIG(status));
  if (WEXITSTATUS(status) != 0)
    return hf_fail(error, HF_ERROR_FAILED, "the password command '%s' failed with exit code %d", name,
                   WEXITSTATUS(status));
  return TRUE;
}

static gboolean read_from_command(const char *command, HfBuffer *password, GError **error)
{
  g_auto(GStrv) words = NULL;
  g_autoptr(GError) problem = NULL;
  if (!g_shell_parse_argv(command, NULL, &words, &problem))
    return hf_fail(error, HF_ERROR_USAGE, "the password command is not well formed: %s", problem->message);
  GPid child;
  hf_autofd int fd = -1;
  GSpawnFlags flags = G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_CHILD_INHERITS_STDIN;
  if (!g_spawn_async_with_pipes(NULL, words, NULL, flags, NULL, NULL, &child, NULL, &fd, NULL, &problem))
    return hf_fail(error, HF_ERROR_FAILED, "cannot start the password command: %s", problem->message);
  gboolean read = read_whole(fd, LONGEST_PASSWORD, words[0], password, error);
  /* Whoever writes on gets a broken pipe, so that it ends and is waited for. */
  hf_close_ptr(&fd);
  if (!read) {
    wait_for(child, words[0], NULL);
    return FALSE;
  }
  return wait_for(child, words[0], error) && keep_first_line(password, words[0], error);
}

/* ---- the terminal ---- */

static gboolean read_line(int tty, HfCancel *cancel, HfBuffer *password, GError **error)
{
  if (!hf_buffer_resize(password, LONGEST_PASSWORD + 2, error))
    return FALSE;
  gsize length = 0;
  for (;;) {
    if (hf_cancelled(cancel, error))
      return FALSE;
    ssize_t count = hf_sys->read(tty, password->data + length, 1);
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      return hf_fail_errno(error, errno, "cannot read the terminal");
    if (count == 0 || password->data[length] == '\n')
      break;
    if (++length > LONGEST_PASSWORD)
      return hf_fail(error, HF_ERROR_USAGE, "the password is longer than %d bytes", LONGEST_PASSWORD);
  }
  password->data[length] = '\0';
  password->length = length;
  return keep_first_line(password, "terminal", error);
}

static gboolean ask(int tty, const char *prompt, HfCancel *cancel, HfBuffer *password, GError **error)
{
  struct termios before;
  if (tcgetattr(tty, &before) != 0)
    return hf_fail_errno(error, errno, "cannot read the terminal's settings");
  struct termios silent = before;
  silent.c_lflag &= (tcflag_t)~ECHO;
  silent.c_lflag |= ICANON | ECHONL;
  if (tcsetattr(tty, TCSAFLUSH, &silent) != 0)
    return hf_fail_errno(error, errno, "cannot turn off the terminal's echo");
  g_autofree char *shown = g_strconcat(prompt, ": ", NULL);
  gboolean answered = hf_write_all(tty, shown, strlen(shown), "/dev/tty", error) &&
                      read_line(tty, cancel, password, error);
  tcsetattr(tty, TCSAFLUSH, &before);
  return answered;
}

static gboolean ask_again(int tty, const char *prompt, HfCancel *cancel, const HfBuffer *password, GError **error)
{
  g_autofree char *again = g_strconcat(prompt, ", once more", NULL);
  hf_autosecret HfBuffer second = HF_BUFFER_INIT;
  if (!ask(tty, again, cancel, &second, error))
    return FALSE;
  if (second.length != password->length || memcmp(second.data, password->data, second.length) != 0)
    return hf_fail(error, HF_ERROR_USAGE, "the two passwords differ; nothing was done");
  return TRUE;
}

static gboolean read_from_terminal(const HfPasswordRequest *request, HfCancel *cancel, HfBuffer *password,
                                   GError **error)
{
  hf_autofd int tty = hf_open(AT_FDCWD, "/dev/tty", O_RDWR | O_NOCTTY, 0, NULL);
  if (tty < 0)
    return hf_fail(error, HF_ERROR_USAGE, "no %s, and no terminal to ask on; use %s", request->prompt, request->hint);
  return ask(tty, request->prompt, cancel, password, error) &&
         (!request->confirm || ask_again(tty, request->prompt, cancel, password, error));
}

/* ---- the whole ---- */

static gboolean read_from_variable(const char *variable, const char *text, HfBuffer *password, GError **error)
{
  gsize length = strlen(text);
  if (length > LONGEST_PASSWORD)
    return hf_fail(error, HF_ERROR_USAGE, "'%s' gives more than %d bytes", variable, LONGEST_PASSWORD);
  if (!hf_buffer_append(password, text, length + 1, error))
    return FALSE;
  password->length = length;
  return keep_first_line(password, variable, error);
}

gboolean hf_password_read(const HfPasswordRequest *request, HfCancel *cancel, HfBuffer *password, GError **error)
{
  if (request->file != NULL)
    return read_from_file(request->file, password, error);
  if (request->command != NULL)
    return read_from_command(request->command, password, error);
  const char *text = request->variable == NULL ? NULL : g_getenv(request->variable);
  if (text != NULL && *text != '\0')
    return read_from_variable(request->variable, text, password, error);
  return read_from_terminal(request, cancel, password, error);
}
