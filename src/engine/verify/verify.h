/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The verb verify: is what is stored still what was stored? Three depths:
 *   stored   without keys: every object's digests, parity and mirrors, and that all refs of all points lead somewhere.
 *   Proves
 *            against rot, not against a liar.
 *   content  with keys: every frame is opened as well, and the id of every blob computed anew.
 *   restore  as content, for what the points need; the caller then rehearses a restore (engine/restore).
 *
 * What is found damaged is noted in the repository (format.md 11.4), so that the next backup of the same source writes
 * it anew, and told by point and path.
 */
#pragma once

#include "repo/points.h"
#include "repo/repo.h"

typedef struct HfVerifyOptions {
  gboolean content;   /* needs keys */
  guint sample;       /* per cent of the frames, chosen at random; 100: all */
  GPtrArray *points;  /* of HfPointInfo*: only what these need; NULL: everything in the store */
} HfVerifyOptions;

/* A file or folder of which something is damaged. */
typedef struct HfAffected {
  HfShortId point; /* the newest that has it */
  char *path;
} HfAffected;

typedef struct HfVerifyResult {
  guint64 objects;                 /* small objects, runs, packs, parity objects, mirrors looked at */
  guint64 packs, frames, blobs, bytes;
  guint64 bad_objects;             /* small objects and index runs: each has other copies or can be made anew */
  guint64 bad_parity;              /* parity objects and mirrors that are damaged or missing */
  guint64 bad_packs;               /* head or directory unreadable, or missing altogether */
  guint64 bad_frames;
  guint64 transient;               /* damaged at first, whole when read again: suspect memory or cables */
  guint64 missing_blobs;           /* refs that lead nowhere */
  guint64 unknown_signers;
  GArray *places;                  /* of HfPlace: damaged frames and packs */
  GArray *weak; /* of HfPlace, offset 0: packs whose parity or mirror is damaged or missing, or that live by it */
  GPtrArray *affected;             /* of HfAffected*, owned; empty without keys */
} HfVerifyResult;
void hf_verify_result_clear(HfVerifyResult *result);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HfVerifyResult, hf_verify_result_clear)
/* Nothing of any point is damaged. */
gboolean hf_verify_result_good(const HfVerifyResult *result);

/* TRUE also when damage was found: the result tells. FALSE when the verification could not be done. */
gboolean hf_verify(HfRepo *repo, const HfVerifyOptions *options, HfVerifyResult *result, GError **error);

/* Names what the places (and missing blobs) hit: walks the trees of `points` (HfPointInfo*), appends to
 * result->affected. */
gboolean hf_verify_affected(HfRepo *repo, const GPtrArray *points, HfVerifyResult *result, GError **error);
