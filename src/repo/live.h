/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who is alive? A walk from restore points and checkpoints through the refs of metadata, without any key (format.md
 * 11). What is known of each pack: its frames, and one bit a blob. Memory: 12 bytes a frame and 1 bit a blob.
 *
 * Invariants
 *  L1 The walk fails closed: a metadata blob that cannot be read, or a ref that is nowhere, ends it with
 *     HF_ERROR_DAMAGED (unless the walk was told to note losses and go on: verification does).
 *  L2 Only frame headers, clear sections and directories are read: no key is asked for.
 *  L3 Without keys nobody knows which of two copies is what its id says: a host that was taken over may have put
 *     garbage under an id that its earlier points need. So of what locked points need every copy is alive
 *     (hf_live_keep_copies).
 */
#pragma once

#include "format/pack.h"
#include "repo/repo.h"

typedef struct HfLiveFrame {
  guint32 offset, stored_length, first_blob;
} HfLiveFrame;

typedef struct HfLivePack {
  HfPackState state;
  GArray *frames;     /* of HfLiveFrame; NULL: directory unreadable */
  guint64 *live;      /* bits by blob number in the pack */
  guint64 *walked;    /* meta packs: blobs whose refs were followed */
  guint32 blobs, live_blobs;
  guint64 frame_bytes; /* stored bytes of all frames */
  guint64 live_bytes;  /* stored bytes of frames with a live blob; counted by hf_live_packs */
  GArray *sessions;   /* of HfShortId: whose frames it holds */
} HfLivePack;

typedef struct HfLive HfLive;

/* A loss that the walk came upon: a ref that has no location, or metadata that cannot be read. */
typedef void (*HfLossFunc)(const HfId *id, gpointer user);

/* Reads the directories of all packs. */
HfLive *hf_live_new(HfRepo *repo, GError **error);
void hf_live_free(HfLive *live);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfLive, hf_live_free)

/* Marks everything that is reached from `root` in `domain`. Call again for each root; work done before is not done
 * again. `loss` NULL: L1; else losses are told and the walk goes on. */
gboolean hf_live_walk(HfLive *live, guint32 domain, const HfId *root, HfLossFunc loss, gpointer user, GError **error);

/* L3, for the walks to come. What is walked later in the other manner is passed over where it was met before: walk what
 * needs all copies first. */
void hf_live_keep_copies(HfLive *live, gboolean all);

/* Has repair recorded any blob as lost (format.md 11.5)? */
gboolean hf_live_has_losses(const HfLive *live);

/* Forgets what is alive; the directories stay. */
void hf_live_reset(HfLive *live);

/* Elements HfLivePack*, borrowed; live_bytes are up to date. */
GPtrArray *hf_live_packs(HfLive *live);
gboolean hf_live_bit(const HfLivePack *pack, guint32 blob);
/* Was the blob at this place reached? */
gboolean hf_live_at(const HfLive *live, const HfLocation *location);
/* NULL: not in the store. Borrowed. */
const HfLivePack *hf_live_find_pack(const HfLive *live, const HfShortId *pack);
/* Live blobs of frame number `frame`, and all of them. */
guint hf_live_in_frame(const HfLivePack *pack, guint frame, guint *blobs);
