/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/keeper/service.h"

#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "agent/keeper/carry.h"
#include "agent/keeper/face.h"
#include "agent/keeper/facts.h"
#include "agent/keeper/tasks.h"
#include "agent/keeper/upgrade.h"
#include "base/clock.h"
#include "base/error.h"
#include "net/pki.h"
#include "net/rpc.h"

#define EVENTS_AT_ONCE 64u
#define LOOK_MS 1000u /* how soon a session that has ended lets go of the events */

typedef struct Session {
  HfService *service;
  HfChannel *channel;
  HfRpc *rpc; /* NULL until both sides have said hello */
} Session;

struct HfService {
  HfKeeper *keeper;
  GMutex lock;
  GCond gone;
  Session *current; /* borrowed: its thread frees it */
  guint sessions;
  gboolean ending;
};

/* ---- hello ---- */

static void fill_welcome(HfKeeper *keeper, HfAsk *ask, gpointer data G_GNUC_UNUSED)
{
  GError *error = NULL;
  if (keeper->identity == NULL) {
    hf_ask_done(ask, NULL, g_error_new(HF_ERROR, HF_ERROR_REFUSED, "this host is not enrolled any more"));
    return;
  }
  g_autoptr(HfPeer) own = hf_pki_peer(keeper->identity->certificate, &error);
  if (own == NULL) {
    hf_ask_done(ask, NULL, error);
    return;
  }
  g_auto(HfInstallerWelcome) welcome = {
    .host = g_strdup(keeper->identity->host), .program = g_strdup(HF_VERSION), .name = g_strdup(g_get_host_name()),
    .clock = hf_clock_real_ns(), .order = hf_order_book_last(keeper->book), .epoch = hf_events_epoch(keeper->events),
    .serial = g_strdup(own->serial), .certificate_until = own->not_after, .privileged = geteuid() == 0,
    .transport_port = keeper->settings->transport_port,
  };
  hf_facts_fill(&welcome);
  GBytes *answer = hf_installer_welcome_encode(&welcome, &error);
  hf_ask_done(ask, answer, error);
}

static gboolean on_hello(HfCall *call, gpointer user, GBytes **reply, GError **error)
{
  Session *session = user;
  g_auto(HfInstallerHello) hello = { 0 };
  if (!hf_installer_hello_decode(hf_call_request(call), &hello, error))
    return FALSE;
  *reply = hf_keeper_ask(session->service->keeper, fill_welcome, NULL, NULL, error);
  return *reply != NULL;
}

/* ---- status ---- */

static guint64 memory_available(void)
{
  g_autofree char *text = NULL;
  guint64 kib = 0;
  if (!g_file_get_contents("/proc/meminfo", &text, NULL, NULL))
    return 0;
  const char *line = strstr(text, "MemAvailable:");
  if (line != NULL)
    kib = g_ascii_strtoull(line + strlen("MemAvailable:"), NULL, 10);
  return kib * 1024;
}

static void fill_status(HfKeeper *keeper, HfAsk *ask, gpointer data G_GNUC_UNUSED)
{
  GError *error = NULL;
  struct sysinfo info = { 0 };
  double load = 0;
  sysinfo(&info);
  if (getloadavg(&load, 1) != 1)
    load = 0;
  g_auto(HfInstallerStatus) status = {
    .load_milli = (guint64)(load * 1000), .processors = g_get_num_processors(),
    .memory_total = (guint64)info.totalram * info.mem_unit, .memory_free = memory_available(),
    .uptime = (guint64)info.uptime,
    .keeper_uptime = (guint64)(hf_clock_monotonic_us() - keeper->started) / G_USEC_PER_SEC,
  };
  if (keeper->installer != NULL)
    hf_face_describe(keeper->installer, hf_installer_status_add_roles(&status));
  if (keeper->transport != NULL)
    hf_face_describe(keeper->transport, hf_installer_status_add_roles(&status));
  hf_tasks_describe(keeper->tasks, &status);
  GBytes *answer = hf_installer_status_encode(&status, &error);
  hf_ask_done(ask, answer, error);
}

static gboolean on_status(HfCall *call G_GNUC_UNUSED, gpointer user, GBytes **reply, GError **error)
{
  Session *session = user;
  *reply = hf_keeper_ask(session->service->keeper, fill_status, NULL, NULL, error);
  return *reply != NULL;
}

/* ---- orders ---- */

static gboolean on_order(HfCall *call, gpointer user, GBytes **reply, GError **error)
{
  Session *session = user;
  g_auto(HfInstallerAnswer) answer = { 0 };
  answer.body = hf_keeper_ask(session->service->keeper, hf_carry_out, g_bytes_ref(hf_call_request(call)),
                              (GDestroyNotify)g_bytes_unref, error);
  if (answer.body != NULL)
    *reply = hf_installer_answer_encode(&answer, error);
  return *reply != NULL;
}

/* ---- events ---- */

static gboolean send_event(HfCall *call, const HfEvent *event, GError **error)
{
  g_auto(HfInstallerEvent) out = {
    .number = event->number, .kind = (HfInstallerEventKind)event->kind, .task = event->task,
    .name = g_strdup(event->name), .time = event->time, .body = g_bytes_ref(event->body),
  };
  g_autoptr(GBytes) bytes = hf_installer_event_encode(&out, error);
  if (bytes == NULL)
    return FALSE;
  gsize length;
  const void *data = g_bytes_get_data(bytes, &length);
  const struct iovec part = { (void *)data, length };
  return hf_call_send(call, &part, 1, error);
}

