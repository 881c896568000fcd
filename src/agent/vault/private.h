/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What visit.c (life, frames) and objects.c (names) share. */
#pragma once

#include "agent/vault/visit.h"

typedef struct HfVisitBlob {
  HfId id; /* first: hashed by it */
  guint32 domain;
} HfVisitBlob;
gboolean hf_visit_blob_equal(gconstpointer a, gconstpointer b);

typedef struct HfVisitPacker {
  HfPackKind kind;
  guint32 domain;
  HfPacker *packer;
} HfVisitPacker;

struct HfVisit {
  HfShortId ticket, writer;
  guint32 rights; /* HfTicketRights */
  HfRepositoryTerms terms;
  HfDepot *depot; /* borrowed */
  guint connections; /* under the lock of all visits */
  GMutex lock;       /* guards what follows */
  GPtrArray *packers;     /* of HfVisitPacker*, owned */
  GHashTable *sessions;   /* of HfShortId: opened by this visit, not yet over */
  GHashTable *fresh;      /* of HfVisitBlob: came with this visit, not yet in the index */
  GHashTable *unresolved; /* of HfVisitBlob: named by metadata, not met yet */
  guint64 busy_us;
  GError *failed;         /* the first loss: no flush succeeds after it */
};

/* V5 */
void hf_visit_end_sessions(HfVisit *visit);
