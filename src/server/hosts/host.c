/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One host: its thread, its session, its events. */
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "net/connect.h"
#include "server/hosts/private.h"
#include "server/hosts/rows.h"

#define CONNECT_MS (10 * 1000)
#define HANDSHAKE_MS 15000
#define HELLO_MS 30000
#define PING_SECONDS 5
#define DEAD_SECONDS 15 /* with HF_JOB_LOST_SECONDS it makes the time in which tasks of a host that vanished fail */
#define BACKOFF_MAX_SECONDS 30
#define TAKEN_EVERY 64u                         /* events, */
#define TAKEN_US (2 * G_TIME_SPAN_SECOND)       /* or so long after the last time */
#define STEADY_US (10 * G_TIME_SPAN_SECOND)     /* a session of this length makes the next wait short again */

/* ---- the session for others ---- */

HfRpc *hf_host_enter(HfHost *host, GError **error)
{
  HF_LOCK(&host->lock);
  if (host->rpc != NULL) {
    host->users++;
    return host->rpc;
  }
  hf_fail(error, HF_ERROR_IO, "host '%s' does not answer: %s", host->name,
          host->why != NULL ? host->why : "it was not reached yet");
  return NULL;
}

void hf_host_leave(HfHost *host)
{
  HF_LOCK(&host->lock);
  host->users--;
  g_cond_broadcast(&host->changed);
}

static void set_available(HfHost *host, HfRpc *rpc, const char *why)
{
  HF_LOCK(&host->telling);
  g_mutex_lock(&host->lock);
  gboolean was = host->available, same = !was && rpc == NULL && g_strcmp0(host->why, why) == 0;
  if (was && rpc == NULL)
    host->away_since = g_get_monotonic_time();
  host->rpc = rpc;
  host->available = rpc != NULL;
  g_free(host->why);
  host->why = g_strdup(why);
  g_cond_broadcast(&host->changed);
  while (rpc == NULL && host->users > 0)
    g_cond_wait(&host->changed, &host->lock);
  g_mutex_unlock(&host->lock);
  if (!same && host->hosts->ops.status != NULL)
    host->hosts->ops.status(host->hosts->ops.user, host->id, rpc != NULL, why);
}

void hf_host_tell_again(HfHost *host)
{
  HF_LOCK(&host->telling);
  g_mutex_lock(&host->lock);
  gboolean available = host->available, known = available || host->why != NULL;
  g_autofree char *why = g_strdup(host->why);
  g_mutex_unlock(&host->lock);
  if (known && host->hosts->ops.still != NULL)
    host->hosts->ops.still(host->hosts->ops.user, host->id, available, why);
}

/* ---- events ---- */

static void wake_waiter(HfHost *host, const HfInstallerEvent *event)
{
  HF_LOCK(&host->lock);
  for (GList *item = host->waiters; item != NULL; item = item->next) {
    HfWaiter *waiter = item->data;
    if (waiter->done || strcmp(waiter->task, event->name) != 0)
      continue;
    if (hf_installer_result_decode(event->body, waiter->result, NULL))
      waiter->done = TRUE;
    g_cond_broadcast(&host->changed);
  }
}

static gboolean take_event(HfHost *host, GBytes *piece, HfInstallerEventKind *kind, GError **error)
{
  const HfHostsOps *ops = &host->hosts->ops;
  g_auto(HfInstallerEvent) event = { 0 };
  if (!hf_installer_event_decode(piece, &event, error))
    return FALSE;
  if (ops->told != NULL && !ops->told(ops->user, host->id, &event))
    return hf_fail(error, HF_ERROR_FAILED, "what host '%s' told could not be kept", host->name);
  if (event.kind == HF_INSTALLER_EVENT_KIND_RESULT)
    wake_waiter(host, &event);
  host->after = event.number;
  *kind = event.kind;
  return TRUE;
}

