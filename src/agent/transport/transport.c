/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/transport/transport.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/hold.h"
#include "agent/rights.h"
#include "base/error.h"
#include "base/work.h"
#include "net/connect.h"

#define END_SECONDS 5

/* ---- threads and connections ---- */

void hf_transport_thread(HfTransport *transport, const char *name, GThreadFunc func, gpointer data)
{
  g_mutex_lock(&transport->lock);
  transport->threads++;
  g_mutex_unlock(&transport->lock);
  g_thread_unref(g_thread_new(name, func, data));
}

void hf_transport_thread_ends(HfTransport *transport)
{
  HF_LOCK(&transport->lock);
  transport->threads--;
  g_cond_broadcast(&transport->changed);
}

void hf_transport_enter(HfTransport *transport, HfConnection *connection)
{
  HF_LOCK(&transport->lock);
  transport->connections = g_list_prepend(transport->connections, connection);
  if (transport->ending || (connection->entry != NULL && connection->entry->closed)) {
    hf_cancel_set(&connection->cancel);
    hf_channel_shutdown(connection->channel);
  }
}

void hf_transport_leave(HfTransport *transport, HfConnection *connection)
{
  HF_LOCK(&transport->lock);
  transport->connections = g_list_remove(transport->connections, connection);
}

static void break_off(HfTransport *transport, const char *const *serials)
{
  HF_LOCK(&transport->lock);
  for (GList *item = transport->connections; item != NULL; item = item->next) {
    HfConnection *connection = item->data;
    if (serials != NULL && !g_strv_contains(serials, connection->serial))
      continue;
    hf_cancel_set(&connection->cancel);
    hf_channel_shutdown(connection->channel);
  }
}

/* ---- the transport port ---- */

typedef struct Visitor {
  HfTransport *transport;
  int fd;
  char *peer;
} Visitor;

static gpointer visitor_thread(gpointer user)
{
  Visitor *visitor = user;
  HfTransport *transport = visitor->transport;
  hf_transport_accept(transport, visitor->fd, visitor->peer, NULL);
  g_free(visitor->peer);
  g_free(visitor);
  hf_transport_thread_ends(transport);
  return NULL;
}

static gboolean is_full(HfTransport *transport)
{
  HF_LOCK(&transport->lock);
  return transport->threads >= HF_CONNECTIONS_MAX;
}

static gpointer listen_thread(gpointer user)
{
  HfTransport *transport = user;
  for (;;) {
    g_autoptr(GError) error = NULL;
    g_autofree char *peer = NULL;
    int fd = hf_net_accept(transport->listener, -1, &peer, &error);
    if (fd < 0 && hf_error_is(error, HF_ERROR_CANCELLED))
      break;
    if (fd < 0 || is_full(transport)) {
      g_warning("%s", fd < 0 ? error->message : "too many connections; one was refused");
      if (fd >= 0)
        close(fd);
      g_usleep(100000);
      continue;
    }
    Visitor *visitor = g_new0(Visitor, 1);
    *visitor = (Visitor){ transport, fd, g_steal_pointer(&peer) };
    hf_transport_thread(transport, "hf-visitor", visitor_thread, visitor);
  }
  hf_transport_thread_ends(transport);
  return NULL;
}

/* ---- what the keeper says ---- */

static gboolean open_door(HfTransport *transport, GError **error)
{
  g_autofree char *ports = g_build_filename(transport->settings->runtime, "ports", NULL);
  transport->pool =
    hf_port_pool_new(ports, transport->settings->channels_first, transport->settings->channels_last, error);
  if (transport->pool == NULL)
    return FALSE;
  transport->listener = hf_net_listen(transport->settings->address, transport->settings->transport_port, error);
  if (transport->listener < 0)
    return FALSE;
  hf_transport_thread(transport, "hf-listen", listen_thread, transport);
  g_autoptr(HfBody) body = hf_body_new();
  hf_put_u16(body, hf_net_port(transport->listener));
  return hf_control_send(transport->control, HF_CONTROL_READY, body, -1, error);
}

