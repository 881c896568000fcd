/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/keeper/tasks.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/keeper/face.h"
#include "agent/keeper/kept.h"
#include "agent/keeper/scripts.h"
#include "agent/thaw.h"
#include "base/clock.h"
#include "base/error.h"

#define FOLDER "tasks"
#define PART_SECONDS 5u /* links of a task that has ended are waited for so long */

typedef enum LinkState {
  LINK_IDLE,
  LINK_OPENING, /* the worker has its end, the transport face is at it */
  LINK_JOINED,
  LINK_OVER,
} LinkState;

typedef struct Link {
  HfInstallerLink order;
  LinkState state;
  guint16 port; /* of an inward link */
  gboolean ticket_open;
  HfShortId ticket; /* of an inward link */
} Link;

typedef struct Task {
  HfTasks *tasks;
  HfKeptTask kept;
  HfChild *child;
  Link *links;
  guint n_links;
  HfAsk *ask; /* who ordered it, until it is answered */
  guint waiting; /* inward links without a port yet */
  gboolean cancelled, ended;
  gboolean noted; /* what was noteworthy of one link is so of all: it is logged once */
  guint part_timer;
  HfInstallerResult result; /* filled in as it goes */
  gboolean has_result;
  GBytes *order;      /* its message, while it runs */
  HfScripts *scripts; /* NULL: it asked for none */
  gboolean after;     /* the scripts after it run, or will */
} Task;

struct HfTasks {
  HfKeeper *keeper;
  char *folder;
  GHashTable *tasks; /* number -> Task */
  guint thaw_timer;  /* something is frozen still */
};

/* ---- names ---- */

static Task *find_by_name(const HfTasks *tasks, const char *name)
{
  GHashTableIter iter;
  gpointer item;
  g_hash_table_iter_init(&iter, tasks->tasks);
  while (g_hash_table_iter_next(&iter, NULL, &item))
    if (strcmp(((Task *)item)->kept.name, name) == 0)
      return item;
  return NULL;
}

static Task *find(const HfTasks *tasks, guint64 number)
{
  return g_hash_table_lookup(tasks->tasks, &number);
}

/* ---- results ---- */

static void tell(Task *task, HfEventKind kind, GBytes *body)
{
  hf_events_add(task->tasks->keeper->events, kind, task->kept.number, task->kept.name, body);
}

static void tell_text(Task *task, HfEventKind kind, const char *text)
{
  tell(task, kind, g_bytes_new(text, strlen(text)));
}

/* Keeps the result, then tells it: a keeper that dies in between tells it after its next start. */
static void finish(Task *task)
{
  g_autoptr(GError) error = NULL;
  HfTasks *tasks = task->tasks;
  task->result.started = task->kept.started;
  task->result.ended = hf_clock_real_ns();
  task->result.lines_lost = hf_events_lost(tasks->keeper->events, task->kept.number);
  g_autoptr(GBytes) body = hf_installer_result_encode(&task->result, &error);
  if (body == NULL) {
    g_warning("task '%s': %s", task->kept.name, error->message);
    hf_installer_result_clear(&task->result);
    task->result = (HfInstallerResult){ .code = HF_ERROR_FAILED, .message = g_strdup(error->message),
                                        .result = g_bytes_new(NULL, 0) };
    body = hf_installer_result_encode(&task->result, NULL);
  }
  g_clear_error(&error);
  if (!hf_kept_task_finish(tasks->folder, &task->kept, body, &error))
    hf_keeper_note(tasks->keeper, "the result of task '%s' is lost when the agent ends: %s", task->kept.name,
                   error->message);
  g_message("task %s (%s) ended: %s", task->kept.name, task->kept.kind,
            task->result.code == 0 ? "done" : task->result.message);
  task->ended = TRUE;
  tell(task, HF_EVENT_RESULT, g_steal_pointer(&body));
  hf_keeper_write_status(tasks->keeper);
  hf_keeper_maybe_end(tasks->keeper);
}

static void set_failure(Task *task, HfErrorCode code, const char *message)
{
  if (task->has_result)
    return;
  task->has_result = TRUE;
  task->result.code = (guint32)code;
  task->result.message = g_strdup(message);
  task->result.result = g_bytes_new(NULL, 0);
}

