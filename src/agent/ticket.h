/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Tickets: what a connection to the transport role is for. The server gives one to both sides of a task: its hash and
 * what it allows to the host that is called, by a signed order; its token to the host that calls, within the order of
 * the task. The certificate says who connects, the ticket what for; both are checked.
 *
 * A ticket ends when it has had no connection for `seconds`, by the clock of the host that is called (no clocks of two
 * hosts are compared), or when the server takes it back: so it ends soon after its task, also where the server was
 * killed meanwhile and knows of it no more. It opens at most `streams` connections at a time.
 */
#pragma once

#include <glib.h>

#include "crypto/crypto.h"
#include "storage/service/terms.h"

#define HF_TICKET_TOKEN_BYTES 32
#define HF_TICKET_STREAMS_MAX 64u

typedef enum HfTicketKind {
  HF_TICKET_REPOSITORY, /* the connection is served by hf_vault_serve */
  HF_TICKET_WORKER,     /* it is joined to a link of a task that waits for it (agent/worker.h) */
} HfTicketKind;

typedef struct HfTicket {
  HfShortId id; /* names the ticket in logs and orders; no secret */
  HfTicketKind kind;
  guint8 token_hash[32]; /* SHA-256 of the token */
  char *peer;            /* the certificate that may show it: the uuid of a host, or of the server */
  gboolean peer_is_server;
  guint32 seconds; /* how long it lives without a connection: in the beginning, and again after the last */
  guint32 streams;
  /* REPOSITORY */
  char *repository; /* absolute path of its folder on this host */
  guint32 rights;   /* HfTicketRights */
  HfShortId writer; /* zeros: none */
  GBytes *terms;    /* what else the server tells the service: opaque here, never NULL */
  /* WORKER */
  guint64 task;
  guint32 link;
} HfTicket;

HfTicket *hf_ticket_new(void);
HfTicket *hf_ticket_copy(const HfTicket *ticket);
void hf_ticket_free(HfTicket *ticket);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfTicket, hf_ticket_free)