static gboolean say_taken(HfHost *host, HfRpc *rpc, GError **error)
{
  const HfInstallerTaken taken = { .epoch = host->epoch, .number = host->after };
  return hf_installer_call_taken(rpc, &taken, HF_HOST_CALL_MS, error);
}

/* Takes events until the session ends. */
static gboolean follow(HfHost *host, HfRpc *rpc, GError **error)
{
  const HfInstallerFollow from = { .epoch = host->epoch, .after = host->after };
  g_autoptr(GBytes) request = hf_installer_follow_encode(&from, error);
  g_autoptr(HfCall) call = request != NULL ? hf_rpc_begin(rpc, HF_INSTALLER_METHOD_FOLLOW, request, error) : NULL;
  if (call == NULL)
    return FALSE;
  gboolean end = FALSE;
  guint untold = 0;
  gint64 last = g_get_monotonic_time();
  for (;;) {
    HfInstallerEventKind kind = HF_INSTALLER_EVENT_KIND_NOTE;
    g_autoptr(GBytes) piece = hf_call_receive(call, &end, error);
    if (piece == NULL)
      return end && hf_fail(error, HF_ERROR_IO, "host '%s' ended the session", host->name);
    if (!take_event(host, piece, &kind, error))
      return FALSE;
    untold++;
    gboolean old = g_get_monotonic_time() - last > TAKEN_US;
    if (kind != HF_INSTALLER_EVENT_KIND_RESULT && untold < TAKEN_EVERY && !old)
      continue;
    if (!say_taken(host, rpc, error))
      return FALSE;
    untold = 0;
    last = g_get_monotonic_time();
  }
}

/* ---- hello ---- */

static gboolean check_welcome(HfHost *host, const HfInstallerWelcome *welcome, GError **error)
{
  if (strcmp(welcome->host, host->id) != 0)
    return hf_fail(error, HF_ERROR_REFUSED, "at '%s' host '%s' answers, not '%s'", host->address, welcome->host,
                   host->id);
  return TRUE;
}

static void note_welcome(HfHost *host, const HfInstallerWelcome *welcome)
{
  HF_LOCK(&host->lock);
  host->order = MAX(host->order, welcome->order);
  host->clock_ahead = welcome->clock - hf_clock_real_ns();
  host->certificate_until = welcome->certificate_until;
  if (host->epoch != welcome->epoch)
    host->after = 0;
  host->epoch = welcome->epoch;
}

static gboolean say_hello(HfHost *host, HfRpc *rpc, GError **error)
{
  HfHosts *hosts = host->hosts;
  g_auto(HfInstallerWelcome) welcome = { 0 };
  g_mutex_lock(&hosts->lock);
  g_auto(HfInstallerHello) hello = { .server = g_strdup(hosts->identity->uuid), .program = g_strdup(HF_VERSION) };
  g_mutex_unlock(&hosts->lock);
  if (!hf_installer_call_hello(rpc, &hello, &welcome, HELLO_MS, error) || !check_welcome(host, &welcome, error))
    return FALSE;
  note_welcome(host, &welcome);
  if (hosts->ops.facts != NULL)
    hosts->ops.facts(hosts->ops.user, host->id, &welcome);
  return TRUE;
}

/* ---- what is done in every session before events ---- */

gboolean hf_host_renew_is_due(HfHost *host)
{
  HF_LOCK(&host->lock);
  gint64 left = host->certificate_until - hf_clock_real_ns() / 1000000000;
  return left < (gint64)(HF_PKI_DAYS - HF_PKI_RENEW_DAYS) * 24 * 3600;
}

static void begin_session(HfHost *host)
{
  g_autoptr(GError) error = NULL;
  g_mutex_lock(&host->hosts->lock);
  gboolean tell = host->hosts->revoked[0] != NULL;
  g_mutex_unlock(&host->hosts->lock);
  if (tell && !hf_host_send_revoked(host, &error))
    g_warning("host '%s' was not told what is revoked: %s", host->name, error->message);
  g_clear_error(&error);
  if (hf_host_renew_is_due(host) && !hf_host_renew(host, &error))
    g_warning("the certificate of host '%s' was not renewed: %s", host->name, error->message);
}