static gboolean has_joined_links(const Task *task)
{
  for (guint i = 0; i < task->n_links; i++)
    if (task->links[i].state == LINK_JOINED)
      return TRUE;
  return FALSE;
}

static void maybe_finish(Task *task)
{
  if (task->ended || task->child != NULL || task->after || (has_joined_links(task) && task->part_timer != 0))
    return;
  if (task->part_timer != 0)
    g_source_remove(task->part_timer);
  task->part_timer = 0;
  finish(task);
}

static gboolean on_part_timer(gpointer user)
{
  Task *task = user;
  task->part_timer = 0;
  maybe_finish(task);
  return G_SOURCE_REMOVE;
}

/* ---- links ---- */

static guint64 reference(const Task *task, guint index)
{
  return task->kept.number << 8 | index;
}

static Link *link_of(const HfTasks *tasks, guint64 ref, Task **task)
{
  *task = find(tasks, ref >> 8);
  guint index = (guint)(ref & 0xff);
  return *task != NULL && index < (*task)->n_links ? &(*task)->links[index] : NULL;
}

/* The worker writes into its end at once: what it says first goes out together with the ticket. */
static void hand_end(Task *task, guint index, int fd)
{
  g_autoptr(HfBody) body = hf_body_new();
  hf_put_u32(body, index);
  if (task->child != NULL)
    hf_child_send(task->child, HF_CONTROL_LINK, body, fd);
}

static void answer_worker(Task *task, guint index, const GError *error)
{
  g_autoptr(HfBody) body = hf_body_new();
  hf_put_u32(body, index);
  hf_put_error(body, error);
  if (task->child != NULL)
    hf_child_send(task->child, HF_CONTROL_JOINED, body, -1);
}

static void fail_link(Task *task, guint index, const GError *error)
{
  task->links[index].state = LINK_OVER;
  answer_worker(task, index, error);
}

static void open_link(Task *task, guint index)
{
  g_autoptr(GError) error = NULL;
  int pair[2];
  Link *link = &task->links[index];
  if (link->state != LINK_IDLE) {
    g_autoptr(GError) again = g_error_new(HF_ERROR, HF_ERROR_USAGE, "link %u was opened before", index);
    answer_worker(task, index, again);
    return;
  }
  g_autoptr(GBytes) order = hf_installer_link_encode(&link->order, &error);
  if (order == NULL || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
    if (error == NULL)
      hf_fail_errno(&error, errno, "cannot make a socket pair");
    fail_link(task, index, error);
    return;
  }
  link->state = LINK_OPENING;
  hand_end(task, index, pair[0]);
  close(pair[0]);
  g_autoptr(HfBody) body = hf_body_new();
  hf_put_u64(body, reference(task, index));
  hf_put_bytes(body, g_bytes_get_data(order, NULL), g_bytes_get_size(order));
  HfControlKind kind = link->order.way == HF_INSTALLER_WAY_OUT ? HF_CONTROL_DIAL : HF_CONTROL_AWAIT;
  gboolean sent = hf_face_send(task->tasks->keeper->transport, kind, body, pair[1]);
  close(pair[1]);
  if (!sent) {
    hf_fail(&error, HF_ERROR_BUSY, "the transport role of this host does not run");
    fail_link(task, index, error);
  }
}

static void joined(HfTasks *tasks, HfReader *reader)
{
  Task *task;
  guint64 ref = hf_get_u64(reader);
  Link *link = link_of(tasks, ref, &task);
  if (link == NULL || link->state != LINK_OPENING)
    return;
  g_autoptr(GError) error = NULL;
  if (!hf_get_error(reader, &error)) {
    fail_link(task, (guint)(ref & 0xff), error);
    return;
  }
  link->state = LINK_JOINED;
  g_autofree char *note = hf_get_text(reader, HF_TEXT_MAX);
  if (note != NULL && *note != '\0' && !task->noted)
    tell_text(task, HF_EVENT_LOG, note);
  task->noted = task->noted || (note != NULL && *note != '\0');
  answer_worker(task, (guint)(ref & 0xff), NULL);
}

