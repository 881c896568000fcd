/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "agent/transport/transport.h"
#include "base/error.h"
#include "base/work.h"
#include "net/connect.h"
#include "net/preamble.h"

#define HANDSHAKE_MS (10 * 1000)
#define FIRST_MS 3000 /* for the transport port, before the channel port is tried */
#define DIAL_MS (10 * 1000)
#define FIRST_BYTES 4096u /* of a worker, sent along with the ticket */

/* ---- inward ---- */

/* A worker ticket: the link takes the connection, and this thread waits until that is over. */
static void hand_to_link(HfTransport *transport, HfConnection *connection)
{
  HfEntry *entry = connection->entry;
  HF_LOCK(&transport->lock);
  if (entry->arrived != NULL)
    return;
  entry->arrived = connection->channel;
  g_cond_broadcast(&transport->changed);
  while (!entry->over && (entry->taken || !entry->closed)) {
    gint64 until = entry->taken ? G_MAXINT64 : entry->end;
    if (!g_cond_wait_until(&transport->changed, &transport->lock, until) && !entry->taken)
      break;
  }
  entry->arrived = NULL;
}

static void serve(HfTransport *transport, HfConnection *connection, const HfPeer *peer)
{
  g_autoptr(GError) error = NULL;
  const HfTicket *ticket = connection->entry->ticket;
  if (ticket->kind == HF_TICKET_WORKER)
    hand_to_link(transport, connection);
  else if (!transport->parts->serve(connection->channel, ticket, peer->uuid, &connection->cancel, &error))
    g_warning("repository '%s', %s: %s", ticket->repository, hf_channel_peer(connection->channel), error->message);
}

/* Reads the ticket and answers; the entry, or NULL. */
static HfEntry *admit(HfTransport *transport, HfChannel *channel, const HfPeer *peer, const HfEntry *via)
{
  guint8 token[HF_TICKET_TOKEN_BYTES];
  guint16 port;
  g_autoptr(GError) error = NULL;
  hf_channel_set_deadline(channel, HANDSHAKE_MS);
  if (!hf_preamble_read(channel, token, &port, &error)) {
    g_warning("%s", error->message);
    return NULL;
  }
  HfEntry *entry = hf_entry_find(transport, token, peer, via, &error);
  hf_wipe(token, sizeof token);
  if (error != NULL)
    g_warning("%s: %s", hf_channel_peer(channel), error->message);
  gboolean answered = hf_preamble_answer(channel, error, NULL);
  if (entry != NULL && via == NULL && port != 0)
    hf_entry_drop_port(transport, entry, port);
  if (answered || entry == NULL)
    return entry;
  hf_entry_left(transport, entry);
  return NULL;
}

static void serve_admitted(HfTransport *transport, HfChannel *channel, const HfPeer *peer, HfEntry *entry)
{
  HfConnection connection = { .channel = channel, .entry = entry, .serial = peer->serial };
  hf_channel_set_deadline(channel, -1);
  hf_transport_enter(transport, &connection);
  serve(transport, &connection, peer);
  hf_transport_leave(transport, &connection);
  hf_entry_left(transport, entry);
}

gboolean hf_transport_accept(HfTransport *transport, int fd, const char *peer_name, HfEntry *via)
{
  const HfTlsExpect anybody = { .kinds = HF_PEER_HOST | HF_PEER_SERVER };
  g_autoptr(GError) error = NULL;
  g_autoptr(HfPeer) peer = NULL;
  g_autoptr(HfChannel) channel =
    hf_tls_accept(transport->identity, fd, &anybody, peer_name, HANDSHAKE_MS, &peer, &error);
  if (channel == NULL) {
    g_warning("%s", error->message);
    return FALSE;
  }
  HfEntry *entry = admit(transport, channel, peer, via);
  if (entry == NULL)
    return FALSE;
  serve_admitted(transport, channel, peer, entry);
  return TRUE;
}

/* ---- links ---- */

typedef struct Job {
  HfTransport *transport;
  guint64 ref;
  HfInstallerLink link;
  HfChannel *worker;
  char *note;        /* for the task's log, or NULL */
  guint16 port;      /* of the preamble */
  GByteArray *first; /* what the worker wrote while the far end was called */
  HfChannel *far;    /* while they are joined */
} Job;