static gboolean on_setup(HfTransport *transport, const GByteArray *body, GError **error)
{
  g_auto(HfFaceSetup) setup = { 0 };
  if (!hf_face_setup_get(body, &setup, error))
    return FALSE;
  const HfTlsSettings tls = { setup.identity->certificate, setup.identity->key, setup.identity->authority,
                              (const char *const *)setup.revoked };
  if (transport->identity != NULL) {
    break_off(transport, (const char *const *)setup.revoked);
    return hf_tls_identity_reload(transport->identity, &tls, error);
  }
  transport->identity = hf_tls_identity_new(&tls, error);
  transport->settings = g_steal_pointer(&setup.settings);
  return transport->identity != NULL && hf_rights_drop(transport->settings->user, error) && open_door(transport, error);
}

typedef struct Estate {
  HfTransport *transport;
  char *repository;
} Estate;

static gpointer take_over_thread(gpointer user)
{
  Estate *estate = user;
  HfTransport *transport = estate->transport;
  transport->parts->take_over(estate->repository, &transport->cancel);
  g_free(estate->repository);
  g_free(estate);
  hf_transport_thread_ends(transport);
  return NULL;
}

/* Each on a thread of its own: a folder of a far file system may keep its thread for ever. */
static void on_repositories(HfTransport *transport, HfReader *reader)
{
  guint count = hf_get_count(reader, 1);
  for (guint i = 0; i < count; i++) {
    g_autofree char *repository = hf_get_text(reader, HF_TEXT_MAX);
    if (repository == NULL || transport->parts->take_over == NULL)
      continue;
    Estate *estate = g_new0(Estate, 1);
    *estate = (Estate){ transport, g_steal_pointer(&repository) };
    hf_transport_thread(transport, "hf-take-over", take_over_thread, estate);
  }
}

static gboolean on_message(HfTransport *transport, HfControlMessage *message, GError **error)
{
  HfReader reader = hf_reader(message->body->data, message->body->len);
  HfShortId id;
  switch (message->kind) {
  case HF_CONTROL_SETUP:
    return on_setup(transport, message->body, error);
  case HF_CONTROL_TICKET:
    hf_transport_ticket(transport, message->body);
    return TRUE;
  case HF_CONTROL_TICKET_CLOSE:
    hf_get_raw(&reader, &id, sizeof id);
    hf_transport_ticket_close(transport, &id);
    return TRUE;
  case HF_CONTROL_HELD:
    hf_hold_answered(message->body);
    return TRUE;
  case HF_CONTROL_DIAL:
    hf_transport_dial(transport, message->body, hf_steal_fd(&message->fd));
    return TRUE;
  case HF_CONTROL_AWAIT:
    hf_transport_await(transport, message->body, hf_steal_fd(&message->fd));
    return TRUE;
  case HF_CONTROL_REPOSITORIES:
    on_repositories(transport, &reader);
    return TRUE;
  default:
    return hf_fail(error, HF_ERROR_INVALID, "the keeper sends what the transport role does not know");
  }
}

/* Breaks everything off and waits a little for who serves a repository. */
static void end(HfTransport *transport)
{
  gint64 until = g_get_monotonic_time() + END_SECONDS * G_TIME_SPAN_SECOND;
  if (transport->listener >= 0)
    shutdown(transport->listener, SHUT_RDWR);
  g_mutex_lock(&transport->lock);
  transport->ending = TRUE;
  g_mutex_unlock(&transport->lock);
  hf_cancel_set(&transport->cancel);
  break_off(transport, NULL);
  HF_LOCK(&transport->lock);
  while (transport->threads > 0 && g_cond_wait_until(&transport->changed, &transport->lock, until))
    continue;
}

gboolean hf_transport_run(HfControl *control, const HfAgentParts *parts, GError **error)
{
  HfTransport transport = { .control = control, .parts = parts, .listener = -1 };
  gboolean sound = TRUE;
  hf_hold_begin(control);
  if (parts->hold_by != NULL)
    parts->hold_by(hf_hold_ask);
  while (sound) {
    g_autoptr(HfControlMessage) message = hf_control_receive(control, error);
    if (message == NULL)
      break;
    sound = on_message(&transport, message, error);
  }
  hf_hold_end();
  end(&transport);
  return sound && (error == NULL || *error == NULL);
}
