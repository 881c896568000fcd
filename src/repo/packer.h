/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Writing packs (format.md 5, 6). A packer gathers frames of one kind and one domain into packs of the target size,
 * with parity (data) or a mirror (meta). Thread-safe; appends are serialised, a full pack is finished by the thread
 * that filled it while others go on with the next.
 *
 * Invariants
 *  P1 `done` is called for a pack only after pack, parity and mirror are durable. Parity and mirror are so before the
 *     pack appears: who finds a pack finds these, too.
 *  P2 A pack that is not finished leaves nothing in the store. (A power loss may leave parity or mirror alone.)
 *  P3 Before it is committed each pack is read back and its frames compared with their digests.
 *  P4 After the first failure everything fails with it: a lost frame is never forgotten.
 *  P5 In a store that a service keeps (HF_STORE_KEPT) frames are handed to its sink: the service packs them by these
 *     same rules, and indexes them; `done` is not called here.
 *
 * Memory: the directory of the pack at hand, and for each pack being finished its parity: a twentieth or a tenth of it.
 */
#pragma once

#include "format/pack.h"
#include "repo/sealer.h"
#include "storage/store.h"

typedef struct HfPacker HfPacker;

typedef struct HfPackerOptions {
  HfPackKind kind;
  guint32 domain;
  guint64 target;             /* stored bytes of a pack; more than 2 GiB counts as 2 GiB */
  guint parity;               /* 0, 5, 10: parity for data packs, mirror for meta packs when not 0 */
  const HfSessionSlot *slots; /* of all sessions that sealed the frames to come; borrowed during hf_packer_new */
  guint slot_count;
  /* Called once a durable pack; may come from any thread. */
  gboolean (*done)(const HfPackInfo *info, gpointer user, GError **error);
  gpointer user;
} HfPackerOptions;

HfPacker *hf_packer_new(HfStore *store, const HfPackerOptions *options);
/* Aborts an unfinished pack. */
void hf_packer_free(HfPacker *packer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfPacker, hf_packer_free)

/* Appends a frame; `ids` are those of its blobs, in order. */
gboolean hf_packer_add(HfPacker *packer, const HfSealed *sealed, const HfId *ids, GError **error);
/* Appends a stored frame as it is (rewriting, copying); `frame` gives kind, blobs, stored length and digest. When the
 * digest does not match this is HF_ERROR_DAMAGED, and nothing else has happened: the packer goes on. */
gboolean hf_packer_add_stored(HfPacker *packer, const HfPackFrame *frame, const void *stored, const HfId *ids,
                              GError **error);
/* Finishes the pack at hand, if any, and waits for those being finished by other threads. */
gboolean hf_packer_flush(HfPacker *packer, GError **error);
/* Bytes of finished packs so far, and of their parity and mirrors. */
void hf_packer_totals(HfPacker *packer, guint64 *pack_bytes, guint64 *parity_bytes);
