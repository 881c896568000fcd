/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/keeper/child.h"

#include <errno.h>
#include <glib-unix.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/log.h"
#include "base/error.h"

struct HfChild {
  HfChildOps ops;
  gpointer user;
  GPid pid;
  int pidfd;
  HfControl *control;
  GIOChannel *said; /* its standard error */
  guint watch_control, watch_end, watch_kill, watch_said;
  gboolean reaped;
  int status;
};

static void drop_watch(guint *watch)
{
  if (*watch != 0)
    g_source_remove(*watch);
  *watch = 0;
}

/* The child and what it started. A group that is not there yet (the child has not come so far) leaves the child. */
static void signal_all(const HfChild *child, int number)
{
  if (child->reaped || kill(-child->pid, number) < 0)
    kill(child->pid, number);
}

static char *describe(int status)
{
  if (WIFSIGNALED(status))
    return g_strdup_printf("signal %d", WTERMSIG(status));
  return g_strdup_printf("exit code %d", WEXITSTATUS(status));
}

/* Hands over all messages that are there. */
static HfControlState drain(HfChild *child)
{
  HfControlState state;
  do {
    g_autoptr(HfControlMessage) message = NULL;
    g_autoptr(GError) error = NULL;
    state = hf_control_poll(child->control, &message, &error);
    if (state == HF_CONTROL_MESSAGE)
      child->ops.message(child, message, child->user);
    if (error != NULL)
      g_warning("process %d: %s", (int)child->pid, error->message);
  } while (state == HF_CONTROL_MESSAGE);
  return state;
}

/* What it printed goes to the log line by line; a line without an end counts when the child has ended. */
static void take_lines(HfChild *child)
{
  g_autofree char *line = NULL;
  gsize end;
  while (g_io_channel_read_line(child->said, &line, NULL, &end, NULL) == G_IO_STATUS_NORMAL) {
    line[end] = '\0';
    hf_log_child(line);
    g_clear_pointer(&line, g_free);
  }
}

static gboolean on_said(GIOChannel *channel G_GNUC_UNUSED, GIOCondition condition, gpointer user)
{
  HfChild *child = user;
  take_lines(child);
  if (condition & G_IO_IN)
    return G_SOURCE_CONTINUE;
  child->watch_said = 0;
  return G_SOURCE_REMOVE;
}

static gboolean on_control(int fd G_GNUC_UNUSED, GIOCondition condition G_GNUC_UNUSED, gpointer user)
{
  HfChild *child = user;
  if (drain(child) != HF_CONTROL_END)
    return G_SOURCE_CONTINUE;
  child->watch_control = 0;
  /* A child that closed its control socket is of no more use. */
  hf_child_stop(child, 2);
  return G_SOURCE_REMOVE;
}

static gboolean on_end(int fd G_GNUC_UNUSED, GIOCondition condition G_GNUC_UNUSED, gpointer user)
{
  HfChild *child = user;
  kill(-child->pid, SIGKILL);
  if (HF_AGAIN(waitpid(child->pid, &child->status, 0)) != child->pid)
    child->status = 0;
  child->reaped = TRUE;
  child->watch_end = 0;
  drop_watch(&child->watch_kill);
  if (child->watch_control != 0)
    drain(child);
  drop_watch(&child->watch_control);
  drop_watch(&child->watch_said);
  take_lines(child);
  g_autofree char *how = describe(child->status);
  child->ops.ended(child, how, child->user);
  return G_SOURCE_REMOVE;
}

static gboolean spawn(HfChild *child, const char *program, const char *role, int fd, GError **error)
{
  g_autoptr(GError) why = NULL;
  const char *const arguments[] = { program, "--role", role, NULL };
  const int source = fd, target = HF_CONTROL_FD;
  int said;
  const GSpawnFlags flags = G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_CLOEXEC_PIPES;
  if (!g_spawn_async_with_pipes_and_fds("/", arguments, NULL, flags, NULL, NULL, -1, -1, -1, &source, &target, 1,
                                        &child->pid, NULL, NULL, &said, &why))
    return hf_fail(error, HF_ERROR_FAILED, "cannot start '%s --role %s': %s", program, role, why->message);
  child->said = g_io_channel_unix_new(said);
  g_io_channel_set_close_on_unref(child->said, TRUE);
  g_io_channel_set_encoding(child->said, NULL, NULL);
  g_io_channel_set_flags(child->said, G_IO_FLAG_NONBLOCK, NULL);
  return TRUE;
}

HfChild *hf_child_start(const char *program, const char *role, const HfChildOps *ops, gpointer user, GError **error)
{
  hf_autofd int fd = -1;
  g_autoptr(HfControl) control = hf_control_new_pair(&fd, error);
  if (control == NULL)
    return NULL;
  HfChild *child = g_new0(HfChild, 1);
  *child = (HfChild){ .ops = *ops, .user = user, .pidfd = -1 };
  if (!spawn(child, program, role, fd, error)) {
    g_free(child);
    return NULL;
  }
  child->pidfd = pidfd_open(child->pid, 0);
  child->control = g_steal_pointer(&control);
  child->watch_control = g_unix_fd_add(hf_control_fd(child->control), G_IO_IN | G_IO_HUP | G_IO_ERR, on_control, child);
  child->watch_end = g_unix_fd_add(child->pidfd, G_IO_IN, on_end, child);
  child->watch_said = g_io_add_watch(child->said, G_IO_IN | G_IO_HUP | G_IO_ERR, on_said, child);
  return child;
}

void hf_child_free(HfChild *child)
{
  if (child == NULL)
    return;
  drop_watch(&child->watch_control);
  drop_watch(&child->watch_end);
  drop_watch(&child->watch_kill);
  drop_watch(&child->watch_said);
  if (!child->reaped) {
    signal_all(child, SIGKILL);
    HF_AGAIN(waitpid(child->pid, NULL, 0));
  }
  close(child->pidfd);
  g_io_channel_unref(child->said);
  hf_control_free(child->control);
  g_free(child);
}

gboolean hf_child_send(HfChild *child, HfControlKind kind, const GByteArray *body, int fd)
{
  g_autoptr(GError) error = NULL;
  if (hf_control_send(child->control, kind, body, fd, &error))
    return TRUE;
  g_warning("process %d: %s", (int)child->pid, error->message);
  hf_child_stop(child, 0);
  return FALSE;
}

static gboolean on_patience_over(gpointer user)
{
  HfChild *child = user;
  child->watch_kill = 0;
  signal_all(child, SIGKILL);
  return G_SOURCE_REMOVE;
}

void hf_child_stop(HfChild *child, guint grace)
{
  if (child->reaped)
    return;
  if (grace == 0) {
    signal_all(child, SIGKILL);
    return;
  }
  kill(child->pid, SIGTERM);
  hf_child_stop_later(child, grace);
}

void hf_child_stop_later(HfChild *child, guint seconds)
{
  drop_watch(&child->watch_kill);
  if (!child->reaped)
    child->watch_kill = g_timeout_add_seconds(seconds, on_patience_over, child);
}

GPid hf_child_pid(const HfChild *child)
{
  return child->pid;
}
