/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/worker.h"

#include <sched.h>
#include <stdarg.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "agent/control.h"
#include "base/error.h"
#include "base/sys.h"
#include "net/messages/installer.h"

typedef struct Link {
  gboolean asked, answered; /* answered: it was joined, or will not be */
  int fd;                   /* the near end; -1: not here, or given away */
  GError *error;
} Link;

struct HfWorker {
  HfControl *control;
  HfControlMessage *order; /* task and secret are views into it */
  guint64 id;
  char *name, *kind, *host, *state;
  HfView task, secret;
  HfCancel cancel;
  HfReport *report;
  GMutex lock; /* of all below */
  GCond changed;
  Link *links;
  guint n_links;
  HfProgress progress;
  gboolean keeper_gone;
  gboolean scripts_answered;
  GError *scripts_failed;
  gboolean rate_told;
  HfThrottle *throttle;
  GMutex measuring; /* of these two */
  HfWorkerMeasure measure;
  gpointer measure_user;
};

/* ---- what was ordered ---- */

guint64 hf_worker_id(const HfWorker *worker)
{
  return worker->id;
}

const char *hf_worker_name(const HfWorker *worker)
{
  return worker->name;
}

const char *hf_worker_host(const HfWorker *worker)
{
  return worker->host;
}

const char *hf_worker_state(const HfWorker *worker)
{
  return worker->state;
}

HfView hf_worker_task(const HfWorker *worker)
{
  return worker->task;
}

HfView hf_worker_secret(const HfWorker *worker)
{
  return worker->secret;
}

HfCancel *hf_worker_cancel(HfWorker *worker)
{
  return &worker->cancel;
}

HfThrottle *hf_worker_throttle(HfWorker *worker, guint64 rate)
{
  HF_LOCK(&worker->lock);
  if (!worker->rate_told)
    hf_throttle_set_rate(worker->throttle, rate);
  return worker->throttle;
}

HfReport *hf_worker_report(HfWorker *worker)
{
  return worker->report;
}

/* ---- telling ---- */

void hf_worker_log(HfWorker *worker, const char *format, ...)
{
  va_list arguments;
  va_start(arguments, format);
  g_autofree char *text = g_strdup_vprintf(format, arguments);
  va_end(arguments);
  hf_control_send_line(worker->control, FALSE, text);
}

static void on_warning(gpointer user, const char *path, const char *message)
{
  g_autofree char *shown = path != NULL ? hf_printable(path, -1) : NULL;
  g_autofree char *text = shown != NULL ? g_strdup_printf("'%s': %s", shown, message) : g_strdup(message);
  hf_control_send_line(((HfWorker *)user)->control, TRUE, text);
}

static GBytes *take_figures(HfWorker *worker)
{
  HF_LOCK(&worker->measuring);
  GBytes *figures = worker->measure != NULL ? worker->measure(worker->measure_user) : NULL;
  return figures != NULL ? figures : g_bytes_new(NULL, 0);
}

static void send_progress(HfWorker *worker)
{
  GBytes *figures = take_figures(worker);
  g_mutex_lock(&worker->lock);
  g_auto(HfInstallerProgress) out = {
    .files_done = worker->progress.files_done, .bytes_done = worker->progress.bytes_done,
    .files_total = worker->progress.files_total, .bytes_total = worker->progress.bytes_total,
    .stored_bytes = worker->progress.stored_bytes,
    .figures = figures,
  };
  g_mutex_unlock(&worker->lock);
  g_autoptr(GBytes) encoded = hf_installer_progress_encode(&out, NULL);
  if (encoded == NULL)
    return;
  g_autoptr(HfBody) body = hf_body_new();
  hf_put_raw(body, g_bytes_get_data(encoded, NULL), g_bytes_get_size(encoded));
  hf_control_send(worker->control, HF_CONTROL_PROGRESS, body, -1, NULL);
}

static void on_progress(gpointer user, const HfProgress *progress, gboolean last G_GNUC_UNUSED)
{
  HfWorker *worker = user;
  g_mutex_lock(&worker->lock);
  worker->progress = *progress;
  g_mutex_unlock(&worker->lock);
  send_progress(worker);
}

void hf_worker_measure(HfWorker *worker, HfWorkerMeasure measure, gpointer user)
{
  HF_LOCK(&worker->measuring);
  worker->measure = measure;
  worker->measure_user = user;
}

/* ---- links ---- */

guint hf_worker_links(const HfWorker *worker)
{
  return worker->n_links;
}

