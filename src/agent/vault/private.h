/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What visit.c (life, frames) and objects.c (names) share. */
#pragma once

#include "agent/vault/visit.h"

typedef struct HfVisitBlob {
  HfId id; /* first: hashed by it */
  guint32 domain;
  guint32 copies; /* in `fresh`: frames under way that hold it */
} HfVisitBlob;
gboolean hf_visit_blob_equal(gconstpointer a, gconstpointer b);

typedef struct HfVisitPacker {
  HfPackKind kind;
  guint32 domain;
  GHashTable *sessions; /* of HfShortId: those whose key slots its packs repeat; never changes */
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
  gboolean unsure; /* copies: there were more of these than are kept */
  guint64 busy_us;
  GHashTable *senders;    /* to the number of frames that were taken, both guint64 */
  GCond taken;            /* a number rose, or `missing` was set */
  GError *missing;        /* why frames that were sent are not taken: the first */
  GError *failed;         /* the first loss: no flush succeeds after it */
};

/* HF_ERROR_REFUSED when there is no such generation of keys. */
gboolean hf_visit_check_generation(HfVisit *visit, guint32 generation, GError **error);
/* V5 */
void hf_visit_end_sessions(HfVisit *visit);