static void parted(HfTasks *tasks, HfReader *reader)
{
  Task *task;
  Link *link = link_of(tasks, hf_get_u64(reader), &task);
  guint64 bytes_read = hf_get_u64(reader), written = hf_get_u64(reader);
  if (link == NULL || link->state != LINK_JOINED || reader->failed)
    return;
  link->state = LINK_OVER;
  task->result.wire_read += bytes_read;
  task->result.wire_written += written;
  if (task->child == NULL && !has_joined_links(task))
    maybe_finish(task);
}

/* ---- the answer to the order ---- */

static void answer_order(Task *task, GError *error)
{
  if (task->ask == NULL) {
    g_clear_error(&error);
    return;
  }
  g_autoptr(GBytes) body = NULL;
  if (error == NULL) {
    g_auto(HfInstallerTaskStarted) started = { .task = task->kept.number };
    for (guint i = 0; i < task->n_links; i++)
      hf_installer_task_started_add_ports(&started, task->links[i].port);
    body = hf_installer_task_started_encode(&started, &error);
  }
  hf_ask_done(task->ask, g_steal_pointer(&body), error);
  g_clear_pointer(&task->ask, hf_ask_unref);
}

static void ticket_open(HfTasks *tasks, HfReader *reader)
{
  Task *task;
  Link *link = link_of(tasks, hf_get_u64(reader), &task);
  if (link == NULL || link->ticket_open)
    return;
  GError *error = NULL;
  gboolean done = hf_get_error(reader, &error);
  if (done && hf_get_count(reader, 2) == 1)
    link->port = hf_get_u16(reader);
  if (done && link->port == 0)
    hf_fail(&error, HF_ERROR_BUSY, "no channel port of this host is free");
  link->ticket_open = TRUE;
  task->waiting--;
  if (error != NULL) {
    set_failure(task, HF_ERROR_BUSY, error->message);
    answer_order(task, error);
    if (task->child != NULL)
      hf_child_stop(task->child, 0);
  } else if (task->waiting == 0) {
    answer_order(task, NULL);
  }
}

/* An inward link is a ticket of the transport role: who shows it is joined. */
static gboolean send_ticket(Task *task, guint index, GError **error)
{
  const HfInstallerLink *link = &task->links[index].order;
  g_auto(HfInstallerTicket) ticket = { .kind = HF_INSTALLER_TICKET_KIND_WORKER, .token_hash = link->token };
  hf_random(&ticket.id, sizeof ticket.id);
  task->links[index].ticket = ticket.id;
  ticket.peer = g_strdup(link->peer);
  ticket.peer_is_server = link->peer_is_server;
  ticket.seconds = link->seconds;
  ticket.streams = ticket.channels = 1;
  ticket.repository = g_strdup("");
  ticket.terms = g_bytes_new(NULL, 0);
  ticket.task = task->kept.number;
  ticket.link = index;
  g_autoptr(GBytes) encoded = hf_installer_ticket_encode(&ticket, error);
  if (encoded == NULL)
    return FALSE;
  g_autoptr(HfBody) body = hf_body_new();
  hf_put_u64(body, reference(task, index));
  hf_put_bytes(body, g_bytes_get_data(encoded, NULL), g_bytes_get_size(encoded));
  return hf_face_send(task->tasks->keeper->transport, HF_CONTROL_TICKET, body, -1) ||
         hf_fail(error, HF_ERROR_BUSY, "the transport role of this host does not run");
}

/* ---- workers ---- */

static void on_line(Task *task, HfReader *reader)
{
  HfEventKind kind = hf_get_u8(reader) != 0 ? HF_EVENT_WARNING : HF_EVENT_LOG;
  g_autofree char *text = hf_get_text(reader, HF_TASK_LINE_MAX);
  if (text == NULL)
    return;
  task->result.warnings += kind == HF_EVENT_WARNING;
  tell_text(task, kind, text);
}

static void on_result(Task *task, HfReader *reader)
{
  g_autoptr(GError) error = NULL;
  if (task->has_result)
    return;
  gboolean done = hf_get_error(reader, &error);
  HfView result = hf_get_bytes(reader, HF_TASK_RESULT_MAX);
  if (reader->failed)
    return;
  task->has_result = TRUE;
  task->result.code = done ? 0 : (guint32)(error->domain == HF_ERROR ? error->code : HF_ERROR_FAILED);
  task->result.message = g_strdup(done ? "" : error->message);
  task->result.result = g_bytes_new(result.data, result.length);
}

