/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/keeper/scripts.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "agent/keeper/child.h"
#include "agent/hooks.h"
#include "agent/state.h"
#include "base/error.h"
#include "net/preamble.h"

#define KILL_ROUNDS 50u
#define CANCEL_SECONDS 10u

struct HfScripts {
  HfScriptsOps ops;
  gpointer user;
  char *program, *folder, *file; /* file: its name in the folder */
  HfHooksOrder order;            /* with the outcome of those that run, or ran last */
  HfChild *child;                /* NULL: none run */
  gboolean owed;
  char *next;                    /* outcome for those after, once those before have ended; NULL: not yet known */
  gboolean answered;             /* the child told how it went */
  GError *failed;
};

/* ---- marks ---- */

static gboolean bears_mark(const char *pid, const char *mark)
{
  gsize length;
  g_autofree char *path = g_strdup_printf("/proc/%s/environ", pid), *text = NULL;
  if (!g_file_get_contents(path, &text, &length, NULL))
    return FALSE;
  for (const char *at = text; at < text + length; at += strlen(at) + 1)
    if (strcmp(at, mark) == 0)
      return TRUE;
  return FALSE;
}

static guint kill_marked_once(const char *mark)
{
  guint found = 0;
  const char *name;
  g_autoptr(GDir) dir = g_dir_open("/proc", 0, NULL);
  while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
    pid_t pid = (pid_t)g_ascii_strtoull(name, NULL, 10);
    if (pid > 1 && pid != getpid() && bears_mark(name, mark) && kill(pid, SIGKILL) == 0)
      found++;
  }
  return found;
}

static void kill_marked(const char *task)
{
  g_autofree char *mark = g_strdup_printf(HF_HOOKS_MARK "=%s", task);
  for (guint round = 0; round < KILL_ROUNDS && kill_marked_once(mark) > 0; round++)
    g_usleep(2000);
}

/* ---- the file ---- */

static gboolean write_file(const HfScripts *scripts, GError **error)
{
  g_autoptr(GByteArray) body = g_byte_array_new();
  hf_hooks_order_put(body, &scripts->order);
  return hf_state_write(scripts->folder, scripts->file, body->data, body->len, error);
}

static void remove_file(HfScripts *scripts)
{
  g_autofree char *path = g_build_filename(scripts->folder, scripts->file, NULL);
  if (g_unlink(path) < 0 && errno != ENOENT)
    g_warning("cannot remove '%s': %s", path, g_strerror(errno));
  scripts->owed = FALSE;
}

/* ---- the child ---- */

static gboolean run(HfScripts *scripts, const char *outcome, GError **error);

static void on_message(HfChild *child G_GNUC_UNUSED, HfControlMessage *message, gpointer user)
{
  HfScripts *scripts = user;
  HfReader reader = hf_reader(message->body->data, message->body->len);
  if (message->kind == HF_CONTROL_LINE) {
    scripts->ops.line(scripts->user, &reader);
  } else if (message->kind == HF_CONTROL_RESULT && !scripts->answered) {
    scripts->answered = TRUE;
    hf_get_error(&reader, &scripts->failed);
  }
}

/* The file goes before anybody is told: a task that is over owes nothing. */
static void over(HfScripts *scripts, gboolean after, const GError *error)
{
  if (after)
    remove_file(scripts);
  scripts->ops.ended(scripts->user, after, error);
}

static void run_after(HfScripts *scripts)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *outcome = g_steal_pointer(&scripts->next);
  if (!run(scripts, outcome, &error))
    over(scripts, TRUE, error);
}

static void on_ended(HfChild *child, const char *how, gpointer user)
{
  HfScripts *scripts = user;
  const gboolean after = *scripts->order.outcome != '\0';
  hf_child_free(child);
  scripts->child = NULL;
  if (!scripts->answered) {
    kill_marked(scripts->order.task);
    hf_fail(&scripts->failed, HF_ERROR_FAILED, "the process that ran the scripts of the task ended (%s)", how);
  }
  g_autoptr(GError) error = g_steal_pointer(&scripts->failed);
  if (!after && scripts->next != NULL)
    run_after(scripts);
  else
    over(scripts, after, error);
}