static gboolean on_follow(HfCall *call, gpointer user, GBytes **reply G_GNUC_UNUSED, GError **error)
{
  const Session *session = user;
  HfEvents *events = session->service->keeper->events;
  g_auto(HfInstallerFollow) follow = { 0 };
  if (!hf_installer_follow_decode(hf_call_request(call), &follow, error))
    return FALSE;
  guint64 after = follow.epoch == hf_events_epoch(events) ? follow.after : 0;
  while (!hf_call_cancelled(call)) {
    g_autoptr(GPtrArray) found = hf_events_after(events, after, EVENTS_AT_ONCE, LOOK_MS);
    for (guint i = 0; i < found->len; i++) {
      const HfEvent *event = found->pdata[i];
      if (!send_event(call, event, error))
        return FALSE;
      after = event->number;
    }
  }
  return TRUE;
}

static void forget_results(HfKeeper *keeper, HfAsk *ask, gpointer data)
{
  const GArray *results = data;
  for (guint i = 0; i < results->len; i++)
    hf_tasks_taken(keeper->tasks, g_array_index(results, guint64, i));
  hf_ask_done(ask, NULL, NULL);
}

static gboolean on_taken(HfCall *call, gpointer user, GBytes **reply, GError **error)
{
  Session *session = user;
  HfKeeper *keeper = session->service->keeper;
  g_auto(HfInstallerTaken) taken = { 0 };
  if (!hf_installer_taken_decode(hf_call_request(call), &taken, error))
    return FALSE;
  if (taken.epoch != hf_events_epoch(keeper->events))
    return hf_fail(error, HF_ERROR_REFUSED, "the agent was started anew meanwhile; say hello again");
  GArray *results = hf_events_taken(keeper->events, taken.number);
  *reply = hf_keeper_ask(keeper, forget_results, results, (GDestroyNotify)g_array_unref, error);
  return *reply != NULL;
}

static gboolean on_upload(HfCall *call, gpointer user, GBytes **reply G_GNUC_UNUSED, GError **error)
{
  Session *session = user;
  return hf_upgrade_receive(session->service->keeper->upgrade, call, error);
}

static const HfRpcMethod methods[] = {
  { HF_INSTALLER_METHOD_HELLO, "hello", on_hello, 0 },    { HF_INSTALLER_METHOD_STATUS, "status", on_status, 0 },
  { HF_INSTALLER_METHOD_ORDER, "order", on_order, 0 },    { HF_INSTALLER_METHOD_FOLLOW, "follow", on_follow, 0 },
  { HF_INSTALLER_METHOD_TAKEN, "taken", on_taken, 0 },    { HF_INSTALLER_METHOD_UPLOAD, "upload", on_upload, 0 },
  { 0, NULL, NULL, 0 },
};

/* ---- sessions ---- */

/* Becomes the session that counts; whoever was it is broken off. */
static gboolean take_place(Session *session)
{
  HfService *service = session->service;
  HF_LOCK(&service->lock);
  if (service->ending)
    return FALSE;
  if (service->current != NULL)
    hf_channel_shutdown(service->current->channel);
  service->current = session;
  return TRUE;
}

static void leave_place(Session *session)
{
  HfService *service = session->service;
  HF_LOCK(&service->lock);
  if (service->current == session)
    service->current = NULL;
}

static void serve(Session *session)
{
  g_autoptr(GError) error = NULL;
  const HfRpcOptions options = {
    .service = HF_INSTALLER_SERVICE, .version_low = HF_INSTALLER_OLDEST, .version_high = HF_INSTALLER_VERSION,
    .methods = methods, .user = session, .window = 256u << 10, .max_calls = 8, .memory_max = 16u << 20,
  };
  if (!take_place(session))
    return;
  session->rpc = hf_rpc_new(session->channel, &options, &error);
  if (session->rpc == NULL) {
    g_warning("a session of the server did not begin: %s", error->message);
  } else {
    g_message("session of the server begun");
    hf_rpc_wait_closed(session->rpc, -1);
  }
  leave_place(session);
  hf_rpc_free(session->rpc);
}

static gpointer session_thread(gpointer user)
{
  Session *session = user;
  HfService *service = session->service;
  serve(session);
  hf_channel_free(session->channel);
  g_free(session);
  HF_LOCK(&service->lock);
  service->sessions--;
  g_cond_signal(&service->gone);
  return NULL;
}

void hf_service_connect(HfService *service, int fd)
{
  Session *session = g_new0(Session, 1);
  session->service = service;
  session->channel = hf_channel_new(fd, "the server");
  g_mutex_lock(&service->lock);
  service->sessions++;
  g_mutex_unlock(&service->lock);
  g_thread_unref(g_thread_new("hf-session", session_thread, session));
}

void hf_service_disconnect(HfService *service)
{
  HF_LOCK(&service->lock);
  if (service->current != NULL)
    hf_channel_shutdown(service->current->channel);
}

HfService *hf_service_new(HfKeeper *keeper)
{
  HfService *service = g_new0(HfService, 1);
  service->keeper = keeper;
  g_mutex_init(&service->lock);
  g_cond_init(&service->gone);
  return service;
}

void hf_service_free(HfService *service)
{
  if (service == NULL)
    return;
  g_mutex_lock(&service->lock);
  service->ending = TRUE;
  if (service->current != NULL)
    hf_channel_shutdown(service->current->channel);
  while (service->sessions > 0) {
    /* Handlers may wait for this thread. */
    g_mutex_unlock(&service->lock);
    while (g_main_context_iteration(NULL, FALSE))
      continue;
    g_mutex_lock(&service->lock);
    g_cond_wait_until(&service->gone, &service->lock, g_get_monotonic_time() + 20 * G_TIME_SPAN_MILLISECOND);
  }
  g_mutex_unlock(&service->lock);
  g_cond_clear(&service->gone);
  g_mutex_clear(&service->lock);
  g_free(service);
}
