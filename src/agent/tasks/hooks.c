/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/tasks/hooks.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"

#define LINES_MAX 20u
#define OUTPUT_MAX 4096u
#define SLICE_MS 200

typedef struct Running {
  pid_t pid;
  int output; /* what it prints */
  GString *text;
  gint64 until; /* monotonic microseconds; G_MAXINT64: no limit */
} Running;

/* Between fork and exec: only calls that are safe there. */
static void child(char *const *argv, const struct passwd *user, int output)
{
  int nothing = open("/dev/null", O_RDONLY);
  setpgid(0, 0);
  if (nothing < 0 || dup2(nothing, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0)
    _exit(126);
  if (user != NULL && (setgroups(0, NULL) != 0 || setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0))
    _exit(126);
  close_range(3, ~0U, 0);
  execv(argv[0], argv);
  _exit(127);
}

static gboolean start(const HfWorkScript *script, Running *running, GError **error)
{
  int ends[2];
  const struct passwd *user = NULL;
  g_autofree char **argv = g_new0(char *, (gsize)script->n_argv + 1);
  for (guint i = 0; i < script->n_argv; i++)
    argv[i] = script->argv[i];
  if (script->n_argv == 0 || *argv[0] != '/')
    return hf_fail(error, HF_ERROR_USAGE, "a script needs an absolute path");
  if (*script->user != '\0' && (user = getpwnam(script->user)) == NULL)
    return hf_fail(error, HF_ERROR_NOT_FOUND, "there is no user '%s' on this host", script->user);
  if (pipe2(ends, O_CLOEXEC) != 0)
    return hf_fail_errno(error, errno, "cannot start '%s'", argv[0]);
  running->pid = fork();
  if (running->pid == 0)
    child(argv, user, ends[1]);
  close(ends[1]);
  if (running->pid < 0) {
    close(ends[0]);
    return hf_fail_errno(error, errno, "cannot start '%s'", argv[0]);
  }
  running->output = ends[0];
  running->until = script->timeout == 0 ? G_MAXINT64 : hf_clock_monotonic_us() + script->timeout * G_USEC_PER_SEC;
  return TRUE;
}

/* Takes what it printed; FALSE when it closed its output. */
static gboolean take_output(Running *running)
{
  char bytes[1024];
  gssize got = read(running->output, bytes, sizeof bytes);
  if (got < 0)
    return errno == EINTR;
  gsize room = OUTPUT_MAX > running->text->len ? OUTPUT_MAX - running->text->len : 0;
  g_string_append_len(running->text, bytes, (gssize)MIN((gsize)got, room));
  return got > 0;
}

static const char *wait_for(Running *running, HfWorker *worker, int *status)
{
  gboolean prints = TRUE;
  for (;;) {
    struct pollfd wait = { .fd = prints ? running->output : -1, .events = POLLIN };
    if (poll(&wait, 1, SLICE_MS) > 0)
      prints = take_output(running);
    if (waitpid(running->pid, status, WNOHANG) == running->pid) {
      /* What it printed last; a child that it left behind may hold the pipe open, and is not waited for. */
      while (prints && running->text->len < OUTPUT_MAX && poll(&wait, 1, 0) > 0)
        prints = take_output(running);
      return NULL;
    }
    const char *why = hf_cancelled(hf_worker_cancel(worker), NULL)    ? "was ended, as the task is"
                      : hf_clock_monotonic_us() >= running->until ? "took too long and was killed"
                                                                  : NULL;
    if (why != NULL) {
      kill(-running->pid, SIGKILL);
      waitpid(running->pid, status, 0);
      return why;
    }
  }
}

static void log_output(HfWorker *worker, const char *when, const Running *running)
{
  g_autofree char *valid = g_utf8_make_valid(running->text->str, (gssize)running->text->len);
  g_auto(GStrv) lines = g_strsplit(g_strchomp(valid), "\n", LINES_MAX);
  for (guint i = 0; lines[i] != NULL; i++)
    if (*lines[i] != '\0')
      hf_worker_log(worker, "%s: %s", when, lines[i]);
}

static gboolean run_one(HfWorker *worker, const HfWorkScript *script, const char *when, GError **error)
{
  g_autoptr(GString) text = g_string_new(NULL);
  Running running = { .text = text };
  int status = 0;
  if (!start(script, &running, error))
    return FALSE;
  hf_worker_log(worker, "%s: running '%s'", when, script->argv[0]);
  const char *why = wait_for(&running, worker, &status);
  log_output(worker, when, &running);
  close(running.output);
  if (why != NULL)
    return hf_fail(error, HF_ERROR_FAILED, "script '%s' %s", script->argv[0], why);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
    return TRUE;
  if (WIFSIGNALED(status))
    return hf_fail(error, HF_ERROR_FAILED, "script '%s' was ended by signal %d", script->argv[0], WTERMSIG(status));
  return hf_fail(error, HF_ERROR_FAILED, "script '%s' ended with %d%s", script->argv[0], WEXITSTATUS(status),
                 WEXITSTATUS(status) == 127   ? ": it cannot be run"
                 : WEXITSTATUS(status) == 126 ? ": this agent may not become its user"
                                              : "");
}

gboolean hf_hooks_run(HfWorker *worker, const HfWorkScript *scripts, guint count, const char *when, GError **error)
{
  for (guint i = 0; i < count; i++) {
    g_autoptr(GError) why = NULL;
    if (run_one(worker, &scripts[i], when, &why))
      continue;
    if (scripts[i].required) {
      g_propagate_error(error, g_steal_pointer(&why));
      return FALSE;
    }
    hf_report_warning(hf_worker_report(worker), NULL, "%s", why->message);
  }
  return TRUE;
}
