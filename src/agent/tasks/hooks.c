/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/tasks/hooks.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/worker.h"
#include "base/clock.h"
#include "base/error.h"
#include "net/messages/work.h"

#define LINES_MAX 20u
#define OUTPUT_MAX 4096u
#define SLICE_MS 200
#define GROUPS_MAX 1024
#define CLEAR_ROUNDS 2000u /* of a millisecond: what cannot be killed by then hangs in the kernel */
#define PATH_TEXT "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

typedef struct Hooks {
  HfControl *control;
  HfHooksOrder *order;
  const char *when; /* before, after */
  gboolean cancelled, alone; /* alone: the keeper is gone */
} Hooks;

typedef struct User {
  uid_t uid;
  gid_t gid;
  gid_t groups[GROUPS_MAX];
  int n_groups;
  gboolean change; /* it is another than that of this process */
  char *home;
  char **environment;
} User;

typedef struct Running {
  pid_t pid;
  int output; /* what it prints */
  GString *text;
  gint64 until; /* monotonic microseconds; G_MAXINT64: no limit */
} Running;

/* ---- telling ---- */

static void tell(const Hooks *hooks, gboolean warning, const char *format, ...) G_GNUC_PRINTF(3, 4);

static void tell(const Hooks *hooks, gboolean warning, const char *format, ...)
{
  va_list arguments;
  va_start(arguments, format);
  g_autofree char *text = g_strdup_vprintf(format, arguments);
  va_end(arguments);
  hf_control_send_line(hooks->control, warning, text);
}

/* Hears the keeper without waiting. */
static void hear(Hooks *hooks)
{
  for (;;) {
    g_autoptr(HfControlMessage) message = NULL;
    HfControlState state = hf_control_poll(hooks->control, &message, NULL);
    if (state == HF_CONTROL_MORE)
      return;
    hooks->alone = hooks->alone || state == HF_CONTROL_END;
    hooks->cancelled = hooks->cancelled || (state == HF_CONTROL_MESSAGE && message->kind == HF_CONTROL_CANCEL);
    if (state == HF_CONTROL_END)
      return;
  }
}

/* ---- whom it runs as ---- */