static Job *job_new(HfTransport *transport, const GByteArray *body, int fd)
{
  HfReader reader = hf_reader(body->data, body->len);
  Job *job = g_new0(Job, 1);
  job->transport = transport;
  job->ref = hf_get_u64(&reader);
  HfView link = hf_get_bytes(&reader, HF_CONTROL_BODY_MAX);
  hf_installer_link_decode_bytes(link.data, link.length, &job->link, NULL);
  job->worker = hf_channel_new(fd, "a task of this host");
  job->first = g_byte_array_new();
  return job;
}

static void job_free(Job *job)
{
  hf_wipe(&job->link.token, sizeof job->link.token);
  hf_installer_link_clear(&job->link);
  hf_channel_free(job->worker);
  g_byte_array_unref(job->first);
  g_free(job->note);
  g_free(job);
}

static void tell_joined(const Job *job, const GError *error)
{
  g_autoptr(HfBody) body = hf_body_new();
  hf_put_u64(body, job->ref);
  hf_put_error(body, error);
  hf_put_text(body, job->note != NULL ? job->note : "");
  hf_control_send(job->transport->control, HF_CONTROL_JOINED, body, -1, NULL);
}

/* The worker has said all. (What the far end says to that, a goodbye, is not waited for and not counted.) */
static void tell_parted(gpointer user)
{
  const Job *job = user;
  HfChannelBytes bytes = hf_channel_bytes(job->far);
  g_autoptr(HfBody) body = hf_body_new();
  hf_put_u64(body, job->ref);
  hf_put_u64(body, bytes.wire_read);
  hf_put_u64(body, bytes.wire_written);
  hf_control_send(job->transport->control, HF_CONTROL_PARTED, body, -1, NULL);
}

/* Carries bytes between the worker and the far end until both are through. */
static void join(Job *job, HfChannel *far)
{
  g_autoptr(GError) error = NULL;
  job->far = far;
  tell_joined(job, NULL);
  if (!hf_channel_relay(job->worker, far, tell_parted, job, &error))
    g_debug("a link broke: %s", error->message);
}

/* ---- outward ---- */

/* A socket to the far host: by the transport port first where the row has it, else by the channel port. */
static int call(const HfInstallerLink *link, const char *address, int patience_ms, gboolean *by_channel,
                GError **error)
{
  g_autoptr(GError) first = NULL;
  *by_channel = FALSE;
  if (link->transport_port != 0) {
    int fd = hf_net_connect(address, (guint16)link->transport_port, FIRST_MS, &first);
    if (fd >= 0)
      return fd;
  }
  *by_channel = TRUE;
  if (link->channel_port == 0) {
    if (first != NULL)
      g_propagate_error(error, g_steal_pointer(&first));
    else
      hf_fail(error, HF_ERROR_INVALID, "a link names no port of '%s'", address);
    return -1;
  }
  int fd = hf_net_connect(address, (guint16)link->channel_port, patience_ms, error);
  if (fd < 0 && first != NULL)
    g_prefix_error(error, "%s; ", first->message);
  return fd;
}

/* The ticket, and what the worker has written by now: its hello and its first call. It is said again where another
 * address has to be tried. */
static void say_first(GByteArray *first, gpointer user)
{
  const Job *job = user;
  guint8 bytes[FIRST_BYTES];
  gsize room = sizeof bytes - job->first->len;
  g_byte_array_append(job->first, bytes, (guint)hf_channel_read_ready(job->worker, bytes, room));
  hf_preamble_put(first, job->link.token.b, job->port);
  g_byte_array_append(first, job->first->data, job->first->len);
}

