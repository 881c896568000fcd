/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The transport role: ends TLS for data. It is told by the keeper which tickets are good, gives connections that show
 * one to the repository service or to a link of a task, and calls other hosts for the tasks of this one.
 *
 * INVARIANTS
 * 1. A connection does nothing before its certificate was checked and it has shown a ticket that is known here, has not
 *    ended, and is for that certificate.
 * 2. A channel port belongs to one ticket; a connection on it that shows another one is refused. The port is held until
 *    its connection has ended.
 * 3. A connection whose ticket is closed, or whose certificate was revoked, is broken off.
 *
 * Threads: one for control (main), one that listens on the transport port, one for each channel port and connection.
 */
#pragma once

#include "agent/control.h"
#include "agent/setup.h"
#include "agent/ticket.h"
#include "agent/transport/face.h"
#include "net/messages/installer.h"
#include "net/portpool.h"
#include "net/tls.h"

#define HF_CONNECTIONS_MAX 512u

typedef struct HfTransport HfTransport;
typedef struct HfEntry HfEntry;

struct HfTransport {
  HfControl *control;
  const HfAgentParts *parts;
  HfSettings *settings;
  HfTlsIdentity *identity;
  HfPortPool *pool;
  int listener;
  GMutex lock;    /* of all below */
  GCond changed;  /* a ticket, an arrival, the number of threads */
  GHashTable *tickets;  /* token hash -> HfEntry */
  GList *connections;   /* HfConnection, on the stacks of their threads */
  guint threads;
  gboolean ending;
  HfCancel cancel;      /* of taking over: set at the end */
};

/* A ticket and what hangs on it. Reference counted: threads of its ports and connections hold one each. */
struct HfEntry {
  gint references; /* under the lock */
  HfTicket *ticket;
  gint64 end; /* monotonic us: when it ends, while it has no connection */
  guint streams;
  gboolean closed;
  GPtrArray *leases;   /* HfPortLease *, borrowed from their threads */
  HfChannel *arrived;  /* of a worker ticket: who showed it; its thread waits until the link is over */
  gboolean taken, over; /* the link has it; is through with it */
};

typedef struct HfConnection {
  HfChannel *channel;
  HfEntry *entry; /* NULL: outward */
  HfCancel cancel;
  char *serial; /* of the peer's certificate */
} HfConnection;

/* ---- threads ---- */
/* Runs func(data) on a thread that is counted. */
void hf_transport_thread(HfTransport *transport, const char *name, GThreadFunc func, gpointer data);
void hf_transport_thread_ends(HfTransport *transport);
void hf_transport_enter(HfTransport *transport, HfConnection *connection);
void hf_transport_leave(HfTransport *transport, HfConnection *connection);

/* ---- tickets ---- */
/* Adds a ticket and opens its channel ports; tells the keeper. Takes over `body`'s content only. */
void hf_transport_ticket(HfTransport *transport, const GByteArray *body);
void hf_transport_ticket_close(HfTransport *transport, const HfShortId *id);
/* The entry of a token, referenced, or NULL with the reason. `via`: the entry that the port belongs to, or NULL. */
HfEntry *hf_entry_find(HfTransport *transport, const guint8 *token, const HfPeer *peer, const HfEntry *via,
                       GError **error);
void hf_entry_unref(HfTransport *transport, HfEntry *entry);
/* The same, for who found it: his connection has ended. */
void hf_entry_left(HfTransport *transport, HfEntry *entry);
/* The entry of an inward link of a task, referenced, or NULL. */
HfEntry *hf_entry_of_link(HfTransport *transport, guint64 task, guint32 link);
/* Gives channel port `port` of the entry back: its connection came by the transport port. */
void hf_entry_drop_port(HfTransport *transport, HfEntry *entry, guint16 port);

/* ---- connections ---- */
/* Serves what came in on `fd`, which it takes over, to its end. FALSE: it was nobody of ours. */
gboolean hf_transport_accept(HfTransport *transport, int fd, const char *peer, HfEntry *via);
/* Starts calling for a link, or waiting for it; both take over `fd`, the worker's socket. */
void hf_transport_dial(HfTransport *transport, const GByteArray *body, int fd);
void hf_transport_await(HfTransport *transport, const GByteArray *body, int fd);