/* ---- scripts ---- */

static const char *outcome_of(const Task *task)
{
  return task->result.code == 0 ? "success" : task->result.code == HF_ERROR_CANCELLED ? "stopped" : "failed";
}

/* A task whose last script failed is a failed one: what it stopped may be standing still. Its result is handed over. */
static void after_failed(Task *task, const GError *error)
{
  if (task->result.code != 0) {
    g_autofree char *message = g_strdup_printf("%s; %s", task->result.message, error->message);
    g_free(task->result.message);
    task->result.message = g_steal_pointer(&message);
    return;
  }
  g_free(task->result.message);
  task->result.code = HF_ERROR_FAILED;
  task->result.message = g_strdup(error->message);
}

static void scripts_line(gpointer user, HfReader *reader)
{
  on_line(user, reader);
}

static void scripts_ended(gpointer user, gboolean after, const GError *error)
{
  Task *task = user;
  g_autoptr(HfBody) body = hf_body_new();
  if (after) {
    if (error != NULL)
      after_failed(task, error);
    task->after = FALSE;
    maybe_finish(task);
    return;
  }
  hf_put_error(body, error);
  if (task->child != NULL)
    hf_child_send(task->child, HF_CONTROL_SCRIPTS, body, -1);
}

static HfScripts *scripts_of(Task *task, HfScripts *(*make)(const HfScriptsOf *, const HfScriptsOps *, gpointer))
{
  static const HfScriptsOps ops = { scripts_line, scripts_ended };
  const HfScriptsOf of = { .program = task->tasks->keeper->program, .folder = task->tasks->folder,
                           .number = task->kept.number, .task = task->kept.name, .kind = task->kept.kind,
                           .order = task->order };
  return make(&of, &ops, task);
}

static void run_scripts(Task *task)
{
  g_autoptr(GError) error = NULL;
  if (task->scripts == NULL)
    task->scripts = scripts_of(task, hf_scripts_new);
  if (!hf_scripts_before(task->scripts, &error))
    scripts_ended(task, FALSE, error);
  else if (task->cancelled)
    hf_scripts_cancel(task->scripts);
}

/* ---- workers: what they say ---- */

static void on_worker_message(HfChild *child G_GNUC_UNUSED, HfControlMessage *message, gpointer user)
{
  Task *task = user;
  HfReader reader = hf_reader(message->body->data, message->body->len);
  switch (message->kind) {
  case HF_CONTROL_PROGRESS:
    tell(task, HF_EVENT_PROGRESS, g_bytes_new(message->body->data, message->body->len));
    break;
  case HF_CONTROL_LINE:
    on_line(task, &reader);
    break;
  case HF_CONTROL_RESULT:
    on_result(task, &reader);
    break;
  case HF_CONTROL_SCRIPTS:
    run_scripts(task);
    break;
  case HF_CONTROL_LINK: {
    guint32 index = hf_get_u32(&reader);
    if (index < task->n_links)
      open_link(task, index);
    break;
  }
  default:
    g_warning("task '%s' sends what nobody knows", task->kept.name);
  }
}

/* Nobody waits any more for who would call. */
static void close_ticket(Task *task, const Link *link)
{
  g_autoptr(HfBody) body = hf_body_new();
  hf_put_raw(body, &link->ticket, sizeof link->ticket);
  hf_face_send(task->tasks->keeper->transport, HF_CONTROL_TICKET_CLOSE, body, -1);
}

static void close_ends(Task *task)
{
  for (guint i = 0; i < task->n_links; i++) {
    if (task->links[i].order.way == HF_INSTALLER_WAY_IN && task->links[i].state < LINK_JOINED)
      close_ticket(task, &task->links[i]);
    if (task->links[i].state == LINK_OPENING)
      task->links[i].state = LINK_OVER;
  }
}

/* What a worker that was killed, and its guardian with it, left frozen; while tasks run, also what they should have
 * thawed. */
