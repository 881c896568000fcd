/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/password.h"

#include <pty.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/error.h"
#include "base/sys.h"

static const HfPasswordRequest no_source = { .prompt = "password for 'r'", .hint = "--password-file" };

static void assert_password(const HfPasswordRequest *request, const char *expected)
{
  g_autoptr(GError) error = NULL;
  hf_autosecret HfBuffer password = HF_BUFFER_INIT;
  g_assert_true(hf_password_read(request, NULL, &password, &error));
  g_assert_no_error(error);
  g_assert_cmpstr((const char *)password.data, ==, expected);
  g_assert_cmpuint(password.length, ==, strlen(expected));
}

static void assert_refused(const HfPasswordRequest *request, int code, const char *part)
{
  g_autoptr(GError) error = NULL;
  hf_autosecret HfBuffer password = HF_BUFFER_INIT;
  g_assert_false(hf_password_read(request, NULL, &password, &error));
  g_assert_error(error, HF_ERROR, code);
  if (strstr(error->message, part) == NULL)
    g_error("'%s' does not say '%s'", error->message, part);
}

/* A file of `length` bytes in the test's own folder; caller frees the path. */
static char *write_file(const char *bytes, gssize length)
{
  char *path = g_build_filename(g_get_tmp_dir(), "hf-password-XXXXXX", NULL);
  int fd = g_mkstemp(path);
  gsize count = length < 0 ? strlen(bytes) : (gsize)length;
  g_assert_true(hf_write_all(fd, bytes, count, path, NULL));
  close(fd);
  return path;
}

static void test_file(void)
{
  static const char *const contents[] = { "secret", "secret\n", "secret\r\n", "secret\nmore\n" };
  for (gsize i = 0; i < G_N_ELEMENTS(contents); i++) {
    g_autofree char *path = write_file(contents[i], -1);
    HfPasswordRequest request = no_source;
    request.file = path;
    assert_password(&request, "secret");
    unlink(path);
  }
}

static void test_bad_files(void)
{
  HfPasswordRequest request = no_source;
  request.file = "/nonexistent/file";
  assert_refused(&request, HF_ERROR_NOT_FOUND, "/nonexistent/file");
  g_autofree char *empty = write_file("\nsecond", -1), *nul = write_file("a\0b", 3);
  request.file = empty;
  assert_refused(&request, HF_ERROR_USAGE, "is empty");
  request.file = nul;
  assert_refused(&request, HF_ERROR_USAGE, "NUL");
  g_autofree char *much = g_strnfill(4097, 'x');
  g_autofree char *large = write_file(much, -1);
  request.file = large;
  assert_refused(&request, HF_ERROR_USAGE, "more than 4096 bytes");
  much[4096] = '\0';
  g_autofree char *longest = write_file(much, -1);
  request.file = longest;
  assert_password(&request, much);
  unlink(empty);
  unlink(nul);
  unlink(large);
  unlink(longest);
}

static void test_command(void)
{
  HfPasswordRequest request = no_source;
  request.command = "printf '%s\\nrest' 'two words $HOME'";
  assert_password(&request, "two words $HOME");
  request.command = "sh -c 'echo right; exit 3'";
  assert_refused(&request, HF_ERROR_FAILED, "failed with exit code 3");
  request.command = "sh -c 'kill -9 $$'";
  assert_refused(&request, HF_ERROR_FAILED, "ended by signal 9");
  request.command = "/nonexistent/command";
  assert_refused(&request, HF_ERROR_FAILED, "cannot start the password command");
  request.command = "echo 'open";
  assert_refused(&request, HF_ERROR_USAGE, "not well formed");
  request.command = "true";
  assert_refused(&request, HF_ERROR_USAGE, "is empty");
  /* It never ends by itself, only by the pipe that breaks. */
  request.command = "yes";
  assert_refused(&request, HF_ERROR_USAGE, "more than 4096 bytes");
}

static void test_variable(void)
{
  HfPasswordRequest request = no_source;
  request.variable = "HF_TEST_PASSWORD";
  g_setenv("HF_TEST_PASSWORD", "from the air", TRUE);
  assert_password(&request, "from the air");
  /* What was named on the command line goes before. */
  request.command = "echo named";
  assert_password(&request, "named");
  request.command = NULL;
  g_autofree char *much = g_strnfill(4097, 'x');
  g_setenv("HF_TEST_PASSWORD", much, TRUE);
  assert_refused(&request, HF_ERROR_USAGE, "more than 4096 bytes");
  g_unsetenv("HF_TEST_PASSWORD");
}

static void test_secret_file(void)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *path = write_file("holdfast key file 1\nAAAA\n", -1);
  hf_autosecret HfBuffer secret = HF_BUFFER_INIT;
  g_assert_true(hf_secret_file_read(path, &secret, &error));
  g_assert_cmpstr((const char *)secret.data, ==, "holdfast key file 1\nAAAA\n");
  unlink(path);
  hf_autosecret HfBuffer none = HF_BUFFER_INIT;
  g_assert_false(hf_secret_file_read(path, &none, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_NOT_FOUND);
}

/* ---- the terminal: the child has one of its own, the test is the user ---- */

typedef struct Terminal {
  int master;
  pid_t child;
} Terminal;