static gboolean run(HfScripts *scripts, const char *outcome, GError **error)
{
  static const HfChildOps child_ops = { on_message, on_ended };
  scripts->answered = FALSE;
  g_free(scripts->order.outcome);
  scripts->order.outcome = g_strdup(outcome);
  scripts->child = hf_child_start(scripts->program, "scripts", &child_ops, scripts, error);
  if (scripts->child == NULL)
    return FALSE;
  g_autoptr(HfBody) body = hf_body_new();
  hf_hooks_order_put(body, &scripts->order);
  hf_child_send(scripts->child, HF_CONTROL_SCRIPTS, body, -1); /* one that takes nothing is killed, and its end told */
  return TRUE;
}

/* ---- life ---- */

HfScripts *hf_scripts_new(const HfScriptsOf *of, const HfScriptsOps *ops, gpointer user)
{
  HfScripts *scripts = g_new0(HfScripts, 1);
  scripts->ops = *ops;
  scripts->user = user;
  scripts->program = g_strdup(of->program);
  scripts->folder = g_strdup(of->folder);
  scripts->file = g_strdup_printf("%" G_GUINT64_FORMAT ".scripts", of->number);
  scripts->order = (HfHooksOrder){ .task = g_strdup(of->task), .kind = g_strdup(of->kind), .outcome = g_strdup(""),
                                   .order = of->order != NULL ? g_bytes_ref(of->order) : g_bytes_new(NULL, 0) };
  return scripts;
}

HfScripts *hf_scripts_left(const HfScriptsOf *of, const HfScriptsOps *ops, gpointer user)
{
  g_autoptr(GError) error = NULL;
  HfScripts *scripts = hf_scripts_new(of, ops, user);
  g_autoptr(GBytes) bytes = hf_state_read(scripts->folder, scripts->file, &error);
  g_autoptr(GByteArray) body = bytes != NULL ? g_bytes_unref_to_array(g_steal_pointer(&bytes)) : NULL;
  g_auto(HfHooksOrder) kept = { 0 };
  if (body != NULL && hf_hooks_order_get(body, &kept, &error)) {
    hf_hooks_order_clear(&scripts->order);
    scripts->order = kept;
    kept = (HfHooksOrder){ 0 };
    scripts->owed = TRUE;
    kill_marked(scripts->order.task);
    return scripts;
  }
  if (!hf_error_is(error, HF_ERROR_NOT_FOUND))
    g_warning("the scripts after a task of an earlier run are lost: %s", error->message);
  hf_scripts_free(scripts);
  return NULL;
}

void hf_scripts_free(HfScripts *scripts)
{
  if (scripts == NULL)
    return;
  if (scripts->child != NULL) {
    hf_child_free(scripts->child);
    kill_marked(scripts->order.task);
  }
  g_clear_error(&scripts->failed);
  hf_hooks_order_clear(&scripts->order);
  g_free(scripts->program);
  g_free(scripts->folder);
  g_free(scripts->file);
  g_free(scripts->next);
  g_free(scripts);
}

gboolean hf_scripts_before(HfScripts *scripts, GError **error)
{
  if (scripts->owed || scripts->child != NULL)
    return hf_fail(error, HF_ERROR_USAGE, "the scripts before the task ran before");
  if (!write_file(scripts, error))
    return FALSE;
  scripts->owed = TRUE;
  if (run(scripts, "", error))
    return TRUE;
  remove_file(scripts);
  return FALSE;
}

gboolean hf_scripts_after(HfScripts *scripts, const char *outcome)
{
  if (scripts == NULL || !scripts->owed || *scripts->order.outcome != '\0')
    return scripts != NULL && scripts->owed;
  g_free(scripts->next);
  scripts->next = g_strdup(outcome);
  if (scripts->child != NULL)
    hf_scripts_cancel(scripts);
  else
    run_after(scripts);
  return TRUE;
}

void hf_scripts_cancel(HfScripts *scripts)
{
  if (scripts == NULL || scripts->child == NULL || *scripts->order.outcome != '\0')
    return;
  if (hf_child_send(scripts->child, HF_CONTROL_CANCEL, NULL, -1))
    hf_child_stop_later(scripts->child, CANCEL_SECONDS);
}
