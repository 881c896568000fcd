/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "agent/transport/transport.h"
#include "base/error.h"
#include "base/work.h"

#define LOOK_MS 5000 /* how often a port that waits looks whether its ticket has ended */
#define PAUSE_US 100000

/* ---- entries; all of these with the lock held ---- */

static void entry_unref_locked(HfEntry *entry)
{
  if (--entry->references > 0)
    return;
  hf_ticket_free(entry->ticket);
  g_ptr_array_unref(entry->leases);
  g_free(entry);
}

static void close_locked(HfTransport *transport, HfEntry *entry)
{
  entry->closed = TRUE;
  for (guint i = 0; i < entry->leases->len; i++)
    hf_port_lease_stop(entry->leases->pdata[i]);
  for (GList *item = transport->connections; item != NULL; item = item->next) {
    HfConnection *connection = item->data;
    if (connection->entry == entry) {
      hf_cancel_set(&connection->cancel);
      hf_channel_shutdown(connection->channel);
    }
  }
  g_cond_broadcast(&transport->changed);
}

/* One that nobody uses, and that nobody took up in its time, opens nothing more. */
static gboolean has_ended(const HfEntry *entry)
{
  return entry->closed || (entry->streams == 0 && entry->end < g_get_monotonic_time());
}

static gboolean is_dead(gpointer key G_GNUC_UNUSED, gpointer value, gpointer user G_GNUC_UNUSED)
{
  return has_ended(value);
}

static gint64 end_from_now(const HfEntry *entry)
{
  return g_get_monotonic_time() + (gint64)entry->ticket->seconds * G_USEC_PER_SEC;
}

static void drop_entry(gpointer item)
{
  entry_unref_locked(item);
}

void hf_entry_unref(HfTransport *transport, HfEntry *entry)
{
  HF_LOCK(&transport->lock);
  entry_unref_locked(entry);
}

void hf_entry_left(HfTransport *transport, HfEntry *entry)
{
  HF_LOCK(&transport->lock);
  if (--entry->streams == 0)
    entry->end = end_from_now(entry);
  entry_unref_locked(entry);
}

/* ---- channel ports ---- */

typedef struct Port {
  HfTransport *transport;
  HfEntry *entry;
  HfPortLease *lease;
} Port;

/* Milliseconds to wait before this is asked again; 0: the ticket has ended. */
static int time_left(HfTransport *transport, const HfEntry *entry)
{
  HF_LOCK(&transport->lock);
  if (has_ended(entry))
    return 0;
  gint64 left = entry->streams > 0 ? LOOK_MS : (entry->end - g_get_monotonic_time()) / 1000 + 1;
  return (int)MIN(left, LOOK_MS);
}

/* Strangers do not use a port up: it listens again until its ticket has ended. */
static void serve_port(const Port *port)
{
  int left;
  while ((left = time_left(port->transport, port->entry)) > 0) {
    g_autoptr(GError) error = NULL;
    g_autofree char *peer = NULL;
    int fd = hf_port_accept(port->lease, NULL, left, &peer, &error);
    if (fd >= 0 && (hf_transport_accept(port->transport, fd, peer, port->entry) ||
                    !hf_port_listen_again(port->lease, port->transport->settings->address, NULL)))
      return;
    if (hf_error_is(error, HF_ERROR_CANCELLED))
      return;
    if (error != NULL)
      g_usleep(PAUSE_US); /* nobody came; or descriptors are short */
  }
}

static gpointer port_thread(gpointer user)
{
  Port *port = user;
  HfTransport *transport = port->transport;
  serve_port(port);
  g_mutex_lock(&transport->lock);
  g_ptr_array_remove(port->entry->leases, port->lease);
  g_mutex_unlock(&transport->lock);
  hf_port_release(port->lease);
  hf_entry_unref(transport, port->entry);
  g_free(port);
  hf_transport_thread_ends(transport);
  return NULL;
}

static void open_ports(HfTransport *transport, HfEntry *entry, guint count, GByteArray *ports)
{
  guint opened = 0;
  for (; opened < count; opened++) {
    g_autoptr(GError) error = NULL;
    HfPortLease *lease = hf_port_take(transport->pool, transport->settings->address, &error);
    if (lease == NULL) {
      g_warning("%s", error->message);
      break;
    }
    hf_put_u16(ports, lease->port);
    Port *port = g_new0(Port, 1);
    *port = (Port){ transport, entry, lease };
    g_mutex_lock(&transport->lock);
    entry->references++;
    g_ptr_array_add(entry->leases, lease);
    g_mutex_unlock(&transport->lock);
    hf_transport_thread(transport, "hf-port", port_thread, port);
  }
}

void hf_entry_drop_port(HfTransport *transport, HfEntry *entry, guint16 port)
{
  HF_LOCK(&transport->lock);
  for (guint i = 0; i < entry->leases->len; i++) {
    HfPortLease *lease = entry->leases->pdata[i];
    if (lease->port == port)
      hf_port_lease_stop(lease);
  }
}

/* ---- what the keeper says ---- */

