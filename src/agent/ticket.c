/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/ticket.h"

HfTicket *hf_ticket_new(void)
{
  HfTicket *ticket = g_new0(HfTicket, 1);
  ticket->terms = g_bytes_new(NULL, 0);
  return ticket;
}

HfTicket *hf_ticket_copy(const HfTicket *ticket)
{
  HfTicket *copy = g_memdup2(ticket, sizeof *ticket);
  copy->peer = g_strdup(ticket->peer);
  copy->repository = g_strdup(ticket->repository);
  copy->terms = g_bytes_ref(ticket->terms);
  return copy;
}

void hf_ticket_free(HfTicket *ticket)
{
  if (ticket == NULL)
    return;
  g_free(ticket->peer);
  g_free(ticket->repository);
  g_bytes_unref(ticket->terms);
  g_free(ticket);
}