static gboolean thaw_left(gpointer user)
{
  HfTasks *tasks = user;
  gboolean again;
  g_autofree char *work = g_build_filename(tasks->keeper->settings->state, "work", NULL);
  g_autoptr(GPtrArray) told = hf_thaw_left(work, &again);
  for (guint i = 0; i < told->len; i++)
    hf_keeper_note(tasks->keeper, "%s", (char *)told->pdata[i]);
  if (tasks->thaw_timer != 0)
    g_source_remove(tasks->thaw_timer);
  tasks->thaw_timer = again || hf_tasks_running(tasks) > 0 ? g_timeout_add_seconds(1, thaw_left, tasks) : 0;
  return G_SOURCE_REMOVE;
}

static void on_worker_ended(HfChild *child, const char *how, gpointer user)
{
  Task *task = user;
  hf_child_free(child);
  task->child = NULL;
  close_ends(task);
  thaw_left(task->tasks);
  g_autofree char *message = g_strdup_printf("the process of the task ended without a result (%s)", how);
  set_failure(task, task->cancelled ? HF_ERROR_CANCELLED : HF_ERROR_FAILED, message);
  answer_order(task, g_error_new(HF_ERROR, HF_ERROR_FAILED, "%s", message));
  if (has_joined_links(task))
    task->part_timer = g_timeout_add_seconds(PART_SECONDS, on_part_timer, task);
  task->after = TRUE;
  if (!hf_scripts_after(task->scripts, outcome_of(task))) {
    task->after = FALSE;
    maybe_finish(task);
  }
}

static const HfChildOps worker_ops = { on_worker_message, on_worker_ended };

static gboolean send_task(Task *task, const HfInstallerTaskOrder *order, GError **error)
{
  g_autofree char *work = g_build_filename(task->tasks->keeper->settings->state, "work", NULL);
  g_autoptr(HfBody) body = hf_body_new();
  hf_put_u64(body, task->kept.number);
  hf_put_text(body, order->name);
  hf_put_text(body, order->kind);
  hf_put_text(body, task->tasks->keeper->identity->host);
  hf_put_text(body, work);
  hf_put_u32(body, task->n_links);
  hf_put_bytes(body, g_bytes_get_data(order->task, NULL), g_bytes_get_size(order->task));
  hf_put_bytes(body, g_bytes_get_data(order->secret, NULL), g_bytes_get_size(order->secret));
  return hf_state_folder(work, error) &&
         (hf_child_send(task->child, HF_CONTROL_TASK, body, -1) ||
          hf_fail(error, HF_ERROR_FAILED, "the process of the task does not take it"));
}

static gboolean launch(Task *task, const HfInstallerTaskOrder *order, GError **error)
{
  HfKeeper *keeper = task->tasks->keeper;
  for (guint i = 0; i < task->n_links; i++)
    if (task->links[i].order.way == HF_INSTALLER_WAY_IN) {
      if (!send_ticket(task, i, error))
        return FALSE;
      task->waiting++;
    }
  task->child = hf_child_start(keeper->program, "worker", &worker_ops, task, error);
  return task->child != NULL && send_task(task, order, error);
}

/* ---- life ---- */

static void task_free(gpointer item)
{
  Task *task = item;
  if (task->part_timer != 0)
    g_source_remove(task->part_timer);
  hf_child_free(task->child);
  hf_scripts_free(task->scripts);
  g_clear_pointer(&task->order, g_bytes_unref);
  for (guint i = 0; i < task->n_links; i++)
    hf_installer_link_clear(&task->links[i].order);
  g_free(task->links);
  hf_ask_unref(task->ask);
  hf_installer_result_clear(&task->result);
  hf_kept_task_clear(&task->kept);
  g_free(task);
}

static Task *add(HfTasks *tasks, const HfKeptTask *kept)
{
  Task *task = g_new0(Task, 1);
  task->tasks = tasks;
  task->kept = (HfKeptTask){ .number = kept->number, .name = g_strdup(kept->name), .kind = g_strdup(kept->kind),
                             .started = kept->started };
  g_hash_table_insert(tasks->tasks, &task->kept.number, task);
  return task;
}

