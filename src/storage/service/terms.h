/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a ticket to a repository service says: the server gives it, the service keeps to it (agent/ticket.h). */
#pragma once

#include <glib.h>

/* The rights of a ticket to a repository. */
typedef enum HfTicketRights {
  HF_TICKET_READ = 1 << 0,  /* read objects */
  HF_TICKET_WRITE = 1 << 1, /* write as the ticket's writer */
  HF_TICKET_COPY = 1 << 2,  /* write frames and points of other writers: backup copy */
  HF_TICKET_KEEP = 1 << 3,  /* forget, mark and sweep within what locks allow */
  HF_TICKET_KEYS = 1 << 4,  /* make a repository; add key slots, generations and writers */
} HfTicketRights;

/* What else the server tells the service. Layout: version u8 (1), flags u8 (bit 0: create), lock u64. */
typedef struct HfRepositoryTerms {
  gboolean create; /* make the folder, and a repository in it */
  guint64 lock;    /* seconds for which new points are locked */
} HfRepositoryTerms;
GBytes *hf_repository_terms_encode(const HfRepositoryTerms *terms);
/* HF_ERROR_UNSUPPORTED when the server is newer than this. */
gboolean hf_repository_terms_decode(GBytes *bytes, HfRepositoryTerms *terms, GError **error);
