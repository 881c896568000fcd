/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Spots in the target: folders and files, each known by its folder and its name, so that no path is ever too long.
 * Descriptors are kept open as long as there is room; a closed one is opened again from the nearest folder above it
 * that is open. Symbolic links are never followed. Thread-safe.
 */
#pragma once

#include <glib.h>

typedef struct HfSpot HfSpot;
struct HfSpot {
  HfSpot *parent;  /* must outlive it; NULL: the target itself */
  const char *name; /* the owner's, as is `shown` */
  const char *shown; /* its path in the point, where that is not the parent's and the name; else NULL */
  gboolean folder;
  int fd;           /* -1: closed; this and below belong to spots.c */
  int errnum;       /* what a close for want of room said; 0: nothing bad */
  guint pins;
  GList link;
};

typedef struct HfSpots {
  GMutex lock; /* guards the descriptors of all spots, and below */
  GQueue idle; /* of HfSpot*: open, not pinned; the one used last comes first */
  guint open, limit;
} HfSpots;

void hf_spots_init(HfSpots *spots);
/* All spots must be closed. */
void hf_spots_clear(HfSpots *spots);

void hf_spot_init(HfSpot *spot, HfSpot *parent, const char *name, const char *shown, gboolean folder);
/* Sets `path` to the spot's path in the point. */
void hf_spot_path(const HfSpot *spot, GString *path);
/* Hands over a descriptor of the spot; it is pinned. */
void hf_spot_take(HfSpots *spots, HfSpot *spot, int fd);
/* The descriptor (of a file: for writing), pinned until hf_spot_unpin. -1 on error. */
int hf_spot_open(HfSpots *spots, HfSpot *spot, GError **error);
void hf_spot_unpin(HfSpots *spots, HfSpot *spot);
/* Closes it if it is open; nobody has it pinned. Returns the error number of this close or an earlier one, or 0: a file
 * system may tell only then that it could not keep what was written. */
int hf_spot_close(HfSpots *spots, HfSpot *spot);