static HfTicket *to_ticket(const HfInstallerTicket *given)
{
  HfTicket *ticket = hf_ticket_new();
  ticket->id = given->id;
  ticket->kind = given->kind == HF_INSTALLER_TICKET_KIND_WORKER ? HF_TICKET_WORKER : HF_TICKET_REPOSITORY;
  memcpy(ticket->token_hash, given->token_hash.b, sizeof ticket->token_hash);
  ticket->peer = g_strdup(given->peer);
  ticket->peer_is_server = given->peer_is_server;
  ticket->seconds = given->seconds;
  ticket->streams = CLAMP(given->streams, 1, HF_TICKET_STREAMS_MAX);
  ticket->repository = g_strdup(given->repository);
  ticket->rights = given->rights;
  ticket->writer = given->writer;
  g_bytes_unref(ticket->terms);
  ticket->terms = g_bytes_ref(given->terms);
  ticket->task = given->task;
  ticket->link = given->link;
  return ticket;
}

static HfEntry *add_entry(HfTransport *transport, const HfInstallerTicket *given)
{
  HfEntry *entry = g_new0(HfEntry, 1);
  entry->references = 2;
  entry->ticket = to_ticket(given);
  entry->end = end_from_now(entry);
  entry->leases = g_ptr_array_new();
  HF_LOCK(&transport->lock);
  if (transport->tickets == NULL)
    transport->tickets = g_hash_table_new_full(hf_id_hash, hf_id_equal_func, NULL, drop_entry);
  g_hash_table_foreach_remove(transport->tickets, is_dead, NULL);
  g_hash_table_insert(transport->tickets, entry->ticket->token_hash, entry);
  return entry;
}

void hf_transport_ticket(HfTransport *transport, const GByteArray *body)
{
  g_autoptr(GError) error = NULL;
  g_auto(HfInstallerTicket) given = { 0 };
  HfReader reader = hf_reader(body->data, body->len);
  guint64 ref = hf_get_u64(&reader);
  HfView encoded = hf_get_bytes(&reader, HF_CONTROL_BODY_MAX);
  g_autoptr(HfBody) answer = hf_body_new();
  g_autoptr(GByteArray) ports = g_byte_array_new();
  hf_put_u64(answer, ref);
  if (hf_installer_ticket_decode_bytes(encoded.data, encoded.length, &given, &error)) {
    HfEntry *entry = add_entry(transport, &given);
    open_ports(transport, entry, MIN(given.channels, HF_TICKET_STREAMS_MAX), ports);
    hf_entry_unref(transport, entry);
  }
  hf_put_error(answer, error);
  hf_put_varint(answer, ports->len / 2);
  hf_put_raw(answer, ports->data, ports->len);
  hf_control_send(transport->control, HF_CONTROL_TICKET_OPEN, answer, -1, NULL);
}

void hf_transport_ticket_close(HfTransport *transport, const HfShortId *id)
{
  GHashTableIter iter;
  gpointer item;
  HF_LOCK(&transport->lock);
  if (transport->tickets == NULL)
    return;
  g_hash_table_iter_init(&iter, transport->tickets);
  while (g_hash_table_iter_next(&iter, NULL, &item)) {
    HfEntry *entry = item;
    if (hf_short_id_equal(&entry->ticket->id, id)) {
      close_locked(transport, entry);
      g_hash_table_iter_remove(&iter);
      return;
    }
  }
}

/* ---- who shows one ---- */

static gboolean may_enter(const HfEntry *entry, const HfPeer *peer, const HfEntry *via, GError **error)
{
  if (entry == NULL || has_ended(entry))
    return hf_fail(error, HF_ERROR_REFUSED, "the ticket is not known on this host, or has ended");
  gboolean server = peer->kind == HF_PEER_SERVER;
  if (strcmp(peer->uuid, entry->ticket->peer) != 0 || server != entry->ticket->peer_is_server)
    return hf_fail(error, HF_ERROR_REFUSED, "the ticket is not for '%s'", peer->uuid);
  if (via != NULL && via != entry)
    return hf_fail(error, HF_ERROR_REFUSED, "this port was opened for another ticket");
  if (entry->streams >= entry->ticket->streams)
    return hf_fail(error, HF_ERROR_BUSY, "the ticket has its %u connections already", entry->ticket->streams);
  return TRUE;
}

HfEntry *hf_entry_find(HfTransport *transport, const guint8 *token, const HfPeer *peer, const HfEntry *via,
                       GError **error)
{
  HfId hash;
  hf_sha256(token, HF_TICKET_TOKEN_BYTES, hash.b);
  HF_LOCK(&transport->lock);
  HfEntry *entry = transport->tickets != NULL ? g_hash_table_lookup(transport->tickets, &hash) : NULL;
  if (!may_enter(entry, peer, via, error) || entry == NULL)
    return NULL;
  entry->references++;
  entry->streams++;
  return entry;
}

HfEntry *hf_entry_of_link(HfTransport *transport, guint64 task, guint32 link)
{
  GHashTableIter iter;
  gpointer item;
  HF_LOCK(&transport->lock);
  if (transport->tickets == NULL)
    return NULL;
  g_hash_table_iter_init(&iter, transport->tickets);
  while (g_hash_table_iter_next(&iter, NULL, &item)) {
    HfEntry *entry = item;
    if (entry->ticket->kind == HF_TICKET_WORKER && entry->ticket->task == task && entry->ticket->link == link) {
      entry->references++;
      return entry;
    }
  }
  return NULL;
}