static gboolean ask_for_link(HfWorker *worker, guint index, GError **error)
{
  g_autoptr(HfBody) body = hf_body_new();
  hf_put_u32(body, index);
  HF_LOCK(&worker->lock);
  if (worker->links[index].asked)
    return hf_fail(error, HF_ERROR_USAGE, "link %u was opened before", index);
  worker->links[index].asked = TRUE;
  return hf_control_send(worker->control, HF_CONTROL_LINK, body, -1, error);
}

/* Waits until the near end is here, or, with `joined`, the far one, too. */
static gboolean wait_for_link(HfWorker *worker, Link *link, gboolean joined, GError **error)
{
  HF_LOCK(&worker->lock);
  while (!link->answered && (joined || link->fd < 0) && !worker->keeper_gone) {
    if (hf_cancelled(&worker->cancel, error))
      return FALSE;
    g_cond_wait_until(&worker->changed, &worker->lock, g_get_monotonic_time() + 500 * G_TIME_SPAN_MILLISECOND);
  }
  if (link->error != NULL) {
    g_propagate_error(error, g_error_copy(link->error));
    return FALSE;
  }
  return (joined ? link->answered : link->fd >= 0) || hf_fail(error, HF_ERROR_IO, "the keeper of this host is gone");
}

HfChannel *hf_worker_link_begin(HfWorker *worker, guint index, const char *peer, GError **error)
{
  if (index >= worker->n_links) {
    hf_fail(error, HF_ERROR_USAGE, "the order of this task names %u links, not %u", worker->n_links, index + 1);
    return NULL;
  }
  Link *link = &worker->links[index];
  if (!ask_for_link(worker, index, error) || !wait_for_link(worker, link, FALSE, error))
    return NULL;
  g_autofree char *name = peer != NULL ? g_strdup(peer) : g_strdup_printf("link %u", index);
  HF_LOCK(&worker->lock);
  return hf_channel_new(hf_steal_fd(&link->fd), name);
}

gboolean hf_worker_link_joined(HfWorker *worker, guint index, GError **error)
{
  return wait_for_link(worker, &worker->links[index], TRUE, error);
}

HfChannel *hf_worker_link(HfWorker *worker, guint index, const char *peer, GError **error)
{
  g_autoptr(HfChannel) channel = hf_worker_link_begin(worker, index, peer, error);
  return channel != NULL && hf_worker_link_joined(worker, index, error) ? g_steal_pointer(&channel) : NULL;
}

static void on_link(HfWorker *worker, HfControlMessage *message)
{
  HfReader reader = hf_reader(message->body->data, message->body->len);
  guint32 index = hf_get_u32(&reader);
  HF_LOCK(&worker->lock);
  if (index >= worker->n_links || worker->links[index].answered)
    return;
  Link *link = &worker->links[index];
  if (message->kind == HF_CONTROL_JOINED) {
    link->answered = TRUE;
    (void)hf_get_error(&reader, &link->error);
  } else if (link->fd < 0) {
    link->fd = hf_steal_fd(&message->fd);
  }
  g_cond_broadcast(&worker->changed);
}

/* ---- scripts ---- */

gboolean hf_worker_scripts(HfWorker *worker, GError **error)
{
  if (!hf_control_send(worker->control, HF_CONTROL_SCRIPTS, NULL, -1, error))
    return FALSE;
  HF_LOCK(&worker->lock);
  while (!worker->scripts_answered && !worker->keeper_gone)
    g_cond_wait(&worker->changed, &worker->lock);
  if (!worker->scripts_answered)
    return hf_fail(error, HF_ERROR_IO, "the keeper of this host is gone");
  if (worker->scripts_failed == NULL)
    return TRUE;
  g_propagate_error(error, g_steal_pointer(&worker->scripts_failed));
  return FALSE;
}

static void on_scripts(HfWorker *worker, const HfControlMessage *message)
{
  HfReader reader = hf_reader(message->body->data, message->body->len);
  HF_LOCK(&worker->lock);
  if (!worker->scripts_answered)
    hf_get_error(&reader, &worker->scripts_failed);
  worker->scripts_answered = TRUE;
  g_cond_broadcast(&worker->changed);
}

/* ---- the keeper ---- */

static void on_rate(HfWorker *worker, const HfControlMessage *message)
{
  HfReader reader = hf_reader(message->body->data, message->body->len);
  guint64 rate = hf_get_u64(&reader);
  if (reader.failed)
    return;
  HF_LOCK(&worker->lock);
  worker->rate_told = TRUE;
  hf_throttle_set_rate(worker->throttle, rate);
}

