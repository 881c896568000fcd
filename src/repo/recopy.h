/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Copying stored frames as they are, without keys, into new packs of a repository: what prune does with packs of which
 * little is live, copy with what a sibling lacks, repair with what it could mend. One packer for each kind and trust
 * domain; its packs repeat the key slots of all packs that it takes from.
 */
#pragma once

#include "format/pack.h"
#include "repo/repo.h"

/* A pack to copy from. */
typedef struct HfRecopySource {
  HfPackKind kind;
  guint32 domain;
  guint slots;     /* how many key slots it has, about */
  HfShortId pack;
  GBytes *whole;   /* the whole pack in memory (mended); NULL: it is read from the store */
  gpointer user;   /* the caller's */
  gboolean done;   /* out: all wanted frames were copied */
} HfRecopySource;

typedef struct HfRecopy {
  HfStore *from;
  HfRepo *to;      /* its index is loaded */
  /* Is the frame wanted? NULL: all are. */
  gboolean (*want)(const HfRecopySource *source, const HfPackInfo *info, guint frame, gpointer user, gboolean *want,
                   GError **error);
  /* A damaged frame: gives other bytes of it (same digest), or says that it is lost by leaving `stored` empty. NULL:
   * the pack is given up. */
  gboolean (*rescue)(const HfRecopySource *source, const HfPackInfo *info, guint frame, HfBuffer *stored, gpointer user,
                     GError **error);
  gpointer user;
  guint64 packs, frames, bytes; /* out: packs done, frames and bytes copied */
} HfRecopy;

/* Copies; on return everything copied is durable and indexed. A pack that cannot be read, or has a damaged frame and no
 * rescue, is warned about and stays not done. `sources` is an array of `count`. */
gboolean hf_recopy(HfRecopy *recopy, HfRecopySource *sources, guint count, GError **error);

/* What a pack in memory says of itself. */
gboolean hf_pack_bytes_info(GBytes *whole, HfPackInfo *info, GError **error);