static void user_clear(User *user)
{
  g_free(user->home);
  g_strfreev(user->environment);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(User, user_clear)

static char **make_environment(const Hooks *hooks, const struct passwd *entry)
{
  GPtrArray *list = g_ptr_array_new();
  const char *lang = g_getenv("LANG");
  const gboolean shell = entry->pw_shell != NULL && *entry->pw_shell != '\0';
  g_ptr_array_add(list, g_strdup(PATH_TEXT));
  g_ptr_array_add(list, g_strdup_printf("HOME=%s", entry->pw_dir));
  g_ptr_array_add(list, g_strdup_printf("USER=%s", entry->pw_name));
  g_ptr_array_add(list, g_strdup_printf("LOGNAME=%s", entry->pw_name));
  g_ptr_array_add(list, g_strdup_printf("SHELL=%s", shell ? entry->pw_shell : "/bin/sh"));
  if (lang != NULL)
    g_ptr_array_add(list, g_strdup_printf("LANG=%s", lang));
  g_ptr_array_add(list, g_strdup_printf(HF_HOOKS_MARK "=%s", hooks->order->task));
  g_ptr_array_add(list, g_strdup_printf("HOLDFAST_WHEN=%s", hooks->when));
  if (*hooks->order->outcome != '\0')
    g_ptr_array_add(list, g_strdup_printf("HOLDFAST_OUTCOME=%s", hooks->order->outcome));
  g_ptr_array_add(list, NULL);
  return (char **)g_ptr_array_free(list, FALSE);
}

static gboolean find_user(const Hooks *hooks, const char *name, User *user, GError **error)
{
  const struct passwd *entry = *name == '\0' ? getpwuid(geteuid()) : getpwnam(name);
  if (entry == NULL)
    return hf_fail(error, HF_ERROR_NOT_FOUND, "there is no user '%s' on this host", name);
  user->uid = entry->pw_uid;
  user->gid = entry->pw_gid;
  user->change = *name != '\0' && (geteuid() == 0 || geteuid() != entry->pw_uid);
  user->home = g_strdup(entry->pw_dir);
  user->environment = make_environment(hooks, entry);
  user->n_groups = GROUPS_MAX;
  if (getgrouplist(entry->pw_name, entry->pw_gid, user->groups, &user->n_groups) < 0)
    return hf_fail(error, HF_ERROR_FAILED, "user '%s' is in more than %d groups", entry->pw_name, GROUPS_MAX);
  return TRUE;
}

/* ---- one script ---- */

/* Between fork and exec: only calls that are safe there. */
static void child(char *const *argv, const User *user, int output, pid_t parent)
{
  sigset_t none;
  struct sigaction usual = { .sa_handler = SIG_DFL };
  int nothing = open("/dev/null", O_RDONLY);
  setsid();
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  sigaction(SIGPIPE, &usual, NULL);
  umask(022);
  if (nothing < 0 || dup2(nothing, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0)
    _exit(126);
  if (user->change && (setgroups((gsize)user->n_groups, user->groups) != 0 || setgid(user->gid) != 0 ||
                       setuid(user->uid) != 0))
    _exit(126);
  /* After the change of user, which takes it back. */
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || getppid() != parent ||
      (chdir(user->home) != 0 && chdir("/") != 0))
    _exit(126);
  close_range(3, ~0U, 0);
  execve(argv[0], argv, user->environment);
  _exit(127);
}

static gboolean start(const Hooks *hooks, const HfWorkScript *script, Running *running, GError **error)
{
  int ends[2];
  g_auto(User) user = { 0 };
  g_autofree char **argv = g_new0(char *, (gsize)script->n_argv + 1);
  for (guint i = 0; i < script->n_argv; i++)
    argv[i] = script->argv[i];
  if (script->n_argv == 0 || *argv[0] != '/')
    return hf_fail(error, HF_ERROR_USAGE, "a script needs an absolute path");
  if (!find_user(hooks, script->user, &user, error))
    return FALSE;
  if (pipe2(ends, O_CLOEXEC) != 0)
    return hf_fail_errno(error, errno, "cannot start '%s'", argv[0]);
  const pid_t parent = getpid();
  running->pid = fork();
  if (running->pid == 0)
    child(argv, &user, ends[1], parent);
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

static const char *wait_for(Running *running, Hooks *hooks, int *status)
{
  gboolean prints = TRUE;
  for (;;) {
    struct pollfd wait[2] = { { .fd = prints ? running->output : -1, .events = POLLIN },
                              { .fd = hf_control_fd(hooks->control), .events = POLLIN } };
    if (poll(wait, 2, SLICE_MS) > 0) {
      if (wait[0].revents != 0)
        prints = take_output(running);
      if (wait[1].revents != 0)
        hear(hooks);
    }
    if (waitpid(running->pid, status, WNOHANG) == running->pid) {
      /* What it printed last; what it left behind may hold the pipe open, and is not waited for. */
      while (prints && running->text->len < OUTPUT_MAX && poll(wait, 1, 0) > 0)
        prints = take_output(running);
      return NULL;
    }
    const char *why = hooks->alone                                    ? "was ended, as the agent is"
                      : hooks->cancelled                              ? "was ended, as the task is"
                      : hf_clock_monotonic_us() >= running->until ? "took too long and was killed"
                                                                      : NULL;
    if (why != NULL)
      return why;
  }
}

/* ---- what it started (invariant 1) ---- */

static pid_t parent_of(pid_t pid)
{
  char path[64];
  g_autofree char *text = NULL;
  int parent;
  snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
  /* Names may hold anything. */
  const char *at = g_file_get_contents(path, &text, NULL, NULL) ? strrchr(text, ')') : NULL;
  return at != NULL && sscanf(at + 1, " %*c %d", &parent) == 1 ? parent : 0;
}

static void kill_children(void)
{
  const char *name;
  g_autoptr(GDir) dir = g_dir_open("/proc", 0, NULL);
  while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
    pid_t pid = (pid_t)g_ascii_strtoull(name, NULL, 10);
    if (pid > 1 && parent_of(pid) == getpid())
      kill(pid, SIGKILL);
  }
}

/* Who loses its parent comes here, so that it is found in one of the next rounds. */
static void clear_descendants(const Hooks *hooks, const Running *running)
{
  kill(-running->pid, SIGKILL);
  for (guint round = 0; round < CLEAR_ROUNDS; round++) {
    pid_t gone;
    while ((gone = waitpid(-1, NULL, WNOHANG)) > 0)
      ;
    if (gone < 0 && errno == ECHILD)
      return;
    kill_children();
    g_usleep(1000);
  }
  tell(hooks, TRUE, "%s: processes of the script cannot be killed; they hang in the kernel of this host", hooks->when);
}

/* ---- all ---- */

static void tell_output(const Hooks *hooks, const Running *running)
{
  g_autofree char *valid = g_utf8_make_valid(running->text->str, (gssize)running->text->len);
  g_auto(GStrv) lines = g_strsplit(g_strchomp(valid), "\n", LINES_MAX);
  for (guint i = 0; lines[i] != NULL; i++)
    if (*lines[i] != '\0')
      tell(hooks, FALSE, "%s: %s", hooks->when, lines[i]);
}

static gboolean run_one(Hooks *hooks, const HfWorkScript *script, GError **error)
{
  g_autoptr(GString) text = g_string_new(NULL);
  Running running = { .text = text };
  int status = 0;
  if (!start(hooks, script, &running, error))
    return FALSE;
  tell(hooks, FALSE, "%s: running '%s'", hooks->when, script->argv[0]);
  const char *why = wait_for(&running, hooks, &status);
  clear_descendants(hooks, &running);
  tell_output(hooks, &running);
  close(running.output);
  if (why != NULL)
    return hf_fail(error, hooks->cancelled ? HF_ERROR_CANCELLED : HF_ERROR_FAILED, "script '%s' %s", script->argv[0],
                   why);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
    return TRUE;
  if (WIFSIGNALED(status))
    return hf_fail(error, HF_ERROR_FAILED, "script '%s' was ended by signal %d", script->argv[0], WTERMSIG(status));
  return hf_fail(error, HF_ERROR_FAILED, "script '%s' ended with %d%s", script->argv[0], WEXITSTATUS(status),
                 WEXITSTATUS(status) == 127   ? ": it cannot be run"
                 : WEXITSTATUS(status) == 126 ? ": it cannot be run, or this agent may not become its user"
                                              : "");
}

/* What stands after a task is to bring back what was stopped before it: one that fails does not keep the others from
 * it. */
static void run_all(Hooks *hooks, const HfWorkScript *scripts, guint count, GError **error)
{
  const gboolean after = *hooks->order->outcome != '\0';
  for (guint i = 0; i < count && !hooks->cancelled && !hooks->alone; i++) {
    g_autoptr(GError) why = NULL;
    if (run_one(hooks, &scripts[i], &why))
      continue;
    if (!scripts[i].required || (*error != NULL && after))
      tell(hooks, TRUE, "%s", why->message);
    else
      g_propagate_error(error, g_steal_pointer(&why));
    if (*error != NULL && !after)
      return;
  }
}

static gboolean take_order(Hooks *hooks, HfHooksOrder *order, HfWorkBackup *task, GError **error)
{
  g_autoptr(HfControlMessage) message = hf_control_receive(hooks->control, error);
  if (message == NULL || message->kind != HF_CONTROL_SCRIPTS)
    return hf_fail(*error == NULL ? error : NULL, HF_ERROR_INVALID, "the keeper gave no scripts");
  if (!hf_hooks_order_get(message->body, order, error))
    return FALSE;
  if (!g_str_equal(order->kind, "backup"))
    return hf_fail(error, HF_ERROR_UNSUPPORTED, "tasks of kind '%s' have no scripts", order->kind);
  return hf_work_backup_decode(order->order, task, error);
}

gboolean hf_hooks_serve(HfControl *control, GError **error)
{
  g_autoptr(GError) why = NULL;
  g_auto(HfHooksOrder) order = { 0 };
  g_auto(HfWorkBackup) task = { 0 };
  Hooks hooks = { .control = control, .order = &order, .when = "before" };
  if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0)
    return hf_fail_errno(error, errno, "cannot take up orphans");
  if (take_order(&hooks, &order, &task, &why) && order.outcome != NULL) {
    const gboolean after = *order.outcome != '\0';
    hooks.when = after ? "after" : "before";
    run_all(&hooks, after ? task.after : task.before, after ? task.n_after : task.n_before, &why);
    if (hooks.cancelled && why == NULL)
      hf_fail(&why, HF_ERROR_CANCELLED, "the task was stopped");
  }
  g_autoptr(HfBody) body = hf_body_new();
  hf_put_error(body, why);
  return hf_control_send(control, HF_CONTROL_RESULT, body, -1, error);
}