/* The child's answer: the password or the error, then its exit. */
static void G_GNUC_NORETURN ask_in_child(gboolean confirm, HfCancel *cancel)
{
  g_autoptr(GError) error = NULL;
  HfPasswordRequest request = no_source;
  request.confirm = confirm;
  hf_autosecret HfBuffer password = HF_BUFFER_INIT;
  gboolean read = hf_password_read(&request, cancel, &password, &error);
  g_autofree char *answer = read ? g_strdup_printf("got=<%s>\n", password.data) :
                                   g_strdup_printf("error=<%s>\n", error->message);
  g_assert_true(hf_write_all(STDOUT_FILENO, answer, strlen(answer), "stdout", NULL));
  _exit(read ? 0 : 9);
}

static Terminal terminal_open(gboolean confirm, HfCancel *cancel)
{
  Terminal terminal;
  terminal.child = forkpty(&terminal.master, NULL, NULL, NULL);
  g_assert_cmpint(terminal.child, >=, 0);
  if (terminal.child == 0)
    ask_in_child(confirm, cancel);
  return terminal;
}

/* Reads what the terminal shows until `end` stands there; caller frees. */
static char *terminal_read(Terminal *terminal, const char *end)
{
  GString *shown = g_string_new(NULL);
  char byte;
  while (strstr(shown->str, end) == NULL && read(terminal->master, &byte, 1) == 1)
    g_string_append_c(shown, byte);
  g_assert_nonnull(strstr(shown->str, end));
  return g_string_free(shown, FALSE);
}

static void terminal_expect(Terminal *terminal, const char *end)
{
  g_free(terminal_read(terminal, end));
}

static void terminal_type(Terminal *terminal, const char *keys)
{
  g_assert_true(hf_write_all(terminal->master, keys, strlen(keys), "terminal", NULL));
}

static void terminal_close(Terminal *terminal, int expected)
{
  int status;
  g_assert_cmpint(waitpid(terminal->child, &status, 0), ==, terminal->child);
  g_assert_cmpint(WEXITSTATUS(status), ==, expected);
  struct termios settings;
  g_assert_cmpint(tcgetattr(terminal->master, &settings), ==, 0);
  g_assert_true((settings.c_lflag & ECHO) != 0);
  close(terminal->master);
}

static void test_terminal(void)
{
  Terminal terminal = terminal_open(FALSE, NULL);
  terminal_expect(&terminal, "password for 'r': ");
  terminal_type(&terminal, "open sesame\n");
  g_autofree char *answer = terminal_read(&terminal, "got=<open sesame>");
  /* The keys were not echoed: what is shown holds them once, in the answer. */
  g_assert_null(strstr(strstr(answer, "sesame") + 1, "sesame"));
  terminal_close(&terminal, 0);
}

static void test_terminal_confirm(void)
{
  Terminal terminal = terminal_open(TRUE, NULL);
  terminal_expect(&terminal, "password for 'r': ");
  terminal_type(&terminal, "new\n");
  terminal_expect(&terminal, "once more: ");
  terminal_type(&terminal, "new\n");
  terminal_expect(&terminal, "got=<new>");
  terminal_close(&terminal, 0);
}

static void test_terminal_differ(void)
{
  Terminal terminal = terminal_open(TRUE, NULL);
  terminal_expect(&terminal, "password for 'r': ");
  terminal_type(&terminal, "new\n");
  terminal_expect(&terminal, "once more: ");
  terminal_type(&terminal, "nwe\n");
  terminal_expect(&terminal, "the two passwords differ");
  terminal_close(&terminal, 9);
}

static void test_terminal_empty(void)
{
  Terminal terminal = terminal_open(FALSE, NULL);
  terminal_expect(&terminal, "password for 'r': ");
  terminal_type(&terminal, "\n");
  terminal_expect(&terminal, "is empty");
  terminal_close(&terminal, 9);
}

static void test_terminal_cancel(void)
{
  HfCancel cancel = { 0 };
  hf_cancel_set(&cancel);
  Terminal terminal = terminal_open(FALSE, &cancel);
  terminal_expect(&terminal, "error=<");
  terminal_close(&terminal, 9);
}

static void test_no_terminal(void)
{
  if (g_test_subprocess()) {
    setsid();
    assert_refused(&no_source, HF_ERROR_USAGE, "no terminal to ask on; use --password-file");
    return;
  }
  g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
  g_test_trap_assert_passed();
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/cli/password/file", test_file);
  g_test_add_func("/cli/password/bad-files", test_bad_files);
  g_test_add_func("/cli/password/command", test_command);
  g_test_add_func("/cli/password/variable", test_variable);
  g_test_add_func("/cli/password/secret-file", test_secret_file);
  g_test_add_func("/cli/password/terminal", test_terminal);
  g_test_add_func("/cli/password/terminal-confirm", test_terminal_confirm);
  g_test_add_func("/cli/password/terminal-differ", test_terminal_differ);
  g_test_add_func("/cli/password/terminal-empty", test_terminal_empty);
  g_test_add_func("/cli/password/terminal-cancel", test_terminal_cancel);
  g_test_add_func("/cli/password/no-terminal", test_no_terminal);
  return g_test_run();
}
