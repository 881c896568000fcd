/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Prune with keys: a frame lives while one of its blobs lives, so changes that are scattered over everything leave
 * many frames of which little is needed. Whoever holds the keys opens such frames and seals what lives in them into
 * new ones. Without keys nothing of this happens: thin frames are listed instead, and the next backups store what they
 * need of them anew.
 */
#pragma once

#include "engine/prune/collect.h"
#include "repo/writer.h"

/* May this run open the pack and seal what is in it anew? It needs all keys, and only what is of the writer's own trust
 * domain can be written. */
gboolean hf_reseal_may(const HfCollect *collect, const HfLivePack *pack);
/* Bytes of the pack that nothing needs: those of whole frames, and the share of the others by blobs. */
guint64 hf_reseal_waste(const HfLivePack *pack);
/* Does this frame of a pack that may be resealed go through it? The others are copied as they are. */
gboolean hf_reseal_takes(const HfLivePack *pack, guint frame);

/* Seals the live blobs of all such frames of `packs` (HfLivePack*, all of which may be resealed) anew, durable and
 * indexed on return. Packs in which something cannot be read are warned about and added to `failed`. */
gboolean hf_reseal(HfCollect *collect, const GPtrArray *packs, GPtrArray *failed, GError **error);