/* Hears the keeper while the task runs. */
static gpointer control_thread(gpointer user)
{
  HfWorker *worker = user;
  for (;;) {
    g_autoptr(HfControlMessage) message = hf_control_receive(worker->control, NULL);
    if (message == NULL)
      break;
    if (message->kind == HF_CONTROL_LINK || message->kind == HF_CONTROL_JOINED)
      on_link(worker, message);
    else if (message->kind == HF_CONTROL_SCRIPTS)
      on_scripts(worker, message);
    else if (message->kind == HF_CONTROL_CANCEL)
      hf_cancel_set(&worker->cancel);
    else if (message->kind == HF_CONTROL_RATE)
      on_rate(worker, message);
  }
  hf_cancel_set(&worker->cancel);
  HF_LOCK(&worker->lock);
  worker->keeper_gone = TRUE;
  g_cond_broadcast(&worker->changed);
  return NULL;
}

static gboolean read_order(HfWorker *worker, GError **error)
{
  worker->order = hf_control_receive(worker->control, error);
  if (worker->order == NULL || worker->order->kind != HF_CONTROL_TASK)
    return hf_fail(*error == NULL ? error : NULL, HF_ERROR_INVALID, "the keeper gave no task");
  HfReader reader = hf_reader(worker->order->body->data, worker->order->body->len);
  worker->id = hf_get_u64(&reader);
  worker->name = hf_get_text(&reader, HF_TEXT_MAX);
  worker->kind = hf_get_text(&reader, HF_TEXT_MAX);
  worker->host = hf_get_text(&reader, HF_TEXT_MAX);
  worker->state = hf_get_text(&reader, HF_TEXT_MAX);
  guint32 links = hf_get_u32(&reader);
  worker->n_links = MIN(links, HF_TASK_LINKS_MAX);
  worker->task = hf_get_bytes(&reader, HF_TASK_MESSAGE_MAX);
  worker->secret = hf_get_bytes(&reader, HF_TASK_MESSAGE_MAX);
  worker->links = g_new0(Link, MAX(worker->n_links, 1u));
  for (guint i = 0; i < worker->n_links; i++)
    worker->links[i].fd = -1;
  return hf_reader_done(&reader, "a task", error);
}

static const HfTaskKind *find_kind(const HfAgentParts *parts, const char *name)
{
  for (const HfTaskKind *const *kind = parts->tasks; *kind != NULL; kind++)
    if (strcmp((*kind)->name, name) == 0)
      return *kind;
  return NULL;
}

static gboolean run_task(HfWorker *worker, const HfAgentParts *parts, GByteArray *result, GError **error)
{
  const HfTaskKind *kind = find_kind(parts, worker->kind);
  if (kind == NULL)
    return hf_fail(error, HF_ERROR_UNSUPPORTED, "this agent does not know tasks of kind '%s'", worker->kind);
  if (!kind->run(worker, result, error))
    return FALSE;
  return result->len <= HF_TASK_RESULT_MAX || hf_fail(error, HF_ERROR_FAILED, "the result of the task is too long");
}

static void send_result(HfWorker *worker, GByteArray *result, const GError *failure)
{
  g_autoptr(HfBody) body = hf_body_new();
  hf_put_error(body, failure);
  hf_put_bytes(body, result->data, result->len > HF_TASK_RESULT_MAX ? 0 : result->len);
  hf_control_send(worker->control, HF_CONTROL_RESULT, body, -1, NULL);
}

/* Without a network, where that may be: a worker needs none. */
static void leave_network(void)
{
  if (unshare(CLONE_NEWNET) < 0)
    g_debug("the worker keeps the network namespace: %s", g_strerror(errno));
}

/* The process ends when this returns: what is left is the kernel's, but for the secrets. */
gboolean hf_worker_run(HfControl *control, const HfAgentParts *parts, GError **error)
{
  static const HfReportOps report_ops = { .warning = on_warning, .progress = on_progress };
  HfWorker *worker = g_new0(HfWorker, 1);
  worker->control = control;
  worker->throttle = hf_throttle_new(0);
  leave_network();
  if (!read_order(worker, error))
    return FALSE;
  worker->report = hf_report_new(&report_ops, worker);
  GThread *hearing = g_thread_new("hf-control", control_thread, worker);
  g_autoptr(GError) failure = NULL;
  g_autoptr(GByteArray) result = g_byte_array_new();
  gboolean done = run_task(worker, parts, result, &failure);
  hf_report_finish(worker->report);
  send_result(worker, result, done ? NULL : failure);
  /* What was sent is still read; this ends the hearing only. */
  hf_control_shutdown(control);
  g_thread_join(hearing);
  hf_wipe(worker->order->body->data, worker->order->body->len);
  return TRUE;
}