static void adopt_links(Task *task, const HfInstallerTaskOrder *order)
{
  task->n_links = order->n_links;
  task->links = g_new0(Link, MAX(order->n_links, 1u));
  for (guint i = 0; i < order->n_links; i++) {
    Link *link = &task->links[i];
    g_autoptr(GBytes) copy = hf_installer_link_encode(&order->links[i], NULL);
    hf_installer_link_decode(copy, &link->order, NULL);
  }
}

static gboolean may_start(const HfTasks *tasks, const HfInstallerTaskOrder *order, GError **error)
{
  const HfTaskKind *const *kind = tasks->keeper->parts->tasks;
  while (*kind != NULL && strcmp((*kind)->name, order->kind) != 0)
    kind++;
  if (*kind == NULL)
    return hf_fail(error, HF_ERROR_UNSUPPORTED, "this agent does not know tasks of kind '%s'; upgrade it", order->kind);
  if (find_by_name(tasks, order->name) != NULL)
    return hf_fail(error, HF_ERROR_EXISTS, "task '%s' was ordered before", order->name);
  if (hf_tasks_running(tasks) >= HF_TASKS_MAX)
    return hf_fail(error, HF_ERROR_BUSY, "%u tasks run on this host already", HF_TASKS_MAX);
  return !tasks->keeper->ending || hf_fail(error, HF_ERROR_BUSY, "the agent of this host is about to end");
}

void hf_tasks_start(HfTasks *tasks, guint64 number, const HfInstallerTaskOrder *order, HfAsk *ask)
{
  GError *error = NULL;
  HfKeptTask kept = { number, order->name, order->kind, hf_clock_real_ns(), NULL };
  if (!may_start(tasks, order, &error) || !hf_kept_task_begin(tasks->folder, &kept, &error)) {
    hf_ask_done(ask, NULL, error);
    return;
  }
  Task *task = add(tasks, &kept);
  adopt_links(task, order);
  task->ask = hf_ask_ref(ask);
  task->order = g_bytes_ref(order->task);
  if (!launch(task, order, &error)) {
    g_autofree char *message = g_strdup(error->message);
    answer_order(task, error);
    set_failure(task, HF_ERROR_FAILED, message);
    g_clear_pointer(&task->child, hf_child_free);
    maybe_finish(task);
    return;
  }
  if (tasks->thaw_timer == 0)
    tasks->thaw_timer = g_timeout_add_seconds(1, thaw_left, tasks);
  g_message("task %s (%s) started: process %d", order->name, order->kind, (int)hf_child_pid(task->child));
  if (task->waiting == 0)
    answer_order(task, NULL);
  hf_keeper_write_status(tasks->keeper);
}

static void cancel(Task *task)
{
  if (task->child == NULL || task->cancelled)
    return;
  task->cancelled = TRUE;
  hf_scripts_cancel(task->scripts);
  if (hf_child_send(task->child, HF_CONTROL_CANCEL, NULL, -1))
    hf_child_stop_later(task->child, HF_TASK_GRACE_SECONDS);
}

gboolean hf_tasks_cancel(HfTasks *tasks, const char *name, GError **error)
{
  Task *task = find_by_name(tasks, name);
  if (task == NULL)
    return hf_fail(error, HF_ERROR_NOT_FOUND, "there is no task '%s' on this host", name);
  cancel(task);
  return TRUE;
}

gboolean hf_tasks_set_rate(HfTasks *tasks, const char *name, guint64 rate, GError **error)
{
  const Task *task = find_by_name(tasks, name);
  if (task == NULL)
    return hf_fail(error, HF_ERROR_NOT_FOUND, "there is no task '%s' on this host", name);
  if (task->child == NULL)
    return TRUE;
  g_autoptr(HfBody) body = hf_body_new();
  hf_put_u64(body, rate);
  return hf_child_send(task->child, HF_CONTROL_RATE, body, -1) ||
         hf_fail(error, HF_ERROR_FAILED, "the process of task '%s' does not take its rate", name);
}

void hf_tasks_cancel_all(HfTasks *tasks)
{
  GHashTableIter iter;
  gpointer item;
  g_hash_table_iter_init(&iter, tasks->tasks);
  while (g_hash_table_iter_next(&iter, NULL, &item))
    cancel(item);
}