/* Calls, makes sure that it is the right host, and shows the ticket. */
static HfChannel *reach_at(Job *job, const char *address, int patience_ms, HfPeer **peer, GError **error)
{
  const HfInstallerLink *link = &job->link;
  const HfTlsExpect expect = { .kinds = link->peer_is_server ? HF_PEER_SERVER : HF_PEER_HOST, .uuid = link->peer,
                               .say = say_first, .user = job };
  gboolean by_channel;
  int fd = call(link, address, patience_ms, &by_channel, error);
  if (fd < 0)
    return NULL;
  guint16 port = (guint16)(by_channel ? link->channel_port : link->transport_port);
  job->port = by_channel ? 0 : (guint16)link->channel_port;
  g_autofree char *name = g_strdup_printf("host %s (%s port %u)", link->peer, address, port);
  g_autoptr(HfChannel) channel =
    hf_tls_connect(job->transport->identity, fd, &expect, name, HANDSHAKE_MS, peer, error);
  if (channel == NULL)
    return NULL;
  hf_channel_set_deadline(channel, HANDSHAKE_MS);
  if (!hf_preamble_hear(channel, error))
    return NULL;
  hf_channel_set_deadline(channel, -1);
  g_auto(GStrv) rows = g_strsplit(link->row, ">", 2);
  const char *row = rows[0] == NULL ? "-" : by_channel && rows[1] != NULL ? rows[1] : rows[0];
  g_message("row %s: connected to %s", row, name);
  return g_steal_pointer(&channel);
}

/* By the address of a preferred network first, on the same ports. */
static HfChannel *reach(Job *job, HfPeer **peer, GError **error)
{
  const HfInstallerLink *link = &job->link;
  g_autoptr(GError) why = NULL;
  if (*link->preferred != '\0') {
    HfChannel *channel = reach_at(job, link->preferred, FIRST_MS, peer, &why);
    if (channel != NULL)
      return channel;
    g_clear_pointer(peer, hf_peer_free);
    job->note = g_strdup_printf("'%s' of a preferred network was not reached, '%s' is called instead: %s",
                                link->preferred, link->address, why->message);
    g_message("%s", job->note);
  }
  return reach_at(job, link->address, DIAL_MS, peer, error);
}

static void dial(Job *job)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(HfPeer) peer = NULL;
  g_autoptr(HfChannel) channel = reach(job, &peer, &error);
  if (channel == NULL) {
    tell_joined(job, error);
    return;
  }
  HfConnection connection = { .channel = channel, .serial = peer->serial };
  hf_transport_enter(job->transport, &connection);
  join(job, channel);
  hf_transport_leave(job->transport, &connection);
}

static gpointer dial_thread(gpointer user)
{
  Job *job = user;
  HfTransport *transport = job->transport;
  dial(job);
  job_free(job);
  hf_transport_thread_ends(transport);
  return NULL;
}

void hf_transport_dial(HfTransport *transport, const GByteArray *body, int fd)
{
  hf_transport_thread(transport, "hf-dial", dial_thread, job_new(transport, body, fd));
}

/* ---- waiting for who calls ---- */

static HfChannel *wait_for_arrival(HfTransport *transport, HfEntry *entry, GError **error)
{
  HF_LOCK(&transport->lock);
  while (entry->arrived == NULL && !entry->closed)
    if (!g_cond_wait_until(&transport->changed, &transport->lock, MIN(entry->end, g_get_monotonic_time() + 1000000)) &&
        entry->end < g_get_monotonic_time())
      break;
  if (entry->arrived != NULL && !entry->closed) {
    entry->taken = TRUE;
    return entry->arrived;
  }
  hf_fail(error, HF_ERROR_IO, "'%s' did not call within %u seconds", entry->ticket->peer, entry->ticket->seconds);
  return NULL;
}

static void await(Job *job)
{
  g_autoptr(GError) error = NULL;
  HfTransport *transport = job->transport;
  HfEntry *entry = hf_entry_of_link(transport, job->ref >> 8, (guint32)(job->ref & 0xff));
  if (entry == NULL) {
    hf_fail(&error, HF_ERROR_NOT_FOUND, "the ticket of the link is not known to the transport role");
    tell_joined(job, error);
    return;
  }
  HfChannel *far = wait_for_arrival(transport, entry, &error);
  if (far != NULL)
    join(job, far);
  else
    tell_joined(job, error);
  g_mutex_lock(&transport->lock);
  entry->over = TRUE;
  g_cond_broadcast(&transport->changed);
  g_mutex_unlock(&transport->lock);
  hf_entry_unref(transport, entry);
}

static gpointer await_thread(gpointer user)
{
  Job *job = user;
  HfTransport *transport = job->transport;
  await(job);
  job_free(job);
  hf_transport_thread_ends(transport);
  return NULL;
}

void hf_transport_await(HfTransport *transport, const GByteArray *body, int fd)
{
  hf_transport_thread(transport, "hf-await", await_thread, job_new(transport, body, fd));
}