/* ---- sessions ---- */

static void note_reached(HfHost *host, const char *address, int fd)
{
  if (!g_hostname_is_ip_address(address))
    g_message("row %s: looked up '%s'", hf_rows_of_service("dns"), address);
  HF_LOCK(&host->lock);
  g_free(host->reached);
  host->reached = hf_net_peer_address(fd);
}

static HfChannel *call(HfHost *host, GError **error)
{
  const HfTlsExpect expect = { .kinds = HF_PEER_HOST, .uuid = host->id, .role = "installer" };
  g_mutex_lock(&host->lock);
  g_autofree char *address = g_strdup(host->address);
  guint16 port = host->port;
  g_mutex_unlock(&host->lock);
  int fd = hf_hosts_dial(host->hosts, address, port, CONNECT_MS, error);
  if (fd < 0)
    return NULL;
  note_reached(host, address, fd);
  g_autofree char *peer = g_strdup_printf("host %s (%s port %u)", host->name, address, port);
  int handle = hf_hosts_dialing(host->hosts, fd);
  HfChannel *channel = hf_tls_connect(host->hosts->tls, fd, &expect, peer, HANDSHAKE_MS, NULL, error);
  hf_hosts_dialed(host->hosts, handle);
  if (channel != NULL)
    hf_host_log_rows(host, "installer", peer);
  return channel;
}

/* Lets hf_hosts_remove break the channel off; FALSE when it was quicker. */
static gboolean show_channel(HfHost *host, HfChannel *channel)
{
  HF_LOCK(&host->lock);
  host->channel = host->removed ? NULL : channel;
  return !host->removed;
}

static void run_session(HfHost *host, GError **error)
{
  const HfRpcOptions options = {
    .service = HF_INSTALLER_SERVICE, .version_low = HF_INSTALLER_OLDEST, .version_high = HF_INSTALLER_VERSION,
    .window = 256u << 10, .max_calls = 16, .memory_max = 16u << 20, .ping_seconds = PING_SECONDS,
    .dead_seconds = DEAD_SECONDS,
  };
  g_autoptr(HfChannel) channel = call(host, error);
  if (channel == NULL || !show_channel(host, channel))
    return;
  HfRpc *rpc = hf_rpc_new(channel, &options, error);
  if (rpc != NULL && say_hello(host, rpc, error)) {
    set_available(host, rpc, NULL);
    begin_session(host);
    follow(host, rpc, error);
    hf_channel_shutdown(channel);
    set_available(host, NULL, error != NULL && *error != NULL ? (*error)->message : "the session ended");
  }
  hf_rpc_free(rpc);
  show_channel(host, NULL);
}

static gboolean is_removed(HfHost *host)
{
  HF_LOCK(&host->lock);
  return host->removed;
}

static void wait_between(HfHost *host, guint seconds)
{
  gint64 end = g_get_monotonic_time() + seconds * G_TIME_SPAN_SECOND + g_random_int_range(0, 300000);
  HF_LOCK(&host->lock);
  while (!host->removed && !host->nudged && g_cond_wait_until(&host->changed, &host->lock, end))
    continue;
  host->nudged = FALSE;
}

gpointer hf_host_thread(gpointer user)
{
  HfHost *host = user;
  guint backoff = 0;
  while (!is_removed(host)) {
    g_autoptr(GError) error = NULL;
    gint64 begun = g_get_monotonic_time();
    run_session(host, &error);
    if (is_removed(host))
      break;
    set_available(host, NULL, error != NULL ? error->message : "the session ended");
    gboolean steady = g_get_monotonic_time() - begun > STEADY_US + CONNECT_MS * 1000;
    backoff = steady || backoff == 0 ? 1 : MIN(backoff * 2, BACKOFF_MAX_SECONDS);
    wait_between(host, backoff);
  }
  hf_host_unref(host);
  return NULL;
}