guint hf_tasks_running(const HfTasks *tasks)
{
  guint running = 0;
  GHashTableIter iter;
  gpointer item;
  g_hash_table_iter_init(&iter, tasks->tasks);
  while (g_hash_table_iter_next(&iter, NULL, &item))
    running += !((Task *)item)->ended;
  return running;
}

void hf_tasks_taken(HfTasks *tasks, guint64 number)
{
  g_autoptr(GError) error = NULL;
  Task *task = find(tasks, number);
  if (task == NULL || !task->ended)
    return;
  if (!hf_kept_task_remove(tasks->folder, number, &error))
    g_warning("%s", error->message);
  g_hash_table_remove(tasks->tasks, &number);
  hf_keeper_write_status(tasks->keeper);
}

void hf_tasks_describe(const HfTasks *tasks, HfInstallerStatus *status)
{
  GHashTableIter iter;
  gpointer item;
  g_hash_table_iter_init(&iter, tasks->tasks);
  while (g_hash_table_iter_next(&iter, NULL, &item)) {
    const Task *task = item;
    HfInstallerTask *entry = hf_installer_status_add_tasks(status);
    entry->task = entry->order = task->kept.number;
    entry->name = g_strdup(task->kept.name);
    entry->kind = g_strdup(task->kept.kind);
    entry->pid = task->child != NULL ? (guint32)hf_child_pid(task->child) : 0;
    entry->started = task->kept.started;
  }
}

gboolean hf_tasks_message(HfTasks *tasks, HfControlMessage *message)
{
  HfReader reader = hf_reader(message->body->data, message->body->len);
  if (message->kind == HF_CONTROL_JOINED)
    joined(tasks, &reader);
  else if (message->kind == HF_CONTROL_PARTED)
    parted(tasks, &reader);
  else if (message->kind == HF_CONTROL_TICKET_OPEN)
    ticket_open(tasks, &reader);
  else
    return FALSE;
  return TRUE;
}

void hf_tasks_transport_gone(HfTasks *tasks)
{
  g_autoptr(GError) error = g_error_new(HF_ERROR, HF_ERROR_IO, "the transport role of this host has ended");
  g_autoptr(GList) all = g_hash_table_get_values(tasks->tasks);
  for (GList *item = all; item != NULL; item = item->next) {
    Task *task = item->data;
    for (guint i = 0; i < task->n_links; i++) {
      if (task->links[i].state == LINK_OPENING)
        fail_link(task, i, error);
      task->links[i].state = task->links[i].state == LINK_JOINED ? LINK_OVER : task->links[i].state;
    }
    answer_order(task, g_error_copy(error));
    if (task->part_timer != 0)
      maybe_finish(task);
  }
}

/* What an earlier keeper left: results to tell, and tasks that died with it. */
static void take_over(gpointer item, gpointer user)
{
  HfKeptTask *kept = item;
  HfTasks *tasks = user;
  Task *task = add(tasks, kept);
  if (kept->result == NULL) {
    set_failure(task, HF_ERROR_FAILED, "the agent of the host ended while the task ran");
    task->scripts = scripts_of(task, hf_scripts_left);
    task->after = TRUE;
    if (!hf_scripts_after(task->scripts, outcome_of(task))) {
      task->after = FALSE;
      finish(task);
    }
    return;
  }
  task->ended = TRUE;
  tell(task, HF_EVENT_RESULT, g_bytes_ref(kept->result));
}

HfTasks *hf_tasks_new(HfKeeper *keeper, GError **error)
{
  HfTasks *tasks = g_new0(HfTasks, 1);
  tasks->keeper = keeper;
  tasks->folder = g_build_filename(keeper->settings->state, FOLDER, NULL);
  tasks->tasks = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, task_free);
  g_autoptr(GPtrArray) kept = hf_kept_tasks_load(tasks->folder, error);
  if (kept == NULL) {
    hf_tasks_free(tasks);
    return NULL;
  }
  thaw_left(tasks);
  g_ptr_array_foreach(kept, take_over, tasks);
  return tasks;
}

void hf_tasks_free(HfTasks *tasks)
{
  if (tasks == NULL)
    return;
  if (tasks->thaw_timer != 0)
    g_source_remove(tasks->thaw_timer);
  g_hash_table_unref(tasks->tasks);
  g_free(tasks->folder);
  g_free(tasks);
}
